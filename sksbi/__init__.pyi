from sksbi._about import show_versions
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
    ModelComparison,
    PosteriorRegressor,
    QuantilePosterior,
)
from sksbi.persistence import load, save, trusted_types
from sksbi.sequential import SequentialInference
from sksbi.simulation import simulate, simulate_forever

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
    "SequentialInference",
    "__version__",
    "diagnose",
    "load",
    "save",
    "show_versions",
    "simulate",
    "simulate_forever",
    "trusted_types",
]
