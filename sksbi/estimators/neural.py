"""What neural estimators share: from pairs to a trained net, and compact persistence."""

from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from functools import partial
from math import ceil
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.utils._param_validation import HasMethods, Interval

from sksbi import training
from sksbi.data import Pairs, StreamedPairs, count_passes
from sksbi.estimators.base import BaseInference
from sksbi.estimators.kept import check_can_be_found, find_checkpoint
from sksbi.estimators.passed_on import PassedOnMixin
from sksbi.estimators.streaming import StreamingMixin
from sksbi.losses import Atomic, build_criterion
from sksbi.losses.masked import MaskedCriterion
from sksbi.priors import Prior
from sksbi.tables.names import check_pairs
from sksbi.tables.theta import check_against_prior, read_theta
from sksbi.utils.devices import check_device, device_or_cpu
from sksbi.utils.fingerprint import fingerprint
from sksbi.utils.masks import Masks
from sksbi.utils.random import (
    borrowed_global_generator,
    draw_seed,
    torch_generator,
)
from sksbi.utils.tasks import begun
from sksbi.utils.validation import check_lengths

__all__ = ["NeuralEstimator", "read_validation"]

_SETTINGS = ("optimizer", "lr", "batch_size", "max_epochs", "patience", "callbacks", "verbose")
_TRAINING = (*_SETTINGS, "device", "endless", "iterator_train__", "callbacks__")
_KEPT = (
    "The {} keeps the best weights so far, and its next fit goes on from them (warm_start=True)."
)


