"""The pages for those who come from other libraries: every entry of their tables runs."""

import doctest
import re
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from sksbi.estimators.neural import NeuralEstimator

mpl.use("Agg")

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ["from_lampe.rst", "from_sbi.rst"]
SHAPES = {"ConvNet1d": (1, 16), "ConvNet2d": (1, 8, 8), "DeepSet": (5, 1)}


def rows(page: str) -> list[tuple[str, str]]:
    """Read the rows of a page's table: (theirs, ours)."""
    text = (DOCS / page).read_text()
    table = text[text.index(".. list-table::") :]
    table = table[: re.search(r"\n\n(?=\S)", table).start()]
    found = re.findall(r"    \* - (.*?)\n      - (.*?)(?=\n    \* - |\Z)", table, re.DOTALL)
    return [(" ".join(a.split()), " ".join(b.split())) for a, b in found][1:]


def entries(cell: str) -> list[str]:
    """Read the calls in a cell; a name alone is no call, but an attribute is."""
    return re.findall(r"``(.+?)``", cell)


CASES = [
    pytest.param(page, code, id=f"{page[:-4]}: {code}")
    for page in PAGES
    for _, ours in rows(page)
    for code in entries(ours)
    if "(" in code or "." in code or "[" in code
]


@pytest.fixture(scope="module")
def namespaces() -> dict[str, dict]:
    """Run the pages' examples: what their tables use."""
    found, flags = {}, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for page in PAGES:
        text = (DOCS / page).read_text()
        test = doctest.DocTestParser().get_doctest(text, {}, page, str(DOCS / page), 0)
        runner = doctest.DocTestRunner(optionflags=flags)
        assert runner.run(test, clear_globs=False).failed == 0
        found[page] = test.globs
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_row_has_an_entry(page: str) -> None:
    assert len(rows(page)) > 25
    for theirs, ours in rows(page):
        assert theirs
        assert entries(ours), ours


@pytest.mark.parametrize(("page", "code"), CASES)
def test_entries_run(page: str, code: str, namespaces: dict[str, dict]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of fits and draws that are too few
        result = eval(code, dict(namespaces[page]))
        assert result is not None
        if isinstance(result, NeuralEstimator) and not hasattr(result, "history_"):
            assert len(fitted(result, code).history_) == 1
    plt.close("all")


def fitted(estimator: NeuralEstimator, code: str) -> NeuralEstimator:
    """Fit an estimator for an epoch, to x of the shape that it is made for."""
    shape = next((shape for name, shape in SHAPES.items() if name in code), (3,))
    rng = np.random.default_rng(0)
    theta = rng.uniform(-1, 1, (60, 2))
    x = theta[:, :1].reshape(60, *[1] * len(shape)) + rng.normal(size=(60, *shape))
    return estimator.set_params(max_epochs=1, random_state=0).fit(theta, x)


def test_lampes_public_names_are_all_there() -> None:
    """What lampe 0.9 documents, H5Dataset and JointLoader below the table."""
    text = (DOCS / "from_lampe.rst").read_text()
    names = [
        *("NPE", "NPELoss", "NRE", "NRELoss", "BNRELoss", "CNRELoss", "BCNRELoss", "AMNRE"),
        *("AMNRELoss", "FMPE", "FMPELoss", "MetropolisHastings", "DCPNRELoss", "DCPNPELoss"),
        *("MLP", "ResMLP", "JointDataset", "JointLoader", "H5Dataset", "BernoulliMask"),
        *("SelectionMask", "str2mask", "mask2str", "expected_coverage_mc", "expected_coverage_ni"),
        *("nice_rc", "LinearAlphaColormap", "gaussian_blur", "credible_levels", "corner"),
        *("mark_point", "coverage_plot", "GDStep", "gridapply"),
    ]
    assert [name for name in names if name not in text] == []
