# SPDX-License-Identifier: Apache-2.0
"""The floor of a client: the commits that must happen, and what the device does between them.

Rules:
- Between the ends is a bare table of envelopes: one commit to deposit, one to acknowledge, as many
  envelopes as there are in each.
- The device encrypts and decrypts many at once: over a durable store that is a commit, too.
- What was handed over is confirmed by one more commit, over a durable store.
- No outbox, no inbox, no tokens, no numbers of anything but envelopes, no errors.
"""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.contestants.clients import acquainted, backlog, content_of
from benchmarks.contestants.commit import PRAGMAS, commit
from benchmarks.contestants.devices import ANA, BUDI, NewStore, bundles_of
from benchmarks.contestants.many import require_all
from benchmarks.contestants.several import with_account
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Bytes, Device, Envelope, Message

__all__ = ["client_floor_makers"]

_AT_ONCE: Final = 1_000


class _BareRelay:
    """Envelopes in a table, and nothing else."""

    def __init__(self, cleanup: ExitStack) -> None:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        self._connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
        cleanup.callback(self._connection.close)
        for pragma in PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.execute("CREATE TABLE t (number INTEGER PRIMARY KEY, envelope BLOB)")

    def deposit(self, envelopes: Sequence[bytes]) -> None:
        """One commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        rows = [(envelope,) for envelope in envelopes]
        self._connection.executemany("INSERT INTO t (envelope) VALUES (?)", rows)
        self._connection.execute("COMMIT")

    def fetch(self, limit: int) -> list[tuple[int, bytes]]:
        """The oldest ones."""
        found = self._connection.execute("SELECT * FROM t ORDER BY number LIMIT ?", (limit,))
        return found.fetchall()

    def acknowledge(self, numbers: Sequence[int]) -> None:
        """One commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        rows = [(number,) for number in numbers]
        self._connection.executemany("DELETE FROM t WHERE number = ?", rows)
        self._connection.execute("COMMIT")


def client_floor_makers(new_store: NewStore, *, is_durable: bool) -> dict[str, Maker]:
    """The makers of the same operations as those of a client over such a store."""

    def confirming(job: Job, cleanup: ExitStack) -> Step:
        return commit(job, cleanup) if is_durable else lambda: None

    def send(job: Job, cleanup: ExitStack) -> Step:
        ana, (address,) = acquainted(new_store, 1, cleanup)
        relay, content = _BareRelay(cleanup), content_of(job)
        return lambda: relay.deposit([ana.encrypt(address, content).encode()])

    def send_many(job: Job, cleanup: ExitStack) -> Step:
        ana, addresses = acquainted(new_store, job.parameters["count"], cleanup)
        relay, content = _BareRelay(cleanup), content_of(job)
        starts = range(0, len(addresses), _AT_ONCE)
        parts = [addresses[start : start + _AT_ONCE] for start in starts]

        def step() -> None:
            for part in parts:
                relay.deposit(_encrypted(ana, part, content))

        return step

    def send_devices(job: Job, cleanup: ExitStack) -> Step:
        ana, budis = with_account(new_store, job.parameters["devices"], cleanup)
        addresses = [budi.address for budi in budis]
        relay, content = _BareRelay(cleanup), content_of(job)
        return lambda: relay.deposit(_encrypted(ana, addresses, content))

    def receive(job: Job, cleanup: ExitStack) -> Step:
        count, budi = job.parameters["count"], Device.create(BUDI, new_store(cleanup))
        relay, confirm = _BareRelay(cleanup), confirming(job, cleanup)
        relay.deposit(backlog(budi, job, count * job.total))

        def step() -> None:
            _receive(budi, relay, count)
            confirm()

        return step

    def ping_pong(job: Job, cleanup: ExitStack) -> Step:
        ana, budi = _two_devices(new_store, cleanup)
        relay, confirm, content = _BareRelay(cleanup), confirming(job, cleanup), content_of(job)

        def there_and_back() -> Iterator[None]:
            while True:
                for sender, receiver in ((ana, budi), (budi, ana)):
                    relay.deposit([sender.encrypt(receiver.address, content).encode()])
                    _receive(receiver, relay, 1)
                    confirm()
                    yield

        return there_and_back().__next__

    return {
        "client_send": send,
        "client_send_many": send_many,
        "client_send_devices": send_devices,
        "client_receive": receive,
        "client_ping_pong": ping_pong,
    }


def _encrypted(device: Device, addresses: Sequence[Address], content: Bytes) -> list[bytes]:
    results: Sequence[Any] = device.encrypt_many(addresses, content)
    require_all(results, Envelope)
    return [envelope.encode() for envelope in results]


def _receive(device: Device, relay: _BareRelay, count: int) -> None:
    found = relay.fetch(count)
    results = device.decrypt_many([Envelope.decode(envelope) for _, envelope in found])
    require_all(results, Message)
    if len(results) != count:
        raise ValueError(f"{len(results)} messages, and not {count}")
    relay.acknowledge([number for number, _ in found])


def _two_devices(new_store: NewStore, cleanup: ExitStack) -> tuple[Device, Device]:
    """Two devices that have heard from each other."""
    ana, budi = (Device.create(address, new_store(cleanup)) for address in (ANA, BUDI))
    greeting = Bytes(b"halo")
    ana.start_session(next(bundles_of(budi, 1, with_kyber=True)))
    budi.decrypt(ana.encrypt(BUDI, greeting))
    ana.decrypt(budi.encrypt(ANA, greeting))
    return ana, budi
