# SPDX-License-Identifier: Apache-2.0
"""Several processes of the service on one PostgreSQL database."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.postgres import Server, require_postgres
from tests.support.service import LiveService, require_extras

require_extras("psycopg", "psycopg_pool")

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.service.metrics import Metrics
from tests.relay.postgres.on_postgres import address_of, forget_paths
from tests.relay.support import ANA, BUDI, deposit, envelope, register, token
from tests.service.child import RelayProcess

ONE, TWO = b"1" * 16, b"2" * 16
LATE_SECONDS = 0.2
LONG_MS = 20_000
PASSWORD = "geheim-4711"


@pytest.fixture
def address(path: Path) -> str:
    require_postgres()
    forget_paths()
    return address_of(path)


@pytest.fixture
def two(address: str) -> Iterator[tuple[HTTPBackend, HTTPBackend, LiveService]]:
    """Two services, each with its own relay, as in two processes."""
    with (
        Relay(address) as first,
        Relay(address) as second,
        LiveService(first) as one,
        LiveService(second) as other,
        HTTPBackend(one.url) as here,
        HTTPBackend(other.url) as there,
    ):
        register(first, ANA, BUDI)
        yield here, there, one


def until_one_waits(service: LiveService) -> None:
    give_up = time.monotonic() + 20
    while not len(service.app.state.bell):
        assert time.monotonic() < give_up
        time.sleep(0.002)


def test_mail_of_another_process_is_seen_in_time(
    two: tuple[HTTPBackend, HTTPBackend, LiveService],
) -> None:
    here, there, service = two
    late: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        for number in range(8):
            waiting = pool.submit(here.fetch, ANA, token(ANA), 10, wait_ms=LONG_MS)
            until_one_waits(service)
            time.sleep(number * 0.03)
            deposit(there, token(BUDI), envelope(BUDI, ANA, number).encode())
            deposited = time.monotonic()
            [came] = waiting.result()
            late.append(time.monotonic() - deposited)
            there.acknowledge(ANA, token(ANA), [came.number])
    # Of a machine on which much else runs, the middle tells.
    assert sorted(late)[len(late) // 2] <= LATE_SECONDS, late


def test_what_another_process_lets_go_is_seen_too(
    two: tuple[HTTPBackend, HTTPBackend, LiveService],
) -> None:
    here, there, service = two
    for number in (1, 2):
        deposit(there, token(BUDI), envelope(BUDI, ANA, number).encode())
    [first] = there.fetch(ANA, token(ANA), 1, hold_ms=60_000, holder=ONE)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            here.fetch, ANA, token(ANA), 10, wait_ms=LONG_MS, hold_ms=60_000, holder=TWO
        )
        until_one_waits(service)
        time.sleep(0.3)
        assert not waiting.done()
        there.acknowledge(ANA, token(ANA), [first.number])
        assert len(waiting.result()) == 1


def test_who_waits_is_asked_for_and_nobody_else(
    two: tuple[HTTPBackend, HTTPBackend, LiveService], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, service = two
    asked: list[object] = []
    failing = threading.Event()

    def marks(relay: Relay, addresses: list[object]) -> object:
        asked.append(addresses)
        if failing.is_set():
            failing.clear()
            raise BackendError("the database is away for a moment")
        return inner(relay, addresses)  # type: ignore[arg-type]

    inner = Relay.mail_marks
    monkeypatch.setattr(Relay, "mail_marks", marks)
    time.sleep(0.3)
    assert asked == []
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(here.fetch, ANA, token(ANA), 10, wait_ms=LONG_MS)
        until_one_waits(service)
        failing.set()
        while failing.is_set():
            time.sleep(0.01)
        deposit(there, token(BUDI), envelope(BUDI, ANA, 1).encode())
        assert len(waiting.result()) == 1
    assert {str(each) for each in asked} == {str([ANA])}


def test_metrics_know_the_size_of_the_database(address: str) -> None:
    with Relay(address) as relay:
        metrics = Metrics()
        metrics.watch(relay, lambda: 0, lambda: 0)
        size = metrics.registry.get_sample_value("e2ecross_database_bytes")
        assert size is not None
        assert size > 1_000_000
    assert str(metrics.registry.get_sample_value("e2ecross_database_bytes")) == "nan"


def test_the_command_serves_one_database_from_two_processes(tmp_path: Path, address: str) -> None:
    secret = address.replace("relay@", f"relay:{PASSWORD}@")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        RelayProcess(folders[0], database=secret) as one,
        RelayProcess(folders[1], database=secret) as other,
        HTTPBackend(one.url) as here,
        HTTPBackend(other.url) as there,
    ):
        register(here, ANA, BUDI)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(here.fetch, ANA, token(ANA), 10, wait_ms=LONG_MS)
            deposit(there, token(BUDI), envelope(BUDI, ANA, 1).encode())
            assert len(waiting.result()) == 1
        with urllib.request.urlopen(f"{one.url}/readyz", timeout=10) as ready:  # noqa: S310
            assert ready.status == 200
        one.process.kill()  # and nothing is lost
        assert len(there.fetch(ANA, token(ANA), 10)) == 1
        assert other.end() == 0
        logs = one.log() + other.log()
    assert PASSWORD not in logs
    assert [json.loads(line) for line in logs.splitlines()]


def test_a_server_that_is_away_for_a_moment(tmp_path: Path) -> None:
    require_postgres()
    own = Server()
    try:
        own.make()
        own.start()
        with (
            RelayProcess(tmp_path, database=own.address(password=PASSWORD)) as service,
            HTTPBackend(service.url) as backend,
        ):
            register(backend, ANA)
            own.stop(9)
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(f"{service.url}/readyz", timeout=30)  # noqa: S310
            own.start()
            give_up = time.monotonic() + 60
            while True:
                try:
                    assert backend.fetch(ANA, token(ANA), 10) == []
                    break
                except BackendError:
                    assert time.monotonic() < give_up
                    time.sleep(0.1)
            assert service.end() == 0
        lines = [json.loads(line) for line in service.log().splitlines()]
        said = {line["server"] for line in lines if "server" in line}
        assert said <= {"a connection to the database was lost, or not made"}
        assert str(own.folder) not in service.log()
        assert PASSWORD not in service.log()
    finally:
        own.remove()


@pytest.mark.parametrize(
    ("database", "code"),
    [("mysql://relay:{}@/x", 2), ("postgresql://relay:{}@/x?host=/nowhere", 1)],
)
def test_an_address_that_does_not_work_is_not_printed(database: str, code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "e2ecross", "relay", "--db", database.format(PASSWORD)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code
    assert ended.stderr.startswith(b"e2ecross relay: the database ")
    assert ended.stderr.count(b"\n") == 1
    assert PASSWORD.encode() not in ended.stderr + ended.stdout
