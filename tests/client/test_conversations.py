# SPDX-License-Identifier: Apache-2.0
"""Strangers, requests and blocking, receipts and typing: two people and all their devices."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from e2ecross import (
    Address,
    Client,
    Content,
    Expiry,
    FailedMessage,
    Framed,
    Media,
    Message,
    MessageRef,
    Notice,
    NoticeKind,
    Policy,
    Reaction,
    Receipt,
    Text,
    UnsupportedContent,
    UserId,
)
from e2ecross.device.conversations import take_states
from e2ecross.device.hints import own_hints
from e2ecross.device.receipts import put_receipts
from e2ecross.errors import InvalidArgument, NotRegistered, StoreError
from e2ecross.state import receipts as due_rows
from e2ecross.state.conversations import find_conversation, put_conversation
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message_refs import ref_of
from e2ecross.state.outbox import put_control
from e2ecross.state.receipts import DueReceipt, list_due, note_due
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import (
    ConversationState,
    ConversationStates,
    Typing,
    encode_content,
)
from e2ecross.wire.content.resent import PayloadContent
from e2ecross.wire.conversation_records import ConversationRecord
from e2ecross.wire.envelope import Envelope
from tests.client.conversation import forget_sessions, read, reopen, shown, store_of, waiting
from tests.support.accounts import (
    change_devices,
    craft,
    device_of,
    make_account,
    new_client,
    sign_devices,
)
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    BackendSimulator,
    FakeClock,
    SpyStore,
    count_rows,
    dump,
    make_client,
    make_device,
    start,
)
from tests.support.formats import ATTACHMENT
from tests.support.linked import link
from tests.support.store_kinds import copied, copying

ALL = frozenset(
    int(each) for each in Capability if each.value <= Capability.TYPING or each.value in (32, 33)
)
SOON_MS = 5_001
HOUR_MS = 60 * 60 * 1000
KEY = bytes(range(32))


def policy(**settings: object) -> Policy:
    return Policy(capabilities=ALL, **settings)  # type: ignore[arg-type]


def without_receipts() -> Policy:
    return Policy(capabilities=ALL - {Capability.RECEIPTS})


class World:
    """Ana with a phone and a laptop, Budi with one phone; all that can do everything."""

    def __init__(self, copies_from: int = 0) -> None:
        """One of Ana's devices may be said to copy what it sends, whatever stores others have."""
        self.backend, self.clock = BackendSimulator(), FakeClock()
        self.budi = make_client(BUDI, self.backend, clock=self.clock, policy=policy())
        self.phone, self.laptop = make_account(
            *(ANA, (1, 2), self.backend),
            stores=copying(copies_from),
            clock=self.clock,
            policy=policy(),
        )
        self.everybody: tuple[Client, ...] = (self.phone, self.laptop, self.budi)

    def run(self, rounds: int = 3) -> dict[Client, list[InboxItem]]:
        """Let everybody receive what is there, until nothing moves."""
        found: dict[Client, list[InboxItem]] = {each: [] for each in self.everybody}
        for _ in range(rounds):
            for client in self.everybody:
                items = client.receive()
                client.confirm(items)
                found[client] += items
        return found

    def meet(self) -> None:
        """Both have written to each other."""
        self.budi.send(ANA, Text("first"))
        self.run()
        self.phone.send(BUDI, Text("answer"))
        self.run()
        self.later()

    def later(self) -> dict[Client, list[InboxItem]]:
        """After as long as a receipt may take."""
        self.clock.advance(SOON_MS)
        return self.run()

    def state(self, client: Client, user: UserId = BUDI.user_id) -> ConversationRecord:
        with store_of(client).transaction() as tx:
            return find_conversation(tx, user)

    def inject(self, content: PayloadContent, *, sent_at_ms: int | None = None) -> bytes:
        """Let Budi say to the phone what he likes; returns the id."""
        sender = self.budi.device
        with store_of(self.budi).transaction() as tx:
            hints = own_hints(sender._context, tx, ANA.user_id)
        envelope = craft(sender, ANA, content, sent_at_ms=sent_at_ms, hints=hints)
        self.backend.inject(ANA, envelope.encode())
        return envelope.message_id


@pytest.fixture
def world() -> World:
    return World()


def contents(items: Iterable[InboxItem]) -> list[Content | None]:
    return [item.content for item in items if isinstance(item, Message)]


def receipts(items: Iterable[InboxItem]) -> list[Receipt]:
    return [each for each in contents(items) if isinstance(each, Receipt)]


def kinds(items: Iterable[InboxItem]) -> list[NoticeKind]:
    return [item.kind for item in items if isinstance(item, Notice)]


def framed(content: Content, **how: object) -> Framed:
    return Framed(content, KEY, **how)  # type: ignore[arg-type]


