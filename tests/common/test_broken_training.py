"""A training that goes wrong: Ctrl-C, and losses that are no numbers."""

import pickle
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback

from sksbi.losses import FlowMatching
from sksbi.nn import FieldAt

Pairs = tuple[pd.DataFrame, pd.DataFrame]


# Ctrl-C.


class CtrlC(Callback):
    """Press Ctrl-C in some moment of the training."""

    def __init__(self, moment: str) -> None:
        self.moment = moment

    def _press(self, moment: str) -> None:
        if moment == self.moment:
            raise KeyboardInterrupt

    def on_train_begin(self, net: object, **_: object) -> None:
        self._press("on_train_begin")

    def on_batch_end(self, net: object, **_: object) -> None:
        self._press("on_batch_end")

    def on_epoch_end(self, net: object, **_: object) -> None:
        self._press("on_epoch_end")

    def on_train_end(self, net: object, **_: object) -> None:
        self._press("on_train_end")


@pytest.mark.parametrize(
    "moment", ["on_train_begin", "on_batch_end", "on_epoch_end", "on_train_end"]
)
def test_ctrl_c_during_fit_raises(trained: BaseEstimator, pairs: Pairs, moment: str) -> None:
    estimator = clone(trained).set_params(callbacks=[CtrlC(moment)])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(*pairs)
    with pytest.raises(NotFittedError):
        estimator.sample(pairs[1])


class CtrlCIn(Callback):
    """Press Ctrl-C in an epoch, counted from 1: after some of its steps, or at its end."""

    def __init__(self, epoch: int, *, at_its_end: bool) -> None:
        self.epoch = epoch
        self.at_its_end = at_its_end

    def on_batch_end(self, net: object, training: bool = False, **_: object) -> None:
        if len(net.history) == self.epoch and not self.at_its_end:
            raise KeyboardInterrupt

    def on_epoch_end(self, net: object, **_: object) -> None:
        if len(net.history) == self.epoch and self.at_its_end:
            raise KeyboardInterrupt


def interrupted(estimator: BaseEstimator, pairs: Pairs, epoch: int, *, at_its_end: bool) -> list:
    """Press Ctrl-C in an epoch, and give what the error says besides."""
    estimator.set_params(callbacks=[CtrlCIn(epoch, at_its_end=at_its_end)])
    with pytest.raises(KeyboardInterrupt) as caught:
        estimator.fit(*pairs)
    estimator.set_params(callbacks=None)
    return getattr(caught.value, "__notes__", [])


@pytest.mark.parametrize("at_its_end", [True, False])
@pytest.mark.parametrize("held_out", [0.1, None])
def test_ctrl_c_keeps_the_best_weights_so_far_with_warm_start(
    network: BaseEstimator, pairs: Pairs, held_out: float | None, at_its_end: bool
) -> None:
    """Those of the last complete epoch if nothing is held out, else of the lowest loss there."""
    options = {"validation_fraction": held_out, "max_epochs": 5, "lr": 0.05}
    steady = options | {"callbacks__lr_scheduler": None}
    warm = clone(network).set_params(**steady, warm_start=True)
    notes = interrupted(warm, pairs, 4, at_its_end=at_its_end)
    assert "keeps the best weights so far" in notes[0]
    assert "warm_start=True" in notes[0]
    assert warm.interrupted_
    n_complete = 4 if at_its_end else 3
    history = warm.history_.drop(columns="dur")
    assert history["epoch"].tolist() == list(range(1, n_complete + 1))
    best = 1 + history["valid_loss"].argmin() if held_out else n_complete
    same_best = clone(network).set_params(**steady | {"max_epochs": int(best)}).fit(*pairs)
    np.testing.assert_array_equal(warm.log_prob(*pairs), same_best.log_prob(*pairs))
    assert not same_best.interrupted_


