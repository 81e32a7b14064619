"""Priors that are zero in a part of their box, and maps that lead to the rest of it alone."""

import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import distributions

from sksbi import NPE, NRE, CalibratedPosterior, ClassifierRatio, Ensemble, QuantilePosterior
from sksbi.priors import Prior, check_prior

Points = NDArray[np.float64]
TINY = {"flow": "maf", "transforms": 2, "hidden_features": (16,), "max_epochs": 3}


class Sorted:
    """Uniform on 0 < theta_1 < ... < theta_D < 1, density D!."""

    support = (0.0, 1.0)

    def __init__(self, n_features: int = 2) -> None:
        self.n_features = n_features

    def sample(self, n: int, random_state: int) -> Points:
        u = np.random.default_rng(random_state).uniform(size=(n, self.n_features))
        return np.sort(u, axis=1)

    def inside(self, theta: Points) -> NDArray[np.bool_]:
        edges = np.hstack([np.zeros((len(theta), 1)), theta, np.ones((len(theta), 1))])
        return (np.diff(edges, axis=1) > 0).all(axis=1)

    def log_prob(self, theta: Points) -> Points:
        factorial = np.prod(np.arange(1, self.n_features + 1))
        return np.where(self.inside(theta), np.log(factorial), -np.inf)


class Steps(Sorted):
    """The same with its own map: the share of what is left that every step takes, as a logit."""

    def to_unbounded(self, theta: Points) -> Points:
        before = np.hstack([np.zeros((len(theta), 1)), theta[:, :-1]])
        return np.log(theta - before) - np.log(1 - theta)

    def from_unbounded(self, z: Points) -> Points:
        return 1 - np.cumprod(1 / (1 + np.exp(z)), axis=1)

    def log_abs_det_jacobian(self, theta: Points, z: Points) -> Points:
        before = np.hstack([np.zeros((len(theta), 1)), theta[:, :-1]])
        return (np.log(1 - before) - np.log(theta - before) - np.log(1 - theta)).sum(axis=1)


class Ring:
    """Uniform on .8 < |theta| < 1, area .36 pi."""

    support = (-1.0, 1.0)

    def sample(self, n: int, random_state: int) -> Points:
        generator = np.random.default_rng(random_state)
        angle, radius = generator.uniform(0, 2 * np.pi, n), np.sqrt(generator.uniform(0.64, 1, n))
        return (radius * np.array([np.cos(angle), np.sin(angle)])).T

    def log_prob(self, theta: Points) -> Points:
        square = (theta**2).sum(axis=1)
        return np.where((square > 0.64) & (square < 1), -np.log(0.36 * np.pi), -np.inf)


def two_boxes() -> distributions.MixtureSameFamily:
    """Give equal shares to (0, 1) and (2, 4)."""
    parts = distributions.Uniform(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 4.0]))
    return distributions.MixtureSameFamily(distributions.Categorical(torch.ones(2)), parts)


def shifted() -> distributions.TransformedDistribution:
    """Give a uniform on (10, 13) that torch calls real."""
    base = distributions.Uniform(torch.zeros(1), torch.ones(1))
    return distributions.TransformedDistribution(base, [distributions.AffineTransform(10.0, 3.0)])


HOLED = {"sorted": Sorted(), "ring": Ring(), "boxes": two_boxes(), "sorted in 4-D": Sorted(4)}


@pytest.mark.parametrize("spec", HOLED.values(), ids=HOLED)
def test_contains_is_where_log_prob_is_finite(spec: object) -> None:
    prior = check_prior(spec)
    low, high = prior.support
    theta = np.random.default_rng(0).uniform(low, high, (2_000, len(low)))
    inside = np.isfinite(prior.log_prob(theta))
    assert 0 < inside.sum() < len(theta)
    np.testing.assert_array_equal(prior.contains(theta), inside)
    again = pickle.loads(pickle.dumps(prior))
    np.testing.assert_array_equal(again.contains(theta), inside)


def test_a_mixture_of_boxes_has_the_box_around_them() -> None:
    prior = check_prior(two_boxes())
    np.testing.assert_array_equal(prior.support, [[0.0], [4.0]])
    np.testing.assert_allclose(
        prior.log_prob([[0.5], [1.5], [3.0]]), [np.log(0.5), -np.inf, np.log(0.25)], rtol=1e-6
    )


