# SPDX-License-Identifier: Apache-2.0
"""Numbered rows of one partition, in the order in which they were put: a queue in a store.

Rules:
- Numbers ascend from 1 and are never given twice, so a number names one row for ever. All queues of
  a stripe have theirs of one count, in the record of the stripe: a queue from which all has left
  has no row. Where it is not known any more which were given, the next ones are far above all that
  may have been.
- An operation reads the rows that it works on, one by one. What it costs depends neither on what
  lies in the queue nor on what has left it: one row that stays at the front makes nothing longer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from e2ecross.crypto.entropy import EntropySource
from e2ecross.errors import RecordCorrupted, StoreError
from e2ecross.state.stripe import read_stripe, save_stripe
from e2ecross.stores.base import IN_ORDER, Table, Transaction

__all__ = ["NUMBER_BITS", "NUMBER_BYTES", "Queue", "number_row", "skip_numbers"]

NUMBER_BYTES: Final = 8
NUMBER_BITS: Final = 40
"""Numbers of a stripe are below 2^40, where there is more than one: beside that of the stripe they
have room in eight bytes."""
_MAX_AHEAD: Final = 64
"""Rows that a walk reads at once, when it has come that far."""
_UNKNOWN: Final = 2**32
"""Numbers that may have been given and are not known: more than a device gives in all its life."""
_SKIPPED: Final = 2**40
"""The same of a store that was put back: there is room for 2^23 times as many."""
_STEP_BYTES: Final = 5
"""Of a random number that is added to them when it is known that some are not known."""
_STEP_BYTES_OF_STRIPE: Final = 4
"""The same of one of many stripes, which can be put back 128 times and more."""
_OWN: Final = b"\0"
"""What the partitions of queues begin with that are not empty; other rows have numbers, too."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue.

    Attributes:
        table: where it is; one of `IN_ORDER`.
        partition: which has it, and nothing else.
    """

    table: Table
    partition: bytes

    def append(self, tx: Transaction, record: bytes) -> int:
        """Put a record at the end; returns its number.

        Raises:
            StoreError: the stripe, which is one of many, has given all of its numbers.
        """
        number = _next_number(tx)
        if number >> NUMBER_BITS and tx.stripe_count():
            raise StoreError("the stripe has used its numbers: move to another store")
        tx.put(self.table, self.partition, number_row(number), record)
        save_stripe(tx, read_stripe(tx)._replace(next_queue_number=number + 1))
        return number

    def get(self, tx: Transaction, number: int) -> bytes | None:
        """Return the record of a number, or None."""
        return tx.get(self.table, self.partition, number_row(number))

    def has(self, tx: Transaction, number: int) -> bool:
        """Tell whether something stands under a number, be it damaged."""
        try:
            return self.get(tx, number) is not None
        except RecordCorrupted:
            return True

    def require_unused(self, tx: Transaction, number: int) -> None:
        """Refuse to put something in the place of what is there: whoever counts has lost count.

        Raises:
            RecordCorrupted: something stands under that number.
        """
        if self.has(tx, number):
            raise RecordCorrupted("a queue has more than is counted: the store is damaged")

    def replace(self, tx: Transaction, number: int, record: bytes) -> None:
        """Put another record in the place of one that is there."""
        tx.put(self.table, self.partition, number_row(number), record)

    def remove(self, tx: Transaction, number: int) -> None:
        """Forget a record; nothing happens when it is not there."""
        tx.delete(self.table, self.partition, number_row(number))

    def was_given(self, tx: Transaction, number: int) -> bool:
        """Tell whether a record was ever put under this number, here or elsewhere in the stripe.

        True also where it may have been.
        """
        try:
            return 0 < number < _next_number(tx)
        except RecordCorrupted:
            return number > 0

    def last_given(self, tx: Transaction) -> int | None:
        """Return the last number of the stripe; None: it is not known, or none was given."""
        try:
            return read_stripe(tx).next_queue_number - 1 or None
        except RecordCorrupted:
            return None

    def walk(self, tx: Transaction, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Walk over the records behind a number; what is changed meanwhile may be missed.

        In the place of one that the store cannot read comes an empty one, which decodes to nothing.
        What has no number, in a store that is damaged, is passed over.
        """
        row, most = number_row(after), 1
        while found := self._next(tx, row, most):
            for row, record in found:
                if len(row) == NUMBER_BYTES:
                    yield int.from_bytes(row), record
            most = min(2 * len(found), _MAX_AHEAD)

    def _next(self, tx: Transaction, after: bytes, most: int) -> Sequence[tuple[bytes, bytes]]:
        try:
            return tx.list(self.table, self.partition, limit=most, after=after)
        except RecordCorrupted as error:
            if most > 1:
                return self._next(tx, after, 1)
            if error.row is None:
                raise
            return [(error.row, b"")]


def skip_numbers(tx: Transaction, entropy: EntropySource) -> None:
    """Give numbers far above all before: some may have been given that are not known here.

    How far is random: from one copy of a store the same step may be made more than once.
    """
    number = max(_next_number(tx), _highest(tx) + 1)
    if tx.stripe_count():
        step = _UNKNOWN + int.from_bytes(entropy.bytes(_STEP_BYTES_OF_STRIPE))
        number = max(min(number + step, 1 << NUMBER_BITS), number)
    else:
        number += _SKIPPED + int.from_bytes(entropy.bytes(_STEP_BYTES))
    save_stripe(tx, read_stripe(tx)._replace(next_queue_number=number))


def number_row(number: int) -> bytes:
    """The row of a number, 8 bytes."""
    return number.to_bytes(NUMBER_BYTES)


def _next_number(tx: Transaction) -> int:
    number = read_stripe(tx).next_queue_number
    if number == 1 and (highest := _highest(tx)):
        # What says it is gone: numbers of what has left the queues may be higher.
        return highest + _UNKNOWN
    return number


def _highest(tx: Transaction) -> int:
    """Return the highest number in a queue of the stripe; what waits elsewhere may be counted."""
    return max((_highest_of(tx, table) for table in IN_ORDER), default=0)


def _highest_of(tx: Transaction, table: Table) -> int:
    rows, highest = tx.scan(table), 0
    while True:
        try:
            partition, row, _ = next(rows)
        except StopIteration:
            return highest
        except RecordCorrupted:  # its number is not told; mostly it is not the highest by far
            continue
        if len(row) == NUMBER_BYTES and (not partition or partition.startswith(_OWN)):
            highest = max(highest, int.from_bytes(row))
