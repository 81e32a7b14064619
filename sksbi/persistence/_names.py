"""
What a file may name, and what each name stands for.

A file says which classes it is made of by their names. A name is looked up here, or the caller has
listed it, or it is refused; only then is anything imported. Names are those under which users
import a class, where there are such, as these stay while modules move.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from torch import nn, optim

__all__ = ["is_known", "name_of", "permits", "resolve"]

# Those with an underscore are parts of fitted estimators.
_SINGLE = frozenset(
    [
        "builtins.bool",
        "builtins.int",
        "builtins.float",
        "builtins.complex",
        "builtins.str",
        "builtins.bytes",
        "builtins.list",
        "builtins.tuple",
        "builtins.dict",
        "builtins.set",
        "builtins.object",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.Counter",
        "collections.deque",
        "scipy.interpolate.BSpline",
        "scipy.sparse.csr_matrix",
        "scipy.sparse.csc_matrix",
        "scipy.sparse.csr_array",
        "scipy.sparse.csc_array",
        "scipy.stats._multivariate._PSD",
        "scipy.stats._multivariate.multivariate_normal_frozen",
        "scipy.stats._multivariate.multivariate_normal_gen",
        "scipy.stats._multivariate.multivariate_t_frozen",
        "scipy.stats._multivariate.multivariate_t_gen",
        "scipy.stats._multivariate.dirichlet_frozen",
        "scipy.stats._multivariate.dirichlet_gen",
        "scipy.stats._covariance.CovViaPSD",
        "scipy.stats._covariance.CovViaCholesky",
        "scipy.stats._covariance.CovViaDiagonal",
        "scipy.stats._covariance.CovViaEigendecomposition",
        "scipy.stats._covariance.CovViaPrecision",
        "sklearn.tree._tree.Tree",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.compose.make_column_selector",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn._loss._loss.CyAbsoluteError",
        "sklearn._loss._loss.CyExponentialLoss",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss._loss.CyHalfGammaLoss",
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss._loss.CyHalfPoissonLoss",
        "sklearn._loss._loss.CyHalfSquaredError",
        "sklearn._loss._loss.CyHalfTweedieLoss",
        "sklearn._loss._loss.CyHalfTweedieLossIdentity",
        "sklearn._loss._loss.CyHuberLoss",
        "sklearn._loss._loss.CyPinballLoss",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogLink",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.HalfLogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.AbsoluteError",
        "sklearn._loss.loss.ExponentialLoss",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn._loss.loss.HuberLoss",
        "sklearn._loss.loss.PinballLoss",
        "sklearn.feature_selection.chi2",
        "sklearn.feature_selection.f_classif",
        "sklearn.feature_selection.f_regression",
        "sklearn.feature_selection.mutual_info_classif",
        "sklearn.feature_selection.mutual_info_regression",
        "sklearn.feature_selection.r_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.svm.LinearSVC",
        "sklearn.svm.LinearSVR",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection.GroupKFold",
        "sklearn.model_selection.KFold",
        "sklearn.model_selection.LeaveOneOut",
        "sklearn.model_selection.RepeatedKFold",
        "sklearn.model_selection.ShuffleSplit",
        "sklearn.model_selection.StratifiedKFold",
        "sklearn.utils.Bunch",
        "sklearn.utils.check_array",
        "sksbi.SequentialInference",
        "sksbi.data.Pairs",
        "sksbi.priors.check_prior",
        "sksbi.priors.adapter.check_prior",
        "sksbi.sequential.change.Tolerance",
        "sksbi.sequential.narrowing.Narrowing",
        "sksbi.sequential.posterior_region.PosteriorRegion",
        "sksbi.sequential.progress.Progress",
        "sksbi.sequential.restricted.RestrictedPosterior",
    ]
)

# What may be called with what the file gives. Others are made without, and get their state.
_CALLED = frozenset(
    [
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.Counter",
        "collections.deque",
        "scipy.interpolate.BSpline",
        "sklearn.tree._tree.Tree",
        "sklearn.utils.Bunch",
        "sksbi.priors.check_prior",
        "sksbi.priors.adapter.check_prior",
    ]
)

# Of these packages of ours, the classes: none touches a file, or runs what it is not given.
_OWN = (
    "sksbi.estimators",
    "sksbi.losses",
    "sksbi.nn",
    "sksbi.pipeline",
    "sksbi.posteriors",
    "sksbi.preprocessing",
    "sksbi.priors",
    "sksbi.samplers",
    "sksbi.tables",
    "sksbi.training.callbacks",
    "sksbi.training.muon",
    "sksbi.training.schedule",
)

_SKLEARN = [
    "calibration",
    "compose",
    "covariance",
    "cross_decomposition",
    "decomposition",
    "discriminant_analysis",
    "dummy",
    "ensemble",
    "feature_selection",
    "frozen",
    "gaussian_process",
    "impute",
    "isotonic",
    "kernel_approximation",
    "kernel_ridge",
    "linear_model",
    "mixture",
    "model_selection",
    "multiclass",
    "multioutput",
    "naive_bayes",
    "neural_network",
    "pipeline",
    "preprocessing",
    "random_projection",
    "tree",
]


def _is_class_of(*bases: type) -> Callable[[Any], bool]:
    """Make a rule: classes that are derived from some."""
    return lambda value: isinstance(value, type) and issubclass(value, bases)


def _is_function(value: Any) -> bool:
    """Tell functions of numbers, which do nothing else."""
    return isinstance(value, np.ufunc)


def _is_network(value: Any) -> bool:
    """Tell networks, but for those whose compiled code or copies believe what they are told."""
    is_one = _is_class_of(nn.Module)(value)
    return is_one and not (
        issubclass(value, nn.RNNBase | nn.RNNCellBase) or value.__name__.startswith("Transformer")
    )


def _is_kernel(value: Any) -> bool:
    """Tell the kernels of Gaussian processes."""
    return isinstance(value, type) and hasattr(value, "clone_with_theta")


def _is_distribution(value: Any) -> bool:
    """Tell distributions and what they consist of."""
    from torch.distributions import Distribution, Transform
    from torch.distributions.constraints import Constraint

    return _is_class_of(Distribution, Transform, Constraint)(value)


# Of these modules, what follows a rule, each under the name that users import it by.
_PUBLIC: dict[str, Callable[[Any], bool]] = {
    **{f"sklearn.{name}": _is_class_of(BaseEstimator) for name in _SKLEARN},
    "sklearn.gaussian_process.kernels": _is_kernel,
    "numpy": lambda value: _is_function(value) or _is_class_of(np.generic)(value),
    "scipy.special": _is_function,
    "torch.nn": _is_network,
    "torch.optim": _is_class_of(optim.Optimizer),
    "torch.distributions": _is_distribution,
    "torch.distributions.constraints": _is_distribution,
    "torch.distributions.transforms": _is_distribution,
    "zuko.flows": _is_class_of(nn.Module),
    "zuko.nn": _is_class_of(nn.Module),
}


def name_of(value: Any) -> str:
    """
    Name a class or a function as users import it.

    Parameters
    ----------
    value : type or callable
        The class or function.

    Returns
    -------
    str
        Its name, with the shortest module that has it.

    Raises
    ------
    TypeError
        If no module has it under its name.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sksbi.persistence._names import name_of
    >>> name_of(StandardScaler)
    'sklearn.preprocessing.StandardScaler'
    """
    module, name = _module_of(value), getattr(value, "__qualname__", None)
    name = name or getattr(value, "__name__", None)
    parts = module.split(".")
    public = next((n for n, part in enumerate(parts) if part.startswith("_")), len(parts))
    for n in (*range(1, public + 1), len(parts)):
        if name and _found(".".join(parts[:n]), name) is value:
            return f"{'.'.join(parts[:n])}.{name}"
    raise TypeError(
        f"save takes functions and classes that can be imported by their names, got {value!r}: "
        "define it at the top of a module."
    )


def _module_of(value: Any) -> str:
    """Tell where something is defined; NumPy's and SciPy's functions do not say."""
    if isinstance(value, np.ufunc):
        return "numpy" if _found("numpy", value.__name__) is value else "scipy.special"
    # scikit-learn 1.6 calls the module of its compiled losses by its last part.
    if _found("sklearn._loss._loss", getattr(value, "__qualname__", "")) is value:
        return "sklearn._loss._loss"
    return getattr(value, "__module__", None) or ""


def _found(module: str, name: str) -> Any:
    """Find what a module that has been imported has under a name."""
    value = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def is_known(name: str) -> bool:
    """
    Tell whether a name may be built, without importing anything but the known modules.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    bool
        Whether it stands in the table.
    """
    if name in _SINGLE:
        return True
    module, _, last = name.rpartition(".")
    if module in _PUBLIC:
        return _PUBLIC[module](vars(import_module(module)).get(last))  # getattr may import
    is_own = module == "sksbi" or _is_own_module(module)
    return is_own and isinstance(_of_module(name), type)


def permits(name: str, deed: str) -> bool:
    """
    Tell what may be done with what has a known name.

    Parameters
    ----------
    name : str
        The name.
    deed : {"make", "call", "bind", "fill"}
        Make an object of the class, without its constructor; call it with arguments from the file;
        bind such arguments for later calls; or fill what was made with items.

    Returns
    -------
    bool
        Whether nothing comes of that but an object.
    """
    is_container = name.startswith("collections.")
    if deed == "call":
        return name in _CALLED or name.startswith("sklearn._loss._loss.")
    if deed == "bind":
        return name == "sklearn.utils.check_array"
    if deed == "fill":
        return is_container or name == "sklearn.utils.Bunch"
    return not (is_container or name in _CALLED or name.startswith(("builtins.", "numpy.")))


def _is_own_module(module: str) -> bool:
    """Tell modules of ours that have nothing but what may be built."""
    return any(module == own or module.startswith(own + ".") for own in _OWN)


def _of_module(name: str) -> Any:
    """Import a module and take what it has under a name; None if there is no such thing."""
    module, _, last = name.rpartition(".")
    try:
        value = getattr(import_module(module), last, None)
    except ImportError:
        return None
    # What a module has only imported may be anything.
    return value if _is_own_module(getattr(value, "__module__", "")) else None


def resolve(name: str, trusted: Collection[str]) -> Any:
    """
    Find what a name stands for.

    Parameters
    ----------
    name : str
        A name that is known or trusted.
    trusted : collection of str
        The names that the caller trusts.

    Returns
    -------
    object
        A class or a function.

    Raises
    ------
    LookupError
        If there is no such thing.
    """
    if name not in trusted and not is_known(name):
        raise LookupError(f"{name} is not trusted")
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        try:
            value: Any = import_module(".".join(parts[:n]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        try:
            for part in parts[n:]:
                value = getattr(value, part)
        except AttributeError:
            break
        return value
    raise LookupError(f"there is no {name} in what is installed here")
