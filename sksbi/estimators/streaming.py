"""Learning from simulations that keep coming: one pass over the rows of every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.metadata_routing import UNUSED

from sksbi import training
from sksbi.data import Pairs, TensorPairs, count_passes
from sksbi.estimators.doubt import look_at_edges
from sksbi.losses import Atomic
from sksbi.preprocessing import TypicalObservations
from sksbi.priors import Prior
from sksbi.tables.layout import ObservationLayout
from sksbi.tables.names import check_pairs
from sksbi.tables.theta import check_against_prior, read_theta, theta_table, warn_of_far_theta
from sksbi.utils.interrupts import unchanged_on
from sksbi.utils.random import draw_seed, torch_generator
from sksbi.utils.signature import answers_to_X_y
from sksbi.utils.validation import check_lengths, check_weights

__all__ = ["StreamingMixin"]

_BATCH, _MANY_ROWS = 32, 50_000
_MOST_WAITING, _MOST_VALUES, _FEWEST_WAITING = 1_000, 1_000_000, 50
_FEWEST_TO_JUDGE, _FEWEST_LEARNT = 20, 2
_FOR_CALLS = 3  # beside draws and modes, see asking


class StreamingMixin:
    """``partial_fit``, for an estimator that trains a network."""

    net_: Any
    prior_: Prior | None
    parameter_names_: list[Any]
    seed_: int
    typical_x_: TypicalObservations
    x_layout_: ObservationLayout
    validation_fraction: Any
    _theta_space: Any
    _x_space: Any
    _spec: dict[str, Any]
    _history: list[dict[str, Any]]
    _least_rows: int
    _atoms: Callable[..., Any]
    _build_net: Callable[..., Any]
    _encode: Callable[..., Any]
    _held_out_losses: Callable[..., Any]
    _learn: Callable[..., Any]
    _learn_spaces: Callable[..., Any]
    _learn_success: Callable[..., Any]
    _make_spec: Callable[..., dict[str, Any]]
    _prepare: Callable[[], Any]
    _remember: Callable[..., Any]
    _resumes: Callable[[], bool]
    _split: Callable[..., Any]
    _validate_params: Callable[[], Any]
    __sklearn_is_fitted__: Callable[[], bool]
    _streams = False  # in a call of partial_fit

    __metadata_request__partial_fit = {"theta": UNUSED, "x": UNUSED}

    @answers_to_X_y
    def partial_fit(self, theta, x, sample_weight=None):
        """
        Go on learning, by one pass over new simulations; scikit-learn has theta in X's place.

        Many calls, each with fresh rows, are one training: states of the optimizer, of the learning
        rate and of the averaged weights go on from call to call, and through pickle. After every
        call the estimator is fitted. ``fit`` begins anew; after a ``fit``, the first call goes on
        from its weights and scalings.

        Parameters
        ----------
        theta : array-like or DataFrame of shape (n, D)
            The parameters, as for ``fit``.
        x : array-like, Series or DataFrame of shape (n,), (n, L) or (n, ...)
            What was simulated from them, as for ``fit``.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights of the rows, which count within a call.

        Returns
        -------
        object
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            If theta or x is not as above, or not as in the first call, or a parameter of the
            estimator is wrong, or shapes the network and has been set since.
        FloatingPointError
            If the loss is no number. After an error, or Ctrl-C, all is as it was before the call.

        Warns
        -----
        TrainingWarning
            If the first call has hardly any rows, theta cannot have come from the prior, or, looked
            at in calls 1, 2, 4, 8 and so on, nothing was learnt.

        Notes
        -----
        What is learnt about the data is fixed by the first call: names and shapes, scalings, the
        columns and features of x that are looked at, discrete columns and their values, initial
        weights. So give it some thousands of rows. Networks have the size that ``fit`` gives them
        from 50,000 rows on.

        A tenth of the rows of a call (``validation_fraction``), but 1,000 at most, waits for the
        next call before it is learnt from: by these rows, which the weights have not seen,
        ``sample`` knows what to warn of. ``validation_fraction=None`` lets none wait. There is no
        early stopping. A call of which all simulations but one have failed, ``x`` being NaN, counts
        for the probability of success, where the estimator learns that, and for nothing else.

        The learning rate rises to ``lr`` in 20 steps, and falls as the root of the number of steps,
        see :class:`sksbi.training.schedule.InverseRoot`; ``callbacks__lr_scheduler=None`` keeps it.
        ``batch_size=None`` means 32. ``max_epochs``, ``patience``, ``compile``, ``checkpoint`` and
        ``verbose`` have no effect, ``callbacks`` begin anew in every call, and ``history_`` has one
        row a call.

        One pass learns less from a simulation than the many of ``fit``, so this is for simulators
        that are cheap, or for rows that must not be kept; rows may be given more than once.

        Examples
        --------
        >>> from scipy import stats
        >>> from sksbi import NPE, simulate
        >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
        >>> def simulator(theta, rng):
        ...     return rng.normal(theta["mean"], theta["sd"], size=20)
        >>> npe = NPE(prior, flow="maf", transforms=2, random_state=0)
        >>> for seed in range(3):
        ...     theta, x = simulate(simulator, prior, 500, random_state=seed)
        ...     npe = npe.partial_fit(theta, x)
        >>> len(npe.history_)
        3
        >>> npe.sample(x[0], 3).shape
        (3, 2)
        """
        if x is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give "
                "partial_fit(theta, x) the simulated observations x."
            )
        self._validate_params()
        with unchanged_on(BaseException, self):
            self._streams = True
            if self.__sklearn_is_fitted__():
                self._learn_more(*self._read_more(theta, x, sample_weight))
            else:
                self._learn(theta, x, sample_weight, self._pass)
            del self._streams
        return self

    def _read_more(self, theta, x, sample_weight):
        """Read tables that are as those before."""
        self._prepare()
        given, theta = theta, theta_table(theta)
        array = read_theta(self, theta, minimum=2)
        layout = self.x_layout_
        values = layout.read(x, simulated=True).values
        check_pairs(given, x, sample_weight, trials=layout.trials)
        check_lengths(theta=array, x=values)
        if self.prior_ is not None:
            array = check_against_prior(theta, array, self.prior_)
        weights = check_weights(sample_weight, len(array))
        if self.prior_ is not None:
            warn_of_far_theta(array, weights, self.prior_, self.parameter_names_)
        pairs = Pairs.of_positive_weight(array, values, weights).succeeded(at_least=0)
        return pairs, np.random.default_rng([self.seed_, _FOR_CALLS, len(self._history)])

    def _learn_more(self, pairs, generator):
        """Learn from further rows."""
        self._learn_success(pairs, generator)
        if len(pairs) < _FEWEST_LEARNT:
            return
        self._pass(pairs, generator)
        x = self.x_layout_.flat(pairs.x)
        self.typical_x_ = self.typical_x_.stretched(x)
        look_at_edges(self, x, goes_on=True, whole=True)

    def _pass(self, pairs, generator):
        """Go once through rows that have waited, and through these but those that wait now."""
        resumed = self.net_ if self._resumes() else None
        stream = getattr(resumed, "stream_", {"calls": 0, "waiting": None})
        train, wait = self._choose_waiting(pairs, generator)
        own, before = generator.spawn(1)[0], stream["waiting"]
        if resumed is None:
            training.warn_of_few(len(pairs))
            spaces, seen = self._learn_spaces(pairs, train, own)
        else:
            spaces = self._theta_space, self._x_space
            seen = self._encode(spaces, pairs, own)
        seen, valid = self._split(spaces, seen, train, wait)
        if before is not None:
            waited = self._encode(spaces, before, own).of_trials(seen.n_trials)
            seen = TensorPairs.joined([waited, seen])
        spec = self._stream_spec(spaces, seen, resumed)
        net = self._build_net(spec, draw_seed(generator), 1, None, torch_generator(generator))
        if isinstance(net.criterion_.criterion, Atomic):
            net.criterion_.criterion.show(*self._atoms(spaces[0], pairs))
        seed = draw_seed(generator)
        training.go_on(net, resumed)
        training.begin(net, seen.to(net.device), resumed, seed, compile_first=False)
        self._remember(net, spaces, valid, seed, pairs, wait)
        self._theta_space, self._x_space = spaces
        self._spec, self.net_, self.interrupted_ = spec, net, False
        self._history = training.extend_history(self._history if resumed else [], net)
        n_calls = stream["calls"] + 1
        net.stream_ |= {"calls": n_calls, "waiting": None if wait is None else pairs.take(wait)}
        if n_calls.bit_count() == 1:
            _judge(self, valid, n_calls)

    def _choose_waiting(self, pairs, generator):
        """Choose rows that wait for the next call: which are learnt from, and which are not."""
        rows = training.divide(self.validation_fraction, pairs, self._least_rows, generator)
        if rows.valid is None:
            return rows.train, None
        n_values = pairs.theta[:1].size + pairs.x[:1].size
        most = min(_MOST_WAITING, max(_FEWEST_WAITING, _MOST_VALUES // n_values))
        wait = np.sort(generator.permutation(rows.valid)[:most])
        if len(wait) < self._least_rows:
            return np.arange(len(pairs)), None
        return np.setdiff1d(np.arange(len(pairs)), wait), wait

    def _stream_spec(self, spaces, seen, resumed):
        """Note all that it takes to build the net again."""
        spec = self._make_spec(spaces, seen, self._spec if resumed else None)
        n_rows = spec["n_rows"] if resumed else max(spec["n_rows"], _MANY_ROWS)
        return spec | {
            "n_rows": n_rows,
            "batch_size": spec["batch_size"] or _BATCH,
            "max_epochs": 1,
            "patience": None,
            "verbose": 0,
            "endless": True,
        }


def _judge(estimator, valid, n_calls):
    """Warn of a training that has learnt nothing so far."""
    net, spaces = estimator.net_, (estimator._theta_space, estimator._x_space)
    history = estimator._history[-n_calls:]
    if len(valid or ()) >= _FEWEST_TO_JUDGE and training.warn_of_rising_loss(history, net.lr):
        return
    if valid is None:
        return
    if estimator._least_rows > 1:
        # Rows of a batch are paired with each other: sorted ones would meet their likes only.
        valid = valid.take(np.random.default_rng(0).permutation(len(valid)))
    with torch.no_grad():
        losses = estimator._held_out_losses(net, spaces, valid.to(net.device))
    weights = np.tile(valid.weight.cpu().double().numpy(), count_passes(valid.n_trials))
    what, longer = estimator._uninformed, "learn from more simulations"
    training.warn_of_worse_than_nothing(*losses, weights, what, np.inf, net.lr, longer)
