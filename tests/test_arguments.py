# SPDX-License-Identifier: Apache-2.0
import inspect
import traceback

import pytest

from e2ecross.arguments import (
    forget_locals,
    forgets_secrets,
    require_bytes,
    require_methods,
    require_type,
    require_whole_number,
)
from e2ecross.errors import InvalidArgument


def test_type_is_required_by_name() -> None:
    require_type("thing", 1, str, int)
    with pytest.raises(InvalidArgument, match=r"^thing must be str or int, not NoneType$"):
        require_type("thing", None, str, int)
    with pytest.raises(InvalidArgument, match=r"^thing must be str, not bytes$"):
        require_type("thing", b"", str)


def test_bytes_are_required_by_name_and_length() -> None:
    require_bytes("key", b"")
    require_bytes("key", b"12", 2)
    with pytest.raises(InvalidArgument, match=r"^key must be bytes, not str$"):
        require_bytes("key", "12")
    with pytest.raises(InvalidArgument, match=r"^key must have 2 bytes, not 3$"):
        require_bytes("key", b"123", 2)


def test_whole_number_has_bounds_and_is_no_bool() -> None:
    require_whole_number("count", 0)
    require_whole_number("count", 2**32 - 1)
    require_whole_number("count", 3, low=3, high=3)
    for value in (-1, 2**32, True, False, 1.0, "1", None):
        with pytest.raises(InvalidArgument, match=r"^count must be a whole number from 0 to"):
            require_whole_number("count", value)
    for value in (2, 4):
        with pytest.raises(InvalidArgument, match="from 3 to 3"):
            require_whole_number("count", value, low=3, high=3)


def test_methods_are_required_by_name() -> None:
    require_methods("store", {}, "get", "items")
    require_methods("store", None)
    with pytest.raises(InvalidArgument, match=r"^store must have a method put, which dict has not"):
        require_methods("store", {}, "get", "put")
    with pytest.raises(InvalidArgument, match="method real"):
        require_methods("number", 1, "real")  # there, but not to be called


def test_message_does_not_show_the_value() -> None:
    with pytest.raises(InvalidArgument) as caught:
        require_bytes("key", "hunter2")
    assert "hunter2" not in str(caught.value)


@forgets_secrets
def _refuse(token: bytes, *, again: bool = False) -> bytes:
    """What it does."""
    if again:
        return token
    try:
        require_bytes("token", token, 3)
    except InvalidArgument as error:
        raise KeyError from error
    return token


def test_a_marked_function_is_the_same_but_for_its_errors() -> None:
    assert _refuse(b"abc") == _refuse(b"abc", again=True) == b"abc"
    assert _refuse.__doc__ == "What it does."
    assert [*inspect.signature(_refuse).parameters] == ["token", "again"]
    with pytest.raises(KeyError) as caught:
        _refuse(token=b"secret")
    cause = caught.value.__cause__
    assert cause is caught.value.__context__
    assert isinstance(cause, InvalidArgument)
    for error, names in (
        (caught.value, ["forgetting", "_refuse"]),
        (cause, ["_refuse", "require_bytes"]),
    ):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        assert [frame.f_code.co_name for frame in frames][-2:] == names
        shown = [frame.f_locals for frame in frames if frame.f_code.co_name in names]
        assert not any("secret" in repr(variables) for variables in shown)


def test_frames_that_are_not_of_the_package_keep_their_variables() -> None:
    def of_the_app() -> None:
        kept = 1
        raise ValueError(kept)

    with pytest.raises(ValueError, match="1") as caught:
        of_the_app()
    caught.value.__context__ = caught.value.__cause__ = KeyError()  # without a traceback
    forget_locals(caught.value)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert frames[-1].f_locals == {"kept": 1}
