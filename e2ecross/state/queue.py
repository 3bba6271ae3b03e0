# SPDX-License-Identifier: Apache-2.0
"""Numbered rows of one partition, in the order in which they were put: a queue in a store.

Rules:
- Numbers ascend from 1 and are never given twice, so a number names one row for ever. Where it is
  not known any more which were given, the next ones are far above all that may have been.
- An operation reads the rows that it works on, one by one. What it costs depends neither on what
  lies in the queue nor on what has left it: one row that stays at the front makes nothing longer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from e2ecross.crypto.entropy import EntropySource
from e2ecross.errors import RecordCorrupted
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.queue_records import decode_queue_end, encode_queue_end

__all__ = ["ENDS_ROW", "NUMBER_BYTES", "Queue", "number_row"]

NUMBER_BYTES: Final = 8
ENDS_ROW: Final = b""
_MAX_AHEAD: Final = 64
"""Rows that a walk reads at once, when it has come that far."""
_SKIPPED: Final = 2**40
"""Numbers that may have been given and are not known: more than a device gives in all its life, and
there is room for 2^23 times as many."""
_STEP_BYTES: Final = 5
"""Of a random number that is added to them when it is known that some are not known."""
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
        number = self._next_number(tx)
        tx.put(self.table, self.partition, number_row(number), record)
        tx.put_value(self.table, self.partition, ENDS_ROW, number + 1, _END)
        return number

    def skip_numbers(self, tx: Transaction, entropy: EntropySource) -> None:
        """Give numbers far above all before: some may have been given that are not known here.

        How far is random: from one copy of a store the same step may be made more than once.
        """
        step = _SKIPPED + int.from_bytes(entropy.bytes(_STEP_BYTES))
        number = self._next_number(tx) + step
        tx.put_value(self.table, self.partition, ENDS_ROW, number, _END)

    def get(self, tx: Transaction, number: int) -> bytes | None:
        """Return the record of a number, or None."""
        return tx.get(self.table, self.partition, number_row(number))

    def replace(self, tx: Transaction, number: int, record: bytes) -> None:
        """Put another record in the place of one that is there."""
        tx.put(self.table, self.partition, number_row(number), record)

    def remove(self, tx: Transaction, number: int) -> None:
        """Forget a record; nothing happens when it is not there."""
        tx.delete(self.table, self.partition, number_row(number))

    def was_given(self, tx: Transaction, number: int) -> bool:
        """Tell whether a record was ever put under this number; or may have been."""
        return 0 < number < self._next_number(tx)

    def last_given(self, tx: Transaction) -> int | None:
        """Return the last number that was given; None: it is not known, or none was."""
        try:
            end = tx.get_value(self.table, self.partition, ENDS_ROW, _END)
        except RecordCorrupted:
            return None
        return None if end is None else end - 1

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

    def _next_number(self, tx: Transaction) -> int:
        try:
            end = tx.get_value(self.table, self.partition, ENDS_ROW, _END)
        except RecordCorrupted:
            end = 0
        if end:
            return end
        if end is None and not self._next(tx, number_row(0), 1):
            return 1
        # What says it is damaged or gone: numbers of what has left the queue may be higher.
        return max((number for number, _ in self.walk(tx)), default=0) + _SKIPPED


def number_row(number: int) -> bytes:
    """The row of a number, 8 bytes."""
    return number.to_bytes(NUMBER_BYTES)
