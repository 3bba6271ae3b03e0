# SPDX-License-Identifier: Apache-2.0
"""Where our build differs from that of before, which the same contestants run in.

The build of before is one commit, installed by `benchmarks/peers/before/install.sh`: what it has
under another name, or not at all, is told here, and nowhere else.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from e2ecross import Address, Client, Device, Envelope, Sent
from e2ecross.relay import Relay, RelayLimits, directory, mailbox
from e2ecross.wire.content import Content

if TYPE_CHECKING:
    from e2ecross import SentContent  # which the build of before does not have

__all__ = [
    "IS_BEFORE",
    "MOST_AT_ONCE",
    "address_key",
    "deposit",
    "deposit_at_once",
    "encrypt_as_client",
    "exchange_lists",
    "hold_lists",
    "publish_lists",
    "register_at_once",
    "send_to_all",
]

IS_BEFORE: Final = find_spec("e2ecross.state") is None
"""Whether this process runs the build of before."""

MOST_AT_ONCE: Final = 1_000
"""Envelopes in one call of a relay."""

_LARGE_CACHE: Final = "PRAGMA cache_size = -1000000"
"""1 GB: what many envelopes change stays in memory until the commit."""

_CONTEXT: Any = import_module("e2ecross.client.context" if IS_BEFORE else "e2ecross.state.context")

_DATABASE: Any = import_module(f"e2ecross.relay.{'' if IS_BEFORE else 'sqlite_'}database")

address_key: Final[Callable[[Address], bytes]] = _CONTEXT.address_key
"""The store's key of an address."""

_ACCOUNTS: Any = None if IS_BEFORE else import_module("benchmarks.contestants.accounts")
_DEVICES: Any = None if IS_BEFORE else import_module("e2ecross.relay.devices")


def hold_lists(
    device: Device, signer: Device, others: Iterable[Address], announced: bytes = b""
) -> None:
    """Let a device hold its own list, and those of others; where there are lists.

    Args:
        device: which.
        signer: whose identity the others have in its store.
        others: their addresses, each alone in its account.
        announced: what these devices understand, encoded.
    """
    if not IS_BEFORE:
        _ACCOUNTS.own_list(device)
        users = [other.user_id for other in others]
        signed = [_ACCOUNTS.sign_devices(signer, user=u, announced=announced) for u in users]
        _ACCOUNTS.hold(device, signed)


def exchange_lists(one: Device, other: Device) -> None:
    """Let two devices hold their own lists, and each other's; where there are lists."""
    if not IS_BEFORE:
        _ACCOUNTS.hold(one, [_ACCOUNTS.own_list(other)])
        _ACCOUNTS.hold(other, [_ACCOUNTS.own_list(one)])


def encrypt_as_client(device: Device, address: Address, content: Content) -> bytes:
    """Encrypt content as a client does, who says by which lists where there are any."""
    if IS_BEFORE:
        return device.encrypt(address, content).encode()
    envelope: Envelope = _ACCOUNTS.encrypt_as_client(device, address, content)
    return envelope.encode()


def publish_lists(
    path: Path, limits: RelayLimits, signer: Device, addresses: Sequence[Address]
) -> None:
    """Put the lists of accounts, each of one device, into the file of a relay, past its calls.

    All of them in one commit, and by one identity: the relay checks no signature. Nothing where
    there are no lists.
    """
    if IS_BEFORE:
        return
    signed = [_ACCOUNTS.sign_devices(signer, user=address.user_id) for address in addresses]

    def publish(connection: sqlite3.Connection) -> None:
        for each in signed:
            _DEVICES.publish(connection, each, {}, limits, 0)

    _write(path, publish)


def register_at_once(
    path: Path, limits: RelayLimits, addresses: Iterable[Address], token: bytes
) -> None:
    """Register addresses in the file of a relay, past its calls: in one commit, however many."""

    def register(connection: sqlite3.Connection) -> None:
        claiming: Any = directory
        for address in addresses:
            if IS_BEFORE:
                claiming.claim(connection, address, token)
            else:
                _DEVICES.give(connection, address, directory.token_sha256(token), limits, 0)

    _write(path, register)


def send_to_all(client: Client, recipients: Sequence[Address], content: "SentContent") -> None:
    """Send content to everybody: in one call, where there is such a call."""
    if IS_BEFORE:
        for recipient in recipients:
            client.send(recipient, content)
        return
    for _, result in zip(recipients, client.send_many(recipients, content), strict=True):
        if not isinstance(result, Sent):
            raise result


def deposit(relay: Relay, token: bytes, envelopes: Sequence[bytes]) -> None:
    """Deposit envelopes of one sender: in one call for many, where there is such a call."""
    if IS_BEFORE:
        single: Any = relay
        for envelope in envelopes:
            single.deposit(token, envelope)
        return
    for start in range(0, len(envelopes), MOST_AT_ONCE):
        refused = relay.deposit_all(token, envelopes[start : start + MOST_AT_ONCE]).refused
        for error in refused.values():
            raise error


def deposit_at_once(path: Path, limits: RelayLimits, envelopes: Iterable[bytes]) -> None:
    """Put envelopes into the file of a relay, past its calls: in one commit, however many."""
    put: Any = mailbox.deposit
    when = () if IS_BEFORE else (time.time_ns() // 1_000_000,)

    def deposit_each(connection: sqlite3.Connection) -> None:
        connection.execute(_LARGE_CACHE)
        for encoded in envelopes:
            put(connection, Envelope.decode(encoded), encoded, limits, *when)

    _write(path, deposit_each)


def _write(path: Path, work: Callable[[sqlite3.Connection], None]) -> None:
    """Change the file of a relay, which is made if there is none, in one transaction."""
    if IS_BEFORE:
        database = _DATABASE.Database(str(path))
        with database.writing() as connection:
            work(connection)
    else:
        database = _DATABASE.SQLiteDatabase(str(path))
        database.write(work)
    database.close()
