# SPDX-License-Identifier: Apache-2.0
"""Records of what is on its way: outbox and inbox.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DecodeError, RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire._pb.e2ecross.v1.address_pb2 import User
from e2ecross.wire.encoding import decode_user, encode_address, encode_user
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_address,
    encode_record,
)

__all__ = [
    "InboxFailure",
    "InboxMessage",
    "InboxNotice",
    "InboxRecord",
    "LaneRecord",
    "OutboxRecord",
    "TurnRecord",
    "decode_arrival",
    "decode_inbox_item",
    "decode_queue_end",
    "decode_row",
    "encode_arrival",
    "encode_inbox_item",
    "encode_queue_end",
    "encode_row",
]

_HASH_BYTES: Final = 32


def encode_queue_end(after: int) -> bytes:
    """Return the record of a queue: the number that is given next."""
    return encode_record(storage_pb2.QueueRecord(next=after))


def decode_queue_end(data: bytes) -> int:
    """Return the number that a queue gives next.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a queue record"
    fields = decode_record(storage_pb2.QueueRecord, data, what)
    _check_ends(what, 1, fields.next)
    return fields.next


def encode_row(number: int) -> bytes:
    """Return the record of the number of a row, which stands under another key."""
    return encode_record(storage_pb2.RowRecord(number=number))


def decode_row(data: bytes) -> int:
    """Return the number of a row.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    return decode_record(storage_pb2.RowRecord, data, "a row record").number


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class OutboxRecord(Secret):
    """A copy of a message on its way to the back end.

    Attributes:
        envelope: encoded, to be deposited; empty when it is still to be encrypted.
        message_id: of the message that the user sent, or of the request, 16 bytes.
        fresh_session: it is not to be encrypted with a session that the recipient may have lost.
        content_kind: what the body is; 0: the content is kept under the message id.
        content_body: what is to be sent, encoded; secret.
    """

    envelope: bytes
    message_id: bytes
    fresh_session: bool = False
    content_kind: int = 0
    content_body: bytes = b""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.OutboxRecord(
                envelope=self.envelope,
                message_id=self.message_id,
                fresh_session=self.fresh_session,
                content_kind=self.content_kind,
                content_body=self.content_body,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "OutboxRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "an outbox record"
        fields = decode_record(storage_pb2.OutboxRecord, data, what)
        check_lengths(what, (fields.message_id, MESSAGE_ID_BYTES))
        return cls(
            fields.envelope,
            fields.message_id,
            fields.fresh_session,
            fields.content_kind,
            fields.content_body,
        )


@dataclass(frozen=True, slots=True)
class LaneRecord:
    """What waits for one device, and what that waits for. Public values only.

    Attributes:
        first: below it no row is left.
        next: the number that is given next.
        turn: its row among the turns.
        code: of the error that it waits to pass, or empty.
        untrusted_key: the identity key that the user has to decide about, 33 bytes, or empty.
    """

    first: int
    next: int
    turn: int
    code: str = ""
    untrusted_key: bytes = b""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.LaneRecord(
                first=self.first,
                next=self.next,
                turn=self.turn,
                code=self.code,
                untrusted_key=self.untrusted_key,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "LaneRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a lane record"
        fields = decode_record(storage_pb2.LaneRecord, data, what)
        _check_ends(what, fields.first, fields.next)
        if not fields.turn:
            raise RecordCorrupted(f"{what} has no turn: the store is damaged")
        if fields.untrusted_key:
            check_lengths(what, (fields.untrusted_key, PUBLIC_KEY_BYTES))
        return cls(fields.first, fields.next, fields.turn, fields.code, fields.untrusted_key)


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A lane in which something waits.

    Attributes:
        lane: 1: messages, 2: requests and what was asked for.
        recipient: whom it is for.
    """

    lane: int
    recipient: Address

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.TurnRecord(lane=self.lane, recipient=encode_address(self.recipient))
        )

    @classmethod
    def decode(cls, data: bytes) -> "TurnRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a turn record"
        fields = decode_record(storage_pb2.TurnRecord, data, what)
        return cls(fields.lane, decode_stored_address(fields.recipient, what))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class InboxMessage(Secret):
    """A message until the caller has confirmed it.

    Attributes:
        sender: who sent it.
        message_id: 16 bytes.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content_kind: not 0.
        content_body: what was sent, encoded; secret.
        identity_changed: whether it came under an identity key that is not accepted.
        version_downgraded: whether it started a session of an older version than offered before.
        peer: the account that the conversation is with; None: that of the sender.
        own_copy: whether another device of the own account has sent it.
        historical: whether device 1 of the own account vouches for it.
    """

    sender: Address
    message_id: bytes
    sent_at_ms: int
    content_kind: int
    content_body: bytes
    identity_changed: bool = False
    version_downgraded: bool = False
    peer: UserId | None = None
    own_copy: bool = False
    historical: bool = False


