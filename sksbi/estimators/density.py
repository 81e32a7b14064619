"""What estimators of a density of theta hold it against: the prior, and simulations held out."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sksbi.data import Batches
from sksbi.posteriors.record import HeldOutRecord, record_held_out, record_later
from sksbi.utils.batches import EVALUATION_BATCH
from sksbi.utils.types import Array

__all__ = ["DensityMixin"]


class DensityMixin:
    """Judging and recording a density, for an estimator whose network is a Density."""

    _record: HeldOutRecord | None
    _losses_of_prior: Callable[..., Array]
    _streams: bool

    def _held_out_losses(self, net, spaces, valid):
        """Compute minus log-densities in the network's units: its own, and the prior's."""
        density = net.module_.eval().coarser()
        batches = Batches(valid, EVALUATION_BATCH)
        parts = [density.log_prob(u, density.embed(x)) for x, (u, _) in batches]
        log_q = torch.cat(parts).cpu().double().numpy()
        return -log_q, self._losses_of_prior(spaces, valid)

    def _remember(self, net, spaces, valid, seed, pairs, rows):
        """Record how the members agree, and how their mixture covers, on the rows held out."""
        valid = None if valid is None else valid.to(net.device)
        record = record_later if self._streams else record_held_out
        self._record = record(net.module_.eval(), valid, seed)
