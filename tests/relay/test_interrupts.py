# SPDX-License-Identifier: Apache-2.0
"""An exception at any instruction of a call: it passes, the call was done wholly or not at all."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendError
from e2ecross.relay import Relay, sqlite_database
from e2ecross.wire.exchange import KeysWanted
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    copies,
    deposit,
    device_list,
    digest,
    envelope,
    published,
    register,
    sqlite_of,
    token,
    token_sha256,
)

RELAY = str(Path(sqlite_database.__file__).parent)
COMMON = (sqlite_database.__file__, contextlib.__file__)


class Interrupt(BaseException):
    """What a signal handler raises."""


class Interrupter:
    """Makes a call, and raises at the n-th of its instructions in some files."""

    def __init__(self, files: tuple[str, ...], event: str, at: int) -> None:
        self._files = files
        self._event = event
        self.left = at

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401
        if not frame.f_code.co_filename.startswith(self._files):
            return None
        if frame.f_code.co_name == "__del__":  # what is raised there, Python prints, and drops
            return None
        frame.f_trace_opcodes = self._event == "opcode"
        if event == self._event:
            self.left -= 1
            if self.left == 0:
                raise Interrupt
        return self._trace

    def run(self, call: Callable[[], object]) -> None:
        before = sys.gettrace()
        # Python 3.12 traces instructions only if some frame has wanted that before.
        sys._getframe().f_trace_opcodes = self._event == "opcode"
        sys.settrace(self._trace)
        try:
            call()
        finally:
            sys.settrace(before)


def in_another_thread(call: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result(300)


def content(path: Path) -> list[str]:
    """All rows; which numbers their prekeys and the next rows have does not count."""
    connection = sqlite3.connect(path)
    lines = [
        re.sub(r'("one_time_prekeys" VALUES\()\d+', r"\1", line)
        for line in connection.iterdump()
        if "sqlite_sequence" not in line
    ]
    connection.close()
    return lines


def two_envelopes(relay: Relay) -> None:
    both = [envelope(ANA, BUDI, 1).encode(), envelope(ANA, TOKO, 2).encode()]
    relay.deposit_all(token(ANA), both, epochs={0: 7})


def copies_for_two(relay: Relay) -> None:
    relay.deposit_copies(token(ANA), copies(ANA, 3, BUDI, TOKO).encode(), epochs={0: 7})


CALLS: dict[str, Callable[[Relay], object]] = {
    "deposit_all": two_envelopes,
    "deposit_copies": copies_for_two,
    "fetch": lambda relay: relay.fetch(TOKO, token(TOKO), 10),
    "acknowledge": lambda relay: relay.acknowledge(TOKO, token(TOKO), list(range(20))),
    "publish": lambda relay: relay.publish(
        token(BUDI), published(BUDI, [3, 4], signed_id=8, kyber=[3]), epoch=9, replace=True
    ),
    "fetch_keys": lambda relay: relay.fetch_keys(
        ANA, token(ANA), [KeysWanted(BUDI.user_id, None), KeysWanted(TOKO.user_id, [1])]
    ),
    "publish_devices": lambda relay: relay.publish_devices(
        token(BUDI),
        device_list(BUDI, 2, (1, 3)).encode(),
        {3: token_sha256(token(BUDI, 3))},
        epoch=11,
    ),
    "put_link": lambda relay: relay.put_link(bytes(16), 0, b"offer", address=ANA, token=token(ANA)),
    "get_link": lambda relay: relay.get_link(digest("box")[:16], 0),
    "move": lambda relay: relay.register(ANA, token(ANA), replaces=token(ANA, 1)),
    "reset": lambda relay: relay.register(TOKO, token(TOKO, 1)),
}


CLOCK_MS = 1_700_000_000_000


def open_relay(path: Path) -> Relay:
    return Relay(path, authorise=lambda address, taken, credential: True, clock=lambda: CLOCK_MS)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A relay where all have something."""
    path = tmp_path_factory.mktemp("interrupts") / "relay.db"
    with open_relay(path) as relay:
        relay.register(ANA, token(ANA, 1))
        register(relay, BUDI, TOKO)
        relay.publish(token(BUDI), published(BUDI, [1, 2], kyber=[1, 2]), epoch=3)
        for number in range(2):
            deposit(relay, token(TOKO), envelope(TOKO, TOKO, 50 + number).encode(), epoch=5)
        for user, key in ((BUDI, token(BUDI)), (TOKO, token(TOKO))):
            tablet = Address(user.app, user.user, 2)
            digests = {2: token_sha256(token(tablet))}
            relay.publish_devices(key, device_list(user, 1, (1, 2)).encode(), digests)
            deposit(relay, token(BUDI), envelope(BUDI, tablet).encode())
        # One waits here with another, and one alone, which leaves with its last copy.
        for number, recipients in ((60, (BUDI, TOKO)), (61, (TOKO,))):
            message = copies(Address(BUDI.app, BUDI.user, 2), number, *recipients)
            relay.deposit_copies(token(message.sender), message.encode())
        relay.put_link(digest("box")[:16], 0, b"offer", address=BUDI, token=token(BUDI))
    return path


