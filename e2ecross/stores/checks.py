# SPDX-License-Identifier: Apache-2.0
"""What every store refuses, so that all of them refuse alike.

Rules:
- Only `bytes`: a `bytearray` could change after it was stored, and SQLite would keep a `str` as
  another key than the same characters in bytes.
- The message names the argument and shows nothing of its content.
"""

from typing import Final

from e2ecross.errors import InvalidArgument
from e2ecross.stores.base import Table

__all__ = [
    "DEFAULT_BUSY_TIMEOUT_MS",
    "DEFAULT_CACHED_VALUES",
    "check_busy_timeout",
    "check_bytes",
    "check_cached_values",
    "check_limit",
    "check_place",
    "check_table",
]

DEFAULT_BUSY_TIMEOUT_MS: Final = 5_000
"""How long a transaction waits for another: far above any transaction, below a user's patience."""

DEFAULT_CACHED_VALUES: Final = 4_096
"""The rows of a thousand contacts, a few MiB."""

_MAX_CACHED_VALUES: Final = 10_000_000  # more than a machine has memory for

_MAX_ROWS: Final = 2**63 - 1  # what SQLite counts with

_MAX_BUSY_TIMEOUT_MS: Final = 3_600_000  # an hour; SQLite keeps it in 31 bits


def check_table(table: object) -> None:
    """Refuse what is not a `Table` (`InvalidArgument`)."""
    if type(table) is not Table:
        raise InvalidArgument("table must be a member of e2ecross.stores.Table")


def check_bytes(name: str, value: object) -> None:
    """Refuse what is not exactly `bytes` (`InvalidArgument`)."""
    if type(value) is not bytes:
        raise InvalidArgument(f"{name} must be bytes, not {type(value).__name__}")


def check_place(table: object, partition: object, row: object = b"") -> None:
    """Refuse what names no place of a record (`InvalidArgument`)."""
    check_table(table)
    check_bytes("partition", partition)
    check_bytes("row", row)


def check_limit(value: object) -> None:
    """Refuse what is neither None nor a number of rows (`InvalidArgument`)."""
    if value is not None and (type(value) is not int or not 0 <= value <= _MAX_ROWS):
        raise InvalidArgument("limit must be None or a whole number from 0 to 2^63-1")


def check_busy_timeout(value: object) -> int:
    """Return the time in milliseconds, or refuse it (`InvalidArgument`)."""
    if type(value) is not int or not 0 <= value <= _MAX_BUSY_TIMEOUT_MS:
        raise InvalidArgument(f"busy_timeout_ms must be a whole number to {_MAX_BUSY_TIMEOUT_MS}")
    return value


def check_cached_values(value: object) -> int:
    """Return the number of values, or refuse it (`InvalidArgument`)."""
    if type(value) is not int or not 0 <= value <= _MAX_CACHED_VALUES:
        raise InvalidArgument(f"cached_values must be a whole number to {_MAX_CACHED_VALUES}")
    return value
