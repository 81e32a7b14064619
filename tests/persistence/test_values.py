"""Whatever an estimator may hold comes out of a file as it went in."""

import collections
import functools
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy import sparse, stats
from scipy.interpolate import BSpline
from sklearn.base import BaseEstimator, clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC

from sksbi import NLE, NPE, SequentialInference, load, save
from sksbi.exceptions import LoadError
from sksbi.utils.fingerprint import fingerprint


def through_a_file(value: object, folder: Path, **options: object) -> object:
    """Save and load."""
    save(value, folder / "value.sksbi")
    return load(folder / "value.sksbi", **options)


def masked() -> np.ma.MaskedArray:
    """Make an array with a missing value."""
    return np.ma.MaskedArray([1.0, 2.0], mask=[False, True], fill_value=-1.0)


def _ones(layer: torch.nn.Module) -> torch.nn.Module:
    """Give weights that are the same every time."""
    for parameter in layer.parameters():
        torch.nn.init.ones_(parameter)
    return layer


TABLE = pd.DataFrame(
    {"a": [1.5, np.nan], 3: ["x", None], "c": pd.Categorical(["u", "v"], ["v", "u"], ordered=True)},
    index=pd.Index([7, 9], name="row"),
)
VALUES: dict[str, Callable[[], object]] = {
    "plain": lambda: [None, True, -3, 2**80, 0.1, -0.0, "ä\n\ud800", b"\x00\xff", 1 - 2j, ...],
    "not finite": lambda: [np.inf, -np.inf],
    "containers": lambda: [(1, (2,)), {3: [4]}, {(5, "6"): None}, {7}, frozenset({8}), []],
    "of collections": lambda: [
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        collections.Counter("aab"),
        collections.deque([1, 2], maxlen=2),
    ],
    "ranges": lambda: [slice(1, None, 2), range(3, 9, 2)],
    "numbers": lambda: [np.float64(0.1), np.int8(-3), np.bool_(True), np.str_("ä"), np.float16(1)],
    "arrays": lambda: [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(3.0),
        np.zeros((0, 3), np.float32),
        np.array(["ä", "bc"]),
        np.array(["2026-01-02"], "M8[D]"),
        np.array([(1, 2.0)], [("i", "i4"), ("x", "f8")]),
        np.arange(10.0)[::3],
        np.arange(4, dtype=">i2"),
        np.array([None, "a", [1]], dtype=object),
    ],
    "types": lambda: [np.dtype("f4"), np.dtype([("i", "i4")]), float, np.float32, torch.float16],
    "masked": masked,
    "sparse": lambda: [sparse.csr_matrix(np.eye(3)).data, sparse.csc_array(np.eye(3)).indptr],
    "tables": lambda: [TABLE, TABLE["a"], TABLE[3], TABLE["c"], TABLE.index],
    "indices": lambda: [
        pd.RangeIndex(1, 7, 2, name="i"),
        pd.MultiIndex.from_product([[1, 2], ["a", "b"]], names=["n", None]),
        pd.DatetimeIndex(["2026-01-01"]),
        pd.Index([True, False]),
    ],
    "extensions": lambda: [
        pd.Series([1, None], dtype="Int64"),
        pd.Series(["a", None], dtype="string"),
    ],
    "tensors": lambda: [
        torch.arange(6.0).reshape(2, 3).T,
        torch.tensor(2, dtype=torch.int16),
        torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
        torch.nn.Parameter(torch.ones(2), requires_grad=False),
        torch.Size([1, 2]),
    ],
    "networks": lambda: torch.nn.Sequential(_ones(torch.nn.Linear(2, 3)), torch.nn.BatchNorm1d(3)),
    "functions": lambda: [np.log1p, functools.partial(torch.nn.Linear, out_features=3)],
    "distributions": lambda: [stats.norm(1, scale=2), stats.poisson(mu=3), stats.beta(2, b=3)],
    "generators": lambda: [
        np.random.default_rng(3),
        np.random.RandomState(4),
        np.random.Generator(np.random.Philox(5)),
    ],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_the_same_afterwards(name: str, tmp_path: Path) -> None:
    value = VALUES[name]()
    assert fingerprint(through_a_file(value, tmp_path)) == fingerprint(VALUES[name]())


def test_what_a_fingerprint_does_not_tell(tmp_path: Path) -> None:
    """NaN, memory order, generators that have been used, and what they spawn."""
    assert np.isnan(through_a_file(np.nan, tmp_path))
    assert through_a_file(np.asfortranarray(np.eye(3)), tmp_path).flags.f_contiguous
    used, legacy = np.random.default_rng(0), np.random.RandomState(0)
    used.random(3), legacy.standard_normal(3)
    used.spawn(2)
    again, old = through_a_file([used, legacy], tmp_path)
    assert again.random() == used.random()
    assert again.spawn(1)[0].random() == used.spawn(1)[0].random()
    assert (old.standard_normal(2) == legacy.standard_normal(2)).all()
    spline = BSpline(np.arange(8.0), np.arange(4.0), 3)
    assert (through_a_file(spline, tmp_path)([3.5, 4.2]) == spline([3.5, 4.2])).all()
    made = through_a_file(torch.distributions.Normal(torch.zeros(2), 3.0), tmp_path)
    assert made.log_prob(torch.ones(2)).shape == (2,)


def test_a_distribution_with_bounds_of_its_own_keeps_them(tmp_path: Path) -> None:
    """Although it is of a class of scipy's, and has its name."""
    own = type(stats.norm)(name="norm", a=-1.0, b=1.0)(scale=2.0)
    needed = ["scipy.stats._continuous_distns.norm_gen"]
    needed += ["scipy.stats._distn_infrastructure.rv_continuous_frozen"]
    again = through_a_file(own, tmp_path, trusted=needed)
    assert again.support() == own.support() == (-2.0, 2.0)


class Slotted:
    """Have no dict, below a class that has none."""

    __slots__ = ("value",)


class MoreSlotted(Slotted):
    """Have another slot."""

    __slots__ = ("other",)


def test_objects_with_slots(tmp_path: Path) -> None:
    made = MoreSlotted()
    made.value, made.other = 3, [4]
    again = through_a_file(made, tmp_path, trusted=[f"{MoreSlotted.__module__}.MoreSlotted"])
    assert (again.value, again.other) == (3, [4])


def test_a_conjugate_is_saved_as_its_numbers(tmp_path: Path) -> None:
    values = torch.tensor([1 + 2j]).conj()
    assert torch.equal(through_a_file(values, tmp_path), values)


def test_what_stands_twice_is_one_thing(tmp_path: Path) -> None:
    shared = np.arange(1000.0)
    one, other = through_a_file([shared, {"again": shared}], tmp_path)
    assert one is other["again"]
    assert (tmp_path / "value.sksbi").stat().st_size < 1.5 * shared.nbytes


def test_the_same_object_makes_the_same_file(tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        save(make_pipeline(StandardScaler(), PCA(2)).fit(X), tmp_path / "value.sksbi")
        contents.append((tmp_path / "value.sksbi").read_bytes())
    assert contents[0] == contents[1]


def test_others_can_read_the_arrays(tmp_path: Path) -> None:
    """It is what np.savez makes, and JSON."""
    save({"a": np.arange(3.0)}, tmp_path / "value.npz")
    with np.load(tmp_path / "value.npz") as archive:
        assert archive["array_0"].tolist() == [0, 1, 2]
    with zipfile.ZipFile(tmp_path / "value.npz") as archive:
        assert b'"sksbi"' in archive.read("objects.json")


def endless() -> list:
    """Make a list that holds itself."""
    made: list = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            lambda: lambda n: n,
            "functions and classes that can be imported by their names, got <fun",
        ),
        (lambda: 10**5000, "no whole numbers of thousands of digits"),
        (endless, "no object that holds itself, got a builtins.list"),
        (threading.Lock, "cannot pickle"),
        (lambda: np.array([slice], dtype=[("o", "O")]), "arrays of numbers, text or objects"),
    ],
)
def test_what_cannot_be_saved_leaves_the_file(value: Callable, words: str, tmp_path: Path) -> None:
    path = tmp_path / "value.sksbi"
    save(1, path)
    with pytest.raises(TypeError, match=words):
        save([value()], path)
    assert load(path) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["value.sksbi"]


