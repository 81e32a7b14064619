"""
=================================
Simulations that never end
=================================

Where a simulator is cheap, there is no reason to simulate first and learn afterwards. Here it runs
in the background for as long as somebody learns from it: no simulation is kept, none is seen twice,
and how many there are is decided by looking at how well the posterior does.

A lighthouse stands somewhere off a straight coast. It turns, and sends flashes in random
directions; detectors along the coast tell where sixteen of them arrived (the problem is from S.
Gull). How far along the coast is it, and how far out at sea? Arrivals follow a Cauchy distribution,
so the answer can be compared with the exact one.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from sksbi import NPE, simulate, simulate_forever

# %%
# The simulator
# -------------
#
# It takes a table of parameters and gives a table of arrivals, in order from left to right.

prior = {"along": stats.uniform(-5, 10), "out": stats.uniform(0.5, 3.5)}  # kilometres


def shine(theta, rng):
    """Send sixteen flashes for each lighthouse."""
    angle = rng.uniform(-np.pi / 2, np.pi / 2, size=(len(theta), 16))
    along, out = (theta[name].to_numpy()[:, None] for name in ("along", "out"))
    return np.sort(along + out * np.tan(angle), axis=1)


# %%
# The exact answer
# ----------------
#
# On a grid of parameters the posterior is the product of sixteen Cauchy densities. The mean of its
# logarithm at the true parameters is the best score that any estimate can have.

WIDTHS = 10 / 100, 3.5 / 100
middles = np.arange(100) + 0.5
grid = np.meshgrid(-5 + WIDTHS[0] * middles, 0.5 + WIDTHS[1] * middles)


def log_likelihood(x, along, out):
    """Sum over the flashes."""
    return -sum(np.log1p(((flash - along) / out) ** 2) + np.log(np.pi * out) for flash in x)


def log_evidence(x):
    """Integrate over the grid, as the prior is flat there."""
    values = log_likelihood(x, *grid)
    return values.max() + np.log(np.exp(values - values.max()).sum() * np.prod(WIDTHS))


theta_test, x_test = simulate(shine, prior, 2_000, vectorized=True, random_state=1)
exact = [
    log_likelihood(x, *theta) - log_evidence(x)
    for theta, x in zip(theta_test.to_numpy(), x_test, strict=True)
]
print(f"the best score is {np.mean(exact):.3f}")

# %%
# Learning until it stands still
# ------------------------------
#
# ``simulate_forever`` gives batches without end, while other processes simulate the next ones, and
# ``partial_fit`` learns from each. A batch that has not been learnt from is fit to be scored by:
# that costs no simulation. The mean over ten batches tells when to stop: here, when 30 batches have
# not made it better by 0.01. Leaving the loop stops the simulator.

npe = NPE(prior, batch_size=64, random_state=0)
fresh, held_out = [], []
for theta, x in simulate_forever(shine, prior, vectorized=True, random_state=0):
    if hasattr(npe, "net_"):
        fresh.append(npe.score(theta, x))
        held_out.append(npe.score(theta_test, x_test))
    npe.partial_fit(theta, x)
    means = np.convolve(fresh, np.full(10, 0.1), mode="valid") if len(fresh) >= 10 else []
    if len(means) > 30 and means[-1] < max(means[:-30]) + 0.01:
        break
print(f"{len(npe.history_):,} batches of 1,000 simulations, score {held_out[-1]:.3f}")

# %%
# One pass over many simulations instead of many passes over a few: a fit to 10,000, which sees each
# of them some thirty times, is better than ten batches are, and overtaken by some tens of them.

few = NPE(prior, random_state=0).fit(
    *simulate(shine, prior, 10_000, vectorized=True, random_state=0)
)
print(f"fit to 10,000: {few.score(theta_test, x_test):.3f}")

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
number = 1_000 * np.arange(1, len(fresh) + 1)
axes.plot(number, fresh, ".", color="0.7", label="each batch, before it is learnt from")
axes.plot(number, held_out, color="C0", label="2,000 simulations held out")
axes.axhline(few.score(theta_test, x_test), color="C1", linestyle=":", label="fit to 10,000")
axes.axhline(np.mean(exact), color="black", label="the exact posterior")
axes.set(xlabel="simulations", ylabel="score: mean log-density of the truth", xscale="log")
axes.set(ylim=(np.mean(exact) - 0.7, np.mean(exact) + 0.1))
axes.legend(loc="lower right")
plt.show()

# %%
# Against the exact posterior
# ---------------------------
#
# For one lighthouse that is not among the simulations.

truth = {"along": 1.0, "out": 1.2}
angle = np.random.default_rng(1).uniform(-np.pi / 2, np.pi / 2, size=16)
x_observed = np.sort(truth["along"] + truth["out"] * np.tan(angle))
draws = npe.sample(x_observed, 2_000)
print(npe.summary(x_observed).round(2))

density = np.exp(log_likelihood(x_observed, *grid) - log_evidence(x_observed))
highest = np.sort(density.ravel())[::-1]
mass = highest.cumsum() * np.prod(WIDTHS)
levels = [highest[np.searchsorted(mass, share)] for share in (0.95, 0.5)]
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
axes.plot(draws["along"], draws["out"], ".", markersize=2, alpha=0.4, label="draws")
axes.contour(*grid, density, levels=levels, colors="black")
axes.plot([], [], color="black", label="exact, 50% and 95%")
axes.plot(*truth.values(), "r*", markersize=10, label="the lighthouse")
axes.set(xlabel="along the coast (km)", ylabel="out at sea (km)", xlim=(-1, 3), ylim=(0.5, 3))
axes.legend()
plt.show()
