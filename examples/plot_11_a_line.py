"""
===========================================
A histogram: a line on a falling background
===========================================

A search for a new particle counts events by their energy. A particle shows as a bump: of how many
events, and at which energy? Particle physics answers by a scan of the likelihood ratio.
:class:`~sksbi.ClassifierRatio` learns it with any classifier of scikit-learn, from simulated
histograms (`Approximating likelihood ratios with calibrated discriminative classifiers (Cranmer et
al., 2015) <https://arxiv.org/abs/1506.02169>`_).

Counts that are Poisson's have a likelihood, so the scan can be compared with the exact one.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksbi import ClassifierRatio, simulate
from sksbi.inspection import RatioDisplay

# %%
# The simulator
# -------------
#
# The background falls with the energy, by a ``slope`` that is known to one in twenty. The line has
# the width of the detector, and ``strength`` says how many hundred events belong to it. As with the
# Higgs boson and its two photons, it is a small share of what is counted.

prior = {
    "strength": stats.uniform(0, 3),
    "energy": stats.uniform(118, 14),
    "slope": stats.norm(0.03, 0.0015),
}
EDGES = np.linspace(105, 145, 21)
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2


def expected(theta):
    """Compute the counts (n, 20) that are expected."""
    strength, energy, slope = theta.to_numpy().T[:, :, None]
    share = np.diff(stats.norm.cdf(EDGES, energy, 2), axis=1)
    return 300 * np.exp(-slope * (MIDDLES - 125)) + 100 * strength * share


def count(theta, rng):
    """Draw histograms."""
    return rng.poisson(expected(theta))


theta, x = simulate(count, prior, 200_000, vectorized=True, random_state=0)
truth = pd.DataFrame({"strength": [1.3], "energy": [126.5], "slope": [0.031]})
x_observed = count(truth, np.random.default_rng(4))[0]

# %%
# The fit
# -------
#
# A classifier learns to tell a theta with its own histogram from one with the histogram of another.
# Boosted trees, the default, look at a few bins at a time; here twenty bins tell a little each, and
# scikit-learn's network adds them up.

network = MLPClassifier((64, 64), batch_size=500, early_stopping=True, n_iter_no_change=5)
classifier = make_pipeline(StandardScaler(), network)
ratio = ClassifierRatio(classifier, prior, n_folds=2, random_state=0).fit(theta, x)

# %%
# Is it any good? Of new pairs that it calls true with a probability of .9, nine in ten should be.

theta_test, x_test = simulate(count, prior, 5_000, vectorized=True, random_state=1)
RatioDisplay.from_estimator(ratio, theta_test, x_test)
plt.show()

# %%
# The scan
# --------
#
# Ratios at the same x are likelihood ratios: the logarithm, less its highest value, is what a scan
# shows. The slope is of no interest; it takes the value that fits best (a *profile*).

axes = {
    "strength": np.linspace(0, 3, 61),
    "energy": np.linspace(118, 132, 57),
    "slope": np.linspace(0.025, 0.036, 23),
}
grid = pd.MultiIndex.from_product(axes.values(), names=axes).to_frame(index=False)
log_ratio = ratio.predict_log_ratio(grid, np.tile(x_observed, (len(grid), 1)))
rates = expected(grid)
scans = {
    "learnt": log_ratio,
    "exact": np.sum(x_observed * np.log(rates) - rates, axis=1),
}
profiles = {
    name: scan.reshape([len(axis) for axis in axes.values()]).max(axis=2)
    for name, scan in scans.items()
}
for name, profile in profiles.items():
    along = profile.max(axis=1) - profile.max()
    inside = axes["strength"][-2 * along < 1]
    best = axes["strength"][along.argmax()]
    significance = np.sqrt(-2 * along[0])
    print(
        f"{name}: strength {best:.2f}, 68% interval {inside[0]:.2f} to {inside[-1]:.2f}, "
        f"{significance:.1f} standard deviations from none"
    )

# %%
# Twice the logarithm falls by 2.30 and 5.99 at the edges of regions that hold the truth in 68% and
# 95% of experiments, by Wilks' theorem.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.stairs(x_observed, EDGES, fill=True, color="0.85", label="counted")
without = truth.assign(strength=0)
left.stairs(expected(truth)[0], EDGES, baseline=None, color="C3", label="true rate")
left.stairs(expected(without)[0], EDGES, baseline=None, color="C3", ls=":", label="background")
left.set(xlabel="energy", ylabel="events", ylim=(100, None))
left.legend(frameon=False)
for (name, profile), color in zip(profiles.items(), ("C0", "black"), strict=True):
    fall = 2 * (profile.max() - profile)
    right.contour(axes["energy"], axes["strength"], fall, [2.30, 5.99], colors=color)
    right.plot([], [], color=color, label=f"{name}: 68% and 95%")
right.plot(truth["energy"], truth["strength"], "+", color="C3", ms=12, mew=2, label="true")
right.set(xlabel="energy", ylabel="strength", ylim=(0, 3.6))
right.legend(frameon=False)
plt.show()

# %%
# The same fit gives the posterior, with the prior of the slope in it:

print(ratio.summary(x_observed).round(3))

# %%
# The learnt regions agree with the exact ones, after 200,000 histograms. Where simulations are dear
# take :class:`~sksbi.NLE`, which needs fewer of them (:doc:`the recipes </choosing>`).
