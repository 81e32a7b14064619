"""Training with skorch; the only folder that imports it."""

from sksbi.training.compilation import compile_networks
from sksbi.training.muon import Muon
from sksbi.training.net import EVALUATION_BATCH, build_net, draws_globally, train
from sksbi.training.passed_on import PASSED_ON, check_passed_on
from sksbi.training.state import extend_history, load_state, pack_state

__all__ = [
    "EVALUATION_BATCH",
    "PASSED_ON",
    "Muon",
    "build_net",
    "check_passed_on",
    "compile_networks",
    "draws_globally",
    "extend_history",
    "load_state",
    "pack_state",
    "train",
]
