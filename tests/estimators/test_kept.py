"""Which checkpoint is a fit's own: each thing that its numbers depend on is in the name."""

from copy import copy
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from sksbi import NLE, NPE
from sksbi.data import Pairs, TensorPairs
from sksbi.estimators import kept
from sksbi.estimators.kept import find_checkpoint
from sksbi.priors import check_prior

N = 30
RNG = np.random.default_rng(0)
THETA, X = RNG.uniform(size=(N, 2)), RNG.normal(size=(N, 3))
TINY = {"flow": "maf", "transforms": 1, "hidden_features": (8,), "max_epochs": 1, "random_state": 0}


class Flat:
    """A prior that is 1 on the unit square."""

    support = (0.0, 1.0)

    def sample(self, n, random_state):
        return np.random.default_rng(random_state).uniform(size=(n, 2))

    def log_prob(self, theta):
        return np.zeros(len(theta))


class Sloped(Flat):
    """A prior that is not."""

    def log_prob(self, theta):
        return np.log(0.5 + theta[:, 0])


class Mapped(Flat):
    """The flat prior with a map of its own."""

    def to_unbounded(self, theta):
        return 2 * (np.log(theta) - np.log1p(-theta))

    def from_unbounded(self, z):
        return 1 / (1 + np.exp(-z / 2))

    def log_abs_det_jacobian(self, theta, z):
        return np.log(2 / (theta * (1 - theta))).sum(axis=1)


PRIORS = [
    None,
    Flat(),
    Sloped(),
    Mapped(),
    [stats.uniform(0, 1)] * 2,
    {"a": stats.uniform(0, 1), "b": stats.uniform(0, 1)},
]


@pytest.fixture(scope="module")
def fitted():
    """Fit once; not to be changed."""
    return NPE([stats.uniform(0, 1)] * 2, **TINY).fit(THETA, X)


def file_of(estimator, folder, *, device="cpu", theta=THETA, seen=(None, None), resumed=None):
    """Name the file."""
    estimator = copy(estimator).set_params(checkpoint=folder)
    pairs = Pairs.of_positive_weight(theta, X, np.ones(len(theta)))
    net = SimpleNamespace(device=device)
    return find_checkpoint(estimator, pairs, net, seen, resumed).path.name


def test_priors_are_told_apart_by_names_densities_and_maps(fitted, tmp_path):
    """And priors that are made anew are not."""
    found = []
    for prior in PRIORS * 2:
        estimator = copy(fitted)
        estimator.prior_ = None if prior is None else check_prior(copy(prior))
        found.append(file_of(estimator, tmp_path))
    assert found[: len(PRIORS)] == found[len(PRIORS) :]
    assert len(set(found)) == len(PRIORS)


def test_devices_and_versions_count(fitted, tmp_path, monkeypatch):
    """What is rounded otherwise is another fit."""
    found = [file_of(fitted, tmp_path, device=device) for device in ("cpu", "cuda")]
    monkeypatch.setattr(kept, "_versions", lambda: ["0.0"])
    assert len({*found, file_of(fitted, tmp_path)}) == 3


class Other(NPE):
    """A user's own, which is then changed."""

    def _build_module(self, spec):
        return super()._build_module(spec)


def test_the_code_of_a_users_own_estimator_counts(tmp_path):
    """Its name is not enough."""
    body = {"_build_module": lambda self, spec: NPE._build_module(self, spec | {"transforms": 2})}
    changed = type("Other", (NPE,), body | {"__module__": __name__, "__init__": NPE.__init__})
    found = {file_of(cls(**TINY).fit(THETA, X), tmp_path) for cls in (Other, changed)}
    assert len(found) == 2
    assert all(name.startswith("Other-") for name in found)


def test_names_of_parameters_count(tmp_path):
    """Masks may refer to them."""
    names = (["a", "b"], ["b", "a"])
    fits = [NPE(**TINY).fit(pd.DataFrame(THETA, columns=n), X) for n in names]
    assert len({file_of(estimator, tmp_path) for estimator in fits}) == 2


def test_words_are_no_numbers(tmp_path):
    """Categories are discrete, though their codes may be those of numbers."""
    codes = np.arange(N) % 2
    words = pd.Categorical.from_codes(codes, ["no", "yes"])
    tables = [pd.DataFrame({"a": X[:, 0], "b": column}) for column in (codes, words)]
    fits = [NLE(**TINY).fit(THETA, x) for x in tables]
    assert len({file_of(estimator, tmp_path) for estimator in fits}) == 2


def test_scalings_count_where_a_fit_goes_on(fitted, tmp_path):
    """They are in what the network sees; elsewhere they follow from the pairs."""
    seen = [(TensorPairs(torch.full((2, 1), c), torch.ones(2, 1), torch.ones(2)), None)
            for c in (0.0, 1.0)]  # fmt: skip
    going_on = {file_of(fitted, tmp_path, seen=one, resumed=fitted.net_) for one in seen}
    assert len(going_on) == 2
    assert len({file_of(fitted, tmp_path, seen=one) for one in seen}) == 1
