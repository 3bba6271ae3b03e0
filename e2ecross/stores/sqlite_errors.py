# SPDX-License-Identifier: Apache-2.0
"""What SQLite and the file system refuse, in this library's errors.

Rules:
- Decided by SQLite's result code, never by its message, which differs between releases.
- The message says what to do. It names the file and no content, and the cause where it can be found
  (`sqlite_causes`): SQLite has one code for several.
"""

import sqlite3
from types import TracebackType
from typing import Final

from e2ecross.errors import StoreBusy, StoreCorrupted, StoreError
from e2ecross.stores.sqlite_causes import find_cause

__all__ = ["DRIVER_ERRORS", "as_store_errors", "is_busy", "is_damage", "store_error"]

# OverflowError: a record longer than a C int. UnicodeDecodeError: damaged text in the schema.
DRIVER_ERRORS: Final = (
    sqlite3.Error,
    sqlite3.Warning,
    OSError,
    OverflowError,
    UnicodeDecodeError,
)
"""Everything that sqlite3 and the file calls around it raise."""

# A result code's low byte is the kind; the rest tells cases apart that are one to us.
_KIND: Final = 0xFF
_BUSY: Final = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL))
_CORRUPTED: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_WITH_CAUSES: Final = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
    )
)
_REMEDIES: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space, then try again",
    sqlite3.SQLITE_READONLY: "it cannot be written: check the permissions of file and directory",
    sqlite3.SQLITE_PERM: "it cannot be accessed: check the permissions of file and directory",
    sqlite3.SQLITE_IOERR: "the disk reports an error: check the disk and quotas, then try again",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that its directory exists, is writable, "
    "and that it is a file",
    sqlite3.SQLITE_TOOBIG: "the record is too big",
}


def _kind(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & _KIND if isinstance(code, int) else None


def is_busy(error: sqlite3.Error) -> bool:
    """Whether waiting may help."""
    return _kind(error) in _BUSY


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is no database, or not whole."""
    return _kind(error) in _CORRUPTED


def store_error(path: str, error: Exception) -> StoreError:
    """Say in our terms what went wrong with the store at `path`; raise the result `from` it."""
    kind = _kind(error)
    if kind in _BUSY:
        return StoreBusy(f"another process held the store {path} for too long: try again")
    if kind in _CORRUPTED or isinstance(error, UnicodeDecodeError):
        return StoreCorrupted(f"{path} is damaged or not an e2ecross store: restore or remove it")
    if isinstance(error, OSError):
        cause = find_cause(path, error.errno) or error.strerror or "unknown reason"
        return StoreError(f"the store {path} cannot be used: {cause}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    remedy = find_cause(path) if kind in _WITH_CAUSES else None
    remedy = remedy or _REMEDIES.get(kind or 0, "SQLite refuses the operation")
    return StoreError(f"the store {path} cannot be used: {remedy} ({name})")


class as_store_errors:
    """Raise what the driver raises in the block as a `StoreError` about the store at `path`."""

    # A class and not a generator, which takes a microsecond longer.
    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, DRIVER_ERRORS):
            raise store_error(self._path, error) from error
