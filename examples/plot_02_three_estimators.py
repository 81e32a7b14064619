"""
================================================
One observation, three estimators: an influenza
================================================

In January 1978 influenza went round a boarding school of 763 boys. How infectious was it, and how
long was a boy ill? The same simulations answer in three ways:

- :class:`~sksbi.NPE` learns the posterior as a density;
- :class:`~sksbi.NRE` learns by how much an observation changes the odds of parameters, the ratio
  :math:`p(\\theta \\mid x) / p(\\theta)`, and draws by Markov chains;
- :class:`~sksbi.ClassifierRatio` learns the same ratio by a classifier of scikit-learn, here the
  one that it takes if none is given, gradient-boosted trees.

Where three methods that learn so differently agree, the answer does not hang on one of them.
"""

import time

import numpy as np
import pandas as pd
from scipy import stats

from sksbi import NPE, NRE, ClassifierRatio, simulate
from sksbi.datasets import load_influenza
from sksbi.inspection import PosteriorDisplay

# %%
# The data
# --------
#
# The number of boys in bed on 14 days.

influenza = load_influenza()
POPULATION = influenza.attrs["population"]
DAYS = influenza.index
x_observed = influenza["in_bed"].set_axis([f"day_{day}" for day in DAYS])
print(x_observed.to_list())

# %%
# The simulator
# -------------
#
# An epidemic in a school is a matter of chance: in a short time each boy who is not immune catches
# it with a probability that grows with the number of those who are ill, and each who is ill
# recovers with another. On day 1 three boys are ill. The number in bed scatters about the number
# that are ill, as some hide it and some pretend; ``scatter`` says how much more than by chance. All
# paths of the epidemic that one does not see would have to be summed for the likelihood. The
# simulator only draws one.

prior = {
    "infection_rate": stats.lognorm(s=0.5, scale=2.0),
    "recovery_rate": stats.lognorm(s=0.5, scale=0.5),
    "scatter": stats.lognorm(s=1.0, scale=0.05),
}
STEPS_PER_DAY = 8


def outbreak(theta: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Draw one epidemic for every row of theta, and the numbers in bed."""
    infection, recovery, scatter = theta.to_numpy().T
    ill = np.full(len(theta), 3)
    healthy = POPULATION - ill
    in_bed = {}
    for name in x_observed.index:
        mean = np.maximum(ill, 1e-3)
        in_bed[name] = rng.poisson(mean * rng.gamma(1 / scatter, scatter))
        for _ in range(STEPS_PER_DAY):
            risk = -np.expm1(-infection * ill / POPULATION / STEPS_PER_DAY)
            caught = rng.binomial(healthy, risk)
            recovered = rng.binomial(ill, -np.expm1(-recovery / STEPS_PER_DAY))
            healthy, ill = healthy - caught, ill + caught - recovered
    return pd.DataFrame(in_bed)


theta, x = simulate(outbreak, prior, 10_000, vectorized=True, random_state=0)

# %%
# Three fits
# ----------
#
# All are fitted to the same pairs, and asked for the same number of draws.

estimators = {
    "NPE": NPE(prior, random_state=0),
    "NRE": NRE(prior, random_state=0),
    "ClassifierRatio": ClassifierRatio(prior=prior, random_state=0),
}
draws, seconds = {}, {}
for name, estimator in estimators.items():
    start = time.perf_counter()
    estimator.fit(theta, x)
    fitted = time.perf_counter()
    draws[name] = estimator.sample(x_observed, 4_000)
    seconds[name] = {"fit, s": fitted - start, "draws, s": time.perf_counter() - fitted}
print(pd.DataFrame(seconds).T.round(1))

# %%
# The posteriors
# --------------
#
# The shaded regions hold 50% and 90% of the draws.

display = PosteriorDisplay.from_samples(draws)

# %%
# What one would report is the number of boys that one boy infects at the beginning, the ratio of
# the two rates, and how many days a boy is ill.

quantities = pd.concat(
    {
        name: pd.DataFrame(
            {
                "reproduction number": table["infection_rate"] / table["recovery_rate"],
                "days ill": 1 / table["recovery_rate"],
            }
        )
        for name, table in draws.items()
    }
)
print(quantities.groupby(level=0, sort=False).quantile([0.05, 0.5, 0.95]).unstack().round(2))

# %%
# Trees see the ratio in steps, and they are cautious far from what they have seen often, so their
# posterior is wider. It took the shortest time, and no network.
#
# What a ratio can do besides
# ---------------------------
#
# Likelihood ratios of two hypotheses are ratios of ratios: the evidence cancels. Was a boy ill for
# two days or for four, if either way he infected 3.5 others?

hypotheses = pd.DataFrame(
    {"infection_rate": [1.75, 0.875], "recovery_rate": [0.5, 0.25], "scatter": [0.05, 0.05]},
    index=["two days", "four days"],
)
for name in ("NRE", "ClassifierRatio"):
    two, four = estimators[name].predict_log_ratio(hypotheses, x_observed)
    print(f"{name}: the data favour two days by a log-likelihood ratio of {two - four:.1f}")

# %%
# Chains can fail, so the sampler reports on itself: ``r_hat`` is near one where the chains agree,
# and ``ess`` is the number of independent draws that these are worth.

_, report = estimators["NRE"].sample(x_observed, 4_000, return_report=True)
print(report.round(2))
