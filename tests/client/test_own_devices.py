# SPDX-License-Identifier: Apache-2.0
"""What the clients of one account tell each other, from the call on one to what another shows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from e2ecross import Address, Client, Message, Notice, NoticeKind, Text
from e2ecross.errors import (
    BackendError,
    InvalidArgument,
    NotPrimary,
    NotRegistered,
    RestoredStore,
    UntrustedIdentity,
)
from e2ecross.state.inbox import InboxItem
from e2ecross.stores import MemoryStore, Store
from e2ecross.wire.exchange import Deposited, KeysWanted
from tests.support.accounts import account, change_devices, device_of, make_account, new_client
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    make_client,
    make_device,
)
from tests.support.store_kinds import copying

LAPTOP, TABLET = device_of(ANA, 2), device_of(ANA, 3)


class World:
    """Ana's phone, laptop and tablet, and Budi, with whom they talk."""

    def __init__(
        self, backend: BackendSimulator, copies_from: int = 0, budis: Store | None = None
    ) -> None:
        """One of Ana's devices may be said to copy what it sends, whatever stores others have."""
        self.backend, self.clock = backend, FakeClock()
        self.phone, self.laptop, self.tablet = make_account(
            ANA, (1, 2, 3), backend, stores=copying(copies_from), clock=self.clock
        )
        self.budi = make_client(BUDI, backend, budis, clock=self.clock)

    def run(self, *clients: Client) -> list[list[InboxItem]]:
        """Let clients receive, as often as something comes; returns what each has got."""
        everybody = clients or (self.phone, self.laptop, self.tablet, self.budi)
        found: list[list[InboxItem]] = [[] for _ in everybody]
        for _ in range(4):
            for client, items in zip(everybody, found, strict=True):
                new = client.receive()
                client.confirm(new)
                items += new
        return found


@pytest.fixture
def world(backend: BackendSimulator) -> World:
    return World(backend)


def messages(items: Sequence[InboxItem]) -> list[Message]:
    found = [item for item in items if isinstance(item, Message)]
    assert len(found) == len(items), items
    return found


def notices(items: Sequence[InboxItem]) -> list[Notice]:
    return [item for item in items if isinstance(item, Notice)]


class TestOwnCopies:
    @pytest.fixture
    def world(self, backend: BackendSimulator) -> World:
        return World(backend, copies_from=2)

    def test_what_one_sends_the_others_have_with_whom_it_was_for(self, world: World) -> None:
        world.laptop.send(BUDI.user_id, Text("halo"))
        phone, laptop, tablet, budi = map(messages, world.run())
        assert not laptop
        for (copy,) in (phone, tablet):
            assert (copy.sender, copy.peer, copy.own_copy) == (LAPTOP, BUDI.user_id, True)
            assert copy.content == Text("halo")
        assert [each.own_copy for each in budi] == [False]
        for client in (world.phone, world.laptop, world.tablet):
            assert account(client.device, BUDI.user_id).written
        assert not account(world.budi.device, ANA.user_id).written

    def test_an_own_device_that_is_listed_since_has_what_was_just_sent(self, world: World) -> None:
        """The back end tells of the own list with the answer; that of the recipient is the same."""
        world.laptop.send(BUDI.user_id, Text("to two others"))
        world.run()
        desk = new_client(device_of(ANA, 4), world.backend, clock=world.clock)
        everybody = (world.phone, world.laptop, world.tablet, desk)
        change_devices(world.backend, *everybody, held_by=[world.phone])
        world.laptop.send(BUDI.user_id, Text("to three others"))
        phone, _, tablet, budi = world.run()
        (items,) = world.run(desk)
        for found in (phone, tablet, items, budi):
            assert [each.content for each in messages(found)] == [Text("to three others")]
        assert [each.own_copy for each in messages(items)] == [True]

    def test_device_1_knows_when_it_has_heard_of_the_others(self, world: World) -> None:
        world.laptop.send(BUDI.user_id, Text("halo"))
        world.run()
        seen = {each.address.device: each.last_seen_ms for each in world.phone.devices().devices}
        assert seen[2] == world.clock()
        assert not seen[3]


