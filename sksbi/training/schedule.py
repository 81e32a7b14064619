r"""
The learning rate over a training, and when a training ends.

The rate rises to its highest along half a cosine, and falls to nearly zero along another (Super-
convergence, Smith and Topin, 2018, https://arxiv.org/abs/1708.07120). Most of what is gained is
gained in the fall. So where the validation loss has not improved for long before that, the training
goes back to its best weights, and the fall comes at once, and in fewer steps, instead of an end.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping

__all__ = ["EarlyStopping", "InverseRoot", "OneCycle"]

_FIRST, _LAST = 0.04, 1e-5
_FEWEST_EPOCHS, _SHARE = 4, 0.5


class OneCycle(Callback):
    """
    One cycle of the learning rate, which can be cut short.

    Parameters
    ----------
    total_steps : int, default=1000
        The number of steps.
    rise : float, default=0.1
        The share of them in which the rate rises.

    Examples
    --------
    >>> from sksbi import NPE
    >>> npe = NPE(callbacks__lr_scheduler__rise=0.3)
    """

    def __init__(self, total_steps: int = 1000, rise: float = 0.1) -> None:
        self.total_steps = total_steps
        self.rise = rise

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Begin with a low rate."""
        self.highest_ = [group["lr"] for group in net.optimizer_.param_groups]
        self.step_, self.top_, self.level_ = 0, self.rise * self.total_steps, 1.0
        self.end_, self.shortened_ = self.total_steps, False
        self._set(net)

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Change the rate after every step."""
        if training:
            self.step_ += 1
            self._set(net)

    def shorten(self, steps: int) -> None:
        """
        Let the rate fall from where it is.

        Parameters
        ----------
        steps : int
            The number of steps to the end.
        """
        self.level_ = self._share()
        self.top_, self.end_, self.shortened_ = self.step_, self.step_ + steps, True

    def has_ended(self) -> bool:
        """
        Tell whether a cycle that was cut short is over.

        Returns
        -------
        bool
            Whether it does.
        """
        return self.shortened_ and self.step_ >= self.end_

    def is_rising(self) -> bool:
        """
        Tell whether the rate has yet to reach its highest.

        Returns
        -------
        bool
            Whether it does.
        """
        return self.step_ < self.top_

    def can_be_shortened(self, steps: int) -> bool:
        """
        Tell whether there are more steps to come than these.

        Parameters
        ----------
        steps : int
            The number of steps to the end.

        Returns
        -------
        bool
            Whether it can.
        """
        return not self.shortened_ and self.end_ - self.step_ > steps

    def _share(self) -> float:
        """Compute the rate in this step, as a share of the highest."""
        if self.step_ < self.top_:
            return _between(_FIRST, 1.0, self.step_ / self.top_)
        done = (self.step_ - self.top_) / max(1, self.end_ - self.top_)
        return self.level_ * _between(1.0, _LAST, min(1.0, done))

    def _set(self, net: NeuralNet) -> None:
        """Set the rate of every group."""
        for group, highest in zip(net.optimizer_.param_groups, self.highest_, strict=True):
            group["lr"] = highest * self._share()


class InverseRoot(Callback):
    r"""
    The learning rate of a training without end: a short rise, then a fall that never comes to zero.

    In step t it is :math:`(1 + t / T)^{-1/2}` of the highest: the steps add up without bound, so
    that nothing stays out of reach, and their noise dies away, first in the averaged weights.

    Parameters
    ----------
    steps : int, default=200
        The number T of steps after which the rate begins to fall in earnest.
    warm_up : int, default=20
        The number of steps in which it rises.

    References
    ----------
    .. [1] Acceleration of stochastic approximation by averaging (Polyak and Juditsky, 1992)
       https://doi.org/10.1137/0330046

    Examples
    --------
    >>> from sksbi import NPE
    >>> from sksbi.training.schedule import InverseRoot
    >>> npe = NPE(callbacks__lr_scheduler=InverseRoot(steps=1_000))
    """

    def __init__(self, steps: int = 200, warm_up: int = 20) -> None:
        self.steps = steps
        self.warm_up = warm_up

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Begin with a low rate."""
        self.highest_ = [group["lr"] for group in net.optimizer_.param_groups]
        self.go_on(net, 0)

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Change the rate after every step."""
        if training:
            self.go_on(net, self.step_ + 1)

    def go_on(self, net: NeuralNet, step: int) -> None:
        """
        Set the rate of a step.

        Parameters
        ----------
        net : skorch.NeuralNet
            The net.
        step : int
            The number of steps before it.
        """
        self.step_ = step
        risen = _FIRST + (1 - _FIRST) * min(1.0, step / max(1, self.warm_up))
        share = risen * (1 + step / self.steps) ** -0.5
        for group, highest in zip(net.optimizer_.param_groups, self.highest_, strict=True):
            group["lr"] = highest * share


class EarlyStopping(SkorchEarlyStopping):
    """
    Early stopping that restores the best weights, and lets a :class:`OneCycle` come to its end.

    When the patience is over and more steps are to come than the fall needs, the training goes back
    to the best weights and the rate falls in half as many epochs as it took to find them, at least
    4. Without a :class:`OneCycle` it stops.

    Parameters
    ----------
    monitor : str, default="valid_loss"
        What is watched.
    patience : int, default=5
        The number of epochs without an improvement.
    threshold : float, default=0.0
        An improvement smaller than this is none.
    threshold_mode : str, default="abs"
        Whether the threshold is "rel", a share of the best value, or "abs".
    lower_is_better : bool, default=True
        Whether what is watched is a loss.
    sink : callable, default=print
        Where messages go.
    load_best : bool, default=True
        Whether the best weights are restored.

    Examples
    --------
    >>> from sksbi import NPE
    >>> npe = NPE(patience=20, callbacks__early_stopping__threshold=1e-3)
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        patience: int = 5,
        threshold: float = 0.0,
        threshold_mode: str = "abs",
        lower_is_better: bool = True,
        sink: Callable[[str], Any] = print,
        load_best: bool = True,
    ) -> None:
        super().__init__(
            monitor, patience, threshold, threshold_mode, lower_is_better, sink, load_best
        )

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Begin to watch."""
        super().on_train_begin(net, **kwargs)
        self.stopped_ = False

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Stop, or shorten the schedule."""
        schedule = dict(net.callbacks_).get("lr_scheduler")
        cycle = schedule if isinstance(schedule, OneCycle) else None
        try:
            super().on_epoch_end(net, **kwargs)
        except KeyboardInterrupt:
            if cycle is None or not self._shorten(net, cycle):
                self.stopped_ = True
                raise
        if cycle is not None and cycle.is_rising():
            self.misses_ = 0
        if cycle is not None and cycle.has_ended():
            self.stopped_ = True
            raise KeyboardInterrupt

    def _shorten(self, net: NeuralNet, cycle: OneCycle) -> bool:
        """Go back to the best weights and let the rate fall, if that saves steps."""
        epochs = max(_FEWEST_EPOCHS, round(_SHARE * self.best_epoch_))
        steps = epochs * cycle.step_ // len(net.history)
        if not self.load_best or not cycle.can_be_shortened(steps):
            return False
        net.module_.load_state_dict(self.best_model_weights_)
        averaging = dict(net.callbacks_).get("weight_averaging")
        if averaging is not None and hasattr(averaging, "restart"):
            averaging.restart()
        cycle.shorten(steps)
        self.misses_ = 0
        return True


def _between(first: float, last: float, done: float) -> float:
    """Go from first to last along half a cosine."""
    return last + (first - last) * (1 + cos(pi * done)) / 2
