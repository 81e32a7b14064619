"""A fit that is killed goes on from its checkpoint, and ends as if it had not been, bit for bit."""

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from math import inf
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch import NeuralNet
from skorch.callbacks import Callback, Freezer, LRScheduler, ProgressBar, Unfreezer
from torch import nn

from sksbi import NPE, NRE, CalibratedPosterior, Ensemble, PosteriorRegressor, SequentialInference
from sksbi.data import parts
from sksbi.exceptions import TrainingWarning
from sksbi.nn import MLP
from sksbi.pipeline import make_pipeline
from sksbi.training import checkpoint
from sksbi.training.callbacks import SkipNonFinite
from sksbi.utils.devices import check_device
from sksbi.utils.fingerprint import fingerprint

PRIOR = [stats.norm(0, 1), stats.uniform(0, 1)]
TINY = {"flow": "maf", "transforms": 1, "hidden_features": (8,), "max_epochs": 3}
RNG = np.random.default_rng(0)
THETA = np.column_stack([RNG.normal(size=60), RNG.uniform(size=60)])
X = np.hstack([THETA, THETA]) + RNG.normal(size=(60, 4))


class _Now(SimpleNamespace):
    """What happens now: it is known by its name, so that no fit differs by it."""

    def __reduce_ex__(self, protocol: object) -> str:
        return "NOW"


NOW = _Now(trained=0, epoch=None, cut=inf, ctrl_c=None)


class PowerCut(BaseException):
    """What no one catches."""


class Watcher(Callback):
    """Count epochs, and cut the power in one of them."""

    def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
        NOW.trained += 1

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        if len(net.history) == NOW.epoch or NOW.trained >= NOW.cut:
            raise PowerCut


@pytest.fixture(autouse=True)
def _write_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", inf)
    vars(NOW).update(trained=0, epoch=None, cut=inf, ctrl_c=None)


def npe(*callbacks: object, **changes: object) -> NPE:
    """Make a small estimator that is watched."""
    settings = {"random_state": 0, "callbacks": [*callbacks, Watcher()]}
    return NPE(PRIOR, **TINY | settings | changes)


def fit(estimator: BaseEstimator, epoch: int | None = None) -> BaseEstimator:
    """Fit a clone, and cut the power in an epoch."""
    NOW.epoch, NOW.trained = epoch, 0
    made = clone(estimator)
    with nullcontext() if epoch is None else pytest.raises(PowerCut):
        made.fit(THETA, X)
    NOW.epoch = None
    return made


def same(first: BaseEstimator, second: BaseEstimator) -> None:
    """Hold that two fits are the same, bit for bit."""
    for name in ("module_", "criterion_", "optimizer_"):
        states = [fingerprint(getattr(e.net_, name).state_dict()) for e in (first, second)]
        assert states[0] == states[1], name
    assert first.net_.module_.training == second.net_.module_.training
    histories = [e.history_.drop(columns="dur").to_numpy() for e in (first, second)]
    np.testing.assert_array_equal(*histories)
    assert first.seed_ == second.seed_
    np.testing.assert_array_equal(*(e.log_prob(THETA, X) for e in (first, second)))
    if isinstance(first, NPE):  # others draw by chains, which take long
        draws = [e.sample(X[:2], 3, random_state=1) for e in (first, second)]
        np.testing.assert_array_equal(*draws)


def names(folder: Path) -> set[str]:
    """List the files in a folder."""
    return {path.name for path in folder.iterdir()}


