"""A fingerprint tells contents apart, and is the same for what is made anew."""

import threading
from collections.abc import Callable
from functools import cached_property, partial, wraps
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sksbi.nn import MLP
from sksbi.utils.fingerprint import fingerprint

WIDTH = 16


class Summary(nn.Module):
    """A user's network."""

    DEPTH = 2

    def __init__(self, activation: Callable[..., Any] = torch.relu) -> None:
        super().__init__()
        self.layer, self.activation = nn.Linear(3, 4), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.layer(x))


def summary(**changes: object) -> Summary:
    """Build it with the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Summary(**changes)


def redefined(cls: type, **members: object) -> type:
    """Write a class again, with other members."""
    return type(cls.__name__, cls.__bases__, dict(vars(cls)) | members)


def uses_width(n: int) -> nn.Module:
    """Refer to a constant outside."""
    return MLP(n, WIDTH)


def closing_over(value: object) -> Callable[[], object]:
    """Return a function that remembers a value."""
    return lambda: value


def weights(changed: int | None = None) -> np.ndarray:
    """Make an array, of which one number may be another."""
    made = np.arange(6.0).reshape(2, 3)
    if changed is not None:
        made.flat[changed] = np.nextafter(made.flat[changed], 9)
    return made


def table(**changes: object) -> pd.DataFrame:
    """Make a table of several types."""
    columns = {"a": [1.0, np.nan], "b": ["x", None], "c": pd.Categorical(["u", "v"])} | changes
    return pd.DataFrame(columns, index=["first", "second"])


# What makes a thing, and what makes another one.
MAKERS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "number": (lambda: 0.1 + 0.2, lambda: 0.3),
    "type": (lambda: 1, lambda: True),
    "text": (lambda: "ab", lambda: b"ab"),
    "order": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    "set": (lambda: {"a", "b", "c"}, lambda: {"a", "b", "d"}),
    "nesting": (lambda: [["a"], "b"], lambda: [["a", "b"]]),
    "array": (weights, lambda: weights(5)),
    "shape": (weights, lambda: weights().T.copy()),
    "precision": (weights, lambda: weights().astype(np.float32)),
    "objects": (lambda: np.array(["a", None]), lambda: np.array(["a", 0], dtype=object)),
    "tensor": (lambda: torch.ones(3), lambda: torch.ones(3, dtype=torch.float64)),
    "trainable": (lambda: torch.ones(3), lambda: torch.ones(3, requires_grad=True)),
    "table": (table, lambda: table(b=["x", "y"])),
    "labels": (table, lambda: table().rename(index={"first": "other"})),
    "generator": (lambda: np.random.default_rng(0), lambda: np.random.default_rng(1)),
    "torch's": (
        lambda: torch.Generator().manual_seed(0),
        lambda: torch.Generator().manual_seed(1),
    ),
    "network": (summary, lambda: Summary()),
    "activation": (summary, lambda: summary(activation=torch.tanh)),
    "layers": (lambda: nn.Sequential(nn.ReLU()), lambda: nn.Sequential(nn.Tanh())),
    "class": (lambda: Summary, lambda: redefined(Summary, forward=summary)),
    "property": (
        lambda: redefined(Summary, width=property(closing_over(1))),
        lambda: redefined(Summary, width=property(closing_over(2))),
    ),
    "cached": (
        lambda: redefined(Summary, width=cached_property(closing_over(1))),
        lambda: redefined(Summary, width=cached_property(closing_over(2))),
    ),
    "constant": (lambda: Summary, lambda: redefined(Summary, DEPTH=3)),
    "name": (lambda: torch.optim.Adam, lambda: torch.optim.AdamW),
    "code": (lambda: lambda n: n + 1, lambda: lambda n: n + 2),
    "closure": (lambda: closing_over(1), lambda: closing_over(2)),
    "default": (lambda: lambda n=1: n, lambda: lambda n=2: n),
    "partial": (lambda: partial(MLP, out_features=4), lambda: partial(MLP, out_features=5)),
    "wrapped": (lambda: wraps(print)(closing_over(1)), lambda: wraps(print)(closing_over(2))),
    "decorated": (
        lambda: torch.no_grad()(closing_over(1)),
        lambda: torch.no_grad()(closing_over(2)),
    ),
    "method": (lambda: SimpleNamespace(a=1).__eq__, lambda: SimpleNamespace(a=2).__eq__),
    "frozen": (lambda: stats.norm(0, 1), lambda: stats.norm(0, 2)),
    "transformer": (lambda: PCA(2), lambda: PCA(3)),
    "pipeline": (lambda: make_pipeline(StandardScaler()), lambda: make_pipeline(PCA())),
    "fitted": (StandardScaler, lambda: StandardScaler().fit(weights())),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_contents_have_the_same_fingerprint_and_others_another(name: str) -> None:
    make, make_other = MAKERS[name]
    assert fingerprint(make()) == fingerprint(make())
    assert fingerprint([make()]) != fingerprint([make_other()])


def test_what_a_function_refers_to_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(uses_width), fingerprint(summary)
    monkeypatch.setitem(globals(), "WIDTH", 17)
    monkeypatch.setitem(globals(), "Summary", redefined(Summary, DEPTH=3))
    assert fingerprint(uses_width) != before[0]
    assert fingerprint(summary) != before[1]


def configured(**values: object) -> ModuleType:
    """Make a module of a user's."""
    module = ModuleType("a_users_settings")
    vars(module).update(values)
    return module


