# SPDX-License-Identifier: Apache-2.0
"""Looking into the file of a `SQLiteStore` without changing it: for checks, not for devices.

Rules:
- Neither the file nor its WAL is written, created or checkpointed. SQLite may make or
  update the `-shm` beside a WAL, which holds no record.
- Without a WAL the bare file is read, and no lock is taken: what changed meanwhile is noticed at
  the end, and refused. With a WAL, which is a store that is open somewhere or was killed, one
  snapshot is read beside its writers.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2ecross.arguments import forgets_secrets, require_file_name
from e2ecross.errors import StoreBusy, StoreCorrupted, StoreError
from e2ecross.stores.base import Transaction
from e2ecross.stores.checks import DEFAULT_BUSY_TIMEOUT_MS
from e2ecross.stores.sealing import SYSTEM_ENTROPY, Sealer
from e2ecross.stores.sealing_header import StoreOpener, check_store_key
from e2ecross.stores.sqlite_errors import DRIVER_ERRORS, store_error
from e2ecross.stores.sqlite_file import recognise
from e2ecross.stores.sqlite_schema import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    check_version,
    pragma_value,
    prepare,
)
from e2ecross.stores.sqlite_transaction import SQLiteTransaction

__all__ = ["StoreFile", "read_store_file"]

_PRAGMAS: Final = (
    "query_only = ON",
    "trusted_schema = OFF",  # as in `sqlite_file`
    "cell_size_check = ON",
    "mmap_size = 0",
    "temp_store = MEMORY",
)


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A store's file that is being looked into.

    Attributes:
        transaction: what it holds; every `put` and `delete` raises `StoreError`.
        schema_version: the number of its schema.
        is_sealed: whether its records are encrypted.
        is_intact: whether SQLite finds its pages in order and its tables are those of the schema.
    """

    transaction: Transaction
    schema_version: int
    is_sealed: bool
    is_intact: bool


@forgets_secrets
def read_store_file(
    path: str | os.PathLike[str],
    *,
    key: bytes | None = None,
    passphrase: str | bytes | None = None,
) -> AbstractContextManager[StoreFile]:
    """Look into the file of a store, which is not changed by it.

    Args:
        path: the file.
        key: its store key, 32 bytes, secret, if it is sealed with one.
        passphrase: its passphrase, secret, if it is sealed with one.

    Raises:
        InvalidArgument: an argument has the wrong type, length or value.
        WrongStoreKey: the store has another key, or none, or needs one.
        StoreCorrupted: the file is damaged, or something else.
        StoreTooNew: a later release wrote it.
        StoreBusy: it was changed during the look; try again.
        StoreError: there is no such file, or it cannot be read.
    """
    name = require_file_name("path", path)
    # As SQLite does: the WAL lies beside the file itself.
    return _read(os.path.realpath(name), StoreOpener(check_store_key(key, passphrase)))


@contextmanager
def _read(name: str, opener: StoreOpener) -> Iterator[StoreFile]:
    try:
        recognise(name)
        if os.path.exists(f"{name}-journal"):
            raise StoreError("the store was not created to its end: open it with the app first")
        before = _state(name)
        connection = _connect(name, has_wal=before[-1])
    except DRIVER_ERRORS as exc:
        raise store_error(name, exc) from exc
    with closing(connection):
        try:
            sealer = _open(connection, opener)
            connection.execute("BEGIN")
            is_intact = _is_intact(connection)
        except DRIVER_ERRORS as exc:
            raise store_error(name, exc) from exc
        transaction = SQLiteTransaction(connection, name)
        yield StoreFile(
            sealer.wrap(transaction) if sealer else transaction,
            SCHEMA_VERSION,
            sealer is not None,
            is_intact,
        )
        transaction.abandon()
    if not before[-1] and _state(name) != before:
        raise StoreBusy(f"the store {name} was changed while it was read: try again")


def _state(path: str) -> tuple[int, int, bool]:
    """Size and time of the last change of the file, and whether it has a WAL."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns, os.path.exists(f"{path}-wal")


def _connect(path: str, *, has_wal: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{Path(path).as_uri()}?{'mode=ro' if has_wal else 'immutable=1'}",
        uri=True,
        timeout=DEFAULT_BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
    )
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _open(connection: sqlite3.Connection, opener: StoreOpener) -> Sealer | None:
    if pragma_value(connection, "application_id") != APPLICATION_ID:
        raise StoreCorrupted("the file is empty or not an e2ecross store: choose another one")
    check_version(pragma_value(connection, "user_version"))
    sealer: Sealer | None = None

    def open_header(header: bytes) -> None:
        nonlocal sealer
        sealer = opener.open(header, SYSTEM_ENTROPY)

    prepare(connection, bytes, open_header)  # it is a store, so this reads and creates nothing
    return sealer


def _is_intact(connection: sqlite3.Connection) -> bool:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        prepare(model, bytes, lambda _: None)
        wanted = _schema(model)
    checked = connection.execute("PRAGMA integrity_check(1)").fetchall()
    return checked == [("ok",)] and _schema(connection) == wanted


def _schema(connection: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
