# SPDX-License-Identifier: Apache-2.0
"""Lists of devices that messages have spoken of: asked for at the end of `receive`."""

from dataclasses import replace
from typing import cast

import pytest

from e2ecross import Address, Client, Message, Notice, NoticeKind, Text, UserId
from e2ecross.client.hints import check_lists
from e2ecross.errors import BackendError, StoreError
from e2ecross.protocol.device_list import hint_of
from e2ecross.state.accounts import find_account
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import MemoryStore, Store
from e2ecross.wire.content import DeviceHints
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.support.accounts import account, craft, device_of, hold_list, receive, sign_devices
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    BackendSimulator,
    FakeClock,
    SpyStore,
    introduce,
    make_client,
    make_device,
    reopen_device,
    start,
)
from tests.support.store_kinds import new_store

CONTACT, TABLET = BUDI.user_id, device_of(BUDI, 2)
TEN_MINUTES_MS = 10 * 60 * 1000


class World:
    """Ana, who holds the list of Budi and Budi's tablet, has a newer one to hear of."""

    def __init__(self, backend: BackendSimulator, store: Store | None = None) -> None:
        self.backend, self.clock = backend, FakeClock()
        self.store = SpyStore(store or new_store())
        self.ana = make_client(ANA, backend, self.store, clock=self.clock)
        self.budi = make_client(BUDI, backend, clock=self.clock)
        self.tablet = make_device(TABLET, clock=self.clock)
        introduce(self.budi.device, self.ana.device, kyber=True)
        introduce(self.tablet, self.ana.device, kyber=True)
        phone = self.budi.device
        self.held = sign_devices(phone, self.tablet, seq=5)
        hold_list(self.ana.device, self.held)
        self.newer = sign_devices(phone, after=self.held)
        self.backend.lists[CONTACT] = self.newer.encode()
        self.backend.calls.clear()

    def hear(self, signed: SignedDeviceList, sender: Client | None = None) -> None:
        """Put a message into Ana's mailbox that speaks of a list of Budi."""
        hints = DeviceHints(signed.list.seq, hint_of(signed))
        envelope = craft((sender or self.budi).device, ANA, Text("halo"), hints=hints)
        self.backend.inject(ANA, envelope.encode())

    @property
    def now_held(self) -> SignedDeviceList | None:
        context = self.ana.device._context
        with peer_transaction(context, CONTACT) as tx:
            record = find_account(tx, CONTACT)
        return None if record is None else record.held

    @property
    def asked(self) -> int:
        return self.backend.calls.count("fetch_keys")


@pytest.fixture
def world(backend: BackendSimulator) -> World:
    return World(backend)


def test_a_newer_list_is_fetched_and_taken_in(world: World) -> None:
    world.hear(world.newer)
    (message,) = world.ana.receive()
    assert isinstance(message, Message)
    assert world.now_held == world.newer
    assert world.asked == 1
    assert not account(world.ana.device, CONTACT).check_wanted


def test_the_list_alone_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[KeysWanted] = []
    fetch_keys = world.backend.fetch_keys

    def note(requester: Address, token: bytes, wanted: list[KeysWanted]) -> object:
        asked.extend(wanted)
        return fetch_keys(requester, token, wanted)

    monkeypatch.setattr(world.backend, "fetch_keys", note)
    world.hear(world.newer)
    world.ana.receive()
    assert asked == [KeysWanted(CONTACT, ())]


def test_without_a_reason_nothing_is_asked(world: World) -> None:
    world.hear(world.held)
    world.ana.receive()
    assert not world.asked
    assert world.now_held == world.held


def test_a_back_end_that_hides_the_list_is_asked_again_after_ten_minutes(world: World) -> None:
    world.backend.lists[CONTACT] = world.held.encode()
    for ms, asked in ((0, 1), (TEN_MINUTES_MS - 1, 1), (1, 2)):
        world.clock.advance(ms)
        world.hear(world.newer)
        world.hear(world.newer)
        items = world.ana.receive()
        assert len(items) == 2
        world.ana.confirm(items)
        assert world.asked == asked
    assert world.now_held == world.held


