"""Is an observation like the simulations? The level whatever their distribution, and the power."""

import numpy as np
import pandas as pd
import pytest

from sksbi.metrics import misspecification_test, mmd_test

SIMULATORS = {
    "normal": lambda rng, n: rng.normal(size=(n, 3)) @ [[1, 0.9, 0], [0, 0.1, 0], [0, 0, 100]],
    "cauchy": lambda rng, n: rng.standard_cauchy(size=(n, 2)),
    "images": lambda rng, n: rng.normal(size=(n, 4, 4)) + rng.normal(size=(n, 1, 1)),
    "scalars": lambda rng, n: rng.exponential(size=n),
    "lognormal": lambda rng, n: rng.lognormal(sigma=5, size=(n, 2)),
    "counts": lambda rng, n: rng.poisson(0.5, size=(n, 2)),
    "three values": lambda rng, n: rng.integers(0, 3, size=n),
    "one column that does not vary": lambda rng, n: np.column_stack([rng.random(n), np.ones(n)]),
}
STEPPED = ("counts", "three values")


@pytest.mark.parametrize("name", SIMULATORS)
def test_p_values_of_fresh_simulations_are_uniform(name):
    n_fresh, n_ranked = 2000, 1000
    rng = np.random.default_rng(0)
    x, fresh = (SIMULATORS[name](rng, n) for n in (2 * n_ranked, n_fresh))
    p_values = misspecification_test(x, fresh)
    for share in (0.01, 0.05, 0.2, 0.5):
        # Given the ranked half, the share of lower p-values is Beta distributed.
        error = np.sqrt(share * (1 - share) * (1 / n_fresh + 1 / (n_ranked + 2)))
        lower = (p_values <= share).mean()
        assert lower <= share + 4 * error
        if name not in STEPPED:
            assert lower >= share - 4 * error - 1 / (n_ranked + 1)


def test_few_simulations_give_no_smaller_p_values_than_uniform_ones():
    repetitions = 400
    rng = np.random.default_rng(0)
    p_values = np.array(
        [
            misspecification_test(rng.normal(size=(20, 2)), rng.normal(size=2), n_neighbors=3)
            for _ in range(repetitions)
        ]
    )
    # Uniform on 1/11, ..., 1.
    for k in (1, 3, 6):
        share = k / 11
        error = np.sqrt(share * (1 - share) / repetitions)
        assert abs((p_values <= share + 1e-9).mean() - share) <= 4 * error


@pytest.mark.parametrize("name", SIMULATORS)
def test_an_outlier_gets_the_least_p_value(name):
    x = SIMULATORS[name](np.random.default_rng(0), 400)
    far = x[0] * 0 + 1e9
    assert misspecification_test(x, far) == 2 / (400 + 2)


def test_an_outlier_against_the_correlation_is_found():
    x = SIMULATORS["normal"](np.random.default_rng(0), 2000)
    along, against = np.array([[1.5, 1.35, 0.0], [1.0, -0.9, 0.0]])
    assert misspecification_test(x, along) > 0.05
    assert misspecification_test(x, against) == 2 / 2002


def test_units_and_order_of_columns_do_not_matter():
    rng = np.random.default_rng(0)
    x, asked = rng.normal(size=(300, 2)), rng.normal(size=(20, 2))
    expected = misspecification_test(x, asked)
    # Networks see float32, in which ranks of nearly equal distances may change places.
    unit = np.array([1024.0, 0.25])
    for moved in (
        misspecification_test(x * unit, asked * unit),
        misspecification_test(x[:, ::-1], asked[:, ::-1]),
    ):
        np.testing.assert_allclose(moved, expected, rtol=0, atol=1 / 151 + 1e-12)


def test_one_observation_and_a_batch_and_every_container_agree():
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    asked = pd.DataFrame(rng.normal(size=(4, 2)), columns=["a", "b"])
    expected = misspecification_test(x.to_numpy(), asked.to_numpy())
    np.testing.assert_array_equal(misspecification_test(x, asked), expected)
    for i, row in asked.iterrows():
        for one in (row, row.to_dict(), row.to_numpy(), row.tolist()):
            p_value = misspecification_test(x, one)
            assert isinstance(p_value, float)
            assert p_value == expected[i]


def test_scalars_and_images_are_observations_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    expected = misspecification_test(x[:, None], [[0.3], [5.0]])
    np.testing.assert_array_equal(misspecification_test(pd.Series(x), [0.3, 5.0]), expected)
    assert misspecification_test(x, 5.0) == expected[1]
    images = rng.normal(size=(200, 4, 4))
    rows = misspecification_test(images.reshape(200, 16), images[:3].reshape(3, 16))
    np.testing.assert_array_equal(misspecification_test(images, images[:3]), rows)
    assert misspecification_test(images, images[0]) == rows[0]


def test_p_values_repeat_by_default_and_follow_the_random_state():
    x = np.random.default_rng(0).normal(size=(200, 2))
    first, again, other = (
        misspecification_test(x, [1.0, 1.0], random_state=seed) for seed in (0, 0, 1)
    )
    assert first == again == misspecification_test(x, [1.0, 1.0])
    assert first != other


