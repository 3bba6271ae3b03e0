# SPDX-License-Identifier: Apache-2.0
"""What every store refuses, so that all of them refuse alike.

Rules:
- Only `bytes`: a `bytearray` could change after it was stored, and SQLite would keep a `str` as
  another key than the same characters in bytes.
- The message names the argument and shows nothing of its content.
"""

from typing import Final

from e2ecross.arguments import require_bytes, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.stores.base import Table

__all__ = [
    "DEFAULT_BUSY_TIMEOUT_MS",
    "DEFAULT_CACHED_VALUES",
    "NO_SAVEPOINT",
    "SAVEPOINT_INTERRUPTED",
    "check_busy_timeout",
    "check_cached_values",
    "check_limit",
    "check_place",
    "check_range",
    "check_table",
]

DEFAULT_BUSY_TIMEOUT_MS: Final = 5_000
"""How long a transaction waits for another: far above any transaction, below a user's patience."""

DEFAULT_CACHED_VALUES: Final = 8_192
"""The rows of sixteen hundred contacts, a few MiB."""

NO_SAVEPOINT: Final = "a savepoint stands inside a transaction, and not inside another"
SAVEPOINT_INTERRUPTED: Final = (
    "a savepoint of the transaction was interrupted: nothing of it is saved, do it again"
)

_MAX_CACHED_VALUES: Final = 10_000_000  # more than a machine has memory for

_MAX_ROWS: Final = 2**63 - 1  # what SQLite counts with

_MAX_BUSY_TIMEOUT_MS: Final = 3_600_000  # an hour; SQLite keeps it in 31 bits


def check_table(table: object) -> None:
    """Refuse what is not a `Table` (`InvalidArgument`)."""
    if type(table) is not Table:
        raise InvalidArgument("table must be a member of e2ecross.stores.Table")


def check_place(table: object, partition: object, row: object = b"") -> None:
    """Refuse what names no place of a record (`InvalidArgument`)."""
    if type(table) is Table and type(partition) is bytes and type(row) is bytes:
        return  # asked twenty times a message: in one call, and not in four
    check_table(table)
    require_bytes("partition", partition)
    require_bytes("row", row)


def check_limit(value: object) -> None:
    """Refuse what is neither None nor a number of rows (`InvalidArgument`)."""
    if value is not None:
        require_whole_number("limit", value, 0, _MAX_ROWS)


def check_range(limit: object, after: object) -> None:
    """Refuse what does not say which part of a listing is wanted (`InvalidArgument`)."""
    check_limit(limit)
    if after is not None:
        require_bytes("after", after)


def check_busy_timeout(value: int) -> int:
    """Return the time in milliseconds, or refuse it (`InvalidArgument`)."""
    require_whole_number("busy_timeout_ms", value, 0, _MAX_BUSY_TIMEOUT_MS)
    return value


def check_cached_values(value: int) -> int:
    """Return the number of values, or refuse it (`InvalidArgument`)."""
    require_whole_number("cached_values", value, 0, _MAX_CACHED_VALUES)
    return value
