"""The rank plot: one curve a parameter, told apart without colour, inside the band of the test."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sksbi.inspection import RankDisplay
from sksbi.metrics import draw_held_out, ecdf_band, rank_ecdf, sbc_ranks, uniformity_test


@pytest.mark.parametrize("difference", [True, False])
def test_the_curves_are_distribution_functions_and_the_band_that_of_their_test(
    held_out, difference, band_edges
):
    display = RankDisplay.from_held_out(held_out, difference=difference)
    ranks = sbc_ranks(held_out.draws, held_out.theta)
    levels, ecdf = rank_ecdf(ranks, 99)
    base = levels if difference else 0 * levels
    for line, values in zip(display.lines_, ecdf.T, strict=True):
        np.testing.assert_array_equal(line.get_data(), [levels, values - base])
    _, lower, upper = ecdf_band(200, 99)
    edges = band_edges(display.band_, len(levels))
    np.testing.assert_array_equal(edges, [lower - base, upper - base])
    np.testing.assert_array_equal(display.p_values, uniformity_test(ranks, 99))
    exact = next(line for line in display.ax_.lines if line not in display.lines_)
    np.testing.assert_array_equal(exact.get_ydata(), levels - base)


@pytest.mark.parametrize(
    ("difference", "label"), [(True, "ECDF \N{MINUS SIGN} uniform"), (False, "ECDF")]
)
def test_the_axes_say_what_they_show(held_out, difference, label):
    ax = RankDisplay.from_held_out(held_out, difference=difference).ax_
    assert [ax.get_xlabel(), ax.get_ylabel()] == ["fractional rank", label]
    assert ax.get_xlim() == (0, 1)


def test_the_legend_names_parameters_and_p_values(narrow, legend_texts):
    display = RankDisplay.from_held_out(narrow, names=["mass", r"$\alpha$"], label="narrow")
    assert legend_texts(display.ax_) == [
        "narrow: mass, p < 0.001",
        r"narrow: $\alpha$, p < 0.001",
        "95% band if exact",
    ]
    assert np.any(display.ecdf > display.upper[:, None])


def test_names_are_those_of_tables(held_out):
    theta = pd.DataFrame(held_out.theta, columns=["mass", "rate"])
    assert RankDisplay.from_predictions(held_out.draws, theta).names == ["mass", "rate"]
    assert RankDisplay.from_predictions(held_out.draws, held_out.theta).names == [
        "theta_0",
        "theta_1",
    ]


@pytest.mark.parametrize("table", [False, True])
def test_an_estimator_is_sampled_and_names_are_found(gaussian, pairs, table):
    theta, x = pairs
    theta = pd.DataFrame(theta, columns=["a", "b"]) if table else theta
    estimator = gaussian(names=["mass", "rate"])
    display = RankDisplay.from_estimator(estimator, theta, x, n_samples=40, random_state=2)
    drawn = draw_held_out(gaussian(), *pairs, 40, random_state=2)
    expected = rank_ecdf(sbc_ranks(drawn.draws, drawn.theta), 40)[1]
    np.testing.assert_array_equal(display.ecdf, expected)
    assert display.names == (["a", "b"] if table else ["mass", "rate"])


def test_many_parameters_are_told_apart_without_colour():
    rng = np.random.default_rng(0)
    draws, theta = rng.normal(size=(50, 20, 24)), rng.normal(size=(50, 24))
    display = RankDisplay.from_predictions(draws, theta)
    styles = {(line.get_linestyle(), line.get_marker()) for line in display.lines_}
    assert len(styles) == 24
    display.figure_.canvas.draw()
    outer, box = display.figure_.bbox, display.ax_.get_legend().get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= outer.x1
    assert box.y1 <= outer.y1
    assert box.y0 >= display.ax_.bbox.y1


def test_displays_share_axes(held_out, narrow):
    fig, ax = plt.subplots()
    first = RankDisplay.from_held_out(held_out, label="exact", ax=ax)
    second = RankDisplay.from_held_out(narrow, label="narrow", ax=ax)
    assert second.ax_ is ax
    assert second.figure_ is fig
    assert first.band_ is second.band_
    assert len({line.get_linestyle() for line in first.lines_ + second.lines_}) == 4


def test_given_numbers_are_drawn_without_p_values(legend_texts):
    levels = np.array([0, 0.5, 1])
    ecdf = np.array([[0, 0], [0.4, 0.6], [1, 1]])
    display = RankDisplay(levels, ecdf, levels - 0.2, levels + 0.2, ["a", "b"]).plot()
    np.testing.assert_allclose(display.lines_[1].get_ydata(), [0, 0.1, 0])
    assert legend_texts(display.ax_) == ["a", "b", "95% band if exact"]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"names": ["a"]}, ValueError, r"names must be 2 distinct names, got \['a'\]"),
        ({"theta": np.zeros((200, 3))}, ValueError, r"draws must have shape .*3\)"),
        ({"theta": [["a", "b"]]}, TypeError, "theta must hold real numbers.*'a'"),
        ({"ax": 1.0}, TypeError, "ax must be matplotlib Axes, got 1.0 of type float"),
    ],
)
def test_bad_input_is_refused(held_out, change, error, match):
    with pytest.raises(error, match=match):
        RankDisplay.from_predictions(**{"draws": held_out.draws, "theta": held_out.theta} | change)


def test_what_is_no_held_out_draws_is_refused():
    with pytest.raises(TypeError, match="held_out must be HeldOutDraws.*got NoneType"):
        RankDisplay.from_held_out(None)
