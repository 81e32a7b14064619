"""A pipeline whose fit ends early: never the steps of one fit with the estimator of another."""

import numpy as np
import pytest
import sklearn.pipeline
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import Callback

from sksbi import NPE, PosteriorRegressor
from sksbi.pipeline import Pipeline, make_pipeline

TINY = {
    "flow": "maf",
    "transforms": 2,
    "hidden_features": (16,),
    "max_epochs": 3,
    "lr": 1e-2,
    "random_state": 0,
}
RNG = np.random.default_rng(0)
THETA = RNG.normal(size=(150, 2))
X = THETA @ RNG.normal(size=(2, 4)) + RNG.normal(size=(150, 4))


class CtrlC(Callback):
    """Press Ctrl-C at the end of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self, net: object, **_: object) -> None:
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["StandardScaler", "nested"])
@pytest.mark.parametrize("way", ["Ctrl-C", "error", "error in a step"])
def test_a_fit_that_ends_early_leaves_a_fitted_pipeline_as_it_was(way: str, kind: str) -> None:
    first = StandardScaler()
    if kind == "nested":
        first = sklearn.pipeline.make_pipeline(FunctionTransformer(), first)
    pipe = Pipeline([("scale", first), ("pca", PCA(2)), ("npe", NPE(**TINY))]).fit(THETA, X)
    expected, steps = pipe.log_prob(THETA, X), pipe.steps
    broken = {
        "Ctrl-C": {"npe__callbacks": [CtrlC(2)]},
        "error": {"npe__lr": 1e10, "npe__max_epochs": 10},
        "error in a step": {"pca__n_components": 7},
    }[way]
    before = {name: pipe.get_params()[name] for name in broken}
    with pytest.raises((KeyboardInterrupt, FloatingPointError, ValueError)):
        pipe.set_params(**broken).fit(THETA, 5 * X + 3)
    assert pipe.set_params(**before).steps is steps
    np.testing.assert_array_equal(pipe.log_prob(THETA, X), expected)


def test_an_interrupted_pipeline_that_was_not_fitted_is_not() -> None:
    pipe = make_pipeline(StandardScaler(), NPE(**TINY, callbacks=[CtrlC(2)]))
    with pytest.raises(KeyboardInterrupt):
        pipe.fit(THETA, X)
    assert not hasattr(pipe[0], "mean_")
    with pytest.raises(NotFittedError):
        pipe.sample(X[0])


def test_with_a_warm_start_ctrl_c_keeps_the_best_weights_of_a_pipeline() -> None:
    options = TINY | {"validation_fraction": None, "callbacks__lr_scheduler": None}
    pipe = make_pipeline(StandardScaler(), NPE(**options, warm_start=True, callbacks=[CtrlC(2)]))
    with pytest.raises(KeyboardInterrupt) as caught:
        pipe.fit(THETA, X)
    assert "keeps the best weights" in caught.value.__notes__[0]
    scaled = StandardScaler().fit_transform(X)
    alone = NPE(**options | {"max_epochs": 2}).fit(THETA, scaled)
    np.testing.assert_array_equal(pipe.log_prob(THETA, X), alone.log_prob(THETA, scaled))
    expected = pipe.log_prob(THETA, X)
    with pytest.raises(KeyboardInterrupt):
        pipe.set_params(npe__callbacks=[CtrlC(1)]).fit(THETA, X[:, ::-1] * 3)
    assert len(pipe.history_) == 3
    with pytest.raises(KeyboardInterrupt) as caught:
        pipe.set_params(npe__callbacks=[Stop()]).fit(THETA, 4 * X)
    assert not hasattr(caught.value, "__notes__")
    assert len(pipe.history_) == 3
    assert (pipe.log_prob(THETA, X) != expected).any()


class Stop(Callback):
    """Press Ctrl-C before the first step."""

    def on_train_begin(self, net: object, **_: object) -> None:
        raise KeyboardInterrupt


def test_an_interrupted_regressor_is_as_it_was() -> None:
    regressor = PosteriorRegressor(NPE(**TINY), n_samples=20, random_state=0).fit(X, THETA)
    expected = regressor.predict(X[:5])
    regressor.set_params(estimator__callbacks=[CtrlC(2)], random_state=1)
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(X[:, :2], THETA[:, 0])
    np.testing.assert_array_equal(regressor.predict(X[:5]), expected)
    fresh = PosteriorRegressor(NPE(**TINY, callbacks=[CtrlC(2)]), n_samples=20)
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(X, THETA)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
