# SPDX-License-Identifier: Apache-2.0
"""Groups of users of three apps, from end to end over a relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross import (
    Client,
    Group,
    GroupId,
    Media,
    Message,
    MessageKind,
    NoticeKind,
    Policy,
    Role,
    Text,
    UserId,
)
from e2ecross.errors import (
    GroupRefused,
    GroupsUnsupported,
    InvalidArgument,
    NotInGroup,
    NotPrimary,
    UnknownRecipient,
)
from e2ecross.relay import Relay
from tests.client.circle import ANA, BUDI, CITRA, DEWI, TRIP, Circle, notices, roster
from tests.support.accounts import change_devices, device_of, new_client
from tests.support.devices import FakeClock
from tests.support.formats import ATTACHMENT

EVERYBODY = {ANA: "owner", BUDI: "member", CITRA: "member"}


@pytest.fixture
def relay(tmp_path: Path, clock: FakeClock) -> Iterator[Relay]:
    with Relay(tmp_path / "relay.db", authorise=lambda *_: True, clock=clock) as relay:
        yield relay


@pytest.fixture
def circle(relay: Relay, clock: FakeClock) -> Circle:
    return Circle(relay, clock)


class Trip:
    """A group of Ana, who owns it, Budi and Citra; Dewi is not in it."""

    def __init__(self, circle: Circle) -> None:
        self.circle = circle
        self.ana, self.budi, self.citra = circle.join(ANA, BUDI, CITRA)
        (self.dewi,) = circle.join(DEWI)
        self.group = circle.found(self.ana, self.budi, self.citra)

    def of(self, client: Client) -> Group:
        return client.group(self.group.id)

    def agree(self, *clients: Client) -> None:
        """All of them know the same of the group, once nothing is on its way."""
        self.circle.settle()
        rosters = [roster(each, self.group) for each in clients]
        assert rosters == [rosters[0]] * len(clients)


@pytest.fixture
def trip(circle: Circle) -> Trip:
    return Trip(circle)


# --- From nothing to a conversation ---------------------------------------------------------


def test_a_group_is_made_and_everybody_reads_everybody(circle: Circle) -> None:
    ana, budi, citra = circle.join(ANA, BUDI, CITRA)
    group = ana.create_group(TRIP, [BUDI, CITRA], app_data=b"seven days")
    assert (group.name, group.app_data, group.state) == (TRIP, b"seven days", "active")
    assert (group.role, group.accepted, group.only_admins_send) == (Role.OWNER, True, False)
    assert roster(ana, group) == EVERYBODY
    sent = group.send(Text("halo"))
    assert {(str(each.address), each.problem) for each in sent.deliveries} == {
        (f"{BUDI}.1", ""),
        (f"{CITRA}.1", ""),
    }
    circle.settle()
    for client in (budi, citra):
        joined, message = circle.items(client)
        assert notices([joined])[0].kind is NoticeKind.GROUP_JOINED
        assert notices([joined])[0].user == UserId.parse(ANA)
        assert isinstance(message, Message)
        assert (message.group, message.content) == (group.id, Text("halo"))
        assert message.message_id == sent.message_id
        (found,) = client.groups()
        assert found.id == group.id
        assert (found.name, found.app_data) == (TRIP, b"seven days")
        assert (found.role, found.accepted) == (Role.MEMBER, False)
        assert roster(client, group) == EVERYBODY
    budi.group(group.id).send(Text("siap"))
    assert budi.group(group.id).accepted
    circle.settle()
    assert circle.said(ana) == circle.said(citra) == [f"{BUDI}: siap"]
    assert ana.pending() == []


def test_a_second_message_hands_out_no_key(trip: Trip, relay: Relay) -> None:
    for number in range(3):
        trip.group.send(Text(str(number)))
        (waiting,) = relay.waiting(trip.budi.device.address)
        assert waiting.kind is MessageKind.SENDER_KEY  # they got the key when they joined
        trip.circle.settle()
    assert trip.circle.said(trip.budi) == [f"{ANA}: {number}" for number in range(3)]


def test_a_message_is_sent_once_under_its_id(trip: Trip) -> None:
    first = trip.group.send(Text("halo"), message_id=bytes(16))
    again = trip.group.send(Text("halo"), message_id=bytes(16))
    assert (again.message_id, again.ref) == (first.message_id, first.ref)
    assert first.ref is not None
    assert again.moderator
    trip.circle.settle()
    assert trip.circle.said(trip.budi) == [f"{ANA}: halo"]
    with pytest.raises(InvalidArgument, match="message_id"):
        trip.group.send(Text("something else"), message_id=bytes(16))


def test_what_sent_says_names_the_message_for_replies(trip: Trip) -> None:
    sent = trip.group.send(Text("halo"), fallback="")
    assert sent.group == trip.group.id
    assert sent.sender == trip.ana.device.address
    assert sent.moderator


def test_what_sent_says_names_who_is_shown_less(trip: Trip) -> None:
    sent = trip.group.send(Media(ATTACHMENT), allow_lossy=True)
    (loss,) = sent.plan.losses
    assert {*loss.devices} == {each.device.address for each in (trip.budi, trip.citra)}


# --- Changes --------------------------------------------------------------------------------


def test_who_is_added_reads_from_then_on(trip: Trip) -> None:
    trip.group.send(Text("before"))
    trip.group.add(DEWI)
    trip.group.send(Text("after"))
    trip.agree(trip.ana, trip.budi, trip.citra, trip.dewi)
    assert trip.circle.said(trip.dewi) == [f"*group_joined {ANA}", f"{ANA}: after"]
    assert trip.circle.said(trip.budi) == [
        f"{ANA}: before",
        f"*group_added {ANA} > {DEWI}",
        f"{ANA}: after",
    ]
    trip.of(trip.dewi).send(Text("hello"))
    trip.circle.settle()
    assert trip.circle.said(trip.citra)[-1] == f"{DEWI}: hello"


def test_who_is_removed_hears_of_it_and_reads_no_more(trip: Trip, relay: Relay) -> None:
    trip.group.remove(CITRA)
    trip.circle.settle()
    assert trip.circle.said(trip.citra) == [f"*group_out {ANA}"]
    assert (trip.of(trip.citra).role, trip.of(trip.citra).state) == (None, "left")
    trip.group.send(Text("without you"))
    trip.of(trip.budi).send(Text("yes"))
    assert not relay.waiting(trip.citra.device.address)
    with pytest.raises(NotInGroup):
        trip.of(trip.citra).send(Text("still there?"))
    trip.agree(trip.ana, trip.budi)
    assert trip.circle.said(trip.budi) == [f"*group_removed {ANA} > {CITRA}", f"{ANA}: without you"]
    trip.of(trip.citra).forget()
    assert trip.citra.groups() == []
    with pytest.raises(NotInGroup):
        trip.citra.group(trip.group.id)


def test_who_is_removed_by_somebody_who_has_never_written_hears_of_it(trip: Trip) -> None:
    """Whose accounts Budi does not know he is told; so he asks for those whom he takes out."""
    trip.group.set_role(BUDI, Role.ADMIN)
    trip.circle.settle()
    trip.circle.forget()
    trip.of(trip.budi).remove(CITRA)
    trip.circle.settle()
    assert trip.circle.said(trip.citra) == [f"*group_out {BUDI}"]
    trip.agree(trip.ana, trip.budi, trip.citra)


def test_who_is_added_again_is_a_member_again(trip: Trip) -> None:
    trip.group.remove(CITRA)
    trip.circle.settle()
    trip.group.add(CITRA)
    trip.agree(trip.ana, trip.budi, trip.citra)
    trip.of(trip.citra).send(Text("back"))
    trip.circle.settle()
    assert trip.circle.said(trip.budi)[-1] == f"{CITRA}: back"


def test_who_comes_back_hears_who_has_added_him_last(trip: Trip) -> None:
    """Also where he gets all of the history at once."""
    trip.group.set_role(BUDI, Role.ADMIN)
    trip.group.remove(CITRA)
    trip.circle.settle()
    trip.of(trip.citra).forget()
    trip.circle.forget()
    trip.of(trip.budi).add(CITRA)
    trip.circle.settle()
    assert trip.circle.said(trip.citra) == [f"*group_joined {BUDI}"]


def test_roles_are_given_and_taken(trip: Trip) -> None:
    with pytest.raises(GroupRefused):
        trip.of(trip.budi).add(DEWI)
    trip.group.set_role(BUDI, Role.ADMIN)
    trip.circle.settle()
    (notice,) = notices(trip.circle.items(trip.budi))
    assert (notice.kind, notice.role) == (NoticeKind.GROUP_ROLE, Role.ADMIN)
    trip.of(trip.budi).add(DEWI)
    trip.agree(trip.ana, trip.budi, trip.citra, trip.dewi)
    with pytest.raises(GroupRefused):
        trip.of(trip.budi).remove(ANA)
    trip.of(trip.budi).step_down(Role.MEMBER)
    trip.agree(trip.ana, trip.budi, trip.citra, trip.dewi)
    assert roster(trip.ana, trip.group) == EVERYBODY | {DEWI: "member"}


def test_settings_are_changed_and_who_may_send(trip: Trip) -> None:
    trip.group.rename("Trip to Bali")
    trip.group.set_app_data(b"x")
    trip.group.set_only_admins_send(True)
    trip.circle.settle()
    found = trip.of(trip.budi)
    assert (found.name, found.app_data, found.only_admins_send) == ("Trip to Bali", b"x", True)
    assert {*trip.circle.said(trip.budi)} == {f"*group_settings {ANA}"}
    with pytest.raises(GroupRefused):
        found.send(Text("may I?"))
    trip.group.send(Text("no"))
    trip.circle.settle()
    assert trip.circle.said(trip.budi) == [f"{ANA}: no"]


def test_who_leaves_is_out(trip: Trip) -> None:
    trip.of(trip.budi).leave()
    assert trip.of(trip.budi).state == "left"
    trip.agree(trip.ana, trip.citra)
    assert trip.circle.said(trip.ana) == [f"*group_left {BUDI} > {BUDI}"]
    assert roster(trip.ana, trip.group) == {ANA: "owner", CITRA: "member"}
    trip.group.send(Text("bye"))
    trip.circle.settle()
    assert trip.circle.said(trip.budi) == []


def test_the_last_owner_hands_over_first(trip: Trip) -> None:
    with pytest.raises(InvalidArgument, match="owner"):
        trip.group.leave()
    trip.group.set_role(BUDI, Role.OWNER)
    trip.group.leave()
    trip.agree(trip.budi, trip.citra)
    assert roster(trip.budi, trip.group) == {BUDI: "owner", CITRA: "member"}


def test_crossing_changes_both_stand(trip: Trip) -> None:
    trip.group.set_role(BUDI, Role.ADMIN)
    trip.circle.settle()
    (eka,) = trip.circle.join("messenger:eka")
    trip.group.add(DEWI)
    trip.of(trip.budi).add("messenger:eka")
    trip.group.rename("ours")
    everybody = (trip.ana, trip.budi, trip.citra, trip.dewi, eka)
    trip.circle.settle()
    trip.of(trip.dewi).accept()
    trip.of(eka).accept()
    trip.of(trip.citra).send(
        Text("who is here?")
    )  # who has joined did not hear of who joined beside
    trip.agree(*everybody)
    assert {*roster(eka, trip.group)} == {ANA, BUDI, CITRA, DEWI, "messenger:eka"}
    for client in everybody:
        trip.circle.forget()
        trip.of(client).send(Text("from me"))
        trip.circle.settle()
        for other in {*everybody} - {client}:
            assert trip.circle.said(other) == [f"{client.device.address.user_id}: from me"]


def test_who_was_away_comes_back_to_everything(trip: Trip) -> None:
    away, rest = trip.citra, (trip.ana, trip.budi, trip.dewi)
    for number in range(3):
        trip.group.send(Text(str(number)))
    trip.group.add(DEWI)
    trip.circle.settle(*rest)
    trip.of(trip.dewi).send(Text("new here"))
    trip.group.remove(BUDI)
    trip.group.send(Text("last"))
    trip.circle.settle(*rest)
    trip.circle.settle()
    assert trip.circle.said(away) == [
        *(f"{ANA}: {number}" for number in range(3)),
        f"*group_added {ANA} > {DEWI}",
        f"{DEWI}: new here",
        f"*group_removed {ANA} > {BUDI}",
        f"{ANA}: last",
    ]


def test_a_large_group_of_many_commits_is_joined(circle: Circle) -> None:
    ana, budi = circle.join(ANA, BUDI)
    others = circle.join(*(f"x:user{number}" for number in range(70)))
    names = [str(each.device.address.user_id) for each in others]
    group = ana.create_group("many", [BUDI, *names])
    circle.settle()
    assert len(budi.group(group.id).members) == 72
    assert roster(budi, group) == roster(others[-1], group)
    budi.group(group.id).send(Text("all of you"))
    circle.settle()
    assert circle.said(others[0])[-1] == f"{BUDI}: all of you"


# --- What is refused ------------------------------------------------------------------------


def test_whoever_cannot_be_added_is_named_before_anything_is_written(trip: Trip) -> None:
    with pytest.raises(UnknownRecipient):
        trip.group.add("x:nobody")
    with pytest.raises(UnknownRecipient):
        trip.ana.create_group("other", [BUDI, "x:nobody"])
    assert len(trip.ana.groups()) == 1
    assert roster(trip.ana, trip.group) == EVERYBODY


def test_an_account_without_groups_is_named(trip: Trip, relay: Relay, clock: FakeClock) -> None:
    old = Circle(relay, clock, Policy(capabilities=frozenset()))
    old.join("x:old")
    with pytest.raises(GroupsUnsupported) as caught:
        trip.group.add("x:old", DEWI)
    assert caught.value.users == (UserId.parse("x:old"),)
    assert roster(trip.ana, trip.group) == EVERYBODY


def test_a_group_is_no_recipient(trip: Trip) -> None:
    for recipient in (trip.group.id, str(trip.group.id)):
        with pytest.raises(InvalidArgument, match=r"client\.group"):
            trip.ana.send(recipient, Text("halo"))  # type: ignore[arg-type]
    (result,) = trip.ana.send_many([str(trip.group.id)], Text("halo"))
    assert isinstance(result, InvalidArgument)


def test_what_is_no_group_is_refused(trip: Trip) -> None:
    with pytest.raises(NotInGroup):
        trip.ana.group(GroupId(bytes(32)))
    with pytest.raises(InvalidArgument):
        trip.ana.group("group:1")  # type: ignore[arg-type]
    for bad in (["no user"], [ANA], BUDI, 5):
        with pytest.raises(InvalidArgument, match="users"):
            trip.ana.create_group("other", bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        trip.ana.create_group("x" * 257, [BUDI])
    for call in (trip.group.add, trip.group.remove):
        for name in ("no user", ANA):
            with pytest.raises(InvalidArgument):
                call(name)


# --- Several devices ------------------------------------------------------------------------


class TestDevices:
    def test_all_devices_of_a_member_read_and_send(self, circle: Circle) -> None:
        phone, laptop = circle.devices(ANA, 2)
        budi, tablet = circle.devices(BUDI, 2)
        group = circle.found(phone, budi)
        laptop.group(group.id).send(Text("from the laptop"))
        circle.settle()
        for client in (budi, tablet, phone):
            assert circle.said(client) == [f"{ANA}: from the laptop"]
        tablet.group(group.id).send(Text("from the tablet"))
        circle.settle()
        for client in (phone, laptop, budi):
            (message,) = circle.items(client)
            assert isinstance(message, Message)
            assert message.own_copy is (client is budi)

    def test_a_device_whose_list_comes_with_what_waits_is_reached(
        self, circle: Circle, relay: Relay
    ) -> None:
        """See `TestNewLists` in `test_own_devices.py`."""
        (ana,) = circle.join(ANA)
        phone, laptop = circle.devices(BUDI, 2)
        group = circle.found(ana, phone, laptop)
        tablet = new_client(device_of(phone.device.address, 3), relay, clock=circle.clock)
        change_devices(relay, phone, tablet)  # the laptop is gone
        tablet.send(ANA, Text("from a new device, with the list"))
        sent = group.send(Text("to those that are there"))
        reached = {each.address.device for each in sent.deliveries if not each.problem}
        assert reached == {1, 3}

    def test_what_is_written_on_one_device_accepts_the_group_on_all(self, circle: Circle) -> None:
        (ana,) = circle.join(ANA)
        budi, tablet = circle.devices(BUDI, 2)
        group = ana.create_group(TRIP, [BUDI])
        circle.settle()
        assert not tablet.group(group.id).accepted
        budi.group(group.id).send(Text("siap"))
        circle.settle()
        assert tablet.group(group.id).accepted
        message = circle.items(tablet)[-1]
        assert isinstance(message, Message)
        assert (message.own_copy, message.request) == (True, False)

    def test_another_device_changes_nothing(self, circle: Circle) -> None:
        phone, laptop = circle.devices(ANA, 2)
        circle.join(BUDI, CITRA)
        group = phone.create_group(TRIP, [BUDI])
        circle.settle()
        view = laptop.group(group.id)
        for call in (
            lambda: view.add(CITRA),
            lambda: view.remove(BUDI),
            lambda: view.rename("x"),
            lambda: view.leave(),
            lambda: laptop.create_group("other", [BUDI]),
        ):
            with pytest.raises(NotPrimary):
                call()
