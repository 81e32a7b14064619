"""One run of rounds: propose, simulate, fit, narrow, and know when to stop."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm.auto import tqdm

from sksbi.data import SimulationStore
from sksbi.exceptions import SimulationInterrupted, SimulationWarning, TrainingWarning
from sksbi.posteriors.restricted import LeftRegion
from sksbi.priors import Prior, check_prior
from sksbi.sequential.change import Tolerance, forecast
from sksbi.sequential.given import (
    check_first,
    check_observed,
    check_parameters,
    choose_proposals,
    counts_of,
    on_error_of,
    places_of_prior,
    read_pairs,
)
from sksbi.sequential.identity import check_began, check_goes_on, identity_of
from sksbi.sequential.posterior_region import slack_of
from sksbi.sequential.progress import Progress, RoundsFolder
from sksbi.sequential.restricted import final_of
from sksbi.simulation import run_simulator
from sksbi.tables.simulated import Table, take
from sksbi.utils.containers import as_rows
from sksbi.utils.failures import are_failed
from sksbi.utils.random import draw_seeds
from sksbi.utils.tasks import new_task, within
from sksbi.utils.types import Array, Mask
from sksbi.utils.warn import warn_user

__all__ = ["SequentialRun"]

_SIMULATE, _PROPOSE, _FIT, _NARROW, _ASK = range(5)  # what a round draws seeds for
_HELD_OUT = 0.2  # of the first round, whose fit nothing else can judge
_DRAWS, _DRAWS_OF_SAMPLER = 10_000, 2_000
_TOLD_OUTSIDE = 0.3  # of the posterior
_FEWEST, _SLACK = 10, 0.5


class SequentialRun:
    """
    A run of rounds for one observation, or a few.

    Parameters
    ----------
    settings : SequentialInference
        What the user wants.
    x_observed : object
        The observations.
    given : tuple of theta and x
        Pairs from the prior that are there already, or None and None.
    seed : int
        Seeds all of it.
    """

    def __init__(self, settings: Any, x_observed: Any, given: tuple[Any, Any], seed: int) -> None:
        self.settings, self.x_observed, self.seed = settings, x_observed, seed
        self.places = places_of_prior(settings.estimator)
        self.base = check_prior(settings.estimator.get_params()[self.places[0]])
        check_parameters(settings.estimator)
        self.counts = counts_of(settings)
        self.tolerance = Tolerance(settings.tol)
        self.converged = False
        self.final = final_of(settings.estimator)
        self.given = read_pairs(settings.estimator, self.base, *given)
        if self.given is not None:
            check_observed(settings.estimator, x_observed, self.given[1], "the given x")
        proposals = choose_proposals(settings.estimator, settings.proposal)(self.base)
        self.progress = Progress(proposals, on_error=on_error_of(settings))
        self.check_first = partial(check_first, settings.estimator, self.x_observed, self.given)
        self.folder: RoundsFolder | None = None
        if settings.store is not None:
            self.folder = self._open_folder()
            self.progress = self._find_rounds(self.folder) or self.progress

    def go_on(self, progress: Progress, x_observed: Any) -> None:
        """
        Go on after rounds that have ended.

        Parameters
        ----------
        progress : Progress
            The rounds.
        x_observed : object
            What they were for.

        Raises
        ------
        ValueError
            If they were for another observation, under another prior, or with other proposals or
            pairs.
        """
        check_goes_on(self, progress, x_observed)
        kept = len(self.progress.rows)
        if self.folder is not None and kept < len(progress.rows):
            raise ValueError(
                f"store must be there from the first round on, got {self.folder.path}, which has "
                f"{kept} of the {len(progress.rows)} rounds that have ended: set warm_start=False, "
                "and the rounds begin there."
            )
        self.progress = progress

    def rounds(self) -> Iterator[Progress]:
        """
        Run the rounds that are left.

        Yields
        ------
        Progress
            All so far, after every round.
        """
        first = len(self.progress.rows)
        if first:
            yield self.progress
        bar = tqdm(
            total=len(self.counts), initial=first, desc="rounds", disable=not self.settings.verbose
        )
        told: list[warnings.WarningMessage] = []
        with bar:
            for number in range(first, len(self.counts)):
                if self._is_enough():
                    self.converged = True
                    break
                proposals = self._narrowed(number)
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    self._round(number, proposals)
                if self.folder is not None:
                    self.folder.save(self.progress)
                row = self.progress.rows[-1]
                bar.set_postfix(share=f"{row['share']:.2g}", change=f"{row['change']:.2g}")
                bar.update()
                yield self.progress
        for one in told:
            warn_user(str(one.message), one.category)
        _warn_of_outside(len(self.progress.rows), self.progress.rows[-1]["inside"])

    def _is_enough(self) -> bool:
        """Tell whether another round would change too little."""
        rows = self.progress.rows
        return bool(rows) and rows[-1]["next_change"] <= self.tolerance.least

    def _narrowed(self, number: int) -> Any:
        """Go where the posterior of the round before is."""
        progress = self.progress
        if progress.estimator is None:
            return progress.proposals
        proposals = copy(progress.proposals)  # a round that is interrupted changes nothing
        noise = self._generator(number - 1, _NARROW)
        counts = progress.counts(self.counts[:number])
        proposals.narrow(progress.estimator, self.x_observed, progress.slack, counts, noise)
        return proposals

    def _round(self, number: int, proposals: Any) -> None:
        """Simulate, fit, and see what has changed."""
        began = perf_counter()
        theta, x, seconds = self._simulate(number, proposals)
        is_first = self.progress.estimator is None
        score, slack = (
            (np.nan, _usual_slack(self.base)) if is_first else self._judge(theta, x, number)
        )
        progress = self._with_pairs(theta, x)
        every_theta, every_x = progress.pairs
        if is_first:
            check_observed(self.settings.estimator, self.x_observed, every_x)
        seen, rows = proposals.view(np.asarray(every_theta), progress.rounds_of_pairs())
        held_out = np.zeros(len(rows), dtype=bool)
        if is_first and len(self.counts) > 1:
            held_out = self._generator(number, _ASK).random(len(rows)) < _HELD_OUT
        rows = rows & ~held_out
        estimator = self._fit(seen, every_theta, every_x, rows, number)
        if held_out.any():
            slack = self._slack(estimator, every_theta, every_x, held_out, number)
        counts = progress.counts(self.counts[: number + 1])
        noise = self._generator(number, _ASK)
        inside = proposals.inside(estimator, self.x_observed, counts, noise)
        draws = self._draw(estimator, proposals, number)
        change, error = np.nan, np.nan
        if progress.draws is not None:
            change, error = self.tolerance.change(progress.draws, draws)
        row = {
            "simulations": self.counts[number],
            "failures": self.counts[number] - len(theta) + int(np.count_nonzero(_failed(x))),
            "share": proposals.share,
            "acceptance": proposals.acceptance,
            "inside": inside,
            "pairs": int(np.count_nonzero(rows)),
            "score": score,
            "change": change,
            "change_error": error,
            "simulate_seconds": seconds,
            "fit_seconds": perf_counter() - began - seconds,
        }
        row["next_change"] = forecast([*progress.rows, row], self.tolerance.still)
        self.progress = replace(
            progress,
            proposals=proposals,
            rows=[*progress.rows, row],
            estimator=estimator,
            draws=draws,
            slack=slack,
        )

    def _simulate(self, number: int, proposals: Any) -> tuple[Table, Table, float]:
        """Simulate a round, or find it in the store, and tell how long that took."""
        options, store = self.settings, None
        theta: Table | None = None
        if self.folder is not None:
            store = self.folder.simulations(number + 1)
            if SimulationStore(store).exists:
                theta = SimulationStore(store).theta()
        if theta is None:
            n = self.counts[number]
            theta = proposals.propose(n, self._generator(number, _PROPOSE))
            if self.base.names is not None:
                theta = pd.DataFrame(theta, columns=self.base.names)
        began = perf_counter()
        try:
            pairs = run_simulator(
                options.simulator,
                theta,
                vectorized=options.vectorized,
                chunk_size=options.chunk_size,
                n_jobs=options.n_jobs,
                on_error=on_error_of(self.settings),
                timeout=options.timeout,
                store=store,
                check=None if number else self.check_first,
                random_state=self._generator(number, _SIMULATE),
                verbose=options.verbose,
            )
        except SimulationInterrupted as stop:
            stop.add_note(
                f"Round {number + 1} was simulating, and what resume() gives is of that round "
                "alone. With store=... nothing is lost: the same fit goes on there."
            )
            raise
        theta, x = (as_rows(table, name) for table, name in zip(pairs, ("theta", "x"), strict=True))
        return theta, x, perf_counter() - began

    def _with_pairs(self, theta: Table, x: Table) -> Progress:
        """Add pairs, after those that were there already."""
        before = self.progress
        given = self.given if self.given is not None and not before.theta else None
        first = ([], []) if given is None else ([given[0]], [given[1]])
        return replace(
            before,
            theta=[*before.theta, *first[0], theta],
            x=[*before.x, *first[1], x],
            n_given=before.n_given if given is None else len(given[0]),
        )

    def _fit(self, prior: Prior, theta: Table, x: Table, rows: Mask, number: int) -> Any:
        """Fit a clone to some of the pairs."""
        estimator = clone(self.settings.estimator)
        estimator.set_params(**dict.fromkeys(self.places, prior))
        if number > 0:  # the first round is of the prior
            special = self.progress.proposals.fit_parameters
            where = self.places[-1].removesuffix("prior")
            estimator.set_params(**{where + name: value for name, value in special.items()})
        estimator.set_params(**draw_seeds(estimator, self._generator(number, _FIT)))
        every = bool(np.all(rows))
        pairs = (theta, x) if every else (take(theta, rows), take(x, rows))
        with within(new_task(self.settings, "round"), self.settings, estimator):
            return estimator.fit(*pairs)

    def _judge(self, theta: Table, x: Table, number: int) -> tuple[float, float]:
        """Score the last fit on new pairs, and find how much too sure of itself it was."""
        estimator, proposals = self.progress.estimator, self.progress.proposals
        array = np.asarray(theta)
        fitted = final_of(estimator).prior_
        rows = proposals.prior.contains(array) & fitted.contains(array)
        if np.count_nonzero(rows & ~_failed(x)) < _FEWEST:
            return np.nan, _usual_slack(self.base)
        score = float(estimator.score(take(theta, rows), take(x, rows)))
        return score, self._slack(estimator, theta, x, rows, number)

    def _slack(self, estimator: Any, theta: Table, x: Table, rows: Mask, number: int) -> float:
        """Find by how much a region has to be wider than the fit says."""
        rows = rows & ~_failed(x) & final_of(estimator).prior_.contains(np.asarray(theta))
        if np.count_nonzero(rows) < _FEWEST:
            return _usual_slack(self.base)
        noise = self._generator(number, _ASK)
        return slack_of(estimator, np.asarray(theta)[rows], take(x, rows), noise)

    def _draw(self, estimator: Any, proposals: Any, number: int) -> Array:
        """Draw from the posterior at the observations, also where it has left the region."""
        asked = proposals.restricted(estimator)._ask(self.x_observed, warns=False)[1]
        n = _DRAWS if asked.normalised else _DRAWS_OF_SAMPLER
        noise = self._generator(number, _ASK)
        try:
            draws: Array = asked.sample(n, noise).theta
        except LeftRegion:  # the next round forgets that region
            asked = estimator._ask(self.x_observed, warns=False)[1]
            draws = asked.sample(n, noise).theta
        return draws

    def _generator(self, number: int, purpose: int) -> np.random.Generator:
        """Make a generator for something in a round."""
        return np.random.default_rng([self.seed, number, purpose])

    def _open_folder(self) -> RoundsFolder:
        """Begin a folder, or go on there."""
        settings = self.settings
        folder = RoundsFolder(settings.store)
        found = folder.begin(json.loads(json.dumps(identity_of(self))))
        check_began(self, found)
        self.seed = found["seed"]
        return folder

    def _find_rounds(self, folder: RoundsFolder) -> Progress | None:
        """Find the rounds in a folder, and the pairs of each."""
        progress = folder.load(self.counts)
        if progress is None:
            return None
        self.progress = progress
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SimulationWarning)  # it was told before
            for number in range(len(progress.rows)):
                theta, x, _ = self._simulate(number, progress.proposals)
                self.progress = self._with_pairs(theta, x)
        return self.progress


def _failed(x: Table) -> Mask:
    """Find simulations that failed: NaN throughout."""
    if isinstance(x, pd.DataFrame):
        return np.asarray(x.isna().to_numpy().all(axis=1))
    return are_failed(x) if x.dtype.kind == "f" else np.zeros(len(x), dtype=bool)


def _warn_of_outside(number: int, inside: float) -> None:
    """Warn if much of the posterior lies outside of the region that was simulated."""
    if inside < 1 - _TOLD_OUTSIDE:
        warn_user(
            f"the posterior has left the region of round {number}: {1 - inside:.0%} of it may "
            "lie outside, as earlier rounds were too sure of themselves. Run more rounds, which "
            "look there, or take more simulations for the first ones, as in "
            "n_simulations=[2000, 1000, 1000].",
            TrainingWarning,
        )


def _usual_slack(prior: Prior) -> float:
    """Take a fit to be so much too sure of itself where too few pairs tell."""
    return _SLACK * prior.n_features
