# SPDX-License-Identifier: Apache-2.0
"""A store in this process's memory: for tests, demos, and devices that need not survive.

Rules:
- The same contract as the durable stores, except that nothing outlives the process.
- A failed block is undone from a log of what it changed: its cost depends on the block, never on
  the size of the store. The log is the store's: what an interrupt keeps a transaction from undoing
  is undone by the next one. Emptying it is the commit.
- It holds secrets, so it shows nothing of them and is never pickled or copied.
- With stripes it has one gate all the same, and holds to the rules of stripes.
- A forked child has a copy of it, and would use the same message keys as its parent: there every
  use is refused.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import Any, Final, NoReturn, SupportsIndex, TypeVar

from e2ecross.arguments import forget_locals, require_bytes
from e2ecross.errors import StoreClosed, StoreError
from e2ecross.stores.base import DEVICE_TABLES, Codec, OneGate, Table, Transaction, WholeStore
from e2ecross.stores.checks import (
    DEFAULT_BUSY_TIMEOUT_MS,
    NO_SAVEPOINT,
    SAVEPOINT_INTERRUPTED,
    check_busy_timeout,
    check_limit,
    check_range,
    check_stripe,
    check_stripes,
    check_table,
)
from e2ecross.stores.gate import Gate, Stay, Turn
from e2ecross.stores.memory_order import KeyOrder
from e2ecross.stores.memory_stripes import StripeView, stripes_of

__all__ = ["MemoryStore"]

V = TypeVar("V")

_Kept = tuple[Any, Codec[Any]]
"""A value as it was put, and how it is encoded."""
_Rows = dict[bytes, bytes | _Kept]
_Tables = dict[Table, dict[bytes, _Rows]]
_Change = tuple[Table, bytes, bytes, bytes | _Kept | None]
"""A place, and what was there before."""
_NO_ROWS: Final[_Rows] = {}


class MemoryStore(OneGate):
    """A store that is gone when it is closed or the process ends.

    Args:
        stripes: 0, or a power of two from 64 to 65,536: it then behaves as one that many workers
            share, for tests without a database.
        busy_timeout_ms: how long a transaction waits for another thread, in milliseconds.

    Raises:
        InvalidArgument: an argument is not a whole number, or is out of range.
    """

    __slots__ = (
        "_before",
        "_busy_timeout_ms",
        "_closed",
        "_gate",
        "_order",
        "_pid",
        "_stripes",
        "_tables",
    )

    def __init__(self, stripes: int = 0, *, busy_timeout_ms: int = DEFAULT_BUSY_TIMEOUT_MS) -> None:
        self._stripes = check_stripes(stripes)
        self._busy_timeout_ms = check_busy_timeout(busy_timeout_ms)
        self._gate = Gate()
        self._pid = os.getpid()
        self._tables: _Tables = {table: {} for table in Table}
        self._order = KeyOrder()
        self._before: list[_Change] = []
        self._closed = False

    @property
    def stripes(self) -> int:
        """See `Store.stripes`."""
        return self._stripes

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Begin a transaction; see `Store.transaction`."""
        if not self._stripes and stripe == 0:
            return _MemoryTransaction(self)
        check_stripe(stripe, self._stripes)
        return _StripeTransaction(self, stripe)

    def stripes_with(self, table: Table) -> Sequence[int]:
        """See `Store.stripes_with`."""
        if not self._stripes or table in DEVICE_TABLES:
            return super().stripes_with(table)
        with _MemoryTransaction(self) as transaction:
            return stripes_of(transaction, table)

    def close(self) -> None:
        """Forget everything; later use raises `StoreClosed`. May be called twice.

        Raises:
            StoreBusy: another thread was inside a transaction for too long; not closed.
            StoreError: this thread is inside a transaction; not closed.
        """
        with Stay(self._gate, self._busy_timeout_ms):
            self._closed = True
            self._tables = {}
            self._order.clear()
            self._before.clear()

    def __repr__(self) -> str:
        return f"<MemoryStore: {'closed' if self._closed else 'open'}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a MemoryStore holds secrets and cannot be pickled or copied")


