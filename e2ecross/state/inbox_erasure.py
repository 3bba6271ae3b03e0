# SPDX-License-Identifier: Apache-2.0
"""Which items of the inbox hold what is to be gone: at a time, or once it was opened elsewhere.

Rules:
- A row stands beside each such item, so that they are found without looking at the others.
- It goes when the app confirms the item, or when the time is over. One that is left says nothing.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from e2ecross.address import Address
from e2ecross.state.context import address_key
from e2ecross.state.inbox_message import end_of
from e2ecross.state.message import DeviceMessage, Message
from e2ecross.state.queue import NUMBER_BYTES, number_row
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.content import Frame, Framed
from e2ecross.wire.queue_records import decode_row, encode_row

__all__ = ["EXPIRES", "ONCE", "find_once", "forget_marks", "note_erasable", "take_over", "to_erase"]

EXPIRES: Final = b"expires"
"""The partition of when items are over. Row: that time, milliseconds since 1970, and the number."""
ONCE: Final = b"once"
"""The partition of what may be looked at once. Row: a hash of sender and message id, because rows
of this table stand as they are in a sealed store. Record: the number."""


def note_erasable(
    tx: Transaction, message: DeviceMessage, frame: Frame | Framed, number: int
) -> None:
    """Note that an item holds what is to be gone, if its frame says so."""
    end_ms = end_of(message.sent_at_ms, frame.expiry, own_copy=message.own_copy)
    if end_ms is not None:
        tx.put(Table.INBOX, EXPIRES, _expires_row(end_ms, number), encode_row(number))
    if frame.view_once:
        row = _once_row(message.sender, message.message_id)
        tx.put(Table.INBOX, ONCE, row, encode_row(number))


def to_erase(items: Iterable[object]) -> list[Message]:
    """Return those of items of the inbox that something is noted of."""
    return [
        item
        for item in items
        if isinstance(item, Message) and (item.expiry is not None or item.view_once or item.expired)
    ]


def forget_marks(tx: Transaction, messages: Iterable[Message]) -> None:
    """Forget what was noted of messages that are confirmed."""
    for message in messages:
        end_ms = end_of(message.sent_at_ms, message.expiry, own_copy=message.own_copy)
        if end_ms is not None and message.receipt is not None:
            tx.delete(Table.INBOX, EXPIRES, _expires_row(end_ms, message.receipt.number))
        if message.view_once or message.expired:  # of the latter nothing says what it was
            tx.delete(Table.INBOX, ONCE, _once_row(message.sender, message.message_id))


def take_over(tx: Transaction, now_ms: int, limit: int) -> list[int]:
    """Return numbers of items whose time is over, at most so many, and forget what was noted."""
    listed = tx.list(Table.INBOX, EXPIRES, limit=limit)
    over = [row for row, _ in listed if int.from_bytes(row[:NUMBER_BYTES]) <= now_ms]
    for row in over:
        tx.delete(Table.INBOX, EXPIRES, row)
    return [int.from_bytes(row[NUMBER_BYTES:]) for row in over]


def find_once(tx: Transaction, sender: Address, message_id: bytes) -> int | None:
    """Return the number of a message (16 bytes of id) that may be looked at once, and forget it."""
    row = _once_row(sender, message_id)
    data = tx.get(Table.INBOX, ONCE, row)
    if data is None:
        return None
    tx.delete(Table.INBOX, ONCE, row)
    return decode_row(data)


def _expires_row(end_ms: int, number: int) -> bytes:
    return number_row(min(end_ms, 2**64 - 1)) + number_row(number)


def _once_row(sender: Address, message_id: bytes) -> bytes:
    return hashlib.sha256(address_key(sender) + message_id).digest()
