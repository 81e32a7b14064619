"""
A GPU beside the CPU: the same fits on both, their scores and their seconds.

    python tests/benchmarks/gpu.py [--rows 10000 100000]

Each line is a fit with defaults to two moons, or of a convolutional embedding to images: its
score on 5,000 fresh pairs in nats, the seconds of the fit, and those of draws for ten
observations. The seeds are the same; the numbers are not, as the devices round differently.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from scipy import stats
from torch import nn

from sksbi import FMPE, NLE, NPE, NRE
from sksbi.datasets import load_task

IMAGE = 32


def images(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a spot at an unknown place, in noise."""
    rng = np.random.default_rng(seed)
    theta = rng.uniform(-1, 1, size=(n, 2)).astype(np.float32)
    grid = np.linspace(-1.5, 1.5, IMAGE, dtype=np.float32)
    spot = np.exp(
        -8 * (grid - theta[:, :1, None]) ** 2 - 8 * (grid[:, None] - theta[:, 1:, None]) ** 2
    )
    return theta, (spot + rng.normal(scale=0.5, size=spot.shape)).astype(np.float32)


def embedding() -> nn.Module:
    """Make a convolutional network."""
    layers = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(nn.Unflatten(1, (1, IMAGE)), *layers, nn.Flatten(), nn.LazyLinear(32))


def main() -> None:
    """Fit on both devices."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--cases", nargs="*", default=["NPE", "NRE", "NLE", "FMPE", "images"])
    parser.add_argument("--devices", nargs="*", default=["cpu", "cuda"])
    args = parser.parse_args()
    devices = [d for d in args.devices if d == "cpu" or torch.cuda.is_available()]
    print(f"{torch.__version__}, {torch.get_num_threads()} threads", end=", ")
    print(torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")
    task = load_task("two_moons")
    cases = [
        (name, n, estimator(task.prior, random_state=0), task.simulate(n, random_state=0))
        for n in args.rows
        for name, estimator in (("NPE", NPE), ("NRE", NRE), ("NLE", NLE), ("FMPE", FMPE))
    ]
    box = [stats.uniform(-1, 2)] * 2
    npe = NPE(box, embedding=embedding(), max_epochs=5, random_state=0)
    cases.append(("NPE of images", min(args.rows), npe, images(min(args.rows), 0)))
    for name, n, estimator, pairs in cases:
        if name.split()[-1] not in args.cases:
            continue
        is_image = name.endswith("images")
        theta, x = images(5_000, 1) if is_image else task.simulate(5_000, random_state=1)
        for device in devices:
            began = time.perf_counter()
            fitted = estimator.set_params(device=device).fit(*pairs)
            fit_seconds = time.perf_counter() - began
            score = fitted.score(theta, x)
            began = time.perf_counter()
            fitted.sample(x[:10], 10_000 if name.startswith("NPE") else 1_000)
            draw_seconds = time.perf_counter() - began
            print(
                f"{name:14} {n:8,} {device:5} score {score:8.4f}  fit {fit_seconds:7.1f} s  "
                f"draws {draw_seconds:6.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
