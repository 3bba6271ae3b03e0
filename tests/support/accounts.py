# SPDX-License-Identifier: Apache-2.0
"""Devices of one account, lists that its device 1 has signed, and what they tell each other.

phone, laptop = make_device(ANA), make_device(device_of(ANA, 2))
link_devices(phone, laptop)
hold_list(budi, sign_devices(phone, laptop, seq=1))
receive(budi, craft(phone, budi, Text("halo"), hints=DeviceHints(2, bytes(16))))
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count

from e2ecross import Address, Device, Envelope, Notice, NoticeKind, Policy, UserId
from e2ecross.crypto.entropy import Encapsulation
from e2ecross.crypto.keys import KeyPair
from e2ecross.device.accepting import accept_list
from e2ecross.device.collecting import HandedOver, hand_over, take_in
from e2ecross.device.sending import encrypt_plaintext
from e2ecross.protocol.device_list import hash_list, sign_consent, sign_list
from e2ecross.protocol.session_record import all_sessions
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_own_account,
    put_account,
    put_own_account,
)
from e2ecross.state.inbox import InboxItem
from e2ecross.state.outbox import Waiting, list_lane
from e2ecross.state.outbox_repair import list_lanes
from e2ecross.state.session_store import load_sessions
from e2ecross.state.trust import find_identity
from e2ecross.stores import MemoryStore
from e2ecross.wire.account_records import AccountRecord, DeviceName, OwnAccountRecord
from e2ecross.wire.content import ControlContent, DeviceHints, Payload, encode_payload
from e2ecross.wire.content.resent import PayloadContent
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from tests.support.devices import FakeClock, introduce
from tests.support.entropy import SeededEntropy

_Key = bytes  # within a class that has a method `bytes`, that name is the method
_NUMBERS = count(1)


def device_of(address: Address, number: int) -> Address:
    """Another device of the account of an address."""
    return Address(address.app, address.user, number)


# --- Lists --------------------------------------------------------------------------------------


def sign_devices(
    primary: Device,
    *companions: Device,
    seq: int = 1,
    after: SignedDeviceList | None = None,
    previous: bytes = b"",
    user: UserId | None = None,
    hosting: int = 0,
    signed_at_ms: int | None = None,
) -> SignedDeviceList:
    """A list of these devices, signed by the first.

    Args:
        primary: device 1.
        companions: the others.
        seq: its number.
        after: the list before it, which gives number and hash.
        previous: the hash that it names.
        user: another account than theirs.
        hosting: who hosts it.
        signed_at_ms: when; now by the clock of device 1.
    """
    context = primary._context
    user = user or primary.address.user_id
    pair = context.identity_key_pair
    devices = [ListedDevice(1, pair.public, b"")]
    for each in sorted(companions, key=lambda device: device.address.device):
        own, number = each._context.identity_key_pair, each.address.device
        consent = sign_consent(user, number, own, pair.public, context.entropy)
        devices.append(ListedDevice(number, own.public, consent))
    if after is not None:
        seq, previous = after.list.seq + 1, hash_list(after)
    time_ms = context.clock() if signed_at_ms is None else signed_at_ms
    unsigned = DeviceList(user, seq, previous, time_ms, tuple(devices), hosting)
    return sign_list(unsigned, pair, context.entropy)


def hold_list(device: Device, signed: SignedDeviceList) -> None:
    """Let a device accept a list."""
    context = device._context
    with context.store.transaction() as tx:
        accept_list(context, tx, signed.list.user, signed, context.clock())


def link_devices(
    primary: Device, *companions: Device, after: SignedDeviceList | None = None
) -> SignedDeviceList:
    """Make devices an account: all hold the list, and have sessions with each other."""
    signed = sign_devices(primary, *companions, after=after)
    for device in (primary, *companions):
        hold_list(device, signed)
        context = device._context
        now_ms = context.clock()
        names = tuple(DeviceName(each.address.device, "laptop", now_ms) for each in companions)
        record = OwnAccountRecord(names=names)
        if device is not primary:
            record = OwnAccountRecord(linked_at_ms=now_ms)
        with context.store.transaction() as tx:
            put_own_account(tx, record)
    everybody = (primary, *companions)
    for place, one in enumerate(everybody):
        for other in everybody[place + 1 :]:
            introduce(one, other)
    return signed


def account(device: Device, user: UserId) -> AccountRecord:
    """What a device knows of an account."""
    with device._context.store.transaction() as tx:
        return find_account(tx, user) or NOTHING_KNOWN


def own_account(device: Device) -> OwnAccountRecord:
    """What a device knows of its own account."""
    with device._context.store.transaction() as tx:
        return find_own_account(tx) or OwnAccountRecord()


def change_account(device: Device, user: UserId, **changes: object) -> None:
    """Write something of what a device knows of an account."""
    with device._context.store.transaction() as tx:
        record = find_account(tx, user) or NOTHING_KNOWN
        put_account(tx, user, replace(record, **changes))  # type: ignore[arg-type]


# --- Messages -----------------------------------------------------------------------------------


def craft(
    sender: Device,
    recipient: Address,
    content: PayloadContent,
    *,
    hints: DeviceHints | None = None,
    peer: UserId | None = None,
    device_list: bytes = b"",
    sent_at_ms: int | None = None,
    message_id: bytes | None = None,
) -> Envelope:
    """A message of a device that says whatever its holder likes, in the session that there is."""
    context = sender._context
    message_id = message_id or context.entropy.bytes(16)
    payload = Payload(
        context.address,
        recipient,
        message_id,
        context.registration_id,
        context.clock() if sent_at_ms is None else sent_at_ms,
        content,
        hints,
        peer,
        device_list,
    )
    with context.store.transaction() as tx:
        kind, data = encrypt_plaintext(context, tx, recipient, encode_payload(payload))
    return Envelope(message_id, context.address, recipient, kind, data)


def receive(device: Device, *envelopes: Envelope) -> list[InboxItem]:
    """Take in envelopes as a client does; returns all that is in the inbox then."""
    context = device._context
    for envelope in envelopes:
        take_in(context, next(_NUMBERS), envelope.encode())
    return hand_over(context, HandedOver(), 10_000)


def outbox(device: Device) -> Sequence[Waiting]:
    """What waits in all lanes."""
    with device._context.store.transaction() as tx:
        return [waiting for lane in list_lanes(tx) for waiting in list_lane(tx, lane)]


def told(device: Device) -> Iterable[tuple[Address, ControlContent]]:
    """What is to be told whom."""
    return [
        (each.lane.recipient, each.control) for each in outbox(device) if each.control is not None
    ]


# --- What a device knows ------------------------------------------------------------------------


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


def notices(device: Device) -> list[tuple[NoticeKind, UserId, tuple[int, ...]]]:
    """What the app is to hear: kind, whom about, which devices."""
    items = hand_over(device._context, HandedOver(), 10_000)
    return [(each.kind, each.user, each.devices) for each in items if isinstance(each, Notice)]
