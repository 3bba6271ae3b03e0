# SPDX-License-Identifier: Apache-2.0
"""One thread of this process at a time inside a store, whatever interrupts it.

An exception may come between any two instructions of the main thread: a signal's handler raises
it, Ctrl-C, or a lack of memory. It may come before the first instruction of an `__exit__`, or
after the last of an `__enter__`; then nobody runs anything that would let go of what is held.

Rules:
- Who is inside is written down in the step that lets it in (`dict.setdefault` is one). There is no
  lock that is taken first and written down next.
- Who is inside without being in its with block any more is nobody, and whoever comes next goes in.
  That shows because the statement alone holds the method that it will call in the end: when the
  method is gone, so is the statement, whether or not it could call it.
- Whoever goes in finds what the one before left half done, and undoes it; that is for the stores.
- Threads wait here rather than in a driver that polls: they wake at once. Of one that is gone they
  hear after `_LOOK_SECONDS` at the latest.
"""

import threading
import time
import weakref
from collections.abc import Callable
from types import MethodType, TracebackType
from typing import Any, Final

from e2ecross.errors import StoreBusy, StoreError

__all__ = ["Gate", "Stay", "Turn"]

_LOOK_SECONDS: Final = 0.05


class _Place:
    """A place behind a gate: the one of a turn, and who follows it.

    Attributes:
        statement: gives what the with statement of the turn holds, or None when that is over.
        over: whether the turn has ended.
        thread: whose turn it is.
    """

    __slots__ = ("_slots", "over", "statement", "thread")

    def __init__(self, statement: Callable[[], object]) -> None:
        self.statement = statement
        self.over = False
        self.thread = threading.get_ident()
        self._slots: dict[str, Any] = {}

    def give(self, place: "_Place") -> "_Place":
        """Make that place the one after this, unless there is one; return the one after this."""
        follower: _Place = self._slots.setdefault("next", place)
        return follower

    def wait(self, seconds: float) -> None:
        """Wait until the turn has ended, at most so long."""
        bell = threading.Lock()
        bell.acquire()
        bell = self._slots.setdefault("bell", bell)
        if not self.over and bell.acquire(timeout=seconds):
            bell.release()  # for the next one who waits

    def end(self) -> None:
        """Let the next one in."""
        if not self.over:
            self.over = True
            bell = self._slots.get("bell")
            if bell is not None:
                bell.release()
        self.statement = _nothing


def _nothing() -> None:
    return None


class Gate:
    """Lets one turn at a time in."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = _Place(_nothing)

    def enter(self, place: _Place, timeout_ms: int) -> None:
        """Wait at most `timeout_ms` milliseconds until that place is the one inside.

        Raises:
            StoreBusy: another thread was inside all the time.
            StoreError: this thread is inside already.
        """
        last, end = self._last, 0.0
        while True:
            # What has no statement has no block that could still do anything.
            if last.over or last.statement() is None:
                follower = last.give(place)
                if follower is place:
                    self._last = place
                    return
                last = follower if self._last is last else self._last
                continue
            if last.thread == place.thread:
                raise StoreError(
                    "a transaction of this store is open in this thread: end its with block first"
                )
            now = time.monotonic()
            end = end or now + timeout_ms / 1000
            if now >= end:
                raise StoreBusy(
                    f"another thread held the store for more than {timeout_ms} ms: try again"
                )
            last.wait(min(end - now, _LOOK_SECONDS))


class _Exit:
    """The `__exit__` of a turn: a method made for one with statement, which alone holds it."""

    __slots__ = ()

    def __get__(self, turn: "Turn | None", owner: "type[Turn]") -> Callable[..., None]:
        if turn is None:
            return owner.leave  # `ExitStack` asks the class
        leave = MethodType(owner.leave, turn)
        if turn.place is None:
            turn.place = _Place(weakref.ref(leave, turn.abandoned))
        return leave


class Turn:
    """One with block behind a gate; a subclass enters by `take` and leaves by `leave`.

    Attributes:
        place: behind the gate; None before the with statement.
    """

    __slots__ = ("__weakref__", "place")

    __exit__ = _Exit()

    def __init__(self) -> None:
        self.place: _Place | None = None

    def take(self, gate: Gate, timeout_ms: int) -> None:
        """Enter the gate; see `Gate.enter`. To be called by `__enter__`."""
        if self.place is None:  # no with statement: what holds the turn itself counts
            self.place = _Place(weakref.ref(self))
        if self.place.over:
            raise StoreError("a transaction is begun once: ask the store for a new one")
        gate.enter(self.place, timeout_ms)

    def end(self) -> None:
        """Let the next one in: everything is in order again."""
        if self.place is not None:
            self.place.end()

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """What the with statement calls in the end."""
        self.end()

    def abandoned(self, _: object) -> None:
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
