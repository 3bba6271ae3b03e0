# SPDX-License-Identifier: Apache-2.0
"""An exception at any instruction of the stores, and what has to hold after it.

Two ways to raise it: a trace function, before the Nth event (call, line, instruction, return) in
the package's stores, which reaches every place and can be repeated; and a signal's handler, which
comes only where Python lets signals in, but also while C code runs.
"""

import contextlib
import os
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import cache, partial, wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol

import pytest

import e2ecross.stores
from e2ecross.errors import StoreError
from e2ecross.stores import Table, Transaction
from e2ecross.stores.base import Codec
from tests.support.postgres_stores import address_of_stores, number_of

if TYPE_CHECKING:
    import psycopg

_STORES: Final = str(Path(e2ecross.stores.__file__).parent)
_TRACED: Final = (_STORES, contextlib.__file__)
STRIPES: Final = 64
"""Of a store in a database."""
_GONE_SECONDS: Final = 2.0
ROWS: Final = (b"one", b"two")
NUMBER: Final[Codec[int]] = Codec(lambda number: b"%d" % number, int)
P = ParamSpec("P")


class Store(Protocol):
    """What is interrupted: a store, or one stripe of it."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction."""

    def close(self) -> None:
        """Close it."""


class Interrupt(BaseException):
    """What a handler raises."""


class CtrlC(Interrupt, KeyboardInterrupt):
    """The same; a driver may do more for this one."""


class RaisingAt:
    """Raises `Interrupt` before that event in the stores, counted from 1.

    Attributes:
        came: whether there were as many events.
    """

    def __init__(self, event: int) -> None:
        self._left = event
        self.came = False

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, _: str, __: object) -> Any:  # noqa: ANN401
        if not frame.f_code.co_filename.startswith(_TRACED):
            return None
        frame.f_trace_opcodes = True
        self._left -= 1
        if self._left == 0:
            self.came = True
            raise Interrupt
        return self._trace


class RaisingAfter:
    """Raises an `Interrupt` in a handler of SIGALRM.

    Attributes:
        came: whether the handler was called.
    """

    def __init__(self, seconds: float, what: type[Interrupt] = Interrupt) -> None:
        self._seconds = seconds
        self._what = what
        self.came = False

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def _handle(self, *_: object) -> None:
        self.came = True
        raise self._what


_last: Final[list[Transaction]] = []
"""Transactions that were used; none may be of use after its block."""


