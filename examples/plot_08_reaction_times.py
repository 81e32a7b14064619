"""
=============================================
Choices and reaction times: a drift diffusion
=============================================

Which way do the dots move? A person presses one of two keys, and the task leaves two numbers a
trial: whether the answer was right, and after how many seconds it came. In the drift-diffusion
model evidence for either answer adds up, noisily, until it reaches one of two boundaries. How fast
it grows is what the person can do; how far apart the boundaries are is how careful the person is.

The model is that of `A theory of memory retrieval (Ratcliff, 1978)
<https://doi.org/10.1037/0033-295X.85.2.59>`_, here with the start half-way between the boundaries.
:class:`~sksbi.NLE` learns from single trials, and then answers for any number of them. In this
plain form the likelihood is known, as a series, so the answer can be compared with the exact one.
Where the boundaries move with time only the simulator is left, and the rest of this page as it is.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from sksbi import NLE, simulate

# %%
# The simulator
# -------------
#
# ``drift`` is the mean growth of the evidence per second, in units in which its standard deviation
# after a second is one. ``boundary`` is the distance between the boundaries, and ``delay`` the time
# that seeing and pressing take. A path that is looked at in steps crosses unseen between two looks:
# with the probability that a Brownian bridge tells, which is drawn as well. Without it boundaries
# would seem further apart than they are.

prior = {
    "drift": stats.norm(1, 1.5),
    "boundary": stats.uniform(0.6, 1.4),
    "delay": stats.uniform(0.1, 0.4),  # seconds
}
STEP = 0.002


def decide(theta, rng):
    """Follow many paths at once, until each has reached a boundary."""
    drift, boundary, delay = theta.to_numpy().T
    at, seconds, right = boundary / 2, np.zeros(len(theta)), np.zeros(len(theta), dtype=bool)
    running, now = np.arange(len(theta)), STEP / 2
    while len(running):
        before, top = at[running], boundary[running]
        after = before + drift[running] * STEP + rng.normal(0, STEP**0.5, len(running))
        below, above = rng.exponential(STEP / 2, size=(2, len(running)))
        is_up = (top - after <= 0) | ((top - before) * (top - after) < above)
        is_over = is_up | (after <= 0) | (before * after < below)
        right[running[is_up]], seconds[running[is_over]] = True, now
        at[running] = after
        running, now = running[~is_over], now + STEP
    return pd.DataFrame({"right": right, "seconds": delay + seconds})


theta, x = simulate(decide, prior, 100_000, vectorized=True, random_state=0)

# %%
# One fit
# -------
#
# One simulation is one trial. Of the choice NLE learns the probability, and of the time the density
# given the choice. Trials add up, and so do the errors of the network, which calls for many
# simulations; larger batches, and two flows in the ensemble instead of four, make that quick.

nle = NLE(
    prior, batch_size=1_000, max_epochs=14, module__members=2, sampler="importance", random_state=0
).fit(theta, x)

# %%
# A person under two instructions
# -------------------------------
#
# 200 trials after "be fast" and 200 after "be right", simulated, so that the truth is known. With
# ``iid=True`` the last level of the index counts trials; the first tells the observations apart.

TRIALS = 200
truth = pd.DataFrame(
    {"drift": [1.5, 1.5], "boundary": [0.8, 1.4], "delay": [0.25, 0.28]}, index=["fast", "careful"]
).rename_axis("instruction")
rng = np.random.default_rng(1)
answers = pd.concat(
    {name: decide(pd.DataFrame([row] * TRIALS), rng) for name, row in truth.iterrows()},
    names=["instruction", "trial"],
)
print(answers.groupby("instruction").mean().round(3))

draws = nle.sample(answers, 2_000, iid=True)
print(draws.groupby("observation").agg(["mean", "std"]).T.unstack().round(3))

# %%
# What has the instruction changed? These are the probabilities that a parameter has grown: the
# boundary has, and the delay; about the drift, which is the same, nothing can be said.

fast, careful = (draws.loc[name].reset_index(drop=True) for name in truth.index)
print((careful > fast).mean().round(2).to_dict())

# %%
# Against the exact answer
# ------------------------
#
# The density of the first passage is a series in time, which converges quickly at early times, or
# one in frequencies, for late ones (`Fast and accurate calculations for first-passage times in
# Wiener diffusion models (Navarro and Fuss, 2009) <https://doi.org/10.1016/j.jmp.2009.02.003>`_).


def exact_log_density(right, seconds, drift, boundary, delay):
    """Compute the log-density of choices and times; all arguments broadcast."""
    time = (seconds - delay) / boundary**2
    s = np.where(time > 0, time, 1.0)
    early = sum((2 * k + 0.5) * np.exp(-((2 * k + 0.5) ** 2) / (2 * s)) for k in range(-3, 4))
    odd = {k: (2 * k + 1) * np.pi for k in range(4)}
    late = sum((-1) ** k * w * np.exp(-(w**2) * s / 2) for k, w in odd.items())
    density = np.where(s < 0.7, early / np.sqrt(2 * np.pi * s**3), late)
    log_p = np.log(np.maximum(density, 1e-300)) - 2 * np.log(boundary)
    log_p += np.where(right, 1, -1) * drift * boundary / 2 - drift**2 * s * boundary**2 / 2
    return np.where(time > 0, log_p, -np.inf)


def exact_posterior(trials, near):
    """Compute the posterior on a grid, as wide as six standard deviations: its axes and mass."""
    low, high = np.array([prior[name].support() for name in prior]).T
    low = np.maximum(low, near.mean() - 6 * near.std())
    high = np.minimum(high, near.mean() + 6 * near.std())
    axes = np.linspace(low, high, 41)[1:-1].T
    grid = np.meshgrid(*axes, indexing="ij")
    log_p = sum(prior[name].logpdf(values) for name, values in zip(prior, grid, strict=True))
    for right, seconds in trials.itertuples(index=False):
        log_p = log_p + exact_log_density(right, seconds, *grid)
    mass = np.exp(log_p - log_p.max())
    return axes, mass / mass.sum()


# %%
# The same fit for the first 10, the first 50 and all 200 trials. The last column is in standard
# deviations of the exact posterior.

figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
rows = {}
for n_trials in (10, 50, 200):
    trials = answers.loc["careful"].iloc[:n_trials]
    ours = nle.sample(trials, 2_000, iid=True) if n_trials < TRIALS else careful
    axes, mass = exact_posterior(trials, ours)
    for i, name in enumerate(prior):
        marginal = mass.sum(axis=tuple({0, 1, 2} - {i}))
        mean = marginal @ axes[i]
        sd = np.sqrt(marginal @ (axes[i] - mean) ** 2)
        difference = (ours[name].mean() - mean) / sd
        rows[name, n_trials] = [mean, sd, ours[name].mean(), ours[name].std(), difference]
        density = marginal / (axes[i][1] - axes[i][0])
        panels[i].plot(axes[i], density, color="black", linewidth=1)
        panels[i].hist(ours[name], 40, density=True, alpha=0.4, label=f"NLE, {n_trials} trials")
columns = ["exact mean", "exact sd", "mean", "sd", "difference"]
table = pd.DataFrame(rows, index=columns).T
print(table.round(3), f"\nlargest difference: {table['difference'].abs().max():.2f} sd")

labels = ["drift (per second)", "boundary", "delay (s)"]
for name, axis, label in zip(prior, panels, labels, strict=True):
    axis.axvline(truth.loc["careful", name], color="C3", linestyle="--", label="truth")
    axis.set(xlabel=label, yticks=[])
panels[0].plot([], [], color="black", linewidth=1, label="exact")
panels[0].set_ylabel("density")
panels[0].legend(frameon=False)
plt.show()

# %%
# Means are right to a quarter of a standard deviation, and the error is largest where it has added
# up over 200 trials. For a real analysis let the start move and the drift vary from trial to trial,
# as Ratcliff does: a line each in the simulator. Take ten times as many simulations for a person of
# 2,000 trials, and look at :func:`sksbi.diagnose` first.
