# SPDX-License-Identifier: Apache-2.0
"""Whether an X25519 public key is a point of the subgroup of prime order.

An agreement does not need that, and X3DH does not ask for it. Deployed Signal clients refuse the
base key of a first message of version 4 that is not; an honest one always is.

Source: docs/wire-format.md, key agreement.
"""

import nacl.bindings

from e2ecross.crypto.keys import FIELD_PRIME, PublicKey
from e2ecross.errors import InvalidKey

__all__ = ["require_prime_order"]


def require_prime_order(public_key: PublicKey) -> None:
    """Refuse a point of the twist, and one with a component of low order.

    Raises:
        InvalidKey: the key is one of these.
    """
    u = int.from_bytes(public_key[1:], "little")
    # u = -1 cannot occur: it is of low order, and a `PublicKey` is not.
    y = (u - 1) * pow(u + 1, -1, FIELD_PRIME) % FIELD_PRIME
    if not nacl.bindings.crypto_core_ed25519_is_valid_point(y.to_bytes(32, "little")):
        raise InvalidKey("the public key is not a point of prime order")