class TestNewLists:
    def test_one_that_comes_while_what_waits_is_taken_in_is_followed_too(
        self, world: World
    ) -> None:
        """Before a list is accepted that removes a device, what waits is taken in.

        With it the same list came, of the new device; so it was no newer one than the list held,
        and the message that was just sent never went to that device.
        """
        world.budi.send(ANA.user_id, Text("to three"))
        world.run()
        desk = new_client(device_of(ANA, 4), world.backend, clock=world.clock)
        change_devices(world.backend, world.phone, world.tablet, desk)  # the laptop is gone
        desk.send(BUDI.user_id, Text("from a new device, with the list"))
        sent = world.budi.send(ANA.user_id, Text("to those that are there"))
        reached = {each.address.device for each in sent.deliveries if not each.problem}
        assert reached == {1, 3, 4}
        (items,) = world.run(desk)
        assert [each.content for each in messages(items)] == [Text("to those that are there")]

    def test_a_message_behind_another_one_names_each_device_that_it_is_for(
        self, world: World
    ) -> None:
        world.budi.send(ANA.user_id, Text("to three"))
        world.run()
        desk = new_client(device_of(ANA, 4), world.backend, clock=world.clock)
        change_devices(world.backend, world.phone, world.laptop, world.tablet, desk)
        world.backend.fail("deposit")
        with pytest.raises(BackendError):
            world.budi.send(ANA.user_id, Text("waits"))
        sent = world.budi.send(ANA.user_id, Text("behind it"))
        assert sorted(each.address.device for each in sent.deliveries) == [1, 2, 3, 4]
        (items,) = world.run(desk)
        texts = [each.content for each in messages(items)]
        assert texts == [Text("waits"), Text("behind it")]


class Quiet:
    """The back end tells of no newer lists from now on, and changes them at the worst moment.

    Attributes:
        asked: for keys of which devices it was asked; for none of them where the list is wanted.
        next_devices: who is listed from the next question on, one after another.
    """

    def __init__(self, backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[int]] = []
        self.next_devices: list[list[Client]] = []
        self._backend = backend
        self._deposit_all, self._fetch_keys = backend.deposit_all, backend.fetch_keys
        monkeypatch.setattr(backend, "deposit_all", self.deposit_all)
        monkeypatch.setattr(backend, "fetch_keys", self.fetch_keys)

    def deposit_all(self, *given: Any, **more: Any) -> Deposited:  # noqa: ANN401
        return replace(self._deposit_all(*given, **more), seqs={})

    def fetch_keys(self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]) -> Any:  # noqa: ANN401
        self.asked.extend(sorted(keys.devices or ()) for keys in wanted)
        answers = self._fetch_keys(requester, token, wanted)
        if self.next_devices:
            change_devices(self._backend, *self.next_devices.pop(0))
        return answers


