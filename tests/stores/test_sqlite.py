# SPDX-License-Identifier: Apache-2.0
"""Connections, transactions and what stays behind in the files."""

import random
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2ecross.errors import InvalidArgument, StoreBusy, StoreError, WrongStoreKey
from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite import LARGE_WAL_BYTES, RESTART_EVERY, TRUNCATE_EVERY
from e2ecross.stores.sqlite_schema import PAGE_BYTES
from tests.stores.support import KEY, WAIT_SECONDS, files, get, increment, put


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[sqlite3.Connection]]:
    """Every connection that is opened for writing, in order."""
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def recording(name: str, **options: Any) -> sqlite3.Connection:  # noqa: ANN401
        connection: sqlite3.Connection = connect(name, **options)
        if "mode=rw" in name:
            connections.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", recording)
    yield connections
    connections.clear()


def in_a_thread(work: Any) -> None:  # noqa: ANN401
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


def test_a_store_survives_its_object(path: Path) -> None:
    with SQLiteStore(path) as store:
        put(store, Table.SESSIONS, b"p", b"r", b"x")
    with SQLiteStore(str(path)) as store:
        assert get(store, Table.SESSIONS, b"p", b"r") == b"x"
    assert set(files(path)) == {"store.db"}  # no side files are left


def test_every_connection_has_every_pragma(path: Path, opened: list[sqlite3.Connection]) -> None:
    store = SQLiteStore(path, busy_timeout_ms=1234)
    opened.clear()  # the one that prepared the file

    def check() -> None:
        increment(store)
        connection = opened[-1]
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "journal_mode",
                "synchronous",
                "secure_delete",
                "trusted_schema",
                "cell_size_check",
                "temp_store",
                "busy_timeout",
                "fullfsync",
                "page_size",
            )
        }
        assert found == {
            "journal_mode": "wal",
            "synchronous": 2,
            "secure_delete": 1,
            "trusted_schema": 0,
            "cell_size_check": 1,
            "temp_store": 2,
            "busy_timeout": 1234,
            "fullfsync": 1,
            "page_size": 1024,
        }
        assert connection.execute("PRAGMA mmap_size").fetchone() in (None, (0,))
        checked.append(connection)

    checked: list[sqlite3.Connection] = []
    check()
    in_a_thread(check)
    assert checked == opened
    assert len(opened) == 2
    for _ in range(TRUNCATE_EVERY):
        increment(store)
    assert opened[0].execute("PRAGMA busy_timeout").fetchone() == (1234,)  # as it was before
    store.close()


def test_transactions_begin_immediately(path: Path, opened: list[sqlite3.Connection]) -> None:
    with SQLiteStore(path) as store:
        increment(store)
        statements: list[str] = []
        opened[-1].set_trace_callback(statements.append)
        get(store, Table.SESSIONS, b"p")
        opened[-1].set_trace_callback(None)
    assert statements[0] == "BEGIN IMMEDIATE"
    assert statements[-1] == "COMMIT"


def test_connections_of_ended_threads_do_not_pile_up(
    path: Path, opened: list[sqlite3.Connection]
) -> None:
    def is_open(connection: sqlite3.Connection) -> bool:
        try:
            connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            return False
        return True

    store = SQLiteStore(path)
    increment(store)
    for _ in range(20):
        in_a_thread(lambda: increment(store))
    assert len(opened) == 22
    assert sum(map(is_open, opened)) <= 2
    store.close()
    assert not any(map(is_open, opened))


def test_closing_reaches_the_connections_of_all_threads(
    path: Path, opened: list[sqlite3.Connection]
) -> None:
    store = SQLiteStore(path)
    used, leave = threading.Barrier(4), threading.Event()

    def work() -> None:
        increment(store)
        used.wait(WAIT_SECONDS)
        leave.wait(WAIT_SECONDS)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    used.wait(WAIT_SECONDS)
    store.close()
    assert set(files(path)) == {"store.db"}
    assert len(opened) == 4
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    leave.set()
    for thread in threads:
        thread.join(WAIT_SECONDS)


def test_waiting_for_another_process_is_bounded(path: Path) -> None:
    with SQLiteStore(path, busy_timeout_ms=100) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreBusy, match="another process"):
            increment(store)
        assert 0.05 <= time.monotonic() - began < WAIT_SECONDS
        other.execute("ROLLBACK")
        other.close()
        increment(store)


def test_a_failed_operation_ends_the_transaction(
    path: Path, opened: list[sqlite3.Connection]
) -> None:
    store = SQLiteStore(path)
    put(store, Table.SESSIONS, b"p", b"r", b"old")
    pages = opened[-1].execute("PRAGMA page_count").fetchone()[0]
    opened[-1].execute(f"PRAGMA max_page_count = {pages + 3}")

    def use() -> None:
        with store.transaction() as transaction:
            transaction.put(Table.SESSIONS, b"p", b"r", b"new")
            with pytest.raises(StoreError, match="disk is full"):
                transaction.put(Table.OUTBOX, b"", b"r", bytes(100_000))
            # SQLite has rolled back by itself; alone, this would be committed at once:
            with pytest.raises(StoreError, match="nothing of it is saved"):
                transaction.put(Table.SESSIONS, b"p", b"s", b"stray")

    with pytest.raises(StoreError, match="nothing of it is saved"):
        use()
    with store.transaction() as transaction:
        assert transaction.list(Table.SESSIONS, b"p") == [(b"r", b"old")]
    store.close()


