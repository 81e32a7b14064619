"""QuantilePosterior: exact with exact quantiles, calibrated with others, and what it asks for."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import ndtri
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sksbi.pipeline
from sksbi import QuantilePosterior

D = 3
PRIOR = [stats.norm(1, 2)] * D
MAP = np.array([[1.0, 0.5, 0.0], [0.3, 1.0, 0.2], [0.0, 0.4, 1.0]])
NOISE = 0.7
PLAIN = {"trend": None, "n_folds": None, "random_state": 0}


def gaussian(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate x = A theta + noise."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(1, 2, size=(n, D))
    return theta, theta @ MAP.T + NOISE * rng.normal(size=(n, D))


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the means (n, D) and the covariance of the posterior."""
    covariance = np.linalg.inv(np.eye(D) / 4 + MAP.T @ MAP / NOISE**2)
    return (x @ MAP / NOISE**2 + 0.25) @ covariance, covariance


def exact_log_prob(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    mean, covariance = exact(x)
    return stats.multivariate_normal(np.zeros(D), covariance).logpdf(theta - mean)


class Conditionals(RegressorMixin, BaseEstimator):
    """
    Knows theta_j given theta_<j and x: a stand-in for a regressor that does not err.

    It sees parameters standardised by their own mean and standard deviation, as theta is normal.
    """

    def __init__(self, center: np.ndarray, scale: np.ndarray) -> None:
        self.center, self.scale = center, scale

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Conditionals":
        self.j_ = X.shape[1] - D
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.moments(X)[0]

    def moments(self, X: np.ndarray) -> tuple[np.ndarray, float]:
        """Give the conditional means and standard deviation."""
        j = self.j_
        before, x = X[:, :j] * self.scale[:j] + self.center[:j], X[:, j:]
        mean, covariance = exact(x)
        gain = covariance[j, :j] @ np.linalg.pinv(covariance[:j, :j])
        sd = np.sqrt(covariance[j, j] - gain @ covariance[:j, j])
        expected = mean[:, j] + (before - mean[:, :j]) @ gain
        return (expected - self.center[j]) / self.scale[j], sd / self.scale[j]


def true_quantiles(regressor: Conditionals, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
    mean, sd = regressor.moments(X)
    return mean[:, None] + sd * ndtri(levels)


@pytest.fixture(scope="module")
def oracle() -> QuantilePosterior:
    theta, x = gaussian(200, 0)
    regressor = Conditionals(theta.mean(axis=0), theta.std(axis=0))
    return QuantilePosterior(regressor, PRIOR, quantiles=true_quantiles, **PLAIN).fit(theta, x)


# Exact quantiles.


def test_exact_quantiles_give_the_exact_density(oracle: QuantilePosterior) -> None:
    theta, x = gaussian(500, 1)
    # the prior's map Phi^-1(F) costs digits far out
    np.testing.assert_allclose(
        oracle.log_prob(theta, x), exact_log_prob(theta, x), rtol=1e-6, atol=1e-6
    )
    assert oracle.score(theta, x) == pytest.approx(exact_log_prob(theta, x).mean(), abs=1e-6)


def test_exact_quantiles_give_the_exact_draws(oracle: QuantilePosterior) -> None:
    x, n = gaussian(3, 2)[1], 20_000
    draws, (mean, covariance) = oracle.sample(x, n, random_state=0), exact(x)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=1) - mean) / sd).max() < 4 / np.sqrt(n)
    for of_one in draws:
        # products of standardised normal numbers have variances of at most two
        error = np.cov(of_one.T) - covariance
        assert (np.abs(error) / np.outer(sd, sd)).max() < 4 * np.sqrt(2 / n)


def test_the_mode_is_the_mean(oracle: QuantilePosterior) -> None:
    x = gaussian(3, 2)[1]
    np.testing.assert_allclose(oracle.map(x), exact(x)[0], atol=0.01)


@pytest.mark.parametrize("levels", [[0.2, 0.5, 0.6], 9, "auto"])
def test_levels_do_not_matter_to_normal_quantiles(
    oracle: QuantilePosterior, levels: object
) -> None:
    theta, x = gaussian(200, 0)
    other = QuantilePosterior(
        oracle.regressor, PRIOR, quantiles=true_quantiles, levels=levels, **PLAIN
    ).fit(theta, x)
    np.testing.assert_allclose(other.log_prob(theta, x), oracle.log_prob(theta, x), atol=1e-6)


