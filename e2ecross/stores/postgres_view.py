# SPDX-License-Identifier: Apache-2.0
"""What a caller sees of a `PostgresStore` inside one transaction: a stripe, out of the cache.

Rules:
- What is put, and deleted where it is known that something is there, is written when the
  transaction ends, or when somebody asks for many records: what is put ten times is written once.
- All views of a transaction share what waits, and a savepoint undoes it in all of them. The
  database hears of a savepoint only when something has to be written within it.
- What a place had is forgotten before it is changed and kept after.
- What first messages of any stripe use up is never kept.
- What a message asks for one after the other is read together, when nothing of it is kept.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, TypeVar, cast

from e2ecross.arguments import require_bytes
from e2ecross.errors import StoreError
from e2ecross.stores.base import DEVICE_TABLES, Codec, Table, Transaction
from e2ecross.stores.checks import (
    NO_SAVEPOINT,
    SAVEPOINT_INTERRUPTED,
    check_change,
    check_place,
    check_view,
)
from e2ecross.stores.postgres_rows import StripeRows, Work
from e2ecross.stores.postgres_sealing import KeyRing
from e2ecross.stores.savepoint import Savepoint
from e2ecross.stores.value_cache import NOT_KEPT, ValueCache

__all__ = ["StripeView", "Unit"]

V = TypeVar("V")

_Place = tuple[Table, bytes, bytes]
_Values = dict[tuple[int, _Place], tuple[Any, Codec[Any]]]

_MAX_WAITING: Final = 1_024
_MAX_WAITING_BYTES: Final = 1024 * 1024
_USED_UP: Final = frozenset((Table.ONE_TIME_PREKEYS, Table.KYBER_PREKEYS, Table.SEEN_BASE_KEYS))


_TOGETHER: Final = {
    (Table.DEVICE, b""): ((Table.STRIPE, b""),),
    (Table.ACCOUNTS, b""): ((Table.CONSENT, b""), (Table.CONVERSATIONS, b"")),
    (Table.REMOTE_IDENTITIES, b""): ((Table.SESSION_RECORDS, b""),),
    (Table.SENT, b""): ((Table.SENT, b"id"),),
    (Table.OUTBOX, b""): ((Table.OUTBOX, (1).to_bytes(8)),),
}
"""By table and row, what is asked for next of the same partition."""


def _as_it_is(record: bytes) -> bytes:
    return record


_RECORD: Final = Codec(_as_it_is, _as_it_is)
"""Of what was put as a record."""
_DELETED: Final = Codec(_as_it_is, _as_it_is)
"""Of what was deleted, with None as its value."""


class Unit:
    """What waits to be written in one transaction.

    Args:
        work: the transaction.
        ring: what seals the records, if anything.
        caches: values by stripe; of the others nothing is kept.
    """

    __slots__ = ("_begun", "_block", "_bytes", "_caches", "_ring", "_rows", "_waiting", "work")

    def __init__(
        self,
        work: Work,
        ring: KeyRing | None,
        caches: dict[int, ValueCache],
    ) -> None:
        self.work = work
        self._ring = ring
        self._caches = caches
        self._rows: dict[int, Transaction] = {}
        self._waiting: _Values = {}  # of savepoints that have ended well, or of none
        self._block: _Values | None = None  # of the savepoint that we are in
        self._begun = False  # whether the database has heard of it
        self._bytes = 0  # of records that wait

    def rows(self, stripe: int) -> Transaction:
        """Return the rows of a stripe, with nothing that waits."""
        found = self._rows.get(stripe)
        if found is None:
            found = StripeRows(self.work, stripe)
            if self._ring is not None:
                found = self._ring.wrap(found, stripe)
            self._rows[stripe] = found
        return found

    def read_ahead(self, stripe: int, places: Sequence[_Place]) -> None:
        """Read records together, the first of which is about to be asked for."""
        unknown = [place for place in places if self.cache(stripe, place[0]).has(place) is None]
        if self._ring is not None:
            unknown = [self._ring.place(*place).where for place in unknown]
        if unknown:
            StripeRows(self.work, stripe).read(unknown)

    def scan_all(self, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """See `Transaction.scan_all`."""
        rows = StripeRows(self.work, 0)
        return rows.scan_all(table) if self._ring is None else self._ring.scan_all(rows, table)

    def cache(self, stripe: int, table: Table) -> ValueCache:
        """Return what is kept of a table's stripe."""
        home = 0 if table in DEVICE_TABLES else stripe
        found = self._caches.get(home)
        return self._caches.setdefault(home, ValueCache(0)) if found is None else found

    def set(self, stripe: int, place: _Place, value: object, codec: Codec[Any]) -> None:
        """Have a value written."""
        into = self._waiting if self._block is None else self._block
        into[_home(stripe, place), place] = (value, codec)
        if codec is _RECORD and value:
            self._bytes += len(cast(bytes, value))
        if len(into) >= _MAX_WAITING or self._bytes >= _MAX_WAITING_BYTES:
            self.write()

    def find(self, stripe: int, place: _Place) -> tuple[Any, Codec[Any]] | None:
        """Return what waits to be written there, if anything."""
        key = (_home(stripe, place), place)
        return (self._block or {}).get(key) or self._waiting.get(key)

    def write(self) -> None:
        """Write what waits, before the database is asked for many records."""
        if self._waiting:
            self._put(self._waiting)
            self._waiting = {}
        if self._block is not None:
            if not self._begun:
                self.work.keep("SAVEPOINT block")
                self._begun = True
            self._put(self._block)
            self._block = {}
        self._bytes = 0

    def finish(self) -> None:
        """Write what waits, for the commit that follows.

        Raises:
            StoreError: a savepoint was interrupted, so that it is not known what belongs to it.
        """
        self.work.check()
        if self._block is not None:
            raise StoreError(SAVEPOINT_INTERRUPTED)
        self.write()

    def end(self) -> None:
        """Answer nothing any more."""
        self.work.end()
        self._waiting, self._block, self._caches, self._rows = {}, None, {}, {}

    def begin_block(self) -> None:
        """Begin a savepoint."""
        self.work.check()
        if self._block is not None:
            raise StoreError(NO_SAVEPOINT)
        self._block = {}

    def keep_block(self) -> None:
        """End a savepoint well."""
        if self._begun:
            self.write()
            self._begun = False  # first: what is released cannot be undone after an interrupt
            self.work.keep("RELEASE block")
        self._waiting.update(self._block or {})
        self._block = None

    def undo_block(self, _: BaseException) -> None:
        """End a savepoint whose block has raised."""
        for cache in self._caches.values():
            cache.clear()
        self.work.ahead.clear()
        if self._begun:
            # That it fails ends the transaction, which says so later; here the first error passes.
            with suppress(StoreError):
                self.work.keep("ROLLBACK TO block")
                self.work.keep("RELEASE block")
            self._begun = False
        self._block = None

    def _put(self, values: _Values) -> None:
        try:
            self.work.is_late = True
            for (stripe, (table, partition, row)), (value, codec) in values.items():
                if codec is _DELETED:
                    self.rows(stripe).delete(table, partition, row)
                else:
                    self.rows(stripe).put(table, partition, row, codec.encode(value))
        finally:
            self.work.is_late = False


