# SPDX-License-Identifier: Apache-2.0
"""What changes the list of the own account, at device 1; and that nothing else does."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import pytest

from e2ecross import Device, NoticeKind, Policy
from e2ecross.device.device_lists import take_list
from e2ecross.device.foreign_lists import note_conflict
from e2ecross.device.own_list import (
    add_device,
    ensure_own_list,
    finish_restore,
    number_for_device,
    remove_overdue,
    renew_if_due,
    request_capabilities,
    request_unlink,
    require_other_device,
    restore_devices,
    unlink_device,
)
from e2ecross.device.own_upkeep import is_own_list_expired
from e2ecross.errors import (
    DevicesConflict,
    E2ECrossError,
    InvalidArgument,
    InvalidSignature,
    LinkFailed,
    NotPrimary,
    NotRegistered,
)
from e2ecross.protocol.device_list import Verdict, hash_list, judge, verify_list
from e2ecross.state.accounts import put_own_account
from e2ecross.state.context import Context
from e2ecross.state.epoch import read_epoch
from e2ecross.stores import Store, Transaction
from e2ecross.wire.account_records import DeviceName, NewDevice, OwnAccountRecord
from e2ecross.wire.capabilities import announced_by, decode_capabilities
from e2ecross.wire.device_list import MAX_SEQ, SignedDeviceList
from tests.support.accounts import account, change_account, device_of, hold_list, own_account
from tests.support.around import AroundStore
from tests.support.device_lists import Household
from tests.support.devices import ANA, DAY_MS, FakeClock, dump, make_device
from tests.support.linked import Candidate, candidate, notices_of
from tests.support.store_kinds import STRIPES

OWN = ANA.user_id
LAPTOP = device_of(ANA, 2)
WEEK_MS = 7 * DAY_MS
UNSET_MS = 1_672_531_200_000 - 1
"""The last moment of 2022, before there was any list."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def phone(clock: FakeClock) -> Device:
    """Device 1, which has its first list."""
    phone = make_device(ANA, clock=clock)
    ensure_own_list(phone._context)
    return phone


@pytest.fixture
def home(phone: Device) -> Household:
    return Household(OWN, primary=phone._context.identity_key_pair)


def held(device: Device) -> SignedDeviceList:
    signed = account(device, OWN).held
    assert signed is not None
    return signed


def numbers(device: Device) -> list[int]:
    return [each.device for each in held(device).list.devices]


def add(phone: Device, number: int | None = None, *, seed: str = "") -> Candidate:
    new = candidate(phone, number, seed=seed)
    add_device(phone._context, new.entry, "laptop", new.token_hash)
    return new


def add_unnamed(phone: Device) -> SignedDeviceList:
    """A list with one device more, number 5, of which no name is known: it was adopted."""
    home = Household(OWN, primary=phone._context.identity_key_pair)
    before = held(phone)
    devices = (*before.list.devices, home.entry(5))
    return home.sign_anew(before, seq=before.list.seq + 1, devices=devices)


def set_own(device: Device, **changes: object) -> None:
    own = replace(own_account(device), **changes)  # type: ignore[arg-type]
    with device._context.store.transaction() as tx:
        put_own_account(tx, own)


def epoch_of(device: Device) -> int:
    with device._context.store.transaction() as tx:
        return read_epoch(tx)


def within(device: Device, act: Callable[[Transaction], object]) -> None:
    """Do something in the transaction of another operation."""
    with device._context.store.transaction() as tx:
        act(tx)


def refuse(device: Device, act: Callable[[], object], error: type[E2ECrossError]) -> str:
    before = dump(device._context.store)
    with pytest.raises(error) as caught:
        act()
    assert dump(device._context.store) == before
    return str(caught.value)


def change_nothing(device: Device, act: Callable[[], object]) -> None:
    before = dump(device._context.store)
    act()
    assert dump(device._context.store) == before


# --- The first list, and renewals -----------------------------------------------------------


def test_device_1_makes_the_first_list_once(phone: Device) -> None:
    assert held(phone).list.seq == 1
    assert numbers(phone) == [1]
    assert not own_account(phone).published
    assert notices_of(phone) == []
    change_nothing(phone, lambda: ensure_own_list(phone._context))


