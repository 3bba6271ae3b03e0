# SPDX-License-Identifier: Apache-2.0
"""What an app is handed of an inbox, one queue or one in each stripe."""

from collections.abc import Iterator

from e2ecross.crypto.secret import without_frames
from e2ecross.errors import RecordCorrupted
from e2ecross.state.context import Context
from e2ecross.state.inbox import ITEMS, InboxItem, walk_inbox
from e2ecross.state.inbox_holds import hold_item
from e2ecross.stores import Transaction

__all__ = ["walk_items"]


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
