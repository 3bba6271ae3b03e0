# SPDX-License-Identifier: Apache-2.0
"""Messages in the inbox that are to be gone at a time, or were looked at on another device."""

import pytest

from e2ecross import Device, Expiry, Message, Policy, Text
from e2ecross.device.arriving import decode_arrived
from e2ecross.device.collecting import erase_what_is_over, take_in, take_in_all
from e2ecross.device.health import StoreHealth, read_health
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.self_sync import mark_opened
from e2ecross.state.inbox import erase_in_inbox, put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.sent import keep_copies
from e2ecross.stores import Table
from e2ecross.wire.content import Framed
from tests.support.accounts import craft, device_of, link_devices, receive
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    FakeClock,
    dump,
    introduce,
    make_device,
)
from tests.support.inboxes import confirm_all, walk_items

POLICY = Policy(capabilities=frozenset({10, 32, 33}))
MINUTE_MS = 60_000
SOON = Framed(Text("soon gone"), bytes(range(32)), Expiry(60))
ONCE = Framed(Text("look once"), bytes(range(32)), view_once=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ana(clock: FakeClock) -> Device:
    return make_device(ANA, clock=clock, policy=POLICY)


@pytest.fixture
def budi(ana: Device, clock: FakeClock) -> Device:
    device = make_device(BUDI, clock=clock)
    introduce(device, ana)
    return device


def shown(device: Device) -> list[Message]:
    context = device._context
    with context.store.transaction() as tx:
        return [item for _, item in walk_items(context, tx) if isinstance(item, Message)]


def test_what_is_over_before_it_was_handed_over_comes_without_content(
    ana: Device, budi: Device, clock: FakeClock
) -> None:
    take_in(ana._context, 1, craft(budi, ANA, SOON).encode())
    erase_what_is_over(ana._context)
    assert [each.content for each in shown(ana)] == [Text("soon gone")]
    clock.advance(61 * MINUTE_MS)  # an hour is given to clocks that differ
    erase_what_is_over(ana._context)
    (message,) = shown(ana)
    assert (message.content, message.expired) == (None, True)
    assert b"soon gone" not in b"".join(dump(ana._context.store).values())


def test_an_envelope_that_was_taken_in_is_not_read_again(ana: Device, budi: Device) -> None:
    context, data = ana._context, craft(budi, ANA, Text("halo")).encode()
    take_in(context, 1, data)
    before = dump(context.store)
    take_in(context, 1, data)
    assert dump(context.store) == before
    if not context.store.stripes:  # else it is handed over again, when nobody has it
        assert take_in_all(context, Leftovers(), [decode_arrived(context, 1, data)]) == 1
        assert dump(context.store) == before


def test_what_was_opened_is_erased_in_the_inbox_and_once_only(ana: Device, budi: Device) -> None:
    context = ana._context
    (message,) = receive(ana, craft(budi, ANA, ONCE))
    assert isinstance(message, Message)
    mark_opened(context, message)
    (erased,) = shown(ana)
    assert (erased.content, erased.expired) == (None, True)
    confirm_all(context, [erased])
    before = dump(context.store)
    mark_opened(context, message)  # the app has confirmed it before it says so
    assert dump(context.store) == before


def test_nothing_else_is_erased(ana: Device) -> None:
    context = ana._context
    with context.store.transaction() as tx:
        put_notice(context, tx, Notice(NoticeKind.LIST_FORK, BUDI.user_id))
    before = dump(context.store)
    with context.store.transaction() as tx:
        for number in (0, 1, 2, 7):
            erase_in_inbox(context, tx, number)
    assert dump(context.store) == before


def health(device: Device) -> StoreHealth:
    with device._context.store.transaction() as tx:
        return read_health(tx, POLICY, NOW_MS)


def test_erased_before_it_was_handed_over_it_is_not_flagged_as_redelivered(
    ana: Device, budi: Device, clock: FakeClock
) -> None:
    take_in(ana._context, 1, craft(budi, ANA, SOON).encode())
    clock.advance(61 * MINUTE_MS)
    erase_what_is_over(ana._context)
    (message,) = shown(ana)
    assert (message.expired, message.redelivered) == (True, False)


def test_what_is_over_is_not_handed_over_though_nobody_has_erased_it_yet(
    ana: Device, budi: Device, clock: FakeClock
) -> None:
    """More than one call erases, or what another process has left in the inbox."""
    context = ana._context
    (before,) = receive(ana, craft(budi, ANA, SOON))
    assert isinstance(before, Message)
    clock.advance(61 * MINUTE_MS)
    assert [each.expired for each in shown(ana)] == [False]  # to the very end
    clock.advance(1)
    stored = dump(context.store)
    (message,) = shown(ana)
    if not context.store.stripes:  # else it is held for longer
        assert dump(context.store) == stored
    assert b"soon gone" in b"".join(dump(context.store).values())
    assert (message.content, message.framed, message.ref) == (None, None, None)
    assert (message.expired, message.expiry) == (True, None)


def test_what_begins_with_being_read_is_over_on_the_authors_devices_without_that(
    clock: FakeClock,
) -> None:
    phone, laptop = make_device(ANA, clock=clock), make_device(device_of(ANA, 2), clock=clock)
    budi = make_device(BUDI, clock=clock)
    introduce(budi, laptop)
    link_devices(phone, laptop)
    later = Framed(Text("soon gone"), bytes(range(32)), Expiry(60, from_read=True))
    receive(laptop, craft(phone, laptop.address, later, peer=BUDI.user_id))
    receive(laptop, craft(budi, laptop.address, later))
    clock.advance(61 * MINUTE_MS + 1)
    found = sorted(shown(laptop), key=lambda each: not each.own_copy)
    assert [(each.own_copy, each.expired) for each in found] == [
        (True, True),
        (False, False),
    ]
    erase_what_is_over(laptop._context)
    assert b"".join(dump(laptop._context.store).values()).count(b"soon gone") == 1


def test_of_what_is_over_and_confirmed_no_mark_is_left(
    ana: Device, budi: Device, clock: FakeClock
) -> None:
    context = ana._context
    both = Framed(Text("soon gone"), bytes(range(32)), Expiry(60), view_once=True)
    receive(ana, craft(budi, ANA, both), craft(budi, ANA, both))
    clock.advance(61 * MINUTE_MS + 1)
    first, _ = shown(ana)
    confirm_all(context, [first])  # before anybody has erased it
    erase_what_is_over(context)
    confirm_all(context, shown(ana))
    erase_what_is_over(context)
    assert not {where[1] for where in dump(context.store) if where[0] is Table.INBOX} & {
        b"expires",
        b"once",
    }


def test_when_what_was_sent_is_to_be_gone_is_checked_by_the_doctor() -> None:
    ana = make_device(ANA)
    introduce(ana, make_device(BUDI))
    with ana._context.store.transaction() as tx:
        ids = (MESSAGE_ID, MESSAGE_ID)
        keep_copies(tx, POLICY, BUDI.user_id, *ids, SOON, [BUDI], NOW_MS, NOW_MS)
    (sent,) = (each for each in health(ana).tables if each.table is Table.SENT)
    assert (sent.records > 2, sent.damaged) == (True, 0)


def test_what_is_noted_of_them_is_checked_by_the_doctor(ana: Device, budi: Device) -> None:
    for content in (SOON, ONCE):
        receive(ana, craft(budi, ANA, content))
    (inbox,) = (each for each in health(ana).tables if each.table is Table.INBOX)
    assert inbox.damaged == 0
    with ana._context.store.transaction() as tx:
        marks = [each for each in tx.scan(Table.INBOX) if each[0] in (b"expires", b"once")]
        for partition, row, record in marks:
            tx.put(Table.INBOX, partition, row, record + b"\xff")
    (inbox,) = (each for each in health(ana).tables if each.table is Table.INBOX)
    assert inbox.damaged == len(marks) == 2
