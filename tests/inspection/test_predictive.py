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
    (ax,) = PredictiveDisplay.from_samples(simulations().to_numpy(), np.zeros(8)).axes_
    assert ax.get_xlabel() == "position"
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), np.arange(8))


@pytest.mark.parametrize("observed", [{"hare_1900": 2.0}, [[2.0] + 7 * [np.nan]]])
def test_an_observation_may_have_gaps(observed):
    (ax,) = PredictiveDisplay.from_samples(simulations(), observed, kind="series").axes_
    assert np.nansum(ax.lines[1].get_ydata()) == 2.0


def test_dates_and_words_are_coordinates():
    dates = pd.date_range("2020-01-01", periods=8)
    PredictiveDisplay.from_samples(simulations(), np.zeros(8), coordinates=dates)
    display = PredictiveDisplay.from_samples(simulations(), np.zeros(8), coordinates=NAMES)
    display.figure_.canvas.draw()


@pytest.mark.parametrize("values", [simulations()[["hare_1900"]], np.arange(200.0)[:, None] % 7])
def test_a_single_number_has_a_histogram_that_is_shaded_between_its_quantiles(values):
    (ax,) = PredictiveDisplay.from_samples(values, [1.0]).axes_
    outline, wide, narrow = (patch.get_data() for patch in ax.patches)
    assert outline.values.sum() == pytest.approx(len(values), rel=0.01)
    for shaded, level in ((wide, 0.9), (narrow, 0.5)):
        expected = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        np.testing.assert_allclose(shaded.edges[[0, -1]], expected)
    assert ax.lines[0].get_xdata()[0] == np.median(values)
    assert ax.lines[1].get_xdata()[0] == 1.0


MIXED = {
    "length": [],
    "t_0": [],
    "mass 2": [],
    "t_1": [],
    "t_10": [],
    "hare[0.5]": [],
    "hare[1]": [],
    "hare[2.5]": [],
    "x1": [],
    "x2": [],
}


def test_names_that_count_are_series_and_others_stand_alone():
    values = np.random.default_rng(0).normal(size=(50, len(MIXED)))
    table = pd.DataFrame(values, columns=list(MIXED))
    display = PredictiveDisplay.from_predictions(table, table.iloc[3])
    found = {name: panel.shape[1] for name, panel in display.simulated.items()}
    assert found == {"length": 1, "t": 3, "mass 2": 1, "hare": 3, "x1": 1, "x2": 1}
    assert display.coordinates["t"].tolist() == [0, 1, 10]
    assert display.coordinates["hare"].tolist() == [0.5, 1.0, 2.5]
    np.testing.assert_array_equal(display.simulated["t"], table[["t_0", "t_1", "t_10"]])
    np.testing.assert_array_equal(display.observed["hare"], values[3, 5:8])
    labels = [ax.get_ylabel() or ax.get_xlabel() for ax in display.axes_]
    assert labels == ["t", "hare", "length", "mass 2", "x1", "x2"]


@pytest.mark.parametrize(
    ("columns", "coordinates"),
    [
        (range(3), [0, 1, 2]),
        ([1900, 1950, 2000], [1900, 1950, 2000]),
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),
        (["-1.5", "0", "2"], [-1.5, 0.0, 2.0]),
        (pd.date_range("2020-02-28", periods=3), list(pd.date_range("2020-02-28", periods=3))),
    ],
)
def test_columns_that_are_numbers_or_dates_are_one_series(columns, coordinates):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=columns)
    display = PredictiveDisplay.from_predictions(table, [1, 2, 3])
    assert display.coordinates["x"].tolist() == coordinates


@pytest.mark.parametrize("columns", [["a3", "a2", "a1"], ["S1", "S2", "T1"], ["m", "s", "nan"]])
def test_columns_of_other_names_are_no_series(columns):
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=columns)
    assert list(PredictiveDisplay.from_predictions(table, [1, 2, 3]).simulated) == columns


def test_kind_decides():
    table, row = simulations(), np.zeros(8)
    each = PredictiveDisplay.from_predictions(table, row, kind="columns")
    assert list(each.simulated) == NAMES
    one = PredictiveDisplay.from_predictions(table, row, kind="series")
    assert list(one.simulated) == ["x"]
    array = PredictiveDisplay.from_predictions(table.to_numpy(), row, kind="columns")
    assert list(array.simulated) == [f"x_{j}" for j in range(8)]


def test_an_observation_names_the_columns_of_an_array():
    values = simulations().to_numpy()[:, :2]
    display = PredictiveDisplay.from_predictions(values, {"length": 1.0, "mass": 2.0})
    assert {name: row.tolist() for name, row in display.observed.items()} == {
        "length": [1.0],
        "mass": [2.0],
    }


