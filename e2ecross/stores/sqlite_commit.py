# SPDX-License-Identifier: Apache-2.0
"""How a transaction of a SQLite store begins and ends, and what follows some commits.

Rules:
- Every transaction begins with BEGIN IMMEDIATE, and by making sure that nobody else has written;
  or else that schema and key are still those that the store was opened with, and that nothing which
  was read before is taken for what is there now.
- One that fails is rolled back; a connection on which even that fails is closed.
- Everything here is called by the thread that holds the gate.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from e2ecross.stores.sqlite_connections import Connections
from e2ecross.stores.sqlite_errors import as_store_errors
from e2ecross.stores.sqlite_schema import check_unchanged, pragma_value
from e2ecross.stores.sqlite_transaction import SQLiteTransaction

__all__ = ["TRUNCATE_EVERY", "begin", "truncate_now_and_then"]

TRUNCATE_EVERY: Final = 64
"""Commits between two truncations of the WAL: bounds how many superseded states a thief of the
files finds, for less than a tenth of the time that the commits themselves need."""

_TRUNCATE_AGAIN: Final = 8  # commits until the next try when somebody was reading


@contextmanager
def begin(
    connections: Connections, path: str, sealing: bytes
) -> Iterator[tuple[sqlite3.Connection, SQLiteTransaction]]:
    """A transaction that commits when its block ends, and is undone when that raises.

    Args:
        connections: of this process; this thread holds their gate.
        path: the file, for messages.
        sealing: the header that the store was opened with.

    Raises:
        WrongStoreKey: the key was changed since.
        StoreError: the store cannot be read or written.
    """
    with as_store_errors(path):
        connection = connections.of_this_thread()
    transaction = SQLiteTransaction(connection, path)
    try:
        with as_store_errors(path):
            connection.execute("BEGIN IMMEDIATE")
            data_version = pragma_value(connection, "data_version")
            if not connections.is_as_seen(data_version):
                check_unchanged(connection, sealing)
                connections.note_seen(data_version)
        yield connection, transaction
        transaction.end()
        with as_store_errors(path):
            connection.execute("COMMIT")
    except BaseException:
        transaction.abandon()
        connections.values.clear()
        if connections.are_ours() and not _is_rolled_back(connection):
            connections.discard(connection)
        raise


def truncate_now_and_then(
    connections: Connections, connection: sqlite3.Connection, busy_timeout_ms: int
) -> None:
    """Truncate the WAL, unless the last time was a short while ago or somebody is reading.

    Args:
        connections: of this process; they count the commits.
        connection: of this thread, outside of a transaction.
        busy_timeout_ms: what the connection is left with, in milliseconds.
    """
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


def _is_rolled_back(connection: sqlite3.Connection) -> bool:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        return False
    return True
