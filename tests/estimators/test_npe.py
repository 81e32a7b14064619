"""What is NPE's own: its embedding, its loss, its optimizer, its flow, and how it draws."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.preprocessing import PowerTransformer, StandardScaler
from torch import Tensor, nn
from torch.distributions import Distribution
from zuko.flows import MAF

from sksbi import NPE
from sksbi.losses import NegativeLogLikelihood
from sksbi.nn import MLP, flow_names

TINY = {
    "flow": "maf",
    "transforms": 2,
    "hidden_features": (16,),
    "max_epochs": 3,
    "lr": 1e-2,
    "random_state": 0,
}


def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Give 150 pairs: two parameters, three numbers of either sign."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(150, 2))
    return theta, theta @ rng.normal(size=(2, 3)) + rng.normal(size=(150, 3))


THETA, X = simulated()
IMAGES = THETA[:, :1, None] + np.random.default_rng(1).normal(size=(150, 4, 5))


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """Compute what the plain estimator learns."""
    return NPE(**TINY).fit(THETA, X).log_prob(THETA, X)


def learnt(**options: object) -> np.ndarray:
    """Compute what an estimator with options learns."""
    return NPE(**TINY | options).fit(THETA, X).log_prob(THETA, X)


@pytest.mark.parametrize(
    ("x", "features"),
    [(X, 3), (np.exp(X), 6), (X[:, 0], 1), (IMAGES, (4, 5))],
    ids=["either sign", "positive, with logarithms", "one number", "images"],
)
def test_a_callable_embedding_is_told_what_the_network_sees(x: np.ndarray, features: int) -> None:
    told, seen = [], []

    class Recorder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LazyLinear(2)

        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape[1:]))
            return self.layer(x.flatten(1))

    def embedding(features: object) -> nn.Module:
        told.append(features)
        return Recorder()

    NPE(embedding=embedding, **TINY).fit(THETA, x)
    assert set(told) == {features}
    assert set(seen) == {features if isinstance(features, tuple) else (features,)}


class Convolution(nn.Module):
    """A network of images that keeps the shapes it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set = set()
        self.layer = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.add(tuple(x.shape[1:]))
        return torch.tanh(self.layer(x[:, None]))


def test_a_module_sees_images_as_they_are_and_its_features_are_flattened() -> None:
    npe = NPE(embedding=Convolution(), **TINY).fit(THETA, IMAGES)
    assert npe.net_.module_.embedding.shapes == {(4, 5)}
    assert npe.sample(IMAGES[0], 3).shape == (3, 2)
    assert np.isfinite(npe.log_prob(THETA, IMAGES)).all()


def test_a_module_sees_every_column_once_on_one_scale() -> None:
    """No logarithms: the module is made for the number of columns of x."""
    seen = []

    class Recorder(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach())
            return super().forward(x)

    x = np.exp(X) * [1, 1e6, 1e-6]
    NPE(embedding=Recorder(3, 4), **TINY | {"validation_fraction": None}).fit(THETA, x)
    columns = torch.cat([x for x in seen if x.abs().sum() > 0])
    assert columns.shape[1] == 3
    assert columns.abs().max() < 10
    assert (columns.std(dim=0) > 0.5).all()


def test_the_module_of_the_user_is_trained_on_a_copy() -> None:
    module = MLP(3, 4, hidden_features=(8,)).eval()
    before = deepcopy(module.state_dict())
    npe = NPE(embedding=module, **TINY).fit(THETA, X)
    assert npe.embedding is module
    assert not module.training
    trained = npe.net_.module_.embedding.state_dict()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
        assert not torch.equal(value, trained[name])
    assert all(p.grad is None for p in module.parameters())


def test_an_embedding_that_cannot_take_x_is_refused() -> None:
    with pytest.raises(ValueError, match=r"embedding=.* must map x of shape \(n, 3\)"):
        NPE(embedding=nn.Linear(7, 2), **TINY).fit(THETA, X)
    with pytest.raises(ValueError, match="'embedding' parameter.*Got 16"):
        NPE(embedding=16, **TINY).fit(THETA, X)


