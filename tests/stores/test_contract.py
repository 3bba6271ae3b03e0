# SPDX-License-Identifier: Apache-2.0
"""What `stores/base.py` promises, held for every store."""

import copy
import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2ecross.errors import InvalidArgument, StoreBusy, StoreClosed, StoreError
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table, Transaction
from tests.stores.support import (
    KINDS,
    POSTGRES,
    WAIT_SECONDS,
    content,
    get,
    increment,
    make_store,
    put,
)
from tests.support.depth import deepened

SESSIONS = Table.SESSIONS


def test_a_new_store_is_empty(store: Store) -> None:
    with store.transaction() as transaction:
        assert content(transaction) == {}
        for table in Table:
            assert transaction.get(table, b"p") is None
            assert transaction.list(table) == []
            assert transaction.count(table) == 0


def test_what_was_put_is_there_at_once_and_later(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.put(SESSIONS, b"p", b"r", b"first")
        assert transaction.get(SESSIONS, b"p", b"r") == b"first"
        transaction.put(SESSIONS, b"p", b"r", b"second, longer")
        assert transaction.get(SESSIONS, b"p", b"r") == b"second, longer"
    assert get(store, SESSIONS, b"p", b"r") == b"second, longer"


def test_a_transaction_that_is_left_twice_leaves_alone_who_came_after_it(store: Store) -> None:
    """By whatever wraps it; in the same thread and in another one."""
    block = store.transaction()
    block.__enter__()
    block.__exit__(None, None, None)
    with store.transaction() as transaction, ThreadPoolExecutor(1) as threads:
        transaction.put(SESSIONS, b"p", b"r", b"x")
        assert transaction.count(SESSIONS, b"p") == 1
        with suppress(StoreError):  # it may say so
            block.__exit__(None, None, None)
        again = threads.submit(block.__exit__, ZeroDivisionError, ZeroDivisionError(), None)
        again.result(WAIT_SECONDS)
        transaction.put(SESSIONS, b"p", b"s", b"x")
    assert get(store, SESSIONS, b"p", b"r") == get(store, SESSIONS, b"p", b"s") == b"x"


def test_deleting(store: Store) -> None:
    put(store, SESSIONS, b"p", b"r", b"x")
    with store.transaction() as transaction:
        transaction.delete(SESSIONS, b"p", b"r")
        transaction.delete(SESSIONS, b"p", b"r")
        transaction.delete(SESSIONS, b"never")
        assert transaction.get(SESSIONS, b"p", b"r") is None
    with store.transaction() as transaction:
        assert content(transaction) == {}


def test_clearing_a_partition_leaves_every_other(store: Store) -> None:
    places = [
        (table, partition, b"%d" % number)
        for table in (SESSIONS, Table.SKIPPED_KEYS)
        for partition in (b"", b"p", b"pp")
        for number in range(5)
    ]
    with store.transaction() as transaction:
        for place in places:
            transaction.put(*place, b"x")
        assert transaction.clear(SESSIONS, b"p") == 5
        assert transaction.clear(SESSIONS, b"p") == 0
        assert transaction.clear(SESSIONS, b"never", 3) == 0
        assert transaction.count(SESSIONS, b"p") == 0
    with store.transaction() as transaction:
        assert {*content(transaction)} == {
            place for place in places if place[:2] != (SESSIONS, b"p")
        }


@pytest.mark.parametrize(("limit", "removed"), [(0, 0), (1, 1), (4, 4), (5, 5), (6, 5)])
def test_clearing_stops_at_its_limit(limit: int, removed: int, store: Store) -> None:
    with store.transaction() as transaction:
        for number in range(5):
            transaction.put(SESSIONS, b"p", b"%d" % number, b"x")
        assert transaction.clear(SESSIONS, b"p", limit) == removed
        assert transaction.count(SESSIONS, b"p") == 5 - removed


def test_clearing_is_undone_with_its_block(store: Store) -> None:
    put(store, SESSIONS, b"p", b"r", b"x")
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:  # noqa: PT012
        transaction.clear(SESSIONS, b"p")
        transaction.put(SESSIONS, b"p", b"s", b"y")
        raise ZeroDivisionError
    assert get(store, SESSIONS, b"p", b"r") == b"x"
    assert get(store, SESSIONS, b"p", b"s") is None


def test_empty_keys_and_records_are_ordinary(store: Store) -> None:
    put(store, SESSIONS, b"", b"", b"")
    assert get(store, SESSIONS, b"") == b""
    with store.transaction() as transaction:
        assert transaction.list(SESSIONS) == [(b"", b"")]
        assert list(transaction.scan(SESSIONS)) == [(b"", b"", b"")]


@pytest.mark.parametrize("size", [1, 230, 1_024, 128 * 1024, 1024 * 1024])
def test_records_of_any_size(store: Store, size: int) -> None:
    record = bytes(range(256)) * (size // 256) + bytes(size % 256)
    put(store, Table.OUTBOX, b"", b"big", record)
    assert get(store, Table.OUTBOX, b"", b"big") == record


def test_rows_are_listed_in_byte_order(store: Store) -> None:
    rows = [b"", b"\0", b"\0\0", b"A", b"a", b"aa", b"b", b"\x7f", b"\x80", b"\xff", b"\xff\0"]
    with store.transaction() as transaction:
        for row in reversed(rows):
            transaction.put(SESSIONS, b"p", row, b"record " + row)
        expected = [(row, b"record " + row) for row in rows]
        assert transaction.list(SESSIONS, b"p") == expected
        assert transaction.count(SESSIONS, b"p") == len(rows)


ODD_KEYS = [b"", b"\0", b"\0\0", b"A", b"a", b"a\0", b"a\0\0", b"aa", b"b", b"\xff", b"\xff\xff"]


@pytest.mark.parametrize("table", [SESSIONS, Table.OUTBOX], ids=["hidden rows", "rows of a queue"])
def test_a_part_of_a_listing(store: Store, table: Table) -> None:
    with store.transaction() as tx:
        for row in reversed(ODD_KEYS):
            tx.put(table, b"p", row, b"record " + row)
        tx.put(table, b"other", b"ab", b"x")
        rows = [(row, b"record " + row) for row in ODD_KEYS]
        for limit in (None, 0, 1, 3, len(rows), len(rows) + 1, 2**63 - 1):
            assert tx.list(table, b"p", limit=limit) == rows[:limit]
            assert tx.list(table, b"never", limit=limit, after=b"") == []
            for number, (row, _) in enumerate(rows):
                assert tx.list(table, b"p", limit=limit, after=row) == rows[number + 1 :][:limit]
        assert tx.list(table, b"p", limit=2, after=b"Z") == rows[4:6]  # which is no row
        assert tx.list(table, b"p", after=b"\xff\xff\0") == []
        tx.delete(table, b"p", b"a")
        tx.put(table, b"p", b"a!", b"new")
        assert tx.list(table, b"p", limit=2, after=b"A") == [rows[5], rows[6]]
        assert tx.list(table, b"p", limit=1, after=rows[6][0]) == [(b"a!", b"new")]


def walk(tx: Transaction, table: Table, limit: int) -> list[bytes]:
    found: list[bytes] = []
    while part := tx.partitions(table, limit=limit, after=found[-1] if found else None):
        assert len(part) <= limit
        found += part
    return found


@pytest.mark.parametrize("table", [SESSIONS, Table.OUTBOX])
def test_partitions_are_walked_without_their_rows(store: Store, table: Table) -> None:
    with store.transaction() as tx:
        assert tx.partitions(table) == []
        for partition in ODD_KEYS:
            for row in (b"", b"1", b"2"):
                tx.put(table, partition, row, b"x")
    with store.transaction() as tx:
        order = list(tx.partitions(table))
        assert sorted(order) == ODD_KEYS
        for limit in (1, 2, 3, len(order), 100):
            assert walk(tx, table, limit) == order
        assert tx.partitions(table, limit=0) == []
        assert tx.partitions(Table.SENT) == []
        gone, left = order[4], [each for each in order if each != order[4]]
        tx.clear(table, gone)
        tx.delete(table, order[5], b"1")
        assert tx.partitions(table) == left
        assert tx.partitions(table, limit=2, after=gone) == order[5:7]  # which has no rows now
    with store.transaction() as tx:
        assert walk(tx, table, 2) == left


def test_a_walk_over_queues_takes_what_it_wants_of_each(store: Store) -> None:
    """As an outbox with one partition for each recipient is worked off."""
    queues = {
        b"to %d" % recipient: [number.to_bytes(8) for number in range(recipient, 40, 7)]
        for recipient in range(7)
    }
    with store.transaction() as tx:
        for partition, numbers in queues.items():
            for number in numbers:
                tx.put(Table.OUTBOX, partition, number, b"message " + number)
    taken: dict[bytes, list[bytes]] = {partition: [] for partition in queues}
    after: bytes | None = None
    for _ in range(1_000):
        with store.transaction() as tx:
            part = tx.partitions(Table.OUTBOX, limit=2, after=after)
            for partition in part:
                for row, record in tx.list(Table.OUTBOX, partition, limit=2):
                    assert record == b"message " + row
                    taken[partition].append(row)
                    tx.delete(Table.OUTBOX, partition, row)
            if not part and after is None:
                break
            after = part[-1] if part else None
    assert taken == queues


def test_an_undone_block_leaves_the_order_as_it_was(store: Store) -> None:
    with store.transaction() as tx:
        for row in (b"b", b"d"):
            tx.put(Table.OUTBOX, b"p", row, row)
        assert [row for row, _ in tx.list(Table.OUTBOX, b"p", limit=9)] == [b"b", b"d"]
        assert tx.partitions(Table.OUTBOX) == [b"p"]
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:  # noqa: PT012
        for row in (b"a", b"c", b"e"):
            tx.put(Table.OUTBOX, b"p", row, row)
        tx.delete(Table.OUTBOX, b"p", b"b")
        tx.put(Table.OUTBOX, b"q", b"", b"")
        assert [row for row, _ in tx.list(Table.OUTBOX, b"p", limit=9)] == [b"a", b"c", b"d", b"e"]
        tx.clear(Table.OUTBOX, b"p")
        assert tx.partitions(Table.OUTBOX) == [b"q"]
        raise ZeroDivisionError
    with store.transaction() as tx:
        assert [row for row, _ in tx.list(Table.OUTBOX, b"p", limit=9)] == [b"b", b"d"]
        assert tx.partitions(Table.OUTBOX) == [b"p"]


def test_places_do_not_run_into_each_other(store: Store) -> None:
    places = [
        (table, partition, row)
        for table in (SESSIONS, Table.SKIPPED_KEYS)
        for partition, row in ((b"a", b"bc"), (b"ab", b"c"), (b"abc", b""), (b"", b"abc"))
    ]
    with store.transaction() as transaction:
        for number, place in enumerate(places):
            transaction.put(*place, b"%d" % number)
    with store.transaction() as transaction:
        assert content(transaction) == {
            place: b"%d" % number for number, place in enumerate(places)
        }
        assert transaction.list(SESSIONS, b"ab") == [(b"c", b"1")]
        assert transaction.count(SESSIONS, b"ab") == 1


def test_a_walk_over_many_rows_misses_none(store: Store) -> None:
    rows = {(b"%d" % (n % 7), b"%d" % n, bytes(n)) for n in range(200)}
    with store.transaction() as transaction:
        for partition, row, record in rows:
            transaction.put(Table.INBOX, partition, row, record)
        walk = list(transaction.scan(Table.INBOX))
    assert len(walk) == len(rows)
    assert set(walk) == rows


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_block_that_raises_leaves_nothing(store: Store, error: type[BaseException]) -> None:
    put(store, SESSIONS, b"p", b"old", b"old")
    put(store, SESSIONS, b"p", b"deleted", b"deleted")
    raised = error("of the caller")
    with pytest.raises(error) as caught, store.transaction() as transaction:  # noqa: PT012
        transaction.put(SESSIONS, b"p", b"old", b"new")
        transaction.put(SESSIONS, b"p", b"old", b"newer")
        transaction.delete(SESSIONS, b"p", b"deleted")
        transaction.put(SESSIONS, b"p", b"deleted", b"again")
        transaction.put(Table.INBOX, b"", b"added", b"added")
        raise raised
    assert caught.value is raised
    with store.transaction() as transaction:
        assert content(transaction) == {
            (SESSIONS, b"p", b"old"): b"old",
            (SESSIONS, b"p", b"deleted"): b"deleted",
        }


def test_a_transaction_does_not_nest(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.put(SESSIONS, b"p", b"r", b"x")
        with pytest.raises(StoreError, match="open in this thread"), store.transaction():
            pass
    assert get(store, SESSIONS, b"p", b"r") == b"x"


def test_a_transaction_is_useless_after_its_end(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.put(SESSIONS, b"p", b"r", b"x")
        transaction.put(SESSIONS, b"p", b"s", b"x")
        walk = transaction.scan(SESSIONS)
        next(walk)
    late: list[Callable[[], object]] = [
        lambda: transaction.get(SESSIONS, b"p", b"r"),
        lambda: transaction.put(SESSIONS, b"p", b"r", b"y"),
        lambda: transaction.delete(SESSIONS, b"p", b"r"),
        lambda: transaction.list(SESSIONS, b"p"),
        lambda: transaction.partitions(SESSIONS),
        lambda: transaction.list(SESSIONS, b"p", limit=1),
        lambda: transaction.count(SESSIONS, b"p"),
        lambda: transaction.clear(SESSIONS, b"p"),
        lambda: transaction.scan(SESSIONS),
        lambda: next(walk),
    ]
    for call in late:
        with pytest.raises(StoreError, match="ended"):
            call()
    assert get(store, SESSIONS, b"p", b"r") == b"x"
    put(store, SESSIONS, b"p", b"r", b"z")  # the walk that was left half done holds nothing up


def test_wrong_arguments_are_named_and_change_nothing(store: Store) -> None:
    put(store, SESSIONS, b"p", b"r", b"x")

    def calls(transaction: Any) -> Iterator[tuple[str, Callable[[], object]]]:  # noqa: ANN401
        bad: Any
        for bad in ("sessions", None, 1, "nonsense"):
            yield "table", partial(transaction.get, bad, b"p")
            yield "table", partial(transaction.put, bad, b"p", b"r", b"x")
            yield "table", partial(transaction.delete, bad, b"p")
            yield "table", partial(transaction.list, bad)
            yield "table", partial(transaction.partitions, bad)
            yield "table", partial(transaction.count, bad)
            yield "table", partial(transaction.clear, bad, b"p")
            yield "table", partial(transaction.scan, bad)
        for bad in ("p", None, 1, bytearray(b"p"), memoryview(b"p")):
            yield "partition", partial(transaction.get, SESSIONS, bad)
            yield "partition", partial(transaction.put, SESSIONS, bad, b"r", b"x")
            yield "partition", partial(transaction.delete, SESSIONS, bad)
            yield "partition", partial(transaction.list, SESSIONS, bad)
            yield "partition", partial(transaction.count, SESSIONS, bad)
            yield "partition", partial(transaction.clear, SESSIONS, bad)
            yield "row", partial(transaction.get, SESSIONS, b"p", bad)
            yield "row", partial(transaction.put, SESSIONS, b"p", bad, b"x")
            yield "row", partial(transaction.delete, SESSIONS, b"p", bad)
            yield "record", partial(transaction.put, SESSIONS, b"p", b"r", bad)

        for bad in (-1, True, 1.5, "1", 2**63):
            yield "limit", partial(transaction.clear, SESSIONS, b"p", bad)
            for table in (SESSIONS, Table.INBOX):
                yield "limit", partial(transaction.list, table, b"p", limit=bad)
                yield "limit", partial(transaction.partitions, table, limit=bad)
        for bad in ("p", 1, bytearray(b"p")):
            for table in (SESSIONS, Table.INBOX):
                yield "after", partial(transaction.list, table, b"p", after=bad)
                yield "after", partial(transaction.partitions, table, after=bad)

    with store.transaction() as transaction:
        for name, call in calls(transaction):
            with pytest.raises(InvalidArgument, match=f"^{name} must be"):
                call()
        assert content(transaction) == {(SESSIONS, b"p", b"r"): b"x"}


def test_a_closed_store_refuses(store: Store) -> None:
    put(store, SESSIONS, b"p", b"r", b"x")
    store.close()
    store.close()
    with pytest.raises(StoreClosed), store.transaction():
        pass


def test_a_store_is_not_closed_from_inside_a_transaction(store: Store) -> None:
    with store.transaction() as transaction:
        with pytest.raises(StoreError, match="open in this thread"):
            store.close()
        transaction.put(SESSIONS, b"p", b"r", b"x")
    assert get(store, SESSIONS, b"p", b"r") == b"x"


@contextmanager
def held_by_another_thread(store: Store) -> Iterator[None]:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with store.transaction():
            inside.set()
            leave.wait(WAIT_SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(WAIT_SECONDS)
        yield
    finally:
        leave.set()
        thread.join(WAIT_SECONDS)


def test_waiting_is_bounded(hasty_store: Store) -> None:
    with held_by_another_thread(hasty_store):
        began = time.monotonic()
        with pytest.raises(StoreBusy), hasty_store.transaction():
            pass
        with pytest.raises(StoreBusy):
            hasty_store.close()
        assert 0.1 <= time.monotonic() - began < WAIT_SECONDS
    put(hasty_store, SESSIONS, b"p", b"r", b"x")


def test_threads_lose_no_update(store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(increment, store) for _ in range(120)]:
            done.result(WAIT_SECONDS)
    assert get(store, Table.DEVICE, b"counter") == b"120"


def test_a_store_shows_no_content(tmp_path: Path) -> None:
    for store in (MemoryStore(), SQLiteStore(tmp_path / "a.db", key=b"K" * 32)):
        put(store, SESSIONS, b"hidden partition", b"hidden row", b"hidden record")
        with store.transaction() as transaction:
            shown = f"{store!r} {store} {transaction!r}"
        assert "hidden" not in shown
        assert "KKK" not in shown
        assert "open" in repr(store)
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                attempt(store)
        store.close()
        assert "closed" in repr(store)


@pytest.mark.parametrize("make", [MemoryStore, lambda **kw: SQLiteStore("unused.db", **kw)])
@pytest.mark.parametrize("value", [-1, 1.5, True, None, "5", 10**9])
def test_the_timeout_is_checked(make: Callable[..., Store], value: object) -> None:
    with pytest.raises(InvalidArgument, match="busy_timeout_ms"):
        make(busy_timeout_ms=value)


KEYS = st.sampled_from([b"", b"a", b"ab", b"b", b"\xff"])
PLACES = st.tuples(st.sampled_from([Table.SESSIONS, Table.INBOX]), KEYS, KEYS)
Transactions = list[tuple[bool, list[tuple[tuple[Table, bytes, bytes], bytes | None]]]]
RECORDS = st.one_of(st.none(), st.binary(max_size=20), st.just(bytes(3_000)))
TRANSACTIONS = st.lists(
    st.tuples(st.booleans(), st.lists(st.tuples(PLACES, RECORDS), max_size=6)), max_size=8
)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in POSTGRES])
@given(TRANSACTIONS)
def test_a_store_is_a_dict_with_transactions(kind: str, transactions: Transactions) -> None:
    check_dict(kind, transactions)


@pytest.mark.parametrize("kind", POSTGRES)
@settings(max_examples=deepened(15))  # each makes a store in a database
@given(TRANSACTIONS)
def test_a_store_in_a_database_is_a_dict_with_transactions(
    kind: str, transactions: Transactions
) -> None:
    check_dict(kind, transactions)


def check_dict(kind: str, transactions: Transactions) -> None:
    committed: dict[tuple[Table, bytes, bytes], bytes] = {}
    with tempfile.TemporaryDirectory() as directory:
        store = make_store(kind, Path(directory))
        for commits, changes in transactions:
            model = dict(committed)
            try:
                with store.transaction() as transaction:
                    check_against(transaction, model)
                    for place, record in changes:
                        if record is None:
                            transaction.delete(*place)
                            model.pop(place, None)
                        else:
                            transaction.put(*place, record)
                            model[place] = record
                        assert transaction.get(*place) == record
                    check_against(transaction, model)
                    if not commits:
                        raise InterruptedError
                committed = model
            except InterruptedError:
                pass
        with store.transaction() as transaction:
            check_against(transaction, committed)
        store.close()


def test_what_was_looked_for_before_it_was_there_is_found_afterwards(store: Store) -> None:
    """An order of rows that is kept must not outlive the rows it was of."""
    with store.transaction() as tx:
        for _ in range(2):
            assert tx.list(Table.INBOX, b"p", limit=1) == []
            assert tx.partitions(Table.INBOX, limit=1) == []
            tx.put(Table.INBOX, b"p", b"row", b"record")
            assert tx.list(Table.INBOX, b"p", limit=1, after=b"") == [(b"row", b"record")]
            assert tx.partitions(Table.INBOX, limit=1) == [b"p"]
            tx.delete(Table.INBOX, b"p", b"row")


def check_against(transaction: Transaction, model: dict[tuple[Table, bytes, bytes], bytes]) -> None:
    assert content(transaction) == model
    for table in (Table.SESSIONS, Table.INBOX):
        partitions = {place[1] for place in model if place[0] is table}
        assert set(transaction.partitions(table)) == partitions
    for table, partition in {place[:2] for place in model}:
        rows = sorted(
            (key[2], value) for key, value in model.items() if key[:2] == (table, partition)
        )
        assert transaction.list(table, partition) == rows
        assert transaction.list(table, partition, limit=2) == rows[:2]
        after = rows[len(rows) // 2][0]
        assert transaction.list(table, partition, after=after) == rows[len(rows) // 2 + 1 :]
        assert transaction.count(table, partition) == len(rows)
