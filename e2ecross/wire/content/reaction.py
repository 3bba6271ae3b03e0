# SPDX-License-Identifier: Apache-2.0
"""`Reaction`, content kind 4: an emoji to a message."""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from e2ecross.arguments import require_type, require_whole_number
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.content.references import MessageRef, decode_ref, encode_ref
from e2ecross.wire.encoding import serialize
from e2ecross.wire.text import require_text

__all__ = ["REACTION", "Reaction"]

_MAX_EMOJI_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Reaction:
    """What an account thinks of a message; one at a time. `Timeline.reaction` builds it.

    Attributes:
        target: the message.
        number: 1 to 2^32-1; of several of one account the one with the greatest counts.
        emoji: at most 32 bytes in UTF-8; empty: the reaction is taken back.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    CAPABILITY: ClassVar = Capability.REACTION

    target: MessageRef
    number: int
    emoji: str = field(repr=False)

    def __post_init__(self) -> None:
        require_type("target", self.target, MessageRef)
        require_whole_number("number", self.number, low=1)
        require_text("emoji", self.emoji, _MAX_EMOJI_BYTES)


def _encode(content: Reaction) -> bytes:
    return serialize(
        content_pb2.Reaction(
            target=encode_ref(content.target), number=content.number, emoji=content.emoji
        )
    )


def _decode(body: bytes) -> Reaction:
    fields = parse_body(content_pb2.Reaction, body, "a reaction")
    return Reaction(decode_ref(fields.target), fields.number, fields.emoji)


def _describe(content: Reaction) -> str:
    return f"reacted {content.emoji}" if content.emoji else "took back a reaction"


REACTION: Final = ContentKind(4, (Reaction,), _encode, _decode, _describe)
