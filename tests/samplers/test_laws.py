"""Laws of every sampler: exact distributions, seeds, starts, shapes, and what is refused."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from sksbi.metrics import c2st_score
from sksbi.samplers import (
    AffineInvariantEnsemble,
    ImportanceResampling,
    MetropolisHastings,
    NestedSampling,
    SliceSampler,
    Target,
)

SAMPLERS = {
    "mixture": MetropolisHastings(),
    "differential": MetropolisHastings(proposal="differential", thin=30),
    "gaussian": MetropolisHastings(proposal="gaussian", thin=30),
    "slice": SliceSampler(n_warmup=30, thin=10),
    "emcee": AffineInvariantEnsemble(n_warmup=50, thin=20),
    "importance": ImportanceResampling(50_000),
    "nested": NestedSampling(300),
}
QUICK = {name: clone(sampler) for name, sampler in SAMPLERS.items()}
for _sampler in QUICK.values():
    if hasattr(_sampler, "thin"):
        _sampler.set_params(n_warmup=8, thin=2)
QUICK["importance"].set_params(n_candidates=2000)
QUICK["nested"].set_params(n_live=50)
CHAINS = {name: s for name, s in QUICK.items() if hasattr(s, "thin")}


def names(table):
    """List samplers, of which nested sampling takes seconds a call."""
    return [pytest.param(n, marks=pytest.mark.slow) if n == "nested" else n for n in table]


class Normal:
    """A reference: independent normals, wider than the targets."""

    def __init__(self, scale, D=2):
        self.scale, self.D = scale, D

    def sample(self, shape, generator):
        return self.scale * generator.standard_normal((*shape, self.D))

    def log_prob(self, z):
        return -0.5 * (z**2).sum(axis=-1) / self.scale**2


ROOT = np.array([[1.0, 0.0], [0.9, 0.2]])


def gaussian(z):
    """Correlated, mean (1, -1)."""
    y = (z - np.array([1.0, -1.0])) @ np.linalg.inv(ROOT).T
    return -0.5 * (y**2).sum(axis=-1)


def banana(z):
    """z_1 ~ N(0, 1), z_2 ~ N(z_1^2, 0.5^2)."""
    return -0.5 * z[..., 0] ** 2 - 0.5 * ((z[..., 1] - z[..., 0] ** 2) / 0.5) ** 2


def two_modes(z):
    """Two narrow Gaussians, a quarter of the mass at (-1.5, -1.5), the rest at (1.5, 1.5)."""
    left, right = (-0.5 * (((z - c) / 0.3) ** 2).sum(axis=-1) for c in (-1.5, 1.5))
    return np.logaddexp(np.log(0.25) + left, np.log(0.75) + right)


def exact(name, n, seed=0):
    """Draw exactly."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 2))
    if name == "gaussian":
        return np.array([1.0, -1.0]) + noise @ ROOT.T
    if name == "banana":
        return np.column_stack([noise[:, 0], noise[:, 0] ** 2 + 0.5 * noise[:, 1]])
    return np.where(rng.random((n, 1)) < 0.25, -1.5, 1.5) + 0.3 * noise


DENSITIES = {"gaussian": gaussian, "banana": banana, "two_modes": two_modes}


def make_target(density, scale=2.5, D=2):
    reference = Normal(scale, D)
    return Target(lambda z: density(z) - reference.log_prob(z), reference)


def starts(sampler, n, m=1, seed=0):
    """Start anywhere."""
    shape = (m, sampler.count_chains(n), 2)
    return 1.5 * np.random.default_rng(seed).normal(size=shape)


# Gaussian steps alone do not find their way from mode to mode.
PAIRS = [(s, d) for s in SAMPLERS for d in DENSITIES if (s, d) != ("gaussian", "two_modes")]
PAIRS = [pytest.param(*p, marks=pytest.mark.slow) if p[0] == "nested" else p for p in PAIRS]


