"""Displays of draws at held-out pairs: those of an estimator, held out before, or any others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

from sksbi.inspection._estimators import sample_many
from sksbi.inspection._named import parameter_labels
from sksbi.metrics import HeldOutDraws
from sksbi.tables.draws import check_batch
from sksbi.utils.failures import without_failures
from sksbi.utils.types import Array, Draws, RandomState, Table

__all__ = ["HeldOutDisplay", "Options", "Prepared", "all_pairs", "held_out_batch", "unpack"]

Options = dict[str, Any]
Prepared = tuple[Table, Table, RandomState, Options]


class HeldOutDisplay(ABC):
    """What draws at pairs of known theta show; ``_prepare`` says for which an estimator draws."""

    _prepare: ClassVar[Callable[..., Prepared]]

    @classmethod
    @abstractmethod
    def from_predictions(cls, *predictions: Any, **options: Any) -> Self:
        """Compute what is shown from draws of any origin, and plot it."""

    @classmethod
    def from_held_out(cls, held_out: HeldOutDraws, **options: Any) -> Self:
        """
        Plot draws at held-out pairs.

        Parameters
        ----------
        held_out : HeldOutDraws
            What :func:`sksbi.metrics.draw_held_out` returned.
        **options
            Passed to :meth:`from_predictions`, which takes ``held_out``, too.

        Returns
        -------
        Display
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If ``held_out`` is something else, or an option does not match the draws.
        """
        if not isinstance(held_out, HeldOutDraws):
            raise TypeError(
                "held_out must be HeldOutDraws, as draw_held_out returns them, got "
                f"{type(held_out).__name__}."
            )
        return cls.from_predictions(held_out, **options)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        theta: Table,
        x: Table,
        *,
        n_samples: int = 1000,
        iid: bool = False,
        random_state: RandomState = 0,
        verbose: int = 0,
        **options: Any,
    ) -> Self:
        """
        Draw from the posteriors at held-out pairs and plot the draws.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, with ``sample`` and ``log_prob``.
        theta : array-like or DataFrame of shape (n, D)
            Parameters from the prior that the estimator was not fitted to.
        x : array-like, Series or DataFrame of shape (n, ...)
            What was simulated from them, in the form of fit's x; rows that are NaN throughout,
            failed simulations, are left out.
        n_samples : int, default=1000
            The number of draws for each observation.
        iid : bool, default=False
            Whether x consists of independent trials of each theta, of shape (n, trials, ...) or a
            table whose last index level is the trial, where fit had one of each.
        random_state : None, int, RandomState or Generator, default=0
            Seeds the draws, and what else is random in the display; None takes fresh entropy.
        verbose : int, default=0
            Whether to show a progress bar.
        **options
            Passed to :meth:`from_predictions`. Names are by default theta's columns, else those of
            the prior.

        Returns
        -------
        Display
            The plotted display.

        Raises
        ------
        TypeError, ValueError
            If the estimator has no ``sample`` or no ``log_prob``, theta and x do not match, or do
            not look like fit's, or an option does not match.
        """
        theta, x = without_failures(theta, x)
        theta, x, seed, options = cls._prepare(theta, x, random_state, options)
        held_out = sample_many(estimator, theta, x, n_samples, seed, iid=iid, verbose=verbose)
        return cls.from_predictions(held_out, **options)


def all_pairs(*prepared: *Prepared) -> Prepared:
    """Draw for all pairs; nothing else is random."""
    return prepared


def unpack(
    first: Draws | HeldOutDraws, second: Table | None, arguments: tuple[str, str]
) -> tuple[Draws, Table]:
    """Take two arguments, which held-out draws hold by their names, out of these or as given."""
    one, two = arguments
    if isinstance(first, HeldOutDraws):
        if second is not None:
            raise ValueError(f"{two} must be left out: the HeldOutDraws in {one} hold it.")
        return getattr(first, one), getattr(first, two)
    if second is None:
        raise TypeError(
            f"{two} must be given, unless {one} are HeldOutDraws, as draw_held_out returns them; "
            f"got {type(first).__name__}."
        )
    return first, second


def held_out_batch(
    draws: Draws | HeldOutDraws,
    theta: Table | None,
    names: Sequence[str] | None = None,
    min_draws: int = 1,
) -> tuple[Array, Array, list[str]]:
    """Check draws (n, n_samples, D) and theta (n, D), held out or given, and find the names."""
    if isinstance(draws, HeldOutDraws) and names is None:
        names = draws.names
    values, theta, columns = check_batch(*unpack(draws, theta, ("draws", "theta")), min_draws)
    return values, theta, parameter_labels(names, columns, theta.shape[1])
