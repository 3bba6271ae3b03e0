# SPDX-License-Identifier: Apache-2.0
"""The mailboxes: encoded envelopes that wait for their recipient, oldest first.

Rules:
- Bytes are kept and returned as they came; of copies (`copies.py`) what all of them share once.
- (sender, recipient device, message id) is deposited once: a repetition changes nothing, also
  after the envelope was acknowledged, as long and as many as the limits say.
- A full mailbox refuses the newest; nobody can push out what waits already. One user may fill it,
  up to the reserve: that is for users of whom few envelopes wait there, so nobody shuts out all
  others alone.
- No deposit counts or searches what waits: what it costs does not grow with the mailbox.
- An envelope leaves when its recipient acknowledges its number, when it has waited for too long, or
  when the address is reset or dropped. Exactly the addresses that are registered have a mailbox.

Each function runs inside a transaction of the caller.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from e2ecross.address import Address
from e2ecross.errors import MailboxFull, UnknownRecipient
from e2ecross.relay.database import Connection
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import each_row, read_row, read_rows, require_row
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import MAX_FETCHED_BYTES, Waiting

__all__ = [
    "IN_PARTS",
    "close",
    "deposit",
    "drop_all",
    "drop_overdue",
    "fetch",
    "forget_expired",
    "make",
    "marks",
    "oldest_ms",
    "remove",
    "up_to_bytes",
    "waiting",
    "was_taken",
]

_FORGET_BATCH: Final = 100
"""Expired triples deleted with a call, beside one for each of its envelopes: more than the call
adds, and little work."""
_OVERDUE_BATCH: Final = 100
"""Envelopes dropped with a call that have waited for too long."""
_ASKED_AT_ONCE: Final = 500
"""Envelopes that are looked up with one query; SQLite takes 999 values."""

IN_PARTS: Final = (
    "SELECT mailbox.number, envelope, CASE WHEN shared IS NULL THEN x'' ELSE ciphertext END"
    " FROM mailbox LEFT JOIN shared_ciphertexts ON shared_ciphertexts.number = shared"
)
"""Begins a query for the numbers of envelopes, and their two parts; the second may be empty."""

_IS_ANY_DUE: Final = (
    "SELECT (SELECT MIN(forget_at_ms) FROM deposits WHERE forget_at_ms IS NOT NULL) <= ?"
    " OR (SELECT MAX(forget_at_ms) FROM deposits WHERE forget_at_ms IS NOT NULL) > ?"
)
_FREE: Final = "SELECT 1 FROM accounts WHERE address = ? /* FOR UPDATE SKIP LOCKED */"


def make(connection: Connection, address: Address) -> None:
    """Make the mailbox of an address that is registered, unless it has one."""
    # What is remembered of an earlier one keeps its places, and those of this one come after them.
    connection.execute(
        "INSERT INTO mailboxes (recipient, acknowledged) SELECT ?, COALESCE(MAX(place), 0)"
        " FROM deposits WHERE recipient = ? ON CONFLICT DO NOTHING",
        (str(address),) * 2,
    )


def close(connection: Connection, address: Address, limits: RelayLimits, now_ms: int) -> None:
    """Take the mailbox from an address that is registered no more, with what waits in it."""
    drop_all(connection, address, limits, now_ms)
    connection.execute("DELETE FROM mailboxes WHERE recipient = ?", (str(address),))


def deposit(
    connection: Connection,
    envelope: Envelope,
    encoded: bytes,
    limits: RelayLimits,
    now_ms: int,
    shared: int | None = None,
) -> None:
    """Put an envelope, in the encoding that it came in, into its recipient's mailbox.

    Args:
        connection: inside a writing transaction.
        envelope: what `encoded` says.
        encoded: the bytes to keep; of a copy, those before what it shares.
        limits: how many may wait.
        now_ms: the time, milliseconds since 1970.
        shared: the number of what it shares; None: it is no copy.

    Raises:
        UnknownRecipient: nobody is registered there.
        MailboxFull: the mailbox is full, or what is left is for other senders; nothing was changed.
    """
    recipient, sender = str(envelope.recipient), str(envelope.sender.user_id)
    count = _require_mailbox(connection, recipient)
    triple = _triple_sha256(envelope)
    if count >= limits.mailbox_messages and not _is_known(connection, recipient, triple):
        _require_room(connection, recipient, sender, count, limits)
    added = connection.execute(
        "INSERT INTO deposits (recipient, triple_sha256) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (recipient, triple),
    )
    if added.rowcount:
        connection.execute(
            "INSERT INTO mailbox"
            " (recipient, sender, envelope, triple_sha256, deposited_at_ms, shared)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (recipient, sender, encoded, triple, now_ms, shared),
        )


def was_taken(connection: Connection, envelope: Envelope) -> bool:
    """Tell whether an envelope was deposited before, and is not forgotten."""
    return _is_known(connection, str(envelope.recipient), _triple_sha256(envelope))


def fetch(connection: Connection, address: Address, limit: int, after: int) -> list[Waiting]:
    """Return up to `limit` waiting envelopes with numbers above `after`, oldest first."""
    return up_to_bytes(
        connection,
        f"{IN_PARTS} WHERE recipient = ? AND mailbox.number > ? ORDER BY mailbox.number LIMIT ?",
        (str(address), after, limit),
    )


def up_to_bytes(
    connection: Connection, query: str, parameters: tuple[object, ...]
) -> list[Waiting]:
    """Return envelopes that a query finds, `IN_PARTS`: the first, and others up to 4 MiB."""
    waiting: list[Waiting] = []
    size = 0
    for number, beginning, ending in each_row(connection, query, parameters, int, bytes, bytes):
        size += len(beginning) + len(ending)
        if waiting and size > MAX_FETCHED_BYTES:
            break
        waiting.append(Waiting(number, beginning + ending))
    return waiting


def marks(connection: Connection, recipients: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return of mailboxes how many wait, and how many were acknowledged: no change leaves both."""
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(recipients), _ASKED_AT_ONCE):
        part = recipients[start : start + _ASKED_AT_ONCE]
        many = ", ".join("?" * len(part))
        rows = each_row(
            connection,
            "SELECT recipient, waiting, acknowledged FROM mailboxes"  # noqa: S608 - only marks
            f" WHERE recipient IN ({many})",
            tuple(part),
            *(str, int, int),
        )
        found.update(
            (recipient, (waiting, acknowledged)) for recipient, waiting, acknowledged in rows
        )
    return found