def test_very_many_columns_are_drawn_in_units_of_their_intervals():
    rng = np.random.default_rng(0)
    units = 10.0 ** rng.integers(-9, 9, 60)
    values = rng.exponential(size=(4000, 60)) * units
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95), axis=0)
    observed = median + np.linspace(-1, 8, 60) * np.where(
        np.arange(60) < 7, median - low, high - median
    )
    names = [f"word {'abcdefghij'[j % 10]}{'klmnop'[j // 10]}" for j in range(60)]
    (ax,) = PredictiveDisplay.from_predictions(pd.DataFrame(values, columns=names), observed).axes_
    drawn = {line.get_marker(): line.get_xydata() for line in ax.lines[1:]}
    expected = np.linspace(-1, 8, 60)
    inside = expected <= 4
    np.testing.assert_allclose(drawn["o"], np.c_[np.arange(60), expected][inside], atol=1e-9)
    np.testing.assert_array_equal(drawn["^"][:, 0], np.arange(60)[~inside])
    assert set(drawn["^"][:, 1]) == {4.0}
    assert [text.get_text() for text in ax.texts] == names[:-6:-1]


def test_images_are_shown_with_mean_deviation_and_residual():
    rng = np.random.default_rng(0)
    simulated = rng.normal(5.0, 2.0, size=(400, 8, 9))
    observed = simulated.mean(axis=0)
    observed[3, 4] += 3 * simulated[:, 3, 4].std(ddof=1)
    observed[0, 0] = np.nan
    display = PredictiveDisplay.from_predictions(simulated, observed)
    shown = [ax.images[0].get_array() for ax in display.axes_]
    assert [ax.get_title() for ax in display.axes_[:3]] == ["observed", "mean", "sd"]
    np.testing.assert_allclose(shown[1], simulated.mean(axis=0))
    np.testing.assert_allclose(shown[2], simulated.std(axis=0, ddof=1))
    expected = np.zeros((8, 9))
    expected[3, 4] = 3.0
    np.testing.assert_allclose(shown[3].filled(0.0), expected, atol=1e-9)
    assert shown[3].mask[0, 0]


@pytest.mark.parametrize(
    ("shape", "kind", "panels"),
    [
        ((8, 9), "auto", {"x": (8, 9)}),
        ((1, 8, 9), "auto", {"x": (8, 9)}),
        ((2, 8, 9), "auto", {"x, channel 0": (8, 9), "x, channel 1": (8, 9)}),
        ((2, 8), "auto", {"x, channel 0": (8,), "x, channel 1": (8,)}),
        ((8, 2), "auto", {"x, channel 0": (8,), "x, channel 1": (8,)}),
        ((2, 8), "images", {"x": (2, 8)}),
        ((3, 4), "series", {"x, channel 0": (4,), "x, channel 1": (4,), "x, channel 2": (4,)}),
        ((1, 8), "auto", {"x": (8,)}),
    ],
)
def test_few_channels_are_panels_of_their_own(shape, kind, panels):
    simulated = np.random.default_rng(0).normal(size=(20, *shape))
    display = PredictiveDisplay.from_predictions(simulated, simulated[0], kind=kind)
    assert {name: row.shape for name, row in display.observed.items()} == panels
    last = display.observed[list(panels)[-1]]
    channels_first = simulated[0].T if shape == (8, 2) else simulated[0]
    np.testing.assert_array_equal(last, channels_first.reshape(-1, *last.shape)[-1])


def test_a_picture_of_everything_is_legible():
    rng = np.random.default_rng(0)
    simulated = {
        "image": rng.normal(size=(20, 8, 9)),
        "a series whose name is longer than the axis": rng.normal(size=(20, 5)),
        "number": rng.normal(size=(20, 1)),
    }
    observed = {name: values[0] for name, values in simulated.items()}
    figure = PredictiveDisplay.from_predictions(simulated, observed).figure_
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    assert all(box.width > 0 and box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_long_names_do_not_collide():
    names = [f"a_name_of_forty_characters_without_blanks_{c}" for c in "abcdefgh"]
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 8)), columns=names)
    display = PredictiveDisplay.from_predictions(table, np.zeros(8))
    display.figure_.canvas.draw()
    boxes = [ax.xaxis.label.get_window_extent() for ax in display.axes_[:4]]
    assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))


@pytest.mark.parametrize("simulator", [None, 3, np.zeros(3), "simulate"])
def test_what_cannot_simulate_is_refused_before_anything_is_drawn(simulator):
    with pytest.raises(TypeError, match="simulator must be callable, got"):
        PredictiveDisplay.from_estimator(object(), np.zeros(3), simulator)
    with pytest.raises(TypeError, match=r"got .*Were x_observed and simulator swapped\?"):
        PredictiveDisplay.from_estimator(object(), np.sum, simulator)


