# SPDX-License-Identifier: Apache-2.0
"""The tables of all `PostgresStore`s of a database, and how one store is found in them.

Rules:
- Workers never change the schema; `migrate` does, as the owner, under a lock, each file in one
  transaction.
- A store is created in one transaction: of two workers that come at once one creates it, and the
  other finds it.
"""

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Final, NamedTuple

from psycopg.types.numeric import Int4, Int8

from e2ecross.arguments import forgets_secrets, require_type
from e2ecross.errors import InvalidArgument, StoreCorrupted, StoreError, StoreTooNew
from e2ecross.stores.checks import check_stripes
from e2ecross.stores.postgres_link import IDENTITY, Link, check_server, connect
from e2ecross.stores.postgres_rows import STORE_BITS

__all__ = [
    "SCHEMA_VERSION",
    "Found",
    "add_header",
    "check_schema",
    "find_store",
    "look_up",
    "migrate",
]

SCHEMA_VERSION: Final = 1
"""The number of the last file in postgres_schema/."""

_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_LOCK: Final = "SELECT pg_advisory_xact_lock(7292002224462328691)"  # "e2ecross" as a number
_TIMEOUT_MS: Final = 5_000
_MIGRATE: Final = "the database has no store of this release: run python -m e2ecross migrate"


class Found(NamedTuple):
    """A store in the database.

    Attributes:
        number: of the store.
        stripes: how many it has.
        headers: of its sealing keys, by id.
    """

    number: int
    stripes: int
    headers: Mapping[int, bytes]


@forgets_secrets
def migrate(conninfo: str) -> int:
    """Bring a database to the schema of this release, as its owner; may be run again.

    Args:
        conninfo: how the database is reached.

    Returns:
        How many files were run: 0 when the schema was there.

    Raises:
        StoreTooNew: a newer release has been here.
        StoreError: the server refuses, or is not fit for a store.
    """
    link = connect(conninfo, _TIMEOUT_MS, None)
    try:
        check_server(link)
        link.run([("BEGIN", ()), (_LOCK, ())])
        version = _version(link)
        if version > SCHEMA_VERSION:
            raise StoreTooNew("the schema of the database", version, SCHEMA_VERSION)
        for number in range(version + 1, SCHEMA_VERSION + 1):
            name = f"postgres_schema/{number:04}.sql"
            link.run_script(files("e2ecross.stores").joinpath(name).read_text("utf-8"))
        link.run([("COMMIT", ())])
        return SCHEMA_VERSION - version
    finally:
        link.close()


def check_store_name(name: str) -> None:
    """Refuse what is no name of a store (`InvalidArgument`)."""
    require_type("name", name, str)
    if not _NAME.fullmatch(name):
        raise InvalidArgument("name must be 1 to 64 of a-z, 0-9, _ and -")


def check_schema(link: Link) -> None:
    """Refuse a database of another schema.

    Raises:
        StoreTooNew: a newer release has been here.
        StoreError: an older one, or none.
    """
    version = _version(link)
    if version > SCHEMA_VERSION:
        raise StoreTooNew("the schema of the database", version, SCHEMA_VERSION)
    if version < SCHEMA_VERSION:
        raise StoreError(_MIGRATE)


def find_store(
    link: Link, name: str, stripes: int, create_headers: Callable[[], Mapping[int, bytes]]
) -> Found:
    """Find a store by its name, or create it.

    Args:
        link: a connection that is in no transaction.
        name: of the store.
        stripes: how many a new one gets.
        create_headers: makes the headers of a new one's sealing keys, by id.

    Raises:
        StoreCorrupted: it was not created as stores are.
    """
    found = look_up(link, name)
    if found is not None:
        return found
    headers = create_headers()
    link.run([("BEGIN", ())])
    try:
        create = (
            "INSERT INTO e2ecross.stores (name, stripes) VALUES (%s, %s) "
            "ON CONFLICT (name) DO NOTHING RETURNING store"
        )
        [created] = link.run([(create, (name, Int4(stripes)))])
        if created:
            number = Int8(created[0][0])
            link.run(
                [
                    (
                        "INSERT INTO e2ecross.stripes (stripe, server) "  # noqa: S608
                        f"SELECT (%s::bigint << {STORE_BITS}) + number, {IDENTITY} "
                        "FROM generate_series(0, %s) AS number",
                        (number, Int4(stripes)),
                    ),
                    *(add_header(number, key_id, header) for key_id, header in headers.items()),
                ]
            )
        link.run([("COMMIT", ())])
    finally:
        link.reset()
    found = look_up(link, name)
    if found is None:
        raise StoreCorrupted("a store that was just created is not in the database")
    return found


def look_up(link: Link, name: str) -> Found | None:
    """Find a store by its name, without creating it.

    Raises:
        StoreCorrupted: it has a number of stripes that none is created with. In which stripe an
            account is follows from it: with another one nothing would be found.
    """
    [stores] = link.run([("SELECT store, stripes FROM e2ecross.stores WHERE name = %s", (name,))])
    if not stores:
        return None
    number, stripes = stores[0]
    try:
        check_stripes(stripes)
    except InvalidArgument as error:
        text = "the store has a number of stripes that no store is created with: restore it"
        raise StoreCorrupted(text) from error
    [headers] = link.run(
        [("SELECT key_id, header FROM e2ecross.store_keys WHERE store = %s", (number,))]
    )
    return Found(number, stripes, dict(headers))


def add_header(number: int, key_id: int, header: bytes) -> tuple[str, tuple[object, ...]]:
    """The statement that gives a store the header of a key."""
    return (
        "INSERT INTO e2ecross.store_keys (store, key_id, header) VALUES (%s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (number, key_id, header),
    )


def _version(link: Link) -> int:
    [[(schema,)]] = link.run([("SELECT to_regclass('e2ecross.schema_version')::text", ())])
    if schema is None:
        return 0
    [rows] = link.run([("SELECT version FROM e2ecross.schema_version", ())])
    if len(rows) != 1:
        raise StoreCorrupted("the number of the database's schema has gone: restore it")
    return int(rows[0][0])
