# SPDX-License-Identifier: Apache-2.0
"""Records of the inbox: messages, failures and notices that the app has not confirmed yet.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DecodeError, RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.encoding import encode_address, encode_user
from e2ecross.wire.group import GroupId, Role, decode_role
from e2ecross.wire.limits import GROUP_ID_BYTES, MESSAGE_ID_BYTES
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_address,
    decode_stored_user,
    encode_record,
)

__all__ = [
    "NOT_HELD",
    "ArrivalRecord",
    "InboxFailure",
    "InboxHold",
    "InboxMessage",
    "InboxNotice",
    "InboxRecord",
    "decode_arrival",
    "decode_inbox_hold",
    "decode_inbox_item",
    "encode_arrival",
    "encode_inbox_item",
    "hold_inbox_item",
]

_HASH_BYTES: Final = 32
_WHAT: Final = "an inbox record"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class InboxMessage(Secret):
    """A message until the caller has confirmed it.

    Attributes:
        sender: who sent it.
        message_id: 16 bytes.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content_kind: not 0, but where `expired`.
        content_body: what was sent, encoded; secret. Of what has a `digest` an empty frame.
        identity_changed: whether it came under an identity key that is not accepted.
        version_downgraded: whether it started a session of an older version than offered before.
        peer: the account that the conversation is with; None: that of the sender.
        own_copy: whether another device of the own account has sent it.
        historical: whether device 1 of the own account vouches for it.
        moderator: whether its sender was owner or admin of the group.
        request: whether its sender was a stranger.
        expired: whether it came after its end, or that has come: nothing is left of the content.
        blocked: whether its sender was blocked.
        digest: of an own copy that can be viewed once, 32 bytes; else empty.
        group: where it stands; None: between two accounts.
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
    moderator: bool = False
    request: bool = False
    expired: bool = False
    blocked: bool = False
    digest: bytes = b""
    group: GroupId | None = None


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
        group: where it may stand, as far as that is known.
    """

    sender: Address | None
    message_id: bytes
    code: str
    text: str
    identity_key: bytes = b""
    retrying: bool = False
    group: GroupId | None = None


@dataclass(frozen=True, slots=True)
class InboxNotice:
    """A notice until the caller has confirmed it.

    Attributes:
        kind: its number.
        user: whom it is about; None: of a group, several or nobody.
        devices: which of their devices.
        identity_key: 33 bytes, or empty.
        message_ids: 16 bytes each.
        code: of an error, or empty.
        group: the group that it is about, or None.
        users: whom else.
        role: that they have, or None.
    """

    kind: int
    user: UserId | None
    devices: tuple[int, ...] = ()
    identity_key: bytes = b""
    message_ids: tuple[bytes, ...] = ()
    code: str = ""
    group: GroupId | None = None
    users: tuple[UserId, ...] = ()
    role: Role | None = None


InboxRecord = InboxMessage | InboxFailure | InboxNotice


class InboxHold(NamedTuple):
    """How it stands with an item in a store that many workers share.

    Attributes:
        until_ms: a worker has it until then, milliseconds since 1970; 0: nobody was handed it.
        backend_number: of the envelope that is acknowledged when the item is confirmed; 0: none.
    """

    until_ms: int
    backend_number: int


NOT_HELD: Final = InboxHold(0, 0)
"""In a store without stripes; and what came in no envelope."""


class ArrivalRecord(NamedTuple):
    """An envelope that the back end may hand out again.

    Attributes:
        envelope_hash: 32 bytes.
        item_number: of the item that it gave, in a store that many workers share; 0: none.
    """

    envelope_hash: bytes
    item_number: int = 0


def encode_inbox_item(item: InboxRecord, hold: InboxHold = NOT_HELD) -> bytes:
    """Return the record of an item for the app."""
    fields = storage_pb2.InboxRecord()
    if hold is not NOT_HELD:
        fields.held_until_ms, fields.backend_number = hold
    if isinstance(item, InboxNotice):
        fields.notice.kind = item.kind
        if item.user is not None:
            fields.notice.user.CopyFrom(encode_user(item.user))
        fields.notice.devices.extend(item.devices)
        fields.notice.identity_key = item.identity_key
        fields.notice.message_ids.extend(item.message_ids)
        fields.notice.code = item.code
        fields.notice.group_id = b"" if item.group is None else item.group.value
        fields.notice.users.extend(encode_user(user) for user in item.users)
        fields.notice.role = item.role or 0
        return encode_record(fields)
    fields.message_id = item.message_id
    if item.sender is not None:
        fields.sender.CopyFrom(encode_address(item.sender))
    if isinstance(item, InboxFailure):
        fields.failure.code = item.code
        fields.failure.text = item.text
        fields.failure.identity_key = item.identity_key
        fields.failure.retrying = item.retrying
        fields.failure.group_id = _group_bytes(item.group)
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
        fields.message.moderator = item.moderator
        fields.message.request = item.request
        fields.message.expired = item.expired
        fields.message.blocked = item.blocked
        fields.message.digest = item.digest
        fields.message.group_id = _group_bytes(item.group)
    return encode_record(fields)


def decode_inbox_item(data: bytes) -> InboxRecord:
    """Read the record of an item for the app.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = _WHAT
    fields = decode_record(storage_pb2.InboxRecord, data, what)
    sender = decode_stored_address(fields.sender, what) if fields.HasField("sender") else None
    kind = fields.WhichOneof("item")
    if fields.message_id:
        check_lengths(what, (fields.message_id, MESSAGE_ID_BYTES))
    is_foreign = kind == "notice" and (sender is not None or bool(fields.message_id))
    if fields.item_number or is_foreign:
        raise RecordCorrupted(f"{what} holds what is of another: the store is damaged")
    if kind == "notice":
        return _decode_notice(fields.notice, what)
    if kind == "failure":
        failure = fields.failure
        if failure.identity_key:
            check_lengths(what, (failure.identity_key, PUBLIC_KEY_BYTES))
        return InboxFailure(
            *(sender, fields.message_id, failure.code, failure.text),
            *(failure.identity_key, failure.retrying, _decode_group(failure.group_id, what)),
        )
    message = fields.message
    if kind != "message" or sender is None or bool(message.content_kind) is message.expired:
        raise RecordCorrupted(f"{what} holds nothing: the store is damaged")
    if message.digest:
        check_lengths(what, (message.digest, _HASH_BYTES))
    return InboxMessage(
        *(sender, fields.message_id, message.sent_at_ms),
        *(message.content_kind, message.content_body),
        *(message.identity_changed, message.version_downgraded),
        decode_stored_user(message.peer, what) if message.HasField("peer") else None,
        *(message.own_copy, message.historical),
        *(message.moderator, message.request, message.expired, message.blocked),
        digest=message.digest,
        group=_decode_group(message.group_id, what),
    )


