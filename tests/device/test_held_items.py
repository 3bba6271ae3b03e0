# SPDX-License-Identifier: Apache-2.0
"""Items and envelopes of a store with stripes: what is rare, and what is damaged."""

from dataclasses import replace

import pytest

from e2ecross import (
    Device,
    Envelope,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    RetryRequest,
    Text,
)
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.device.arriving import Arrived, decode_arrived, stripe_of_arrived
from e2ecross.device.conversations import block
from e2ecross.device.held_collecting import HeldIntake, Taken
from e2ecross.device.held_items import by_stripe, confirm_in_stripe, find_free, hold_in_stripe
from e2ecross.errors import AuthenticationFailed, InvalidArgument, RecordCorrupted
from e2ecross.state.accounts import NOTHING_KNOWN, find_account, put_account
from e2ecross.state.inbox import ARRIVED, put_notice, receipt_of
from e2ecross.state.inbox_holds import HOLD_MS, hash_envelope, is_held, list_arrived
from e2ecross.state.outbox import Backlog, BacklogName, list_backlog
from e2ecross.state.queue import number_row
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.inbox_records import InboxHold
from e2ecross.wire.signal_message import VERSIONS, decode_signal_message
from tests.support.accounts import craft, hold_list, sign_devices
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    dump,
    introduce,
    make_device,
    new_bundle,
)

