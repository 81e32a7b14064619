"""Parameters with the prefixes of skorch, which an estimator passes on."""

from __future__ import annotations

import inspect

from sksbi.training import PASSED_ON

__all__ = ["PassedOnMixin"]


class PassedOnMixin:
    """
    Keyword arguments such as ``module__members`` as parameters of an estimator.

    They are cloned and searched as any other; the signature shows those that have a name.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        signature = inspect.signature(cls.__init__)
        named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        cls.__signature__ = signature.replace(parameters=named[1:])

    def _set_passed_on(self, passed_on):
        """Store what goes on to skorch; anything else is a mistake, as in any Python call."""
        for name in passed_on:
            if not name.startswith(PASSED_ON):
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                    f"{name!r}; what is passed on begins with {', '.join(PASSED_ON)}."
                )
        vars(self).update(passed_on)

    def _passed_on(self):
        """Collect what goes on to skorch."""
        return {k: v for k, v in vars(self).items() if k.startswith(PASSED_ON)}

    def get_params(self, deep=True):
        """
        Get the parameters, those that are passed on to skorch among them.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of parameters that are estimators.

        Returns
        -------
        dict
            The parameters by name.
        """
        return super().get_params(deep) | self._passed_on()

    def set_params(self, **params):
        """
        Set parameters, those that are passed on to skorch among them.

        Parameters
        ----------
        **params : object
            The parameters by name.

        Returns
        -------
        object
            The estimator itself.
        """
        passed_on = {k: v for k, v in params.items() if k.startswith(PASSED_ON)}
        super().set_params(**{k: v for k, v in params.items() if k not in passed_on})
        vars(self).update(passed_on)
        return self
