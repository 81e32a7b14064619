"""
Rounds of simulations that go where the posterior of an observation is.

``inference`` is what users see. A run (``run``) asks proposals where to draw parameters,
simulates, fits a clone, narrows the proposals, and watches the change of the posterior;
``progress`` is what it keeps, in memory or in a folder.
"""

from sksbi.sequential.inference import SequentialInference

__all__ = ["SequentialInference"]
