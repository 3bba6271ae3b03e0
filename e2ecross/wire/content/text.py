# SPDX-License-Identifier: Apache-2.0
"""`Text`, content kind 1. It never shows in a repr."""

import re
from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_type
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_content_size
from e2ecross.wire.encoding import serialize

__all__ = ["TEXT", "Text"]

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text message.

    Attributes:
        text: at most 65,536 bytes in UTF-8.

    Raises:
        InvalidArgument: not a string, too long, or not encodable (a lone surrogate).
    """

    text: str

    def __post_init__(self) -> None:
        require_type("text", self.text, str)
        # Not by try and except: the library's error holds the text, and would stay in the chain.
        if _LONE_SURROGATE.search(self.text):
            raise InvalidArgument("text holds a character that UTF-8 cannot encode")
        require_content_size("text", len(self.text.encode()))

    def __repr__(self) -> str:
        return f"<Text of {len(self.text)} characters>"


def _encode(content: Text) -> bytes:
    return serialize(content_pb2.Text(text=content.text))


def _decode(body: bytes) -> Text:
    return Text(parse_body(content_pb2.Text, body, "a text").text)


TEXT: Final = ContentKind(1, Text, _encode, _decode)
