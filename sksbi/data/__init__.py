"""Simulated pairs on their way to a network: kept whole, taken in batches."""

from sksbi.data.pairs import Batches, Pairs

__all__ = ["Batches", "Pairs"]
