"""What check_prior takes, and what it says to the rest."""

import threading

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import stats
from torch import distributions
from zuko.distributions import BoxUniform

from sksbi.priors import Prior, check_prior

NAMED = {"mass": stats.uniform(0, 10), "rate": stats.loguniform(1e-3, 1)}


class Square:
    """A user's object, uniform on a square."""

    support = (-1.0, 1.0)

    def sample(self, n: int, random_state: int) -> np.ndarray:
        return np.random.default_rng(random_state).uniform(-1, 1, (n, 2))

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return np.full(len(theta), -np.log(4))


def square(**changes: object) -> Square:
    """Make a square with other attributes."""
    made = Square()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_names_and_order_come_from_the_dict() -> None:
    prior = check_prior(NAMED)
    assert prior.names == ["mass", "rate"]
    assert prior.n_features == 2
    assert prior.spec is NAMED
    np.testing.assert_array_equal(prior.support, [[0, 1e-3], [10, 1]])
    assert repr(prior) == "MarginalPrior(mass=uniform(0, 10), rate=loguniform(0.001, 1))"


def test_a_list_has_no_names() -> None:
    prior = check_prior(list(NAMED.values()))
    assert prior.names is None
    assert repr(prior) == "MarginalPrior(uniform(0, 10), loguniform(0.001, 1))"


def test_a_prior_passes_through() -> None:
    prior = check_prior(NAMED)
    assert check_prior(prior) is prior


def test_the_log_density_is_the_sum_of_the_marginal_ones() -> None:
    theta = check_prior(NAMED).sample(7, random_state=0)
    expected = sum(d.logpdf(theta[:, i]) for i, d in enumerate(NAMED.values()))
    np.testing.assert_allclose(check_prior(NAMED).log_prob(theta), expected, rtol=1e-14)


def test_support_is_a_copy() -> None:
    prior = check_prior(NAMED)
    prior.support[0][:] = -5
    assert prior.support[0][0] == 0


def test_draws_in_two_threads_are_the_draws_of_one() -> None:
    prior = check_prior([stats.gamma(2.0)])
    expected = [prior.sample(20_000, random_state=seed) for seed in range(4)]
    got = [None] * 4

    def draw(seed: int) -> None:
        got[seed] = prior.sample(20_000, random_state=seed)

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(got, expected)


TORCH = [
    distributions.Uniform(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 4.0])),
    distributions.Normal(torch.zeros(2), torch.tensor([1.0, 2.0])),
    distributions.LogNormal(torch.zeros(2), torch.tensor([1.0, 2.0])),
    distributions.Exponential(torch.tensor([0.5, 2.0])),
    distributions.Gamma(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.0])),
    distributions.Chi2(torch.tensor([3.0, 4.0])),
    distributions.InverseGamma(torch.tensor([3.0, 2.0]), torch.tensor([3.0, 1.0])),
    distributions.Beta(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.5])),
    distributions.HalfNormal(torch.tensor([0.5, 2.0])),
    distributions.HalfCauchy(torch.tensor([0.5, 2.0])),
    distributions.Cauchy(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.5])),
    distributions.StudentT(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 0.0]), torch.ones(2)),
    distributions.Laplace(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.5])),
    distributions.Gumbel(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.5])),
    distributions.Weibull(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.5])),
    distributions.Pareto(torch.tensor([0.5, 2.0]), torch.tensor([3.0, 1.5])),
]


@pytest.mark.parametrize("spec", TORCH, ids=lambda spec: type(spec).__name__)
def test_the_twin_in_scipy_has_the_density_of_torch(spec: distributions.Distribution) -> None:
    prior = check_prior(spec)
    theta = prior.sample(50, random_state=0)
    expected = spec.log_prob(torch.from_numpy(theta)).sum(dim=1).numpy()
    np.testing.assert_allclose(prior.log_prob(theta), expected, rtol=1e-5, atol=1e-5)
    assert type(prior).__name__ == "MarginalPrior"
    assert prior.spec is spec


