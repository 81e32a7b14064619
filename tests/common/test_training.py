"""What every estimator of p(theta | x) promises about its training."""

import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import log_expit
from scipy.stats import norm
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, ShuffleSplit

from sksbi import AMNPE, AMNRE, FMPE, NPE, NRE
from sksbi.nn import FieldAt

Pairs = tuple[pd.DataFrame, pd.DataFrame]
Arrays = tuple[np.ndarray, np.ndarray]


def same(first: BaseEstimator, second: BaseEstimator, x: object) -> None:
    """Hold that two fits give the same draws, bit for bit."""
    draws = (np.asarray(e.sample(x, 20, random_state=1)) for e in (first, second))
    np.testing.assert_array_equal(*draws)


# sample_weight.


@pytest.mark.core
def test_rows_of_weight_zero_count_as_absent(posterior: BaseEstimator, pairs: Pairs) -> None:
    theta, x = pairs
    kept = np.random.default_rng(0).uniform(size=len(theta)) < 0.7
    odd_x = x.copy()
    odd_x[~kept] = 1e6
    weighted = clone(posterior).fit(theta, odd_x, sample_weight=kept.astype(float))
    absent = clone(posterior).fit(theta[kept], x[kept])
    same(weighted, absent, x[:3])
    if hasattr(weighted, "history_"):
        columns = ["train_loss", "valid_loss"]
        pd.testing.assert_frame_equal(
            weighted.history_[columns], absent.history_[columns], rtol=0, atol=0
        )


@pytest.mark.core
@pytest.mark.parametrize("scale", [2.0**-20, 1024.0])
def test_the_scale_of_weights_does_not_matter(
    posterior: BaseEstimator, arrays: Arrays, scale: float
) -> None:
    weights = np.random.default_rng(1).uniform(0, 2, len(arrays[0]))
    first = clone(posterior).fit(*arrays, sample_weight=weights)
    second = clone(posterior).fit(*arrays, sample_weight=scale * weights)
    same(first, second, arrays[1][:3])


@pytest.mark.core
def test_equal_weights_are_no_weights(posterior: BaseEstimator, arrays: Arrays) -> None:
    weighted = clone(posterior).fit(*arrays, sample_weight=np.full(len(arrays[0]), 0.3))
    same(weighted, clone(posterior).fit(*arrays), arrays[1][:3])


def test_weights_move_the_posterior(density: BaseEstimator, make_pairs: Callable) -> None:
    """Weights exp(2 mean) shift the prior N(0, 1) by 2: useless x shows that prior."""
    theta, _ = make_pairs(1000)
    x = np.random.default_rng(2).standard_normal(len(theta))
    weights = np.exp(2 * theta["mean"].clip(-2, 2))
    estimator = clone(density).set_params(max_epochs=20, lr=1e-2)
    draws = estimator.fit(theta, x, sample_weight=weights).sample(0.0, 2000)["mean"]
    expected = np.average(theta["mean"], weights=weights)
    effective = weights.sum() ** 2 / (weights**2).sum()
    # half a standard deviation for 20 epochs, on top of the noise of the weighted mean
    assert draws.mean() == pytest.approx(expected, abs=0.3 + 3 / np.sqrt(effective))
    assert expected > 1.0


# warm_start.


def test_warm_start_goes_on(network: BaseEstimator, pairs: Pairs) -> None:
    warm = clone(network).set_params(warm_start=True).fit(*pairs)
    before = warm.history_
    again = warm.fit(*pairs).history_
    assert again["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    pd.testing.assert_frame_equal(again[:3], before)
    assert again["train_loss"][3] < before["train_loss"][0]
    assert again["train_loss"].iloc[-1] < before["train_loss"].iloc[-1]


def test_warm_start_goes_on_after_a_pickle(network: BaseEstimator, pairs: Pairs) -> None:
    warm = clone(network).set_params(warm_start=True).fit(*pairs)
    copy = pickle.loads(pickle.dumps(warm))
    same(warm.fit(*pairs), copy.fit(*pairs), pairs[1].iloc[:3])
    assert len(copy.history_) == 6


def test_warm_start_knows_a_module_again(arrays: Arrays) -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    npe = NPE(flow="maf", transforms=1, embedding=layers, max_epochs=1, warm_start=True)
    assert len(npe.fit(*arrays).fit(*arrays).history_) == 2
    npe.set_params(embedding=torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)))
    with pytest.raises(ValueError, match="embedding was set to"):
        npe.fit(*arrays)


