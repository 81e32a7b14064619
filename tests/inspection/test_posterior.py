"""The corner plot: its regions hold the stated mass, its axes say what they show."""

import builtins
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.path import Path
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.model_selection import GridSearchCV

from sksbi.estimators import NPE
from sksbi.inspection import PosteriorDisplay

mpl.use("Agg")

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def normal(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def correlated(n, seed):
    return normal(n, 2, seed) @ np.array([[1.0, 0.8], [0.0, 0.6]])


def ridge(n, seed, correlation=0.999):
    return normal(n, 2, seed) @ np.array([[1.0, correlation], [0.0, np.sqrt(1 - correlation**2)]])


def ridge_down(n, seed):
    return ridge(n, seed) * [1e-6, -1e6]


def banana(n, seed):
    draws = normal(n, 2, seed)
    return np.c_[draws[:, 0], draws[:, 0] ** 2 + 0.5 * draws[:, 1]]


def ring(n, seed):
    angle, noise = normal(n, 2, seed).T
    angle = 2 * np.pi * stats.norm.cdf(angle)
    return (1 + 0.1 * noise[:, None]) * np.c_[np.cos(angle), np.sin(angle)]


def tilted_ring(n, seed):
    return ring(n, seed) @ np.array([[1.0, 0.95], [0.0, 0.1]])


def square(n, seed):
    return np.random.default_rng(seed).uniform(size=(n, 2))


def parallelogram(n, seed):
    return square(n, seed) @ np.array([[1.0, 1.0], [0.0, 0.05]])


def tilted_modes(n, seed):
    return ridge(n, seed, 0.98) + np.where(normal(n, 1, seed + 9) > 0, 1.0, -1.0) * [1.0, -1.0]


def cut_ridge(n, seed):
    draws = ridge(6 * n, seed, 0.95)
    return draws[np.all(draws > 0, axis=1)][:n]


def two_modes(n, seed):
    draws = normal(n, 2, seed)
    return draws * 0.1 + np.where(draws[:, :1] > 0, 1.0, -1.0)


def lognormal(n, seed):
    return np.exp(0.5 * normal(n, 2, seed))


def at_a_corner(n, seed):
    return np.random.default_rng(seed).exponential(size=(n, 2))


class Posterior:
    """Draw normals around x, as a fitted estimator does."""

    def sample(self, x, n_samples, *, random_state=None):
        noise = np.random.default_rng(random_state).normal(size=(n_samples, 2))
        x = np.asarray(x)
        draws = x + noise if x.ndim == 1 else x[:, None] + noise
        return draws if x.ndim == 1 else draws.reshape(len(x), n_samples, 2)


class Named(Posterior):
    """Draw arrays, though the prior has names, as after fit on arrays."""

    prior_ = SimpleNamespace(names=("a", "b"))

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


def share_inside(paths, draws):
    """Return the share of draws within the rings of a contour, holes left out."""
    inside = np.zeros(len(draws), dtype=int)
    for ring in paths.to_polygons():
        inside += Path(ring).contains_points(draws)
    return np.mean(inside % 2)


SMOOTH = [ridge, ridge_down, banana, cut_ridge]
ROUGH = [square, parallelogram, ring, tilted_ring, tilted_modes]


@pytest.mark.parametrize("make", [correlated, two_modes, lognormal, at_a_corner, *SMOOTH])
@pytest.mark.parametrize("levels", [(0.5, 0.9), (0.8,)])
def test_the_regions_of_a_pair_hold_the_stated_mass(make, levels):
    n = 4000
    draws = make(n, 0)
    display = PosteriorDisplay.from_samples(draws, levels=levels)
    paths = display.axes_[1, 0].collections[-1].get_paths()
    for path, level in zip(paths, sorted(levels, reverse=True), strict=True):
        # The region is that of these draws; the tolerance is the grid's and the contour's.
        assert abs(share_inside(path, draws) - level) < np.sqrt(level * (1 - level) / n)
        # New draws add their own error, and the region is slightly fitted to the old ones.
        fresh = share_inside(path, make(n, 1))
        assert abs(fresh - level) < 4 * np.sqrt(2 * level * (1 - level) / n)


@pytest.mark.parametrize("make", ROUGH)
def test_regions_of_rough_densities_hold_the_stated_mass_of_new_draws(make):
    n = 4000
    display = PosteriorDisplay.from_samples(make(n, 0))
    paths = display.axes_[1, 0].collections[-1].get_paths()
    for path, level in zip(paths, (0.9, 0.5), strict=True):
        error = np.sqrt(2 * level * (1 - level) / n)
        assert abs(share_inside(path, make(n, 1)) - level) < 4 * error


@pytest.mark.parametrize("correlation", [0.0, 0.9, -0.99, 0.999, -0.99999])
def test_contours_of_gaussians_are_ellipses(correlation):
    draws = ridge(10_000, 0, correlation)
    paths = PosteriorDisplay.from_samples(draws).axes_[1, 0].collections[-1].get_paths()
    for path, level in zip(paths, (0.9, 0.5), strict=True):
        (outline,) = path.to_polygons()
        tilt = np.array([[1.0, correlation], [0.0, np.sqrt(1 - correlation**2)]])
        radii = np.linalg.norm(outline @ np.linalg.inv(tilt), axis=1)
        exact = np.sqrt(stats.chi2(2).ppf(level))
        # The kernel widens the Gaussian by h^2 / 2; n h^2 f is the number of draws that tell f.
        h2 = 10_000 ** (-1 / 3)
        density = np.exp(-(exact**2) / 2) / (2 * np.pi)
        error = 1 / (exact * np.sqrt(4 * np.pi * 10_000 * h2 * density))
        assert abs(radii.mean() - exact) < 4 * error
        assert radii.std() < 2 * error


@pytest.mark.parametrize("mirror", [[1, 1], [1, -1], [-1, 1], [-1, -1]])
def test_regions_end_at_bounds_that_tilted_draws_pile_up_at(mirror):
    draws = cut_ridge(4000, 0) * mirror
    paths = PosteriorDisplay.from_samples(draws).axes_[1, 0].collections[-1].get_paths()
    for path in paths:
        least = (path.vertices * mirror).min(axis=0)
        np.testing.assert_allclose(least, np.abs(draws).min(axis=0), atol=1e-12)


def test_a_hole_stays_open():
    paths = PosteriorDisplay.from_samples(tilted_ring(4000, 0)).axes_[1, 0].collections[-1]
    for path in paths.get_paths():
        assert share_inside(path, 0.3 * tilted_ring(4000, 1)) == 0


def test_the_regions_of_one_parameter_hold_the_stated_mass():
    draws = normal(4000, 1)
    ax = PosteriorDisplay.from_samples(draws).axes_[0, 0]
    for filled, level in zip(ax.collections, (0.9, 0.5), strict=True):
        x = filled.get_paths()[0].vertices[:, 0]
        share = np.mean((draws > x.min()) & (draws < x.max()))
        assert abs(share - level) < 2 * np.sqrt(level * (1 - level) / len(draws))


@pytest.mark.parametrize("make", [lambda n, d: normal(n, d), lambda n, d: normal(n, d) ** 2])
def test_the_marginal_density_integrates_to_what_is_shown(make):
    draws = make(3000, 1)
    ax = PosteriorDisplay.from_samples(draws).axes_[0, 0]
    x, height = ax.lines[0].get_data()
    shown = np.mean((draws >= x[0]) & (draws <= x[-1]))
    assert trapezoid(height, x) == pytest.approx(shown, abs=0.005)


def test_names_and_layout():
    draws = pd.DataFrame(normal(200, 3), columns=["alpha", "beta", "gamma"])
    axes = PosteriorDisplay.from_samples(draws).axes_
    assert axes.shape == (3, 3)
    assert all((ax is None) == (j > i) for (i, j), ax in np.ndenumerate(axes))
    assert [ax.get_xlabel() for ax in axes[2]] == ["alpha", "beta", "gamma"]
    assert [ax.get_ylabel() for ax in axes[1:, 0]] == ["beta", "gamma"]
    assert axes[2, 1].get_xlim() == axes[1, 1].get_xlim()
    assert axes[2, 1].get_ylim() == axes[2, 0].get_ylim()


def test_names_are_counted_or_given():
    array = normal(100, 2)
    counted = PosteriorDisplay.from_samples(array)
    assert [ax.get_xlabel() for ax in counted.axes_[1]] == ["theta_0", "theta_1"]
    given = PosteriorDisplay.from_samples(array, names=[r"$\alpha$", "b"])
    assert [ax.get_xlabel() for ax in given.axes_[1]] == [r"$\alpha$", "b"]


def legend_texts(display):
    legends = display.figure_.legends or [display.axes_[0, 0].get_legend()]
    return [text.get_text() for text in legends[0].get_texts()]


@pytest.mark.parametrize("d", [1, 2])
def test_several_posteriors_are_told_apart_without_colour(d):
    samples = {"flow": normal(200, d), "MCMC": normal(300, d, 1), "ABC": normal(100, d, 2)}
    display = PosteriorDisplay.from_samples(samples)
    lines = display.axes_[0, 0].lines
    assert len({line.get_linestyle() for line in lines}) == 3
    assert len({line.get_color() for line in lines}) == 3
    assert legend_texts(display) == ["flow", "MCMC", "ABC", "90% region", "50% region"]


def test_one_posterior_is_labelled_when_asked():
    assert legend_texts(PosteriorDisplay.from_samples(normal(50, 2)))[0] == "90% region"
    assert legend_texts(PosteriorDisplay.from_samples(normal(50, 2), label="a"))[0] == "a"


@pytest.mark.parametrize(
    "true_theta",
    [{"b": 0.5}, pd.Series({"b": 0.5}), [np.nan, 0.5], pd.DataFrame({"b": [0.5]})],
)
def test_true_values_are_lines_where_known(true_theta):
    draws = pd.DataFrame(normal(100, 2), columns=["a", "b"])
    display = PosteriorDisplay.from_samples(draws, true_theta=true_theta, names=["x", "y"])
    axes = display.axes_
    assert len(axes[0, 0].lines) == 1
    assert axes[1, 1].lines[1].get_xdata() == [0.5, 0.5]
    assert axes[1, 0].lines[0].get_ydata() == [0.5, 0.5]
    assert display.true_theta["y"] == 0.5
    assert "true value" in legend_texts(display)


def test_true_values_far_away_are_shown():
    display = PosteriorDisplay.from_samples(normal(100, 1), true_theta=[30.0])
    low, high = display.axes_[0, 0].get_xlim()
    assert low < -1
    assert high > 30


def test_an_estimator_is_sampled_at_one_observation():
    display = PosteriorDisplay.from_estimator(
        Posterior(), [0.0, 5.0], n_samples=300, random_state=3, label="NPE"
    )
    expected = Posterior().sample([0.0, 5.0], 300, random_state=3)
    assert np.array_equal(display.samples["NPE"], expected)


@pytest.mark.parametrize("estimator", [Named(), Steps(Named())])
def test_arrays_take_the_names_of_the_prior(estimator):
    display = PosteriorDisplay.from_estimator(estimator, [0.0, 5.0], true_theta={"b": 1.0})
    assert [ax.get_xlabel() for ax in display.axes_[1]] == ["a", "b"]
    assert display.true_theta["b"] == 1.0


@pytest.mark.parametrize(
    ("estimator", "x", "match"),
    [
        (GridSearchCV(NPE(), {}), [0.0], "got GridSearchCV. Of a search give best_estimator_"),
        (np.zeros(2), NPE(), "got ndarray. Were estimator and x swapped"),
        (pd.DataFrame({"a": [1.0]}), NPE(), "got DataFrame. Were estimator and x swapped"),
        (NPE, [0.0], "got <class .*NPE'>. Give an instance after fit"),
        (None, [0.0], "got NoneType"),
    ],
)
def test_what_cannot_sample_is_refused(estimator, x, match):
    with pytest.raises(TypeError, match=f"estimator must be .*{match}"):
        PosteriorDisplay.from_estimator(estimator, x)


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"x must be one observation.*\(4, 10, 2\)"):
        PosteriorDisplay.from_estimator(Posterior(), np.zeros((4, 2)), n_samples=10)


