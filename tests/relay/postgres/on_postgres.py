# SPDX-License-Identifier: Apache-2.0
"""Relays on PostgreSQL for tests that are written for files: a path stands for a database."""

import itertools
import os
import re
import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, Self

import psycopg

from e2ecross.relay import Relay
from e2ecross.relay.postgres import _OPTIONS, _translated
from e2ecross.relay.postgres_schema import SCHEMA
from tests.support.postgres import server

__all__ = ["OnPostgres", "Operators", "address_of", "forget_paths"]

_databases: Final[dict[str, str]] = {}
"""By path, those of the test that runs."""


def forget_paths() -> None:
    """Begin anew, for another test."""
    _databases.clear()


def address_of(path: str | os.PathLike[str]) -> str:
    """The address of the database that a path stands for; an empty one, the first time."""
    name = os.path.abspath(path)
    if name not in _databases:
        for other in [each for each in _databases if not os.path.isdir(os.path.dirname(each))]:
            del _databases[other]  # of an example before
        free = (f"relay{number}" for number in itertools.count())
        database = next(each for each in free if each not in _databases.values())
        _make(database)
        _empty(database)
        _databases[name] = database
    return server().address(_databases[name])


class OnPostgres(Relay):
    """`Relay(path, …)`, on the database that the path stands for."""

    def __init__(self, path: str | os.PathLike[str], **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(address_of(path), **arguments)


class Operators:
    """`sqlite3`, for tests in which an operator writes into the file of a relay."""

    Connection = sqlite3.Connection
    IntegrityError = psycopg.IntegrityError

    @staticmethod
    def connect(path: str | os.PathLike[str], *, isolation_level: str | None = "") -> "_Operator":
        options = {**_OPTIONS, "autocommit": isolation_level is None}
        return _Operator(psycopg.connect(address_of(path), **options))


class _Operator:
    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw = raw
        raw.execute(f"SET search_path = {SCHEMA}".encode())
        raw.commit()

    def execute(self, query: str, parameters: Sequence[object] = ()) -> psycopg.Cursor[Any]:
        return self._raw.execute(_as_postgres(query), parameters, binary=True)

    def executemany(self, query: str, parameters: Iterable[Sequence[object]]) -> None:
        self._raw.cursor().executemany(_as_postgres(query), parameters)

    def executescript(self, script: str) -> None:
        for statement in script.split(";"):
            self.execute(statement)

    def iterdump(self) -> list[str]:
        return [
            repr(row)
            for table in tables_of(self._raw)
            for row in self.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608
        ]

    def commit(self) -> None:
        self._raw.commit()

    def close(self) -> None:
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._raw.commit()
        else:
            self._raw.rollback()


def _as_postgres(query: str) -> bytes:
    """As the relay does, and with what only tests write."""
    return _translated(re.sub("x'([0-9a-f]+)'", r"'\\x\1'::bytea", query))


@cache
def _make(database: str) -> None:
    with psycopg.connect(server().address(), autocommit=True) as raw:
        raw.execute(f"CREATE DATABASE {database}".encode())
    Relay(server().address(database)).close()


def _empty(database: str) -> None:
    with psycopg.connect(server().address(database)) as raw:
        raw.execute("SET session_replication_role = replica")  # no triggers
        for table in tables_of(raw):
            raw.execute(f"DELETE FROM {SCHEMA}.{table}".encode())  # noqa: S608
        for table in ("mailbox", "one_time_prekeys", "shared_ciphertexts"):
            raw.execute(f"ALTER TABLE {SCHEMA}.{table} ALTER number RESTART".encode())


def tables_of(raw: psycopg.Connection[Any]) -> list[str]:
    """The tables of a relay, in the order of their names."""
    rows = raw.execute(
        f"SELECT tablename FROM pg_tables WHERE schemaname = '{SCHEMA}'".encode()  # noqa: S608
    ).fetchall()
    return sorted(table for (table,) in rows if table != "relay")
