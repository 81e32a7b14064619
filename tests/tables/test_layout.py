"""One observation or a batch: decided by the dimensions of x in fit, never guessed."""

import re

import numpy as np
import pandas as pd
import pytest

from sksbi.tables.layout import ObservationLayout

NAMES = ["peak", "width", "tail"]
ROW = np.array([1.0, 2.0, 3.0])
ROWS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
TABLE = pd.DataFrame(ROWS, columns=NAMES, index=["first", "second"])

SCALARS = ObservationLayout.learn(np.arange(5.0))[0]
VECTORS = ObservationLayout.learn(np.ones((5, 3)))[0]
NAMED = ObservationLayout.learn(pd.DataFrame(np.ones((5, 3)), columns=NAMES))[0]
IMAGES = ObservationLayout.learn(np.ones((5, 2, 3)))[0]


@pytest.mark.parametrize("layout", [VECTORS, NAMED])
@pytest.mark.parametrize(
    "x",
    [
        ROW,
        ROW.tolist(),
        tuple(ROW),
        ROW.astype(int),
        ROW.astype(object),
        dict(zip(NAMES, ROW, strict=True)),
        pd.Series(ROW, index=NAMES),
        pd.Series(ROW),
        TABLE.iloc[0],
    ],
)
def test_one_dimension_is_one_observation_where_fit_had_two(
    x: object, layout: ObservationLayout
) -> None:
    read = layout.read(x)
    assert read.single
    np.testing.assert_array_equal(read.values, [ROW])
    assert read.index.tolist() == [0]


@pytest.mark.parametrize("layout", [VECTORS, NAMED])
@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, pd.DataFrame])
def test_two_dimensions_are_a_batch_of_one_row_too(
    form: type, m: int, layout: ObservationLayout
) -> None:
    read = layout.read(form(ROWS[:m]))
    assert not read.single
    np.testing.assert_array_equal(read.values, ROWS[:m])
    assert read.index.tolist() == list(range(m))


@pytest.mark.parametrize("layout", [VECTORS, NAMED])
def test_a_table_is_a_batch_with_its_own_labels(layout: ObservationLayout) -> None:
    for m in (1, 2):
        read = layout.read(TABLE.iloc[:m])
        assert not read.single
        np.testing.assert_array_equal(read.values, ROWS[:m])
        assert read.index.tolist() == ["first", "second"][:m]


@pytest.mark.parametrize("x", [2.0, 2, True, np.float32(2), np.array(2.0)])
def test_a_scalar_is_one_observation_where_fit_had_one_dimension(x: object) -> None:
    read = SCALARS.read(x)
    assert read.single
    np.testing.assert_array_equal(read.values, [float(x)])


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("form", [np.asarray, list, pd.Series])
def test_one_dimension_is_a_batch_where_fit_had_one(form: type, m: int) -> None:
    read = SCALARS.read(form(ROW[:m]))
    assert not read.single
    np.testing.assert_array_equal(read.values, ROW[:m])


def test_images_have_one_dimension_fewer_than_their_batches() -> None:
    one, batch = IMAGES.read(ROWS), IMAGES.read(ROWS[None])
    assert one.single
    assert not batch.single
    np.testing.assert_array_equal(one.values, ROWS[None])
    np.testing.assert_array_equal(batch.values, ROWS[None])


@pytest.mark.parametrize(
    ("layout", "x", "got"),
    [
        (SCALARS, ROWS, "(2, 3)"),
        (SCALARS, np.ones((3, 1)), "(3, 1)"),
        (SCALARS, TABLE, "(2, 3)"),
        (SCALARS, {"a": 1.0}, "a dict"),
        (VECTORS, 1.0, "()"),
        (VECTORS, None, "()"),
        (VECTORS, ROW[:2], "(2,)"),
        (VECTORS, ROWS[:, :2], "(2, 2)"),
        (VECTORS, ROWS[None], "(1, 2, 3)"),
        (VECTORS, pd.Series(ROW[:2]), "(2,)"),
        (IMAGES, ROW, "(3,)"),
        (IMAGES, ROWS.T, "(3, 2)"),
        (IMAGES, np.ones((4, 3, 2)), "(4, 3, 2)"),
        (IMAGES, np.ones((1, 1, 2, 3)), "(1, 1, 2, 3)"),
        (IMAGES, {"a": ROWS}, "a dict"),
    ],
)
def test_anything_else_names_both_shapes(layout: ObservationLayout, x: object, got: str) -> None:
    rule = f"x must be one observation of shape {layout.shape} or a batch"
    with pytest.raises(ValueError, match=re.escape(rule) + ".*" + re.escape(got)):
        layout.read(x)


