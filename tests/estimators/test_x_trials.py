"""x_trials=True: fits on independent trials of each theta, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from sksbi import NLE, NRE, CalibratedPosterior, Ensemble, PosteriorRegressor, diagnose
from sksbi.data import Batches, TensorPairs
from sksbi.inspection import CoverageDisplay, PosteriorDisplay, RatioDisplay, TraceDisplay
from sksbi.losses import Contrastive
from sksbi.metrics import draw_held_out, get_scorer
from sksbi.samplers import ImportanceResampling

PRIOR = {"mean": stats.norm(0, 1)}
QUICK = {
    "hidden_features": (8,),
    "max_epochs": 2,
    "sampler": ImportanceResampling(1_000),
    "random_state": 0,
}
TINY = {
    "NLE": NLE(PRIOR, flow="maf", transforms=1, x_trials=True, **QUICK),
    "NRE": NRE(PRIOR, x_trials=True, **QUICK),
}
Case = tuple[pd.DataFrame, np.ndarray]


def simulate(n: int, n_trials: int, seed: int = 0) -> Case:
    """Draw trials of two numbers from N(mean, 1)."""
    rng = np.random.default_rng(seed)
    theta = pd.DataFrame({"mean": rng.normal(size=n)})
    return theta, theta.to_numpy()[:, None] + rng.normal(size=(n, n_trials, 2))


def as_table(x: np.ndarray, labels: object = None) -> pd.DataFrame:
    """Make a table whose last index level is the trial."""
    labels = range(len(x)) if labels is None else labels
    index = pd.MultiIndex.from_product([labels, range(x.shape[1])], names=["run", "trial"])
    return pd.DataFrame(x.reshape(-1, x.shape[2]), index=index, columns=["a", "b"])


@pytest.fixture(scope="module")
def pairs() -> Case:
    return simulate(120, 4)


@pytest.fixture(scope="module", params=TINY)
def estimator(request: pytest.FixtureRequest) -> NLE | NRE:
    return clone(TINY[request.param])


@pytest.fixture(scope="module")
def fitted(estimator: NLE | NRE, pairs: Case) -> NLE | NRE:
    return clone(estimator).fit(*pairs)


@pytest.fixture(scope="module")
def on_tables(estimator: NLE | NRE, pairs: Case) -> NLE | NRE:
    return clone(estimator).fit(pairs[0], as_table(pairs[1]))


def factor(fitted: NLE | NRE) -> Callable:
    """Give what is summed over trials."""
    return fitted.log_likelihood if isinstance(fitted, NLE) else fitted.predict_log_ratio


EXACT = {
    "NLE": lambda options: NLE(PRIOR, transforms=2, **options),
    "NRE": lambda options: NRE(PRIOR, **options),
}


@pytest.mark.parametrize("name", ["NRE", pytest.param("NLE", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:10 trials of")
def test_the_posterior_is_that_of_trials_made_rows_by_hand(name: str) -> None:
    """
    Both are near N(sum of x / (2 T + 1), 1 / (2 T + 1)), the exact one, at new numbers of trials.

    What a fit of 2,500 trials errs by grows with the trials: .3 standard deviations are allowed at
    ten of them, on average, and the standard errors of 1,000 draws.
    """
    theta, x = simulate(500, 5)
    options = {"max_epochs": 16, "random_state": 0, "hidden_features": (32,)}
    joined = EXACT[name]({**options, "x_trials": True}).fit(theta, x)
    rows = theta.loc[theta.index.repeat(5)].reset_index(drop=True)
    by_hand = EXACT[name](options).fit(rows, x.reshape(-1, 2))
    for n_trials in (1, 10):
        observed = simulate(8, n_trials, seed=3)[1]
        sd = 1 / np.sqrt(2 * n_trials + 1)
        for draws in (joined.sample(observed), by_hand.sample(observed, iid=True)):
            each = draws["mean"].groupby(level="observation")
            off = each.mean().to_numpy() - observed.sum(axis=(1, 2)) * sd**2
            assert np.sqrt((off**2).mean()) < (0.3 + 4 / np.sqrt(1_000)) * sd
            assert each.std().mean() == pytest.approx(sd, rel=0.2 + 4 / np.sqrt(2_000))


class Recorder(Contrastive):
    """A criterion that keeps what it saw."""

    seen: list[torch.Tensor] = []

    def forward(
        self, log_ratio: Callable, theta: torch.Tensor, *rest: torch.Tensor
    ) -> torch.Tensor:
        if self.training:
            Recorder.seen.append(theta.detach().clone())
        return super().forward(log_ratio, theta, *rest)


def test_partners_in_a_batch_never_share_their_theta(pairs: Case) -> None:
    """Each theta occurs once in a batch, and as often as it has trials in an epoch."""
    Recorder.seen.clear()
    nre = clone(TINY["NRE"]).set_params(criterion=Recorder, max_epochs=1, validation_fraction=None)
    nre.fit(*pairs)
    assert all(len(batch.unique()) == len(batch) for batch in Recorder.seen)
    # Before the first batch some rows are tried.
    _, times = torch.cat(Recorder.seen[1:]).unique(return_counts=True)
    assert times.tolist() == [4] * 120


@pytest.mark.parametrize("trials", ["context", "target"])
def test_an_epoch_sees_every_trial_once(trials: str) -> None:
    numbers = torch.arange(7 * 5.0).reshape(7, 5, 1)
    rows = torch.arange(7.0)[:, None]
    arrays = (numbers, rows) if trials == "context" else (rows, numbers)
    dataset = TensorPairs(*arrays, torch.ones(7), trials)
    for generator in (None, torch.Generator().manual_seed(0)):
        batches = Batches(dataset, 3, shuffle=generator is not None, generator=generator)
        batches = [(c, t) for c, (t, _) in batches]
        assert len(batches) == 15
        seen = torch.cat([c if trials == "context" else t for c, t in batches])
        assert seen.flatten().sort().values.tolist() == list(range(35))
        for c, t in batches:
            trial, row = (c, t) if trials == "context" else (t, c)
            assert ((trial // 5) == row).all()
            assert len(row.unique()) == len(row)


def test_factors_and_scores_are_summed_over_trials(fitted: NLE | NRE, pairs: Case) -> None:
    theta, x = pairs
    log_f = factor(fitted)
    each = sum(log_f(theta, x[:, [t]]) for t in range(4))
    np.testing.assert_allclose(log_f(theta, x), each, atol=1e-4)
    np.testing.assert_allclose(log_f(theta, x, iid=True), each, atol=1e-4)
    log_p = stats.norm.logpdf(theta["mean"]) + each
    np.testing.assert_allclose(fitted.log_prob(theta, x), log_p, atol=1e-4)
    weights = np.arange(120.0)
    if isinstance(fitted, NLE):
        assert fitted.score(theta, x) == pytest.approx(each.mean(), abs=1e-4)
        weighted = np.average(each, weights=weights)
        assert fitted.score(theta, x, weights) == pytest.approx(weighted, abs=1e-4)
    else:
        assert fitted.score(theta, x) > np.mean([fitted.score(theta, x[:, [t]]) for t in range(4)])


def test_one_observation_and_a_batch_of_any_number_of_trials(
    fitted: NLE | NRE, pairs: Case
) -> None:
    x = pairs[1]
    for n_trials in (1, 3, 9):
        many = np.tile(x[:2], (1, 3, 1))[:, :n_trials]
        one, batch = fitted.sample(many[0], 5), fitted.sample(many, 5)
        assert one.shape == (5, 1)
        assert batch.shape == (10, 1)
        assert np.isfinite(batch.to_numpy()).all()
        modes = fitted.map(many)
        np.testing.assert_allclose(modes.iloc[0], fitted.map(many[0]), atol=1e-2)
        assert len(fitted.summary(many, n_samples=10)) == 2
    assert fitted.sample(x[0].tolist(), 5).equals(fitted.sample(x[0], 5))
    assert np.isfinite(fitted.sample(np.tile(x[0], (250, 1)), 5).to_numpy()).all()  # 1,000 trials


def test_tables_and_arrays_give_the_same(
    fitted: NLE | NRE, on_tables: NLE | NRE, pairs: Case
) -> None:
    theta, x = pairs
    table = as_table(x)
    np.testing.assert_allclose(
        on_tables.log_prob(theta, table), fitted.log_prob(theta, x), rtol=1e-9
    )
    pd.testing.assert_frame_equal(on_tables.sample(table.loc[0], 4), fitted.sample(x[0], 4))
    draws = on_tables.sample(as_table(x[:2], ["monday", "tuesday"]), 3)
    assert draws.index.unique("observation").tolist() == ["monday", "tuesday"]
    assert on_tables.score(theta, table) == pytest.approx(fitted.score(theta, x), abs=1e-6)
    ours, theirs = (
        draw_held_out(e, theta[:9], some, 5).draws
        for e, some in ((on_tables, table[:36]), (fitted, x[:9]))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_single_numbers_are_trials_too(estimator: NLE | NRE, pairs: Case) -> None:
    """As (n, T), and as a Series with the trial as its last index level."""
    theta, x = pairs[0], pairs[1][:, :, 0]
    as_series = as_table(pairs[1])["a"]
    first, second = clone(estimator).fit(theta, x), clone(estimator).fit(theta, as_series)
    np.testing.assert_allclose(
        first.log_prob(theta, x), second.log_prob(theta, as_series), rtol=1e-9
    )
    assert first.sample(x[0], 5).equals(first.sample(as_series.loc[0], 5))
    assert len(first.sample(x[:3], 5)) == 15


def test_one_trial_each_is_a_fit_without_trials(estimator: NLE | NRE, pairs: Case) -> None:
    theta, x = pairs
    joined = clone(estimator).fit(theta, x[:, :1])
    plain = clone(estimator).set_params(x_trials=False).fit(theta, x[:, 0])
    np.testing.assert_array_equal(joined.log_prob(theta, x[:, :1]), plain.log_prob(theta, x[:, 0]))
    assert joined.score(theta, x[:, :1]) == plain.score(theta, x[:, 0])


def test_few_rows(estimator: NLE | NRE) -> None:
    theta, x = simulate(20, 4)
    few = clone(estimator)
    few.fit(theta, x)
    assert np.isfinite(few.sample(x[0], 5).to_numpy()).all()


def test_failed_simulations(estimator: NLE | NRE, pairs: Case) -> None:
    """NaN in all trials is a failure, in some of them an error, everywhere."""
    theta, x = pairs[0], pairs[1].copy()
    x[::10] = np.nan
    kept = ~np.isnan(x[:, 0, 0])
    for form in (np.asarray, as_table):
        fitted = clone(estimator).fit(theta, form(x))
        assert np.isfinite(fitted.log_prob(theta[kept], form(x[kept]))).all()
        if isinstance(fitted, NLE):
            log_mass = fitted._posterior().factor.log_mass(theta[~kept])  # of a trial, of so many
            fails = np.log(-np.expm1(x.shape[1] * log_mass)).sum()
            succeeded = kept.sum() * fitted.score(theta[kept], form(x[kept]))
            expected = (succeeded + fails) / len(kept)
            assert fitted.score(theta, form(x)) == pytest.approx(expected, abs=1e-5)
        held_out = draw_held_out(fitted, theta, form(x), 2)
        assert held_out.theta.shape == (108, 1)
        partly = x.copy()
        partly[3, 2] = np.nan
        for call in (
            lambda e, x: clone(e).fit(theta, x),
            lambda e, x: e.score(theta, x),
            lambda e, x: clone(e).set_params(validation_fraction=(theta, x)).fit(*pairs),
        ):
            with pytest.raises(ValueError, match=r"x.* contains NaN"):
                call(fitted, form(partly))
        with pytest.raises(ValueError, match="x contains NaN throughout"):
            fitted.sample(form(x[:2]), 5)


def test_labels_of_runs_are_compared(estimator: NLE | NRE, pairs: Case) -> None:
    theta, x = pairs
    backwards = as_table(x, range(119, -1, -1))
    with pytest.warns(UserWarning, match="same index labels in another order.*labelled 0.* 119"):
        fitted = clone(estimator).fit(theta, backwards)
    with pytest.warns(UserWarning, match="same index labels in another order"):
        fitted.score(theta, backwards)
    for call in (fitted.score, clone(estimator).fit):
        with pytest.raises(ValueError, match=r"theta and x must have one length, got \[5, 120\]"):
            call(theta[:5], as_table(x))


SHAPES = {
    "fit, no trials": (
        lambda e, theta, x: clone(e).fit(theta, x[:, 0, 0]),
        r"x_trials=True must have shape \(n, trials\) or \(n, trials, \.\.\.\), got \(120,\)",
    ),
    "fit, a table of rows": (
        lambda e, theta, x: clone(e).fit(theta, pd.DataFrame(x[:, 0])),
        "x_trials=True as a DataFrame must have the trial as its last index level",
    ),
    "fit, unequal numbers": (
        lambda e, theta, x: clone(e).fit(theta, as_table(x)[:-1]),
        "as many trials for every observation",
    ),
    "one trial": (
        lambda e, theta, x: e.sample(x[0, 0], 5),
        r"x_trials=True must be one observation of shape \(trials, 2\).*got shape \(2,\)",
    ),
    "one dimension too many": (
        lambda e, theta, x: e.log_prob(theta, x[:, None]),
        r"x_trials=True.*batch of shape \(m, trials, 2\), got shape \(120, 1, 4, 2\)",
    ),
    "other columns": (
        lambda e, theta, x: e.sample(x[:, :, :1], 5),
        r"x_trials=True.*got shape \(120, 4, 1\)",
    ),
    "a dict": (lambda e, theta, x: e.sample({"a": 1.0, "b": 2.0}, 5), "x_trials=True.*a dict"),
    "score of one observation": (
        lambda e, theta, x: e.score(theta[:4], x[0]),
        r"theta and x must have one length, got \[4, 1\]",
    ),
}


@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_wrong_shapes_are_refused(fitted: NLE | NRE, pairs: Case, case: tuple) -> None:
    call, message = case
    with pytest.raises(ValueError, match=message):
        call(fitted, *pairs)


def test_searches_split_by_theta(estimator: NLE | NRE, pairs: Case) -> None:
    theta, x = pairs
    cv = KFold(2)
    expected = [
        clone(estimator).fit(theta.iloc[a], x[a]).score(theta.iloc[b], x[b])
        for a, b in cv.split(theta)
    ]
    assert cross_val_score(estimator, theta, x, cv=cv).tolist() == expected
    search = GridSearchCV(estimator, {"lr": [1e-4, 1e-2]}, cv=cv).fit(theta, x)
    assert search.sample(x[0], 5).shape == (5, 1) if hasattr(search, "sample") else True
    assert search.best_estimator_.sample(x[0], 5).shape == (5, 1)
    coverage = get_scorer("coverage", n_samples=20)
    scores = cross_val_score(estimator, theta, x, cv=cv, scoring=coverage)
    assert ((scores < 0) & (scores > -0.5)).all()


def test_validation_pairs_and_weights(estimator: NLE | NRE, pairs: Case) -> None:
    """Rows of weight zero are absent; the pair is read as fit's x is, in both forms."""
    theta, x = pairs
    pair = simulate(30, 2, seed=5)
    losses = []
    for form in (np.asarray, as_table):
        one = clone(estimator).set_params(validation_fraction=(pair[0], form(pair[1])))
        losses.append(one.fit(theta, form(x)).history_["valid_loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)
    weights = np.r_[np.zeros(40), np.ones(80)]
    weighted = clone(estimator).fit(theta, x, sample_weight=weights)
    rest = clone(estimator).fit(theta[40:].reset_index(drop=True), x[40:])
    np.testing.assert_array_equal(weighted.log_prob(theta, x), rest.log_prob(theta, x))


def test_a_warm_start_goes_on(estimator: NLE | NRE, pairs: Case) -> None:
    """With another number of trials, too; but not without any."""
    warm = clone(estimator).set_params(warm_start=True).fit(*pairs)
    theta, x = simulate(100, 2, seed=6)
    warm.fit(theta, x)
    assert len(warm.history_) == 4
    with pytest.raises(ValueError, match="x_trials was set to False since; it was True"):
        warm.set_params(x_trials=False).fit(theta, x[:, 0])


@pytest.mark.parametrize("make", [Ensemble, CalibratedPosterior])
def test_meta_estimators_hand_trials_on(
    estimator: NLE | NRE, pairs: Case, make: Callable[..., object]
) -> None:
    """As arrays and as tables; the ensemble pools the sums of what members say of each trial."""
    theta, x = pairs
    few = {"n_estimators": 2} if make is Ensemble else {"n_samples": 20, "cv": 2}
    first = make(clone(estimator), random_state=0, **few).fit(theta, x)
    second = make(clone(estimator), random_state=0, **few).fit(theta, as_table(x))
    np.testing.assert_allclose(
        first.log_prob(theta, x), second.log_prob(theta, as_table(x)), rtol=1e-6
    )
    log_f = factor(estimator).__name__
    trial = [
        np.logaddexp(*(getattr(m, log_f)(theta, x[:, [t]]) for m in first.estimators_)) - np.log(2)
        for t in range(4)
    ]
    np.testing.assert_allclose(getattr(first, log_f)(theta, x), np.sum(trial, axis=0), atol=1e-4)
    if make is CalibratedPosterior:
        inside = [
            e.in_region(theta, form(x), 0.8)
            for e, form in ((first, np.asarray), (second, as_table))
        ]
        np.testing.assert_array_equal(*inside)


def test_a_regressor_of_trials(estimator: NLE | NRE, pairs: Case) -> None:
    """X is (n, trials), and the prediction the posterior mean, for any number of draws."""
    theta, x = pairs[0]["mean"].to_numpy(), pairs[1][:, :, 0]
    longer = clone(estimator).set_params(max_epochs=20, random_state=None)
    regressor = PosteriorRegressor(longer, n_samples=100, random_state=0).fit(x, theta)
    exact = x.sum(axis=1) / 5
    assert np.corrcoef(regressor.predict(x), exact)[0, 1] > 0.8


def test_emulated_trials(pairs: Case) -> None:
    """As many as one asks for, of each theta, as tables where x was one."""
    theta, x = pairs
    nle = clone(TINY["NLE"])
    assert nle.fit(theta, x).emulate(theta[:3], 7).shape == (3, 7, 2)
    table = nle.fit(theta, as_table(x)).emulate(theta[:3], 7)
    assert table.index.names == ["theta", "draw"]
    assert table.columns.tolist() == ["a", "b"]
    assert np.isfinite(nle.log_likelihood(theta[:3], table)).all()  # a batch of trials again


def test_displays_and_diagnoses(fitted: NLE | NRE, on_tables: NLE | NRE, pairs: Case) -> None:
    theta, x = pairs
    matplotlib.use("Agg")
    for one, form in ((fitted, np.asarray), (on_tables, as_table)):
        PosteriorDisplay.from_estimator(one, x[0], n_samples=50)
        CoverageDisplay.from_estimator(one, theta[:30], form(x[:30]), n_samples=20)
        found = diagnose(one, theta[:30], form(x[:30]), n_samples=20, x_observed=x[0], plot=False)
        assert ("coverage", "all") in found.table.index
    chains = clone(fitted).set_params(sampler="metropolis_hastings").fit(*pairs)
    TraceDisplay.from_estimator(chains, x[0], n_samples=50)
    assert chains.sample_chains(x[0], 50).shape[2] == 1
    if isinstance(fitted, NRE):
        display = RatioDisplay.from_estimator(fitted, theta, x)
        np.testing.assert_allclose(
            display.log_ratio_joint, fitted.predict_log_ratio(theta, x), atol=1e-6
        )
