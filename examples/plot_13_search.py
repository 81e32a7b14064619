"""
===============================================
Searching for settings, by halving, and on Dask
===============================================

Which flow, how wide, how fast should it learn? The defaults are a good guess, and scikit-learn's
searches look for better ones: ``GridSearchCV``, ``HalvingRandomSearchCV`` and their kin take the
estimators of sksbi as they are. Halving begins with many candidates on few simulations, and gives
more to those that do well.

The problem is "two moons" of the benchmark sbibm [1]_, whose exact posterior is two crescents.

.. [1] Benchmarking Simulation-Based Inference (Lueckmann et al., 2021).
   https://arxiv.org/abs/2101.04653
"""

import joblib
import pandas as pd
from distributed import Client
from scipy import stats
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV

from sksbi import NPE
from sksbi.datasets import load_task
from sksbi.inspection import PosteriorDisplay
from sksbi.metrics import c2st_score

task = load_task("two_moons")
theta, x = task.simulate(2_000, random_state=0)
_, (x_observed,) = task.simulate(1, random_state=2)
exact = task.sample_posterior(x_observed, 1_000, random_state=0)

# %%
# What is searched
# ----------------
#
# Distributions of scipy.stats are drawn from, lists are chosen from, and options of the optimizer
# and of other parts are reached by their names with two underscores. The score is the mean
# log-density that the posterior gives to parameters held out.

candidates = {
    "flow": ["maf", "nsf"],
    "transforms": [1, 2, 4],
    "lr": stats.loguniform(3e-4, 1e-2),
    "optimizer__weight_decay": [0.0, 1e-2],
}
npe = NPE(task.prior, optimizer="adamw", max_epochs=30, random_state=0)
search = HalvingRandomSearchCV(
    npe, candidates, n_candidates=9, factor=3, min_resources=200, cv=2, random_state=0
)

# %%
# On Dask
# -------
#
# joblib sends the fits wherever it is told to. Here that is a cluster of Dask within this process;
# with the address of a real one, ``Client("tcp://...")``, nothing else changes. Every fit has its
# own seed, so the numbers are the same on one core, on many, and on a cluster.

with (
    Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None),
    joblib.parallel_config("dask"),
):
    search.fit(theta, x)

columns = ["iter", "n_resources", *[f"param_{name}" for name in candidates], "mean_test_score"]
table = pd.DataFrame(search.cv_results_)[columns]
print(
    table.sort_values(["iter", "mean_test_score"], ascending=False).round(4).to_string(index=False)
)

# %%
# Was it worth it?
# ----------------
#
# A search is never lost: ``best_estimator_`` is fitted to all simulations. But compare it with the
# defaults, on simulations that neither has seen. The default is an ensemble of spline flows with a
# schedule of its own, and a search among small flows does not always find something better.

theta_new, x_new = task.simulate(2_000, random_state=1)
default = NPE(task.prior, random_state=0).fit(theta, x)
for name, estimator in (("best found", search.best_estimator_), ("default", default)):
    draws = estimator.sample(x_observed, 1_000, random_state=0)
    c2st = c2st_score(draws, exact, random_state=0)
    print(f"{name}: log-density {estimator.score(theta_new, x_new):.2f}, C2ST {c2st:.2f}")

# %%
# A C2ST of 0.5 is the best there is: no classifier can tell the draws from the exact posterior.
# Both reach it here. The default has the higher density on new simulations, without a search.

display = PosteriorDisplay.from_estimator(default, x_observed, n_samples=2_000)
