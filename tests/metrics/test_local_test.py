"""L-C2ST: its level, that it finds what is wrong where it is wrong, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import stats
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import PolynomialFeatures
from sklearn.utils.validation import check_is_fitted

from sksbi.metrics import lc2st

SD = np.sqrt(0.5)


def at(x_observed, n_samples, seed, shift=0.0):
    """Draw from the posterior at one observation, shifted by standard deviations."""
    noise = np.random.default_rng(seed).normal(size=(n_samples, len(x_observed)))
    return np.asarray(x_observed) / 2 + SD * (noise + shift)


def test_p_values_of_the_exact_posterior_are_uniform(gaussian):
    repetitions, n_permutations = 40, 19
    p_values = []
    for seed in range(repetitions):
        made = gaussian(150, 1, d=1, seed=seed)
        result = lc2st(
            made.theta,
            made.x,
            made.draws,
            [0.5],
            at([0.5], 200, seed),
            n_permutations=n_permutations,
            random_state=seed,
        )
        p_values.append(result.p_value)
    p_values = np.array(p_values)
    for share in (0.05, 0.25, 0.5):
        error = np.sqrt(share * (1 - share) / repetitions)
        assert abs((p_values <= share).mean() - share) <= 4 * error
    # Uniform on 1/20, ..., 1.
    error = np.sqrt((20**2 - 1) / 12 / 20**2 / repetitions)
    assert abs(p_values.mean() - 21 / 40) <= 4 * error


@pytest.mark.parametrize("wrong", [{"width": 1.5}, {"width": 0.67}, {"shift": 0.5}])
def test_posteriors_that_are_wrong_everywhere_are_found(gaussian, wrong):
    made = gaussian(1000, 1, d=2, **wrong)
    observed = at([1.0, -1.0], 300, 1, shift=wrong.get("shift", 0.0))
    result = lc2st(
        made.theta, made.x, made.draws, [1.0, -1.0], observed, n_permutations=39, random_state=0
    )
    assert result.p_value == 1 / 40
    assert result.statistic > result.null.max()


@pytest.mark.parametrize("classifier", ["boosting", "mlp"])
def test_a_posterior_that_is_wrong_in_places_is_found_there(gaussian, classifier):
    made = gaussian(300, 1, d=1)
    shift = 2.0
    draws = made.draws[:, 0] + shift * SD * (made.x > 0)
    observed = np.array([[1.5], [-1.5]])
    draws_observed = np.stack([at([1.5], 300, 1, shift=shift), at([-1.5], 300, 2)])
    result = lc2st(
        made.theta,
        made.x,
        draws,
        observed,
        draws_observed,
        classifier=classifier,
        n_permutations=19,
        random_state=0,
    )
    assert result.p_value[0] == 1 / 20
    assert result.statistic[0] > 2 * result.statistic[1]


def test_the_statistic_and_the_null_are_those_of_their_definition(gaussian):
    made = gaussian(200, 1, d=1, shift=1.0)
    draws, observed = made.draws[:, 0], at([0.5], 50, 0)
    judge = QuadraticDiscriminantAnalysis()

    def statistic(first, second):
        rows = np.vstack([np.hstack([first, made.x]), np.hstack([second, made.x])])
        judge.fit(rows, np.repeat([0, 1], 200))
        at_observed = np.hstack([observed, np.full((50, 1), 0.5)])
        return np.mean((judge.predict_proba(at_observed)[:, 1] - 0.5) ** 2)

    result = lc2st(
        made.theta,
        made.x,
        draws,
        [0.5],
        observed,
        classifier=judge,
        n_permutations=200,
        random_state=0,
    )
    np.testing.assert_allclose(result.statistic, statistic(made.theta, draws), rtol=1e-9)
    rng = np.random.default_rng(1)
    swaps = rng.random((200, 200, 1)) < 0.5
    null = [
        statistic(np.where(swap, draws, made.theta), np.where(swap, made.theta, draws))
        for swap in swaps
    ]
    assert stats.ks_2samp(null, result.null).pvalue > 0.001


def test_the_statistic_is_that_of_the_best_classifier():
    # Of normals that are a shift apart, the second has the probability of a logistic function.
    rng = np.random.default_rng(0)
    n, shift = 20_000, 1.0

    def probability(t):
        return 1 / (1 + np.exp(-shift * (t - shift / 2)))

    theta, draws, x = rng.normal(size=(n, 1)), rng.normal(shift, size=(n, 1)), rng.normal(size=n)
    result = lc2st(theta, x, draws, 0.0, draws[::-1], n_permutations=1, random_state=0)
    t = stats.norm(shift).ppf((np.arange(2000) + 0.5) / 2000)
    distances = (probability(t) - 0.5) ** 2
    # The delta method, from the Fisher information of the logit's coefficients.
    at_pairs = np.column_stack([np.vstack([theta, draws]), np.tile(x, 2)])
    features, p = PolynomialFeatures().fit_transform(at_pairs), probability(at_pairs[:, 0])
    information = (features * (p * (1 - p))[:, None]).T @ features
    p = probability(t)
    at_draws = PolynomialFeatures().fit_transform(np.column_stack([t, np.zeros(2000)]))
    slope = (2 * (p - 0.5) * p * (1 - p)) @ at_draws / 2000
    variance = slope @ np.linalg.solve(information, slope) + distances.var() / n
    assert abs(result.statistic - distances.mean()) < 4 * np.sqrt(variance)


def test_a_batch_gives_what_its_observations_give_one_by_one(gaussian):
    made = gaussian(200, 1, d=2, shift=0.3)
    observed = np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, 0.0]])
    draws_observed = np.stack([at(row, 50, seed) for seed, row in enumerate(observed)])
    options = {"n_permutations": 9, "random_state": 3}
    together = lc2st(made.theta, made.x, made.draws, observed, draws_observed, **options)
    for i, row in enumerate(observed):
        alone = lc2st(made.theta, made.x, made.draws, row, draws_observed[i], **options)
        assert isinstance(alone.p_value, float)
        assert alone.p_value == together.p_value[i]
        np.testing.assert_allclose(alone.statistic, together.statistic[i], rtol=1e-12)
        np.testing.assert_allclose(alone.null, together.null[:, i], rtol=1e-12)


def test_p_values_count_the_null(gaussian):
    made = gaussian(200, 1, d=1, shift=0.2)
    result = lc2st(
        made.theta, made.x, made.draws, [0.5], at([0.5], 50, 0), n_permutations=9, random_state=3
    )
    assert len(result.null) == 9
    assert result.p_value == (1 + sum(result.null >= result.statistic)) / 10
    assert 0 <= result.statistic <= 0.25


def test_results_do_not_depend_on_n_jobs(gaussian):
    made = gaussian(100, 1, d=1)
    # In threads, as processes would import the package anew.
    with parallel_config(backend="threading"):
        results = [
            lc2st(
                made.theta,
                made.x,
                made.draws,
                [0.5],
                at([0.5], 50, 0),
                classifier="mlp",
                n_permutations=3,
                random_state=0,
                n_jobs=n_jobs,
            )
            for n_jobs in (None, 2)
        ]
    assert results[0].statistic == results[1].statistic
    np.testing.assert_array_equal(results[0].null, results[1].null)


def test_a_classifier_of_ones_own_is_cloned(gaussian):
    made = gaussian(1000, 1, d=1, width=2.0)
    classifier = QuadraticDiscriminantAnalysis()
    result = lc2st(
        made.theta,
        made.x,
        made.draws,
        [0.5],
        at([0.5], 50, 0),
        classifier=classifier,
        n_permutations=19,
        random_state=0,
    )
    assert result.p_value == 1 / 20
    with pytest.raises(NotFittedError):
        check_is_fitted(classifier)


def test_of_several_draws_the_first_is_taken_and_containers_do_not_matter(gaussian, as_table):
    made = gaussian(100, 3, d=2)
    names = ["a", "b"]
    observed, at_observed = np.array([1.0, 0.0]), at([1.0, 0.0], 50, 0)
    options = {"n_permutations": 3, "random_state": 0}
    expected = lc2st(made.theta, made.x, made.draws[:, 0], observed, at_observed, **options)
    theta = pd.DataFrame(made.theta, columns=names)
    x = pd.DataFrame(made.x, columns=["u", "v"])
    draws_observed = pd.DataFrame(at_observed, columns=names)
    for draws in (made.draws, as_table(made.draws, names)):
        for x_observed in ({"u": 1.0, "v": 0.0}, pd.Series([1.0, 0.0], ["u", "v"]), [1, 0]):
            result = lc2st(theta, x, draws, x_observed, draws_observed, **options)
            # Tables are in another memory order, so sums are rounded in another way.
            np.testing.assert_allclose(result.statistic, expected.statistic, rtol=1e-6)
    other = draws_observed[["b", "a"]]
    with pytest.raises(ValueError, match=r"draws_observed and theta must have the same columns"):
        lc2st(theta, x, made.draws, observed, other)
    with pytest.raises(ValueError, match=r"draws and theta must have the same columns"):
        lc2st(theta, x, as_table(made.draws, ["b", "a"]), observed, draws_observed)


def test_scalars_and_images_are_observations_too(gaussian):
    made = gaussian(100, 1, d=1)
    options = {"n_permutations": 3, "random_state": 0}
    at_one = at([1.0], 50, 0)
    expected = lc2st(made.theta, made.x, made.draws, [1.0], at_one, **options)
    flat = lc2st(made.theta, made.x[:, 0], made.draws, 1.0, at_one, **options)
    assert flat.statistic == expected.statistic
    images = np.random.default_rng(0).normal(size=(100, 2, 3))
    image = np.arange(6.0).reshape(2, 3)
    as_image = lc2st(made.theta, images, made.draws, image, at_one, **options)
    as_row = lc2st(made.theta, images.reshape(100, 6), made.draws, image.ravel(), at_one, **options)
    assert as_image.statistic == as_row.statistic


def test_random_states_repeat_and_leave_the_global_generator(gaussian):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    made = gaussian(30, 1, d=1)
    results = [
        lc2st(
            made.theta,
            made.x,
            made.draws,
            [1.0],
            at([1.0], 20, 0),
            n_permutations=2,
            random_state=np.random.default_rng(5),
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(results[0].null, results[1].null)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


ROWS = np.random.default_rng(0).normal(size=(20, 1))
GOOD = {"theta": ROWS, "x": ROWS, "draws": ROWS, "x_observed": [0.0], "draws_observed": ROWS}


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"theta": ROWS[:, 0]}, ValueError, r"theta must be 2-d.*\(20,\)"),
        ({"draws": ROWS[:5]}, ValueError, r"draws must have theta's shape \(20, 1\), got \(5, 1\)"),
        ({"draws": ROWS * np.nan}, ValueError, "draws must be finite, got nan in row 0"),
        ({"x": ROWS[:5]}, ValueError, r"x must have 20 rows.* got shape \(5, 1\)"),
        ({"x": ROWS * np.nan}, ValueError, "x must be finite, got"),
        ({"x": ["a"] * 20}, TypeError, "x must hold real numbers, got list"),
        ({"x_observed": [0.0, 1.0]}, ValueError, "x_observed must hold 1 numbers .* got 2 numbers"),
        ({"x_observed": [np.nan]}, ValueError, "x_observed must be finite"),
        ({"x_observed": "a"}, TypeError, "x_observed must hold real numbers, got str"),
        ({"draws_observed": ROWS[:, 0]}, ValueError, r"draws_observed must be 2-d.*\(20,\)"),
        ({"draws_observed": np.hstack([ROWS] * 2)}, ValueError, "1 columns, got .* 2 columns"),
        ({"n_permutations": 0}, ValueError, "n_permutations must be an int >= 1, got 0"),
        ({"n_permutations": 2.0}, TypeError, "n_permutations must be an int >= 1, got 2.0"),
        ({"classifier": "forest"}, ValueError, "classifier must be 'mlp', .* got 'forest'"),
        ({"classifier": None}, TypeError, "classifier must be a name .* got None"),
        ({"random_state": -1}, ValueError, "random_state must be .* got -1"),
    ],
)
def test_bad_input_is_refused(changed, error, match):
    with pytest.raises(error, match=match):
        lc2st(**(GOOD | changed))


def test_other_names_of_x_are_refused():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(30, 1))
    x = pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"])
    with pytest.raises(ValueError, match="x_observed and x must have the same columns"):
        lc2st(theta, x, theta, {"b": 0.0, "c": 0.0}, theta, n_permutations=2)
