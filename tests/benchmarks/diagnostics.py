"""
Diagnostics: power of the checks, coverage of calibrated regions, agreement with others, speed.

    export OMP_NUM_THREADS=1
    python tests/benchmarks/diagnostics.py power --repetitions 200
    python tests/benchmarks/diagnostics.py conformal --tasks two_moons,slcp --splits 10
    build/peers/bin/pip install deprecation && build/peers/bin/pip install --no-deps tarp==0.1.1
    build/peers/bin/python tests/benchmarks/diagnostics.py agreement
    build/peers/bin/python tests/benchmarks/diagnostics.py speed --observations 1000 --threads 1,2

The last two need sbi and tarp, in the environment that the top of ``accuracy.py`` says how to make.
Each adds JSON lines to the output and ends with a Markdown table. What the first two find there
they do not run again.

- power: how often the checks of ``diagnose``, TARP with references at x, and L-C2ST at one new
  observation find p <= 0.05, for exact and wrong posteriors of theta ~ N(0, 1)^D given
  x = theta + N(0, 0.5^2). Of several parameters one is enough, at 0.05 / D. Contraction has no
  p-value: it counts the verdict that a posterior is hardly narrower than the prior. Errors are
  binomial.
- conformal: how often regions of 50, 80 and 95% hold theta at new pairs, those of
  ``CalibratedPosterior(NPE(prior), cv=0.2)`` and beside them those of its NPE, uncalibrated. With n
  scores and k = ceil((n + 1) level) the number covered of m pairs is beta-binomial, from
  Beta(k, n + 1 - k); that gives the error of the mean over splits, each with its own simulations.
- agreement: functions of ``sksbi.metrics``, of sbi and of tarp on the same draws.
- speed: ``diagnose`` and the same checks in sbi, by posteriors that were trained on the same
  simulations of slcp; the ratio is to the first call of ``diagnose``. sbi draws one by one, or for
  all observations at once if that is quicker; it is stopped as soon as it is not. "As documented":
  three calls, coverage by ``posterior.log_prob``. "Quickest": both kinds of ranks in one call, by
  densities without the normalisation, which ranks do not need.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import accuracy
import numpy as np
import pandas as pd
import torch
from accuracy import SIMULATION_SEED, TEST_SEED, simulate
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from speed import timed

from sksbi import NPE, CalibratedPosterior, diagnose, metrics
from sksbi.datasets import load_task
from sksbi.exceptions import MisspecificationWarning

Array, Compared = np.ndarray, Iterator[tuple[str, float]]
ALPHA, NOISE, DIMENSIONS, LEVELS = 0.05, 0.5, (1, 2, 5), (0.5, 0.8, 0.95)
TASKS = "gaussian_linear,gaussian_linear_uniform,gaussian_mixture,lotka_volterra,sir,slcp,two_moons"


# --- power


class Conjugate:
    """The posterior of theta ~ N(0, 1)^D given x = theta + N(0, 0.5^2), or a wrong one."""

    def __init__(self, width: float = 1.0, shift: float = 0.0, is_prior: bool = False) -> None:
        exact = 1 / np.sqrt(1 + 1 / NOISE**2)
        self.sd = 1.0 if is_prior else width * exact
        self.slope = 0.0 if is_prior else exact**2 / NOISE**2
        self.offset = shift * exact

    def simulate(self, n: int, d: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw pairs (n, d)."""
        theta = rng.standard_normal((n, d))
        return theta, theta + NOISE * rng.standard_normal((n, d))

    def sample(self, x: Array, n: int, random_state: np.random.Generator) -> Array:
        """Draw (m, n, D) for m observations."""
        noise = random_state.standard_normal((len(x), n, x.shape[1]))
        return (self.slope * x + self.offset)[:, None] + self.sd * noise

    def log_prob(self, theta: Array, x: Array) -> Array:
        """Evaluate the density, of theta (m, D) or (m, n, D) at m observations."""
        mean = self.slope * x + self.offset
        mean = mean[:, None] if theta.ndim == 3 else mean
        return stats.norm.logpdf(theta, mean, self.sd).sum(axis=-1)


POSTERIORS = {
    "exact": Conjugate(),
    "width x1.5": Conjugate(width=1.5),
    "width x0.67": Conjugate(width=0.67),
    "shift 0.5 sd": Conjugate(shift=0.5),
    "prior": Conjugate(is_prior=True),
}


