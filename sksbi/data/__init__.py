"""Simulated pairs: what a fit eats, and what of it a network sees, in batches."""

from sksbi.data.batches import Batches, TensorPairs, count_passes
from sksbi.data.pairs import Pairs

__all__ = ["Batches", "Pairs", "TensorPairs", "count_passes"]
