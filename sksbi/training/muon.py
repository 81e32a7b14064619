r"""
Muon: momentum, orthogonalised, for stacks of matrices; AdamW for everything else.

A gradient step along a matrix of low rank leaves most directions as they were. Muon takes
:math:`U V^T` of the momentum :math:`U S V^T`, which moves all of them alike, and needs about half
as many steps as Adam for the same loss. :math:`U V^T` comes from a few Newton-Schulz iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from sksbi.utils.validation import check_count

__all__ = ["Muon"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_NARROWEST = 32
_TINY = 1e-7


class Muon(Optimizer):
    """
    Muon for stacks of matrices of at least 32 rows and columns, AdamW for all other parameters.

    Stacks have three dimensions, as the hidden layers of :class:`sksbi.nn.SplineFlow` and
    :class:`sksbi.nn.RatioMLP`; ``torch.optim.Muon`` takes single matrices only.

    Parameters
    ----------
    params : iterable
        The parameters, or groups of them.
    lr : float, default=1e-3
        The learning rate: how far a parameter of AdamW moves in a step.
    matrix_size : float, default=0.6
        How far the entries of a matrix move in a step, root mean square, in units of lr.
    momentum : float, default=0.95
        What is kept of the momentum of matrices in a step, which looks one step ahead (Nesterov).
    ns_steps : int, default=3
        The number of Newton-Schulz iterations.
    betas : tuple of float, default=(0.9, 0.99)
        What AdamW keeps of the mean and of the mean square of gradients.
    weight_decay : float, default=0.01
        What is taken off all parameters in a step, in units of lr.

    References
    ----------
    .. [1] Muon: an optimizer for hidden layers in neural networks (Jordan et al., 2024)
       https://kellerjordan.github.io/posts/muon/
    .. [2] Muon is scalable for LLM training (Liu et al., 2025) https://arxiv.org/abs/2502.16982
    .. [3] Decoupled weight decay regularization (Loshchilov and Hutter, 2019)
       https://arxiv.org/abs/1711.05101

    Examples
    --------
    >>> import torch
    >>> from sksbi.training.muon import Muon
    >>> weights = torch.zeros(2, 32, 32, requires_grad=True)
    >>> optimizer = Muon([weights], lr=0.1)
    >>> (weights - 1).square().sum().backward()
    >>> optimizer.step()
    >>> bool((weights > 0).all())
    True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        matrix_size: float = 0.6,
        momentum: float = 0.95,
        ns_steps: int = 3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.01,
    ) -> None:
        below_one = {"momentum": momentum, "betas": betas[0], "betas, the second,": betas[1]}
        for name, value in below_one.items():
            _check(name, value, 1.0)
        for name, value in {"matrix_size": matrix_size, "weight_decay": weight_decay}.items():
            _check(name, value, float("inf"))
        check_count(ns_steps, "ns_steps")
        defaults = {
            "lr": lr,
            "matrix_size": matrix_size,
            "momentum": momentum,
            "ns_steps": ns_steps,
            "betas": betas,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(  # type: ignore[override]  # torch says that a closure returns a float
        self, closure: Callable[[], Tensor] | None = None
    ) -> Tensor | None:
        """
        Make a step.

        Parameters
        ----------
        closure : callable or None, default=None
            Computes the loss and its gradients anew.

        Returns
        -------
        Tensor or None
            The loss, if there is a closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            present = [p for p in group["params"] if p.grad is not None]
            if not present:
                continue
            torch._foreach_mul_(present, 1 - group["lr"] * group["weight_decay"])
            for p in filter(_is_stack, present):
                self._step_stack(p, p.grad, group)
            if others := [p for p in present if not _is_stack(p)]:
                self._step_others(others, group)
        return loss

    def _step_stack(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move a stack of matrices along its orthogonalised momentum."""
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        direction = torch.lerp(gradient, state["momentum"], group["momentum"])
        size = group["matrix_size"] * max(p.shape[1:]) ** 0.5
        p.add_(orthogonalised(direction, group["ns_steps"]), alpha=-group["lr"] * size)

    def _step_others(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Move the other parameters as AdamW does."""
        states = [self.state[p] for p in parameters]
        for p, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros(())
                state["mean"], state["square"] = torch.zeros_like(p), torch.zeros_like(p)
            state["step"] += 1
        counts = [s["step"].item() for s in states]
        means, squares = [s["mean"] for s in states], [s["square"] for s in states]
        gradients = [p.grad for p in parameters if p.grad is not None]
        first, second = group["betas"]
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        sizes = torch._foreach_sqrt(squares)
        torch._foreach_mul_(sizes, [(1 - second**n) ** -0.5 for n in counts])
        torch._foreach_add_(sizes, _TINY)
        steps = [-group["lr"] / (1 - first**n) for n in counts]
        torch._foreach_addcdiv_(parameters, means, sizes, steps)


def orthogonalised(matrices: Tensor, steps: int) -> Tensor:
    """
    Bring the singular values of matrices near one by Newton-Schulz iterations.

    Parameters
    ----------
    matrices : Tensor of shape (E, m, k)
        The matrices.
    steps : int
        The number of iterations.

    Returns
    -------
    Tensor of shape (E, m, k)
        Matrices of the same singular vectors.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + _TINY)
    a, b, c = _COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x


def _is_stack(p: Tensor) -> bool:
    """Tell a stack of matrices that are wide and high enough."""
    return p.ndim == 3 and min(p.shape[1:]) >= _NARROWEST


def _check(name: str, value: float, high: float) -> None:
    """Hold that a number is in its range."""
    if not isinstance(value, Real) or not 0 <= value < high:
        raise ValueError(f"{name} must be a number >= 0 and < {high:g}, got {value!r}.")
