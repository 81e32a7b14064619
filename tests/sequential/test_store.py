"""A run of rounds in a folder goes on after any end, with the numbers of an unbroken one."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import NLE, NPE, SequentialInference

PRIOR = {"a": stats.norm(0, 2), "b": stats.norm(0, 2)}
X = [3.0, -1.0]
TINY = {"flow": "maf", "transforms": 2, "hidden_features": (16,), "max_epochs": 10}
ROUNDS = {"n_rounds": 3, "n_simulations": 100, "random_state": 0}

pytestmark = pytest.mark.filterwarnings(
    "ignore::sksbi.exceptions.TrainingWarning", "ignore::sksbi.exceptions.SimulationWarning"
)

SCRIPT = f"""
import sys, time, warnings
from scipy import stats
from sksbi import NPE, SequentialInference
warnings.simplefilter("ignore")
def simulator(theta, rng):
    time.sleep(0.002)
    with open(sys.argv[2], "a") as file:
        file.write(f"{{theta['a']!r}}\\n")
    return rng.normal(theta, 0.1)
prior = {{"a": stats.norm(0, 2), "b": stats.norm(0, 2)}}
rounds = SequentialInference(
    NPE(prior, **{TINY}), simulator, **{ROUNDS}, store=sys.argv[1]
)
rounds.fit({X}).sample().to_pickle(sys.argv[3])
"""


def simulator(theta, rng):
    """Add noise, fail for some."""
    if theta["b"] > 3:
        raise ValueError("b is too large")
    return rng.normal(theta, 0.1)


def not_called(theta, rng):
    """Fail the test."""
    raise AssertionError("a row was simulated again")


def run(store, of=simulator, estimator=None, **options):
    """Run in a folder."""
    estimator = NPE(PRIOR, **TINY) if estimator is None else estimator
    return SequentialInference(estimator, of, **ROUNDS | {"store": store} | options).fit(X)


@pytest.mark.parametrize("kind", [NPE, pytest.param(NLE, marks=pytest.mark.slow)])
def test_a_store_changes_no_numbers(tmp_path, kind):
    """With it or without, once or again; and nothing is simulated twice."""
    estimator = kind(PRIOR, **TINY)
    expected = run(None, estimator=estimator)
    first, again = (run(tmp_path, of, estimator) for of in (simulator, not_called))
    for made in (first, again):
        pd.testing.assert_frame_equal(made.theta_, expected.theta_)
        np.testing.assert_array_equal(made.x_, expected.x_)
        pd.testing.assert_frame_equal(made.sample(), expected.sample())
        assert made.round_ == 3
    pd.testing.assert_frame_equal(first.rounds_, again.rounds_)


def test_fits_that_are_lost_are_made_again(tmp_path):
    """From the simulations that are there."""
    expected = run(tmp_path)
    for number in (2, 3):
        (tmp_path / f"round-{number:02d}.joblib").unlink()
    pd.testing.assert_frame_equal(run(tmp_path, not_called).sample(), expected.sample())


def test_more_rounds_are_added(tmp_path):
    """The first ones stay, and the numbers are those of a run that was to be so long."""
    run(tmp_path, n_rounds=2)
    more = run(tmp_path, n_rounds=4)
    pd.testing.assert_frame_equal(more.sample(), run(None, n_rounds=4).sample())


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [20])
def test_a_killed_run_goes_on(tmp_path, n_kills):
    """SIGKILL at random moments of simulating, fitting and writing."""
    rng = np.random.default_rng(0)
    places = [str(tmp_path / name) for name in ("rounds", "log", "draws")]
    command = [sys.executable, "-c", SCRIPT, *places]
    began = time.monotonic()
    subprocess.run([*command[:3], str(tmp_path / "whole"), *places[1:]], check=True)
    whole, expected = time.monotonic() - began, pd.read_pickle(places[2])
    os.unlink(places[1])
    n_killed = 0
    for _ in range(4 * n_kills):
        process = subprocess.Popen(command)
        try:
            process.wait(rng.uniform(0.5, 1) * whole)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            n_killed += process.wait() == -signal.SIGKILL
        if n_killed == n_kills:
            break
    assert n_killed
    os.unlink(places[2])
    subprocess.run(command, check=True)
    pd.testing.assert_frame_equal(pd.read_pickle(places[2]), expected)
    runs = pd.Series((tmp_path / "log").read_text().split()).value_counts()
    assert len(runs) == 300
    # Of 100 rows all may be in hand at a death.
    assert (runs - 1).sum() <= 100 * n_killed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"random_state": 1}, "another random_state"),
        ({"n_simulations": 50}, r"n_simulations=\[100\], got \[50\]|100 simulations in round 1"),
        ({"n_simulations": [100, 50]}, "100 simulations in round 2"),
        ({"estimator": NLE(PRIOR, **TINY)}, "begun with estimator=.NPE.*got .NLE"),
        ({"estimator": NPE(PRIOR, **TINY | {"max_epochs": 3})}, "max_epochs=10.*max_epochs=3"),
        ({"estimator": NPE({"a": stats.norm(), "b": stats.norm()}, **TINY)}, "another prior"),
    ],
)
def test_another_run_is_refused(tmp_path, changed, message):
    """What the numbers depend on must be as it was."""
    run(tmp_path, n_rounds=2)
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **changed)
    with pytest.raises(ValueError, match="another x_observed"):
        SequentialInference(NPE(PRIOR, **TINY), simulator, **ROUNDS, store=tmp_path).fit([0, 0])


class Joint:
    """A prior of the user's own, whose text is its address."""

    support = -np.inf, np.inf

    def __init__(self, sd):
        self.frozen = stats.multivariate_normal([0, 0], np.eye(2) * sd**2)

    def sample(self, n, random_state=None):
        """Draw."""
        return self.frozen.rvs(n, random_state=random_state)

    def log_prob(self, theta):
        """Evaluate."""
        return self.frozen.logpdf(theta)


