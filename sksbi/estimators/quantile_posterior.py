r"""
Posteriors by any scikit-learn regressor that gives quantiles.

Whatever tells quantiles of one number from a table gives a posterior, one parameter after the
other,

.. math::
    q(\theta | x) = \prod_j q_j(\theta_j | \theta_{<j}, x).

It works in the prior's unbounded space, standardised, so that no quantile leaves the support:

1. The smooth part. Trees and nearest rows are poor at slopes, so a ridge regression takes these
   first (:mod:`sksbi.preprocessing.trend`), and the regressor learns what is left, the residuals of
   rows that were left out.
2. The quantiles of what is left, by the regressor.
3. Their worth. Regressors that fit quantiles closely cover too little on new rows. So the
   simulations are split into folds, the rows of each are predicted from the others, and the share
   of them that lies below the quantile of nominal level :math:`\tau` takes its place. The scales of
   the tails are learnt from the same rows. Coverage is then right on average over x, whatever the
   regressor; it need not be at each x.
4. A density through the quantiles, with normal tails (:mod:`sksbi.posteriors.quantile_spline`).
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
from scipy.special import ndtr
from sklearn.base import MetaEstimatorMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sksbi.estimators.base import BaseInference
from sksbi.estimators.quantile_choice import choose_model, default_model
from sksbi.estimators.quantile_learning import FeatureTable, Learner, choose_levels
from sksbi.posteriors.quantile import QuantileDensity, QuantileFamily
from sksbi.preprocessing import ParameterSpace
from sksbi.training import warn_of_few
from sksbi.utils.random import draw_seed, seeded_copy
from sksbi.utils.validation import check_instance

__all__ = ["QuantilePosterior"]


class QuantilePosterior(MetaEstimatorMixin, BaseInference):
    """
    Posterior p(theta | x) by a scikit-learn regressor that gives quantiles.

    One parameter after the other is learnt from tables with the columns of theta before it, then
    those of x. The density is normalised, and every draw lies inside the prior's support. theta
    stands where scikit-learn has X, x where it has y.

    Parameters
    ----------
    regressor : estimator or None, default=None
        What gives quantiles; a Pipeline that ends in it, too. Known are regressors with a level as
        their parameter, of which one is fitted for each level (``HistGradientBoostingRegressor``,
        ``GradientBoostingRegressor``, ``QuantileRegressor``, and others with a parameter
        ``quantile`` or a quantile ``objective``); scikit-learn's ``RandomForestRegressor`` and
        ``ExtraTreesRegressor``, of which one fit gives all levels, by the rows in their leaves; and
        those with ``predict(X, quantiles=...)``, such as quantile forests and TabPFN. None:
        ``ExtraTreesRegressor(min_samples_leaf=5)``, of whose trees larger nodes serve for leaves,
        of the size that is best for rows left out, from 5 rows to all of them. x may have missing
        and categorical values, where the regressor takes them. After a fit on a DataFrame x it is
        given DataFrames.
    prior : dict, list, distribution, object or None, default=None
        The prior that theta was drawn from, as in :class:`sksbi.NPE`. None: theta is unbounded.
    quantiles : callable or "auto", default="auto"
        How a fitted regressor tells its quantiles: ``quantiles(regressor, X, levels)`` gives an
        array of one row for each of X and one column for each level. "auto": as above.
    levels : "auto", int or array-like, default="auto"
        The levels, at least three, or how many. "auto": about the cube root of the number of
        simulations, from 5 to 25, with equally spaced normal scores.
    trend : "auto" or None, default="auto"
        Whether a ridge regression takes the smooth part first, and the regressor sees what is
        left. None: the regressor sees all, as suits one that is good at slopes itself.
    n_folds : int or None, default=5
        The number of folds in which it is measured which levels the quantiles have for rows that
        the regressor has not seen; fewer where there are fewer than twice as many simulations.
        None: levels are taken as the regressor gives them, without a check: for regressors whose
        quantiles are known to be right, such as in-context models.
    n_context : int or None, default=None
        With a number, the regressor is fitted anew for every observation that is asked about, to so
        many simulations with the x nearest to it (each column by its interquartile range): for
        regressors that take few rows, such as in-context models. None: it is fitted once, to all.
    n_jobs : int or None, default=None
        How many parameters are learnt at once; None asks joblib's context, and is 1 outside one.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the folds, the trend, every ``random_state`` in the regressor that is None, and the
        draws.

    Attributes
    ----------
    levels_ : ndarray of shape (K,)
        The levels that the regressor was asked for.
    measured_levels_ : ndarray of shape (D, K)
        The levels that its quantiles have, by ``n_folds``; with ``n_context`` those near the
        simulation that fit tried.
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

    References
    ----------
    .. [1] Quantile regression forests (Meinshausen, 2006)
       https://www.jmlr.org/papers/v7/meinshausen06a.html
    .. [2] Conformalized quantile regression (Romano et al., 2019) https://arxiv.org/abs/1905.03222

    Examples
    --------
    >>> from scipy import stats
    >>> from sklearn.linear_model import QuantileRegressor
    >>> from sksbi import QuantilePosterior, simulate
    >>> prior = {"mean": stats.norm(0, 1)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"])
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> posterior = QuantilePosterior(QuantileRegressor(alpha=0), prior, random_state=0)
    >>> posterior.fit(theta, x).summary(1.0).round(1).loc["mean", ["mean", "sd"]].tolist()
    [0.5, 0.7]
    """

    _takes_any_table = True
    _parameter_constraints = {
        "regressor": [HasMethods(["fit", "predict"]), None],
        "quantiles": [StrOptions({"auto"}), callable],
        "levels": [
            StrOptions({"auto"}),
            Interval(Integral, 3, None, closed="left"),
            "array-like",
        ],
        "trend": [StrOptions({"auto"}), None],
        "n_folds": [Interval(Integral, 2, None, closed="left"), None],
        "n_context": [Interval(Integral, 2, None, closed="left"), None],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
    }

    def __init__(
        self,
        regressor=None,
        prior=None,
        *,
        quantiles="auto",
        levels="auto",
        trend="auto",
        n_folds=5,
        n_context=None,
        n_jobs=None,
        random_state=None,
    ):
        self.regressor = regressor
        self.prior = prior
        self.quantiles = quantiles
        self.levels = levels
        self.trend = trend
        self.n_folds = n_folds
        self.n_context = n_context
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_is_fitted__(self):
        """Tell whether fit has come to its end."""
        return "measured_levels_" in vars(self)

    def _prepare(self):
        """Forget what was learnt."""
        for name in ("measured_levels_", "levels_", "_conditionals", "_context"):
            vars(self).pop(name, None)

    def _fit(self, pairs, generator):
        """Learn from all pairs, or keep them and try one observation."""
        check_instance(self.regressor, "regressor")
        n = len(pairs) if self.n_context is None else min(len(pairs), self.n_context)
        levels = choose_levels(self.levels, n)
        if self.regressor is None:
            model = default_model(levels, generator)
        else:
            model = choose_model(seeded_copy(self.regressor, generator), self.quantiles, levels)
        table = FeatureTable(self.parameter_names_, self.x_layout_.encoder)
        has_trend, seed = self.trend is not None, draw_seed(generator)
        self._learner = Learner(model, table, has_trend, self.n_folds, self.n_jobs, seed)
        self._theta_space = ParameterSpace(self.prior_, None).fit(pairs.theta, pairs.weight)
        u = self._theta_space.to_network(pairs.theta)[0]
        # Sums over columns round alike, whether tables were given or arrays.
        data = np.ascontiguousarray(u), np.ascontiguousarray(pairs.x), pairs.weight
        self._conditionals, self._context = None, None
        if self.n_context is None:
            conditionals = self._conditionals = self._learner(*data)
        else:
            self._context = data
            conditionals = self._learn_near(pairs.x[0])
        warn_of_few(len(pairs))
        self.levels_ = levels
        self.measured_levels_ = np.array([ndtr(one.scores) for one in conditionals])

    def _learn_near(self, x):
        """Learn from the simulations nearest to an observation."""
        distances = self._learner.table.distances(self._context[1], x)
        nearest = np.sort(np.argsort(distances, kind="stable")[: self.n_context])
        return self._learner(*(part[nearest] for part in self._context))

    def _posterior(self):
        """Assemble the posterior."""
        conditionals = self._learn_near if self._conditionals is None else self._conditionals
        return QuantileFamily(QuantileDensity(conditionals), self._theta_space)
