"""Likelihoods behind steps on x: densities in the units of x, and observations in these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sksbi._pipeline_trials import TrialsOfStepsMixin
from sksbi.preprocessing.steps import (
    check_invertible,
    invert_steps,
    list_steps,
    log_abs_det_of_steps,
)
from sksbi.tables.emulated import in_form_of, read_parameters
from sksbi.utils.failures import are_failed, rows_of
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, RandomState, Table
from sksbi.utils.validation import check_weights

__all__ = ["LikelihoodOfStepsMixin"]


def _has(name: str) -> Callable[[Any], bool]:
    """Tell whether the last step has a method."""
    return lambda pipeline: hasattr(pipeline.steps[-1][1], name)


class LikelihoodOfStepsMixin(TrialsOfStepsMixin):
    """What a pipeline that ends in an estimator of p(x | theta) is asked in the units of x."""

    @available_if(_has("log_likelihood"))  # type: ignore[untyped-decorator]
    def log_likelihood(self, theta: Table, x: Any, *, iid: bool = False) -> Array:
        """
        Compute log q(x | theta), a density in the units of x before the steps.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters. Outside the prior's support, the value at the nearest point inside.
        x : object
            As many observations as theta has rows, or one for all of them, in the form of fit's x.
        iid : bool, default=False
            Whether an observation consists of independent trials: x is then (trials, ...) for one
            observation and (m, trials, ...) for a batch, and the logarithms are summed over trials.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            The log-likelihoods.

        Raises
        ------
        TypeError
            If the log-determinant of a step is not known, as that of StandardScaler and of the
            others that NLE takes as ``x_transformer`` is; or if columns are discrete or counts
            after the steps, which have a probability and no density.
        ValueError
            If theta or x does not look like fit's, or their numbers do not match.
        """
        check_is_fitted(self)
        steps, final = list_steps(self.steps[:-1]), self.steps[-1][1]
        if steps:
            _check_density(steps, final)
        transformed = self._transform_observations(x, {"iid": iid})
        log_q = final.log_likelihood(theta, transformed, iid=iid)
        ladj = self._log_abs_det(steps, *self._rows(x, iid))
        return log_q + (ladj[:, None] if log_q.ndim == 2 else ladj)

    @available_if(_has("log_evidence"))  # type: ignore[untyped-decorator]
    def log_evidence(
        self,
        x: Any,
        *,
        iid: bool = False,
        return_std: bool = False,
        sampler: Any = None,
        random_state: RandomState = None,
    ) -> Any:
        """
        Integrate prior times likelihood, or prior times ratio, over theta.

        Parameters
        ----------
        x : object
            One observation or a batch, in the form of fit's x.
        iid : bool, default=False
            Whether an observation consists of independent trials, as in ``sample``.
        return_std : bool, default=False
            Whether to return the standard error of the integration too.
        sampler : "nested", NestedSampling or None, default=None
            What integrates, as the last step has it.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        log_evidence : float, a batch: ndarray of shape (m,)
            Natural logarithms, of a likelihood in the units of x before the steps.
        std : float, a batch: ndarray of shape (m,)
            With ``return_std`` alone: their standard errors.

        Raises
        ------
        TypeError
            As :meth:`log_likelihood`, or if the sampler does not integrate.
        ValueError
            If x does not look like fit's, or there is no prior.
        """
        check_is_fitted(self)
        steps, final = list_steps(self.steps[:-1]), self.steps[-1][1]
        of_x = bool(steps) and hasattr(final, "log_likelihood")
        if of_x:
            _check_density(steps, final)
        transformed = self._transform_observations(x, {"iid": iid})
        options = {"iid": iid, "sampler": sampler, "random_state": random_state}
        log_z, std = final.log_evidence(transformed, return_std=True, **options)
        if of_x:
            ladj = self._log_abs_det(steps, *self._rows(x, iid))
            log_z = log_z + (ladj if np.ndim(log_z) else float(ladj[0]))
        return (log_z, std) if check_flag(return_std, "return_std") else log_z

    @available_if(_has("emulate"))  # type: ignore[untyped-decorator]
    def emulate(
        self, theta: Any, n_samples: int = 1, *, random_state: RandomState = None
    ) -> Array | pd.DataFrame:
        """
        Draw observations, as the simulator would: from the last step, and back through the others.

        Parameters
        ----------
        theta : array-like, dict, Series or DataFrame
            One theta: shape (D,), a dict or Series by names. Or m: shape (m, D).
        n_samples : int, default=1
            The number of observations for each, or of trials where fit's x had them.
        random_state : None, int, RandomState or Generator, default=None
            As in ``sample``.

        Returns
        -------
        ndarray or DataFrame
            Shape (n_samples, ...) for one theta, (m, n_samples, ...) for m. A DataFrame with the
            columns and dtypes of fit's x, if that was a table; for m theta with the index levels
            theta and draw.

        Raises
        ------
        TypeError
            If a step has no ``inverse_transform``.
        ValueError
            If theta does not look like fit's or lies outside the prior's support, or ``n_samples``
            is no positive int.
        """
        check_is_fitted(self)
        steps, final = list_steps(self.steps[:-1]), self.steps[-1][1]
        check_invertible(steps)
        x = final.emulate(theta, n_samples, random_state=random_state)
        asked = read_parameters(final, theta, final.prior_)
        rows = x
        if not isinstance(x, pd.DataFrame):
            rows = x.reshape(-1, *x.shape[1 if asked.single else 2 :])
        return in_form_of(self.x_template_, invert_steps(steps, rows), asked)

    def _log_abs_det(self, steps: Any, rows: Any, n_trials: int) -> Array:
        """Add up the log-determinants over trials; of failed simulations NaN."""
        kept = ~are_failed(rows)
        found = np.full(len(kept), np.nan)
        found[kept] = log_abs_det_of_steps(steps, rows_of(rows, kept)) if steps else 0.0
        return found.reshape(-1, n_trials).sum(axis=1)

    def _in_units_of_x(self, score: float, x: Any, sample_weight: Any) -> float:
        """Add the mean log-determinant to a mean log-likelihood."""
        steps, final = list_steps(self.steps[:-1]), self.steps[-1][1]
        if not steps or not hasattr(final, "log_likelihood"):
            return score
        _check_density(steps, final)
        ladj = self._log_abs_det(steps, *self._rows(x))
        weights = check_weights(sample_weight, len(ladj))
        failed = np.isnan(ladj)
        # Failures count in the score, as a probability, where success was learnt.
        kept = weights > 0 if final._posterior().factor.counts_failures else (weights > 0) & ~failed
        ladj = np.where(failed, 0.0, ladj)
        return score + float(np.average(ladj[kept], weights=weights[kept]))


def _check_density(steps: Any, final: Any) -> None:
    """Hold that what the last step learnt is a density, to which a Jacobian belongs."""
    if not final._posterior().factor.is_density:
        raise TypeError(
            "log_likelihood and score of a Pipeline take densities only to the units of x, and "
            f"after the steps {[name for name, _ in steps]} x has columns that are discrete or "
            f"counts: give x as it is to {type(final).__name__}, with a transformer of the other "
            "columns as its x_transformer; or ask the last step about what the others make of x."
        )
