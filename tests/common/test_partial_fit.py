"""What every estimator that trains a network promises about rows that keep coming."""

import pickle
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from sksbi import AMNPE, AMNRE, FMPE, NLE, NPE, NPSE, NRE
from sksbi.data import Pairs as DataPairs
from sksbi.exceptions import MisspecificationWarning, TrainingWarning
from sksbi.pipeline import make_pipeline
from sksbi.posteriors.record import record_held_out
from sksbi.posteriors.tried import Tried
from sksbi.samplers import ImportanceResampling

Pairs = tuple[pd.DataFrame, pd.DataFrame]

FAMILIES = (NPE, NRE, NLE, FMPE, NPSE, AMNPE, AMNRE)


def _ready(cls: type, table: list, prior: dict) -> BaseEstimator:
    """Take an estimator out of the table, not fitted, with a prior and a seed."""
    found = next(e for e in table if type(e) is cls)
    return clone(found).set_params(prior=prior, random_state=0)


@pytest.fixture(params=FAMILIES, ids=lambda cls: cls.__name__)
def family(request: pytest.FixtureRequest, table: list, prior: dict) -> BaseEstimator:
    """Give each family that trains a network in turn."""
    return _ready(request.param, table, prior)


@pytest.fixture(
    params=[*FAMILIES[:3], *(pytest.param(cls, marks=pytest.mark.slow) for cls in FAMILIES[3:])],
    ids=lambda cls: cls.__name__,
)
def streaming(request: pytest.FixtureRequest, table: list, prior: dict) -> BaseEstimator:
    """Give a family of each kind in turn; for the others it is one code, and slow."""
    return _ready(request.param, table, prior)


@pytest.fixture
def npe(table: list, prior: dict) -> BaseEstimator:
    """Give the family whose loss draws nothing, and whose scalings are the same of rows twice."""
    return _ready(NPE, table, prior)


def calls(make_pairs: Callable[..., Pairs], *sizes: int) -> list[Pairs]:
    """Simulate the rows of some calls."""
    return [make_pairs(n, seed=k) for k, n in enumerate(sizes)]


def learn(estimator: BaseEstimator, batches: list) -> BaseEstimator:
    """Make a call with each batch."""
    for batch in batches:
        assert estimator.partial_fit(*batch) is estimator
    return estimator


def weights_of(estimator: BaseEstimator) -> np.ndarray:
    """Put all weights that answer into one array."""
    parts = estimator.net_.module_.state_dict().values()
    return np.concatenate([part.cpu().double().numpy().ravel() for part in parts])


def moving_of(estimator: BaseEstimator) -> np.ndarray:
    """Put the weights that move into one array."""
    return np.concatenate([part.cpu().numpy().ravel() for part in estimator.net_.stream_["moving"]])


# What is learnt.


def test_calls_reach_the_closed_form(family: BaseEstimator) -> None:
    """
    theta of N(0, 1) and x of N(theta, 1): the posterior is N(x / 2, 1 / 2).

    The Kullback-Leibler divergence from it, by a grid, of a normal distribution whose mean is off
    by a third of a standard deviation is 0.05. The prior's is 0.35 on average over x.
    """
    rng = np.random.default_rng(0)
    family.set_params(prior=[stats.norm(0, 1)], lr=1e-2)
    for _ in range(8):
        theta = rng.standard_normal((300, 1))
        family.partial_fit(theta, theta + rng.standard_normal((300, 1)))
    grid = np.linspace(-5, 5, 401)
    found = []
    for x in (-2.0, -0.7, 0.0, 1.0, 2.2):
        log_q = family.log_prob(grid[:, None], [x])
        log_q = log_q - np.log(trapezoid(np.exp(log_q), grid))
        exact = stats.norm(x / 2, 0.5**0.5)
        found.append(trapezoid(exact.pdf(grid) * (exact.logpdf(grid) - log_q), grid))
    assert np.mean(found) < 0.05


