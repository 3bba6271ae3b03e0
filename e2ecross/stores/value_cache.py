# SPDX-License-Identifier: Apache-2.0
"""Values of a durable store that this process need not read again.

A contact's three records take 50 us to read, open and decode, and 1 us to find here.

Rules:
- Only what was read or written in a transaction is kept, and nothing of it once anybody else has
  written: the store shows at the beginning of each transaction that nobody has, or clears it.
- A transaction that fails, or a block of it, leaves nothing: what it put was not written.
- What is put within savepoints is written when the transaction ends, or when somebody asks for
  records: what is put ten times is written once.
- Bounded by the store's caller; what came first goes first.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, TypeVar

from e2ecross.errors import StoreError
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.stores.checks import check_place

__all__ = ["CachingTransaction", "ValueCache"]

V = TypeVar("V")

_MAX_WAITING: Final = 1_024
"""Values that wait to be written at most: a batch may have any number of recipients."""

_Place = tuple[Table, bytes, bytes]
_Values = dict[_Place, tuple[Any, Codec[Any]]]


class ValueCache:
    """Values by table, partition and row; used by one thread at a time.

    Args:
        limit: how many are kept at most.
    """

    __slots__ = ("_limit", "_values")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: _Values = {}

    def find(self, place: _Place, codec: Codec[V]) -> V | None:
        """Return the value at that place, if it is kept and was made by this codec."""
        kept = self._values.get(place)
        if kept is None or kept[1] is not codec:
            return None
        value: V = kept[0]
        return value

    def keep(self, place: _Place, value: V, codec: Codec[V]) -> None:
        """Keep the value at that place."""
        if len(self._values) >= self._limit and place not in self._values:
            if not self._limit:
                return
            del self._values[next(iter(self._values))]
        self._values[place] = (value, codec)

    def forget(self, place: _Place) -> None:
        """Keep nothing of that place any more."""
        self._values.pop(place, None)

    def clear(self) -> None:
        """Keep nothing any more."""
        self._values.clear()

    def __repr__(self) -> str:
        return f"<ValueCache: {len(self._values)} values>"


class CachingTransaction:
    """A transaction whose values come out of a cache where it has them."""

    __slots__ = ("_block", "_cache", "_ended", "_inner", "_is_open", "_savepoint", "_waiting")

    def __init__(self, inner: Transaction, cache: ValueCache) -> None:
        self._inner = inner
        self._cache = cache
        self._ended = False
        self._waiting: _Values = {}  # of savepoints that have ended well
        self._block: _Values | None = None  # of the savepoint that we are in
        self._savepoint = ExitStack()  # the store's own one, once it is open
        self._is_open = False

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        self.write()
        return self._inner.get(table, partition, row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        self.write()
        self._inner.put(table, partition, row, record)
        self._cache.forget((table, partition, row))

    def get_value(self, table: Table, partition: bytes, row: bytes, codec: Codec[V]) -> V | None:
        """See `Transaction.get_value`."""
        place = (table, partition, row)
        value = self._cache.find(place, codec)
        if value is None:
            if place in self._waiting or (self._block is not None and place in self._block):
                self.write()
            value = self._inner.get_value(table, partition, row, codec)
            if value is not None:
                self._cache.keep(place, value, codec)
        return value

    def put_value(
        self, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        """See `Transaction.put_value`."""
        place = (table, partition, row)
        if self._block is None:
            self.write()
            self._inner.put_value(table, partition, row, value, codec)
        else:
            check_place(table, partition, row)
            self._block[place] = (value, codec)
        self._cache.keep(place, value, codec)

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> None:
        """See `Transaction.delete`."""
        self.write()
        self._inner.delete(table, partition, row)
        self._cache.forget((table, partition, row))

    def list(self, table: Table, partition: bytes = b"") -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        self.write()
        return self._inner.list(table, partition)

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        self.write()
        return self._inner.count(table, partition)

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        self.write()
        self._cache.clear()
        return self._inner.clear(table, partition, limit)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        self.write()
        return self._inner.scan(table)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """See `Transaction.savepoint`."""
        if self._ended or self._block is not None:
            raise StoreError("a savepoint stands inside a transaction, and not inside another")
        self._block, self._is_open = {}, False
        try:
            with ExitStack() as self._savepoint:
                yield
                if self._is_open:
                    self.write()
            self._waiting.update(self._block)
        except BaseException:
            self._cache.clear()
            raise
        finally:
            self._block = None
        if len(self._waiting) >= _MAX_WAITING:
            self.write()

    def write(self) -> None:
        """Write what waits, before the store is asked or changed itself, and before the commit."""
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            self._put(waiting)
        if self._block is not None:
            if not self._is_open:
                self._savepoint.enter_context(self._inner.savepoint())
                self._is_open = True
            block, self._block = self._block, {}
            self._put(block)

    def end(self) -> None:
        """Answer nothing out of the cache any more; what is behind it refuses by itself."""
        self._ended = True
        self._cache = ValueCache(0)

    def _put(self, values: _Values) -> None:
        for (table, partition, row), (value, codec) in values.items():
            self._inner.put_value(table, partition, row, value, codec)
