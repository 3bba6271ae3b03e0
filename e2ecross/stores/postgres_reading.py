# SPDX-License-Identifier: Apache-2.0
"""Looking into a `PostgresStore` without changing it: for checks, not for devices.

Rules:
- One snapshot, in a transaction that the server itself refuses to write in. It locks no stripe:
  workers go on beside it.
- No store is created, no key is added, no move is noted. A server that no store is opened on is
  read all the same, and what is wrong with it is told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from psycopg.types.numeric import Int8

from e2ecross.arguments import forgets_secrets
from e2ecross.errors import StoreCorrupted, StoreError, StoreTooNew
from e2ecross.stores.base import DEVICE_TABLES, Table, Transaction
from e2ecross.stores.checks import DEFAULT_BUSY_TIMEOUT_MS
from e2ecross.stores.postgres_link import Link, connect
from e2ecross.stores.postgres_rows import STORE_BITS, Work
from e2ecross.stores.postgres_sealing import StoreKeys
from e2ecross.stores.postgres_server import Server, Sizes, read_move, read_server, read_sizes
from e2ecross.stores.postgres_tables import SCHEMA_VERSION, check_schema, check_store_name, look_up
from e2ecross.stores.postgres_view import StripeView, Unit
from e2ecross.stores.sealing import SYSTEM_ENTROPY

__all__ = ["StoreDatabase", "read_store_database"]

_BEGIN: Final = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
_SETTINGS: Final = (
    "SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '60s', true), "
    "set_config('idle_in_transaction_session_timeout', '60s', true)",
    (),
)
_RELAY: Final = ("SELECT to_regclass('e2ecross_relay.relay')::text", ())
_COUNT: Final = "SELECT count(*) FROM e2ecross.stores"


@dataclass(frozen=True, slots=True)
class StoreDatabase:
    """A store in a database that is being looked into.

    Attributes:
        server: where it is.
        schema_version: the number of its schema.
        stripes: how many stripes it has.
        key_ids: which sealing keys it has headers of; none: it is not sealed.
        moved_ago_ms: how long ago it was noticed that the server is another one, milliseconds, or
            None.
        foreign_stripes: how many stripes were last used at another server.
        sizes: of the tables of all stores.
        transaction: all stripes as they are in the snapshot; what is put there goes nowhere.
    """

    server: Server
    schema_version: int
    stripes: int
    key_ids: tuple[int, ...]
    moved_ago_ms: int | None
    foreign_stripes: int
    sizes: tuple[Sizes, ...]
    transaction: Transaction
    _work: Work

    def stripes_with(self, tables: Iterable[Table]) -> list[int]:
        """Return the stripes that have rows of any of these tables, ascending."""
        base = self._work.store << STORE_BITS
        bounds = (Int8(base), Int8(base + self.stripes))
        found: set[int] = set()
        for table in tables:
            query = (
                f"SELECT DISTINCT stripe FROM e2ecross.{table.value} WHERE stripe BETWEEN %s AND %s"  # noqa: S608
            )
            found.update(stripe - base for (stripe,) in self._work.run(query, *bounds))
        return sorted(found)

    def count_by_key(self, stripes: Sequence[int]) -> Mapping[int, int]:
        """Count the sealed records of some stripes and of the device, by the key of each."""
        base = self._work.store << STORE_BITS
        own = [Int8(base + stripe) for stripe in {0, *stripes}]
        found: dict[int, int] = {}
        for table in Table:
            where = own if table not in DEVICE_TABLES else [Int8(base)]
            query = (
                "SELECT get_byte(substring(record FROM 2 FOR 1), 0), count(*) "  # noqa: S608
                f"FROM e2ecross.{table.value} WHERE stripe = ANY(%s) AND length(record) > 1 "
                "GROUP BY 1"
            )
            for key_id, count in self._work.run(query, where):
                found[key_id] = found.get(key_id, 0) + count
        return dict(sorted(found.items()))


@forgets_secrets
def read_store_database(
    conninfo: str, name: str, *, keys: Mapping[int, bytes] | None = None
) -> AbstractContextManager[StoreDatabase]:
    """Look into a store, which is not changed by it.

    Args:
        conninfo: how the database is reached. Secret, because it may hold a password.
        name: which store.
        keys: 32 bytes each, secret, by id, if it is sealed.

    Raises:
        InvalidArgument: an argument has the wrong type, length or range.
        WrongStoreKey: the store has other keys, or none, or needs one.
        StoreTooNew: the schema is of a later release.
        StoreBusy: the server does not answer.
        StoreError: it refuses; or there is no such store, or no schema.
    """
    check_store_name(name)
    store_keys = StoreKeys(keys, None)
    return _read(connect(conninfo, DEFAULT_BUSY_TIMEOUT_MS, None), name, store_keys)


@contextmanager
def _read(link: Link, name: str, store_keys: StoreKeys) -> Iterator[StoreDatabase]:
    try:
        link.run([_BEGIN, _SETTINGS])
        _require_store_schema(link)
        found = look_up(link, name)
        if found is None:
            [[(count,)]] = link.run([(_COUNT, ())])
            raise StoreError(f"the database has no store of that name, and {count} of others")
        ring = store_keys.open(found.headers, SYSTEM_ENTROPY)
        moved_ago_ms, present, foreign = read_move(link, found.number, found.stripes)
        if present != found.stripes + 1:
            raise StoreCorrupted("rows of the store have gone from the database: restore it")
        work = Work(link, found.number, 0, found.stripes)
        unit = Unit(work, ring, {})
        yield StoreDatabase(
            server=read_server(link),
            schema_version=SCHEMA_VERSION,
            stripes=found.stripes,
            key_ids=tuple(sorted(found.headers)),
            moved_ago_ms=moved_ago_ms,
            foreign_stripes=foreign,
            sizes=tuple(read_sizes(link)),
            transaction=StripeView(unit, 0),
            _work=work,
        )
        unit.end()
    finally:
        link.close()  # rolls back


def _require_store_schema(link: Link) -> None:
    try:
        check_schema(link)
    except StoreTooNew:
        raise
    except StoreError:
        if not _is_relays(link):
            raise
    else:
        return
    raise StoreError(
        "the database is a relay's, and has no store of a device: the relay tells how it is doing "
        "at /readyz and in its metrics (docs/service.md)"
    )


def _is_relays(link: Link) -> bool:
    try:
        [[(relay,)]] = link.run([_RELAY])
    except StoreError:  # the transaction has failed already
        return False
    return relay is not None
