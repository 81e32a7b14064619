"""Training with skorch: what stops it, what it restores, and what is passed on."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from sksbi.data import TensorPairs
from sksbi.losses import NegativeLogLikelihood
from sksbi.training import (
    build_net,
    check_passed_on,
    draws_globally,
    extend_history,
    load_state,
    pack_state,
)
from sksbi.training import train as run_training
from sksbi.utils.random import borrowed_global_generator

LR = 0.05


class Gaussian(nn.Module):
    """x -> N(f(x), 1) with a small network f."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        layers = [nn.Linear(2, 32), nn.Tanh(), nn.Dropout(dropout), nn.Linear(32, 2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Distribution:
        """Build the distribution."""
        return Independent(Normal(self.layers(x), 1.0), 1)


class NotANumber(NegativeLogLikelihood):
    """A loss that fails in training, or in validation only."""

    def __init__(self, training: bool) -> None:
        super().__init__()
        self.fails = training

    def forward(self, posterior: Distribution, theta: Tensor) -> Tensor:
        """Compute one loss a row, one of which may be NaN."""
        losses = super().forward(posterior, theta)
        fails = losses.requires_grad == self.fails
        return losses.index_fill(0, torch.tensor([0]), torch.nan) if fails else losses


class Recorder(Callback):
    """A user's callback: the norms of gradients, and an interrupt when asked for."""

    def __init__(self, interrupt_in: int | None = None) -> None:
        self.interrupt_in = interrupt_in

    def initialize(self) -> "Recorder":
        """Start lists."""
        self.norms_, self.weights_ = [], []
        return self

    def on_train_begin(self, net: NeuralNet, **_: object) -> None:
        """Keep the first weights."""
        self.weights_.append(weights(net).clone())

    def on_batch_end(self, net: NeuralNet, training: bool = False, **_: object) -> None:
        """Keep the weights after every step."""
        if training:
            self.weights_.append(weights(net).clone())

    def on_grad_computed(self, net: NeuralNet, **_: object) -> None:
        """Keep the norm of all gradients."""
        gradients = [p.grad.flatten() for p in net.module_.parameters()]
        self.norms_.append(torch.cat(gradients).norm().item())
        if len(net.history) == self.interrupt_in:
            raise KeyboardInterrupt


