"""
The estimator base: what every estimator promises, whatever it computes inside.

Public methods validate and give results their form; estimators fill in what computes, which sees
arrays only.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sksbi._version import __version__
from sksbi.exceptions import MisspecificationWarning, VersionWarning
from sksbi.preprocessing import TypicalObservations
from sksbi.priors import check_prior
from sksbi.tables.layout import ObservationLayout
from sksbi.tables.results import rows_table, summary_table
from sksbi.utils.optimize import maximise
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.signature import answers_to_X_y
from sksbi.utils.validation import (
    check_numbers,
    check_theta,
    check_weights,
    undo_rounding,
)
from sksbi.utils.warn import warn_user

__all__ = ["BaseInference"]


class BaseInference(BaseEstimator):
    """
    Base of all estimators of p(theta | x).

    theta stands in scikit-learn's X slot and x in its y slot, so that ``GridSearchCV`` and its kin
    split both. Subclasses have ``prior``, as a parameter or a property, and the parameter
    ``random_state``.

    Attributes
    ----------
    n_features_in_ : int
        The number of parameters D.
    feature_names_in_ : ndarray of str
        The parameters' names, if theta was a DataFrame.
    seed_ : int
        The integer that fit drew from ``random_state``.
    typical_x_ : TypicalObservations
        The region that x filled in fit, from which ``sample`` warns of outliers.
    """

    _takes_any_table = False

    __metadata_request__fit = {"theta": UNUSED, "x": UNUSED}
    __metadata_request__score = {"theta": UNUSED, "x": UNUSED}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags

    @abstractmethod
    def _fit(self, theta, x, sample_weight, generator):
        """
        Learn from arrays; theta lies in the prior's support, weights have mean 1.

        Rows of weight zero are left out; ``_rows`` are the numbers of those that remain.
        """

    @abstractmethod
    def _sample(self, x, n_samples, generator):
        """Draw (m, n_samples, D) for observations x of shape (m, ...)."""

    @abstractmethod
    def _log_prob(self, theta, x, rows):
        """Compute the log-density of theta[i], inside the support, given x[rows[i]]."""

    @abstractmethod
    def _mean_score(self, theta, x, weights):
        """Compute the weighted mean of a proper score, higher is better."""

    @answers_to_X_y
    def fit(self, theta, x, sample_weight=None):
        """
        Learn from simulated pairs; scikit-learn has theta in X's place and x in y's.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters, one simulation a row. They must lie in the prior's support.
        x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
            What was simulated from them: numbers, without NaN and infinity.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights of the rows; a row of weight zero counts as absent.

        Returns
        -------
        object
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If theta or x is not as above, or a parameter of the estimator is wrong.

        Warns
        -----
        TrainingWarning
            If a network learnt nothing, or float32 cannot hold what x tells.
        """
        if x is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "fit(theta, x) the simulated observations x."
            )
        self._validate_params()
        resumes = self._resumes()
        if resumes:
            self._check_resumable()
        else:
            self._reset()
        array = check_theta(self, theta, reset=not resumes, minimum=2)
        layout, x_array = ObservationLayout.learn(x, encoded=self._takes_any_table)
        check_consistent_length(array, x_array)
        if resumes and layout != self.x_layout_:
            raise ValueError(
                f"x must be as in the fit that warm_start goes on from, {self.x_layout_}, got "
                f"{layout}."
            )
        self.x_layout_ = layout
        self.prior_, array = self._check_prior(theta, array)
        self.theta_columns_ = list(theta.columns) if isinstance(theta, pd.DataFrame) else None
        weights = check_weights(sample_weight, len(array))
        self.seed_ = draw_seed(check_generator(self.random_state))
        kept = weights > 0
        weights = check_weights(weights[kept], np.count_nonzero(kept))
        generator = np.random.default_rng(self.seed_)
        self._rows = np.flatnonzero(kept)
        try:
            self._fit(array[kept], x_array[kept], weights, generator)
        finally:
            del self._rows
        self.typical_x_ = TypicalObservations(x_array[kept])
        return self

    def __getstate__(self):
        return super().__getstate__() | {"_sksbi_version": __version__}

    def __setstate__(self, state):
        version = state.get("_sksbi_version")
        if version != __version__:
            warnings.warn(
                f"this {type(self).__name__} was saved by sksbi {version} and is loaded by "
                f"{__version__}; it may break or give wrong results: fit it again, or load it with "
                "the version that saved it.",
                VersionWarning,
                stacklevel=2,
            )
        super().__setstate__({k: v for k, v in state.items() if k != "_sksbi_version"})

    def _resumes(self):
        """Tell whether fit goes on from the present state."""
        return getattr(self, "warm_start", False) and self.__sklearn_is_fitted__()

    @abstractmethod
    def __sklearn_is_fitted__(self):
        """Tell whether fit has come to its end."""

    @abstractmethod
    def _check_resumable(self):
        """Hold that what a warm start goes on from has not been changed since."""

    @abstractmethod
    def _reset(self):
        """Forget what was learnt."""

    def _check_prior(self, theta, array):
        """Adapt the prior, and hold theta against its names and its support."""
        if self.prior is None:
            return None, array
        prior = check_prior(self.prior, n_features=array.shape[1])
        array = undo_rounding(theta, array, prior.support)
        names = getattr(self, "feature_names_in_", None)
        if prior.names is not None and names is not None and list(names) != list(prior.names):
            raise ValueError(
                "theta's columns must be the prior's names in the same order, "
                f"{list(prior.names)}, got {list(names)}."
            )
        outside = np.flatnonzero(~prior.contains(array))
        if len(outside):
            first = outside[0]
            raise ValueError(
                f"theta must lie in the prior's support, but {len(outside)} of {len(array)} rows "
                f"do not, the first in row {first}: {array[first]}. Were theta and x swapped? The "
                "order is fit(theta, x)."
            )
        return prior, array

    @answers_to_X_y
    def score(self, theta, x, sample_weight=None):
        """
        Score held-out pairs, higher is better; scikit-learn has theta in X's place and x in y's.

        Posterior estimators: the mean of log q(theta | x) in the units of theta. Ratio estimators:
        minus the mean binary cross-entropy over as many joint pairs (theta, x) as marginal pairs,
        which are made by an order of the rows that is always the same and leaves no theta at its
        own x; a ratio that tells nothing scores -log 2.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters.
        x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
            What was simulated from them.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights of the rows.

        Returns
        -------
        float
            The score.

        Raises
        ------
        ValueError, TypeError
            If theta or x does not look like fit's.
        """
        check_is_fitted(self)
        array = check_theta(self, theta, reset=False)
        if self.prior_ is not None:
            array = undo_rounding(theta, array, self.prior_.support)
        observations = self.x_layout_.read(x)
        check_consistent_length(array, observations.values)
        weights = check_weights(sample_weight, len(array))
        kept = weights > 0
        return float(self._mean_score(array[kept], observations.values[kept], weights[kept]))

    def _generator(self, random_state):
        """Seed what is drawn after fit."""
        if random_state is None and isinstance(self.random_state, int | np.integer):
            return np.random.default_rng([self.seed_, 1])
        return check_generator(random_state)

    def _warn_of_outliers(self, observations, *, has_trials=False):
        """Warn of observations that are far from all that were simulated, and tell of it."""
        x = observations.values
        rows = x.reshape(-1, *x.shape[2:]) if has_trials else x
        far = self.typical_x_.are_far(rows)
        if not far.any():
            return False
        row = int(np.argmax(far))
        first = row * len(x) // len(rows)
        n_far = np.count_nonzero(far.reshape(len(x), -1).any(axis=1))
        what = self.typical_x_.describe(rows[row : row + 1], self.x_layout_.names)
        single = observations.single
        who = "x is" if single else f"{n_far} of {len(x)} observations in x are"
        where = "" if single else f"in observation {observations.index[first]} "
        warn_user(
            f"{who} far from everything that was simulated: {where}{what}. The posterior there is "
            "an extrapolation and may mean nothing.",
            MisspecificationWarning,
        )
        return True

    def _read_theta(self, theta, observations):
        """Validate theta of shape (n, D) or, for m observations, (m, n, D)."""
        m = len(observations.values)
        if isinstance(theta, pd.Series) and not isinstance(theta.index, pd.RangeIndex):
            theta = theta.to_frame().T
        if getattr(theta, "ndim", 0) == 3 or isinstance(theta, list) and _depth(theta) == 3:
            array = check_numbers(theta, "theta", allow_nd=True)
            if (array.shape[0], array.shape[2]) != (m, self.n_features_in_):
                raise ValueError(
                    f"theta of three dimensions must have shape ({m}, n, {self.n_features_in_}) "
                    f"for {m} observations, got {array.shape}."
                )
        else:
            array = check_theta(self, theta, reset=False)
        if not observations.single and _is_table_of_draws(theta):
            _check_draws_match(theta, observations)
            array = array.reshape(m, -1, array.shape[1])
        return array if self.prior_ is None else undo_rounding(theta, array, self.prior_.support)

    def _pairwise(self, function, theta, observations):
        """Call function(theta, x, rows) pair by pair, whatever the form of theta."""
        m = len(observations.values)
        array = self._read_theta(theta, observations)
        if array.ndim == 2 and m not in (1, len(array)):
            raise ValueError(
                f"theta has {len(array)} rows and x has {m} observations: give as many, or one x."
            )
        draws_each = array.shape[1] if array.ndim == 3 else len(array) // m
        rows = np.repeat(np.arange(m), draws_each)
        flat = array.reshape(-1, array.shape[-1])
        return function(flat, observations.values, rows).reshape(array.shape[:-1])

    def _guarded_log_prob(self, theta, x, rows):
        """Compute log-densities: -inf outside the support, never NaN."""
        return self._guarded(self._log_prob, theta, x, rows)

    def _guarded(self, log_prob, theta, x, rows):
        """Call log_prob inside the support only, and turn NaN into -inf."""
        inside = np.ones(len(theta), bool) if self.prior_ is None else self.prior_.contains(theta)
        result = np.full(len(theta), -np.inf)
        if inside.any():
            result[inside] = log_prob(theta[inside], x, rows[inside])
        return np.nan_to_num(result, nan=-np.inf, posinf=np.inf, neginf=-np.inf)

    def _summarised(self, draws, observations, level):
        """Make the table of a summary."""
        return summary_table(draws, observations, self._parameter_names(), level)

    def _modes(self, log_prob, draws, observations, generator):
        """Find the modes of log_prob(theta, x, rows), beginning at draws of shape (m, k, D)."""
        m, k, d = draws.shape
        rows = np.repeat(np.arange(m), k)

        def to_theta(z):
            return z if self.prior_ is None else self.prior_.from_unbounded(z.reshape(-1, d))

        def log_density(z):
            theta = to_theta(z).reshape(-1, d)
            return log_prob(theta, observations.values, rows).reshape(m, k)

        flat = draws.reshape(-1, d)
        start = flat if self.prior_ is None else self.prior_.to_unbounded(flat)
        best = maximise(log_density, start.reshape(m, k, d), generator)
        return rows_table(to_theta(best).reshape(m, d), observations, self.theta_columns_)

    def _mode_generator(self):
        """Seed the search for modes, which is to give the same in every call."""
        return np.random.default_rng([self.seed_, 2])

    def _parameter_names(self):
        """Name the parameters: theta's columns, the prior's names, or theta_0, theta_1, ..."""
        if self.theta_columns_ is not None:
            return self.theta_columns_
        if self.prior_ is not None and self.prior_.names is not None:
            return list(self.prior_.names)
        return [f"theta_{i}" for i in range(self.n_features_in_)]


def _depth(theta):
    """Count how deep lists of theta are nested, by their first items."""
    return 1 + _depth(theta[0]) if isinstance(theta, list | tuple) and len(theta) else 0


def _is_table_of_draws(theta):
    """Tell a table that sample gave for a batch."""
    return isinstance(theta, pd.DataFrame) and theta.index.names == ["observation", "draw"]


def _check_draws_match(theta, observations):
    """Hold that a table of draws has the observations of x, in order, with as many draws each."""
    m, n = len(observations.values), len(theta)
    labels = theta.index.get_level_values("observation")
    if n % m or not labels.equals(observations.index.repeat(n // m).rename(labels.name)):
        raise ValueError(
            "theta as a table of draws must have the observations of x, in order, with as many "
            f"draws each: x has {list(observations.index)}, theta {list(labels.unique())} in {n} "
            "rows. To pair rows with rows, give theta.to_numpy() and one x a row."
        )
