r"""
Flow matching posterior estimation.

A vector field carries noise z along a path to theta. On the straight path of flow matching,

.. math::
    \theta_t = (1 - t) z + t \theta, \qquad
    E_{t, z, p(\theta, x)} \big[ |u(\theta_t, t, x) - (\theta - z)|^2 \big]

is least for the field whose flow takes z to draws of p(theta | x), for every x. The field is learnt
on a circle, which is the same path at another speed: see :mod:`sksbi.nn.field`.
"""

from __future__ import annotations

from sksbi.estimators.density import DensityMixin
from sksbi.estimators.field import FIELD, FieldMixin
from sksbi.estimators.neural import NeuralEstimator
from sksbi.estimators.observed import ObservedMixin

__all__ = ["FMPE"]


class FMPE(FieldMixin, DensityMixin, ObservedMixin, NeuralEstimator):
    """
    Flow matching posterior estimation: p(theta | x) by a vector field, fitted by least squares.

    Noise flows along the field to draws of the posterior, and densities follow from its divergence,
    both by a solver that controls the error of every draw. The field needs no inverse, so that
    its networks may be of any form. theta stands where scikit-learn has X, x where it has y, and
    every draw lies inside the support of the prior, as in :class:`sksbi.NPE`.

    Parameters
    ----------
    prior : dict, list, distribution, object or None, default=None
        The prior that theta was drawn from: a dict {name: frozen scipy.stats distribution} as in
        ``RandomizedSearchCV``, a list of them, a scipy.stats multivariate or a torch distribution,
        or an object with ``sample(n, random_state)``, ``log_prob(theta)`` and optionally ``names``
        and ``support``. None: theta is unbounded.
    network : str or callable, default="mlp"
        The vector field: "mlp" (:class:`sksbi.nn.VectorField`), or a callable ``network(features,
        context, **options)`` that returns one, or a module with its methods.
    hidden_features : sequence of int or None, default=None
        The widths of the hidden layers in the field; None: the field's own default, and (96, 96,
        96) without an embedding from 50,000 rows to train on, see :class:`sksbi.nn.VectorField`.
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
    criterion : str or callable, default="flow_matching"
        The loss: a name, a class or a factory of a module (field, theta) -> losses (n,), such as a
        subclass of :class:`sksbi.losses.FieldMatching`. In training the field gives the members'
        values (E, n, D), in evaluation their mean (n, D).
    tolerance : float, default=1e-4
        The error that a step of the solver may make, in draws and densities, relative to 1 + abs(w)
        in units of the residuals of a linear regression on x; with an ``embedding`` that is
        trained, of the prior.
    max_steps : int, default=100
        The number of steps with error control. Rows that take more, which happens where the field
        is rough, go their rest without it, with a warning.
    optimizer : str or callable, default="muon"
        The optimizer: "muon" (:class:`sksbi.training.muon.Muon`), the name of one of torch's, a
        class or a partial of one.
    lr : float, default=1e-2
        The highest learning rate of the one-cycle schedule. The weight decay of "muon" is 900 over
        the number of pairs, 0.25 at most, unless ``optimizer__weight_decay`` is given.
    batch_size : int or None, default=None
        The number of rows in a training step. None: twice the square root of the number of rows to
        train on, from 32 to 1,000.
    max_epochs : int or None, default=None
        The number of passes over the training set, over which the schedule extends. None: 40, and
        up to 200 where few rows would give fewer than 1,880 steps.
    validation_fraction : float, splitter, tuple or None, default=0.1
        What early stopping watches: a fraction of the rows, shuffled; a scikit-learn splitter, of
        which the first split is taken; a pair (theta, x); or None, and there is no early stopping.
    patience : int or None, default=10
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
        Whether to compile the embedding by ``torch.compile`` before training, which takes up to
        minutes and a compiler: for large embeddings and GPUs. The field is not compiled, nor is
        what is saved and loaded.
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
    .. [1] Flow matching for scalable simulation-based inference (Wildberger et al., 2023)
       https://arxiv.org/abs/2305.17161

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from sksbi import FMPE, simulate
    >>> prior = {"mean": stats.norm(0, 1), "sd": stats.uniform(0.5, 1.5)}
    >>> def simulator(theta, rng):
    ...     return rng.normal(theta["mean"], theta["sd"], size=20)
    >>> theta, x = simulate(simulator, prior, 500, random_state=0)
    >>> fmpe = FMPE(prior, max_epochs=5, random_state=0).fit(theta, x)
    >>> fmpe.sample(x[0], 3).shape
    (3, 2)
    >>> fmpe.log_prob(theta, x).shape
    (500,)
    """

    _parameter_constraints = FIELD

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
        criterion="flow_matching",
        tolerance=1e-4,
        max_steps=100,
        optimizer="muon",
        lr=1e-2,
        batch_size=None,
        max_epochs=None,
        validation_fraction=0.1,
        patience=10,
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
        self.criterion = criterion
        self.tolerance = tolerance
        self.max_steps = max_steps
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
