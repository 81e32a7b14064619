"""Pipelines that end in a likelihood: densities in the units of x, draws in these, and trials."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline as stock_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)

from sksbi import NLE, NRE, CalibratedPosterior, Ensemble
from sksbi.metrics import draw_held_out
from sksbi.pipeline import make_pipeline

PRIOR = {"mean": stats.norm(0, 1)}
COLUMNS = ["a", "b", "c"]
TINY = {"transforms": 1, "hidden_features": (8,), "max_epochs": 3}
NLE_ = NLE(PRIOR, flow="maf", random_state=0, **TINY)
NRE_ = NRE(PRIOR, hidden_features=(8,), max_epochs=3, random_state=0)
Tables = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def pairs() -> Tables:
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"mean": rng.normal(size=300)})
    x = theta.to_numpy() + rng.normal(size=(300, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 2]])
    return theta, pd.DataFrame(100 * x + 7, columns=COLUMNS)


STEPS = {
    "scaler": [StandardScaler()],
    "rotation and powers": [PCA(whiten=True), PowerTransformer()],
    "pipeline among them": ["passthrough", stock_pipeline(MinMaxScaler(), PCA()), StandardScaler()],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("tables", [True, False])
def test_the_likelihood_is_in_the_units_of_x(pairs: Tables, steps: list, tables: bool) -> None:
    """It is the last step's times the determinant of the steps, by central differences."""
    theta, x = pairs if tables else (pairs[0].to_numpy(), pairs[1].to_numpy())
    pipe = make_pipeline(*steps, NLE_).fit(theta, x)
    some, points = x[:5], np.asarray(x)[:5]
    transform = pipe[:-1].transform

    def moved(sign: float, j: int) -> np.ndarray:
        there = points + sign * 1e-3 * np.eye(3)[j]
        return transform(pd.DataFrame(there, columns=COLUMNS) if tables else there)

    columns = [(moved(1, j) - moved(-1, j)) / 2e-3 for j in range(3)]
    ladj = np.linalg.slogdet(np.stack(columns, axis=2))[1]
    own = pipe[-1].log_likelihood(theta[:5], transform(some))
    np.testing.assert_allclose(pipe.log_likelihood(theta[:5], some), own + ladj, atol=1e-5)
    one = some.iloc[0] if tables else some[0]
    cube = pipe.log_likelihood(np.asarray(theta)[:6].reshape(2, 3, 1), points[:2])
    np.testing.assert_allclose(cube[0], pipe.log_likelihood(theta[:3], one), atol=1e-5)
    np.testing.assert_allclose(
        pipe.log_likelihood(theta[:2], some, iid=True),
        sum(pipe.log_likelihood(theta[:2], row) for row in points),
        atol=1e-4,
    )


def test_the_density_of_x_integrates_to_one(pairs: Tables) -> None:
    theta, x = pairs
    pipe = make_pipeline(PowerTransformer(), NLE_).fit(theta, x[["c"]])
    grid = np.linspace(-4_000, 4_000, 40_001)
    density = np.exp(pipe.log_likelihood(np.full((len(grid), 1), 0.5), grid[:, None]))
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_score_is_the_mean_likelihood(pairs: Tables, weighted: bool) -> None:
    """In the units of x; failing has a probability, too."""
    theta, x = pairs[0], pairs[1].copy()
    x.iloc[3] = np.nan
    weights = np.arange(300.0) if weighted else None
    pipe = make_pipeline(PCA(whiten=True), NLE_).fit(theta, x)
    kept = np.arange(300) != 3
    each = pipe.log_likelihood(theta[kept], x[kept])
    fails = np.log(-np.expm1(pipe[-1]._posterior().factor.log_mass(theta.to_numpy()[[3]])))
    expected = np.average(np.insert(each, 3, fails), weights=weights)
    assert pipe.score(theta, x, sample_weight=weights) == pytest.approx(expected, abs=1e-5)


def mixed(x: pd.DataFrame) -> pd.DataFrame:
    """Make the last column a choice."""
    return x.assign(c=(x["c"] > 7).astype(float))


def counted(x: pd.DataFrame) -> pd.DataFrame:
    """Make whole numbers of a column."""
    return x.assign(c=x["c"].round())


