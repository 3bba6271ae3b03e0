# SPDX-License-Identifier: Apache-2.0
"""Sending into groups without a back end: plans are followed, and what leaves is carried by hand.

posted = send(ana, group, Text("halo"))
deliver(ana, budi, toko)  # grants and copies, in their order
"""

from collections.abc import Iterable

from e2ecross import Address, Device, Text
from e2ecross.device.composing import draft_of
from e2ecross.device.group_announcing import post_announcement
from e2ecross.device.group_deposits import next_deposit
from e2ecross.device.group_granting import MAX_GRANTS, grant_keys
from e2ecross.device.group_planning import GroupPlan, plan_group
from e2ecross.device.group_posted import GroupPosted, OutgoingToGroup
from e2ecross.device.group_sending import post_into_group
from e2ecross.device.group_standing import Audience
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.state.group_keys import GroupKey, find_group_key, read_grants
from e2ecross.state.group_outbox import GroupWaiting, walk_group_outbox
from e2ecross.state.inbox import InboxItem
from e2ecross.wire.content import Content
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.envelope import Envelope, EnvelopeCopies
from e2ecross.wire.group import GroupId
from tests.support.accounts import hold_list, receive
from tests.support.devices import make_device, start
from tests.support.group_world import GroupWorld, list_with_groups

__all__ = [
    "add_companion",
    "announce",
    "change_list",
    "copies",
    "deliver",
    "empty",
    "grant_all",
    "granted",
    "grants",
    "group_key",
    "plan",
    "send",
    "waiting",
]


def plan(
    device: Device,
    group: GroupId,
    audience: Audience = Audience.MEMBERS,
    asked: KeysAsked | None = None,
) -> GroupPlan:
    """A plan, of which everything is known that the back end could be asked."""
    asked = KeysAsked() if asked is None else asked
    found = plan_group(device._context, group, asked, audience)
    assert found.needed is None, found.needed
    return found


def grant_all(device: Device, found: GroupPlan, asked: KeysAsked | None = None) -> bool:
    """Give the key to all that lack it by a plan."""
    asked = KeysAsked() if asked is None else asked
    return all(
        grant_keys(
            *(device._context, Leftovers(), found),
            *(found.lacking[start : start + MAX_GRANTS], asked),
        )
        for start in range(0, len(found.lacking), MAX_GRANTS)
    )


def send(
    device: Device,
    group: GroupId,
    content: Content | str = "halo",
    message_id: bytes | None = None,
    asked: KeysAsked | None = None,
) -> GroupPosted:
    """Put a message into the outbox of groups as a client does."""
    context = device._context
    asked = KeysAsked() if asked is None else asked
    draft = draft_of(Text(content) if isinstance(content, str) else content, in_group=True)
    is_new = message_id is None
    outgoing = OutgoingToGroup(group, message_id or context.entropy.bytes(16), is_new)
    posted = post_into_group(context, Leftovers(), outgoing, draft, None, asked)
    if posted is None:
        found = plan(device, group, Audience.MEMBERS, asked)
        assert grant_all(device, found, asked)
        posted = post_into_group(context, Leftovers(), outgoing, draft, found, asked)
    assert posted is not None
    return posted


def announce(device: Device, group: GroupId, asked: KeysAsked | None = None) -> None:
    """Put into the outbox what the group is told of own commits."""
    for audience in (Audience.STAYING, Audience.JOINING):
        found = plan(device, group, audience, asked)
        assert grant_all(device, found, asked)
        assert post_announcement(device._context, Leftovers(), found)


def waiting(device: Device) -> list[GroupWaiting]:
    """What is in the outbox of groups; all of it can be read."""
    with device._context.store.transaction() as tx:
        found = [each for _, each in walk_group_outbox(tx)]
    assert all(isinstance(each, GroupWaiting) for each in found)
    return [each for each in found if isinstance(each, GroupWaiting)]


def grants(device: Device) -> list[Address]:
    """To whom grants are in the outbox of groups."""
    return [each.sent.recipient for each in waiting(device) if isinstance(each.sent, Envelope)]


def copies(device: Device) -> list[EnvelopeCopies]:
    """Messages in the outbox of groups."""
    return [each.sent for each in waiting(device) if isinstance(each.sent, EnvelopeCopies)]


def empty(device: Device) -> list[GroupWaiting]:
    """Take everything from the outbox of groups, as if the back end had it."""
    leftovers, found = Leftovers(), list[GroupWaiting]()
    while part := next_deposit(device._context, leftovers).waiting:
        found += part
        leftovers.note_sent_to_groups(each.number for each in part)
    return found


def deliver(sender: Device, *receivers: Device) -> dict[Address, list[InboxItem]]:
    """Carry the outbox of groups to its recipients, in order; returns what is in their inboxes."""
    found: dict[Address, list[InboxItem]] = {each.address: [] for each in receivers}
    for each in empty(sender):
        for device in receivers:
            for envelope in _for(each, device.address):
                found[device.address] = receive(device, envelope)
    return found


def _for(item: GroupWaiting, address: Address) -> Iterable[Envelope]:
    sent = item.sent
    if isinstance(sent, Envelope) and sent.recipient == address:
        yield sent
    if isinstance(sent, EnvelopeCopies) and address in sent.recipients:
        yield Envelope.decode(sent.encode_for(address))


def granted(device: Device, group: GroupId) -> set[Address]:
    """Which devices have the present key, by what the rows say."""
    with device._context.store.transaction() as tx:
        return {*(read_grants(tx, group) or ())}


def group_key(device: Device, group: GroupId) -> GroupKey:
    """The own key of a group that has one."""
    with device._context.store.transaction() as tx:
        key = find_group_key(tx, group)
    assert key is not None
    return key


def add_companion(world: GroupWorld, primary: Device, number: int, *others: Device) -> Device:
    """One more device of an account, which all hold the list of and have sessions with.

    Args:
        world: where.
        primary: device 1 of the account.
        number: of the new one.
        others: its other devices, which stay.
    """
    address = primary.address.user_id.device(number)
    device = make_device(address, clock=world.clock, seed=f"companion {number}")
    held = world.lists[primary.address.user_id]
    signed = list_with_groups(primary, *others, device, seq=held.list.seq + 1)
    change_list(world, signed)
    for each in world.devices.values():
        start(each, device, kyber=True)
    return device


def change_list(world: GroupWorld, signed: SignedDeviceList) -> None:
    """Let everybody hold a newer list of an account."""
    world.lists[signed.list.user] = signed
    for each in world.devices.values():
        hold_list(each, signed)