class TestStrangers:
    def test_who_writes_first_is_a_request_until_answered(self, world: World) -> None:
        world.budi.send(ANA, Text("halo"))
        (item,) = world.phone.receive()
        assert isinstance(item, Message)
        assert item.request
        assert world.phone.requests() == [BUDI.user_id]
        world.phone.send(BUDI, Text("halo"))
        assert world.phone.requests() == []
        world.budi.send(ANA, Text("again"))
        (item,) = world.phone.receive()
        assert isinstance(item, Message)
        assert not item.request

    def test_who_answers_is_accepted_on_all_devices(self) -> None:
        world = World(copies_from=1)
        world.budi.send(ANA, Text("halo"))
        world.run()
        assert world.laptop.requests() == [BUDI.user_id]
        world.phone.send(BUDI, Text("halo"))
        world.run()
        assert world.laptop.requests() == []
        assert world.state(world.laptop).state == 1

    def test_beyond_the_bound_nothing_is_shown_nor_kept(self) -> None:
        backend = BackendSimulator()
        budi = make_client(BUDI, backend)
        ana = make_client(ANA, backend, policy=Policy(request_messages=2))
        for number in range(4):
            budi.send(ANA, Text(f"{number}"))
        assert read(ana) == ["0", "1"]
        ana.accept(BUDI)
        budi.send(ANA, Text("4"))
        assert read(ana) == ["4"]

    def test_fifty_of_a_stranger_are_shown_and_further_ones_not_even_once_accepted(
        self, world: World
    ) -> None:
        for number in range(52):
            world.budi.send(ANA, Text(f"{number}"))
        found = world.run()
        for client in (world.phone, world.laptop):
            assert shown(found[client]) == [f"{number}" for number in range(50)]
            assert client.requests() == [BUDI.user_id]
        world.phone.accept(BUDI)
        found = world.run()
        assert not contents(found[world.phone]) + contents(found[world.laptop])
        for number in range(52, 110):
            world.budi.send(ANA, Text(f"{number}"))
        found = world.run()
        for client in (world.phone, world.laptop):
            assert shown(found[client]) == [f"{number}" for number in range(52, 110)]

    def test_accept_and_the_like_are_not_for_the_own_account(self, world: World) -> None:
        for call in (world.phone.accept, world.phone.block, world.phone.unblock):
            with pytest.raises(InvalidArgument, match="user"):
                call(ANA)
        with pytest.raises(InvalidArgument, match="receipts"):
            world.phone.accept(BUDI, receipts=1)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="typing"):
            world.phone.accept(BUDI, typing=1)  # type: ignore[arg-type]

    def test_what_is_decided_twice_is_told_once(self, world: World) -> None:
        world.phone.accept(BUDI)
        before = dump(store_of(world.phone))
        world.phone.accept("instagram:budi")
        assert dump(store_of(world.phone)) == before