class Shifted(nn.Module):
    """The negative log-likelihood and a constant."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, posterior: Distribution, theta: Tensor) -> Tensor:
        return self.shift - posterior.log_prob(theta)


@pytest.mark.parametrize("criterion", ["negative_log_likelihood", NegativeLogLikelihood, Shifted])
def test_a_criterion_by_name_and_by_class(criterion: object, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(learnt(criterion=criterion), expected)


@pytest.mark.parametrize(
    "options",
    [
        {"criterion": Shifted, "criterion__shift": 3.0},
        {"criterion": partial(Shifted, shift=3.0)},
        {"criterion": lambda shift: Shifted(shift), "criterion__shift": 3.0},
    ],
    ids=["class", "partial", "factory"],
)
def test_options_reach_the_criterion(options: dict, expected: np.ndarray) -> None:
    """A constant moves both losses and, having no gradient, nothing else."""
    plain, shifted = NPE(**TINY).fit(THETA, X), NPE(**TINY | options).fit(THETA, X)
    np.testing.assert_array_equal(shifted.log_prob(THETA, X), expected)
    for name in ("train_loss", "valid_loss"):
        shift = shifted.history_[name] - plain.history_[name]
        np.testing.assert_allclose(shift, 3.0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"optimizer": "adam"}, {"optimizer": torch.optim.Adam}),
        ({"optimizer": "Adam"}, {"optimizer": "adam"}),
        (
            {"optimizer": "adam", "optimizer__weight_decay": 0.1},
            {"optimizer": partial(torch.optim.Adam, weight_decay=0.1)},
        ),
        (
            {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
            {"optimizer": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)},
        ),
    ],
    ids=["name, class", "case", "option, partial", "option, factory"],
)
def test_an_optimizer_by_name_class_partial_and_factory(
    options: dict, same: dict, expected: np.ndarray
) -> None:
    result = learnt(**options)
    np.testing.assert_array_equal(result, learnt(**same))
    assert not np.array_equal(result, expected)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adamm"}, ValueError, "optimizer must be one of .*got 'adamm'"),
        ({"optimizer__lrr": 1.0}, ValueError, "optimizer__lrr is not a parameter"),
        ({"criterion": "nlll"}, ValueError, "criterion must be one of .*got 'nlll'"),
        ({"criterion": Shifted, "criterion__shfit": 1}, TypeError, "'shfit'"),
        ({"criterion": 3}, TypeError, "criterion must be one of .*int: 3"),
        ({"module__randprem": True}, TypeError, "'randprem'"),
        ({"flow": "nsf", "module__binz": 3}, TypeError, "'binz'"),
        ({"flow": "nfs"}, ValueError, "flow must be one of .*got 'nfs'"),
        ({"callbacks__lr_schedular": None}, ValueError, "no callback 'lr_schedular'"),
    ],
)
def test_mistyped_options_are_named(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        learnt(**options)


def test_an_option_without_a_prefix_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'bins'.*module__"):
        NPE(bins=3)


@pytest.mark.parametrize("bins", [3, 5])
def test_module_options_reach_the_flow(bins: int) -> None:
    """A spline of k bins has 3 k - 1 numbers a parameter."""
    npe = NPE(**TINY | {"flow": "nsf", "hidden_features": (8,)}, module__bins=bins).fit(THETA, X)
    outputs = [network.biases[-1].shape[1] for network in npe.net_.module_.flow.networks]
    # The first of TINY's two transforms is affine.
    assert outputs == [2 * 2, 2 * (3 * bins - 1)]


@pytest.mark.parametrize("members", [1, 3])
def test_the_number_of_members_reaches_the_flow(members: int) -> None:
    """Every weight is there once for each of them, and they have learnt different densities."""
    options = {"flow": "nsf", "hidden_features": (8,), "module__members": members}
    flow = NPE(**TINY | options).fit(THETA, X).net_.module_.flow
    alone = NPE(**TINY | options | {"module__members": 1}).fit(THETA, X).net_.module_.flow
    sizes = [sum(p.numel() for p in f.parameters()) for f in (flow, alone)]
    assert sizes[0] == members * sizes[1]
    for network in flow.networks:
        hidden = network.weights[0].flatten(1)
        assert len(hidden) == members
        assert len(hidden.unique(dim=0)) == members


def test_a_flow_factory_is_called_with_sizes_and_the_options_that_were_given() -> None:
    calls = []

    def flow(features: int, context: int, **options: object) -> nn.Module:
        calls.append((features, context, options))
        return MAF(features, context, transforms=1, hidden_features=(8,))

    NPE(flow=flow, max_epochs=1).fit(THETA, X)
    options = {"transforms": 3, "hidden_features": (7,), "module__depth": "deep"}
    embedding = partial(MLP, out_features=5)
    NPE(flow=flow, max_epochs=1, embedding=embedding, **options).fit(THETA, X)
    given = {"transforms": 3, "hidden_features": (7,), "depth": "deep"}
    assert calls == [(2, 3, {}), (2, 5, given)]


SMALL_FLOWS: dict[str, dict] = {
    "bpf": {"hidden_features": (8,), "transforms": 1},
    "cnf": {"hidden_features": (8,)},
    "gmm": {"hidden_features": (8,), "module__components": 3},
    "unaf": {"hidden_features": (8,), "transforms": 1},
    "sospf": {"hidden_features": (8,), "transforms": 1},
}


@pytest.mark.parametrize("name", flow_names())
def test_every_flow_draws_from_its_density_by_its_seed_alone(name: str) -> None:
    """The mean of 1_A / q over draws is the volume of A."""
    small = {"hidden_features": (8,), "transforms": 2}
    options = {"flow": name, "max_epochs": 1, "random_state": 0} | SMALL_FLOWS.get(name, small)
    npe = NPE([stats.norm(), stats.uniform(-6, 12)], **options).fit(THETA, X)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    draws = npe.sample(X[0], 800, random_state=1)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    few, again, other = (npe.sample(X[0], 5, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(few, again)
    assert not np.isclose(few, other).any()
    low, high = np.quantile(draws[:200], [0.2, 0.8], axis=0)
    others = draws[200:]
    inside = ((others > low) & (others < high)).all(axis=1)
    volumes = np.where(inside, np.exp(-npe.log_prob(others, X[0])), 0)
    standard_error = volumes.std() / np.sqrt(len(volumes))
    assert abs(volumes.mean() - np.prod(high - low)) < 5 * standard_error


@pytest.mark.parametrize("flow", ["maf", "gmm"])
def test_observations_in_a_batch_have_noise_of_their_own(flow: str) -> None:
    options = {"flow": flow, "max_epochs": 1, "random_state": 0} | SMALL_FLOWS.get(flow, {})
    npe = NPE(**options).fit(THETA, X)
    first, second = npe.sample(X[[0, 0]], 500)
    assert not np.isclose(first, second).any(axis=1).all()
    correlation = np.corrcoef(first[:, 0], second[:, 0])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(500)


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA(2), PowerTransformer()])
def test_x_is_transformed_as_by_hand(transformer: BaseEstimator) -> None:
    npe = NPE(x_transformer=transformer, **TINY).fit(THETA, X)
    assert set(vars(transformer)) == set(transformer.get_params())
    by_hand = transformer.fit_transform(X)
    alone = NPE(**TINY).fit(THETA, by_hand)
    np.testing.assert_array_equal(npe.log_prob(THETA, X), alone.log_prob(THETA, by_hand))
    np.testing.assert_array_equal(npe.sample(X[0], 4), alone.sample(by_hand[0], 4))


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA(whiten=True), PowerTransformer()])
def test_theta_is_transformed_as_by_hand_but_for_the_jacobian(transformer: BaseEstimator) -> None:
    npe = NPE(theta_transformer=transformer, **TINY).fit(THETA, X)
    assert set(vars(transformer)) == set(transformer.get_params())
    by_hand = transformer.fit_transform(THETA)
    alone = NPE(**TINY).fit(by_hand, X)
    draws = alone.sample(X[0], 4)
    np.testing.assert_allclose(
        npe.sample(X[0], 4), transformer.inverse_transform(draws), rtol=1e-6, atol=1e-9
    )
    difference = npe.log_prob(THETA, X) - alone.log_prob(by_hand, X)
    np.testing.assert_allclose(difference, log_volume_change(transformer, THETA), atol=1e-4)


def log_volume_change(transformer: BaseEstimator, theta: np.ndarray) -> np.ndarray:
    """Compute log |det| by central differences."""
    steps = 1e-5 * np.eye(theta.shape[1])
    columns = [transformer.transform(theta + h) - transformer.transform(theta - h) for h in steps]
    return np.linalg.slogdet(np.stack(columns, axis=-1) / 2e-5)[1]


@pytest.mark.parametrize("patience", [None, 1])
def test_a_progress_bar_is_shown_when_verbose(
    patience: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    npe = NPE(**TINY | {"patience": patience}, verbose=1).fit(THETA, X)
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit:" in err
    assert f"{len(npe.history_)}/{TINY['max_epochs']}" in err
    assert "train_loss=" in err
    assert "valid_loss=" in err
    npe.sample(X[0], 65_537)
    assert "sample: 100%" in capsys.readouterr().err
    npe.map(np.tile(X, (2, 1)))
    assert "map: 100%" in capsys.readouterr().err


def test_nothing_is_shown_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    npe = NPE(**TINY).fit(THETA, X)
    npe.sample(X[0], 10), npe.score(THETA, X), npe.map(X[0]), npe.summary(X[0])
    assert capsys.readouterr() == ("", "")


def of_noise(n: int, noise: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Simulate one parameter and its noisy reading, followed by columns of noise."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 1))
    return theta, np.hstack([theta + 0.3 * rng.normal(size=(n, 1)), rng.normal(size=(n, noise))])


def test_columns_of_noise_are_left_out_and_make_no_difference() -> None:
    theta, x = of_noise(2000, 40)
    npe = NPE(max_epochs=2, random_state=0).fit(theta, x)
    assert npe.x_kept_[0]
    # Each column of noise is kept with a probability of 0.02: six or more of 40, of 2e-4.
    assert npe.x_kept_.sum() <= 6
    other = x[:5].copy()
    other[:, ~npe.x_kept_] = 1e3
    np.testing.assert_array_equal(npe.log_prob(theta[:5], x[:5]), npe.log_prob(theta[:5], other))


@pytest.mark.parametrize(
    ("n", "noise", "options"),
    [
        (2000, 40, {"x_features": None}),
        (2000, 40, {"embedding": partial(MLP, out_features=4)}),
        (400, 20, {}),
        (2000, 10, {}),
    ],
)
def test_screening_is_left_out_where_the_docstring_says(n: int, noise: int, options: dict) -> None:
    theta, x = of_noise(n, noise)
    npe = NPE(max_epochs=1, random_state=0, **options).fit(theta, x)
    assert npe.x_kept_.tolist() == [True] * (noise + 1)


def test_an_indicator_of_how_good_the_others_are_is_seen() -> None:
    """Of 12 readings with noise 0.3 or 3 the posterior sd is 0.086 or 0.65, by the instrument."""
    rng = np.random.default_rng(0)
    theta, bad = rng.normal(size=(1_000, 1)), rng.integers(0, 2, (1_000, 1))
    x = np.hstack([theta + np.where(bad, 3.0, 0.3) * rng.normal(size=(1_000, 12)), bad])
    npe = NPE([stats.norm()], max_epochs=30, random_state=0).fit(theta, x)
    assert npe.x_kept_[-1]
    same = np.tile(x[np.flatnonzero(bad == 0)[0]], (2, 1))
    same[1, -1] = 1
    sd = npe.sample(same, 2_000).std(axis=1)[:, 0]
    # A network of so few simulations and epochs is worth a factor of two or three, not of seven.
    assert sd[1] > 2 * sd[0]


def test_what_was_kept_is_known_after_fit_only() -> None:
    with pytest.raises(AttributeError, match="no x_kept_ before fit"):
        NPE().x_kept_  # noqa: B018


def test_a_warm_start_does_not_change_the_screening() -> None:
    theta, x = of_noise(600, 12)
    npe = NPE(max_epochs=1, warm_start=True, random_state=0).fit(theta, x)
    with pytest.raises(ValueError, match="x_features was set to None"):
        npe.set_params(x_features=None).fit(theta, x)
