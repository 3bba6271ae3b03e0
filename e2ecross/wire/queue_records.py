# SPDX-License-Identifier: Apache-2.0
"""Records of what is on its way: outbox, inbox, messages kept for sending again, retries.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass

from e2ecross.address import Address
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.encoding import encode_address
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_address,
    encode_record,
)

__all__ = [
    "GenerationRecord",
    "InboxRecord",
    "OutboxRecord",
    "RetryBudgetRecord",
    "SentRecord",
    "decode_retry",
    "decode_shelf",
    "encode_retry",
    "encode_shelf",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class OutboxRecord(Secret):
    """A copy of a message on its way to the back end.

    Attributes:
        envelope: encoded, to be deposited; empty when it is still to be encrypted.
        recipient: whom it is for, or None when its content is not kept.
        message_id: under which its content is kept, 16 bytes, or empty.
        resend: with an envelope: a request, or a copy that was asked for, which is dropped when the
            mailbox is full; without: a copy of a message that was sent before.
        fresh_session: it is not to be encrypted with a session that the recipient may have lost.
        content_kind: what the body is; 0: the content is kept elsewhere.
        content_body: what is to be sent, encoded; secret.
    """

    envelope: bytes
    recipient: Address | None = None
    message_id: bytes = b""
    resend: bool = False
    fresh_session: bool = False
    content_kind: int = 0
    content_body: bytes = b""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        fields = storage_pb2.OutboxRecord(
            envelope=self.envelope,
            message_id=self.message_id,
            resend=self.resend,
            fresh_session=self.fresh_session,
            content_kind=self.content_kind,
            content_body=self.content_body,
        )
        if self.recipient is not None:
            fields.recipient.CopyFrom(encode_address(self.recipient))
        return encode_record(fields)

    @classmethod
    def decode(cls, data: bytes) -> "OutboxRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "an outbox record"
        fields = decode_record(storage_pb2.OutboxRecord, data, what)
        is_kept = fields.HasField("recipient")
        if is_kept:
            check_lengths(what, (fields.message_id, MESSAGE_ID_BYTES))
        elif fields.message_id or not fields.envelope:
            raise RecordCorrupted(f"{what} holds nothing: the store is damaged")
        return cls(
            fields.envelope,
            decode_stored_address(fields.recipient, what) if is_kept else None,
            fields.message_id,
            fields.resend,
            fields.fresh_session,
            fields.content_kind,
            fields.content_body,
        )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class InboxRecord(Secret):
    """A message, or the failure to read one, until the caller has confirmed it.

    Attributes:
        sender: who sent it by what the envelope says, or None if no envelope could be read.
        message_id: 16 bytes, or empty.
        backend_number: by which the back end hands it out and has it acknowledged.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content_kind: 0 when this is a failure.
        content_body: what was sent, encoded; secret.
        identity_changed: whether it came under an identity key that is not accepted.
        version_downgraded: whether it started a session of an older version than offered before.
        error_code: `code` of the error, empty when this is a message.
        error_text: the error's message.
        error_identity_key: the new identity key that an `IdentityChangedError` names, 33 bytes,
            or empty.
        retrying: of a failure: the sender was asked to send the message again.
        confirmed: nothing is left but the number: the app has the item, but the back end may
            hand it out again.
    """

    sender: Address | None
    message_id: bytes
    backend_number: int
    sent_at_ms: int = 0
    content_kind: int = 0
    content_body: bytes = b""
    identity_changed: bool = False
    version_downgraded: bool = False
    error_code: str = ""
    error_text: str = ""
    error_identity_key: bytes = b""
    retrying: bool = False
    confirmed: bool = False

    def encode(self) -> bytes:
        """Return the record's bytes."""
        fields = storage_pb2.InboxRecord(
            message_id=self.message_id, backend_number=self.backend_number
        )
        if self.sender is not None:
            fields.sender.CopyFrom(encode_address(self.sender))
        if self.confirmed:
            fields.confirmed = True
        elif self.error_code:
            fields.failure.code = self.error_code
            fields.failure.text = self.error_text
            fields.failure.identity_key = self.error_identity_key
            fields.failure.retrying = self.retrying
        else:
            fields.message.sent_at_ms = self.sent_at_ms
            fields.message.content_kind = self.content_kind
            fields.message.content_body = self.content_body
            fields.message.identity_changed = self.identity_changed
            fields.message.version_downgraded = self.version_downgraded
        return encode_record(fields)

    @classmethod
    def decode(cls, data: bytes) -> "InboxRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "an inbox record"
        fields = decode_record(storage_pb2.InboxRecord, data, what)
        kind = "confirmed" if fields.confirmed else "failure" if fields.failure.code else "message"
        if fields.WhichOneof("item") != kind:
            raise RecordCorrupted(f"{what} holds nothing: the store is damaged")
        if fields.message_id:
            check_lengths(what, (fields.message_id, MESSAGE_ID_BYTES))
        if fields.failure.identity_key:
            check_lengths(what, (fields.failure.identity_key, PUBLIC_KEY_BYTES))
        return cls(
            sender=decode_stored_address(fields.sender, what)
            if fields.HasField("sender")
            else None,
            message_id=fields.message_id,
            backend_number=fields.backend_number,
            sent_at_ms=fields.message.sent_at_ms,
            content_kind=fields.message.content_kind,
            content_body=fields.message.content_body,
            identity_changed=fields.message.identity_changed,
            version_downgraded=fields.message.version_downgraded,
            error_code=fields.failure.code,
            error_text=fields.failure.text,
            error_identity_key=fields.failure.identity_key,
            retrying=fields.failure.retrying,
            confirmed=fields.confirmed,
        )


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """Rows that will be forgotten together.

    Attributes:
        number: names their partition.
        opened_at_ms: when the first of them was put there, milliseconds since 1970.
        rows: how many there are.
    """

    number: int
    opened_at_ms: int
    rows: int


