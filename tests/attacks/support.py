# SPDX-License-Identifier: Apache-2.0
"""The scene of every attack: people with devices, and what the back end between them can do.

The back end sees every envelope, may keep, change, drop, repeat and invent them, and hands out
the published keys. It has no private key but its own ones.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import pytest

from e2ecross import (
    Address,
    Device,
    Envelope,
    MessageKind,
    Policy,
    PreKeyBundle,
    PublishedKeys,
    Text,
)
from e2ecross.crypto.kem import generate_kem_key_pair
from e2ecross.crypto.keys import KeyPair, generate_key_pair
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import RemoteError
from e2ecross.protocol.session import Session, session_encrypt
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.wire.content import Content, Payload, encode_payload
from tests.support import protobuf
from tests.support.entropy import SeededEntropy

__all__ = [
    "ANA",
    "APPS",
    "BUDI",
    "NOW_MS",
    "SESSION_KINDS",
    "TOKO",
    "WRAPPER",
    "Attacker",
    "FakeClock",
    "Person",
    "Rows",
    "assert_all_refused",
    "assert_refused",
    "dump",
    "edit_envelope",
    "edit_wrapper",
    "flips",
    "inner_message",
    "meet",
    "oversize",
    "payload_for",
    "person",
    "rewrap",
    "signal_fields",
    "with_ciphertext",
    "wrapper_fields",
]

ANA: Final = Address("whatsapp", "ana")
BUDI: Final = Address("instagram", "budi")
TOKO: Final = Address("messenger", "toko-kopi")
APPS: Final = (ANA, BUDI, TOKO)
NOW_MS: Final = 1_700_000_000_000
SESSION_KINDS: Final = (MessageKind.SIGNAL, MessageKind.PREKEY)

WRAPPER: Final[Mapping[str, int]] = {
    "pre_key_id": 1,
    "base_key": 2,
    "identity_key": 3,
    "message": 4,
    "registration_id": 5,
    "signed_pre_key_id": 6,
    "kyber_pre_key_id": 7,
    "kyber_ciphertext": 8,
}
"""Field numbers of the wrapper of a prekey message."""
SIGNAL_MAC_BYTES: Final = 8

Rows = tuple[tuple[str, bytes, bytes, bytes], ...]
"""Everything that a store holds: table, partition, row, record."""


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        """Begin at that time, milliseconds since 1970."""
        self.now_ms = now_ms

    def __call__(self) -> int:
        """Tell the time."""
        return self.now_ms


def dump(store: Store) -> Rows:
    """Read everything that a store holds, in one transaction."""
    with store.transaction() as tx:
        return tuple(sorted((table.value, *row) for table in Table for row in tx.scan(table)))


@dataclass
class Person:
    """Somebody with one device, and the keys that the back end holds of them."""

    hands_out_kyber: ClassVar[bool] = False
    """Whether bundles have a Kyber prekey where a test does not say; see `both_versions`."""

    device: Device
    store: Store
    clock: FakeClock
    entropy: SeededEntropy
    policy: Policy
    published: PublishedKeys
    handed_out: int = 0

    @property
    def address(self) -> Address:
        """Where to reach them."""
        return self.device.address

    def dump(self) -> Rows:
        """Everything that their store holds."""
        return dump(self.store)

    def reload(self) -> None:
        """Start the app anew: nothing survives but the store."""
        self.device = Device.open(
            self.store, policy=self.policy, clock=self.clock, entropy=self.entropy
        )

    def bundle(self, *, one_time: bool = True, kyber: bool | None = None) -> PreKeyBundle:
        """What the back end hands out of them; each one-time prekey of either kind once.

        With `kyber` a Kyber prekey is in it: the last-resort one if not `one_time`.
        """
        kyber = self.hands_out_kyber if kyber is None else kyber
        signed = self.published.signed_prekey
        bundle = PreKeyBundle(
            address=self.address,
            registration_id=self.published.registration_id,
            identity_key=self.published.identity_key,
            signed_prekey_id=signed.id,
            signed_prekey=signed.public_key,
            signed_prekey_signature=signed.signature,
        )
        if kyber:
            prekeys = self.published.kyber_prekeys
            pq = prekeys[self.handed_out] if one_time else self.published.last_resort_kyber_prekey
            assert pq is not None
            bundle = replace(
                bundle,
                kyber_prekey_id=pq.id,
                kyber_prekey=pq.public_key,
                kyber_prekey_signature=pq.signature,
            )
        if not one_time:
            return bundle
        prekey = self.published.one_time_prekeys[self.handed_out]
        self.handed_out += 1
        return replace(bundle, one_time_prekey_id=prekey.id, one_time_prekey=prekey.public_key)

    def start(self, peer: "Person", *, one_time: bool = True, kyber: bool | None = None) -> None:
        """Start a session with somebody."""
        self.device.start_session(peer.bundle(one_time=one_time, kyber=kyber))

    def send(self, peer: "Person", text: str) -> Envelope:
        """Encrypt a text."""
        return self.device.encrypt(peer.address, Text(text))

    def read(self, envelope: Envelope) -> str:
        """Decrypt a text, which must be accepted and not flagged."""
        message = self.device.decrypt(envelope)
        assert not message.identity_changed
        assert isinstance(message.content, Text)
        return message.content.text

    def one_time_prekeys(self) -> set[int]:
        """Ids of the one-time prekeys that the store still holds."""
        with self.store.transaction() as tx:
            return {int.from_bytes(row) for row, _ in tx.list(Table.ONE_TIME_PREKEYS)}


def person(
    address: Address,
    *,
    store: Store | None = None,
    policy: Policy | None = None,
    one_time: int = 8,
    installation: str = "",
) -> Person:
    """Install the app: a new device in its own store, with its keys published.

    Args:
        address: the device's.
        store: where its state is; in memory by default.
        policy: the device's.
        one_time: how many one-time prekeys are published.
        installation: another name gives other keys for the same address.
    """
    store = MemoryStore() if store is None else store
    policy = Policy() if policy is None else policy
    clock = FakeClock()
    entropy = SeededEntropy(f"{address} {installation}")
    device = Device.create(address, store, policy=policy, clock=clock, entropy=entropy)
    published = device.publish(one_time)
    device.confirm_published(published)
    return Person(device, store, clock, entropy, policy, published)


def meet(left: Person, right: Person, *, one_time: bool = True, kyber: bool | None = None) -> None:
    """Let two people get to know each other: both ends of the session are acknowledged."""
    left.start(right, one_time=one_time, kyber=kyber)
    assert right.read(left.send(right, "hello")) == "hello"
    assert left.read(right.send(left, "hello to you")) == "hello to you"


def assert_refused(
    victim: Person, envelope: Envelope | bytes, *expected: type[RemoteError]
) -> RemoteError:
    """Deliver something bad: one of exactly these errors, and not a byte of the store changes."""
    return _assert_refused(victim, victim.dump(), envelope, expected)


def assert_all_refused(
    victim: Person, envelopes: Iterable[Envelope | bytes], *expected: type[RemoteError]
) -> None:
    """The same for many in a row, of which none changes the store for the next one."""
    before = victim.dump()
    for envelope in envelopes:
        _assert_refused(victim, before, envelope, expected)


def _assert_refused(
    victim: Person,
    before: Rows,
    envelope: Envelope | bytes,
    expected: tuple[type[RemoteError], ...],
) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        victim.device.decrypt(envelope)
    assert type(caught.value) in expected, f"{caught.value!r} is none of {expected}"
    assert victim.dump() == before
    return caught.value


# --- The attacker's tools -------------------------------------------------------------------


def with_ciphertext(envelope: Envelope, ciphertext: bytes) -> Envelope:
    """The envelope around something else."""
    return replace(envelope, ciphertext=ciphertext)


def flips(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every way to change one bit, with the place of the byte it is in."""
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            yield place, bytes(changed)


