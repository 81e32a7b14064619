"""
The estimator base: what every estimator promises, whatever it computes inside.

``fit`` reads tables, and hands arrays to the family as :class:`sksbi.data.Pairs`; what the family
leaves is asked as a :class:`sksbi.posteriors.base.Posterior`, by the methods of
:mod:`sksbi.estimators.asking`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if

from sksbi._version import __version__
from sksbi.data import Pairs, PairsOnDisk, of_all, template, too_large
from sksbi.estimators.asking import AskingMixin
from sksbi.estimators.doubt import look_at_edges
from sksbi.estimators.marginal import MarginalPosterior
from sksbi.estimators.readable import ReadableMixin
from sksbi.exceptions import VersionWarning
from sksbi.preprocessing import TypicalObservations
from sksbi.priors import check_prior
from sksbi.tables.layout import ObservationLayout
from sksbi.tables.names import check_pairs
from sksbi.tables.theta import (
    check_against_prior,
    read_theta,
    theta_table,
    warn_of_far_theta,
    warn_of_few_values,
)
from sksbi.utils.columns import find_columns
from sksbi.utils.interrupts import unchanged_on
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.signature import answers_to_X_y
from sksbi.utils.tasks import CallbackSupportMixin, fit_task, with_callbacks
from sksbi.utils.validation import check_weights
from sksbi.utils.warn import warn_user

__all__ = ["BaseInference"]


def _has_marginals(estimator):
    """Tell whether the fitted posterior has marginals of its own, or say why there are none."""
    name = type(estimator).__name__
    if not estimator.__sklearn_is_fitted__():
        raise AttributeError(f"marginals are those of a fitted posterior: call {name}.fit first.")
    if not hasattr(estimator._posterior(), "marginal"):
        raise AttributeError(
            f"what {name} has learnt has no marginals of its own: take AMNPE or AMNRE, or the "
            "columns of its draws."
        )
    return True


class BaseInference(ReadableMixin, AskingMixin, CallbackSupportMixin, BaseEstimator, ABC):
    """
    Base of all estimators of p(theta | x).

    theta stands in scikit-learn's X slot and x in its y slot, so that ``GridSearchCV`` and its kin
    split both. Subclasses have ``prior``, as a parameter or a property, and the parameter
    ``random_state``; they fill in what learns, and what assembles the posterior, and say in
    ``_estimates`` what that rests on: "posterior", "ratio" or "likelihood".

    Attributes
    ----------
    n_features_in_ : int
        The number of parameters D.
    feature_names_in_ : ndarray of str
        The parameters' names, if theta was a DataFrame.
    parameter_names_ : list
        Names of the parameters in any case.
    seed_ : int
        The integer that fit drew from ``random_state``.
    typical_x_ : TypicalObservations
        The region that x filled in fit, from which ``sample`` warns of outliers.
    """

    _estimates = "posterior"
    _takes_any_table, _may_miss = False, True
    _has_trials, _reads_disk = False, False
    _n_tasks: int | None = 0

    __metadata_request__fit = {"theta": UNUSED, "x": UNUSED}
    __metadata_request__score = {"theta": UNUSED, "x": UNUSED}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags

    @abstractmethod
    def _fit(self, pairs, generator):
        """
        Learn from pairs of positive weight, which hold those that failed aside.

        A KeyboardInterrupt that leaves something to go on with is returned.
        """

    @abstractmethod
    def __sklearn_is_fitted__(self):
        """Tell whether fit has come to its end."""

    @abstractmethod
    def _prepare(self):
        """Forget what was learnt, or hold that a warm start can go on from it."""

    @answers_to_X_y
    @with_callbacks
    def fit(self, theta, x, sample_weight=None):
        """
        Learn from simulated pairs; scikit-learn has theta in X's place and x in y's.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters, one simulation a row. The prior must be positive there. A table of any
            library that narwhals reads (pandas, polars, pyarrow), or of one parameter a Series with
            a name, has its columns compared with the prior's names; draws are then a pandas
            DataFrame.
        x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
            What was simulated from them: finite numbers; tables as for theta. Rows that are all NaN
            count as failed simulations, as ``simulate(on_error="keep")`` marks them: densities
            learn from the others, and ratios learn the probability of success as well.
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
            If there are hardly any simulations, a network learnt nothing, float32 cannot hold what
            x tells, or theta cannot have come from the prior.
        UserWarning
            If theta and x have the same index labels in another order: rows are paired by position.

        Notes
        -----
        Ctrl-C raises, and leaves the estimator as it was before. With ``warm_start=True`` it keeps
        the best weights so far, after an epoch at least: see ``interrupted_``.
        """
        if x is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "fit(theta, x) the simulated observations x."
            )
        self._validate_params()
        # What a fit goes on from must not be mixed with what a broken one has read.
        before = unchanged_on(BaseException if self._resumes() else KeyboardInterrupt, self)
        with fit_task(self, theta, x, self._n_tasks), before:
            interrupt = self._learn(theta, x, sample_weight, self._fit)
        if interrupt is not None:
            raise interrupt
        return self

    def _validate_params(self):
        """Validate the parameters as scikit-learn does, whose intervals take no fractions."""
        given = self.get_params(deep=False)
        plain = {k: float(v) if isinstance(v, Fraction) else v for k, v in given.items()}
        name = type(self).__name__
        validate_parameter_constraints(self._parameter_constraints, plain, caller_name=name)

    def _learn(self, theta, x, sample_weight, learn):
        """Read tables, and learn from them; return what interrupted that and is to be raised."""
        resumes = self._resumes()
        self._prepare()
        large = too_large(theta, x) if self._reads_disk and learn == self._fit else None
        if large is None:
            array, x_array = self._learn_tables(theta, x, sample_weight)
        else:
            self._learn_template(*large)
        n_rows = len(array) if large is None else len(large[0])
        weights = check_weights(sample_weight, n_rows)
        self.seed_ = draw_seed(check_generator(self.random_state))
        generator = np.random.default_rng(self.seed_)
        if large is None:
            pairs = Pairs.of_positive_weight(array, x_array, weights).succeeded()
        else:
            weights = None if sample_weight is None else weights
            pairs = PairsOnDisk(*large, self._read_pairs, weights)
            hashed = getattr(self, "checkpoint", None) is not None
            pairs.scan(generator, hashed=hashed, verbose=getattr(self, "verbose", 0))
        if self.prior_ is not None:
            some = pairs.some
            warn_of_far_theta(some.theta, some.weight, self.prior_, self.parameter_names_)
        if self._estimates in ("posterior", "field"):
            warn_of_few_values(pairs.some.theta, self.parameter_names_)
        self._learn_success(pairs.some, generator)
        interrupt = learn(pairs, generator)
        x, before = self.x_layout_.flat(pairs.some.x), self.typical_x_ if resumes else None
        look_at_edges(self, x, goes_on=resumes, whole=len(pairs.some) == len(pairs))
        self.typical_x_ = TypicalObservations(x) if before is None else before.joined(x)
        return interrupt

    def _learn_template(self, theta, x):
        """Learn what lazy tables look like, from some of their rows."""
        *some, rows = template(theta, x)
        try:
            self._learn_tables(*some, None)
        except (ValueError, TypeError) as error:
            raise of_all(error, rows) from error

    def _learn_tables(self, theta, x, sample_weight):
        """Learn what theta and x look like, from all or some of them, and read these as arrays."""
        resumes = self._resumes()
        given, theta = theta, theta_table(theta)
        array = read_theta(self, theta, reset=not resumes, minimum=2)
        layout, x_array = ObservationLayout.learn(
            x,
            encoded=self._takes_any_table,
            trials=self._has_trials,
            may_miss=self._may_miss,
        )
        check_pairs(given, x, sample_weight, trials=layout.trials)
        if resumes and layout != self.x_layout_:
            raise ValueError(
                f"x must be as in the fit that warm_start goes on from, {self.x_layout_}, got "
                f"{layout}."
            )
        self.x_layout_ = layout
        self.prior_ = None
        if self.prior is not None:
            self.prior_ = check_prior(self.prior, n_features=array.shape[1])
            array = check_against_prior(theta, array, self.prior_)
        self.theta_columns_ = list(theta.columns) if isinstance(theta, pd.DataFrame) else None
        return array, x_array

    def _read_pairs(self, theta, x):
        """Read some rows of what tables look like as known."""
        array = read_theta(self, theta)
        if self.prior_ is not None:
            array = check_against_prior(theta, array, self.prior_)
        return array, self.x_layout_.read(x, simulated=True).values

    def _learn_success(self, pairs, generator):
        """Learn from failed simulations what the family needs: a density needs nothing."""

    def __getstate__(self):
        return super().__getstate__() | {"_sksbi_version": __version__}

    def __setstate__(self, state):
        version = state.get("_sksbi_version")
        if version != __version__:
            warn_user(
                f"this {type(self).__name__} was saved by sksbi {version} and is loaded by "
                f"{__version__}; it may break or give wrong results: fit it again, or load it with "
                "the version that saved it.",
                VersionWarning,
            )
        super().__setstate__({k: v for k, v in state.items() if k != "_sksbi_version"})

    @available_if(_has_marginals)
    def marginal(self, columns):
        """
        Give the posterior of some of the parameters.

        Parameters
        ----------
        columns : sequence of str or int
            The parameters, by name or by position, in the order wanted.

        Returns
        -------
        MarginalPosterior
            A fitted estimator of these parameters. It survives ``clone``, and its ``fit`` does
            nothing.

        Raises
        ------
        TypeError, ValueError
            If a parameter does not exist, stands twice, or there is none; if the prior has no
            marginal of these, or fit did not learn theirs.
        """
        names = self.parameter_names_
        positions = find_columns(columns, names, len(names))
        self._posterior().marginal(positions)  # what cannot be had is told here
        return MarginalPosterior(self, positions)

    def _resumes(self):
        """Tell whether fit goes on from the present state."""
        goes_on = getattr(self, "warm_start", False) or getattr(self, "_streams", False)
        return goes_on and self.__sklearn_is_fitted__()
