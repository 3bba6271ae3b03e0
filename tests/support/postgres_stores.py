# SPDX-License-Identifier: Apache-2.0
"""Stores in the PostgreSQL server of this process's tests; without one the test is skipped."""

import secrets
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.support.postgres import require_postgres, server

if TYPE_CHECKING:
    from e2ecross.stores.postgres import PostgresStore

__all__ = ["address_of_stores", "make_postgres_store"]


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
