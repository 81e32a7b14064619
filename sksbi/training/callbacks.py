"""Callbacks of a training: what is watched, clipped, averaged and shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from math import inf, isfinite
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from sksbi.exceptions import TrainingWarning
from sksbi.utils.warn import warn_user

__all__ = [
    "BestWeights",
    "GradientClipping",
    "Progress",
    "SkipNonFinite",
    "Watch",
    "WeightAveraging",
]


class Watch(Callback):
    """
    Stop at a loss that is no number; keep an epoch's history to one row.

    Examples
    --------
    >>> from sksbi import NPE
    >>> npe = NPE(callbacks__watch=None)  # go on whatever happens
    """

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        """Look at both losses."""
        epoch = net.history[-1]
        lr = net.optimizer_.param_groups[0]["lr"]
        net.history.record("lr", lr)
        for name in ("train_loss", "valid_loss"):
            if name in epoch and not isfinite(epoch[name]):
                raise FloatingPointError(
                    f"{name} became {epoch[name]} in epoch {epoch['epoch']} at lr={lr:.3g} (the "
                    f"highest is lr={net.lr}): take a smaller lr, clip gradients harder by "
                    "callbacks__gradient_clipping__gradient_clip_value, or look for outliers in x."
                )
        epoch["batches"] = epoch["batches"][-1:]


class EachEpoch(Callback):
    """Tell whoever listens of every epoch, and stop where they ask for it."""

    def __init__(self) -> None:
        self.listen(None)

    def listen(self, begin: Callable[[], Callable[[], bool]] | None) -> None:
        """
        Take who listens.

        Parameters
        ----------
        begin : callable or None
            Called where an epoch begins; what it returns is called where that ends, and returns
            whether to stop.
        """
        self._begin = begin
        self._end: Callable[[], bool] | None = None
        self.stopped_ = False

    def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
        """Tell."""
        self._end = None if self._begin is None else self._begin()

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        """Tell, and stop as skorch's early stopping does."""
        self.stopped_ = self._end is not None and self._end()
        if self.stopped_:
            raise KeyboardInterrupt


