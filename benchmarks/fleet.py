# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.fleet`: what many workers on one PostgreSQL cost, as ratios of one run.

Everything that is compared is measured in turns; a ratio is the median of those of the turns. Other
work on the machine moves each figure by a factor of two and a busy disk by ten, so only ratios
within one run say something. Workers are processes; the back end takes everything and costs
nothing. What does not depend on the machine is counted: the round trips of a send.

The server is one of the tests' own, in a folder that is gone afterwards, unless one is named.
"""

import argparse
import contextlib
import json
import secrets
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.fleet_hot_stripe import compare_locks
from benchmarks.fleet_parts import Meeting, new_customers
from benchmarks.fleet_worker import Done, Place, Worker
from benchmarks.machine import describe_machine
from e2ecross import Address, UserId
from e2ecross.stores import PostgresStore, SQLiteStore
from e2ecross.stores.postgres_tables import migrate

__all__ = ["database", "main", "parse"]

_STRIPES: Final = 4_096
_WORKERS: Final = 4
_FLEET: Final = Address("whatsapp", "toko")
_TARGETS: Final = {
    "warm_round_trips": 4,
    "cold_round_trips": 13,
    "cpu_of_sqlite": 1.5,
    "send_of_bare": 0.25,
    "one_identity_of_four": 0.8,
    "two_workers_of_one": 1.6,
    "four_workers_of_one": 3.2,
    "one_peer_of_one_worker": 0.5,
    "receive_of_send": 1.0,
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--database", help="conninfo of a database for this alone; its owner's")
    parser.add_argument("--folder", type=Path, help="for files; by default a temporary one")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--seconds", type=float, default=2, help="of each in a turn (default: 2)")
    parser.add_argument("--customers", type=int, default=16, help="default: 16")
    parser.add_argument("--hot-stripe", action="store_true", help="only: two ways to lock a row")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    given = parse(arguments)
    with ExitStack() as cleanup:
        address = cleanup.enter_context(database(given.database))
        if given.hot_stripe:
            found: dict[str, object] = compare_locks(address, given.rounds, given.seconds)
        else:
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(dir=given.folder)))
            found = _Run(address, folder, given, cleanup).compare()
    print(json.dumps({"machine": describe_machine(), **found}, indent=2))
    return 0


@contextlib.contextmanager
def database(address: str | None) -> Iterator[str]:
    """The conninfo of a database with the schema: the one that is named, or one of a new server."""
    if address is not None:
        migrate(address)
        yield address
        return
    from tests.support.postgres import Server  # of this checkout, as the benchmarks are

    server = Server({"shared_buffers": "256MB", "wal_level": "replica", "autovacuum": "on"})
    try:
        server.make()
        server.start()
        migrate(server.address())
        yield server.address()
    finally:
        server.remove()


class _Run:
    """One run: a device with many workers, as many devices with one each, and one on SQLite."""

    def __init__(
        self, address: str, folder: Path, given: argparse.Namespace, cleanup: ExitStack
    ) -> None:
        self._given = given
        self._address = address
        self._users = new_customers(given.customers, _STRIPES)
        self._meeting = Meeting(folder, self._users, cleanup)
        run = secrets.token_hex(4)
        self._fleet = Place(address, f"{run}-fleet")
        self._alone = [Place(address, f"{run}-alone{number}", 0) for number in range(_WORKERS)]
        self._file = Place(str(folder / "toko.db"), None)
        for place in (self._fleet, *self._alone):
            with PostgresStore(address, place.name or "", stripes=_STRIPES) as store:
                name = "toko" if place is self._fleet else f"toko{place.name or ''[-1]}"
                who = _FLEET if place is self._fleet else Address("whatsapp", name)
                self._meeting.meet(who, store)
        with SQLiteStore(self._file.address) as file:
            self._meeting.meet(Address("messenger", "toko"), file)
        self._workers = [Worker() for _ in range(_WORKERS)]
        for worker in self._workers:
            cleanup.callback(worker.close)

    def compare(self) -> dict[str, object]:
        """Measure everything in turns."""
        first = self._workers[0]
        warm, cold = first.do("round_trips", self._fleet, self._users[0])
        figures: dict[str, list[float]] = {}
        ratios: dict[str, list[float]] = {}
        for _ in range(self._given.rounds):
            for into, found in zip((figures, ratios), self._turn(), strict=True):
                for name, value in found.items():
                    into.setdefault(name, []).append(value)
        middle = {name: statistics.median(each) for name, each in ratios.items()}
        return {
            "warm_round_trips": warm,
            "cold_round_trips": cold,
            "ratios": {name: round(value, 3) for name, value in middle.items()},
            "ratios_of_turns": {
                name: [round(value, 3) for value in each] for name, each in ratios.items()
            },
            "figures": {name: round(statistics.median(each), 3) for name, each in figures.items()},
            "targets": _TARGETS,
        }

    def _turn(self) -> tuple[dict[str, float], dict[str, float]]:
        """Figures and ratios of one turn."""
        users, seconds = self._users, self._given.seconds
        first, fleet = self._workers[0], self._fleet
        without = fleet._replace(cached_values=0)
        bare: Done = first.do("bare", self._address, seconds)
        one: Done = first.do("send", fleet, users, seconds)
        file: Done = first.do("send", self._file, users, seconds)
        letters = self._meeting.letters(_FLEET, 20)
        received: Done = first.do("receive", fleet, letters)
        two = self._all(2, [fleet] * 2, [users[0::2], users[1::2]])
        four = self._all(4, [fleet] * 4, [users[number::4] for number in range(4)])
        shared = self._all(4, [without] * 4, [users] * 4)
        apart = self._all(4, self._alone, [users] * 4)
        to_one: Done = first.do("send", fleet, users[:1], seconds)
        four_to_one = self._all(4, [fleet] * 4, [users[:1]] * 4)
        figures = {
            "bare_per_second": bare.rate,
            "send_per_second": one.rate,
            "send_cpu_ms": one.cpu_ms,
            "sqlite_send_per_second": file.rate,
            "sqlite_send_cpu_ms": file.cpu_ms,
            "receive_per_second": received.rate,
            "receive_cpu_ms": received.cpu_ms,
            "two_workers_per_second": two,
            "four_workers_per_second": four,
            "four_workers_uncached_per_second": shared,
            "four_identities_uncached_per_second": apart,
            "to_one_peer_per_second": to_one.rate,
            "four_workers_to_one_peer_per_second": four_to_one,
        }
        ratios = {
            "cpu_of_sqlite": one.cpu_ms / file.cpu_ms,
            "send_of_bare": one.rate / bare.rate,
            "one_identity_of_four": shared / apart,
            "two_workers_of_one": two / one.rate,
            "four_workers_of_one": four / one.rate,
            "one_peer_of_one_worker": four_to_one / to_one.rate,
            "receive_of_send": received.rate / one.rate,
        }
        return figures, ratios

    def _all(self, count: int, places: Sequence[Place], users: Sequence[Sequence[UserId]]) -> float:
        """How many messages several workers send in a second, at once."""
        workers = self._workers[:count]
        for worker, place, whom in zip(workers, places, users, strict=True):
            worker.begin("send", place, whom, self._given.seconds)
        ended: list[Done] = [worker.end() for worker in workers]
        return sum(done.rate for done in ended)


if __name__ == "__main__":
    sys.exit(main())
