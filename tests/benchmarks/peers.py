"""
Adapters that give the estimators of sbi and lampe the shape that accuracy.py measures.

Each is called with a task's prior and a seed, and has fit(theta, x), sample(x, n_samples,
random_state) and history_. The module docstring of accuracy.py says how to make an environment with
both libraries; they are imported when an estimator is made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy import stats

__all__ = ["ESTIMATORS", "Lampe", "Sbi"]


def torch_prior(prior: object) -> torch.distributions.Distribution:
    """Turn a task's prior into a torch distribution."""
    if not isinstance(prior, dict):
        loc, covariance = torch.tensor(prior.mean), torch.tensor(prior.cov)
        return torch.distributions.MultivariateNormal(loc.float(), covariance.float())
    marginals = list(prior.values())
    kinds = {marginal.dist.name for marginal in marginals}
    if len(kinds) > 1 or not kinds <= {"uniform", "norm", "lognorm"}:
        return _product(marginals)
    (kind,) = kinds
    first, second = np.array([_parameters(marginal, kind) for marginal in marginals]).T
    first, second = torch.tensor(first).float(), torch.tensor(second).float()
    if kind == "uniform":
        from sbi.utils import BoxUniform

        return BoxUniform(first, second)
    if kind == "norm":
        return torch.distributions.MultivariateNormal(first, torch.diag(second**2))
    return torch.distributions.Independent(torch.distributions.LogNormal(first, second), 1)


def _product(marginals: list) -> torch.distributions.Distribution:
    """Put marginals of several kinds side by side."""
    from sbi.utils import MultipleIndependent

    parts = []
    for marginal in marginals:
        kind, mean, sd = marginal.dist.name, marginal.mean(), marginal.std()
        name, first, second = {
            "expon": ("Gamma", 1.0, 1 / mean),
            "gamma": ("Gamma", (mean / sd) ** 2, mean / sd**2),
            "norm": ("Normal", mean, sd),
            "uniform": ("Uniform", *marginal.support()),
        }[kind]
        make = getattr(torch.distributions, name)
        parts.append(make(torch.tensor([float(first)]), torch.tensor([float(second)])))
    return parts[0] if len(parts) == 1 else MultipleIndependent(parts)


def _parameters(marginal: object, kind: str) -> tuple[float, float]:
    """Read low and high of a uniform, mean and deviation of a (log) normal marginal."""
    if kind == "uniform":
        return marginal.support()
    if kind == "norm":
        return marginal.mean(), marginal.std()
    if kind == "lognorm" and marginal.support()[0] == 0:
        log_median, log_upper = np.log(marginal.ppf(stats.norm.cdf([0.0, 1.0])))
        return log_median, log_upper - log_median
    raise ValueError(f"No torch distribution is known here for the marginal {kind}.")


