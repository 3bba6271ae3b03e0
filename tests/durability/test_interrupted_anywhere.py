# SPDX-License-Identifier: Apache-2.0
"""An exception at any instruction of a store: it passes, and the next call works.

What was committed is there whole or not at all, what is kept in memory is what is in the file, and
neither this process nor another one waits for a holder that is none.

The suite takes one instruction in so many. E2ECROSS_INTERRUPTS=N takes all of them, and N signals
at random moments beside.
"""

import gc
import os
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2ecross.errors import StoreClosed, WrongStoreKey
from e2ecross.stores import MemoryStore, SQLiteStore, Table, Transaction
from tests.durability.interrupts import (
    STRIPES,
    WORK,
    CtrlC,
    Interrupt,
    RaisingAfter,
    RaisingAt,
    Store,
    check,
    commit,
    in_own_process,
    in_own_thread,
    interrupt,
    nobody_has_file,
    nobody_has_memory,
    nobody_has_stripes,
    put_both,
    read_both,
)
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import address_of_stores, make_postgres_store

if TYPE_CHECKING:
    from e2ecross.stores.postgres import PostgresStore

# A signal may come in the callback of Hypothesis for the garbage collector, or in a destructor:
# Python goes on then. A connection that was made just before, and that nobody has, is closed.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(gc_callback|__del__):pytest.PytestUnraisableExceptionWarning"
)

DEEP = "E2ECROSS_INTERRUPTS" in os.environ
SIGNALS = int(os.environ.get("E2ECROSS_INTERRUPTS", "300"))
SEED = int(os.environ.get("E2ECROSS_INTERRUPT_SEED", "1"))
KEYS = (bytes(32), bytes(range(32)))
STEPS = {
    "memory": 1,
    "sqlite": 13,
    "sealed-sqlite": 29,
    "postgres": 97,
    "sealed-postgres-stripe": 193,
}
REKEY_STEP = 97


@pytest.fixture(autouse=True)
def _around(request: pytest.FixtureRequest) -> Iterator[None]:
    """The server is this process's, not a child's; what is dropped is found in no other test."""
    if "postgres" in request.node.name:
        require_postgres()
        address_of_stores()
    yield
    gc.collect()


class Stripe:
    """One stripe of a store."""

    def __init__(self, store: "PostgresStore") -> None:
        self._store = store

    def transaction(self) -> AbstractContextManager[Transaction]:
        return self._store.transaction(5)

    def close(self) -> None:
        self._store.close()


@dataclass
class Made:
    """A store, how to see that nobody is in it, and how it is opened again."""

    store: Store
    look: Callable[[], None]
    again: Callable[[], Store] | None


def make(kind: str, folder: Path) -> Made:
    if kind == "memory":
        return Made(MemoryStore(busy_timeout_ms=50), nobody_has_memory, None)
    name = secrets.token_hex(8)
    if kind.endswith("sqlite"):
        key = KEYS[0] if kind.startswith("sealed") else None
        again: Callable[[], Store] = partial(
            SQLiteStore, folder / name, key=key, busy_timeout_ms=50
        )
        return Made(again(), partial(nobody_has_file, folder / name), again)
    keys = {1: KEYS[0]} if kind.startswith("sealed") else None

    def open_it() -> Store:
        # Two connections: what an interrupt keeps is missed by the third call.
        store = make_postgres_store(
            name, keys=keys, stripes=STRIPES, connections=2, busy_timeout_ms=2_000
        )
        return Stripe(store) if kind.endswith("stripe") else store

    return Made(open_it(), partial(nobody_has_stripes, name), open_it)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("kind", STEPS)
