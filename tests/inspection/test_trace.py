"""The plot of Markov chains: traces, ranks among all chains, and how well they agree."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy import stats
from scipy.integrate import trapezoid

from sksbi import NPE, NRE
from sksbi.inspection import PosteriorDisplay, TraceDisplay
from sksbi.metrics import effective_sample_size, split_r_hat
from sksbi.samplers import MetropolisHastings


def make_chains(n_chains=4, n_steps=300, d=2):
    return np.random.default_rng(0).normal(size=(n_chains, n_steps, d))


def test_the_traces_are_the_chains():
    chains = make_chains()
    display = TraceDisplay.from_chains(chains)
    for j, traces in enumerate(display.traces_):
        for k, line in enumerate(traces):
            np.testing.assert_array_equal(line.get_data(), [np.arange(300), chains[k, :, j]])
        assert len({line.get_linestyle() for line in traces}) == 4
    assert display.axes_[0, 0].get_xlim() == (0, 299)


def test_long_chains_are_thinned_for_the_trace_only():
    chains = make_chains(2, 5000, 1)
    display = TraceDisplay.from_chains(chains)
    steps, values = display.traces_[0][0].get_data()
    np.testing.assert_array_equal(steps, np.arange(0, 5000, 3))
    np.testing.assert_array_equal(values, chains[0, ::3, 0])
    assert display.ranks.shape == chains.shape


def test_ranks_are_counted_among_all_chains():
    chains = make_chains(5, 40, 1)
    display = TraceDisplay.from_chains(chains, max_chains=2)
    assert display.numbers.tolist() == [0, 4]
    for k, drawn in zip((0, 4), display.distributions_[0], strict=True):
        ranks = (chains[k] > chains[:, :, 0].reshape(-1)).sum(axis=1)
        np.testing.assert_allclose(display.ranks[k // 4, :, 0], (ranks + 0.5) / 200)
        height, edges, _ = drawn.get_data()
        expected, _ = np.histogram((ranks + 0.5) / 200, edges, density=True)
        np.testing.assert_array_equal(height, expected)


def test_a_chain_that_stands_apart_has_other_ranks():
    chains = make_chains()
    chains[2, :, 0] += 50
    apart, fine = TraceDisplay.from_chains(chains).distributions_
    height = apart[2].get_data().values
    np.testing.assert_allclose(height, [0] * 15 + [4] * 5)
    assert all(drawn.get_data().values.max() < 2.5 for drawn in fine)


@pytest.mark.parametrize("constant", [False, True])
def test_densities_integrate_to_one_and_share_the_traces_axis(constant):
    chains = make_chains(2, 1000, 1)
    chains[1] = 0.5 if constant else chains[1]
    display = TraceDisplay.from_chains(chains, kind="density")
    for line in display.distributions_[0]:
        height, y = line.get_data()
        assert trapezoid(height, y) == pytest.approx(1, abs=0.02)
    left, right = display.axes_[0]
    assert left.get_ylim() == right.get_ylim()
    display.figure_.canvas.draw()


def test_the_titles_say_how_well_all_chains_agree():
    chains = make_chains(8)
    chains[1, :, 1] += 3
    display = TraceDisplay.from_chains(chains, max_chains=1)
    expected = [
        f"R-hat {r:.2f}, ESS {e:,.0f}"
        for r, e in zip(split_r_hat(chains), effective_sample_size(chains), strict=True)
    ]
    assert [ax.get_title() for ax in display.axes_[:, 1]] == expected


@pytest.mark.parametrize("kind", ["ranks", "density"])
def test_what_is_not_defined_is_left_out(kind):
    chains = make_chains()
    chains[..., 1] = 7.0
    display = TraceDisplay.from_chains(chains, kind=kind)
    display.figure_.canvas.draw()
    assert display.axes_[1, 1].get_title() == ""
    bare = TraceDisplay(display.chains, display.ranks, display.numbers, ["a", "b"]).plot()
    assert bare.axes_[0, 1].get_title() == ""


def test_names_and_labels(legend_texts):
    display = TraceDisplay.from_chains(make_chains(7), names=["mass", r"$\alpha$"])
    axes = display.axes_
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["mass", r"$\alpha$"]
    assert [ax.get_xlabel() for ax in axes[-1]] == ["step", "fractional rank"]
    assert [ax.get_xlabel() for ax in axes[0]] == ["", ""]
    assert legend_texts(axes[0, 0]) == ["chain 0", "chain 2", "chain 4", "chain 6"]
    density = TraceDisplay.from_chains(make_chains(), kind="density").axes_
    assert [ax.get_ylabel() for ax in density[:, 0]] == ["theta_0", "theta_1"]
    assert density[-1, 1].get_xlabel() == "density"


def test_factors_of_the_ticks_are_in_the_labels():
    display = TraceDisplay.from_chains(1e-9 * make_chains(d=1))
    assert display.axes_[0, 0].get_ylabel() == "theta_0\n/ 1e\N{MINUS SIGN}9"


@pytest.mark.parametrize("subfigure", [False, True])
def test_a_given_figure_is_drawn_into(subfigure):
    fig = plt.figure()
    target = fig.subfigures(1, 2)[1] if subfigure else fig
    display = TraceDisplay.from_chains(make_chains(), fig=target)
    assert display.figure_ is target
    assert plt.get_fignums() == [fig.number]
    fig.canvas.draw()
    with pytest.raises(ValueError, match="fig must be empty, got a figure with 4 axes"):
        display.plot(fig=target)


@pytest.mark.parametrize(
    ("chains", "options", "error", "match"),
    [
        (np.zeros((4, 9)), {}, ValueError, r"chains must have shape .* got \(4, 9\)"),
        (np.zeros((4, 1, 2)), {}, ValueError, r"n_steps at least 2, got \(4, 1, 2\)"),
        (np.zeros((0, 9, 2)), {}, ValueError, r"chains must have shape .* got \(0, 9, 2\)"),
        (np.full((1, 3, 1), np.nan), {}, ValueError, r"got nan at \(0, 0, 0\)"),
        ([[["a"], ["b"]]], {}, TypeError, "chains must hold real numbers.*'a'"),
        (make_chains(), {"names": ["a"]}, ValueError, r"names must be 2 distinct .* \['a'\]"),
        (make_chains(), {"max_chains": 0}, ValueError, "max_chains must be an int >= 1, got 0"),
        (make_chains(), {"kind": "hist"}, ValueError, "kind must be .* got 'hist'"),
        (make_chains(), {"fig": 3}, TypeError, "fig must be a matplotlib Figure .*got 3"),
    ],
)
def test_bad_input_is_refused(chains, options, error, match):
    with pytest.raises(error, match=match):
        TraceDisplay.from_chains(chains, **options)


def test_an_estimator_runs_its_chains():
    rng = np.random.default_rng(0)
    prior = {"mean": stats.norm(0, 1)}
    theta = pd.DataFrame({"mean": rng.normal(size=200)})
    x = theta.to_numpy() + rng.normal(size=(200, 1))
    sampler = MetropolisHastings(n_chains=6, n_warmup=20, thin=1)
    nre = NRE(prior, hidden_features=(8,), max_epochs=2, sampler=sampler, random_state=0)
    nre.fit(theta, x)
    display = TraceDisplay.from_estimator(nre, x[0], n_samples=300, random_state=1)
    chains = nre.sample_chains(x[0], 300, random_state=1)
    assert display.names == ["mean"]
    assert len(display.traces_[0]) == 4
    drawn = [line.get_ydata() for line in display.traces_[0]]
    assert all((chains[:, :, 0] == y).all(axis=1).any() for y in drawn)
    with pytest.raises(ValueError, match="x must be one observation, got a batch of 2"):
        TraceDisplay.from_estimator(nre, x[:2], n_samples=60)
    with pytest.raises(TypeError, match="estimator must have sample_chains"):
        TraceDisplay.from_estimator(NPE(), x[0])


def test_trials_of_one_theta_are_one_observation(pairs):
    theta, x = pairs
    nre = NRE([stats.norm()] * 2, max_epochs=1, random_state=0).fit(theta, x)
    trials = x[:3]
    display = PosteriorDisplay.from_estimator(nre, trials, n_samples=50, iid=True)
    (drawn,) = display.samples.values()
    np.testing.assert_array_equal(drawn, nre.sample(trials, 50, iid=True))
    display = TraceDisplay.from_estimator(nre, trials, n_samples=200, iid=True)
    chains = nre.sample_chains(trials, 200, iid=True)
    assert all(any(np.array_equal(one, chain) for chain in chains) for one in display.chains)
    with pytest.raises(ValueError, match="iid=True if its rows are independent trials"):
        TraceDisplay.from_estimator(nre, trials, n_samples=200)
