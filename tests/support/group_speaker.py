# SPDX-License-Identifier: Apache-2.0
"""A device that sends into a group by hand: whatever its holder likes, under a key of its own.

ana = Speaker(world, group, ANA)
ana.give(BUDI)
receive(world.devices[BUDI], ana.write(BUDI, "halo"))
"""

from collections.abc import Sequence

from e2ecross import Address, Device, Text, UserId
from e2ecross.crypto.group_kdf import make_distribution_id
from e2ecross.device.collecting import HandedOver, confirm, hand_over, keep_failure, take_in
from e2ecross.device.group_changes import accept_group
from e2ecross.device.leftovers import Leftovers
from e2ecross.errors import RemoteError
from e2ecross.protocol.sender_key import distribute, generate_sender_key, group_encrypt
from e2ecross.state.inbox import InboxItem
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.content import (
    DeviceHints,
    GroupPayload,
    PayloadContent,
    SenderKeyGrant,
    encode_group_payload,
)
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.sender_key_message import encode_distribution
from tests.support.accounts import craft, hold_list, put_own, receive
from tests.support.devices import start
from tests.support.group_sending import add_companion as list_companion
from tests.support.group_world import GroupWorld

__all__ = ["Speaker", "accept_all", "add_companion", "fail", "found_group"]

_numbers = iter(range(10**9, 2 * 10**9))


def found_group(world: GroupWorld, owner: Address, *others: Address) -> GroupId:
    """A group that all its members know and have accepted."""
    group = world.create(owner, *others)
    world.tell(group, owner, *others)
    accept_all(world, group, *others)
    return group


def accept_all(world: GroupWorld, group: GroupId, *members: Address) -> None:
    """Let users accept a group."""
    for each in members:
        accept_group(world.context(each), group)


def add_companion(world: GroupWorld, primary: Address, number: int = 2) -> Address:
    """One more device of an account, which all hold in its list and have sessions with."""
    first = world.devices[primary]
    device = list_companion(world, first, number)
    # As it is at a device that was linked.
    object.__setattr__(device._context, "account_key", first._context.identity_key_pair.public)
    for signed in world.lists.values():
        hold_list(device, signed)
    put_own(device, OwnAccountRecord(linked_at_ms=world.clock()))
    for address, other in world.devices.items():
        start(device, other, kyber=True)
        peer = UserId.parse("whatsapp:whoever") if address == primary else None
        receive(other, craft(device, address, Text("first"), peer=peer))
        confirm(other._context, Leftovers(), hand_over(other._context, HandedOver(), 10))
    world.devices[device.address] = device
    return device.address


def fail(device: Device, envelope: Envelope) -> type[RemoteError]:
    """Take in an envelope that cannot be read, and keep the failure, as a client does."""
    context, number, data = device._context, next(_numbers), envelope.encode()
    try:
        take_in(context, number, data)
    except RemoteError as error:
        keep_failure(context, number, data, error)
        return type(error)
    raise AssertionError("the envelope was read")


class Speaker:
    """A device with a key of its own for a group, made at some heads of it: by default the present.

    Args:
        world: where the device is.
        group: for which the key is.
        address: of the device.
        heads: at which the key is made.
    """

    def __init__(
        self,
        world: GroupWorld,
        group: GroupId,
        address: Address,
        *,
        heads: Sequence[bytes] | None = None,
    ) -> None:
        self.world, self.address = world, address
        self.device = world.devices[address]
        context = self.device._context
        self.entropy = context.entropy
        present = world.state(group, address).heads if heads is None else tuple(heads)
        self.made = GroupDestination(group, present)
        identity_key = context.identity_key_pair.public
        self.key = generate_sender_key(self.entropy)
        self.id = make_distribution_id(group.value, present, str(address), identity_key)

    @property
    def grant(self) -> SenderKeyGrant:
        """What gives the key as it is now."""
        return SenderKeyGrant(self.made, encode_distribution(distribute(self.key, self.id)))

    def give(self, *receivers: Address) -> None:
        """Give devices the key, each in its session."""
        for each in receivers:
            self.tell(each, self.grant)

    def tell(self, receiver: Address, content: PayloadContent) -> list[InboxItem]:
        """Tell a device something in its session; returns what is in its inbox then."""
        return receive(self.world.devices[receiver], craft(self.device, receiver, content))

    def skip(self, count: int) -> None:
        """Use up so many messages that nobody gets."""
        for _ in range(count):
            self.key, _ = group_encrypt(self.key, self.id, b"", self.entropy)

    def write(
        self,
        receiver: Address,
        content: PayloadContent | str = "halo",
        *,
        heads: Sequence[bytes] | None = None,
        group: GroupId | None = None,
        message_id: bytes | None = None,
        inner_id: bytes | None = None,
        inner_sender: Address | None = None,
        sent_at_ms: int | None = None,
        hints: DeviceHints | None = None,
    ) -> Envelope:
        """A message under the key, for one device: the payload says what the test wants."""
        message_id = self.entropy.bytes(16) if message_id is None else message_id
        now = self.world.state(self.made.group_id, self.address).heads
        payload = GroupPayload(
            inner_sender or self.address,
            GroupDestination(group or self.made.group_id, now if heads is None else tuple(heads)),
            inner_id or message_id,
            self.device.registration_id,
            self.world.clock() if sent_at_ms is None else sent_at_ms,
            Text(content) if isinstance(content, str) else content,
            hints,
        )
        return self.seal(receiver, encode_group_payload(payload), message_id)

    def seal(self, receiver: Address, plaintext: bytes, message_id: bytes = bytes(16)) -> Envelope:
        """Any bytes under the key."""
        self.key, data = group_encrypt(self.key, self.id, plaintext, self.entropy)
        return Envelope(message_id, self.address, receiver, MessageKind.SENDER_KEY, data)
