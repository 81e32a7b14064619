"""Priors: one protocol over scipy's, torch's and a user's own distributions."""

from __future__ import annotations

from sksbi.priors.adapter import check_prior
from sksbi.priors.base import Prior
from sksbi.priors.unbounded import UnboundedPrior

__all__ = ["Prior", "UnboundedPrior", "check_prior"]
