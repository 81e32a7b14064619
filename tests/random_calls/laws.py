"""
The laws that every call keeps, whatever it gets.

It returns, or raises an error of its own that names an argument; it warns in words of its own;
what it got, the global generators, and the number of threads are as before; forms of the same
value give the same result; and what must be refused is refused.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from sksbi import exceptions

from .specimens import Argument, Specimen

_ERRORS = (
    ValueError,
    TypeError,
    InvalidParameterError,
    NotFittedError,
    FloatingPointError,
    MemoryError,
)
# Words of NumPy, torch, pandas and Python, which say nothing to who made the call.
_LEAKS = re.compile(
    r"out of bounds|could not be broadcast|NAType|mat1 and mat2|requires.grad"
    r"|(?<!an )object of type"
    r"|'NoneType'|not subscriptable|not iterable|has no len|unhashable|unsupported operand"
    r"|truth value|only .*scalar|invalid literal|zero-size|Singular|singular matrix"
    r"|_ctypes|ufunc|Wrong number of items|unexpected keyword|positional argument"
    r"|not supported between|Cannot interpret|cannot be interpreted"
)
_OWN_WARNINGS = tuple(getattr(exceptions, name) for name in exceptions.__all__)
# What scikit-learn documents, and says about what the user gave.
_SKLEARN_SAYS = re.compile(r"feature names|A column-vector y was passed|unique classes")


@dataclasses.dataclass(frozen=True)
class Call:
    """
    A public function or method, and what its arguments are.

    Parameters
    ----------
    name : str
        Its name.
    function : callable
        What is called, by keywords.
    arguments : callable (rng) -> dict of Argument
        Describes its arguments.
    names : tuple of str
        Names that an error may name, besides those of the arguments.
    check : callable (result, values), optional
        What a result must be: raises AssertionError. The values are those of the plain call.
    may_be_nan : bool
        Whether results may hold NaN.
    few : int
        How often it is called in a quick run.
    """

    name: str
    function: Callable[..., Any]
    arguments: Callable[[np.random.Generator], dict[str, Argument]]
    names: tuple[str, ...] = ()
    check: Callable[[Any, dict[str, Any]], None] | None = None
    may_be_nan: bool = False
    few: int = 4


class TooLong(BaseException):
    """A call took longer than it may."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a call: a result or an error, warnings, and what else it left changed."""

    result: Any = None
    error: BaseException | None = None
    warned: tuple[warnings.WarningMessage, ...] = ()
    changed: tuple[str, ...] = ()


def violations(call: Call, seed: int, seconds: float | None = None) -> list[str]:
    """
    Make one random call, twice, and tell which laws it broke.

    Parameters
    ----------
    call : Call
        What is called.
    seed : int
        Seeds the arguments.
    seconds : float, optional
        How long it may take.

    Returns
    -------
    list of str
        What went wrong, in words; empty if all laws hold.
    """
    rng = np.random.default_rng([seed, *call.name.encode()])
    specimens = _choose(call.arguments(rng), rng)
    try:
        plain = _make(call, {k: s.plain() for k, s in specimens.items()}, seconds)
        special = _make(call, {k: s.make() for k, s in specimens.items()}, seconds)
    except TooLong:
        return [_told(call, seed, specimens, f"took longer than {seconds} s")]
    found = [
        *_of_errors(call, special),
        *_of_warnings(call, special),
        *special.changed,
        *_of_fates(call, specimens, plain, special),
        *_of_results(call, special),
    ]
    return [_told(call, seed, specimens, text) for text in found]


def _choose(arguments: dict[str, Argument], rng: np.random.Generator) -> dict[str, Specimen]:
    """Give up to two arguments another form."""
    chosen = {name: argument.plain() for name, argument in arguments.items()}
    n = min(int(rng.choice([0, 1, 2], p=[0.05, 0.65, 0.3])), len(arguments))
    for name in rng.choice(list(arguments), n, replace=False):
        chosen[name] = arguments[name].specimen(rng)
    return chosen


