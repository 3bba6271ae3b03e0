# SPDX-License-Identifier: Apache-2.0
"""The table of kinds of content, and the worked example of CONTRIBUTING.md that adds one."""

from typing import Any, get_args

import pytest

from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content import (
    Bytes,
    Content,
    Framed,
    Resent,
    Text,
    UnsupportedContent,
    decode_content,
    encode_content,
    kinds,
)
from tests.support.documents import ROOT, blocks
from tests.support.formats import MESSAGE_ID

KIND = 21


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """The class of the example, once its row stands in the table."""
    (code,) = [text for text in blocks(ROOT / "CONTRIBUTING.md", "python") if "ContentKind" in text]
    # Its generated message would be the same as that of `Bytes`.
    monkeypatch.setattr(content_pb2, "Drawing", content_pb2.Bytes, raising=False)
    module: dict[str, Any] = {"__name__": __name__}
    exec(compile(code, "CONTRIBUTING.md", "exec"), module)  # noqa: S102
    row = module["DRAWING"]
    monkeypatch.setattr(kinds, "_TABLE", (*kinds._TABLE, row))
    monkeypatch.setitem(kinds._BY_NUMBER, row.number, row)
    return module["Drawing"]


def test_no_number_and_no_class_stands_in_the_table_twice() -> None:
    assert len(kinds._BY_NUMBER) == len(kinds._TABLE)
    for in_frame in (False, True):
        rows = [row for row in kinds._TABLE if kinds.has_frame(row.number) is in_frame]
        classes = [cls for row in rows for cls in row.classes]
        assert len({*classes}) == len(classes)
    assert kinds.RESENT_NUMBER not in kinds._BY_NUMBER


def test_what_an_app_sees_is_what_the_table_has_below_2_to_31() -> None:
    seen = {cls for row in kinds._TABLE if row.number < 2**31 for cls in row.classes}
    assert {*get_args(Content)} == {*seen, Framed, UnsupportedContent}


def test_before_it_is_added_a_kind_is_carried() -> None:
    assert decode_content(KIND, b"anything") == UnsupportedContent(KIND, b"anything")


def test_the_example_adds_a_kind_with_one_module_and_one_row(drawing: Any) -> None:  # noqa: ANN401
    kind, body = encode_content(drawing(b"away"))
    assert (kind, body) == (KIND, encode_content(Bytes(b"away"))[1])
    assert decode_content(kind, body) == drawing(b"away")
    assert repr(drawing(b"away")) == "<Drawing of 4 bytes>"
    with pytest.raises(DecodeError, match="a drawing"):
        decode_content(kind, body + b"\x10\x01")
    with pytest.raises(InvalidArgument, match="own class"):
        UnsupportedContent(KIND, body)
    again = b"\x0a\x10" + MESSAGE_ID + b"\x18\x15\x22\x06" + body
    assert encode_content(decode_content(kinds.RESENT_NUMBER, again))[1] == again


def test_a_subclass_goes_as_what_it_is_a_kind_of() -> None:
    class Loud(Text):
        __slots__ = ()

    assert encode_content(Loud("halo")) == encode_content(Text("halo"))
    assert encode_content(Resent(MESSAGE_ID, 1, Loud("halo"))) == encode_content(
        Resent(MESSAGE_ID, 1, Text("halo"))
    )
