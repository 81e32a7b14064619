"""
Check the archives of a release, and run the tests on the installed wheel, far from the source tree.

    python tests/dist.py ENVIRONMENT [options of pytest]

ENVIRONMENT is where the wheel in dist/ is installed. The tests come out of the source archive, and
the package that stands beside them there is removed before they run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
INSTALLED = "import sksbi, sysconfig; print(sksbi.__file__); print(sysconfig.get_path('purelib'))"


def tracked(*paths: str) -> set[str]:
    """List the files of the repository, but for those with a dot, which only it needs."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", *paths]
    names = subprocess.run(git, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in names if name and not name.startswith(".")}


def archive(pattern: str) -> Path:
    """Find the one archive of its kind."""
    (found,) = (ROOT / "dist").glob(pattern)
    return found


def compare(kind: str, held: set[str], wanted: set[str]) -> None:
    """Raise, unless an archive holds what it should and nothing else."""
    if held != wanted:
        missing, extra = sorted(wanted - held), sorted(held - wanted)
        raise SystemExit(f"The {kind} lacks {missing} and has {extra} that are not tracked by git.")
    print(f"{kind}: {len(held)} files, those of the repository")


def check_wheel(wheel: Path) -> None:
    """Raise, unless the wheel holds the package alone."""
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    compare("wheel", names, tracked("sksbi"))


def check_source(source: Path, folder: Path) -> Path:
    """Unpack the source archive; raise, unless it holds everything."""
    with tarfile.open(source) as tar:
        tar.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    files = {path.relative_to(top) for path in top.rglob("*") if path.is_file()}
    made = {path for path in files if path.parts[0] in {"PKG-INFO", "sksbi.egg-info"}}
    compare("source archive", {path.as_posix() for path in files - made}, tracked())
    return top


def run_tests(binaries: Path, folder: Path, options: list[str]) -> int:
    """Run the tests that lie in a folder, and the doctests of the installed package."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(folder)  # so that workers of joblib find the tests
    python = [str(binaries / "python"), "-c", INSTALLED]
    done = subprocess.run(
        python, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    file, packages = done.stdout.split()
    if not Path(file).is_relative_to(packages):
        raise SystemExit(f"sksbi is imported from {file}, not from {packages}.")
    print(f"tests of {file}", flush=True)
    settings = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["pytest"]
    paths = [path for path in settings["ini_options"]["testpaths"] if path != "sksbi"]
    pytest = [str(binaries / "pytest"), "--rootdir", ".", "-c", "pyproject.toml"]
    command = [*pytest, *options, *(f"./{path}" for path in paths), "--pyargs", "sksbi"]
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def main(environment: str, *options: str) -> int:
    """Check, unpack, run."""
    check_wheel(archive("*.whl"))
    with TemporaryDirectory() as temporary:
        folder = check_source(archive("*.tar.gz"), Path(temporary))
        shutil.rmtree(folder / "sksbi")
        return run_tests(Path(environment).absolute() / "bin", folder, list(options))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
