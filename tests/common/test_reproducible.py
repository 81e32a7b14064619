"""The same seed gives the same numbers, everywhere, and no global generator notices."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from zuko.flows import MAF

from sksbi import NLE, ClassifierRatio, QuantilePosterior, simulate

Pairs = tuple[pd.DataFrame, pd.DataFrame]


def numbers(estimator: BaseEstimator, pairs: Pairs) -> np.ndarray:
    """Fit, and collect all that must be the same in the next run."""
    theta, x = pairs
    estimator = clone(estimator).fit(theta, x)
    draws = estimator.sample(x[:3], 10, random_state=3).to_numpy().ravel()
    results = [draws, estimator.log_prob(theta, x), estimator.map(x.iloc[0])]
    if hasattr(estimator, "history_"):
        results.append(estimator.history_[["train_loss", "valid_loss"]].to_numpy().ravel())
    return np.concatenate(results)


class NoisyFlow(torch.nn.Module):
    """A flow whose context is dropped out."""

    def __init__(self, features: int, context: int, **options: object) -> None:
        super().__init__()
        self.dropout, self.flow = torch.nn.Dropout(0.5), MAF(features, context, **options)

    def forward(self, c: torch.Tensor) -> torch.distributions.Distribution:
        return self.flow(self.dropout(c))


def with_noise(estimator: BaseEstimator) -> BaseEstimator:
    """Add a part that draws in training: dropout, from torch's global generator, or a forest."""
    if isinstance(estimator, ClassifierRatio):
        return clone(estimator).set_params(classifier=RandomForestClassifier(5, max_depth=4))
    if isinstance(estimator, QuantilePosterior):
        trees = HistGradientBoostingRegressor(max_iter=5, max_features=0.5)
        return clone(estimator).set_params(regressor=trees)
    if isinstance(estimator, NLE):
        return clone(estimator).set_params(flow=NoisyFlow)
    embedding = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5))
    return clone(estimator).set_params(embedding=embedding)


def with_sgd(estimator: BaseEstimator) -> BaseEstimator:
    """Take a plain optimizer."""
    if isinstance(estimator, ClassifierRatio):
        line = make_pipeline(StandardScaler(), SGDClassifier(alpha=0.1))
        return clone(estimator).set_params(classifier=line)
    if isinstance(estimator, QuantilePosterior):
        trees = GradientBoostingRegressor(n_estimators=5, subsample=0.5)
        return clone(estimator).set_params(regressor=trees)
    return clone(estimator).set_params(optimizer="sgd", lr=1e-2)


VARIANTS = {"as it is": clone, "noise": with_noise, "sgd": with_sgd}


@pytest.mark.parametrize(
    "vary",
    [
        clone,
        pytest.param(with_noise, marks=pytest.mark.core),
        pytest.param(with_sgd, marks=pytest.mark.slow),
    ],
)
def test_a_fit_is_repeated_bit_for_bit_beside_another(
    posterior: BaseEstimator, pairs: Pairs, vary: Callable[[BaseEstimator], BaseEstimator]
) -> None:
    """Two fits one by one, then both at once in threads, where the global generator differs."""
    at_once = isinstance(posterior, ClassifierRatio | QuantilePosterior)
    longer = {} if at_once else {"max_epochs": 6}
    cases = [vary(posterior).set_params(random_state=seed, **longer) for seed in (0, 1)]
    expected = [numbers(case, pairs) for case in cases]
    assert (expected[0] != expected[1]).mean() > 0.9
    barrier = Barrier(2)

    def together(case: BaseEstimator) -> np.ndarray:
        barrier.wait()
        return numbers(case, pairs)

    with torch.random.fork_rng(), ThreadPoolExecutor(2) as pool:
        torch.default_generator.manual_seed(7)
        for result, serial in zip(pool.map(together, cases), expected, strict=True):
            np.testing.assert_array_equal(result, serial)


# Global generators.


@contextmanager
def untouched_global_generators() -> Iterator[None]:
    """Hold that torch's and NumPy's global generators end as they began."""
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    torch_state = torch.get_rng_state()
    yield
    after = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    np.testing.assert_array_equal(after["key"], state["key"])
    assert after["pos"] == state["pos"]
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.core
@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("vary", VARIANTS.values(), ids=VARIANTS)
def test_fit_leaves_the_global_generators(
    posterior: BaseEstimator,
    pairs: Pairs,
    vary: Callable[[BaseEstimator], BaseEstimator],
    random_state: int | None,
) -> None:
    estimator = vary(posterior).set_params(random_state=random_state)
    with untouched_global_generators():
        estimator.fit(*pairs)


