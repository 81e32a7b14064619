"""
Training with skorch, which this folder alone imports.

A net is a stock ``skorch.NeuralNet`` around a module and a criterion. Ours are some callbacks, and
the rule that a loss which is no number stops the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from math import ceil
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from skorch.helper import predefined_split
from torch import Tensor, nn

from sksbi.data import Batches, StreamedPairs, TensorPairs
from sksbi.losses.criterion import WeightedMean
from sksbi.training.callbacks import (
    BestWeights,
    EachEpoch,
    GradientClipping,
    Progress,
    Watch,
    WeightAveraging,
)
from sksbi.training.checkpoint import Checkpoint
from sksbi.training.compilation import compile_networks
from sksbi.training.optimizers import find_optimizer
from sksbi.training.passed_on import (
    check_callback,
    check_callback_names,
    check_passed_on,
    for_skorch,
)
from sksbi.training.schedule import EarlyStopping, InverseRoot, OneCycle
from sksbi.training.state import load_state, pack_state
from sksbi.training.stream import GoOn
from sksbi.utils.batches import EVALUATION_BATCH
from sksbi.utils.random import borrowed_global_generator
from sksbi.utils.validation import check_count

__all__ = ["begin", "build_net", "draws_globally", "go_back_to_best", "train"]

_MOST_STARTING = 200_000
_OPTIONAL = {"best_weights": BestWeights, "progress": Progress, "early_stopping": EarlyStopping}


def _named_callbacks(
    user: Sequence[Any] | None,
    steps: int | None,
    patience: int | None,
    verbose: int,
    keep_best: bool,
) -> list[Any]:
    """List the callbacks that have names, then the user's own, copied."""
    callbacks = [
        ("watch", Watch()),
        ("lr_scheduler", InverseRoot() if steps is None else OneCycle(steps)),
        ("gradient_clipping", GradientClipping()),
        ("weight_averaging", WeightAveraging()),
    ]
    if keep_best:
        callbacks.append(("best_weights", BestWeights()))
    if verbose:
        callbacks.append(("progress", Progress()))
    if patience is not None:
        callbacks.append(("early_stopping", EarlyStopping(patience=patience)))
    for callback in user or []:
        check_callback(callback, {name for name, _ in callbacks} | _OPTIONAL.keys())
    return callbacks + deepcopy(list(user or []))


def build_net(
    module: nn.Module,
    criterion: nn.Module,
    *,
    optimizer: str | Callable[..., Any],
    lr: float,
    batch_size: int,
    max_epochs: int,
    patience: int | None,
    callbacks: Sequence[Any] | None,
    device: str,
    verbose: int,
    passed_on: Mapping[str, object],
    n_train: int,
    n_passes: int = 1,
    valid: TensorPairs | None,
    generator: torch.Generator | None,
    keep_best: bool = False,
    endless: bool = False,
) -> NeuralNet:
    """
    Put a skorch net around a module, ready to train.

    Parameters
    ----------
    module, criterion : torch.nn.Module
        The criterion maps (module(context), target) to losses of shape (n,).
    optimizer, lr, batch_size, max_epochs, patience, callbacks, device, verbose : object
        As in the estimators.
    passed_on : mapping
        The parameters with the prefixes of skorch.
    n_train : int
        Number of rows to train on, from which the schedule is planned.
    n_passes : int, default=1
        How often an epoch goes through them.
    valid : TensorPairs or None
        The validation set; None validates nothing and stops never.
    generator : torch.Generator or None
        Where the order of the rows comes from.
    keep_best : bool, default=False
        Whether :func:`go_back_to_best` is to be possible.
    endless : bool, default=False
        Whether the schedule plans no end.

    Returns
    -------
    skorch.NeuralNet
        Initialised.
    """
    optimizer = find_optimizer(optimizer)
    check_passed_on(passed_on, "optimizer__", optimizer)
    check_passed_on(passed_on, "iterator_train__", Batches)
    count_name = "iterator_train__batch_size"
    count_name = count_name if count_name in passed_on else "batch_size"
    batch_size = check_count(passed_on.get(count_name, batch_size), count_name)
    steps = max_epochs * n_passes * ceil(n_train / batch_size)
    patience = None if valid is None else patience
    named = _named_callbacks(callbacks, None if endless else steps, patience, verbose, keep_best)
    named += [("go_on", GoOn())] * endless
    named.append(("each_epoch", EachEpoch()))
    check_callback_names(passed_on, named, _OPTIONAL)
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
        | for_skorch(passed_on, named),
    )
    try:
        return net.initialize()
    except (TypeError, ValueError) as error:
        options = for_skorch(passed_on, named)
        raise type(error)(
            f"optimizer={optimizer!r} or a callback does not take one of {options}: {error}"
        ) from error