def test_many_calls_are_one_training(npe: BaseEstimator) -> None:
    """
    The same rows twice, in two calls or in one, make the same steps but for rounding.

    All that has a state is in it: the optimizer, the learning rate, the average.
    """
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((128, 2))
    x = theta + rng.standard_normal((128, 2))
    options = {"validation_fraction": None, "iterator_train__shuffle": False, "prior": None}
    options |= {"batch_size": 8}
    one, two = (clone(npe).set_params(**options) for _ in range(2))
    learn(one, [(np.concatenate([theta, theta]), np.concatenate([x, x]))])
    learn(two, [(theta, x)])
    before = weights_of(two)
    learn(two, [(theta, x)])
    far = np.abs(weights_of(two) - before).max()
    assert far > 1e-2
    np.testing.assert_allclose(weights_of(two), weights_of(one), rtol=0, atol=1e-3 * far)
    np.testing.assert_allclose(moving_of(two), moving_of(one), rtol=0, atol=1e-3 * far)


def test_the_learning_rate_falls_over_all_calls(
    streaming: BaseEstimator, make_pairs: Callable
) -> None:
    """It is lr / sqrt(1 + t / 200) after t steps, once it has risen in twenty."""
    streaming.set_params(lr=1e-2, validation_fraction=None, batch_size=20)
    learn(streaming, calls(make_pairs, 100, 400, 100))
    history = streaming.history_
    assert history.columns.tolist() == ["epoch", "train_loss", "lr", "dur"]
    assert history["epoch"].tolist() == [1, 2, 3]
    steps = np.array([5, 25, 30])
    risen = 0.04 + 0.96 * np.minimum(1, steps / 20)
    np.testing.assert_allclose(history["lr"], 1e-2 * risen / np.sqrt(1 + steps / 200))
    streaming.set_params(callbacks__lr_scheduler=None).partial_fit(*make_pairs(100, seed=9))
    assert streaming.history_["lr"].iloc[-1] == 1e-2


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("cls", "n_good"),
    [
        (NPE, 0),
        (NRE, 1),
        pytest.param(NPE, 1, marks=SLOW),
        pytest.param(NRE, 0, marks=SLOW),
        pytest.param(NLE, 0, marks=SLOW),
        pytest.param(NLE, 1, marks=SLOW),
    ],
)
def test_a_call_of_which_all_have_failed_counts_for_success_alone(
    cls: type, n_good: int, table: list, prior: dict, make_pairs: Callable
) -> None:
    """Later calls learn as if it had not been, but for the probability of success."""
    made = [_ready(cls, table, prior) for _ in range(2)]
    first, bad, last = calls(make_pairs, 300, 200, 300)
    bad[1].iloc[n_good:] = np.nan
    learn(made[0], [first, bad, last])
    learn(made[1], [first, last])
    np.testing.assert_array_equal(weights_of(made[0]), weights_of(made[1]))
    assert len(made[0].history_) == 2
    if cls is not NPE:
        has_failed = made[0]._tried.has_failed
        assert (has_failed.sum(), len(has_failed)) == (200 - n_good, 800)
        assert made[0]._success is not None
        assert made[1]._success is None


def test_the_first_call_needs_two_that_succeeded(npe: BaseEstimator, make_pairs: Callable) -> None:
    theta, x = make_pairs(50)
    x.iloc[1:] = np.nan
    with pytest.raises(ValueError, match="at least 2 simulations that succeeded, got 1 of 50"):
        npe.partial_fit(theta, x)


@pytest.mark.parametrize(
    ("cls", "numbers"),
    [
        (NLE, (5, 8)),
        (NRE, (6, 1)),
        pytest.param(NLE, (6, 1), marks=SLOW),
        pytest.param(NRE, (5, 8), marks=SLOW),
    ],
)
def test_calls_may_have_other_numbers_of_trials(cls: type, numbers: tuple[int, int]) -> None:
    """The posterior of twenty trials is near the exact one, by less than it is wide."""
    rng = np.random.default_rng(0)
    batches = []
    for n_trials in numbers:
        theta = rng.standard_normal((1_000, 1))
        batches.append((theta, theta[:, None] + rng.standard_normal((1_000, n_trials, 1))))
    learnt = learn(cls([stats.norm()], x_trials=True, random_state=0), batches)
    x = 0.5 + rng.standard_normal((20, 1))
    draws = learnt.sample(x, 1_000, random_state=1)
    assert abs(draws.mean() - x.sum() / 21) < 21**-0.5
    assert 0.5 < draws.std() * 21**0.5 < 2