def test_what_has_no_picture_is_refused_before_it_is_simulated():
    class Posterior4d:
        def sample(self, x, n_samples, *, random_state=None):
            return np.zeros((n_samples, 1))

    def simulator(theta):
        raise AssertionError

    with pytest.raises(ValueError, match=r"x_observed must have at most three.*\(2, 3, 4, 5\)"):
        PredictiveDisplay.from_estimator(Posterior4d(), np.zeros((2, 3, 4, 5)), simulator)


def test_an_estimator_names_what_its_simulator_does_not():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(40, 1))
    x = pd.DataFrame(theta + rng.normal(size=(40, 2)), columns=["length / m", "time / s"])
    npe = NPE(max_epochs=1, random_state=0).fit(theta, x)
    display = PredictiveDisplay.from_estimator(npe, [0.0, 1.0], lambda t: np.r_[t, t], n_samples=20)
    assert list(display.simulated) == ["length / m", "time / s"]


def test_the_axis_is_logarithmic_when_asked():
    display = PredictiveDisplay.from_samples(simulations().to_numpy(), np.ones(8), log=True)
    assert display.axes_[0].get_yscale() == "log"
    with pytest.raises(ValueError, match="log must be False .* got 0.0 in the series 'hare'"):
        PredictiveDisplay.from_samples(simulations(), np.zeros(8), log=True)


def test_the_legend_shows_the_shades_that_are_drawn():
    (ax,) = PredictiveDisplay.from_samples(simulations().to_numpy(), np.zeros(8)).axes_
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
    display = PredictiveDisplay.from_estimator(Posterior(), x, simulator, **options)
    again = PredictiveDisplay.from_estimator(Posterior(), x, simulator, **options)
    values = display.simulated["x"]
    assert values.shape == (400, 3)
    assert np.all(np.abs(values.mean(axis=0) - x) < 4 / np.sqrt(400))
    np.testing.assert_array_equal(values, again.simulated["x"])


def test_a_simulator_may_return_one_number():
    display = PredictiveDisplay.from_estimator(
        Posterior(),
        [7.0],
        lambda theta: theta[0],
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
        estimator, [0.0, 1.0, 2.0], simulator, n_samples=10, vectorized=vectorized
    )
    assert all(isinstance(t, pd.DataFrame if vectorized else pd.Series) for t in seen)


@pytest.mark.parametrize("observed", [0.5, np.float64(0.5), np.array(0.5)])
def test_an_observation_may_be_one_number(observed):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(40, 1))
    npe = NPE(max_epochs=1, random_state=0).fit(theta, theta[:, 0] + rng.normal(size=40))
    display = PredictiveDisplay.from_estimator(npe, observed, lambda t: t[0], n_samples=20)
    assert display.observed["x"].tolist() == [0.5]
    assert display.simulated["x"].shape == (20, 1)


def test_a_search_is_refused():
    with pytest.raises(TypeError, match="Of a search give best_estimator_"):
        PredictiveDisplay.from_estimator(GridSearchCV(NPE(), {}), np.zeros(3), np.sum)


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"x must be one observation.*\(1, 10, 3\)"):
        PredictiveDisplay.from_estimator(Posterior(), np.zeros((1, 3)), np.sum, n_samples=10)


def test_nothing_global_changes():
    settings, state = dict(mpl.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    display = PredictiveDisplay.from_estimator(Posterior(), np.zeros(3), lambda theta: theta)
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
        (TABLE.to_numpy()[None], np.zeros(8), {}, r"at least two simulations.*\(1, 200, 8\)"),
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
        (TABLE, np.zeros(8), {"kind": "lines"}, r"kind must be one of \('auto'.* got 'lines'"),
        (TABLE, np.zeros(8), {"kind": "images"}, r"\(n, height, width\), got \(200, 8\)"),
        (TABLE, np.zeros(8), {"kind": "columns", "groups": {"a": [1]}}, "groups must be None"),
        (TABLE, np.zeros(8), {"kind": "columns", "coordinates": YEARS}, "coordinates must be None"),
        ({"h": HARE}, {"h": [1] * 4}, {"kind": "columns"}, "kind must not be 'columns'"),
        (np.zeros((9, 7, 8)), np.zeros((7, 8)), {"kind": "columns"}, r"got \(9, 7, 8\)"),
        (np.zeros((9, 7, 8)), np.zeros((7, 8)), {"kind": "series"}, r"\(9, 7, 8\) with kind='ser"),
        (np.zeros((9, 7, 8)), np.zeros((7, 8)), {"groups": {"a": [1]}}, "groups must be None"),
        (np.zeros((9, 7, 8)), np.zeros((7, 8)), {"log": True}, "log must be False where images"),
        (np.zeros((9, 7, 8)), np.zeros((7, 9)), {}, r"got \(7, 9\) for .* \(9, 7, 8\)"),
        (np.zeros((9, 9, 7, 8)), np.zeros((9, 7, 8)), {}, r"at most 6 channels.*\(9, 9, 7, 8\)"),
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
