"""Sphinx configuration."""

import os
from typing import Any

from sphinx.application import Sphinx

from sksbi._version import __version__

os.environ["MPLBACKEND"] = "Agg"

project = "sksbi"
author = "The sksbi developers"
copyright = "2026, The sksbi developers"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

autosummary_generate = True
numpydoc_show_class_members = False
autodoc_typehints = "none"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "download_all_examples": False,
    "show_memory": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"sksbi {release}"
html_theme_options = {"navigation_with_keys": False, "secondary_sidebar_items": ["page-toc"]}
html_sidebars = {"index": [], "getting_started": []}
html_show_sourcelink = False


def skip_foreign(app: Sphinx, what: str, name: str, thing: Any, *_: Any) -> bool | None:
    """Leave out methods and properties that a class has from another library."""
    module = getattr(getattr(thing, "fget", None) or thing, "__module__", None) or "sksbi"
    return None if module.startswith("sksbi") else True


def setup(app: Sphinx) -> None:
    """Connect the function above."""
    app.connect("autodoc-skip-member", skip_foreign)
