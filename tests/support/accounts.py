# SPDX-License-Identifier: Apache-2.0
"""Devices of one account, lists that its device 1 has signed, and what they tell each other.

phone, laptop = make_device(ANA), make_device(device_of(ANA, 2))
link_devices(phone, laptop)
hold_list(budi, sign_devices(phone, laptop, seq=1))
receive(budi, craft(phone, budi, Text("halo"), hints=DeviceHints(2, bytes(16))))

phone, laptop = make_account(ANA, (1, 2), backend)  # clients, registered
tablet = new_client(device_of(ANA, 3), backend)
change_devices(backend, phone, laptop, tablet)
change_devices(backend, phone, tablet)  # the laptop is unlinked
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count

from e2ecross import Address, Client, Device, Envelope, Notice, Policy, Text, UserId
from e2ecross.client.backend import Backend
from e2ecross.device.accepting import accept_list
from e2ecross.device.collecting import take_in
from e2ecross.device.controls import take_own_lists
from e2ecross.device.hints import own_hints
from e2ecross.device.registering import prepare_token
from e2ecross.device.sending import encrypt_plaintext
from e2ecross.protocol.device_list import hash_list
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_own_account,
    put_account,
    put_own_account,
)
from e2ecross.state.inbox import InboxItem
from e2ecross.state.outbox import Told, Waiting, list_backlog, remove_waiting
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.state.transactions import peer_transaction
from e2ecross.state.trust import mark_verified
from e2ecross.stores import Store
from e2ecross.wire.account_records import AccountRecord, DeviceName, OwnAccountRecord
from e2ecross.wire.capabilities import announced_by
from e2ecross.wire.content import DeviceHints, Payload, encode_payload
from e2ecross.wire.content.resent import PayloadContent
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.device_lists import Household
from tests.support.devices import introduce, make_device
from tests.support.inboxes import confirm_all, hand_all

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
    home = Household(user or primary.address.user_id)
    for device in (primary, *companions):
        context = device._context
        can = context.policy.capabilities
        capabilities = announced_by(can, groups=not context.store.stripes)
        home.move_in(device.address.device, context.identity_key_pair, capabilities)
    if after is not None:
        seq, previous = after.list.seq + 1, hash_list(after)
    return home.sign(
        seq,
        previous=previous,
        devices=sorted((1, *(each.address.device for each in companions))),
        signed_at_ms=primary._context.clock() if signed_at_ms is None else signed_at_ms,
        hosting=hosting,
        vendor="a vendor" if hosting == 1 else "",
    )


def hold_list(device: Device, signed: SignedDeviceList) -> None:
    """Let a device accept a list."""
    context = device._context
    user = signed.list.user
    with peer_transaction(context, user) as tx:
        accept_list(context, tx, user, signed, context.clock())


def link_devices(
    primary: Device, *companions: Device, after: SignedDeviceList | None = None
) -> SignedDeviceList:
    """Make devices an account: all hold the list, and have sessions with each other."""
    everybody = (primary, *companions)
    for place, one in enumerate(everybody):
        for other in everybody[place + 1 :]:
            introduce(one, other)  # before they hold a list: copies for own devices name a peer
    signed = sign_devices(primary, *companions, after=after)
    for device in everybody:
        hold_list(device, signed)
        now_ms = device._context.clock()
        names = tuple(DeviceName(each.address.device, "laptop", now_ms) for each in companions)
        record = OwnAccountRecord(names=names)
        if device is not primary:
            record = OwnAccountRecord(linked_at_ms=now_ms)
        put_own(device, record)
    return signed


def put_own(device: Device, record: OwnAccountRecord) -> None:
    """Write what a device knows of its own account."""
    with device._context.store.transaction() as tx:
        put_own_account(tx, record)


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


# --- Accounts at a back end ---------------------------------------------------------------------


def make_account(
    address: Address,
    numbers: Iterable[int],
    backend: Backend,
    *,
    stores: Callable[[int], Store] | None = None,
    clock: Callable[[], int] | None = None,
    policy: Policy | None = None,
) -> list[Client]:
    """Registered clients of one account, as if they had been linked; they have no sessions yet.

    Args:
        address: of device 1.
        numbers: of all devices, 1 first.
        backend: where they are registered, and where their list is published: the second one of
            the account, after the one of device 1 alone.
        stores: makes the store of each; in memory by default.
        clock: of all of them.
        policy: of all of them.
    """
    clients = [
        new_client(
            device_of(address, number),
            backend,
            None if stores is None else stores(number),
            clock=clock,
            policy=policy,
        )
        for number in numbers
    ]
    change_devices(backend, *clients)
    return clients


def new_client(
    address: Address,
    backend: Backend,
    store: Store | None = None,
    *,
    clock: Callable[[], int] | None = None,
    policy: Policy | None = None,
) -> Client:
    """A client that is not registered yet; `change_devices` does that with who is listed."""
    return Client(make_device(address, store, clock=clock, policy=policy), backend)


def change_devices(
    backend: Backend, *clients: Client, held_by: Iterable[Client] | None = None
) -> SignedDeviceList:
    """Sign and publish the next list of an account, and let its devices accept it.

    Those that are listed for the first time register and publish their keys. The app hears nothing
    of it, and nobody is sent the list.

    Args:
        backend: where it is published.
        clients: all that are listed from now on, device 1 first.
        held_by: which of them have it at once; all by default. Device 1 always has it.
    """
    phone, *others = clients
    primary, user = phone.device, phone.device.address.user_id
    phone.register()
    before = account(primary, user).held
    if before is None:
        before = sign_devices(primary)
        hold_list(primary, before)
        _publish(backend, phone, before, ())
    signed = sign_devices(primary, *(each.device for each in others), after=before)
    new = [each for each in others if before.list.find(each.device.address.device) is None]
    for client in {phone, *new, *(clients if held_by is None else held_by)}:
        hold_list(client.device, signed)
        _forget_notices(client.device)
    _publish(backend, phone, signed, new)
    now_ms, own = primary._context.clock(), own_account(primary)
    numbers = [each.device.address.device for each in others]
    names = tuple(DeviceName(number, "laptop", now_ms) for number in numbers)
    next_device = max(own.next_device, *(number + 1 for number in (1, *numbers)))
    put_own(primary, replace(own, published=True, names=names, next_device=next_device))
    for client in new:
        put_own(client.device, OwnAccountRecord(linked_at_ms=now_ms))
        with client.device._context.store.transaction() as tx:
            mark_verified(tx, primary.address, primary.identity_key)
        client.register()
    return signed


def _publish(
    backend: Backend, phone: Client, signed: SignedDeviceList, new: Iterable[Client]
) -> None:
    tokens = {}
    for client in new:
        token = prepare_token(client.device._context).token
        tokens[client.device.address.device] = hashlib.sha256(token.value).digest()
    token = prepare_token(phone.device._context).token
    backend.publish_devices(token.value, signed.encode(), tokens)


def _forget_notices(device: Device) -> None:
    context = device._context
    confirm_all(context, [item for item in hand_all(context) if isinstance(item, Notice)])


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
    with peer_transaction(context, recipient.user_id) as tx:
        kind, data = encrypt_plaintext(context, tx, recipient, encode_payload(payload))
    return Envelope(message_id, context.address, recipient, kind, data)


def receive(device: Device, *envelopes: Envelope) -> list[InboxItem]:
    """Take in envelopes as a client does; returns all that is in the inbox then."""
    context = device._context
    for envelope in envelopes:
        take_in(context, next(_NUMBERS), envelope.encode())
    take_own_lists(context)
    return hand_all(context)


def outbox(device: Device) -> Sequence[Waiting]:
    """What waits in all backlogs."""
    with device._context.store.transaction() as tx:
        return [waiting for backlog in list_backlogs(tx) for waiting in list_backlog(tx, backlog)]


def told(device: Device) -> list[tuple[Address, Told]]:
    """What is to be told whom."""
    return [
        (each.backlog.recipient, each.control)
        for each in outbox(device)
        if each.control is not None
    ]


def speak(sender: Device, recipient: Device, text: str = "halo") -> list[InboxItem]:
    """Send a text with the hints that a client adds; returns the recipient's inbox."""
    address = recipient.address
    return receive(recipient, craft(sender, address, Text(text), hints=_hints(sender, address)))


def carry(sender: Device, *recipients: Device) -> list[Told]:
    """Bring what a device has to tell others to them, and forget the rest; returns what arrived."""
    by_address = {each.address: each for each in recipients}
    carried = []
    for waiting in outbox(sender):
        address, content = waiting.backlog.recipient, waiting.control
        with sender._context.store.transaction() as tx:
            remove_waiting(tx, waiting)
        if content is not None and address in by_address:
            envelope = craft(sender, address, content, hints=_hints(sender, address))
            receive(by_address[address], envelope)
            carried.append(content)
    return carried


def _hints(sender: Device, recipient: Address) -> DeviceHints | None:
    context = sender._context
    with context.store.transaction() as tx:
        return own_hints(context, tx, recipient.user_id)
