# SPDX-License-Identifier: Apache-2.0
"""The table of kinds of content, and the worked example of CONTRIBUTING.md that adds one."""

from typing import Any, get_args

import pytest

from e2ecross.errors import DecodeError
from e2ecross.wire.content import (
    AnyContent,
    Bytes,
    Frame,
    Framed,
    Resent,
    Text,
    UnsupportedContent,
    decode_content,
    decode_unsupported,
    encode_content,
    is_of_users,
    kinds,
)
from e2ecross.wire.content.frame import has_frame
from tests.support.formats import MESSAGE_ID
from tests.support.new_kind import add_drawing

KIND = 21
KEY = b"\x07" * 32


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    return add_drawing(monkeypatch)


def test_no_number_and_no_class_stands_in_the_table_twice() -> None:
    assert len(kinds._BY_NUMBER) == len(kinds._TABLE)
    for in_frame in (False, True):
        rows = [row for row in kinds._TABLE if has_frame(row.number) is in_frame]
        classes = [cls for row in rows for cls in row.classes]
        assert len({*classes}) == len(classes)
    assert kinds.RESENT_NUMBER not in kinds._BY_NUMBER


def test_what_an_app_sees_is_what_the_table_has_below_2_to_31() -> None:
    seen = {cls for row in kinds._TABLE if row.number < 2**31 for cls in row.classes}
    assert {*get_args(AnyContent)} == {*seen, Framed, UnsupportedContent}


def test_before_it_is_added_a_kind_is_carried() -> None:
    _, body = encode_content(Framed(Text("away"), KEY, fallback="[a drawing]"))
    content = decode_content(KIND, body)
    assert content == UnsupportedContent(KIND, body)
    assert isinstance(content, UnsupportedContent)
    assert content.frame is not None
    assert content.frame.fallback == "[a drawing]"


def test_the_example_adds_a_kind_with_one_module_and_one_row(drawing: Any) -> None:  # noqa: ANN401
    kind, body = encode_content(Framed(drawing(b"away"), KEY))
    assert (kind, Frame.decode(body).body) == (KIND, encode_content(Bytes(b"away"))[1])
    framed = decode_content(kind, body)
    assert isinstance(framed, Framed)
    assert framed.content == drawing(b"away")
    assert repr(framed.content) == "<Drawing of 4 bytes>"
    inner = Frame.decode(body).body + b"\x10\x01"
    longer = Frame(KEY, None, view_once=False, fallback="", body=inner).encode()
    with pytest.raises(DecodeError, match="a drawing"):
        decode_content(kind, longer)
    again = b"\x0a\x10" + MESSAGE_ID + b"\x18\x15\x22" + bytes((len(body),)) + body
    assert encode_content(decode_content(kinds.RESENT_NUMBER, again))[1] == again
    assert decode_unsupported(UnsupportedContent(KIND, body)) == framed.content
    assert is_of_users(framed)


def test_a_subclass_goes_as_what_it_is_a_kind_of() -> None:
    class Loud(Text):
        __slots__ = ()

    assert encode_content(Loud("halo")) == encode_content(Text("halo"))
    assert encode_content(Resent(MESSAGE_ID, 1, Loud("halo"))) == encode_content(
        Resent(MESSAGE_ID, 1, Text("halo"))
    )
