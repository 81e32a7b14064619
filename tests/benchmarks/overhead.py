"""
Overhead: what NPE.fit costs beside a bare loop over the same batches of the same network.

    python tests/benchmarks/overhead.py

Both train the same module on the same tensors with the same optimizer, schedule, clipping, weight
averaging and validation, in turn, in one process; the ratio is taken pair by pair, and medians are
quoted. What is left are the checks and scalings of fit, and skorch.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
import zuko
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sksbi import NPE

N, N_VALID, BATCH, EPOCHS, LR, REPETITIONS = 10_000, 1_000, 100, 30, 1e-3, 3


class Diagonal(nn.Module):
    """A tiny density: a Gaussian whose mean is linear in x."""

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.mean = nn.Linear(context, features)
        self.log_sd = nn.Parameter(torch.zeros(features))

    def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
        """Build the distribution over theta."""
        normal = torch.distributions.Normal(self.mean(x), self.log_sd.exp())
        return torch.distributions.Independent(normal, 1)


FLOWS = {
    "tiny": Diagonal,
    "maf": partial(zuko.flows.MAF, transforms=5, hidden_features=(64, 64)),
    "nsf": partial(zuko.flows.NSF, transforms=3, hidden_features=(64, 64)),
}


def data() -> tuple[np.ndarray, np.ndarray]:
    """Make pairs."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((N, 3))
    return theta, theta @ rng.standard_normal((3, 5)) + rng.standard_normal((N, 5))


def bare_loop(flow: object, theta: torch.Tensor, x: torch.Tensor) -> float:
    """Train without any library around; returns seconds."""
    start = time.perf_counter()
    torch.manual_seed(0)
    module = flow(theta.shape[1], x.shape[1])
    optimizer = torch.optim.AdamW(module.parameters(), lr=LR, fused=True)
    valid, train = slice(0, N_VALID), torch.arange(N_VALID, N)
    n_batches = len(train) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=EPOCHS * n_batches)
    parameters = list(module.parameters())
    average = [p.detach().clone() for p in parameters]
    move_average = get_ema_multi_avg_fn(0.995)
    losses = []
    for _ in range(EPOCHS):
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
    return time.perf_counter() - start


def fit(flow: object, theta: np.ndarray, x: np.ndarray) -> float:
    """Train by NPE; returns seconds."""
    npe = NPE(flow=flow, lr=LR, batch_size=BATCH, max_epochs=EPOCHS, patience=None, random_state=0)
    start = time.perf_counter()
    npe.fit(theta, x)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    theta, x = data()
    tensors = [torch.from_numpy(a.astype(np.float32)) for a in (theta, x)]
    print(f"| network | bare loop, s | NPE.fit, s | ratio (median of {REPETITIONS}) |")
    print("|---" * 4 + "|")
    for name, flow in FLOWS.items():
        fit(flow, theta, x), bare_loop(flow, *tensors)
        pairs = np.array(
            [(bare_loop(flow, *tensors), fit(flow, theta, x)) for _ in range(REPETITIONS)]
        )
        bare, ours = np.median(pairs, axis=0)
        print(f"| {name} | {bare:.2f} | {ours:.2f} | {np.median(pairs[:, 1] / pairs[:, 0]):.2f} |")


if __name__ == "__main__":
    main()
