"""Parts by name or as they are, and errors in the user's words."""

import pytest
from sklearn.utils._param_validation import InvalidParameterError

from sksbi.utils.choose import choose, construct

TABLE = {"list": list, "set": set}


def test_a_name_finds_its_part_and_a_callable_is_itself() -> None:
    assert choose("set", TABLE, "container", "a callable") is set
    assert choose(frozenset, TABLE, "container", "a callable") is frozenset


@pytest.mark.parametrize(
    ("value", "kind", "got"),
    [("bag", ValueError, "got 'bag'"), (3, TypeError, "got an object of type int: 3")],
)
def test_anything_else_is_refused_with_the_names(value: object, kind: type, got: str) -> None:
    with pytest.raises(kind, match=rf"container must be one of \['list', 'set'\] or a call.*{got}"):
        choose(value, TABLE, "container", "a callable")


def fails(error: Exception) -> type:
    """Make a constructor that raises."""

    def constructor(*_: object, **__: object) -> None:
        raise error

    return constructor


def test_what_a_constructor_does_not_take_is_named() -> None:
    with pytest.raises(TypeError, match=r"^flow='maf' cannot be built as flow\(2, 3\) with the "):
        construct(
            fails(TypeError("no bins")), 2, 3, what="flow='maf'", options={}, given_as="module__*"
        )


@pytest.mark.parametrize("error", [ValueError("bins is 0"), InvalidParameterError("bins is 0")])
def test_an_error_that_names_an_argument_passes_unless_it_is_asked_for(error: Exception) -> None:
    options = {"what": "flow='maf'", "options": {"bins": 0}, "given_as": "module__*"}
    with pytest.raises(ValueError, match=r"^bins is 0$"):
        construct(fails(error), **options)
    with pytest.raises((TypeError, ValueError), match="'bins': 0}, given as module__*"):
        construct(fails(error), **options, errors=(TypeError, ValueError))
