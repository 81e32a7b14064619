"""What diagnose says of exact posteriors, of wrong ones, and of the prior."""

import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from sksbi import NPE, ClassifierRatio, diagnose
from sksbi.diagnostics import results
from sksbi.diagnostics.figure import draw_checks
from sksbi.metrics import (
    HeldOutDraws,
    draw_held_out,
    hpd_ranks,
    misspecification_test,
    posterior_contraction,
    rank_ecdf,
    sbc_ranks,
    uniformity_test,
)
from sksbi.utils.random import draw_seed

CHECKS = ["coverage", "tarp", "ranks", "z_score", "contraction"]


def table_of(posterior, pairs, **options):
    """Run the checks without the figure."""
    return diagnose(posterior, *pairs, n_samples=400, plot=False, **options).table


class Ratio:
    """A posterior by a ratio, of which prior times ratio integrates to the same everywhere."""

    _estimates = "ratio"

    def __init__(self, posterior, log_z):
        self.posterior, self.log_z = posterior, log_z

    def __getattr__(self, name):
        return getattr(self.posterior, name)

    def log_evidence(self, x, random_state=None):
        return np.full(len(x), self.log_z)


@pytest.mark.parametrize(
    ("log_z", "verdict"),
    [
        (0.1, "prior times ratio integrates to 1.11 to 1.11"),
        (-0.7, "the ratio is far off: prior times ratio integrates to 0.50 to 0.50, and 1 is"),
        (np.nan, "not done: prior times ratio could not be integrated"),
    ],
)
def test_a_ratio_is_held_against_its_integral(make_posterior, pairs, log_z, verdict):
    table = table_of(Ratio(make_posterior(), log_z), pairs)
    assert table.loc[("normaliser", "all"), "verdict"].startswith(verdict)
    np.testing.assert_allclose(table.loc[("normaliser", "all"), "value"], abs(log_z))


def test_a_learnt_ratio_integrates_to_about_one():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(2_000, 1))
    x = theta + 0.5 * rng.normal(size=(2_000, 1))
    curve = make_pipeline(PolynomialFeatures(2), LogisticRegression())
    ratio = ClassifierRatio(curve, {"a": stats.norm(0, 1)}, random_state=0)
    table = table_of(ratio.fit(theta[:1_900], x[:1_900]), (theta[1_900:], x[1_900:]))
    assert table.loc[("normaliser", "all"), "value"] < 0.25


def verdicts(table, check):
    """List the verdicts of a check."""
    return table.loc[check, "verdict"].tolist()


def test_a_diagnosis_is_printed_with_its_verdicts_in_full(make_posterior, pairs):
    diagnosis = diagnose(make_posterior(0.5), *pairs, n_samples=100, plot=False)
    printed = str(diagnosis)
    assert all(verdict in printed for verdict in diagnosis.table["verdict"])
    assert "..." not in printed


def test_an_exact_posterior_passes(make_posterior, pairs):
    table = table_of(make_posterior(), pairs)
    assert list(dict.fromkeys(table.index.get_level_values("check"))) == CHECKS
    assert verdicts(table, "coverage")[0].startswith("no deviation found: 90% regions cover")
    for check in ("tarp", "ranks", "z_score"):
        assert set(verdicts(table, check)) == {"no deviation found"}
    # The posterior's variance is half of the prior's; that of 500 theta is known to 2 / 500.
    assert np.abs(table.loc["contraction", "value"] - 0.5).max() < 4 * 0.5 * np.sqrt(2 / 500)


def test_too_narrow_a_posterior_is_called_overconfident(make_posterior, pairs):
    table = table_of(make_posterior(width=0.67), pairs)
    assert verdicts(table, "coverage")[0].startswith("overconfident: 90% regions cover 6")
    assert all(v.startswith("overconfident: too narrow") for v in verdicts(table, "ranks"))
    covered = stats.chi2(2).cdf(stats.chi2(2).ppf(0.9) * 0.67**2)
    error = np.sqrt(covered * (1 - covered) / 500)
    assert abs(table.loc[("coverage", "all"), "value"] - covered) < 4 * error


