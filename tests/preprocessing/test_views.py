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
    has_logarithm = logarithms and column.min() >= 0 and len(np.unique(column)) > 2
    assert views.shape[1] == 1 + has_logarithm
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


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 1e12), (1.0, 2.0), (1e-300, 5.0)])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_two_values_have_one_view_and_a_third_a_logarithm(
    low: float, high: float, share: float
) -> None:
    """Any two maps of two values are the same map."""
    column = np.where(np.random.default_rng(3).random(500) < share, high, low)
    model, views = fit(column)
    assert views.shape[1] == 1
    assert len(model.log_columns_) == 0
    assert len(np.unique(views)) == 2
    model, views = fit(np.r_[column, (low + high) / 2])
    assert views.shape[1] == 2
    np.testing.assert_array_equal(model.log_columns_, [0])


LIGHT = {
    "gaussian": RNG.normal(size=5000),
    "uniform": RNG.uniform(-3, 9, size=5000),
    "exponential": RNG.exponential(size=800),
    "signs": RNG.choice([-1.0, 1.0], 500),
    "counts": RNG.poisson(3, 500),
    "within 8": np.r_[np.linspace(-1, 1, 801), 7.9, -7.9],
}


@pytest.mark.parametrize("column", LIGHT.values(), ids=LIGHT)
def test_columns_without_heavy_tails_stay_linear(column: np.ndarray) -> None:
    """
    The slope of k asinh(r / k) at r = 8 and k = 20 is 1 / sqrt(1.16), that in the middle 1.

    Differences of float32, over steps of at least 1e-3 of all, are good to 1e-3.
    """
    column = np.asarray(column, float)
    model, _ = fit(column, logarithms=False)
    assert model.knee_.tolist() == [20.0]
    center, spread = model.center_[0], model.spread_[0]
    assert np.abs((column - center) / spread).max() <= 8
    grid = np.linspace(column.min(), column.max(), 500)
    slopes = np.diff(model.transform(grid[:, None])[:, 0].astype(float))
    assert slopes.max() / slopes.min() <= np.sqrt(1.16) * 1.003
    middle = np.abs(grid[:-1] - center) < 2 * spread
    assert slopes[middle].max() / slopes[middle].min() <= np.sqrt(1.01) * 1.003


HEAVY = {
    "cauchy": RNG.standard_cauchy(2000),
    "ten decades": np.exp(RNG.normal(scale=5, size=2000)),
    "one outlier": np.r_[RNG.normal(size=2000), 50.0],
    "just beyond 8": np.r_[np.linspace(-1, 1, 801), 8.2],
}


@pytest.mark.parametrize("column", HEAVY.values(), ids=HEAVY)
def test_columns_with_heavy_tails_saturate(column: np.ndarray) -> None:
    """Where r is large, a factor of ten adds log(10) spreads, of the scale; 1 / 2 r^2 is left."""
    model, _ = fit(column, logarithms=False)
    assert model.knee_.tolist() == [1.0]
    decades = model.center_ + model.spread_ * 10.0 ** np.arange(2, 8)
    steps = np.diff(model.transform(decades[:, None])[:, 0].astype(float)) * model.scale_
    np.testing.assert_allclose(steps, np.log(10), rtol=1e-3)


def test_the_knee_belongs_to_a_view_and_logarithms_have_the_early_one() -> None:
    table = np.column_stack(
        [RNG.uniform(1, 2, 500), RNG.standard_cauchy(500), RNG.lognormal(sigma=5, size=500)]
    )
    model = RobustViews().fit(table)
    np.testing.assert_array_equal(model.log_columns_, [0, 2])
    np.testing.assert_array_equal(model.knee_, [20, 1, 1, 1, 1])


def test_a_table_taken_in_blocks_equals_its_rows() -> None:
    rng = np.random.default_rng(2)
    table = rng.lognormal(sigma=3, size=(70_000, 2))
    model = RobustViews().fit(table)
    whole = model.transform(table)
    edges = [0, 1, 65_535, 65_536, 65_537, 70_000]
    parts = [model.transform(table[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    np.testing.assert_array_equal(whole, np.vstack(parts))