def decode_inbox_hold(data: bytes) -> InboxHold:
    """Read of the record of an item how it stands with it; the item itself is not looked at.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    fields = decode_record(storage_pb2.InboxRecord, data, _WHAT)
    return InboxHold(fields.held_until_ms, fields.backend_number)


def hold_inbox_item(data: bytes, until_ms: int) -> bytes:
    """Return the record of an item that a worker has until a time, milliseconds since 1970.

    Raises:
        RecordCorrupted: what is there does not decode.
        StoreTooNew: a later release wrote it.
    """
    fields = decode_record(storage_pb2.InboxRecord, data, _WHAT)
    fields.held_until_ms = until_ms
    return encode_record(fields)


def encode_arrival(envelope_hash: bytes, item_number: int = 0) -> bytes:
    """Return the record of an envelope that the back end may hand out again: `ArrivalRecord`."""
    return encode_record(
        storage_pb2.InboxRecord(envelope_hash=envelope_hash, item_number=item_number)
    )


def decode_arrival(data: bytes) -> ArrivalRecord:
    """Read the record of an envelope that the back end may hand out again.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a record of an envelope"
    fields = decode_record(storage_pb2.InboxRecord, data, what)
    check_lengths(what, (fields.envelope_hash, _HASH_BYTES))
    is_of_item = fields.message_id or fields.backend_number or fields.held_until_ms
    if is_of_item or fields.HasField("sender"):
        raise RecordCorrupted(f"{what} holds what is of an item: the store is damaged")
    return ArrivalRecord(fields.envelope_hash, fields.item_number)


def _group_bytes(group: GroupId | None) -> bytes:
    return b"" if group is None else group.value


def _decode_group(value: bytes, what: str) -> GroupId | None:
    if not value:
        return None
    check_lengths(what, (value, GROUP_ID_BYTES))
    return GroupId(value)


def _decode_notice(fields: storage_pb2.InboxNotice, what: str) -> InboxNotice:
    if fields.identity_key:
        check_lengths(what, (fields.identity_key, PUBLIC_KEY_BYTES))
    check_lengths(what, *((message_id, MESSAGE_ID_BYTES) for message_id in fields.message_ids))
    if fields.group_id:
        check_lengths(what, (fields.group_id, GROUP_ID_BYTES))
    try:
        role = decode_role(fields.role) if fields.role else None
    except DecodeError as error:
        raise RecordCorrupted(f"{what} holds no role: the store is damaged") from error
    is_nobodys = fields.group_id and not fields.HasField("user")
    return InboxNotice(
        fields.kind,
        None if is_nobodys else decode_stored_user(fields.user, what),
        *(tuple(fields.devices), fields.identity_key, tuple(fields.message_ids), fields.code),
        GroupId(fields.group_id) if fields.group_id else None,
        tuple(decode_stored_user(user, what) for user in fields.users),
        role,
    )