def prepare(relay: Relay, name: str) -> None:
    if name != "move":
        relay.register(ANA, token(ANA), replaces=token(ANA, 1))


@pytest.mark.parametrize(
    ("event", "files"),
    [
        pytest.param("line", (RELAY,), id="line"),
        pytest.param("opcode", COMMON, id="instruction"),
    ],
)
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_anywhere(
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    event: str,
    files: tuple[str, ...],
) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_MS", 500)
    # In a thread of its own: where it hits the end of an `except`, Python goes on believing that
    # the thread handles that exception.
    in_another_thread(lambda: interrupt_anywhere(prepared, tmp_path, name, event, files))


def interrupt_anywhere(
    prepared: Path, folder: Path, name: str, event: str, files: tuple[str, ...]
) -> None:
    call, at = CALLS[name], 0
    done: list[str] = []
    while True:
        path = folder / f"{at}.db"
        shutil.copyfile(prepared, path)
        with open_relay(path) as relay:
            prepare(relay, name)
            before = content(path)
            if at == 0:
                call(relay)
                done = content(path)
            else:
                interrupter = Interrupter(files, event, at)
                try:
                    interrupter.run(lambda: call(relay))
                    break
                except Interrupt:
                    # The frames that it was raised in are still there, with all that they hold.
                    assert content(path) in (before, done)
                    in_another_thread(lambda: sqlite_of(relay).write(id))
                    call(relay)
                    # A second time it changes nothing, but that it hands out other prekeys.
                    assert content(path) == done or name == "fetch_keys"
        path.unlink()
        at += 1
    assert at > 50


def open_and_close(path: Path) -> None:
    Relay(path).close()


def test_an_interrupt_anywhere_in_opening(tmp_path: Path) -> None:
    """Nothing is printed by what is half made (pytest fails for it), and the next one opens."""

    def interrupt_all() -> None:
        for at in itertools.count(1):
            path = tmp_path / f"{at}.db"
            interrupter = Interrupter((sqlite_database.__file__,), "opcode", at)
            try:
                interrupter.run(partial(open_and_close, path))
                break
            except Interrupt:
                pass
            with Relay(path) as relay:
                register(relay, ANA)
        assert at > 300

    in_another_thread(interrupt_all)


def test_an_interrupted_end_of_a_transaction_is_made_up_for(relay: Relay) -> None:
    """Interrupted twice: also the handler that would have rolled back."""
    connection = sqlite_of(relay)._connection()
    connection.raw.execute("BEGIN IMMEDIATE")
    connection.raw.execute("DELETE FROM accounts")
    assert relay.fetch(ANA, token(ANA), 1) == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
# What a handler raises in a destructor Python prints, and drops; also in one of other tests' rest.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_time(path: Path) -> None:
    """Handlers run between instructions, also those of the standard library."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, handle)
    came = 0
    try:
        with Relay(path) as relay:
            register(relay, ANA, BUDI)
            for number in range(300):
                data = envelope(ANA, BUDI, number).encode()
                try:
                    signal.setitimer(signal.ITIMER_REAL, 5e-6 * (1 + number % 100))
                    deposit(relay, token(ANA), data, epoch=number)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except TimeoutError:  # it passes, and not as an error of the file
                    came += 1
                    in_another_thread(lambda: sqlite_of(relay).write(id))
                deposit(relay, token(ANA), data)
            assert len(relay.waiting(BUDI)) == 300
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert came > 10


def test_a_call_inside_a_call_of_the_same_thread_is_refused(path: Path) -> None:
    """A signal handler, or a clock, that calls the relay."""
    calls: list[Callable[[], object]] = []

    def clock() -> int:
        while calls:
            with pytest.raises(BackendError, match="this thread is inside "):
                calls.pop()()
        return CLOCK_MS

    relay = Relay(path, clock=clock)
    register(relay, ANA, BUDI)
    calls += [lambda: relay.fetch(ANA, token(ANA), 1), relay.close]
    deposit(relay, token(ANA), envelope(ANA, BUDI).encode())
    assert calls == []
    assert len(relay.waiting(BUDI)) == 1
    relay.close()


def test_closing_waits_for_another_thread_only_so_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_MS", 20)
    relay = Relay(path)
    inside, go_on = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        inside.set()
        assert go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(sqlite_of(relay).write, hold)
        assert inside.wait(10)
        relay.close()
        go_on.set()
        holding.result(10)  # its connection was not taken away


def test_closing_does_not_wait_for_what_an_interrupted_call_has_left(path: Path) -> None:
    relay = Relay(path)
    connection = sqlite_of(relay)._connection()

    def ended() -> FrameType:
        return sys._getframe()

    connection.take(ended())
    relay.close()
    assert list(path.parent.iterdir()) == [path]


def test_what_a_signal_handler_raises_is_no_error_of_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `TimeoutError` is an `OSError`, too."""

    def interrupted(*_: object) -> None:
        raise TimeoutError

    with Relay(path) as relay:
        register(relay, ANA)
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", interrupted)
            with pytest.raises(TimeoutError):
                relay.fetch(ANA, token(ANA), 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", interrupted)
            with pytest.raises(TimeoutError):
                Relay(path.with_name("other.db"))
        assert relay.fetch(ANA, token(ANA), 1) == []
