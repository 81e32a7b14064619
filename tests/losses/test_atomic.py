"""The atomic loss finds the posterior under the prior, wherever parameters come from."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, MultivariateNormal, Normal

from sksbi import NPE
from sksbi.losses import Atomic, build_criterion
from sksbi.losses.build import criterion_names

N = 4_000


def standard(theta):
    """Evaluate the standard normal prior."""
    return -0.5 * (theta**2).sum(-1)


def normal(mean, scale):
    """Make posteriors of n rows."""
    return Independent(Normal(mean, scale), 1)


def shown(atoms, **options):
    """Make a criterion that knows the proposal."""
    made = Atomic(**options).eval()
    made.show(atoms, standard)
    return made


def test_the_posterior_is_least_whatever_the_proposal():
    """x = theta + noise, theta from a narrow proposal far off: the exact posterior wins."""
    generator = torch.Generator().manual_seed(0)
    theta = 1.5 + 0.4 * torch.randn(N, 1, generator=generator)
    x = theta + 0.5 * torch.randn(N, 1, generator=generator)
    variance = 1 / (1 + 1 / 0.25)
    mean, sd = x * variance / 0.25, variance**0.5
    criterion = shown(theta)
    exact = criterion(normal(mean, sd), theta)
    proposal_variance = 1 / (1 / 0.16 + 1 / 0.25)
    under_proposal = proposal_variance * (1.5 / 0.16 + x / 0.25)
    for other in (
        normal(mean + 0.3, sd),
        normal(mean, 1.5 * sd),
        normal(mean, sd / 1.5),
        normal(under_proposal, proposal_variance**0.5),
    ):
        difference = criterion(other, theta) - exact
        # All see the same atoms, so rows are compared one by one.
        assert difference.mean() > 3 * difference.std() / N**0.5


def test_a_factor_of_x_alone_does_not_matter():
    """Choices among parameters do not see it."""

    class Scaled:
        def __init__(self, inner, factor):
            self.inner, self.factor = inner, factor

        def log_prob(self, theta):
            return self.inner.log_prob(theta) + self.factor

    theta = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    inner = normal(torch.zeros(50, 2), 0.7)
    criterion = shown(theta)
    scaled = criterion(Scaled(inner, torch.linspace(-3, 3, 50)), theta)
    torch.testing.assert_close(scaled, criterion(inner, theta))


def test_its_own_theta_is_no_other_atom():
    """If all atoms are the own one, there is nothing to choose."""
    theta = torch.full((5, 1), 0.3)
    assert shown(theta)(normal(torch.zeros(5, 1), 1.0), theta).abs().max() < 1e-6


def test_evaluations_can_be_compared():
    """The atoms of two calls are the same, in training they are not."""
    theta = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    criterion, output = shown(theta), normal(torch.zeros(50, 2), 0.7)
    torch.testing.assert_close(criterion(output, theta), criterion(output, theta))
    criterion.train()
    assert not torch.equal(criterion(output, theta), criterion(output, theta))


def test_evaluations_see_ten_times_as_many_atoms():
    """A posterior that is the prior, both flat, has but chance: log(K + 1)."""
    theta = torch.arange(2000.0)[:, None]
    criterion = Atomic(n_atoms=3)
    criterion.show(theta, lambda theta: torch.zeros(len(theta)))
    flat = normal(torch.zeros(2000, 1), 1e9)
    # One in 2000 atoms is the row's own theta, and does not count.
    assert criterion.eval()(flat, theta).exp().mean() == pytest.approx(31, abs=0.1)
    assert criterion.train()(flat, theta).exp().mean() == pytest.approx(4, abs=0.01)


def test_it_has_a_name():
    """NPE builds it, and alone it says what is missing."""
    assert "atomic" in criterion_names()
    criterion = build_criterion("atomic", n_atoms=3)
    posterior = MultivariateNormal(torch.zeros(1), torch.eye(1))
    with pytest.raises(RuntimeError, match="takes its atoms from NPE"):
        criterion(posterior, torch.zeros(3, 1))
    with pytest.raises(ValueError, match="n_atoms"):
        Atomic(n_atoms=0)


def pairs(n=2_000, scale=2.0):
    """Draw theta from a proposal beside the prior N(0, scale), and x = theta + noise."""
    rng = np.random.default_rng(0)
    theta = rng.normal(1.5, 0.8, size=(n, 1)) * scale
    return theta, theta + scale * 0.5 * rng.standard_normal((n, 1))


@pytest.mark.filterwarnings("ignore::sksbi.exceptions.TrainingWarning")
def test_npe_learns_the_posterior_under_the_prior():
    """From a proposal, which the plain loss would take for the prior."""
    theta, x = pairs()
    normal = {"flow": "gmm", "module__components": 1, "hidden_features": (16,), "max_epochs": 40}
    npe = NPE([stats.norm(0, 2)], criterion="atomic", random_state=0, **normal).fit(theta, x)
    draws = npe.sample([3.0], 4_000)
    variance = 1 / (1 / 4 + 1)
    assert draws.mean() == pytest.approx(3 * variance, abs=0.2 * variance**0.5)
    assert draws.std() == pytest.approx(variance**0.5, rel=0.2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sksbi.exceptions.TrainingWarning")
def test_failed_simulations_are_atoms():
    """Half of those above 3.5 fail; what succeeded tells nothing of that beside p(theta | x)."""
    theta, x = pairs(4_000)
    fails = (theta[:, 0] > 3.5) & (np.random.default_rng(1).random(len(theta)) < 0.8)
    x[fails] = np.nan
    npe = NPE([stats.norm(0, 2)], criterion="atomic", random_state=0).fit(theta, x)
    grid = np.linspace(0.5, 6.5, 400)[:, None]
    density = np.exp(npe.log_prob(grid, [4.0]))
    exact = stats.norm(0, 2).pdf(grid[:, 0]) * stats.norm(4, 1).pdf(grid[:, 0])
    exact *= np.where(grid[:, 0] > 3.5, 0.2, 1)  # x is no failure
    above = grid[:, 0] > 3.5
    expected = exact[above].sum() / exact.sum()
    assert density[above].sum() / density.sum() == pytest.approx(expected, abs=0.06)


def test_the_prior_is_needed():
    """Without it there is nothing to divide by."""
    with pytest.raises(ValueError, match="criterion='atomic' needs the prior"):
        NPE(criterion="atomic", max_epochs=1).fit(*pairs(200))
