# SPDX-License-Identifier: Apache-2.0
"""The outbox: copies of messages that the back end may not have yet, in the order of sending.

Rules:
- An envelope is put here in the commit that advanced its session, and leaves when the back end
  has it. A repeated deposit is harmless: the back end knows the message id.
- A message that another device asks for, or one asking for a message, is put here before it is
  encrypted, because that may take a bundle first.
"""

from dataclasses import dataclass, replace

from e2ecross.address import Address
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.context import require_device, save_device
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.content import RetryRequest, decode_content, encode_content
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.queue_records import OutboxRecord

__all__ = [
    "Waiting",
    "find_in_outbox",
    "list_outbox",
    "put_into_outbox",
    "put_request",
    "put_resend",
    "remove_from_outbox",
    "replace_in_outbox",
    "take_number",
]

_NUMBER_BYTES = 8


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Waiting(Secret):
    """One copy in the outbox.

    Attributes:
        row: where it is.
        recipient: whom it is for.
        message_id: 16 bytes: of the envelope, or, before that is made, of the message.
        envelope: what to deposit, or None when it is still to be encrypted.
        request: what to encrypt; None: the message that is kept under the message id.
        fresh_session: in a new session, because the recipient may have lost the others.
        can_be_dropped: a request, or the answer to one: not worth to be kept for a mailbox that is
            full, and otherwise a back end could fill the outbox with them.
    """

    row: bytes
    recipient: Address
    message_id: bytes
    envelope: Envelope | None
    request: RetryRequest | None = None
    fresh_session: bool = False
    can_be_dropped: bool = False


def take_number(tx: Transaction) -> bytes:
    """Return the next row of outbox or inbox: 8 bytes, ascending, never given twice."""
    device = require_device(tx)
    save_device(tx, replace(device, next_queue_number=device.next_queue_number + 1))
    return device.next_queue_number.to_bytes(_NUMBER_BYTES)


def put_into_outbox(tx: Transaction, envelope: Envelope) -> bytes:
    """Keep an envelope until the back end has it; returns its row."""
    return _put(tx, OutboxRecord(envelope.encode()))


def put_resend(tx: Transaction, recipient: Address, message_id: bytes) -> None:
    """Note that a message that is kept under this id (16 bytes) is to be sent again."""
    _put(tx, OutboxRecord(b"", recipient, message_id, resend=True))


def put_request(
    tx: Transaction, recipient: Address, message_id: bytes, request: RetryRequest
) -> None:
    """Note that a message is to be asked for, under this id (16 bytes) of its own."""
    kind, body = encode_content(request)
    _put(
        tx,
        OutboxRecord(
            b"", recipient, message_id, fresh_session=True, content_kind=kind, content_body=body
        ),
    )


def replace_in_outbox(tx: Transaction, waiting: Waiting, envelope: Envelope) -> None:
    """Put the envelope in the place of what was to be encrypted."""
    record = OutboxRecord(envelope.encode(), resend=waiting.can_be_dropped)
    tx.put(Table.OUTBOX, b"", waiting.row, record.encode())


def list_outbox(tx: Transaction) -> list[Waiting]:
    """Return all that waits, in the order of sending."""
    return [_decode(row, record) for row, record in tx.list(Table.OUTBOX)]


def find_in_outbox(tx: Transaction, recipient: Address, message_id: bytes) -> bytes | None:
    """Return the row of a waiting message, or None."""
    for waiting in list_outbox(tx):
        if waiting.recipient == recipient and waiting.message_id == message_id:
            return waiting.row
    return None


def remove_from_outbox(tx: Transaction, row: bytes) -> None:
    """Forget a copy: the back end has it, or never will."""
    tx.delete(Table.OUTBOX, b"", row)


def _put(tx: Transaction, record: OutboxRecord) -> bytes:
    row = take_number(tx)
    tx.put(Table.OUTBOX, b"", row, record.encode())
    return row


def _decode(row: bytes, data: bytes) -> Waiting:
    record = OutboxRecord.decode(data)
    try:
        if record.envelope:
            envelope = Envelope.decode(record.envelope)
            return Waiting(
                row,
                envelope.recipient,
                envelope.message_id,
                envelope,
                can_be_dropped=record.resend,
            )
        request = None
        if record.content_kind:
            request = decode_content(record.content_kind, record.content_body)
    except RemoteError as error:
        raise RecordCorrupted("an outbox record does not decode: the store is damaged") from error
    if record.recipient is None or not isinstance(request, RetryRequest | None):
        raise RecordCorrupted("an outbox record holds nothing to send: the store is damaged")
    return Waiting(
        row,
        record.recipient,
        record.message_id,
        None,
        request,
        record.fresh_session,
        # What a restored store has to encrypt anew was promised to be sent, and goes in a new
        # session; answers do not.
        can_be_dropped=request is not None or not record.fresh_session,
    )
