# SPDX-License-Identifier: Apache-2.0
"""Whether an X25519 public key is a point of the subgroup of prime order.

An agreement does not need that, and X3DH does not ask for it. Deployed Signal clients refuse the
base key of a first message of version 4 that is not; an honest one always is.

Source: docs/wire-format.md, key agreement.
"""

from typing import Final

import nacl.bindings
import nacl.exceptions

from e2ecross.crypto.edwards import edwards_y
from e2ecross.crypto.keys import FIELD_PRIME, PublicKey
from e2ecross.errors import InvalidKey

__all__ = ["require_prime_order"]

_ORDER_MINUS_1: Final = (2**252 + 27742317777372353535851937790883648493 - 1).to_bytes(32, "little")

# libsodium has a check that takes half the time. The one in PyNaCl 1.5.0 lets points with a
# component of order 2 pass, so it is asked about one of these: (x, y) plus (0, -1) is (-x, -y).
_BASE_POINT_Y: Final = 4 * pow(5, -1, FIELD_PRIME)
_HAS_SOUND_CHECK: Final = not nacl.bindings.crypto_core_ed25519_is_valid_point(
    (-_BASE_POINT_Y % FIELD_PRIME).to_bytes(32, "little")
)


def require_prime_order(public_key: PublicKey) -> None:
    """Refuse a point of the twist, and one with a component of low order.

    Raises:
        InvalidKey: the key is one of these.
    """
    point = edwards_y(public_key).to_bytes(32, "little")
    check = (
        nacl.bindings.crypto_core_ed25519_is_valid_point if _HAS_SOUND_CHECK else _has_prime_order
    )
    if not check(point):
        raise InvalidKey("the public key is not a point of prime order")


def _has_prime_order(point: bytes) -> bool:
    """The same check, for a libsodium whose own one is not sound."""
    try:
        multiple = nacl.bindings.crypto_scalarmult_ed25519_noclamp(_ORDER_MINUS_1, point)
    except nacl.exceptions.CryptoError:
        return False  # libsodium refuses the point; no accepted one has y = 0
    # The order of a point P divides n if (n-1)P is -P: the same y, the other sign.
    return multiple[:31] + bytes((multiple[31] & 0x7F,)) == point