class Truncated(RegressorMixin, BaseEstimator):
    """Knows theta in (0, 1) given x = theta + noise, at its quantiles in normal scores."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Truncated":
        self.target_ = y
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0]


def test_more_levels_come_nearer_to_a_truncated_density() -> None:
    rng = np.random.default_rng(0)
    theta = rng.uniform(size=(500, 1))
    x = theta + 0.3 * rng.normal(size=(500, 1))
    z = ndtri(theta)

    def hook(regressor: Truncated, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        low, high = (0 - X[:, :1]) / 0.3, (1 - X[:, :1]) / 0.3
        quantiles = stats.truncnorm(low, high, X[:, :1], 0.3).ppf(levels[None])
        return (ndtri(quantiles) - z.mean()) / z.std()

    truth = stats.truncnorm(-x / 0.3, (1 - x) / 0.3, x, 0.3).logpdf(theta)[:, 0]
    errors = []
    for levels in (3, 9, 25):
        posterior = QuantilePosterior(
            Truncated(), [stats.uniform(0, 1)], quantiles=hook, levels=levels, **PLAIN
        ).fit(theta, x)
        gap = np.abs(posterior.log_prob(theta, x) - truth)
        errors.append(np.median(gap))
        assert np.quantile(gap, 0.9) < 0.2
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.01


# The default, on closed forms.


@pytest.fixture(scope="module")
def fitted() -> QuantilePosterior:
    return QuantilePosterior(prior=PRIOR, random_state=0).fit(*gaussian(1000, 0))


def test_a_gaussian_is_found(fitted: QuantilePosterior) -> None:
    theta, x = gaussian(2000, 1)
    gain = exact_log_prob(theta, x).mean() - fitted.score(theta, x)
    assert -0.01 < gain < 0.08  # measured: 0.03 with 1,000 simulations, 0.01 with 10,000
    draws, (mean, covariance) = fitted.sample(x[:100], 1000), exact(x[:100])
    sd = np.sqrt(np.diag(covariance))
    # the error of a mean, root mean square, measured at 0.08 to 0.12 posterior deviations
    assert np.sqrt(((draws.mean(axis=1) - mean) ** 2).mean(axis=0) / sd**2).max() < 0.2
    average = np.mean([np.cov(one.T) for one in draws], axis=0)
    assert np.sqrt(np.diag(average)) / sd == pytest.approx(np.ones(D), rel=0.1)
    correlation = average / np.sqrt(np.outer(np.diag(average), np.diag(average)))
    np.testing.assert_allclose(correlation, covariance / np.outer(sd, sd), atol=0.1)


def coverage(posterior: QuantilePosterior, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Give the share of theta within central 90% intervals, each by 199 draws."""
    below = (posterior.sample(x, 199, random_state=1) < theta[:, None]).sum(axis=1)
    return ((below >= 10) & (below < 190)).mean(axis=0)


