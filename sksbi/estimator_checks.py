"""
The laws of an inference estimator, to be held against any: ours, and a user's own.

scikit-learn's ``check_estimator`` tells whether an estimator clones, searches and pickles;
:func:`check_inference_estimator` tells whether its answers are what they claim to be: whether draws
come from the density that it gives, lie in the prior's support, belong to the observation that was
asked about, and are the same for tables and arrays. The estimator is fitted to 300 simulations of a
normal distribution of unknown mean and standard deviation; how well it learns is not judged.
"""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sksbi.exceptions import MisspecificationWarning, SamplingWarning, TrainingWarning

__all__ = ["check_inference_estimator", "inference_checks"]

Pairs = tuple[pd.DataFrame, pd.DataFrame]
Check = Callable[[Any], None]

_PRIOR = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
_LOW, _HIGH = 0.5, 2.0
_ROUNDING = 1e-4


def check_inference_estimator(estimator: Any) -> None:
    """
    Hold an estimator of p(theta | x) to the laws of all of them.

    Parameters
    ----------
    estimator : estimator
        Not fitted, with a parameter ``prior``, or one in it that has, and ``random_state``; with
        settings that make its fit to 300 pairs quick.

    Raises
    ------
    AssertionError
        If a law is broken; the message says which.

    See Also
    --------
    inference_checks : The laws one by one, for a test of each.

    Examples
    --------
    >>> from sksbi import NPE
    >>> from sksbi.estimator_checks import check_inference_estimator
    >>> check_inference_estimator(NPE(flow="maf", transforms=1, max_epochs=2))
    """
    for check in inference_checks(estimator):
        check()


def inference_checks(estimator: Any) -> Iterator[Callable[[], None]]:
    """
    List the laws, each as a function without arguments; the estimator is fitted once.

    Parameters
    ----------
    estimator : estimator
        As for :func:`check_inference_estimator`.

    Yields
    ------
    callable
        A check, with the attribute ``__name__``.

    Examples
    --------
    >>> from sksbi import NPE
    >>> from sksbi.estimator_checks import inference_checks
    >>> [check.__name__ for check in inference_checks(NPE())][:2]
    ['check_it_must_be_fitted', 'check_one_observation_and_a_batch']
    """
    case = _Case(estimator)
    for check in _CHECKS:
        yield functools.wraps(check)(partial(check, case))


