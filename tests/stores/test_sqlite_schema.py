# SPDX-License-Identifier: Apache-2.0
"""Schemas by number; every released one stays readable."""

import shutil
import sqlite3
from importlib import resources
from pathlib import Path

from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite_schema import SCHEMA_VERSION, _statements
from tests.stores.support import ROOT, content

FROZEN = ROOT / "tests" / "data" / "store-schema-1.sqlite"


def test_schemas_are_numbered_without_gaps() -> None:
    names = sorted(
        entry.name
        for entry in resources.files("e2ecross.stores").joinpath("schema").iterdir()
        if entry.name.endswith(".sql")
    )
    assert names == [f"{number:04}.sql" for number in range(1, SCHEMA_VERSION + 1)]


def test_the_schema_has_one_table_for_each_of_the_contract(path: Path) -> None:
    SQLiteStore(path).close()
    connection = sqlite3.connect(path)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert names == {table.value for table in Table} | {"store_meta"}
    assert sum(len(_statements(n + 1)) for n in range(SCHEMA_VERSION)) == len(names)


def test_a_store_of_schema_1_opens(path: Path) -> None:
    shutil.copy(FROZEN, path)
    with SQLiteStore(path) as store, store.transaction() as transaction:
        found = content(transaction)
        assert [row for row, _ in transaction.list(Table.SESSIONS, b"whatsapp:ana.1")] == [
            b"\x05" + bytes(32),
            b"\x05" + bytes(range(32)),
        ]
    # As tests/data/build_store_schema_1.py wrote them.
    assert found == {
        (Table.DEVICE, b"", b""): b"\x01a device record",
        (Table.SESSIONS, b"whatsapp:ana.1", b"\x05" + bytes(range(32))): b"\x01"
        + bytes(range(256)) * 3,
        (Table.SESSIONS, b"whatsapp:ana.1", b"\x05" + bytes(32)): b"",
        (Table.SESSIONS, b"instagram:budi.2", b""): b"\x01short",
        (Table.OUTBOX, b"", b"\x00\x00\x00\x01"): bytes(5_000),
    }
