# SPDX-License-Identifier: Apache-2.0
"""Items that workers have, in a store with stripes: confirmed, held for longer, or found again.

Rules:
- Each is one transaction of a stripe. Of several stripes each stands for itself.
- An item that no worker has any more is found again by whoever looks, in its place: nothing of its
  sender is handed over while another worker has something older.
- What the back end has perhaps not heard of is told with the hash of its bytes: a number alone says
  nothing at a back end that was put back to a backup.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from e2ecross.address import UserId
from e2ecross.crypto.secret import without_frames
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.device.collecting import erase_over
from e2ecross.errors import RecordCorrupted
from e2ecross.state.accounts import note_hosting_seen
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedReceipt
from e2ecross.state.inbox import (
    ITEMS,
    InboxItem,
    holds_notice,
    is_typing,
    receipt_of,
)
from e2ecross.state.inbox_erasure import forget_marks, to_erase
from e2ecross.state.inbox_holds import (
    confirm_held,
    hold_item,
    is_held,
    list_arrived,
    place_of,
    prolong,
)
from e2ecross.state.message import Message
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.transactions import peer_view, stripe_transaction
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.inbox_records import (
    InboxFailure,
    InboxMessage,
    InboxRecord,
    decode_inbox_hold,
    decode_inbox_item,
)

__all__ = [
    "Found",
    "by_stripe",
    "confirm_in_stripe",
    "find_free",
    "forget_heard",
    "hold_in_stripe",
    "stripes_to_look_into",
]

_MAX_LOOKED: Final = 4_096
"""Items of one stripe that one look goes through; some 100 ms."""


@dataclass(slots=True)
class Found:
    """What one look into a stripe has found.

    Attributes:
        items: that nobody had, each held for this worker now.
        unheard: hashes (32 bytes) of envelopes without an item, of which the back end has perhaps
            not heard; by number.
        damaged: what was raised for rows that are damaged, by the number of the item.
    """

    items: list[InboxItem] = field(default_factory=list)
    unheard: dict[int, bytes] = field(default_factory=dict)
    damaged: dict[int, RecordCorrupted] = field(default_factory=dict)


def stripes_to_look_into(context: Context) -> list[int]:
    """Return the stripes that have something in their inbox; each worker begins elsewhere."""
    stripes = list(context.store.stripes_with(Table.INBOX))
    if not stripes:
        return []
    start = int.from_bytes(context.entropy.bytes(4)) % len(stripes)
    return stripes[start:] + stripes[:start]


def by_stripe(context: Context, items: Iterable[InboxItem]) -> dict[int, list[InboxItem]]:
    """Sort what `receive` has returned by stripe, ascending; without what no inbox has.

    Raises:
        InvalidArgument: one is of no stripe of this inbox.
    """
    found: dict[int, list[InboxItem]] = {}
    for item in items:
        if not is_typing(item):
            stripe, _ = place_of(context, receipt_of(item))
            found.setdefault(stripe, []).append(item)
    return dict(sorted(found.items()))


def confirm_in_stripe(
    context: Context,
    acknowledging: Acknowledging,
    stripe: int,
    items: Sequence[InboxItem],
    acknowledged: Collection[int],
) -> bool:
    """Forget items of a stripe, because the app has them; all or none.

    Args:
        context: of the device.
        acknowledging: what the back end has heard of is forgotten in the same commit.
        stripe: of all of them.
        items: as they were handed over.
        acknowledged: numbers of which the back end has just heard; of others it is to be told.

    Returns:
        Whether there are others.

    Raises:
        InvalidArgument: one was not handed over.
    """
    places = [
        (place_of(context, receipt)[1], receipt.backend_number)
        for receipt in map(receipt_of, items)
    ]
    hosted = {
        item.user
        for item in items
        if isinstance(item, Notice) and item.kind is NoticeKind.HOSTING_CHANGED and item.user
    }
    with acknowledging.going(stripe) as forget, stripe_transaction(context, stripe) as tx:
        forget(tx)
        unheard = confirm_held(tx, places, acknowledged)
        forget_marks(tx, [_in_stripe(context, message) for message in to_erase(items)])
        for user in hosted:
            if not holds_notice(tx, NoticeKind.HOSTING_CHANGED, user):
                note_hosting_seen(peer_view(context, tx, user), user)
    acknowledging.note_unsure(stripe, unheard)
    return bool(unheard)


def forget_heard(context: Context, acknowledging: Acknowledging, stripe: int) -> None:
    """Forget rows of a stripe that nothing but the back end's hearing of them has kept."""
    with acknowledging.going(stripe) as forget, stripe_transaction(context, stripe) as tx:
        forget(tx)


def hold_in_stripe(context: Context, stripe: int, items: Iterable[InboxItem]) -> None:
    """Hold items of a stripe from now on, as far as they are not confirmed."""
    with stripe_transaction(context, stripe) as tx:
        for item in items:
            prolong(tx, place_of(context, receipt_of(item))[1], context.clock())


def find_free(context: Context, acknowledging: Acknowledging, stripe: int, room: int) -> Found:
    """Hold the items of a stripe that nobody has, at most so many, and return them.

    What is over is erased first. Items that `Acknowledging` is about to forget are not told of.

    Raises:
        StoreError: nothing has changed.
    """
    found, now_ms = Found(), context.clock()
    with acknowledging.going(stripe) as forget, WitnessedReceipt(context, stripe) as tx:
        forget(tx)
        erase_over(context, tx)
        seen, is_all = _take_free(context, tx, stripe, room, now_ms, found)
        for number, record in list_arrived(tx, _MAX_LOOKED):
            if record is None:
                found.unheard[number] = b""
            elif record.item_number not in seen and (is_all or not record.item_number):
                found.unheard[number] = record.envelope_hash
    return found


def _in_stripe(context: Context, message: Message) -> Message:
    """A message with the number by which its marks are found in its stripe."""
    receipt = receipt_of(message)
    return replace(message, receipt=receipt._replace(number=place_of(context, receipt)[1]))


def _take_free(
    context: Context, tx: Transaction, stripe: int, room: int, now_ms: int, found: Found
) -> tuple[set[int], bool]:
    """Hold what is free; returns the numbers of all items, and whether they are all."""
    seen, busy = set[int](), set[UserId]()
    for number, data in ITEMS.walk(tx):
        if len(seen) == _MAX_LOOKED or len(found.items) == room:
            return seen, False
        seen.add(number)
        try:
            sender = _sender_of(decode_inbox_item(data))
            if sender in busy:
                continue
            if is_held(decode_inbox_hold(data), now_ms):
                if sender is not None:
                    busy.add(sender)
                continue
            found.items.append(hold_item(context, tx, stripe, number, data, now_ms))
        except RecordCorrupted as error:
            found.damaged[number] = without_frames(error)
    return seen, True


def _sender_of(record: InboxRecord) -> UserId | None:
    """From whom an item is; None of a notice, which stands for itself."""
    sender = record.sender if isinstance(record, InboxMessage | InboxFailure) else None
    return None if sender is None else sender.user_id
