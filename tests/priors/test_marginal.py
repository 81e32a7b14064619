"""The prior of some parameters: scipy's own marginals are the truth."""

import pickle

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions

from sksbi.priors import Prior, UnboundedPrior, check_prior

MASS, RATE, ANGLE = stats.uniform(0, 10), stats.loguniform(1e-3, 1), stats.norm(1, 0.5)
NAMED = {"mass": MASS, "rate": RATE, "angle": ANGLE}
MEAN = np.array([1.0, -1.0, 0.5])
MATRIX = np.array([[2.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 0.5]])
SWAPPED = np.ix_([2, 0], [2, 0])


class Pair:
    """A user's object of two parameters that knows its marginals."""

    names = ("a", "b")
    support = (-np.inf, np.inf)

    def __init__(self, marginal: object = None) -> None:
        self.result = marginal

    def sample(self, n: int, random_state: int) -> np.ndarray:
        return np.random.default_rng(random_state).normal([0, 3], [1, 2], (n, 2))

    def log_prob(self, theta: np.ndarray) -> np.ndarray:
        return stats.norm([0, 3], [1, 2]).logpdf(theta).sum(axis=1)

    def marginal(self, columns: list[int]) -> object:
        known = [stats.norm(0, 1), stats.norm(3, 2)]
        return [known[i] for i in columns] if self.result is None else self.result


def swapped_torch_normal() -> distributions.MultivariateNormal:
    """Give the normal distribution of three parameters in torch."""
    return distributions.MultivariateNormal(torch.tensor(MEAN), torch.tensor(MATRIX))


# The spec, the columns, and the log density that they have.
TABLE = {
    "dict, by name": (
        NAMED,
        ["angle", "mass"],
        lambda t: ANGLE.logpdf(t[:, 0]) + MASS.logpdf(t[:, 1]),
    ),
    "dict, by position": (NAMED, [1], lambda t: RATE.logpdf(t[:, 0])),
    "dict, both ways": (
        NAMED,
        ("rate", 0),
        lambda t: RATE.logpdf(t[:, 0]) + MASS.logpdf(t[:, 1]),
    ),
    "list": ([MASS, ANGLE], np.array([1]), lambda t: ANGLE.logpdf(t[:, 0])),
    "multivariate_normal": (
        stats.multivariate_normal(MEAN, MATRIX),
        [2, 0],
        stats.multivariate_normal(MEAN[[2, 0]], MATRIX[SWAPPED]).logpdf,
    ),
    "multivariate_normal, one": (
        stats.multivariate_normal(MEAN, MATRIX),
        [1],
        lambda t: stats.norm(-1, 1).logpdf(t[:, 0]),
    ),
    "multivariate_t": (
        stats.multivariate_t(MEAN, MATRIX, df=5),
        [2, 0],
        stats.multivariate_t(MEAN[[2, 0]], MATRIX[SWAPPED], df=5).logpdf,
    ),
    "multivariate_t, one": (
        stats.multivariate_t(MEAN, MATRIX, df=5),
        [0],
        lambda t: stats.t(5, 1, np.sqrt(2)).logpdf(t[:, 0]),
    ),
    "torch product": (
        distributions.Independent(distributions.Normal(torch.zeros(2), torch.tensor([1.0, 2])), 1),
        [1],
        lambda t: stats.norm(0, 2).logpdf(t[:, 0]),
    ),
    "torch normal": (
        swapped_torch_normal(),
        [2, 0],
        stats.multivariate_normal(MEAN[[2, 0]], MATRIX[SWAPPED]).logpdf,
    ),
    "object": (Pair(), ["b"], lambda t: stats.norm(3, 2).logpdf(t[:, 0])),
    "truncated dict": (
        check_prior(NAMED).truncated([2, 0, 1], [4, 1, 9]),
        ["angle", "mass"],
        lambda t: (
            stats.truncnorm(0, 16, 1, 0.5).logpdf(t[:, 0]) + stats.uniform(2, 2).logpdf(t[:, 1])
        ),
    ),
}

every_marginal = pytest.mark.parametrize(("spec", "columns", "log_p"), TABLE.values(), ids=TABLE)


@every_marginal
def test_the_density_is_the_marginal_one(spec: object, columns: list, log_p: object) -> None:
    prior = check_prior(spec).marginal(columns)
    theta = prior.sample(50, random_state=0)
    assert theta.shape == (50, len(columns))
    np.testing.assert_allclose(prior.log_prob(theta), log_p(theta), rtol=1e-10, atol=1e-10)


@every_marginal
def test_draws_are_those_columns_of_the_joint_draws(
    spec: object, columns: list, log_p: object
) -> None:
    joint = check_prior(spec)
    positions = [joint.names.index(c) if isinstance(c, str) else c for c in columns]
    ours = joint.marginal(columns).sample(4_000, random_state=1)
    theirs = joint.sample(4_000, random_state=2)[:, positions]
    for first, second in zip(ours.T, theirs.T, strict=True):
        assert stats.ks_2samp(first, second).pvalue > 1e-4
    # Standard errors of a correlation of 4,000 draws are below 1 / sqrt(4000) = 0.016 each.
    if len(columns) == 2:
        assert stats.spearmanr(ours)[0] == pytest.approx(stats.spearmanr(theirs)[0], abs=0.09)


