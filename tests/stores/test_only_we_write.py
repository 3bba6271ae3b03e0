# SPDX-License-Identifier: Apache-2.0
"""What a store leaves out because only it writes, attacked by somebody else who does.

Two shortcuts rest on that: schema, generation and key are looked at only when `data_version` has
changed, and values are kept from one transaction to the next.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from e2ecross.errors import StoreCorrupted, StoreError, StoreTooNew, WrongStoreKey
from e2ecross.stores import SQLiteStore, Table, Transaction
from e2ecross.stores.base import Codec
from tests.stores.support import WAIT_SECONDS

NUMBER: Codec[int] = Codec(lambda number: b"%d" % number, int)
PLACE = (Table.SESSIONS, b"p", b"r")
OTHER = (Table.SESSIONS, b"p", b"s")


def put(store: SQLiteStore, number: int) -> None:
    with store.transaction() as tx:
        tx.put_value(*PLACE, number, NUMBER)


def agreed(tx: Transaction) -> int | None:
    """The value, which has to be what its record says."""
    value, record = tx.get_value(*PLACE, NUMBER), tx.get(*PLACE)
    assert value == (None if record is None else int(record))
    return value


def get(store: SQLiteStore) -> int | None:
    with store.transaction() as tx:
        return agreed(tx)


def in_a_thread(work: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
    assert not failed


def write_past_us(path: Path, sql: str) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(sql)
    other.close()


SET_SEVEN = "UPDATE sessions SET record = CAST('7' AS BLOB)"


def test_a_row_that_somebody_wrote_past_the_library_is_read(path: Path) -> None:
    """Nothing but `data_version` tells: the generation is the same."""
    with SQLiteStore(path) as store:
        put(store, 1)
        assert get(store) == 1
        write_past_us(path, SET_SEVEN)
        assert get(store) == 7
        put(store, 2)
        in_a_thread(lambda: write_past_us(path, SET_SEVEN))
        in_a_thread(lambda: get(store))
        assert get(store) == 7


def test_a_write_between_the_looks_of_two_threads_is_seen_by_both(path: Path) -> None:
    """Values are shared by all threads, `data_version` is each connection's own."""
    with SQLiteStore(path) as store:
        put(store, 1)
        step = threading.Barrier(2)

        def other() -> None:
            assert get(store) == 1  # has looked
            step.wait(WAIT_SECONDS)
            step.wait(WAIT_SECONDS)
            assert get(store) == 7  # not what the first thread has kept meanwhile
            put(store, 8)
            step.wait(WAIT_SECONDS)

        thread = threading.Thread(target=other)
        thread.start()
        step.wait(WAIT_SECONDS)
        put(store, 2)
        write_past_us(path, SET_SEVEN)
        step.wait(WAIT_SECONDS)
        step.wait(WAIT_SECONDS)
        assert get(store) == 8
        thread.join(WAIT_SECONDS)


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("PRAGMA user_version = 9", StoreTooNew),
        ("UPDATE store_meta SET value = x'00' WHERE name = 'generation'", StoreCorrupted),
        ("UPDATE store_meta SET value = zeroblob(8) WHERE name = 'generation'", StoreCorrupted),
        ("DELETE FROM store_meta WHERE name = 'generation'", StoreCorrupted),
        ("UPDATE store_meta SET value = x'01' WHERE name = 'sealing'", WrongStoreKey),
    ],
)
def test_schema_generation_and_key_are_looked_at_after_any_foreign_write(
    path: Path, sql: str, error: type[StoreError]
) -> None:
    with SQLiteStore(path) as store:
        put(store, 1)
        put(store, 2)
        write_past_us(path, sql)
        for _ in range(2):
            with pytest.raises(error):
                get(store)
        with pytest.raises(error):
            put(store, 3)


def test_what_a_savepoint_undid_is_not_kept(path: Path) -> None:
    with SQLiteStore(path) as store:
        put(store, 1)
        with store.transaction() as tx:
            with suppress(ZeroDivisionError), tx.savepoint():
                tx.put_value(*PLACE, 2, NUMBER)
                assert agreed(tx) == 2
                raise ZeroDivisionError
            assert agreed(tx) == 1
            with suppress(ZeroDivisionError), tx.savepoint():
                tx.put_value(*PLACE, 3, NUMBER)
                raise ZeroDivisionError
            assert tx.get_value(*PLACE, NUMBER) == 1
        assert get(store) == 1


class _Failing(sqlite3.Connection):
    """A connection whose COMMIT fails when it is told to, before or after it is done."""

    fails: str | None = None

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:  # noqa: ANN401
        fails = _Failing.fails if sql == "COMMIT" else None
        if fails == "before":
            raise sqlite3.OperationalError
        cursor = super().execute(sql, *arguments)
        if fails == "after":
            raise sqlite3.OperationalError
        return cursor


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Failing]]:
    connect = sqlite3.connect

    def failing_connect(name: str, **options: Any) -> sqlite3.Connection:  # noqa: ANN401
        connection: sqlite3.Connection = connect(name, factory=_Failing, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", failing_connect)
    yield _Failing
    _Failing.fails = None


@pytest.mark.parametrize(("fails", "found"), [("before", 1), ("after", 2)])
def test_what_a_failed_commit_left_is_asked_of_the_file(
    path: Path, failing: type[_Failing], fails: str, found: int
) -> None:
    with SQLiteStore(path) as store:
        put(store, 1)
        failing.fails = fails
        with pytest.raises(StoreError):
            put(store, 2)
        failing.fails = None
        assert get(store) == found
        in_a_thread(lambda: get(store) == found)
        for number in range(5):  # the generation goes on from that of the file
            put(store, number)
            assert get(store) == number


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_change_of_key_whose_commit_failed_goes_on_with_the_key_that_the_file_has(
    path: Path, failing: type[_Failing], fails: str
) -> None:
    keys = {"before": bytes(32), "after": bytes(range(32))}
    store = SQLiteStore(path, key=keys["before"])
    put(store, 1)
    failing.fails = fails
    with pytest.raises(StoreError):
        store.rekey(key=keys["after"])
    failing.fails = None
    in_a_thread(lambda: put(store, 2))
    assert get(store) == 2
    store.close()
    with SQLiteStore(path, key=keys[fails]) as store:
        assert get(store) == 2