REFUSED: dict[str, tuple[list, Callable, str]] = {
    "fewer columns": ([PCA(2)], pd.DataFrame, r"'pca', PCA\(n_comp.* x_transformer"),
    "unknown": (
        [StandardScaler(), QuantileTransformer(n_quantiles=10)],
        pd.DataFrame,
        "'quantiletransformer', Quantile.* x_transformer",
    ),
    "in a pipeline": (
        [stock_pipeline(FunctionTransformer(np.arcsinh))],
        pd.DataFrame,
        "'pipeline__functiontransformer', Func.* x_transformer",
    ),
    "discrete": ([StandardScaler()], mixed, r"\['standardscaler'\].*discrete.* x_transformer"),
    "counts": (
        [MinMaxScaler((0, 1000)), FunctionTransformer(np.round)],
        counted,
        r"discrete or counts.* x_transformer",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_no_likelihood_where_there_is_no_jacobian(pairs: Tables, case: tuple) -> None:
    """Nor a score: it would be in units of the last step's own."""
    steps, change, message = case
    theta, x = pairs[0], change(pairs[1])
    pipe = make_pipeline(*steps, NLE_).fit(theta, x)
    with pytest.raises(TypeError, match=message):
        pipe.log_likelihood(theta, x)
    transformed = pipe[:-1].transform(x)
    with pytest.raises(TypeError, match="log_likelihood and score of a Pipeline"):
        pipe.score(theta, x)
    assert np.isfinite(pipe[-1].log_likelihood(theta, transformed)).all()


def test_without_steps_discrete_columns_are_no_matter(pairs: Tables) -> None:
    theta, x = pairs[0], mixed(pairs[1])
    pipe = make_pipeline("passthrough", NLE_).fit(theta, x)
    np.testing.assert_array_equal(pipe.log_likelihood(theta, x), pipe[-1].log_likelihood(theta, x))


def test_only_likelihoods_have_likelihoods() -> None:
    for name in ("log_likelihood", "emulate"):
        assert not hasattr(make_pipeline(StandardScaler(), NRE_), name)
        assert not hasattr(make_pipeline(StandardScaler(), Ensemble(NRE_)), name)
        assert hasattr(make_pipeline(StandardScaler(), Ensemble(NLE_)), name)
        assert hasattr(make_pipeline(StandardScaler(), CalibratedPosterior(NLE_)), name)


# scikit-learn 1.6 tries powers that overflow, and asks for names on the way back.
@pytest.mark.filterwarnings("ignore:overflow encountered in multiply:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
def test_emulated_observations_are_in_the_units_of_x(pairs: Tables) -> None:
    """Of one theta, and of several, as fit's table; means by the likelihood, on a grid."""
    theta, x = pairs[0], pairs[1][["a"]].astype(np.float32)
    pipe = make_pipeline(PowerTransformer(), StandardScaler(), NLE_).fit(theta, x)
    draws = pipe.emulate({"mean": 0.5}, 4_000)
    assert list(draws.columns) == ["a"]
    assert draws["a"].dtype == np.float32
    grid = np.linspace(-2_000, 2_000, 20_001)
    weight = np.exp(pipe.log_likelihood(np.full((len(grid), 1), 0.5), grid[:, None]))
    mean = np.average(grid, weights=weight)
    error = np.sqrt(np.average((grid - mean) ** 2, weights=weight) / 4_000)
    assert abs(draws["a"].mean() - mean) < 4 * error
    asked = theta.iloc[[7, 3]]
    batch = pipe.emulate(asked, 5, random_state=1)
    assert batch.index.names == ["theta", "draw"]
    assert batch.index.unique("theta").tolist() == [7, 3]
    own = pipe[-1].emulate(asked, 5, random_state=1)
    expected = pipe[:-1].inverse_transform(own.reshape(10, 1)).astype(np.float32)
    np.testing.assert_array_equal(batch.to_numpy(), expected)
    arrays = make_pipeline(StandardScaler(), NLE_).fit(theta, x.to_numpy())
    assert arrays.emulate(asked, 5).shape == (2, 5, 1)
    assert arrays.emulate([0.5], 5).shape == (5, 1)


def test_steps_without_a_way_back_are_named(pairs: Tables) -> None:
    theta, x = pairs
    pipe = make_pipeline(StandardScaler(), OneWay(), NLE_).fit(theta, x)
    with pytest.raises(TypeError, match=r"'oneway', OneWay\(\), has no inverse_transform"):
        pipe.emulate([0.5])


class OneWay(StandardScaler):
    """A transformer without inverse_transform."""

    @property
    def inverse_transform(self) -> object:
        raise AttributeError("inverse_transform")


@pytest.fixture(scope="module")
def trials(pairs: Tables) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(1)
    theta = pairs[0][:150]
    x = theta.to_numpy()[:, None] + rng.normal(size=(150, 4, 2))
    return theta, 100 * x + 7


def as_table(x: np.ndarray) -> pd.DataFrame:
    """Make a table of trials."""
    index = pd.MultiIndex.from_product([range(len(x)), range(x.shape[1])], names=["run", "trial"])
    return pd.DataFrame(x.reshape(-1, x.shape[2]), index=index, columns=["a", "b"])


@pytest.mark.parametrize(
    "final",
    [
        NLE_,
        NRE_,
        pytest.param(Ensemble(NLE_, n_estimators=2, random_state=0), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("tables", [True, False])
def test_trials_are_transformed_one_by_one(final: NLE, trials: tuple, tables: bool) -> None:
    """As if scaled by hand before; the steps learn from every trial."""
    theta, x = trials
    name = "estimator__x_trials" if isinstance(final, Ensemble) else "x_trials"
    final = clone(final).set_params(**{name: True})
    scaler = StandardScaler().fit(x.reshape(-1, 2))
    scaled = scaler.transform(x.reshape(-1, 2)).reshape(x.shape)
    given = as_table(x) if tables else x
    pipe, plain = make_pipeline(StandardScaler(), final).fit(theta, given), clone(final)
    plain.fit(theta, scaled)
    own = plain.log_prob(theta, scaled)
    np.testing.assert_allclose(pipe.log_prob(theta, given), own, rtol=1e-12)
    for asked, by_hand in (
        (x[0], scaled[0]),
        (x[:2, :3], scaled[:2, :3]),
        (x[0, :1], scaled[0, :1]),
    ):
        pd.testing.assert_frame_equal(pipe.sample(asked, 5), plain.sample(by_hand, 5))
    if tables:
        assert pipe.sample(given[:8], 2).index.unique("observation").tolist() == [0, 1]
    ladj = 4 * np.log(scaler.scale_).sum()
    own = plain.score(theta, scaled)
    if hasattr(plain, "log_likelihood"):
        expected = plain.log_likelihood(theta, scaled) - ladj
        np.testing.assert_allclose(pipe.log_likelihood(theta, given), expected, atol=1e-4)
        own -= ladj
    assert pipe.score(theta, given) == pytest.approx(own, abs=1e-4)
    held_out = draw_held_out(pipe, theta[:9], as_table(x[:9]) if tables else x[:9], 5)
    assert held_out.draws.shape == (9, 5, 1)


def test_failed_simulations_of_trials_go_around_the_steps(trials: tuple) -> None:
    """The steps do not see them, nor does the held-out pair make them count."""
    theta, x = trials[0], trials[1].copy()
    x[::10] = np.nan
    kept = ~np.isnan(x[:, 0, 0])
    final = clone(NLE_).set_params(x_trials=True, validation_fraction=(theta, x), max_epochs=1)
    pipe = make_pipeline(StandardScaler(), final).fit(theta, x)
    np.testing.assert_allclose(pipe[0].mean_, x[kept].reshape(-1, 2).mean(axis=0))
    assert np.isfinite(pipe.history_["valid_loss"]).all()
    log_mass = pipe[-1]._posterior().factor.log_mass(theta[~kept])  # of a trial, of so many
    fails = np.log(-np.expm1(x.shape[1] * log_mass)).sum()
    expected = (pipe.score(theta[kept], x[kept]) * kept.sum() + fails) / len(kept)
    assert pipe.score(theta, x) == pytest.approx(expected, abs=1e-5)
    x[1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN in trial 2 of row 1|NaN"):
        pipe.fit(theta, x)


def test_trials_of_another_shape_are_refused(trials: tuple) -> None:
    theta, x = trials
    pipe = make_pipeline(StandardScaler(), clone(NLE_).set_params(x_trials=True)).fit(theta, x)
    with pytest.raises(ValueError, match=r"x_trials=True.*\(trials, 2\).*\(m, trials, 2\)"):
        pipe.sample(x[0, 0], 3)
    with pytest.raises(ValueError, match=r"x_trials=True must have shape \(n, trials\)"):
        clone(pipe).fit(theta, x[:, 0, 0])
    with pytest.raises(ValueError, match="x_trials=True as a table must have the trial"):
        clone(pipe).fit(theta, pd.DataFrame(x[:, 0]))
