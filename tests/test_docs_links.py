"""Links of the documentation lead somewhere, its pages are found and run, without a network."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import sksbi

ROOT, PACKAGE = Path(__file__).parents[1], Path(sksbi.__file__).parent
DOCS = ROOT / "docs"
# sphinx-gallery makes the other page when the documentation is built.
PAGES = sorted(path for path in DOCS.glob("*.rst") if path.stem != "sg_execution_times")
MARKDOWN = sorted(ROOT.glob("*.md"))
PYTHON = [*sorted(PACKAGE.rglob("*.py")), *sorted((ROOT / "examples").glob("*.py"))]
# Every entry of their tables is run by test_from_peers.py.
RUN_ELSEWHERE = {"from_lampe.rst", "from_sbi.rst"}
URL = re.compile(r"https?://[^\s<>`\"'|\]\[{}]+")
ROLE = re.compile(r":(?:py:)?(class|func|meth|mod|attr|exc):`(?:[^`<]*<)?~?([\w.]+)>?`")


def name(path: Path) -> str:
    """Show a path in a test's id."""
    return str(path.relative_to(PACKAGE.parent if path.is_relative_to(PACKAGE) else ROOT))


def read(path: Path) -> str:
    """Read a file."""
    return path.read_text(encoding="utf-8")


def targets(role: str, text: str) -> list[str]:
    """List the targets of a role such as doc or ref."""
    found = re.findall(rf":{role}:`([^`]+)`", text)
    return [re.search(r"<([^>]+)>$", one)[1] if one.endswith(">") else one for one in found]


def has_page(target: str) -> bool:
    """Tell whether a page stands in docs, or is made of an example."""
    if target.startswith("auto_examples/"):
        stem = target.removeprefix("auto_examples/")
        return stem == "index" or (ROOT / "examples" / f"{stem}.py").exists()
    return (DOCS / f"{target}.rst").exists()


def toctree_entries(text: str) -> list[str]:
    """List what the toctrees of a page name."""
    blocks = re.findall(r"^\.\. toctree::\n((?:[ ]{4}.*\n|\n)*)", text, re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    entries = [line for line in lines if line and not line.startswith(":")]
    return [re.search(r"<(.+)>$", one)[1] if one.endswith(">") else one for one in entries]


def find(dotted: str) -> object:
    """Import what a dotted name means; a part that is no module is an attribute."""
    parts = dotted.split(".")
    for k in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            thing = getattr(thing, part)
        return thing
    raise LookupError(dotted)


@pytest.mark.parametrize("path", MARKDOWN, ids=name)
def test_relative_links_of_markdown_exist(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", read(path))
    relative = [link.split("#")[0] for link in links if "://" not in link]
    assert [link for link in relative if link and not (ROOT / link).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_pages_that_are_linked_exist(path: Path) -> None:
    assert [one for one in targets("doc", read(path)) if not has_page(one)] == []
    assert [one for one in toctree_entries(read(path)) if not has_page(one)] == []


def test_labels_that_are_linked_exist() -> None:
    texts = [read(path) for path in [*PAGES, *PYTHON]]
    labels = {one for text in texts for one in re.findall(r"^\.\. _([\w-]+):$", text, re.MULTILINE)}
    assert {one for text in texts for one in targets("ref", text)} <= labels


def test_every_page_is_in_one_toctree() -> None:
    entries = [one for path in PAGES for one in toctree_entries(read(path))]
    pages = [one for one in entries if not one.startswith(("auto_examples/", "api/"))]
    assert sorted(pages) == sorted({path.stem for path in PAGES} - {"index"})


def test_names_that_are_linked_exist() -> None:
    names = {one for path in [*PAGES, *PYTHON] for _, one in ROLE.findall(read(path))}
    for dotted in sorted(names):
        if dotted.startswith("sksbi."):
            find(dotted)


@pytest.mark.parametrize("path", [*PAGES, *MARKDOWN], ids=name)
def test_files_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"`((?:tests|sksbi|examples|docs)/[\w/]+\.(?:py|rst|md))`", read(path))
    folders = (ROOT, PACKAGE.parent)
    assert [one for one in named if not any((at / one).exists() for at in folders)] == []


def test_links_to_others_are_well_formed() -> None:
    urls = {url for path in [*PAGES, *MARKDOWN, *PYTHON] for url in URL.findall(read(path))}
    for url in sorted(urls):
        parts = urlsplit(url.rstrip(").,;:"))
        host = parts.hostname or ""
        assert re.fullmatch(r"localhost|[a-z0-9-]+(\.[a-z0-9-]+)+", host), url
        if host == "arxiv.org":
            assert re.fullmatch(r"/abs/(\d{4}\.\d{4,5}(v\d+)?|[a-z-]+/\d{7})", parts.path), url


def test_pages_with_examples_are_run() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        options = tomllib.load(file)["tool"]["pytest"]["ini_options"]
    found = {path.name for path in PAGES if ">>> " in read(path)} - RUN_ELSEWHERE
    globs = {one.split("=")[1] for one in options["addopts"] if one.startswith("--doctest-glob=")}
    paths = {one.removeprefix("docs/") for one in options["testpaths"] if one.startswith("docs/")}
    assert globs - {"README.md"} == found
    assert paths == found
