# SPDX-License-Identifier: Apache-2.0
"""Numbered rows of one partition, in the order in which they were put: a queue in a store.

Rules:
- Numbers ascend from 1 and are never given twice, so a number names one row for ever.
- An operation reads the rows that it works on, one by one. What it costs depends neither on what
  lies in the queue nor on what has left it: one row that stays at the front makes nothing longer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.errors import RecordCorrupted
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.queue_records import decode_queue_end, encode_queue_end

__all__ = ["ENDS_ROW", "NUMBER_BYTES", "Queue", "number_row"]

NUMBER_BYTES: Final = 8
ENDS_ROW: Final = b""
_MAX_AHEAD: Final = 64
"""Rows that a walk reads at once, when it has come that far."""
_END: Final = Codec(encode_queue_end, decode_queue_end)


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
        """Put a record at the end; returns its number."""
        number = self._end(tx)
        tx.put(self.table, self.partition, number_row(number), record)
        tx.put_value(self.table, self.partition, ENDS_ROW, number + 1, _END)
        return number

    def get(self, tx: Transaction, number: int) -> bytes | None:
        """Return the record of a number, or None."""
        return tx.get(self.table, self.partition, number_row(number))

    def remove(self, tx: Transaction, number: int) -> None:
        """Forget a record; nothing happens when it is not there."""
        tx.delete(self.table, self.partition, number_row(number))

    def was_given(self, tx: Transaction, number: int) -> bool:
        """Tell whether a record was ever put under this number."""
        return 0 < number < self._end(tx)

    def walk(self, tx: Transaction, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Walk over the records behind a number; what is changed meanwhile may be missed.

        In the place of one that the store cannot read comes an empty one, which decodes to nothing.
        """
        most = 1
        while found := self._next(tx, after, most):
            yield from found
            after, most = found[-1][0], min(2 * len(found), _MAX_AHEAD)

    def _next(self, tx: Transaction, after: int, most: int) -> list[tuple[int, bytes]]:
        try:
            listed = tx.list(self.table, self.partition, limit=most, after=number_row(after))
        except RecordCorrupted:  # it does not say which
            if most > 1:
                return self._next(tx, after, 1)
            return [(self._next_damaged(tx, after), b"")]
        return [(int.from_bytes(row), record) for row, record in listed]

    def _next_damaged(self, tx: Transaction, after: int) -> int:
        for number in range(after + 1, self._end(tx)):
            try:
                self.get(tx, number)
            except RecordCorrupted:
                return number
        raise RecordCorrupted("a row behind the end of a queue is damaged: the store is damaged")

    def _end(self, tx: Transaction) -> int:
        return tx.get_value(self.table, self.partition, ENDS_ROW, _END) or 1


def number_row(number: int) -> bytes:
    """The row of a number, 8 bytes."""
    return number.to_bytes(NUMBER_BYTES)
