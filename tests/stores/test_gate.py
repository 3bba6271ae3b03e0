# SPDX-License-Identifier: Apache-2.0
"""Who is inside a gate, who waits, and who is nobody any more."""

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import MethodType

import pytest

from e2ecross.errors import StoreBusy, StoreError
from e2ecross.stores.gate import Gate, Stay, Turn, _Place

WAIT_SECONDS = 30


def is_free(gate: Gate) -> bool:
    try:
        with Stay(gate, 0):
            return True
    except StoreError:
        return False


def test_one_at_a_time_and_in_order() -> None:
    gate, seen, inside = Gate(), [], 0
    threads = []

    def work(number: int) -> None:
        nonlocal inside
        with Stay(gate, 10_000):
            inside += 1
            assert inside == 1
            seen.append(number)
            time.sleep(0.001)
            inside -= 1

    with Stay(gate, 0):
        for number in range(8):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            time.sleep(0.01)
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert seen == list(range(8))


def test_who_has_waited_too_long_leaves_the_queue() -> None:
    gate, results = Gate(), []

    def wait(timeout_ms: int) -> None:
        try:
            with Stay(gate, timeout_ms):
                results.append("inside")
        except StoreBusy:
            results.append("busy")

    with Stay(gate, 0):
        hasty = threading.Thread(target=wait, args=(50,))
        patient = threading.Thread(target=wait, args=(10_000,))
        hasty.start()
        time.sleep(0.02)
        patient.start()
        hasty.join(WAIT_SECONDS)
        assert results == ["busy"]
    patient.join(WAIT_SECONDS)
    assert results == ["busy", "inside"]
    assert is_free(gate)


def test_who_is_inside_does_not_wait_for_itself_behind_others() -> None:
    gate = Gate()
    with Stay(gate, 0):
        waiting = threading.Thread(target=lambda: Stay(gate, 10_000).__enter__())
        waiting.start()
        time.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(StoreError, match="open in this thread"), Stay(gate, 10_000):
            pass
        assert time.monotonic() - began < 5
    waiting.join(WAIT_SECONDS)


def test_a_stay_is_begun_once() -> None:
    gate = Gate()
    stay = Stay(gate, 0)
    with stay:
        with pytest.raises(StoreError, match="once"), stay:
            pass
        assert not is_free(gate)
    with pytest.raises(StoreError, match="once"), stay:
        pass
    assert is_free(gate)


def test_other_ways_to_enter() -> None:
    """By an `ExitStack`, by hand, and by who only looks."""
    gate = Gate()
    with ExitStack() as stack:
        stack.enter_context(Stay(gate, 0))
        assert not is_free(gate)
    assert is_free(gate)
    stay = Stay(gate, 0)
    stay.__enter__()
    assert hasattr(stay, "__exit__")
    assert not is_free(gate)
    stay.__exit__(None, None, None)
    assert is_free(gate)
    stay = Stay(gate, 0)
    assert hasattr(stay, "__exit__")  # before
    looked_up = stay.__exit__
    with stay:
        assert callable(stay.__exit__)  # another one than the statement's
        del looked_up
        gc.collect()
        assert not is_free(gate)
    assert is_free(gate)
    stay = Stay(gate, 0)
    assert hasattr(stay, "__exit__")
    stay.__enter__()
    assert not is_free(gate)
    del stay
    assert is_free(gate)


def test_a_generator_is_inside_as_long_as_it_lives() -> None:
    gate = Gate()

    @contextmanager
    def wrapped() -> Iterator[None]:
        with Stay(gate, 0):
            yield

    def walk() -> Iterator[int]:
        with Stay(gate, 0):
            yield 1
            yield 2

    with wrapped():
        assert not is_free(gate)
    assert is_free(gate)
    walking = walk()
    assert next(walking) == 1
    assert not is_free(gate)
    del walking
    assert is_free(gate)


class Gone(BaseException):
    pass


class Unlucky(Stay):
    """Whose end is interrupted before its first instruction."""

    __slots__ = ()

    def leave(self, *_: object) -> None:
        raise Gone


def test_who_could_not_leave_is_nobody() -> None:
    gate = Gate()
    unlucky = Unlucky(gate, 0)
    with pytest.raises(Gone) as caught, unlucky:
        assert not is_free(gate)
    assert caught.value.__traceback__ is not None  # it holds the object, and so do we
    assert is_free(gate)
    waited: list[float] = []

    def wait() -> None:
        began = time.monotonic()
        with Stay(gate, 10_000):
            waited.append(time.monotonic() - began)

    thread = threading.Thread(target=wait)
    with pytest.raises(Gone), Unlucky(gate, 0):  # noqa: PT012
        thread.start()
        time.sleep(0.05)
    thread.join(WAIT_SECONDS)
    assert waited[0] < 5