class TestUnknownDevices:
    """The back end says that it does not know a device, and not that there is a newer list."""

    @pytest.fixture(params=[0, 64])
    def world(self, backend: BackendSimulator, request: pytest.FixtureRequest) -> World:
        """Budi's store has stripes, or none."""
        return World(backend, budis=MemoryStore(request.param))

    @pytest.fixture
    def quiet(self, world: World, monkeypatch: pytest.MonkeyPatch) -> Quiet:
        world.budi.send(ANA.user_id, Text("to three"))
        world.run()
        return Quiet(world.backend, monkeypatch)

    def new(self, world: World, number: int) -> Client:
        return new_client(device_of(ANA, number), world.backend, clock=world.clock)

    def test_the_list_is_asked_for_once_and_who_is_new_has_the_message(
        self, world: World, quiet: Quiet
    ) -> None:
        desk = self.new(world, 4)
        change_devices(world.backend, world.phone, world.tablet, desk)  # the laptop is gone
        sent = world.budi.send(ANA.user_id, Text("to those that are there"))
        problems = {each.address.device: each.problem for each in sent.deliveries}
        assert problems == {1: "", 2: "unknown_recipient", 3: "", 4: ""}
        assert quiet.asked == [[], [4]]  # the list, then keys
        (items,) = world.run(desk)
        assert [each.content for each in messages(items)] == [Text("to those that are there")]

    def test_so_it_is_where_the_message_has_waited(self, world: World, quiet: Quiet) -> None:
        world.backend.unreachable = True
        with pytest.raises(BackendError):
            world.budi.send(ANA.user_id, Text("waits"))
        world.backend.unreachable = False
        desk = self.new(world, 4)
        change_devices(world.backend, world.phone, world.tablet, desk)
        world.budi.maintain()
        assert quiet.asked == [[], [4]]
        (items,) = world.run(desk)
        assert [each.content for each in messages(items)] == [Text("waits")]

    def test_where_a_new_one_has_gone_meanwhile_the_list_is_asked_for_again(
        self, world: World, quiet: Quiet
    ) -> None:
        desk, car = self.new(world, 4), self.new(world, 5)
        change_devices(world.backend, world.phone, world.tablet, desk)
        phone, tablet = world.phone, world.tablet
        quiet.next_devices = [[phone, tablet, desk], [phone, tablet, car]]
        sent = world.budi.send(ANA.user_id, Text("to those that are there"))
        problems = {each.address.device: each.problem for each in sent.deliveries}
        gone = "unknown_recipient"
        assert problems == {1: "", 2: gone, 3: "", 4: gone, 5: ""}
        assert quiet.asked == [[], [4], [], [5]]
        (items,) = world.run(car)
        assert [each.content for each in messages(items)] == [Text("to those that are there")]

    def test_where_the_list_has_it_still_it_is_asked_for_once_in_ten_minutes(
        self, world: World, quiet: Quiet
    ) -> None:
        world.backend.forget(LAPTOP)
        for n in range(3):
            sent = world.budi.send(ANA.user_id, Text(f"{n}"))
            problems = {each.address.device: each.problem for each in sent.deliveries}
            assert problems == {1: "", 2: "unknown_recipient", 3: ""}
            assert quiet.asked == [[]]
        world.clock.advance(10 * 60 * 1000)
        world.budi.send(ANA.user_id, Text("3"))
        assert quiet.asked == [[], []]

    def test_of_an_account_without_a_list_nothing_is_asked(
        self, world: World, quiet: Quiet
    ) -> None:
        toko = make_client(TOKO, world.backend, clock=world.clock)
        del world.backend.lists[TOKO.user_id]
        world.budi.send(TOKO.user_id, Text("first"))
        toko.confirm(toko.receive())
        world.backend.unreachable = True
        with pytest.raises(BackendError):
            world.budi.send(TOKO.user_id, Text("waits for nobody"))
        world.backend.unreachable = False
        world.backend.forget(TOKO)
        world.clock.advance(10 * 60 * 1000)
        quiet.asked.clear()
        world.budi.maintain()
        assert world.budi.pending() == []
        assert quiet.asked == []


