"""
========================================
A simulator that is a program: a culture
========================================

Most simulators are programs: they take numbers on the command line or from a file, and leave their
results on the screen or in another file. This page fits one that nobody needs to rewrite. It counts
living cells in a dying culture. The program fails now and then, and sometimes it hangs, as programs
do. The likelihood happens to be known, so the answer can be compared with the exact one.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from sksbi import NPE, simulate
from sksbi.simulation import CommandSimulator, failures

# %%
# The program
# -----------
#
# It stands for one in any language: a file that is run with arguments. A Poisson number of cells
# begins; each dies after an exponential time. Every hour the living ones are counted, and the
# counts are printed, separated by commas. A fiftieth of the runs crash, and half as many never end.

PROGRAM = """
import random, sys, time

begin, rate, seed = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
luck = random.random()
if luck < 0.02:
    sys.exit("the incubator is out of order")
if luck < 0.03:
    time.sleep(3600)
cells, wait = 0, random.expovariate(1)
while wait < begin:
    cells, wait = cells + 1, wait + random.expovariate(1)
deaths = [random.expovariate(rate) for _ in range(cells)]
print(*(sum(death > hour for death in deaths) for hour in range(1, 7)), sep=",")
"""

work = TemporaryDirectory()
program = Path(work.name) / "culture.py"
program.write_text(PROGRAM)

# %%
# The simulator
# -------------
#
# Names in braces are parameters, and ``{seed}`` is an integer drawn for the row, so that the same
# ``random_state`` gives the same results. No shell has a say in this. ``timeout`` stops what hangs,
# together with everything that it has started. ``parse`` tells what the output is; a function would
# do as well.

prior = {"begin": stats.uniform(20, 180), "rate": stats.loguniform(0.05, 1)}  # cells, per hour


def read_counts(output):
    """Name the counts."""
    return {f"hour {i}": int(count) for i, count in enumerate(output.split(","), start=1)}


culture = CommandSimulator(
    [sys.executable, "-S", "-E", str(program), "{begin}", "{rate}", "{seed}"],
    parse=read_counts,
    timeout=1,
)

# %%
# Simulations
# -----------
#
# With a store nothing is lost: interrupt this cell, or ``kill -9`` the whole process, and the same
# call goes on. What failed is left out, with a warning; the table of failures has parameters and
# errors, the command, its status and what the program said last.

pairs = Path(work.name) / "pairs"
theta, x = simulate(culture, prior, 3_000, n_jobs=2, store=pairs, random_state=0)
lost = failures(pairs)
print(f"{len(x)} of 3000 simulations succeeded, {len(lost)} failed:")
print(lost["kind"].value_counts().to_string())
print(lost["error"].iloc[0])

# %%
# The posterior
# -------------
#
# The program fails by chance, whatever the parameters are, and in any case a posterior estimator is
# right about observations that are there. Lazy tables from the store go into ``fit`` as they are.

observed = {"hour 1": 81, "hour 2": 66, "hour 3": 51, "hour 4": 38, "hour 5": 30, "hour 6": 26}
npe = NPE(prior, random_state=0).fit(theta, x)
draws = npe.sample(observed, 5_000)
print(npe.summary(observed).round(3))

# %%
# Against the exact answer
# ------------------------
#
# The first count follows Poisson's law, and of the cells that live at one hour each lives at the
# next with probability exp(-rate). On a grid of parameters this gives the posterior itself.

counts = np.array(list(observed.values()))
begin = np.linspace(20, 200, 401)[:, None]
rate = np.geomspace(0.05, 1, 401)[None, :]
log_p = stats.poisson.logpmf(counts[0], begin * np.exp(-rate)) - np.log(rate)
for now, later in zip(counts[:-1], counts[1:], strict=True):
    log_p = log_p + stats.binom.logpmf(later, now, np.exp(-rate))
weight = np.exp(log_p - log_p.max()) * np.gradient(rate[0])
weight /= weight.sum()

figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
grids = {"begin": (begin[:, 0], weight.sum(axis=1)), "rate": (rate[0], weight.sum(axis=0))}
for axis, (name, (values, mass)) in zip(axes, grids.items(), strict=True):
    axis.hist(draws[name], bins=40, density=True, color="0.8", label="draws of NPE")
    axis.plot(values, mass / np.gradient(values), color="C0", label="exact")
    mean = np.sum(values * mass)
    sd = np.sqrt(np.sum((values - mean) ** 2 * mass))
    print(f"{name}: exact {mean:.3f} +- {sd:.3f}, drawn {draws[name].mean():.3f} +- ", end="")
    print(f"{draws[name].std():.3f}")
    axis.set(xlabel=name, yticks=[], xlim=(mean - 5 * sd, mean + 5 * sd))
axes[0].set_ylabel("density")
axes[0].legend(frameon=False)
plt.show()
work.cleanup()
