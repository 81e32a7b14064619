"""Draws from many unnormalised densities at once: chains, resampling, nested sampling."""

from sksbi.samplers.base import ChainStatistics, Sampler
from sksbi.samplers.build import build_sampler, sampler_names
from sksbi.samplers.ensemble import AffineInvariantEnsemble
from sksbi.samplers.importance import ImportanceResampling
from sksbi.samplers.metropolis_hastings import MetropolisHastings
from sksbi.samplers.nested import NestedSampling
from sksbi.samplers.slice import SliceSampler
from sksbi.samplers.target import Target, resample_reference

__all__ = [
    "AffineInvariantEnsemble",
    "ChainStatistics",
    "ImportanceResampling",
    "MetropolisHastings",
    "NestedSampling",
    "Sampler",
    "SliceSampler",
    "Target",
    "build_sampler",
    "resample_reference",
    "sampler_names",
]
