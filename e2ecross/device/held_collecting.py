# SPDX-License-Identifier: Apache-2.0
"""The inbox of a `Client` whose store has stripes: many workers, each with other items.

Rules:
- At most 32 envelopes of a stripe share a transaction, which puts their items into its inbox and
  holds them for this worker. They are handed over after it, and are acknowledged to the back end
  when the app has confirmed them. What gives no item is acknowledged at once.
- The first that cannot be read ends the transaction before it, and goes alone.
- What is in the inbox already is handed over again when nobody has it any more. Else it is left,
  with all later ones of its sender: one account is never with two workers.
- What a back end hands out once more although it was confirmed has only to be acknowledged.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from e2ecross.address import UserId
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.device.arriving import Arrived, open_arrived, try_to_decode
from e2ecross.device.bundles import repair_sessions
from e2ecross.device.keeping import put_unread, take_in_opened
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedReceipt
from e2ecross.state.inbox import ITEMS, InboxItem, may_have_arrived
from e2ecross.state.inbox_holds import (
    find_arrival,
    hold_item,
    is_held,
    new_hold,
    read_new,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.inbox_records import decode_inbox_hold

__all__ = ["MAX_TOGETHER", "Taken", "keep_held_failure", "take_in_held", "take_in_held_alone"]

MAX_TOGETHER: Final = 32
"""Envelopes of one transaction: others who need the stripe wait for some 20 ms."""


@dataclass(slots=True)
class Taken:
    """What has become of envelopes of one stripe.

    Attributes:
        done: how many were gone through, from the first on.
        items: for the app, each held for this worker; with them what else the transaction has put.
        settled: numbers at the back end of what gives no item, or none any more.
        busy: senders of whom another worker has something.
        left: how many were left to them.
    """

    done: int = 0
    items: list[InboxItem] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    busy: set[UserId] = field(default_factory=set)
    left: int = 0


def take_in_held(
    context: Context,
    acknowledging: Acknowledging,
    stripe: int,
    arrived: Sequence[Arrived],
    room: int,
    busy: Collection[UserId] = (),
) -> Taken:
    """Put what envelopes of a stripe hold into its inbox, in their order; one transaction.

    It ends before the first that cannot be read, or that the store has trouble with.

    Args:
        context: of the device.
        acknowledging: what the back end has heard of is forgotten in the same commit.
        stripe: of all of them.
        arrived: the envelopes, 1 to `MAX_TOGETHER`; their numbers ascend.
        room: how many items may be handed over, at least one for each envelope; notices that have
            none wait for the next look.
        busy: senders whose envelopes are to be left.

    Raises:
        RestoredStore: the store is older than what was seen of it; nothing has changed.
        StoreError: nothing has changed.
    """
    taken, fresh = Taken(busy=set(busy)), list[int]()
    with acknowledging.going(stripe) as forget, WitnessedReceipt(context, stripe) as tx:
        forget(tx)
        before = ITEMS.last_given(tx) or 0
        are_new = not may_have_arrived(tx, arrived[0].number)  # one look for all of them
        for each in arrived:
            try:
                with tx.savepoint():
                    item = _take_in(context, tx, stripe, each, taken, are_new=are_new)
            except (RemoteError, RecordCorrupted):
                break
            if item:
                fresh.append(item)
            taken.done += 1
        _add_new(context, tx, stripe, taken, before, fresh, room)
    return taken


def take_in_held_alone(
    context: Context, acknowledging: Acknowledging, stripe: int, arrived: Arrived, room: int
) -> Taken:
    """Put what one envelope holds into the inbox, and say what is wrong with it.

    Raises:
        RemoteError: it cannot be read; see `keep_held_failure`. Nothing has changed.
        StoreError: nothing has changed, and the envelope stays at the back end.
    """
    try:
        return _take_in_alone(context, acknowledging, stripe, arrived, room)
    except RecordCorrupted:
        if arrived.envelope is None or not repair_sessions(context, arrived.envelope.sender):
            raise
        return _take_in_alone(context, acknowledging, stripe, arrived, room)


def keep_held_failure(
    context: Context,
    acknowledging: Acknowledging,
    stripe: int,
    arrived: Arrived,
    error: RemoteError,
    room: int,
) -> Taken:
    """Put the failure to read an envelope into the inbox, and ask its sender for the message.

    Args:
        context: of the device.
        acknowledging: what the back end has heard of is forgotten in the same commit.
        stripe: of the envelope.
        arrived: the envelope.
        error: what `take_in_held_alone` has raised.
        room: how many items may be handed over.
    """
    taken, item = Taken(done=1), 0
    number, data = arrived.number, arrived.data
    envelope, message = try_to_decode(context, data)
    with acknowledging.going(stripe) as forget, WitnessedReceipt(context, stripe) as tx:
        forget(tx)
        before = ITEMS.last_given(tx) or 0
        known = find_arrival(tx, number, data)
        if known is not None:  # another worker was faster
            _hand_over_again(context, tx, stripe, arrived, known, taken)
        else:
            hold = new_hold(context.clock(), number)
            item = put_unread(context, tx, number, data, envelope, message, error, hold)
            if not item:
                taken.settled.append(number)
        _add_new(context, tx, stripe, taken, before, [item], room)
    return taken


def _take_in_alone(
    context: Context, acknowledging: Acknowledging, stripe: int, arrived: Arrived, room: int
) -> Taken:
    taken = Taken(done=1)
    with acknowledging.going(stripe) as forget, WitnessedReceipt(context, stripe) as tx:
        forget(tx)
        before = ITEMS.last_given(tx) or 0
        item = _take_in(context, tx, stripe, arrived, taken, are_new=False)
        _add_new(context, tx, stripe, taken, before, [item], room)
    return taken


def _take_in(
    context: Context,
    tx: Transaction,
    stripe: int,
    arrived: Arrived,
    taken: Taken,
    *,
    are_new: bool,
) -> int:
    """Take in an envelope, or what it gave before; returns the number of an item that is new."""
    number, data = arrived.number, arrived.data
    if arrived.sender in taken.busy:
        taken.left += 1
        return 0
    known = None if are_new else find_arrival(tx, number, data)
    if known is not None:
        _hand_over_again(context, tx, stripe, arrived, known, taken)
        return 0
    envelope, message = arrived.opened or open_arrived(context, data)
    hold = new_hold(context.clock(), number)
    item = take_in_opened(context, tx, number, data, envelope, message, hold)
    if not item:
        taken.settled.append(number)
    return item


def _hand_over_again(
    context: Context, tx: Transaction, stripe: int, arrived: Arrived, item: int, taken: Taken
) -> None:
    """Hand over what an envelope gave before, if nobody has it."""
    record, now_ms = ITEMS.get(tx, item) if item else None, context.clock()
    if record is None:
        taken.settled.append(arrived.number)
    elif not is_held(decode_inbox_hold(record), now_ms):
        taken.items.append(hold_item(context, tx, stripe, item, record, now_ms))
    else:
        taken.left += 1
        if arrived.sender is not None:
            taken.busy.add(arrived.sender)


def _add_new(
    context: Context,
    tx: Transaction,
    stripe: int,
    taken: Taken,
    before: int,
    held: Sequence[int],
    room: int,
) -> None:
    """Add what the transaction has put into the inbox: items of envelopes, and notices."""
    now_ms = context.clock()
    for number in held:
        item = read_new(context, tx, stripe, number)
        if item is not None:
            taken.items.append(item)
    for number in range(before + 1, (ITEMS.last_given(tx) or 0) + 1):
        data = None if number in held or len(taken.items) >= room else ITEMS.get(tx, number)
        if data is not None:  # else it is of another queue
            taken.items.append(hold_item(context, tx, stripe, number, data, now_ms))
