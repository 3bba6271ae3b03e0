# SPDX-License-Identifier: Apache-2.0
"""Rows of a relay's file, with their types checked.

Rules:
- SQLite keeps a value of any type in any column. What was written by somebody else must come out
  as damage of the file, not as an error of the line that first computes with it.
"""

from collections.abc import Iterator
from typing import Any, Final

from e2ecross.errors import BackendError
from e2ecross.relay.database import Connection

__all__ = ["MAX_NUMBER", "each_row", "read_row", "read_rows", "require_row"]

MAX_NUMBER: Final = 2**63 - 1
"""The highest number that a row of SQLite can have."""


def read_rows(
    connection: Connection, query: str, parameters: tuple[object, ...], *types: type
) -> list[tuple[Any, ...]]:
    """Return all rows of a query whose columns have these types.

    Raises:
        BackendError: a value has another type.
    """
    return list(each_row(connection, query, parameters, *types))


def each_row(
    connection: Connection, query: str, parameters: tuple[object, ...], *types: type
) -> Iterator[tuple[Any, ...]]:
    """Read row by row, for who may stop before the last; see `read_rows`."""
    row: tuple[Any, ...]
    for row in connection.execute(query, parameters):
        if tuple(map(type, row)) != types:
            raise BackendError(
                "the relay file holds something that no relay wrote: restore it from a backup"
            )
        yield row


def read_row(
    connection: Connection, query: str, parameters: tuple[object, ...], *types: type
) -> tuple[Any, ...] | None:
    """Return the one row of a query, or None; see `read_rows`."""
    rows = read_rows(connection, query, parameters, *types)
    return rows[0] if rows else None


def require_row(
    connection: Connection, query: str, parameters: tuple[object, ...], *types: type
) -> tuple[Any, ...]:
    """Return the one row of a query that must have one; see `read_rows`.

    Raises:
        BackendError: there is none, or a value has another type.
    """
    row = read_row(connection, query, parameters, *types)
    if row is None:
        raise BackendError("the relay file lacks a row: restore it from a backup")
    return row
