"""Training with skorch; the only folder that imports it."""

from sksbi.training.checkpoint import Checkpoint
from sksbi.training.division import divide
from sksbi.training.muon import Muon
from sksbi.training.net import begin, build_net, draws_globally, go_back_to_best, train
from sksbi.training.passed_on import PASSED_ON, check_passed_on
from sksbi.training.state import extend_history, load_state, pack_state
from sksbi.training.stream import go_on
from sksbi.training.watch import warn_of_few, warn_of_rising_loss, warn_of_worse_than_nothing

__all__ = [
    "PASSED_ON",
    "Checkpoint",
    "Muon",
    "begin",
    "build_net",
    "check_passed_on",
    "divide",
    "draws_globally",
    "extend_history",
    "go_back_to_best",
    "go_on",
    "load_state",
    "pack_state",
    "train",
    "warn_of_few",
    "warn_of_rising_loss",
    "warn_of_worse_than_nothing",
]