def test_too_wide_a_posterior_is_called_conservative(make_posterior, pairs):
    table = table_of(make_posterior(width=1.5), pairs)
    assert verdicts(table, "coverage")[0].startswith("conservative: 90% regions cover 100 ± ")
    assert all(v.startswith("conservative: too wide") for v in verdicts(table, "ranks"))


@pytest.mark.parametrize(("shift", "side"), [(0.5, "high"), (-0.5, "low")])
def test_a_shifted_posterior_is_called_biased(make_posterior, pairs, shift, side):
    table = table_of(make_posterior(shift=shift), pairs)
    assert all(v.startswith(f"biased: too {side}") for v in verdicts(table, "ranks"))
    off = f"biased: means are off by {'+' if shift > 0 else '-'}0."
    assert all(v.startswith(off) for v in verdicts(table, "z_score"))
    assert np.abs(table.loc["z_score", "value"] - shift).max() < 4 / np.sqrt(500)


def test_the_prior_passes_but_for_its_contraction(make_posterior, pairs):
    table = table_of(make_posterior(is_prior=True), pairs)
    assert verdicts(table, "coverage")[0].startswith("no deviation found")
    for check in ("tarp", "ranks", "z_score"):
        assert set(verdicts(table, check)) == {"no deviation found"}
    assert all(v.startswith("hardly narrower than the") for v in verdicts(table, "contraction"))


def test_the_numbers_are_those_of_the_metrics(make_posterior, pairs):
    posterior = make_posterior(width=0.8)
    table = table_of(posterior, pairs, random_state=3)
    generator = np.random.default_rng(3)
    draw_seed(generator)
    held_out = draw_held_out(posterior, *pairs, 400, random_state=generator)
    ranks = hpd_ranks(held_out.log_prob_draws, held_out.log_prob_theta)
    assert table.loc[("coverage", "all"), "p_value"] == uniformity_test(ranks, 400)
    p_values = uniformity_test(sbc_ranks(held_out.draws, held_out.theta), 400)
    assert (table.loc["ranks", "p_value"] == p_values).all()
    contraction = np.median(posterior_contraction(held_out.draws, held_out.theta), axis=0)
    assert np.allclose(table.loc["contraction", "value"], contraction, rtol=1e-12)


def test_an_observation_is_tested_too(make_posterior, pairs):
    far, near = [9.0, -9.0], [0.1, 0.2]
    table = table_of(make_posterior(), pairs, x_observed=far)
    assert verdicts(table, "misspecification") == ["unlike the simulations: do not trust it"]
    table = table_of(make_posterior(), pairs, x_observed=[near, far])
    assert table.loc["misspecification"].index.tolist() == ["x_observed 0", "x_observed 1"]
    assert verdicts(table, "misspecification")[0] == "like the simulations"
    assert table.loc[("misspecification", "x_observed 1"), "p_value"] <= 1 / 250


def test_the_figure_has_every_check(make_posterior, pairs):
    before = mpl.rcParams.copy()
    table, figure = diagnose(make_posterior(), *pairs, [0.1, 0.2], n_samples=100)
    assert mpl.rcParams == before
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert labels.count("credible level") == 2
    assert {"fractional rank", "contraction"} < set(labels)
    assert len(figure.axes) == 5
    generator = np.random.default_rng(0)
    draw_seed(generator)
    held_out = draw_held_out(make_posterior(), *pairs, 100, random_state=generator)
    ranks = hpd_ranks(held_out.log_prob_draws, held_out.log_prob_theta)
    _, coverage = rank_ecdf(ranks, 100)
    curves = [line.get_ydata() for ax in figure.axes for line in ax.lines]
    assert any(len(y) == len(coverage) and np.array_equal(y, coverage) for y in curves)
    mpl.pyplot.close(figure)


