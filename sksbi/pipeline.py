"""
A Pipeline whose steps act on x.

scikit-learn's own Pipeline would send theta, which stands in X's place, through the transformers.
This one sends x through them, and theta to the estimator at the end.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import sklearn.pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sksbi.estimators.base import BaseInference
from sksbi.priors import check_prior
from sksbi.tables.templates import as_table, shape_error, template_of
from sksbi.utils.signature import answers_to_X_y
from sksbi.utils.validation import check_numbers

__all__ = ["Pipeline", "make_pipeline"]


def _final_has(name):
    """Tell whether the last step has a method."""
    return available_if(lambda self: hasattr(self.steps[-1][1], name))


class Pipeline(sklearn.pipeline.Pipeline):
    """
    Transformers of x, and an inference estimator at the end.

    x goes to the first step as it is: tables with strings and categories, images, whatever the step
    takes. theta is the y of the transformers, for those that learn from it. The x of a pair given
    as the estimator's ``validation_fraction`` goes through the fitted transformers too.

    Parameters
    ----------
    steps : list of (str, estimator)
        The transformers and, last, the estimator, such as ``NPE``.
    memory : str, joblib.Memory or None, default=None
        Where to cache fitted transformers.
    verbose : bool, default=False
        Whether to print the time of each step.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sksbi import NPE
    >>> from sksbi.pipeline import Pipeline
    >>> rng = np.random.default_rng(0)
    >>> theta = rng.normal(size=(300, 1))
    >>> x = theta + rng.normal(size=(300, 20))
    >>> pipe = Pipeline([("pca", PCA(3)), ("npe", NPE(max_epochs=3, random_state=0))])
    >>> pipe.fit(theta, x).sample(x[0], 5).shape
    (5, 1)
    """

    def __init__(self, steps, *, memory=None, verbose=False):
        super().__init__(steps, memory=memory, verbose=verbose)

    @answers_to_X_y
    def fit(self, theta, x=None, **params):
        """
        Fit the transformers on x, then the estimator.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters.
        x : array-like, Series or DataFrame of shape (n, ...)
            What was simulated from them.
        **params : object
            Parameters of the steps' ``fit``, as ``step__parameter``.

        Returns
        -------
        Pipeline
            Itself.

        Raises
        ------
        TypeError
            If the last step is no inference estimator.
        ValueError
            If a parameter belongs to no step, or the last step's prior has another number of
            parameters than theta.
        """
        name, final = self.steps[-1]
        if not hasattr(final, "sample"):
            raise TypeError(
                f"the last step must be an inference estimator, such as NPE, got {final!r}; for a "
                "predictor take scikit-learn's own Pipeline."
            )
        if x is None:
            raise ValueError("Pipeline requires y to be passed, but the target y is None: y is x.")
        n_features = check_numbers(theta, "theta").shape[1]
        if isinstance(final, BaseInference) and final.prior is not None:
            check_prior(final.prior, n_features)  # before the transformers take their time
        ours, theirs = _split_parameters(params, name, [step for step, _ in self.steps])
        transformers = self._transformers()
        transformed = transformers.fit_transform(x, theta, **theirs)
        self.steps = [*transformers.steps[:-1], (name, final)]
        self.x_template_ = template_of(x)
        self._fit_final(theta, transformed, ours)
        return self

    def _fit_final(self, theta, transformed, params):
        """Fit the last step; the x of a validation pair is transformed for the while."""
        final = self.steps[-1][1]
        pairs = _validation_pairs(final)
        if not pairs:
            final.fit(theta, transformed, **params)
            return
        changed = {name: (pair[0], self._transform(pair[1])) for name, pair in pairs.items()}
        try:
            final.set_params(**changed).fit(theta, transformed, **params)
        finally:
            final.set_params(**pairs)

    def _transformers(self):
        """Build scikit-learn's own Pipeline of all steps but the last."""
        steps = [*self.steps[:-1], ("passthrough", "passthrough")]
        return sklearn.pipeline.Pipeline(steps, memory=self.memory, verbose=self.verbose)

    def _transform_observations(self, x, options):
        """Transform what is asked of the fitted pipeline, trials too if the options say iid."""
        check_is_fitted(self)
        return self._transform_trials(x) if options.get("iid") is True else self._transform(x)

    def _transform_trials(self, x):
        """Send the trials of one observation or of a batch through the transformers."""
        n_dimensions = self.x_template_.ndim
        if np.ndim(x) == n_dimensions:
            return self._transform(x)
        if np.ndim(x) != n_dimensions + 1:
            raise shape_error(x, self.x_template_, iid=True)
        array = np.asarray(x)
        rows = np.asarray(self._transform(array.reshape(-1, *array.shape[2:])))
        return rows.reshape(*array.shape[:2], *rows.shape[1:])

    def _transform(self, x):
        """Send one observation or a batch through the transformers, and keep which it was."""
        if x is None:
            raise ValueError(
                "x must be one observation or a batch in the form of fit's x, got None."
            )
        template = getattr(self, "x_template_", None)
        table, single = (x, False) if template is None else as_table(x, template)
        transformed = self._transformers().transform(table)
        if single:
            return transformed.iloc[0] if isinstance(transformed, pd.DataFrame) else transformed[0]
        is_matrix = isinstance(transformed, np.ndarray) and transformed.ndim == 2
        if is_matrix and isinstance(table, pd.DataFrame):
            return pd.DataFrame(transformed, index=table.index)
        return transformed

    @_final_has("sample")
    def sample(self, x, n_samples=1000, **options):
        """
        Draw from the posterior.

        Parameters
        ----------
        x : object
            One observation or a batch, in the form of fit's x.
        n_samples : int, default=1000
            The number of draws for every observation.
        **options : object
            Further arguments of the last step's ``sample``, such as ``random_state`` or ``iid``.

        Returns
        -------
        ndarray or DataFrame
            As from the last step's ``sample``.
        """
        observations = self._transform_observations(x, options)
        return self.steps[-1][1].sample(observations, n_samples, **options)

    @_final_has("sample_chains")
    def sample_chains(self, x, n_samples=1000, **options):
        """
        Run the sampler's Markov chains, and keep them apart.

        Parameters
        ----------
        x : object
            One observation or a batch, in the form of fit's x.
        n_samples : int, default=1000
            The number of draws that the chains are made for.
        **options : object
            Further arguments of the last step's ``sample_chains``.

        Returns
        -------
        ndarray
            As from the last step's ``sample_chains``.
        """
        observations = self._transform_observations(x, options)
        return self.steps[-1][1].sample_chains(observations, n_samples, **options)

    @_final_has("summary")
    def summary(self, x, **options):
        """
        Summarise the posterior in a table.

        Parameters
        ----------
        x : object
            One observation or a batch, in the form of fit's x.
        **options : object
            Further arguments of the last step's ``summary``.

        Returns
        -------
        DataFrame
            As from the last step's ``summary``.
        """
        return self.steps[-1][1].summary(self._transform_observations(x, options), **options)

    @_final_has("map")
    def map(self, x, **options):
        """
        Find the theta of highest posterior density.

        Parameters
        ----------
        x : object
            One observation or a batch, in the form of fit's x.
        **options : object
            Further arguments of the last step's ``map``.

        Returns
        -------
        ndarray, Series or DataFrame
            As from the last step's ``map``.
        """
        return self.steps[-1][1].map(self._transform_observations(x, options), **options)

    @_final_has("log_prob")
    def log_prob(self, theta, x, **options):
        """
        Compute the log-density log q(theta | x).

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : object
            Observations in the form of fit's x.
        **options : object
            Further arguments of the last step's ``log_prob``, such as ``iid``.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            As from the last step's ``log_prob``.
        """
        observations = self._transform_observations(x, options)
        return self.steps[-1][1].log_prob(theta, observations, **options)

    @_final_has("predict_log_ratio")
    def predict_log_ratio(self, theta, x, **options):
        """
        Estimate log r(theta, x) = log p(theta | x) - log p(theta).

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : object
            Observations in the form of fit's x.
        **options : object
            Further arguments of the last step's ``predict_log_ratio``, such as ``iid``.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            As from the last step's ``predict_log_ratio``.
        """
        observations = self._transform_observations(x, options)
        return self.steps[-1][1].predict_log_ratio(theta, observations, **options)

    @_final_has("predict_ratio")
    def predict_ratio(self, theta, x, **options):
        """
        Estimate r(theta, x) = p(theta | x) / p(theta).

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : object
            Observations in the form of fit's x.
        **options : object
            Further arguments of the last step's ``predict_ratio``, such as ``iid``.

        Returns
        -------
        ndarray of shape (n,) or (m, n)
            As from the last step's ``predict_ratio``.
        """
        observations = self._transform_observations(x, options)
        return self.steps[-1][1].predict_ratio(theta, observations, **options)

    @_final_has("credible_region")
    def credible_region(self, x, level=0.9, **options):
        """
        Give the calibrated highest-density region.

        Parameters
        ----------
        x : object
            One observation or a batch, in the form of fit's x.
        level : float, default=0.9
            The coverage, between 0 and 1.
        **options : object
            Further arguments of the last step's ``credible_region``.

        Returns
        -------
        float or ndarray of shape (m,)
            As from the last step's ``credible_region``.
        """
        observations = self._transform_observations(x, options)
        return self.steps[-1][1].credible_region(observations, level, **options)

    @_final_has("nominal_level")
    def nominal_level(self, level):
        """
        Tell which highest-density region of the uncalibrated posterior has this coverage.

        Parameters
        ----------
        level : float
            The wanted coverage, between 0 and 1.

        Returns
        -------
        float
            As from the last step's ``nominal_level``.
        """
        return self.steps[-1][1].nominal_level(level)

    @_final_has("in_region")
    def in_region(self, theta, x, level=0.9, **options):
        """
        Tell whether parameters lie in the calibrated region.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D) or (m, n, D)
            The parameters.
        x : object
            Observations in the form of fit's x.
        level : float, default=0.9
            The coverage, between 0 and 1.
        **options : object
            Further arguments of the last step's ``in_region``.

        Returns
        -------
        ndarray of bool, of shape (n,) or (m, n)
            As from the last step's ``in_region``.
        """
        observations = self._transform_observations(x, options)
        return self.steps[-1][1].in_region(theta, observations, level, **options)

    @answers_to_X_y
    @_final_has("score")
    def score(self, theta, x=None, sample_weight=None):
        """
        Score held-out pairs, higher is better.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters.
        x : object
            What was simulated from them, in the form of fit's x.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.

        Returns
        -------
        float
            As from the last step's ``score``.
        """
        transformed = self._transform_observations(x, {})
        options = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.steps[-1][1].score(theta, transformed, **options)

    @property
    def history_(self):
        """Training history of the last step: one row an epoch."""
        return self.steps[-1][1].history_

    @property
    def n_features_in_(self):
        """Number of parameters D, as theta stands in X's place."""
        return self.steps[-1][1].n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the parameters, if theta was a DataFrame."""
        return self.steps[-1][1].feature_names_in_


def make_pipeline(*steps, memory=None, verbose=False):
    """
    Build a Pipeline, with the steps named after their classes.

    Parameters
    ----------
    *steps : estimator
        The transformers and, last, the estimator.
    memory : str, joblib.Memory or None, default=None
        Where to cache fitted transformers.
    verbose : bool, default=False
        Whether to print the time of each step.

    Returns
    -------
    Pipeline
        The pipeline.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sksbi import NPE
    >>> from sksbi.pipeline import make_pipeline
    >>> make_pipeline(StandardScaler(), NPE()).named_steps.npe
    NPE()
    """
    named = sklearn.pipeline.make_pipeline(*steps).steps
    return Pipeline(named, memory=memory, verbose=verbose)


def _validation_pairs(final):
    """Find pairs (theta, x) given as the validation_fraction of an estimator or of its parts."""
    parameters = final.get_params() if hasattr(final, "get_params") else {}
    return {
        name: value
        for name, value in parameters.items()
        if name.split("__")[-1] == "validation_fraction"
        and isinstance(value, tuple)
        and len(value) == 2
    }


def _split_parameters(params, final, steps):
    """Split step__parameter into the last step's and the transformers'."""
    for key in params:
        if key.split("__")[0] not in steps or "__" not in key:
            raise ValueError(
                f"Pipeline.fit does not accept {key!r}: give step__parameter with a step of "
                f"{steps}, such as {final}__sample_weight."
            )
    prefix = final + "__"
    ours = {k[len(prefix) :]: v for k, v in params.items() if k.startswith(prefix)}
    return ours, {k: v for k, v in params.items() if not k.startswith(prefix)}
