# SPDX-License-Identifier: Apache-2.0
"""A server that is not the one of before: promoted standbys, and commits that wait for one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from e2ecross.errors import CommitUnknown, StoreBusy, StoreError, StoreMoved
from e2ecross.stores import Table
from tests.support.postgres import Server, require_postgres

if TYPE_CHECKING:
    from e2ecross.stores import PostgresStore

SESSIONS = Table.SESSIONS


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    """A primary with the schema, and a standby that is not started."""
    require_postgres()
    from e2ecross.stores.postgres_tables import migrate

    primary, standby = Server({"wal_receiver_status_interval": "1"}), Server()
    try:
        primary.make()
        primary.start()
        migrate(primary.address())
        yield primary, standby
    finally:
        standby.remove()
        primary.remove()


@pytest.fixture
def primary(servers: tuple[Server, Server]) -> Server:
    return servers[0]


def put(store: "PostgresStore", record: bytes) -> None:
    with store.transaction(5) as tx:
        tx.put(SESSIONS, b"p", b"r", record)


def get(store: "PostgresStore") -> bytes | None:
    with store.transaction(5) as tx:
        return tx.get(SESSIONS, b"p", b"r")


def wait_until(is_so: Callable[[], object]) -> None:
    give_up = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@contextmanager
def nobody_confirms(server: Server) -> Iterator[None]:
    """Commits wait for a standby that is away."""
    server.ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.ask("SELECT pg_reload_conf()")
    wait_until(lambda: server.ask("SHOW synchronous_standby_names") == [("nobody",)])
    server.ask("CHECKPOINT")  # that process tells the others, and looks at settings first
    try:
        yield
    finally:
        somebody_confirms(server)


def somebody_confirms(server: Server) -> None:
    server.ask("ALTER SYSTEM RESET synchronous_standby_names")
    server.ask("SELECT pg_reload_conf()")
    wait_until(lambda: server.ask("SHOW synchronous_standby_names") == [("",)])


WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_commit_that_was_not_waited_for(primary: Server, how: str, comes_back: bool) -> None:
    from e2ecross.stores import PostgresStore

    with PostgresStore(primary.address(), f"{how}-{comes_back}".lower(), stripes=64) as store:
        put(store, b"old")
        with nobody_confirms(primary):
            ended: list[BaseException | None] = []

            def write() -> None:
                try:
                    put(store, b"new")
                    ended.append(None)
                except BaseException as error:
                    ended.append(error)

            thread = threading.Thread(target=write)
            thread.start()
            for _ in range(1 if comes_back else 2):
                wait_until(lambda: primary.ask(f"SELECT pid {WAITING}"))
                [(pid,)] = primary.ask(f"SELECT pid {WAITING}")
                primary.ask(f"SELECT {how}({pid})")
                time.sleep(0.3)  # then it waits again, with its second commit
                if comes_back:
                    somebody_confirms(primary)
            thread.join(30)
        if comes_back:
            assert ended == [None]
        else:
            assert isinstance(ended[0], CommitUnknown)
        assert get(store) == b"new"


def test_a_standby_is_refused_and_its_promotion_noticed(
    servers: tuple[Server, Server],
) -> None:
    from e2ecross.stores import PostgresStore
    from e2ecross.stores.postgres_link import connect

    primary, standby = servers
    with PostgresStore(primary.address(), "moving", stripes=64) as store:
        put(store, b"before")
        standby.copy(primary)
        standby.start()
        with pytest.raises(StoreError, match="standby"):
            PostgresStore(standby.address(), "moving")
        # As when a name is pointed at another machine under an open store.
        link = connect(standby.address(), 1_000, None)
        store._find_pool().drop_idle()
        store._find_pool().lanes[0].link = link
        with pytest.raises(StoreBusy, match="a standby"):
            get(store)
        store._find_pool().drop_idle()
    primary.stop(3)
    standby.promote()
    with PostgresStore(standby.address(), "moving") as store:
        with pytest.raises(StoreMoved):
            get(store)
        with store.transaction(moved=True) as tx:
            assert tx.at(5).get(SESSIONS, b"p", b"r") == b"before"
        with pytest.raises(StoreMoved):
            put(store, b"after")
        store.accept_move()
        assert get(store) == b"before"
        put(store, b"after")
        assert get(store) == b"after"
    with pytest.raises(StoreBusy):
        PostgresStore(primary.address(), "moving")