class Sbi:
    """
    An estimator of sbi, with its defaults.

    Parameters
    ----------
    method : str
        The trainer in sbi.inference.
    prior : object
        The task's prior.
    random_state : int
        The seed.
    train, posterior, sample : dict, optional
        Arguments of the methods train, build_posterior and the posterior's sample.
    **options : object
        Arguments of the trainer.
    """

    def __init__(
        self,
        method: str,
        prior: object,
        *,
        random_state: int,
        train: dict | None = None,
        posterior: dict | None = None,
        sample: dict | None = None,
        **options: object,
    ) -> None:
        from sbi import inference

        self.trainer = getattr(inference, method)
        self.prior, self.random_state = prior, random_state
        self.train, self.posterior, self.sampling = train or {}, posterior or {}, sample or {}
        self.options = options

    def fit(self, theta: np.ndarray, x: np.ndarray) -> Sbi:
        """Train on the pairs."""
        torch.manual_seed(self.random_state)
        np.random.seed(self.random_state)  # noqa: NPY002, its slice sampler draws from it
        trainer = self.trainer(torch_prior(self.prior), show_progress_bars=False, **self.options)
        trainer.append_simulations(torch.tensor(theta).float(), torch.tensor(x).float())
        self.density_ = trainer.train(**self.train)
        self.posterior_ = trainer.build_posterior(**self.posterior)
        self.history_ = pd.DataFrame({"valid_loss": trainer.summary["validation_loss"]})
        return self

    def sample(self, x: np.ndarray, n_samples: int, *, random_state: int) -> np.ndarray:
        """Draw (n_samples, D), by rejection outside the prior or by MCMC, as the library does."""
        torch.manual_seed(random_state)
        options = {"show_progress_bars": False} | self.sampling
        return self.posterior_.sample((n_samples,), torch.tensor(x).float(), **options).numpy()

    def sample_many(self, x: np.ndarray, n_samples: int, *, random_state: int) -> np.ndarray:
        """Draw (m, n_samples, D) from the density of NPE, outside the prior, too."""
        torch.manual_seed(random_state)
        with torch.no_grad():
            draws = self.density_.sample((n_samples,), condition=torch.tensor(x).float())
        return draws.numpy().swapaxes(0, 1)

    def log_prob(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Compute the log-density of NPE, which is normalised over all of space."""
        with torch.no_grad():
            theta, x = torch.tensor(theta).float()[None], torch.tensor(x).float()
            return self.density_.log_prob(theta, condition=x)[0].numpy()


class Lampe:
    """
    An estimator of lampe, trained as its tutorials do, on standardised theta and x.

    Parameters
    ----------
    method : str
        The module in lampe.inference; its loss has the same name and "Loss".
    draw : callable (module, x (L,), n_samples) -> (n_samples, D)
        Draws in standardised units.
    prior : object
        The task's prior, which is not needed.
    random_state : int
        The seed.
    epochs, batch_size, lr, clip : number, optional
        The training.
    **options : object
        Arguments of the module.
    """

    def __init__(
        self,
        method: str,
        draw: Callable[[torch.nn.Module, torch.Tensor, int], torch.Tensor],
        prior: object,
        *,
        random_state: int,
        epochs: int = 64,
        batch_size: int = 256,
        lr: float = 1e-3,
        clip: float = 1.0,
        **options: object,
    ) -> None:
        import lampe

        self.lampe, self.method, self.draw = lampe, method, draw
        self.random_state, self.options = random_state, options
        self.epochs, self.batch_size, self.lr, self.clip = epochs, batch_size, lr, clip

    def fit(self, theta: np.ndarray, x: np.ndarray) -> Lampe:
        """Train on the pairs."""
        torch.manual_seed(self.random_state)
        self.theta_scale_ = theta.mean(axis=0), theta.std(axis=0)
        self.x_scale_ = x.mean(axis=0), x.std(axis=0)
        pairs = _standardise(theta, self.theta_scale_), _standardise(x, self.x_scale_)
        dataset = self.lampe.data.JointDataset(*pairs, batch_size=self.batch_size, shuffle=True)
        module = getattr(self.lampe.inference, self.method)(
            theta.shape[1], x.shape[1], **self.options
        )
        loss = getattr(self.lampe.inference, f"{self.method}Loss")(module)
        optimizer = torch.optim.Adam(module.parameters(), lr=self.lr)
        step = self.lampe.utils.GDStep(optimizer, clip=self.clip)
        losses = [
            float(torch.stack([step(loss(*batch)) for batch in dataset]).mean())
            for _ in range(self.epochs)
        ]
        self.module_ = module.eval()
        self.history_ = pd.DataFrame({"train_loss": losses})
        return self

    def sample(self, x: np.ndarray, n_samples: int, *, random_state: int) -> np.ndarray:
        """Draw (n_samples, D); nothing keeps the draws inside the prior."""
        torch.manual_seed(random_state)
        mean, std = self.theta_scale_
        with torch.no_grad():
            draws = self.draw(self.module_, _standardise(x, self.x_scale_), n_samples)
        return draws.numpy() * std + mean


def _standardise(values: np.ndarray, scale: tuple[np.ndarray, np.ndarray]) -> torch.Tensor:
    """Bring every column to mean 0 and deviation 1."""
    mean, std = scale
    return torch.tensor((values - mean) / np.where(std > 0, std, 1.0)).float()


def _draw_from_flow(module: torch.nn.Module, x: torch.Tensor, n_samples: int) -> torch.Tensor:
    """Draw from a conditional flow."""
    return module.flow(x).sample((n_samples,))


ESTIMATORS = {
    "sbi_npe": partial(Sbi, "NPE"),
    "sbi_nle": partial(Sbi, "NLE"),
    "sbi_nre": partial(Sbi, "NRE"),
    "sbi_fmpe": partial(Sbi, "FMPE"),
    "sbi_npse": partial(Sbi, "NPSE"),
    "lampe_npe": partial(Lampe, "NPE", _draw_from_flow, transforms=3, hidden_features=(64, 64)),
}
