# SPDX-License-Identifier: Apache-2.0
"""A `PostgresStore` behind PgBouncer in transaction mode."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2ecross.errors import StoreError
from e2ecross.stores import Table
from tests.support.postgres import pooled, require_postgres
from tests.support.postgres_stores import address_of_stores


@pytest.fixture
def pooler() -> Iterator[str]:
    require_postgres()
    with pooled(address_of_stores(), connections=4) as address:
        yield address


def test_prepared_statements_are_refused(pooler: str) -> None:
    from e2ecross.stores import PostgresStore

    with pytest.raises(StoreError, match="a pooler stands before the server"):
        PostgresStore(pooler, secrets.token_hex(8), stripes=64, prepare=True)


def test_more_workers_than_connections_see_their_own_rows_alone(pooler: str) -> None:
    """One pooler, four connections to the server, three workers of four threads each."""
    from e2ecross.stores import PostgresStore

    name = secrets.token_hex(8)
    stores = [PostgresStore(pooler, name, stripes=64) for _ in range(3)]

    def work(number: int) -> None:
        store, mine = stores[number % len(stores)], b"%d" % number
        for count in range(40):
            with store.transaction(1 + (number + count) % 64) as tx:
                rows = tx.list(Table.SESSIONS, mine)
                assert all(record.startswith(mine + b" ") for _, record in rows)
                tx.put(Table.SESSIONS, mine, b"%d" % count, mine + b" %d" % count)
            with store.transaction(1 + number) as tx:
                assert tx.get(Table.OUTBOX, mine) == (b"%s %d" % (mine, count) if count else None)
                tx.put(Table.OUTBOX, mine, b"", b"%s %d" % (mine, count + 1))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    with stores[0].transaction() as tx:
        assert len(list(tx.scan_all(Table.SESSIONS))) == 12 * 40
    for store in stores:
        store.close()
