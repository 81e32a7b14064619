"""
The package holds its layers and its budgets, read from the source without running it.

A file imports only from lower layers or its own, never in a circle. Only ``training/``
imports skorch, and what is no hard dependency is imported inside functions only.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest

PACKAGE = Path(find_spec("sksbi").origin).parent

LAYERS = {
    "_version": 0,
    "exceptions": 0,
    "utils": 0,
    "losses": 1,
    "nn": 1,
    "priors": 1,
    "data": 2,
    "preprocessing": 2,
    "tables": 2,
    "datasets": 3,
    "metrics": 3,
    "samplers": 3,
    "simulation": 3,
    "training": 3,
    "posteriors": 4,
    "estimators": 5,
    "sequential": 6,
    "diagnostics": 6,
    "inspection": 6,
    "estimator_checks": 6,
    "persistence": 6,
    "pipeline": 6,
    "_pipeline_likelihood": 6,
    "_pipeline_trials": 6,
    "_about": 7,
    "__init__": 8,
    "__main__": 8,
}

HARD_DEPENDENCIES = {
    "joblib",
    "narwhals",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "skorch",
    "torch",
    "tqdm",
    "zuko",
}

MAX_FILE_LINES, MEDIAN_FILE_LINES = 500, 150
MAX_BODY_LINES, MEDIAN_BODY_LINES = 50, 5
MAX_OWN_ANCESTORS = 2
MAX_CLASS_LINES, MAX_METHODS = 300, 15
MAX_UNDECLARED = 3

# What asks any posterior knows none by name.
SHELL = ("estimators.base", "estimators.asking", "estimators.doubt", "estimators.marginal")
ABSTRACT = "posteriors.base"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files(root: Path) -> dict[str, ast.Module]:
    """Parse every file of the package: {dotted name below the package: tree}."""
    paths = sorted(root.rglob("*.py"))
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): ast.parse(path.read_text())
        for path in paths
    }


def part(name: str) -> str:
    """Name the part of the package to which a file belongs."""
    return name.split(".")[0]


def imported_modules(name: str, node: ast.stmt, root: str) -> list[str]:
    """List what one statement imports, by absolute names, the package's relative ones resolved."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        above = [root, *name.split(".")][: -node.level]
        base = ".".join([*above, base]).rstrip(".")
    return [f"{base}.{alias.name}" for alias in node.names]


def own_imports(name: str, trees: dict[str, ast.Module], root: str) -> set[str]:
    """Find the package's files that one file imports, anywhere in it."""
    found = set()
    for node in ast.walk(trees[name]):
        for module in imported_modules(name, node, root):
            if module.split(".")[0] != root:
                continue
            parts = module.split(".")[1:]
            while parts and not {".".join(parts), ".".join([*parts, "__init__"])} & set(trees):
                parts.pop()
            dotted = ".".join(parts)
            found.add(dotted if dotted in trees else ".".join([*parts, "__init__"]))
    return found - {name}


def graph(root: Path) -> dict[str, set[str]]:
    """Build the import graph of the package's files."""
    trees = files(root)
    return {name: own_imports(name, trees, root.name) for name in trees}


def is_deferred(node: ast.AST) -> bool:
    """Tell whether what stands inside runs only when asked for, or never."""
    for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    return for_types or isinstance(node, Function)


