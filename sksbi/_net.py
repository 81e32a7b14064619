"""
Training with skorch: the only file that imports it.

A net is a stock ``skorch.NeuralNet`` around a module and a criterion. Ours are some callbacks, and
the rule that a loss which is no number stops the training.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from math import ceil, isfinite

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.helper import predefined_split
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm.auto import tqdm

from sksbi.data import Batches, Pairs
from sksbi.losses.base import WeightedMean
from sksbi.utils.random import borrowed_global_generator
from sksbi.utils.validation import check_count

__all__ = [
    "EVALUATION_BATCH",
    "PASSED_ON",
    "GradientClipping",
    "WeightAveraging",
    "build_net",
    "check_passed_on",
    "compile_networks",
    "draws_globally",
    "train",
]

# Up to here a batch gives the same bits with one thread and with many.
EVALUATION_BATCH = 512

PASSED_ON = ("module__", "criterion__", "optimizer__", "iterator_train__", "callbacks__")

_RESERVED = {
    "optimizer__": {"lr": "set lr", "params": "they are the network's"},
    "module__": {
        "flow": "set flow",
        "network": "set network",
        "features": "it is the number of parameters",
        "context": "it is the width of the embedding",
        "transforms": "set transforms",
        "hidden_features": "set hidden_features",
    },
    "iterator_train__": {
        "dataset": "give theta and x to fit",
        "generator": "set random_state",
    },
}


class _Watch(Callback):
    """Stop at a loss that is no number; keep an epoch's history to one row."""

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
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


class GradientClipping(Callback):
    """
    Clip the norm of all gradients, as skorch's, without a walk through the modules in every step.

    Parameters
    ----------
    gradient_clip_value, gradient_clip_norm_type : float, default=5.0 and 2
        The largest norm, and its type.
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

    def _swap(self) -> None:
        """Exchange the weights in place and the other ones."""
        kept = [p.data for p in self.parameters_]
        for p, other in zip(self.parameters_, self.other_, strict=True):
            p.data = other
        self.other_, self.averaged_ = kept, not self.averaged_


class _Progress(Callback):
    """Show a bar of epochs with both losses."""

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        self.bar_ = tqdm(total=net.max_epochs, desc="fit", unit="epoch")

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        epoch = net.history[-1]
        losses = {k: f"{epoch[k]:.3f}" for k in ("train_loss", "valid_loss") if k in epoch}
        self.bar_.set_postfix(losses, refresh=False)
        self.bar_.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar_.close()


def _optimizer(name: str | Callable) -> Callable:
    """Find an optimizer by name; AdamW is fused."""
    classes = {
        key.lower(): value for key, value in vars(torch.optim).items() if isinstance(value, type)
    }
    classes["adamw"] = partial(torch.optim.AdamW, fused=True)
    classes.pop("optimizer")
    if callable(name):
        return name
    if not isinstance(name, str) or name.lower() not in classes:
        raise ValueError(
            f"optimizer must be one of {sorted(classes)}, a torch optimizer class or a partial of "
            f"one, got {name!r}."
        )
    return classes[name.lower()]


def _named_callbacks(
    user: Sequence | None, lr: float, steps: int, patience: int | None, verbose: int
):
    """List the callbacks that have names, then the user's own, copied."""
    one_cycle = partial(OneCycleLR, max_lr=lr, total_steps=steps + 1, cycle_momentum=False)
    callbacks = [
        ("watch", _Watch()),
        ("lr_scheduler", LRScheduler(policy=one_cycle, step_every="batch", event_name=None)),
        ("gradient_clipping", GradientClipping()),
        ("weight_averaging", WeightAveraging()),
    ]
    if verbose:
        callbacks.append(("progress", _Progress()))
    if patience is not None:
        stopping = EarlyStopping(
            patience=patience, threshold=0.0, threshold_mode="abs", load_best=True
        )
        callbacks.append(("early_stopping", stopping))
    for callback in user or []:
        _check_callback(callback, {name for name, _ in callbacks} | _OPTIONAL.keys())
    return callbacks + deepcopy(list(user or []))


