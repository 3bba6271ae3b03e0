# SPDX-License-Identifier: Apache-2.0
"""`InOrder`: places in a conversation in order, where most come last and leave first."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import chain
from typing import Final

__all__ = ["InOrder", "Order"]

Order = tuple[int, str, bytes]
"""Where a message stands: when it was sent (milliseconds), by which account, under which id."""
_CHUNK: Final = 256
"""What one list holds: to put something into it, or to take it out, moves all that is behind."""


class InOrder:
    """Different places, sorted: lists of them, each behind the one before, none empty."""

    __slots__ = ("_chunks",)

    def __init__(self) -> None:
        self._chunks: list[list[Order]] = []

    def __iter__(self) -> Iterator[Order]:
        return chain.from_iterable(self._chunks)

    def add(self, order: Order) -> None:
        """Put one in."""
        chunks = self._chunks
        if not chunks or (chunks[-1][-1] < order and len(chunks[-1]) == _CHUNK):
            chunks.append([order])
            return
        at = self._chunk_of(order)
        insort(chunks[at], order)
        if len(chunks[at]) > _CHUNK:
            chunks.insert(at + 1, chunks[at][_CHUNK // 2 :])
            del chunks[at][_CHUNK // 2 :]

    def remove(self, order: Order) -> None:
        """Take out one that is there."""
        at = self._chunk_of(order)
        self._take(at, bisect_left(self._chunks[at], order))

    def pop_first(self) -> Order:
        """Take out the first."""
        return self._take(0, 0)

    def _chunk_of(self, order: Order) -> int:
        """The list that it belongs in: the last that does not begin behind it, or the first."""
        return max(bisect_right(self._chunks, order, key=_first) - 1, 0)

    def _take(self, at: int, place: int) -> Order:
        order = self._chunks[at].pop(place)
        if not self._chunks[at]:
            del self._chunks[at]
        return order


def _first(chunk: list[Order]) -> Order:
    return chunk[0]