def test_everything_answers_after_every_call(
    streaming: BaseEstimator, make_pairs: Callable
) -> None:
    if not isinstance(streaming, NPE | FMPE | NPSE | AMNPE):
        streaming.set_params(sampler=ImportanceResampling(2_000))
    with pytest.raises(NotFittedError):
        streaming.score(*make_pairs(10))
    theta, x = make_pairs(5, seed=5)
    for batch in calls(make_pairs, 200, 2):
        streaming.partial_fit(*batch)
        assert np.isfinite(streaming.score(*make_pairs(50, seed=6)))
        assert streaming.log_prob(theta, x).shape == (5,)
        assert streaming.sample(x.iloc[0], 10).shape == (10, 2)
        assert streaming.map(x.iloc[0]).shape == (2,)
    assert streaming.summary(x.iloc[0], n_samples=50).index.tolist() == ["mean", "sd"]
    if isinstance(streaming, NRE | AMNRE):
        assert (streaming.predict_ratio(theta, x) > 0).all()
    if isinstance(streaming, NLE):
        assert streaming.emulate(theta, 2).shape == (10, 4)
    if isinstance(streaming, AMNPE | AMNRE):
        assert streaming.marginal(["sd"]).sample(x.iloc[0], 10).shape == (10, 1)


# Reproducible.


def test_calls_go_on_through_pickle_bit_for_bit(
    family: BaseEstimator, make_pairs: Callable
) -> None:
    batches = calls(make_pairs, 150, 50, 20)
    whole = learn(clone(family), batches)
    for batch in batches:
        family = pickle.loads(pickle.dumps(family.partial_fit(*batch)))
    np.testing.assert_array_equal(weights_of(family), weights_of(whole))
    np.testing.assert_array_equal(moving_of(family), moving_of(whole))
    theta, x = batches[0]
    np.testing.assert_array_equal(
        family.log_prob(theta[:9], x[:9]), whole.log_prob(theta[:9], x[:9])
    )
    assert family.history_.drop(columns="dur").equals(whole.history_.drop(columns="dur"))


@pytest.mark.parametrize("random_state", [3, np.random.default_rng(3), None])
def test_a_seed_serves_all_calls(
    streaming: BaseEstimator, make_pairs: Callable, random_state: object
) -> None:
    batches = calls(make_pairs, 60, 40)
    streaming.set_params(random_state=random_state)
    first, second = (learn(pickle.loads(pickle.dumps(streaming)), batches) for _ in range(2))
    equal = np.array_equal(weights_of(first), weights_of(second))
    assert equal == (random_state is not None)
    assert (first.seed_ == second.seed_) == equal


# What the first call fixes.


def test_later_calls_keep_the_scalings(streaming: BaseEstimator, make_pairs: Callable) -> None:
    """With steps of no length the densities stay, whatever the new rows look like."""
    theta, x = make_pairs(100)
    streaming.set_params(optimizer="sgd", lr=1e-12).partial_fit(theta, x)
    before = streaming.log_prob(theta, x)
    streaming.partial_fit(theta, 3 * x + 5)
    np.testing.assert_allclose(streaming.log_prob(theta, x), before, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda theta, x: (theta.rename(columns={"sd": "size"}), x), "(?s)feature names.*size"),
        (lambda theta, x: (theta[["sd", "mean"]], x), "(?s)feature names.*same order"),
        (lambda theta, x: (theta[["mean"]], x), "(?s)feature names.*sd"),
        (lambda theta, x: (theta, x.rename(columns={"a": "e"})), "(?s)x.*feature names.*e"),
        (lambda theta, x: (theta, x.to_numpy()[:, :3]), r"x must be .*\(4,\).*got shape \(50, 3\)"),
        (lambda theta, x: (theta.assign(sd=7.0), x), "theta must lie in the prior's support"),
        (lambda theta, x: (theta, x[:-1]), "49"),
        (lambda theta, x: (theta, x.mask(x["a"] > 0, np.inf)), "x contains inf"),
        (lambda theta, x: (theta, None), "partial_fit.theta, x. the simulated observations"),
    ],
    ids=["names", "order", "theta", "columns", "x", "support", "lengths", "inf", "none"],
)
def test_later_calls_check_what_they_get(
    streaming: BaseEstimator, make_pairs: Callable, change: Callable, words: str
) -> None:
    streaming.partial_fit(*make_pairs(60))
    before = dict(vars(streaming))
    with pytest.raises(ValueError, match=words):
        streaming.partial_fit(*change(*make_pairs(50, seed=1)))
    assert vars(streaming) == before


