"""The invertible map of x: kinds of columns, round trips, Jacobians, counts, what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler

from sksbi.exceptions import TrainingWarning
from sksbi.preprocessing import InvertibleSpace
from sksbi.utils.types import Array

N = 2000
RNG = np.random.default_rng(0)
THETA = RNG.normal(size=(N, 2))
CONTINUOUS = np.column_stack(
    [
        THETA[:, 0] + 0.5 * RNG.normal(size=N),
        np.exp(THETA[:, 1] + 0.3 * RNG.normal(size=N)),
        THETA[:, 0] + RNG.standard_cauchy(N),
    ]
)
COUNTS = RNG.poisson(np.exp(2 + THETA[:, 0])).astype(float)
CHOICE = (THETA[:, 0] + RNG.normal(size=N) > 0).astype(float)
MIXED = np.column_stack([CHOICE, CONTINUOUS[:, 1], COUNTS, 0.1 * RNG.integers(0, 4, N)])


def fitted(x: Array, **options: Any) -> InvertibleSpace:
    """Fit to x, with THETA as the context."""
    return InvertibleSpace(**options).fit(x, THETA[: len(x)], np.random.default_rng(1))


def jacobian(space: InvertibleSpace, x: Array) -> Array:
    """Compute log |det dy/dx| of continuous columns by central differences."""
    d = x.shape[1]
    rows = []
    for k in range(d):
        h = 1e-6 * np.maximum(1e-3, np.abs(x[:, k]))[:, None] * np.eye(d)[k]
        rows.append((space.to_network(x + h)[0] - space.to_network(x - h)[0]) / 2 / h[:, [k]])
    return np.linalg.slogdet(np.stack(rows, axis=2))[1]


def test_kinds_of_columns_follow_their_values() -> None:
    space = fitted(MIXED)
    assert space.discrete_.tolist() == [True, False, False, True]
    assert space.counts_.tolist() == [False, True]
    assert space.n_values == [2, 4]
    np.testing.assert_array_equal(space.values_[1], np.unique(MIXED[:, 3]))


@pytest.mark.parametrize(
    ("discrete", "counts"),
    [
        ([False, False, False, False], [True, False, True, False]),
        ([True, False, True, False], [False, False]),
    ],
)
@pytest.mark.filterwarnings("ignore:column 3 of x is")
def test_the_user_overrides_them(discrete: list[bool], counts: list[bool]) -> None:
    space = fitted(MIXED, discrete=np.array(discrete))
    assert space.discrete_.tolist() == discrete
    assert space.counts_.tolist() == counts


@pytest.mark.parametrize(("n", "most"), [(20, 4), (50, 10), (2000, 10), (4, 1)])
def test_few_values_are_ten_with_five_rows_each(n: int, most: int) -> None:
    for k in (most, most + 1):
        space = fitted(np.arange(n)[:, None] % k + 0.0)
        assert space.discrete_.tolist() == [k == most]


@pytest.mark.parametrize(
    "x",
    [
        CONTINUOUS,
        CONTINUOUS[:, [2]],
        CONTINUOUS[:, 1],
        MIXED,
        MIXED[:20],
        CHOICE,
        np.column_stack([CHOICE, CHOICE]),
        np.column_stack([np.full(N, 3.5), CONTINUOUS[:, 0]]),
        RNG.normal(size=(N, 4, 4)),
        1e-12 * CONTINUOUS,
        1e12 * CONTINUOUS,
    ],
    ids=[
        *("three", "one", "flat", "mixed", "few", "discrete", "discrete copies", "constant"),
        *("images", "1e-12", "1e12"),
    ],
)
def test_the_way_back_gives_x_again(x: Array) -> None:
    space = fitted(x)
    for generator in (None, np.random.default_rng(2)):
        target, ladj = space.to_network(x, generator)
        assert target.shape == (len(x), x[0].size)
        assert np.isfinite(target).all()
        assert np.isfinite(ladj).all()
        back = space.from_network(target)
        assert back.shape == x.shape
        np.testing.assert_allclose(back, x, rtol=1e-8, atol=1e-9 * np.abs(x).max())
        whole = x.reshape(len(x), -1)[:, ~space.discrete_][:, space.counts_]
        again = back.reshape(len(x), -1)[:, ~space.discrete_][:, space.counts_]
        np.testing.assert_array_equal(again, whole)


TRANSFORMERS = {
    "none": None,
    "standard": StandardScaler(),
    "range": MinMaxScaler(),
    "robust": RobustScaler(),
    "yeo-johnson": PowerTransformer(),
    "rotation": PCA(),
    "whitening": PCA(whiten=True),
    "pipeline": make_pipeline(PowerTransformer(standardize=False), PCA(), StandardScaler()),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("tables", [False, True])
def test_the_log_determinant_is_that_of_the_derivatives(name: str, tables: bool) -> None:
    transformer = TRANSFORMERS[name]
    with sklearn.config_context(transform_output="pandas" if tables else "default"):
        space = fitted(CONTINUOUS, transformer=transformer)
        x = CONTINUOUS[np.abs(CONTINUOUS[:, 2]) < 50][:200]
        target, ladj = space.to_network(x)
        np.testing.assert_allclose(ladj, jacobian(space, x), atol=1e-4)
        np.testing.assert_allclose(space.from_network(target), x, rtol=1e-7, atol=1e-7)
    # Standardised, whatever the transformer.
    seen = space.to_network(CONTINUOUS)[0]
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(seen.std(axis=0), 1, rtol=1e-9)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_power_that_is_bounded_is_held_so_that_all_draws_have_an_x(sign: int) -> None:
    x = sign * np.exp(-np.abs(CONTINUOUS[:, :1] + RNG.normal(size=(N, 1))))
    free = PowerTransformer().fit(x).lambdas_
    assert not 0 <= free[0] <= 2
    space = fitted(x, transformer=PowerTransformer())
    draws = np.random.default_rng(0).normal(size=(10_000, 1)) * 4
    assert np.isfinite(space.from_network(draws)).all()


def test_box_cox_gives_numbers_below_zero_no_density() -> None:
    x = CONTINUOUS[:, [1]]
    space = fitted(x, transformer=PowerTransformer(method="box-cox"))
    target, ladj = space.to_network(np.array([[-1.0], [1.0]]))
    assert np.isfinite(target).all()
    assert ladj[0] == -np.inf
    assert np.isfinite(ladj[1])


def test_transformers_without_a_jacobian_are_refused() -> None:
    for transformer in (PCA(1), MinMaxScaler(clip=True)):
        with pytest.raises(ValueError, match="x_transformer=.* cannot be applied to x"):
            fitted(CONTINUOUS, transformer=transformer)


def test_counts_are_spread_evenly_and_rounded_back() -> None:
    space = fitted(COUNTS[:, None])
    generator = np.random.default_rng(0)
    [one] = space.maps_
    spread = one.inverse(space.to_network(COUNTS[:, None], generator)[0][:, 0]) - COUNTS
    assert np.abs(spread).max() <= 0.5
    # of 2,000 even numbers the mean is off by 0.0065, the deviation by 0.003
    assert spread.mean() == pytest.approx(0, abs=0.02)
    assert spread.std() == pytest.approx(12**-0.5, abs=0.01)
    middle = one.inverse(space.to_network(COUNTS[:, None])[0][:, 0])
    np.testing.assert_allclose(middle, COUNTS, atol=1e-9)


def test_counts_of_nothing_stay_at_zero_and_others_do_not() -> None:
    low = np.full((100, 1), -50.0)
    assert (fitted(COUNTS[:, None]).from_network(low) == 0).all()
    assert (fitted(COUNTS[:, None] - 20).from_network(low) < -20).all()


def test_an_unseen_value_has_no_place_and_is_refused_where_it_is_observed() -> None:
    names = ["choice", "time", "count", "level"]
    space = fitted(MIXED, names=names, labels={0: ["left", "right", "both"]})
    odd = MIXED[:3].copy()
    odd[0, 0], odd[1, 3] = 2, 0.4
    target, _ = space.to_network(odd)
    np.testing.assert_array_equal(target[:, 2:] >= 0, [[False, True], [True, False], [True, True]])
    space.refuse_unseen(MIXED)
    with pytest.raises(ValueError, match="column 'choice' .*got 'both'; fit saw 'left', 'right'"):
        space.refuse_unseen(odd)
    with pytest.raises(ValueError, match=r"column 'level' .*got 0\.4; fit saw 0, 0\.1, 0\.2, 0\.3"):
        space.refuse_unseen(odd[1:])
    odd[2, 2] = 3.5
    with pytest.raises(ValueError, match=r"whole numbers in column 'count', as in fit, got 3\.5"):
        space.refuse_unseen(odd[2:])


def test_discrete_columns_of_very_many_values_are_refused() -> None:
    x = np.arange(3000.0)[:, None] % 1500
    with pytest.raises(ValueError, match="at most 1,000 values, got column 'n' with 1,500"):
        InvertibleSpace(None, np.ones(1, bool), ["n"]).fit(x, np.zeros((3000, 1)))
    assert fitted(x[:900], discrete=np.ones(1, bool)).n_values == [900]


def test_single_values_of_a_continuous_column_are_told() -> None:
    x = CONTINUOUS[:, [1]].copy()
    x[:600] = 0
    with pytest.warns(TrainingWarning, match="column 'rain' of x is 0 in 30% of the simulations"):
        fitted(x, names=["rain"])
    # Counts are no case of it: their single values do have probability.
    counts = COUNTS[:, None].copy()
    counts[:600] = 0
    fitted(counts)


def test_copies_are_told_by_name() -> None:
    x = np.column_stack([CONTINUOUS[:, 0], CHOICE, CONTINUOUS[:, 1], 2 * CONTINUOUS[:, 1]])
    with pytest.warns(TrainingWarning, match=r"column 'd' \(of column 'c'\)\. So x has no density"):
        fitted(x, names=["a", "b", "c", "d"])
    with pytest.warns(TrainingWarning, match=r"less: column 0 \(of theta\)\."):
        fitted(THETA[:, :1] * 3 + 1)
    with pytest.warns(TrainingWarning, match=r"column 5 \(of column 0\) and 35 more\."):
        fitted(np.tile(CONTINUOUS[:, :1], 41))


def test_what_is_fitted_does_not_depend_on_how_large_the_units_are() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = fitted(CONTINUOUS), fitted(CONTINUOUS * 2.0**60)
    assert not other.counts_.any()
    assert [m.kind for m in one.maps_] == [m.kind for m in other.maps_]
    a, b = one.to_network(CONTINUOUS), other.to_network(CONTINUOUS * 2.0**60)
    np.testing.assert_allclose(a[0], b[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a[1], b[1] + 3 * 60 * np.log(2), rtol=1e-9)
