"""NPE at the edges: parts without seeds, changed parameters, embeddings and flows that are none."""

import os
import pickle
import shutil
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.model_selection import PredefinedSplit, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from skorch.callbacks import EarlyStopping

from sksbi import NPE
from sksbi.nn import MLP

THETA, X = np.random.default_rng(9).normal(size=(2, 300, 2))
FAST = {"flow": "maf", "transforms": 1, "hidden_features": (8,), "max_epochs": 2, "random_state": 0}


@pytest.mark.parametrize(
    "parameters",
    [
        {"validation_fraction": ShuffleSplit(1)},
        {"x_transformer": QuantileTransformer(n_quantiles=50, subsample=100)},
        {"x_transformer": PCA(1, svd_solver="randomized")},
        {"theta_transformer": PCA(svd_solver="randomized")},
    ],
    ids=str,
)
def test_parts_without_a_seed_get_one_from_the_estimator(parameters: dict) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (NPE(**FAST | parameters).fit(THETA, X) for _ in range(2))
    np.testing.assert_array_equal(first.log_prob(THETA, X), second.log_prob(THETA, X))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("learnt_from_theta", [False, True])
def test_features_by_a_transformer_are_what_the_network_sees(learnt_from_theta: bool) -> None:
    """Features of the rows to train on, then the same as from the user's own table of them."""
    features = SelectKBest(f_regression_of_first, k=1) if learnt_from_theta else PCA(1)
    x = np.hstack([X, np.random.default_rng(0).normal(size=(300, 30))])
    x[:, 7] = 3 * THETA[:, 0]
    npe = NPE(x_features=features, **FAST).fit(THETA, x)
    assert npe._spec["x_shape"] == (1,)
    assert npe.log_prob(THETA, x).shape == (300,)
    other = x.copy()
    other[:, [i for i in range(32) if i != 7]] = 0.0
    unchanged = np.allclose(npe.log_prob(THETA, other), npe.log_prob(THETA, x))
    assert unchanged is learnt_from_theta


