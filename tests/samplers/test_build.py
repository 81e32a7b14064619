"""Samplers by name."""

import numpy as np
import pytest

from sksbi.samplers import MetropolisHastings, Sampler, build_sampler, sampler_names


@pytest.mark.parametrize("name", sampler_names())
def test_names_build_samplers(name):
    assert isinstance(build_sampler(name), Sampler)


def test_auto_is_the_best_one_measured():
    assert isinstance(build_sampler("auto"), MetropolisHastings)


def test_objects_and_functions_are_returned_as_they_are():
    def own(log_prob, initial, n_samples, random_state=None):
        return np.zeros((1, n_samples, 1))

    sampler = MetropolisHastings(n_chains=3)
    assert build_sampler(own) is own
    assert build_sampler(sampler) is sampler


@pytest.mark.parametrize(
    ("sampler", "error", "match"),
    [
        ("nuts", ValueError, "sampler must be one of .*'slice'.*got 'nuts'"),
        (3, TypeError, "got an object of type int: 3"),
        (None, TypeError, "got an object of type NoneType: None"),
        (MetropolisHastings, TypeError, r"got the class MetropolisHastings: call it, .*\(\)"),
    ],
)
def test_anything_else_is_refused(sampler, error, match):
    with pytest.raises(error, match=match):
        build_sampler(sampler)
