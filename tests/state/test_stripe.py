# SPDX-License-Identifier: Apache-2.0
"""Stripes: of which an account is, and what is counted in one."""

import pytest

from e2ecross.address import UserId
from e2ecross.state.stripe import (
    bound_of_stripe,
    count_seen,
    is_full,
    read_stripe,
    save_stripe,
    stripe_of,
)
from e2ecross.stores import MemoryStore
from e2ecross.wire.stripe_record import StripeRecord


@pytest.mark.parametrize(
    ("user", "of_64", "of_4096"),
    [
        (UserId("instagram", "budi"), 19, 1_155),
        (UserId("whatsapp", "ana"), 59, 3_762),
        (UserId("messenger", "citra"), 56, 3_569),
    ],
)
def test_the_stripe_of_an_account(user: UserId, of_64: int, of_4096: int) -> None:
    assert [stripe_of(user, stripes) for stripes in (0, 64, 4_096)] == [0, of_64, of_4096]


@pytest.mark.parametrize("stripes", [64, 65_536])
def test_accounts_are_spread_over_all_stripes(stripes: int) -> None:
    found = {stripe_of(UserId("whatsapp", str(number)), stripes) for number in range(2_000)}
    assert min(found) > 0
    assert max(found) <= stripes
    assert len(found) > min(stripes, 2_000) * 0.95


def test_a_stripe_counts_from_nothing() -> None:
    with MemoryStore().transaction() as tx:
        assert read_stripe(tx) == StripeRecord(0, 1, ())
        save_stripe(tx, StripeRecord(7, 3, ((1, 2),)))
        assert read_stripe(tx) == StripeRecord(7, 3, ((1, 2),))


@pytest.mark.parametrize("stripes", [0, 64])
def test_a_signed_prekey_is_full_in_the_stripe_that_has_seen_so_many(
    stripes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "MAX_SEEN_BASE_KEYS_OF_STRIPE" if stripes else "MAX_SEEN_BASE_KEYS"
    monkeypatch.setattr(f"e2ecross.state.stripe.{name}", 3)
    with MemoryStore(stripes).transaction() as tx:
        assert [count_seen(tx, 5, {5}, stripes) for _ in range(3)] == [False, False, True]
        assert is_full(tx, 5, stripes)
        assert not is_full(tx, 6, stripes)
        if stripes:
            assert not is_full(tx.at(9), 5, stripes)


def test_what_was_seen_of_prekeys_that_are_gone_goes_with_the_next_count() -> None:
    with MemoryStore().transaction() as tx:
        for prekey_id in (9, 2, 5):
            count_seen(tx, prekey_id, {2, 5, 9}, 0)
        assert read_stripe(tx).seen == ((2, 1), (5, 1), (9, 1))
        count_seen(tx, 9, {5, 9}, 0)
        assert read_stripe(tx).seen == ((5, 1), (9, 2))


def test_a_stripe_counts_of_64_prekeys_at_most() -> None:
    kept = set(range(1, 101))
    with MemoryStore().transaction() as tx:
        for prekey_id in kept:
            count_seen(tx, prekey_id, kept, 0)
        seen = read_stripe(tx).seen
        assert StripeRecord.decode(read_stripe(tx).encode()).seen == seen
    assert [each for each, _ in seen] == list(range(37, 101))


def test_a_stripe_has_its_part_of_what_there_may_be() -> None:
    assert bound_of_stripe(20_000, 0) == 20_000
    assert bound_of_stripe(20_000, 64) == 313  # rounded up
    assert bound_of_stripe(64 * 64, 64) == 64
    assert bound_of_stripe(64 * 64 + 1, 64) == 65
    assert bound_of_stripe(20_000, 4_096) == 64  # never less,
    assert bound_of_stripe(10, 4_096) == 10  # and never more than in all
    assert bound_of_stripe(0, 64) == 0
