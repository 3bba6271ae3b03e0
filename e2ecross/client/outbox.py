# SPDX-License-Identifier: Apache-2.0
"""The outbox: encrypted envelopes that the back end may not have yet.

Rules:
- An envelope is put here in the commit that advanced its session, and leaves when the back end
  has it. A repeated deposit is harmless: the back end knows the message id.
"""

from dataclasses import replace

from e2ecross.address import Address
from e2ecross.client.context import require_device, save_device
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.queue_records import OutboxRecord

__all__ = ["find_in_outbox", "list_outbox", "put_into_outbox", "remove_from_outbox", "take_number"]

_NUMBER_BYTES = 8


def take_number(tx: Transaction) -> bytes:
    """Return the next row of outbox or inbox: 8 bytes, ascending, never given twice."""
    device = require_device(tx)
    save_device(tx, replace(device, next_queue_number=device.next_queue_number + 1))
    return device.next_queue_number.to_bytes(_NUMBER_BYTES)


def put_into_outbox(tx: Transaction, envelope: Envelope) -> bytes:
    """Keep an envelope until the back end has it; returns its row."""
    row = take_number(tx)
    tx.put(Table.OUTBOX, b"", row, OutboxRecord(envelope.encode()).encode())
    return row


def list_outbox(tx: Transaction) -> list[tuple[bytes, Envelope]]:
    """Return row and envelope of all that waits, in the order of sending."""
    return [(row, _decode(record)) for row, record in tx.list(Table.OUTBOX)]


def find_in_outbox(tx: Transaction, recipient: Address, message_id: bytes) -> bytes | None:
    """Return the row of a waiting message, or None."""
    for row, envelope in list_outbox(tx):
        if envelope.recipient == recipient and envelope.message_id == message_id:
            return row
    return None


def remove_from_outbox(tx: Transaction, row: bytes) -> None:
    """Forget an envelope: the back end has it, or never will."""
    tx.delete(Table.OUTBOX, b"", row)


def _decode(record: bytes) -> Envelope:
    try:
        return Envelope.decode(OutboxRecord.decode(record).envelope)
    except RemoteError as error:
        raise RecordCorrupted("an outbox record holds no envelope: the store is damaged") from error
