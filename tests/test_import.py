"""Importing: what it loads, and what there is to be had."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sksbi


def loaded_by(statement):
    """Run a statement in a fresh process, and list the modules that it loads."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_sksbi_imports_no_library():
    assert not loaded_by("import sksbi") & {"numpy", "pandas", "sklearn", "torch", "zuko"}


def test_an_estimator_comes_without_what_it_may_not_need():
    heavy = {"sklearn.ensemble", "sklearn.linear_model", "sklearn.neural_network", "matplotlib"}
    others = {"sksbi.persistence", "sksbi.inspection", "sksbi.sequential", "sksbi.simulation"}
    assert not loaded_by("from sksbi import NPE") & (heavy | others)


@pytest.mark.parametrize(
    "statement",
    ["from sksbi import *; NPE, simulate, save", "import sksbi; sksbi.metrics.sbc_ranks"],
)
def test_what_is_asked_for_is_there(statement):
    loaded_by(statement)


def test_the_types_know_the_same_names():
    tree = ast.parse(Path(sksbi.__file__).with_suffix(".pyi").read_text())
    imported = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    listed = next(ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign))
    assert sorted(listed) == sksbi.__all__ == sorted(name for _, name in imported)
    homes = {(home, name) for name, home in sksbi._HOME_OF.items()}
    assert imported - {("sksbi._version", "__version__")} == homes


def test_names_are_listed_and_others_refused():
    assert set(sksbi.__all__) <= set(dir(sksbi))
    with pytest.raises(AttributeError, match="module 'sksbi' has no attribute 'SNPE'"):
        _ = sksbi.SNPE
    with pytest.raises(ImportError, match="cannot import name 'NPEE' from 'sksbi'"):
        from sksbi import NPEE  # noqa: F401
