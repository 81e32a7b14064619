"""What a table that stays on the disk promises to those who want all of it in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pandas as pd

__all__ = ["Loadable"]


class Loadable(ABC):
    """A table that is read when it is needed; what takes arrays and DataFrames loads it first."""

    @abstractmethod
    def load(self) -> np.ndarray | pd.DataFrame:
        """Read all rows into memory."""
