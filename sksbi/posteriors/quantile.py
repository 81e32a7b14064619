r"""
The posterior of one conditional density after the other.

.. math::
    q(\theta | x) = \prod_j q_j(\theta_j | \theta_{<j}, x)

Each comes from quantiles (:mod:`.quantile_spline`), in the units of a
:class:`sksbi.preprocessing.ParameterSpace`: no draw leaves the prior's support, and the density
integrates to one over it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sksbi.posteriors.base import Record
from sksbi.posteriors.density import DensityAt
from sksbi.posteriors.mixture import Normalised
from sksbi.posteriors.quantile_spline import QuantileSpline
from sksbi.preprocessing import ParameterSpace
from sksbi.utils.types import Array, Rows

__all__ = ["Conditional", "QuantileDensity", "QuantileFamily"]

Conditional = Callable[[Array, Array], QuantileSpline]  # of theta_<j (n, j) and x (n, ...)

_MOST_KEPT = 16


class QuantileDensity:
    """
    One conditional density after the other, in the context of x.

    Parameters
    ----------
    conditionals : sequence of callable, or callable
        One for each parameter: each maps the parameters before (n, j) and x (n, ...) to n
        densities. Or what gives these for an observation (...).
    """

    def __init__(
        self, conditionals: Sequence[Conditional] | Callable[[Array], Sequence[Conditional]]
    ) -> None:
        self.conditionals = conditionals
        self._kept: dict[bytes, Sequence[Conditional]] = {}

    def draw(
        self,
        x: Tensor,
        rows: Tensor,
        generator: torch.Generator,
        alike: tuple[Tensor, int] | None = None,
    ) -> Tensor:
        """
        Draw once for every row that is asked for.

        Parameters
        ----------
        x : Tensor of shape (m, ...)
            The observations.
        rows : Tensor of shape (n,), int
            Which of them.
        generator : torch.Generator
            Source of the noise.
        alike : tuple of (Tensor of shape (n,), int) or None, default=None
            A number for each row, and how many numbers there are: rows of the same number have the
            same noise. None: every row has its own.

        Returns
        -------
        Tensor of shape (n, D)
            The draws.
        """
        values, places = x.numpy(), rows.numpy()
        groups = self._groups(values[places])
        d = len(groups[0][1])
        numbers, n = (slice(None), len(rows)) if alike is None else alike
        noise = torch.randn((n, d), generator=generator, dtype=torch.float64)[numbers].numpy()
        u = np.empty(noise.shape)
        for some, conditionals in groups:
            for j, conditional in enumerate(conditionals):
                spline = conditional(u[some, :j], values[places[some]])
                u[some, j] = spline(noise[some, j])
        return torch.from_numpy(u)

    def log_prob(self, u: Tensor, x: Tensor) -> Tensor:
        """
        Compute log-densities.

        Parameters
        ----------
        u : Tensor of shape (n, D)
            The parameters.
        x : Tensor of shape (n, ...)
            The observation of each.

        Returns
        -------
        Tensor of shape (n,)
            The log-densities.
        """
        points, values = u.numpy(), x.numpy()
        log_q = np.zeros(len(points))
        for some, conditionals in self._groups(values):
            for j, conditional in enumerate(conditionals):
                spline = conditional(points[some, :j], values[some])
                log_q[some] += spline.log_prob(points[some, j])
        return torch.from_numpy(log_q)

    def _groups(self, x: Array) -> list[tuple[Rows, Sequence[Conditional]]]:
        """Give the conditionals, and the rows that each holds for."""
        if not callable(self.conditionals):
            return [(np.arange(len(x)), self.conditionals)]
        flat = np.ascontiguousarray(x.reshape(len(x), -1))
        _, first, group = np.unique(
            flat.view(f"V{flat.itemsize * flat.shape[1]}").ravel(),
            return_index=True,
            return_inverse=True,
        )
        make = self.conditionals
        return [(np.flatnonzero(group == k), self._of_one(make, x[i])) for k, i in enumerate(first)]

    def _of_one(
        self, make: Callable[[Array], Sequence[Conditional]], x: Array
    ) -> Sequence[Conditional]:
        """Get the conditionals of one observation; those of the last few are kept."""
        key = x.tobytes()
        if key not in self._kept:
            while len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = make(x)
        return self._kept[key]


class QuantileFamily(Normalised):
    """
    Posterior by conditional quantiles.

    Parameters
    ----------
    density : QuantileDensity
        The density, in the units of the space.
    theta_space : ParameterSpace
        The map between theta and these units.
    """

    def __init__(self, density: QuantileDensity, theta_space: ParameterSpace) -> None:
        self.density, self.theta_space = density, theta_space
        self.prior, self.verbose = theta_space.prior, 0
        self.record: Record | None = None

    def _at(self, x: Array) -> DensityAt:
        """Keep the observations."""
        return DensityAt(self, x, torch.from_numpy(np.array(x, dtype=np.float64)))
