# SPDX-License-Identifier: Apache-2.0
"""Receipts and typing in groups: from one account to another, and only where all want it."""

import pytest

from e2ecross import Client, Envelope, Group, Message, Notice, NoticeKind, Policy, Receipt, Text
from e2ecross.errors import NotInGroup
from e2ecross.wire.group import GroupId
from tests.client.circle import ANA, BUDI, CITRA, Circle
from tests.support.devices import BackendSimulator, FakeClock

SOON_MS = 5_001
CHATTY = Policy(capabilities=frozenset({10, 19, 20}))


class Trip:
    """A group of Ana, Budi and Citra, whose apps show receipts and typing."""

    def __init__(self, *more: str) -> None:
        self.clock = FakeClock()
        self.backend = BackendSimulator()
        self.circle = Circle(self.backend, self.clock, CHATTY)
        self.ana, self.budi, self.citra, *others = self.circle.join(ANA, BUDI, CITRA, *more)
        self.group = self.circle.found(self.ana, self.budi, self.citra, *others)
        for client in (self.ana, self.budi, self.citra):  # so that they have sessions
            self.of(client).send(Text("here"))
        self.later()
        self.circle.forget()

    def of(self, client: Client) -> Group:
        return client.group(self.group.id)

    def later(self) -> None:
        """All have received what there is, and its receipts have gone."""
        self.circle.settle()
        self.clock.advance(SOON_MS)
        self.circle.settle()

    def receipts(self, client: Client) -> list[tuple[str, int, bool]]:
        """From whom, what, and whether of this group."""
        return [
            (
                str(item.sender.user_id),
                item.content.what,
                item.group == self.group.id == GroupId(item.content.group_id),
            )
            for item in self.circle.items(client)
            if isinstance(item, Message) and isinstance(item.content, Receipt)
        ]


@pytest.fixture
def trip() -> Trip:
    return Trip()


def test_the_author_alone_hears_that_a_message_came_and_was_read(trip: Trip) -> None:
    sent = trip.group.send(Text("halo"))
    trip.later()
    assert sorted(trip.receipts(trip.ana)) == [(BUDI, 1, True), (CITRA, 1, True)]
    assert trip.receipts(trip.citra) == []
    (message,) = (each for each in trip.circle.items(trip.budi) if isinstance(each, Message))
    assert message.message_id == sent.message_id
    trip.budi.mark_read([message])
    trip.budi.mark_read([message])
    trip.later()
    assert trip.receipts(trip.ana) == [(BUDI, 2, True)]
    assert trip.receipts(trip.citra) == []


def test_who_wants_none_gets_none(trip: Trip) -> None:
    trip.budi.accept(ANA, receipts=False)
    trip.citra.block(ANA)
    trip.group.send(Text("halo"))
    trip.later()
    for client in (trip.budi, trip.citra):
        client.mark_read(each for each in trip.circle.items(client) if isinstance(each, Message))
    trip.later()
    assert trip.receipts(trip.ana) == []


def test_nothing_goes_for_a_group_that_is_not_accepted() -> None:
    circle = Circle(BackendSimulator(), policy=CHATTY)
    ana, budi = circle.join(ANA, BUDI)
    group = ana.create_group("Trip", [BUDI])
    group.send(Text("halo"))
    circle.settle()
    items = [each for each in circle.items(budi) if isinstance(each, Message)]
    assert len(items) == 1
    budi.mark_read(items)
    budi.typing(group.id, True)
    circle.clock.advance(SOON_MS)
    circle.settle()
    assert circle.items(ana) == []


def test_a_receipt_that_is_due_is_dropped_by_who_is_out(trip: Trip) -> None:
    trip.group.send(Text("halo"))
    trip.circle.settle()
    trip.group.remove(CITRA)
    before = len(trip.backend.deposits)
    trip.later()
    assert trip.receipts(trip.ana) == [(BUDI, 1, True)]
    sent = [Envelope.decode(data) for data in trip.backend.deposits[before:]]
    assert trip.citra.device.address not in {each.sender for each in sent}


