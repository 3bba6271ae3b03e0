# SPDX-License-Identifier: Apache-2.0
"""Envelopes in flight: they leave right after the commit that has put them here.

Rules:
- Most messages go straight to the back end, and are forgotten with the next commit. Until then
  they need no backlog, no turn and no place in an index: a row here is written and deleted, which
  is a third of what the others take.
- A row's number is the epoch of the encryption, which is written anyway, and never given twice.
- What is found here by anybody else was left by a crash, or its deposit has failed: it is filed in
  the backlog of its recipient before anything else is put there, so that its order is kept.
"""

from dataclasses import replace
from typing import Final

from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.epoch import read_epoch
from e2ecross.state.outbox import (
    TURNS,
    Backlog,
    BacklogName,
    Waiting,
    clear_backlog,
    find_message,
    put_envelope,
    read_backlog,
    remove_waiting,
)
from e2ecross.state.queue import Queue, number_row
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.queue_records import OutboxRecord

__all__ = ["IN_FLIGHT", "file_all", "put_in_flight", "remove_from_flight", "remove_sent"]

IN_FLIGHT: Final = TURNS + b"\0"
"""The partition, beside those of turns; no backlog has the number 0."""
_QUEUE: Final = Queue(Table.OUTBOX, IN_FLIGHT)


def put_in_flight(tx: Transaction, envelope: Envelope, data: bytes, purpose: int = 0) -> Waiting:
    """Keep an envelope that was just encrypted, in whose backlog nothing waits, until it has left.

    Args:
        tx: the operation's transaction.
        envelope: which.
        data: its encoding.
        purpose: that of `Waiting`.
    """
    record = OutboxRecord(data, message_id=envelope.message_id, purpose=purpose)
    number = read_epoch(tx)
    tx.put(Table.OUTBOX, IN_FLIGHT, number_row(number), record.encode())
    backlog = Backlog(BacklogName.MESSAGES, envelope.recipient)
    return Waiting(
        backlog, number, envelope.message_id, envelope, is_in_flight=True, purpose=purpose
    )


def remove_from_flight(tx: Transaction, waiting: Waiting) -> None:
    """Forget the row of a message that has left; nothing happens when it stands in a backlog."""
    if waiting.is_in_flight:
        _QUEUE.remove(tx, waiting.number)


def remove_sent(tx: Transaction, waiting: Waiting) -> None:
    """Forget a user's message that the back end has, where somebody has filed it meanwhile.

    What has gone through is no reason to wait any more, for what stands behind it.
    """
    backlog = waiting.backlog
    if read_backlog(tx, backlog) is not None:
        number: int | None = waiting.number
        if waiting.is_in_flight:
            number = find_message(tx, backlog.recipient, waiting.message_id)
        if number is not None and remove_waiting(tx, replace(waiting, number=number)):
            clear_backlog(tx, backlog)


def file_all(tx: Transaction) -> int:
    """Put all that is in flight into the backlogs, in its order.

    What cannot be filed, because the backlog is damaged, stays.

    Returns:
        How many were forgotten because their rows are damaged: it is lost which they were.
    """
    forgotten = 0
    for number, data in _QUEUE.walk(tx):
        try:
            record = OutboxRecord.decode(data)
            envelope = Envelope.decode(record.envelope)
        except (RecordCorrupted, RemoteError):
            forgotten += 1
        else:
            try:
                put_envelope(tx, envelope, record.purpose)
            except RecordCorrupted:
                continue
        _QUEUE.remove(tx, number)
    return forgotten