# Estimators of scikit-learn.

RNG = np.random.default_rng(0)
X = np.abs(RNG.normal(size=(60, 4)))
Y = (X[:, 0] > 0.6).astype(int)
STOCK: list[BaseEstimator] = [
    ColumnTransformer(
        [("n", StandardScaler(), [0, 1]), ("d", "drop", [2])], remainder="passthrough"
    ),
    make_pipeline(SimpleImputer(), PowerTransformer(), PCA(2)),
    make_pipeline(KBinsDiscretizer(3, encode="ordinal", strategy="uniform"), OneHotEncoder()),
    QuantileTransformer(n_quantiles=10),
    SplineTransformer(),
    FunctionTransformer(np.log1p, np.expm1),
    RandomForestRegressor(3),
    ExtraTreesClassifier(3),
    GradientBoostingRegressor(n_estimators=3),
    HistGradientBoostingRegressor(max_iter=3, loss="quantile", quantile=0.3),
    HistGradientBoostingClassifier(max_iter=3, categorical_features=[3]),
    GaussianProcessRegressor(),
    GaussianMixture(2),
    LogisticRegression(),
    RidgeCV(),
    MLPClassifier((3,), max_iter=2),
]


def test_columns_that_are_selected_by_dtype_are_kept(tmp_path: Path) -> None:
    table = pd.DataFrame({"u": X[:, 0], "word": pd.Categorical(np.where(Y, "yes", "no"))})
    words = make_column_selector(dtype_include="category")
    step = make_column_transformer((OneHotEncoder(), words), remainder="passthrough").fit(table)
    save(step, tmp_path / "step.sksbi")
    again = load(tmp_path / "step.sksbi")
    np.testing.assert_array_equal(again.transform(table), step.transform(table))
    np.testing.assert_array_equal(clone(again).fit_transform(table), step.transform(table))


