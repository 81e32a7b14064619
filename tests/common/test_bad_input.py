"""Every bad input is a clear error that names the argument and the value got."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse, stats
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler
from sklearn.svm import LinearSVC
from skorch.callbacks import Callback

from sksbi import NLE, NRE, ClassifierRatio
from sksbi.samplers import SliceSampler

Pairs = tuple[pd.DataFrame, pd.DataFrame]
Change = Callable[[pd.DataFrame, pd.DataFrame], tuple[object, object]]


class Impossible(DummyClassifier):
    """A classifier that does not take what it is given."""

    def fit(self, X: object, y: object, sample_weight: object = None) -> "Impossible":
        raise ValueError("not on Sundays")


def with_cell(table: pd.DataFrame, value: object) -> pd.DataFrame:
    """Put a value into one cell."""
    table = table.astype(object)
    table.iloc[3, 1] = value
    return table


def with_number(table: pd.DataFrame, value: float) -> np.ndarray:
    """Put a number into one element of an array."""
    array = table.to_numpy().copy()
    array[3, 1] = value
    return array


# What is wrong: (theta, x) -> (theta, x) for fit, the error, what its text says.
PAIRS: dict[str, tuple[Change, type[Exception], str]] = {
    "NaN in theta": (lambda t, x: (with_number(t, np.nan), x), ValueError, "theta contains NaN"),
    "inf in theta": (
        lambda t, x: (with_number(t, np.inf), x),
        ValueError,
        "theta contains infinity",
    ),
    "NaN in x": (lambda t, x: (t, with_number(x, np.nan)), ValueError, "x contains NaN"),
    "-inf in x": (lambda t, x: (t, with_number(x, -np.inf)), ValueError, "x contains infinity"),
    "None in a cell of x": (lambda t, x: (t, with_cell(x, None)), ValueError, "x contains NaN"),
    "all but one row of x NaN": (
        lambda t, x: (t, np.r_[1.0, np.full(len(t) - 1, np.nan)]),
        ValueError,
        "x must hold at least 2 simulations that succeeded, got 1 of 200",
    ),
    "unequal lengths": (lambda t, x: (t[:-1], x), ValueError, r"\[199, 200\]"),
    "swapped": (
        lambda t, x: (x[["a", "b"]].to_numpy(), t),
        ValueError,
        r"theta must lie in the prior's support.*\d+ of 200 rows.*swapped\? The order is fit",
    ),
    "swapped, of other widths": (
        lambda t, x: (x, t),
        ValueError,
        "prior has 2 parameters, theta has 4 columns",
    ),
    "theta outside the prior": (
        lambda t, x: (with_number(t, 2.5), x),
        ValueError,
        r"support, but 1 of 200 rows do not, the first in row 3: \[.* 2\.5",
    ),
    "no rows": (lambda t, x: (t[:0], x[:0]), ValueError, r"0 sample\(s\).*shape=\(0, 2\)"),
    "one row": (lambda t, x: (t[:1], x[:1]), ValueError, r"n_samples ?= ?1|1 sample\(s\)"),
    "no columns in theta": (
        lambda t, x: (t.to_numpy()[:, :0], x),
        ValueError,
        r"theta: .*0 feature\(s\).*\(200, 0\)",
    ),
    "no columns in x": (lambda t, x: (t, x.to_numpy()[:, :0]), ValueError, r"x: .*\(200, 0\)"),
    "1-d theta": (lambda t, x: (t["mean"].to_numpy(), x), ValueError, "theta: .*2D.*1D"),
    "3-d theta": (
        lambda t, x: (t.to_numpy()[:, :, None], x),
        ValueError,
        "theta.*dim 3",
    ),
    "x is None": (lambda t, x: (t, None), ValueError, r"target y is None: give fit\(theta, x\)"),
    "x is a number": (lambda t, x: (t, 3.0), (ValueError, TypeError), r"x: .*got scalar .*3\."),
    "complex theta": (lambda t, x: (t.to_numpy() + 0j, x), ValueError, "theta: Complex"),
    "complex x": (lambda t, x: (t, x.to_numpy() * 1j), ValueError, "x: Complex"),
    "word in theta": (
        lambda t, x: (with_cell(t, "heavy"), x),
        ValueError,
        "theta must hold numbers only: .*'heavy'",
    ),
    "word in x": (
        lambda t, x: (t, with_cell(x, "heavy")),
        ValueError,
        "x must hold numbers only: .*'heavy'",
    ),
    "list in a cell of x": (
        lambda t, x: (t, with_cell(x, [1, 2])),
        (ValueError, TypeError),
        "x must hold numbers only",
    ),
    "object in x": (
        lambda t, x: (t, with_cell(x, object())),
        TypeError,
        "x must hold numbers only: .*object",
    ),
    "dates in x": (
        lambda t, x: (t, pd.DataFrame({"day": pd.date_range("2020", periods=200)})),
        TypeError,
        "x must hold numbers only, got dates",
    ),
    "sparse theta": (
        lambda t, x: (sparse.csr_array(t), x),
        TypeError,
        "Sparse data was passed for theta.*dense",
    ),
    "sparse x": (
        lambda t, x: (t, sparse.csr_array(x)),
        TypeError,
        "Sparse data was passed for x.*dense",
    ),
    "other names than the prior": (
        lambda t, x: (t.rename(columns={"sd": "scale"}), x),
        ValueError,
        r"\['mean', 'sd'\], got \['mean', 'scale'\]",
    ),
    "another order than the prior": (
        lambda t, x: (t[["sd", "mean"]], x),
        ValueError,
        r"same order, \['mean', 'sd'\], got \['sd', 'mean'\]",
    ),
    "mixed column names": (
        lambda t, x: (t, x.rename(columns={"a": 0})),
        TypeError,
        r"x: .*\['int', 'str'\]",
    ),
}


@pytest.mark.parametrize(("change", "error", "match"), PAIRS.values(), ids=PAIRS)
def test_fit_on_bad_pairs(
    posterior: BaseEstimator, pairs: Pairs, change: Change, error: type, match: str
) -> None:
    with pytest.raises(error, match=rf"(?s){match}"):
        clone(posterior).fit(*change(*pairs))


# Parameters of every estimator, the error, what its text says.
Parameters = dict[str, tuple[dict[str, object], type[Exception], str]]

PARAMETERS: Parameters = {
    "random_state is a word": ({"random_state": "one"}, ValueError, "random_state.*got 'one'"),
    "negative random_state": ({"random_state": -1}, ValueError, "random_state.*got -1"),
    "prior of another dimension": (
        {"prior": [stats.norm()] * 3},
        ValueError,
        "prior has 3 parameters, theta has 2 columns",
    ),
    "prior is no prior": ({"prior": 3}, TypeError, "prior must be.*got 3 of type int"),
    "prior is one distribution": ({"prior": stats.norm()}, TypeError, "single distribution norm"),
}

# Of those that train networks.
TRAINING: Parameters = {
    "option that the flow does not take": (
        {"module__binz": 4},
        TypeError,
        "binz.*module__",
    ),
    "unknown criterion": ({"criterion": "mse"}, ValueError, "criterion must be one of.*got 'mse'"),
    "mistyped criterion option": ({"criterion__tau": 1}, TypeError, "tau.*criterion__"),
    "unknown optimizer": ({"optimizer": "adamx"}, ValueError, "optimizer must be.*got 'adamx'"),
    "mistyped optimizer option": (
        {"optimizer__lrr": 1},
        ValueError,
        "optimizer__lrr is not a parameter",
    ),
    "mistyped iterator option": (
        {"iterator_train__shufle": True},
        ValueError,
        "iterator_train__shufle is not a parameter",
    ),
    "unknown callback": (
        {"callbacks__gradient_cliping__gradient_clip_value": 1},
        ValueError,
        "no callback 'gradient_cliping'.*'gradient_clipping'",
    ),
    "mistyped callback option": (
        {"callbacks__gradient_clipping__gradient_clip_valu": 1},
        (ValueError, TypeError),
        "gradient_clip_valu",
    ),
    "negative lr": ({"lr": -1e-3}, ValueError, r"'lr'.*\(0\.?0?, inf\).*-0\.001"),
    "zero lr": ({"lr": 0.0}, ValueError, r"'lr'.*Got 0\.0"),
    "lr is a word": ({"lr": "fast"}, ValueError, "'lr'.*Got 'fast'"),
    "batch_size of zero": ({"batch_size": 0}, ValueError, "'batch_size'.*Got 0"),
    "no epochs": ({"max_epochs": 0}, ValueError, "'max_epochs'.*Got 0"),
    "epochs of a fraction": ({"max_epochs": 2.5}, ValueError, "'max_epochs'.*Got 2.5"),
    "patience of zero": ({"patience": 0}, ValueError, "'patience'.*Got 0"),
    "validates on all": ({"validation_fraction": 1.0}, ValueError, "'validation_fraction'.*1.0"),
    "validation of three": (
        {"validation_fraction": (1, 2, 3)},
        ValueError,
        r"validation_fraction as a tuple must be \(theta, x\), got 3",
    ),
    "bad device": ({"device": "abacus"}, ValueError, "device must be.*got 'abacus'"),
    "device that is not there": ({"device": "cuda:77"}, ValueError, "device.*got 'cuda:77'"),
    "device is a number": ({"device": 1.5}, ValueError, "device.*got 1.5"),
    "callbacks is a callback": ({"callbacks": Callback()}, ValueError, "'callbacks'.*Callback"),
    "theta_transformer is a word": ({"theta_transformer": "log"}, ValueError, "'log'"),
    "x_transformer is a word": ({"x_transformer": "log"}, ValueError, "'log'"),
    "warm_start is a word": ({"warm_start": "yes"}, ValueError, "'warm_start'.*Got 'yes'"),
}

# Of those whose network is given x.
EMBEDDINGS: Parameters = {
    "embedding is a word": ({"embedding": "mlp"}, ValueError, "'embedding'.*Got 'mlp'"),
    "embedding of another width": (
        {"embedding": torch.nn.Linear(7, 2)},
        ValueError,
        r"embedding=Linear.* must map x of shape \(n, 4\)",
    ),
}

# Of neural likelihood estimation.
LIKELIHOODS: Parameters = {
    "unknown flow": ({"flow": "nsff"}, ValueError, "'nsf'.*got 'nsff'"),
    "no transforms": ({"transforms": 0}, ValueError, "transforms must be an int >= 1, got 0"),
    "ratio's criterion": (
        {"criterion": "contrastive"},
        ValueError,
        "criterion must be one of.*'negative_log_likelihood'.*got 'contrastive'",
    ),
    "unknown discrete column": (
        {"x_discrete": ["e"]},
        ValueError,
        r"x_discrete=\['e'\] must name columns of x.*'e'",
    ),
    "discrete column beyond the last": (
        {"x_discrete": [4]},
        ValueError,
        r"x_discrete=\[4\] must name columns of x.*4",
    ),
    "x_discrete is a word": ({"x_discrete": "some"}, ValueError, "'x_discrete'.*Got 'some'"),
    "x_discrete is a number": ({"x_discrete": 2}, ValueError, "'x_discrete'.*Got 2"),
    "x_trials is a word": ({"x_trials": "yes"}, ValueError, "'x_trials'.*Got 'yes'"),
    "trials without an index": (
        {"x_trials": True},
        ValueError,
        "x_trials=True as a DataFrame must have the trial as its last index level.* 200 rows",
    ),
    "x_transformer without a Jacobian": (
        {"x_transformer": QuantileTransformer(n_quantiles=10)},
        TypeError,
        r"x_transformer=QuantileTransformer.*log-determinants are known",
    ),
    "x_transformer that loses columns": (
        {"x_transformer": PCA(2)},
        ValueError,
        r"x_transformer=PCA.* cannot be applied to x.*keeps 2 of 4",
    ),
    "x_transformer without a way back": (
        {"x_transformer": PolynomialFeatures()},
        ValueError,
        "'x_transformer'.*Got PolynomialFeatures",
    ),
}

# Of those with a flow.
FLOWS: Parameters = {
    "unknown flow": ({"flow": "nsff"}, ValueError, "'nsf'.*got 'nsff'"),
    "flow is no callable": ({"flow": 3}, TypeError, "flow must be.*int: 3"),
    "no transforms": ({"transforms": 0}, ValueError, "'transforms'.*Got 0"),
}

# Of neural ratio estimation.
NETWORKS: Parameters = {
    "unknown network": ({"network": "mpl"}, ValueError, "network must be one of.*got 'mpl'"),
    "network is no callable": ({"network": 3}, TypeError, "network must be.*int: 3"),
    "network of another width": (
        {"network": torch.nn.Bilinear(2, 7, 1)},
        ValueError,
        r"network=Bilinear.*theta of shape \(n, 2\) and a context of shape \(n, 4\)",
    ),
    "network of many numbers": (
        {"network": torch.nn.Bilinear(2, 4, 3)},
        ValueError,
        r"log-ratios of shape \(n,\).*gives shape \(2, 3\)",
    ),
    "option for a module": (
        {"network": torch.nn.Bilinear(2, 4, 1), "module__bins": 4},
        TypeError,
        "a module takes no options, got .*'bins': 4",
    ),
    "batches of one row": ({"batch_size": 1}, ValueError, r"'batch_size'.*\[2, inf\).*Got 1"),
    "posterior's criterion": (
        {"criterion": "negative_log_likelihood"},
        ValueError,
        "criterion must be one of.*'contrastive'.*got 'negative_log_likelihood'",
    ),
    "no theta to compare with": (
        {"criterion__n_contrastive": 0},
        ValueError,
        "n_contrastive must be an int >= 1, got 0",
    ),
    "negative odds": ({"criterion__gamma": -1.0}, ValueError, "gamma must be > 0.*got -1"),
}

# Of ratio estimators.
RATIOS: Parameters = {
    "unknown sampler": (
        {"sampler": "nuts"},
        ValueError,
        "sampler.*'metropolis_hastings'.*[Gg]ot 'nuts'",
    ),
    "sampler is a class": (
        {"sampler": SliceSampler},
        TypeError,
        r"got the class SliceSampler: call it, as in SliceSampler\(\)",
    ),
    "sampler is no callable": ({"sampler": 3}, ValueError, "'sampler'.*Got 3"),
}

# Of the one with a classifier.
CLASSIFIERS: Parameters = {
    "classifier is a word": ({"classifier": "trees"}, ValueError, "'classifier'.*Got 'trees'"),
    "classifier is a class": (
        {"classifier": LogisticRegression},
        TypeError,
        r"classifier must be an estimator, got the class LogisticRegression: call it",
    ),
    "classifier is a regressor": (
        {"classifier": LinearRegression()},
        ValueError,
        r"classifier=LinearRegression\(\).*predict_proba",
    ),
    "classifier that does not take the pairs": (
        {"classifier": Impossible()},
        ValueError,
        r"classifier=Impossible\(\) fails on pairs.*not on Sundays",
    ),
    "no probabilities without calibration": (
        {"classifier": LinearSVC(), "calibration": None},
        ValueError,
        r"calibration=None takes a classifier with predict_proba.*LinearSVC\(\)",
    ),
    "unknown calibration": (
        {"calibration": "platt"},
        ValueError,
        "'calibration'.*'isotonic'.*Got 'platt'",
    ),
    "one fold": ({"n_folds": 1}, ValueError, r"'n_folds'.*\[2, inf\).*Got 1"),
    "no other theta": ({"n_marginal": 0}, ValueError, r"'n_marginal'.*\[1, inf\).*Got 0"),
    "no jobs": ({"n_jobs": 0}, ValueError, "'n_jobs'.*Got 0"),
    "verbose is a word": ({"verbose": "very"}, ValueError, "'verbose'.*Got 'very'"),
}


def refuse(
    estimator: BaseEstimator, parameters: dict, error: type, match: str, pairs: Pairs
) -> None:
    """Hold that a fit with these parameters raises, and that the estimator is not fitted then."""
    estimator = clone(estimator).set_params(**parameters)
    with pytest.raises(error, match=rf"(?s){match}"):
        estimator.fit(*pairs)
    with pytest.raises(NotFittedError):
        estimator.sample(pairs[1])


@pytest.mark.parametrize("case", PARAMETERS.values(), ids=PARAMETERS)
def test_fit_with_bad_parameters(posterior: BaseEstimator, pairs: Pairs, case: tuple) -> None:
    refuse(posterior, *case, pairs)


@pytest.mark.parametrize("case", TRAINING.values(), ids=TRAINING)
def test_fit_with_bad_training(trained: BaseEstimator, pairs: Pairs, case: tuple) -> None:
    refuse(trained, *case, pairs)


@pytest.mark.parametrize("case", EMBEDDINGS.values(), ids=EMBEDDINGS)
def test_fit_with_bad_embedding(encoding: BaseEstimator, pairs: Pairs, case: tuple) -> None:
    refuse(encoding, *case, pairs)


@pytest.mark.parametrize("case", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_fit_with_bad_likelihood(prior: dict, pairs: Pairs, case: tuple) -> None:
    refuse(NLE(prior, max_epochs=1, random_state=0), *case, pairs)


@pytest.mark.parametrize("case", FLOWS.values(), ids=FLOWS)
def test_fit_with_bad_flow(flow_density: BaseEstimator, pairs: Pairs, case: tuple) -> None:
    refuse(flow_density, *case, pairs)


@pytest.mark.parametrize("case", NETWORKS.values(), ids=NETWORKS)
def test_fit_with_bad_network(prior: dict, pairs: Pairs, case: tuple) -> None:
    refuse(NRE(prior, random_state=0), *case, pairs)


@pytest.mark.parametrize("case", RATIOS.values(), ids=RATIOS)
def test_fit_with_bad_sampler(ratio: BaseEstimator, pairs: Pairs, case: tuple) -> None:
    refuse(ratio, *case, pairs)


@pytest.mark.parametrize("case", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_fit_with_bad_classifier(prior: dict, pairs: Pairs, case: tuple) -> None:
    refuse(ClassifierRatio(prior=prior, random_state=0), *case, pairs)


WEIGHTS = {
    "negative": (np.r_[-0.5, np.ones(199)], "sample_weight must be non-negative, got -0.5"),
    "all zero": (np.zeros(200), "sample_weight must not be all zero, got 200 zeros"),
    "too few": (np.ones(3), r"sample_weight must have shape \(200,\), one a row, got \(3,\)"),
    "a column": (np.ones((200, 1)), r"sample_weight .*\(200, 1\)"),
    "NaN": (np.r_[np.nan, np.ones(199)], "sample_weight contains NaN"),
    "words": (["much"] * 200, "sample_weight must hold numbers only: .*'much'"),
}


@pytest.mark.parametrize(("weights", "match"), WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("method", ["fit", "score"])
def test_bad_weights(
    fitted: BaseEstimator,
    posterior: BaseEstimator,
    pairs: Pairs,
    weights: object,
    match: str,
    method: str,
) -> None:
    estimator = clone(posterior) if method == "fit" else fitted
    with pytest.raises(ValueError, match=match):
        getattr(estimator, method)(*pairs, sample_weight=weights)


def test_all_but_one_row_of_weight_zero(posterior: BaseEstimator, pairs: Pairs) -> None:
    weights = np.r_[1.0, np.zeros(199)]
    with pytest.raises(ValueError, match=r"1 (row|sample)|got 1|n_samples = 1:"):
        clone(posterior).fit(*pairs, sample_weight=weights)


BEFORE_FIT = {
    "sample": lambda e, theta, x: e.sample(x),
    "log_prob": lambda e, theta, x: e.log_prob(theta, x),
    "score": lambda e, theta, x: e.score(theta, x),
    "summary": lambda e, theta, x: e.summary(x),
    "map": lambda e, theta, x: e.map(x),
}


@pytest.mark.parametrize("call", BEFORE_FIT.values(), ids=BEFORE_FIT)
def test_before_fit(posterior: BaseEstimator, pairs: Pairs, call: Callable[..., object]) -> None:
    with pytest.raises(NotFittedError, match=f"{type(posterior).__name__} instance is not fitted"):
        call(clone(posterior), *pairs)


# Calls after a fit on tables: (estimator, theta, x), the error, what its text says.
CALLS: dict[str, tuple[Callable[..., object], type[Exception], str]] = {
    "no draws": (lambda e, t, x: e.sample(x, 0), ValueError, "n_samples must be.*got 0"),
    "fewer than no draws": (lambda e, t, x: e.sample(x, -5), ValueError, "n_samples.*got -5"),
    "draws of a fraction": (lambda e, t, x: e.sample(x, 2.0), TypeError, "n_samples.*got 2.0"),
    "draws as a bool": (lambda e, t, x: e.sample(x, True), TypeError, "n_samples.*got True"),
    "no draws in a summary": (
        lambda e, t, x: e.summary(x, n_samples=0),
        ValueError,
        "n_samples.*got 0",
    ),
    "level of one": (lambda e, t, x: e.summary(x, level=1), ValueError, "level must be.*got 1"),
    "level in per cent": (lambda e, t, x: e.summary(x, level=90), ValueError, "level.*got 90"),
    "level as a word": (lambda e, t, x: e.summary(x, level="90%"), TypeError, "level.*'90%'"),
    "seed": (
        lambda e, t, x: e.sample(x, random_state="one"),
        ValueError,
        "random_state must be.*got 'one'",
    ),
    "NaN in an observation": (
        lambda e, t, x: e.sample([0.0, np.nan, 0.0, 0.0]),
        ValueError,
        "x contains NaN",
    ),
    "inf in an observation": (
        lambda e, t, x: e.map([0.0, np.inf, 0.0, 0.0]),
        ValueError,
        "x contains infinity",
    ),
    "word in an observation": (
        lambda e, t, x: e.sample(["heavy", 0, 0, 0]),
        ValueError,
        "x must hold numbers only: .*'heavy'",
    ),
    "a dict of parameters": (
        lambda e, t, x: e.log_prob({"mean": 0.0, "sd": 1.0}, x.iloc[0]),
        TypeError,
        "theta must be a table or an array, got a dict",
    ),
    "complex observation": (lambda e, t, x: e.sample([1j, 0, 0, 0]), ValueError, "x: Complex"),
    "sparse observations": (
        lambda e, t, x: e.sample(sparse.csr_array(x)),
        TypeError,
        "Sparse data was passed for x",
    ),
    "no observations": (lambda e, t, x: e.sample(x[:0]), ValueError, r"0 sample\(s\).*\(0, 4\)"),
    "x is None": (lambda e, t, x: e.sample(None), (ValueError, TypeError), "x.*None|x.*shape"),
    "x is a word": (lambda e, t, x: e.sample("abcd"), (ValueError, TypeError), "x.*shape|x.*abcd"),
    "too short": (
        lambda e, t, x: e.sample([0.0, 1.0]),
        ValueError,
        r"x must be one observation of shape \(4,\) or a batch of shape \(m, 4\).*got shape \(2,\)",
    ),
    "too narrow": (
        lambda e, t, x: e.sample(x.to_numpy()[:, :3]),
        ValueError,
        r"\(m, 4\).*got shape \(200, 3\)",
    ),
    "a scalar": (lambda e, t, x: e.sample(0.5), ValueError, r"shape \(4,\).*got shape \(\)"),
    "3-d": (
        lambda e, t, x: e.sample(x.to_numpy()[None]),
        ValueError,
        r"got shape \(1, 200, 4\)",
    ),
    "ragged": (lambda e, t, x: e.sample([[1, 2], [3]]), ValueError, "x.*(inhomogeneous|ragged)"),
    "unknown column": (
        lambda e, t, x: e.sample(x.rename(columns={"d": "delta"})),
        ValueError,
        "x: .*unseen.*delta.*missing.*d",
    ),
    "columns in another order": (
        lambda e, t, x: e.sample(x[["b", "a", "c", "d"]]),
        ValueError,
        "x: .*same order",
    ),
    "one observation with an unknown name": (
        lambda e, t, x: e.sample(x.iloc[0].rename({"d": "delta"})),
        ValueError,
        "x: .*unseen.*delta",
    ),
    "dict that lacks a name": (
        lambda e, t, x: e.sample({"a": 0, "b": 0, "c": 0}),
        ValueError,
        "x: .*missing.*d",
    ),
    "theta with an unknown column": (
        lambda e, t, x: e.log_prob(t.rename(columns={"sd": "scale"}), x),
        ValueError,
        "theta: .*unseen.*scale",
    ),
    "NaN in theta": (
        lambda e, t, x: e.log_prob(with_cell(t, np.nan), x),
        ValueError,
        "theta contains NaN",
    ),
    "1-d theta": (
        lambda e, t, x: e.log_prob([0.0, 1.0], x),
        ValueError,
        "theta: .*2D.*1D",
    ),
    "theta and x of other lengths": (
        lambda e, t, x: e.log_prob(t[:3], x[:2]),
        ValueError,
        "theta has 3 rows and x has 2 observations",
    ),
    "3-d theta for fewer observations": (
        lambda e, t, x: e.log_prob(np.ones((3, 5, 2)), x[:2]),
        ValueError,
        r"\(2, n, 2\) for 2 observations, got \(3, 5, 2\)",
    ),
    "score of other lengths": (lambda e, t, x: e.score(t[:3], x), ValueError, r"\[3, 200\]"),
    "score with theta and x swapped": (
        lambda e, t, x: e.score(x, t),
        ValueError,
        "theta: .*a\n",
    ),
}


@pytest.mark.filterwarnings("ignore:x lacks values in the columns")
@pytest.mark.parametrize(("call", "error", "match"), CALLS.values(), ids=CALLS)
def test_bad_calls(
    fitted: BaseEstimator, pairs: Pairs, call: Callable[..., object], error: type, match: str
) -> None:
    with pytest.raises(error, match=rf"(?s){match}"):
        call(fitted, *pairs)


def test_theta_of_another_width(fitted_arrays: BaseEstimator, pairs: Pairs) -> None:
    with pytest.raises(ValueError, match=r"theta: .*3 features.*2 features"):
        fitted_arrays.log_prob(np.ones((200, 3)), pairs[1].to_numpy())


def test_validation_pair_outside_the_prior(trained: BaseEstimator, pairs: Pairs) -> None:
    outside = (pairs[0] * 0 + 9.5, pairs[1])
    estimator = clone(trained).set_params(validation_fraction=outside)
    with pytest.raises(ValueError, match=r"support, but 200 of 200.*9\.5"):
        estimator.fit(*pairs)


def test_transformer_of_images(encoding: BaseEstimator, pairs: Pairs) -> None:
    estimator = clone(encoding).set_params(x_transformer=StandardScaler())
    with pytest.raises(ValueError, match=r"x_transformer .*\(200, 2, 2\)"):
        estimator.fit(pairs[0], pairs[1].to_numpy().reshape(-1, 2, 2))
