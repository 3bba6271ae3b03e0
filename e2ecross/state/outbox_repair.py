# SPDX-License-Identifier: Apache-2.0
"""An outbox with damaged rows: what can still be told of it, and how it goes on.

Rules:
- One damaged row is the trouble of one recipient, and of as few messages as can be.
- What is lost with a row is what it said; under which number a message stands, a row of its own
  says.
- Nothing here is done before a row was found to be damaged.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from e2ecross.errors import RecordCorrupted
from e2ecross.state.context import address_from_key
from e2ecross.state.outbox import (
    LANE_ROW,
    TURNS,
    Lane,
    LaneName,
    TurnKind,
    Waiting,
    find_row,
    forget_row,
    read_lane,
    replace_waiting,
    save_lane,
    take_turn,
    turns_of,
    walk_turns_of,
)
from e2ecross.state.queue import NUMBER_BYTES
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.queue_records import LaneRecord, decode_row

__all__ = ["LaneRows", "list_lanes", "read_rows", "rebuild_lane", "repair_lane"]


@dataclass(frozen=True, slots=True)
class LaneRows:
    """What the rows of a lane say, as far as they can be read.

    Attributes:
        numbers: of all that waits, in order.
        damaged: those of them whose row does not decode.
        message_ids: of users' messages by number, 16 bytes each.
    """

    numbers: list[int]
    damaged: set[int]
    message_ids: dict[int, bytes]


def read_rows(tx: Transaction, lane: Lane) -> LaneRows:
    """Look at all rows of a lane."""
    rows = LaneRows([], set(), {})
    for row, data in _walk_rows(tx, lane):
        if len(row) == NUMBER_BYTES:
            number = int.from_bytes(row)
            rows.numbers.append(number)
            try:
                find_row(tx, lane, number)
            except RecordCorrupted:
                rows.damaged.add(number)
        elif len(row) == MESSAGE_ID_BYTES and data is not None:
            try:
                rows.message_ids[decode_row(data)] = row
            except RecordCorrupted:  # a damaged row is why somebody asks
                continue
    with suppress(RecordCorrupted):
        record = read_lane(tx, lane)
        if record is not None and record.first == 1 and record.first_id:
            rows.message_ids[1] = record.first_id
    return rows


def rebuild_lane(tx: Transaction, lane: Lane) -> bool:
    """Write anew how it stands with a lane, if that is damaged or lost; tells whether it was.

    What it waited to pass is not known any more: that is found out when it is tried.
    """
    is_damaged = False
    try:
        if read_lane(tx, lane) is not None:
            return False
    except RecordCorrupted:
        is_damaged = True
    numbers = read_rows(tx, lane).numbers
    if numbers or is_damaged:
        _renew_lane(tx, lane, numbers)
    return bool(numbers) or is_damaged


def repair_lane(tx: Transaction, lane: Lane) -> list[Waiting]:
    """Find what stands in rows that do not decode, and take it from there.

    Returns:
        Messages of users, to be encrypted anew or given up; without a message id what is forgotten.
    """
    rebuild_lane(tx, lane)
    rows = read_rows(tx, lane)
    found: list[Waiting] = []
    for number in sorted(rows.damaged):
        waiting = Waiting(lane, number, rows.message_ids.get(number, b""), None)
        found.append(waiting)
        if waiting.message_id:
            replace_waiting(tx, waiting, None)
        else:
            forget_row(tx, waiting)
    return found


def list_lanes(tx: Transaction) -> list[Lane]:
    """Return all lanes in which something waits, whatever it waits for.

    In the order of their turns; behind them those whose turn is damaged. In a store with stripes
    those of this one, in the store's order.
    """
    if tx.stripe_count():
        return _lanes_of_stripe(tx)
    found: dict[Lane, None] = {}
    is_damaged = False
    for name in LaneName:
        for kind in TurnKind:
            for _, lane in walk_turns_of(tx, name, kind):
                if isinstance(lane, RecordCorrupted):
                    is_damaged = True
                else:
                    found[lane] = None
    if is_damaged:
        found |= dict.fromkeys(_scan_lanes(tx))
    return list(found)


def _walk_rows(tx: Transaction, lane: Lane) -> Iterator[tuple[bytes, bytes | None]]:
    """Walk over the rows of a lane; None in the place of what the store cannot read."""
    after: bytes | None = None
    while True:
        try:
            listed = tx.list(Table.OUTBOX, lane.partition, limit=1, after=after)
        except RecordCorrupted as error:
            if error.row is None:
                raise
            after = error.row
            yield after, None
            continue
        if not listed:
            return
        after, data = listed[0]
        yield after, data


def _lanes_of_stripe(tx: Transaction) -> list[Lane]:
    try:
        return [
            _lane_of(partition)
            for partition in tx.partitions(Table.OUTBOX)
            if not partition.startswith(TURNS)
        ]
    except RecordCorrupted:
        return list(dict.fromkeys(_scan_lanes(tx)))


def _lane_of(partition: bytes) -> Lane:
    try:
        return Lane(LaneName(partition[0]), address_from_key(partition[1:]))
    except (IndexError, ValueError) as error:
        raise RecordCorrupted("a lane of the outbox has no name: the store is damaged") from error


def _scan_lanes(tx: Transaction) -> Iterator[Lane]:
    rows = tx.scan(Table.OUTBOX)
    while True:
        try:
            partition, row, _ = next(rows)
            if len(row) == NUMBER_BYTES and not partition.startswith(TURNS):
                yield _lane_of(partition)
        except StopIteration:
            return
        except RecordCorrupted:  # of another row: a damaged one is why somebody asks
            continue


def _renew_lane(tx: Transaction, lane: Lane, numbers: Collection[int]) -> None:
    """Write anew how it stands with a lane, of which only the numbers of its rows are known."""
    for kind in TurnKind:
        turns = turns_of(lane.name, kind)
        for turn in [turn for turn, other in walk_turns_of(tx, lane.name, kind) if other == lane]:
            turns.remove(tx, turn)
    tx.delete(Table.OUTBOX, lane.partition, LANE_ROW)
    if numbers:
        record = LaneRecord(first=min(numbers), next=max(numbers) + 1, turn=0)
        save_lane(tx, lane, replace(record, turn=take_turn(tx, lane, record)))
