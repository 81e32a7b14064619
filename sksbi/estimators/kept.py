"""
Which checkpoint is a fit's own.

Two fits have the same one if they give the same numbers: they have the same class and parameters,
data, seed and versions. A prior may be any object, so it is known by its density and its map at
theta, to nine digits.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from sksbi import training
from sksbi._version import __version__
from sksbi.data import Pairs, PairsOnDisk, StreamedPairs, TensorPairs
from sksbi.estimators.passed_on import PassedOnMixin
from sksbi.priors import Prior
from sksbi.priors.trace import trace
from sksbi.utils.fingerprint import fingerprint
from sksbi.utils.types import Array
from sksbi.utils.validation import shortened

__all__ = ["check_can_be_found", "find_checkpoint"]

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "skorch", "torch", "zuko")
# They change no number, or are known by what came of them.
_APART = ("checkpoint", "device", "prior", "random_state", "verbose")
_ROWS, _DIGITS = 64, 9


def check_can_be_found(random_state: object, estimator: Any, name: str) -> None:
    """
    Hold that what trains with a checkpoint has the same seed when it is run again.

    Parameters
    ----------
    random_state : None, int, RandomState or Generator
        Where the seed comes from.
    estimator : estimator or None
        What trains, or has parts that do.
    name : str
        The class that ``random_state`` is of.

    Raises
    ------
    ValueError
        If it has not.
    """
    if random_state is not None or estimator is None:
        return
    for part in (estimator, *estimator.get_params().values()):
        folder = getattr(part, "checkpoint", None) if isinstance(part, PassedOnMixin) else None
        if folder is not None:
            raise ValueError(
                f"checkpoint={folder!r} needs a random_state, got {name}("
                "random_state=None): with a fresh seed no fit would find its checkpoint again. "
                "Give an int, or set checkpoint=None."
            )


def find_checkpoint(
    estimator: Any,
    pairs: Pairs | PairsOnDisk,
    net: Any,
    seen: tuple[TensorPairs | StreamedPairs, TensorPairs | None],
    resumed: Any,
) -> training.Checkpoint | None:
    """
    Find the checkpoint of a fit, whether it is there yet or not.

    Parameters
    ----------
    estimator : NeuralEstimator
        The estimator, which is being fitted.
    pairs : Pairs or PairsOnDisk
        The pairs as fit has read them.
    net : skorch.NeuralNet
        The net that is to be trained.
    seen : tuple of (TensorPairs or StreamedPairs, TensorPairs or None)
        What it is trained on, and validated on.
    resumed : skorch.NeuralNet or None
        The net whose training goes on by ``warm_start=True``.

    Returns
    -------
    Checkpoint or None
        None if the estimator is to have none.

    Raises
    ------
    TypeError
        If a parameter cannot be compared with that of another process.
    """
    if estimator.checkpoint is None:
        return None
    layout = estimator.x_layout_
    parts = {
        "versions": _versions(),
        "class": type(estimator),
        "seed": estimator.seed_,
        "device": net.device,
        "pairs": pairs.digest if isinstance(pairs, PairsOnDisk) else pairs,
        "names": estimator.parameter_names_,
        "layout": [layout.shape, layout.names, layout.trials, layout.encoder],
        "prior": _marks_of(estimator.prior_, pairs.some.theta[:_ROWS]),
    }
    if resumed is not None:  # its scalings are in what the network sees
        state = training.pack_state(resumed, optimizer=True)
        samples = [part and vars(part.sample) for part in seen]
        parts["resumed"] = [state, type(resumed.optimizer_), samples]
    given = estimator.get_params(deep=False)
    given = {name: value for name, value in given.items() if name not in _APART}
    key = fingerprint([parts, [(name, _digest(name, given[name])) for name in sorted(given)]])
    return training.Checkpoint(estimator.checkpoint, f"{type(estimator).__name__}-{key}")


@cache
def _versions() -> list[str]:
    """List the versions that numbers may depend on."""
    return [__version__, *map(version, _LIBRARIES)]


def _marks_of(prior: Prior | None, theta: Array) -> list[str] | None:
    """Write down what a prior is known by."""
    if prior is None:
        return None
    log_p, z = trace(prior, theta)["log_prob"], prior.to_unbounded(theta)
    return [f"{number:.{_DIGITS}e}" for number in (*log_p, *z.ravel())]


def _digest(name: str, value: object) -> str:
    """Tell a parameter from others."""
    try:
        return fingerprint(value)
    except TypeError as error:
        raise TypeError(
            f"checkpoint must tell this fit from others in any process, and cannot look into "
            f"{name}={shortened(repr(value))}: {error}. Give what can be pickled, or set "
            "checkpoint=None."
        ) from error
