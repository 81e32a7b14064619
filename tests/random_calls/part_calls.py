"""Priors, samplers, data sets and simulations, and what their arguments are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats

from sksbi import datasets, persistence, samplers, simulation
from sksbi.diagnostics import to_inference_data
from sksbi.preprocessing.summaries import SummaryStatistics
from sksbi.priors import check_prior

from .laws import Call
from .metric_calls import Arguments, dyadic
from .specimens import Argument, choice, count, flag, numbers, only, seed


def with_signature(function: Callable[..., Any], of: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function the signature of another, whose arguments errors may name."""
    function.__signature__ = inspect.signature(of)  # type: ignore[attr-defined]
    return function


class Own:
    """A prior of a user: a square."""

    names = ("a", "b")
    support = (np.zeros(2), np.ones(2))

    def sample(self, n: int, random_state: Any) -> np.ndarray:
        return np.random.default_rng(random_state).random((n, 2))

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.where(((theta >= 0) & (theta <= 1)).all(axis=1), 0.0, -np.inf)


# Priors of two parameters, and what is none.
PRIORS = (
    {"a": stats.norm(0, 1), "b": stats.uniform(-1, 2)},
    [stats.expon(), stats.beta(2, 3)],
    (stats.t(3), stats.lognorm(1)),
    stats.multivariate_normal([0, 1], [[1, 0.5], [0.5, 1]]),
    torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), torch.ones(2)), 1),
    torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)),
    Own(),
)
NO_PRIORS = (
    None,
    "uniform",
    3,
    np.zeros(2),
    {},
    [],
    {"a": 3},
    {"a": stats.norm},
    [stats.norm(0, 1), None],
    [stats.norm(0, -1), stats.norm(0, 1)],
    [stats.norm(np.nan, 1), stats.norm(0, 1)],
    [stats.uniform(0, 0), stats.norm(0, 1)],
    {"a": stats.norm([0, 1], 1)},
    [stats.poisson(3), stats.norm(0, 1)],
    stats.norm,
    stats.norm(0, 1),
    stats.dirichlet([1, 2, 3]),
    torch.distributions.Bernoulli(torch.tensor([0.5, 0.5])),
    Own,
    object(),
    {1: stats.norm(0, 1), "b": stats.norm(0, 1)},
    {"a": [stats.norm(0, 1)]},
    [[stats.norm(0, 1)]],
)


def _described(prior: Any, n_features: Any = None) -> Any:
    """Adapt a prior, and draw from it."""
    adapted = check_prior(prior, n_features)
    return adapted.n_features, adapted.log_prob(adapted.sample(5, 0))


def _prior(rng: np.random.Generator) -> Arguments:
    good = PRIORS[rng.integers(len(PRIORS))]
    return {
        "prior": only(good, bad=NO_PRIORS),
        "n_features": only(None, np.int64(2), bad=(3, 0, -1, "2", 2.5, [2])),
    }


def _of_prior(method: str) -> Callable[..., Any]:
    """Take a method of priors, which come along."""
    of = getattr(type(check_prior(PRIORS[0])), method)
    return with_signature(lambda self, **given: getattr(self, method)(**given), of)


def _fixed(value: Any) -> Argument:
    return only(value)


def _theta_of(rng: np.random.Generator) -> Arguments:
    prior = check_prior(PRIORS[rng.integers(len(PRIORS))])
    theta = np.round(prior.sample(7, int(rng.integers(99))) * 64) / 64
    return {
        "self": _fixed(prior),
        "theta": numbers(theta, nan="open", rows="open", infinite="open", empty="open"),
    }


def _unbounded_of(rng: np.random.Generator) -> Arguments:
    prior = check_prior(PRIORS[rng.integers(len(PRIORS))])
    return {
        "self": _fixed(prior),
        "z": numbers(dyadic(rng, 7, 2), nan="open", rows="open", infinite="open", empty="open"),
    }


def _draws_of(rng: np.random.Generator) -> Arguments:
    prior = check_prior(PRIORS[rng.integers(len(PRIORS))])
    return {
        "self": _fixed(prior),
        "n": count(int(rng.integers(1, 9)), low=0),
        "random_state": seed(),
    }


def _box_of(rng: np.random.Generator) -> Arguments:
    prior = check_prior(PRIORS[rng.integers(2)])
    return {
        "self": _fixed(prior),
        "low": numbers(np.array([0.125, 0.25]), infinite="open", rounds=False),
        "high": numbers(np.array([0.5, 0.75]), infinite="open", rounds=False),
    }


def _truncated(self: Any, low: Any, high: Any) -> Any:
    return self.truncated(low, high).sample(5, 0)


