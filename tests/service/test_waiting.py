# SPDX-License-Identifier: Apache-2.0
"""Waiting for mail, over real sockets."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import NO_LIMITS, LiveService, require_extras

require_extras()

from dataclasses import replace

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from e2ecross.wire.exchange import Waiting
from e2ecross.wire.service_mail import FetchRequest
from tests.relay.support import ANA, BUDI, TOKO, copies, deposit, envelope, register, token
from tests.support.asgi import bearer

ONE, TWO = b"1" * 16, b"2" * 16
LONG_MS = 30_000


@pytest.fixture
def service(path: Path) -> Iterator[LiveService]:
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        with LiveService(relay) as service:
            service.relay = relay  # type: ignore[attr-defined]
            yield service


@pytest.fixture
def backend(service: LiveService) -> Iterator[HTTPBackend]:
    with HTTPBackend(service.url, connections=100) as backend:
        yield backend


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as pool:
        yield pool


def waits(service: LiveService, count: int) -> None:
    """Return when so many wait."""
    until = time.monotonic() + 20
    while len(service.app.state.bell) != count:
        assert time.monotonic() < until
        time.sleep(0.002)


def numbers(waiting: list[Waiting]) -> list[int]:
    return [each.number for each in waiting]


def test_it_answers_when_there_is_mail(
    service: LiveService, backend: HTTPBackend, pool: ThreadPoolExecutor
) -> None:
    waiting = pool.submit(backend.fetch, BUDI, token(BUDI), 10, wait_ms=LONG_MS)
    other = pool.submit(backend.fetch, TOKO, token(TOKO), 10, wait_ms=300)
    waits(service, 2)
    deposit(backend, token(ANA), envelope(ANA, BUDI).encode())
    assert numbers(waiting.result(20)) == [1]
    assert other.result(20) == []
    waits(service, 0)


def test_copies_wake_all_who_get_one(
    service: LiveService, backend: HTTPBackend, pool: ThreadPoolExecutor
) -> None:
    calls = [
        pool.submit(backend.fetch, who, token(who), 10, wait_ms=LONG_MS) for who in (BUDI, TOKO)
    ]
    waits(service, 2)
    message = copies(ANA, 1, BUDI, TOKO)
    assert backend.deposit_copies(token(ANA), message.encode()).refused == {}
    came = [[each.envelope for each in call.result(20)] for call in calls]
    assert came == [[message.encode_for(who)] for who in (BUDI, TOKO)]


def test_what_is_there_is_answered_at_once(backend: HTTPBackend) -> None:
    deposit(backend, token(ANA), envelope(ANA, BUDI).encode())
    assert numbers(backend.fetch(BUDI, token(BUDI), 10, wait_ms=LONG_MS)) == [1]
    assert backend.fetch(BUDI, token(BUDI), 10, 1, wait_ms=1) == []


def test_mail_that_the_relay_itself_is_given_wakes_too(
    service: LiveService, backend: HTTPBackend, pool: ThreadPoolExecutor
) -> None:
    relay: Relay = service.relay  # type: ignore[attr-defined]
    waiting = pool.submit(backend.fetch, BUDI, token(BUDI), 10, wait_ms=LONG_MS)
    waits(service, 1)
    deposit(relay, token(ANA), envelope(ANA, BUDI).encode())
    assert numbers(waiting.result(20)) == [1]


def test_a_deposit_between_looking_and_waiting_is_not_missed(
    service: LiveService,
    backend: HTTPBackend,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes when the relay has found nothing, and before its answer is back in the loop."""
    relay: Relay = service.relay  # type: ignore[attr-defined]
    inner, looks = relay.fetch, []

    def fetch(*args: Any, **kwargs: Any) -> list[Waiting]:  # noqa: ANN401
        found = inner(*args, **kwargs)
        looks.append(len(found))
        if len(looks) == 1:
            deposit(relay, token(ANA), envelope(ANA, BUDI).encode())
        return found

    monkeypatch.setattr(relay, "fetch", fetch)
    waiting = pool.submit(backend.fetch, BUDI, token(BUDI), 10, wait_ms=LONG_MS)
    assert numbers(waiting.result(20)) == [1]
    assert looks == [0, 1]


