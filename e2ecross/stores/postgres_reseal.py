# SPDX-License-Identifier: Apache-2.0
"""Records of a `PostgresStore` sealed anew, so that an old key can be forgotten.

Rules:
- Any worker may do it at any time: what is to be done is found without locks, and looked at again
  in a transaction of its stripe.
- Look-up keys do not change, so every record stays in its place.
"""

from itertools import groupby
from typing import Any, Final

from psycopg.types.numeric import Int8

from e2ecross.errors import StoreError
from e2ecross.stores.base import Table
from e2ecross.stores.postgres_commit import Block, Opened, in_transaction
from e2ecross.stores.postgres_link import Statement
from e2ecross.stores.postgres_rows import STORE_BITS, StripeRows
from e2ecross.stores.postgres_sealing import KeyRing, StripeSealer, sealed_with

__all__ = ["forget_key", "reseal"]

_AT_ONCE: Final = 256  # records in one transaction: some milliseconds
_FROM: Final = "WHERE stripe BETWEEN %s AND %s AND substring(record FROM 1 FOR 2)"

_Place = tuple[int, bytes, bytes]


def reseal(opened: Opened, ring: KeyRing, limit: int) -> int:
    """Seal records of other keys anew; gives how many are left.

    Args:
        opened: the store.
        ring: its keys.
        limit: how many records at most.

    Raises:
        RecordCorrupted: one is damaged.
        WrongStoreKey: one is sealed with a key that was not given.
        StoreError: see `Store.transaction`.
    """
    left = limit
    for table in Table:
        if left:
            found = _find(opened, ring, table, left)
            left -= len(found)
            for number, places in groupby(found, key=lambda place: place[0]):
                stripe, waiting = number - (opened.number << STORE_BITS), list(places)
                while waiting:
                    _reseal(opened, ring, table, stripe, waiting[:_AT_ONCE])
                    del waiting[:_AT_ONCE]
    query = "SELECT count(*) FROM e2ecross.{} " + _FROM + " <> %s"  # noqa: S608
    return sum(rows[0][0] for rows in _ask(opened, query, sealed_with(ring.seal_with)))


def forget_key(opened: Opened, key_id: int) -> None:
    """Take the header of a key out of the store.

    Raises:
        StoreError: a record is sealed with it.
    """
    query = "SELECT EXISTS (SELECT FROM e2ecross.{} " + _FROM + " = %s)"  # noqa: S608
    if any(rows[0][0] for rows in _ask(opened, query, sealed_with(key_id))):
        raise StoreError("records are sealed with this key: call reseal until nothing is left")
    drop = "DELETE FROM e2ecross.store_keys WHERE store = %s AND key_id = %s"
    in_transaction(opened.find_pool(), [(drop, (opened.number, key_id))])


def _find(opened: Opened, ring: KeyRing, table: Table, limit: int) -> list[_Place]:
    query = (
        f"SELECT stripe, partition, row FROM e2ecross.{table.value} {_FROM} <> %s "  # noqa: S608
        "ORDER BY stripe LIMIT %s"
    )
    parameters = (*_bounds(opened), sealed_with(ring.seal_with), Int8(limit))
    [rows] = in_transaction(opened.find_pool(), [(query, parameters)], is_patient=True)
    return [(stripe, partition, row) for stripe, partition, row in rows]


def _reseal(opened: Opened, ring: KeyRing, table: Table, stripe: int, places: list[_Place]) -> None:
    sealer = StripeSealer(ring, stripe)
    block = Block(opened, stripe, moved=False)
    with block:
        rows = StripeRows(block.unit.work, stripe)
        for _, partition, row in places:
            sealed = rows.get(table, partition, row)
            if sealed is not None:  # else it has been deleted since
                rows.put(table, partition, row, sealer.seal_anew((table, partition, row), sealed))


def _ask(opened: Opened, query: str, prefix: bytes) -> list[list[tuple[Any, ...]]]:
    """Ask it of each table."""
    parameters = (*_bounds(opened), prefix)
    statements: list[Statement] = [(query.format(table.value), parameters) for table in Table]
    return in_transaction(opened.find_pool(), statements, is_patient=True)


def _bounds(opened: Opened) -> tuple[Int8, Int8]:
    base = opened.number << STORE_BITS
    return Int8(base), Int8(base + opened.stripes)
