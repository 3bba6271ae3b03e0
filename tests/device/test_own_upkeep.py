# SPDX-License-Identifier: Apache-2.0
"""What is to be done about the own list, and what was."""

import hashlib
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from e2ecross import Device, NoticeKind, Policy
from e2ecross.device.own_list import add_device, ensure_own_list, unlink_device
from e2ecross.device.own_upkeep import (
    find_new_devices,
    is_own_list_expired,
    list_to_publish,
    must_reset,
    note_has_keys,
    note_list_published,
    note_list_unpublished,
    tell_expired,
)
from e2ecross.errors import RestoredStore
from e2ecross.state.accounts import put_own_account
from e2ecross.state.context import Context
from e2ecross.state.epoch import read_epoch
from e2ecross.state.transactions import stripe_transaction
from e2ecross.stores import Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import (
    account,
    change_account,
    device_of,
    hold_list,
    own_account,
    sign_devices,
)
from tests.support.devices import ANA, DAY_MS, FakeClock, dump, make_device
from tests.support.linked import Candidate, candidate, notices_of

OWN = ANA.user_id
EXPIRED = [(NoticeKind.OWN_LIST_EXPIRED, ())]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def phone(clock: FakeClock) -> Device:
    phone = make_device(ANA, clock=clock)
    ensure_own_list(phone._context)
    return phone


def add(phone: Device) -> Candidate:
    new = candidate(phone)
    add_device(phone._context, new.entry, "laptop", new.token_hash)
    return new


def set_own(device: Device, **changes: object) -> None:
    own = replace(own_account(device), **changes)  # type: ignore[arg-type]
    with device._context.store.transaction() as tx:
        put_own_account(tx, own)


def held(device: Device) -> SignedDeviceList:
    signed = account(device, OWN).held
    assert signed is not None
    return signed


# --- Publishing -----------------------------------------------------------------------------


def test_a_list_waits_until_it_is_published(phone: Device) -> None:
    for _ in range(2):
        waiting = list_to_publish(phone._context)
        assert waiting is not None
        assert SignedDeviceList.decode(waiting.encoded) == held(phone)
        assert (waiting.seq, waiting.tokens) == (1, {})
        with phone._context.store.transaction() as tx:
            assert waiting.epoch == read_epoch(tx) == 1
    note_list_published(phone._context, 1)
    assert own_account(phone).published
    assert list_to_publish(phone._context) is None


def test_the_tokens_of_devices_without_keys_go_with_it(phone: Device) -> None:
    first, second = add(phone), add(phone)
    waiting = list_to_publish(phone._context)
    assert waiting is not None
    assert waiting.tokens == {2: first.token_hash, 3: second.token_hash}
    assert all(len(each) == hashlib.sha256().digest_size for each in waiting.tokens.values())
    note_has_keys(phone._context, 2)
    waiting = list_to_publish(phone._context)
    assert waiting is not None
    assert waiting.tokens == {3: second.token_hash}


def test_a_list_that_was_signed_meanwhile_still_waits(phone: Device) -> None:
    add(phone)
    note_list_published(phone._context, 1)
    assert list_to_publish(phone._context) is not None
    note_list_published(phone._context, 2)
    assert list_to_publish(phone._context) is None


def test_who_is_registered_anew_publishes_again(phone: Device) -> None:
    note_list_published(phone._context, 1)
    before = dump(phone._context.store)
    note_list_unpublished(phone._context)
    assert list_to_publish(phone._context) is not None
    note_list_published(phone._context, 1)
    assert dump(phone._context.store) == before
    for fresh in (make_device(ANA), make_device(device_of(ANA, 2))):
        before = dump(fresh._context.store)
        note_list_unpublished(fresh._context)
        note_list_published(fresh._context, 1)
        assert dump(fresh._context.store) == before
        assert list_to_publish(fresh._context) is None


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_nothing_is_published_before_a_decision(phone: Device, what: str) -> None:
    add(phone)
    set_own(phone, **{what: True})
    assert list_to_publish(phone._context) is None
    assert must_reset(phone._context) is (what == "must_reset")
    assert find_new_devices(phone._context) == {}


