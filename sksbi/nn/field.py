r"""
Vector fields that carry noise to a posterior.

With theta in units in which it is about standard normal given x, and z standard normal, a circle
leads from one to the other,

.. math::
    w_\phi = \cos\phi \; \theta + \sin\phi \; z, \qquad 0 \le \phi \le \pi / 2,

and the field

.. math::
    v(w, \phi, x) = E[-\sin\phi \; \theta + \cos\phi \; z \mid w_\phi = w, x]

carries its distributions into each other: draws of z that follow dw/dphi = v from pi/2 down to 0
are draws of p(theta | x), and the divergence of v along the way gives their density. Where a linear
regression leaves a standard normal posterior, v is zero: the field has to learn only the rest.

Other ways between noise and posterior are the same curve at another speed and scale. On the
straight line of flow matching, (1 - t) z + t theta, one is at tan(phi) = (1 - t) / t; in a
diffusion that preserves variance, at cos(phi) = alpha. The score of the diffused posterior is
-(w + cot(phi) v): it follows from the field, and the field from it.

E networks are trained side by side, and the field is their mean, the best that one can make of
several regressions. Tensors have members before rows, and features last, so that the contexts of
rows are taken in whole pieces of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from sksbi.nn.autoregressive import step_size
from sksbi.nn.regression import regress
from sksbi.utils.batches import batches
from sksbi.utils.choose import choose, construct
from sksbi.utils.settings import check_widths
from sksbi.utils.validation import check_count

__all__ = ["FieldAt", "VectorField", "build_field", "field_names"]

_LEAST = 0.01
_LOG_SCALE = 0.25
_ROWS_PER_PART = 1_024
_FARTHEST = 8.0


class VectorField(nn.Module):
    """
    Vector field (w, phi, context) -> v: E multilayer perceptrons, computed as one.

    Every layer sees the context and the angle. The last one begins at zero, and with it the field.

    Parameters
    ----------
    features : int
        The number D of parameters.
    context : int
        The width C of the context.
    hidden_features : sequence of int, default=(48, 48, 48)
        The widths of the hidden layers.
    members : int, default=4
        The number E of networks.
    frequencies : int, default=3
        The number of sines and cosines of the angle that the networks see.

    References
    ----------
    .. [1] Flow matching for scalable simulation-based inference (Wildberger et al., 2023)
       https://arxiv.org/abs/2305.17161
    .. [2] Simplifying, stabilizing and scaling continuous-time consistency models (Lu and Song,
       2024) https://arxiv.org/abs/2410.11081

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import VectorField
    >>> field = VectorField(2, 8).eval()
    >>> field.at(torch.zeros(5, 8))(torch.zeros(5, 2), torch.full((5,), 0.5)).shape
    torch.Size([5, 2])
    """

    root: Tensor
    slope: Tensor
    offset: Tensor
    multiples: Tensor

    def __init__(
        self,
        features: int,
        context: int,
        hidden_features: Sequence[int] = (48, 48, 48),
        members: int = 4,
        frequencies: int = 3,
    ) -> None:
        super().__init__()
        features = check_count(features, "features")
        context = check_count(context, "context")
        members = check_count(members, "members")
        hidden = check_widths(hidden_features, "hidden_features")
        n_times = 2 * check_count(frequencies, "frequencies") + 2
        self.features, self.members = features, members
        self.step_size = step_size(context)
        self.register_buffer("root", torch.eye(features))
        self.register_buffer("slope", torch.zeros(features, context))
        self.register_buffer("offset", torch.zeros(features))
        multiples = 2.0 * torch.arange(1, frequencies + 1)
        self.register_buffer("multiples", multiples, persistent=False)
        fan = features + context
        self.first = nn.Parameter(_uniform(members, hidden[0], features, fan=fan))
        self.contexts, self.times = nn.ParameterList(), nn.ParameterList()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        trunk = hidden[0]
        of_context = _uniform(members * trunk, context, fan=context)
        self.trunk_first = nn.Parameter(of_context / self.step_size)
        self.trunk_second = nn.Parameter(_uniform(members, trunk, trunk, fan=trunk))
        self.trunk_biases = nn.Parameter(torch.zeros(2, members, trunk, 1))
        self.factors = nn.ParameterList()
        for i, width in enumerate(hidden):
            seen, heard = (fan, n_times) if i == 0 else (4 * context, 4 * n_times)
            of_context = _uniform(members * width, context, fan=seen)
            self.contexts.append(nn.Parameter(of_context / self.step_size))
            self.times.append(nn.Parameter(_uniform(members * width, n_times, fan=heard)))
            self.biases.append(nn.Parameter(torch.zeros(members, width, 1)))
            self.factors.append(nn.Parameter(_uniform(members, 2 * width, trunk, fan=4 * trunk)))
        for before, after in zip(hidden[:-1], hidden[1:], strict=True):
            self.weights.append(nn.Parameter(_uniform(members, after, before, fan=before)))
        self.last = nn.Parameter(torch.zeros(members, features, hidden[-1]))
        self.linear = nn.Parameter(torch.zeros(members, features, features))
        self.linear_context = nn.Parameter(torch.zeros(members * features, context))
        self.last_bias = nn.Parameter(torch.zeros(members, features, 1))

    @torch.no_grad()
    def start(self, theta: Tensor, c: Tensor, weight: Tensor) -> None:
        """
        Choose the units of theta by a ridge regression on the context.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters, about standardised.
        c : Tensor of shape (n, C)
            The contexts.
        weight : Tensor of shape (n,)
            Weights of the rows, of mean 1.
        """
        root, slope, offset = regress(theta, c, weight)
        self.root[:], self.slope[:], self.offset[:] = root.float(), slope.float(), offset.float()

    def angles(self, phi: Tensor) -> Tensor:
        """
        Compute what the networks see of the angle.

        Parameters
        ----------
        phi : Tensor of shape (n,)
            The angles, from 0 to pi/2.

        Returns
        -------
        Tensor of shape (n, T)
            Sines, cosines and logarithms.
        """
        turns = phi[:, None] * self.multiples
        # A bare logarithm would change without end towards both ends, and ask for endless steps.
        log_ratio = _LOG_SCALE * ((phi.sin() + _LEAST) / (phi.cos() + _LEAST)).log()[:, None]
        return torch.cat([turns.cos(), turns.sin(), log_ratio, (2 * log_ratio).tanh()], dim=1)

    def at(self, c: Tensor) -> FieldAt:
        """
        Fix the contexts.

        Parameters
        ----------
        c : Tensor of shape (m, C)
            The contexts.

        Returns
        -------
        FieldAt
            The field that is left.
        """
        return FieldAt(self, c)


class FieldAt:
    """
    The field in m contexts, for n places: all contexts in turn, n / m times.

    Parameters
    ----------
    network : VectorField
        The networks.
    c : Tensor of shape (m, C)
        The contexts.

    Examples
    --------
    >>> import torch
    >>> from sksbi.nn import VectorField
    >>> field = VectorField(2, 8).eval().at(torch.zeros(5, 8)).take(torch.tensor([0, 0, 4]))
    >>> w = field.whiten(torch.zeros(3, 2))
    >>> v, divergence = field.with_divergence(w, torch.full((3,), 0.5))
    >>> v.shape, divergence.shape
    (torch.Size([3, 2]), torch.Size([3]))
    """

    def __init__(self, network: VectorField, c: Tensor) -> None:
        self.network, self.c = network, c
        # Beyond all that was simulated, products of what grows with c would have no bounds.
        scaled = network.step_size * c / (1 + (c / _FARTHEST).square()).sqrt()
        first, second = network.trunk_biases.mT
        h = silu(scaled @ self._members(network.trunk_first).mT + first)
        h = silu(h @ network.trunk_second.mT + second)
        self.hidden, self.factors = [], []
        for a, b, of_h in zip(network.contexts, network.biases, network.factors, strict=True):
            factor, shift = (h @ of_h.mT).chunk(2, dim=2)
            self.factors.append(1 + factor)
            self.hidden.append(scaled @ self._members(a).mT + b.mT + shift)
        self.output = scaled @ self._members(network.linear_context).mT + network.last_bias.mT

    def _members(self, weight: Tensor) -> Tensor:
        """Divide a matrix among the members."""
        return weight.unflatten(0, (self.network.members, -1))

    def take(self, rows: Tensor) -> FieldAt:
        """
        Take some of the contexts, the only one as often as is needed.

        Parameters
        ----------
        rows : Tensor of shape (k,), int
            Which.

        Returns
        -------
        FieldAt
            The field in k contexts, or in one.
        """
        if len(self.c) == 1:
            return self
        taken = copy(self)
        taken.c, taken.output = self.c[rows], self.output.index_select(1, rows)
        taken.hidden = [h.index_select(1, rows) for h in self.hidden]
        taken.factors = [h.index_select(1, rows) for h in self.factors]
        return taken

    def whiten(self, theta: Tensor) -> Tensor:
        """
        Bring theta to the units of the circle.

        Parameters
        ----------
        theta : Tensor of shape (n, D)
            The parameters.

        Returns
        -------
        Tensor of shape (n, D)
            The values.
        """
        return theta @ self.network.root.t() - self._center(len(theta))

    def colour(self, w: Tensor) -> Tensor:
        """
        Bring values back to units of theta.

        Parameters
        ----------
        w : Tensor of shape (n, D)
            The values.

        Returns
        -------
        Tensor of shape (n, D)
            The parameters.
        """
        right = (w + self._center(len(w))).t()
        return torch.linalg.solve_triangular(self.network.root, right, upper=True).t()

    def _center(self, n: int) -> Tensor:
        """Compute where the regression is zero."""
        center = self.c @ self.network.slope.t() + self.network.offset
        return center.repeat(n // len(center), 1)

    @property
    def log_det(self) -> Tensor:
        """The log-determinant of whitening."""
        return self.network.root.diagonal().log().sum()

    def __call__(self, w: Tensor, phi: Tensor) -> Tensor:
        """
        Evaluate the field.

        Parameters
        ----------
        w : Tensor of shape (n, D)
            The places.
        phi : Tensor of shape (n,)
            The angles.

        Returns
        -------
        Tensor of shape (n, D), in training (E, n, D)
            The mean of the members, in training each of them.
        """
        if self.network.training:
            return self._evaluate(w, phi)
        return self._in_parts(FieldAt._mean, w, phi)

    def with_divergence(self, w: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        """
        Evaluate the field and its divergence.

        Parameters
        ----------
        w : Tensor of shape (n, D)
            The places.
        phi : Tensor of shape (n,)
            The angles.

        Returns
        -------
        v : Tensor of shape (n, D)
            The field.
        divergence : Tensor of shape (n,)
            The sum of dv_i / dw_i.
        """
        both = self._in_parts(FieldAt._mean_with_trace, w, phi)
        return both[:, :-1], both[:, -1]

    def spread(self, w: Tensor, phi: Tensor) -> Tensor:
        """
        Compute how far the members are from their mean.

        Parameters
        ----------
        w : Tensor of shape (n, D)
            The places.
        phi : Tensor of shape (n,)
            The angles.

        Returns
        -------
        Tensor of shape (n,)
            Squared distances, averaged over the members.
        """
        return self._in_parts(FieldAt._spread, w, phi)[:, 0]

    def _in_parts(
        self, evaluate: Callable[[FieldAt, Tensor, Tensor], Tensor], w: Tensor, phi: Tensor
    ) -> Tensor:
        """Evaluate so few places at a time that a processor keeps them near, on the CPU."""
        m, n = len(self.c), len(phi)
        if w.is_cuda or n <= _ROWS_PER_PART:
            return evaluate(self, w, phi)
        rows = torch.arange(m, device=w.device).repeat(n // m)
        parts = [
            evaluate(self.take(rows[part]), w[part], phi[part])
            for part in batches(n, _ROWS_PER_PART)
        ]
        return torch.cat(parts)

    def _mean(self, w: Tensor, phi: Tensor) -> Tensor:
        """Average the members, (n, D)."""
        return self._evaluate(w, phi).mean(0)

    def _spread(self, w: Tensor, phi: Tensor) -> Tensor:
        """Compute squared distances of the members from their mean, (n, 1)."""
        v = self._evaluate(w, phi)
        return (v - v.mean(0)).square().sum(2).mean(0)[:, None]

    def _mean_with_trace(self, w: Tensor, phi: Tensor) -> Tensor:
        """Average the members and their divergence, (n, D + 1)."""
        network: VectorField = self.network
        slopes: list[Tensor] = []
        v = self._evaluate(w, phi, slopes)
        tangent = slopes[0][:, :, None] * network.first.mT[:, None]
        for weight, slope in zip(network.weights, slopes[1:], strict=True):
            tangent = (tangent.flatten(1, 2) @ weight.mT).unflatten(1, tangent.shape[1:3])
            tangent = slope[:, :, None] * tangent
        trace = torch.einsum("edh,endh->en", network.last, tangent)
        trace = trace + network.linear.diagonal(dim1=1, dim2=2).sum(1)[:, None]
        return torch.cat([v.mean(0), trace.mean(0)[:, None]], dim=1)

    def _evaluate(self, w: Tensor, phi: Tensor, slopes: list[Tensor] | None = None) -> Tensor:
        """Compute the members' fields (E, n, D), and the slopes of their hidden units."""
        network, times, h = self.network, self.network.angles(phi), w
        # Places of one context share it, along a dimension of their own.
        shape = len(phi) // len(self.c), len(self.c)
        layers = zip(
            [network.first, *network.weights], network.times, self.hidden, self.factors, strict=True
        )
        for weight, of_time, of_context, factor in layers:
            seen = (h @ weight.mT).unflatten(1, shape) * factor[:, None]
            at_time = (times @ self._members(of_time).mT).unflatten(1, shape)
            a = seen + at_time + of_context[:, None]
            h = silu(a)
            if slopes is not None:
                gate = a.sigmoid()
                slopes.append((factor[:, None] * gate * (1 + a - h)).flatten(1, 2))
            h = h.flatten(1, 2)
        output = (w @ network.linear.mT).unflatten(1, shape) + self.output[:, None]
        return h @ network.last.mT + output.flatten(1, 2)


