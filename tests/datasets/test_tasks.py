"""The laws that every benchmark task meets, and the errors of the tasks."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi.datasets import _TASKS, load_task
from sksbi.priors import check_prior

NAMES = sorted(_TASKS)
WIDTHS = {
    "gaussian_linear": (10, 10),
    "gaussian_linear_uniform": (10, 10),
    "gaussian_mixture": (2, 2),
    "lotka_volterra": (4, 20),
    "sir": (2, 10),
    "slcp": (5, 8),
    "two_moons": (2, 2),
}


def near(name, n, random_state):
    """Draw pairs of parameters that lie close together, in the middle of the prior."""
    prior = check_prior(load_task(name).prior)
    rng = np.random.default_rng(random_state)
    z = 0.3 * rng.normal(size=(n, prior.n_features))
    # tanh makes slcp all but degenerate far out; its standard deviations vanish at 0
    z = z + 0.7 if name == "slcp" else z
    return prior.from_unbounded(z), prior.from_unbounded(z + 0.003 * rng.normal(size=z.shape))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_names(name):
    task = load_task(name)
    theta, x = task.simulate(30, random_state=0)
    assert (theta.shape, x.shape) == ((30, WIDTHS[name][0]), (30, WIDTHS[name][1]))
    assert theta.columns.tolist() == task.names == list(task.prior)
    assert np.isfinite(x).all()
    assert task.name in repr(task)


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_numbers_in_a_pickled_task_too(name):
    task = load_task(name)
    theta, x = task.simulate(20, random_state=1)
    other_theta, other_x = pickle.loads(pickle.dumps(task)).simulate(20, random_state=1)
    assert theta.equals(other_theta)
    np.testing.assert_array_equal(x, other_x)
    _, third = task.simulate(20, random_state=2)
    assert not np.array_equal(x, third)


@pytest.mark.parametrize("name", NAMES)
def test_tables_and_arrays_of_theta_give_the_same(name):
    task = load_task(name)
    theta, x = task.simulate(10, random_state=0)
    shuffled = theta[theta.columns[::-1]]
    for form in (shuffled, theta.to_numpy(), theta.to_numpy().tolist()):
        np.testing.assert_array_equal(
            task.simulator(form, rng=4), task.simulator(theta, rng=np.random.default_rng(4))
        )
        np.testing.assert_array_equal(task.log_likelihood(form, x), task.log_likelihood(theta, x))


@pytest.mark.parametrize("name", NAMES)
def test_one_observation_goes_with_every_row(name):
    task = load_task(name)
    theta, x = task.simulate(6, random_state=0)
    repeated = task.log_likelihood(theta, np.tile(x[0], (6, 1)))
    np.testing.assert_array_equal(task.log_likelihood(theta, x[0]), repeated)
    np.testing.assert_array_equal(task.log_likelihood(theta, x[:1]), repeated)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "two_moons"])
def test_likelihood_ratios_average_to_one_over_simulations(name):
    # E over p(x | theta) of p(x | other) / p(x | theta) = 1, if the simulator draws what the
    # likelihood says. (two_moons: the other's support is another.)
    task = load_task(name)
    theta, other = near(name, 4000, random_state=0)
    x = task.simulator(theta, rng=1)
    ratio = np.exp(task.log_likelihood(other, x) - task.log_likelihood(theta, x))
    assert ratio.std() > 1e-3
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio))


def test_the_likelihood_of_two_moons_is_the_density_of_its_draws():
    task = load_task("two_moons")
    theta = np.array([[0.3, -0.2]])
    draws = task.simulator(np.repeat(theta, 20_000, axis=0), rng=0)
    width = 0.0005
    left, bottom = draws.min(axis=0) - 0.01
    right, top = draws.max(axis=0) + 0.01
    grid = np.meshgrid(np.arange(left, right, width), np.arange(bottom, top, width))
    points = np.column_stack([axis.ravel() for axis in grid])
    density = np.exp(task.log_likelihood(np.repeat(theta, len(points), axis=0), points)) * width**2
    assert density.sum() == pytest.approx(1, abs=0.003)
    cells = [np.linspace(left, right, 5), np.linspace(bottom, top, 7)]
    expected, _, _ = np.histogram2d(*points.T, bins=cells, weights=density)
    observed, _, _ = np.histogram2d(*draws.T, bins=cells)
    standard_error = np.sqrt(expected * (1 - expected) / len(draws))
    # the grid resolves a cell's mass to about 0.003
    assert np.all(np.abs(observed / len(draws) - expected) < 4 * standard_error + 0.003)


@pytest.mark.parametrize(("name", "shift"), [("slcp", [0, 0, 1, 1, 0]), ("two_moons", [1, 1])])
def test_symmetries_of_the_likelihood(name, shift):
    # slcp: the signs of theta_3 and theta_4; two_moons: (a, b) and (-b, -a) have one x
    task = load_task(name)
    theta, x = task.simulate(50, random_state=0)
    theta = theta.to_numpy()
    mirrored = -theta[:, ::-1] if name == "two_moons" else np.where(shift, -theta, theta)
    np.testing.assert_allclose(
        task.log_likelihood(mirrored, x), task.log_likelihood(theta, x), rtol=1e-6, atol=1e-6
    )


def test_slcp_agrees_with_scipys_multivariate_normal():
    task = load_task("slcp")
    theta, x = task.simulate(5, random_state=0)
    for row, points in zip(theta.to_numpy(), x.reshape(5, 4, 2), strict=True):
        first, second = row[2:4] ** 2
        off = np.tanh(row[4]) * first * second
        covariance = np.array([[first**2, off], [off, second**2]]) + 1e-6 * np.eye(2)
        expected = stats.multivariate_normal(row[:2], covariance).logpdf(points).sum()
        assert task.log_likelihood(row[None], points.ravel()) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["gaussian_linear", "gaussian_linear_uniform"])
def test_the_noise_of_the_gaussian_tasks_has_variance_one_tenth(name):
    task = load_task(name)
    theta, x = task.simulate(4000, random_state=0)
    variance = np.var(x - theta.to_numpy())
    # of n normal numbers the variance has the relative standard error sqrt(2 / n)
    assert variance == pytest.approx(0.1, rel=4 * np.sqrt(2 / x.size))


def test_sir_counts_are_whole_and_start_near_zero():
    _, x = load_task("sir").simulate(300, random_state=0)
    np.testing.assert_array_equal(x, np.round(x))
    assert x.min() >= 0
    assert x.max() <= 1000
    assert x[:, 0].max() <= 1


def test_lotka_volterra_starts_at_thirty_prey_and_one_predator():
    _, x = load_task("lotka_volterra").simulate(300, random_state=0)
    noise = np.log(x[:, [0, 10]] / [30.0, 1.0])
    assert noise.std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * noise.size))
    assert abs(noise.mean()) < 4 * 0.1 / np.sqrt(noise.size)


def test_impossible_data_have_no_likelihood():
    theta = load_task("lotka_volterra").simulate(1, random_state=0)[0]
    assert load_task("lotka_volterra").log_likelihood(theta, -np.ones(20)) == -np.inf
    assert load_task("sir").log_likelihood([[0.4, 0.1]], np.full(10, 0.5)) == -np.inf
    assert load_task("two_moons").log_likelihood([[0.0, 0.0]], [0.0, 0.0]) == -np.inf


def test_an_unknown_name_lists_the_tasks():
    with pytest.raises(ValueError, match="'three_moons'.*'sir', 'slcp', 'two_moons'"):
        load_task("three_moons")


@pytest.mark.parametrize(
    ("theta", "words"),
    [
        ([[1.0]], r"theta must have shape \(n, 2\), got \(1, 1\)"),
        ([1.0, 2.0], r"theta must have shape \(n, 2\), got \(2,\)"),
        ([[1.0, np.nan]], "theta must be finite, got .*nan"),
        (pd.DataFrame({"theta_1": [1.0], "mass": [2.0]}), r"\['theta_2'\] missing"),
    ],
)
def test_bad_theta(theta, words):
    task = load_task("two_moons")
    with pytest.raises(ValueError, match=words):
        task.simulator(theta)
    with pytest.raises(ValueError, match=words):
        task.log_likelihood(theta, [0.0, 0.0])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([1.0], r"x must have shape \(n, 2\), got \(1, 1\)"),
        ([np.inf, 0.0], "x must be finite, got .*inf"),
        (np.zeros((2, 2)), "got 2 rows of x for 3 of theta"),
    ],
)
def test_bad_x(x, words):
    with pytest.raises(ValueError, match=words):
        load_task("two_moons").log_likelihood(np.zeros((3, 2)), x)


@pytest.mark.parametrize("name", [["sir"], {}, None, 3, "nonsense"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match="name must be one of"):
        load_task(name)


@pytest.mark.parametrize(
    ("theta", "match"),
    [
        ([[1j, 0.0]], "theta"),
        ([["a", 0.0]], "theta must hold real numbers"),
        ({}, "theta"),
        (np.zeros((1, 2, 1)), r"theta must have shape \(n, 2\), got \(1, 2, 1\)"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(theta, match):
    task = load_task("two_moons")
    with pytest.raises((ValueError, TypeError), match=match):
        task.simulator(theta, 0)
    with pytest.raises((ValueError, TypeError), match=match):
        task.log_likelihood(theta, [0.0, 0.0])


def test_the_generator_of_a_simulator_is_called_rng():
    with pytest.raises(ValueError, match="rng must be None, a non-negative int"):
        load_task("two_moons").simulator([[0.0, 0.0]], -1)


def test_absurd_parameters_give_no_data_and_no_warning():
    task = load_task("slcp")
    assert np.isnan(task.simulator(np.full((1, 5), 1e200), 0)).any()
    assert task.log_likelihood(np.full((1, 5), 1e200), np.zeros(8)).tolist() == [-np.inf]
