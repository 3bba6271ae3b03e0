# SPDX-License-Identifier: Apache-2.0
"""Many workers of one device: messages with a time, of own devices, receipts, requests."""

import os
from dataclasses import replace
from unittest.mock import patch

import pytest

from e2ecross import Client, Expiry, Message, Notice, NoticeKind, Policy, Text
from e2ecross.address import Address
from e2ecross.device.collecting import erase_what_is_over
from e2ecross.device.controls import _take_history, _take_pin
from e2ecross.device.holder import Holder
from e2ecross.device.pace import Pace
from e2ecross.state.accounts import find_account
from e2ecross.state.inbox_erasure import EXPIRES, ONCE
from e2ecross.state.trust import find_identity
from e2ecross.stores import Table
from e2ecross.wire.content import (
    DeviceListPush,
    Framed,
    History,
    HistoryItem,
    Pin,
    ReadMark,
    ReadMarks,
    Typing,
    encode_content,
)
from tests.client.conversation import read, shown
from tests.client.fleet import HOLD_MS, Fleet
from tests.support.accounts import craft, own_account, put_own, sign_devices
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
    make_device,
)
from tests.support.linked import held, link
from tests.support.store_kinds import plain_store

MINUTE_MS = 60_000
POLICY = Policy(capabilities=frozenset({10, 19, 20, 32, 33}))
SOON = Framed(Text("soon gone"), bytes(range(32)), Expiry(60))
ONCE_ONLY = Framed(Text("look once"), bytes(range(32)), view_once=True)


@pytest.fixture
def fleet() -> Fleet:
    clock = FakeClock()
    fleet = Fleet(BackendSimulator(clock=clock), clock, policy=POLICY)
    fleet.say(BUDI, "halo")
    assert read(fleet.worker()) == ["halo"]
    return fleet


def inject(fleet: Fleet, *contents: object, sender: Address = BUDI) -> None:
    device = fleet.customer(sender).device
    for content in contents:
        envelope = craft(device, ANA, content)  # type: ignore[arg-type]
        fleet.backend.inject(ANA, envelope.encode())


def partitions(fleet: Fleet) -> set[bytes]:
    return {place[1] for place in dump(fleet.store) if place[0] is Table.INBOX}


# --- What is to be gone -------------------------------------------------------------------------


def test_marks_go_with_what_is_confirmed(fleet: Fleet) -> None:
    one = fleet.worker()
    inject(fleet, SOON, ONCE_ONLY)
    items = one.receive()
    assert shown(items) == ["soon gone", "look once"]
    assert {EXPIRES, ONCE} <= partitions(fleet)
    one.confirm(items)
    assert fleet.rows() == 0


@pytest.mark.parametrize("maintains", [False, True])
def test_what_is_over_is_erased_in_its_stripe_and_stays_with_whom_it_was(
    fleet: Fleet, maintains: bool
) -> None:
    one = fleet.worker()
    inject(fleet, SOON)
    one.receive()
    fleet.clock.advance(61 * MINUTE_MS + 1)
    two = fleet.worker()
    if maintains:
        erase_what_is_over(two.device._context)
        assert b"soon gone" not in b"".join(dump(fleet.store).values())
    (message,) = two.receive()
    assert isinstance(message, Message)
    assert (message.expired, message.redelivered, message.content) == (True, True, None)
    assert b"soon gone" not in b"".join(dump(fleet.store).values())
    two.confirm([message])
    assert (fleet.rows(), fleet.waiting()) == (0, 0)


def test_what_was_opened_is_erased_in_its_stripe(fleet: Fleet) -> None:
    one = fleet.worker()
    inject(fleet, ONCE_ONLY)
    (message,) = one.receive()
    assert isinstance(message, Message)
    one.opened(message)
    fleet.clock.advance(HOLD_MS)
    (again,) = fleet.worker().receive()
    assert isinstance(again, Message)
    assert (again.expired, again.content) == (True, None)


def test_who_is_typing_is_told_at_once_and_not_kept(fleet: Fleet) -> None:
    one = fleet.worker()
    one.accept(BUDI)
    inject(fleet, Typing(on=True))
    (notice,) = one.receive()
    assert isinstance(notice, Notice)
    assert (notice.kind, notice.receipt) == (NoticeKind.TYPING, None)
    one.confirm([notice])
    one.hold([notice])
    assert fleet.waiting() == 0


