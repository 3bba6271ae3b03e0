# SPDX-License-Identifier: Apache-2.0
"""The schema, and files of any other one."""

import sqlite3
from importlib import resources
from pathlib import Path

import pytest

from e2ecross.errors import StoreCorrupted
from e2ecross.stores import SQLiteStore, Table
from e2ecross.stores.sqlite_schema import SCHEMA_VERSION, _statements
from tests.stores.support import files


def test_there_is_one_schema() -> None:
    names = [
        entry.name
        for entry in resources.files("e2ecross.stores").joinpath("schema").iterdir()
        if entry.name.endswith(".sql")
    ]
    assert names == [f"{SCHEMA_VERSION:04}.sql"]


def test_the_schema_has_one_table_for_each_of_the_contract(path: Path) -> None:
    SQLiteStore(path).close()
    connection = sqlite3.connect(path)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert names == {table.value for table in Table} | {"store_meta"}
    assert len(_statements()) == len(names)


@pytest.mark.parametrize("version", [0, -1, -(2**31)])
def test_a_version_that_never_was_is_refused_and_untouched(path: Path, version: int) -> None:
    SQLiteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = files(path)
    with pytest.raises(StoreCorrupted):
        SQLiteStore(path)
    assert files(path) == before
