"""
How long real inputs take: slow simulators, many observations, many trials, marginals without ppf.

``python tests/benchmarks/real_inputs.py [NAME ...] [--beside DIR]`` measures the package that is
found first, and prints a table of names and median seconds; without names all of them. With
``--beside`` it measures the checkout in DIR too, in a process of its own, and prints both and
their ratio. Run it with OMP_NUM_THREADS=1 on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from scipy import stats

HERE = Path(__file__).resolve()
Task = Callable[[], object]


def slow(theta, rng):
    """Simulate for a twentieth of a second."""
    time.sleep(0.05)
    return rng.normal(theta["a"])


def cheap(theta, rng):
    """Simulate at once."""
    return rng.normal(theta["a"])


@cache
def normal_pairs(n: int, n_columns: int, seed: int = 0):
    """Simulate pairs of a Gaussian without a loop."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, n_columns))
    return theta, theta + rng.normal(size=theta.shape)


def normal_prior(n_columns: int) -> list:
    """Give a standard normal prior."""
    return [stats.norm()] * n_columns


@cache
def fitted_npe(n_columns: int):
    """Fit NPE for few epochs."""
    from sksbi import NPE

    npe = NPE(normal_prior(n_columns), max_epochs=5, random_state=0)
    return npe.fit(*normal_pairs(2_000, n_columns))


@cache
def fitted_nre():
    """Fit NRE for few epochs."""
    from sksbi import NRE

    nre = NRE(normal_prior(2), max_epochs=5, random_state=0)
    return nre.fit(*normal_pairs(2_000, 2))


@cache
def fitted_trees():
    """Fit ClassifierRatio."""
    from sksbi import ClassifierRatio

    ratio = ClassifierRatio(prior=normal_prior(1), random_state=0)
    return ratio.fit(*normal_pairs(3_000, 1))


@cache
def fitted_directions():
    """Fit NPE to a direction, whose prior finds quantiles by a search."""
    from sksbi import NPE

    prior = {"a": stats.vonmises_line(2.0)}
    theta = stats.vonmises_line(2.0).rvs((2_000, 1), random_state=0)
    x = theta + np.random.default_rng(0).normal(0, 0.3, theta.shape)
    return NPE(prior, max_epochs=5, random_state=0).fit(theta, x)


def simulated(simulator: Callable, n: int, **options: object) -> Task:
    """Simulate n rows."""
    from sksbi import simulate

    return lambda: simulate(simulator, {"a": stats.norm()}, n, random_state=0, **options)


def scorer() -> Task:
    """Score 2,000 rows by the scorer."""
    from sksbi.metrics import get_scorer

    npe, score = fitted_npe(2), get_scorer("log_prob")
    return lambda: score(npe, *normal_pairs(2_000, 2, 1))


def score() -> Task:
    """Score 2,000 rows by the estimator."""
    npe = fitted_npe(2)
    return lambda: npe.score(*normal_pairs(2_000, 2, 1))


def three_scorers() -> Task:
    """Cross-validate with three scorers."""
    from sklearn.model_selection import cross_validate

    from sksbi import NPE
    from sksbi.metrics import get_scorer, get_scorer_names

    npe = NPE(normal_prior(2), max_epochs=2, random_state=0)
    scoring = {name: get_scorer(name) for name in get_scorer_names()[:3]}
    return lambda: cross_validate(npe, *normal_pairs(500, 2), scoring=scoring, cv=2)


def regressor() -> Task:
    """Predict 500 rows."""
    from sksbi import NPE, PosteriorRegressor

    theta, x = normal_pairs(2_000, 2)
    fitted = PosteriorRegressor(NPE(normal_prior(2), max_epochs=5), random_state=0).fit(x, theta)
    return lambda: fitted.predict(x[:500])


def npe_map() -> Task:
    """Find 200 modes in five dimensions."""
    npe = fitted_npe(5)
    return lambda: npe.map(normal_pairs(200, 5, 1)[1])


def nre_map() -> Task:
    """Find 20 modes of a ratio."""
    nre = fitted_nre()
    return lambda: nre.map(normal_pairs(20, 2, 1)[1])


def vonmises_map() -> Task:
    """Find a mode under a prior whose quantiles are searched for."""
    npe = fitted_directions()
    return lambda: npe.map([0.3])


def vonmises_draws() -> Task:
    """Draw under such a prior."""
    npe = fitted_directions()
    return lambda: npe.sample([0.3], 10_000)


def trials(n: int) -> Task:
    """Draw given many trials."""
    x = np.random.default_rng(1).normal(0.3, 1, (n, 1))
    trees = fitted_trees()
    return lambda: trees.sample(x, 1_000, iid=True)


def npe_fit() -> Task:
    """Fit NPE to 3,000 rows."""
    from sksbi import NPE

    return lambda: NPE(normal_prior(2), random_state=0).fit(*normal_pairs(3_000, 2))


# What is measured, and how often.
TASKS: dict[str, tuple[Callable[[], Task], int]] = {
    "simulate_slow": (lambda: simulated(slow, 200, n_jobs=1), 1),
    "simulate_slow_2": (lambda: simulated(slow, 200, n_jobs=2), 3),
    "simulate_slow_2_chunks": (lambda: simulated(slow, 200, n_jobs=2, chunk_size=10), 3),
    "simulate_cheap": (lambda: simulated(cheap, 10_000), 3),
    "scorer_log_prob": (scorer, 3),
    "score": (score, 5),
    "three_scorers": (three_scorers, 3),
    "regressor_predict": (regressor, 3),
    "npe_map": (npe_map, 1),
    "nre_map": (nre_map, 3),
    "vonmises_map": (vonmises_map, 3),
    "vonmises_draws": (vonmises_draws, 3),
    "trials_100": (lambda: trials(100), 3),
    "trials_1000": (lambda: trials(1_000), 1),
    "npe_fit": (npe_fit, 3),
}


def measure(name: str) -> float:
    """Take the median of the seconds that a task takes, without what it needs first."""
    make, repeats = TASKS[name]
    task, seconds = make(), []
    if name.endswith(("score", "draws")):
        task()
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def measure_all(names: list[str]) -> dict[str, float]:
    """Measure tasks in this process, NaN for what fails."""
    warnings.simplefilter("ignore")
    found = {}
    for name in names:
        try:
            found[name] = measure(name)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            found[name] = float("nan")
    return found


def measure_beside(names: list[str], root: Path) -> dict[str, float]:
    """Measure tasks with the package of another checkout, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE), "--json", *names],
        env=os.environ | {"PYTHONPATH": str(root)},
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time real inputs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TASKS))
    parser.add_argument("--beside", type=Path, metavar="DIR")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.names or list(TASKS)
    if unknown := sorted({*names} - {*TASKS}):
        parser.error(f"no such name: {', '.join(unknown)}")
    here = measure_all(names)
    if options.json:
        print(json.dumps(here))
        return
    if options.beside is None:
        print(f"{'name':26}{'seconds':>12}")
        for name in names:
            print(f"{name:26}{here[name]:12.4g}")
        return
    beside = measure_beside(names, options.beside.resolve())
    print(f"{'name':26}{'here, s':>12}{'beside, s':>12}{'ratio':>10}")
    for name in names:
        print(f"{name:26}{here[name]:12.4g}{beside[name]:12.4g}{here[name] / beside[name]:10.3f}")


if __name__ == "__main__":
    main()
