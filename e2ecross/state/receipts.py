# SPDX-License-Identifier: Apache-2.0
"""Receipts: those that are due, and which were sent.

Rules:
- A row becomes due a little after what it is about, so that several go together, and moves to the
  shelf in the commit that puts the receipt into the outbox: of one message none goes twice.
- What is due is bounded: beyond that nothing is noted, and nobody misses more than a receipt.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from e2ecross.address import UserId
from e2ecross.errors import RecordCorrupted
from e2ecross.state.accounts import user_from_key, user_key
from e2ecross.state.shelf import Shelf
from e2ecross.state.stripe import bound_of_stripe
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.conversation_records import decode_receipt, encode_receipt
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = [
    "DUE",
    "NO_TIME",
    "DueReceipt",
    "count_due",
    "forget_due",
    "list_due",
    "note_due",
    "note_sent",
    "read_receipt",
    "tend_receipts",
    "was_sent",
]

DUE: Final = b"due"
"""The partition of what is to be sent; no generation of a shelf has three bytes."""
_MAX_DUE: Final = 10_000
_SENT: Final = Shelf(Table.RECEIPTS, 45 * 24 * 60 * 60 * 1000, 200_000)
_TIME_BYTES: Final = 8
NO_TIME: Final = bytes(_TIME_BYTES)
"""What a row of what was sent lacks before it."""
_BEHIND_USER: Final = MESSAGE_ID_BYTES + 1


class DueReceipt(NamedTuple):
    """A receipt for one message.

    Attributes:
        due_at_ms: when it is to be sent, milliseconds since 1970.
        user: to whom.
        message_id: of the message, 16 bytes.
        what: `Receipt.DELIVERED` or `Receipt.READ`.
        group_id: of the group that the message was sent to, 32 bytes; empty: to one account.
    """

    due_at_ms: int
    user: UserId
    message_id: bytes
    what: int
    group_id: bytes = b""

    @property
    def row(self) -> bytes:
        """Its row among those that are due."""
        return self.due_at_ms.to_bytes(_TIME_BYTES) + _row(self)


def count_due(tx: Transaction) -> int:
    """Return how many receipts are to be sent, now or later; the more, the longer it takes."""
    return tx.count(Table.RECEIPTS, DUE)


def note_due(tx: Transaction, receipts: Sequence[DueReceipt], there: int = 0) -> int:
    """Note that receipts are to be sent, as far as there is room beside so many that are there.

    Returns:
        How many are there then.
    """
    noted = receipts[: max(0, bound_of_stripe(_MAX_DUE, tx.stripe_count()) - there)]
    for receipt in noted:
        tx.put(Table.RECEIPTS, DUE, receipt.row, encode_receipt(receipt.group_id))
    return there + len(noted)


def list_due(tx: Transaction) -> list[DueReceipt]:
    """Return all that are to be sent, now or later, the earliest first.

    If a row is damaged, all of them go: nobody misses more than receipts.
    """
    try:
        return [read_receipt(*found) for found in tx.list(Table.RECEIPTS, DUE)]
    except RecordCorrupted:
        tx.clear(Table.RECEIPTS, DUE)
        return []


def forget_due(tx: Transaction, receipts: Iterable[DueReceipt]) -> None:
    """Forget what will not be sent."""
    for receipt in receipts:
        tx.delete(Table.RECEIPTS, DUE, receipt.row)


def was_sent(tx: Transaction, receipt: DueReceipt, now_ms: int) -> bool:
    """Tell whether that receipt was sent before, from here or by another own device.

    Where that cannot be told because a row is damaged: yes, and nobody misses more than receipts.
    """
    try:
        return _SENT.find(tx, _row(receipt), now_ms) is not None
    except RecordCorrupted:
        return True


def note_sent(tx: Transaction, receipts: Iterable[DueReceipt], now_ms: int) -> None:
    """Note that receipts are sent, which are not known to have been."""
    rows = [(_row(receipt), encode_receipt(receipt.group_id)) for receipt in receipts]
    if rows:
        _SENT.add_all(tx, rows, now_ms)


def tend_receipts(tx: Transaction, now_ms: int) -> None:
    """See `Shelf.tend`."""
    _SENT.tend(tx, now_ms)


def read_receipt(row: bytes, record: bytes) -> DueReceipt:
    """Return the receipt of a row among those that are due, or, without a time, that were sent.

    Raises:
        RecordCorrupted: it is none.
    """
    group_id = decode_receipt(record)
    behind = row[-_BEHIND_USER:]
    if len(row) <= _TIME_BYTES + _BEHIND_USER:
        raise RecordCorrupted("a receipt stands in the wrong row: the store is damaged")
    user = user_from_key(row[_TIME_BYTES:-_BEHIND_USER])
    return DueReceipt(int.from_bytes(row[:_TIME_BYTES]), user, behind[:-1], behind[-1], group_id)


def _row(receipt: DueReceipt) -> bytes:
    return user_key(receipt.user) + receipt.message_id + bytes((receipt.what,))
