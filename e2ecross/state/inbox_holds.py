# SPDX-License-Identifier: Apache-2.0
"""The inbox of a store with stripes: which items a worker has, and for how long.

Rules:
- An item is with one worker until its time is over; then with whoever looks next. It leaves when
  the app confirms it, to whichever worker.
- What no worker was handed yet, a notice, has no time.
- A time further ahead than any worker may write is of a clock that was wrong, and counts as over.
- The row of an envelope names its item. Where that is gone the app has confirmed it, and only the
  back end has not heard of it.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Final

from e2ecross.errors import InvalidArgument, RecordCorrupted
from e2ecross.state.context import Context
from e2ecross.state.inbox import ARRIVED, ITEMS, NOT_OF_THIS_INBOX, InboxItem, read_item
from e2ecross.state.queue import NUMBER_BITS, NUMBER_BYTES, number_row
from e2ecross.state.receipt import Receipt
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.inbox_records import (
    ArrivalRecord,
    InboxHold,
    decode_arrival,
    decode_inbox_hold,
    hold_inbox_item,
)

__all__ = [
    "HOLD_MS",
    "confirm_held",
    "find_arrival",
    "hash_envelope",
    "hold_item",
    "is_held",
    "list_arrived",
    "new_hold",
    "number_in",
    "place_of",
    "prolong",
    "read_new",
    "stripe_in",
]

HOLD_MS: Final = 60_000
"""How long a worker has what it was handed, before another one gets it."""
_LONGEST_MS: Final = 2 * HOLD_MS
"""Clocks of workers may differ by some seconds."""


def new_hold(now_ms: int, backend_number: int) -> InboxHold:
    """Return the hold of an item that is handed over now, of that envelope of the back end."""
    return InboxHold(now_ms + HOLD_MS, backend_number)


def is_held(hold: InboxHold, now_ms: int) -> bool:
    """Tell whether a worker has an item."""
    return now_ms < hold.until_ms <= now_ms + _LONGEST_MS


def read_new(context: Context, tx: Transaction, stripe: int, number: int) -> InboxItem:
    """Return an item that this transaction has put and holds.

    Raises:
        RecordCorrupted: it is damaged.
    """
    data = ITEMS.get(tx, number) or b""
    receipt = _receipt(context, stripe, number, decode_inbox_hold(data))
    return read_item(context, data, receipt, redelivered=False)


def hold_item(
    context: Context, tx: Transaction, stripe: int, number: int, data: bytes, now_ms: int
) -> InboxItem:
    """Hold an item that nobody has, and return it, as `redelivered` if somebody was handed it.

    Args:
        context: of the device.
        tx: in the stripe.
        stripe: which.
        number: of the item there.
        data: its record.
        now_ms: milliseconds since 1970.

    Raises:
        RecordCorrupted: it is damaged; nothing has changed.
    """
    hold = decode_inbox_hold(data)
    receipt = _receipt(context, stripe, number, hold)
    item = read_item(context, data, receipt, redelivered=bool(hold.until_ms))
    ITEMS.replace(tx, number, hold_inbox_item(data, now_ms + HOLD_MS))
    return item


def prolong(tx: Transaction, number: int, now_ms: int) -> None:
    """Hold an item from now on; nothing happens when it was confirmed, or is damaged."""
    with suppress(RecordCorrupted):
        data = ITEMS.get(tx, number)
        if data is not None:
            ITEMS.replace(tx, number, hold_inbox_item(data, now_ms + HOLD_MS))


def number_in(stripe: int, number: int) -> int:
    """Return how a receipt names an item by its stripe and its number there."""
    return stripe << NUMBER_BITS | number


def stripe_in(number: int) -> int:
    """Return the stripe of an item by how a receipt names it."""
    return number >> NUMBER_BITS


def place_of(context: Context, receipt: Receipt) -> tuple[int, int]:
    """Return the stripe of an item, and its number there.

    Raises:
        InvalidArgument: it is none of this inbox.
    """
    stripe, number = divmod(receipt.number, 1 << NUMBER_BITS)
    if receipt.inbox != context.inbox_id or not 0 <= stripe <= context.store.stripes:
        raise InvalidArgument(NOT_OF_THIS_INBOX)
    return stripe, number


def confirm_held(
    tx: Transaction, items: Iterable[tuple[int, int]], acknowledged: Collection[int]
) -> dict[int, bytes]:
    """Forget items, because the app has them.

    Args:
        tx: in their stripe.
        items: for each its number there, and that of its envelope at the back end, or 0.
        acknowledged: numbers of which the back end has heard: these envelopes are forgotten, too.

    Returns:
        Hashes (32 bytes) of the envelopes of which it has not; by number.

    Raises:
        InvalidArgument: one was never in this inbox. Roll the transaction back.
    """
    unheard: dict[int, bytes] = {}
    for number, backend_number in items:
        if not ITEMS.was_given(tx, number):
            raise InvalidArgument(NOT_OF_THIS_INBOX)
        ITEMS.remove(tx, number)
        # A back end that was put back to a backup has given the number to another envelope since.
        envelope_hash = _hash_of(tx, backend_number, number) if backend_number else None
        if envelope_hash is None:
            continue
        if backend_number in acknowledged:
            tx.delete(Table.INBOX, ARRIVED, number_row(backend_number))
        else:
            unheard[backend_number] = envelope_hash
    return unheard


def hash_envelope(envelope: bytes) -> bytes:
    """Return by what an envelope is told from others, 32 bytes."""
    return hashlib.sha256(envelope).digest()


def find_arrival(tx: Transaction, backend_number: int, envelope: bytes) -> int | None:
    """Return the number of the item that an envelope gave; 0: none. None: it was not taken in.

    Raises:
        RecordCorrupted: the row is damaged.
    """
    data = tx.get(Table.INBOX, ARRIVED, number_row(backend_number))
    record = None if data is None else decode_arrival(data)
    if record is None or record.envelope_hash != hash_envelope(envelope):
        return None
    return record.item_number


def list_arrived(tx: Transaction, limit: int) -> Iterator[tuple[int, ArrivalRecord | None]]:
    """Walk over envelopes that were taken in, by number, at most so many; None: one is damaged."""
    try:
        found = tx.list(Table.INBOX, ARRIVED, limit=limit)
    except RecordCorrupted:  # of a sealed store; nothing but work depends on these rows
        return
    for row, data in found:
        if len(row) == NUMBER_BYTES:
            try:
                record = decode_arrival(data)
            except RecordCorrupted:
                yield int.from_bytes(row), None
            else:
                yield int.from_bytes(row), record


def _hash_of(tx: Transaction, backend_number: int, item_number: int) -> bytes | None:
    """The hash of an envelope whose row names an item; empty: it is damaged, and may name any."""
    try:
        data = tx.get(Table.INBOX, ARRIVED, number_row(backend_number))
        record = None if data is None else decode_arrival(data)
    except RecordCorrupted:
        return b""
    return record.envelope_hash if record and record.item_number == item_number else None


def _receipt(context: Context, stripe: int, number: int, hold: InboxHold) -> Receipt:
    return Receipt(context.inbox_id, number_in(stripe, number), hold.backend_number)
