# SPDX-License-Identifier: Apache-2.0
"""For how long items of a store with stripes are with one worker still, by its own clock."""

from typing import Final

from e2ecross.state.context import Context
from e2ecross.state.inbox_holds import HOLD_MS

__all__ = ["HoldTime"]

_HOLD_AFTER_MS: Final = HOLD_MS // 3
_SURELY_HELD_MS: Final = HOLD_MS * 3 // 4
"""The last quarter is for what a call does after it has taken in what it returns."""


class HoldTime:
    """Of items that were held together; nothing is held at first."""

    __slots__ = ("_context", "_held_ms")

    def __init__(self, context: Context) -> None:
        """Of a device."""
        self._context = context
        self._held_ms: int | None = None

    def note(self) -> None:
        """Note that they were held, at the latest now."""
        self._held_ms = self._context.clock()

    def is_due(self) -> bool:
        """Tell whether it is time to hold them for longer."""
        return self._age_ms() >= _HOLD_AFTER_MS

    def is_over(self) -> bool:
        """Tell whether others may have them; also where the clock was put back."""
        return not 0 <= self._age_ms() < _SURELY_HELD_MS

    def _age_ms(self) -> int:
        return HOLD_MS if self._held_ms is None else self._context.clock() - self._held_ms
