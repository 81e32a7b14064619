"""
===================================
An image: a galaxy bent into a ring
===================================

A galaxy in front of another bends its light to arcs or to a ring, whose radius weighs the nearer
one. :class:`~sksbi.NPE` takes the image as it is, and learns what to look at by a convolutional
network. Surveys will find a hundred thousand lenses, and one fit serves them all (`Fast automated
analysis of strong gravitational lenses with convolutional neural networks (Hezaveh et al., 2017)
<https://arxiv.org/abs/1708.08842>`_).

The noise here is normal, so the likelihood is known, and each draw can be given a weight that makes
the answer exact.
"""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from sksbi import NPE, simulate
from sksbi.nn import ConvNet2d

# %%
# The simulator
# -------------
#
# Light that reaches us from the direction u left the far galaxy at u - a(u), where a is the
# deflection: by a sphere of stars, whose Einstein radius is ``radius``, away from its middle, and
# by the tides of the neighbourhood, a shear. The far galaxy is a round spot at ``x``, ``y``, of a
# known brightness. Lengths are seconds of arc.

prior = {
    "radius": stats.uniform(0.8, 0.8),
    "shear_1": stats.norm(0, 0.08),
    "shear_2": stats.norm(0, 0.08),
    "x": stats.norm(0, 0.2),
    "y": stats.norm(0, 0.2),
    "size": stats.uniform(0.1, 0.25),
}
NOISE, PIXELS = 0.3, 32
axis = np.linspace(-2.4, 2.4, PIXELS)
v, u = np.meshgrid(axis, axis, indexing="ij")
r = np.hypot(u, v)


def image(theta):
    """Compute the images (n, 32, 32) of a table of lenses, without noise."""
    radius, g1, g2, x, y, size = theta.to_numpy().T[:, :, None, None]
    from_x = u - radius * u / r - g1 * u - g2 * v - x
    from_y = v - radius * v / r - g2 * u + g1 * v - y
    return np.exp(-0.5 * (from_x**2 + from_y**2) / size**2)


def observe(theta, rng):
    """Add the noise of the camera."""
    return image(theta) + rng.normal(0, NOISE, (len(theta), PIXELS, PIXELS))


theta, x = simulate(observe, prior, 20_000, vectorized=True, random_state=0)
truth = pd.DataFrame(
    {"radius": 1.25, "shear_1": 0.06, "shear_2": -0.04, "x": 0.12, "y": 0.1, "size": 0.2}, index=[0]
)
x_observed = observe(truth, np.random.default_rng(1))[0]

# %%
# The fit
# -------
#
# The convolutions take most of the time, so the rest is smaller than by default.

embedding = partial(ConvNet2d, out_features=16, channels=(8, 16, 16))
npe = NPE(prior, embedding=embedding, module__members=2, max_epochs=14, random_state=0)
npe.fit(theta, x)
draws = npe.sample(x_observed, 10_000)
print(npe.summary(x_observed).assign(truth=truth.loc[0]).round(3))

# %%
# Weights that make it exact
# --------------------------
#
# Prior times likelihood over the density of NPE is the weight of a draw. The nearer the draws are
# to the exact posterior, the more equal are the weights, and the more exact draws they are worth.

residuals = x_observed - image(draws)
log_likelihood = -0.5 * np.sum(residuals**2, axis=(1, 2)) / NOISE**2
log_prior = sum(prior[name].logpdf(draws[name]) for name in prior)
log_weight = log_prior + log_likelihood - npe.log_prob(draws, x_observed)
weight = np.exp(log_weight - log_weight.max())
weight /= weight.sum()
print(f"10,000 draws are worth {1 / np.sum(weight**2):,.0f}")

exact = draws.mul(weight, axis=0).sum()
exact_sd = np.sqrt(((draws - exact) ** 2).mul(weight, axis=0).sum())
columns = {"exact": exact, "exact sd": exact_sd, "mean": draws.mean(), "sd": draws.std()}
table = pd.DataFrame(columns).assign(difference=(draws.mean() - exact) / exact_sd)
print(table.round(3))

# %%
# What is left
# ------------
#
# The image of the posterior's mean, taken from the observed one, should leave noise alone. The
# radius is known to one in a hundred, and with it the mass.

mean = image(draws.mean().to_frame().T)[0]
shown = {"observed": x_observed, "at the mean": mean, "what is left": x_observed - mean}
figure, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
for axis, (title, picture) in zip(axes, shown.items(), strict=False):
    axis.imshow(picture, origin="lower", vmin=-0.9, vmax=1.5, cmap="magma")
    axis.set(title=title, xticks=[], yticks=[])
options = {"bins": np.linspace(*np.quantile(draws["radius"], (0.001, 0.999)), 41), "density": True}
axes[3].hist(draws["radius"], alpha=0.3, label="NPE", **options)
axes[3].hist(
    draws["radius"], weights=weight, histtype="step", color="black", label="exact", **options
)
axes[3].axvline(truth.loc[0, "radius"], color="C3", label="true")
axes[3].set(xlabel="Einstein radius", yticks=[])
axes[3].legend(frameon=False)
plt.show()

# %%
# A real lens has a galaxy in the middle, a source that is not round, and a camera that blurs. Put
# them into the simulator: nothing else changes, but that the likelihood is lost as soon as
# something random is not a parameter. Then :func:`sksbi.diagnose` on lenses held out says whether
# there were enough simulations.
