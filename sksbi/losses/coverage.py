r"""
Losses with a penalty on coverage: calibrated neural simulation-based inference.

The region of level a at x holds the most probable part of the estimated posterior with mass a. For
theta of the joint p(theta, x), the mass outside of the smallest region that holds it,

.. math::
    \alpha(\theta, x) = \int q(\theta' | x) 1[q(\theta' | x) < q(\theta | x)] d\theta',

is uniform where every region holds theta as often as its level says. An overconfident posterior
has too many small alpha. So the squared distance of the distribution of alpha from the uniform one,

.. math::
    \int_0^1 (P(\alpha \le t) - t)^2 dt,

is added to the loss. Of a batch of n rows it is the mean of (alpha_(i) - (i - 1/2) / n)^2 over the
sorted alpha, of which the part that n independent uniform numbers would have is taken off: what is
left is unbiased for batches of every size. The conservative penalty sees the rows alone whose alpha
is too small, and takes nothing off.

alpha is estimated by competitors theta_1, ..., theta_K of theta. Those of a ratio are draws from
the prior, the theta of other rows. Among them and theta, the posterior gives each a probability in
proportion to its ratio, so alpha is the probability of those of a lower ratio and, as there are
steps now, a random share of theta's own. With an exact ratio this is uniform for every K: few
competitors near theta make the penalty blind, and not wrong. A density's competitors are its own
draws, all equally probable. They carry the gradient where the flow's draws have one, else weights
q / q that are 1 and have the gradient of q.

The step 1[.] is exact; backwards its slope is that of a sigmoid, 0.3 nats wide for densities, and 1
nat for ratios: a narrower one is nearer to the truth, and its gradients are noisier.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from sksbi.losses.contrastive import contrastive_losses
from sksbi.losses.criterion import Criterion
from sksbi.losses.pairing import PairedCriterion
from sksbi.utils.random import borrowed_global_generator
from sksbi.utils.settings import check_flag
from sksbi.utils.validation import check_count, check_real

__all__ = ["CoverageContrastive", "CoverageLogLikelihood", "miscoverage"]

_OF_RATIOS, _OF_DENSITIES = 1.0, 0.3  # nats


class CoverageContrastive(PairedCriterion):
    """
    The contrastive loss with a penalty on coverage, for ratios.

    Parameters
    ----------
    strength : float, default=5.0
        The factor of the squared distance of coverage from its level, lambda in the paper.
    conservative : bool, default=False
        Whether only coverage below its level is penalised, which an overconfident posterior has.
    n_contrastive : int, default=16
        The number K of theta among which the classifier chooses, and by which coverage is
        estimated; a batch of n rows has n - 1 at most.
    gamma : float, default=1.0
        The odds that one of them is the own theta.

    Notes
    -----
    Regions are those of the highest ratio: of the highest density, where the prior is uniform.

    With early stopping the default strength changes little where the fit is not overconfident. Fits
    to few simulations without it take more, 20 to 50, or 300 if conservative. Without need, as much
    costs: noise in the gradients, and so a lower score where epochs are few.

    References
    ----------
    .. [1] Calibrating neural simulation-based inference with differentiable coverage probability
       (Falkiewicz et al., 2023) https://arxiv.org/abs/2310.13402

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import CoverageContrastive
    >>> def useless(theta):
    ...     return torch.zeros(theta.shape[:-1])
    >>> criterion = CoverageContrastive(strength=1.0, n_contrastive=1).eval()
    >>> bool(abs(criterion(useless, torch.zeros(4_000, 1)).mean() - 0.6931) < 0.005)
    True
    """

    _count_name = "n_contrastive"

    def __init__(
        self,
        strength: float = 5.0,
        conservative: bool = False,
        n_contrastive: int = 16,
        gamma: float = 1.0,
    ) -> None:
        super().__init__(n_contrastive)
        self.strength = check_real(strength, "strength")
        self.conservative = check_flag(conservative, "conservative")
        self.gamma = check_real(gamma, "gamma")

    def losses(self, joint: Tensor, marginal: Tensor, weight: Tensor | None) -> Tensor:
        """
        Add the penalty to the contrastive losses.

        Parameters
        ----------
        joint : Tensor of shape (..., n)
            Log-ratios of every x and its own theta; of several members the mixture is penalised.
        marginal : Tensor of shape (..., K, n)
            Log-ratios of every x and K other theta.
        weight : Tensor of shape (n,) or None
            Weights of the rows.

        Returns
        -------
        Tensor of shape (..., n)
            One loss a row.
        """
        losses = contrastive_losses(joint, marginal, self.gamma)
        log_r = torch.cat([joint[..., None, :], marginal], -2)
        log_r = log_r.reshape(-1, *log_r.shape[-2:]).logsumexp(0)
        share = torch.rand(joint.shape[-1], generator=self.generator).to(joint)
        shares = torch.where(log_r == log_r[0], share, 0.0)
        alpha = (log_r.softmax(0) * (_step(log_r[0] - log_r, _OF_RATIOS) + shares)).sum(0)
        return losses + self.strength * miscoverage(alpha, weight, self.conservative)


class CoverageLogLikelihood(Criterion):
    """
    Negative log-likelihood with a penalty on coverage, for densities.

    Parameters
    ----------
    strength : float, default=5.0
        The factor of the squared distance of coverage from its level, lambda in the paper.
    conservative : bool, default=False
        Whether only coverage below its level is penalised, which an overconfident posterior has.
    n_draws : int, default=16
        The number of draws from every posterior by which coverage is estimated. A training step
        takes about as many times as long.

    Notes
    -----
    With early stopping the default strength changes little where the fit is not overconfident. Fits
    to few simulations without it take more, 20 to 50, which without need lowers the score.

    References
    ----------
    .. [1] Calibrating neural simulation-based inference with differentiable coverage probability
       (Falkiewicz et al., 2023) https://arxiv.org/abs/2310.13402

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses import CoverageLogLikelihood
    >>> normal = torch.distributions.Normal(torch.zeros(2_000, 1), 1)
    >>> posterior = torch.distributions.Independent(normal, 1)
    >>> narrow = torch.distributions.Independent(torch.distributions.Normal(normal.mean, 0.3), 1)
    >>> theta = normal.sample()
    >>> penalised, plain = CoverageLogLikelihood(), CoverageLogLikelihood(strength=1e-9)
    >>> exact, too_narrow = (
    ...     float((penalised(q, theta) - plain(q, theta)).mean()) for q in (posterior, narrow)
    ... )
    >>> abs(exact) < 0.02, too_narrow > 0.3
    (True, True)
    """

    takes_weights = True

    def __init__(
        self, strength: float = 5.0, conservative: bool = False, n_draws: int = 16
    ) -> None:
        super().__init__()
        self.strength = check_real(strength, "strength")
        self.conservative = check_flag(conservative, "conservative")
        self.n_draws = check_count(n_draws, "n_draws")

    def forward(self, output: Any, theta: Tensor, weight: Tensor | None = None) -> Tensor:
        """
        Compute one loss a row.

        Parameters
        ----------
        output : torch.distributions.Distribution
            The estimated posteriors, with batch shape (n,) and event shape (D,).
        theta : Tensor of shape (n, D)
            The parameters.
        weight : Tensor of shape (n,), default=None
            Weights of the rows; None: all are equal.

        Returns
        -------
        Tensor of shape (n,)
            The losses.
        """
        alpha = self._alpha(output.mixture() if hasattr(output, "mixture") else output, theta)
        penalty = miscoverage(alpha, weight, self.conservative)
        return self.strength * penalty - output.log_prob(theta)

    def _alpha(self, posterior: Distribution, theta: Tensor) -> Tensor:
        """Estimate the mass of a lower density than theta's, (n,)."""
        generator, shape = self.generator, torch.Size([self.n_draws])
        share = torch.rand(len(theta), generator=generator).to(theta)
        with borrowed_global_generator(int(torch.randint(2**31 - 1, (), generator=generator))):
            draws = posterior.rsample(shape) if posterior.has_rsample else posterior.sample(shape)
        log_q = posterior.log_prob(torch.cat([theta[None], draws]))
        own, others = log_q[0], log_q[1:]
        steps = _step(own - others, _OF_DENSITIES) + torch.where(own == others, share, 0.0)
        if posterior.has_rsample:
            mass = steps.mean(0)
        else:
            mass = ((others - others.detach()).softmax(0) * steps).sum(0)
        return (self.n_draws * mass + share) / (self.n_draws + 1)