@every_marginal
def test_names_bounds_and_spec_go_along(spec: object, columns: list, log_p: object) -> None:
    joint = check_prior(spec)
    positions = [joint.names.index(c) if isinstance(c, str) else c for c in columns]
    prior = joint.marginal(columns)
    names = None if joint.names is None else [joint.names[i] for i in positions]
    assert prior.names == names
    np.testing.assert_array_equal(prior.support, [bound[positions] for bound in joint.support])
    again = pickle.loads(pickle.dumps(check_prior(prior.spec)))
    theta = prior.sample(5, random_state=0)
    np.testing.assert_array_equal(again.sample(5, random_state=0), theta)
    np.testing.assert_array_equal(again.log_prob(theta), prior.log_prob(theta))


def test_all_columns_in_order_are_the_prior_itself() -> None:
    for spec in (NAMED, stats.multivariate_normal(MEAN, MATRIX)):
        prior = check_prior(spec)
        assert prior.marginal([0, 1, 2]) is prior


def test_a_marginal_of_a_marginal_keeps_its_quantile_map() -> None:
    prior = check_prior(NAMED).marginal(["angle", "rate"]).marginal(["rate"])
    z = UnboundedPrior(prior).sample((2_000,), np.random.default_rng(0))
    assert repr(prior) == "MarginalPrior(rate=loguniform(0.001, 1))"
    assert stats.kstest(prior.from_unbounded(z).ravel(), RATE.cdf).pvalue > 1e-4


def test_a_truncation_that_leaves_the_others_alone_commutes() -> None:
    joint = check_prior(stats.multivariate_normal(MEAN, MATRIX))
    low, high = np.array([0, -np.inf, -1]), np.array([np.inf, np.inf, 1])
    prior = joint.truncated(low, high).marginal([2, 0])
    expected = joint.marginal([2, 0]).truncated(low[[2, 0]], high[[2, 0]])
    theta = prior.sample(20, random_state=0)
    np.testing.assert_array_equal(prior.log_prob(theta), expected.log_prob(theta))
    np.testing.assert_array_equal(prior.support, [[-1, 0], [1, np.inf]])


def test_an_object_may_give_a_prior_which_stays_as_it_is() -> None:
    given = check_prior([stats.norm()])
    prior = check_prior(Pair(given)).marginal(["a"])
    assert prior.names == ["a"]
    assert given.names is None


def positive(theta: np.ndarray) -> np.ndarray:
    """Say where the first parameter is positive."""
    return theta[:, 0] > 0


class Mute(Pair):
    """The same without a marginal."""

    marginal = None


@pytest.mark.parametrize(
    ("prior", "columns"),
    [
        (check_prior(Mute()), ["a"]),
        (check_prior(NAMED).within(positive), ["mass"]),
        (check_prior(stats.multivariate_normal(MEAN, MATRIX)).truncated([0] * 3, [3] * 3), [0]),
        (
            check_prior(
                distributions.MixtureSameFamily(
                    distributions.Categorical(torch.ones(2)),
                    distributions.MultivariateNormal(torch.zeros(2, 2), torch.eye(2)),
                )
            ),
            [1],
        ),
    ],
    ids=["object", "region", "box", "torch"],
)
def test_what_has_no_closed_form_is_refused(prior: Prior, columns: list) -> None:
    with pytest.raises(TypeError, match=r"(?s)closed form.*multivariate_t.*; got .*Prior\(.*draws"):
        prior.marginal(columns)


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ("mass", TypeError, "list of names or positions, got 'mass': put it in a list"),
        (1, TypeError, "list of names or positions, got 1"),
        ([1.0], TypeError, "names or integer positions, got 1.0"),
        ([True], TypeError, "names or integer positions, got True"),
        ([], ValueError, r"at least one parameter.*got \[\]"),
        (["mass", 0], ValueError, r"none twice, got \['mass', 0\]"),
        ([3], ValueError, "positions from 0 to 2, got 3"),
        ([-1], ValueError, "positions from 0 to 2, got -1"),
        (
            ["width"],
            ValueError,
            r"got 'width'; these have the names \['mass', 'rate', 'angle'\]",
        ),
    ],
)
def test_wrong_columns_are_refused(columns: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        check_prior(NAMED).marginal(columns)


def test_names_need_names() -> None:
    with pytest.raises(ValueError, match="got 'mass'; these have no names: give positions"):
        check_prior([MASS]).marginal(["mass"])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (3, TypeError, "prior must be a dict of frozen"),
        ([stats.norm()] * 2, ValueError, "prior has 2 parameters, theta has 1 columns"),
        ({"c": stats.norm()}, ValueError, r"must keep the names \['a'\], got \['c'\]"),
    ],
)
def test_what_an_object_gives_is_checked(result: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        check_prior(Pair(result)).marginal(["a"])
