"""
=======================================
Trials: counting with eyes that blink
=======================================

In 1910 Rutherford and Geiger counted the scintillations of alpha particles on a screen, 10,097 of
them in 2,608 intervals of 7.5 seconds. Their counts spread a little less than Poisson's law says:
after a flash the eye needs a moment before it can see another. This page learns what a single
interval tells about the rate and that dead time, by :class:`~sksbi.NLE`, and asks for all 2,608
together. The likelihood happens to be known, so the answer can be compared with the exact one.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from sksbi import NLE, simulate

# %%
# The data
# --------
#
# How many intervals had 0, 1, 2, ... scintillations (E. Rutherford, H. Geiger and H. Bateman, "The
# probability variations in the distribution of alpha particles", Philosophical Magazine 20, 1910).

INTERVAL = 7.5
intervals = [57, 203, 383, 525, 532, 408, 273, 139, 45, 27, 10, 4, 0, 1, 1]
counts = pd.DataFrame({"count": np.arange(15).repeat(intervals)})
print(f"mean {counts['count'].mean():.2f}, variance {counts['count'].var():.2f}")

# %%
# The simulator
# -------------
#
# Waiting times between particles are exponential, and each flash is followed by a dead time. One
# simulation is one interval. They are cheap, so there are plenty of them: with 2,608 trials each
# small error of the network counts 2,608 times.

prior = {"rate": stats.uniform(0.2, 0.8), "dead_time": stats.uniform(0, 0.3)}  # per second, seconds


def count(theta, rng):
    """Count the flashes in many intervals at once."""
    waiting = rng.exponential(1 / theta["rate"].to_numpy()[:, None], size=(len(theta), 30))
    waiting[:, 1:] += theta["dead_time"].to_numpy()[:, None]
    return {"count": (waiting.cumsum(axis=1) <= INTERVAL).sum(axis=1)}


theta, x = simulate(count, prior, 200_000, vectorized=True, random_state=0)

# %%
# One fit, any number of trials
# -----------------------------
#
# Counts of more than ten values would become continuous. Here all that occur are known, so each may
# have a probability of its own: ``x_discrete=True``. ``iid=True`` says that the table is one
# observation of 2,608 trials, not 2,608 observations. The dead time comes out at some hundredths of
# a second. So many trials need many simulations: of five fits to 100,000 each, means were off by up
# to 0.4 standard deviations, of five to 20,000 by 2, and a warning tells that it is likely.

nle = NLE(prior, x_discrete=True, random_state=0).fit(theta, x)
draws = nle.sample(counts, 5_000, iid=True)
print(nle.summary(counts, iid=True).round(3))

# %%
# Against the exact answer
# ------------------------
#
# k flashes or more fit into the interval if k exponential times are shorter than what k - 1 dead
# times leave of it, which a gamma distribution tells.


def exact_log_likelihood(rate, dead_time):
    """Sum the log-probabilities of all intervals."""
    k = np.arange(16)
    left = INTERVAL - np.maximum(k - 1, 0) * dead_time[..., None]
    at_least = np.where(k == 0, 1.0, stats.gamma.cdf(left * rate[..., None], np.maximum(k, 1)))
    return np.log(at_least[..., :-1] - at_least[..., 1:]) @ intervals


rate, dead_time = np.meshgrid(np.linspace(0.48, 0.58, 201), np.linspace(1e-4, 0.13, 201))
log_exact = exact_log_likelihood(rate, dead_time)
exact = np.exp(log_exact - log_exact.max())
exact /= exact.sum()
for name, values in (("rate", rate), ("dead_time", dead_time)):
    mean = (exact * values).sum()
    sd = np.sqrt((exact * (values - mean) ** 2).sum())
    ours = draws[name]
    print(f"{name}: {mean:.4f} +- {sd:.4f}, NLE {ours.mean():.4f} +- {ours.std():.4f}")

figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
axes.plot(draws["rate"], draws["dead_time"], ".", markersize=2, alpha=0.4, label="NLE")
highest = np.sort(exact.ravel())[::-1]
levels = [highest[np.searchsorted(highest.cumsum(), mass)] for mass in (0.95, 0.5)]
axes.contour(rate, dead_time, exact, levels=levels, colors="black")
axes.plot([], [], color="black", label="exact, 50% and 95%")
axes.set(xlabel="rate (per second)", ylabel="dead time (s)", xlim=(0.48, 0.58), ylim=(0, 0.13))
axes.legend()
plt.show()

# %%
# What data would these parameters give?
# --------------------------------------
#
# The emulator draws counts from the posterior predictive distribution: one for each draw.

predicted = nle.emulate(draws, random_state=0)["count"].value_counts(normalize=True).sort_index()
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
axes.bar(np.arange(15), np.array(intervals) / len(counts), color="0.8", label="counted")
axes.plot(predicted.index, predicted, "o", label="emulated")
poisson = stats.poisson(counts["count"].mean())
axes.plot(np.arange(15), poisson.pmf(np.arange(15)), "k_", markersize=12, label="Poisson")
axes.set(xlabel="scintillations in an interval", ylabel="share of intervals")
axes.legend()
plt.show()
