"""
Speed: training steps, draws, batches, vector fields, overhead of fit, epochs on many rows.

    python tests/benchmarks/speed.py step,draw --output build/speed.jsonl

Each measurement adds one JSON line to the output; the table at the end holds those of this run. A
ratio is the median over pairs that are measured in turn (A B A B) in one process, after each ran
once untimed; its quartiles stand beside it. The parts, all of them unless some are named:

- step: a training step on 100 rows, loss, backward and optimizer (fused AdamW, the same for all).
  ``SplineFlow`` is divided by its own conditioner networks, each called once on the same inputs
  under a sum of squares: what remains is what splines and density cost. zuko's NSF of 4 transforms
  with hidden layers (128, 128) is divided by ``SplineFlow``. Context of 20 features.
- draw: 10,000 draws for one observation: zuko's NSF of 4 transforms and the same widths, divided by
  ``SplineFlow``. Context of 20 features.
- batch: 1,000 draws for each of 1,000 observations, by an NPE of 5 parameters.
- field: fits of FMPE and NPSE divided by NPE's, all with their defaults, and the seconds of their
  draws and densities. Five parameters and five data, curved.
- overhead: ``NPE.fit`` divided by a bare loop over the same batches of the same network, with the
  same optimizer, schedule, clipping, weight averaging and validation. What is left are the checks
  and scalings of fit, the start of the default flow at a regression, and skorch.
- epoch: an epoch of the default NPE on 1e4, 1e5 and 1e6 rows in batches of 500, two parameters and
  two data: the median of ``history_["dur"]`` after the first epoch, for a million rows. It is the
  same for any number of rows where the time is linear in them.

batch and epoch run in a fresh Python each, for a peak of memory of their own. Time to accuracy
against sbi's default NPE is not measured here: see C2ST and fit seconds in ``accuracy.py``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import zuko
from accuracy import provenance, warm_up
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sksbi import FMPE, NPE, NPSE
from sksbi.nn import SplineFlow

CONTEXT, BATCH, WIDE = 20, 100, (128, 128)
SIZES = {"one member": {"members": 1, "hidden_features": WIDE}, "default": {}}


def in_turn(functions: dict[str, Callable[[], float]], rounds: int) -> pd.DataFrame:
    """Call functions that return seconds in turn: one row a round, without the first round."""
    rows = [{name: function() for name, function in functions.items()} for _ in range(rounds + 1)]
    return pd.DataFrame(rows[1:])


def figure(part: str, case: str, measure: str, values: object, target: str = "") -> dict:
    """Note the median of values, and their quartiles if there are several."""
    values = np.atleast_1d(np.asarray(values, dtype=float))
    low, value, high = np.quantile(values, [0.25, 0.5, 0.75])
    line = {"part": part, "case": case, "measure": measure, "value": float(f"{value:.4g}")}
    if len(values) > 1:
        line["quartiles"] = [float(f"{low:.4g}"), float(f"{high:.4g}")]
    return line | {"n_measured": len(values), "target": target}


def stirred(module: nn.Module, scale: float = 0.1) -> nn.Module:
    """Move all weights off their start, at which a new SplineFlow does no more than scale."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn_like(parameter)
    return module


# --- step


def stepper(module: nn.Module, loss: Callable[[nn.Module], Tensor], steps: int) -> Callable:
    """Make a function that takes training steps and returns the seconds of one."""
    module.train()
    # At such a rate the weights stay where they are, so that all steps do the same.
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-6, fused=True)

    def seconds() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            loss(module).backward()
            optimizer.step()
        return (time.perf_counter() - start) / steps

    return seconds


def likelihood(flow: nn.Module, theta: Tensor, c: Tensor) -> Tensor:
    """Compute the loss of a flow."""
    return -flow(c).log_prob(theta).mean()


def squares(flow: SplineFlow, theta: Tensor, c: Tensor) -> Tensor:
    """Compute a loss of the bare networks of a flow, on features by rows."""
    return sum(network(theta, c).square().sum() for network in flow.networks)


