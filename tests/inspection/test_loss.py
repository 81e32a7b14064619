"""The loss plot: the curves are the history's, the mark is on the best epoch."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from sksbi.inspection import LossDisplay

mpl.use("Agg")

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4, 5],
        "train_loss": [5.0, 3.0, 2.0, 1.5, 1.2],
        "valid_loss": [5.1, 3.5, np.nan, 2.9, 3.0],
        "lr": 1e-3,
    }
)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


class Fitted:
    """Have a history, as a fitted estimator does."""

    history_ = HISTORY


class Steps:
    """Give its last step, as a pipeline does."""

    def __init__(self, last):
        self.last = last

    def __getitem__(self, index):
        return {-1: self.last}[index]


def test_the_curves_and_the_best_epoch():
    display = LossDisplay.from_history(HISTORY)
    train, valid, best, line = display.ax_.lines
    np.testing.assert_array_equal(train.get_xydata(), HISTORY[["epoch", "train_loss"]])
    np.testing.assert_array_equal(valid.get_xydata(), HISTORY[["epoch", "valid_loss"]])
    np.testing.assert_array_equal(best.get_xydata(), [[4, 2.9]])
    assert line.get_xdata() == [4, 4]
    assert display.best_epoch_ == 4
    assert train.get_linestyle() != valid.get_linestyle()
    assert [display.ax_.get_xlabel(), display.ax_.get_ylabel()] == ["epoch", "loss"]


@pytest.mark.parametrize(
    "history", [HISTORY.drop(columns="valid_loss"), HISTORY.assign(valid_loss=np.nan)]
)
def test_without_validation_nothing_is_marked(history):
    display = LossDisplay.from_history(history)
    assert len(display.ax_.lines) == 1
    assert display.best_epoch_ is None


def test_an_ensemble_has_curves_and_a_mark_for_each_member():
    other = HISTORY.assign(valid_loss=HISTORY["valid_loss"][::-1].to_numpy())[:4]
    history = pd.concat([HISTORY.assign(member=0), other.assign(member=1)], ignore_index=True)
    display = LossDisplay.from_history(history)
    assert display.best_epoch_ == [4, 2]
    curves = [line.get_xydata() for line in display.ax_.lines]
    np.testing.assert_array_equal(curves[0], HISTORY[["epoch", "train_loss"]])
    np.testing.assert_array_equal(curves[4], other[["epoch", "valid_loss"]])
    np.testing.assert_array_equal(curves[5], [[2, 2.9]])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["training", "validation", "best epochs"]
    without = LossDisplay.from_history(history.drop(columns="valid_loss"))
    assert without.best_epoch_ is None


@pytest.mark.parametrize("estimator", [Fitted(), Steps(Fitted())])
def test_an_estimator_and_a_pipeline(estimator):
    assert LossDisplay.from_estimator(estimator).history is HISTORY


def test_given_axes_are_drawn_into_and_nothing_global_changes():
    settings = dict(mpl.rcParams)
    fig, ax = plt.subplots()
    display = LossDisplay.from_history(HISTORY, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is fig
    assert dict(mpl.rcParams) == settings


def test_what_is_no_axes_is_refused():
    with pytest.raises(TypeError, match="ax must be matplotlib Axes, got 3 of type int"):
        LossDisplay.from_history(HISTORY, ax=3)


def test_one_epoch_is_drawn():
    LossDisplay.from_history(HISTORY[:1]).figure_.canvas.draw()


@pytest.mark.parametrize("estimator", [object(), Steps(object()), {}, []])
def test_what_has_no_history_is_refused(estimator):
    with pytest.raises(ValueError, match=f"'history_'.*got {type(estimator).__name__}"):
        LossDisplay.from_estimator(estimator)


@pytest.mark.parametrize(
    ("history", "error", "match"),
    [
        ([1, 2], TypeError, "history must be a DataFrame.*got list"),
        (HISTORY[:0], ValueError, "got 0 rows"),
        (HISTORY[["epoch", "lr"]], ValueError, r"the columns \['epoch', 'lr'\]"),
    ],
)
def test_bad_histories_are_refused(history, error, match):
    with pytest.raises(error, match=match):
        LossDisplay.from_history(history)
