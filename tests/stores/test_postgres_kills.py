# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed at any instruction, and the server under them."""

import secrets
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from e2ecross.stores import Table
from tests.stores.postgres_child import PEERS, count_on
from tests.stores.support import ROOT
from tests.support.postgres import Server, require_postgres
from tests.support.postgres_stores import address_of_stores, make_postgres_store

if TYPE_CHECKING:
    from e2ecross.stores import PostgresStore

_KILLS = 12
_MOST_KILLS = 10 * _KILLS  # where workers take long to start
_SECONDS = 0.25
_ENOUGH = 100


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    require_postgres()


def start(address: str, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.stores.postgres_child", address, name]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def counted(store: "PostgresStore") -> int:
    """How many messages there are, each of which has its row, in order."""
    total = 0
    for peer in PEERS:
        with store.transaction(peer) as tx:
            number = int(tx.get(Table.SESSIONS, b"count") or b"0")
            rows = [row for row, _ in tx.list(Table.OUTBOX, b"rows")]
            assert rows == [row.to_bytes(8) for row in range(number)]
            total += number
    return total


def test_killed_workers_leave_nothing_half_done() -> None:
    name = secrets.token_hex(16)
    with make_postgres_store(name) as store:
        workers = [start(address_of_stores(), name) for _ in range(4)]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        for number in range(_MOST_KILLS):
            if number >= _KILLS and counted(store) > _ENOUGH:
                break
            time.sleep(_SECONDS * (1 + number // _KILLS))
            place = number % len(workers)
            killed, workers[place] = workers[place], start(address_of_stores(), name)
            end(killed)
        for worker in workers:
            end(worker)
        assert counted(store) > _ENOUGH
        for peer in PEERS:  # nobody's lock is left
            count_on(store, peer)


def test_a_killed_server_loses_nothing_that_was_committed() -> None:
    from e2ecross.stores import PostgresStore
    from e2ecross.stores.postgres_tables import migrate

    own = Server()
    try:
        own.make()
        own.start()
        migrate(own.address())
        with PostgresStore(own.address(), stripes=64) as store:
            workers = [start(own.address(), "default") for _ in range(2)]
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == b"ready\n"
            done = 0
            for _ in range(3):
                for peer in PEERS:
                    count_on(store, peer)
                    done += 1
                own.stop(3)  # at once: no checkpoint, what is committed is in the WAL alone
                own.start()
            for worker in workers:
                end(worker)
            assert counted(store) >= done
    finally:
        own.remove()


def end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.communicate()
