r"""
Rounds of simulations that go where one observation's posterior is.

A prior is wide, and most of its draws look nothing like the observation. So a first, rough
posterior from a few simulations tells where in the prior the next ones are drawn, and so on. With
truncated proposals a round draws from the prior itself, on the region :math:`R_k` where the
posteriors so far can be. Then no family needs a correction: see :mod:`sksbi.posteriors.restricted`.
"""

from __future__ import annotations

from copy import deepcopy
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sksbi.estimators.kept import check_can_be_found
from sksbi.estimators.readable import ReadableMixin
from sksbi.sequential.observed_once import ObservedOnceMixin
from sksbi.sequential.run import SequentialRun
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.tasks import CallbackSupportMixin, fit_task, with_callbacks

__all__ = ["SequentialInference"]

_KEPT = (
    "SequentialInference keeps the {} rounds that have ended; with warm_start=True, fit goes on "
    "after them."
)


class SequentialInference(
    ObservedOnceMixin, ReadableMixin, CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator
):
    """
    Rounds that spend simulations where the posterior of an observation is.

    For one observation, or a few, of an expensive simulator. Each round simulates in the region of
    the prior that the rounds before have left, and fits the estimator to all simulations so far.
    ``fit`` takes the observation, not pairs: this is no estimator of scikit-learn's protocol.

    Parameters
    ----------
    estimator : estimator
        A posterior, ratio or likelihood estimator with the prior, such as ``NPE(prior)``, or a
        pipeline that ends in one. It is cloned for every round.
    simulator : callable
        As in :func:`sksbi.simulate`.
    n_rounds : int, default=10
        The number of rounds, at most.
    n_simulations : int or list of int, default=1000
        Simulations in a round; a list has one number a round, and its length counts, not
        ``n_rounds``.
    proposal : {"auto", "truncated", "atomic", "posterior"}, default="auto"
        Where parameters are drawn. "truncated": from the prior, on the intersection of regions that
        hold all but a thousandth of the posterior after each round [1]_; for estimators of
        marginals on boxes [2]_. "posterior": from the posterior of the round before, for
        likelihoods [3]_ and ratios [4]_ [5]_. "atomic": as "truncated", for NPE with the loss of
        APT [6]_. "auto" takes what the table in Notes says.
    tol : float, dict or None, default=None
        Stop when the next round is expected to change the posterior by no more: a number of
        posterior standard deviations, or ``{"c2st": accuracy}``. None runs all rounds.
    vectorized : bool, default=False
        Whether the simulator takes a table of theta, as in :func:`sksbi.simulate`.
    chunk_size : int or None, default=None
        Rows in a chunk, as in :func:`sksbi.simulate`.
    n_jobs : int or None, default=None
        Number of simulations at a time.
    on_error : {"auto", "drop", "keep", "raise"}, default="auto"
        What to do with simulations that fail, as in :func:`sksbi.simulate`: "auto" keeps them for
        ratio and likelihood estimators, which learn p(success | theta), and for proposal="atomic",
        and drops them for others.
    timeout : float or None, default=None
        Seconds that a simulation may take, as in :func:`sksbi.simulate`.
    store : str, Path or None, default=None
        A folder that keeps every simulation as it comes and every round when it has ended. A run
        that is killed and started again goes on there, with the same numbers. It holds pickled
        estimators: use no folder that you do not trust.
    warm_start : bool, default=False
        Whether ``fit`` goes on after the rounds that have ended, for the same observation.
    verbose : int, default=0
        Above 0, a line a round tells how far it is, and simulations show a progress bar.
    random_state : None, int, RandomState or Generator, default=None
        Seeds all of it. Every ``random_state`` in the estimator is replaced by a seed.

    Attributes
    ----------
    estimator_ : estimator
        The last fit, under the restricted prior: it has ``sample``, ``log_prob`` and all else.
    prior_ : Prior
        The prior, restricted to where the last simulations were drawn.
    theta_ : ndarray or DataFrame of shape (n, D)
        The parameters of all simulations.
    x_ : ndarray, Series or DataFrame
        What was simulated from them.
    x_observed_ : object
        The observation that fit was given.
    round_ : int
        The number of rounds that have ended.
    rounds_ : DataFrame
        One row a round: simulations; failures; share (of the prior, where they were drawn);
        acceptance (of candidates for them); inside (how much of the posterior lies there, where
        the fit can tell); pairs (that the fit saw); score (of the fit before, on the new
        simulations); change (of the posterior since the round before, as ``tol`` counts it), its
        standard error, and what is expected of the next round; seconds of simulating, and of all
        else.
    converged_ : bool
        Whether ``tol`` ended the run.
    seed_ : int
        The integer that fit drew from ``random_state``.

    Notes
    -----
    ========================================  ===========  ========================
    Estimator                                 "auto"       Others
    ========================================  ===========  ========================
    NPE                                       "truncated"  "atomic"
    FMPE, NPSE, QuantilePosterior             "truncated"
    NLE, NRE, ClassifierRatio                 "truncated"  "posterior"
    AMNPE, AMNRE                              "truncated"
    ========================================  ===========  ========================

    Simulations of all rounds are kept. Where all regions meet, they follow the prior, times a
    constant; outside they are fewer. So the estimator learns the posterior under that density, and
    its restriction to the last region is the posterior, but for the thousandth that each round
    may cut off. Densities of ratio estimators have an unknown constant factor.

    A twentieth of each round is drawn from all of the prior. Regions are widened until they hold
    199 of 200 pairs that the estimator has not seen, by an extrapolation, as a fit to few
    simulations is often too sure of itself. If more than half of a later posterior lies outside
    nevertheless, rounds that drew in too small a region are left out of the fit.

    With a batch of observations, regions are unions over them.

    References
    ----------
    .. [1] Truncated proposals for scalable and hassle-free simulation-based inference (Deistler et
       al., 2022). https://arxiv.org/abs/2210.04815
    .. [2] Truncated Marginal Neural Ratio Estimation (Miller et al., 2021).
       https://arxiv.org/abs/2107.01214
    .. [3] Sequential Neural Likelihood: Fast Likelihood-free Inference with Autoregressive Flows
       (Papamakarios et al., 2019). https://arxiv.org/abs/1805.07226
    .. [4] Likelihood-free MCMC with Amortized Approximate Ratio Estimators (Hermans et al., 2020).
       https://arxiv.org/abs/1903.04057
    .. [5] On Contrastive Learning for Likelihood-free Inference (Durkan et al., 2020).
       https://arxiv.org/abs/2002.03712
    .. [6] Automatic Posterior Transformation for Likelihood-Free Inference (Greenberg et al.,
       2019). https://arxiv.org/abs/1905.07488

    Examples
    --------
    >>> from scipy import stats
    >>> from sksbi import NPE, SequentialInference
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"], 0.1)
    >>> npe = NPE({"mean": stats.norm(0, 10)}, flow="maf", transforms=2, max_epochs=20)
    >>> rounds = SequentialInference(npe, simulator, n_rounds=3, n_simulations=200, random_state=0)
    >>> summary = rounds.fit(4.0).summary()
    >>> bool(abs(summary.loc["mean", "mean"] - 4) < 0.1)
    True
    >>> rounds.rounds_["simulations"].tolist()
    [200, 200, 200]
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "sample", "log_prob"])],
        "simulator": [callable],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "n_simulations": [Interval(Integral, 2, None, closed="left"), list, tuple, np.ndarray],
        "proposal": [StrOptions({"auto", "atomic", "posterior", "truncated"})],
        "tol": [Interval(Real, 0, None, closed="neither"), dict, None],
        "vectorized": ["boolean"],
        "chunk_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "on_error": [StrOptions({"auto", "drop", "keep", "raise"})],
        "timeout": [Interval(Real, 0, None, closed="neither"), None],
        "store": [str, Path, None],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator,
        simulator,
        *,
        n_rounds=10,
        n_simulations=1000,
        proposal="auto",
        tol=None,
        vectorized=False,
        chunk_size=None,
        n_jobs=None,
        on_error="auto",
        timeout=None,
        store=None,
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.estimator = estimator
        self.simulator = simulator
        self.n_rounds = n_rounds
        self.n_simulations = n_simulations
        self.proposal = proposal
        self.tol = tol
        self.vectorized = vectorized
        self.chunk_size = chunk_size
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.timeout = timeout
        self.store = store
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_is_fitted__(self):
        """Tell whether a round has ended."""
        return "_progress" in vars(self)

    @with_callbacks
    def fit(self, x_observed, *, theta=None, x=None):
        """
        Simulate and fit, round by round.

        Parameters
        ----------
        x_observed : array-like, scalar, dict, Series or DataFrame
            One observation, or a batch of a few: what it is follows from what the simulator
            returns, as in ``sample``.
        theta : array-like or DataFrame of shape (n, D), default=None
            Parameters that were drawn from the prior and simulated before.
        x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...), default=None
            What was simulated from them, in the form in which the simulator returns it.

        Returns
        -------
        SequentialInference
            Itself.

        Raises
        ------
        ValueError, TypeError
            If a parameter is wrong, the estimator has no prior, ``x_observed`` does not look like
            what the simulator returns, or the store is of another run.

        Warns
        -----
        TrainingWarning, SimulationWarning
            Those of the last round's fit and simulations; and if a region could not be narrowed, or
            more than 30% of the last posterior may lie outside of it.

        Notes
        -----
        Ctrl-C raises, and so does an error of the simulator or of a fit. The rounds that have ended
        before stay, with their simulations in ``theta_`` and ``x_``, and with ``warm_start=True``
        the next ``fit`` goes on after them. With ``store`` no simulation is lost.
        """
        self._validate_params()
        if self.store is None:
            check_can_be_found(self.random_state, self.estimator, type(self).__name__)
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        seed = self.seed_ if goes_on else draw_seed(check_generator(self.random_state))
        run = SequentialRun(self, deepcopy(x_observed), (theta, x), seed)
        if goes_on:
            run.go_on(self._progress, self.x_observed_)
        else:
            vars(self).pop("_progress", None)
        try:
            with fit_task(self, max_subtasks=len(run.counts)):
                for progress in run.rounds():
                    self._leave(run, progress)
                self.converged_ = run.converged
        except KeyboardInterrupt as error:
            if self.__sklearn_is_fitted__():
                error.add_note(_KEPT.format(self.round_))
            raise
        return self

    def _leave(self, run, progress):
        """Take over what a run has so far."""
        self._progress, self.seed_ = progress, run.seed
        self.x_observed_ = run.x_observed
        self.converged_ = False
        self.theta_, self.x_ = progress.pairs
        self.estimator_ = progress.proposals.restricted(progress.estimator)

    @property
    def prior_(self):
        """The prior, restricted to where the last simulations were drawn."""
        check_is_fitted(self)
        return self._progress.proposals.prior

    @property
    def round_(self):
        """The number of rounds that have ended."""
        check_is_fitted(self)
        return len(self._progress.rows)

    @property
    def rounds_(self):
        """The table of rounds."""
        check_is_fitted(self)
        return self._progress.table()

    @property
    def prior(self):
        """The prior of the estimator."""
        return getattr(self.estimator, "prior", None)
