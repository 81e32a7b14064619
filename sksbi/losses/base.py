"""Losses by name, and the one way from a loss a row to the loss of a batch."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from sksbi.losses.negative_log_likelihood import NegativeLogLikelihood

__all__ = ["WeightedMean", "build_criterion", "criterion_names"]

_CRITERIA: dict[str, Callable[..., nn.Module]] = {
    "negative_log_likelihood": NegativeLogLikelihood,
}


def criterion_names() -> list[str]:
    """
    List the criteria that have a name.

    Returns
    -------
    list of str
        The names.

    Examples
    --------
    >>> from sksbi.losses import criterion_names
    >>> criterion_names()
    ['negative_log_likelihood']
    """
    return sorted(_CRITERIA)


def build_criterion(criterion: str | Callable[..., nn.Module], **options: object) -> nn.Module:
    """
    Build a criterion from its name or its constructor.

    Parameters
    ----------
    criterion : str or callable
        A name of :func:`criterion_names`, or anything that is called as ``criterion(**options)``
        and returns a module (output, theta) -> losses of shape (n,).
    **options : object
        Passed on to the constructor.

    Returns
    -------
    torch.nn.Module
        The criterion.

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor callable, or does not take an option.

    Examples
    --------
    >>> from sksbi.losses import build_criterion
    >>> build_criterion("negative_log_likelihood")
    NegativeLogLikelihood()
    """
    rule = f"criterion must be one of {criterion_names()} or a callable criterion(**options)"
    if isinstance(criterion, str) and criterion not in _CRITERIA:
        raise ValueError(f"{rule}, got {criterion!r}.")
    if not isinstance(criterion, str) and not callable(criterion):
        raise TypeError(f"{rule}, got an object of type {type(criterion).__name__}: {criterion!r}.")
    constructor = _CRITERIA[criterion] if isinstance(criterion, str) else criterion
    try:
        return constructor(**options)
    except TypeError as error:
        raise TypeError(
            f"criterion={criterion!r} cannot be built with the options {options}, given as "
            f"criterion__*: {error}."
        ) from error


class WeightedMean(nn.Module):
    """
    Mean of a criterion's losses, weighted by rows.

    Parameters
    ----------
    criterion : torch.nn.Module
        Maps (output, theta) to losses of shape (n,).
    """

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, output: object, target: tuple[Tensor, Tensor]) -> Tensor:
        """
        Compute the loss of a batch.

        Parameters
        ----------
        output : object
            What the module returned.
        target : tuple of (theta of shape (n, D), weight of shape (n,))
            The parameters, and weights of mean 1 over all rows of the fit.

        Returns
        -------
        Tensor of shape ()
            The mean of weight times loss.
        """
        theta, weight = target
        losses = self.criterion(output, theta)
        if losses.shape != weight.shape:
            raise ValueError(
                f"criterion must return one loss a row, shape {tuple(weight.shape)}, got "
                f"{tuple(losses.shape)} from {self.criterion!r}: take no mean, and flatten."
            )
        return (losses * weight).mean()
