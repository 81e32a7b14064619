"""What displays of draws at held-out pairs share: one picture, from wherever the draws come."""

import numpy as np
import pytest

from sksbi.inspection import (
    CoverageDisplay,
    MarginalsDisplay,
    PosteriorDisplay,
    PredictiveDisplay,
    RankDisplay,
    TarpDisplay,
    TraceDisplay,
)

DISPLAYS = {
    CoverageDisplay: ("log_prob_draws", "log_prob_theta"),
    MarginalsDisplay: ("draws", "theta"),
    RankDisplay: ("draws", "theta"),
    TarpDisplay: ("draws", "theta"),
}


def numbers(display):
    """Read what a display shows."""
    if isinstance(display, MarginalsDisplay):
        return display.intervals.to_numpy()
    return display.ecdf if isinstance(display, RankDisplay) else display.coverage


@pytest.mark.parametrize(("cls", "arguments"), DISPLAYS.items())
def test_held_out_draws_are_predictions(held_out, cls, arguments):
    given = numbers(cls.from_predictions(*(getattr(held_out, name) for name in arguments)))
    np.testing.assert_array_equal(numbers(cls.from_predictions(held_out)), given)
    np.testing.assert_array_equal(numbers(cls.from_held_out(held_out)), given)


@pytest.mark.parametrize("cls", [MarginalsDisplay, RankDisplay])
def test_names_are_those_of_held_out_draws_unless_given(held_out, cls):
    def shown(display):
        is_rank = isinstance(display, RankDisplay)
        return display.names if is_rank else list(display.intervals.columns.unique(0))

    assert shown(cls.from_predictions(held_out)) == held_out.names
    assert shown(cls.from_predictions(held_out, names=["a", "b"])) == ["a", "b"]


@pytest.mark.parametrize(("cls", "arguments"), DISPLAYS.items())
def test_what_is_missing_or_given_twice_is_refused(held_out, cls, arguments):
    first, second = arguments
    with pytest.raises(ValueError, match=f"{second} must be left out: .* in {first} hold it"):
        cls.from_predictions(held_out, getattr(held_out, second))
    with pytest.raises(TypeError, match=f"{second} must be given, unless .*; got ndarray"):
        cls.from_predictions(getattr(held_out, first))


@pytest.mark.parametrize("cls", DISPLAYS)
def test_one_observation_is_shown(gaussian, cls):
    display = cls.from_estimator(gaussian(), np.zeros((1, 2)), np.ones((1, 2)), n_samples=20)
    display.figure_.canvas.draw()


@pytest.mark.parametrize("cls", DISPLAYS)
def test_a_mistyped_option_is_refused(gaussian, pairs, cls):
    with pytest.raises(TypeError, match="figsiz"):
        cls.from_estimator(gaussian(), *pairs, n_samples=9, figsiz=(1, 1))


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (MarginalsDisplay, "from_samples"),
        (PosteriorDisplay, "from_samples"),
        (PredictiveDisplay, "from_samples"),
        (TraceDisplay, "from_chains"),
    ],
)
def test_what_an_estimator_drew_has_one_way_in_by_two_names(cls, name):
    assert getattr(cls, name) == cls.from_predictions
