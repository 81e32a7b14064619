"""The checks of model probabilities: right ones pass, and each kind of wrong ones is named."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sksbi import ModelComparison
from sksbi.diagnostics import diagnose_models
from sksbi.metrics.class_calibration import class_calibration

N = 2_000


def simulate_two(n, seed, share=0.5):
    """Simulate N(0, 1) and N(1, 1)."""
    rng = np.random.default_rng(seed)
    model = (rng.random(n) < share).astype(int)
    return rng.normal(model, 1.0)[:, None], model


class Exact:
    """The exact probabilities, with logits that are multiplied and moved."""

    classes_ = np.array([0, 1])

    def __init__(self, times=1.0, plus=0.0):
        self.times, self.plus = times, plus

    def predict_proba(self, x):
        logit = self.times * (np.asarray(x)[:, 0] - 0.5) + self.plus
        p = 1 / (1 + np.exp(-logit))
        return np.column_stack([1 - p, p])


def test_exact_probabilities_pass_as_often_as_they_should():
    p_values = []
    for seed in range(200):
        x, model = simulate_two(300, seed)
        found = class_calibration(Exact().predict_proba(x), model, np.random.default_rng(seed))
        p_values.append([found.p_value, *(one.p_value for one in found.reliability)])
    for column in np.transpose(p_values):
        # Multiples of 1/1000, so uniform but for that.
        assert stats.kstest(column, "uniform").pvalue > 1e-3


def test_exact_probabilities_have_no_findings():
    table, figure = diagnose_models(Exact(), *simulate_two(N, 0), [0.5], plot=False)
    assert figure is None
    assert table.loc[("sharpness", "all"), "verdict"] == "no deviation found"
    assert (table.loc["reliability", "verdict"] == "no deviation found").all()
    assert (table.loc["misspecification", "verdict"] == "like the simulations").all()
    # The mutual information of model and x is 0.167 bits.
    assert abs(table.loc[("information", "all"), "value"] - 0.167) < 0.03


@pytest.mark.parametrize(
    ("wrong", "sharpness"),
    [(Exact(times=1.5), "too sure"), (Exact(times=0.6), "not as sure as they could be")],
)
def test_what_is_too_sure_or_not_sure_enough_is_named(wrong, sharpness):
    table = diagnose_models(wrong, *simulate_two(N, 1), plot=False).table
    assert table.loc[("sharpness", "all"), "verdict"] == sharpness
    assert (table.loc["reliability", "p_value"] < 0.01).all()
    assert "it is right in" in table.loc[("reliability", "1"), "verdict"]


def test_a_shift_is_seen():
    table = diagnose_models(Exact(plus=0.7), *simulate_two(N, 2), plot=False).table
    assert (table.loc["reliability", "p_value"] <= 0.01).all()


def test_probabilities_that_know_nothing_are_told():
    table = diagnose_models(Exact(times=0.0), *simulate_two(N, 3), plot=False).table
    assert table.loc[("information", "all"), "verdict"].startswith("x hardly tells")


def test_an_observation_is_compared_with_each_model():
    x, model = simulate_two(N, 4)
    table = diagnose_models(Exact(), 6 * x, model, [18.0], plot=False).table
    verdicts = table.loc["misspecification", "verdict"]
    assert verdicts["0"].startswith("unlike")
    assert verdicts["1"] == "like the simulations"
    table = diagnose_models(Exact(), x, model, [[0.0], [50.0]], plot=False).table
    assert ("misspecification", "0, x_observed 1") in table.index


@pytest.mark.parametrize("prior", [None, "equal", [0.9, 0.1]])
def test_any_prior_and_any_shares_will_do(prior):
    comparison = ModelComparison(LogisticRegression(), prior, random_state=0)
    comparison.fit(*simulate_two(N, 5, share=0.2))
    table = diagnose_models(comparison, *simulate_two(N, 6, share=0.7), plot=False).table
    assert table.loc[("sharpness", "all"), "verdict"] == "no deviation found"
    assert (table.loc["reliability", "verdict"] == "no deviation found").all()


def test_pipelines_and_tables_are_taken():
    x, model = simulate_two(N, 7)
    names, x = np.array(["still", "moved"])[model], pd.DataFrame(x, columns=["x"])
    pipeline = make_pipeline(StandardScaler(), ModelComparison(LogisticRegression(), "equal"))
    table, figure = diagnose_models(pipeline.fit(x, names), x, names, pd.Series({"x": 0.0}))
    assert table.loc["reliability"].index.to_list() == ["moved", "still"]
    assert [ax.get_title("left") for ax in figure.axes] == ["moved", "still"]
    line, bars = figure.axes[0].lines[0], figure.axes[0].containers[0]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1])
    said = bars[0].get_xdata()
    assert len(said) == 10
    assert (np.diff(said) > 0).all()


def test_failed_simulations_are_left_out():
    x, model = simulate_two(N, 8)
    broken = np.vstack([x, np.full((50, 1), np.nan)])
    models = np.concatenate([model, np.ones(50, int)])
    found = diagnose_models(Exact(), broken, models, plot=False).table
    pd.testing.assert_frame_equal(found, diagnose_models(Exact(), x, model, plot=False).table)


def test_bad_input_is_refused():
    x, model = simulate_two(100, 0)
    with pytest.raises(ValueError, match="model must be among .0, 1., got 2"):
        diagnose_models(Exact(), x, model + 1, plot=False)
    with pytest.raises(ValueError, match="the same number of rows, 50 at least, got 40 and 40"):
        diagnose_models(Exact(), x[:40], model[:40], plot=False)
    with pytest.raises(ValueError, match="the same number of rows"):
        diagnose_models(Exact(), x, model[:90], plot=False)
    with pytest.raises(TypeError, match="comparison must be fitted, with predict_proba"):
        diagnose_models(StandardScaler(), x, model, plot=False)
    with pytest.raises(ValueError, match="model must hold two models at least, got .*1.* alone"):
        diagnose_models(Exact(), x, np.ones(100, int), plot=False)
    zero = ModelComparison(LogisticRegression(), [0.0, 1.0], random_state=0).fit(x, model)
    with pytest.raises(ValueError, match="prior probability in the comparison, got 0"):
        diagnose_models(zero, x, model, plot=False)