def test_another_device_makes_none() -> None:
    laptop = make_device(LAPTOP)
    change_nothing(laptop, lambda: ensure_own_list(laptop._context))
    change_nothing(laptop, lambda: renew_if_due(laptop._context))


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_nobody_makes_a_first_list_before_a_decision(what: str) -> None:
    phone = make_device(ANA)
    set_own(phone, **{what: True})
    change_nothing(phone, lambda: ensure_own_list(phone._context))
    change_nothing(phone, lambda: renew_if_due(phone._context))


def test_an_account_of_which_something_else_is_known_gets_its_first_list() -> None:
    phone = make_device(ANA)
    change_account(phone, OWN, written=True)
    change_nothing(phone, lambda: renew_if_due(phone._context))
    ensure_own_list(phone._context)
    assert held(phone).list.seq == 1
    assert account(phone, OWN).written


@pytest.mark.parametrize(
    ("age_ms", "is_due"),
    [
        (0, False),
        (WEEK_MS - 1, False),
        (WEEK_MS, True),
        (400 * DAY_MS, True),
        (-1, False),
        (-DAY_MS, False),
        (-DAY_MS - 1, True),
    ],
)
def test_a_list_is_renewed_when_it_is_old(
    phone: Device, clock: FakeClock, age_ms: int, is_due: bool
) -> None:
    """Also one that a clock that was wrong has dated after now: it ages from when others got it."""
    before = held(phone)
    set_own(phone, published=True)
    clock.advance(age_ms)
    if not is_due:
        change_nothing(phone, lambda: renew_if_due(phone._context))
        return
    renew_if_due(phone._context)
    after = held(phone)
    assert after.list.devices == before.list.devices
    assert after.list.previous == hash_list(before)
    assert after.list.signed_at_ms == clock()
    assert not own_account(phone).published
    change_nothing(phone, lambda: renew_if_due(phone._context))


@pytest.mark.parametrize("now_ms", [0, 2 * DAY_MS, UNSET_MS])
def test_a_clock_that_is_not_set_signs_only_what_cannot_wait(
    phone: Device, clock: FakeClock, now_ms: int
) -> None:
    """A phone that has booted in 1970; contacts would take a list of then as expired."""
    context = phone._context
    add(phone, 2)
    clock.advance(2 * DAY_MS)
    before, right_ms = held(phone), clock()
    clock.now_ms = now_ms
    change_nothing(phone, lambda: renew_if_due(context))
    change_nothing(phone, lambda: remove_overdue(context, [2]))
    change_nothing(
        phone, lambda: within(phone, lambda tx: request_capabilities(context, tx, 2, b"new"))
    )
    add(phone, 3)
    unlink_device(context, 2)
    assert numbers(phone) == [1, 3]
    set_own(phone, must_reset=True)
    restore_devices(context, [3])
    assert held(phone).list.signed_at_ms == before.list.signed_at_ms
    clock.now_ms = right_ms
    assert not is_own_list_expired(context)
    change_nothing(phone, lambda: renew_if_due(context))


def test_a_first_list_is_signed_by_any_clock_and_renewed_when_it_is_set(clock: FakeClock) -> None:
    right_ms, clock.now_ms = clock(), 5
    phone = make_device(ANA, clock=clock)
    ensure_own_list(phone._context)
    assert held(phone).list.signed_at_ms == 5
    clock.now_ms = right_ms
    renew_if_due(phone._context)
    assert (held(phone).list.seq, held(phone).list.signed_at_ms) == (2, clock())


def test_the_earliest_time_that_can_be_dates_lists(phone: Device, clock: FakeClock) -> None:
    clock.now_ms = UNSET_MS + 1
    renew_if_due(phone._context)
    assert held(phone).list.signed_at_ms == clock()


def test_the_policy_says_what_is_old(clock: FakeClock) -> None:
    policy = Policy(device_list_renew_ms=30 * DAY_MS)
    phone = make_device(ANA, clock=clock, policy=policy)
    ensure_own_list(phone._context)
    clock.advance(30 * DAY_MS - 1)
    change_nothing(phone, lambda: renew_if_due(phone._context))
    clock.advance(1)
    renew_if_due(phone._context)
    assert held(phone).list.seq == 2


