"""
Tasks that scikit-learn's callbacks are told of: a fit, its epochs, members and rounds.

scikit-learn has them from 1.9 on (``sklearn.callback``), and may change them; where they are
missing nothing happens here. A fit is announced whether or not anybody listens, its parts only if
somebody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.base import BaseEstimator

__all__ = [
    "CallbackSupportMixin",
    "begun",
    "fit_task",
    "new_task",
    "with_callbacks",
    "within",
]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Leave a method as it is."""
        return method


@contextmanager
def fit_task(
    estimator: BaseEstimator, X: Any = None, y: Any = None, max_subtasks: int | None = 0
) -> Iterator[None]:
    """
    Announce a fit; the method that this is in has the decorator ``with_callbacks``.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    X, y : object
        What it is fitted to.
    max_subtasks : int or None, default=0
        The number of parts; None: not known.
    """
    if not hasattr(estimator, "_init_callback_context"):
        yield
        return
    context = estimator._init_callback_context(max_subtasks=max_subtasks)
    context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)
    yield
    fitted = {
        name: value
        for name, value in vars(estimator).items()
        if name not in estimator.get_params(deep=False)
        and not name.startswith(("_callback", "_skl_callbacks", "_parent_callback"))
    }
    context.call_on_fit_task_end(estimator=estimator, X=X, y=y, reconstruction_attributes=fitted)


def new_task(estimator: BaseEstimator, name: str) -> Any:
    """
    Make a part of a fit, not begun, if anybody listens.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    name : str
        The name of the part.

    Returns
    -------
    sklearn.callback.CallbackContext or None
        The part.
    """
    context = getattr(estimator, "_callback_fit_ctx", None)
    if context is None or not context._callbacks:
        return None
    return context.subcontext(task_name=name)


def begun(estimator: BaseEstimator, name: str) -> Callable[[], bool]:
    """
    Announce that a part of a fit begins.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    name : str
        The name of the part.

    Returns
    -------
    callable
        Announces that it ends, and returns whether somebody wants the fit to stop.
    """
    context = new_task(estimator, name)
    if context is None:
        return lambda: False
    context.call_on_fit_task_begin(estimator=estimator)
    return lambda: bool(context.call_on_fit_task_end(estimator=estimator))


@contextmanager
def within(context: Any, estimator: BaseEstimator, part: BaseEstimator) -> Iterator[None]:
    """
    Announce a part of a fit which is the fit of another estimator, whose parts are told of, too.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext or None
        The part, as :func:`new_task` gives it.
    estimator : estimator
        What is fitted.
    part : estimator
        What is fitted within it.
    """
    if context is None:
        yield
        return
    with context.propagate_callback_context(part):
        context.call_on_fit_task_begin(estimator=estimator)
        yield
        context.call_on_fit_task_end(estimator=estimator)
