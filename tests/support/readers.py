# SPDX-License-Identifier: Apache-2.0
"""What a device knows of others, and devices with keys that are given.

laptop = device_with(device_of(ANA, 2), recorded_pair("laptop"))
assert key_of(budi, laptop.address) == laptop.identity_key
"""

from e2ecross import Address, Device, Notice, NoticeKind, Policy, UserId
from e2ecross.crypto.entropy import Encapsulation
from e2ecross.crypto.keys import KeyPair
from e2ecross.protocol.session_record import all_sessions
from e2ecross.state.session_store import load_sessions
from e2ecross.state.trust import find_identity
from e2ecross.stores import MemoryStore
from tests.support.devices import FakeClock
from tests.support.entropy import SeededEntropy
from tests.support.inboxes import hand_all

__all__ = ["device_with", "key_of", "notices", "pending_of", "sessions_of"]

_Key = bytes  # within a class that has a method `bytes`, that name is the method


def device_with(address: Address, pair: KeyPair, *, policy: Policy | None = None) -> Device:
    """A device that has drawn this identity."""
    entropy = _Pinned(pair.private, SeededEntropy(f"{address} with a given key"))
    return Device.create(address, MemoryStore(), policy=policy, clock=FakeClock(), entropy=entropy)


class _Pinned:
    """Entropy whose first draw is known."""

    def __init__(self, first: bytes, rest: SeededEntropy) -> None:
        self._first = [first]
        self._rest = rest

    def bytes(self, n: int) -> bytes:
        return self._first.pop() if self._first else self._rest.bytes(n)

    def encapsulate(self, kem_public_key: _Key) -> Encapsulation:
        return self._rest.encapsulate(kem_public_key)


def key_of(device: Device, address: Address) -> bytes | None:
    """Which identity key a device accepts of exactly this address."""
    with device._context.store.transaction() as tx:
        found = find_identity(tx, address)
        return None if found is None else found.identity_key


def pending_of(device: Device, address: Address) -> bytes | None:
    """Which one waits to be accepted of exactly this address."""
    with device._context.store.transaction() as tx:
        found = find_identity(tx, address)
        return None if found is None else found.pending_key


def sessions_of(device: Device, address: Address) -> list[bytes]:
    """Whose identity the sessions with an address are of, the current one first."""
    with device._context.store.transaction() as tx:
        return [each.remote_identity_key for each in all_sessions(load_sessions(tx, address))]


def notices(device: Device) -> list[tuple[NoticeKind, UserId | None, tuple[int, ...]]]:
    """What the app is to hear: kind, whom about, which devices."""
    items = hand_all(device._context)
    return [(each.kind, each.user, each.devices) for each in items if isinstance(each, Notice)]
