# SPDX-License-Identifier: Apache-2.0
"""The schema of a `SQLiteStore`: its number, how it is created, and whose file it is in.

Rules:
- It is created in one transaction, and what that finds is read inside of it: of two processes that
  create a store at once one does it and the other finds it done.
- The application id is committed with the schema, in rollback mode; only then WAL is turned on. So
  a file of ours carries its id in its own first page, whatever its WAL holds.
- The file counts its commits, in the transaction of each.
- The key is checked before anything is written.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from e2ecross.errors import StoreCorrupted, StoreTooNew

__all__ = [
    "APPLICATION_ID",
    "PAGE_BYTES",
    "SCHEMA_VERSION",
    "check_version",
    "pragma_value",
    "prepare",
    "read_meta",
    "replace_sealing",
    "wipe_old_key",
    "write_generation",
]

APPLICATION_ID: Final = 0x65326543
"""Bytes 68 to 71 of the file: "e2eC"."""

SCHEMA_VERSION: Final = 1
"""The number of the file in schema/, and the `user_version` of a store."""

PAGE_BYTES: Final = 1024
"""The page size of every store; schema/0001.sql relies on it."""

_SEALING: Final = "sealing"
_WIPE: Final = "wipe"
_GENERATION: Final = "generation"
_GENERATION_BYTES: Final = 8  # big-endian


def prepare(
    connection: sqlite3.Connection,
    create_sealing: Callable[[], bytes],
    open_sealing: Callable[[bytes], None],
) -> None:
    """Create the store in an empty file, or check that the file holds one, and its key.

    Args:
        connection: to a file that is empty or looks like ours.
        create_sealing: makes the sealing header of a new store.
        open_sealing: checks a header, and raises before anything is written.

    Raises:
        StoreCorrupted: not a store of ours.
        StoreTooNew: of a later schema.
        sqlite3.Error: what SQLite says.
    """
    # One snapshot for all that is read, lest another process creates the store in between.
    connection.execute("BEGIN")
    try:
        sealing = read_meta(connection)[0] if _is_ours(connection) else None
    finally:
        _roll_back(connection)
    # Outside of any transaction: a passphrase costs a second.
    if sealing is None:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        sealing = _create(connection, create_sealing())
    open_sealing(sealing)


def read_meta(connection: sqlite3.Connection) -> tuple[bytes, int]:
    """The sealing header, and how many commits the file has counted.

    Raises:
        StoreCorrupted: something is missing, or is not what a store writes.
    """
    found = dict(connection.execute("SELECT name, value FROM store_meta").fetchall())
    sealing, generation = found.get(_SEALING), found.get(_GENERATION)
    if type(sealing) is not bytes:
        raise StoreCorrupted("the store does not say whether it is encrypted: it is damaged")
    if type(generation) is not bytes or len(generation) != _GENERATION_BYTES:
        raise StoreCorrupted("the store does not say how often it was written: it is damaged")
    return sealing, int.from_bytes(generation)


def write_generation(connection: sqlite3.Connection, generation: int) -> None:
    """Write how many commits the file will have had with this one; inside a transaction."""
    value = generation.to_bytes(_GENERATION_BYTES)
    connection.execute("UPDATE store_meta SET value = ? WHERE name = ?", (value, _GENERATION))


def replace_sealing(connection: sqlite3.Connection, sealing: bytes) -> None:
    """Write a new header, and that the old key's traces have to be wiped; inside a transaction."""
    put = "INSERT OR REPLACE INTO store_meta (name, value) VALUES (?, ?)"
    connection.executemany(put, [(_SEALING, sealing), (_WIPE, sealing)])


def wipe_old_key(connection: sqlite3.Connection) -> bool:
    """Rewrite the whole file, if a change of key asks for it; outside of a transaction.

    The change itself leaves old look-up keys and an old header in the free space of pages, and
    everything in the WAL.

    Returns:
        False when it was not possible now (somebody was reading, the disk is full): the next
        opening tries again.
    """
    try:
        pending = connection.execute("SELECT value FROM store_meta WHERE name = ?", (_WIPE,))
        marks = pending.fetchall()
        if not marks:
            return True
        # The WAL first, so that freed pages are zeroed in the file before it loses them.
        if not _truncate_wal(connection):
            return False
        connection.execute("VACUUM")
        if not _truncate_wal(connection):
            return False
        # Not the mark of another change, which somebody may have made since.
        done = "DELETE FROM store_meta WHERE name = ? AND value = ?"
        connection.execute(done, (_WIPE, marks[0][0]))
    except sqlite3.Error:
        return False
    return True


def _truncate_wal(connection: sqlite3.Connection) -> bool:
    busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return busy == 0


def check_version(version: int) -> None:
    """Refuse a schema that is later than ours (`StoreTooNew`), or none (`StoreCorrupted`)."""
    if version > SCHEMA_VERSION:
        raise StoreTooNew("the schema of the store", version, SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise StoreCorrupted("the file is not an e2ecross store: choose another one")


def pragma_value(connection: sqlite3.Connection, name: str) -> Any:  # noqa: ANN401
    """The value of a pragma."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether there is a store already, and not an empty file. To be called in a transaction."""
    version: int = pragma_value(connection, "user_version")
    application = pragma_value(connection, "application_id")
    if version == 0 and application == 0:
        tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables == 0:
            return False
    if application != APPLICATION_ID:
        raise StoreCorrupted("the file is not an e2ecross store: choose another one")
    check_version(version)
    return True


def _create(connection: sqlite3.Connection, sealing: bytes) -> bytes:
    """Create the store; return its sealing header, which is another process's if that was first."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _is_ours(connection):
            sealing = read_meta(connection)[0]
        else:
            for statement in _statements():
                connection.execute(statement)
            put = "INSERT INTO store_meta (name, value) VALUES (?, ?)"
            connection.execute(put, (_SEALING, sealing))
            connection.execute(put, (_GENERATION, bytes(_GENERATION_BYTES)))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise
    return sealing


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # after some errors SQLite has done it already
        connection.execute("ROLLBACK")


def _statements() -> list[str]:
    from importlib import resources  # only for a new file; it takes 8 ms

    # Not executescript(): it commits first.
    script = resources.files("e2ecross.stores").joinpath("schema", f"{SCHEMA_VERSION:04}.sql")
    statements, lines = [], ""
    for line in script.read_text("utf-8").splitlines(keepends=True):
        lines += line
        if sqlite3.complete_statement(lines):
            statements.append(lines)
            lines = ""
    return statements
