# SPDX-License-Identifier: Apache-2.0
"""The outbox: copies of messages that the back end may not have, in a backlog of each recipient.

Rules:
- An envelope is put here in the commit that advanced its session, and leaves when the back end
  has it. A repeated deposit is harmless: the back end knows the message id.
- Order is kept within a backlog, not over all: who cannot be reached holds up nobody else.
- What users sent has backlogs of its own. What clients tell each other, and what was asked for,
  stands in no message's way.
- That is put here before it is encrypted, because that may take a bundle first.
- Backlogs in which something waits have turns, in queues of their own: what users sent and the
  rest; what was not tried, what was tried in vain, and what waits for the user. So nobody who can
  be reached stands behind those who cannot, however many they are.
- In a store with stripes a backlog has a time instead (`backlog_times.py`). Most are soon empty.
"""

import enum
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.crypto.secret import Secret, without_frames
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.context import address_key
from e2ecross.state.queue import Queue, number_row
from e2ecross.state.stripe import note_outbox_due
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.content import ControlContent, Receipt, decode_content, encode_content
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.queue_records import (
    BacklogRecord,
    OutboxRecord,
    TurnRecord,
    decode_row,
    encode_row,
)

__all__ = [
    "BACKLOG_ROW",
    "TURNS",
    "Backlog",
    "BacklogName",
    "Told",
    "TurnKind",
    "Waiting",
    "block_backlog",
    "clear_backlog",
    "find_message",
    "find_row",
    "find_waiting",
    "forget_backlog",
    "forget_row",
    "free_backlog",
    "list_backlog",
    "put_control",
    "put_envelope",
    "put_resend",
    "read_backlog",
    "remove_waiting",
    "replace_waiting",
    "save_backlog",
    "take_turn",
    "turns_of",
    "walk_backlog",
    "walk_turns_of",
]

TURNS: Final = b"\0"
"""What the partitions of turns begin with, and no backlog."""
Told = ControlContent | Receipt
"""What is encrypted when it leaves, and not kept to be sent again."""
_BACKLOG: Final = Codec(BacklogRecord.encode, BacklogRecord.decode)
BACKLOG_ROW: Final = b""


class BacklogName(enum.IntEnum):
    """What a backlog holds; the value is at rest."""

    MESSAGES = 1
    """What users sent, and `send` has promised."""
    REQUESTS = 2
    """What clients tell each other, and messages that were asked for: a full mailbox drops it."""


class TurnKind(enum.IntEnum):
    """What a backlog waits for; the value is at rest."""

    READY = 1
    """The next call that reaches the back end."""
    LATER = 2
    """Likewise, but it was tried in vain."""
    HELD = 3
    """The user, who has to decide about an identity key."""


class Backlog(NamedTuple):
    """Where what waits for one device stands.

    Attributes:
        name: what it holds.
        recipient: whom that is for.
    """

    name: BacklogName
    recipient: Address

    @property
    def partition(self) -> bytes:
        """The store's key of the backlog."""
        return bytes((self.name,)) + address_key(self.recipient)

    @property
    def rows(self) -> Queue:
        """What waits, by number; counted by the row that says how it stands with the backlog."""
        return Queue(Table.OUTBOX, self.partition)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Waiting(Secret):
    """One copy in the outbox.

    Attributes:
        backlog: where it stands.
        number: its row there.
        message_id: 16 bytes: of the message that the user sent, or of what the client tells.
        envelope: what to deposit, or None when it is still to be encrypted.
        control: what the client tells; None: it is the message that is kept under the message id.
        peer: with whom the conversation is, of a receipt for another own device; else None.
        fresh_session: in a new session, because the recipient may have lost the others.
        is_in_flight: it stands in no backlog yet (`in_flight.py`).
        purpose: of a user's message that goes by the recipient's consent, 1 to 4; else 0.
        consent: the token of what the recipient has granted when this was read, 32 bytes, secret;
            or empty.
    """

    backlog: Backlog
    number: int
    message_id: bytes
    envelope: Envelope | None
    control: Told | None = None
    fresh_session: bool = False
    is_in_flight: bool = False
    peer: UserId | None = None
    purpose: int = 0
    consent: bytes = field(default=b"", compare=False)


def put_envelope(tx: Transaction, envelope: Envelope, purpose: int = 0) -> int:
    """Keep the envelope of a user's message until the back end has it; returns its number.

    The purpose is that of `Waiting`.
    """
    backlog = Backlog(BacklogName.MESSAGES, envelope.recipient)
    record = OutboxRecord(envelope.encode(), message_id=envelope.message_id, purpose=purpose)
    number = _append(tx, backlog, record)
    tx.put(Table.OUTBOX, backlog.partition, envelope.message_id, encode_row(number))
    return number


def put_resend(tx: Transaction, recipient: Address, message_id: bytes) -> None:
    """Note that a message that is kept under this id (16 bytes) is to be sent again."""
    _append(tx, Backlog(BacklogName.REQUESTS, recipient), OutboxRecord(b"", message_id=message_id))


