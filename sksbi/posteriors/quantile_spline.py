r"""
A density on the whole real line from the values of some of its quantiles.

With the normal scores :math:`s_k = \Phi^{-1}(\tau_k)` of the levels, the quantiles :math:`q_k` are
points of the increasing function :math:`Q` with :math:`z = Q(s)`, where s is standard normal. Q is
interpolated, and the density follows:

.. math::
    \log q(z) = \log \varphi(s) - \log Q'(s), \qquad z = Q(s).

- Between the quantiles Q is a rational quadratic spline (Piecewise rational quadratic
  interpolation, Gregory and Delbourgo, 1982, https://doi.org/10.1093/imanum/2.2.123). It increases
  strictly, its inverse has a closed form, and its slope is continuous. Of a normal density it is
  the straight line, so that this is reproduced exactly, whatever the levels.
- Beyond them Q is a straight line: the tails are those of normal densities. Their scale is that of
  the half that they end, (outermost quantile - median) / (its score - that of the median), times a
  factor that can be learnt. It rests on half of the distribution, as the outermost pair of
  quantiles alone is too noisy to extrapolate from.
- Quantiles that cross are sorted, which brings them nearer to the true ones (Quantile and
  probability curves without crossing, Chernozhukov et al., 2010, https://arxiv.org/abs/0704.3649).
  No slope is less than a hundredth of the mean slope, so that equal quantiles leave a finite peak,
  and that of no half less than a tenth. The mean slope is the scale of the whole; of one that is
  less than a least scale all distances grow by one factor, as regressors that fit closely
  claim here and there to know a variable exactly.

So the density is positive and continuous on the whole line and integrates to one exactly, and draws
agree with it to rounding.
"""

from __future__ import annotations

import numpy as np

from sksbi.utils.types import Array, Mask, Rows

__all__ = ["QuantileSpline", "fit_tails"]

_LEAST_SLOPE, _LEAST_HALF, _LEAST_SPREAD = 1e-2, 0.1, 1e-9
_TAIL_PRIOR = 3.0
_LOG_SQRT_2_PI = 0.5 * np.log(2 * np.pi)


class QuantileSpline:
    """
    Densities of n variables, each by the values of its quantiles.

    Parameters
    ----------
    values : ndarray of shape (n, K)
        The quantiles, three or more; those that cross are sorted.
    scores : ndarray of shape (K,)
        The normal scores of their levels, ascending.
    tails : tuple of float, default=(1.0, 1.0)
        Factors of the scales of the lower and the upper tail.
    least : float, default=0.0
        The least scale.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi.posteriors.quantile_spline import QuantileSpline
    >>> spline = QuantileSpline(np.array([[-2.0, 0.0, 2.0]]), np.array([-1.0, 0.0, 1.0]))
    >>> spline(np.array([1.5]))
    array([3.])
    >>> bool(np.isclose(spline.log_prob(np.array([0.0]))[0], -np.log(2 * np.sqrt(2 * np.pi))))
    True
    """

    def __init__(
        self,
        values: Array,
        scores: Array,
        tails: tuple[float, float] = (1.0, 1.0),
        least: float = 0.0,
    ) -> None:
        self.scores, self.widths = scores, np.diff(scores)
        self.values, self.slopes = _increasing(values, scores, least)
        lower, upper = _half_slopes(self.values, scores)
        weight = self.widths[1:] / (self.widths[1:] + self.widths[:-1])
        logs = np.log(self.slopes)
        inner = np.exp(weight * logs[:, :-1] + (1 - weight) * logs[:, 1:])
        self.steep = np.column_stack([tails[0] * lower, inner, tails[1] * upper])

    def __call__(self, scores: Array) -> Array:
        """
        Evaluate Q: of standard normal numbers it makes draws.

        Parameters
        ----------
        scores : ndarray of shape (n,)
            One number for each variable.

        Returns
        -------
        ndarray of shape (n,)
            The values.
        """
        piece, below, above = self._pieces(scores >= self.scores[:, None])
        slope, start, end = self._at(piece)
        left, height = self._corner(piece)
        t = np.clip((scores - left) / self.widths[piece], 0.0, 1.0)
        bent = slope + (start + end - 2 * slope) * t * (1 - t)
        z = height + self.widths[piece] * slope * t * (slope * t + start * (1 - t)) / bent
        low = self.values[:, 0] + self.steep[:, 0] * (scores - self.scores[0])
        high = self.values[:, -1] + self.steep[:, -1] * (scores - self.scores[-1])
        return np.where(below, low, np.where(above, high, z))

    def log_prob(self, z: Array) -> Array:
        """
        Compute log-densities.

        Parameters
        ----------
        z : ndarray of shape (n,)
            One value of each variable.

        Returns
        -------
        ndarray of shape (n,)
            The log-densities.
        """
        piece, below, above = self._pieces(z >= self.values.T)
        slope, start, end = self._at(piece)
        left, height = self._corner(piece)
        rise, width = z - height, self.widths[piece]
        turn = (start + end - 2 * slope) * rise / width
        a, b, c = slope * (slope - start) + turn, slope * start - turn, slope * rise / width
        t = np.clip(2 * c / (b + np.sqrt(np.maximum(b**2 + 4 * a * c, 0.0))), 0.0, 1.0)
        bent = slope + (start + end - 2 * slope) * t * (1 - t)
        inside = slope**2 * (end * t**2 + 2 * slope * t * (1 - t) + start * (1 - t) ** 2) / bent**2
        low, high = self.steep[:, 0], self.steep[:, -1]
        score = np.where(below, self.scores[0] + (z - self.values[:, 0]) / low, left + t * width)
        score = np.where(above, self.scores[-1] + (z - self.values[:, -1]) / high, score)
        steep = np.where(below, low, np.where(above, high, inside))
        return -0.5 * score**2 - _LOG_SQRT_2_PI - np.log(steep)

    def _pieces(self, passed: Mask) -> tuple[Rows, Mask, Mask]:
        """Number the pieces, by which knots (K, n) are passed; tell what lies in the tails."""
        count = np.count_nonzero(passed, axis=0)
        last = len(self.scores) - 1
        return np.clip(count - 1, 0, last - 1), count == 0, count == last + 1

    def _at(self, piece: Rows) -> tuple[Array, Array, Array]:
        """Give mean slopes of pieces, and the slopes at their ends."""
        rows = np.arange(len(piece))
        return self.slopes[rows, piece], self.steep[rows, piece], self.steep[rows, piece + 1]

    def _corner(self, piece: Rows) -> tuple[Array, Array]:
        """Give the lower left corners of pieces."""
        return self.scores[piece], self.values[np.arange(len(piece)), piece]


