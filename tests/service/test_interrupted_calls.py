# SPDX-License-Identifier: Apache-2.0
"""Calls over the network that signals interrupt at random moments: the next one works.

No lock stays taken, no place is missed, no answer is taken for that of another call. The suite
has some signals; E2ECROSS_INTERRUPTS=N goes on until N have come.
"""

import os
import queue
import random
import secrets
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support.service import LiveService, require_extras

require_extras()

from e2ecross import Address, Client, Device, Message, Text
from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend, connections
from e2ecross.service.connections import Places, call_of, make_pool, was_stale
from e2ecross.stores import MemoryStore
from tests.durability.interrupts import in_own_process
from tests.simulation.long_life.interrupting import Interrupts

SIGNALS = int(os.environ.get("E2ECROSS_INTERRUPTS", "150"))
SEED = int(os.environ.get("E2ECROSS_INTERRUPT_SEED", "1"))
WAIT_SECONDS = 30
ANA, BEN = Address.parse("whatsapp:ana.1"), Address.parse("instagram:ben.1")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGALRM")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@in_own_process
def test_calls_that_are_interrupted_are_made_again(tmp_path: Path) -> None:
    rng, counts = random.Random(SEED), Counter[str]()
    interrupts = Interrupts(rng, 0.7, counts)
    relay = Relay(tmp_path / "relay.db")
    with LiveService(relay) as service, HTTPBackend(service.url, connections=1) as backend:
        ana = Client(Device.create(ANA, MemoryStore()), backend)
        ben = Client(Device.create(BEN, MemoryStore()), backend)
        interrupts.call("register", ana.register)
        interrupts.call("register", ben.register)
        ben.accept(ANA)
        sent, shown = set[bytes](), Counter[bytes]()

        def receive() -> None:
            while items := ben.receive():
                for item in items:
                    assert isinstance(item, Message)
                    shown[item.message_id] += 1
                ben.confirm(items)

        while counts["interrupts"] < SIGNALS:
            message_id = secrets.token_bytes(16)
            send = partial(ana.send, BEN, Text("hello"), message_id=message_id)
            sent.add(interrupts.call("send", send).message_id)
            if rng.random() < 0.1:
                receive()
        receive()
        assert shown == Counter(sent)
    print(dict(counts))


def test_a_place_is_free_again_however_it_was_let_go_of() -> None:
    places = Places(2)
    first, second = places.take(0), places.take(0)
    assert first is not None
    assert second is not None
    assert places.take(0) is None
    del first
    assert places.take(0) is not None  # and is let go of at once
    taken = [places.take(0), second]
    del second
    assert places.take(0) is None
    waiting = threading.Timer(0.05, taken.clear)
    waiting.start()
    assert places.take(10) is not None
    waiting.join()
    assert sum(place is not None for place in [places.take(0) for _ in range(3)]) == 2


def test_who_has_a_number_and_is_not_in_the_line_yet_is_not_ahead() -> None:
    places = Places(1)
    other: list[object] = []

    class Numbers:
        """Lets another call come between a number and its place in the line."""

        count = 0

        def __next__(self) -> int:
            number = self.count
            self.count += 1
            if not number:
                other.append(places.take(0))
            return number

    places._numbers = Numbers()  # type: ignore[assignment]
    assert places.take(0) is None
    assert other[0] is not None


def test_two_places_that_are_let_go_of_wake_two_who_wait() -> None:
    places, first, second = Places(2), queue.SimpleQueue[None](), queue.SimpleQueue[None]()
    places._bells = {4: first, 7: second}
    places._wake_next(None)
    assert (first.qsize(), second.qsize()) == (1, 0)
    places._wake_next(None)
    assert (first.qsize(), second.qsize()) == (1, 1)
    places._wake_next(None)  # nobody is left
    assert places._bells == {}


def test_places_are_given_in_turn_and_never_too_many() -> None:
    places, inside, most, lock = Places(3), 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(100):
            place = places.take(WAIT_SECONDS)
            assert place is not None
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0)
            with lock:
                inside -= 1
            del place

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work) for _ in range(8)]:
            done.result(WAIT_SECONDS)
    assert 1 <= most <= 3
    assert places.take(0) is not None
    assert len(places._line) == 1  # who is gone does not stay in the line
    assert places._bells == {}


def test_a_connection_that_nobody_gave_back_is_missed_by_nobody() -> None:
    pool = make_pool("http", "127.0.0.1", 1, 2, None)
    kept = [pool._get_conn() for _ in range(3)]
    assert len(set(map(id, kept))) == 3
    pool._put_conn(kept[0])
    pool._put_conn(kept[1])
    assert pool._get_conn() is kept[1]  # the one that was used last
    pool.close()


def test_a_connection_that_was_given_back_twice_is_handed_out_once() -> None:
    pool = make_pool("http", "127.0.0.1", 1, 2, None)
    connection, _ = pool._get_conn(), pool._get_conn()
    pool._put_conn(connection)
    pool._put_conn(connection)
    assert pool._get_conn() is connection
    assert pool._get_conn() is not connection


def test_a_connection_that_was_closed_under_a_call_fails_as_a_connection_does() -> None:
    connection = make_pool("http", "127.0.0.1", 1, 2, None)._get_conn()
    with call_of(1, 1), pytest.raises(ConnectionError):
        connection.send(b"of a request")  # type: ignore[attr-defined]


def test_a_call_does_not_begin_as_stale_as_the_one_before() -> None:
    connections._call.is_stale = True
    with call_of(1, 1):
        assert not was_stale()


def test_a_pool_that_is_closed_under_a_call_is_named() -> None:
    backend = HTTPBackend("http://127.0.0.1:1")
    backend._transport._pool.close()
    with pytest.raises(BackendError, match="was not asked: the HTTPBackend has been closed"):
        backend.epochs(ANA, bytes(32))


def test_no_more_connections_are_kept_than_there_may_be() -> None:
    pool = make_pool("http", "127.0.0.1", 1, 2, None)
    assert pool.pool is not None
    with pytest.raises(queue.Full):
        pool.pool.put(None, block=False)
    assert pool.pool.qsize() == 2
