"""Tables as numbers and back: what was seen in fit comes back as it was."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sksbi.tables.encoder import ColumnEncoder, TableEncoder
from sksbi.tables.layout import ObservationLayout

NUMBERS = {
    "float": pd.Series([0.5, -2.0, 1e300], name="a"),
    "float32 with missing": pd.Series([0.5, np.nan, 2.0], dtype="float32", name="a"),
    "int": pd.Series([3, -1, 2], dtype="int16", name="a"),
    "bool": pd.Series([True, False, True], name="a"),
    "Int64 with missing": pd.Series([3, None, 2], dtype="Int64", name="a"),
    "Float64 with missing": pd.Series([0.25, None, 2], dtype="Float64", name="a"),
    "boolean with missing": pd.Series([True, None, False], dtype="boolean", name="a"),
    "objects": pd.Series([1, 2.5, None], dtype=object, name="a"),
    "all missing": pd.Series([None, None, None], dtype=object, name="a"),
}
WORDS = {
    "str": pd.Series(["north", "south", "north"], name="a"),
    "object": pd.Series(["b", "a", "c"], dtype=object, name="a"),
    "object with missing": pd.Series(["b", None, "a"], dtype=object, name="a"),
    "string with missing": pd.Series(["b", None, "a"], dtype="string", name="a"),
}
CATEGORIES = {
    "unordered": pd.Categorical(["x", "y", "x"]),
    "ordered, backwards": pd.Categorical(["lo", "hi", None], ["lo", "mid", "hi"], ordered=True),
    "with missing": pd.Categorical(["x", None, "y"]),
    "of numbers": pd.Categorical([3, 1, 3], [3, 1]),
    "of numbers and words": pd.Categorical([3, "x", None]),
    "of nothing": pd.Categorical([None, None, None], pd.Index([], dtype=object)),
    "of bool": pd.Categorical([True, False, True], ordered=True),
}
TABLE = pd.DataFrame(
    {
        "site": ["north", "south", None],
        "count": pd.Series([3, None, 2], dtype="Int64"),
        "grade": CATEGORIES["ordered, backwards"],
        "wet": [True, False, True],
    }
)


@pytest.mark.parametrize("column", NUMBERS.values(), ids=NUMBERS)
def test_numbers_stay_what_they_are(column: pd.Series) -> None:
    encoder = ColumnEncoder.learn(column)
    assert encoder.categories is None
    encoded = encoder.encode(column)
    assert encoded.dtype == np.float64
    expected = [np.nan if pd.isna(value) else float(value) for value in column]
    np.testing.assert_array_equal(encoded, expected)
    back = encoder.decode(encoded)
    pd.testing.assert_series_equal(back, pd.Series(expected, name="a"))


@pytest.mark.parametrize("column", WORDS.values(), ids=WORDS)
def test_words_become_their_place_in_the_alphabet(column: pd.Series) -> None:
    encoder = ColumnEncoder.learn(column)
    words = sorted(column.dropna().unique())
    expected = [words.index(v) if isinstance(v, str) else np.nan for v in column]
    np.testing.assert_array_equal(encoder.encode(column), expected)
    back = encoder.decode(encoder.encode(column))
    assert back.dtype == object
    assert back.name == "a"
    np.testing.assert_array_equal(back.isna(), column.isna())
    assert back.dropna().tolist() == column.dropna().tolist()


@pytest.mark.parametrize("values", CATEGORIES.values(), ids=CATEGORIES)
def test_categories_become_their_place_in_their_order_and_come_back(values: object) -> None:
    column = pd.Series(values, name="a")
    encoder = ColumnEncoder.learn(column)
    encoded = encoder.encode(column)
    np.testing.assert_array_equal(encoded, np.where(values.codes < 0, np.nan, values.codes))
    pd.testing.assert_series_equal(encoder.decode(encoded), column)


def test_what_was_not_seen_in_fit_is_missing_with_a_warning() -> None:
    words = ColumnEncoder.learn(WORDS["str"])
    with pytest.warns(UserWarning, match="column 'a'.*such as 'east'.*missing; fit saw .*south"):
        codes = words.encode(pd.Series(["south", "east", 3]))
    np.testing.assert_array_equal(codes, [1, np.nan, np.nan])
    grades = ColumnEncoder.learn(TABLE["grade"])
    other = pd.Series(pd.Categorical(["hi", "top", "mid"], ["top", "hi", "mid"]))
    with pytest.warns(UserWarning, match="column 'grade'.*such as 'top'"):
        codes = grades.encode(other)
    np.testing.assert_array_equal(codes, [2, np.nan, 1])


def test_a_category_that_fit_knew_and_did_not_see_counts() -> None:
    grades = ColumnEncoder.learn(TABLE["grade"])
    np.testing.assert_array_equal(grades.encode(pd.Series(["mid"])), [1.0])


def test_a_table_comes_back_in_its_columns() -> None:
    encoder = TableEncoder.learn(TABLE)
    encoded = encoder.encode(TABLE)
    np.testing.assert_array_equal(
        encoded, [[0, 3, 0, 1], [1, np.nan, 2, 0], [np.nan, 2, np.nan, 1]]
    )
    back = encoder.decode(encoded)
    assert back.columns.tolist() == TABLE.columns.tolist()
    pd.testing.assert_series_equal(back["grade"], TABLE["grade"])
    assert back["site"].tolist()[:2] == ["north", "south"]
    assert back["wet"].tolist() == [1.0, 0.0, 1.0]
    np.testing.assert_array_equal(encoder.encode(back), encoded)


@pytest.mark.parametrize("form", [pd.DataFrame.to_numpy, lambda t: t.to_numpy().tolist()])
def test_rows_without_names_are_taken_by_position(form: object) -> None:
    encoder = TableEncoder.learn(TABLE)
    np.testing.assert_array_equal(encoder.encode(form(TABLE)), encoder.encode(TABLE))


def test_columns_of_one_name_are_told_apart() -> None:
    twins = pd.concat([TABLE[["site"]], TABLE[["count"]].rename(columns={"count": "site"})], axis=1)
    encoded = TableEncoder.learn(twins).encode(twins)
    np.testing.assert_array_equal(encoded, [[0, 3], [1, np.nan], [np.nan, 2]])


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 3)])
def test_arrays_keep_their_numbers_and_what_is_missing(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    x[2] = np.nan
    encoder = TableEncoder.learn(x)
    assert encoder == TableEncoder(None)
    np.testing.assert_array_equal(encoder.encode(x), x)
    np.testing.assert_array_equal(encoder.decode(encoder.encode(x)), x.reshape(5, -1))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("form", [np.asarray, pd.DataFrame])
def test_infinities_are_refused(value: float, form: object) -> None:
    encoder = TableEncoder.learn(form([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(ValueError, match=r"\bx\b.*infinity"):
        encoder.encode(form([[1.0, 2.0], [3.0, value]]))


@pytest.mark.parametrize(
    ("x", "rule"),
    [
        (pd.DataFrame({"a": ["red"]}), "x must hold numbers only: .*red"),
        (pd.DataFrame({"a": [1j]}), r"\bx\b.*[Cc]omplex"),
    ],
)
def test_words_in_a_column_of_numbers_are_refused(x: pd.DataFrame, rule: str) -> None:
    encoder = TableEncoder.learn(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises((ValueError, TypeError), match=rule):
        encoder.encode(x)


def test_equal_tables_have_equal_encoders_that_survive_a_pickle() -> None:
    encoder = TableEncoder.learn(TABLE)
    again = pickle.loads(pickle.dumps(encoder))
    assert again == encoder == TableEncoder.learn(TABLE.copy())
    assert hash(again) == hash(encoder)
    np.testing.assert_array_equal(again.encode(TABLE), encoder.encode(TABLE))
    assert encoder != TableEncoder.learn(TABLE.assign(site=["east", "south", None]))


def test_a_layout_reads_one_row_of_a_table_as_the_table() -> None:
    layout, values = ObservationLayout.learn(TABLE, encoded=True)
    for i in range(3):
        for row in (TABLE.iloc[i], TABLE.iloc[i].to_dict(), TABLE.iloc[i].tolist()):
            read = layout.read(row)
            assert read.single
            np.testing.assert_array_equal(read.values, values[[i]])
    np.testing.assert_array_equal(layout.read(TABLE.iloc[[1]]).values, values[[1]])
