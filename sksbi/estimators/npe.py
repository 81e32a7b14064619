r"""
Neural posterior estimation.

A conditional density q(theta | x) is trained on simulated pairs to minimise

.. math::
    E_{p(\theta, x)} [-\log q(\theta | x)],

which is least where q(theta | x) = p(theta | x) for every x. One fit serves all observations.
"""

from __future__ import annotations

from functools import partial
from numbers import Integral

import numpy as np
import torch
from sklearn.utils._param_validation import Interval

from sksbi.estimators.density import DensityMixin
from sksbi.estimators.neural import NeuralEstimator
from sksbi.estimators.observed import OBSERVED, ObservedMixin
from sksbi.nn import ConditionalDensity, build_flow
from sksbi.nn.embedded import build_embedding
from sksbi.posteriors.density import DensityPosterior
from sksbi.training import check_passed_on

__all__ = ["NPE"]

_MANY_ROWS, _HIDDEN_FOR_MANY = 50_000, (128, 128)


class NPE(DensityMixin, ObservedMixin, NeuralEstimator):
    """
    Neural posterior estimation: p(theta | x) by a conditional normalizing flow.

    theta stands where scikit-learn has X, x where it has y, so that ``GridSearchCV`` and its kin
    search the hyperparameters. The flow is trained in the prior's unbounded space: every draw lies
    inside the support of the prior, and the density is normalised over it: exactly, or, where the
    prior's own log_prob is -inf in a part of its box, by the share s of 256 draws that lie outside
    of that part, which leaves an error of sqrt((1 - s) / (256 s)) in log_prob.

    Parameters
    ----------
    prior : dict, list, distribution, object or None, default=None
        The prior that theta was drawn from: a dict {name: frozen scipy.stats distribution} as in
        ``RandomizedSearchCV``, a list of them, a scipy.stats multivariate or a torch distribution,
        or an object with ``sample(n, random_state)``, ``log_prob(theta)`` and optionally ``names``
        and ``support``. None: theta is unbounded.
    flow : str or callable, default="nsf"
        The density estimator: "nsf" (an ensemble of four neural spline flows, see
        :class:`sksbi.nn.SplineFlow`; its size is ``module__members``), "maf" (masked
        autoregressive flow), another of zuko's flows by name, or a callable
        ``flow(features, context, **options)``.
    transforms : int or None, default=None
        The number of transforms of the flow; None: the flow's own default.
    hidden_features : sequence of int or None, default=None
        The widths of the hidden layers in the flow; None: the flow's own default, and (128, 128)
        for "nsf" without an embedding from 50,000 rows to train on.
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
    criterion : str or callable, default="negative_log_likelihood"
        The loss: a name, a class or a factory of a module (distribution, theta) -> losses (n,).
        "coverage" adds a penalty on regions that hold theta more or less often than their level
        says: see :class:`sksbi.losses.CoverageLogLikelihood`.
    optimizer : str or callable, default="muon"
        The optimizer: "muon" (:class:`sksbi.training.muon.Muon`), the name of one of torch's, a
        class or a partial of one.
    lr : float, default=5e-3
        The highest learning rate of the one-cycle schedule.
    batch_size : int or None, default=None
        The number of rows in a training step. None: twice the square root of the number of rows to
        train on, from 32 to 1,000.
    max_epochs : int or None, default=None
        The number of passes over the training set, over which the schedule extends. None: 28, and
        up to 200 where few rows would give fewer than 1,350 steps.
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
    .. [1] Fast epsilon-free inference of simulation models with Bayesian conditional density
       estimation (Papamakarios and Murray, 2016) https://arxiv.org/abs/1605.06376
    .. [2] Neural spline flows (Durkan et al., 2019) https://arxiv.org/abs/1906.04032

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi import NPE, simulate
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"], theta["sd"], size=20)
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> npe = NPE(prior, flow="maf", transforms=2, max_epochs=5, random_state=0).fit(theta, x)
    >>> npe.sample(x[0], 3).shape
    (3, 2)
    >>> npe.summary(x[0]).index.tolist()
    ['mean', 'sd']
    >>> npe.log_prob(theta, x).shape
    (500,)
    """

    _batch_scale = 2.0
    _least_epochs, _least_steps = 28, 1350
    _least_rows = 1
    _architecture = (
        "flow",
        "transforms",
        "hidden_features",
        "embedding",
        "x_features",
        "criterion",
    )
    _parameter_constraints = (
        NeuralEstimator._parameter_constraints
        | OBSERVED
        | {
            "transforms": [Interval(Integral, 1, None, closed="left"), None],
        }
    )

    def __init__(
        self,
        prior=None,
        *,
        flow="nsf",
        transforms=None,
        hidden_features=None,
        embedding=None,
        theta_transformer=None,
        x_transformer=None,
        x_features="auto",
        criterion="negative_log_likelihood",
        optimizer="muon",
        lr=5e-3,
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
        self.embedding = embedding
        self.theta_transformer = theta_transformer
        self.x_transformer = x_transformer
        self.x_features = x_features
        self.criterion = criterion
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

    def _build_module(self, spec):
        """Embed x, then condition the flow on it."""
        embedding, width = build_embedding(spec["embedding"], spec["x_shape"])
        options = check_passed_on(spec, "module__", build_flow)
        for name in ("transforms", "hidden_features"):
            if spec[name] is not None:
                options[name] = spec[name]
        if spec["flow"] == "nsf" and spec["embedding"] is None and spec["n_rows"] >= _MANY_ROWS:
            options.setdefault("hidden_features", _HIDDEN_FOR_MANY)
        return ConditionalDensity(
            build_flow(spec["flow"], spec["n_theta"], width, **options), embedding
        )

    def _atoms(self, theta_space, pairs):
        """Give the atomic loss all parameters that were simulated, and the prior."""
        if self.prior_ is None:
            raise ValueError("criterion='atomic' needs the prior, got prior=None.")
        u = theta_space.to_network(pairs.with_failures().theta)[0]
        return torch.from_numpy(u.astype(np.float32)), partial(_log_prior, theta_space)

    def _posterior(self):
        """Assemble the posterior."""
        return DensityPosterior(
            self.net_.module_, self._theta_space, self._x_space, self._record, self.verbose
        )


def _log_prior(theta_space, u):
    """Compute the log-density of the prior in the network's units."""
    theta = theta_space.from_network(u.double().numpy())
    log_p = theta_space.prior.log_prob(theta) - theta_space.to_network(theta)[1]
    return torch.from_numpy(log_p).to(u)
