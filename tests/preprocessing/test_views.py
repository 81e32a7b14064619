"""Robust views: no column, however it is distributed, is lost or breaks the others."""

import numpy as np
import pytest

from sksbi.preprocessing import RobustViews

RNG = np.random.default_rng(0)
COLUMNS = {
    "gaussian": RNG.normal(size=500),
    "ten decades": np.exp(RNG.normal(scale=5, size=500)),
    "a hundred decades": np.exp(RNG.normal(scale=60, size=500)),
    "cauchy": RNG.standard_cauchy(500),
    "epidemic": np.where(RNG.random(500) < 0.9, 0.0, RNG.poisson(1000, 500)),
    "counts": RNG.poisson(0.5, 500),
    "bool": RNG.random(500) < 0.01,
    "one outlier": np.r_[np.zeros(499), 1e12],
    "huge offset": 1e9 + RNG.normal(size=500),
    "negative offset": -1e9 + RNG.normal(size=500),
    "tiny": 1e-30 * RNG.normal(size=500),
    "huge": 1e200 * RNG.normal(size=500),
}
CONSTANTS = [0.0, 1.0, -3.0, 0.1, 1e9 / 3, 1e-300]


def fit(column: np.ndarray, **options: bool) -> tuple[RobustViews, np.ndarray]:
    """Fit the views of one column."""
    views = RobustViews(**options)
    return views, views.fit_transform(np.asarray(column, float)[:, None]).astype(float)


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("logarithms", [True, False])
def test_every_view_is_standardised_and_moderate(column: np.ndarray, logarithms: bool) -> None:
    _, views = fit(column, logarithms=logarithms)
    assert views.shape[1] == (1 + (logarithms and column.min() >= 0))
    np.testing.assert_allclose(views.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(views.std(axis=0), 1, atol=1e-4)
    # No standardised sample of n can go beyond sqrt(n - 1): a single outlier does.
    assert np.abs(views).max() < (25 if len(np.unique(column)) < 3 else 12)


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_views_keep_the_order_and_nearly_all_values_apart(column: np.ndarray) -> None:
    values = np.sort(np.asarray(column, float))
    model, _ = fit(column)
    steps = np.diff(model.transform(values[:, None]), axis=0)
    assert (steps >= 0).all()
    distinct = np.diff(values) > 0
    kept = (steps > 0).any(axis=1)
    assert not kept[~distinct].any()
    assert kept[distinct].mean() > 0.99


def test_an_offset_costs_no_information() -> None:
    noise = np.random.default_rng(1).normal(size=(500, 1))
    expected = RobustViews().fit_transform(noise)
    got = RobustViews().fit_transform(noise + 1e9)
    # At 1e9 a float64 resolves 1e-7.
    np.testing.assert_allclose(got[:, :1], expected, atol=1e-6)


@pytest.mark.parametrize("constant", CONSTANTS)
def test_a_constant_column_becomes_zero(constant: float) -> None:
    model, views = fit(np.full(100, constant))
    np.testing.assert_array_equal(views, 0)
    other = model.transform(np.array([[constant + 1.0], [constant - 1.0]]))
    assert np.isfinite(other).all()


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("value", [-1e300, -1.0, 0.0, 1e-300, 1e300])
def test_new_values_far_from_all_seen_stay_finite(column: np.ndarray, value: float) -> None:
    model, views = fit(column)
    new = model.transform(np.array([[value]]))
    assert np.isfinite(new).all()
    if value < np.min(column):
        assert (new <= views.min(axis=0) + 1e-6).all()
    if value > np.max(column):
        assert (new >= views.max(axis=0) - 1e-6).all()


def test_columns_do_not_disturb_each_other() -> None:
    table = np.column_stack(list(COLUMNS.values())).astype(float)
    together = RobustViews(logarithms=False).fit_transform(table)
    for i, column in enumerate(table.T):
        np.testing.assert_array_equal(together[:, [i]], fit(column, logarithms=False)[1])


def test_small_values_are_resolved_by_the_logarithm() -> None:
    column = np.r_[10.0 ** -np.arange(1, 10), np.linspace(1, 1000, 491)]
    _, views = fit(column)
    assert (np.abs(np.diff(views[:9], axis=0)).max(axis=1) > 0.05).all()


def test_a_table_taken_in_blocks_equals_its_rows() -> None:
    rng = np.random.default_rng(2)
    table = rng.lognormal(sigma=3, size=(70_000, 2))
    model = RobustViews().fit(table)
    whole = model.transform(table)
    edges = [0, 1, 65_535, 65_536, 65_537, 70_000]
    parts = [model.transform(table[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    np.testing.assert_array_equal(whole, np.vstack(parts))
