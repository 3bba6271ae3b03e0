# SPDX-License-Identifier: Apache-2.0
"""A relay's database on PostgreSQL, shared by processes and machines.

Rules:
- A change first locks what it is about, in one order: accounts (advisory locks: there is no row yet
  of a device that is to come), then rows of `accounts` by address. All else is read after that,
  under READ COMMITTED, so as it is then. What is read only is read from one snapshot.
- Whoever deposits locks the recipients. So numbers of a mailbox ascend in the order of commits, and
  nobody waits because of whom they are from.
- Settings are those of one transaction, and locks end with it: a pooler may stand before the
  server. Behind one nothing is prepared: rows of other clients were seen to come back.
- What is answered was committed, with `synchronous_commit` on. What a connection that is lost
  leaves open is rolled back by the server. Every call may be repeated.
- A commit whose wait for the synchronous standbys was cancelled is followed by another one that
  changes a row: when that is waited for, all before it is there, too. A call that is repeated after
  a connection was lost waits likewise, even if it finds everything done: it has locked rows.
- The address may hold a password: it is in no error, log or `repr`.

Source: docs/service.md, on PostgreSQL.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from e2ecross.arguments import forgets_secrets
from e2ecross.errors import BackendError

try:
    import psycopg
    from psycopg import RawCursor
    from psycopg.rows import TupleRow
    from psycopg.types.numeric import Int8Dumper
    from psycopg.types.string import StrDumper
    from psycopg_pool import ConnectionPool
except ImportError as error:
    raise ImportError(
        "a relay on PostgreSQL needs the extra 'postgres': install it with  pip install "
        "'e2ecross[postgres]'",
        name=__name__,
    ) from error

from e2ecross.address import Address, UserId
from e2ecross.relay.database import FILES, SKIP_LOCKED, Connection, Lock
from e2ecross.relay.postgres_failures import backend_error, not_confirmed, not_reached
from e2ecross.relay.postgres_schema import SCHEMA, STATEMENTS
from e2ecross.relay.schema import SCHEMA_VERSION

__all__ = ["PostgresDatabase"]

_LOCK_TIMEOUT: Final = "5s"
_STATEMENT_TIMEOUT: Final = "10s"
_CONNECT_SECONDS: Final = 10
_WAIT_SECONDS: Final = 5.0
"""How long a call waits for a connection."""
_MOST_CONNECTIONS: Final = 8
_TRIES: Final = 3
_OLDEST_SERVER: Final = 150_000

_WRITE: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_READ: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SETTINGS: Final = f"""
    SELECT set_config('search_path', '{SCHEMA}', true),
        set_config('lock_timeout', '{_LOCK_TIMEOUT}', true),
        set_config('statement_timeout', '{_STATEMENT_TIMEOUT}', true),
        set_config('idle_in_transaction_session_timeout', '{_STATEMENT_TIMEOUT}', true),
        set_config('synchronous_commit', CASE current_setting('synchronous_commit')
            WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)
""".encode()
_LOCK_ACCOUNTS: Final = b"SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"
_LOCK_DEVICES: Final = (
    b"SELECT 1 FROM accounts WHERE address = ANY($1::text[]) ORDER BY address FOR UPDATE"
)
_LOCK_DEVICES_OF: Final = (
    b"SELECT 1 FROM accounts JOIN unnest($1::text[]) AS named"
    b" ON address >= named || '.' AND address < named || '/'"
    b" ORDER BY address FOR UPDATE OF accounts"
)
_SERVER: Final = f"""
    SELECT current_setting('server_version_num')::int, current_setting('fsync'),
        current_setting('full_page_writes'), current_setting('server_encoding'),
        pg_is_in_recovery(),
        EXISTS (SELECT 1 FROM pg_publication_tables WHERE schemaname = '{SCHEMA}')
