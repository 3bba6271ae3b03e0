# SPDX-License-Identifier: Apache-2.0
"""Points at which a process kills itself, reached by wrapping what it works with.

Rules:
- The package knows nothing of this: a store, a back end and a relay's database are wrapped.
- The kill is SIGKILL: no handler, no `finally`, no buffer is written.
"""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TypeVar

from e2ecross import Address, PublishedKeys
from e2ecross.client.backend import Backend
from e2ecross.errors import UnknownRecipient
from e2ecross.relay.database import Lock
from e2ecross.relay.sqlite_database import SQLiteDatabase
from e2ecross.stores import Store, Table, Transaction
from e2ecross.stores.base import ValuesAsBytes, WholeStore
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting
from tests.support.around import AroundStore

T = TypeVar("T")

BACKEND_METHODS: Final = tuple(name for name in vars(Backend) if not name.startswith("_"))

TRANSACTION_POINTS: Final = (
    "before a transaction",
    "in a transaction, begun",
    "in a transaction, after a write",
    "in a transaction, before its commit",
    "after a commit, before the hand-over",
)
RELAY_POINTS: Final = ("in the relay's transaction, before its commit", "after the relay's commit")
_LINK_METHODS: Final = ("put_link", "get_link")
_GROUP_METHODS: Final = ("deposit_copies",)
BACKEND_POINTS: Final = tuple(
    f"{when} {method}"
    for method in BACKEND_METHODS
    if method not in _LINK_METHODS + _GROUP_METHODS
    for when in ("before", "after")
)
CALLER_POINTS: Final = (
    "before encryption",
    "after encryption",
    "after send",
    "after receive, before the caller's note",
    "after the caller's note, before confirm",
    "after confirm",
    "before closing the store",
)
POINTS: Final = TRANSACTION_POINTS + RELAY_POINTS + BACKEND_POINTS + CALLER_POINTS
LINK_POINTS: Final = (
    *(f"{when} {method}" for method in _LINK_METHODS for when in ("before", "after")),
    "after the code is shown",
    "after the code is scanned",
    "after the digits are shown",
    "after the digits are typed",
    "after the user has confirmed",
    "after it is linked",
    "after it is unlinked",
)
"""What a process comes to beside that where devices are linked and unlinked."""
CONVERSATION_POINTS: Final = (
    "after it is marked as read",
    "after it is opened",
    "after it is decided",
    "after it is maintained",
)
"""What a process comes to beside `POINTS` where messages are read, opened, and contacts chosen."""
GROUP_POINTS: Final = (
    *(f"{when} {method}" for method in _GROUP_METHODS for when in ("before", "after")),
    "after the group is changed",
    "after it is maintained",
)
"""What a process comes to beside `POINTS` where groups are changed, and sent into."""
_ALL: Final = frozenset((*POINTS, *LINK_POINTS, *CONVERSATION_POINTS, *GROUP_POINTS))


class Killer:
    """Kills this process when it comes to a point for the n-th time."""

    def __init__(self, point: str | None, visits: int) -> None:
        assert point is None or point in _ALL
        self._point = point
        self._left = visits

    def reach(self, point: str) -> None:
        assert point in _ALL
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class KillingStore(AroundStore):
    """A store with points around and inside its transactions."""

    def __init__(self, inner: Store, killer: Killer) -> None:
        super().__init__(inner)
        self._killer = killer

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        self._killer.reach("before a transaction")
        with self.inner.transaction(stripe, moved=moved) as inner:
            transaction = _KillingTransaction(inner, self._killer)
            self._killer.reach("in a transaction, begun")
            yield transaction
            if transaction.has_written:
                self._killer.reach("in a transaction, before its commit")
        if transaction.has_written:
            self._killer.reach("after a commit, before the hand-over")

    def close(self) -> None:
        self._killer.reach("before closing the store")
        super().close()


class _KillingTransaction(WholeStore, ValuesAsBytes):
    def __init__(self, inner: Transaction, killer: Killer) -> None:
        self._inner = inner
        self._killer = killer
        self.has_written = False

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        return self._inner.get(table, partition, row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        self._inner.put(table, partition, row, record)
        self._wrote()

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        was_there = self._inner.delete(table, partition, row)
        self._wrote()
        return was_there

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        return self._inner.list(table, partition, limit=limit, after=after)

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        return self._inner.partitions(table, limit=limit, after=after)

    def count(self, table: Table, partition: bytes = b"") -> int:
        return self._inner.count(table, partition)

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        removed = self._inner.clear(table, partition, limit)
        self._wrote()
        return removed

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        return self._inner.scan(table)

    def savepoint(self) -> AbstractContextManager[None]:
        return self._inner.savepoint()

    def _wrote(self) -> None:
        self.has_written = True
        self._killer.reach("in a transaction, after a write")


class KillingDatabase:
    """A relay's database with points at the end of its writing transactions."""

    def __init__(self, inner: SQLiteDatabase, killer: Killer) -> None:
        self._inner = inner
        self._killer = killer

    def write(self, work: Callable[[sqlite3.Connection], T], *locked: Lock) -> T:
        def killing(connection: sqlite3.Connection) -> T:
            result = work(connection)
            self._killer.reach("in the relay's transaction, before its commit")
            return result

        result = self._inner.write(killing, *locked)
        self._killer.reach("after the relay's commit")
        return result

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._inner.read(work)

    def close(self) -> None:
        self._inner.close()


class KillingBackend:
    """A back end with points before and after each call."""

    def __init__(self, inner: Backend, killer: Killer) -> None:
        self._inner = inner
        self._killer = killer

    def register(
        self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
    ) -> None:
        with self._around("register"):
            self._inner.register(address, token, replaces=replaces, credential=credential)

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None:
        with self._around("publish"):
            self._inner.publish(token, published, epoch=epoch, replace=replace)

    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None:
        with self._around("publish_devices"):
            self._inner.publish_devices(token, signed_list, tokens, epoch=epoch)

    def epochs(self, address: Address, token: bytes) -> Mapping[int, int]:
        with self._around("epochs"):
            return self._inner.epochs(address, token)

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        with self._around("one_time_prekey_count"):
            return self._inner.one_time_prekey_count(address, token)

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[UserKeys | UnknownRecipient]:
        with self._around("fetch_keys"):
            return self._inner.fetch_keys(requester, token, wanted)

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        with self._around("deposit_all"):
            return self._inner.deposit_all(token, envelopes, epochs=epochs, consents=consents)

    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        with self._around("deposit_copies"):
            return self._inner.deposit_copies(token, copies, epochs=epochs)

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        with self._around("fetch"):
            return self._inner.fetch(
                address, token, limit, after, wait_ms=wait_ms, hold_ms=hold_ms, holder=holder
            )

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        with self._around("acknowledge"):
            self._inner.acknowledge(address, token, numbers)

    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None:
        with self._around("put_link"):
            self._inner.put_link(link_id, slot, data, address=address, token=token)

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        with self._around("get_link"):
            return self._inner.get_link(link_id, slot)

    @contextmanager
    def _around(self, method: str) -> Iterator[None]:
        self._killer.reach(f"before {method}")
        yield
        self._killer.reach(f"after {method}")