def test_a_batch_of_tables_is_refused():
    class Tables(Posterior):
        def sample(self, x, n_samples, *, random_state=None):
            index = pd.MultiIndex.from_product([range(2), range(n_samples)])
            return pd.DataFrame({"a": np.zeros(2 * n_samples)}, index=index)

    with pytest.raises(ValueError, match=r"x must be one observation.*\(20, 1\)"):
        PosteriorDisplay.from_estimator(Tables(), np.zeros((2, 2)), n_samples=10)


@pytest.mark.parametrize(
    "draws",
    [
        np.ones((50, 2)),
        np.c_[np.ones(50), np.arange(50)],
        np.repeat(normal(5, 2), 100, axis=0),
        np.random.default_rng(0).standard_cauchy((500, 2)),
        np.random.default_rng(0).integers(2, size=(200, 2)),
        np.array([[0.0, 0.0], [1.0, 1.0]]),
        1e-100 * normal(50, 2),
        1e12 + normal(50, 2),
    ],
)
def test_unusual_draws_are_drawn_without_a_warning(draws):
    PosteriorDisplay.from_samples(draws).figure_.canvas.draw()


@pytest.mark.parametrize("subfigure", [False, True])
def test_a_given_figure_is_drawn_into(subfigure):
    fig = plt.figure()
    target = fig.subfigures(1, 2)[1] if subfigure else fig
    display = PosteriorDisplay.from_samples(normal(50, 2), fig=target)
    assert display.figure_ is target
    assert plt.get_fignums() == [fig.number]
    with pytest.raises(ValueError, match="fig must be empty, got a figure with 3 axes"):
        display.plot(fig=target)


