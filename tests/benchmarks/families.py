"""
Does the scorer "log_prob" choose the family that is best? A search over NPE, NLE and NRE on tasks
of sbibm, beside the C2ST of each to the reference posteriors.

    export SBIBM_WHEEL=build/sbibm-1.1.0-py2.py3-none-any.whl
    python tests/benchmarks/families.py two_moons,slcp,sir 2000

Each family is fitted to all simulations but 300, on which it is scored; then each is fitted to all,
and its draws are judged on observations 1 to 3. One line a family: normalised log-density held out,
C2ST, and seconds. Last come 1,000 draws for each of 100 observations, by each family.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import pandas as pd
from accuracy import SIMULATION_SEED, simulate
from sbibm_tasks import Wheel, make_task
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ShuffleSplit

from sksbi import NLE, NPE, NRE
from sksbi.metrics import c2st_score, get_scorer
from sksbi.pipeline import Pipeline

OBSERVATIONS, N_DRAWS, N_TEST = (1, 2, 3), 4_000, 300


def search(families: list, theta: np.ndarray, x: np.ndarray) -> GridSearchCV:
    """Choose a family, as the guide does."""
    return GridSearchCV(
        Pipeline([("estimator", families[0])]),
        {"estimator": families},
        cv=ShuffleSplit(1, test_size=N_TEST, random_state=0),
        scoring=get_scorer("log_prob"),
        refit=False,
        error_score="raise",
    ).fit(theta, x)


def judge(estimator: object, name: str, wheel: Wheel) -> float:
    """Average the C2ST over observations."""
    scores = []
    for i in OBSERVATIONS:
        draws = estimator.sample(wheel.observation(name, i), N_DRAWS, random_state=0)
        scores.append(c2st_score(draws, wheel.draws(name, i)[:N_DRAWS], n_jobs=1))
    return float(np.mean(scores))


def main() -> None:
    """Run the tasks, and print the table."""
    names = sys.argv[1] if len(sys.argv) > 1 else "two_moons,slcp,sir"
    budget = int(sys.argv[2]) if len(sys.argv) > 2 else 2_000
    wheel, rows = Wheel(os.environ["SBIBM_WHEEL"]), []
    for name in names.split(","):
        task = make_task(name, wheel)
        theta, x = simulate(task, budget, SIMULATION_SEED)
        families = [cls(task.prior, random_state=0) for cls in (NPE, NLE, NRE)]
        start = time.perf_counter()
        results = search(families, theta, x).cv_results_
        print(f"{name}: search {time.perf_counter() - start:.0f} s", flush=True)
        for family, score in zip(families, results["mean_test_score"], strict=True):
            row = {"task": name, "family": type(family).__name__, "log_prob": round(score, 3)}
            start = time.perf_counter()
            fitted = clone(family).fit(theta, x)
            row["fit, s"] = round(time.perf_counter() - start, 1)
            row["c2st"] = round(judge(fitted, name, wheel), 3)
            start = time.perf_counter()
            fitted.sample(x[:100], 1_000, random_state=0)
            row["100 x 1,000 draws, s"] = round(time.perf_counter() - start, 1)
            rows.append(row)
            print(row, flush=True)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
