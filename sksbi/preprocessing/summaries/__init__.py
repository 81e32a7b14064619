"""Summary statistics of wide x, one kind a file, and the transformer that puts them together."""

from sksbi.preprocessing.summaries.statistics import SummaryStatistics

__all__ = ["SummaryStatistics"]