def encode_shelf(generations: tuple[GenerationRecord, ...]) -> bytes:
    """Return the record of a shelf's generations, oldest first."""
    fields = storage_pb2.ShelfRecord()
    for generation in generations:
        fields.generations.add(
            number=generation.number, opened_at_ms=generation.opened_at_ms, rows=generation.rows
        )
    return encode_record(fields)


def decode_shelf(data: bytes) -> tuple[GenerationRecord, ...]:
    """Return a shelf's generations, oldest first.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a shelf record"
    fields = decode_record(storage_pb2.ShelfRecord, data, what)
    numbers = [generation.number for generation in fields.generations]
    if numbers != sorted(set(numbers)):
        raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
    return tuple(
        GenerationRecord(generation.number, generation.opened_at_ms, generation.rows)
        for generation in fields.generations
    )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SentRecord(Secret):
    """A sent message, kept so that it can be sent again; or the other id of one.

    Attributes:
        original_id: the message id under which the content is kept, 16 bytes; empty: here.
        sent_at_ms: when it was first sent, milliseconds since 1970.
        content_kind: what the body is.
        content_body: what was sent, encoded; secret.
        resends: how often it was sent again.
        identity_key: the recipient's, to which it was encrypted first, 33 bytes.
    """

    original_id: bytes = b""
    sent_at_ms: int = 0
    content_kind: int = 0
    content_body: bytes = b""
    resends: int = 0
    identity_key: bytes = b""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.SentRecord(
                original_id=self.original_id,
                sent_at_ms=self.sent_at_ms,
                content_kind=self.content_kind,
                content_body=self.content_body,
                resends=self.resends,
                identity_key=self.identity_key,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "SentRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a record of a sent message"
        fields = decode_record(storage_pb2.SentRecord, data, what)
        if fields.original_id:
            check_lengths(what, (fields.original_id, MESSAGE_ID_BYTES))
        else:
            check_lengths(what, (fields.identity_key, PUBLIC_KEY_BYTES))
        if bool(fields.original_id) is bool(fields.content_kind):
            raise RecordCorrupted(f"{what} holds nothing: the store is damaged")
        return cls(
            fields.original_id,
            fields.sent_at_ms,
            fields.content_kind,
            fields.content_body,
            fields.resends,
            fields.identity_key,
        )


@dataclass(frozen=True, slots=True)
class RetryBudgetRecord:
    """How often messages were asked for again, and sent again, since a window began.

    Attributes:
        window_started_at_ms: milliseconds since 1970.
        requests: retry requests that were made.
        answers: messages that were sent again.
        strangers: of the total: requests to addresses that nothing authentic had come from.
    """

    window_started_at_ms: int
    requests: int = 0
    answers: int = 0
    strangers: int = 0

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.RetryBudgetRecord(
                window_started_at_ms=self.window_started_at_ms,
                requests=self.requests,
                answers=self.answers,
                strangers=self.strangers,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "RetryBudgetRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        fields = decode_record(storage_pb2.RetryBudgetRecord, data, "a retry budget record")
        return cls(
            fields.window_started_at_ms,
            fields.requests,
            fields.answers,
            fields.strangers,
        )


def encode_retry(attempts: int) -> bytes:
    """Return the record of a message that was asked for again."""
    return encode_record(storage_pb2.RetryRecord(attempts=attempts))


def decode_retry(data: bytes) -> int:
    """Return how often a message was asked for again.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    return decode_record(storage_pb2.RetryRecord, data, "a retry record").attempts
