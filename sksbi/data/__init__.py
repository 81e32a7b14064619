"""Simulated pairs: what a fit eats, and what of it a network sees, in batches."""

from sksbi.data.batches import Batches, TensorPairs, count_passes
from sksbi.data.files import open_pairs, pack
from sksbi.data.lazy import LazyTable, some_pairs, too_large
from sksbi.data.noticed import of_all, template
from sksbi.data.on_disk import PairsOnDisk
from sksbi.data.pairs import Pairs
from sksbi.data.store import SimulationStore
from sksbi.data.stored import lazy_pairs
from sksbi.data.stream import StreamedPairs

__all__ = [
    "Batches",
    "LazyTable",
    "Pairs",
    "PairsOnDisk",
    "SimulationStore",
    "StreamedPairs",
    "TensorPairs",
    "count_passes",
    "lazy_pairs",
    "of_all",
    "open_pairs",
    "pack",
    "some_pairs",
    "template",
    "too_large",
]
