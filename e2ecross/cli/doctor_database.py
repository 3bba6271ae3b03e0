# SPDX-License-Identifier: Apache-2.0
"""`e2ecross doctor postgresql://...`: checks a device's store in a database, and says what to do.

Rules:
- The store is only read, from one snapshot (`stores/postgres_reading.py`): no worker waits for it.
- The device, the queues and the epochs of all stripes are read, and some stripes whole, drawn at
  random: of 10^8 contacts nobody waits for all.
- How the database is reached is not printed, nor what its driver says.
- Exit codes: 0 healthy, 1 problems found, 2 the store cannot be opened (one line on stderr).

With `--json` the document on stdout has `server` (`stores.postgres_server.Server` as an object),
`tables` (`Sizes`), `store` (schema, stripes, keys, moves, what was looked at), and `health`,
`problems` and `notes` as for a file.
"""

import json as json_module
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from e2ecross.cli.doctor_advice import find_notes, find_problems
from e2ecross.cli.doctor_database_advice import (
    Examined,
    find_database_notes,
    find_database_problems,
)
from e2ecross.cli.doctor_finding import Finding, count
from e2ecross.cli.doctor_lines import facts, findings, line, refuse
from e2ecross.cli.key_files import BadKeyFile, read_key
from e2ecross.device.health import StoreHealth, read_health
from e2ecross.device.health_queues import read_queues
from e2ecross.errors import E2ECrossError, StoreCorrupted, WrongStoreKey
from e2ecross.state.context import system_clock
from e2ecross.state.policy import Policy
from e2ecross.stores.base import Table

if TYPE_CHECKING:
    from e2ecross.stores.postgres_reading import StoreDatabase

__all__ = ["EXAMINED_STRIPES", "QUEUED_STRIPES", "run_database_doctor"]

EXAMINED_STRIPES: Final = 16
"""How many stripes are examined whole."""

QUEUED_STRIPES: Final = 1_000
"""Of how many stripes, at most, the queues are read."""

_WHAT: Final = "PostgreSQL"
_OPTIONS: Final = "here: --key-file ID=FILE gives a key"
_LARGEST: Final = 5
_MEBIBYTE: Final = 1024 * 1024

Draw = Callable[[Sequence[int], int], list[int]]
_draw: Final[Draw] = random.SystemRandom().sample


@dataclass(frozen=True, slots=True)
class _Report:
    examined: Examined
    problems: list[Finding]
    notes: list[Finding]


def run_database_doctor(
    conninfo: str,
    *,
    name: str = "default",
    key_files: Sequence[str] = (),
    json: bool = False,
    clock: Callable[[], int] = system_clock,
    draw: Draw = _draw,
) -> int:
    """Check a store and print what was found.

    Args:
        conninfo: how the database is reached; secret.
        name: which store.
        key_files: `ID=FILE` for each of its keys: 32 bytes, or 64 hexadecimal digits.
        json: print a JSON document instead of text.
        clock: milliseconds since 1970.
        draw: chooses so many of the stripes.

    Returns:
        The exit code; when it is 2, stderr tells why in one line.
    """
    try:
        from e2ecross.stores.postgres_reading import read_store_database
    except ImportError:
        return refuse(_WHAT, "PostgreSQL needs the extra: pip install 'e2ecross[postgres]'")
    try:
        keys = _read_keys(key_files)
        with read_store_database(conninfo, name, keys=keys) as database:
            examined = _examine(database, Policy(), clock(), draw)
    except BadKeyFile as error:
        return refuse("--key-file", str(error))
    except WrongStoreKey as error:  # its text is for those who open a store in code
        return refuse(_WHAT, f"{error} ({_OPTIONS})")
    except E2ECrossError as error:
        return refuse(_WHAT, str(error))
    report = _judge(examined, Policy())
    if json:
        print(json_module.dumps(_document(report), indent=2))
    else:
        print("\n".join(_lines(report)))
    return 1 if report.problems else 0


def _read_keys(key_files: Sequence[str]) -> Mapping[int, bytes] | None:
    keys: dict[int, bytes] = {}
    for given in key_files:
        digits, separator, file = given.partition("=")
        if not (separator and digits.isascii() and digits.isdecimal() and 1 <= int(digits) <= 255):
            raise BadKeyFile("of a database: ID=FILE, with an id from 1 to 255")
        if int(digits) in keys:
            raise BadKeyFile(f"key {int(digits)} is given twice")
        try:
            keys[int(digits)] = read_key(file)
        except BadKeyFile as error:
            raise BadKeyFile(f"the file of key {int(digits)} {error}") from error
    return keys or None


