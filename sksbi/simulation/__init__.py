"""
Running a simulator: parameters in, pairs (theta, x) out.

The rows of theta are cut into chunks, joblib runs the chunks wherever its present backend says, and
every row (vectorised: every chunk) has its own random generator, made from one entropy and the
number of the row. So the numbers depend on ``random_state`` and on nothing else: not on ``n_jobs``,
not on the backend, not on how rows are cut, not on the order in which chunks end, nor on an
interruption. This holds for simulators that draw from the generator given to them; one that draws
from a global generator, such as ``np.random.normal``, is not reproducible.
"""

from __future__ import annotations

from sksbi.data import LazyTable, open_pairs, pack
from sksbi.simulation._command import CommandSimulator
from sksbi.simulation._forever import simulate_forever
from sksbi.simulation._replay import failures, forget_failures, replay
from sksbi.simulation._simulate import run_simulator, simulate

__all__ = [
    "CommandSimulator",
    "LazyTable",
    "failures",
    "forget_failures",
    "open_pairs",
    "pack",
    "replay",
    "run_simulator",
    "simulate",
    "simulate_forever",
]
