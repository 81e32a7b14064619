"""emcee's ensembles: one target after the other, moves, and what is asked for."""

import sys

import numpy as np
import pytest
from emcee.moves import StretchMove

from sksbi.samplers import AffineInvariantEnsemble, Target

CENTERS = np.array([-5.0, 5.0])


class Targets:
    """Two normals, and how often they were evaluated."""

    def __init__(self):
        self.n_points = 0

    def __call__(self, z):
        self.n_points += z.shape[0] * z.shape[1]
        return -0.5 * ((z - CENTERS[:, None, None]) ** 2).sum(axis=-1)


class Selectable(Targets):
    """The same, each alone as well."""

    def select(self, i):
        def alone(z):
            self.n_points += z.shape[1]
            return -0.5 * ((z - CENTERS[i]) ** 2).sum(axis=-1)

        return alone


def test_a_target_alone_is_evaluated_where_it_can_be():
    initial = CENTERS[:, None, None] + np.random.default_rng(0).normal(size=(2, 20, 2))
    sampler = AffineInvariantEnsemble(n_warmup=10, thin=2)
    together, alone = Targets(), Selectable()
    draws = [sampler(target, initial, 200, 0) for target in (together, alone)]
    np.testing.assert_array_equal(*draws)
    assert alone.n_points < 0.6 * together.n_points


def test_starts_that_coincide_come_apart():
    initial = np.repeat(CENTERS[:, None, None], 40, axis=1).repeat(2, axis=2)
    draws, statistics = AffineInvariantEnsemble(n_warmup=200).run(Targets(), initial, 400, 0)
    error = 5 * np.sqrt(1.5 / np.minimum(statistics.ess, 400))
    assert (np.abs(draws.mean(axis=1) - CENTERS[:, None]) < error).all()
    assert (np.abs(draws.var(axis=1) - 1) < error * np.sqrt(2)).all()


def test_moves_are_passed_on():
    initial = CENTERS[:, None, None] + np.random.default_rng(0).normal(size=(2, 20, 2))
    draws = [
        AffineInvariantEnsemble(n_warmup=5, thin=1, moves=moves)(Targets(), initial, 20, 0)
        for moves in (None, [StretchMove()])
    ]
    assert not (draws[0] == draws[1]).any()


def test_too_few_walkers_are_refused():
    with pytest.raises(ValueError, match="at least 2 D = 4 chains, got 3"):
        AffineInvariantEnsemble()(Targets(), np.zeros((2, 3, 2)), 10)


def test_without_emcee_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(ImportError, match=r'pip install "sksbi\[mcmc\]"'):
        AffineInvariantEnsemble()(Targets(), np.zeros((2, 4, 2)), 10)


def test_a_target_that_can_be_selected_is_evaluated_alone() -> None:
    shapes = []

    class Flat:
        def sample(self, shape, generator):
            return generator.standard_normal((*shape, 2))

        def log_prob(self, z):
            return -0.5 * (z**2).sum(axis=-1)

    def ratio(m):
        def log_ratio(z):
            shapes.append(len(z))
            return np.zeros(z.shape[:-1])

        return log_ratio

    target = Target(ratio(3), Flat(), lambda i: Target(ratio(1), Flat()))
    initial = np.random.default_rng(0).normal(size=(3, 20, 2))
    AffineInvariantEnsemble(n_warmup=5, thin=2)(target, initial, 20, 0)
    assert shapes.count(3) == 2  # the starts only
    assert shapes.count(1) > 3 * 2


@pytest.mark.parametrize("n_chains", [2, 3])
def test_differential_moves_take_four_walkers(n_chains):
    initial = np.random.default_rng(0).normal(size=(1, n_chains, 1))
    sampler = AffineInvariantEnsemble(n_chains=n_chains, n_warmup=5, thin=1)
    with pytest.raises(ValueError, match=f"moves = 4 chains, got {n_chains}: set n_chains=4"):
        sampler(lambda z: -0.5 * (z**2).sum(axis=-1), initial, 10, 0)
    sampler.set_params(moves=[(StretchMove(), 1.0)])
    assert sampler(lambda z: -0.5 * (z**2).sum(axis=-1), initial, 10, 0).shape == (1, 10, 1)
