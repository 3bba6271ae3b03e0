# SPDX-License-Identifier: Apache-2.0
"""Stores in the PostgreSQL server of this process's tests; without one the test is skipped."""

import secrets
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.support.postgres import require_postgres, server

if TYPE_CHECKING:
    from e2ecross.stores.postgres import PostgresStore

__all__ = ["address_of_stores", "ask", "make_postgres_store", "number_of"]


def make_postgres_store(name: str | None = None, **settings: Any) -> "PostgresStore":  # noqa: ANN401
    """Make a store; a new one, unless it is named."""
    require_postgres()
    from e2ecross.stores.postgres import PostgresStore  # its driver may not be installed

    settings.setdefault("stripes", 64)
    return PostgresStore(address_of_stores(), name or secrets.token_hex(16), **settings)


@cache
def address_of_stores() -> str:
    """The conninfo of a database that has the schema."""
    from e2ecross.stores.postgres_tables import migrate

    migrate(server().address())
    return server().address()


def ask(statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """Ask the database, as its owner."""
    import psycopg

    with psycopg.connect(address_of_stores(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def number_of(name: str) -> int:
    """The number of a store."""
    [[number]] = ask("SELECT store FROM e2ecross.stores WHERE name = %s", name)
    assert isinstance(number, int)
    return number
