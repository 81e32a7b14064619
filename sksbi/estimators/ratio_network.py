"""What estimators of a ratio by a network hold it against: no ratio at all, and rows of x."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sksbi.data import Batches
from sksbi.losses.masked import MaskedCriterion
from sksbi.posteriors.normaliser import keep_rows
from sksbi.tables.layout import ObservationLayout
from sksbi.utils.batches import EVALUATION_BATCH
from sksbi.utils.types import Array

__all__ = ["RatioNetworkMixin"]

_REACH = 0.1


class RatioNetworkMixin:
    """Judging and recording a ratio, for an estimator whose network is a ConditionalRatio."""

    x_layout_: ObservationLayout
    _n_learnt: float | None = None  # absent from what earlier versions saved, as is the next
    _n_trials: int
    _reach: Array | None = None
    _some_x: Array
    _streams: bool
    _resumes: Callable[[], bool]
    _uninformed = "a ratio that is one everywhere"

    def _held_out_losses(self, net, spaces, valid):
        """Compute losses, the network's and those of ratios of one, with the same partners."""
        module, criterion = net.module_.eval(), net.criterion_.criterion.eval()
        if isinstance(criterion, MaskedCriterion):
            criterion = criterion.criterion  # a guess is made of all parameters
        takes_weights = getattr(criterion, "takes_weights", False)

        def losses(log_ratio):
            parts = [
                criterion(log_ratio(x), *(target if takes_weights else target[:1]))
                for x, target in Batches(valid, EVALUATION_BATCH)
            ]
            return torch.cat(parts).cpu().double().numpy()

        return losses(module), losses(lambda _: lambda u: u.new_zeros(u.shape[:-1]))

    def _remember(self, net, spaces, valid, seed, pairs, rows):
        """Keep x, over which ratios average to one, and how far theta reached."""
        layout = self.x_layout_
        self._n_trials = layout.count_trials(pairs.x)
        weight = pairs.weight.repeat(self._n_trials)
        goes_on = self._streams and self._resumes()
        before = self._some_x if goes_on else None
        self._some_x = keep_rows(layout.flat(pairs.x), weight, before)
        n_learnt = float(weight.sum() ** 2 / (weight**2).sum())
        self._n_learnt = n_learnt + (self._n_learnt or 0.0) if goes_on else n_learnt
        u, _ = spaces[0].to_network(pairs.theta)
        low, high = u.min(axis=0), u.max(axis=0)
        reach = np.stack([low - _REACH * (high - low), high + _REACH * (high - low)])
        if self._resumes() and self._reach is not None:
            low, high = self._reach
            reach = np.stack([np.minimum(reach[0], low), np.maximum(reach[1], high)])
        self._reach = reach
