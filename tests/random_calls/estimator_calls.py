"""The estimators, fitted once and asked many times, and their fits, and what the arguments are."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

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
    PosteriorRegressor,
    QuantilePosterior,
    diagnose,
)
from sksbi.exceptions import TrainingWarning
from sksbi.metrics import draw_held_out, get_scorer
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling, MetropolisHastings

from .laws import Call
from .metric_calls import Arguments
from .network_calls import NO_WIDTHS
from .part_calls import parameter, with_signature
from .specimens import Argument, choice, count, flag, numbers, observation, only, real, seed

PRIOR = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
NAMES = ["a", "b", "c"]
ABSURD = 10**15
TINY = {"hidden_features": (8,), "max_epochs": 1, "random_state": 0}
_CHAINS = MetropolisHastings(n_chains=8, n_warmup=10, thin=2)
_CANDIDATES = ImportanceResampling(2_000)
FAMILIES: dict[str, Callable[[], Any]] = {
    "NPE": lambda: NPE(PRIOR, transforms=1, **TINY),
    "NRE": lambda: NRE(PRIOR, sampler=_CHAINS, **TINY),
    "NLE": lambda: NLE(PRIOR, flow="maf", transforms=1, sampler=_CHAINS, **TINY),
    "FMPE": lambda: FMPE(PRIOR, **TINY),
    "NPSE": lambda: NPSE(PRIOR, **TINY),
    "AMNPE": lambda: AMNPE(PRIOR, transforms=1, **TINY),
    "AMNRE": lambda: AMNRE(PRIOR, sampler=_CHAINS, **TINY),
    "ClassifierRatio": lambda: ClassifierRatio(
        LogisticRegression(), PRIOR, n_folds=2, sampler=_CANDIDATES, random_state=0
    ),
    "QuantilePosterior": lambda: QuantilePosterior(
        GradientBoostingRegressor(loss="quantile", n_estimators=3),
        PRIOR,
        levels=3,
        n_folds=2,
        random_state=0,
    ),
    "Ensemble": lambda: Ensemble(FAMILIES["NPE"](), n_estimators=2, random_state=0),
    "CalibratedPosterior": lambda: CalibratedPosterior(
        FAMILIES["NPE"](), n_samples=50, random_state=0
    ),
    "Pipeline": lambda: make_pipeline(StandardScaler(), FAMILIES["NRE"]()),
    "LikelihoodPipeline": lambda: make_pipeline(StandardScaler(), FAMILIES["NLE"]()),
    "PosteriorRegressor": lambda: PosteriorRegressor(
        FAMILIES["NPE"](), n_samples=30, random_state=0
    ),
}
RATIOS = ("NRE", "AMNRE", "ClassifierRatio", "Pipeline")
LIKELIHOODS = ("NLE", "LikelihoodPipeline")
POSTERIORS = [name for name in FAMILIES if name != "PosteriorRegressor"]


def pairs(seed_: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Simulate."""
    rng = np.random.default_rng(seed_)
    theta = np.stack([rng.normal(size=n), rng.uniform(0.5, 2.0, n)], axis=1)
    theta = np.round(theta * 64) / 64
    x = theta[:, :1] + theta[:, 1:] * rng.normal(size=(n, 3))
    return theta, np.round(x * 64) / 64