@pytest.mark.parametrize("plot", [False, True])
def test_every_number_is_computed_once(make_posterior, pairs, monkeypatch, plot):
    calls = []
    for name in ("hpd_ranks", "sbc_ranks", "tarp_ranks", "posterior_z_score", "rank_curve"):
        original = getattr(results, name)

        def watched(*arguments, _name=name, _original=original, **options):
            calls.append(_name)
            return _original(*arguments, **options)

        monkeypatch.setattr(results, name, watched)
    diagnose(make_posterior(), *pairs, n_samples=50, plot=plot)
    once = ["hpd_ranks", "posterior_z_score", *3 * ["rank_curve"], "sbc_ranks", "tarp_ranks"]
    assert sorted(calls) == once
    mpl.pyplot.close("all")


@pytest.mark.parametrize(
    "names",
    [
        [f"theta_{j}" for j in range(30)],
        ["a name that nobody would call short, least of all on paper", "mass / kg"],
    ],
)
def test_the_figure_has_room_for_many_and_for_long_names(names):
    rng = np.random.default_rng(0)
    theta, log_prob = rng.normal(size=(40, len(names))), rng.normal(size=(40, 31))
    draws = rng.normal(size=(40, 30, len(names)))
    held_out = HeldOutDraws(theta, draws, log_prob[:, 0], log_prob[:, 1:], names)
    figure = draw_checks(results.HeldOutChecks(held_out, 0), None)
    figure.canvas.draw()
    boxes = [ax.get_window_extent() for ax in figure.axes]
    legends = [ax.get_legend().get_window_extent() for ax in figure.axes]
    assert all(box.width > 0.2 * figure.bbox.width for box in boxes)
    assert all(legend.y0 >= box.y1 for box, legend in zip(boxes, legends, strict=True))
    written = [text for ax in figure.axes for text in ax.get_legend().get_texts()]
    ends = np.array([text.get_window_extent().extents for text in written])
    assert ends.min() >= 0
    assert np.all(ends[:, 2:] <= figure.bbox.extents[2:])
    mpl.pyplot.close(figure)


def test_names_come_from_the_tables():
    rng = np.random.default_rng(0)
    theta = pd.DataFrame({"mass": rng.normal(size=200)})
    x = theta.to_numpy() + rng.normal(size=(200, 1))
    npe = NPE(flow="maf", max_epochs=2, random_state=0).fit(theta[:150], x[:150])
    table = diagnose(npe, theta[150:], x[150:], n_samples=50, plot=False).table
    assert table.loc["ranks"].index.tolist() == ["mass"]