@pytest.mark.parametrize(("name", "density"), PAIRS)
def test_moments_are_exact(name, density):
    n, m, sampler = 1000, 4, SAMPLERS[name]
    target = make_target(DENSITIES[density])
    draws, statistics = sampler.run(target, starts(sampler, n, m), n, random_state=1)
    assert draws.shape == (m, n, 2)
    truth = exact(density, 400_000)
    ess = np.minimum(statistics.ess.sum(axis=0), m * n)
    if name not in CHAINS:
        assert np.isnan(statistics.r_hat).all()
    else:
        assert statistics.r_hat.max() < 1.4
        assert ess.min() > 0.15 * m * n
    for power in (1, 2):
        values, reference = draws.reshape(-1, 2) ** power, truth**power
        error = np.abs(values.mean(axis=0) - reference.mean(axis=0))
        # The size is that of the mean of ranks; tails mix more slowly, by half at most.
        assert (error < 5 * reference.std(axis=0) * np.sqrt(1.5 / ess)).all()


@pytest.mark.parametrize(
    ("name", "density"),
    [
        ("mixture", "banana"),
        ("mixture", "two_modes"),
        ("differential", "two_modes"),
        ("slice", "two_modes"),
        ("emcee", "banana"),
        ("importance", "two_modes"),
        pytest.param("nested", "two_modes", marks=pytest.mark.slow),
    ],
)
def test_a_network_cannot_tell_draws_from_exact_ones(name, density):
    n, sampler = 1000, clone(SAMPLERS[name])
    if name in ("differential", "slice", "emcee"):
        sampler.set_params(n_warmup=60, thin=40)  # nearly independent draws
    draws = sampler(make_target(DENSITIES[density]), starts(sampler, n), n, random_state=2)[0]
    score = c2st_score(draws, exact(density, n), n_folds=2)
    assert score < 0.5 + 4 * np.sqrt(0.25 / (2 * n))


@pytest.mark.parametrize("name", names(QUICK))
def test_seeds_repeat_and_the_global_generator_stays(name):
    sampler, target = QUICK[name], make_target(gaussian)
    before = np.random.get_state()  # noqa: NPY002
    draws = [sampler(target, starts(sampler, 300), 300, seed) for seed in (0, 0, 1, None)]
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not (draws[0] == draws[2]).any()
    # Fresh entropy: now and then a chain has not moved from its start in either run.
    assert (draws[0] == draws[3]).mean() < 0.05
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize("name", names(QUICK))
def test_copies_draw_the_same(name):
    sampler, target = QUICK[name], make_target(gaussian)
    initial = starts(sampler, 150)
    expected = sampler(target, initial, 150, 3)
    for copy in (clone(sampler), pickle.loads(pickle.dumps(sampler))):
        assert copy.get_params() == sampler.get_params()
        np.testing.assert_array_equal(copy(target, initial, 150, 3), expected)


@pytest.mark.parametrize("name", names(QUICK))
@pytest.mark.parametrize("n", [1, 99, 101, 250])
def test_any_number_of_draws_comes_back(name, n):
    sampler = QUICK[name]
    draws, statistics = sampler.run(make_target(gaussian), starts(sampler, n, m=2), n, 0)
    assert draws.shape == (2, n, 2)
    assert draws.dtype == np.float64
    assert np.isfinite(draws).all()
    assert statistics.ess.shape == statistics.r_hat.shape == (2, 2)
    assert np.isfinite(statistics.ess).all()


