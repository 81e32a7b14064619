"""Failed rows are found in every form that a table may have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from sksbi.utils.failures import are_failed, rows_of, without_failures

NAN = np.nan
ROWS = [[NAN, NAN], [NAN, 1.0], [2.0, NAN], [3.0, 4.0]]
WORDS = pd.DataFrame({"a": pd.Categorical([None, None, "u", "v"]), "b": [None, "w", None, "x"]})
TABLES = {
    "list": ROWS,
    "array": np.array(ROWS),
    "float32": np.array(ROWS, dtype=np.float32),
    "images": np.array(ROWS)[:, :, None].repeat(3, axis=2),
    "objects": np.array([[None, NAN], [NAN, 1], [2, pd.NA], ["c", 4]], dtype=object),
    "table": pd.DataFrame(ROWS),
    "words": WORDS,
    "integers with gaps": pd.DataFrame(ROWS).astype("Int64"),
    "sparse": csr_matrix(np.array(ROWS)),
    "numbers": [NAN, 1.0, 2.0, 3.0],
    "Series": pd.Series([NAN, 1.0, 2.0, 3.0], index=[9, 9, 8, 8]),
    "arrays as objects": np.array([None, "u", "v", "w"], dtype=object),
}
WHOLE = {
    "integers": np.ones((4, 2), dtype=int),
    "words": ["a", "b", "c", "d"],
    "ragged": [[NAN], [NAN, NAN], [1.0], []],
    "sparse zeros": csr_matrix((4, 2)),
    "nothing": np.zeros((4, 0)),
    "no columns": pd.DataFrame(index=range(4)),
}


@pytest.mark.parametrize("x", TABLES.values(), ids=TABLES)
def test_rows_that_are_missing_throughout(x: object) -> None:
    np.testing.assert_array_equal(are_failed(x), [True, False, False, False])
    theta, rest = without_failures(np.arange(4), x)
    np.testing.assert_array_equal(theta, [1, 2, 3])
    assert type(rest) is type(x)
    assert not are_failed(rest).any()


@pytest.mark.parametrize("x", WHOLE.values(), ids=WHOLE)
def test_other_tables_have_none(x: object) -> None:
    np.testing.assert_array_equal(are_failed(x), [False] * 4)
    assert without_failures(ROWS, x) == (ROWS, x) or without_failures(ROWS, x)[1] is x


def test_all_failed() -> None:
    with pytest.raises(ValueError, match="got 2 rows, all of them NaN"):
        without_failures([1, 2], [[NAN], [NAN]])


def test_rows_of_any_table() -> None:
    mask = np.array([True, False, True, False])
    assert rows_of(ROWS, slice(3, 4)) == [[3.0, 4.0]]
    assert rows_of(["a", "b", "c", "d"], mask) == ["a", "c"]
    assert rows_of(pd.Series([1, 2, 3, 4]), mask).tolist() == [1, 3]