def test_without_warm_start_fit_begins_anew(network: BaseEstimator, pairs: Pairs) -> None:
    estimator = clone(network).fit(*pairs)
    first = pickle.loads(pickle.dumps(estimator))
    assert len(estimator.fit(*pairs).history_) == 3
    same(first, estimator, pairs[1].iloc[:3])


def test_warm_start_on_new_pairs_keeps_the_scalings(network: BaseEstimator, pairs: Pairs) -> None:
    """With steps of almost no length the densities stay, whatever the new pairs look like."""
    theta, x = pairs
    warm = clone(network).set_params(warm_start=True, optimizer="sgd").fit(theta, x)
    before = warm.log_prob(theta, x)
    warm.set_params(lr=1e-12).fit(theta, 3 * x + 5)
    np.testing.assert_allclose(warm.log_prob(theta, x), before, rtol=0, atol=1e-4)


def test_warm_start_takes_a_changed_learning_rate(network: BaseEstimator, pairs: Pairs) -> None:
    warm = clone(network).set_params(warm_start=True, lr=1e-3, callbacks__lr_scheduler=None)
    warm.fit(*pairs).set_params(lr=1e-5).fit(*pairs)
    assert warm.history_["lr"].tolist() == [1e-3] * 3 + [1e-5] * 3


@pytest.mark.parametrize("name", ["theta", "x"])
def test_warm_start_refuses_other_columns(network: BaseEstimator, pairs: Pairs, name: str) -> None:
    warm = clone(network).set_params(warm_start=True, prior=None).fit(*pairs)
    tables = dict(zip(("theta", "x"), pairs, strict=True))
    tables[name] = tables[name].rename(columns=lambda column: column + "2")
    with pytest.raises(ValueError, match=rf"(?s){name}.*fit.*2"):
        warm.fit(**tables)


# validation_fraction.


def fold(pairs: Pairs, _: Callable[..., Pairs]) -> tuple[KFold, Pairs]:
    """Hold out by a splitter: its first fold."""
    _, valid = next(KFold(4).split(pairs[0]))
    return KFold(4), (pairs[0].iloc[valid], pairs[1].iloc[valid])


def pair(_: Pairs, make_pairs: Callable[..., Pairs]) -> tuple[Pairs, Pairs]:
    """Hold out a pair of tables."""
    return (make_pairs(50, seed=1),) * 2


class OwnOnly(torch.nn.Module):
    """A criterion for ratios that looks at every theta with its own x only."""

    def forward(self, log_ratio: Callable, theta: torch.Tensor) -> torch.Tensor:
        losses = torch.nn.functional.softplus(-log_ratio(theta))
        return losses.reshape(-1, len(theta)).mean(0)


def mean_log_odds(nre: NRE, theta: pd.DataFrame, x: pd.DataFrame) -> float:
    """Compute minus the loss of that criterion."""
    return log_expit(nre.predict_log_ratio(theta, x)).mean()


class Still(torch.nn.Module):
    """A criterion for fields that looks at theta itself, half way to the noise."""

    def forward(self, field: FieldAt, theta: torch.Tensor) -> torch.Tensor:
        w = field.whiten(theta)
        errors = (field(w, torch.full((len(w),), 0.8)) - w).square().sum(-1)
        return errors.reshape(-1, len(theta)).mean(0)


def mean_stillness(fmpe: FMPE, theta: pd.DataFrame, x: pd.DataFrame) -> float:
    """Compute minus the loss of that criterion."""
    u, _ = fmpe._theta_space.to_network(theta.to_numpy())
    seen = torch.from_numpy(fmpe._x_space.transform(x.to_numpy()))
    with torch.no_grad():
        field = fmpe.net_.module_.eval()(seen)
        return -float(Still()(field, torch.from_numpy(u.astype(np.float32))).mean())