def test_a_list_is_renewed_when_the_app_shows_more_or_less(phone: Device) -> None:
    add(phone)
    set_own(phone, published=True)
    for chosen in (frozenset({10, 15, 32}), frozenset[int]()):
        before = held(phone)
        context = replace(phone._context, policy=Policy(capabilities=chosen))
        renew_if_due(context)
        after = held(phone)
        assert after.list.devices[0].capabilities == announced_by(chosen, groups=not STRIPES)
        assert after.list.devices[1:] == before.list.devices[1:]
        assert after.list.previous == hash_list(before)
        assert not own_account(phone).published
        change_nothing(phone, functools.partial(renew_if_due, context))
    for what in ("must_reset", "conflict"):
        set_own(phone, **{what: True})
        change_nothing(phone, lambda: renew_if_due(phone._context))
        set_own(phone, **{what: False})


def test_a_reset_says_what_the_app_shows_now(phone: Device) -> None:
    add(phone)
    set_own(phone, must_reset=True)
    context = replace(phone._context, policy=Policy(capabilities=frozenset({10, 20})))
    restore_devices(context, [2])
    first, second = held(phone).list.devices
    groups = set() if STRIPES else {35}
    assert decode_capabilities(first.capabilities) == {10, 20} | groups
    assert second.device == 2


class Crowd(AroundStore):
    """A store in which another process is faster: it acts between two transactions of one call."""

    def __init__(self, inner: Store, act: Callable[[], None]) -> None:
        super().__init__(inner)
        self._act, self._begun = act, 0

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        self._begun += 1
        if self._begun == 2:
            self._act()
        return super().transaction(stripe, moved=moved)


@pytest.mark.parametrize("call", [ensure_own_list, renew_if_due])
def test_of_two_processes_one_signs(call: Callable[[Context], None], clock: FakeClock) -> None:
    phone = make_device(ANA, clock=clock)
    if call is renew_if_due:
        ensure_own_list(phone._context)
        clock.advance(WEEK_MS)
    crowd = Crowd(phone._context.store, lambda: call(phone._context))
    call(replace(phone._context, store=crowd))
    assert held(phone).list.seq == (2 if call is renew_if_due else 1)


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_nothing_is_renewed_before_a_decision(phone: Device, clock: FakeClock, what: str) -> None:
    set_own(phone, **{what: True})
    clock.advance(WEEK_MS)
    change_nothing(phone, lambda: renew_if_due(phone._context))


# --- Linking --------------------------------------------------------------------------------


def test_a_device_that_has_consented_is_added(phone: Device, clock: FakeClock) -> None:
    first, clock.now_ms = held(phone), clock.now_ms + 5
    new = candidate(phone)
    signed = add_device(phone._context, new.entry, "Ana's laptop", new.token_hash)
    verify_list(signed)
    assert signed == held(phone)
    assert signed.list.devices == (*first.list.devices, new.entry)
    assert signed.list.previous == hash_list(first)
    own = own_account(phone)
    assert own.new_devices == (NewDevice(2, new.token_hash, clock()),)
    assert own.names == (DeviceName(2, "Ana's laptop", clock()),)
    assert own.next_device == 3
    assert not own.published
    assert notices_of(phone) == [(NoticeKind.DEVICE_LINKED, (2,))]


def test_adding_again_signs_nothing(phone: Device) -> None:
    new = add(phone)
    before = held(phone)

    def again() -> None:
        same = add_device(phone._context, new.entry, "laptop", new.token_hash)
        assert same == before

    change_nothing(phone, again)
    within(phone, lambda tx: request_capabilities(phone._context, tx, 2, b"new"))
    add_device(phone._context, new.entry, "laptop", new.token_hash)
    assert held(phone).list.seq == before.list.seq + 1


def test_numbers_are_given_in_order_and_then_the_lowest_free_one(phone: Device) -> None:
    given = []
    for _ in range(126 + 3):
        number = number_for_device(phone._context)
        given.append(number)
        add(phone, number, seed=str(len(given)))
        if number not in (2, 4):
            unlink_device(phone._context, number)
    assert given == [*range(2, 128), 3, 3, 3]
    add(phone, 3, seed="stays")
    assert number_for_device(phone._context) == 5
    unlink_device(phone._context, 2)
    assert number_for_device(phone._context) == 2


def test_a_number_may_be_given_out_of_order(phone: Device) -> None:
    add(phone, 9)
    assert number_for_device(phone._context) == 10
    add(phone, 3)
    assert numbers(phone) == [1, 3, 9]
    assert number_for_device(phone._context) == 10