@pytest.mark.parametrize("name", names(SAMPLERS))
def test_many_targets_at_once_are_each_its_own(name):
    centers = np.array([-1.0, 0.0, 1.0])[:, None, None]
    scales = np.array([0.3, 1.0, 0.3])[:, None, None]

    def density(z):
        return -0.5 * (((z - centers) / scales) ** 2).sum(axis=-1)

    if name == "emcee":  # its walkers are evaluated for one target after the other

        class Selectable(Target):
            def select(self, i):
                return lambda z: -0.5 * (((z - centers[i]) / scales[i]) ** 2).sum(axis=-1)
    else:
        Selectable = Target
    plain = make_target(density)
    target = Selectable(plain.log_ratio, plain.reference)
    sampler, n = SAMPLERS[name], 1000
    draws, statistics = sampler.run(target, starts(sampler, n, m=3), n, 0)
    bound = 5 / np.sqrt(np.minimum(statistics.ess, n) / 1.5)
    assert (np.abs(draws.mean(axis=1) - centers[:, 0]) < bound * scales[:, 0]).all()
    squares = ((draws - centers) ** 2 / scales**2).mean(axis=1)
    assert (np.abs(squares - 1) < bound * np.sqrt(2)).all()


@pytest.mark.parametrize("hole", [np.nan, -np.inf])
@pytest.mark.parametrize("name", names(QUICK))
def test_what_has_no_density_is_never_drawn(name, hole):
    def density(z):
        return np.where(z[..., 0] > 0.5, -z[..., 0], hole)

    sampler = QUICK[name]
    initial = starts(sampler, 400, m=2)
    assert (initial[..., 0] <= 0.5).any()
    plain = Normal(2.5)
    target = Target(lambda z: density(z), plain)
    draws = sampler(target, initial, 400, 0)
    assert (draws[..., 0] > 0.5).all()


def test_nan_is_minus_infinity():
    sampler = QUICK["mixture"]
    initial = starts(sampler, 200)
    draws = [
        sampler(lambda z, v=v: np.where(z[..., 0] > 0, gaussian(z), v), initial, 200, 0)
        for v in (np.nan, -np.inf)
    ]
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("name", CHAINS)
def test_a_target_without_any_start_is_named(name):
    def density(z):
        return np.where(np.arange(3)[:, None] == 1, -np.inf, gaussian(z))

    with pytest.raises(ValueError, match="none among the 100 of target 1"):
        CHAINS[name](density, starts(CHAINS[name], 10, m=3), 10, 0)


@pytest.mark.parametrize("name", names(QUICK))
def test_the_first_draws_are_as_good_as_all(name):
    target = make_target(two_modes)
    sampler = SAMPLERS["importance"] if name == "importance" else QUICK[name]
    initial = np.repeat(exact("two_modes", 100)[None], 2, axis=0)
    draws = sampler(target, initial, 2000, 0)
    first, all_of_them = draws[:, :500, 0] > 0, draws[..., 0] > 0
    # A part drawn at random, without replacement.
    share = all_of_them.mean(axis=1)
    sd = np.sqrt(share * (1 - share) / 500)
    assert (np.abs(first.mean(axis=1) - share) < 4 * sd).all()


@pytest.mark.parametrize("name", QUICK)
def test_an_interrupt_ends_it(name):
    def density(z):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        QUICK[name](make_target(density), starts(QUICK[name], 10), 10, 0)


@pytest.mark.parametrize("name", names(QUICK))
def test_a_bar_is_shown_when_asked_for(name, capsys):
    sampler, target = QUICK[name], make_target(gaussian)
    sampler.run(target, starts(sampler, 10), 10, 0)
    assert capsys.readouterr().err == ""
    sampler.run(target, starts(sampler, 10), 10, 0, verbose=1)
    assert "100%" in capsys.readouterr().err


