# SPDX-License-Identifier: Apache-2.0
"""Values, savepoints and what is kept of values: held for every store against its records."""

import gc
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import InvalidArgument, RecordCorrupted, StoreError
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table, Transaction
from e2ecross.stores.base import Codec, ValuesAsBytes
from e2ecross.stores.value_cache import NOT_KEPT, CachingTransaction, ValueCache
from tests.stores.support import KEY, KINDS, content, get, make_store, put
from tests.support.devices import SpyStore, dump

SESSIONS = Table.SESSIONS
PLACE = (SESSIONS, b"p", b"r")


def decode(data: bytes) -> int:
    if not data.isdigit():
        raise RecordCorrupted("no number")
    return int(data)


NUMBER: Codec[int] = Codec(lambda number: b"%d" % number, decode)
OTHER: Codec[int] = Codec(lambda number: b"%d" % (number + 1), lambda data: int(data) - 1)


def get_value(store: Store, codec: Codec[int] = NUMBER) -> int | None:
    with store.transaction() as tx:
        return tx.get_value(*PLACE, codec)


def put_value(store: Store, value: int) -> None:
    with store.transaction() as tx:
        tx.put_value(*PLACE, value, NUMBER)


def test_a_value_is_its_record(store: Store) -> None:
    assert get_value(store) is None
    put_value(store, 1234)
    assert get_value(store) == 1234
    assert get_value(store, OTHER) == 1233
    assert get(store, *PLACE) == b"1234"
    with store.transaction() as tx:
        assert content(tx) == {PLACE: b"1234"}
        assert tx.list(SESSIONS, b"p") == [(b"r", b"1234")]
    put(store, *PLACE, b"77")
    assert get_value(store) == 77
    put(store, *PLACE, b"x")
    with pytest.raises(RecordCorrupted):
        get_value(store)


@pytest.mark.parametrize(
    "bad", [("sessions", b"p", b"r"), (SESSIONS, "p", b"r"), (SESSIONS, b"p", 1)]
)
def test_a_wrong_place_is_refused(store: Store, bad: tuple[Table, bytes, bytes]) -> None:
    with store.transaction() as tx:
        with pytest.raises(InvalidArgument):
            tx.get_value(*bad, NUMBER)
        with pytest.raises(InvalidArgument):
            tx.put_value(*bad, 1, NUMBER)
        assert content(tx) == {}


def test_after_its_end_a_transaction_gives_no_value(store: Store) -> None:
    put_value(store, 1)
    with store.transaction() as tx:
        assert tx.get_value(*PLACE, NUMBER) == 1
    with pytest.raises(StoreError):
        tx.put_value(*PLACE, 2, NUMBER)
    with pytest.raises(StoreError):
        tx.get_value(*PLACE, NUMBER)


def test_a_failed_savepoint_undoes_its_own_changes_alone(store: Store) -> None:
    other = (SESSIONS, b"p", b"other")
    with store.transaction() as tx:
        tx.put_value(*PLACE, 1, NUMBER)
        with tx.savepoint():
            tx.put_value(*PLACE, 2, NUMBER)
        with suppress(ZeroDivisionError), tx.savepoint():
            assert tx.get_value(*PLACE, NUMBER) == 2
            tx.put_value(*PLACE, 3, NUMBER)
            tx.put(*other, b"x")
            tx.delete(*PLACE)
            assert tx.get_value(*PLACE, NUMBER) is None
            raise ZeroDivisionError
        assert tx.get_value(*PLACE, NUMBER) == 2
        assert content(tx) == {PLACE: b"2"}
        with tx.savepoint():
            tx.put(*other, b"y")
    assert get_value(store) == 2
    assert get(store, *other) == b"y"


def test_what_is_put_within_a_savepoint_is_there_at_once(store: Store) -> None:
    """However late a store writes it."""
    with store.transaction() as tx, tx.savepoint():
        tx.put_value(*PLACE, 1, NUMBER)
        assert tx.get(*PLACE) == b"1"
        tx.put_value(*PLACE, 2, NUMBER)
        assert tx.list(SESSIONS, b"p") == [(b"r", b"2")]
        tx.put_value(*PLACE, 3, NUMBER)
        assert tx.count(SESSIONS, b"p") == 1
        assert content(tx) == {PLACE: b"3"}
        tx.put_value(*PLACE, 4, NUMBER)
        assert tx.get_value(*PLACE, OTHER) == 3
        tx.put_value(*PLACE, 5, NUMBER)
        tx.delete(*PLACE)
        assert tx.get_value(*PLACE, NUMBER) is None
        tx.put_value(*PLACE, 6, NUMBER)
        tx.put(*PLACE, b"7")
        assert tx.get_value(*PLACE, NUMBER) == 7
        tx.put_value(*PLACE, 8, NUMBER)
        assert tx.clear(SESSIONS, b"p") == 1
        tx.put_value(*PLACE, 9, NUMBER)
        with pytest.raises(InvalidArgument):
            tx.put_value(SESSIONS, "p", b"r", 1, NUMBER)  # type: ignore[arg-type]
    assert get_value(store) == 9


