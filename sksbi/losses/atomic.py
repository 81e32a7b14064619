r"""
The loss of automatic posterior transformation, with atomic proposals.

Parameters may come from any proposal :math:`\tilde p(\theta)`. Given x and K + 1 of them, atoms,
one of which x was simulated from, the others drawn from the proposal, the probability that it was
:math:`\theta_k` is

.. math::
    \frac{p(\theta_k | x) / p(\theta_k)}{\sum_j p(\theta_j | x) / p(\theta_j)},

whatever the proposal. So the cross-entropy of that, with q for the posterior, is least where q is
the posterior under the prior p, up to a factor that depends on x alone.

Atoms stand for all parameters that were simulated, failed simulations too: of those that succeeded
alone, q would learn the posterior over the probability of success.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sksbi.losses.criterion import Criterion
from sksbi.utils.validation import check_count

__all__ = ["Atomic"]

# Times as many atoms: few of them are near a narrow posterior, and by few losses the training
# would stop where chance has it.
_IN_EVALUATION = 10


class Atomic(Criterion):
    """
    Cross-entropy of choosing among atoms: the loss of APT, also known as SNPE-C.

    For parameters that were drawn from anything but the prior, which it needs to know. The density
    is right where there are atoms, up to a constant; elsewhere the loss does not see it, and it may
    be anything. So draw parameters as widely as the posterior may reach, as rounds do.

    Parameters
    ----------
    n_atoms : int, default=10
        The number K of other theta; in evaluation, where losses are compared, ten times as many.

    References
    ----------
    .. [1] Automatic posterior transformation for likelihood-free inference (Greenberg et al., 2019)
       https://arxiv.org/abs/1905.07488

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import Atomic
    >>> normal = torch.distributions.Normal(torch.zeros(3, 1), 1)
    >>> prior = torch.distributions.Independent(normal, 1)
    >>> atomic = Atomic(n_atoms=3)
    >>> atomic.show(torch.randn(50, 1), lambda theta: prior.log_prob(theta[:, None])[:, 0])
    >>> atomic(prior, torch.zeros(3, 1))  # as likely as three others: log 4
    tensor([1.3863, 1.3863, 1.3863])
    """

    def __init__(self, n_atoms: int = 10) -> None:
        super().__init__()
        self.n_atoms = check_count(n_atoms, "n_atoms")
        self._atoms: Tensor | None = None

    def show(self, theta: Tensor, log_prior: Callable[[Tensor], Tensor]) -> None:
        """
        Show what atoms are drawn from.

        Parameters
        ----------
        theta : Tensor of shape (N, D)
            All parameters that were simulated, in the network's units.
        log_prior : callable
            The log-density of the prior in these units, (n, D) to (n,).
        """
        self._atoms, self._log_prior = theta, log_prior
        self._log_p = log_prior(theta)

    def forward(self, output: Any, theta: Tensor) -> Tensor:
        """
        Compute one loss a row.

        Parameters
        ----------
        output : torch.distributions.Distribution
            The estimated posteriors, with batch shape (n,) and event shape (D,).
        theta : Tensor of shape (n, D)
            The parameters.

        Returns
        -------
        Tensor of shape (n,)
            The losses.

        Raises
        ------
        RuntimeError
            If no atoms were shown.
        """
        if self._atoms is None:
            raise RuntimeError("criterion='atomic' takes its atoms from NPE: fit NPE with it.")
        posterior = output.mixture() if hasattr(output, "mixture") else output
        k = self.n_atoms if self.training else _IN_EVALUATION * self.n_atoms
        rows = torch.randint(len(self._atoms), (k, len(theta)), generator=self.generator)
        others, log_p = self._atoms[rows].to(theta), self._log_p[rows].to(theta)
        log_q = posterior.log_prob(torch.cat([theta[None], others]))
        log_p = torch.cat([self._log_prior(theta.cpu()).to(theta)[None], log_p])
        # Its own theta must not be there twice.
        again = (others == theta).all(-1)
        odds = log_q - log_p
        odds = torch.cat([odds[:1], odds[1:].masked_fill(again, -torch.inf)])
        return odds.logsumexp(0) - odds[0]