def test_what_shapes_the_network_cannot_be_set_between(
    streaming: BaseEstimator, make_pairs: Callable
) -> None:
    streaming.partial_fit(*make_pairs(60)).set_params(hidden_features=(8,))
    with pytest.raises(
        ValueError, match=r"hidden_features was set to \(8,\) since; it was \(16,\)"
    ):
        streaming.partial_fit(*make_pairs(60))
    streaming.set_params(hidden_features=(16,), lr=1e-7).partial_fit(*make_pairs(60))
    assert streaming.history_["lr"].iloc[-1] < 1e-7


# With fit.


def test_fit_begins_anew(streaming: BaseEstimator, make_pairs: Callable, pairs: Pairs) -> None:
    expected = weights_of(clone(streaming).fit(*pairs))
    learn(streaming, calls(make_pairs, 60, 40)).fit(*pairs)
    np.testing.assert_array_equal(weights_of(streaming), expected)
    assert len(streaming.history_) == 3
    assert not hasattr(streaming.net_, "stream_")


def test_a_call_goes_on_from_a_fit(
    streaming: BaseEstimator, make_pairs: Callable, pairs: Pairs
) -> None:
    theta, x = pairs
    streaming.fit(theta, x)
    before = streaming.log_prob(theta, x)
    copy = pickle.loads(pickle.dumps(streaming))
    still = pickle.loads(pickle.dumps(streaming)).set_params(optimizer="sgd", lr=1e-12)
    still.partial_fit(theta, 3 * x + 5)
    np.testing.assert_allclose(still.log_prob(theta, x), before, rtol=0, atol=1e-4)
    assert still.history_["epoch"].tolist() == [1, 2, 3, 4]
    batches = calls(make_pairs, 60, 40)
    np.testing.assert_array_equal(
        weights_of(learn(streaming, batches)), weights_of(learn(copy, batches))
    )


def test_a_warm_start_goes_on_from_calls(npe: BaseEstimator, make_pairs: Callable) -> None:
    npe.set_params(warm_start=True, validation_fraction=None)
    learn(npe, calls(make_pairs, 60, 40))
    before = npe.log_prob(*make_pairs(20))
    npe.set_params(lr=1e-12, optimizer="sgd").fit(*make_pairs(80))
    np.testing.assert_allclose(npe.log_prob(*make_pairs(20)), before, rtol=0, atol=1e-4)
    assert len(npe.history_) == 5


# Rows that wait.


def test_a_tenth_of_the_rows_waits_for_the_next_call(
    streaming: BaseEstimator, make_pairs: Callable
) -> None:
    """What they are moves nothing before."""
    streaming.partial_fit(*make_pairs(100))
    first, second = (pickle.loads(pickle.dumps(streaming)) for _ in range(2))
    theta, x = make_pairs(100, seed=1)
    first.partial_fit(theta, x)
    waiting = first.net_.stream_["waiting"].row
    assert len(waiting) == 10
    other = x.copy()
    other.iloc[waiting] = x.iloc[waiting].to_numpy()[::-1]
    second.partial_fit(theta, other)
    np.testing.assert_array_equal(weights_of(first), weights_of(second))
    for one in (first, second):
        one.partial_fit(*make_pairs(50, seed=2))
    assert not np.array_equal(weights_of(first), weights_of(second))


def test_none_waits_if_nothing_is_validated(streaming: BaseEstimator, make_pairs: Callable) -> None:
    streaming.set_params(validation_fraction=None, batch_size=10)
    learn(streaming, calls(make_pairs, 100, 50))
    assert streaming.net_.stream_["waiting"] is None
    assert streaming.net_.stream_["averaged"] == 15


def test_what_waits_is_what_a_flow_is_held_against(prior: dict, make_pairs: Callable) -> None:
    npe = NPE(prior, module__members=2, hidden_features=(16,), random_state=0)
    learn(npe, calls(make_pairs, 300, 400))
    x = make_pairs(1, seed=3)[1].iloc[0]
    record = npe._record
    assert len(record.target) == 40
    waiting = npe.net_.stream_["waiting"]
    u = npe._theta_space.to_network(waiting.theta)[0]
    assert set(np.float32(u[:, 0])) == set(record.target[:, 0])
    assert record.made is None
    npe.sample(x, 2)
    valid = npe._encode((npe._theta_space, npe._x_space), waiting)
    at_once = record_held_out(npe.net_.module_, valid, record.seed)
    np.testing.assert_array_equal(record.made.missed, at_once.missed)
    np.testing.assert_array_equal(record.made.like, at_once.like)
    assert record.made.usual == at_once.usual
    with pytest.warns(MisspecificationWarning, match="far from everything"):
        npe.sample(x + 100, 2)


