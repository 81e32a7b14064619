"""Functions on arrays of draws, whatever library the draws come from, and scorers."""

from sksbi.metrics.chains import effective_sample_size, split_r_hat
from sksbi.metrics.coverage import expected_coverage, hpd_levels, hpd_ranks
from sksbi.metrics.grid import grid_held_out, grid_log_prob
from sksbi.metrics.held_out import HeldOutDraws, draw_held_out
from sksbi.metrics.kernel import mmd_score
from sksbi.metrics.local_test import LocalTest, lc2st
from sksbi.metrics.misspecification import misspecification_test, mmd_test
from sksbi.metrics.predictive import predictive_distance
from sksbi.metrics.sbc import sbc_ranks
from sksbi.metrics.scorers import PosteriorScorer, get_scorer, get_scorer_names
from sksbi.metrics.scoring_rules import crps, energy_score
from sksbi.metrics.shape import posterior_contraction, posterior_z_score
from sksbi.metrics.tarp import tarp_coverage, tarp_ranks
from sksbi.metrics.two_sample import c2st_score
from sksbi.metrics.uniformity import ecdf_band, rank_ecdf, uniformity_test

__all__ = [
    "HeldOutDraws",
    "LocalTest",
    "PosteriorScorer",
    "c2st_score",
    "crps",
    "draw_held_out",
    "ecdf_band",
    "effective_sample_size",
    "energy_score",
    "expected_coverage",
    "get_scorer",
    "get_scorer_names",
    "grid_held_out",
    "grid_log_prob",
    "hpd_levels",
    "hpd_ranks",
    "lc2st",
    "misspecification_test",
    "mmd_score",
    "mmd_test",
    "posterior_contraction",
    "posterior_z_score",
    "predictive_distance",
    "rank_ecdf",
    "sbc_ranks",
    "split_r_hat",
    "tarp_coverage",
    "tarp_ranks",
    "uniformity_test",
]