def in_own_thread(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test that raises at any instruction in a thread that ends with it.

    Where that hits the end of an `except`, Python goes on believing that the thread handles that
    exception: every later error of the thread would have it as its context.
    """

    @wraps(test)
    def run(*arguments: P.args, **keywords: P.kwargs) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(test, *arguments, **keywords).result()

    return run


def in_own_process(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test whose signals come into code of libraries in a process that ends with it.

    A lock of theirs, or of the interpreter's imports, may stay taken: threads of later tests would
    wait for it.
    """

    @wraps(test)
    def run(*arguments: P.args, **keywords: P.kwargs) -> None:
        child = os.fork()
        if not child:
            status = 1
            try:
                test(*arguments, **keywords)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    return run


# --- What is interrupted --------------------------------------------------------------------


def put_both(tx: Transaction, number: int) -> None:
    """Write the number in both rows, as a value in one of them."""
    _last.append(tx)
    tx.put(Table.SESSIONS, b"p", ROWS[0], b"%d" % number)
    tx.put_value(Table.SESSIONS, b"p", ROWS[1], number, NUMBER)


def read_both(tx: Transaction) -> tuple[int, int]:
    """The numbers of both rows, out of the cache where it has them."""
    _last.append(tx)
    first, second = (tx.get_value(Table.SESSIONS, b"p", row, NUMBER) for row in ROWS)
    assert first is not None
    assert second is not None
    return first, second


def commit(store: Store, number: int) -> None:
    """A transaction that commits."""
    with store.transaction() as tx:
        read_both(tx)
        put_both(tx, number)


def fail(store: Store, number: int) -> None:
    """A transaction whose block raises."""
    with suppress(ZeroDivisionError), store.transaction() as tx:
        put_both(tx, number)
        tx.delete(Table.SESSIONS, b"p", ROWS[0])
        raise ZeroDivisionError


def in_savepoints(store: Store, number: int) -> None:
    """A transaction with a savepoint that is kept and one that is undone."""
    with store.transaction() as tx:
        with suppress(ZeroDivisionError), tx.savepoint():
            put_both(tx, -1)
            raise ZeroDivisionError
        with tx.savepoint():
            put_both(tx, number)
        with suppress(ZeroDivisionError), tx.savepoint():
            tx.put_value(Table.SESSIONS, b"p", ROWS[1], -2, NUMBER)
            raise ZeroDivisionError


def swallow(store: Store, number: int) -> None:
    """A block that catches what interrupts a savepoint, and commits the rest."""
    with store.transaction() as tx:
        put_both(tx, number)
        with suppress(Interrupt), tx.savepoint():
            put_both(tx, -number)
            assert tx.list(Table.SESSIONS, b"p", limit=1) == [(ROWS[0], b"%d" % -number)]
        with suppress(Interrupt):
            tx.put_value(Table.INBOX, b"", b"once more", number, NUMBER)


def list_some(store: Store, number: int) -> None:
    """Ordered listings, between changes that keep their order up to date."""
    with store.transaction() as tx:
        put_both(tx, number)
        tx.put(Table.OUTBOX, b"%d" % number, b"", b"x")
        assert tx.list(Table.SESSIONS, b"p", limit=1, after=ROWS[0])[0][0] == ROWS[1]
        tx.partitions(Table.OUTBOX, limit=2)
        for partition in tx.partitions(Table.OUTBOX):
            tx.clear(Table.OUTBOX, partition)
        assert tx.partitions(Table.OUTBOX) == []


WORK: Final[dict[str, Callable[[Store, int], None]]] = {
    work.__name__: work for work in (commit, fail, in_savepoints, swallow, list_some)
}


# --- What has to hold -----------------------------------------------------------------------


def nobody_has_memory() -> None:
    """A store in memory has no others for whom it has to be open."""


def nobody_has_file(path: Path) -> None:
    """See that nobody is in a transaction on a file."""
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()


def nobody_has_stripes(name: str) -> None:
    """See that nobody is in a transaction on a store of the server.

    The server may need a moment to see that a connection is closed.
    """
    first, end = _number_of(name) << 17, time.monotonic() + _GONE_SECONDS
    query = (
        b"SELECT count(*) FROM (SELECT 1 FROM e2ecross.stripes WHERE stripe BETWEEN %s AND %s "
        b"FOR UPDATE SKIP LOCKED) AS free"
    )
    while _observer().execute(query, (first, first + STRIPES)).fetchone() != (STRIPES + 1,):
        assert time.monotonic() < end, "somebody still has a stripe"
        time.sleep(0.002)


_number_of = cache(number_of)


@cache
def _observer() -> "psycopg.Connection[tuple[int]]":
    import psycopg

    return psycopg.connect(address_of_stores(), autocommit=True)


def check(store: Store, look: Callable[[], None], *, before: int, number: int) -> int:
    """Check a store after an interrupt, and return the number that both of its rows have.

    That is the number of before, or the new one (with either sign); the next call works, what is
    kept in memory is what is in the store, and it is open for others, by the `look` at it.
    """
    for tx in _last:
        for use in (
            partial(tx.put, Table.SESSIONS, b"p", ROWS[0], b"-99"),
            partial(tx.put_value, Table.SESSIONS, b"p", ROWS[0], -99, NUMBER),
        ):
            with pytest.raises(StoreError, match=r"ended|nothing of it is saved"):
                use()
    _last.clear()
    look()
    with store.transaction() as tx:
        first, second = read_both(tx)
        assert first == second
        assert first in (before, number, -number)
        for row in ROWS:
            assert tx.get(Table.SESSIONS, b"p", row) == b"%d" % first
        assert [row for row, _ in tx.list(Table.SESSIONS, b"p", limit=5)] == list(ROWS)
    return first


def interrupt(
    store: Store,
    look: Callable[[], None],
    work: Callable[[Store, int], None],
    number: int,
    raising: AbstractContextManager[None],
) -> None:
    """Let the work be interrupted, and check what it leaves."""
    before = number - 1
    with store.transaction() as tx:
        put_both(tx, before)
    try:
        with raising:
            work(store, number)
    except Interrupt:
        check(store, look, before=before, number=number)  # while the traceback holds all frames
    except StoreError as error:
        # What a transaction says whose block went on after what may have left it half done.
        if "nothing of it is saved" not in str(error):
            raise
    check(store, look, before=before, number=number)
