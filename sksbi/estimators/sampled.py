"""What one asks besides of an estimator whose posterior takes a sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from sksbi.estimators.doubt import warn_of_evidence
from sksbi.estimators.proposal import Proposal
from sksbi.posteriors.base import PosteriorAt, Record, TrialsRecord
from sksbi.posteriors.factor import Factor, Ratio
from sksbi.posteriors.success import (
    LikelihoodTimesSuccess,
    RatioTimesSuccess,
    Success,
    learn_success,
)
from sksbi.posteriors.tried import Tried
from sksbi.posteriors.unnormalised import PriorTimes
from sksbi.priors import Prior
from sksbi.samplers import ImportanceResampling, NestedSampling, build_sampler
from sksbi.tables.layout import ObservationLayout, Observations
from sksbi.tables.theta import warn_of_other_theta
from sksbi.utils.masks import Masks
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array
from sksbi.utils.validation import check_count, check_memory

__all__ = ["ChainsMixin", "SamplerMixin"]


def _has_sampler(estimator: ChainsMixin) -> bool:
    """Tell whether draws come from a sampler: a meta-estimator does what it wraps does."""
    return estimator._estimates != "posterior"


class ChainsMixin:
    """The chains of the sampler, for an estimator that has one."""

    _estimates: str
    n_features_in_: int
    _ask: Callable[..., tuple[Observations, PosteriorAt]]
    _generator: Callable[[object], np.random.Generator]

    @available_if(_has_sampler)
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

        Warns
        -----
        MisspecificationWarning
            If an observation is far from everything that was simulated.
        """
        n_samples = check_count(n_samples, "n_samples")
        observations, posterior = self._ask(x, iid, method="sample_chains")
        n_numbers = n_samples * len(observations.values) * self.n_features_in_
        check_memory(n_samples, "n_samples", n_numbers)
        chains = posterior.sample_chains(n_samples, self._generator(random_state))
        if chains is None:
            sampler = getattr(self, "sampler", posterior.posterior.sampler)
            raise TypeError(
                "sample_chains needs a sampler that runs Markov chains, such as "
                f"'metropolis_hastings', got sampler={sampler!r}."
            )
        return chains[0] if observations.single else chains

    @available_if(_has_sampler)
    def log_evidence(self, x, *, iid=False, return_std=False, sampler=None, random_state=None):
        """
        Integrate prior times likelihood, or prior times ratio, over theta.

        Of a likelihood that is the evidence p(x), by which models are compared: the difference of
        two is the logarithm of their Bayes factor. Of a ratio at one x it is 0 if the ratio is
        right, and so tells how wrong the ratio is; of several trials it is not, but log p(x_1, ...,
        x_T) less the sum of log p(x_t). :class:`sksbi.ModelComparison` compares models then.

        Parameters
        ----------
        x : array-like, scalar, dict, Series or DataFrame
            One observation or a batch, as in ``sample``.
        iid : bool, default=False
            Whether an observation consists of independent trials, as in ``sample``.
        return_std : bool, default=False
            Whether to return the standard error of the integration too. The error of the learnt
            likelihood is not part of it.
        sampler : "nested", NestedSampling or None, default=None
            What integrates. None: importance sampling from a mixture that is fitted to chains, in a
            second or less; nested sampling takes up to a minute, and finds modes that no draw of
            the prior is near. It needs nautilus-sampler: ``pip install "sksbi[nested]"``.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        log_evidence : float, a batch: ndarray of shape (m,)
            Natural logarithms, in the units of x; of discrete x, of probabilities. NaN where the
            integral could not be told.
        std : float, a batch: ndarray of shape (m,)
            With ``return_std`` alone: their standard errors.

        Raises
        ------
        ValueError, TypeError
            If there is no prior, x does not look like fit's, or the sampler does not integrate.
        ImportError
            If nautilus is missing and asked for.

        Warns
        -----
        MisspecificationWarning
            If an observation is far from everything that was simulated.
        SamplingWarning
            If an integral could not be told.
        """
        return_std = check_flag(return_std, "return_std")
        integrator = _check_integrator(sampler)
        observations, posterior = self._ask(x, iid, method="log_evidence")
        found = posterior.evidence(self._generator(random_state), integrator)
        warn_of_evidence(found.log_z, found.effective, observations)
        answers = found.log_z, 1 / np.sqrt(found.effective)
        if observations.single:
            answers = tuple(float(values[0]) for values in answers)
        return answers if return_std else answers[0]


def _check_integrator(sampler: object) -> NestedSampling | None:
    """Take what integrates."""
    if sampler is None or isinstance(sampler, NestedSampling):
        return sampler
    if isinstance(sampler, str) and sampler == "nested":
        return NestedSampling()
    raise TypeError(
        "sampler must be None, 'nested' or a sksbi.samplers.NestedSampling, as others do not "
        f"integrate, got {sampler!r}."
    )


class SamplerMixin(ChainsMixin):
    """The posterior as prior times a factor, by the sampler that is a parameter."""

    _success: Success | None
    _tried: Tried | None
    _streams = False  # in a call of partial_fit
    prior_: Prior | None
    sampler: str | Callable[..., Any]
    theta_columns_: list[Any] | None
    verbose: int
    x_layout_: ObservationLayout

    def _validate_params(self):
        super()._validate_params()
        build_sampler(self.sampler)

    def _learn_success(self, pairs, generator):
        """Learn the probability that a simulation succeeds, if some have failed."""
        self._success = self._success if self._resumes() else None
        if not (self._streams and self._resumes()):
            self._tried = None
        everything = pairs.with_failures()
        if self.prior_ is not None and np.ptp(everything.weight) == 0:
            warn_of_other_theta(everything.theta, self.prior_, self.parameter_names_)
        if self._streams:
            self._try_more(pairs, generator)
        elif pairs.failed is not None:
            own = generator.spawn(1)[0]
            self._success = learn_success(pairs.with_failures(), self.prior_, own)

    def _try_more(self, pairs, generator):
        """Learn the same from the simulations of all calls, whenever they are half as many more."""
        own = generator.spawn(1)[0]
        tried = Tried.of(pairs, own)
        if self._tried is not None:
            tried = self._tried.followed_by(tried)
        if tried.is_to_be_learnt:
            self._success = learn_success(tried.pairs(), self.prior_, own)
            tried = tried.learnt()
        self._tried = tried

    def _prior_times(
        self,
        factor: Factor,
        trials_record: TrialsRecord,
        n_trials: int = 1,
        record: Record | None = None,
        masks: Masks | None = None,
    ) -> PriorTimes:
        """Assemble the posterior; of so many trials one simulation consists."""
        if self._success is not None:
            is_ratio = isinstance(factor, Ratio)
            kind = RatioTimesSuccess if is_ratio else LikelihoodTimesSuccess
            factor = kind(factor, self._success, n_trials)
        sampler = build_sampler(self.sampler)
        rest = self.verbose, trials_record, self._proposal_of(sampler), record, masks
        return PriorTimes(self.prior_, factor, sampler, *rest)

    def _proposal_of(self, sampler: Callable[..., Array]) -> Proposal | None:
        """Bind the proposal of an importance sampler, if there is one, to what was fitted here."""
        given = sampler.proposal if isinstance(sampler, ImportanceResampling) else None
        if given is None or self.prior_ is None:
            return None
        names = self.theta_columns_ or self.prior_.names
        return Proposal(given, self.prior_, names, self.x_layout_)
