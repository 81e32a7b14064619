"""What a user may call is documented, with an example, and stands on the API page."""

import importlib
import inspect
from itertools import combinations
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate

import sksbi

DOCS = Path(__file__).parents[1] / "docs"

MODULES = [
    "sksbi",
    "sksbi.datasets",
    "sksbi.diagnostics",
    "sksbi.estimator_checks",
    "sksbi.estimators.base",
    "sksbi.exceptions",
    "sksbi.inspection",
    "sksbi.losses",
    "sksbi.metrics",
    "sksbi.nn",
    "sksbi.pipeline",
    "sksbi.posteriors",
    "sksbi.preprocessing.summaries",
    "sksbi.priors",
    "sksbi.samplers",
    "sksbi.simulation",
    "sksbi.training.callbacks",
    "sksbi.training.muon",
    "sksbi.training.schedule",
]

# As in pyproject.toml, but for what lint cannot know. Examples: see below.
NOT_ASKED_FOR = {"ES01", "EX01", "PR08", "RT04", "SA01", "SS02", "SS05"}


def public_names() -> list[tuple[str, str]]:
    """List (module, name) of everything public."""
    return [
        (module, name)
        for module in MODULES
        for name in importlib.import_module(module).__all__
        if name != "__version__"
    ]


def documented_names() -> list[str]:
    """List the dotted names of everything public, own methods of classes included."""
    found = []
    for module, name in public_names():
        thing = getattr(importlib.import_module(module), name)
        found.append(f"{module}.{name}")
        if inspect.isclass(thing):
            found += [f"{module}.{name}.{method}" for method in own_methods(thing)]
    return found


def own_methods(cls: type) -> list[str]:
    """List the public methods that a class has not, or for, another library."""
    methods = [name for name in dir(cls) if not name.startswith(("_", "on_"))]
    return [
        name
        for name in methods
        if inspect.isroutine(getattr(cls, name))
        and getattr(getattr(cls, name), "__module__", "").startswith("sksbi")
    ]


def needs_example(thing: object) -> bool:
    """Tell whether a user makes or calls it: not an exception, not an abstract class."""
    is_exception = inspect.isclass(thing) and issubclass(thing, BaseException)
    return callable(thing) and not is_exception and not inspect.isabstract(thing)


def listed_names() -> set[tuple[str, str]]:
    """Read (module, name) of everything on the API page."""
    module, found = "", set()
    for line in (DOCS / "api.rst").read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif line.startswith("    ") and not line.strip().startswith(":") and line.strip():
            found.add((module, line.strip()))
    return found


def docstring_errors(name: str) -> list[tuple[str, str]]:
    """List what numpydoc finds wrong, but for parameters that are starred or only passed on."""
    return [
        (code, text)
        for code, text in validate(name)["errors"]
        if code not in NOT_ASKED_FOR and "{'*" not in text
    ]


@pytest.mark.parametrize("name", documented_names())
def test_docstrings_are_complete(name: str) -> None:
    assert docstring_errors(name) == []


@pytest.mark.parametrize(("module", "name"), public_names())
def test_what_a_user_calls_has_an_example(module: str, name: str) -> None:
    thing = getattr(importlib.import_module(module), name)
    assert not needs_example(thing) or "Examples\n--------\n>>> " in inspect.getdoc(thing)


def test_the_api_page_lists_exactly_the_public_names() -> None:
    assert listed_names() == set(public_names())


@pytest.mark.parametrize("module", MODULES)
def test_public_names_exist_once(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert len(names) == len(set(names))
    assert all(hasattr(importlib.import_module(module), name) for name in names)


# What these mean, or which default they have, is each estimator's own.
OF_THEIR_OWN = {"prior", "criterion", "hidden_features", "lr", "batch_size", "max_epochs"}
OF_LIKELIHOODS = {"flow", "x_transformer", "x_trials", "compile"}
OF_FIELDS = {"patience", "compile"}
OF_MARGINALS = {"masks", "network", "theta_transformer", "transforms"}


def texts(cls: type, section: str) -> dict[str, tuple]:
    """Read a section of a docstring: {name: (type, text)}."""
    return {part.name: (part.type, *part.desc) for part in ClassDoc(cls)[section]}


def test_parameters_that_are_the_same_have_the_same_text() -> None:
    """Signatures of estimators repeat each other; their texts must not drift apart."""
    for pair in combinations((sksbi.NPE, sksbi.NRE, sksbi.NLE), 2):
        first, second = (texts(cls, "Parameters") for cls in pair)
        own = OF_THEIR_OWN | (OF_LIKELIHOODS if sksbi.NLE in pair else set())
        shared = (first.keys() & second.keys()) - own
        assert len(shared) > 10
        assert {name: first[name] for name in shared} == {name: second[name] for name in shared}


def test_estimators_of_marginals_have_the_texts_of_those_of_the_whole() -> None:
    for pair in ((sksbi.AMNPE, sksbi.NPE), (sksbi.AMNRE, sksbi.NRE), (sksbi.AMNPE, sksbi.AMNRE)):
        first, second = (texts(cls, "Parameters") for cls in pair)
        shared = (first.keys() & second.keys()) - OF_THEIR_OWN - OF_MARGINALS
        assert len(shared) > 10
        assert {name: first[name] for name in shared} == {name: second[name] for name in shared}
    assert (
        len({texts(cls, "Parameters")["theta_transformer"] for cls in (sksbi.AMNPE, sksbi.AMNRE)})
        == 1
    )


@pytest.mark.parametrize("cls", [sksbi.FMPE, sksbi.NPSE])
def test_estimators_by_fields_have_the_texts_of_those_by_flows(cls: type) -> None:
    first, second = texts(cls, "Parameters"), texts(sksbi.NPE, "Parameters")
    shared = (first.keys() & second.keys()) - OF_THEIR_OWN - OF_FIELDS
    assert len(shared) > 10
    assert {name: first[name] for name in shared} == {name: second[name] for name in shared}


def test_the_two_estimators_by_fields_have_the_same_texts() -> None:
    first, second = texts(sksbi.FMPE, "Parameters"), texts(sksbi.NPSE, "Parameters")
    assert first.keys() == second.keys()
    own = {"criterion"}
    assert {k: v for k, v in first.items() if k not in own} == {
        k: v for k, v in second.items() if k not in own
    }


def test_attributes_that_are_the_same_have_the_same_text() -> None:
    classes = [sksbi.NPE, sksbi.NRE, sksbi.NLE, sksbi.AMNPE, sksbi.AMNRE, sksbi.Ensemble]
    classes += [sksbi.CalibratedPosterior, sksbi.ClassifierRatio]
    found = [texts(cls, "Attributes") for cls in classes]
    for name in ("prior_", "x_layout_", "theta_columns_", "n_features_in_", "seed_"):
        assert len({one[name] for one in found}) == 1, name


def test_the_version_stands_in_the_changelog_and_the_citation() -> None:
    assert f"## {sksbi.__version__}" in (DOCS.parent / "CHANGELOG.md").read_text()
    assert f"\nversion: {sksbi.__version__}\n" in (DOCS.parent / "CITATION.cff").read_text()