class TestMarkRead:
    @pytest.fixture
    def received(self, world: World) -> list[Message]:
        """What the laptop has of Budi."""
        for number in range(3):
            world.budi.send(ANA.user_id, Text(f"{number}"))
        _, laptop, *_ = world.run()
        return messages(laptop)

    def test_the_others_have_a_notice_and_nobody_else(
        self, world: World, received: list[Message]
    ) -> None:
        world.laptop.mark_read(received)
        phone, laptop, tablet, budi = world.run()
        for items in (phone, tablet):
            (notice,) = notices(items)
            assert (notice.kind, notice.user) == (NoticeKind.READ_ELSEWHERE, BUDI.user_id)
            assert notice.messages == tuple(each.message_id for each in received)
        assert laptop == budi == []

    def test_out_of_reach_it_waits_and_raises_nothing(
        self, world: World, received: list[Message]
    ) -> None:
        for _ in range(2):
            world.backend.unreachable = True
            world.laptop.mark_read(received[:1])
            world.backend.unreachable = False
        world.laptop.maintain()
        phone, *_ = world.run()
        assert [notice.kind for notice in notices(phone)] == [NoticeKind.READ_ELSEWHERE] * 2

    def test_by_who_has_not_registered_it_is_refused(self, world: World) -> None:
        new = new_client(device_of(ANA, 4), world.backend)
        with pytest.raises(NotRegistered):
            new.mark_read([])

    def test_who_was_taken_out_hears_of_it(self, world: World, received: list[Message]) -> None:
        change_devices(world.backend, world.phone, world.tablet)
        with pytest.raises(NotRegistered):
            world.laptop.mark_read(received)

    def test_nothing_leaves_a_store_that_was_put_back(
        self, world: World, received: list[Message], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(world.backend, "epochs", lambda *_: {0: 10**9})
        laptop = Client(world.laptop.device, world.backend)
        world.backend.deposits.clear()
        with pytest.raises(RestoredStore):
            laptop.mark_read(received)
        assert not world.backend.deposits

    def test_other_things_are_refused(self, world: World) -> None:
        with pytest.raises(InvalidArgument):
            world.laptop.mark_read([Text("halo")])  # type: ignore[list-item]


class TestShareHistory:
    @pytest.fixture
    def kept(self, world: World) -> list[Message]:
        """What the phone has sent and received before another device is linked."""
        world.budi.send(ANA.user_id, Text("one"))
        world.laptop.send(BUDI.user_id, Text("two"))
        phone, *_ = world.run()
        return messages(phone)

    def test_a_new_device_has_what_was_before(self, world: World, kept: list[Message]) -> None:
        desk = new_client(device_of(ANA, 4), world.backend, clock=world.clock)
        change_devices(world.backend, world.phone, world.laptop, world.tablet, desk)
        world.phone.share_history(4, kept)
        world.phone.share_history(4, kept)  # what came is skipped
        (items,) = world.run(desk)
        for before, now in zip(kept, messages(items), strict=True):
            assert now.historical
            assert replace(now, historical=False, request=before.request) == before
        world.budi.send(ANA.user_id, Text("three"))
        (items,) = world.run(desk)
        assert [each.historical for each in messages(items)] == [False]

    def test_no_more_after_a_day(self, world: World, kept: list[Message]) -> None:
        world.clock.advance(DAY_MS)
        with pytest.raises(InvalidArgument):
            world.phone.share_history(2, kept)

    def test_only_device_1_hands_it_on(self, world: World, kept: list[Message]) -> None:
        with pytest.raises(NotPrimary):
            world.laptop.share_history(3, kept)

    def test_out_of_reach_it_waits(self, world: World, kept: list[Message]) -> None:
        world.backend.unreachable = True
        world.phone.share_history(3, kept)
        world.backend.unreachable = False
        world.phone.maintain()
        (items,) = world.run(world.tablet)
        assert not items, "it has all of it"


class TestPins:
    @pytest.mark.usefixtures("alone")
    def test_what_is_verified_on_the_phone_is_verified_everywhere(self, world: World) -> None:
        world.phone.send(BUDI.user_id, Text("halo"))
        world.run()
        world.phone.device.mark_verified(BUDI, world.budi.device.identity_key)
        world.run()
        for client in (world.laptop, world.tablet):
            known = client.device.remote_identity(BUDI)
            assert known is not None
            assert known.verified

    def test_a_back_end_cannot_stand_between_a_pinned_contact_and_a_companion(
        self, world: World
    ) -> None:
        """Which has never talked to him: it knows his key from the phone alone."""
        toko = make_client(TOKO, world.backend, clock=world.clock)
        world.phone.send(TOKO.user_id, Text("halo"))
        world.phone.device.mark_verified(TOKO, toko.device.identity_key)
        world.run()
        known = world.laptop.device.remote_identity(TOKO)
        assert known is not None
        assert known.identity_key == toko.device.identity_key
        world.backend.forget(TOKO)
        Client(make_device(TOKO, clock=world.clock, seed="false"), world.backend).register()
        with pytest.raises(UntrustedIdentity):
            world.laptop.send(TOKO.user_id, Text("halo"))

    @pytest.mark.usefixtures("alone")
    def test_a_key_that_waits_is_accepted_on_the_phone_for_all(
        self, backend: BackendSimulator
    ) -> None:
        """Budi has a new phone, and both of hers have heard of it."""
        world = World(backend, copies_from=2)
        world.laptop.send(BUDI.user_id, Text("halo"))
        world.run()
        world.backend.forget(BUDI)
        budi = Client(make_device(BUDI, clock=world.clock, seed="new"), world.backend)
        budi.register()
        budi.send(ANA.user_id, Text("it is me"))
        for (message,) in map(messages, world.run(world.phone, world.laptop)):
            assert message.identity_changed
        with pytest.raises(UntrustedIdentity):
            world.laptop.send(BUDI.user_id, Text("who?"))
        world.phone.device.accept_identity(BUDI, budi.device.identity_key)
        _, laptop = world.run(world.phone, world.laptop)
        (notice,) = notices(laptop)
        assert notice.kind is NoticeKind.IDENTITY_CHANGED
        assert notice.identity_key == budi.device.identity_key
        world.laptop.send(BUDI.user_id, Text("good"))
        (items,) = world.run(budi)
        assert [each.content for each in messages(items)] == [Text("good")]
