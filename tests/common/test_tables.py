"""Tables of any library, names in any order, rows with labels: the same answers, or an error."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import BaseEstimator, clone

Pairs = tuple[pd.DataFrame, pd.DataFrame]

LIBRARIES = {
    "polars": pl.from_pandas,
    "pyarrow": lambda table: pa.Table.from_pandas(table, preserve_index=False),
    "records": lambda table: table.to_records(index=False),
    "Float64": lambda table: table.astype("Float64"),
}


@pytest.mark.core
@pytest.mark.parametrize("convert", LIBRARIES.values(), ids=LIBRARIES)
def test_tables_of_any_library_give_the_same(
    posterior: BaseEstimator, fitted: BaseEstimator, pairs: Pairs, convert: Callable
) -> None:
    theta, x = map(convert, pairs)
    other = clone(posterior).fit(theta, x)
    assert other.feature_names_in_.tolist() == ["mean", "sd"]
    assert other.x_layout_ == fitted.x_layout_
    expected = fitted.sample(pairs[1].iloc[:2], 5)
    pd.testing.assert_frame_equal(other.sample(pairs[1].iloc[:2], 5), expected)
    for ask in (lambda e, t, x: e.log_prob(t, x), lambda e, t, x: e.score(t, x)):
        np.testing.assert_array_equal(ask(fitted, theta, x), ask(other, *pairs))


@pytest.mark.parametrize("convert", LIBRARIES.values(), ids=LIBRARIES)
def test_swapped_columns_of_any_library_are_refused(
    posterior: BaseEstimator, fitted: BaseEstimator, pairs: Pairs, convert: Callable
) -> None:
    theta, x = pairs
    swapped, swapped_x = convert(theta[["sd", "mean"]]), convert(x[["b", "a", "c", "d"]])
    with pytest.raises(ValueError, match=r"same order.*give theta\[list\(prior\)\]"):
        clone(posterior).fit(swapped, x)
    for ask in (fitted.score, fitted.log_prob):
        with pytest.raises(ValueError, match=r"(?s)theta: .*same order.*theta\[list\(prior\)\]"):
            ask(swapped, x)
        with pytest.raises(ValueError, match="(?s)x: .*same order"):
            ask(theta, swapped_x)
    with pytest.raises(ValueError, match="(?s)x: .*same order"):
        fitted.sample(swapped_x, 3)


def test_missing_and_unknown_names_of_theta_are_named(
    posterior: BaseEstimator, fitted: BaseEstimator, pairs: Pairs
) -> None:
    theta, x = pairs
    renamed = theta.rename(columns={"sd": "scale"})
    with pytest.raises(ValueError, match=r"missing \['sd'\], unknown \['scale'\]"):
        clone(posterior).fit(renamed, x)
    with pytest.raises(ValueError, match=r"(?s)theta: .*unseen.*scale.*missing.*sd"):
        fitted.log_prob(renamed, x)


def test_an_observation_is_put_in_the_order_of_its_names(
    fitted: BaseEstimator, pairs: Pairs
) -> None:
    row = pairs[1].iloc[3]
    expected = fitted.sample(row.to_numpy(), 4)
    for form in (row[["d", "b", "a", "c"]], row[["d", "b", "a", "c"]].to_dict()):
        pd.testing.assert_frame_equal(fitted.sample(form, 4), expected)


def test_rows_in_another_order_warn(
    posterior: BaseEstimator, fitted: BaseEstimator, pairs: Pairs
) -> None:
    theta, x = (table.set_axis([f"run {i}" for i in range(200)]) for table in pairs)
    shuffled = x.iloc[::-1]
    message = (
        r"same index labels in another order.*row 0 .*'run 0'.*'run 199'.*x.loc\[theta.index\]"
    )
    for ask in (clone(posterior).fit, fitted.score, fitted.log_prob):
        with pytest.warns(UserWarning, match=message):
            ask(theta, shuffled)
        ask(theta, shuffled.loc[theta.index])
        ask(theta, shuffled.to_numpy())


@pytest.mark.core
def test_the_levels_of_an_index_are_kept(fitted: BaseEstimator, pairs: Pairs) -> None:
    index = pd.MultiIndex.from_tuples([("b", 1), ("a", 2), ("b", 0)], names=["site", "year"])
    x = pairs[1].iloc[:3].set_axis(index)
    plain = fitted.sample(pairs[1].iloc[:3], 4)
    draws = fitted.sample(x, 4)
    assert draws.index.names == ["site", "year", "draw"]
    assert draws.index[4:8].tolist() == [("a", 2, draw) for draw in range(4)]
    np.testing.assert_array_equal(draws, plain)
    assert fitted.summary(x, n_samples=4).index.names == ["site", "year", "parameter"]
    assert fitted.map(x).index.equals(index)
    np.testing.assert_array_equal(
        fitted.log_prob(draws, x), fitted.log_prob(plain, pairs[1].iloc[:3])
    )


@pytest.mark.core
def test_a_named_series_is_one_parameter(posterior: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs[0]["mean"], pairs[1]
    one = clone(posterior).set_params(prior={"mean": posterior.prior["mean"]})
    table = clone(one).fit(theta.to_frame(), x)
    for column in (theta, pl.Series("mean", theta.to_numpy())):
        fitted = clone(one).fit(column, x)
        draws = fitted.sample(x.iloc[0], 5)
        pd.testing.assert_frame_equal(draws, table.sample(x.iloc[0], 5))
        np.testing.assert_array_equal(
            fitted.log_prob(column, x), table.log_prob(theta.to_frame(), x)
        )
        assert fitted.score(column, x) == table.score(theta.to_frame(), x)
    with pytest.raises(ValueError, match=r"(?s)theta: .*reshape\(-1, 1\)"):
        clone(one).fit(theta.to_numpy(), x)
    with pytest.raises(ValueError, match=r"(?s)theta: .*reshape\(-1, 1\)"):
        clone(one).fit(theta.rename(None), x)


@pytest.mark.core
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_with_gradients_are_detached(
    posterior: BaseEstimator, fitted_arrays: BaseEstimator, pairs: Pairs, dtype: torch.dtype
) -> None:
    theta, x = (torch.tensor(table.to_numpy(), dtype=dtype) for table in pairs)
    theta = theta.clamp(max=1.9921875)
    weight = torch.ones(200, dtype=dtype)
    plain = [tensor.float().numpy() for tensor in (theta, x, weight)]
    attached = [tensor.clone().requires_grad_() for tensor in (theta, x, weight)]
    expected, got = (clone(posterior).fit(*given) for given in (plain, attached))
    np.testing.assert_array_equal(got.sample(attached[1][0], 3), expected.sample(plain[1][0], 3))
    np.testing.assert_array_equal(got.log_prob(*attached[:2]), expected.log_prob(*plain[:2]))
    assert got.score(*attached) == expected.score(*plain)


def test_absurd_counts_are_refused(fitted: BaseEstimator, pairs: Pairs) -> None:
    for ask in (fitted.sample, fitted.summary):
        name = "sample" if ask == fitted.sample else "summary"
        with pytest.raises(ValueError, match=r"n_samples must .*memory, got 10000000000000, .*GiB"):
            getattr(fitted, name)(pairs[1].iloc[0], n_samples=10**13)


def test_hardly_any_simulations_warn(posterior: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs
    with pytest.warns(UserWarning, match=r"fit has [567] simulations of positive weight"):
        clone(posterior).fit(theta[:7], x[:7])


def test_lengths_that_differ_are_named(
    posterior: BaseEstimator, fitted: BaseEstimator, pairs: Pairs
) -> None:
    theta, x = pairs
    message = re.escape("theta and x must have one length, got [199, 200] rows")
    for ask in (clone(posterior).fit, fitted.score):
        with pytest.raises(ValueError, match=message):
            ask(theta[:-1], x)
