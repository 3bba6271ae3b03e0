# SPDX-License-Identifier: Apache-2.0
"""Who asks for a message of a group gets it if he was in where it stands, and is in now.

The attacker: a member who asks for what was said before he came, by an id that he knows; a former
member; somebody who never was one; each also in the name of no group, or of another.
"""

import pytest

from e2ecross import Address, Text
from e2ecross.device.group_changes import add_members
from e2ecross.device.posted import KeysAsked
from e2ecross.state.sent_to_groups import keep_sent_to_group
from e2ecross.wire.content import Framed, GroupRetryRequest
from e2ecross.wire.group import GroupDestination, GroupId
from tests.attacks.support_members import gather_members, is_silent, rest
from tests.support.accounts import craft, receive, told
from tests.support.devices import ANA, BUDI, MESSAGE_ID
from tests.support.group_speaker import found_group
from tests.support.group_world import GroupWorld

CITRA = Address("messenger", "citra")


def _keep(world: GroupWorld, group: GroupId) -> None:
    """Ana has said something at the present heads."""
    context, now_ms = world.context(ANA), world.clock()
    destination = GroupDestination(group, world.state(group, ANA).heads)
    content = Framed(Text("before"), bytes(32))
    with context.store.transaction() as tx:
        keep_sent_to_group(tx, context.policy, destination, MESSAGE_ID, content, now_ms, now_ms)


def _ask(world: GroupWorld, requester: Address, group: GroupId | None) -> None:
    asked = GroupRetryRequest(group, (), MESSAGE_ID, b"", "unknown_sender_key")
    receive(world.devices[ANA], craft(world.devices[requester], ANA, asked))


@pytest.mark.parametrize("names", ["this group", "no group", "another group"])
def test_a_joiner_gets_nothing_from_before(names: str) -> None:
    world, group = gather_members(CITRA)
    other = found_group(world, ANA, CITRA)
    _keep(world, group)
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    before = rest(world, ANA)
    named = {"this group": group, "no group": None, "another group": other}[names]
    _ask(world, CITRA, named)
    assert is_silent(world, ANA)
    assert rest(world, ANA) == before


@pytest.mark.parametrize("names", ["this group", "no group", "another group"])
def test_who_never_was_a_member_gets_nothing(names: str) -> None:
    world, group = gather_members(CITRA)
    other = found_group(world, ANA, CITRA)
    _keep(world, group)
    before = rest(world, ANA)
    named = {"this group": group, "no group": None, "another group": other}[names]
    _ask(world, CITRA, named)
    assert is_silent(world, ANA)
    assert rest(world, ANA) == before


def test_who_was_in_gets_it() -> None:
    world, group = gather_members()
    _keep(world, group)
    _ask(world, BUDI, None)
    assert [address for address, _ in told(world.devices[ANA])] == [BUDI]
