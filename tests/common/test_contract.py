"""What every estimator of p(theta | x) promises about its inputs and its results."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator, clone

from sksbi import NLE, ClassifierRatio, QuantilePosterior

Pairs = tuple[pd.DataFrame, pd.DataFrame]
Arrays = tuple[np.ndarray, np.ndarray]


def rounding(estimator: BaseEstimator) -> float:
    """Tell how far tables and arrays may differ: scikit-learn sums columns of both otherwise."""
    return 1e-9 if isinstance(estimator, ClassifierRatio | QuantilePosterior) else 0.0


def same(first: BaseEstimator, second: BaseEstimator, x: object) -> None:
    """Hold that two fits give the same draws, bit for bit."""
    draws = (np.asarray(e.sample(x, 20, random_state=1)) for e in (first, second))
    np.testing.assert_array_equal(*draws)


# One observation or a batch: the dimensions of x in fit decide.

ONE = {
    "array": lambda x: x.iloc[0].to_numpy(),
    "list": lambda x: x.iloc[0].tolist(),
    "tuple": lambda x: tuple(x.iloc[0]),
    "dict": lambda x: x.iloc[0].to_dict(),
    "Series": lambda x: x.iloc[0],
    "Series of objects": lambda x: x.iloc[0].astype(object),
}
ONE_ROW = {
    "array": lambda x: x.to_numpy()[:1],
    "list": lambda x: x.to_numpy()[:1].tolist(),
    "DataFrame": lambda x: x.iloc[:1],
}


@pytest.mark.core
@pytest.mark.parametrize("form", ONE.values(), ids=ONE)
def test_one_observation_in_every_form(
    fitted: BaseEstimator, pairs: Pairs, form: Callable[[pd.DataFrame], object]
) -> None:
    expected = fitted.sample(pairs[1].to_numpy()[0], 5)
    assert expected.shape == (5, 2)
    pd.testing.assert_frame_equal(fitted.sample(form(pairs[1]), 5), expected)


@pytest.mark.parametrize("form", ONE_ROW.values(), ids=ONE_ROW)
def test_one_row_is_a_batch(
    fitted: BaseEstimator, pairs: Pairs, form: Callable[[pd.DataFrame], object]
) -> None:
    draws = fitted.sample(form(pairs[1]), 5)
    single = fitted.sample(pairs[1].to_numpy()[0], 5)
    assert draws.index.names == ["observation", "draw"]
    np.testing.assert_array_equal(draws.to_numpy(), single.to_numpy())


@pytest.mark.core
def test_x_of_one_dimension(posterior: BaseEstimator, arrays: Arrays) -> None:
    theta, x = arrays
    flat = clone(posterior).fit(theta, x[:, 0])
    column = clone(posterior).fit(theta, x[:, :1])
    expected = column.sample(x[:3, :1], 7)
    np.testing.assert_array_equal(flat.sample(x[:3, 0], 7), expected)
    np.testing.assert_array_equal(flat.sample(float(x[0, 0]), 7), column.sample(x[0, :1], 7))
    np.testing.assert_array_equal(flat.sample(x[:1, 0], 7), column.sample(x[:1, :1], 7))
    assert flat.score(theta, x[:, 0]) == column.score(theta, x[:, :1])


@pytest.mark.core
def test_a_series_of_many_observations_keeps_its_labels(
    posterior: BaseEstimator, pairs: Pairs
) -> None:
    theta, x = pairs
    estimator = clone(posterior).fit(theta, x["a"])
    batch = pd.Series([0.1, 0.2], index=["monday", "tuesday"])
    draws = estimator.sample(batch, 3)
    assert draws.index.unique("observation").tolist() == ["monday", "tuesday"]
    assert estimator.map(batch).index.tolist() == ["monday", "tuesday"]


def embedding() -> torch.nn.Module:
    """Build an embedding that keeps the four numbers of a 2 by 2 image."""
    return torch.nn.Flatten()


def test_x_of_many_dimensions(posterior: BaseEstimator, arrays: Arrays) -> None:
    theta, x = arrays
    images = x.reshape(-1, 2, 2)
    estimator = clone(posterior)
    if not isinstance(estimator, NLE | ClassifierRatio | QuantilePosterior):
        estimator.set_params(embedding=embedding())
    estimator.fit(theta, images)
    one, batch = estimator.sample(images[0], 6), estimator.sample(images[:1], 6)
    assert one.shape == (6, 2)
    np.testing.assert_array_equal(batch, one[None])
    assert estimator.sample(images[:3], 6).shape == (3, 6, 2)
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(m, 2, 2\).*got shape \(4,\)"):
        estimator.sample(x[0])


def test_observations_of_a_batch_get_independent_noise(
    fitted_arrays: BaseEstimator, arrays: Arrays
) -> None:
    twice = np.repeat(arrays[1][:1], 2, axis=0)
    first, second = fitted_arrays.sample(twice, 2000)
    # Single float32 numbers can meet by chance among 16 million pairs, whole draws cannot.
    assert not {tuple(draw) for draw in first} & {tuple(draw) for draw in second}
    correlation = np.corrcoef(first[:, 0], second[:, 0])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(2000)


@pytest.mark.core
def test_a_batch_answers_for_each_observation(fitted_arrays: BaseEstimator, arrays: Arrays) -> None:
    """The mean of 4,000 draws is known to its standard error, one by one and in a batch."""
    x, n = arrays[1][:3], 4000
    batch = fitted_arrays.sample(x, n)
    for row, draws in zip(x, batch, strict=True):
        alone = fitted_arrays.sample(row, n, random_state=7)
        error = np.sqrt((draws.var(axis=0) + alone.var(axis=0)) / n)
        assert (np.abs(draws.mean(axis=0) - alone.mean(axis=0)) < 5 * error).all()


# Tables out exactly if theta was one.


@pytest.mark.core
def test_tables_out_exactly_if_theta_was_one(
    posterior: BaseEstimator, pairs: Pairs, arrays: Arrays
) -> None:
    for theta, x in [(pairs[0], arrays[1]), (arrays[0], pairs[1])]:
        estimator = clone(posterior).fit(theta, x)
        is_table = isinstance(theta, pd.DataFrame)
        for result in (estimator.sample(x[:2], 3), estimator.map(x[:2])):
            assert isinstance(result, pd.DataFrame if is_table else np.ndarray)
        assert isinstance(estimator.log_prob(theta, x), np.ndarray)
        assert isinstance(estimator.summary(x[:2]), pd.DataFrame)


@pytest.mark.core
def test_tables_and_arrays_hold_the_same_numbers(
    fitted: BaseEstimator, fitted_arrays: BaseEstimator, pairs: Pairs, arrays: Arrays
) -> None:
    table, array = fitted.sample(pairs[1][:3], 4), fitted_arrays.sample(arrays[1][:3], 4)
    assert array.shape == (3, 4, 2)
    results = [
        (table.to_numpy().reshape(3, 4, 2), array),
        (fitted.log_prob(*pairs), fitted_arrays.log_prob(*arrays)),
        (fitted.score(*pairs), fitted_arrays.score(*arrays)),
    ]
    for of_tables, of_arrays in results:
        np.testing.assert_allclose(of_tables, of_arrays, rtol=rounding(fitted))
    mode, expected = fitted.map(pairs[1][:2]), fitted_arrays.map(arrays[1][:2])
    # where a density is flat to rounding, its top is known to the root of that
    np.testing.assert_allclose(mode, expected, rtol=rounding(fitted) ** 0.5)


@pytest.mark.core
def test_labels_of_a_batch(fitted: BaseEstimator, pairs: Pairs) -> None:
    batch = pairs[1].iloc[[4, 1]].set_axis(["day one", "day two"])
    draws = fitted.sample(batch, 3)
    assert draws.index.tolist() == [(d, i) for d in ("day one", "day two") for i in range(3)]
    assert draws.columns.tolist() == ["mean", "sd"]
    np.testing.assert_array_equal(draws.loc["day two"], fitted.sample(batch.to_numpy(), 3).loc[1])
    assert fitted.map(batch).index.tolist() == ["day one", "day two"]
    summary = fitted.summary(batch)
    assert summary.index.names == ["observation", "parameter"]
    assert summary.index.unique("observation").tolist() == ["day one", "day two"]


def test_an_array_has_labels_from_zero(fitted: BaseEstimator, arrays: Arrays) -> None:
    draws = fitted.sample(arrays[1][5:7], 2)
    assert draws.index.tolist() == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.core
def test_results_are_float64(
    posterior: BaseEstimator, fitted_arrays: BaseEstimator, arrays: Arrays
) -> None:
    theta, x = (a.astype(np.float32) for a in arrays)
    single = clone(posterior).fit(theta, x)
    for estimator in (single, fitted_arrays):
        results = (estimator.sample(x[0], 3), estimator.log_prob(theta, x), estimator.map(x[0]))
        assert {result.dtype for result in results} == {np.dtype(np.float64)}
        assert type(estimator.score(theta, x)) is float
        assert set(estimator.summary(x[0]).dtypes) == {np.dtype(np.float64)}


# log_prob and score.


def test_forms_of_log_prob_agree(fitted_arrays: BaseEstimator, arrays: Arrays) -> None:
    x = arrays[1][:3]
    theta = fitted_arrays.sample(x, 5)
    cube = fitted_arrays.log_prob(theta, x)
    pairwise = fitted_arrays.log_prob(theta.reshape(15, 2), np.repeat(x, 5, axis=0))
    assert cube.shape == (3, 5)
    # float32 network, batches of other sizes
    np.testing.assert_allclose(cube.ravel(), pairwise, rtol=0, atol=1e-4)
    for k in range(3):
        broadcast = fitted_arrays.log_prob(theta[k], x[k])
        np.testing.assert_array_equal(broadcast, fitted_arrays.log_prob(theta[k], x[k : k + 1]))
        np.testing.assert_allclose(cube[k], broadcast, rtol=0, atol=1e-4)


def test_the_table_of_draws_goes_back_into_log_prob(fitted: BaseEstimator, pairs: Pairs) -> None:
    """What sample gave for a batch is read as (m, n, D)."""
    _, x = pairs
    draws = fitted.sample(x.iloc[:3], 4)
    log_prob = fitted.log_prob(draws, x.iloc[:3])
    np.testing.assert_array_equal(
        log_prob, fitted.log_prob(draws.to_numpy().reshape(3, 4, -1), x.iloc[:3])
    )


def test_float32_at_a_bound_counts_as_inside(posterior: BaseEstimator, arrays: Arrays) -> None:
    """Rounding to float32 takes 0.3 over a bound of 0.3; the same number in float64 is outside."""
    theta, x = arrays
    theta = np.column_stack([theta[:, 0], np.linspace(0.0, 0.3, len(theta))]).astype(np.float32)
    assert theta.astype(float).max() > 0.3
    estimator = clone(posterior).set_params(prior=[stats.norm(), stats.uniform(0, 0.3)])
    estimator.fit(theta, x)
    assert np.isfinite(estimator.log_prob(theta, x)).all()
    assert np.isfinite(estimator.score(theta, x))
    assert np.isneginf(estimator.log_prob(theta[-1:].astype(float), x[-1]))


def test_log_prob_outside_the_support_is_minus_infinity(
    fitted_arrays: BaseEstimator, arrays: Arrays
) -> None:
    theta = np.array([[0.0, 1.0], [0.0, 0.4], [0.0, 2.1], [1e300, 0.4], [0.0, -1e300]])
    log_prob = fitted_arrays.log_prob(theta, arrays[1][0])
    assert np.isfinite(log_prob[0])
    assert (log_prob[1:] == -np.inf).all()


def test_log_prob_far_away_is_never_nan(fitted_arrays: BaseEstimator, arrays: Arrays) -> None:
    sizes = np.array([1e3, 1e10, 1e38, 1e100, 1e300])
    theta = np.column_stack([np.r_[sizes, -sizes], np.ones(10)])
    log_prob = fitted_arrays.log_prob(theta, arrays[1][0])
    assert not np.isnan(log_prob).any()
    assert (log_prob < fitted_arrays.log_prob([[0.0, 1.0]], arrays[1][0])).all()


def test_draws_have_finite_log_prob_and_lie_inside(
    fitted_arrays: BaseEstimator, arrays: Arrays
) -> None:
    draws = fitted_arrays.sample(arrays[1][0], 20_000)
    assert np.isfinite(fitted_arrays.log_prob(draws, arrays[1][0])).all()
    assert (draws[:, 1] > 0.5).all()
    assert (draws[:, 1] < 2.0).all()


def test_theta_on_the_bounds_is_inside(posterior: BaseEstimator, arrays: Arrays) -> None:
    theta, x = arrays[0].copy(), arrays[1]
    theta[:2, 1] = 0.5, 2.0
    estimator = clone(posterior).fit(theta, x)
    assert np.isfinite(estimator.log_prob(theta, x)).all()
    assert np.isfinite(estimator.score(theta, x))


def test_theta_on_a_bound_is_read_as_rounded_from_near_it(
    fitted_arrays: BaseEstimator, arrays: Arrays
) -> None:
    """The nearest float inside would be 37 deviations out, where networks go to infinity."""
    x = arrays[1][0]
    for bound, inwards in ((0.5, 1.5), (2.0, -1.5)):
        theta = np.column_stack([np.zeros(3), bound + inwards * np.array([0.0, 1e-6, 1e-3])])
        log_p = fitted_arrays.log_prob(theta, x)
        assert log_p[0] == pytest.approx(log_p[1], abs=1e-3)
        assert np.abs(log_p[0] - log_p[2]) < 3


def test_score_is_the_mean_of_log_prob(fitted_density: BaseEstimator, pairs: Pairs) -> None:
    fitted = fitted_density
    weights = np.random.default_rng(0).uniform(0, 3, len(pairs[0]))
    log_prob = fitted.log_prob(*pairs)
    assert fitted.score(*pairs) == pytest.approx(log_prob.mean(), rel=1e-12)
    weighted = fitted.score(*pairs, sample_weight=weights)
    assert weighted == pytest.approx(np.average(log_prob, weights=weights), rel=1e-12)
    assert weighted != fitted.score(*pairs)


def test_score_leaves_out_rows_of_weight_zero(fitted_density: BaseEstimator, pairs: Pairs) -> None:
    """Even rows outside the support, whose log_prob is -inf."""
    fitted = fitted_density
    theta, x = pairs[0].copy(), pairs[1]
    theta.loc[:9, "sd"] = 5.0
    weights = np.r_[np.zeros(10), np.ones(190)]
    assert fitted.score(theta, x) == -np.inf
    assert fitted.score(theta, x, weights) == pytest.approx(
        fitted.score(theta[10:], x[10:]), rel=1e-12
    )


# summary, map, history_.


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_summary_describes_the_draws(fitted: BaseEstimator, pairs: Pairs, level: float) -> None:
    x = pairs[1].iloc[0]
    draws = fitted.sample(x, 500, random_state=3)
    summary = fitted.summary(x, level=level, n_samples=500, random_state=3)
    tail = (1 - level) / 2
    expected = pd.DataFrame(
        {
            "mean": draws.mean(),
            "sd": draws.std(ddof=0),
            "median": draws.median(),
            "lower": draws.quantile(tail),
            "upper": draws.quantile(1 - tail),
        }
    )
    pd.testing.assert_frame_equal(summary, expected, check_names=False, rtol=1e-12)


def test_summary_of_a_batch_stacks_the_tables(fitted: BaseEstimator, pairs: Pairs) -> None:
    x = pairs[1].iloc[:3]
    draws, summary = fitted.sample(x, 1000), fitted.summary(x)
    for k in range(3):
        np.testing.assert_allclose(
            summary.loc[(k, slice(None)), "mean"], draws.loc[k].mean(), rtol=1e-12
        )
        np.testing.assert_allclose(
            summary.loc[(k, slice(None)), "upper"], draws.loc[k].quantile(0.95)
        )


@pytest.mark.core
def test_summary_names_the_parameters(posterior: BaseEstimator, arrays: Arrays) -> None:
    assert clone(posterior).fit(*arrays).summary(arrays[1][0]).index.tolist() == ["mean", "sd"]
    nameless = clone(posterior).set_params(prior=list(posterior.prior.values())).fit(*arrays)
    assert nameless.summary(arrays[1][0]).index.tolist() == ["theta_0", "theta_1"]


@pytest.mark.core
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_map_is_higher_than_all_draws(posterior: BaseEstimator, arrays: Arrays, seed: int) -> None:
    """
    Even if the density has several modes, or rises at a bound, as after a short training.

    Within a millionth of the width of the prior it may go on to rise; there nothing is sought.
    """
    estimator = clone(posterior).set_params(random_state=seed).fit(*arrays)
    x = arrays[1][:3]
    highest = estimator.log_prob(estimator.map(x), x)
    for k in range(3):
        draws = estimator.sample(x[k], 10_000, random_state=5)
        draws = draws[np.abs(draws[:, 1] - 1.25) < 0.75 * (1 - 2e-6)]
        assert len(draws) > 5_000
        # float32 network: densities of one point differ by 1e-6 from batch to batch
        assert highest[k] >= estimator.log_prob(draws, x[k]).max() - 1e-5


@pytest.mark.core
def test_map_of_one_observation(fitted: BaseEstimator, pairs: Pairs) -> None:
    x = pairs[1].iloc[:2]
    mode = fitted.map(x.iloc[0])
    assert isinstance(mode, pd.Series)
    assert mode.index.tolist() == ["mean", "sd"]
    pd.testing.assert_series_equal(mode, fitted.map(x.iloc[0]))
    highest = fitted.log_prob(mode.to_frame().T, x.iloc[0])
    batch = fitted.log_prob(fitted.map(x).iloc[[0]], x.iloc[0])
    assert highest == pytest.approx(batch, abs=1e-4)


def test_history_has_one_row_an_epoch(network: BaseEstimator, pairs: Pairs) -> None:
    fitted = clone(network).fit(*pairs)
    history = fitted.history_
    assert history["epoch"].tolist() == [1, 2, 3]
    assert np.isfinite(history[["train_loss", "valid_loss", "lr", "dur"]]).all(axis=None)
    history["epoch"] = 0
    assert fitted.history_["epoch"].tolist() == [1, 2, 3]


# What x and theta may be: the numbers count, not their container.


def memory_mapped(array: np.ndarray, folder: Path) -> np.ndarray:
    """Write an array to a file and open it read-only."""
    np.save(folder / "array.npy", array)
    return np.load(folder / "array.npy", mmap_mode="r")


def read_only(array: np.ndarray, _: Path) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


CONTAINERS = {
    "object": lambda a, _: a.astype(object),
    "list": lambda a, _: a.tolist(),
    "Fortran order": lambda a, _: np.asfortranarray(a),
    "strides": lambda a, _: np.repeat(a, 2, axis=0)[::2],
    "big endian": lambda a, _: a.astype(">f8"),
    "read-only": read_only,
    "memmap": memory_mapped,
    "DataFrame": lambda a, _: pd.DataFrame(a),
    "DataFrame of objects": lambda a, _: pd.DataFrame(a, dtype=object),
    "nullable DataFrame": lambda a, _: pd.DataFrame(a).convert_dtypes(),
}


@pytest.mark.core
@pytest.mark.parametrize("convert", CONTAINERS.values(), ids=CONTAINERS)
def test_containers(
    posterior: BaseEstimator,
    fitted_arrays: BaseEstimator,
    arrays: Arrays,
    tmp_path: Path,
    convert: Callable[[np.ndarray, Path], object],
) -> None:
    (tmp_path / "theta").mkdir()
    theta, x = convert(arrays[0], tmp_path / "theta"), convert(arrays[1], tmp_path)
    estimator = clone(posterior).fit(theta, x)
    results = [
        (estimator.score(theta, x), fitted_arrays.score(*arrays)),
        (estimator.log_prob(theta, x), fitted_arrays.log_prob(*arrays)),
        (np.ravel(estimator.sample(x[:3], 2)), fitted_arrays.sample(arrays[1][:3], 2).ravel()),
    ]
    for result, expected in results:
        np.testing.assert_allclose(result, expected, rtol=rounding(estimator))


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32"])
def test_dtypes_of_x(posterior: BaseEstimator, arrays: Arrays, dtype: str) -> None:
    theta = arrays[0]
    x = (3 * np.abs(arrays[1])).astype(dtype)
    wide = x.astype(np.float64)
    same(clone(posterior).fit(theta, x), clone(posterior).fit(theta, wide), wide[:3])


@pytest.mark.core
@pytest.mark.filterwarnings(
    "ignore:theta's values of .* do not follow the prior", "ignore:theta's '.*' (is|takes)"
)
@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float16", "float32"])
def test_dtypes_of_theta(posterior: BaseEstimator, arrays: Arrays, dtype: str) -> None:
    theta, x = np.round(arrays[0]).clip(1, 2).astype(dtype), arrays[1]
    same(clone(posterior).fit(theta, x), clone(posterior).fit(theta.astype(float), x), x[:3])


def test_fit_changes_neither_theta_nor_x(posterior: BaseEstimator, pairs: Pairs) -> None:
    theta, x = (table.copy() for table in pairs)
    clone(posterior).fit(theta, x).score(theta, x)
    pd.testing.assert_frame_equal(theta, pairs[0])
    pd.testing.assert_frame_equal(x, pairs[1])


def test_x_as_an_array_is_taken_by_position_and_a_reordered_table_is_not(
    fitted: BaseEstimator, pairs: Pairs
) -> None:
    theta, x = pairs
    assert fitted.score(theta, x.to_numpy()) == fitted.score(theta, x)
    with pytest.raises(ValueError, match=r"x: (.|\n)*same order"):
        fitted.score(theta, x[["b", "a", "c", "d"]])
    with pytest.raises(ValueError, match=r"theta: (.|\n)*same order"):
        fitted.score(theta[["sd", "mean"]], x)