def skewed(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a rate, and the mean of as many waiting times as the second column says."""
    rng = np.random.default_rng(seed)
    rate, number = rng.gamma(2, size=n), rng.integers(1, 10, size=n)
    return rate[:, None], np.column_stack([rng.gamma(number) / number / rate, number])


@pytest.mark.filterwarnings("ignore:.*are far from everything that was simulated")
@pytest.mark.parametrize(
    "n", [300, *(pytest.param(n, marks=pytest.mark.slow) for n in (1000, 10_000))]
)
def test_intervals_cover_as_often_as_they_say(n: int) -> None:
    """1,000 new simulations tell a coverage to 0.01; n in folds the level to sqrt(.09 / n)."""
    error = 3 * np.sqrt(0.09 / 1000 + 0.09 / n)
    cases = {
        "gaussian": (PRIOR, gaussian),
        "skewed": ([stats.gamma(2)], skewed),
    }
    for prior, simulate in cases.values():
        posterior = QuantilePosterior(prior=prior, random_state=0).fit(*simulate(n, 3))
        np.testing.assert_allclose(coverage(posterior, *simulate(1000, 4)), 0.9, atol=error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "regressor",
    [
        RandomForestRegressor(20, min_samples_leaf=3, random_state=0),
        HistGradientBoostingRegressor(max_iter=30),
    ],
    ids=["forest", "boosting"],
)
def test_folds_mend_the_coverage_of_trees(regressor: BaseEstimator) -> None:
    pairs, new = skewed(600, 3), skewed(1000, 4)
    options = {"prior": [stats.gamma(2)], "trend": None, "levels": 7, "random_state": 0}
    blind = QuantilePosterior(regressor, n_folds=None, **options).fit(*pairs)
    mended = QuantilePosterior(regressor, **options).fit(*pairs)
    assert coverage(blind, *new)[0] < 0.875
    error = 3 * np.sqrt(0.09 / 1000 + 0.09 / 600)
    assert coverage(mended, *new)[0] == pytest.approx(0.9, abs=error)
    # the outermost nominal levels are farther out than those measured
    assert mended.measured_levels_[0, 0] > mended.levels_[0] + 0.01
    assert mended.measured_levels_[0, -1] < mended.levels_[-1] - 0.01


# A density.


def test_it_integrates_to_one_without_a_prior() -> None:
    rng = np.random.default_rng(0)
    theta = rng.standard_t(4, size=(200, 1))
    posterior = QuantilePosterior(random_state=0).fit(theta, theta + rng.normal(size=(200, 1)))
    grid = np.linspace(-40, 40, 200_001)
    density = np.exp(posterior.log_prob(grid[:, None], [0.5]))
    assert integrate.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_it_integrates_to_one_over_a_box_and_stays_inside() -> None:
    rng = np.random.default_rng(0)
    prior = [stats.uniform(-1, 2), stats.loguniform(0.1, 10)]
    theta = np.column_stack([one.rvs(300, random_state=rng) for one in prior])
    x = np.column_stack([theta[:, 0] ** 2, theta.prod(axis=1)]) + 0.1 * rng.normal(size=(300, 2))
    posterior = QuantilePosterior(prior=prior, random_state=0).fit(theta, x)
    # by the prior's own quantiles, in which its density is one
    u = (np.arange(300) + 0.5) / 300
    points = np.array([(a, b) for a in prior[0].ppf(u) for b in prior[1].ppf(u)])
    log_p = prior[0].logpdf(points[:, 0]) + prior[1].logpdf(points[:, 1])
    ratio = np.exp(posterior.log_prob(points, [0.3, 0.5]) - log_p)
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    draws = posterior.sample([0.3, 0.5], 5000)
    assert ((draws > [-1, 0.1]) & (draws < [1, 10])).all()
    assert np.isneginf(posterior.log_prob([[0.0, 11.0], [-1.1, 1.0]], [0.3, 0.5])).all()
    # draws agree with the density: shares of cells, of which the most probable holds some 1,000
    cells = np.histogram2d(prior[0].cdf(draws[:, 0]), prior[1].cdf(draws[:, 1]), 6, [[0, 1]] * 2)[0]
    expected = ratio.reshape(6, 50, 6, 50).mean(axis=(1, 3)) / 36 * 5000
    enough = expected > 20
    deviation = (cells - expected)[enough] / np.sqrt(expected[enough])
    assert enough.sum() > 5
    assert np.abs(deviation).max() < 4.5


def test_quantiles_that_cross_leave_a_density(oracle: QuantilePosterior) -> None:
    theta, x = gaussian(200, 0)

    def crossing(regressor: Conditionals, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return true_quantiles(regressor, X, levels)[:, ::-1]

    posterior = QuantilePosterior(oracle.regressor, PRIOR, quantiles=crossing, **PLAIN)
    np.testing.assert_allclose(
        posterior.fit(theta, x).log_prob(theta, x), oracle.log_prob(theta, x), rtol=1e-12
    )


# Ways to quantiles.


class ManyAtOnce(RegressorMixin, BaseEstimator):
    """Gives all levels by predict, as quantile forests and in-context models do."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "ManyAtOnce":
        self.line_ = LinearRegression().fit(X, y)
        self.sd_ = np.std(y - self.line_.predict(X))
        return self

    def predict(
        self, X: np.ndarray, output_type: str = "mean", quantiles: list | None = None
    ) -> np.ndarray | list[np.ndarray]:
        mean = self.line_.predict(X)
        if output_type == "mean":
            return mean
        return [mean + self.sd_ * ndtri(level) for level in quantiles]


class WithObjective(QuantileRegressor):
    """Has its level where other boosting libraries have it."""

    def __init__(self, objective: str = "reg:quantileerror", quantile_alpha: float = 0.5) -> None:
        super().__init__(alpha=0)
        self.objective, self.quantile_alpha = objective, quantile_alpha

    def fit(self, X: np.ndarray, y: np.ndarray) -> "WithObjective":
        self.quantile = self.quantile_alpha
        return super().fit(X, y)

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return ["objective", "quantile_alpha"]


LINEAR = {
    "one fit a level": QuantileRegressor(alpha=0),
    "Pipeline": make_pipeline(StandardScaler(), QuantileRegressor(alpha=0)),
    "one fit for all": ManyAtOnce(),
    "Pipeline of one fit": make_pipeline(StandardScaler(), ManyAtOnce()),
    "objective": WithObjective(),
}


@pytest.mark.parametrize("regressor", LINEAR.values(), ids=LINEAR)
def test_lines_find_a_gaussian(regressor: BaseEstimator) -> None:
    theta, x = gaussian(1000, 1)
    posterior = QuantilePosterior(regressor, PRIOR, levels=5, trend=None, random_state=0)
    posterior.fit(*gaussian(400, 0))
    # measured: 0.14, as 400 rows tell 15 quantiles of three lines no better
    assert posterior.score(theta, x) == pytest.approx(exact_log_prob(theta, x).mean(), abs=0.2)


def test_a_hook_comes_first() -> None:
    """Of a regressor without quantiles, by the residuals that the hook knows."""

    def hook(regressor: Ridge, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return regressor.predict(X)[:, None] + 0.2 * ndtri(levels)

    theta, x = gaussian(1000, 1)
    posterior = QuantilePosterior(Ridge(), PRIOR, quantiles=hook, random_state=0)
    posterior.fit(*gaussian(1000, 0))
    # the folds find the true spread
    assert posterior.score(theta, x) == pytest.approx(exact_log_prob(theta, x).mean(), abs=0.1)


@pytest.mark.parametrize("forest", [ExtraTreesRegressor, RandomForestRegressor])
@pytest.mark.parametrize("weighted", [False, True])
def test_forests_weigh_the_rows_in_their_leaves(forest: type, weighted: bool) -> None:
    from sksbi.estimators.quantile_choice import choose_model

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 2)), rng.normal(size=80)
    weight = rng.uniform(0.5, 2, 80) if weighted else np.ones(80)
    levels = np.array([0.1, 0.5, 0.8])
    model = choose_model(forest(15, min_samples_leaf=4, random_state=0), "auto", levels)
    model.fit(X, y, weight)
    new = rng.normal(size=(10, 2))
    leaves, of_new = (model.regressor_.apply(part) for part in (X, new))
    for row, values in zip(of_new, model.predict(new), strict=True):
        share = (leaves == row) * weight[:, None]
        share = (share / share.sum(axis=0)).mean(axis=1)
        order = np.argsort(y)
        order = order[share[order] > 0]
        steps = np.cumsum(share[order]) - share[order] / 2
        np.testing.assert_allclose(values, np.interp(levels, steps, y[order]), rtol=1e-9)


