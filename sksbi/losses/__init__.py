"""Losses: one paper, one class. A criterion maps (output, theta) to one loss a row."""

from sksbi.losses.base import build_criterion, criterion_names
from sksbi.losses.negative_log_likelihood import NegativeLogLikelihood

__all__ = ["NegativeLogLikelihood", "build_criterion", "criterion_names"]
