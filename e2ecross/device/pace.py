# SPDX-License-Identifier: Apache-2.0
"""What one `Client` of many workers does now and then: none at the same moment as the others."""

from typing import Final

from e2ecross.state.context import Context

__all__ = ["Pace"]

_LEAST_MS: Final = 24_000
_SPREAD_MS: Final = 12_000
"""From one time to the next there are 30 seconds, a fifth more or less."""


class Pace:
    """When it is time again; at first it is."""

    __slots__ = ("_next_ms",)

    def __init__(self) -> None:
        """It is time."""
        self._next_ms: int | None = None

    def is_due(self, context: Context) -> bool:
        """Tell whether it is time; also where the clock was put back."""
        left_ms = 0 if self._next_ms is None else self._next_ms - context.clock()
        return not 0 < left_ms <= _LEAST_MS + _SPREAD_MS

    def note(self, context: Context) -> None:
        """Note that it was done."""
        after_ms = _LEAST_MS + int.from_bytes(context.entropy.bytes(4)) % (_SPREAD_MS + 1)
        self._next_ms = context.clock() + after_ms

    def forget(self) -> None:
        """Let it be time."""
        self._next_ms = None