@functools.cache
def fitted(family: str, tables: bool) -> Any:
    """Fit a family, on arrays or on tables."""
    theta, x = pairs(0)
    given = (pd.DataFrame(theta, columns=list(PRIOR)), pd.DataFrame(x, columns=NAMES))
    given = given if tables else (theta, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        estimator = FAMILIES[family]()
        is_regressor = family == "PosteriorRegressor"
        return estimator.fit(*(reversed(given) if is_regressor else given))


def choose(rng: np.random.Generator, families: tuple[str, ...]) -> tuple[Any, list[str] | None]:
    """Choose one, and tell the names of its x."""
    family, tables = str(rng.choice(families)), bool(rng.integers(2))
    return fitted(family, tables), NAMES if tables else None


def _fixed(value: Any) -> Argument:
    return only(value)


def method(name: str) -> Callable[..., Any]:
    """Take a method of estimators, which come along."""
    of = getattr(CalibratedPosterior, name)
    return with_signature(lambda self, **given: getattr(self, name)(**given), of)


def dates_in(estimator: Any) -> str:
    """Tell what comes of dates in x: the steps of a pipeline may take them."""
    return "open" if hasattr(estimator, "steps") else "bad"


def x_of(rng: np.random.Generator, estimator: Any, names: list[str] | None) -> Argument:
    """Describe one observation or a batch."""
    dates = dates_in(estimator)
    _, x = pairs(1 + int(rng.integers(5)), 4)
    if rng.integers(2):
        return observation(x[0], names, dates=dates)
    tables: dict[str, Any] = {"same: named frame": lambda: pd.DataFrame(x, columns=NAMES)}
    if names is not None:
        tables["bad: names in another order"] = lambda: pd.DataFrame(x, columns=names[::-1])
    return numbers(x, rows="open", dates=dates, extra=tables)


def _asking(*more: str, families: tuple[str, ...] = tuple(POSTERIORS)) -> Callable[..., Arguments]:
    """Describe the arguments of methods that are asked about x."""
    described: dict[str, Callable[[], Argument]] = {
        "n_samples": lambda: count(20, most=ABSURD),
        "random_state": seed,
        "level": lambda: real(0.75, high=1.0),
        "return_report": flag,
    }

    def arguments(rng: np.random.Generator) -> Arguments:
        estimator, names = choose(rng, families)
        found = {"self": _fixed(estimator), "x": x_of(rng, estimator, names)}
        return found | {name: described[name]() for name in more}

    return arguments


def _trials(rng: np.random.Generator) -> Arguments:
    estimator, _ = choose(rng, RATIOS + LIKELIHOODS)
    _, x = pairs(1 + int(rng.integers(5)), 5)
    return {
        "self": _fixed(estimator),
        "x": numbers(x, rows="open", dates=dates_in(estimator)),
        "n_samples": count(20),
        "iid": only(True, np.True_, bad=("yes", None, 0.5)),
        "random_state": seed(),
    }


def _paired(*more: str, families: tuple[str, ...] = tuple(POSTERIORS)) -> Callable[..., Arguments]:
    """Describe the arguments of methods that are asked about pairs."""

    def arguments(rng: np.random.Generator) -> Arguments:
        estimator, names = choose(rng, families)
        theta, x = pairs(1 + int(rng.integers(5)), 6)
        found = {"self": _fixed(estimator), **_theta_and_x(theta, x, estimator)}
        if "sample_weight" in more:
            found["sample_weight"] = numbers(np.arange(6.0), none="open")
        if "level" in more:
            found |= {"level": real(0.75, high=1.0), "random_state": seed()}
        return found

    return arguments


def _theta_and_x(theta: np.ndarray, x: np.ndarray, estimator: Any) -> Arguments:
    named = {"same: named frame": lambda: pd.DataFrame(theta, columns=list(PRIOR))}
    columns = {"same: named frame": lambda: pd.DataFrame(x, columns=NAMES)}
    return {
        "theta": numbers(theta, extra=named),
        "x": numbers(x, dates=dates_in(estimator), extra=columns),
    }


def _emulated(rng: np.random.Generator) -> Arguments:
    estimator, names = choose(rng, LIKELIHOODS)
    theta, _ = pairs(1 + int(rng.integers(5)), 4)
    own = list(PRIOR) if names is not None else None
    several = numbers(
        theta, extra={"same: named frame": lambda: pd.DataFrame(theta, columns=list(PRIOR))}
    )
    return {
        "self": _fixed(estimator),
        "theta": observation(theta[0], own) if rng.integers(2) else several,
        "n_samples": count(20, most=ABSURD),
        "random_state": seed(),
    }


def _level(rng: np.random.Generator) -> Arguments:
    estimator, _ = choose(rng, ("CalibratedPosterior",))
    return {"self": _fixed(estimator), "level": real(0.5, high=1.0)}


def _predicted(rng: np.random.Generator) -> Arguments:
    estimator, _ = choose(rng, ("PosteriorRegressor",))
    _, x = pairs(1 + int(rng.integers(5)), 6)
    return {"self": _fixed(estimator), "X": numbers(x, rows="open"), "return_std": flag()}


def _predict(self: Any, X: Any, return_std: Any) -> Any:
    return self.predict(X, return_std)


def _fit(family: str) -> Call:
    """Fit, and look at what was learnt."""

    def learnt(**given: Any) -> Any:
        estimator = FAMILIES[family]().fit(**given)
        theta, x = pairs(1, 3)
        if family == "PosteriorRegressor":
            return np.asarray(estimator.predict(x)).reshape(3, -1)
        return estimator.log_prob(theta, x)

    def arguments(rng: np.random.Generator) -> Arguments:
        theta, x = pairs(int(rng.integers(5)))
        any_table = ("ClassifierRatio", "QuantilePosterior")
        more = {"nan": "open"} if family in any_table else {}
        more |= {"dates": "open"} if family.endswith("Pipeline") else {}
        found = {
            "theta": numbers(theta, rounds=False, rows="bad", width="bad"),
            "x": numbers(x, width="open", rounds=family not in any_table, **more),
        }
        if family == "PosteriorRegressor":
            return {"X": found["x"], "y": found["theta"]}
        if family.endswith("Pipeline"):
            return found
        weight = 1.0 + np.arange(len(x)) % 3
        return found | {"sample_weight": numbers(weight, none="open", rounds=False)}

    names = (
        ("X", "y", "x", "theta")
        if family == "PosteriorRegressor"
        else ("theta", "x", "sample_weight")
    )
    return Call(f"{family}.fit", learnt, arguments, names, few=1)


NO_MASKS = ("pairs", None, 0.0, 1.5, np.nan, [[]], [["a"]], [[2]], [["sd", "sd"]], ["sd"])
SETTINGS: dict[str, Arguments] = {
    "NPE": {
        "flow": choice("maf"),
        "transforms": parameter(1, none="open"),
        "criterion": choice("negative_log_likelihood"),
    },
    "NRE": {
        "network": choice("mlp"),
        "criterion": choice("binary"),
        "sampler": choice("importance"),
    },
    "FMPE": {
        "network": choice("mlp"),
        "criterion": choice("flow_matching"),
        "tolerance": real(0.0009765625),
        "max_steps": parameter(50),
    },
    "NPSE": {
        "network": choice("mlp"),
        "criterion": choice("score_matching"),
        "tolerance": real(0.0009765625),
        "max_steps": parameter(50),
    },
    "AMNPE": {
        "masks": only("by_size", "uniform", 0.5, [[0]], [["sd"], [1, 0]], bad=NO_MASKS),
        "transforms": parameter(1, none="open"),
        "criterion": choice("negative_log_likelihood"),
    },
    "AMNRE": {
        "masks": only("by_size", "uniform", 0.5, [[0]], [["sd"], [1, 0]], bad=NO_MASKS),
        "network": choice("mlp"),
        "criterion": choice("binary"),
        "sampler": choice("importance"),
    },
    "NLE": {
        "flow": choice("maf"),
        "transforms": parameter(1, none="open"),
        "x_discrete": only("auto", False, [], bad=("a", 3, [7], ["z"])),
        "criterion": choice("negative_log_likelihood"),
        "sampler": choice("importance"),
    },
    "Ensemble": {
        "n_estimators": parameter(1),
        "verbose": only(0, False, bad=("yes", None, -1, 0.5, [0])),
    },
    "CalibratedPosterior": {
        "method": choice("conformal"),
        "n_samples": parameter(20),
        "cv": only(0.25, 2, bad=(0.0, 1.5, "a", -1, np.nan)),
    },
    "ClassifierRatio": {
        "calibration": choice("sigmoid", none="open"),
        "n_folds": parameter(2, low=2),
        "n_marginal": parameter(1),
        "sampler": choice("importance"),
        "classifier": only(
            LogisticRegression(), bad=("a", 3, LogisticRegression, StandardScaler())
        ),
    },
    "QuantilePosterior": {
        "levels": only(3, [0.1, 0.5, 0.9], bad=(2, "a", [0.5], [0.9, 0.5, 0.1], 0.5)),
        "trend": choice("auto", none="open"),
        "n_folds": parameter(2, low=2, none="open"),
        "n_context": parameter(10, low=2, none="open"),
        "regressor": only(
            ExtraTreesRegressor(3), bad=("a", 3, ExtraTreesRegressor, StandardScaler())
        ),
    },
    "PosteriorRegressor": {"n_samples": parameter(20)},
}
NETWORKS = ("NPE", "NRE", "NLE", "FMPE", "NPSE", "AMNPE", "AMNRE")
NEURAL: Arguments = {
    "hidden_features": only(None, (8, 8), [8], bad=NO_WIDTHS),
    "theta_transformer": only(None, StandardScaler(), bad=("a", 3, StandardScaler)),
    "x_transformer": only(None, StandardScaler(), "passthrough", bad=("a", 3, StandardScaler)),
    "x_features": only("auto", None, bad=("a", 3)),
    "optimizer": choice("adamw"),
    "lr": real(0.0078125),
    "batch_size": parameter(20, none="open"),
    "max_epochs": parameter(1, none="open"),
    "validation_fraction": only(0.25, 0.5, bad=(0.0, 1.0, -0.1, np.nan, "a", (1, 2), [0.1])),
    "patience": parameter(3, none="open"),
    "callbacks": only(None, [], (), bad=("a", 3, [3], [("a", 3)])),
    "device": only("cpu", "auto", bad=("nonsense", 3, None)),
    "compile": only(False, bad=("yes", None, 0.5)),
    "warm_start": flag(),
    "verbose": only(0, False, bad=("yes", None, -1, 0.5, [0])),
    "random_state": seed(),
}


def _constructor(family: str) -> Call:
    """Make an estimator with any parameters, fit it, and look at what was learnt."""
    cls = type(FAMILIES[family]())

    def learnt(**parameters: Any) -> Any:
        estimator = FAMILIES[family]().set_params(**parameters)
        theta, x = pairs(0, 40)
        if family == "PosteriorRegressor":
            return estimator.fit(x, theta).predict(x[:3])
        return estimator.fit(theta, x).log_prob(theta[:3], x[:3])

    def arguments(rng: np.random.Generator) -> Arguments:
        own = SETTINGS[family] | {"random_state": seed()}
        own |= NEURAL if family in NETWORKS else {}
        if family in ("NRE", "AMNRE"):
            own["batch_size"] = parameter(20, none="open", low=2)
        if family == "NLE":
            own = {k: v for k, v in own.items() if k != "x_features"}
            own["x_transformer"] = only(None, StandardScaler(), bad=("a", 3, "passthrough"))
        if family in (*NETWORKS, "ClassifierRatio"):
            own |= {
                "prior": only(
                    PRIOR, list(PRIOR.values()), bad=("a", 3, {}, [stats.norm()], {"a": 3})
                )
            }
        kept = rng.choice(list(own), min(4, len(own)), replace=False)
        return {name: own[name] for name in kept}

    return Call(family, learnt, arguments, tuple(signature(cls).parameters), few=2)


def _held_out(rng: np.random.Generator) -> Arguments:
    estimator, _ = choose(rng, ("NPE", "NRE", "NLE", "Pipeline"))
    theta, x = pairs(1 + int(rng.integers(5)), 6)
    given = _theta_and_x(theta, x, estimator)
    return {"estimator": _fixed(estimator), **given, "n_samples": count(15), "random_state": seed()}


def _drawn(**given: Any) -> Any:
    """Draw, and leave out the names, which are those of the columns of a table."""
    held_out = draw_held_out(**given)
    return [v for k, v in vars(held_out).items() if k != "names"]


def _scored(rng: np.random.Generator) -> Arguments:
    estimator, _ = choose(rng, ("NPE", "NRE", "NLE", "Pipeline"))
    theta, x = pairs(1 + int(rng.integers(5)), 6)
    return {"estimator": _fixed(estimator), **_theta_and_x(theta, x, estimator)}


def _diagnosed(rng: np.random.Generator) -> Arguments:
    found = _held_out(rng) | {"n_samples": count(20)}
    theta, x = pairs(1 + int(rng.integers(5)), 25)
    return (
        found
        | _theta_and_x(theta, x, None)
        | {"x_observed": observation(x[0], None), "plot": flag()}
    )


def _held_out_trials(rng: np.random.Generator, n: int = 5) -> Arguments:
    """Describe what is asked of draws given two trials of every theta."""
    estimator, _ = choose(rng, RATIOS + LIKELIHOODS)
    seed_of_pairs = 1 + int(rng.integers(5))
    theta, x = pairs(seed_of_pairs, n)
    _, more = pairs(seed_of_pairs + 1, n)
    given = _theta_and_x(theta, x, estimator)
    return {
        "estimator": _fixed(estimator),
        "theta": given["theta"],
        "x": numbers(np.stack([x, more], axis=1), dates=dates_in(estimator)),
        "iid": only(True, np.True_, bad=("yes", None, 0.5)),
        "n_samples": count(15),
        "random_state": seed(),
    }


def _diagnosed_trials(rng: np.random.Generator) -> Arguments:
    return _held_out_trials(rng, 12) | {"plot": only(False, bad=("no",))}


def _in_support(result: Any, _: Any) -> None:
    """Hold that draws are finite and lie strictly inside the support."""
    draws = np.asarray(result[0] if isinstance(result, tuple) else result)
    assert np.isfinite(draws).all(), draws
    assert ((draws[..., 1] > 0.5) & (draws[..., 1] < 2.0)).all(), draws


def _as_the_prior(result: Any, values: dict[str, Any]) -> None:
    """Hold that a density is zero exactly where the prior's is."""
    theta = np.asarray(values["theta"], dtype=float)
    inside = (theta[:, 1] >= 0.5) & (theta[:, 1] <= 2.0)
    assert np.array_equal(np.isfinite(result), inside), (result, theta)


_QUICK = ("NPE", "ClassifierRatio")
CALLS = [
    *map(_fit, FAMILIES),
    *map(_constructor, SETTINGS),
    Call("sample", method("sample"), _asking("n_samples", "random_state"), check=_in_support),
    Call(
        "sample, report",
        method("sample"),
        _asking("return_report", "random_state"),
        check=_in_support,
        may_be_nan=True,
    ),
    Call("sample, trials", method("sample"), _trials, check=_in_support),
    Call(
        "sample_chains",
        method("sample_chains"),
        _asking("n_samples", "random_state", families=("NRE",)),
    ),
    Call("summary", method("summary"), _asking("n_samples", "level", "random_state")),
    Call("map", method("map"), _asking(families=_QUICK), check=_in_support, few=1),
    Call("log_prob", method("log_prob"), _paired(), check=_as_the_prior),
    Call("score", method("score"), _paired("sample_weight")),
    Call("predict_ratio", method("predict_ratio"), _paired(families=RATIOS)),
    Call("predict_log_ratio", method("predict_log_ratio"), _paired(families=RATIOS)),
    Call("log_likelihood", method("log_likelihood"), _paired(families=LIKELIHOODS)),
    Call("emulate", method("emulate"), _emulated),
    Call("nominal_level", method("nominal_level"), _level),
    Call(
        "credible_region",
        method("credible_region"),
        _asking("level", "random_state", families=("CalibratedPosterior",)),
    ),
    Call("in_region", method("in_region"), _paired("level", families=("CalibratedPosterior",))),
    Call("predict", _predict, _predicted),
    Call("draw_held_out", with_signature(_drawn, draw_held_out), _held_out),
    Call("draw_held_out, trials", with_signature(_drawn, draw_held_out), _held_out_trials),
    *(
        Call(
            f"scorer, {name}",
            get_scorer(name, n_samples=15),
            _scored,
            may_be_nan=name == "log_prob",
        )
        for name in ("log_prob", "coverage", "tarp")
    ),
    Call("diagnose", diagnose, _diagnosed, may_be_nan=True, few=2),
    Call("diagnose, trials", diagnose, _diagnosed_trials, may_be_nan=True, few=1),
]
