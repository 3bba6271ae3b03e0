# SPDX-License-Identifier: Apache-2.0
"""How a transaction of a `PostgresStore` begins and ends.

Rules:
- The stripe is locked first, and everything is read after that, by later statements: one that
  waited for the lock still sees other tables as they were before.
- Two round trips: the beginning is one pipeline, the end another.
- Who waits for a stripe comes in turn (docs/adr/0020-a-line-before-a-stripe.md).
- Each begins by making sure that the server is the one of before. Where it is not, that is written
  down, and nothing is done.
- A connection that is lost during the commit: another one is asked how the transaction has ended,
  and one more commit proves that it is on the standbys, too. When nobody can tell, neither can we:
  `CommitUnknown`.
- No setting outlives its transaction: a pooler may give the connection to somebody else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, NoReturn

from psycopg.types.numeric import Int8

from e2ecross.arguments import forget_locals
from e2ecross.errors import CommitUnknown, StoreBusy, StoreCorrupted, StoreError, StoreMoved
from e2ecross.metrics import Watch
from e2ecross.stores.base import Transaction
from e2ecross.stores.postgres_cache import Kept
from e2ecross.stores.postgres_link import IDENTITY, Link, Statement
from e2ecross.stores.postgres_pool import Lane, Pool, Visit
from e2ecross.stores.postgres_rows import STORE_BITS, Work
from e2ecross.stores.postgres_sealing import KeyRing
from e2ecross.stores.postgres_times import Times
from e2ecross.stores.postgres_view import StripeView, Unit

__all__ = ["Block", "Opened", "in_transaction"]

_TRIES: Final = 3  # to begin, each on a new connection
_ASK_SECONDS: Final = 12.0  # longer than the server lets an orphan idle, so that it has ended
_ASK_AGAIN_SECONDS: Final = 0.05

_BEGIN: Final = ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", ())
_COMMIT: Final = ("COMMIT", ())
_SETTINGS: Final = (
    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', '10s', true), "
    "set_config('idle_in_transaction_session_timeout', '10s', true), "
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
    "WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)"
)
# A place in the line before the stripe's row, in the same round trip: who waits for a row that is
# updated again and again is overtaken by whoever comes. Only the row's lock keeps others out.
_IN_LINE: Final = f"{_SETTINGS}, pg_advisory_xact_lock(%s)"
_LINES: Final = 0x6533 << 48
"""What the numbers of stripes are added to: keys of advisory locks are of the whole database."""
_PATIENT: Final = ("SELECT set_config('statement_timeout', '0', true)", ())
_HERE: Final = f"{IDENTITY}, pg_current_xact_id()::text"
_LOCK: Final = f"SELECT version, server, {_HERE} FROM e2ecross.stripes WHERE stripe = %s FOR UPDATE"  # noqa: S608
# The functions once, and not for each row: 20 ms instead of 1.6 for 4,097.
_LOCK_ALL: Final = (
    "SELECT version, server FROM e2ecross.stripes WHERE stripe BETWEEN %s AND %s "
    "ORDER BY stripe FOR UPDATE"
)
_STORE: Final = "SELECT version FROM e2ecross.stores WHERE store = %s"
_COUNT: Final = "UPDATE e2ecross.stripes SET version = version + 1 WHERE stripe = ANY(%s)"
_COUNT_STORE: Final = "UPDATE e2ecross.stores SET version = version + 1 WHERE store = %s"
# Under its lock: somebody may have accepted the move meanwhile, and the next one begins anew.
_STILL_MOVED: Final = (
    "SELECT 1 FROM e2ecross.stripes WHERE stripe BETWEEN %s AND %s AND server <> %s "
    "LIMIT 1 FOR SHARE"
)
_MOVED: Final = "UPDATE e2ecross.stores SET moved_at = now() WHERE store = %s AND moved_at IS NULL"
_MOVED_AGO: Final = (
    "SELECT (1000 * extract(epoch FROM now() - moved_at))::bigint "
    "FROM e2ecross.stores WHERE store = %s"
)

_ABORTED: Final = "the connection was lost during the commit: nothing is saved, try again"
_UNKNOWN: Final = "the connection was lost during the commit: it may have been saved or not"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Opened:
    """A store that was found in the database.

    Attributes:
        number: of the store.
        stripes: how many it has.
        ring: what seals its records, if anything.
        find_pool: gives the connections of this process.
        watch: is told how long its transactions take, or None.
    """

    number: int
    stripes: int
    ring: KeyRing | None
    find_pool: Callable[[], Pool]
    watch: Watch | None = None


class Block(Visit):
    """One transaction: commits when its with block ends, and is undone when that raises.

    Args:
        opened: the store.
        stripe: what it has for itself; 0: all.
        moved: whether it may be at another server than before.

    Attributes:
        unit: what is done in it.
        server: where that is.
    """

    __slots__ = ("_kept", "_moved", "_opened", "_stripe", "_times", "_xid", "server", "unit")

    unit: Unit
    server: str

    def __init__(self, opened: Opened, stripe: int, *, moved: bool) -> None:
        super().__init__(opened.find_pool)
        self._opened = opened
        self._stripe = stripe
        self._moved = moved
        self._times: Times | None = None

    def __enter__(self) -> Transaction:
        """Begin it.

        Raises:
            StoreMoved: the server is not the one of before.
            StoreError: the store cannot be read or written.
        """
        if self._opened.watch is None:
            return self._enter()
        times = self._times = Times(self._opened.watch)
        try:
            view = self._enter()
        except BaseException as error:
            times.tell(error)
            raise
        times.note_begun(self._kept)
        return view

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Commit it, or undo it."""
        if self._times is None:
            self._leave(kind, error, traceback)
            return
        try:
            self._leave(kind, error, traceback)
        except BaseException as raised:
            self._times.tell(raised)
            raise
        self._times.tell(error)

    def abandon(self) -> None:
        """See `Visit.abandon`."""
        self._refuse()
        super().abandon()

    def _enter(self) -> Transaction:
        pool, lane = self.come()
        try:
            self._begin(pool, lane)
        except BaseException:
            super().leave(None, None, None)
            raise
        return StripeView(self.unit, self._stripe)

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._refuse()
            super().leave(kind, error, traceback)
            if error is not None:
                forget_locals(error)  # what was to be written is in them

    def _refuse(self) -> None:
        """Let nobody use what was handed out."""
        unit = getattr(self, "unit", None)  # it may have come before there was one
        if unit is not None:
            unit.end()

    def _begin(self, pool: Pool, lane: Lane) -> None:
        end = time.monotonic() + pool.timeout_ms / 1000
        for tries_left in reversed(range(_TRIES)):
            link = pool.link(lane)
            try:
                self._start(pool, link)
            except StoreMoved:
                raise
            except StoreBusy:
                link.reset()
                if not link.is_lost or not tries_left or time.monotonic() > end:
                    raise
                pool.drop_idle()  # of the same server, which has gone
            else:
                return

    def _start(self, pool: Pool, link: Link) -> None:
        opened, stripe = self._opened, self._stripe
        base = opened.number << STORE_BITS
        if stripe:
            locks: list[Statement] = [(_LOCK, (Int8(base + stripe),))]
        else:
            locks = [
                (_LOCK_ALL, (Int8(base), Int8(base + opened.stripes))),
                (f"SELECT {_HERE}", ()),
            ]
        timeout = str(max(1, pool.timeout_ms))
        settings: Statement = (_SETTINGS, (timeout,))
        if stripe:
            settings = (_IN_LINE, (timeout, Int8(_LINES + base + stripe)))
        found = link.run([_BEGIN, settings, *locks, (_STORE, (opened.number,))])
        rows, stores = found[2], found[-1]
        if len(rows) != (1 if stripe else opened.stripes + 1) or not stores:
            raise StoreCorrupted("rows of the store have gone from the database: restore it")
        self.server, self._xid = rows[0][2:] if stripe else found[3][0]
        if not self._moved and any(row[1] != self.server for row in rows):
            self._tell_moved(pool, link)
        versions = (self.server, rows[0][0] if stripe else 0, stores[0][0])
        kept = pool.cache.take(stripe, versions)
        self._kept = kept
        caches = {stripe: kept.own, 0: kept.device} if stripe else {0: kept.own}
        work = Work(link, opened.number, stripe, opened.stripes)
        self.unit = Unit(work, opened.ring, caches)

    def _tell_moved(self, pool: Pool, link: Link) -> NoReturn:
        """Write down that the server is another one, unless it was accepted meanwhile.

        Raises:
            StoreMoved: always.
        """
        opened = self._opened
        first = (opened.number << STORE_BITS) + self._stripe
        last = first if self._stripe else first + opened.stripes
        settings = (_SETTINGS, (str(max(1, pool.timeout_ms)),))
        moved = (_STILL_MOVED, (Int8(first), Int8(last), self.server))
        is_moved = link.run([("ROLLBACK", ()), _BEGIN, settings, moved])[-1]
        number = (opened.number,)
        note = [(_MOVED, number)] if is_moved else []
        found = link.run([*note, (_MOVED_AGO, number), _COMMIT])
        raise StoreMoved(found[-2][0][0] or 0)

    def _commit(self) -> None:
        unit = self.unit
        unit.finish()
        pool, lane, work = self.pool, self.lane, unit.work
        if pool is None or lane is None:
            raise StoreError("the transaction was not begun: use it in a with statement")
        link = work.link
        has_written, count = bool(work.written), self._count(work.written)
        link.warned = False
        try:
            link.run([*work.queue, *(count if has_written else ()), _COMMIT])
        except StoreError:
            link.reset()
            if not link.is_lost:
                raise  # the server is there, and has refused: nothing is saved
            if has_written:
                self._resolve(pool, lane, count)
            return
        if link.warned and has_written:
            # The wait for a standby was cancelled: it is committed here, perhaps nowhere else.
            self._commit_again(link, count)
            return
        server, stripe, store = self._kept.versions
        if has_written:
            stripe, store = (stripe + 1, store) if self._stripe else (0, store + 1)
        kept = Kept((server, stripe, store), self._kept.own, self._kept.device)
        pool.cache.bring_back(self._stripe, kept)

    def _count(self, written: set[int]) -> list[Statement]:
        """What tells others that something was written."""
        number = self._opened.number
        if self._stripe:
            return [(_COUNT, ([Int8((number << STORE_BITS) + self._stripe)],))]
        stripes = [Int8((number << STORE_BITS) + stripe) for stripe in sorted(written) if stripe]
        return [*([(_COUNT, (stripes,))] if stripes else []), (_COUNT_STORE, (number,))]

    def _resolve(self, pool: Pool, lane: Lane, count: list[Statement]) -> None:
        """Ask the server how the transaction has ended, whose commit has no answer.

        Raises:
            StoreBusy: it was rolled back.
            CommitUnknown: nobody can tell.
        """
        pool.drop_idle()
        end = time.monotonic() + _ASK_SECONDS
        while time.monotonic() < end:
            server, status = self._ask(pool, lane)
            if server not in (None, self.server):
                break
            if status == "committed":
                self._commit_again(pool.link(lane), count)
                return
            if status == "aborted":
                raise StoreBusy(_ABORTED)
            time.sleep(_ASK_AGAIN_SECONDS)
        raise CommitUnknown(_UNKNOWN)

    def _ask(self, pool: Pool, lane: Lane) -> tuple[Any, ...]:
        """The server that answers, and how it says that the transaction has ended."""
        try:
            ask = (f"SELECT {IDENTITY}, pg_xact_status(%s::text::xid8)", (self._xid,))
            return pool.link(lane).run([ask])[0][0]
        except StoreError:
            return None, None

    def _commit_again(self, link: Link, count: list[Statement]) -> None:
        """Commit once more: what comes before it is then on the standbys, too.

        Raises:
            CommitUnknown: this one has failed, or was not waited for, either.
        """
        link.warned = False
        settings = (_SETTINGS, ("5000",))
        failed = False
        try:
            link.run([_BEGIN, settings, *count, _COMMIT])
        except StoreError:
            failed = True
        if failed or link.warned:
            raise CommitUnknown(_UNKNOWN)


class _Connected(Visit):
    """A with block that has a connection, and nothing else."""

    __slots__ = ()

    def __enter__(self) -> Link:
        pool, lane = self.come()
        try:
            return pool.link(lane)
        except BaseException:
            self.end()
            raise


def in_transaction(
    pool: Pool, statements: list[Statement], *, is_patient: bool = False
) -> list[list[tuple[Any, ...]]]:
    """Run statements in a transaction of their own that locks no stripe; gives the rows of each.

    Args:
        pool: where the connection is from.
        statements: which.
        is_patient: whether they may take as long as they like.
    """
    settings = (_SETTINGS, (str(max(1, pool.timeout_ms)),))
    begin = [_BEGIN, settings, *([_PATIENT] if is_patient else [])]
    with _Connected(lambda: pool) as link:
        return link.run([*begin, *statements, _COMMIT])[len(begin) : -1]
