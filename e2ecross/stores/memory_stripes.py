# SPDX-License-Identifier: Apache-2.0
"""Stripes of a store in memory: views of one transaction, which hold to the rules of stripes.

Rules:
- The partitions of a stripe begin with its number. One gate is before all of them: what waits for
  nobody in a database waits here, and is otherwise the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from e2ecross.arguments import require_bytes
from e2ecross.errors import StoreError
from e2ecross.stores.base import DEVICE_TABLES, Codec, Table, Transaction
from e2ecross.stores.checks import (
    check_change,
    check_limit,
    check_place,
    check_range,
    check_table,
    check_view,
)

__all__ = ["StripeView", "stripes_of"]

V = TypeVar("V")

_STRIPE_BYTES: Final = 3
_END: Final = b"\x01"
"""Behind the number: the number alone comes before all partitions of its stripe, and is none."""
_PREFIX_BYTES: Final = _STRIPE_BYTES + len(_END)


class StripeView:
    """What a transaction sees of one stripe.

    Args:
        inner: the transaction of the whole store.
        own: the stripe that it has for itself; 0: all.
        stripe: the one that is seen.
        stripes: how many there are.
    """

    __slots__ = ("_inner", "_own", "_stripe", "_stripes")

    def __init__(self, inner: Transaction, own: int, stripe: int, stripes: int) -> None:
        self._inner = inner
        self._own = own
        self._stripe = stripe
        self._stripes = stripes

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        return self._inner.get(table, self._place(table, partition), row)

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        check_place(table, partition, row)
        check_change(self._own, self._stripe, table, partition, "put")
        self._inner.put(table, self._place(table, partition), row, record)

    def get_value(self, table: Table, partition: bytes, row: bytes, codec: Codec[V]) -> V | None:
        """See `Transaction.get_value`."""
        return self._inner.get_value(table, self._place(table, partition), row, codec)

    def put_value(
        self, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        """See `Transaction.put_value`."""
        check_place(table, partition, row)
        check_change(self._own, self._stripe, table, partition, "put")
        self._inner.put_value(table, self._place(table, partition), row, value, codec)

    def savepoint(self) -> AbstractContextManager[None]:
        """See `Transaction.savepoint`."""
        return self._inner.savepoint()

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """See `Transaction.delete`."""
        check_place(table, partition, row)
        check_change(self._own, self._stripe, table, partition, "delete")
        return self._inner.delete(table, self._place(table, partition), row)

    def add(self, table: Table, partition: bytes, row: bytes, record: bytes) -> bool:
        """See `Transaction.add`."""
        check_place(table, partition, row)
        check_change(self._own, self._stripe, table, partition, "add")
        return self._inner.add(table, self._place(table, partition), row, record)

    def stripe_count(self) -> int:
        """See `Transaction.stripe_count`."""
        return self._stripes

    def at(self, stripe: int) -> Transaction:
        """See `Transaction.at`."""
        check_view(self._own, stripe, self._stripes)
        return StripeView(self._inner, self._own, stripe, self._stripes)

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        return self._inner.list(table, self._place(table, partition), limit=limit, after=after)

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """See `Transaction.partitions`."""
        check_table(table)
        check_range(limit, after)
        if table in DEVICE_TABLES:
            return self._inner.partitions(table, limit=limit, after=after)
        own = _prefix(self._stripe)
        start = own[:-1] if after is None else own + after
        found = self._inner.partitions(table, limit=limit, after=start)
        return [partition[len(own) :] for partition in found if partition.startswith(own)]

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        return self._inner.count(table, self._place(table, partition))

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        check_place(table, partition)
        check_limit(limit)
        check_change(self._own, self._stripe, table, partition, "clear")
        return self._inner.clear(table, self._place(table, partition), limit)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        if table in DEVICE_TABLES:
            return self._inner.scan(table)
        found = self._inner.scan(table)  # which refuses what is no table, or is over
        own = _prefix(self._stripe)
        return (
            (partition[_PREFIX_BYTES:], row, record)
            for partition, row, record in found
            if partition.startswith(own)
        )

    def scan_all(self, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """See `Transaction.scan_all`."""
        if self._own:
            raise StoreError("only a transaction of the whole store walks over all stripes")
        if table in DEVICE_TABLES:
            return ((0, *found) for found in self._inner.scan(table))
        return (
            (_stripe_in(partition), partition[_PREFIX_BYTES:], row, record)
            for partition, row, record in self._inner.scan(table)
        )

    def _place(self, table: Table, partition: bytes) -> bytes:
        check_table(table)
        require_bytes("partition", partition)
        return partition if table in DEVICE_TABLES else _prefix(self._stripe) + partition


def stripes_of(tx: Transaction, table: Table) -> Sequence[int]:
    """Return which stripes have rows of a table, ascending; of a transaction without views."""
    return sorted({_stripe_in(partition) for partition in tx.partitions(table)})


def _prefix(stripe: int) -> bytes:
    return stripe.to_bytes(_STRIPE_BYTES) + _END


def _stripe_in(partition: bytes) -> int:
    return int.from_bytes(partition[:_STRIPE_BYTES])
