# SPDX-License-Identifier: Apache-2.0
"""What every store refuses, so that all of them refuse alike.

Rules:
- Only `bytes`: a `bytearray` could change after it was stored, and SQLite would keep a `str` as
  another key than the same characters in bytes.
- The message names the argument and shows nothing of its content.
- What the stripe of a transaction forbids is refused before a database hears of it. So a store in
  memory with stripes finds what would be wrong with many workers.
"""

from typing import Final, Literal

from e2ecross.arguments import require_bytes, require_whole_number
from e2ecross.errors import InvalidArgument, StoreError
from e2ecross.stores.base import DEVICE_TABLES, Table

__all__ = [
    "DEFAULT_BUSY_TIMEOUT_MS",
    "DEFAULT_CACHED_VALUES",
    "NO_SAVEPOINT",
    "SAVEPOINT_INTERRUPTED",
    "check_busy_timeout",
    "check_cached_values",
    "check_change",
    "check_limit",
    "check_place",
    "check_range",
    "check_stripe",
    "check_stripes",
    "check_table",
    "check_view",
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

_MIN_STRIPES: Final = 64
_MAX_STRIPES: Final = 65_536  # two bytes of a hash tell which


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


def check_stripes(value: int) -> int:
    """Return the number of stripes of a store, or refuse it (`InvalidArgument`)."""
    require_whole_number("stripes", value, 0, _MAX_STRIPES)
    if value and (value < _MIN_STRIPES or value & (value - 1)):
        raise InvalidArgument(
            f"stripes must be 0 or a power of two from {_MIN_STRIPES} to {_MAX_STRIPES}"
        )
    return value


def check_stripe(stripe: object, stripes: int) -> None:
    """Refuse what is no stripe of a store that has so many (`InvalidArgument`)."""
    require_whole_number("stripe", stripe, 0, stripes)


def check_view(own: int, stripe: int, stripes: int) -> None:
    """Refuse the view of a stripe in a transaction of stripe `own` of `stripes`.

    Raises:
        InvalidArgument: the store has no such stripe.
        StoreError: that transaction has not locked it.
    """
    check_stripe(stripe, stripes)
    if own and stripe and stripe != own:
        raise StoreError("a transaction of one stripe does not look into another one")


def check_change(
    own: int,
    view: int,
    table: Table,
    partition: bytes,
    how: Literal["put", "add", "delete", "clear"],
) -> None:
    """Refuse a change that a transaction of stripe `own` may not make in its view of `view`.

    The partition is the true one: behind a seal nobody could tell.

    Raises:
        StoreError: it is for a transaction of the whole store.
    """
    if not own or (view == own and (table not in DEVICE_TABLES or _is_use(table, partition, how))):
        return
    raise StoreError("only a transaction of the whole store changes what belongs to the device")


def _is_use(table: Table, partition: bytes, how: str) -> bool:
    """Tell whether it is what a first message changes, whoever sends it."""
    if how == "delete":
        return table in (Table.ONE_TIME_PREKEYS, Table.KYBER_PREKEYS) and not partition
    return how == "add" and table is Table.SEEN_BASE_KEYS