def _told(call: Call, seed: int, specimens: dict[str, Specimen], text: str) -> str:
    """Say what was called, and how it is called again."""
    special = [f"{k}={s.what}" for k, s in specimens.items() if s.what != "plain"]
    again = f"RANDOM_CALLS='{call.name}:{seed}' python -m pytest tests/random_calls"
    return f"{call.name}({', '.join(special)}): {text}\n    {again}"


def _make(call: Call, values: dict[str, Any], seconds: float | None) -> Outcome:
    """Call, and look at everything that it may have changed."""
    before = {name: _fingerprint(value) for name, value in values.items()}
    world = _world()
    result, error = None, None
    with warnings.catch_warnings(record=True) as caught, _limit(seconds):
        warnings.simplefilter("always")
        try:
            result = call.function(**values)
        except Exception as raised:
            error = raised
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    changed = [f"changed {k}" for k, v in values.items() if _fingerprint(v) != before[k]]
    changed += [f"changed {k}" for k, v in _world().items() if v != world[k]]
    return Outcome(result, error, tuple(caught), tuple(changed))


@contextmanager
def _limit(seconds: float | None) -> Iterator[None]:
    """Let a call take so long, and no longer."""
    if seconds is None:
        yield
        return

    def stop(*_: object) -> None:
        raise TooLong

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _world() -> dict[str, Any]:
    """Look at what is everybody's."""
    _, numbers, *places = np.random.get_state()  # noqa: NPY002
    return {
        "NumPy's global generator": (numbers.tobytes(), places),
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "the number of threads": torch.get_num_threads(),
        "NumPy's error handling": np.geterr(),
        "torch's default type": torch.get_default_dtype(),
        "whether torch records gradients": torch.is_grad_enabled(),
    }