def test_many_are_asked_for_in_one_call_and_at_most_twenty(world: World) -> None:
    for number in range(25):
        sender = make_device(Address("whatsapp", f"user{number}"), clock=world.clock)
        start(sender, world.ana.device, kyber=True)
        world.backend.lists[sender.address.user_id] = sign_devices(sender).encode()
        hints = DeviceHints(1, bytes(16))
        envelope = craft(sender, ANA, Text("halo"), hints=hints)
        world.backend.inject(ANA, envelope.encode())
    assert len(world.ana.receive()) == 25
    assert world.asked == 1
    users = [UserId("whatsapp", f"user{n}") for n in range(25)]
    users.sort(key=world.ana.device._context.stripe_of)  # as they are taken in
    records = [account(world.ana.device, user) for user in users]
    assert [each.checked_at_ms > 0 for each in records] == [True] * 20 + [False] * 5
    assert [each.check_wanted for each in records] == [False] * 20 + [True] * 5


@pytest.mark.parametrize("bad", ["nothing", "garbage", "forged", "other key", "other account"])
def test_what_is_not_acceptable_is_ignored(world: World, bad: str) -> None:
    impostor = make_device(BUDI, seed="other")
    world.backend.lists[CONTACT] = {
        "nothing": b"",
        "garbage": b"garbage",
        "forged": replace(world.newer, signature=bytes(64)).encode(),
        "other key": sign_devices(impostor, seq=9).encode(),
        "other account": sign_devices(world.budi.device, seq=9, user=TOKO.user_id).encode(),
    }[bad]
    world.hear(world.newer)
    (message,) = world.ana.receive()
    assert isinstance(message, Message)
    assert world.now_held == world.held
    assert world.asked == 1
    assert world.ana.receive() == []


def test_an_account_that_is_not_there_is_ignored(world: World) -> None:
    world.hear(world.newer)
    world.backend.forget(BUDI)
    assert len(world.ana.receive()) == 1
    assert world.ana.receive() == []
    assert world.now_held == world.held


def test_what_a_removed_device_had_sent_is_read_first(world: World) -> None:
    world.hear(world.newer)
    for number in range(3):
        envelope = craft(world.tablet, ANA, Text(f"{number}"))
        world.backend.inject(ANA, envelope.encode())
    (first,) = world.ana.receive(limit=1)
    assert isinstance(first, Message)
    assert first.sender == BUDI
    assert world.now_held == world.newer
    rest = world.ana.receive()
    assert [each.sender for each in rest if isinstance(each, Message)] == [TABLET] * 3


def test_what_a_removed_device_had_sent_is_read_first_whichever_worker_hears_of_it(
    backend: BackendSimulator,
) -> None:
    """One has a message of this account; another one sends to it, and is told of the list."""
    world = World(backend, MemoryStore(64))
    world.hear(world.held)
    for number in range(3):
        backend.inject(ANA, craft(world.tablet, ANA, Text(f"{number}")).encode())
    items = world.ana.receive(limit=1)
    other = reopen_device(world.ana.device, world.store, "another worker")
    Client(other, backend).send(BUDI, Text("halo"))
    assert world.now_held == world.newer
    assert len(items) == 1
    assert not any(isinstance(each, Message) for each in Client(other, backend).receive())
    rest = world.ana.receive()
    assert not any(each.redelivered for each in rest)
    assert [each.sender for each in rest if isinstance(each, Message)] == [TABLET] * 3


def test_of_a_list_that_only_adds_a_device_nothing_is_read_first(world: World) -> None:
    added = make_device(device_of(BUDI, 3))
    newer = sign_devices(world.budi.device, world.tablet, added, after=world.held)
    world.backend.lists[CONTACT] = newer.encode()
    for _ in range(2):
        world.hear(newer)
    world.ana.receive(limit=1)
    assert world.now_held == newer
    assert len(world.backend.free(ANA)) == 1


