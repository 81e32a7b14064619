"""Losses: one paper, one class. A criterion maps (output, theta) to one loss a row."""

from sksbi.losses.atomic import Atomic
from sksbi.losses.balanced import BalancedBinaryCrossEntropy
from sksbi.losses.balanced_contrastive import BalancedContrastive
from sksbi.losses.binary import BinaryCrossEntropy
from sksbi.losses.build import build_criterion, criterion_names
from sksbi.losses.contrastive import Contrastive
from sksbi.losses.coverage import CoverageContrastive, CoverageLogLikelihood
from sksbi.losses.criterion import Criterion
from sksbi.losses.field_matching import FieldMatching
from sksbi.losses.flow_matching import FlowMatching
from sksbi.losses.negative_log_likelihood import NegativeLogLikelihood
from sksbi.losses.pairing import PairedCriterion
from sksbi.losses.score_matching import ScoreMatching

__all__ = [
    "Atomic",
    "BalancedBinaryCrossEntropy",
    "BalancedContrastive",
    "BinaryCrossEntropy",
    "Contrastive",
    "CoverageContrastive",
    "CoverageLogLikelihood",
    "Criterion",
    "FieldMatching",
    "FlowMatching",
    "NegativeLogLikelihood",
    "PairedCriterion",
    "ScoreMatching",
    "build_criterion",
    "criterion_names",
]
