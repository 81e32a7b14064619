"""The integrator agrees with SciPy's at a strict tolerance, on the priors and their tails."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sksbi.datasets import _lotka_volterra, _sir, load_task
from sksbi.datasets._ode import solve_ode
from sksbi.priors import check_prior

TIMES = {"sir": _sir._DAYS, "lotka_volterra": _lotka_volterra._TIMES}
MODULES = {"sir": _sir, "lotka_volterra": _lotka_volterra}


def parameters(name):
    """Draw ordinary parameters, and take such that lie 3.5 standard deviations out."""
    prior = check_prior(load_task(name).prior)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(6, prior.n_features))
    far = 3.5 * np.array(
        [[1, 1, 1, 1], [-1, -1, -1, -1], [1, -1, 1, -1], [-1, 1, -1, 1], [1, -1, -1, 1]]
    )
    return prior.from_unbounded(np.vstack([z, far[:, : prior.n_features]]))


@pytest.mark.parametrize("name", ["sir", "lotka_volterra"])
def test_agrees_with_scipy(name):
    module, times = MODULES[name], TIMES[name]
    theta = parameters(name)
    ours = solve_ode(module._derivative, module._START, theta.T, times)
    for row, values in enumerate(theta):
        reference = solve_ivp(
            lambda t, state, values=values: module._derivative(state, values),
            times[[0, -1]],
            module._START,
            method="DOP853",
            t_eval=times,
            rtol=1e-10,
            atol=1e-10,
        )
        # Of logarithms that reach hundreds far out; the noise of the data is 1e-1.
        scale = np.maximum(1.0, np.abs(reference.y))
        assert np.max(np.abs(ours[:, :, row].T - reference.y) / scale) < 1e-5


def test_conserves_what_lotka_volterra_conserves():
    theta = parameters("lotka_volterra")
    alpha, beta, gamma, delta = theta.T
    times = np.linspace(0.0, 20.0, 41)
    logs = solve_ode(_lotka_volterra._derivative, _lotka_volterra._START, theta.T, times)
    prey, predator = logs[:, 0], logs[:, 1]
    energy = delta * np.exp(prey) - gamma * prey + beta * np.exp(predator) - alpha * predator
    np.testing.assert_allclose(energy, np.broadcast_to(energy[0], energy.shape), rtol=1e-5)


def test_every_row_is_solved_as_if_it_were_alone():
    theta = parameters("lotka_volterra")
    together = _lotka_volterra.solve(theta)
    alone = np.vstack([_lotka_volterra.solve(row[None]) for row in theta])
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_a_smaller_tolerance_gives_a_smaller_error():
    times = np.linspace(0.0, 10.0, 5)
    rates = np.array([[0.5, 1.0, 2.0]])
    errors = []
    for tol in (1e-4, 1e-6, 1e-8):
        solution = solve_ode(
            lambda state, rate: np.stack([rate[0] * state[1], -rate[0] * state[0]]),
            np.array([0.0, 1.0]),
            rates,
            times,
            tol=tol,
        )
        errors.append(np.abs(solution[:, 0] - np.sin(times[:, None] * rates)).max())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-6


def test_a_solution_that_leaves_the_numbers_is_nan_and_the_others_go_on():
    # y' = a y^2 from 1 reaches infinity at 1 / a
    times = np.array([0.0, 0.5, 2.0])
    rates = np.array([[0.1, 1.0]])
    solution = solve_ode(lambda y, a: a * y**2, np.array([1.0]), rates, times)
    np.testing.assert_allclose(solution[:, 0, 0], 1 / (1 - 0.1 * times), rtol=1e-6)
    np.testing.assert_allclose(solution[:2, 0, 1], [1.0, 2.0], rtol=1e-6)
    assert np.isnan(solution[2, 0, 1])


def test_rows_that_need_too_many_steps_are_nan():
    start, times = np.array([1.0]), np.array([0.0, 1.0])
    solution = solve_ode(lambda y, a: a * y, start, np.array([[1.0]]), times, max_steps=2)
    assert np.isnan(solution[1]).all()
