# SPDX-License-Identifier: Apache-2.0
"""The outbox: copies of messages that the back end may not have yet, in a lane for each recipient.

Rules:
- An envelope is put here in the commit that advanced its session, and leaves when the back end
  has it. A repeated deposit is harmless: the back end knows the message id.
- Order is kept within a lane, not over all: a recipient who cannot be reached holds up nobody else.
- What users sent has lanes of its own. Requests and their answers stand in no message's way.
- A message that another device asks for, or one asking for a message, is put here before it is
  encrypted, because that may take a bundle first.
- Lanes in which something waits have turns. A lane that was tried in vain goes behind the others.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from e2ecross.address import Address
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.context import address_key
from e2ecross.state.queue import Queue, number_row
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.content import RetryRequest, decode_content, encode_content
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.queue_records import LaneRecord, OutboxRecord, TurnRecord, decode_row, encode_row

__all__ = [
    "Lane",
    "LaneName",
    "Waiting",
    "block_lane",
    "find_message",
    "find_waiting",
    "free_lane",
    "list_lane",
    "put_envelope",
    "put_request",
    "put_resend",
    "read_lane",
    "remove_waiting",
    "replace_waiting",
    "walk_turns",
]

_TURNS: Final = Queue(Table.OUTBOX, b"")
_LANE: Final = Codec(LaneRecord.encode, LaneRecord.decode)
_LANE_ROW: Final = b""


class LaneName(enum.IntEnum):
    """What a lane holds; the value is at rest."""

    MESSAGES = 1
    """What users sent, and `send` has promised."""
    REQUESTS = 2
    """Requests for messages, and messages that were asked for: a full mailbox drops them."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Where what waits for one device stands.

    Attributes:
        name: what it holds.
        recipient: whom that is for.
    """

    name: LaneName
    recipient: Address

    @property
    def partition(self) -> bytes:
        """The store's key of the lane."""
        return bytes((self.name,)) + address_key(self.recipient)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Waiting(Secret):
    """One copy in the outbox.

    Attributes:
        lane: where it stands.
        number: its row there.
        message_id: 16 bytes: of the message that the user sent, or of the request.
        envelope: what to deposit, or None when it is still to be encrypted.
        request: what to encrypt; None: the message that is kept under the message id.
        fresh_session: in a new session, because the recipient may have lost the others.
    """

    lane: Lane
    number: int
    message_id: bytes
    envelope: Envelope | None
    request: RetryRequest | None = None
    fresh_session: bool = False


def put_envelope(tx: Transaction, envelope: Envelope) -> int:
    """Keep the envelope of a user's message until the back end has it; returns its number."""
    lane = Lane(LaneName.MESSAGES, envelope.recipient)
    record = OutboxRecord(envelope.encode(), message_id=envelope.message_id)
    number = _append(tx, lane, record)
    tx.put(Table.OUTBOX, lane.partition, envelope.message_id, encode_row(number))
    return number


def put_resend(tx: Transaction, recipient: Address, message_id: bytes) -> None:
    """Note that a message that is kept under this id (16 bytes) is to be sent again."""
    _append(tx, Lane(LaneName.REQUESTS, recipient), OutboxRecord(b"", message_id=message_id))


def put_request(
    tx: Transaction,
    recipient: Address,
    message_id: bytes,
    request: RetryRequest,
    *,
    fresh_session: bool = True,
) -> None:
    """Note that a message is to be asked for, under this id (16 bytes) of its own."""
    kind, body = encode_content(request)
    record = OutboxRecord(
        b"",
        message_id=message_id,
        fresh_session=fresh_session,
        content_kind=kind,
        content_body=body,
    )
    _append(tx, Lane(LaneName.REQUESTS, recipient), record)


def replace_waiting(tx: Transaction, waiting: Waiting, envelope: Envelope | None) -> None:
    """Put the envelope in the place of what was to be encrypted.

    None takes the envelope of a message back: it is encrypted anew, in a new session.
    """
    record = OutboxRecord(
        b"" if envelope is None else envelope.encode(),
        message_id=waiting.message_id,
        fresh_session=envelope is None,
    )
    tx.put(Table.OUTBOX, waiting.lane.partition, number_row(waiting.number), record.encode())


def find_message(tx: Transaction, recipient: Address, message_id: bytes) -> int | None:
    """Return the number of a user's message (16 bytes of id) that waits, or None."""
    lane = Lane(LaneName.MESSAGES, recipient)
    data = tx.get(Table.OUTBOX, lane.partition, message_id)
    return None if data is None else decode_row(data)


