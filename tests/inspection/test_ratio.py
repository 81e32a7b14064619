"""The ratio plot: shares of joint pairs by bin, and how log-ratios are distributed."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy import stats
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.model_selection import GridSearchCV

from sksbi.estimators import NRE
from sksbi.inspection import RatioDisplay
from sksbi.utils.derangement import derangement


def log_ratios(n, m, seed=0):
    """Draw the log-ratios of a binormal problem, which are exact: log N(1, 2) / N(-1, 2) is r."""
    rng = np.random.default_rng(seed)
    return rng.normal(1, np.sqrt(2), n), rng.normal(-1, np.sqrt(2), m)


def test_the_points_are_those_of_scikit_learn():
    joint, marginal = log_ratios(500, 500)
    display = RatioDisplay.from_predictions(joint, marginal, n_bins=8)
    truth = np.repeat([1, 0], 500)
    fraction, predicted = calibration_curve(truth, expit(np.r_[joint, marginal]), n_bins=8)
    points, _, _ = display.errorbar_
    np.testing.assert_allclose(points.get_data(orig=False), [predicted, fraction])
    assert display.reliability[["n_joint", "n_marginal"]].sum().tolist() == [500, 500]


def test_the_intervals_are_exact_binomial_ones():
    display = RatioDisplay.from_predictions(*log_ratios(300, 300), n_bins=5)
    for segment, row in zip(
        display.errorbar_[2][0].get_segments(), display.reliability.itertuples(), strict=True
    ):
        test = stats.binomtest(row.n_joint, row.n_joint + row.n_marginal)
        expected = test.proportion_ci(0.95, method="exact")
        np.testing.assert_allclose(segment[:, 1], expected)


def test_an_exact_ratio_is_near_the_diagonal_and_an_overconfident_one_is_not():
    joint, marginal = log_ratios(20_000, 20_000)
    exact = RatioDisplay.from_predictions(joint, marginal).reliability
    sd = np.sqrt(exact["fraction"] * (1 - exact["fraction"]) / exact.filter(like="n_").sum(axis=1))
    assert np.all(np.abs(exact["predicted"] - exact["fraction"]) < 4 * sd)
    table = RatioDisplay.from_predictions(3 * joint, 3 * marginal).reliability
    assert table["lower"].iloc[0] > table["predicted"].iloc[0]
    assert table["upper"].iloc[-1] < table["predicted"].iloc[-1]


def test_unequal_numbers_are_weighted():
    joint, marginal = log_ratios(2_000, 20_000)
    table = RatioDisplay.from_predictions(joint, marginal, n_bins=4).reliability
    equal = RatioDisplay.from_predictions(joint, marginal[:2_000], n_bins=4).reliability
    assert np.all(table["predicted"].between(table["lower"] - 0.02, table["upper"] + 0.02))
    np.testing.assert_allclose(table["fraction"], equal["fraction"], atol=0.05)
    twice = RatioDisplay.from_predictions(joint, np.tile(marginal[:2_000], 2), n_bins=4)
    np.testing.assert_allclose(twice.reliability["fraction"], equal["fraction"])
    np.testing.assert_allclose(twice.reliability["predicted"], equal["predicted"])


def test_bins_without_one_kind_or_any_pairs():
    display = RatioDisplay.from_predictions([9.0, 9.0, np.inf], [-9.0, -np.inf, -9.0, -8.0])
    table = display.reliability
    assert table["fraction"].tolist() == [0, 1]
    assert table["lower"].iloc[0] == 0
    assert table["upper"].iloc[1] == 1
    assert table["n_joint"].tolist() == [0, 3]
    display.figure_.canvas.draw()


def test_the_histograms_are_densities_of_all_pairs(legend_texts):
    joint, marginal = log_ratios(1_000, 500)
    display = RatioDisplay.from_predictions(joint, marginal)
    for drawn, values in zip(display.histograms_, (joint, marginal), strict=True):
        height, edges, _ = drawn.get_data()
        counts, _ = np.histogram(values, edges)
        np.testing.assert_allclose(height * np.diff(edges), counts / len(values))
        assert counts.sum() >= 0.985 * len(values)
    assert legend_texts(display.axes_[1]) == ["joint pairs", "marginal pairs"]
    assert {drawn.get_fill() for drawn in display.histograms_} == {True, False}


def test_marginal_pairs_far_to_the_left_are_counted_in_the_legend(legend_texts):
    joint, marginal = log_ratios(400, 400)
    marginal[:100] = -1e4
    marginal[100:120] = -np.inf
    display = RatioDisplay.from_predictions(joint, marginal)
    assert display.axes_[1].get_xlim()[0] > -30
    assert legend_texts(display.axes_[1])[1] == "marginal pairs (30% further left)"


def test_joint_pairs_are_always_shown():
    joint, marginal = log_ratios(400, 400)
    low, high = RatioDisplay.from_predictions(joint - 100, marginal - 200).axes_[1].get_xlim()
    assert low < -103
    assert high > -97


def test_the_axes_say_what_they_show():
    display = RatioDisplay.from_predictions(*log_ratios(50, 50))
    assert [ax.get_xlabel() for ax in display.axes_] == [
        "predicted probability r / (1 + r)",
        "log r",
    ]
    assert [ax.get_ylabel() for ax in display.axes_] == ["fraction of joint pairs", "density"]
    assert display.figure_.get_size_inches().tolist() == [3.4, 4.2]


@pytest.mark.parametrize("table", [False, True])
def test_an_estimator_judges_pairs_and_pairs_with_another_theta(gaussian, pairs, table):
    theta, x = pairs
    shown = pd.DataFrame(theta, columns=["a", "b"]) if table else theta
    display = RatioDisplay.from_estimator(gaussian(), shown, x, random_state=4)
    others = derangement(theta, np.random.default_rng(4))
    assert not np.any(others == np.arange(200))
    ratio = gaussian().predict_log_ratio
    np.testing.assert_array_equal(display.log_ratio_joint, ratio(theta, x))
    np.testing.assert_array_equal(display.log_ratio_marginal, ratio(theta[others], x))


def test_a_fitted_estimator_is_drawn(pairs):
    theta, x = (pd.DataFrame(table, columns=["a", "b"]) for table in pairs)
    nre = NRE(max_epochs=1, random_state=0).fit(theta, x)
    display = RatioDisplay.from_estimator(nre, theta, x)
    assert np.mean(display.log_ratio_joint) > np.mean(display.log_ratio_marginal)


@pytest.mark.parametrize("subfigure", [False, True])
def test_a_given_figure_is_drawn_into(subfigure):
    fig = plt.figure()
    target = fig.subfigures(1, 2)[1] if subfigure else fig
    display = RatioDisplay.from_predictions(*log_ratios(50, 50), fig=target)
    assert display.figure_ is target
    assert plt.get_fignums() == [fig.number]
    fig.canvas.draw()
    with pytest.raises(ValueError, match="fig must be empty, got a figure with 2 axes"):
        display.plot(fig=target)


@pytest.mark.parametrize(
    ("joint", "marginal", "options", "error", "match"),
    [
        ([[0.0, 1.0]], [0.0, 1.0], {}, ValueError, r"log_ratio_joint must .* got shape \(1, 2\)"),
        ([0.0, 1.0], [1.0], {}, ValueError, r"log_ratio_marginal must .* got shape \(1,\)"),
        ([0.0, 1.0], [1.0, np.nan], {}, ValueError, "log_ratio_marginal must .* got nan in row 1"),
        (["a", "b"], [1.0, 2.0], {}, TypeError, "log_ratio_joint must hold real numbers.*'a'"),
        ([0.0, 1.0], [0.0, 1.0], {"n_bins": 0}, ValueError, "n_bins must be an int >= 1, got 0"),
        ([0.0, 1.0], [0.0, 1.0], {"n_bins": 2.5}, TypeError, "n_bins must be an int >= 1, got 2.5"),
        ([0.0, 1.0], [0.0, 1.0], {"fig": 3}, TypeError, "fig must be a matplotlib Figure .*got 3"),
    ],
)
def test_bad_input_is_refused(joint, marginal, options, error, match):
    with pytest.raises(error, match=match):
        RatioDisplay.from_predictions(joint, marginal, **options)


@pytest.mark.parametrize("estimator", [None, NRE, GridSearchCV(NRE(), {})])
def test_what_has_no_ratio_is_refused(estimator, pairs):
    with pytest.raises(TypeError, match="estimator must be fitted and have predict_log_ratio"):
        RatioDisplay.from_estimator(estimator, *pairs)


def test_pairs_must_match_and_differ(gaussian, pairs):
    theta, x = pairs
    with pytest.raises(ValueError, match=r"theta and x must have one length, got \[200, 199\]"):
        RatioDisplay.from_estimator(gaussian(), theta, x[:-1])
    with pytest.raises(ValueError, match="200 of 200 rows are equal"):
        RatioDisplay.from_estimator(gaussian(), 0 * theta, x)


def test_the_points_carry_no_line():
    points, _, _ = RatioDisplay.from_predictions(*log_ratios(50, 50)).errorbar_
    assert isinstance(points, mpl.lines.Line2D)
    assert points.get_linestyle() == "None"
