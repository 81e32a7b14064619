r"""
Nested sampling, by the library nautilus: draws and the evidence at once.

Chains stay where they start; nested sampling comes from outside. Points of the prior are shut in by
ever smaller bounds around those of highest ratio, so that every mode is met that is not much
smaller than one of so many live points, and the volume of what is left is known at every step:

.. math::
    Z = \int p(z) \, r(z) \, dz = \int_{[0, 1]^D} \frac{p \, r}{q}(z(u)) \, du,

where q is a Student distribution about as wide as the reference p, and u its distribution
functions. nautilus weights the points of all bounds as one mixture, and what it has learnt the
bounds from is left out, so that Z has no bias.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from scipy.special import stdtrit
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.utils._param_validation import Interval
from tqdm.auto import tqdm

from sksbi.samplers.base import ChainStatistics, LogProb, Sampler, checked
from sksbi.samplers.target import Reference, Target, check_weights, one_target, systematic
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.types import Array, RandomState
from sksbi.utils.validation import check_count

__all__ = ["NestedSampling"]

_FREEDOM = 4.0
_REFERENCE_DRAWS = 4_000
_FEWEST_EFFECTIVE, _FEWEST_FOR_DRAWS, _TIMES = 2_000, 400, 4
_EDGE = 1e-15


class NestedSampling(Sampler):
    """
    Nested sampling by the library nautilus, one target after the other.

    Parameters
    ----------
    n_live : int, default=1000
        The number of live points: more find smaller modes, and take longer.
    n_networks : int, default=0
        With how many networks nautilus learns the shape of a bound. They save evaluations where
        these are dear, and cost seconds of training at every bound.
    n_chains : int or None, default=None
        Without a meaning here: there are no chains.

    Notes
    -----
    Points are drawn until they are worth four times the draws that are asked for, 400 at least; for
    an integral until they are worth 2,000 independent ones, which leaves its logarithm an error of
    0.022 or less.

    The target must be a :class:`Target`, whose reference gives the scale on which the bounds begin;
    an estimator's always is.

    References
    ----------
    .. [1] Nested sampling for general Bayesian computation (Skilling, 2006).
       https://doi.org/10.1214/06-BA127
    .. [2] nautilus: boosting Bayesian importance nested sampling with deep learning (Lange, 2023).
       https://arxiv.org/abs/2306.16923

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.samplers import NestedSampling, Target
    >>> class Normal:
    ...     def sample(self, shape, generator):
    ...         return generator.standard_normal((*shape, 2))
    ...     def log_prob(self, z):
    ...         return -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=-1)
    >>> target = Target(lambda z: z[..., 0], Normal())  # N((1, 0), 1) times the root of e
    >>> log_z, effective = NestedSampling(n_live=300).log_evidence(target, (1, 2), random_state=0)
    >>> log_z.round(1)
    array([0.5])
    """

    uses_starts = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Sampler._parameter_constraints,
        "n_live": [Interval(Integral, 10, None, closed="left")],
        "n_networks": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self, n_live: int = 1000, *, n_networks: int = 0, n_chains: int | None = None
    ) -> None:
        self.n_live = n_live
        self.n_networks = n_networks
        self.n_chains = n_chains

    def advise(self) -> str:
        """
        Tell what to change where the draws are worth too few.

        Returns
        -------
        str
            More live points.
        """
        return f"take more live points, now n_live={self.n_live}"

    def log_evidence(
        self,
        target: Target,
        shape: tuple[int, int],
        random_state: RandomState = None,
        *,
        verbose: int = 0,
    ) -> tuple[Array, Array]:
        """
        Integrate every target.

        Parameters
        ----------
        target : Target
            The targets; the densities of the reference are to be normalised.
        shape : (int, int)
            The number m of the targets and D of the columns.
        random_state : None, int, RandomState or Generator, default=None
            Where the noise comes from; None takes fresh entropy.
        verbose : int, default=0
            Whether a progress bar is shown.

        Returns
        -------
        log_z : ndarray of shape (m,)
            The logarithms of the integrals.
        effective : ndarray of shape (m,)
            How many independent points they rest on: the standard error is one over its root.

        Raises
        ------
        TypeError
            If ``target`` has no reference.
        ValueError
            If a parameter is out of its range, or a target is zero wherever it was looked at.
        ImportError
            If nautilus is missing.
        """
        self._validate_params()
        target, generator = _check_target(target), check_generator(random_state)
        m, d = (check_count(number, "shape") for number in shape)
        runs = [
            self._run_one(target, i, (m, d), _FEWEST_EFFECTIVE, generator)
            for i in tqdm(range(m), desc="Targets", disable=not verbose)
        ]
        return np.array([run.log_z for run in runs]), np.array([run.n_eff for run in runs])

    def _default_chains(self, n_samples: int) -> int:
        """Ask for one: the starts are not used."""
        return 1

    def _run(
        self,
        log_prob: LogProb,
        initial: Array,
        n_samples: int,
        generator: np.random.Generator,
        verbose: bool,
    ) -> tuple[Array, ChainStatistics]:
        """Weight the points of all bounds, and choose."""
        target = _check_target(log_prob)
        m, _, d = initial.shape
        wanted = max(_FEWEST_FOR_DRAWS, _TIMES * n_samples)
        draws, ess = np.empty((m, n_samples, d)), np.empty((m, d))
        for i in tqdm(range(m), desc="Targets", disable=not verbose):
            run = self._run_one(target, i, (m, d), wanted, generator)
            z, log_w, _ = run.posterior()
            chosen = systematic(log_w[None], n_samples, generator)[0]
            draws[i] = z[generator.permutation(chosen), :d]
            ess[i] = run.n_eff
        return draws, ChainStatistics(np.full_like(ess, np.nan), ess)

    def _run_one(
        self,
        target: Target,
        i: int,
        shape: tuple[int, int],
        n_effective: int,
        generator: np.random.Generator,
    ) -> Any:
        """Run nautilus for a target."""
        nautilus = _import_nautilus()
        d, box = shape[1], _Box(target.reference, shape[1], generator)
        log_p = one_target(target, i, shape[0])
        checked(target.log_ratio)(np.tile(box.draws[:1], (shape[0], 1, 1)))  # numbers at all
        check_weights(log_p(box.draws)[None], i)

        def log_likelihood(z: Array) -> Array:
            return log_p(z[:, :d]) - box.log_prob(z[:, :d])

        sampler = nautilus.Sampler(
            box.to_z,
            log_likelihood,
            n_dim=max(d, 2),  # nautilus takes no fewer: of one column the second is noise
            n_live=int(self.n_live),
            n_networks=int(self.n_networks),
            vectorized=True,
            pass_dict=False,
            seed=draw_seed(generator),
        )
        sampler.run(n_eff=n_effective, discard_exploration=True, verbose=False)
        return sampler


class _Box:
    """A product of Student distributions, about as wide as a reference, on the unit cube."""

    def __init__(self, reference: Reference, d: int, generator: np.random.Generator) -> None:
        self.draws = reference.sample((_REFERENCE_DRAWS,), generator)
        if self.draws.shape[-1] != d:
            raise ValueError(
                f"initial must have {self.draws.shape[-1]} columns, as the reference of log_prob "
                f"draws them, got {d}."
            )
        low, self.center, high = np.quantile(self.draws, [0.25, 0.5, 0.75], axis=0)
        self.scale = np.where(high > low, high - low, 1.0) / (2 * norm.ppf(0.75))

    def to_z(self, u: Array) -> Array:
        """Map points of the cube."""
        z = stdtrit(_FREEDOM, np.clip(u, _EDGE, 1 - _EDGE))
        d = len(self.scale)
        z[:, :d] = self.center + self.scale * z[:, :d]
        return z

    def log_prob(self, z: Array) -> Array:
        """Compute the log density."""
        standard = (z - self.center) / self.scale
        return (student.logpdf(standard, _FREEDOM) - np.log(self.scale)).sum(axis=-1)


def _check_target(target: Any) -> Target:
    """Hold that there is a reference."""
    if not isinstance(target, Target):
        raise TypeError(
            "nested sampling needs a density as wide as the prior to begin with: log_prob must be "
            f"a sksbi.samplers.Target(log_ratio, reference), got {type(target).__name__}."
        )
    return target


def _import_nautilus() -> Any:
    """Import nautilus, or tell how to install it."""
    try:
        import nautilus
    except ImportError as error:
        raise ImportError(
            "NestedSampling needs nautilus-sampler, which is not installed: "
            'pip install "sksbi[nested]".'
        ) from error
    return nautilus
