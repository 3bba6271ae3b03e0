# SPDX-License-Identifier: Apache-2.0
"""Files that are not, not any more, or not yet a store; and places where none can be."""

import os
import sqlite3
from pathlib import Path

import pytest

from e2ecross.errors import StoreBusy, StoreCorrupted, StoreError, StoreTooNew, WrongStoreKey
from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite_schema import APPLICATION_ID, SCHEMA_VERSION
from tests.stores.support import KEY, files, get, increment, put
from tests.support.entropy import NO_ENTROPY


@pytest.fixture
def filled(path: Path) -> Path:
    with SQLiteStore(path) as store, store.transaction() as transaction:
        for number in range(200):
            transaction.put(Table.SESSIONS, b"p", b"%d" % number, bytes(500))
    return path


def foreign(path: Path, *, wal: bool = False, application_id: int = 0) -> None:
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA application_id = {application_id}")
    connection.execute("PRAGMA user_version = 1")
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.execute("INSERT INTO notes VALUES ('somebody else wrote this')")
    connection.commit()
    connection.close()


def refused(path: Path, error: type[StoreError]) -> str:
    """Open the store, expect that error, and find everything as it was."""
    before = files(path)
    with pytest.raises(error) as caught:
        SQLiteStore(path).close()
    assert files(path) == before
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"x", b"hello world\n", bytes(100), bytes(4_096), b"SQLite format 3\0", os.urandom(10_000)],
    ids=["byte", "text", "zeros", "zero page", "magic only", "noise"],
)
def test_what_is_no_database_is_refused_and_untouched(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refused(path, StoreCorrupted)


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("application_id", [0, 7])
def test_the_database_of_another_application_is_refused_and_untouched(
    path: Path, wal: bool, application_id: int
) -> None:
    foreign(path, wal=wal, application_id=application_id)
    assert "not an e2ecross store" in refused(path, StoreCorrupted)


def test_a_database_of_another_application_in_use_is_refused_and_untouched(path: Path) -> None:
    foreign(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO notes VALUES ('not yet committed')")
    assert (path.parent / "store.db-journal").exists()
    refused(path, StoreCorrupted)
    connection.execute("COMMIT")
    connection.close()


def test_another_applications_tables_under_our_id_are_refused(path: Path) -> None:
    foreign(path, application_id=APPLICATION_ID)
    refused(path, StoreError)


@pytest.mark.parametrize("left", [1, 50, 99, 512, 1_024, 5_000, 20_480, -1_024, -1])
def test_a_truncated_store_is_refused_and_untouched(filled: Path, left: int) -> None:
    whole = filled.read_bytes()
    filled.write_bytes(whole[:left])
    refused(filled, StoreCorrupted)


def test_a_damaged_header_is_refused_and_untouched(filled: Path) -> None:
    whole = filled.read_bytes()
    for offset in (0, 5, 15, 16, 68, 71, 100):
        damaged = bytearray(whole)
        damaged[offset] ^= 0xFF
        filled.write_bytes(damaged)
        refused(filled, StoreCorrupted)


def test_damaged_pages_are_noticed_when_read_and_untouched(filled: Path) -> None:
    whole = filled.read_bytes()
    page = whole.index(b"%d" % 150) // 1024  # a page of the sessions table
    filled.write_bytes(whole[: page * 1024] + b"\xa5" * 1024 + whole[(page + 1) * 1024 :])
    before = files(filled)
    store = SQLiteStore(filled)
    with pytest.raises(StoreCorrupted), store.transaction() as transaction:
        transaction.list(Table.SESSIONS, b"p")
    store.close()
    assert files(filled) == before


@pytest.mark.parametrize("value", ["'text'", "7", "1.5"])
def test_values_that_no_store_wrote_are_refused(filled: Path, value: str) -> None:
    connection = sqlite3.connect(filled)
    connection.execute(f"UPDATE sessions SET record = {value} WHERE row = x'37'")  # noqa: S608
    connection.commit()
    connection.close()
    with SQLiteStore(filled) as store:
        with pytest.raises(StoreCorrupted):
            get(store, Table.SESSIONS, b"p", b"7")
        with pytest.raises(StoreCorrupted), store.transaction() as transaction:
            transaction.list(Table.SESSIONS, b"p")
        with pytest.raises(StoreCorrupted), store.transaction() as transaction:
            list(transaction.scan(Table.SESSIONS))
        assert get(store, Table.SESSIONS, b"p", b"8") == bytes(500)


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM store_meta", "UPDATE store_meta SET value = 'text'", "DROP TABLE sessions"],
)
def test_a_store_that_lost_something_is_refused(filled: Path, change: str) -> None:
    connection = sqlite3.connect(filled)
    connection.execute(change)
    connection.commit()
    connection.close()
    before = files(filled)
    with pytest.raises(StoreError), SQLiteStore(filled) as store:
        get(store, Table.SESSIONS, b"p", b"7")
    assert files(filled) == before


def set_version(connection: sqlite3.Connection, version: int) -> None:
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()


def test_a_newer_store_is_refused_with_both_versions_and_untouched(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    set_version(connection, 7)
    connection.close()
    message = refused(filled, StoreTooNew)
    assert "version 7" in message
    assert f"up to {SCHEMA_VERSION}" in message


def test_a_newer_version_is_seen_in_the_wal_too(filled: Path) -> None:
    with SQLiteStore(filled) as old:
        increment(old)
        newer = sqlite3.connect(filled)  # keeps the WAL from being written back
        set_version(newer, SCHEMA_VERSION + 1)
        assert filled.read_bytes()[60:64] == SCHEMA_VERSION.to_bytes(4, "big")
        with pytest.raises(StoreTooNew) as caught:
            SQLiteStore(filled)
        assert (caught.value.found, caught.value.supported) == (SCHEMA_VERSION + 1, SCHEMA_VERSION)
        # and a store that was open before does not write into what it does not know
        with pytest.raises(StoreTooNew):
            increment(old)
        set_version(newer, 0)
        with pytest.raises(StoreCorrupted):
            increment(old)
        newer.close()


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch(0o644)
    with SQLiteStore(path, key=KEY) as store:
        increment(store)
    with SQLiteStore(path, key=KEY) as store:
        assert get(store, Table.DEVICE, b"counter") == b"1"
    assert path.read_bytes()[68:72] == b"e2eC"


def test_a_creation_that_fails_leaves_an_empty_file_and_no_more(path: Path) -> None:
    with pytest.raises(AssertionError, match="bytes drawn"):
        SQLiteStore(path, key=KEY, entropy=NO_ENTROPY)
    assert files(path) == {"store.db": b""}
    SQLiteStore(path, key=KEY).close()


def test_a_store_not_yet_in_wal_mode_is_brought_to_it_within_the_timeout(filled: Path) -> None:
    # As after a kill between the commit of the schema and the change of the mode.
    reader = sqlite3.connect(filled, isolation_level=None)
    assert reader.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM store_meta").fetchall()
    with pytest.raises(StoreBusy):
        SQLiteStore(filled, busy_timeout_ms=100)
    reader.close()
    with SQLiteStore(filled) as store:
        increment(store)
    assert filled.read_bytes()[18:20] == b"\2\2"  # WAL


@pytest.mark.parametrize(("made_with", "opened_with"), [(None, KEY), (KEY, None), (KEY, b"?" * 32)])
def test_the_wrong_key_is_refused_and_touches_nothing(
    path: Path, made_with: bytes | None, opened_with: bytes | None
) -> None:
    with SQLiteStore(path, key=made_with) as store:
        put(store, Table.SESSIONS, b"p", b"r", b"x")
    before = files(path)
    with pytest.raises(WrongStoreKey):
        SQLiteStore(path, key=opened_with)
    assert files(path) == before


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "at all")
    for place in (tmp_path, tmp_path / "missing" / "store.db", tmp_path / "dangling"):
        with pytest.raises(StoreError, match=r"cannot be used|is not a file"):
            SQLiteStore(place)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(StoreError, match="is not a file"):
            SQLiteStore(tmp_path / "pipe")


def test_a_file_removed_before_the_first_transaction(filled: Path) -> None:
    store = SQLiteStore(filled)
    filled.unlink()
    with pytest.raises(StoreCorrupted, match="removed or renamed"):
        increment(store)
    assert not filled.exists()  # it is not created anew, empty
    store.close()
