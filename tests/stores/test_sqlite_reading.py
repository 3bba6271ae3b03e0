# SPDX-License-Identifier: Apache-2.0
"""Looking into a store's file: it shows what is there, and leaves every byte as it was."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from e2ecross.errors import (
    InvalidArgument,
    RecordCorrupted,
    StoreBusy,
    StoreCorrupted,
    StoreError,
    StoreTooNew,
    WrongStoreKey,
)
from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite_reading import read_store_file
from e2ecross.stores.sqlite_schema import SCHEMA_VERSION

KEY = bytes(range(32))
RECORD = b"what is stored"


def files(folder: Path) -> dict[str, bytes]:
    """Every file, but for the index of a WAL, which holds no record."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("-shm")}


def fill(path: Path, key: bytes | None = None) -> SQLiteStore:
    store = SQLiteStore(path, key=key)
    with store.transaction() as tx:
        for number in range(40):
            tx.put(Table.INBOX, b"", bytes((number,)), RECORD)
    return store


@pytest.mark.parametrize("key", [None, KEY])
def test_a_closed_store_is_read_and_left_alone(path: Path, key: bytes | None) -> None:
    fill(path, key).close()
    before, changed_at = files(path.parent), path.stat().st_mtime_ns
    with read_store_file(path, key=key) as file:
        assert (file.schema_version, file.is_sealed) == (SCHEMA_VERSION, key is not None)
        assert file.is_intact
        assert file.transaction.count(Table.INBOX) == 40
        assert {record for _, _, record in file.transaction.scan(Table.INBOX)} == {RECORD}
    assert files(path.parent) == before
    assert {p.name for p in path.parent.iterdir()} == {path.name}
    assert path.stat().st_mtime_ns == changed_at


@pytest.mark.parametrize("key", [None, KEY])
def test_a_store_that_is_open_is_read_beside_its_writer(path: Path, key: bytes | None) -> None:
    with fill(path, key) as store:
        before = files(path.parent)
        with read_store_file(path, key=key) as file:
            assert file.transaction.count(Table.INBOX) == 40
            with store.transaction() as tx:
                tx.delete(Table.INBOX, b"", b"\0")
            assert file.transaction.count(Table.INBOX) == 40
        assert files(path.parent).keys() == before.keys()
        with store.transaction() as tx:
            assert tx.count(Table.INBOX) == 39


def test_a_killed_store_keeps_its_wal(path: Path, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with fill(path):
        for file in (path, Path(f"{path}-wal")):
            shutil.copy(file, crashed)
    before = files(crashed)
    assert before[f"{path.name}-wal"]
    with read_store_file(crashed / path.name) as found:
        assert found.transaction.count(Table.INBOX) == 40
    assert files(crashed) == before


def test_a_link_leads_to_the_store_and_its_wal(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    with fill(path), read_store_file(link) as file:
        assert file.transaction.count(Table.INBOX) == 40


def test_a_store_whose_creation_was_cut_off_is_left_to_sqlite(path: Path) -> None:
    fill(path).close()
    Path(f"{path}-journal").write_bytes(bytes(512))
    before = files(path.parent)
    with pytest.raises(StoreError, match="not created to its end"), read_store_file(path):
        pass
    assert files(path.parent) == before


def test_nothing_can_be_written(path: Path) -> None:
    fill(path).close()
    before = files(path.parent)
    with read_store_file(path) as file, pytest.raises(StoreError):
        file.transaction.put(Table.INBOX, b"", b"", b"")
    with read_store_file(path) as file, pytest.raises(StoreError):
        file.transaction.delete(Table.INBOX, b"", b"\0")
    assert files(path.parent) == before


def test_a_transaction_is_over_with_its_block(path: Path) -> None:
    fill(path).close()
    with read_store_file(path) as file:
        transaction = file.transaction
    with pytest.raises(StoreError):
        transaction.count(Table.INBOX)


def test_a_change_during_the_look_is_noticed(path: Path) -> None:
    fill(path).close()
    with (
        pytest.raises(StoreBusy, match="try again"),
        read_store_file(path),
        SQLiteStore(path) as store,
        store.transaction() as tx,
    ):
        tx.put(Table.OUTBOX, b"", b"", RECORD)


def test_what_is_missing_is_not_created(path: Path) -> None:
    with pytest.raises(StoreError), read_store_file(path):
        pass
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("content", [b"", b"x", bytes(4096), b"SQLite format 3\0" + bytes(2000)])
def test_what_is_no_store_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreCorrupted), read_store_file(path):
        pass
    assert files(path.parent) == {path.name: content}


def test_another_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE inbox (record BLOB)")
    connection.close()
    before = files(path.parent)
    with pytest.raises(StoreCorrupted), read_store_file(path):
        pass
    assert files(path.parent) == before


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError), read_store_file(tmp_path):
        pass


@pytest.mark.parametrize(("key", "given"), [(None, KEY), (KEY, None), (KEY, bytes(32))])
def test_a_wrong_key_is_refused(path: Path, key: bytes | None, given: bytes | None) -> None:
    fill(path, key).close()
    before = files(path.parent)
    with pytest.raises(WrongStoreKey), read_store_file(path, key=given):
        pass
    assert files(path.parent) == before


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_an_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument), read_store_file(name):
        pass


def test_a_key_of_wrong_length_is_refused(path: Path) -> None:
    with pytest.raises(InvalidArgument), read_store_file(path, key=b"short"):
        pass


def _execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_a_later_schema_is_refused(path: Path) -> None:
    fill(path).close()
    _execute(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreTooNew), read_store_file(path):
        pass


def test_what_sqlite_refuses_comes_out_as_ours(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path).close()
    monkeypatch.setattr("e2ecross.stores.sqlite_reading._PRAGMAS", ("= =",))
    with pytest.raises(StoreError), read_store_file(path):
        pass


@pytest.mark.parametrize("version", [0, -1])
def test_a_schema_that_never_was_is_refused(path: Path, version: int) -> None:
    fill(path).close()
    _execute(path, f"PRAGMA user_version = {version}")
    before = files(path.parent)
    with pytest.raises(StoreCorrupted), read_store_file(path):
        pass
    assert files(path.parent) == before


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE outbox",
        "CREATE TABLE more (x)",
        "ALTER TABLE inbox ADD COLUMN more",
        "CREATE TRIGGER t AFTER INSERT ON inbox BEGIN DELETE FROM inbox; END",
    ],
)
def test_another_schema_is_not_intact(path: Path, statement: str) -> None:
    fill(path).close()
    _execute(path, statement)
    with read_store_file(path) as file:
        assert not file.is_intact


def test_damaged_pages_are_not_intact(path: Path) -> None:
    fill(path).close()
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = b"\xff" * (len(data) - half)
    path.write_bytes(data)
    with read_store_file(path) as file:
        assert not file.is_intact
    assert path.read_bytes() == data


def test_a_walk_over_a_sealed_table_can_go_on_after_damage(path: Path) -> None:
    fill(path, KEY).close()
    first = "SELECT row FROM inbox ORDER BY partition, row LIMIT 1"
    _execute(path, f"UPDATE inbox SET record = zeroblob(64) WHERE row = ({first})")  # noqa: S608
    with read_store_file(path, key=KEY) as file:
        rows = file.transaction.scan(Table.INBOX)
        with pytest.raises(RecordCorrupted):
            next(rows)
        assert sum(1 for _ in rows) == 39
