# SPDX-License-Identifier: Apache-2.0
"""Operations in the presence of a million sessions."""

import secrets
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.contestants.builds import address_key
from benchmarks.contestants.chain import chain_makers
from benchmarks.contestants.devices import ANA, BUDI, STORE_KEY, Link, links
from benchmarks.contestants.scratch import built_once
from benchmarks.job import Job, Maker
from benchmarks.machine import resident_bytes
from e2ecross import Address, Device
from e2ecross.stores import MemoryStore, SQLiteStore, Table

__all__ = ["crowd_makers", "walk", "walk_before"]

_CHUNK: Final = 10_000


def crowd_makers() -> dict[str, Maker]:
    """The makers of operations on one of many sessions in a sealed store."""
    makers = chain_makers(_connect_in_crowd)
    return {"encrypt_held": makers["encrypt"], "decrypt_held": makers["decrypt"]}


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
    path = built_once(f"crowd-{held}.db", partial(_build, held))
    return SQLiteStore(path, key=STORE_KEY)


def _build(held: int, path: Path) -> None:
    store = SQLiteStore(path, key=STORE_KEY)
    _fill(store, held)
    store.close()


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