def _check_callback(callback: object, taken: set[str]) -> None:
    """Hold that a user's callback is one, under a name of its own."""
    name, inner = callback if isinstance(callback, tuple) and len(callback) == 2 else ("", callback)
    if not (isinstance(inner, Callback) or isinstance(inner, type) and issubclass(inner, Callback)):
        raise TypeError(
            f"callbacks must hold skorch callbacks, or pairs (name, callback), got {callback!r}."
        )
    if name in taken:
        raise ValueError(
            f"callbacks holds {name!r}, the name of a built-in one: replace that by "
            f"callbacks__{name}=..., or choose another name."
        )


_OPTIONAL: dict[str, type[Callback]] = {"progress": _Progress, "early_stopping": EarlyStopping}


def check_passed_on(
    passed_on: Mapping[str, object], prefix: str, constructor: Callable
) -> dict[str, object]:
    """
    Select the parameters with a prefix, and hold that their receiver takes them.

    Parameters
    ----------
    passed_on : mapping of str to object
        All that is passed on, with prefixes.
    prefix : str
        Such as ``"optimizer__"``.
    constructor : callable
        The receiver.

    Returns
    -------
    dict of str to object
        The selected parameters, without the prefix.

    Raises
    ------
    ValueError
        If the receiver does not take one of them.
    """
    chosen = {k[len(prefix) :]: v for k, v in passed_on.items() if k.startswith(prefix)}
    parameters = inspect.signature(constructor).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    for name in _RESERVED.get(prefix, {}).keys() & chosen.keys():
        raise ValueError(f"{prefix}{name} is not to be set: {_RESERVED[prefix][name]}.")
    of_skorch = ["param_groups"] if prefix == "optimizer__" else []
    unknown = [name for name in chosen if name not in names + of_skorch]
    if unknown and len(names) == len(parameters):
        raise ValueError(
            f"{prefix}{unknown[0]} is not a parameter of {prefix[:-2]}={constructor!r}, which "
            f"takes {names}."
        )
    return chosen


def _check_callback_names(passed_on: Mapping[str, object], callbacks: Sequence) -> None:
    """Hold that every callbacks__name refers to a callback, and sets what that one has."""
    names = {c[0] if isinstance(c, tuple) else type(c).__name__ for c in callbacks}
    for key in (k for k in passed_on if k.startswith("callbacks__")):
        _, name, *option = key.split("__", 2)
        if name not in {*names, *_OPTIONAL, "epoch_timer"}:
            known = sorted({*names, *_OPTIONAL})
            raise ValueError(f"{key}: there is no callback {name!r}, there are {known}.")
        if not option and not isinstance(passed_on[key], Callback | None):
            raise TypeError(f"{key} must be a skorch callback or None, got {passed_on[key]!r}.")
        if option and name in _OPTIONAL and name not in names:
            check_passed_on({f"{name}__{option[0]}": 0}, f"{name}__", _OPTIONAL[name])


def _for_skorch(passed_on: Mapping[str, object], callbacks: Sequence) -> dict[str, object]:
    """Select what skorch takes; settings of callbacks that this fit is without are left out."""
    present = {c[0] for c in callbacks if isinstance(c, tuple)}

    def is_for_skorch(key: str) -> bool:
        replaces_callback = key.startswith("callbacks__") and key.count("__") == 1
        sets_callback = key.startswith("callbacks__") and key.split("__")[1] in present
        is_other = key.startswith(("optimizer__", "iterator_train__"))
        return is_other or replaces_callback or sets_callback

    return {key: value for key, value in passed_on.items() if is_for_skorch(key)}


