# SPDX-License-Identifier: Apache-2.0
"""`GroupResent`, content kind 2^31 + 35: a message into a group, again and for one device alone.

It stands above the table of kinds, because what is in it is one of them.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body
from e2ecross.wire.content.kinds import (
    GROUP_RESENT_NUMBER,
    AnyContent,
    decode_alone,
    encode_alone,
    is_of_users,
)
from e2ecross.wire.encoding import serialize
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.limits import MAX_CONTENT_BODY_BYTES, MESSAGE_ID_BYTES

__all__ = ["GROUP_RESENT", "GroupResent"]

_MAX_RESENT_BYTES: Final = MAX_CONTENT_BODY_BYTES + 640
"""The largest content with group, 16 heads, id, time and kind."""
_MAX_UINT64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class GroupResent:
    """A message that was sent into a group, for a device that could not read it there.

    Attributes:
        destination: where the message stands.
        message_id: of its envelope, 16 bytes.
        sent_at_ms: when it was sent by the sender's clock, milliseconds since 1970.
        content: what a user sent: of a kind below 2^31.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    destination: GroupDestination
    message_id: bytes
    sent_at_ms: int
    content: AnyContent

    def __post_init__(self) -> None:
        require_type("destination", self.destination, GroupDestination)
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        require_whole_number("sent_at_ms", self.sent_at_ms, high=_MAX_UINT64)
        if not is_of_users(self.content):
            raise InvalidArgument("content must be of a kind below 2^31")


def _encode(content: GroupResent) -> bytes:
    kind, body = encode_alone(content.content)
    return serialize(
        group_pb2.GroupResent(
            group_id=content.destination.group_id.value,
            heads=content.destination.heads,
            message_id=content.message_id,
            sent_at_ms=content.sent_at_ms,
            content_kind=kind,
            content_body=body,
        )
    )


def _decode(body: bytes) -> GroupResent:
    what = "a message of a group that is sent again"
    fields = parse_body(group_pb2.GroupResent, body, what, _MAX_RESENT_BYTES)
    content = decode_alone(fields.content_kind, fields.content_body)
    if not is_of_users(content):
        raise InvalidArgument("a message that is sent again holds what no user sends")
    destination = GroupDestination(GroupId(fields.group_id), tuple(fields.heads))
    return GroupResent(destination, fields.message_id, fields.sent_at_ms, content)


GROUP_RESENT: Final = ContentKind(GROUP_RESENT_NUMBER, (GroupResent,), _encode, _decode)
