"""Factors and offsets of ticks, moved into the labels of their axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axis import Axis

__all__ = ["fold_factor"]


def fold_factor(axis: Axis, limits: np.ndarray, name: str, separator: str = " ") -> None:
    """Fix the offset and the power of ten that the ticks leave out, and say them in the label."""
    offset, exponent = _offset_and_exponent(*limits.tolist())
    formatter = axis.get_major_formatter()
    formatter.set_useOffset(np.nextafter(1.0, 2.0) if offset == 1 else offset)  # 1 means automatic
    formatter.set_scientific(exponent != 0)
    if exponent:
        formatter.set_powerlimits((exponent, exponent))
    if offset:
        sign = "+" if offset < 0 else "\N{MINUS SIGN}"
        name = f"{name}{separator}{sign} {_number(abs(offset))}"
    if exponent:
        name = f"({name})" if offset else name
        name = f"{name}{separator}/ {_number(10.0**exponent)}"
    axis.set_label_text(name)
    axis.offsetText.set_visible(False)


def _offset_and_exponent(low: float, high: float) -> tuple[float, int]:
    """Choose an offset that saves four digits, else 0, and a power that saves five, else 0."""
    offset = 0.0
    if max(abs(low), abs(high)) > 1e4 * (high - low):
        offset = round((low + high) / 2, -int(np.floor(np.log10(high - low))) - 1)
    exponent = int(np.floor(np.log10(max(abs(low - offset), abs(high - offset)))))
    return offset, 0 if -5 < exponent < 6 else exponent


def _number(value: float) -> str:
    """Write a positive number in few signs: 1e12, not 1000000000000 or 1e+12."""
    text = f"{value:.15g}"
    if text.endswith("00000") and text.isdigit():
        short = text.rstrip("0")
        return f"{short}e{len(text) - len(short)}"
    mantissa, _, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "\N{MINUS SIGN}") if exponent else text
