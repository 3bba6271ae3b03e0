# SPDX-License-Identifier: Apache-2.0
"""The rows of a stripe in PostgreSQL, inside one transaction.

Rules:
- What is put is kept, and goes out with the next statement whose answer is needed: in one round
  trip with it, or with the commit.
- What is read ahead comes with the record that is asked for, and is forgotten once anything is
  changed.
- What comes out of the database is checked to be bytes.
- After an error, and after its end, a transaction refuses every call.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from psycopg.types.numeric import Int8

from e2ecross.arguments import require_bytes
from e2ecross.errors import StoreCorrupted, StoreError
from e2ecross.stores.base import DEVICE_TABLES, Table, ValuesAsBytes
from e2ecross.stores.checks import (
    NO_SAVEPOINT,
    check_limit,
    check_place,
    check_range,
    check_table,
)
from e2ecross.stores.postgres_link import Link, Statement

__all__ = ["STORE_BITS", "StripeRows", "Work"]

STORE_BITS: Final = 17
"""A stripe is known in the tables as store * 2^17 + its number."""

_ENDED: Final = "the transaction has ended: begin a new one"
_FAILED: Final = "an operation of this transaction failed: nothing of it is saved"
_ALL: Final = 2**63 - 1
_SCAN_ROWS: Final = 32  # read at once; times 128 KiB, the largest record, that is 4 MiB
_QUEUED: Final = 1_024  # statements that are kept at most
_QUEUED_BYTES: Final = 1024 * 1024
_IN_STRIPE: Final = (1 << STORE_BITS) - 1

_Rows = list[tuple[Any, ...]]  # `list` means something else inside the class
_Where = tuple[Table, bytes, bytes]


class _Statements(NamedTuple):
    get: str
    put: str
    add: str
    delete: str
    list: str
    partitions: str
    count_rows: str
    clear: str
    scan: str
    scan_on: str

    @classmethod
    def of(cls, table: Table) -> "_Statements":
        # Names come from the enum alone; everything else is bound.
        name = f"e2ecross.{table.value}"
        many = "stripe = %s AND partition = %s"
        one = f"{many} AND row = %s"
        put = f"INSERT INTO {name} (stripe, partition, row, record) VALUES (%s, %s, %s, %s)"  # noqa: S608
        walk = f"SELECT stripe, partition, row, record FROM {name} WHERE (stripe, partition, row)"  # noqa: S608
        walked = f"(%s, %s, %s) AND stripe <= %s ORDER BY stripe, partition, row LIMIT {_SCAN_ROWS}"
        return cls(
            get=f"SELECT record FROM {name} WHERE {one}",  # noqa: S608
            put=f"{put} ON CONFLICT (stripe, partition, row) "
            "DO UPDATE SET record = excluded.record",
            add=f"{put} ON CONFLICT DO NOTHING RETURNING true",
            delete=f"DELETE FROM {name} WHERE {one} RETURNING true",  # noqa: S608
            list=f"SELECT row, record FROM {name} WHERE {many} AND row >= %s ORDER BY row LIMIT %s",  # noqa: S608
            # One look into the index for each: DISTINCT would read all rows.
            partitions="WITH RECURSIVE found (name) AS "  # noqa: S608
            f"((SELECT partition FROM {name} WHERE stripe = %s AND partition >= %s "
            "ORDER BY partition LIMIT 1) UNION ALL SELECT (SELECT partition "
            f"FROM {name} WHERE stripe = %s AND partition > found.name "
            "ORDER BY partition LIMIT 1) FROM found WHERE found.name IS NOT NULL) "
            "SELECT name FROM found WHERE name IS NOT NULL LIMIT %s",
            count_rows=f"SELECT count(*) FROM {name} WHERE {many}",  # noqa: S608
            clear=f"WITH gone AS (DELETE FROM {name} WHERE {many} AND row IN "  # noqa: S608
            f"(SELECT row FROM {name} WHERE {many} LIMIT %s) RETURNING 1) "
            "SELECT count(*) FROM gone",
            scan=f"{walk} >= {walked}",
            scan_on=f"{walk} > {walked}",
        )


_SQL: Final = {table: _Statements.of(table) for table in Table}


class Work:
    """What is done in one transaction, whatever stripe it looks at.

    Args:
        link: on which it was begun.
        store: number of the store.
        own: the stripe that it has for itself; 0: all.
        stripes: how many the store has.

    Attributes:
        ahead: records that were read before anybody has asked for them, by stripe and place.
        queue: what goes out with the next statement.
        written: the stripes of which something was changed.
        is_late: whether deletes are kept, too: nobody asks whether there was something.
    """

    __slots__ = (
        "_bytes",
        "_over",
        "_pid",
        "ahead",
        "is_late",
        "link",
        "own",
        "queue",
        "store",
        "stripes",
        "written",
    )

    def __init__(self, link: Link, store: int, own: int, stripes: int) -> None:
        self.link = link
        self.store = store
        self.own = own
        self.stripes = stripes
        self.queue: list[Statement] = []
        self.written: set[int] = set()
        self.ahead: dict[tuple[Int8, _Where], bytes | None] = {}
        self.is_late = False
        self._bytes = 0
        self._over: str | None = None
        self._pid = os.getpid()

    def run(self, sql: str, *parameters: Any) -> _Rows:  # noqa: ANN401 - as the driver has them
        """Run what is kept, and then a statement; gives its rows."""
        return self.run_all([(sql, parameters)])[0]

    def run_all(self, asked: list[Statement]) -> list[_Rows]:
        """Run what is kept, and then statements, in one round trip; gives the rows of each."""
        self.check()
        try:
            statements = [*self.queue, *asked]
            self.queue, self._bytes = [], 0
            return self.link.run(statements)[-len(asked) :]
        except BaseException:
            self._over = _FAILED
            raise

    def keep(self, sql: str, *parameters: Any) -> None:  # noqa: ANN401
        """Have a statement run with the next one whose answer is needed."""
        self.check()
        self.queue.append((sql, parameters))
        self._bytes += sum(len(each) for each in parameters if type(each) is bytes)
        if len(self.queue) >= _QUEUED or self._bytes >= _QUEUED_BYTES:
            self.run("SELECT 1")

    def check(self) -> None:
        """Refuse what comes after its end (`StoreError`)."""
        if self._over is not None:
            raise StoreError(self._over)
        if os.getpid() != self._pid:
            raise StoreError("the transaction belongs to the parent process: begin one of your own")

    def end(self) -> None:
        """Refuse every further call."""
        self._over = self._over or _ENDED
        self.queue = []


class StripeRows(ValuesAsBytes):
    """The records of one stripe as they are in the database.

    Args:
        work: the transaction.
        stripe: which stripe is looked at.
    """

    __slots__ = ("_device", "_own", "_stripe", "_work")

    def __init__(self, work: Work, stripe: int) -> None:
        self._work = work
        self._stripe = stripe
        base = work.store << STORE_BITS
        self._device = Int8(base)
        self._own = Int8(base + stripe)

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`."""
        check_place(table, partition, row)
        where = (table, partition, row)
        ahead = self._work.ahead
        key = (self._at(table), where)
        if key not in ahead:
            self.read([where])
        return ahead.pop(key)

    def read(self, places: Sequence[_Where]) -> None:
        """Read records that are about to be asked for, in one round trip."""
        keys = [(self._at(table), (table, partition, row)) for table, partition, row in places]
        asked: list[Statement] = [(_SQL[where[0]].get, (at, *where[1:])) for at, where in keys]
        for key, rows in zip(keys, self._work.run_all(asked), strict=True):
            self._work.ahead[key] = _blob(rows[0][0]) if rows else None

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        check_place(table, partition, row)
        require_bytes("record", record)
        self._change(table)
        self._work.keep(_SQL[table].put, self._at(table), partition, row, record)

    def add(self, table: Table, partition: bytes, row: bytes, record: bytes) -> bool:
        """See `Transaction.add`."""
        check_place(table, partition, row)
        require_bytes("record", record)
        self._change(table)
        return bool(self._work.run(_SQL[table].add, self._at(table), partition, row, record))

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """See `Transaction.delete`."""
        check_place(table, partition, row)
        self._change(table)
        place = (self._at(table), partition, row)
        if self._work.is_late:
            self._work.keep(_SQL[table].delete, *place)
            return True
        return bool(self._work.run(_SQL[table].delete, *place))

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`."""
        check_place(table, partition)
        check_range(limit, after)
        place = (self._at(table), partition)
        rows = self._work.run(_SQL[table].list, *place, _beyond(after), _most(limit))
        return [(_blob(row), _blob(record)) for row, record in rows]

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """See `Transaction.partitions`."""
        check_table(table)
        check_range(limit, after)
        at = self._at(table)
        rows = self._work.run(_SQL[table].partitions, at, _beyond(after), at, _most(limit))
        return [_blob(partition) for (partition,) in rows]

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`."""
        check_place(table, partition)
        found: int = self._work.run(_SQL[table].count_rows, self._at(table), partition)[0][0]
        return found

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`."""
        check_place(table, partition)
        check_limit(limit)
        self._change(table)
        place = (self._at(table), partition)
        removed: int = self._work.run(_SQL[table].clear, *place, *place, _most(limit))[0][0]
        return removed

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`."""
        check_table(table)
        self._work.check()
        at = self._at(table)
        return (found[1:] for found in self._walk(table, at, at))

    def scan_all(self, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """See `Transaction.scan_all`."""
        check_table(table)
        self._work.check()
        if self._work.own:
            raise StoreError("only a transaction of the whole store walks over all stripes")
        last = 0 if table in DEVICE_TABLES else self._work.stripes
        return self._walk(table, self._device, Int8(self._device + last))

    def stripe_count(self) -> int:
        """See `Transaction.stripe_count`."""
        return self._work.stripes

    def at(self, stripe: int) -> "StripeRows":
        """See `Transaction.at`."""
        return StripeRows(self._work, stripe)

    def savepoint(self) -> AbstractContextManager[None]:
        """Refused: `StripeView` has them."""
        raise StoreError(NO_SAVEPOINT)

    def _walk(
        self, table: Table, first: Int8, last: Int8
    ) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        rows = self._work.run(_SQL[table].scan, first, b"", b"", last)
        while rows:
            for stripe, partition, row, record in rows:
                self._work.check()
                yield stripe & _IN_STRIPE, _blob(partition), _blob(row), _blob(record)
            place = (Int8(rows[-1][0]), *rows[-1][1:3])
            rows = self._work.run(_SQL[table].scan_on, *place, last)

    def _at(self, table: Table) -> Int8:
        return self._device if table in DEVICE_TABLES else self._own

    def _change(self, table: Table) -> None:
        self._work.ahead.clear()
        self._work.written.add(0 if table in DEVICE_TABLES else self._stripe)


def _beyond(after: bytes | None) -> bytes:
    """The first key that may follow: nothing stands between a key and the same with a zero more."""
    return b"" if after is None else after + b"\0"


def _most(limit: int | None) -> Int8:
    return Int8(_ALL if limit is None else limit)


def _blob(value: object) -> bytes:
    if type(value) is not bytes:
        raise StoreCorrupted("the database holds something that no store wrote: restore it")
    return value
