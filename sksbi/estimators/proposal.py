"""A fitted posterior estimator, from which another estimator's sampler draws its candidates."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sksbi.posteriors.base import PosteriorAt
from sksbi.priors import Prior
from sksbi.tables.layout import ObservationLayout
from sksbi.utils.types import Array, Table
from sksbi.utils.validation import check_instance
from sksbi.utils.warn import warn_user

__all__ = ["Proposal"]

_PRIOR_DRAWS, _SAME_DENSITY = 2_000, 0.05


class Proposal:
    """
    The posterior of one estimator, at the observations of another.

    Parameters
    ----------
    estimator : estimator
        What the sampler was given: fitted, and most often frozen.
    prior : Prior
        The other's prior.
    names : list or None
        The names of the other's parameters, if they have names.
    layout : ObservationLayout
        The other's x.
    """

    def __init__(
        self, estimator: Any, prior: Prior, names: list[Any] | None, layout: ObservationLayout
    ) -> None:
        self.estimator, self.prior, self.names, self.layout = estimator, prior, names, layout
        self._is_checked = False

    @property
    def final(self) -> Any:
        """What estimates the posterior: the last step of a Pipeline."""
        final = self.estimator
        while isinstance(final, FrozenEstimator) or hasattr(final, "steps"):
            frozen = isinstance(final, FrozenEstimator)
            final = final.estimator if frozen else final.steps[-1][1]
        return final

    def __call__(self, x: Array) -> PosteriorAt:
        """
        Ask at observations.

        Parameters
        ----------
        x : ndarray of shape (m, trials, ...)
            The observations, in the numbers of the other's layout.

        Returns
        -------
        PosteriorAt
            Their posteriors.

        Raises
        ------
        NotFittedError
            If the proposal is not fitted.
        TypeError, ValueError
            If it is no posterior with a normalised density, or was fitted to another prior, to
            other parameters, or to x of another shape.
        """
        if not self._is_checked:
            self._check_kind()
            self._check_parameters()
            self._check_prior()
            self._is_checked = True
        table = self._in_its_form(x)
        try:
            asked: PosteriorAt = self.estimator._ask(table, warns=False)[1]
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"proposal cannot be asked about these observations: {error}") from error
        return asked

    def marginal(self, columns: Sequence[int], prior: Prior) -> Proposal | None:
        """
        Take the posterior of some of the parameters, where the estimator has it.

        Parameters
        ----------
        columns : sequence of int
            The parameters, in the order wanted.
        prior : Prior
            Their prior.

        Returns
        -------
        Proposal or None
            The proposal of these; None: there is none, and candidates come from the prior.
        """
        if not hasattr(self.estimator, "marginal"):
            return None
        names = None if self.names is None else [self.names[i] for i in columns]
        return Proposal(self.estimator.marginal(columns), prior, names, self.layout)

    def _check_kind(self) -> None:
        """Hold that it is a fitted estimator of densities."""
        check_instance(self.estimator, "proposal")
        kind, estimates = type(self.final).__name__, getattr(self.final, "_estimates", None)
        if not hasattr(self.estimator, "_ask") or estimates != "posterior":
            raise TypeError(
                "proposal must be a fitted posterior estimator with a normalised density, such as "
                f"FrozenEstimator(npe), or a Pipeline that ends in one, got {kind}"
                + (f", which estimates a {estimates}." if estimates else ".")
            )
        try:
            check_is_fitted(self.final)
        except NotFittedError as error:
            raise NotFittedError(
                f"proposal must be fitted, got {kind} without a fit: fit it, and give "
                "ImportanceResampling(proposal=FrozenEstimator(fitted)), with "
                "sklearn.frozen.FrozenEstimator; what is not frozen loses its fit when the "
                "estimator that draws from it is cloned, as searches and ensembles do."
            ) from error

    def _check_parameters(self) -> None:
        """Hold that it knows the same parameters."""
        theirs, final = self.final.n_features_in_, self.final
        if theirs != self.prior.n_features:
            raise ValueError(
                f"proposal must have the {self.prior.n_features} parameters of the prior, got one "
                f"fitted to {theirs}."
            )
        is_named = final.theta_columns_ is not None or getattr(final.prior_, "names", None)
        names = list(final.parameter_names_) if is_named else None
        if None not in (names, self.names) and names != self.names:
            raise ValueError(
                f"proposal must have the parameters {self.names}, in this order, got one fitted to "
                f"{names}."
            )

    def _check_prior(self) -> None:
        """Hold that its prior is positive where the prior is; warn if it is another one."""
        theirs = self.final.prior_
        if theirs is None or theirs is self.prior:
            return
        theta = self.prior.sample(_PRIOR_DRAWS, np.random.default_rng(0))
        gap = self.prior.log_prob(theta) - theirs.log_prob(theta)
        missed = np.flatnonzero(~np.isfinite(gap))
        if len(missed):
            raise ValueError(
                "proposal must have been fitted under a prior that is positive wherever this one "
                f"is, got one that is zero at {len(missed)} of {len(theta)} draws, such as "
                f"{theta[missed[0]]}: fit it to simulations from the same prior."
            )
        # A density that is known up to a constant is no other one.
        if np.abs(gap - np.median(gap)).max() > _SAME_DENSITY:
            warn_user(
                "proposal was fitted under another prior. Weights allow for that, so draws are of "
                "this one, but fewer candidates count than if it were the same.",
                UserWarning,
            )

    def _in_its_form(self, x: Array) -> Table:
        """Give observations the shape of its x, and the columns where both have them."""
        template = getattr(self.estimator, "x_template_", None)
        layout: Any = getattr(self.estimator, "x_layout_", None)
        theirs = tuple(layout.shape if template is None else template.shape[1:])
        n_trials, ours = x.shape[1], x.shape[2:]
        if n_trials == 1 and theirs == ours:
            return self._in_columns(x[:, 0], layout, template)
        if theirs in ((n_trials, *ours), (prod(x.shape[1:]),)):
            return x.reshape(len(x), *theirs)
        trials = f"{n_trials} trials of " * (n_trials > 1)
        raise ValueError(
            f"proposal was fitted to x of shape {theirs}, and cannot be asked about {trials}x of "
            f"shape {ours}: fit it to the same x"
            + (", all trials as one" if n_trials > 1 else "")
            + "; an estimator at the end of a Pipeline has the x that comes out of the other steps."
        )

    def _in_columns(self, x: Array, layout: Any, template: Any) -> Table:
        """Make a table of x where both fits had one."""
        takes_tables = isinstance(template, pd.DataFrame) or getattr(layout, "names", None)
        encoder = self.layout.encoder
        if not takes_tables or x.ndim != 2:
            return x
        if encoder is not None and encoder.columns is not None:
            return encoder.decode(x)
        return x if self.layout.names is None else pd.DataFrame(x, columns=list(self.layout.names))
