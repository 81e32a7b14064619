"""The bounds in pyproject.toml are those of the file that make oldest installs by."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pins(file: str) -> dict[str, str]:
    """Read a file of constraints."""
    lines = (ROOT / file).read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_every_bound_is_tested_as_it_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    given = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    bounds = dict(one.split(">=") for one in given if ">=" in one)
    assert set(project["dependencies"]) <= {f"{name}>={bound}" for name, bound in bounds.items()}
    oldest = pins("constraints-oldest.txt")
    for name, bound in bounds.items():
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", oldest[name]), name


def test_whatever_is_pinned_as_the_oldest_is_pinned_as_usual() -> None:
    assert {*pins("constraints-oldest.txt")} - {*pins("constraints.txt")} <= {"pyparsing"}
