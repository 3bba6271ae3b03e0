# SPDX-License-Identifier: Apache-2.0
"""One thread of this process at a time in a store, or at a connection, whatever interrupts it.

An exception may come between any two instructions of the main thread: a signal's handler raises
it, Ctrl-C, or a lack of memory. It may come before the first instruction of an `__exit__`, or
after the last of an `__enter__`; then nobody runs anything that would let go of what is held.

Rules:
- Who stands in the queue before a gate is written down in the step that puts it there, with what it
  stands behind (`dict.setdefault` is one step). There is no lock that is taken first and written
  down next: whoever has nobody ahead is inside.
- Who is there without being in its with statement any more is nobody: whoever comes next goes in.
  That shows because the statement alone holds what it will call in the end: when that is gone, so
  is the statement, whether or not it could call it.
- Whoever goes in finds what the one before left half done, and undoes it; that is for the stores.
- Threads wait here rather than in a driver that polls: they wake at once. Of one that is gone they
  hear after `_LOOK_SECONDS` at the latest.
"""

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar

from e2ecross.errors import StoreBusy, StoreError

__all__ = ["Gate", "Stay", "Turn"]

_LOOK_SECONDS: Final = 0.05


class _Thread(threading.local):
    """What tells threads apart; an identifier is given again when its thread has ended."""

    def __init__(self) -> None:
        self.token = object()


_this_thread: Final = _Thread()


class _Place:
    """A place in the queue before a gate: the one of a turn.

    Attributes:
        statement: gives what the with statement of the turn holds, or None when that is over.
        over: whether the turn was inside and has ended.
        before: the place before this one, as long as it is not known that nobody is there.
        slots: what others put there in one step: the place behind it, and a bell.
        thread: whose turn it is.
    """

    __slots__ = ("before", "over", "slots", "statement", "thread")

    def __init__(self, statement: Callable[[], object]) -> None:
        self.statement = statement
        self.over = False
        self.before: _Place | None = None
        self.thread = _this_thread.token
        self.slots: dict[str, Any] = {}

    def is_taken(self) -> bool:
        """Whether somebody still is there, inside or waiting."""
        # Who has no statement has no block that could still do anything.
        return not self.over and self.statement() is not None

    def next_ahead(self) -> "_Place | None":
        """The nearest place before this one where somebody still is."""
        before = self.before
        while before is not None and not before.is_taken():
            before = None if before.over else before.before
        return before

    def is_behind_itself(self) -> bool:
        """Whether the thread is in the queue already, and would wait for itself."""
        ahead = self.next_ahead()
        while ahead is not None and ahead.thread != self.thread:
            ahead = ahead.next_ahead()
        return ahead is not None

    def wait(self, seconds: float) -> None:
        """Wait until the turn has ended, at most so long."""
        bell = threading.Lock()
        bell.acquire()
        bell = self.slots.setdefault("bell", bell)
        if not self.over and bell.acquire(timeout=seconds):
            bell.release()  # for the next one who waits

    def leave(self) -> None:
        """Let the next one in; or leave the queue, before it was this one's turn."""
        if self.before is None and not self.over:
            self.over = True
            bell = self.slots.get("bell")
            if bell is not None:
                bell.release()
        self.statement = _nothing


def _nothing() -> None:
    return None


_ENDED: Final = _Place(_nothing)
"""Of a turn that has ended: from its own one all that came later could be reached."""
_ENDED.over = True