_QUESTIONS: dict[str, tuple[Callable[[Transaction], object], object]] = {
    "get": (lambda tx: tx.get(*PLACE), b"2"),
    "get_value": (lambda tx: tx.get_value(*PLACE, NUMBER), 2),
    "get_value of another codec": (lambda tx: tx.get_value(*PLACE, OTHER), 1),
    "list": (lambda tx: tx.list(SESSIONS, b"p"), [(b"r", b"2")]),
    "list of some": (lambda tx: tx.list(SESSIONS, b"p", limit=1), [(b"r", b"2")]),
    "partitions": (lambda tx: tx.partitions(SESSIONS), [b"p"]),
    "count": (lambda tx: tx.count(SESSIONS, b"p"), 1),
    "scan": (lambda tx: list(tx.scan(SESSIONS)), [(b"p", b"r", b"2")]),
    "clear": (lambda tx: tx.clear(SESSIONS, b"p"), 1),
}
"""What may be asked of a transaction, and the answer after `PLACE` was put as 2."""


def _put_value(tx: Transaction) -> None:
    tx.put_value(*PLACE, 2, NUMBER)


def _put_record(tx: Transaction) -> None:
    tx.put(*PLACE, b"2")


@pytest.mark.parametrize("question", _QUESTIONS)
@pytest.mark.parametrize("do", [_put_value, _put_record])
@pytest.mark.parametrize("cached_values", [0, 4_096])
def test_every_question_is_answered_with_what_still_waits(
    path: Path, cached_values: int, do: Callable[[Transaction], None], question: str
) -> None:
    """Put in the savepoint that is open, or in one that has ended."""
    ask, answer = _QUESTIONS[question]
    with SQLiteStore(path, cached_values=cached_values) as store:
        with store.transaction() as tx, tx.savepoint():
            do(tx)
            assert ask(tx) == answer
        with store.transaction() as tx:
            tx.clear(SESSIONS, b"p")
            with tx.savepoint():
                do(tx)
            assert ask(tx) == answer
        assert get_value(store) == (None if question == "clear" else 2)


def _put_and_ask(tx: Transaction) -> None:
    tx.put_value(*PLACE, 3, NUMBER)
    assert tx.get(*PLACE) == b"3"


_CHANGES: dict[str, tuple[Callable[[Transaction], object], bytes | None]] = {
    "put": (lambda tx: tx.put(*PLACE, b"3"), b"3"),
    "put_value": (lambda tx: tx.put_value(*PLACE, 3, NUMBER), b"3"),
    "put_value, and ask": (_put_and_ask, b"3"),
    "delete": (lambda tx: tx.delete(*PLACE), None),
    "clear": (lambda tx: tx.clear(SESSIONS, b"p"), None),
}
"""What may be done to `PLACE`, and what it holds then."""


@pytest.mark.parametrize("change", _CHANGES)
def test_what_waits_does_not_come_over_what_came_after_it(store: Store, change: str) -> None:
    do, record = _CHANGES[change]
    with store.transaction() as tx:
        with tx.savepoint():
            tx.put_value(*PLACE, 1, NUMBER)
        do(tx)
    assert get(store, *PLACE) == record
    with store.transaction() as tx:
        for _ in range(2):
            with tx.savepoint():
                tx.put_value(*PLACE, 1, NUMBER)
        with tx.savepoint():
            do(tx)
    assert get(store, *PLACE) == record


def test_values_of_savepoints_are_written_once_and_in_the_end() -> None:
    spy = SpyStore(MemoryStore())
    with spy.transaction() as inner:
        tx = CachingTransaction(inner, ValueCache(100))
        for number in range(10):
            with tx.savepoint():
                tx.put_value(*PLACE, number, NUMBER)
                assert tx.get_value(*PLACE, NUMBER) == number
        assert not spy.writes
        tx.write()
        assert spy.writes == {SESSIONS: 1}
        tx.put_value(*PLACE, 10, NUMBER)
        assert spy.writes == {SESSIONS: 2}
    assert dump(spy) == {PLACE: b"10"}


