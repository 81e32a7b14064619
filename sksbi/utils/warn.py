"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

__all__ = ["warn_user"]

_INSIDE = {__name__.split(".")[0], "sklearn", "joblib"}


def warn_user(message: str, category: type[Warning]) -> None:
    """
    Warn, and blame the first line up the stack that is not in this package or scikit-learn.

    Parameters
    ----------
    message : str
        What to say.
    category : type
        The kind of warning.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _package(frame) in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.split(".")[0]
