"""Displays in scikit-learn's convention; matplotlib is imported when the first one is drawn."""

from sksbi.inspection.coverage import CoverageDisplay
from sksbi.inspection.grid import GridDisplay
from sksbi.inspection.loss import LossDisplay
from sksbi.inspection.marginals import MarginalsDisplay
from sksbi.inspection.misspecification import MisspecificationDisplay
from sksbi.inspection.posterior import PosteriorDisplay
from sksbi.inspection.predictive import PredictiveDisplay
from sksbi.inspection.ranks import RankDisplay
from sksbi.inspection.ratio import RatioDisplay
from sksbi.inspection.tarp import TarpDisplay
from sksbi.inspection.trace import TraceDisplay

__all__ = [
    "CoverageDisplay",
    "GridDisplay",
    "LossDisplay",
    "MarginalsDisplay",
    "MisspecificationDisplay",
    "PosteriorDisplay",
    "PredictiveDisplay",
    "RankDisplay",
    "RatioDisplay",
    "TarpDisplay",
    "TraceDisplay",
]
