"""
Conditional normalizing flows by name.

A flow is a density over theta given a context c, built from an invertible map f and a simple base,

    log q(theta | c) = log p(f(theta; c)) + log |det df/dtheta|.

All but "nsf" come from zuko. A flow is called as ``flow(features, context, **options)``.
"""

from __future__ import annotations

from collections.abc import Callable

import zuko
from torch import nn

from sksbi.nn.spline_flow import SplineFlow
from sksbi.utils.choose import choose, construct
from sksbi.utils.validation import check_count

__all__ = ["build_flow", "flow_names"]


def maf(features: int, context: int, transforms: int = 5, **options: object) -> nn.Module:
    """Build a masked autoregressive flow; for one parameter, splines: affine is Gaussian."""
    flow = zuko.flows.MAF if features > 1 else zuko.flows.NSF
    return flow(features, context, transforms=transforms, **options)


_FLOWS: dict[str, Callable[..., nn.Module]] = {
    "bpf": zuko.flows.BPF,
    "cnf": zuko.flows.CNF,
    "gmm": zuko.flows.GMM,
    "maf": maf,
    "nice": zuko.flows.NICE,
    "nsf": SplineFlow,
    "sospf": zuko.flows.SOSPF,
    "unaf": zuko.flows.UNAF,
}


def flow_names() -> list[str]:
    """
    List the flows that have a name.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> from sksbi.nn import flow_names
    >>> flow_names()
    ['bpf', 'cnf', 'gmm', 'maf', 'nice', 'nsf', 'sospf', 'unaf']
    """
    return sorted(_FLOWS)


def build_flow(
    flow: str | Callable[..., nn.Module], features: int, context: int, **options: object
) -> nn.Module:
    """
    Build a conditional flow from its name or its constructor.

    Parameters
    ----------
    flow : str or callable
        A name of :func:`flow_names`, or anything that is called as
        ``flow(features, context, **options)``.
    features : int
        The number of parameters theta.
    context : int
        The width of the context.
    **options : object
        Passed on to the constructor.

    Returns
    -------
    torch.nn.Module
        A module that maps a context to a distribution over theta.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If the constructor does not take an option, or is not callable.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import build_flow
    >>> flow = build_flow("maf", 2, 3, transforms=2)
    >>> flow(torch.zeros(5, 3)).log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """
    features, context = check_count(features, "features"), check_count(context, "context", low=0)
    if "transforms" in options:
        options["transforms"] = check_count(options["transforms"], "transforms")
    constructor = choose(flow, _FLOWS, "flow", "a callable flow(features, context, **options)")
    module = construct(
        constructor,
        features,
        context,
        what=f"flow={flow!r}",
        options=options,
        given_as="transforms, hidden_features and module__*",
        errors=(TypeError, ValueError, RuntimeError, LookupError),
    )
    if not isinstance(module, nn.Module):
        raise TypeError(f"flow={flow!r} must build a torch.nn.Module, got {module!r}.")
    return module