def _examine(database: "StoreDatabase", policy: Policy, now_ms: int, draw: Draw) -> Examined:
    every = range(1, database.stripes + 1)
    stripes = sorted(draw(every, min(EXAMINED_STRIPES, len(every))))
    tx = database.transaction
    queued = database.stripes_with((Table.OUTBOX, Table.INBOX))
    looked_at = sorted(draw(queued, min(QUEUED_STRIPES, len(queued))))
    health: StoreHealth | None = None
    try:
        queues = read_queues([tx.at(stripe) for stripe in looked_at], now_ms)
        health = replace(read_health(tx, policy, now_ms, stripes=stripes), queues=queues)
    except StoreCorrupted:  # something that no store wrote: nothing more can be said
        pass
    return Examined(
        server=database.server,
        schema_version=database.schema_version,
        stripes=database.stripes,
        key_ids=database.key_ids,
        records_by_key=database.count_by_key(stripes) if database.key_ids else {},
        moved_ago_ms=database.moved_ago_ms,
        foreign_stripes=database.foreign_stripes,
        examined_stripes=len(stripes),
        queued_stripes=len(queued),
        queues_looked_at=len(looked_at),
        sizes=database.sizes,
        health=health,
    )


def _judge(examined: Examined, policy: Policy) -> _Report:
    health = examined.health
    problems = [*find_database_problems(examined), *find_problems(health, policy, is_intact=True)]
    notes = [*find_database_notes(examined), *(() if health is None else find_notes(health))]
    return _Report(examined, problems, notes)


def _document(report: _Report) -> dict[str, object]:
    found = asdict(report.examined)
    health, server, sizes = (found.pop(name) for name in ("health", "server", "sizes"))
    return {
        "server": server,
        "tables": sizes,
        "store": {**found, "is_sealed": bool(report.examined.key_ids)},
        "health": health,
        "problems": [finding._asdict() for finding in report.problems],
        "notes": [finding._asdict() for finding in report.notes],
    }


def _lines(report: _Report) -> Iterator[str]:
    found = report.examined
    yield "The database"
    yield from _server_lines(found)
    yield "The store"
    yield line("schema", f"{found.schema_version}, {_sealed(found)}")
    if found.records_by_key:
        by_key = (f"{number:,} of key {key_id}" for key_id, number in found.records_by_key.items())
        yield line("sealed records", ", ".join(by_key))
    yield line("examined", f"the device and {found.examined_stripes} of {found.stripes:,} stripes")
    queued, looked_at = found.queued_stripes, found.queues_looked_at
    partly = "" if looked_at == queued else f", of which {looked_at:,} were read"
    yield line("with queues", f"{count(queued, 'stripe')}{partly}")
    if found.health is not None:
        yield from facts(found.health)
    yield from findings(report.problems, report.notes)


def _server_lines(found: Examined) -> Iterator[str]:
    server = found.server
    pooler = "a" if server.is_pooled else "no"
    yield line("server", f"PostgreSQL {server.version}, {pooler} pooler before it")
    waits = "a commit waits" if server.waits_for_standby else "no commit waits"
    yield line("", f"{'unfit' if server.unfit else 'fit'} for a store; {waits} for a standby")
    moved = "no" if found.moved_ago_ms is None else f"noticed {found.moved_ago_ms // 1000} s ago"
    foreign = found.foreign_stripes
    where = f"; {count(foreign, 'stripe')} last used elsewhere" if foreign else ""
    yield line("moved", moved + where)
    rows = sum(size.rows or 0 for size in found.sizes)
    dead = sum(size.dead_rows for size in found.sizes)
    taken = sum(size.size_bytes for size in found.sizes)
    yield line("all stores in it", f"about {rows:,} rows, {dead:,} dead, {_size(taken)}")
    for size in sorted(found.sizes, key=lambda each: -each.size_bytes)[:_LARGEST]:
        known = "not counted yet" if size.rows is None else f"about {size.rows:,} rows"
        what = f"{known}, {size.dead_rows:,} dead, {_size(size.size_bytes)}"
        yield line(f"  {size.table}", what)


def _sealed(found: Examined) -> str:
    if not found.key_ids:
        return "records are not encrypted"
    return f"records are encrypted, keys {', '.join(map(str, found.key_ids))}"


def _size(number: int) -> str:
    if number >= 1024 * _MEBIBYTE:
        return f"{number / (1024 * _MEBIBYTE):.1f} GiB"
    return f"{number / _MEBIBYTE:.1f} MiB"
