"""
A Pipeline whose steps act on x.

scikit-learn's own Pipeline would send theta, which stands in X's place, through the transformers.
This one sends x through them, and theta to the estimator at the end.
"""

from __future__ import annotations

import functools
import inspect
import traceback
from contextlib import contextmanager
from copy import copy

import numpy as np
import pandas as pd
import sklearn
import sklearn.pipeline
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sksbi._pipeline_likelihood import LikelihoodOfStepsMixin
from sksbi.estimators import CalibratedPosterior
from sksbi.estimators.asking import AskingMixin
from sksbi.estimators.base import BaseInference
from sksbi.estimators.marginal import StaysFittedMixin
from sksbi.estimators.ratio import RatioMixin
from sksbi.estimators.readable import ReadableMixin
from sksbi.estimators.sampled import ChainsMixin
from sksbi.priors import check_prior
from sksbi.tables.around import around_failures
from sksbi.tables.gaps import gaps_of, warn_of_new_gaps
from sksbi.tables.names import check_pairs
from sksbi.tables.templates import as_table, for_steps, template_of
from sksbi.tables.theta import theta_table
from sksbi.tables.trials import joined_trials, repeated, rows_in_fit
from sksbi.utils.containers import plain
from sksbi.utils.failures import refuse_failures
from sksbi.utils.interrupts import unchanged_on
from sksbi.utils.signature import answers_to_X_y
from sksbi.utils.tasks import fit_task, new_task, with_callbacks, within
from sksbi.utils.validation import check_numbers

__all__ = ["Pipeline", "make_pipeline"]


def _final_has(name):
    """Tell whether the last step has a method."""
    return available_if(lambda self: hasattr(self.steps[-1][1], name))


def _of_last_step(method):
    """Make the last step's method, with its x sent through the other steps first."""
    name, place = method.__name__, list(inspect.signature(method).parameters).index("x") - 1

    @functools.wraps(method)
    def delegate(self, *args, **options):
        args = list(args)
        holder, key = (options, "x") if "x" in options else (args, place)
        if len(args) > place or "x" in options:
            holder[key] = self._transform_observations(holder[key], options)
        return getattr(self.steps[-1][1], name)(*args, **options)

    return _final_has(name)(delegate)


def _asks_about_x(method):
    """Tell a method with a parameter x."""
    return callable(method) and "x" in inspect.signature(method).parameters