def put_control(
    tx: Transaction,
    recipient: Address,
    message_id: bytes,
    content: Told,
    *,
    fresh_session: bool = False,
    peer: UserId | None = None,
) -> None:
    """Note that a device is to be told something, under this id (16 bytes); see `Waiting`."""
    backlog = Backlog(BacklogName.REQUESTS, recipient)
    told = encode_content(content)
    _append(tx, backlog, OutboxRecord(b"", message_id, fresh_session, *told, peer))


def replace_waiting(tx: Transaction, waiting: Waiting, envelope: Envelope | None) -> None:
    """Put the envelope in the place of what was to be encrypted.

    None takes the envelope back: it is encrypted anew, in a new session.
    """
    data = b"" if envelope is None else envelope.encode()
    told = (0, b"") if waiting.control is None else encode_content(waiting.control)
    rest = (envelope is None, *told, waiting.peer)
    record = OutboxRecord(data, waiting.message_id, *rest, purpose=waiting.purpose)
    tx.put(Table.OUTBOX, waiting.backlog.partition, number_row(waiting.number), record.encode())


def find_message(tx: Transaction, recipient: Address, message_id: bytes) -> int | None:
    """Return the number of a user's message (16 bytes of id) that waits, or None."""
    backlog = Backlog(BacklogName.MESSAGES, recipient)
    data = tx.get(Table.OUTBOX, backlog.partition, message_id)
    if data is not None:
        return decode_row(data)
    with suppress(RecordCorrupted):  # which is mended when it is sent from
        record = read_backlog(tx, backlog)
        if record is not None and record.first == 1 and record.first_id == message_id:
            return 1
    return None


def remove_waiting(tx: Transaction, waiting: Waiting) -> bool:
    """Forget a copy: the back end has it, or never will; tells whether it was still there."""
    if find_waiting(tx, waiting) is None:
        return False
    forget_row(tx, waiting)
    return True


def forget_row(tx: Transaction, waiting: Waiting) -> None:
    """Forget what stands in a row, whatever that is."""
    backlog = waiting.backlog
    tx.delete(Table.OUTBOX, backlog.partition, number_row(waiting.number))
    record = _load(tx, backlog)
    has_index = backlog.name is BacklogName.MESSAGES and waiting.message_id
    if has_index and not (waiting.number == 1 and record.first_id):
        tx.delete(Table.OUTBOX, backlog.partition, waiting.message_id)
    first = record.first
    if waiting.number == first:
        first += 1
        while first < record.next and not backlog.rows.has(tx, first):
            first += 1
    if first == record.next:
        _leave_turn(tx, backlog, record)
        tx.delete(Table.OUTBOX, backlog.partition, BACKLOG_ROW)
    elif first != record.first:
        save_backlog(tx, backlog, replace(record, first=first))


def forget_backlog(tx: Transaction, backlog: Backlog) -> None:
    """Forget all that waits in a backlog: its device is none of its account any more."""
    record = read_backlog(tx, backlog)
    if record is not None:
        _leave_turn(tx, backlog, record)
        tx.clear(Table.OUTBOX, backlog.partition)


def find_waiting(tx: Transaction, waiting: Waiting) -> Waiting | None:
    """Return what stands in the place of something that was listed before, if it still does."""
    current = find_row(tx, waiting.backlog, waiting.number)
    # Somebody else may have been faster; and a new backlog counts from the beginning.
    return None if current is None or current.message_id != waiting.message_id else current


def read_backlog(tx: Transaction, backlog: Backlog) -> BacklogRecord | None:
    """Return how it stands with a backlog, or None when nothing waits there."""
    record = tx.get_value(Table.OUTBOX, backlog.partition, BACKLOG_ROW, _BACKLOG)
    if record is not None and not record.turn and not tx.stripe_count():
        raise RecordCorrupted("a backlog of the outbox has no turn: the store is damaged")
    return record


def list_backlog(tx: Transaction, backlog: Backlog, limit: int | None = None) -> list[Waiting]:
    """Return what waits in a backlog, in the order of sending; at most that many."""
    return list(islice(walk_backlog(tx, backlog), limit))


def walk_backlog(tx: Transaction, backlog: Backlog) -> Iterator[Waiting]:
    """Yield what waits in a backlog, in the order of sending; it must not change meanwhile."""
    record = read_backlog(tx, backlog)
    if record is not None:
        for number in range(record.first, record.next):
            waiting = find_row(tx, backlog, number)
            if waiting is not None:
                yield waiting


def block_backlog(tx: Transaction, backlog: Backlog, code: str, untrusted_key: bytes = b"") -> None:
    """Note the error's code that a backlog waits to pass, or for which identity key (33 bytes)."""
    record = read_backlog(tx, backlog)
    if record is not None:
        _move(tx, backlog, record, replace(record, code=code, untrusted_key=untrusted_key))


