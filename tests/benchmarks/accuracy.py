"""
Accuracy: C2ST between an estimator's draws and sbibm's reference posteriors (0.5 is perfect).

    pip download --no-deps --dest build sbibm==1.1.0
    export SBIBM_WHEEL=build/sbibm-1.1.0-py2.py3-none-any.whl
    python tests/benchmarks/accuracy.py two_moons,slcp 1000,10000 --options '{"flow": "maf"}'

The ten tasks, their observations and reference draws are those of sbibm (Benchmarking
simulation-based inference, Lueckmann et al., 2021, https://arxiv.org/abs/2101.04653). Each cell
(task, simulations, estimator, options, seed) adds one JSON line to the output: the C2ST for every
observation, wall seconds of fit and of drawing for one observation, and for normalised densities
the mean log density of held-out pairs. Cells that are there are not run again. A table ends it.

The estimators of sbi and lampe see the same simulations. They run in an environment of their own;
torch comes first, so that nothing brings another build of it:

    python3 -m venv build/peers
    build/peers/bin/pip install torch==2.13.0
    build/peers/bin/pip install -c constraints.txt sbi lampe
    build/peers/bin/pip install -c constraints.txt -e .
    build/peers/bin/python tests/benchmarks/accuracy.py two_moons 1000 --estimator sbi_npe
    build/peers/bin/python tests/benchmarks/accuracy.py two_moons 1000 --estimator lampe_npe

NRE_trials and NLE_trials are for slcp alone: they are told that its x is four trials. Options of
sbi_npe are those of sbi's NPE, and "train", "posterior" and "sample" for its methods:
'{"density_estimator": "nsf", "train": {"training_batch_size": 100}}'.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sbibm_tasks import LOW_DIMENSIONAL, TASKS, Wheel, make_task

import sksbi
from sksbi.exceptions import SimulationWarning
from sksbi.metrics import c2st_score

SIMULATION_SEED, TEST_SEED, N_TEST = 1000, 2_000_000, 2_000
N_TRIALS = 4


class DeclaredTrials:
    """
    NLE or NRE that is told that x of slcp consists of four independent trials.

    Parameters
    ----------
    estimator : type
        The class.
    prior : object
        The task's prior.
    **options : object
        Parameters.
    """

    def __init__(self, estimator: type, prior: object, **options: object) -> None:
        self.estimator = estimator(prior, x_trials=True, **options)

    def fit(self, theta: np.ndarray, x: np.ndarray) -> object:
        """Train on the trials."""
        self.estimator.fit(theta, x.reshape(len(x), N_TRIALS, -1))
        self.history_ = self.estimator.history_
        return self

    def sample(self, x: np.ndarray, n_samples: int, *, random_state: int) -> np.ndarray:
        """Draw (n_samples, D)."""
        x = np.reshape(x, (N_TRIALS, -1))
        return self.estimator.sample(x, n_samples, random_state=random_state)


def make_quantile_posterior(prior: object, **options: object) -> sksbi.QuantilePosterior:
    """Put the prior where meta-estimators have it."""
    return sksbi.QuantilePosterior(prior=prior, **options)


ESTIMATORS = {
    "NPE": sksbi.NPE,
    "NRE": sksbi.NRE,
    "NLE": sksbi.NLE,
    "FMPE": sksbi.FMPE,
    "NPSE": sksbi.NPSE,
    "AMNPE": sksbi.AMNPE,
    "AMNRE": sksbi.AMNRE,
    "QuantilePosterior": make_quantile_posterior,
    "NRE_trials": partial(DeclaredTrials, sksbi.NRE),
    "NLE_trials": partial(DeclaredTrials, sksbi.NLE),
}
NORMALISED = {"NPE", "FMPE", "NPSE", "AMNPE", "QuantilePosterior"}
LIBRARIES = ("sksbi", "torch", "zuko", "sbi", "lampe")


def find_estimator(name: str) -> Callable:
    """Find an estimator by name; those of other libraries only when they are asked for."""
    if name in ESTIMATORS:
        return ESTIMATORS[name]
    import peers

    if name not in peers.ESTIMATORS:
        names = sorted(ESTIMATORS | peers.ESTIMATORS)
        raise SystemExit(f"--estimator must be one of {names}, got {name!r}.")
    library = name.split("_")[0]
    if importlib.util.find_spec(library) is None:
        raise SystemExit(f"{name} needs {library}: the top of {__file__} says how to install it.")
    return peers.ESTIMATORS[name]


def simulate(task: object, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs from a task, without those that failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SimulationWarning)
        theta, x = task.simulate(n, random_state=seed)
    return np.asarray(theta), np.asarray(x)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError when the block takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done within {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def judge(estimator: object, cell: dict, wheel: Wheel, limit: int, n_jobs: int) -> pd.DataFrame:
    """Draw for every observation: one row each with the score, the seconds, and what went wrong."""
    rows = []
    for i in cell["observations"]:
        observed, note, score = wheel.observation(cell["task"], i), "", None
        start = time.perf_counter()
        try:
            with time_limit(limit):
                draws = estimator.sample(observed, cell["n_draws"], random_state=cell["seed"])
        except TimeoutError as error:
            note = f"observation {i}: {error}"
        seconds = time.perf_counter() - start
        if not note:
            reference = wheel.draws(cell["task"], i)[: cell["n_draws"]]
            score = round(c2st_score(draws, reference, n_jobs=n_jobs), 4)
        rows.append({"score": score, "seconds": seconds, "note": note})
    return pd.DataFrame(rows)


def held_out_log_prob(estimator: object, cell: dict, task: object) -> float | None:
    """Average the log density over held-out pairs, if it is a normalised one."""
    if cell["estimator"] not in NORMALISED:
        return None
    return round(float(np.mean(estimator.log_prob(*simulate(task, N_TEST, TEST_SEED)))), 4)


def provenance() -> dict:
    """Say what was measured, when, and on how many threads."""
    installed = {name: importlib.util.find_spec(name) for name in LIBRARIES}
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {n: importlib.metadata.version(n) for n, spec in installed.items() if spec},
        "revision": revision,
        "threads": torch.get_num_threads(),
    }


def warm_up() -> None:
    """Step an optimizer once, as the first step of all imports half of torch, seconds long."""
    weight = torch.zeros(1, requires_grad=True)
    weight.sum().backward()
    torch.optim.AdamW([weight]).step()


def run_cell(cell: dict, wheel: Wheel, limit: int, n_jobs: int) -> dict:
    """Simulate, fit, draw and compare."""
    source = provenance()
    task = make_task(cell["task"], wheel)
    theta, x = simulate(task, cell["budget"], SIMULATION_SEED + cell["seed"])
    make = find_estimator(cell["estimator"])
    estimator = make(task.prior, random_state=cell["seed"], **json.loads(cell["options"]))
    start = time.perf_counter()
    estimator.fit(theta, x)
    fit_seconds = time.perf_counter() - start
    judged = judge(estimator, cell, wheel, limit, n_jobs)
    mean = judged["score"].astype(float).mean()
    history = getattr(estimator, "history_", pd.DataFrame())
    return cell | {
        "c2st": judged["score"].tolist(),
        "mean": None if np.isnan(mean) else round(mean, 4),
        "fit_seconds": round(fit_seconds, 1),
        "draw_seconds": round(judged["seconds"].mean(), 3),
        "test_log_prob": held_out_log_prob(estimator, cell, task),
        "epochs": len(history),
        "valid_loss": float(history["valid_loss"].min()) if "valid_loss" in history else None,
        "notes": [note for note in judged["note"] if note],
        **source,
    }


def read_lines(path: Path) -> list[dict]:
    """Read the cells that are there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(lines: list[dict]) -> str:
    """Make a Markdown table, averaged over seeds; a star marks an average with gaps."""
    frame = pd.DataFrame(lines)
    values = ["mean", "fit_seconds", "draw_seconds", "test_log_prob"]
    frame[values] = frame[values].astype(float)
    frame["gaps"] = frame["notes"].map(bool)
    n_draws = frame["n_draws"].iloc[0]
    rows = [
        f"| task | simulations | estimator | seeds | C2ST | fit, s | {n_draws} draws, s "
        "| test log density |",
        "|---" * 8 + "|",
    ]
    for (budget, estimator, options), group in frame.groupby(["budget", "estimator", "options"]):
        name = estimator if options == "{}" else f"{estimator} `{options}`"
        tasks = group.groupby("task")
        means = tasks[values].mean().assign(gaps=tasks["gaps"].any(), seeds=tasks.size())
        means = means.reindex([task for task in TASKS if task in means.index])
        for label, row in _with_averages(means):
            numbers = ["" if np.isnan(row[v]) else f"{row[v]:.3f}" for v in values]
            numbers[0] += r"\*" * bool(row["gaps"])
            cells = [label, budget, name, int(row["seeds"]), *numbers]
            rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*rows, "", *_footnotes(frame)])