@dataclass(frozen=True, slots=True)
class InboxFailure:
    """The failure to read a message, until the caller has confirmed it.

    Attributes:
        sender: who sent it by what the envelope says, or None if no envelope could be read.
        message_id: 16 bytes, or empty.
        code: of the error.
        text: the error's message.
        identity_key: the new identity key that an `IdentityChangedError` names, 33 bytes, or empty.
        retrying: the sender was asked to send the message again, and may do it.
    """

    sender: Address | None
    message_id: bytes
    code: str
    text: str
    identity_key: bytes = b""
    retrying: bool = False


@dataclass(frozen=True, slots=True)
class InboxNotice:
    """A notice until the caller has confirmed it.

    Attributes:
        kind: its number.
        user: whom it is about.
        devices: which of their devices.
        identity_key: 33 bytes, or empty.
        message_ids: 16 bytes each.
        code: of an error, or empty.
    """

    kind: int
    user: UserId
    devices: tuple[int, ...] = ()
    identity_key: bytes = b""
    message_ids: tuple[bytes, ...] = ()
    code: str = ""


InboxRecord = InboxMessage | InboxFailure | InboxNotice


def encode_inbox_item(item: InboxRecord) -> bytes:
    """Return the record of an item for the app."""
    fields = storage_pb2.InboxRecord()
    if isinstance(item, InboxNotice):
        fields.notice.kind = item.kind
        fields.notice.user.CopyFrom(encode_user(item.user))
        fields.notice.devices.extend(item.devices)
        fields.notice.identity_key = item.identity_key
        fields.notice.message_ids.extend(item.message_ids)
        fields.notice.code = item.code
        return encode_record(fields)
    fields.message_id = item.message_id
    if item.sender is not None:
        fields.sender.CopyFrom(encode_address(item.sender))
    if isinstance(item, InboxFailure):
        fields.failure.code = item.code
        fields.failure.text = item.text
        fields.failure.identity_key = item.identity_key
        fields.failure.retrying = item.retrying
    else:
        fields.message.sent_at_ms = item.sent_at_ms
        fields.message.content_kind = item.content_kind
        fields.message.content_body = item.content_body
        fields.message.identity_changed = item.identity_changed
        fields.message.version_downgraded = item.version_downgraded
        if item.peer is not None:
            fields.message.peer.CopyFrom(encode_user(item.peer))
        fields.message.own_copy = item.own_copy
        fields.message.historical = item.historical
    return encode_record(fields)


def decode_inbox_item(data: bytes) -> InboxRecord:
    """Read the record of an item for the app.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "an inbox record"
    fields = decode_record(storage_pb2.InboxRecord, data, what)
    sender = decode_stored_address(fields.sender, what) if fields.HasField("sender") else None
    kind = fields.WhichOneof("item")
    if fields.message_id:
        check_lengths(what, (fields.message_id, MESSAGE_ID_BYTES))
    if kind == "notice":
        return _decode_notice(fields.notice, what)
    if kind == "failure":
        failure = fields.failure
        if failure.identity_key:
            check_lengths(what, (failure.identity_key, PUBLIC_KEY_BYTES))
        return InboxFailure(
            *(sender, fields.message_id, failure.code, failure.text),
            *(failure.identity_key, failure.retrying),
        )
    message = fields.message
    if kind != "message" or sender is None or not message.content_kind:
        raise RecordCorrupted(f"{what} holds nothing: the store is damaged")
    return InboxMessage(
        *(sender, fields.message_id, message.sent_at_ms),
        *(message.content_kind, message.content_body),
        *(message.identity_changed, message.version_downgraded),
        _decode_stored_user(message.peer, what) if message.HasField("peer") else None,
        *(message.own_copy, message.historical),
    )


def encode_arrival(envelope_hash: bytes) -> bytes:
    """Return the record of an envelope (32 bytes of hash) that the back end may hand out again."""
    return encode_record(storage_pb2.InboxRecord(envelope_hash=envelope_hash))


def decode_arrival(data: bytes) -> bytes:
    """Return the hash (32 bytes) of an envelope that the back end may hand out again.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a record of an envelope"
    fields = decode_record(storage_pb2.InboxRecord, data, what)
    check_lengths(what, (fields.envelope_hash, _HASH_BYTES))
    return fields.envelope_hash


def _decode_notice(fields: storage_pb2.InboxNotice, what: str) -> InboxNotice:
    if fields.identity_key:
        check_lengths(what, (fields.identity_key, PUBLIC_KEY_BYTES))
    check_lengths(what, *((message_id, MESSAGE_ID_BYTES) for message_id in fields.message_ids))
    user = _decode_stored_user(fields.user, what)
    return InboxNotice(
        *(fields.kind, user, tuple(fields.devices), fields.identity_key),
        *(tuple(fields.message_ids), fields.code),
    )


def _decode_stored_user(value: User, what: str) -> UserId:
    try:
        return decode_user(value)
    except DecodeError as error:
        raise RecordCorrupted(f"{what} names no user: the store is damaged") from error


def _check_ends(what: str, first: int, after: int) -> None:
    if not 1 <= first <= after:
        raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
