# SPDX-License-Identifier: Apache-2.0
"""A store in this process's memory: for tests, demos, and devices that need not survive.

Rules:
- The same contract as the durable stores, except that nothing outlives the process.
- A failed block is undone from a log of what it changed: its cost depends on the block, never on
  the size of the store.
- It holds secrets, so it shows nothing of them and is never pickled or copied.
- A forked child has a copy of it, and would use the same message keys as its parent: there every
  use is refused.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NoReturn, SupportsIndex

from e2ecross.errors import StoreClosed, StoreError
from e2ecross.stores.base import Table
from e2ecross.stores.checks import (
    DEFAULT_BUSY_TIMEOUT_MS,
    check_busy_timeout,
    check_bytes,
    check_limit,
    check_table,
)
from e2ecross.stores.gate import Gate

__all__ = ["MemoryStore"]

_Tables = dict[Table, dict[bytes, dict[bytes, bytes]]]


class MemoryStore:
    """A store that is gone when it is closed or the process ends.

    Args:
        busy_timeout_ms: how long a transaction waits for another thread, in milliseconds.

    Raises:
        InvalidArgument: `busy_timeout_ms` is not a whole number, or is out of range.
    """

    __slots__ = ("_busy_timeout_ms", "_closed", "_gate", "_pid", "_tables")

    def __init__(self, *, busy_timeout_ms: int = DEFAULT_BUSY_TIMEOUT_MS) -> None:
        self._busy_timeout_ms = check_busy_timeout(busy_timeout_ms)
        self._gate = Gate()
        self._pid = os.getpid()
        self._tables: _Tables = {table: {} for table in Table}
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator["_MemoryTransaction"]:
        """Begin a transaction; see `Store.transaction`."""
        if os.getpid() != self._pid:
            raise StoreError(
                "a store in memory cannot be used by a forked process, whose copy would repeat "
                "message keys: make the store after the fork, or use SQLiteStore"
            )
        self._gate.enter(self._busy_timeout_ms)
        try:
            if self._closed:
                raise StoreClosed("the store has been closed: open it anew")
            transaction = _MemoryTransaction(self._tables)
            try:
                yield transaction
            except BaseException:
                transaction._undo()
                raise
            finally:
                transaction._end()
        finally:
            self._gate.leave()

    def close(self) -> None:
        """Forget everything; later use raises `StoreClosed`. May be called twice.

        Raises:
            StoreBusy: another thread was inside a transaction for too long; not closed.
            StoreError: this thread is inside a transaction; not closed.
        """
        self._gate.enter(self._busy_timeout_ms)
        try:
            self._closed = True
            self._tables = {}
        finally:
            self._gate.leave()

    def __repr__(self) -> str:
        return f"<MemoryStore: {'closed' if self._closed else 'open'}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a MemoryStore holds secrets and cannot be pickled or copied")


class _MemoryTransaction:
    """The tables, and what they held before this block touched them."""

    __slots__ = ("_before", "_ended", "_tables")

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables
        self._before: list[tuple[Table, bytes, bytes, bytes | None]] = []
        self._ended = False

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        rows = self._rows(table, partition)
        check_bytes("row", row)
        return rows.get(row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        rows = self._rows(table, partition)
        check_bytes("row", row)
        check_bytes("record", record)
        # First the log, then the change: an interrupt between the two is undone correctly.
        self._before.append((table, partition, row, rows.get(row)))
        self._set(table, partition, row, record)

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> None:
        """See `Transaction.delete`."""
        rows = self._rows(table, partition)
        check_bytes("row", row)
        if row in rows:
            self._before.append((table, partition, row, rows[row]))
            self._set(table, partition, row, None)

    def list(self, table: Table, partition: bytes = b"") -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        return sorted(self._rows(table, partition).items())

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        return len(self._rows(table, partition))

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        check_limit(limit)
        rows = list(islice(self._rows(table, partition).items(), limit))
        for row, record in rows:
            self._before.append((table, partition, row, record))
            self._set(table, partition, row, None)
        return len(rows)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        self._check(table)
        return self._walk(table)

    def _walk(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        for partition, rows in self._tables[table].items():
            for row, record in rows.items():
                self._check(table)
                yield partition, row, record

    def _rows(self, table: Table, partition: bytes) -> dict[bytes, bytes]:
        self._check(table)
        check_bytes("partition", partition)
        return self._tables[table].get(partition, {})

    def _check(self, table: Table) -> None:
        if self._ended:
            raise StoreError("the transaction has ended: begin a new one")
        check_table(table)

    def _set(self, table: Table, partition: bytes, row: bytes, record: bytes | None) -> None:
        partitions = self._tables[table]
        if record is not None:
            partitions.setdefault(partition, {})[row] = record
            return
        rows = partitions.get(partition, {})
        rows.pop(row, None)
        if not rows:
            partitions.pop(partition, None)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a transaction holds secrets and cannot be pickled or copied")

    def _undo(self) -> None:
        for place in reversed(self._before):
            self._set(*place)

    def _end(self) -> None:
        self._ended = True
        self._before = []
