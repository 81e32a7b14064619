"""
torch distributions as priors.

Where scipy has the same distribution, it takes over: quantile maps, float64 and NumPy's generators
come for free. A `TransformedDistribution` is its base, as a prior, behind its transforms: see
`sksbi.priors.transformed`. Any other keeps torch's own draws and log density; its support is read
from torch's constraint, which must be a box, and the map follows from the box. Where the density is
zero inside of it, as between the parts of a mixture, the log density is asked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from scipy.stats.distributions import rv_frozen
from torch import distributions
from torch.distributions import Distribution, constraints

from sksbi.priors.base import Prior, floats_inside
from sksbi.priors.derived import no_marginal
from sksbi.priors.joint import JointPrior
from sksbi.priors.maps import BoxMap
from sksbi.priors.marginals import MarginalPrior
from sksbi.priors.multivariate import MultivariatePrior
from sksbi.priors.transformed import TransformedPrior, is_bijection
from sksbi.utils.random import borrowed_global_generator, draw_seed
from sksbi.utils.types import Array

__all__ = ["TorchPrior", "torch_prior"]

_SCIPY_TWINS: dict[type[Distribution], Callable[..., rv_frozen]] = {
    distributions.Uniform: lambda low, high: stats.uniform(low, high - low),
    distributions.Normal: lambda loc, scale: stats.norm(loc, scale),
    distributions.LogNormal: lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc)),
    distributions.Exponential: lambda rate: stats.expon(scale=1 / rate),
    distributions.Gamma: lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
    distributions.Chi2: lambda df: stats.chi2(df),
    distributions.InverseGamma: lambda concentration, rate: stats.invgamma(
        concentration, scale=rate
    ),
    distributions.Beta: lambda concentration1, concentration0: stats.beta(
        concentration1, concentration0
    ),
    distributions.HalfNormal: lambda scale: stats.halfnorm(scale=scale),
    distributions.HalfCauchy: lambda scale: stats.halfcauchy(scale=scale),
    distributions.Cauchy: lambda loc, scale: stats.cauchy(loc, scale),
    distributions.StudentT: lambda df, loc, scale: stats.t(df, loc, scale),
    distributions.Laplace: lambda loc, scale: stats.laplace(loc, scale),
    distributions.Gumbel: lambda loc, scale: stats.gumbel_r(loc, scale),
    distributions.Weibull: lambda scale, concentration: stats.weibull_min(
        concentration, scale=scale
    ),
    distributions.Pareto: lambda scale, alpha: stats.pareto(alpha, scale=scale),
}
_NORMALS = (distributions.MultivariateNormal, distributions.LowRankMultivariateNormal)


def torch_prior(spec: Distribution) -> Prior:
    """
    Make a prior from a torch distribution.

    Parameters
    ----------
    spec : torch.distributions.Distribution
        Of event shape (D,), or of batch shape (D,) or () with independent univariate entries;
        layers of ``Independent`` do not matter.

    Returns
    -------
    Prior
        Of scipy's twin where there is one, else of the distribution itself.

    Raises
    ------
    ValueError
        If the shape is another, or the support is no box.
    """
    base = spec
    while isinstance(base, distributions.Independent):
        base = base.base_dist
    shape = tuple(spec.batch_shape + spec.event_shape)
    if len(shape) > 1 or 0 in shape:
        raise ValueError(
            "prior must have batch shape (D,) with univariate entries, or event shape (D,), if a "
            f"torch distribution, got batch shape {tuple(spec.batch_shape)} and event shape "
            f"{tuple(spec.event_shape)}: reshape its parameters."
        )
    if type(base) in _SCIPY_TWINS:
        return MarginalPrior(_twins(base, shape), spec=spec)
    if isinstance(base, _NORMALS):
        return MultivariatePrior(*_location_and_root(base), spec=spec)
    if isinstance(base, distributions.VonMises):
        raise ValueError(
            f"prior must be a density on an interval, got {base}, which is circular: take "
            "scipy.stats.vonmises_line."
        )
    if isinstance(base, distributions.TransformedDistribution) and is_bijection(base, shape):
        return TransformedPrior(torch_prior(base.base_dist), base.transforms, shape, spec)
    return TorchPrior(spec)


class TorchPrior(JointPrior):
    """
    A torch distribution without a twin in scipy.

    Parameters
    ----------
    spec : torch.distributions.Distribution
        On the CPU, of shape () or (D,), with a box for its support.

    Raises
    ------
    ValueError
        If it is not on the CPU, does not draw, or the support is no box.
    """

    def __init__(self, spec: Distribution) -> None:
        self._shape = tuple(spec.batch_shape + spec.event_shape)
        low, high = _bounds(spec, self._shape)
        # float64 in, float64 out, where the distribution's float32 parameters let it.
        self._dtype, precision = torch.float64, np.float64
        draw = _first_draw(spec)
        try:
            spec.log_prob(draw.double())
        except RuntimeError:
            self._dtype, precision = draw.dtype, draw.numpy().dtype.type
        inside = floats_inside(low, high, precision)
        super().__init__(spec, BoxMap(low, high), inside=inside, holes=True, covered=False)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Draw from torch's global generator, borrowed."""
        draws = _draw(self.spec, n, draw_seed(generator)).double().numpy()
        return draws.reshape(n, self.n_features)

    def _log_prob(self, theta: Array) -> Array:
        """Evaluate the log density, summed over independent entries."""
        values = torch.from_numpy(theta).to(self._dtype).reshape(len(theta), *self._shape)
        with torch.no_grad():
            log_p = self.spec.log_prob(values).double().numpy()
        return log_p.reshape(len(theta), -1).sum(axis=1)

    def _marginal(self, columns: list[int]) -> Prior:
        """Refuse."""
        raise no_marginal(self)


