# SPDX-License-Identifier: Apache-2.0
"""How many prekeys may be made: each bound at N and N+1, and clocks that are wrong."""

import pytest

from e2ecross import Policy
from e2ecross.state.upkeep import (
    UPKEEP_ROW,
    note_made,
    note_refused,
    note_taken,
    prekeys_allowed,
    was_refused_lately,
)
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.records import UpkeepRecord
from tests.support.devices import DAY_MS, NOW_MS

HOUR_MS = 60 * 60 * 1000
TARGET = 100
POLICY = Policy(one_time_prekeys_low=20, one_time_prekeys_target=TARGET)


def allowed(store: MemoryStore, now_ms: int = NOW_MS, policy: Policy = POLICY) -> int:
    with store.transaction() as tx:
        return prekeys_allowed(tx, policy, now_ms)


def make(store: MemoryStore, one_time: int, now_ms: int = NOW_MS, ids: int | None = None) -> None:
    with store.transaction() as tx:
        note_made(tx, one_time, 2 * one_time if ids is None else ids, now_ms)


def refuse(store: MemoryStore, now_ms: int = NOW_MS) -> None:
    with store.transaction() as tx:
        note_refused(tx, now_ms)


def was_refused(store: MemoryStore, now_ms: int = NOW_MS) -> bool:
    with store.transaction() as tx:
        return was_refused_lately(tx, now_ms)


def record(store: MemoryStore) -> UpkeepRecord:
    with store.transaction() as tx:
        return UpkeepRecord.decode(tx.get(Table.DEVICE, b"", UPKEEP_ROW) or b"")


def test_in_an_hour_as_many_are_made_as_there_should_be_at_all() -> None:
    store = MemoryStore()
    assert allowed(store) == TARGET
    make(store, 60)
    assert allowed(store) == 40
    make(store, 40, NOW_MS + HOUR_MS - 1)
    assert allowed(store, NOW_MS + HOUR_MS - 1) == 0
    assert allowed(store, NOW_MS + HOUR_MS) == TARGET
    make(store, 1_000)  # whoever publishes by hand may make more
    assert allowed(store) == 0


def test_in_a_day_2500_ids_are_used() -> None:
    store = MemoryStore()
    for hour in range(24):
        now_ms = NOW_MS + hour * HOUR_MS
        make(store, allowed(store, now_ms), now_ms)
    assert record(store).ids == 2_400 + 2 * 49 == 2_500 - 2  # a rotation has room, too
    make(store, 0, NOW_MS + DAY_MS - 1, ids=2)
    assert allowed(store, NOW_MS + DAY_MS - 1) == 0
    assert allowed(store, NOW_MS + DAY_MS) == TARGET


@pytest.mark.parametrize(("ids", "left"), [(2_298, 100), (2_299, 99), (2_496, 1), (2_497, 0)])
def test_what_is_left_of_the_day_is_shared_by_both_kinds(ids: int, left: int) -> None:
    store = MemoryStore()
    make(store, 0, ids=ids)
    assert allowed(store) == left
    make(store, 0, ids=10_000)
    assert allowed(store) == 0


def test_all_ids_last_for_years() -> None:
    """Also at a back end that always counts none."""
    assert 2**23 / 2_500 / 365 > 9  # a sequence begins in the lower half of 2^24


@pytest.mark.parametrize("target", [1, 1_000])
def test_the_hour_follows_the_policy(target: int) -> None:
    policy = Policy(one_time_prekeys_low=1, one_time_prekeys_target=target)
    store = MemoryStore()
    assert allowed(store, policy=policy) == target
    make(store, target)
    assert allowed(store, policy=policy) == 0
    assert allowed(store, NOW_MS + HOUR_MS, policy) == min(target, (2_500 - 2 - 2 * target) // 2)


def test_after_a_refusal_none_are_made_for_an_hour() -> None:
    store = MemoryStore()
    assert not was_refused(store)
    refuse(store)
    for later, is_over in ((0, False), (HOUR_MS - 1, False), (HOUR_MS, True)):
        assert was_refused(store, NOW_MS + later) is not is_over
        assert allowed(store, NOW_MS + later) == (TARGET if is_over else 0)
    refuse(store, NOW_MS + HOUR_MS)
    assert allowed(store, NOW_MS + HOUR_MS) == 0
    with store.transaction() as tx:
        note_taken(tx, NOW_MS + HOUR_MS)
    assert not was_refused(store, NOW_MS + HOUR_MS)
    assert allowed(store, NOW_MS + HOUR_MS) == TARGET


def test_that_a_publication_was_taken_is_written_only_after_a_refusal() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        note_taken(tx, NOW_MS)
        assert tx.get(Table.DEVICE, b"", UPKEEP_ROW) is None


@pytest.mark.parametrize("ahead", [1, HOUR_MS, 400 * DAY_MS])
def test_times_after_now_count_as_over(ahead: int) -> None:
    """A clock that was a year ahead for a minute must not stop publications for a year."""
    store = MemoryStore()
    make(store, TARGET, NOW_MS + ahead, ids=2_500)
    refuse(store, NOW_MS + ahead)
    assert allowed(store, NOW_MS + ahead) == 0
    assert not was_refused(store)
    assert allowed(store) == TARGET
    make(store, TARGET)  # and from now on the right clock counts
    assert allowed(store) == 0
    assert (record(store).hour_started_at_ms, record(store).day_started_at_ms) == (NOW_MS,) * 2
    assert allowed(store, NOW_MS + HOUR_MS, POLICY) in (0, TARGET)
