"""The smooth part of a regression: rows left out, choice of the basis, no self-deception."""

import numpy as np
import pytest

from sksbi.preprocessing.trend import SmoothTrend

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("weighted", [False, True])
def test_residuals_are_those_of_rows_left_out(weighted: bool) -> None:
    """A row that is moved far does not move its own prediction."""
    x, weight = RNG.normal(size=(60, 3)), RNG.uniform(0.5, 2, 60) if weighted else np.ones(60)
    z = x @ [1.0, -2.0, 0.5] + 0.5 * RNG.normal(size=60)
    trend = SmoothTrend(x, z, weight, seed=0)
    assert trend.basis_ is not None
    for row in range(5):
        rest = np.arange(60) != row
        # the penalty may be another, as it was chosen with the row
        left_out = SmoothTrend(x[rest], z[rest], weight[rest], seed=0)
        assert z[row] - trend.residuals[row] == pytest.approx(left_out(x[[row]])[0], abs=0.05)


FUNCTIONS = {
    "line": lambda x: x[:, 0] - 2 * x[:, 1],
    "product": lambda x: x[:, 0] * x[:, 1],
    "wave": lambda x: np.sin(2 * x[:, 0]),
    "shifted": lambda x: 1e6 + 1e-3 * x[:, 0],
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_what_is_smooth_is_found(function) -> None:
    x, new = RNG.normal(size=(500, 2)), RNG.uniform(-1.5, 1.5, size=(200, 2))
    signal = function(x)
    z = signal + 0.1 * signal.std() * RNG.normal(size=500)
    trend = SmoothTrend(x, z, np.ones(500), seed=0)
    error = np.sqrt(((trend(new) - function(new)) ** 2).mean()) / signal.std()
    assert error < 0.06
    # those of rows left out have the size of the noise and of the error
    assert 0.09 < trend.residuals.std() / signal.std() < 0.13


def test_of_noise_nothing_is_made() -> None:
    x, z = RNG.normal(size=(300, 20)), RNG.normal(size=300)
    trend = SmoothTrend(x, z, np.ones(300), seed=0)
    assert trend.basis_ is None or np.abs(trend(x) - z.mean()).max() < 0.3
    assert trend.residuals.std() == pytest.approx(z.std(), rel=0.02)


def test_gaps_and_columns_without_numbers_are_taken() -> None:
    x = RNG.normal(size=(200, 3))
    z = x[:, 0].copy()
    x[:20, 1], x[:, 2] = np.nan, np.nan
    trend = SmoothTrend(x, z, np.ones(200), seed=0)
    assert trend(np.array([[0.5, np.nan, 1.0]]))[0] == pytest.approx(0.5, abs=0.05)


def test_far_away_it_goes_no_further_than_the_rows() -> None:
    x = RNG.normal(size=(200, 1))
    trend = SmoothTrend(x, 3 * x[:, 0], np.ones(200), seed=0)
    far = trend(np.array([[-1e9], [1e9]]))
    assert np.abs(far).max() < 3 * np.abs(x).max() + 2 * (3 * x).std()


def test_more_rows_than_are_learnt_from_have_residuals() -> None:
    x = RNG.normal(size=(12_000, 1))
    z = x[:, 0] + 0.1 * RNG.normal(size=12_000)
    trend = SmoothTrend(x, z, np.ones(12_000), seed=0)
    # the noise of 12,000 is known to 0.6%
    assert trend.residuals.std() == pytest.approx(0.1, rel=0.03)