def test_nothing_global_changes():
    settings, state = dict(mpl.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    PosteriorDisplay.from_samples({"a": normal(50, 2), "b": normal(50, 2)}).figure_.canvas.draw()
    assert dict(mpl.rcParams) == settings
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_labels_do_not_collide_with_eight_parameters():
    names = ["alpha", "beta", "gamma", "delta", "hare_0", "lynx_0", "sigma_hare", "sigma_lynx"]
    display = PosteriorDisplay.from_samples(normal(200, 8) * 1e-3, names=names)
    display.figure_.canvas.draw()
    boxes = [ax.xaxis.label.get_window_extent() for ax in display.axes_[-1]]
    assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))
    boxes = [ax.yaxis.label.get_window_extent() for ax in display.axes_[1:, 0]]
    assert all(a.y0 > b.y1 for a, b in zip(boxes, boxes[1:], strict=False))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_factors_and_offsets_of_the_ticks_are_in_the_labels(d):
    scale, shift = [1e-12, 1e12, 1.0, 1e-3, 1e-9][:d], [0.0, 0.0, 5.0, 1e9, -1.0][:d]
    draws = normal(500, d) * scale + shift
    axes = PosteriorDisplay.from_samples(draws, names=list("abcde")[:d]).axes_
    axes[0, 0].figure.canvas.draw()
    texts = [ax.get_xlabel().replace("\n", " ") for ax in axes[-1]]
    expected = ["a / 1e-12", "b / 1e12", "c", "d - 1e9", "(e + 1) / 1e-9"][:d]
    expected = [text.replace("-", MINUS) for text in expected]
    assert texts == expected
    assert [ax.get_ylabel().replace("\n", " ") for ax in axes[1:, 0]] == expected[1:]
    shown = [ax for ax in axes.flat if ax is not None]
    assert not any(ax.xaxis.offsetText.get_visible() for ax in shown)
    assert not any(ax.yaxis.offsetText.get_visible() for ax in shown)
    ticks = [float(t.get_text().replace(MINUS, "-")) for t in axes[-1, 0].get_xticklabels()]
    np.testing.assert_allclose(np.array(ticks) * 1e-12, axes[-1, 0].get_xticks(), atol=1e-20)