def test_seeds_repeat(make_posterior, pairs):
    first, second = (table_of(make_posterior(), pairs, x_observed=[1.0, 1.0]) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_without_matplotlib_it_fails_before_it_draws(make_posterior, pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    posterior = make_posterior()
    monkeypatch.setattr(posterior, "sample", None)
    with pytest.raises(ImportError, match=r"sksbi\[plot\]"):
        diagnose(posterior, *pairs)


def test_what_cannot_draw_is_refused(pairs):
    with pytest.raises(TypeError, match="best_estimator_"):
        diagnose(object(), *pairs, plot=False)


def test_exact_posteriors_are_rarely_called_wrong(make_posterior):
    """In every check the share of false alarms is at most 5%, here of 60 repetitions."""
    alarms = {"coverage": 0, "tarp": 0, "ranks": 0, "z_score": 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=(150, 2))
        table = table_of(make_posterior(), (theta, theta + rng.normal(size=(150, 2))))
        for check in alarms:
            alarms[check] += not all(v.startswith("no deviation") for v in verdicts(table, check))
    # Six or fewer of 60 with probability 0.96 at 5%; nine or fewer 0.9993.
    assert max(alarms.values()) <= 9


def test_misspecification_is_that_of_the_metrics(make_posterior, pairs):
    table = table_of(make_posterior(), pairs, x_observed=[2.0, -2.0], random_state=1)
    p_values = [misspecification_test(pairs[1], [2.0, -2.0], random_state=s) for s in range(20)]
    found = table.loc[("misspecification", "x_observed"), "p_value"]
    assert min(p_values) / 2 < found < 2 * max(p_values)


def test_the_prior_is_nearly_always_found(make_posterior):
    """The verdict allows for what 200 theta say of the prior's variance."""
    missed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        theta = rng.normal(size=(200, 2))
        pairs = theta, theta + rng.normal(size=(200, 2))
        table = diagnose(make_posterior(is_prior=True), *pairs, n_samples=50, plot=False).table
        missed += sum(not v.startswith("hardly narrower") for v in verdicts(table, "contraction"))
    # 0.05 / sqrt(2 / 200) + 2 standard errors, 2.5: of 80 parameters 0.5 are missed on average.
    assert missed <= 4


class Skewed:
    """The exact posterior of theta = exp(3 z), z ~ N(0, 1), x = 3 z + N(0, 1): skewed."""

    def sample(self, x, n_samples=1000, *, random_state=None):
        noise = np.random.default_rng(random_state).normal(size=(len(x), n_samples, 1))
        return np.exp(0.9 * x[:, None] + 3 * np.sqrt(0.1) * noise)

    def log_prob(self, theta, x):
        mean = 0.9 * x[:, None, 0] if np.ndim(theta) == 3 else 0.9 * x[:, 0]
        z = (np.log(theta[..., 0]) - mean) / (3 * np.sqrt(0.1))
        return -0.5 * z**2 - np.log(theta[..., 0])


def test_skewed_posteriors_that_are_exact_pass():
    alarms = {"z_score": 0, "contraction": 0}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        log_theta = 3 * rng.normal(size=(100, 1))
        x = log_theta + rng.normal(size=(100, 1))
        table = diagnose(Skewed(), np.exp(log_theta), x, n_samples=200, plot=False).table
        alarms["z_score"] += verdicts(table, "z_score") != ["no deviation found"]
        alarms["contraction"] += verdicts(table, "contraction")[0].startswith("hardly")
    assert alarms["z_score"] <= 9  # of 60 at 5%, exceeded with probability 0.0007
    assert alarms["contraction"] == 0


class WithGaps:
    """The exact posterior of theta ~ N(0, 1) given theta + N(0, 1) measured, NaN now and then."""

    def sample(self, x, n_samples=1000, *, random_state=None):
        x = np.asarray(x, dtype=float)
        n_seen = np.count_nonzero(~np.isnan(x), axis=-1, keepdims=True)
        noise = np.random.default_rng(random_state).normal(size=(*x.shape[:-1], n_samples, 1))
        mean = np.nansum(x, axis=-1, keepdims=True) / (n_seen + 1)
        return mean[..., None] + noise / np.sqrt(n_seen + 1)[..., None]

    def log_prob(self, theta, x):
        n_seen = np.count_nonzero(~np.isnan(x), axis=-1)
        mean = np.nansum(x, axis=-1) / (n_seen + 1)
        shape = (-1, 1) if np.ndim(theta) == 3 else (-1,)
        mean, precision = np.reshape(mean, shape), np.reshape(n_seen + 1, shape)
        return -0.5 * precision * (theta[..., 0] - mean) ** 2 + 0.5 * np.log(precision)


def pairs_with_gaps(n=300, missing=True):
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(n, 1))
    x = theta + rng.normal(size=(n, 3))
    if missing:
        x[np.arange(n), rng.integers(0, 3, n)] = np.nan
    return theta, x


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        ([0.1, np.nan, 0.2], "x_observed holds NaN"),
        ([[0.1, 0.3, 0.2], [0.1, np.nan, 0.2]], "x_observed holds NaN"),
        (pd.Series([0.1, pd.NA, 0.2]), "x_observed holds NaN"),
        ([0.1, 0.3, 0.2], "x holds NaN"),
    ],
)
def test_what_gaps_hinder_is_not_done_and_all_else_is(missing, observed, reason):
    table = table_of(WithGapsOfNA(), pairs_with_gaps(missing=missing), x_observed=observed)
    (verdict,) = verdicts(table, "misspecification")
    if not missing and reason == "x holds NaN":
        assert verdict == "like the simulations"
        return
    assert verdict == f"not done: {reason}"
    assert table.loc["misspecification"].isna().to_numpy().sum() == 2
    assert verdicts(table, "coverage")[0].startswith("no deviation found: 90% regions cover")
    for check in ("tarp", "ranks", "z_score"):
        assert verdicts(table, check) == ["no deviation found"]
    # Of three measurements, or two where one is missing, the contraction is 3 / 4 or 2 / 3.
    exact = 2 / 3 if missing else 3 / 4
    error = (1 - exact) * np.sqrt(2 / 300)
    assert abs(table.loc[("contraction", "theta_0"), "value"] - exact) < 4 * error


