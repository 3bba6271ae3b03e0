# SPDX-License-Identifier: Apache-2.0
"""What an app is handed of an inbox: of one queue or, in a store with stripes, of one in each."""

from collections.abc import Iterable, Iterator

from e2ecross.crypto.secret import without_frames
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.device.collecting import HandedOver, confirm, erase_over, hand_over
from e2ecross.device.held_items import by_stripe, confirm_in_stripe
from e2ecross.device.leftovers import Leftovers
from e2ecross.errors import RecordCorrupted
from e2ecross.state.context import Context
from e2ecross.state.inbox import ITEMS, InboxItem, receipt_of, walk_inbox
from e2ecross.state.inbox_holds import hold_item
from e2ecross.stores import Transaction

__all__ = ["confirm_all", "hand_all", "walk_items"]


def walk_items(
    context: Context, tx: Transaction, after: int = 0
) -> Iterator[tuple[int, InboxItem | RecordCorrupted]]:
    """Walk over number and item, as a worker that is handed all of them; see `walk_inbox`.

    Args:
        context: of the device.
        tx: of the whole store.
        after: the number, in its stripe, behind which it begins.
    """
    if not context.store.stripes:
        yield from walk_inbox(context, tx, after)
        return
    for stripe in range(context.store.stripes + 1):
        view = tx.at(stripe)
        for number, data in ITEMS.walk(view, after):
            try:
                yield number, hold_item(context, view, stripe, number, data, context.clock())
            except RecordCorrupted as error:
                yield number, without_frames(error)


def hand_all(context: Context) -> list[InboxItem]:
    """Return all that is in the inbox and can be read, as a client that begins with it does."""
    if not context.store.stripes:
        return hand_over(context, HandedOver(), 10_000)
    with context.store.transaction() as tx:
        for stripe in range(context.store.stripes + 1):
            erase_over(context, tx.at(stripe))
        found = [item for _, item in walk_items(context, tx)]
    return [item for item in found if not isinstance(item, RecordCorrupted)]


def confirm_all(context: Context, items: Iterable[InboxItem]) -> None:
    """Forget items, because the app has them; see `Client.confirm`."""
    if not context.store.stripes:
        confirm(context, Leftovers(), items)
        return
    for stripe, part in by_stripe(context, items).items():
        numbers = [receipt_of(item).backend_number for item in part]
        confirm_in_stripe(context, Acknowledging(), stripe, part, numbers)