def test_the_next_fit_goes_on_from_what_ctrl_c_left(network: BaseEstimator, pairs: Pairs) -> None:
    options = {"warm_start": True, "callbacks__lr_scheduler": None, "validation_fraction": None}
    cut = clone(network).set_params(**options, max_epochs=9)
    interrupted(cut, pairs, 3, at_its_end=True)
    whole = clone(network).set_params(**options, max_epochs=3).fit(*pairs)
    for copy in (cut, pickle.loads(pickle.dumps(cut))):
        copy.set_params(max_epochs=3)
        assert copy.history_["train_loss"].tolist() == whole.history_["train_loss"].tolist()
    again = copy.fit(*pairs)
    whole.fit(*pairs)
    np.testing.assert_array_equal(again.log_prob(*pairs), whole.log_prob(*pairs))
    assert len(again.history_) == 6
    assert not again.interrupted_


def test_ctrl_c_while_going_on_never_makes_it_worse(network: BaseEstimator, pairs: Pairs) -> None:
    """With absurd steps the weights from before are the best ones."""
    warm = clone(network).set_params(warm_start=True, optimizer="sgd", callbacks__watch=None)
    warm.fit(*pairs)
    before = warm.log_prob(*pairs)
    warm.set_params(lr=1e3, callbacks__lr_scheduler=None, callbacks__weight_averaging=None)
    assert interrupted(warm, pairs, 2, at_its_end=True)
    np.testing.assert_array_equal(warm.log_prob(*pairs), before)
    assert len(warm.history_) == 5
    assert interrupted(warm.set_params(lr=1e-3), pairs, 1, at_its_end=False) == []
    np.testing.assert_array_equal(warm.log_prob(*pairs), before)
    assert len(warm.history_) == 5


@pytest.mark.parametrize("warm_start", [True, False])
def test_ctrl_c_in_the_first_epoch_leaves_no_trace(
    network: BaseEstimator, pairs: Pairs, warm_start: bool
) -> None:
    estimator = clone(network).set_params(warm_start=warm_start, callbacks=None)
    before = dict(vars(estimator))
    assert interrupted(estimator, pairs, 1, at_its_end=False) == []
    assert vars(estimator) == before


