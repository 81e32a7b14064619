"""From the user's units to what a network learns well from, and back, with log-determinants."""

from sksbi.preprocessing.edges import Edges
from sksbi.preprocessing.invertible_space import InvertibleSpace
from sksbi.preprocessing.observation_space import ObservationSpace
from sksbi.preprocessing.parameter_space import ParameterSpace
from sksbi.preprocessing.parameter_views import ParameterViews
from sksbi.preprocessing.regularity import Regularity
from sksbi.preprocessing.summaries import SummaryStatistics
from sksbi.preprocessing.typical import TypicalObservations
from sksbi.preprocessing.views import RobustViews

__all__ = [
    "Edges",
    "InvertibleSpace",
    "ObservationSpace",
    "ParameterSpace",
    "ParameterViews",
    "Regularity",
    "RobustViews",
    "SummaryStatistics",
    "TypicalObservations",
]
