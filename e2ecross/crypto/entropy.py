# SPDX-License-Identifier: Apache-2.0
"""Where randomness comes from.

Rules:
- Protocol code draws randomness only from an `EntropySource` that it is handed, so that every
  vector and every state machine test can replay recorded values.
- `SYSTEM_ENTROPY` is the default everywhere outside tests.
"""

import os
from typing import Protocol

__all__ = ["SYSTEM_ENTROPY", "EntropySource"]


class EntropySource(Protocol):
    """A source of uniformly random bytes."""

    def bytes(self, n: int) -> bytes:
        """Return `n` fresh random bytes, fit for keys."""
        ...


class _SystemEntropy:
    """The operating system's generator; holds no state, so it is safe across threads and fork."""

    __slots__ = ()

    def bytes(self, n: int) -> bytes:
        """Return `n` bytes from the operating system."""
        return os.urandom(n)


SYSTEM_ENTROPY: EntropySource = _SystemEntropy()