@pytest.mark.parametrize("name", SIMULATORS)
@pytest.mark.parametrize("m", [2, 20])
def test_p_values_of_fresh_sets_are_uniform(name, m):
    repetitions, n_permutations = 100, 19
    rng = np.random.default_rng([0, m])
    p_values = np.array(
        [
            mmd_test(
                SIMULATORS[name](rng, 100),
                SIMULATORS[name](rng, m),
                n_permutations=n_permutations,
                random_state=rng,
            )
            for _ in range(repetitions)
        ]
    )
    for share in (0.05, 0.25, 0.5):
        error = np.sqrt(share * (1 - share) / repetitions)
        lower = (p_values <= share + 1e-9).mean()
        assert lower <= share + 4 * error
        if name not in STEPPED:
            assert lower >= share - 4 * error


@pytest.mark.parametrize(("shift", "width"), [(1.0, 1.0), (0.0, 3.0), (0.0, 0.2)])
def test_sets_of_another_distribution_are_found(shift, width):
    rng = np.random.default_rng(0)
    p_values = [
        mmd_test(
            rng.normal(size=(200, 2)),
            rng.normal(shift, width, size=(30, 2)),
            n_permutations=99,
            random_state=seed,
        )
        for seed in range(20)
    ]
    assert np.mean(np.array(p_values) <= 0.05) >= 0.9


def test_sets_that_are_nowhere_near_get_the_least_p_value():
    x = np.random.default_rng(0).normal(size=(3000, 2))
    assert mmd_test(x, x[:10] + 100, n_permutations=99) == 1 / 100
    assert mmd_test(x, x[:10] + 100, n_permutations=19, random_state=None) == 1 / 20


def test_sets_in_every_container_agree():
    rng = np.random.default_rng(0)
    x, observed = rng.normal(size=(100, 2)), rng.normal(0.5, size=(10, 2))
    expected = mmd_test(x, observed)
    assert expected == mmd_test(pd.DataFrame(x), pd.DataFrame(observed))
    assert expected == mmd_test(x.tolist(), observed.tolist())
    assert expected == mmd_test(x.reshape(100, 2, 1), observed.reshape(10, 2, 1))
    scalars = mmd_test(x[:, 0], observed[:, 0])
    assert scalars == mmd_test(x[:, :1], observed[:, :1])


X = np.random.default_rng(0).normal(size=(40, 2))


@pytest.mark.parametrize("function", [misspecification_test, mmd_test])
@pytest.mark.parametrize(
    ("x", "x_observed", "error", "match"),
    [
        (X, [[1.0, 2, 3]], ValueError, r"shape \(2,\) of one .* got \(1, 3\)"),
        (X, np.zeros((2, 2, 2)), ValueError, r"x_observed must have the shape \(2,\).*\(2, 2, 2\)"),
        (1.0, 1.0, TypeError, "x must be a table of one row an observation, got 1.0"),
        (X, [[1.0, np.nan]] * 2, ValueError, r"x_observed must be finite, got nan at \(0, 1\)"),
        (X + np.inf, X[:2], ValueError, r"x must be finite, got inf at \(0, 0\)"),
        (X, X[:0], ValueError, r"x_observed must hold numbers, got shape \(0, 2\)"),
        (X, [["a", "b"]], TypeError, "x_observed must hold real numbers, got list"),
        (X + 1j, X[:2], TypeError, "x must hold real numbers, got dtype complex128"),
    ],
)
def test_bad_input_is_refused(function, x, x_observed, error, match):
    with pytest.raises(error, match=match):
        function(x, x_observed)


@pytest.mark.parametrize(
    ("function", "options", "error", "match"),
    [
        (misspecification_test, {"n_neighbors": 21}, ValueError, "42 rows .*=21, got 40"),
        (misspecification_test, {"n_neighbors": 0}, ValueError, "n_neighbors must .* got 0"),
        (misspecification_test, {"n_neighbors": 1.5}, TypeError, "n_neighbors must .* got 1.5"),
        (misspecification_test, {"random_state": -1}, ValueError, "random_state must .* got -1"),
        (mmd_test, {"n_permutations": 0}, ValueError, "n_permutations must .* got 0"),
        (mmd_test, {"random_state": "a"}, ValueError, "random_state must .* got 'a'"),
    ],
)
def test_bad_options_are_refused(function, options, error, match):
    with pytest.raises(error, match=match):
        function(X, X[:3], **options)


@pytest.mark.parametrize("x_observed", [X[0], X[:1]])
def test_one_observation_is_no_set(x_observed):
    with pytest.raises(ValueError, match="x_observed must be at least two observations, got one"):
        mmd_test(X, x_observed)


@pytest.mark.parametrize("test", [misspecification_test, mmd_test])
def test_names_in_another_order_are_refused(test):
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    observed = x.iloc[:3]
    assert test(x, observed) is not None
    with pytest.raises(ValueError, match="x_observed and x must have the same columns"):
        test(x, observed[["b", "a"]])


def test_names_of_one_observation_count_too():
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    for form in (dict, pd.Series):
        for right in ({"a": 0.0, "b": 1.0}, {"b": 1.0, "a": 0.0}):
            assert misspecification_test(x, form(right)) == misspecification_test(x, [0.0, 1.0])
        with pytest.raises(ValueError, match="x_observed and x must have the same columns"):
            misspecification_test(x, form({"a": 0.0, "c": 1.0}))


def test_mmd_of_numbers_that_are_mostly_equal():
    rng = np.random.default_rng(0)
    zeros = [rng.poisson(3.0, n) * (rng.random(n) > 0.8) for n in (500, 30)]
    assert mmd_test(*zeros) > 0.05
    assert mmd_test(zeros[0], zeros[1] + 5) < 0.01
    assert mmd_test(np.ones(30), np.ones(5)) == 1.0