def test_a_likelihood_is_judged_by_pairs_of_all_calls(prior: dict, make_pairs: Callable) -> None:
    nle = NLE(prior, flow="maf", transforms=1, hidden_features=(8,), random_state=0)
    batches = calls(make_pairs, 100, 60, 40)
    learn(nle, batches)
    theta, x, n_held_out, n_learnt = nle._judged
    assert (len(theta), n_held_out, n_learnt) == (200, 4, 200)
    waiting = nle.net_.stream_["waiting"]
    assert set(theta[:4, 0]) == set(waiting.theta[:, 0])
    everything = pd.concat([batch[1] for batch in batches]).to_numpy()
    assert {*map(tuple, x)} == {*map(tuple, everything)}
    low, high = nle._ranges
    y = nle._x_space.to_network(everything)[0]
    np.testing.assert_array_equal([low, high], [y.min(axis=0), y.max(axis=0)])


def test_a_ratio_is_judged_by_rows_of_all_calls(prior: dict, make_pairs: Callable) -> None:
    nre = NRE(prior, hidden_features=(8,), random_state=0)
    batches = calls(make_pairs, 100, 60, 1_000)
    learn(nre, batches[:2])
    assert len(nre._some_x) == 160
    learn(nre, batches[2:])
    assert len(nre._some_x) == 1_000


# Data of all kinds.


def test_a_region_grows_with_the_calls(streaming: BaseEstimator, make_pairs: Callable) -> None:
    theta, x = make_pairs(200)
    far = x.iloc[0] + 30.0
    streaming.partial_fit(theta, x)
    assert streaming.typical_x_.are_far(far.to_numpy()[None])[0]
    streaming.partial_fit(theta[:5], x[:5])
    assert streaming.typical_x_.are_far(far.to_numpy()[None])[0]
    streaming.partial_fit(theta[:5], x[:5] + 30.0)
    assert not streaming.typical_x_.are_far(far.to_numpy()[None])[0]


def test_rows_of_weight_zero_count_as_absent(
    streaming: BaseEstimator, make_pairs: Callable
) -> None:
    weighted, absent = clone(streaming), clone(streaming)
    for theta, x in calls(make_pairs, 80, 60):
        kept = np.random.default_rng(0).uniform(size=len(theta)) < 0.7
        odd = x.copy()
        odd[~kept] = 1e6
        weighted.partial_fit(theta, odd, sample_weight=kept * 0.3)
        absent.partial_fit(theta[kept], x[kept])
    np.testing.assert_array_equal(weights_of(weighted), weights_of(absent))


def test_weights_matter(streaming: BaseEstimator, make_pairs: Callable) -> None:
    theta, x = make_pairs(100)
    equal = clone(streaming).partial_fit(theta, x, np.full(100, 0.3))
    np.testing.assert_array_equal(
        weights_of(equal), weights_of(clone(streaming).partial_fit(theta, x))
    )
    unequal = clone(streaming).partial_fit(theta, x, np.linspace(0.1, 2, 100))
    assert not np.array_equal(weights_of(unequal), weights_of(equal))


