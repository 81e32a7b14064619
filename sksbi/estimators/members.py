"""Members: clones of one estimator that are fitted in parallel, and asked as one posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from sklearn.base import BaseEstimator, clone
from tqdm.auto import tqdm

from sksbi.data import LazyTable, Pairs, PairsOnDisk
from sksbi.estimators.base import BaseInference
from sksbi.posteriors.base import Posterior
from sksbi.tables.emulated import observed_table
from sksbi.tables.layout import ObservationLayout
from sksbi.utils.parallel import running
from sksbi.utils.random import draw_seeds
from sksbi.utils.tasks import new_task, within
from sksbi.utils.types import Array, Rows, Table
from sksbi.utils.validation import check_instance

__all__ = ["PooledMixin", "check_member", "fit_clones"]

Part = tuple[Table | LazyTable, Table | LazyTable, Array | None]  # theta, x and weights


class PooledMixin:
    """
    The pooled posterior of members: a mixture of densities, or the prior times the mean ratio.

    Attributes
    ----------
    estimators_ : list of estimator
        The fitted members.
    """

    _n_tasks: int | None = None
    estimators_: list[BaseInference]
    estimator: BaseEstimator | None
    theta_columns_: list[Any] | None
    x_layout_: ObservationLayout

    @property
    def _estimates(self) -> str:
        """What members estimate."""
        return getattr(self.estimator, "_estimates", "posterior")

    @property
    def _has_trials(self) -> bool:
        """Whether their observations consist of trials."""
        return getattr(self.estimator, "_has_trials", False)

    @property
    def _takes_any_table(self) -> bool:
        """Whether they take categories."""
        return getattr(self.estimator, "_takes_any_table", False)

    @property
    def _may_miss(self) -> bool:
        """Whether they take single values that are missing."""
        return getattr(self.estimator, "_may_miss", True)

    @property
    def _reads_disk(self) -> bool:
        """Whether they learn from what stays on the disk."""
        return getattr(self.estimator, "_reads_disk", False)

    def _posterior(self) -> Posterior:
        """Pool the members' posteriors."""
        first, *others = (member._posterior() for member in self.estimators_)
        return first.pooled(others)

    def _as_tables(self, pairs: Pairs | PairsOnDisk, rows: Rows | None = None) -> Part:
        """Give theta and x, all or some, as tables where the user gave tables, and weights."""
        if isinstance(pairs, PairsOnDisk):
            return pairs.part(rows)
        pairs = pairs if rows is None else pairs.take(rows)
        theta: Table = pairs.theta
        if self.theta_columns_ is not None:
            theta = pd.DataFrame(pairs.theta, columns=self.theta_columns_)
        return theta, observed_table(pairs.x, self.x_layout_), pairs.weight


def check_member(estimator: object, around: str) -> None:
    """
    Hold that an estimator can be a member.

    Parameters
    ----------
    estimator : object
        What the user gave.
    around : str
        The name of the meta-estimator.

    Raises
    ------
    TypeError
        If it is no estimator of p(theta | x), or a class.
    """
    check_instance(estimator, "estimator")
    if not isinstance(estimator, BaseInference):
        raise TypeError(
            f"estimator must be a posterior estimator such as NPE, got {estimator!r}. Steps on x "
            f"go around it: make_pipeline(StandardScaler(), {around}(NPE(prior)))."
        )


def fit_clones(
    estimator: BaseInference,
    parts: Sequence[Part],
    generator: np.random.Generator,
    *,
    n_jobs: int | None,
    verbose: int,
    unit: str,
    around: BaseEstimator,
) -> list[BaseInference]:
    """
    Fit clones of an estimator, each with seeds of its own.

    Parameters
    ----------
    estimator : estimator
        What is cloned.
    parts : sequence of (theta, x, sample_weight)
        What each clone is fitted to.
    generator : numpy.random.Generator
        Where the seeds come from.
    n_jobs : int or None
        How many are fitted at once.
    verbose : int
        Whether to show a progress bar.
    unit : str
        What the bar counts, and tasks are called.
    around : estimator
        Whose members they are.

    Returns
    -------
    list of estimator
        The fitted clones.
    """
    members = [clone(estimator) for _ in parts]
    members = [member.set_params(**draw_seeds(member, generator)) for member in members]
    tasks = [new_task(around, unit) for _ in parts]
    jobs = (
        delayed(_fit)(member, part, None if task is None else around, task)
        for member, part, task in zip(members, parts, tasks, strict=True)
    )
    bar = tqdm(total=len(members), desc="fit", unit=unit, disable=not verbose)
    fitted = []
    with bar, running(n_jobs, jobs) as results:
        for member in results:
            fitted.append(member)
            bar.update()
    return fitted


def _fit(member: BaseInference, part: Part, around: Any, task: Any) -> BaseInference:
    """Fit a member, wherever joblib runs this."""
    with within(task, around, member):
        return member.fit(*part)
