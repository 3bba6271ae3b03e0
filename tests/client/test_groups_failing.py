# SPDX-License-Identifier: Apache-2.0
"""Groups where something fails: a back end, a mailbox, a key, a process in between."""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2ecross import Address, Client, Device, Envelope, Group, NoticeKind, Role, Text, UserId
from e2ecross.device.group_changes import add_members, change_settings
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import (
    BackendError,
    GroupRefused,
    MailboxFull,
    NotRegistered,
    UntrustedIdentity,
)
from e2ecross.relay import Relay
from e2ecross.relay.limits import RelayLimits
from e2ecross.stores import SQLiteStore
from tests.client.circle import ANA, BUDI, CITRA, DEWI, TRIP, Circle, notices, roster
from tests.client.conversation import reinstalled, reopen, store_of
from tests.support.accounts import change_account
from tests.support.devices import BackendSimulator, FakeClock, dump
from tests.support.linked import link

CALLS = ("fetch_keys", "deposit", "deposit_copies", "epochs")


class Trip:
    """A group of Ana, who owns it, Budi and Citra; Dewi is not in it."""

    def __init__(self, circle: Circle) -> None:
        self.circle = circle
        self.ana, self.budi, self.citra, self.dewi = circle.join(ANA, BUDI, CITRA, DEWI)
        self.group = circle.found(self.ana, self.budi, self.citra)

    def of(self, client: Client) -> Group:
        return client.group(self.group.id)


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()


@pytest.fixture
def trip(backend: BackendSimulator, clock: FakeClock) -> Trip:
    return Trip(Circle(backend, clock))


