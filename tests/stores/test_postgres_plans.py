# SPDX-License-Identifier: Apache-2.0
"""Every statement of a transaction goes by an index, however many sessions there are."""

from e2ecross.stores import Table
from tests.support.postgres import require_postgres, server
from tests.support.postgres_stores import address_of_stores

_ROWS = 100_000


def test_all_statements_use_the_index_alone() -> None:
    require_postgres()
    import psycopg
    from psycopg.types.numeric import Int8

    from e2ecross.stores.postgres_rows import _SQL

    address_of_stores()
    table, one, many = "e2ecross.sessions", b"partition", b"row"
    key = Int8(5 << 17)
    with psycopg.connect(server().address()) as connection:
        connection.execute(
            f"INSERT INTO {table} SELECT (1 << 17) + n % 4096, int4send(n / 2), int4send(n), "  # noqa: S608
            f"'record' FROM generate_series(1, {_ROWS}) AS n".encode()
        )
        connection.execute(f"ANALYZE {table}".encode())
        sql = _SQL[Table.SESSIONS]
        parameters: dict[str, tuple[object, ...]] = {
            "get": (key, one, many),
            "put": (key, one, many, b"x"),
            "add": (key, one, many, b"x"),
            "delete": (key, one, many),
            "list": (key, one, b"", Int8(2**63 - 1)),
            "partitions": (key, b"", key, Int8(10)),
            "count_rows": (key, one),
            "clear": (key, one, key, one, Int8(5)),
            "scan": (key, b"", b"", key),
            "scan_on": (key, one, many, key),
        }
        assert set(parameters) == set(sql._fields)
        for name, bound in parameters.items():
            plan = connection.execute(f"EXPLAIN {getattr(sql, name)}".encode(), bound).fetchall()
            assert "Seq Scan" not in str(plan), (name, plan)
        connection.rollback()
