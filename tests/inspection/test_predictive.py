"""The predictive plot: its bands are quantiles, its panels the series that were asked for."""

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sklearn.model_selection import GridSearchCV

from sksbi.estimators import NPE
from sksbi.inspection import PredictiveDisplay

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


YEARS = np.arange(1900, 1904)
NAMES = [f"{animal}_{year}" for animal in ("hare", "lynx") for year in YEARS]


def simulations(n=200):
    values = np.random.default_rng(0).lognormal(size=(n, 8))
    return pd.DataFrame(values, columns=NAMES)


class Posterior:
    """Draw normals around x."""

    def sample(self, x, n_samples, *, random_state=None):
        rng = np.random.default_rng(random_state)
        x = np.asarray(x)[..., None, :]
        return x + rng.normal(size=(*x.shape[:-2], n_samples, 3))


class Named(Posterior):
    """Draw arrays, though the prior has names, as after fit on arrays."""

    prior_ = SimpleNamespace(names=("a", "b", "c"))

    @property
    def parameter_names_(self):
        return list(self.prior_.names)


class Steps:
    """Give its last step, and sample by it, as a pipeline does."""

    def __init__(self, last):
        self.last = last
        self.sample = last.sample

    def __getitem__(self, index):
        return {-1: self.last}[index]


def band(filled, n):
    """Return the lower and upper edge of a filled band over n coordinates."""
    vertices = filled.get_paths()[0].vertices
    low = vertices[1 : n + 1, 1]
    high = vertices[n + 2 : 2 * n + 2, 1][::-1]
    return low, high


@pytest.mark.parametrize("levels", [(0.5, 0.9), (0.3,), (0.9, 0.68, 0.2)])
def test_the_bands_are_quantiles_and_the_line_is_the_median(levels):
    simulated, observed = simulations().to_numpy(), np.arange(8.0)
    (ax,) = PredictiveDisplay.from_samples(simulated, observed, levels=levels).axes_
    for filled, level in zip(ax.collections, sorted(levels, reverse=True), strict=True):
        expected = np.quantile(simulated, [(1 - level) / 2, (1 + level) / 2], axis=0)
        np.testing.assert_allclose(band(filled, 8), expected)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), np.median(simulated, axis=0))
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), observed)


@pytest.mark.parametrize(
    "groups",
    [
        {"hare": slice(0, 4), "lynx": slice(4, None)},
        {"hare": range(4), "lynx": np.arange(4, 8)},
        {"hare": NAMES[:4], "lynx": pd.Index(NAMES[4:])},
    ],
)
def test_groups_are_panels(groups):
    observed = pd.Series(np.arange(1.0, 9.0), index=NAMES)
    display = PredictiveDisplay.from_samples(
        simulations(), observed, groups=groups, coordinates=YEARS, xlabel="year"
    )
    hare, lynx = display.axes_
    assert [hare.get_ylabel(), lynx.get_ylabel()] == ["hare", "lynx"]
    assert [hare.get_xlabel(), lynx.get_xlabel()] == ["", "year"]
    np.testing.assert_array_equal(hare.lines[1].get_xydata(), np.c_[YEARS, [1, 2, 3, 4]])
    np.testing.assert_array_equal(lynx.lines[1].get_xydata(), np.c_[YEARS, [5, 6, 7, 8]])


def test_series_may_have_their_own_tables_and_coordinates():
    table = simulations()
    display = PredictiveDisplay.from_samples(
        {"hare": table[NAMES[:4]], "lynx": table[NAMES[4:6]].to_numpy()},
        {"hare": [1, 2, 3, 4], "lynx": [5, 6]},
        coordinates={"hare": pd.Index(YEARS, name="year"), "lynx": pd.Series([1, 2], name="day")},
    )
    hare, lynx = display.axes_
    assert [hare.get_xlabel(), lynx.get_xlabel()] == ["year", "day"]
    np.testing.assert_array_equal(lynx.lines[1].get_xydata(), [[1, 5], [2, 6]])