CALLS = {
    "sample": lambda e, theta, x: e.sample(x[:5], 3),
    "sample with a seed": lambda e, theta, x: e.sample(x[:5], 3, random_state=1),
    "map": lambda e, theta, x: e.map(x.iloc[0]),
    "summary": lambda e, theta, x: e.summary(x[:2]),
    "score": lambda e, theta, x: e.score(theta, x),
    "log_prob": lambda e, theta, x: e.log_prob(theta, x),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_methods_leave_the_global_generators(
    fitted: BaseEstimator, pairs: Pairs, call: Callable[..., object]
) -> None:
    with untouched_global_generators():
        call(fitted, *pairs)


def test_a_failing_fit_leaves_the_global_generators(trained: BaseEstimator, pairs: Pairs) -> None:
    estimator = with_noise(trained).set_params(lr=1e12, callbacks__gradient_clipping=None)
    with untouched_global_generators(), pytest.raises(FloatingPointError):
        estimator.fit(*pairs)


def test_flows_without_an_inverse_leave_the_global_generators(
    flow_density: BaseEstimator, pairs: Pairs
) -> None:
    mixture = clone(flow_density).set_params(flow="gmm", transforms=None)
    with untouched_global_generators():
        first = mixture.fit(*pairs).sample(pairs[1], 3)
        pd.testing.assert_frame_equal(mixture.sample(pairs[1], 3), first)


def noisy(theta: pd.Series, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(theta["mean"], theta["sd"], 4)


@pytest.mark.parametrize("random_state", [0, None])
def test_simulate_leaves_the_global_generators(prior: dict, random_state: int | None) -> None:
    with untouched_global_generators():
        simulate(noisy, prior, 20, random_state=random_state)


# random_state: None, an int, a RandomState or a Generator.


def draws(estimator: BaseEstimator, pairs: Pairs, random_state: object) -> np.ndarray:
    """Fit with a random state: log-densities, and draws that have a seed of their own."""
    fitted = clone(estimator).set_params(random_state=random_state).fit(*pairs)
    drawn = fitted.sample(pairs[1].iloc[0], 5, random_state=0).to_numpy()
    return np.concatenate([fitted.log_prob(*pairs), drawn.ravel()])


KINDS = {
    "int": int,
    "NumPy int": np.int64,
    "RandomState": np.random.RandomState,
    "Generator": np.random.default_rng,
}


@pytest.mark.core
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_equal_random_states_give_equal_fits(
    posterior: BaseEstimator, pairs: Pairs, kind: Callable[[int], object]
) -> None:
    first, second, other = (draws(posterior, pairs, kind(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert (first != other).mean() > 0.9


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_objects_that_draw_go_on(
    posterior: BaseEstimator, pairs: Pairs, kind: Callable[[int], object]
) -> None:
    estimator = clone(posterior).set_params(random_state=kind(0))
    first = estimator.fit(*pairs).seed_
    assert estimator.fit(*pairs).seed_ != first


def test_none_is_fresh_in_every_fit(posterior: BaseEstimator, pairs: Pairs) -> None:
    with torch.random.fork_rng():
        first, second = (
            (torch.default_generator.manual_seed(0), draws(posterior, pairs, None))[1]
            for _ in range(2)
        )
    assert (first != second).mean() > 0.9


@pytest.mark.core
@pytest.mark.parametrize("random_state", [5, np.int64(5)])
def test_sampling_twice_with_an_int_in_the_constructor(
    posterior: BaseEstimator, pairs: Pairs, random_state: int
) -> None:
    estimator = clone(posterior).set_params(random_state=random_state).fit(*pairs)
    x = pairs[1].iloc[0]
    pd.testing.assert_frame_equal(estimator.sample(x, 5), estimator.sample(x, 5))
    pd.testing.assert_frame_equal(estimator.summary(x), estimator.summary(x))
    assert (estimator.sample(x, 5, random_state=6) != estimator.sample(x, 5)).all(axis=None)


@pytest.mark.core
@pytest.mark.parametrize("make", [lambda: None, lambda: np.random.default_rng(0)])
def test_sampling_twice_without_one(
    posterior: BaseEstimator, pairs: Pairs, make: Callable[[], object]
) -> None:
    estimator = clone(posterior).set_params(random_state=make()).fit(*pairs)
    x = pairs[1].iloc[0]
    assert (estimator.sample(x, 5) != estimator.sample(x, 5)).all(axis=None)
    first = estimator.sample(x, 5, random_state=1)
    pd.testing.assert_frame_equal(estimator.sample(x, 5, random_state=1), first)


def test_a_generator_given_to_sample_goes_on(fitted: BaseEstimator, pairs: Pairs) -> None:
    x = pairs[1].iloc[0]
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    first = fitted.sample(x, 5, random_state=rng)
    pd.testing.assert_frame_equal(fitted.sample(x, 5, random_state=again), first)
    assert (fitted.sample(x, 5, random_state=rng) != first).all(axis=None)


def test_the_map_does_not_depend_on_chance(posterior: BaseEstimator, pairs: Pairs) -> None:
    estimator = clone(posterior).set_params(random_state=None).fit(*pairs)
    x = pairs[1].iloc[0]
    pd.testing.assert_series_equal(estimator.map(x), estimator.map(x))


def test_the_seed_is_an_integer_that_the_fit_drew(posterior: BaseEstimator, pairs: Pairs) -> None:
    seeds = [clone(posterior).set_params(random_state=seed).fit(*pairs).seed_ for seed in (0, 0, 1)]
    assert type(seeds[0]) is int
    assert seeds[0] == seeds[1] != seeds[2]


def test_the_number_of_torch_threads_is_left_alone(posterior: BaseEstimator, pairs: Pairs) -> None:
    before = torch.get_num_threads()
    clone(posterior).fit(*pairs)
    assert torch.get_num_threads() == before
