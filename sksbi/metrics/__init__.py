"""Functions on arrays of draws, whatever library the draws come from."""

from sksbi.metrics.chains import effective_sample_size, split_r_hat
from sksbi.metrics.two_sample import c2st_score

__all__ = ["c2st_score", "effective_sample_size", "split_r_hat"]
