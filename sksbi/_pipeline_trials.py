"""Observations that consist of trials, sent through a pipeline's steps trial by trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksbi.tables.templates import as_table
from sksbi.tables.trials import joined_trials, rows_asked

__all__ = ["TrialsOfStepsMixin"]


class TrialsOfStepsMixin:
    """What tells trials from observations, and transforms them."""

    steps: list[tuple[str, Any]]
    x_template_: Any
    _transform: Callable[..., Any]

    @property
    def _has_trials(self) -> bool:
        """Whether observations consist of trials, as the last step says."""
        return bool(getattr(self.steps[-1][1], "_has_trials", False))

    def _are_trials(self, iid: object) -> bool:
        """Tell whether what is asked consists of trials; what is no bool the last step refuses."""
        return self._has_trials or isinstance(iid, bool | np.bool_) and bool(iid)

    def _transform_observations(self, x: Any, options: dict[str, Any]) -> Any:
        """Transform what is asked of the fitted pipeline, trials too if there are some."""
        check_is_fitted(self)
        are_trials = self._are_trials(options.get("iid"))
        return self._transform_trials(x) if are_trials else self._transform(x)

    def _transform_simulated(self, x: Any, **metadata: Any) -> Any:
        """Transform simulations, some of which may have failed."""
        transform = self._transform_trials if self._has_trials else self._transform
        return transform(x, simulated=True, **metadata)

    def _transform_trials(self, x: Any, **options: Any) -> Any:
        """Send the trials of one observation or of a batch through the transformers."""
        rows, n_trials, is_batch = rows_asked(x, self.x_template_, iid=not self._has_trials)
        transformed = self._transform(rows, **options)
        return joined_trials(transformed, None, n_trials) if is_batch else transformed

    def _rows(self, x: Any, iid: object = False) -> tuple[Any, int]:
        """Arrange what is asked about as rows, so many of each observation."""
        n_trials = 1
        if self._are_trials(iid):
            x, n_trials, _ = rows_asked(x, self.x_template_, iid=not self._has_trials)
        return as_table(x, self.x_template_)[0], n_trials
