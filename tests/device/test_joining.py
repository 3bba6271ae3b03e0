# SPDX-License-Identifier: Apache-2.0
"""A new device on its way into an account: what is drawn, what is refused, what is written."""

from dataclasses import replace

import pytest

from e2ecross import Device
from e2ecross.device.joining import (
    Newcomer,
    answer_offer,
    check_time,
    compare_digits,
    find_newcomer,
    install,
    show_code,
    take_result,
)
from e2ecross.device.opening import Surroundings
from e2ecross.device.own_list import ensure_own_list
from e2ecross.device.pairing import confirm_device, offer_device, take_answer
from e2ecross.errors import DeviceExists, InvalidArgument, LinkFailed, StoreError, WitnessFailed
from e2ecross.protocol.linking import LINK_LIFETIME_MS, LinkedDevice
from e2ecross.state.context import require_device
from e2ecross.state.epoch import read_epoch
from e2ecross.stores import MemoryStore, Store, Table
from tests.support.accounts import account, device_of, own_account
from tests.support.devices import ANA, FakeClock, SpyStore, dump, make_device
from tests.support.entropy import SeededEntropy
from tests.support.witness import Keychain

LAPTOP = device_of(ANA, 2)


@pytest.fixture
def phone(clock: FakeClock) -> Device:
    phone = make_device(ANA, clock=clock)
    ensure_own_list(phone._context)
    return phone


def newcomer(
    clock: FakeClock, store: Store | None = None, witness: Keychain | None = None
) -> Newcomer:
    given = Surroundings(None, clock, SeededEntropy("newcomer"), witness)
    return find_newcomer("laptop", MemoryStore() if store is None else store, given)


def join(new: Newcomer, phone: Device) -> LinkedDevice:
    """Link it, up to the list."""
    start = show_code(new, "whatsapp")
    offered = offer_device(phone._context, start.code)
    answered = answer_offer(new, start, offered.offer)
    asking = take_answer(phone._context, offered, answered.answer)
    confirmed = compare_digits(new, answered, asking.digits)
    signed = confirm_device(phone._context, asking)
    return take_result(new, confirmed, asking.result(signed))


def test_nothing_is_written_before_the_list_is_there(phone: Device, clock: FakeClock) -> None:
    new = newcomer(clock)
    linked = join(new, phone)
    assert not dump(new.store)
    context = install(new, linked)
    assert context.address == LAPTOP
    assert dump(new.store)


def test_it_is_what_a_new_device_is_and_belongs_to_the_account(
    phone: Device, clock: FakeClock
) -> None:
    new = newcomer(clock)
    linked = join(new, phone)
    context = install(new, linked)
    created = make_device(LAPTOP, clock=clock)
    tables = {where[0] for where in dump(created._context.store)}
    extra = {where[0] for where in dump(new.store)} - tables
    assert extra == {Table.ACCOUNTS, Table.REMOTE_IDENTITIES}
    with new.store.transaction() as tx, created._context.store.transaction() as other:
        record, usual = require_device(tx), require_device(other)
        assert read_epoch(tx) == read_epoch(other)
    assert record.identity_private_key == linked.key_pair.private
    assert (record.backend_token, record.registered) == (linked.token, True)
    own = {
        "identity_private_key": usual.identity_private_key,
        "registration_id": usual.registration_id,
        "next_prekey_id": usual.next_prekey_id,
        "signed_prekey_id": usual.signed_prekey_id,
        "last_resort_kyber_prekey_id": usual.last_resort_kyber_prekey_id,
        "backend_token": b"",
        "registered": False,
    }
    assert replace(record, **own).encode() == usual.encode()  # type: ignore[arg-type]
    assert context.account_key == phone.identity_key
    device = Device.open(new.store, clock=clock)
    assert device._context.account_key == phone.identity_key
    assert account(device, ANA.user_id).held == linked.signed_list
    assert own_account(device).linked_at_ms == clock.now_ms


def test_a_store_that_holds_a_device_is_refused_and_left_as_it_is(
    phone: Device, clock: FakeClock
) -> None:
    new = newcomer(clock)
    linked = join(new, phone)
    make_device(ANA, new.store)
    rows = dump(new.store)
    with pytest.raises(DeviceExists):
        install(new, linked)
    assert dump(new.store) == rows
    with pytest.raises(DeviceExists):
        find_newcomer("laptop", new.store, new.given)


@pytest.mark.parametrize("writes", range(10))
def test_all_is_written_or_nothing(phone: Device, clock: FakeClock, writes: int) -> None:
    spy = SpyStore(MemoryStore())
    new = newcomer(clock, spy, Keychain(9))
    linked = join(new, phone)
    spy.writes_until_failure = writes
    with pytest.raises(StoreError):
        install(new, linked)
    assert not dump(spy.inner)


def test_there_are_as_many_writes(phone: Device, clock: FakeClock) -> None:
    spy = SpyStore(MemoryStore())
    new = newcomer(clock, spy, Keychain(9))
    install(new, join(new, phone))
    assert spy.writes.total() == 10


def test_a_witness_that_cannot_be_read_keeps_it_from_being_written(
    phone: Device, clock: FakeClock
) -> None:
    witness = Keychain(9)
    new = newcomer(clock, witness=witness)
    linked = join(new, phone)
    witness.error = OSError("locked")
    with pytest.raises(WitnessFailed):
        install(new, linked)
    assert not dump(new.store)
    witness.error = None
    install(new, linked)
    with new.store.transaction() as tx:
        assert read_epoch(tx) == 9


def test_a_name_that_is_too_long_is_refused_before_anything_is_drawn(clock: FakeClock) -> None:
    given = Surroundings(None, clock, SeededEntropy("none"), None)
    with pytest.raises(InvalidArgument, match="name"):
        find_newcomer("x" * 65, MemoryStore(), given)


def test_two_offers_get_different_identities_and_tokens(phone: Device, clock: FakeClock) -> None:
    first, second = (join(newcomer_, phone) for newcomer_ in _two(clock))
    assert first.key_pair.public != second.key_pair.public
    assert first.token != second.token
    assert len(first.token) == 32


def _two(clock: FakeClock) -> tuple[Newcomer, Newcomer]:
    new = newcomer(clock)
    return new, new


def test_each_step_has_its_time(phone: Device, clock: FakeClock) -> None:
    new = newcomer(clock)
    start = show_code(new, "whatsapp")
    check_time(new, start.ends_at_ms)
    clock.advance(LINK_LIFETIME_MS)
    check_time(new, start.ends_at_ms)
    clock.advance(1)
    with pytest.raises(LinkFailed):
        check_time(new, start.ends_at_ms)
