"""
Fitted posteriors: lazy distributions on arrays, in theta's own units.

A family of estimators fills in one of these; :mod:`sksbi.estimators` is the shell around them.
"""

from sksbi.posteriors.base import Draws, Posterior, PosteriorAt
from sksbi.posteriors.doubt import Doubt
from sksbi.posteriors.mixture import Normalised, NormalisedAt

__all__ = ["Doubt", "Draws", "Normalised", "NormalisedAt", "Posterior", "PosteriorAt"]