def waiting(connection: Connection, address: Address) -> list[bytes]:
    """Return all waiting envelopes of the address, oldest first."""
    rows = read_rows(
        connection,
        f"{IN_PARTS} WHERE recipient = ? ORDER BY mailbox.number",
        (str(address),),
        *(int, bytes, bytes),
    )
    return [envelope + shared for _, envelope, shared in rows]


def remove(
    connection: Connection,
    address: Address,
    numbers: Sequence[int],
    limits: RelayLimits,
    now_ms: int,
) -> None:
    """Remove envelopes from a registered address's mailbox; remember their triples for a while.

    Numbers of other mailboxes are ignored.
    """
    recipient = str(address)
    (place,) = require_row(
        connection, "SELECT acknowledged FROM mailboxes WHERE recipient = ?", (recipient,), int
    )
    for start in range(0, len(numbers), _ASKED_AT_ONCE):
        part = numbers[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" * len(part))
        found = dict(
            connection.execute(
                "SELECT number, triple_sha256 FROM mailbox"  # noqa: S608 - nothing but marks
                f" WHERE recipient = ? AND number IN ({marks})",
                (recipient, *part),
            )
        )
        removed = [number for number in dict.fromkeys(part) if number in found]
        connection.executemany("DELETE FROM mailbox WHERE number = ?", zip(removed))
        connection.executemany(
            "UPDATE deposits SET place = ?, forget_at_ms = ?"
            " WHERE recipient = ? AND triple_sha256 = ?",
            [
                (at, now_ms + limits.remembered_ms, recipient, found[number])
                for at, number in enumerate(removed, place + 1)
            ],
        )
        place += len(removed)
    connection.execute(
        "UPDATE mailboxes SET acknowledged = ? WHERE recipient = ?", (place, recipient)
    )
    connection.execute(
        "DELETE FROM deposits WHERE recipient = ? AND place <= ?",
        (recipient, place - limits.remembered_messages),
    )


def drop_all(connection: Connection, address: Address, limits: RelayLimits, now_ms: int) -> None:
    """Empty the mailbox of a registered address, as if all of it had been acknowledged."""
    rows = connection.execute("SELECT number FROM mailbox WHERE recipient = ?", (str(address),))
    numbers = [number for (number,) in rows]
    remove(connection, address, numbers, limits, now_ms)


def drop_overdue(connection: Connection, limits: RelayLimits, now_ms: int) -> None:
    """Drop envelopes that have waited for too long, as if they had been acknowledged.

    Only the oldest of all mailboxes are looked at, so that it costs nothing when there is none.
    What an operator put there has no time, and stays.

    Args:
        connection: inside a writing transaction.
        limits: how long they may wait.
        now_ms: the time, milliseconds since 1970.
    """
    overdue: dict[str, list[int]] = {}
    rows = each_row(
        connection,
        "SELECT number, recipient, deposited_at_ms FROM mailbox WHERE number > 0"
        " ORDER BY number LIMIT ?",
        (_OVERDUE_BATCH,),
        *(int, str, int),
    )
    for number, recipient, deposited_at_ms in rows:
        if deposited_at_ms and deposited_at_ms + limits.waiting_ms > now_ms:
            break
        if deposited_at_ms:
            overdue.setdefault(recipient, []).append(number)
    for recipient, numbers in overdue.items():
        free = read_row(connection, _FREE, (recipient,), int)
        if free is not None:
            remove(connection, Address.parse(recipient), numbers, limits, now_ms)


def oldest_ms(connection: Connection) -> int | None:
    """Return when the oldest envelope was deposited, in milliseconds since 1970, or None."""
    row = read_row(
        connection, "SELECT deposited_at_ms FROM mailbox ORDER BY number LIMIT 1", (), int
    )
    return None if row is None else row[0]


def forget_expired(
    connection: Connection, limits: RelayLimits, now_ms: int, envelopes: int
) -> None:
    """Forget triples whose time is over, the oldest first, a bounded number of them.

    The time of one that was acknowledged after now, by a clock that was wrong, begins now.

    Args:
        connection: inside a writing transaction.
        limits: how long they are remembered.
        now_ms: the time, milliseconds since 1970.
        envelopes: how many are to be deposited.
    """
    latest = now_ms + limits.remembered_ms
    # Two looks into the index: whatever a planner guesses, none goes through all rows.
    if not connection.execute(_IS_ANY_DUE, (now_ms, latest)).fetchone()[0]:
        return  # mostly; and cheaper than to look for what to change
    connection.execute(
        "UPDATE deposits SET forget_at_ms = ? WHERE (recipient, triple_sha256) IN"
        " (SELECT recipient, triple_sha256 FROM deposits WHERE forget_at_ms > ?"
        " ORDER BY forget_at_ms LIMIT ? /* FOR UPDATE SKIP LOCKED */)",
        (latest, latest, _FORGET_BATCH + envelopes),
    )
    connection.execute(
        "DELETE FROM deposits WHERE (recipient, triple_sha256) IN (SELECT recipient, triple_sha256"
        " FROM deposits WHERE forget_at_ms <= ? ORDER BY forget_at_ms"
        " LIMIT ? /* FOR UPDATE SKIP LOCKED */)",
        (now_ms, _FORGET_BATCH + envelopes),
    )


def _require_mailbox(connection: Connection, recipient: str) -> int:
    """Return how many envelopes wait there."""
    row = read_row(
        connection, "SELECT waiting FROM mailboxes WHERE recipient = ?", (recipient,), int
    )
    if row is None:
        raise UnknownRecipient(f"{recipient} is not registered")
    count: int = row[0]
    return count


def _is_known(connection: Connection, recipient: str, triple: bytes) -> bool:
    """Tell whether it was deposited before."""
    known = connection.execute(
        "SELECT 1 FROM deposits WHERE recipient = ? AND triple_sha256 = ?", (recipient, triple)
    )
    return known.fetchone() is not None


def _require_room(
    connection: Connection, recipient: str, sender: str, count: int, limits: RelayLimits
) -> None:
    """Refuse where the mailbox is full, or what is left of it is for others."""
    most = limits.mailbox_messages + limits.mailbox_reserve
    if count >= most:
        raise MailboxFull(
            f"{most} messages wait for {recipient}, more are not kept: try again when it has been "
            f"online"
        )
    row = read_row(
        connection,
        "SELECT waiting FROM waiting_from WHERE recipient = ? AND sender = ?",
        (recipient, sender),
        int,
    )
    # Of the user, not the device: another device is no way around it.
    if row is not None and row[0] >= limits.mailbox_reserve_per_sender:
        raise MailboxFull(
            f"{limits.mailbox_messages} messages or more wait for {recipient}, the room left is "
            f"for users who sent fewer than {limits.mailbox_reserve_per_sender} of them, not for "
            f"{sender}: try again when the recipient has been online"
        )


def _triple_sha256(envelope: Envelope) -> bytes:
    # A space is in no address, so no two triples have the same text.
    text = f"{envelope.sender} {envelope.recipient} {envelope.message_id.hex()}"
    return hashlib.sha256(text.encode("ascii")).digest()
