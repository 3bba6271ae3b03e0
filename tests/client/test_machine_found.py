# SPDX-License-Identifier: Apache-2.0
"""Faults that `tests/properties/test_client_machine.py` has found, each with a test of its own."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from e2ecross import (
    Address,
    Client,
    Device,
    Envelope,
    FailedMessage,
    Message,
    Notice,
    PreKeyBundle,
    Text,
)
from e2ecross.client import fan_out, receiving
from e2ecross.device.settling import Result, settle
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    InvalidArgument,
    MailboxFull,
    RestoredStore,
    UnknownRecipient,
)
from e2ecross.state.context import Context
from e2ecross.state.inbox import InboxItem
from e2ecross.state.notice import NoticeKind
from e2ecross.state.outbox import Backlog
from e2ecross.stores import MemoryStore
from e2ecross.wire.exchange import KeysWanted, UserKeys, Waiting
from tests.properties.hostile_backend import false_bundle
from tests.support.accounts import sign_devices
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    BackendSimulator,
    FakeClock,
    make_client,
    make_device,
)
from tests.support.lone_worker import end_holds
from tests.support.restores import put_back, take_copy


class Backend(BackendSimulator):
    """Hands out false keys of whom it is told to, and answers of `fetch` that were prepared.

    Also false lists of their devices: else it is found out at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lies_about: set[Address] = set()
        self.answers: list[list[Waiting]] = []

    def fetch_bundle(self, requester: Address, token: bytes, address: Address) -> PreKeyBundle:
        if address in self.lies_about:
            return false_bundle(address)
        return super().fetch_bundle(requester, token, address)

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        genuine = self.lists
        false = {address.user_id: false_list(address) for address in self.lies_about}
        self.lists = {**genuine, **false}
        answer = super().fetch_keys(requester, token, wanted)
        self.lists = genuine
        return answer

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        **hold: Any,  # noqa: ANN401
    ) -> list[Waiting]:
        if self.answers:
            return self.answers.pop(0)
        return super().fetch(address, token, limit, after, **hold)


def false_list(address: Address) -> bytes:
    """That of the device whose keys `false_bundle` has."""
    return sign_devices(make_device(address, seed="false")).encode()


def _id(number: int) -> bytes:
    return number.to_bytes(16)


def _damaged(data: bytes) -> bytes:
    envelope = Envelope.decode(data)
    return replace(envelope, ciphertext=envelope.ciphertext[:-1] + b"\0").encode()


def _meet(left: Client, right: Client) -> None:
    for sender, reader in ((left, right), (right, left)):
        sender.send(reader.device.address, Text("hello"))
        items = reader.receive()
        assert [type(item) for item in items] == [Message]
        reader.confirm(items)


def _named(items: Sequence[InboxItem], kind: NoticeKind) -> set[bytes]:
    return {
        message_id
        for item in items
        if isinstance(item, Notice) and item.kind is kind
        for message_id in item.messages
    }


def _texts(items: Sequence[InboxItem]) -> list[str]:
    return [
        item.content.text
        for item in items
        if isinstance(item, Message) and isinstance(item.content, Text)
    ]


def test_every_message_that_waits_for_a_decision_is_named_also_later_ones() -> None:
    """Rule B: the second request came into a backlog that waited already, and nobody said so."""
    backend = Backend()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    backend.lies_about = {ANA}
    budi.send(ANA, Text("one"), message_id=_id(1))
    budi.send(ANA, Text("two"), message_id=_id(2))
    backend.lies_about = set()
    assert [type(item) for item in ana.receive()] == [FailedMessage] * 2
    assert _named(budi.receive(), NoticeKind.IDENTITY_PENDING) == {_id(1), _id(2)}
    budi.device.accept_identity(ANA, ana.device.identity_key)
    budi.maintain()
    assert _texts(ana.receive()) == ["one", "two"]


def test_a_number_under_which_something_else_stands_is_not_acknowledged() -> None:
    """Rule C: an envelope that was gone when it was looked for again took another with it."""
    backend = Backend()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    budi.send(ANA, Text("not to be lost"))
    ((number, _),) = backend._accounts[ANA].mailbox
    backend.answers = [[Waiting(number, b"unreadable")]]
    items = ana.receive()
    end_holds(ana, backend)
    assert _texts([*items, *ana.receive()]) == ["not to be lost"]