class _MemoryTransaction(Turn, WholeStore):
    """One `with` block: it holds the gate, and keeps or undoes what is done in it."""

    __slots__ = ("_before", "_ended", "_in_savepoint", "_order", "_store", "_tables")

    def __init__(self, store: MemoryStore) -> None:
        Turn.__init__(self)  # 0.1 us less than super()
        self._store = store
        self._tables = store._tables
        self._order = store._order
        self._before = store._before
        self._ended = True
        self._in_savepoint = False

    def __enter__(self) -> Transaction:
        store = self._store
        if os.getpid() != store._pid:
            raise StoreError(
                "a store in memory cannot be used by a forked process, whose copy would repeat "
                "message keys: make the store after the fork, or use SQLiteStore"
            )
        self.take(store._gate, store._busy_timeout_ms)
        try:
            if store._closed:
                raise StoreClosed("the store has been closed: open it anew")
            if self._before:  # of a block that an interrupt ended before it could undo it
                self._undo(0)
        except BaseException:
            self.end()
            raise
        self._ended = False
        return self

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep what was done, or undo it."""
        self._ended = True
        try:
            if error is not None:
                self._undo(0)
                forget_locals(error)  # what was to be written is in them
            elif self._in_savepoint:
                self._undo(0)
                raise StoreError(SAVEPOINT_INTERRUPTED)
            else:
                # The commit. Whoever comes next undoes what the log still has.
                self._before.clear()
        finally:
            self.end()

    def abandon(self) -> None:
        """See `Turn.abandon`; the next transaction undoes what was done."""
        self._ended = True
        self.end()

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        rows = self._rows(table, partition)
        require_bytes("row", row)
        found = rows.get(row)
        return None if found is None else _record(found)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        require_bytes("record", record)
        self._put(table, partition, row, record)

    def get_value(self, table: Table, partition: bytes, row: bytes, codec: Codec[V]) -> V | None:
        """See `Transaction.get_value`."""
        if self._ended or type(table) is not Table or not type(partition) is type(row) is bytes:
            self._check_place(table, partition, row)
        found = self._tables[table].get(partition, _NO_ROWS).get(row)
        if found is None:
            return None
        if type(found) is tuple and found[1] is codec:
            value: V = found[0]
            return value
        return codec.decode(_record(found))

    def put_value(
        self, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        """See `Transaction.put_value`. It is encoded when its record is asked for."""
        self._put(table, partition, row, (value, codec))

    def savepoint(self) -> AbstractContextManager[None]:
        """See `Transaction.savepoint`."""
        return _Savepoint(self)

    def _put(self, table: Table, partition: bytes, row: bytes, record: bytes | _Kept) -> None:
        if self._ended or type(table) is not Table or not type(partition) is type(row) is bytes:
            self._check_place(table, partition, row)
        rows = self._tables[table].get(partition, _NO_ROWS)
        # First the log, then the change: an interrupt between the two is undone correctly.
        before = rows.get(row)
        self._before.append((table, partition, row, before))
        if before is None:
            self._add(table, partition, row, record)
        else:
            rows[row] = record

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """See `Transaction.delete`."""
        rows = self._rows(table, partition)
        require_bytes("row", row)
        if row not in rows:
            return False
        self._before.append((table, partition, row, rows[row]))
        self._remove(table, partition, row)
        return True

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        rows = self._rows(table, partition)
        check_range(limit, after)
        if limit is None and after is None:
            return sorted([(row, _record(kept)) for row, kept in rows.items()])
        chosen = self._order.find((table, partition), rows, limit, after)
        return [(row, _record(rows[row])) for row in chosen]

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """See `Transaction.partitions`."""
        self._check(table)
        check_range(limit, after)
        return self._order.find((table, None), self._tables[table], limit, after)

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        return len(self._rows(table, partition))

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        check_limit(limit)
        rows = list(islice(self._rows(table, partition).items(), limit))
        for row, record in rows:
            self._before.append((table, partition, row, record))
            self._remove(table, partition, row)
        return len(rows)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        self._check(table)
        return self._walk(table)

    def _walk(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        for partition, rows in self._tables[table].items():
            for row, record in rows.items():
                self._check(table)
                yield partition, row, _record(record)

    def _rows(self, table: Table, partition: bytes) -> _Rows:
        self._check(table)
        require_bytes("partition", partition)
        return self._tables[table].get(partition, _NO_ROWS)

    def _check(self, table: Table) -> None:
        if self._ended:
            raise StoreError("the transaction has ended: begin a new one")
        check_table(table)

    def _check_place(self, table: Table, partition: bytes, row: bytes) -> None:
        self._check(table)
        require_bytes("partition", partition)
        require_bytes("row", row)

    def _add(self, table: Table, partition: bytes, row: bytes, record: bytes | _Kept) -> None:
        """Put a row that is not there."""
        rows, order = self._tables[table].get(partition), self._order
        if rows is None:
            order.take((table, partition))  # of rows that were looked for when there were none
            keys = order.take((table, None))
            self._tables[table][partition] = {row: record}  # at once: no partition without rows
            order.put_back_with((table, None), keys, partition)
        else:
            keys = order.take((table, partition))
            rows[row] = record
            order.put_back_with((table, partition), keys, row)

    def _remove(self, table: Table, partition: bytes, row: bytes) -> None:
        """Remove a row, if it is there."""
        rows, order = self._tables[table].get(partition, _NO_ROWS), self._order
        if row not in rows:
            return
        keys = order.take((table, partition))
        if len(rows) > 1:
            del rows[row]
            order.put_back_without((table, partition), keys, row)
        else:
            keys = order.take((table, None))
            del self._tables[table][partition]
            order.put_back_without((table, None), keys, partition)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a transaction holds secrets and cannot be pickled or copied")

    def _undo(self, length: int) -> None:
        """Put back what was there before all changes but that many; may be done over again."""
        while len(self._before) > length:
            table, partition, row, record = self._before[-1]
            if record is None:
                self._remove(table, partition, row)
            elif row in self._tables[table].get(partition, _NO_ROWS):
                self._tables[table][partition][row] = record
            else:
                self._add(table, partition, row, record)
            self._before.pop()


class _StripeTransaction(_MemoryTransaction):
    """One `with` block of a store with stripes: its caller sees one stripe."""

    __slots__ = ("_stripe",)

    def __init__(self, store: MemoryStore, stripe: int) -> None:
        super().__init__(store)
        self._stripe = stripe

    def __enter__(self) -> Transaction:
        inner = super().__enter__()
        return StripeView(inner, self._stripe, self._stripe, self._store.stripes)


class _Savepoint:
    """A block of a transaction; as long as it has not ended, the transaction does not commit."""

    __slots__ = ("_length", "_transaction")

    def __init__(self, transaction: _MemoryTransaction) -> None:
        self._transaction = transaction
        self._length = 0

    def __enter__(self) -> None:
        transaction = self._transaction
        if transaction._ended or transaction._in_savepoint:
            raise StoreError(NO_SAVEPOINT)
        self._length = len(transaction._before)
        transaction._in_savepoint = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        transaction = self._transaction
        if not transaction._ended:
            if kind is not None:
                transaction._undo(self._length)
            transaction._in_savepoint = False


def _record(kept: bytes | _Kept) -> bytes:
    if isinstance(kept, bytes):
        return kept
    value, codec = kept
    record: bytes = codec.encode(value)
    return record
