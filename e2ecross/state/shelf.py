# SPDX-License-Identifier: Apache-2.0
"""Rows that are kept for a time and then forgotten, whoever may have made us write them.

Rules:
- Rows are put into the newest of a few generations, and forgotten with their generation. So the
  work of forgetting is one look at a short list, however many rows there are.
- A generation is left for a new one when it has lasted a quarter of the time, or is full.
- An operation deletes a bounded number of forgotten rows; until then nobody finds them. Upkeep of
  the device deletes more of them, also where nothing is added any more.
- A generation that was opened after now, by a clock that was wrong, counts as opened now: its time
  begins when something is added, or with the next upkeep of the device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.state.stripe import bound_of_stripe
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.shelf_records import GenerationRecord, decode_shelf, encode_shelf

__all__ = ["FoundRow", "Shelf"]

_SHELF: Final = Codec(encode_shelf, decode_shelf)
_NUMBER_BYTES: Final = 4
_GENERATIONS: Final = 5
"""One is filled, four quarters of the time stand behind it."""
_DELETED_AT_ONCE: Final = 64
"""Forgotten rows deleted by one `add`: more than it adds, and little work."""
_DELETED_BY_UPKEEP: Final = 1_000
"""The same by one `tend`: others who use the store wait for some 20 ms."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row, and where it is.

    Attributes:
        partition: of its generation.
        record: what it holds.
    """

    partition: bytes
    record: bytes


class Shelf(NamedTuple):
    """A table whose rows are kept for a time.

    Attributes:
        table: holds nothing else in partitions of the name and four bytes, and in the row of the
            name in the partition empty.
        kept_ms: how long a row is found at least, milliseconds; a quarter longer at most.
        rows: how many rows are kept at most, of a stripe its part of them; then the oldest fifth of
            them goes.
        name: tells the shelves of one table apart.
    """

    table: Table
    kept_ms: int
    rows: int
    name: bytes = b""

    def find(self, tx: Transaction, row: bytes, now_ms: int) -> FoundRow | None:
        """Return the newest record of that row, or None."""
        for generation in reversed(self._load(tx)):
            if not self._is_over(generation, now_ms):
                partition = self._partition(generation)
                record = tx.get(self.table, partition, row)
                if record is not None:
                    return FoundRow(partition, record)
        return None

    def replace(self, tx: Transaction, found: FoundRow, row: bytes, record: bytes) -> None:
        """Write another record over one that was found; it is kept no longer for that."""
        tx.put(self.table, found.partition, row, record)

    def remove(self, tx: Transaction, row: bytes, now_ms: int) -> None:
        """Forget a row, if it is there."""
        found = self.find(tx, row, now_ms)
        if found is not None:
            tx.delete(self.table, found.partition, row)

    def add(self, tx: Transaction, row: bytes, record: bytes, now_ms: int) -> None:
        """Keep a record under a row that is not there yet."""
        self.add_all(tx, [(row, record)], now_ms)

    def add_all(self, tx: Transaction, rows: Sequence[tuple[bytes, bytes]], now_ms: int) -> None:
        """Keep records under rows (row, record) that are not there yet; a few, at least one."""
        if self.rows < 1:
            return
        generations = _dated(self._load(tx), now_ms)
        # Rounded up, so that a bound of one row keeps one.
        most = -(-bound_of_stripe(self.rows, tx.stripe_count()) // _GENERATIONS)
        for row, record in rows:
            number, opened_at_ms, count = generations[-1] if generations else (-1, 0, most)
            if count >= most or now_ms - opened_at_ms >= self.kept_ms // 4:
                number, opened_at_ms, count = number + 1, now_ms, 0
                generations.append(GenerationRecord(number, opened_at_ms, count))
            newest = generations[-1] = GenerationRecord(number, opened_at_ms, count + 1)
            tx.put(self.table, self._partition(newest), row, record)
        while self._is_first_forgotten(generations, now_ms):
            # Only when nothing is left of a generation is it forgotten itself.
            if tx.clear(self.table, self._partition(generations[0]), _DELETED_AT_ONCE):
                break
            del generations[0]
        tx.put_value(self.table, b"", self.name, tuple(generations), _SHELF)

    def walk(self, tx: Transaction, now_ms: int, limit: int) -> Iterator[bytes]:
        """Walk over rows, those of the newest generation first; at most so many of each."""
        for generation in reversed(self._load(tx)):
            if not self._is_over(generation, now_ms):
                listed = tx.list(self.table, self._partition(generation), limit=limit)
                yield from (row for row, _ in listed)

    def tend(self, tx: Transaction, now_ms: int) -> None:
        """Delete forgotten rows; let the time of what is dated after now begin now.

        At most 1,000 rows. Dated after now is what a clock that was wrong has written.
        """
        before = self._load(tx)
        generations, left = _dated(before, now_ms), _DELETED_BY_UPKEEP
        while self._is_first_forgotten(generations, now_ms):
            left -= tx.clear(self.table, self._partition(generations[0]), left)
            if left <= 0:
                break
            del generations[0]
        if tuple(generations) != before:
            tx.put_value(self.table, b"", self.name, tuple(generations), _SHELF)

    def _load(self, tx: Transaction) -> tuple[GenerationRecord, ...]:
        return tx.get_value(self.table, b"", self.name, _SHELF) or ()

    def _is_over(self, generation: GenerationRecord, now_ms: int) -> bool:
        return now_ms - generation.opened_at_ms >= self.kept_ms + self.kept_ms // 4

    def _is_first_forgotten(self, generations: Sequence[GenerationRecord], now_ms: int) -> bool:
        if len(generations) > _GENERATIONS:
            return True
        return bool(generations) and self._is_over(generations[0], now_ms)

    def _partition(self, generation: GenerationRecord) -> bytes:
        return self.name + generation.number.to_bytes(_NUMBER_BYTES)


def _dated(generations: Sequence[GenerationRecord], now_ms: int) -> list[GenerationRecord]:
    return [
        generation
        if generation.opened_at_ms <= now_ms
        else generation._replace(opened_at_ms=now_ms)
        for generation in generations
    ]
