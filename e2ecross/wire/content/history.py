# SPDX-License-Identifier: Apache-2.0
"""`History`, content kind 2^31 + 18: what was received and sent before a device was linked."""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.secret import Secret
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_body_size, require_length
from e2ecross.wire.encoding import (
    decode_address,
    decode_user,
    encode_address,
    encode_user,
    serialize,
)
from e2ecross.wire.limits import MAX_CONTENT_BODY_BYTES, MESSAGE_ID_BYTES

__all__ = ["HISTORY", "History", "HistoryItem"]

_MAX_HISTORY_BYTES: Final = MAX_CONTENT_BODY_BYTES + 512
"""The largest content with who sent it when, and to whom."""
_MAX_UINT64: Final = 2**64 - 1


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class HistoryItem(Secret):
    """One message as the app of another own device has kept it.

    Attributes:
        sender: the device that sent it.
        peer: the account that the conversation is with.
        message_id: 16 bytes.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content_kind: 1 to 2^32-1.
        content_body: its encoding, at most 69,632 bytes, secret.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    sender: Address
    peer: UserId
    message_id: bytes
    sent_at_ms: int
    content_kind: int
    content_body: bytes

    def __post_init__(self) -> None:
        require_type("sender", self.sender, Address)
        require_type("peer", self.peer, UserId)
        require_bytes("message_id", self.message_id, MESSAGE_ID_BYTES)
        require_whole_number("sent_at_ms", self.sent_at_ms, high=_MAX_UINT64)
        require_whole_number("content_kind", self.content_kind, low=1)
        require_bytes("content_body", self.content_body)
        require_body_size("content_body", len(self.content_body))


@dataclass(frozen=True, slots=True)
class History:
    """Messages that device 1 hands on to a device that was linked after them.

    Attributes:
        items: at least 1, together at most 70,144 bytes encoded.

    Raises:
        InvalidArgument: a field has the wrong type or length, or they are too long together.
    """

    items: tuple[HistoryItem, ...]

    def __post_init__(self) -> None:
        require_length("items", self.items)
        for item in self.items:
            require_type("items", item, HistoryItem)
        require_body_size("items", len(_encode(self)), _MAX_HISTORY_BYTES)

    def __repr__(self) -> str:
        return f"<History of {len(self.items)} messages>"


def _encode(content: History) -> bytes:
    return serialize(
        content_pb2.History(
            items=[
                content_pb2.HistoryItem(
                    sender=encode_address(item.sender),
                    peer=encode_user(item.peer),
                    message_id=item.message_id,
                    sent_at_ms=item.sent_at_ms,
                    content_kind=item.content_kind,
                    content_body=item.content_body,
                )
                for item in content.items
            ]
        )
    )


def _decode(body: bytes) -> History:
    fields = parse_body(content_pb2.History, body, "a history", _MAX_HISTORY_BYTES)
    return History(
        tuple(
            HistoryItem(
                decode_address(item.sender),
                decode_user(item.peer),
                item.message_id,
                item.sent_at_ms,
                item.content_kind,
                item.content_body,
            )
            for item in fields.items
        )
    )


HISTORY: Final = ContentKind(2**31 + 18, (History,), _encode, _decode)
