"""
A picture that an example of the gallery makes, on another page.

``.. gallery-figure:: plot_01_lynx_hare 2`` is a figure, with its options and a caption, of the
second picture of that example. Where the gallery was not run there is none, and the page goes
without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.directives.patches import Figure

IMAGES = "auto_examples/images/sphx_glr_{}_{:03d}.png"


class GalleryFigure(Figure):
    """A figure whose file may not be there."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Make the figure, or nothing."""
        name, number = self.arguments
        path = IMAGES.format(name, int(number))
        env = self.state.document.settings.env
        env.note_dependency(path)
        if not (Path(env.srcdir) / path).exists():
            return []
        self.arguments = [f"/{path}"]
        return list(super().run())


def setup(app: Sphinx) -> dict[str, Any]:
    """Make it a directive."""
    app.add_directive("gallery-figure", GalleryFigure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
