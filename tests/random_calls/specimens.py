"""
Specimens: one value in the many forms that users give it, and forms that must be refused.

Every argument of a call has a plain value. A specimen is what the call gets instead, and its fate
says what must come of it: "same" forms give what the plain value gives, "bad" ones raise, and
"open" ones may do either, as long as the other laws hold.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch

Make = Callable[[], Any]


@dataclass(frozen=True)
class Specimen:
    """
    What one argument of one call is.

    Parameters
    ----------
    what : str
        What it is, in words.
    make : callable
        Makes the value, a fresh one each time.
    plain : callable
        Makes what it must equal, if its fate is "same".
    fate : {"same", "bad", "open"}
        What must come of it.
    """

    what: str
    make: Make
    plain: Make
    fate: str = "same"


@dataclass(frozen=True)
class Argument:
    """
    A plain value, and how to find specimens of it.

    Parameters
    ----------
    value : object
        The plain value, or a function that makes one, where it cannot be shared (generators).
    forms : callable (value) -> dict of "fate: words" to functions that make a value
        Its forms.
    """

    value: Any
    forms: Callable[[Any], dict[str, Any]]

    def plain(self) -> Specimen:
        """Give the plain value."""
        return Specimen("plain", self.make, self.make)

    def make(self) -> Any:
        """Make the plain value."""
        return self.value() if callable(self.value) else self.value

    def specimen(self, rng: np.random.Generator) -> Specimen:
        """Choose one of the forms at random."""
        forms = self.forms(self.make())
        chosen = list(forms)[rng.integers(len(forms))]
        fate, what = chosen.split(": ", 1)
        made = forms[chosen]
        make, plain = made if isinstance(made, tuple) else (made, self.make)
        return Specimen(what, make, plain, fate)


class _Protocol:
    """Something that only says how it becomes an array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.array, dtype=dtype)

    def __len__(self) -> int:
        return len(self.array)


class _Subclass(np.ndarray):
    """An array of a class of its own."""


def _read_only(array: np.ndarray) -> np.ndarray:
    """Copy an array, not to be written to."""
    array = np.array(array)
    array.flags.writeable = False
    return array


@functools.cache
def _folder() -> Any:
    """Make a folder that goes when the process ends."""
    return tempfile.TemporaryDirectory()


def _mapped(array: np.ndarray) -> np.ndarray:
    """Write an array to a file, and map that."""
    with tempfile.NamedTemporaryFile(dir=_folder().name, suffix=".npy", delete=False) as file:
        np.save(file, array)
    return np.load(Path(file.name), mmap_mode="r")


def _nested_tuple(values: Any) -> Any:
    """Turn nested lists into tuples."""
    return tuple(map(_nested_tuple, values)) if isinstance(values, list) else values


def _changed(array: np.ndarray, value: Any, dtype: Any = None) -> Make:
    """Put a value into the last place of an array."""

    def make() -> np.ndarray:
        copy = np.array(array, dtype=dtype)
        copy.reshape(-1)[-1] = value
        return copy

    return make