def answer(estimator: BaseEstimator) -> np.ndarray:
    """Ask what it is for."""
    name = next(n for n in ("transform", "predict_proba", "predict") if hasattr(estimator, n))
    x = np.column_stack([X[:, :3], X[:, 3].round()])
    found = getattr(estimator, name)(x)
    return found.toarray() if sparse.issparse(found) else found


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", STOCK, ids=lambda e: type(e).__name__)
def test_stock_estimators_answer_as_before(estimator: BaseEstimator, tmp_path: Path) -> None:
    x = np.column_stack([X[:, :3], X[:, 3].round()])
    again = through_a_file(estimator.fit(x, Y), tmp_path)
    np.testing.assert_array_equal(answer(again), answer(estimator))
    assert repr(again) == repr(estimator)


@pytest.mark.parametrize("estimator", [KMeans(2, n_init=1), KNeighborsRegressor(), SVC()])
def test_estimators_whose_compiled_code_believes_anything_need_trust(
    estimator: BaseEstimator, tmp_path: Path
) -> None:
    """The error says what to trust, and with that they load."""
    save(estimator.fit(X, Y), tmp_path / "value.sksbi")
    with pytest.raises(LoadError, match="that are not known: .* load it with trusted=") as caught:
        load(tmp_path / "value.sksbi")
    names = str(caught.value).partition("trusted=")[2]
    needed = [name.strip(" '") for name in names.rstrip(".").strip("[]").split(",")]
    assert (
        f"sklearn.{type(estimator).__module__.split('.')[1]}.{type(estimator).__name__}" in needed
    )
    again = load(tmp_path / "value.sksbi", trusted=needed)
    np.testing.assert_array_equal(again.predict(X), estimator.predict(X))


# What is not an estimator of one fit.


def machine(theta: pd.Series, rng: np.random.Generator) -> dict[str, float]:
    """Simulate."""
    return {"u": rng.normal(theta["a"]), "v": rng.normal(theta["b"])}


def test_requests_of_metadata_are_kept(tmp_path: Path) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        asking = NPE().set_fit_request(sample_weight=True).set_score_request(sample_weight="w")
        save(asking, tmp_path / "f.sksbi")
        routing = load(tmp_path / "f.sksbi").get_metadata_routing()
        assert routing.fit.requests == {"sample_weight": True}
        assert routing.score.requests == {"sample_weight": "w"}
        assert routing.consumes("fit", ["sample_weight"]) == {"sample_weight"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_rounds_are_saved(tmp_path: Path) -> None:
    prior = {"a": stats.norm(), "b": stats.uniform(0, 2)}
    nle = NLE(prior, flow="maf", transforms=2, max_epochs=3, random_state=0)
    run = SequentialInference(nle, machine, n_simulations=100, n_rounds=2, random_state=0)
    run.fit({"u": 0.3, "v": 1.0})
    own = f"{machine.__module__}.machine"
    again = through_a_file(run, tmp_path, trusted=[own])
    one, other = (each.sample(n_samples=20, random_state=1) for each in (run, again))
    pd.testing.assert_frame_equal(one, other)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="path must lie in a folder that is there"):
        save({"a": 1}, tmp_path / "no" / "file.sksbi")
    assert not list(tmp_path.iterdir())