class StripeView:
    """See `Transaction`.

    Args:
        unit: of the transaction.
        stripe: which is seen.
    """

    __slots__ = ("_rows", "_stripe", "_unit")

    def __init__(self, unit: Unit, stripe: int) -> None:
        self._unit = unit
        self._stripe = stripe
        self._rows = unit.rows(stripe)

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        return self.get_value(table, partition, row, _RECORD)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        check_place(table, partition, row)
        require_bytes("record", record)
        self.put_value(table, partition, row, record, _RECORD)

    def get_value(self, table: Table, partition: bytes, row: bytes, codec: Codec[V]) -> V | None:
        """See `Transaction.get_value`."""
        check_place(table, partition, row)
        unit, place = self._unit, (table, partition, row)
        unit.work.check()
        waiting = unit.find(self._stripe, place)
        if waiting is not None:
            value, how = waiting
            if value is None or how is codec:
                return cast("V | None", value)
            return codec.decode(how.encode(value))
        cache = unit.cache(self._stripe, table)
        found = cache.find(place, codec)
        if found is NOT_KEPT:
            beside = _TOGETHER.get((table, row))
            if beside is not None:
                unit.read_ahead(self._stripe, [place, *((t, partition, r) for t, r in beside)])
            record = self._rows.get(table, partition, row)
            found = None if record is None else codec.decode(record)
            self._keep(place, found, codec)
        return found

    def put_value(
        self, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        """See `Transaction.put_value`."""
        check_place(table, partition, row)
        unit, place = self._unit, (table, partition, row)
        unit.work.check()
        check_change(unit.work.own, self._stripe, table, partition, "put")
        unit.cache(self._stripe, table).forget(place)
        unit.set(self._stripe, place, value, codec)
        self._keep(place, value, codec)

    def add(self, table: Table, partition: bytes, row: bytes, record: bytes) -> bool:
        """See `Transaction.add`."""
        check_place(table, partition, row)
        require_bytes("record", record)
        self._change(table, partition, "add")
        self._unit.cache(self._stripe, table).forget((table, partition, row))
        return self._rows.add(table, partition, row, record)

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """See `Transaction.delete`."""
        check_place(table, partition, row)
        unit, place = self._unit, (table, partition, row)
        unit.work.check()
        check_change(unit.work.own, self._stripe, table, partition, "delete")
        cache, waiting = unit.cache(self._stripe, table), unit.find(self._stripe, place)
        there = waiting[0] is not None if waiting is not None else cache.has(place)
        if there is False:
            return False
        cache.forget(place)
        if there is None:
            unit.write()
            return self._rows.delete(table, partition, row)
        unit.set(self._stripe, place, None, _DELETED)
        self._keep(place, None, _DELETED)
        return True

    def stripe_count(self) -> int:
        """See `Transaction.stripe_count`."""
        return self._unit.work.stripes

    def at(self, stripe: int) -> Transaction:
        """See `Transaction.at`."""
        work = self._unit.work
        check_view(work.own, stripe, work.stripes)
        return self if stripe == self._stripe else StripeView(self._unit, stripe)

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        self._unit.write()
        return self._rows.list(table, partition, limit=limit, after=after)

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """See `Transaction.partitions`."""
        self._unit.write()
        return self._rows.partitions(table, limit=limit, after=after)

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        self._unit.write()
        return self._rows.count(table, partition)

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        check_place(table, partition)
        self._change(table, partition, "clear")
        self._unit.cache(self._stripe, table).forget_partition(table, partition)
        return self._rows.clear(table, partition, limit)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        self._unit.write()
        return self._rows.scan(table)

    def scan_all(self, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """See `Transaction.scan_all`."""
        self._unit.write()
        return self._unit.scan_all(table)

    def savepoint(self) -> AbstractContextManager[None]:
        """See `Transaction.savepoint`."""
        return Savepoint(self._unit)

    def _change(self, table: Table, partition: bytes, how: Any) -> None:  # noqa: ANN401
        work = self._unit.work
        work.check()
        check_change(work.own, self._stripe, table, partition, how)
        self._unit.write()

    def _keep(self, place: _Place, value: V | None, codec: Codec[V]) -> None:
        if place[0] not in _USED_UP:
            self._unit.cache(self._stripe, place[0]).keep(place, value, codec)


def _home(stripe: int, place: _Place) -> int:
    return 0 if place[0] in DEVICE_TABLES else stripe
