# SPDX-License-Identifier: Apache-2.0
"""The connections of one process to the file of a `SQLiteStore`, one per thread.

Rules:
- Everything here is called by the thread that is inside the gate.
- The connection that a transaction is begun on is written down before, and crossed out when all of
  it is in order again. So whoever comes next finds what an interrupt has left, and undoes it.
- The connections of threads that have ended are closed when the next one is opened, so there are
  never more than live threads, plus those that ended since.
- In a forked child the parent's connections are never used, and kept from the garbage collector.
  When the child exits, SQLite closes them without removing the WAL: that needs a lock which the
  parent's shared one forbids.
"""

import contextlib
import os
import sqlite3
import sys
import threading
import weakref
from typing import Final

from e2ecross.stores.gate import Gate
from e2ecross.stores.sqlite_file import connect, use_wal
from e2ecross.stores.sqlite_identity import Place, Stamp
from e2ecross.stores.value_cache import ValueCache

__all__ = ["Connections", "Way"]


class _Alive:
    """Lives as long as the thread that it was made in."""

    __slots__ = ("__weakref__",)


class Way:
    """One thread's way to the file.

    Attributes:
        connection: of that thread.
        alive: gives None when the thread has ended.
        closed: whether the connection is closed, or about to be.
        data_version: what SQLite said when the thread last looked into the file; None when it is
            not known any more whether anybody has written since.
        stamp: of the file when the thread last looked at it.
        is_hasty: whether the connection may wait for nobody just now.
    """

    __slots__ = ("alive", "closed", "connection", "data_version", "is_hasty", "stamp")

    def __init__(self, connection: sqlite3.Connection, alive: "weakref.ref[_Alive]") -> None:
        self.connection = connection
        self.alive = alive
        self.closed = False
        self.data_version: int | None = None
        self.stamp: Stamp | None = None
        self.is_hasty = False


class Connections:
    """One process's way to the file.

    Args:
        path: absolute name of the file.
        busy_timeout_ms: how long threads wait here, and SQLite for other processes, milliseconds.
        cached_values: how many values are kept at most.

    Attributes:
        gate: lets one thread at a time in.
        in_use: what a transaction was begun on that is not in order yet.
        values: what was read and written, as long as no other connection has written.
        truncate_at: from which generation on to try again to truncate the WAL, after somebody was
            reading; None: nobody was.
        wal: where the WAL is that the open connections have; None when there are none.
    """

    __slots__ = (
        "__weakref__",
        "_all",
        "_path",
        "_pid",
        "_thread",
        "busy_timeout_ms",
        "gate",
        "in_use",
        "truncate_at",
        "values",
        "wal",
    )

    def __init__(self, path: str, busy_timeout_ms: int, cached_values: int) -> None:
        self.gate = Gate()
        self.values = ValueCache(cached_values)
        self.busy_timeout_ms = busy_timeout_ms
        self.in_use: Way | None = None
        self.truncate_at: int | None = None
        self.wal: Place | None = None
        self._path = path
        self._pid = os.getpid()
        self._thread = threading.local()
        self._all: list[Way] = []
        _of_this_process.add(self)

    def are_ours(self) -> bool:
        """Whether this is still the process that opened them."""
        return os.getpid() == self._pid

    def of_this_thread(self) -> Way:
        """The way of the calling thread, opened when there is none.

        Raises:
            sqlite3.Error: it cannot be opened.
            StoreError: this SQLite or file system cannot hold a store.
        """
        way: Way | None = getattr(self._thread, "way", None)
        if way is None or way.closed:
            for ended in [other for other in self._all if other.alive() is None]:
                self._close(ended)
            way = self._open()
        return way

    def be_hasty(self, way: Way) -> None:
        """Let a connection wait for nobody, until `be_patient`."""
        way.is_hasty = True
        way.connection.execute("PRAGMA busy_timeout = 0")

    def be_patient(self, way: Way) -> None:
        """Let a connection wait for others again."""
        if way.is_hasty:
            way.connection.execute(f"PRAGMA busy_timeout = {self.busy_timeout_ms}")
            way.is_hasty = False

    def clear_leftovers(self) -> None:
        """Undo a transaction that nobody is in any more; may be interrupted and done again."""
        way = self.in_use
        if way is None:
            return
        # What it put was not written, or nobody knows.
        self.values.clear()
        if not way.closed and not _is_rolled_back(way.connection):
            self._close(way)  # its state is not known: the next one gets another
        self.in_use = None

    def close(self) -> None:
        """Truncate the WAL, if nobody else is reading, and close them all."""
        self.values.clear()
        for way in self._all[:1]:
            # Best effort: the commits are durable already.
            with contextlib.suppress(sqlite3.Error):
                way.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for way in list(self._all):
            self._close(way)

    def _open(self) -> Way:
        connection = connect(self._path, self.busy_timeout_ms)
        try:
            use_wal(connection, self.busy_timeout_ms)
        except BaseException:
            connection.close()
            raise
        alive = _Alive()
        way = Way(connection, weakref.ref(alive))
        self._all.append(way)
        self._thread.alive, self._thread.way = alive, way
        return way

    def _close(self, way: Way) -> None:
        way.closed = True
        if all(other.closed for other in self._all):
            self.wal = None  # before it goes with the last one: the next may find another
        with contextlib.suppress(sqlite3.Error):
            way.connection.close()
        self._all = [other for other in self._all if other is not way]


def _is_rolled_back(connection: sqlite3.Connection) -> bool:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        return False
    return True


_of_this_process: Final[weakref.WeakSet[Connections]] = weakref.WeakSet()
_of_parents: Final[list[Connections]] = []


def _keep_parents() -> None:
    _of_parents.extend(_of_this_process)
    _of_this_process.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_keep_parents)
