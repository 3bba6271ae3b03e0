# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.fleet_sessions`: a device with a million sessions on PostgreSQL.

Two databases of one server: a device has 1,000 customers in one, and 1,000,000 in the other. Its
rows are those of a customer that it has met, written by the server for all of them. Then messages
are sent to customers drawn at random from both, in turns, through a back end without cost. Every
statement of that, of receiving and of what is done now and then has to go by an index: that is a
failure, and so is a send that takes more than 1.25 times as long among the million.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks.fleet import database
from benchmarks.fleet_parts import Meeting
from benchmarks.fleet_worker import Done, Place, Worker
from benchmarks.machine import describe_machine
from e2ecross import Address, UserId
from e2ecross.stores import PostgresStore
from e2ecross.stores.postgres_pipeline import Pipeline, Statement
from e2ecross.stores.postgres_tables import migrate

__all__ = ["main", "parse"]

_MOST_GROWTH: Final = 1.25
_STRIPES: Final = 4_096
_STORE: Final = "fleet"
_TOKO: Final = Address("whatsapp", "toko")
_MODEL: Final = "c0"  # the customer who is met; others are c1 and so on
_FEW: Final = 1_000
_TABLES: Final = (
    "remote_identities",
    "accounts",
    "conversations",
    "session_records",
    "sessions",
    "spqr",
)
# As `stripe_of` has it; the name of the model stands behind a zero byte in each partition.
_COPY: Final = """
    INSERT INTO e2ecross.{table}
    SELECT store * (1::bigint << 17) + 1
            + (((get_byte(hash, 0) << 8) + get_byte(hash, 1)) * {stripes} >> 16),
        substring(partition FROM 1 FOR place) || name
            || substring(partition FROM place + 1 + length(%(model)s::bytea)),
        row, record
    FROM (SELECT stripe >> 17 AS store, partition, row, record,
            position('\\x00'::bytea || %(model)s IN partition) AS place
        FROM e2ecross.{table}) AS model,
        generate_series(1, %(count)s) AS number,
        LATERAL (SELECT convert_to('c' || number, 'UTF8') AS name) AS named,
        LATERAL (SELECT sha256('e2ecross stripe 1instagram'::bytea || '\\x00'::bytea || name)
            AS hash) AS hashed
    WHERE place > 0
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet_sessions", description=__doc__
    )
    parser.add_argument("--sessions", type=int, default=1_000_000, help="default: 1,000,000")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--sends", type=int, default=500, help="in a turn (default: 500)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 if a plan goes through a table, or a send takes too long."""
    given = parse(arguments)
    with ExitStack() as cleanup:
        first = cleanup.enter_context(database(None))
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        worker = Worker()
        cleanup.callback(worker.close)
        places, sizes = {}, {}
        for name, count in (("few", min(_FEW, given.sessions)), ("many", given.sessions)):
            address = _new_database(first, name)
            (folder / name).mkdir()
            _fill(address, folder / name, count)
            places[count], sizes[count] = Place(address, _STORE), _size(address)
        times: dict[int, list[float]] = {count: [] for count in places}
        cpu: dict[int, list[float]] = {count: [] for count in places}
        for round_ in range(given.rounds + 1):
            for count, place in places.items():
                done: Done = worker.do("send_each", place, _drawn(count, given.sends))
                if round_:  # the first fills what the server keeps in memory
                    times[count].append(1_000 * done.seconds / done.count)
                    cpu[count].append(done.cpu_ms)
        through = _plans(places[given.sessions], given.sessions)
    turns = [many / few for few, many in zip(*times.values(), strict=True)]
    found = {
        "machine": describe_machine(),
        "bytes": sizes,
        "send_ms": {count: round(statistics.median(each), 3) for count, each in times.items()},
        "send_cpu_ms": {count: round(statistics.median(each), 3) for count, each in cpu.items()},
        "many_of_few": round(statistics.median(turns), 3),
        "many_of_few_in_turns": [round(each, 3) for each in turns],
        "statements_through_a_table": through,
    }
    print(json.dumps(found, indent=2))
    return int(bool(through) or statistics.median(turns) > _MOST_GROWTH)


def _new_database(address: str, name: str) -> str:
    """Make a database beside another one; gives its conninfo."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    made = address.replace("/postgres?", f"/{name}?")
    migrate(made)
    return made


def _fill(address: str, folder: Path, count: int) -> None:
    """Put a device into a database, with so many sessions."""
    with ExitStack() as cleanup:
        meeting = Meeting(folder, [UserId("instagram", _MODEL)], cleanup)
        with PostgresStore(address, _STORE, stripes=_STRIPES) as store:
            meeting.meet(_TOKO, store)
    with psycopg.connect(address, autocommit=True) as connection:
        for table in _TABLES:
            query = _COPY.format(table=table, stripes=_STRIPES).encode()
            connection.execute(query, {"model": _MODEL.encode(), "count": count})
        connection.execute(b"VACUUM ANALYZE")


def _size(address: str) -> int:
    with psycopg.connect(address) as connection:
        row = connection.execute(b"SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def _drawn(count: int, sends: int) -> list[UserId]:
    draw = random.SystemRandom()
    return [UserId("instagram", f"c{draw.randint(1, count)}") for _ in range(sends)]


# --- Plans --------------------------------------------------------------------------------------


def _plans(place: Place, count: int) -> list[str]:
    """Statements of sending, receiving, and what is done now and then, that go through a table."""
    from benchmarks.fleet_worker import _Calls

    calls = _Calls()
    client, _, _ = calls._find(place)
    with _noted() as asked:
        calls.send_each(place, _drawn(count, 5))
        client.receive(10)
        client.maintain()
        client.pending()
    through = []
    with psycopg.connect(place.address, cursor_factory=psycopg.RawCursor) as connection:
        for sql, parameters in asked.items():
            if sql.partition(" ")[0] not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
                continue
            for number in range(len(parameters)):
                sql = sql.replace("%s", f"${number + 1}", 1)
            for way in (b"on", b"off"):  # a table of a page or two is read whole, unless forbidden
                connection.execute(b"SET LOCAL enable_seqscan = " + way)
                plan = connection.execute(b"EXPLAIN " + sql.encode(), parameters).fetchall()
                lines = [line.strip() for (line,) in plan if "Seq Scan on" in line]
                if way == b"off" or any(table in line for table in _TABLES for line in lines):
                    through += [f"{sql[:80]}: {line}" for line in lines]
        connection.rollback()
    return through


@contextmanager
def _noted() -> Iterator[dict[str, tuple[Any, ...]]]:
    """What is asked of databases meanwhile."""
    asked: dict[str, tuple[Any, ...]] = {}
    run = Pipeline.run

    def note(pipeline: Pipeline, statements: Sequence[Statement]) -> Any:  # noqa: ANN401
        asked.update(dict(statements))
        return run(pipeline, statements)

    Pipeline.run = note  # type: ignore[method-assign, assignment]
    try:
        yield asked
    finally:
        Pipeline.run = run  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
