"""
=============================================
An outbreak of influenza, simulated in rounds
=============================================

In January 1978 influenza went through an English boarding school. For fourteen days the number of
boys in bed was written down. How many others did one ill boy infect, and how sure can one be of it?

The model is a chain of chances: on every day each healthy boy may catch it, each ill boy may
recover. Its likelihood sums over all courses that nobody saw. :class:`~sksbi.SequentialInference`
needs no likelihood, and spends 5,000 simulations where these fourteen numbers come from.
"""

import numpy as np
import pandas as pd
from scipy import stats

from sksbi import NPE, SequentialInference
from sksbi.datasets import load_influenza
from sksbi.inspection import PosteriorDisplay, PredictiveDisplay

# %%
# The data
# --------

influenza = load_influenza()
x_observed = influenza["in_bed"].add_prefix("day_")
BOYS = influenza.attrs["population"]
print(x_observed.tolist())

# %%
# The model
# ---------
#
# Every boy is susceptible, infectious, in bed or recovered. An infectious boy infects
# ``reproduction_number`` others while all are susceptible, over ``days_infectious`` days on
# average; then he goes to bed for ``days_in_bed`` days. Chances of a quarter of a day follow the
# binomial distribution. ``first`` boys brought it along.

prior = {
    "reproduction_number": stats.lognorm(s=0.5, scale=3),
    "days_infectious": stats.lognorm(s=0.5, scale=1.5),
    "days_in_bed": stats.lognorm(s=0.5, scale=3),
    "first": stats.uniform(0.5, 9.5),
}

STEPS = 4  # a day


def outbreak(theta: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Simulate fourteen days of many outbreaks at once."""
    infects = theta["reproduction_number"] / theta["days_infectious"] / BOYS / STEPS
    leaves = 1 - np.exp(-1 / theta["days_infectious"] / STEPS)
    recovers = 1 - np.exp(-1 / theta["days_in_bed"] / STEPS)
    infectious = 1 + rng.poisson(theta["first"] - 0.5)
    healthy, in_bed = np.maximum(BOYS - infectious, 0), np.zeros(len(theta), dtype=int)
    days = {}
    for day in influenza.index:
        for _ in range(STEPS):
            ill = rng.binomial(healthy, 1 - np.exp(-infects * infectious))
            to_bed, up = rng.binomial(infectious, leaves), rng.binomial(in_bed, recovers)
            healthy = healthy - ill
            infectious, in_bed = infectious + ill - to_bed, in_bed + to_bed - up
        days[f"day_{day}"] = in_bed
    return pd.DataFrame(days)


# %%
# Five rounds
# -----------
#
# Outbreaks from the prior end at once, or have all boys in bed. After two rounds nearly all
# simulations look like this one. ``share`` is how much of the prior they are drawn from, ``change``
# by how many standard deviations the posterior has moved. With ``tol`` the rounds end when the next
# one is expected to move it by less than that.

rounds = SequentialInference(
    NPE(prior), outbreak, n_rounds=5, n_simulations=1_000, tol=0.1, vectorized=True, random_state=0
)
rounds.fit(x_observed)
print(rounds.rounds_[["simulations", "share", "acceptance", "change"]])

# %%
# The posterior
# -------------
#
# One ill boy infected about three others, within a day, before he went to bed.

print(rounds.summary(n_samples=10_000).round(2))
posterior = PosteriorDisplay.from_estimator(rounds, x_observed, n_samples=10_000)

# %%
# Would the model do that?
# ------------------------
#
# New outbreaks, simulated with draws from the posterior, have the observed course among them. After
# the peak it lies at the upper edge: boys stayed in bed for days more alike than this model has it.

predictive = PredictiveDisplay.from_estimator(
    rounds,
    x_observed,
    outbreak,
    n_samples=2_000,
    vectorized=True,
    random_state=0,
    groups={"boys in bed": slice(0, 14)},
    coordinates=influenza.index,
)
