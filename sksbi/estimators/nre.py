r"""
Neural ratio estimation.

A network is trained to tell pairs of the joint p(theta, x) from pairs of p(theta) p(x). Where it
can do no better, it gives

.. math::
    \log r(\theta, x) = \log \frac{p(\theta, x)}{p(\theta) p(x)}
    = \log \frac{p(x | \theta)}{p(x)} = \log \frac{p(\theta | x)}{p(\theta)},

so that prior times ratio is the posterior, and ratios of ratios are likelihood ratios. One fit
serves all observations; draws take a sampler.
"""

from __future__ import annotations

from numbers import Integral

from sklearn.utils._param_validation import Interval

from sksbi.estimators.neural import NeuralEstimator
from sksbi.estimators.observed import OBSERVED, ObservedMixin
from sksbi.estimators.ratio import RatioMixin
from sksbi.estimators.ratio_network import RatioNetworkMixin
from sksbi.estimators.sampled import SamplerMixin
from sksbi.nn import ConditionalRatio, build_ratio_network
from sksbi.nn.embedded import build_embedding
from sksbi.posteriors.normaliser import NormaliserRecord
from sksbi.posteriors.ratios import NetworkRatio
from sksbi.training import check_passed_on

__all__ = ["NRE"]


class NRE(SamplerMixin, RatioMixin, RatioNetworkMixin, ObservedMixin, NeuralEstimator):
    """
    Neural ratio estimation: r(theta, x) = p(theta | x) / p(theta) by a classifier.

    theta stands where scikit-learn has X, x where it has y, so that ``GridSearchCV`` and its kin
    search the hyperparameters. Draws come from a sampler that moves in the prior's unbounded space,
    so every draw lies inside the support of the prior.

    Parameters
    ----------
    prior : dict, list, distribution, object or None, default=None
        The prior that theta was drawn from: a dict {name: frozen scipy.stats distribution} as in
        ``RandomizedSearchCV``, a list of them, a scipy.stats multivariate or a torch distribution,
        or an object with ``sample(n, random_state)``, ``log_prob(theta)`` and optionally ``names``
        and ``support``. None: the fit gives ratios and scores only; ``sample``, ``log_prob``,
        ``summary`` and ``map`` need the prior.
    network : str, torch.nn.Module or callable, default="mlp"
        The ratio network: "mlp" (see :class:`sksbi.nn.RatioMLP`), a module (theta, context) ->
        log-ratios of shape (n,), which is copied, or a callable
        ``network(features, context, **options)`` that makes one.
    hidden_features : sequence of int or None, default=None
        The widths of the hidden layers in the network; None: the network's own default.
    embedding : torch.nn.Module, callable or None, default=None
        A network between x and what sees theta. A module sees x in its own shape, each column
        brought to one scale; a callable, such as ``functools.partial(sksbi.nn.MLP,
        out_features=16)``, is called with the number of features that the network sees (for images
        and series: the shape). None: the features go on as they are.
    theta_transformer : estimator or None, default=None
        A scikit-learn transformer of theta in the prior's unbounded space, whose log-determinant is
        known: StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PowerTransformer, PCA of
        full rank or a Pipeline of them. The powers of a PowerTransformer are held where it reaches
        the whole real line.
    x_transformer : estimator, "passthrough" or None, default=None
        A scikit-learn transformer of x, before the built-in robust scaling. "passthrough": x goes
        to the network as it is, as masks, tokens and positions should, without scaling or features;
        so does, where x has three or more dimensions and there is an ``embedding``, what a
        transformer returns.
    x_features : estimator, "auto" or None, default="auto"
        What becomes of the columns of x where there is no ``embedding``. "auto": columns that tell
        nothing about theta are left out (of 12 to 1,000, with 500 simulations or more, see
        ``x_kept_``; indicators stay, if they are eleven or fewer), and if more than 24 are left,
        summary statistics take their place:
        :class:`sksbi.preprocessing.summaries.SummaryStatistics`. An estimator with
        ``fit_transform(x, theta)`` and ``transform(x)``: it sees arrays, of the rows to train on
        alone, and what it returns is scaled robustly. One that learns from theta, such as a
        regression, is best fitted in folds, as our own is: else the network trusts it too much.
        None: all columns go to the network.
    x_trials : bool, default=False
        Whether x in fit consists of independent trials of each theta: of shape (n, trials, ...), or
        a DataFrame whose last index level is the trial. What is learnt is the ratio of one trial;
        one observation is then (trials, ...), a batch (m, trials, ...), of any number of trials,
        and ``score`` sums over them. Searches and cross-validation take arrays, whose rows are
        observations.
    criterion : str or callable, default="contrastive"
        The loss: "contrastive" (CNRE), "binary" (NRE), "balanced" (BNRE), "balanced_contrastive",
        "coverage" (DCP-NRE), a class or a factory of a module (function theta -> log r, theta) ->
        losses (n,); see :class:`sksbi.losses.PairedCriterion` for how it pairs theta with other
        x.
    sampler : str, Sampler or callable, default="auto"
        Where draws come from: "auto", "metropolis_hastings", "slice", "importance", "emcee", an
        object of :mod:`sksbi.samplers`, whose parameters are searched as ``sampler__*``, or a
        callable ``sampler(log_prob, initial, n_samples, random_state)``. With a fitted posterior
        estimator at hand, ``ImportanceResampling(proposal=FrozenEstimator(npe))`` draws from its
        posterior, and weights. Fit does not use it: what is set later takes effect at once.
    optimizer : str or callable, default="muon"
        The optimizer: "muon" (:class:`sksbi.training.muon.Muon`), the name of one of torch's, a
        class or a partial of one.
    lr : float, default=1e-2
        The highest learning rate of the one-cycle schedule.
    batch_size : int or None, default=None
        The number of rows in a training step, at least 2. None: two thirds of the square root of
        the number of rows to train on, from 32 to 1,000.
    max_epochs : int or None, default=None
        The number of passes over the training set, over which the schedule extends. None: 20, and
        up to 200 where few rows would give fewer than 2,800 steps.
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
        Whether to compile the embedding and the networks by ``torch.compile`` before training,
        which takes up to minutes and a compiler. For large embeddings and GPUs: on the CPU the
        default flow gains nothing by it. What is saved and loaded is not compiled.
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
    x_kept_ : ndarray of bool
        The columns of x, after ``x_transformer``, that the network sees.
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
    .. [1] Likelihood-free MCMC with amortized approximate ratio estimators (Hermans et al., 2020)
       https://arxiv.org/abs/1903.04057
    .. [2] Approximating likelihood ratios with calibrated discriminative classifiers
       (Cranmer et al., 2015) https://arxiv.org/abs/1506.02169
    .. [3] Contrastive neural ratio estimation (Miller et al., 2022)
       https://arxiv.org/abs/2210.06170

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi import NRE, simulate
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"], theta["sd"], size=20)
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> nre = NRE(prior, max_epochs=5, random_state=0).fit(theta, x)
    >>> nre.predict_ratio(theta, x).shape
    (500,)
    >>> nre.sample(x[0], 3).columns.tolist()
    ['mean', 'sd']
    """

    _parameter_constraints = (
        NeuralEstimator._parameter_constraints
        | OBSERVED
        | {
            "batch_size": [Interval(Integral, 2, None, closed="left"), None],
            "x_trials": ["boolean"],
            "sampler": [str, callable],
        }
    )
    _estimates = "ratio"
    _batch_scale = 2 / 3
    _least_epochs, _least_steps = 20, 2800
    _least_rows = 2
    _architecture = (
        "network",
        "hidden_features",
        "embedding",
        "x_features",
        "x_trials",
        "criterion",
    )

    def __init__(
        self,
        prior=None,
        *,
        network="mlp",
        hidden_features=None,
        embedding=None,
        theta_transformer=None,
        x_transformer=None,
        x_features="auto",
        x_trials=False,
        criterion="contrastive",
        sampler="auto",
        optimizer="muon",
        lr=1e-2,
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
        self.network = network
        self.hidden_features = hidden_features
        self.embedding = embedding
        self.theta_transformer = theta_transformer
        self.x_transformer = x_transformer
        self.x_features = x_features
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

    def _build_module(self, spec):
        """Embed x, then let the network see theta and that."""
        embedding, width = build_embedding(spec["embedding"], spec["x_shape"])
        options = check_passed_on(spec, "module__", build_ratio_network)
        if spec["hidden_features"] is not None:
            options["hidden_features"] = spec["hidden_features"]
        network = build_ratio_network(spec["network"], spec["n_theta"], width, **options)
        return ConditionalRatio(network, embedding)

    def _posterior(self):
        """Assemble the posterior."""
        ratio = NetworkRatio(self.net_.module_, self._theta_space, self._x_space, self._reach)
        record = NormaliserRecord(ratio, self._some_x, self._n_learnt)
        return self._prior_times(ratio, record, self._n_trials)
