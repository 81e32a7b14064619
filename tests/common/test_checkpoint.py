"""What every estimator that trains a network promises about checkpoints."""

import inspect
import pickle
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from skorch import NeuralNet

from sksbi.training import checkpoint
from sksbi.utils.fingerprint import fingerprint

Pairs = tuple[pd.DataFrame, pd.DataFrame]


class PowerCut(BaseException):
    """What no one catches."""


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Write after every epoch, and cut the power in the epoch that stands in the list."""
    step, cut = NeuralNet.train_step, []

    def broken(net: NeuralNet, *args: object, **options: object) -> dict:
        if len(net.history) in cut:
            raise PowerCut
        return step(net, *args, **options)

    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", inf)
    monkeypatch.setattr(NeuralNet, "train_step", broken)
    return cut


def test_a_fit_that_is_killed_goes_on(
    neural: BaseEstimator, pairs: Pairs, power: list[int], tmp_path: Path
) -> None:
    """Bit for bit, and once it has ended it trains no more."""
    whole, kept = clone(neural).fit(*pairs), clone(neural).set_params(checkpoint=tmp_path)
    power[:] = [3]
    with pytest.raises(PowerCut):
        clone(kept).fit(*pairs)
    for epochs in ([1, 2], [1, 2, 3]):
        power[:] = epochs
        last = clone(kept).fit(*pairs)
        states = [fingerprint(e.net_.module_.state_dict()) for e in (whole, last)]
        assert states[0] == states[1]
        rows = whole.log_prob(*pairs), last.log_prob(*pairs)
        np.testing.assert_array_equal(*rows)
        pd.testing.assert_frame_equal(*(e.history_.drop(columns="dur") for e in (whole, last)))
        assert last.score(*pairs) == whole.score(*pairs)
    assert len([*tmp_path.iterdir()]) == 1


def test_the_parameter_stands_after_compile(neural: BaseEstimator) -> None:
    names = list(inspect.signature(type(neural)).parameters)
    assert names[names.index("compile") + 1] == "checkpoint"
    assert neural.get_params()["checkpoint"] is None


@pytest.mark.core
def test_a_fit_with_a_checkpoint_is_saved_as_another(
    neural: BaseEstimator, pairs: Pairs, tmp_path: Path
) -> None:
    fitted = clone(neural).set_params(checkpoint=tmp_path, max_epochs=1).fit(*pairs)
    copy = pickle.loads(pickle.dumps(fitted))
    assert copy.get_params()["checkpoint"] == tmp_path
    np.testing.assert_array_equal(copy.log_prob(*pairs), fitted.log_prob(*pairs))
