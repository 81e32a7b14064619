"""Losses by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from torch import nn

from sksbi.losses.atomic import Atomic
from sksbi.losses.balanced import BalancedBinaryCrossEntropy
from sksbi.losses.balanced_contrastive import BalancedContrastive
from sksbi.losses.binary import BinaryCrossEntropy
from sksbi.losses.contrastive import Contrastive
from sksbi.losses.coverage import CoverageContrastive, CoverageLogLikelihood
from sksbi.losses.flow_matching import FlowMatching
from sksbi.losses.negative_log_likelihood import NegativeLogLikelihood
from sksbi.losses.score_matching import ScoreMatching
from sksbi.utils.choose import choose, construct

__all__ = ["build_criterion", "criterion_names"]

_CRITERIA: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "field": {"flow_matching": FlowMatching, "score_matching": ScoreMatching},
    "posterior": {
        "atomic": Atomic,
        "coverage": CoverageLogLikelihood,
        "negative_log_likelihood": NegativeLogLikelihood,
    },
    "likelihood": {"negative_log_likelihood": NegativeLogLikelihood},
    "ratio": {
        "balanced": BalancedBinaryCrossEntropy,
        "balanced_contrastive": BalancedContrastive,
        "binary": BinaryCrossEntropy,
        "contrastive": Contrastive,
        "coverage": CoverageContrastive,
    },
}


def criterion_names(estimates: str = "posterior") -> list[str]:
    """
    List the criteria that have a name.

    Parameters
    ----------
    estimates : {"posterior", "likelihood", "ratio", "field"}, default="posterior"
        What the module that is trained gives: distributions over theta, or over x, functions
        theta -> log r(theta, x), or vector fields.

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    ValueError
        If ``estimates`` is none of these.

    Examples
    --------
    >>> from sksbi.losses import criterion_names
    >>> criterion_names()
    ['atomic', 'coverage', 'negative_log_likelihood']
    >>> criterion_names("ratio")
    ['balanced', 'balanced_contrastive', 'binary', 'contrastive', 'coverage']
    """
    return sorted(_named(estimates))


def build_criterion(
    criterion: str | Callable[..., nn.Module], estimates: str = "posterior", /, **options: object
) -> nn.Module:
    """
    Build a criterion from its name or its constructor.

    Parameters
    ----------
    criterion : str or callable
        A name of :func:`criterion_names`, or anything that is called as ``criterion(**options)``
        and returns a module (output, theta) -> losses of shape (n,).
    estimates : {"posterior", "likelihood", "ratio", "field"}, default="posterior"
        Which names there are: see :func:`criterion_names`.
    **options : object
        Passed on to the constructor.

    Returns
    -------
    torch.nn.Module
        The criterion.

    Raises
    ------
    ValueError
        If the name, or ``estimates``, is unknown.
    TypeError
        If it is neither a name nor callable, or does not take an option.

    Examples
    --------
    >>> from sksbi.losses import build_criterion
    >>> build_criterion("negative_log_likelihood")
    NegativeLogLikelihood()
    """
    if isinstance(criterion, nn.Module):
        raise TypeError(
            f"criterion must be one of {criterion_names(estimates)} or a callable "
            f"criterion(**options), got an object: give the class {type(criterion).__name__}, and "
            "its options as criterion__*."
        )
    otherwise = "a callable criterion(**options)"
    constructor = choose(criterion, _named(estimates), "criterion", otherwise)
    what = f"criterion={criterion!r}"
    try:
        return construct(constructor, what=what, options=options, given_as="criterion__*")
    except TypeError as error:
        others = [name for name, other in _named(estimates).items() if _takes(other, options)]
        if not isinstance(criterion, str) or _takes(constructor, options) or not others:
            raise
        raise TypeError(f"{error}; criterion={others[0]!r} takes these options.") from error


def _takes(constructor: Callable[..., nn.Module], options: Mapping[str, object]) -> bool:
    """Tell whether a criterion has all of these options."""
    return set(options) <= set(inspect.signature(constructor).parameters)


def _named(estimates: str) -> dict[str, Callable[..., nn.Module]]:
    """Find the criteria for what a module gives."""
    if not isinstance(estimates, str) or estimates not in _CRITERIA:
        raise ValueError(f"estimates must be one of {sorted(_CRITERIA)}, got {estimates!r}.")
    return _CRITERIA[estimates]
