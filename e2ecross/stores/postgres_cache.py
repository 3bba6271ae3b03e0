# SPDX-License-Identifier: Apache-2.0
"""What a process keeps of stripes that it has used, valid as long as their versions are the same.

Rules:
- A stripe's values are taken out when a transaction of it begins, and brought back when that has
  ended well, with the versions that its commit left. So a block that fails leaves nothing.
- Of a bounded number of values the stripes that were used longest ago go first.
- Behind a gate, not a lock: an interrupt may leave it half done, and who comes next forgets all.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.stores.gate import Gate, Stay
from e2ecross.stores.value_cache import ValueCache

__all__ = ["Kept", "StripeCache"]

_WAIT_MS: Final = 60_000
"""Nobody is in there for longer than some microseconds."""


@dataclass(slots=True, eq=False)
class Kept:
    """What is known of a stripe.

    Attributes:
        versions: the server, and the versions of the stripe and of the store there. On another
            server the same numbers may stand for something else.
        own: values of its tables.
        device: values of stripe 0 and of the device that a transaction of this stripe has read.
    """

    versions: tuple[str, int, int]
    own: ValueCache
    device: ValueCache


class StripeCache:
    """Values by stripe; may be used by many threads.

    Args:
        limit: how many values are kept at most.
    """

    __slots__ = ("_count", "_gate", "_is_whole", "_limit", "_stripes")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gate = Gate()
        self._is_whole = True
        self._stripes: dict[int, Kept] = {}
        self._count = 0

    def take(self, stripe: int, versions: tuple[str, int, int]) -> Kept:
        """Return what is kept of a stripe, if it is of these versions; else a new one."""
        with Stay(self._gate, _WAIT_MS):
            kept = self._drop(stripe)
        if kept is None or kept.versions != versions:
            kept = Kept(versions, ValueCache(self._limit), ValueCache(self._limit))
        return kept

    def bring_back(self, stripe: int, kept: Kept) -> None:
        """Keep it again; what another thread has brought meanwhile is newer only if it says so."""
        with Stay(self._gate, _WAIT_MS):
            other = self._drop(stripe)
            if other is not None and other.versions > kept.versions:
                kept = other
            self._is_whole = False
            self._stripes[stripe] = kept
            self._count += _size(kept)
            self._is_whole = True
            while self._count > self._limit and self._stripes:
                self._drop(next(iter(self._stripes)))

    def clear(self) -> None:
        """Keep nothing any more."""
        with Stay(self._gate, _WAIT_MS):
            self._forget()

    def _drop(self, stripe: int) -> Kept | None:
        if not self._is_whole:
            self._forget()
        self._is_whole = False
        kept = self._stripes.pop(stripe, None)
        if kept is not None:
            self._count -= _size(kept)
        self._is_whole = True
        return kept

    def _forget(self) -> None:
        self._stripes, self._count = {}, 0
        self._is_whole = True

    def __repr__(self) -> str:
        return f"<StripeCache: {self._count} values of {len(self._stripes)} stripes>"


def _size(kept: Kept) -> int:
    return kept.own.size + kept.device.size
