# SPDX-License-Identifier: Apache-2.0
"""A queue in a store: numbers, order, and what it costs."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2ecross.errors import RecordCorrupted
from e2ecross.state.queue import ENDS_ROW, Queue, number_row
from e2ecross.stores import MemoryStore, Store, Table, Transaction
from e2ecross.stores.base import ValuesAsBytes
from e2ecross.wire.queue_records import encode_queue_end
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


def test_two_queues_of_one_table_do_not_meet() -> None:
    store, other = MemoryStore(), Queue(Table.INBOX, b"other")
    fill(store, 3)
    with store.transaction() as tx:
        assert other.append(tx, b"mine") == 1
        QUEUE.remove(tx, 1)
        assert [*other.walk(tx)] == [(1, b"mine")]
        assert not other.was_given(tx, 2)


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


@settings(max_examples=60)
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


@pytest.mark.parametrize("damage", ["no record", "gone", "contradicts itself"])
def test_without_the_end_numbers_go_on_far_above_all_that_may_have_been_given(damage: str) -> None:
    store = MemoryStore()
    fill(store, 300)
    remove(store, *range(201, 301))
    with store.transaction() as tx:
        if damage == "gone":
            tx.delete(Table.INBOX, b"", ENDS_ROW)
        else:
            record = b"\x01\xff" if damage == "no record" else encode_queue_end(0)
            tx.put(Table.INBOX, b"", ENDS_ROW, record)
        assert QUEUE.was_given(tx, 200)
        assert QUEUE.was_given(tx, 300)
        assert QUEUE.last_given(tx) is None
        number = QUEUE.append(tx, b"new")
        assert number > 2**40
        assert QUEUE.append(tx, b"next") == number + 1
        assert QUEUE.last_given(tx) == number + 1
    assert walked(store) == [*range(1, 201), number, number + 1]
    assert walked(store, 300) == [number, number + 1]


def test_numbers_that_are_skipped_are_given_to_nothing() -> None:
    found = set()
    for seed in range(20):  # from one state, as from one copy of a store
        store = MemoryStore()
        fill(store, 3)
        with store.transaction() as tx:
            QUEUE.skip_numbers(tx, SeededEntropy(str(seed)))
            found.add(QUEUE.append(tx, b"new"))
        assert walked(store)[:3] == [1, 2, 3]
    assert len(found) == 20
    assert 2**40 < min(found) < max(found) < 2**42
