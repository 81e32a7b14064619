"""Displays in scikit-learn's convention; matplotlib is imported when the first one is drawn."""

from sksbi.inspection.loss import LossDisplay
from sksbi.inspection.posterior import PosteriorDisplay
from sksbi.inspection.predictive import PredictiveDisplay

__all__ = ["LossDisplay", "PosteriorDisplay", "PredictiveDisplay"]