def test_a_number_or_key_that_was_taken_meanwhile_ends_the_attempt(phone: Device) -> None:
    late = candidate(phone, 2)
    winner = add(phone, 2, seed="winner")
    for entry in (late.entry, replace(winner.entry, device=3)):
        home = Household(OWN, primary=phone._context.identity_key_pair)
        pair = winner.device._context.identity_key_pair
        if entry.device == 3:
            home.move_in(3, pair)
            entry = home.entry(3)
        message = refuse(
            phone, partial(add_device, phone._context, entry, "x", bytes(32)), LinkFailed
        )
        assert f"device {entry.device}," in message


def test_nobody_is_added_without_consent(phone: Device, home: Household) -> None:
    entry = home.entry(2)
    for bad in (
        replace(entry, device=3),
        replace(entry, identity_key=home.pair(3).public),
        replace(entry, device_signature=bytes(64)),
        Household(OWN).entry(2),
        Household(device_of(ANA, 1).user_id, "x", phone._context.identity_key_pair).entry(1),
    ):
        refuse(
            phone,
            partial(add_device, phone._context, bad, "x", bytes(32)),
            InvalidSignature,
        )


@pytest.mark.parametrize("most", [1, 3, 16])
def test_the_policy_says_how_many_devices_there_are(clock: FakeClock, most: int) -> None:
    phone = make_device(ANA, clock=clock, policy=Policy(max_devices=most))
    ensure_own_list(phone._context)
    for _ in range(most - 1):
        add(phone)
    assert len(numbers(phone)) == most
    home = Household(OWN, primary=phone._context.identity_key_pair)
    one_more = home.entry(100)
    for act in (
        lambda: number_for_device(phone._context),
        lambda: add_device(phone._context, one_more, "x", bytes(32)),
    ):
        message = refuse(phone, act, InvalidArgument)
        assert f"{most} devices" in message
        assert "max_devices" in message


# --- Unlinking ------------------------------------------------------------------------------


def test_a_device_is_taken_out(phone: Device) -> None:
    add(phone)
    add(phone)
    before = held(phone)
    set_own(phone, published=True)
    require_other_device(phone._context, 2)
    unlink_device(phone._context, 2)
    assert numbers(phone) == [1, 3]
    assert held(phone).list.previous == hash_list(before)
    own = own_account(phone)
    assert [each.device for each in own.names] == [3]
    assert [each.device for each in own.new_devices] == [3]
    assert not own.published
    assert notices_of(phone)[-1] == (NoticeKind.DEVICE_UNLINKED, (2,))


@pytest.mark.parametrize("device", [1, 3, 127])
def test_only_another_device_of_the_account_is_taken_out(phone: Device, device: int) -> None:
    add(phone)
    for act in (require_other_device, unlink_device):
        refuse(phone, partial(act, phone._context, device), InvalidArgument)


@pytest.mark.parametrize("device", [0, 128, -1, True, 2.0, "2", None])
def test_a_number_of_no_device_is_refused(phone: Device, device: int) -> None:
    add(phone)
    message = refuse(phone, lambda: require_other_device(phone._context, device), InvalidArgument)
    assert "device" in message
    assert "1 to 127" in message


def test_what_a_removed_device_had_goes(phone: Device) -> None:
    """Its identity and all that waits for it; a device that gets the number is another one."""
    kept = set(dump(phone._context.store))
    first = add(phone)
    unlink_device(phone._context, 2)
    new = set(dump(phone._context.store)) - kept
    assert not [where for where in new if LAPTOP.user.encode() + b"\0\x02" in where[1]]
    again = add(phone, 2, seed="another")
    assert held(phone).list.devices[1].identity_key == again.entry.identity_key
    assert again.entry.identity_key != first.entry.identity_key


def test_a_device_that_asks_for_it_is_taken_out(phone: Device) -> None:
    add(phone)
    add(phone)
    epoch = epoch_of(phone)
    within(phone, lambda tx: request_unlink(phone._context, tx, 3))
    assert numbers(phone) == [1, 2]
    assert epoch_of(phone) == epoch + 1


