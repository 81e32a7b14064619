"""What neural estimators share: from pairs to a trained net, and compact persistence."""

from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from math import ceil
from numbers import Integral, Real
from pickle import PicklingError

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sksbi import training
from sksbi.data import Pairs, TensorPairs
from sksbi.estimators.base import BaseInference
from sksbi.estimators.passed_on import PassedOnMixin
from sksbi.losses import build_criterion
from sksbi.preprocessing import ObservationSpace, ParameterSpace
from sksbi.priors import Prior
from sksbi.tables.names import check_pairs
from sksbi.tables.theta import check_against_prior, read_theta
from sksbi.utils.devices import check_device, device_or_cpu
from sksbi.utils.random import (
    borrowed_global_generator,
    draw_seed,
    seeded_copy,
    torch_generator,
)
from sksbi.utils.validation import check_instance

__all__ = ["NeuralEstimator"]

_SETTINGS = ("optimizer", "lr", "batch_size", "max_epochs", "patience", "callbacks", "verbose")
_TRAINING = (*_SETTINGS, "device", "iterator_train__", "callbacks__")
_KEPT = (
    "The {} keeps the best weights so far, and its next fit goes on from them (warm_start=True)."
)


class NeuralEstimator(PassedOnMixin, BaseInference):
    """
    Base of the estimators that train a network with skorch.

    Subclasses have the parameters that are listed in ``_parameter_constraints``, name those that
    shape the network in ``_architecture``, say in ``_estimates`` what its output is (see
    :func:`sksbi.losses.criterion_names`), in ``_uninformed`` what it is compared with, in
    ``_batch_scale`` how the default batch grows with the root of the number of rows, in
    ``_least_epochs`` and ``_least_steps`` how long a training is, in ``_least_rows`` how many rows
    a loss takes, and fill in ``_build_module`` and ``_held_out_losses``.

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
    _uninformed: str
    _batch_scale: float
    _least_epochs: int
    _least_steps: int
    _least_rows: int
    _parameter_constraints = {
        "embedding": [torch.nn.Module, callable, None],
        "theta_transformer": [HasMethods(["fit_transform", "inverse_transform"]), None],
        "x_transformer": [
            HasMethods(["fit_transform", "transform"]),
            StrOptions({"passthrough"}),
            None,
        ],
        "x_features": [HasMethods(["fit_transform", "transform"]), StrOptions({"auto"}), None],
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

    @property
    def x_kept_(self):
        """The columns of x, after x_transformer, that the network sees: an array of bool."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} has no x_kept_ before fit.")
        return self._x_space.kept_.copy()

    def _fit(self, pairs, generator):
        """Scale, divide, build and train; the fitted state changes at the end only."""
        resumed = self.net_ if self._resumes() else None
        least = self._least_rows
        rows = training.divide(self.validation_fraction, pairs, least, generator)
        if resumed:
            spaces = self._theta_space, self._x_space
            features = spaces[1].transform(pairs.x)
        else:
            # What a transformer draws is not to move the weights and the order of the rows.
            own = generator.spawn(1)[0]
            *spaces, features = self._learn_spaces(pairs, rows[0], own)
        train, valid = self._split(spaces, _encoded(spaces[0], pairs, features), *rows)
        training.warn_of_few(len(pairs))
        if valid is not None and least > 1:
            # Rows of a batch are paired with each other: sorted ones would meet their likes only.
            valid = valid.take(np.random.default_rng(0).permutation(len(valid)))
        spec = self._make_spec(train, self._spec if resumed else None)
        net = self._build_net(
            spec, draw_seed(generator), len(train), valid, torch_generator(generator)
        )
        seed = draw_seed(generator)
        interrupt = None
        try:
            training.begin(net, train.to(net.device), resumed, seed, compile_first=self.compile)
            self._judge(net, spaces[0], valid)
            self._remember(net, valid, seed, pairs)
        except KeyboardInterrupt as error:
            if not training.go_back_to_best(net):
                raise
            error.add_note(_KEPT.format(type(self).__name__))
            interrupt = error
            self._remember(net, valid, seed, pairs)
        self._theta_space, self._x_space = spaces
        self._spec, self.net_ = spec, net
        self._history = training.extend_history(self._history if resumed else [], net)
        self.interrupted_ = interrupt is not None
        return interrupt

    def _judge(self, net, theta_space, valid):
        """Warn of a training that learnt nothing."""
        if not training.warn_of_rising_loss(net.history, net.lr) and valid is not None:
            with torch.no_grad():
                losses = self._held_out_losses(net, theta_space, valid.to(net.device))
            weights = valid.weight.cpu().double().numpy()
            trained = net.history[-1]["train_loss"]
            training.warn_of_worse_than_nothing(*losses, weights, self._uninformed, trained, net.lr)

    def _remember(self, net, valid, seed, pairs):
        """Keep of the rows held out, or of all, what later answers are compared with."""

    @abstractmethod
    def _held_out_losses(self, net, theta_space, valid):
        """Compute losses on rows held out: the network's, and those of a guess without x."""

    def _prepare(self):
        """Forget what was learnt, or hold that what shapes the network is as it was."""
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
                    f"warm_start goes on with what was fitted, and {name} was set to "
                    f"{now.get(name)!r} since; it was {before.get(name)!r}. Set it back, or set "
                    "warm_start=False to begin anew."
                )

    def _learn_spaces(self, pairs, rows, generator):
        """Fit the maps from the user's units to the network's, and apply that of x."""
        _check_features(self)
        keep_shape = pairs.x.ndim > 2 and self.embedding is not None
        keep_shape |= isinstance(self.embedding, torch.nn.Module)
        names = ("theta_transformer", "x_transformer", "x_features")
        for name in names:
            check_instance(getattr(self, name), name)
        theta_transformer, x_transformer, x_features = (
            t if t is None or isinstance(t, str) else seeded_copy(t, generator)
            for t in (getattr(self, name) for name in names)
        )
        theta_space = ParameterSpace(self.prior_, theta_transformer)
        theta_space.fit(pairs.theta, pairs.weight)
        if self.embedding is not None and x_features == "auto":
            x_features = None
        x_space = ObservationSpace(x_transformer, keep_shape, x_features)
        u = None if x_features is None else theta_space.to_network(pairs.theta)[0]
        return theta_space, x_space, x_space.fit_transform(pairs.x, u, generator, rows)

    def _split(self, spaces, pairs, train, valid):
        """Make the training and the validation set, of as many rows as a loss takes."""
        choice = self.validation_fraction
        held_out = None
        if isinstance(choice, tuple):
            own = _read_validation(self, choice)
            held_out = _encoded(spaces[0], own, spaces[1].transform(own.x))
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

    def _make_spec(self, pairs, resumed):
        """Note all that it takes to build the net again, in this fit or after loading."""
        n, n_theta = pairs.theta.shape
        sizes = {"n_rows": n, "n_theta": n_theta, "x_shape": tuple(pairs.x.shape[1:])}
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
        batch_size = spec["batch_size"] or _default_batch_size(n_train, self._batch_scale)
        max_epochs = spec["max_epochs"] or _default_epochs(
            n_train, batch_size, self._least_epochs, self._least_steps
        )
        with borrowed_global_generator(seed):
            criterion = build_criterion(spec["criterion"], self._estimates, **options)
            module = self._build_module(spec)
            return training.build_net(
                module,
                criterion,
                **{name: spec[name] for name in _SETTINGS}
                | {"batch_size": batch_size, "max_epochs": max_epochs},
                device=device,
                passed_on=passed_on,
                keep_best=self.warm_start,
                n_train=n_train,
                valid=None if valid is None else valid.to(device),
                generator=generator,
            )

    def __getstate__(self):
        state = super().__getstate__()
        if "net_" in state:
            state["net_"] = training.pack_state(self.net_, optimizer=self.warm_start)
        return state

    def __setstate__(self, state):
        super().__setstate__({k: v for k, v in state.items() if k != "net_"})
        if "net_" in state:
            device = device_or_cpu(self._spec["device"])
            self.net_ = self._build_net(self._spec, 0, 1, None, None, device)
            training.load_state(self.net_, state["net_"])


