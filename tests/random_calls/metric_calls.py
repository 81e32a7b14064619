"""The metrics, and what their arguments are."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from sksbi import metrics

from .laws import Call
from .specimens import Argument, choice, count, flag, numbers, observation, only, real, seed

Arguments = dict[str, Argument]


def dyadic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw numbers that float32 holds, so that their forms are equal."""
    return np.round(rng.normal(size=shape) * 64) / 64


def _pairs(rng: np.random.Generator) -> Arguments:
    """Describe draws at many observations, and their theta."""
    n, n_draws, d = (int(rng.integers(*ends)) for ends in ((8, 20), (6, 15), (1, 4)))
    return {
        "draws": numbers(dyadic(rng, n, n_draws, d)),
        "theta": numbers(dyadic(rng, n, d)),
    }


def _ranked(rng: np.random.Generator) -> Arguments:
    return {**_pairs(rng), "random_state": seed()}


def _tarp(rng: np.random.Generator) -> Arguments:
    found = _pairs(rng)
    references = dyadic(rng, *found["theta"].value.shape)
    return {**found, "references": numbers(references, none="open"), "random_state": seed()}


def _scaled(rng: np.random.Generator) -> Arguments:
    found = _pairs(rng)
    scale = np.abs(dyadic(rng, found["theta"].value.shape[1])) + 1
    return {**found, "scale": numbers(scale, none="open")}


def _contraction(rng: np.random.Generator) -> Arguments:
    found = _pairs(rng)
    prior = dyadic(rng, 30, found["theta"].value.shape[1])
    draws = numbers(found["draws"].value, rows="open")
    return {"draws": draws, "prior_draws": numbers(prior, rows="open")}


def _densities(rng: np.random.Generator) -> Arguments:
    n, n_draws = int(rng.integers(8, 20)), int(rng.integers(6, 15))
    return {
        "log_prob_draws": numbers(dyadic(rng, n, n_draws), infinite="below", width="open"),
        "log_prob_theta": numbers(dyadic(rng, n), infinite="below"),
        "random_state": seed(),
    }


def _grid(rng: np.random.Generator) -> Arguments:
    found = _densities(rng)
    return {"log_prob_grid": found.pop("log_prob_draws"), **found}


def _coverage(rng: np.random.Generator) -> Arguments:
    return {**_densities(rng), "grid": flag(bool(rng.integers(2)))}


def _ranks(rng: np.random.Generator) -> Arguments:
    n_draws = 99
    shape = (int(rng.integers(8, 20)), 2)[: int(rng.integers(1, 3))]
    ranks = rng.integers(0, n_draws + 1, shape).astype(float)
    return {
        "ranks": numbers(ranks, rows="open", width="open", rounds=False),
        "n_draws": count(n_draws, none="open"),
    }


def _band(rng: np.random.Generator) -> Arguments:
    return {
        "n": count(int(rng.integers(5, 9))),
        "n_draws": count(99, none="open"),
        "level": real(0.75, high=1.0),
    }


def _chains(rng: np.random.Generator) -> Arguments:
    shape = (int(rng.integers(2, 5)), int(rng.integers(6, 15)), int(rng.integers(1, 4)))
    return {"chains": numbers(dyadic(rng, *shape), rows="open", width="open")}


def _two_samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    d = int(rng.integers(1, 4))
    return dyadic(rng, 24, d), dyadic(rng, 24, d)


def _c2st(rng: np.random.Generator) -> Arguments:
    draws, reference = _two_samples(rng)
    return {
        "draws": numbers(draws, rows="open"),
        "reference": numbers(reference, rows="open"),
        "classifier": _classifier(),
        "n_folds": count(2, low=2, most=10_000),
        "random_state": seed(),
    }


def _classifier() -> Argument:
    return only("quadratic", LogisticRegression(), bad=("nonsense", 3, None, LogisticRegression))


def _mmd(rng: np.random.Generator) -> Arguments:
    draws, reference = _two_samples(rng)
    return {
        "draws": numbers(draws, rows="open"),
        "reference": numbers(reference, rows="open"),
        "bandwidth": only(None, 0.5, bad=(0.0, -1.0, np.nan, "a", [1.0])),
    }