def test_what_another_device_holds_is_not_its_to_publish(phone: Device) -> None:
    laptop = add(phone).device
    hold_list(laptop, held(phone))
    set_own(laptop, linked_at_ms=5)
    assert list_to_publish(laptop._context) is None
    assert not must_reset(laptop._context)


def test_what_is_known_without_a_list_publishes_nothing() -> None:
    phone = make_device(ANA)
    set_own(phone, linked_at_ms=0)
    assert list_to_publish(phone._context) is None
    change_account(phone, OWN, written=True)
    assert list_to_publish(phone._context) is None
    note_list_published(phone._context, 1)
    assert not own_account(phone).published


def test_a_store_that_was_put_back_publishes_nothing(phone: Device) -> None:
    phone._context.watch.note(2)
    with pytest.raises(RestoredStore):
        list_to_publish(phone._context)


# --- Devices that were linked ---------------------------------------------------------------


def test_new_devices_are_looked_after_until_they_have_keys(phone: Device) -> None:
    context = phone._context
    assert find_new_devices(context) == {}
    first, second = add(phone), add(phone)
    keys = {2: first.entry.identity_key, 3: second.entry.identity_key}
    assert find_new_devices(context) == keys
    note_has_keys(context, 2)
    assert find_new_devices(context) == {3: keys[3]}
    unlink_device(context, 3)
    assert find_new_devices(context) == {}
    before = dump(context.store)
    note_has_keys(context, 3)
    assert dump(context.store) == before


def test_nothing_is_new_where_nothing_is_known() -> None:
    phone = make_device(ANA)
    assert find_new_devices(phone._context) == {}
    set_own(phone, linked_at_ms=0)
    assert find_new_devices(phone._context) == {}


# --- The age of the list --------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_that_the_list_is_too_old_is_told_once(clock: FakeClock, number: int) -> None:
    device = make_device(device_of(ANA, number), clock=clock)
    phone = device if number == 1 else make_device(ANA, clock=clock)
    context = device._context
    tell_expired(context)
    assert not is_own_list_expired(context)
    first = sign_devices(phone)
    hold_list(device, first)
    clock.advance(35 * DAY_MS)
    assert not is_own_list_expired(context)
    tell_expired(context)
    assert notices_of(device) == []
    clock.advance(1)
    for _ in range(2):
        assert is_own_list_expired(context)
        tell_expired(context)
        assert notices_of(device) == EXPIRED
    assert own_account(device) == OwnAccountRecord(expired_seq=1)
    hold_list(device, sign_devices(phone, after=first))
    tell_expired(context)
    assert not is_own_list_expired(context)
    assert notices_of(device) == EXPIRED
    clock.advance(36 * DAY_MS)
    tell_expired(context)
    assert notices_of(device) == EXPIRED * 2


def test_what_another_worker_has_told_meanwhile_is_not_told_again(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = make_device(ANA, clock=clock)
    hold_list(phone, sign_devices(phone))
    clock.advance(36 * DAY_MS)

    def begin(context: Context) -> AbstractContextManager[Transaction]:
        monkeypatch.undo()
        tell_expired(context)
        return stripe_transaction(context)

    monkeypatch.setattr("e2ecross.device.own_upkeep.stripe_transaction", begin)
    tell_expired(phone._context)
    assert notices_of(phone) == EXPIRED


def test_the_policy_says_what_is_too_old(clock: FakeClock) -> None:
    policy = Policy(device_list_max_age_ms=8 * DAY_MS)
    phone = make_device(ANA, clock=clock, policy=policy)
    ensure_own_list(phone._context)
    clock.advance(8 * DAY_MS + 1)
    assert is_own_list_expired(phone._context)


def test_an_account_without_a_list_has_none_that_is_too_old() -> None:
    phone = make_device(ANA)
    change_account(phone, OWN, written=True)
    tell_expired(phone._context)
    assert not is_own_list_expired(phone._context)
    assert notices_of(phone) == []