OUTSIDE: object = None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.ReLU, nn.Tanh),
        (np.array([1.0, 2.0]), np.array([1.0, 3.0])),
        (np.float64(2), np.float64(3)),
        (SimpleNamespace(sign=1), SimpleNamespace(sign=-1)),
        ({"table": np.zeros(2)}, {"table": np.ones(2)}),
        (configured(sign=1, unused=1), configured(sign=2, unused=1)),
    ],
    ids=["a class", "an array", "a number", "an object", "a dict", "a module"],
)
def test_whatever_a_function_finds_outside_counts(
    one: object, other: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a class the same; where only changes are looked for, what stands outside is left out."""

    def looks(x: float) -> object:
        return OUTSIDE, OUTSIDE.sign

    found, within, members = set(), set(), set()
    for value in (one, other):
        monkeypatch.setitem(globals(), "OUTSIDE", value)
        found.add(fingerprint(looks))
        within.add(fingerprint(looks, with_globals=False))
        members.add(fingerprint(redefined(Summary, own=value)))
    assert (len(found), len(within)) == (2, 1)
    assert len(members) == (1 if isinstance(one, ModuleType) else 2)


def test_of_a_module_what_is_not_asked_for_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def looks(x: float) -> object:
        return OUTSIDE.sign

    found = set()
    for unused in (1, 2):
        monkeypatch.setitem(globals(), "OUTSIDE", configured(sign=1, unused=unused))
        found.add(fingerprint(looks))
    assert len(found) == 1


def test_lazy_weights_have_no_numbers_yet() -> None:
    assert fingerprint(nn.LazyLinear(3)) == fingerprint(nn.LazyLinear(3))
    assert fingerprint(nn.LazyLinear(3)) != fingerprint(nn.LazyLinear(4))


@pytest.mark.parametrize("module", ["__main__", "numpy.a_users", "a_users"])
def test_code_counts_but_of_what_is_installed(module: str) -> None:
    """What runs is a user's, although Python may have started it from among the libraries."""

    def written(code: str) -> tuple[Any, Any]:
        found: dict[str, Any] = {"__name__": module}
        exec(f"def f(x):\n    return {code}\nclass C:\n    g = f", found)
        return found["f"], found["C"]

    alike = [fingerprint(made) for made in written("x + 1")]
    assert alike == [fingerprint(made) for made in written("x + 1")]
    others = [fingerprint(made) for made in written("x + 2")]
    assert [a == b for a, b in zip(alike, others, strict=True)] == [module[0] == "n"] * 2


def test_attributes_are_no_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is sent a function is sent the globals that it looks up, and no others."""

    def shape(x: np.ndarray) -> object:
        return x.WIDTH

    before = fingerprint(shape)
    monkeypatch.setitem(globals(), "WIDTH", 17)
    assert fingerprint(shape) == before


def test_what_changes_no_number_does_not_count() -> None:
    one, two = (RandomForestRegressor(n_jobs=n, verbose=n) for n in (1, 2))
    assert fingerprint(one) == fingerprint(two)
    state = np.random.get_state()  # noqa: NPY002
    before = fingerprint(stats.norm(0, 1))  # scipy's refer to the global generator
    np.random.standard_normal()  # noqa: NPY002
    assert fingerprint(stats.norm(0, 1)) == before
    np.random.set_state(state)  # noqa: NPY002


def test_shared_parts_are_as_copies_and_circles_end() -> None:
    shared = [1.0, "a"]
    assert fingerprint([shared, shared]) == fingerprint([[1.0, "a"], [1.0, "a"]])
    circle: list[Any] = [1]
    circle.append(circle)
    longer: list[Any] = [2]
    longer.append(longer)
    assert fingerprint(circle) != fingerprint(longer)


def test_known_objects_are_named() -> None:
    lock, other = threading.Lock(), threading.Lock()
    named = fingerprint([lock, 1], {id(lock): "the lock"})
    assert named == fingerprint([other, 1], {id(other): "the lock"})
    assert named != fingerprint([other, 1], {id(other): "another"})


def test_what_cannot_be_taken_apart_is_refused() -> None:
    with pytest.raises(TypeError, match=r"_thread\.lock cannot be told from others"):
        fingerprint({"a": [threading.Lock()]})
