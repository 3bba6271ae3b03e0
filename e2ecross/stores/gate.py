# SPDX-License-Identifier: Apache-2.0
"""A lock that lets one thread of this process into a store at a time, with a bounded wait.

Rules:
- Threads wait here rather than in a driver that polls: they wake at once.
- A thread that already holds the gate is told so; it would otherwise wait for itself.
"""

import threading

from e2ecross.errors import StoreBusy, StoreError

__all__ = ["Gate"]


class Gate:
    """Held by the one thread that is inside a transaction."""

    __slots__ = ("_lock", "_owner")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None

    def enter(self, timeout_ms: int) -> None:
        """Wait at most `timeout_ms` milliseconds for the gate.

        Raises:
            StoreBusy: another thread held it all the time.
            StoreError: this thread holds it already.
        """
        # Read without the lock: only this thread ever writes its own number here.
        if self._owner == threading.get_ident():
            raise StoreError(
                "a transaction of this store is open in this thread: end its with block first"
            )
        # Without waiting first: that takes 0.2 us less, and mostly does.
        if not self._lock.acquire(False) and not self._lock.acquire(timeout=timeout_ms / 1000):
            raise StoreBusy(
                f"another thread held the store for more than {timeout_ms} ms: try again"
            )
        self._owner = threading.get_ident()

    def leave(self) -> None:
        """Let the next thread in."""
        self._owner = None
        self._lock.release()
