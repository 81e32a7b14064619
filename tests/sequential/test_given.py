"""What rounds are given is looked at before time is spent, and errors say what is wrong."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline as sklearn_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sksbi import NLE, NPE, NRE, ClassifierRatio, Ensemble, SequentialInference, simulate
from sksbi.exceptions import TrainingWarning
from sksbi.pipeline import make_pipeline
from sksbi.samplers import ImportanceResampling

PRIOR = {"a": stats.norm(0, 2), "b": stats.norm(0, 2)}
X = [3.0, -1.0]
TINY = {"flow": "maf", "transforms": 1, "hidden_features": (16,), "max_epochs": 3}
ROUNDS = {"n_rounds": 2, "n_simulations": 100, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::sksbi.exceptions.TrainingWarning")


def simulator(theta, rng):
    """Add noise to theta."""
    return rng.normal(theta.to_numpy(), 0.1)


def named(theta, rng):
    """Name what is returned."""
    return dict(zip("st", simulator(theta, rng), strict=True))


def tiny(**options):
    """Make a small estimator."""
    return NPE(PRIOR, **TINY | options)


@pytest.mark.parametrize(
    ("options", "x", "message"),
    [
        ({"estimator": NPE()}, X, "estimator must have the prior"),
        ({"estimator": NPE}, X, "estimator must be an instance"),
        ({"estimator": tiny(), "proposal": "posterior"}, X, "is for ratio and likelihood"),
        ({"n_simulations": []}, X, "n_simulations must be an int of at least 2"),
        ({"n_simulations": [100, 1]}, X, "n_simulations must be an int of at least 2"),
        ({"n_rounds": 0}, X, "n_rounds"),
        ({"tol": -1.0}, X, "tol"),
        ({"simulator": None}, X, "simulator"),
        ({}, [1.0, 2.0, 3.0], "x_observed, beside what the simulator returns"),
        ({}, 1.0, "x_observed, beside what the simulator returns"),
        ({}, [np.nan, 1.0], "x_observed, beside what the simulator returns"),
        ({}, None, "x_observed"),
    ],
)
def test_wrong_input_is_told(options, x, message):
    """By the name of the argument."""
    options = {"estimator": tiny(), "simulator": simulator} | ROUNDS | options
    with pytest.raises((TypeError, ValueError), match=message):
        SequentialInference(**options).fit(x)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"theta": [[1.0, 2.0]]}, "both be given, or neither"),
        ({"theta": np.zeros((3, 2)), "x": np.zeros((2, 2))}, "rows|length|samples"),
        ({"theta": np.zeros((3, 2)), "x": np.zeros((3, 4))}, "x_observed, beside the given x"),
    ],
)
def test_wrong_pairs_are_told(given, message):
    """Before anything is simulated."""
    with pytest.raises(ValueError, match=message):
        SequentialInference(tiny(), simulator, **ROUNDS).fit(X, **given)


@pytest.mark.parametrize("estimator", [tiny(max_epochs=-1), Ensemble(tiny(max_epochs=-1))])
def test_wrong_parameters_are_told_before_a_simulation(estimator):
    """They are known from the start."""
    calls = []
    with pytest.raises(ValueError, match="max_epochs"):
        SequentialInference(estimator, calls.append, **ROUNDS).fit(X)
    assert not calls


def test_a_wrong_observation_is_told_by_the_first_simulations(tmp_path):
    """An expensive simulator is not run for nothing; with a store nothing is simulated again."""
    calls = []

    def counting(theta, rng):
        calls.append(theta)
        return simulator(theta, rng)

    with pytest.raises(ValueError, match="x_observed, beside what the simulator returns"):
        SequentialInference(tiny(), counting, **ROUNDS).fit([1.0, 2.0, 3.0])
    assert len(calls) < 20
    calls.clear()
    kept = ROUNDS | {"store": tmp_path}
    with pytest.raises(ValueError, match="x_observed, beside what the simulator returns"):
        SequentialInference(tiny(), counting, **kept).fit([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="flow must be"):
        SequentialInference(tiny(flow="nonsense"), counting, **kept).fit(X)
    made = SequentialInference(tiny(), counting, **kept).fit(X)
    assert len(calls) == 200
    np.testing.assert_array_equal(
        made.sample(n_samples=5),
        SequentialInference(tiny(), simulator, **ROUNDS).fit(X).sample(n_samples=5),
    )
    for same in (np.array([3, -1]), (3, -1), [np.float32(3), -1]):
        SequentialInference(tiny(), counting, **kept).fit(same)
    assert len(calls) == 200
    with pytest.raises(ValueError, match="another x_observed"):
        SequentialInference(tiny(), counting, **kept).fit([3.0, -1.5])


def test_categories_that_come_later_are_no_error():
    """The first simulations are too few to have them all."""

    def rare(theta, rng):
        return {"s": rng.normal(theta["a"], 0.1), "kind": "rare" if theta["b"] > 3 else "usual"}

    encoded = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    classifier = sklearn_pipeline(encoded, LogisticRegression())
    ratio = ClassifierRatio(classifier, PRIOR, n_folds=2, sampler=ImportanceResampling(5_000))
    made = SequentialInference(ratio, rare, **ROUNDS | {"n_rounds": 1})
    assert made.fit({"s": 1.0, "kind": "rare"}).round_ == 1


@pytest.mark.parametrize(
    ("of", "returned"), [(named, "the names"), (simulator, "an array of shape")]
)
def test_pairs_of_another_form_are_told(of, returned):
    """By the first simulation, and they are not lost in a table."""
    theta, x = simulate(simulator, PRIOR, 100, random_state=1)
    x = x if of is named else pd.DataFrame(x, columns=["s", "t"])
    with pytest.raises(ValueError, match=f"x must have the form .* a row as {returned}"):
        SequentialInference(tiny(), of, **ROUNDS).fit(X, theta=theta, x=x)


def test_theta_is_taken_in_the_form_of_the_prior():
    """With names or without."""
    theta, x = simulate(simulator, PRIOR, 100, random_state=1)
    made = SequentialInference(tiny(), simulator, **ROUNDS).fit(X, theta=theta.to_numpy(), x=x)
    pd.testing.assert_frame_equal(made.theta_[:100], theta)
    bare = NPE(list(PRIOR.values()), **TINY)
    made = SequentialInference(bare, lambda theta, rng: rng.normal(theta, 0.1), **ROUNDS).fit(
        X, theta=theta, x=x
    )
    np.testing.assert_array_equal(made.theta_[:100], theta)


def seldom(theta, rng):
    """Fail the more often, the larger b is."""
    fails = rng.uniform() > np.exp(-(theta["b"] ** 2) / 2)
    return np.full(2, np.nan) if fails else simulator(theta, rng)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sksbi.exceptions.SimulationWarning")
@pytest.mark.parametrize("family", [NLE, NRE])
def test_pairs_without_the_failures_are_warned_of(family):
    """Ratios and likelihoods times the prior would be another posterior."""
    theta, x = simulate(seldom, PRIOR, 1_000, random_state=1)
    rounds = SequentialInference(family(PRIOR, max_epochs=1), seldom, **ROUNDS | {"n_rounds": 1})
    with pytest.warns(TrainingWarning, match="'b' do not follow the prior"):
        rounds.fit(X, theta=theta, x=x)


def test_pairs_of_other_rounds_are_warned_of():
    """They do not follow the prior."""
    narrow = {"a": stats.norm(3, 0.5), "b": stats.norm(-1, 0.5)}
    theta, x = simulate(simulator, narrow, 100, random_state=1)
    rounds = SequentialInference(tiny(), simulator, **ROUNDS | {"n_rounds": 1})
    with pytest.warns(TrainingWarning, match="do not follow the prior.*not those of other rounds"):
        rounds.fit(X, theta=theta, x=x)


def test_a_number_of_draws_is_no_observation():
    """A mistake that is easily made."""
    made = SequentialInference(tiny(), simulator, **ROUNDS | {"n_rounds": 1}).fit(X)
    with pytest.raises(ValueError, match=r"as in sample\(n_samples=500\)"):
        made.sample(500)
    column = SequentialInference(
        tiny(), lambda theta, rng: [rng.normal(theta["a"])], **ROUNDS | {"n_rounds": 1}
    ).fit([3.0])
    assert len(column.sample(3, 5)) == 5


@pytest.mark.filterwarnings("ignore::sksbi.exceptions.SimulationWarning")
def test_another_handling_of_failures_does_not_go_on():
    """Those that were dropped are lost for a likelihood."""
    made = SequentialInference(tiny(), seldom, warm_start=True, **ROUNDS).fit(X)
    made.set_params(estimator=NLE(PRIOR, max_epochs=1))
    with pytest.raises(ValueError, match="on_error must be as in the fit"):
        made.fit(X)


def test_other_pairs_do_not_go_on():
    """Neither theta nor x may change."""
    theta, x = simulate(simulator, PRIOR, 100, random_state=1)
    made = SequentialInference(tiny(), simulator, warm_start=True, **ROUNDS)
    made.fit(X, theta=theta, x=x).fit(X, theta=theta, x=x)
    with pytest.raises(ValueError, match="theta and x must be given to the first fit"):
        made.fit(X, theta=theta, x=x + 1)


@pytest.mark.parametrize("piped", [True, False])
def test_observations_are_compared_by_name(piped):
    """Also in a pipeline, whose last step sees another x."""
    estimator = make_pipeline(StandardScaler(), tiny()) if piped else tiny()
    one, other = {"s": 3.0, "t": -1.0}, {"s": 0.0, "t": 1.0}
    batch = pd.DataFrame([one, other], index=["A", "B"])
    made = SequentialInference(estimator, named, **ROUNDS).fit(batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for same in (
            pd.Series(one),
            one,
            {"t": -1.0, "s": 3.0},
            batch.iloc[1],
            {"s": -0.0, "t": 1.0},
        ):
            made.sample(same, 5)
    with pytest.warns(UserWarning, match="another observation"):
        made.sample(pd.Series({"t": 3.0, "s": -1.0}), 5)


@pytest.mark.parametrize("container", [pd.Series, dict, lambda x: {"t": -1, "s": np.float32(3)}])
def test_the_same_observation_goes_on(tmp_path, container):
    """In whatever container it comes back."""
    one = {"s": 3.0, "t": -1.0}
    made = SequentialInference(tiny(), named, warm_start=True, store=tmp_path, **ROUNDS).fit(one)
    made.fit(container(one))
    SequentialInference(tiny(), named, store=tmp_path, **ROUNDS).fit(container(one))
    for other in ({"s": -1.0, "t": 3.0}, [3.0, -1.0]):
        with pytest.raises(ValueError, match="x_observed"):
            made.fit(other)