def _columns_of(rng: np.random.Generator) -> Arguments:
    columns = (["b"], ["b", "a"], [1, 0], (0,), np.array([1]), [-1])
    bad = (["z"], [2], [0, 0], [], 0.5, [0.5], None, 3, [None], [[0]], ["a", "a"])
    return {"self": _fixed(check_prior(PRIORS[0])), "columns": only(*columns, bad=bad)}


def _marginal(self: Any, columns: Any) -> Any:
    return self.marginal(columns).sample(5, 0)


def _normal(z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return -0.5 * (z**2).sum(axis=-1)


class _Normal:
    """A density that can be drawn from, but not given observations."""

    log_prob = staticmethod(_normal)

    def sample(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return generator.standard_normal((*shape, 2))


_TARGET = samplers.Target(lambda z: z[..., 0], _Normal())
SAMPLERS = {
    "AffineInvariantEnsemble": samplers.AffineInvariantEnsemble,
    "ImportanceResampling": samplers.ImportanceResampling,
    "MetropolisHastings": samplers.MetropolisHastings,
    "NestedSampling": lambda **given: samplers.NestedSampling(**{"n_live": 20} | given),
    "SliceSampler": samplers.SliceSampler,
}
# scikit-learn takes True for one, where it checks parameters.
parameter = functools.partial(count, true="open")
SETTINGS: dict[str, Arguments] = {
    "AffineInvariantEnsemble": {
        "n_chains": parameter(8, none="open"),
        "n_warmup": parameter(5, low=0),
        "thin": parameter(2),
    },
    "ImportanceResampling": {
        "n_candidates": parameter(200, none="open"),
        "proposal": only(None, bad=("npe", 3, [], stats.norm(), _Normal(), _Normal)),
        "n_chains": parameter(8, none="open"),
    },
    "MetropolisHastings": {
        "n_chains": parameter(8, none="open"),
        "n_warmup": parameter(5, low=0),
        "thin": parameter(2, none="open"),
        "proposal": choice("mixture"),
        "step_size": only(None, 0.5, bad=(0.0, -1.0, "a", [1.0], np.nan)),
    },
    "NestedSampling": {
        "n_live": parameter(20, low=10),
        "n_networks": parameter(0, low=0),
        "n_chains": parameter(8, none="open"),
    },
    "SliceSampler": {
        "n_chains": parameter(8, none="open"),
        "n_warmup": parameter(5, low=0),
        "thin": parameter(2),
        "max_expansions": parameter(4),
    },
}


def _sampler(name: str) -> Call:
    """Make a sampler with any parameters, and draw with it."""

    def draw(
        log_prob: Any, initial: Any, n_samples: Any, random_state: Any, **parameters: Any
    ) -> Any:
        return SAMPLERS[name](**parameters).run(log_prob, initial, n_samples, random_state)

    def arguments(rng: np.random.Generator) -> Arguments:
        settings = list(SETTINGS[name])
        good = _TARGET if name in ("ImportanceResampling", "NestedSampling") else _normal
        kept = rng.choice(settings, int(rng.integers(1, len(settings) + 1)), replace=False)
        bad = (
            None,
            3,
            "a",
            lambda z: z,
            lambda z: z.sum(),
            lambda z: np.full(z.shape[:-1], np.inf),
            lambda z: "a",
            lambda z: None,
            lambda z: np.full(z.shape[:-1], np.nan),
            lambda z: _normal(z) + 1j,
            lambda z: _normal(z)[:, :1],
        )
        return {
            "log_prob": only(good, bad=bad),
            "initial": numbers(dyadic(rng, 2, 8, 2), rows="open", width="open"),
            "n_samples": count(int(rng.integers(10, 30))),
            "random_state": seed(),
            **{key: SETTINGS[name][key] for key in kept},
        }

    return Call(name, draw, arguments, tuple(SETTINGS[name]), may_be_nan=True)


TASKS = {name: datasets.load_task(name) for name in ("gaussian_linear", "two_moons", "slcp")}


def _of_task(method: str) -> Callable[..., Any]:
    """Take a method of tasks, which come along."""
    of = getattr(datasets.Task, method)
    return with_signature(lambda self, **given: getattr(self, method)(**given), of)


def _task(rng: np.random.Generator) -> Any:
    return TASKS[str(rng.choice(list(TASKS)))]


def _simulated(rng: np.random.Generator) -> Arguments:
    return {"self": _fixed(_task(rng)), "n_samples": count(5), "random_state": seed()}


def _task_theta(rng: np.random.Generator) -> Arguments:
    task = _task(rng)
    theta = dyadic(rng, 5, len(task.names)) / 4
    return {
        "self": _fixed(task),
        "theta": numbers(theta, rows="open", frames="open", empty="open"),
        "rng": seed(),
    }


def _task_pairs(rng: np.random.Generator) -> Arguments:
    task = _task(rng)
    theta, x = dyadic(rng, 5, len(task.names)) / 4, dyadic(rng, 5, task.n_outputs)
    return {"self": _fixed(task), "theta": numbers(theta, frames="open"), "x": numbers(x)}


def _task_observed(rng: np.random.Generator) -> Arguments:
    task = TASKS["gaussian_linear"]
    return {
        "self": _fixed(task),
        "x": numbers(dyadic(rng, task.n_outputs) / 4),
        "n_samples": count(5),
        "random_state": seed(),
    }


def _noisy(theta: Any, rng: Any) -> Any:
    return np.asarray(theta, dtype=float)[:2] + rng.normal(size=2)


def _silent(theta: Any) -> Any:
    return {"x": float(np.asarray(theta, dtype=float).sum())}


BAD_SIMULATORS = (
    None,
    3,
    "a",
    lambda theta: None,
    lambda theta: "a",
    lambda theta: object(),
    lambda theta: {1.0, 2.0},
    lambda theta: 1j,
    lambda theta: np.nan,
    lambda theta: [[1.0], [1.0, 2.0]],
    lambda theta: iter([1.0]),
    lambda theta: np.datetime64("2020-01-01"),
)


def _running(rng: np.random.Generator) -> Arguments:
    return {
        "simulator": only(_noisy, _silent, bad=BAD_SIMULATORS),
        "chunk_size": count(3),
        "on_error": choice(str(rng.choice(["drop", "raise", "keep"]))),
        "random_state": seed(),
        "vectorized": only(False, np.False_, bad=("yes", None, 0.5)),
    }


def _simulation(rng: np.random.Generator) -> Arguments:
    good = PRIORS[rng.integers(len(PRIORS))]
    return {"prior": only(good, bad=NO_PRIORS), "n_samples": count(7), **_running(rng)}


def _run(rng: np.random.Generator) -> Arguments:
    return {
        "theta": numbers(dyadic(rng, 7, 2), nan="open", rows="open", width="open"),
        **_running(rng),
    }


def _inference_data(rng: np.random.Generator) -> Arguments:
    d = int(rng.integers(1, 4))
    return {
        "draws": numbers(
            dyadic(rng, *(3, 6, d)[int(rng.integers(2)) :]), rows="open", width="open"
        ),
        "chains": flag(),
        "prior": numbers(dyadic(rng, 6, d), none="open", rows="open"),
        "observed_data": numbers(
            dyadic(rng, 4), none="open", nan="open", rows="open", width="open"
        ),
    }


def _as_arrays(**given: Any) -> Any:
    """Put draws into ArviZ's form, and take them out again."""
    data = to_inference_data(**given)
    return [variable.to_numpy() for group in data.children.values() for variable in group.values()]


def _statistics(rng: np.random.Generator) -> Arguments:
    return {
        "x": numbers(dyadic(rng, 40, 6)),
        "theta": numbers(dyadic(rng, 40, 2)),
        "n_components": count(2),
        "n_folds": count(2, low=2),
        "random_state": seed(),
    }


def _summaries(x: Any, theta: Any, **parameters: Any) -> Any:
    return SummaryStatistics(**parameters).fit_transform(x, theta).astype(float)


CALLS = [
    Call("check_prior", _described, _prior),
    *(
        Call(f"Prior.{name}", _of_prior(name), _theta_of, may_be_nan=True)
        for name in ("contains", "log_prob", "to_unbounded")
    ),
    Call("Prior.from_unbounded", _of_prior("from_unbounded"), _unbounded_of, may_be_nan=True),
    Call("Prior.sample", _of_prior("sample"), _draws_of),
    Call("Prior.truncated", _truncated, _box_of),
    Call("Prior.marginal", _marginal, _columns_of),
    *map(_sampler, SAMPLERS),
    Call(
        "build_sampler",
        samplers.build_sampler,
        lambda rng: {"sampler": choice(str(rng.choice(samplers.sampler_names())))},
    ),
    Call("load_task", datasets.load_task, lambda rng: {"name": choice("sir")}),
    Call("Task.simulate", _of_task("simulate"), _simulated),
    Call("Task.simulator", _of_task("simulator"), _task_theta, may_be_nan=True),
    Call("Task.log_likelihood", _of_task("log_likelihood"), _task_pairs),
    Call("Task.sample_posterior", _of_task("sample_posterior"), _task_observed),
    Call("simulate", simulation.simulate, _simulation, may_be_nan=True),
    Call("run_simulator", simulation.run_simulator, _run, may_be_nan=True),
    Call(
        "to_inference_data",
        with_signature(_as_arrays, to_inference_data),
        _inference_data,
        may_be_nan=True,
    ),
    Call("SummaryStatistics", _summaries, _statistics, ("n_components", "n_folds", "random_state")),
    Call(
        "trusted_types", persistence.trusted_types, lambda rng: {"obj": only({"a": 1}, [1.0], None)}
    ),
]
