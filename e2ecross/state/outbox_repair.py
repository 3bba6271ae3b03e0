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
    BACKLOG_ROW,
    TURNS,
    Backlog,
    BacklogName,
    TurnKind,
    Waiting,
    find_row,
    forget_row,
    read_backlog,
    replace_waiting,
    save_backlog,
    take_turn,
    turns_of,
    walk_turns_of,
)
from e2ecross.state.queue import NUMBER_BYTES
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.queue_records import BacklogRecord, decode_row

__all__ = ["BacklogRows", "list_backlogs", "read_rows", "rebuild_backlog", "repair_backlog"]


@dataclass(frozen=True, slots=True)
class BacklogRows:
    """What the rows of a backlog say, as far as they can be read.

    Attributes:
        numbers: of all that waits, in order.
        damaged: those of them whose row does not decode.
        message_ids: of users' messages by number, 16 bytes each.
    """

    numbers: list[int]
    damaged: set[int]
    message_ids: dict[int, bytes]


def read_rows(tx: Transaction, backlog: Backlog) -> BacklogRows:
    """Look at all rows of a backlog."""
    rows = BacklogRows([], set(), {})
    for row, data in _walk_rows(tx, backlog):
        if len(row) == NUMBER_BYTES:
            number = int.from_bytes(row)
            rows.numbers.append(number)
            try:
                find_row(tx, backlog, number)
            except RecordCorrupted:
                rows.damaged.add(number)
        elif len(row) == MESSAGE_ID_BYTES and data is not None:
            try:
                rows.message_ids[decode_row(data)] = row
            except RecordCorrupted:  # a damaged row is why somebody asks
                continue
    with suppress(RecordCorrupted):
        record = read_backlog(tx, backlog)
        if record is not None and record.first == 1 and record.first_id:
            rows.message_ids[1] = record.first_id
    return rows


def rebuild_backlog(tx: Transaction, backlog: Backlog) -> bool:
    """Write anew how it stands with a backlog; tells whether that was damaged, lost, or behind.

    What it waited to pass is not known any more: that is found out when it is tried.
    """
    is_damaged = False
    try:
        record = read_backlog(tx, backlog)
        if record is not None and not backlog.rows.has(tx, record.next):
            return False
    except RecordCorrupted:
        is_damaged = True
    numbers = read_rows(tx, backlog).numbers
    if numbers or is_damaged:
        _renew_backlog(tx, backlog, numbers)
    return bool(numbers) or is_damaged


def repair_backlog(tx: Transaction, backlog: Backlog) -> list[Waiting]:
    """Find what stands in rows that do not decode, and take it from there.

    Returns:
        Messages of users, to be encrypted anew or given up; without a message id what is forgotten.
    """
    rebuild_backlog(tx, backlog)
    rows = read_rows(tx, backlog)
    found: list[Waiting] = []
    for number in sorted(rows.damaged):
        waiting = Waiting(backlog, number, rows.message_ids.get(number, b""), None)
        found.append(waiting)
        if waiting.message_id:
            replace_waiting(tx, waiting, None)
        else:
            forget_row(tx, waiting)
    return found


def list_backlogs(tx: Transaction) -> list[Backlog]:
    """Return all backlogs in which something waits, whatever it waits for.

    In the order of their turns; behind them those whose turn is damaged. In a store with stripes
    those of this one, in the store's order.
    """
    if tx.stripe_count():
        return _backlogs_of_stripe(tx)
    found: dict[Backlog, None] = {}
    is_damaged = False
    for name in BacklogName:
        for kind in TurnKind:
            for _, backlog in walk_turns_of(tx, name, kind):
                if isinstance(backlog, RecordCorrupted):
                    is_damaged = True
                else:
                    found[backlog] = None
    if is_damaged:
        found |= dict.fromkeys(_scan_backlogs(tx))
    return list(found)


def _walk_rows(tx: Transaction, backlog: Backlog) -> Iterator[tuple[bytes, bytes | None]]:
    """Walk over the rows of a backlog; None in the place of what the store cannot read."""
    after: bytes | None = None
    while True:
        try:
            listed = tx.list(Table.OUTBOX, backlog.partition, limit=1, after=after)
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


def _backlogs_of_stripe(tx: Transaction) -> list[Backlog]:
    try:
        return [
            _backlog_of(partition)
            for partition in tx.partitions(Table.OUTBOX)
            if not partition.startswith(TURNS)
        ]
    except RecordCorrupted:
        return list(dict.fromkeys(_scan_backlogs(tx)))


def _backlog_of(partition: bytes) -> Backlog:
    try:
        return Backlog(BacklogName(partition[0]), address_from_key(partition[1:]))
    except (IndexError, ValueError) as error:
        raise RecordCorrupted(
            "a backlog of the outbox has no name: the store is damaged"
        ) from error


def _scan_backlogs(tx: Transaction) -> Iterator[Backlog]:
    rows = tx.scan(Table.OUTBOX)
    while True:
        try:
            partition, row, _ = next(rows)
            if len(row) == NUMBER_BYTES and not partition.startswith(TURNS):
                yield _backlog_of(partition)
        except StopIteration:
            return
        except RecordCorrupted:  # of another row: a damaged one is why somebody asks
            continue


def _renew_backlog(tx: Transaction, backlog: Backlog, numbers: Collection[int]) -> None:
    """Write anew how it stands with a backlog, of which only the numbers of its rows are known."""
    for kind in TurnKind:
        turns = turns_of(backlog.name, kind)
        for turn in [
            turn for turn, other in walk_turns_of(tx, backlog.name, kind) if other == backlog
        ]:
            turns.remove(tx, turn)
    tx.delete(Table.OUTBOX, backlog.partition, BACKLOG_ROW)
    if numbers:
        record = BacklogRecord(first=min(numbers), next=max(numbers) + 1, turn=0)
        save_backlog(tx, backlog, replace(record, turn=take_turn(tx, backlog, record)))
