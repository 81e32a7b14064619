"""Simulated pairs: what a fit eats, and what of it a network sees, in batches."""

from sksbi.data.batches import Batches, TensorPairs, count_passes
from sksbi.data.pairs import Pairs
from sksbi.data.store import SimulationStore

__all__ = ["Batches", "Pairs", "SimulationStore", "TensorPairs", "count_passes"]