def test_a_connection_in_an_unknown_state_is_replaced(
    path: Path, opened: list[sqlite3.Connection]
) -> None:
    store = SQLiteStore(path)
    increment(store)

    def use() -> None:
        with store.transaction() as transaction:
            transaction.put(Table.DEVICE, b"counter", b"", b"never")
            opened[-1].close()  # so that even the rollback fails
            transaction.get(Table.DEVICE, b"counter")

    with pytest.raises(StoreError, match="cannot be used"):
        use()
    increment(store)
    assert len(opened) == 3
    assert get(store, Table.DEVICE, b"counter") == b"2"
    store.close()


def test_a_replaced_connection_has_seen_nothing_yet(
    path: Path, opened: list[sqlite3.Connection]
) -> None:
    """How often others have written, SQLite counts for each connection anew."""
    store = SQLiteStore(path, key=KEY)
    increment(store)

    def use() -> None:
        with store.transaction() as transaction:
            opened[-1].close()
            transaction.get(Table.DEVICE, b"counter")

    with pytest.raises(StoreError, match="cannot be used"):
        use()
    with SQLiteStore(path, key=KEY) as other:
        other.rekey(key=bytes(32))
    with pytest.raises(WrongStoreKey):
        increment(store)
    store.close()


def test_a_record_beyond_sqlite_is_refused(path: Path, opened: list[sqlite3.Connection]) -> None:
    with SQLiteStore(path) as store:
        increment(store)
        opened[-1].setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        with pytest.raises(StoreError, match="too big"):
            put(store, Table.OUTBOX, b"", b"r", bytes(20_000))
        increment(store)


def test_a_store_that_cannot_be_written_comes_with_advice(
    path: Path, opened: list[sqlite3.Connection]
) -> None:
    with SQLiteStore(path) as store:
        increment(store)
        opened[-1].execute("PRAGMA query_only = ON")  # SQLITE_READONLY, also for root
        with pytest.raises(StoreError, match="permissions"):
            increment(store)


@pytest.mark.parametrize("path", [None, b"store.db", 7, "", "a\0b", ":memory:"])
def test_the_path_is_checked(path: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="path must be"):
        SQLiteStore(path)