def test_regions_and_boxes_cut_what_is_left() -> None:
    """Of the triangle 0 < a < b < 1, a > .5 leaves a quarter, and b < .75 of that half."""
    prior = check_prior(Sorted()).within(lambda theta: theta[:, 0] > 0.5)
    assert abs(prior.acceptance - 0.25) < 5 * prior.acceptance_error
    cut = check_prior(Sorted()).truncated([0.5, 0.5], [1.0, 0.75])
    theta = np.array([[0.55, 0.7], [0.7, 0.55], [0.2, 0.7], [0.6, 0.9]])
    np.testing.assert_array_equal(prior.contains(theta), [True, False, False, True])
    np.testing.assert_array_equal(cut.contains(theta), [True, False, False, False])
    assert cut.log_prob(theta[:1])[0] == pytest.approx(np.log(32), abs=5 * cut.log_prob_error)
    assert np.isneginf(cut.log_prob(theta[1:])).all()


def grid_mass(estimator: object, prior: Prior, x: object) -> float:
    """Sum the posterior's density over the box."""
    low, high = prior.support
    axes = [lo + (np.arange(150) + 0.5) / 150 * (hi - lo) for lo, hi in zip(low, high, strict=True)]
    theta = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, len(low))
    density = np.exp(estimator.log_prob(theta, x))
    assert (density[~prior.contains(theta)] == 0).all()
    return density.sum() * np.prod((high - low) / 150)


@pytest.mark.parametrize("name", ["sorted", "ring"])
@pytest.mark.parametrize("kind", ["npe", "ensemble", "calibrated", "nre"])
def test_no_draw_no_density_and_no_mode_where_the_prior_is_zero(name: str, kind: str) -> None:
    """256 draws normalise to .0625 at worst, of independent members less; 4 standard errors."""
    spec = HOLED[name]
    prior = check_prior(spec)
    npe = NPE(spec, **TINY, random_state=0)
    estimator = {
        "npe": npe,
        "ensemble": Ensemble(npe, n_estimators=2, random_state=0),
        "calibrated": CalibratedPosterior(npe, random_state=0),
        "nre": NRE(spec, max_epochs=3, hidden_features=(16,), random_state=0),
    }[kind]
    theta = prior.sample(400, 0)
    x = theta + 0.2 * np.random.default_rng(1).normal(size=theta.shape)
    estimator.fit(theta, x)
    x_observed = prior.support[1] * [1.0, 0.0]
    draws = estimator.sample(x_observed, 300)
    assert np.isfinite(prior.log_prob(draws)).all()
    assert np.isfinite(prior.log_prob(estimator.map(x_observed)[None])).all()
    if kind != "nre":
        assert grid_mass(estimator, prior, x_observed) == pytest.approx(1, abs=0.3)
    outside = np.array([[0.9, 0.1]]) if name == "sorted" else np.zeros((1, 2))
    assert np.isneginf(estimator.log_prob(outside, x_observed)).all()


@pytest.mark.parametrize(
    "kind", ["npe", "nre", "classifier", "quantiles", "ensemble", "calibrated"]
)
def test_fit_refuses_theta_of_density_zero(kind: str) -> None:
    spec = Sorted()
    npe = NPE(spec, **TINY)
    estimator = {
        "npe": npe,
        "nre": NRE(spec),
        "classifier": ClassifierRatio(prior=spec),
        "quantiles": QuantilePosterior(prior=spec),
        "ensemble": Ensemble(npe),
        "calibrated": CalibratedPosterior(npe),
    }[kind]
    theta = np.vstack([spec.sample(50, 0), [[0.75, 0.25]]])
    with pytest.raises(ValueError, match=r"-inf in 1 of 51 rows, the first row 50: \[0.75 0.25\]"):
        estimator.fit(theta, theta)


@pytest.mark.parametrize("spec", [Steps(3), shifted()], ids=["steps", "shifted"])
def test_a_map_of_its_own_is_onto_the_prior(spec: object) -> None:
    """Nothing is redrawn, nothing normalised, and the mean of q / p is 1 for any q."""
    prior = check_prior(spec)
    z = 1.3 * np.random.default_rng(0).standard_normal((2_000, prior.n_features))
    theta = prior.from_unbounded(z)
    assert prior.contains(theta).all()
    np.testing.assert_allclose(prior.to_unbounded(theta), z, atol=1e-6)
    log_q = stats.norm(0, 1.3).logpdf(z).sum(axis=1) + prior.log_abs_det_jacobian(theta, z)
    weights = np.exp(prior.log_prob(theta) - log_q)
    assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(len(z))


