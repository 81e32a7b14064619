"""Draws, modes and summaries: their forms, and that every number lands in its place."""

import numpy as np
import pandas as pd
import pytest

from sksbi.tables.layout import Observations
from sksbi.tables.results import draws_table, rows_table, summary_table

COLUMNS = ["mass", "rate"]
BATCH = Observations(np.zeros((3, 1)), False, pd.Index(["a", "b", "c"]))
SINGLE = Observations(np.zeros((1, 1)), True, pd.RangeIndex(1))
DRAWS = np.random.default_rng(0).normal(size=(3, 200, 2))


def test_arrays_stay_arrays() -> None:
    assert draws_table(DRAWS, BATCH, None) is DRAWS
    np.testing.assert_array_equal(draws_table(DRAWS[:1], SINGLE, None), DRAWS[0])
    np.testing.assert_array_equal(rows_table(DRAWS[:, 0], BATCH, None), DRAWS[:, 0])
    np.testing.assert_array_equal(rows_table(DRAWS[:1, 0], SINGLE, None), DRAWS[0, 0])


def test_a_table_of_draws_is_indexed_by_observation_and_draw() -> None:
    table = draws_table(DRAWS, BATCH, COLUMNS)
    assert table.index.names == ["observation", "draw"]
    assert list(table.columns) == COLUMNS
    for i, label in enumerate(BATCH.index):
        np.testing.assert_array_equal(table.loc[label], DRAWS[i])
    assert table.loc[("b", 17), "rate"] == DRAWS[1, 17, 1]


def test_the_draws_of_one_observation_have_a_plain_index() -> None:
    table = draws_table(DRAWS[:1], SINGLE, COLUMNS)
    pd.testing.assert_frame_equal(table, pd.DataFrame(DRAWS[0], columns=COLUMNS))


def test_modes_are_a_series_or_a_table() -> None:
    one = rows_table(DRAWS[:1, 0], SINGLE, COLUMNS)
    pd.testing.assert_series_equal(one, pd.Series(DRAWS[0, 0], index=COLUMNS))
    table = rows_table(DRAWS[:, 0], BATCH, COLUMNS)
    assert table.index.name == "observation"
    assert table.loc["c", "rate"] == DRAWS[2, 0, 1]


INDEXES = {
    "two levels": pd.MultiIndex.from_tuples(
        [("c", 2020), ("a", 2021), ("c", 2019)], names=["site", "year"]
    ),
    "three levels": pd.MultiIndex.from_tuples(
        [("c", 2020, 0), ("a", 2021, 0), ("c", 2020, 0)], names=["site", "year", "run"]
    ),
    "a level without a name": pd.MultiIndex.from_tuples([(1, 2), (3, 4), (5, 6)]),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_several_index_levels_are_kept(index: pd.MultiIndex) -> None:
    batch = Observations(BATCH.values, False, index)
    modes = rows_table(DRAWS[:, 0], batch, COLUMNS)
    pd.testing.assert_index_equal(modes.index, index)
    np.testing.assert_array_equal(modes, DRAWS[:, 0])
    draws, summary = (
        draws_table(DRAWS, batch, COLUMNS),
        summary_table(DRAWS, batch, COLUMNS, 0.9),
    )
    for table, inner in ((draws, list(range(200))), (summary, COLUMNS)):
        name = "draw" if table is draws else "parameter"
        assert table.index.names == [*index.names, name]
        expected = [(*label, place) for label in index for place in inner]
        assert table.index.tolist() == expected
    np.testing.assert_array_equal(draws.to_numpy().reshape(DRAWS.shape), DRAWS)
    np.testing.assert_allclose(summary["mean"].to_numpy().reshape(3, 2), DRAWS.mean(axis=1))


def test_no_two_levels_have_one_name() -> None:
    for index, names in (
        (pd.Index([1, 2, 3], name="draw"), ["observation", "draw"]),
        (INDEXES["two levels"].set_names(["draw", "year"]), ["observation_draw", "year", "draw"]),
    ):
        table = draws_table(DRAWS, Observations(BATCH.values, False, index), COLUMNS)
        assert table.index.names == names


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_the_sd_of_any_size_is_right(size: float) -> None:
    table = summary_table(DRAWS * size, BATCH, COLUMNS, 0.9)
    np.testing.assert_allclose(
        table["sd"].to_numpy().reshape(3, 2) / size, DRAWS.std(axis=1), rtol=1e-12
    )


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_a_summary_holds_the_statistics_of_every_parameter(level: float) -> None:
    table = summary_table(DRAWS, BATCH, COLUMNS, level)
    assert list(table.columns) == ["mean", "sd", "median", "lower", "upper"]
    for i, label in enumerate(BATCH.index):
        for j, name in enumerate(COLUMNS):
            row, draws = table.loc[(label, name)], DRAWS[i, :, j]
            np.testing.assert_allclose([row["mean"], row["sd"]], [draws.mean(), draws.std()])
            assert row["median"] == np.median(draws)
            inside = (draws >= row["lower"]) & (draws <= row["upper"])
            np.testing.assert_allclose(inside.mean(), level, atol=0.01)
            np.testing.assert_allclose((draws < row["lower"]).mean(), (1 - level) / 2, atol=0.01)


def test_the_summary_of_one_observation_has_a_row_a_parameter() -> None:
    table = summary_table(DRAWS[:1], SINGLE, COLUMNS, 0.9)
    assert table.index.tolist() == COLUMNS
    expected = summary_table(DRAWS, BATCH, COLUMNS, 0.9).loc["a"]
    pd.testing.assert_frame_equal(table, expected)