def test_the_size_of_leaves_follows_the_data() -> None:
    """Where the trend says all, leaves hold all rows; where much is left, few."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(600, 1))
    options = {"prior": [stats.norm(0, 1)], "random_state": 0}
    sizes = {}
    for name, x in {
        "line": theta + 0.3 * rng.normal(size=(600, 1)),
        "two modes": np.abs(theta) + 0.05 * rng.normal(size=(600, 1)),
    }.items():
        posterior = QuantilePosterior(**options).fit(theta, x)
        spread = posterior.sample(np.quantile(x, [0.3, 0.9])[:, None], 500).std(axis=1)
        sizes[name] = spread.ravel()
    assert sizes["line"][0] == pytest.approx(sizes["line"][1], rel=0.15)
    assert sizes["two modes"][1] > 2 * sizes["two modes"][0]


# Rows: context, weights, columns.


def test_context_of_all_rows_changes_nothing() -> None:
    pairs = gaussian(100, 0)
    trees = HistGradientBoostingRegressor(max_iter=5)
    whole = QuantilePosterior(trees, PRIOR, levels=3, n_folds=2, random_state=0)
    near = QuantilePosterior(trees, PRIOR, levels=3, n_folds=2, n_context=100, random_state=0)
    theta, x = gaussian(5, 1)
    np.testing.assert_allclose(
        near.fit(*pairs).log_prob(theta, x), whole.fit(*pairs).log_prob(theta, x), rtol=1e-9
    )
    np.testing.assert_allclose(near.sample(x, 4), whole.sample(x, 4), rtol=1e-9)


def test_the_context_is_nearest_in_units_of_each_column() -> None:
    """The second column is large and tells nothing of the curve in the first."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.uniform(-2, 2, 3000), 1e6 * rng.normal(size=3000)])
    theta = np.sin(4 * x[:, :1]) + 0.05 * rng.normal(size=(3000, 1))

    def hook(regressor: Ridge, X: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return regressor.predict(X)[:, None] + 0.1 * ndtri(levels)

    options = {"quantiles": hook, "trend": None, "random_state": 0}
    new = np.column_stack([np.linspace(-1.5, 1.5, 9), np.zeros(9)])
    error = {}
    for n_context in (60, None):
        posterior = QuantilePosterior(Ridge(1e-6), n_context=n_context, **options).fit(theta, x)
        draws = posterior.sample(new, 200)
        error[n_context] = np.abs(draws.mean(axis=1) - np.sin(4 * new[:, :1])).mean()
    # 60 of 3,000 rows lie within about a quarter of an interquartile range: a line fits there
    assert error[60] < 0.15
    assert error[None] > 3 * error[60]


@pytest.mark.slow
@pytest.mark.parametrize("regressor", [None, QuantileRegressor(alpha=0), ManyAtOnce()])
def test_weights_move_the_posterior(regressor: BaseEstimator | None) -> None:
    """Weights exp(2 theta) shift the prior N(0, 1) by 2: x that tells nothing shows that prior."""
    rng = np.random.default_rng(0)
    theta, x = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 1))
    weights = np.exp(theta[:, 0].clip(-2, 2))
    posterior = QuantilePosterior(regressor, [stats.norm(0, 1)], levels=5, random_state=0)
    draws = posterior.fit(theta, x, sample_weight=weights).sample([0.0], 4000)
    expected = np.average(theta[:, 0], weights=weights)
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert expected > 0.8
    assert draws.mean() == pytest.approx(expected, abs=4 / np.sqrt(effective))


