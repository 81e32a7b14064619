r"""
What one asks of an estimator of the ratio r(theta, x) = p(theta | x) / p(theta).

The posterior is prior times ratio, known up to the error of the ratio and therefore not normalised
exactly, so draws take a sampler. It works on

.. math::
    \log p(z | x) = \log p(z) + \log r(\theta(z), x)

in the prior's unbounded space, where no draw can leave the support, on all observations at once.
For independent trials x_1, ..., x_T of one theta the likelihood ratios multiply, so log-ratios are
summed; a density estimator of p(theta | x) could not do that.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod

import numpy as np
from scipy.special import log_expit
from sklearn.utils.validation import check_is_fitted

from sksbi.exceptions import SamplingWarning
from sksbi.metrics.chains import effective_sample_size, split_r_hat
from sksbi.priors import UnboundedPrior
from sksbi.samplers import ChainStatistics, Sampler, Target, build_sampler, resample_reference
from sksbi.tables.results import draws_table, parameters_table
from sksbi.utils.derangement import derangement
from sksbi.utils.validation import check_count, check_real

__all__ = ["RatioMixin"]

_CANDIDATES = 1_000
_CHAINS = 100
_GOOD_STARTS, _FEWEST_TO_JUDGE = 50, 8
_EVALUATIONS = 1_000_000
_MOST_R_HAT, _LEAST_ESS = 1.3, 0.1


class RatioMixin:
    """
    Public methods of ratio estimators, for :class:`sksbi.estimators.base.BaseInference`.

    A subclass has the parameters ``sampler`` and ``verbose``, and fills in how its own units for
    theta come about and what a ratio is in them.
    """

    def _validate_params(self):
        super()._validate_params()
        build_sampler(self.sampler)

    @abstractmethod
    def _bind(self, x):
        """Fix observations (k, ...): return a function (u (n, D), rows (n,)) -> log-ratios (n,)."""

    @abstractmethod
    def _units(self, theta):
        """Bring theta (n, D) to the units u that the ratio takes; NaN where it has none."""

    @abstractmethod
    def _units_from_unbounded(self, z):
        """Bring z (n, D), of the prior's unbounded space, to these units."""

    def predict_log_ratio(self, theta, x, *, iid=False):
        """
        Estimate log r(theta, x) = log p(theta | x) - log p(theta).

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters. Outside the prior's support, the value at the nearest point inside.
        x : array-like, scalar, dict, Series or DataFrame
            As many observations as theta has rows, or one for all of them. With theta of shape
            (m, n, D), or the table of draws that ``sample`` gave for a batch: m observations.
        iid : bool, default=False
            Whether an observation consists of independent trials: x is then (trials, ...) for one
            observation and (m, trials, ...) for a batch, and log-ratios are summed over trials.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-ratios.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, or their numbers do not match.
        """
        check_is_fitted(self)
        return self._pairwise(self._log_ratio, theta, self._read(x, iid))

    def predict_ratio(self, theta, x, *, iid=False):
        """
        Estimate r(theta, x) = p(theta | x) / p(theta), which is p(x | theta) / p(x) too.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : array-like, scalar, dict, Series or DataFrame
            Observations, as in ``predict_log_ratio``.
        iid : bool, default=False
            Whether an observation consists of independent trials.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The ratios; inf where they are too large for a float.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's, or their numbers do not match.
        """
        with np.errstate(over="ignore"):
            return np.exp(self.predict_log_ratio(theta, x, iid=iid))

    def sample(self, x, n_samples=1000, *, iid=False, return_report=False, random_state=None):
        """
        Draw from the posterior p(theta | x) by the sampler.

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
            (trials, ...) for one observation and (m, trials, ...) for a batch.
        return_report : bool, default=False
            Whether to return how well the sampler's chains agree, too.
        random_state : None, int, RandomState or Generator, default=None
            None uses ``seed_`` if the estimator's own ``random_state`` is an int, so that two calls
            give the same draws, and fresh entropy otherwise.

        Returns
        -------
        draws : ndarray or DataFrame of shape (n_samples, D), a batch: (m, n_samples, D)
            The draws, a DataFrame exactly if theta was one in fit (a batch then has the index
            levels observation and draw). All lie strictly inside the prior's support.
        report : DataFrame
            With ``return_report``: one row a parameter (a batch: observation, parameter), columns
            r_hat (about 1 where chains agree; NaN for draws that come from no chain) and ess (the
            effective number of independent draws).

        Raises
        ------
        ValueError, TypeError
            If there is no prior, x does not look like fit's x, or ``n_samples`` is no positive int.

        Warns
        -----
        SamplingWarning
            If chains disagree, or the draws are worth too few independent ones: it names the
            observations.
        MisspecificationWarning
            If an observation is far from everything that was simulated.
        """
        check_is_fitted(self)
        self._check_there_is_a_prior("sample")
        n_samples = check_count(n_samples, "n_samples")
        observations = self._read(x, iid)
        self._warn_of_outliers(observations, has_trials=True)
        draws, report = self._draw(observations, n_samples, self._generator(random_state))
        table = draws_table(draws, observations, self.theta_columns_)
        return (table, report) if return_report else table

    def log_prob(self, theta, x, *, iid=False):
        """
        Compute log p(theta) + log r(theta, x), the posterior's log-density in the units of theta.

        It is normalised as far as the ratio is exact.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : array-like, scalar, dict, Series or DataFrame
            Observations, as in ``predict_log_ratio``.
        iid : bool, default=False
            Whether an observation consists of independent trials. The sum over them lacks a
            constant then: the density is not normalised.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-densities; -inf outside the prior's support, never NaN.

        Raises
        ------
        ValueError, TypeError
            If there is no prior, theta or x does not look like fit's, or their numbers do not
            match.
        """
        check_is_fitted(self)
        self._check_there_is_a_prior("log_prob")
        return self._pairwise(self._guarded_posterior, theta, self._read(x, iid))

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
            the levels observation and parameter.

        Raises
        ------
        ValueError, TypeError
            If there is no prior, x does not look like fit's, or another argument is out of its
            range.
        """
        check_is_fitted(self)
        self._check_there_is_a_prior("summary")
        level = check_real(level, "level", high=1.0)
        n_samples = check_count(n_samples, "n_samples")
        observations = self._read(x, iid)
        self._warn_of_outliers(observations, has_trials=True)
        draws, _ = self._draw(observations, n_samples, self._generator(random_state))
        return self._summarised(draws, observations, level)

    def map(self, x, *, iid=False):
        """
        Find the theta of highest posterior density in the units of theta.

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
            If there is no prior, or x does not look like fit's.
        """
        check_is_fitted(self)
        self._check_there_is_a_prior("map")
        observations = self._read(x, iid)
        self._warn_of_outliers(observations, has_trials=True)
        generator = self._mode_generator()
        target = self._target(observations.values)
        draws = self._from_unbounded(
            _starts(target, observations.values.shape, _CANDIDATES, generator)
        )
        return self._modes(self._guarded_posterior, draws, observations, generator)

    def sample_chains(self, x, n_samples=1000, *, iid=False, random_state=None):
        """
        Run the sampler's Markov chains, and keep them apart.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch, as in ``sample``.
        n_samples : int, default=1000
            The number of draws that the chains are made for: all of them have at least as many
            steps together. Few long ones take ``sampler=MetropolisHastings(n_chains=4)``.
        iid : bool, default=False
            Whether an observation consists of independent trials, as in ``sample``.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``; the same gives the chains that ``sample`` takes its draws from.

        Returns
        -------
        ndarray of shape (n_chains, n_steps, D), a batch: (m, n_chains, n_steps, D)
            The chains, in the units of theta, without the warm-up.

        Raises
        ------
        ValueError, TypeError
            If there is no prior, x does not look like fit's, or the sampler has no chains.
        """
        check_is_fitted(self)
        self._check_there_is_a_prior("sample_chains")
        n_samples = check_count(n_samples, "n_samples")
        observations = self._read(x, iid)
        generator = self._generator(random_state)
        chains = self._run_sampler(observations.values, n_samples, generator)[1].chains
        if chains is None:
            raise TypeError(
                "sample_chains needs a sampler that runs Markov chains, such as "
                f"'metropolis_hastings', got sampler={self.sampler!r}."
            )
        theta = self._from_unbounded(chains.reshape(len(chains), -1, chains.shape[-1]))
        theta = theta.reshape(chains.shape)
        return theta[0] if observations.single else theta

    def _check_there_is_a_prior(self, method):
        """Hold that there is a prior."""
        if self.prior_ is None:
            raise ValueError(
                f"{method} needs the prior, as the posterior is prior times ratio, got prior=None: "
                "give the prior that theta was drawn from, as in "
                f"{type(self).__name__}(prior=prior), and fit."
            )

    def _read(self, x, iid):
        """Validate observations; their values get a dimension of trials, 1 without iid."""
        if not isinstance(iid, bool | np.bool_):
            raise TypeError(f"iid must be True or False, got {iid!r}.")
        return self.x_layout_.read_trials(x) if iid else self.x_layout_.read(x).as_one_trial()

    def _over_trials(self, x):
        """Fix observations (m, trials, ...): return a function (u, rows) -> summed log-ratios."""
        trials = x.shape[1]
        log_ratio = self._bind(x.reshape(-1, *x.shape[2:]))
        if trials == 1:
            return log_ratio

        def summed(u, rows):
            each = rows[:, None] * trials + np.arange(trials)
            return log_ratio(np.repeat(u, trials, axis=0), each.ravel()).reshape(each.shape).sum(1)

        def in_parts(u, rows):
            n_parts = -(-len(u) * trials // _EVALUATIONS)
            parts = zip(np.array_split(u, n_parts), np.array_split(rows, n_parts), strict=True)
            return np.concatenate([summed(*part) for part in parts])

        return in_parts

    def _log_ratio(self, theta, x, rows):
        """Estimate the log-ratio of theta[i] and x[rows[i]], all its trials."""
        return self._over_trials(x)(self._units(theta), rows)

    def _posterior(self, theta, x, rows):
        """Add the prior."""
        return self.prior_.log_prob(theta) + self._log_ratio(theta, x, rows)

    def _guarded_posterior(self, theta, x, rows):
        """Give -inf outside the support, and never NaN."""
        return self._guarded(self._posterior, theta, x, rows)

    def _log_prob(self, theta, x, rows):
        """Compute the log-density of theta[i], inside the support, given x[rows[i]], one trial."""
        return self._posterior(theta, x[:, None], rows)

    def _mean_score(self, theta, x, weights):
        """Compute minus the binary cross-entropy over joint and marginal pairs."""
        rows = np.arange(len(theta))
        others = derangement(theta, np.random.default_rng(0))
        log_ratio, u = self._bind(x), self._units(theta)
        joint = np.average(log_expit(log_ratio(u, rows)), weights=weights)
        marginal = log_expit(-log_ratio(u[others], rows))
        return (joint + np.average(marginal, weights=weights * weights[others])) / 2

    def _target(self, x):
        """Build the log-density in the unbounded space, given observations (m, trials, ...)."""
        log_ratio = self._over_trials(x)

        def on_grid(z):
            u = self._units_from_unbounded(z.reshape(-1, z.shape[-1]))
            return log_ratio(u, np.arange(len(x)).repeat(z.shape[1])).reshape(z.shape[:2])

        def select(i):
            return self._target(x[i : i + 1])

        return Target(on_grid, UnboundedPrior(self.prior_), select)

    def _from_unbounded(self, z):
        """Bring draws (m, n, D) from the unbounded space to theta."""
        return self.prior_.from_unbounded(z.reshape(-1, z.shape[-1])).reshape(z.shape)

    def _sample(self, x, n_samples, generator):
        """Draw (m, n_samples, D) for observations x of shape (m, ...), of one trial."""
        return self._run_sampler(x[:, None], n_samples, generator)[0]

    def _run_sampler(self, x, n_samples, generator):
        """Draw for observations (m, trials, ...): draws (m, n_samples, D), and statistics."""
        sampler, target = build_sampler(self.sampler), self._target(x)
        ours = isinstance(sampler, Sampler)
        n_chains = sampler.count_chains(n_samples) if ours else _CHAINS
        if ours and not sampler.uses_starts:
            initial = np.zeros((len(x), n_chains, self.n_features_in_))
        else:
            initial = _starts(target, x.shape, n_chains, generator)
        if ours:
            z, statistics = sampler.run(target, initial, n_samples, generator, verbose=self.verbose)
        else:
            z = sampler(target, initial, n_samples, generator)
            z = _check_draws(z, sampler, (len(x), n_samples, initial.shape[2]))
            statistics = ChainStatistics(split_r_hat(z[:, None]), effective_sample_size(z[:, None]))
        return self._from_unbounded(z), statistics

    def _draw(self, observations, n_samples, generator):
        """Draw, report how well that went, and warn where it did not."""
        draws, statistics = self._run_sampler(observations.values, n_samples, generator)
        worth = np.minimum(statistics.ess, n_samples)
        statistics = ChainStatistics(statistics.r_hat, worth)
        report = parameters_table(
            {"r_hat": statistics.r_hat, "ess": statistics.ess},
            observations,
            self._parameter_names(),
        )
        _warn_of_bad_chains(statistics, observations, n_samples)
        return draws, report


def _starts(target, shape, n_chains, generator):
    """Resample candidates from the prior, ten times as many if there are few good ones."""
    m, trials = shape[:2]
    n_candidates = max(1_000, 10_000 // trials)
    starts = resample_reference(target, m, n_chains, n_candidates, generator)
    n_distinct = min(len(np.unique(one[:, 0])) for one in starts)
    if n_distinct < min(_GOOD_STARTS, n_chains) and 10 * n_candidates * m * trials <= _EVALUATIONS:
        return resample_reference(target, m, n_chains, 10 * n_candidates, generator)
    return starts


def _check_draws(z, sampler, shape):
    """Hold that a user's sampler gave draws."""
    try:
        z = np.asarray(z, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"sampler={sampler!r} must return an array of draws: {error}") from error
    if z.shape != shape or not np.isfinite(z).all():
        raise ValueError(
            f"sampler={sampler!r} must return finite draws of shape (m, n_samples, D) = {shape}, "
            f"got shape {z.shape}, {np.count_nonzero(~np.isfinite(z))} of them not finite."
        )
    return z


def _warn_of_bad_chains(statistics, observations, n_samples):
    """Name the observations whose chains disagree or are worth little."""
    r_hat = np.max(np.nan_to_num(statistics.r_hat, nan=1.0), axis=1)
    unknown = 0.0 if n_samples >= _FEWEST_TO_JUDGE else np.inf
    ess = np.min(np.nan_to_num(statistics.ess, nan=unknown), axis=1)
    bad = (r_hat > _MOST_R_HAT) | (ess < _LEAST_ESS * n_samples)
    if bad.any():
        names = "" if observations.single else f" {list(observations.index[bad][:10])}"
        warnings.warn(
            f"the draws are not to be trusted for {np.count_nonzero(bad)} of {len(bad)} "
            f"observations{names}: R-hat is up to {r_hat.max():.2f} (at most {_MOST_R_HAT} is "
            f"good), the effective sample size down to {ess.min():.0f}. See "
            "sample(..., return_report=True); give the sampler more warm-up or chains.",
            SamplingWarning,
            stacklevel=4,
        )
