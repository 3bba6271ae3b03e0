# SPDX-License-Identifier: Apache-2.0
"""Several processes on one file: at once, killed, forked."""

import shutil
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite_schema import _statements
from tests.stores.support import KEY, end_child, files, get, increment, start_child

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


def test_processes_and_threads_create_one_store_and_lose_no_update(path: Path) -> None:
    children = [start_child("increments", path, 3, 25) for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        end_child(child)
    with SQLiteStore(path, key=KEY) as store:
        assert get(store, Table.DEVICE, b"counter") == b"300"
    assert set(files(path)) == {"store.db"}


def test_threads_create_one_store(path: Path) -> None:
    def work(_: int) -> None:
        with SQLiteStore(path, key=KEY) as store:
            increment(store)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    with SQLiteStore(path, key=KEY) as store:
        assert get(store, Table.DEVICE, b"counter") == b"40"


def test_a_process_killed_inside_a_transaction_leaves_the_old_state(path: Path) -> None:
    child = start_child("hold", path)
    assert child.stdout is not None
    assert child.stdout.readline() == "inside\n"
    assert (path.parent / "store.db-wal").stat().st_size > 1_000_000  # half written, truly
    child.kill()
    child.communicate()
    with SQLiteStore(path) as store:
        assert get(store, Table.DEVICE, b"counter") == b"1"
        with store.transaction() as transaction:
            assert transaction.count(Table.INBOX) == 0
        increment(store)
    assert b"never committed" not in b"".join(files(path).values())


def test_a_process_killed_while_it_created_the_store_leaves_nothing_to_repair(
    path: Path, tmp_path: Path
) -> None:
    # The files as they are in the middle of the creating commit: part of the database is written,
    # and a journal says that there was none before.
    dying = sqlite3.connect(tmp_path / "dying.db", isolation_level=None)
    dying.execute("PRAGMA page_size = 1024")
    dying.execute("PRAGMA cache_size = 1")
    dying.execute("BEGIN IMMEDIATE")
    for statement in _statements():
        dying.execute(statement)
    for number in range(100):
        row = (b"", b"%d" % number, bytes(5_000))
        dying.execute("INSERT INTO inbox (partition, row, record) VALUES (?, ?, ?)", row)
    shutil.copy(tmp_path / "dying.db", path)
    shutil.copy(tmp_path / "dying.db-journal", tmp_path / "store.db-journal")
    dying.close()
    assert path.stat().st_size > 50_000
    with SQLiteStore(path) as store:
        increment(store)
        with store.transaction() as transaction:
            assert transaction.count(Table.INBOX) == 0


@needs_fork
def test_a_store_object_works_on_both_sides_of_a_fork(path: Path) -> None:
    assert end_child(start_child("fork", path)) == "child ended with 0\n"
    with SQLiteStore(path) as store:
        assert get(store, Table.DEVICE, b"counter") == b"91"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@needs_fork
def test_a_child_forked_inside_a_transaction_cannot_touch_it(path: Path) -> None:
    assert end_child(start_child("fork_inside", path)) == "2 refused\n"
    with SQLiteStore(path) as store:
        assert get(store, Table.DEVICE, b"counter") == b"2"
