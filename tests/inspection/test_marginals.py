"""The plot of many posteriors: medians and central intervals over true values."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sksbi.inspection import MarginalsDisplay


def drawn_points(display, j):
    """Read the points and intervals of a panel: true, median, lower, upper, sorted by true."""
    rows = []
    for points, _, (bars,) in display.errorbars_[j]:
        ends = np.array([segment[:, 1] for segment in bars.get_segments()]).reshape(-1, 2)
        rows.append(np.column_stack([*points.get_data(orig=False), ends]))
    found = np.concatenate(rows)
    return found[np.argsort(found[:, 0])]


@pytest.mark.parametrize("level", [0.9, 0.5])
def test_points_are_medians_with_central_intervals(held_out, level):
    display = MarginalsDisplay.from_held_out(held_out, level=level)
    tails = [0.5, (1 - level) / 2, (1 + level) / 2]
    for j in range(2):
        expected = np.quantile(held_out.draws[:, :, j], tails, axis=1)
        expected = np.column_stack([held_out.theta[:, j], *expected])
        expected = expected[np.argsort(expected[:, 0])]
        np.testing.assert_allclose(drawn_points(display, j), expected)


def test_intervals_without_the_true_value_are_open_squares(held_out):
    display = MarginalsDisplay.from_held_out(held_out)
    for inside, outside in display.errorbars_:
        n_inside, n_outside = (len(drawn[0].get_xdata()) for drawn in (inside, outside))
        assert n_inside + n_outside == 200
        assert abs(n_inside - 180) < 4 * np.sqrt(200 * 0.9 * 0.1)
        assert [drawn[0].get_marker() for drawn in (inside, outside)] == ["o", "s"]
        assert outside[0].get_markerfacecolor() == "white"
        low, high = np.array([segment[:, 1] for segment in outside[2][0].get_segments()]).T
        assert not np.any((low <= outside[0].get_xdata()) & (outside[0].get_xdata() <= high))


def test_there_may_be_no_interval_without_the_true_value(held_out):
    draws = held_out.theta[:, None] + np.linspace(-1, 1, 21)[:, None]
    display = MarginalsDisplay.from_samples(draws, held_out.theta)
    display.figure_.canvas.draw()
    assert [len(outside[0].get_xdata()) for _, outside in display.errorbars_] == [0, 0]


@pytest.mark.parametrize(("d", "shape"), [(1, (1, 1)), (3, (1, 3)), (5, (2, 3)), (8, (2, 4))])
def test_panels_are_square_with_a_diagonal_and_names(d, shape):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(30, d)) * 10.0 ** np.arange(d)
    draws = theta[:, None] + rng.normal(size=(30, 50, d))
    names = [f"name {j}" for j in range(d)]
    display = MarginalsDisplay.from_samples(draws, theta, names=names)
    display.figure_.canvas.draw()
    assert len(display.axes_) == len(display.figure_.axes) == d
    assert display.axes_[0].get_gridspec().get_geometry() == shape
    for ax, name in zip(display.axes_, names, strict=True):
        assert ax.get_xlabel().startswith(f"true {name}")
        assert ax.get_ylabel().startswith(f"estimated {name}")
        assert ax.get_xlim() == ax.get_ylim() == tuple(ax.lines[0].get_xdata())
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), ax.lines[0].get_ydata())
        assert ax.bbox.width == pytest.approx(ax.bbox.height, rel=0.02)
    assert display.figure_.get_size_inches()[0] == (3.4 if d == 1 else 7.1)


def test_factors_of_the_ticks_are_in_the_labels(held_out):
    display = MarginalsDisplay.from_samples(1e9 * held_out.draws, 1e9 * held_out.theta)
    assert display.axes_[0].get_xlabel() == "true theta_0 / 1e9"
    assert display.axes_[0].get_ylabel() == "estimated theta_0 / 1e9"


def test_the_legend_says_what_is_drawn(held_out):
    display = MarginalsDisplay.from_held_out(held_out, level=0.68)
    texts = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert texts == ["68% interval, true value inside", "outside"]


def test_names_are_those_of_tables(held_out):
    theta = pd.DataFrame(held_out.theta, columns=["mass", "rate"])
    display = MarginalsDisplay.from_samples(held_out.draws, theta)
    assert [ax.get_xlabel() for ax in display.axes_] == ["true mass", "true rate"]
    assert list(display.intervals["mass"]) == ["true", "median", "lower", "upper"]
    np.testing.assert_array_equal(display.intervals["mass"]["true"], theta["mass"])


def test_of_many_observations_some_are_chosen(held_out):
    displays = [
        MarginalsDisplay.from_held_out(held_out, max_observations=50, random_state=seed)
        for seed in (0, 0, 1)
    ]
    rows = [display.intervals.index.to_numpy() for display in displays]
    assert all(len(np.unique(index)) == 50 for index in rows)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert np.any(rows[0] != rows[2])
    shown = displays[0].intervals["theta_1"]["true"]
    np.testing.assert_array_equal(shown, held_out.theta[rows[0], 1])


@pytest.mark.parametrize("table", [False, True])
def test_an_estimator_draws_only_for_what_is_shown(gaussian, pairs, table):
    asked = []

    class Watched(gaussian):
        def sample(self, x, n_samples, *, random_state=None):
            asked.append(len(x))
            return super().sample(x, n_samples, random_state=random_state)

    theta, x = pairs
    theta = pd.DataFrame(theta, columns=["a", "b"]) if table else theta
    displays = [
        MarginalsDisplay.from_estimator(
            Watched(names=["mass", "rate"]),
            theta,
            x,
            n_samples=20,
            max_observations=30,
            random_state=0,
        )
        for _ in range(2)
    ]
    assert asked == [30, 30]
    pd.testing.assert_frame_equal(displays[0].intervals, displays[1].intervals)
    names = ["a", "b"] if table else ["mass", "rate"]
    assert [ax.get_xlabel() for ax in displays[0].axes_] == [f"true {name}" for name in names]


@pytest.mark.parametrize("subfigure", [False, True])
def test_a_given_figure_is_drawn_into(held_out, subfigure):
    fig = plt.figure()
    target = fig.subfigures(1, 2)[1] if subfigure else fig
    display = MarginalsDisplay.from_held_out(held_out, fig=target)
    assert display.figure_ is target
    assert plt.get_fignums() == [fig.number]
    fig.canvas.draw()
    with pytest.raises(ValueError, match="fig must be empty, got a figure with 2 axes"):
        display.plot(fig=target)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"level": 1.0}, ValueError, "level must be > 0 and < 1, got 1.0"),
        ({"level": "a"}, TypeError, "level must be a number, got 'a'"),
        ({"max_observations": 0}, ValueError, "max_observations must be an int >= 1, got 0"),
        ({"names": ["a", "a"]}, ValueError, "names must be 2 distinct names"),
        ({"draws": np.zeros((200, 1, 2))}, ValueError, "n_samples at least 2, got"),
        ({"fig": 3}, TypeError, "fig must be a matplotlib Figure .*got 3"),
    ],
)
def test_bad_input_is_refused(held_out, change, error, match):
    arguments = {"draws": held_out.draws, "theta": held_out.theta} | change
    with pytest.raises(error, match=match):
        MarginalsDisplay.from_samples(**arguments)


def test_what_does_not_match_is_refused(gaussian, pairs, held_out):
    theta, x = pairs
    with pytest.raises(ValueError, match=r"theta and x must have one length, got \[200, 9\]"):
        MarginalsDisplay.from_estimator(gaussian(), theta, x[:9])
    with pytest.raises(TypeError, match="held_out must be HeldOutDraws.*got dict"):
        MarginalsDisplay.from_held_out({})
