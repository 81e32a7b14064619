"""Draws in ArviZ's form."""

import sys

import numpy as np
import pandas as pd
import pytest

from sksbi.diagnostics import to_inference_data

NAMES = ["mass", "rate"]


def test_one_observation_is_one_chain():
    draws = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=NAMES)
    posterior = to_inference_data(draws)["posterior"]
    assert posterior["rate"].dims == ("chain", "draw")
    assert posterior["rate"].values.tolist() == [[1.0, 3.0, 5.0]]


def test_a_batch_has_its_labels():
    index = pd.MultiIndex.from_product([["u", "v"], range(3)], names=["observation", "draw"])
    draws = pd.DataFrame(np.arange(12.0).reshape(6, 2), index, NAMES)
    posterior = to_inference_data(draws)["posterior"]
    assert posterior["mass"].dims == ("chain", "draw", "observation")
    assert posterior["mass"].sel(observation="v").values.tolist() == [[6.0, 8.0, 10.0]]
    same = to_inference_data(draws.to_numpy().reshape(2, 3, 2), names=NAMES)["posterior"]
    assert (same["mass"].values == posterior["mass"].values).all()


def test_chains_are_chains():
    chains = np.random.default_rng(0).normal(size=(4, 50, 2))
    posterior = to_inference_data(chains, chains=True)["posterior"]
    assert posterior["theta_1"].dims == ("chain", "draw")
    assert (posterior["theta_1"].values == chains[..., 1]).all()


def test_groups():
    draws = np.zeros((5, 2))
    data = to_inference_data(
        draws, prior=np.ones((7, 2)), posterior_predictive=np.ones((5, 3)), observed_data=[1, 2, 3]
    )
    assert set(data.children) == {"posterior", "prior", "posterior_predictive", "observed_data"}
    assert data["prior"]["theta_0"].shape == (1, 7)
    assert data["posterior_predictive"]["x"].shape == (1, 5, 3)
    assert data["observed_data"]["x"].values.tolist() == [1, 2, 3]


def test_draws_for_a_batch_and_from_the_prior_go_together():
    rng = np.random.default_rng(0)
    draws, prior = rng.normal(size=(3, 6, 2)), rng.normal(size=(9, 2))
    data = to_inference_data(draws, prior=prior, observed_data=[1.0, 2.0])
    assert data["posterior"]["theta_1"].dims == ("chain", "draw", "observation")
    assert np.array_equal(data["posterior"]["theta_1"].values[0], draws[..., 1].T)
    assert np.array_equal(data["prior"]["theta_1"].values, prior[None, :, 1])
    assert data["observed_data"]["x"].values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("chains", ["yes", None, 1, [True]])
def test_chains_is_true_or_false(chains):
    with pytest.raises(TypeError, match="chains must be True or False, got"):
        to_inference_data(np.zeros((2, 4, 2)), chains=chains)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"names": ["a"]}, "names must be 2 distinct names"),
        ({"names": ["a", "a"]}, "names must be 2 distinct names"),
        ({"prior": np.zeros((5, 3))}, "prior must have 2 columns, got 3"),
        ({"draws": np.zeros(3)}, "draws must be 2-d"),
        (
            {
                "draws": pd.DataFrame(np.zeros((4, 2)), columns=NAMES),
                "prior": pd.DataFrame(np.zeros((4, 2)), columns=NAMES[::-1]),
            },
            "prior and draws must have the same columns",
        ),
    ],
)
def test_bad_arguments_are_refused(change, match):
    arguments = {"draws": np.zeros((4, 2))} | change
    with pytest.raises(ValueError, match=match):
        to_inference_data(arguments.pop("draws"), **arguments)


def test_without_arviz_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(ImportError, match=r"pip install \"sksbi\[arviz\]\""):
        to_inference_data(np.zeros((4, 2)))
