"""Fits to pairs that stay on the disk."""

import threading

import dask.array as da
import h5py
import joblib
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import stats
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold

from sksbi import (
    AMNPE,
    AMNRE,
    FMPE,
    NLE,
    NPE,
    NPSE,
    NRE,
    CalibratedPosterior,
    ClassifierRatio,
    Ensemble,
    diagnose,
    simulate,
)
from sksbi.data import LazyTable, StreamedPairs, open_pairs
from sksbi.data.lazy import as_lazy, beside

N, SD = 4_000, 0.5
PRIOR = [stats.norm(), stats.norm()]
TINY = {"flow": "maf", "transforms": 1, "hidden_features": (16,), "max_epochs": 2}
SMALL = {"hidden_features": (16,), "max_epochs": 2}
FAMILIES = [
    NPE(PRIOR, **TINY),
    NRE(PRIOR, **SMALL),
    NLE(PRIOR, **TINY),
    FMPE(PRIOR, **SMALL),
    NPSE(PRIOR, **SMALL),
    AMNPE(PRIOR, transforms=1, **SMALL),
    AMNRE(PRIOR, **SMALL),
]


@pytest.fixture(autouse=True)
def little_memory(monkeypatch):
    """Let nothing be read whole, and chunks and the sample be small."""
    monkeypatch.setattr("sksbi.data.lazy._IN_MEMORY", 0)
    monkeypatch.setattr("sksbi.data.on_disk._MOST_READ", 256)
    monkeypatch.setattr("sksbi.data.on_disk._MOST_SAMPLED", 1_500)
    monkeypatch.setattr("sksbi.data.stream._NUMBERS", 4_096)