def miscoverage(alpha: Tensor, weight: Tensor | None, conservative: bool) -> Tensor:
    """
    Compute how far numbers are from a sample of the uniform distribution.

    Parameters
    ----------
    alpha : Tensor of shape (n,)
        Numbers in [0, 1].
    weight : Tensor of shape (n,) or None
        Weights of the rows; None: all are equal.
    conservative : bool
        Whether only numbers that are too small count.

    Returns
    -------
    Tensor of shape (n,)
        What each adds; the weighted mean is the squared distance, or, if conservative, its part
        that is too small. Of one row nothing can be told: 0.

    Examples
    --------
    >>> import torch
    >>> from sksbi.losses.coverage import miscoverage
    >>> uniform = (torch.arange(1_000) + 0.5) / 1_000
    >>> bool(miscoverage(uniform, None, False).mean().abs() < 1e-3)
    True
    >>> miscoverage(torch.zeros(1_000), None, False).mean().round(decimals=2)
    tensor(0.3300)
    """
    if len(alpha) == 1:
        return 0 * alpha
    shares = torch.ones_like(alpha) if weight is None else weight
    shares = shares / shares.sum()
    order = alpha.argsort(stable=True)
    expected = torch.empty_like(alpha)
    expected[order] = shares[order].cumsum(0) - shares[order] / 2
    if conservative:
        return (expected - alpha).relu().square()
    of_chance = shares * (1 / 3 - alpha + alpha.square()) - shares.square() / 12
    return ((alpha - expected).square() - of_chance) / (1 - shares.square().sum())


def _step(difference: Tensor, width: float) -> Tensor:
    """Tell what is positive, with the slope of a sigmoid."""
    soft = (difference / width).sigmoid()
    return soft + ((difference > 0).to(soft) - soft).detach()
