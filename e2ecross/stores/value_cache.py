# SPDX-License-Identifier: Apache-2.0
"""Values of a durable store that this process need not read again.

A contact's three records take 50 us to read, open and decode, and 1 us to find here.

Rules:
- Only what was read or written in a transaction is kept, also that nothing is there, and nothing of
  it once anybody else has written: the store shows at the beginning of each transaction that nobody
  has, or clears it.
- A transaction that fails, or a block of it, leaves nothing: what it put was not written.
- What a place had is forgotten before it is changed and kept after: an exception at any instruction
  in between leaves nothing, and that is right.
- What is put or deleted within savepoints is written when the transaction ends, or when somebody
  asks for many records: what is put ten times is written once.
- Bounded by the store's caller; what came first goes first.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, TypeVar, cast

from e2ecross.arguments import require_bytes
from e2ecross.errors import StoreError
from e2ecross.stores.base import Codec, Table, Transaction, WholeStore
from e2ecross.stores.checks import NO_SAVEPOINT, SAVEPOINT_INTERRUPTED, check_place
from e2ecross.stores.savepoint import Savepoint

__all__ = ["NOT_KEPT", "CachingTransaction", "ValueCache"]

V = TypeVar("V")

_MAX_WAITING: Final = 1_024
"""Values that wait to be written at most: a batch may have any number of recipients."""
_MAX_WAITING_BYTES: Final = 1024 * 1024
"""Of records that wait: there may be a large envelope for each recipient."""
NOT_KEPT: Final[Any] = object()
"""In the place of a value."""


def _as_it_is(record: bytes) -> bytes:
    return record


_RECORD: Final = Codec(_as_it_is, _as_it_is)
"""Of what was put as a record."""
_DELETED: Final = Codec(_as_it_is, _as_it_is)
"""Of what was deleted, with None as its value."""

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
        """Return the value at that place, or None: nothing is there, for any codec.

        `NOT_KEPT` where that is not known.
        """
        kept = self._values.get(place)
        if kept is None or (kept[0] is not None and kept[1] is not codec):
            return cast(V, NOT_KEPT)
        value: V | None = kept[0]
        return value

    def has(self, place: _Place) -> bool | None:
        """Whether something is at that place; None when that is not known."""
        kept = self._values.get(place)
        return None if kept is None else kept[0] is not None

    def keep(self, place: _Place, value: V | None, codec: Codec[V]) -> None:
        """Keep the value at that place, or that nothing is there."""
        if len(self._values) >= self._limit and place not in self._values:
            if not self._limit:
                return
            del self._values[next(iter(self._values))]
        self._values[place] = (value, codec)

    def holds(self, place: _Place) -> bool:
        """Tell whether something is kept of what is there."""
        kept = self._values.get(place)
        return kept is not None and kept[0] is not None

    def forget(self, place: _Place) -> None:
        """Keep nothing of that place any more."""
        self._values.pop(place, None)

    def forget_partition(self, table: Table, partition: bytes) -> None:
        """Keep nothing of a partition any more."""
        # Half a millisecond for 8,192 values, of which contacts take a hundred times that to read.
        gone = [place for place in self._values if place[1] == partition and place[0] is table]
        for place in gone:
            del self._values[place]

    def clear(self) -> None:
        """Keep nothing any more."""
        self._values.clear()

    @property
    def size(self) -> int:
        """How many values are kept."""
        return len(self._values)

    def __repr__(self) -> str:
        return f"<ValueCache: {len(self._values)} values>"


class CachingTransaction(WholeStore):
    """A transaction whose values come out of a cache where it has them."""

    __slots__ = ("_block", "_bytes", "_cache", "_ended", "_inner", "_savepoint", "_waiting")

    def __init__(self, inner: Transaction, cache: ValueCache) -> None:
        self._inner = inner
        self._cache = cache
        self._ended = False
        self._waiting: _Values = {}  # of savepoints that have ended well
        self._bytes = 0  # of records that wait
        self._block: _Values | None = None  # of the savepoint that we are in
        self._savepoint: AbstractContextManager[None] | None = None  # the store's own one

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        if self._waiting or self._block:
            check_place(table, partition, row)
            record = self._find_waiting((table, partition, row))
            if record is not NOT_KEPT:
                return record
        return self._inner.get(table, partition, row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        check_place(table, partition, row)
        place = (table, partition, row)
        self._cache.forget(place)
        if self._block is None:
            self.write()
            self._inner.put(table, partition, row, record)
        else:
            require_bytes("record", record)
            self._block[place] = (record, _RECORD)
            self._bytes += len(record)

    def get_value(self, table: Table, partition: bytes, row: bytes, codec: Codec[V]) -> V | None:
        """See `Transaction.get_value`."""
        place = (table, partition, row)
        try:
            value = self._cache.find(place, codec)
        except TypeError:  # a bytearray, say
            check_place(table, partition, row)
            raise
        if value is NOT_KEPT:
            record = self._find_waiting(place)
            if record is NOT_KEPT:
                value = self._inner.get_value(table, partition, row, codec)
            else:
                value = None if record is None else codec.decode(record)
            self._cache.keep(place, value, codec)
        return value

    def put_value(
        self, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        """See `Transaction.put_value`."""
        place = (table, partition, row)
        check_place(table, partition, row)
        self._cache.forget(place)
        if self._block is None:
            self.write()
            self._inner.put_value(table, partition, row, value, codec)
        else:
            self._block[place] = (value, codec)
        self._cache.keep(place, value, codec)

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """See `Transaction.delete`."""
        check_place(table, partition, row)
        place = (table, partition, row)
        if self._block is None:
            self._cache.forget(place)
            self.write()
            return self._inner.delete(table, partition, row)
        was_there = self._is_there(place)
        self._cache.forget(place)
        self._block[place] = (None, _DELETED)
        return was_there

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        self.write()
        return self._inner.list(table, partition, limit=limit, after=after)

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """See `Transaction.partitions`."""
        self.write()
        return self._inner.partitions(table, limit=limit, after=after)

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        self.write()
        return self._inner.count(table, partition)

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        self.write()
        self._cache.forget_partition(table, partition)
        return self._inner.clear(table, partition, limit)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        self.write()
        return self._inner.scan(table)

    def savepoint(self) -> AbstractContextManager[None]:
        """See `Transaction.savepoint`."""
        return Savepoint(self)

    def begin_block(self) -> None:
        """Begin a savepoint; the store's own one is begun when something has to be written."""
        if self._ended or self._block is not None:
            raise StoreError(NO_SAVEPOINT)
        self._block = {}

    def keep_block(self) -> None:
        """End a savepoint well."""
        if self._savepoint is not None:
            self.write()
            self._savepoint.__exit__(None, None, None)
            self._savepoint = None
        self._waiting.update(self._block or {})
        self._block = None
        if len(self._waiting) >= _MAX_WAITING or self._bytes >= _MAX_WAITING_BYTES:
            self.write()

    def undo_block(self, error: BaseException) -> None:
        """End a savepoint whose block has raised."""
        self._cache.clear()
        if self._savepoint is not None:
            # That it fails ends the transaction, which says so later; here the first error passes.
            with suppress(StoreError):
                self._savepoint.__exit__(type(error), error, error.__traceback__)
            self._savepoint = None
        self._block = None

    def write(self) -> None:
        """Write what waits, before the store is asked or changed itself, and before the commit."""
        # What waits stays until it is written: an interrupt in between has it written twice.
        if self._waiting:
            self._put(self._waiting)
            self._waiting = {}
        if self._block is not None:
            if self._savepoint is None:
                savepoint = self._inner.savepoint()
                savepoint.__enter__()
                self._savepoint = savepoint
            self._put(self._block)
            self._block = {}
        self._bytes = 0

    def finish(self) -> None:
        """Write what waits, for the commit that follows.

        Raises:
            StoreError: a savepoint was interrupted, so that it is not known what belongs to it.
        """
        if self._block is not None:
            raise StoreError(SAVEPOINT_INTERRUPTED)
        self.write()

    def end(self) -> None:
        """Answer nothing out of the cache any more; what is behind it refuses by itself."""
        self._ended = True
        self._cache = ValueCache(0)
        self._waiting, self._block = {}, None

    def _is_there(self, place: _Place) -> bool:
        found = (self._block or {}).get(place) or self._waiting.get(place)
        if found is not None:
            return found[1] is not _DELETED
        return self._cache.holds(place) or self._inner.get(*place) is not None

    def _find_waiting(self, place: _Place) -> bytes | None:
        """Return the record that waits to be written there, or None: it waits to be deleted.

        `NOT_KEPT` where the store has what is there.
        """
        found = (self._block or {}).get(place) or self._waiting.get(place)
        if found is None:
            return cast(bytes, NOT_KEPT)
        value, codec = found
        record: bytes | None = codec.encode(value)
        return record

    def _put(self, values: _Values) -> None:
        for (table, partition, row), (value, codec) in values.items():
            if codec is _DELETED:
                self._inner.delete(table, partition, row)
            else:
                self._inner.put(table, partition, row, codec.encode(value))
