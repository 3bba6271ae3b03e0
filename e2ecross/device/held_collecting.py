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

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
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
    hash_envelope,
    hold_item,
    is_held,
    new_hold,
    number_in,
    read_new,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.inbox_records import InboxHold, decode_inbox_hold

__all__ = ["MAX_TOGETHER", "HeldIntake", "Taken"]

MAX_TOGETHER: Final = 32
"""Envelopes of one transaction: others who need the stripe wait for some 20 ms."""


@dataclass(slots=True)
class Taken:
    """What has become of envelopes of one stripe.

    Attributes:
        done: how many were gone through, from the first on.
        items: for the app, each held for this worker; with them what else the transaction has put.
        shown: numbers (`Receipt.number`) of what was handed over before, and has come once more.
        settled: what gives no item, or none any more: hashes of the envelopes (32 bytes), by
            their numbers at the back end.
        busy: senders of whom another worker has something.
        left: how many were left to them.
    """

    done: int = 0
    items: list[InboxItem] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    settled: dict[int, bytes] = field(default_factory=dict)
    busy: set[UserId] = field(default_factory=set)
    left: int = 0


@dataclass(frozen=True, slots=True)
class HeldIntake:
    """Takes in envelopes of one stripe; each method is one transaction of it.

    Attributes:
        context: of the device.
        acknowledging: what the back end has heard of is forgotten in the same commit.
        stripe: of all of them.
        room: how many items may be handed over, at least one for each envelope; notices that have
            none wait for the next look.
        busy: senders whose envelopes are to be left.
        handed: numbers of items (`Receipt.number`) that are handed over already.
        for_nobody: nothing is handed over: who receives next gets it, whoever that is.
    """

    context: Context
    acknowledging: Acknowledging
    stripe: int
    room: int
    busy: Collection[UserId] = ()
    handed: Collection[int] = ()
    for_nobody: bool = False

    def take_in(self, arrived: Sequence[Arrived]) -> Taken:
        """Put what envelopes hold into the inbox, in their order.

        It ends before the first that cannot be read, or that the store has trouble with.

        Args:
            arrived: the envelopes, 1 to `MAX_TOGETHER`; their numbers ascend.

        Raises:
            RestoredStore: the store is older than what was seen of it; nothing has changed.
            StoreError: nothing has changed.
        """
        taken, fresh = Taken(busy=set(self.busy)), list[int]()
        with self._taking(taken, fresh) as tx:
            are_new = not may_have_arrived(tx, arrived[0].number)  # one look for all of them
            for each in arrived:
                try:
                    with tx.savepoint():
                        fresh += self._take_in(tx, each, taken, are_new=are_new)
                except (RemoteError, RecordCorrupted):
                    break
                taken.done += 1
        return taken

    def take_in_alone(self, arrived: Arrived) -> Taken:
        """Put what one envelope holds into the inbox, and say what is wrong with it.

        Raises:
            RemoteError: it cannot be read; see `keep_failure`. Nothing has changed.
            StoreError: nothing has changed, and the envelope stays at the back end.
        """
        try:
            return self._take_in_alone(arrived)
        except RecordCorrupted:
            if arrived.sender is None or not repair_sessions(self.context, arrived.sender):
                raise
            return self._take_in_alone(arrived)

    def keep_failure(self, arrived: Arrived, error: RemoteError) -> Taken:
        """Put the failure to read an envelope into the inbox, and ask its sender for the message.

        Args:
            arrived: the envelope.
            error: what `take_in_alone` has raised.
        """
        taken, fresh = Taken(done=1, busy=set(self.busy)), list[int]()
        number, data = arrived.number, arrived.data
        envelope, message = try_to_decode(self.context, data)
        with self._taking(taken, fresh) as tx:
            known = find_arrival(tx, number, data)
            if known is not None:  # another worker was faster
                self._hand_over_again(tx, arrived, known, taken)
            else:
                hold = self._hold(number)
                item = put_unread(self.context, tx, number, data, envelope, message, error, hold)
                fresh += _note(item, arrived, taken)
        return taken

    def _take_in_alone(self, arrived: Arrived) -> Taken:
        taken, fresh = Taken(done=1, busy=set(self.busy)), list[int]()
        with self._taking(taken, fresh) as tx:
            fresh += self._take_in(tx, arrived, taken, are_new=False)
        return taken

    @contextmanager
    def _taking(self, taken: Taken, fresh: Collection[int]) -> Iterator[Transaction]:
        """Around the work of one transaction, which adds numbers of its items to `fresh`."""
        context = self.context
        with (
            self.acknowledging.going(self.stripe) as forget,
            WitnessedReceipt(context, self.stripe) as tx,
        ):
            forget(tx)
            before = ITEMS.last_given(tx) or 0
            yield tx
            taken.items += [read_new(context, tx, self.stripe, number) for number in fresh]
            if not self.for_nobody and (ITEMS.last_given(tx) or 0) > before + len(fresh):
                self._add_notices(tx, before, fresh, taken)

    def _add_notices(
        self, tx: Transaction, before: int, fresh: Collection[int], taken: Taken
    ) -> None:
        """Add what else has been put behind a number, as far as there is room for it."""
        now_ms = self.context.clock()
        for number, data in list(ITEMS.walk(tx, before)):
            if number not in fresh and len(taken.items) < self.room:
                taken.items.append(hold_item(self.context, tx, self.stripe, number, data, now_ms))

    def _take_in(
        self, tx: Transaction, arrived: Arrived, taken: Taken, *, are_new: bool
    ) -> list[int]:
        """Take in an envelope, or what it gave before; returns the number of a new item."""
        number, data = arrived.number, arrived.data
        if arrived.sender is not None and arrived.sender.user_id in taken.busy:
            taken.left += 1
            return []
        known = None if are_new else find_arrival(tx, number, data)
        if known is not None:
            self._hand_over_again(tx, arrived, known, taken)
            return []
        envelope, message = arrived.opened or open_arrived(self.context, data)
        hold = self._hold(number)
        item = take_in_opened(self.context, tx, number, data, envelope, message, hold)
        return _note(item, arrived, taken)

    def _hold(self, number: int) -> InboxHold:
        if self.for_nobody:
            return InboxHold(0, number)
        return new_hold(self.context.clock(), number)

    def _hand_over_again(self, tx: Transaction, arrived: Arrived, item: int, taken: Taken) -> None:
        """Hand over what an envelope gave before, if nobody has it."""
        record, now_ms = ITEMS.get(tx, item) if item else None, self.context.clock()
        if record is None:
            taken.settled[arrived.number] = hash_envelope(arrived.data)
        elif self.for_nobody:
            pass  # it is there
        elif not is_held(decode_inbox_hold(record), now_ms):
            taken.items.append(hold_item(self.context, tx, self.stripe, item, record, now_ms))
        elif number_in(self.stripe, item) in self.handed:
            taken.shown.append(number_in(self.stripe, item))
        else:
            taken.left += 1
            if arrived.sender is not None:
                taken.busy.add(arrived.sender.user_id)


def _note(item: int, arrived: Arrived, taken: Taken) -> list[int]:
    """Note that an envelope has given an item, or none: 0."""
    if item:
        return [item]
    taken.settled[arrived.number] = hash_envelope(arrived.data)
    return []