def f_regression_of_first(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Score columns by the first parameter."""
    return f_regression(x, theta[:, 0])[0]


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"x_features": "pca"}, ValueError, "'x_features' parameter .* Got 'pca' instead"),
        ({"x_features": PCA}, TypeError, "x_features must be an estimator, got the class PCA"),
        ({"x_features": PCA(5)}, ValueError, "x_features=PCA.* cannot be fitted to x and theta"),
        ({"x_features": PLSRegression(1)}, ValueError, "must return a table"),
        (
            {"x_features": PCA(1), "embedding": partial(MLP, out_features=2)},
            ValueError,
            "embedding=.* hands x to the network without: give one of the two",
        ),
        (
            {"x_features": PCA(1), "x_transformer": "passthrough"},
            ValueError,
            "x_transformer='passthrough' hands x to the network without",
        ),
    ],
)
def test_features_that_are_none_are_refused(parameters: dict, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        NPE(**FAST | parameters).fit(THETA, X)


def test_a_box_cox_transformer_is_minus_infinity_for_negative_theta() -> None:
    transformer = make_pipeline(MaxAbsScaler(), PowerTransformer("box-cox"))
    npe = NPE(theta_transformer=transformer, **FAST).fit(np.exp(THETA), X)
    log_prob = npe.log_prob([[-1.0, 1.0], [1.0, 1.0], [1.0, 0.0]], X[0])
    np.testing.assert_array_equal(np.isneginf(log_prob), [True, False, True])


def test_one_nan_from_an_x_transformer_is_refused_in_fit_and_after() -> None:
    root = FunctionTransformer(lambda x: np.where(x > 0, x, np.nan))
    x = np.abs(X) + 1
    npe = NPE(x_transformer=root, **FAST).fit(THETA, x)
    with pytest.raises(ValueError, match="x after x_transformer=.*NaN"):
        npe.sample([-1.0, 1.0], 3)
    x[5, 0] = -1
    with pytest.raises(ValueError, match="x after x_transformer=.*NaN"):
        NPE(x_transformer=root, **FAST).fit(THETA, x)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"prior": [stats.norm(0, 9)] * 2}, "prior"),
        ({"flow": "nsf"}, "flow"),
        ({"hidden_features": (9,)}, "hidden_features"),
        ({"x_transformer": StandardScaler()}, "x_transformer"),
        ({"module__residual": True}, "module__residual"),
    ],
)
def test_a_warm_start_refuses_what_it_cannot_change(changed: dict, name: str) -> None:
    npe = NPE([stats.norm(0, 5)] * 2, warm_start=True, **FAST).fit(THETA, X)
    before = npe.log_prob(THETA, X)
    with pytest.raises(ValueError, match=f"warm_start .* {name} was set to"):
        npe.set_params(**changed).fit(THETA, X)
    np.testing.assert_array_equal(npe.log_prob(THETA, X), before)


def test_a_warm_start_goes_on_with_another_optimizer() -> None:
    npe = NPE(warm_start=True, optimizer="sgd", optimizer__momentum=0.9, **FAST).fit(THETA, X)
    npe.set_params(optimizer="adam", optimizer__momentum=None)
    del npe.optimizer__momentum
    assert len(npe.fit(THETA, X).history_) == 4


@pytest.mark.parametrize("shape", [(-1, 1), ()])
def test_a_criterion_must_return_one_loss_a_row(shape: tuple) -> None:
    class Wrong(torch.nn.Module):
        def forward(self, posterior: object, theta: torch.Tensor) -> torch.Tensor:
            losses = -posterior.log_prob(theta)
            return losses.reshape(shape) if shape else losses.mean()

    with pytest.raises(ValueError, match="one loss a row, shape"):
        NPE(criterion=Wrong, **FAST).fit(THETA, X)


@pytest.mark.parametrize(
    "name", ["optimizer__lr", "module__features", "iterator_train__dataset", "module__flow"]
)
def test_what_the_estimator_sets_itself_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is not to be set"):
        NPE(**FAST, **{name: 3}).fit(THETA, X)


def test_changing_a_parameter_in_place_leaves_the_fitted_state_alone() -> None:
    npe = NPE(**FAST | {"hidden_features": [8]}).fit(THETA, X)
    npe.hidden_features.append(3)
    loaded = pickle.loads(pickle.dumps(npe))
    np.testing.assert_array_equal(loaded.log_prob(THETA, X), npe.log_prob(THETA, X))


class Masks:
    """Split by masks, validating on the rows that are True."""

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask

    def get_n_splits(self) -> int:
        """Count the splits."""
        return 1

    def split(self, theta: object, x: object) -> Iterator:
        """Give training and validation mask."""
        yield ~self.mask, self.mask


def test_a_splitter_may_give_masks() -> None:
    mask = np.arange(300) % 3 == 0
    by_mask = NPE(**FAST, validation_fraction=Masks(mask)).fit(THETA, X)
    by_rows = NPE(**FAST, validation_fraction=PredefinedSplit(np.where(mask, 0, -1)))
    np.testing.assert_array_equal(
        by_mask.log_prob(THETA, X), by_rows.fit(THETA, X).log_prob(THETA, X)
    )
    with pytest.raises(ValueError, match="row numbers below 300 or masks of 300 rows"):
        NPE(**FAST, validation_fraction=Masks(np.ones(7, bool))).fit(THETA, X)
    with pytest.raises(ValueError, match="validation_fraction"):
        NPE(**FAST | {"validation_fraction": "0.1"}).fit(THETA, X)


@pytest.mark.parametrize(
    "embedding",
    [MLP, partial(MLP, hidden_features=3), lambda features: 3, torch.nn.Flatten(0)],
    ids=["class", "partial", "number", "loses the rows"],
)
def test_embeddings_that_are_none_are_refused(embedding: object) -> None:
    with pytest.raises(ValueError, match=r"embedding=.* must map x of shape \(n, 2\)"):
        NPE(embedding=embedding, **FAST).fit(THETA, X)


@pytest.mark.parametrize(
    "flow", [lambda features, context: 3, lambda features, context: torch.nn.Linear(-1, 1)]
)
def test_flows_that_are_none_are_refused(flow: object) -> None:
    with pytest.raises((TypeError, ValueError), match="flow="):
        NPE(flow=flow, max_epochs=1).fit(THETA, X)


def test_a_table_of_draws_is_paired_by_its_labels() -> None:
    theta, x = pd.DataFrame(THETA, columns=["a", "b"]), pd.DataFrame(X, columns=["u", "v"])
    npe = NPE(**FAST).fit(theta, x)
    draws = npe.sample(x.iloc[:3], 4)
    by_hand = npe.log_prob(draws.to_numpy(), x.iloc[[0] * 4 + [1] * 4 + [2] * 4])
    np.testing.assert_allclose(npe.log_prob(draws, x.iloc[:3]).ravel(), by_hand, atol=1e-4)
    for wrong in (draws.sort_values("b"), draws.iloc[1:], draws.sort_index(level="draw")):
        with pytest.raises(ValueError, match=r"observations of x, in order.*\[0, 1, 2\]"):
            npe.log_prob(wrong, x.iloc[:3])
    with pytest.raises(ValueError, match="observations of x, in order"):
        npe.log_prob(draws, x.iloc[[2, 1, 0]])
    assert npe.log_prob(draws, x.iloc[0]).shape == (12,)


def test_the_mode_goes_back_into_log_prob_as_it_is() -> None:
    theta, x = pd.DataFrame(THETA, columns=["a", "b"]), pd.DataFrame(X, columns=["u", "v"])
    npe = NPE(**FAST).fit(theta, x)
    assert npe.log_prob(npe.map(X[0]), X[0]) >= npe.log_prob(npe.sample(X[0], 100), X[0]).max()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"callbacks": [1]}, r"callbacks must hold skorch callbacks.* got 1"),
        ({"callbacks": [("early_stopping", EarlyStopping())]}, "callbacks__early_stopping="),
        ({"callbacks__gradient_clipping": 3}, "callbacks__gradient_clipping must be .* got 3"),
        ({"callbacks__early_stopping__foo": 3, "patience": None}, "early_stopping__foo is not"),
        ({"callbacks__progress__foo": 3}, "progress__foo is not"),
        ({"optimizer__weight_decay": "a"}, "'optimizer__weight_decay': 'a'"),
        ({"theta_transformer": StandardScaler}, r"theta_transformer must be .*StandardScaler\(\)"),
        ({"x_transformer": StandardScaler}, r"x_transformer must be .*StandardScaler\(\)"),
        ({"hidden_features": (-3,)}, r"flow='maf' cannot be built .*\(-3,\)"),
        ({"flow": "nsf", "module__bins": -1}, "flow='nsf' cannot be built .*'bins': -1"),
        ({"iterator_train__batch_size": 0}, "iterator_train__batch_size must be .* got 0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_parameters_that_no_part_takes_are_refused(parameters: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"(?s){message}"):
        NPE(**FAST | parameters).fit(THETA, X)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("flow", ["nsf", "maf"])
def test_compiled_it_learns_the_same(flow: str) -> None:
    """A compiled sum is rounded another way: ulps, which ten steps of training multiply."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("needs a C++ compiler")
    embedding = partial(MLP, hidden_features=(8,), out_features=4)
    plain = NPE(**FAST | {"flow": flow, "embedding": embedding})
    compiled = clone(plain).set_params(compile=True).fit(THETA, X)
    expected = plain.fit(THETA, X).log_prob(THETA, X)
    np.testing.assert_allclose(compiled.log_prob(THETA, X), expected, rtol=0, atol=1e-3)
    again = pickle.loads(pickle.dumps(compiled))
    np.testing.assert_allclose(again.log_prob(THETA, X), expected, rtol=0, atol=1e-3)


def test_what_cannot_be_compiled_is_refused_before_training(monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no compiler")

    def refuse(module: torch.nn.Module) -> None:
        monkeypatch.setattr(module, "_compiled_call_impl", fail)

    monkeypatch.setattr(torch.nn.Module, "compile", refuse)
    with pytest.raises(RuntimeError, match=r"compile=True needs .* g\+\+.*OSError: no compiler"):
        NPE(**FAST, compile=True).fit(THETA, X)


def test_the_trial_before_compiling_leaves_no_trace(monkeypatch) -> None:
    """With a compiler that changes nothing, the fit is the same, and so is torch's generator."""
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: None)
    embedding = torch.nn.Sequential(
        torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5)
    )
    plain = NPE(**FAST, embedding=embedding).fit(THETA, X)
    before = torch.get_rng_state()
    compiled = clone(plain).set_params(compile=True).fit(THETA, X)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(compiled.log_prob(THETA, X), plain.log_prob(THETA, X))


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_mode_does_not_depend_on_the_units_of_theta(unit: float) -> None:
    """As far from it as a log-density that is 1e-5 short may be, at both ends, in posterior sds."""
    theta = np.random.default_rng(3).normal(size=(300, 2))
    x = theta + 0.5 * np.random.default_rng(4).normal(size=(300, 2))
    observed = x[:5]
    plain = NPE(**FAST).fit(theta, x)
    other = NPE(**FAST).fit(unit * theta, x)
    moved = (other.map(observed) / unit - plain.map(observed)) / plain.sample(observed).std(axis=1)
    assert np.abs(moved).max() < 2 * np.sqrt(2e-5)
