# SPDX-License-Identifier: Apache-2.0
"""Sealing alone: the rows that one message writes, encrypted for rest, and no store behind it.

Which rows those are is not told here: a device is watched while it encrypts and decrypts one.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from benchmarks.contestants.devices import ANA, BUDI, STORE_KEY, connect, links
from benchmarks.job import Job, Step
from e2ecross import Device
from e2ecross.stores import MemoryStore
from e2ecross.stores.base import OneGate, Table, Transaction, ValuesAsBytes
from e2ecross.stores.sealing import SYSTEM_ENTROPY, Sealer

__all__ = [
    "bytes_written",
    "rows_of_decryption",
    "rows_of_encryption",
    "seal_decrypt",
    "seal_encrypt",
]

_Row = tuple[Table, bytes, bytes, bytes]


class _Watched(OneGate):
    """A store in memory, and what was put into it since `rows` was emptied."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self._store = MemoryStore()

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with self._store.transaction() as transaction:
            yield cast(Transaction, _Watching(transaction, self.rows))

    def close(self) -> None:
        self._store.close()


class _Watching(ValuesAsBytes):
    """A transaction in which every value that is put shows as the record that it becomes."""

    def __init__(self, inner: Transaction, rows: list[_Row]) -> None:
        self._inner = inner
        self._rows = rows

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        self._rows.append((table, partition, row, record))
        self._inner.put(table, partition, row, record)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the other methods, as they are
        return getattr(self._inner, name)


class _Nowhere:
    """A transaction whose rows nobody keeps."""

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        pass


def seal_encrypt(job: Job, cleanup: ExitStack, *, with_kyber: bool = False) -> Step:
    """A maker: seal what an encryption writes."""
    return _seal(rows_of_encryption(job, cleanup, with_kyber=with_kyber))


def seal_decrypt(job: Job, cleanup: ExitStack, *, with_kyber: bool = False) -> Step:
    """A maker: seal what a decryption writes."""
    return _seal(rows_of_decryption(job, cleanup, with_kyber=with_kyber))


def rows_of_encryption(job: Job, cleanup: ExitStack, *, with_kyber: bool = False) -> list[_Row]:
    """The rows (table, partition, row, record) that an encryption writes."""
    store = _Watched()
    _, end = connect(lambda _: store, job, cleanup, with_kyber=with_kyber)
    store.rows.clear()
    end.encrypt(bytes(100))
    return store.rows


def rows_of_decryption(job: Job, cleanup: ExitStack, *, with_kyber: bool = False) -> list[_Row]:
    """The rows that a decryption writes; not the first of its chain, which writes more."""
    store = _Watched()
    other, end = connect(lambda _: store, job, cleanup, with_kyber=with_kyber)
    for _ in range(2):
        message = other.encrypt(bytes(100))
        store.rows.clear()
        end.decrypt(message)
    return store.rows


def bytes_written(job: Job) -> float:
    """How many bytes of records a message of version 4 writes on average, at both ends."""
    stores = _Watched(), _Watched()
    ana, budi = Device.create(ANA, stores[0]), Device.create(BUDI, stores[1])
    sender, receiver = links(ana, budi, 1, with_kyber=True)[0]
    for store in stores:
        store.rows.clear()
    for _ in range(job.total):
        receiver.decrypt(sender.encrypt(bytes(job.parameters["bytes"])))
        sender, receiver = receiver, sender
    return sum(len(record) for store in stores for _, _, _, record in store.rows) / job.total


def _seal(rows: list[_Row]) -> Step:
    put = Sealer(STORE_KEY, STORE_KEY, SYSTEM_ENTROPY).wrap(cast(Transaction, _Nowhere())).put

    def step() -> None:
        for row in rows:
            put(*row)

    return step