@pytest.mark.parametrize("make", [fold, pair])
def test_validation_loss_is_of_the_held_out_rows(
    network: BaseEstimator, pairs: Pairs, make_pairs: Callable, make: Callable
) -> None:
    """Between two stages of a training it falls by as much as the score of these rows grows."""
    choice, held_out = make(pairs, make_pairs)
    warm = clone(network).set_params(validation_fraction=choice, patience=None, warm_start=True)
    score = type(network).score
    if isinstance(network, AMNPE | AMNRE):
        warm.set_params(masks=1.0)  # of all parameters, as the score
    if isinstance(network, NRE | AMNRE):  # whose criterion pairs rows at random: one that does not
        warm.set_params(criterion=OwnOnly)
        score = mean_log_odds
    if isinstance(network, FMPE):  # whose criterion draws noise at random: one that does not
        warm.set_params(criterion=Still)
        score = mean_stillness
    scores = [score(warm.fit(*pairs), *held_out) for _ in range(2)]
    losses = warm.history_["valid_loss"].iloc[[2, 5]].to_numpy()
    assert abs(scores[1] - scores[0]) > 1e-3  # a hundred times what the next line allows
    assert losses[0] - losses[1] == pytest.approx(scores[1] - scores[0], abs=1e-5)


def test_splitters_decide_what_is_held_out(trained: BaseEstimator, arrays: Arrays) -> None:
    """A held-out row does not move the weights: with other theta there, the training loss stays."""
    theta, x = arrays
    splitter = ShuffleSplit(1, test_size=0.2, random_state=0)
    _, valid = next(splitter.split(theta))
    swapped = x.copy()
    swapped[valid] = x[valid][::-1]
    estimator = clone(trained).set_params(validation_fraction=splitter, patience=None)
    first, second = clone(estimator).fit(theta, x), clone(estimator).fit(theta, swapped)
    np.testing.assert_array_equal(first.history_["train_loss"], second.history_["train_loss"])
    assert (first.history_["valid_loss"] != second.history_["valid_loss"]).all()


def test_validation_by_a_pair_trains_on_all_rows(
    trained: BaseEstimator, make_pairs: Callable[..., Pairs], pairs: Pairs
) -> None:
    held_out = make_pairs(50, seed=1)
    both = clone(trained).set_params(validation_fraction=held_out, patience=None).fit(*pairs)
    none = clone(trained).set_params(validation_fraction=None).fit(*pairs)
    assert "valid_loss" not in none.history_
    np.testing.assert_array_equal(both.history_["train_loss"], none.history_["train_loss"])


def test_a_float_holds_out_rows_by_the_seed(trained: BaseEstimator, arrays: Arrays) -> None:
    """The held-out rows differ from seed to seed."""
    theta, x = arrays
    losses = [
        clone(trained)
        .set_params(validation_fraction=0.25, random_state=seed)
        .fit(theta, x)
        .history_["valid_loss"][0]
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]


# Images.


def blobs(n: int, rng: np.random.Generator) -> Arrays:
    """Draw noisy 8 by 8 images of a blob, and its position."""
    theta = rng.uniform(1, 6, (n, 2))
    grid = np.arange(8)
    rows, columns = (norm.pdf(grid, theta[:, [k]], 1.0) for k in (0, 1))
    images = 10 * rows[:, :, None] * columns[:, None, :]
    return theta, images + 0.1 * rng.standard_normal((n, 8, 8))


def test_learns_from_images() -> None:
    """
    The posterior mean is close to the position.

    The Fisher information of a Gaussian blob of amplitude 10 / (2 pi) and width 1 under pixel noise
    0.1 is A^2 pi / (2 0.1^2), so no estimate is better than 0.05; a guess without looking errs by
    5 / sqrt(12) = 1.44. A quarter of a pixel is asked for.
    """
    theta, x = blobs(2000, np.random.default_rng(0))
    convolutions = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 8)),
        torch.nn.Conv2d(1, 8, 3, stride=2, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 16),
    )
    npe = NPE(
        [norm(3.5, 1.5)] * 2,
        flow="maf",
        transforms=2,
        hidden_features=(32,),
        embedding=convolutions,
        lr=1e-2,
        max_epochs=15,
        random_state=0,
    ).fit(theta, x)
    truth, images = blobs(100, np.random.default_rng(1))
    error = npe.sample(images, 200).mean(axis=1) - truth
    assert np.sqrt((error**2).mean()) < 0.25
