# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL and its driver refuse, in this library's errors.

Rules:
- Decided by SQLSTATE. Nothing of the driver's own text is passed on: it names hosts and users, and
  shows keys and parameters.
- The driver's error is not the cause of ours, and its frames, which hold parameters, are let go.
"""

from typing import Final

import psycopg

from e2ecross.errors import StoreBusy, StoreClosed, StoreError

__all__ = ["store_error", "store_is_closed"]

_LOST: Final = "the connection to the database was lost: nothing is saved, try again"

_MIGRATE: Final = "the database has no store of this release: run python -m e2ecross migrate"
_POOLER: Final = "a pooler in transaction mode stands before it: open the store with prepare=False"
_STANDBY: Final = "the database server is a standby: connect to the primary, or try again"
_BUSY: Final = {
    "55P03": "others held what is needed for too long: try again",
    "40001": "another transaction was in the way: nothing is saved, try again",
    "40P01": "another transaction was in the way: nothing is saved, try again",
    "57014": "the database server ended the statement: nothing is saved, try again",
    "57P01": "the database server is shutting down: nothing is saved, try again",
    "57P02": "the database server is shutting down: nothing is saved, try again",
    "57P03": "the database server is starting: nothing is saved, try again",
    "25P03": "the transaction took too long: nothing is saved, try again",
    "0A000": _STANDBY,  # BEGIN READ WRITE at one
    "25006": _STANDBY,
    "55000": _STANDBY,
}
_REFUSED: Final = {
    "26000": _POOLER,
    "42P05": _POOLER,
    "42P01": _MIGRATE,
    "3F000": _MIGRATE,
    "42501": "the database role lacks a right (docs/storage.md, PostgreSQL)",
    "28P01": "the database refuses the password or the user",
    "28000": "the database refuses the user",
    "3D000": "there is no such database",
}
_RESOURCES: Final = "53"  # the class: too many connections, no memory, no disk


def store_error(error: Exception) -> StoreError:
    """Say in our terms what the driver refuses; to be raised where the error is handled no more."""
    state = getattr(error, "sqlstate", None)
    if state in _BUSY:
        return StoreBusy(f"{_BUSY[state]} ({state})")
    if state is not None and state.startswith(_RESOURCES):
        return StoreBusy(f"the database server lacks resources: nothing is saved ({state})")
    if state in _REFUSED:
        return StoreError(f"{_REFUSED[state]} ({state})")
    if state is None and isinstance(error, psycopg.OperationalError | OSError):
        return StoreBusy(_LOST)
    if isinstance(error, psycopg.ProgrammingError) and state is None:
        return StoreError("conninfo is not a PostgreSQL connection string, or the driver refuses")
    return StoreError(f"the database refuses the operation ({state or type(error).__name__})")


def store_is_closed() -> StoreClosed:
    """The store has been closed."""
    return StoreClosed("the store has been closed: open it anew")
