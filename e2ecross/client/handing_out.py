# SPDX-License-Identifier: Apache-2.0
"""What a `Client` has received and an app takes one by one.

Rules:
- In a store with stripes an item is with one worker. What waits here behind others is held for
  longer in time, and is let go when that was too late: it comes again, from any worker.
- What follows what was let go does not come before it: who goes on is another client.
"""

from collections import deque
from collections.abc import Iterable

from e2ecross.arguments import require_list
from e2ecross.client.client import Client
from e2ecross.device.device import context_of
from e2ecross.device.hold_time import HoldTime
from e2ecross.state.inbox import InboxItem

__all__ = ["HandingOut"]


class HandingOut:
    """Items in their order.

    Attributes:
        client: receives them.
        items: that wait here.
    """

    __slots__ = ("_has_stripes", "_time", "client", "items")

    def __init__(self, client: Client) -> None:
        """Nothing was received yet."""
        self.client = client
        self.items: deque[InboxItem] = deque()
        context = context_of(client.device)
        self._has_stripes = bool(context.store.stripes)
        self._time = HoldTime(context)

    def receive(self, limit: int) -> list[InboxItem]:
        """Return what has arrived, to be put into `items`; see `Client.receive`."""
        found = self.client.receive(limit)
        self._time.note()
        return found

    def is_to_hold(self) -> bool:
        """Tell whether it is time to hold what waits here; lets go what others may have by now."""
        if not (self._has_stripes and self.items):
            return False
        if self._time.is_over():
            self.let_go()
        return bool(self.items) and self._time.is_due()

    def hold(self, items: Iterable[InboxItem]) -> None:
        """Hold items that were handed out, and what waits here; see `Client.hold`."""
        self.is_to_hold()
        every = require_list("items", items)
        if self._has_stripes:
            every += self.items
        self.client.hold(every)
        self._time.note()

    def let_go(self) -> None:
        """Hand out nothing of what waits here."""
        self.items.clear()
        self.client = self.client.for_thread()
