"""Scorers for cross-validation and searches: higher is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sksbi.exceptions import SamplingWarning
from sksbi.metrics.coverage import hpd_ranks
from sksbi.metrics.held_out import Drawing
from sksbi.metrics.sbc import sbc_ranks
from sksbi.metrics.scoring_rules import crps, energy_score
from sksbi.metrics.shape import posterior_contraction
from sksbi.metrics.sharing import shared_drawing
from sksbi.metrics.tarp import tarp_ranks
from sksbi.metrics.uniformity import rank_ecdf
from sksbi.utils.random import check_generator
from sksbi.utils.types import Array, RandomState, Table
from sksbi.utils.validation import check_count
from sksbi.utils.warn import warn_user

__all__ = ["PosteriorScorer", "get_scorer", "get_scorer_names"]

_MOST_UNKNOWN, _MOST_NAMED = 0.01, 10


def _closeness(ranks: NDArray[np.intp], n_draws: int) -> float:
    """Compute minus the mean distance of a distribution function from the uniform one."""
    levels, ecdf = rank_ecdf(ranks, n_draws)
    return -float(np.abs(ecdf.T - levels).mean())


def _log_prob(held_out: Drawing) -> float:
    """Average the log-density of theta; NaN if more than one in a hundred are not known."""
    log_p = held_out.log_density_theta
    unknown = np.isnan(log_p)
    if not unknown.any():
        return float(log_p.mean())
    n, n_unknown = len(log_p), np.count_nonzero(unknown)
    is_lost = n_unknown > _MOST_UNKNOWN * n
    warn_user(
        f"the log-densities of {n_unknown} of {n} held-out theta are not known: what prior times "
        "ratio or likelihood integrates to was estimated with an effective sample size below 200 "
        f"at the observations {list(np.flatnonzero(unknown)[:_MOST_NAMED])}. "
        + ("The score is NaN" if is_lost else "The score is the mean over the others")
        + "; 'neg_energy_score' and 'neg_crps' take draws alone.",
        SamplingWarning,
    )
    return np.nan if is_lost else float(log_p[~unknown].mean())


def _coverage(held_out: Drawing) -> float:
    """Compare the coverage of highest-density regions with their levels."""
    ranks = hpd_ranks(held_out.log_prob_draws, held_out.log_prob_theta)
    return _closeness(ranks, held_out.n_draws)


def _sbc(held_out: Drawing) -> float:
    """Compare the ranks of all parameters with uniform ones."""
    return _closeness(sbc_ranks(held_out.draws, held_out.theta), held_out.n_draws)


def _tarp(held_out: Drawing) -> float:
    """Compare the coverage of balls around always the same references with their levels."""
    ranks = tarp_ranks(held_out.draws, held_out.theta, random_state=0)
    return _closeness(ranks, held_out.n_draws)


def _energy(held_out: Drawing) -> float:
    """Average the energy score in standard deviations of theta."""
    scale = _spread(held_out.theta)
    return -float(energy_score(held_out.draws, held_out.theta, scale=scale).mean())


def _crps(held_out: Drawing) -> float:
    """Average the CRPS over observations and parameters in standard deviations of theta."""
    return -float((crps(held_out.draws, held_out.theta) / _spread(held_out.theta)).mean())


def _contraction(held_out: Drawing) -> float:
    """Average the median contraction over the parameters."""
    contraction = posterior_contraction(held_out.draws, held_out.theta)
    return float(np.median(contraction, axis=0).mean())


def _as_table(theta: Any) -> Any:
    """Make a column of the numbers that a regressor was fitted to."""
    return np.reshape(theta, (-1, 1)) if np.ndim(theta) == 1 else theta


def _spread(theta: Array) -> Array:
    """Compute standard deviations, one where they are zero."""
    sd = theta.std(axis=0)
    return np.where(sd > 0, sd, 1.0)


_METRICS: dict[str, Callable[[Drawing], float]] = {
    "log_prob": _log_prob,
    "coverage": _coverage,
    "sbc": _sbc,
    "tarp": _tarp,
    "neg_energy_score": _energy,
    "neg_crps": _crps,
    "contraction": _contraction,
}


class PosteriorScorer:
    """
    Score fitted estimators on held-out pairs by their draws.

    Made by :func:`get_scorer`; called as ``scorer(estimator, theta, x)``.

    Parameters
    ----------
    names : str or tuple of str
        One name for a number, several for a dict of numbers, which all judge the same draws.
    n_samples : int
        The number of draws for each observation.
    random_state : int, RandomState, Generator or None
        Seeds the draws.

    Examples
    --------
    >>> from sksbi.metrics import get_scorer
    >>> get_scorer("coverage")
    get_scorer('coverage', n_samples=1000, random_state=0)
    """

    def __init__(
        self, names: str | Sequence[str], n_samples: int, random_state: RandomState
    ) -> None:
        self.names, self.n_samples, self.random_state = names, n_samples, random_state

    def __call__(self, estimator: Any, theta: Table, x: Table) -> float | dict[str, float]:
        """
        Draw and score.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, with ``sample`` and ``log_prob``; or a ``PosteriorRegressor``, which has theta
            and x in each other's place, as scikit-learn calls it.
        theta : array-like or DataFrame of shape (n, D)
            Parameters that the estimator was not fitted to.
        x : array-like, Series or DataFrame of shape (n, ...)
            What was simulated from them; failed simulations, NaN throughout, are left out.

        Returns
        -------
        float or dict of str to float
            The score, or one a name.
        """
        if hasattr(estimator, "estimator_") and not hasattr(estimator, "sample"):
            estimator, theta, x = estimator.estimator_, _as_table(x), theta  # theta is its y
        names = [self.names] if isinstance(self.names, str) else self.names
        with shared_drawing(estimator, theta, x, self.n_samples, self.random_state) as held_out:
            if "coverage" in names:
                held_out.draw(densities=True)
            scores = {name: _METRICS[name](held_out) for name in names}
        return scores[self.names] if isinstance(self.names, str) else scores

    def __repr__(self) -> str:
        names = self.names if isinstance(self.names, str) else list(self.names)
        return (
            f"get_scorer({names!r}, n_samples={self.n_samples}, random_state={self.random_state!r})"
        )


def get_scorer(
    scoring: str | Sequence[str], *, n_samples: int = 1000, random_state: RandomState = 0
) -> PosteriorScorer:
    """
    Get a scorer for ``cross_validate``, ``cross_val_score`` or ``GridSearchCV``.

    Parameters
    ----------
    scoring : str or list of str
        "log_prob", the mean log-density of theta, normalised in every family, see the notes;
        "coverage", minus the mean distance between the coverage of highest-density regions and
        their level; "sbc" and "tarp", the same of the distribution functions of ranks and of TARP's
        coverage; "neg_energy_score" and "neg_crps", in standard deviations of theta, averaged over
        the parameters; "contraction". A list gives a scorer that returns a dict, from one set of
        draws: a multimetric scorer.
    n_samples : int, default=1000
        The number of draws for each observation. "log_prob" takes none of them.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the draws. Scorers with the same int and ``n_samples`` share one set of draws, in a
        dict of them too, as long as neither the estimator nor the pairs change.

    Returns
    -------
    PosteriorScorer
        Called as ``scorer(estimator, theta, x)``; higher is better.

    Raises
    ------
    ValueError, TypeError
        If a name is unknown, ``n_samples`` no positive integer, or ``random_state`` negative.

    Notes
    -----
    "log_prob" is what chooses between families, such as NPE and NRE: a proper score, and the same
    for all. Where ``score`` of a ratio estimator is a cross-entropy, and its ``log_prob`` prior
    times ratio, this is the logarithm of prior times ratio (or likelihood), divided by what that
    integrates to over theta at every observation. The integral is estimated by importance sampling
    from a mixture fitted to short chains, whatever the estimator's ``sampler``. Against closed
    forms in 1 to 10 dimensions, from posteriors a thousandth as wide as the prior to as wide as
    that, its logarithm was off by 0.01 to 0.03 at an observation and by less than 0.006 on average;
    expect 1,000 observations to take 10 to 60 seconds. Narrow modes that no draw among thousands
    from the prior is near are not found. The ``log_prob`` of estimators of other libraries is taken
    as normalised.

    Where the estimate is worth fewer than 200 draws there is no log-density, and a
    ``SamplingWarning``. Such observations are not like the others, and a mean without them could
    make an estimator better for not being known: up to one in a hundred are left out, with more the
    score is NaN, which searches rank last.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_validate
    >>> from sksbi import NPE
    >>> from sksbi.metrics import get_scorer
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(300, 1))
    >>> x = theta + rng.normal(size=(300, 2))
    >>> scoring = get_scorer(["log_prob", "coverage"], n_samples=100)
    >>> scores = cross_validate(NPE(max_epochs=3, random_state=0), theta, x, scoring=scoring, cv=2)
    >>> sorted(scores)
    ['fit_time', 'score_time', 'test_coverage', 'test_log_prob']
    """
    is_several = isinstance(scoring, list | tuple | set | np.ndarray)
    names = tuple(scoring) if is_several else scoring
    asked = list(names) if is_several else [names]
    if not asked or not all(isinstance(name, str) and name in _METRICS for name in asked):
        raise ValueError(
            f"scoring must be one or several of {get_scorer_names()}, got {scoring!r}."
        )
    if not isinstance(random_state, np.random.RandomState):
        check_generator(random_state)
    return PosteriorScorer(names, check_count(n_samples, "n_samples", low=2), random_state)


def get_scorer_names() -> list[str]:
    """
    List the names that :func:`get_scorer` knows.

    Returns
    -------
    list of str
        The names, sorted.

    Examples
    --------
    >>> from sksbi.metrics import get_scorer_names
    >>> get_scorer_names()[:2]
    ['contraction', 'coverage']
    """
    return sorted(_METRICS)
