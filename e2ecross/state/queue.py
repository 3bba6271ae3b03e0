# SPDX-License-Identifier: Apache-2.0
"""Numbered rows of one partition, in the order in which they were put: a queue in a store.

Rules:
- Numbers ascend from 1 and are never given twice, so a number names one row for ever.
- Rows are found by their numbers alone. So what an operation costs does not grow with what lies in
  the queue, and no store has to list it: a sealed one could not, its look-up keys have no order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.queue_records import decode_queue_ends, encode_queue_ends

__all__ = ["ENDS_ROW", "NUMBER_BYTES", "Queue", "number_row"]

NUMBER_BYTES: Final = 8
ENDS_ROW: Final = b""


class _Ends(NamedTuple):
    first: int
    next: int


_NEW: Final = _Ends(1, 1)
_ENDS: Final = Codec(
    lambda ends: encode_queue_ends(*ends), lambda data: _Ends(*decode_queue_ends(data))
)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue.

    Attributes:
        table: where it is.
        partition: which has it; rows of another length than 8 bytes are not the queue's.
    """

    table: Table
    partition: bytes

    def append(self, tx: Transaction, record: bytes) -> int:
        """Put a record at the end; returns its number."""
        first, number = self._ends(tx)
        tx.put(self.table, self.partition, number_row(number), record)
        tx.put_value(self.table, self.partition, ENDS_ROW, _Ends(first, number + 1), _ENDS)
        return number

    def get(self, tx: Transaction, number: int) -> bytes | None:
        """Return the record of a number, or None."""
        return tx.get(self.table, self.partition, number_row(number))

    def remove(self, tx: Transaction, number: int) -> None:
        """Forget a record; nothing happens when it is not there."""
        tx.delete(self.table, self.partition, number_row(number))
        first, after = self._ends(tx)
        if number == first:
            tx.put_value(self.table, self.partition, ENDS_ROW, _Ends(first + 1, after), _ENDS)

    def was_given(self, tx: Transaction, number: int) -> bool:
        """Tell whether a record was ever put under this number."""
        return 0 < number < self._ends(tx).next

    def walk(self, tx: Transaction, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Walk over the records behind a number; those that are removed meanwhile are left out.

        What was removed from the front is not looked at again, by whoever walks.
        """
        first, end = self._ends(tx)
        front = max(first, after + 1)
        for number in range(front, end):
            record = self.get(tx, number)
            if record is not None:
                if front == first < number:
                    tx.put_value(self.table, self.partition, ENDS_ROW, _Ends(number, end), _ENDS)
                front = 0
                yield number, record
        if front == first < end:  # nothing is left
            tx.put_value(self.table, self.partition, ENDS_ROW, _Ends(end, end), _ENDS)

    def _ends(self, tx: Transaction) -> _Ends:
        return tx.get_value(self.table, self.partition, ENDS_ROW, _ENDS) or _NEW


def number_row(number: int) -> bytes:
    """The row of a number, 8 bytes."""
    return number.to_bytes(NUMBER_BYTES)