def test_a_receipt_of_who_is_out_is_not_shown(trip: Trip) -> None:
    trip.group.send(Text("halo"))
    trip.circle.settle(trip.citra)
    trip.group.remove(CITRA)
    trip.clock.advance(SOON_MS)
    trip.citra.maintain()  # it has not heard of that yet
    trip.circle.settle()
    assert (CITRA, 1, True) not in trip.receipts(trip.ana)


def test_in_a_large_group_only_what_was_read_is_told() -> None:
    trip = Trip(*(f"x:user{number}" for number in range(30)))
    trip.group.send(Text("halo"))
    trip.later()
    assert trip.receipts(trip.ana) == []
    items = [each for each in trip.circle.items(trip.budi) if isinstance(each, Message)]
    trip.budi.mark_read(items)
    trip.budi.typing(trip.group.id, True)
    trip.later()
    found = trip.circle.items(trip.ana)
    assert typing([*found]) == []
    assert [each.content for each in found if isinstance(each, Message)] == [
        Receipt(Receipt.READ, (items[0].message_id,), trip.group.id.value)
    ]


def typing(items: list[object]) -> list[tuple[str, str, bool]]:
    return [
        (str(item.user), item.code, item.group is not None)
        for item in items
        if isinstance(item, Notice) and item.kind is NoticeKind.TYPING
    ]


class TestTyping:
    def test_all_members_are_told(self, trip: Trip) -> None:
        trip.budi.typing(trip.group.id, True)
        for client in (trip.ana, trip.citra):
            (notice,) = client.receive()
            assert isinstance(notice, Notice)
            assert (notice.kind, str(notice.user)) == (NoticeKind.TYPING, BUDI)
            assert (notice.code, notice.group) == ("on", trip.group.id)

    def test_once_in_three_seconds_for_each_conversation(self, trip: Trip) -> None:
        trip.ana.accept(BUDI)
        trip.budi.accept(ANA)
        for _ in range(2):
            trip.budi.typing(trip.group.id, True)
            trip.budi.typing(ANA, True)
        assert typing([*trip.ana.receive()]) == [(BUDI, "on", True), (BUDI, "on", False)]
        trip.clock.advance(3_000)
        trip.budi.typing(trip.group.id, False)
        assert typing([*trip.ana.receive()]) == [(BUDI, "off", True)]

    def test_a_message_into_the_group_ends_it_there(self, trip: Trip) -> None:
        trip.budi.typing(trip.group.id, True)
        trip.of(trip.budi).send(Text("halo"))
        assert typing([*trip.ana.receive()]) == []

    def test_who_is_blocked_is_neither_told_nor_heard(self, trip: Trip) -> None:
        trip.ana.block(BUDI)
        trip.ana.typing(trip.group.id, True)
        trip.budi.typing(trip.group.id, True)
        assert typing([*trip.budi.receive()]) == []
        assert typing([*trip.ana.receive()]) == []
        assert typing([*trip.citra.receive()]) == [(ANA, "on", True), (BUDI, "on", True)]

    def test_an_unknown_group_is_refused(self, trip: Trip) -> None:
        with pytest.raises(NotInGroup):
            trip.ana.typing(GroupId(bytes(32)), True)
        trip.group.remove(CITRA)
        trip.circle.settle()
        before = len(trip.backend.deposits)
        trip.citra.typing(trip.group.id, True)
        assert len(trip.backend.deposits) == before

    def test_of_a_group_that_was_forgotten_none_is_shown(self, trip: Trip) -> None:
        trip.of(trip.citra).leave()
        trip.of(trip.citra).forget()
        trip.budi.typing(trip.group.id, True)  # has not heard of it
        assert typing([*trip.citra.receive()]) == []
        assert typing([*trip.ana.receive()]) == [(BUDI, "on", True)]
