"""What skops has to be told before it loads an estimator."""

from __future__ import annotations

__all__ = ["trusted_types"]


def trusted_types(obj: object) -> list[str]:
    """
    List the types in an object that skops does not trust by itself.

    Write the list beside the file, or make it again from an object that you built yourself: what it
    lists is loaded without further questions.

    Parameters
    ----------
    obj : object
        An estimator, a Pipeline or a fitted search.

    Returns
    -------
    list of str
        For ``skops.io.load(file, trusted=...)``.

    Raises
    ------
    ImportError
        If skops is not installed.
    TypeError
        If skops cannot save the object, as with torch's tensors.

    Examples
    --------
    >>> from sksbi import NPE, trusted_types
    >>> trusted_types(NPE())
    ['sksbi.estimators.npe.NPE']
    """
    try:
        from skops import io
    except ImportError as error:
        raise ImportError(
            'trusted_types needs skops, which is not installed: pip install "sksbi[persistence]".'
        ) from error
    try:
        data = io.dumps(obj)
    except RuntimeError as error:
        raise TypeError(
            f"skops cannot save {type(obj).__name__} with torch's tensors in its parameters: give "
            "scipy.stats distributions for a torch prior, a callable that builds the embedding for "
            f"a module, or take pickle or joblib. skops said: {error}"
        ) from error
    return io.get_untrusted_types(data=data)