def test_many_threads_lose_nobody() -> None:
    gate, count = Gate(), 0

    def work() -> None:
        nonlocal count
        for _ in range(300):
            with Stay(gate, 30_000):
                seen = count
                if seen % 50 == 0:
                    time.sleep(0)
                count = seen + 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert count == 1_800


def test_who_has_left_does_not_leave_again() -> None:
    """Who came after it stays inside."""
    gate = Gate()
    stay = Stay(gate, 0)
    with stay:
        pass
    with Stay(gate, 0):
        with pytest.raises(StoreError, match="has ended"):
            stay.__exit__(None, None, None)
        stay.__exit__(ValueError, ValueError(), None)  # the error that is on its way passes
        assert not is_free(gate)


def test_what_a_statement_calls_in_the_end_is_no_method() -> None:
    """Python 3.14 would let go of it before it is called, and nobody would be inside any more."""
    assert not isinstance(Stay(Gate(), 0).__exit__, MethodType)


def count_places() -> int:
    """Of the whole process: tests before may have left errors that keep some."""
    gc.collect()
    return sum(isinstance(each, _Place) for each in gc.get_objects())


def test_whoever_keeps_a_turn_that_has_ended_keeps_no_other() -> None:
    """As errors do, in their tracebacks: those of blocks, and of who has waited too long."""
    gate, kept, before = Gate(), [Stay(Gate(), 0)], count_places()
    with kept[0]:
        pass
    for number in range(200):
        stay = Stay(gate, 0)
        with stay:
            late = Stay(gate, 0)
            with ThreadPoolExecutor(1) as threads:
                entering = threads.submit(late.__enter__)
                with pytest.raises(StoreBusy):
                    entering.result(WAIT_SECONDS)
        if number < 3:
            kept += [stay, late]
    del stay, late
    assert count_places() - before < 50


class Tried(Turn):
    """Enters the first of some gates where nobody is."""

    __slots__ = ("gates", "got")

    def __init__(self, *gates: Gate) -> None:
        super().__init__()
        self.gates = gates

    def __enter__(self) -> Gate | None:
        self.got = self.try_take(self.gates)
        return self.got


def test_the_first_gate_where_nobody_is() -> None:
    first, second = Gate(), Gate()
    with Tried(first, second) as got, Tried(first, second) as other:
        assert (got, other) == (first, second)
        with Tried(first, second) as none:
            assert none is None
        assert not is_free(first)
        assert not is_free(second)
    assert is_free(first)
    assert is_free(second)


def test_a_gate_where_somebody_waits_is_not_free() -> None:
    gate = Gate()
    order: list[str] = []

    def wait() -> None:
        with Stay(gate, 10_000):
            order.append("who waited")

    with Stay(gate, 0):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.05)
    with Tried(gate) as got:
        order.append("who tried" if got else "who did not get in")
    waiting.join(WAIT_SECONDS)
    assert order in (["who waited", "who tried"], ["who did not get in", "who waited"])


def test_a_turn_that_could_not_leave_lets_others_try() -> None:
    class Lost(Tried):
        __slots__ = ()

        def leave(self, *_: object) -> None:
            raise Gone

    gate = Gate()
    with pytest.raises(Gone) as caught, Lost(gate) as got:
        assert got is gate
    assert caught.value.__traceback__ is not None
    with Tried(gate) as got:
        assert got is gate


def test_a_turn_knows_whether_it_is_inside() -> None:
    gate = Gate()
    turn = Tried(gate)
    assert not turn.is_inside()
    with turn:
        assert turn.is_inside()
        other = Tried(gate)
        with other:
            assert not other.is_inside()
    assert not turn.is_inside()


def test_many_threads_and_few_gates() -> None:
    gates = [Gate() for _ in range(3)]
    inside, lock = [0, 0, 0], threading.Lock()

    def work() -> None:
        entered = 0
        while entered < 50:
            with Tried(*gates) as got:
                if got is None:
                    time.sleep(0.001)
                    continue
                place = gates.index(got)
                entered += 1
                with lock:
                    inside[place] += 1
                    assert inside[place] == 1
                time.sleep(0)
                with lock:
                    inside[place] -= 1

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work) for _ in range(8)]:
            done.result(WAIT_SECONDS)
    assert all(map(is_free, gates))