def _with_averages(means: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Go through the tasks, then the averages over the sets of tasks that are complete."""
    yield from means.iterrows()
    for label, names in (("mean of 8", LOW_DIMENSIONAL), ("mean of 10", TASKS)):
        if set(names) <= set(means.index):
            part = means.loc[list(names)]
            average = part.drop(columns=["gaps", "seeds"]).mean(skipna=False)
            yield label, pd.concat([average, part.agg({"gaps": "any", "seeds": "min"})])


def _footnotes(frame: pd.DataFrame) -> list[str]:
    """Say what was measured and what is missing."""
    sources = {
        f"- {', '.join(f'{name} {version}' for name, version in row.versions.items())}, "
        f"revision {row.revision}, threads: {row.threads}"
        for row in frame.itertuples()
    }
    notes = [
        f"- {row.task}, {row.budget}, {row.estimator}, seed {row.seed}: {'; '.join(row.notes)}"
        for row in frame[frame["gaps"]].itertuples()
    ]
    observations = frame["observations"].iloc[0]
    head = f"Observations {observations}, {frame['date'].min()} to {frame['date'].max()}, with"
    return [head, "", *sorted(sources), *(["", "\\* without:", "", *notes] if notes else [])]


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("tasks", nargs="?", default=",".join(TASKS))
    parser.add_argument("budgets", nargs="?", default="10000")
    parser.add_argument("--estimator", default="NPE", help="NPE, or sbi_npe, lampe_npe, ...")
    parser.add_argument("--options", default="{}", help="the estimator's parameters, as JSON")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--observations", default="1,2,3,4,5")
    parser.add_argument("--n-draws", type=int, default=10_000, help="at most 10,000")
    parser.add_argument("--limit", type=int, default=600, help="seconds of drawing, an observation")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes for the folds of C2ST")
    parser.add_argument("--output", type=Path, default=Path("build/accuracy.jsonl"))
    parser.add_argument(
        "--wheel", default=os.environ.get("SBIBM_WHEEL"), help="pip download --no-deps sbibm==1.1.0"
    )
    arguments = parser.parse_args()
    if arguments.wheel is None:
        parser.error("--wheel is needed, or the environment variable SBIBM_WHEEL")
    unknown = set(arguments.tasks.split(",")) - set(TASKS)
    if unknown:
        parser.error(f"unknown tasks {sorted(unknown)}: take some of {', '.join(TASKS)}")
    return arguments


def cells(arguments: argparse.Namespace) -> Iterator[dict]:
    """List what is asked for."""
    options = json.dumps(json.loads(arguments.options), sort_keys=True)
    observations = [int(i) for i in arguments.observations.split(",")]
    for seed in map(int, arguments.seeds.split(",")):
        for budget in map(int, arguments.budgets.split(",")):
            for task in arguments.tasks.split(","):
                cell = {"task": task, "budget": budget, "estimator": arguments.estimator}
                cell |= {"options": options, "seed": seed}
                yield cell | {"observations": observations, "n_draws": arguments.n_draws}


def main() -> None:
    """Run the cells that are asked for and print the table."""
    arguments = parse()
    find_estimator(arguments.estimator)
    warm_up()
    wheel = Wheel(arguments.wheel)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for cell in cells(arguments):
        if any(cell.items() <= line.items() for line in read_lines(arguments.output)):
            continue
        line = run_cell(cell, wheel, arguments.limit, arguments.n_jobs)
        print(json.dumps(line), flush=True)
        with arguments.output.open("a") as file:
            file.write(json.dumps(line) + "\n")
    alike = {key: cell[key] for key in ("observations", "n_draws")}
    print(table([line for line in read_lines(arguments.output) if alike.items() <= line.items()]))


if __name__ == "__main__":
    main()