def test_what_a_device_understands_is_noted(phone: Device) -> None:
    add(phone)
    before = held(phone)

    def ask(data: bytes) -> None:
        within(phone, lambda tx: request_capabilities(phone._context, tx, 2, data))

    ask(b"\x01\x02")
    after = held(phone)
    assert after.list.devices[1] == replace(before.list.devices[1], capabilities=b"\x01\x02")
    assert after.list.devices[0] == before.list.devices[0]
    assert after.list.previous == hash_list(before)
    verify_list(after)
    assert not own_account(phone).published
    change_nothing(phone, lambda: ask(b"\x01\x02"))
    ask(before.list.devices[1].capabilities)
    assert held(phone).list.devices[1] == before.list.devices[1]


def test_a_device_changes_what_it_understands_four_times_a_day(
    phone: Device, clock: FakeClock
) -> None:
    context = phone._context
    add(phone)
    hold_list(phone, add_unnamed(phone))

    def ask(device: int, data: bytes) -> None:
        within(phone, lambda tx: request_capabilities(context, tx, device, data))

    clock.advance(5)
    for n in range(4):
        clock.advance(1)
        ask(2, bytes((n,)))
    names = {each.device: each for each in own_account(phone).names}
    assert (names[2].name, names[2].changes, names[2].changing_since_ms) == (
        *("laptop", 4),
        clock() - 3,
    )
    change_nothing(phone, lambda: ask(2, b"one more"))
    ask(5, b"others may")
    names = {each.device: each for each in own_account(phone).names}
    assert (names[5].name, names[5].changes) == ("", 1)
    clock.advance(DAY_MS - 4)
    change_nothing(phone, lambda: ask(2, b"one more"))
    clock.advance(1)
    ask(2, b"one more")
    assert held(phone).list.devices[1].capabilities == b"one more"
    assert [(each.device, each.changes) for each in own_account(phone).names] == [(2, 1), (5, 1)]
    clock.advance(-DAY_MS)  # it was wrong
    for n in range(4):
        ask(2, bytes((n,)))
    change_nothing(phone, lambda: ask(2, b"one more"))


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_requests_change_nothing_before_a_decision(phone: Device, what: str) -> None:
    add(phone)
    set_own(phone, **{what: True})
    context = phone._context
    change_nothing(phone, lambda: within(phone, lambda tx: request_unlink(context, tx, 2)))
    change_nothing(
        phone, lambda: within(phone, lambda tx: request_capabilities(context, tx, 2, b"x"))
    )


def test_requests_change_nothing_when_no_list_can_follow(phone: Device, home: Household) -> None:
    """Who receives the request has a message to receive, whatever becomes of it."""
    context = phone._context
    hold_list(phone, home.sign(MAX_SEQ, previous=bytes(32), devices=(1, 2)))
    change_nothing(phone, lambda: within(phone, lambda tx: request_unlink(context, tx, 2)))
    change_nothing(
        phone, lambda: within(phone, lambda tx: request_capabilities(context, tx, 2, b"x"))
    )


# --- Devices that were left halfway ---------------------------------------------------------