@pytest.mark.parametrize(
    "spec",
    [
        distributions.MultivariateNormal(torch.ones(2), 2 * torch.eye(2)),
        distributions.LowRankMultivariateNormal(torch.ones(2), torch.ones(2, 1), torch.ones(2)),
    ],
)
def test_the_normal_of_torch_is_the_normal_of_scipy(spec: distributions.Distribution) -> None:
    prior = check_prior(spec)
    theta = prior.sample(50, random_state=0)
    expected = spec.log_prob(torch.from_numpy(theta).float()).numpy()
    np.testing.assert_allclose(prior.log_prob(theta), expected, rtol=1e-4)
    assert prior.spec is spec


def test_layers_of_independent_do_not_matter() -> None:
    plain = distributions.Uniform(-torch.ones(2), torch.ones(2))
    wrapped = distributions.Independent(plain, 1)
    theta = check_prior(plain).sample(5, random_state=0)
    for spec in (wrapped, BoxUniform(-torch.ones(2), torch.ones(2))):
        np.testing.assert_array_equal(check_prior(spec).sample(5, random_state=0), theta)


def test_torch_formulas_that_break_at_a_bound_give_no_nan() -> None:
    prior = check_prior(distributions.Kumaraswamy(torch.full((2,), 2.0), torch.full((2,), 3.0)))
    log_p = prior.log_prob([[0.0, 0.5], [0.5, 0.5], [1.0, 0.5]])
    assert not np.isnan(log_p).any()
    np.testing.assert_allclose(log_p[1], 2 * np.log(6 * 0.5 * 0.75**2), rtol=1e-6)


def test_an_object_without_support_is_unbounded_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="no attribute support.*counts as unbounded"):
        prior = check_prior(square(support=None))
    np.testing.assert_array_equal(prior.support, [[-np.inf] * 2, [np.inf] * 2])


