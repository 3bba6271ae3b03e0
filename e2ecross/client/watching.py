# SPDX-License-Identifier: Apache-2.0
"""What a `Client` tells whoever watches it, beside what is told where it happens.

Rules:
- What is handed over again was told before.
- For how long something waits is looked up now and then, and never in the way of anything else.
"""

from collections.abc import Iterable
from contextlib import suppress

from e2ecross.device.ages import read_ages
from e2ecross.device.pace import Pace
from e2ecross.errors import StoreError
from e2ecross.metrics import Metrics, Watch, watched_by
from e2ecross.state.context import Context
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage, Message

__all__ = ["Watching", "watching"]


class Watching:
    """Whoever watches one `Client`.

    Attributes:
        watch: tells them.
    """

    __slots__ = ("_context", "_pace", "watch")

    def __init__(self, context: Context, watch: Watch) -> None:
        """Of a device."""
        self.watch = watch
        self._context = context
        self._pace = Pace()

    def tell_received(self, items: Iterable[InboxItem]) -> None:
        """Tell how many messages are handed over for the first time, and which have failed."""
        new = [item for item in items if not item.redelivered]
        received = sum(isinstance(item, Message) for item in new)
        if received:
            self.watch.count("received", received)
        for item in new:
            if isinstance(item, FailedMessage):
                self.watch.event("failed", item.error.code)

    def tell_ages(self) -> None:
        """Tell for how long something waits, about twice a minute."""
        if not self._pace.is_due(self._context):
            return
        self._pace.note(self._context)
        with suppress(StoreError):
            ages = read_ages(self._context)
            self.watch.observe("outbox_oldest_seconds", ages.outbox / 1000)
            self.watch.observe("inbox_oldest_seconds", ages.inbox / 1000)


def watching(context: Context, metrics: Metrics | None) -> Watching | None:
    """Return what tells whoever was handed to a `Client` of a device, or None.

    Raises:
        InvalidArgument: it lacks a method.
    """
    watch = watched_by(metrics)
    return None if watch is None else Watching(context, watch)
