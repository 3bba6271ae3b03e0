# SPDX-License-Identifier: Apache-2.0
"""A worker of the benchmark of fleets: a process that sends and receives as it is told."""

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

import psycopg

from benchmarks.fleet_parts import TEXT, Nowhere
from e2ecross import Client, Device, UserId
from e2ecross.stores import PostgresStore, SQLiteStore
from e2ecross.stores.postgres_link import Link, Statement

__all__ = ["Done", "Place", "Worker"]

_START_SECONDS: Final = 0.1
_AT_ONCE: Final = 100  # items of one `receive`
_BARE: Final = (
    b"BEGIN",
    b"SELECT version FROM e2ecross.stripes WHERE stripe = 0 FOR UPDATE",
    b"UPDATE e2ecross.stripes SET version = version + 1 WHERE stripe = 0",
    b"COMMIT",
)


class Place(NamedTuple):
    """Which store a worker opens.

    Attributes:
        address: a conninfo, or the name of a file.
        name: of the store in the database; None: it is a file of SQLite.
        cached_values: how many it keeps.
    """

    address: str
    name: str | None
    cached_values: int = 4_096


@dataclass(frozen=True)
class Done:
    """What a worker has done.

    Attributes:
        count: of messages, or of transactions.
        cpu_seconds: of the process.
        seconds: by the clock.
    """

    count: int
    cpu_seconds: float
    seconds: float

    @property
    def rate(self) -> float:
        """How many in a second."""
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of the processor for each."""
        return 1_000 * self.cpu_seconds / self.count


class Worker:
    """A process that is told what to do; what it is told to begin, it ends by itself."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other,))
        self._process.start()

    def begin(self, call: str, *arguments: Any) -> None:  # noqa: ANN401
        """Have it begin a call."""
        self._pipe.send((call, arguments))

    def end(self) -> Any:  # noqa: ANN401
        """What the call that it has begun gives."""
        found = self._pipe.recv()
        if isinstance(found, str):
            raise AssertionError(found)
        return found

    def do(self, call: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Have it do something, and wait."""
        self.begin(call, *arguments)
        return self.end()

    def close(self) -> None:
        """End it."""
        self._pipe.send(None)
        self._process.join()


def _work(pipe: Connection) -> None:
    calls = _Calls()
    while (told := pipe.recv()) is not None:
        name, arguments = told
        try:
            pipe.send(getattr(calls, name)(*arguments))
        except Exception as error:
            pipe.send(f"{name}: {error!r}")


class _Calls:
    """What a worker does; each is a call that it may be told."""

    def __init__(self) -> None:
        self._clients: dict[Place, tuple[Client, Nowhere, Any]] = {}
        self._bare: psycopg.Connection[Any] | None = None

    def send(self, place: Place, users: Sequence[UserId], seconds: float) -> Done:
        """Send to them in turn, for so long."""
        client, _, _ = self._find(place)
        whom = cycle(users)
        client.send(next(whom), TEXT)
        return _timed(seconds, lambda: client.send(next(whom), TEXT))

    def send_each(self, place: Place, users: Sequence[UserId]) -> Done:
        """Send to each of them once."""
        client, _, _ = self._find(place)
        started, used = time.perf_counter(), time.process_time()
        for user in users:
            client.send(user, TEXT)
        return Done(len(users), time.process_time() - used, time.perf_counter() - started)

    def receive(self, place: Place, envelopes: Sequence[bytes]) -> Done:
        """Receive and confirm what waits."""
        client, backend, _ = self._find(place)
        backend.mail.extend(envelopes)
        done = 0
        started, used = time.perf_counter(), time.process_time()
        while items := client.receive(_AT_ONCE):
            client.confirm(items)
            done += len(items)
        if done != len(envelopes):
            raise AssertionError(f"{done} items of {len(envelopes)} envelopes")
        return Done(done, time.process_time() - used, time.perf_counter() - started)

    def bare(self, address: str, seconds: float) -> Done:
        """Lock a row, write it, commit; over and over."""
        if self._bare is None:
            self._bare = psycopg.connect(address, autocommit=True)
        connection = self._bare

        def once() -> None:
            for statement in _BARE:
                connection.execute(statement)

        return _timed(seconds, once)

    def round_trips(self, place: Place, user: UserId) -> tuple[int, int]:
        """How often the database is waited for in a send, warm and cold."""
        client, _, store = self._find(place)
        counted: list[int] = []
        run = Link._run

        def count(link: Link, statements: Sequence[Statement]) -> Any:  # noqa: ANN401
            counted.append(len(statements))
            return run(link, statements)

        client.send(user, TEXT)
        Link._run = count  # type: ignore[method-assign, assignment]
        try:
            client.send(user, TEXT)
            warm = len(counted)
            store._find_pool().cache.clear()
            client.send(user, TEXT)
            return warm, len(counted) - warm
        finally:
            Link._run = run  # type: ignore[method-assign]

    def _find(self, place: Place) -> tuple[Client, Nowhere, Any]:
        if place not in self._clients:
            store: SQLiteStore | PostgresStore
            if place.name is None:
                store = SQLiteStore(place.address, cached_values=place.cached_values)
            else:
                store = PostgresStore(place.address, place.name, cached_values=place.cached_values)
            backend = Nowhere()
            self._clients[place] = Client(Device.open(store), backend), backend, store
        return self._clients[place]


def _timed(seconds: float, once: Any) -> Done:  # noqa: ANN401
    count = 0
    started, used = time.perf_counter(), time.process_time()
    while not count or time.perf_counter() - started < seconds:
        once()
        count += 1
    return Done(count, time.process_time() - used, time.perf_counter() - started)