@pytest.mark.usefixtures("alone")
def test_a_list_that_the_phone_has_not_signed_comes_with_a_notice(world: World) -> None:
    device = world.ana.device
    own = sign_devices(device, seq=20)
    hold_list(device, own)
    foreign = sign_devices(device, make_device(device_of(ANA, 2)), after=own)
    world.backend.lists[ANA.user_id] = foreign.encode()
    hints = DeviceHints(peer_seq=21, peer_hash=hint_of(foreign))
    world.backend.inject(ANA, craft(world.budi.device, ANA, Text("halo"), hints=hints).encode())
    message, notice = world.ana.receive()
    assert isinstance(message, Message)
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.FOREIGN_LIST
    assert account(device, ANA.user_id).held == own


def test_a_call_that_fails_loses_no_message_and_is_made_again(world: World) -> None:
    world.hear(world.newer)
    world.backend.fail("fetch_keys")
    assert len(world.ana.receive()) == 1
    assert account(world.ana.device, CONTACT).check_wanted
    world.hear(world.held)
    world.ana.receive()
    assert world.now_held == world.newer


class TestErrors:
    """Of one account, where there are two."""

    @pytest.fixture(autouse=True)
    def _hear(self, world: World) -> None:
        """Toko, whose first list is there, is heard of first, then Budi."""
        toko = make_device(TOKO, clock=world.clock)
        start(toko, world.ana.device, kyber=True)
        self.toko_list = sign_devices(toko)
        receive(world.ana.device, craft(toko, ANA, Text("halo"), hints=DeviceHints(1, bytes(16))))
        hints = DeviceHints(world.newer.list.seq, hint_of(world.newer))
        receive(world.ana.device, craft(world.budi.device, ANA, Text("halo"), hints=hints))

    def check(self, world: World) -> None:
        check_lists(world.ana._way())

    def test_none_befalls_two(self, world: World) -> None:
        world.backend.lists[TOKO.user_id] = self.toko_list.encode()
        make_client(TOKO, world.backend)
        self.check(world)
        assert world.now_held == world.newer
        assert account(world.ana.device, TOKO.user_id).held == self.toko_list

    def test_an_answer_that_is_none_is_told_when_the_others_are_done(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = [cast("UserKeys", "halo"), UserKeys(world.newer.encode(), ())]
        monkeypatch.setattr(world.backend, "fetch_keys", lambda *_: answer)
        with pytest.raises(BackendError, match="no keys"):
            self.check(world)
        assert world.now_held == world.newer
        wanted = [account(world.ana.device, user).check_wanted for user in (TOKO.user_id, CONTACT)]
        assert wanted == [True, False]

    def test_a_store_that_fails_leaves_it_for_when_they_are_heard_of_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer = [UserKeys(each.encode(), ()) for each in (self.toko_list, world.newer)]
        monkeypatch.setattr(world.backend, "fetch_keys", lambda *_: answer)
        world.store.fail_transactions = [False, True]
        with pytest.raises(StoreError):
            self.check(world)
        for user in (TOKO.user_id, CONTACT):
            assert account(world.ana.device, user).check_wanted
        world.hear(world.newer)
        monkeypatch.setattr(world.backend, "fetch_keys", lambda *_: answer[1:])
        world.ana.receive()
        assert world.now_held == world.newer

    def test_a_mailbox_that_cannot_be_read_leaves_the_list_that_removes_somebody(
        self, world: World
    ) -> None:
        world.backend.fail("fetch")
        with pytest.raises(BackendError, match="lost"):
            self.check(world)
        assert world.now_held == world.held
        world.clock.advance(TEN_MINUTES_MS)
        world.hear(world.newer)
        world.ana.receive()
        assert world.now_held == world.newer
