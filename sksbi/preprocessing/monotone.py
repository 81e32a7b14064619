"""
Monotone maps of the columns of x, one each, chosen by the data.

A density is learnt best where what it describes is about normal given theta. Four maps are tried,

    x,    asinh((x - median) / IQR),    log(x + s),    sqrt(x + s),

the last two for columns without negative values only, and that one is taken under which a
regression on theta with normal errors makes rows that it has not seen most likely in units of x:
x itself unless another is better by more than chance. Counts take the root of x + 7/8, which gives
those of Poisson and binomial kind about one variance. Below a floor under all that was seen,
logarithm and root go on as straight lines, so that every map has the whole real line as its domain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sksbi.utils.types import Array, Mask

__all__ = ["MonotoneMap", "choose_maps"]

_TRAIN, _RIDGE = 0.8, 1e-3
_LEAST_GAIN, _ERRORS = 0.01, 2.0
_MOST_PRODUCTS, _MOST_CUBES = 10, 5
_MARGIN = 0.5
_LARGEST = 700.0  # beyond, an exponential overflows


@dataclass(frozen=True)
class MonotoneMap:
    """
    An increasing map of one column, standardised, with its inverse and its slope.

    Parameters
    ----------
    kind : {"identity", "asinh", "log", "sqrt"}
        Which.
    shift, spread : float
        asinh: of (x - shift) / spread; otherwise the shift is added.
    floor : float
        Below that x + shift is continued by a straight line: log and sqrt only.
    mean, scale : float
        What is subtracted from the map, and what it is divided by.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.preprocessing.monotone import MonotoneMap
    >>> log = MonotoneMap("log", shift=0.0, spread=1.0, floor=0.1)
    >>> y, log_slope = log.forward(np.array([2.0, 10.0]))
    >>> y.round(3).tolist(), log_slope.round(3).tolist(), log.inverse(y).round(3).tolist()
    ([0.693, 2.303], [-0.693, -2.303], [2.0, 10.0])
    """

    kind: str
    shift: float = 0.0
    spread: float = 1.0
    floor: float = 0.0
    mean: float = 0.0
    scale: float = 1.0

    def standardised(self, x: Array) -> MonotoneMap:
        """
        Give the same map with mean and scale of its values on some x.

        Parameters
        ----------
        x : ndarray of shape (n,)
            The column.

        Returns
        -------
        MonotoneMap
            The map; a column that is constant but for rounding is divided by 1.
        """
        y = MonotoneMap(self.kind, self.shift, self.spread, self.floor).forward(x)[0]
        largest = max(float(np.abs(y).max()), 1.0)  # squares of what is divided by it are floats
        mean, scale = largest * float((y / largest).mean()), largest * float((y / largest).std())
        scale = scale if scale > 1e-12 * largest else 1.0
        return MonotoneMap(self.kind, self.shift, self.spread, self.floor, mean, scale)

    def is_beyond(self, x: Array, low: float, high: float) -> Mask:
        """
        Tell what lies where nothing was seen, on the scale of the map.

        Parameters
        ----------
        x : ndarray of shape (n,)
            The column.
        low, high : float
            The range of what was seen, on that scale.

        Returns
        -------
        ndarray of bool, of shape (n,)
            Whether it is outside of the range by more than half of it, or where a logarithm or a
            root has no values.
        """
        y, margin = self.forward(x)[0], _MARGIN * (high - low)
        beyond = (y < low - margin) | (y > high + margin)
        return beyond | (x + self.shift <= 0) if self.kind in ("log", "sqrt") else beyond

    def forward(self, x: Array) -> tuple[Array, Array]:
        """
        Map, and compute the logarithm of the slope.

        Parameters
        ----------
        x : ndarray of shape (n,)
            The column.

        Returns
        -------
        y : ndarray of shape (n,)
            The values.
        log_slope : ndarray of shape (n,)
            The logarithm of dy/dx.
        """
        if self.kind == "identity":
            y, log_slope = x, np.zeros(len(x))
        elif self.kind == "asinh":
            relative = (x - self.shift) / self.spread
            y = np.arcsinh(relative)
            log_slope = -np.log(np.hypot(1.0, relative)) - np.log(self.spread)
        else:
            above = np.maximum(x + self.shift, self.floor)
            below = np.minimum(x + self.shift - self.floor, 0.0)
            if self.kind == "log":
                y, log_slope = np.log(above) + below / self.floor, -np.log(above)
            else:
                y = np.sqrt(above) + 0.5 * below / np.sqrt(self.floor)
                log_slope = np.log(0.5) - 0.5 * np.log(above)
        return (y - self.mean) / self.scale, log_slope - np.log(self.scale)

    def inverse(self, y: Array) -> Array:
        """
        Map back.

        Parameters
        ----------
        y : ndarray of shape (n,)
            Values.

        Returns
        -------
        ndarray of shape (n,)
            The column.
        """
        y = y * self.scale + self.mean
        if self.kind == "identity":
            return y
        if self.kind == "asinh":
            return self.shift + self.spread * np.sinh(np.clip(y, -_LARGEST, _LARGEST))
        if self.kind == "log":
            edge = np.log(self.floor)
            above = np.exp(np.clip(y, edge, _LARGEST))
            return above + self.floor * np.minimum(y - edge, 0.0) - self.shift
        edge = np.sqrt(self.floor)
        return np.maximum(y, edge) ** 2 + 2 * edge * np.minimum(y - edge, 0.0) - self.shift


def choose_maps(x: Array, is_count: Array, context: Array) -> list[MonotoneMap]:
    """
    Choose a map for every column.

    Parameters
    ----------
    x : ndarray of shape (n, L)
        The columns, counts dequantised.
    is_count : ndarray of bool, of shape (L,)
        Which are counts.
    context : ndarray of shape (n, C)
        What is known of theta, about standardised.

    Returns
    -------
    list of MonotoneMap
        The maps, standardised.
    """
    features = _features(context)
    n_train = max(1, int(_TRAIN * len(x)))
    gram = features[:n_train].T @ features[:n_train]
    gram += _RIDGE * n_train * np.eye(len(gram))
    chosen = []
    for column, counts in zip(x.T, is_count, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            maps = [one.standardised(column) for one in _candidates(column, bool(counts))]
            scores = np.array([_scores(one, column, features, gram, n_train) for one in maps])
            best = int(np.argmax(np.nan_to_num(scores.mean(axis=1), nan=-np.inf, posinf=-np.inf)))
            chosen.append(maps[best if _is_better(scores[best], scores[0]) else 0])
    return chosen


def _is_better(scores: Array, plain: Array) -> bool:
    """Tell whether a map makes x likelier than the identity does by more than chance."""
    if not np.isfinite(plain).all():
        return bool(np.isfinite(scores).all())
    gain = scores - plain
    return bool(gain.mean() > max(_LEAST_GAIN, _ERRORS * gain.std() / len(gain) ** 0.5))


def _candidates(x: Array, is_count: bool) -> list[MonotoneMap]:
    """List the maps that a column may take."""
    low, median, high = (float(q) for q in np.quantile(x, [0.25, 0.5, 0.75]))
    spread = next((s for s in (high - low, float(x.std())) if s > 0), 1.0)
    maps = [MonotoneMap("identity"), MonotoneMap("asinh", median, spread)]
    if is_count and x.min() >= -0.5:
        return [MonotoneMap("sqrt", 0.875, floor=0.25)]
    if x.min() < 0 or not (x > 0).any():
        return maps
    smallest = float(x[x > 0].min())
    shift = smallest if x.min() == 0 else 0.0
    return [*maps, *(MonotoneMap(kind, shift, floor=smallest / 2) for kind in ("log", "sqrt"))]


def _features(context: Array) -> Array:
    """Give a regression the context, squares and products, and cubes where these are few."""
    d = context.shape[1]
    columns = [np.ones((len(context), 1)), context]
    if d <= _MOST_PRODUCTS:
        first, second = np.triu_indices(d)
        columns.append(context[:, first] * context[:, second])
    if d <= _MOST_CUBES:
        columns += [columns[2] * context[:, [k]] for k in range(d)]
    return np.hstack(columns)


def _scores(one: MonotoneMap, x: Array, features: Array, gram: Array, n_train: int) -> Array:
    """Compute log-densities of rows that a regression has not seen, in the units of x."""
    y, log_slope = one.forward(x)
    seen, new = slice(None, n_train), slice(n_train, None) if n_train < len(x) else slice(None)
    if not np.isfinite(y).all():
        return np.full(len(x[new]), -np.inf)
    coefficients = np.linalg.solve(gram, features[seen].T @ y[seen])
    error = y - features @ coefficients
    variance = max((error[seen] ** 2).mean(), (error[new] ** 2).mean(), 1e-12)
    return log_slope[new] - 0.5 * error[new] ** 2 / variance - 0.5 * np.log(variance)