def network(*layers: nn.Module) -> nn.Module:
    """Make an embedding with weights that are the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), *layers)


class Counting(nn.Module):
    """What remembers more than its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.sums = 0, torch.zeros(2)
        self.register_buffer("hidden", torch.ones(4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.steps, self.sums = self.steps + 1, self.sums + 0.01
            self.hidden *= 1.01
        return x / (1 + self.steps) + self.hidden + self.sums.mean()


class Jitter(Callback):
    """A user's callback: it draws, remembers, records, and changes weights by all that."""

    def __init__(self, memory: list | None = None) -> None:
        self.memory = memory

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        self.net_, self.weights_ = net, list(net.module_.parameters())
        self.numpy_, self.torch_ = np.random.default_rng(0), torch.Generator().manual_seed(0)

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        noise = self.numpy_.normal() * torch.rand((), generator=self.torch_)
        self.memory = [*(self.memory or []), np.float32(noise)]
        self.past_ = [*getattr(self, "past_", []), self.weights_[0].detach().clone()]
        for p in self.weights_:
            p.data += 0.01 * float(sum(self.memory)) * self.past_[0].mean()
        net.history.record("noise", self.memory[-1])


class Scaled(nn.Module):
    """A loss with a weight that is learnt, and one that is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, posterior: torch.distributions.Distribution, theta: torch.Tensor):
        self.seen += self.training
        return -posterior.log_prob(theta) * (self.scale.abs() + self.seen) + self.scale**2


class Forgetful(Jitter):
    """What deletes in the second epoch what there was at the beginning."""

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        super().on_train_begin(net)
        self.first_ = 1.0

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        if len(net.history) == 2:
            del self.first_
        self.memory = [float(hasattr(self, "first_"))]
        super().on_epoch_end(net)


VARIANTS = {
    "splines": npe(flow="nsf", hidden_features=(32, 32), module__members=2, batch_size=60),
    "nothing held out": npe(validation_fraction=None),
    "no average": npe(callbacks__weight_averaging=None),
    "best weights": npe(warm_start=True),
    "early stopping": npe(max_epochs=60, lr=0.05, patience=1),
    "stopped at once": npe(max_epochs=60, lr=0.05, patience=1, callbacks__lr_scheduler=None),
    "dropout": npe(embedding=network(nn.Dropout(0.5), nn.BatchNorm1d(8))),
    "a network that counts": npe(embedding=Counting()),
    "a function": npe(embedding=lambda n: MLP(n, 4)),
    "a loss that learns": npe(criterion=Scaled),
    "a callback that forgets": npe(Forgetful()),
    "atomic": npe(criterion="atomic"),
    "coverage": npe(criterion="coverage"),
    "contrastive": NRE(
        PRIOR, hidden_features=(8,), max_epochs=3, random_state=0, callbacks=[Watcher()]
    ),
    "skipped steps": npe(SkipNonFinite()),
    "frozen": npe(Freezer("flow*0.weight"), Unfreezer("flow*0.weight", at=3)),
    "a user's callback": npe(Jitter()),
    "a bar": npe(ProgressBar()),
    "steps": npe(callbacks__lr_scheduler=LRScheduler("MultiStepLR", milestones=[1, 2])),
    "plateau": npe(callbacks__lr_scheduler=LRScheduler("ReduceLROnPlateau", patience=0)),
    "by batches": npe(iterator_train__batch_size=7),
}


AGAIN = ("splines", "early stopping", "a user's callback", "a network that counts")
LESS = ("no average", "coverage", "plateau", "a bar", "by batches")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LESS else []) for n in VARIANTS]
)
def test_a_fit_that_is_killed_is_the_whole_one(name: str, tmp_path: Path) -> None:
    """Some are killed in every epoch."""
    whole = fit(VARIANTS[name])
    kept, n_epochs = clone(VARIANTS[name]).set_params(checkpoint=tmp_path), len(whole.history_)
    for epoch in range(2, n_epochs + 1) if name in AGAIN else [n_epochs]:
        fit(kept, epoch)
        assert NOW.trained == (2 if name in AGAIN else n_epochs)
    last = fit(kept)
    assert NOW.trained == 1
    same(whole, last)
    ended = fit(kept)
    assert NOW.trained == 0
    same(whole, ended)
    assert len(names(tmp_path)) == 1


def test_early_stopping_stops_these_fits_early() -> None:
    """Else the variants above would hold nothing."""
    n_epochs = [len(fit(VARIANTS[name]).history_) for name in ("early stopping", "stopped at once")]
    assert 60 > n_epochs[0] > n_epochs[1] > 1


class Precise(torch.optim.Optimizer):
    """Momentum in more digits than the weights have."""

    def __init__(self, params: object, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: object = None) -> torch.Tensor:
        with torch.enable_grad():
            loss = closure()
        for p in self.param_groups[0]["params"]:
            past = self.state[p].get("past", torch.zeros_like(p, dtype=torch.float64))
            self.state[p]["past"] = 0.9 * past + p.grad.double() / 3
            p -= self.param_groups[0]["lr"] * self.state[p]["past"].float()
        return loss


SLOW = ["adadelta", "adafactor", "adagrad", "adam", "adamax", "asgd", "nadam", "radam", "rmsprop"]
OPTIMIZERS = {
    "muon": "muon",
    "fused": "adamw",
    "momentum": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "amsgrad": partial(torch.optim.Adam, amsgrad=True, foreach=False),
    "steps within": partial(torch.optim.LBFGS, max_iter=2),
    "more digits": Precise,
}


@pytest.mark.parametrize(
    "name", [*OPTIMIZERS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_every_optimizer_goes_on(name: str, tmp_path: Path) -> None:
    estimator = npe(optimizer=OPTIMIZERS.get(name, name), lr=0.01)
    whole = fit(estimator)
    estimator.set_params(checkpoint=tmp_path)
    fit(estimator, 3)
    same(whole, fit(estimator))
    assert NOW.trained == 1


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_what_is_lost_is_an_epoch(epoch: int, tmp_path: Path) -> None:
    estimator = npe(checkpoint=str(tmp_path / "new" / "folder"))
    fit(estimator, epoch)
    same(fit(npe()), fit(estimator))
    assert NOW.trained == 4 - epoch


# Which fit a file is of.


def test_other_fits_have_other_files(tmp_path: Path) -> None:
    """Each begins anew, though all are in one folder."""
    plain = npe(max_epochs=1, checkpoint=tmp_path)
    sums = partial(np.sum, axis=1, keepdims=True)
    changes = [
        {"random_state": 1},
        {"max_epochs": 2},
        {"lr": 0.01},
        {"validation_fraction": None},
        {"prior": [stats.norm(0, 1), stats.uniform(0, 1.001)]},
        {"prior": [stats.norm(0, 1.001), stats.uniform(0, 1)]},
        {"x_transformer": StandardScaler()},
        {"x_transformer": PCA(2)},
        {"x_transformer": FunctionTransformer(sums)},
        {"embedding": network()},
        {"embedding": network(nn.ReLU())},
        {"embedding": lambda n: MLP(n, 4)},
        {"embedding": lambda n: MLP(n, 5)},
        {"optimizer": torch.optim.Adam},
        {"optimizer__weight_decay": 0.5},
        {"callbacks": [Watcher(), Jitter([0.0])]},
        {"callbacks": [Watcher(), Jitter([1.0])]},
        {"warm_start": True},
    ]
    fits = [plain, *(clone(plain).set_params(**one) for one in changes)]
    data = [(THETA, X), (THETA, X + 1e-9), (THETA[:59], X[:59]), (THETA[::-1], X[::-1])]
    for estimator in fits:
        fit(estimator)
        assert NOW.trained > 0
    for pairs in data[1:]:
        clone(plain).fit(*pairs)
    clone(plain).fit(THETA, X, sample_weight=np.arange(60))
    assert len(names(tmp_path)) == len(fits) + len(data)


def test_what_changes_no_number_finds_the_same_file(tmp_path: Path) -> None:
    plain = npe(max_epochs=1, x_transformer=FunctionTransformer(), checkpoint=tmp_path)
    fit(plain)
    for change in (
        {"checkpoint": str(tmp_path)},
        {"random_state": np.int64(0)},
        {"verbose": 1},
        {"device": check_device("auto")},
    ):
        fit(clone(plain).set_params(**change))
        assert NOW.trained == 0, change


# What stands around a fit.


def searched(kept: NPE) -> GridSearchCV:
    """Search for a rate, in folds."""
    return GridSearchCV(kept, {"lr": [1e-3, 1e-2]}, cv=2)


def calibrated(kept: NPE) -> CalibratedPosterior:
    """Fit to folds."""
    return CalibratedPosterior(kept, cv=2, n_samples=20, random_state=0)


AROUND = {
    "search": (searched, 5),
    "ensemble": (lambda kept: Ensemble(kept, n_estimators=3, random_state=0), 3),
    "folds": (calibrated, 2),
    "pipeline": (lambda kept: make_pipeline(StandardScaler(), kept), 1),
    "regressor": (lambda kept: PosteriorRegressor(kept, n_samples=20, random_state=0), 1),
}


def answers(fitted: BaseEstimator) -> np.ndarray:
    """Ask what was fitted around an estimator."""
    if isinstance(fitted, PosteriorRegressor):
        return fitted.predict(X)
    if isinstance(fitted, GridSearchCV):
        fitted = fitted.best_estimator_
    return fitted.log_prob(THETA, X)


@pytest.mark.parametrize("name", AROUND)
def test_what_is_killed_around_fits_does_none_of_them_again(name: str, tmp_path: Path) -> None:
    """Two clones, members or folds never have one file."""
    make, n_fits = AROUND[name]
    n_epochs = 2 * n_fits
    pairs = (X, THETA) if name == "regressor" else (THETA, X)
    expected = answers(make(npe(max_epochs=2)).fit(*pairs))
    assert NOW.trained == n_epochs
    for cut, before in ((n_epochs // 2 + 1, 0), (n_epochs, n_epochs // 2)):
        NOW.cut, NOW.trained = cut, before
        with pytest.raises(PowerCut):
            make(npe(max_epochs=2, checkpoint=tmp_path)).fit(*pairs)
    NOW.cut, NOW.trained = inf, 0
    np.testing.assert_array_equal(
        answers(make(npe(max_epochs=2, checkpoint=tmp_path)).fit(*pairs)), expected
    )
    assert NOW.trained == 1
    assert len(names(tmp_path)) == n_fits


def test_fits_in_threads_share_a_folder(tmp_path: Path) -> None:
    """Even one fit in two of them."""
    seeds = (0, 1, 1, 2)
    whole = [fit(npe(random_state=seed)) for seed in seeds]
    for cut in (6, inf):
        NOW.cut, NOW.trained = cut, 0
        with ThreadPoolExecutor(2) as pool:
            made = [npe(random_state=seed, checkpoint=tmp_path) for seed in seeds]
            fits = [pool.submit(one.fit, THETA, X) for one in made]
        errors = [one.exception() for one in fits]
        assert any(isinstance(error, PowerCut) for error in errors) == (cut < inf)
    for one, other in zip(whole, fits, strict=True):
        same(one, other.result())
    assert len(names(tmp_path)) == 3


@pytest.mark.slow
def test_fits_in_processes_share_a_folder(tmp_path: Path) -> None:
    search = searched(npe(checkpoint=tmp_path)).set_params(n_jobs=2)
    first = clone(search).fit(THETA, X)
    assert len(names(tmp_path)) == 5
    NOW.trained = 0
    again = clone(search).set_params(n_jobs=1).fit(THETA, X)
    assert NOW.trained == 0
    np.testing.assert_array_equal(answers(first), answers(again))


@pytest.mark.parametrize(
    "estimator",
    [
        npe(random_state=None),
        Ensemble(npe()),
        CalibratedPosterior(make_pipeline(StandardScaler(), npe())[-1]),
        PosteriorRegressor(npe(random_state=None)),
        SequentialInference(npe(), lambda theta: theta),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_seed_that_is_drawn_anew_is_refused(estimator: BaseEstimator, tmp_path: Path) -> None:
    where = "checkpoint" if isinstance(estimator, NPE) else "estimator__checkpoint"
    estimator = clone(estimator).set_params(**{where: tmp_path})
    pairs = (X[0],) if isinstance(estimator, SequentialInference) else (THETA, X)
    with pytest.raises(ValueError, match=r"checkpoint=.* needs a random_state, got \w+\(random"):
        estimator.fit(*pairs)
    assert not names(tmp_path)


def test_generators_are_as_good_as_an_integer(tmp_path: Path) -> None:
    for n_epochs in (3, 0):
        rng = np.random.default_rng(5)
        NOW.trained = 0
        npe(random_state=rng, checkpoint=tmp_path).fit(THETA, X)
        assert NOW.trained == n_epochs


def test_a_relative_path_is_where_it_was_when_fit_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leaves(Callback):
        def on_epoch_begin(self, net: NeuralNet, **_: object) -> None:
            os.chdir("/")

    monkeypatch.chdir(tmp_path)
    fit(npe(Leaves(), checkpoint="kept"))
    assert len(names(tmp_path / "kept")) == 1
    with pytest.raises(ValueError, match="checkpoint must be the path of a folder, got ''"):
        fit(npe(checkpoint=""))


def test_lazy_networks_go_on(tmp_path: Path) -> None:
    """Their weights get their shapes in the first fit."""
    embedding = nn.Sequential(nn.LazyLinear(4), nn.Tanh())
    scores = [
        fit(npe(embedding=embedding, **changes)).score(THETA, X)
        for changes in ({}, {"checkpoint": tmp_path}, {"checkpoint": tmp_path})
    ]
    assert len(set(scores)) == 1
    assert NOW.trained == 0


# Files that are damaged, and disks that are full.


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[NPE, Path, Path]:
    """Fit, and give that, its file, and the file of another fit."""
    folder = tmp_path_factory.mktemp("kept")
    whole = fit(npe(checkpoint=folder))
    (path,) = folder.iterdir()
    fit(npe(checkpoint=folder, random_state=1))
    (other,) = set(folder.iterdir()) - {path}
    return whole, path, other


def flipped(content: bytes) -> bytes:
    """Change a bit."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES = {"truncated": lambda content: content[:-20], "emptied": lambda _: b"", "flipped": flipped}


@pytest.mark.parametrize("name", [*DAMAGES, "exchanged"])
def test_a_damaged_file_is_told_and_done_without(
    name: str, ended: tuple[NPE, Path, Path], tmp_path: Path
) -> None:
    whole, path, other = ended
    damaged = tmp_path / path.name
    source, damage = (other, bytes) if name == "exchanged" else (path, DAMAGES[name])
    damaged.write_bytes(damage(source.read_bytes()))
    with pytest.warns(TrainingWarning, match=f"the checkpoint {damaged} is .*begins anew"):
        same(whole, fit(npe(checkpoint=tmp_path)))
    assert NOW.trained == 3
    fit(npe(checkpoint=tmp_path))
    assert NOW.trained == 0


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator, fsync = npe(checkpoint=tmp_path), os.fsync

    def full(handle: int) -> None:
        if NOW.trained > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    NOW.trained = 0
    monkeypatch.setattr(parts.os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        clone(estimator).fit(THETA, X)
    monkeypatch.setattr(parts.os, "fsync", fsync)
    assert f"What was written to {tmp_path} before is kept." in caught.value.__notes__
    assert len(names(tmp_path)) == 1
    same(fit(npe()), fit(estimator))
    assert NOW.trained == 1


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ValueError, match=f"checkpoint must be a folder, got {path}"):
        npe(checkpoint=path).fit(THETA, X)


# How often it is written.


def writes(monkeypatch: pytest.MonkeyPatch, folder: Path, *, takes: float) -> list[int]:
    """Tell after which epochs of ten a file is written, on a clock by which epochs take one."""
    clock, found = SimpleNamespace(now=1e6), []

    def write(path: Path, content: bytes) -> None:
        clock.now += takes
        found.append(NOW.trained)

    monkeypatch.setattr(checkpoint, "replace_file", write)
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock.now + NOW.trained)
    fit(npe(max_epochs=10, checkpoint=folder))
    return found


@pytest.mark.parametrize(
    ("seconds", "takes", "expected"),
    [(0.0, 0.0, [*range(1, 11), 10]), (4.0, 0.0, [4, 8, 10]), (2.0, 0.25, [2, 7, 10]),
     (100.0, 0.0, [10])],
)  # fmt: skip
def test_writing_takes_a_small_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, takes: float, expected: list
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", seconds)
    assert writes(monkeypatch, tmp_path, takes=takes) == expected


# warm_start, Ctrl-C, and losses that are no numbers.


def twice(folder: Path | None, first: int | None = None, second: int | None = None) -> NPE:
    """Fit twice by warm_start, the second time to other pairs, and cut the power in one."""
    made = npe(warm_start=True, checkpoint=folder)
    for pairs, epoch in (((THETA, X), first), ((THETA, X + 0.1), second)):
        NOW.epoch, NOW.trained = epoch, 0
        made.fit(*pairs)
    return made


def test_warm_starts_go_on_from_where_they_went_on_from(tmp_path: Path) -> None:
    whole = twice(None)
    for cut in ((2, None), (None, 2)):
        with pytest.raises(PowerCut):
            twice(tmp_path, *cut)
    last = twice(tmp_path)
    assert NOW.trained == 2
    same(whole, last)
    assert len(last.history_) == 6
    assert len(names(tmp_path)) == 2


def test_a_warm_start_from_another_state_is_another_fit(tmp_path: Path) -> None:
    for seed in (0, 1):
        made = npe(warm_start=True, random_state=seed).fit(THETA, X)
        NOW.trained = 0
        made.set_params(random_state=2, checkpoint=tmp_path).fit(THETA, X)
        assert NOW.trained == 3
    assert len(names(tmp_path)) == 2


class CtrlC(Callback):
    """Press Ctrl-C in an epoch, if that is wanted."""

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        if len(net.history) == NOW.ctrl_c:
            raise KeyboardInterrupt


@pytest.mark.parametrize("warm_start", [False, True])
def test_ctrl_c_is_as_before_and_the_file_is_there(warm_start: bool, tmp_path: Path) -> None:
    estimator = npe(CtrlC(), warm_start=warm_start, checkpoint=tmp_path)
    whole, stopped = fit(clone(estimator).set_params(checkpoint=None)), clone(estimator)
    NOW.ctrl_c = 3
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(THETA, X)
    NOW.ctrl_c = None
    assert getattr(stopped, "interrupted_", None) == (True if warm_start else None)
    same(whole, fit(estimator))
    assert NOW.trained == 1


class Breaking(nn.Module):
    """A loss that is no number, after some steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, posterior: torch.distributions.Distribution, theta: torch.Tensor):
        self.steps += self.training
        return -posterior.log_prob(theta) * (np.nan if self.steps > 4 else 1)


def test_a_loss_that_is_no_number_raises_again(tmp_path: Path) -> None:
    estimator = npe(criterion=Breaking, checkpoint=tmp_path)
    errors = []
    for _ in range(2):
        NOW.trained = 0
        with pytest.raises(FloatingPointError, match="loss became nan in epoch 3") as caught:
            clone(estimator).fit(THETA, X)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert NOW.trained == 1


# What a user's callbacks may do.


class Locked(Callback):
    """Hold from the beginning what nothing can look into."""

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        self.held_ = threading.Lock()


class Objects(Callback):
    """Remember what cannot be saved."""

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        self.held_ = stats.norm(len(net.history))


class Aliases(Callback):
    """Remember weights that go on moving."""

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        self.held_ = net.module_.state_dict()


class Replaces(Callback):
    """Take another object for what has a state."""

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        self.held_ = nn.Linear(1, 1)

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        self.held_ = nn.Linear(1, 1, bias=False)


class Gives(Locked):
    """Give a state that cannot be kept."""

    def state_dict(self) -> dict[str, object]:
        return {"held_": self.held_}

    def load_state_dict(self, state: dict[str, object]) -> None:
        self.held_ = state["held_"]


@pytest.mark.parametrize("callback", [Locked, Objects, Aliases, Replaces, Gives])
def test_what_cannot_be_kept_is_refused_in_the_first_epoch(
    callback: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    estimator = npe(("mine", callback()), checkpoint=tmp_path)
    with pytest.raises(
        TypeError, match=r"in the callback 'mine' it cannot keep ('held_'|what st).*state_d"
    ):
        clone(estimator).fit(THETA, X)
    assert NOW.trained <= 1
    fit(estimator.set_params(checkpoint=None))


def test_what_is_recorded_and_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    class Recording(Callback):
        def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
            net.history.record("object", object())

    with pytest.raises(TypeError, match="the history .* cannot: a builtins.object cannot be saved"):
        npe(Recording(), checkpoint=tmp_path).fit(THETA, X)


class Held(torch.optim.lr_scheduler.StepLR):
    """A scheduler into which nothing can look, but which gives a state."""

    def __init__(self, *args: object, **options: object) -> None:
        self.lock = threading.Lock()
        super().__init__(*args, **options)

    def state_dict(self) -> dict[str, object]:
        return {k: v for k, v in super().state_dict().items() if k != "lock"}


def test_schedulers_are_kept_by_their_state(tmp_path: Path) -> None:
    """Unlike what else skorch's callbacks hold, which they make anew in every epoch."""
    estimator = npe(callbacks__lr_scheduler=LRScheduler(Held, step_size=1))
    whole = fit(estimator)
    fit(estimator.set_params(checkpoint=tmp_path), 3)
    same(whole, fit(estimator))
    estimator.set_params(callbacks__lr_scheduler=LRScheduler(Odd, step_size=1))
    with pytest.raises(TypeError, match="cannot keep 'lr_scheduler_': a builtins.object"):
        estimator.fit(THETA, X)


class Odd(torch.optim.lr_scheduler.StepLR):
    """A scheduler whose state cannot be written down."""

    def state_dict(self) -> dict[str, object]:
        return {"odd": object()}


class Asked(Locked):
    """Say what is to be kept."""

    def initialize(self) -> "Asked":
        self.n_epochs_ = 0
        return self

    def on_epoch_end(self, net: NeuralNet, **_: object) -> None:
        self.n_epochs_ += 1
        net.optimizer_.param_groups[0]["lr"] *= self.n_epochs_

    def state_dict(self) -> dict[str, int]:
        return {"n_epochs": self.n_epochs_}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.n_epochs_ = state["n_epochs"]


def test_a_callback_may_say_what_is_to_be_kept(tmp_path: Path) -> None:
    estimator = npe(Asked(), callbacks__lr_scheduler=None)
    whole = fit(estimator)
    fit(estimator.set_params(checkpoint=tmp_path), 3)
    same(whole, fit(estimator))


class Embedding:
    """Make networks, with something inside that no other process can have."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __deepcopy__(self, _: object) -> "Embedding":
        return self

    def __call__(self, n: int) -> nn.Module:
        return MLP(n, 4)


def test_parameters_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"checkpoint must tell .* into embedding=.*_thread.lock"):
        npe(embedding=Embedding(), checkpoint=tmp_path).fit(THETA, X)
    npe(embedding=Embedding()).fit(THETA, X)


# What a user sees.


def test_the_bar_begins_where_the_training_goes_on(tmp_path: Path) -> None:
    estimator = npe(checkpoint=tmp_path)
    fit(estimator, 3)
    bar = dict(fit(estimator.set_params(verbose=1)).net_.callbacks_)["progress"].bar_
    assert (bar.initial, bar.n, bar.total) == (2, 3, 3)


def test_warnings_at_the_end_are_given_again(tmp_path: Path) -> None:
    """A fit that is found to have ended warns as it did when it ended."""

    class NotFinite(Callback):
        def on_grad_computed(self, net: NeuralNet, **_: object) -> None:
            next(net.module_.parameters()).grad *= np.inf if NOW.batch == 1 else 1
            NOW.batch += 1

    estimator = npe(NotFinite(), SkipNonFinite(), checkpoint=tmp_path)
    for _ in range(2):
        NOW.batch = 0
        with pytest.warns(TrainingWarning, match="1 of 6 training steps were skipped"):
            fit(estimator)
    assert NOW.trained == 0


def test_torchs_global_generator_ends_as_it_began(tmp_path: Path) -> None:
    estimator = clone(VARIANTS["dropout"]).set_params(checkpoint=tmp_path)
    before = torch.get_rng_state()
    for epoch in (2, None):
        fit(estimator, epoch)
        assert torch.equal(torch.get_rng_state(), before)


# kill -9.

SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import users_parts

folder, n_kills, n_epochs = Path(sys.argv[2]), *map(int, sys.argv[3:])
users_parts.fit(None, 2)  # what is slow in a first fit
for _ in range(n_kills):
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.checkpoint")}
    child = os.fork()
    if not child:
        users_parts.fit(folder, n_epochs)
        os._exit(0)
    while before == {path: path.stat().st_mtime_ns for path in folder.glob("*.checkpoint")}:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "a fit ended before it was killed"
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
"""

USERS_PARTS = """
import numpy as np
import torch
from math import inf
from skorch.callbacks import Callback

from sksbi import NPE
from sksbi.nn import MLP
from sksbi.training import checkpoint

checkpoint.SECONDS_BETWEEN, checkpoint.LARGEST_SHARE = 0.0, inf
RNG = np.random.default_rng(0)
THETA = RNG.uniform(size=(200, 2))
X = THETA + RNG.normal(size=(200, 2))
SEEN = {"train_loss", "valid_loss", "lr"}


class Flat:
    support = (0.0, 1.0)

    def sample(self, n, random_state):
        return np.random.default_rng(random_state).uniform(size=(n, 2))

    def log_prob(self, theta):
        return np.zeros(len(theta))


class Counting(Callback):
    names = {"a", "b", "c", "d"}

    def __init__(self, names):
        self.names = names

    def on_train_begin(self, net, **_):
        self.n_epochs_ = len(SEEN & {"lr"}) - 1

    def on_epoch_begin(self, net, **_):
        self.n_epochs_ += 1


def fit(folder, n_epochs):
    callbacks = [Counting({"red", "green", "blue"})]
    embedding = lambda n: torch.nn.Sequential(MLP(n, 4), torch.nn.Dropout(0.1))
    npe = NPE(Flat(), flow="maf", transforms=1, embedding=embedding, callbacks=callbacks,
              max_epochs=n_epochs, patience=None, device="cpu", random_state=0, checkpoint=folder)
    return npe.fit(THETA, X)
"""


def imported(path: Path) -> ModuleType:
    """Import a module, by the name that it has in the other process."""
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks")
@pytest.mark.parametrize("n_kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9(n_kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of another process, killed at random moments, end in this one."""
    (tmp_path / "users_parts.py").write_text(USERS_PARTS)
    (tmp_path / "kept").mkdir()
    n_epochs = 5 * n_kills
    paths = [tmp_path, tmp_path / "kept"]
    command = [sys.executable, "-c", SCRIPT, *paths, str(n_kills), str(n_epochs)]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"})
    users = imported(tmp_path / "users_parts.py")
    whole = users.fit(None, n_epochs)
    fit_loop, trained = NeuralNet.fit_loop, []

    def counting(net: NeuralNet, *args: object, **options: object) -> None:
        trained.append(len(net.history))
        fit_loop(net, *args, **options)

    monkeypatch.setattr(NeuralNet, "fit_loop", counting)
    last = users.fit(tmp_path / "kept", n_epochs)
    assert len(trained) <= n_epochs - n_kills
    np.testing.assert_array_equal(
        last.log_prob(users.THETA, users.X), whole.log_prob(users.THETA, users.X)
    )
    pd.testing.assert_frame_equal(*(e.history_.drop(columns="dur") for e in (last, whole)))
    assert len([*(tmp_path / "kept").glob("*.checkpoint")]) == 1
