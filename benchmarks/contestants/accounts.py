# SPDX-License-Identifier: Apache-2.0
"""Accounts as they are once everybody has heard of everybody: with lists of devices, and sessions.

Nobody is linked for it: who is in a list has said so by a signature, as devices do that are linked.
The build of before has no lists; what it does in their place is in `builds.py`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from e2ecross import Address, Device, Envelope, UserId
from e2ecross.device.device import context_of
from e2ecross.device.hints import own_hints
from e2ecross.device.sending import Saying, checked_message_id, encrypt_content
from e2ecross.protocol.device_list import sign_consent, sign_list
from e2ecross.state.accounts import find_account, put_account
from e2ecross.state.conversations import ContactState, put_conversation
from e2ecross.stores import MemoryStore
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.content import Content
from e2ecross.wire.conversation_records import ConversationRecord
from e2ecross.wire.device_list import PRIMARY, DeviceList, ListedDevice, SignedDeviceList

__all__ = ["account_of", "encrypt_as_client", "hold", "own_list", "sign_devices"]

_ACCEPTED: Final = ConversationRecord(ContactState.ACCEPTED)


def account_of(user: UserId, number: int) -> Sequence[Device]:
    """That many devices of an account, in memory: 1, 2 and so on. Nobody has listed them yet."""
    addresses = [Address(user.app, user.user, place) for place in range(1, number + 1)]
    return [Device.create(address, MemoryStore()) for address in addresses]


def sign_devices(
    primary: Device, *companions: Device, user: UserId | None = None, announced: bytes = b""
) -> SignedDeviceList:
    """The first list of an account with these devices, ascending by number.

    Args:
        primary: device 1, which signs it.
        companions: the others.
        user: whose it is; that of device 1 by default.
        announced: what all of them understand, encoded.
    """
    context = context_of(primary)
    user, key_pair = user or context.address.user_id, context.identity_key_pair
    listed = [ListedDevice(PRIMARY, key_pair.public, b"", announced)]
    for device in companions:
        number, own = device.address.device, context_of(device).identity_key_pair
        consent = sign_consent(user, number, own, key_pair.public, context.entropy)
        listed.append(ListedDevice(number, own.public, consent, announced))
    fields = DeviceList(user, 1, b"", context.clock(), tuple(listed))
    return sign_list(fields, key_pair, context.entropy)


def hold(device: Device, lists: Iterable[SignedDeviceList]) -> None:
    """Let a device have accepted lists, and its user have written to these accounts.

    The identities of their devices are those that it has sessions with.
    """
    context = context_of(device)
    with context.store.transaction() as tx:
        for each in lists:
            record = AccountRecord(each, context.clock(), changed_seq=each.list.seq, written=True)
            put_account(tx, each.list.user, record)
            put_conversation(tx, each.list.user, _ACCEPTED)


def own_list(device: Device) -> SignedDeviceList:
    """The list of a device's own account: of it alone, if there was none."""
    context, user = context_of(device), device.address.user_id
    with context.store.transaction() as tx:
        record = find_account(tx, user)
    if record is not None and record.held is not None:
        return record.held
    signed = sign_devices(device)
    hold(device, [signed])
    return signed


def encrypt_as_client(device: Device, address: Address, content: Content) -> Envelope:
    """Encrypt content as a client does, which says by which lists; nothing is kept of it."""
    context = context_of(device)
    with context.store.transaction() as tx:
        said = Saying(own_hints(context, tx, address.user_id))
        message_id = checked_message_id(context, None)
        return encrypt_content(context, tx, address, content, message_id, context.clock(), said)
