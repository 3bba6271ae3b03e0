# SPDX-License-Identifier: Apache-2.0
"""The connections of one process to the database of a `PostgresStore`.

Rules:
- At most so many at once. Each has a lane with a gate before it, so whoever is interrupted keeps
  none (e2ecross/stores/gate.py). The first free lane is the next one, so that no more connections
  are opened than threads need. Who finds none waits in turn, behind one more gate.
- A connection is used by who is inside its gate. What the one before left half done is undone by
  who comes next, if it was not before.
- One thread, one transaction.
- In a forked child the parent's connections are neither used nor closed.
- No thread of its own and no log: what the driver's pool logs names hosts and users.
"""

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final

from e2ecross.errors import StoreBusy, StoreError
from e2ecross.stores.gate import Gate, Stay, Turn
from e2ecross.stores.postgres_cache import StripeCache
from e2ecross.stores.postgres_errors import store_is_closed
from e2ecross.stores.postgres_link import Link

__all__ = ["Lane", "Pool", "Visit"]

_INSIDE: Final = "a transaction of this store is open in this thread: end its with block first"
_LOOK_SECONDS: Final = 0.05  # after which a place of somebody who is gone is noticed


class Lane(Gate):
    """A place for one connection, behind a gate.

    Attributes:
        link: the connection, if it was needed; it may be lost.
    """

    __slots__ = ("link",)

    def __init__(self) -> None:
        super().__init__()
        self.link: Link | None = None


class Pool:
    """Connections that are opened when they are needed.

    Args:
        connect: opens one.
        size: how many there are at most.
        timeout_ms: how long a thread waits for one, in milliseconds.
        cached_values: how many values this process keeps.

    Attributes:
        cache: what is known of stripes.
        is_closed: whether it has been closed.
        lanes: of the connections.
    """

    __slots__ = (
        "__weakref__",
        "_bell",
        "_closing",
        "_connect",
        "_door",
        "_thread",
        "cache",
        "is_closed",
        "lanes",
        "timeout_ms",
    )

    def __init__(
        self, connect: Callable[[], Link], size: int, timeout_ms: int, cached_values: int
    ) -> None:
        self.cache = StripeCache(cached_values)
        self.timeout_ms = timeout_ms
        self.lanes = [Lane() for _ in range(size)]
        self._connect = connect
        self._door = Gate()  # behind it is who looks for a free lane
        self._closing = Gate()
        self._bell: SimpleQueue[None] = SimpleQueue()  # rings when there may be one
        self._thread = threading.local()
        self.is_closed = False
        _of_this_process.add(self)

    def enter(self, turn: Turn) -> Lane:
        """Enter a lane.

        Raises:
            StoreBusy: other threads had all of them for too long.
            StoreClosed: the store has been closed.
            StoreError: this thread is in one.
        """
        self._check_outside()
        if self.is_closed:
            raise store_is_closed()
        self._thread.turn = weakref.ref(turn)  # before it is inside: then nothing can be missed
        try:
            lane = self._find_lane(turn)
        except StoreBusy:
            raise StoreBusy(
                f"other threads had all {len(self.lanes)} connections for more than "
                f"{self.timeout_ms} ms: try again"
            ) from None
        if self.is_closed:
            turn.end()
            raise store_is_closed()
        return lane

    def link(self, lane: Lane) -> Link:
        """Return the connection of a lane, in no transaction; for who is inside.

        Raises:
            StoreError: none can be opened.
        """
        link = lane.link
        if link is not None:
            link.reset()
        if link is None or link.is_lost:
            link = lane.link = self._connect()
        return link

    def ring(self) -> None:
        """Wake who waits for a lane."""
        if self._bell.empty():
            self._bell.put(None)

    def tidy(self, lane: Lane) -> None:
        """Undo what somebody left in a lane who is gone, unless another one is there already."""
        with suppress(StoreError), Stay(lane, 0):
            if lane.link is not None:
                lane.link.reset()
        self.ring()

    def drop_idle(self) -> None:
        """Close what is not used: the server they were of has gone."""
        for lane in self.lanes:
            with suppress(StoreError), Stay(lane, 0):
                if lane.link is not None:
                    lane.link.close()
        self.ring()

    def close(self) -> None:
        """Close all of them; closing again does nothing.

        Raises:
            StoreBusy: another thread had one for too long; not closed.
            StoreError: this thread has one; not closed.
        """
        self._check_outside()
        end = time.monotonic() + self.timeout_ms / 1000
        try:
            with Stay(self._closing, self.timeout_ms):
                was_closed, self.is_closed = self.is_closed, True  # who comes now is refused
                try:
                    for lane in self.lanes:
                        with Stay(lane, _ms_until(end)):
                            if lane.link is not None:
                                lane.link.close()
                except StoreError:
                    self.is_closed = was_closed
                    raise
        except StoreBusy:
            raise StoreBusy("another thread is inside a transaction: try again") from None
        self.cache.clear()

    def _check_outside(self) -> None:
        turn = getattr(self._thread, "turn", _nobody)()
        if turn is not None and turn.is_inside():
            raise StoreError(_INSIDE)

    def _find_lane(self, turn: Turn) -> Lane:
        """Enter the first free lane, after all who have come before.

        Raises:
            StoreBusy: there was none for too long.
        """
        lane = turn.try_take(self.lanes) if self._door.is_free() else None
        if lane is not None:
            return lane
        end = time.monotonic() + self.timeout_ms / 1000
        with Stay(self._door, self.timeout_ms):
            while (lane := turn.try_take(self.lanes)) is None:
                left = end - time.monotonic()
                if left <= 0:
                    raise StoreBusy
                with suppress(Empty):
                    self._bell.get(timeout=min(left, _LOOK_SECONDS))
        return lane


