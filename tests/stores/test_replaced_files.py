# SPDX-License-Identifier: Apache-2.0
"""A file that is removed, replaced or put back under an open store: noticed before anything leaves.

A state from before would use message keys a second time.
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from e2ecross.errors import StoreCorrupted, StoreError, WrongStoreKey
from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite import RESTART_EVERY, TRUNCATE_EVERY
from e2ecross.stores.sqlite_identity import OpenedFile, Place, Stamp
from tests.stores.support import KEY, WAIT_SECONDS, get, increment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be replaced")

COUNTER = (Table.DEVICE, b"counter", b"")


def snapshot(path: Path) -> Path:
    """A whole copy of the state, made through SQLite."""
    copy = path.with_name("copy.db")
    copy.unlink(missing_ok=True)
    through_sqlite(path, copy)
    return copy


def through_sqlite(source: Path, target: Path) -> None:
    one, other = sqlite3.connect(source), sqlite3.connect(target)
    one.backup(other)
    one.close()
    other.close()


def side(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def rename_over(path: Path, copy: Path) -> None:
    copy.replace(path)


def rename_over_with_sides(path: Path, copy: Path) -> None:
    copy.replace(path)
    for ending in ("-wal", "-shm"):
        side(path, ending).unlink()


def rename_away(path: Path, _: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def remove(path: Path, _: Path) -> None:
    path.unlink()


def remove_wal(path: Path, _: Path) -> None:
    side(path, "-wal").unlink()


def replace_wal(path: Path, _: Path) -> None:
    copy = shutil.copy(side(path, "-wal"), path.with_name("w"))
    side(path, "-wal").unlink()
    Path(copy).rename(side(path, "-wal"))


def put_back_through_sqlite(path: Path, copy: Path) -> None:
    through_sqlite(copy, path)


def link_elsewhere(path: Path, copy: Path) -> None:
    path.rename(path.with_name("first.db"))
    path.symlink_to(copy)


ATTACKS: list[Callable[[Path, Path], None]] = [
    rename_over,
    rename_over_with_sides,
    rename_away,
    remove,
    remove_wal,
    replace_wal,
    put_back_through_sqlite,
    link_elsewhere,
]


def in_a_new_thread(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result(WAIT_SECONDS)


def here(work: Callable[[], None]) -> None:
    work()


@pytest.mark.parametrize("key", [None, KEY], ids=["clear", "sealed"])
@pytest.mark.parametrize("run", [here, in_a_new_thread])
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_next_transaction_notices(
    path: Path,
    attack: Callable[[Path, Path], None],
    run: Callable[[Callable[[], None]], None],
    key: bytes | None,
) -> None:
    store = SQLiteStore(path, key=key)
    for _ in range(3):
        increment(store)
    copy = snapshot(path)
    increment(store)
    attack(path, copy)
    there = {found.name for found in path.parent.iterdir()}

    def use() -> None:
        for _ in range(2):
            with pytest.raises(StoreCorrupted, match="while it was open"):
                increment(store)
            with pytest.raises(StoreCorrupted):
                get(store, *COUNTER)

    run(use)
    use()
    store.close()
    # nothing was made anew
    assert {found.name for found in path.parent.iterdir()} <= there


@pytest.mark.parametrize("attack", ATTACKS[:6])
def test_a_replacement_during_a_transaction_is_noticed_before_it_is_released(
    path: Path, attack: Callable[[Path, Path], None]
) -> None:
    store = SQLiteStore(path)
    increment(store)
    copy = snapshot(path)
    released = False

    def send() -> None:
        nonlocal released
        with store.transaction() as tx:
            tx.put(*COUNTER, b"9")
            attack(path, copy)
        released = True

    with pytest.raises(StoreCorrupted):
        send()
    assert not released
    with pytest.raises(StoreCorrupted):
        get(store, *COUNTER)
    store.close()


@pytest.mark.parametrize("commits", [RESTART_EVERY, TRUNCATE_EVERY])
def test_a_copy_written_into_the_open_file_is_noticed(commits: int, path: Path) -> None:
    """By `cp`, where all that was committed is in the file: SQLite would go on from its memory."""
    store = SQLiteStore(path)
    increment(store)
    copy = snapshot(path)
    for _ in range(commits - 1):
        increment(store)  # the last one writes the WAL back
    assert (side(path, "-wal").stat().st_size == 0) == (commits == TRUNCATE_EVERY)
    data = copy.read_bytes()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
    with pytest.raises(StoreCorrupted):
        increment(store)
    store.close()


def test_an_older_state_with_an_older_key_is_an_older_state(path: Path) -> None:
    store = SQLiteStore(path, key=KEY)
    increment(store)
    copy = snapshot(path)
    store.rekey(key=bytes(32))
    increment(store)
    through_sqlite(copy, path)
    with pytest.raises(StoreCorrupted, match="older state"):
        increment(store)
    store.close()


def test_before_the_first_transaction_and_between_connections(path: Path) -> None:
    with SQLiteStore(path) as store:
        for _ in range(3):
            increment(store)
    copy = snapshot(path)
    with SQLiteStore(path) as store:
        increment(store)
    store = SQLiteStore(path)  # has seen more than the copy has, and has no connection yet
    through_sqlite(copy, path)
    with pytest.raises(StoreCorrupted, match="older state"):
        increment(store)
    store.close()
    store = SQLiteStore(path)
    in_a_new_thread(partial(increment, store))
    in_a_new_thread(partial(increment, store))  # closes the connection of the one before
    rename_over(path, copy)
    with pytest.raises(StoreCorrupted, match="another file"):
        in_a_new_thread(partial(increment, store))
    store.close()


def test_a_file_that_goes_between_the_look_and_the_opening_is_not_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, look = SQLiteStore(path), OpenedFile.check_place  # it has no connection yet

    def look_and_remove(file: OpenedFile, wal: Place | None) -> Stamp:
        monkeypatch.undo()
        stamp = look(file, wal)
        path.unlink()
        return stamp

    monkeypatch.setattr(OpenedFile, "check_place", look_and_remove)
    with pytest.raises(StoreError):
        increment(store)
    assert list(path.parent.iterdir()) == []
    store.close()


def test_a_file_that_comes_back_is_the_file(path: Path) -> None:
    store = SQLiteStore(path)
    increment(store)
    away = path.with_name("away.db")
    path.rename(away)
    with pytest.raises(StoreCorrupted, match="renamed"):
        increment(store)
    away.rename(path)
    increment(store)
    assert get(store, *COUNTER) == b"2"
    store.close()


def test_what_other_stores_do_rightly_is_not_taken_for_it(path: Path) -> None:
    """They commit, write the WAL back, close, and rewrite the file; threads come and go."""
    with SQLiteStore(path, key=KEY) as store:
        for number in range(1, 200, 5):
            increment(store)
            with SQLiteStore(path, key=KEY) as other:
                increment(other)
                in_a_new_thread(partial(increment, other))
            checkpoint = sqlite3.connect(path, isolation_level=None)
            checkpoint.execute(
                f"PRAGMA wal_checkpoint({('PASSIVE', 'TRUNCATE', 'RESTART')[number % 3]})"
            )
            if number % 4 == 0:
                checkpoint.execute("VACUUM")
            checkpoint.close()
            in_a_new_thread(partial(increment, store))
            increment(store)
        assert get(store, *COUNTER) == b"200"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of other tests' threads
def test_a_forked_child_knows_what_its_parent_has_seen(path: Path) -> None:
    store = SQLiteStore(path)
    increment(store)
    copy = snapshot(path)
    increment(store)
    through_sqlite(copy, path)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            increment(store)
        except StoreCorrupted:
            code = 7
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    store.close()


def test_a_change_of_key_by_somebody_else_stays_what_it_is(path: Path) -> None:
    with SQLiteStore(path, key=KEY) as store, SQLiteStore(path, key=KEY) as other:
        increment(store)
        other.rekey(key=bytes(32))
        with pytest.raises(WrongStoreKey):
            increment(store)
        increment(other)
