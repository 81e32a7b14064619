"""The neural estimators, one a file."""

from sksbi.neural.ensemble import Ensemble
from sksbi.neural.npe import NPE
from sksbi.neural.nre import NRE
from sksbi.neural.regressor import PosteriorRegressor

__all__ = ["NPE", "NRE", "Ensemble", "PosteriorRegressor"]