class WithGapsOfNA(WithGaps):
    """Take pandas' NA, too."""

    def sample(self, x, n_samples=1000, *, random_state=None):
        x = pd.to_numeric(x) if isinstance(x, pd.Series) else x
        return super().sample(x, n_samples, random_state=random_state)


class WithConstant:
    """The exact posterior of theta ~ N(0, 1), and beside it a draw or no draw of another one."""

    def __init__(self, make_posterior, sd):
        self.exact, self.sd = make_posterior(), sd

    def sample(self, x, n_samples=1000, *, random_state=None):
        draws = self.exact.sample(x, n_samples, random_state=random_state)
        noise = np.random.default_rng(1).normal(size=(len(draws), n_samples, 1))
        return np.concatenate([draws, 3.0 + self.sd * noise], axis=2)

    def log_prob(self, theta, x):
        return self.exact.log_prob(theta[..., :2], x)


@pytest.mark.parametrize("sd", [0.0, 0.1])
def test_of_a_constant_parameter_little_is_told_and_of_all_others_everything(
    make_posterior, pairs, sd
):
    theta, x = pairs
    with_constant = np.c_[theta, np.full(len(theta), 3.0)]
    table, figure = diagnose(WithConstant(make_posterior, sd), with_constant, x, n_samples=400)
    mpl.pyplot.close(figure)
    alone = table_of(make_posterior(), pairs)
    for check in ("ranks", "z_score", "contraction"):
        constant = table.loc[(check, "theta_2")]
        assert constant["verdict"] == "not done: theta is constant in these pairs"
        assert constant.isna()["value"]
    others = ~table.index.get_level_values("of").isin(["theta_2"])
    pd.testing.assert_frame_equal(
        table.loc[others, ["value", "p_value"]], alone[["value", "p_value"]], rtol=1e-12
    )
    verdict = table.loc[("coverage", "all"), "verdict"]
    assert verdict.endswith("but theta_2 is constant in these pairs, no draw from the prior")


def test_where_no_parameter_varies_it_says_so(make_posterior, pairs):
    theta, x = np.zeros((500, 2)), pairs[1]
    table, figure = diagnose(make_posterior(), theta, x, x[0], n_samples=50)
    undone = table.loc[["tarp", "ranks", "z_score", "contraction"], "verdict"]
    assert set(undone) == {"not done: theta is constant in these pairs"}
    assert len(undone) == 7
    assert table.loc[("misspecification", "x_observed"), "p_value"] > 0
    mpl.pyplot.close(figure)


class Stuck:
    """Give the prior's mean for every draw at some x."""

    def sample(self, x, n_samples=1000, *, random_state=None):
        draws = np.random.default_rng(random_state).normal(size=(len(x), n_samples, 1))
        return np.where(x[:, None] > 1, 0.0, draws)

    def log_prob(self, theta, x):
        flat = x[:, 0] > 1
        flat = flat[:, None] if np.ndim(theta) == 3 else flat
        return np.where(flat, np.nan, -0.5 * theta[..., 0] ** 2)


def test_draws_that_are_all_equal_have_no_z_score():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(100, 1))
    x = theta + rng.normal(size=(100, 1))
    table = diagnose(Stuck(), theta, x, n_samples=20, plot=False).table
    n = np.count_nonzero(x > 1)
    assert verdicts(table, "z_score") == [f"not done: all draws are equal for {n} of 100 x"]
    assert verdicts(table, "coverage") == ["not done: log_prob is NaN or infinite"]
    assert table.loc[("tarp", "all"), "p_value"] > 0
    assert table.loc[("ranks", "theta_0"), "p_value"] > 0


