# SPDX-License-Identifier: Apache-2.0
"""One SQLite file, shared by threads and processes.

Rules:
- One connection per thread and process. A connection is never used, and never closed, across
  fork: closing it in the child would drop locks and files that the parent works with.
- Whatever may write begins with BEGIN IMMEDIATE: a transaction that turns from reading to writing
  on the way fails under contention. A plain BEGIN serves only those that never write; so devices
  that look for messages do not queue behind each other.
- WAL and synchronous=FULL: what was answered is there after a crash. secure_delete=ON: what was
  acknowledged is overwritten in the file, at the latest when the last process closes it.
- A file that is not ours, or whose schema is another one, is refused before anything in it is
  changed.
- Every error of SQLite comes out as `BackendError`, with what to do about it.
- An exception at any instruction (Ctrl-C, a signal handler) leaves a connection right: each
  transaction has a turn, noted before anything is held. What a turn has left open the next one of
  that thread rolls back, and a turn that is over undoes nothing of a later one.
"""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Final

from e2ecross.errors import BackendError
from e2ecross.relay.schema import APPLICATION_ID, SCHEMA_VERSION, create_tables

__all__ = ["BUSY_TIMEOUT_MS", "Database"]

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a call waits for other processes, milliseconds: a thousand commits of a slow disk."""

_RETRY_SECONDS: Final = 0.01
_FILE_MODE: Final = 0o600  # SQLite gives -wal and -shm the same

_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another process held it for too long: try again",
    sqlite3.SQLITE_LOCKED: "another connection held it for too long: try again",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the folder and the permissions",
    sqlite3.SQLITE_READONLY: "it cannot be written: check the permissions of file and folder",
    sqlite3.SQLITE_FULL: "the disk is full: make room and try again",
    sqlite3.SQLITE_IOERR: "reading or writing failed: check the disk",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it or start with a new file",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite file: name another path; it was not changed",
}

# Connections inherited over a fork end up here, so that no destructor closes them.
_left_behind: list[object] = []


class _Connection:
    """The connection of one thread.

    Attributes:
        raw: SQLite's.
        turn: which transaction of the thread uses it; None if there is none.
    """

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self.turn: object = None
        self._process = os.getpid()
        self._thread = threading.get_ident()

    def close(self) -> None:
        """Close it when its transaction is over; begin none in the meantime."""
        # In its own thread there is none: that turn was left behind by an interrupt.
        give_up = time.monotonic() + 2 * BUSY_TIMEOUT_MS / 1000
        while self.turn is not None and self._thread != threading.get_ident():
            if time.monotonic() > give_up:
                return  # left behind as well: it is closed when its thread has ended
            time.sleep(_RETRY_SECONDS)
        self.raw.close()

    def __del__(self) -> None:
        # A thread has ended, or the database was dropped without close().
        if self._process == os.getpid():
            self.raw.close()
        else:
            _left_behind.append(self.raw)


class _Connections:
    """The connections of one process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.of_thread = threading.local()
        self.all: weakref.WeakSet[_Connection] = weakref.WeakSet()


class Database:
    """The relay's file; `reading()` and `writing()` are its transactions.

    Args:
        path: the file; it is created when it does not exist.

    Raises:
        BackendError: the file cannot be opened, is not a relay's, or has another schema.
    """

    def __init__(self, path: str) -> None:
        # Absolute, because each thread opens it anew and a program may change its folder.
        self.path = os.path.abspath(path)
        self._closed = False
        self._connections = _Connections()
        # Who writes to whom is for the relay's account only. An empty file is a new one to SQLite;
        # what cannot be created here fails there, with advice.
        with contextlib.suppress(OSError, ValueError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE))
        with self._errors():
            self._connection()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that may write: alone on the file, committed when the block ends.

        Raises:
            BackendError: SQLite failed; nothing of the block was kept.
        """
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One transaction that only reads: a single state of the file, beside any writer.

        Raises:
            BackendError: SQLite failed.
        """
        with self._transaction("BEGIN") as connection:
            yield connection

    def close(self) -> None:
        """Close the connections of this process; waits for transactions of other threads."""
        self._closed = True
        connections = self._connections
        if connections.process != os.getpid():
            return
        with connections.lock:
            for connection in list(connections.all):
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            connections.all.clear()
        connections.of_thread = threading.local()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._errors():
            connection = self._connection()
            raw, turn = connection.raw, object()
            try:
                connection.turn = turn
                self._require_open()  # close() may have come in between; from now on it waits
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
                raw.execute(begin)
                yield raw
                raw.execute("COMMIT")
            finally:
                if connection.turn is turn:
                    with contextlib.suppress(sqlite3.Error):
                        if raw.in_transaction:
                            raw.execute("ROLLBACK")
                    connection.turn = None

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the second: damaged text
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest is a detail of it
            advice = _ADVICE.get(code, f"SQLite reports: {error}")
            raise BackendError(f"the relay file {self.path} failed: {advice}") from error

    def _require_open(self) -> None:
        if self._closed:
            raise BackendError("the relay has been closed: open it anew")

    def _connection(self) -> _Connection:
        self._require_open()
        if self._connections.process != os.getpid():
            _left_behind.append(self._connections)
            self._connections = _Connections()
        connections = self._connections
        connection: _Connection | None = getattr(connections.of_thread, "connection", None)
        if connection is None:
            connection = _Connection(self._open())
            connections.of_thread.connection = connection
            with connections.lock:
                connections.all.add(connection)
        return connection

    def _open(self) -> sqlite3.Connection:
        # check_same_thread: close() closes the connections of all threads, under their locks.
        raw = sqlite3.connect(
            self.path,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(raw)
        except BaseException:
            raw.close()
            raise
        return raw

    def _prepare(self, raw: sqlite3.Connection) -> None:
        is_empty = self._is_empty(raw)
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("PRAGMA secure_delete = ON")
        if is_empty:
            raw.execute("BEGIN IMMEDIATE")
            try:
                if self._is_empty(raw):  # still: another process may have been first
                    create_tables(raw)
                raw.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    raw.execute("ROLLBACK")
                raise
        _switch_to_wal(raw)

    def _is_empty(self, raw: sqlite3.Connection) -> bool:
        """Whether the file is a new one; what is not a relay's of this schema is refused."""
        # One statement, so one state of the file: another process may be creating it.
        application_id, version, objects = raw.execute(
            "SELECT application_id, user_version, (SELECT COUNT(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if application_id == APPLICATION_ID:
            if version > SCHEMA_VERSION:
                raise BackendError(
                    f"the relay file {self.path} has schema {version}, this release reads schema "
                    f"{SCHEMA_VERSION}: upgrade e2ecross"
                )
            if version == SCHEMA_VERSION:
                return False
        if application_id or version or objects:
            raise BackendError(
                f"{self.path} is not the file of a relay: name another path; it was not changed"
            )
        return True


def _switch_to_wal(raw: sqlite3.Connection) -> None:
    # SQLite does not wait by itself here when several processes open a new file at once.
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            raw.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(_RETRY_SECONDS)
