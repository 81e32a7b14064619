"""Pairs in files, wherever they come from: opened without being read, and packed into one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sksbi.data.hdf5 import HDF5Source, write_pairs
from sksbi.data.lazy import LazyTable
from sksbi.data.parquet import ParquetSource, column_names
from sksbi.data.parts import make_folder
from sksbi.data.store import SimulationStore
from sksbi.data.stored import lazy_pairs

__all__ = ["open_pairs", "pack"]

_EVERY = 2**62
_HDF5, _PARQUET = (".h5", ".hdf5", ".hdf"), (".parquet", ".pq")


def open_pairs(
    path: str | Path, theta_columns: Sequence[str] | None = None
) -> tuple[LazyTable, LazyTable]:
    """
    Open simulated pairs in files, without reading them.

    Parameters
    ----------
    path : str or Path
        A folder that ``simulate(store=...)`` was given; an HDF5 file with the datasets "theta" and
        "x", such as :func:`pack` writes, and lampe; or a Parquet file.
    theta_columns : sequence of str or None, default=None
        Of a Parquet file, the columns that are theta; the others are x.

    Returns
    -------
    theta : LazyTable of shape (n, D)
        The parameters; ``fit`` takes them as they are.
    x : LazyTable of shape (n, ...)
        The observations, likewise.

    Raises
    ------
    TypeError, ValueError
        If there is no such file, or it holds something else.
    ImportError
        If h5py or pyarrow is needed and not installed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from scipy import stats
    >>> from sksbi import simulate
    >>> from sksbi.simulation import open_pairs
    >>> def simulator(theta, rng):
    ...     return {"x": rng.normal(theta["mean"])}
    >>> with TemporaryDirectory() as folder:
    ...     _ = simulate(simulator, {"mean": stats.norm()}, 50, store=folder)
    ...     theta, x = open_pairs(folder)
    ...     x[:10].load().shape
    (10, 1)
    """
    path = _checked(path)
    suffix = path.suffix.lower()
    if suffix not in _PARQUET and theta_columns is not None:
        raise ValueError(f"theta_columns is for Parquet files, got it for {path}: leave it out.")
    if suffix in _HDF5:
        theta, x = (LazyTable(HDF5Source(path, name)) for name in ("theta", "x"))
    elif suffix in _PARQUET:
        names = _theta_of(path, theta_columns)
        rest = [name for name in column_names(path) if name not in names]
        theta, x = (LazyTable(ParquetSource(path, columns)) for columns in (names, rest))
    else:
        theta, x = _of_store(path)
    if len(theta) != len(x):
        raise ValueError(
            f"{path} must hold as many theta as x, got {len(theta)} and {len(x)} rows."
        )
    return theta, x


def pack(store: str | Path, path: str | Path) -> None:
    """
    Write the pairs of a store into one HDF5 file.

    Parameters
    ----------
    store : str or Path
        The folder that ``simulate(store=...)`` was given; it stays as it is, and it alone knows the
        errors of simulations that have failed, and can be continued.
    path : str or Path
        The file to write, such as "pairs.h5"; one that is there is replaced at the end.

    Raises
    ------
    TypeError, ValueError
        If there is no such store, it is empty, or the file's name does not end as those of HDF5.
    OSError
        If the disk has not enough room.
    ImportError
        If h5py is not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from scipy import stats
    >>> from sksbi import simulate
    >>> from sksbi.simulation import open_pairs, pack
    >>> def simulator(theta, rng):
    ...     return {"x": rng.normal(theta["mean"])}
    >>> with TemporaryDirectory() as folder:
    ...     folder = Path(folder)
    ...     _ = simulate(simulator, {"mean": stats.norm()}, 50, store=folder / "pairs")
    ...     pack(folder / "pairs", folder / "pairs.h5")
    ...     theta, x = open_pairs(folder / "pairs.h5")
    ...     x.shape
    (50, 1)
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in _HDF5:
        raise ValueError(f"path must end in one of {_HDF5}, got {path}.")
    make_folder(path.parent, "path")
    write_pairs(path, *_of_store(_checked(store)))


def _of_store(path: Path) -> tuple[LazyTable, LazyTable]:
    """Open the pairs of a store."""
    store = SimulationStore(path)
    if not store.exists:
        raise ValueError(
            f"path must be a folder of simulations, or a file that ends in one of "
            f"{_HDF5 + _PARQUET}, got {path}."
        )
    keeps = store.settings().get("on_error") == "keep"
    theta, x, _ = lazy_pairs(store, _EVERY, keeps_failures=keeps)
    if x is None:
        raise ValueError(f"{path} has no simulations that succeeded.")
    return theta, x


def _checked(path: str | Path) -> Path:
    """Check a path."""
    if not isinstance(path, str | Path):
        raise TypeError(f"path must be the path of a folder or a file, got {path!r}.")
    found = Path(path).expanduser()
    if not str(path) or not found.exists():
        raise ValueError(
            f"path must be that of a folder or a file, got {str(path)!r}: nothing is there."
        )
    return found


def _theta_of(path: Path, theta_columns: Sequence[str] | None) -> list[str]:
    """Check which columns of a Parquet file are theta."""
    known = column_names(path)
    given = list(theta_columns or [])
    unknown = [name for name in given if name not in known]
    if not given or unknown or len(given) == len(known) or len({*given}) < len(given):
        raise ValueError(
            f"theta_columns must name some of the columns of {path}, {known}, each once, and leave "
            f"others for x, got {theta_columns!r}."
        )
    return given