def _local(rng: np.random.Generator) -> Arguments:
    n, d, width = int(rng.integers(12, 24)), int(rng.integers(1, 3)), int(rng.integers(1, 4))
    return {
        "theta": numbers(dyadic(rng, n, d)),
        "x": numbers(dyadic(rng, n, width)),
        "draws": numbers(dyadic(rng, n, d)),
        "x_observed": observation(dyadic(rng, width), None, width="open"),
        "draws_observed": numbers(dyadic(rng, 10, d), rows="open"),
        "classifier": _classifier(),
        "n_permutations": count(2),
        "random_state": seed(),
    }


def _misspecified(rng: np.random.Generator) -> Arguments:
    n, width = int(rng.integers(40, 60)), int(rng.integers(1, 4))
    return {
        "x": numbers(dyadic(rng, n, width), nan="open", rows="open"),
        "x_observed": observation(dyadic(rng, width), None, width="open"),
        "n_neighbors": count(5, most=10_000),
        "random_state": seed(),
    }


def _observed_set(rng: np.random.Generator) -> Arguments:
    width = int(rng.integers(1, 4))
    return {
        "x": numbers(dyadic(rng, 40, width), rows="open"),
        "x_observed": numbers(dyadic(rng, 8, width), rows="open"),
        "n_permutations": count(20),
        "random_state": seed(),
    }


def _predictive(rng: np.random.Generator) -> Arguments:
    n, width = int(rng.integers(5, 9)), int(rng.integers(1, 4))
    if rng.integers(2):
        return {
            "x_simulated": numbers(dyadic(rng, n, 7, width)),
            "x": numbers(dyadic(rng, n, width)),
            "scale": numbers(np.abs(dyadic(rng, width)) + 1, none="open"),
        }
    return {
        "x_simulated": numbers(dyadic(rng, 7, width), rows="open"),
        "x": observation(dyadic(rng, width), None),
        "scale": numbers(np.abs(dyadic(rng, width)) + 1, none="open"),
    }


def _scorer(rng: np.random.Generator) -> Arguments:
    return {
        "scoring": choice(str(rng.choice(metrics.get_scorer_names()))),
        "n_samples": count(5, low=2),
        "random_state": seed(),
    }


def _get_scorer(**given: Any) -> Any:
    """Get a scorer, and show what it scores, and by how many draws."""
    scorer = metrics.get_scorer(**given)
    return scorer.names, scorer.n_samples


_get_scorer.__signature__ = signature(metrics.get_scorer)  # type: ignore[attr-defined]


def _within(low: float, high: float) -> Callable[[Any, Any], None]:
    """Hold that results lie in a range."""

    def check(result: Any, _: Any) -> None:
        values = np.asarray(result)
        assert ((values >= low) & (values <= high)).all(), values

    return check


CALLS = [
    Call("c2st_score", metrics.c2st_score, _c2st, check=_within(0, 1)),
    Call("crps", metrics.crps, _pairs, check=_within(0, np.inf)),
    Call("ecdf_band", metrics.ecdf_band, _band),
    Call("effective_sample_size", metrics.effective_sample_size, _chains, may_be_nan=True),
    Call("energy_score", metrics.energy_score, _scaled, check=_within(0, np.inf)),
    Call("expected_coverage", metrics.expected_coverage, _coverage),
    Call("get_scorer", _get_scorer, _scorer),
    Call("hpd_levels", metrics.hpd_levels, _grid, check=_within(0, 1)),
    Call("hpd_ranks", metrics.hpd_ranks, _densities, check=_within(0, 14)),
    Call("lc2st", metrics.lc2st, _local),
    Call("misspecification_test", metrics.misspecification_test, _misspecified),
    Call("mmd_score", metrics.mmd_score, _mmd),
    Call("mmd_test", metrics.mmd_test, _observed_set, check=_within(0, 1)),
    Call("posterior_contraction", metrics.posterior_contraction, _contraction, may_be_nan=True),
    Call("posterior_z_score", metrics.posterior_z_score, _pairs, may_be_nan=True),
    Call("predictive_distance", metrics.predictive_distance, _predictive),
    Call("rank_ecdf", metrics.rank_ecdf, _ranks),
    Call("sbc_ranks", metrics.sbc_ranks, _ranked),
    Call("split_r_hat", metrics.split_r_hat, _chains, may_be_nan=True),
    Call("tarp_coverage", metrics.tarp_coverage, _tarp),
    Call("tarp_ranks", metrics.tarp_ranks, _tarp),
    Call("uniformity_test", metrics.uniformity_test, _ranks),
]
