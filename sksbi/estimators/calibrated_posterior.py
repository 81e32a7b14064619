r"""
Credible regions with a guaranteed coverage: highest-density regions, calibrated on simulations.

The score of a pair is the level of the smallest highest-density region at x that holds theta: the
posterior's mass that is denser than theta. Simulations that the posterior was not fitted to have
scores s_1, ..., s_n, and a new pair is as likely to rank anywhere among them. So with s_(k) the
k-th smallest, k = ceil((n + 1) a), the region

.. math::
    \{\theta : s(\theta, x) \le s_{(k)}\}

holds theta with probability at least a, and at most a + 1/(n + 1) but for ties, whatever the
posterior is. That is an average over theta from the prior and x from theta, not at every x.
"""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.base import MetaEstimatorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sksbi.estimators.base import BaseInference
from sksbi.estimators.folds import choose_aside, set_aside
from sksbi.estimators.kept import check_can_be_found
from sksbi.estimators.likelihood import LikelihoodMixin
from sksbi.estimators.members import PooledMixin, check_member, fit_clones
from sksbi.estimators.npe import NPE
from sksbi.estimators.ratio import RatioMixin
from sksbi.estimators.sampled import ChainsMixin
from sksbi.posteriors.regions import CALIBRATIONS, density_ranks, thresholds
from sksbi.tables.theta import pair_rows
from sksbi.utils.random import draw_seed

__all__ = ["CalibratedPosterior"]