def test_what_is_gone_counts_for_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A back end that goes on for ever with what is not there keeps no call for ever."""

    class Endless(Backend):
        fetched = 0

        def fetch(
            self, address: Address, token: bytes, limit: int, after: int = 0, **_: object
        ) -> list[Waiting]:
            self.fetched += 1
            assert self.fetched < 200
            # What it hands out is not there when it is looked for again.
            return [Waiting(after + 1, b"unreadable")] if self.fetched % 2 else []

    backend = Endless()
    ana = make_client(ANA, backend)
    monkeypatch.setattr(receiving, "_MAX_GONE_THROUGH", 50)
    assert ana.receive(10) == []


def test_items_of_a_call_that_was_interrupted_come_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule D: they came from the next `Client` only, after a restart."""
    backend = Backend()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    budi.send(ANA, Text("one"))
    budi.send(ANA, Text("two"))
    assert _texts(ana.receive()) == ["one", "two"]
    end_holds(ana, backend)
    again = Client(ana.device, backend)
    with monkeypatch.context() as patch:
        patch.setattr(Client, "_collect", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            again.receive()  # it has both in hand
    end_holds(ana, backend)
    first = again.receive(1)
    assert _texts(first) == ["one"]
    assert all(item.redelivered for item in first)
    budi.send(ANA, Text("three"))
    assert _texts(again.receive()) == ["two", "three"]
    again.confirm(first)
    assert again.receive() == []


def test_items_that_were_confirmed_meanwhile_do_not_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By another client of the store."""
    backend = Backend()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    budi.send(ANA, Text("one"))
    items = ana.receive()
    again = Client(ana.device, backend)
    with monkeypatch.context() as patch:
        patch.setattr(Client, "_collect", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            again.receive()
    ana.confirm(items)
    assert again.receive() == []


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _pending_at_ana(backend: Backend) -> tuple[Client, Client, bytes]:
    """Ana has read a message under a new key of budi, and not decided about it."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    _meet(ana, budi)
    backend.forget(BUDI)
    new = Client(make_device(BUDI, seed="new"), backend)
    new.register()
    new.send(ANA, Text("it is me"))
    items = ana.receive()
    assert _texts(items) == ["it is me"]
    ana.confirm(items)
    return ana, new, new.device.identity_key


@pytest.mark.usefixtures("alone")
def test_what_cannot_be_read_before_a_decision_is_asked_for_after_it() -> None:
    """Rule B: nobody asked, before or after, and the sender never heard."""
    backend = Backend()
    ana, budi, key = _pending_at_ana(backend)
    budi.send(ANA, Text("two"))
    backend.rewrite(ANA, 0, _damaged)
    (failure,) = [item for item in ana.receive() if isinstance(item, FailedMessage)]
    assert not failure.retrying
    budi.receive()
    ana.device.accept_identity(BUDI, key)
    for client in (ana, budi):
        client.receive()
    assert _texts(ana.receive()) == ["two"]


@pytest.mark.usefixtures("alone")
def test_a_rejected_key_takes_no_request_with_it() -> None:
    """Rule B: the back end brought up a key of its own, and with its rejection the message went."""
    backend = Backend()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    _meet(ana, budi)
    budi.send(ANA, Text("two"))
    backend.rewrite(ANA, 0, _damaged)
    backend.lies_about = {BUDI}
    failure, notice = ana.receive()
    assert isinstance(failure, FailedMessage)
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.IDENTITY_PENDING
    backend.lies_about = set()
    ana.device.reject_identity(BUDI, notice.identity_key)
    for client in (ana, budi):
        client.receive()
    assert _texts(ana.receive()) == ["two"]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("times", [1, 2])
def test_an_item_of_the_lost_part_of_a_store_closes_no_other(times: int) -> None:
    """Rule P: its number was given a second time, and what came under it was never shown."""
    backend, store = Backend(), MemoryStore()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    _meet(ana, budi)
    copy, old = take_copy(store), list[InboxItem]()
    for _ in range(times):  # from one copy each time
        budi.send(ANA, Text("lost"))
        budi.receive()
        old += ana.receive()
        put_back(store, copy)
        ana = Client(Device.open(store, clock=FakeClock(), restored=True), backend)
        end_holds(ana, backend)
    budi.receive()
    budi.send(ANA, Text("two"))
    handed = [item for _ in range(3) for item in (*ana.receive(), *budi.receive())]
    assert "two" in _texts(handed)
    for item in old:
        with suppress(InvalidArgument):
            ana.confirm([item])
    end_holds(ana, backend)
    again = Client(ana.device, backend).receive()
    assert [item.kind for item in again if isinstance(item, Notice)] == [NoticeKind.RESTORED]
    assert "two" in _texts(again)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("error", [BackendRefused("no"), MailboxFull("full")])
def test_who_waits_for_a_message_hears_that_it_cannot_be_asked_for(error: BackendError) -> None:
    """Rule B: `retrying=True` was said, and the back end took no request."""
    backend = Backend()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    _meet(ana, budi)
    budi.send(ANA, Text("two"), message_id=_id(2))
    backend.rewrite(ANA, 0, _damaged)
    backend.fail("deposit", error)
    items = ana.receive()
    ana.confirm(items)
    first, second = [*items, *ana.receive()]
    for item, retrying in ((first, True), (second, False)):
        assert isinstance(item, FailedMessage)
        assert (item.sender, item.message_id, item.retrying) == (BUDI, _id(2), retrying)
        assert item.error.code == "authentication_failed"
    assert budi.receive() == []


def test_who_was_restored_while_the_back_end_had_forgotten_it_can_be_restored_again() -> None:
    """Rule H: the truth was refused for ever, because `restored=True` is done once."""
    backend, store = Backend(), MemoryStore()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    _meet(ana, budi)
    copy = take_copy(store)
    for _ in range(9):
        ana.send(BUDI, Text("lost part"))
    put_back(store, copy)
    account = backend._accounts[ANA]
    told, account.epochs = account.epochs, {}
    restored = Client(Device.open(store, clock=FakeClock(), restored=True), backend)
    backend.fail("one_time_prekey_count")
    with pytest.raises(BackendError):
        restored.maintain()
    account.epochs = told
    for _ in range(2):
        with pytest.raises(RestoredStore):
            Client(Device.open(store, clock=FakeClock()), backend).send(BUDI, Text("not yet"))
    again = Client(Device.open(store, clock=FakeClock(), restored=True), backend)
    budi.confirm(budi.receive())
    again.send(BUDI, Text("goes"))
    assert _texts(budi.receive()) == ["goes"]


def test_two_who_cannot_read_each_other_do_not_ask_for_ever() -> None:
    """Rule L: each asked for the other's requests, and every one put off the next new session."""
    backend, clock, clients = Backend(), FakeClock(), list[Client]()
    stores = {address: MemoryStore() for address in (ANA, BUDI)}
    before = {}
    for address, store in stores.items():
        clients.append(make_client(address, backend, store, clock=clock))
        before[address] = take_copy(store)
    for client, other in zip(clients, (BUDI, ANA), strict=True):
        client.send(other, Text("to keys that will be gone"))
    clients.clear()
    for address, store in stores.items():
        put_back(store, before[address])
        clients.append(Client(Device.open(store, clock=clock, restored=True), backend))
    backend.fail("publish", times=4)
    for _ in range(30):
        asked = len(backend.deposits)
        for client in clients:
            with suppress(BackendError):
                client.confirm(client.receive())
        clock.advance(60 * 60 * 1000)
    assert len(backend.deposits) == asked > 10
    assert not backend.mailbox(ANA)
    assert not backend.mailbox(BUDI)
    clients[0].send(BUDI, Text("now"))
    assert _texts(clients[1].receive()) == ["now"]


def test_a_copy_that_is_asked_for_when_its_message_is_not_kept_any_more_is_told() -> None:
    """Rule B: it was asked for under the id of the copy, and nobody knew which message that was."""
    backend, clock = Backend(), FakeClock()
    ana = make_client(ANA, backend, clock=clock)
    budi = make_client(BUDI, backend, clock=clock)
    _meet(ana, budi)
    ana.send(BUDI, Text("two"), message_id=_id(2))
    for days in (5, 3):
        backend.rewrite(BUDI, 0, _damaged)
        failures = budi.receive()
        assert [type(item) for item in failures] == [FailedMessage]
        budi.confirm(failures)
        clock.advance(days * DAY_MS)
        told = ana.receive()
    assert _named(told, NoticeKind.NOT_DELIVERED) == {_id(2)}
    assert backend.mailbox(BUDI) == []


@pytest.mark.usefixtures("alone")
def test_an_interrupt_takes_no_word_of_a_promised_message_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule B: it was refused while its caller waited, and the exception never came to them."""
    backend = Backend()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    _meet(ana, budi)
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("promised"), message_id=_id(3))
    backend.fail("deposit", BackendRefused("no"))

    def settle_and_be_interrupted(
        context: Context, results: Sequence[Result], *, blocked: Sequence[tuple[Backlog, str]]
    ) -> None:
        settle(context, results, blocked=blocked)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fan_out, "settle", settle_and_be_interrupted)
        with pytest.raises(KeyboardInterrupt):
            ana.send(BUDI, Text("promised"), message_id=_id(3))
    assert ana.pending() == []
    assert _named(ana.receive(), NoticeKind.NOT_DELIVERED) == {_id(3)}


def test_a_store_that_was_put_back_under_a_device_takes_over_nothing() -> None:
    """Rule H: a copy from just after a restore took over the epoch, and passed for the latest."""
    backend, store = Backend(), MemoryStore()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    _meet(ana, budi)
    device = Device.open(store, clock=FakeClock(), restored=True)
    copy = take_copy(store)
    Client(device, backend).send(BUDI, Text("goes"))
    budi.confirm(budi.receive())
    put_back(store, copy)
    with pytest.raises(RestoredStore):
        Client(device, backend).send(BUDI, Text("does not"))
    assert backend.mailbox(BUDI) == []
    again = Client(Device.open(store, clock=FakeClock(), restored=True), backend)
    again.send(BUDI, Text("goes again"))
    assert _texts(budi.receive()) == ["goes again"]