def test_who_is_woken_for_nothing_looks_once_and_waits_on(
    service: LiveService,
    backend: HTTPBackend,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    relay: Relay = service.relay  # type: ignore[attr-defined]
    inner, looks = relay.fetch, []

    def fetch(*args: Any, **kwargs: Any) -> list[Waiting]:  # noqa: ANN401
        looks.append(time.monotonic())
        return inner(*args, **kwargs)

    monkeypatch.setattr(relay, "fetch", fetch)
    waiting = pool.submit(backend.fetch, BUDI, token(BUDI), 10, wait_ms=500)
    waits(service, 1)
    service.app.state.bell.ring(BUDI)
    assert waiting.result(20) == []
    # At first, when it was rung, and with its time: once more where a timer is early.
    assert 3 <= len(looks) <= 4


def test_a_wrong_token_does_not_wait(backend: HTTPBackend) -> None:
    with pytest.raises(BackendError, match="is not registered"):
        backend.fetch(BUDI, token(ANA), 10, wait_ms=LONG_MS)


def test_who_goes_away_leaves_their_place(service: LiveService) -> None:
    body = FetchRequest(BUDI, 10, wait_ms=LONG_MS).encode()
    name, value = bearer(token(BUDI))
    head = (
        b"POST /v1/fetch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
        b"Content-Length: %d\r\n%b: %b\r\n\r\n" % (len(body), name, value)
    )
    gone = []
    for _ in range(20):
        connection = socket.create_connection(("127.0.0.1", service.port))
        connection.sendall(head + body)
        gone.append(connection)
    waits(service, 20)
    for connection in gone:
        connection.close()
    waits(service, 0)


def test_stopping_wakes_everybody(
    service: LiveService, backend: HTTPBackend, pool: ThreadPoolExecutor
) -> None:
    calls = [pool.submit(backend.fetch, BUDI, token(BUDI), 10, wait_ms=LONG_MS) for _ in range(50)]
    waits(service, 50)
    service.in_loop(service.app.state.bell.stop)
    assert [call.result(20) for call in calls] == [[]] * 50
    assert backend.fetch(BUDI, token(BUDI), 10, wait_ms=LONG_MS) == []


def test_places_are_bounded(path: Path, pool: ThreadPoolExecutor) -> None:
    limits = replace(NO_LIMITS, waiting_calls_per_device=2)
    with Relay(path) as relay:
        register(relay, BUDI)
        with LiveService(relay, limits=limits) as service, HTTPBackend(service.url) as backend:
            first = [
                pool.submit(backend.fetch, BUDI, token(BUDI), 10, wait_ms=LONG_MS) for _ in range(2)
            ]
            waits(service, 2)
            with pytest.raises(BackendError, match="too many requests: wait 1 s"):
                backend.fetch(BUDI, token(BUDI), 10, wait_ms=LONG_MS)
            service.in_loop(service.app.state.bell.stop)
            assert [call.result(20) for call in first] == [[], []]


# --- With holds ---------------------------------------------------------------------------------


def test_an_acknowledgement_wakes_another_holder(
    service: LiveService, backend: HTTPBackend, pool: ThreadPoolExecutor
) -> None:
    for number in (1, 2):
        deposit(backend, token(ANA), envelope(ANA, BUDI, number).encode())
    first = backend.fetch(BUDI, token(BUDI), 1, hold_ms=600_000, holder=ONE)
    assert numbers(first) == [1]
    waiting = pool.submit(
        backend.fetch, BUDI, token(BUDI), 10, wait_ms=LONG_MS, hold_ms=600_000, holder=TWO
    )
    waits(service, 1)
    backend.acknowledge(BUDI, token(BUDI), [1])
    assert numbers(waiting.result(20)) == [2]


def test_the_end_of_a_hold_wakes_another_holder(backend: HTTPBackend) -> None:
    deposit(backend, token(ANA), envelope(ANA, BUDI).encode())
    assert backend.fetch(BUDI, token(BUDI), 1, hold_ms=300, holder=ONE)
    started = time.monotonic()
    found = backend.fetch(BUDI, token(BUDI), 1, wait_ms=LONG_MS, hold_ms=300, holder=TWO)
    assert numbers(found) == [1]
    assert time.monotonic() - started < 20


def test_to_prolong_does_not_wait(backend: HTTPBackend) -> None:
    started = time.monotonic()
    assert backend.fetch(BUDI, token(BUDI), 0, wait_ms=LONG_MS, hold_ms=1, holder=ONE) == []
    assert time.monotonic() - started < 20


def test_two_holders_and_three_senders_keep_order(
    service: LiveService, backend: HTTPBackend, pool: ThreadPoolExecutor
) -> None:
    relay: Relay = service.relay  # type: ignore[attr-defined]
    senders = [ANA, TOKO]
    total, done, lock = 60, list[tuple[bytes, int]](), threading.Lock()
    sender_of = {}

    def work(holder: bytes) -> None:
        while len(done) < total:
            found = backend.fetch(BUDI, token(BUDI), 3, wait_ms=200, hold_ms=600_000, holder=holder)
            if found:
                with lock:
                    done.extend((holder, each.number) for each in found)
                backend.acknowledge(BUDI, token(BUDI), numbers(found))

    workers = [pool.submit(work, holder) for holder in (ONE, TWO)]
    for number in range(total):
        sender = senders[number % 2]
        sender_of[number + 1] = sender
        deposit(relay, token(sender), envelope(sender, BUDI, number).encode())
    for worker in workers:
        worker.result(60)
    got = [number for _, number in done]
    assert sorted(got) == list(range(1, total + 1))
    for sender in senders:
        of_sender = [number for number in got if sender_of[number] == sender]
        assert of_sender == sorted(of_sender)
