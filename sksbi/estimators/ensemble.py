r"""
Ensembles: an equally weighted mixture of posteriors that were fitted independently.

K members of one kind differ by their seeds, that is by initial weights, by the order of the rows
and by the rows held out. Their mixture is

.. math::
    q(\theta | x) = \frac{1}{K} \sum_{k=1}^K q_k(\theta | x).

By Jensen's inequality its log-density is at least the mean of the members', for every theta and x:
the mixture never scores worse than its members do on average, and where they disagree it is wider
than each of them.
"""

from __future__ import annotations

from numbers import Integral

import pandas as pd
from sklearn.base import MetaEstimatorMixin
from sklearn.utils._param_validation import HasMethods, Interval

from sksbi.estimators.base import BaseInference
from sksbi.estimators.kept import check_can_be_found
from sksbi.estimators.likelihood import LikelihoodMixin
from sksbi.estimators.members import PooledMixin, check_member, fit_clones
from sksbi.estimators.npe import NPE
from sksbi.estimators.ratio import RatioMixin
from sksbi.estimators.sampled import ChainsMixin

__all__ = ["Ensemble"]


# What it estimates is what its members do, so a property stands over the attribute of others.
class Ensemble(  # type: ignore[override]
    PooledMixin, RatioMixin, LikelihoodMixin, ChainsMixin, MetaEstimatorMixin, BaseInference
):
    """
    Equally weighted mixture of posteriors that were fitted independently.

    One training may end in an overconfident posterior; trainings from several seeds rarely err
    alike, and their mixture is wider where they disagree. Members are clones that differ by their
    seeds only. theta stands where scikit-learn has X, x where it has y.

    Parameters
    ----------
    estimator : estimator or None, default=None
        What each member is a clone of, a posterior estimator such as ``NPE`` with the prior; None:
        ``NPE()``. Steps on x go around the ensemble:
        ``make_pipeline(StandardScaler(), Ensemble(NPE(prior)))``. A ratio or likelihood estimator
        will do, too: the ensemble then is the prior times the mean ratio or likelihood, with the
        methods for these and for trials.
    n_estimators : int, default=5
        The number of members.
    n_jobs : int or None, default=None
        How many members are fitted at once; None asks joblib's context, and is 1 outside one. The
        results do not depend on it, bit for bit while batches stay below about 600 rows, above but
        for rounding, as worker processes give torch fewer threads.
    verbose : int, default=0
        Whether to show a progress bar, one step a member.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the members and the draws. Every ``random_state`` in the estimator and its parts is
        replaced by a seed of each member's own, whatever it was set to.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted members.
    history_ : DataFrame
        The members' training histories, one row an epoch of a member; the column ``member``, from
        0, comes first.
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

    Notes
    -----
    Every ``fit`` begins anew, with fresh clones: a member's ``warm_start`` has no effect. Under
    scikit-learn's metadata routing it is the ensemble that requests ``sample_weight``; members get
    the weights whatever they request.

    References
    ----------
    .. [1] Simple and scalable predictive uncertainty estimation using deep ensembles
       (Lakshminarayanan et al., 2017) https://arxiv.org/abs/1612.01474
    .. [2] A crisis in simulation-based inference? Beware, your posterior approximations can be
       unfaithful (Hermans et al., 2022) https://arxiv.org/abs/2110.06581

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi import NPE, Ensemble, simulate
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"], theta["sd"], size=20)
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> npe = NPE(prior, flow="maf", transforms=2, max_epochs=5)
    >>> ensemble = Ensemble(npe, n_estimators=3, random_state=0).fit(theta, x)
    >>> ensemble.sample(x[0], 4).shape
    (4, 2)
    >>> len(ensemble.estimators_)
    3
    >>> members = [member.score(theta, x) for member in ensemble.estimators_]
    >>> ensemble.score(theta, x) >= sum(members) / 3
    True
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "sample", "log_prob"]), None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "verbose": ["verbose"],
    }

    def __init__(
        self, estimator=None, *, n_estimators=5, n_jobs=None, verbose=0, random_state=None
    ):
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    @property
    def prior(self):
        """Prior of the members, as the estimator has it."""
        return getattr(self.estimator, "prior", None)

    @property
    def history_(self):
        """Training histories of the members: one row an epoch of a member."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError("this Ensemble has no history_ before fit.")
        histories = {k: member.history_ for k, member in enumerate(self.estimators_)}
        return pd.concat(histories, names=["member", None]).reset_index(0).reset_index(drop=True)

    def __sklearn_is_fitted__(self):
        """Tell whether fit has come to its end."""
        return "estimators_" in vars(self)

    def _prepare(self):
        """Forget what was learnt."""
        vars(self).pop("estimators_", None)

    def _fit(self, pairs, generator):
        """Fit the members, each with its own seed."""
        estimator = NPE() if self.estimator is None else self.estimator
        check_member(estimator, type(self).__name__)
        check_can_be_found(self.random_state, estimator, type(self).__name__)
        self.estimators_ = fit_clones(
            estimator,
            [self._as_tables(pairs.with_failures())] * self.n_estimators,
            generator,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            unit="member",
            around=self,
        )
