"""
Estimators as text: priors are shown as they are written, not by addresses in memory.

scikit-learn asks every parameter for its ``repr``, and frozen distributions of scipy have none. So
what it shows is a stand-in, with the same parameters but for the priors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from sksbi.priors.shown import shown_prior
from sksbi.samplers import Sampler

__all__ = ["ReadableMixin"]


class ReadableMixin:
    """The text of an estimator, and its table in a notebook, with priors that can be read."""

    get_params: Callable[..., dict[str, Any]]

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return str(BaseEstimator.__repr__(_shown(self), N_CHAR_MAX))

    def _get_params_html(self, deep: bool = True, doc_link: str = "") -> Any:
        """Give the parameters of scikit-learn's table."""
        return BaseEstimator._get_params_html(_shown(self), deep, doc_link)


@lru_cache(maxsize=256)
def _stand_in_class(kind: Any) -> Any:
    """Derive a class that scikit-learn's printer lays out as its own."""
    # The table of parameters came with scikit-learn 1.7.
    names = [name for name in ("__repr__", "_get_params_html") if hasattr(BaseEstimator, name)]
    own = {name: getattr(BaseEstimator, name) for name in names}
    own |= {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), own)


def _shown(value: Any, name: str = "") -> Any:
    """Copy what holds a prior, with the prior as text; anything else stays as it is."""
    if name == "prior":
        return shown_prior(value)
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_shown(part) for part in value)
    if not isinstance(value, ReadableMixin | Sampler | FrozenEstimator) or isinstance(value, type):
        return value
    kind: Any = type(value)
    stand_in = object.__new__(_stand_in_class(kind))
    own = {key: _shown(part, key) for key, part in value.get_params(deep=False).items()}
    vars(stand_in).update(vars(value) | own)
    return stand_in