def _of_type(dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Convert to a type."""
    return lambda array: array.astype(dtype)


# What is an array of the same numbers.
_ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "C order": np.array,
    "Fortran order": np.asfortranarray,
    "nested list": np.ndarray.tolist,
    "nested tuple": lambda a: _nested_tuple(a.tolist()),
    "list of arrays": list,
    "read-only array": _read_only,
    "strided view": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed view": lambda a: a[::-1].copy()[::-1],
    "transposed view": lambda a: np.array(a.T).T,
    "memory map": _mapped,
    "float32 array": _of_type("f4"),
    "long double array": _of_type(np.longdouble),
    "big-endian array": _of_type(">f8"),
    "object array": _of_type(object),
    "subclass of an array": lambda a: a.view(_Subclass),
    "masked array, no mask": np.ma.masked_array,
    "what has __array__": _Protocol,
    "tensor": torch.tensor,
    "float32 tensor": lambda a: torch.tensor(a, dtype=torch.float32),
    "tensor that requires_grad": lambda a: torch.tensor(a, requires_grad=True),
    "transposed tensor": lambda a: torch.tensor(a.T.copy()).permute(*range(a.ndim)[::-1]),
}
# What is the same table.
_TABLES: dict[str, Callable[[np.ndarray], Any]] = {
    "frame": pd.DataFrame,
    "float32 frame": lambda a: pd.DataFrame(a.astype("f4")),
    "Float64 frame": lambda a: pd.DataFrame(a).astype("Float64"),
    "frame of other labels": lambda a: pd.DataFrame(a, index=range(100, 100 + len(a))),
    "object frame": lambda a: pd.DataFrame(a).astype(object),
}
# What is another array, to be compared with a plain copy of itself.
_ROUNDED: dict[str, Any] = {
    "int64": "i8",
    "int8": "i1",
    "int32, big-endian": ">i4",
    "bool": "?",
    "float16": "f2",
}
_HUGE = {
    "1e300": 1e300,
    "-1e300": -1e300,
    "1e160": 1e160,
    "1e-300": 1e-300,
    "5e-324": 5e-324,
}
_NO_ARRAYS: dict[str, Make] = {
    "text": lambda: "abc",
    "bytes": lambda: b"abc",
    "empty list": list,
    "empty dict": dict,
    "set": lambda: {1.0, 2.0},
    "generator": lambda: iter([1.0, 2.0]),
    "function": lambda: len,
    "class": lambda: dict,
    "object": object,
    "date": lambda: datetime.date(2020, 1, 1),
    "ragged list": lambda: [[1.0, 2.0], [1.0]],
    "ellipsis": lambda: Ellipsis,
}


def _polars(array: np.ndarray) -> dict[str, Make]:
    """Give tables of other libraries, if they are there."""
    try:
        import polars
    except ImportError:
        return {}
    return {"open: polars frame": lambda: polars.DataFrame(array)}


def numbers(
    value: np.ndarray,
    *,
    nan: str = "bad",
    infinite: str = "bad",
    rows: str = "bad",
    width: str = "bad",
    none: str = "bad",
    frames: str = "same",
    empty: str = "bad",
    dates: str = "bad",
    rounds: bool = True,
    extra: dict[str, Any] | None = None,
) -> Argument:
    """
    Describe an array argument.

    Parameters
    ----------
    value : ndarray
        The plain value, of float64 that float32 holds, too.
    nan : {"bad", "open"}
        What comes of NaN in it.
    infinite : {"bad", "below", "open"}
        What comes of infinity in it; "below" takes -inf alone.
    rows, width : {"bad", "open"}
        What comes of one row fewer, and of one column more.
    none : {"bad", "open"}
        What comes of None in its place.
    frames : {"same", "open"}
        What comes of tables without names.
    empty, dates : {"bad", "open"}
        What comes of no rows, and of dates and durations.
    rounds : bool
        Whether its rounded values will do, too.
    extra : dict, optional
        Further forms.
    """

    def forms(a: np.ndarray) -> dict[str, Any]:
        found: dict[str, Any] = {f"same: {k}": lambda f=f: f(a) for k, f in _ARRAYS.items()}
        if a.ndim == 2:
            found |= {f"{frames}: {k}": lambda f=f: f(a) for k, f in _TABLES.items()}
            found |= _polars(a)
        if a.ndim == 1:
            found["same: series"] = lambda: pd.Series(a, index=range(7, 7 + len(a)))
            found["same: Float64 series"] = lambda: pd.Series(a).astype("Float64")
        if rounds:
            found |= _rounded(a)
        found |= _spoiled(a, nan, infinite, rows, width)
        found |= {
            f"{empty}: no rows": lambda: a[:0],
            f"{dates}: dates": lambda: np.full(a.shape, np.datetime64("2020-01-01")),
            f"{dates}: durations": lambda: np.full(a.shape, np.timedelta64(1, "D")),
        }
        return found | {f"{none}: None": lambda: None} | (extra or {})

    return Argument(value, forms)


def _rounded(a: np.ndarray) -> dict[str, Any]:
    """Give other numbers of types that hold few."""
    found: dict[str, Any] = {
        f"same: {k}": (
            lambda d=d: np.clip(a, -99, 99).round().astype(d),
            lambda d=d: np.clip(a, -99, 99).round().astype(d).astype(float),
        )
        for k, d in _ROUNDED.items()
    }
    found["same: view of stride 0"] = (
        lambda: np.broadcast_to(a[:1], a.shape),
        lambda: np.repeat(a[:1], len(a), axis=0),
    )
    found["open: bfloat16 tensor"] = lambda: torch.tensor(a).to(torch.bfloat16)
    found |= {f"open: {k} in it": _changed(a, v) for k, v in _HUGE.items()}
    found["open: all alike"] = lambda: np.full(a.shape, a.flat[0])
    found["open: all huge"] = lambda: a * 1e200
    found["open: all tiny"] = lambda: a * 1e-200
    return found


def _spoiled(a: np.ndarray, nan: str, infinite: str, rows: str, width: str) -> dict[str, Any]:
    """Give what must be refused, or may."""
    found: dict[str, Any] = {f"bad: {k}": make for k, make in _NO_ARRAYS.items()}
    found |= {
        f"{nan}: NaN in it": _changed(a, np.nan),
        f"{nan}: None in it": _changed(a, None, object),
        f"{nan}: pd.NA in it": _changed(a, pd.NA, object),
        f"{nan}: masked value": lambda: np.ma.masked_array(
            a, np.arange(a.size).reshape(a.shape) == 0
        ),
        f"{'bad' if infinite == 'bad' else 'open'}: -inf in it": _changed(a, -np.inf),
        f"{'open' if infinite == 'open' else 'bad'}: inf in it": _changed(a, np.inf),
        "bad: complex": lambda: a + 1j,
        "bad: text in it": _changed(a, "a", object),
        "bad: list in it": _changed(a, [1.0, 2.0], object),
        f"{rows}: one row fewer": lambda: a[:-1],
        f"{width}: one axis more": lambda: a[..., None, None],
        "open: decimals": lambda: np.vectorize(decimal.Decimal, otypes=[object])(a),
        "open: fractions": lambda: np.vectorize(fractions.Fraction, otypes=[object])(a),
        "open: text of numbers": lambda: a.astype(str),
        "open: complex without imaginary part": lambda: a.astype(complex),
        "open: a number": lambda: float(a.flat[0]),
    }
    if a.ndim > 1:
        found |= {
            f"{width}: one column more": lambda: np.concatenate([a, a[..., :1]], axis=-1),
            f"{width}: one column fewer": lambda: a[..., :-1],
            "bad: no columns": lambda: a[..., :0],
        }
    if a.ndim == 2:
        found |= {
            "bad: sparse": lambda: scipy.sparse.csr_array(a),
            "open: frame of dates": lambda: pd.DataFrame(a).astype("datetime64[ns]"),
            "open: frame, one name twice": lambda: pd.DataFrame(a, columns=["a"] * a.shape[1]),
            "open: frame of categories": lambda: pd.DataFrame(a).astype("category"),
        }
    return found


def count(
    value: int, *, none: str = "bad", true: str = "bad", most: int | None = None, low: int = 1
) -> Argument:
    """Describe a number of things."""

    def forms(n: int) -> dict[str, Any]:
        found: dict[str, Any] = {
            "same: numpy integer": lambda: np.int64(n),
            "same: unsigned integer": lambda: np.uint8(min(n, 255)) if n < 256 else np.uint32(n),
            "bad: a float": lambda: float(n),
            "bad: a numpy float": lambda: np.float64(n),
            "bad: text": lambda: str(n),
            f"{true}: True": lambda: True,
            "bad: numpy True": lambda: np.True_,
            "bad: a list": lambda: [n],
            "bad: NaN": lambda: np.nan,
            "bad: infinite": lambda: np.inf,
            "bad: negative": lambda: -n - 1,
            "bad: too small": lambda: low - 1,
            f"{none}: None": lambda: None,
            "open: array of no axes": lambda: np.array(n),
            "open: tensor": lambda: torch.tensor(n),
        }
        return found if most is None else found | {"bad: too many": lambda: most}

    return Argument(value, forms)


def real(value: float, *, low: float | None = 0.0, high: float | None = None) -> Argument:
    """Describe a number in an open interval; its value is one that float32 holds."""

    def forms(number: float) -> dict[str, Any]:
        found: dict[str, Any] = {
            "same: numpy float": lambda: np.float64(number),
            "same: float32": lambda: np.float32(number),
            "same: fraction": lambda: fractions.Fraction(number),
            "bad: NaN": lambda: np.nan,
            "bad: text": lambda: str(number),
            "bad: complex": lambda: complex(number),
            "bad: None": lambda: None,
            "bad: True": lambda: True,
            "bad: a list": lambda: [number, number],
            "bad: infinite": lambda: np.inf,
            "open: decimal": lambda: decimal.Decimal(number),
            "open: tensor": lambda: torch.tensor(number),
        }
        if low is not None:
            found |= {"bad: the lowest": lambda: low, "bad: too low": lambda: low - 1.0}
        return found if high is None else found | {"bad: too high": lambda: high + 0.5}

    return Argument(value, forms)


def seed(value: int = 3) -> Argument:
    """Describe a random state."""

    def forms(number: int) -> dict[str, Any]:
        states = (np.random.RandomState, np.random.default_rng)
        return {
            "same: numpy integer": lambda: np.int64(number),
            "same: unsigned integer": lambda: np.uint8(number),
            "same: RandomState": tuple(2 * [lambda: states[0](number)]),
            "same: Generator": tuple(2 * [lambda: states[1](number)]),
            "bad: negative": lambda: -1,
            "bad: a float": lambda: 1.0,
            "bad: text": lambda: "0",
            "bad: a list": lambda: [0],
            "bad: True": lambda: True,
            "bad: a class": lambda: np.random.RandomState,
            "bad: the module": lambda: np.random,
            "bad: a generator of torch": torch.Generator,
        }

    return Argument(value, forms)


def flag(value: bool = False) -> Argument:
    """Describe what is True or False."""
    return Argument(
        value,
        lambda v: {
            "same: numpy bool": lambda: np.bool_(v),
            "bad: text": lambda: "yes",
            "bad: None": lambda: None,
            "bad: a list": lambda: [v],
            "bad: a float": lambda: 0.5,
            "open: an int": lambda: int(v),
        },
    )


def choice(value: Any, *, none: str = "bad", objects: str = "bad") -> Argument:
    """Describe a name out of a list."""
    return Argument(
        value,
        lambda v: {
            "same: string of numpy": lambda: np.str_(v) if isinstance(v, str) else v,
            "bad: unknown": lambda: "nonsense",
            "bad: empty": lambda: "",
            "bad: a number": lambda: 3,
            "bad: bytes": lambda: b"mlp",
            "bad: a list with a list": lambda: [[v]],
            f"{objects}: an empty dict": dict,
            f"{objects}: an object": object,
            f"{none}: None": lambda: None,
        },
    )


def only(*forms: Any, bad: tuple[Any, ...] = ()) -> Argument:
    """Describe an argument by values that are right, each for itself, and by some that are not."""

    def listed(_: Any) -> dict[str, Any]:
        found: dict[str, Any] = {
            f"same: value {i}": (lambda f=f: f, lambda f=f: f) for i, f in enumerate(forms)
        }
        return found | {f"bad: wrong value {i}": lambda b=b: b for i, b in enumerate(bad)}

    return Argument(lambda: forms[0], listed)


def observation(
    value: np.ndarray, names: list[str] | None, *, width: str = "bad", dates: str = "bad"
) -> Argument:
    """Describe one observation, of columns with names where fit had some."""
    labels = names or list(range(len(value)))
    extra: dict[str, Any] = {
        "same: named series": lambda: pd.Series(value, labels),
        "same: dict": lambda: dict(zip(labels, value.tolist(), strict=True)),
        "bad: nested too deep": lambda: [[[value.tolist()]]],
    }
    if names is not None:
        extra |= {
            "bad: wrong names": lambda: pd.Series(value, [*names[1:], "z"]),
            "bad: one name missing": lambda: pd.Series(value[1:], names[1:]),
        }
    return numbers(value, width=width, dates=dates, extra=extra)