def power(arguments: argparse.Namespace) -> Iterator[dict]:
    """Count in how many repetitions each check finds something."""
    sizes = {"repetitions": arguments.repetitions, "local": arguments.local_repetitions}
    sizes |= {"observations": arguments.observations, "n_draws": arguments.n_draws}
    for d in DIMENSIONS:
        for name in POSTERIORS:
            cell = {"part": "power", "D": d, "posterior": name} | sizes
            yield known(arguments.output, cell) or cell | count_findings(cell)


def count_findings(cell: dict) -> dict:
    """Repeat all checks of one posterior."""
    case = POSTERIORS[cell["posterior"]], cell["D"], cell["observations"], cell["n_draws"]
    start = time.perf_counter()
    found = pd.DataFrame([find_all(*case, seed) for seed in range(cell["repetitions"])])
    locally = sum(find_locally(*case, seed) for seed in range(cell["local"]))
    seconds = round(time.perf_counter() - start, 1)
    return {"found": found.sum().astype(int).to_dict() | {"L-C2ST": locally}, "seconds": seconds}


def find_all(posterior: Conjugate, d: int, n: int, n_draws: int, seed: int) -> dict:
    """Tell which checks find something in pairs of this seed."""
    rng = np.random.default_rng([seed, d])
    theta, x = posterior.simulate(n, d, rng)
    table, _ = diagnose(posterior, theta, x, n_samples=n_draws, plot=False, random_state=rng)
    found = {}
    for check in ("ranks", "coverage", "tarp", "z_score"):
        p_values = table["p_value"][check]
        found[check] = bool(p_values.min() <= ALPHA / len(p_values))
    draws = posterior.sample(x, n_draws, random_state=rng)
    ranks = metrics.tarp_ranks(draws, theta, references=x)
    found["tarp at x"] = metrics.uniformity_test(ranks, n_draws) <= ALPHA
    verdicts = table["verdict"]["contraction"]
    return found | {"contraction": bool(verdicts.str.startswith("hardly").any())}


def find_locally(posterior: Conjugate, d: int, n: int, n_draws: int, seed: int) -> bool:
    """Tell whether L-C2ST finds something at a new observation."""
    rng = np.random.default_rng([seed, d, 1])
    theta, x = posterior.simulate(n, d, rng)
    _, observed = posterior.simulate(1, d, rng)
    draws = posterior.sample(x, 1, random_state=rng)
    at_observed = posterior.sample(observed, n_draws, random_state=rng)
    test = metrics.lc2st(theta, x, draws, observed, at_observed, random_state=rng)
    return bool(test.p_value[0] <= ALPHA)


def power_table(lines: list[dict]) -> str:
    """Show powers with their errors."""
    rows = [{"D": line["D"], "posterior": line["posterior"]} for line in lines]
    for row, line in zip(rows, lines, strict=True):
        for check, count in line["found"].items():
            n = max(line["local" if check == "L-C2ST" else "repetitions"], 1)
            error = np.sqrt(count / n * (1 - count / n) / n)
            row[check.replace("_", "-")] = f"{count / n:.3f} ± {error:.3f}"
    return markdown(rows)


# --- conformal


def conformal(arguments: argparse.Namespace) -> Iterator[dict]:
    """Measure the coverage of calibrated regions and plain ones."""
    same = {"part": "conformal", "options": json.dumps(arguments.options, sort_keys=True)}
    same |= {name: getattr(arguments, name) for name in ("simulations", "pairs", "n_draws")}
    for seed in range(arguments.splits):
        for task in arguments.tasks.split(","):
            cell = same | {"task": task, "seed": seed}
            yield known(arguments.output, cell) or cell | cover(cell)


