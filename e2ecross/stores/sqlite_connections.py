# SPDX-License-Identifier: Apache-2.0
"""The connections of one process to the file of a `SQLiteStore`, one per thread.

Rules:
- Everything here is called by the thread that holds the gate.
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
from e2ecross.stores.value_cache import ValueCache

__all__ = ["Connections"]


class _Alive:
    """Lives as long as the thread that it was made in."""

    __slots__ = ("__weakref__",)


class Connections:
    """One process's way to the file.

    Args:
        path: absolute name of the file.
        busy_timeout_ms: how long SQLite waits for other processes, in milliseconds.
        cached_values: how many values are kept at most.

    Attributes:
        gate: lets one thread at a time in.
        commits: how many since the WAL was last truncated.
        values: what was read and written, as long as no other connection has written.
    """

    __slots__ = (
        "__weakref__",
        "_all",
        "_busy_timeout_ms",
        "_path",
        "_pid",
        "_thread",
        "commits",
        "gate",
        "values",
    )

    def __init__(self, path: str, busy_timeout_ms: int, cached_values: int) -> None:
        self.gate = Gate()
        self.commits = 0
        self.values = ValueCache(cached_values)
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._pid = os.getpid()
        self._thread = threading.local()
        self._all: list[tuple[weakref.ref[_Alive], sqlite3.Connection]] = []
        _of_this_process.add(self)

    def are_ours(self) -> bool:
        """Whether this is still the process that opened them."""
        return os.getpid() == self._pid

    def of_this_thread(self) -> sqlite3.Connection:
        """The connection of the calling thread, opened when there is none.

        Raises:
            sqlite3.Error: it cannot be opened.
            StoreError: this SQLite or file system cannot hold a store.
        """
        connection: sqlite3.Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            self._close_ended()
            connection = connect(self._path, self._busy_timeout_ms)
            try:
                use_wal(connection, self._busy_timeout_ms)
            except BaseException:
                connection.close()
                raise
            alive = _Alive()
            self._all.append((weakref.ref(alive), connection))
            self._thread.alive, self._thread.connection = alive, connection
            self._thread.data_version = None
        return connection

    def is_as_seen(self, data_version: int) -> bool:
        """Tell whether nobody else has written since the calling thread last looked.

        Otherwise the values are cleared. All threads share them: what one has kept, another one
        finds changed only if somebody has written after its own last look.

        Args:
            data_version: of the calling thread's connection, read inside its transaction. SQLite
                changes it when another connection, of whatever process, has committed.
        """
        if self._thread.data_version == data_version:
            return True
        self.values.clear()
        return False

    def note_seen(self, data_version: int) -> None:
        """Note that the calling thread has looked, and that the store is still the same one."""
        self._thread.data_version = data_version

    def discard(self, connection: sqlite3.Connection) -> None:
        """Close a connection of the calling thread whose state is not known any more."""
        self._thread.connection = None
        self._all = [entry for entry in self._all if entry[1] is not connection]
        connection.close()

    def close(self) -> None:
        """Truncate the WAL, if nobody else is reading, and close them all."""
        self.values.clear()
        entries, self._all = self._all, []
        self._thread = threading.local()
        for _, connection in entries[:1]:
            # Best effort: the commits are durable already.
            with contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for _, connection in entries:
            connection.close()

    def _close_ended(self) -> None:
        ended = [entry for entry in self._all if entry[0]() is None]
        self._all = [entry for entry in self._all if entry[0]() is not None]
        for _, connection in ended:
            connection.close()


_of_this_process: Final[weakref.WeakSet[Connections]] = weakref.WeakSet()
_of_parents: Final[list[Connections]] = []


def _keep_parents() -> None:
    _of_parents.extend(_of_this_process)
    _of_this_process.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_keep_parents)
