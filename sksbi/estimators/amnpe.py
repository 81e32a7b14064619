r"""
Neural posterior estimation of all marginals.

One conditional density q(theta_A | x, A), for every subset A of the parameters, is trained on
simulated pairs to minimise

.. math::
    E_{P(A)} E_{p(\theta, x)} [-\log q(\theta_A | x, A)],

which is least where it is the marginal posterior p(theta_A | x) for every A that is drawn. What one
parameter looks like does not have to be found in draws of all.
"""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

from sksbi.estimators.density import DensityMixin
from sksbi.estimators.neural import NeuralEstimator
from sksbi.estimators.observed import OBSERVED, ObservedMixin
from sksbi.nn import ConditionalDensity, MarginalFlow, build_flow
from sksbi.nn.embedded import build_embedding
from sksbi.posteriors.density import DensityPosterior
from sksbi.preprocessing.columns import check_columns_apart
from sksbi.training import check_passed_on
from sksbi.utils.choose import construct
from sksbi.utils.masks import Masks

__all__ = ["AMNPE"]

_MANY_ROWS, _HIDDEN_FOR_MANY = 50_000, (128, 128)


class AMNPE(DensityMixin, ObservedMixin, NeuralEstimator):
    """
    Neural posterior estimation of p(theta | x) and of all its marginals, by one flow.

    ``marginal(["mass", "rate"])`` gives a fitted estimator of these parameters, in this order: it
    draws, has a normalised density, is scored, shown and diagnosed as any other. Without it the
    estimator answers for all parameters, as :class:`NPE` does. Where only all of them together are
    wanted, NPE is more exact.

    theta stands where scikit-learn has X, x where it has y, so that ``GridSearchCV`` and its kin
    search the hyperparameters. The flow is trained in the prior's unbounded space, parameter by
    parameter: every draw lies inside the support of the prior, and the density is normalised over
    it.

    Parameters
    ----------
    prior : dict, list, distribution, object or None, default=None
        The prior that theta was drawn from, as for :class:`NPE`. Marginals need one that has
        marginals: a dict or a list of distributions, a multivariate normal or t distribution, or an
        object with a method ``marginal(columns)``. None: theta is unbounded.
    masks : str, float or list, default="by_size"
        Which subsets of the parameters are learnt; one is drawn for every pair at every step.
        "by_size": the size first, all being equally likely, then a subset of that size, so that all
        parameters together, pairs and single ones are seen often, however many parameters there
        are. "uniform": all subsets but the empty one are equally likely. A float p, above 0 and up
        to 1: each parameter with probability p. A list of lists of names or positions: these
        subsets alone, and that of all parameters, equally likely; to ask for another is an error.
    transforms : int or None, default=None
        The number of transforms of the flow, :class:`sksbi.nn.MarginalFlow`; None: three.
    hidden_features : sequence of int or None, default=None
        The widths of the hidden layers in the flow; None: (64, 64), and (128, 128) without an
        embedding from 50,000 rows to train on.
    embedding : torch.nn.Module, callable or None, default=None
        A network between x and what sees theta. A module sees x in its own shape, each column
        brought to one scale; a callable, such as ``functools.partial(sksbi.nn.MLP,
        out_features=16)``, is called with the number of features that the network sees (for images
        and series: the shape). None: the features go on as they are.
    theta_transformer : estimator or None, default=None
        A scikit-learn transformer of theta in the prior's unbounded space, whose log-determinant is
        known: StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PowerTransformer
        or a Pipeline of them. The powers of a PowerTransformer are held where it reaches the whole
        real line.
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
    optimizer : str or callable, default="muon"
        The optimizer: "muon" (:class:`sksbi.training.muon.Muon`), the name of one of torch's, a
        class or a partial of one.
    lr : float, default=5e-3
        The highest learning rate of the one-cycle schedule.
    batch_size : int or None, default=None
        The number of rows in a training step. None: twice the square root of the number of rows to
        train on, from 32 to 1,000.
    max_epochs : int or None, default=None
        The number of passes over the training set, over which the schedule extends. None: 56, and
        up to 200 where few rows would give fewer than 2,700 steps.
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
    .. [1] Arbitrary marginal neural ratio estimation for simulation-based inference
       (Rozet et al., 2021) https://arxiv.org/abs/2110.00449
    .. [2] Neural spline flows (Durkan et al., 2019) https://arxiv.org/abs/1906.04032

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi import AMNPE, simulate
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"], theta["sd"], size=20)
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> amnpe = AMNPE(prior, transforms=2, max_epochs=5, random_state=0).fit(theta, x)
    >>> amnpe.sample(x[0], 3).columns.tolist()
    ['mean', 'sd']
    >>> sd = amnpe.marginal(["sd"])
    >>> sd.sample(x[0], 3).columns.tolist()
    ['sd']
    >>> sd.log_prob(theta[["sd"]], x).shape
    (500,)
    """

    _batch_scale = 2.0
    _least_epochs, _least_steps = 56, 2700
    _least_rows = 1
    _architecture = (
        "masks",
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
            "masks": [
                StrOptions({"by_size", "uniform"}),
                Interval(Real, 0, 1, closed="right"),
                list,
                tuple,
            ],
            "transforms": [Interval(Integral, 1, None, closed="left"), None],
        }
    )

    def __init__(
        self,
        prior=None,
        *,
        masks="by_size",
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
        self.masks = masks
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
        check_columns_apart(self.prior_, spec["theta_transformer"])
        embedding, width = build_embedding(spec["embedding"], spec["x_shape"])
        options = check_passed_on(spec, "module__", build_flow)
        for name in ("transforms", "hidden_features"):
            if spec[name] is not None:
                options[name] = spec[name]
        if spec["embedding"] is None and spec["n_rows"] >= _MANY_ROWS:
            options.setdefault("hidden_features", _HIDDEN_FOR_MANY)
        flow = construct(
            MarginalFlow,
            spec["n_theta"],
            width,
            what="the flow of AMNPE, sksbi.nn.MarginalFlow,",
            options=options,
            given_as="transforms, hidden_features and module__*",
        )
        return ConditionalDensity(flow, embedding)

    def _posterior(self):
        """Assemble the posterior."""
        spaces = self._theta_space, self._x_space
        masks = Masks(self._spec["masks"], self.parameter_names_)
        return DensityPosterior(self.net_.module_, *spaces, self._record, self.verbose, masks)
