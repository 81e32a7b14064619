r"""
Neural likelihood estimation.

A flow learns the density of x in the context of theta, by maximum likelihood over simulated pairs.
With it the posterior is

.. math::
    p(\theta | x_1, \dots, x_T) \propto p(\theta) \prod_t q(x_t | \theta)

for any number of independent trials, from one fit. Draws take a sampler.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import norm
from sklearn.utils._param_validation import HasMethods, StrOptions
from torch import nn

from sksbi.data import Batches, TensorPairs
from sksbi.estimators.likelihood import LikelihoodMixin
from sksbi.estimators.neural import NeuralEstimator, read_validation
from sksbi.estimators.sampled import SamplerMixin
from sksbi.nn import ConditionalDensity, ConditionalLikelihood, MaskedCategorical, build_flow
from sksbi.posteriors.likelihoods import NetworkLikelihood, RangeRecord, find_ranges
from sksbi.posteriors.score_test import ScoreRecord, choose_pairs, join_pairs
from sksbi.preprocessing import InvertibleSpace, ParameterSpace, ParameterViews
from sksbi.training import check_passed_on
from sksbi.utils.batches import EVALUATION_BATCH
from sksbi.utils.columns import find_columns
from sksbi.utils.random import seeded_copy
from sksbi.utils.validation import check_instance

__all__ = ["NLE"]

_CONTEXT_UNITS = 0.5


class NLE(SamplerMixin, LikelihoodMixin, NeuralEstimator):
    """
    Neural likelihood estimation: p(x | theta) by a conditional normalizing flow.

    theta stands where scikit-learn has X, x where it has y, so that ``GridSearchCV`` and its kin
    search the hyperparameters. The posterior is prior times likelihood, also of many independent
    trials of one theta, and draws come from a sampler that moves in the prior's unbounded space, so
    every draw lies inside the support of the prior. x may have discrete columns, too. Where it has
    very many columns, take ``NPE`` or ``NRE``, which need no density of them.

    Parameters
    ----------
    prior : dict, list, distribution, object or None, default=None
        The prior that theta was drawn from: a dict {name: frozen scipy.stats distribution} as in
        ``RandomizedSearchCV``, a list of them, a scipy.stats multivariate or a torch distribution,
        or an object with ``sample(n, random_state)``, ``log_prob(theta)`` and optionally ``names``
        and ``support``. None: the fit gives likelihoods and scores only; ``sample``,
        ``log_prob``, ``summary`` and ``map`` need the prior.
    flow : str or callable, default="nsf"
        The density of the columns of x that are not discrete: a name of :func:`sksbi.nn.flow_names`
        or what is called as ``flow(features, context, **options)``.
    transforms : int or None, default=None
        The number of transforms of the flow; None: the flow's own default.
    hidden_features : sequence of int or None, default=None
        The widths of the hidden layers in the flow; None: the flow's own default.
    theta_transformer : estimator or None, default=None
        A scikit-learn transformer of theta in the prior's unbounded space, whose log-determinant is
        known: StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PowerTransformer, PCA of
        full rank or a Pipeline of them. The powers of a PowerTransformer are held where it reaches
        the whole real line.
    x_transformer : estimator or None, default=None
        A scikit-learn transformer of the columns of x that are not discrete, whose log-determinant
        is known: the same as for theta. A monotone map of every column follows, chosen by the data
        among identity, asinh, logarithm and root.
    x_discrete : "auto", bool or sequence of str or int, default="auto"
        Which columns of x are discrete, by name or position. "auto": bool and categorical columns,
        and those of at most ten values, with five rows a value at least. True: all; False: none.
        Other columns of whole numbers are counts, which become continuous by noise of width 1.
    x_trials : bool, default=False
        Whether x in fit consists of independent trials of each theta: of shape (n, trials, ...), or
        a DataFrame whose last index level is the trial. What is learnt is the likelihood of one
        trial; one observation is then (trials, ...), a batch (m, trials, ...), of any number of
        trials, and ``score`` sums over them. Searches and cross-validation take arrays, whose rows
        are observations.
    criterion : str or callable, default="negative_log_likelihood"
        The loss: a name, a class or a factory of a module (distribution, x) -> losses (n,).
    sampler : str, Sampler or callable, default="auto"
        Where draws come from: "auto", "metropolis_hastings", "slice", "importance", "emcee", an
        object of :mod:`sksbi.samplers`, whose parameters are searched as ``sampler__*``, or a
        callable ``sampler(log_prob, initial, n_samples, random_state)``. With a fitted posterior
        estimator at hand, ``ImportanceResampling(proposal=FrozenEstimator(npe))`` draws from its
        posterior, and weights. Fit does not use it: what is set later takes effect at once.
    optimizer : str or callable, default="muon"
        The optimizer: "muon" (:class:`sksbi.training.muon.Muon`), the name of one of torch's, a
        class or a partial of one.
    lr : float, default=7e-3
        The highest learning rate of the one-cycle schedule. The weight decay of "muon" is 300 over
        the number of pairs, 0.5 at most, unless ``optimizer__weight_decay`` is given.
    batch_size : int or None, default=None
        The number of pairs in a training step. None: twice the square root of their number, from 32
        to 1,000.
    max_epochs : int or None, default=None
        The number of passes over the training set, over which the schedule extends. None: 28, and
        up to 200 where few rows would give fewer than 1,350 steps. With more than 10 trials an
        epoch sees 10 of each theta.
    validation_fraction : float, splitter, tuple or None, default=0.1
        What early stopping watches: a fraction of the rows, shuffled; a scikit-learn splitter, of
        which the first split is taken; a pair (theta, x); or None, and there is no early stopping.
    patience : int or None, default=8
        After so many epochs without a better validation loss the training goes back to the best
        weights, and the learning rate falls to zero in half as many epochs as it took to find them.
        In the end the best weights are restored. None: no early stopping.
    callbacks : list or None, default=None
        Further skorch callbacks, or pairs (name, callback). Built in are ``lr_scheduler``,
        ``gradient_clipping``, ``weight_averaging``, ``early_stopping`` and ``progress``: see
        ``**passed_on``.
    device : str, default="auto"
        Where to train: "auto" (a GPU if there is one), "cpu", "cuda", ... Inputs and results are
        always on the CPU.
    compile : bool, default=False
        Whether to compile the networks by ``torch.compile`` before training, which takes up to
        minutes and a compiler. What is saved and loaded is not compiled.
    checkpoint : str, Path or None, default=None
        A folder where the state of the training is kept, written every few seconds and at the end:
        see :ref:`checkpoints`. A fit that was killed, started again, goes on from there, and gives
        the numbers that it would have given; one that had ended trains nothing. It takes a
        ``random_state``. None: nothing is kept.
    warm_start : bool, default=False
        Whether fit goes on from the present weights and scalings. Ctrl-C in fit then raises, and
        keeps the best weights so far: the estimator is fitted, and the next fit goes on from them.
    verbose : int, default=0
        Whether to show progress bars.
    random_state : None, int, RandomState or Generator, default=None
        Seeds the initial weights, the split, the order of the rows, and the draws.
    **passed_on : object
        What goes on to skorch: ``module__*`` (options of the flow or network), ``criterion__*``,
        ``optimizer__*``, ``iterator_train__*`` and ``callbacks__*``; for example
        ``optimizer__weight_decay=0.1``, ``callbacks__gradient_clipping__gradient_clip_value=1.0``,
        ``callbacks__lr_scheduler=None``.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained net; its module is ``net_.module_``.
    history_ : DataFrame
        One row an epoch: epoch, train_loss, valid_loss, lr, dur (seconds).
    interrupted_ : bool
        Whether Ctrl-C ended the training, and ``warm_start=True`` kept the best weights so far.
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
    .. [1] Sequential neural likelihood: fast likelihood-free inference with autoregressive flows
       (Papamakarios et al., 2019) https://arxiv.org/abs/1805.07226
    .. [2] Flexible and efficient simulation-based inference for models of decision-making
       (Boelts et al., 2022) https://elifesciences.org/articles/77220

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi import NLE, simulate
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
    >>> def simulator(theta, rng):
    ...     return {"x": rng.normal(theta["mean"], theta["sd"])}
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> nle = NLE(prior, max_epochs=5, random_state=0).fit(theta, x)
    >>> nle.log_likelihood(theta, x).shape
    (500,)
    >>> nle.emulate({"mean": 0.0, "sd": 1.0}, 3).shape
    (3, 1)
    >>> nle.sample(np.zeros((20, 1)), 3, iid=True).columns.tolist()  # 20 trials
    ['mean', 'sd']
    """

    _parameter_constraints = NeuralEstimator._parameter_constraints | {
        "x_transformer": [HasMethods(["fit_transform", "transform", "inverse_transform"]), None],
        "x_discrete": [StrOptions({"auto"}), "boolean", "array-like"],
        "x_trials": ["boolean"],
        "sampler": [str, callable],
    }
    _estimates = "likelihood"
    _uninformed = "one density of x for all theta"
    _batch_scale = 2.0
    _least_epochs, _least_steps = 28, 1350
    _least_rows = 1
    _decay = 300.0
    _takes_any_table, _may_miss = True, False
    _architecture = (
        "flow",
        "transforms",
        "hidden_features",
        "x_discrete",
        "x_trials",
        "criterion",
    )

    def __init__(
        self,
        prior=None,
        *,
        flow="nsf",
        transforms=None,
        hidden_features=None,
        theta_transformer=None,
        x_transformer=None,
        x_discrete="auto",
        x_trials=False,
        criterion="negative_log_likelihood",
        sampler="auto",
        optimizer="muon",
        lr=7e-3,
        batch_size=None,
        max_epochs=None,
        validation_fraction=0.1,
        patience=8,
        callbacks=None,
        device="auto",
        compile=False,
        checkpoint=None,
        warm_start=False,
        verbose=0,
        random_state=None,
        **passed_on,
    ):
        self.prior = prior
        self.flow = flow
        self.transforms = transforms
        self.hidden_features = hidden_features
        self.theta_transformer = theta_transformer
        self.x_transformer = x_transformer
        self.x_discrete = x_discrete
        self.x_trials = x_trials
        self.criterion = criterion
        self.sampler = sampler
        self.optimizer = optimizer
        self.lr = lr
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.device = device
        self.compile = compile
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state
        self._set_passed_on(passed_on)

    @property
    def _has_trials(self):
        """Whether observations consist of trials."""
        return bool(self.x_trials)

    def _learn_spaces(self, pairs, rows, generator):
        """Fit the maps between the user's units and the network's; apply them to all pairs."""
        names = ("theta_transformer", "x_transformer")
        for name in names:
            check_instance(getattr(self, name), name)
        theta_transformer, x_transformer = (
            None if t is None else seeded_copy(t, generator)
            for t in (getattr(self, name) for name in names)
        )
        theta_space = ParameterSpace(self.prior_, theta_transformer)
        views = ParameterViews(theta_space.fit(pairs.theta, pairs.weight), pairs.theta)
        layout = self.x_layout_
        x, n_trials = layout.flat(pairs.x), layout.count_trials(pairs.x)
        labels = _labels_of(layout)
        discrete = _find_discrete(self.x_discrete, layout, labels)
        x_space = InvertibleSpace(x_transformer, discrete, layout.names, labels)
        rows = (rows[:, None] * n_trials + np.arange(n_trials)).ravel()
        x_space.fit(x, views(pairs.theta).repeat(n_trials, axis=0), generator, rows)
        return (views, x_space), _encoded(self.x_layout_, (views, x_space), pairs, generator)

    def _encode(self, spaces, pairs, generator=None):
        """Apply the maps: what the network sees of pairs."""
        if self._resumes():
            spaces[1].refuse_unseen(self.x_layout_.flat(pairs.x))
        return _encoded(self.x_layout_, spaces, pairs, generator or np.random.default_rng(0))

    def _sizes(self, spaces, pairs):
        """Note what the network's shape depends on beside the parameters."""
        views, space = spaces
        sizes = {"n_continuous": space.n_continuous, "n_values": space.n_values}
        return {"n_views": views.n_views} | sizes

    def _build_module(self, spec):
        """Build the probabilities of discrete columns, and a flow for the others."""
        options = check_passed_on(spec, "module__", build_flow)
        for name in ("transforms", "hidden_features"):
            if spec[name] is not None:
                options[name] = spec[name]
        if spec["flow"] == "nsf":
            options.setdefault("context_units", _CONTEXT_UNITS)
        n_views, n_values = spec["n_views"], spec["n_values"]
        density = categorical = None
        if n_values:
            categorical = MaskedCategorical(n_values, n_views, unseen=1 / (1 + spec["n_rows"]))
        if spec["n_continuous"]:
            width = n_views + sum(n_values)
            flow = build_flow(spec["flow"], spec["n_continuous"], width, **options)
            density = ConditionalDensity(flow, nn.Flatten())
        return ConditionalLikelihood(density, categorical)

    def _held_out_losses(self, net, spaces, valid):
        """Compute minus log-densities in the network's units: the flow's, and one without theta."""
        module = net.module_.eval()
        batches = list(Batches(valid, EVALUATION_BATCH))
        log_q = torch.cat([module.log_prob_at(x, c) for c, (x, _) in batches])
        x = torch.cat([x for _, (x, _) in batches])
        return -log_q.cpu().double().numpy(), _uninformed_losses(*module.split(x))

    def _remember(self, net, spaces, valid, seed, pairs, rows):
        """Keep pairs over which scores average to zero, those held out first, and ranges of x."""
        self._n_trials = self.x_layout_.count_trials(pairs.x)
        self._judged = _keep_pairs(self, pairs, rows)
        before = self._ranges if self._resumes() else None
        self._ranges = find_ranges(spaces[1], self.x_layout_.flat(pairs.x), before)

    def _posterior(self):
        """Assemble the posterior."""
        likelihood = NetworkLikelihood(self.net_.module_, self._theta_space, self._x_space)
        ranges = RangeRecord(self._x_space, self._ranges, self.x_layout_.names)
        scores = ScoreRecord(likelihood, *self._judged)
        return self._prior_times(likelihood, scores, self._n_trials, ranges)


