"""What arrays, tables and random states are, for annotations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "Draws", "Floats", "Mask", "RandomState", "Row", "Rows", "Table"]

Array = NDArray[np.float64]
Floats = NDArray[np.floating]  # of any precision
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]  # numbers of rows

# What a user passes, before it is checked.
Table = ArrayLike | pd.DataFrame  # of shape (n, D)
Draws = ArrayLike | pd.DataFrame  # of shape (n, n_samples, D), or a table as ``sample`` returns it
Row = ArrayLike | pd.Series | pd.DataFrame | Mapping[str, float]  # by position or by name
RandomState = int | np.random.RandomState | np.random.Generator | None