def train(
    net: NeuralNet,
    pairs: TensorPairs | StreamedPairs,
    checkpoint: Checkpoint | None = None,
    *,
    draws_globally: bool = False,
    epoch: Callable[[], Callable[[], bool]] | None = None,
) -> None:
    """
    Train a net until its epochs are over or a callback stops it.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net, trained in place.
    pairs : TensorPairs or StreamedPairs
        The training set, on the net's device.
    checkpoint : Checkpoint or None, default=None
        From where training goes on, and where it is kept.
    draws_globally : bool, default=False
        Whether training draws from torch's global generator; only a checkpoint needs to know.
    epoch : callable or None, default=None
        Called where an epoch begins; what it returns is called where that ends, and stops the
        training if it returns True.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts: skorch's own fit would go on as if nothing had happened.
    FloatingPointError
        If the loss is no number.
    """
    net.notify("on_train_begin", X=pairs, y=None)
    _listen(net, epoch)
    try:
        if checkpoint is None:
            net.fit_loop(pairs)
        else:
            checkpoint.run(net, pairs, draws_globally=draws_globally)
    except KeyboardInterrupt:
        if not _stopped_early(net):
            raise
    finally:
        for _, callback in net.callbacks_:
            if isinstance(callback, Progress):
                callback.close()
        _listen(net, None)
    if checkpoint is not None:
        checkpoint.end()
    net.notify("on_train_end", X=pairs, y=None)
    net.train_split = None


def _listen(net: NeuralNet, epoch: Callable[[], Callable[[], bool]] | None) -> None:
    """Let somebody know of every epoch, or nobody."""
    for _, callback in net.callbacks_:
        if isinstance(callback, EachEpoch):
            callback.listen(epoch)


def _stopped_early(net: NeuralNet) -> bool:
    """Tell skorch's early stopping, which raises KeyboardInterrupt, from a real one."""
    callbacks = [callback for _, callback in net.callbacks_]
    stopping = [c for c in callbacks if isinstance(c, SkorchEarlyStopping)]
    return any(isinstance(c, EachEpoch) and c.stopped_ for c in callbacks) or any(
        getattr(c, "stopped_", c.misses_ >= c.patience) for c in stopping
    )


def begin(
    net: NeuralNet,
    pairs: TensorPairs | StreamedPairs,
    resumed: NeuralNet | None,
    seed: int,
    *,
    compile_first: bool,
    checkpoint: Checkpoint | None = None,
    epoch: Callable[[], Callable[[], bool]] | None = None,
) -> None:
    """
    Start a net where it can, compile it if asked to, and train it.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net, trained in place.
    pairs : TensorPairs or StreamedPairs
        The training set, on the net's device.
    resumed : skorch.NeuralNet or None
        The net whose training goes on; None: it begins.
    seed : int
        Seeds torch's global generator, if training draws from it.
    compile_first : bool
        Whether to compile the networks.
    checkpoint : Checkpoint or None, default=None
        From where training goes on, and where it is kept.
    epoch : callable or None, default=None
        Called where an epoch begins; what it returns is called where that ends, and stops the
        training if it returns True.
    """
    if resumed is not None:
        same = type(resumed.optimizer_) is type(net.optimizer_)
        load_state(net, pack_state(resumed, optimizer=same))
        _hold_start(net, pairs)
    elif hasattr(net.module_, "start"):
        some = pairs.sample.flat(_MOST_STARTING)
        net.module_.start(some.target, some.context, some.weight)
    if compile_first:
        compile_networks(net, pairs.sample)
    is_global = draws_globally(net, pairs.sample)
    with borrowed_global_generator(seed) if is_global else nullcontext():
        train(net, pairs, checkpoint, draws_globally=is_global, epoch=epoch)


def _hold_start(net: NeuralNet, pairs: TensorPairs | StreamedPairs) -> None:
    """Take the weights that a training goes on from as the best so far."""
    best = dict(net.callbacks_).get("best_weights")
    if best is None or net.train_split is None:
        return
    module, criterion = net.module_.eval(), deepcopy(net.criterion_).eval()
    valid = net.get_split_datasets(pairs)[1]
    losses, sizes = [], []
    with torch.no_grad():
        for x, target in net.get_iterator(valid, training=False):
            losses.append(float(criterion(module(x), target)))
            sizes.append(len(x))
    best.hold(net, float(np.average(losses, weights=sizes)))


def go_back_to_best(net: NeuralNet) -> bool:
    """
    Bring an interrupted net back to the best weights so far.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net, built with ``keep_best``.

    Returns
    -------
    bool
        Whether there are some: an epoch came to its end. Its history then has such epochs only.
    """
    best = dict(net.callbacks_).get("best_weights")
    if best is None or not best.n_epochs_:
        return False
    net.module_.load_state_dict(best.state_["module"])
    net.optimizer_.load_state_dict(best.state_["optimizer"])
    del net.history[best.n_epochs_ :]
    net.train_split = None
    return True


def draws_globally(net: NeuralNet, pairs: TensorPairs) -> bool:
    """
    Tell whether training draws from torch's global generator, as dropout does.

    Parameters
    ----------
    net : skorch.NeuralNet
        An initialised net.
    pairs : TensorPairs
        The training set, on the net's device.

    Returns
    -------
    bool
        Whether a step on a copy of the module moved the generator, of the CPU or of the GPU.
    """
    with borrowed_global_generator(0), torch.no_grad():
        before = _states_of_generators(net.device)
        x, target = pairs[: net.batch_size]
        deepcopy(net.criterion_)(deepcopy(net.module_).train()(x), target)
        after = _states_of_generators(net.device)
        return not all(map(torch.equal, before, after))


def _states_of_generators(device: str) -> list[Tensor]:
    """Take the states of the global generators that training on a device may draw from."""
    on_gpu = torch.device(device).type == "cuda"
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if on_gpu else [])]