def _draw(spec: Distribution, n: int, seed: int) -> torch.Tensor:
    """Draw n times under a seed, on the CPU."""
    with torch.no_grad(), borrowed_global_generator(seed):
        draws = spec.sample((n,))
    if draws.device.type != "cpu":
        raise ValueError(
            f"prior must have its parameters on the CPU, got a draw on {draws.device}: build it "
            "there."
        )
    return draws


def _first_draw(spec: Distribution) -> torch.Tensor:
    """Draw once, since torch may have checked no parameter."""
    try:
        draw = _draw(spec, 1, 0)
        log_p = spec.log_prob(draw)
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"prior must draw and evaluate its density, but {spec} raised: {error}"
        ) from error
    if not torch.isfinite(log_p).all():
        raise ValueError(
            f"prior must have a finite log_prob at its own draws, got {log_p.tolist()} at "
            f"{draw.tolist()}: check the parameters of {spec}."
        )
    return draw


def _array(parameter: torch.Tensor) -> Array:
    """Copy a parameter to NumPy, float64."""
    return parameter.detach().cpu().double().numpy()


def _twins(base: Distribution, shape: tuple[int, ...]) -> list[rv_frozen]:
    """Make scipy's distribution of every entry."""
    columns = {
        name: np.broadcast_to(_array(getattr(base, name)), shape).ravel()
        for name in base.arg_constraints
    }
    rows = zip(*columns.values(), strict=True)
    make = _SCIPY_TWINS[type(base)]
    return [make(**dict(zip(columns, map(float, row), strict=True))) for row in rows]


def _location_and_root(
    base: distributions.MultivariateNormal | distributions.LowRankMultivariateNormal,
) -> tuple[Array, Array]:
    """Read mean and a root of the covariance, whose squares float32 would round."""
    if isinstance(base, distributions.MultivariateNormal):
        return _array(base.loc), _array(base.scale_tril)
    root = np.hstack([_array(base.cov_factor), np.diag(np.sqrt(_array(base.cov_diag)))])
    return _array(base.loc), root


def _bounds(spec: Distribution, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Read the box from torch's constraint."""
    try:
        constraint = spec.support
    except NotImplementedError:
        constraint = None
    inner = getattr(constraint, "base_constraint", None)
    while isinstance(inner, constraints.Constraint):
        constraint, inner = inner, getattr(inner, "base_constraint", None)
    known = isinstance(constraint, _box_kinds()) and not constraint.is_discrete
    bounds = [
        _array(torch.as_tensor(getattr(constraint, name, default)))
        for name, default in (("lower_bound", -np.inf), ("upper_bound", np.inf))
    ]
    mixture = _mixture_in(spec)
    if mixture is not None and known:
        parts, axis = mixture.component_distribution, len(mixture.batch_shape)
        each = tuple(parts.batch_shape + parts.event_shape)
        bounds = [np.broadcast_to(bound, each) for bound in bounds]
        bounds = [bounds[0].min(axis=axis), bounds[1].max(axis=axis)]
    if not known or any(bound.shape not in ((), shape) for bound in bounds):
        raise ValueError(
            "prior must have a box for its support (real, positive, an interval), if a torch "
            f"distribution, got {spec} with support {constraint}: give an object with sample, "
            "log_prob and support = (low, high); of a simplex, leave out the last component."
        )
    low, high = (np.broadcast_to(bound, shape or (1,)) for bound in bounds)
    return low, high


def _mixture_in(spec: Distribution) -> distributions.MixtureSameFamily | None:
    """Find a mixture within layers of ``Independent``."""
    while isinstance(spec, distributions.Independent):
        spec = spec.base_dist
    return spec if isinstance(spec, distributions.MixtureSameFamily) else None


def _box_kinds() -> tuple[type[constraints.Constraint], ...]:
    """List torch's constraints that are boxes."""
    names = ("interval", "half_open_interval", "greater_than", "greater_than_eq", "less_than")
    return (type(constraints.real), *(getattr(constraints, name) for name in names))
