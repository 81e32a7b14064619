"""
=====================================
Checking a posterior, and mending it
=====================================

A posterior from few simulations is usually too sure of itself. This page fits one on purpose, finds
out by every check that sksbi has, and mends its regions. :doc:`../checking` says what each check
means.
"""

import numpy as np
import pandas as pd

from sksbi import NPE, NRE, CalibratedPosterior, diagnose
from sksbi.datasets import load_task
from sksbi.inspection import (
    CoverageDisplay,
    MarginalsDisplay,
    MisspecificationDisplay,
    RankDisplay,
    RatioDisplay,
    TarpDisplay,
    TraceDisplay,
)
from sksbi.metrics import draw_held_out, lc2st
from sksbi.samplers import MetropolisHastings

# %%
# The task
# --------
#
# A simulator from the benchmark of the field: five parameters, eight numbers, a simple likelihood
# and a complicated posterior. 1,000 simulations are few for it. 500 more, which no estimator sees
# in its fit, are for the checks.

task = load_task("slcp")
theta, x = task.simulate(1_000, random_state=0)
theta_new, x_new = task.simulate(500, random_state=1)
x_observed = task.simulate(1, random_state=2)[1][0]

npe = NPE(task.prior, random_state=0).fit(theta, x)

# %%
# All checks in one call
# ----------------------
#
# The first line of the table says it: regions are too small. In the figure their coverage leaves
# the band of chance. An exact posterior's curves stay inside, each as a whole with probability
# 0.95.

table, figure = diagnose(npe, theta_new, x_new, x_observed)
with pd.option_context("display.max_colwidth", None):
    print(table["verdict"])

# %%
# One by one
# ----------
#
# :func:`~sksbi.metrics.draw_held_out` draws once for all displays. They take ``ax``, so that two
# posteriors can be compared: here the same network after four times as many simulations.

more = NPE(task.prior, random_state=0).fit(*task.simulate(4_000, random_state=3))
few_draws = draw_held_out(npe, theta_new, x_new, 500, random_state=0)
more_draws = draw_held_out(more, theta_new, x_new, 500, random_state=0)

display = CoverageDisplay.from_held_out(few_draws, label="1,000 simulations")
CoverageDisplay.from_held_out(more_draws, label="4,000 simulations", ax=display.ax_)

# %%
# Ranks say which parameters are off, and in which way: a curve that rises at both ends of the level
# comes from ranks at the ends, a posterior that is too narrow.

RankDisplay.from_held_out(few_draws)

# %%
# TARP judges the joint posterior without its density. Here its curves stay inside: balls around
# random points see less of an error that is spread over five parameters.

display = TarpDisplay.from_held_out(few_draws, label="1,000 simulations", random_state=0)
TarpDisplay.from_held_out(more_draws, label="4,000 simulations", random_state=0, ax=display.ax_)

# %%
# What a scientist looks at first: the estimates over the true values. Parameters 3 and 4 enter the
# simulator as squares, so both signs are in their posteriors, and the median is no estimate.

MarginalsDisplay.from_held_out(more_draws, max_observations=100, random_state=0)

# %%
# At the observation
# ------------------
#
# Coverage is an average. The local test asks at one observation, by a classifier that tries to tell
# true pairs from drawn ones.

for name, estimator in (("1,000 simulations", npe), ("4,000 simulations", more)):
    drawn, at_observed = estimator.sample(x_new, 1), estimator.sample(x_observed, 500)
    result = lc2st(theta_new, x_new, drawn, x_observed, at_observed, random_state=0)
    print(f"{name}: p = {result.p_value:.2f}")

# %%
# Is it like anything that the simulator made? A copy with one number off by a misprint is not.

misprint = x_observed.copy()
misprint[0] += 60
MisspecificationDisplay.from_samples(
    x, np.stack([x_observed, misprint]), names=["observed", "misprint"]
)

# %%
# Mending the regions
# -------------------
#
# :class:`~sksbi.CalibratedPosterior` sets a fifth of the same 1,000 simulations aside and learns
# how large a region has to be. The draws stay as they are, the regions cover what they claim.

calibrated = CalibratedPosterior(NPE(task.prior), random_state=0).fit(theta, x)
rows = {}
for level in (0.5, 0.8, 0.95):
    denser = few_draws.log_prob_draws > few_draws.log_prob_theta[:, None]
    rows[f"{level:.0%}"] = {
        "plain": np.mean(denser.mean(axis=1) <= level),
        "calibrated": calibrated.in_region(theta_new, x_new, level).mean(),
        "nominal level": calibrated.nominal_level(level),
    }
print(pd.DataFrame(rows).T.round(2))

# %%
# Ratios and chains
# -----------------
#
# A ratio estimator is a classifier of true and shuffled pairs, so one can ask whether its
# probabilities are frequencies.

nre = NRE(task.prior, max_epochs=10, random_state=0).fit(theta, x)
RatioDisplay.from_estimator(nre, theta_new, x_new)

# %%
# Its draws come from Markov chains, many short ones. For a look at them, twenty long ones, of which
# four are drawn.

nre.set_params(sampler=MetropolisHastings(n_chains=20, thin=4))
TraceDisplay.from_estimator(nre, x_observed, n_samples=6_000, random_state=0)
