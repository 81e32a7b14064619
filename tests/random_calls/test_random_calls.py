"""
Random calls of everything public, made from seeds, each held to the laws in ``laws.py``.

A few hundred run with every test run, 10,000 with the slow ones. A failure prints how it is made
again::

    RANDOM_CALLS='sbc_ranks:17' python -m pytest tests/random_calls

``KNOWN`` lists what is not right yet, by its reason; empty, all laws hold.
"""

import os
import re

import pytest

from .laws import Call, violations
from .table import CALLS

MANY = 91
SECONDS = 10.0

# Reason: what a violation looks like.
KNOWN: dict[str, str] = {}
OLD = {
    "readers do not detach tensors": r"requires.grad",
    "readers do not know bfloat16": r"bfloat16",
    "readers ignore masks": r"=masked value",
    "readers show what pandas says of pd.NA": r"pd\.NA|NAType",
    "readers count dates and durations": r"=(date|dates|durations)\b",
    "readers show what NumPy says of ragged lists": r"inhomogeneous|setting an array element",
    "readers show what narwhals says of a name twice": r"DuplicateError",
    "lengths that differ are told in scikit-learn's words": r"inconsistent numbers of samples",
    "get_scorer shows what Python says of names in a list": r"^get_scorer.*unhashable",
    "what a classifier says of x names no argument": r"Input X contains",
    "absurd counts are tried": r"=too many",
    "priors read their arguments themselves": r"^Prior\.",
    "samplers read their arguments themselves": r"^(AffineInv|Importance|Metropolis|Slice)",
    "a simulator's results and flags are not checked": r"^(simulate|run_simulator)\(",
    "X of PosteriorRegressor is not named": r"^(PosteriorRegressor\.fit|predict)\(",
    "what a Pipeline's steps say names no argument": r"^Pipeline\.fit\(|StandardScaler",
    "displays do not check their flags": r"^\w+Display\.",
    "diagnose does not check its flags": r"^diagnose\(",
}


def _chosen(n: int | None) -> list[tuple[Call, range]]:
    """Choose what is called, with which seeds: those asked for, else n or few."""
    name, _, seed = os.environ.get("RANDOM_CALLS", "").rpartition(":")
    if name:
        return [(call, range(int(seed), int(seed) + 1)) for call in CALLS if call.name == name]
    return [(call, range(n or call.few)) for call in CALLS]


def _unexpected(call: Call, seeds: range, seconds: float | None) -> list[str]:
    """Make the calls, and tell what went wrong and is not known."""
    found = [text for seed in seeds for text in violations(call, seed, seconds)]
    return [text for text in found if not any(re.search(k, text) for k in KNOWN.values())]


def _named(value: object) -> str:
    """Name a case after its call."""
    return value.name if isinstance(value, Call) else f"{len(value)}"


@pytest.mark.parametrize(("call", "seeds"), _chosen(None), ids=_named)
def test_every_call_keeps_the_laws(call, seeds):
    found = _unexpected(call, seeds, None)
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize(("call", "seeds"), _chosen(MANY), ids=_named)
def test_10_000_calls_keep_the_laws(call, seeds):
    found = _unexpected(call, seeds, SECONDS)
    assert not found, "\n".join(found)