def _encoded(layout, spaces, pairs, generator):
    """Bring pairs to the network's units, counts spread by noise."""
    views, x_space = spaces
    target = x_space.to_network(layout.flat(pairs.x), generator)[0]
    if layout.trials:
        target = target.reshape(len(pairs), -1, target.shape[1])
    arrays = (a.astype(np.float32) for a in (views(pairs.theta), target, pairs.weight))
    return TensorPairs(*map(torch.from_numpy, arrays), "target" if layout.trials else None)


def _labels_of(layout):
    """List the categories of columns of words, by position."""
    columns = (layout.encoder and layout.encoder.columns) or ()
    return {j: column.categories for j, column in enumerate(columns) if column.categories}


def _find_discrete(choice, layout, labels):
    """Tell which columns are discrete, by what the user says, or None: by their values."""
    found = _read_discrete(choice, layout)
    missing = [] if found is None else [j for j in labels if not found[j]]
    if missing:
        raise ValueError(
            f"x_discrete={choice!r} must name all columns of words or categories, which have no "
            f"density, and leaves out {[layout.names[j] for j in missing]}."
        )
    return found


def _read_discrete(choice, layout):
    """Read what the user says."""
    width = int(np.prod(layout.shape, dtype=int))
    if isinstance(choice, bool | np.bool_):
        return np.full(width, bool(choice))
    if isinstance(choice, str):
        return None
    columns = list(choice)
    names = None if layout.names is None else list(layout.names)
    found = np.zeros(width, bool)
    if columns:
        try:
            found[find_columns(columns, names, width)] = True
        except (TypeError, ValueError) as error:
            raise type(error)(f"x_discrete={choice!r} must name columns of x: {error}") from error
    return found


