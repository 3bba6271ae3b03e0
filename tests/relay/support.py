# SPDX-License-Identifier: Apache-2.0
"""Values that a relay is given in tests; all of them a function of their arguments."""

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from e2ecross.address import Address, UserId
from e2ecross.client.backend import Backend
from e2ecross.crypto.kem import KemPublicKey, kem_key_pair_from_seed
from e2ecross.crypto.keys import PublicKey, key_pair_from_private
from e2ecross.errors import UnknownRecipient
from e2ecross.relay import Relay
from e2ecross.relay.sqlite_database import SQLiteDatabase
from e2ecross.wire.bundle import (
    KyberPrekey,
    OneTimePrekey,
    PreKeyBundle,
    PublishedKeys,
    SignedPrekey,
)
from e2ecross.wire.device_list import PRIMARY, DeviceList, ListedDevice, SignedDeviceList
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.exchange import KeysWanted

ANA = Address("whatsapp", "ana")
BUDI = Address("instagram", "budi")
TOKO = Address("messenger", "toko-kopi")

_KEYS: dict[str, PublicKey] = {}
_KEM_KEYS: dict[str, KemPublicKey] = {}


@dataclass
class FakeClock:
    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def token(address: Address, generation: int = 0) -> bytes:
    return digest(f"token {address} {generation}")


def public_key(name: str) -> PublicKey:
    if name not in _KEYS:
        _KEYS[name] = key_pair_from_private(digest(name)).public
    return _KEYS[name]


def kyber_prekey(name: str, number: int) -> KyberPrekey:
    """A Kyber prekey; a relay checks no signature, so it is not one."""
    if name not in _KEM_KEYS:
        _KEM_KEYS[name] = kem_key_pair_from_seed(digest(name) * 2).public
    return KyberPrekey(number, _KEM_KEYS[name], digest(f"{name} signature") * 2)


def published(
    address: Address,
    ids: Iterable[int] = (),
    identity: str = "identity",
    signed_id: int = 7,
    *,
    kyber: Iterable[int] | None = None,
) -> PublishedKeys:
    """Keys of a device; a relay checks no signature, so it is not one.

    With `kyber`, also one-time Kyber prekeys of these ids, and a last-resort one of id 1000000 +
    `signed_id`.
    """
    owner = f"{address} {identity}"
    last_resort = kyber_prekey(f"{owner} last-resort {signed_id}", 1_000_000 + signed_id)
    return PublishedKeys(
        address=address,
        registration_id=4711,
        identity_key=public_key(owner),
        signed_prekey=SignedPrekey(
            signed_id, public_key(f"{owner} signed {signed_id}"), digest(owner) * 2
        ),
        one_time_prekeys=tuple(
            OneTimePrekey(id=n, public_key=public_key(f"{owner} one-time {n}")) for n in ids
        ),
        kyber_prekeys=tuple(kyber_prekey(f"{owner} kyber {n}", n) for n in kyber or ()),
        last_resort_kyber_prekey=None if kyber is None else last_resort,
    )


def device_list(
    user: Address | UserId, seq: int = 1, devices: Iterable[int] = (1,), *, name: str = ""
) -> SignedDeviceList:
    """A list of devices; a relay checks no signature, so none of them is one.

    With another `name` it is another list of the same number.
    """
    listed = DeviceList(
        UserId(user.app, user.user),
        seq,
        digest(f"list {seq - 1} of {user}") if seq > 1 else b"",
        1_700_000_000_000,
        tuple(
            ListedDevice(
                number,
                public_key(f"{user.app}:{user.user}.{number} identity"),
                b"" if number == PRIMARY else digest(f"consent {number}") * 2,
            )
            for number in devices
        ),
    )
    return SignedDeviceList(listed.encode(), digest(f"signature {name}") * 2, listed)


def token_sha256(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def envelope(sender: Address, recipient: Address, number: int = 0, size: int = 40) -> Envelope:
    return Envelope(
        message_id=digest(f"message {number}")[:16],
        sender=sender,
        recipient=recipient,
        kind=MessageKind.SIGNAL,
        ciphertext=bytes([1 + number % 255]) * size,
    )


def copies(sender: Address, number: int, *recipients: Address, size: int = 80) -> EnvelopeCopies:
    """A message into a group; `envelope` makes one of the same id."""
    return EnvelopeCopies(
        digest(f"message {number}")[:16],
        sender,
        tuple(sorted(recipients, key=str)),
        bytes([1 + number % 255]) * size,
    )


def sqlite_of(relay: Relay) -> SQLiteDatabase:
    """The database of a relay on a file."""
    assert isinstance(relay._database, SQLiteDatabase)
    return relay._database


def shared_rows(path: Path) -> list[int]:
    """How many copies there are of each shared ciphertext; none may be there without the other."""
    connection = sqlite3.connect(path)
    there = connection.execute("SELECT number FROM shared_ciphertexts ORDER BY number").fetchall()
    copies = connection.execute(
        "SELECT shared, COUNT(*) FROM mailbox WHERE shared IS NOT NULL GROUP BY shared"
        " ORDER BY shared"
    ).fetchall()
    connection.close()
    assert there == [(number,) for number, _ in copies]
    return [count for _, count in copies]


def envelope_of_size(sender: Address, recipient: Address, total: int) -> bytes:
    """An encoded envelope of exactly that many bytes."""
    overhead = len(envelope(sender, recipient, size=total - 100).encode()) - (total - 100)
    encoded = envelope(sender, recipient, size=total - overhead).encode()
    assert len(encoded) == total
    return encoded


def register(relay: Backend, *addresses: Address) -> None:
    for address in addresses:
        relay.register(address, token(address))


def file_bytes(path: Path) -> bytes:
    """All that is on disk: the file with its WAL and shared memory."""
    return b"".join(p.read_bytes() for p in sorted(path.parent.glob(path.name + "*")))


# --- One of what a call does for many ---------------------------------------------------------


def deposit(relay: Backend, token: bytes, envelope: bytes, *, epoch: int = 0) -> None:
    """Deposit one envelope; raises what it was refused with."""
    errors = list(relay.deposit_all(token, [envelope], epochs={0: epoch}).refused.values())
    if errors:
        raise errors.pop()


def fetch_bundle(
    relay: Backend, requester: Address, token: bytes, address: Address
) -> PreKeyBundle:
    """Fetch the keys of one device; raises that there are none."""
    wanted = KeysWanted(address.user_id, [address.device])
    [keys] = relay.fetch_keys(requester, token, [wanted])
    if isinstance(keys, UnknownRecipient):
        raise keys
    if not keys.bundles:
        raise UnknownRecipient(f"{address} has published no keys")
    [bundle] = keys.bundles
    return bundle


def epoch_of(relay: Backend, address: Address, token: bytes) -> int:
    """The highest epoch that the device has told."""
    epochs = relay.epochs(address, token)
    assert list(epochs) == [0]
    return epochs[0]


def take(relay: Relay, requester: Address, address: Address) -> int | None:
    """Fetch a bundle; the id of its one-time prekey."""
    return fetch_bundle(relay, requester, token(requester), address).one_time_prekey_id


def take_both(relay: Relay, requester: Address, address: Address) -> tuple[int | None, int | None]:
    """Fetch a bundle; the ids of its one-time prekey and of its Kyber prekey."""
    bundle = fetch_bundle(relay, requester, token(requester), address)
    return bundle.one_time_prekey_id, bundle.kyber_prekey_id