def step(quick: bool) -> Iterator[dict]:
    """Measure training steps."""
    steps, rounds = (5, 3) if quick else (20, 40)
    for d in (2, 10):
        torch.manual_seed(0)
        theta, c = torch.randn(BATCH, d), torch.randn(BATCH, CONTEXT)
        nsf = zuko.flows.NSF(d, CONTEXT, transforms=4, hidden_features=WIDE)
        for size, options in SIZES.items():
            flow = stirred(SplineFlow(d, CONTEXT, **options))
            columns = theta.t().expand(flow.members, -1, -1).contiguous(), c.t().contiguous()
            losses = {
                "ours": (flow, partial(likelihood, theta=theta, c=c)),
                "bare": (deepcopy(flow), partial(squares, theta=columns[0], c=columns[1])),
                "zuko": (deepcopy(nsf), partial(likelihood, theta=theta, c=c)),
            }
            table = in_turn({k: stepper(*v, steps) for k, v in losses.items()}, rounds)
            case = f"{size}, D={d}"
            yield figure("step", case, "SplineFlow, ms", 1e3 * table["ours"])
            over = table["ours"] / table["bare"]
            yield figure("step", case, "SplineFlow / bare networks", over, "<= 1.6")
            yield figure("step", case, "zuko NSF / SplineFlow", table["zuko"] / table["ours"])


# --- draw


def timed(function: Callable[[], object]) -> float:
    """Measure the seconds of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def draw(quick: bool) -> Iterator[dict]:
    """Measure draws for one observation."""
    n, rounds = (1_000, 2) if quick else (10_000, 7)
    rows = torch.zeros(n, dtype=torch.long)
    for d in (2, 5, 10):
        for size, options in SIZES.items():
            torch.manual_seed(0)
            flow = stirred(SplineFlow(d, CONTEXT, **options)).eval()
            widths = options.get("hidden_features", (64, 64))
            nsf = zuko.flows.NSF(d, CONTEXT, transforms=4, hidden_features=widths).eval()
            c = torch.randn(1, CONTEXT)
            functions = {
                "ours": partial(timed, partial(draw_ours, flow, c, rows)),
                "zuko": partial(timed, partial(draw_zuko, nsf, c[0], n)),
            }
            table, case = in_turn(functions, rounds), f"{size}, {n} draws, D={d}"
            yield figure("draw", case, "SplineFlow, s", table["ours"])
            faster = table["zuko"] / table["ours"]
            yield figure("draw", case, "zuko NSF / SplineFlow", faster, ">= 15" if d == 10 else "")


@torch.no_grad()
def draw_ours(flow: SplineFlow, c: Tensor, rows: Tensor) -> Tensor:
    """Draw from a SplineFlow."""
    return flow(c).draw(rows, None)


@torch.no_grad()
def draw_zuko(flow: nn.Module, c: Tensor, n: int) -> Tensor:
    """Draw from a flow of zuko's."""
    return flow(c).sample((n,))


# --- batch


def batch(quick: bool) -> Iterator[dict]:
    """Measure draws for many observations."""
    n = 100 if quick else 1_000
    runs = pd.DataFrame([in_child("batch", n=n) for _ in range(1 if quick else 3)])
    case = f"{n} observations x {n} draws, D=5"
    yield figure("batch", case, "NPE.sample, s", runs["seconds"], "<= 10")
    yield figure("batch", case, "rise of the peak of memory, MiB", runs["rise"])


