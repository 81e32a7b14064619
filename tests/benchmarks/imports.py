"""
What an import costs, beside the libraries that it needs.

    python tests/benchmarks/imports.py [--repeats 15]

Every statement runs in a process of its own, in turn, so that all see the same machine; the table
has the medians of their seconds, and their ratios to the libraries alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

LIBRARIES = "import torch, sklearn, skorch, zuko"
STATEMENTS = [
    LIBRARIES,
    "import sksbi",
    f"{LIBRARIES}, sksbi",
    "from sksbi import NPE",
    "from sksbi import NPE, simulate, diagnose, save, load",
]


def seconds(statement: str) -> float:
    """Time a fresh process that runs a statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Time all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for k in range(repeats + 1):
        for statement, taken in times.items():
            spent = seconds(statement)
            if k > 0:  # the first round fills the caches of files
                taken.append(spent)
    base = median(times[LIBRARIES])
    for statement, taken in times.items():
        print(f"{statement:56s} {median(taken):5.2f} s  {median(taken) / base:5.2f}")


if __name__ == "__main__":
    main()
