# SPDX-License-Identifier: Apache-2.0
"""Operations in the presence of a million sessions, or of 100,000 waiting messages.

Such a store or mailbox is built once for all rounds, in the folder that `SCRATCH` names: only
its size counts, and what a sample adds to it is nothing beside that.
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.contestants.chain import chain_makers
from benchmarks.contestants.devices import ANA, BUDI, STORE_KEY, Link, links
from benchmarks.job import Job, Maker, Step
from benchmarks.machine import resident_bytes
from e2ecross import Address, Device, Envelope, MessageKind
from e2ecross.relay import Relay, RelayLimits, mailbox
from e2ecross.relay.database import Database
from e2ecross.state.context import address_key
from e2ecross.stores import MemoryStore, SQLiteStore, Table

__all__ = ["SCRATCH", "crowd_makers", "relay_makers", "walk", "walk_before"]

SCRATCH: Final = "E2ECROSS_BENCHMARK_SCRATCH"
"""The environment variable that names the folder."""

_CHUNK: Final = 10_000
_TOKENS: Final = {ANA: b"a" * 32, BUDI: b"b" * 32}


def crowd_makers() -> dict[str, Maker]:
    """The makers of operations on one of many sessions in a sealed store."""
    makers = chain_makers(_connect_in_crowd)
    return {"encrypt_held": makers["encrypt"], "decrypt_held": makers["decrypt"]}


def relay_makers() -> dict[str, Maker]:
    """The makers of operations of a relay whose mailbox is full."""
    return {"deposit": _deposit, "fetch": _fetch}


def walk(job: Job) -> float:
    """Walk over every session of such a store; by how many bytes the process grew meanwhile.

    It is counted from the first tenth on, when every cache has what it is going to have.
    """
    before, highest = _walk(job.parameters["held"])
    return highest - before


def walk_before(job: Job) -> float:
    """How large the process is when that walk begins to count."""
    return _walk(job.parameters["held"])[0]


def _walk(held: int) -> tuple[int, int]:
    """How many bytes the process has after the first tenth, and at most in the rest."""
    store = _open_crowd(held)
    with store.transaction() as transaction:
        walked = transaction.scan(Table.SESSIONS)
        for _ in islice(walked, held // 10):
            pass
        before = highest = resident_bytes()
        while next(walked, None) is not None:
            for _ in islice(walked, held // 100):
                pass
            highest = max(highest, resident_bytes())
    store.close()
    return before, highest


def _connect_in_crowd(job: Job, cleanup: ExitStack) -> Link:
    store = _open_crowd(job.parameters["held"])
    cleanup.callback(store.close)
    budi = Device.create(BUDI, MemoryStore())
    # Nobody of the crowd, and nobody that an earlier sample has added.
    ours, other = links(Device.open(store), budi, 1, first=secrets.randbelow(2**40))[0]
    return other, ours


def _open_crowd(held: int) -> SQLiteStore:
    """A sealed store with that many sessions; it is made when there is none yet."""
    path = _scratch() / f"crowd-{held}.db"
    if not path.exists():
        building = path.with_suffix(".building")
        store = SQLiteStore(building, key=STORE_KEY)
        _fill(store, held)
        store.close()
        building.rename(path)
    return SQLiteStore(path, key=STORE_KEY)


def _fill(store: SQLiteStore, held: int) -> None:
    """Make one genuine session, and copy its records under other addresses."""
    ana, budi = Device.create(ANA, store), Device.create(BUDI, MemoryStore())
    model = address_key(links(ana, budi, 1)[0][0].address)
    tables = (Table.REMOTE_IDENTITIES, Table.SESSION_RECORDS, Table.SESSIONS)
    with store.transaction() as transaction:
        rows = [(table, *row) for table in tables for row in transaction.list(table, model)]
    for start in range(1, held, _CHUNK):
        with store.transaction() as transaction:
            for number in range(start, min(start + _CHUNK, held)):
                partition = address_key(Address("instagram", f"copy{number}"))
                for table, row, record in rows:
                    transaction.put(table, partition, row, record)


def _deposit(job: Job, cleanup: ExitStack) -> Step:
    relay = _open_relay(job.parameters["waiting"], cleanup)
    envelopes = iter(_envelopes(job.total))
    return lambda: _deposit_one(relay, next(envelopes))


def _deposit_one(relay: Relay, envelope: bytes) -> None:
    """What `Client.send` deposits: one in a call."""
    refused = relay.deposit_all(_TOKENS[ANA], [envelope]).refused
    if refused:
        raise refused[0]


def _fetch(job: Job, cleanup: ExitStack) -> Step:
    relay = _open_relay(job.parameters["waiting"], cleanup)
    for envelope in _envelopes(job.total):
        _deposit_one(relay, envelope)

    def step() -> None:
        ((number, _),) = relay.fetch(BUDI, _TOKENS[BUDI], 1)
        relay.acknowledge(BUDI, _TOKENS[BUDI], [number])

    return step


def _open_relay(waiting: int, cleanup: ExitStack) -> Relay:
    """A relay at which at least that many envelopes wait for Budi."""
    path = _scratch() / f"relay-{waiting}.db"
    is_new = not path.exists()
    limits = RelayLimits(mailbox_messages=10 * _CHUNK + 10 * waiting)
    relay = Relay(path, limits=limits)
    cleanup.callback(relay.close)
    if is_new:
        for address, token in _TOKENS.items():
            relay.register(address, token)
        database = Database(str(path))
        for start in range(0, waiting, _CHUNK):
            # One commit for many: through `Relay` each would have its own.
            database.write(partial(_deposit_at_once, min(_CHUNK, waiting - start), limits))
        database.close()
    return relay


def _deposit_at_once(number: int, limits: RelayLimits, connection: sqlite3.Connection) -> None:
    for encoded in _envelopes(number):
        mailbox.deposit(connection, Envelope.decode(encoded), encoded, limits)


def _envelopes(number: int) -> Iterator[bytes]:
    """Encoded envelopes of Ana to Budi; the relay does not see that all hold the same."""
    for _ in range(number):
        yield Envelope(
            message_id=os.urandom(16),
            sender=ANA,
            recipient=BUDI,
            kind=MessageKind.SIGNAL,
            ciphertext=bytes(200),
        ).encode()


def _scratch() -> Path:
    return Path(os.environ[SCRATCH])
