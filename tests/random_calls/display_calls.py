"""The displays, and what their arguments are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sksbi import inspection

from .estimator_calls import ABSURD, choose, pairs
from .laws import Call
from .metric_calls import Arguments, dyadic
from .specimens import choice, count, flag, numbers, observation, only, real, seed

LEVELS = only(
    (0.5, 0.9), [0.25], np.array([0.5]), bad=((0.0,), (1.5,), "a", (np.nan,), None, (), ("a",))
)
LABEL = only(None, "ours")
TWO_NAMES = only(
    ["p", "q"], ("p", "q"), np.array(["p", "q"]), bad=(["p"], "pq", 3, ["p", "q", "r"])
)


def _stack(rng: np.random.Generator) -> Arguments:
    return {"draws": numbers(dyadic(rng, 12, 15, 2)), "theta": numbers(dyadic(rng, 12, 2))}


def _coverage(rng: np.random.Generator) -> Arguments:
    return {
        "log_prob_draws": numbers(dyadic(rng, 12, 15), infinite="below", width="open"),
        "log_prob_theta": numbers(dyadic(rng, 12), infinite="below"),
        "grid": flag(),
        "label": LABEL,
    }


def _marginals(rng: np.random.Generator) -> Arguments:
    more = {"level": real(0.75, high=1.0), "max_observations": count(5), "names": TWO_NAMES}
    return {**_stack(rng), **more, "random_state": seed()}


def _ranks(rng: np.random.Generator) -> Arguments:
    return {**_stack(rng), "names": TWO_NAMES, "difference": flag(), "label": LABEL}


def _tarp(rng: np.random.Generator) -> Arguments:
    references = numbers(dyadic(rng, 12, 2), none="open", rows="open")
    return {**_stack(rng), "references": references, "random_state": seed(), "label": LABEL}


def _misspecified(rng: np.random.Generator) -> Arguments:
    return {
        "x": numbers(dyadic(rng, 60, 3), rows="open"),
        "x_observed": observation(dyadic(rng, 3), None),
        "n_neighbors": count(5, most=ABSURD),
        "random_state": seed(),
        "log": only(None, True, False, bad=("yes", 0.5, [True])),
    }


def _posterior(rng: np.random.Generator) -> Arguments:
    return {
        "samples": numbers(dyadic(rng, 80, 2), rows="open", width="open"),
        "true_theta": numbers(dyadic(rng, 2), nan="open", none="open"),
        "names": TWO_NAMES,
        "levels": LEVELS,
    }


def _predictive(rng: np.random.Generator) -> Arguments:
    return {
        "x_simulated": numbers(dyadic(rng, 20, 3), rows="open"),
        "x_observed": numbers(dyadic(rng, 3), nan="open"),
        "levels": LEVELS,
        "log": flag(),
    }


def _ratio(rng: np.random.Generator) -> Arguments:
    return {
        "log_ratio_joint": numbers(dyadic(rng, 30), infinite="below", rows="open", width="open"),
        "log_ratio_marginal": numbers(dyadic(rng, 30), infinite="below", rows="open", width="open"),
        "n_bins": count(4),
    }


def _trace(rng: np.random.Generator) -> Arguments:
    return {
        "chains": numbers(dyadic(rng, 4, 12, 2), rows="open", width="open"),
        "names": TWO_NAMES,
        "max_chains": count(2),
        "kind": choice(str(rng.choice(["ranks", "density"]))),
    }


def _loss(rng: np.random.Generator) -> Arguments:
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0], "valid_loss": [3.0, 2.5, 2.0]}
    )
    bad = (
        None,
        3,
        "a",
        pd.DataFrame(),
        history[["epoch"]],
        [1.0],
        history.to_numpy(),
        {},
        history[:0],
    )
    return {"history": only(history, history[:1], bad=bad)}


def _estimated(*families: str) -> Any:
    """Describe what all held-out displays take."""

    def arguments(rng: np.random.Generator) -> Arguments:
        estimator, _ = choose(rng, families)
        theta, x = pairs(1 + int(rng.integers(5)), 12)
        return {
            "estimator": only(estimator, bad=(None, 3, "a", {}, type(estimator))),
            "theta": numbers(theta),
            "x": numbers(x),
            "n_samples": count(15),
            "random_state": seed(),
        }

    return arguments


def _reliability(rng: np.random.Generator) -> Arguments:
    found = _estimated("NRE", "ClassifierRatio")(rng)
    del found["n_samples"]
    return found


def _at_one(*families: str, n: int) -> Any:
    """Describe what displays of one posterior take."""

    def arguments(rng: np.random.Generator) -> Arguments:
        estimator, names = choose(rng, families)
        _, x = pairs(1 + int(rng.integers(5)), 1)
        return {
            "estimator": only(estimator, bad=(None, 3, "a", {}, type(estimator))),
            "x": observation(x[0], names),
            "n_samples": count(n),
            "random_state": seed(),
        }

    return arguments


def _on_grid(rng: np.random.Generator) -> Arguments:
    found = _at_one("NPE", "Pipeline", "NRE", "NLE", n=50)(rng)
    bounds = numbers(np.array([[0.25, 0.75], [-1.0, 2.0]]), none="open", rows="open", width="open")
    given = {"n_points": count(8, low=4, none="open", most=ABSURD), "bounds": bounds}
    return {"estimator": found["estimator"], "x": found["x"], **given}


def _simulated(theta: Any, rng: Any) -> Any:
    mean, sd = np.asarray(theta, dtype=float)
    return mean + sd * rng.normal(size=3)


def _predicted(rng: np.random.Generator) -> Arguments:
    found = _at_one("NPE", "NRE", n=20)(rng)
    simulator = only(_simulated, bad=(None, 3, "a", lambda theta: None, [_simulated]))
    return {"x_observed": found.pop("x"), **found, "simulator": simulator}


def _call(name: str, cls: Any, method: str, arguments: Any) -> Call:
    return Call(f"{name}.{method}", getattr(cls, method), arguments, ("x",), may_be_nan=True, few=2)


_PREDICTIONS = {
    "CoverageDisplay": _coverage,
    "MarginalsDisplay": _marginals,
    "PosteriorDisplay": _posterior,
    "PredictiveDisplay": _predictive,
    "RankDisplay": _ranks,
    "RatioDisplay": _ratio,
    "TarpDisplay": _tarp,
    "TraceDisplay": _trace,
}
_ESTIMATORS = {
    "CoverageDisplay": _estimated("NPE", "ClassifierRatio"),
    "MarginalsDisplay": _estimated("NPE", "Ensemble"),
    "RankDisplay": _estimated("NPE", "Ensemble"),
    "TarpDisplay": _estimated("NPE"),
    "RatioDisplay": _reliability,
    "GridDisplay": _on_grid,
    "PosteriorDisplay": _at_one("NPE", "Pipeline", "NRE", "NLE", n=50),
    "TraceDisplay": _at_one("NRE", "NLE", n=200),
    "PredictiveDisplay": _predicted,
}
CALLS = [
    *(_call(k, getattr(inspection, k), "from_predictions", v) for k, v in _PREDICTIONS.items()),
    *(_call(k, getattr(inspection, k), "from_estimator", v) for k, v in _ESTIMATORS.items()),
    _call(
        "MisspecificationDisplay", inspection.MisspecificationDisplay, "from_samples", _misspecified
    ),
    _call("LossDisplay", inspection.LossDisplay, "from_history", _loss),
]
