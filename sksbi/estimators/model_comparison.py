r"""
Which of several simulators made x: their probabilities, and Bayes factors, without likelihoods.

A classifier that is trained on simulations of all models to tell which model each came from learns

.. math::
    p(m | x) = \frac{n_m \, p(x | m)}{\sum_k n_k \, p(x | k)},
    \qquad p(x | m) = \int p(x | \theta, m) \, p(\theta | m) \, d\theta,

the evidence included, since theta varies over its prior in the simulations. Dividing by the shares
n_m gives Bayes factors, and other prior probabilities of the models need no other fit.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sksbi.estimators.blend import fit_blend
from sksbi.estimators.model_answers import ModelAnswersMixin
from sksbi.estimators.model_classifiers import default_classifiers
from sksbi.estimators.model_prior import check_model_prior
from sksbi.estimators.model_simulations import read_simulations
from sksbi.preprocessing import TypicalObservations
from sksbi.utils.interrupts import unchanged_on
from sksbi.utils.random import check_generator, draw_seed, seeded_copy
from sksbi.utils.tasks import CallbackSupportMixin, fit_task, with_callbacks
from sksbi.utils.validation import check_instance

__all__ = ["ModelComparison"]


class ModelComparison(
    ModelAnswersMixin, CallbackSupportMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator
):
    """
    Probabilities of models given x, by a calibrated classifier of simulations.

    A scikit-learn classifier: X is the observation x and y the model that each simulation came
    from, each with parameters drawn from that model's prior.

    Parameters
    ----------
    classifier : classifier or None, default=None
        What tells models apart, with ``predict_proba``. None: logistic regression on squares and
        products, boosted trees and a network, each of which counts as much as its probabilities
        for held-out simulations deserve. Tables with missing and categorical values are taken.
    prior : None, "equal", dict or array-like of shape (K,), default=None
        The probabilities of the models before x was seen: by model, or in the order of
        ``classes_``. None: as often as they occur in y. "equal": each the same.
    calibration : "temperature" or None, default="temperature"
        Whether probabilities are made as sharp as held-out simulations say.
    n_folds : int, default=5
        The number of folds, each of which is held out once; the answer is the mean over the fits.
    n_jobs : int or None, default=None
        How many fits run at once, as in joblib.
    random_state : None, int, RandomState or Generator, default=None
        Seeds folds and classifiers.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The models.
    prior_ : Series
        Their probabilities before x was seen.
    shares_ : Series
        The shares of the simulations that are theirs.
    weights_ : Series
        What each classifier counts.
    temperature_ : float
        What logarithms of probabilities are divided by; above 1 the classifiers were too sure.
    log_loss_ : float
        The mean of minus log-probabilities of the right model over held-out simulations.
    blend_ : Blend
        The fitted classifiers.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of str
        Their names, if X was a DataFrame.
    seed_ : int
        The integer that fit drew from ``random_state``.

    See Also
    --------
    sksbi.diagnostics.diagnose_models : Whether the probabilities can be trusted.
    sksbi.NLE.log_evidence : The evidence of one model, by its likelihood.

    Notes
    -----
    No more can be told than n simulations know: one pseudo-observation of each model is added, so
    that no probability is below about 1 / n.

    Rows of x that are NaN throughout are failed simulations. They count in the shares: a model
    whose simulations often fail is less likely to have made an x that was observed.

    Bayes factors depend on the priors of the parameters, however many data there are: wide priors
    are punished. And they compare models with each other, not with the data: an x that no model
    makes gets probabilities, too, and a warning where x is far from all simulations.

    References
    ----------
    .. [1] Reliable ABC model choice via random forests (Pudlo et al., 2016).
       https://arxiv.org/abs/1406.6288
    .. [2] A deep learning method for comparing Bayesian hierarchical models (Elsemüller et al.,
       2023). https://arxiv.org/abs/2301.11873
    .. [3] Evidence networks: simple losses for fast, amortized, neural Bayesian model comparison
       (Jeffrey and Wandelt, 2023). https://arxiv.org/abs/2305.11241

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi import ModelComparison
    >>> rng = np.random.default_rng(0)  # ten waiting times: do they have a memory?
    >>> mean = rng.lognormal(size=(400, 1))
    >>> exponential = mean[:200] * rng.exponential(size=(200, 10))
    >>> gamma = mean[200:] * rng.gamma(5, 1 / 5, size=(200, 10))
    >>> x = np.log(np.vstack([exponential, gamma]))
    >>> summaries = np.column_stack([x.mean(axis=1), x.std(axis=1)])
    >>> models = np.repeat(["exponential", "gamma"], 200)
    >>> comparison = ModelComparison(random_state=0).fit(summaries, models)
    >>> comparison.predict([[0.0, 1.2], [0.0, 0.4]])
    array(['exponential', 'gamma'], dtype='<U11')
    >>> bool(comparison.summary([0.0, 0.4]).loc["gamma", "probability"] > 0.9)
    True
    """

    _parameter_constraints = {
        "classifier": [HasMethods(["fit", "predict_proba"]), None],
        "calibration": [StrOptions({"temperature"}), None],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        classifier=None,
        prior=None,
        *,
        calibration="temperature",
        n_folds=5,
        n_jobs=None,
        random_state=None,
    ):
        self.classifier = classifier
        self.prior = prior
        self.calibration = calibration
        self.n_folds = n_folds
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = self.classifier
        tags.input_tags.allow_nan = own is None or get_tags(own).input_tags.allow_nan
        return tags

    @with_callbacks
    def fit(self, X, y):
        """
        Learn to tell models apart.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, L) or (n, ...)
            The simulations x of all models. Rows that are all NaN, failed simulations, only count.
        y : array-like of shape (n,)
            The model of each: a number, a name.

        Returns
        -------
        ModelComparison
            Itself.

        Raises
        ------
        ValueError, TypeError
            If X or y is not as above, there are fewer than two models, or a model has fewer than
            two simulations that succeeded; or if a parameter is wrong.
        """
        self._validate_params()
        check_instance(self.classifier, "classifier")
        with fit_task(self, X, y), unchanged_on(KeyboardInterrupt, self):
            self._learn(X, y)
        return self

    def _learn(self, X, y):
        """Read simulations and models, and fit the blend."""
        generator = check_generator(self.random_state)
        self.seed_ = draw_seed(generator)
        simulated = read_simulations(self, X, y)
        shares = simulated.counts / simulated.counts.sum()
        prior = check_model_prior(self.prior, simulated.models, shares)
        splits = simulated.split(int(self.n_folds), self.seed_)
        classifiers = self._classifiers(simulated, generator)
        table = simulated.for_classifiers(as_given=self.classifier is not None)
        calibrated = self.calibration is not None
        blend = fit_blend(
            classifiers, table, simulated.classes, splits, calibrated=calibrated, n_jobs=self.n_jobs
        )
        self.classes_ = simulated.models
        index = pd.Index(self.classes_, name="model")
        self.shares_, self.prior_ = pd.Series(shares, index), pd.Series(prior, index)
        self.x_layout_ = simulated.layout
        self.typical_x_ = TypicalObservations(simulated.values)
        self.blend_, self.temperature_, self.log_loss_ = blend, blend.temperature, blend.log_loss
        self.weights_ = pd.Series(blend.shares, name="weight")

    def _classifiers(self, simulated, generator):
        """Copy the classifier, or make the default ones."""
        if self.classifier is not None:
            return {type(self.classifier).__name__: seeded_copy(self.classifier, generator)}
        n_fewest = int(np.bincount(simulated.classes).min())
        table, seed = simulated.for_classifiers(as_given=False), draw_seed(generator)
        return default_classifiers(table, simulated.categorical, n_fewest, seed)
