"""What a round has changed, and what the next one may."""

import numpy as np
import pytest

from sksbi.sequential.change import Tolerance, change_of, forecast


def normal(seed, shift=0.0, scale=1.0, n=20_000):
    """Draw (n, 2), the second parameter changed."""
    draws = np.random.default_rng(seed).standard_normal((n, 2))
    return draws * [1, scale] + [0, shift]


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 0.0), ({"shift": 0.5}, 0.5), ({"scale": np.exp(-0.4)}, 0.4), ({"scale": 2.0}, np.log(2))],
)
def test_changes_are_counted_in_deviations(options, expected):
    """Of means and of the logarithms of deviations, the largest."""
    change, error = change_of(normal(0), normal(1, **options))
    # Of four differences the largest is taken, each of about one standard error.
    assert change == pytest.approx(expected, abs=4 * error)
    assert 0.005 < error < 0.02


def test_units_do_not_matter():
    """Parameters in other units change as much."""
    before, after = normal(0), normal(1, shift=0.3)
    scale, shift = np.array([1e-6, 1e5]), np.array([3.0, -1e4])
    one, other = change_of(before, after), change_of(before * scale + shift, after * scale + shift)
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_constant_parameter_does_not_change():
    """Where there is no deviation, nothing is divided by it."""
    same = np.ones((100, 1))
    assert change_of(same, same)[0] == 0


def test_the_observation_that_changed_most_counts():
    """Of a batch, one is enough."""
    before = np.stack([normal(0), normal(1)])
    after = np.stack([normal(2), normal(3, shift=1.0)])
    assert Tolerance(0.1).change(before, after)[0] == pytest.approx(1.0, abs=0.05)


def test_c2st_tells_changes_apart():
    """No change is .5; two deviations apart, the best guess is right in five cases of six."""
    tolerance = Tolerance({"c2st": 0.6})
    same = tolerance.change(normal(0)[None], normal(1)[None])[0]
    apart, error = tolerance.change(normal(0)[None], normal(1, shift=2.0)[None])
    assert same == pytest.approx(0.5, abs=0.04)
    assert apart == pytest.approx(0.841, abs=0.04)
    assert error < 0.01


@pytest.mark.parametrize("tol", [0, -1, "c2st", {"c2st": 0.4}, {"c2st": 1.0}, {"sd": 0}])
def test_wrong_tolerances_are_refused(tol):
    """The rule is told."""
    with pytest.raises((TypeError, ValueError), match="tol must be None"):
        Tolerance(tol)


@pytest.mark.parametrize("tol", [{}, {"sd": 1, "c2st": 0.6}, {"kl": 1}, {"sd": "small"}])
def test_wrong_mappings_are_refused(tol):
    """One measure, by its name."""
    with pytest.raises((TypeError, ValueError), match="tol must be None"):
        Tolerance(tol)


def test_forecasts_follow_the_root_of_the_number():
    """Changes that fall with the root are foreseen; two rounds are too few to tell."""
    pairs = np.array([1_000, 2_000, 3_000, 4_000, 5_000])
    rounds = [{"pairs": n, "change": 1 / np.sqrt(n)} for n in pairs]
    assert forecast(rounds[:2], 0.0) == np.inf
    for k in (3, 4):
        expected = forecast(rounds[:k], 0.0)
        assert expected == pytest.approx(rounds[k]["change"], rel=0.1)