def remove_waiting(tx: Transaction, waiting: Waiting) -> bool:
    """Forget a copy: the back end has it, or never will; tells whether it was still there."""
    lane = waiting.lane
    if find_waiting(tx, waiting) is None:
        return False
    tx.delete(Table.OUTBOX, lane.partition, number_row(waiting.number))
    if lane.name is LaneName.MESSAGES:
        tx.delete(Table.OUTBOX, lane.partition, waiting.message_id)
    record = _load(tx, lane)
    first = record.first
    if waiting.number == first:
        first += 1
        while first < record.next and _find(tx, lane, first) is None:
            first += 1
    if first == record.next:
        _TURNS.remove(tx, record.turn)
        tx.delete(Table.OUTBOX, lane.partition, _LANE_ROW)
    elif first != record.first:
        _save(tx, lane, replace(record, first=first))
    return True


def find_waiting(tx: Transaction, waiting: Waiting) -> Waiting | None:
    """Return what stands in the place of something that was listed before, if it still does."""
    current = _find(tx, waiting.lane, waiting.number)
    # Somebody else may have been faster; and a new lane counts from the beginning.
    return None if current is None or current.message_id != waiting.message_id else current


def read_lane(tx: Transaction, lane: Lane) -> LaneRecord | None:
    """Return how it stands with a lane, or None when nothing waits there."""
    return tx.get_value(Table.OUTBOX, lane.partition, _LANE_ROW, _LANE)


def list_lane(tx: Transaction, lane: Lane, limit: int | None = None) -> list[Waiting]:
    """Return what waits in a lane, in the order of sending; at most that many."""
    record = read_lane(tx, lane)
    found: list[Waiting] = []
    if record is not None:
        for number in range(record.first, record.next):
            waiting = _find(tx, lane, number)
            if waiting is not None:
                found.append(waiting)
            if len(found) == limit:
                break
    return found


def block_lane(tx: Transaction, lane: Lane, code: str, untrusted_key: bytes = b"") -> None:
    """Note what a lane waits for, and put it behind the others.

    Args:
        tx: of the operation that found it out.
        lane: which.
        code: of the error that it waits to pass.
        untrusted_key: an identity key (33 bytes) that the user has to decide about first.
    """
    record = read_lane(tx, lane)
    if record is not None:
        _TURNS.remove(tx, record.turn)
        turn = _TURNS.append(tx, TurnRecord(lane.name, lane.recipient).encode())
        _save(tx, lane, replace(record, turn=turn, code=code, untrusted_key=untrusted_key))


def free_lane(tx: Transaction, lane: Lane) -> None:
    """Note that a lane need not wait for the user any more."""
    record = read_lane(tx, lane)
    if record is not None and record.untrusted_key:
        _save(tx, lane, replace(record, code="", untrusted_key=b""))


def walk_turns(tx: Transaction, after: int = 0) -> Iterator[tuple[int, Lane]]:
    """Walk over turn and lane of all lanes in which something waits."""
    for turn, data in _TURNS.walk(tx, after):
        record = TurnRecord.decode(data)
        yield turn, Lane(_lane_name(record.lane), record.recipient)


def _append(tx: Transaction, lane: Lane, record: OutboxRecord) -> int:
    before = read_lane(tx, lane)
    if before is None:
        turn = _TURNS.append(tx, TurnRecord(lane.name, lane.recipient).encode())
        before = LaneRecord(first=1, next=1, turn=turn)
    tx.put(Table.OUTBOX, lane.partition, number_row(before.next), record.encode())
    _save(tx, lane, replace(before, next=before.next + 1))
    return before.next


def _load(tx: Transaction, lane: Lane) -> LaneRecord:
    record = read_lane(tx, lane)
    if record is None:
        raise RecordCorrupted("a lane of the outbox is missing: the store is damaged")
    return record


def _save(tx: Transaction, lane: Lane, record: LaneRecord) -> None:
    tx.put_value(Table.OUTBOX, lane.partition, _LANE_ROW, record, _LANE)


def _lane_name(value: int) -> LaneName:
    try:
        return LaneName(value)
    except ValueError as error:
        raise RecordCorrupted("a turn of the outbox names no lane: the store is damaged") from error


def _find(tx: Transaction, lane: Lane, number: int) -> Waiting | None:
    data = tx.get(Table.OUTBOX, lane.partition, number_row(number))
    if data is None:
        return None
    record = OutboxRecord.decode(data)
    request: object = None
    envelope = None
    try:
        if record.envelope:
            envelope = Envelope.decode(record.envelope)
        elif record.content_kind:
            request = decode_content(record.content_kind, record.content_body)
    except RemoteError as error:
        raise RecordCorrupted("an outbox record does not decode: the store is damaged") from error
    if not isinstance(request, RetryRequest | None):
        raise RecordCorrupted("an outbox record holds nothing to send: the store is damaged")
    return Waiting(lane, number, record.message_id, envelope, request, record.fresh_session)
