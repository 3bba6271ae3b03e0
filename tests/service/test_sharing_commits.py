# SPDX-License-Identifier: Apache-2.0
"""Deposits that wait at the same time share a commit: each has its own answer, after it."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.service import LiveService, require_extras

require_extras()

from e2ecross.address import Address
from e2ecross.errors import BackendRefused, NotRegistered
from e2ecross.relay import Relay
from e2ecross.relay.depositing import DepositCall
from e2ecross.service import HTTPBackend
from e2ecross.service.metrics import Metrics
from e2ecross.wire.exchange import Deposited
from tests.relay.support import ANA, BUDI, TOKO, envelope, envelope_of_size, register, token


class Held:
    """Holds up the writer with its first deposits, and notes how many come together."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        deposit_together = Relay.deposit_together

        def held(relay: Relay, calls: Sequence[DepositCall]) -> list[Deposited | Exception]:
            self.sizes.append(len(calls))
            self.begun.set()
            assert self.go_on.wait(20)
            return deposit_together(relay, calls)

        monkeypatch.setattr(Relay, "deposit_together", held)


def test_each_has_its_own_answer(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    register(relay, TOKO)
    held, metrics = Held(monkeypatch), Metrics()
    with (
        LiveService(relay, metrics=metrics) as service,
        HTTPBackend(service.url, connections=20) as backend,
        ThreadPoolExecutor(20) as pool,
    ):

        def start(sender: Address, data: bytes) -> Future[Deposited]:
            return pool.submit(backend.deposit_all, token(sender), [data])

        def start_good(number: int) -> Future[Deposited]:
            return start(ANA, envelope(ANA, BUDI, number).encode())

        first = start_good(0)
        assert held.begun.wait(20)
        good = [start_good(number) for number in range(1, 16)]
        of_another = start(TOKO, envelope(ANA, BUDI, 50).encode())
        garbage = start(ANA, b"no envelope")
        until = time.monotonic() + 20
        while metrics.registry.get_sample_value("e2ecross_writer_queue") != 18:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert relay.waiting(BUDI) == []
        assert not any(call.done() for call in (first, *good))
        held.go_on.set()
        assert not any(call.result(20).refused for call in (first, *good))
        with pytest.raises(NotRegistered):
            of_another.result(20)
        assert isinstance(garbage.result(20).refused[0], BackendRefused)
    assert held.sizes == [1, 17]
    assert len(relay.waiting(BUDI)) == 16


def test_a_large_deposit_has_a_commit_of_its_own(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    held.go_on.set()
    large = [envelope_of_size(ANA, BUDI, 70_000)]
    with LiveService(relay) as service, HTTPBackend(service.url) as backend:
        assert not backend.deposit_all(token(ANA), large).refused
    assert held.sizes == []
    assert len(relay.waiting(BUDI)) == 1
