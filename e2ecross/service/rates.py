# SPDX-License-Identifier: Apache-2.0
"""Token buckets: how often somebody may ask.

Rules:
- A bucket fills with time, up to its burst. Who takes more than a burst at once needs it full, and
  waits longer afterwards.
- How many buckets there are is bounded; the least used goes, and begins full when it comes again.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Bucket", "LeastUsed", "PerKey"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bucket:
    """One bucket.

    Args:
        per_second: how fast it fills.
        burst: how much it holds.
    """

    __slots__ = ("_at", "_burst", "_level", "_per_second")

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._level = burst
        self._at = -math.inf

    def wait(self, now: float, amount: float = 1) -> float:
        """Return for how many seconds that much is not there yet; takes nothing."""
        if self._level < self._burst and now > self._at:
            self._level = min(self._burst, self._level + (now - self._at) * self._per_second)
        self._at = max(self._at, now)
        return max(min(amount, self._burst) - self._level, 0.0) / self._per_second

    def take(self, now: float, amount: float = 1) -> float:
        """Take that much and return 0; or take nothing and return how many seconds to wait."""
        seconds = self.wait(now, amount)
        if seconds == 0.0:
            self._level -= amount
        return seconds


class LeastUsed(Generic[K, V]):
    """A map that holds so many values; the least recently used one goes for a new one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return the value, which has been used with this, or None."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget a value, if there is one."""
        self._values.pop(key, None)


class PerKey:
    """Buckets of one kind, one for each key.

    Args:
        per_second: how fast each fills.
        burst: how much each holds.
        most: how many there are.
    """

    def __init__(self, per_second: float, burst: float, most: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: LeastUsed[str, Bucket] = LeastUsed(most)

    def __getitem__(self, key: str) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = Bucket(self._per_second, self._burst)
            self._buckets.put(key, bucket)
        return bucket