def test_records_of_savepoints_are_written_in_the_end_whatever_else_is_read() -> None:
    spy = SpyStore(MemoryStore())
    with spy.transaction() as inner:
        tx = CachingTransaction(inner, ValueCache(100))
        with tx.savepoint():
            tx.put(*PLACE, b"1")
            assert tx.get(SESSIONS, b"p", b"elsewhere") is None
            assert tx.get_value(SESSIONS, b"p", b"elsewhere", NUMBER) is None
        with tx.savepoint():
            tx.put(*PLACE, b"2")
            with pytest.raises(InvalidArgument, match="record"):
                tx.put(*PLACE, "3")  # type: ignore[arg-type]
            with pytest.raises(InvalidArgument, match="row"):
                tx.get(SESSIONS, b"p", 1)  # type: ignore[arg-type]
        assert not spy.writes
        tx.write()
        assert spy.writes == {SESSIONS: 1}
    assert dump(spy) == {PLACE: b"2"}


def test_deletions_of_savepoints_wait_like_what_is_put() -> None:
    spy = SpyStore(MemoryStore())
    with spy.transaction() as tx:
        tx.put_value(*PLACE, 1, NUMBER)
    spy.forget()
    with spy.transaction() as inner:
        tx = CachingTransaction(inner, ValueCache(100))
        with tx.savepoint():
            assert tx.get_value(*PLACE, NUMBER) == 1
            tx.delete(*PLACE)
            assert tx.get(*PLACE) is None
            assert tx.get_value(*PLACE, NUMBER) is None
            with pytest.raises(InvalidArgument, match="partition"):
                tx.delete(SESSIONS, "p")  # type: ignore[arg-type]
        assert tx.get(*PLACE) is None
        with suppress(ZeroDivisionError), tx.savepoint():
            tx.put(*PLACE, b"2")
            assert tx.get_value(*PLACE, NUMBER) == 2
            assert tx.get(*PLACE) == b"2"
            raise ZeroDivisionError
        assert tx.get_value(*PLACE, NUMBER) is None
        assert not spy.writes
        tx.write()
        assert spy.writes == {SESSIONS: 1}
    assert dump(spy) == {}


def test_what_is_put_where_something_waits_to_be_deleted_is_there() -> None:
    spy = SpyStore(MemoryStore())
    with spy.transaction() as inner:
        tx = CachingTransaction(inner, ValueCache(0))
        with tx.savepoint():
            tx.put(*PLACE, b"1")
            tx.delete(*PLACE)
            tx.put_value(*PLACE, 3, NUMBER)
            assert tx.get(*PLACE) == b"3"
            assert tx.get_value(*PLACE, OTHER) == 2
        assert not spy.writes
        tx.finish()
        assert spy.writes == {SESSIONS: 1}
    assert dump(spy) == {PLACE: b"3"}


def test_no_more_bytes_wait_than_the_bound() -> None:
    spy = SpyStore(MemoryStore())
    with spy.transaction() as inner:
        tx = CachingTransaction(inner, ValueCache(100))
        for block in range(1, 3):
            for number in range(16):
                assert spy.writes[SESSIONS] == 16 * (block - 1)
                with tx.savepoint():
                    tx.put(SESSIONS, b"p", b"%d %d" % (block, number), bytes(64 * 1024))
        assert spy.writes == {SESSIONS: 32}


def test_no_more_values_wait_than_the_bound() -> None:
    spy = SpyStore(MemoryStore())
    with spy.transaction() as inner:
        tx = CachingTransaction(inner, ValueCache(100))
        for number in range(1_024):
            assert not spy.writes
            with tx.savepoint():
                tx.put_value(SESSIONS, b"p", b"%d" % number, number, NUMBER)
        assert spy.writes == {SESSIONS: 1_024}


def test_a_savepoint_does_not_outlive_its_transaction(store: Store) -> None:
    with suppress(ZeroDivisionError), store.transaction() as tx, tx.savepoint():
        tx.put_value(*PLACE, 1, NUMBER)
        raise ZeroDivisionError
    assert get_value(store) is None
    with pytest.raises(StoreError), tx.savepoint():
        pass


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (lambda tx: tx.put(*PLACE, b"2"), 2),
        (lambda tx: tx.delete(*PLACE), None),
        (lambda tx: tx.clear(*PLACE[:2]), None),
    ],
    ids=["put", "delete", "clear"],
)
def test_a_record_that_is_changed_is_another_value(
    store: Store, change: Callable[[Transaction], object], after: int | None
) -> None:
    with store.transaction() as tx:
        tx.put_value(*PLACE, 1, NUMBER)
    with store.transaction() as tx:
        change(tx)
        assert tx.get_value(*PLACE, NUMBER) == after
    assert get_value(store) == after


