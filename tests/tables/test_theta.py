"""theta as users give it: columns against fit's, and pairs with observations."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator

from sksbi.priors import check_prior
from sksbi.tables.layout import ObservationLayout
from sksbi.tables.names import check_pairs
from sksbi.tables.theta import check_against_prior, pair_rows, read_theta

NUMBERS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
PRIOR = check_prior({"mass": stats.norm(), "rate": stats.uniform(0, 0.3)})


def test_theta_remembers_its_columns() -> None:
    estimator = BaseEstimator()
    table = pd.DataFrame(NUMBERS, columns=["mass", "rate"])
    read_theta(estimator, table, reset=True)
    assert estimator.feature_names_in_.tolist() == ["mass", "rate"]
    np.testing.assert_array_equal(read_theta(estimator, table), NUMBERS)
    np.testing.assert_array_equal(read_theta(estimator, NUMBERS), NUMBERS)


@pytest.mark.parametrize(
    ("table", "value"),
    [
        (pd.DataFrame(NUMBERS, columns=["rate", "mass"]), "same order"),
        (pd.DataFrame(NUMBERS, columns=["mass", "speed"]), "speed"),
        (pd.DataFrame(NUMBERS, columns=["mass", 2]), "'int', 'str'"),
    ],
)
def test_other_columns_than_in_fit_are_refused(table: object, value: str) -> None:
    estimator = BaseEstimator()
    read_theta(estimator, pd.DataFrame(NUMBERS, columns=["mass", "rate"]), reset=True)
    with pytest.raises((ValueError, TypeError), match=f"(?s)theta: .*{value}"):
        read_theta(estimator, table)


def test_another_width_than_in_fit_is_refused() -> None:
    estimator = BaseEstimator()
    read_theta(estimator, NUMBERS, reset=True)
    with pytest.raises(ValueError, match="theta: .*1 features.*expecting 2"):
        read_theta(estimator, NUMBERS[:, :1])


def test_too_few_rows_of_theta_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 sample\(s\).*minimum of 2"):
        read_theta(BaseEstimator(), NUMBERS[:1], reset=True, minimum=2)


def reader() -> BaseEstimator:
    """Remember two named columns."""
    estimator = BaseEstimator()
    read_theta(estimator, pd.DataFrame(NUMBERS, columns=["mass", "rate"]), reset=True)
    return estimator


def test_rounding_to_float32_is_undone_at_a_bound_and_nowhere_else() -> None:
    theta = np.array([[0.0, 0.3], [0.0, 0.1]], dtype=np.float32)
    array = read_theta(reader(), theta, PRIOR)
    assert array[0, 1] == 0.3
    np.testing.assert_array_equal(array[1], theta[1])
    wide = read_theta(reader(), theta.astype(float), PRIOR)
    assert wide[0, 1] > 0.3


def test_theta_of_fit_is_held_against_the_prior() -> None:
    table = pd.DataFrame({"rate": [0.1], "mass": [0.2]})
    with pytest.raises(
        ValueError, match=r"the prior's names in the same order, \['mass', 'rate'\]"
    ):
        check_against_prior(table, table.to_numpy(), PRIOR)
    theta = np.array([[0.0, 0.1], [0.0, 0.5]])
    with pytest.raises(ValueError, match=r"1 of 2 rows do not, the first in row 1: \[0\.  0\.5\]"):
        check_against_prior(theta, theta, PRIOR)


@pytest.mark.parametrize(
    ("theta", "x", "rows", "shape"),
    [
        (np.zeros((3, 2)), np.zeros((3, 4)), [0, 1, 2], (3,)),
        (np.zeros((3, 2)), np.zeros(4), [0, 0, 0], (3,)),
        (np.zeros((3, 2)), np.zeros((1, 4)), [0, 0, 0], (3,)),
        (np.zeros((2, 3, 2)), np.zeros((2, 4)), [0, 0, 0, 1, 1, 1], (2, 3)),
        (np.zeros((1, 3, 2)), np.zeros(4), [0, 0, 0], (1, 3)),
        (np.zeros((2, 3, 2)).tolist(), np.zeros((2, 4)), [0, 0, 0, 1, 1, 1], (2, 3)),
        ([torch.zeros(3, 2, requires_grad=True)] * 2, np.zeros((2, 4)), [0] * 3 + [1] * 3, (2, 3)),
    ],
)
def test_theta_is_paired_with_observations(
    theta: object, x: np.ndarray, rows: list[int], shape: tuple[int, ...]
) -> None:
    layout, _ = ObservationLayout.learn(np.zeros((5, 4)))
    pairs = pair_rows(reader(), theta, layout.read(x), None)
    assert pairs.rows.tolist() == rows
    assert pairs.shape == shape
    assert pairs.theta.shape == (len(rows), 2)


def test_integer_labels_of_theta_warn_in_another_order() -> None:
    estimator = BaseEstimator()
    table = pd.DataFrame(NUMBERS)
    read_theta(estimator, table, reset=True)
    estimator.theta_columns_ = [0, 1]
    np.testing.assert_array_equal(read_theta(estimator, table), NUMBERS)
    with pytest.warns(UserWarning, match=r"^theta has the labels of fit in another.* \[1, 0\]"):
        array = read_theta(estimator, table[[1, 0]])
    np.testing.assert_array_equal(array, NUMBERS[:, ::-1])


def test_theta_with_a_column_twice_is_refused() -> None:
    table = pd.DataFrame(NUMBERS, columns=["mass", "mass"])
    with pytest.raises(ValueError, match=r"theta must have columns that differ, got \['mass'\]"):
        read_theta(BaseEstimator(), table, reset=True)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (pd.DataFrame(NUMBERS, columns=["mass", "rate"]).replace(1.0, np.nan), "NaN in column"),
        (np.ma.masked_equal(NUMBERS, 1.0), "NaN in column 1, row 0, and must be finite: leave out"),
        (np.zeros((3, 0)), r"0 feature\(s\)"),
        (pd.DataFrame(index=range(3)), "at least one column"),
        (NUMBERS * 1j, "Complex data not supported"),
        (pd.DataFrame({"mass": pd.to_datetime(["2020"] * 3)}), "dates or durations in column 'ma"),
        (np.ones(3), r"got 1D array instead: array=\[1. 1. 1.\].*\.reshape\(-1, 1\)"),
    ],
)
def test_errors_on_theta_name_it_and_the_place(theta: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"(?s)^theta.*{message}"):
        read_theta(BaseEstimator(), theta, reset=True)


LABELS = [f"run {i}" for i in range(4)]


@pytest.mark.parametrize(
    ("theta", "x", "warns"),
    [
        (LABELS, LABELS, False),
        (LABELS, LABELS[::-1], True),
        (LABELS, range(4), False),
        ([2, 0, 1, 3], range(4), True),
        (range(4), [3, 1, 2, 0], True),
        ([2, 5, 8, 9], range(4), False),
        ([2, 5, 8, 9], [5, 2, 6, 7], True),
        ([2, 5, 8, 9], [10, 11, 12, 13], False),
        (["a", "a", "b", "b"], ["a", "a", "b", "b"], False),
        (["a", "a", "b", "b"], ["a", "b", "a", "b"], True),
        ([("a", 1), ("a", 2), ("b", 1), ("b", 2)], [("a", 1), ("b", 1), ("a", 2), ("b", 2)], True),
        ([("a", 1), ("a", 2), ("b", 1), ("b", 2)], range(4), False),
    ],
)
def test_labels_in_another_order_warn(theta: list, x: list, warns: bool) -> None:
    tables = [pd.DataFrame({"a": range(4)}, index=pd.Index(labels)) for labels in (theta, x)]
    if warns:
        with pytest.warns(UserWarning, match=r"paired by position.*x\.loc\[theta\.index\]"):
            check_pairs(*tables)
    else:
        check_pairs(*tables)
    check_pairs(tables[0], tables[1].to_numpy())
    check_pairs(tables[0].to_numpy(), tables[1]["a"])


def test_numbers_that_do_not_match_are_named() -> None:
    layout, _ = ObservationLayout.learn(np.zeros((5, 4)))
    with pytest.raises(ValueError, match="theta has 3 rows and x has 2 observations"):
        pair_rows(reader(), np.zeros((3, 2)), layout.read(np.zeros((2, 4))), None)
    with pytest.raises(ValueError, match=r"shape \(2, n, 2\) for 2 observations, got \(3, 1, 2\)"):
        pair_rows(reader(), np.zeros((3, 1, 2)), layout.read(np.zeros((2, 4))), None)
