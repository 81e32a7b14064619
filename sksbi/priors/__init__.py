"""Priors: one protocol over scipy's, torch's and a user's own distributions."""

from __future__ import annotations

from sksbi.priors.adapter import check_prior
from sksbi.priors.base import Prior

__all__ = ["Prior", "check_prior"]
