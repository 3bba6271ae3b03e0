# SPDX-License-Identifier: Apache-2.0
"""A change of a group that is kept from a member comes with the next message of who knows of it.

The attacker: the relay, which keeps commits from one member, or shows two halves of a group two
histories; and the one who was removed, whom it goes on serving.
"""

from collections.abc import Callable

import pytest

from e2ecross import Client, Group, Role, Text
from e2ecross.stores import Table
from tests.client.circle import ANA, BUDI, CITRA, DEWI, Circle, roster
from tests.support.devices import BackendSimulator, FakeClock, dump


class Trip:
    """A group of Ana, who owns it, Budi, who is an admin, and Citra and Dewi."""

    def __init__(self) -> None:
        self.backend = BackendSimulator()
        self.circle = Circle(self.backend, FakeClock())
        self.ana, self.budi, self.citra, self.dewi = self.circle.join(ANA, BUDI, CITRA, DEWI)
        self.group = self.circle.found(self.ana, self.budi, self.citra, self.dewi)
        self.group.set_role(BUDI, Role.ADMIN)
        self.circle.settle()
        for client in self.circle.clients:
            self.of(client).send(Text("here"))
        self.circle.settle()
        self.circle.forget()

    def of(self, client: Client) -> Group:
        return client.group(self.group.id)

    def withhold(self, receiver: Client, *senders: Client) -> None:
        """Let nothing reach a client that waits for it from others."""
        names = {each.device.address.user_id for each in senders}
        address = receiver.device.address
        waiting = self.backend.waiting(address)
        for index in reversed(range(len(waiting))):
            if waiting[index].sender.user_id in names:
                self.backend.drop(address, index)

    def copies_for(self, client: Client, act: Callable[[], object]) -> int:
        """How many envelopes for a client an act has put into its mailbox."""
        before = len(self.backend.waiting(client.device.address))
        act()
        return len(self.backend.waiting(client.device.address)) - before


def rows(client: Client) -> dict[tuple[Table, bytes, bytes], bytes]:
    """What a client holds of groups, but for keys: who is in, and what that rests on."""
    held = dump(client.device._context.store).items()
    return {where: row for where, row in held if where[0] in (Table.GROUPS, Table.GROUP_COMMITS)}


@pytest.fixture
def trip() -> Trip:
    return Trip()


def test_a_removal_that_was_kept_from_a_member(trip: Trip) -> None:
    trip.group.remove(CITRA)
    trip.withhold(trip.budi, trip.ana)
    before = rows(trip.budi)
    # He does not know, and his message says so: it is shown, and the removed one may read it.
    assert trip.copies_for(trip.citra, lambda: trip.of(trip.budi).send(Text("old heads")))
    trip.circle.settle(trip.ana)
    assert trip.circle.said(trip.ana)[-1] == f"{BUDI}: old heads"
    assert rows(trip.budi) == before
    assert not trip.copies_for(trip.citra, lambda: trip.group.send(Text("he is out")))
    trip.circle.settle(trip.budi, trip.ana, trip.dewi)
    assert f"{ANA}: he is out" in trip.circle.said(trip.budi)
    assert CITRA not in roster(trip.budi, trip.group)
    trip.circle.forget()
    assert not trip.copies_for(trip.citra, lambda: trip.of(trip.budi).send(Text("now he knows")))
    trip.circle.settle()
    assert f"{BUDI}: now he knows" in trip.circle.said(trip.dewi)
    assert f"{BUDI}: now he knows" not in trip.circle.said(trip.citra)


def test_a_removal_that_was_kept_from_who_was_removed(trip: Trip) -> None:
    trip.group.remove(CITRA)
    trip.withhold(trip.citra, trip.ana)
    assert trip.of(trip.citra).role is Role.MEMBER
    trip.circle.settle(trip.ana, trip.budi, trip.dewi)
    trip.of(trip.citra).send(Text("am I in?"))
    trip.circle.settle()
    for client in (trip.ana, trip.budi, trip.dewi):
        assert f"{CITRA}: am I in?" not in trip.circle.said(client)
    assert trip.of(trip.citra).role is None


@pytest.mark.parametrize("speaks", ["ana", "budi"])
def test_two_halves_that_are_shown_two_histories(trip: Trip, speaks: str) -> None:
    ours, theirs = (trip.ana, trip.citra), (trip.budi, trip.dewi)
    trip.group.rename("Ours")
    trip.of(trip.budi).remove(CITRA)
    for half, other in ((ours, theirs), (theirs, ours)):
        for client in half:
            trip.withhold(client, *other)
    trip.circle.settle()
    for half, other in ((ours, theirs), (theirs, ours)):
        for client in half:
            trip.withhold(client, *other)
    trip.circle.forget()
    assert roster(trip.ana, trip.group) != roster(trip.budi, trip.group)
    # The first message across shows it, and both changes stand.
    speaker = {"ana": trip.ana, "budi": trip.budi}[speaks]
    trip.of(speaker).send(Text("across"))
    trip.circle.settle()
    trip.of(trip.ana).send(Text("all"))
    trip.of(trip.budi).send(Text("all"))
    trip.circle.settle()
    views = [(trip.of(each).name, roster(each, trip.group)) for each in (trip.ana, *theirs)]
    assert views == [("Ours", {ANA: "owner", BUDI: "admin", DEWI: "member"})] * 3
    assert {f"{ANA}: all", f"{BUDI}: all"} <= {*trip.circle.said(trip.dewi)}
    trip.of(trip.citra).send(Text("and I?"))
    trip.circle.settle()
    assert trip.of(trip.citra).role is None
