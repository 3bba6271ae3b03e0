# SPDX-License-Identifier: Apache-2.0
"""Records of a timeline: what an app keeps of a conversation, in bytes.

Here a record is read field by field. That it is the one encoding of a conversation that can be is
seen where it is made again of what was read: `conversation/storage.py`.

Source: docs/wire-format.md, timelines.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from e2ecross.address import UserId
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import timeline_pb2
from e2ecross.wire.content.references import DIGEST_BYTES
from e2ecross.wire.encoding import decode_user, encode_user, parse, serialize
from e2ecross.wire.limits import MAX_TIMELINE_BYTES, MAX_TIMELINE_SLOTS, MESSAGE_ID_BYTES

__all__ = ["ActRecord", "SlotRecord", "TimelineRecord", "nested_bytes"]

_VERSION: Final = 1
_WHAT: Final = "a timeline"


@dataclass(frozen=True, slots=True, repr=False)
class ActRecord:
    """What somebody did to a message.

    Attributes:
        kind: of the act, 4 to 7.
        author: who did it.
        message_id: of the act, 16 bytes; of a delete empty.
        digest: of the act, 32 bytes; of a delete empty.
        body: the act, without its frame.
        moderator: it deletes the message of another account.
        sent_at_ms: milliseconds since 1970 by the sender's clock; of a delete the least that came.
    """

    kind: int
    author: UserId
    message_id: bytes
    digest: bytes
    body: bytes
    moderator: bool
    sent_at_ms: int

    def fields(self) -> timeline_pb2.ActRecord:
        """Its protobuf form."""
        return timeline_pb2.ActRecord(
            kind=self.kind,
            author=encode_user(self.author),
            message_id=self.message_id,
            digest=self.digest,
            body=self.body,
            moderator=self.moderator,
            sent_at_ms=self.sent_at_ms,
        )

    @property
    def size(self) -> int:
        """Of its encoding, bytes."""
        return self.fields().ByteSize()


@dataclass(frozen=True, slots=True, repr=False)
class SlotRecord:
    """What is known of one message.

    Attributes:
        author: who wrote it.
        message_id: 16 bytes.
        state: 0 it has not come, 1 it has, 2 under its id came two, 3 it is gone, 4 it has come and
            is not supported.
        sent_at_ms: milliseconds since 1970 by the sender's clock; 0 if it has not come.
        digest: of it, 32 bytes; empty if it has not come, or two have.
        kind: its content kind; 0 without a body.
        body: its content with the frame; empty once it is not to be shown any more.
        acts: what was done to it, in order.
        receipts: who has got (1) or read (2) it, by account as text.
    """

    author: UserId
    message_id: bytes
    state: int
    sent_at_ms: int
    digest: bytes
    kind: int
    body: bytes
    acts: tuple[ActRecord, ...] = ()
    receipts: tuple[tuple[UserId, int], ...] = ()

    def fields(self) -> timeline_pb2.SlotRecord:
        """Its protobuf form."""
        return timeline_pb2.SlotRecord(
            author=encode_user(self.author),
            message_id=self.message_id,
            state=self.state,
            sent_at_ms=self.sent_at_ms,
            digest=self.digest,
            kind=self.kind,
            body=self.body,
            acts=[act.fields() for act in self.acts],
            receipts=[
                timeline_pb2.SeenRecord(account=encode_user(account), what=what)
                for account, what in self.receipts
            ],
        )

    @property
    def size(self) -> int:
        """Of its encoding, bytes."""
        return self.fields().ByteSize()


@dataclass(frozen=True, slots=True, repr=False)
class TimelineRecord:
    """A conversation.

    Attributes:
        own: the account whose app keeps it.
        slots: of its messages, in order.
    """

    own: UserId
    slots: tuple[SlotRecord, ...] = ()

    def encode(self) -> bytes:
        """Return its one encoding, if it is in order."""
        return serialize(
            timeline_pb2.TimelineRecord(
                version=_VERSION,
                own=encode_user(self.own),
                slots=[slot.fields() for slot in self.slots],
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "TimelineRecord":
        """Read a record; whether it is in order is left to the caller.

        Raises:
            InvalidArgument: not bytes.
            DecodeError: over 64 MiB or 50,000 slots, malformed, or an id or digest of a wrong
                length.
            UnsupportedVersion: of a later version.
        """
        fields = parse(timeline_pb2.TimelineRecord, data, _WHAT, MAX_TIMELINE_BYTES)
        if fields.version > _VERSION:
            raise UnsupportedVersion(f"{_WHAT} of version {fields.version} is of a later release")
        if len(fields.slots) > MAX_TIMELINE_SLOTS:
            raise DecodeError(f"{_WHAT} has more than {MAX_TIMELINE_SLOTS} slots")
        return cls(decode_user(fields.own), tuple(_slot(each) for each in fields.slots))


def nested_bytes(sizes: Iterable[int]) -> int:
    """What messages of these sizes take in another one, under field numbers below 16."""
    return sum(size + 1 + (max(size.bit_length(), 1) + 6) // 7 for size in sizes)


def _slot(fields: timeline_pb2.SlotRecord) -> SlotRecord:
    return SlotRecord(
        decode_user(fields.author),
        _sized(fields.message_id, MESSAGE_ID_BYTES),
        fields.state,
        fields.sent_at_ms,
        _sized(fields.digest, DIGEST_BYTES, 0),
        fields.kind,
        fields.body,
        tuple(_act(each) for each in fields.acts),
        tuple((decode_user(each.account), each.what) for each in fields.receipts),
    )


def _act(fields: timeline_pb2.ActRecord) -> ActRecord:
    return ActRecord(
        fields.kind,
        decode_user(fields.author),
        _sized(fields.message_id, MESSAGE_ID_BYTES, 0),
        _sized(fields.digest, DIGEST_BYTES, 0),
        fields.body,
        fields.moderator,
        fields.sent_at_ms,
    )


def _sized(value: bytes, *allowed: int) -> bytes:
    if len(value) not in allowed:
        raise DecodeError(f"{_WHAT} holds an id or a digest of {len(value)} bytes")
    return value
