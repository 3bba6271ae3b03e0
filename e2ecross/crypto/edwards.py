# SPDX-License-Identifier: Apache-2.0
"""The Edwards form of X25519 public keys, which signatures and the check of the order work with.

Source: XEdDSA (revision 1, 2016-10-20) section 2.3 (convert_mont).
"""

from functools import lru_cache
from typing import Final

from e2ecross.crypto.keys import FIELD_PRIME, PublicKey

__all__ = ["edwards_y"]

_REMEMBERED: Final = 1_024
"""Of those who write to a group, each signs again and again: it takes 10 us, and 250 bytes."""


@lru_cache(_REMEMBERED)
def edwards_y(public_key: PublicKey) -> int:
    """Convert u to the Edwards y = (u-1)/(u+1).

    u = -1 cannot occur: it is of low order, and a `PublicKey` is not.
    """
    u = int.from_bytes(public_key[1:], "little")
    return (u - 1) * pow(u + 1, -1, FIELD_PRIME) % FIELD_PRIME
