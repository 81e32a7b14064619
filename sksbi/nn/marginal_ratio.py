r"""
Log-ratios of any of the parameters: a network that takes a mask.

For a subset A of the parameters, given as a mask b of ones and zeros,

.. math::
    \log r(\theta_A, x) = \log \frac{N(\theta_A | (M c + m)_A, S_{AA})}{N(\theta_A | t_A, T_{AA})}
    + f(z, c, b)

with the Gaussian of a ridge regression over that of theta alone, the same for all A, what is left
of theta after whitening by the former, z, which is zero outside of A, and a network f of z in the
context of c and b.

One fit gives all marginals (Rozet et al., 2021): pairs of the joint p(theta_A, x) are told from
pairs of p(theta_A) p(x), with masks that are drawn anew at every step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sksbi.nn.masked_gaussian import MaskedGaussian

__all__ = ["MarginalRatio", "MarginalRatioOf"]

_WIDEST, _BOUND = 5.0, 10.0


class MarginalRatio(nn.Module):
    """
    Log-ratio network of some of the parameters, (theta, context, mask) -> log r.

    Parameters
    ----------
    network : torch.nn.Module
        What is added to the Gaussian: it maps theta of shape (n, D), or if its attribute
        ``broadcasts`` is true (K, n, D), and a context of shape (n, C + D) to numbers of shape (n,)
        or (K, n), in training perhaps one more for every member.
    features : int
        The number D of parameters.
    context : int
        The width C of the context.

    References
    ----------
    .. [1] Arbitrary marginal neural ratio estimation for simulation-based inference
       (Rozet et al., 2021) https://arxiv.org/abs/2110.00449

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MarginalRatio, RatioMLP
    >>> ratio = MarginalRatio(RatioMLP(2, 3 + 2), 2, 3).eval()
    >>> mask = torch.tensor([[1.0, 0.0]])
    >>> theta, other = torch.tensor([[0.5, 0.0]]), torch.tensor([[0.5, 9.0]])
    >>> ratio(theta, torch.zeros(1, 3), mask) == ratio(other, torch.zeros(1, 3), mask)
    tensor([True])
    """

    broadcasts = True

    def __init__(self, network: nn.Module, features: int, context: int) -> None:
        super().__init__()
        self.network, self.features = network, features
        self.gaussian, self.prior = MaskedGaussian(features, context), MaskedGaussian(features, 0)

    def forward(self, theta: Tensor, c: Tensor, mask: Tensor | None = None) -> Tensor:
        """
        Estimate log-ratios.

        Parameters
        ----------
        theta : Tensor of shape (n, D) or (K, n, D)
            The parameters: one for every context, or K.
        c : Tensor of shape (n, C)
            The contexts.
        mask : Tensor of shape (n, D) or None, default=None
            1 for the parameters that are asked for, 0 for others. None: all are.

        Returns
        -------
        Tensor of shape (n,) or (K, n), in training perhaps one more for every member
            The log-ratios.
        """
        mask = c.new_ones(len(c), self.features) if mask is None else mask.to(c)
        columns, kinds = theta.movedim(-1, 0), mask.t()
        z, ladj = self.gaussian(columns, c.t(), kinds)
        before, ladj_before = self.prior(columns, c.t()[:0], kinds)
        gaussian = ladj - ladj_before + 0.5 * (before.square() - z.square()).sum(0)
        # Far out the Gaussian alone is to tell: what the network sees of it is bounded.
        z = (z / (1 + (z / _BOUND).square()).sqrt()).movedim(0, -1)
        context = torch.cat([c, mask], dim=1)
        if theta.dim() == 2 or getattr(self.network, "broadcasts", False):
            return gaussian + self._shaped(self.network(z, context), gaussian)
        context = context.expand(len(z), *context.shape).flatten(0, 1)
        return gaussian + self._shaped(self.network(z.flatten(0, 1), context), gaussian)

    @staticmethod
    def _shaped(log_r: Tensor, like: Tensor) -> Tensor:
        """Give what a network returned, (n,), (n, 1) or one for every member, the shape of rows."""
        return log_r.reshape(like.shape) if log_r.numel() == like.numel() else log_r

    def marginal(self, columns: Sequence[int]) -> MarginalRatioOf:
        """
        Fix the parameters that are asked for.

        Parameters
        ----------
        columns : sequence of int
            Which, in the order wanted.

        Returns
        -------
        MarginalRatioOf
            The network of these.
        """
        return MarginalRatioOf(self, columns)

    def start(self, theta: Tensor, c: Tensor, weight: Tensor) -> None:
        """
        Begin at the Gaussian of a ridge regression of theta on the context, over that of theta.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters, about standardised.
        c : Tensor of shape (n, C)
            The contexts.
        weight : Tensor of shape (n,)
            Weights of the rows, of mean 1.
        """
        self.gaussian.start(theta, c, weight, _WIDEST)
        self.prior.start(theta, c[:, :0], weight, _WIDEST)


class MarginalRatioOf(nn.Module):
    """
    The log-ratio network of some parameters: a :class:`MarginalRatio` with its mask fixed.

    Parameters
    ----------
    network : MarginalRatio
        The network of all.
    columns : sequence of int
        The parameters, in the order wanted.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MarginalRatio, RatioMLP
    >>> one = MarginalRatio(RatioMLP(2, 3 + 2), 2, 3).eval().marginal([1])
    >>> one(torch.zeros(7, 4, 1), torch.zeros(4, 3)).shape
    torch.Size([7, 4])
    """

    broadcasts = True

    def __init__(self, network: MarginalRatio, columns: Sequence[int]) -> None:
        super().__init__()
        self.joint, self.columns = network, list(columns)
        self.train(network.training)

    def forward(self, theta: Tensor, c: Tensor) -> Tensor:
        """
        Estimate log-ratios.

        Parameters
        ----------
        theta : Tensor of shape (n, k) or (K, n, k)
            The parameters: one for every context, or K.
        c : Tensor of shape (n, C)
            The contexts.

        Returns
        -------
        Tensor of shape (n,) or (K, n)
            The log-ratios.
        """
        mask = c.new_zeros(len(c), self.joint.features)
        mask[:, self.columns] = 1
        padded = theta.new_zeros(*theta.shape[:-1], self.joint.features)
        padded[..., self.columns] = theta
        log_r: Tensor = self.joint(padded, c, mask)
        return log_r
