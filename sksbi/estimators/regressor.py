"""The posterior mean as a scikit-learn regressor, x -> theta."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from sksbi.estimators.npe import NPE
from sksbi.estimators.readable import ReadableMixin
from sksbi.tables.features import validated_X
from sksbi.tables.names import check_pairs
from sksbi.utils.batches import batches
from sksbi.utils.containers import plain
from sksbi.utils.failures import without_failures
from sksbi.utils.interrupts import unchanged_on
from sksbi.utils.random import check_generator, draw_seed, draw_seeds
from sksbi.utils.settings import check_flag
from sksbi.utils.tasks import (
    CallbackSupportMixin,
    fit_task,
    new_task,
    with_callbacks,
    within,
)
from sksbi.utils.validation import (
    check_instance,
    check_lengths,
    check_numbers,
)

__all__ = ["PosteriorRegressor"]

_DRAWS_PER_BATCH = 100_000


class PosteriorRegressor(
    ReadableMixin, CallbackSupportMixin, RegressorMixin, MetaEstimatorMixin, BaseEstimator
):
    """
    Regressor x -> theta by the mean of the posterior.

    Here X is the observation and y the parameters, as scikit-learn's own Pipeline,
    ``cross_val_predict`` and ``TransformedTargetRegressor`` expect.

    Parameters
    ----------
    estimator : estimator or None, default=None
        What estimates the posterior, with ``fit(theta, x)`` and ``sample``; None: ``NPE()``.
    n_samples : int, default=1000
        The number of draws behind each prediction.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the estimator and the draws; None leaves the estimator's own seed.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of str
        The names of the columns, if X was a DataFrame.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi import NPE, PosteriorRegressor
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=300)
    >>> x = theta[:, None] + 0.1 * rng.normal(size=(300, 2))
    >>> regressor = PosteriorRegressor(NPE(max_epochs=20, lr=1e-2), n_samples=100, random_state=0)
    >>> mean, sd = regressor.fit(x, theta).predict(x[:2], return_std=True)
    >>> mean.shape, sd.shape
    ((2,), (2,))
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "sample"]), None],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, estimator=None, *, n_samples=1000, random_state=None):
        self.estimator = estimator
        self.n_samples = n_samples
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @with_callbacks
    def fit(self, X, y, **fit_params):
        """
        Fit the posterior estimator.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, L)
            The observations x. Rows that are all NaN, failed simulations, are left out.
        y : array-like, Series or DataFrame of shape (n,) or (n, D)
            The parameters theta.
        **fit_params : object
            Further arguments of the estimator's ``fit``, such as ``sample_weight``. With
            scikit-learn's metadata routing, ``enable_metadata_routing=True``: what the estimator
            has requested.

        Returns
        -------
        PosteriorRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            If X or y is not as above.
        """
        self._validate_params()
        check_instance(self.estimator, "estimator")
        if y is None:
            raise ValueError(
                "PosteriorRegressor requires y to be passed, but the target y is None: y is theta."
            )
        with fit_task(self, X, y, 1), unchanged_on(KeyboardInterrupt, self):
            self._learn(X, y, fit_params)
        return self

    def _learn(self, X, y, fit_params):
        """Read tables, and fit a clone of the estimator."""
        options = {"ensure_min_samples": 2, "ensure_all_finite": "allow-nan"}
        x, theta = validated_X(self, X, **options), plain(y, "y")
        theta = (
            theta if isinstance(theta, pd.DataFrame) else check_numbers(theta, "y", ensure_2d=False)
        )
        check_lengths(X=x, y=theta)
        check_pairs(y, X)
        self._is_column = np.ndim(theta) == 1
        theta = np.reshape(theta, (-1, 1)) if self._is_column else theta
        generator = check_generator(self.random_state)
        self.seed_ = draw_seed(generator)
        if sklearn.get_config()["enable_metadata_routing"]:
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        self.estimator_ = clone(self._to_fit())
        if self.random_state is not None:
            self.estimator_.set_params(**draw_seeds(self.estimator_, generator))
        with within(new_task(self, "posterior"), self, self.estimator_):
            self.estimator_.fit(theta, x, **fit_params)

    def predict(self, X, return_std=False):
        """
        Predict the posterior mean.

        The draws for every row use the same noise, in every call, so predictions are deterministic
        and do not depend on the other rows, but for the rounding of matrix products.

        Parameters
        ----------
        X : array-like or DataFrame of shape (m, L)
            The observations.
        return_std : bool, default=False
            Whether to return the posterior standard deviation too.

        Returns
        -------
        ndarray of shape (m,) or (m, D)
            The means; 1-d if y was 1-d in fit. With ``return_std`` a tuple of means and standard
            deviations.
        """
        check_is_fitted(self)
        return_std = check_flag(return_std, "return_std")
        x = validated_X(self, X, reset=False)
        mean, std = np.moveaxis(self._moments(x), 1, 0)
        if self._is_column:
            mean, std = mean[:, 0], std[:, 0]
        return (mean, std) if return_std else mean

    def score(self, X, y, sample_weight=None):
        """
        Compute R squared over the simulations that succeeded.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, L)
            The observations x. Rows that are all NaN, failed simulations, are left out.
        y : array-like, Series or DataFrame of shape (n,) or (n, D)
            The parameters theta.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        float
            R squared.
        """
        if sample_weight is not None:
            sample_weight = without_failures(np.asarray(sample_weight), X)[0]
        y, X = without_failures(y, X)
        return super().score(X, y, sample_weight)

    def get_metadata_routing(self):
        """
        Tell what is routed where: what is given to ``fit`` goes to the estimator.

        Returns
        -------
        MetadataRouter
            As :ref:`scikit-learn's user guide <metadata_routing>` describes.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self._to_fit(), method_mapping=mapping)

    def _to_fit(self):
        """Give the estimator, or the default, which requests weights where requests count."""
        if self.estimator is not None:
            return self.estimator
        requests = sklearn.get_config()["enable_metadata_routing"]
        return NPE().set_fit_request(sample_weight=True) if requests else NPE()

    def _moments(self, x):
        """Compute mean and standard deviation of the posterior for every row, (m, 2, D)."""
        n_samples = int(self.n_samples)
        if not hasattr(self.estimator_, "_ask_batch"):
            options = {"n_samples": n_samples, "random_state": self.seed_}
            return np.array([_mean_and_std(self.estimator_.sample(row, **options)) for row in x])
        asked, moments = self.estimator_._ask_batch(x), []
        for part in batches(len(x), _DRAWS_PER_BATCH // n_samples):
            noise = np.random.default_rng(self.seed_)
            draws = asked.draw(part, n_samples, noise, shared_noise=True)
            moments += [_mean_and_std(one) for one in draws.theta]
        asked.warn()
        return np.array(moments)


def _mean_and_std(draws):
    """Compute both of draws (n, D)."""
    draws = np.ascontiguousarray(draws)
    return draws.mean(axis=0), draws.std(axis=0)
