# SPDX-License-Identifier: Apache-2.0
"""A store in one SQLite file, for several threads and processes at once.

Rules:
- One connection per thread and process. A forked child neither uses nor closes its parent's.
- Every transaction begins with BEGIN IMMEDIATE: one that reads first and writes later would fail
  as soon as somebody else wrote in between.
- After an error of SQLite a transaction is over: SQLite may have rolled it back by itself, and
  what came next would be committed alone.
- Superseded records stay readable in the WAL until it is truncated: on `close`, and after
  `TRUNCATE_EVERY` commits. In the file itself they are wiped (schema/0001.sql says how).
- Every error comes out as `StoreError`.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, NoReturn, Self, SupportsIndex

from e2ecross.errors import InvalidArgument, StoreClosed
from e2ecross.stores.base import Transaction
from e2ecross.stores.checks import DEFAULT_BUSY_TIMEOUT_MS, check_busy_timeout
from e2ecross.stores.sealing import (
    SYSTEM_ENTROPY,
    EntropySource,
    Sealer,
    check_store_key,
    create_sealing,
    open_sealing,
)
from e2ecross.stores.sqlite_connections import Connections
from e2ecross.stores.sqlite_errors import DRIVER_ERRORS, store_error
from e2ecross.stores.sqlite_file import connect, create, recognise, use_wal
from e2ecross.stores.sqlite_schema import check_version, prepare
from e2ecross.stores.sqlite_transaction import SQLiteTransaction

__all__ = ["TRUNCATE_EVERY", "SQLiteStore"]

TRUNCATE_EVERY: Final = 64
"""Commits between two truncations of the WAL: bounds how many superseded states a thief of the
files finds, for less than a tenth of the time that the commits themselves need."""

_TRUNCATE_AGAIN: Final = 8  # commits until the next try when somebody was reading


class SQLiteStore:
    """A store in one file; created, readable for its owner only, when there is none.

    Args:
        path: the file. Beside it SQLite keeps `-wal` and `-shm` while the store is open.
        key: 32 bytes, secret: every record is encrypted and every look-up key blinded. None: the
            file holds them in the clear.
        busy_timeout_ms: how long a transaction waits for other threads of this process, and then
            for other processes, in milliseconds.
        entropy: source of salts and nonces.

    Raises:
        InvalidArgument: an argument has the wrong type, length or range.
        WrongStoreKey: the store has another key, or none, or needs one. The file is unchanged.
        StoreCorrupted: the file is damaged, or something else. It is unchanged.
        StoreTooNew: a later release wrote it. It is unchanged.
        StoreBusy: other processes held it for too long.
        StoreError: it cannot be read or written.
    """

    __slots__ = ("_busy_timeout_ms", "_by_process", "_closed", "_path", "_sealer")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: bytes | None = None,
        busy_timeout_ms: int = DEFAULT_BUSY_TIMEOUT_MS,
        entropy: EntropySource = SYSTEM_ENTROPY,
    ) -> None:
        self._path = _check_path(path)
        check_store_key(key)
        self._busy_timeout_ms = check_busy_timeout(busy_timeout_ms)
        self._closed = False
        self._by_process: dict[int, Connections] = {}
        self._sealer = self._prepare(key, entropy)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Begin a transaction; see `Store.transaction`."""
        connections = self._enter()
        try:
            with self._as_store_errors():
                connection = connections.of_this_thread()
            transaction = SQLiteTransaction(connection, self._path)
            try:
                with self._as_store_errors():
                    connection.execute("BEGIN IMMEDIATE")
                    check_version(connection)
                yield self._sealer.wrap(transaction) if self._sealer else transaction
                transaction.end()
                with self._as_store_errors():
                    connection.execute("COMMIT")
            except BaseException:
                transaction.abandon()
                if connections.are_ours() and not _is_rolled_back(connection):
                    connections.discard(connection)
                raise
            if transaction.has_written:
                _truncate_now_and_then(connections, connection, self._busy_timeout_ms)
        finally:
            if connections.are_ours():
                connections.gate.leave()

    def close(self) -> None:
        """Truncate the WAL and close the connections of all threads of this process.

        Later use raises `StoreClosed`; closing again does nothing. While another process is in
        the store, its WAL may stay; the last one to close removes it.

        Raises:
            StoreBusy: another thread was inside a transaction for too long; not closed.
            StoreError: this thread is inside a transaction; not closed.
        """
        if self._closed:
            return
        connections = self._enter()
        try:
            self._closed = True
            with self._as_store_errors():
                connections.close()
        finally:
            connections.gate.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._path!r}: {'closed' if self._closed else 'open'}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a SQLiteStore cannot be pickled or copied: open its path again")

    def _prepare(self, key: bytes | None, entropy: EntropySource) -> Sealer | None:
        sealer: Sealer | None = None

        def open_header(header: bytes) -> None:
            nonlocal sealer
            sealer = open_sealing(key, header, entropy)

        with self._as_store_errors():
            create(self._path)
            recognise(self._path)
            connection = connect(self._path, self._busy_timeout_ms)
            try:
                prepare(connection, lambda: create_sealing(key, entropy), open_header)
                use_wal(connection, self._busy_timeout_ms)
            finally:
                connection.close()
        return sealer

    def _enter(self) -> Connections:
        """Take the gate of this process; the caller leaves it."""
        pid = os.getpid()
        # setdefault is atomic: threads that come first together agree on one.
        connections = self._by_process.get(pid) or self._by_process.setdefault(
            pid, Connections(self._path, self._busy_timeout_ms)
        )
        connections.gate.enter(self._busy_timeout_ms)
        if self._closed:
            connections.gate.leave()
            raise StoreClosed("the store has been closed: open it anew")
        return connections

    @contextmanager
    def _as_store_errors(self) -> Iterator[None]:
        try:
            yield
        except DRIVER_ERRORS as exc:
            raise store_error(self._path, exc) from exc


def _check_path(path: object) -> str:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgument("path must be the name of a file, as str or os.PathLike[str]")
    if text == ":memory:":
        raise InvalidArgument("path must be the name of a file: use MemoryStore for memory")
    return os.path.abspath(text)  # the working directory may change


def _is_rolled_back(connection: sqlite3.Connection) -> bool:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        return False
    return True


def _truncate_now_and_then(
    connections: Connections, connection: sqlite3.Connection, busy_timeout_ms: int
) -> None:
    connections.commits += 1
    if connections.commits < TRUNCATE_EVERY:
        return
    connections.commits = TRUNCATE_EVERY - _TRUNCATE_AGAIN
    # Best effort, without waiting: the commit stands, whatever happens here.
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        if not busy:
            connections.commits = 0
