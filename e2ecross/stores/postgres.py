# SPDX-License-Identifier: Apache-2.0
"""A store in a PostgreSQL database, for any number of workers on any number of machines.

Rules:
- What is locked is a stripe, by its row, first of all. Two transactions of different stripes never
  wait for each other.
- Nothing of a connection's session is used between two transactions.
- A server that could lose or copy what was committed is refused.
- A conninfo may hold a password: it is in no error, log or repr.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, NoReturn, Self, SupportsIndex

try:
    from psycopg.types.numeric import Int8
except ImportError as error:
    raise ImportError(
        "a PostgresStore needs the extra 'postgres': install it with  pip install "
        "'e2ecross[postgres]'",
        name=__name__,
    ) from error

from e2ecross.arguments import forgets_secrets, require_type, require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.metrics import Metrics, watched_by
from e2ecross.stores.base import DEVICE_TABLES, Table, Transaction
from e2ecross.stores.checks import (
    DEFAULT_BUSY_TIMEOUT_MS,
    check_busy_timeout,
    check_cached_values,
    check_stripe,
    check_stripes,
    check_table,
)
from e2ecross.stores.postgres_commit import Block, Opened, in_transaction
from e2ecross.stores.postgres_link import Link, check_server, connect
from e2ecross.stores.postgres_pool import Pool
from e2ecross.stores.postgres_reseal import forget_key, reseal
from e2ecross.stores.postgres_rows import STORE_BITS
from e2ecross.stores.postgres_sealing import MAX_KEY_ID, KeyRing, StoreKeys
from e2ecross.stores.postgres_tables import (
    add_header,
    check_schema,
    check_store_name,
    find_store,
)
from e2ecross.stores.sealing import SYSTEM_ENTROPY, EntropySource

__all__ = ["PostgresStore"]

_MAX_CONNECTIONS: Final = 1_000
_DEFAULT_STRIPES: Final = 4_096
_DEFAULT_CACHED_VALUES: Final = 4_096


class PostgresStore:
    """A store of one device in a PostgreSQL database; created when there is none of that name.

    The database needs its schema before: `python -m e2ecross migrate`.

    Args:
        conninfo: how the database is reached: a URL or `key=value` pairs, as libpq has them.
            Secret, because it may hold a password.
        name: which store, 1 to 64 of `a-z 0-9 _ -`: one for each device.
        keys: 32 bytes each, secret, by id, 1 to 255: every record is encrypted and every look-up
            key blinded. None: the database holds them in the clear.
        seal_with: the id of the key that seals; all of them open. None: the highest id.
        stripes: how many a new store gets; an existing one keeps its own number.
        connections: how many threads of this process may be in a transaction at once.
        busy_timeout_ms: how long a transaction waits for a connection, and then for others that
            have its stripe, in milliseconds.
        cached_values: how many decoded records this process keeps, 0 to 10,000,000. They hold
            secrets.
        prepare: whether statements are prepared. None: at a server, and not behind a pooler.
        entropy: source of salts and nonces.
        metrics: is told how long transactions take, and what fails, outside of them. None: nobody
            is.

    Raises:
        InvalidArgument: an argument has the wrong type, length or range.
        WrongStoreKey: the store has other keys, or none, or needs one.
        StoreTooNew: the schema is of a later release.
        StoreBusy: the server does not answer.
        StoreError: the database has no schema, the server is not fit for a store, or a pooler
            stands before it and `prepare` is True.
    """

    __slots__ = ("_by_process", "_make_pool", "_name", "_opened")

    @forgets_secrets
    def __init__(
        self,
        conninfo: str,
        name: str = "default",
        *,
        keys: Mapping[int, bytes] | None = None,
        seal_with: int | None = None,
        stripes: int = _DEFAULT_STRIPES,
        connections: int = 4,
        busy_timeout_ms: int = DEFAULT_BUSY_TIMEOUT_MS,
        cached_values: int = _DEFAULT_CACHED_VALUES,
        prepare: bool | None = None,
        entropy: EntropySource = SYSTEM_ENTROPY,
        metrics: Metrics | None = None,
    ) -> None:
        require_type("conninfo", conninfo, str)
        check_store_name(name)
        store_keys = StoreKeys(keys, seal_with)
        check_stripes(stripes)
        require_whole_number("connections", connections, 1, _MAX_CONNECTIONS)
        check_busy_timeout(busy_timeout_ms)
        check_cached_values(cached_values)
        require_type("prepare", prepare, bool, type(None))
        watch = watched_by(metrics)

        @forgets_secrets
        def make_link() -> Link:
            return connect(conninfo, busy_timeout_ms, prepare)

        def make_pool() -> Pool:
            return Pool(make_link, connections, busy_timeout_ms, cached_values)

        self._make_pool: Callable[[], Pool] = make_pool
        self._name = name
        self._by_process: dict[int, Pool] = {}
        link = make_link()
        try:
            check_server(link)
            check_schema(link)
            found = find_store(link, name, stripes, lambda: store_keys.create(entropy))
            ring = store_keys.open(found.headers, entropy)
        except BaseException:
            link.close()
            raise
        self._opened = Opened(found.number, found.stripes, ring, self._find_pool, watch)
        self._find_pool().lanes[0].link = link
        if ring is not None and ring.missing:
            self._add_headers(ring)

    @property
    def stripes(self) -> int:
        """See `Store.stripes`."""
        return self._opened.stripes

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Begin a transaction; see `Store.transaction`.

        Raises:
            StoreMoved: the server is not the one of before, and not `moved`.
            CommitUnknown: when it ends: it may have been saved or not.
        """
        check_stripe(stripe, self.stripes)
        return Block(self._opened, stripe, moved=moved)

    def stripes_with(self, table: Table) -> Sequence[int]:
        """See `Store.stripes_with`."""
        check_table(table)
        base = self._opened.number << STORE_BITS
        last = 0 if table in DEVICE_TABLES else self.stripes
        first = f"SELECT stripe FROM e2ecross.{table.value} WHERE stripe"  # noqa: S608
        then = "AND stripe <= %s ORDER BY stripe LIMIT 1"
        # One look into the index for each: DISTINCT would read all rows.
        query = (
            f"WITH RECURSIVE found (stripe) AS (({first} >= %s {then}) UNION ALL "  # noqa: S608
            f"SELECT ({first} > found.stripe {then}) FROM found WHERE found.stripe IS NOT NULL) "
            "SELECT stripe FROM found WHERE stripe IS NOT NULL"
        )
        bounds = (Int8(base), Int8(base + last), Int8(base + last))
        [rows] = in_transaction(self._find_pool(), [(query, bounds)])
        return [stripe - base for (stripe,) in rows]

    @forgets_secrets
    def accept_move(self) -> None:
        """See `Store.accept_move`.

        Raises:
            StoreError: the server is not fit for a store.
        """
        block = Block(self._opened, 0, moved=True)
        with block:
            work = block.unit.work
            check_server(work.link)
            base = self._opened.number << STORE_BITS
            work.keep(
                "UPDATE e2ecross.stripes SET server = %s WHERE stripe BETWEEN %s AND %s",
                block.server,
                Int8(base),
                Int8(base + self.stripes),
            )
            work.keep(
                "UPDATE e2ecross.stores SET moved_at = NULL WHERE store = %s", self._opened.number
            )
            work.written.add(0)

    def reseal(self, limit: int = 1_000) -> int:
        """Seal records of other keys anew with the one that seals, 256 in one transaction.

        Any worker may call it at any time. It reads whole tables to find them.

        Args:
            limit: how many records at most.

        Returns:
            How many are left to do: 0 when it is done, or when the store is not sealed.

        Raises:
            RecordCorrupted: a record is damaged.
            WrongStoreKey: a record is sealed with a key that was not given.
            StoreError: see `transaction`.
        """
        require_whole_number("limit", limit)
        ring, watch = self._opened.ring, self._opened.watch
        left = 0 if ring is None else reseal(self._opened, ring, limit)
        if watch is not None:
            watch.observe("reseal_left", left)
        return left

    def forget_key(self, key_id: int) -> None:
        """Let the store open with this key no more; when no worker has it among its `keys`.

        Destroy the key when the backups and the archive of before are gone.

        Raises:
            InvalidArgument: it is the key that seals here.
            StoreError: a record is sealed with it: call `reseal` until it gives 0.
        """
        require_whole_number("key_id", key_id, 1, MAX_KEY_ID)
        ring = self._opened.ring
        if ring is not None and ring.seal_with == key_id:
            raise InvalidArgument("key_id is the key that seals: open the store with another one")
        forget_key(self._opened, key_id)

    def close(self) -> None:
        """Close the connections of this process.

        Later use raises `StoreClosed`; closing again does nothing.

        Raises:
            StoreBusy: another thread was inside a transaction for too long; not closed.
            StoreError: this thread is inside a transaction; not closed.
        """
        self._find_pool().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._find_pool().is_closed else "open"
        return f"<PostgresStore {self._name!r}: {state}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a PostgresStore cannot be pickled or copied: open it again")

    def _add_headers(self, ring: KeyRing) -> None:
        """Let the store know of keys that are new to it."""
        block = Block(self._opened, 0, moved=True)
        with block:
            for key_id, header in ring.missing.items():
                sql, parameters = add_header(self._opened.number, key_id, header)
                block.unit.work.keep(sql, *parameters)

    def _find_pool(self) -> Pool:
        """The connections of this process."""
        pid = os.getpid()
        # setdefault is atomic: threads that come first together agree on one.
        return self._by_process.get(pid) or self._by_process.setdefault(pid, self._make_pool())