def _keep_pairs(estimator, pairs, rows):
    """Copy single trials: theta, x, how many were held out, and from how many was learnt."""
    goes_on = estimator._streams and estimator._resumes()
    earlier = estimator._judged if goes_on else ()
    layout, choice = estimator.x_layout_, estimator.validation_fraction
    n_learnt = layout.count_trials(pairs.x) * pairs.weight.sum() ** 2 / (pairs.weight**2).sum()
    apart = np.zeros(len(pairs), bool)
    if isinstance(choice, tuple):
        pairs = read_validation(estimator, choice)
        apart = np.ones(len(pairs), bool)
    elif rows is not None:
        apart[rows] = True
    n_trials, x = layout.count_trials(pairs.x), layout.flat(pairs.x)
    n_values = pairs.theta[:1].size + x[:1].size
    weight = pairs.weight.repeat(n_trials)
    kept, n_held_out = choose_pairs(n_values, weight, apart.repeat(n_trials))
    x = np.array(x[kept], dtype=np.float64)
    judged = pairs.theta[kept // n_trials], x, n_held_out, float(n_learnt)
    return join_pairs(*judged, *earlier) if earlier else judged


def _uninformed_losses(y, codes):
    """Compute minus log-densities of normal columns and frequencies, without theta."""
    y, codes = y.cpu().double().numpy(), codes.cpu().numpy()
    log_p = norm.logpdf(y, y.mean(axis=0), np.maximum(y.std(axis=0), 1e-6)).sum(axis=1)
    for column in codes.T:
        _, place, times = np.unique(column, return_inverse=True, return_counts=True)
        log_p = log_p + np.log(times / len(column))[place]
    return -log_p
