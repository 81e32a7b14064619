"""A saved estimator is the same one: in a fresh process, in every format, on another machine."""

import copy
import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, QuantileRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import PolynomialFeatures, PowerTransformer, StandardScaler

import sksbi
from sksbi import (
    AMNPE,
    AMNRE,
    FMPE,
    NLE,
    NPE,
    NPSE,
    NRE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    PosteriorRegressor,
    QuantilePosterior,
    trusted_types,
)
from sksbi.estimators.marginal import MarginalPosterior
from sksbi.exceptions import VersionWarning
from sksbi.nn import MLP
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling, MetropolisHastings

pytestmark = pytest.mark.filterwarnings("ignore:theta's values of .* do not follow the prior")

TINY = {
    "flow": "maf",
    "transforms": 2,
    "hidden_features": (16,),
    "max_epochs": 2,
    "random_state": 0,
    "device": "cpu",
}
TINY_RATIO = {"hidden_features": (16,), "max_epochs": 2, "random_state": 0, "device": "cpu"}
PRIOR = {"mass": stats.uniform(-10, 20), "rate": stats.norm(0, 1)}

USER_PARTS = '''
"""What a user wrote in a module of her own."""
import numpy as np
import torch
import zuko
from sksbi.nn import RatioMLP


class Wide:
    support = (-20.0, 20.0)

    def sample(self, n, random_state):
        return np.random.default_rng(random_state).uniform(-20, 20, (n, 2))

    def log_prob(self, theta):
        return np.full(len(theta), -2 * np.log(40))


class Summary(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 4)

    def forward(self, x):
        return torch.tanh(self.layer(x))


def small_ratio(features, context, **options):
    return RatioMLP(features, context, members=1, **options)


def small_flow(features, context, **options):
    return zuko.flows.MAF(features, context, transforms=1, **options)
'''

REPLAY = '''
"""Load every file of a folder and compute with it."""
import pickle, sys
from pathlib import Path

import joblib, numpy as np, skops.io, sksbi, torch

from answers import answers

folder = Path(sys.argv[1])
data = np.load(folder / "data.npz")
trusted = pickle.loads((folder / "trusted.pkl").read_bytes())
before = torch.get_rng_state(), np.random.get_state()[1].copy()
results = {}
for file in sorted(folder.glob("*.saved")):
    name, form = file.name.split(".")[:2]
    if form == "skops":
        loaded = skops.io.load(file, trusted=trusted[name])
    elif form == "sksbi":
        loaded = sksbi.load(file, trusted=trusted["users"])
    else:
        loaded = joblib.load(file) if form == "joblib" else pickle.loads(file.read_bytes())
    for key, value in answers(loaded, data["theta"], data["x"]).items():
        results[f"{name}.{form}.{key}"] = value
assert torch.equal(before[0], torch.get_rng_state())
assert np.array_equal(before[1], np.random.get_state()[1])
np.savez(folder / "results.npz", **results)
'''

ANSWERS = '''
"""The numbers that saving must not change."""
import numpy as np


def answers(fitted, theta, x):
    if hasattr(fitted, "predict") and not hasattr(fitted, "best_estimator_"):
        mean, sd = fitted.predict(x[:3], return_std=True)
        return {"mean": mean, "sd": sd}
    best = getattr(fitted, "best_estimator_", fitted)
    theta, x = theta[:8], x[:8]
    ratios = {}
    if hasattr(best, "predict_log_ratio"):
        ratios["log_ratio"] = best.predict_log_ratio(theta, x)
        ratios["trials"] = best.predict_log_ratio(theta, x[:2], iid=True)
    if hasattr(best, "emulate"):
        ratios["log_likelihood"] = best.log_likelihood(theta, x)
        ratios["emulated"] = np.asarray(best.emulate(theta[:2], 20))
    return ratios | {
        "log_prob": best.log_prob(theta, x),
        "draws": np.asarray(best.sample(x[:2], 20)),
        "seeded": np.asarray(best.sample(x[0], 20, random_state=5)),
        "score": fitted.score(theta, x),
    }
'''


def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Give 120 pairs: two parameters, three numbers observed."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(120, 2))
    return theta, np.column_stack([theta, theta.prod(axis=1)]) + rng.normal(size=(120, 3))


THETA, X = simulated()


def torch_mixture() -> torch.distributions.MixtureSameFamily:
    """Give a prior that has no twin in scipy."""
    normals = torch.distributions.Normal(torch.zeros(2, 2), 9.0)
    return torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(2)),
        torch.distributions.Independent(normals, 1),
    )


