"""Calls of model comparison, of evidences, and of files."""

import contextlib
import functools
import tempfile
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import sksbi
from sksbi import ModelComparison
from sksbi.diagnostics import diagnose_models
from sksbi.samplers import NestedSampling

from .estimator_calls import FAMILIES, LIKELIHOODS, RATIOS, choose, dates_in, fitted, method, x_of
from .laws import Call
from .part_calls import with_signature
from .specimens import Argument, count, flag, numbers, observation, only, seed

Arguments = dict[str, Argument]
NAMES = ["near", "far"]
COLUMNS = ["a", "b"]
_TRUSTED = ("sksbi.samplers.nested.NestedSampling",)


def simulated(seed_: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Simulate two models."""
    rng = np.random.default_rng(seed_)
    models = np.arange(n) % 2
    x = rng.normal(models[:, None], 1.0, size=(n, 2))
    return np.round(x * 64) / 64, np.array(NAMES)[models]


@functools.cache
def compared(tables: bool) -> ModelComparison:
    """Fit a comparison."""
    x, models = simulated(0)
    given = pd.DataFrame(x, columns=COLUMNS) if tables else x
    return ModelComparison(LogisticRegression(), n_folds=2, random_state=0).fit(given, models)


def _labels(models: np.ndarray) -> Any:
    """Describe labels."""
    bad = (None, 3, "near", models[:-1], np.repeat("near", len(models)), [[1, 2]], {})
    return only(models, models.tolist(), pd.Series(models), models.astype(object), bad=bad)


def _fit_arguments(rng: np.random.Generator) -> Arguments:
    x, models = simulated(int(rng.integers(5)))
    return {"X": numbers(x, width="open", nan="open"), "y": _labels(models)}


def _fit(X: Any, y: Any) -> Any:
    comparison = ModelComparison(random_state=0).fit(X, y)
    return np.append(comparison.log_loss_, comparison.prior_)


def _constructor_arguments(rng: np.random.Generator) -> Arguments:
    own = {
        "classifier": only(None, LogisticRegression(), bad=("a", 3, LogisticRegression, [])),
        "prior": only(
            "equal",
            [0.5, 0.5],
            {"near": 0.5, "far": 0.5},
            pd.Series({"far": 0.5, "near": 0.5}),
            bad=("a", 3, [0.5], [1.0, 1.0], {"near": 1.0}, [np.nan, 1.0], {}, [[0.5, 0.5]]),
        ),
        "calibration": only("temperature", bad=("a", 3, True, [])),
        "n_folds": count(2, low=2, true="bad"),
        "n_jobs": only(None, 1, bad=()),
        "random_state": seed(),
    }
    kept = rng.choice(list(own), 3, replace=False)
    return {name: own[name] for name in kept}


def _construct(**parameters: Any) -> Any:
    """Fit with any parameters."""
    given = {"classifier": LogisticRegression()} | parameters
    return ModelComparison(**given).fit(*simulated(1)).shares_.to_numpy()


def _asked(rng: np.random.Generator) -> Arguments:
    tables = bool(rng.integers(2))
    names = COLUMNS if tables else None
    x, _ = simulated(1 + int(rng.integers(5)), 4)
    one = observation(x[0], names) if rng.integers(2) else numbers(x, rows="open")
    return {"self": only(compared(tables)), "x": one}


def _factors(rng: np.random.Generator) -> Arguments:
    return _asked(rng) | {"baseline": only("near", bad=("a", 3, [], {}, np.nan))}


def _predicted(rng: np.random.Generator) -> Arguments:
    x, _ = simulated(1 + int(rng.integers(5)), 4)
    return {"self": only(compared(bool(rng.integers(2)))), "X": numbers(x, rows="open")}


def _models_diagnosed(rng: np.random.Generator) -> Arguments:
    x, models = simulated(1 + int(rng.integers(5)), 60)
    return {
        "comparison": only(compared(False), bad=(None, 3, "a", LogisticRegression())),
        "x": numbers(x),
        "model": _labels(models),
        "x_observed": observation(x[0], None),
        "plot": flag(),
        "random_state": seed(),
    }


def _evidences(rng: np.random.Generator) -> Arguments:
    estimator, names = choose(rng, RATIOS + LIKELIHOODS)
    return {
        "self": only(estimator),
        "x": x_of(rng, estimator, names),
        "return_std": flag(),
        "sampler": only(None, bad=("slice", 3, NestedSampling, [])),
        "random_state": seed(),
    }


def _evidence_of_trials(rng: np.random.Generator) -> Arguments:
    estimator, _ = choose(rng, RATIOS + LIKELIHOODS)
    x = np.round(np.random.default_rng(int(rng.integers(5))).normal(size=(4, 3)) * 64) / 64
    return {
        "self": only(estimator),
        "x": numbers(x, rows="open", dates=dates_in(estimator)),
        "iid": only(True, np.True_, bad=("yes", None, 0.5)),
        "random_state": seed(),
    }


def _round_trip(obj: Any, path: Any, trusted: Any) -> Any:
    """Save something, load it, and ask both the same."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / path if isinstance(path, str | Path) else path
        sksbi.save(obj, place)
        again = sksbi.load(place, trusted=trusted)
    assert type(again) is type(obj)
    if hasattr(obj, "predict_proba") or not hasattr(obj, "get_params"):
        return 0.0
    x = np.zeros((2, 3))
    if hasattr(obj, "predict"):
        np.testing.assert_array_equal(again.predict(x), obj.predict(x))
    else:
        options = {"n_samples": 3, "random_state": 0}
        np.testing.assert_array_equal(again.sample(x, **options), obj.sample(x, **options))
    return 0.0


def _files(rng: np.random.Generator) -> Arguments:
    family = str(rng.choice(list(FAMILIES)))
    junk = (lambda: 0, compile("1", "", "eval"), (i for i in ()), {1: {2: lambda: 0}})
    objects = [fitted(family, False), fitted(family, True), FAMILIES[family](), compared(False)]
    return {
        "obj": only(objects[int(rng.integers(2))], bad=junk),
        "path": only("a.sksbi", Path("b.zip"), "c", bad=(None, 3, b"a", [])),
        "trusted": only(_TRUSTED, [], set(), bad=("a", 3, None, [3], b"a")),
    }


def _damaged(cut: Any, at: Any, byte: Any) -> Any:
    """Damage a file, and load it: a LoadError, or something that was there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.sksbi"
        sksbi.save(compared(True), path)
        content = bytearray(path.read_bytes())
        content[at % len(content)] = byte
        path.write_bytes(bytes(content[: len(content) - cut]))
        with contextlib.suppress(sksbi.exceptions.LoadError):
            sksbi.load(path)
    return 0.0


def _damages(rng: np.random.Generator) -> Arguments:
    cut = int(rng.integers(0, 200)) if rng.integers(2) else 0
    return {
        "cut": only(cut),
        "at": only(int(rng.integers(0, 1_000_000))),
        "byte": only(int(rng.integers(0, 256))),
    }


_PARAMETERS = signature(ModelComparison).parameters
_PUBLIC = ("X", "y", "x", "model", "prior", "baseline")
CALLS = [
    Call("ModelComparison.fit", _fit, _fit_arguments, _PUBLIC, few=1),
    Call("ModelComparison", _construct, _constructor_arguments, tuple(_PARAMETERS)),
    Call(
        "summary of models",
        with_signature(lambda self, **given: self.summary(**given), ModelComparison.summary),
        _asked,
    ),
    Call(
        "log_bayes_factors",
        with_signature(
            lambda self, **given: self.log_bayes_factors(**given),
            ModelComparison.log_bayes_factors,
        ),
        _factors,
    ),
    Call(
        "predict_proba",
        with_signature(
            lambda self, **given: self.predict_proba(**given), ModelComparison.predict_proba
        ),
        _predicted,
        _PUBLIC,
    ),
    Call("diagnose_models", diagnose_models, _models_diagnosed, may_be_nan=True, few=2),
    Call("log_evidence", method("log_evidence"), _evidences, may_be_nan=True),
    Call("log_evidence, trials", method("log_evidence"), _evidence_of_trials, may_be_nan=True),
    Call("save and load", _round_trip, _files, few=2),
    Call("load of damaged files", _damaged, _damages),
]