def test_a_savepoint_that_was_cut_off_is_not_committed(store: Store) -> None:
    """An interrupt came before the first instruction of its end, and the caller goes on."""
    block = store.transaction()
    tx = block.__enter__()
    tx.savepoint().__enter__()
    tx.put_value(*PLACE, 1, NUMBER)
    with pytest.raises(StoreError, match="was interrupted"):
        block.__exit__(None, None, None)
    assert get_value(store) is None
    with store.transaction() as tx:
        tx.put_value(*PLACE, 2, NUMBER)
    assert get_value(store) == 2


def test_savepoints_do_not_nest(store: Store) -> None:
    with store.transaction() as tx:
        with tx.savepoint():
            tx.put_value(*PLACE, 1, NUMBER)
            with pytest.raises(StoreError, match="savepoint"), tx.savepoint():
                pass
        with tx.savepoint():
            pass
    assert get_value(store) == 1


# --- What is kept ---------------------------------------------------------------------------

_KINDS_OF_STEPS = [
    "get",
    "put",
    "put bytes",
    "delete",
    "clear",
    "failing put",
    "savepoint",
    "in savepoints",
]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "get",
                "put",
                "put bytes",
                "delete",
                "clear",
                "failing put",
                "savepoint",
                "in savepoints",
            ]
        ),
        st.integers(0, 2),  # row
        st.integers(0, 99),
        st.integers(0, 2),  # which object
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", KINDS)
@given(steps=_STEPS)
def test_values_are_what_the_records_say_whoever_wrote_them(
    kind: str, steps: list[tuple[str, int, int, int]]
) -> None:
    """Several objects of one file behave as one store, whatever each of them has kept."""
    directory = Path(tempfile.mkdtemp())
    stores = [make_store(kind, directory)]
    if "sqlite" in kind:
        stores += [make_store(kind, directory) for _ in range(2)]
    model: dict[int, int] = {}
    try:
        for step, row, number, which in steps:
            store = stores[which % len(stores)]
            place = (SESSIONS, b"p", b"%d" % row)
            try:
                with store.transaction() as tx:
                    assert tx.get_value(*place, NUMBER) == model.get(row)
                    _do(tx, step, place, number)
                    if step == "failing put":
                        raise ZeroDivisionError
            except ZeroDivisionError:
                continue
            if step in ("put", "put bytes"):
                model[row] = number
            elif step == "in savepoints":
                model[row] = number + 2
            elif step == "delete":
                model.pop(row, None)
            elif step == "clear":
                model.clear()
        for store in stores:
            with store.transaction() as tx:
                for row in range(3):
                    assert tx.get_value(SESSIONS, b"p", b"%d" % row, NUMBER) == model.get(row)
    finally:
        for store in stores:
            store.close()
        shutil.rmtree(directory)


def _do(tx: Transaction, step: str, place: tuple[Table, bytes, bytes], number: int) -> None:
    if step in ("put", "failing put"):
        tx.put_value(*place, number, NUMBER)
    elif step == "put bytes":
        tx.put(*place, b"%d" % number)
    elif step == "delete":
        tx.delete(*place)
    elif step == "clear":
        tx.clear(SESSIONS, b"p")
    elif step == "in savepoints":
        for more in range(3):
            with tx.savepoint():
                tx.put_value(*place, number + more, NUMBER)
            with suppress(KeyError), tx.savepoint():
                tx.put_value(*place, number, NUMBER)
                if number % 2:
                    tx.delete(*place)
                raise KeyError
    elif step == "savepoint":
        with suppress(KeyError), tx.savepoint():
            tx.put_value(*place, number, NUMBER)
            raise KeyError


@pytest.fixture(params=[None, KEY])
def path_and_key(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bytes | None]:
    return tmp_path / "store.db", request.param


def test_what_another_thread_wrote_is_seen(path_and_key: tuple[Path, bytes | None]) -> None:
    path, key = path_and_key
    with SQLiteStore(path, key=key) as store:
        for number in range(0, 20, 2):
            put_value(store, number)
            assert get_value(store) == number
            thread = Thread(target=put_value, args=(store, number + 1))
            thread.start()
            thread.join()
            assert get_value(store) == number + 1


def test_a_value_is_read_once(path_and_key: tuple[Path, bytes | None]) -> None:
    path, key = path_and_key
    read = []

    def decode_counting(data: bytes) -> int:
        read.append(data)
        return int(data)

    counting: Codec[int] = Codec(NUMBER.encode, decode_counting)
    with SQLiteStore(path, key=key) as store, SQLiteStore(path, key=key) as other:
        put_value(store, 5)
        for _ in range(3):
            assert get_value(store, counting) == 5
        assert len(read) == 1
        put(other, Table.DEVICE, b"elsewhere", b"", b"")
        assert get_value(store, counting) == 5
        assert len(read) == 2


