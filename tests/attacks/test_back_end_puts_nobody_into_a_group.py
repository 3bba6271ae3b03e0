# SPDX-License-Identifier: Apache-2.0
"""Who is in a group is said by commits of its members, and by no answer of a back end.

The attacker: the relay, which hands out keys and lists of its own for a member whom a sender meets
for the first time, adds a device to a member's list, and sends a commit that lets itself in.
"""

from dataclasses import replace

import pytest

from e2ecross import Address, Client, Text
from e2ecross.protocol.device_list import sign_list
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.stores import Table
from e2ecross.wire.content import CommitBytes, GroupCommits
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.group_commit import AddMember
from tests.attacks.support_members import gather_members, rest
from tests.client.circle import ANA, BUDI, CITRA, Circle
from tests.client.conversation import reinstalled
from tests.support.accounts import craft, receive
from tests.support.device_lists import Household
from tests.support.devices import ANA as ANAS_PHONE
from tests.support.devices import BUDI as BUDIS_PHONE
from tests.support.devices import BackendSimulator, FakeClock, dump
from tests.support.group_sending import granted, send
from tests.support.groups import make_commit

CITRAS_PHONE = Address.parse(f"{CITRA}.1")
EVE = Address("messenger", "eve")


class Trip:
    """Ana's group, in which Budi has not met Citra yet."""

    def __init__(self) -> None:
        self.backend = BackendSimulator()
        self.circle = Circle(self.backend, FakeClock())
        self.ana, self.budi, self.citra = self.circle.join(ANA, BUDI, CITRA)
        self.group = self.circle.found(self.ana, self.budi, self.citra)

    def sent_by_budi(self) -> dict[str, str]:
        sent = self.budi.group(self.group.id).send(Text("halo"))
        return {str(each.address): each.problem for each in sent.deliveries}


@pytest.fixture
def trip() -> Trip:
    return Trip()


def identities(client: Client) -> set[bytes]:
    """Whose keys a client has noted."""
    rows = dump(client.device._context.store)
    return {where[1] for where in rows if where[0] is Table.REMOTE_IDENTITIES}


def test_another_key_for_a_member_gets_nothing_and_is_not_pinned(trip: Trip) -> None:
    before = identities(trip.budi)
    eve = reinstalled(CITRAS_PHONE, trip.backend)  # with a list of its own
    for _ in range(2):
        assert trip.sent_by_budi() == {f"{ANA}.1": "", f"{CITRA}.1": "group_key_differs"}
    assert trip.backend.waiting(CITRAS_PHONE) == []
    assert identities(trip.budi) == before
    assert eve.receive() == []
    trip.circle.settle(trip.ana)
    assert trip.circle.said(trip.ana) == [f"{BUDI}: halo"] * 2


def test_a_device_that_is_added_to_a_members_list_gets_nothing(trip: Trip) -> None:
    user = trip.citra.device.address.user_id
    genuine = SignedDeviceList.decode(trip.backend.lists[user]).list
    ghost = Household(user)  # whose account key is the back end's
    ghost.move_in(2, capabilities=genuine.devices[0].capabilities)
    devices = (*genuine.devices, ghost.entry(2))
    forged = replace(genuine, seq=genuine.seq + 1, previous=b"", devices=devices)
    trip.backend.lists[user] = sign_list(forged, ghost.pair(2), ghost.entropy).encode()
    before = identities(trip.budi)
    assert trip.sent_by_budi() == {f"{ANA}.1": "", f"{CITRA}.1": "invalid_signature"}
    assert identities(trip.budi) == before
    assert trip.backend.waiting(CITRAS_PHONE) == []


@pytest.mark.parametrize("says", ["its own name", "that Ana has signed"])
def test_a_commit_that_lets_it_in_is_not_heard(says: str) -> None:
    """Not even with an account that it has registered, and that Budi has a session with."""
    world, group = gather_members(EVE)
    eve = world.member(EVE)
    graph = world.graph(group, ANAS_PHONE)
    commit = world.sign(graph, EVE, AddMember(eve))
    if says != "its own name":
        made = make_commit(graph, world.member(ANAS_PHONE), AddMember(eve))
        context = world.context(EVE)
        signed = sign_commit(made, context.identity_key_pair, context.entropy)
        commit = CommitBytes(signed.data, signed.signature)
    before = rest(world, BUDIS_PHONE)
    told = craft(world.devices[EVE], BUDIS_PHONE, GroupCommits(group, (commit,)))
    receive(world.devices[BUDIS_PHONE], told)
    assert rest(world, BUDIS_PHONE) == before
    assert EVE not in send(world.devices[BUDIS_PHONE], group).recipients
    assert EVE not in granted(world.devices[BUDIS_PHONE], group)
