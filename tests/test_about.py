"""What is told of an installation."""

import subprocess
import sys

import numpy as np
import torch

import sksbi
from sksbi import _about


def test_the_module_prints_versions_and_checks_itself() -> None:
    # torch 2.6 leaves a folder of its own to the end of the process.
    strict = ["-W", "error", "-W", "ignore:Implicitly cleaning up:ResourceWarning"]
    command = [sys.executable, *strict, "-m", "sksbi"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"sksbi {sksbi.__version__}\n" in done.stdout
    assert f"numpy         {np.__version__}\n" in done.stdout
    assert f"torch         {torch.__version__.partition('+')[0]}" in done.stdout
    assert "All is well: a posterior was learnt, saved and loaded" in done.stdout


def test_what_is_missing_is_shown(monkeypatch, capsys) -> None:
    monkeypatch.setattr(_about, "_EXTRAS", ["no-such-package"])
    sksbi.show_versions()
    assert "  no-such-package -\n" in capsys.readouterr().out


def test_a_wrong_posterior_is_told(monkeypatch, capsys) -> None:
    """Here it was learnt for noise of another size."""
    monkeypatch.setattr(_about, "stats", _other_noise())
    assert not _about.check_installation()
    assert "SOMETHING IS WRONG" in capsys.readouterr().err


def _other_noise() -> object:
    """Give scipy.stats with a distribution of another width for what is exact."""

    class Stats:
        @staticmethod
        def norm(*args: float) -> object:
            from scipy import stats

            return stats.norm(*args) if not args else stats.norm(args[0], 2 * args[1])

    return Stats
