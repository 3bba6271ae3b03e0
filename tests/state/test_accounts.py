# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from e2ecross.address import Address, UserId
from e2ecross.errors import RecordCorrupted
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_list,
    find_own_account,
    find_pushed,
    forget_account,
    forget_pushed,
    note_has_list,
    note_hosting_seen,
    note_pushed,
    primary_of,
    put_account,
    put_own_account,
    user_key,
    walk_accounts,
)
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.account_records import AccountRecord, OwnAccountRecord
from tests.support.device_lists import Household
from tests.support.devices import ANA, BUDI, NOW_MS, Stores, dump

HOME = Household(BUDI.user_id)
LISTED = AccountRecord(HOME.sign(1), NOW_MS)
LAPTOP = Address(BUDI.app, BUDI.user, 2)


def test_nothing_is_known_of_a_stranger() -> None:
    with MemoryStore().transaction() as tx:
        assert find_account(tx, BUDI.user_id) is None
        assert find_list(tx, BUDI.user_id) is None
        assert find_own_account(tx) is None
        assert find_pushed(tx, BUDI.user_id, ANA) == 0
        assert list(walk_accounts(tx)) == []
    assert AccountRecord() == NOTHING_KNOWN


def test_what_is_known_of_an_account_comes_back(stores: Stores) -> None:
    with stores.open("accounts").transaction() as tx:
        put_account(tx, BUDI.user_id, LISTED)
        put_own_account(tx, OwnAccountRecord(published=True))
    with stores.reopen("accounts").transaction() as tx:
        assert find_account(tx, BUDI.user_id) == LISTED
        assert LISTED.held is not None
        assert find_list(tx, BUDI.user_id) == LISTED.held.list
        assert find_own_account(tx) == OwnAccountRecord(published=True)
        assert find_account(tx, ANA.user_id) is None


def test_an_account_without_a_list_may_have_a_row() -> None:
    with MemoryStore().transaction() as tx:
        put_account(tx, BUDI.user_id, AccountRecord(check_wanted=True))
        assert find_list(tx, BUDI.user_id) is None


def test_keys_of_accounts_stay_apart() -> None:
    assert user_key(UserId("whatsapp", "ana")) == b"whatsapp\0ana"
    assert user_key(UserId("a", "bc")) != user_key(UserId("ab", "c"))


def test_pushes_are_noted_for_each_device_and_account() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        note_pushed(tx, BUDI.user_id, ANA, 7)
        note_pushed(tx, BUDI.user_id, LAPTOP, 8)
        note_pushed(tx, ANA.user_id, ANA, 9)
        assert find_pushed(tx, BUDI.user_id, ANA) == 7
        assert find_pushed(tx, BUDI.user_id, LAPTOP) == 8
        forget_pushed(tx, BUDI.user_id, ANA)
        assert find_pushed(tx, BUDI.user_id, ANA) == 0
        assert find_pushed(tx, BUDI.user_id, LAPTOP) == 8
        assert find_pushed(tx, ANA.user_id, ANA) == 9


def test_an_account_is_forgotten_with_all_its_rows() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        put_account(tx, ANA.user_id, AccountRecord(written=True))
    before = dump(store)
    with store.transaction() as tx:
        put_account(tx, BUDI.user_id, LISTED)
        note_pushed(tx, BUDI.user_id, ANA, 7)
        forget_account(tx, BUDI.user_id)
    assert dump(store) == before


def test_accounts_are_walked_over_in_parts(stores: Stores) -> None:
    users = [UserId("whatsapp", f"user{n}") for n in range(5)]
    found = []
    with stores.open("accounts").transaction() as tx:
        for n, user in enumerate(users):
            put_account(tx, user, AccountRecord(checked_at_ms=n))
            note_pushed(tx, user, ANA, 1)
        note_pushed(tx, BUDI.user_id, ANA, 1)  # of an account of which nothing is known any more
        place: bytes | None = None
        while part := list(walk_accounts(tx, place, 2)):
            assert len(part) <= 2
            place = part[-1][0]
            found += part
        assert sorted(user for _, user, _ in found) == users
        assert found == list(walk_accounts(tx))
    for key, user, record in found:
        assert key == user_key(user)
        assert record == AccountRecord(checked_at_ms=users.index(user))


@pytest.mark.parametrize("place", [b"whatsapp", b"a\0b\0c", b"a\0B", b"\xff\0a", b""])
def test_an_account_that_cannot_be_is_damage(place: bytes) -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(Table.ACCOUNTS, place, b"", AccountRecord().encode())
    with store.transaction() as tx, pytest.raises(RecordCorrupted, match="no account"):
        list(walk_accounts(tx))


def test_device_1_stands_for_its_account_once_that_has_a_list() -> None:
    with MemoryStore().transaction() as tx:
        assert primary_of(tx, LAPTOP) == LAPTOP
        put_account(tx, BUDI.user_id, AccountRecord(written=True))
        assert primary_of(tx, LAPTOP) == LAPTOP
        put_account(tx, BUDI.user_id, LISTED)
        assert primary_of(tx, LAPTOP) == BUDI
        assert primary_of(tx, BUDI) == BUDI


def test_who_hosts_an_account_is_seen_once() -> None:
    with MemoryStore().transaction() as tx:
        note_hosting_seen(tx, BUDI.user_id)
        assert find_account(tx, BUDI.user_id) is None
        put_account(tx, BUDI.user_id, replace(LISTED, written=True, hosting_unseen=True))
        for _ in range(2):
            note_hosting_seen(tx, BUDI.user_id)
            assert find_account(tx, BUDI.user_id) == replace(LISTED, written=True)


@pytest.mark.parametrize("before", [None, AccountRecord(written=True), LISTED])
def test_that_an_account_has_a_list_is_noted_beside_what_is_known(
    before: AccountRecord | None,
) -> None:
    with MemoryStore().transaction() as tx:
        if before is not None:
            put_account(tx, BUDI.user_id, before)
        for _ in range(2):
            note_has_list(tx, BUDI.user_id)
            noted = replace(before or NOTHING_KNOWN, has_list=True)
            assert find_account(tx, BUDI.user_id) == noted