def statements(tree: ast.AST, deferred: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Walk a tree and tell of every node whether it stands in a function or a type-check block."""
    for node in ast.iter_child_nodes(tree):
        yield node, deferred
        yield from statements(node, deferred or is_deferred(node))


def body_lines(function: Function) -> int:
    """Count a function's lines without signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def functions(root: Path) -> list[tuple[str, int]]:
    """List every function with the number of lines in its body."""
    return [
        (f"{name}.{node.name}", body_lines(node))
        for name, tree in files(root).items()
        for node in ast.walk(tree)
        if isinstance(node, Function)
    ]


def parts_without_layer(root: Path) -> list[str]:
    """Find parts of the package that the table above does not know."""
    return sorted({part(name) for name in files(root)} - set(LAYERS))


def upward_imports(root: Path) -> list[str]:
    """Find imports from a higher layer."""
    return [
        f"{name} imports {other}"
        for name, others in graph(root).items()
        for other in sorted(others)
        if LAYERS.get(part(name), 0) < LAYERS.get(part(other), 0)
    ]


def circles(root: Path) -> list[str]:
    """Find a circle of imports between files, or between parts of the package."""
    by_file = graph(root)
    by_part: dict[str, set[str]] = {}
    for name, others in by_file.items():
        others_parts = {part(other) for other in others} - {part(name)}
        by_part.setdefault(part(name), set()).update(others_parts)
    found = []
    for imports in (by_file, by_part):
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            found.append(" -> ".join(error.args[1]))
    return found


def is_foreign(library: str, name: str, deferred: bool) -> bool:
    """Tell whether a file may not import a library there."""
    if library == "skorch":
        return part(name) != "training"
    return not deferred and library not in {*sys.stdlib_module_names, *HARD_DEPENDENCIES}


def foreign_imports(root: Path) -> list[str]:
    """Find skorch outside training/, and optional libraries outside functions."""
    return [
        f"{name} imports {library}"
        for name, tree in files(root).items()
        for node, deferred in statements(tree)
        for library in {module.split(".")[0] for module in imported_modules(name, node, root.name)}
        if library != root.name and is_foreign(library, name, deferred)
    ]


def long_files(root: Path) -> list[str]:
    """Find files that are too long, and a median that is."""
    lines = {path: len(path.read_text().splitlines()) for path in root.rglob("*.py")}
    found = [f"{path.name}: {n} lines" for path, n in lines.items() if n > MAX_FILE_LINES]
    middle = median(lines.values())
    return found + [f"median: {middle} lines"] * (middle > MEDIAN_FILE_LINES)


def long_functions(root: Path) -> list[str]:
    """Find function bodies that are too long, and a median that is."""
    bodies = functions(root)
    found = [f"{name}: {n} lines" for name, n in bodies if n > MAX_BODY_LINES]
    middle = median([n for _, n in bodies] or [0])
    return found + [f"median: {middle} lines"] * (middle > MEDIAN_BODY_LINES)


def deep_classes(root: Path) -> list[str]:
    """Find classes with too many own ancestors in a row, mixins aside."""
    bases: dict[str, list[str]] = {}
    for tree in files(root).values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.endswith("Mixin"):
                names = [ast.unparse(base).split(".")[-1] for base in node.bases]
                bases[node.name] = [name for name in names if name != node.name]

    def depth(name: str) -> int:
        """Count the own ancestors in the longest line."""
        return max([1 + depth(base) for base in bases[name] if base in bases], default=0)

    return [name for name in bases if depth(name) > MAX_OWN_ANCESTORS]


def classes(root: Path) -> list[tuple[str, ast.ClassDef]]:
    """List every class with its dotted name."""
    return [
        (f"{name}.{node.name}", node)
        for name, tree in files(root).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]


def long_classes(root: Path) -> list[str]:
    """Find classes of too many lines, docstrings included, or too many methods of their own."""
    found = []
    for name, node in classes(root):
        n_lines = node.end_lineno - node.lineno + 1
        n_methods = sum(isinstance(part, Function) for part in node.body)
        found += [f"{name}: {n_lines} lines"] * (n_lines > MAX_CLASS_LINES)
        found += [f"{name}: {n_methods} methods"] * (n_methods > MAX_METHODS)
    return found


def declared(node: ast.ClassDef) -> set[str]:
    """List what a class body declares: methods, attributes, annotations, what __init__ sets."""
    names = {part.name for part in node.body if isinstance(part, Function)}
    for part in node.body:
        targets = [part.target] if isinstance(part, ast.AnnAssign) else getattr(part, "targets", [])
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def on_self(node: ast.ClassDef) -> set[str]:
    """List what a class uses of self."""
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute)
        and isinstance(part.value, ast.Name)
        and part.value.id == "self"
    }


def undeclared_names(root: Path) -> list[str]:
    """Find mixins that use more than a few names which neither they nor their bases declare."""
    by_name = {node.name: node for _, node in classes(root)}

    def all_declared(node: ast.ClassDef) -> set[str]:
        """Add what own bases declare."""
        bases = (ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases)
        bases = {name for name in bases if name in by_name} - {node.name}
        return declared(node).union(*(all_declared(by_name[name]) for name in bases))

    found = []
    for name, node in classes(root):
        missing = on_self(node) - all_declared(node)
        if node.name.endswith("Mixin") and len(missing) > MAX_UNDECLARED:
            found.append(f"{name}: {', '.join(sorted(missing))}")
    return found


def families_in_the_shell(root: Path) -> list[str]:
    """Find imports of a posterior of one family in what serves all."""
    return [
        f"{name} imports {other}"
        for name, others in graph(root).items()
        if name in SHELL
        for other in sorted(others)
        if part(other) == "posteriors" and other != ABSTRACT
    ]


