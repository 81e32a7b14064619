"""What estimators of posteriors by vector fields share: FMPE and NPSE."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval

from sksbi.estimators.neural import NeuralEstimator
from sksbi.estimators.observed import OBSERVED
from sksbi.nn import ConditionalField, build_field
from sksbi.nn.embedded import build_embedding
from sksbi.posteriors.density import DensityPosterior
from sksbi.posteriors.record import HeldOutRecord
from sksbi.preprocessing import ObservationSpace, ParameterSpace
from sksbi.training import check_passed_on

__all__ = ["FIELD", "FieldMixin"]

_MANY_ROWS, _HIDDEN_FOR_MANY = 50_000, (96, 96, 96)

FIELD = (
    NeuralEstimator._parameter_constraints
    | OBSERVED
    | {
        "tolerance": [Interval(Real, 0, None, closed="neither")],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
    }
)


class FieldMixin:
    """Training a vector field between noise and theta, with the parameters of FMPE."""

    net_: Any
    tolerance: float
    max_steps: int
    verbose: int
    _theta_space: ParameterSpace
    _x_space: ObservationSpace
    _record: HeldOutRecord | None
    _estimates = "field"
    _batch_scale = 2.0
    _least_epochs, _least_steps = 40, 1880
    _decay, _most_decay = 900.0, 0.25
    _least_rows = 1
    _architecture: tuple[str, ...] = (
        "network",
        "hidden_features",
        "embedding",
        "x_features",
        "criterion",
    )

    def _build_module(self, spec):
        """Embed x, then condition the field on it."""
        embedding, width = build_embedding(spec["embedding"], spec["x_shape"])
        options = check_passed_on(spec, "module__", build_field)
        if spec["hidden_features"] is not None:
            options["hidden_features"] = spec["hidden_features"]
        many = spec["embedding"] is None and spec["n_rows"] >= _MANY_ROWS
        if many and spec["network"] == "mlp":
            options.setdefault("hidden_features", _HIDDEN_FOR_MANY)
        field = build_field(spec["network"], spec["n_theta"], width, **options)
        return ConditionalField(field, embedding)

    def _posterior(self):
        """Assemble the posterior."""
        density = self.net_.module_.solved_to(self.tolerance, self.max_steps)
        spaces = self._theta_space, self._x_space
        return DensityPosterior(density, *spaces, self._record, self.verbose)
