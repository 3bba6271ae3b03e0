# SPDX-License-Identifier: Apache-2.0
"""One connection to a PostgreSQL server, and what a server must be.

Rules:
- Statements that belong together go out together, in one pipeline: one round trip.
- The driver begins no transactions of its own.
- Before its first use a connection is asked whether a pooler stands in between: the pid of the
  server that the driver was told is compared with the one that answers. Prepared statements behind
  a pooler may give the rows of somebody else's query, without an error.
- What an exception interrupts is not used again: nobody knows what is still on its way.
"""

from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg import pq
from psycopg.rows import TupleRow

from e2ecross.errors import StoreBusy, StoreError
from e2ecross.stores.postgres_errors import store_error
from e2ecross.stores.postgres_pipeline import Pipeline, Statement

__all__ = ["IDENTITY", "Link", "Statement", "check_server", "connect", "find_unfit"]

IDENTITY: Final = (
    "(pg_control_system()).system_identifier || '/' || "
    "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
)
"""Names a server and its timeline; a promoted standby shows the new one at once."""

_MIN_VERSION: Final = 150_000
_POOLER: Final = "a pooler stands before the server: open the store with prepare=False"
_NOT_REACHED: Final = (
    "there is no connection to the database: check its address, that the server runs, and whom it "
    "lets in; psql says more, given the same address"
)


class Link:
    """A connection.

    Attributes:
        is_pooled: whether a pooler stands in between.
        warned: whether a WARNING came since this was last set to False.
    """

    __slots__ = ("_connection", "_pipeline", "is_pooled", "warned")

    def __init__(self, connection: "psycopg.Connection[TupleRow]") -> None:
        connection.prepare_threshold = None  # what is prepared, the pipeline does
        self._connection = connection
        self._pipeline = Pipeline(connection)
        self.is_pooled = False
        self.warned = False
        connection.add_notice_handler(self._hear)

    @property
    def is_lost(self) -> bool:
        """Whether it is of no use any more."""
        return self._connection.closed

    def run(self, statements: Sequence[Statement]) -> list[list[TupleRow]]:
        """Run statements in one round trip; gives the rows of each.

        Raises:
            StoreError: one failed, and those after it were not run.
        """
        try:
            return self._run(statements)
        except psycopg.Error as exc:
            failure = store_error(exc)
        except BaseException:
            self.close()
            raise
        raise failure  # here, and not above: it has no context that holds parameters

    def run_script(self, script: str) -> None:
        """Run several statements without parameters."""
        try:
            self._connection.execute(script.encode())
        except psycopg.Error as exc:
            failure = store_error(exc)
        else:
            return
        raise failure

    def reset(self) -> None:
        """Roll back what is begun; what even that fails on is closed."""
        if self._connection.info.transaction_status == pq.TransactionStatus.IDLE:
            return
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        """Close it; the server rolls back what was not committed."""
        self._connection.close()

    def find_pooler(self, prepare: bool | None) -> None:
        """Learn whether a pooler stands in between.

        Raises:
            StoreError: one does, and statements were to be prepared.
        """
        [[(pid,)]] = self.run([("SELECT pg_backend_pid()", ())])
        self.is_pooled = pid != self._connection.info.backend_pid
        if self.is_pooled and prepare:
            raise StoreError(_POOLER)
        self._pipeline.prepares = not self.is_pooled and prepare is not False

    def _run(self, statements: Sequence[Statement]) -> list[list[TupleRow]]:
        return self._pipeline.run(statements)

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self.warned = True


def connect(conninfo: str, timeout_ms: int, prepare: bool | None) -> Link:
    """Open a connection, and look whether a pooler stands in between.

    Raises:
        StoreBusy: the server does not answer.
        StoreError: it refuses; or `prepare` is True behind a pooler.
    """
    try:
        connection = psycopg.connect(
            conninfo, autocommit=True, connect_timeout=max(2, timeout_ms // 1000)
        )
    except psycopg.Error as exc:
        failure: StoreError = store_error(exc)
        if isinstance(exc, psycopg.OperationalError) and exc.sqlstate is None:
            failure = StoreBusy(_NOT_REACHED)
    except UnicodeError:  # of the conninfo, which it holds
        failure = StoreError("conninfo is not a PostgreSQL connection string")
    else:
        link = Link(connection)
        try:
            link.find_pooler(prepare)
        except BaseException:
            link.close()
            raise
        return link
    raise failure


def check_server(link: Link) -> None:
    """Refuse a server to which no store can be trusted.

    Raises:
        StoreError: names the setting.
    """
    for why in find_unfit(link):
        raise StoreError(f"the database server is not fit for a store: {why}")


def find_unfit(link: Link) -> list[str]:
    """Say why no store can be trusted to a server; names the settings."""
    [[found]] = link.run(
        [
            (
                "SELECT current_setting('server_version_num')::int, current_setting('fsync'), "
                "current_setting('full_page_writes'), current_setting('server_encoding'), "
                "pg_is_in_recovery(), EXISTS "
                "(SELECT FROM pg_publication_tables WHERE schemaname = 'e2ecross')",
                (),
            )
        ]
    )
    version, fsync, full_page_writes, encoding, is_standby, is_published = found
    judged = (
        (version < _MIN_VERSION, "it is older than PostgreSQL 15"),
        (fsync != "on", "fsync is off: a crash would lose what was committed"),
        (full_page_writes != "on", "full_page_writes is off: a crash would damage it"),
        (encoding != "UTF8", "the database's encoding is not UTF8"),
        (is_standby, "it is in recovery: a standby"),
        (is_published, "a publication has tables of e2ecross: it would copy ratchets"),
    )
    return [why for is_refused, why in judged if is_refused]