def test_categories_and_gaps_are_taken_where_the_regressor_takes_them() -> None:
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"rate": rng.normal(size=600)})
    site = rng.choice(["north", "south"], size=600)
    x = pd.DataFrame({"count": theta["rate"] + 0.1 * rng.normal(size=600), "site": site})
    x["count"] = x["count"].where(site == "north", -x["count"])
    x.loc[:50, "count"] = np.nan
    trees = HistGradientBoostingRegressor(max_iter=40, categorical_features="from_dtype")
    x["site"] = x["site"].astype("category")
    posterior = QuantilePosterior(trees, {"rate": stats.norm(0, 1)}, levels=5, random_state=0)
    posterior.fit(theta, x)
    batch = pd.DataFrame({"count": [1.0, 1.0, np.nan], "site": ["north", "south", "north"]})
    summary = posterior.summary(batch.astype({"site": x["site"].dtype}))
    assert summary["mean"].to_numpy() == pytest.approx([1, -1, 0], abs=0.35)
    assert summary["sd"].to_numpy()[2] == pytest.approx(1, abs=0.35)


# In scikit-learn's company.


def test_parameters_of_the_regressor_are_searched() -> None:
    trees = HistGradientBoostingRegressor(max_iter=5)
    posterior = QuantilePosterior(trees, PRIOR, levels=3, n_folds=2, trend=None, random_state=0)
    search = GridSearchCV(posterior, {"regressor__max_iter": [1, 30]}, cv=2).fit(*gaussian(300, 0))
    assert search.best_params_ == {"regressor__max_iter": 30}
    low, high = search.cv_results_["mean_test_score"]
    assert high > low + 0.3