class Pipeline(LikelihoodOfStepsMixin, ReadableMixin, sklearn.pipeline.Pipeline):
    """
    Transformers of x, and an inference estimator at the end.

    x goes to the first step as it is: tables with strings and categories, images, whatever the step
    takes. theta is the y of the transformers, for those that learn from it. The x of a pair given
    as the estimator's ``validation_fraction`` goes through the fitted transformers too. Rows of x
    that are all missing are failed simulations: the transformers do not see them, and the estimator
    gets NaN in their places.

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
    @with_callbacks
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
            Parameters of the steps' ``fit``, as ``step__parameter``. With scikit-learn's metadata
            routing, ``enable_metadata_routing=True``: what steps have requested, such as
            ``sample_weight`` after ``NPE().set_fit_request(sample_weight=True)``.

        Returns
        -------
        Pipeline
            Itself.

        Raises
        ------
        TypeError
            If the last step is no inference estimator, or metadata are requested by no step.
        ValueError
            If a parameter belongs to no step, a step has not said whether it requests metadata that
            it could take, or the last step's prior has another number of parameters than theta.
        """
        name, final = self.steps[-1]
        if not hasattr(final, "sample"):
            raise TypeError(
                f"the last step must be an inference estimator, such as NPE, got {final!r}; for a "
                "predictor take scikit-learn's own Pipeline."
            )
        if x is None:
            raise ValueError("Pipeline requires y to be passed, but the target y is None: y is x.")
        given, theta, x = (theta, x), theta_table(theta), for_steps(x)
        n_features = check_numbers(theta, "theta").shape[1]
        check_pairs(*given, trials=self._has_trials)
        if isinstance(final, BaseInference) and final.prior is not None:
            check_prior(final.prior, n_features)  # before the transformers take their time
        transformers = self._transformers()
        ours, theirs = _split_metadata(self, params, transformers)
        # Transformers of one fit and an estimator of another would give wrong answers.
        before = unchanged_on(BaseException, self, *_estimators_in(self))
        with fit_task(self, *given, 1), before:
            rows, n_trials = rows_in_fit(x) if self._has_trials else (x, 1)
            targets, theirs = _for_trials(theta, theirs, n_trials)
            with _naming_the_step(self.steps):
                transformed = around_failures(transformers.fit_transform, rows, targets, **theirs)
            self.steps = [*transformers.steps[:-1], (name, final)]
            self.x_template_, self._x_gaps = template_of(rows), gaps_of(rows)
            if self._has_trials:
                transformed = joined_trials(transformed, x, n_trials)
            elif isinstance(transformed, pd.DataFrame) and isinstance(theta, pd.DataFrame):
                transformed = transformed.set_axis(theta.index)  # what differs has been told
            interrupt = self._fit_last(theta, transformed, ours)
        if interrupt is not None:
            raise interrupt
        return self

    def _fit_last(self, theta, x, params):
        """Fit a copy of the last step; return a KeyboardInterrupt after which it is fitted."""
        name, final = self.steps[-1]
        fitted, interrupt = self._validating_as_transformed(final), None
        try:
            with within(new_task(self, name), self, fitted):
                fitted = fitted.fit(theta, x, **params)
        except KeyboardInterrupt as error:
            is_kept = getattr(fitted, "interrupted_", False)
            if not is_kept or fitted.net_ is getattr(final, "net_", None):
                raise
            interrupt = error
        self.steps[-1] = name, _copy_with(fitted, _validation_pairs(final))
        return interrupt

    def _validating_as_transformed(self, final):
        """Copy the last step, with the x of a validation pair sent through the other steps."""
        changed = {}
        for name, (theta, x) in _validation_pairs(final).items():
            changed[name] = theta, self._transform_simulated(x)
        return _copy_with(final, changed)

    def _transformers(self):
        """Build scikit-learn's own Pipeline of all steps but the last."""
        steps = [*self.steps[:-1], (self.steps[-1][0], "passthrough")]
        return sklearn.pipeline.Pipeline(steps, memory=self.memory, verbose=self.verbose)

    def _transform(self, x, *, simulated=False, **metadata):
        """Send one observation or a batch through the transformers, and keep which it was."""
        if x is None:
            raise ValueError(
                "x must be one observation or a batch in the form of fit's x, got None."
            )
        template = getattr(self, "x_template_", None)
        if template is None and len(self.steps) == 1:
            return x  # the last step was fitted by itself, and knows its form
        table, single = (for_steps(x), False) if template is None else as_table(x, template)
        if not simulated:
            refuse_failures(table)
            warn_of_new_gaps(table, getattr(self, "_x_gaps", None))
        transformers = self._transformers()
        wanted = _requested(transformers, "transform", metadata)
        with _naming_the_step(self.steps):
            transformed = around_failures(transformers.transform, table, **wanted)
        if single:
            transformed = plain(transformed, "x")
            return transformed.iloc[0] if isinstance(transformed, pd.DataFrame) else transformed[0]
        is_matrix = isinstance(transformed, np.ndarray) and transformed.ndim == 2
        if is_matrix and isinstance(table, pd.DataFrame):
            return pd.DataFrame(transformed, index=table.index)
        return transformed

    sample = _of_last_step(AskingMixin.sample)
    summary = _of_last_step(AskingMixin.summary)
    map = _of_last_step(AskingMixin.map)
    log_prob = _of_last_step(AskingMixin.log_prob)
    predict_log_ratio = _of_last_step(RatioMixin.predict_log_ratio)
    predict_ratio = _of_last_step(RatioMixin.predict_ratio)
    sample_chains = _of_last_step(ChainsMixin.sample_chains)
    credible_region = _of_last_step(CalibratedPosterior.credible_region)
    in_region = _of_last_step(CalibratedPosterior.in_region)
    _ask = _of_last_step(AskingMixin._ask)
    _ask_batch = _of_last_step(AskingMixin._ask_batch)

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

    @_final_has("marginal")
    def marginal(self, columns):
        """
        Give the posterior of some of the parameters, behind the same transformers.

        Parameters
        ----------
        columns : sequence of str or int
            As for the last step's ``marginal``.

        Returns
        -------
        Pipeline
            A fitted pipeline with the marginal at the end. As that one it stays as it is:
            ``clone`` gives it back, and ``fit`` changes none of its steps.
        """
        name, final = self.steps[-1]
        made = MarginalPipeline([*self.steps[:-1], (name, final.marginal(columns))])
        vars(made).update({k: v for k, v in vars(self).items() if k != "steps"})
        return made

    @answers_to_X_y
    @_final_has("score")
    def score(self, theta, x=None, sample_weight=None, **params):
        """
        Score held-out pairs, higher is better.

        The mean log-likelihood of a last step such as ``NLE`` is brought to the units of x where
        the log-determinant of every step is known, and what it has learnt is a density; elsewhere
        it is in the units of the last step, and cannot be compared with that behind other steps.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters.
        x : object
            What was simulated from them, in the form of fit's x.
        sample_weight : array-like of shape (n,), default=None
            Weights of the rows.
        **params : object
            With scikit-learn's metadata routing alone: what steps have requested.

        Returns
        -------
        float
            As from the last step's ``score``; of likelihoods in the units of x.

        Raises
        ------
        TypeError
            If metadata are requested by no step, or a likelihood stands behind a step whose
            log-determinant is not known: see ``log_likelihood``.
        ValueError
            If a step has not said whether it requests metadata that it could take.
        """
        given = params if sample_weight is None else {"sample_weight": sample_weight} | params
        check_is_fitted(self)
        ours, theirs = given, {}
        if sklearn.get_config()["enable_metadata_routing"]:
            ours = process_routing(self, "score", **given)[self.steps[-1][0]].score
            theirs = given
        score = self.steps[-1][1].score(theta, self._transform_simulated(x, **theirs), **ours)
        return self._in_units_of_x(score, x, ours.get("sample_weight"))

    def __getattr__(self, name):
        if name == "partial_fit":
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute 'partial_fit', as most "
                "transformers would have to learn from all rows at once: transform x by those of "
                "an earlier fit, and call partial_fit of an estimator of its own."
            )
        # What the last step's own family is asked about x, and no other.
        final = vars(self)["steps"][-1][1] if "steps" in vars(self) else None
        method = None if name.startswith("_") else getattr(type(final), name, None)
        if method is None or not hasattr(final, name) or not _asks_about_x(method):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return _of_last_step(method).__get__(self, type(self))

    @property
    def history_(self):
        """Training history of the last step: one row an epoch."""
        return self.steps[-1][1].history_

    @property
    def parameter_names_(self):
        """Names of the parameters, as the last step has them."""
        return self.steps[-1][1].parameter_names_

    @property
    def n_features_in_(self):
        """Number of parameters D, as theta stands in X's place."""
        return self.steps[-1][1].n_features_in_

    @property
    def feature_names_in_(self):
        """Names of the parameters, if theta was a DataFrame."""
        return self.steps[-1][1].feature_names_in_


