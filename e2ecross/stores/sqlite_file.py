# SPDX-License-Identifier: Apache-2.0
"""The file of a `SQLiteStore`: how it is recognised, created and connected to.

Rules:
- A file that is not ours is recognised before SQLite opens it for writing, so that neither it nor
  its directory changes.
- Every connection gets every pragma.
- The database file is never opened past SQLite once it exists: closing a descriptor drops all
  locks of this process on the file (POSIX), also those of SQLite.
"""

import contextlib
import os
import sqlite3
import stat
import sys
import time
from pathlib import Path
from typing import Final

from e2ecross.errors import StoreCorrupted, StoreError
from e2ecross.stores.gate import Gate, Stay
from e2ecross.stores.sqlite_errors import is_busy, is_damage
from e2ecross.stores.sqlite_schema import (
    APPLICATION_ID,
    PAGE_BYTES,
    check_version,
    pragma_value,
)

__all__ = ["connect", "create", "recognise", "use_wal"]

_FILE_MODE: Final = 0o600  # SQLite gives -wal and -shm the same
_RETRY_SECONDS: Final = 0.005
_CREATING_MS: Final = 60_000  # only a hanging file system takes as long

_PRAGMAS: Final = (
    "trusted_schema = OFF",  # a planted view or trigger may call no function with side effects
    "cell_size_check = ON",  # notice damaged pages early
    "mmap_size = 0",  # an I/O error stays an error instead of a SIGBUS
    "temp_store = MEMORY",  # no record in a temporary file
    "secure_delete = ON",  # wipe what is superseded
    "synchronous = FULL",  # a commit survives a power cut
    "fullfsync = ON",  # ... on macOS too, where fsync stops at the drive's cache
    "checkpoint_fullfsync = ON",
)

# One thread at a time is inside while this module opens and closes a file that was not there.
_creating = Gate()


def _renew_gate() -> None:
    # A thread of the parent may have been inside when the process forked.
    global _creating
    _creating = Gate()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_renew_gate)


def create(path: str) -> None:
    """Create the file for its owner only, unless it exists; leave it empty.

    Raises:
        OSError: its directory does not exist or may not be written.
    """
    # Alone, lest another thread's connection loses its locks when the descriptor closes.
    with Stay(_creating, _CREATING_MS), contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _FILE_MODE))


def connect(path: str, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open an existing file, with every pragma but the journal mode; nothing is written.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = _open(path, "mode=rw", busy_timeout_ms)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        if pragma_value(connection, "secure_delete") != 1:
            raise StoreError("this build of SQLite lacks secure_delete: use another one")
    except BaseException:
        connection.close()
        raise
    return connection


def recognise(path: str) -> None:
    """Return if the file is empty or ours; it is not changed, locked, or given side files.

    Raises:
        StoreCorrupted: it is something else.
        StoreTooNew: it is ours, of a later schema.
        StoreError: it is no regular file, or has more than one name.
        OSError, sqlite3.Error: it cannot be read.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path} is not a file")
    if found.st_nlink > 1:
        # SQLite names the WAL after the name that it is given: there would be one for each.
        raise StoreError(
            f"{path} has {found.st_nlink} names (hard links), and a store that is opened by two "
            "of them is lost: keep one name, copy the file for another"
        )
    for _ in range(2):
        if os.path.getsize(path) == 0:
            return
        if _has_our_id(path):
            _refuse_cut(path)
            return
        if _is_half_created(path):
            return  # SQLite waits for the other process, or takes back what a dead one left
        # Else its creation may have ended between the two looks: look once more.
    raise StoreCorrupted(f"{path} is not an e2ecross store: choose another file")


def use_wal(connection: sqlite3.Connection, busy_timeout_ms: int) -> None:
    """Turn WAL on, for this connection and in the file."""
    deadline = time.monotonic() + busy_timeout_ms / 1000
    while True:
        # SQLite does not wait by itself where two connections want to change the mode at once.
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as exc:
            if not is_busy(exc) or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)
            continue
        if mode != "wal":
            raise StoreError("the file system cannot hold a SQLite WAL: use a local disk")
        return


def _open(path: str, mode: str, busy_timeout_ms: int) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{Path(path).as_uri()}?{mode}",
        uri=True,
        timeout=busy_timeout_ms / 1000,
        isolation_level=None,  # transactions are begun and ended by us alone
        check_same_thread=False,  # `SQLiteStore.close` closes the connections of all threads
    )


def _has_our_id(path: str) -> bool:
    # "immutable": SQLite reads the bare file and neither locks it nor looks for a WAL.
    connection = _open(path, "immutable=1", 0)
    try:
        # A file shorter than its header says is one whose checkpoint was cut off: still ours.
        connection.execute("PRAGMA writable_schema = ON")
        if pragma_value(connection, "application_id") != APPLICATION_ID:
            return False
        check_version(pragma_value(connection, "user_version"))
        return True
    except sqlite3.DatabaseError as exc:
        if is_damage(exc):
            return False  # or half written: see `_is_half_created`
        raise
    finally:
        connection.close()


def _refuse_cut(path: str) -> None:
    # SQLite would read a last page that is not whole as if zeros followed. Only a checkpoint that
    # was cut off leaves one rightly, and then there is the WAL that it came from.
    wal = Path(f"{path}-wal")
    if os.path.getsize(path) % PAGE_BYTES and not (wal.exists() and wal.stat().st_size):
        raise StoreCorrupted(f"{path} was cut off: restore or remove it")


def _is_half_created(path: str) -> bool:
    """Whether a rollback journal says that the database did not exist before it."""
    try:
        with open(f"{path}-journal", "rb") as journal:
            header = journal.read(20)
    except OSError:
        return False
    # https://www.sqlite.org/fileformat2.html#the_rollback_journal: pages before, at offset 16
    return len(header) == 20 and header[16:] == bytes(4)