@pytest.mark.parametrize("n", [10, 19])
def test_of_few_pairs_the_rest_is_told(make_posterior, pairs, n):
    few = pairs[0][:n], pairs[1][:n]
    table = table_of(AnyForm(make_posterior), few, x_observed=[0.1, 0.2])
    assert verdicts(table, "misspecification") == ["not done: x has fewer than 20 rows"]
    assert not table["value"].drop("misspecification", level="check").isna().any()


class AnyForm:
    """Take one observation, too."""

    def __init__(self, make_posterior):
        self.posterior = make_posterior()
        self.log_prob = self.posterior.log_prob

    def sample(self, x, n_samples=1000, *, random_state=None):
        return self.posterior.sample(np.atleast_2d(x), n_samples, random_state=random_state)


def test_categories_that_the_estimator_takes_are_no_hindrance():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(300, 1))
    kind = pd.Categorical(np.where(theta[:, 0] + rng.normal(size=300) > 0, "up", "down"))
    x = pd.DataFrame({"size": theta[:, 0] + rng.normal(size=300), "kind": kind})
    prior = {"mean": stats.norm(0, 1)}
    ratio = ClassifierRatio(prior=prior, calibration=None, random_state=0).fit(theta, x)
    table = diagnose(ratio, theta[:30], x[:30], x.iloc[0], n_samples=50, plot=False).table
    assert verdicts(table, "misspecification") == ["not done: x_observed holds what is no number"]
    assert not table["value"].drop("misspecification", level="check").isna().any()


def test_an_observation_that_the_estimator_does_not_take_is_refused():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(60, 1))
    x = theta + rng.normal(size=(60, 2))
    npe = NPE(flow="maf", max_epochs=1, random_state=0).fit(theta, x)
    with pytest.raises(ValueError, match=r"x_observed must be finite.*holds NaN.*contains NaN"):
        diagnose(npe, theta, x, [0.0, np.nan], n_samples=20, plot=False)


def test_panels_have_titles_above_their_legends(make_posterior, pairs):
    figure = diagnose(make_posterior(), *pairs, [0.1, 0.2], n_samples=50).figure
    figure.canvas.draw()
    titles = [ax.get_title("left") for ax in figure.axes]
    assert len(set(titles)) == 5
    assert all(titles)
    for ax in figure.axes:
        top = ax.get_legend().get_window_extent().y1
        assert ax._left_title.get_window_extent().y0 >= top - 1
    mpl.pyplot.close(figure)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"theta": np.zeros((4, 2)), "x": np.zeros((4, 2))}, "at least 10 rows.*got 4 and 1000"),
        ({"n_samples": 3}, "n_samples be at least 10, got 500 and 3"),
        ({"x_observed": [0.0, 1.0, 2.0]}, "x_observed must have the shape"),
        ({"x_observed": [0.0, np.nan]}, "x_observed must be finite, got one that holds NaN"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(
    make_posterior, pairs, monkeypatch, change, match
):
    posterior = make_posterior()
    monkeypatch.setattr(posterior, "sample", None)
    arguments = {"theta": pairs[0], "x": pairs[1]} | change
    with pytest.raises(ValueError, match=match):
        diagnose(posterior, plot=False, **arguments)


def test_far_beyond_few_pairs_is_not_called_like_them(make_posterior, pairs):
    """Of 100 pairs half are compared with: a p-value of 1 / 51 is the least there is."""
    few = [part[:100] for part in pairs]
    table = table_of(make_posterior(), few, x_observed=[1e6, -1e6])
    verdict = table.loc[("misspecification", "x_observed"), "verdict"]
    assert verdict.startswith("further than any of 50 simulations, which are too few to tell")
    table = table_of(make_posterior(), few, x_observed=few[1][0])
    assert table.loc[("misspecification", "x_observed"), "verdict"] == "like the simulations"
