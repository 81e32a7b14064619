"""
Accuracy of rounds: C2ST of SequentialInference, for one observation at a time.

    export SBIBM_WHEEL=build/sbibm-1.1.0-py2.py3-none-any.whl
    python tests/benchmarks/rounds.py two_moons,slcp 1000,10000 --rounds 5 --estimator NPE

The budget is that of all rounds together. Each cell (task, budget, rounds, estimator, options,
seed, observation) adds one JSON line to the output, with the table of rounds; cells that are there
are not run again. Tasks, observations and reference draws are as in accuracy.py.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import ESTIMATORS, provenance, read_lines, warm_up
from sbibm_tasks import TASKS, Wheel, make_task

from sksbi import SequentialInference
from sksbi.metrics import c2st_score


def run_cell(cell: dict, wheel: Wheel, n_jobs: int) -> dict:
    """Run the rounds, draw and compare."""
    task = make_task(cell["task"], wheel)
    observed = wheel.observation(cell["task"], cell["observation"])
    options = json.loads(cell["options"])
    estimator = ESTIMATORS[cell["estimator"]](task.prior, **options.pop("estimator", {}))
    counts = np.diff(np.linspace(0, cell["budget"], cell["rounds"] + 1).round().astype(int))
    rounds = SequentialInference(
        estimator,
        task.simulator,
        n_simulations=counts.tolist(),
        vectorized=True,
        random_state=cell["seed"],
        **options,
    )
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rounds.fit(observed)
        seconds = time.perf_counter() - start
        draws = np.asarray(rounds.sample(n_samples=cell["n_draws"], random_state=cell["seed"]))
    reference = wheel.draws(cell["task"], cell["observation"])[: cell["n_draws"]]
    return cell | {
        "c2st": round(c2st_score(draws, reference, n_jobs=n_jobs), 4),
        "seconds": round(seconds - rounds.rounds_["simulate_seconds"].sum(), 1),
        "table": json.loads(rounds.rounds_.round(4).to_json(orient="split")),
        "warnings": sorted({str(one.message)[:100] for one in caught}),
        **provenance(),
    }


def table(lines: list[dict]) -> str:
    """Make a Markdown table of means over observations and seeds."""
    frame = pd.DataFrame(lines)
    by = ["estimator", "options", "rounds", "budget"]
    rows = ["| estimator | rounds | simulations | task | runs | C2ST | seconds |", "|---" * 7 + "|"]
    for (name, options, rounds, budget), group in frame.groupby(by):
        label = name if options == "{}" else f"{name} `{options}`"
        means = group.groupby("task")[["c2st", "seconds"]].mean().reindex(TASKS).dropna()
        sizes = group.groupby("task").size()
        for task, row in means.iterrows():
            numbers = f"{sizes[task]} | {row['c2st']:.3f} | {row['seconds']:.0f} |"
            rows.append(f"| {label} | {rounds} | {budget} | {task} | {numbers}")
        if len(means) > 1:
            mean, seconds = means.mean()
            rows.append(
                f"| {label} | {rounds} | {budget} | mean of {len(means)} | | {mean:.3f} "
                f"| {seconds:.0f} |"
            )
    return "\n".join(rows)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("tasks", nargs="?", default=",".join(TASKS))
    parser.add_argument("budgets", nargs="?", default="1000")
    parser.add_argument("--estimator", default="NPE", choices=sorted(ESTIMATORS))
    parser.add_argument(
        "--options", default="{}", help="of SequentialInference as JSON; 'estimator': its own"
    )
    parser.add_argument("--rounds", default="5")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--observations", default="1,2,3,4,5")
    parser.add_argument("--n-draws", type=int, default=10_000, help="at most 10,000")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes for the folds of C2ST")
    parser.add_argument("--output", type=Path, default=Path("build/rounds.jsonl"))
    parser.add_argument("--wheel", default=os.environ.get("SBIBM_WHEEL"))
    arguments = parser.parse_args()
    if arguments.wheel is None:
        parser.error("--wheel is needed, or the environment variable SBIBM_WHEEL")
    return arguments


def main() -> None:
    """Run the cells that are asked for and print the table."""
    arguments = parse()
    warm_up()
    wheel = Wheel(arguments.wheel)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    options = json.dumps(json.loads(arguments.options), sort_keys=True)
    cells = [
        {
            "task": task,
            "budget": int(budget),
            "rounds": int(rounds),
            "estimator": arguments.estimator,
            "options": options,
            "seed": int(seed),
            "observation": int(observation),
            "n_draws": arguments.n_draws,
        }
        for budget in arguments.budgets.split(",")
        for rounds in arguments.rounds.split(",")
        for seed in arguments.seeds.split(",")
        for observation in arguments.observations.split(",")
        for task in arguments.tasks.split(",")
    ]
    for cell in cells:
        if any(cell.items() <= line.items() for line in read_lines(arguments.output)):
            continue
        line = run_cell(cell, wheel, arguments.n_jobs)
        print(json.dumps(line), flush=True)
        with arguments.output.open("a") as file:
            file.write(json.dumps(line) + "\n")
    print(table(read_lines(arguments.output)))


if __name__ == "__main__":
    main()