GOOD = normal(20, 2)


@pytest.mark.parametrize(
    ("samples", "options", "match"),
    [
        (GOOD[:, 0], {}, r"samples must be 2-d.*\(20,\)"),
        (GOOD[:1], {}, r"samples must have at least 2 row.*\(1, 2\)"),
        (np.where(GOOD > 0, GOOD, np.inf), {}, "samples must be finite, got inf"),
        ({"a": GOOD, "b": GOOD[:, :1]}, {}, "same number of columns, got {'a': 2, 'b': 1}"),
        ({"a": GOOD, "b": GOOD * np.nan}, {}, r"samples\['b'\] must be finite, got nan"),
        ({}, {}, "same number of columns, got none"),
        (GOOD, {"true_theta": [1.0]}, r"true_theta must have 2 values, got .* \(1,\)"),
        (GOOD, {"true_theta": {"mass": 1.0}}, r"unknown \['mass'\]"),
        (GOOD, {"true_theta": pd.DataFrame(GOOD)}, "one row, got 20"),
        (GOOD, {"names": ["a"]}, r"names must be 2 distinct names, got \['a'\]"),
        (GOOD, {"names": ["a", "a"]}, r"distinct names, got \['a', 'a'\]"),
        (GOOD, {"levels": (0.5, 90)}, r"levels must be probabilities .* got \(0.5, 90\)"),
        (GOOD, {"levels": ()}, r"levels must be .* got \(\)"),
    ],
)
def test_bad_input_is_refused(samples, options, match):
    with pytest.raises(ValueError, match=match):
        PosteriorDisplay.from_samples(samples, **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"levels": "a"}, r"levels must be probabilities .* got 'a'"),
        ({"levels": [0.5, "b"]}, r"levels must be probabilities .* got \[0.5, 'b'\]"),
        ({"fig": 3}, "fig must be a matplotlib Figure or SubFigure, got 3 of type int"),
    ],
)
def test_options_of_the_wrong_type_are_refused(options, match):
    with pytest.raises(TypeError, match=match):
        PosteriorDisplay.from_samples(GOOD, **options)


