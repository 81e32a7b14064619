r"""
Ratios by any scikit-learn classifier.

A classifier that tells pairs of the joint p(theta, x), label 1, from pairs of p(theta) p(x), label
0, as many of each, gives at its best

.. math::
    P(1 | \theta, x) = \frac{r(\theta, x)}{1 + r(\theta, x)}, \qquad
    r(\theta, x) = \frac{p(x | \theta)}{p(x)}.

Most classifiers rank well and are over- or underconfident, and any monotone distortion of their
scores distorts the posterior. So scores are calibrated where they were not trained: the simulations
are split into folds, each fold is scored by a classifier that has not seen it, a calibrator turns
these scores into probabilities, and the estimate is the mean over folds. The partner of an x in a
marginal pair comes from its own fold, so that no pair straddles two.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd
import sklearn
from scipy.special import logit
from sklearn.base import MetaEstimatorMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import has_fit_parameter

from sksbi.estimators.base import BaseInference
from sksbi.estimators.log_odds import with_scores
from sksbi.estimators.ratio import RatioMixin
from sksbi.estimators.sampled import SamplerMixin
from sksbi.posteriors.folds import FoldsRecord
from sksbi.posteriors.normaliser import NormaliserRecord, keep_rows
from sksbi.posteriors.ratios import PairwiseRatio
from sksbi.training import warn_of_few
from sksbi.utils.random import seeded_copy
from sksbi.utils.validation import check_instance

__all__ = ["ClassifierRatio"]

# theta further from the simulations than so many of their ranges counts as there.
_REACH = 10
_NO_NUMBERS = ("could not convert", "float()", "must be real")


class ClassifierRatio(SamplerMixin, RatioMixin, MetaEstimatorMixin, BaseInference):
    """
    Ratio r(theta, x) = p(theta | x) / p(theta) by a scikit-learn classifier.

    The classifier sees tables with the columns of theta, then those of x. theta stands where
    scikit-learn has X, x where it has y.

    Parameters
    ----------
    classifier : estimator or None, default=None
        Any scikit-learn classifier with ``predict_proba`` or ``decision_function``, a Pipeline that
        ends in one included. None: ``HistGradientBoostingClassifier()``, which needs no scaling and
        takes missing values. x may have missing and categorical values, and strings, where the
        classifier takes them. After a fit on a DataFrame x it is given DataFrames.
    prior : dict, list, distribution, object or None, default=None
        The prior that theta was drawn from, as in :class:`sksbi.NPE`. None: the fit gives ratios
        and scores only; ``sample``, ``log_prob``, ``summary`` and ``map`` need the prior.
    calibration : {"sigmoid", "isotonic", "temperature"} or None, default="sigmoid"
        How scores become probabilities, see :class:`sklearn.calibration.CalibratedClassifierCV`.
        The score of a classifier without ``decision_function`` is the log-odds of its probability;
        "temperature" is there from scikit-learn 1.8 on.
        "isotonic" is an increasing step function: a little better on single observations with many
        simulations, but its ends are 0 and 1, so that it is far off in the tails, where independent
        trials and ``map`` need it. None: the probabilities of one classifier, trained on all pairs,
        are taken as they are.
    n_folds : int, default=5
        The number of folds for the calibration, and of classifiers; fewer where there are fewer
        than twice as many simulations.
    n_marginal : int, default=1
        The number of other rows' theta that every x is paired with.
    sampler : str, Sampler or callable, default="importance"
        Where draws come from, as in :class:`sksbi.NRE`. Resampling candidates from the prior takes
        one call of the classifier, chains take hundreds. It suffices for one trial, as a ratio
        between 1 / n and n, see ``max_log_ratio_``, cannot make a posterior very narrow; for ten
        independent trials and more the candidates contract onto the posterior. Fit does not use
        it: what is set later takes effect at once.
    n_jobs : int or None, default=None
        How many folds are fitted at once; None asks joblib's context, and is 1 outside one.
    verbose : int, default=0
        Whether to show a progress bar while drawing.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the folds, the pairs, every ``random_state`` in the classifier that is None, and the
        draws.

    Attributes
    ----------
    classifier_ : estimator
        The fitted, calibrated classifier of pairs.
    max_log_ratio_ : float
        Log-ratios are clipped to between minus and plus this, the logarithm of the number of
        simulations: no more can be told from so many.
    prior_ : Prior or None
        The prior, adapted.
    x_layout_ : ObservationLayout
        Shape and columns of x in fit.
    theta_columns_ : list or None
        The columns of theta in fit, if it was a DataFrame.
    n_features_in_ : int
        The number of parameters D.
    feature_names_in_ : ndarray of str
        The parameters' names, if theta was a DataFrame.
    seed_ : int
        The integer that fit drew from ``random_state``.

    References
    ----------
    .. [1] Approximating likelihood ratios with calibrated discriminative classifiers
       (Cranmer et al., 2015) https://arxiv.org/abs/1506.02169

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures, StandardScaler
    >>> from sksbi import ClassifierRatio, simulate
    >>> prior = {"mean": stats.norm(0, 1)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"])
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> classifier = make_pipeline(PolynomialFeatures(), StandardScaler(), LogisticRegression())
    >>> ratio = ClassifierRatio(classifier, prior, calibration="sigmoid", random_state=0)
    >>> ratio.fit(theta, x).predict_ratio(theta, x).shape
    (500,)
    >>> ratio.summary(1.0).index.tolist()
    ['mean']
    """

    _estimates = "ratio"
    _takes_any_table = True
    _parameter_constraints = {
        "classifier": [HasMethods(["fit", "predict"]), None],
        "calibration": [StrOptions({"isotonic", "sigmoid", "temperature"}), None],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "n_marginal": [Interval(Integral, 1, None, closed="left")],
        "sampler": [str, callable],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        classifier=None,
        prior=None,
        *,
        calibration="sigmoid",
        n_folds=5,
        n_marginal=1,
        sampler="importance",
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        self.classifier = classifier
        self.prior = prior
        self.calibration = calibration
        self.n_folds = n_folds
        self.n_marginal = n_marginal
        self.sampler = sampler
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_is_fitted__(self):
        """Tell whether fit has come to its end."""
        return "classifier_" in vars(self)

    def _validate_params(self):
        """Tell a prior in the classifier's place, where other estimators have it."""
        given = self.classifier
        if self.prior is None and isinstance(given, Mapping | list | tuple):
            raise ValueError(
                "classifier must be a scikit-learn classifier or None, got a "
                f"{type(given).__name__}, which looks like a prior: the classifier is first, "
                "so give it as prior=."
            )
        super()._validate_params()

    def _prepare(self):
        """Forget what was learnt."""
        vars(self).pop("classifier_", None)

    def _fit(self, pairs, generator):
        """Pair rows within folds, and fit a classifier of the pairs."""
        check_instance(self.classifier, "classifier")
        _check_gives_probabilities(self.classifier, self.calibration)
        labelled = self._label(pairs, generator)
        warn_of_few(len(pairs))
        classifier = _boosted_trees() if self.classifier is None else self.classifier
        classifier = seeded_copy(classifier, generator)
        if not has_fit_parameter(classifier, "sample_weight") and np.ptp(labelled.weight) > 0:
            labelled = labelled.resampled(generator)
        own, other = (labelled.weight[labelled.label == k].sum() for k in (1, 0))
        low, high = pairs.theta.min(axis=0), pairs.theta.max(axis=0)
        self._reach = low - _REACH * (high - low), high + _REACH * (high - low)
        self._log_odds = float(np.log(own / other))
        self.max_log_ratio_ = float(np.log(len(pairs)))
        self._some_x = keep_rows(pairs.x, pairs.weight)
        self.classifier_ = self._train(classifier, pairs, labelled)

    def _label(self, pairs, generator):
        """Pair every x with its own theta, label 1, and with others of its fold, label 0."""
        folds = self._folds(len(pairs), generator)
        own = np.concatenate(folds)
        n_marginal = int(self.n_marginal)
        others = [_others(fold, n_marginal, generator) for fold in folds]
        theta_rows = np.concatenate([own, *others])
        x_rows = np.concatenate([own, *(np.tile(fold, n_marginal) for fold in folds)])
        label = np.repeat([1, 0], [len(own), len(own) * n_marginal])
        weight = pairs.weight[x_rows] * np.where(label == 1, 1.0, pairs.weight[theta_rows])
        place = np.empty(len(pairs), dtype=np.int64)
        place[own] = np.repeat(np.arange(len(folds)), list(map(len, folds)))
        return _LabelledPairs(theta_rows, x_rows, label, weight, place[x_rows])

    def _folds(self, n, generator):
        """Split the rows at random into folds of two rows and more."""
        n_folds = 1 if self.calibration is None else min(self.n_folds, n // 2)
        if n_folds < 2 and self.calibration is not None:
            raise ValueError(
                f"calibration={self.calibration!r} takes two folds of at least two simulations, "
                f"got n_samples = {n}: give more simulations, or calibration=None."
            )
        return [np.sort(fold) for fold in np.array_split(generator.permutation(n), n_folds)]

    def _train(self, classifier, pairs, labelled):
        """Fit the classifier, with the calibration around it."""
        if self.calibration is not None:
            from sklearn.calibration import CalibratedClassifierCV

            folds = [np.flatnonzero(labelled.fold == k) for k in range(labelled.fold.max() + 1)]
            rows = np.arange(len(labelled.label))
            classifier = CalibratedClassifierCV(
                with_scores(classifier),
                method=self.calibration,
                cv=[(np.setdiff1d(rows, fold), fold) for fold in folds],
                n_jobs=self.n_jobs,
            )
        table = self._table(pairs.theta[labelled.theta_rows], pairs.x[labelled.x_rows])
        if np.ptp(labelled.weight) == 0:
            return self._explained(classifier.fit, table, labelled.label)
        # These are weights of pairs, not the user's: it is not asked what parts request of those.
        with sklearn.config_context(enable_metadata_routing=False):
            weights = {"sample_weight": labelled.weight}
            return self._explained(classifier.fit, table, labelled.label, **weights)

    def _explained(self, method, *args, **options):
        """Call a method of the classifier, and put its errors into our words."""
        try:
            return method(*args, **options)
        except (ValueError, TypeError) as error:
            kind = ValueError if isinstance(error, ValueError) else TypeError
            raise kind(self._explain(error)) from error

    def _explain(self, error):
        """Say in our words why the classifier does not take the table."""
        message = str(error)
        if message.startswith(_NO_NUMBERS):
            return (
                f"x must hold numbers only: {message}. Or take a classifier that encodes what is "
                "no number, such as a Pipeline."
            )
        if "contains NaN" in message:
            return (
                f"x contains NaN, which classifier={self.classifier!r} does not take: "
                "HistGradientBoostingClassifier does, or a Pipeline with an imputer."
            )
        return f"classifier={self.classifier!r} fails on pairs (theta, x): {message}"

    def _table(self, theta, x):
        """Put theta and x side by side."""
        encoder = self.x_layout_.encoder
        if encoder.columns is None:
            return np.hstack([theta, x.reshape(len(x), -1)])
        names = _as_names(self.parameter_names_, "theta")
        x_names = _as_names([column.name for column in encoder.columns], "x")
        if twice := sorted({*names} & {*x_names}):
            raise ValueError(
                "theta and x must have different columns, as the classifier sees both, got "
                f"{twice} in both: rename them in x."
            )
        if not encoder.has_labels:
            return pd.DataFrame(np.hstack([theta, x]), columns=names + x_names)
        x = encoder.decode(x).set_axis(x_names, axis=1)
        return pd.concat([pd.DataFrame(theta, columns=names), x], axis=1)

    def _posterior(self):
        """Assemble the posterior."""
        ratio = PairwiseRatio(self._classify, self.prior_, *self._reach)
        record = NormaliserRecord(ratio, self._some_x)
        if hasattr(self.classifier_, "calibrated_classifiers_"):
            record = FoldsRecord(record, [(ratio, self._classify_by_fold)])
        return self._prior_times(ratio, record)

    def _classify(self, theta, x):
        """Turn the classifier's probabilities into clipped log-ratios."""
        return self._log_ratio(self.classifier_, self._table(theta, x))

    def _classify_by_fold(self, theta, x):
        """Do the same with the classifier of every fold, (K, n)."""
        table = self._table(theta, x)
        folds = self.classifier_.calibrated_classifiers_
        return np.array([self._log_ratio(classifier, table) for classifier in folds])

    def _log_ratio(self, classifier, table):
        """Turn a classifier's probabilities into clipped log-ratios."""
        probability = self._explained(classifier.predict_proba, table)[:, 1]
        with np.errstate(divide="ignore"):
            log_ratio = logit(probability) - self._log_odds
        return np.clip(log_ratio, -self.max_log_ratio_, self.max_log_ratio_)


def _check_gives_probabilities(classifier, calibration):
    """Hold that there are probabilities, of the classifier or of the calibration."""
    has_them = classifier is None or hasattr(classifier, "predict_proba")
    if calibration is None and not has_them:
        raise ValueError(
            "calibration=None takes a classifier with predict_proba, got classifier="
            f"{classifier!r}: set calibration='isotonic' or 'sigmoid'."
        )


def _as_names(columns, prefix):
    """Name columns that are no strings."""
    return [name if isinstance(name, str) else f"{prefix}_{name}" for name in columns]


class _LabelledPairs:
    """Pairs by the numbers of their rows: theta, x, label, weight and fold."""

    def __init__(self, theta_rows, x_rows, label, weight, fold):
        self.theta_rows, self.x_rows = theta_rows, x_rows
        self.label, self.weight, self.fold = label, weight, fold

    def resampled(self, generator):
        """Draw as many pairs of every label by weight, for a classifier that takes no weights."""
        chosen = [
            generator.choice(rows, len(rows), p=self.weight[rows] / self.weight[rows].sum())
            for rows in (np.flatnonzero(self.label == k) for k in (1, 0))
        ]
        rows = np.concatenate(chosen)
        parts = (self.theta_rows, self.x_rows, self.label, np.ones(len(self.label)), self.fold)
        return _LabelledPairs(*(part[rows] for part in parts))


def _boosted_trees():
    """Make the default classifier."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier()


def _others(fold, n_marginal, generator):
    """
    Draw, for every row of a fold, other rows of it: n_marginal times, one after the other.

    With replacement: if both labels had exactly the same values of theta, and of x, no first split
    of a greedy tree would gain anything, and it would not begin.
    """
    n = len(fold)
    shifts = generator.integers(1, n, size=(n_marginal, n))
    return fold[(np.arange(n) + shifts) % n].ravel()