def test_success_is_learnt_from_all_calls(
    prior: dict, make_pairs: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the rows of one call fail, none of another; and again when there are half as many."""
    learnt = []

    def learn_success(pairs, prior, generator):
        learnt.append((len(pairs), np.isnan(pairs.x).mean()))
        return learnt

    monkeypatch.setattr("sksbi.estimators.sampled.learn_success", learn_success)
    nre = NRE(prior, hidden_features=(8,), random_state=0)
    (theta, x), *more = calls(make_pairs, 80, 40, 20, 20, 20)
    nre.partial_fit(theta, x.mask(pd.Series(np.arange(80) < 40)))
    assert learnt == [(80, 0.5)]
    learn(nre, more)
    assert learnt[1:] == [(120, pytest.approx(1 / 3)), (180, pytest.approx(40 / 180))]
    clone(nre).partial_fit(*more[0])
    assert len(learnt) == 3
    assert nre.set_params(max_epochs=1).fit(*more[0])._success is None


def test_what_was_tried_is_a_sample_of_all() -> None:
    """Of 60,000 rows 20,000 are kept, a third of every call."""
    rng = np.random.default_rng(0)
    tried = None
    for k in range(6):
        theta, x = np.full((10_000, 1), float(k)), np.zeros(10_000)
        x[:1_000] = np.nan
        pairs = DataPairs.of_positive_weight(theta, x, np.ones(10_000)).succeeded()
        one = Tried.of(pairs, rng)
        tried = one if tried is None else tried.followed_by(one)
    made = tried.pairs()
    assert (len(made), tried.n_seen) == (20_000, 60_000)
    sd = np.sqrt(20_000 / 6 * 5 / 6 * 2 / 3)  # of a hypergeometric count
    counts = np.unique(made.theta, return_counts=True)[1]
    assert np.abs(counts - 20_000 / 6).max() < 5 * sd
    assert np.isnan(made.x).mean() == pytest.approx(0.1, abs=5 * np.sqrt(0.09 * 2 / 3 / 20_000))
    assert tried.is_to_be_learnt
    assert not tried.learnt().is_to_be_learnt


def test_failures_are_left_out_by_densities(prior: dict, make_pairs: Callable) -> None:
    npe = NPE(prior, flow="maf", transforms=1, hidden_features=(8,), random_state=0)
    with_failures, without = clone(npe), clone(npe)
    for theta, x in calls(make_pairs, 80, 60):
        failed = np.arange(len(theta)) % 3 == 0
        with_failures.partial_fit(theta, x.mask(pd.Series(failed)))
        without.partial_fit(theta[~failed], x[~failed])
    np.testing.assert_array_equal(weights_of(with_failures), weights_of(without))


def test_counts_are_spread_anew_in_every_call(prior: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same counts twice are not the same places twice."""
    nle = NLE(prior, flow="maf", transforms=1, hidden_features=(8,), x_discrete=False)
    rng = np.random.default_rng(0)
    theta = np.column_stack([rng.standard_normal(200), rng.uniform(0.5, 2, 200)])
    counts = rng.poisson(np.exp(3 + 0.3 * theta[:, 0]))[:, None]
    nle.set_params(random_state=0, validation_fraction=None).partial_fit(theta, counts)
    seen, encode = [], NLE._encode
    monkeypatch.setattr(NLE, "_encode", lambda *args: seen.append(encode(*args)) or seen[-1])
    for _ in range(2):
        nle.partial_fit(theta, counts)
    assert (seen[0].target != seen[1].target).float().mean() > 0.9


def test_categories_are_those_of_the_first_call(prior: dict, make_pairs: Callable) -> None:
    nle = NLE(prior, flow="maf", transforms=1, hidden_features=(8,), random_state=0)
    theta, x = make_pairs(90)
    x["word"] = ["red", "green", "blue"] * 30
    nle.partial_fit(theta, x)
    nle.partial_fit(theta[:2], x[:2])
    with pytest.raises(ValueError, match="yellow"):
        nle.partial_fit(theta[:2], x[:2].assign(word="yellow"))
    assert len(nle.history_) == 2


def test_trials(prior: dict) -> None:
    rng = np.random.default_rng(0)
    theta = np.column_stack([rng.standard_normal(60), rng.uniform(0.5, 2, 60)])
    x = theta[:, :1] + rng.standard_normal((60, 4))
    for cls in (NRE, NLE):
        estimator = cls(prior, x_trials=True, hidden_features=(8,), random_state=0)
        for _ in range(2):
            estimator.partial_fit(theta, x[:, :, None])
        assert estimator.log_prob(theta[:3], x[:3, :, None]).shape == (3,)
        assert estimator._n_trials == 4


def test_images(prior: dict) -> None:
    rng = np.random.default_rng(0)
    theta = np.column_stack([rng.standard_normal(60), rng.uniform(0.5, 2, 60)])
    x = theta[:, :1, None] + rng.standard_normal((60, 3, 3))
    norm = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(9), torch.nn.Dropout(0.1))
    npe = NPE(prior, flow="maf", transforms=1, embedding=norm, random_state=0)
    copy = clone(npe)
    for _ in range(3):
        npe.partial_fit(theta, x)
        copy = pickle.loads(pickle.dumps(copy.partial_fit(theta, x)))
    np.testing.assert_array_equal(npe.log_prob(theta, x), copy.log_prob(theta, x))


