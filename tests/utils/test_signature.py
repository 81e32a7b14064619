"""Methods of (theta, x) that answer to scikit-learn's X and y."""

import inspect
import pickle

import pytest
from sklearn.utils.metaestimators import available_if

from sksbi.utils.signature import answers_to_X_y


class Estimator:
    """A method under the decorator, and one that is there on a condition."""

    def __init__(self, available: bool = True) -> None:
        self.available = available

    @answers_to_X_y
    def fit(self, theta: int, x: int | None = None, weight: int = 0) -> tuple:
        """Return the arguments."""
        return theta, x, weight

    @answers_to_X_y
    @available_if(lambda self: self.available)
    def score(self, theta: int, x: int) -> tuple:
        """Return the arguments."""
        return theta, x


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2, 3), {}),
        ((1, 2), {"weight": 3}),
        ((1,), {"x": 2, "weight": 3}),
        ((1,), {"y": 2, "weight": 3}),
        ((), {"theta": 1, "x": 2, "weight": 3}),
        ((), {"X": 1, "y": 2, "weight": 3}),
        ((), {"X": 1, "x": 2, "weight": 3}),
    ],
)
def test_both_spellings_reach_the_method(args: tuple, kwargs: dict) -> None:
    assert Estimator().fit(*args, **kwargs) == (1, 2, 3)


def test_the_class_shows_our_names_and_an_instance_scikit_learns() -> None:
    assert list(inspect.signature(Estimator.fit).parameters) == ["self", "theta", "x", "weight"]
    bound = inspect.signature(Estimator().fit).parameters
    assert list(bound) == ["X", "y", "weight"]
    assert bound["weight"].default == 0
    assert list(inspect.signature(Estimator().score).parameters) == ["X", "y"]
    assert Estimator.fit.__doc__ == Estimator().fit.__doc__ == "Return the arguments."


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {"theta": 1, "X": 1}, "give theta once: X"),
        ((1,), {"x": 2, "y": 2}, "give x once: y"),
        ((1,), {"X": 1}, "multiple values for argument 'theta'"),
        ((1,), {"z": 1}, "unexpected keyword argument 'z'"),
        ((), {}, "'theta'"),
    ],
)
def test_an_argument_given_twice_or_unknown_is_refused(
    args: tuple, kwargs: dict, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Estimator().fit(*args, **kwargs)


def test_a_method_on_a_condition_stays_so() -> None:
    assert Estimator(True).score(X=1, y=2) == (1, 2)
    assert not hasattr(Estimator(False), "score")


def test_a_class_calls_its_method_and_instances_pickle() -> None:
    assert Estimator.fit(Estimator(), 1, 2) == (1, 2, 0)
    assert pickle.loads(pickle.dumps(Estimator(False))).available is False