_FIELDS: dict[str, Callable[..., nn.Module]] = {"mlp": VectorField}


def field_names() -> list[str]:
    """
    List the vector fields that have a name.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> from sksbi.nn import field_names
    >>> field_names()
    ['mlp']
    """
    return sorted(_FIELDS)


def build_field(
    network: str | Callable[..., nn.Module], features: int, context: int, **options: object
) -> VectorField:
    """
    Build a vector field from its name or its constructor.

    Parameters
    ----------
    network : str or callable
        A name of :func:`field_names`, or anything that is called as ``network(features, context,
        **options)`` and returns a :class:`VectorField`, or a module with its ``features`` and
        ``at(c)``, which returns an object with the methods of :class:`FieldAt`.
    features : int
        The number D of parameters.
    context : int
        The width C of the context.
    **options : object
        Passed on to the constructor.

    Returns
    -------
    VectorField
        The field.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor callable, does not take an option, or returns something else.

    Examples
    --------
    >>> from sksbi.nn import build_field
    >>> build_field("mlp", 2, 8, members=3).members
    3
    """
    otherwise = "a callable network(features, context, **options) that returns a VectorField"
    if isinstance(network, nn.Module):
        raise TypeError(f"network must be {otherwise}, got a module that is built: {network!r}.")
    constructor = choose(network, _FIELDS, "network", otherwise)
    what = f"network={network!r}"
    field = construct(
        constructor, features, context, what=what, options=options, given_as="module__*"
    )
    if not callable(getattr(field, "at", None)):
        raise TypeError(f"network must be {otherwise}, got {network!r}, which makes {field!r}.")
    return cast(VectorField, field)


def _uniform(*shape: int, fan: int) -> Tensor:
    """Draw weights of size 1 / sqrt(fan)."""
    return (2 * torch.rand(*shape) - 1) / fan**0.5