# Estimators of every kind that is saved, built with the user's module at hand.
ESTIMATORS: dict[str, Callable[[object], BaseEstimator]] = {
    "npe": lambda _: NPE(PRIOR, **TINY),
    "no_prior": lambda _: NPE(None, **TINY | {"flow": "nsf"}),
    "multivariate": lambda _: NPE(stats.multivariate_normal([0, 0], np.eye(2) * 9), **TINY),
    "custom": lambda parts: NPE(parts.Wide(), **TINY),
    "transformed": lambda _: NPE(
        theta_transformer=PowerTransformer(), x_transformer=PCA(2), **TINY
    ),
    "factory": lambda parts: NPE(
        **TINY | {"flow": parts.small_flow, "transforms": None},
        embedding=partial(MLP, out_features=4),
        optimizer=partial(torch.optim.Adam, betas=(0.8, 0.9)),
    ),
    "passed_on": lambda _: NPE(
        **TINY, optimizer__weight_decay=0.1, callbacks__lr_scheduler=None, module__randperm=True
    ),
    "warm": lambda _: NPE(PRIOR, **TINY, warm_start=True),
    "pipeline": lambda _: make_pipeline(StandardScaler(), PCA(2), NPE(PRIOR, **TINY)),
    "search": lambda _: GridSearchCV(NPE(PRIOR, **TINY), {"lr": [1e-3, 1e-2]}, cv=2),
    "regressor": lambda _: PosteriorRegressor(NPE(**TINY), n_samples=50, random_state=0),
    "ensemble": lambda _: Ensemble(NPE(PRIOR, **TINY), n_estimators=2, random_state=0),
    "calibrated": lambda _: CalibratedPosterior(NPE(PRIOR, **TINY), n_samples=50, random_state=0),
    "calibrated_folds": lambda _: CalibratedPosterior(
        NPE(PRIOR, **TINY), cv=2, n_samples=50, random_state=0
    ),
    "torch_twin": lambda _: NPE(torch.distributions.Uniform(-20 * torch.ones(2), 20.0), **TINY),
    "torch_mixture": lambda _: NPE(torch_mixture(), **TINY),
    "module": lambda parts: NPE(embedding=parts.Summary(), **TINY),
    "nre": lambda _: NRE(PRIOR, **TINY_RATIO),
    "nre_factory": lambda parts: NRE(
        parts.Wide(),
        **TINY_RATIO,
        network=parts.small_ratio,
        criterion="balanced",
        sampler=MetropolisHastings(n_warmup=40),
    ),
    "nre_proposal": lambda _: NRE(
        PRIOR,
        **TINY_RATIO,
        sampler=ImportanceResampling(
            2_000, proposal=FrozenEstimator(NPE(PRIOR, **TINY).fit(THETA, X))
        ),
    ),
    "nre_warm": lambda _: NRE(PRIOR, **TINY_RATIO, warm_start=True),
    "nre_pipeline": lambda _: make_pipeline(StandardScaler(), NRE(PRIOR, **TINY_RATIO)),
    "nre_search": lambda _: GridSearchCV(
        NRE(PRIOR, **TINY_RATIO), {"criterion": ["binary", "contrastive"]}, cv=2
    ),
    "amnpe": lambda _: AMNPE(PRIOR, **TINY_RATIO, masks=[["mass"]]),
    "amnpe_marginal": lambda _: AMNPE(PRIOR, **TINY_RATIO).fit(THETA, X).marginal(["rate", "mass"]),
    "amnre": lambda _: AMNRE(PRIOR, **TINY_RATIO, masks=0.5),
    "fmpe": lambda _: FMPE(PRIOR, **TINY_RATIO),
    "npse_warm": lambda _: NPSE(PRIOR, **TINY_RATIO, warm_start=True),
    "nle": lambda _: NLE(PRIOR, **TINY),
    "nle_mixed": lambda parts: NLE(
        PRIOR,
        **TINY | {"flow": parts.small_flow, "transforms": None},
        x_discrete=[2],
        x_transformer=PowerTransformer(),
        sampler=MetropolisHastings(n_warmup=40),
    ),
    "nle_warm": lambda _: NLE(PRIOR, **TINY, warm_start=True),
    "nle_ensemble": lambda _: Ensemble(NLE(PRIOR, **TINY), n_estimators=2, random_state=0),
    "nle_pipeline": lambda _: make_pipeline(StandardScaler(), NLE(PRIOR, **TINY)),
    "classifier": lambda _: ClassifierRatio(
        prior=PRIOR, n_folds=2, sampler=ImportanceResampling(2_000), random_state=0
    ),
    "quantiles": lambda _: QuantilePosterior(prior=PRIOR, n_folds=2, random_state=0),
    "quantiles_near": lambda _: QuantilePosterior(
        QuantileRegressor(alpha=0.01),
        PRIOR,
        levels=3,
        n_folds=2,
        n_context=30,
        random_state=0,
    ),
    "classifier_pipeline": lambda _: ClassifierRatio(
        sklearn_pipeline(PolynomialFeatures(), StandardScaler(), LogisticRegression(C=0.1)),
        PRIOR,
        calibration="sigmoid",
        sampler=ImportanceResampling(2_000),
        random_state=0,
    ),
    "lambda": lambda parts: NPE(
        **TINY | {"flow": lambda *args, **options: parts.small_flow(*args)}
    ),
}
WITH_TENSORS = ["torch_twin", "torch_mixture", "module"]
FORMS = {
    "pickle": ESTIMATORS.keys() - {"lambda"},
    # Both are pickle underneath.
    "joblib": {"npe", "nre_pipeline", "ensemble", "classifier", "quantiles"},
    "cloudpickle": {"lambda", "custom", "module"},
    "skops": ESTIMATORS.keys() - {"lambda", *WITH_TENSORS},
    "sksbi": ESTIMATORS.keys() - {"lambda"},
}
USERS = [f"sksbi_user_parts.{name}" for name in ("Summary", "Wide", "small_flow", "small_ratio")]
SAVED = [(name, form) for name in ESTIMATORS for form, names in FORMS.items() if name in names]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder with the user's module, importable here and in the fresh process."""
    path = tmp_path_factory.mktemp("saved")
    (path / "sksbi_user_parts.py").write_text(USER_PARTS)
    (path / "answers.py").write_text(ANSWERS)
    (path / "replay.py").write_text(REPLAY)
    sys.path.insert(0, str(path))
    yield path
    sys.path.remove(str(path))


