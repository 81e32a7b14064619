"""The estimators, one a file."""

from sksbi.estimators.amnpe import AMNPE
from sksbi.estimators.amnre import AMNRE
from sksbi.estimators.calibrated_posterior import CalibratedPosterior
from sksbi.estimators.classifier_ratio import ClassifierRatio
from sksbi.estimators.ensemble import Ensemble
from sksbi.estimators.fmpe import FMPE
from sksbi.estimators.model_comparison import ModelComparison
from sksbi.estimators.nle import NLE
from sksbi.estimators.npe import NPE
from sksbi.estimators.npse import NPSE
from sksbi.estimators.nre import NRE
from sksbi.estimators.quantile_posterior import QuantilePosterior
from sksbi.estimators.regressor import PosteriorRegressor

__all__ = [
    "AMNPE",
    "AMNRE",
    "FMPE",
    "NLE",
    "NPE",
    "NPSE",
    "NRE",
    "CalibratedPosterior",
    "ClassifierRatio",
    "Ensemble",
    "ModelComparison",
    "PosteriorRegressor",
    "QuantilePosterior",
]
