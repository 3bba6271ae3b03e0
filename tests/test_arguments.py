# SPDX-License-Identifier: Apache-2.0
import pytest

from e2ecross.arguments import (
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
