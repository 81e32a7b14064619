"""Steps whose gradients are not finite: skipped if asked for, counted, and warned of."""

import numpy as np
import pytest
import torch
from scipy import stats
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor
from torch.distributions import Distribution

from sksbi import NPE
from sksbi.exceptions import TrainingWarning
from sksbi.losses import NegativeLogLikelihood
from sksbi.training.callbacks import SkipNonFinite

PRIOR = {"a": stats.norm(), "b": stats.norm()}
SETTINGS = {"flow": "maf", "transforms": 1, "hidden_features": (16,), "batch_size": 50}


class NowAndThen(NegativeLogLikelihood):
    """A loss that is no number in every third training step, or in all."""

    def __init__(self, every: int = 3, value: float = float("nan")) -> None:
        super().__init__()
        self.every, self.value, self.steps = every, value, 0

    def forward(self, posterior: Distribution, theta: Tensor) -> Tensor:
        """Compute one loss a row."""
        losses = super().forward(posterior, theta)
        if not losses.requires_grad:
            return losses
        self.steps += 1
        return losses * self.value if self.steps % self.every == 0 else losses


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Simulate theta ~ N(0, 1) and x ~ N(theta, 1 / 4)."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(500, 2))
    return theta, theta + 0.5 * rng.normal(size=(500, 2))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("optimizer", ["muon", "Adam"])
def test_steps_are_skipped_counted_and_warned_of(value: float, optimizer: str) -> None:
    """Nine steps an epoch, every third of them skipped; the loss is that of the others."""
    npe = NPE(
        PRIOR,
        criterion=NowAndThen,
        criterion__value=value,
        callbacks=[SkipNonFinite()],
        optimizer=optimizer,
        max_epochs=10,
        random_state=0,
        **SETTINGS,
    )
    with pytest.warns(TrainingWarning, match="30 of 90 training steps were skipped"):
        npe.fit(*pairs())
    assert npe.history_["skipped"].tolist() == [3] * 10
    losses = npe.history_["train_loss"]
    assert np.isfinite(losses).all()
    # The rest are ordinary losses: those of the validation rows, but for chance.
    assert abs(losses.iloc[-1] - npe.history_["valid_loss"].iloc[-1]) < 0.6
    assert npe.score(*pairs()) > -2.6  # the prior scores -2.84


class Moves(Callback):
    """Note which steps moved the weights."""

    def on_batch_begin(self, net: NeuralNet, **_: object) -> None:
        """Keep the weights."""
        self.before = [p.detach().clone() for p in net.module_.parameters()]

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Compare."""
        now = list(net.module_.parameters())
        if training:
            moved = any(not torch.equal(*pair) for pair in zip(self.before, now, strict=True))
            MOVED.append(moved)


MOVED: list[bool] = []


def test_a_step_that_is_skipped_moves_nothing() -> None:
    npe = NPE(
        PRIOR,
        criterion=NowAndThen,
        max_epochs=2,
        callbacks=[SkipNonFinite(), Moves()],
        callbacks__weight_averaging=None,
        random_state=0,
        **SETTINGS,
    )
    MOVED.clear()
    with pytest.warns(TrainingWarning, match="6 of 18"):
        npe.fit(*pairs())
    assert MOVED == [True, True, False] * 6


def test_nothing_is_warned_of_where_all_steps_are_finite(recwarn: pytest.WarningsRecorder) -> None:
    npe = NPE(PRIOR, callbacks=[SkipNonFinite()], max_epochs=2, random_state=0, **SETTINGS)
    plain = NPE(PRIOR, max_epochs=2, random_state=0, **SETTINGS)
    assert npe.fit(*pairs()).history_["skipped"].tolist() == [0, 0]
    scores = [one.score(*pairs()) for one in (npe, plain.fit(*pairs()))]
    assert scores[0] == scores[1]
    assert not len(recwarn)


def test_an_epoch_of_nothing_else_raises_and_so_does_a_fit_without_it() -> None:
    settings = {"criterion": NowAndThen, "max_epochs": 3, "random_state": 0, **SETTINGS}
    with pytest.raises(FloatingPointError, match="train_loss became nan in epoch 1"):
        NPE(PRIOR, callbacks=[SkipNonFinite()], criterion__every=1, **settings).fit(*pairs())
    with pytest.raises(FloatingPointError, match="train_loss became nan in epoch 1"):
        NPE(PRIOR, **settings).fit(*pairs())
