# SPDX-License-Identifier: Apache-2.0
"""The devices of an account: its newest signed list, and which addresses belong to it.

Rules:
- Lists are parsed, kept and handed out as they came. No signature is checked here: devices do not
  trust the relay, and check them themselves.
- A list takes the place of one with a lower seq, and of no other.
- Of an account with a list only devices in it are registered: one that a list leaves out is dropped
  with it, and an address other than that of device 1 can be claimed by nobody. Companions get their
  tokens with the list that has them. So what is asked of the directory is asked of the list.
- A dropped address has nothing any more: no token, no keys, no mailbox, no link box. Which
  deposits it had is remembered, as after a reset.

Each function runs inside a transaction of the caller.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.errors import BackendRefused
from e2ecross.relay import directory, link_boxes, mailbox
from e2ecross.relay.database import Connection
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import read_row
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList

__all__ = ["give", "publish", "require_claimable", "require_primary", "seq", "seqs", "signed_list"]

_ASKED_AT_ONCE: Final = 500
"""Users of one query; SQLite takes 999 values."""


def seq(connection: Connection, user: UserId) -> int:
    """Return the seq of the newest list of a user, 0 if there is none."""
    row = read_row(connection, 'SELECT seq FROM device_lists WHERE "user" = ?', (str(user),), int)
    return 0 if row is None else row[0]


def seqs(connection: Connection, users: Iterable[UserId]) -> dict[UserId, int]:
    """Return the same of many users; what is damaged in the file is left out."""
    names, found = {str(user): user for user in users}, dict[UserId, int]()
    listed = list(names)
    for start in range(0, len(listed), _ASKED_AT_ONCE):
        part = listed[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" * len(part))
        query = f'SELECT "user", seq FROM device_lists WHERE "user" IN ({marks})'  # noqa: S608
        known = dict(connection.execute(query, part))
        for name in part:
            number = known.get(name, 0)
            if type(number) is int:
                found[names[name]] = number
    return found


def signed_list(connection: Connection, user: UserId) -> bytes:
    """Return the newest list of a user as it was published; empty: there is none."""
    query = 'SELECT signed FROM device_lists WHERE "user" = ?'
    row = read_row(connection, query, (str(user),), bytes)
    return b"" if row is None else row[0]


def require_primary(connection: Connection, user: UserId, token: bytes) -> Address:
    """Return device 1 of a user, if the token (32 bytes, secret) is its.

    Raises:
        BackendRefused: the token is that of another device.
        NotRegistered: it is nobody's.
    """
    primary = Address(user.app, user.user, PRIMARY)
    if not directory.is_holder(connection, primary, token):
        other = directory.holder(connection, token)
        if other is not None:
            raise BackendRefused(
                f"only {primary} publishes the list of its devices, and the token is that of "
                f"{other}"
            )
        directory.require_holder(connection, primary, token)
    return primary


def publish(
    connection: Connection,
    signed: SignedDeviceList,
    tokens: Mapping[int, bytes],
    limits: RelayLimits,
    now_ms: int,
) -> None:
    """Set the list of an account; the same one again changes nothing.

    Args:
        connection: inside a writing transaction.
        signed: the list.
        tokens: SHA-256 of the tokens of companions by number, 32 bytes each; of those that are in
            the list. Whoever had the address under another token loses it. Others keep theirs.
        limits: what is remembered of mailboxes that are dropped.
        now_ms: the time, milliseconds since 1970.

    Raises:
        BackendRefused: it is not newer than the one that is known.
    """
    user, encoded = signed.list.user, signed.encode()
    known = seq(connection, user)
    if encoded == signed_list(connection, user):
        return
    if signed.list.seq <= known:
        raise BackendRefused(
            f"list {known} of the devices of {user} is known, and list {signed.list.seq} is no "
            f"newer one: fetch it"
        )
    _drop_others(connection, user, {each.device for each in signed.list.devices}, limits, now_ms)
    for number, sha256 in tokens.items():
        address = Address(user.app, user.user, number)
        is_held = directory.is_held_under(connection, address, sha256)
        if signed.list.find(number) is not None and not is_held:
            give(connection, address, sha256, limits, now_ms)
    connection.execute(
        'INSERT INTO device_lists ("user", seq, signed) VALUES (?, ?, ?) ON CONFLICT ("user")'
        " DO UPDATE SET seq = excluded.seq, signed = excluded.signed",
        (str(user), signed.list.seq, encoded),
    )


def require_claimable(connection: Connection, address: Address) -> None:
    """Refuse that somebody claims the address of a companion.

    Raises:
        BackendRefused: the account has a list of its devices, and this is not device 1.
    """
    if address.device != PRIMARY and seq(connection, address.user_id):
        raise BackendRefused(
            f"{address} may not be claimed: {address.user_id} has a list of its devices, link it "
            f"from device {PRIMARY}"
        )


def give(
    connection: Connection,
    address: Address,
    sha256: bytes,
    limits: RelayLimits,
    now_ms: int,
) -> None:
    """Give an address to the token with this SHA-256, 32 bytes, and nothing of a former holder.

    If it is that of device 1, the list goes too, with the companions.
    """
    directory.claim(connection, address, sha256)
    mailbox.make(connection, address)
    mailbox.drop_all(connection, address, limits, now_ms)
    link_boxes.close_all(connection, address)
    user = address.user_id
    if address.device == PRIMARY and seq(connection, user):
        _drop_others(connection, user, {PRIMARY}, limits, now_ms)
        connection.execute('DELETE FROM device_lists WHERE "user" = ?', (str(user),))


def _drop_others(
    connection: Connection,
    user: UserId,
    stay: set[int],
    limits: RelayLimits,
    now_ms: int,
) -> None:
    for number in directory.devices(connection, user):
        if number not in stay:
            address = Address(user.app, user.user, number)
            directory.drop(connection, address)
            mailbox.close(connection, address, limits, now_ms)
            link_boxes.close_all(connection, address)
