# SPDX-License-Identifier: Apache-2.0
"""A queue in a store: numbers, order, and what it costs."""

from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import RecordCorrupted, StoreError
from e2ecross.state.queue import NUMBER_BITS, Queue, number_row, skip_numbers
from e2ecross.state.stripe import read_stripe, save_stripe
from e2ecross.stores import MemoryStore, Store, Table, Transaction
from e2ecross.stores.base import ValuesAsBytes
from tests.support.devices import SpyStore, Stores
from tests.support.entropy import SeededEntropy

QUEUE = Queue(Table.INBOX, b"")


def fill(store: Store, count: int) -> None:
    with store.transaction() as tx:
        for number in range(1, count + 1):
            assert QUEUE.append(tx, b"%d" % number) == number


def walked(store: Store, after: int = 0) -> list[int]:
    with store.transaction() as tx:
        return [number for number, _ in QUEUE.walk(tx, after)]


def remove(store: Store, *numbers: int) -> None:
    with store.transaction() as tx:
        for number in numbers:
            QUEUE.remove(tx, number)


def test_rows_come_in_the_order_in_which_they_were_put(stores: Stores) -> None:
    fill(stores.open("ana"), 300)
    with stores.reopen("ana").transaction() as tx:
        assert [*QUEUE.walk(tx)] == [(n, b"%d" % n) for n in range(1, 301)]
        assert [*QUEUE.walk(tx, 298)] == [(299, b"299"), (300, b"300")]
        assert [*QUEUE.walk(tx, 300)] == [*QUEUE.walk(tx, 10**6)] == []
        assert QUEUE.get(tx, 256) == b"256"
        assert QUEUE.get(tx, 301) is None


def test_a_number_is_never_given_twice() -> None:
    store = MemoryStore()
    fill(store, 3)
    remove(store, 3, 2, 1)
    assert walked(store) == []
    with store.transaction() as tx:
        assert QUEUE.append(tx, b"") == 4
        QUEUE.remove(tx, 4)
        QUEUE.remove(tx, 4)
        assert [*QUEUE.walk(tx)] == []
        assert QUEUE.append(tx, b"") == 5


def test_what_was_ever_given_is_known() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        assert not any(QUEUE.was_given(tx, number) for number in (-1, 0, 1, 2))
    fill(store, 2)
    remove(store, 1)
    with store.transaction() as tx:
        known = [number for number in range(-1, 5) if QUEUE.was_given(tx, number)]
    assert known == [1, 2]
    remove(store, 2)
    with store.transaction() as tx:
        assert QUEUE.was_given(tx, 2)


def test_a_row_is_removed_in_the_middle_and_the_others_keep_their_numbers() -> None:
    store = MemoryStore()
    fill(store, 5)
    remove(store, 3, 4)
    assert walked(store) == [1, 2, 5]
    assert walked(store, 2) == [5]
    remove(store, 1, 2)
    assert walked(store) == [5]
    remove(store, 77)  # never was there
    assert walked(store) == [5]


def test_who_walks_may_remove_rows_and_sees_each_other_one_once() -> None:
    store = MemoryStore()
    fill(store, 6)
    seen = []
    with store.transaction() as tx:
        for number, _ in QUEUE.walk(tx):
            seen.append(number)
            QUEUE.remove(tx, number)
        assert QUEUE.append(tx, b"") == 7
    assert seen == [1, 2, 3, 4, 5, 6]
    assert walked(store) == [7]


def test_rows_that_are_put_while_somebody_walks_come_at_the_end() -> None:
    store = MemoryStore()
    fill(store, 2)
    seen = []
    with store.transaction() as tx:
        for number, record in QUEUE.walk(tx):
            seen.append(number)
            if number < 4:
                QUEUE.append(tx, record)
    assert seen == [1, 2, 3, 4, 5]


def test_queues_of_a_stripe_do_not_meet_and_have_their_numbers_of_one_count() -> None:
    store, other = MemoryStore(), Queue(Table.OUTBOX, b"\0other")
    fill(store, 3)
    with store.transaction() as tx:
        assert other.append(tx, b"mine") == 4
        QUEUE.remove(tx, 1)
        assert [*other.walk(tx)] == [(4, b"mine")]
        assert QUEUE.append(tx, b"") == 5
        assert QUEUE.last_given(tx) == other.last_given(tx) == 5


def test_a_queue_that_is_empty_again_has_no_row() -> None:
    store = MemoryStore(64)
    with store.transaction(7) as tx:
        number = QUEUE.append(tx, b"one")
    assert store.stripes_with(Table.INBOX) == [7]
    with store.transaction(7) as tx:
        QUEUE.remove(tx, number)
    assert store.stripes_with(Table.INBOX) == []
    with store.transaction(7) as tx:
        assert QUEUE.append(tx, b"two") == 2
    with store.transaction(8) as tx:
        assert QUEUE.append(tx, b"of another stripe") == 1


def set_next(tx: Transaction, number: int) -> None:
    save_stripe(tx, read_stripe(tx)._replace(next_queue_number=number))