def test_a_density_in_its_own_map_integrates_to_one_exactly() -> None:
    spec = Steps(2)
    theta = spec.sample(500, 0)
    npe = NPE(spec, **TINY, random_state=0)
    npe.fit(theta, theta + 0.1 * np.random.default_rng(1).normal(size=theta.shape))
    x = np.array([0.5, 0.5])
    assert spec.inside(npe.sample(x, 1_000)).all()
    assert grid_mass(npe, check_prior(spec), x) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        (None, TypeError, "all three of to_unbounded.*without from_unbounded"),
        (lambda z: z, ValueError, "from_unbounded.to_unbounded.theta.. must be theta"),
    ],
)
def test_a_map_that_does_not_invert_is_refused(
    method: object, error: type[Exception], message: str
) -> None:
    spec = Steps(2)
    spec.from_unbounded = method
    with pytest.raises(error, match=message):
        check_prior(spec)


def test_a_determinant_of_the_wrong_sign_is_refused() -> None:
    spec = Steps(2)
    spec.log_abs_det_jacobian = lambda theta, z: -Steps(2).log_abs_det_jacobian(theta, z)
    with pytest.raises(ValueError, match="log .det dz/dtheta.*finite differences.*other sign"):
        check_prior(spec)


def test_tensors_with_gradients_are_what_an_object_may_return() -> None:
    plain, spec = Sorted(), Sorted()
    spec.sample = lambda n, random_state: torch.from_numpy(
        plain.sample(n, random_state)
    ).requires_grad_()
    spec.log_prob = lambda theta: (
        torch.from_numpy(plain.log_prob(theta)).to(torch.bfloat16).requires_grad_()
    )
    prior = check_prior(spec)
    np.testing.assert_array_equal(prior.sample(5, 0), check_prior(plain).sample(5, 0))
    np.testing.assert_allclose(prior.log_prob([[0.2, 0.4]]), [np.log(2)], rtol=1e-2)


TRANSFORMED = {
    "affine": (shifted(), stats.uniform(10, 3)),
    "downwards": (
        distributions.TransformedDistribution(
            distributions.Exponential(torch.ones(1)), [distributions.AffineTransform(2.0, -3.0)]
        ),
        None,
    ),
    "exp": (
        distributions.TransformedDistribution(
            distributions.Normal(torch.zeros(1), torch.ones(1)), [distributions.ExpTransform()]
        ),
        stats.lognorm(1),
    ),
    "sigmoid, affine": (
        distributions.TransformedDistribution(
            distributions.Normal(torch.zeros(1), torch.ones(1)),
            [distributions.SigmoidTransform(), distributions.AffineTransform(-1.0, 2.0)],
        ),
        None,
    ),
}


@pytest.mark.parametrize(("spec", "twin"), TRANSFORMED.values(), ids=TRANSFORMED)
def test_torch_transforms_are_a_map_of_their_own(spec: object, twin: object) -> None:
    prior = check_prior(spec)
    theta = prior.sample(2_000, 0)
    z = prior.to_unbounded(theta)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    expected = spec.log_prob(torch.from_numpy(theta)).sum(dim=1).numpy()
    np.testing.assert_allclose(prior.log_prob(theta), expected, atol=1e-4)
    if twin is not None:
        np.testing.assert_allclose(prior.log_prob(theta), twin.logpdf(theta).ravel(), rtol=1e-9)


def test_bounds_go_through_torch_transforms() -> None:
    for name, bounds in {
        "affine": (10.0, 13.0),
        "downwards": (-np.inf, 2.0),
        "exp": (0.0, np.inf),
        "sigmoid, affine": (-1.0, 1.0),
    }.items():
        np.testing.assert_array_equal(np.ravel(check_prior(TRANSFORMED[name][0]).support), bounds)


def test_stick_breaking_changes_the_number_of_parameters_and_is_refused() -> None:
    spec = distributions.TransformedDistribution(
        distributions.Normal(torch.zeros(2), 1.0), [distributions.StickBreakingTransform()]
    )
    with pytest.raises(ValueError, match="of a simplex, leave out the last component"):
        check_prior(spec)
