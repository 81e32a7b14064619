"""The coverage plot: its curve and band are the metrics', and several share one pair of axes."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from sksbi.estimators import NPE
from sksbi.inspection import CoverageDisplay
from sksbi.metrics import (
    draw_held_out,
    ecdf_band,
    expected_coverage,
    hpd_levels,
    hpd_ranks,
    uniformity_test,
)


def test_the_curve_is_the_coverage_and_the_band_that_of_its_test(held_out, band_edges):
    log_probs = held_out.log_prob_draws, held_out.log_prob_theta
    display = CoverageDisplay.from_held_out(held_out, label="exact")
    np.testing.assert_array_equal(display.line_.get_data(), expected_coverage(*log_probs))
    levels, lower, upper = ecdf_band(200, 99)
    np.testing.assert_array_equal(band_edges(display.band_, len(levels)), [lower, upper])
    assert display.p_value == uniformity_test(hpd_ranks(*log_probs), 99)


def test_the_axes_are_square_and_say_what_they_show(held_out, legend_texts):
    display = CoverageDisplay.from_held_out(held_out, label="exact")
    ax = display.ax_
    assert ax.get_xlim() == ax.get_ylim() == (0, 1)
    display.figure_.canvas.draw()
    assert ax.bbox.width == pytest.approx(ax.bbox.height, rel=0.01)
    assert [ax.get_xlabel(), ax.get_ylabel()] == ["credible level", "coverage"]
    assert legend_texts(ax) == [f"exact, p = {display.p_value:.2g}", "95% band if exact"]
    exact = next(line for line in ax.lines if line is not display.line_)
    np.testing.assert_array_equal(exact.get_xdata(), exact.get_ydata())


def test_a_narrow_posterior_leaves_the_band_below(narrow, legend_texts):
    display = CoverageDisplay.from_held_out(narrow)
    assert np.all(display.coverage <= display.upper)
    assert np.any(display.coverage < display.lower)
    assert legend_texts(display.ax_)[0] == "p < 0.001"


@pytest.mark.parametrize("n", [200, 150])
def test_displays_in_the_same_axes_differ_in_style_and_share_what_is_equal(
    held_out, narrow, n, legend_texts
):
    fig, ax = plt.subplots()
    first = CoverageDisplay.from_held_out(held_out, label="exact", ax=ax)
    second = CoverageDisplay.from_predictions(
        narrow.log_prob_draws[:n], narrow.log_prob_theta[:n], label="narrow", ax=ax
    )
    assert second.ax_ is ax
    assert second.figure_ is fig
    assert plt.get_fignums() == [fig.number]
    assert first.line_.get_linestyle() != second.line_.get_linestyle()
    assert first.line_.get_color() != second.line_.get_color()
    assert len(ax.lines) == 3
    assert (first.band_ is second.band_) == (n == 200)
    assert [text.split(",")[0] for text in legend_texts(ax)] == [
        "exact",
        "narrow",
        "95% band if exact",
    ]


def test_curves_of_the_same_name_have_an_entry_each(held_out, legend_texts):
    ax = CoverageDisplay.from_held_out(held_out).ax_
    CoverageDisplay.from_held_out(held_out, ax=ax)
    assert len(legend_texts(ax)) == 3


def test_an_estimator_is_sampled(gaussian, pairs):
    options = {"n_samples": 50, "random_state": 1}
    display = CoverageDisplay.from_estimator(gaussian(), *pairs, label="exact", **options)
    drawn = draw_held_out(gaussian(), *pairs, 50, random_state=1)
    expected = expected_coverage(drawn.log_prob_draws, drawn.log_prob_theta)
    np.testing.assert_array_equal(display.line_.get_data(), expected)


def test_a_fitted_estimator_is_drawn(pairs):
    theta, x = pairs
    npe = NPE(max_epochs=1, random_state=0).fit(theta, x)
    CoverageDisplay.from_estimator(npe, theta[:20], x[:20], n_samples=10).figure_.canvas.draw()


def test_a_grid_of_cells_is_weighted_by_its_density(band_edges):
    grid, theta = np.linspace(-6, 6, 801), np.random.default_rng(0).normal(size=300)
    log_probs = np.tile(-(grid**2) / 2, (300, 1)), -(theta**2) / 2
    display = CoverageDisplay.from_predictions(*log_probs, grid=True)
    expected = expected_coverage(*log_probs, grid=True)
    np.testing.assert_array_equal(display.line_.get_data(), expected)
    assert display.p_value == uniformity_test(hpd_levels(*log_probs))
    np.testing.assert_array_equal(band_edges(display.band_, 101), ecdf_band(300)[1:])


@pytest.mark.parametrize("label", [None, "given"])
def test_given_numbers_are_drawn(label, legend_texts):
    levels = np.array([0, 0.5, 1])
    display = CoverageDisplay(levels, levels**2, levels - 0.1, levels + 0.1, label=label)
    assert not hasattr(display, "ax_")
    assert display.plot(figsize=(2, 2)) is display
    np.testing.assert_array_equal(display.line_.get_data(), [levels, levels**2])
    assert display.figure_.get_size_inches().tolist() == [2, 2]
    assert legend_texts(display.ax_) == ([label] if label else []) + ["95% band if exact"]


def test_long_labels_are_not_cut_off(held_out, narrow):
    ax = CoverageDisplay.from_held_out(held_out, label="with 100,000 simulations").ax_
    CoverageDisplay.from_held_out(narrow, label="with 1,000 simulations", ax=ax)
    ax.figure.canvas.draw()
    box, outer = ax.get_legend().get_window_extent(), ax.figure.bbox
    assert box.x0 >= outer.x0
    assert box.x1 <= outer.x1
    assert box.y1 <= outer.y1
    assert box.y0 >= ax.bbox.y1


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        (([[0.0]], [0.0, 1.0]), {}, ValueError, r"log_prob_draws must .* got \(1, 1\) and \(2,\)"),
        (([[np.nan]], [0.0]), {}, ValueError, "log_prob_draws must .* got nan in row 0"),
        (([["a"]], [0.0]), {}, TypeError, "log_prob_draws must hold real numbers.*'a'"),
        (([[0.0]], [0.0]), {"ax": 3}, TypeError, "ax must be matplotlib Axes, got 3 of type int"),
        (([[0.0]], [0.0]), {"figsiz": 3}, TypeError, "figsiz"),
    ],
)
def test_bad_input_is_refused(arguments, options, error, match):
    with pytest.raises(error, match=match):
        CoverageDisplay.from_predictions(*arguments, **options)


def test_what_is_no_held_out_draws_is_refused(held_out):
    with pytest.raises(TypeError, match="held_out must be HeldOutDraws.*got ndarray"):
        CoverageDisplay.from_held_out(held_out.draws)


def test_what_cannot_draw_is_refused(pairs):
    with pytest.raises(TypeError, match="estimator must be fitted .* got object"):
        CoverageDisplay.from_estimator(object(), *pairs)
