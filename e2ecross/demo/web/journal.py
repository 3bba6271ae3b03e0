# SPDX-License-Identifier: Apache-2.0
"""All that has happened on the page of the demo, as events in their order.

Rules:
- An event is said by whichever thread, and read by as many pages as there are.
- The newest 5,000 are kept, and beyond them what a page cannot do without: who has a phone, and
  which chats there are.
"""

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["Event", "Journal", "Numbered"]

Event = Mapping[str, Any]
_MOST: Final = 5_000
_LASTING: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": ("phone",),
    "ready": (),
    "chat": ("phone", "chat"),
}
"""Types of events that are not forgotten, and by what a later one takes the place of an earlier."""
_TRUNCATED: Final = '{"type": "truncated"}'


class Numbered(NamedTuple):
    """An event as it is sent.

    Attributes:
        number: from 1 on; 0: it stands for those that are gone.
        text: its JSON, in ASCII.
    """

    number: int
    text: str


class Journal:
    """The events of one run.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._events: deque[tuple[Numbered, Event]] = deque()
        self._lasting: dict[tuple[str, ...], Numbered] = {}
        self._last = 0
        self._changed = threading.Condition()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.is_closed = False

    @property
    def last(self) -> int:
        """The number of the newest event; 0: there is none."""
        return self._last

    def add(self, event: Event) -> None:
        """Say what has happened."""
        text = json.dumps(event)
        with self._changed:
            self._last += 1
            numbered = Numbered(self._last, text)
            self._events.append((numbered, event))
            if len(self._events) > self._most:
                self._forget_first()
            self._wake()

    def _forget_first(self) -> None:
        gone, event = self._events.popleft()
        names = _LASTING.get(event["type"])
        if names is not None:
            key = (event["type"], *(event[name] for name in names))
            self._lasting.pop(key, None)  # the later one comes later
            self._lasting[key] = gone

    def after(self, number: int) -> list[Numbered]:
        """Return what has happened since an event: from the beginning for 0, or one to come."""
        with self._changed:
            if number > self._last:
                number = 0
            newer = [numbered for numbered, _ in self._newer(number)]
            if len(newer) < self._last - number:
                return [Numbered(0, _TRUNCATED), *self._lasting.values(), *newer]
            return newer

    def wait_for(self, wanted: Callable[[Event], bool], after: int, seconds: float) -> Event | None:
        """Return the first event after one of that number for which `wanted` says yes.

        None if none comes in so many seconds, or nothing comes any more.
        """
        ends = time.monotonic() + seconds
        with self._changed:
            while True:
                for _, event in self._newer(after):
                    if wanted(event):
                        return event
                after = self._last
                left = ends - time.monotonic()
                if left <= 0 or self.is_closed:
                    return None
                self._changed.wait(left)

    def _newer(self, number: int) -> list[tuple[Numbered, Event]]:
        """Return those that are kept after one; it costs what they are, not what there is."""
        newest = itertools.islice(reversed(self._events), max(self._last - number, 0))
        return list(newest)[::-1]

    @contextlib.contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """Give an event of the running loop that is set whenever there may be something new."""
        listener = (asyncio.get_running_loop(), asyncio.Event())
        with self._changed:
            self._listeners.add(listener)
        try:
            yield listener[1]
        finally:
            with self._changed:
                self._listeners.discard(listener)

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self.is_closed = True
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        for loop, event in self._listeners:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(event.set)