def fit_tails(
    z: Array, values: Array, scores: Array, weight: Array | None = None, least: float = 0.0
) -> tuple[float, float]:
    """
    Find the factors of the tails' scales that are most likely, given values beyond the quantiles.

    Parameters
    ----------
    z : ndarray of shape (n,)
        A value of each variable.
    values : ndarray of shape (n, K)
        Their quantiles.
    scores : ndarray of shape (K,)
        The normal scores of the levels.
    weight : ndarray of shape (n,) or None, default=None
        Weights of the variables.
    least : float, default=0.0
        The least scale.

    Returns
    -------
    tuple of (float, float)
        The factors of the lower and the upper tail, drawn towards one as if by three more values.
    """
    weight = np.ones(len(z)) if weight is None else weight / weight.mean()
    values = _increasing(values, scores, least)[0]
    lower, upper = _half_slopes(values, scores)
    return (
        _likely_factor((values[:, 0] - z) / lower, -scores[0], weight),
        _likely_factor((z - values[:, -1]) / upper, scores[-1], weight),
    )


def _likely_factor(beyond: Array, score: float, weight: Array) -> float:
    """Maximise the likelihood of c: beyond / c is what exceeds a score of a normal variable."""
    out = beyond > 0
    total = weight[out].sum()
    if total == 0:
        return 1.0
    mean = score * np.average(beyond[out], weights=weight[out])
    square = np.average(beyond[out] ** 2, weights=weight[out])
    factor = 2 * square / (np.sqrt(mean**2 + 4 * square) - mean)
    return float(np.exp(total * np.log(factor) / (total + _TAIL_PRIOR)))


def _increasing(values: Array, scores: Array, least: float) -> tuple[Array, Array]:
    """Sort quantiles, and hold slopes above the least; the middle one stays where it is."""
    values, widths = np.sort(values, axis=1), np.diff(scores)
    scale = (values[:, -1] - values[:, 0]) / (scores[-1] - scores[0])
    mean = np.maximum(scale, max(least, _LEAST_SPREAD))[:, None]
    grown = mean / np.maximum(scale, _LEAST_SPREAD)[:, None]
    slopes = np.maximum(grown * np.diff(values, axis=1) / widths, _LEAST_SLOPE * mean)
    heights = np.cumsum(slopes * widths, axis=1)
    middle = len(scores) // 2
    heights = np.column_stack([np.zeros(len(values)), heights])
    return heights + (values[:, middle] - heights[:, middle])[:, None], slopes


def _half_slopes(values: Array, scores: Array) -> tuple[Array, Array]:
    """Give the mean slopes below and above the middle quantile."""
    middle = len(scores) // 2
    lower = (values[:, middle] - values[:, 0]) / (scores[middle] - scores[0])
    upper = (values[:, -1] - values[:, middle]) / (scores[-1] - scores[middle])
    mean = (values[:, -1] - values[:, 0]) / (scores[-1] - scores[0])
    return np.maximum(lower, _LEAST_HALF * mean), np.maximum(upper, _LEAST_HALF * mean)