# --- Identities ---------------------------------------------------------------------------------


def test_a_notice_of_a_message_comes_with_it_and_before_it_is_looked_for() -> None:
    clock = FakeClock()
    policy = Policy(accept_changed_identity=True)
    fleet = Fleet(BackendSimulator(clock=clock), clock, policy=policy)
    one = fleet.worker()
    fleet.say(BUDI, "a")
    assert read(one) == ["a"]
    anew = Client(make_device(BUDI, seed="other", clock=clock), fleet.backend)
    fleet.backend.forget(BUDI)
    anew.register()
    anew.send(ANA, Text("new phone"))
    items = one.receive()
    assert shown(items) == ["*identity_changed", "new phone"]
    one.confirm(items)
    assert fleet.rows() == 0
    other = Client(make_device(BUDI, seed="third", clock=clock), fleet.backend)
    fleet.backend.forget(BUDI)
    other.register()
    other.send(ANA, Text("newer phone"))
    assert shown(one.receive(limit=1)) == ["newer phone"]  # there was room for no more
    clock.advance(36_001)
    assert shown(one.receive()) == ["*identity_changed"]


# --- Own devices --------------------------------------------------------------------------------


@pytest.fixture
def laptop(fleet: Fleet) -> Client:
    """Another device of the fleet's account, which has a store of its own."""
    one = fleet.worker()
    laptop = link(one, fleet.backend, store=plain_store())
    assert read(one) == ["*device_linked"]
    return laptop


def tell(fleet: Fleet, laptop: Client, *contents: object) -> None:
    laptop.send(BUDI, Text("a copy"))  # a session with the fleet's device
    for content in contents:
        envelope = craft(laptop.device, ANA, content)  # type: ignore[arg-type]
        fleet.backend.inject(ANA, envelope.encode())


def test_a_copy_of_an_own_device_is_in_stripe_0_and_accepts_its_recipient(
    fleet: Fleet, laptop: Client
) -> None:
    one = fleet.worker()
    assert one.requests() == [BUDI.user_id]
    tell(fleet, laptop)
    (copy,) = one.receive()
    assert isinstance(copy, Message)
    assert (copy.own_copy, copy.peer) == (True, BUDI.user_id)
    assert copy.receipt is not None
    assert copy.receipt.number >> 40 == 0
    assert one.requests() == []
    one.confirm([copy])
    assert (fleet.rows(), fleet.waiting()) == (0, 0)


def test_what_was_read_on_another_device_is_erased_in_the_stripe_of_its_sender(
    fleet: Fleet, laptop: Client
) -> None:
    one = fleet.worker()
    inject(fleet, ONCE_ONLY)
    (message,) = one.receive()
    assert isinstance(message, Message)
    marks = tuple(ReadMark(BUDI, each) for each in sorted((message.message_id, MESSAGE_ID)))
    tell(fleet, laptop, ReadMarks(marks))
    assert shown(one.receive()) == ["a copy", "*read_elsewhere"]
    fleet.clock.advance(HOLD_MS)
    erased = [each for each in one.receive() if isinstance(each, Message) and each.expired]
    assert [each.message_id for each in erased] == [message.message_id]
    device = fleet.customer(BUDI).device
    late = craft(device, ANA, ONCE_ONLY, message_id=MESSAGE_ID)
    fleet.backend.inject(ANA, late.encode())
    (message,) = one.receive()
    assert isinstance(message, Message)
    assert message.expired  # it was read before it came here


def test_history_is_told_from_what_has_come_in_other_stripes(fleet: Fleet, laptop: Client) -> None:
    one = fleet.worker()
    inject(fleet, Text("known"))
    (known,) = one.receive()
    assert isinstance(known, Message)
    own = own_account(one.device)
    put_own(one.device, replace(own, linked_at_ms=fleet.clock()))
    items = tuple(
        HistoryItem(BUDI, BUDI.user_id, each, fleet.clock(), *encode_content(Text("known")))
        for each in (known.message_id, MESSAGE_ID)
    )
    context = one.device._context
    with fleet.store.transaction() as tx:
        _take_history(context, tx, History(items), fleet.clock())
    fleet.clock.advance(36_001)
    historical = [each for each in one.receive() if isinstance(each, Message) and each.historical]
    assert [each.message_id for each in historical] == [MESSAGE_ID]