class TestBlocking:
    def test_of_a_blocked_account_nothing_is_shown_kept_or_answered(self, world: World) -> None:
        world.meet()
        world.phone.block(BUDI)
        world.run()
        inbox = count_rows(store_of(world.phone), Table.INBOX)
        world.inject(Text("halo"))
        world.inject(Typing(on=True))
        world.inject(framed(Reaction(MessageRef(ANA.user_id, bytes(16), bytes(32)), 1, "x")))
        before = len(world.backend.deposits)
        assert world.phone.receive() == []
        world.clock.advance(SOON_MS)
        assert world.phone.receive() == []
        assert len(world.backend.deposits) == before
        assert count_rows(store_of(world.phone), Table.INBOX) <= inbox + 3  # numbers alone

    def test_it_holds_on_all_devices_and_can_be_undone_on_any(self, world: World) -> None:
        world.meet()
        world.laptop.block("instagram:budi")
        world.run()
        assert world.state(world.phone).state == world.state(world.laptop).state == 2
        world.phone.unblock(BUDI)
        world.run()
        assert world.state(world.phone).state == world.state(world.laptop).state == 0
        world.budi.send(ANA, Text("halo"))
        assert [item.request for item in world.laptop.receive() if isinstance(item, Message)] == [
            True
        ]

    def test_who_decides_last_wins_and_of_two_at_once_the_stricter(self, world: World) -> None:
        world.meet()
        world.phone.accept(BUDI, typing=False)
        world.laptop.block(BUDI)
        world.run()
        assert world.state(world.phone) == world.state(world.laptop)
        assert world.state(world.phone).state == 2
        world.phone.accept(BUDI, receipts=False)
        world.run()
        expected = ConversationRecord(
            1, 0, no_receipts=True, number=world.state(world.phone).number
        )
        assert world.state(world.phone) == world.state(world.laptop) == expected

    def test_writing_to_a_blocked_account_unblocks_it_everywhere(self) -> None:
        world = World(copies_from=2)
        world.meet()
        world.phone.block(BUDI)
        world.run()
        world.laptop.send(BUDI, Text("halo"))
        world.run()
        assert world.state(world.phone).state == world.state(world.laptop).state == 1

    def test_what_cannot_be_read_is_not_asked_for(self, world: World) -> None:
        world.meet()
        world.phone.block(BUDI)
        world.run()
        envelope = world.budi.device.encrypt(ANA, Text("halo")).encode()
        world.backend.inject(ANA, envelope[:-1] + bytes((envelope[-1] ^ 1,)))
        assert world.phone.receive() == []
        assert waiting(world.phone) == []

    @pytest.mark.parametrize("content", [Typing(on=True), Receipt(1, (bytes(16),)), Text("halo")])
    @pytest.mark.parametrize("who", ["blocked", "enough waits"])
    def test_who_is_not_heard_is_not_heard_under_another_identity_key_either(
        self, world: World, who: str, content: PayloadContent
    ) -> None:
        world.meet()
        world.phone.block(BUDI)
        if who == "enough waits":
            world.phone.unblock(BUDI)
            with store_of(world.phone).transaction() as tx:
                known = find_conversation(tx, BUDI.user_id)
                put_conversation(tx, BUDI.user_id, replace(known, waiting=50))
        world.run()
        reinstalled = make_device(BUDI, seed="reinstalled", clock=world.clock)
        start(reinstalled, world.phone.device, kyber=True)
        signed = sign_devices(reinstalled).encode()
        for _ in range(3):
            envelope = craft(reinstalled, ANA, content, device_list=signed)
            world.backend.inject(ANA, envelope.encode())
        assert world.phone.receive() == []

    def test_a_receipt_that_is_not_shown_hides_no_changed_identity(
        self, backend: BackendSimulator
    ) -> None:
        ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
        budi.send(ANA, Text("first"))
        ana.accept(BUDI)
        assert read(ana) == ["first"]
        reinstalled = make_device(BUDI, seed="reinstalled")
        start(reinstalled, ana.device, kyber=True)
        signed = sign_devices(reinstalled).encode()
        envelope = craft(reinstalled, ANA, Receipt(1, (bytes(16),)), device_list=signed)
        backend.inject(ANA, envelope.encode())
        assert read(ana) == ["!identity_changed"]

    @pytest.mark.parametrize("user", [BUDI.user_id, TOKO.user_id])
    def test_nobody_else_decides(self, world: World, user: UserId) -> None:
        world.meet()
        world.phone.block(user)
        world.run()
        decided = ConversationState(user, 1, no_receipts=False, no_typing=False, number=99)
        world.inject(ConversationStates((decided,)))
        assert world.phone.receive() == []
        assert world.state(world.phone, user).state == 2

    def test_nothing_is_decided_about_the_own_account(self, world: World) -> None:
        decided = ConversationState(ANA.user_id, 2, no_receipts=True, no_typing=True, number=1)
        with store_of(world.phone).transaction() as tx:
            take_states(world.phone.device._context, tx, ConversationStates((decided,)))
        assert world.state(world.phone, ANA.user_id) == ConversationRecord()

    def test_a_message_that_waits_for_a_stranger_keeps_its_place(self, world: World) -> None:
        """A decision that changes a switch alone counts no message anew."""
        world.budi.send(ANA, Text("halo"))
        world.run()
        told = ConversationState(BUDI.user_id, 0, no_receipts=True, no_typing=False, number=1)
        with store_of(world.phone).transaction() as tx:
            take_states(world.phone.device._context, tx, ConversationStates((told,)))
        assert world.state(world.phone) == ConversationRecord(0, 1, no_receipts=True, number=1)

    def test_a_new_device_is_told(self, world: World) -> None:
        world.meet()
        world.phone.block(BUDI)
        tablet = link(world.phone, world.backend)
        world.phone.maintain()
        tablet.receive()
        assert world.state(tablet).state == 2
        assert Address.parse(f"{ANA.user_id}.3") == tablet.device.address


