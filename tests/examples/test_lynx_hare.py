"""The lynx-hare example: its simulator is accurate, its posterior agrees with the exact one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

from sksbi.metrics import c2st_score

EXAMPLE = Path(__file__).parents[2] / "examples" / "plot_01_lynx_hare.py"
BEFORE_SIMULATING = "\nnpe = "

STAN = {
    "alpha": 0.55,
    "beta": 0.028,
    "gamma": 0.80,
    "delta": 0.024,
    "hare_0": 34.0,
    "lynx_0": 5.9,
    "sigma_hare": 0.25,
    "sigma_lynx": 0.25,
}


@pytest.fixture(scope="module")
def model() -> dict:
    """Run the example as far as its model: data, prior and simulator."""
    head, _ = EXAMPLE.read_text(encoding="utf-8").split(BEFORE_SIMULATING)
    namespace = {"__name__": "lynx_hare"}
    exec(compile(head, str(EXAMPLE), "exec"), namespace)
    return namespace


def draw_prior(prior: dict, n: int, seed: int) -> pd.DataFrame:
    """Draw from the marginals one by one."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: d.rvs(n, random_state=rng) for name, d in prior.items()})


def solve_exactly(row: pd.Series) -> np.ndarray:
    """Solve one row's equations in log space to ten digits: (2, 21)."""

    def rates(_, z):
        return (
            row["alpha"] - row["beta"] * np.exp(z[1]),
            row["delta"] * np.exp(z[0]) - row["gamma"],
        )

    start = np.log(row[["hare_0", "lynx_0"]].to_numpy())
    options = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-10}
    return solve_ivp(rates, (0, 20), start, t_eval=np.arange(21.0), **options).y


def worst_errors(model: dict, theta: pd.DataFrame) -> np.ndarray:
    """Give the largest error of any log population, for every row."""
    exact = np.array([solve_exactly(row) for _, row in theta.iterrows()])
    return np.abs(model["log_populations"](theta) - exact).max(axis=(1, 2))


def test_populations_are_exact_near_the_posterior(model):
    rng = np.random.default_rng(0)
    theta = pd.DataFrame([STAN] * 30) * np.exp(0.15 * rng.standard_normal((30, 8)))
    assert worst_errors(model, theta).max() < 1e-4


def test_populations_are_accurate_over_the_prior(model):
    errors = worst_errors(model, draw_prior(model["prior"], 100, seed=1))
    assert np.median(errors) < 1e-4
    assert errors.max() < 0.01


def test_halving_the_step_quarters_the_error(model):
    theta = pd.DataFrame([STAN])
    exact = solve_exactly(theta.iloc[0])
    coarse, fine = (
        np.abs(model["log_populations"](theta, steps_per_year=n)[0] - exact).max()
        for n in (50, 100)
    )
    assert coarse / fine == pytest.approx(4, rel=0.01)


def test_the_energy_of_the_cycles_is_conserved(model):
    theta = pd.DataFrame([STAN])
    u, v = model["log_populations"](theta)[0]
    energy = (
        STAN["delta"] * np.exp(u) - STAN["gamma"] * u + STAN["beta"] * np.exp(v) - STAN["alpha"] * v
    )
    np.testing.assert_allclose(energy, energy[0], rtol=1e-4)


def test_equilibrium_stays(model):
    equilibrium = STAN | {
        "hare_0": STAN["gamma"] / STAN["delta"],
        "lynx_0": STAN["alpha"] / STAN["beta"],
    }
    u, v = model["log_populations"](pd.DataFrame([equilibrium]))[0]
    np.testing.assert_allclose(u, u[0], atol=1e-12)
    np.testing.assert_allclose(v, v[0], atol=1e-12)


def test_rows_do_not_touch_each_other(model):
    theta = draw_prior(model["prior"], 20, seed=2)
    alone = [model["log_populations"](theta.iloc[[i]])[0] for i in range(20)]
    np.testing.assert_allclose(model["log_populations"](theta), alone, rtol=1e-12)


def test_every_count_of_the_prior_is_finite_and_positive(model):
    theta = draw_prior(model["prior"], 10_000, seed=3)
    counts = model["simulator"](theta, np.random.default_rng(3))
    assert list(counts.columns) == list(model["x_observed"].index)
    assert np.isfinite(counts.to_numpy()).all()
    assert (counts.to_numpy() > 0).all()


@pytest.mark.parametrize(
    "absurd",
    [
        {"hare_0": 1e6, "delta": 1.0},
        {"lynx_0": 1e6, "beta": 1.0},
        {"hare_0": 1e-30, "lynx_0": 1e-30, "alpha": 10.0},
        {"hare_0": 1e30, "lynx_0": 1e30, "sigma_hare": 1e3, "sigma_lynx": 1e3},
    ],
)
def test_absurd_parameters_stay_finite(model, absurd):
    counts = model["simulator"](pd.DataFrame([STAN | absurd]), np.random.default_rng(0))
    assert np.isfinite(counts.to_numpy()).all()
    assert (counts.to_numpy() > 0).all()