def test_one_of_many_stripes_has_numbers_below_2_to_the_40() -> None:
    store = MemoryStore(64)
    last = (1 << NUMBER_BITS) - 1
    with store.transaction(7) as tx:
        set_next(tx, last)
        assert QUEUE.append(tx, b"last") == last
        with pytest.raises(StoreError, match="has used its numbers"):
            QUEUE.append(tx, b"one too many")
        assert QUEUE.was_given(tx, last)
        assert not QUEUE.was_given(tx, last + 1)
    with MemoryStore(0).transaction() as tx:
        set_next(tx, last)
        assert [QUEUE.append(tx, b"") for _ in range(3)] == [last, last + 1, last + 2]


def calls(spy: SpyStore, after: int, most: int) -> int:
    spy.forget()
    with spy.transaction() as tx:
        for looked_at, _ in enumerate(QUEUE.walk(tx, after), 1):
            if looked_at == most:
                break
    return len(spy.operations)


@pytest.mark.parametrize("stays", [1, 2, 500])
def test_what_a_walk_costs_depends_on_what_it_finds_and_not_on_what_is_gone(stays: int) -> None:
    """One row that stays at the front must not make every walk longer for ever."""
    costs = []
    for count in (600, 3_000):
        spy = SpyStore(MemoryStore())
        fill(spy, count)
        remove(spy, *(number for number in range(1, count - 1) if number != stays))
        costs.append((calls(spy, 0, 5), calls(spy, stays, 5), calls(spy, 0, 1)))
    assert costs[0] == costs[1]
    assert max(costs[0]) <= 5


def test_what_putting_and_removing_cost_does_not_depend_on_what_lies_there() -> None:
    costs = []
    for count in (10, 2_000):
        spy = SpyStore(MemoryStore())
        fill(spy, count)
        spy.forget()
        with spy.transaction() as tx:
            number = QUEUE.append(tx, b"")
            for removed in (1, 5, number):
                QUEUE.remove(tx, removed)
            QUEUE.was_given(tx, 3)
        costs.append(len(spy.operations))
    assert costs[0] == costs[1] <= 12


@given(st.lists(st.one_of(st.none(), st.integers(0, 12), st.just("walk")), max_size=60))
def test_a_queue_is_a_list_that_forgets_nothing_of_its_numbers(steps: list[object]) -> None:
    """None: append. A number: remove it. `walk`: walk from everywhere, which changes nothing."""
    store, model, given_numbers = MemoryStore(), dict[int, bytes](), 0
    with store.transaction() as tx:
        for step in steps:
            if step is None:
                given_numbers += 1
                record = b"record %d" % given_numbers
                assert QUEUE.append(tx, record) == given_numbers
                model[given_numbers] = record
            elif isinstance(step, int):
                QUEUE.remove(tx, step)
                model.pop(step, None)
            else:
                for after in range(given_numbers + 2):
                    left = [item for item in model.items() if item[0] > after]
                    assert [*QUEUE.walk(tx, after)] == left
            assert [QUEUE.was_given(tx, n) for n in (given_numbers, given_numbers + 1)] == [
                given_numbers > 0,
                False,
            ]
            assert QUEUE.get(tx, given_numbers) == model.get(given_numbers)
        assert [*QUEUE.walk(tx)] == [*model.items()]


def test_numbers_ascend_as_bytes() -> None:
    rows = [number_row(n) for n in (1, 255, 256, 2**32, 2**64 - 1)]
    assert rows == sorted(rows)
    assert {len(row) for row in rows} == {8}


class Unreadable(ValuesAsBytes):
    """A transaction of a store in which rows do not open; then it does not list them, either."""

    def __init__(self, inner: Transaction, *numbers: int) -> None:
        self.inner = inner
        self.rows = {number_row(number) for number in numbers}
        self.tells_row = True

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        if row in self.rows:
            raise self.error(row)
        return self.inner.get(table, partition, row)

    def list(
        self, table: Table, partition: bytes, *, limit: int, after: bytes
    ) -> list[tuple[bytes, bytes]]:
        found = self.inner.list(table, partition, limit=limit, after=after)
        for row, _ in found:
            if row in self.rows:
                raise self.error(row)
        return found

    def error(self, row: bytes) -> RecordCorrupted:
        error = RecordCorrupted("does not open")
        error.row = row if self.tells_row else None
        return error


@pytest.mark.parametrize("row", [b"\x09", b"\0" * 7, bytes(7) + b"\x02" + b"?", b"\xff" * 9])
def test_a_row_without_a_number_is_passed_over(stores: Stores, row: bytes) -> None:
    """In a damaged store: a walk ends, and finds all others once."""
    store = stores.open("ana")
    fill(store, 5)
    with store.transaction() as tx:
        tx.put(QUEUE.table, QUEUE.partition, row, b"?")
    assert walked(store) == [1, 2, 3, 4, 5]
    assert walked(store, 3) == [4, 5]


