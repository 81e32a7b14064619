"""
Wide x: estimators against exact posteriors, on curves, spectra, counts, series and an image.

    python tests/benchmarks/wide.py decay_100,chirp --estimators NPE,NRE --seeds 0,1

The problems are those of wide_problems.py, which has their exact posteriors. At 200 observations,
simulated from the prior, an estimator is compared with them: nats by which the log-density of the
true theta falls short of the exact one, the ratio of deviations (geometric mean over observations
and parameters, and the worst parameter's), how far means are off (root mean square, in exact
deviations, the worst parameter's), and how often central 90% intervals hold theta. Every cell
(problem, estimator, options, seed) adds one JSON line to the output; those that are there are not
run again. A table ends it.

For sbi beside sksbi in one run, take the environment that accuracy.py describes:

    build/peers/bin/python tests/benchmarks/wide.py --estimators NPE,sbi_npe

Draws and densities of sbi_npe are those of its density, outside the prior, too, as the rejection
that follows does not end on some of the problems.

    python tests/benchmarks/wide.py ar_100,states_100 --check

compares the exact posteriors themselves with Markov chain Monte Carlo by emcee.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import find_estimator, provenance, read_lines, warm_up
from wide_problems import PROBLEMS, Problem

from sksbi.exceptions import MisspecificationWarning, TrainingWarning

N_OBSERVATIONS, OBSERVATION_SEED, N_DRAWS = 200, 777, 1_000
NORMALISED = {"NPE", "sbi_npe"}
MOST_NATS = 50.0
WALKERS, STEPS = 32, 3_000


def exact_posteriors(name: str, folder: Path) -> dict[str, np.ndarray]:
    """Compute, or read again, observations and what is exact about their posteriors."""
    path = folder / f"wide_{name}.npz"
    if path.exists():
        return dict(np.load(path))
    problem = PROBLEMS[name]()
    theta, x = problem.joint(N_OBSERVATIONS, OBSERVATION_SEED)
    exact = [problem.exact(theta[i], x[i], i) for i in range(len(x))]
    log_p = [problem.log_likelihood(theta[i : i + 1], x[i])[0] for i in range(len(x))]
    result = {
        "theta": theta,
        "x": x,
        "mean": np.array([e.mean for e in exact]),
        "sd": np.array([e.sd for e in exact]),
        "log_prob": problem.log_prior(theta) + log_p - [e.log_evidence for e in exact],
    }
    np.savez(path, **result)
    return result


def measure(estimator: object, name: str, exact: dict[str, np.ndarray]) -> dict:
    """Compare draws and densities with what is exact."""
    theta, x = exact["theta"], exact["x"]
    draw = getattr(estimator, "sample_many", estimator.sample)
    draws = np.asarray(draw(x, N_DRAWS, random_state=1)).reshape(len(x), N_DRAWS, -1)
    ratio = np.exp(np.log(draws.std(axis=1) / exact["sd"]).mean(axis=0))
    off = np.sqrt((((draws.mean(axis=1) - exact["mean"]) / exact["sd"]) ** 2).mean(axis=0))
    below = (draws < theta[:, None]).mean(axis=1)
    gap = np.full(1, np.nan)
    if name in NORMALISED:
        gap = (exact["log_prob"] - estimator.log_prob(theta, x)).clip(-MOST_NATS, MOST_NATS)
    return {
        "nats": round(float(gap.mean()), 3),
        "nats_error": round(float(gap.std() / np.sqrt(len(gap))), 3),
        "sd_ratio": round(float(np.exp(np.log(ratio).mean())), 3),
        "sd_ratio_worst": round(float(ratio[np.abs(np.log(ratio)).argmax()]), 3),
        "mean_off": round(float(off.max()), 3),
        "coverage": round(float(((below > 0.05) & (below < 0.95)).mean()), 3),
    }


def run_cell(cell: dict, exact: dict[str, np.ndarray]) -> dict:
    """Simulate, fit, and compare."""
    problem = PROBLEMS[cell["problem"]]()
    theta, x = problem.joint(cell["budget"], cell["seed"])
    make = find_estimator(cell["estimator"])
    estimator = make(problem.prior, random_state=cell["seed"], **json.loads(cell["options"]))
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", TrainingWarning)
        warnings.simplefilter("always", MisspecificationWarning)
        estimator.fit(theta, x)
        seconds = time.perf_counter() - start
        result = measure(estimator, cell["estimator"], exact)
    said = [str(one.message) for one in caught]
    return cell | result | {"fit_seconds": round(seconds, 1), "said": said} | provenance()


def table(lines: list[dict]) -> str:
    """Make a Markdown table of means over seeds."""
    frame = pd.DataFrame(lines)
    values = ["nats", "sd_ratio", "sd_ratio_worst", "mean_off", "coverage", "fit_seconds"]
    keys = ["problem", "budget", "estimator", "options"]
    frame["warned"] = frame["said"].map(bool)
    groups = frame.groupby(keys, sort=False)
    means = groups[values].mean().assign(seeds=groups.size(), warned=groups["warned"].sum())
    rows = [
        "| problem | simulations | estimator | seeds | nats short | sd ratio | worst | mean off "
        "| coverage | fit, s | warned |",
        "|---" * 11 + "|",
    ]
    for (problem, budget, estimator, options), row in means.iterrows():
        name = estimator if options == "{}" else f"{estimator} `{options}`"
        numbers = ["" if np.isnan(row[v]) else f"{row[v]:.3g}" for v in values]
        shown = [problem, budget, name, int(row["seeds"]), *numbers, int(row["warned"])]
        rows.append("| " + " | ".join(map(str, shown)) + " |")
    versions = frame["versions"].map(lambda v: ", ".join(f"{k} {n}" for k, n in v.items())).unique()
    return "\n".join([*rows, "", *versions, f"revisions {', '.join(frame['revision'].unique())}"])


def check(name: str, exact: dict[str, np.ndarray], n: int = 5) -> str:
    """Compare exact means and deviations with those of emcee's chains, for n observations."""
    import emcee

    problem = PROBLEMS[name]()
    shifts, ratios = [], []
    for i in range(n):
        start = problem.to_z(exact["theta"][i : i + 1])
        chain = _chain(emcee, problem, exact["x"][i], start, i)
        shifts.append((chain.mean(axis=0) - exact["mean"][i]) / exact["sd"][i])
        ratios.append(chain.std(axis=0) / exact["sd"][i])
    return (
        f"{name}: of {n} observations, means differ by up to {np.abs(shifts).max():.3f} deviations,"
        f" and ratios of deviations are {np.min(ratios):.3f} to {np.max(ratios):.3f}"
    )