def build_net(
    module: nn.Module,
    criterion: nn.Module,
    *,
    optimizer: str | Callable,
    lr: float,
    batch_size: int,
    max_epochs: int,
    patience: int | None,
    callbacks: Sequence | None,
    device: str,
    verbose: int,
    passed_on: Mapping[str, object],
    n_train: int,
    valid: Pairs | None,
    generator: torch.Generator | None,
) -> NeuralNet:
    """
    Put a skorch net around a module, ready to train.

    Parameters
    ----------
    module, criterion : torch.nn.Module
        The criterion maps (module(x), theta) to losses of shape (n,).
    optimizer, lr, batch_size, max_epochs, patience, callbacks, device, verbose : object
        As in the estimators.
    passed_on : mapping
        The parameters with the prefixes of skorch.
    n_train : int
        Number of rows to train on, from which the schedule is planned.
    valid : Pairs or None
        The validation set; None validates nothing and stops never.
    generator : torch.Generator or None
        Where the order of the rows comes from.

    Returns
    -------
    skorch.NeuralNet
        Initialised.
    """
    optimizer = _optimizer(optimizer)
    check_passed_on(passed_on, "optimizer__", optimizer)
    check_passed_on(passed_on, "iterator_train__", Batches)
    batch_size = check_count(
        passed_on.get("iterator_train__batch_size", batch_size), "iterator_train__batch_size"
    )
    steps = max_epochs * ceil(n_train / batch_size)
    patience = None if valid is None else patience
    named = _named_callbacks(callbacks, lr, steps, patience, verbose)
    _check_callback_names(passed_on, named)
    net = NeuralNet(
        module,
        WeightedMean(criterion),
        optimizer=optimizer,
        lr=lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        iterator_train=Batches,
        iterator_valid=Batches,
        iterator_valid__batch_size=EVALUATION_BATCH,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=named,
        callbacks__print_log=None,
        device=device,
        verbose=0,
        **{"iterator_train__shuffle": True, "iterator_train__generator": generator}
        | _for_skorch(passed_on, named),
    )
    try:
        return net.initialize()
    except (TypeError, ValueError) as error:
        options = _for_skorch(passed_on, named)
        raise type(error)(
            f"optimizer={optimizer!r} or a callback does not take one of {options}: {error}"
        ) from error


def train(net: NeuralNet, pairs: Pairs) -> None:
    """
    Train a net until its epochs are over or a callback stops it.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net, trained in place.
    pairs : Pairs
        The training set, on the net's device.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts: skorch's own fit would go on as if nothing had happened.
    FloatingPointError
        If the loss is no number.
    """
    net.notify("on_train_begin", X=pairs, y=None)
    try:
        net.fit_loop(pairs)
    except KeyboardInterrupt:
        if not _stopped_early(net):
            raise
    finally:
        for _, callback in net.callbacks_:
            if isinstance(callback, _Progress):
                callback.close()
    net.notify("on_train_end", X=pairs, y=None)
    net.train_split = None


def _stopped_early(net: NeuralNet) -> bool:
    """Tell skorch's early stopping, which raises KeyboardInterrupt, from a real one."""
    stopping = [c for _, c in net.callbacks_ if isinstance(c, EarlyStopping)]
    return any(c.misses_ >= c.patience for c in stopping)


def draws_globally(net: NeuralNet, pairs: Pairs) -> bool:
    """
    Tell whether training draws from torch's global generator, as dropout does.

    Parameters
    ----------
    net : skorch.NeuralNet
        An initialised net.
    pairs : Pairs
        The training set, on the net's device.

    Returns
    -------
    bool
        Whether a step on a copy of the module moved the generator.
    """
    with borrowed_global_generator(0), torch.no_grad():
        before = torch.get_rng_state()
        x, target = pairs[: net.batch_size]
        deepcopy(net.criterion_)(deepcopy(net.module_).train()(x), target)
        return not torch.equal(before, torch.get_rng_state())


def compile_networks(net: NeuralNet, pairs: Pairs) -> None:
    """
    Compile what the module has to compile, and see on some rows that it can be.

    Parameters
    ----------
    net : skorch.NeuralNet
        An initialised net.
    pairs : Pairs
        The training set, on the net's device.

    Raises
    ------
    RuntimeError
        If there is no compiler, or it fails.
    """
    _try_step(net, pairs)
    net.module_.compile_networks()
    try:
        _try_step(net, pairs)
    except Exception as error:
        raise RuntimeError(
            "compile=True needs what torch.compile does on this device: on the CPU a C++ compiler "
            "such as g++, on a GPU triton; and an embedding that it can trace. Set compile=False "
            f"to do without. It said: {type(error).__name__}: {error}"
        ) from error


def _try_step(net: NeuralNet, pairs: Pairs) -> None:
    """Go forwards and backwards on two rows, and leave no trace."""
    x, target = pairs[:2]
    buffers = [b.clone() for b in net.module_.buffers()]
    with borrowed_global_generator(0):
        deepcopy(net.criterion_)(net.module_(x), target).mean().backward()
    net.optimizer_.zero_grad()
    with torch.no_grad():
        for buffer, before in zip(net.module_.buffers(), buffers, strict=True):
            buffer.copy_(before)
