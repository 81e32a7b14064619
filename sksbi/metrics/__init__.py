"""Functions on arrays of draws, whatever library the draws come from."""

from sksbi.metrics.two_sample import c2st_score

__all__ = ["c2st_score"]
