r"""
The affine transform as one differentiable function.

.. math::
    y = e^{s(\phi_1)} x + \phi_0, \qquad s(\phi) = \frac{\phi}{1 + |\phi| / \log 1000},

so that no scale is beyond 1,000 either way, as in zuko.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sksbi.nn._arrays import empty, namespace, silently, view_arrays, view_tensor

__all__ = ["affine", "invert_affine", "unsquashed"]

_SOFT = math.log(1e3)


def affine(parameters: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """
    Map x through affine functions.

    Parameters
    ----------
    parameters : Tensor of shape (E, 2, D, n)
        Shifts and squashed log-scales.
    x : Tensor of shape (E, D, n)
        The values.

    Returns
    -------
    y : Tensor of shape (E, D, n)
        The values.
    ladj : Tensor of shape (E, n)
        The log-derivatives log dy/dx, summed over the D values.
    """
    return _Affine.apply(parameters, x)


@silently
def invert_affine(parameters: Tensor, y: Tensor) -> Tensor:
    """
    Map y back through affine functions, without gradients.

    Parameters
    ----------
    parameters : Tensor of shape (E, 2, D, n)
        Shifts and squashed log-scales.
    y : Tensor of shape (E, D, n)
        The values.

    Returns
    -------
    Tensor of shape (E, D, n)
        The x with affine(x) = y.
    """
    phi, y = view_arrays(parameters, y)
    log_scale = phi[:, 1] * (_SOFT / (_SOFT + abs(phi[:, 1])))
    return view_tensor((y - phi[:, 0]) * namespace(phi).exp(-log_scale))


def unsquashed(log_scale: Tensor) -> Tensor:
    """
    Find the parameter of a log-scale.

    Parameters
    ----------
    log_scale : Tensor
        Log-scales, between -log 1000 and log 1000.

    Returns
    -------
    Tensor
        The parameters.
    """
    return log_scale / (1 - log_scale.abs() / _SOFT)


class _Affine(torch.autograd.Function):
    """The affine functions with their derivatives written out."""

    @staticmethod
    @silently
    def forward(ctx: Any, parameters: Tensor, x: Tensor) -> tuple[Any, ...]:
        """Compute y and the sums of log dy/dx."""
        phi, x = view_arrays(parameters, x)
        shrink = abs(phi[:, 1])
        shrink += _SOFT
        shrink = _SOFT / shrink
        log_scale = phi[:, 1] * shrink
        scale = namespace(phi).exp(log_scale)
        scaled = x * scale
        ctx.kept = scale, scaled, shrink
        return view_tensor(scaled + phi[:, 0]), view_tensor(log_scale.sum(1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    @silently
    def backward(ctx: Any, grad_y: Tensor, grad_ladj: Tensor) -> tuple[Any, ...]:
        """Go back from y and log dy/dx to the parameters and x."""
        scale, scaled, shrink = ctx.kept
        g_y, g_ladj = view_arrays(grad_y, grad_ladj)
        e, d, n = scale.shape
        result = empty((e, 2, d, n), scale)
        result[:, 0] = g_y
        g_log_scale = g_y * scaled
        g_log_scale += g_ladj[:, None]
        g_log_scale *= shrink
        result[:, 1] = g_log_scale * shrink
        return view_tensor(result), view_tensor(g_y * scale)
