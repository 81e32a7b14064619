"""What the tests of the networks share."""

import pytest

import sksbi.nn.affine
import sksbi.nn.mixture
import sksbi.nn.spline


@pytest.fixture
def use_torch(monkeypatch: pytest.MonkeyPatch):
    """Let the CPU take the way of the accelerators, once it is called."""

    def patch() -> None:
        for module in (sksbi.nn.affine, sksbi.nn.spline, sksbi.nn.mixture):
            monkeypatch.setattr(module, "view_arrays", lambda *ts: [t.detach() for t in ts])

    return patch


@pytest.fixture(params=["numpy", "torch"])
def _either_library(request: pytest.FixtureRequest, use_torch) -> None:
    """Run a test with NumPy's and with torch's arrays."""
    if request.param == "torch":
        use_torch()
