r"""
The monotonic rational-quadratic spline as one differentiable function.

On [-B, B] the spline runs through K + 1 knots, with a slope at each, and outside it is the
identity. In the bin of z in [0, 1], with height over width s, and slopes d_0 and d_1 at its ends,

.. math::
    R(z) = \frac{s z^2 + d_0 z (1 - z)}{s + (d_0 + d_1 - 2 s) z (1 - z)},

and y goes from the lower to the upper knot as R goes from 0 to 1. Left to autograd, some sixty
small tensors go forwards and as many backwards; here the derivatives are written out.

Knots are parametrised as in zuko, so that either transform takes the other's weights.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Generic, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Transform, constraints

from sksbi.nn._arrays import (
    Kind,
    arange,
    convert,
    device_of,
    empty,
    integer,
    namespace,
    silently,
    view_arrays,
    view_tensor,
)

__all__ = ["RationalQuadraticTransform", "invert_spline", "spline"]

# The bound of the box, and the least slope.
BOUND, SLOPE = 5.0, 1e-3
# Up to so many values the places of their bins are kept for the next call.
_CACHED = 100_000
_SOFT = -math.log(SLOPE)


def spline(parameters: Tensor, x: Tensor, bound: float = BOUND) -> tuple[Tensor, Tensor]:
    """
    Map x through splines.

    Parameters
    ----------
    parameters : Tensor of shape (E, 3 K - 1, D, n)
        Unconstrained widths (K), heights (K) and inner slopes (K - 1).
    x : Tensor of shape (E, D, n)
        The values.
    bound : float, default=5.0
        The box [-bound, bound]; outside, the spline is the identity.

    Returns
    -------
    y : Tensor of shape (E, D, n)
        The values.
    ladj : Tensor of shape (E, n)
        The log-derivatives log dy/dx, summed over the D values.
    """
    return _Spline.apply(parameters, x, bound)


@silently
def invert_spline(parameters: Tensor, y: Tensor, bound: float = BOUND) -> Tensor:
    """
    Map y back through splines, without gradients.

    Parameters
    ----------
    parameters : Tensor of shape (E, 3 K - 1, D, n)
        Unconstrained widths, heights and inner slopes.
    y : Tensor of shape (E, D, n)
        The values.
    bound : float, default=5.0
        The box.

    Returns
    -------
    Tensor of shape (E, D, n)
        The x with spline(x) = y.
    """
    phi, y = view_arrays(parameters.contiguous(), y)
    inside = y.clip(-bound, bound)
    place = inside * (0.5 / bound) + 0.5
    bins = _find_bins(phi, place, 1)
    (x0, y0), (w, h), (d0, d1) = bins.corner, bins.size, bins.slope
    s, r = h / w, ((place - y0) / h).clip(0, 1)
    curvature = r * (d0 + d1 - 2 * s)
    a, b = s - d0 + curvature, d0 - curvature
    root = namespace(phi).sqrt((b * b + 4 * a * (s * r)).clip(0))
    z = 2 * (s * r) / (b + root)
    return view_tensor((x0 + w * z - 0.5) * (2 * bound) + (y - inside))


class RationalQuadraticTransform(Transform):
    """
    The spline with the interface of zuko's ``MonotonicRQSTransform``, several times faster.

    Parameters
    ----------
    widths, heights : Tensor of shape (..., K)
        The unconstrained sizes of the bins.
    derivatives : Tensor of shape (..., K - 1)
        The unconstrained slopes at the inner knots.
    bound : float, default=5.0
        The box [-bound, bound]; outside, the transform is the identity.

    References
    ----------
    .. [1] Neural spline flows (Durkan et al., 2019) https://arxiv.org/abs/1906.04032

    Examples
    --------
    >>> import torch, zuko
    >>> from sksbi.nn import RationalQuadraticTransform
    >>> flow = zuko.flows.MAF(
    ...     3, 2, univariate=RationalQuadraticTransform, shapes=[(8,), (8,), (7,)]
    ... )
    >>> flow(torch.zeros(5, 2)).log_prob(torch.zeros(5, 3)).shape
    torch.Size([5])
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(
        self, widths: Tensor, heights: Tensor, derivatives: Tensor, bound: float = BOUND
    ) -> None:
        super().__init__()
        sizes = widths.shape[-1], heights.shape[-1], derivatives.shape[-1] + 1
        if len(set(sizes)) > 1:
            raise ValueError(
                "widths, heights and derivatives must have K, K and K - 1 entries, got "
                f"{sizes[0]}, {sizes[1]} and {sizes[2] - 1}"
            )
        self.bound = bound
        self._shape = widths.shape[:-1]
        parameters = torch.cat([widths, heights, derivatives], dim=-1)
        self._parameters = parameters.movedim(-1, 0).reshape(parameters.shape[-1], -1)[
            None, :, None
        ]

    def _flat(self, x: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
        """Arrange parameters and values as :func:`spline` takes them."""
        shape = torch.broadcast_shapes(x.shape, self._shape)
        parameters = self._parameters
        if shape != self._shape:
            inner = parameters[0, :, 0].reshape(-1, *self._shape)
            missing = [1] * (len(shape) - len(self._shape))
            inner = inner.reshape(len(inner), *missing, *self._shape)
            parameters = inner.expand(-1, *shape).flatten(1)[None, :, None]
        return parameters, x.expand(shape).reshape(1, 1, -1), shape

    def _call(self, x: Tensor) -> Tensor:
        """Compute y."""
        return self.call_and_ladj(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        """Compute x; its gradients are those of the implicit function."""
        parameters, y, shape = self._flat(y)
        x = invert_spline(parameters, y, self.bound)
        if torch.is_grad_enabled() and (parameters.requires_grad or y.requires_grad):
            again, ladj = spline(parameters, x, self.bound)
            miss = again - y
            x = x - (miss - miss.detach()) / ladj.detach()[:, None].exp()
        return x.reshape(shape)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """
        Compute log dy/dx.

        Parameters
        ----------
        x, y : Tensor of shape (...)
            The values before and after.

        Returns
        -------
        Tensor of shape (...)
            The log-derivatives.
        """
        return self.call_and_ladj(x)[1]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """
        Compute y and log dy/dx together.

        Parameters
        ----------
        x : Tensor of shape (...)
            The values.

        Returns
        -------
        tuple of Tensor of shape (...)
            The values and the log-derivatives.
        """
        parameters, x, shape = self._flat(x)
        y, ladj = spline(parameters, x, self.bound)
        return y.reshape(shape), ladj.reshape(shape)


class _Bins(NamedTuple, Generic[Kind]):
    """
    The bins that values lie in, along x and y, and how they come from the parameters.

    ``corner``, ``size`` (2, E, D, n) : ndarray or Tensor
        Of the bin of a value, in units where the box is 1: its lower corner, width and height,
        taken out of all bins.
    ``slope`` (2, E, D, n) : ndarray or Tensor
        The slopes at its ends.
    ``share``, ``shrink`` (E, 2, K, D, n) : ndarray or Tensor
        exp(shrink * raw), of which ``whole`` (2, E, D, n) times is the size of a bin.
    ``below`` (E, K - 1, D, n) : ndarray or Tensor
        1 where the upper edge of a bin is below the value, else 0.
    ``inner``, ``slope_shrink`` (2, E, D, n) : ndarray or Tensor
        0 where the slope is at an end of the box and has no parameter; slope = exp(shrink * raw).
    ``at`` (2, E, D, n), ``at_slopes`` 2 times (E, D, n) : ndarray or Tensor
        Places in the flattened shares and parameters.
    """

    corner: Kind
    size: Kind
    slope: Kind
    share: Kind
    shrink: Kind
    whole: Kind
    below: Kind
    inner: Kind
    slope_shrink: Kind
    at: Kind
    at_slopes: tuple[Kind, Kind]


def _find_bins(phi: Kind, place: Kind, axis: int) -> _Bins[Kind]:
    """Find the bin of every value in [0, 1], along x (axis 0) or y (axis 1)."""
    xp, (n_sets, rows, d, n) = namespace(phi), phi.shape
    k, m = (rows + 1) // 3, d * n
    raw = phi[:, : 2 * k].reshape(n_sets, 2, k, d, n)
    shrink = abs(raw)
    shrink += 0.5 * _SOFT
    shrink = 0.5 * _SOFT / shrink
    share = raw * shrink
    xp.exp(share, out=share)
    edge = xp.empty_like(share)
    edge[:, :, 0] = share[:, :, 0]
    for j in range(1, k):
        xp.add(edge[:, :, j - 1], share[:, :, j], out=edge[:, :, j])
    total = edge[:, :, -1].swapaxes(0, 1)
    whole = 1 / total
    below = convert(edge[:, axis, :-1] <= (place * total[axis])[:, None], phi.dtype)
    step = convert(below.sum(1), integer(phi)) * m
    offsets = _offsets if n_sets * m <= _CACHED else _offsets.__wrapped__
    at, at_slope = offsets(n_sets, k, d, n, device_of(phi))
    at, at_slope = at + step, at_slope + step
    size, corner = _take(share, at), _take(edge, at)
    corner -= size
    size *= whole
    corner *= whole
    # There is no parameter for a slope at an end of the box: another is read, and times 0.
    has_next = step < (k - 1) * m
    at_slopes = at_slope, at_slope + m * has_next
    slope, inner = xp.empty_like(size), xp.empty_like(size)
    slope[0], slope[1] = _take(phi, at_slopes[0]), _take(phi, at_slopes[1])
    inner[0], inner[1] = step > 0, has_next
    slope *= inner
    slope_shrink = abs(slope)
    slope_shrink += _SOFT
    slope_shrink = _SOFT / slope_shrink
    slope *= slope_shrink
    xp.exp(slope, out=slope)
    return _Bins(
        corner, size, slope, share, shrink, whole, below, inner, slope_shrink, at, at_slopes
    )


@lru_cache(maxsize=8)
def _offsets(n_sets: int, k: int, d: int, n: int, device: torch.device | None) -> tuple[Any, Any]:
    """Find the first bins in the flattened shares, and the places before those of the slopes."""
    m = d * n
    column = arange(m, device).reshape(d, n)
    axis = arange(2, device)[:, None, None, None]
    sets = arange(n_sets, device)[:, None, None]
    return (2 * sets + axis) * (k * m) + column, ((3 * sets + 2) * k - sets - 1) * m + column


def _take(array: Kind, index: Kind) -> Kind:
    """Take elements of the flattened array."""
    return array.reshape(-1).take(index)


class _Spline(torch.autograd.Function):
    """The spline with its derivatives written out."""

    @staticmethod
    @silently
    def forward(ctx: Any, parameters: Tensor, x: Tensor, bound: float) -> tuple[Any, ...]:
        """Compute y and the sums of log dy/dx."""
        phi, x = view_arrays(parameters.contiguous(), x)
        inside = x.clip(-bound, bound)
        place = inside * (0.5 / bound)
        place += 0.5
        bins = _find_bins(phi, place, 0)
        (x0, y0), (w, h), (d0, d1) = bins.corner, bins.size, bins.slope
        s = h / w
        z = place - x0
        z /= w
        z = z.clip(0, 1)
        rest = 1 - z
        q = z * rest
        up, down = s * z, d0 * rest
        bump = d0 + d1
        bump -= 2 * s
        under = bump * q
        under += s
        ratio = up + down
        ratio *= z
        ratio /= under
        slope = 2 * up
        slope += down
        slope *= rest
        slope += d1 * z * z
        y = h * ratio
        y += y0 - 0.5
        y *= 2 * bound
        y += x - inside
        s_under = s / under
        ladj = namespace(phi).log(s_under * s_under * slope)
        ctx.kept = x, bins, s, z, rest, q, up, down, bump, under, ratio, slope
        ctx.bound = bound
        return view_tensor(y), view_tensor(ladj.sum(1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    @silently
    def backward(ctx: Any, grad_y: Tensor, grad_ladj: Tensor) -> tuple[Any, ...]:
        """Go back from y and log dy/dx to the parameters and x."""
        x, bins, s, z, rest, q, up, down, bump, under, ratio, slope = ctx.kept
        (w, h), (_, d1) = bins.size, bins.slope
        xp = namespace(x)
        g_y, g_l = view_arrays(grad_y, grad_ladj)
        inside = abs(x) <= ctx.bound
        g_l = g_l[:, None] * inside
        g_y = g_y * (2 * ctx.bound)
        g_ratio = g_y * h
        g_ratio /= under
        g_slope = g_l / slope
        g_under = -2 * g_l
        g_under /= under
        g_under -= g_ratio * ratio
        turn = rest - z
        g_z = g_ratio * (2 * up + bins.slope[0] * turn)
        g_z += g_under * bump * turn
        g_z += 2 * g_slope * (s * turn - down + d1 * z)
        square = z * z
        g_s = g_ratio * square
        g_s += g_under * (1 - 2 * q)
        g_s += 2 * g_slope * q
        g_s += 2 * g_l / s
        g_s /= w
        g_slopes = xp.empty_like(bins.slope)
        g_slopes[0] = (g_ratio + g_under) * q + g_slope * (rest * rest)
        g_slopes[1] = g_under * q + g_slope * square
        g_z /= w
        g_x = xp.where(inside, g_z, g_y) * (0.5 / ctx.bound)
        g_corner, g_size = xp.empty_like(bins.corner), xp.empty_like(bins.size)
        g_corner[0], g_corner[1] = -g_z, g_y
        g_size[0], g_size[1] = -(g_z * z + g_s * s), g_y * ratio + g_s
        return view_tensor(_to_parameters(bins, g_corner, g_size, g_slopes)), view_tensor(g_x), None


def _to_parameters(bins: _Bins[Kind], g_corner: Kind, g_size: Kind, g_slope: Kind) -> Kind:
    """Spread the gradients at a bin over the parameters of all bins."""
    xp, (n_sets, _, k, d, n) = namespace(bins.share), bins.share.shape
    # The sizes have the sum 1: what one gains, all lose in proportion.
    g_corner *= bins.whole
    g_size *= bins.whole
    mean = g_corner * bins.corner
    mean += g_size * bins.size
    g_share = xp.empty_like(bins.share)
    corners = g_corner.swapaxes(0, 1)[:, :, None]
    xp.multiply(bins.below[:, None], corners, out=g_share[:, :, :-1])
    g_share[:, :, -1] = 0
    g_share.reshape(-1)[bins.at] = g_size
    g_share -= mean.swapaxes(0, 1)[:, :, None]
    g_share *= bins.share
    g_share *= bins.shrink
    result = empty((n_sets, 3 * k - 1, d, n), g_share)
    result[:, 2 * k :] = 0
    g_slope *= bins.slope
    g_slope *= bins.inner
    g_slope *= bins.slope_shrink
    g_slope *= bins.slope_shrink
    flat = result.reshape(-1)
    # In this order: what was read for the last upper slope is the lower slope of the same bin.
    flat[bins.at_slopes[1]] = g_slope[1]
    flat[bins.at_slopes[0]] = g_slope[0]
    shares = result[:, : 2 * k].reshape(n_sets, 2, k, d, n)
    xp.multiply(g_share, bins.shrink, out=shares)
    return result
