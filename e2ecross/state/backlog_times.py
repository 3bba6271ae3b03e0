# SPDX-License-Identifier: Apache-2.0
"""When what waits in a store with stripes is sent by others than who has put it there.

Rules:
- Who puts something into a backlog sends it at once, and what stands before it. Others leave the
  backlog alone until its time, so that most is sent once; who sends it twice does no harm.
- Who takes a backlog over gives it another time, twice as far away with each attempt in vain, up
  to an hour. A worker that dies leaves nothing that has to be freed.
- When a backlog of a stripe may be due says the record of the stripe, perhaps too early, but not
  too late: so whoever sends there sees that nothing else is to be done, without a look at any
  backlog.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from e2ecross.errors import RecordCorrupted
from e2ecross.state.context import Context
from e2ecross.state.outbox import Backlog, BacklogName, Waiting, read_backlog, save_backlog
from e2ecross.state.outbox_repair import list_backlogs, rebuild_backlog
from e2ecross.state.queue import number_row
from e2ecross.state.stripe import note_outbox_due, read_stripe, save_stripe
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.queue_records import BacklogRecord, OutboxRecord, encode_row

__all__ = [
    "LEFT_ALONE_MS",
    "claim_backlogs",
    "free_backlogs",
    "is_sweep_due",
    "note_if_empty",
    "put_leaving",
]

LEFT_ALONE_MS: Final = 30_000
"""How long who sends has for it: a back end that does not answer is given up by then."""
_MAX_DOUBLINGS: Final = 7
_SPREAD: Final = 5
"""A time is a fifth longer or shorter, by chance, so that workers do not come all at once."""
_RANDOM_BYTES: Final = 4
_FARTHEST_MS: Final = 2 * (LEFT_ALONE_MS << _MAX_DOUBLINGS)
"""A time farther away is of a clock that was wrong, and does not count."""


def put_leaving(
    tx: Transaction, envelope: Envelope, data: bytes, now_ms: int, purpose: int = 0
) -> Waiting:
    """Keep the envelope of a user's message that whoever puts it here deposits at once.

    Args:
        tx: the operation's transaction, in a store with stripes.
        envelope: which.
        data: its encoding.
        now_ms: milliseconds since 1970.
        purpose: that of `Waiting`.

    Raises:
        RecordCorrupted: the backlog is damaged.
    """
    until_ms = now_ms + LEFT_ALONE_MS
    backlog = Backlog(BacklogName.MESSAGES, envelope.recipient)
    before = read_backlog(tx, backlog)
    after = before or BacklogRecord(1, 1, 0, first_id=envelope.message_id)
    backlog.rows.require_unused(tx, after.next)
    record = OutboxRecord(data, message_id=envelope.message_id, purpose=purpose)
    tx.put(Table.OUTBOX, backlog.partition, number_row(after.next), record.encode())
    if before is not None:
        tx.put(Table.OUTBOX, backlog.partition, envelope.message_id, encode_row(after.next))
    save_backlog(tx, backlog, replace(after, next=after.next + 1, try_after_ms=until_ms))
    note_outbox_due(tx, until_ms)
    return Waiting(backlog, after.next, envelope.message_id, envelope, purpose=purpose)


def is_sweep_due(tx: Transaction, now_ms: int) -> bool:
    """Tell whether something of this stripe may be due that nobody sends."""
    due_ms = read_stripe(tx).outbox_due_ms
    return bool(due_ms) and not now_ms < due_ms <= now_ms + _FARTHEST_MS


def note_if_empty(tx: Transaction) -> bool:
    """Note that nothing waits in this stripe, if that is so; tells whether it is.

    Else what has left long ago would be looked for, in a transaction of its own, with each send.
    """
    try:
        if tx.partitions(Table.OUTBOX, limit=1):
            return False
    except RecordCorrupted:  # something is there
        return False
    save_stripe(tx, read_stripe(tx)._replace(outbox_due_ms=0))
    return True


def claim_backlogs(context: Context, tx: Transaction, now_ms: int, most: int) -> list[Backlog]:
    """Take over backlogs that are due, at most so many; those first that were not tried in vain.

    Within these in a random order: what does not go must not always stand before the same ones.
    """
    waiting: dict[Backlog, BacklogRecord | None] = {}
    for backlog in list_backlogs(tx):
        try:
            record = read_backlog(tx, backlog)
            if record is None:  # its row is lost
                if not rebuild_backlog(tx, backlog):
                    continue  # and with it all that waited there
                record = read_backlog(tx, backlog)
        except RecordCorrupted:  # which is mended when it is sent from
            record = None
        if record is None or not record.untrusted_key:  # else it waits for the user
            waiting[backlog] = record
    due = [backlog for backlog, record in waiting.items() if _is_due(record, now_ms)]
    order = {backlog: context.entropy.bytes(_RANDOM_BYTES) for backlog in due}
    due.sort(key=lambda backlog: (_was_in_vain(waiting[backlog]), order[backlog]))
    for backlog in due[:most]:
        record = waiting[backlog]
        if record is not None:
            until_ms = now_ms + _pause(record.attempts, order[backlog])
            record = replace(record, try_after_ms=until_ms, attempts=record.attempts + 1)
            save_backlog(tx, backlog, record)
            waiting[backlog] = record
    times = [now_ms if record is None else record.try_after_ms for record in waiting.values()]
    earliest = max(min(times), 1) if times else 0
    stripe = read_stripe(tx)
    if stripe.outbox_due_ms != earliest:
        save_stripe(tx, stripe._replace(outbox_due_ms=earliest))
    return due[:most]


def free_backlogs(tx: Transaction, backlogs: Iterable[Backlog]) -> None:
    """Note that backlogs are due at once, because who wanted to send from them could not."""
    for backlog in backlogs:
        with suppress(RecordCorrupted):  # which is due anyway
            record = read_backlog(tx, backlog)
            if record is not None:
                save_backlog(tx, backlog, replace(record, try_after_ms=0))
                note_outbox_due(tx, 1)


def _is_due(record: BacklogRecord | None, now_ms: int) -> bool:
    return record is None or not now_ms < record.try_after_ms <= now_ms + _FARTHEST_MS


def _was_in_vain(record: BacklogRecord | None) -> bool:
    return record is None or bool(record.code)


def _pause(attempts: int, random: bytes) -> int:
    pause = LEFT_ALONE_MS << min(attempts, _MAX_DOUBLINGS)
    spread = pause // _SPREAD
    return pause - spread + int.from_bytes(random) * 2 * spread // (1 << 8 * _RANDOM_BYTES)