class _Case:
    """An estimator with a prior and a seed, and what it is fitted to."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = seeded(estimator)
        self.theta, self.x = simulate_pairs(300, 0)
        self._fitted: dict[str, Any] = {}

    def fitted(self, form: str = "tables") -> Any:
        """Fit to tables or to arrays, once."""
        if form not in self._fitted:
            is_array = form == "arrays"
            pairs = [t.to_numpy() if is_array else t for t in (self.theta, self.x)]
            self._fitted[form] = quietly(clone(self.estimator).fit, *pairs)
        return self._fitted[form]


def seeded(estimator: Any) -> Any:
    """Clone an estimator with the prior of the checks, and the seed 0."""
    estimator = clone(estimator)
    names = estimator.get_params()
    priors = {name: _PRIOR for name in names if name.split("__")[-1] == "prior"}
    hold(priors, f"{estimator!r} must have a parameter prior, or one in it.")
    return estimator.set_params(**priors, random_state=0)


def simulate_pairs(n: int, seed: int) -> Pairs:
    """Draw four numbers from a normal distribution of unknown mean and standard deviation."""
    rng = np.random.default_rng(seed)
    theta = pd.DataFrame({name: p.rvs(n, random_state=rng) for name, p in _PRIOR.items()})
    noise = rng.standard_normal((n, 4))
    x = theta[["mean"]].to_numpy() + theta[["sd"]].to_numpy() * noise
    return theta, pd.DataFrame(x, columns=list("abcd"))


def quietly(function: Callable[..., Any], *args: object, **options: object) -> Any:
    """Call something without the warnings of a short training."""
    with warnings.catch_warnings():
        for category in (MisspecificationWarning, SamplingWarning, TrainingWarning):
            warnings.simplefilter("ignore", category)
        return function(*args, **options)


def hold(kept: object, message: str) -> None:
    """Raise where a law is broken, also where Python leaves out assertions."""
    if not kept:
        raise AssertionError(message)


def raises(
    kind: type[Exception], function: Callable[..., Any], *args: object, **options: object
) -> str:
    """Hold that a call raises, and return the message."""
    try:
        quietly(function, *args, **options)
    except kind as error:
        return str(error)
    raise AssertionError(f"{function.__name__} must raise {kind.__name__} here, and did not.")


def check_it_must_be_fitted(case: _Case) -> None:
    """Before fit every question raises NotFittedError."""
    estimator, one = clone(case.estimator), case.x.iloc[0]
    for ask in (estimator.sample, estimator.summary, estimator.map):
        raises(NotFittedError, ask, one)
    raises(NotFittedError, estimator.log_prob, case.theta, case.x)
    raises(NotFittedError, estimator.score, case.theta, case.x)


def check_one_observation_and_a_batch(case: _Case) -> None:
    """What is one, and what a batch, follows from the dimensions of x in fit."""
    fitted, one = case.fitted(), case.x.iloc[0]
    expected = quietly(fitted.sample, one, 5)
    hold(expected.shape == (5, 2), f"sample of one observation must be (5, 2): {expected.shape}")
    for form in (one.to_numpy(), one.tolist(), tuple(one), one.to_dict()):
        pd.testing.assert_frame_equal(quietly(fitted.sample, form, 5), expected)
    row = quietly(fitted.sample, case.x.iloc[:1], 5)
    hold(row.index.names == ["observation", "draw"], "a table of one row must be a batch")
    np.testing.assert_array_equal(row.to_numpy(), expected.to_numpy())
    message = raises(ValueError, fitted.sample, one.to_numpy()[:3])
    hold("(3,)" in message, f"an error must name x and its shape: {message}")


def check_answers_have_the_form_of_theta(case: _Case) -> None:
    """Tables come back exactly if theta was one, with its columns and the labels of x."""
    labelled = case.x.iloc[[4, 1]].set_axis(["day one", "day two"])
    fitted, on_arrays = case.fitted(), case.fitted("arrays")
    draws = quietly(fitted.sample, labelled, 3)
    hold(draws.columns.tolist() == ["mean", "sd"], f"columns must be theta's: {draws.columns}")
    hold(
        draws.index.unique("observation").tolist() == ["day one", "day two"],
        "draws of a batch must be labelled as x is",
    )
    hold(
        quietly(fitted.map, labelled).index.tolist() == ["day one", "day two"],
        "modes must be labelled as x is",
    )
    hold(
        quietly(fitted.summary, labelled).index.names == ["observation", "parameter"],
        "a summary of a batch must have the levels observation and parameter",
    )
    array = quietly(on_arrays.sample, labelled.to_numpy(), 3)
    hold(isinstance(array, np.ndarray), "draws must be an array where theta was one")
    hold(
        (array.shape, array.dtype) == ((2, 3, 2), np.float64),
        "draws of a batch must be float64, of shape (m, n_samples, D)",
    )
    hold(
        quietly(on_arrays.map, labelled.to_numpy()[0]).shape == (2,),
        "the mode of one observation must be of shape (D,)",
    )


def check_tables_and_arrays_give_the_same_numbers(case: _Case) -> None:
    """The numbers count, not their container."""
    fitted, on_arrays = case.fitted(), case.fitted("arrays")
    theta, x = case.theta.to_numpy(), case.x.to_numpy()
    results = [
        (fitted.log_prob(case.theta, case.x), on_arrays.log_prob(theta, x)),
        (np.asarray(quietly(fitted.sample, case.x[:3], 4)).ravel(),
         quietly(on_arrays.sample, x[:3], 4).ravel()),
    ]  # fmt: skip
    for of_tables, of_arrays in results:
        np.testing.assert_allclose(of_tables, of_arrays, rtol=1e-9)


def check_names_are_compared(case: _Case) -> None:
    """A table with other columns, or in another order, raises and names them."""
    fitted = case.fitted()
    raises(ValueError, fitted.log_prob, case.theta, case.x[["b", "a", "c", "d"]])
    raises(ValueError, fitted.log_prob, case.theta[["sd", "mean"]], case.x)
    swapped = case.theta.set_axis(["sd", "mean"], axis=1)
    message = raises(ValueError, clone(case.estimator).fit, swapped, case.x)
    hold("mean" in message, f"an error must name the prior's parameters: {message}")


def check_the_density_is_zero_outside_the_support(case: _Case) -> None:
    """log_prob is -inf there, finite at draws, and never NaN; theta out there is not fitted."""
    fitted, one = case.fitted("arrays"), case.x.to_numpy()[0]
    outside = [[0.0, _LOW - 0.1], [0.0, _HIGH + 0.1], [1e300, 0.0], [0.0, -1e300]]
    log_p = fitted.log_prob(outside, one)
    hold(np.isneginf(log_p).all(), f"log_prob must be -inf outside the support: {log_p}")
    far = fitted.log_prob([[1e10, 1.0], [-1e300, 1.0]], one)
    hold(not np.isnan(far).any(), f"log_prob must never be NaN: {far}")
    theta = case.theta.to_numpy().copy()
    theta[0, 1] = _HIGH + 1
    message = raises(ValueError, clone(case.estimator).fit, theta, case.x.to_numpy())
    hold("support" in message, f"fit must refuse theta outside the support: {message}")


def check_draws_lie_in_the_support(case: _Case) -> None:
    """Strictly, with a finite density, and in float64."""
    fitted, one = case.fitted("arrays"), case.x.to_numpy()[0]
    draws = quietly(fitted.sample, one, 5_000)
    hold(((draws[:, 1] > _LOW) & (draws[:, 1] < _HIGH)).all(), "draws must be inside the support")
    hold(np.isfinite(fitted.log_prob(draws, one)).all(), "draws must have a finite log_prob")


def check_draws_come_from_the_density(case: _Case) -> None:
    """
    The mean over draws of g is that over the prior's quantiles weighted by the density, both known.

    For three functions g, and five standard errors of what the draws are worth.
    """
    fitted, one = case.fitted("arrays"), case.x.to_numpy()[0]
    n, each = 4_000, 200
    levels = (np.arange(each) + 0.5) / each
    grids = [marginal.ppf(levels) for marginal in _PRIOR.values()]
    theta = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, 2)
    log_w = fitted.log_prob(theta, one)
    log_w = log_w - np.sum([p.logpdf(t) for p, t in zip(_PRIOR.values(), theta.T, strict=True)], 0)
    weights = np.exp(log_w - log_w.max())
    draws = quietly(fitted.sample, one, n)
    for g in (lambda t: np.tanh(t[:, 0]), lambda t: t[:, 1], lambda t: t[:, 1] * np.tanh(t[:, 0])):
        expected = np.average(g(theta), weights=weights)
        error = np.sqrt(np.average((g(theta) - expected) ** 2, weights=weights) / (n / 4))
        difference = abs(g(draws).mean() - expected)
        hold(
            difference < 5 * error + 2e-3,
            (
                f"draws must come from the density: a mean is {g(draws).mean():.4f}, and "
                f"{expected:.4f} +- {error:.4f} by log_prob"
            ),
        )


def check_forms_of_log_prob_agree(case: _Case) -> None:
    """Pair by pair, for one x, and for (m, n, D)."""
    fitted, x = case.fitted("arrays"), case.x.to_numpy()[:3]
    theta = quietly(fitted.sample, x, 5)
    cube = fitted.log_prob(theta, x)
    hold(cube.shape == (3, 5), f"log_prob of theta (m, n, D) must be (m, n): {cube.shape}")
    pairwise = fitted.log_prob(theta.reshape(15, 2), np.repeat(x, 5, axis=0))
    np.testing.assert_allclose(cube.ravel(), pairwise, rtol=0, atol=_ROUNDING)
    for k in range(3):
        np.testing.assert_allclose(fitted.log_prob(theta[k], x[k]), cube[k], rtol=0, atol=_ROUNDING)
    raises(ValueError, fitted.log_prob, theta[0, :4], x)


def check_observations_of_a_batch_are_apart(case: _Case) -> None:
    """Their noise is independent, and each has its own answer."""
    fitted, x = case.fitted("arrays"), case.x.to_numpy()
    first, second = quietly(fitted.sample, np.repeat(x[:1], 2, axis=0), 500)
    hold(not {tuple(d) for d in first} & {tuple(d) for d in second}, "noise must be independent")
    order = np.argsort(x.mean(axis=1))[[5, -5]]
    own, theta = [], quietly(fitted.sample, x[order], 200)
    for some in (x[order], x[order[::-1]]):
        own.append(quietly(fitted.log_prob, theta, some).mean())
    hold(own[0] > own[1], "draws must be denser at their own x than at another")


def check_some_observations_are_as_they_were(case: _Case) -> None:
    """What the posterior takes of a batch answers as if it had been asked alone."""
    posterior, x = case.fitted("arrays")._posterior(), case.x.to_numpy()[:4]
    theta = case.theta.to_numpy()[:4]
    for rows in (np.array([3, 1]), slice(1, 3)):
        taken, alone = posterior.at(x).take(rows), posterior.at(x[rows])
        numbers = np.array([0, 1, 1, 0])
        np.testing.assert_allclose(
            taken.log_prob(theta, numbers), alone.log_prob(theta, numbers), atol=_ROUNDING
        )


def check_trials_add_up(case: _Case) -> None:
    """Of a family that takes trials: log-factors are summed, in any order."""
    fitted = case.fitted("arrays")
    if not fitted._posterior().takes_trials:
        message = raises(ValueError, fitted.sample, case.x.to_numpy()[:3], iid=True)
        hold("iid" in message, f"an error must name iid: {message}")
        return
    theta, x = case.theta.to_numpy()[:20], case.x.to_numpy()[:5]
    log_prior = np.sum([p.logpdf(t) for p, t in zip(_PRIOR.values(), theta.T, strict=True)], 0)
    each = [fitted.log_prob(theta, one) - log_prior for one in x]
    together = fitted.log_prob(theta, x, iid=True) - log_prior
    np.testing.assert_allclose(together, np.sum(each, axis=0), rtol=1e-4, atol=1e-3)
    backwards = fitted.log_prob(theta, x[::-1], iid=True) - log_prior
    np.testing.assert_allclose(together, backwards, rtol=1e-4, atol=1e-3)


def check_the_likelihood_is_what_multiplies_the_prior(case: _Case) -> None:
    """Of a family that has one: its logarithm is summed over trials, and its mean is the score."""
    fitted = case.fitted("arrays")
    if not hasattr(fitted, "log_likelihood"):
        return
    theta, x = case.theta.to_numpy()[:20], case.x.to_numpy()[:20]
    log_prior = np.sum([p.logpdf(t) for p, t in zip(_PRIOR.values(), theta.T, strict=True)], 0)
    log_q = fitted.log_likelihood(theta, x)
    np.testing.assert_allclose(fitted.log_prob(theta, x), log_prior + log_q, atol=_ROUNDING)
    hold(abs(fitted.score(theta, x) - log_q.mean()) < _ROUNDING, "score must be its mean")
    each = [fitted.log_likelihood(theta, one) for one in x[:5]]
    np.testing.assert_allclose(
        fitted.log_likelihood(theta, x[:5], iid=True), np.sum(each, axis=0), rtol=1e-4, atol=1e-3
    )


def check_emulated_observations_have_the_form_of_x(case: _Case) -> None:
    """A table exactly if x was one in fit; the same for the same seed."""
    fitted, on_arrays = case.fitted(), case.fitted("arrays")
    if not hasattr(fitted, "emulate"):
        return
    asked = case.theta.iloc[[4, 1]].set_axis(["day one", "day two"])
    batch, one = fitted.emulate(asked, 3), fitted.emulate(asked.iloc[0].to_dict(), 3)
    hold(batch.columns.tolist() == list("abcd"), f"columns must be those of x: {batch.columns}")
    hold(batch.index.names == ["theta", "draw"], "of several theta there must be two index levels")
    hold(one.shape == (3, 4), f"emulate for one theta must be (n_samples, L): {one.shape}")
    array = on_arrays.emulate(asked.to_numpy(), 3)
    hold(
        (array.shape, array.dtype) == ((2, 3, 4), np.float64),
        f"emulate for m theta must be float64, (m, n_samples, L): {array.shape}",
    )
    np.testing.assert_allclose(batch.to_numpy(), array.reshape(6, 4), rtol=1e-9)
    first, second = (fitted.emulate(asked, 3, random_state=1) for _ in range(2))
    hold(first.equals(second), "the same random_state must give the same observations")
    hold(not first.equals(batch), "another random_state must give other observations")
    raises(ValueError, on_arrays.emulate, [0.0, _HIGH + 1])


def check_the_emulator_draws_from_the_likelihood(case: _Case) -> None:
    """The mean over emulated x of g is that over other draws, weighted: five standard errors."""
    fitted, n = case.fitted("arrays"), 4_000
    if not hasattr(fitted, "emulate"):
        return
    theta, rng = np.array([0.3, 1.2]), np.random.default_rng(0)
    x = fitted.emulate(theta, n)
    wide = stats.multivariate_t(x.mean(axis=0), 1.5 * np.cov(x.T), df=5)
    proposed = wide.rvs(4 * n, random_state=rng)
    points = np.tile(theta, (len(proposed), 1))
    weights = np.exp(fitted.log_likelihood(points, proposed) - wide.logpdf(proposed))
    for g in (lambda x: np.ones(len(x)), lambda x: np.tanh(x[:, 0]), lambda x: np.tanh(x).prod(1)):
        values = weights * g(proposed)
        error = np.sqrt(values.var() / len(values) + g(x).var() / n)
        off = abs(g(x).mean() - values.mean())
        hold(off < 5 * error, f"emulated x must come from the likelihood: {off:.4f} +- {error:.4f}")


def check_summary_describes_the_draws(case: _Case) -> None:
    """Mean, standard deviation, median and central interval are those of the draws."""
    fitted, one = case.fitted(), case.x.iloc[0]
    draws = quietly(fitted.sample, one, 200, random_state=3)
    table = quietly(fitted.summary, one, level=0.8, n_samples=200, random_state=3)
    expected = {"mean": draws.mean(), "sd": draws.std(ddof=0), "median": draws.median()}
    expected |= {"lower": draws.quantile(0.1), "upper": draws.quantile(0.9)}
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected), check_names=False, rtol=1e-9)


def check_the_mode_is_the_highest(case: _Case) -> None:
    """No draw is denser than map."""
    fitted, one = case.fitted("arrays"), case.x.to_numpy()[0]
    mode = fitted.log_prob(quietly(fitted.map, one)[None], one)[0]
    draws = fitted.log_prob(quietly(fitted.sample, one, 2_000), one).max()
    hold(mode >= draws - 1e-5, f"map must be the highest: {mode} there, {draws} at a draw")


def check_it_is_reproducible(case: _Case) -> None:
    """The same seed gives the same bits, and the global generators end as they began."""
    kept = _state_of_numpy(), torch.get_rng_state()
    x = case.x.iloc[:2]
    again = quietly(clone(case.estimator).fit, case.theta, case.x)
    first, second = (quietly(e.sample, x, 5) for e in (case.fitted(), again))
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(quietly(again.sample, x, 5), second)
    hold(
        not quietly(again.sample, x, 5, random_state=1).equals(second),
        "another random_state must give other draws",
    )
    hold(_state_of_numpy() == kept[0], "NumPy's global generator must stay")
    hold(torch.equal(torch.get_rng_state(), kept[1]), "torch's global generator must stay")


def _state_of_numpy() -> bytes:
    """Read NumPy's global generator."""
    return pickle.dumps(np.random.get_state())  # noqa: NPY002


