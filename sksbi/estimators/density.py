"""What estimators of a density of theta hold it against: the prior, and simulations held out."""

from __future__ import annotations

import torch
from scipy.stats import norm

from sksbi.data import Batches
from sksbi.posteriors.record import HeldOutRecord, record_held_out
from sksbi.priors import Prior
from sksbi.utils.batches import EVALUATION_BATCH

__all__ = ["DensityMixin"]


class DensityMixin:
    """Judging and recording a density, for an estimator whose network is a ConditionalDensity."""

    prior_: Prior | None
    _record: HeldOutRecord | None

    def _held_out_losses(self, net, spaces, valid):
        """Compute minus log-densities in the network's units: the flow's, and the prior's."""
        module = net.module_.eval()
        parts = [module(x).log_prob(u) for x, (u, _) in Batches(valid, EVALUATION_BATCH)]
        log_q = torch.cat(parts).cpu().double().numpy()
        u = valid.target.cpu().double().numpy()
        if self.prior_ is None:
            return -log_q, -norm.logpdf(u).sum(axis=1)
        theta = spaces[0].from_network(u)
        return -log_q, spaces[0].to_network(theta)[1] - self.prior_.log_prob(theta)

    def _remember(self, net, spaces, valid, seed, pairs, rows):
        """Record how the members agree, and how their mixture covers, on the rows held out."""
        valid = None if valid is None else valid.to(net.device)
        self._record = record_held_out(net.module_.eval(), valid, seed)
