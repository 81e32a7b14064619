"""Real data sets, and the tasks of the benchmark of simulation-based inference."""

from __future__ import annotations

from sksbi.datasets import (
    _gaussian_linear,
    _gaussian_linear_uniform,
    _gaussian_mixture,
    _lotka_volterra,
    _sir,
    _slcp,
    _two_moons,
)
from sksbi.datasets._tables import load_influenza, load_lynx_hare
from sksbi.datasets._task import Task

__all__ = ["Task", "load_influenza", "load_lynx_hare", "load_task"]

_TASKS = {
    "gaussian_linear": _gaussian_linear.make_task,
    "gaussian_linear_uniform": _gaussian_linear_uniform.make_task,
    "gaussian_mixture": _gaussian_mixture.make_task,
    "lotka_volterra": _lotka_volterra.make_task,
    "sir": _sir.make_task,
    "slcp": _slcp.make_task,
    "two_moons": _two_moons.make_task,
}


def load_task(name: str) -> Task:
    """
    Load a task of the benchmark sbibm.

    Parameters
    ----------
    name : {"gaussian_linear", "gaussian_linear_uniform", "gaussian_mixture", "lotka_volterra", \
            "sir", "slcp", "two_moons"}
        The name in the benchmark.

    Returns
    -------
    Task
        Prior, simulator, log likelihood, and exact posterior draws where they have a closed form.

    Raises
    ------
    ValueError
        If there is no task of this name.

    References
    ----------
    Benchmarking Simulation-Based Inference (Lueckmann, Boelts, Greenberg, Goncalves, Macke, 2021)
    https://arxiv.org/abs/2101.04653

    Examples
    --------
    >>> from sksbi.datasets import load_task
    >>> task = load_task("sir")
    >>> task
    Task('sir', parameters=['beta', 'gamma'], n_outputs=10)
    >>> theta, x = task.simulate(100, random_state=0)
    >>> task.log_likelihood(theta, x).shape
    (100,)
    """
    if not isinstance(name, str) or name not in _TASKS:
        raise ValueError(f"Unknown task {name!r}: name must be one of {sorted(_TASKS)}.")
    return _TASKS[name]()