def test_that_nothing_is_there_is_read_once() -> None:
    asked = []

    class Asking(ValuesAsBytes):
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
            asked.append(row)
            return inner.get(table, partition, row)

    cache = ValueCache(100)
    with MemoryStore().transaction() as inner:
        tx = CachingTransaction(cast(Transaction, Asking()), cache)
        for _ in range(3):
            assert tx.get_value(*PLACE, NUMBER) is None
        assert len(asked) == 1
        assert tx.get_value(*PLACE, OTHER) is None  # that nothing is there says any codec
        assert len(asked) == 1
        tx.put_value(*PLACE, 1, NUMBER)
        assert tx.get_value(*PLACE, NUMBER) == 1
        tx.delete(*PLACE)
        assert tx.get_value(*PLACE, NUMBER) is None
        tx.put(*PLACE, b"2")
        assert tx.get_value(*PLACE, NUMBER) == 2


def test_a_closed_store_keeps_no_value(store: Store) -> None:
    class Value:
        pass

    codec: Codec[Value] = Codec(lambda _: b"x", lambda _: Value())
    value = Value()
    kept = weakref.ref(value)
    with store.transaction() as tx:
        tx.put_value(*PLACE, value, codec)
    del tx, value
    store.close()
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize(("cached_values", "decoded"), [(0, 6), (1, 6), (2, 2), (4_096, 2)])
def test_as_many_values_are_kept_as_a_store_is_told(
    path: Path, cached_values: int, decoded: int
) -> None:
    read = []

    def decode_counting(data: bytes) -> int:
        read.append(data)
        return NUMBER.decode(data)

    counting: Codec[int] = Codec(NUMBER.encode, decode_counting)
    rows = (b"a", b"b")
    with SQLiteStore(path) as store, store.transaction() as tx:
        for row in rows:
            tx.put_value(SESSIONS, b"p", row, 5, NUMBER)
    with SQLiteStore(path, cached_values=cached_values) as store:
        for _ in range(3):
            with store.transaction() as tx:
                assert [tx.get_value(SESSIONS, b"p", row, counting) for row in rows] == [5, 5]
    assert len(read) == decoded


@pytest.mark.parametrize("cached_values", [0, 1, 3])
def test_what_does_not_fit_is_written_all_the_same(path: Path, cached_values: int) -> None:
    with SQLiteStore(path, cached_values=cached_values) as store:
        with store.transaction() as tx:
            for number in range(5):
                with tx.savepoint():
                    tx.put_value(SESSIONS, b"p", b"counter", number, NUMBER)
                    tx.put_value(SESSIONS, b"p", b"%d" % number, number, NUMBER)
                    assert tx.get_value(SESSIONS, b"p", b"counter", NUMBER) == number
            with pytest.raises(ZeroDivisionError), tx.savepoint():
                tx.put_value(SESSIONS, b"p", b"counter", 1 // 0, NUMBER)
        with store.transaction() as tx:
            assert tx.get_value(SESSIONS, b"p", b"counter", NUMBER) == 4
            assert tx.count(SESSIONS, b"p") == 6


@pytest.mark.parametrize("value", [-1, 1.5, True, None, "5", 10_000_001])
def test_the_number_of_values_is_checked(path: Path, value: object) -> None:
    with pytest.raises(InvalidArgument, match="cached_values"):
        SQLiteStore(path, cached_values=value)  # type: ignore[arg-type]
    assert not path.exists()


def test_no_more_values_are_kept_than_the_bound() -> None:
    cache = ValueCache(100)
    places = [(SESSIONS, b"p", b"%d" % number) for number in range(110)]
    for number, place in enumerate(places):
        cache.keep(place, number, NUMBER)
        cache.keep(place, number, NUMBER)
    kept = [cache.find(place, NUMBER) for place in places]
    assert kept == [NOT_KEPT] * 10 + list(range(10, 110))
    cache.forget(places[-1])
    assert cache.find(places[-1], NUMBER) is NOT_KEPT
    assert repr(cache) == "<ValueCache: 99 values>"
    cache.keep(places[-2], None, NUMBER)
    assert cache.find(places[-2], NUMBER) is None
    assert cache.find(places[-2], OTHER) is None
    assert cache.find(places[-3], OTHER) is NOT_KEPT
    cache.clear()
    assert cache.find(places[-2], NUMBER) is NOT_KEPT