# --- A back end that is down ----------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("times", [1, 8])
def test_a_group_is_made_once_wherever_the_back_end_fails(
    backend: BackendSimulator, clock: FakeClock, call: str, times: int
) -> None:
    circle = Circle(backend, clock)
    ana, budi, citra = circle.join(ANA, BUDI, CITRA)
    ana = reopen(ana, backend)  # which asks for the epoch
    circle.clients[0] = circle.watch(ana)
    circle.clients.pop()
    backend.fail(call, times=times)
    try:
        group = ana.create_group(TRIP, [BUDI, CITRA])
    except BackendError:
        assert ana.groups() == []
        backend.heal()
        group = ana.create_group(TRIP, [BUDI, CITRA])
    backend.heal()
    assert [each.id for each in ana.groups()] == [group.id]
    ana.maintain()
    circle.settle()
    group.send(Text("halo"))
    circle.settle()
    for client in (budi, citra):
        assert circle.said(client) == [f"*group_joined {ANA}", f"{ANA}: halo"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("change", ["add", "remove", "rename", "leave"])
def test_a_change_is_told_later(
    backend: BackendSimulator, trip: Trip, call: str, change: str
) -> None:
    changes: dict[str, Callable[[], None]] = {
        "add": lambda: trip.group.add(DEWI),
        "remove": lambda: trip.group.remove(CITRA),
        "rename": lambda: trip.group.rename("x"),
        "leave": lambda: trip.of(trip.budi).leave(),
    }
    backend.fail(call, times=8)
    try:
        changes[change]()
    except BackendError:
        backend.heal()
        changes[change]()
    backend.heal()
    for client in trip.circle.clients:
        client.maintain()
    trip.circle.settle()
    trip.group.send(Text("who is here?"))
    trip.circle.settle()
    views = [roster(each, trip.group) for each in trip.circle.clients if each.groups()]
    inside = [view for view in views if view]
    mine = roster(trip.ana, trip.group)
    expected = {ANA: "owner", BUDI: "member", CITRA: "member"}
    if change == "add":
        expected[DEWI] = "member"
    if change == "remove":
        del expected[CITRA]
    if change == "leave":
        del expected[BUDI]
    assert mine == expected
    assert all(view == mine for view in inside)
    assert trip.of(trip.citra).role is (None if change == "remove" else Role.MEMBER)


def test_a_change_that_cannot_be_told_now_is_made_all_the_same(
    backend: BackendSimulator, trip: Trip
) -> None:
    trip.ana.devices(DEWI)  # known, and no session with her yet
    backend.fail("fetch_keys", times=8)
    trip.group.add(DEWI)
    assert DEWI in roster(trip.ana, trip.group)
    backend.heal()
    trip.ana.maintain()
    trip.circle.settle()
    assert trip.circle.said(trip.dewi) == [f"*group_joined {ANA}"]
    assert trip.circle.said(trip.budi) == [f"*group_added {ANA} > {DEWI}"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("times", [1, 8])
def test_a_message_is_sent_once_wherever_the_back_end_fails(
    backend: BackendSimulator, trip: Trip, call: str, times: int
) -> None:
    trip.group.remove(CITRA)  # so that a new key is to be given
    trip.circle.settle()
    trip.circle.forget()
    backend.fail(call, times=times)
    for _ in range(2):
        try:
            sent = trip.group.send(Text("halo"), message_id=bytes(16))
        except BackendError:
            assert [each.recipient.user for each in trip.ana.pending()] == ["budi"]
            backend.heal()
    assert sent.message_id == bytes(16)
    trip.circle.settle()
    assert trip.circle.said(trip.budi) == [f"{ANA}: halo"]
    assert trip.ana.pending() == []


def test_nothing_is_promised_where_members_cannot_be_met(
    backend: BackendSimulator, trip: Trip
) -> None:
    """Else those whom the sender has not met yet would never get it."""
    budi = trip.of(trip.budi)
    for call in CALLS:
        backend.fail(call, times=8)
    for _ in range(2):
        with pytest.raises(BackendError):
            budi.send(Text("halo"), message_id=bytes(16))
    assert trip.budi.pending() == []
    backend.heal()
    budi.send(Text("halo"), message_id=bytes(16))
    trip.circle.settle()
    for client in (trip.ana, trip.citra):
        assert trip.circle.said(client) == [f"{BUDI}: halo"]


@pytest.mark.parametrize("call", ["deposit", "deposit_copies"])
def test_an_answer_that_is_lost_costs_nothing(
    backend: BackendSimulator, trip: Trip, call: str
) -> None:
    trip.group.remove(CITRA)
    trip.circle.settle()
    trip.circle.forget()
    backend.lose_answer(call)
    with pytest.raises(BackendError):
        trip.group.send(Text("halo"))
    trip.circle.settle()
    assert trip.circle.said(trip.budi) == [f"{ANA}: halo"]


def test_what_was_promised_goes_with_the_next_call(backend: BackendSimulator, trip: Trip) -> None:
    backend.fail("deposit_copies")
    with pytest.raises(BackendError):
        trip.group.send(Text("first"))
    waiting = trip.ana.pending()
    assert [str(each.recipient) for each in waiting] == [f"{BUDI}.1", f"{CITRA}.1"]
    assert {(each.code, each.group) for each in waiting} == {("backend_error", trip.group.id)}
    trip.group.send(Text("second"))
    trip.circle.settle()
    assert trip.circle.said(trip.budi) == [f"{ANA}: first", f"{ANA}: second"]
    assert trip.ana.pending() == []


def test_who_is_not_registered_any_more_hears_of_it(backend: BackendSimulator, trip: Trip) -> None:
    backend.fail("deposit_copies", NotRegistered("another one has taken the address"))
    with pytest.raises(NotRegistered):
        trip.group.send(Text("halo"))
    backend.fail("deposit_copies", NotRegistered("another one has taken the address"))
    with pytest.raises(NotRegistered):
        trip.group.rename("x")


# --- Recipients who cannot be reached -------------------------------------------------------


def problems(group: Group, text: str = "halo") -> dict[str, str]:
    return {str(each.address): each.problem for each in group.send(Text(text)).deliveries}


def test_a_full_mailbox_stops_nobody_else(tmp_path: Path, clock: FakeClock) -> None:
    limits = RelayLimits(mailbox_messages=8, mailbox_reserve_per_sender=1)
    with Relay(tmp_path / "relay.db", clock=clock, limits=limits) as relay:
        trip = Trip(Circle(relay, clock))
        awake = (trip.ana, trip.budi, trip.dewi)
        found = {}
        for number in range(12):
            found = problems(trip.group, str(number))
            trip.circle.settle(*awake)
        assert found == {f"{BUDI}.1": "", f"{CITRA}.1": "mailbox_full"}
        assert len(trip.circle.said(trip.budi)) == 12
        trip.circle.settle()
        assert len(trip.circle.said(trip.citra)) == 8
        assert problems(trip.group, "more") == {f"{BUDI}.1": "", f"{CITRA}.1": ""}
        trip.circle.settle()
        assert trip.circle.said(trip.citra)[-1] == f"{ANA}: more"


def test_promised_and_refused_is_told(backend: BackendSimulator, trip: Trip) -> None:
    backend.fail("deposit_copies")
    with pytest.raises(BackendError):
        trip.group.send(Text("halo"), message_id=bytes(16))
    backend.break_for(trip.citra.device.address, MailboxFull("full"))
    trip.ana.maintain()
    (notice,) = notices(trip.ana.receive())
    assert (notice.kind, notice.code) == (NoticeKind.NOT_DELIVERED, "mailbox_full")
    assert (str(notice.user), notice.messages) == (CITRA, (bytes(16),))
    assert notice.group == trip.group.id


def test_another_key_of_a_member_gets_nothing_until_it_is_added(
    backend: BackendSimulator, clock: FakeClock, trip: Trip
) -> None:
    new = reinstalled(Address.parse(f"{CITRA}.1"), backend)
    trip.circle.clients[2] = trip.circle.watch(new)
    trip.circle.clients.pop()
    new.send(ANA, Text("a new phone"))
    trip.circle.settle(trip.ana)
    for _ in range(2):  # the key that it had is still with its old device
        assert problems(trip.group)[f"{CITRA}.1"] == "untrusted_identity"
    assert backend.waiting(Address.parse(f"{CITRA}.1")) == []
    with pytest.raises(UntrustedIdentity):
        trip.group.add(CITRA)
    trip.ana.device.accept_identity(new.device.address, new.device.identity_key)
    assert problems(trip.group)[f"{CITRA}.1"] == "group_key_differs"
    (citra,) = (each for each in trip.group.members if str(each.user) == CITRA)
    assert citra.key_differs
    trip.group.add(CITRA)
    assert [each.key_differs for each in trip.group.members] == [False] * 3
    assert problems(trip.group, "welcome back")[f"{CITRA}.1"] == ""
    trip.circle.settle()
    assert trip.circle.said(new) == [f"*group_joined {ANA}", f"{ANA}: welcome back"]
    told = [each for each in trip.circle.said(trip.budi) if each.startswith("*")]
    assert told == [f"*group_removed {ANA} > {CITRA}", f"*group_added {ANA} > {CITRA}"]


def test_who_is_gone_from_the_back_end_is_named(backend: BackendSimulator, trip: Trip) -> None:
    backend.forget(trip.citra.device.address)
    assert problems(trip.group) == {f"{BUDI}.1": "", f"{CITRA}.1": "unknown_recipient"}
    trip.circle.settle(trip.budi)
    assert trip.circle.said(trip.budi) == [f"{ANA}: halo"]


# --- Devices that come and go ---------------------------------------------------------------


def test_a_device_linked_later_is_told_of_each_group(
    backend: BackendSimulator, trip: Trip, clock: FakeClock
) -> None:
    laptop = trip.circle.watch(reopen(link(trip.ana, backend), backend))
    trip.ana.maintain()
    trip.circle.settle()
    view = laptop.group(trip.group.id)
    assert (view.name, view.role) == (TRIP, Role.OWNER)
    trip.circle.forget()
    clock.advance(11 * 60_000)
    trip.of(trip.budi).send(Text("for both"))  # the answer names the newer list
    trip.circle.settle()
    assert trip.circle.said(laptop) == trip.circle.said(trip.ana) == [f"{BUDI}: for both"]
    view.send(Text("from the laptop"))
    trip.circle.settle()
    assert trip.circle.said(trip.citra)[-1] == f"{ANA}: from the laptop"


def test_an_unlinked_device_reads_no_more(backend: BackendSimulator, clock: FakeClock) -> None:
    circle = Circle(backend, clock)
    phone, _ = circle.devices(ANA, 2)
    (budi,) = circle.join(BUDI)
    group = circle.found(phone, budi)
    phone.unlink(2)
    circle.settle(phone, budi)
    before = len(backend.deposits)
    group.send(Text("alone"))
    budi.group(group.id).send(Text("yes"))
    sent = [Envelope.decode(data) for data in backend.deposits[before:]]
    assert {each.recipient for each in sent} == {phone.device.address, budi.device.address}
    circle.settle(phone, budi)
    assert circle.said(phone)[-1] == f"{BUDI}: yes"


# --- Crashes, restores, two processes -------------------------------------------------------


@pytest.mark.parametrize("call", ["maintain", "receive", "send"])
def test_what_a_crash_has_left_is_told(backend: BackendSimulator, trip: Trip, call: str) -> None:
    """Committed and not announced, as a kill between the two commits leaves it."""
    asked = KeysAsked()
    named = [Address.parse(f"{DEWI}.1").user_id]
    trip.ana.devices(DEWI)
    assert add_members(trip.ana.device._context, trip.group.id, named, asked) is None
    again = reopen(trip.ana, backend)
    if call == "send":
        again.group(trip.group.id).send(Text("halo"))
    else:
        getattr(again, call)()
    trip.circle.settle(trip.budi, trip.citra, trip.dewi)
    halo = [f"{ANA}: halo"] if call == "send" else []
    assert trip.circle.said(trip.dewi) == [f"*group_joined {ANA}", *halo]
    assert trip.circle.said(trip.budi) == [f"*group_added {ANA} > {DEWI}", *halo]


def test_a_leave_that_could_not_be_told_is_not_forgotten(
    backend: BackendSimulator, trip: Trip
) -> None:
    mine = trip.of(trip.budi)
    backend.unreachable = True
    mine.leave()
    with pytest.raises(GroupRefused, match="maintain"):
        mine.forget()
    backend.unreachable = False
    trip.budi.maintain()
    mine.forget()
    trip.circle.settle()
    assert trip.circle.said(trip.ana) == [f"*group_left {BUDI} > {BUDI}"]


def test_what_another_process_has_left_is_told_when_all_is_looked_after(
    backend: BackendSimulator, trip: Trip
) -> None:
    other = reopen(trip.ana, backend)
    other.receive()
    other.maintain()
    change_settings(trip.ana.device._context, trip.group.id, name="New")  # and is killed
    other.maintain()
    trip.circle.settle(trip.budi)
    assert trip.circle.said(trip.budi) == [f"*group_settings {ANA}"]


def test_whoever_is_told_late_hears_of_the_group_before_its_messages(
    backend: BackendSimulator, trip: Trip
) -> None:
    trip.ana.devices(DEWI)
    backend.unreachable = True
    trip.group.add(DEWI)
    backend.unreachable = False
    trip.group.send(Text("halo"))
    trip.circle.settle()
    assert trip.circle.said(trip.dewi) == [f"*group_joined {ANA}", f"{ANA}: halo"]


@pytest.mark.parametrize("times", [1, 8])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_lost_question_is_not_the_answer_that_an_account_takes_no_part(
    backend: BackendSimulator, trip: Trip, times: int, is_known: bool
) -> None:
    if is_known:  # as of somebody whose devices take part since then
        change_account(trip.ana.device, UserId.parse(DEWI), held=None)
    backend.fail("fetch_keys", times=times)
    for call in (lambda: trip.group.add(DEWI), lambda: trip.ana.create_group("Other", [DEWI])):
        with pytest.raises(BackendError, match="the call was lost"):
            call()
        backend.heal()
        backend.fail("fetch_keys", times=times)
    assert len(trip.ana.groups()) == 1


def test_who_stays_is_told_once_while_others_cannot_be_asked_for(
    backend: BackendSimulator, trip: Trip
) -> None:
    trip.ana.devices(DEWI)
    trip.group.send(Text("first"))
    trip.circle.settle()
    before = len(backend.deposits)
    backend.fail("fetch_keys", times=8)
    trip.group.add(DEWI)
    trip.group.send(Text("halo"))
    backend.heal()
    trip.ana.receive()
    sent = [Envelope.decode(data) for data in backend.deposits[before:]]
    assert [str(each.recipient) for each in sent].count(f"{BUDI}.1") == 2
    trip.circle.settle()
    assert trip.circle.said(trip.dewi) == [f"*group_joined {ANA}"]


def test_who_could_not_be_asked_for_is_told_by_the_next_receive_whatever_other_groups_were(
    backend: BackendSimulator, trip: Trip
) -> None:
    """A change in each of two groups is committed and not announced: one of them cannot be yet."""
    other = trip.circle.found(trip.ana, trip.budi, name="Other")
    first, second = sorted((trip.group, other), key=lambda group: group.id.value)
    trip.ana.devices(DEWI)
    context, asked = trip.ana.device._context, KeysAsked()
    assert add_members(context, first.id, [UserId.parse(DEWI)], asked) is None
    change_settings(context, second.id, name="Again")
    ana = reopen(trip.ana, backend)
    backend.fail("fetch_keys")
    with pytest.raises(BackendError):
        ana.receive()
    trip.circle.settle(trip.budi, trip.dewi)
    assert trip.budi.group(second.id).name == "Again"
    assert trip.dewi.groups() == []
    ana.receive()
    trip.circle.settle(trip.dewi)
    assert [each.id for each in trip.dewi.groups()] == [first.id]


def test_a_group_that_cannot_be_told_holds_up_no_other(
    backend: BackendSimulator, trip: Trip
) -> None:
    other = trip.circle.found(trip.ana, trip.budi, name="Other")
    first, second = sorted((trip.group, other), key=lambda group: group.id.value)
    trip.ana.devices(DEWI)
    backend.fail("fetch_keys", times=8)
    first.add(DEWI)
    second.rename("Again")
    trip.circle.settle(trip.budi)
    assert trip.budi.group(second.id).name == "Again"
    backend.heal()
    trip.circle.settle()
    assert trip.dewi.group(first.id).role is not None


def test_a_restored_store_sends_under_a_new_key(
    backend: BackendSimulator, trip: Trip, clock: FakeClock
) -> None:
    context = trip.ana.device._context
    before = dump(context.store)
    trip.group.send(Text("one"))
    trip.circle.settle()
    after = dump(context.store)
    with context.store.transaction() as tx:  # the backup
        for where in after:
            tx.delete(*where)
        for where, record in before.items():
            tx.put(*where, record)
    device = Device.open(context.store, restored=True, clock=clock, entropy=context.entropy)
    ana = trip.circle.watch(Client(device, backend))
    trip.circle.clients.remove(trip.ana)
    ana.register()
    trip.circle.forget()
    ana.group(trip.group.id).send(Text("two"))
    trip.circle.settle()
    assert trip.circle.said(trip.budi)[-1] == f"{ANA}: two"


@pytest.mark.parametrize("is_removed", [False, True])
def test_what_waits_in_a_restored_store_goes_under_a_new_key_or_is_told(
    backend: BackendSimulator, trip: Trip, is_removed: bool
) -> None:
    trip.of(trip.budi).send(Text("first"))
    backend.unreachable = True
    with pytest.raises(BackendError):
        trip.of(trip.budi).send(Text("waits"))
    context = trip.budi.device._context
    device = Device.open(context.store, restored=True, clock=context.clock, entropy=context.entropy)
    budi = trip.circle.watch(Client(device, backend))
    trip.circle.clients.remove(trip.budi)
    (waits,) = {each.message_id for each in budi.pending()}
    backend.unreachable = False
    if is_removed:
        trip.group.remove(BUDI)
        trip.circle.settle(budi)
    budi.register()
    trip.circle.settle()
    assert budi.pending() == []
    assert (f"{BUDI}: waits" in trip.circle.said(trip.citra)) is not is_removed
    items = notices(trip.circle.items(budi))
    lost = [each for each in items if each.kind is NoticeKind.NOT_DELIVERED]
    told = [("not_in_group", (waits,), trip.group.id)] * is_removed
    assert [(each.code, each.messages, each.group) for each in lost] == told


def test_two_processes_send_into_one_group(tmp_path: Path, clock: FakeClock) -> None:
    """Two clients over one file, as two processes have it: no iteration twice, nothing lost."""
    with Relay(tmp_path / "relay.db", clock=clock) as relay:
        circle = Circle(relay, clock)
        (ana,) = circle.devices(ANA, 1, [SQLiteStore(tmp_path / "ana.db")])
        (budi,) = circle.join(BUDI)
        group = circle.found(ana, budi)
        with SQLiteStore(tmp_path / "ana.db") as store:
            other = reopen(ana, relay, store)
            for number in range(4):
                group.send(Text(f"one {number}"))
                other.group(group.id).send(Text(f"two {number}"))
                if number == 1:
                    other.group(group.id).rename("x")
            circle.settle(budi)
        assert [text for text in circle.said(budi) if "*" not in text] == [
            f"{ANA}: {who} {number}" for number in range(4) for who in ("one", "two")
        ]
        store_of(ana).close()