def test_a_row_that_does_not_open_comes_as_an_empty_one() -> None:
    with MemoryStore().transaction() as tx:
        for n in range(1, 7):
            QUEUE.append(tx, b"%d" % n)
        QUEUE.remove(tx, 2)
        unreadable = Unreadable(tx, 1, 4, 6)
        broken = cast("Transaction", unreadable)
        assert [*QUEUE.walk(broken)] == [(1, b""), (3, b"3"), (4, b""), (5, b"5"), (6, b"")]
        unreadable.tells_row = False  # then nobody can go on behind it
        with pytest.raises(RecordCorrupted, match="does not open"):
            list(QUEUE.walk(broken))


@pytest.mark.parametrize("of", [QUEUE, Queue(Table.OUTBOX, b"\0\1\1")])
def test_without_the_count_numbers_go_on_far_above_all_that_may_have_been_given(of: Queue) -> None:
    store = MemoryStore()
    fill(store, 300)
    remove(store, *range(201, 301))
    with store.transaction() as tx:
        tx.put(Table.INBOX, b"arrived", number_row(2**60), b"numbers of the back end are others")
        tx.delete(Table.STRIPE, b"")
        assert QUEUE.was_given(tx, 200)
        assert QUEUE.was_given(tx, 300)
        assert not QUEUE.was_given(tx, 0)
        assert QUEUE.last_given(tx) is None
        number = of.append(tx, b"new")
        assert number == 200 + 2**32
        assert of.append(tx, b"next") == number + 1
        assert QUEUE.last_given(tx) == number + 1
        assert [each for each, _ in of.walk(tx, 200)] == [number, number + 1]


def test_a_damaged_count_gives_nothing_and_says_that_all_may_have_been_given() -> None:
    store = MemoryStore()
    fill(store, 3)
    with store.transaction() as tx:
        tx.put(Table.STRIPE, b"", b"", b"\x01\xff")
        assert [QUEUE.was_given(tx, number) for number in (-1, 0, 1, 4)] == [
            *[False] * 2,
            True,
            True,
        ]
        assert QUEUE.last_given(tx) is None
        with pytest.raises(RecordCorrupted, match="a stripe record"):
            QUEUE.append(tx, b"")
    assert walked(store) == [1, 2, 3]


def test_rows_that_do_not_open_do_not_hide_the_highest_number() -> None:
    class Broken(Unreadable):
        def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
            return Rows(self.inner.scan(table))

    class Rows:
        """Like a sealed store's: each second one does not open, and the walk goes on behind it."""

        def __init__(self, inner: Iterator[tuple[bytes, bytes, bytes]]) -> None:
            self.inner, self.count = inner, 0

        def __iter__(self) -> "Rows":
            return self

        def __next__(self) -> tuple[bytes, bytes, bytes]:
            found, self.count = next(self.inner), self.count + 1
            if self.count % 2:
                raise RecordCorrupted("does not open")
            return found

    with MemoryStore().transaction() as tx:
        for _ in range(4):
            QUEUE.append(tx, b"")
        tx.delete(Table.STRIPE, b"")
        broken = cast("Transaction", Broken(tx))
        known = [QUEUE.was_given(broken, 2**32 + number) for number in (3, 4)]
    assert known == [True, False]


@pytest.mark.parametrize(("stripes", "step"), [(0, 2**40), (64, 2**32)])
def test_numbers_that_are_skipped_are_given_to_nothing(stripes: int, step: int) -> None:
    found = set()
    for seed in range(20):  # from one state, as from one copy of a store
        store = MemoryStore(stripes)
        fill(store, 3)
        with store.transaction() as tx:
            skip_numbers(tx, SeededEntropy(str(seed)))
            found.add(QUEUE.append(tx, b"new"))
        assert walked(store)[:3] == [1, 2, 3]
    assert len(found) == 20
    assert step < min(found) < max(found) < 4 * step


def test_what_is_skipped_is_above_all_that_is_there_also_without_a_count() -> None:
    with MemoryStore(64).transaction() as tx:
        set_next(tx, 2**39)
        QUEUE.append(tx, b"")
        set_next(tx, 2)
        skip_numbers(tx, SeededEntropy("1"))
        assert QUEUE.append(tx, b"") > 2**39 + 2**32


def test_a_stripe_that_was_put_back_too_often_gives_no_number_twice() -> None:
    with MemoryStore(64).transaction() as tx:
        for number in range(300):
            skip_numbers(tx, SeededEntropy(str(number)))
        with pytest.raises(StoreError, match="has used its numbers"):
            QUEUE.append(tx, b"")
        assert read_stripe(tx).next_queue_number == 2**40


def test_what_is_damaged_stands_there() -> None:
    class Damaged:
        def get(self, *_: object) -> bytes:
            raise RecordCorrupted("a record is damaged")

    tx = cast(Transaction, Damaged())
    assert QUEUE.has(tx, 1)
    with pytest.raises(RecordCorrupted, match="more than is counted"):
        QUEUE.require_unused(tx, 1)
