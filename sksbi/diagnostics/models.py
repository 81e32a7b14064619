"""Whether probabilities of models can be trusted: a table with verdicts, and a figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sksbi.diagnostics.diagnosis import Diagnosis
from sksbi.diagnostics.verdicts import FINE, typical_verdict
from sksbi.inspection import MisspecificationDisplay
from sksbi.inspection._style import (
    COLORS,
    EXACT,
    import_pyplot,
    label_axes,
    new_figure,
    title_above,
)
from sksbi.metrics.class_calibration import ClassCalibration, Reliability, class_calibration
from sksbi.tables.features import read_labels
from sksbi.utils.containers import as_rows
from sksbi.utils.failures import are_failed, rows_of
from sksbi.utils.random import check_generator, draw_seed
from sksbi.utils.settings import check_flag
from sksbi.utils.types import Array, RandomState, Row, Table
from sksbi.utils.validation import count_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["diagnose_models"]

_ALPHA, _FEWEST = 0.05, 50
_HARDLY = 0.02
_N_NEIGHBORS = 10
_A_ROW, _WIDTH = 3, 2.4


def diagnose_models(
    comparison: Any,
    x: Table,
    model: Any,
    x_observed: Row | None = None,
    *,
    plot: bool = True,
    random_state: RandomState = 0,
) -> Diagnosis:
    """
    Check probabilities of models on simulations that the comparison was not fitted to.

    Parameters
    ----------
    comparison : ModelComparison, or another classifier or pipeline
        Fitted, with ``predict_proba`` and ``classes_``.
    x : array-like or DataFrame of shape (n, L)
        Simulations that were not fitted to; several hundred show an error of a tenth. Rows that are
        NaN throughout, failed simulations, are left out.
    model : array-like of shape (n,)
        The model of each. The models may be as frequent as is convenient.
    x_observed : array-like, Series, dict or DataFrame, default=None
        The real observation, which is compared with the simulations of each model.
    plot : bool, default=True
        Whether to draw the figure, which needs matplotlib.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the tests.

    Returns
    -------
    Diagnosis
        A pair. ``table`` has the index levels check and of (a model, or "all") and the columns
        value, p_value and verdict. "information": the share of the uncertainty about the model that
        x takes away. "sharpness": by how many standard errors the probabilities are too sure.
        "reliability": the largest distance, in standard errors, of how often a model was right from
        the probability that it had. "misspecification": how typical x_observed is of simulations of
        each model. ``figure`` shows how often models were right over their probability.

    Raises
    ------
    TypeError
        If the comparison gives no probabilities.
    ValueError
        If x and model do not match, there are fewer than 50, or a model is not one of the
        comparison's.
    ImportError
        If matplotlib is missing and ``plot`` is true.

    Notes
    -----
    The p-values are exact: models are drawn again from the probabilities, 999 times. That the
    probabilities pass does not make them informative: those of the models' shares alone pass.

    Examples
    --------
    >>> import numpy as np
    >>> from sksbi import ModelComparison
    >>> from sksbi.diagnostics import diagnose_models
    >>> rng = np.random.default_rng(0)
    >>> model = rng.integers(0, 2, 900)
    >>> x = rng.normal(size=(900, 1)) * (1 + model[:, None])
    >>> comparison = ModelComparison(random_state=0).fit(x[:400], model[:400])
    >>> table, _ = diagnose_models(comparison, x[400:], model[400:], [0.3], plot=False)
    >>> table.loc[("information", "all"), "verdict"]
    'x takes away ...% of the uncertainty about the model'
    """
    if check_flag(plot, "plot"):
        import_pyplot()
    if not hasattr(comparison, "predict_proba") or not hasattr(comparison, "classes_"):
        raise TypeError(
            "comparison must be fitted, with predict_proba and classes_, got "
            f"{type(comparison).__name__}."
        )
    x = as_rows(x, "x")
    model, failed = read_labels(model, "model"), are_failed(x)
    if len(model) == len(failed):
        model, x = model[~failed], rows_of(x, ~failed) if failed.any() else x
    classes = _places(model, comparison.classes_)
    if len(classes) != (n := count_rows(x, "x")) or n < _FEWEST:
        raise ValueError(
            f"x and model must have the same number of rows, {_FEWEST} at least, got {n} and "
            f"{len(classes)}."
        )
    if np.ptp(classes) == 0:
        raise ValueError(f"model must hold two models at least, got {model[0]!r} alone.")
    generator = check_generator(random_state)
    seed = draw_seed(generator)
    probabilities = _as_frequent_as(comparison, _ask(comparison, x), classes)
    found = class_calibration(probabilities, classes, generator)
    names = [str(name) for name in comparison.classes_]
    rows = list(_rows(found, names))
    if x_observed is not None:
        rows += list(_observed(x, classes, names, x_observed, seed))
    table = pd.DataFrame(rows, columns=["check", "of", "value", "p_value", "verdict"])
    figure = _draw(found.reliability, names) if plot else None
    return Diagnosis(table.set_index(["check", "of"]), figure)


def _ask(comparison: Any, x: Table) -> Array:
    """Compute probabilities, for arrays and tables."""
    try:
        return np.asarray(comparison.predict_proba(x), dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise type(error)(f"x is not as in the comparison's fit: {error}") from error


def _places(model: NDArray[Any], models: NDArray[Any]) -> NDArray[np.intp]:
    """Find models among those of fit."""
    places = {name: k for k, name in enumerate(models.tolist())}
    unknown = [name for name in model.tolist() if name not in places]
    if unknown:
        raise ValueError(f"model must be among {list(places)}, got {unknown[0]!r}.")
    return np.array([places[name] for name in model.tolist()], dtype=np.intp)


def _as_frequent_as(comparison: Any, probabilities: Array, classes: NDArray[np.intp]) -> Array:
    """Take the models as probable as they are frequent here, if the prior is known."""
    last = comparison.steps[-1][1] if hasattr(comparison, "steps") else comparison
    if not hasattr(last, "prior_"):
        return probabilities
    before = np.asarray(last.prior_, dtype=np.float64)
    counts = np.bincount(classes, minlength=len(before))
    if (hopeless := (before == 0) & (counts > 0)).any():
        raise ValueError(
            "model must have a prior probability in the comparison, got "
            f"{comparison.classes_[hopeless].tolist()[0]!r}, which has 0."
        )
    change = np.divide(counts, before, out=np.zeros(len(before)), where=before > 0)
    weighted = probabilities * change
    return weighted / weighted.sum(axis=1, keepdims=True)


def _rows(found: ClassCalibration, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """Judge what was found."""
    share = 1 - found.log_loss / found.entropy if found.entropy > 0 else np.nan
    told = f"x takes away {100 * share:.0f}% of the uncertainty about the model"
    hardly = "x hardly tells the models apart: " if share < _HARDLY else ""
    yield "information", "all", share, np.nan, hardly + told
    verdict = FINE
    if found.p_value <= _ALPHA:
        verdict = "too sure" if found.sharpness > 0 else "not as sure as they could be"
    yield "sharpness", "all", found.sharpness, found.p_value, verdict
    for name, one in zip(names, found.reliability, strict=True):
        z = np.divide(
            one.found - one.said, one.error, out=np.zeros_like(one.said), where=one.error > 0
        )
        worst = int(np.abs(z).argmax())
        verdict = FINE
        if one.p_value <= _ALPHA / len(names):
            said, right = 100 * one.said[worst], 100 * one.found[worst]
            verdict = f"where it has {said:.0f}%, it is right in {right:.0f}%"
        yield "reliability", name, float(np.abs(z[worst])), one.p_value, verdict


def _observed(
    x: Table, classes: NDArray[np.intp], names: list[str], x_observed: Row, seed: int
) -> Iterator[tuple[Any, ...]]:
    """Compare an observation with the simulations of each model."""
    for k, name in enumerate(names):
        own = rows_of(x, classes == k)
        if len(own) < 2 * _N_NEIGHBORS:
            reason = f"not done: fewer than {2 * _N_NEIGHBORS} simulations of it"
            yield "misspecification", name, np.nan, np.nan, reason
            continue
        measured = MisspecificationDisplay._measure(own, x_observed, _N_NEIGHBORS, seed)
        for label, p_value in zip(measured.names, measured.p_values, strict=True):
            of = name if len(measured.names) == 1 else f"{name}, x_observed {label}"
            verdict = typical_verdict(p_value, len(measured.distances))
            yield "misspecification", of, float(p_value), float(p_value), verdict


def _draw(reliability: list[Reliability], names: list[str]) -> Figure:
    """Draw how often models were right over what was said."""
    n_rows = -(-len(names) // _A_ROW)
    n_columns = min(len(names), _A_ROW)
    figure = new_figure((_WIDTH * n_columns, (_WIDTH + 0.2) * n_rows), pad=0.04, space=0.06)
    for k, (name, one) in enumerate(zip(names, reliability, strict=True)):
        ax = figure.add_subplot(n_rows, n_columns, k + 1)
        ax.plot([0, 1], [0, 1], **EXACT)
        ax.errorbar(
            one.said, one.found, 2 * one.error, color=COLORS[0], fmt="o", ms=3, lw=1, capsize=2
        )
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), box_aspect=1)
        label_axes(ax, "probability", "share that were right")
        title_above(ax, name)
    return figure