class MarginalPipeline(StaysFittedMixin, Pipeline):
    """
    The posterior of some parameters behind transformers: what ``pipeline.marginal(names)`` gives.

    It is fitted, and stays so, as the marginal at its end: ``clone`` gives it back as it is.
    """


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


def _estimators_in(pipeline):
    """List the steps and the estimators in them, which are fitted in place."""
    parts = pipeline.get_params().values()
    return [part for part in parts if hasattr(part, "get_params") and hasattr(part, "__dict__")]


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


def _split_metadata(pipeline, params, transformers):
    """Split parameters of fit into the last step's and the transformers'."""
    name = pipeline.steps[-1][0]
    if not sklearn.get_config()["enable_metadata_routing"]:
        return _split_parameters(params, name, [step for step, _ in pipeline.steps])
    routed = process_routing(pipeline, "fit", **params)
    return routed[name].fit, _requested(transformers, "fit_transform", params)


def _for_trials(theta, metadata, n_trials):
    """Repeat what transformers are given beside x, a row for every trial."""
    if n_trials == 1:
        return theta, metadata
    long = {k: v for k, v in metadata.items() if np.size(v) == len(theta)}
    return repeated(theta, n_trials), metadata | {k: repeated(v, n_trials) for k, v in long.items()}


def _requested(router, method, metadata):
    """Choose what is requested of the metadata by the parts of a router."""
    if not metadata:
        return {}
    wanted = router.get_metadata_routing().consumes(method, metadata)
    return {name: metadata[name] for name in wanted}


@contextmanager
def _naming_the_step(steps):
    """Put the name of the step, and of x, before what a transformer says of its X."""
    try:
        yield
    except (ValueError, TypeError, IndexError) as error:
        if type(error) not in (ValueError, TypeError, IndexError):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"x, in the step {_failing_step(error, steps)}: {error}") from error


def _failing_step(error, steps):
    """Name the step in whose methods an error was raised."""
    owners = [f.f_locals.get("self") for f, _ in traceback.walk_tb(error.__traceback__)]
    named = {id(step): name for name, step in steps[:-1]}
    kinds = [type(step) for _, step in steps[:-1]]
    # With a memory steps are cloned, and known by their class, if that is theirs alone.
    by_class = {type(step): name for name, step in steps[:-1] if kinds.count(type(step)) == 1}
    found = [named.get(id(one)) or by_class.get(type(one)) for one in owners]
    return next((repr(name) for name in found if name), "before the last")


def _copy_with(estimator, parameters):
    """Copy an estimator, and those in it that have one of the parameters, and set these."""
    copied = copy(estimator)
    by_part = {}
    for name, value in parameters.items():
        own, _, rest = name.partition("__")
        by_part.setdefault(own, {})[rest] = value
    for own, values in by_part.items():
        value = values[""] if "" in values else _copy_with(getattr(copied, own), values)
        setattr(copied, own, value)
    return copied


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
