# SPDX-License-Identifier: Apache-2.0
"""Rows that are kept for a time: how long at least, how long at most, how many."""

from hypothesis import example, given
from hypothesis import strategies as st

from e2ecross.state.shelf import FoundRow, Shelf
from e2ecross.stores import MemoryStore, Table
from tests.support.devices import NOW_MS, Stores

KEPT_MS = 1_000
SHELF = Shelf(Table.DELIVERED, KEPT_MS, 1_000)


def rows_stored(store: MemoryStore) -> int:
    with store.transaction() as tx:
        return sum(1 for partition, _, _ in tx.scan(Table.DELIVERED) if partition)


@given(st.lists(st.integers(0, 700), max_size=60))
@example([KEPT_MS // 20] * 60)  # a row in each of the moments at which generations may change
def test_a_row_is_found_for_the_time_and_at_most_a_quarter_longer(pauses: list[int]) -> None:
    store, now_ms = MemoryStore(), NOW_MS
    added: dict[bytes, int] = {}
    for number, pause in enumerate(pauses):
        now_ms += pause
        row = number.to_bytes(2)
        with store.transaction() as tx:
            SHELF.add(tx, row, b"record " + row, now_ms)
            added[row] = now_ms
            for other, at_ms in added.items():
                found = SHELF.find(tx, other, now_ms)
                if now_ms - at_ms < KEPT_MS:
                    assert found is not None
                    assert found.record == b"record " + other
                elif now_ms - at_ms >= KEPT_MS + KEPT_MS // 4:
                    assert found is None


@given(st.integers(1, 40), st.lists(st.integers(0, 30), max_size=150))
@example(1, [0] * 10)
def test_no_more_rows_are_kept_than_allowed_and_the_newest_are(
    most: int, pauses: list[int]
) -> None:
    store, shelf, now_ms = MemoryStore(), Shelf(Table.DELIVERED, 10_000, most), NOW_MS
    for number, pause in enumerate(pauses):
        now_ms += pause
        with store.transaction() as tx:
            shelf.add(tx, number.to_bytes(2), b"", now_ms)
            # At least four fifths of the allowed number, and the newest in any case.
            for recent in range(max(0, number + 1 - max(most * 4 // 5 - 4, 1)), number + 1):
                assert shelf.find(tx, recent.to_bytes(2), now_ms) is not None
            found = [
                n for n in range(number + 1) if shelf.find(tx, n.to_bytes(2), now_ms) is not None
            ]
        assert len(found) <= most + 4  # a bound that five generations do not divide
        assert rows_stored(store) <= most + 4 + 64


def test_forgotten_rows_are_deleted_a_bounded_number_at_a_time() -> None:
    store = MemoryStore()
    # As many of a stripe, if there are some, as of a store that has none.
    shelf = SHELF._replace(rows=SHELF.rows * max(store.stripes, 1))
    with store.transaction() as tx:
        for number in range(200):
            shelf.add(tx, number.to_bytes(2), b"", NOW_MS)
    left = [200]
    now_ms = NOW_MS + 2 * KEPT_MS
    for number in range(6):
        with store.transaction() as tx:
            shelf.add(tx, b"new" + bytes((number,)), b"", now_ms)
            assert shelf.find(tx, (199).to_bytes(2), now_ms) is None
        left.append(rows_stored(store) - number - 1)
    assert left == [200, 136, 72, 8, 0, 0, 0]
    with store.transaction() as tx:
        assert len({partition for partition, _, _ in tx.scan(Table.DELIVERED)}) == 2


def test_a_row_is_replaced_and_removed_where_it_was_found(stores: Stores) -> None:
    store = stores.open("ana")
    with store.transaction() as tx:
        SHELF.add(tx, b"row", b"one", NOW_MS)
        SHELF.add(tx, b"other", b"other", NOW_MS + KEPT_MS // 2)  # of the next generation
        found = SHELF.find(tx, b"row", NOW_MS)
        assert found == FoundRow(bytes(4), b"one")
        SHELF.replace(tx, found, b"row", b"two")
    with store.transaction() as tx:
        assert SHELF.find(tx, b"row", NOW_MS) == FoundRow(bytes(4), b"two")
        assert SHELF.find(tx, b"row", NOW_MS + KEPT_MS * 5 // 4 - 1) is not None
        assert SHELF.find(tx, b"row", NOW_MS + KEPT_MS * 5 // 4) is None  # no longer for that
        SHELF.remove(tx, b"row", NOW_MS)
        SHELF.remove(tx, b"row", NOW_MS)
        assert SHELF.find(tx, b"row", NOW_MS) is None
        assert SHELF.find(tx, b"other", NOW_MS) is not None


def test_a_shelf_for_no_rows_keeps_none() -> None:
    store, shelf = MemoryStore(), Shelf(Table.SENT, KEPT_MS, 0)
    with store.transaction() as tx:
        shelf.add(tx, b"row", b"record", NOW_MS)
        assert shelf.find(tx, b"row", NOW_MS) is None
        assert list(tx.scan(Table.SENT)) == []


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        SHELF.add(tx, b"row", b"", NOW_MS)
        SHELF.add(tx, b"earlier", b"", NOW_MS - 10 * KEPT_MS)
        for row in (b"row", b"earlier"):
            assert SHELF.find(tx, row, NOW_MS - 10 * KEPT_MS) is not None


def test_a_generation_that_was_opened_in_the_future_ends_in_its_time() -> None:
    """A clock that was a year ahead must not keep what it wrote for a year."""
    store, future = MemoryStore(), NOW_MS + 365 * 24 * 60 * 60 * 1000
    with store.transaction() as tx:
        SHELF.add(tx, b"ahead", b"", future)
        SHELF.add(tx, b"now", b"", NOW_MS + 1)
        at_most = NOW_MS + 1 + KEPT_MS * 5 // 4
        for row in (b"ahead", b"now"):
            assert SHELF.find(tx, row, NOW_MS + KEPT_MS) is not None
            assert SHELF.find(tx, row, at_most) is None
        SHELF.add(tx, b"later", b"", at_most)
    assert rows_stored(store) == 1


def test_what_is_dated_in_the_future_begins_to_end_when_something_is_added() -> None:
    store, future = MemoryStore(), NOW_MS + 100 * KEPT_MS
    with store.transaction() as tx:
        SHELF.add(tx, b"ahead", b"", future)
        assert SHELF.find(tx, b"ahead", NOW_MS + 50 * KEPT_MS) is not None
        SHELF.add(tx, b"now", b"", NOW_MS)
        assert SHELF.find(tx, b"ahead", NOW_MS + KEPT_MS * 5 // 4) is None


def test_what_is_dated_in_the_future_begins_to_end_with_upkeep() -> None:
    store, future = MemoryStore(), NOW_MS + 100 * KEPT_MS
    with store.transaction() as tx:
        SHELF.tend(tx, NOW_MS)
        assert list(tx.scan(Table.SENT)) == []
        SHELF.add(tx, b"ahead", b"", future)
        SHELF.tend(tx, NOW_MS)
        before = list(tx.scan(Table.SENT))
        SHELF.tend(tx, NOW_MS + KEPT_MS // 2)  # what is dated right stays as it is
        assert list(tx.scan(Table.SENT)) == before
        assert SHELF.find(tx, b"ahead", NOW_MS + KEPT_MS) is not None
        assert SHELF.find(tx, b"ahead", NOW_MS + KEPT_MS * 5 // 4) is None


def test_upkeep_deletes_what_is_forgotten_where_nothing_is_added_any_more() -> None:
    """Else who writes no more would keep for good what was said."""
    store = MemoryStore()
    shelf = SHELF._replace(rows=20_000 * max(store.stripes, 1))
    with store.transaction() as tx:
        for number in range(2_500):
            shelf.add(tx, number.to_bytes(2), b"what was said", NOW_MS + number // 2_000 * KEPT_MS)
        shelf.tend(tx, NOW_MS + KEPT_MS)  # nothing is over
        assert shelf.find(tx, bytes(2), NOW_MS + KEPT_MS) is not None
    left = [2_500]
    for _ in range(5):
        with store.transaction() as tx:
            shelf.tend(tx, NOW_MS + KEPT_MS * 5 // 4)
            assert shelf.find(tx, (2_400).to_bytes(2), NOW_MS + KEPT_MS * 5 // 4) is not None
        left.append(rows_stored(store))
    assert left == [2_500, 1_500, 500, 500, 500, 500]
    with store.transaction() as tx:
        shelf.tend(tx, NOW_MS + 3 * KEPT_MS)
        shelf.add(tx, b"new", b"", NOW_MS + 3 * KEPT_MS)
        assert shelf.find(tx, b"new", NOW_MS + 3 * KEPT_MS) is not None
    assert rows_stored(store) == 1


def test_upkeep_deletes_what_was_too_much() -> None:
    store = MemoryStore()
    shelf = SHELF._replace(rows=500 * max(store.stripes, 1))
    with store.transaction() as tx:
        for number in range(501):
            shelf.add(tx, number.to_bytes(2), b"", NOW_MS)
    assert rows_stored(store) > 401
    with store.transaction() as tx:
        shelf.tend(tx, NOW_MS)
    assert rows_stored(store) == 401
