"""
What large sets cost: memory and seconds of fits, of a store of simulations, and of simulate itself.

    python tests/benchmarks/scale.py fit,store,simulate [--folder DIR] [--rows 1000000 10000000]

- fit: NPE with its defaults, on pairs of five parameters and twenty columns of x, float32, in one
  HDF5 file: the seconds of an epoch, those of everything else, and the peak of resident memory that
  the kernel tells. Each case runs in a process of its own.
- store: a million pairs of the same size, float64, in parts of a thousand: megabytes a second that
  go into the store, seconds until it is open, and until its own call has found it complete.
- simulate: a simulator of ten milliseconds, a thousand rows: the seconds of a plain loop, and those
  of simulate, alone and with a store, by one process and by two workers.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pandas as pd
from scipy import stats

from sksbi import NPE, simulate
from sksbi.data import SimulationStore, open_pairs
from sksbi.data.parts import Part

D, L, BLOCK = 5, 20, 100_000
PRIOR = [stats.norm()] * D
N_SIMULATED, SECONDS = 1_000, 0.01


def write(path: Path, n: int) -> None:
    """Simulate a linear Gaussian model into a file."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(D, L))
    with h5py.File(path, "w") as file:
        theta = file.create_dataset("theta", (n, D), "f4", chunks=(8_192, D))
        x = file.create_dataset("x", (n, L), "f4", chunks=(8_192, L))
        for start in range(0, n, BLOCK):
            k = min(BLOCK, n - start)
            draws = rng.normal(size=(k, D))
            theta[start : start + k] = draws
            x[start : start + k] = draws @ mixing + rng.normal(size=(k, L))


def fit(path: Path, n: int, where: str, epochs: int) -> dict[str, float]:
    """Fit to the first n pairs, and tell what it took."""
    theta, x = (table[:n] for table in open_pairs(path))
    if where == "memory":
        theta, x = theta.load(), x.load()
    began = time.perf_counter()
    npe = NPE(PRIOR, max_epochs=epochs, patience=None, random_state=0).fit(theta, x)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    epochs_took = npe.history_["dur"]
    return {"epoch": epochs_took.median(), "rest": seconds - epochs_took.sum(), "peak": peak}


def fits(folder: Path, rows: list[int], epochs: int) -> None:
    """Fit from memory and from disk, each in a process of its own."""
    write(folder / "pairs.h5", max(rows))
    print(f"{'from':8} {'pairs':>10} {'epoch (s)':>10} {'rest (s)':>9} {'peak (MiB)':>11}")
    for where, n in [("memory", min(rows)), *(("disk", n) for n in rows)]:
        options = ["fit", "--folder", str(folder), "--epochs", str(epochs), "--case", where, str(n)]
        done = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        told = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{where:8} {n:10,} {told['epoch']:10.1f} {told['rest']:9.1f} {told['peak']:11.0f}",
            flush=True,
        )


def gaussian(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Simulate a table."""
    return rng.normal(size=(len(theta), L))


def store(folder: Path) -> None:
    """Fill a store, and open it."""
    n, size = 1_000_000, 1_000
    made = SimulationStore(folder / "appended")
    made.create({"entropy": [0], "on_error": "drop"}, np.zeros((n, D)))
    made.settings()
    x = np.random.default_rng(0).normal(size=(size, L))
    began = time.perf_counter()
    for start in range(0, n, size):
        made.add(Part(start, start + size, np.arange(start, start + size), x, []))
    seconds = time.perf_counter() - began
    print(f"append: {n * L * 8 / 1e6 / seconds:.0f} MB/s in parts of {size} rows")
    began = time.perf_counter()
    theta, table = open_pairs(folder / "appended")
    print(f"open: {time.perf_counter() - began:.2f} s, {len(table):,} pairs in {n // size} parts")
    began = time.perf_counter()
    assert np.isfinite(sum(float(np.sum(part)) for _, part in table.parts()))
    print(f"read all: {time.perf_counter() - began:.1f} s")
    again = partial(
        simulate, gaussian, PRIOR, n, vectorized=True, random_state=0, store=folder / "run"
    )
    for name in ("simulate into a store", "find it complete"):
        began = time.perf_counter()
        theta, table = again()
        print(f"{name}: {time.perf_counter() - began:.2f} s, {len(theta):,} pairs")


def slow(theta: np.ndarray, rng: np.random.Generator) -> float:
    """Take ten milliseconds of a processor."""
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        pass
    return float(rng.normal(theta[0]))


def loop() -> None:
    """Do what simulate does, by hand."""
    theta = np.random.default_rng(0).normal(size=(N_SIMULATED, D))
    seeds = np.random.SeedSequence(0).spawn(N_SIMULATED)
    [slow(row, np.random.default_rng(seed)) for row, seed in zip(theta, seeds, strict=True)]


def simulations(folder: Path, rounds: int = 5) -> None:
    """Time simulate against a loop, in turn."""
    run = partial(simulate, slow, PRIOR, N_SIMULATED, random_state=0)
    counter = iter(range(10**6))
    cases: dict[str, Callable[[], object]] = {
        "loop": loop,
        "simulate": run,
        "with a store": lambda: run(store=folder / f"one-{next(counter)}"),
        "two workers": lambda: run(n_jobs=2),
        "two workers, a store": lambda: run(n_jobs=2, store=folder / f"two-{next(counter)}"),
    }
    rows = []
    for _ in range(rounds + 1):  # the first round starts the workers
        seconds = {}
        for name, case in cases.items():
            began = time.perf_counter()
            case()
            seconds[name] = time.perf_counter() - began
        rows.append(seconds)
    table = pd.DataFrame(rows[1:])
    ratios = table.div(table["loop"], axis=0)
    print(pd.DataFrame({"seconds": table.median(), "of the loop": ratios.median()}).round(3))


def main() -> None:
    """Run the parts that are named, or one case, as a child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="?", default="fit,store,simulate")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--case", nargs=2)
    args = parser.parse_args()
    if args.case:
        path = args.folder / "pairs.h5"
        print(json.dumps(fit(path, int(args.case[1]), args.case[0], args.epochs)))
        return
    with TemporaryDirectory(dir=args.folder) as made:
        folder = Path(made)
        parts = {
            "fit": lambda: fits(folder, args.rows, args.epochs),
            "store": lambda: store(folder),
            "simulate": lambda: simulations(folder),
        }
        for name in args.parts.split(","):
            parts[name]()


if __name__ == "__main__":
    main()
