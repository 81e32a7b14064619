"""Reading safe files."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from sksbi._version import __version__
from sksbi.exceptions import LoadError, VersionWarning
from sksbi.persistence._archive import Archive
from sksbi.persistence._budget import Budget
from sksbi.persistence._nodes import FORMAT
from sksbi.persistence._read import read_objects, unknown_names
from sksbi.persistence._save import checked_path

__all__ = ["load"]

_NUMBERS_A_BYTE, _FEW_NUMBERS = 8, 2**23


def load(path: str | Path, *, trusted: Collection[str] = ()) -> Any:
    """
    Load what :func:`save` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    trusted : collection of str, default=()
        Names of classes and functions beside those that are known, such as "my_package.Embedding".
        They are imported, called and given what the file holds, so list only what you would run.
        The error tells which the file needs.

    Returns
    -------
    object
        The same object, on the CPU. Fitted estimators give the same numbers, bit for bit where the
        libraries have the same versions.

    Raises
    ------
    LoadError
        If the file is none of these, is damaged, was written by a newer version in another form, or
        names what is neither known nor trusted. Nothing of it has been run.
    OSError
        If there is no such file, or it cannot be read.
    TypeError
        If an argument is not as above.

    See Also
    --------
    save : Write it.

    Notes
    -----
    Known are the estimators, priors, samplers, losses and networks of sksbi, estimators of
    scikit-learn whose state is numbers, distributions of scipy and torch, networks of torch and
    zuko, and functions of numbers of NumPy and scipy. scikit-learn warns if another version of it
    wrote one of its own.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import sksbi
    >>> with TemporaryDirectory() as folder:
    ...     sksbi.save(sksbi.NRE(lr=1e-3), Path(folder) / "nre.sksbi")
    ...     sksbi.load(Path(folder) / "nre.sksbi")
    NRE(lr=0.001)
    """
    path = checked_path(path)
    is_many = isinstance(trusted, Collection) and not isinstance(trusted, str)
    if not is_many or not all(isinstance(name, str) for name in trusted):
        raise TypeError(
            f'trusted must be names, such as ["my_package.Embedding"], got {trusted!r}.'
        )
    content = path.read_bytes()
    try:
        with Archive(content) as archive:
            return _read(path, archive, frozenset(trusted))
    except LoadError:
        raise
    except Exception as error:  # of a damaged file, anything may come
        raise LoadError(
            f"path must be a file that sksbi.save wrote, and {path} is not, or it is damaged: "
            f"{str(error) or type(error).__name__}."
        ) from error


def _read(path: Path, archive: Archive, trusted: Collection[str]) -> Any:
    """Put together what an archive holds."""
    tree = archive.tree()
    if type(tree["format"]) is not int:
        raise ValueError("its format is no number")
    if tree["format"] > FORMAT:
        raise LoadError(
            f"{path} was written by sksbi {tree.get('sksbi')} in format {tree['format']}, and this "
            f"is sksbi {__version__}, which reads formats up to {FORMAT}: update sksbi."
        )
    unknown = unknown_names(tree["objects"], trusted)
    if unknown:
        raise LoadError(
            f"{path} is made of things that are not known: {unknown}. If you would run what they "
            f"are, load it with trusted={unknown}."
        )
    most = _FEW_NUMBERS + _NUMBERS_A_BYTE * archive.n_bytes
    with warnings.catch_warnings(), Budget(most), torch.device("cpu"):
        warnings.simplefilter("ignore", VersionWarning)  # the form of the file tells
        return read_objects(tree["objects"], tree["root"], archive.array, trusted)
