# SPDX-License-Identifier: Apache-2.0
"""Stores to test with, and ways to look at their files from outside."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table, Transaction
from e2ecross.stores.sealing_header import create_sealing, open_sealing
from tests.support.around import AroundStore
from tests.support.postgres_stores import make_postgres_store

KEY = bytes(range(32))
POSTGRES = ("postgres", "sealed-postgres")
WITH_STRIPES = ("striped-memory", *POSTGRES)
KINDS = ("memory", "sqlite", "sealed-sqlite", "sealed-memory", *WITH_STRIPES)
STRIPES = 64
ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60  # for child processes and threads: only a hang comes near


class SealedMemoryStore(AroundStore):
    """A store that knows nothing of sealing, behind a seal."""

    def __init__(self, *, busy_timeout_ms: int = 5_000) -> None:
        self.memory = MemoryStore(busy_timeout_ms=busy_timeout_ms)
        super().__init__(self.memory)
        sealer = open_sealing(KEY, create_sealing(KEY, SYSTEM_ENTROPY), SYSTEM_ENTROPY)
        assert sealer is not None
        self.sealer = sealer

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with self.inner.transaction(stripe, moved=moved) as transaction:
            yield self.sealer.wrap(transaction)


def make_store(kind: str, directory: Path, *, busy_timeout_ms: int = 5_000) -> Store:
    stripes = STRIPES if kind in WITH_STRIPES else 0
    if kind in ("memory", "striped-memory"):
        return MemoryStore(stripes, busy_timeout_ms=busy_timeout_ms)
    if kind == "sealed-memory":
        return SealedMemoryStore(busy_timeout_ms=busy_timeout_ms)
    if kind in POSTGRES:
        keys = {1: KEY} if kind == "sealed-postgres" else None
        return make_postgres_store(keys=keys, stripes=stripes, busy_timeout_ms=busy_timeout_ms)
    key = KEY if kind == "sealed-sqlite" else None
    return SQLiteStore(directory / "store.db", key=key, busy_timeout_ms=busy_timeout_ms)


def put(store: Store, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
    with store.transaction() as transaction:
        transaction.put(table, partition, row, record)


def get(store: Store, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
    with store.transaction() as transaction:
        return transaction.get(table, partition, row)


def content(transaction: Transaction) -> dict[tuple[Table, bytes, bytes], bytes]:
    return {
        (table, partition, row): record
        for table in Table
        for partition, row, record in transaction.scan(table)
    }


def increment(store: Store) -> None:
    with store.transaction() as transaction:
        number = int(transaction.get(Table.DEVICE, b"counter") or b"0")
        transaction.put(Table.DEVICE, b"counter", b"", b"%d" % (number + 1))


def files(path: Path) -> dict[str, bytes]:
    """The store's file and everything beside it that belongs to it."""
    return {found.name: found.read_bytes() for found in path.parent.glob(f"{path.name}*")}


def start_child(*arguments: object) -> subprocess.Popen[str]:
    """Run `tests.stores.child` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.stores.child", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end_child(child: subprocess.Popen[str]) -> str:
    output, _ = child.communicate(timeout=WAIT_SECONDS)
    assert child.returncode == 0
    return output
