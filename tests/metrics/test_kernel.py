"""Maximum mean discrepancy: its definition, its expectation, and what it refuses."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from sksbi.metrics import mmd_score


def normal(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(n, d))


def naive_mmd(draws, reference, bandwidth=None):
    """Sum over pairs with loops only."""
    sd = reference.std(axis=0, ddof=1)
    draws, reference = draws / sd, reference / sd
    if bandwidth is None:
        bandwidth = np.median([np.linalg.norm(a - b) for a, b in combinations(reference, 2)])

    def kernel(a, b):
        return np.exp(-((a - b) ** 2).sum() / (2 * bandwidth**2))

    def within(points):
        n = len(points)
        pairs = ((i, j) for i in range(n) for j in range(n) if i != j)
        return sum(kernel(points[i], points[j]) for i, j in pairs) / (n * (n - 1))

    between = np.mean([kernel(a, b) for a in draws for b in reference])
    return within(draws) + within(reference) - 2 * between


@pytest.mark.parametrize("bandwidth", [None, 0.5])
def test_it_is_the_sum_over_all_pairs(bandwidth):
    draws, reference = normal(23, 2, 0, shift=0.5) * [1, 100], normal(31, 2, 1) * [1, 100]
    np.testing.assert_allclose(
        mmd_score(draws, reference, bandwidth=bandwidth),
        naive_mmd(draws, reference, bandwidth),
        rtol=1e-9,
    )


def test_many_draws_are_summed_in_parts():
    draws, reference = normal(1500, 1, 0, shift=0.5), normal(1100, 1, 1)
    a, b = (values / reference.std(ddof=1) for values in (draws, reference))
    kernels = [np.exp(-((p - q.T) ** 2) / 2) for p, q in ((a, a), (b, b), (a, b))]
    within = [(k.sum() - len(k)) / (len(k) * (len(k) - 1)) for k in kernels[:2]]
    expected = sum(within) - 2 * kernels[2].mean()
    np.testing.assert_allclose(mmd_score(draws, reference, bandwidth=1.0), expected, rtol=1e-9)


@pytest.mark.parametrize("bandwidth", [None, 1.0])
def test_equal_distributions_score_zero_on_average_and_less_too(bandwidth):
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(400, 2, 100, 2))
    scores = np.array([mmd_score(a, b, bandwidth=bandwidth) for a, b in pairs])
    assert abs(scores.mean()) < 4 * scores.std(ddof=1) / np.sqrt(len(scores))
    assert scores.min() < 0 < scores.max()


@pytest.mark.parametrize(("shift", "width"), [(1.0, 1.0), (0.0, 2.0), (0.0, 0.5)])
def test_gaussians_score_their_closed_form(shift, width):
    # E k(a, b) for a - b ~ N(t, s^2) is h / v exp(-t^2 / (2 v^2)) with v^2 = h^2 + s^2, here h = 1.
    def mean_kernel(variance, off):
        v2 = 1 + variance
        return np.exp(-(off**2) / (2 * v2)) / np.sqrt(v2)

    expected = mean_kernel(2 * width**2, 0) + mean_kernel(2, 0)
    expected -= 2 * mean_kernel(1 + width**2, shift)
    pairs = np.random.default_rng(0).normal(size=(100, 2, 300, 1))
    scores = np.array([mmd_score(shift + width * a, b, bandwidth=1.0) for a, b in pairs])
    # The scaling by the reference's standard deviation adds scatter, and a bias of order 1 / 300.
    assert abs(scores.mean() - expected) < 4 * scores.std(ddof=1) / np.sqrt(len(scores))


def test_it_grows_with_the_distance_and_is_at_most_two():
    reference = normal(200, 2, 0)
    scores = [mmd_score(normal(200, 2, 1, shift), reference) for shift in (0, 0.5, 1, 3)]
    assert scores == sorted(scores)
    assert mmd_score(reference + 1e3, reference) < 2


def test_points_far_apart_score_their_own_kernels():
    draws, reference = np.full((5, 1), 1e6), np.array([[-1.0], [1.0]])
    # The draws are equal, the two of the reference are h apart, and between them there is nothing.
    score = mmd_score(draws, reference)
    np.testing.assert_allclose(score, 1 + np.exp(-0.5), rtol=1e-12)


def test_units_of_columns_do_not_matter():
    draws, reference = normal(30, 2, 0, shift=0.5), normal(30, 2, 1)
    unit = np.array([1024.0, 0.25])
    np.testing.assert_allclose(
        mmd_score(draws * unit, reference * unit), mmd_score(draws, reference), rtol=1e-12
    )


def test_a_column_that_does_not_vary_changes_nothing():
    draws, reference = normal(30, 1, 0, shift=0.5), normal(30, 1, 1)
    wide = [np.hstack([values, np.full((30, 1), 3.0)]) for values in (draws, reference)]
    np.testing.assert_allclose(mmd_score(*wide), mmd_score(draws, reference), rtol=1e-12)


def test_tables_give_what_arrays_give():
    draws, reference = normal(30, 2, 0), normal(30, 2, 1)
    tables = [pd.DataFrame(values, columns=["a", "b"]) for values in (draws, reference)]
    # Tables are in another memory order, so sums are rounded in another way.
    expected = pytest.approx(mmd_score(draws.tolist(), reference), rel=1e-10)
    assert mmd_score(*tables) == expected
    with pytest.raises(ValueError, match=r"same columns.*\['a', 'b'\] and \['b', 'a'\]"):
        mmd_score(tables[0], tables[1][["b", "a"]])


GOOD = normal(20, 2, 0)


@pytest.mark.parametrize(
    ("draws", "reference", "bandwidth", "match"),
    [
        (GOOD[:1], GOOD, None, r"draws must have at least 2 row.*\(1, 2\)"),
        (GOOD, GOOD[:1], None, r"reference must have at least 2 row.*\(1, 2\)"),
        (GOOD[:, 0], GOOD, None, r"draws must be 2-d.*\(20,\).*reshape\(-1, 1\)"),
        (GOOD, GOOD[:, :1], None, "same number of columns, got 2 and 1"),
        (GOOD * np.nan, GOOD, None, "draws must be finite, got nan in row 0, column 0"),
        (GOOD, GOOD, 0.0, "bandwidth must be .*, got 0.0"),
        (GOOD, GOOD, -1, "bandwidth must be .*, got -1"),
        (GOOD, GOOD, np.nan, "bandwidth must be .*, got nan"),
    ],
)
def test_bad_input_is_refused(draws, reference, bandwidth, match):
    with pytest.raises(ValueError, match=match):
        mmd_score(draws, reference, bandwidth=bandwidth)


def test_many_equal_draws_leave_a_bandwidth():
    """Of zero-inflated draws more than half of the distances are zero."""
    rng = np.random.default_rng(0)
    a, b = (rng.poisson(3.0, size=(300, 1)) * (rng.random((300, 1)) > 0.8) for _ in range(2))
    assert abs(mmd_score(a, b)) < 0.02
    assert mmd_score(a + 3.0, b) > 0.2
    assert mmd_score(np.ones((5, 1)), np.ones((5, 1))) == 0.0
