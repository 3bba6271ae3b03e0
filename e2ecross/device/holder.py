# SPDX-License-Identifier: Apache-2.0
"""Who one `Client` of many workers is to the back end, which holds for it what it fetches.

Rules:
- Whatever is fetched with a holder prolongs all that it has. So one that has left something, for
  others or for later, goes on under another name: what was left is free when its time is over.
- An app that holds what it has under the name of before holds what was left, too: not for ever.
- Two processes are two holders, also after a fork.
"""

import os
from typing import Final, NamedTuple

from e2ecross.state.context import Context
from e2ecross.state.inbox_holds import HOLD_MS

__all__ = ["Hold", "Holder"]

_BYTES: Final = 16
_MAX_BEFORE: Final = 16
"""Names of the last minute under which something may still be held."""
_LONGEST_MS: Final = 10 * HOLD_MS
"""For how long a name is prolonged that was left: then the inbox alone holds what the app has."""


class Hold(NamedTuple):
    """That what is fetched is held, so that nobody else gets it.

    Attributes:
        hold_ms: for how long, milliseconds.
        holder: for whom, 16 bytes.
    """

    hold_ms: int
    holder: bytes


class Holder:
    """The names of one client, each 16 random bytes."""

    __slots__ = ("_before", "_context", "_name", "_process")

    def __init__(self, context: Context) -> None:
        """One with a name of its own."""
        self._context = context
        self._before: dict[bytes, tuple[int, int]] = {}  # when each was left, and when it ends
        self._process = os.getpid()
        self._name = context.entropy.bytes(_BYTES)

    def present(self) -> Hold:
        """Return what is fetched with now."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._before, self._name = {}, self._context.entropy.bytes(_BYTES)
        return Hold(HOLD_MS, self._name)

    def leave(self) -> None:
        """Prolong no more what is held, but by `all`; go on under another name."""
        name, now_ms = self.present().holder, self._context.clock()
        self._before[name] = (now_ms, now_ms + HOLD_MS)
        while len(self._before) > _MAX_BEFORE:
            del self._before[next(iter(self._before))]
        self._name = self._context.entropy.bytes(_BYTES)

    def all(self) -> list[Hold]:
        """Return what prolongs all that may still be held for this client."""
        present, now_ms = self.present(), self._context.clock()
        self._before = {
            name: (left_ms, now_ms + HOLD_MS)
            for name, (left_ms, end_ms) in self._before.items()
            if now_ms < end_ms and now_ms - left_ms < _LONGEST_MS
        }
        return [present, *(Hold(HOLD_MS, name) for name in self._before)]