def test_coordinates_count_from_zero():
    (ax,) = PredictiveDisplay.from_samples(simulations(), np.zeros(8)).axes_
    assert ax.get_xlabel() == "position"
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), np.arange(8))


@pytest.mark.parametrize("observed", [{"hare_1900": 2.0}, [[2.0] + 7 * [np.nan]]])
def test_an_observation_may_have_gaps(observed):
    (ax,) = PredictiveDisplay.from_samples(simulations(), observed).axes_
    assert np.nansum(ax.lines[1].get_ydata()) == 2.0


def test_dates_and_words_are_coordinates():
    dates = pd.date_range("2020-01-01", periods=8)
    PredictiveDisplay.from_samples(simulations(), np.zeros(8), coordinates=dates)
    display = PredictiveDisplay.from_samples(simulations(), np.zeros(8), coordinates=NAMES)
    display.figure_.canvas.draw()


def test_a_single_number_gets_a_band_of_some_width():
    simulated = simulations()[["hare_1900"]]
    (ax,) = PredictiveDisplay.from_samples(simulated, [1.0]).axes_
    low, high = band(ax.collections[0], 2)
    expected = np.quantile(simulated, [0.05, 0.95])
    np.testing.assert_allclose([low, high], np.repeat(expected[:, None], 2, axis=1))
    assert np.ptp(ax.lines[0].get_xdata()) > 0


def test_the_axis_is_logarithmic_when_asked():
    display = PredictiveDisplay.from_samples(simulations(), np.ones(8), log=True)
    assert display.axes_[0].get_yscale() == "log"
    with pytest.raises(ValueError, match="log must be False .* got 0.0 in the series 'x'"):
        PredictiveDisplay.from_samples(simulations(), np.zeros(8), log=True)


def test_the_legend_shows_the_shades_that_are_drawn():
    (ax,) = PredictiveDisplay.from_samples(simulations(), np.zeros(8)).axes_
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["90% simulated", "50% simulated", "median", "observed"]
    alphas = [handle.get_alpha() for handle in ax.get_legend().get_patches()]
    assert alphas == pytest.approx([0.25, 1 - 0.75**2])


@pytest.mark.parametrize("vectorized", [False, True])
def test_an_estimator_is_sampled_and_simulated(vectorized):
    options = {"n_samples": 400, "vectorized": vectorized, "random_state": 0}

    def simulator(theta, rng):
        return theta + 0.01 * rng.normal(size=theta.shape)

    x = [0.0, 10.0, 20.0]
    display = PredictiveDisplay.from_estimator(Posterior(), simulator, x, **options)
    again = PredictiveDisplay.from_estimator(Posterior(), simulator, x, **options)
    values = display.simulated["x"]
    assert values.shape == (400, 3)
    assert np.all(np.abs(values.mean(axis=0) - x) < 4 / np.sqrt(400))
    np.testing.assert_array_equal(values, again.simulated["x"])


def test_a_simulator_may_return_one_number():
    display = PredictiveDisplay.from_estimator(
        Posterior(),
        lambda theta: theta[0],
        [7.0],
        n_samples=50,
        random_state=np.random.default_rng(),
    )
    assert display.simulated["x"].shape == (50, 1)


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("estimator", [Named(), Steps(Named())])
def test_the_simulator_gets_the_names_of_the_prior(estimator, vectorized):
    seen = []

    def simulator(theta):
        seen.append(theta)
        return theta[["a", "b", "c"]].to_numpy()

    PredictiveDisplay.from_estimator(
        estimator, simulator, [0.0, 1.0, 2.0], n_samples=10, vectorized=vectorized
    )
    assert all(isinstance(t, pd.DataFrame if vectorized else pd.Series) for t in seen)


