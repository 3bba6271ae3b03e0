# SPDX-License-Identifier: Apache-2.0
"""What a `PostgresStore` does beyond the contract: workers, servers, connections that are cut."""

import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2ecross.errors import (
    CommitUnknown,
    InvalidArgument,
    StoreBusy,
    StoreClosed,
    StoreCorrupted,
    StoreError,
    StoreMoved,
    StoreTooNew,
)
from e2ecross.stores import Table
from e2ecross.stores.base import Codec
from tests.stores.support import WAIT_SECONDS
from tests.support.cut_socket import CutSocket
from tests.support.postgres import Server, require_postgres, server
from tests.support.postgres_stores import address_of_stores, ask, make_postgres_store, number_of

if TYPE_CHECKING:
    from e2ecross.stores.postgres import PostgresStore

SESSIONS, DEVICE, ONE_TIME = Table.SESSIONS, Table.DEVICE, Table.ONE_TIME_PREKEYS
TEXT = Codec(str.encode, bytes.decode)
TESTS = str(Path(__file__).parents[1])


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    require_postgres()


@pytest.fixture
def name() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def store(name: str) -> Iterator["PostgresStore"]:
    with make_postgres_store(name) as made:
        yield made


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements went out in each round trip."""
    from e2ecross.stores.postgres_link import Link, Statement

    counted: list[int] = []
    run = Link._run

    def count(link: Link, statements: list[Statement]) -> list[list[tuple[object, ...]]]:
        counted.append(len(statements))
        return run(link, statements)

    monkeypatch.setattr(Link, "_run", count)
    return counted


def put(store: "PostgresStore", stripe: int, row: bytes, record: bytes) -> None:
    with store.transaction(stripe) as tx:
        tx.put(SESSIONS, b"p", row, record)


def migrate_at(address: str) -> int:
    from e2ecross.stores.postgres_tables import migrate

    return migrate(address)


def get(store: "PostgresStore", stripe: int, row: bytes) -> bytes | None:
    with store.transaction(stripe) as tx:
        return tx.get(SESSIONS, b"p", row)


class TestWorkers:
    def test_a_warm_transaction_is_two_round_trips(
        self, store: "PostgresStore", round_trips: list[int]
    ) -> None:
        for number in range(3):
            round_trips.clear()
            with store.transaction(5) as tx:
                for row in (b"a", b"b", b"c"):
                    value = tx.get_value(SESSIONS, b"p", row, TEXT)
                    assert value == (None if number == 0 else str(number - 1))
                    tx.put_value(SESSIONS, b"p", row, str(number), TEXT)
                assert tx.get(DEVICE, b"") is None
                with tx.savepoint():
                    tx.put(Table.OUTBOX, b"", b"%d" % number, b"x")
                assert tx.delete(Table.OUTBOX, b"", b"%d" % number)
            assert len(round_trips) == (2 if number else 6)

    def test_two_workers_see_each_other_at_once(self, name: str) -> None:
        with make_postgres_store(name) as one, make_postgres_store(name) as other:
            for number in range(5):
                put(one, 7, b"r", b"%d" % number)
                assert get(other, 7, b"r") == b"%d" % number
                put(other, 7, b"r", b"other %d" % number)
                assert get(one, 7, b"r") == b"other %d" % number

    def test_what_the_device_has_is_seen_by_every_stripe_at_once(self, name: str) -> None:
        with make_postgres_store(name) as one, make_postgres_store(name) as other:
            for number in range(3):
                with one.transaction() as tx:
                    tx.put(DEVICE, b"", b"", b"%d" % number)
                    tx.put(SESSIONS, b"own", b"", b"%d" % number)
                    tx.at(9).put(SESSIONS, b"p", b"r", b"%d" % number)
                with other.transaction(9) as tx:
                    assert tx.get(DEVICE, b"") == b"%d" % number
                    assert tx.at(0).get(SESSIONS, b"own") == b"%d" % number
                    assert tx.get(SESSIONS, b"p", b"r") == b"%d" % number

    def test_what_the_device_alone_has_changed_is_read_anew(self, name: str) -> None:
        """Though nothing of the stripe itself was changed."""
        with make_postgres_store(name) as one, make_postgres_store(name) as other:
            for number in range(3):
                with one.transaction() as tx:
                    tx.put(DEVICE, b"", b"", b"%d" % number)
                with other.transaction(9) as tx:
                    assert tx.get(DEVICE, b"") == b"%d" % number

    def test_a_failed_block_leaves_nothing_in_the_cache(self, store: "PostgresStore") -> None:
        put(store, 3, b"r", b"old")
        with pytest.raises(ZeroDivisionError), store.transaction(3) as tx:  # noqa: PT012
            tx.put(SESSIONS, b"p", b"r", b"new")
            raise ZeroDivisionError
        assert get(store, 3, b"r") == b"old"

    def test_the_cache_is_bounded(self, name: str, round_trips: list[int]) -> None:
        with make_postgres_store(name, cached_values=10) as store:
            for stripe in range(1, 30):
                put(store, stripe, b"r", b"x")
            assert get(store, 29, b"r") == b"x"
            round_trips.clear()
            assert get(store, 29, b"r") == b"x"
            assert len(round_trips) == 2
            assert get(store, 1, b"r") == b"x"
            assert len(round_trips) == 5

    def test_stripes_do_not_wait_for_each_other(self, name: str) -> None:
        with make_postgres_store(name, busy_timeout_ms=200) as one:
            inside, leave = threading.Event(), threading.Event()

            def hold() -> None:
                with one.transaction(1) as tx:
                    tx.put(SESSIONS, b"p", b"r", b"x")
                    inside.set()
                    assert leave.wait(WAIT_SECONDS)

            with ThreadPoolExecutor(1) as pool:
                held = pool.submit(hold)
                assert inside.wait(WAIT_SECONDS)
                put(one, 2, b"r", b"y")
                for stripe in (0, 1):
                    with pytest.raises(StoreBusy, match="55P03"), one.transaction(stripe):
                        pass
                leave.set()
                held.result(WAIT_SECONDS)
            assert get(one, 1, b"r") == b"x"

    def test_who_waits_for_a_stripe_comes_in_turn(self, name: str) -> None:
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
        )
        came: list[int] = []

        def come(number: int) -> None:
            with busy.transaction(5) as tx:
                came.append(number)
                tx.put(SESSIONS, b"p", b"%d" % number, b"x")

        with make_postgres_store(name, connections=8) as busy, ThreadPoolExecutor(6) as pool:
            with busy.transaction(5) as tx:
                tx.put(SESSIONS, b"p", b"first", b"x")
                futures = []
                for number in range(6):
                    futures.append(pool.submit(come, number))
                    until = time.monotonic() + WAIT_SECONDS / 4
                    while ask(waiting) != [(number + 1,)]:
                        assert time.monotonic() < until
                        time.sleep(0.005)
                assert came == []
            for future in futures:
                future.result(WAIT_SECONDS)
        assert came == list(range(6))

    def test_one_prekey_is_given_to_one_of_two_stripes(self, store: "PostgresStore") -> None:
        with store.transaction() as tx:
            tx.put(ONE_TIME, b"", b"1", b"key")
        first = threading.Barrier(2)

        def use(stripe: int) -> bool:
            with store.transaction(stripe) as tx:
                first.wait(WAIT_SECONDS)
                deleted = tx.delete(ONE_TIME, b"", b"1")
                added = tx.add(Table.SEEN_BASE_KEYS, b"1", b"hash", b"")
                assert deleted is added
                time.sleep(0.05)
                return deleted

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(use, (1, 2))) == [False, True]

    def test_what_any_stripe_may_use_up_is_never_kept(self, name: str) -> None:
        """Neither that it is there nor that it is not: no version says that it changed."""
        with make_postgres_store(name) as one, make_postgres_store(name) as other:
            with one.transaction() as tx:
                tx.put(ONE_TIME, b"", b"1", b"key")
                assert tx.get(ONE_TIME, b"", b"1") == b"key"
                assert tx.get(Table.SEEN_BASE_KEYS, b"1", b"hash") is None
            with one.transaction(5) as tx:
                assert tx.get(ONE_TIME, b"", b"1") == b"key"
                assert tx.get(Table.SEEN_BASE_KEYS, b"1", b"hash") is None
            with other.transaction(3) as tx:
                assert tx.delete(ONE_TIME, b"", b"1")
                assert tx.add(Table.SEEN_BASE_KEYS, b"1", b"hash", b"x")
            for stripe in (0, 5):
                with one.transaction(stripe) as tx:
                    assert tx.get(ONE_TIME, b"", b"1") is None
                    assert not tx.delete(ONE_TIME, b"", b"1")
                    assert tx.get(Table.SEEN_BASE_KEYS, b"1", b"hash") == b"x"
                    assert not tx.add(Table.SEEN_BASE_KEYS, b"1", b"hash", b"x")

    def test_what_is_put_and_deleted_in_one_transaction_is_gone(
        self, store: "PostgresStore"
    ) -> None:
        with store.transaction() as tx:
            tx.put(ONE_TIME, b"", b"1", b"key")
            assert tx.delete(ONE_TIME, b"", b"1")
            assert not tx.delete(ONE_TIME, b"", b"1")
        with store.transaction() as tx:
            assert tx.list(ONE_TIME) == []

    @pytest.mark.parametrize("cached_values", [0, 100])
    @pytest.mark.parametrize("keys", [None, {1: bytes(32)}])
    def test_what_is_read_ahead_is_what_is_there_when_it_is_asked_for(
        self,
        name: str,
        cached_values: int,
        keys: dict[int, bytes] | None,
        round_trips: list[int],
    ) -> None:
        accounts, consent, shown = Table.ACCOUNTS, Table.CONSENT, Table.CONVERSATIONS
        with make_postgres_store(name, keys=keys, cached_values=cached_values) as store:
            with store.transaction(5) as tx:
                for table in (accounts, consent):
                    tx.put(table, b"p", b"", b"old")
            store._find_pool().cache.clear()
            with store.transaction(5) as tx:
                round_trips.clear()
                assert tx.get(accounts, b"p") == b"old"
                assert tx.get(consent, b"p") == b"old"
                assert tx.get(shown, b"p") is None
                assert len(round_trips) == 1
            store._find_pool().cache.clear()
            with store.transaction(5) as tx:
                assert tx.get(accounts, b"p") == b"old"
                tx.put(consent, b"p", b"", b"new")
                tx.put(shown, b"p", b"", b"new")
                assert tx.count(consent, b"p") == 1  # so that they are written
                assert tx.get(consent, b"p") == tx.get(shown, b"p") == b"new"
                with pytest.raises(ZeroDivisionError), tx.savepoint():  # noqa: PT012
                    tx.put(consent, b"p", b"", b"undone")
                    assert tx.count(consent, b"p") == 1
                    assert tx.get(accounts, b"p") == b"old"
                    raise ZeroDivisionError
                assert tx.get(consent, b"p") == b"new"
                assert tx.get(accounts, b"p") == b"old"

    def test_a_savepoint_that_was_left_open_saves_nothing(self, store: "PostgresStore") -> None:
        put(store, 5, b"r", b"old")
        with pytest.raises(StoreError, match="savepoint"), store.transaction(5) as tx:  # noqa: PT012
            tx.put(SESSIONS, b"p", b"r", b"new")
            tx.savepoint().__enter__()
            tx.put(SESSIONS, b"p", b"s", b"new")
        assert get(store, 5, b"r") == b"old"
        assert get(store, 5, b"s") is None

    def test_a_walk_does_not_go_on_after_the_transaction(self, store: "PostgresStore") -> None:
        for row in (b"r", b"s"):
            put(store, 5, row, b"x")
        with store.transaction() as tx:
            walks = [tx.at(5).scan(SESSIONS), tx.scan_all(SESSIONS)]
            for walk in walks:
                next(walk)
        for walk in walks:
            with pytest.raises(StoreError, match="has ended"):
                next(walk)

    def test_stripes_with_rows(self, store: "PostgresStore") -> None:
        assert store.stripes_with(SESSIONS) == []
        for stripe in (64, 3, 9):
            put(store, stripe, b"r", b"x")
            put(store, stripe, b"s", b"x")
        assert store.stripes_with(SESSIONS) == [3, 9, 64]
        with store.transaction() as tx:
            tx.put(DEVICE, b"", b"", b"x")
            tx.put(SESSIONS, b"p", b"", b"x")
        assert store.stripes_with(DEVICE) == [0]
        assert store.stripes_with(SESSIONS) == [0, 3, 9, 64]
        assert store.stripes_with(Table.INBOX) == []

    def test_stores_of_one_database_are_apart(self, store: "PostgresStore") -> None:
        put(store, 64, b"r", b"x")
        with make_postgres_store() as other, other.transaction() as tx:
            assert list(tx.scan_all(SESSIONS)) == []

    def test_an_existing_store_keeps_its_stripes(self, name: str) -> None:
        with make_postgres_store(name, stripes=128) as one:
            assert one.stripes == 128
        with make_postgres_store(name, stripes=64) as one:
            assert one.stripes == 128

    def test_workers_that_come_at_once_agree_on_a_store(self, name: str) -> None:
        def come(number: int) -> None:
            with make_postgres_store(name) as store:
                put(store, 1, b"%d" % number, b"x")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(come, range(4)))
        with make_postgres_store(name) as store, store.transaction(1) as tx:
            assert tx.count(SESSIONS, b"p") == 4

    def test_a_forked_child_has_connections_of_its_own(self, store: "PostgresStore") -> None:
        put(store, 1, b"r", b"parent")
        child = os.fork()
        if not child:
            status = 1
            try:
                assert get(store, 1, b"r") == b"parent"
                put(store, 1, b"r", b"child")
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert get(store, 1, b"r") == b"child"

    def test_a_child_does_not_end_its_parents_transaction(self, store: "PostgresStore") -> None:
        with store.transaction(1) as tx:
            tx.put(SESSIONS, b"p", b"r", b"parent")
            child = os.fork()
            if not child:
                status = 1
                try:
                    tx.get(SESSIONS, b"p", b"s")
                except StoreError:
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
        assert get(store, 1, b"r") == b"parent"

    def test_a_child_that_leaves_its_parents_transaction_does_not_end_it(
        self, store: "PostgresStore"
    ) -> None:
        block = store.transaction(1)
        with block as tx:
            tx.put(SESSIONS, b"p", b"r", b"parent")
            assert tx.count(SESSIONS, b"p") == 1
            child = os.fork()
            if not child:
                status = 1
                try:
                    block.__exit__(SystemExit, SystemExit(), None)
                    status = 0
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
        assert get(store, 1, b"r") == b"parent"

    def test_a_connection_that_was_interrupted_is_not_used_again(
        self, store: "PostgresStore", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from e2ecross.stores.postgres_link import Link

        def interrupt(link: Link, statements: object) -> None:
            raise KeyboardInterrupt

        block = store.transaction(1)
        with pytest.raises(KeyboardInterrupt), block as tx, monkeypatch.context() as patch:  # noqa: PT012
            link = block.unit.work.link  # type: ignore[attr-defined]
            patch.setattr(Link, "_run", interrupt)
            tx.get(SESSIONS, b"p", b"r")
        assert link.is_lost
        put(store, 1, b"r", b"x")

    @pytest.mark.parametrize(
        ("given", "used"), [("off", "on"), ("local", "on"), ("remote_apply",) * 2]
    )
    def test_a_commit_is_waited_for_whatever_the_role_is_set_to(
        self, name: str, given: str, used: str
    ) -> None:
        from e2ecross.stores.postgres import PostgresStore

        address = f"{address_of_stores()}&options=-csynchronous_commit%3D{given}"
        with PostgresStore(address, name, stripes=64) as store:
            for stripe in (0, 5):
                block = store.transaction(stripe)
                with block:
                    link = block.unit.work.link  # type: ignore[attr-defined]
                    assert link.run([("SHOW synchronous_commit", ())]) == [[(used,)]]

    def test_who_waits_for_a_connection_of_a_store_that_is_closed_is_told(self, name: str) -> None:
        with make_postgres_store(name, connections=1) as store, ThreadPoolExecutor(1) as threads:
            pool = store._find_pool()
            with store.transaction(2):
                waiting = threads.submit(get, store, 1, b"r")
                until = time.monotonic() + WAIT_SECONDS
                while pool._door.is_free() and time.monotonic() < until:
                    time.sleep(0.01)
                pool.is_closed = True
            with pytest.raises(StoreClosed):
                waiting.result(WAIT_SECONDS)
            pool.is_closed = False
            assert get(store, 1, b"r") is None  # its place is free again

    def test_a_closed_store_keeps_no_values(self, store: "PostgresStore") -> None:
        put(store, 1, b"r", b"x")
        cache = store._find_pool().cache
        assert repr(cache) == "<StripeCache: 1 values of 1 stripes>"
        store.close()
        assert repr(cache) == "<StripeCache: 0 values of 0 stripes>"

    def test_a_statement_that_fails_leaves_a_connection_of_use(
        self, store: "PostgresStore"
    ) -> None:
        from e2ecross.stores.postgres_commit import in_transaction

        with pytest.raises(StoreError, match="22012"):
            in_transaction(store._find_pool(), [("SELECT 1 / 0", ())])
        put(store, 5, b"r", b"x")
        assert get(store, 5, b"r") == b"x"

    @pytest.mark.parametrize(("count", "size", "most"), [(2_500, 100, 1_025), (35, 100_000, 12)])
    def test_what_is_put_is_written_before_there_is_too_much(
        self, store: "PostgresStore", round_trips: list[int], count: int, size: int, most: int
    ) -> None:
        """Too many statements, or more than a megabyte of records."""
        with store.transaction(1) as tx:
            for number in range(count):
                tx.put(SESSIONS, b"p", b"%d" % number, b"x" * size)
        assert max(round_trips) <= most
        with store.transaction(1) as tx:
            assert tx.count(SESSIONS, b"p") == count


class TestInterrupts:
    """Of one instruction each; tests/durability/test_interrupted_anywhere.py has them all."""

    @pytest.mark.parametrize("place", ["reset", "run"])
    def test_a_block_whose_end_is_interrupted_holds_nothing_back(
        self, name: str, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        """Though the traceback holds all of its frames: neither its stripe nor its connection."""
        from e2ecross.stores.postgres_link import Link

        def interrupt(*_: object) -> None:
            patch.undo()
            raise KeyboardInterrupt

        with make_postgres_store(name, connections=1) as store, make_postgres_store(name) as other:
            put(store, 1, b"r", b"old")
            with (  # noqa: PT012
                pytest.raises(KeyboardInterrupt) as caught,
                monkeypatch.context() as patch,
                store.transaction(1) as tx,
            ):
                tx.put(SESSIONS, b"p", b"r", b"new")
                tx.list(SESSIONS, b"p")
                patch.setattr(Link, place, interrupt)
                if place == "reset":
                    raise ZeroDivisionError
            assert caught.value.__traceback__ is not None
            began = time.monotonic()
            assert get(other, 1, b"r") == b"old"
            assert get(store, 1, b"r") == b"old"
            assert time.monotonic() - began < 5  # and no server had to end it

    @pytest.mark.parametrize("place", ["Pool.link", "Pool.enter", "Block._start"])
    def test_a_block_whose_beginning_is_interrupted_keeps_no_place(
        self, name: str, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        from e2ecross.stores.postgres_commit import Block
        from e2ecross.stores.postgres_pool import Pool

        owner, method = {"Pool": Pool, "Block": Block}[place.split(".")[0]], place.split(".")[1]
        real = getattr(owner, method)

        def interrupt(*arguments: object) -> None:
            real(*arguments)
            raise KeyboardInterrupt

        with make_postgres_store(name, connections=1, busy_timeout_ms=1_000) as store:
            for _ in range(3):
                with pytest.raises(KeyboardInterrupt) as caught, monkeypatch.context() as patch:  # noqa: PT012
                    patch.setattr(owner, method, interrupt)
                    get(store, 1, b"r")
                assert caught.value.__traceback__ is not None
                put(store, 1, b"r", b"x")

    def test_what_was_begun_by_hand_and_dropped_is_undone_at_once(self, name: str) -> None:
        """As the package's own wrappers begin it: no with statement has its end."""
        with make_postgres_store(name, connections=1) as store, make_postgres_store(name) as other:
            put(store, 1, b"r", b"old")
            block = store.transaction(1)
            tx = block.__enter__()
            tx.put(SESSIONS, b"p", b"r", b"new")
            tx.list(SESSIONS, b"p")
            del block
            began = time.monotonic()
            assert get(other, 1, b"r") == b"old"
            assert get(store, 1, b"r") == b"old"
            assert time.monotonic() - began < 5

    def test_nothing_is_done_in_what_another_one_has_left_open(self, name: str) -> None:
        with make_postgres_store(name, connections=1) as store:
            put(store, 1, b"r", b"old")
            [lane] = store._find_pool().lanes
            assert lane.link is not None
            update = "UPDATE e2ecross.sessions SET record = 'left open'"
            lane.link.run([("BEGIN", ()), (update, ())])
            put(store, 2, b"r", b"x")  # on the same connection
        assert ask("SELECT 1 FROM e2ecross.sessions WHERE record = 'left open'") == []

    def test_a_block_that_was_interrupted_while_it_was_made_is_dropped_quietly(self) -> None:
        from e2ecross.stores.postgres_commit import Block

        Block.__new__(Block)  # what __del__ raised, pytest would fail for

    def test_a_savepoint_that_ended_well_is_not_undone_by_what_comes_after(
        self, store: "PostgresStore", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Released and then rolled back to, the commit would fail without telling why."""
        from e2ecross.stores.postgres_rows import Work

        real = Work.keep

        def interrupt(work: Work, sql: str, *parameters: object) -> None:
            real(work, sql, *parameters)
            if sql.startswith("RELEASE"):
                patch.undo()
                raise KeyboardInterrupt

        with store.transaction(1) as tx:
            tx.put(SESSIONS, b"p", b"before", b"x")
            with (  # noqa: PT012
                pytest.raises(KeyboardInterrupt),
                monkeypatch.context() as patch,
                tx.savepoint(),
            ):
                tx.put(SESSIONS, b"p", b"r", b"x")
                tx.list(SESSIONS, b"p")
                patch.setattr(Work, "keep", interrupt)
        assert get(store, 1, b"before") == b"x"

    def test_a_cache_that_was_left_half_done_forgets_all(self, store: "PostgresStore") -> None:
        put(store, 1, b"r", b"x")
        put(store, 2, b"r", b"x")
        cache = store._find_pool().cache
        assert repr(cache) == "<StripeCache: 2 values of 2 stripes>"
        cache._is_whole = False
        assert get(store, 1, b"r") == b"x"
        assert repr(cache) == "<StripeCache: 1 values of 1 stripes>"

    def test_who_waits_for_a_connection_is_not_overtaken_for_ever(self, name: str) -> None:
        """By a thread that comes again at once, whenever it has left."""
        done = threading.Event()
        with make_postgres_store(name, connections=1, busy_timeout_ms=2_000) as store:

            def come_again() -> int:
                count = 0
                while not done.is_set():
                    put(store, 1, b"r", b"x")
                    count += 1
                return count

            def come_now_and_then() -> None:
                for _ in range(20):
                    put(store, 2, b"r", b"x")

            with ThreadPoolExecutor(2) as threads:
                busy = threads.submit(come_again)
                try:
                    threads.submit(come_now_and_then).result(WAIT_SECONDS)
                finally:
                    done.set()
                assert busy.result(WAIT_SECONDS) < 1_000

    def test_a_close_that_fails_leaves_closed_what_another_has_closed(self, name: str) -> None:
        store = make_postgres_store(name, busy_timeout_ms=500)
        with ThreadPoolExecutor(2) as threads:
            with store.transaction(1):
                first = threads.submit(store.close)
                time.sleep(0.3)
                second = threads.submit(store.close)
                with pytest.raises(StoreBusy, match="inside a transaction"):
                    first.result(WAIT_SECONDS)
            second.result(WAIT_SECONDS)
        with pytest.raises(StoreClosed):
            get(store, 1, b"r")

    def test_a_thread_is_not_taken_for_one_that_has_ended(self, name: str) -> None:
        """Their identifiers are often the same where one begins when the other has ended."""
        store = make_postgres_store(name, busy_timeout_ms=200)
        blocks = [store.transaction(1)]

        def begin() -> int:
            blocks[0].__enter__()
            return threading.get_ident()

        def close() -> int:
            with pytest.raises(StoreBusy):
                store.close()
            return threading.get_ident()

        with ThreadPoolExecutor(1) as threads:
            ended = threads.submit(begin).result(WAIT_SECONDS)
        for _ in range(20):
            with ThreadPoolExecutor(1) as threads:
                if threads.submit(close).result(WAIT_SECONDS) == ended:
                    break
        assert get(store, 2, b"r") is None  # it is not closed
        blocks.clear()
        store.close()

    def test_more_threads_than_connections(self, name: str) -> None:
        with make_postgres_store(name, connections=3) as store, ThreadPoolExecutor(12) as threads:

            def work(stripe: int) -> None:
                for number in range(30):
                    put(store, stripe, b"r", b"%d" % number)

            list(threads.map(work, range(1, 13)))
            assert all(get(store, stripe, b"r") == b"29" for stripe in range(1, 13))
            pool = store._find_pool()
            assert pool._door.is_free()
            assert sum(lane.link is not None for lane in pool.lanes) == 3


class TestCutConnections:
    @pytest.fixture
    def cut(self) -> Iterator[CutSocket]:
        address_of_stores()
        made = CutSocket(server().folder)
        yield made
        made.close()

    @pytest.fixture
    def through(self, cut: CutSocket, name: str) -> Iterator["PostgresStore"]:
        from e2ecross.stores.postgres import PostgresStore

        with PostgresStore(cut.address(), name, stripes=64, prepare=False) as made:
            yield made

    @pytest.mark.parametrize("stripe", [0, 5])
    def test_a_commit_whose_answer_is_lost_is_found(
        self, cut: CutSocket, through: "PostgresStore", stripe: int
    ) -> None:
        put(through, stripe, b"r", b"old")
        cut.cut_after = once(b"COMMIT\0")
        put(through, stripe, b"r", b"new")
        assert get(through, stripe, b"r") == b"new"

    @pytest.mark.parametrize("stripe", [0, 5])
    def test_a_commit_that_did_not_arrive_saves_nothing(
        self, cut: CutSocket, through: "PostgresStore", stripe: int
    ) -> None:
        put(through, stripe, b"r", b"old")
        cut.cut_before = once(b"COMMIT\0")
        with pytest.raises(StoreBusy, match="during the commit: nothing is saved"):
            put(through, stripe, b"r", b"new")
        assert get(through, stripe, b"r") == b"old"

    def test_a_commit_that_nobody_knows_of(
        self, cut: CutSocket, through: "PostgresStore", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("e2ecross.stores.postgres_commit._ASK_SECONDS", 0.3)
        put(through, 5, b"r", b"old")
        cut.cut_before = lambda data: b"COMMIT\0" in data or b"pg_xact_status" in data
        with pytest.raises(CommitUnknown, match="may have been saved or not"):
            put(through, 5, b"r", b"new")
        cut.cut_before = lambda data: False
        assert get(through, 5, b"r") == b"old"

    def test_a_commit_at_a_server_that_has_moved_is_unknown(
        self, cut: CutSocket, through: "PostgresStore", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("e2ecross.stores.postgres_commit.IDENTITY", "'another/00000002'")
        put(through, 5, b"r", b"old")
        cut.cut_after = once(b"COMMIT\0")
        with pytest.raises(CommitUnknown):
            put(through, 5, b"r", b"new")

    def test_a_second_commit_that_fails_leaves_it_unknown(
        self, cut: CutSocket, through: "PostgresStore"
    ) -> None:
        put(through, 5, b"r", b"old")
        cut.cut_after = once(b"COMMIT\0", times=2)
        with pytest.raises(CommitUnknown):
            put(through, 5, b"r", b"new")
        assert get(through, 5, b"r") == b"new"

    def test_a_move_that_may_not_be_accepted_is_told(
        self, cut: CutSocket, through: "PostgresStore", name: str
    ) -> None:
        moved = "UPDATE e2ecross.stripes SET server = 'other/1' WHERE stripe >> 17 = %s"
        ask(moved, number_of(name))
        cut.cut_before = once(b"COMMIT\0")
        with pytest.raises(StoreBusy, match="during the commit: nothing is saved"):
            through.accept_move()
        with pytest.raises(StoreMoved):
            get(through, 5, b"r")
        cut.cut_after = once(b"COMMIT\0")
        through.accept_move()
        assert get(through, 5, b"r") is None

    @pytest.mark.parametrize(
        "call",
        [
            lambda store, _: store.transaction(1).__enter__(),
            lambda store, _: store.stripes_with(SESSIONS),
            lambda store, _: store.forget_key(1),
            lambda store, _: store.accept_move(),
            lambda _, address: migrate_at(address),
        ],
        ids=["transaction", "stripes_with", "forget_key", "accept_move", "migrate"],
    )
    def test_no_frame_of_ours_keeps_the_conninfo_when_the_server_has_gone(
        self, cut: CutSocket, name: str, call: Callable[["PostgresStore", str], object]
    ) -> None:
        from e2ecross.stores.postgres import PostgresStore

        address = cut.address().replace("relay@", "relay:PASSWORD@")
        store = PostgresStore(address, name, stripes=64, prepare=False)
        cut.cut_before = lambda data: True
        with pytest.raises(StoreBusy):
            store.stripes_with(SESSIONS)  # its connection is cut, and a new one is needed
        with pytest.raises(StoreBusy) as caught:
            call(store, address)
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        ours = [frame for frame in frames if not frame.f_code.co_filename.startswith(TESTS)]
        assert ours
        assert "PASSWORD" not in repr([frame.f_locals for frame in ours])
        cut.cut_before = lambda data: False
        store.close()

    def test_a_block_that_only_read_needs_no_commit(
        self, cut: CutSocket, through: "PostgresStore"
    ) -> None:
        put(through, 5, b"r", b"x")
        cut.cut_before = once(b"COMMIT\0")
        assert get(through, 5, b"r") == b"x"

    @pytest.mark.parametrize("where", [b"FOR UPDATE", b"BEGIN"])
    def test_a_connection_that_is_lost_at_the_beginning_is_made_anew(
        self, cut: CutSocket, through: "PostgresStore", where: bytes
    ) -> None:
        put(through, 5, b"r", b"x")
        cut.cut_after = once(where)
        assert get(through, 5, b"r") == b"x"

    def test_a_connection_that_is_lost_in_between_saves_nothing(
        self, cut: CutSocket, through: "PostgresStore"
    ) -> None:
        put(through, 5, b"r", b"old")
        cut.cut_after = once(b"SELECT count")
        with pytest.raises(StoreBusy), through.transaction(5) as tx:  # noqa: PT012
            tx.put(SESSIONS, b"p", b"r", b"new")
            tx.count(SESSIONS, b"p")
        with pytest.raises(StoreError), through.transaction(5) as tx:  # noqa: PT012
            cut.cut_after = once(b"SELECT count")
            tx.put(SESSIONS, b"p", b"r", b"new")
            with pytest.raises(StoreBusy):
                tx.count(SESSIONS, b"p")
            tx.get(SESSIONS, b"p", b"r")
        assert get(through, 5, b"r") == b"old"

    def test_every_statement_cut_at_any_place(
        self, cut: CutSocket, through: "PostgresStore"
    ) -> None:
        """A counter and a row for each count: never one without the other."""
        counted, sent = 0, 0
        for number in range(60):
            left = [number % 5]

            def cut_here(data: bytes, left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] == -1

            cut.cut_before, cut.cut_after = lambda data: False, lambda data: False
            if number % 2:
                cut.cut_before = cut_here
            else:
                cut.cut_after = cut_here
            try:
                with through.transaction(5) as tx:
                    count = int(tx.get(SESSIONS, b"count") or b"0")
                    tx.list(SESSIONS, b"rows", limit=1)
                    tx.put(SESSIONS, b"count", b"", b"%d" % (count + 1))
                    assert tx.add(SESSIONS, b"rows", count.to_bytes(8), b"")
                sent += 1
            except StoreBusy:
                pass
        cut.cut_before, cut.cut_after = lambda data: False, lambda data: False
        with through.transaction(5) as tx:
            counted = int(tx.get(SESSIONS, b"count") or b"0")
            assert tx.count(SESSIONS, b"rows") == counted == sent > 10

    def test_a_pooler_is_found(self, name: str) -> None:
        from e2ecross.stores.postgres import PostgresStore

        address_of_stores()
        pooler = CutSocket(server().folder, is_pooler=True)
        with pytest.raises(StoreError, match="a pooler stands before the server"):
            PostgresStore(pooler.address(), name, stripes=64, prepare=True)
        with PostgresStore(pooler.address(), name, stripes=64) as store:
            for number in range(10):
                put(store, 1, b"r", b"%d" % number)
            link = store._find_pool().lanes[0].link
            assert link is not None
            assert link.is_pooled
            assert link._connection.prepare_threshold is None
        pooler.close()


def once(what: bytes, times: int = 1) -> Callable[[bytes], bool]:
    """Whether the bytes hold that, as often as is said."""
    left = [times]

    def ask_once(data: bytes) -> bool:
        if what not in data or not left[0]:
            return False
        left[0] -= 1
        return True

    return ask_once


class TestTries:
    """A transaction whose connection is lost as it begins, as where a server was restarted."""

    @pytest.fixture
    def begun(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Each beginning; `fates` says what becomes of the next ones: lost, slowly lost, busy."""
        from e2ecross.stores.postgres_commit import Block
        from e2ecross.stores.postgres_link import Link
        from e2ecross.stores.postgres_pool import Pool

        found, self.fates = list[str](), list[str]()
        start = Block._start

        def begin(block: Block, pool: Pool, link: Link) -> None:
            fate = self.fates.pop(0) if self.fates else "begun"
            found.append(fate)
            if fate == "slowly lost":
                time.sleep(0.2)
            if fate in ("lost", "slowly lost"):
                link.close()
            if fate != "begun":
                raise StoreBusy(fate)
            start(block, pool, link)

        monkeypatch.setattr(Block, "_start", begin)
        return found

    @pytest.mark.parametrize("lost", [1, 2])
    def test_another_connection_is_tried(
        self, begun: list[str], store: "PostgresStore", lost: int
    ) -> None:
        put(store, 5, b"r", b"x")
        begun.clear()
        self.fates[:] = ["lost"] * lost
        assert get(store, 5, b"r") == b"x"
        assert begun == ["lost"] * lost + ["begun"]

    def test_three_are_tried_at_most(self, begun: list[str], store: "PostgresStore") -> None:
        self.fates[:] = ["lost"] * 4
        with pytest.raises(StoreBusy):
            get(store, 5, b"r")
        assert begun == ["lost"] * 3

    def test_none_is_tried_after_the_time_that_a_transaction_waits(
        self, begun: list[str], name: str
    ) -> None:
        with make_postgres_store(name, busy_timeout_ms=100) as store:
            self.fates[:] = ["slowly lost", "begun"]
            with pytest.raises(StoreBusy):
                get(store, 5, b"r")
            assert begun == ["slowly lost"]

    def test_none_is_tried_where_the_server_is_there(
        self, begun: list[str], store: "PostgresStore"
    ) -> None:
        self.fates[:] = ["busy"]
        with pytest.raises(StoreBusy):
            get(store, 5, b"r")
        assert begun == ["busy"]

    def test_one_lost_connection_is_enough_to_know_that_none_of_the_others_is_of_use(
        self, store: "PostgresStore"
    ) -> None:
        put(store, 5, b"r", b"x")
        pool = store._find_pool()
        pids = [pool.link(lane)._connection.info.backend_pid for lane in pool.lanes]
        assert len(set(pids)) == 4
        ask("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::int[]) AS pid", pids)
        assert get(store, 5, b"r") == b"x"


class TestMovedServers:
    def test_all_of_it_is_refused_where_a_single_stripe_has_moved(
        self, store: "PostgresStore", name: str
    ) -> None:
        ask(
            "UPDATE e2ecross.stripes SET server = 'other/1' WHERE stripe = %s",
            (number_of(name) << 17) + 5,
        )
        with pytest.raises(StoreMoved):
            get(store, 0, b"r")
        [(noted,)] = ask("SELECT moved_at IS NOT NULL FROM e2ecross.stores WHERE name = %s", name)
        assert noted
        assert get(store, 6, b"r") is None

    def test_a_server_that_is_another_is_noticed(self, store: "PostgresStore", name: str) -> None:
        put(store, 5, b"r", b"x")
        ask(
            "UPDATE e2ecross.stripes SET server = 'other/1' WHERE stripe >> 17 = %s",
            number_of(name),
        )
        for stripe in (5, 0, 6):
            with pytest.raises(StoreMoved, match="failed over or was restored") as caught:
                put(store, stripe, b"r", b"y")
            assert caught.value.found_ms_ago >= 0
        time.sleep(0.1)
        with pytest.raises(StoreMoved) as caught:
            get(store, 5, b"r")
        assert caught.value.found_ms_ago >= 100
        with store.transaction(moved=True) as tx:
            assert tx.at(5).get(SESSIONS, b"p", b"r") == b"x"
        store.accept_move()
        assert get(store, 5, b"r") == b"x"
        moved = "SELECT moved_at FROM e2ecross.stores WHERE name = %s"
        assert ask(moved, name) == [(None,)]

    def test_a_move_that_was_accepted_meanwhile_is_not_noted(
        self, store: "PostgresStore", name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else the next one would find that a minute is over at once."""
        from e2ecross.stores.postgres_commit import Block
        from e2ecross.stores.postgres_link import Link
        from e2ecross.stores.postgres_pool import Pool

        tell = Block._tell_moved

        def accept_first(block: Block, pool: Pool, link: Link) -> None:
            link.reset()  # as it begins by itself
            with make_postgres_store(name) as other:
                other.accept_move()
            tell(block, pool, link)

        ask(
            "UPDATE e2ecross.stripes SET server = 'other/1' WHERE stripe = %s",
            (number_of(name) << 17) + 5,
        )
        with monkeypatch.context() as patch:
            patch.setattr(Block, "_tell_moved", accept_first)
            with pytest.raises(StoreMoved) as caught:
                get(store, 5, b"r")
        assert caught.value.found_ms_ago == 0
        assert ask("SELECT moved_at FROM e2ecross.stores WHERE name = %s", name) == [(None,)]
        assert get(store, 5, b"r") is None

    def test_what_was_kept_at_another_server_is_read_anew(
        self, store: "PostgresStore", name: str
    ) -> None:
        """Its versions may be the same: commits were lost there, and others made."""
        from e2ecross.stores.postgres_link import IDENTITY

        put(store, 5, b"r", b"of a commit that is lost")
        base = number_of(name) << 17
        everywhere = f"WHERE stripe BETWEEN {base} AND {base + 64}"
        ask(f"UPDATE e2ecross.sessions SET record = 'other' {everywhere}")  # noqa: S608
        assert get(store, 5, b"r") == b"of a commit that is lost"
        [(server,)] = ask(f"SELECT {IDENTITY}")
        for each in store._find_pool().cache._stripes.values():
            assert each.versions[0] == server
            each.versions = ("other/1", *each.versions[1:])  # as if that had been there
        assert get(store, 5, b"r") == b"other"

    def test_rows_that_are_missing_are_told(self, store: "PostgresStore", name: str) -> None:
        ask("DELETE FROM e2ecross.stripes WHERE stripe = %s", (number_of(name) << 17) + 5)
        for stripe in (5, 0):
            with pytest.raises(StoreCorrupted, match="rows of the store have gone"):
                get(store, stripe, b"r")

    def test_a_number_of_stripes_that_no_store_has_is_told(
        self, store: "PostgresStore", name: str
    ) -> None:
        """The stripe of an account follows from it: its rows would not be found any more."""
        ask("UPDATE e2ecross.stores SET stripes = 5 WHERE name = %s", name)
        with pytest.raises(StoreCorrupted, match="no store is created with"):
            make_postgres_store(name)


class TestServers:
    @pytest.fixture
    def database(self) -> Iterator[str]:
        """A database of one's own."""
        made = f"test_{secrets.token_hex(8)}"
        ask(f"CREATE DATABASE {made}")
        yield made
        ask(f"DROP DATABASE {made} WITH (FORCE)")

    def test_a_database_is_migrated_once(self, database: str) -> None:
        from e2ecross.stores.postgres import PostgresStore
        from e2ecross.stores.postgres_tables import migrate

        address = server().address(database)
        with pytest.raises(StoreError, match="python -m e2ecross migrate"):
            PostgresStore(address)
        assert (migrate(address), migrate(address)) == (1, 0)
        import psycopg

        with psycopg.connect(address, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT table_name FROM information_schema.columns WHERE table_schema = 'e2ecross' "
                "AND column_name = 'record'"
            )
            assert {name for (name,) in tables} == {table.value for table in Table}
            connection.execute("UPDATE e2ecross.schema_version SET version = 2")
        for call in (PostgresStore, migrate):
            with pytest.raises(StoreTooNew):
                call(address)

    def test_an_empty_schema_that_an_administrator_has_made_is_filled(self, database: str) -> None:
        import psycopg

        from e2ecross.stores.postgres_tables import migrate

        with psycopg.connect(server().address(database), autocommit=True) as connection:
            connection.execute("CREATE SCHEMA e2ecross")
        assert migrate(server().address(database)) == 1

    def test_a_database_is_migrated_once_by_many_at_once(self, database: str) -> None:
        from e2ecross.stores.postgres_tables import migrate

        first = threading.Barrier(4)

        def run(_: int) -> int:
            first.wait(WAIT_SECONDS)
            return migrate(server().address(database))

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(run, range(4))) == [0, 0, 0, 1]

    def test_a_publication_is_refused(self, database: str) -> None:
        import psycopg

        from e2ecross.stores.postgres import PostgresStore
        from e2ecross.stores.postgres_tables import migrate

        migrate(server().address(database))
        with psycopg.connect(server().address(database), autocommit=True) as connection:
            connection.execute("CREATE PUBLICATION copy FOR ALL TABLES")
        with pytest.raises(StoreError, match="publication"):
            PostgresStore(server().address(database))

    @pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
    def test_a_server_that_could_lose_what_was_committed_is_refused(self, setting: str) -> None:
        from e2ecross.stores.postgres import PostgresStore
        from e2ecross.stores.postgres_tables import migrate

        own = Server()
        try:
            own.make()
            own.start()
            migrate(own.address())
            with PostgresStore(own.address(), stripes=64) as store:
                own.stop()
                own._settings[setting] = "off"
                own.start()
                for call in (
                    store.accept_move,
                    lambda: PostgresStore(own.address()),
                    lambda: migrate(own.address()),
                ):
                    with pytest.raises(StoreError, match=f"not fit for a store: {setting} is off"):
                        call()
        finally:
            own.remove()

    def test_another_encoding_is_refused(self) -> None:
        from e2ecross.stores.postgres_tables import migrate

        made = f"test_{secrets.token_hex(8)}"
        ask(f"CREATE DATABASE {made} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(StoreError, match="UTF8"):
            migrate(server().address(made))
        ask(f"DROP DATABASE {made} WITH (FORCE)")

    def test_a_conninfo_is_shown_nowhere(self, caplog: pytest.LogCaptureFixture, name: str) -> None:
        from e2ecross.stores.postgres import PostgresStore

        caplog.set_level(0)
        for address in (
            "postgresql://somebody:PASSWORD@/nowhere?host=/nonexistent-folder",
            "this is no conninfo PASSWORD=x",
            server().address("no_such_database", "PASSWORD"),
        ):
            with pytest.raises(StoreError) as caught:
                PostgresStore(address, name, busy_timeout_ms=100)
            shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
            for error in (caught.value.__context__, caught.value.__cause__):
                assert error is None
            for part in ("PASSWORD@", "PASSWORD=x", "somebody", "nonexistent", "no_such"):
                assert part not in shown.replace(address, "")
        with PostgresStore(server().address(password="PASSWORD"), name, stripes=64) as store:
            assert repr(store) == f"<PostgresStore {name!r}: open>"
            put(store, 1, b"r", b"x")
        assert repr(store) == f"<PostgresStore {name!r}: closed>"
        assert "PASSWORD" not in caplog.text

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": "Upper"},
            {"name": ""},
            {"name": "a" * 65},
            {"name": 5},
            {"keys": {}},
            {"keys": {0: bytes(32)}},
            {"keys": {1: bytes(31)}},
            {"keys": [bytes(32)]},
            {"keys": {1: bytes(32)}, "seal_with": 2},
            {"stripes": 65},
            {"connections": 0},
            {"busy_timeout_ms": -1},
            {"cached_values": None},
            {"prepare": 1},
        ],
    )
    def test_wrong_arguments_are_named(self, wrong: dict[str, object]) -> None:
        from e2ecross.stores.postgres import PostgresStore

        with pytest.raises(InvalidArgument):
            PostgresStore("", **wrong)  # type: ignore[arg-type]