@pytest.fixture(scope="module")
def parts(folder: Path) -> object:
    """Import the user's module."""
    return importlib.import_module("sksbi_user_parts")


@pytest.fixture(scope="module")
def fitted(parts: object) -> dict[str, BaseEstimator]:
    """Fit all estimators."""
    return {name: make(parts).fit(*_pairs(name)) for name, make in ESTIMATORS.items()}


def _pairs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give theta and x in the order that fit takes them."""
    return (X, THETA) if name == "regressor" else (THETA, X)


def save(estimator: BaseEstimator, form: str, file: Path) -> None:
    """Save in one format."""
    writers = {"joblib": joblib.dump, "skops": skops.io.dump, "sksbi": sksbi.save}
    if form in writers:
        writers[form](estimator, file)
    else:
        file.write_bytes({"pickle": pickle, "cloudpickle": cloudpickle}[form].dumps(estimator))


@pytest.fixture(scope="module")
def replayed(folder: Path, fitted: dict[str, BaseEstimator]) -> dict[str, np.ndarray]:
    """Save everything, and let a fresh process load it and compute."""
    for name, form in SAVED:
        save(fitted[name], form, folder / f"{name}.{form}.saved")
    trusted = {name: trusted_types(fitted[name]) for name in FORMS["skops"]} | {"users": USERS}
    (folder / "trusted.pkl").write_bytes(pickle.dumps(trusted))
    np.savez(folder / "data.npz", theta=THETA, x=X)
    root = str(Path(sksbi.__file__).parents[1])
    # torch 2.6 leaves a folder of its own to the end of the process.
    strict = ["-W", "error", "-W", "ignore:Implicitly cleaning up:ResourceWarning"]
    command = [sys.executable, *strict, str(folder / "replay.py"), str(folder)]
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "results.npz"))


@pytest.fixture(scope="module")
def expected(fitted: dict[str, BaseEstimator]) -> dict[str, dict[str, np.ndarray]]:
    """Compute here what the fresh process is to give."""
    answers = importlib.import_module("answers").answers
    return {name: answers(estimator, THETA, X) for name, estimator in fitted.items()}


@pytest.mark.parametrize(("name", "form"), SAVED)
def test_a_fresh_process_gives_the_same_bits(
    name: str,
    form: str,
    expected: dict[str, dict[str, np.ndarray]],
    replayed: dict[str, np.ndarray],
) -> None:
    assert len(expected[name]) > 1
    for key, value in expected[name].items():
        np.testing.assert_array_equal(replayed[f"{name}.{form}.{key}"], value, strict=True)


def test_an_estimator_that_is_not_fitted_is_saved_too() -> None:
    again = pickle.loads(pickle.dumps(NPE(PRIOR, **TINY, optimizer__weight_decay=0.1)))
    assert again.get_params()["optimizer__weight_decay"] == 0.1
    assert again.fit(THETA, X).score(THETA, X) == (
        NPE(PRIOR, **TINY, optimizer__weight_decay=0.1).fit(THETA, X).score(THETA, X)
    )


def test_skops_loads_exactly_what_trusted_types_lists(fitted: dict[str, BaseEstimator]) -> None:
    data = skops.io.dumps(fitted["npe"])
    listed = trusted_types(fitted["npe"])
    assert "sksbi.estimators.npe.NPE" in listed
    assert not any(name.startswith(("torch", "skorch", "zuko")) for name in listed)
    for left_out in listed:
        with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException, match=left_out):
            skops.io.loads(data, trusted=[name for name in listed if name != left_out])


@pytest.mark.parametrize("name", WITH_TENSORS)
def test_trusted_types_says_what_skops_cannot_save(
    name: str, fitted: dict[str, BaseEstimator]
) -> None:
    with pytest.raises(TypeError, match="skops cannot save NPE with torch's tensors"):
        trusted_types(fitted[name])


def test_only_with_warm_start_the_optimizer_is_saved(fitted: dict[str, BaseEstimator]) -> None:
    """AdamW keeps two numbers for every weight."""
    weights = sum(p.numel() for p in fitted["npe"].net_.module_.parameters())
    small, large = (len(pickle.dumps(fitted[name])) for name in ("npe", "warm"))
    assert large - small > 2 * 4 * weights
    assert small < 4 * weights + 22_000


def test_a_loaded_estimator_goes_on_training_as_if_it_had_not_been_away() -> None:
    """With warm_start; the moments of the optimizer count."""
    npe = NPE(PRIOR, **TINY, warm_start=True).fit(THETA, X)
    again = pickle.loads(pickle.dumps(npe))
    state = npe.net_.optimizer_.state_dict()["state"]
    for key, moments in again.net_.optimizer_.state_dict()["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, state[key][name])
    expected = npe.fit(THETA, X).log_prob(THETA, X)
    np.testing.assert_array_equal(again.fit(THETA, X).log_prob(THETA, X), expected)
    pd.testing.assert_frame_equal(
        again.history_.drop(columns="dur"), npe.history_.drop(columns="dur")
    )
    assert len(npe.history_) == 2 * TINY["max_epochs"]


@pytest.mark.parametrize("name", ["npe", "nre", "classifier", "ensemble"])
def test_a_file_of_another_version_warns_and_loads(
    name: str, fitted: dict[str, BaseEstimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sksbi.estimators.base.__version__", "0.0.7")
        data = pickle.dumps(fitted[name])
    now = sksbi.__version__
    message = f"this {type(fitted[name]).__name__} was saved by sksbi 0.0.7 and is loaded by {now}"
    with pytest.warns(VersionWarning) as warned:
        again = pickle.loads(data)
    assert sum(message in str(warning.message) for warning in warned) == 1
    np.testing.assert_array_equal(again.sample(X[0], 5), fitted[name].sample(X[0], 5))
    assert pickle.loads(pickle.dumps(again)).score(THETA, X) == fitted[name].score(THETA, X)


@pytest.mark.parametrize(
    "name", ["npe", "torch_mixture", "module", "warm", "nre", "nre_warm", "classifier"]
)
def test_loading_leaves_the_global_generators_alone(
    name: str, fitted: dict[str, BaseEstimator]
) -> None:
    data = pickle.dumps(fitted[name])
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    copy.deepcopy(pickle.loads(data))
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def tensors_in(value: object, seen: set[int]) -> list[object]:
    """Find the tensors and modules in an object, whatever it is made of."""
    if id(value) in seen or isinstance(value, type):
        return []
    seen.add(id(value))
    if isinstance(value, torch.Tensor | torch.nn.Module):
        return [value]
    if isinstance(value, list | tuple | set):
        items = list(value)
    else:
        items = list(
            (value if isinstance(value, dict) else getattr(value, "__dict__", {})).values()
        )
    return [tensor for item in items for tensor in tensors_in(item, seen)]


@pytest.mark.parametrize(
    "name", ["npe", "no_prior", "multivariate", "transformed", "warm", "nre", "nre_warm"]
)
def test_there_are_no_tensors_outside_of_the_net(
    name: str, fitted: dict[str, BaseEstimator]
) -> None:
    attributes = dict(vars(fitted[name]))
    assert tensors_in(vars(attributes.pop("net_")), set())
    assert tensors_in(attributes, set()) == []
    state = fitted[name].__getstate__()
    assert tensors_in(state, set()) == []


WITHOUT_NET = ["classifier", "classifier_pipeline", "quantiles", "quantiles_near"]


@pytest.mark.parametrize(
    "name", [name for name in ESTIMATORS if name not in ("regressor", *WITHOUT_NET)]
)
def test_a_deep_copy_is_the_same_and_stands_alone(
    name: str, fitted: dict[str, BaseEstimator]
) -> None:
    original = fitted[name]
    again = copy.deepcopy(original)
    expected = original.score(THETA, X)
    assert again.score(THETA, X) == expected
    best = getattr(again, "best_estimator_", again)
    best = best.steps[-1][1] if hasattr(best, "steps") else best
    best = best.estimator if isinstance(best, MarginalPosterior) else best
    net = getattr(best, "estimators_", [best])[0].net_.module_
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert original.score(THETA, X) == expected
    assert again.score(THETA, X) != expected


@pytest.mark.parametrize("name", WITHOUT_NET)
def test_a_deep_copy_without_a_net_stands_alone(
    name: str, fitted: dict[str, BaseEstimator]
) -> None:
    original, some = fitted[name], (THETA[:8], X[:8])
    again = copy.deepcopy(original)
    expected = original.score(*some)
    assert again.score(*some) == expected
    again.fit(THETA, X[::-1])
    assert original.score(*some) == expected
    assert again.score(*some) != expected


def test_a_clone_of_a_fitted_estimator_is_not_fitted_and_fits_to_the_same(
    fitted: dict[str, BaseEstimator],
) -> None:
    again = clone(fitted["passed_on"])
    assert not hasattr(again, "net_")
    assert again.fit(THETA, X).score(THETA, X) == fitted["passed_on"].score(THETA, X)


@pytest.mark.parametrize(
    "changes",
    [
        {"flow": "nsf", "transforms": 5, "hidden_features": (7, 7)},
        {"prior": None, "random_state": 3},
        {"optimizer": "sgd", "optimizer__momentum": 0.5, "criterion": "unknown", "lr": -1},
        {"embedding": partial(MLP, out_features=2), "x_transformer": PCA(1), "warm_start": True},
    ],
)
def test_parameters_set_after_fit_change_nothing_that_was_learnt(
    changes: dict, fitted: dict[str, BaseEstimator]
) -> None:
    npe = copy.deepcopy(fitted["npe"]).set_params(**changes)
    again = pickle.loads(pickle.dumps(npe))
    expected = fitted["npe"]
    np.testing.assert_array_equal(again.log_prob(THETA, X), expected.log_prob(THETA, X))
    draws = again.sample(X[0], 5, random_state=1)
    np.testing.assert_array_equal(draws, expected.sample(X[0], 5, random_state=1))
    for name, value in changes.items():
        assert repr(again.get_params()[name]) == repr(value)


def test_what_a_gpu_fitted_loads_on_a_machine_without_one(
    fitted: dict[str, BaseEstimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    npe = copy.deepcopy(fitted["npe"]).set_params(device="cuda")
    npe._spec = npe._spec | {"device": "cuda"}
    data = pickle.dumps(npe)

    empty = torch.empty

    def empty_without_gpu(*size: object, device: object = None, **options: object) -> torch.Tensor:
        if str(device).startswith("cuda"):
            raise RuntimeError("Found no NVIDIA driver on your system")
        return empty(*size, device=device, **options)

    monkeypatch.setattr(torch, "empty", empty_without_gpu)
    again = pickle.loads(data)
    assert {p.device.type for p in again.net_.module_.parameters()} == {"cpu"}
    np.testing.assert_array_equal(again.log_prob(THETA, X), fitted["npe"].log_prob(THETA, X))
    np.testing.assert_array_equal(again.sample(X[0], 5), fitted["npe"].sample(X[0], 5))
