# SPDX-License-Identifier: Apache-2.0
"""Who waits for which mailbox, and what wakes them.

Rules:
- One first takes a place and then looks into the mailbox, so nothing is missed in between.
- It is rung after a commit, by any thread. All else happens in the loop of the service.
- After `stop` nobody waits any more, and whoever waits is woken.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from e2ecross.address import Address
from e2ecross.service.limits import ServiceLimits

__all__ = ["MailBell", "Place"]


class Place:
    """Somebody who waits."""

    __slots__ = ("_called", "_future", "is_left")

    def __init__(self) -> None:
        self._called = False
        self._future: asyncio.Future[None] | None = None
        self.is_left = False

    def look(self) -> None:
        """Say that one is about to look: only what comes from now on wakes."""
        self._called = False

    def wake(self) -> None:
        """Let the one who waits look again."""
        self._called = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def leave(self) -> None:
        """Say that the one who waits has gone away."""
        self.is_left = True
        self.wake()

    async def wait(self, seconds: float) -> None:
        """Wait until something wakes, for so long at most."""
        if self._called or seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        self._future = loop.create_future()
        timer = loop.call_later(seconds, self.wake)
        try:
            await self._future
        finally:
            timer.cancel()
            self._future = None


class MailBell:
    """Places, by mailbox.

    Args:
        limits: how many may wait.
    """

    def __init__(self, limits: ServiceLimits) -> None:
        self._limits = limits
        self._places: dict[Address, list[Place]] = {}
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_stopped = False

    def __len__(self) -> int:
        return self._count

    def waited_for(self) -> list[Address]:
        """Return the mailboxes that somebody waits for."""
        return list(self._places)

    def ring(self, address: Address) -> None:
        """Wake who waits for a mailbox; called by any thread, after a commit."""
        loop = self._loop
        if loop is not None and address in self._places:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(self._wake, address)

    def stop(self) -> None:
        """Wake everybody, for good."""
        self.is_stopped = True
        for address in list(self._places):
            self._wake(address)

    @contextmanager
    def place(self, address: Address) -> Iterator[Place | None]:
        """Give a place at a mailbox, as long as the block runs; None: too many wait."""
        self._loop = asyncio.get_running_loop()
        there = self._places.get(address, ())
        if (
            self._count >= self._limits.waiting_calls
            or len(there) >= self._limits.waiting_calls_per_device
        ):
            yield None
            return
        place = Place()
        self._places.setdefault(address, []).append(place)
        self._count += 1
        try:
            yield place
        finally:
            self._count -= 1
            left = self._places[address]
            left.remove(place)
            if not left:
                del self._places[address]

    def _wake(self, address: Address) -> None:
        for place in self._places.get(address, ()):
            place.wake()
