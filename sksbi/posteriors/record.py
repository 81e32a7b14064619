r"""
What a fitted density did on simulations it was not trained on, held against a new observation.

Two doubts come before an answer is given. Members of an ensemble agree where simulations taught
them, and go apart where they extrapolate: their disagreement,

.. math::
    d(x) = E_{q(\theta | x)} \Big[ \log q(\theta | x)
    - \frac{1}{E} \sum_e \log q_e(\theta | x) \Big],

for flows, and what :meth:`sksbi.nn.ConditionalField.disagreement` computes for vector fields, is
compared with that for the simulations held out. And posteriors much like the one for x, of the
simulations held out, may have missed their true theta more often than they should.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import cdist
from torch import Tensor

from sksbi.data import TensorPairs
from sksbi.exceptions import MisspecificationWarning, TrainingWarning
from sksbi.nn.embedded import Density
from sksbi.posteriors.doubt import Doubt
from sksbi.utils.batches import EVALUATION_BATCH, batches
from sksbi.utils.devices import device_of
from sksbi.utils.subset import choose_rows

__all__ = ["HeldOutRecord", "LaterRecord", "record_held_out", "record_later"]

# Of 39 draws, two on either side leave out exactly a tenth.
_DRAWS, _DRAWS_OF_MEMBERS, _MOST_ROWS, _FEWEST_ROWS = 39, 16, 1_000, 20
_LEVEL, _SIGNIFICANT, _RARE = 0.9, 1e-3, 1e-3
_NEAREST_SHARE, _FEWEST_NEAREST, _MOST_NEAREST = 0.1, 20, 100
_CONTEXTS_PER_BATCH = 100
_TINY = 1e-12


class HeldOutRecord:
    """
    Disagreement and coverage of a density on simulations held out.

    Parameters
    ----------
    density : Density
        The density, on any device.
    theta : Tensor of shape (n, D)
        The parameters of the simulations, in its units.
    context : Tensor of shape (n, C)
        Their contexts.
    seed : int
        Seeds the draws.
    """

    def __init__(self, density: Density, theta: Tensor, context: Tensor, seed: int) -> None:
        draws, disagreement = _examine(density, context, seed)
        below = (draws < theta[:, None].cpu()).sum(1).numpy()
        tail = _tail()
        self.missed = (below < tail) | (below > _DRAWS - tail)
        self.like = _likeness(draws)
        self.scale = np.maximum(self.like.std(axis=0), _TINY)
        self.usual = _rarely_exceeded(disagreement)
        self.negligible = density.negligible
        self.seed = seed

    def doubts(self, posterior: Any) -> list[Doubt]:
        """
        Hold observations against the record, a thousand of more.

        Parameters
        ----------
        posterior : DensityAt
            The posteriors of m observations, by the density of the record.

        Returns
        -------
        list of Doubt
            What is in doubt, none but for a reason that is rare among so many observations.
        """
        n = posterior.n_observations
        rows = np.arange(n)[choose_rows(n, 1, 0, fewest=_MOST_ROWS)]
        # Of some parameters, all are examined: the record is of all, and the doubt is about x.
        draws, disagreement = _examine(posterior.density.joint, posterior.context[rows], self.seed)
        found = [self._where_apart(disagreement, rows), self._where_missed(draws, rows)]
        return [doubt for doubt in found if len(doubt.rows)]

    def marginal(self, columns: Sequence[int]) -> HeldOutRecord:
        """
        Make the record that posteriors of some of the parameters are held against.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        HeldOutRecord
            The same, but for the intervals of the other parameters.
        """
        made = copy(self)
        made.missed = self.missed[:, list(columns)]
        return made

    def _where_apart(self, disagreement: NDArray[np.float64], rows: NDArray[np.intp]) -> Doubt:
        """Find observations about which the members disagree."""
        n = len(rows)
        apart = np.flatnonzero(disagreement > max(self.usual, self.negligible))
        if len(apart) and stats.binom.sf(len(apart) - 1, n, _RARE) > 5 * _RARE:
            apart = apart[:0]
        up_to = "" if n == 1 else "up to "
        text = (
            "the members of the ensemble, networks trained alike, disagree about {who} by "
            f"{up_to}{disagreement.max():.2g} nats on average over the posterior; on simulations "
            f"held out hardly ever by {self.usual:.2g}. Hardly anything like it was simulated, "
            "and the posterior there may mean nothing. If the simulator can make such x, simulate "
            "more of them; if it cannot, the model is wrong."
        )
        return Doubt(MisspecificationWarning, text, rows[apart], n)

    def _where_missed(self, draws: Tensor, rows: NDArray[np.intp]) -> Doubt:
        """Find observations whose like missed their theta too often."""
        n_like = int(np.clip(_NEAREST_SHARE * len(self.like), _FEWEST_NEAREST, _MOST_NEAREST))
        distance = cdist(_likeness(draws) / self.scale, self.like / self.scale)
        like = np.argpartition(distance, n_like - 1, axis=1)[:, :n_like]
        missed = self.missed[like].sum(axis=1)
        share = 2 * _tail() / (_DRAWS + 1)
        p_value = stats.binom.sf(missed - 1, n_like, share)
        bad = np.flatnonzero(p_value.min(axis=1) < _SIGNIFICANT / missed.size)
        row, parameter = np.unravel_index(np.argmax(missed), missed.shape)
        covered = 1 - missed[row, parameter] / n_like
        text = (
            f"posteriors like that of {{who}} were too narrow: for the {n_like} most alike of the "
            f"simulations held out, 90% intervals held {{parameter}} {covered:.0%} of the time. "
            "Give more simulations, or see CalibratedPosterior and Ensemble."
        )
        return Doubt(TrainingWarning, text, rows[bad], len(rows), int(parameter))


def record_held_out(density: Density, valid: TensorPairs | None, seed: int) -> HeldOutRecord | None:
    """
    Make a record, where the density has members and the rows are enough.

    Parameters
    ----------
    density : Density
        The fitted density.
    valid : TensorPairs or None
        The simulations held out, on the density's device. A row is taken with a probability in
        proportion to its weight, so that those taken are draws from what the fit was trained for.
    seed : int
        Seeds the choice of rows and the draws.

    Returns
    -------
    HeldOutRecord or None
        The record of at most 1,000 rows, None of fewer than 20.
    """
    chosen = _choose(density, valid, seed)
    if chosen is None:
        return None
    return HeldOutRecord(density, chosen.target, _embedded(density, chosen.context), seed)


class LaterRecord:
    """
    What a record is made of when it is first asked for, as many calls may leave one.

    Parameters
    ----------
    target : ndarray of shape (n, D)
        The parameters of simulations held out, in the network's units.
    context : ndarray of shape (n, ...)
        What the network is given of their observations.
    seed : int
        Seeds the draws.
    """

    def __init__(
        self, target: NDArray[np.float32], context: NDArray[np.float32], seed: int
    ) -> None:
        self.target, self.context, self.seed = target, context, seed
        self.columns: list[int] | None = None
        self.made: HeldOutRecord | None = None

    def doubts(self, posterior: Any) -> list[Doubt]:
        """
        Hold observations against the record.

        Parameters
        ----------
        posterior : DensityAt
            The posteriors of m observations, by the density whose record it is.

        Returns
        -------
        list of Doubt
            As from :meth:`HeldOutRecord.doubts`.
        """
        if self.made is None:
            density = posterior.density.joint
            device = device_of(density)
            context = _embedded(density, torch.from_numpy(self.context).to(device))
            target = torch.from_numpy(self.target).to(device)
            self.made = HeldOutRecord(density, target, context, self.seed)
        record = self.made if self.columns is None else self.made.marginal(self.columns)
        return record.doubts(posterior)

    def marginal(self, columns: Sequence[int]) -> LaterRecord:
        """
        Make the record that posteriors of some of the parameters are held against.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.

        Returns
        -------
        LaterRecord
            The same, but for the intervals of the other parameters.
        """
        made = copy(self)
        made.columns = [i if self.columns is None else self.columns[i] for i in columns]
        return made


def record_later(density: Density, valid: TensorPairs | None, seed: int) -> LaterRecord | None:
    """
    Keep what a record is made of, where :func:`record_held_out` would make one.

    Parameters
    ----------
    density : Density
        The fitted density.
    valid : TensorPairs or None
        The simulations held out.
    seed : int
        Seeds the choice of rows and the draws.

    Returns
    -------
    LaterRecord or None
        The record.
    """
    chosen = _choose(density, valid, seed)
    if chosen is None:
        return None
    return LaterRecord(chosen.target.cpu().numpy(), chosen.context.cpu().numpy(), seed)


def _choose(density: Density, valid: TensorPairs | None, seed: int) -> TensorPairs | None:
    """Choose the rows of a record."""
    if valid is None or not density.has_members:
        return None
    source = torch.Generator().manual_seed(seed)
    weight = valid.weight.cpu()
    rows = (torch.rand(len(valid), generator=source) * weight.max() < weight).nonzero()[:, 0]
    rows = rows[torch.randperm(len(rows), generator=source)[:_MOST_ROWS]]
    if len(rows) < _FEWEST_ROWS:
        return None
    return valid.take(rows.numpy())


def _embedded(density: Density, x: Tensor) -> Tensor:
    """Embed observations."""
    with torch.no_grad():
        return torch.cat([density.embed(part) for part in x.split(EVALUATION_BATCH)])


def _tail() -> int:
    """Count the ranks that a central interval leaves out on either side."""
    return round((1 - _LEVEL) / 2 * (_DRAWS + 1))


def _examine(density: Density, context: Tensor, seed: int) -> tuple[Tensor, NDArray[np.float64]]:
    """Draw (n, S, D) from the posteriors, and compute how far members are apart at the draws."""
    noise = torch.Generator().manual_seed(seed)
    draws, disagreement = [], []
    density = density.coarser()
    for part in batches(len(context), _CONTEXTS_PER_BATCH):
        c, n = context[part], part.stop - part.start
        rows = torch.arange(n).repeat_interleave(_DRAWS)
        some = density.draw(c, rows, noise).unflatten(0, (n, _DRAWS))
        apart = density.disagreement(some[:, :_DRAWS_OF_MEMBERS], c)
        draws.append(some.cpu())
        disagreement.append(apart.double().cpu())
    return torch.cat(draws), torch.cat(disagreement).numpy()


def _likeness(draws: Tensor) -> NDArray[np.float64]:
    """Describe posteriors by means and log-deviations of their draws, (n, 2 D)."""
    values = draws.double().numpy()
    return np.concatenate([values.mean(axis=1), np.log(values.std(axis=1) + _TINY)], axis=1)


def _rarely_exceeded(values: NDArray[np.float64]) -> float:
    """Find what one in a thousand exceeds, beyond the largest of fewer by a log-normal tail."""
    logs = np.log(np.maximum(values, _TINY))
    normal = np.exp(logs.mean() + stats.norm.isf(_RARE) * logs.std())
    return float(max(np.quantile(values, 1 - _RARE), normal))
