# SPDX-License-Identifier: Apache-2.0
"""What a test sees of a store with stripes that it looks into: all stripes as one.

A row is looked for in every stripe. A new one is put where others of its account are: what names
nobody, in stripe 0. So tests that were written for one gate tell the same of many; what the package
itself begins it gets as it is. So does a test that has said how many stripes its store has.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar

from e2ecross.address import UserId
from e2ecross.errors import E2ECrossError
from e2ecross.state.context import load_device
from e2ecross.state.stripe import stripe_of
from e2ecross.stores import MemoryStore, Store, Table, Transaction
from e2ecross.stores.base import DEVICE_TABLES, Codec

__all__ = ["Routed", "route", "route_one"]

V = TypeVar("V")

_WAYS: Final = ("contextlib", "e2ecross.state.epoch", "e2ecross.state.transactions")
"""Who begins a transaction for somebody else; so do stores around another one."""
_USER: Final = re.compile(rb"([a-z0-9-]{1,32})\0([a-z0-9_+-]{1,64})(?=\0|$)")


class _Unsaid(int):
    """How many stripes a store has of which the test does not say it."""


def route(stripes: int) -> None:
    """Let stores in memory have stripes, and their whole transactions that tests begin be of all.

    Args:
        stripes: of a store of which nothing is said; only such ones are routed.
    """
    make, begin = MemoryStore.__init__, MemoryStore.transaction

    def init(self: MemoryStore, *said: int, **how: int) -> None:
        if said or "stripes" in how:
            make(self, *said, **how)
        else:
            make(self, stripes, **how)
            self._stripes = _Unsaid(stripes)

    def transaction(
        self: MemoryStore, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        inner = begin(self, stripe, moved=moved)
        is_routed = isinstance(self.stripes, _Unsaid) and not stripe and _is_test()
        return _routed(inner) if is_routed else inner

    MemoryStore.__init__ = init  # type: ignore[method-assign]
    MemoryStore.transaction = transaction  # type: ignore[method-assign]


def route_one(store: Store) -> None:
    """Let the whole transactions of a store that tests begin be of all its stripes."""
    kind: type[Any] = type(store)

    class Routing(kind):  # type: ignore[misc]
        __slots__ = ()

        def transaction(
            self, stripe: int = 0, *, moved: bool = False
        ) -> AbstractContextManager[Transaction]:
            inner = kind.transaction(self, stripe, moved=moved)
            return _routed(inner) if not stripe and _is_test() else inner

    store.__class__ = Routing  # its attributes have slots: none can be replaced


def _is_test() -> bool:
    """Whether a test wants it, and no operation of the package."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name not in _WAYS and frame.f_code.co_name not in ("transaction", "_pointed"):
            return bool(name.startswith("tests."))
        frame = frame.f_back
    return False


@contextmanager
def _routed(inner: AbstractContextManager[Transaction]) -> Iterator[Transaction]:
    with inner as tx:
        yield Routed(tx)


class Routed:
    """See `Transaction`."""

    def __init__(self, inner: Transaction) -> None:
        self._inner = inner
        self._views = [inner.at(stripe) for stripe in range(inner.stripe_count() + 1)]

    def _home(self, table: Table, partition: bytes, row: bytes) -> Transaction:
        """Where a row is, or would be."""
        if table in DEVICE_TABLES:
            return self._inner
        for view in self._views:
            if view.get(table, partition, row) is not None:
                return view
        found = _USER.search(partition) or _USER.search(row)
        own = load_device(self._inner)
        if found is None or own is None:
            return self._inner
        try:
            user = UserId(found[1].decode(), found[2].decode())
        except E2ECrossError:
            return self._inner
        stripes = self._inner.stripe_count()
        return self._views[0 if user == own.address.user_id else stripe_of(user, stripes)]

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        return self._home(table, partition, row).get(table, partition, row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        self._home(table, partition, row).put(table, partition, row, record)

    def get_value(self, table: Table, partition: bytes, row: bytes, codec: Codec[V]) -> V | None:
        return self._home(table, partition, row).get_value(table, partition, row, codec)

    def put_value(
        self, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        self._home(table, partition, row).put_value(table, partition, row, value, codec)

    def savepoint(self) -> AbstractContextManager[None]:
        return self._inner.savepoint()

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        return self._home(table, partition, row).delete(table, partition, row)

    def add(self, table: Table, partition: bytes, row: bytes, record: bytes) -> bool:
        return self._home(table, partition, row).add(table, partition, row, record)

    def stripe_count(self) -> int:
        return self._inner.stripe_count()

    def at(self, stripe: int) -> Transaction:
        return self._inner.at(stripe)

    def _of(self, table: Table) -> Sequence[Transaction]:
        return self._views[:1] if table in DEVICE_TABLES else self._views

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        found = [
            row
            for view in self._of(table)
            for row in view.list(table, partition, limit=limit, after=after)
        ]
        return sorted(found, key=lambda row: row[0])[:limit]

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        found = {
            partition
            for view in self._of(table)
            for partition in view.partitions(table, limit=limit, after=after)
        }
        return sorted(found)[:limit]

    def count(self, table: Table, partition: bytes = b"") -> int:
        return sum(view.count(table, partition) for view in self._of(table))

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        return sum(view.clear(table, partition, limit) for view in self._of(table))

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        return (found[1:] for found in self._inner.scan_all(table))

    def scan_all(self, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        return self._inner.scan_all(table)