def test_an_object_has_its_names() -> None:
    assert check_prior(square(names=("a", "b"))).names == ["a", "b"]
    assert check_prior(square()).names is None


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (3, "prior must be a dict of frozen.*got 3 of type int"),
        (None, "prior must be.*got None"),
        ("uniform", "got 'uniform' of type str"),
        (Square, "prior must be.*of type type"),
        (stats.uniform(0, 10), "single distribution uniform: put it in a dict or a list"),
        ([stats.uniform], r"prior\[0\].*uniform without parameters: call it"),
        ({"mass": stats.norm}, r"prior\['mass'\].*norm without parameters: call it"),
        ({"mass": 3.0}, r"prior\['mass'\] must be a frozen scipy.stats distribution, got 3.0"),
        ([stats.poisson], r"prior\[0\].*poisson without parameters: call it"),
        ([stats.norm(), distributions.Normal(0.0, 1.0)], r"prior\[1\].*got Normal\(loc"),
        ({0: stats.uniform(0, 1)}, "by strings, got the key 0"),
        (stats.multivariate_normal, "multivariate_normal_gen without parameters: call it"),
    ],
)
def test_wrong_types_say_what_is_taken(prior: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_prior(prior)


@pytest.mark.skipif(not hasattr(stats, "Normal"), reason="these distributions came with scipy 1.15")
def test_distributions_of_the_other_kind_are_refused() -> None:
    with pytest.raises(TypeError, match=r"prior\['mass'\] must be a frozen.*of type ABCMeta"):
        check_prior({"mass": stats.Normal})
    with pytest.raises(TypeError, match=r"got Normal.*in place of stats.Normal"):
        check_prior({"mass": stats.Normal(mu=1.0)})


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({}, r"at least one parameter, got \{\}"),
        ([], r"at least one parameter, got \[\]"),
        ({"n": stats.poisson(3)}, r"prior\['n'\].*poisson\(3\), which is discrete"),
        ([stats.norm([0, 1], 1)], r"prior\[0\] must have scalar parameters, got norm\(\[0, 1\]"),
        ([stats.uniform(0, -1)], r"prior\[0\].*low < high, got \[nan, nan\] from uniform\(0, -1\)"),
        ([stats.norm(0, np.nan)], r"prior\[0\].*got.*norm\(0, nan\)"),
        ([stats.vonmises(1.0)], r"vonmises\(1.0\), which is circular: take stats.vonmises_line"),
        ([stats.uniform(1e16, 1)], "low < high"),
        ([stats.uniform(1e15, 0.1)], "floats between low and high|low < high"),
        (stats.dirichlet([1, 1]), "got dirichlet_frozen"),
        (stats.wishart(3, np.eye(2)), "got wishart_frozen"),
        (stats.multivariate_normal([0, 0], [[1, 1], [1, 1]], allow_singular=True), "full rank"),
        (distributions.Dirichlet(torch.ones(3)), r"box for its support.*Dirichlet.*Simplex"),
        (distributions.Poisson(torch.ones(2)), "box for its support.*Poisson"),
        (distributions.Bernoulli(torch.full((2,), 0.5)), "box for its support.*Bernoulli"),
        (distributions.Wishart(torch.tensor(3.0), torch.eye(2)), r"event shape \(2, 2\)"),
        (distributions.Normal(torch.zeros(2, 3), 1.0), r"got batch shape \(2, 3\)"),
        (distributions.Uniform(torch.ones(2), torch.zeros(2)), r"prior\[0\].*low < high"),
        (distributions.VonMises(torch.tensor(0.0), torch.tensor(1.0)), "circular"),
        (
            distributions.MixtureSameFamily(
                distributions.Categorical(torch.ones(2)),
                distributions.Normal(torch.zeros(2), -torch.ones(2), validate_args=False),
            ),
            r"(?s)must draw and evaluate its density, but.*std >= 0.0",
        ),
        (
            distributions.TransformedDistribution(
                distributions.Normal(torch.full((2,), torch.nan), 1.0, validate_args=False),
                distributions.ExpTransform(),
            ),
            r"prior\[0\] must have a support with low < high, got \[nan, nan\]",
        ),
        (square(support=(1.0, -1.0)), r"low < high, got low=\[1. 1.\], high=\[-1. -1.\]"),
        (square(support=3.0), "pair .low, high.*got 3.0"),
        (square(support=([0.0] * 3, 1.0)), r"shape \(2,\), got \(\[0.0, 0.0, 0.0\], 1.0\)"),
        (square(support=(0.0, 1.0)), "finite values inside its support, got"),
        (square(names=["a"]), r"2 different strings.*got \['a'\]"),
        (square(names=["a", "a"]), r"2 different strings.*got \['a', 'a'\]"),
        (square(names=["a", 1]), r"must be strings, got \['a', 1\]"),
        (square(sample=lambda n, random_state: np.zeros(n)), r"gave shape \(2,\)"),
        (square(sample=lambda n, random_state: np.full((n, 2), np.nan)), "finite values.*nan"),
    ],
)
def test_wrong_priors_are_refused_by_name(prior: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_prior(prior)


def test_an_object_that_takes_no_random_state_is_refused() -> None:
    with pytest.raises(TypeError, match="random_state=0.*raised.*random_state"):
        check_prior(square(sample=lambda n: np.zeros((n, 2))))


def test_a_table_has_the_names_of_the_prior_in_order() -> None:
    prior = check_prior({"a": stats.norm(), "b": stats.expon()})
    table = pd.DataFrame({"a": [-1.0, 0.5], "b": [1.0, 2.0]})
    expected = stats.norm.logpdf(table["a"]) + stats.expon.logpdf(table["b"])
    for form in (table, pl.from_pandas(table), table.to_numpy()):
        np.testing.assert_allclose(prior.log_prob(form), expected)
    for form in (table[["b", "a"]], pl.from_pandas(table[["b", "a"]])):
        with pytest.raises(ValueError, match=r"order, got \['b', 'a'\]: give theta\[\['a', 'b'"):
            prior.log_prob(form)


class OfTensors:
    """A user's prior that answers in tensors with gradients, of few digits."""

    support = ([0.0, 0.0], [1.0, 1.0])

    def sample(self, n: int, random_state: int) -> torch.Tensor:
        """Draw from a square."""
        generator = torch.Generator().manual_seed(random_state)
        return torch.rand(n, 2, generator=generator, requires_grad=True)

    def log_prob(self, theta: np.ndarray) -> torch.Tensor:
        """Give zeros."""
        return torch.zeros(len(theta), dtype=torch.bfloat16, requires_grad=True)


def test_tensors_with_gradients_are_detached() -> None:
    prior = check_prior(OfTensors())
    theta = prior.sample(5, random_state=0)
    assert prior.contains(torch.tensor(theta, requires_grad=True)).all()
    assert prior.log_prob(torch.tensor(theta, requires_grad=True)).tolist() == [0.0] * 5


def test_more_draws_than_fit_into_memory_are_refused() -> None:
    with pytest.raises(ValueError, match=r"n must .* memory, got 10000000000000, .* GiB"):
        check_prior([stats.norm()]).sample(10**13)


def test_the_number_of_parameters_is_compared() -> None:
    assert isinstance(check_prior(NAMED, n_features=2), Prior)
    with pytest.raises(ValueError, match="prior has 2 parameters, theta has 3 columns"):
        check_prior(NAMED, n_features=3)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_the_number_of_draws_is_a_positive_integer(n: object) -> None:
    with pytest.raises(ValueError, match=f"n must be an int >= 1, got {n!r}"):
        check_prior(NAMED).sample(n)


@pytest.mark.parametrize("method", ["log_prob", "contains", "to_unbounded", "from_unbounded"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(2), r"shape \(n, 2\).*got shape \(2,\)"),
        (np.zeros((4, 3)), r"shape \(n, 2\).*got shape \(4, 3\)"),
        (np.zeros((1, 2), dtype=complex), "must hold real numbers, got dtype complex128"),
        ([["a", "b"]], "must hold real numbers, got list: could not convert string"),
    ],
)
def test_points_of_a_wrong_shape_are_refused(method: str, value: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(check_prior(NAMED), method)(value)


@pytest.mark.parametrize("method", ["log_prob", "to_unbounded", "from_unbounded"])
def test_nan_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match=r"must not hold NaN, got \[nan  1.\] in row 1"):
        getattr(check_prior(NAMED), method)([[1.0, 1.0], [np.nan, 1.0]])


def test_nan_is_nowhere() -> None:
    np.testing.assert_array_equal(check_prior(NAMED).contains([[np.nan, 0.5]]), [False])


def test_theta_and_z_have_one_shape() -> None:
    with pytest.raises(ValueError, match=r"one shape, got \(2, 2\) and \(1, 2\)"):
        check_prior(NAMED).log_abs_det_jacobian(np.ones((2, 2)), np.ones((1, 2)))


@pytest.mark.parametrize(
    ("log_prob", "message"),
    [
        (lambda theta: np.full(len(theta), np.nan), "not NaN inside its support, got NaN at"),
        (lambda theta: np.zeros((len(theta), 2)), r"shape \(n,\) = \(64,\), got \(64, 2\)"),
        (lambda theta: np.full(len(theta), -np.inf), "finite log_prob at its own draws, got -inf"),
    ],
)
def test_a_broken_density_is_found_before_a_fit(log_prob: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_prior(square(log_prob=log_prob))


def test_a_broken_sampler_is_found_before_a_fit() -> None:
    broken = square(sample=lambda n, random_state: np.zeros((2, 2)))  # whatever n is
    with pytest.raises(ValueError, match=r"\(64, 2\), got shape \(2, 2\)"):
        check_prior(broken)