def batch_child(n: int) -> dict:
    """Draw n times for n observations."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((500, 5))
    npe = NPE(max_epochs=1, random_state=0).fit(theta, theta + rng.standard_normal((500, 5)))
    x = rng.standard_normal((n, 5))
    npe.sample(x[:2], 2, random_state=0)
    before = peak()
    seconds = timed(partial(npe.sample, x, n, random_state=0))
    return {"seconds": seconds, "rise": peak() - before}


# --- field


def field(quick: bool) -> Iterator[dict]:
    """Measure fits, draws and densities of vector fields."""
    n, m, each = (500, 50, 10) if quick else (10_000, 1_000, 100)
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((n, 5))
    x = theta + theta**2 / 2 + rng.standard_normal((n, 5)) / 2
    fitted = {}

    def learn(kind: type) -> None:
        fitted[kind] = kind(random_state=0).fit(theta, x)

    kinds = (NPE, FMPE, NPSE)
    fits = {kind.__name__: partial(timed, partial(learn, kind)) for kind in kinds}
    table, case = in_turn(fits, 1 if quick else 3), f"{n} simulations, D=5"
    yield figure("field", case, "NPE.fit, s", table["NPE"])
    for kind in (FMPE, NPSE):
        name, posterior = kind.__name__, fitted[kind]
        yield figure("field", case, f"{name}.fit / NPE.fit", table[name] / table["NPE"], "<= 2")
        for case_of, target, call in (
            (f"{n} draws of one observation", "<= 1", partial(posterior.sample, x[0], n)),
            (f"{m} observations x {each} draws", "<= 30", partial(posterior.sample, x[:m], each)),
            (f"{n} densities", "<= 5", partial(posterior.log_prob, theta, x)),
        ):
            seconds = [timed(call) for _ in range(1 if quick else 3)]
            yield figure("field", f"{case_of}, D=5", f"{name}, s", seconds, target)


# --- overhead


class Diagonal(nn.Module):
    """A tiny density: a Gaussian whose mean is linear in x."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.mean = nn.Linear(context, features)
        self.log_sd = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> torch.distributions.Distribution:
        """Build the distribution over theta."""
        normal = torch.distributions.Normal(self.mean(x), self.log_sd.exp())
        return torch.distributions.Independent(normal, 1)


FLOWS = {
    "tiny": Diagonal,
    "default": SplineFlow,
    "maf": partial(zuko.flows.MAF, transforms=5, hidden_features=(64, 64)),
    "zuko nsf": partial(zuko.flows.NSF, transforms=3, hidden_features=(64, 64)),
}
N_VALID, LR = 1_000, 1e-3


def overhead(quick: bool) -> Iterator[dict]:
    """Measure fit against a bare loop."""
    (n, epochs), rounds = ((2_000, 2), 2) if quick else ((10_000, 30), 3)
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((n, 3))
    x = theta @ rng.standard_normal((3, 5)) + rng.standard_normal((n, 5))
    tensors = [torch.from_numpy(a.astype(np.float32)) for a in (theta, x)]
    for name, flow in FLOWS.items():
        functions = {
            "bare": partial(timed, partial(bare_loop, flow, *tensors, epochs)),
            "fit": partial(timed, partial(fit, flow, theta, x, epochs)),
        }
        table, case = in_turn(functions, rounds), f"{name}, {n} rows, {epochs} epochs"
        yield figure("overhead", case, "NPE.fit, s", table["fit"])
        ratio = table["fit"] / table["bare"]
        yield figure("overhead", case, "NPE.fit / bare loop", ratio, "<= 1.1")


def bare_loop(flow: Callable, theta: Tensor, x: Tensor, epochs: int) -> None:
    """Train without any library around."""
    torch.manual_seed(0)
    module = flow(theta.shape[1], x.shape[1])
    optimizer = torch.optim.AdamW(module.parameters(), lr=LR, fused=True)
    valid, train = slice(0, N_VALID), torch.arange(N_VALID, len(theta))
    steps = epochs * -(-len(train) // BATCH) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LR, total_steps=steps, cycle_momentum=False
    )
    parameters = list(module.parameters())
    average = [p.detach().clone() for p in parameters]
    move_average = get_ema_multi_avg_fn(0.995)
    losses = []
    for _ in range(epochs):
        module.train()
        for rows in train[torch.randperm(len(train))].split(BATCH):
            optimizer.zero_grad()
            loss = -module(x[rows]).log_prob(theta[rows]).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            move_average(average, [p.detach() for p in parameters], None)
            losses.append(loss.item())
        module.eval()
        with torch.no_grad():
            parts = zip(x[valid].split(512), theta[valid].split(512), strict=True)
            losses.append(sum(-module(a).log_prob(b).mean().item() for a, b in parts))