STRIPE = 19
"""Of BUDI."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ana(clock: FakeClock) -> Device:
    return make_device(ANA, MemoryStore(64), clock=clock)


@pytest.fixture
def budi(ana: Device, clock: FakeClock) -> Device:
    budi = make_device(BUDI, MemoryStore(0), clock=clock)
    introduce(budi, ana, kyber=True)
    return budi


def arrive(ana: Device, budi: Device, number: int, text: str = "halo") -> Arrived:
    return decode_arrived(ana._context, number, craft(budi, ANA, Text(text)).encode())


def intake(ana: Device, room: int = 100) -> HeldIntake:
    return HeldIntake(ana._context, Acknowledging(), STRIPE, room)


def texts(taken: Taken) -> list[str]:
    return [
        item.content.text
        for item in taken.items
        if isinstance(item, Message) and isinstance(item.content, Text)
    ]


def test_each_envelope_has_its_stripe(ana: Device, budi: Device) -> None:
    context = ana._context
    arrived = arrive(ana, budi, 1)
    assert stripe_of_arrived(context, 1, arrived.sender) == STRIPE
    assert (arrived.sender, arrived.kind) == (BUDI, MessageKind.SIGNAL)
    assert stripe_of_arrived(context, 1, ANA) == 0
    stripes = [stripe_of_arrived(context, number, None) for number in range(1, 200)]
    assert set(stripes) == set(range(1, 65))
    assert decode_arrived(context, 7, b"?")[2:] == (None, None, None)
    assert stripe_of_arrived(budi._context, 7, None) == 0
    assert stripe_of_arrived(budi._context, 7, ANA) == 0


def test_damaged_sessions_are_repaired_where_a_first_message_comes(
    ana: Device, budi: Device
) -> None:
    budi.start_session(new_bundle(ana, kyber=True))
    with ana._context.store.transaction() as whole:
        tx = whole.at(STRIPE)
        for partition, row, _ in list(tx.scan(Table.SESSIONS)):
            tx.put(Table.SESSIONS, partition, row, b"\x01\xff")
    arrived = arrive(ana, budi, 1)
    assert intake(ana).take_in([arrived]).done == 0
    assert texts(intake(ana).take_in_alone(arrived)) == ["halo"]


def test_a_failure_is_not_kept_of_what_another_worker_has_taken_in(
    ana: Device, budi: Device
) -> None:
    arrived, error = arrive(ana, budi, 1), AuthenticationFailed("?")
    intake(ana).take_in([arrived])
    before = dump(ana._context.store)
    taken = intake(ana).keep_failure(arrived, error)
    assert (taken.items, taken.left, taken.settled) == ([], 1, {})
    assert dump(ana._context.store) == before


def test_what_another_worker_has_is_left_to_it_with_all_later_ones_of_its_sender(
    ana: Device, budi: Device, clock: FakeClock
) -> None:
    """Also where it is looked at alone; and once nobody has it any more it is handed over."""
    arrived = [arrive(ana, budi, number, f"{number}") for number in range(1, 5)]
    assert texts(intake(ana).take_in(arrived[:1])) == ["1"]
    taken = intake(ana).take_in(arrived)
    assert (taken.done, taken.items, taken.settled) == (4, [], {})
    assert (taken.left, taken.busy) == (4, {BUDI.user_id})
    before = dump(ana._context.store)
    alone = intake(ana).take_in_alone(arrived[0])
    assert (alone.done, alone.items, alone.left) == (1, [], 1)
    busy = replace(intake(ana), busy={BUDI.user_id})
    for left, count in ((busy.take_in(arrived[1:]), 3), (busy.take_in_alone(arrived[1]), 1)):
        assert (left.done, left.left) == (count, count)
        assert (left.items, left.busy) == ([], {BUDI.user_id})
    assert dump(ana._context.store) == before
    clock.advance(HOLD_MS)
    assert texts(intake(ana).take_in(arrived)) == ["1", "2", "3", "4"]


def test_one_that_goes_alone_is_gone_through_and_who_is_busy_stays_so(
    ana: Device, budi: Device
) -> None:
    error = AuthenticationFailed("?")
    with_busy = replace(intake(ana), busy={TOKO.user_id})
    alone = with_busy.take_in_alone(arrive(ana, budi, 1))
    failed = with_busy.keep_failure(arrive(ana, budi, 2), error)
    assert [(each.done, each.busy) for each in (alone, failed)] == [(1, {TOKO.user_id})] * 2
    assert [len(each.items) for each in (alone, failed)] == [1, 1]


def test_what_was_handed_over_here_is_shown_once_more_and_not_left(
    ana: Device, budi: Device
) -> None:
    arrived = arrive(ana, budi, 1)
    (item,) = intake(ana).take_in([arrived]).items
    number = receipt_of(item).number
    again = replace(intake(ana), handed={number}).take_in([arrived])
    assert (again.items, again.shown, again.left, again.busy) == ([], [number], 0, set())


@pytest.mark.parametrize("room", [1, 2, 3])
def test_what_else_a_message_makes_the_app_hear_comes_with_it_if_there_is_room(
    ana: Device, budi: Device, room: int, clock: FakeClock
) -> None:
    held = sign_devices(budi)
    hold_list(ana, held)
    with ana._context.store.transaction(STRIPE) as tx:
        put_notice(ana._context, tx, Notice(NoticeKind.DEVICE_LINKED, BUDI.user_id))
    assert len(find_free(ana._context, Acknowledging(), STRIPE, 10).items) == 1  # another's now
    hosted = sign_devices(budi, after=held, hosting=2)
    budi.start_session(new_bundle(ana, kyber=True))  # a first message carries the list
    envelope = craft(budi, ANA, Text("halo"), device_list=hosted.encode())
    taken = intake(ana, room).take_in([decode_arrived(ana._context, 1, envelope.encode())])
    items = [Message, Notice][:room]
    assert sorted(type(item).__name__ for item in taken.items) == [i.__name__ for i in items]
    left = find_free(ana._context, Acknowledging(), STRIPE, 10).items
    assert [type(item) for item in left] == ([] if room > 1 else [Notice])
    clock.advance(HOLD_MS - 1)
    assert find_free(ana._context, Acknowledging(), STRIPE, 10).items == []
    clock.advance(1)
    assert len(find_free(ana._context, Acknowledging(), STRIPE, 10).items) == 3


def test_a_failure_of_who_was_blocked_is_settled_at_once(ana: Device, budi: Device) -> None:
    block(ana._context, BUDI.user_id)
    taken = intake(ana).keep_failure(arrive(ana, budi, 1), AuthenticationFailed("?"))
    assert (taken.items, list(taken.settled)) == ([], [1])
    again = intake(ana).take_in([arrive(ana, budi, 2)])
    assert (again.items, list(again.settled)) == ([], [2])


def test_what_was_confirmed_and_comes_again_is_settled(ana: Device, budi: Device) -> None:
    arrived = arrive(ana, budi, 1)
    (item,) = intake(ana).take_in([arrived]).items
    confirm_in_stripe(ana._context, Acknowledging(), STRIPE, [item], ())
    taken = intake(ana).take_in([arrived])
    assert (taken.done, taken.items, taken.left) == (1, [], 0)
    assert taken.settled == {1: hash_envelope(arrived.data)}


def test_what_a_failure_makes_wait_in_the_outbox_is_no_item(ana: Device, budi: Device) -> None:
    arrived = arrive(ana, budi, 1)
    taken = intake(ana).keep_failure(arrived, AuthenticationFailed("?"))
    (item,) = taken.items
    assert isinstance(item, FailedMessage)
    assert item.retrying
    with ana._context.store.transaction(STRIPE) as tx:
        (waiting,) = list_backlog(tx, Backlog(BacklogName.REQUESTS, BUDI))
    envelope = Envelope.decode(arrived.data)
    message = decode_signal_message(envelope.ciphertext, VERSIONS)
    told = (envelope.message_id, message.ratchet_key, message.counter, "authentication_failed")
    assert waiting.control == RetryRequest(*told)


def test_hosting_counts_as_seen_when_the_last_notice_of_it_is_confirmed(
    ana: Device, budi: Device
) -> None:
    context = ana._context
    with context.store.transaction(STRIPE) as tx:
        for _ in range(2):
            put_notice(context, tx, Notice(NoticeKind.HOSTING_CHANGED, BUDI.user_id))
        put_account(tx, BUDI.user_id, replace(NOTHING_KNOWN, hosting_unseen=True))
    found = find_free(context, Acknowledging(), STRIPE, 10)
    assert [item.redelivered for item in found.items] == [False, False]
    for item, unseen in zip(found.items, (True, False), strict=True):
        confirm_in_stripe(context, Acknowledging(), STRIPE, [item], [7])
        with context.store.transaction(STRIPE) as tx:
            record = find_account(tx, BUDI.user_id)
        assert record is not None
        assert record.hosting_unseen is unseen


def test_rows_of_envelopes_that_are_damaged_are_told_from_the_others(ana: Device) -> None:
    with ana._context.store.transaction(STRIPE) as tx:
        tx.put(Table.INBOX, ARRIVED, b"?", b"no number")
        tx.put(Table.INBOX, ARRIVED, number_row(7), b"\x01\xff")
        assert list(list_arrived(tx, 10)) == [(7, None)]

    class Unreadable:
        def list(self, *_: object, **__: object) -> list[tuple[bytes, bytes]]:
            raise RecordCorrupted("a sealed store does not open one")

    assert list(list_arrived(Unreadable(), 10)) == []  # type: ignore[arg-type]


def test_a_look_of_no_room_finds_nothing_and_tells_of_no_envelope_with_an_item(
    ana: Device, budi: Device, clock: FakeClock
) -> None:
    context = ana._context
    intake(ana).take_in([arrive(ana, budi, 1), arrive(ana, budi, 2)])
    clock.advance(HOLD_MS)
    for room, count in ((1, 1), (1, 0), (5, 0)):
        found = find_free(context, Acknowledging(), STRIPE, room)
        assert (len(found.items), found.unheard, found.damaged) == (count, {}, {})
    clock.advance(HOLD_MS)
    assert len(find_free(context, Acknowledging(), STRIPE, 5).items) == 2


def test_a_time_that_no_worker_may_write_is_over() -> None:
    assert not is_held(InboxHold(0, 1), 5)
    assert not is_held(InboxHold(5, 1), 5)
    assert is_held(InboxHold(6, 1), 5)
    assert is_held(InboxHold(5 + 2 * HOLD_MS, 1), 5)
    assert not is_held(InboxHold(6 + 2 * HOLD_MS, 1), 5)


def test_what_is_confirmed_or_damaged_is_not_held(
    ana: Device, budi: Device, clock: FakeClock
) -> None:
    context = ana._context
    taken = intake(ana).take_in([arrive(ana, budi, 1), arrive(ana, budi, 2)])
    one, two = taken.items
    confirm_in_stripe(context, Acknowledging(), STRIPE, [one], [1])
    with context.store.transaction(STRIPE) as tx:
        for row, _ in tx.list(Table.INBOX, b""):
            tx.put(Table.INBOX, b"", row, b"\x01\xff")
    before = dump(context.store)
    hold_in_stripe(context, STRIPE, [one, two])
    assert dump(context.store) == before
    assert list(by_stripe(context, [two, one])) == [STRIPE]
    with pytest.raises(InvalidArgument):
        by_stripe(budi._context, [one])


def test_what_is_taken_in_for_nobody_is_with_whoever_receives_next(
    ana: Device, budi: Device
) -> None:
    one, two = arrive(ana, budi, 1), arrive(ana, budi, 2)
    (first,) = intake(ana).take_in([one]).items
    for_nobody = replace(intake(ana), for_nobody=True)
    taken = for_nobody.take_in([one, two])
    assert (taken.done, len(taken.items), taken.left) == (2, 1, 0)
    failed = for_nobody.keep_failure(arrive(ana, budi, 3), AuthenticationFailed("?"))
    assert len(failed.items) == 1
    with ana._context.store.transaction(STRIPE) as tx:
        put_notice(ana._context, tx, Notice(NoticeKind.HOSTING_CHANGED, BUDI.user_id))
    for_nobody.take_in([arrive(ana, budi, 4)])
    confirm_in_stripe(ana._context, Acknowledging(), STRIPE, [first], [1])
    found = find_free(ana._context, Acknowledging(), STRIPE, 10).items
    assert [type(item) for item in found] == [Message, FailedMessage, Notice, Message]
    assert not any(item.redelivered for item in found)