def test_tables_of_other_columns_are_refused():
    table = pd.DataFrame(GOOD, columns=["a", "b"])
    with pytest.raises(ValueError, match=r"\['b', 'a'\] and \['a', 'b'\]"):
        PosteriorDisplay.from_samples({"one": table, "two": table[["b", "a"]]})


def test_a_mistyped_option_is_refused():
    with pytest.raises(TypeError, match="figsiz"):
        PosteriorDisplay.from_samples(GOOD, figsiz=(1, 1))


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def no_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    with pytest.raises(ImportError, match=r'pip install "sksbi\[plot\]"'):
        PosteriorDisplay.from_samples(GOOD)


def test_points_are_marked_within_the_limits_and_named():
    """A point far from all draws is shown, too, and one of unknown parts where it is known."""
    display = PosteriorDisplay.from_predictions(
        {"flow": normal(200, 2), "MCMC": normal(200, 2, 1)},
        names=["mass", "rate"],
        points={"mode": [0.5, 9.0], "guess": [0.25, np.nan]},
    )
    texts = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert texts == ["flow", "MCMC", "mode", "guess", "90% region", "50% region"]
    marked = [line for line in display.axes_[1, 0].lines if line.get_marker() in "o^"]
    assert [line.get_xydata().tolist() for line in marked] == [[[0.5, 9.0]]]
    assert display.axes_[1, 0].get_ylim()[1] > 9
    assert [line.get_xdata()[0] for line in display.axes_[0, 0].lines[2:]] == [0.5, 0.25]
