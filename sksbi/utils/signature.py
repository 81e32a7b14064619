"""Methods of (theta, x) that scikit-learn may call with its own names X and y."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["answers_to_X_y"]

_OURS = {"X": "theta", "y": "x"}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


class answers_to_X_y:
    """
    Decorate a method of (theta, x): its own signature on the class, (X, y) on an instance.

    scikit-learn passes theta in X's place and x in y's, sometimes by keyword, and looks at the
    names of the parameters of bound methods. Both spellings are accepted.

    Parameters
    ----------
    method : callable
        A method whose first parameters are theta and x, perhaps under ``available_if``.

    Examples
    --------
    >>> import inspect
    >>> from sksbi.utils.signature import answers_to_X_y
    >>> class Estimator:
    ...     @answers_to_X_y
    ...     def fit(self, theta, x):
    ...         return theta - x
    >>> str(inspect.signature(Estimator.fit)), str(inspect.signature(Estimator().fit))
    ('(self, theta, x)', '(X, y)')
    >>> Estimator().fit(3, y=1), Estimator().fit(theta=3, x=1)
    (2, 2)
    """

    def __init__(self, method: Any) -> None:
        self.method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]
        signature = inspect.signature(inspect.unwrap(method))
        parameters = list(signature.parameters.values())[1:]
        renamed = [p.replace(name=_THEIRS.get(p.name, p.name)) for p in parameters]
        self.bound_signature = signature.replace(parameters=renamed)

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., Any]:
        method = self.method.__get__(instance, owner)
        if instance is None:
            return method

        @functools.wraps(method)
        def bound(*args: Any, **kwargs: Any) -> Any:
            for theirs, ours in _OURS.items():
                if theirs in kwargs:
                    if ours in kwargs:
                        raise TypeError(
                            f"give {ours} once: {theirs} is scikit-learn's name for it."
                        )
                    kwargs[ours] = kwargs.pop(theirs)
            return method(*args, **kwargs)

        bound.__signature__ = self.bound_signature  # type: ignore[attr-defined]
        return bound
