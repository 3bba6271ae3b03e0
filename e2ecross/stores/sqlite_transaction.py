# SPDX-License-Identifier: Apache-2.0
"""What a caller sees of a SQLite store inside one transaction.

Rules:
- No statement is left half read: an open one would hold its snapshot past the transaction.
- What comes out of the file is checked to be bytes; a damaged or doctored file may hold anything.
- After an error of SQLite, and after its end, a transaction refuses every call.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from e2ecross.arguments import require_bytes
from e2ecross.errors import StoreCorrupted, StoreError
from e2ecross.stores.base import Table, ValuesAsBytes
from e2ecross.stores.checks import check_limit, check_place, check_table
from e2ecross.stores.sqlite_errors import DRIVER_ERRORS, store_error

__all__ = ["SQLiteTransaction"]

_Rows = list[tuple[Any, ...]]  # `list` means something else inside the class

_SCAN_ROWS: Final = 32  # read at once; times 128 KiB, the largest record, that is 4 MiB


class _Statements(NamedTuple):
    get: str
    put: str
    delete: str
    list: str
    count_rows: str
    clear: str
    scan: str
    scan_on: str

    @classmethod
    def of(cls, table: Table) -> "_Statements":
        # Names come from the enum alone; everything else is bound.
        one = f"FROM {table.value} WHERE partition = ? AND row = ?"
        many = f"FROM {table.value} WHERE partition = ?"
        walk = f"SELECT partition, row, record FROM {table.value}"  # noqa: S608
        order = f"ORDER BY partition, row LIMIT {_SCAN_ROWS}"
        return cls(
            get=f"SELECT record {one}",
            put=f"INSERT INTO {table.value} (partition, row, record) VALUES (?, ?, ?) "  # noqa: S608
            "ON CONFLICT (partition, row) DO UPDATE SET record = excluded.record",
            delete=f"DELETE {one}",
            list=f"SELECT row, record {many} ORDER BY row",
            count_rows=f"SELECT count(*) {many}",
            clear=f"DELETE {many} AND row IN (SELECT row {many} LIMIT ?)",
            scan=f"{walk} {order}",
            scan_on=f"{walk} WHERE (partition, row) > (?, ?) {order}",
        )


_SQL: Final = {table: _Statements.of(table) for table in Table}


class SQLiteTransaction(ValuesAsBytes):
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
        self._run(_SQL[table].put, partition, row, record)
        self.has_written = True

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> None:
        """See `Transaction.delete`."""
        check_place(table, partition, row)
        self._run(_SQL[table].delete, partition, row)
        self.has_written = True

    def list(self, table: Table, partition: bytes = b"") -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        check_place(table, partition)
        rows = self._run(_SQL[table].list, partition)
        return [(self._blob(row), self._blob(record)) for row, record in rows]

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        check_place(table, partition)
        found: int = self._run(_SQL[table].count_rows, partition)[0][0]
        return found

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        check_place(table, partition)
        check_limit(limit)
        most = -1 if limit is None else limit  # SQLite: a negative LIMIT is none
        self._run(_SQL[table].clear, partition, partition, most)
        self.has_written = True
        removed: int = self._run("SELECT changes()")[0][0]
        return removed

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        check_table(table)
        self._check()
        return self._walk(_SQL[table])

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `Transaction.savepoint`."""
        if self._in_savepoint:
            raise StoreError("a savepoint stands inside a transaction, and not inside another")
        self._run("SAVEPOINT block")
        self._in_savepoint = True
        try:
            yield
        except BaseException:
            if self._over is None:  # after an error of SQLite everything is undone anyway
                self._run("ROLLBACK TO block")
                self._run("RELEASE block")
            raise
        else:
            self._run("RELEASE block")
        finally:
            self._in_savepoint = False

    def end(self) -> None:
        """Refuse every further call; the caller commits.

        Raises:
            StoreError: the transaction failed before, or belongs to a parent process.
        """
        self._check()
        self._over = "the transaction has ended: begin a new one"

    def abandon(self) -> None:
        """Refuse every further call; the caller rolls back."""
        self._over = self._over or "the transaction has ended: begin a new one"

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
            self._over = "an operation of this transaction failed: nothing of it is saved"
            raise store_error(self._path, exc) from exc

    def _check(self) -> None:
        if self._over is not None:
            raise StoreError(self._over)
        if os.getpid() != self._pid:
            raise StoreError("the transaction belongs to the parent process: begin one of your own")

    def _blob(self, value: object) -> bytes:
        if type(value) is not bytes:
            raise StoreCorrupted(f"{self._path} holds something that no store wrote: restore it")
        return value
