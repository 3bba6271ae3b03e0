# SPDX-License-Identifier: Apache-2.0
"""Entropy that can be repeated: by seed, or from a record."""

import hashlib
from collections.abc import Iterable

from e2ecross.crypto.entropy import Encapsulation
from tests.support import mlkem

__all__ = ["NO_ENTROPY", "ReplayedEntropy", "SeededEntropy"]

_Key = bytes  # within a class that has a method `bytes`, that name is the method


class SeededEntropy:
    """Deterministic bytes: two sources of the same seed give the same sequence.

    Bytes come from SHA-512 over the seed and a counter, so that different seeds never overlap.
    """

    def __init__(self, seed: int | str) -> None:
        """Begin the sequence of that seed."""
        self._seed = repr(seed).encode()
        self._counter = 0

    def bytes(self, n: int) -> bytes:
        """Return the next `n` bytes; a request begins a new block, so requests are independent."""
        out = b""
        while len(out) < n:
            out += hashlib.sha512(self._seed + b"/" + str(self._counter).encode()).digest()
            self._counter += 1
        return out[:n]

    def encapsulate(self, kem_public_key: _Key) -> Encapsulation:
        """Encapsulate the next 32 bytes."""
        return mlkem.encapsulate(kem_public_key, self.bytes(32))


class ReplayedEntropy:
    """Recorded values, each handed out once and in order.

    A request for another length than the recorded one, or for more than was recorded, is an
    `AssertionError`: the code under test draws other randomness than the record says. A recorded
    encapsulation is a pair: the secret (32 bytes) and the ciphertext.
    """

    def __init__(self, values: Iterable[_Key | Encapsulation]) -> None:
        """Take the values to hand out."""
        self._values = list(values)
        self._next = 0

    def bytes(self, n: int) -> bytes:
        """Return the next value, which must have `n` bytes."""
        value = self._peek(f"{n} bytes drawn")
        if isinstance(value, tuple):
            raise AssertionError(f"{n} bytes drawn, but value {self._next} is an encapsulation")
        if len(value) != n:
            raise AssertionError(f"{n} bytes drawn, but value {self._next} has {len(value)}")
        self._next += 1
        return value

    def encapsulate(self, kem_public_key: _Key) -> Encapsulation:
        """Return the next value, which must be an encapsulation, whatever the key."""
        value = self._peek("an encapsulation drawn")
        if not isinstance(value, tuple):
            raise AssertionError(f"an encapsulation drawn, but value {self._next} is none")
        self._next += 1
        return value

    def _peek(self, what: str) -> _Key | Encapsulation:
        if self._next == len(self._values):
            raise AssertionError(f"{what}, but all {self._next} recorded values are used")
        return self._values[self._next]

    @property
    def left(self) -> int:
        """How many values have not been drawn."""
        return len(self._values) - self._next


NO_ENTROPY = ReplayedEntropy(())
"""For operations that must not draw any."""