def _chain(emcee: object, problem: Problem, x: np.ndarray, start: np.ndarray, i: int) -> np.ndarray:
    """Draw theta from one posterior, in the space where the prior is standard normal."""
    rng = np.random.default_rng(i)

    def log_target(z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            log_p = problem.log_likelihood(problem.to_theta(z), x) - 0.5 * (z**2).sum(axis=1)
        return np.where(np.isfinite(log_p), log_p, -np.inf)

    walkers = start + 0.01 * rng.standard_normal((WALKERS, start.shape[1]))
    sampler = emcee.EnsembleSampler(WALKERS, start.shape[1], log_target, vectorize=True)
    state = emcee.State(walkers, random_state=np.random.RandomState(i).get_state())
    sampler.run_mcmc(state, STEPS)
    return problem.to_theta(sampler.get_chain(discard=STEPS // 3, flat=True))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("problems", nargs="?", default=",".join(PROBLEMS))
    parser.add_argument("--estimators", default="NPE", help="NPE, NRE, sbi_npe")
    parser.add_argument("--options", default="{}", help="the estimators' parameters, as JSON")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=int, help="simulations, instead of the problem's own")
    parser.add_argument("--check", action="store_true", help="compare the exact with emcee")
    parser.add_argument("--output", type=Path, default=Path("build/wide.jsonl"))
    arguments = parser.parse_args()
    unknown = set(arguments.problems.split(",")) - set(PROBLEMS)
    if unknown:
        parser.error(f"unknown problems {sorted(unknown)}: take some of {', '.join(PROBLEMS)}")
    return arguments


def cells(arguments: argparse.Namespace) -> Iterator[dict]:
    """List what is asked for, the estimators in turn."""
    options = json.dumps(json.loads(arguments.options), sort_keys=True)
    for problem in arguments.problems.split(","):
        budget = arguments.budget or PROBLEMS[problem]().n_simulations
        for seed in map(int, arguments.seeds.split(",")):
            for estimator in arguments.estimators.split(","):
                cell = {"problem": problem, "budget": budget, "estimator": estimator}
                yield cell | {"options": options, "seed": seed}


def main() -> None:
    """Run the cells that are asked for and print the table."""
    arguments = parse()
    folder = arguments.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.check:
        for name in arguments.problems.split(","):
            print(check(name, exact_posteriors(name, folder)), flush=True)
        return
    warm_up()
    for cell in cells(arguments):
        if any(cell.items() <= line.items() for line in read_lines(arguments.output)):
            continue
        line = run_cell(cell, exact_posteriors(cell["problem"], folder))
        print(json.dumps(line), flush=True)
        with arguments.output.open("a") as file:
            file.write(json.dumps(line) + "\n")
    print(table(read_lines(arguments.output)))


if __name__ == "__main__":
    main()