def test_a_device_without_keys_goes_after_a_day(phone: Device, clock: FakeClock) -> None:
    context = phone._context
    add(phone)
    clock.advance(DAY_MS // 2)
    add(phone)
    clock.advance(DAY_MS // 2 - 1)
    change_nothing(phone, lambda: remove_overdue(context, {2, 3}))
    clock.advance(1)
    change_nothing(phone, lambda: remove_overdue(context, {3}))
    change_nothing(phone, lambda: remove_overdue(context, ()))
    remove_overdue(context, {2, 3})
    assert numbers(phone) == [1, 3]
    clock.advance(DAY_MS)
    add(phone)
    remove_overdue(context, {3, 4})
    assert numbers(phone) == [1, 4]


def test_a_device_that_has_keys_stays(phone: Device, clock: FakeClock) -> None:
    add(phone)
    set_own(phone, new_devices=())
    clock.advance(2 * DAY_MS)
    change_nothing(phone, lambda: remove_overdue(phone._context, {2}))


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_nobody_goes_before_a_decision(phone: Device, clock: FakeClock, what: str) -> None:
    add(phone)
    set_own(phone, **{what: True})
    clock.advance(DAY_MS)
    change_nothing(phone, lambda: remove_overdue(phone._context, {2}))


def test_nobody_goes_where_nothing_is_known() -> None:
    phone = make_device(ANA)
    change_nothing(phone, lambda: remove_overdue(phone._context, {2}))


# --- Somebody else who signs ----------------------------------------------------------------


def arrive(phone: Device, signed: SignedDeviceList) -> Verdict:
    """Let a verified list of the own account come from outside."""
    context = phone._context
    with context.store.transaction() as tx:
        return take_list(context, tx, OWN, signed, context.clock())


def test_a_list_that_this_device_has_not_signed_is_told_and_stops_all_signing(
    phone: Device, home: Household, clock: FakeClock
) -> None:
    add(phone)
    before = held(phone)
    foreign = home.sign(9, previous=bytes(32), devices=(1, 5))
    assert arrive(phone, foreign) is Verdict.CONFLICT
    assert held(phone) == before
    assert account(phone, OWN).rival == foreign
    assert own_account(phone).conflict
    assert notices_of(phone)[-1] == (NoticeKind.FOREIGN_LIST, ())
    for act in (
        lambda: number_for_device(phone._context),
        lambda: add_device(phone._context, home.entry(7), "x", bytes(32)),
        lambda: unlink_device(phone._context, 2),
        lambda: require_other_device(phone._context, 2),
    ):
        refuse(phone, act, DevicesConflict)


def test_it_is_told_once_and_the_highest_is_kept(phone: Device, home: Household) -> None:
    higher, lower = (home.sign(seq, previous=bytes(32)) for seq in (9, 5))
    arrive(phone, lower)
    arrive(phone, higher)
    assert account(phone, OWN).rival == higher
    change_nothing(phone, lambda: arrive(phone, lower))
    change_nothing(phone, lambda: arrive(phone, higher))
    assert notices_of(phone) == [(NoticeKind.FOREIGN_LIST, ())]


@pytest.mark.parametrize("hosting", [(2, ""), (1, "a vendor")])
@pytest.mark.parametrize("seqs", [(9, 5), (5, 9)])
def test_a_reset_says_no_less_of_hosting_than_any_list_that_came(
    phone: Device, home: Household, hosting: tuple[int, str], seqs: tuple[int, int]
) -> None:
    """A contact who has seen that one would refuse it for ever."""
    number, vendor = hosting
    seen = home.sign(seqs[0], previous=bytes(32), hosting=number, vendor=vendor)
    other = home.sign(seqs[1], previous=bytes(32))
    arrive(phone, seen)
    arrive(phone, other)
    change_nothing(phone, lambda: arrive(phone, seen))
    restore_devices(phone._context, ())
    assert (held(phone).list.hosting, held(phone).list.vendor) == hosting
    key = phone._context.identity_key_pair.public
    assert judge(held(phone), OWN, key, seen) is Verdict.RESET
    assert (own_account(phone).foreign_hosting, own_account(phone).foreign_vendor) == (0, "")
    add(phone)
    assert (held(phone).list.hosting, held(phone).list.vendor) == hosting


@pytest.mark.parametrize("seq", [2, 3, 4, 5, 9])
def test_so_does_one_after_a_restore(phone: Device, home: Household, seq: int) -> None:
    """Whatever is wrong with the list that came: older, a fork, a broken chain, or nothing."""
    for _ in range(3):
        add(phone)
    assert held(phone).list.seq == 4
    set_own(phone, must_reset=True)
    seen = home.sign(seq, previous=bytes(32), hosting=2)
    arrive(phone, seen)
    change_nothing(phone, lambda: arrive(phone, seen))
    restore_devices(phone._context, ())
    assert judge(held(phone), OWN, phone._context.identity_key_pair.public, seen) is Verdict.RESET


def test_an_older_list_that_says_more_of_hosting_is_a_conflict(
    phone: Device, home: Household
) -> None:
    """It cannot be one of our own: a contact who is behind takes it, and refuses the newest."""
    for _ in range(3):
        add(phone)
    assert arrive(phone, home.sign(2, previous=bytes(32))) is Verdict.OLDER
    seen = home.sign(2, previous=bytes(32), hosting=2)
    assert arrive(phone, seen) is Verdict.CONFLICT
    restore_devices(phone._context, ())
    assert judge(held(phone), OWN, phone._context.identity_key_pair.public, seen) is Verdict.RESET


def test_another_list_before_the_newest_is_a_conflict(phone: Device, home: Household) -> None:
    """A contact who has it refuses the newest, which does not continue it."""
    key, first = phone._context.identity_key_pair.public, held(phone)
    add(phone)
    second = held(phone)
    add(phone)
    assert [arrive(phone, own) for own in (first, second)] == [Verdict.OLDER] * 2
    seen = home.sign(2, previous=bytes(32))
    assert judge(held(phone), OWN, key, seen) is Verdict.BROKEN_CHAIN
    assert arrive(phone, seen) is Verdict.CONFLICT
    restore_devices(phone._context, (2, 3))
    assert judge(held(phone), OWN, key, seen) is Verdict.RESET


def test_after_a_restore_what_is_refused_is_left_behind_too(phone: Device, home: Household) -> None:
    """A contact may have nothing else: not for a list far above, nor for one taken in after it."""
    arrive(phone, home.sign(2, previous=held(phone), hosting=2))
    restore_devices(phone._context, ())
    set_own(phone, must_reset=True)
    far = home.sign(90_000, previous=bytes(32))  # says less than what is held
    assert arrive(phone, far) is Verdict.CONFLICT
    change_nothing(phone, lambda: finish_restore(phone._context))
    assert arrive(phone, home.sign(8_000, previous=bytes(32), hosting=2)) is Verdict.NEWER
    assert account(phone, OWN).rival == far
    restore_devices(phone._context, ())
    assert held(phone).list.seq == 91_000
    assert account(phone, OWN).rival is None


def test_what_a_fork_says_of_hosting_outlives_it(phone: Device, home: Household) -> None:
    set_own(phone, must_reset=True)
    seen = home.sign(1, hosting=2)
    assert arrive(phone, seen) is Verdict.FORK
    assert arrive(phone, home.sign(2, previous=held(phone))) is Verdict.NEWER
    restore_devices(phone._context, ())
    assert judge(held(phone), OWN, phone._context.identity_key_pair.public, seen) is Verdict.RESET


def test_a_conflict_is_noted_before_there_is_a_list(home: Household) -> None:
    fresh = make_device(ANA)
    foreign = home.sign(9, previous=bytes(32))
    within(fresh, lambda tx: note_conflict(fresh._context, tx, foreign))
    assert own_account(fresh).conflict
    assert account(fresh, OWN).rival == foreign
    change_nothing(fresh, lambda: ensure_own_list(fresh._context))
    restore_devices(fresh._context, ())
    assert (held(fresh).list.seq, numbers(fresh)) == (1_009, [1])


def test_what_is_signed_after_a_conflict_leaves_all_others_behind(
    phone: Device, home: Household
) -> None:
    add(phone)
    foreign = home.sign(50, previous=bytes(32), devices=(1, 5))
    arrive(phone, foreign)
    restore_devices(phone._context, [2])
    assert (held(phone).list.seq, held(phone).list.previous) == (1_050, b"")
    assert numbers(phone) == [1, 2]
    assert own_account(phone) == replace(own_account(phone), conflict=False, published=False)
    assert account(phone, OWN).rival is None
    change_nothing(phone, lambda: arrive(phone, foreign))
    unlink_device(phone._context, 2)
    assert held(phone).list.seq == 1_051


# --- After a restore ------------------------------------------------------------------------


def test_alone_a_restored_device_goes_on_at_once(phone: Device) -> None:
    set_own(phone, must_reset=True)
    finish_restore(phone._context)
    assert (held(phone).list.seq, held(phone).list.previous) == (1_001, b"")
    assert not own_account(phone).must_reset
    change_nothing(phone, lambda: finish_restore(phone._context))


def test_an_imported_one_begins_at_1000_where_nothing_was_seen() -> None:
    phone = make_device(ANA)
    change_nothing(phone, lambda: finish_restore(phone._context))
    set_own(phone, must_reset=True)
    finish_restore(phone._context)
    assert (held(phone).list.seq, numbers(phone)) == (1_000, [1])


def test_an_adopted_list_of_others_waits_for_the_user(home: Household) -> None:
    phone = make_device(ANA)
    set_own(phone, must_reset=True)
    adopted = home.sign(7, previous=bytes(32), devices=(1, 2, 3))
    assert arrive(phone, adopted) is Verdict.NEWER
    assert held(phone) == adopted
    assert notices_of(phone) == []
    change_nothing(phone, lambda: finish_restore(phone._context))
    for keep in ([4], [2, 4], [127]):
        message = refuse(phone, partial(restore_devices, phone._context, keep), InvalidArgument)
        assert str(max(keep)) in message
    restore_devices(phone._context, iter([1, 3, 3]))
    signed = held(phone)
    verify_list(signed)
    assert (signed.list.seq, signed.list.previous, numbers(phone)) == (1_007, b"", [1, 3])
    assert signed.list.devices[1] == adopted.list.devices[2]
    assert notices_of(phone) == [(NoticeKind.DEVICE_UNLINKED, (2,))]


def test_a_newer_list_is_adopted_as_long_as_nothing_was_signed(
    phone: Device, home: Household
) -> None:
    set_own(phone, must_reset=True)
    newer = home.sign(7, previous=bytes(32), devices=(1, 2))
    assert arrive(phone, newer) is Verdict.NEWER
    assert arrive(phone, home.sign(9, devices=(1, 2))) is Verdict.RESET
    assert arrive(phone, newer) is Verdict.OLDER
    assert arrive(phone, Household(OWN).sign(99)) is Verdict.OTHER_KEY
    assert (held(phone).list.seq, numbers(phone)) == (9, [1, 2])
    assert own_account(phone).must_reset


def test_two_lists_of_one_number_wait_for_the_user_unless_both_have_device_1_alone(
    phone: Device, home: Household
) -> None:
    set_own(phone, must_reset=True)
    rival = home.sign(1, devices=(1, 2))
    assert arrive(phone, rival) is Verdict.FORK
    change_nothing(phone, lambda: finish_restore(phone._context))
    refuse(phone, lambda: restore_devices(phone._context, [2]), InvalidArgument)
    change_account(phone, OWN, rival=home.sign(1, signed_at_ms=5))
    finish_restore(phone._context)
    assert held(phone).list.seq == 1_001


def test_a_conflict_from_before_the_restore_waits_for_the_user(
    phone: Device, home: Household
) -> None:
    arrive(phone, home.sign(9, previous=bytes(32)))
    set_own(phone, must_reset=True)
    change_nothing(phone, lambda: finish_restore(phone._context))
    restore_devices(phone._context, [])
    assert held(phone).list.seq == 1_009
    own = own_account(phone)
    assert (own.must_reset, own.conflict) == (False, False)


def test_where_nothing_is_to_be_decided_nothing_is_signed(phone: Device) -> None:
    add(phone)
    for keep in ([2], [1, 2]):
        change_nothing(phone, partial(restore_devices, phone._context, keep))
    for keep in ([], [1]):
        message = refuse(phone, partial(restore_devices, phone._context, keep), InvalidArgument)
        assert "unlink" in message


@pytest.mark.parametrize("keep", [None, 2, "2", [0], [128], [True], ["2"], [2.0], [[2]]])
def test_what_are_no_numbers_is_refused(phone: Device, keep: object) -> None:
    add(phone)
    set_own(phone, must_reset=True)
    message = refuse(
        phone,
        lambda: restore_devices(phone._context, keep),  # type: ignore[arg-type]
        InvalidArgument,
    )
    assert "keep" in message


# --- Other devices --------------------------------------------------------------------------


def test_another_device_changes_nothing(phone: Device, home: Household) -> None:
    new = add(phone)
    hold_list(new.device, held(phone))
    context = new.device._context
    for act in (
        lambda: number_for_device(context),
        lambda: require_other_device(context, 3),
        lambda: unlink_device(context, 2),
        lambda: restore_devices(context, ()),
    ):
        assert "device 1" in refuse(new.device, act, NotPrimary)
    set_own(new.device, new_devices=(NewDevice(3, bytes(32), 0),))
    change_nothing(new.device, lambda: remove_overdue(context, {3}))


def test_without_a_list_nothing_is_changed(home: Household) -> None:
    phone = make_device(ANA)
    for act in (
        lambda: number_for_device(phone._context),
        lambda: require_other_device(phone._context, 2),
        lambda: add_device(
            phone._context,
            Household(OWN, primary=phone._context.identity_key_pair).entry(2),
            "x",
            bytes(32),
        ),
    ):
        refuse(phone, act, NotRegistered)
    assert own_account(phone) == OwnAccountRecord()