def wrapper_fields(envelope: Envelope) -> list[protobuf.Field]:
    """The fields of a prekey message's wrapper, as they stand."""
    assert envelope.kind is MessageKind.PREKEY
    return protobuf.fields(envelope.ciphertext[1:])


def inner_message(envelope: Envelope) -> bytes:
    """The authenticated Signal message of an envelope of either kind."""
    if envelope.kind is MessageKind.SIGNAL:
        return envelope.ciphertext
    message = dict(wrapper_fields(envelope))[WRAPPER["message"]]
    assert isinstance(message, bytes)
    return message


def rewrap(
    envelope: Envelope, fields: Sequence[protobuf.Field], first_byte: int | None = None
) -> Envelope:
    """The envelope with a wrapper of these fields, in this order; of its version, or another."""
    first_byte = envelope.ciphertext[0] if first_byte is None else first_byte
    data = bytes((first_byte,)) + protobuf.message(fields)
    return replace(envelope, kind=MessageKind.PREKEY, ciphertext=data)


def edit_wrapper(envelope: Envelope, **edits: int | bytes | None) -> Envelope:
    """The envelope with some fields of its wrapper changed, added, or (None) left out."""
    fields = dict(wrapper_fields(envelope))
    for name, value in edits.items():
        fields.pop(WRAPPER[name], None)
        if value is not None:
            fields[WRAPPER[name]] = value
    return rewrap(envelope, sorted(fields.items(), key=lambda item: item[0]))


