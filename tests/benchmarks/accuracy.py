"""
Accuracy: C2ST between an estimator's draws and sbibm's reference posteriors (0.5 is perfect).

    python tests/benchmarks/accuracy.py two_moons,slcp 1000,10000 --wheel build/sbibm-1.1.0*.whl

Observations and reference draws are read from the wheel of sbibm (Benchmarking simulation-based
inference, Lueckmann et al., 2021, https://arxiv.org/abs/2101.04653). Each cell (task, budget,
estimator, seed) adds one JSON line to the output, with the C2ST for every observation and wall
seconds of fit and of drawing; cells that are there are not run again. A table ends the run.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

import sksbi
from sksbi.datasets import load_task
from sksbi.exceptions import SimulationWarning
from sksbi.metrics import c2st_score

TASKS = (
    "two_moons",
    "gaussian_mixture",
    "slcp",
    "gaussian_linear",
    "gaussian_linear_uniform",
    "sir",
    "lotka_volterra",
)
N_DRAWS = 10_000
SIMULATION_SEED = 1000


def estimators() -> dict[str, object]:
    """Name the estimators that can be measured."""
    return {"NPE": sksbi.NPE}


class References:
    """Observations and reference draws in the wheel of sbibm."""

    def __init__(self, wheel: str) -> None:
        self.wheel = zipfile.ZipFile(wheel)

    def _read(self, task: str, observation: int, name: str) -> np.ndarray:
        path = f"sbibm/tasks/{task}/files/num_observation_{observation}/{name}"
        compression = "bz2" if name.endswith("bz2") else None
        table = pd.read_csv(io.BytesIO(self.wheel.read(path)), compression=compression)
        return table.to_numpy(float)

    def observation(self, task: str, observation: int) -> np.ndarray:
        """Read one observation, shape (L,)."""
        return self._read(task, observation, "observation.csv")[0]

    def draws(self, task: str, observation: int) -> np.ndarray:
        """Read the reference draws, shape (10_000, D)."""
        return self._read(task, observation, "reference_posterior_samples.csv.bz2")


def run_cell(cell: dict, observations: list[int], references: References, n_jobs: int) -> dict:
    """Simulate, fit, draw and compare."""
    task = load_task(cell["task"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulationWarning)
        theta, x = task.simulate(cell["budget"], random_state=SIMULATION_SEED + cell["seed"])
    estimator = estimators()[cell["estimator"]](
        task.prior, random_state=cell["seed"], **json.loads(cell["options"])
    )
    start = time.perf_counter()
    estimator.fit(np.asarray(theta), np.asarray(x))
    fit_seconds = time.perf_counter() - start
    start = time.perf_counter()
    observed = np.array([references.observation(cell["task"], i) for i in observations])
    draws = estimator.sample(observed, N_DRAWS)
    draw_seconds = (time.perf_counter() - start) / len(observations)
    scores = [
        c2st_score(one, references.draws(cell["task"], i), n_jobs=n_jobs)
        for one, i in zip(draws, observations, strict=True)
    ]
    return cell | {
        "epochs": len(estimator.history_),
        "valid_loss": float(estimator.history_["valid_loss"].min()),
        "fit_seconds": round(fit_seconds, 1),
        "draw_seconds": round(draw_seconds, 2),
        "c2st": [round(score, 4) for score in scores],
        "mean": round(float(np.mean(scores)), 4),
    }


def read_lines(path: Path) -> list[dict]:
    """Read the cells that are there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(lines: list[dict]) -> str:
    """Make a Markdown table of mean C2ST, averaged over seeds."""
    frame = pd.DataFrame(lines)
    keys = ["task", "budget", "estimator", "options"]
    means = frame.groupby(keys)[["mean", "fit_seconds", "draw_seconds"]].mean().round(3)
    rows = [
        "| task | simulations | estimator | C2ST | fit, s | 10,000 draws, s |",
        "|---" * 6 + "|",
    ]
    for (task, budget, estimator, options), row in means.iterrows():
        name = estimator if options == "{}" else f"{estimator} {options}"
        cells = [task, budget, name, row["mean"], row["fit_seconds"], row["draw_seconds"]]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run the cells that are asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("tasks", nargs="?", default=",".join(TASKS))
    parser.add_argument("budgets", nargs="?", default="10000")
    parser.add_argument("--estimator", default="NPE", choices=sorted(estimators()))
    parser.add_argument("--options", default="{}", help="the estimator's parameters, as JSON")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--observations", default="1,2,3,4,5")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes for the folds of C2ST")
    parser.add_argument("--output", type=Path, default=Path("build/accuracy.jsonl"))
    parser.add_argument(
        "--wheel", default=os.environ.get("SBIBM_WHEEL"), help="pip download --no-deps sbibm==1.1.0"
    )
    arguments = parser.parse_args()
    if arguments.wheel is None:
        parser.error("--wheel is needed, or the environment variable SBIBM_WHEEL")
    references = References(arguments.wheel)
    observations = [int(i) for i in arguments.observations.split(",")]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for seed in map(int, arguments.seeds.split(",")):
        for budget in map(int, arguments.budgets.split(",")):
            for task in arguments.tasks.split(","):
                cell = {"task": task, "budget": budget, "estimator": arguments.estimator}
                cell |= {"seed": seed, "options": arguments.options}
                there = read_lines(arguments.output)
                if any(cell.items() <= line.items() for line in there):
                    continue
                line = run_cell(cell, observations, references, arguments.n_jobs)
                print(json.dumps(line), flush=True)
                with arguments.output.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    print(table(read_lines(arguments.output)))


if __name__ == "__main__":
    main()