def test_pins_and_lists_of_others_are_taken_into_their_stripes(
    fleet: Fleet, laptop: Client
) -> None:
    """From device 1 alone; here the fleet is device 1, so what is taken in is told directly."""
    one = fleet.worker()
    toko = make_client(TOKO, fleet.backend, clock=fleet.clock)
    key = toko.device._context.identity_key_pair.public
    context = one.device._context
    with fleet.store.transaction() as tx:
        _take_pin(context, tx, Pin(TOKO.user_id, key, True), fleet.clock())
        view = tx.at(context.stripe_of(TOKO.user_id))
        known = find_identity(view, Address(TOKO.app, TOKO.user, 1))
        assert known is not None
        assert (known.identity_key, known.verified) == (key, True)
        assert find_identity(tx.at(0), Address(TOKO.app, TOKO.user, 1)) is None
    signed = held(toko)
    tell(fleet, laptop, DeviceListPush((signed.encode(),)))
    one.receive()
    with fleet.store.transaction() as tx:
        record = find_account(tx.at(context.stripe_of(TOKO.user_id)), TOKO.user_id)
        assert record is not None
        assert record.held == signed


def test_a_list_of_the_own_account_that_a_contact_pushes_is_taken_in_by_itself(
    fleet: Fleet, laptop: Client
) -> None:
    one = fleet.worker()
    mine = held(one)
    newer = sign_devices(one.device, laptop.device, after=mine)
    for data in (mine.encode(), newer.encode()):
        inject(fleet, DeviceListPush((data,)))
    inject(fleet, DeviceListPush((b"?" * 10,)))
    assert one.receive() == []
    kinds = []
    fleet.clock.advance(36_001)
    kinds = shown(one.receive())
    assert kinds == ["*foreign_list"]
    assert one.device._context.live.own_lists == {}


def test_only_so_many_pushed_lists_wait(fleet: Fleet) -> None:
    live = fleet.worker().device._context.live
    for number in range(9):
        live.note_own_list(bytes([number]))
    assert len(live.own_lists) == 4


# --- Who a client is ----------------------------------------------------------------------------


def test_each_client_is_another_holder_also_after_a_fork(fleet: Fleet) -> None:
    context = fleet.worker().device._context
    holder, other = Holder(context), Holder(context)
    name = holder.present().holder
    assert len(name) == 16
    assert holder.present() == (60_000, name)
    assert other.present().holder != name
    assert [each.holder for each in holder.all()] == [name]
    with patch("os.getpid", return_value=os.getpid() + 1):
        assert holder.present().holder != name


def test_what_is_held_under_earlier_names_is_prolonged_for_as_long_as_it_lasts(
    fleet: Fleet,
) -> None:
    holder = Holder(fleet.worker().device._context)
    names = [holder.present().holder]
    holder.leave()
    fleet.clock.advance(HOLD_MS - 1)
    names.insert(0, holder.present().holder)
    assert [each.holder for each in holder.all()] == names
    fleet.clock.advance(HOLD_MS - 1)
    assert [each.holder for each in holder.all()] == names
    fleet.clock.advance(HOLD_MS)
    assert [each.holder for each in holder.all()] == names[:1]
    for _ in range(40):
        holder.leave()
    assert len(holder.all()) == 17


def test_the_pace_is_30_seconds_a_fifth_more_or_less(fleet: Fleet) -> None:
    context, pace = fleet.worker().device._context, Pace()
    assert pace.is_due(context)
    waits = set()
    for _ in range(200):
        pace.note(context)
        assert not pace.is_due(context)
        start = fleet.clock()
        fleet.clock.advance(24_000 - 1)
        assert not pace.is_due(context)
        while not pace.is_due(context):
            fleet.clock.advance(500)
        waits.add((fleet.clock() - start) // 1_000)
    assert min(waits) == 24
    assert max(waits) in (35, 36)
    fleet.clock.advance(-60_000)
    assert pace.is_due(context)  # the clock was put back
    pace.note(context)
    pace.forget()
    assert pace.is_due(context)
