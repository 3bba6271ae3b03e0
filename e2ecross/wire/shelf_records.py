# SPDX-License-Identifier: Apache-2.0
"""Records that are kept for a time: sent messages, their ids, what was asked for again.

Values hold secrets as plain bytes; they do not show them. Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.address import MAX_DEVICE, UserId
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.encoding import encode_user
from e2ecross.wire.limits import COMMIT_HASH_BYTES, GROUP_ID_BYTES, MESSAGE_ID_BYTES
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_user,
    encode_record,
)

__all__ = [
    "SENT_DIGEST_BYTES",
    "GenerationRecord",
    "RetryBudgetRecord",
    "SentIdRecord",
    "SentRecord",
    "decode_retry",
    "decode_shelf",
    "encode_retry",
    "encode_shelf",
]

SENT_DIGEST_BYTES: Final = 2
"""Enough to notice an id that is used for another text; no help to a thief who guesses texts."""


class GenerationRecord(NamedTuple):
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
    """Something of a sent message, kept so that it can be sent again: one of three.

    The content of all copies; or what is known of one copy; or the other id of one.

    Attributes:
        original_id: of another id: that of the copy, 16 bytes; of a copy that went under another id
            than the message: the message's; else empty.
        sent_at_ms: of the content: when it was first sent, milliseconds since 1970.
        content_kind: of the content: what the body is; else 0.
        content_body: what was sent, encoded; secret.
        resends: of a copy: how often it was sent again.
        identity_key: of a copy: the recipient's, to which it was encrypted first, 33 bytes.
        account: of a copy: with whom the conversation is, under whom the content is.
        group_id: of the content of a message into a group: which, 32 bytes; else empty.
        heads: likewise: in which state of it, 1 to 16, 32 bytes each.
    """

    original_id: bytes = b""
    sent_at_ms: int = 0
    content_kind: int = 0
    content_body: bytes = b""
    resends: int = 0
    identity_key: bytes = b""
    account: UserId | None = None
    group_id: bytes = b""
    heads: tuple[bytes, ...] = ()

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
                account=None if self.account is None else encode_user(self.account),
                group_id=self.group_id,
                heads=self.heads,
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
        is_copy = fields.HasField("account")
        is_other_id = bool(fields.original_id) and not is_copy
        if is_other_id + bool(fields.content_kind) + is_copy != 1:
            raise RecordCorrupted(f"{what} holds nothing: the store is damaged")
        if fields.original_id:
            check_lengths(what, (fields.original_id, MESSAGE_ID_BYTES))
        check_lengths(what, (fields.identity_key, PUBLIC_KEY_BYTES if is_copy else 0))
        has_content = fields.sent_at_ms or fields.content_body or fields.group_id
        if (has_content and not fields.content_kind) or (fields.resends and not is_copy):
            raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
        check_lengths(
            what,
            (fields.group_id, GROUP_ID_BYTES if fields.heads else 0),
            *((each, COMMIT_HASH_BYTES) for each in fields.heads),
        )
        return cls(
            fields.original_id,
            fields.sent_at_ms,
            fields.content_kind,
            fields.content_body,
            fields.resends,
            fields.identity_key,
            decode_stored_user(fields.account, what) if is_copy else None,
            fields.group_id,
            tuple(fields.heads),
        )


@dataclass(frozen=True, slots=True)
class SentIdRecord:
    """A message id that was used.

    Attributes:
        digest: 2 bytes of the hash of the content that it was used for.
        devices: numbers of the devices that have a copy, of the account with whom the conversation
            is; ascending.
        own_copies_id: the id (16 bytes) under which copies for other own devices went; empty: the
            message's.
    """

    digest: bytes
    devices: tuple[int, ...] = ()
    own_copies_id: bytes = b""

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.SentIdRecord(
                digest=self.digest,
                devices=bytes(self.devices),
                own_copies_id=self.own_copies_id,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "SentIdRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a record of a message id"
        fields = decode_record(storage_pb2.SentIdRecord, data, what)
        check_lengths(what, (fields.digest, SENT_DIGEST_BYTES))
        devices = tuple(fields.devices)
        if devices != tuple(sorted({*devices} - {0})) or max(devices, default=0) > MAX_DEVICE:
            raise RecordCorrupted(f"{what} names no devices: the store is damaged")
        if fields.own_copies_id:
            check_lengths(what, (fields.own_copies_id, MESSAGE_ID_BYTES))
        return cls(fields.digest, devices, fields.own_copies_id)


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
