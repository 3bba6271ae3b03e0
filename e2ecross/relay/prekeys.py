# SPDX-License-Identifier: Apache-2.0
"""One-time prekeys of both kinds, which a relay hands out once each.

Rules:
- The two kinds are kept apart: each has ids, a bound, and an order of its own.
- A handed-out one loses its key and keeps its id, so that a repeated publication does not bring it
  back.

Each function runs inside a transaction of the caller.
"""

import enum
from collections.abc import Iterable
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.errors import BackendRefused
from e2ecross.relay.database import Connection
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import MAX_NUMBER, read_row, read_rows

__all__ = ["Prekey", "PrekeyKind", "add", "drop_all", "unused_count", "use_up", "withdraw"]


class PrekeyKind(enum.IntEnum):
    """What a one-time prekey is for; the value is the column `kind`."""

    X25519 = 0
    KYBER = 1


_NAMES: Final = {
    PrekeyKind.X25519: "one-time prekeys",
    PrekeyKind.KYBER: "one-time Kyber prekeys",
}


class Prekey(NamedTuple):
    """One of them.

    Attributes:
        id: as published.
        public_key: 33 bytes, of Kyber 1569.
        signature: of Kyber 64 bytes, else empty.
    """

    id: int
    public_key: bytes
    signature: bytes = b""


def drop_all(connection: Connection, address: Address) -> None:
    """Forget all of an address, with their ids."""
    connection.execute("DELETE FROM one_time_prekeys WHERE address = ?", (str(address),))


def unused_count(connection: Connection, address: Address, kind: PrekeyKind) -> int:
    """Return how many of a kind are left to hand out."""
    row: tuple[int] = connection.execute(
        "SELECT COUNT(*) FROM one_time_prekeys"
        " WHERE address = ? AND kind = ? AND public_key IS NOT NULL",
        (str(address), kind),
    ).fetchone()
    return row[0]


def withdraw(
    connection: Connection,
    address: Address,
    kind: PrekeyKind,
    published: Iterable[Prekey],
    told: int,
) -> None:
    """Take back the unused ones of before; those of later publications stay.

    Args:
        connection: inside a writing transaction.
        address: whose.
        kind: which.
        published: those of the publication that replaces the others, which come next.
        told: the epoch of that publication, 0 if it was not told.
    """
    rows = read_rows(
        connection,
        "SELECT number, id, public_key FROM one_time_prekeys"
        " WHERE address = ? AND kind = ? AND public_key IS NOT NULL AND epoch <= ?",
        (str(address), kind, told or MAX_NUMBER),
        *(int, int, bytes),
    )
    again = {(prekey.id, prekey.public_key) for prekey in published}
    # Another key under a known id is not one of these: whoever has fetched the old one uses it
    # under that id. So the old one is withdrawn, and the new one not added.
    withdrawn = [(number,) for number, *prekey in rows if tuple(prekey) not in again]
    connection.executemany(_HAND_OUT, withdrawn)
    # The others are added anew, behind all that are withdrawn: the memory of handed-out ones, which
    # drops the lowest numbers, then loses none of this publication before its repetition.
    stay = [(number,) for number, *prekey in rows if tuple(prekey) in again]
    connection.executemany("DELETE FROM one_time_prekeys WHERE number = ?", stay)


def add(
    connection: Connection,
    address: Address,
    kind: PrekeyKind,
    published: Iterable[Prekey],
    limits: RelayLimits,
    told: int,
) -> None:
    """Add those whose ids are not known; forget the oldest handed-out ids.

    Raises:
        BackendRefused: too many are unused.
    """
    spelled = str(address)
    connection.executemany(
        "INSERT INTO one_time_prekeys (address, kind, id, public_key, signature, epoch)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (address, kind, id) DO NOTHING",
        [(spelled, kind, *prekey, told) for prekey in published],
    )
    unused = unused_count(connection, address, kind)
    if unused > limits.one_time_prekeys:
        raise BackendRefused(
            f"{address} would have {unused} unused {_NAMES[kind]}, this back end keeps "
            f"{limits.one_time_prekeys}: publish fewer"
        )
    connection.execute(
        "DELETE FROM one_time_prekeys WHERE address = ? AND kind = ? AND public_key IS NULL"
        " AND number <= (SELECT number FROM one_time_prekeys WHERE address = ? AND kind = ?"
        " AND public_key IS NULL ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (spelled, kind, spelled, kind, limits.handed_out_prekeys),
    )


def use_up(connection: Connection, address: Address, kind: PrekeyKind) -> Prekey | None:
    """Take the unused one that was published first."""
    row = read_row(
        connection,
        "SELECT number, id, public_key, signature FROM one_time_prekeys"
        " WHERE address = ? AND kind = ? AND public_key IS NOT NULL ORDER BY number LIMIT 1",
        (str(address), kind),
        *(int, int, bytes, bytes),
    )
    if row is None:
        return None
    number, *prekey = row
    connection.execute(_HAND_OUT, (number,))
    return Prekey(*prekey)


_HAND_OUT: Final = "UPDATE one_time_prekeys SET public_key = NULL, signature = x'' WHERE number = ?"
