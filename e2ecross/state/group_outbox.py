# SPDX-License-Identifier: Apache-2.0
"""What is on its way to members of groups: one queue, in the order of sending.

Rules:
- A grant of a key stands before what is sent under that key, and what stands here leaves in its
  order. So no message overtakes the key that reads it.
- Nothing here waits for one recipient: who is refused is left out, and the rest goes on. So one
  queue does for all groups, and nothing in it tells their names.
- Grants are one row each, under one message id for all that were encrypted at once. A message is
  one row for 1,024 devices.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.crypto.secret import Secret, without_frames
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.outbox import TURNS
from e2ecross.state.queue import Queue
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.envelope import Envelope, EnvelopeCopies
from e2ecross.wire.group import GroupId
from e2ecross.wire.queue_records import OutboxRecord

__all__ = [
    "GROUP_OUTBOX",
    "GroupWaiting",
    "empty_in_group_outbox",
    "forget_in_group_outbox",
    "group_waiting_from_record",
    "put_copies",
    "put_grant_envelope",
    "walk_group_outbox",
]

GROUP_OUTBOX: Final = TURNS + b"\x03"
"""The partition, beside those of turns; no backlog has the number 3."""
_QUEUE: Final = Queue(Table.OUTBOX, GROUP_OUTBOX)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class GroupWaiting(Secret):
    """One thing in the outbox of groups.

    Attributes:
        number: its place.
        group: for whose members it is.
        message_id: 16 bytes: of the message, or of all grants that were encrypted with it.
        data: what to deposit; empty: the message is kept, and to be encrypted anew.
        sent: the same decoded: an envelope, which holds a grant; or copies of a message; or None.
    """

    number: int
    group: GroupId
    message_id: bytes
    data: bytes
    sent: Envelope | EnvelopeCopies | None


def put_grant_envelope(tx: Transaction, group: GroupId, envelope: Envelope) -> int:
    """Keep the envelope of a grant until the back end has it; returns its number."""
    record = OutboxRecord(envelope.encode(), envelope.message_id, group_id=group.value)
    return _QUEUE.append(tx, record.encode())


def put_copies(tx: Transaction, group: GroupId, copies: EnvelopeCopies) -> int:
    """Keep copies of a message until the back end has them; returns their number."""
    record = OutboxRecord(copies.encode(), copies.message_id, group_id=group.value, copies=True)
    return _QUEUE.append(tx, record.encode())


def walk_group_outbox(
    tx: Transaction, after: int = 0
) -> Iterator[tuple[int, GroupWaiting | RecordCorrupted]]:
    """Walk over number and item of what waits behind a number, in the order of sending."""
    for number, data in _QUEUE.walk(tx, after):
        try:
            found: GroupWaiting | RecordCorrupted = group_waiting_from_record(number, data)
        except RecordCorrupted as error:
            found = without_frames(error)
        yield number, found


def forget_in_group_outbox(tx: Transaction, numbers: Iterable[int]) -> None:
    """Forget what the back end has, or never will; nothing happens where that was done before."""
    for number in numbers:
        _QUEUE.remove(tx, number)


def empty_in_group_outbox(tx: Transaction, waiting: GroupWaiting) -> None:
    """Take the copies of a message back: it is encrypted anew, of what is kept."""
    record = OutboxRecord(b"", waiting.message_id, group_id=waiting.group.value, copies=True)
    _QUEUE.replace(tx, waiting.number, record.encode())


def group_waiting_from_record(number: int, data: bytes) -> GroupWaiting:
    """Make an item of its number and its record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    record = OutboxRecord.decode(data)
    sent: Envelope | EnvelopeCopies | None = None
    try:
        if record.envelope:
            kind = EnvelopeCopies if record.copies else Envelope
            sent = kind.decode(record.envelope)
    except RemoteError as error:
        raise RecordCorrupted("an outbox record does not decode: the store is damaged") from error
    if not record.group_id or not (record.envelope or record.copies):
        raise RecordCorrupted("an outbox record is of no group: the store is damaged")
    group = GroupId(record.group_id)
    return GroupWaiting(number, group, record.message_id, record.envelope, sent)
