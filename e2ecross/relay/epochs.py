# SPDX-License-Identifier: Apache-2.0
"""How often the stores of devices have worked, as their devices tell: the highest of each stripe.

Rules:
- A device tells of a stripe with what it deposits for accounts of it, and of stripe 0, which is the
  device's own, with what it publishes. A device without a fleet has stripe 0 alone.
- A number is kept for each stripe that was told, up to a bound, and only ever grows.

All functions run inside a transaction of the caller.
"""

import hmac
from collections.abc import Collection, Mapping

from e2ecross.address import Address
from e2ecross.errors import BackendRefused
from e2ecross.relay.database import Connection
from e2ecross.relay.directory import NO_DIGEST, token_sha256
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import read_row, read_rows, require_row

__all__ = ["epochs_of_holder", "read_epochs", "record_epochs", "record_own_epoch"]


def epochs_of_holder(
    connection: Connection, address: Address, token: bytes, stripes: Collection[int]
) -> dict[int, int] | None:
    """Return the highest epochs of some stripes that an address has told, 0 for none.

    None: the token (32 bytes, secret) is not its, or nobody has claimed the address.
    """
    of_them = f"stripe IN ({', '.join('?' * len(stripes))})" if stripes else "stripe IS NULL"
    rows = read_rows(
        connection,
        "SELECT token_sha256, COALESCE(stripe, 0), COALESCE(epoch, 0) FROM accounts"  # noqa: S608
        f" LEFT JOIN epochs ON epochs.address = accounts.address AND {of_them}"
        " WHERE accounts.address = ?",
        (*stripes, str(address)),
        *(bytes, int, int),
    )
    digest = rows[0][0] if rows else NO_DIGEST
    if not hmac.compare_digest(digest, token_sha256(token)) or not rows:
        return None
    told = {stripe: epoch for _, stripe, epoch in rows}
    return {stripe: told.get(stripe, 0) for stripe in stripes}


def read_epochs(connection: Connection, address: Address) -> dict[int, int]:
    """Return the highest epoch of each stripe that a registered address has told."""
    query = "SELECT stripe, epoch FROM epochs WHERE address = ? ORDER BY stripe"
    return dict(read_rows(connection, query, (str(address),), int, int))


def record_epochs(
    connection: Connection,
    address: Address,
    told: Mapping[int, int],
    before: Mapping[int, int],
    limits: RelayLimits,
) -> None:
    """Keep what a registered address tells of its epochs, where they are the highest.

    Args:
        connection: inside a writing transaction.
        address: of the device.
        told: by stripe, none 0.
        before: of the same stripes, see `epochs_of_holder`.
        limits: of how many stripes a device may tell.

    Raises:
        BackendRefused: of too many; the caller's transaction is to be undone.
    """
    higher = {stripe: told[stripe] for stripe in sorted(told) if told[stripe] > before[stripe]}
    if not higher:
        return
    connection.executemany(
        "INSERT INTO epochs (address, stripe, epoch) VALUES (?, ?, ?)"
        " ON CONFLICT (address, stripe) DO UPDATE SET epoch = excluded.epoch"
        " WHERE epochs.epoch < excluded.epoch",
        [(str(address), stripe, epoch) for stripe, epoch in higher.items()],
    )
    if all(before[stripe] for stripe in higher):
        return
    query = "SELECT COUNT(*) FROM epochs WHERE address = ?"
    (kept,) = require_row(connection, query, (str(address),), int)
    if kept > limits.stripes:
        raise BackendRefused(
            f"{address} has told epochs of {kept} stripes, this back end keeps {limits.stripes}"
        )


def record_own_epoch(
    connection: Connection, address: Address, told: int, limits: RelayLimits
) -> None:
    """The same of stripe 0 alone."""
    query = "SELECT epoch FROM epochs WHERE address = ? AND stripe = 0"
    row = read_row(connection, query, (str(address),), int)
    record_epochs(connection, address, {0: told}, {0: 0 if row is None else row[0]}, limits)
