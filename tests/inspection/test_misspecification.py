"""The plot of distances: a histogram of simulations, a line an observation, its p-value."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sksbi.inspection import MisspecificationDisplay
from sksbi.metrics import misspecification_test
from sksbi.metrics.misspecification import neighbor_distances

X = np.random.default_rng(0).normal(size=(600, 3))
FAR = [4.0, -4.0, 4.0]


@pytest.mark.parametrize("options", [{}, {"n_neighbors": 3, "random_state": 5}])
def test_histogram_and_line_are_the_distances_behind_the_test(options, legend_texts):
    display = MisspecificationDisplay.from_samples(X, X[0] + 0.1, **options)
    away, asked = neighbor_distances(X, X[0] + 0.1, **options)
    counts, edges, _ = display.histogram_.get_data()
    np.testing.assert_array_equal(counts, np.histogram(away, edges)[0])
    assert counts.sum() == 300
    assert display.lines_[0].get_xdata() == [asked, asked]
    p_value = misspecification_test(X, X[0] + 0.1, **options)
    assert display.p_values.tolist() == [p_value]
    assert legend_texts(display.ax_) == [f"observed, p = {p_value:.2g}"]


def test_several_observations_are_named_and_told_apart_without_colour(legend_texts):
    observed = pd.DataFrame([X[0], FAR], index=["near", "far"])
    display = MisspecificationDisplay.from_samples(X, observed)
    p_values = misspecification_test(X, observed)
    np.testing.assert_array_equal(display.p_values, p_values)
    texts = [f"{name}, p = {p:.2g}" for name, p in zip(observed.index, p_values, strict=True)]
    assert legend_texts(display.ax_) == texts
    assert len({line.get_linestyle() for line in display.lines_}) == 2
    named = MisspecificationDisplay.from_samples(X, observed, names=["a", "b"])
    assert named.names == ["a", "b"]
    counted = MisspecificationDisplay.from_samples(X, observed.to_numpy())
    assert counted.names == ["0", "1"]


def test_many_observations_are_short_lines_with_one_entry(legend_texts):
    display = MisspecificationDisplay.from_samples(X, X[:30])
    least = misspecification_test(X, X[:30]).min()
    assert legend_texts(display.ax_) == [f"30 observations, least p = {least:.2g}"]
    assert len(display.lines_) == 30
    assert all(max(line.get_ydata()) < 0.2 for line in display.lines_)


def test_an_observation_far_away_makes_the_axis_logarithmic():
    near = MisspecificationDisplay.from_samples(X, X[0])
    far = MisspecificationDisplay.from_samples(X, 20 * np.array(FAR))
    assert [near.ax_.get_xscale(), far.ax_.get_xscale()] == ["linear", "log"]
    counts, edges, _ = far.histogram_.get_data()
    assert counts.sum() == 300
    np.testing.assert_allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]))
    asked = MisspecificationDisplay.from_samples(X, 20 * np.array(FAR), log=False)
    assert asked.ax_.get_xscale() == "linear"
    assert MisspecificationDisplay.from_samples(X, X[0], log=True).ax_.get_xscale() == "log"


@pytest.mark.parametrize("observed", [0.5, {"x": 0.5}, [0.5]])
def test_x_may_be_numbers(observed):
    x = X[:, 0] if np.ndim(observed) == 0 and not isinstance(observed, dict) else X[:, :1]
    display = MisspecificationDisplay.from_samples(x, observed)
    assert display.names == ["observed"]


def test_distances_may_all_be_zero():
    display = MisspecificationDisplay.from_samples(np.ones((60, 2)), [1.0, 1.0])
    display.figure_.canvas.draw()
    assert display.ax_.get_xscale() == "linear"
    assert display.histogram_.get_data().values.sum() == 30
    with pytest.raises(ValueError, match="log must be False where distances are zero, got 0.0"):
        display.plot(log=True)


def test_given_axes_are_drawn_into():
    fig, ax = plt.subplots()
    display = MisspecificationDisplay.from_samples(X, FAR, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is fig
    assert plt.get_fignums() == [fig.number]
    labels = ["distance from the nearest simulations", "simulations"]
    assert [ax.get_xlabel(), ax.get_ylabel()] == labels


@pytest.mark.parametrize(
    ("x", "observed", "options", "error", "match"),
    [
        (X, [1.0], {}, ValueError, r"x_observed must have the shape \(3,\).* got \(1,\)"),
        (X * np.nan, FAR, {}, ValueError, "x must hold simulations that succeeded, got 600"),
        (X[:10], FAR, {}, ValueError, "x must have at least 20 rows .* got 10"),
        (X, FAR, {"n_neighbors": 0}, ValueError, "n_neighbors must be an int >= 1, got 0"),
        (X, FAR, {"names": ["a", "b"]}, ValueError, r"names must be 1 distinct .*\['a', 'b'\]"),
        (X, ["a", "b", "c"], {}, TypeError, "x_observed must hold real numbers.*'a'"),
        (X, FAR, {"ax": 3}, TypeError, "ax must be matplotlib Axes, got 3 of type int"),
    ],
)
def test_bad_input_is_refused(x, observed, options, error, match):
    with pytest.raises(error, match=match):
        MisspecificationDisplay.from_samples(x, observed, **options)
