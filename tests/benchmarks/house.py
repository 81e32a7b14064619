"""
How calls run through the house: between files, into embeddings, into memory; how long they take.

``python tests/benchmarks/house.py [OTHER]`` measures the package in this checkout and, beside it,
one in another, a clone of an earlier revision: in turn, each in processes of its own. Run it with
OMP_NUM_THREADS=1 on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
ROUNDS = 5


def calls_between_files(task: Callable[[], object]) -> tuple[int, int]:
    """Count calls from one file of the package into another, and the files that are entered."""
    root, count, files = os.sep + "sksbi" + os.sep, 0, set()

    def watch(frame, event, _):
        nonlocal count
        if event != "call" or frame.f_back is None:
            return
        callee, caller = frame.f_code.co_filename, frame.f_back.f_code.co_filename
        if root in callee and root in caller and callee != caller:
            count += 1
            files.add(callee)

    sys.setprofile(watch)
    try:
        task()
    finally:
        sys.setprofile(None)
    return count, len(files)


def embeddings(task: Callable[[], object], n_observations: int) -> float:
    """Count how often an observation is embedded."""
    from sksbi.nn.embedded import Embedded

    original, rows = Embedded.embed, 0

    def watched(self, x):
        nonlocal rows
        rows += len(x)
        return original(self, x)

    Embedded.embed = watched
    try:
        task()
    finally:
        Embedded.embed = original
    return rows / n_observations


def measure() -> dict[str, float]:
    """Measure the package that is imported."""
    warnings.simplefilter("ignore")
    import numpy as np

    from sksbi import NPE, NRE, CalibratedPosterior, diagnose
    from sksbi.datasets import load_task
    from sksbi.metrics import draw_held_out

    task, found = load_task("two_moons"), {}
    theta, x = task.simulate(2_000, random_state=0)
    test_theta, test_x = task.simulate(200, random_state=1)
    one = test_x.iloc[0] if hasattr(test_x, "iloc") else test_x[0]

    def npe() -> NPE:
        return NPE(task.prior, max_epochs=5, random_state=0)

    start = time.perf_counter()
    fitted = npe().fit(theta, x)
    found["NPE.fit s"] = time.perf_counter() - start
    nre = NRE(task.prior, max_epochs=5, random_state=0).fit(theta, x)
    calibrated = CalibratedPosterior(fitted, cv="prefit", random_state=0).fit(test_theta, test_x)
    tasks = {
        "NPE.fit": lambda: npe().fit(theta, x),
        "NPE.sample": lambda: fitted.sample(one),
        "NRE.sample": lambda: nre.sample(one),
        "NPE.map": lambda: fitted.map(one),
        "NRE.map": lambda: nre.map(one),
        "credible_region": lambda: calibrated.credible_region(one),
        "draw_held_out": lambda: draw_held_out(fitted, test_theta, test_x),
        "diagnose": lambda: diagnose(fitted, test_theta, test_x, one, plot=True),
    }
    for name, run in tasks.items():
        run()
        found[f"{name} calls"], found[f"{name} files"] = calls_between_files(run)
    for name in ("NPE.map", "NRE.map", "NPE.sample", "credible_region"):
        found[f"{name} embeddings"] = embeddings(tasks[name], 1)
    found["draw_held_out embeddings"] = embeddings(tasks["draw_held_out"], len(test_theta))
    for name in list(tasks)[1:]:
        repeats = 3 if name in ("diagnose", "NRE.map") else 10
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            tasks[name]()
            seconds.append(time.perf_counter() - start)
        found[f"{name} s"] = median(seconds)
    for n in (60_000, 240_000):
        rng = np.random.default_rng(0)
        theta, x = rng.normal(size=(n, 2)), rng.normal(size=(n, 11))
        x[:, :2] += theta
        estimator = NPE(max_epochs=1, random_state=0)
        tracemalloc.start()
        estimator.fit(theta, x)
        found[f"peak memory of fit / x, {n} rows"] = tracemalloc.get_traced_memory()[1] / x.nbytes
        tracemalloc.stop()
    return found


def run(root: Path) -> dict[str, float]:
    """Measure the package of a checkout in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE), "--measure"],
        env=os.environ | {"PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table."""
    roots = [HERE.parents[2], *map(Path, sys.argv[1:])]
    found = {root: [] for root in roots}
    for number in range(ROUNDS):
        for root in roots if number % 2 == 0 else roots[::-1]:
            found[root].append(run(root))
    print(f"{'':42}" + "".join(f"{'here' if i == 0 else 'other':>12}" for i in range(len(roots))))
    for name in found[roots[0]][0]:
        values = [[one[name] for one in found[root]] for root in roots]
        line = f"{name:42}" + "".join(f"{median(some):12.4g}" for some in values)
        if len(roots) > 1 and name.endswith(" s"):
            line += f"{median(a / b for a, b in zip(*values, strict=True)):12.3f}"
        print(line)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(json.dumps(measure()))
    else:
        main()
