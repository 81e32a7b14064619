"""Priors made from a prior: of some of its parameters, on a smaller box, within a region."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from sksbi.utils.columns import find_columns
from sksbi.utils.containers import as_floats
from sksbi.utils.types import Array, Mask

__all__ = ["DerivedPriorsMixin", "no_marginal"]

P = TypeVar("P")


def no_marginal(prior: object) -> TypeError:
    """
    Say which priors have a marginal.

    Parameters
    ----------
    prior : Prior
        The one that has none.

    Returns
    -------
    TypeError
        To be raised.
    """
    return TypeError(
        "marginal must have a density in closed form: dicts and lists of distributions, "
        "multivariate_normal, multivariate_t, the same in torch, and objects with a method "
        "marginal(columns) have one, also when truncated in no parameter that is left out; got "
        f"{prior!r}: give one of these, or keep the columns of its draws."
    )


class DerivedPriorsMixin(ABC, Generic[P]):
    """`marginal`, `truncated` and `within`: checked here, made by the class that inherits."""

    names: list[str] | None

    @property
    @abstractmethod
    def n_features(self) -> int:
        """The number D of parameters."""

    @property
    @abstractmethod
    def support(self) -> tuple[Array, Array]:
        """The bounds (low, high) of the box."""

    def marginal(self, columns: Iterable[int | str]) -> P:
        """
        Make the prior of some of the parameters.

        Parameters
        ----------
        columns : sequence of str or int
            The parameters by their names or their positions from 0, in the order wanted.

        Returns
        -------
        Prior
            The density of these parameters alone.

        Raises
        ------
        TypeError
            If ``columns`` is no sequence of names and positions, or the marginal density has no
            closed form.
        ValueError
            If a column does not exist, stands twice, or there is none.

        Examples
        --------
        >>> from scipy import stats
        >>> from sksbi.priors import check_prior
        >>> check_prior({"a": stats.norm(), "b": stats.uniform(0, 1)}).marginal(["b"])
        MarginalPrior(b=uniform(0, 1))
        """
        positions = find_columns(columns, self.names, self.n_features)
        if positions == [*range(self.n_features)]:
            return cast(P, self)
        return self._marginal(positions)

    def truncated(
        self,
        low: ArrayLike | Mapping[str, tuple[float, float]],
        high: ArrayLike | None = None,
    ) -> P:
        """
        Restrict the prior to a box.

        Independent marginals stay independent, and all about them exact. Any other prior is drawn
        from by rejection, and its density normalised by the share of draws in the box: see
        ``acceptance``, ``acceptance_error`` and ``log_prob_error`` of the result.

        Parameters
        ----------
        low, high : array-like of shape (D,)
            The bounds, possibly infinite. A dict alone, as ``truncated({"mass": (0, 1)})``, has a
            pair (low, high) for some of the parameters; the others stay as they are.

        Returns
        -------
        Prior
            The density, normalised, on the part of the support that lies in the box.

        Raises
        ------
        ValueError
            If the bounds are no box, miss the support, or hold too little of the prior's mass.
        TypeError
            If there is no ``high``, and ``low`` is no dict.

        Examples
        --------
        >>> from scipy import stats
        >>> from sksbi.priors import check_prior
        >>> check_prior({"a": stats.norm(), "b": stats.uniform(0, 1)}).truncated([0, 0], [9, 1])
        MarginalPrior(a=norm() on (0, 9), b=uniform(0, 1))
        """
        if isinstance(low, Mapping):
            low, high = self._bounds_by_name(low, high)
        if high is None:
            raise TypeError(
                "truncated takes low and high, or one dict {name: (low, high)}, got "
                f"low={low!r} alone."
            )
        box = [_bound(b, name, self.n_features) for b, name in ((low, "low"), (high, "high"))]
        self._check_box(box[0], box[1], "have low < high", box)
        support = self.support
        common = np.maximum(box[0], support[0]), np.minimum(box[1], support[1])
        self._check_box(*common, f"meet the support, low={support[0]}, high={support[1]}", box)
        if np.array_equal(support, common):
            return cast(P, self)
        return self._truncated(*common)

    def within(self, region: Callable[[Array], Mask]) -> P:
        """
        Restrict the prior to a region, by rejection.

        The box and the map to unbounded space stay as they are.

        Parameters
        ----------
        region : callable
            It takes theta, a float64 array of shape (n, D), and returns n booleans, True inside; of
            the same theta always the same.

        Returns
        -------
        Prior
            The density, -inf outside the region, and normalised by the share of draws inside, its
            ``acceptance``, which is known to within ``acceptance_error``.

        Raises
        ------
        TypeError
            If ``region`` is not callable.
        ValueError
            If it returns something else, or holds too little of the prior's mass.

        Examples
        --------
        >>> from scipy import stats
        >>> from sksbi.priors import check_prior
        >>> prior = check_prior([stats.uniform(-1, 2)] * 2)
        >>> disk = prior.within(lambda theta: (theta**2).sum(axis=1) < 1)
        >>> disk.contains([[0.5, 0.5], [0.9, 0.9]])
        array([ True, False])
        >>> abs(disk.acceptance - 3.14159 / 4) < 4 * disk.acceptance_error
        True
        """
        if not callable(region):
            raise TypeError(
                "region must be callable, take theta of shape (n, D) and return n booleans, got "
                f"{region!r}."
            )
        return self._within(region)

    def _bounds_by_name(
        self, bounds: Mapping[str, tuple[float, float]], high: ArrayLike | None
    ) -> tuple[Array, Array]:
        """Put the bounds of some parameters into two arrays of all."""
        if high is not None:
            raise TypeError(f"high must be left out where bounds are a dict, got {high!r}.")
        positions = find_columns(list(bounds), self.names, self.n_features)
        box = self.support
        for i, (name, pair) in zip(positions, bounds.items(), strict=True):
            if not isinstance(pair, tuple | list | np.ndarray) or len(pair) != 2:
                raise ValueError(f"bounds[{name!r}] must be a pair (low, high), got {pair!r}.")
            box[0][i], box[1][i] = (_bound([end], f"bounds[{name!r}]", 1)[0] for end in pair)
        return box

    def _check_box(self, low: Array, high: Array, rule: str, box: list[Array]) -> None:
        """Name the first column without an inside."""
        empty = low >= high
        if empty.any():
            column = int(empty.argmax())
            name = column if self.names is None else repr(self.names[column])
            raise ValueError(
                f"low and high must {rule}, in every column, got low={box[0]}, high={box[1]}: "
                f"nothing is left of column {name}."
            )

    @abstractmethod
    def _marginal(self, columns: list[int]) -> P:
        """Make the prior of some columns, each given once, or raise `no_marginal`."""

    @abstractmethod
    def _truncated(self, low: Array, high: Array) -> P:
        """Restrict to a box inside the support, smaller than it, and with an inside."""

    @abstractmethod
    def _within(self, region: Callable[[Array], Mask]) -> P:
        """Restrict to a region."""


def _bound(bound: ArrayLike, name: str, n_features: int) -> Array:
    """Convert one end of a box to float64 (D,)."""
    rule = f"{name} must have shape (D,) = ({n_features},) and hold real numbers or +-inf"
    try:
        array = as_floats(bound, name).copy()
    except TypeError as error:
        raise ValueError(f"{rule}, got {bound!r}.") from error
    if array.shape != (n_features,) or np.isnan(array).any():
        raise ValueError(f"{rule}, got {bound!r} of shape {array.shape}.")
    return array