def cover(cell: dict) -> dict:
    """Fit to new simulations, and count how many of new pairs are in the regions."""
    task, seed, n_draws = load_task(cell["task"]), cell["seed"], cell["n_draws"]
    npe = NPE(task.prior, **json.loads(cell["options"]))
    calibrated = CalibratedPosterior(npe, cv=0.2, n_samples=n_draws, random_state=seed)
    pairs = simulate(task, cell["simulations"], SIMULATION_SEED + seed)
    fit_seconds, start = timed(partial(calibrated.fit, *pairs)), time.perf_counter()
    theta, x = simulate(task, cell["pairs"], TEST_SEED + seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MisspecificationWarning)
        held_out = metrics.draw_held_out(calibrated, theta, x, n_draws, random_state=seed)
    # There is one member, so calibrated and plain regions are both the set of theta that at most
    # so many draws exceed in density: one set of draws serves all of them. in_region, which draws
    # the same with the same seed, is asked about the first batch, to be sure.
    ranks = metrics.hpd_ranks(held_out.log_prob_draws, held_out.log_prob_theta)
    allowed = [round(calibrated.nominal_level(level) * n_draws) for level in LEVELS]
    first = slice(0, max(1, 100_000 // n_draws))
    inside = calibrated.in_region(theta[first], x[first], LEVELS[1], random_state=seed)
    return {
        "n_scores": len(calibrated.scores_),
        "n_covered_of": len(ranks),
        "calibrated": [float((ranks <= rank).mean()) for rank in allowed],
        "plain": [float((ranks + 1 <= a * (n_draws + 1) + 1e-9).mean()) for a in LEVELS],
        "otherwise": int((inside != (ranks[first] <= allowed[1])).sum()),
        "fit_seconds": round(fit_seconds, 1),
        "draw_seconds": round(time.perf_counter() - start, 1),
    }


def expected_share(n_scores: int, n_pairs: int, level: float) -> tuple[float, float]:
    """Give mean and variance of the share of pairs in the regions of one split."""
    k = int(np.ceil((n_scores + 1) * level - 1e-9))
    if k > n_scores:  # the region is all of the support
        return 1.0, 0.0
    law = stats.betabinom(n_pairs, k, n_scores + 1 - k)
    return law.mean() / n_pairs, law.var() / n_pairs**2


def conformal_table(lines: list[dict]) -> str:
    """Show average coverages, one row a task and level."""
    groups, otherwise = (
        pd.DataFrame(lines).groupby("task", sort=False),
        [n["otherwise"] for n in lines],
    )
    rows = [{"task": t} | covered(group, j) for t, group in groups for j in range(len(LEVELS))]
    return f"{markdown(rows)}\n\nPairs that in_region saw otherwise: {sum(otherwise)}."


def covered(lines: pd.DataFrame, j: int) -> dict:
    """Average over the splits of a task, at one level."""
    sizes = zip(lines["n_scores"], lines["n_covered_of"], strict=True)
    expected, variances = np.transpose([expected_share(*n, LEVELS[j]) for n in sizes])
    ours, plain = ([shares[j] for shares in lines[name]] for name in ("calibrated", "plain"))
    error, gap = np.sqrt(variances.sum()) / len(lines), abs(np.mean(ours) - expected.mean())
    return {
        "level": f"{LEVELS[j]:.0%}",
        "expected": f"{expected.mean():.3f}",
        "calibrated": f"{np.mean(ours):.3f} ± {error:.3f}",
        "within 3 errors": "yes" if gap <= 3 * error + 1e-9 else "no",
        "plain": f"{np.mean(plain):.3f} ± {stats.sem(plain) if plain[1:] else np.nan:.3f}",
        "splits": len(lines),
    }


# --- agreement


class Replay:
    """Draws that are there, (n_samples, n, D), in the form that sbi asks a posterior for."""

    def __init__(self, draws: Array) -> None:
        self.draws = torch.from_numpy(draws.swapaxes(0, 1).copy())

    def sample_batched(self, *_: object, **__: object) -> torch.Tensor:
        """Give the draws."""
        return self.draws


def agreement(arguments: argparse.Namespace) -> Iterator[dict]:
    """Compare results on the same draws, of a posterior that is right and one that is not."""
    sizes = {"observations": arguments.observations, "n_draws": arguments.n_draws}
    for name in ("exact", "width x1.5"):
        rng, posterior = np.random.default_rng(0), POSTERIORS[name]
        theta, x = posterior.simulate(arguments.observations, 3, rng)
        draws = posterior.sample(x, arguments.n_draws, random_state=rng)
        for compare in (compare_ranks, compare_tarp, compare_classifiers):
            for measure, value in compare(posterior, theta, x, draws):
                line = {"part": "agreement", "posterior": name, "measure": measure}
                yield line | {"value": float(value)} | sizes


def compare_ranks(posterior: Conjugate, theta: Array, x: Array, draws: Array) -> Compared:
    """Compare ranks of parameters and of densities, and their tests."""
    from sbi.diagnostics import check_sbc, run_sbc

    def log_prob(some: torch.Tensor, one_x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(posterior.log_prob(some.numpy(), one_x.numpy()[None]))

    n_draws, pairs = draws.shape[1], (torch.from_numpy(theta), torch.from_numpy(x))
    run = partial(run_sbc, *pairs, Replay(draws), n_draws, show_progress_bar=False)
    theirs, average = run()
    ours = metrics.sbc_ranks(draws, theta)
    yield "SBC ranks: largest difference", np.abs(ours - theirs.numpy()).max()
    densities = posterior.log_prob(draws, x), posterior.log_prob(theta, x)
    # sbi counts the draws that are less dense than theta, sksbi those that are denser.
    denser = n_draws - run(reduce_fns=log_prob)[0].numpy()[:, 0]
    gap = np.abs(metrics.hpd_ranks(*densities) - denser).max()
    yield "HPD ranks, n_draws - sbi's: largest difference", gap
    levels, coverage = metrics.expected_coverage(*densities)
    shares = np.array([(denser / n_draws <= level).mean() for level in levels])
    # At level 0 sbi's regions hold theta where no draw is denser, sksbi's never, as ranks are put
    # at (rank + 1) / (n_draws + 1). At other levels both count the same.
    yield "HPD coverage, above level 0: largest difference", np.abs(coverage - shares)[1:].max()
    # The test of Kolmogorov and Smirnov takes ranks for continuous; sksbi's is one of ranks.
    checked = check_sbc(theirs, pairs[0], average, n_draws)
    yield "SBC, least p-value: sbi's", checked["ks_pvals"].min()
    yield "SBC, least p-value: ours", metrics.uniformity_test(ours, n_draws).min()


def compare_tarp(_: Conjugate, theta: Array, x: Array, draws: Array) -> Compared:
    """Compare coverage around the same references."""
    from sbi.diagnostics import check_tarp, run_tarp
    from tarp import get_tarp_coverage

    n_draws, unit = draws.shape[1], np.random.default_rng(1).random(theta.shape)
    # tarp wants references in the unit box that theta is scaled to, sbi and sksbi in theta's units.
    # All three scale theta by its range.
    references = theta.min(axis=0) + np.ptp(theta, axis=0) * unit
    ranks = metrics.tarp_ranks(draws, theta, references=references)
    levels, coverage = metrics.tarp_coverage(draws, theta, references=references)
    tensors = [torch.from_numpy(table) for table in (theta, x, references)]
    of_sbi = run_tarp(*tensors[:2], Replay(draws), tensors[2], n_draws, show_progress_bar=False)
    of_tarp = get_tarp_coverage(draws.swapaxes(0, 1), theta, references=unit, norm=True)
    for name, curve in {"sbi": of_sbi, "tarp": of_tarp}.items():
        # Both put rank / n_draws into n // 10 bins from the least to the largest that occurs, and
        # sum up: the share strictly below an edge, but for the last. sbi does in single precision,
        # so that ranks at an edge may change bins. sksbi takes (rank + 1) / (n_draws + 1) at fixed
        # levels from 0 to 1.
        ecp, alpha = (np.asarray(values, dtype=float) for values in curve)
        cells, edges = np.histogram(ranks / n_draws, bins=len(theta) // 10)
        same = np.append(0, cells.cumsum()) / len(theta)
        gap = max(np.abs(edges - alpha).max(), np.abs(same - ecp).max())
        yield f"TARP, the histogram of {name} of our ranks: largest difference", gap
        gap = np.abs(np.interp(alpha, levels, coverage) - ecp).max()
        yield f"TARP, our curve at the levels of {name}: largest difference", gap
    # sbi compares the points of the curve with those of the diagonal, as if they were two samples.
    yield "TARP, p-value: sbi's", check_tarp(*of_sbi)[1]
    yield "TARP, p-value: ours", metrics.uniformity_test(ranks, n_draws)


def compare_classifiers(_: Conjugate, theta: Array, x: Array, draws: Array) -> Compared:
    """Compare classifier tests by the same classifiers; the defaults are others."""
    from sbi.diagnostics.lc2st import LC2ST
    from sbi.utils.metrics import c2st

    one, forest = draws[:, 0].copy(), RandomForestClassifier(random_state=1)
    tensors = [torch.from_numpy(table) for table in (theta, x, one, draws[0], x[0])]
    ours = metrics.c2st_score(one, theta, classifier=forest)
    yield "C2ST by a random forest: difference", abs(ours - float(c2st(tensors[0], tensors[2])))
    local = LC2ST(*tensors[:3], classifier=LogisticRegression, num_trials_null=100)
    local.train_on_observed_data(verbosity=0).train_under_null_hypothesis(verbosity=0)
    options = {"classifier": LogisticRegression(), "random_state": 0}
    test = metrics.lc2st(theta, x, one, x[0], draws[0], **options)
    gap = abs(test.statistic - local.get_statistic_on_observed_data(*tensors[3:]))
    yield "L-C2ST by a logistic regression: difference", gap
    # Under the null sbi shuffles the rows of both classes; sksbi exchanges theta and draw within
    # pairs, so that every x stays in both, and counts the statistic too, so that p is never 0.
    yield "L-C2ST, p-value: sbi's", local.p_value(*tensors[3:])
    yield "L-C2ST, p-value: ours", test.p_value


def agreement_table(lines: list[dict]) -> str:
    """Show differences, one column a posterior."""
    table = pd.DataFrame(lines).pivot_table("value", "measure", "posterior", sort=False)
    return markdown(table.map("{:.3g}".format).reset_index().to_dict("records"))


# --- speed


def speed(arguments: argparse.Namespace) -> Iterator[dict]:
    """Measure diagnose and sbi's checks on the same pairs."""
    from peers import Sbi

    warnings.simplefilter("ignore")
    logging.disable()  # sbi tells of every observation at which it rejects much
    task, n_draws = load_task("slcp"), arguments.n_draws
    pairs = simulate(task, arguments.simulations, SIMULATION_SEED)
    npe = NPE(task.prior, max_epochs=arguments.epochs, random_state=0).fit(*pairs)
    peer = Sbi("NPE", task.prior, random_state=0, train={"max_num_epochs": arguments.epochs})
    posterior = peer.fit(*pairs).posterior_
    theta, x = simulate(task, arguments.observations, TEST_SEED)
    tensors = torch.tensor(theta).float(), torch.tensor(x).float()
    free = posterior.sample_batched((1_000,), tensors[1][:100], reject_outside_prior=False)
    inside = posterior.prior.support.check(free).double().mean(dim=0).numpy()
    for threads in map(int, arguments.threads.split(",")):
        torch.set_num_threads(threads)
        case = {"part": "speed", "library": "sksbi", "threads": threads, "n_draws": n_draws}
        case |= {"observations": len(theta), "limit": arguments.limit}
        case |= {"inside_prior": inside.mean(), "least_inside": inside.min()}
        run = partial(diagnose, npe, theta, x, n_samples=n_draws, plot=False)
        first = timed(run)
        yield case | {"measure": "diagnose, first call", "seconds": first, "ratio": 1.0}
        again = timed(run)
        yield case | {"measure": "diagnose, again", "seconds": again, "ratio": again / first}
        case |= {"library": "sbi"}
        for name, value in time_sbi(posterior, *tensors, n_draws, threads, arguments.limit):
            yield case | {"measure": name, "seconds": value, "ratio": value / first}


def time_sbi(
    posterior: object, theta: torch.Tensor, x: torch.Tensor, n_draws: int, threads: int, limit: int
) -> Iterator[tuple[str, float]]:
    """Measure sbi's calls, and add them up."""
    from sbi.diagnostics import run_sbc, run_tarp
    from sbi.utils.diagnostics_utils import get_posterior_samples_on_batch

    draw = partial(get_posterior_samples_on_batch, x, posterior, (n_draws,), threads)
    one_by_one = within(limit, partial(draw, use_batched_sampling=False))
    yield "draws, one by one", one_by_one
    at_once = within(int(one_by_one) + 1, partial(draw, use_batched_sampling=True))
    yield "draws, all at once", at_once
    options = {"num_posterior_samples": n_draws, "show_progress_bar": False}
    options |= {"num_workers": threads, "use_batched_sampling": at_once < one_by_one}
    sbc = partial(run_sbc, theta, x, posterior, **options)
    marginals = [lambda some, _, j=j: some[:, j] for j in range(theta.shape[1])]
    both = [*marginals, partial(posterior.log_prob, norm_posterior=False)]
    calls = {
        "run_sbc, marginals": partial(sbc, reduce_fns="marginals"),
        "run_sbc, posterior.log_prob": partial(sbc, reduce_fns=posterior.log_prob),
        "run_tarp": partial(run_tarp, theta, x, posterior, **options),
        "run_sbc, marginals and log_prob(norm_posterior=False)": partial(sbc, reduce_fns=both),
    }
    seconds = [within(limit, call) for call in calls.values()]
    yield from zip(calls, seconds, strict=True)
    yield "as documented, in all", sum(seconds[:3])
    yield "quickest, in all", sum(seconds[2:])


def within(limit: int, function: Callable[[], object]) -> float:
    """Measure the seconds of a call, which is stopped at the limit."""
    try:
        with accuracy.time_limit(limit):
            return timed(function)
    except TimeoutError:
        return float(limit)


def speed_table(lines: list[dict]) -> str:
    """Show seconds, and how many times those of diagnose they are."""
    table = pd.DataFrame(lines)[["threads", "library", "measure", "seconds", "ratio"]]
    rows = table.map(lambda value: f"{value:.3g}" if isinstance(value, float) else value)
    note = "{observations} observations x {n_draws} draws; calls stopped at {limit} s. Of sbi's "
    note += "proposals {inside_prior:.1%} are inside the prior, {least_inside:.1%} at the worst x."
    return f"{markdown(rows.to_dict('records'))}\n\n{note.format(**lines[-1])}"


# --- output


PARTS = {
    "power": (power, power_table),
    "conformal": (conformal, conformal_table),
    "agreement": (agreement, agreement_table),
    "speed": (speed, speed_table),
}


def known(path: Path, cell: dict) -> dict | None:
    """Find the line of a cell in the output."""
    return next((line for line in accuracy.read_lines(path) if cell.items() <= line.items()), None)


def markdown(rows: list[dict]) -> str:
    """Make a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([*row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parts = parser.add_subparsers(dest="part", required=True)
    each = {name: parts.add_parser(name) for name in PARTS}
    for name, part in each.items():
        part.add_argument("--n-draws", type=int, default=1_000)
        part.add_argument("--output", type=Path, default=Path("build/diagnostics.jsonl"))
        if name != "conformal":
            part.add_argument("--observations", type=int, default=1_000 if name == "speed" else 500)
    for part, name, default, what in (
        ("power", "--repetitions", 200, None),
        ("power", "--local-repetitions", 40, "of L-C2ST"),
        ("conformal", "--splits", 10, "fits, each to simulations of its own"),
        ("conformal", "--simulations", 1_000, "of a fit, calibration included"),
        ("conformal", "--pairs", 2_000, "to count on"),
        ("speed", "--simulations", 10_000, "to train with"),
        ("speed", "--epochs", 100, "at most; sbi rejects more after few"),
        ("speed", "--limit", 1_800, "seconds of a call"),
    ):
        each[part].add_argument(name, type=int, default=default, help=what)
    each["speed"].add_argument("--threads", default="1", help="such as 1,2")
    each["conformal"].add_argument("--tasks", default=TASKS)
    each["conformal"].add_argument("--options", type=json.loads, default={}, help="of NPE, as JSON")
    return parser.parse_args()


def main() -> None:
    """Measure what is asked for and print the table."""
    arguments = parse()
    accuracy.warm_up()
    measure, table = PARTS[arguments.part]
    source, lines = accuracy.provenance(), []
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for line in measure(arguments):
        lines.append(source | line)
        if "revision" in line:
            continue
        print(json.dumps(lines[-1]), flush=True)
        with arguments.output.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    origins = {json.dumps({key: line[key] for key in source}) for line in lines}
    print(table(lines), *sorted(origins), sep="\n\n")


if __name__ == "__main__":
    main()