def edit_envelope(envelope: Envelope, number: int, value: int | bytes) -> bytes:
    """The encoding of an envelope with one field as no `Envelope` would have it."""
    fields = dict(protobuf.fields(envelope.encode())) | {number: value}
    return protobuf.message(sorted(fields.items(), key=lambda item: item[0]))


def signal_fields(envelope: Envelope) -> tuple[list[protobuf.Field], bytes]:
    """The fields of the Signal message inside, and its MAC."""
    message = inner_message(envelope)
    return protobuf.fields(message[1:-SIGNAL_MAC_BYTES]), message[-SIGNAL_MAC_BYTES:]


def oversize(length: int) -> bytes:
    """So many bytes that begin like a Signal message."""
    return b"\x33" + bytes(length - 1)


def payload_for(sender: Address, recipient: Address, content: Content | None = None) -> Payload:
    """What an attacker puts into a message in somebody's name."""
    return Payload(sender, recipient, bytes(16), 1, NOW_MS, content or Text("send me money"))


class Attacker:
    """Somebody with keys of their own, who writes whatever they like."""

    def __init__(self, name: str = "mallory") -> None:
        """Draw keys."""
        self.entropy = SeededEntropy(f"attacker {name}")
        self.identity: KeyPair = generate_key_pair(self.entropy)

    def bundle(self, address: Address, *, kyber: bool = False) -> PreKeyBundle:
        """A bundle in somebody's name, whose private keys are the attacker's."""
        signed_prekey = generate_key_pair(self.entropy)
        signature = sign(self.identity, signed_prekey.public, self.entropy)
        bundle = PreKeyBundle(address, 1, self.identity.public, 1, signed_prekey.public, signature)
        if not kyber:
            return bundle
        prekey = generate_kem_key_pair(self.entropy).public
        return replace(
            bundle,
            kyber_prekey_id=1,
            kyber_prekey=prekey,
            kyber_prekey_signature=sign(self.identity, prekey, self.entropy),
        )

    def session(self, bundle: PreKeyBundle) -> Session:
        """A session under the attacker's own identity."""
        return initiate_session(self.identity, verify_bundle(bundle), self.entropy, NOW_MS)

    def first_message(
        self,
        victim: Person,
        claimed_sender: Address,
        *,
        one_time: bool = True,
        payload: Payload | None = None,
    ) -> Envelope:
        """A first message under the attacker's identity, in the name of somebody."""
        payload = payload or payload_for(claimed_sender, victim.address)
        return self.seal(self.session(victim.bundle(one_time=one_time)), payload)

    def seal(self, session: Session, payload: Payload) -> Envelope:
        """A message of a session of the attacker's; the session is not advanced."""
        return self.seal_bytes(session, payload, encode_payload(payload))

    def seal_bytes(self, session: Session, payload: Payload, plaintext: bytes) -> Envelope:
        """The same, around any plaintext."""
        registration_id = payload.registration_id
        _, kind, data = session_encrypt(session, plaintext, registration_id, self.entropy)
        return Envelope(payload.message_id, payload.sender, payload.recipient, kind, data)
