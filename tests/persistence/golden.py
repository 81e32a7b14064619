"""
Write the files of a release, which later versions must load.

    python tests/persistence/golden.py

They are small, of every kind of estimator, and stay for ever; expected.npz holds their answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import sksbi
from sksbi import (
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
    QuantilePosterior,
)
from sksbi.pipeline import make_pipeline

FOLDER = Path(__file__).parent / "golden"
PRIOR = {"a": stats.norm(), "b": stats.uniform(-1, 2)}
NET = {"hidden_features": (8,), "max_epochs": 2, "random_state": 0}
FLOW = NET | {"flow": "maf", "transforms": 1}
KINDS: dict[str, Callable[[], Any]] = {
    "npe": lambda: NPE(PRIOR, **FLOW),
    "npe_splines": lambda: NPE(PRIOR, transforms=1, **NET),
    "nre": lambda: NRE(PRIOR, **NET),
    "nle": lambda: NLE(PRIOR, **FLOW),
    "fmpe": lambda: FMPE(PRIOR, **NET),
    "npse": lambda: NPSE(PRIOR, **NET),
    "amnpe": lambda: AMNPE(PRIOR, transforms=1, **NET),
    "amnre": lambda: AMNRE(PRIOR, **NET),
    "ensemble": lambda: Ensemble(NPE(PRIOR, **FLOW), n_estimators=2, random_state=0),
    "calibrated": lambda: CalibratedPosterior(NPE(PRIOR, **FLOW), n_samples=50, random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), NPE(PRIOR, **FLOW)),
    "classifier": lambda: ClassifierRatio(
        LogisticRegression(), PRIOR, n_folds=2, calibration="sigmoid", random_state=0
    ),
    "quantiles": lambda: QuantilePosterior(
        ExtraTreesRegressor(3, min_samples_leaf=20), PRIOR, levels=3, n_folds=2, random_state=0
    ),
}


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Simulate."""
    rng = np.random.default_rng(0)
    theta = np.column_stack([rng.normal(size=200), rng.uniform(-1, 1, 200)])
    return theta, theta + 0.5 * rng.normal(size=(200, 2))


def answer(fitted: Any) -> np.ndarray:
    """Ask for what every version must give."""
    theta, x = pairs()
    return fitted.log_prob(theta[:20], x[:20])


def main() -> None:
    """Fit, save, and write the answers down."""
    folder = FOLDER / sksbi.__version__
    folder.mkdir(parents=True, exist_ok=True)
    answers = {}
    for name, make in KINDS.items():
        fitted = make().fit(*pairs())
        sksbi.save(fitted, folder / f"{name}.sksbi")
        answers[name] = answer(fitted)
    np.savez(folder / "expected.npz", **answers)


if __name__ == "__main__":
    main()
