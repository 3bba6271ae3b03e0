# SPDX-License-Identifier: Apache-2.0
"""What every operation of a device works with, and the device's own record.

Rules:
- What is cached here never changes while the device exists: its address, its identity key pair,
  the key of its account, its registration id. Everything else is read inside the transaction that
  uses it.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import KeyPair, PublicKey, key_pair_from_private
from e2ecross.crypto.secret import Secret
from e2ecross.errors import NoDevice, RecordCorrupted
from e2ecross.state.live import Live
from e2ecross.state.policy import Policy
from e2ecross.state.stripe import stripe_of
from e2ecross.state.witness import CheckedWitness, EpochWatch
from e2ecross.stores.base import Codec, Store, Table, Transaction
from e2ecross.wire.records import DeviceRecord
from e2ecross.wire.service_id import encode_addresses

__all__ = [
    "Clock",
    "Context",
    "address_from_key",
    "address_key",
    "load_device",
    "open_context",
    "require_device",
    "save_device",
    "system_clock",
]

Clock = Callable[[], int]
"""Returns milliseconds since 1970."""

RestoreStripe = Callable[["Context", Transaction], None]
"""What is done to a stripe, with its view, after the store was opened as restored. It takes more
than this floor knows, and so it is handed down."""

_REMEMBERED: Final = 4_096
"""Addresses that need not be read of their keys each time: those of some groups, 1 MB."""

_DEVICE: Final = Codec(DeviceRecord.encode, DeviceRecord.decode)


def system_clock() -> int:
    """The operating system's time, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Context(Secret):
    """A device's fixed facts, and what it works with.

    Attributes:
        address: the device's address.
        identity_key_pair: its identity.
        account_key: the identity key of device 1 of its account, 33 bytes; of a device that was
            not linked, its own.
        registration_id: 1 to 16380.
        store: where its state is.
        policy: how it behaves.
        clock: milliseconds since 1970.
        entropy: where its randomness comes from.
        witness: who is told how far the store has come, or None.
        watch: remembers how far it was seen to have come.
        inbox_id: tells the inboxes of installations apart, 32 bytes; not secret.
        new_items: numbers, and hashes of the records, of items that this object has put into the
            inbox, and that nobody has handed over yet.
        heard_of: accounts that messages came from or were about, since the last look at them, and
            whose device lists are to be asked for; in the order of the messages.
        live: what is known of the moment, and not kept.
        life: how often its store, which has stripes, had been opened as restored at last.
        restore_stripe: makes a stripe of it usable after that, in the transaction of who needs it.
    """

    address: Address
    identity_key_pair: KeyPair
    account_key: PublicKey
    registration_id: int
    store: Store
    policy: Policy
    clock: Clock
    entropy: EntropySource
    witness: CheckedWitness | None
    watch: EpochWatch
    inbox_id: bytes
    new_items: set[tuple[int, int]]
    heard_of: dict[UserId, None]
    live: Live
    life: int
    restore_stripe: "RestoreStripe"

    def stripe_of(self, user: UserId) -> int:
        """The stripe of an account; 0 of the own one, and in a store without stripes."""
        stripes = self.store.stripes
        # Without stripes first: nearly all stores, and a microsecond of each message.
        return 0 if not stripes or user == self.address.user_id else stripe_of(user, stripes)

    def addresses_to(self, recipient: Address) -> bytes | None:
        """What a message of ours says of who sends to whom, 36 bytes, or None."""
        return _addresses(self.address, recipient)

    def addresses_from(self, sender: Address) -> bytes | None:
        """What a message to us says of that, 36 bytes, or None."""
        return _addresses(sender, self.address)


def _addresses(sender: Address, recipient: Address) -> bytes | None:
    return encode_addresses(sender.user, sender.device, recipient.user, recipient.device)


def address_key(address: Address) -> bytes:
    """The store's key of an address; NUL occurs in no part, so parts stay apart."""
    return f"{address.app}\0{address.user}\0".encode() + bytes((address.device,))


@lru_cache(_REMEMBERED)
def address_from_key(key: bytes) -> Address:
    """Return the address that a key of the store stands for.

    Raises:
        RecordCorrupted: it stands for none.
    """
    try:
        app, user, device = key.split(b"\0", 2)
        (device_id,) = device
        return Address(app.decode("ascii"), user.decode("ascii"), device_id)
    except ValueError as error:  # also InvalidArgument and UnicodeDecodeError
        raise RecordCorrupted("a record belongs to no address: the store is damaged") from error


def load_device(tx: Transaction) -> DeviceRecord | None:
    """Return the record of the device in this store, or None."""
    return tx.get_value(Table.DEVICE, b"", b"", _DEVICE)


def require_device(tx: Transaction) -> DeviceRecord:
    """Return the record of the device in this store.

    Raises:
        NoDevice: there is none.
    """
    device = load_device(tx)
    if device is None:
        raise NoDevice("the store holds no device: use Device.create")
    return device


def save_device(tx: Transaction, device: DeviceRecord) -> None:
    """Write the record of the device."""
    tx.put_value(Table.DEVICE, b"", b"", device, _DEVICE)


def open_context(
    device: DeviceRecord,
    store: Store,
    policy: Policy,
    clock: Clock,
    entropy: EntropySource,
    witness: CheckedWitness | None = None,
    account_key: PublicKey | None = None,
    restore_stripe: RestoreStripe | None = None,
) -> Context:
    """Put together what the operations of a device work with.

    The key of its account (33 bytes) is its own if there is no other. What makes a stripe usable
    may be left out where no transaction is begun.
    """
    identity_key_pair = key_pair_from_private(device.identity_private_key)
    who = f"{device.address} {device.registration_id} ".encode() + identity_key_pair.public
    return Context(
        address=device.address,
        identity_key_pair=identity_key_pair,
        account_key=account_key or identity_key_pair.public,
        registration_id=device.registration_id,
        store=store,
        policy=policy,
        clock=clock,
        entropy=entropy,
        witness=witness,
        watch=EpochWatch(),
        inbox_id=hashlib.sha256(who).digest(),
        new_items=set(),
        heard_of={},
        live=Live(),
        life=device.life,
        restore_stripe=restore_stripe or _restore_nothing,
    )


def _restore_nothing(_: Context, __: Transaction) -> None:
    """What is done where no transaction is begun."""
