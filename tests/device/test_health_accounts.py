# SPDX-License-Identifier: Apache-2.0
"""The health of device lists: the own one and those of others, on real stores."""

from dataclasses import replace

import pytest

from e2ecross import Device, Policy
from e2ecross.device.health import StoreHealth, TableHealth, read_health
from e2ecross.device.health_accounts import AccountsHealth, OwnListHealth
from e2ecross.state.accounts import OWN_ACCOUNT_ROW, note_pushed, put_own_account, user_key
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.account_records import NewDevice
from tests.support.accounts import (
    change_account,
    device_of,
    hold_list,
    link_devices,
    own_account,
    sign_devices,
)
from tests.support.devices import ANA, BUDI, DAY_MS, NOW_MS, TOKO, FakeClock, Stores, make_device

POLICY = Policy()
NOBODY = AccountsHealth(known=0, expired=0, forked=0, hosting_unseen=0)
ALONE = OwnListHealth(
    is_primary=True,
    seq=0,
    age_ms=None,
    devices=0,
    is_published=True,
    is_renewal_due=False,
    is_expired=False,
    must_reset=False,
    has_conflict=False,
    without_keys=0,
)


def health_of(device: Device, now_ms: int = NOW_MS) -> StoreHealth:
    with device._context.store.transaction() as tx:
        return read_health(tx, POLICY, now_ms)


def own_list_of(device: Device, now_ms: int = NOW_MS) -> OwnListHealth:
    found = health_of(device, now_ms).own_list
    assert found is not None
    return found


def note_own(device: Device, **changes: object) -> None:
    """Write something of what a device knows of its own account."""
    record = replace(own_account(device), **changes)  # type: ignore[arg-type]
    with device._context.store.transaction() as tx:
        put_own_account(tx, record)


def accounts_table(device: Device) -> TableHealth:
    (found,) = [entry for entry in health_of(device).tables if entry.table is Table.ACCOUNTS]
    return found


def test_a_device_without_a_list(stores: Stores) -> None:
    device = make_device(ANA, stores.open("ana"))
    assert health_of(device).own_list == ALONE
    assert health_of(device).accounts == NOBODY


def test_an_empty_store_has_no_own_list() -> None:
    with MemoryStore().transaction() as tx:
        health = read_health(tx, POLICY, NOW_MS)
    assert (health.own_list, health.accounts) == (None, NOBODY)


def test_the_own_list_at_device_1_and_at_another_one(stores: Stores) -> None:
    phone = make_device(ANA, stores.open("phone"))
    laptop = make_device(device_of(ANA, 2), stores.open("laptop"))
    link_devices(phone, laptop)
    listed = replace(ALONE, seq=1, age_ms=7, devices=2, is_published=False)
    assert own_list_of(phone, NOW_MS + 7) == listed
    at_laptop = replace(listed, is_primary=False, is_published=True)
    assert own_list_of(laptop, NOW_MS + 7) == at_laptop
    assert health_of(phone).accounts == NOBODY
    note_own(phone, published=True)
    assert own_list_of(phone, NOW_MS + 7).is_published
    assert (accounts_table(phone).records, accounts_table(phone).damaged) == (1, 0)


def test_devices_that_are_not_known_to_have_keys(stores: Stores) -> None:
    phone = make_device(ANA, stores.open("phone"))
    link_devices(phone, make_device(device_of(ANA, 2)), make_device(device_of(ANA, 3)))
    new = tuple(NewDevice(number, bytes(32), NOW_MS) for number in (2, 3))
    note_own(phone, new_devices=new)
    assert own_list_of(phone).without_keys == 2


def test_the_own_list_grows_old() -> None:
    phone, laptop = make_device(ANA), make_device(device_of(ANA, 2))
    link_devices(phone, laptop)
    due, most = POLICY.device_list_renew_ms, POLICY.device_list_max_age_ms
    ages = (
        (due - 1, False, False),
        (due, True, False),
        (most, True, False),
        (most + 1, True, True),
    )
    for age_ms, is_due, is_expired in ages:
        at_phone, at_laptop = (own_list_of(each, NOW_MS + age_ms) for each in (phone, laptop))
        assert (at_phone.is_renewal_due, at_phone.is_expired) == (is_due, is_expired)
        assert (at_laptop.is_renewal_due, at_laptop.is_expired) == (False, is_expired)


@pytest.mark.parametrize(("ahead_ms", "is_due"), [(DAY_MS, False), (DAY_MS + 1, True)])
def test_a_list_that_is_dated_far_in_the_future_is_to_be_renewed(
    ahead_ms: int, is_due: bool
) -> None:
    phone = make_device(ANA)
    hold_list(phone, sign_devices(phone, signed_at_ms=NOW_MS + ahead_ms))
    found = own_list_of(phone)
    assert (found.age_ms, found.is_renewal_due) == (-ahead_ms, is_due)


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_nothing_is_due_while_nothing_may_be_signed(what: str) -> None:
    phone = make_device(ANA)
    hold_list(phone, sign_devices(phone))
    note_own(phone, **{what: True})
    found = own_list_of(phone, NOW_MS + POLICY.device_list_renew_ms)
    assert (found.must_reset, found.has_conflict) == (what == "must_reset", what == "conflict")
    assert not found.is_renewal_due


def test_lists_of_others(stores: Stores) -> None:
    clock = FakeClock()
    ana = make_device(ANA, stores.open("ana"), clock=clock)
    budi, toko = make_device(BUDI, clock=clock), make_device(TOKO, clock=clock)
    hold_list(ana, sign_devices(budi))
    change_account(ana, TOKO.user_id, check_wanted=True)  # no list, so it does not count
    assert health_of(ana).accounts == replace(NOBODY, known=1)
    clock.advance(POLICY.device_list_max_age_ms + 1)
    hold_list(ana, sign_devices(toko))
    change_account(ana, TOKO.user_id, rival=sign_devices(toko, seq=2), hosting_unseen=True)
    found = health_of(ana, clock.now_ms).accounts
    assert found == AccountsHealth(known=2, expired=1, forked=1, hosting_unseen=1)


def test_every_row_of_accounts_is_decoded(stores: Stores) -> None:
    ana = make_device(ANA, stores.open("ana"))
    budi = make_device(BUDI)
    hold_list(ana, sign_devices(budi))
    with ana._context.store.transaction() as tx:
        note_pushed(tx, BUDI.user_id, TOKO, NOW_MS)
    table = accounts_table(ana)
    assert (table.records, table.damaged) == (2, 0)
    with ana._context.store.transaction() as tx:
        tx.put(Table.ACCOUNTS, user_key(TOKO.user_id), b"", b"\1garbage")
        tx.put(Table.ACCOUNTS, user_key(TOKO.user_id), b"pushed", b"\1garbage")
        tx.put(Table.ACCOUNTS, user_key(ANA.user_id), b"", b"\2")
    table = accounts_table(ana)
    assert (table.records, table.damaged, table.too_new) == (5, 2, 1)
    health = health_of(ana)
    assert (health.own_list, health.accounts.known) == (ALONE, 1)


def test_a_damaged_record_of_the_own_account_is_counted(stores: Stores) -> None:
    phone = make_device(ANA, stores.open("phone"))
    link_devices(phone, make_device(device_of(ANA, 2)))
    with phone._context.store.transaction() as tx:
        tx.put(Table.DEVICE, b"", OWN_ACCOUNT_ROW, b"\1garbage")
    assert health_of(phone).tables[0].damaged == 1
    without_record = replace(ALONE, seq=1, age_ms=0, devices=2, is_published=False)
    assert own_list_of(phone) == without_record
