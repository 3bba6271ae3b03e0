# SPDX-License-Identifier: Apache-2.0
"""The scene of attacks in groups of ours: Ana, their owner, Budi and Toko, of one app each."""

from e2ecross import Address, Message, Text
from e2ecross.device.collecting import take_in
from e2ecross.errors import RemoteError
from e2ecross.state.inbox import InboxItem
from e2ecross.stores import Table
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.group import GroupId
from tests.support.accounts import outbox, receive
from tests.support.devices import ANA, BUDI, TOKO, dump
from tests.support.group_sending import waiting
from tests.support.group_speaker import found_group
from tests.support.group_world import GroupWorld

__all__ = ["assert_refused", "gather_members", "is_silent", "rest", "shown"]

_COUNTED = {Table.SESSIONS, Table.SESSION_RECORDS, Table.SPQR, Table.SKIPPED_KEYS}
_NOTED = {Table.DELIVERED, Table.INBOX, Table.RETRIES}


def gather_members(*more: Address) -> tuple[GroupWorld, GroupId]:
    """Ana's group, which all have accepted; others are in the world and not in it."""
    world = GroupWorld((ANA, BUDI, TOKO, *more), sessions=True)
    return world, found_group(world, ANA, BUDI, TOKO)


def assert_refused(
    world: GroupWorld, victim: Address, envelope: Envelope, *expected: type[RemoteError]
) -> None:
    """Deliver something bad: one of exactly these errors, and not a byte of the store changes."""
    context = world.context(victim)
    before = dump(context.store)
    try:
        take_in(context, 10**9, envelope.encode())
    except RemoteError as error:
        caught = type(error)
    else:
        raise AssertionError("it was read")
    assert caught in expected
    assert dump(context.store) == before


def rest(world: GroupWorld, address: Address) -> dict[tuple[Table, bytes, bytes], bytes]:
    """All that a device holds but what each message in a session changes."""
    rows = dump(world.context(address).store).items()
    return {where: row for where, row in rows if where[0] not in _COUNTED | _NOTED}


def is_silent(world: GroupWorld, address: Address) -> bool:
    """Whether nothing of a device is on its way to anybody."""
    device = world.devices[address]
    return not outbox(device) and not waiting(device)


def shown(world: GroupWorld, address: Address, *envelopes: Envelope) -> list[str]:
    """The texts that the app of a device has been shown, after some more messages."""
    items: list[InboxItem] = receive(world.devices[address], *envelopes)
    messages = [item for item in items if isinstance(item, Message)]
    return [each.content.text for each in messages if isinstance(each.content, Text)]