def fit(flow: Callable, theta: np.ndarray, x: np.ndarray, epochs: int) -> None:
    """Train by NPE."""
    options = {"validation_fraction": N_VALID / len(theta), "patience": None, "device": "cpu"}
    npe = NPE(flow=flow, lr=LR, batch_size=BATCH, max_epochs=epochs, random_state=0, **options)
    npe.fit(theta, x)


# --- epoch


def epoch(quick: bool) -> Iterator[dict]:
    """Measure epochs on many rows."""
    for n in (1_000, 10_000) if quick else (10_000, 100_000, 1_000_000):
        run = in_child("epoch", n=n, epochs=2 if n == 1_000_000 or quick else 3)
        per_million = np.array(run["durations"][1:]) / (n / 1e6)
        case = f"{n} rows, batches of 500"
        yield figure("epoch", case, "an epoch, s / million rows", per_million)
        yield figure("epoch", case, "fit in all, s", run["seconds"])
        yield figure("epoch", case, "peak of memory, MiB", run["peak"])
        yield figure("epoch", case, "its rise in fit, MiB", run["peak"] - run["before"])


def epoch_child(n: int, epochs: int) -> dict:
    """Train on n rows."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((n, 2))
    x = theta + rng.standard_normal((n, 2))
    npe = NPE(batch_size=500, max_epochs=epochs, patience=None, random_state=0)
    before = peak()
    seconds = timed(partial(npe.fit, theta, x))
    durations = npe.history_["dur"].tolist()
    return {"durations": durations, "seconds": seconds, "before": before, "peak": peak()}


# --- processes


CHILDREN = {"batch": batch_child, "epoch": epoch_child}


def in_child(job: str, **options: int) -> dict:
    """Run a job in a fresh Python."""
    order = json.dumps({"job": job} | options)
    command = [sys.executable, __file__, "--child", order]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def peak() -> float:
    """Measure the peak of this process's resident memory so far, in MiB."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    # ru_maxrss of a child begins at the peak of its parent; this does not.
    found = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return found[0] / 2**10 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


# --- output


PARTS = {
    "step": step,
    "draw": draw,
    "batch": batch,
    "field": field,
    "overhead": overhead,
    "epoch": epoch,
}


def table(lines: list[dict]) -> str:
    """Make a Markdown table."""
    rows = ["| part | case | measure | median | quartiles | target |", "|---" * 6 + "|"]
    for line in lines:
        between = " to ".join(f"{value:.3g}" for value in line.get("quartiles", []))
        cells = [line["part"], line["case"], line["measure"], f"{line['value']:.3g}", between]
        rows.append("| " + " | ".join([*cells, line["target"]]) + " |")
    source = lines[-1]
    versions = ", ".join(f"{name} {version}" for name, version in source["versions"].items())
    foot = f"{source['date']}, {versions}, revision {source['revision']}, "
    foot += f"threads: {source['threads']}"
    return "\n".join([*rows, "", foot + (", quick: for a try only" if source["quick"] else "")])


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("parts", nargs="?", default=",".join(PARTS), help="of %(default)s")
    parser.add_argument("--output", type=Path, default=Path("build/speed.jsonl"))
    parser.add_argument("--quick", action="store_true", help="few repetitions of less, for a try")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.parts.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}: take some of {', '.join(PARTS)}")
    return arguments


def main() -> None:
    """Measure the parts that are asked for and print the table."""
    arguments = parse()
    warm_up()
    if arguments.child:
        options = dict(arguments.child)
        print(json.dumps(CHILDREN[options.pop("job")](**options)))
        return
    source, lines = provenance() | {"quick": arguments.quick}, []
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for part in arguments.parts.split(","):
        for line in PARTS[part](arguments.quick):
            lines.append(line | source)
            print(json.dumps(lines[-1]), flush=True)
            with arguments.output.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
