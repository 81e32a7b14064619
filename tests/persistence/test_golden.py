"""Files of every release load, without a warning of sksbi, and answer as they did."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning

from sksbi import load

from .golden import FOLDER, KINDS, answer

FILES = sorted(FOLDER.glob("*/*.sksbi"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_file_of_a_release_answers_as_it_did(path: Path) -> None:
    """To float32, whose sums come in another order on other machines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        fitted = load(path)
    with np.load(path.parent / "expected.npz") as answers:
        np.testing.assert_allclose(answer(fitted), answers[path.stem], rtol=1e-3, atol=1e-3)


def test_there_are_some_of_every_kind() -> None:
    assert {path.stem for path in FILES} == {*KINDS}
