r"""
The loss of neural posterior estimation.

The posterior minimises the expected Kullback-Leibler divergence over the observations,

.. math::
    E_{p(x)} KL(p(\theta | x) || q(\theta | x)) = E_{p(\theta, x)} [-\log q(\theta | x)] + const,

and simulated pairs are draws from p(theta, x): no likelihood is needed.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributions import Distribution

__all__ = ["NegativeLogLikelihood"]


class NegativeLogLikelihood(nn.Module):
    """
    Negative log-likelihood of theta under the estimated posterior, -log q(theta | x).

    References
    ----------
    .. [1] Fast epsilon-free inference of simulation models with Bayesian conditional density
       estimation (Papamakarios and Murray, 2016) https://arxiv.org/abs/1605.06376

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import NegativeLogLikelihood
    >>> normal = torch.distributions.Normal(torch.zeros(3, 1), 1)
    >>> posterior = torch.distributions.Independent(normal, 1)
    >>> NegativeLogLikelihood()(posterior, torch.zeros(3, 1))
    tensor([0.9189, 0.9189, 0.9189])
    """

    def forward(self, posterior: Distribution, theta: Tensor) -> Tensor:
        """
        Compute one loss a row.

        Parameters
        ----------
        posterior : torch.distributions.Distribution
            The estimated posteriors, with batch shape (n,) and event shape (D,).
        theta : Tensor of shape (n, D)
            The parameters.

        Returns
        -------
        Tensor of shape (n,)
            The losses.
        """
        return -posterior.log_prob(theta)
