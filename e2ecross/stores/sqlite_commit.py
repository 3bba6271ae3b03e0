# SPDX-License-Identifier: Apache-2.0
"""How a transaction of a SQLite store begins and ends, and what follows some commits.

Rules:
- Every transaction begins with BEGIN IMMEDIATE, and by making sure that the file is the one that
  was opened and that nobody else has written; or else that schema, generation and key are what they
  may be, and that nothing which was read before is taken for what is there now.
- One that fails is rolled back; a connection on which even that fails is closed.
- What an exception at any instruction leaves half done is undone at once where that can be, and by
  whoever comes next in any case: nothing is known of a transaction before it is in order.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

from e2ecross.arguments import forget_locals
from e2ecross.errors import StoreClosed, StoreError
from e2ecross.stores.base import Transaction
from e2ecross.stores.gate import Stay, Turn
from e2ecross.stores.sqlite_connections import Connections, Way
from e2ecross.stores.sqlite_errors import as_store_errors
from e2ecross.stores.sqlite_identity import OpenedFile, Sealing
from e2ecross.stores.sqlite_schema import pragma_value, write_generation
from e2ecross.stores.sqlite_transaction import SQLiteTransaction
from e2ecross.stores.value_cache import CachingTransaction

__all__ = ["LARGE_WAL_BYTES", "RESTART_EVERY", "TRUNCATE_EVERY", "Block"]

RESTART_EVERY: Final = 32
"""Commits to a file, by whatever process, after which its WAL is written back and begun anew: the
next ones overwrite its front. A commit over bytes that the file has already costs half of one that
makes it longer."""

TRUNCATE_EVERY: Final = 256
"""Commits to a file, by whatever process, between two truncations of its WAL: bounds how many
superseded states a thief of the files finds in what was not overwritten."""

LARGE_WAL_BYTES: Final = 1024 * 1024
"""A commit that leaves a longer WAL truncates it at once: what follows would not overwrite it soon.
Thirty-two ordinary ones write a quarter of that."""

_TRUNCATE_AGAIN: Final = 8  # commits until the next try when somebody was reading


class Block(Turn):
    """One transaction: commits when its with block ends, and is undone when that raises.

    Args:
        file: what the store knows of its file.
        find: gives the connections of this process.

    Attributes:
        way: on which it was begun.
        transaction: what the file holds, with nothing in between.
        new_sealing: what the file gets with this commit instead of its sealing, if anything.
    """

    __slots__ = (
        "_caching",
        "_connections",
        "_file",
        "_find",
        "new_sealing",
        "transaction",
        "way",
    )

    way: Way
    transaction: SQLiteTransaction

    def __init__(self, file: OpenedFile, find: Callable[[], Connections]) -> None:
        super().__init__()
        self._file = file
        self._find = find
        self._connections: Connections | None = None
        self._caching: CachingTransaction | None = None
        self.new_sealing: Sealing | None = None

    def __enter__(self) -> Transaction:
        """Begin it.

        Raises:
            WrongStoreKey: the key was changed since the store was opened.
            StoreCorrupted: the file was replaced since, or an older state put into it.
            StoreError: the store cannot be read or written.
        """
        connections = self._find()
        self.take(connections.gate, connections.busy_timeout_ms)
        self._connections = connections
        try:
            if self._file.closed:
                raise StoreClosed("the store has been closed: open it anew")
            with as_store_errors(self._file.path):
                self._begin(connections)
            self._caching = caching = self._wrap(connections)
        except BaseException:
            self._undo()
            self.end()
            raise
        return caching

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit it, or undo it."""
        try:
            if kind is None and self._connections is not None:
                self._commit(self._connections)
        finally:
            self._undo()  # nothing is left after a commit
            self.end()
            if error is not None:
                forget_locals(error)  # what was to be written is in them

    def abandon(self) -> None:
        """Undo it now: until somebody does, other processes wait for it."""
        self._refuse()
        self.end()
        connections = self._connections
        if connections is not None and connections.are_ours():
            with suppress(StoreError), Stay(connections.gate, 0):
                connections.clear_leftovers()

    def _begin(self, connections: Connections) -> None:
        file = self._file
        connections.clear_leftovers()
        stamp = file.check_place(connections.wal)
        way = self.way = connections.of_this_thread()
        connections.in_use = way
        connection = way.connection
        connections.be_patient(way)
        if way.stamp != stamp:
            # The WAL was written back, or somebody has written past SQLite: read all of it again.
            way.data_version = None
            connection.execute("PRAGMA shrink_memory")
            way.stamp = stamp
        connection.execute("BEGIN IMMEDIATE")
        # "Nobody else has written" is a proof: BEGIN IMMEDIATE keeps everybody out from here to
        # the commit, and SQLite changes `data_version` when a connection that is not this one has
        # committed, in whatever thread or process, since this one last looked. The values are those
        # of all threads: one that finds its own number unchanged finds what the others have kept
        # unchanged too, because their commits would have changed it.
        data_version = pragma_value(connection, "data_version")
        if way.data_version != data_version:
            connections.values.clear()
            if connections.wal is None:
                connections.wal = file.wal_place()
            file.check_place(connections.wal)  # a connection that is new has opened it by name
            file.check_content(connection)
            way.data_version = data_version

    def _wrap(self, connections: Connections) -> CachingTransaction:
        self.transaction = SQLiteTransaction(self.way.connection, self._file.path)
        sealer = self._file.sealing[1]
        inner = sealer.wrap(self.transaction) if sealer else self.transaction
        return CachingTransaction(inner, connections.values)

    def _commit(self, connections: Connections) -> None:
        file, way, transaction = self._file, self.way, self.transaction
        if self._caching is not None:
            self._caching.finish()
            self._caching.end()
        transaction.end()
        with as_store_errors(file.path):
            if not transaction.has_written:
                way.connection.execute("COMMIT")
                connections.in_use = None
                return
            # From the commit on, until it is known how it ended, nothing is known of the file: only
            # that its key is the one or the other.
            file.next_sealing = self.new_sealing
            seen, way.data_version = way.data_version, None
            generation = file.generation + 1
            write_generation(way.connection, generation)
            way.connection.execute("COMMIT")
            way.stamp = file.check_place(connections.wal)  # nothing is released that is not there
            file.generation = generation
            file.sealing = self.new_sealing or file.sealing
            way.data_version = seen
            connections.in_use = None
        _tidy_wal(connections, way, file)

    def _undo(self) -> None:
        self._refuse()
        connections = self._connections
        if connections is not None and connections.are_ours():
            connections.clear_leftovers()

    def _refuse(self) -> None:
        """Let nobody use what was handed out."""
        if self._caching is not None:
            self._caching.end()
            self.transaction.abandon()


def _tidy_wal(connections: Connections, way: Way, file: OpenedFile) -> None:
    """Truncate the WAL or begin it anew if it is time to, unless somebody is reading."""
    generation, due = file.generation, connections.truncate_at
    if due is not None and generation < due:
        return
    if due is not None or not generation % TRUNCATE_EVERY or file.wal_bytes > LARGE_WAL_BYTES:
        mode = "TRUNCATE"
    elif not generation % RESTART_EVERY:
        mode = "RESTART"
    else:
        return
    connections.truncate_at = generation + _TRUNCATE_AGAIN
    # Best effort, without waiting: the commit stands, whatever happens here.
    with suppress(sqlite3.Error, OSError, StoreError):
        connections.be_hasty(way)
        try:
            busy = way.connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0]
        finally:
            connections.be_patient(way)
        if not busy:
            connections.truncate_at = None
        way.stamp = file.check_place(connections.wal)
