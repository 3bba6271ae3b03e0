# SPDX-License-Identifier: Apache-2.0
"""Whom something was sent to lately, as far as what is kept for sending again tells."""

import pytest

from e2ecross import Address, Policy, Text
from e2ecross.errors import RecordCorrupted
from e2ecross.state.sent import keep_copies, list_sent_to
from e2ecross.stores import Store, Table
from tests.support.devices import ANA, BUDI, DAY_MS, NOW_MS, Stores, introduce, make_device

POLICY = Policy(resend_kept_ms=5 * DAY_MS)
USERS = [Address("messenger", f"user{n}").user_id for n in range(5)]


def filled(store: Store) -> None:
    """A store of a device that has sent something to a user a day."""
    introduce(make_device(ANA, store), make_device(BUDI))
    with store.transaction() as tx:
        for day, user in enumerate(USERS):
            now_ms = NOW_MS + day * DAY_MS
            ids = (bytes(16), bytes(16))
            keep_copies(tx, POLICY, user, *ids, Text("halo"), [BUDI], now_ms, now_ms)


def test_nobody_was_written_to(stores: Stores) -> None:
    with stores.open("ana").transaction() as tx:
        assert list_sent_to(tx, POLICY, NOW_MS, 10) == []


def test_accounts_of_contents_and_of_copies_are_named_once(stores: Stores) -> None:
    store = stores.open("ana")
    filled(store)
    with store.transaction() as tx:
        found = list_sent_to(tx, POLICY, NOW_MS + 4 * DAY_MS, 100)
        assert sorted(found) == sorted([*USERS, BUDI.user_id])


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_the_latest_come_first(stores: Stores, limit: int) -> None:
    store = stores.open("ana")
    filled(store)
    with store.transaction() as tx:
        found = list_sent_to(tx, POLICY, NOW_MS + 4 * DAY_MS, limit)
    latest = [BUDI.user_id, *USERS[::-1]]
    assert found == latest[:limit]


def test_what_is_not_kept_any_more_counts_for_nothing(stores: Stores) -> None:
    store = stores.open("ana")
    filled(store)
    with store.transaction() as tx:
        for days in range(4, 10):
            found = list_sent_to(tx, POLICY, NOW_MS + days * DAY_MS, 100)
            late = {user for day, user in enumerate(USERS) if days - day < 5}
            assert set(found) == late | ({BUDI.user_id} if late else set())


def test_a_row_of_no_account_is_damage(stores: Stores) -> None:
    store = stores.open("ana")
    filled(store)
    with store.transaction() as tx:
        (partition, *_), *_ = [row for row in tx.scan(Table.SENT) if len(row[0]) == 4]
        tx.put(Table.SENT, partition, b"x" * 40, b"\x01")
    with store.transaction() as tx, pytest.raises(RecordCorrupted):
        list_sent_to(tx, POLICY, NOW_MS, 100)