def check_a_pickle_answers_alike(case: _Case) -> None:
    """Bit for bit; and a clone is not fitted."""
    fitted, x = case.fitted(), case.x.iloc[:2]
    loaded = pickle.loads(pickle.dumps(fitted))
    pd.testing.assert_frame_equal(quietly(loaded.sample, x, 5), quietly(fitted.sample, x, 5))
    np.testing.assert_array_equal(
        loaded.log_prob(case.theta, case.x), fitted.log_prob(case.theta, case.x)
    )
    raises(NotFittedError, clone(fitted).sample, x)


def check_fit_changes_nothing_of_the_user(case: _Case) -> None:
    """Neither theta, nor x, nor parameters; weights of zero leave rows out."""
    theta, x = case.theta.copy(), case.x.copy()
    estimator = clone(case.estimator)
    before = {name: repr(value) for name, value in estimator.get_params(deep=False).items()}
    quietly(estimator.fit, theta, x)
    pd.testing.assert_frame_equal(theta, case.theta)
    pd.testing.assert_frame_equal(x, case.x)
    after = {name: repr(value) for name, value in estimator.get_params(deep=False).items()}
    hold(after == before, f"fit must not change parameters: {before} became {after}")
    weights = np.r_[np.zeros(100), np.ones(200)]
    weighted = quietly(clone(case.estimator).fit, theta, x, sample_weight=weights)
    rest = [table.iloc[100:].reset_index(drop=True) for table in (theta, x)]
    part = quietly(clone(case.estimator).fit, *rest)
    found, expected = (quietly(e.log_prob, *rest) for e in (weighted, part))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def check_the_score_is_a_number_that_weights_move(case: _Case) -> None:
    """A Python float, the same in every call; rows of weight zero do not count."""
    fitted, weights = case.fitted(), np.r_[np.zeros(150), np.ones(150)]
    score = fitted.score(case.theta, case.x)
    hold(type(score) is float, f"score must be a float: {score!r}")
    hold(np.isfinite(score), f"score must be finite: {score!r}")
    hold(score == fitted.score(case.theta, case.x), "two calls of score must give the same")
    part = fitted.score(case.theta, case.x, sample_weight=weights)
    rest = fitted.score(case.theta.iloc[150:], case.x.iloc[150:])
    hold(part != score, "weights must count")
    others = case.theta.sample(frac=1, random_state=0, ignore_index=True)
    shuffled = fitted.score(others, case.x.set_axis([f"run {i}" for i in range(len(others))]))
    hold(shuffled < score, f"true pairs must score higher: {score}, and others {shuffled}")
    hold(
        abs(part - rest) < _ROUNDING,
        "rows of weight zero must not count in score",
    )


_CHECKS: list[Callable[[_Case], None]] = [
    check_it_must_be_fitted,
    check_one_observation_and_a_batch,
    check_answers_have_the_form_of_theta,
    check_tables_and_arrays_give_the_same_numbers,
    check_names_are_compared,
    check_the_density_is_zero_outside_the_support,
    check_draws_lie_in_the_support,
    check_draws_come_from_the_density,
    check_forms_of_log_prob_agree,
    check_observations_of_a_batch_are_apart,
    check_some_observations_are_as_they_were,
    check_trials_add_up,
    check_the_likelihood_is_what_multiplies_the_prior,
    check_emulated_observations_have_the_form_of_x,
    check_the_emulator_draws_from_the_likelihood,
    check_summary_describes_the_draws,
    check_the_mode_is_the_highest,
    check_it_is_reproducible,
    check_a_pickle_answers_alike,
    check_fit_changes_nothing_of_the_user,
    check_the_score_is_a_number_that_weights_move,
]
