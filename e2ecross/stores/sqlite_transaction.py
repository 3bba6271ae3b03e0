# SPDX-License-Identifier: Apache-2.0
"""What a caller sees of a SQLite store inside one transaction.

Rules:
- No statement is left half read: an open one would hold its snapshot past the transaction.
- What comes out of the file is checked to be bytes; a damaged or doctored file may hold anything.
- After an error of SQLite, and after its end, a transaction refuses every call.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, NamedTuple

from e2ecross.arguments import require_bytes
from e2ecross.errors import StoreCorrupted, StoreError
from e2ecross.stores.base import Table, ValuesAsBytes, WholeStore
from e2ecross.stores.checks import (
    NO_SAVEPOINT,
    SAVEPOINT_INTERRUPTED,
    check_limit,
    check_place,
    check_range,
    check_table,
)
from e2ecross.stores.sqlite_errors import DRIVER_ERRORS, store_error

__all__ = ["SQLiteTransaction"]

_Rows = list[tuple[Any, ...]]  # `list` means something else inside the class

_ENDED: Final = "the transaction has ended: begin a new one"
_SCAN_ROWS: Final = 32  # read at once; times 128 KiB, the largest record, that is 4 MiB


class _Statements(NamedTuple):
    get: str
    put: str
    delete: str
    list: str
    partitions: str
    count_rows: str
    clear: str
    scan: str
    scan_on: str

    @classmethod
    def of(cls, table: Table) -> "_Statements":
        # Names come from the enum alone; everything else is bound.
        one = f"FROM {table.value} WHERE partition = ? AND row = ?"
        many = f"FROM {table.value} WHERE partition = ?"
        first = f"SELECT min(partition) FROM {table.value} WHERE partition"  # noqa: S608
        walk = f"SELECT partition, row, record FROM {table.value}"  # noqa: S608
        order = f"ORDER BY partition, row LIMIT {_SCAN_ROWS}"
        return cls(
            get=f"SELECT record {one}",
            put=f"INSERT INTO {table.value} (partition, row, record) VALUES (?, ?, ?) "  # noqa: S608
            "ON CONFLICT (partition, row) DO UPDATE SET record = excluded.record",
            delete=f"DELETE {one}",
            list=f"SELECT row, record {many} AND row >= ? ORDER BY row LIMIT ?",
            # One look into the index for each: DISTINCT would read all rows.
            partitions=f"WITH RECURSIVE found (name) AS ({first} >= ? "  # noqa: S608
            f"UNION ALL SELECT ({first} > name) FROM found WHERE name IS NOT NULL) "
            "SELECT name FROM found WHERE name IS NOT NULL LIMIT ?",
            count_rows=f"SELECT count(*) {many}",
            clear=f"DELETE {many} AND row IN (SELECT row {many} LIMIT ?)",
            scan=f"{walk} {order}",
            scan_on=f"{walk} WHERE (partition, row) > (?, ?) {order}",
        )


_SQL: Final = {table: _Statements.of(table) for table in Table}


class SQLiteTransaction(WholeStore, ValuesAsBytes):
    """The view of one begun transaction.

    Args:
        connection: on which the transaction was begun.
        path: the file, for messages.

    Attributes:
        has_written: whether anything was put or deleted.
    """

    __slots__ = ("_connection", "_in_savepoint", "_over", "_path", "_pid", "has_written")

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._pid = os.getpid()
        self._over: str | None = None
        self._in_savepoint = False
        self.has_written = False

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        check_place(table, partition, row)
        rows = self._run(_SQL[table].get, partition, row)
        return self._blob(rows[0][0]) if rows else None

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        check_place(table, partition, row)
        require_bytes("record", record)
        self.has_written = True  # before it is true: an interrupt may come after the change
        self._run(_SQL[table].put, partition, row, record)

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """See `Transaction.delete`."""
        check_place(table, partition, row)
        self.has_written = True
        return self._remove(_SQL[table].delete, partition, row) > 0

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        check_place(table, partition)
        check_range(limit, after)
        rows = self._run(_SQL[table].list, partition, _beyond(after), _most(limit))
        return [(self._blob(row), self._blob(record)) for row, record in rows]

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """See `Transaction.partitions`."""
        check_table(table)
        check_range(limit, after)
        rows = self._run(_SQL[table].partitions, _beyond(after), _most(limit))
        return [self._blob(partition) for (partition,) in rows]

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        check_place(table, partition)
        found: int = self._run(_SQL[table].count_rows, partition)[0][0]
        return found

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        check_place(table, partition)
        check_limit(limit)
        self.has_written = True
        return self._remove(_SQL[table].clear, partition, partition, _most(limit))

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        check_table(table)
        self._check()
        return self._walk(_SQL[table])

    def count_all(self) -> int:
        """How many records there are, in all tables."""
        return sum(self._run(f"SELECT count(*) FROM {table.value}")[0][0] for table in Table)  # noqa: S608

    def savepoint(self) -> AbstractContextManager[None]:
        """See `Transaction.savepoint`."""
        return _Savepoint(self)

    def begin_block(self) -> None:
        """Begin a savepoint."""
        if self._in_savepoint:
            raise StoreError(NO_SAVEPOINT)
        self._check()
        self._in_savepoint = True  # before it is true: the transaction does not commit with it
        self._run("SAVEPOINT block")

    def end_block(self, *, keep: bool) -> None:
        """End a savepoint, and keep what was done in it or not."""
        if not keep and self._over is None:  # after an error of SQLite all is undone anyway
            self._run("ROLLBACK TO block")
        if keep or self._over is None:
            self._run("RELEASE block")
        self._in_savepoint = False

    def end(self) -> None:
        """Refuse every further call; the caller commits.

        Raises:
            StoreError: the transaction failed before, or an end of a savepoint of it, or it
                belongs to a parent process.
        """
        self._check()
        if self._in_savepoint:
            raise StoreError(SAVEPOINT_INTERRUPTED)
        self._over = _ENDED

    def abandon(self) -> None:
        """Refuse every further call; the caller rolls back."""
        self._over = self._over or _ENDED

    def _walk(self, sql: _Statements) -> Iterator[tuple[bytes, bytes, bytes]]:
        rows = self._run(sql.scan)
        while rows:
            for partition, row, record in rows:
                self._check()
                yield self._blob(partition), self._blob(row), self._blob(record)
            rows = self._run(sql.scan_on, rows[-1][0], rows[-1][1])

    def _run(self, sql: str, *parameters: bytes | int) -> _Rows:
        self._check()
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except DRIVER_ERRORS as exc:
            raise self._failed(exc) from exc

    def _remove(self, sql: str, *parameters: bytes | int) -> int:
        """Run a DELETE; returns how many rows it has removed."""
        self._check()
        try:
            return self._connection.execute(sql, parameters).rowcount
        except DRIVER_ERRORS as exc:
            raise self._failed(exc) from exc

    def _failed(self, error: Exception) -> StoreError:
        self._over = "an operation of this transaction failed: nothing of it is saved"
        return store_error(self._path, error)

    def _check(self) -> None:
        if self._over is not None:
            raise StoreError(self._over)
        if os.getpid() != self._pid:
            raise StoreError("the transaction belongs to the parent process: begin one of your own")

    def _blob(self, value: object) -> bytes:
        if type(value) is not bytes:
            raise StoreCorrupted(f"{self._path} holds something that no store wrote: restore it")
        return value


class _Savepoint:
    """A block of a transaction; as long as it has not ended, the transaction does not commit."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: SQLiteTransaction) -> None:
        self._transaction = transaction

    def __enter__(self) -> None:
        self._transaction.begin_block()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._transaction.end_block(keep=kind is None)


def _beyond(after: bytes | None) -> bytes:
    """The first key that may follow: nothing stands between a key and the same with a zero more."""
    return b"" if after is None else after + b"\0"


def _most(limit: int | None) -> int:
    return -1 if limit is None else limit  # SQLite: a negative LIMIT is none
