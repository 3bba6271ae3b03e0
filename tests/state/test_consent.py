# SPDX-License-Identifier: Apache-2.0
"""What accounts have granted: which number counts, what is live, and how much of a day is left."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from e2ecross import ConsentGrant, ConsentRevoke, UserId
from e2ecross.errors import ConsentMissing
from e2ecross.state.consent import count_message, empty_grant, put_grant, put_revoke, read_token
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.consent_records import ConsentRecord
from tests.support.devices import Stores

BUDI, CITRA = UserId("instagram", "budi"), UserId("messenger", "citra")
DAY_MS = 24 * 60 * 60 * 1000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
GRANT = ConsentGrant(bytes(16), (1, 3), 2, NOON_MS + 10 * DAY_MS, 5, bytes([5]) * 32)


def granted(number: int, **changed: object) -> ConsentGrant:
    token = bytes([number]) * 32
    return replace(GRANT, number=number, token=token, **changed)  # type: ignore[arg-type]


def revoked(number: int) -> ConsentRevoke:
    return ConsentRevoke(bytes(16), number)


@pytest.fixture
def tx(stores: Stores) -> Iterator[Transaction]:
    with stores.open("ana").transaction() as tx:
        yield tx


def row(tx: Transaction, user: UserId = BUDI) -> ConsentRecord | None:
    data = tx.get(Table.CONSENT, f"{user.app}\0{user.user}".encode())
    return None if data is None else ConsentRecord.decode(data)


def sends(tx: Transaction, now_ms: int, purpose: int = 1, user: UserId = BUDI) -> bool:
    before = row(tx, user)
    try:
        count_message(tx, user, purpose, now_ms)
    except ConsentMissing as raised:
        error = raised
    else:
        return True
    assert (error.user, error.purpose, row(tx, user)) == (user, purpose, before)
    assert str(user) in str(error)
    return False


def test_without_a_grant_nothing_is_sent_and_no_token_shown(tx: Transaction) -> None:
    assert not sends(tx, NOON_MS)
    assert read_token(tx, BUDI, NOON_MS) == b""
    assert row(tx) is None


def test_a_grant_is_of_one_account(tx: Transaction) -> None:
    put_grant(tx, BUDI, GRANT)
    assert sends(tx, NOON_MS)
    assert not sends(tx, NOON_MS, user=CITRA)
    assert (read_token(tx, BUDI, NOON_MS), read_token(tx, CITRA, NOON_MS)) == (GRANT.token, b"")


def test_only_its_purposes_are_granted(tx: Transaction) -> None:
    put_grant(tx, BUDI, replace(GRANT, max_per_day=9))
    assert [sends(tx, NOON_MS, purpose) for purpose in (1, 2, 3, 4)] == [True, False, True, False]


def test_it_ends_at_its_time(tx: Transaction) -> None:
    put_grant(tx, BUDI, GRANT)
    end = GRANT.expires_at_ms
    assert sends(tx, end - 1)
    assert not sends(tx, end)
    assert (read_token(tx, BUDI, end - 1), read_token(tx, BUDI, end)) == (GRANT.token, b"")


def test_all_purposes_of_a_day_are_counted_together(tx: Transaction) -> None:
    put_grant(tx, BUDI, GRANT)
    assert [sends(tx, NOON_MS, purpose) for purpose in (1, 3, 1)] == [True, True, False]
    assert row(tx) == ConsentRecord(GRANT, 5, 20_000, 2)


def test_a_day_is_one_of_utc(tx: Transaction) -> None:
    put_grant(tx, BUDI, replace(GRANT, max_per_day=1))
    midnight = 20_001 * DAY_MS
    assert [sends(tx, at) for at in (20_000 * DAY_MS, midnight - 1)] == [True, False]
    assert [sends(tx, at) for at in (midnight, midnight + DAY_MS - 1)] == [True, False]
    assert sends(tx, midnight + DAY_MS)


def test_a_worker_whose_clock_is_behind_does_not_begin_a_day_again(tx: Transaction) -> None:
    put_grant(tx, BUDI, replace(GRANT, max_per_day=2))
    midnight = 20_001 * DAY_MS
    assert sends(tx, midnight)
    assert sends(tx, midnight - 1)
    assert row(tx) == ConsentRecord(replace(GRANT, max_per_day=2), 5, 20_001, 2)
    assert not sends(tx, midnight)


def test_a_clock_that_was_wrong_once_takes_no_later_day(tx: Transaction) -> None:
    put_grant(tx, BUDI, replace(GRANT, max_per_day=1, expires_at_ms=2**63))
    assert sends(tx, NOON_MS + 2 * DAY_MS)
    assert sends(tx, NOON_MS)
    assert not sends(tx, NOON_MS)


@pytest.mark.parametrize(
    ("came", "number", "is_granted"),
    [
        ((granted(5), granted(6)), 6, True),
        ((granted(6), granted(5)), 6, True),
        ((granted(5), revoked(5)), 5, False),
        ((granted(5), revoked(6)), 6, False),
        ((granted(5), revoked(4)), 5, True),
        ((revoked(5), granted(5)), 5, False),
        ((revoked(6), granted(5)), 6, False),
        ((revoked(4), granted(5)), 5, True),
        ((granted(5), revoked(6), granted(6)), 6, False),
        ((granted(5), revoked(6), granted(7)), 7, True),
        ((revoked(6), revoked(5), granted(6)), 6, False),
        ((granted(0),), 0, True),
        ((revoked(0), granted(0)), 0, False),
    ],
)
def test_the_greatest_number_counts_in_whatever_order_they_come(
    tx: Transaction, came: Iterable[ConsentGrant | ConsentRevoke], number: int, is_granted: bool
) -> None:
    for each in came:
        if isinstance(each, ConsentGrant):
            put_grant(tx, BUDI, each)
        else:
            put_revoke(tx, BUDI, each)
    record = row(tx)
    assert record is not None
    assert record.number == number
    assert read_token(tx, BUDI, NOON_MS) == (bytes([number]) * 32 if is_granted else b"")
    assert sends(tx, NOON_MS) is is_granted


def test_a_second_grant_of_one_number_changes_nothing(tx: Transaction) -> None:
    put_grant(tx, BUDI, GRANT)
    put_grant(tx, BUDI, replace(GRANT, max_per_day=1_000))
    assert row(tx) == ConsentRecord(GRANT, 5)


def test_a_new_grant_and_a_revoke_give_back_nothing_of_the_day(tx: Transaction) -> None:
    put_grant(tx, BUDI, GRANT)
    assert [sends(tx, NOON_MS) for _ in range(2)] == [True, True]
    put_grant(tx, BUDI, granted(6))
    assert not sends(tx, NOON_MS)
    put_revoke(tx, BUDI, revoked(7))
    put_grant(tx, BUDI, granted(8, max_per_day=3))
    assert [sends(tx, NOON_MS) for _ in range(2)] == [True, False]


def test_a_revoke_tells_whether_it_has_ended_a_grant(tx: Transaction) -> None:
    assert not put_revoke(tx, BUDI, revoked(4))
    put_grant(tx, BUDI, GRANT)
    assert not put_revoke(tx, BUDI, revoked(4))
    assert put_revoke(tx, BUDI, revoked(5))
    assert not put_revoke(tx, BUDI, revoked(6))


def test_an_emptied_grant_is_no_later_number(tx: Transaction) -> None:
    assert not empty_grant(tx, BUDI)
    put_grant(tx, BUDI, GRANT)
    assert empty_grant(tx, BUDI)
    assert not empty_grant(tx, BUDI)
    assert row(tx) == ConsentRecord(None, 5)
    put_grant(tx, BUDI, GRANT)
    assert not sends(tx, NOON_MS)
    put_grant(tx, BUDI, granted(6))
    assert sends(tx, NOON_MS)