def test_the_starts_are_not_overwritten():
    for sampler in CHAINS.values():
        initial = starts(sampler, 10)
        before = initial.copy()
        sampler(make_target(gaussian), initial, 10, 0)
        np.testing.assert_array_equal(initial, before)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    ("values", "match"),
    [
        (lambda z: z[..., 0].sum(axis=1), r"log_prob must return shape \(1, \d+\) .* got \(1,\)"),
        (lambda z: z, r"log_prob must return shape \(1, \d+\) .* got \(1, \d+, 2\)"),
        (lambda z: z[..., 0] + np.inf, "log_prob must be below inf, got inf for target 0"),
    ],
)
def test_bad_results_of_the_density_are_refused(name, values, match):
    plain = Normal(2.5)

    class Bad(Target):
        def __call__(self, z):
            return self.log_ratio(z)

    with pytest.raises(ValueError, match=match):
        QUICK[name](Bad(values, plain), starts(QUICK[name], 10), 10, 0)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"initial": np.ones((5, 2))}, ValueError, r"initial must have shape .* got \(5, 2\)"),
        ({"initial": np.ones((0, 5, 2))}, ValueError, r"none of them 0, got \(0, 5, 2\)"),
        ({"initial": np.full((1, 5, 2), np.nan)}, ValueError, "finite, got .* of target 0"),
        ({"n_samples": 0}, ValueError, "n_samples must be an int >= 1, got 0"),
        ({"n_samples": 2.5}, TypeError, "n_samples must be an int >= 1, got 2.5"),
        ({"random_state": "one"}, ValueError, "random_state must be .* got 'one'"),
        ({"log_prob": 3}, TypeError, "log_prob must be callable, got int"),
        ({"initial": [[["a"]]]}, TypeError, "initial must be real numbers, got .* such as .'a'"),
        ({"initial": [[[1j]]]}, TypeError, "initial must be real numbers, got complex128"),
        ({"initial": [[["a", 1.0]]]}, TypeError, "initial must be real numbers"),
        ({"initial": [[[1.0], [1.0, 2.0]]]}, TypeError, "initial must be real numbers: .*inhomog"),
        ({"n_samples": 1j}, TypeError, "n_samples must be an int >= 1, got 1j"),
        ({"random_state": 1j}, ValueError, "random_state must be .* got 1j"),
    ],
)
def test_bad_arguments_are_refused(name, change, error, match):
    arguments = {"log_prob": make_target(gaussian), "initial": np.ones((1, 9, 2)), "n_samples": 5}
    with pytest.raises(error, match=match):
        QUICK[name](**{**arguments, **change})


@pytest.mark.parametrize("name", QUICK)
def test_bad_parameters_are_refused(name):
    with pytest.raises(ValueError, match="'n_chains' .* Got 0"):
        clone(QUICK[name]).set_params(n_chains=0).count_chains(10)
    bad = {"importance": "n_candidates", "nested": "n_live"}.get(name, "thin")
    with pytest.raises(ValueError, match=f"'{bad}' .* Got 0"):
        clone(QUICK[name]).set_params(**{bad: 0})(gaussian, np.ones((1, 9, 2)), 5)


def test_numbers_of_chains():
    assert MetropolisHastings(n_chains=7).count_chains(1000) == 7
    counts = [MetropolisHastings().count_chains(n) for n in (1, 1000, 4000, 10_000, 100_000)]
    assert counts == [100, 100, 400, 1000, 1000]
    assert ImportanceResampling().count_chains(1000) == 1


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("value", [1j, "a"])
def test_a_density_that_is_no_real_number_is_refused(name, value):
    target = Target(lambda z: np.full(z.shape[:-1], value), Normal(2.5))
    with pytest.raises(TypeError, match="log_prob must be real numbers, got"):
        QUICK[name](Bare(target) if name in CHAINS else target, np.ones((1, 9, 2)), 5, 0)


class Bare:
    """A density without a reference."""

    def __init__(self, target):
        self.target = target

    def __call__(self, z):
        return self.target.log_ratio(z)


@pytest.mark.parametrize("name", QUICK)
def test_advice_names_parameters_that_there_are(name):
    advice = QUICK[name].advise()
    parameters = ("n_warmup", "thin", "n_chains", "n_candidates", "n_live")
    named = {word for word in parameters if word in advice}
    assert named
    assert named <= set(QUICK[name].get_params())
    assert ("chains" in advice) or name not in CHAINS
