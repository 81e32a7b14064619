"""
Simulation-based inference with the scikit-learn estimator protocol.

From simulated pairs (theta, x) the estimators learn p(theta | x) for real observations.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sksbi._version import __version__ as __version__

# Imported when it is first asked for: all at once takes half a second, and scripts need a part.
# __init__.pyi has the same names, for what reads types.
_HOMES = {
    "sksbi._about": ["show_versions"],
    "sksbi.diagnostics": ["diagnose"],
    "sksbi.estimators": [
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
    ],
    "sksbi.persistence": ["load", "save", "trusted_types"],
    "sksbi.sequential": ["SequentialInference"],
    "sksbi.simulation": ["simulate", "simulate_forever"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return globals().setdefault(name, getattr(import_module(_HOME_OF[name]), name))
    if not name.startswith("_") and find_spec(f"sksbi.{name}"):
        return import_module(f"sksbi.{name}")
    raise AttributeError(f"module 'sksbi' has no attribute {name!r}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
