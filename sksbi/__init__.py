"""
Simulation-based inference with the scikit-learn estimator protocol.

From simulated pairs (theta, x) the estimators learn p(theta | x) for real observations.
"""

from sksbi._version import __version__
from sksbi.diagnostics import diagnose
from sksbi.estimators import (
    AMNPE,
    AMNRE,
    FMPE,
    NLE,
    NPE,
    NPSE,
    NRE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    PosteriorRegressor,
    QuantilePosterior,
)
from sksbi.persistence import trusted_types
from sksbi.sequential import SequentialInference
from sksbi.simulation import simulate

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
    "PosteriorRegressor",
    "QuantilePosterior",
    "SequentialInference",
    "__version__",
    "diagnose",
    "simulate",
    "trusted_types",
]