def _fingerprint(value: Any) -> Any:
    """Reduce a value to what shows whether it was changed."""
    if isinstance(value, np.ma.MaskedArray):
        return _fingerprint(value.data), np.ma.getmaskarray(value).tobytes()
    if isinstance(value, np.ndarray):
        content = repr(value.tolist()) if value.dtype == object else value.tobytes()
        return value.shape, value.strides, value.dtype.str, value.flags.writeable, content
    if isinstance(value, torch.Tensor):
        return value.shape, value.stride(), value.dtype, value.requires_grad, repr(value.tolist())
    if isinstance(value, pd.DataFrame | pd.Series):
        return (
            type(value),
            repr(value.to_numpy().tolist()),
            repr(value.index),
            repr(getattr(value, "columns", "")),
        )
    if isinstance(value, Mapping):
        return [(repr(k), id(v), _fingerprint(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [(id(v), _fingerprint(v)) for v in value] if len(value) < 50 else repr(value)
    if scipy.sparse.issparse(value):
        return value.shape, value.data.tobytes()
    return None if callable(value) or hasattr(value, "bit_generator") else repr(value)


def _of_errors(call: Call, outcome: Outcome) -> Iterator[str]:
    """Hold that an error is of a kind that is meant, and names an argument."""
    error = outcome.error
    if error is None:
        return
    text, kind = str(error), type(error)
    said = f"{kind.__name__}: {text[:160]!r}"
    if kind not in _ERRORS:
        yield f"raised {said}"
    elif not _names_one(call, text):
        yield f"names no argument: {said}"
    elif _LEAKS.search(text) and "in the step" not in text:
        yield f"speaks of the inside: {said}"
    elif not _is_meant(error):
        yield f"was raised by somebody else: {said}"


def _names_one(call: Call, text: str) -> bool:
    """Tell whether a text has the name of an argument."""
    names = [*inspect.signature(call.function).parameters, *call.names]
    return any(re.search(rf"\b{re.escape(name)}\b", text) for name in names)


def _is_meant(error: BaseException) -> bool:
    """Tell whether the package, or scikit-learn's checks, raised an error."""
    file = traceback.extract_tb(error.__traceback__)[-1].filename
    return "sksbi" in file or "sklearn/utils" in file or isinstance(error, MemoryError)


def _of_warnings(call: Call, outcome: Outcome) -> Iterator[str]:
    """Hold that warnings are the package's own, or scikit-learn's about what the user gave."""
    for warning in outcome.warned:
        text = str(warning.message)
        is_ours = issubclass(warning.category, _OWN_WARNINGS)
        is_sklearns = warning.category is ConvergenceWarning or _SKLEARN_SAYS.search(text)
        names_one = warning.category is UserWarning and _names_one(call, text)
        # A step of a pipeline that is scikit-learn's own says what it says.
        of_step = "Pipeline" in call.name and "sklearn" in Path(warning.filename).parts
        if not (is_ours or is_sklearns or names_one or of_step):
            where = f"{warning.filename}:{warning.lineno}"
            yield f"warned {warning.category.__name__}: {text[:160]!r} ({where})"


def _of_fates(
    call: Call, specimens: dict[str, Specimen], plain: Outcome, special: Outcome
) -> Iterator[str]:
    """Hold that forms of one value are alike, and that what must be refused is."""
    fates = {specimen.fate for specimen in specimens.values()}
    if "bad" in fates:
        if special.error is None:
            yield f"took what must be refused, and gave {str(special.result)[:80]!r}"
        return
    if "open" in fates:
        return
    if all(s.what == "plain" for s in specimens.values()) and plain.error is not None:
        yield f"refused its plain arguments: {plain.error!r:.200}"
    elif (plain.error is None) != (special.error is None):
        gave, these = (str(o.error or "a result")[:150] for o in (plain, special))
        yield f"plain values gave {gave}, these {these}"
    elif plain.error is None:
        if not _alike(plain.result, special.result):
            results = (str(_leaves(o.result))[:150] for o in (plain, special))
            yield f"gave another result than the same plain values: {' and '.join(results)}"
        if call.check is not None:
            try:
                call.check(special.result, {k: s.plain() for k, s in specimens.items()})
            except AssertionError as error:
                yield f"gave a wrong result: {error!s:.200}"


def _of_results(call: Call, outcome: Outcome) -> Iterator[str]:
    """Hold that results are float64, on the CPU, and hold no NaN."""
    if outcome.error is not None:
        return
    for leaf in _leaves(outcome.result):
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
            if leaf.dtype != np.float64:
                yield f"gave {leaf.dtype}"
            if not call.may_be_nan and np.isnan(leaf).any():
                yield "gave NaN"


def _leaves(result: Any) -> list[Any]:
    """List the arrays, numbers and words in a result."""
    if isinstance(result, pd.DataFrame):
        columns = [column.to_numpy() for _, column in result.items()]
        numeric = all(column.dtype.kind in "biuf" for column in columns)
        return [np.stack(columns, axis=1)] if numeric and columns else columns
    if isinstance(result, pd.Series | pd.Index):
        return [result.to_numpy()]
    if isinstance(result, torch.Tensor):
        return [result.detach().numpy().astype(float)]
    if isinstance(result, Mapping):
        return [leaf for value in result.values() for leaf in _leaves(value)]
    if isinstance(result, list | tuple):
        return [leaf for value in result for leaf in _leaves(value)]
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        fields = [getattr(result, field.name) for field in dataclasses.fields(result)]
        return [leaf for value in fields for leaf in _leaves(value)]
    if isinstance(result, np.ndarray | float | int | str | np.generic):
        return [np.asarray(result)]
    return [type(result).__name__]


def _alike(first: Any, second: Any) -> bool:
    """Compare results, up to rounding: sums over memory of another order round in another way."""
    ours, theirs = _leaves(first), _leaves(second)
    return len(ours) == len(theirs) and all(map(_equal, ours, theirs))


def _equal(first: Any, second: Any) -> bool:
    """Compare two leaves."""
    if not isinstance(first, np.ndarray) or first.dtype.kind not in "biuf":
        return np.array_equal(first, second)
    if np.shape(first) != np.shape(second):
        return False
    return np.allclose(first, second, rtol=1e-6, atol=1e-9, equal_nan=True)