def pairs_of(n, seed):
    """Simulate theta with noise."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(n, 2))
    return theta, theta + SD * rng.normal(size=(n, 2))


def exact(theta, x):
    """Compute the log-density of the posterior."""
    precision = 1 + 1 / SD**2
    mean = x / SD**2 / precision
    return stats.norm.logpdf(theta, mean, precision**-0.5).sum(axis=1)


def memmaps(folder, *arrays):
    """Put arrays into files."""
    for i, array in enumerate(arrays):
        np.save(folder / f"{i}.npy", array)
    return [np.load(folder / f"{i}.npy", mmap_mode="r") for i in range(len(arrays))]


@pytest.fixture(params=FAMILIES, ids=lambda estimator: type(estimator).__name__)
def family(request):
    """Give each family in turn, not fitted."""
    return clone(request.param).set_params(random_state=0)


def test_each_family_learns_from_the_disk(family, tmp_path):
    """The bits depend on the rows and not on what holds them."""
    theta, x = pairs_of(400, 0)
    if family._estimates == "posterior":  # others learn the probability of success, too
        x[::9] = np.nan
    given = memmaps(tmp_path, theta, x), (theta, beside(x, "x"))
    good = ~np.isnan(x[:, 0])
    scores = [clone(family).fit(*pairs).score(theta[good], x[good]) for pairs in given]
    assert scores[0] == scores[1]


def test_all_containers_are_taken(tmp_path):
    """Arrays of other libraries, and files."""
    theta, x = pairs_of(1_000, 0)
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file["theta"], file["x"] = theta, x
        containers = [
            (theta, zarr.array(x, chunks=(100, 2))),
            (da.from_array(theta, chunks=(300, 2)), file["x"]),
            open_pairs(tmp_path / "pairs.h5"),
        ]
        scores = {NPE(PRIOR, **TINY, random_state=0).fit(*c).score(theta, x) for c in containers}
    assert len(scores) == 1


@pytest.mark.parametrize("estimator", [NPE, pytest.param(NRE, marks=pytest.mark.slow), NLE])
def test_the_posterior_is_found(estimator, tmp_path):
    """As by a fit in memory, it differs from the exact one by some hundredths of a nat."""
    found = estimator(PRIOR, max_epochs=12, random_state=0)
    found.fit(*memmaps(tmp_path, *pairs_of(N, 0)))
    theta, x = pairs_of(500, 1)
    if estimator is NPE:
        log_p = found.log_prob(theta, x)
    elif estimator is NRE:
        log_p = found.predict_log_ratio(theta, x) + stats.norm.logpdf(theta).sum(axis=1)
    else:
        log_p = found.log_likelihood(theta, x) + stats.norm.logpdf(theta).sum(axis=1)
        log_p -= stats.norm.logpdf(x, 0, np.hypot(1, SD)).sum(axis=1)
    loss = exact(theta, x) - log_p
    assert abs(loss.mean()) < 0.06 + 4 * loss.std() / np.sqrt(len(loss))
    if estimator is not NPE:
        return
    draws = found.sample(np.array([0.5, -1.0]), 2_000)
    precision = 1 + 1 / SD**2
    np.testing.assert_allclose(
        draws.mean(axis=0), np.array([0.5, -1]) / SD**2 / precision, atol=0.1
    )
    np.testing.assert_allclose(draws.std(axis=0), precision**-0.5, rtol=0.12)


def test_a_store_with_names_and_failures(tmp_path):
    """Failed rows are learnt as such, names are compared, and words are known from every row."""
    prior = {"a": stats.norm(), "b": stats.uniform(-1, 2)}

    def simulator(theta, rng):
        if theta["b"] > 0.5:
            raise ValueError("b is too large")
        word = "rare" if theta["a"] > 2.5 else "common"
        return {"x": rng.normal(theta["a"], SD), "word": word}

    options = {"on_error": "keep", "random_state": 0}
    theta, x = simulate(simulator, prior, 1_500, store=tmp_path, **options)
    assert isinstance(x, LazyTable)
    nle = NLE(prior, **TINY, random_state=0).fit(theta, x)
    draws = nle.sample({"x": 0.0, "word": "common"}, 500)
    assert list(draws) == ["a", "b"]
    assert (draws["b"] > 0.5).mean() < 0.05  # a quarter of the prior
    with pytest.raises(ValueError, match="prior's names"):
        NLE({"b": prior["b"], "a": prior["a"]}).fit(theta, x)
    with pytest.raises(ValueError, match=r"prior's support.*the first in row \d+: "):
        NLE({"a": stats.uniform(-2, 4), "b": prior["b"]}).fit(theta, x)
    with pytest.raises(ValueError, match="one length"):
        NLE(prior).fit(theta[1:], x)


def test_every_row_is_looked_at(tmp_path):
    """One of four thousand that is wrong is told, with its place."""
    for name, value in (("theta", 9.0), ("x", np.inf)):
        pairs = dict(zip(("theta", "x"), pairs_of(N, 0), strict=True))
        pairs[name][2_603, 1] = value  # no row that is looked at first
        npe = NPE([stats.uniform(-8, 16)] * 2, random_state=0)
        with pytest.raises(ValueError, match=rf"{name}.*row 2603\b"):
            npe.fit(*memmaps(tmp_path, *pairs.values()))


def test_what_does_not_train_networks_reads_all(tmp_path):
    """And gives what it gives in memory."""
    pairs = pairs_of(300, 0)
    ratio = ClassifierRatio(LogisticRegression(), PRIOR, random_state=0)
    found = [clone(ratio).fit(*given) for given in (pairs, memmaps(tmp_path, *pairs))]
    np.testing.assert_array_equal(*(one.predict_log_ratio(*pairs) for one in found))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_over_views(tmp_path, n_jobs):
    """Folds are views, in any order, and the numbers do not depend on who reads them."""
    pairs = [as_lazy(table) for table in memmaps(tmp_path, *pairs_of(900, 0))]
    cv = KFold(2, shuffle=True, random_state=0)
    npe = NPE(PRIOR, **TINY, random_state=0)
    search = GridSearchCV(npe, {"lr": [1e-2, 1e-1]}, cv=cv, n_jobs=n_jobs, error_score="raise")
    with joblib.parallel_config("threading"):  # where the small limits hold, too
        search.fit(*pairs)
    folds = [rows for rows, _ in cv.split(np.zeros(900))]
    fitted = clone(npe).set_params(lr=1e-2).fit(*(table[folds[0]] for table in pairs))
    score = fitted.score(*(table[folds[1]] for table in pairs))
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(score, rel=1e-6)


def test_members_read_for_themselves(tmp_path):
    """Each of its own thread, and in any number at once."""
    pairs = memmaps(tmp_path, *pairs_of(900, 0))
    ensemble = Ensemble(NPE(PRIOR, **TINY), n_estimators=2, random_state=0)
    with joblib.parallel_config("threading"):
        draws = [
            clone(ensemble).set_params(n_jobs=n_jobs).fit(*pairs).sample(np.zeros(2), 10)
            for n_jobs in (1, 2)
        ]
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize("cv", [0.2, 2, KFold(2), "prefit"], ids=str)
def test_regions_are_calibrated(tmp_path, cv):
    """On rows of the sample: 80% regions hold 80% of new pairs, within four standard errors."""
    theta, x = memmaps(tmp_path, *pairs_of(N, 0))
    npe = NPE(PRIOR, **TINY | {"max_epochs": 4}, random_state=0)
    if cv == "prefit":
        npe.fit(*pairs_of(N, 2))
    calibrated = CalibratedPosterior(npe, cv=cv, n_samples=100, random_state=0).fit(theta, x)
    n_aside = len(calibrated.scores_)
    assert 300 < n_aside <= 1_500
    inside = calibrated.in_region(*pairs_of(500, 1), level=0.8).mean()
    assert abs(inside - 0.8) < 4 * np.sqrt(0.16 / 500 + 0.16 / n_aside) + 0.02


def test_values_are_known_from_every_row(tmp_path):
    """Of a discrete column with hundreds; too many are refused as in memory."""
    rng = np.random.default_rng(0)
    theta = rng.uniform(size=(4_000, 2))
    for rate, message in ((0.02, None), (0.0005, "at most 1,000 values")):
        x = np.column_stack([rng.geometric(rate, size=4_000), rng.normal(size=4_000)])
        nle = NLE([stats.uniform()] * 2, **TINY | {"max_epochs": 1}, x_discrete=[0], random_state=0)
        if message is None:
            nle.fit(*memmaps(tmp_path, theta, x.astype(float)))
            assert np.isfinite(nle.log_likelihood(theta, x)).all()
        else:
            with pytest.raises(ValueError, match=message):
                nle.fit(*memmaps(tmp_path, theta, x.astype(float)))


def test_weights_and_validation(tmp_path):
    """Rows of weight zero teach nothing; a splitter's rows and a user's own are held out."""
    theta, x = pairs_of(N, 0)
    weight = np.ones(N)
    theta[::2] += 3
    weight[::2] = 0
    given = memmaps(tmp_path, theta, x)
    fresh = pairs_of(500, 1)
    for fraction in (KFold(4, shuffle=True, random_state=0), pairs_of(200, 3), None):
        npe = NPE(PRIOR, **TINY | {"max_epochs": 16}, validation_fraction=fraction, random_state=0)
        npe.fit(*given, sample_weight=weight)
        assert ("valid_loss" in npe.history_) is (fraction is not None)
        assert npe.score(*fresh) > exact(*fresh).mean() - 0.25


def test_a_fit_goes_on(tmp_path):
    """From weights and scalings, with rows of the disk or of memory."""
    theta, x = pairs_of(N, 0)
    npe = NPE(PRIOR, **TINY, warm_start=True, random_state=0).fit(theta[:500], x[:500])
    before = npe.score(theta, x)
    npe.fit(*memmaps(tmp_path, theta, x))
    assert npe.score(theta, x) > before
    assert len(npe.history_) == 4


def test_a_fit_that_is_killed_goes_on(tmp_path, monkeypatch):
    """From its checkpoint, with the same bits; other rows are another fit."""
    monkeypatch.setattr("sksbi.training.checkpoint.SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr("sksbi.training.checkpoint.LARGEST_SHARE", 1e9)
    theta, x = pairs_of(1_000, 0)
    given = memmaps(tmp_path, theta, x)
    npe = NPE(PRIOR, **TINY | {"max_epochs": 4}, random_state=0)
    expected = clone(npe).fit(*given).score(theta, x)
    npe.set_params(checkpoint=tmp_path / "kept")
    epoch, begun = StreamedPairs.epoch, []

    def dies(self, *args, **options):
        begun.append(self)
        if len(begun) == 3:
            raise SystemExit
        return epoch(self, *args, **options)

    monkeypatch.setattr(StreamedPairs, "epoch", dies)
    with pytest.raises(SystemExit):
        clone(npe).fit(*given)
    assert clone(npe).fit(*given).score(theta, x) == expected
    assert len(begun) == 3 + 2
    theta[7] = 0
    clone(npe).fit(*memmaps(tmp_path, theta, x))
    assert len(begun) == 3 + 2 + 4


def test_trials_and_images(tmp_path):
    """Observations of more dimensions are read as they are."""
    theta, _ = pairs_of(1_000, 0)
    rng = np.random.default_rng(1)
    x = theta[:, None] + SD * rng.normal(size=(1_000, 4, 2))
    given = memmaps(tmp_path, theta, x)
    nre = NRE(PRIOR, x_trials=True, hidden_features=(16,), max_epochs=4, random_state=0).fit(*given)
    assert nre.predict_log_ratio(theta[:200], x[:200]).mean() > 0.5
    npe = NPE(PRIOR, **TINY | {"max_epochs": 5}, random_state=0).fit(*given)
    assert npe.log_prob(theta[:200], x[:200]).mean() > -2


def test_diagnose_takes_a_bounded_number(tmp_path, monkeypatch):
    """Of pairs on the disk."""
    monkeypatch.setattr("sksbi.diagnostics.diagnosis._MOST", 50)
    theta, x = pairs_of(400, 0)
    npe = NPE(PRIOR, **TINY, random_state=0).fit(theta, x)
    table, _ = diagnose(npe, *memmaps(tmp_path, theta, x), plot=False, n_samples=50)
    rows = np.sort(np.random.default_rng(0).choice(400, 50, replace=False, shuffle=False))
    expected, _ = diagnose(npe, theta[rows], x[rows], plot=False, n_samples=50)
    pd.testing.assert_frame_equal(table, expected)


def test_an_interrupted_epoch_leaves_no_thread(tmp_path):
    """Ctrl-C comes through, and the next fit is as ever."""

    class Stop:
        def __init__(self, array):
            self.array, self.left = array, 12
            self.shape, self.dtype = array.shape, array.dtype

        def __getitem__(self, rows):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return self.array[rows]

    theta, x = pairs_of(2_000, 0)
    with pytest.raises(KeyboardInterrupt):
        NPE(PRIOR, **TINY, random_state=0).fit(beside(theta, "theta"), Stop(x))
    assert not [t for t in threading.enumerate() if "sksbi-reader" in t.name]
