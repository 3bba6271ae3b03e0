# SPDX-License-Identifier: Apache-2.0
"""The connections of one process to the database of a `PostgresStore`.

Rules:
- At most so many at once; the one that was used last is used next.
- One thread, one transaction. Who is there is known by thread.
- In a forked child the parent's connections are neither used nor closed.
- No thread of its own and no log: what the driver's pool logs names hosts and users.
"""

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from e2ecross.errors import StoreBusy, StoreError
from e2ecross.stores.postgres_cache import StripeCache
from e2ecross.stores.postgres_errors import store_is_closed
from e2ecross.stores.postgres_link import Link

__all__ = ["Pool"]

_INSIDE: Final = "a transaction of this store is open in this thread: end its with block first"


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
    """

    __slots__ = (
        "__weakref__",
        "_connect",
        "_free",
        "_idle",
        "_size",
        "_threads",
        "cache",
        "is_closed",
        "timeout_ms",
    )

    def __init__(
        self, connect: Callable[[], Link], size: int, timeout_ms: int, cached_values: int
    ) -> None:
        self.cache = StripeCache(cached_values)
        self.timeout_ms = timeout_ms
        self._connect = connect
        self._size = size
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[Link] = []
        self._threads: set[int] = set()
        self.is_closed = False
        _of_this_process.add(self)

    def enter(self) -> None:
        """Take a place for this thread.

        Raises:
            StoreBusy: other threads had all of them for too long.
            StoreClosed: the store has been closed.
            StoreError: this thread has one.
        """
        if threading.get_ident() in self._threads:
            raise StoreError(_INSIDE)
        if self.is_closed:
            raise store_is_closed()
        if not self._free.acquire(timeout=self.timeout_ms / 1000):
            raise StoreBusy(
                f"other threads had all {self._size} connections for more than "
                f"{self.timeout_ms} ms: try again"
            )
        if self.is_closed:
            self._free.release()
            raise store_is_closed()
        self._threads.add(threading.get_ident())

    def leave(self, thread: int) -> None:
        """Give the place of a thread back."""
        if thread in self._threads:
            self._threads.discard(thread)
            self._free.release()

    def take(self) -> Link:
        """Return a connection; for who has a place.

        Raises:
            StoreError: none can be opened.
        """
        while self._idle:
            link = self._idle.pop()
            if not link.is_lost:
                return link
        return self._connect()

    def give(self, link: Link) -> None:
        """Take a connection back that is in no transaction, or has been closed."""
        if not link.is_lost:
            self._idle.append(link)

    def drop_idle(self) -> None:
        """Close what is not used: the server they were of has gone."""
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Close all of them; closing again does nothing.

        Raises:
            StoreBusy: another thread had one for too long; not closed.
            StoreError: this thread has one; not closed.
        """
        if self.is_closed:
            return
        if threading.get_ident() in self._threads:
            raise StoreError(_INSIDE)
        end = time.monotonic() + self.timeout_ms / 1000
        taken = 0
        try:
            while taken < self._size:
                if not self._free.acquire(timeout=max(0, end - time.monotonic())):
                    raise StoreBusy("another thread is inside a transaction: try again")
                taken += 1
            self.is_closed = True
        finally:
            for _ in range(taken):
                self._free.release()
        self.cache.clear()
        self.drop_idle()


_of_this_process: Final[weakref.WeakSet[Pool]] = weakref.WeakSet()
_of_parents: Final[list[Pool]] = []


def _keep_parents() -> None:
    _of_parents.extend(_of_this_process)
    _of_this_process.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_keep_parents)
