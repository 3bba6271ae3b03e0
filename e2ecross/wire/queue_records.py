# SPDX-License-Identifier: Apache-2.0
"""Records of what is on its way: queues, and the outbox.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.encoding import encode_address, encode_user
from e2ecross.wire.limits import (
    GROUP_ID_BYTES,
    MAX_COPIES_BYTES,
    MAX_ENVELOPE_BYTES,
    MESSAGE_ID_BYTES,
)
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_address,
    decode_stored_user,
    encode_record,
)

__all__ = [
    "BacklogRecord",
    "OutboxRecord",
    "TurnRecord",
    "decode_row",
    "encode_row",
]


_MAX_PURPOSE: Final = 4
_MAX_OUTBOX_BYTES: Final = MAX_COPIES_BYTES + MAX_ENVELOPE_BYTES
"""The largest envelope of copies, or an envelope and what is in it, with room for the rest."""


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
        peer: with whom the conversation is, of a receipt for another own device; else None.
        group_id: of what is for members of a group: which, 32 bytes; else empty.
        copies: the envelope is an `EnvelopeCopies`.
        purpose: of a message that the recipient has consented to, 1 to 4; 0: it has none.
    """

    envelope: bytes
    message_id: bytes
    fresh_session: bool = False
    content_kind: int = 0
    content_body: bytes = b""
    peer: UserId | None = None
    group_id: bytes = b""
    copies: bool = False
    purpose: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.OutboxRecord(
                envelope=self.envelope,
                message_id=self.message_id,
                fresh_session=self.fresh_session,
                content_kind=self.content_kind,
                content_body=self.content_body,
                peer=None if self.peer is None else encode_user(self.peer),
                group_id=self.group_id,
                copies=self.copies,
                purpose=self.purpose,
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
        fields = decode_record(storage_pb2.OutboxRecord, data, what, _MAX_OUTBOX_BYTES)
        check_lengths(
            what,
            (fields.message_id, MESSAGE_ID_BYTES),
            (fields.group_id, GROUP_ID_BYTES if fields.group_id else 0),
        )
        if fields.purpose > _MAX_PURPOSE:
            raise RecordCorrupted(f"{what} has an unknown purpose: the store is damaged")
        return cls(
            fields.envelope,
            fields.message_id,
            fields.fresh_session,
            fields.content_kind,
            fields.content_body,
            decode_stored_user(fields.peer, what) if fields.HasField("peer") else None,
            fields.group_id,
            fields.copies,
            fields.purpose,
        )


@dataclass(frozen=True, slots=True)
class BacklogRecord:
    """What waits for one device, and what that waits for. Public values only.

    Attributes:
        first: below it no row is left.
        next: the number that is given next.
        turn: its row among the turns; 0: none, in a store with stripes.
        code: of the error that it waits to pass, or empty.
        untrusted_key: the identity key that the user has to decide about, 33 bytes, or empty.
        try_after_ms: in a store with stripes, until when somebody else sends from it, milliseconds
            since 1970.
        attempts: how often that was in vain, since something was sent from it.
        first_id: of the message in row 1, 16 bytes, if no row of its own says it; else empty.
    """

    first: int
    next: int
    turn: int
    code: str = ""
    untrusted_key: bytes = b""
    try_after_ms: int = 0
    attempts: int = 0
    first_id: bytes = b""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.BacklogRecord(
                first=self.first,
                next=self.next,
                turn=self.turn,
                code=self.code,
                untrusted_key=self.untrusted_key,
                try_after_ms=self.try_after_ms,
                attempts=self.attempts,
                first_id=self.first_id,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "BacklogRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a backlog record"
        fields = decode_record(storage_pb2.BacklogRecord, data, what)
        _check_ends(what, fields.first, fields.next)
        check_lengths(
            what,
            (fields.untrusted_key, PUBLIC_KEY_BYTES if fields.untrusted_key else 0),
            (fields.first_id, MESSAGE_ID_BYTES if fields.first_id else 0),
        )
        return cls(
            *(fields.first, fields.next, fields.turn, fields.code, fields.untrusted_key),
            *(fields.try_after_ms, fields.attempts, fields.first_id),
        )


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A backlog in which something waits.

    Attributes:
        backlog: 1: messages, 2: requests and what was asked for.
        recipient: whom it is for.
    """

    backlog: int
    recipient: Address

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.TurnRecord(backlog=self.backlog, recipient=encode_address(self.recipient))
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
        return cls(fields.backlog, decode_stored_address(fields.recipient, what))


def _check_ends(what: str, first: int, after: int) -> None:
    if not 1 <= first <= after:
        raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
