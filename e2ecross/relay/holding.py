# SPDX-License-Identifier: Apache-2.0
"""Holding what was fetched: several workers of one device, each with other messages.

Rules:
- A holder gets rows that nobody holds, and none of a sender (account) of whom another one holds
  any. So an account's messages are with one holder at a time, in their order.
- A hold ends when its row is acknowledged, or with its time; a fetch prolongs what its holder has.
- One that ends later than any can be asked for is of a clock that was wrong, and has ended: else a
  mailbox would stand still until that time.

Each function runs inside a transaction of the caller.

Source: docs/service.md, waiting and holding.
"""

from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.relay.database import Connection
from e2ecross.relay.mailbox import IN_PARTS, up_to_bytes
from e2ecross.relay.rows import read_row
from e2ecross.wire.exchange import MAX_HOLD_MS, Waiting

__all__ = ["Hold", "fetch_and_hold", "first_release_ms"]

_FARTHEST_MS: Final = 2 * MAX_HOLD_MS
"""Clocks of several processes may differ."""

# Above 0 is said apart, so that SQLite sees that the partial index will do.
_HELD: Final = "recipient = ? AND held_until_ms > 0 AND held_until_ms > ? AND held_until_ms <= ?"

_FREE: Final = f"""
    {IN_PARTS}
    WHERE recipient = ? AND mailbox.number > ? AND (held_until_ms <= ? OR held_until_ms > ?)
    AND (sender IS NULL OR sender NOT IN (
        SELECT sender FROM mailbox WHERE {_HELD} AND holder <> ? AND sender IS NOT NULL))
    ORDER BY mailbox.number LIMIT ?
"""  # noqa: S608 - nothing but our own text
_PROLONG: Final = f"UPDATE mailbox SET held_until_ms = ? WHERE {_HELD} AND holder = ?"  # noqa: S608
_TAKE: Final = "UPDATE mailbox SET held_until_ms = ?, holder = ? WHERE number = ?"
_FIRST: Final = f"SELECT held_until_ms FROM mailbox WHERE {_HELD} ORDER BY held_until_ms LIMIT 1"  # noqa: S608


class Hold(NamedTuple):
    """Who holds what it fetches, and for how long.

    Attributes:
        holder: 16 bytes.
        now_ms: the time, milliseconds since 1970.
        until_ms: when it ends, likewise.
    """

    holder: bytes
    now_ms: int
    until_ms: int


def fetch_and_hold(
    connection: Connection, address: Address, limit: int, after: int, hold: Hold
) -> list[Waiting]:
    """Return free envelopes, oldest first, and hold them; prolong what this holder has.

    Args:
        connection: inside a writing transaction.
        address: whose mailbox.
        limit: how many at most; with 0 it only prolongs.
        after: only those with higher numbers.
        hold: who, and for how long.
    """
    held = _held(address, hold.now_ms)
    recipient, *between = held
    connection.execute(_PROLONG, (hold.until_ms, *held, hold.holder))
    free = (recipient, after, *between, *held, hold.holder, limit)
    waiting = up_to_bytes(connection, _FREE, free)
    connection.executemany(_TAKE, [(hold.until_ms, hold.holder, each.number) for each in waiting])
    return waiting


def first_release_ms(connection: Connection, address: Address, now_ms: int) -> int | None:
    """Return when the first hold in a mailbox ends, in milliseconds since 1970, or None."""
    row = read_row(connection, _FIRST, _held(address, now_ms), int)
    return None if row is None else row[0]


def _held(address: Address, now_ms: int) -> tuple[str, int, int]:
    """The parameters of `_HELD`."""
    return str(address), now_ms, now_ms + _FARTHEST_MS
