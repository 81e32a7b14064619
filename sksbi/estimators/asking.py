"""
How one asks a fitted posterior, written once for every family.

The methods read what a user gives, hand arrays to the posterior, warn of what is in doubt, and give
results the form of what fit was given. What computes is in :mod:`sksbi.posteriors`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sksbi.estimators.batch import AskedBatch
from sksbi.estimators.doubt import Seen, warn_of_doubts, warn_of_observations, warn_of_sampling
from sksbi.posteriors.base import Draws, Posterior, PosteriorAt
from sksbi.preprocessing import Edges, Regularity, TypicalObservations
from sksbi.priors import Prior
from sksbi.samplers import ChainStatistics
from sksbi.tables.layout import ObservationLayout, Observations
from sksbi.tables.names import check_pairs
from sksbi.tables.results import draws_table, parameters_table, rows_table, summary_table
from sksbi.tables.theta import pair_rows, read_theta
from sksbi.utils.batches import batches
from sksbi.utils.failures import are_failed
from sksbi.utils.random import check_generator
from sksbi.utils.settings import check_flag
from sksbi.utils.signature import answers_to_X_y
from sksbi.utils.types import RandomState
from sksbi.utils.validation import (
    check_count,
    check_lengths,
    check_memory,
    check_real,
    check_weights,
)

__all__ = ["AskingMixin"]

_FOR_DRAWS, _FOR_MODES = 1, 2
_MODES_BATCH = 256


class AskingMixin(ABC):
    """
    sample, log_prob, summary and map of a fitted posterior.

    A family fills in ``_posterior``; what fit leaves besides is named here.
    """

    _estimates: str
    random_state: RandomState
    prior_: Prior | None
    seed_: int
    n_features_in_: int
    theta_columns_: list[Any] | None
    x_layout_: ObservationLayout
    typical_x_: TypicalObservations
    _edges: Edges | None = None  # None of what earlier versions saved, and of parts of large data
    _regularity: Regularity | None = None  # likewise

    @abstractmethod
    def _posterior(self) -> Posterior:
        """Assemble the posterior from what fit has left."""

    @property
    def parameter_names_(self):
        """Names of the parameters: theta's columns, the prior's names, or theta_0, theta_1, ..."""
        if self.theta_columns_ is not None:
            return list(self.theta_columns_)
        if self.prior_ is not None and self.prior_.names is not None:
            return list(self.prior_.names)
        return [f"theta_{i}" for i in range(self.n_features_in_)]

    def sample(self, x, n_samples=1000, *, iid=False, return_report=False, random_state=None):
        """
        Draw from the posterior p(theta | x).

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation, or a batch of m. Which it is, follows from the dimensions of x in fit:
            for x of shape (n, L) a 1-d array, list, dict or Series is one observation, and a 2-d
            array or DataFrame, of one row too, is a batch.
        n_samples : int, default=1000
            The number of draws for every observation.
        iid : bool, default=False
            Whether an observation consists of independent trials of one theta: x is then
            (trials, ...) for one observation and (m, trials, ...) for a batch. Ratio and likelihood
            estimators take them.
        return_report : bool, default=False
            Whether to return what the draws are worth, too.
        random_state : None, int, RandomState or Generator, default=None
            None uses ``seed_`` if the estimator's own ``random_state`` is an int, so that two calls
            give the same draws, and fresh entropy otherwise.

        Returns
        -------
        draws : ndarray or DataFrame of shape (n_samples, D), a batch: (m, n_samples, D)
            The draws, a pandas DataFrame exactly if theta was a table in fit (a batch then has the
            index levels observation, or those of x where it has several, and draw). All lie
            strictly inside the prior's support.
        report : DataFrame
            With ``return_report``: one row a parameter (a batch: observation, parameter), columns
            r_hat (about 1 where a sampler's chains agree; NaN for draws that come from no chain)
            and ess (the effective number of independent draws).

        Raises
        ------
        ValueError, TypeError
            If x does not look like fit's x, ``n_samples`` is no positive int, or a prior or a ratio
            is needed and there is none.

        Warns
        -----
        MisspecificationWarning
            If an observation is far from everything that was simulated, or the members of NPE's
            default flow disagree about it far more than about simulations held out.
        TrainingWarning
            If NPE's default flow was too sure of itself on simulations held out whose posteriors
            were like this one, or a ratio was not exact enough for so many trials.
        SamplingWarning
            If a sampler's chains disagree, or the draws are worth too few independent ones: it
            names the observations.
        """
        n_samples = check_count(n_samples, "n_samples")
        return_report = check_flag(return_report, "return_report")
        observations, posterior = self._ask(x, iid)
        draws = self._draw(posterior, observations, n_samples, random_state)
        table = draws_table(draws.theta, observations, self.theta_columns_)
        return (table, self._report(draws, observations)) if return_report else table

    def log_prob(self, theta, x, *, iid=False):
        """
        Compute the posterior's log-density log q(theta | x) in the units of theta.

        That of a ratio estimator, prior times ratio, is normalised as far as the ratio is exact,
        and for one trial only; prior times likelihood is not, and lacks a term in x alone.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : array-like, scalar, dict, Series or DataFrame
            As many observations as theta has rows, or one for all of them. With theta of shape
            (m, n, D), or the table of draws that ``sample`` gave for a batch: m observations.
        iid : bool, default=False
            Whether an observation consists of independent trials, as in ``sample``.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-densities; -inf outside the prior's support, never NaN.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, their numbers do not match, or a prior or a
            ratio is needed and there is none.
        """
        observations, posterior = self._ask(x, iid, warns=False, method="log_prob")
        pairs = pair_rows(self, theta, observations, self.prior_)
        log_p = posterior.log_prob(pairs.theta, pairs.rows)
        if iid or self.x_layout_.trials:
            doubts = posterior.doubts_of_points(pairs.theta, pairs.rows, log_p)
            warn_of_doubts(doubts, observations, self.parameter_names_)
        return log_p.reshape(pairs.shape)

    def summary(self, x, *, level=0.9, n_samples=1000, iid=False, random_state=None):
        """
        Summarise the posterior in a table.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch, as in ``sample``.
        level : float, default=0.9
            The mass of the central interval from lower to upper.
        n_samples : int, default=1000
            The number of draws that the table is made from.
        iid : bool, default=False
            Whether an observation consists of independent trials, as in ``sample``.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        DataFrame
            Rows: the parameters. Columns: mean, sd, median, lower, upper. For a batch the index has
            the levels observation, or those of x where it has several, and parameter.

        Raises
        ------
        ValueError, TypeError
            If x does not look like fit's, another argument is out of its range, or a prior or a
            ratio is needed and there is none.
        """
        level = check_real(level, "level", high=1.0)
        n_samples = check_count(n_samples, "n_samples")
        observations, posterior = self._ask(x, iid, method="summary")
        draws = self._draw(posterior, observations, n_samples, random_state)
        return summary_table(draws.theta, observations, self.parameter_names_, level)

    def map(self, x, *, iid=False):
        """
        Find the theta of highest posterior density in the units of theta.

        The search starts from draws, and ends where log-densities differ by about 1e-5, as networks
        are no more exact. A posterior of many peaks may have a higher one elsewhere.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch, as in ``sample``.
        iid : bool, default=False
            Whether an observation consists of independent trials, as in ``sample``.

        Returns
        -------
        ndarray of shape (D,) or Series, a batch: (m, D) or DataFrame
            The modes.

        Raises
        ------
        ValueError, TypeError
            If x does not look like fit's, or a prior or a ratio is needed and there is none.
        """
        observations, posterior = self._ask(x, iid, method="map")
        parts = batches(len(observations.values), _MODES_BATCH)
        bar = tqdm(parts, desc="map", disable=not getattr(self, "verbose", 0) or len(parts) < 2)
        modes = [posterior.take(part).modes(self._for_modes()) for part in bar]
        if iid or self.x_layout_.trials:
            doubts = posterior.doubts_of_mode(self._for_modes())
            warn_of_doubts(doubts, observations, self.parameter_names_)
        return rows_table(np.concatenate(modes), observations, self.theta_columns_)

    @answers_to_X_y
    def score(self, theta, x, sample_weight=None):
        """
        Score held-out pairs, higher is better; scikit-learn has theta in X's place and x in y's.

        Posterior estimators: the mean of log q(theta | x) in the units of theta. Ratio estimators:
        minus the mean binary cross-entropy over as many joint pairs (theta, x) as marginal pairs,
        which are made by an order of the rows that is always the same and leaves no theta at its
        own x; a ratio that tells nothing scores -log 2. Likelihood estimators: the mean of
        log q(x | theta) in the units of x. With ``x_trials=True`` both are of all trials of a row.

        Rows of x that are all NaN are failed simulations. The theta of joint pairs are those that
        succeeded, and follow p(theta | x); those of marginal pairs are any, failed ones too, and
        follow the prior. So the best score is that of p(theta | x) / p(theta), what ratios times
        the prior are to be; densities are scored where simulations succeeded, and likelihoods add
        the log-probability of failing, if they learnt it.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters.
        x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
            What was simulated from them.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights of the rows.

        Returns
        -------
        float
            The score.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's.
        """
        check_is_fitted(self)
        array = read_theta(self, theta, self.prior_)
        layout = self.x_layout_
        observations = layout.read(x, simulated=True)
        check_pairs(theta, x, sample_weight, trials=layout.trials)
        x = observations.values
        check_lengths(theta=array, x=x)
        weights = check_weights(sample_weight, len(array))
        kept = weights > 0
        array, x, weights = array[kept], x[kept], weights[kept]
        if are_failed(x).all():
            raise ValueError(
                f"x must hold simulations that succeeded, got {len(x)} rows of positive weight, "
                "all of them NaN throughout."
            )
        return float(self._posterior().score(array, x, weights, trials=layout.trials))

    def _ask(
        self, x, iid=False, *, warns=True, needs_density=True, method="sample"
    ) -> tuple[Observations, PosteriorAt]:
        """Read observations, fix the posterior there, and warn of what is in doubt."""
        check_is_fitted(self)
        posterior = self._posterior()
        if needs_density and posterior.needs_prior and self.prior_ is None:
            raise ValueError(
                f"{method} needs the prior, as the posterior is prior times {self._estimates}, got "
                "prior=None: give the prior that theta was drawn from, as in "
                f"{type(getattr(self, 'estimator', self)).__name__}(prior=prior), and fit."
            )
        layout = self.x_layout_
        trials = check_flag(iid, "iid") or layout.trials
        posterior.check_takes(trials)
        observations = layout.read_trials(x) if trials else layout.read(x)
        asked = posterior.at(observations.values, trials=trials, observed=True)
        if warns:
            seen = Seen(self.typical_x_, self._edges, self._regularity, layout.names)
            warn_of_observations(seen, asked, observations, self.parameter_names_, trials=trials)
        return observations, asked

    def _ask_batch(self, x, iid=False, *, warns=True):
        """Fix a batch of observations, to ask about some of them at a time."""
        observations, posterior = self._ask(x, iid, warns=warns)
        return AskedBatch(self, observations, posterior)

    def _draw(
        self, posterior: PosteriorAt, observations: Observations, n: int, random_state: RandomState
    ) -> Draws:
        """Draw, and warn where the sampler was in trouble."""
        check_memory(n, "n_samples", n * len(observations.values) * self.n_features_in_)
        draws = posterior.sample(n, self._generator(random_state))
        warn_of_sampling(draws.statistics, n, observations)
        doubts = posterior.doubts_of_draws(list(draws.theta))
        warn_of_doubts(doubts, observations, self.parameter_names_)
        return draws

    def _report(self, draws: Draws, observations: Observations):
        """Tell what draws are worth, in a table."""
        independent = np.full(draws.theta.shape[::2], float(draws.theta.shape[1]))
        statistics = draws.statistics or ChainStatistics(np.nan * independent, independent)
        columns = {"r_hat": statistics.r_hat, "ess": statistics.ess}
        return parameters_table(columns, observations, self.parameter_names_)

    def _for_modes(self):
        """Seed a search."""
        return np.random.default_rng([self.seed_, _FOR_MODES])

    def _generator(self, random_state: RandomState) -> np.random.Generator:
        """Seed what is drawn after fit."""
        if random_state is None and isinstance(self.random_state, int | np.integer):
            return np.random.default_rng([self.seed_, _FOR_DRAWS])
        return check_generator(random_state)
