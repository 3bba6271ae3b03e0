# SPDX-License-Identifier: Apache-2.0
"""An exception at any instruction of a call: it passes, and the next call works."""

import contextlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from e2ecross.relay import Relay, database
from tests.relay.support import ANA, BUDI, deposit, envelope, register, token

INTERRUPTED = (database.__file__, contextlib.__file__)


class Interrupt(BaseException):
    """What a signal handler raises."""


def interrupt(call: Callable[[], object], at: int) -> bool:
    """Make a call, and raise at one of its instructions; whether it has that many."""
    left = at

    def trace(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401
        nonlocal left
        if not frame.f_code.co_filename.startswith(INTERRUPTED):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return left <= 0


def in_another_thread(call: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result(10)


def send(relay: Relay, number: int) -> None:
    deposit(relay, token(ANA), envelope(ANA, BUDI, number).encode(), epoch=1)


def fetch(relay: Relay) -> int:
    return len(relay.fetch(BUDI, token(BUDI), 1000))


@pytest.mark.parametrize("call", [send, lambda relay, _: fetch(relay)], ids=["write", "read"])
def test_an_interrupt_at_any_instruction(
    path: Path, call: Callable[[Relay, int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    with Relay(path) as relay:
        register(relay, ANA, BUDI)
        at, is_over = 0, False
        while not is_over:
            at += 1
            before = fetch(relay)
            try:
                is_over = not interrupt(lambda: call(relay, at), at)  # noqa: B023
            except Interrupt:
                # What it was raised in is still there, with all that it holds.
                assert fetch(relay) in (before, before + 1)
                send(relay, 10_000 + at)
                in_another_thread(lambda: send(relay, 20_000 + at))  # noqa: B023
            send(relay, at)
            messages = {envelope(ANA, BUDI, n).message_id for n in (at, 10_000 + at, 20_000 + at)}
            there = {item.message_id for item in relay.waiting(BUDI)}
            assert messages <= there if not is_over else True
            relay.acknowledge(BUDI, token(BUDI), range(1, 10 * at + 10))
        assert at > 50


def test_what_an_interrupted_call_leaves_does_not_undo_a_later_one(relay: Relay) -> None:
    """A transaction that was left behind ends when it is collected, in the midst of another."""
    left = relay._database.writing()
    connection = left.__enter__()
    connection.execute("UPDATE accounts SET epoch = 9")  # and here the interrupt came
    with relay._database.writing() as raw:
        assert raw.execute("SELECT MAX(epoch) FROM accounts").fetchone() == (0,)
        raw.execute("UPDATE accounts SET epoch = 7")
        del left
    assert relay.epochs(ANA, token(ANA)) == {0: 7}


def test_closing_does_not_wait_for_what_an_interrupted_call_has_left(path: Path) -> None:
    relay = Relay(path)
    left = relay._database.writing()
    left.__enter__().execute("CREATE TABLE unfinished (a)")
    relay.close()
    assert list(path.parent.iterdir()) == [path]
    with Relay(path) as again, again._database.reading() as raw:
        found = raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'unfinished'").fetchall()
    assert found == []


def test_closing_waits_for_another_thread_only_so_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 20)
    relay = Relay(path)
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with relay._database.writing():
            inside.set()
            assert go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert inside.wait(10)
        relay.close()
        go_on.set()
        holding.result(10)  # its connection was not taken away