def test_the_path_is_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("odd name #?%41.db")
    monkeypatch.chdir("/")
    increment(store)
    store.close()
    assert [found.name for found in tmp_path.iterdir()] == ["odd name #?%41.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_the_files_are_for_their_owner_only(path: Path) -> None:
    store = SQLiteStore(path)
    increment(store)
    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    store.close()


@pytest.mark.parametrize("key", [None, KEY], ids=["clear", "sealed"])
@pytest.mark.parametrize(("shortest", "longest", "seed"), [(0, 40, 3), (0, 80, 1), (10, 3_000, 0)])
def test_superseded_records_are_not_readable_after_close(
    path: Path, key: bytes | None, shortest: int, longest: int, seed: int
) -> None:
    # Splits and merges of pages are what leaves stale copies behind, so: many rows, all sizes.
    # Each of these seeds finds some where the schema has no filler.
    draw = random.Random(seed)
    live: dict[tuple[bytes, bytes], list[bytes]] = {}
    superseded: list[bytes] = []
    store = SQLiteStore(path, key=key)
    for _ in range(1_200):
        planted = [draw.randbytes(32) for _ in range(3)]
        filling = [b"." * draw.randint(shortest, longest) for _ in range(2)]
        record = planted[0] + filling[0] + planted[1] + filling[1] + planted[2]
        place = (bytes([draw.randrange(8)]), draw.randbytes(4))
        with store.transaction() as transaction:
            if live and draw.random() < 0.7:
                place = draw.choice(list(live))
                superseded += live.pop(place)
                if draw.random() < 0.3:
                    transaction.delete(Table.SESSIONS, *place)
                    continue
            transaction.put(Table.SESSIONS, *place, record)
            live[place] = planted
    store.close()
    found = b"".join(files(path).values())
    # A value that lies across two pages does not show, so look for both its halves.
    assert not [value for value in superseded if value[:16] in found or value[16:] in found]
    visible = sum(value in found for values in live.values() for value in values)
    assert (visible > 2 * len(live)) if key is None else (visible == 0)


def test_no_byte_of_a_record_lies_in_a_b_tree_page(path: Path) -> None:
    # Only those pages are ever copied without being wiped: see schema/0001.sql.
    planted = b"\xee" * 4
    with SQLiteStore(path) as store, store.transaction() as transaction:
        for size in [*range(4, 300), *range(700, 1_400), 3_000, 128 * 1024]:
            key = bytes(size % 71)  # some longer than any of ours, some empty
            transaction.put(Table.SESSIONS, b"%d" % size, key, b"\xee" * size)
    data = path.read_bytes()
    pages = [data[start : start + PAGE_BYTES] for start in range(0, len(data), PAGE_BYTES)]
    # https://www.sqlite.org/fileformat2.html#b_tree_pages: the first byte of a page is its kind;
    # that of an overflow page is the high byte of a page number, 0 in a file of this size.
    trees = [page for page in pages[1:] if page[0] in (2, 5, 10, 13)]
    assert len(trees) > 100
    assert sum(planted in page for page in pages) > 1_000
    assert not any(planted in page for page in trees)


def test_superseded_records_leave_the_wal_after_so_many_commits(path: Path) -> None:
    secret = b"a secret that was superseded...."
    store = SQLiteStore(path)
    put(store, Table.SESSIONS, b"p", b"r", secret)
    put(store, Table.SESSIONS, b"p", b"r", b"x")
    assert secret in files(path)["store.db-wal"]  # or this test would show nothing
    for _ in range(TRUNCATE_EVERY - 2):  # with the two before it, exactly as many as promised
        increment(store)
    assert not [name for name, data in files(path).items() if secret in data]
    store.close()


def test_the_commits_of_all_objects_and_threads_count_for_the_file(path: Path) -> None:
    secret = b"a secret that was superseded...."
    stores = [SQLiteStore(path) for _ in range(4)]  # each as good as a process of its own
    put(stores[0], Table.SESSIONS, b"p", b"r", secret)
    put(stores[1], Table.SESSIONS, b"p", b"r", b"x")
    assert secret in files(path)["store.db-wal"]
    for number in range(TRUNCATE_EVERY - 2):
        if number % 5:
            increment(stores[number % 4])
        else:
            in_a_thread(partial(increment, stores[number % 4]))
    assert not [name for name, data in files(path).items() if secret in data]
    for store in stores:
        store.close()


def test_a_reader_delays_truncation_but_nothing_else(path: Path) -> None:
    secret = b"a secret that was superseded...."
    store = SQLiteStore(path)
    put(store, Table.SESSIONS, b"p", b"r", secret)
    put(store, Table.SESSIONS, b"p", b"r", b"x")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM sessions").fetchall()
    began = time.monotonic()
    for _ in range(2 * TRUNCATE_EVERY):
        increment(store)
    assert time.monotonic() - began < 5  # it never waits for the reader
    assert secret in files(path)["store.db-wal"]
    reader.close()
    for _ in range(TRUNCATE_EVERY):
        increment(store)
    assert not [name for name, data in files(path).items() if secret in data]
    store.close()


def test_a_wal_does_not_grow_between_truncations(path: Path) -> None:
    store = SQLiteStore(path)
    increment(store)
    for _ in range(RESTART_EVERY):
        increment(store)
    wal = files(path)["store.db-wal"]
    assert 0 < len(wal) < LARGE_WAL_BYTES / 4
    for _ in range(TRUNCATE_EVERY // 2):
        increment(store)
        after = files(path)["store.db-wal"]
        # As long as before: one checkpoint later its front is another, and its end is the old one.
        assert len(after) <= len(wal) + 4 * PAGE_BYTES
        assert len(after) >= len(wal)
    store.close()


@pytest.mark.parametrize("size", [LARGE_WAL_BYTES // 4, LARGE_WAL_BYTES])
def test_a_large_batch_leaves_nothing_in_the_wal(size: int, path: Path) -> None:
    secret = b"a secret that was superseded...."
    record = secret * 128
    store = SQLiteStore(path)
    for _ in range(2):  # superseded by the second
        with store.transaction() as transaction:
            for number in range(size // len(record)):
                transaction.put(Table.SESSIONS, b"p", b"%d" % number, record)
        record = bytes(len(record))
    assert (secret in files(path)["store.db-wal"]) == (size < LARGE_WAL_BYTES)
    store.close()
    assert secret not in files(path)["store.db"]


def test_a_large_batch_beside_a_reader_is_truncated_after_it(path: Path) -> None:
    secret = b"a secret that was superseded...."
    store = SQLiteStore(path)
    put(store, Table.SESSIONS, b"p", b"r", secret)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM sessions").fetchall()
    put(store, Table.SESSIONS, b"p", b"r", b"x")
    for number in range(9):
        put(store, Table.SESSIONS, b"q", b"%d" % number, bytes(LARGE_WAL_BYTES // 8))
    assert secret in files(path)["store.db-wal"]
    reader.close()
    for _ in range(8):  # the next try, long before the next round number
        increment(store)
    assert not [name for name, data in files(path).items() if secret in data]
    store.close()
