r"""
A Gaussian of theta given a context, and all its marginals.

With a mean linear in the context c and one covariance S,

.. math::
    p(\theta_A | c) = N(\theta_A | (M c + m)_A, S_{AA})

for every subset A of the parameters. The root L of S_AA, padded by ones for the parameters outside
of A, whitens: L^{-1} (theta - M c - m) is standard normal in A, and zero elsewhere. What comes
after it has the rest to learn, from the same scale whatever A is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sksbi.utils.validation import check_count

__all__ = ["MaskedGaussian"]

_START_ROWS = 100_000
_RIDGE, _LEAST_VARIANCE = 0.01, 1e-4


class MaskedGaussian(nn.Module):
    """
    Whitening by a Gaussian of any of the parameters, standard normal before it is fitted.

    Parameters
    ----------
    features : int
        The number D of parameters.
    context : int
        The width C of the context.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn.masked_gaussian import MaskedGaussian
    >>> gaussian = MaskedGaussian(2, 3)
    >>> mask = torch.tensor([[1.0], [0.0]])
    >>> gaussian(torch.ones(2, 1), torch.zeros(3, 1), mask)[0].tolist()
    [[1.0], [0.0]]
    """

    slope: Tensor
    offset: Tensor
    covariance: Tensor
    scale: Tensor

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        features = check_count(features, "features")
        context = check_count(context, "context", low=0)
        self.register_buffer("slope", torch.zeros(features, context))
        self.register_buffer("offset", torch.zeros(features, 1))
        self.register_buffer("covariance", torch.eye(features))
        self.register_buffer("scale", torch.ones(features, 1))

    def forward(self, theta: Tensor, c: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """
        Whiten.

        Parameters
        ----------
        theta : Tensor of shape (D, n) or (D, K, n)
            The parameters, one for every context, or K; those that the mask leaves out may be
            anything finite.
        c : Tensor of shape (C, n)
            The contexts.
        mask : Tensor of shape (D, n)
            1 for the parameters that are asked for, 0 for others.

        Returns
        -------
        z : Tensor of shape (D, n) or (D, K, n)
            What is left of the parameters, 0 for the others.
        ladj : Tensor of shape (n,)
            The log-determinants log |det dz/dtheta| among those asked for.
        """
        center, mask_of = self.slope @ c + self.offset, mask
        if theta.dim() > 2:
            center, mask_of = center[:, None], mask[:, None]
        left = mask_of * (theta - center)
        roots, kinds = self._roots(mask)
        inverses = torch.linalg.solve_triangular(
            roots, torch.eye(len(mask)).to(roots).expand_as(roots), upper=False
        )
        log_root = roots.diagonal(dim1=1, dim2=2).log().sum(1)
        ladj = -(log_root[kinds] + (mask * self.scale.log()).sum(0))
        z = _each(inverses, left.reshape(len(left), -1, left.shape[-1]), kinds)
        return (z / self.scale[:, None]).reshape(left.shape), ladj

    def invert(self, z: Tensor, c: Tensor, mask: Tensor) -> Tensor:
        """
        Find the parameters of what was whitened.

        Parameters
        ----------
        z : Tensor of shape (D, n)
            What :meth:`forward` gave, 0 where the mask is.
        c : Tensor of shape (C, n)
            The contexts.
        mask : Tensor of shape (D, n)
            1 for the parameters that are asked for, 0 for others.

        Returns
        -------
        Tensor of shape (D, n)
            The parameters, 0 for those that are not asked for.
        """
        roots, kinds = self._roots(mask)
        left = _each(roots, (z * self.scale)[:, None], kinds)[:, 0]
        return mask * (left + self.slope @ c + self.offset)

    def _roots(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the root of the covariance for each different mask, (U, D, D), and tell which."""
        if bool((mask == mask[:, :1]).all()):
            masks, kinds = mask[:, :1].t(), mask.new_zeros(mask.shape[1], dtype=torch.long)
        else:
            masks, kinds = torch.unique(mask.t(), dim=0, return_inverse=True)
        padded = masks[:, :, None] * masks[:, None] * self.covariance
        return torch.linalg.cholesky(padded + torch.diag_embed(1 - masks)), kinds

    @torch.no_grad()
    def start(self, theta: Tensor, c: Tensor, weight: Tensor, widest: float) -> None:
        """
        Take the ridge regression of theta on the context, and the covariance of what it leaves.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters, about standardised.
        c : Tensor of shape (n, C)
            The contexts.
        weight : Tensor of shape (n,)
            Weights of the rows, of mean 1.
        widest : float
            No parameter, whitened alone or beside all others, is to lie farther from 0.
        """
        n = min(len(theta), _START_ROWS)
        theta, c, weight = (t[:n].double() for t in (theta, c, weight[:, None]))
        weight = weight / weight.sum()
        mean_theta, mean_c = (weight * theta).sum(0), (weight * c).sum(0)
        theta, c, width = theta - mean_theta, c - mean_c, c.shape[1]
        gram = c.t() @ (weight * c) + (_RIDGE + width / n) * torch.eye(width).to(c)
        slope = torch.linalg.solve(gram, c.t() @ (weight * theta)).t()
        left = theta - c @ slope.t()
        covariance = left.t() @ (weight * left) / max(1 - width / n, 0.1)
        covariance += _LEAST_VARIANCE * torch.eye(len(covariance)).to(covariance)
        self.slope[:], self.offset[:, 0] = slope.float(), (mean_theta - slope @ mean_c).float()
        self.covariance[:] = covariance.float()
        left = (left * (weight > 0)).t()
        whole = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), left, upper=False)
        alone = left / covariance.diagonal().sqrt()[:, None]
        farthest = torch.maximum(whole.abs(), alone.abs()).amax(1) / widest
        self.scale[:, 0] = farthest.clamp(min=1).float()


def _each(matrices: Tensor, columns: Tensor, kinds: Tensor) -> Tensor:
    """Multiply columns (D, K, n) by the matrix of their kind, one for each of n."""
    if len(matrices) == 1:
        return (matrices[0] @ columns.flatten(1)).reshape(columns.shape)
    return torch.bmm(matrices[kinds], columns.permute(2, 0, 1)).permute(1, 2, 0)