def _shaping(estimator):
    """Name the parameters that a warm start cannot change."""
    spaces = ("theta_transformer", "x_transformer", "x_features")
    return ("prior", *spaces, *estimator._architecture)


def _check_features(estimator):
    """Hold that features are asked for where there are some."""
    features = estimator.x_features
    if features is None or isinstance(features, str):
        return
    taken = "embedding" if estimator.embedding is not None else None
    taken = "x_transformer" if estimator.x_transformer == "passthrough" else taken
    if taken is not None:
        raise ValueError(
            f"x_features={features!r} makes features of the columns of x, and "
            f"{taken}={getattr(estimator, taken)!r} hands x to the network without: give one of "
            "the two, or the features as x_transformer."
        )


def _read_validation(estimator, pair):
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
    x = estimator.x_layout_.read(pair[1], simulated=True).values
    check_pairs(*pair)
    return Pairs.of_positive_weight(theta, x, np.ones(len(theta))).succeeded()


def _default_batch_size(n_train, scale):
    """Take batches of a multiple of the square root of the number of rows, from 32 to 1,000."""
    return min(1_000, max(32, round(scale * n_train**0.5)))


def _default_epochs(n_train, batch_size, least_epochs, least_steps):
    """Take few epochs, and up to 200 where a small set would give too few steps."""
    return min(200, max(least_epochs, ceil(least_steps / ceil(n_train / batch_size))))


def _same(a, b):
    """Compare two values of a parameter by their contents."""
    if a is b:
        return True
    try:
        return joblib.hash(a) == joblib.hash(b)
    except (PicklingError, AttributeError, TypeError):
        return False


def _encoded(theta_space, pairs, features):
    """Bring pairs to the network's units, as tensors."""
    u, _ = theta_space.to_network(pairs.theta)
    return TensorPairs(
        torch.from_numpy(u.astype(np.float32)),
        torch.from_numpy(features),
        torch.from_numpy(pairs.weight.astype(np.float32)),
    )
