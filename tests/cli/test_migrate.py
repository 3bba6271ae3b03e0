# SPDX-License-Identifier: Apache-2.0
"""`e2ecross migrate`: the tables of a database, and what is told when there are none."""

import secrets

import pytest

from tests.cli.support import call
from tests.support.postgres import require_postgres, server
from tests.support.postgres_stores import ask


def test_a_database_gets_its_tables_once(monkeypatch: pytest.MonkeyPatch) -> None:
    require_postgres()
    database = f"test_{secrets.token_hex(8)}"
    ask(f"CREATE DATABASE {database}")
    done = call("migrate", server().address(database, "PASSWORD"))
    assert (done.code, done.out, done.err) == (0, "the schema is that of this release\n", "")
    monkeypatch.setenv("E2ECROSS_DATABASE", server().address(database))
    again = call("migrate")
    assert (again.code, again.err) == (0, "")
    assert "nothing to do" in again.out
    ask(f"DROP DATABASE {database} WITH (FORCE)")


def test_what_is_refused_is_told_without_the_conninfo() -> None:
    pytest.importorskip("psycopg")
    done = call("migrate", "postgresql://somebody:PASSWORD@/x?host=/nonexistent")
    assert (done.code, done.out) == (1, "")
    assert "connection" in done.err
    assert "PASSWORD" not in done.err
    assert "nonexistent" not in done.err


def test_without_a_conninfo_there_is_nothing_to_migrate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("E2ECROSS_DATABASE", raising=False)
    done = call("migrate")
    assert (done.code, done.out) == (1, "")
    assert "E2ECROSS_DATABASE" in done.err
