# SPDX-License-Identifier: Apache-2.0
"""Message keys of messages that have not arrived yet: MKSKIPPED of one receiving chain.

Rules:
- Immutable. A changed copy shares every bucket that did not change, so that one late message
  costs the same whether ten keys are stored or two thousand.
- A bucket holds up to 64 neighbouring message numbers. It is what the store keeps in one row;
  whether a bucket must be written again is told by identity (`is`).
- Buckets that an operation does not need may be left in the store; the count is of all keys, at
  hand or not. Keys that go because there are too many are then only counted (`forgotten`), and
  whoever holds the rows removes that many of the lowest numbers.

Source: Double Ratchet (revision 1, 2016-11-20) sections 3.2 and 6.4 (bounds).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from e2ecross.crypto.kdf import MessageKey
from e2ecross.crypto.secret import Secret

__all__ = ["NO_SKIPPED_KEYS", "SkippedKeys"]

_BUCKET_BITS: Final = 6

_Bucket = Mapping[int, MessageKey]


class SkippedKeys(Secret):
    """An immutable mapping of message number to message key (32 bytes, secret).

    Attributes:
        buckets: those at hand.
        forgotten: how many of the lowest numbers are to be removed where the rest is kept.
    """

    __slots__ = ("_count", "buckets", "forgotten")

    def __init__(
        self, buckets: Mapping[int, _Bucket], count: int | None = None, forgotten: int = 0
    ) -> None:
        """Take over buckets; neither they nor the mapping may be changed afterwards.

        Args:
            buckets: bucket number to its keys.
            count: of all keys, also those not at hand; None if these are all.
            forgotten: see above.
        """
        self.buckets = buckets
        self._count = sum(map(len, buckets.values())) if count is None else count
        self.forgotten = forgotten

    def __len__(self) -> int:
        return self._count

    def left_in_store(self) -> "SkippedKeys":
        """Return the same keys, none of them at hand."""
        return SkippedKeys({}, self._count) if self._count else NO_SKIPPED_KEYS

    @staticmethod
    def bucket_of(number: int) -> int:
        """Return the number of the bucket that a message number belongs to."""
        return number >> _BUCKET_BITS

    def get(self, number: int) -> MessageKey | None:
        """Return the key of that message, or None."""
        bucket = self.buckets.get(number >> _BUCKET_BITS)
        return None if bucket is None else bucket.get(number)

    def without(self, number: int) -> "SkippedKeys":
        """Return a copy that lacks one stored key."""
        index = number >> _BUCKET_BITS
        bucket = {n: key for n, key in self.buckets[index].items() if n != number}
        buckets = dict(self.buckets)
        if bucket:
            buckets[index] = bucket
        else:
            del buckets[index]
        return SkippedKeys(buckets, self._count - 1, self.forgotten)

    def with_keys(self, first_number: int, keys: Sequence[MessageKey]) -> "SkippedKeys":
        """Return a copy that also holds keys of consecutive message numbers."""
        if not keys:
            return self
        buckets = dict(self.buckets)
        added: dict[int, dict[int, MessageKey]] = {}
        for number, key in enumerate(keys, first_number):
            index = number >> _BUCKET_BITS
            if index not in added:
                added[index] = dict(buckets.get(index, ()))
            added[index][number] = key
        count = self._count
        for index, bucket in added.items():
            count += len(bucket) - len(buckets.get(index, ()))
            buckets[index] = bucket
        return SkippedKeys(buckets, count, self.forgotten)

    def newest(self, limit: int) -> "SkippedKeys":
        """Return a copy with the `limit` highest message numbers."""
        surplus = self._count - limit
        if surplus <= 0:
            return self
        if sum(map(len, self.buckets.values())) < self._count:
            return SkippedKeys(self.buckets, limit, self.forgotten + surplus)
        # All that are left are at hand; what was forgotten before is still to be removed.
        buckets = dict(self.buckets)
        for index in sorted(buckets):
            if not surplus:
                break
            bucket = buckets[index]
            if len(bucket) > surplus:
                kept = sorted(bucket)[surplus:]
                buckets[index] = {number: bucket[number] for number in kept}
                break
            surplus -= len(bucket)
            del buckets[index]
        return SkippedKeys(buckets, limit, self.forgotten)


NO_SKIPPED_KEYS: Final = SkippedKeys({})
