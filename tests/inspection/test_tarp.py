"""The TARP plot: its curve and band are the metrics', for any references."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sksbi.inspection import TarpDisplay
from sksbi.metrics import ecdf_band, tarp_coverage, tarp_ranks, uniformity_test


@pytest.mark.parametrize("given", [False, True])
def test_the_curve_is_the_coverage_and_the_band_that_of_its_test(
    held_out, pairs, given, band_edges
):
    options = {"references": pairs[1]} if given else {"random_state": 3}
    display = TarpDisplay.from_held_out(held_out, label="exact", **options)
    expected = tarp_coverage(held_out.draws, held_out.theta, **options)
    np.testing.assert_array_equal(display.line_.get_data(), expected)
    levels, lower, upper = ecdf_band(200, 99)
    np.testing.assert_array_equal(band_edges(display.band_, len(levels)), [lower, upper])
    ranks = tarp_ranks(held_out.draws, held_out.theta, **options)
    assert display.p_value == uniformity_test(ranks, 99)


def test_the_axes_say_what_they_show(held_out, legend_texts):
    display = TarpDisplay.from_held_out(held_out, label="exact", random_state=0)
    ax = display.ax_
    assert [ax.get_xlabel(), ax.get_ylabel()] == ["credible level", "coverage"]
    assert legend_texts(ax) == [f"exact, p = {display.p_value:.2g}", "95% band if exact"]
    display.figure_.canvas.draw()
    assert ax.bbox.width == pytest.approx(ax.bbox.height, rel=0.01)


def test_a_narrow_posterior_leaves_the_band_on_both_sides(narrow, legend_texts):
    display = TarpDisplay.from_held_out(narrow, random_state=0)
    low, high = display.levels < 0.3, display.levels > 0.7
    assert np.any(display.coverage[low] > display.upper[low])
    assert np.any(display.coverage[high] < display.lower[high])
    assert legend_texts(display.ax_)[0] == "p < 0.001"


def test_displays_share_axes(held_out, narrow):
    fig, ax = plt.subplots()
    first = TarpDisplay.from_held_out(held_out, ax=ax)
    second = TarpDisplay.from_held_out(narrow, ax=ax)
    assert second.ax_ is ax
    assert second.figure_ is fig
    assert first.band_ is second.band_
    assert first.line_.get_linestyle() != second.line_.get_linestyle()


def test_draws_may_be_a_table(held_out):
    index = pd.MultiIndex.from_product([range(200), range(99)])
    draws = pd.DataFrame(held_out.draws.reshape(-1, 2), index, ["mass", "rate"])
    theta = pd.DataFrame(held_out.theta, columns=["mass", "rate"])
    display = TarpDisplay.from_predictions(draws, theta, random_state=3)
    expected = tarp_coverage(held_out.draws, held_out.theta, random_state=3)
    np.testing.assert_array_equal(display.line_.get_data(), expected)


def test_one_seed_fixes_draws_and_references(gaussian, pairs):
    curves = [
        TarpDisplay.from_estimator(gaussian(), *pairs, n_samples=30, random_state=seed).coverage
        for seed in (5, 5, 6)
    ]
    np.testing.assert_array_equal(curves[0], curves[1])
    assert np.any(curves[0] != curves[2])


def test_references_reach_the_metric_from_an_estimator(gaussian, pairs):
    options = {"n_samples": 30, "random_state": 0}
    theta, x = pairs
    own = TarpDisplay.from_estimator(gaussian(), theta, x, references=theta, **options)
    assert own.coverage[1] == 1  # no draw is nearer to theta than theta


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"theta": np.zeros((3, 2))}, ValueError, r"draws must have shape \(3, n_samples, 2\)"),
        ({"draws": np.full((200, 9, 2), np.inf)}, ValueError, "draws must be finite, got inf"),
        ({"references": np.zeros((4, 2))}, ValueError, "references must have 200 rows.*got 4"),
        ({"random_state": -1}, ValueError, "random_state must be .* got -1"),
        ({"ax": "a"}, TypeError, "ax must be matplotlib Axes, got 'a' of type str"),
    ],
)
def test_bad_input_is_refused(held_out, change, error, match):
    with pytest.raises(error, match=match):
        TarpDisplay.from_predictions(**{"draws": held_out.draws, "theta": held_out.theta} | change)


def test_what_is_no_held_out_draws_is_refused():
    with pytest.raises(TypeError, match="held_out must be HeldOutDraws.*got tuple"):
        TarpDisplay.from_held_out((1, 2))
