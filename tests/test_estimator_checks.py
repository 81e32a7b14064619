"""The laws that others can run: kept by a family of forty lines, and broken one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import trapezoid
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.utils.estimator_checks import check_estimator

from sksbi import (
    AMNPE,
    AMNRE,
    NLE,
    NPE,
    NRE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    QuantilePosterior,
)
from sksbi.estimator_checks import (
    check_inference_estimator,
    inference_checks,
    seeded,
    simulate_pairs,
)
from sksbi.estimators.base import BaseInference
from sksbi.posteriors.base import Draws
from sksbi.posteriors.mixture import Normalised, NormalisedAt
from sksbi.samplers import ImportanceResampling


class LinearGaussian(BaseInference):
    """Throw-away family: a linear regression of unbounded theta on x, with Gaussian residuals."""

    def __init__(self, prior=None, *, random_state=None):
        self.prior = prior
        self.random_state = random_state

    _parameter_constraints: dict = {}

    def __sklearn_is_fitted__(self):
        return hasattr(self, "coefficients_")

    def _prepare(self):
        vars(self).pop("coefficients_", None)

    def _fit(self, pairs, generator):
        z = pairs.theta if self.prior_ is None else self.prior_.to_unbounded(pairs.theta)
        columns = with_one(pairs.x)
        root = np.sqrt(pairs.weight)[:, None]
        self.coefficients_ = np.linalg.lstsq(root * columns, root * z, rcond=None)[0]
        covariance = np.atleast_2d(np.cov((z - columns @ self.coefficients_).T))
        self.root_ = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(covariance)))

    def _posterior(self):
        return GaussianPosterior(self.prior_, self.coefficients_, self.root_)


class GaussianPosterior(Normalised):
    """The normal distribution of z around a linear function of x."""

    def __init__(self, prior, coefficients, root):
        self.prior, self.coefficients, self.root = prior, coefficients, root

    def _at(self, x):
        return GaussianAt(self.prior, with_one(x) @ self.coefficients, self.root)

    def marginal(self, columns):
        root = np.linalg.cholesky((self.root @ self.root.T)[np.ix_(columns, columns)])
        return GaussianPosterior(self.prior.marginal(columns), self.coefficients[:, columns], root)


class GaussianAt(NormalisedAt):
    """The same at m observations."""

    def __init__(self, prior, mean, root):
        super().__init__(prior, len(mean))
        self.mean, self.root = mean, root

    def take(self, rows):
        return GaussianAt(self.prior, self.mean[rows], self.root)

    def _draw(self, n, generator, *, log_prob):
        noise = generator.normal(size=(*self.mean.shape[:1], n, len(self.root)))
        return Draws(self._from_unbounded(self.mean[:, None] + noise @ self.root.T))

    def _log_prob(self, theta, rows):
        z = theta if self.prior is None else self.prior.to_unbounded(theta)
        white = np.linalg.solve(self.root, (z - self.mean[rows]).T)
        log_p = -0.5 * (white**2 + np.log(2 * np.pi)).sum(0) - np.log(np.diag(self.root)).sum()
        return log_p if self.prior is None else log_p + self.prior.log_abs_det_jacobian(theta, z)


def with_one(x):
    """Put a column of ones beside the others."""
    x = x.reshape(len(x), -1)
    return np.hstack([x, np.ones((len(x), 1))])


TINY = {"flow": "maf", "transforms": 1, "hidden_features": (16,), "max_epochs": 5, "lr": 1e-2}
NRE_TINY = NRE(hidden_features=(16,), max_epochs=5, validation_fraction=None)
NLE_TINY = NLE(**TINY, validation_fraction=None)
QUICK = {"sampler": ImportanceResampling(5_000)}
ESTIMATORS = [
    LinearGaussian(),
    NPE(**TINY),
    NPE(max_epochs=3, module__members=2),
    NRE_TINY,
    AMNPE(transforms=2, hidden_features=(16,), max_epochs=5, module__members=2),
    AMNRE(hidden_features=(16,), max_epochs=5, sampler=ImportanceResampling(20_000)),
    Ensemble(NPE(**TINY), n_estimators=2),
    Ensemble(clone(NRE_TINY).set_params(**QUICK), n_estimators=2),
    NLE_TINY,
    Ensemble(clone(NLE_TINY).set_params(**QUICK), n_estimators=2),
    CalibratedPosterior(clone(NLE_TINY).set_params(**QUICK), n_samples=50, cv=2),
    Ensemble(LinearGaussian(), n_estimators=2),
    CalibratedPosterior(NPE(**TINY), n_samples=50),
    CalibratedPosterior(LinearGaussian(), n_samples=50),
    CalibratedPosterior(clone(NRE_TINY).set_params(**QUICK), n_samples=50, cv=2),
    ClassifierRatio(n_folds=2, sampler=ImportanceResampling(20_000)),
    QuantilePosterior(ExtraTreesRegressor(20, min_samples_leaf=10), levels=5, n_folds=2),
]
# An Ensemble and a calibration of what others stand for, too.
SLOW = (2, 9, 10, 13, 14)
CHECKS = [
    pytest.param(
        check,
        id=f"{type(estimator).__name__}{number}-{check.__name__}",
        marks=[pytest.mark.slow] if number in SLOW else [],
    )
    for number, estimator in enumerate(ESTIMATORS)
    for check in inference_checks(estimator)
]


@pytest.mark.parametrize("check", CHECKS)
def test_laws(check):
    check()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_the_throw_away_family_passes_scikit_learns_checks():
    check_estimator(LinearGaussian())


def test_its_marginals_are_those_of_the_joint():
    theta, x = simulate_pairs(500, 0)
    fitted = seeded(LinearGaussian()).fit(theta, x)
    marginal = fitted.marginal(["sd"])
    grid = np.linspace(0.5, 2.0, 402)[1:-1]
    one = x.iloc[0]
    log_p = marginal.log_prob(grid[:, None], one)
    assert trapezoid(np.exp(log_p), grid) == pytest.approx(1, abs=0.01)
    draws, joint = marginal.sample(one, 4_000), fitted.sample(one, 4_000)
    error = np.sqrt(2 * joint["sd"].var() / 4_000)
    assert abs(draws["sd"].mean() - joint["sd"].mean()) < 5 * error
    assert marginal.parameter_names_ == ["sd"]
    swapped = fitted.marginal(["sd", "mean"])
    np.testing.assert_allclose(
        swapped.log_prob(theta[["sd", "mean"]], x), fitted.log_prob(theta, x), rtol=1e-9
    )
    assert clone(marginal) is marginal
    assert marginal.summary(one).index.tolist() == ["sd"]
    assert marginal.score(theta[["sd"]], x) == pytest.approx(
        marginal.log_prob(theta[["sd"]], x).mean()
    )
    with pytest.raises(ValueError, match="'age'"):
        fitted.marginal(["age"])
    assert not hasattr(LinearGaussian(), "marginal")
    assert not hasattr(NPE(), "marginal")


class DrawsElsewhere(LinearGaussian):
    """Draws that are not from the density."""

    def _posterior(self):
        posterior = super()._posterior()
        return Elsewhere(posterior.prior, posterior.coefficients, posterior.root)


class Elsewhere(GaussianPosterior):
    """Narrower when drawing."""

    def _at(self, x):
        at = super()._at(x)
        return ElsewhereAt(at.prior, at.mean, at.root)


class ElsewhereAt(GaussianAt):
    """Draws around a mean that is off."""

    def _draw(self, n, generator, *, log_prob):
        off = GaussianAt(self.prior, self.mean + 0.3, self.root)
        return off._draw(n, generator, log_prob=log_prob)


class Forgets(LinearGaussian):
    """Fits in NumPy's global generator."""

    def _fit(self, pairs, generator):
        np.random.normal()  # noqa: NPY002
        super()._fit(pairs, generator)


class EmulatesElsewhere(NLE):
    """Emulates x that is off."""

    def emulate(self, theta, n_samples=1, *, random_state=None):
        return super().emulate(theta, n_samples, random_state=random_state) + 0.3


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (DrawsElsewhere(), "draws must come from the density"),
        (Forgets(), "NumPy's global"),
        (EmulatesElsewhere(**TINY), "emulated x must come from the likelihood"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_law_is_named(estimator, message):
    with pytest.raises(AssertionError, match=message):
        check_inference_estimator(estimator)