class Gate:
    """Lets one turn at a time in, in the order in which they came."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = _Place(_nothing)

    def enter(self, place: _Place, timeout_ms: int) -> None:
        """Wait at most `timeout_ms` milliseconds until that place is the one inside.

        Raises:
            StoreBusy: others were inside all the time.
            StoreError: this thread is inside already.
        """
        last = place.before = self._last
        # Whoever came first behind it is there: then the place is behind that one.
        while (follower := last.slots.setdefault("next", place)) is not place:
            last = place.before = follower
        self._last = place  # or one before it, by another thread: nobody starts from further back
        if not last.over and place.next_ahead() is not None:
            self._wait(place, timeout_ms)
        place.before = None

    def try_enter(self, place: _Place) -> bool:
        """Enter if nobody is inside or waits; returns whether."""
        while True:
            last = self._find_last()
            if not _is_free_behind(last):
                return False
            place.before = last
            if last.slots.setdefault("next", place) is place:
                self._last = place
                place.before = None
                return True

    def is_free(self) -> bool:
        """Whether nobody is inside, or waits."""
        return _is_free_behind(self._find_last())

    def _find_last(self) -> _Place:
        last = self._last
        while (follower := last.slots.get("next")) is not None:
            last = follower
        return last

    def _wait(self, place: _Place, timeout_ms: int) -> None:
        if place.is_behind_itself():
            place.leave()
            raise StoreError(
                "a transaction of this store is open in this thread: end its with block first"
            )
        end = time.monotonic() + timeout_ms / 1000
        while (ahead := place.next_ahead()) is not None:
            left = end - time.monotonic()
            if left <= 0:
                place.leave()
                raise StoreBusy(
                    f"another thread held the store for more than {timeout_ms} ms: try again"
                )
            ahead.wait(min(left, _LOOK_SECONDS))


def _is_free_behind(last: _Place) -> bool:
    return not last.is_taken() and (last.over or last.next_ahead() is None)


G = TypeVar("G", bound=Gate)


class _Exit:
    """The `__exit__` of a turn: made for one with statement, which alone holds it."""

    __slots__ = ()

    def __get__(self, turn: "Turn | None", owner: "type[Turn]") -> Callable[..., None]:
        if turn is None:
            return owner.depart  # `ExitStack` asks the class
        # No method: Python 3.14 takes those apart, and lets go of them, before it calls them. And
        # nothing with a frame of its own, which a traceback would keep.
        depart = partial(owner.depart, turn)
        if not turn.has_come:
            turn.place = _Place(weakref.ref(depart, turn.lost))
        return depart


class Turn:
    """One with block behind a gate; a subclass enters by `take` and leaves by `leave`.

    Attributes:
        place: behind the gate; None before the with statement.
        has_come: whether it has come to the gate, which it does once.
    """

    __slots__ = ("__weakref__", "has_come", "place")

    __exit__ = _Exit()

    def __init__(self) -> None:
        self.place: _Place | None = None
        self.has_come = False

    def take(self, gate: Gate, timeout_ms: int) -> None:
        """Enter the gate; see `Gate.enter`. To be called by `__enter__`."""
        place = self._come()
        self.has_come = True
        try:
            gate.enter(place, timeout_ms)
        except StoreError:  # it has left the queue
            self.place = _ENDED
            raise

    def try_take(self, gates: Sequence[G]) -> G | None:
        """Enter the first of some gates where nobody is, and return it. The same."""
        place = self._come()
        for gate in gates:
            if gate.try_enter(place):
                self.has_come = True
                return gate
        return None

    def is_inside(self) -> bool:
        """Whether it has come to the gate, and the with statement goes on."""
        return self.has_come and self.place is not None and self.place.is_taken()

    def end(self) -> None:
        """Let the next one in: everything is in order again."""
        if self.place is not None:
            self.place.leave()
            self.place = _ENDED

    def depart(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """What the with statement calls in the end.

        Raises:
            StoreError: it has left before: what is inside by now is another one's.
        """
        if self.is_inside():
            self.leave(kind, error, traceback)
        elif self.has_come and kind is None:
            raise StoreError("the transaction has ended: begin a new one")

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do what is to be done in the end, and let the next one in."""
        self.end()

    def _come(self) -> _Place:
        if self.has_come:
            raise StoreError("a transaction is begun once: ask the store for a new one")
        if self.place is None or self.place.statement() is None:
            self.place = _Place(weakref.ref(self))  # no with statement: who holds the turn counts
        return self.place

    def lost(self, statement: object) -> None:
        """Called when something is gone that a with statement could have held."""
        if self.place is not None and self.place.statement is statement:
            self.abandon()

    def abandon(self) -> None:
        """Called when the with statement is gone and has not ended the turn."""
        self.end()


class Stay(Turn):
    """A with block behind a gate, and nothing else.

    Args:
        gate: which.
        timeout_ms: how long to wait for it, in milliseconds.
    """

    __slots__ = ("_gate", "_timeout_ms")

    def __init__(self, gate: Gate, timeout_ms: int) -> None:
        super().__init__()
        self._gate = gate
        self._timeout_ms = timeout_ms

    def __enter__(self) -> None:
        self.take(self._gate, self._timeout_ms)
