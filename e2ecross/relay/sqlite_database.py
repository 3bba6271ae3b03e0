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
  changed. It is made when a relay is opened, and never again: one that was removed or replaced
  under an open relay is refused by every transaction.
- An exception may come at any instruction (a signal, Ctrl-C, no memory). So a transaction is a
  call, and its end is SQLite's own `with`, in which no signal is handled. Who holds a connection is
  recorded before it is taken; a holder whose call is over is nobody, and what it left open is
  rolled back by the next one.
- Every error of SQLite comes out as `BackendError`, with what to do about it.
"""

import contextlib
import os
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from e2ecross.errors import BackendError
from e2ecross.relay.database import Lock
from e2ecross.relay.failures import DRIVER_ERRORS, backend_error, require_single_file
from e2ecross.relay.schema import APPLICATION_ID, SCHEMA_VERSION, create_tables

__all__ = ["BUSY_TIMEOUT_MS", "SQLiteDatabase"]

BUSY_TIMEOUT_MS: Final = 10_000
"""How long a call waits for other processes, milliseconds: a thousand commits of a slow disk."""

_RETRY_SECONDS: Final = 0.01
_FILE_MODE: Final = 0o600  # SQLite gives -wal and -shm the same

# Connections inherited over a fork end up here, so that no destructor closes them.
_left_behind: list[object] = []

T = TypeVar("T")


class _Connection:
    """The connection of one thread, and the call that is inside a transaction with it."""

    _process: int | None = None  # until it is known

    def __init__(self, raw: sqlite3.Connection, known: "dict[int, _Reference]") -> None:
        self.raw = raw
        self._holder: FrameType | None = None
        # Before anybody has it, so that closing finds it whatever comes next.
        self._known = known
        known[id(self)] = weakref.ref(self)
        self._process = os.getpid()

    def take(self, holder: FrameType) -> None:
        """Record who is inside.

        Raises:
            BackendError: the thread is inside already.
        """
        if self.is_held():
            raise BackendError(
                "this thread is inside another call of the relay (a signal handler, or a clock, "
                "that calls it): call it when that has returned"
            )
        self._holder = holder

    def leave(self) -> None:
        """Record that nobody is inside any more."""
        self._holder = None

    def close(self) -> None:
        """Close it when nobody is inside; leave it to its thread if that takes too long."""
        give_up = time.monotonic() + 2 * BUSY_TIMEOUT_MS / 1000
        while self.is_held():
            if time.monotonic() > give_up:
                return
            time.sleep(_RETRY_SECONDS)
        self.raw.close()

    def is_held(self) -> bool:
        """Whether a call is inside."""
        holder = self._holder
        if holder is None:
            return False
        try:
            # What Python refuses for a call that is still running. One that is over may be kept by
            # the traceback of its exception, and loses its variables there.
            holder.clear()
        except RuntimeError:
            return True
        return False

    def __del__(self) -> None:
        # A thread has ended, or the database was dropped without close().
        if self._process is None:  # or it was interrupted while it was made: `raw` ends with it
            return
        if self._process == os.getpid():
            self._known.pop(id(self), None)
            self.raw.close()
        else:
            _left_behind.append(self.raw)


_Reference = weakref.ref[_Connection]


class _Connections:
    """The connections of one process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.of_thread = threading.local()
        self.all: dict[int, _Reference] = {}  # by id(); each step on it is one of Python's own


