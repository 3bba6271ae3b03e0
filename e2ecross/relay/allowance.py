# SPDX-License-Identifier: Apache-2.0
"""The allowance: how often one user still gets one-time prekeys of a device.

Rules:
- Counted for each pair of a user (all devices together, or each new one would have an allowance of
  its own) and a device. There is none for all users together: an attacker with many accounts would
  use that one up first, and lock out everybody else.
- Each time one of each kind is handed out with a bundle, or the one that is left. It counts once.
- Over a fixed window that begins with the pair's first one-time prekey. It is one row per pair,
  however much is asked for; a sliding one would need a row for each prekey. The price: around the
  end of a window a user gets up to twice as many in a short time.
- Who is over the allowance still gets bundles, without one-time prekeys.
- Bounded: a row is made only with a one-time prekey that is handed out, and each such call removes
  more expired rows than it makes.

Each function runs inside a transaction of the caller.
"""

import hashlib
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.relay.database import Connection
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import read_row

__all__ = ["forget_expired", "is_left", "use"]

_FORGET_BATCH: Final = 100
"""Expired rows deleted with one call: more than a call adds, and little work."""


def is_left(
    connection: Connection,
    user: UserId,
    device: Address,
    limits: RelayLimits,
    now_ms: int,
) -> bool:
    """Tell whether the user gets one-time prekeys of the device again at this time."""
    row = _read(connection, _pair_sha256(user, device))
    if row is None or not _is_running(row[1], limits, now_ms):
        return True
    return row[0] < limits.one_time_prekeys_per_requester


def use(
    connection: Connection,
    user: UserId,
    device: Address,
    limits: RelayLimits,
    now_ms: int,
) -> None:
    """Count that the user gets one-time prekeys of the device; begin a window if none runs."""
    pair = _pair_sha256(user, device)
    row = _read(connection, pair)
    if row is not None and _is_running(row[1], limits, now_ms):
        taken, forget_at_ms = row
    else:
        taken, forget_at_ms = 0, now_ms + limits.requester_window_ms
    connection.execute(
        "INSERT INTO prekey_requests (pair_sha256, taken, forget_at_ms) VALUES (?, ?, ?)"
        " ON CONFLICT (pair_sha256) DO UPDATE SET taken = excluded.taken,"
        " forget_at_ms = excluded.forget_at_ms",
        (pair, taken + 1, forget_at_ms),
    )


def forget_expired(connection: Connection, limits: RelayLimits, now_ms: int) -> None:
    """Forget windows that are over, the oldest first, a bounded number of them.

    So are those of a clock that was wrong, which nobody may ask about until their time has come.
    """
    connection.execute(
        "DELETE FROM prekey_requests WHERE pair_sha256 IN (SELECT pair_sha256 FROM prekey_requests"
        " WHERE forget_at_ms > ? ORDER BY forget_at_ms LIMIT ? /* FOR UPDATE SKIP LOCKED */)",
        (now_ms + limits.requester_window_ms, _FORGET_BATCH),
    )
    connection.execute(
        "DELETE FROM prekey_requests WHERE pair_sha256 IN (SELECT pair_sha256 FROM prekey_requests"
        " WHERE forget_at_ms <= ? ORDER BY forget_at_ms LIMIT ? /* FOR UPDATE SKIP LOCKED */)",
        (now_ms, _FORGET_BATCH),
    )


def _is_running(forget_at_ms: int, limits: RelayLimits, now_ms: int) -> bool:
    # One that ends later than a window from now began under a clock that was wrong.
    return now_ms < forget_at_ms <= now_ms + limits.requester_window_ms


def _pair_sha256(user: UserId, device: Address) -> bytes:
    # A space is in no address, so no two pairs have the same text.
    return hashlib.sha256(f"{user} {device}".encode("ascii")).digest()


def _read(connection: Connection, pair: bytes) -> tuple[int, int] | None:
    """Return how many were taken, and until when they are counted, milliseconds since 1970."""
    row = read_row(
        connection,
        "SELECT taken, forget_at_ms FROM prekey_requests WHERE pair_sha256 = ?",
        (pair,),
        int,
        int,
    )
    return None if row is None else (row[0], row[1])