class TestReceipts:
    def test_what_came_is_told_once_by_device_1_a_few_seconds_later(self, world: World) -> None:
        world.meet()
        sent = [world.budi.send(ANA, Text(f"{number}")).message_id for number in range(3)]
        found = world.run()
        assert not receipts(found[world.budi])
        assert not [k for k in dump(store_of(world.laptop)) if k[:2] == (Table.RECEIPTS, b"due")]
        found = world.later()
        told = receipts(found[world.budi])
        assert sorted(each for one in told for each in one.message_ids) == sorted(sent)
        assert {one.what for one in told} == {Receipt.DELIVERED}
        assert receipts(found[world.laptop]) == [*copied(*told)]
        assert not receipts(world.later()[world.budi])

    def test_what_was_read_is_told_by_the_device_where_it_was(self) -> None:
        world = World(copies_from=1)
        world.meet()
        message_id = world.budi.send(ANA, Text("halo")).message_id
        (message,) = (i for i in world.run()[world.laptop] if isinstance(i, Message))
        world.later()
        world.laptop.mark_read([message, message])
        found = world.later()
        assert receipts(found[world.budi]) == [Receipt(Receipt.READ, (message_id,))]
        assert receipts(found[world.phone]) == [*copied(Receipt(Receipt.READ, (message_id,)))]
        assert NoticeKind.READ_ELSEWHERE in kinds(found[world.phone])
        world.phone.mark_read([message])
        # That it was told already the phone knows from the copy alone.
        assert len(receipts(world.later()[world.budi])) == 1 - len(copied("of the receipt"))

    def test_a_device_that_cannot_show_them_is_sent_none(self, world: World) -> None:
        watch = new_client(
            device_of(BUDI, 2), world.backend, clock=world.clock, policy=without_receipts()
        )
        change_devices(world.backend, world.budi, watch)
        world.everybody = (*world.everybody, watch)
        world.meet()
        world.budi.send(ANA, Text("halo"))
        world.run()
        before = len(world.backend.deposits)
        assert receipts(world.later()[world.budi])
        told = map(Envelope.decode, world.backend.deposits[before:])
        assert watch.device.address not in {each.recipient for each in told}

    def test_many_go_together(self, world: World) -> None:
        world.meet()
        for number in range(70):
            world.budi.send(ANA, Text(f"{number}"))
        world.run()
        lengths = [len(one.message_ids) for one in receipts(world.later()[world.budi])]
        assert sum(lengths) == 70
        assert len(lengths) == 2

    def test_at_most_20_go_in_a_minute_and_the_others_wait(self, world: World) -> None:
        world.meet()
        world.clock.advance(HOUR_MS)
        told = 0
        for number in range(25):
            world.budi.send(ANA, Text(f"{number}"))
            world.run(1)
            world.clock.advance(2_000)
            told += len(receipts(world.run(1)[world.budi]))
        assert 0 < told <= 21
        world.clock.advance(60_000)
        rest = receipts(world.run()[world.budi])
        assert len(rest) <= 2

    @pytest.mark.parametrize("how", ["stranger", "switched off", "not for this one", "not wanted"])
    def test_nobody_else_gets_one(self, how: str) -> None:
        world = World()
        if how == "switched off":
            off = policy(send_delivered_receipts=False, send_read_receipts=False)
            world.phone, world.laptop = make_account(
                TOKO, (1, 2), world.backend, clock=world.clock, policy=off
            )
        if how == "not wanted":
            world.budi = make_client(
                Address("instagram", "carla"), world.backend, clock=world.clock
            )
        world.everybody = (world.phone, world.laptop, world.budi)
        budi, ana = world.budi.device.address, world.phone.device.address
        world.budi.send(ana, Text("first"))
        world.run()
        if how != "stranger":
            world.phone.send(budi, Text("answer"))
            world.run()
            world.later()
        if how == "not for this one":
            world.phone.accept(budi, receipts=False)
        world.budi.send(ana, Text("halo"))
        found = world.run()
        world.phone.mark_read([i for i in found[world.phone] if isinstance(i, Message)])
        assert not receipts(world.later()[world.budi])
        assert not [k for k in dump(store_of(world.phone)) if k[0] is Table.RECEIPTS and k[1]]

    def test_no_act_nor_what_is_not_shown_makes_a_receipt_go(self, world: World) -> None:
        world.meet()
        ref = MessageRef(ANA.user_id, bytes(16), bytes(32))
        world.inject(framed(Reaction(ref, 1, "x")))
        world.inject(Receipt(Receipt.READ, (bytes(16),)))
        world.inject(UnsupportedContent(9, b"?"))
        world.inject(framed(Text("old"), expiry=Expiry(5)), sent_at_ms=world.clock() - 2 * HOUR_MS)
        found = world.run()
        assert len(contents(found[world.phone])) == 4
        world.phone.mark_read([i for i in found[world.phone] if isinstance(i, Message)])
        assert not receipts(world.later()[world.budi])

    def test_a_receipt_that_the_app_does_not_show_counts_as_received(self) -> None:
        world = World()
        world.budi = make_client(Address("instagram", "carla"), world.backend, clock=world.clock)
        world.everybody = (world.phone, world.laptop, world.budi)
        world.budi.send(ANA, Text("first"))
        world.run()
        world.phone.send(world.budi.device.address, Text("answer"))
        envelope = craft(world.phone.device, world.budi.device.address, Receipt(1, (bytes(16),)))
        world.backend.inject(world.budi.device.address, envelope.encode())
        assert read(world.budi) == ["answer"]

    @pytest.mark.parametrize("how", ["everybody", "this one"])
    def test_who_tells_nobody_what_was_read_is_not_told_either(self, how: str) -> None:
        backend = BackendSimulator()
        tells = how == "this one"
        ana = make_client(ANA, backend, policy=policy(send_read_receipts=tells))
        budi = make_client(BUDI, backend, policy=policy())
        budi.send(ANA, Text("first"))
        ana.receive()
        if how == "this one":
            ana.accept(BUDI, receipts=False)
        envelope = craft(budi.device, ANA, Receipt(Receipt.READ, (bytes(16),)))
        backend.inject(ANA, envelope.encode())
        assert receipts(ana.receive()) == [Receipt(Receipt.DELIVERED, (bytes(16),))]

    def test_what_is_due_is_found_after_a_restart(self, world: World) -> None:
        world.meet()
        world.budi.send(ANA, Text("halo"))
        world.run()
        world.phone = reopen(world.phone, world.backend)
        world.everybody = (world.phone, world.laptop, world.budi)
        assert len(receipts(world.later()[world.budi])) == 1

    def test_what_another_process_has_noted_goes_within_a_minute(self, world: World) -> None:
        world.meet()
        world.later()
        other = reopen(world.phone, world.backend)
        world.budi.send(ANA, Text("halo"))
        assert shown(other.receive()) == ["halo"]
        world.clock.advance(60_000)
        world.phone.receive()
        assert len(receipts(world.budi.receive())) == 1

    def test_a_clock_that_was_put_back_holds_no_receipt_up(self, world: World) -> None:
        world.meet()
        world.clock.advance(1_000 * HOUR_MS)
        world.run()
        world.budi.send(ANA, Text("halo"))
        world.run(1)
        world.clock.advance(-1_000 * HOUR_MS)
        assert len(receipts(world.run()[world.budi])) == 1

    def test_a_damaged_row_of_what_was_sent_costs_receipts_alone(self, world: World) -> None:
        world.meet()
        world.budi.send(ANA, Text("first"))
        world.run()
        assert receipts(world.later()[world.budi])
        with store_of(world.phone).transaction() as tx:
            tx.put(Table.RECEIPTS, b"", b"", b"\x01\xff")
        world.budi.send(ANA, Text("halo"))
        assert shown(world.run()[world.phone]) == ["halo"]
        assert not receipts(world.later()[world.budi])

    def test_what_is_due_to_who_shows_none_any_more_is_forgotten(self, world: World) -> None:
        world.meet()
        with store_of(world.phone).transaction() as tx:
            users, due_at_ms = (TOKO.user_id, BUDI.user_id), world.clock() + 5_000
            note_due(tx, [DueReceipt(due_at_ms, user, bytes(16), 1) for user in users])
        world.phone.maintain()
        with store_of(world.phone).transaction() as tx:
            assert len(list_due(tx)) == 2  # not yet
        world.clock.advance(5_001)
        world.phone.maintain()
        with store_of(world.phone).transaction() as tx:
            assert list_due(tx) == []
        assert receipts(world.run()[world.budi]) == [Receipt(Receipt.DELIVERED, (bytes(16),))]

    def test_a_time_of_a_clock_that_was_wrong_is_not_waited_for(self, world: World) -> None:
        world.meet()
        with store_of(world.phone).transaction() as tx:
            note_due(tx, [DueReceipt(world.clock() + HOUR_MS, BUDI.user_id, bytes(16), 1)])
        world.phone.maintain()
        assert len(receipts(world.run()[world.budi])) == 1

    @pytest.mark.parametrize("how", ["block", "unblock"])
    def test_who_is_accepted_no_more_does_not_get_what_is_due(self, world: World, how: str) -> None:
        world.meet()
        world.budi.send(ANA, Text("halo"))
        world.run()
        getattr(world.phone, how)(BUDI)
        assert not receipts(world.later()[world.budi])

    def test_blocking_takes_back_what_waits_for_the_back_end(self, world: World) -> None:
        world.meet()
        message_id = world.budi.send(ANA, Text("halo")).message_id
        world.run()
        with store_of(world.phone).transaction() as tx:
            put_control(tx, BUDI, bytes(16), Receipt(Receipt.READ, (message_id,)))
        world.phone.block(BUDI)
        assert not [each for each in waiting(world.phone) if each.backlog.recipient == BUDI]
        assert not receipts(world.later()[world.budi])

    def test_unblocking_a_stranger_forgets_no_request(self, world: World) -> None:
        world.budi.send(ANA, Text("halo"))
        world.phone.receive()
        world.phone.unblock(BUDI)
        assert world.phone.requests() == [BUDI.user_id]

    def test_a_message_costs_no_row_more_where_nothing_is_due(self) -> None:
        backend, spy = BackendSimulator(), SpyStore(MemoryStore())
        ana, budi = make_client(ANA, backend, spy), make_client(BUDI, backend)
        budi.send(ANA, Text("first"))
        ana.receive()
        ana.send(BUDI, Text("answer"))
        budi.receive()
        budi.send(ANA, Text("halo"))
        spy.forget()
        assert shown(ana.receive()) == ["halo"]
        assert not {Table.CONVERSATIONS, Table.RECEIPTS} & {*spy.writes}
        assert spy.reads[Table.CONVERSATIONS] == 1

    def test_what_is_due_is_not_counted_for_each_message(self) -> None:
        """Ten thousand of them would cost each message more than its commit does."""
        backend, clock, spy = BackendSimulator(), FakeClock(), SpyStore(MemoryStore())
        ana = make_client(ANA, backend, spy, clock=clock, policy=policy())
        budi = make_client(BUDI, backend, clock=clock, policy=policy())
        budi.send(ANA, Text("first"))
        ana.receive()
        ana.send(BUDI, Text("answer"))
        spy.forget()
        for number in range(5):
            budi.send(ANA, Text(f"{number}"))
            ana.receive()
        with spy.transaction() as tx:
            assert len(list_due(tx)) == 5
        counts = [each for each in spy.operations if each[:2] == ("count", Table.RECEIPTS)]
        assert len(counts) <= 1

    @pytest.mark.parametrize("by", ["one process", "a process of before"])
    def test_no_more_than_some_thousands_are_due(
        self, world: World, by: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(due_rows, "_MAX_DUE", 3)
        world.meet()
        for number in range(5):
            if by == "a process of before":
                world.phone = reopen(world.phone, world.backend)
                world.everybody = (world.phone, world.laptop, world.budi)
            world.budi.send(ANA, Text(f"{number}"))
            world.run(1)
        with store_of(world.phone).transaction() as tx:
            assert len(list_due(tx)) == 3
        world.later()
        world.budi.send(ANA, Text("there is room again"))
        world.run(1)
        with store_of(world.phone).transaction() as tx:
            assert len(list_due(tx)) == 1


class TestCrashes:
    def test_rows_move_with_the_receipt_or_not_at_all(self) -> None:
        """The commit that puts it into the outbox fails: it goes with the next one, once."""
        backend, clock, spy = BackendSimulator(), FakeClock(), SpyStore(MemoryStore())
        ana = make_client(ANA, backend, spy, clock=clock, policy=policy())
        budi = make_client(BUDI, backend, clock=clock, policy=policy())
        budi.send(ANA, Text("first"))
        ana.receive()
        ana.send(BUDI, Text("answer"))
        read(budi)
        budi.send(ANA, Text("halo"))
        ana.receive()
        clock.advance(SOON_MS)
        context = ana.device._context
        before = dump(spy.inner)
        spy.fail_commit = True
        with pytest.raises(StoreError):
            put_receipts(context)
        spy.fail_commit = False
        assert dump(spy.inner) == before
        put_receipts(context)
        with spy.transaction() as tx:
            assert list_due(tx) == []
        assert [type(each.control) for each in waiting(ana)] == [Receipt]
        again = reopen(ana, backend)
        again.receive()
        assert len(receipts(budi.receive())) == 1


class TestTyping:
    def test_it_is_told_and_is_not_in_the_inbox(self, world: World) -> None:
        world.meet()
        rows = count_rows(store_of(world.phone), Table.SENT)
        world.budi.typing(ANA, True)
        items = world.phone.receive()
        assert items == [Notice(NoticeKind.TYPING, BUDI.user_id, (1,), code="on")]
        assert items[0].receipt is None
        world.phone.confirm(items)
        assert world.phone.receive() == []
        assert count_rows(store_of(world.phone), Table.SENT) == rows
        assert waiting(world.budi) == []
        # The laptop knows from a copy that the user has answered.
        assert kinds(world.laptop.receive()) == [*copied(NoticeKind.TYPING)]

    def test_it_is_shown_at_once(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.meet()
        world.budi.typing(ANA, True)
        waiting = Client(world.phone.device, world.backend, wait_ms=25_000)
        fetch = world.backend.fetch

        def without_waiting(*args: Any, wait_ms: int = 0, **options: Any) -> object:  # noqa: ANN401
            assert not wait_ms
            return fetch(*args, **options)

        monkeypatch.setattr(world.backend, "fetch", without_waiting)
        assert waiting.receive() == [Notice(NoticeKind.TYPING, BUDI.user_id, (1,), code="on")]

    def test_the_last_word_counts_and_a_message_ends_it(self, world: World) -> None:
        world.meet()
        world.budi.typing("whatsapp:ana", True)
        world.clock.advance(3_000)
        world.budi.typing(ANA.user_id, False)
        (notice,) = world.phone.receive()
        assert isinstance(notice, Notice)
        assert notice.code == "off"
        world.clock.advance(3_000)
        world.budi.typing(ANA, True)
        world.budi.send(ANA, Text("halo"))
        assert read(world.phone) == ["halo"]

    def test_it_goes_once_in_three_seconds(self, world: World) -> None:
        world.meet()
        before = len(world.backend.deposits)
        for _ in range(3):
            world.budi.typing(ANA, True)
        assert len(world.backend.deposits) == before + 2  # for two devices
        world.clock.advance(2_999)
        world.budi.typing(ANA, False)
        assert len(world.backend.deposits) == before + 2
        world.clock.advance(1)
        world.budi.typing(ANA, False)
        assert len(world.backend.deposits) == before + 4

    def test_what_waited_is_over(self, world: World) -> None:
        world.meet()
        world.budi.typing(ANA, True)
        world.clock.advance(60_001)
        assert kinds(world.phone.receive()) == []

    def test_strangers_are_neither_told_nor_heard(self, world: World) -> None:
        world.budi.send(ANA, Text("first"))
        world.run()
        before = len(world.backend.deposits)
        world.phone.typing(BUDI, True)
        assert len(world.backend.deposits) == before
        world.budi.typing(ANA, True)
        assert kinds(world.phone.receive()) == []

    def test_who_is_not_to_be_told_is_not(self, world: World) -> None:
        world.meet()
        world.phone.accept(BUDI, typing=False)
        before = len(world.backend.deposits)
        world.phone.typing(BUDI, True)
        assert len(world.backend.deposits) == before

    def test_without_the_capability_it_goes_nowhere(self) -> None:
        backend = BackendSimulator()
        ana, budi = make_client(ANA, backend), make_client(BUDI, backend, policy=policy())
        ana.send(BUDI, Text("first"))
        budi.receive()
        budi.send(ANA, Text("answer"))
        ana.receive()
        before = len(backend.deposits)
        ana.typing(BUDI, True)
        budi.typing(ANA, True)
        assert len(backend.deposits) == before
        envelope = craft(budi.device, ANA, Typing(on=True))
        backend.inject(ANA, envelope.encode())
        assert kinds(ana.receive()) == []

    @pytest.mark.parametrize("when", ["deposit", "epoch"])
    def test_out_of_reach_it_is_lost(self, world: World, when: str) -> None:
        world.meet()
        budi = reopen(world.budi, world.backend)
        if when == "deposit":
            budi.receive()
        world.backend.unreachable = True
        budi.typing(ANA, True)
        world.backend.unreachable = False
        budi.receive()
        assert kinds(world.phone.receive()) == []

    def test_a_device_without_a_session_is_left_out(self, world: World) -> None:
        world.meet()
        forget_sessions(world.budi)
        before = len(world.backend.deposits)
        world.budi.typing(ANA, True)
        assert len(world.backend.deposits) == before

    def test_who_was_moved_elsewhere_hears_of_it(self, world: World) -> None:
        world.meet()
        world.backend.fail("deposit", NotRegistered("moved"))
        with pytest.raises(NotRegistered):
            world.budi.typing(ANA, True)
        again = reopen(world.budi, world.backend)
        world.backend.fail("epochs", NotRegistered("moved"))
        with pytest.raises(NotRegistered):
            again.typing(ANA, True)

    def test_typing_of_who_is_blocked_meanwhile_is_forgotten(self, world: World) -> None:
        world.meet()
        live, sender = world.phone.device._context.live, world.budi.device.address
        live.typing[sender, None] = Notice(NoticeKind.TYPING, BUDI.user_id, (1,), code="on")
        world.phone.block(BUDI)
        assert kinds(world.phone.receive()) == []

    def test_arguments_are_checked(self, world: World) -> None:
        with pytest.raises(InvalidArgument, match="on"):
            world.phone.typing(BUDI, 1)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="to"):
            world.phone.typing(5, True)  # type: ignore[arg-type]


class TestWhatAnAppSees:
    def test_it_is_what_was_in_the_frame_with_its_reference(self, world: World) -> None:
        world.meet()
        content = framed(Text("halo"), expiry=Expiry(60))
        message_id = world.inject(content)
        (message,) = (i for i in world.run()[world.phone] if isinstance(i, Message))
        assert message.content == Text("halo")
        assert message.expiry == Expiry(60)
        assert not message.forwardable
        ref = ref_of(BUDI, ANA.user_id, message_id, world.clock(), content)
        assert message.ref == ref
        assert message.ref is not None
        assert message.ref.expiry == Expiry(60)

    def test_what_was_not_announced_is_unsupported(self) -> None:
        backend = BackendSimulator()
        ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
        budi.send(ANA, Text("first"))
        ana.receive()
        content = framed(Media(ATTACHMENT), view_once=True, fallback="[photo]")
        backend.inject(ANA, craft(budi.device, ANA, content).encode())
        (message,) = ana.receive()
        assert isinstance(message, Message)
        assert isinstance(message.content, UnsupportedContent)
        assert message.content.frame is not None
        assert message.content.frame.fallback == "[photo]"
        assert message.view_once
        assert message.ref is not None
        assert message.framed is None

    def test_what_is_malformed_is_a_failure_and_nothing_else(self, world: World) -> None:
        world.meet()
        broken = object.__new__(UnsupportedContent)
        object.__setattr__(broken, "kind", 3)
        object.__setattr__(broken, "body", b"\xff")
        world.inject(broken)
        (item,) = (i for i in world.phone.receive() if not isinstance(i, Notice))
        assert isinstance(item, FailedMessage)
        assert item.error.code == "decode_error"
        assert not receipts(world.later()[world.budi])

    def test_what_came_after_its_end_has_no_content(self, world: World) -> None:
        world.meet()
        in_time = world.clock() - 60_000 - HOUR_MS
        world.inject(framed(Text("halo"), expiry=Expiry(60)), sent_at_ms=in_time)
        world.inject(framed(Text("late"), expiry=Expiry(60)), sent_at_ms=in_time - 1)
        world.inject(
            framed(Text("from read"), expiry=Expiry(60, from_read=True)), sent_at_ms=in_time - 1
        )
        found = [i for i in world.phone.receive() if isinstance(i, Message)]
        assert [(i.content, i.expired) for i in found] == [
            (Text("halo"), False),
            (None, True),
            (Text("from read"), False),
        ]
        assert found[1].ref is None
        kept = b"".join(dump(store_of(world.phone)).values())
        assert b"halo" in kept
        assert b"late" not in kept

    @pytest.mark.parametrize("how", ["maintain", "restart"])
    def test_what_is_not_confirmed_is_erased_when_it_is_over(self, world: World, how: str) -> None:
        world.meet()
        world.inject(framed(Text("secret"), expiry=Expiry(60)))
        (message,) = world.phone.receive()
        store = store_of(world.phone)
        assert any(b"secret" in record for record in dump(store).values())
        world.clock.advance(60_000 + HOUR_MS + 1)
        if how == "maintain":
            world.phone.maintain()
        again = reopen(world.phone, world.backend)
        found = [i for i in again.receive() if isinstance(i, Message)]
        assert [(i.content, i.expired, i.redelivered) for i in found] == [(None, True, True)]
        assert not any(b"secret" in record for record in dump(store).values())
        again.confirm([message])
        assert not [k for k in dump(store) if k[0] is Table.INBOX and k[1] == b"expires"]

    def test_a_damaged_item_or_mark_hides_nothing(self, world: World) -> None:
        world.meet()
        world.inject(framed(Text("secret"), expiry=Expiry(60)))
        world.inject(framed(Text("other"), expiry=Expiry(60)))
        world.phone.receive()
        with store_of(world.phone).transaction() as tx:
            (row, _), *_ = tx.list(Table.INBOX, b"expires")
            tx.put(Table.INBOX, b"", row[8:], b"\x01\xff")
        world.clock.advance(60_000 + HOUR_MS + 1)
        again = reopen(world.phone, world.backend)
        assert [i.expired for i in again.receive() if isinstance(i, Message)] == [True]

    def test_what_may_stay_longer_is_not_erased(self, world: World) -> None:
        world.meet()
        world.inject(framed(Text("short"), expiry=Expiry(60)))
        world.inject(framed(Text("long"), expiry=Expiry(36_000)))
        world.inject(framed(Text("once"), view_once=True))
        items = world.phone.receive()
        world.clock.advance(60_000 + HOUR_MS + 1)
        world.phone.maintain()
        again = reopen(world.phone, world.backend)
        found = [i for i in again.receive() if isinstance(i, Message)]
        assert [i.content for i in found] == [None, Text("long"), Text("once")]
        again.confirm(items)
        left = {k[1] for k in dump(store_of(world.phone)) if k[0] is Table.INBOX}
        assert not left & {b"expires", b"once"}

    def test_a_confirmed_message_leaves_no_mark(self, world: World) -> None:
        world.meet()
        world.inject(framed(Text("secret"), expiry=Expiry(60), view_once=True))
        items = world.phone.receive()
        assert {k[1] for k in dump(store_of(world.phone)) if k[0] is Table.INBOX} >= {
            b"expires",
            b"once",
        }
        world.phone.confirm(items)
        left = {k[1] for k in dump(store_of(world.phone)) if k[0] is Table.INBOX}
        assert not left & {b"expires", b"once"}


class TestViewOnce:
    def test_opened_is_told_and_erases_it_elsewhere(self, world: World) -> None:
        world.meet()
        sent = world.budi.send(ANA, Text("once"), view_once=True)
        (here,) = world.phone.receive()
        (there,) = world.laptop.receive()
        assert isinstance(here, Message)
        assert isinstance(there, Message)
        assert here.view_once
        world.phone.mark_read([here])
        assert waiting(world.phone) == []
        world.phone.opened(here)
        assert not any(r == b"once" for r in dump(store_of(world.phone)).values())
        notices = [i for i in world.laptop.receive() if isinstance(i, Notice)]
        assert [(i.kind, i.messages) for i in notices] == [
            (NoticeKind.READ_ELSEWHERE, (sent.message_id,))
        ]
        (item,) = (
            i for i in reopen(world.laptop, world.backend).receive() if isinstance(i, Message)
        )
        assert (item.content, item.expired) == (None, True)
        found = world.later()
        what = {one.what for one in receipts(found[world.budi])}
        assert Receipt.READ in what

    def test_what_was_opened_before_it_came_to_another_device_has_no_content_there(
        self, world: World
    ) -> None:
        """Its copy was damaged on the way, say, and is sent again."""
        world.meet()
        laptop = world.laptop.device.address
        once = world.budi.send(ANA, Text("once"), view_once=True).message_id
        plain = world.budi.send(ANA, Text("plain")).message_id
        late = world.backend.mailbox(laptop)[-2:]
        for _ in late:
            world.backend.drop(laptop, -1)
        here = [item for item in world.phone.receive() if isinstance(item, Message)]
        for _ in range(2):
            world.phone.opened(here[0])
            world.phone.mark_read(here[1:])
            items = world.laptop.receive()
            assert {each for i in items if isinstance(i, Notice) for each in i.messages} == {
                once,
                plain,
            }
        for data in late:
            world.backend.inject(laptop, data)
        found = [item for item in world.laptop.receive() if isinstance(item, Message)]
        assert [(i.message_id, i.content, i.expired) for i in found] == [
            (once, None, True),
            (plain, Text("plain"), False),
        ]

    def test_an_own_copy_comes_without_what_it_said(self) -> None:
        world = World(copies_from=1)
        world.meet()
        sent = world.phone.send(BUDI, Text("once"), view_once=True)
        (copy,) = (i for i in world.laptop.receive() if isinstance(i, Message))
        assert copy.own_copy
        assert copy.content is None
        assert copy.view_once
        assert copy.ref == sent.ref
        with pytest.raises(InvalidArgument, match="message"):
            world.laptop.opened(copy)
        with pytest.raises(InvalidArgument, match="message"):
            world.laptop.opened("copy")  # type: ignore[arg-type]
        again = [i for i in reopen(world.laptop, world.backend).receive() if isinstance(i, Message)]
        assert [i.ref for i in again] == [sent.ref]

    def test_history_leaves_it_out(self, world: World) -> None:
        world.meet()
        world.inject(framed(Text("once"), view_once=True))
        world.inject(framed(Text("kept"), expiry=Expiry(3_600)))
        items = [i for i in world.phone.receive() if isinstance(i, Message)]
        tablet = link(world.phone, world.backend)
        world.phone.share_history(3, items)
        found = [i for i in tablet.receive() if isinstance(i, Message)]
        assert [(i.content, i.historical, i.ref) for i in found] == [
            (Text("kept"), True, items[1].ref)
        ]
        assert encode_content(items[1].framed or Text(""))[0] == 3
