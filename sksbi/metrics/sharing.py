"""
One drawing for several scorers of one estimator and the same pairs.

A dict of scorers, as ``cross_validate`` and searches take it, is called one by one. The last
drawing of a thread is kept until its estimator is gone or another is made, and is taken again only
if nothing has changed: pairs, number of draws and seed, and all that the estimator consists of.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from sksbi.metrics.held_out import Drawing
from sksbi.utils.types import RandomState, Table

__all__ = ["shared_drawing"]

_KEPT = threading.local()


@dataclass
class _Last:
    """The last drawing of a thread, with all that it depends on."""

    request: object
    state: bytes
    drawing: Drawing | None
    estimator: weakref.ref[Any] | None = None


@contextmanager
def shared_drawing(
    estimator: Any, theta: Table, x: Table, n_samples: int, random_state: RandomState
) -> Iterator[Drawing]:
    """
    Give the drawing of the last scorer, if it is the same, and keep it for the next one.

    Parameters
    ----------
    estimator : estimator or pipeline
        Fitted, with ``sample`` and ``log_prob``.
    theta : array-like or DataFrame of shape (n, D)
        The parameters.
    x : array-like, Series or DataFrame of shape (n, ...)
        What was simulated from them.
    n_samples : int
        The number of draws for each observation.
    random_state : None, int, RandomState or Generator
        Seeds the draws. Only drawings from ints are shared: others are never the same twice.

    Yields
    ------
    Drawing
        The drawing, from which nothing has been computed yet, or all that the last scorer needed.
    """
    request = _request(theta, x, n_samples, random_state)
    drawing = None if request is None else _find(estimator, request)
    if drawing is None:
        drawing = Drawing(estimator, theta, x, n_samples, random_state=random_state)
    yield drawing
    if request is not None and drawing.has_drawn:
        _keep(estimator, request, drawing)


def _request(theta: Table, x: Table, n_samples: int, random_state: RandomState) -> object:
    """Describe what is asked for by its contents; None if that cannot be done."""
    if not isinstance(random_state, Integral):
        return None
    contents = _digest((theta, x))
    return None if contents is None else (contents, n_samples, int(random_state))


def _find(estimator: Any, request: object) -> Drawing | None:
    """Give the drawing that was kept, if nothing has changed since."""
    last = getattr(_KEPT, "last", None)
    if last is None or last.estimator is None or last.estimator() is not estimator:
        return None
    return last.drawing if (last.request, last.state) == (request, _digest(estimator)) else None


def _keep(estimator: Any, request: object, drawing: Drawing) -> None:
    """Keep a drawing as long as its estimator lives."""
    state = _digest(estimator)
    if state is None:
        return
    last = _Last(request, state, drawing)

    def forget(_: object) -> None:
        last.drawing = None

    try:
        last.estimator = weakref.ref(estimator, forget)
    except TypeError:
        return
    _KEPT.last = last


class _Sink:
    """A file of which only the hash is kept."""

    def __init__(self) -> None:
        self.hash = hashlib.blake2b()

    def write(self, data: Any) -> int:
        """Take bytes."""
        self.hash.update(data)
        return memoryview(data).nbytes


def _pickler() -> Any:
    """Give what pickles most; without cloudpickle, what holds lambdas is not shared."""
    try:
        import cloudpickle
    except ImportError:
        return pickle.Pickler
    return cloudpickle.Pickler


def _digest(contents: object) -> bytes | None:
    """Hash all that an object consists of; None if it cannot be pickled."""
    sink = _Sink()
    try:
        _pickler()(sink).dump(contents)
    except Exception:  # whatever a user's object raises when it is pickled
        return None
    return sink.hash.digest()