class SQLiteDatabase:
    """The relay's file; `read()` and `write()` are its transactions.

    Args:
        path: the file; it is created when it does not exist.

    Raises:
        BackendError: the file cannot be opened, is not a relay's, or has another schema.
    """

    is_shared: Final = False  # one process: SQLite has one writer, more would gain nothing

    def __init__(self, path: str) -> None:
        # Absolute, because each thread opens it anew and a program may change its folder.
        self.name = os.path.abspath(path)
        self._closed = False
        self._connections = _Connections()
        try:
            # Who writes to whom is for the relay's account only. To SQLite an empty file is new.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE))
            found = require_single_file(self.name)
            self._identity = (found.st_dev, found.st_ino)
            self._connection()
        except OSError as error:
            if error.errno is None:  # a signal handler's, such as TimeoutError: it passes
                raise
            raise backend_error(self.name, error) from error
        except DRIVER_ERRORS as error:
            raise backend_error(self.name, error) from error

    def write(self, work: Callable[[sqlite3.Connection], T], *locked: Lock) -> T:
        """Do some work in one transaction that may write: alone on the file; all of it or nothing.

        So nothing has to be locked.

        An exception that comes with the commit passes when the work may have been done.

        Raises:
            BackendError: SQLite failed, or the file is not there any more; nothing was kept.
        """
        return self._transact("BEGIN IMMEDIATE", work)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work in one transaction that only reads: a single state, beside any writer.

        Raises:
            BackendError: SQLite failed, or the file is not there any more.
        """
        return self._transact("BEGIN", work)

    def size_bytes(self) -> int:
        """Return the size of the file with its log."""
        names = (self.name, f"{self.name}-wal")
        return sum(os.path.getsize(name) for name in names if os.path.exists(name))

    def close(self) -> None:
        """Close the connections of this process; waits for transactions of other threads.

        Raises:
            BackendError: this thread is inside a transaction.
        """
        connections = self._connections
        if connections.process != os.getpid():
            self._closed = True
            return
        own: _Connection | None = getattr(connections.of_thread, "connection", None)
        if own is not None and own.is_held():
            raise BackendError("this thread is inside a call of the relay: close it after that")
        self._closed = True
        for reference in list(connections.all.values()):
            connection = reference()
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        connections.of_thread = threading.local()
        connections.all.clear()

    def _transact(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        self._require_open()
        self._require_same_file()
        try:
            connection = self._connection()
            connection.take(sys._getframe())
            try:
                self._require_open()  # close() may have come in between; it waits from now on
                return self._run(connection.raw, begin, work)
            finally:
                connection.leave()
        except DRIVER_ERRORS as error:
            raise backend_error(self.name, error) from error

    def _run(
        self, raw: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], T]
    ) -> T:
        if raw.in_transaction:  # a call of this thread was interrupted twice
            raw.execute("ROLLBACK")
        try:
            with raw:  # which commits, or rolls back
                raw.execute(begin)
                result = work(raw)
                # Again, because the transaction may have waited: what goes into a file that is
                # gone is lost, and must not be answered as kept.
                self._require_same_file()
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise
        return result

    def _require_open(self) -> None:
        if self._closed:
            raise BackendError("the relay has been closed: open it anew")

    def _require_same_file(self) -> None:
        try:
            found = os.stat(self.name)
        except FileNotFoundError:
            found = None
        except OSError as error:
            if error.errno is None:  # as above
                raise
            raise backend_error(self.name, error) from error
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            raise BackendError(
                f"the relay file {self.name} was {'removed' if found is None else 'replaced'} "
                f"while it was open: put it back, or open a relay anew"
            )

    def _connection(self) -> _Connection:
        if self._connections.process != os.getpid():
            _left_behind.append(self._connections)
            self._connections = _Connections()
        connections = self._connections
        connection: _Connection | None = getattr(connections.of_thread, "connection", None)
        if connection is None:
            connection = _Connection(self._open(), connections.all)
            connections.of_thread.connection = connection
        return connection

    def _open(self) -> sqlite3.Connection:
        # mode=rw: a file that was removed is not made anew. check_same_thread: close() closes the
        # connections of all threads.
        raw = sqlite3.connect(
            f"{Path(self.name).as_uri()}?mode=rw",
            uri=True,
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
            with raw:
                raw.execute("BEGIN IMMEDIATE")
                if self._is_empty(raw):  # still: another process may have been first
                    create_tables(raw)
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
                    f"the relay file {self.name} has schema {version}, this release reads schema "
                    f"{SCHEMA_VERSION}: upgrade e2ecross"
                )
            if version == SCHEMA_VERSION:
                return False
        if application_id or version or objects:
            raise BackendError(
                f"{self.name} is not the file of a relay: name another path; it was not changed"
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