@pytest.mark.parametrize("observed", [0.5, np.float64(0.5), np.array(0.5)])
def test_an_observation_may_be_one_number(observed):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(40, 1))
    npe = NPE(max_epochs=1, random_state=0).fit(theta, theta[:, 0] + rng.normal(size=40))
    display = PredictiveDisplay.from_estimator(npe, lambda t: t[0], observed, n_samples=20)
    assert display.observed["x"].tolist() == [0.5]
    assert display.simulated["x"].shape == (20, 1)


def test_a_search_is_refused():
    with pytest.raises(TypeError, match="Of a search give best_estimator_"):
        PredictiveDisplay.from_estimator(GridSearchCV(NPE(), {}), np.sum, np.zeros(3))


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"x must be one observation.*\(1, 10, 3\)"):
        PredictiveDisplay.from_estimator(Posterior(), np.sum, np.zeros((1, 3)), n_samples=10)


def test_nothing_global_changes():
    settings, state = dict(mpl.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    display = PredictiveDisplay.from_estimator(Posterior(), lambda theta: theta, np.zeros(3))
    display.figure_.canvas.draw()
    assert dict(mpl.rcParams) == settings
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


TABLE = simulations()
HARE, LYNX = TABLE[NAMES[:4]], TABLE[NAMES[4:]]


@pytest.mark.parametrize(
    ("simulated", "observed", "options", "match"),
    [
        (TABLE, np.zeros(7), {}, r"x_observed must have 8 values, got .*\(7,\)"),
        (TABLE, np.zeros((2, 4)), {}, r"x_observed must have 8 values, got .*\(2, 4\)"),
        (TABLE, {"wolf": 1.0}, {}, r"unknown \['wolf'\]"),
        (TABLE.to_numpy()[None], np.zeros(8), {}, r"x_simulated must be 2-d.*\(1, 200, 8\)"),
        (TABLE * np.nan, np.zeros(8), {}, "x_simulated must be finite, got nan"),
        (TABLE[:1], np.zeros(8), {}, r"x_simulated must have at least 2 row.*\(1, 8\)"),
        (TABLE, np.zeros(8), {"groups": {}}, "groups must name at least one series"),
        (TABLE, np.zeros(8), {"groups": {"a": [8]}}, r"groups\['a'\] .* got \[8\]"),
        (TABLE, np.zeros(8), {"groups": {"a": ["wolf"]}}, r"groups\['a'\] .* got \['wolf'\]"),
        (TABLE, np.zeros(8), {"groups": {"a": slice(9, 9)}}, r"groups\['a'\] .* got none"),
        (TABLE, np.zeros(8), {"coordinates": [1, 2]}, "'x' must have 8 values, got 2"),
        (TABLE, np.zeros(8), {"coordinates": {"y": [1]}}, r"series \['x'\], got \['y'\]"),
        (TABLE, np.zeros(8), {"levels": (0, 0.5)}, r"levels must be .* got \(0, 0.5\)"),
        ({"h": HARE}, {"l": [1] * 4}, {}, r"dict of the series \['h'\] .* got \['l'\]"),
        ({"h": HARE}, [1] * 4, {}, r"dict of the series \['h'\] .* got list"),
        ({}, {}, {}, r"dict of the series \[\]"),
        ({"h": HARE}, {"h": [1] * 4}, {"groups": {"h": [1]}}, "groups must be None"),
        ({"h": HARE, "l": LYNX}, {"h": [1] * 4, "l": [1]}, {}, r"x_observed\['l'\] .* 4 values"),
    ],
)
def test_bad_input_is_refused(simulated, observed, options, match):
    with pytest.raises(ValueError, match=match):
        PredictiveDisplay.from_samples(simulated, observed, **options)


def test_an_observation_of_words_is_refused():
    with pytest.raises(TypeError, match="x_observed must hold real numbers.*'many'"):
        PredictiveDisplay.from_samples(TABLE, ["many"] * 8)
