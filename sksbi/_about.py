"""What is installed, and whether it works: for reports of bugs, and after an installation."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from scipy import stats

from sksbi._version import __version__
from sksbi.estimators import NPE
from sksbi.persistence import load, save

__all__ = ["check_installation", "show_versions"]

_NEEDED = [
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "joblib",
    "torch",
    "skorch",
    "zuko",
    "tqdm",
    "narwhals",
]
_EXTRAS = [
    "matplotlib",
    "emcee",
    "arviz-base",
    "h5py",
    "pyarrow",
    "skops",
    "cloudpickle",
    "dask",
    "ray",
    "polars",
]
_ROWS, _SD = 2_000, 0.5


def show_versions() -> None:
    """
    Print the versions of sksbi, of what it needs, and of what it can use.

    Examples
    --------
    >>> import sksbi
    >>> sksbi.show_versions()  # doctest: +ELLIPSIS
    sksbi ...
    Python ...
    """
    print(f"sksbi {__version__}")
    print(f"Python {platform.python_version()} ({platform.python_implementation()})")
    print(f"{platform.platform()}, {platform.machine()}")
    for title, names in (("Needed", _NEEDED), ("Extras", _EXTRAS)):
        print(f"\n{title}")
        for name in names:
            print(f"  {name:13} {_version(name)}")
    print(f"\nGPU           {_gpu()}")
    print(f"Torch threads {torch.get_num_threads()}")


def _version(name: str) -> str:
    """Find the version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _gpu() -> str:
    """Name the GPU that ``device="auto"`` takes."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
    return "none that torch can use"


def check_installation() -> bool:
    """
    Fit a posterior that is known, on the CPU, save it, and say whether all is right.

    Returns
    -------
    bool
        Whether it is.
    """
    began = perf_counter()
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(_ROWS, 1))
    x = theta + _SD * rng.normal(size=(_ROWS, 1))
    npe = NPE([stats.norm()], flow="maf", transforms=1, device="cpu", random_state=0).fit(theta, x)
    with TemporaryDirectory() as folder:
        save(npe, Path(folder) / "posterior.sksbi")
        again = load(Path(folder) / "posterior.sksbi")
    exact = stats.norm(1 / (1 + _SD**2), _SD / (1 + _SD**2) ** 0.5)
    draws = again.sample([1.0], 4_000, random_state=0)
    far = abs(draws.mean() - exact.mean()) / exact.std()
    wide = draws.std() / exact.std()
    same = bool((again.log_prob(theta, x) == npe.log_prob(theta, x)).all())
    is_right = same and far < 0.2 and 0.8 < wide < 1.25
    print(
        f"\n{'All is well' if is_right else 'SOMETHING IS WRONG'}: a posterior was learnt, saved "
        f"and loaded in {perf_counter() - began:.1f} s.\nIts mean is {far:.2f} sd from the exact "
        f"one, its sd {wide:.2f} times it; what was loaded "
        f"{'answers' if same else 'does not answer'} as what was saved.",
        file=sys.stdout if is_right else sys.stderr,
    )
    return is_right
