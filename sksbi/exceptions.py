"""Warnings and errors that sksbi gives, and how it tells of an interruption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

__all__ = [
    "CommandError",
    "LoadError",
    "MisspecificationWarning",
    "SamplingWarning",
    "SimulationInterrupted",
    "SimulationWarning",
    "TrainingWarning",
    "VersionWarning",
]


class CommandError(RuntimeError):
    """
    A program that is a simulator has failed.

    Raised by :class:`sksbi.simulation.CommandSimulator`: in :func:`sksbi.simulate` it is a failure
    of one row.

    Examples
    --------
    >>> from sksbi.exceptions import CommandError
    >>> try:
    ...     raise CommandError("The command ./sim 3.0 ended with exit status 1")
    ... except CommandError as error:
    ...     print(error)
    The command ./sim 3.0 ended with exit status 1
    """


class LoadError(ValueError):
    """
    A file is none that sksbi wrote, is damaged, or names what is not trusted.

    Raised by :func:`sksbi.load`, before anything in the file is run.

    Examples
    --------
    >>> from sksbi import load
    >>> from sksbi.exceptions import LoadError
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile(suffix=".sksbi") as file:
    ...     try:
    ...         load(file.name)
    ...     except LoadError:
    ...         print("not a file of sksbi")
    not a file of sksbi
    """


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


class SimulationInterrupted(KeyboardInterrupt):
    """
    Ctrl-C stopped the simulations; this holds those that had ended, and can run the others.

    Raised by :func:`sksbi.simulate` and :func:`sksbi.simulation.run_simulator`. It is a
    KeyboardInterrupt, so a script or a cell that does not ask for it stops as ever; in an
    interactive session it is then ``sys.last_value``.

    Attributes
    ----------
    theta, x : ndarray or DataFrame
        The simulations that had ended, in the order of their rows, failed ones left out or kept as
        ``on_error`` says; x is None if there was none. With ``n_jobs`` above 1, a chunk counts when
        all of it has ended.
    rows : ndarray
        The number of each in the whole run.
    theta_left : ndarray or DataFrame
        The parameters of the rows that had not ended.

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi import simulate
    >>> from sksbi.exceptions import SimulationInterrupted
    >>> def throw(theta, rng):
    ...     return theta["v"] ** 2 / 9.81 + rng.normal()
    >>> try:
    ...     theta, x = simulate(throw, {"v": stats.uniform(1, 9)}, 100, random_state=0)
    ... except SimulationInterrupted as stop:
    ...     done = stop  # done.theta and done.x are what there is
    ...     theta, x = done.resume()  # or go on, now or later
    >>> len(x)
    100
    """

    theta: Any
    x: Any
    rows: Any
    theta_left: Any
    _resume: Callable[[], tuple[Any, Any]]

    @classmethod
    def of(
        cls, theta: Any, x: Any, rows: Any, theta_left: Any, resume: Callable[[], tuple[Any, Any]]
    ) -> Self:
        """
        Make the exception of a run.

        Parameters
        ----------
        theta, x, rows, theta_left : ndarray or DataFrame
            The attributes.
        resume : callable
            Runs the rows that are left and gives all.

        Returns
        -------
        SimulationInterrupted
            The exception.
        """
        error = cls(
            f"{len(rows)} simulations are done and {len(theta_left)} are left. "
            "`except sksbi.exceptions.SimulationInterrupted as stop:` gives the former as "
            "stop.theta and stop.x; `theta, x = stop.resume()` runs the others and gives all, the "
            "numbers being those of a run without a stop. In an interactive session, stop is "
            "sys.last_value."
        )
        error.theta, error.x, error.rows, error.theta_left = theta, x, rows, theta_left
        error._resume = resume
        return error

    def resume(self) -> tuple[Any, Any]:
        """
        Run the rows that are left, with the options and the random numbers of the first call.

        Returns
        -------
        theta : DataFrame or ndarray of shape (n, D)
            The parameters of all rows, as the first call would have given them.
        x : ndarray or DataFrame
            All results, equal to those of a run that was never interrupted.
        """
        return self._resume()


class SimulationWarning(UserWarning):
    """
    Some simulations failed and were left out.

    Given by :func:`sksbi.simulate` and :func:`sksbi.simulation.run_simulator` once a call, with the
    number of rows that failed, by kind, the first such theta and its error, and, above 1%, which
    estimators may learn from the rest. A run of which nothing has succeeded after half a minute
    tells the first error at once.

    Examples
    --------
    >>> import warnings
    >>> from sksbi.exceptions import SimulationWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", SimulationWarning)
    """


class TrainingWarning(UserWarning):
    """
    A fit learnt nothing, is too sure of itself, did not see all of x, or theta is not the prior's.

    Given by ``fit``, and by ``sample`` where posteriors like the one asked for were too narrow on
    simulations held out, x is at the edge of what was simulated, or a ratio or likelihood is
    multiplied over more trials than it is good for.

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