class GradientClipping(Callback):
    """
    Clip the norm of all gradients, as skorch's, without a walk through the modules in every step.

    Parameters
    ----------
    gradient_clip_value, gradient_clip_norm_type : float, default=5.0 and 2
        The largest norm, and its type.

    Examples
    --------
    >>> from sksbi import NPE
    >>> npe = NPE(callbacks__gradient_clipping__gradient_clip_value=1.0)
    """

    def __init__(
        self, gradient_clip_value: float = 5.0, gradient_clip_norm_type: float = 2
    ) -> None:
        self.gradient_clip_value = gradient_clip_value
        self.gradient_clip_norm_type = gradient_clip_norm_type

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Find the parameters."""
        self.parameters_ = list(net.module_.parameters())

    def on_grad_computed(self, net: NeuralNet, *_: object, **__: object) -> None:
        """Clip."""
        nn.utils.clip_grad_norm_(
            self.parameters_, self.gradient_clip_value, self.gradient_clip_norm_type
        )


class SkipNonFinite(Callback):
    """
    Skip steps whose gradients are not finite, rather than stop at them; warn of them in the end.

    Without it a loss that is no number raises. With it the weights stay as they are in such a step,
    which counts in no epoch's training loss; the column ``skipped`` of ``history_`` says how many
    there were. An epoch with no other steps raises nevertheless, and so does a validation loss that
    is not finite.

    Examples
    --------
    >>> from sksbi import NPE
    >>> from sksbi.training.callbacks import SkipNonFinite
    >>> npe = NPE(callbacks=[SkipNonFinite()])
    """

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Find the parameters, and begin to count."""
        self.parameters_ = list(net.module_.parameters())
        self.n_skipped_, self.n_steps_, self.skips_ = 0, 0, False

    def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
        """Begin to count the steps of an epoch."""
        self.of_epoch_: list[bool] = []

    def on_grad_computed(self, net: NeuralNet, *_: object, **__: object) -> None:
        """Leave the optimizer no gradients if one is not finite."""
        gradients = [p.grad for p in self.parameters_ if p.grad is not None]
        self.skips_ = not all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        if self.skips_:
            for p in self.parameters_:
                p.grad = None

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Count the step; once there is another, take those skipped out of the loss."""
        if not training:
            return
        self.of_epoch_.append(self.skips_)
        if not all(self.of_epoch_):
            batches = net.history[-1]["batches"][: len(self.of_epoch_)]
            for batch, skipped in zip(batches, self.of_epoch_, strict=True):
                if skipped:
                    batch.update(train_loss=0.0, train_batch_size=0)

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        """Record how many were skipped."""
        net.history.record("skipped", sum(self.of_epoch_))
        self.n_skipped_ += sum(self.of_epoch_)
        self.n_steps_ += len(self.of_epoch_)

    def on_train_end(self, net: NeuralNet, **_: object) -> None:
        """Warn of what was skipped."""
        if self.n_skipped_:
            warn_user(
                f"{self.n_skipped_} of {self.n_steps_} training steps were skipped, as their "
                "gradients were not finite: the rows behind them may have taught nothing. Look for "
                "outliers in x, or take a smaller lr.",
                TrainingWarning,
            )


class WeightAveraging(Callback):
    """
    Validate with, and end on, an exponential moving average of the weights.

    In the history the training loss is of the moving weights, the validation loss of the average.

    Parameters
    ----------
    decay : float, default=0.995
        What is kept of the average in a training step; less in the first steps, (1 + t) / (10 + t).

    References
    ----------
    .. [1] Acceleration of stochastic approximation by averaging (Polyak and Juditsky, 1992)
       https://doi.org/10.1137/0330046

    Examples
    --------
    >>> from sksbi import NPE
    >>> slower = NPE(callbacks__weight_averaging__decay=0.999)
    >>> without = NPE(callbacks__weight_averaging=None)
    """

    def __init__(self, decay: float = 0.995) -> None:
        self.decay = decay

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Begin the average at the present weights."""
        self.parameters_ = list(net.module_.parameters())
        self.other_ = [p.detach().clone() for p in self.parameters_]
        self.steps_, self.averaged_ = 0, False

    def on_batch_begin(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Put the moving weights in place for training, the average for validation."""
        if training == self.averaged_:
            self._swap()

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Move the average towards the weights."""
        if training:
            self.steps_ += 1
            decay = min(self.decay, (1 + self.steps_) / (10 + self.steps_))
            moving = [p.detach() for p in self.parameters_]
            get_ema_multi_avg_fn(decay)(self.other_, moving, self.steps_)

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        """Leave the average in place."""
        if not self.averaged_:
            self._swap()

    def go_on(self, moving: Sequence[torch.Tensor], steps: int) -> None:
        """
        Take the weights in place for an average, and move others.

        Parameters
        ----------
        moving : sequence of Tensor
            The weights that moved.
        steps : int
            The number of steps that the average is of.
        """
        self.steps_ = steps
        for p, other in zip(self.parameters_, moving, strict=True):
            p.data.copy_(other)

    def restart(self) -> None:
        """Go on from the average, which is in place."""
        for p, other in zip(self.parameters_, self.other_, strict=True):
            other.copy_(p.data)

    def _swap(self) -> None:
        """Exchange the weights in place and the other ones."""
        kept = [p.data for p in self.parameters_]
        for p, other in zip(self.parameters_, self.other_, strict=True):
            p.data = other
        self.other_, self.averaged_ = kept, not self.averaged_


class BestWeights(Callback):
    """
    Keep the weights of the best epoch so far, for a training that is interrupted.

    The best epoch is that of the lowest validation loss; without one, the last epoch.

    Examples
    --------
    >>> from sksbi import NPE
    >>> npe = NPE(warm_start=True)
    >>> forgetful = NPE(warm_start=True, callbacks__best_weights=None)
    """

    def __init__(self) -> None:
        self.state_: dict[str, Any] | None = None
        self.loss_, self.n_epochs_ = inf, 0

    def hold(self, net: NeuralNet, loss: float) -> None:
        """
        Take the present weights as the best so far.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net.
        loss : float
            Their validation loss.
        """
        parts = {"module": net.module_, "optimizer": net.optimizer_}
        self.state_ = {name: deepcopy(part.state_dict()) for name, part in parts.items()}
        self.loss_ = loss

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        """Look whether this epoch is the best, and count it."""
        loss = net.history[-1].get("valid_loss", -inf)
        if loss <= self.loss_:
            self.hold(net, loss)
        self.n_epochs_ = len(net.history)


class Progress(Callback):
    """
    Show a bar of epochs with both losses.

    Examples
    --------
    >>> from sksbi import NPE
    >>> npe = NPE(verbose=1)
    """

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_epochs, desc="fit", unit="epoch")

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        """Go on by an epoch."""
        epoch = net.history[-1]
        losses = {k: f"{epoch[k]:.3f}" for k in ("train_loss", "valid_loss") if k in epoch}
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def skip(self, epochs: int) -> None:
        """
        Begin the bar after some epochs.

        Parameters
        ----------
        epochs : int
            How many there were before.
        """
        self.bar_.initial = self.bar_.n = self.bar_.last_print_n = epochs
        self.bar_.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar_.close()
