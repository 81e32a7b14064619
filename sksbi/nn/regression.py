"""The Gaussian around a ridge regression: where networks of theta and x begin."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["regress"]

_START_ROWS = 20_000
_RIDGE = 1e-3
_WIDEST = 5.0


def regress(theta: Tensor, c: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """
    Find the Gaussian of a ridge regression of theta on the context.

    Parameters
    ----------
    theta : Tensor of shape (n, D)
        The parameters, about standardised.
    c : Tensor of shape (n, C)
        The contexts.
    weight : Tensor of shape (n,)
        Weights of the rows.

    Returns
    -------
    root : Tensor of shape (D, D)
        A root of the precision, upper triangular: root theta - slope c - offset is about standard
        normal, and none of the rows, of 20,000 spread over more, is farther from zero than 5.
    slope : Tensor of shape (D, C)
        The slope.
    offset : Tensor of shape (D,)
        The offset.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn.regression import regress
    >>> c = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
    >>> noise = torch.randn(1000, 1, generator=torch.Generator().manual_seed(1))
    >>> root, slope, _ = regress(c + 0.5 * noise, c, torch.ones(1000))
    >>> round(root.item(), 1), round(slope.item(), 1)
    (1.9, 1.9)
    """
    n = min(len(theta), _START_ROWS)
    # The rows may come sorted, so those that are taken are spread over all.
    rows = torch.arange(n, device=theta.device) * len(theta) // n
    theta, c, weight = (t[rows].double() for t in (theta, c, weight[:, None]))
    weight = weight / weight.sum()
    mean_theta, mean_c = (weight * theta).sum(0), (weight * c).sum(0)
    centered = c - mean_c
    gram = centered.t() @ (weight * centered)
    gram += (_RIDGE + gram.shape[0] / n) * torch.eye(gram.shape[0]).to(gram)
    slope = torch.linalg.solve(gram, centered.t() @ (weight * (theta - mean_theta)))
    left = theta - mean_theta - centered @ slope
    covariance = left.t() @ (weight * left) / max(1 - gram.shape[0] / n, 0.1)
    covariance += _RIDGE * torch.eye(theta.shape[1]).to(covariance)
    root = torch.linalg.cholesky(torch.linalg.inv(covariance)).t()
    farthest = (left @ root.t()).abs().amax(0)
    root = root / (farthest / _WIDEST).clamp(min=1)[:, None]
    return root, root @ slope.t(), root @ (mean_theta - mean_c @ slope)
