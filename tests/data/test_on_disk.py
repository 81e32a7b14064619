"""Pairs on the disk: every row is looked at once, and a sample misses nothing that matters."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi.data import LazyTable, PairsOnDisk, template, too_large
from sksbi.data.lazy import beside, some_pairs

N = 30_000


def read(theta, x):
    """Read arrays as they are, and refuse a number."""
    if (theta == 13).any():
        raise ValueError(f"theta must not be 13, got it in row {(theta == 13).any(1).argmax()}.")
    return theta, x


def scanned(theta, x, weight=None, seed=0):
    """Read all of them."""
    pairs = PairsOnDisk(beside(theta, "theta"), beside(x, "x"), read, weight)
    return pairs.scan(np.random.default_rng(seed))


@pytest.fixture
def arrays():
    """Make pairs of which some failed, one is extreme, and one has a value of its own."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(N, 2))
    x = np.column_stack([rng.normal(size=N), rng.integers(0, 3, N).astype(float)])
    x[::10] = np.nan
    x[N - 2] = [77.0, 5.0]
    return theta, x


@pytest.fixture(autouse=True)
def small_sample(monkeypatch):
    """Let the sample be smaller than the pairs are."""
    monkeypatch.setattr("sksbi.data.on_disk._MOST_SAMPLED", 2_000)
    monkeypatch.setattr("sksbi.data.on_disk._MOST_READ", 1_000)


def test_chunks_hold_every_row_once(arrays):
    """Where they stand, without those that are not wanted."""
    theta, x = arrays
    pairs = scanned(theta, x)
    found = [pairs.chunk(number, pairs.used) for number in range(pairs.n_chunks())]
    rows = np.concatenate([one.row for one in found])
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(np.arange(N) % 10))
    np.testing.assert_array_equal(np.concatenate([one.theta for one in found]), theta[rows])
    np.testing.assert_array_equal(np.concatenate([one.x for one in found]), x[rows])


def test_a_view_is_read_as_the_file_has_it(arrays):
    """Rows in any order keep their numbers in the view."""
    theta, x = arrays
    order = np.random.default_rng(1).permutation(N)[: N // 2]
    pairs = PairsOnDisk(beside(theta, "theta")[order], beside(x, "x")[order], read, None)
    pairs.scan(np.random.default_rng(0))
    found = [pairs.chunk(number, pairs.used) for number in range(pairs.n_chunks())]
    rows = np.concatenate([one.row for one in found])
    np.testing.assert_array_equal(np.concatenate([one.theta for one in found]), theta[order][rows])
    assert (np.diff(order[rows]) > 0).all()
    np.testing.assert_array_equal(pairs.some.x, x[order][pairs.some.row])


def test_the_sample_is_fair_and_has_what_is_rare(arrays):
    """It follows the distribution; extremes and rare values are in it, and not at random."""
    theta, x = arrays
    pairs = scanned(theta, x)
    some = pairs.some
    np.testing.assert_array_equal(some.theta, theta[some.row])
    assert abs(len(some) + len(some.failed) - 2_000) < 20
    assert stats.kstest(some.theta[pairs.at_random, 0], "norm").pvalue > 1e-3
    assert abs(len(some.failed) - 200) < 4 * np.sqrt(2_000 * 0.1 * 0.9)
    for column in x.T:
        assert np.nanmin(column) in some.x
        assert np.nanmax(column) in some.x
    assert not pairs.at_random[some.row == N - 2].any()


def test_weights_have_mean_one_over_what_is_used(arrays):
    """And rows of weight zero are absent."""
    weight = np.random.default_rng(2).exponential(size=N)
    weight[::3] = 0
    pairs = scanned(*arrays, weight)
    found = [pairs.chunk(number, pairs.used) for number in range(pairs.n_chunks())]
    used, rows = np.concatenate([one.weight for one in found]), np.flatnonzero(pairs.used)
    assert used.mean() == pytest.approx(1)
    np.testing.assert_allclose(used, weight[rows] / weight[rows].mean())
    np.testing.assert_array_equal(rows, np.flatnonzero((np.arange(N) % 10 > 0) & (weight > 0)))
    assert not (pairs.some.row % 3 == 0).any()


@pytest.mark.parametrize("cause", ["weight", "failures"])
def test_the_sample_is_of_what_counts(arrays, cause):
    """Of a hundredth of the rows that count, the sample has all."""
    theta, x = arrays
    rare = np.arange(N) % 100 == 7
    weight = rare.astype(float) if cause == "weight" else None
    if cause == "failures":
        x[~rare] = np.nan
    pairs = scanned(theta, x, weight)
    np.testing.assert_array_equal(pairs.some.row, np.flatnonzero(rare))
    assert np.count_nonzero(~pairs.at_random) < 30  # extremes and values
    np.testing.assert_array_equal(pairs.some.x, x[rare])


def test_rows_are_taken_into_the_sample(arrays):
    """Those asked for, half as many as the sample has at most, and none twice."""
    theta, x = arrays
    pairs = scanned(theta, x)
    before = set(pairs.some.row)
    for wanted in (np.arange(100, 300), np.arange(N // 2)):
        places = pairs.include(wanted, np.random.default_rng(0))
        rows = pairs.some.row[places]
        assert set(rows) <= set(wanted[pairs.used[wanted]])
        assert len(rows) == min(1_000, np.count_nonzero(pairs.used[wanted]))
    assert before <= set(pairs.some.row)
    assert len(np.unique(pairs.some.row)) == len(pairs.some)
    np.testing.assert_array_equal(pairs.some.x, x[pairs.some.row])
    assert set(pairs.some.row[pairs.at_random]) <= before


def test_an_error_has_its_place(arrays):
    """Rows are told by their numbers among all."""
    theta, x = arrays
    theta[20_500] = 13
    with pytest.raises(ValueError, match=r"must not be 13, got it in row 20500\."):
        scanned(theta, x)


def test_too_few_that_succeeded(arrays):
    """As in memory."""
    theta, x = arrays
    x[1:] = np.nan
    with pytest.raises(ValueError, match="at least 2 simulations that succeeded"):
        scanned(theta, x)


def test_a_template_has_every_word():
    """Also one that stands in the last row alone."""
    words = np.array(["low", "high"] * (N // 2), dtype=object)
    words[-2] = "never seen"
    x = pd.DataFrame({"word": words, "n": np.arange(N)})
    theta, some, _ = template(beside(np.arange(N * 2.0).reshape(N, 2), "theta"), beside(x, "x"))
    assert set(some["word"]) == {"low", "high", "never seen"}
    np.testing.assert_array_equal(theta[:, 0], 2 * some["n"])


def test_what_is_large_stays_on_the_disk(arrays, monkeypatch):
    """By its numbers, and only if it is there."""
    theta, x = arrays
    assert too_large(beside(theta, "theta"), x) is None
    monkeypatch.setattr("sksbi.data.lazy._IN_MEMORY", 4 * N - 1)
    assert too_large(theta, x) is None
    for pair in ((beside(theta, "theta"), x), (theta, beside(x, "x"))):
        assert all(isinstance(table, LazyTable) for table in too_large(*pair))
    with pytest.raises(ValueError, match="one length"):
        too_large(beside(theta, "theta"), x[1:])


def test_some_pairs_go_together(arrays):
    """Rows are the same of both."""
    theta, _ = arrays
    found = some_pairs(beside(theta, "theta"), theta, 100)
    np.testing.assert_array_equal(*found)
    assert len(np.unique(found[0], axis=0)) == 100
    assert some_pairs(theta, theta, 100)[0] is theta