RULES = [
    parts_without_layer,
    upward_imports,
    circles,
    foreign_imports,
    long_files,
    long_functions,
    deep_classes,
    long_classes,
    undeclared_names,
    families_in_the_shell,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule: Callable[[Path], list[str]]) -> None:
    assert rule(PACKAGE) == []


def lines(n: int) -> str:
    """Write a function with n lines in its body."""
    return "def f():\n" + "    x = 1\n" * n


@pytest.mark.parametrize(
    ("rule", "tree", "found"),
    [
        (parts_without_layer, {"extras/a.py": ""}, ["extras"]),
        (upward_imports, {"utils/a.py": "from sksbi.priors import b", "priors/b.py": ""},
         ["utils.a imports priors.b"]),
        (upward_imports, {"utils/a.py": "def f():\n    import sksbi.pipeline", "pipeline.py": ""},
         ["utils.a imports pipeline"]),
        (upward_imports, {"utils/a.py": "from ..nn.c import d", "nn/c.py": ""},
         ["utils.a imports nn.c"]),
        (upward_imports, {"utils/a.py": "from sksbi import NPE", "__init__.py": ""},
         ["utils.a imports __init__"]),
        (upward_imports, {"base.py": "from sksbi._version import a", "_version.py": ""}, []),
        (upward_imports, {"nn/a.py": "from .b import c", "nn/b.py": ""}, []),
        (circles, {"nn/a.py": "from sksbi.nn import b", "nn/b.py": "import sksbi.nn.a"},
         ["nn.a -> nn.b -> nn.a"]),
        (circles, {"nn/a.py": "import sksbi.priors.c", "nn/b.py": "", "priors/c.py": "",
                   "priors/d.py": "from sksbi.nn.b import e"}, ["nn -> priors -> nn"]),
        (foreign_imports, {"nn/a.py": "def f():\n    import skorch"}, ["nn.a imports skorch"]),
        (foreign_imports, {"training/a.py": "from skorch import NeuralNet"}, []),
        (foreign_imports, {"inspection/a.py": "import matplotlib.pyplot as plt"},
         ["inspection.a imports matplotlib"]),
        (foreign_imports, {"nn/a.py": "if TYPE_CHECKING:\n    from skops.io import dump"}, []),
        (foreign_imports, {"inspection/a.py": "def f():\n    import matplotlib"}, []),
        (long_files, {"base.py": "\n" * 501, "a.py": "", "b.py": ""}, ["base.py: 501 lines"]),
        (long_files, {"base.py": "\n" * 151}, ["median: 151 lines"]),
        (long_functions, {"base.py": lines(51) + 2 * lines(1)}, ["base.f: 51 lines"]),
        (long_functions, {"base.py": lines(6)}, ["median: 6 lines"]),
        (deep_classes, {"a.py": "class A: ...\nclass B(A): ...\nclass C(B): ...\nclass D(C): ..."},
         ["D"]),
        (deep_classes, {"a.py": "class A(sklearn.A): ..."}, []),
        (long_classes, {"a.py": "class A:\n" + "    x = 1\n" * 300}, ["a.A: 301 lines"]),
        (long_classes, {"a.py": "class A:\n" + "    def f(self): ...\n" * 16}, ["a.A: 16 methods"]),
        (undeclared_names, {"a.py": "class AMixin:\n    def f(self):\n        return "
                                    "self.a + self.b + self.c + self.d"}, ["a.AMixin: a, b, c, d"]),
        (undeclared_names, {"a.py": "class B:\n    a: int\nclass AMixin(B):\n    b = 1\n    "
                                    "def f(self):\n        return self.a, self.b, self.f"}, []),
        (families_in_the_shell, {"estimators/base.py": "from sksbi.posteriors import density",
                                 "posteriors/density.py": "", "posteriors/base.py": ""},
         ["estimators.base imports posteriors.density"]),
        (families_in_the_shell, {"estimators/base.py": "from sksbi.posteriors import base",
                                 "posteriors/base.py": ""}, []),
        (deep_classes, {"a.py": "class M_Mixin: ...\nclass A(M_Mixin): ...\nclass B(A): ..."}, []),
    ],
)  # fmt: skip
def test_the_checker_finds(
    tmp_path: Path, rule: Callable[[Path], list[str]], tree: dict[str, str], found: list[str]
) -> None:
    for name, text in tree.items():
        path = tmp_path / "sksbi" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert rule(tmp_path / "sksbi") == found
