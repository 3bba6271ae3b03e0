# SPDX-License-Identifier: Apache-2.0
"""`Resent`, content kind 2^31 + 2: a message that holds another content; and any content at all.

It stands above the table of kinds, because what is in it is one of them; `GroupResent` likewise.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.arguments import require_bytes, require_whole_number
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.group_resent import GROUP_RESENT, GroupResent
from e2ecross.wire.content.kind import parse_body
from e2ecross.wire.content.kinds import (
    RESENT_NUMBER,
    AnyContent,
    ControlAlone,
    decode_alone,
    encode_alone,
    is_of_users,
)
from e2ecross.wire.encoding import serialize
from e2ecross.wire.limits import MAX_CONTENT_BODY_BYTES, MESSAGE_ID_BYTES

__all__ = [
    "ControlContent",
    "EncodedContent",
    "PayloadContent",
    "Resent",
    "decode_content",
    "encode_content",
]

_MAX_RESENT_BYTES: Final = MAX_CONTENT_BODY_BYTES + 64
"""The largest content with the id, time and kind of its first copy."""
_MAX_UINT64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Resent:
    """A message that was sent before, under another envelope and perhaps another session.

    Attributes:
        message_id: of its first envelope, 16 bytes.
        sent_at_ms: when it was first sent by the sender's clock, milliseconds since 1970.
        content: what a user sent: of a kind below 2^31.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    message_id: bytes
    sent_at_ms: int
    content: AnyContent

    def __post_init__(self) -> None:
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        require_whole_number("sent_at_ms", self.sent_at_ms, high=_MAX_UINT64)
        if not is_of_users(self.content):
            raise InvalidArgument("content must be of a kind below 2^31")


ControlContent = ControlAlone | GroupResent
"""What clients tell each other: the classes of kinds from 2^31 on, but for `Resent`."""

PayloadContent = AnyContent | ControlContent | Resent
"""What a payload can hold."""


class EncodedContent(NamedTuple):
    """A content that is encoded already, for whoever needs that more than once.

    Attributes:
        kind: the content kind.
        body: its encoding, at most 70,144 bytes.
    """

    kind: int
    body: bytes


def encode_content(content: PayloadContent | EncodedContent) -> EncodedContent:
    """Return content kind and body."""
    if isinstance(content, EncodedContent):
        return content
    if isinstance(content, GroupResent):
        return EncodedContent(GROUP_RESENT.number, GROUP_RESENT.encode(content))
    if not isinstance(content, Resent):
        return EncodedContent(*encode_alone(content))
    kind, body = encode_alone(content.content)
    again = content_pb2.Resent(
        message_id=content.message_id,
        sent_at_ms=content.sent_at_ms,
        content_kind=kind,
        content_body=body,
    )
    return EncodedContent(RESENT_NUMBER, serialize(again))


def decode_content(kind: int, body: bytes) -> PayloadContent:
    """Read content of a known kind; carry that of any other.

    Raises:
        DecodeError: malformed, too long, not in its one encoding, or kind 0.
    """
    try:
        if kind == RESENT_NUMBER:
            return _decode_resent(body)
        if kind == GROUP_RESENT.number:
            return GROUP_RESENT.decode(body)
        return decode_alone(kind, body)
    except InvalidArgument as error:
        raise DecodeError(f"a content is not acceptable: {error}") from error


def _decode_resent(body: bytes) -> Resent:
    what = "a message that is sent again"
    fields = parse_body(content_pb2.Resent, body, what, _MAX_RESENT_BYTES)
    # The kind Resent is not in the table: a copy within a copy is refused here, as anything that
    # users do not send.
    content = decode_alone(fields.content_kind, fields.content_body)
    if not is_of_users(content):
        raise InvalidArgument("a message that is sent again holds what no user sends")
    return Resent(fields.message_id, fields.sent_at_ms, content)