@in_own_thread
def test_after_an_exception_at_any_instruction_the_next_call_works(
    kind: str, work: str, tmp_path: Path
) -> None:
    made = make(kind, tmp_path)
    step = 1 if DEEP else STEPS[kind]
    for number in count(2, 2):
        raising = RaisingAt(1 + (number // 2 - 1) * step)
        interrupt(made.store, made.look, WORK[work], number, raising)
        if not raising.came:
            break
    assert number * step > 400
    made.store.close()


@pytest.mark.parametrize("kind", STEPS)
@in_own_thread
def test_an_interrupted_closing_can_be_done_again(kind: str, tmp_path: Path) -> None:
    raising, event = RaisingAt(1), 1
    while True:
        made = make(kind, tmp_path)
        with made.store.transaction() as tx:
            put_both(tx, event)
        raising = RaisingAt(event)
        try:
            with raising:
                made.store.close()
        except Interrupt:
            # It is closed, or goes on.
            with suppress(StoreClosed):
                check(made.store, made.look, before=event, number=event)
        made.store.close()
        if made.again is not None:
            files = list(tmp_path.iterdir())
            assert len(files) == kind.endswith("sqlite")  # no WAL is left
            again = made.again()
            check(again, made.look, before=event, number=event)
            again.close()
            for file in files:
                file.unlink()
        if not raising.came:
            break
        event += 1 if DEEP or kind == "memory" else 23


@pytest.mark.parametrize("exists", [True, False])
@in_own_thread
def test_an_interrupted_opening_can_be_done_again(exists: bool, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for event in count(1, 1 if DEEP else 37):
        raising = RaisingAt(event)
        with suppress(Interrupt), raising:
            SQLiteStore(path, key=KEYS[0]).close()
        with SQLiteStore(path, key=KEYS[0], busy_timeout_ms=50) as store:
            with store.transaction() as tx:
                assert tx.count(Table.SESSIONS, b"p") in (0, 2)
                put_both(tx, event)
            check(store, partial(nobody_has_file, path), before=event, number=event)
        if len(list(tmp_path.iterdir())) > 1:
            gc.collect()  # a connection that was not closed lies in the frames of the traceback
            SQLiteStore(path, key=KEYS[0]).close()
        assert [found.name for found in tmp_path.iterdir()] == [path.name]
        if not exists:
            path.unlink()
        if not raising.came:
            break
    assert event > 300


def opens_with(path: Path, key: bytes) -> tuple[int, int] | None:
    try:
        with SQLiteStore(path, key=key) as store, store.transaction() as tx:
            return read_both(tx)
    except WrongStoreKey:
        return None


@in_own_thread
def test_an_interrupted_change_of_key_goes_on_with_the_key_that_the_file_has(
    tmp_path: Path,
) -> None:
    path, number = tmp_path / "store.db", 1
    store = SQLiteStore(path, key=KEYS[0], busy_timeout_ms=50)
    with store.transaction() as tx:
        put_both(tx, 1)
    keys = KEYS
    went = {True: 0, False: 0}
    for event in count(1, 1 if DEEP else REKEY_STEP):
        raising = RaisingAt(event)
        try:
            with raising:
                store.rekey(key=keys[1])
        except Interrupt:
            commit(store, number := number + 1)
        commit(store, number := number + 1)
        found = [opens_with(path, key) for key in keys]
        assert sorted(found, key=str) == [(number, number), None]
        went[found[0] is None] += 1
        if found[0] is None:
            keys = keys[::-1]
        if not raising.came:
            break
    assert all(went.values())
    store.close()


@in_own_thread
def test_other_threads_go_on_after_an_interrupt(tmp_path: Path) -> None:
    """Those that wait already, and soon; and a change of key that was cut off is theirs too."""
    store = SQLiteStore(tmp_path / "store.db", key=KEYS[0], busy_timeout_ms=5_000)
    commits, stop = [0, 0], threading.Event()
    with store.transaction() as tx:
        put_both(tx, 1)

    def work(which: int) -> None:
        while not stop.is_set():
            with store.transaction() as tx:
                first, second = read_both(tx)
                assert first == second
                put_both(tx, first + 1)
            commits[which] += 1

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    done, keys = 0, KEYS[::-1]
    began = time.monotonic()
    for event in range(1, 4_000, 1 if DEEP else 61):
        try:
            with RaisingAt(event):
                if event % 3:
                    with store.transaction() as tx:
                        put_both(tx, sum(read_both(tx)) // 2 + 1)
                    done += 1
                else:
                    store.rekey(key=keys[event % 2])
        except Interrupt:
            with store.transaction() as tx:
                first, second = read_both(tx)
                assert first == second
        assert all(thread.is_alive() for thread in threads)
    assert time.monotonic() - began < 600  # only a hang comes near
    stop.set()
    for thread in threads:
        thread.join(10)
    assert min(commits) > 20
    with store.transaction() as tx:
        last = read_both(tx)[0]
    assert sum(commits) + done <= last - 1
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGALRM")
@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@in_own_process
def test_signals_at_random_moments(kind: str, tmp_path: Path) -> None:
    """Where Python lets handlers run, and while C code does not."""
    rng, came, number = random.Random(f"{SEED} {kind}"), 0, 0
    made = make(kind, tmp_path)
    works = list(WORK.values())
    took = dict.fromkeys(works, 0.001)
    while came < SIGNALS // len(STEPS):
        number += 2
        work = rng.choice(works)
        what = rng.choice((Interrupt, CtrlC))
        raising = RaisingAfter(rng.uniform(1e-6, took[work]), what)
        began = time.perf_counter()
        interrupt(made.store, made.look, work, number, raising)
        came += raising.came
        if not raising.came:
            took[work] = max(1e-5, (time.perf_counter() - began) / 3)
    made.store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGALRM")
def test_signals_at_random_moments_of_a_change_of_key(tmp_path: Path) -> None:
    rng, keys, number = random.Random(SEED), KEYS, 1
    path = tmp_path / "store.db"
    store = SQLiteStore(path, key=KEYS[0], busy_timeout_ms=50)
    with store.transaction() as tx:
        put_both(tx, 1)
        for row in range(30):
            tx.put(Table.SENT, b"p", b"%d" % row, bytes(500))
    took = 0.01
    for _ in range(SIGNALS // 10):
        began = time.perf_counter()
        with suppress(Interrupt):
            with RaisingAfter(rng.uniform(1e-4, 1.2 * took)):
                store.rekey(key=keys[1])
            took = time.perf_counter() - began
        commit(store, number := number + 1)
        found = [opens_with(path, key) for key in keys]
        assert sorted(found, key=str) == [(number, number), None]
        if found[0] is None:
            keys = keys[::-1]
    store.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGALRM")
@pytest.mark.parametrize("kind", STEPS)
def test_a_waiting_thread_is_interrupted_and_nobody_waits_for_it(kind: str, tmp_path: Path) -> None:
    store = make(kind, tmp_path).store
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with store.transaction():
            inside.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(10)
    with pytest.raises(Interrupt), RaisingAfter(0.02), store.transaction():
        pass
    leave.set()
    holder.join(10)
    with store.transaction() as tx:
        put_both(tx, 1)
    store.close()
