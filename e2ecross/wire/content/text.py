# SPDX-License-Identifier: Apache-2.0
"""`Text`, content kind 1; with what that cannot hold it is a post, kind 3. It shows in no repr."""

from dataclasses import dataclass
from typing import ClassVar, Final

from e2ecross.arguments import require_type
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.content.references import Mention, MessageRef, require_mentions
from e2ecross.wire.encoding import serialize
from e2ecross.wire.limits import MAX_CONTENT_BYTES
from e2ecross.wire.text import require_text

__all__ = ["TEXT", "Text"]


@dataclass(frozen=True, slots=True)
class Text:
    """A text message.

    Attributes:
        text: at most 65,536 bytes in UTF-8.
        mentions: at most 64 parts of it that name somebody, in order, not overlapping.
        reply_to: the message that it answers, or None.

    Raises:
        InvalidArgument: not a string, too long, or not encodable (a lone surrogate); a mention
            outside the text.
    """

    CAPABILITY: ClassVar = Capability.POST

    text: str
    mentions: tuple[Mention, ...] = ()
    reply_to: MessageRef | None = None

    def __post_init__(self) -> None:
        require_text("text", self.text, MAX_CONTENT_BYTES)
        require_mentions(self.text, self.mentions)
        if self.reply_to is not None:
            require_type("reply_to", self.reply_to, MessageRef)

    def __repr__(self) -> str:
        return f"<Text of {len(self.text)} characters>"


def _encode(content: Text) -> bytes:
    if content.mentions or content.reply_to is not None:
        raise InvalidArgument("a text with mentions or a reply goes in a frame: use Framed")
    return serialize(content_pb2.Text(text=content.text))


def _decode(body: bytes) -> Text:
    return Text(parse_body(content_pb2.Text, body, "a text").text)


TEXT: Final = ContentKind(1, (Text,), _encode, _decode)
