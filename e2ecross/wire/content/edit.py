# SPDX-License-Identifier: Apache-2.0
"""`Edit`, content kind 5: another text for a message. It never shows in a repr."""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from e2ecross.arguments import require_type, require_whole_number
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.content.references import (
    Mention,
    MessageRef,
    decode_mentions,
    decode_ref,
    encode_mentions,
    encode_ref,
    require_mentions,
)
from e2ecross.wire.encoding import serialize
from e2ecross.wire.limits import MAX_CONTENT_BYTES
from e2ecross.wire.text import require_text

__all__ = ["EDIT", "Edit"]


@dataclass(frozen=True, slots=True)
class Edit:
    """Another text for a message of the same account. `Timeline.edit` builds it.

    Attributes:
        target: the message.
        number: 1 to 2^32-1; of several the one with the greatest counts.
        text: the new text, of media the caption, at most 65,536 bytes in UTF-8.
        mentions: at most 64 parts of it that name somebody, in order, not overlapping.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    CAPABILITY: ClassVar = Capability.EDIT

    target: MessageRef
    number: int
    text: str = field(repr=False)
    mentions: tuple[Mention, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        require_type("target", self.target, MessageRef)
        require_whole_number("number", self.number, low=1)
        require_text("text", self.text, MAX_CONTENT_BYTES)
        require_mentions(self.text, self.mentions)


def _encode(content: Edit) -> bytes:
    return serialize(
        content_pb2.Edit(
            target=encode_ref(content.target),
            number=content.number,
            text=content.text,
            mentions=encode_mentions(content.mentions),
        )
    )


def _decode(body: bytes) -> Edit:
    fields = parse_body(content_pb2.Edit, body, "an edit")
    return Edit(
        decode_ref(fields.target), fields.number, fields.text, decode_mentions(fields.mentions)
    )


def _describe(content: Edit) -> str:
    return f"Correction: {content.text}"


EDIT: Final = ContentKind(5, (Edit,), _encode, _decode, _describe)
