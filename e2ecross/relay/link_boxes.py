# SPDX-License-Identifier: Apache-2.0
"""Link boxes: where a device that has no address yet and device 1 of an account find each other.

Rules:
- A box has three slots: the offer, with which a registered device opens it; the answer; and the
  result, of the device that opened it. Each is written once; the same bytes again change nothing.
- The answer, and what is read, need nothing but the id: the device that is linked has no token.
  Whoever guesses or learns an id reads sealed bytes, or fills the answer, and the attempt fails.
- A box is there for ten minutes. Expired ones are removed with the next ones that are written to,
  more of them than are opened. A clock that was put back makes one stay for twice as long at most.
- An account has three boxes at most, so what it has the relay keep is bounded.

Each function runs inside a transaction of the caller.
"""

from typing import Final

from e2ecross.address import Address
from e2ecross.errors import BackendRefused
from e2ecross.relay.database import Connection
from e2ecross.relay.rows import read_row, require_row

__all__ = ["ANSWER", "OFFER", "RESULT", "close_all", "get", "put"]

OFFER: Final = 0
ANSWER: Final = 1
RESULT: Final = 2

_LIFETIME_MS: Final = 10 * 60 * 1000
_MAX_OPEN: Final = 3
"""Boxes of one account: attempts that failed, and one more."""
_FORGET_BATCH: Final = 100
"""Expired boxes deleted with one call: more than a call opens, and little work."""

_FILL: Final = {
    ANSWER: "UPDATE link_boxes SET answer = ? WHERE id = ? AND COALESCE(answer, ?) = ?",
    RESULT: "UPDATE link_boxes SET result = ? WHERE id = ? AND COALESCE(result, ?) = ?",
}


def put(
    connection: Connection,
    link_id: bytes,
    slot: int,
    data: bytes,
    holder: Address | None,
    now_ms: int,
) -> None:
    """Write into a slot of a box; the offer opens it.

    Args:
        connection: inside a writing transaction.
        link_id: names the box, 16 bytes.
        slot: which.
        data: not empty.
        holder: the registered device that writes; None with an answer.
        now_ms: the time, milliseconds since 1970.

    Raises:
        BackendRefused: there is no such box; the slot has other bytes; the box is another device's;
            the account has too many.
    """
    _forget_expired(connection, now_ms)
    box = _read(connection, link_id, now_ms)
    if box is None:
        if holder is None or slot != OFFER:
            raise BackendRefused(
                "there is no link box of this id, or its time is over: begin to link anew"
            )
        _open(connection, link_id, data, holder, now_ms)
        return
    opened_by, *slots = box
    if slot != ANSWER and opened_by != str(holder):
        raise BackendRefused("another device has opened this link box: show a new code")
    if slots[slot] == data:
        return
    # The statement asks again: an answer comes from anybody, and not one after the other.
    if slots[slot] or not connection.execute(_FILL[slot], (data, link_id, data, data)).rowcount:
        raise BackendRefused("another message is in this link box already: show a new code")


def get(connection: Connection, link_id: bytes, slot: int, now_ms: int) -> bytes | None:
    """Return what is in a slot of a box; None: nothing, or there is no such box (any more)."""
    box = _read(connection, link_id, now_ms)
    if box is None:
        return None
    return box[1:][slot] or None


def close_all(connection: Connection, address: Address) -> None:
    """Remove the boxes that a device has opened, which is another device or none from now on."""
    connection.execute("DELETE FROM link_boxes WHERE opened_by = ?", (str(address),))


def _open(
    connection: Connection, link_id: bytes, offer: bytes, holder: Address, now_ms: int
) -> None:
    user = holder.user_id
    (count,) = require_row(
        connection,
        "SELECT COUNT(*) FROM link_boxes WHERE opened_by >= ? AND opened_by < ?"
        " AND opened_at_ms > ? AND opened_at_ms < ?",
        (f"{user}.", f"{user}/", *_open_between(now_ms)),
        int,
    )
    if count >= _MAX_OPEN:
        raise BackendRefused(
            f"{user} has {_MAX_OPEN} link boxes: try again in {_LIFETIME_MS // 60_000} minutes"
        )
    # One of the same id, whose time is over.
    connection.execute("DELETE FROM link_boxes WHERE id = ?", (link_id,))
    connection.execute(
        "INSERT INTO link_boxes (id, opened_by, opened_at_ms, offer) VALUES (?, ?, ?, ?)",
        (link_id, str(holder), now_ms, offer),
    )


def _read(
    connection: Connection, link_id: bytes, now_ms: int
) -> tuple[str, bytes, bytes, bytes] | None:
    """Return who has opened a box, and what is in its slots, empty for nothing."""
    row = read_row(
        connection,
        "SELECT opened_by, offer, COALESCE(answer, x''), COALESCE(result, x'') FROM link_boxes"
        " WHERE id = ? AND opened_at_ms > ? AND opened_at_ms < ?",
        (link_id, *_open_between(now_ms)),
        *(str, bytes, bytes, bytes),
    )
    return None if row is None else (row[0], row[1], row[2], row[3])


def _open_between(now_ms: int) -> tuple[int, int]:
    return now_ms - _LIFETIME_MS, now_ms + _LIFETIME_MS


def _forget_expired(connection: Connection, now_ms: int) -> None:
    earliest, latest = _open_between(now_ms)
    connection.execute(
        "DELETE FROM link_boxes WHERE id IN (SELECT id FROM link_boxes WHERE opened_at_ms <= ?"
        " ORDER BY opened_at_ms LIMIT ? /* FOR UPDATE SKIP LOCKED */)",
        (earliest, _FORGET_BATCH),
    )
    connection.execute(
        "DELETE FROM link_boxes WHERE id IN (SELECT id FROM link_boxes WHERE opened_at_ms >= ?"
        " ORDER BY opened_at_ms LIMIT ? /* FOR UPDATE SKIP LOCKED */)",
        (latest, _FORGET_BATCH),
    )
