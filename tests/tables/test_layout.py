"""One observation or a batch: decided by the dimensions of x in fit, never guessed."""

import re
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from sksbi.tables.layout import ObservationLayout

NAMES = ["peak", "width", "tail"]
ROW = np.array([1.0, 2.0, 3.0])
ROWS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
TABLE = pd.DataFrame(ROWS, columns=NAMES, index=["first", "second"])

SCALARS = ObservationLayout.learn(np.arange(5.0))[0]
VECTORS = ObservationLayout.learn(np.ones((5, 3)))[0]
NAMED = ObservationLayout.learn(pd.DataFrame(np.ones((5, 3)), columns=NAMES))[0]
IMAGES = ObservationLayout.learn(np.ones((5, 2, 3)))[0]


@pytest.mark.filterwarnings("ignore:x has names, but x in fit had none")
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


@pytest.mark.parametrize(
    ("layout", "form"),
    [
        (VECTORS, np.asarray),
        (VECTORS, np.ndarray.tolist),
        (VECTORS, pd.DataFrame),
        (NAMED, np.asarray),
        (NAMED, np.ndarray.tolist),
        (NAMED, lambda rows: pd.DataFrame(rows, columns=NAMES)),
    ],
)
@pytest.mark.parametrize("m", [1, 2])
def test_two_dimensions_are_a_batch_of_one_row_too(
    form: Callable[..., object], m: int, layout: ObservationLayout
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


@pytest.mark.parametrize("x", [2.0, 2, np.float32(2), np.array(2.0)])
def test_a_scalar_is_one_observation_of_the_only_column(x: object) -> None:
    read = ObservationLayout.learn(np.ones((5, 1)))[0].read(x)
    assert read.single
    np.testing.assert_array_equal(read.values, [[float(x)]])


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


SWAPPED = ["tail", "peak", "width"]
ONE = dict(zip(NAMES, ROW, strict=True))
IN_ANOTHER_ORDER = {name: ONE[name] for name in SWAPPED}


@pytest.mark.parametrize(
    "x",
    [
        IN_ANOTHER_ORDER,
        pd.Series(IN_ANOTHER_ORDER),
        {name: torch.tensor(value, requires_grad=True) for name, value in IN_ANOTHER_ORDER.items()},
        np.array([(3.0, 1.0, 2.0)], dtype=[(name, float) for name in SWAPPED])[0],
        pl.DataFrame([IN_ANOTHER_ORDER]).row(0, named=True),
    ],
    ids=["dict", "Series", "tensors", "record", "row of polars"],
)
def test_one_observation_with_names_is_put_in_their_order(x: object) -> None:
    read = NAMED.read(x)
    assert read.single
    np.testing.assert_array_equal(read.values, [ROW])


TABLES = {
    "polars": pl.from_pandas(TABLE),
    "pyarrow": pa.Table.from_pandas(TABLE, preserve_index=False),
    "batch of pyarrow": pa.RecordBatch.from_pandas(TABLE, preserve_index=False),
    "records": TABLE.to_records(index=False),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_of_other_libraries_have_names(table: object) -> None:
    layout, values = ObservationLayout.learn(table)
    assert layout == NAMED
    np.testing.assert_array_equal(values, ROWS)
    read = NAMED.read(table)
    assert (read.single, read.index.tolist()) == (False, [0, 1])
    np.testing.assert_array_equal(read.values, ROWS)


@pytest.mark.parametrize(
    "table",
    [
        pl.from_pandas(TABLE[SWAPPED]),
        pa.Table.from_pandas(TABLE[SWAPPED], preserve_index=False),
        TABLE[SWAPPED].to_records(index=False),
    ],
    ids=["polars", "pyarrow", "records"],
)
def test_swapped_columns_of_other_libraries_are_refused(table: object) -> None:
    with pytest.raises(ValueError, match=r"(?s)^x: .*same order.*x\[\['peak', 'width', 'tail'\]\]"):
        NAMED.read(table)


def test_a_column_of_another_library_is_x_of_one_dimension() -> None:
    column = pl.Series("peak", [1.0, 2.0])
    assert ObservationLayout.learn(column)[0] == SCALARS
    read = SCALARS.read(column)
    assert not read.single
    np.testing.assert_array_equal(read.values, [1.0, 2.0])


def test_a_lazy_table_is_to_be_collected() -> None:
    with pytest.raises(TypeError, match=r"x must be a table in memory.*collect\(\) first"):
        NAMED.read(pl.from_pandas(TABLE).lazy())


@pytest.mark.parametrize(
    "x",
    [
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS, columns=[2, 1, 0]),
        pd.Series(ROW, index=[2, 1, 0]),
        {0: 1.0, 2: 2.0, 1: 3.0},
    ],
    ids=["table", "another order", "Series", "dict"],
)
def test_labels_that_are_no_names_warn_after_a_fit_on_names(x: object) -> None:
    with pytest.warns(UserWarning, match=r"^x does not have valid feature names, but .*'peak'"):
        read = NAMED.read(x)
    np.testing.assert_array_equal(read.values[0], ROW)


@pytest.mark.parametrize("labels", [[0, 1, 2], [5, 3, 4]])
def test_labels_that_are_no_names_warn_in_another_order_only(labels: list[int]) -> None:
    layout, _ = ObservationLayout.learn(pd.DataFrame(ROWS, columns=labels))
    assert layout.names is None
    table = pd.DataFrame(ROWS, columns=labels)
    np.testing.assert_array_equal(layout.read(table).values, ROWS)
    for x in (table[labels[::-1]], table.iloc[0][labels[::-1]]):
        with pytest.warns(UserWarning, match="has the labels of fit in another order.*by position"):
            read = layout.read(x)
        np.testing.assert_array_equal(read.values[0], ROW[::-1])


def test_a_column_that_is_taken_for_a_row_warns() -> None:
    table = pd.DataFrame(np.eye(2), columns=["a", "b"])
    layout = ObservationLayout.learn(table)[0]
    with pytest.warns(UserWarning, match=r"Series named 'a', .* one observation .* \['a', 'b'\]"):
        layout.read(table["a"])
    layout.read(table.iloc[0])  # a warning would be an error
    layout.read(table["a"].rename("c"))
    ObservationLayout.learn(table[["a"]])[0].read(table["a"].iloc[:1])


@pytest.mark.parametrize("x", [TABLE.iloc[0], dict(TABLE.iloc[0])])
def test_names_that_cannot_be_compared_warn(x: object) -> None:
    with pytest.warns(UserWarning, match="x has names, but x in fit had none.* by position"):
        VECTORS.read(x)
    NAMED.read(x)  # a warning would be an error


def test_columns_that_stand_twice_are_refused() -> None:
    twice = TABLE.set_axis(["peak", "width", "peak"], axis=1)
    for read in (ObservationLayout.learn, NAMED.read):
        with pytest.raises(ValueError, match=r"x must have columns that differ, got \['peak'\]"):
            read(twice)
    with pytest.raises(ValueError, match=r"x must have columns that differ, got \['peak'\]"):
        NAMED.read(twice.iloc[0])


NOTHING = [None, pd.NA, np.nan, pd.NaT]


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_what_is_missing_is_nan_and_named(nothing: object) -> None:
    for x in ({**ONE, "width": nothing}, pd.Series({**ONE, "width": nothing}, dtype=object)):
        with pytest.raises(ValueError, match=r"x contains NaN in column 'width', row 0, .*impute"):
            NAMED.read(x)
    with pytest.raises(ValueError, match=r"x contains NaN in column 1, row 0"):
        VECTORS.read([1.0, nothing, 3.0])


@pytest.mark.filterwarnings("ignore:x lacks values in the columns")
@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_what_is_missing_is_nan_for_an_encoder(nothing: object) -> None:
    table = TABLE.assign(site=["north", "south"])
    layout, _ = ObservationLayout.learn(table, encoded=True)
    read = layout.read({**ONE, "width": nothing, "site": nothing})
    np.testing.assert_array_equal(read.values, [[1.0, np.nan, 3.0, np.nan]])


@pytest.mark.parametrize(
    ("x", "place"),
    [
        (TABLE.replace(5.0, np.nan), "NaN in column 'width', row 1 (label 'second'), and must"),
        (TABLE.replace(5.0, -np.inf), "infinity (-inf) in column 'width', row 1 (label 'second')"),
        (TABLE.reset_index(drop=True).replace(5.0, np.nan), "NaN in column 'width', row 1, and"),
        (pl.from_pandas(TABLE).with_columns(tail=None), "NaN in column 'tail', row 0, and must"),
        (np.where(ROWS == 4, np.nan, ROWS), "NaN in column 0, row 1, and must be finite: impute"),
        (np.ma.masked_equal(ROWS, 3), "NaN in column 2, row 0"),
        (np.array([1.0, np.inf]), "infinity (inf) in row 1"),
        (pd.Series([1.0, np.inf], index=["u", "v"]), "infinity (inf) in row 1 (label 'v')"),
        (np.where(np.arange(8.0) == 5, np.nan, 1.0).reshape(2, 2, 2), "NaN at index (1, 0, 1)"),
        (TABLE.assign(width=["4", "five"]), "only: in column 'width', could not convert"),
        (TABLE.assign(day=pd.Timestamp("2020")), "got dates or durations in column 'day'"),
        (TABLE.assign(wave=1j), "not supported, in column 'wave', give real"),
        (TABLE.assign(big=10**400), "only: in column 'big', int too large"),
    ],
)
def test_errors_name_the_place_and_the_way_out(x: object, place: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^x\\b.*{re.escape(place)}"):
        ObservationLayout.learn(x)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(ROWS, requires_grad=True),
        torch.tensor(ROWS, dtype=torch.bfloat16),
        torch.tensor(ROWS, dtype=torch.float16, requires_grad=True),
        torch.tensor(ROWS, dtype=torch.float64).to_sparse(),
        torch.tensor(ROWS, dtype=torch.complex128).conj().imag + torch.tensor(ROWS),
    ],
    ids=["gradient", "bfloat16", "half", "sparse", "view"],
)
def test_tensors_are_detached(tensor: torch.Tensor) -> None:
    for x in (tensor, list(tensor.to_dense()), tuple(tensor.to_dense())):
        layout, values = ObservationLayout.learn(x)
        assert layout == VECTORS
        np.testing.assert_array_equal(values, ROWS)
        np.testing.assert_array_equal(layout.read(x).values, ROWS)
    np.testing.assert_array_equal(VECTORS.read(tensor.to_dense()[0]).values, [ROW])


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "object", "int64[pyarrow]"])
def test_columns_of_every_dtype_of_pandas_are_numbers(dtype: str) -> None:
    table = (TABLE > 2).astype(dtype) if dtype == "boolean" else TABLE.astype(dtype)
    layout, values = ObservationLayout.learn(table)
    assert layout == NAMED
    np.testing.assert_array_equal(values, ROWS > 2 if dtype == "boolean" else ROWS)


def test_decimals_are_numbers() -> None:
    decimals = [[Decimal(str(value)) for value in row] for row in ROWS]
    for x in (decimals, pd.DataFrame(decimals), pl.DataFrame(decimals, orient="row")):
        np.testing.assert_array_equal(ObservationLayout.learn(x)[1], ROWS)


def test_equal_data_has_equal_layouts() -> None:
    assert ObservationLayout.learn(TABLE)[0] == NAMED
    assert ObservationLayout.learn(ROWS)[0] == VECTORS != NAMED


def of_trials(labels: list, names: list[str] | None = NAMES) -> pd.DataFrame:
    """Make a table with the levels observation and trial, of rows that count upwards."""
    trial = pd.Series(labels).groupby(labels).cumcount()
    index = pd.MultiIndex.from_arrays([labels, trial], names=["observation", "trial"])
    return pd.DataFrame(np.arange(3.0 * len(labels)).reshape(-1, 3), index, columns=names)


@pytest.mark.filterwarnings("ignore:x of shape .2, 1. with iid=True is 2 observations")
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