def test_atoms_are_those_of_the_call(prior: dict, make_pairs: Callable) -> None:
    npe = NPE(prior, flow="maf", transforms=1, hidden_features=(8,), criterion="atomic")
    for theta, x in calls(make_pairs, 60, 50):
        npe.partial_fit(theta, x)
        u = npe._theta_space.to_network(theta.to_numpy())[0]
        atoms = npe.net_.criterion_.criterion._atoms
        np.testing.assert_array_equal(atoms, u.astype(np.float32))


# What goes wrong.


class CtrlC(Callback):
    """Press Ctrl-C in the second step."""

    def on_batch_end(self, net: object, **_: object) -> None:
        self.n_steps = getattr(self, "n_steps", 0) + 1
        if self.n_steps == 2:
            raise KeyboardInterrupt


HUGE = {"lr": 1e10, "batch_size": 10}


@pytest.mark.parametrize(
    ("broken", "mended", "error"),
    [
        ({"callbacks": [CtrlC()]}, {"callbacks": None}, KeyboardInterrupt),
        (HUGE, {"batch_size": None}, FloatingPointError),
    ],
    ids=["ctrl-c", "nan"],
)
def test_a_broken_call_leaves_no_trace(
    family: BaseEstimator, make_pairs: Callable, broken: dict, mended: dict, error: type
) -> None:
    first, second, third = calls(make_pairs, 100, 600, 60)
    whole, lr = learn(clone(family), [first, third]), family.lr
    learn(family, [first]).set_params(**broken)
    before = dict(vars(family)), weights_of(family), moving_of(family)
    with pytest.raises(error):
        family.partial_fit(*second)
    assert vars(family) == before[0]
    np.testing.assert_array_equal(weights_of(family), before[1])
    np.testing.assert_array_equal(moving_of(family), before[2])
    learn(family.set_params(**mended, lr=lr), [third])
    np.testing.assert_array_equal(weights_of(family), weights_of(whole))


def test_a_broken_first_call_leaves_it_unfitted(
    streaming: BaseEstimator, make_pairs: Callable
) -> None:
    before = dict(vars(streaming.set_params(**HUGE)))
    with pytest.raises(FloatingPointError, match=r"loss became .* in epoch 1 at lr="):
        streaming.partial_fit(*make_pairs(600))
    assert vars(streaming) == before
    with pytest.raises(NotFittedError):
        streaming.sample([0.0] * 4)


def test_hardly_any_rows_are_told_once(streaming: BaseEstimator, make_pairs: Callable) -> None:
    with pytest.warns(TrainingWarning, match="fit has 5 simulations"):
        streaming.partial_fit(*make_pairs(5))
    streaming.partial_fit(*make_pairs(5, seed=1))  # warnings are errors


def test_a_loss_that_rises_is_told(npe: BaseEstimator, make_pairs: Callable) -> None:
    """After three calls theta is far away, now on one side and now on the other."""
    theta, x = make_pairs(300)
    learn(npe, [(theta, x)] * 3)
    with pytest.warns(TrainingWarning) as caught:
        learn(npe, [(theta.assign(mean=5.0 * (-1) ** k), x) for k in range(5)])
    told = [str(w.message) for w in caught if "did not get beyond epoch" in str(w.message)]
    assert len(told) == 1
    assert "did not get beyond epoch 3 of 8" in told[0]


def test_theta_of_another_prior_is_told(streaming: BaseEstimator, make_pairs: Callable) -> None:
    theta, x = make_pairs(60)
    streaming.partial_fit(theta, x)
    with pytest.warns(TrainingWarning) as caught:
        streaming.partial_fit(theta.assign(mean=30.0 + theta["mean"]), x)
    assert any("cannot be draws of this prior" in str(warning.message) for warning in caught)


# Who has none.


def test_who_has_none(table: list) -> None:
    has = {type(e) for e in table if hasattr(e, "partial_fit")}
    assert has == set(FAMILIES)
    pipe = make_pipeline(NPE())
    assert not hasattr(pipe, "partial_fit")
    with pytest.raises(AttributeError, match="transform x by those of an earlier fit"):
        _ = pipe.partial_fit