def test_jobs_at_once_give_the_same() -> None:
    pairs = gaussian(100, 0)
    trees = RandomForestRegressor(5)
    serial, parallel = (
        QuantilePosterior(trees, PRIOR, n_jobs=n_jobs, random_state=0).fit(*pairs)
        for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(serial.log_prob(*pairs), parallel.log_prob(*pairs))


def test_it_stands_in_a_pipeline() -> None:
    theta, x = gaussian(300, 0)
    lines = QuantilePosterior(QuantileRegressor(alpha=0), PRIOR, levels=3, random_state=0)
    pipe = sksbi.pipeline.make_pipeline(StandardScaler(), lines).fit(theta, x)
    assert pipe.score(theta, x) == pytest.approx(lines.fit(theta, x).score(theta, x), abs=0.01)


# Bad inputs.

BAD: dict[str, tuple[dict, str]] = {
    "no quantiles": (
        {"regressor": LinearRegression()},
        r"regressor must give quantiles.*got LinearRegression\(\).*quantiles=hook",
    ),
    "no quantiles in a Pipeline": (
        {"regressor": make_pipeline(StandardScaler(), Ridge())},
        "regressor must give quantiles",
    ),
    "levels that do not ascend": ({"levels": [0.1, 0.5, 0.5]}, r"levels must .*0\.5 0\.5"),
    "a level of one": ({"levels": [0.1, 0.5, 1.0]}, r"levels must .*between 0 and 1, got .*1\."),
    "two levels": ({"levels": [0.1, 0.5]}, r"levels must be three numbers or more"),
    "a number of two": ({"levels": 2}, "'levels' parameter"),
    "words": ({"levels": "many"}, "'levels' parameter"),
    "another trend": ({"trend": "line"}, "'trend' parameter"),
    "one fold": ({"n_folds": 1}, "'n_folds' parameter"),
    "context of one row": ({"n_context": 1}, "'n_context' parameter"),
    "no hook": ({"quantiles": "all"}, "'quantiles' parameter"),
    "a hook with one column": (
        {"regressor": Ridge(), "quantiles": lambda r, X, levels: r.predict(X)},
        r"quantiles must give an array of shape .*\(20, 5\), got \(20,\) of Ridge",
    ),
    "a hook with NaN": (
        {"regressor": Ridge(), "quantiles": lambda r, X, q: np.full((len(X), len(q)), np.nan)},
        r"quantiles must give finite numbers, got nan of Ridge",
    ),
    "few rows": ({"n_rows": 3}, r"n_folds=5 takes two folds .*n_samples = 3.*n_folds=None"),
    "a class": ({"regressor": QuantileRegressor}, "regressor must be an estimator, got the class"),
}


@pytest.mark.parametrize(("settings", "match"), BAD.values(), ids=BAD)
def test_bad_settings(settings: dict, match: str) -> None:
    settings = {"random_state": 0} | settings
    theta, x = gaussian(settings.pop("n_rows", 100), 0)
    with pytest.raises((ValueError, TypeError), match=rf"(?s){match}"):
        QuantilePosterior(**settings).fit(theta, x)


def test_columns_of_one_name_are_refused() -> None:
    theta = pd.DataFrame({"rate": np.arange(50.0)})
    with pytest.raises(ValueError, match=r"different columns.*\['rate'\] in both"):
        QuantilePosterior().fit(theta, theta + 1)


def test_errors_of_the_regressor_are_explained() -> None:
    theta, x = gaussian(100, 0)
    x[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"x contains NaN, which regressor=QuantileRegressor"):
        QuantilePosterior(QuantileRegressor(), random_state=0).fit(theta, x)


def test_far_theta_has_a_density(fitted: QuantilePosterior) -> None:
    log_q = fitted.log_prob([[1e300, 0, 0], [1e30, -1e30, 1e30], [0, 0, 1e9]], [0.0, 0.0, 0.0])
    assert not np.isnan(log_q).any()
    assert (log_q < -1e3).all()


def test_measured_levels_are_near_those_asked_for(fitted: QuantilePosterior) -> None:
    measured = fitted.measured_levels_
    assert measured.shape == (D, len(fitted.levels_))
    assert (np.diff(measured, axis=1) > 0).all()
    assert np.abs(measured - fitted.levels_).max() < 0.1
