# SPDX-License-Identifier: Apache-2.0
"""Devices that are linked to a phone, without what the two of them say to each other meanwhile.

phone = make_client(ANA, backend)
laptop = link(phone, backend)
"""

import hashlib
from dataclasses import dataclass

from e2ecross import Client, Device, Notice, NoticeKind
from e2ecross.client.backend import Backend
from e2ecross.device.accepting import accept_list
from e2ecross.device.own_list import add_device, number_for_device
from e2ecross.device.registering import prepare_token
from e2ecross.protocol.device_list import sign_consent
from e2ecross.state.accounts import put_own_account
from e2ecross.stores import Store
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.capabilities import announced_by
from e2ecross.wire.device_list import ListedDevice, SignedDeviceList
from tests.support.accounts import account, device_of
from tests.support.devices import make_device
from tests.support.inboxes import hand_all

__all__ = ["Candidate", "candidate", "held", "link", "notices_of"]


@dataclass(frozen=True)
class Candidate:
    """A device that wants to be linked.

    Attributes:
        device: it.
        entry: how it would stand in the list.
        token_hash: SHA-256 of its token.
    """

    device: Device
    entry: ListedDevice
    token_hash: bytes


def candidate(
    phone: Device, number: int | None = None, *, seed: str = "", store: Store | None = None
) -> Candidate:
    """A device that consents to get a number, by default the next one, in a phone's account."""
    context = phone._context
    number = number_for_device(context) if number is None else number
    address = device_of(phone.address, number)
    device = make_device(address, store, seed=seed, clock=context.clock, policy=context.policy)
    pair, entropy = device._context.identity_key_pair, device._context.entropy
    account_key = context.identity_key_pair.public
    consent = sign_consent(address.user_id, number, pair, account_key, entropy)
    token = prepare_token(device._context).token
    digest = hashlib.sha256(token.value).digest()
    capabilities = announced_by(context.policy.capabilities)
    entry = ListedDevice(number, pair.public, consent, capabilities)
    return Candidate(device, entry, digest)


def link(
    phone: Client,
    backend: Backend,
    number: int | None = None,
    *,
    seed: str = "",
    store: Store | None = None,
) -> Client:
    """Link a device to a phone, and register it."""
    context = phone.device._context
    new = candidate(phone.device, number, seed=seed, store=store)
    signed = add_device(context, new.entry, "laptop", new.token_hash)
    phone.maintain()
    own = new.device._context
    with own.store.transaction() as tx:
        accept_list(own, tx, context.address.user_id, signed, own.clock())
        put_own_account(tx, OwnAccountRecord(linked_at_ms=own.clock()))
    client = Client(new.device, backend)
    client.register()
    return client


def held(client: Client) -> SignedDeviceList:
    """The list of the own account that a device holds."""
    signed = account(client.device, client.device.address.user_id).held
    assert signed is not None
    return signed


def notices_of(device: Device) -> list[tuple[NoticeKind, tuple[int, ...]]]:
    """Kinds of the notices in an inbox, and of which devices they are."""
    items = hand_all(device._context)
    return [(item.kind, item.devices) for item in items if isinstance(item, Notice)]