def pairs(n: int, seed: int = 0) -> TensorPairs:
    """Make noisy pairs with weights of mean 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    theta = np.sin(2 * x) + rng.normal(size=(n, 2))
    weight = rng.uniform(0.5, 1.5, n)
    arrays = (x, theta, weight / weight.mean())
    return TensorPairs(*(torch.from_numpy(a.astype(np.float32)) for a in arrays))


TRAIN, VALID = pairs(60), pairs(300, seed=1)


def build(module: nn.Module | None = None, criterion: nn.Module | None = None, **changes: object):
    """Build a net with reproducible weights and order."""
    settings = {
        "optimizer": "adamw",
        "lr": LR,
        "batch_size": 25,
        "max_epochs": 4,
        "patience": None,
        "callbacks": None,
        "device": "cpu",
        "verbose": 0,
        "passed_on": {},
        "n_train": 60,
        "valid": VALID,
        "generator": torch.Generator().manual_seed(0),
    }
    with borrowed_global_generator(0):
        module = Gaussian() if module is None else module
        criterion = NegativeLogLikelihood() if criterion is None else criterion
        return build_net(module, criterion, **settings | changes)


def fit(*args: nn.Module, train: TensorPairs = TRAIN, **changes: object) -> NeuralNet:
    """Build a net and train it."""
    net = build(*args, n_train=len(train), **changes)
    run_training(net, train)
    return net


def loss(net: NeuralNet, data: TensorPairs) -> float:
    """Compute the weighted mean loss."""
    module = deepcopy(net.module_).eval()
    with torch.no_grad():
        return (-module(data.context).log_prob(data.target) * data.weight).mean().item()


def weights(net: NeuralNet) -> Tensor:
    """Line up all weights."""
    return torch.cat([p.detach().flatten() for p in net.module_.parameters()])


def recorder(net: NeuralNet) -> Recorder:
    """Find the net's own copy of the user's callback."""
    return next(c for _, c in net.callbacks_ if isinstance(c, Recorder))


OVERFITTING = {
    "train": pairs(12),
    "max_epochs": 80,
    "patience": 3,
    "passed_on": {"callbacks__lr_scheduler": None, "optimizer__weight_decay": 0.0},
}


def test_early_stopping_restores_the_best_weights() -> None:
    net = fit(**OVERFITTING)
    losses = net.history[:, "valid_loss"]
    assert 3 < len(losses) < 80
    assert len(losses) - 1 - np.argmin(losses) == 3
    np.testing.assert_allclose(loss(net, VALID), min(losses), rtol=1e-6)
    assert losses[-1] > min(losses)


def test_the_best_weights_are_restored_after_the_last_epoch_too() -> None:
    net = fit(**OVERFITTING | {"max_epochs": 60, "patience": 100})
    losses = net.history[:, "valid_loss"]
    assert len(losses) == 60
    assert losses[-1] > min(losses)
    np.testing.assert_allclose(loss(net, VALID), min(losses), rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"patience": None},
        {"valid": None},
        {"passed_on": OVERFITTING["passed_on"] | {"callbacks__early_stopping": None}},
    ],
)
def test_without_early_stopping_all_epochs_run(changes: dict) -> None:
    net = fit(**OVERFITTING | changes)
    assert len(net.history) == 80
    assert ("valid_loss" in net.history[-1]) == ("valid" not in changes)


def test_early_stopping_lets_the_rate_fall_from_the_best_weights() -> None:
    """Where the patience ends early, the rest is a short fall of the rate, not the planned one."""
    settings = OVERFITTING | {"passed_on": {"optimizer__weight_decay": 0.0}}
    net = fit(**settings)
    valid, rates = np.array(net.history[:, "valid_loss"]), np.array(net.history[:, "lr"])
    turn = int(np.argmax(np.diff(rates) < -0.05 * LR)) if len(rates) > 1 else 0
    assert len(rates) < settings["max_epochs"]
    assert rates[-1] < 1e-3 * LR
    assert (np.diff(rates[turn:]) <= 0).all()
    assert loss(net, VALID) == pytest.approx(valid.min(), rel=1e-5)


def test_misses_count_only_after_the_rise() -> None:
    """A validation loss that gets worse while the rate rises does not end the training."""

    def epochs(rise: float) -> int:
        callbacks = {"callbacks__lr_scheduler__rise": rise}
        options = {"callbacks__lr_scheduler__total_steps": 80}
        passed_on = OVERFITTING["passed_on"] | callbacks | options
        passed_on = {k: v for k, v in passed_on.items() if k != "callbacks__lr_scheduler"}
        return len(fit(**OVERFITTING | {"passed_on": passed_on}).history)

    assert epochs(0.9) >= 72 > epochs(0.01)


def test_an_interrupt_passes_through() -> None:
    net = build(callbacks=[Recorder(interrupt_in=2)], patience=1)
    with pytest.raises(KeyboardInterrupt):
        run_training(net, TRAIN)
    assert len(net.history) == 2


@pytest.mark.parametrize(("training", "name"), [(True, "train_loss"), (False, "valid_loss")])
def test_a_loss_that_is_no_number_names_the_epoch_and_the_rate(training: bool, name: str) -> None:
    net = build(None, NotANumber(training))
    rule = rf"{name} became nan in epoch 1 at lr=\S+ \(the highest is lr={LR}\).*smaller lr"
    with pytest.raises(FloatingPointError, match=rule):
        run_training(net, TRAIN)


def test_a_loss_that_explodes_names_a_later_epoch() -> None:
    passed_on = {"callbacks__lr_scheduler": None, "callbacks__gradient_clipping": None}
    net = build(optimizer="sgd", lr=50.0, max_epochs=500, passed_on=passed_on)
    with pytest.raises(FloatingPointError, match=r"became (nan|inf) in epoch \d+ at lr=50 "):
        run_training(net, TRAIN)


@pytest.mark.parametrize("batch_size", [7, 25, 60, 1000])
def test_the_schedule_ends_near_zero_after_the_last_epoch(batch_size: int) -> None:
    rates = fit(batch_size=batch_size).history[:, "lr"]
    assert max(rates) <= LR * (1 + 1e-12)
    assert rates[-1] < 1e-3 * LR
    other = fit(passed_on={"iterator_train__batch_size": batch_size})
    np.testing.assert_allclose(other.history[:, "lr"], rates)


def test_without_the_schedule_the_rate_is_constant() -> None:
    net = fit(passed_on={"callbacks__lr_scheduler": None})
    assert set(net.history[:, "lr"]) == {LR}


def test_a_schedule_can_be_replaced() -> None:
    halving = LRScheduler(policy="StepLR", step_size=1, gamma=0.5, event_name=None)
    net = fit(passed_on={"callbacks__lr_scheduler": halving})
    ratios = np.divide(net.history[1:, "lr"], net.history[:-1, "lr"])
    np.testing.assert_allclose(ratios, 0.5)


@pytest.mark.parametrize("value", [1e-3, 0.1])
def test_gradients_are_clipped(value: float) -> None:
    name = "callbacks__gradient_clipping"
    clipped = fit(callbacks=[Recorder()], passed_on={f"{name}__gradient_clip_value": value})
    free = fit(callbacks=[Recorder()], passed_on={name: None})
    assert max(recorder(clipped).norms_) <= value * 1.001
    assert min(recorder(free).norms_) > value


def test_gradients_are_clipped_unless_told_otherwise() -> None:
    steep = TensorPairs(TRAIN.context, 1e4 * TRAIN.target, TRAIN.weight)
    net = fit(train=steep, callbacks=[("mine", Recorder())])
    assert max(recorder(net).norms_) <= 5.005


@pytest.mark.parametrize("valid", [VALID, None])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.995])
def test_a_net_ends_on_the_average_of_its_weights(decay: float, valid: TensorPairs | None) -> None:
    passed_on = {"callbacks__weight_averaging__decay": decay}
    net = fit(callbacks=[Recorder()], valid=valid, passed_on=passed_on)
    average, *moving = recorder(net).weights_
    for step, present in enumerate(moving, start=1):
        kept = min(decay, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * present
    torch.testing.assert_close(weights(net), average, rtol=1e-5, atol=1e-6)


def test_averaging_does_not_change_the_way_of_the_weights() -> None:
    free = fit(callbacks=[Recorder()], passed_on={"callbacks__weight_averaging": None})
    averaged = fit(callbacks=[Recorder()])
    pairs_of_weights = zip(recorder(free).weights_, recorder(averaged).weights_, strict=True)
    assert all(torch.equal(*pair) for pair in pairs_of_weights)
    assert torch.equal(weights(free), recorder(free).weights_[-1])
    assert averaged.history[:, "train_loss"] == free.history[:, "train_loss"]
    assert averaged.history[:, "valid_loss"] != free.history[:, "valid_loss"]


def test_early_stopping_can_be_set_and_replaced() -> None:
    name = "callbacks__early_stopping"
    changed = OVERFITTING["passed_on"] | {f"{name}__patience": 6}
    losses = fit(**OVERFITTING | {"passed_on": changed}).history[:, "valid_loss"]
    assert len(losses) - 1 - np.argmin(losses) == 6
    stopping = EarlyStopping(monitor="train_loss", threshold=1e3, threshold_mode="abs", patience=2)
    changed = OVERFITTING["passed_on"] | {name: stopping}
    assert len(fit(**OVERFITTING | {"passed_on": changed}).history) == 3


@pytest.mark.parametrize("callback", [Recorder(), ("mine", Recorder()), Recorder])
def test_a_users_callbacks_run_as_copies(callback: object) -> None:
    given = [callback]
    net = fit(callbacks=given)
    assert len(recorder(net).norms_) == 3 * 4
    assert given == [callback]
    instance = callback[1] if isinstance(callback, tuple) else callback
    assert not hasattr(instance, "norms_")


@pytest.mark.parametrize(
    ("passed_on", "message"),
    [
        ({"optimizer__lrr": 1}, "optimizer__lrr is not a parameter.*'weight_decay'"),
        ({"iterator_train__shufle": True}, "iterator_train__shufle is not.*'shuffle'"),
        ({"callbacks__clipping__value": 1}, "no callback 'clipping'.*'gradient_clipping'"),
        ({"callbacks__clipping": None}, "no callback 'clipping'.*'gradient_clipping'"),
        ({"callbacks__gradient_clipping__valu": 1}, "valu"),
        ({"callbacks__lr_scheduler__polic": 1}, "polic"),
    ],
)
def test_mistyped_parameters_are_refused(passed_on: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        build(passed_on=passed_on)


@pytest.mark.parametrize(
    "passed_on",
    [
        {"callbacks__early_stopping": None},
        {"callbacks__early_stopping__patience": 3},
        {"callbacks__progress": None},
    ],
)
def test_callbacks_that_are_switched_off_may_be_named(passed_on: dict) -> None:
    assert len(fit(passed_on=passed_on).history) == 4


@pytest.mark.parametrize("optimizer", ["nadamm", "Optimizer", "", None, 3])
def test_an_unknown_optimizer_is_refused(optimizer: object) -> None:
    with pytest.raises((ValueError, TypeError), match=f"optimizer must be.*'sgd'.*{optimizer!r}"):
        build(optimizer=optimizer)


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        ("adamw", torch.optim.AdamW),
        ("Adam", torch.optim.Adam),
        ("sgd", torch.optim.SGD),
        (torch.optim.RMSprop, torch.optim.RMSprop),
        (partial(torch.optim.SGD, momentum=0.5), torch.optim.SGD),
    ],
)
def test_optimizers_by_name_class_and_partial(optimizer: object, kind: type) -> None:
    net = fit(optimizer=optimizer, passed_on={"optimizer__weight_decay": 0.125})
    assert isinstance(net.optimizer_, kind)
    assert net.optimizer_.param_groups[0]["weight_decay"] == 0.125
    assert loss(net, TRAIN) < loss(build(), TRAIN)


def test_what_is_passed_on_is_selected_by_prefix() -> None:
    given = {"optimizer__nesterov": 1, "optimizer__momentum": 2, "module__lr": 3}
    chosen = check_passed_on(given, "optimizer__", torch.optim.SGD)
    assert chosen == {"nesterov": 1, "momentum": 2}
    assert check_passed_on(given, "criterion__", torch.optim.SGD) == {}
    anything = {"optimizer__whatever": 1}

    def factory(parameters: object, **options: object) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, **options)

    assert check_passed_on(anything, "optimizer__", factory) == {"whatever": 1}


def test_the_order_of_the_rows_follows_the_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = (
        weights(fit(generator=torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_is_seen_to_draw_and_nothing_is_moved(dropout: float) -> None:
    module = nn.Sequential(nn.BatchNorm1d(2), Gaussian(dropout)).eval()
    net = build(module)
    state, before = deepcopy(net.module_.state_dict()), torch.get_rng_state()
    assert draws_globally(net, TRAIN) == (dropout > 0)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(state[k], v) for k, v in net.module_.state_dict().items())


def test_weights_of_rows_count_in_both_losses() -> None:
    net = fit(max_epochs=1, batch_size=1000, lr=1e-12)
    np.testing.assert_allclose(net.history[-1, "train_loss"], loss(net, TRAIN), rtol=1e-5)
    np.testing.assert_allclose(net.history[-1, "valid_loss"], loss(net, VALID), rtol=1e-5)


def test_a_loaded_state_goes_on_as_if_never_packed() -> None:
    passed_on = {"optimizer__weight_decay": 0.125}
    net = fit(passed_on=passed_on)
    state = pack_state(net, optimizer=True)
    again = build(passed_on=passed_on)
    load_state(again, state)
    assert torch.equal(weights(again), weights(net))
    x, target = TRAIN[:]
    for each in (net, again):
        assert each.optimizer_.param_groups[0]["weight_decay"] == 0.125
        each.optimizer_.param_groups[0]["lr"] = LR
        each.optimizer_.zero_grad()
        each.criterion_(each.module_(x), target).backward()
        each.optimizer_.step()
    assert torch.equal(weights(again), weights(net))
    assert not np.array_equal(state["module"]["layers.0.weight"], net.module_.layers[0].weight.data)


def test_a_state_without_the_optimizer_holds_arrays_only() -> None:
    net = fit()
    state = pack_state(net, optimizer=False)
    assert list(state) == ["module"]
    assert all(type(value) is np.ndarray for value in state["module"].values())
    again = build()
    load_state(again, state)
    assert torch.equal(weights(again), weights(net))


def test_history_goes_on_counting_and_keeps_the_last_batch_only() -> None:
    net = fit()
    rows = extend_history(extend_history([], net), net)
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert set(rows[0]) == {"epoch", "train_loss", "valid_loss", "lr", "dur"}
    assert rows[5]["train_loss"] == net.history[1, "train_loss"]
    assert all(len(epoch["batches"]) == 1 for epoch in net.history)


@pytest.mark.parametrize("interrupt_in", [None, 2])
def test_progress_shows_epochs_and_the_loss_and_is_closed(
    interrupt_in: int | None, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    net = build(verbose=1, callbacks=[Recorder(interrupt_in)])
    try:
        run_training(net, TRAIN)
    except KeyboardInterrupt:
        assert interrupt_in == 2
    bar = next(c for _, c in net.callbacks_ if hasattr(c, "bar_")).bar_
    assert bar.disable
    text = capsys.readouterr().err
    assert "/4" in text
    if not interrupt_in:
        assert f"valid_loss={net.history[-1, 'valid_loss']:.3f}" in text


def test_nothing_is_shown_unless_asked_for(capsys: pytest.CaptureFixture) -> None:
    fit()
    assert "".join(capsys.readouterr()) == ""