def test_counts_are_log_normal_around_the_solution(model):
    n = 4_000
    theta = pd.DataFrame([STAN | {"sigma_hare": 0.1, "sigma_lynx": 0.4}] * n)
    mean = model["log_populations"](theta.iloc[:1])[0].ravel()
    counts = model["simulator"](theta, np.random.default_rng(4))
    z = (np.log(counts.to_numpy()) - mean) / np.repeat([0.1, 0.4], 21)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=4.5 / np.sqrt(n))
    np.testing.assert_allclose(np.cov(z.T), np.eye(42), atol=4.5 * np.sqrt(2 / n))


def exact_log_posterior(model: dict):
    """Build the exact log density of log theta, given the real data."""
    prior = model["prior"]
    log_counts = np.log(model["x_observed"].to_numpy()).reshape(2, 21)

    def log_posterior(log_theta: np.ndarray) -> np.ndarray:
        theta = pd.DataFrame(np.exp(log_theta), columns=list(prior))
        sigma = theta[["sigma_hare", "sigma_lynx"]].to_numpy()
        mean = model["log_populations"](theta, steps_per_year=100)
        residuals = (log_counts - mean) / sigma[:, :, np.newaxis]
        log_likelihood = -(residuals**2).sum(axis=(1, 2)) / 2 - 21 * np.log(sigma).sum(axis=1)
        log_prior = sum(prior[name].logpdf(theta[name]) for name in prior)
        return log_likelihood + log_prior + log_theta.sum(axis=1)

    return log_posterior


def group_r_hat(chain: np.ndarray, n_groups: int = 8) -> np.ndarray:
    """Compare groups of walkers, each taken as one chain, in (steps, walkers, D): R-hat, (D,)."""
    groups = np.array(np.split(chain, n_groups, axis=1)).reshape(n_groups, -1, chain.shape[2])
    between = groups.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt(1 + between / groups.var(axis=1).mean(axis=0))


def sample_exactly(model: dict, n_walkers: int = 800, n_steps: int = 1_000) -> pd.DataFrame:
    """Draw from the exact posterior by emcee and check that the walkers have mixed."""
    emcee = pytest.importorskip("emcee")
    random = np.random.RandomState(0)
    names = list(model["prior"])
    start = np.log(list(STAN.values())) + 0.1 * random.standard_normal((n_walkers, len(names)))
    moves = [(emcee.moves.DEMove(), 0.9), (emcee.moves.DESnookerMove(), 0.1)]
    sampler = emcee.EnsembleSampler(
        n_walkers, len(names), exact_log_posterior(model), vectorize=True, moves=moves
    )
    initial = emcee.State(start, random_state=random.get_state())
    sampler.run_mcmc(initial, n_steps, skip_initial_state_check=True)
    chain = sampler.get_chain(discard=n_steps // 3)
    assert group_r_hat(chain).max() < 1.01
    return pd.DataFrame(np.exp(chain.reshape(-1, len(names))), columns=names)


@pytest.fixture(scope="module")
def exact(model) -> pd.DataFrame:
    """Sample the exact posterior once."""
    return sample_exactly(model)


@pytest.mark.slow
def test_the_exact_posterior_is_the_one_that_carpenter_published(exact):
    pd.testing.assert_series_equal(exact.mean(), pd.Series(STAN), rtol=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_example_agrees_with_the_exact_posterior(exact, seed, tmp_path, monkeypatch):
    monkeypatch.setenv("SKSBI_OUTPUT", str(tmp_path))
    source = EXAMPLE.read_text(encoding="utf-8")
    at = source.index("sksbi.SequentialInference(\n")
    source = source[:at] + source[at:].replace("random_state=0", f"random_state={seed}", 1)
    example = {"__name__": "lynx_hare"}
    exec(compile(source, str(EXAMPLE), "exec"), example)
    assert {path.name for path in tmp_path.iterdir()} == {
        "lynx_hare_posterior.png",
        "lynx_hare_predictive.png",
    }
    draws = example["rounds"].sample(n_samples=20_000, random_state=1)
    shift = (draws.mean() - exact.mean()) / exact.std()
    ratio = draws.std() / exact.std()
    print("\n", pd.DataFrame({"shift": shift, "sd ratio": ratio}).round(2))
    reference = exact.sample(10_000, random_state=0)
    score = c2st_score(draws[:10_000], reference)
    print("C2ST", round(score, 3))
    assert (shift.abs() <= 0.5).all(), shift
    assert ratio.between(1 / 1.4, 1.4).all(), ratio
    assert score <= 0.62
