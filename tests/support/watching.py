# SPDX-License-Identifier: Apache-2.0
"""Somebody who watches a client or a store, and remembers all that was told."""

from collections import Counter
from threading import Lock

__all__ = ["Heard"]


class Heard:
    """Remembers what was told, by name.

    Attributes:
        counts: how often.
        observed: every value.
        events: every name and code, in order.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self.counts: Counter[str] = Counter()
        self.observed: dict[str, list[float]] = {}
        self.events: list[tuple[str, str]] = []
        self._lock = Lock()

    def count(self, name: str, n: int = 1) -> None:
        """See `Metrics.count`."""
        with self._lock:
            self.counts[name] += n

    def observe(self, name: str, seconds: float) -> None:
        """See `Metrics.observe`."""
        with self._lock:
            self.observed.setdefault(name, []).append(seconds)

    def event(self, name: str, code: str) -> None:
        """See `Metrics.event`."""
        with self._lock:
            self.events.append((name, code))
