"""
==========================================
A point process: disasters in coal mines
==========================================

Between March 1851 and March 1962 there were 191 explosions in British coal mines that killed ten
men or more. They became rarer. When, how quickly, and by how much? The dates, a classical point
process, are those of `A note on the intervals between coal-mining disasters (Jarrett, 1979)
<https://doi.org/10.1093/biomet/66.1.191>`_. `Bayesian analysis of a Poisson process with a
change-point (Raftery and Akman, 1986) <https://doi.org/10.1093/biomet/73.1.85>`_ lets the rate
jump; here it may also change slowly.

:class:`~sksbi.NPE` looks at a series of counts through a convolutional network. The likelihood of
the dates themselves is known, so each draw can be given a weight, and draws with weights are exact.
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, softplus

from sksbi import NPE, simulate
from sksbi.nn import ConvNet1d

# %%
# The data
# --------
#
# Years after 1800.

DATES = """
51.20 51.63 51.97 51.97 52.31 52.35 52.36 52.39 52.98 53.20 53.23 53.32 53.50 54.13 56.40 56.51
56.54 56.62 57.14 57.40 57.58 58.09 58.15 58.41 58.95 60.13 60.17 60.59 60.85 60.92 60.97 61.18
61.74 61.84 62.14 62.89 62.94 63.18 63.79 63.94 63.99 65.46 65.97 66.06 66.34 66.45 66.83 66.95
66.95 67.64 67.85 67.86 68.75 68.90 68.99 69.25 69.44 69.55 69.81 69.87 70.12 70.52 70.56 70.63
71.03 71.15 71.17 71.74 71.82 72.12 72.24 72.77 73.14 74.29 74.55 74.89 74.98 75.33 75.93 75.93
75.93 76.97 77.06 77.11 77.19 77.78 77.81 78.18 78.20 78.24 78.43 78.70 79.04 79.17 79.50 80.06
80.54 80.69 80.94 81.11 81.97 82.13 82.30 82.30 82.33 82.85 83.80 83.85 84.07 84.86 85.17 85.46
85.98 86.62 86.69 86.75 86.92 87.13 87.41 88.30 89.05 89.20 89.79 90.10 90.19 91.25 91.67 92.65
93.51 94.48 95.32 96.07 96.28 96.33 99.63 101.39 102.67 105.06 105.19 105.52 106.77 108.14
108.27 108.63 109.13 109.83 110.36 110.97 112.52 113.78 114.41 116.62 118.03 122.53 122.68
123.57 127.16 128.11 130.15 130.75 131.08 131.83 131.88 132.07 132.86 132.88 133.88 134.72
135.64 135.70 136.60 137.50 138.35 139.82 140.22 140.42 141.42 141.52 141.57 142.00 142.13
142.48 146.95 147.02 147.62 147.64 147.69 151.41 157.88 160.49 162.22
"""
dates = np.array(DATES.split(), dtype=float) + 1800
BEGIN, END = 1851.20, 1962.22

# %%
# The simulator
# -------------
#
# The rate falls, or rises, from ``early`` to ``late`` disasters a year: half of it by ``year``, and
# from 18% to 82% of it within three times ``years``. Dates come by thinning: they are drawn at
# a constant rate that is high enough, and each is kept with the probability that the true rate is
# of it. That does for any rate, also for one that depends on earlier events.
#
# How many dates there are is a matter of chance, and a network wants as many numbers each time:
# here counts of two years each, as one channel of a series.

prior = {
    "early": stats.uniform(1, 3),
    "late": stats.uniform(0.1, 1.9),
    "year": stats.uniform(1870, 60),
    "years": stats.loguniform(0.3, 20),
}
EDGES = np.arange(1851, 1964, 2)


def rate(time, early, late, year, years):
    """Compute the disasters a year."""
    return late + (early - late) * expit((year - time) / years)


def count(times):
    """Count dates by pairs of years, in one channel."""
    return np.histogram(times, EDGES)[0][None, :]


def disasters(theta, rng):
    """Draw the dates of one century, and count them."""
    top = max(theta["early"], theta["late"])
    times = rng.uniform(BEGIN, END, rng.poisson(top * (END - BEGIN)))
    return count(times[rng.random(len(times)) * top < rate(times, *theta)])


theta, x = simulate(disasters, prior, 25_000, random_state=0)
print(x.shape)

# %%
# The fit
# -------
#
# The convolutions look for the same changes in all decades. They take most of the time of the fit,
# so the rest is made smaller than by default: two flows instead of four, and fewer epochs.

embedding = partial(ConvNet1d, out_features=16, channels=(16, 16, 16))
npe = NPE(prior, embedding=embedding, module__members=2, max_epochs=14, random_state=0)
npe.fit(theta, x)
x_observed = count(dates)
draws = npe.sample(x_observed, 5_000)
print(npe.summary(x_observed).round(2))

# %%
# Weights that make it exact
# --------------------------
#
# The likelihood of a Poisson process is the product of the rates at its events, times the
# probability that there was no other. Prior times likelihood over the density of NPE is the weight
# of a draw. If weights were equal, NPE would be exact; as they are, the draws are worth as many
# exact ones as the effective sample size says.


def log_likelihood(theta):
    """Compute the exact log-likelihood of the dates for a table of parameters."""
    early, late, year, years = theta.to_numpy().T[:, :, None]
    change = years * (softplus((year - BEGIN) / years) - softplus((year - END) / years))
    expected = late * (END - BEGIN) + (early - late) * change
    return np.log(rate(dates, early, late, year, years)).sum(axis=1) - expected[:, 0]


log_prior = sum(prior[name].logpdf(draws[name]) for name in prior)
log_weight = log_prior + log_likelihood(draws) - npe.log_prob(draws, x_observed)
weight = np.exp(log_weight - log_weight.max())
weight /= weight.sum()
print(f"5,000 draws are worth {1 / np.sum(weight**2):.0f}")

exact = draws.mul(weight, axis=0).sum()
exact_sd = np.sqrt(((draws - exact) ** 2).mul(weight, axis=0).sum())
columns = {"exact": exact, "exact sd": exact_sd, "mean": draws.mean(), "sd": draws.std()}
table = pd.DataFrame(columns).assign(difference=(draws.mean() - exact) / exact_sd)
print(table.round(2))

# %%
# When did it change?
# -------------------
#
# Whatever one wants to know is a function of the draws, with the weights or without: by how much
# the rate fell, whether quickly, and what it was in any year.

ratio = np.sum(weight * draws["late"] / draws["early"])
lag = np.sum(weight * (3 * draws["years"] < 10))
print(f"late / early: {ratio:.2f}; probability that it took less than ten years: {lag:.2f}")

time = np.linspace(BEGIN, END, 300)
rates = rate(time[:, None], *draws.to_numpy().T)
figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=(2, 1)
)
left.stairs(x_observed[0] / 2, EDGES, fill=True, color="0.85", label="counted")
left.fill_between(time, *np.quantile(rates, (0.05, 0.95), axis=1), alpha=0.3, label="NPE, 90%")
left.plot(time, rates @ weight, color="black", label="exact mean")
left.set(xlabel="year", ylabel="disasters a year")
left.legend(frameon=False)
bins = np.linspace(1878, 1902, 49)
right.hist(draws["year"], bins, density=True, color="C0", alpha=0.3, label="NPE")
right.hist(
    draws["year"], bins, weights=weight, density=True, histtype="step", color="k", label="exact"
)
right.set(xlabel="middle of the change", yticks=[], ylabel="density")
right.legend(frameon=False)
plt.show()

# %%
# The rate fell to less than a third, about 1890, and probably within ten years. The means of NPE
# are right to a quarter of an exact standard deviation, and the weights take away the rest. For a
# rate without a likelihood take more simulations, until :func:`sksbi.diagnose` finds nothing.
