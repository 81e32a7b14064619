"""Writing safe files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sklearn
import torch

from sksbi._version import __version__
from sksbi.persistence._archive import write_archive
from sksbi.persistence._nodes import FORMAT
from sksbi.persistence._write import Writer

__all__ = ["save"]


def save(obj: Any, path: str | Path) -> None:
    """
    Save an estimator in a file that can be loaded without trusting it.

    The file is a zip of JSON and NumPy arrays, without pickled objects: :func:`load` runs nothing
    that it names, unless it is a known class of sksbi, scikit-learn, scipy or torch, or one that
    you list. Later versions read it, too.

    Parameters
    ----------
    obj : object
        An estimator, fitted or not, a Pipeline, a search, a prior, or containers of them. Functions
        and classes of your own must stand at the top of a module.
    path : str or Path
        The file, such as "posterior.sksbi"; one that is there is replaced in one step.

    Raises
    ------
    TypeError
        If something in it cannot be taken apart, as lambdas and open files.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Read it again.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import sksbi
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(200, 1))
    >>> x = theta + rng.normal(size=(200, 2))
    >>> npe = sksbi.NPE(flow="maf", max_epochs=2, random_state=0).fit(theta, x)
    >>> with TemporaryDirectory() as folder:
    ...     sksbi.save(npe, Path(folder) / "posterior.sksbi")
    ...     again = sksbi.load(Path(folder) / "posterior.sksbi")
    >>> bool((again.log_prob(theta, x) == npe.log_prob(theta, x)).all())
    True
    """
    path = checked_path(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"path must lie in a folder that is there, got {str(path)!r}.")
    writer = Writer()
    try:
        root = writer.value(obj)
    except RecursionError:
        raise TypeError("obj is nested too deeply for save.") from None
    except TypeError as error:
        raise TypeError(f"obj has a part that cannot be saved: {error}") from error
    tree = {
        "format": FORMAT,
        "sksbi": __version__,
        "libraries": {"scikit-learn": sklearn.__version__, "torch": str(torch.__version__)},
        "objects": writer.nodes,
        "root": root,
    }
    write_archive(path, tree, writer.arrays)


def checked_path(path: str | Path) -> Path:
    """
    Check a path.

    Parameters
    ----------
    path : str or Path
        The path.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    TypeError
        If it is none.
    """
    if not isinstance(path, str | Path):
        raise TypeError(f"path must be the path of a file, got {path!r}.")
    return Path(path)