class Visit(Turn):
    """A with block that has a connection; a subclass enters by `come`.

    Args:
        find_pool: gives the connections of this process.

    Attributes:
        pool: those connections, once it has come.
        lane: which it is in, or was.
    """

    __slots__ = ("_find_pool", "_pid", "lane", "pool")

    def __init__(self, find_pool: Callable[[], Pool]) -> None:
        super().__init__()
        self._find_pool = find_pool
        self._pid = os.getpid()
        self.pool: Pool | None = None
        self.lane: Lane | None = None

    def come(self) -> tuple[Pool, Lane]:
        """Enter a lane; see `Pool.enter`."""
        self._pid = os.getpid()
        pool = self.pool = self._find_pool()
        lane = self.lane = pool.enter(self)
        return pool, lane

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Undo what is not committed, and then let the next one in."""
        lane = self.lane
        if lane is not None and lane.link is not None and self._is_ours():
            lane.link.reset()
        self.end()

    def end(self) -> None:
        """Let the next one in."""
        super().end()
        if self.pool is not None:
            self.pool.ring()

    def abandon(self) -> None:
        """Undo it now: until somebody does, other workers wait for it."""
        self.end()
        pool, lane = self.pool, self.lane
        if pool is not None and lane is not None and self._is_ours():
            pool.tidy(lane)

    def __del__(self) -> None:
        # Of one that was entered by hand: no with statement tells that it is gone.
        place = getattr(self, "place", None)  # it may have been interrupted while it was made
        if place is not None and not place.over:
            self.abandon()

    def _is_ours(self) -> bool:
        return os.getpid() == self._pid


def _nobody() -> None:
    return None


def _ms_until(end: float) -> int:
    return max(0, round(1000 * (end - time.monotonic())))


_of_this_process: Final[weakref.WeakSet[Pool]] = weakref.WeakSet()
_of_parents: Final[list[Pool]] = []


def _keep_parents() -> None:
    _of_parents.extend(_of_this_process)
    _of_this_process.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_keep_parents)
