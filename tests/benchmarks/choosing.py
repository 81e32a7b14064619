"""
Which estimator for which x: recipes of docs/choosing.rst in full size, against exact posteriors.

    OMP_NUM_THREADS=1 python tests/benchmarks/choosing.py table,image 1000,10000 --recipes NPE

The kinds of x are those of choosing_problems.py: a table with gaps and categories, two series, an
image, a set of trials and a histogram, each with exact posteriors. At 200 observations, simulated
from the prior, an estimator is compared with them (at the first 50 where draws come from chains or
a classifier): nats by which the log-density of the true theta falls short of the exact one, for
normalised densities; geometric mean of its deviations over the exact ones; what means are off by in
exact deviations, the median over observations of the worst parameter, and the root mean square,
which single observations decide; and how often central 90% intervals hold theta. Seconds are those
of the process (CPU), which other work on the machine moves little; draws are 1,000 for one
observation. Every cell (kind, simulations, recipe, seed) adds one JSON line to the output; those
that are there are not run again. A table ends it.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import provenance, read_lines, warm_up
from choosing_problems import KINDS, Exact
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from sksbi import FMPE, NLE, NPE, NRE, ClassifierRatio, QuantilePosterior
from sksbi.nn import ConvNet1d, ConvNet2d, DeepSet
from sksbi.pipeline import make_pipeline

N_OBSERVATIONS, OBSERVATION_SEED, N_DRAWS = 200, 777, 1_000
N_OF_CHAINS = 50  # what draws by chains, or by a classifier of many candidates, takes its time
MOST = 50.0  # nats
Recipe = Callable[[dict, int], object]


def with_gaps(prior: dict, seed: int) -> object:
    """Encode words, fill gaps, and tell the network where they were."""
    numbers = make_column_selector(dtype_include="number")
    words = make_column_selector(dtype_exclude="number")
    steps = make_column_transformer(
        (SimpleImputer(add_indicator=True), numbers), (OneHotEncoder(sparse_output=False), words)
    )
    return make_pipeline(steps, NPE(prior, random_state=seed))


def by_trees(prior: dict, seed: int) -> ClassifierRatio:
    """Let trees learn the ratio, from gaps and words as they are."""
    trees = HistGradientBoostingClassifier(categorical_features="from_dtype")
    return ClassifierRatio(trees, prior, random_state=seed)


def by_quantiles(prior: dict, seed: int) -> object:
    """Let forests learn quantiles, from gaps as they are and encoded words."""
    words = make_column_selector(dtype_exclude="number")
    steps = make_column_transformer(
        (OneHotEncoder(sparse_output=False), words), remainder="passthrough"
    )
    return make_pipeline(steps, QuantilePosterior(prior=prior, random_state=seed))


def by_density(prior: dict, seed: int, **options: object) -> NPE:
    """Let NPE learn the posterior."""
    return NPE(prior, random_state=seed, **options)


class SingleTrials:
    """
    NLE that is fitted to the first trial of every simulation, and asked about all with ``iid``.

    Parameters
    ----------
    prior : dict
        The prior.
    seed : int
        Seeds the fit.
    """

    def __init__(self, prior: dict, seed: int) -> None:
        self.estimator = NLE(prior, random_state=seed)

    def fit(self, theta: np.ndarray, x: np.ndarray) -> SingleTrials:
        """Train on one trial of each simulation."""
        self.estimator.fit(theta, x[:, 0])
        return self

    def sample(self, x: np.ndarray, n_samples: int, *, random_state: int) -> np.ndarray:
        """Draw (m, n_samples, D), or (n_samples, D) for one set of trials."""
        return self.estimator.sample(x, n_samples, iid=True, random_state=random_state)


TRIALS = {
    "NLE, one trial": SingleTrials,
    "NLE, x_trials": lambda prior, seed: NLE(prior, x_trials=True, random_state=seed),
    "NRE, x_trials": lambda prior, seed: NRE(prior, x_trials=True, random_state=seed),
    "NPE, DeepSet": partial(by_density, embedding=partial(DeepSet, out_features=16)),
}
SERIES = {
    "NPE": by_density,
    "NPE, ConvNet1d": partial(by_density, embedding=partial(ConvNet1d, out_features=16)),
}
RECIPES: dict[str, dict[str, Recipe]] = {
    "table": {
        "ClassifierRatio": by_trees,
        "QuantilePosterior": by_quantiles,
        "NPE, imputed": with_gaps,
    },
    "series": SERIES,
    "wave": SERIES,
    "image": {
        "NPE": by_density,
        "NPE, ConvNet2d": partial(by_density, embedding=partial(ConvNet2d, out_features=16)),
    },
    "trials": TRIALS,
    "histogram": {
        "NPE": by_density,
        "FMPE": lambda prior, seed: FMPE(prior, random_state=seed),
        "NLE": lambda prior, seed: NLE(prior, random_state=seed),
    },
}


def exact_posteriors(kind: str, folder: Path) -> Exact:
    """Compute, or read again, observations and what is exact about their posteriors."""
    path = folder / f"choosing_{kind}.pickle"
    if not path.exists():
        pd.to_pickle(KINDS[kind]().exact(N_OBSERVATIONS, OBSERVATION_SEED), path)
    return pd.read_pickle(path)


def measure(estimator: object, exact: Exact, *, normalised: bool) -> dict:
    """Compare draws and densities with what is exact."""
    start, n = time.process_time(), len(exact.theta)
    draws = estimator.sample(exact.x, N_DRAWS, random_state=1)
    seconds = (time.process_time() - start) / n
    draws = np.asarray(draws).reshape(n, N_DRAWS, -1)
    ratio = np.exp(np.log(draws.std(axis=1) / exact.sd).mean())
    off = np.abs(draws.mean(axis=1) - exact.mean) / exact.sd
    below = (draws < exact.theta[:, None]).mean(axis=1)
    gap = np.full(1, np.nan)
    if normalised:
        gap = (exact.log_prob - estimator.log_prob(exact.theta, exact.x)).clip(-MOST, MOST)
    return {
        "nats": round(float(gap.mean()), 3) if normalised else None,
        "sd_ratio": round(float(ratio), 3),
        "mean_off": round(float(np.median(off, axis=0).max()), 3),
        "mean_off_rms": round(float(np.sqrt((off**2).mean(axis=0)).max()), 3),
        "coverage": round(float(((below > 0.05) & (below < 0.95)).mean()), 3),
        "draw_seconds": round(seconds, 4),
    }


def run_cell(cell: dict, exact: Exact) -> dict:
    """Simulate, fit, and compare."""
    problem = KINDS[cell["kind"]]()
    theta, x = problem.joint(cell["budget"], cell["seed"])
    estimator = RECIPES[cell["kind"]][cell["recipe"]](problem.prior, cell["seed"])
    normalised = not cell["recipe"].startswith(("NLE", "NRE", "ClassifierRatio"))
    exact = exact if normalised else exact.first(N_OF_CHAINS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start, wall = time.process_time(), time.perf_counter()
        estimator.fit(theta, x)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
        result = measure(estimator, exact, normalised=normalised)
    said = sorted({str(one.message) for one in caught})
    seconds = {"fit_seconds": round(seconds, 1), "fit_wall": round(wall, 1)}
    return cell | result | seconds | {"said": said} | provenance()


def table(lines: list[dict]) -> str:
    """Make a table in reStructuredText, of means over seeds."""
    values = ["nats", "sd_ratio", "mean_off", "coverage", "fit_seconds", "draw_seconds"]
    frame = pd.DataFrame(lines).astype(dict.fromkeys(values, float))
    means = frame.groupby(["kind", "recipe", "budget"], sort=False)[values].mean().reset_index()
    rows = [["x", "Recipe", "Simulations", "Nats", "Width", "Mean off", "Coverage", "Fit, s"]]
    rows[0].append("1,000 draws, s")
    for _, row in means.iterrows():
        shown = ["" if np.isnan(row[v]) else f"{row[v]:.2f}" for v in values[:4]]
        seconds = [f"{row['fit_seconds']:.0f}", f"{row['draw_seconds']:.3f}"]
        rows.append([row["kind"], row["recipe"], f"{row['budget']:,}", *shown, *seconds])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    body = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([rule, body[0], rule, *body[1:], rule])


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("kinds", nargs="?", default=",".join(KINDS))
    parser.add_argument("budgets", nargs="?", default="1000,10000")
    parser.add_argument("--recipes", help="names, separated by semicolons; the default is all")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--output", type=Path, default=Path("build/choosing.jsonl"))
    arguments = parser.parse_args()
    unknown = set(arguments.kinds.split(",")) - set(KINDS)
    if unknown:
        parser.error(f"unknown kinds {sorted(unknown)}: take some of {', '.join(KINDS)}")
    return arguments


def cells(arguments: argparse.Namespace) -> Iterator[dict]:
    """List what is asked for."""
    chosen = arguments.recipes and arguments.recipes.split(";")
    for seed in map(int, arguments.seeds.split(",")):
        for budget in map(int, arguments.budgets.split(",")):
            for kind in arguments.kinds.split(","):
                for recipe in RECIPES[kind]:
                    if not chosen or recipe in chosen:
                        yield {"kind": kind, "recipe": recipe, "budget": budget, "seed": seed}


def main() -> None:
    """Run the cells that are asked for and print the table."""
    arguments = parse()
    folder = arguments.output.parent
    folder.mkdir(parents=True, exist_ok=True)
    warm_up()
    for cell in cells(arguments):
        if any(cell.items() <= line.items() for line in read_lines(arguments.output)):
            continue
        line = run_cell(cell, exact_posteriors(cell["kind"], folder))
        print(json.dumps(line), flush=True)
        with arguments.output.open("a") as file:
            file.write(json.dumps(line) + "\n")
    print(table(read_lines(arguments.output)))


if __name__ == "__main__":
    main()
