# SPDX-License-Identifier: Apache-2.0
"""Where randomness comes from.

Rules:
- Protocol code draws randomness only from an `EntropySource` that it is handed, so that every
  vector and every state machine test can replay recorded values.
- The library's encapsulation draws its own randomness and takes none, so it is a source too.
- `SYSTEM_ENTROPY` is the default everywhere outside tests.
"""

import os
from functools import lru_cache
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PublicKey

__all__ = ["SYSTEM_ENTROPY", "Encapsulation", "EntropySource", "load_kem_public_key"]

Encapsulation = tuple[bytes, bytes]
"""A secret, 32 bytes, and the ciphertext that carries it, 1568 bytes."""
_Key = bytes  # within a class that has a method `bytes`, that name is the method


# The key of a bundle is checked, and then encapsulated to: the last one is kept, it takes 20 us.
@lru_cache(maxsize=1)
def load_kem_public_key(raw: bytes) -> MLKEM1024PublicKey:
    """Return the library's key of an ML-KEM-1024 key (1568 bytes, public).

    Raises:
        ValueError: it is none.

    Source: FIPS 203 section 7.2 (encapsulation key check).
    """
    return MLKEM1024PublicKey.from_public_bytes(raw)


class EntropySource(Protocol):
    """A source of uniformly random bytes."""

    def bytes(self, n: int) -> bytes:
        """Return `n` fresh random bytes, fit for keys."""
        ...

    def encapsulate(self, kem_public_key: _Key) -> Encapsulation:
        """Encapsulate a fresh secret to an ML-KEM-1024 key (1568 bytes, valid).

        Returns:
            The secret, 32 bytes, and the ciphertext, 1568 bytes.
        """
        ...


class _SystemEntropy:
    """The operating system's generator; holds no state, so it is safe across threads and fork."""

    __slots__ = ()

    def bytes(self, n: int) -> bytes:
        """Return `n` bytes from the operating system."""
        return os.urandom(n)

    def encapsulate(self, kem_public_key: _Key) -> Encapsulation:
        """Encapsulate with the library's own generator, which the operating system seeds."""
        return load_kem_public_key(kem_public_key).encapsulate()


SYSTEM_ENTROPY: EntropySource = _SystemEntropy()
