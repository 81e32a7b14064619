"""Sphinx configuration."""

import os
import sys
from pathlib import Path
from typing import Any

# The gallery looks up what examples import, and this one opens the door of another.
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sphinx.application import Sphinx

from sksbi._version import __version__

os.environ["MPLBACKEND"] = "Agg"
sys.path.insert(0, str(Path(__file__).parent))

project = "sksbi"
author = "The sksbi developers"
copyright = "2026, The sksbi developers"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "offline_math",
    "gallery_figure",
    "sphinx_gallery.gen_gallery",
]
# The tables of times that sphinx-gallery makes fetch scripts from elsewhere.
exclude_patterns = ["_build", "_templates", "**sg_execution_times.rst"]
templates_path = ["_templates"]

# A reference that leads nowhere is a warning, but to other libraries, as their lists are online.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(joblib|numpy|pandas|scipy|sklearn|skorch|torch)\..*")]

autosummary_generate = True
numpydoc_show_class_members = False
autodoc_typehints = "none"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"sksbi {release}"
html_static_path = ["_static"]
html_css_files = ["sksbi.css"]
html_theme_options = {"navigation_with_keys": False, "secondary_sidebar_items": ["page-toc"]}
html_sidebars = {"index": [], "api": []}
html_show_sourcelink = False


def skip_foreign(app: Sphinx, what: str, name: str, thing: Any, *_: Any) -> bool | None:
    """Leave out methods and properties that a class has from another library."""
    module = getattr(getattr(thing, "fget", None) or thing, "__module__", None) or "sksbi"
    return None if module.startswith("sksbi") else True


def setup(app: Sphinx) -> None:
    """Connect the function above."""
    app.connect("autodoc-skip-member", skip_foreign)
