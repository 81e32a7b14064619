"""A training that goes wrong: Ctrl-C, and losses that are no numbers."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback

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
    warm.set_params(callbacks=[CtrlC("on_epoch_end")])
    with pytest.raises(KeyboardInterrupt):
        warm.fit(*pairs)
    np.testing.assert_array_equal(warm.log_prob(*pairs), before)
    assert len(warm.history_) == 3