@pytest.mark.parametrize("make", [Joint, lambda sd: Joint(sd).frozen], ids=["own", "scipy"])
def test_priors_are_known_by_their_densities(tmp_path, make):
    """Texts of some are addresses, or without what matters."""
    options = {"n_rounds": 1, "n_simulations": 100, "random_state": 0}

    def run_under(prior, **more):
        made = SequentialInference(
            NPE(prior, **TINY), lambda theta, rng: rng.normal(theta, 0.1), **options | more
        )
        return made.fit(np.array(X))

    run_under(make(2.0), store=tmp_path)
    again = run_under(make(2.0), store=tmp_path)
    with pytest.raises(ValueError, match="another prior"):
        run_under(make(1.0), store=tmp_path)
    again.set_params(estimator=NPE(make(1.0), **TINY), warm_start=True, n_rounds=2, store=None)
    with pytest.raises(ValueError, match="prior must be as in the fit"):
        again.fit(np.array(X))


def test_lost_rounds_are_told(tmp_path):
    """They would be drawn from where a later round was."""
    made = run(tmp_path / "first", n_rounds=2)
    shutil.rmtree(tmp_path / "first" / "round-01")
    with pytest.raises(ValueError, match="round-01 is lost"):
        run(tmp_path / "first", n_rounds=2)
    made.set_params(store=tmp_path / "second", warm_start=True, n_rounds=3)
    with pytest.raises(ValueError, match="from the first round on, .* has 0 of the 2"):
        made.fit(X)


def test_damaged_rounds_and_other_folders_are_told(tmp_path):
    """By the file's name."""
    (tmp_path / "file").touch()
    for store in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="store must be a folder"):
            run(store)
    (tmp_path / "file").unlink()
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "sequential.json").write_text("[]")
    with pytest.raises(ValueError, match=r"sequential\.json is something else"):
        run(tmp_path / "list")
    shutil.rmtree(tmp_path / "list")
    run(tmp_path / "rounds", n_rounds=1)
    path = tmp_path / "rounds" / "round-01.joblib"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"round-01\.joblib cannot be read"):
        run(tmp_path / "rounds")
    with pytest.raises(ValueError, match=r"holds \['rounds'\]"):
        run(tmp_path)


def test_a_seed_that_was_not_given_is_kept(tmp_path):
    """Without random_state, the folder's counts."""
    one = run(tmp_path, random_state=None, n_rounds=2)
    other = run(tmp_path, not_called, random_state=None, n_rounds=2)
    assert one.seed_ == other.seed_
    pd.testing.assert_frame_equal(one.theta_, other.theta_)