def clear_backlog(tx: Transaction, backlog: Backlog) -> None:
    """Note that a backlog does not wait to pass an error any more: something has gone through."""
    record = read_backlog(tx, backlog)
    if record is not None and (record.code or record.attempts) and not record.untrusted_key:
        _move(tx, backlog, record, replace(record, code="", attempts=0))


def free_backlog(tx: Transaction, backlog: Backlog) -> None:
    """Note that a backlog need not wait for the user any more."""
    record = read_backlog(tx, backlog)
    if record is not None and record.untrusted_key:
        _move(tx, backlog, record, replace(record, code="", untrusted_key=b"", try_after_ms=0))
        note_outbox_due(tx, 1)


def save_backlog(tx: Transaction, backlog: Backlog, record: BacklogRecord) -> None:
    """Write how it stands with a backlog; it stays where it has its turn."""
    tx.put_value(Table.OUTBOX, backlog.partition, BACKLOG_ROW, record, _BACKLOG)


def walk_turns_of(
    tx: Transaction, name: BacklogName, kind: TurnKind, after: int = 0
) -> Iterator[tuple[int, Backlog | RecordCorrupted]]:
    """Walk over turn and backlog of those; one turn that is damaged does not hide the others."""
    for turn, data in turns_of(name, kind).walk(tx, after):
        try:
            record = TurnRecord.decode(data)
            named = _backlog_name(record.backlog)
            backlog: Backlog | RecordCorrupted = Backlog(named, record.recipient)
        except RecordCorrupted as error:
            backlog = without_frames(error)
        yield turn, backlog


def turns_of(name: BacklogName, kind: TurnKind) -> Queue:
    """Return the queue of turns of those backlogs."""
    return Queue(Table.OUTBOX, TURNS + bytes((name, kind)))


def _kind(record: BacklogRecord) -> TurnKind:
    if record.untrusted_key:
        return TurnKind.HELD
    return TurnKind.LATER if record.code else TurnKind.READY


def take_turn(tx: Transaction, backlog: Backlog, record: BacklogRecord) -> int:
    """Put a backlog behind the others of its kind; returns its turn, 0 in a store with stripes."""
    if tx.stripe_count():
        return 0
    turn = TurnRecord(backlog.name, backlog.recipient).encode()
    return turns_of(backlog.name, _kind(record)).append(tx, turn)


def _move(tx: Transaction, backlog: Backlog, before: BacklogRecord, after: BacklogRecord) -> None:
    """Put a backlog behind the others of the kind that it is of from now on, if it has a turn."""
    _leave_turn(tx, backlog, before)
    save_backlog(tx, backlog, replace(after, turn=take_turn(tx, backlog, after)))


def _leave_turn(tx: Transaction, backlog: Backlog, record: BacklogRecord) -> None:
    if record.turn:
        turns_of(backlog.name, _kind(record)).remove(tx, record.turn)


def _append(tx: Transaction, backlog: Backlog, record: OutboxRecord) -> int:
    before = read_backlog(tx, backlog)
    if tx.stripe_count():  # elsewhere nobody would find what was lost, and mend it
        backlog.rows.require_unused(tx, 1 if before is None else before.next)
    note_outbox_due(tx, 1)
    if before is None:
        before = BacklogRecord(first=1, next=1, turn=0)
        before = replace(before, turn=take_turn(tx, backlog, before))
    tx.put(Table.OUTBOX, backlog.partition, number_row(before.next), record.encode())
    save_backlog(tx, backlog, replace(before, next=before.next + 1))
    return before.next


def _load(tx: Transaction, backlog: Backlog) -> BacklogRecord:
    record = read_backlog(tx, backlog)
    if record is None:
        raise RecordCorrupted("a backlog of the outbox is missing: the store is damaged")
    return record


def _backlog_name(value: int) -> BacklogName:
    try:
        return BacklogName(value)
    except ValueError as error:
        raise RecordCorrupted(
            "a turn of the outbox names no backlog: the store is damaged"
        ) from error


def find_row(tx: Transaction, backlog: Backlog, number: int) -> Waiting | None:
    """Return what stands in a row of a backlog, or None.

    Raises:
        RecordCorrupted: it does not decode.
    """
    data = tx.get(Table.OUTBOX, backlog.partition, number_row(number))
    if data is None:
        return None
    record = OutboxRecord.decode(data)
    control: object = None
    envelope = None
    try:
        if record.envelope:
            envelope = Envelope.decode(record.envelope)
        if record.content_kind:
            control = decode_content(record.content_kind, record.content_body)
    except RemoteError as error:
        raise RecordCorrupted("an outbox record does not decode: the store is damaged") from error
    if not isinstance(control, Told | None):
        raise RecordCorrupted("an outbox record holds nothing to send: the store is damaged")
    return Waiting(
        *(backlog, number, record.message_id, envelope, control, record.fresh_session),
        peer=record.peer,
        purpose=record.purpose,
    )
