"""The density on a grid: its panels are marginals, its regions hold the stated mass."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from sksbi import NPE
from sksbi.inspection import CoverageDisplay, GridDisplay
from sksbi.metrics import HeldOutDraws

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def normal(scales, n=61):
    """Put independent normals on a grid of four standard deviations."""
    axes = [np.linspace(-4 * s, 4 * s, n) for s in scales]
    names = ["mass", "rate", "shift"][: len(scales)]
    if len(axes) == 1:
        return pd.Series(stats.norm.logpdf(axes[0], 0, scales[0]), pd.Index(axes[0], name="mass"))
    index = pd.MultiIndex.from_product(axes, names=names)
    points = np.array(index.to_list())
    return pd.Series(stats.norm.logpdf(points, 0, scales).sum(axis=1) + 12.0, index)


@pytest.mark.parametrize("scales", [(2.0,), (1.0, 3.0), (1.0, 3.0, 1e-3)])
def test_the_diagonal_shows_normalised_marginals(scales):
    display = GridDisplay.from_predictions(normal(scales))
    for j, scale in enumerate(scales):
        (curve,) = (line for line in display.axes_[j, j].lines if len(line.get_xdata()) > 10)
        x, height = curve.get_data()
        inside = slice(3, -3)
        expected = stats.norm.pdf(x[inside], 0, scale)
        np.testing.assert_allclose(height[inside], expected, atol=2e-3 / scale)


def test_regions_hold_their_mass():
    """A normal's region of 90% in two dimensions is the circle of radius 2.146."""
    display = GridDisplay.from_predictions(normal((1.0, 3.0)), levels=[0.9])
    (path,) = (c for c in display.axes_[1, 0].collections if hasattr(c, "levels") and not c.filled)
    points = np.concatenate([p.vertices for p in path.get_paths()])
    radius = np.hypot(points[:, 0], points[:, 1] / 3)
    np.testing.assert_allclose(radius, stats.chi(2).ppf(0.9), atol=0.06)


def test_the_pair_is_not_transposed():
    display = GridDisplay.from_predictions(normal((1.0, 3.0)))
    assert display.axes_[1, 0].get_xlim() == pytest.approx((-4.0667, 4.0667), abs=1e-3)
    assert display.axes_[1, 0].get_ylim() == pytest.approx((-12.2, 12.2), abs=1e-3)
    assert display.axes_[1, 0].get_xlabel() == "mass"
    assert display.axes_[1, 0].get_ylabel() == "rate"


def test_true_values_and_points_are_marked_and_named():
    display = GridDisplay.from_predictions(
        normal((1.0, 3.0)),
        true_theta={"rate": 1.0},
        points={"mode": [0.5, -1.0], "MCMC": {"mass": 2}},
    )
    texts = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert texts == ["true value", "mode", "MCMC", "90% region", "50% region"]
    markers = [line for line in display.axes_[1, 0].lines if line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in markers] == [[[0.5, -1.0]]]
    lines = [line.get_xdata()[0] for line in display.axes_[0, 0].lines if line.is_dashed()]
    assert lines == [0.5, 2]


def test_an_estimator_is_evaluated_and_drawn():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(300, 2))
    x = theta + rng.normal(size=(300, 2))
    npe = NPE({"a": stats.norm(), "b": stats.norm()}, max_epochs=2, random_state=0).fit(theta, x)
    display = GridDisplay.from_estimator(npe, x[0], n_points=30, points={"mode": npe.map(x[0])})
    display.figure_.canvas.draw()
    assert display.log_prob.index.names == ["a", "b"]


@pytest.mark.parametrize(
    ("log_prob", "error", "message"),
    [
        ([1.0, 2.0], TypeError, "must be a Series .*got list"),
        (normal((1.0, 2.0)).iloc[::-1], ValueError, "all combinations in order"),
        (normal((1.0, 2.0)).iloc[5:], ValueError, "all combinations in order"),
        (pd.Series([0.0, 1.0, 2.0], [0.0, 1.0, 5.0]), ValueError, "all combinations in order"),
        (pd.Series([0.0, np.nan], [0.0, 1.0]), ValueError, "numbers or -inf"),
        (pd.Series([-np.inf, -np.inf], [0.0, 1.0]), ValueError, "numbers or -inf"),
    ],
)
def test_other_series_are_refused(log_prob, error, message):
    with pytest.raises(error, match=message):
        GridDisplay.from_predictions(log_prob)


def test_points_without_a_name_or_of_another_width_are_refused():
    with pytest.raises(TypeError, match="points must be a dict of rows .*got list"):
        GridDisplay.from_predictions(normal((1.0, 2.0)), points=[[0, 0]])
    with pytest.raises(ValueError, match=r"points\['mode'\] must have 2 values"):
        GridDisplay.from_predictions(normal((1.0, 2.0)), points={"mode": [0.0]})


def test_draws_are_not_taken_for_a_grid():
    """They would be weighted by their density once more."""
    held_out = HeldOutDraws(
        np.zeros((5, 1)), np.zeros((5, 9, 1)), np.zeros(5), np.zeros((5, 9)), ["a"]
    )
    with pytest.raises(ValueError, match="grid must be False for draws .*grid_held_out"):
        CoverageDisplay.from_held_out(held_out, grid=True)
