"""scikit-learn's callbacks: which tasks they are told of, in which order, and what they can do."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sksbi import (
    NPE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    ModelComparison,
    PosteriorRegressor,
    SequentialInference,
)
from sksbi.pipeline import make_pipeline

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn is older than 1.9")

PRIOR = {"a": stats.norm(0, 1)}
TINY = {"flow": "maf", "transforms": 1, "hidden_features": (4,), "max_epochs": 2}
THETA = np.random.default_rng(0).normal(size=(60, 1))
X = THETA + np.random.default_rng(1).normal(size=(60, 2))


class Listener:
    """Write down which tasks begin and end, in this process."""

    max_propagation_depth = None

    def __init__(self, stop_at=None):
        self.told, self.stop_at, self.n_torn_down = [], stop_at, 0

    def setup(self, estimator, context):
        self.told = []

    def on_fit_task_begin(self, estimator, context):
        self.told.append(("begin", context.estimator_name, context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.told.append(("end", context.estimator_name, context.task_name))
        return context.task_name == "epoch" and context.task_id == self.stop_at

    def teardown(self, estimator, context):
        self.n_torn_down += 1

    def begun(self):
        """List the tasks in the order in which they began."""
        return [(who, what) for when, who, what in self.told if when == "begin"]


def listened(estimator, *args):
    """Fit with a listener."""
    listener = Listener()
    estimator.set_callbacks(listener).fit(*args)
    assert listener.n_torn_down == 1
    # Every task ends, the last one begun first.
    open_tasks = []
    for when, *task in listener.told:
        if when == "begin":
            open_tasks.append(task)
        else:
            assert open_tasks.pop() == task
    assert open_tasks == []
    return listener.begun()


def test_epochs_are_tasks_of_a_fit():
    found = listened(NPE(PRIOR, **TINY, random_state=0), THETA, X)
    assert found == [("NPE", "fit"), ("NPE", "epoch"), ("NPE", "epoch")]


def test_members_are_tasks_with_fits_within():
    ensemble = Ensemble(NPE(PRIOR, **TINY), n_estimators=2, random_state=0)
    one = [("NPE", "fit"), ("NPE", "epoch"), ("NPE", "epoch")]
    assert listened(ensemble, THETA, X) == [("Ensemble", "fit"), *one, *one]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_an_ensemble_is_the_same_with_callbacks(n_jobs):
    # A listener in another process writes down nothing here.
    ensemble = Ensemble(NPE(PRIOR, **TINY), n_estimators=2, n_jobs=n_jobs, random_state=0)
    expected = clone(ensemble).fit(THETA, X).log_prob(THETA, X)
    ensemble.set_callbacks(Listener()).fit(THETA, X)
    np.testing.assert_array_equal(ensemble.log_prob(THETA, X), expected)


def test_folds_are_tasks():
    calibrated = CalibratedPosterior(NPE(PRIOR, **TINY), cv=2, n_samples=20, random_state=0)
    found = listened(calibrated, THETA, X)
    assert found[0] == ("CalibratedPosterior", "fit")
    assert found.count(("NPE", "fit")) == 2


def test_rounds_are_tasks():
    def simulator(theta, rng):
        return theta["a"] + rng.normal(size=2)

    run = SequentialInference(
        NPE(PRIOR, **TINY), simulator, n_rounds=2, n_simulations=60, random_state=0
    )
    found = listened(run, np.zeros(2))
    assert found[0] == ("SequentialInference", "fit")
    assert found.count(("NPE", "fit")) == 2
    assert found.count(("NPE", "epoch")) == 4


def test_a_pipeline_tells_of_its_last_step():
    found = listened(make_pipeline(StandardScaler(), NPE(PRIOR, **TINY)), THETA, X)
    assert found[0] == ("Pipeline", "fit")
    assert found[1:] == [("NPE", "fit"), ("NPE", "epoch"), ("NPE", "epoch")]


def test_a_regressor_tells_of_its_posterior():
    regressor = PosteriorRegressor(NPE(**TINY), n_samples=10, random_state=0)
    found = listened(regressor, X, THETA)
    assert found[:2] == [("PosteriorRegressor", "fit"), ("NPE", "fit")]


def test_what_has_no_parts_is_one_task():
    ratio = ClassifierRatio(prior=PRIOR, n_folds=2, random_state=0)
    assert listened(ratio, THETA, X) == [("ClassifierRatio", "fit")]
    models = ModelComparison(LogisticRegression(), n_folds=2, random_state=0)
    assert listened(models, X, THETA[:, 0] > 0) == [("ModelComparison", "fit")]


def test_a_search_tells_of_the_fits_within():
    search = GridSearchCV(NPE(PRIOR, **TINY, random_state=0), {"lr": [1e-3, 1e-2]}, cv=2)
    found = listened(search, THETA, X)
    assert found[0] == ("GridSearchCV", "fit")
    assert found.count(("NPE", "epoch")) == 5 * 2  # two values in two folds, and the refit


def test_a_callback_may_stop_the_training():
    npe = NPE(PRIOR, **TINY | {"max_epochs": 10}, random_state=0)
    npe.set_callbacks(Listener(stop_at=2)).fit(THETA, X)
    assert len(npe.history_) == 3
    assert not npe.interrupted_
    assert npe.sample([0.0, 0.0], 10).shape == (10, 1)


def test_callbacks_change_no_number():
    plain = NPE(PRIOR, **TINY, random_state=0).fit(THETA, X)
    told = NPE(PRIOR, **TINY, random_state=0).set_callbacks(Listener()).fit(THETA, X)
    np.testing.assert_array_equal(plain.log_prob(THETA, X), told.log_prob(THETA, X))
    assert [name for name, _ in told.net_.callbacks_] == [n for n, _ in plain.net_.callbacks_]


def test_what_goes_wrong_is_told_too():
    class Broken(NPE):
        def _build_module(self, spec):
            raise ValueError("no network today")

    listener = Listener()
    npe = Broken(PRIOR, **TINY).set_callbacks(listener)
    with pytest.raises(ValueError, match="no network today"):
        npe.fit(THETA, X)
    assert listener.n_torn_down == 1
    assert not hasattr(npe, "_callback_fit_ctx")


def test_scores_are_monitored_at_the_end():
    seen = []

    class Monitor(Listener):
        def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
            if fitted_estimator is not None:
                seen.append(fitted_estimator.score(X, y))

    npe = NPE(PRIOR, **TINY, random_state=0).set_callbacks(Monitor()).fit(THETA, X)
    assert seen == [npe.score(THETA, X)]