@pytest.mark.parametrize(
    ("x", "value"),
    [
        (TABLE[NAMES[::-1]], "same order"),
        (TABLE.rename(columns={"tail": "trail"}), "trail"),
        (TABLE[NAMES[:2]], "tail"),
        (TABLE.assign(extra=1), "extra"),
        (TABLE.iloc[0][NAMES[::-1]], "same order"),
        (dict.fromkeys(["peak", "width", "trail"], 1.0), "trail"),
        ({"peak": 1.0}, "tail"),
        (pd.DataFrame(ROWS, columns=["peak", 1, 2]), "'int', 'str'"),
    ],
)
def test_wrong_and_reordered_names_are_refused(x: object, value: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"(?s)^x: .*{value}"):
        NAMED.read(x)


@pytest.mark.parametrize(
    ("x", "value"),
    [
        ([np.nan, 1, 2], "NaN"),
        ([[1, np.inf, 2]], "infinity"),
        ([1, 2j, 3], "Complex"),
        (["a", "b", "c"], "'a'"),
        (pd.Series([1, 2, None], dtype="Int64"), "NaN|NAType"),
        ([[1, 2, 3], [1, 2]], "inhomogeneous"),
        (np.ones((0, 3)), r"\(0, 3\)"),
    ],
)
def test_bad_numbers_are_refused_after_fit(x: object, value: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"\\bx\\b.*({value})"):
        VECTORS.read(x)


@pytest.mark.parametrize(
    ("x", "value"),
    [
        (3.0, r"array\(3"),
        (np.ones((4, 0)), r"\(4, 0\)"),
        (np.ones((4, 2, 0)), r"\(4, 2, 0\)"),
        (np.ones((0, 3)), r"\(0, 3\)"),
        ([[1.0, np.nan]], "NaN"),
        (pd.DataFrame(ROWS, columns=["peak", 1, 2]), "'int', 'str'"),
        (pd.DataFrame({"a": ["red"]}), "red"),
    ],
)
def test_bad_observations_are_refused_in_fit(x: object, value: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"(?s)\\bx\\b.*({value})"):
        ObservationLayout.learn(x)


def test_equal_data_has_equal_layouts() -> None:
    assert ObservationLayout.learn(TABLE)[0] == NAMED
    assert ObservationLayout.learn(ROWS)[0] == VECTORS != NAMED


def of_trials(labels: list, names: list[str] | None = NAMES) -> pd.DataFrame:
    """Make a table with the levels observation and trial, of rows that count upwards."""
    trial = pd.Series(labels).groupby(labels).cumcount()
    index = pd.MultiIndex.from_arrays([labels, trial], names=["observation", "trial"])
    return pd.DataFrame(np.arange(3.0 * len(labels)).reshape(-1, 3), index, columns=names)


@pytest.mark.parametrize("layout", [SCALARS, VECTORS, NAMED, IMAGES])
@pytest.mark.parametrize("trials", [1, 4])
def test_trials_are_one_dimension_more_than_an_observation(
    layout: ObservationLayout, trials: int
) -> None:
    one = np.arange(float(trials * np.prod(layout.shape, dtype=int))).reshape(trials, *layout.shape)
    for x in (one, one.tolist()):
        read = layout.read_trials(x)
        assert read.single
        np.testing.assert_array_equal(read.values, one[None])
        assert read.index.tolist() == [0]
    for m in (1, 2):
        batch = np.stack([one] * m)
        for x in (batch, batch.tolist()):
            read = layout.read_trials(x)
            assert not read.single
            np.testing.assert_array_equal(read.values, batch)
            assert read.index.tolist() == list(range(m))


