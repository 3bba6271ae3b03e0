# SPDX-License-Identifier: Apache-2.0
"""`InOrder`: places in a conversation in order, where most come last and leave first."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Final

__all__ = ["InOrder", "Order"]

Order = tuple[int, str, bytes]
"""Where a message stands: when it was sent (milliseconds), by which account, under which id."""
_LEFT_TOGETHER: Final = 1024


class InOrder:
    """A sorted list of different places that is cheap at both ends."""

    __slots__ = ("_keys", "_start")

    def __init__(self) -> None:
        self._keys: list[Order] = []
        self._start = 0

    def __iter__(self) -> Iterator[Order]:
        return islice(self._keys, self._start, None)

    def add(self, key: Order) -> None:
        """Put one in."""
        keys = self._keys
        if len(keys) == self._start or keys[-1] < key:  # nearly always
            keys.append(key)
        else:
            keys.insert(bisect_left(keys, key, self._start), key)

    def remove(self, key: Order) -> None:
        """Take out one that is there."""
        del self._keys[bisect_left(self._keys, key, self._start)]

    def pop_first(self) -> Order:
        """Take out the first."""
        key = self._keys[self._start]
        self._start += 1
        # To close the gap moves all that is behind it: not for each.
        if self._start == _LEFT_TOGETHER:
            del self._keys[: self._start]
            self._start = 0
        return key