# What it estimates is what its estimator does, so a property stands over the attribute of others.
class CalibratedPosterior(  # type: ignore[override]
    PooledMixin, RatioMixin, LikelihoodMixin, ChainsMixin, MetaEstimatorMixin, BaseInference
):
    """
    Posterior whose highest-density regions have the coverage that they claim.

    Neural posteriors from few simulations tend to be overconfident: their 90% regions hold the
    truth less often. ``fit`` sets simulations aside, and learns from them how large regions have to
    be. Draws and densities stay as they are; :meth:`credible_region` and :meth:`in_region` give the
    calibrated regions. theta stands where scikit-learn has X, x where it has y.

    Parameters
    ----------
    estimator : estimator or None, default=None
        A posterior, ratio or likelihood estimator such as ``NPE``, with the prior; None: ``NPE()``.
        Steps on x go around: ``make_pipeline(StandardScaler(), CalibratedPosterior(NPE(prior)))``.
    method : {"conformal"}, default="conformal"
        How regions are calibrated.
    cv : float, int, splitter, iterable, None or "prefit", default=0.2
        A float is the fraction of the simulations that are set aside, chosen at random: coverage is
        guaranteed. "prefit" takes an estimator that is fitted, and all rows of fit for calibration:
        guaranteed, too, but only if these are others than it was fitted to; in a
        ``FrozenEstimator`` of scikit-learn the fit survives ``clone``. An int is a number of folds,
        None is 5; a splitter has ``split``, an iterable gives pairs of rows to fit to and to set
        aside. Then an estimator is fitted for every fold, the posterior is their mixture, and all
        rows have scores; nothing is guaranteed, as the mixture may differ from its members.
    n_samples : int, default=1000
        The number of draws from which levels are computed, for every observation.
    n_jobs : int or None, default=None
        How many folds are fitted at once; None asks joblib's context, and is 1 outside one.
    verbose : int, default=0
        Whether to show progress bars.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the split, the estimators and the draws. Every ``random_state`` in the estimator and
        its parts is replaced by a seed, but for "prefit".

    Attributes
    ----------
    estimators_ : list of estimator
        What was fitted, one a fold.
    scores_ : ndarray of shape (n,)
        The levels of the pairs that were set aside, ascending, as numbers of draws denser than
        theta, from 0 to ``n_samples_``.
    weights_ : ndarray of shape (n,)
        Their weights, in the same order.
    n_samples_ : int
        The number of draws that levels were computed from.
    prior_ : Prior or None
        The prior, adapted.
    x_layout_ : ObservationLayout
        Shape and columns of x in fit.
    theta_columns_ : list or None
        The columns of theta in fit, if it was a DataFrame.
    n_features_in_ : int
        The number of parameters D.
    feature_names_in_ : ndarray of str
        The parameters' names, if theta was a DataFrame.
    seed_ : int
        The integer that fit drew from ``random_state``.
    typical_x_ : TypicalObservations
        The region that x filled in fit, from which ``sample`` warns of outliers.

    Notes
    -----
    Thresholds from ``n_samples`` draws vary with the seed and with what else is in a batch; the
    guarantee holds with this noise in it.

    With ``sample_weight`` the scores are weighted, and the guarantee is for pairs from the weighted
    distribution, as far as weights and scores are many. What it fits gets them, too, whatever that
    requests of scikit-learn's metadata routing.

    References
    ----------
    .. [1] Algorithmic Learning in a Random World (Vovk et al., 2005).
       https://doi.org/10.1007/b106715
    .. [2] Calibrated Predictive Distributions via Diagnostics for Conditional Coverage (Dey et al.,
       2022). https://arxiv.org/abs/2205.14568
    .. [3] A Trust Crisis In Simulation-Based Inference? Your Posterior Approximations Can Be
       Unfaithful (Hermans et al., 2021). https://arxiv.org/abs/2110.06581

    Examples
    --------
    >>> from sksbi import NPE, CalibratedPosterior
    >>> from sksbi.datasets import load_task
    >>> task = load_task("two_moons")
    >>> theta, x = task.simulate(600, random_state=0)
    >>> npe = NPE(task.prior, flow="maf", transforms=2, max_epochs=5)
    >>> calibrated = CalibratedPosterior(npe, random_state=0).fit(theta, x)
    >>> inside = calibrated.in_region(*task.simulate(1000, random_state=1), level=0.8)
    >>> bool(inside.mean() > 0.7)
    True
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "sample", "log_prob"]), None],
        "method": [StrOptions(set(CALIBRATIONS))],
        "cv": [
            Interval(Real, 0, 1, closed="neither"),
            "cv_object",
            StrOptions({"prefit"}),
        ],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        method="conformal",
        cv=0.2,
        n_samples=1000,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.n_samples = n_samples
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    @property
    def prior(self):
        """Prior of the estimator."""
        return getattr(self._inner(), "prior", None)

    def _inner(self):
        """Give the estimator without a frozen shell."""
        is_frozen = isinstance(self.estimator, FrozenEstimator)
        return self.estimator.estimator if is_frozen else self.estimator

    def __sklearn_is_fitted__(self):
        """Tell whether fit has come to its end."""
        return "scores_" in vars(self)

    def _prepare(self):
        """Forget what was learnt."""
        for name in ("estimators_", "scores_", "weights_"):
            vars(self).pop(name, None)

    def _fit(self, pairs, generator):
        """Fit where there is something to fit, and score what was set aside."""
        if self.cv == "prefit" or isinstance(self.estimator, FrozenEstimator):
            self.estimators_ = [self._prefitted()]
            folds = [choose_aside(pairs, len(pairs), generator)]
        else:
            splits = set_aside(self.cv, pairs, draw_seed(generator))
            members = [fold for fold, _ in splits]
            self.estimators_ = self._fit_members(pairs.with_failures(), members, generator)
            folds = [fold for _, fold in splits]
        self.n_samples_ = int(self.n_samples)
        scores = []
        scored = ((e, rows) for e, rows in zip(self.estimators_, folds, strict=True) if len(rows))
        for member, rows in scored:
            some = pairs.some.take(rows)
            posterior = member._posterior().at(some.x, trials=self._has_trials)
            ranks = density_ranks(posterior, some.theta, self.n_samples_, generator, self.verbose)
            scores.append(ranks)
        scores, rows = np.concatenate(scores), np.concatenate(folds)
        order = np.argsort(scores, kind="stable")
        self.weights_ = pairs.some.weight[rows][order]
        self.scores_ = scores[order]

    def _prefitted(self):
        """Check the estimator that is fitted already."""
        inner = self._inner()
        check_is_fitted(inner)
        _check_draws(inner)
        _check_same_problem(self, inner)
        return inner

    def _fit_members(self, pairs, folds, generator):
        """Fit a clone to every complement of a fold."""
        estimator = NPE() if self.estimator is None else self._inner()
        _check_fits(estimator, self.random_state)
        return fit_clones(
            estimator,
            [self._as_tables(pairs, fold) for fold in folds],
            generator,
            n_jobs=self.n_jobs,
            verbose=self.verbose if len(folds) > 1 else 0,
            unit="fold",
            around=self,
        )

    def _needed_rank(self, level):
        """Find the rank up to which regions have to reach."""
        find = CALIBRATIONS[self.method]
        return find(self.scores_, self.weights_, level, self.n_samples_)

    def nominal_level(self, level):
        """
        Tell which highest-density region of the uncalibrated posterior has this coverage.

        Parameters
        ----------
        level : float
            The wanted coverage, between 0 and 1.

        Returns
        -------
        float
            The level that has to be asked of the posterior: larger than ``level`` where it is
            overconfident.

        Raises
        ------
        ValueError, TypeError
            If ``level`` is not between 0 and 1.

        Warns
        -----
        UserWarning
            If too few pairs were set aside for such a level.
        """
        check_is_fitted(self)
        return self._needed_rank(level) / self.n_samples_

    def credible_region(self, x, level=0.9, *, random_state=None):
        """
        Give the highest-density region that holds theta with this probability.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch of m, as in ``sample``.
        level : float, default=0.9
            The coverage, between 0 and 1.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        float or ndarray of shape (m,)
            The least ``log_prob(theta, x)`` inside; -inf if the region is all of the support.

        Raises
        ------
        ValueError, TypeError
            If x does not look like fit's, or ``level`` is not between 0 and 1.

        Warns
        -----
        UserWarning
            If too few pairs were set aside for such a level; and those of ``sample``.
        """
        check_is_fitted(self)
        rank = self._needed_rank(level)
        observations, posterior = self._ask(x)
        found = thresholds(posterior, rank, self.n_samples_, self._generator(random_state))
        return float(found[0]) if observations.single else found

    def in_region(self, theta, x, level=0.9, *, random_state=None):
        """
        Tell whether parameters lie in the region of :meth:`credible_region`.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : array-like, scalar, dict, Series or DataFrame
            As many observations as theta has rows, or one for all of them. With theta of shape
            (m, n, D): m observations.
        level : float, default=0.9
            The coverage, between 0 and 1.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``. The same gives the same region for the same batch of observations.

        Returns
        -------
        ndarray of bool, of shape (n,) or (m, n)
            Whether they do.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, or ``level`` is not between 0 and 1.

        Warns
        -----
        UserWarning
            If too few pairs were set aside for such a level; and those of ``sample``.
        """
        check_is_fitted(self)
        rank = self._needed_rank(level)
        observations, posterior = self._ask(x)
        pairs = pair_rows(self, theta, observations, self.prior_)
        least = thresholds(posterior, rank, self.n_samples_, self._generator(random_state))
        within = posterior.log_prob(pairs.theta, pairs.rows) >= least[pairs.rows]
        if self.prior_ is not None:
            within &= self.prior_.contains(pairs.theta)
        return within.reshape(pairs.shape)


def _check_same_problem(fitting, fitted):
    """Hold that theta and x are as in a fit before."""
    ours, theirs = (
        (e.n_features_in_, e.x_layout_.shape, e.x_layout_.names) for e in (fitting, fitted)
    )
    if ours[:2] != theirs[:2] or None not in (ours[2], theirs[2]) and ours[2] != theirs[2]:
        raise ValueError(
            "theta and x must be as in the fit of the estimator: number of parameters, shape of "
            f"an observation and its names were {theirs}, got {ours}."
        )
    encoders = fitting.x_layout_.encoder, fitted.x_layout_.encoder
    for now, then in zip(*(encoder.columns or () for encoder in encoders if encoder), strict=False):
        if now.categories != then.categories:
            raise ValueError(
                f"x must have the categories of the estimator's fit in column {then.name!r}, "
                f"{then.categories}, got {now.categories}: make it a categorical column with these."
            )


def _check_fits(estimator, random_state):
    """Check that the estimator can be fitted."""
    check_member(estimator, "CalibratedPosterior")
    check_can_be_found(random_state, estimator, "CalibratedPosterior")
    _check_draws(estimator)


def _check_draws(estimator):
    """Check that the estimator is one of p(theta | x), with what it needs to draw."""
    if not hasattr(estimator, "_estimates"):  # what rounds leave has it, too
        check_member(estimator, "CalibratedPosterior")
    if estimator._estimates != "posterior" and estimator.prior is None:
        raise ValueError(
            "estimator must have a prior to draw from, as its posterior is prior times "
            f"{estimator._estimates}, got {type(estimator).__name__}(prior=None)."
        )