def test_a_series_of_scalars_is_one_observation_of_trials() -> None:
    read = SCALARS.read_trials(pd.Series([1.0, 2.0], index=["first", "second"]))
    assert read.single
    np.testing.assert_array_equal(read.values, [[1.0, 2.0]])


def test_a_table_with_one_level_is_one_observation_of_trials() -> None:
    read = NAMED.read_trials(TABLE)
    assert read.single
    np.testing.assert_array_equal(read.values, ROWS[None])
    assert read.index.tolist() == [0]


@pytest.mark.parametrize("labels", [["b", "b", "a", "a"], ["b"] * 3, [7, 8, 9]])
def test_a_table_with_two_levels_is_a_batch_of_observations(labels: list) -> None:
    table = of_trials(labels)
    read = NAMED.read_trials(table)
    assert not read.single
    assert read.index.tolist() == list(dict.fromkeys(labels))
    np.testing.assert_array_equal(read.values.reshape(-1, 3), table)
    assert read.values.shape == (len(set(labels)), len(labels) // len(set(labels)), 3)


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (["a", "a", "b"], "{'a': 2, 'b': 1}"),
        (["a", "b", "a", "b"], "{'a': 2, 'b': 2}"),
        (["a", "a", "b", "a", "b", "b"], "{'a': 3, 'b': 3}"),
    ],
)
def test_trials_of_different_number_or_mixed_up_are_refused(labels: list, got: str) -> None:
    rule = "as many trials for every observation, one observation after the other, got "
    with pytest.raises(ValueError, match=re.escape(rule + got)):
        NAMED.read_trials(of_trials(labels))


@pytest.mark.parametrize(
    ("layout", "x", "got"),
    [
        (SCALARS, 1.0, "shape ()"),
        (SCALARS, np.ones((2, 2, 2)), "shape (2, 2, 2)"),
        (VECTORS, ROW, "shape (3,)"),
        (VECTORS, np.ones((2, 2)), "shape (2, 2)"),
        (VECTORS, np.ones((1, 2, 3, 3)), "shape (1, 2, 3, 3)"),
        (NAMED, TABLE.iloc[0], "a Series"),
        (NAMED, {"peak": 1.0}, "a dict"),
        (IMAGES, ROWS, "shape (2, 3)"),
    ],
)
def test_what_is_no_trials_is_refused(layout: ObservationLayout, x: object, got: str) -> None:
    shape = "".join(f", {size}" for size in layout.shape)
    rule = f"of shape (trials{shape}) or a batch of shape (m, trials{shape}), got {got}"
    with pytest.raises(ValueError, match=re.escape(rule)):
        layout.read_trials(x)


@pytest.mark.parametrize(
    ("x", "value"),
    [
        ([[1.0, np.nan, 2.0]], "NaN"),
        ([[[1.0, np.inf, 2.0]]], "infinity"),
        ([[1, 2, 3], [1, 2]], "inhomogeneous"),
        (np.ones((0, 3)), r"\(0, 3\)"),
        (np.ones((2, 0, 3)), r"\(0, 3\)|0 sample"),
    ],
)
def test_bad_numbers_in_trials_are_refused(x: object, value: str) -> None:
    with pytest.raises(ValueError, match=f"\\bx\\b.*({value})"):
        VECTORS.read_trials(x)


@pytest.mark.parametrize("form", [lambda t: t, lambda t: t.loc["a"]])
def test_names_of_columns_of_trials_are_compared(form: object) -> None:
    with pytest.raises(ValueError, match="(?s)^x: .*same order"):
        NAMED.read_trials(form(of_trials(["a", "a"])[NAMES[::-1]]))


def test_one_trial_each_is_the_batch_with_a_dimension_of_trials() -> None:
    read, trials = VECTORS.read(ROWS), VECTORS.read_trials(ROWS[:, None])
    np.testing.assert_array_equal(read.values[:, None], trials.values)
    assert read.single == trials.single
