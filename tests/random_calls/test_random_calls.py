"""
Random calls of everything public, made from seeds, each held to the laws in ``laws.py``.

A few hundred run with every test run, 10,000 with the slow ones. A failure prints how it is made
again::

    RANDOM_CALLS='sbc_ranks:17' python -m pytest tests/random_calls
"""

import os

import pytest

from .laws import Call, violations
from .table import CALLS

MANY = 91
SECONDS = 10.0


def _chosen(n: int | None) -> list[tuple[Call, range]]:
    """Choose what is called, with which seeds: those asked for, else n or few."""
    name, _, seed = os.environ.get("RANDOM_CALLS", "").rpartition(":")
    if name:
        return [(call, range(int(seed), int(seed) + 1)) for call in CALLS if call.name == name]
    return [(call, range(n or call.few)) for call in CALLS]


def _named(value: object) -> str:
    """Name a case after its call."""
    return value.name if isinstance(value, Call) else f"{len(value)}"


@pytest.mark.parametrize(("call", "seeds"), _chosen(None), ids=_named)
def test_every_call_keeps_the_laws(call, seeds):
    found = [text for seed in seeds for text in violations(call, seed)]
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize(("call", "seeds"), _chosen(MANY), ids=_named)
def test_10_000_calls_keep_the_laws(call, seeds):
    found = [text for seed in seeds for text in violations(call, seed, SECONDS)]
    assert not found, "\n".join(found)