def test_ctrl_c_leaves_a_fitted_estimator_as_it_was(trained: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs
    estimator = clone(trained).fit(theta, x)
    expected, seed = estimator.log_prob(theta, x), estimator.seed_
    estimator.set_params(callbacks=[CtrlCIn(2, at_its_end=True)], random_state=5)
    other = theta.to_numpy()[:100, :2], x.to_numpy()[:100, :3]
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(*other)
    np.testing.assert_array_equal(estimator.log_prob(theta, x), expected)
    assert estimator.seed_ == seed
    assert list(estimator.feature_names_in_) == ["mean", "sd"]
    assert estimator.x_layout_.shape == (4,)


SCRIPT = """
import signal, sys
import numpy as np
from skorch.callbacks import Callback

from sksbi.losses import FlowMatching
from sksbi.nn import FieldAt
from sksbi import NPE

class Tell(Callback):
    def on_epoch_end(self, net, **_):
        print("epoch", len(net.history), flush=True)

signal.signal(signal.SIGINT, signal.default_int_handler)
rng = np.random.default_rng(0)
theta = rng.normal(size=(500, 1))
x = theta + rng.normal(size=(500, 2))
npe = NPE(flow="maf", max_epochs=100_000, patience=None, random_state=0, warm_start=True)
try:
    npe.set_params(callbacks=[Tell()]).fit(theta, x)
except KeyboardInterrupt as error:
    print(error.__notes__[0])
n_epochs = len(npe.history_)
npe.set_params(callbacks=None, max_epochs=2).fit(theta, x)
print("done", npe.score(theta, x) > -2, len(npe.history_) - n_epochs)
"""


def test_a_real_ctrl_c_in_another_process() -> None:
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = iter(process.stdout)
        while next(lines) != "epoch 3\n":
            pass
        process.send_signal(signal.SIGINT)
        *_, note, done = process.communicate(timeout=60)[0].splitlines()
    assert "keeps the best weights so far" in note
    assert done == "done True 2"
    assert process.returncode == 0


def test_ctrl_c_during_a_search_raises(trained: BaseEstimator, pairs: Pairs) -> None:
    search = GridSearchCV(
        clone(trained).set_params(callbacks=[CtrlC("on_epoch_end")]),
        {"lr": [1e-3, 1e-2]},
        cv=2,
        error_score=np.nan,
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(*pairs)


# A loss that is no number.


class Broken(torch.nn.Module):
    """A criterion that gives NaN, from some value of the option on."""

    def __init__(self, option: float) -> None:
        super().__init__()
        self.option = option

    def forward(self, output: object, theta: torch.Tensor) -> torch.Tensor:
        if isinstance(output, FieldAt):
            losses = FlowMatching()(output, theta)
        else:
            losses = distinction(output, theta) if callable(output) else -output.log_prob(theta)
        return losses * (np.nan if self.option > 1 else 1.0)


def distinction(log_ratio: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor):
    """Compute losses of telling theta from that of the row before, a mean over the members."""
    own, other = log_ratio(theta), log_ratio(theta.roll(1, 0))
    losses = torch.nn.functional.softplus(-own) + torch.nn.functional.softplus(other)
    return losses.reshape(-1, len(theta)).mean(0)


def test_nan_loss_names_epoch_and_lr(trained: BaseEstimator, pairs: Pairs) -> None:
    estimator = clone(trained).set_params(
        criterion=Broken, criterion__option=2.0, lr=0.0125, callbacks__lr_scheduler=None
    )
    with pytest.raises(FloatingPointError, match=r"loss became nan in epoch 1 at lr=0\.0125"):
        estimator.fit(*pairs)
    with pytest.raises(NotFittedError):
        estimator.sample(pairs[1])


def test_a_huge_learning_rate_is_an_error(trained: BaseEstimator, pairs: Pairs) -> None:
    estimator = clone(trained).set_params(lr=1e10, max_epochs=10, patience=None)
    with pytest.raises(FloatingPointError, match=r"loss became .* in epoch \d.*lr=1e\+10|lr=1000"):
        estimator.fit(*pairs)


def test_a_search_records_a_nan_loss_and_goes_on(trained: BaseEstimator, pairs: Pairs) -> None:
    search = GridSearchCV(
        clone(trained).set_params(criterion=Broken),
        {"criterion__option": [2.0, 1.0]},
        cv=KFold(2),
        error_score=np.nan,
    )
    with (
        pytest.warns(FitFailedWarning, match="FloatingPointError: train_loss became nan"),
        pytest.warns(UserWarning, match="One or more of the test scores are non-finite"),
    ):
        search.fit(*pairs)
    assert search.best_params_ == {"criterion__option": 1.0}
    np.testing.assert_array_equal(np.isnan(search.cv_results_["mean_test_score"]), [True, False])


def test_a_mistyped_parameter_fails_in_a_search(trained: BaseEstimator, pairs: Pairs) -> None:
    search = GridSearchCV(
        clone(trained), {"optimizer__weigth_decay": [0.1]}, cv=2, error_score="raise"
    )
    with pytest.raises(ValueError, match="optimizer__weigth_decay is not a parameter"):
        search.fit(*pairs)


def test_a_failed_fit_leaves_no_trace_in_a_warm_estimator(
    network: BaseEstimator, pairs: Pairs
) -> None:
    warm = clone(network).set_params(warm_start=True).fit(*pairs)
    before = warm.log_prob(*pairs)
    warm.set_params(lr=1e10, max_epochs=10)
    with pytest.raises(FloatingPointError):
        warm.fit(*pairs)
    np.testing.assert_array_equal(warm.log_prob(*pairs), before)
    assert len(warm.history_) == 3