class NeuralEstimator(StreamingMixin, PassedOnMixin, BaseInference):
    """
    Base of the estimators that train a network with skorch.

    Subclasses have the parameters that are listed in ``_parameter_constraints``, name those that
    shape the network in ``_architecture``, say in ``_estimates`` what its output is (see
    :func:`sksbi.losses.criterion_names`), in ``_uninformed`` what it is compared with, in
    ``_batch_scale`` how the default batch grows with the root of the number of rows, in
    ``_least_epochs`` and ``_least_steps`` how long a training is, in ``_least_rows`` how many rows
    a loss takes, in ``_decay`` the default weight decay times the number of pairs (0: the
    optimizer's own) and in ``_most_decay`` its bound, and fill in ``_build_module`` and
    ``_held_out_losses``.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; its module is ``net_.module_``.
    history_ : DataFrame
        One row an epoch: epoch, train_loss, valid_loss, lr, dur (seconds).
    interrupted_ : bool
        Whether Ctrl-C ended the training, and ``warm_start=True`` kept the best weights so far.
    """

    _architecture: tuple[str, ...]
    _batch_scale: float
    _least_epochs: int
    _least_steps: int
    _least_rows: int
    _reads_disk, _n_tasks = True, None
    _decay: float = 0.0
    _most_decay: float = 0.5
    _parameter_constraints = {
        "theta_transformer": [HasMethods(["fit_transform", "inverse_transform"]), None],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "validation_fraction": [
            Interval(Real, 0, 1, closed="neither"),
            HasMethods(["split", "get_n_splits"]),
            tuple,
            None,
        ],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "callbacks": [list, tuple, None],
        "compile": ["boolean"],
        "checkpoint": [str, Path, None],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _build_module(self, spec):
        """Build the network that the spec describes."""

    def __sklearn_is_fitted__(self):
        """Tell whether fit has come to its end."""
        return "_history" in vars(self)

    @property
    def history_(self):
        """Training history: one row an epoch."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} has no history_ before fit.")
        return pd.DataFrame(self._history)

    def _fit(self, pairs, generator):
        """Scale, divide, build and train; the fitted state changes at the end only."""
        resumed = self.net_ if self._resumes() else None
        least = self._least_rows
        rows = training.divide(self.validation_fraction, pairs, least, generator)
        some = pairs.some
        if resumed:
            spaces = self._theta_space, self._x_space
            seen = self._encode(spaces, some)
        else:
            # What a transformer draws is not to move the weights and the order of the rows.
            own = generator.spawn(1)[0]
            spaces, seen = self._learn_spaces(some, rows.train, own)
        train, valid = self._split(spaces, seen, rows.train, rows.valid)
        training.warn_of_few(len(pairs))
        if rows.wanted is not None:
            encode = partial(_encode_chunk, self, spaces)
            train = StreamedPairs(pairs, rows.wanted, encode, train)
        if valid is not None and least > 1:
            # Rows of a batch are paired with each other: sorted ones would meet their likes only.
            valid = valid.take(np.random.default_rng(0).permutation(len(valid)))
        spec = self._make_spec(spaces, train, self._spec if resumed else None)
        net = self._build_net(
            spec, draw_seed(generator), len(train), valid, torch_generator(generator)
        )
        if isinstance(net.criterion_.criterion, Atomic):
            net.criterion_.criterion.show(*self._atoms(spaces[0], some))
        options = {"compile_first": self.compile, "epoch": partial(begun, self, "epoch")}
        options["checkpoint"] = find_checkpoint(self, pairs, net, (train, valid), resumed)
        seed, interrupt = draw_seed(generator), None
        try:
            training.begin(net, train.to(net.device), resumed, seed, **options)
            _judge(self, net, spaces, valid)
            self._remember(net, spaces, valid, seed, some, rows.valid)
        except KeyboardInterrupt as error:
            if not training.go_back_to_best(net):
                raise
            error.add_note(_KEPT.format(type(self).__name__))
            interrupt = error
            self._remember(net, spaces, valid, seed, some, rows.valid)
        self._theta_space, self._x_space = spaces
        self._spec, self.net_ = spec, net
        self._history = training.extend_history(self._history if resumed else [], net)
        self.interrupted_ = interrupt is not None
        return interrupt

    def _remember(self, net, spaces, valid, seed, pairs, rows):
        """Keep of the rows held out, or of all, what later answers are compared with."""

    @abstractmethod
    def _held_out_losses(self, net, spaces, valid):
        """Compute losses on rows held out: the network's, and those of a guess without context."""

    def _prepare(self):
        """Forget what was learnt, or hold that what shapes the network is as it was."""
        if not getattr(self, "_streams", False):
            check_can_be_found(self.random_state, self, type(self).__name__)
        if not self._resumes():
            vars(self).pop("_history", None)
            return
        now = {name: getattr(self, name) for name in _shaping(self)} | self._passed_on()
        now["prior"] = now["prior"].spec if isinstance(now["prior"], Prior) else now["prior"]
        before = self._spec | {"prior": None if self.prior_ is None else self.prior_.spec}
        passed_on = {k for k in {*now, *before} if k.startswith(("module__", "criterion__"))}
        for name in (*_shaping(self), *sorted(passed_on)):
            if not _same(now.get(name), before.get(name)):
                raise ValueError(
                    f"warm_start and partial_fit go on with what was fitted, but {name} was set to "
                    f"{now.get(name)!r} since; it was {before.get(name)!r}. Set it back, or begin "
                    "anew by fit with warm_start=False."
                )

    @abstractmethod
    def _learn_spaces(self, pairs, rows, generator):
        """Fit the maps between the user's units and the network's; apply them to all pairs."""

    @abstractmethod
    def _encode(self, spaces, pairs, generator=None):
        """Apply the maps: what the network sees of pairs."""

    @abstractmethod
    def _sizes(self, spaces, pairs):
        """Note what the network's shape depends on beside the parameters."""

    def _split(self, spaces, pairs, train, valid):
        """Make the training and the validation set, of as many rows as a loss takes."""
        choice = self.validation_fraction
        held_out = None
        if isinstance(choice, tuple):
            held_out = self._encode(spaces, read_validation(self, choice))
        elif valid is not None:
            held_out = pairs.take(valid)
            held_out = held_out.of_mean_weight_one() if len(held_out) else held_out
        n_valid, least = 0 if held_out is None else len(held_out), self._least_rows
        if len(train) < least or held_out is not None and n_valid < least:
            choice = "a pair (theta, x)" if isinstance(choice, tuple) else repr(choice)
            raise ValueError(
                f"validation_fraction={choice} leaves {len(train)} rows to train on and {n_valid} "
                f"to validate on, of {len(pairs)} with positive weight, but {type(self).__name__} "
                f"takes {least} at least: give more simulations, or None."
            )
        return pairs if len(train) == len(pairs) else pairs.take(train), held_out

    def _make_spec(self, spaces, pairs, resumed):
        """Note all that it takes to build the net again, in this fit or after loading."""
        sizes = {"n_rows": len(pairs), "n_passes": count_passes(pairs.n_trials)}
        sizes |= self._sizes(spaces, pairs.sample)
        names = (*_shaping(self)[1:], *_SETTINGS, "device")
        spec = {name: getattr(self, name) for name in names} | self._passed_on()
        spec = deepcopy(spec) | sizes
        if resumed is not None:
            architecture = {k: v for k, v in resumed.items() if not k.startswith(_TRAINING)}
            spec = {k: v for k, v in spec.items() if k.startswith(_TRAINING)} | architecture
        return spec

    def _build_net(self, spec, seed, n_train, valid, generator, device=None):
        """Build module, criterion and net."""
        device = check_device(spec["device"]) if device is None else device
        passed_on = {k: v for k, v in spec.items() if k.startswith(training.PASSED_ON)}
        options = {
            k[len("criterion__") :]: v for k, v in passed_on.items() if k.startswith("criterion__")
        }
        n_passes = spec["n_passes"]
        batch_size = spec["batch_size"] or _default_batch_size(
            n_passes * n_train, self._batch_scale
        )
        n_steps = n_passes * ceil(n_train / batch_size)
        max_epochs = spec["max_epochs"] or _default_epochs(
            n_steps, self._least_epochs, self._least_steps
        )
        endless = spec.get("endless", False)
        if self._decay and spec["optimizer"] == "muon" and not endless:
            decay = min(self._most_decay, self._decay / (n_passes * spec["n_rows"]))
            passed_on = {"optimizer__weight_decay": decay} | passed_on
        with borrowed_global_generator(seed):
            criterion = build_criterion(spec["criterion"], self._estimates, **options)
            if "masks" in spec:
                masks = Masks(spec["masks"], self.parameter_names_)
                criterion = MaskedCriterion(criterion, masks)
            module = self._build_module(spec)
            return training.build_net(
                module,
                criterion,
                **{name: spec[name] for name in _SETTINGS}
                | {"batch_size": batch_size, "max_epochs": max_epochs},
                device=device,
                passed_on=passed_on,
                keep_best=self.warm_start and not endless,
                endless=endless,
                n_train=n_train,
                n_passes=n_passes,
                valid=None if valid is None else valid.to(device),
                generator=generator,
            )

    def __getstate__(self):
        state = super().__getstate__()
        if "net_" in state:
            state["net_"] = training.pack_state(self.net_, optimizer=self.warm_start, stream=True)
        return state

    def __setstate__(self, state):
        super().__setstate__({k: v for k, v in state.items() if k != "net_"})
        if "net_" in state:
            device = device_or_cpu(self._spec["device"])
            self.net_ = self._build_net(self._spec, 0, 1, None, None, device)
            training.load_state(self.net_, state["net_"])


def _encode_chunk(estimator, spaces, pairs):
    """Apply the maps to a chunk from the disk, by noise of its own where counts are spread."""
    if hasattr(spaces[1], "refuse_unseen"):
        spaces[1].refuse_unseen(estimator.x_layout_.flat(pairs.x))
    generator = np.random.default_rng([estimator.seed_, int(pairs.row[0])])
    return estimator._encode(spaces, pairs, generator)


def _judge(estimator, net, spaces, valid):
    """Warn of a training that learnt nothing."""
    if training.warn_of_rising_loss(net.history, net.lr) or valid is None:
        return
    with torch.no_grad():
        losses = estimator._held_out_losses(net, spaces, valid.to(net.device))
    weights = np.tile(valid.weight.cpu().double().numpy(), count_passes(valid.n_trials))
    trained = net.history[-1]["train_loss"]
    training.warn_of_worse_than_nothing(*losses, weights, estimator._uninformed, trained, net.lr)


def _shaping(estimator):
    """Name the parameters that a warm start cannot change."""
    return ("prior", "theta_transformer", "x_transformer", *estimator._architecture)


def read_validation(estimator, pair):
    """Validate a user's own validation set."""
    if len(pair) != 2:
        raise ValueError(
            f"validation_fraction as a tuple must be (theta, x), got {len(pair)} items."
        )
    try:
        theta = read_theta(estimator, pair[0])
    except (ValueError, TypeError) as error:
        raise type(error)(f"validation_fraction, as a pair: {error}") from error
    if estimator.prior_ is not None:
        theta = check_against_prior(pair[0], theta, estimator.prior_)
    layout = estimator.x_layout_
    x = layout.read(pair[1], simulated=True).values
    check_pairs(*pair, trials=layout.trials)
    check_lengths(theta=theta, x=x)
    return Pairs.of_positive_weight(theta, x, np.ones(len(theta))).succeeded()


def _default_batch_size(n_train, scale):
    """Take batches of a multiple of the square root of the number of rows, from 32 to 1,000."""
    return min(1_000, max(32, round(scale * n_train**0.5)))


def _default_epochs(n_steps, least_epochs, least_steps):
    """Take few epochs, and up to 200 where a small set would give too few steps."""
    return min(200, max(least_epochs, ceil(least_steps / n_steps)))


def _same(a, b):
    """Compare two values of a parameter by their contents."""
    if a is b:
        return True
    if isinstance(a, torch.nn.Module) and type(a) is type(b):  # whose pickles are never the same
        a, b = ((repr(one), dict(one.state_dict())) for one in (a, b))
    try:
        return fingerprint(a) == fingerprint(b)
    except TypeError:
        return False