""".encode()  # noqa: S608
_VERSION: Final = f"SELECT schema_version FROM {SCHEMA}.relay".encode()  # noqa: S608
_CHANGE: Final = b"UPDATE relay SET schema_version = schema_version"

T = TypeVar("T")

_Raw = psycopg.Connection[TupleRow]


class _Heard(_Raw):
    """A connection of the pool.

    Attributes:
        warned: whether a WARNING came since this was last set to False.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - the driver's own
        super().__init__(*arguments, **options)
        self.warned = False
        self.add_notice_handler(self._hear)

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        self.warned = self.warned or notice.severity_nonlocalized == "WARNING"


# Pools inherited over a fork end up here, so that no destructor tells the server of the parent.
_left_behind: list[object] = []


class PostgresDatabase:
    """The relay's part of a PostgreSQL database; its tables are made if they are not there.

    Args:
        address: `postgresql://…`, as libpq takes it; it may hold a password.

    Raises:
        BackendError: the database cannot be reached, or must not be used: the error names why.
    """

    is_shared: Final = True

    @forgets_secrets
    def __init__(self, address: str) -> None:
        self._address = address
        self.name = _prepared(address)
        self._process = os.getpid()
        self._pool = self._opened()

    def write(self, work: Callable[[Connection], T], *locked: Lock) -> T:
        """Do some work in one transaction that may write; all of it or nothing.

        Raises:
            BackendError: the database failed; nothing was kept, unless it failed with the commit.
        """
        users = sorted({str(each) for each in locked if isinstance(each, UserId)})
        devices = sorted({str(each) for each in locked if isinstance(each, Address)})
        locks: list[tuple[bytes, Sequence[object]]] = []
        if users or FILES in locked:
            named = [FILES, *users] if FILES in locked else users
            locks.append((_LOCK_ACCOUNTS, sorted(map(_key, named))))
        if users:
            locks.append((_LOCK_DEVICES_OF, users))
        if devices:
            locks.append((_LOCK_DEVICES, devices))
        return self._transact(_WRITE, locks, work)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction that only reads: a single state, beside any writer.

        Raises:
            BackendError: the database failed.
        """
        return self._transact(_READ, [], work)

    def size_bytes(self) -> int:
        """Return the size of the whole database, of which the relay may be a part.

        Raises:
            BackendError: the database failed.
        """
        query = "SELECT pg_database_size(current_database())"
        size: int = self.read(lambda connection: connection.execute(query).fetchone()[0])
        return size

    def close(self) -> None:
        """Close the connections of this process; one that is at work when that is done."""
        if self._process == os.getpid():
            self._pool.close()
        else:
            self._renew()
            self._pool.close()

    def _transact(
        self,
        begin: bytes,
        locks: Sequence[tuple[bytes, Sequence[object]]],
        work: Callable[[Connection], T],
    ) -> T:
        if self._process != os.getpid():
            self._renew()
        tries = _TRIES
        while True:
            tries -= 1
            try:
                with self._pool.connection() as raw:
                    try:
                        _begin(raw, begin, locks)
                    except psycopg.OperationalError:
                        if not (raw.broken and tries):
                            raise
                        continue  # it was lost while nobody used it
                    done = work(_Statements(raw))
                    if begin is _WRITE:
                        self._commit(raw)
                    return done
            except psycopg.Error as error:
                failed = backend_error(self.name, error)
            raise failed

    def _commit(self, raw: _Heard) -> None:
        """Commit, and see to it that the synchronous standbys have it.

        Raises:
            BackendError: they have not confirmed it.
        """
        raw.warned = False
        raw.commit()
        if raw.warned:
            _begin(raw, _WRITE, [])
            raw.execute(_CHANGE)
            raw.warned = False
            raw.commit()
            if raw.warned:
                raise not_confirmed(self.name)

    def _renew(self) -> None:
        """Have connections of our own, after a fork."""
        _left_behind.append(self._pool)
        self._process = os.getpid()
        self._pool = self._opened()

    def _opened(self) -> ConnectionPool[_Heard]:
        return ConnectionPool(
            self._address,
            min_size=1,
            max_size=_MOST_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            connection_class=_Heard,
            kwargs=_OPTIONS,
            configure=_configure,
            open=True,
        )


class _Statements:
    """A connection inside a transaction, which takes statements that are written for both."""

    def __init__(self, raw: _Raw) -> None:
        self._raw = raw

    def execute(self, query: str, parameters: Sequence[object] = (), /) -> psycopg.Cursor[Any]:
        return self._raw.execute(_translated(query), parameters, binary=True)

    def executemany(self, query: str, parameters: Iterable[Sequence[object]], /) -> None:
        self._raw.cursor().executemany(_translated(query), parameters)


_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,  # transactions begin with statements of ours
    "cursor_factory": RawCursor,
    "connect_timeout": _CONNECT_SECONDS,
}


def _begin(raw: _Raw, begin: bytes, locks: Sequence[tuple[bytes, Sequence[object]]]) -> None:
    with raw.pipeline():  # all of it in one round trip
        raw.execute(begin)
        raw.execute(_SETTINGS)
        for query, names in locks:
            raw.execute(query, (names,))


def _configure(raw: _Raw) -> None:
    # One type for each column, so that a statement is prepared once.
    raw.adapters.register_dumper(int, Int8Dumper)
    raw.adapters.register_dumper(str, StrDumper)
    # Before anything is read: behind a pooler another server process answers than was connected to.
    raw.prepare_threshold, threshold = None, raw.prepare_threshold
    row = raw.execute(b"SELECT pg_backend_pid()").fetchone()
    if row is not None and row[0] == raw.info.backend_pid:
        raw.prepare_threshold = threshold


def _prepared(address: str) -> str:
    """Connect for the first time, check the server, make the tables; return how to call it."""
    failed = not_reached()
    try:
        with psycopg.connect(address, **_OPTIONS) as raw:
            name = f"{raw.info.dbname} at {raw.info.host}"
            try:
                _require_server(raw, name)
                _require_tables(raw, name)
                return name
            except psycopg.Error as error:
                failed = backend_error(name, error)
    except psycopg.Error:
        pass
    raise failed


def _require_server(raw: _Raw, name: str) -> None:
    row = raw.execute(_SERVER, prepare=False).fetchone()
    version, fsync, full_pages, encoding, is_standby, is_published = row or (0,) * 6
    for is_wrong, what in (
        (version < _OLDEST_SERVER, f"the server has version {version}, needed is 15 or later"),
        (fsync != "on", "fsync is off: what was answered would be lost in a crash"),
        (full_pages != "on", "full_page_writes is off: a crash would damage it"),
        (encoding != "UTF8", f"server_encoding is {encoding}, needed is UTF8"),
        (is_standby, "the server is a standby: name the primary"),
        (is_published, f"a publication copies tables of the schema {SCHEMA}: drop it"),
    ):
        if is_wrong:
            raise BackendError(f"the database {name} must not be used: {what}")


def _require_tables(raw: _Raw, name: str) -> None:
    with raw.transaction():
        raw.execute(b"SELECT pg_advisory_xact_lock($1)", (_key(SCHEMA),))
        row = raw.execute(b"SELECT to_regclass($1)::text", (f"{SCHEMA}.relay",)).fetchone()
        if row == (None,):
            for statement in STATEMENTS:
                raw.execute(statement.encode())
        found = raw.execute(_VERSION).fetchone()
    if found != (SCHEMA_VERSION,):
        raise BackendError(
            f"the database {name} has a relay of another schema than {SCHEMA_VERSION}, which this "
            f"release reads: upgrade e2ecross"
        )


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


@lru_cache(maxsize=1024)
def _translated(query: str) -> bytes:
    """Return a statement as PostgreSQL takes it."""
    numbers = iter(range(1, query.count("?") + 1))
    query = re.sub(r"\?", lambda _: f"${next(numbers)}", query)
    return query.replace("x''", "''::bytea").replace(SKIP_LOCKED, SKIP_LOCKED[3:-3]).encode()
