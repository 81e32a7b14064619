"""The estimated log-ratio log r(theta, x): an embedding of x, then a network on theta and that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from sksbi.nn.embedded import Embedded
from sksbi.nn.marginal_ratio import MarginalRatio
from sksbi.nn.ratio_mlp import RatioMLP
from sksbi.utils.choose import choose, construct
from sksbi.utils.validation import check_count

__all__ = ["ConditionalRatio", "LogRatio", "build_ratio_network", "ratio_network_names"]

_NETWORKS: dict[str, Callable[..., nn.Module]] = {"mlp": RatioMLP}


class ConditionalRatio(Embedded):
    """
    Ratio estimator: x -> context -> function theta -> log r(theta, x).

    Parameters
    ----------
    network : torch.nn.Module
        Maps theta of shape (n, D) and a context of shape (n, C) to log-ratios of shape (n,) or
        (n, 1). If it has an attribute ``broadcasts`` that is true, it is also given theta of shape
        (K, n, D), K for every context, and returns (K, n).
    embedding : torch.nn.Module
        Maps x of shape (n, ...) to features, which are flattened to the context of shape (n, C).

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import MLP, ConditionalRatio, RatioMLP
    >>> ratio = ConditionalRatio(RatioMLP(2, 8), MLP(5, 8)).eval()
    >>> ratio(torch.zeros(3, 5))(torch.zeros(7, 3, 2)).shape
    torch.Size([7, 3])
    """

    def __init__(self, network: nn.Module, embedding: nn.Module) -> None:
        super().__init__(embedding)
        self.network = network

    @property
    def head(self) -> nn.Module:
        """The ratio network."""
        return self.network

    def compile_networks(self) -> None:
        """Compile the embedding and the network by torch.compile, when each is first called."""
        if list(self.embedding.parameters()):
            self.embedding.compile()
        self.network.compile()

    def at(self, c: Tensor) -> LogRatio:
        """
        Fix the contexts.

        Parameters
        ----------
        c : Tensor of shape (n, C)
            The contexts, from :meth:`embed`.

        Returns
        -------
        LogRatio
            The function of theta that is left.
        """
        return LogRatio(self.network, c)

    def forward(self, x: Tensor) -> LogRatio:
        """
        Build the function theta -> log r(theta, x).

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            The observations.

        Returns
        -------
        LogRatio
            For n observations.
        """
        return self.at(self.embed(x))

    def marginal(self, columns: Sequence[int]) -> ConditionalRatio:
        """
        Take the ratio of some of the parameters, by a network that has marginals.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        ConditionalRatio
            With the same embedding.

        Raises
        ------
        TypeError
            If the network has no marginals.
        """
        if not isinstance(self.network, MarginalRatio):
            raise TypeError(
                f"network must be a MarginalRatio for there to be marginals, got {self.network!r}."
            )
        return ConditionalRatio(self.network.marginal(columns), self.embedding).eval()


class LogRatio:
    """
    The function theta -> log r(theta, x) for n observations.

    Parameters
    ----------
    network : torch.nn.Module
        As in :class:`ConditionalRatio`.
    c : Tensor of shape (n, C)
        The contexts.
    mask : Tensor of shape (n, D) or None, default=None
        For a network that has marginals, 1 for the parameters that are asked for, 0 for others.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import LogRatio, RatioMLP
    >>> log_ratio = LogRatio(RatioMLP(2, 8).eval(), torch.zeros(3, 8))
    >>> log_ratio(torch.zeros(3, 2)).shape, log_ratio(torch.zeros(7, 3, 2)).shape
    (torch.Size([3]), torch.Size([7, 3]))
    """

    def __init__(self, network: nn.Module, c: Tensor, mask: Tensor | None = None) -> None:
        self.network, self.c, self.mask = network, c, mask

    def masked(self, mask: Tensor) -> LogRatio:
        """
        Leave out some of the parameters, by a network that has marginals.

        Parameters
        ----------
        mask : Tensor of shape (n, D)
            For every observation, 1 for the parameters that are asked for, 0 for others.

        Returns
        -------
        LogRatio
            The function of those asked for; its theta has D columns all the same.
        """
        return LogRatio(self.network, self.c, mask)

    def __call__(self, theta: Tensor) -> Tensor:
        """
        Estimate log-ratios.

        Parameters
        ----------
        theta : Tensor of shape (n, D) or (K, n, D)
            One theta for every observation, or K.

        Returns
        -------
        Tensor of shape (n,) or (K, n)
            The log-ratios. A network of several members gives, in training, those of each member,
            one dimension more in front.
        """
        if theta.dim() == 2 or getattr(self.network, "broadcasts", False):
            given = (self.c,) if self.mask is None else (self.c, self.mask)
            log_r, n = self.network(theta, *given), theta.shape[:-1].numel()
            return log_r if log_r.numel() != n else log_r.reshape(theta.shape[:-1])
        c = self.c.expand(len(theta), *self.c.shape).flatten(0, 1)
        return self.network(theta.flatten(0, 1), c).reshape(theta.shape[:-1])


def ratio_network_names() -> list[str]:
    """
    List the ratio networks that have a name.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> from sksbi.nn import ratio_network_names
    >>> ratio_network_names()
    ['mlp']
    """
    return sorted(_NETWORKS)


def build_ratio_network(
    network: str | nn.Module | Callable[..., nn.Module],
    features: int,
    context: int,
    **options: object,
) -> nn.Module:
    """
    Build a network of theta and x from its name or its constructor.

    Parameters
    ----------
    network : str, torch.nn.Module or callable
        A name of :func:`ratio_network_names`; a module (theta, context) -> log-ratios, which is
        copied; or anything that is called as ``network(features, context, **options)`` and returns
        one.
    features : int
        The number D of parameters.
    context : int
        The width C of the context.
    **options : object
        Passed on to the constructor.

    Returns
    -------
    torch.nn.Module
        The network.

    Raises
    ------
    ValueError
        If the name is unknown, or the network cannot take theta and a context.
    TypeError
        If it is none of these, or does not take an option.

    Examples
    --------
    >>> from sksbi.nn import build_ratio_network
    >>> build_ratio_network("mlp", 2, 8, hidden_features=(32,)).members
    2
    """
    features, context = check_count(features, "features"), check_count(context, "context")
    otherwise = (
        "a module (theta, context) -> log-ratios, or a callable network(features, context, "
        "**options) that returns one"
    )
    constructor = choose(network, _NETWORKS, "network", otherwise)
    if isinstance(network, nn.Module):
        if options:
            raise TypeError(
                f"network must be {otherwise}; a module takes no options, got {options} as "
                "module__*."
            )
        return _tried(deepcopy(network), network, features, context)
    what = f"network={network!r}"
    built = construct(
        constructor, features, context, what=what, options=options, given_as="module__*"
    )
    return _tried(built, network, features, context)


def _tried(
    module: nn.Module, network: str | Callable[..., nn.Module], features: int, context: int
) -> nn.Module:
    """See on two rows that a network can be called, and gives one number a row."""
    try:
        with torch.no_grad():
            out = module.eval()(torch.zeros(2, features), torch.zeros(2, context))
        if out.numel() != 2:
            raise ValueError(f"it gives shape {tuple(out.shape)} for two rows")
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"network={network!r} must map theta of shape (n, {features}) and a context of shape "
            f"(n, {context}) to log-ratios of shape (n,). It said: {error}"
        ) from error
    return module.train()
