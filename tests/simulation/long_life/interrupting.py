# SPDX-License-Identifier: Apache-2.0
"""Signals that come at random moments of a call, and what an app does then: it calls again."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from tests.durability.interrupts import Interrupt, RaisingAfter

__all__ = ["Interrupt", "Interrupts"]

_SHORTEST: Final = -4.0  # 0.1 ms, as a power of ten
_LONGEST: Final = -1.5  # 32 ms: longer than nearly all calls
Result = TypeVar("Result")


class Interrupts:
    """Interrupts calls.

    Args:
        rng: says which, and when.
        share: of the calls; of those that are called again, too.
        counts: what has happened.
    """

    def __init__(self, rng: random.Random, share: float, counts: Counter[str]) -> None:
        self._rng = rng
        self._share = share
        self._counts = counts

    def try_once(self, what: str, call: Callable[[], Result]) -> Result:
        """Call; an interrupt comes out.

        Raises:
            Interrupt: nobody knows whether it was done.
        """
        if self._rng.random() >= self._share:
            return call()
        seconds = 10 ** self._rng.uniform(_SHORTEST, _LONGEST)
        try:
            with RaisingAfter(seconds):
                return call()
        except Interrupt:
            self._counts["interrupts"] += 1
            self._counts[f"interrupts of {what}"] += 1
            raise

    def call(self, what: str, call: Callable[[], Result]) -> Result:
        """Call until it is done; it must be one that may be called again."""
        while True:
            with suppress(Interrupt):  # and goes on when its traceback is gone: see storage.md
                return self.try_once(what, call)
