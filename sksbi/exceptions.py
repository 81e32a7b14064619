"""Warnings that sksbi gives."""

from __future__ import annotations

__all__ = [
    "MisspecificationWarning",
    "SamplingWarning",
    "SimulationWarning",
    "TrainingWarning",
    "VersionWarning",
]


class MisspecificationWarning(UserWarning):
    """
    An observation is unlike everything that was simulated, so its posterior may mean nothing.

    It is far from all simulations, or the members of a flow that was fitted to them disagree about
    it. Given by ``sample``; :func:`sksbi.metrics.misspecification_test` is a test with a p-value.

    Examples
    --------
    >>> import warnings
    >>> from sksbi.exceptions import MisspecificationWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", MisspecificationWarning)  # extrapolate silently
    """


class SamplingWarning(UserWarning):
    """
    The chains that drew from a posterior do not agree, or their draws are worth few.

    Examples
    --------
    >>> import warnings
    >>> from sksbi.exceptions import SamplingWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", SamplingWarning)  # draws of bad chains are refused
    """


class SimulationWarning(UserWarning):
    """
    Some simulations failed and were left out.

    Given by :func:`sksbi.simulate` and :func:`sksbi.simulation.run_simulator` once a call, with the
    number of rows that failed, the first such theta and its error.

    Examples
    --------
    >>> import warnings
    >>> from sksbi.exceptions import SimulationWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", SimulationWarning)
    """


class TrainingWarning(UserWarning):
    """
    A fit came to its end, but it learnt nothing, or is too sure of itself, or did not see all of x.

    Given by ``fit``, and by ``sample`` where posteriors like the one asked for were too narrow on
    simulations held out, or a ratio is multiplied over more trials than it is good for.

    Examples
    --------
    >>> import warnings
    >>> from sksbi.exceptions import TrainingWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", TrainingWarning)  # fits that failed are refused
    """


class VersionWarning(UserWarning):
    """
    An estimator was loaded that another version of sksbi had saved.

    Examples
    --------
    >>> import warnings
    >>> from sksbi.exceptions import VersionWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", VersionWarning)  # files of other versions are refused
    """
