# SPDX-License-Identifier: Apache-2.0
"""XEdDSA: Ed25519-shaped signatures by X25519 identity keys, as Signal clients make them.

Rules:
- Secret scalars live in bytes and go through libsodium's constant-time group operations; no
  Python integer ever holds one.
- Signatures are checked strictly: s below the group order. Nothing depends on malleability.
  libsodium checks one in 53 us, `cryptography` in 105.
- The challenge is public, and so may be an integer: whoever verifies computes it too.
- The sign of the Edwards point travels in the top bit of the signature. (The published text
  negates the scalar instead; deployed clients do not, and verification is the same.)

Source: XEdDSA (revision 1, 2016-10-20) sections 2.3, 2.5 and 3, with the difference above
(docs/wire-format.md, signatures).
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import nacl.bindings
from nacl.exceptions import BadSignatureError

from e2ecross.crypto.edwards import edwards_y
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import KeyPair, PublicKey
from e2ecross.errors import InvalidSignature

__all__ = ["SIGNATURE_BYTES", "SigningKey", "make_signing_key", "sign", "verify_signature"]

_sha512 = hashlib.sha512

SIGNATURE_BYTES: Final = 64
_RANDOM_BYTES: Final = 64
_SIGN_BIT: Final = 0x80
_UNUSED_BITS_OF_S: Final = 0x60  # s is below 2^253; the bit above these carries the sign
_GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
# hash_1 of section 2.5: separates the nonce's hash from every other use of SHA-512.
_NONCE_PREFIX: Final = b"\xfe" + b"\xff" * 31


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SigningKey(KeyPair):
    """A key pair that signs one message after another: what all its signatures share is made once.

    Attributes:
        private: 32 bytes, clamped, secret.
        public: 33 bytes.
        point: the public key as a point of the Edwards curve, 32 bytes.
        scalar: the private key, reduced by the group order, 32 bytes, secret.
    """

    point: bytes
    scalar: bytes


def make_signing_key(key_pair: KeyPair) -> SigningKey:
    """Make what all signatures of a key pair share; a signature takes two fifths less then.

    Source: XEdDSA section 3 (calculate_key_pair, without its negation).
    """
    a = key_pair.private
    point = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(a)
    scalar = nacl.bindings.crypto_core_ed25519_scalar_reduce(a + bytes(32))
    return SigningKey(a, key_pair.public, point, scalar)


def sign(key_pair: KeyPair, message: bytes, entropy: EntropySource) -> bytes:
    """Sign a message with an identity key (draws 64 bytes of entropy).

    Args:
        key_pair: its key pair; a `SigningKey` is faster.
        message: any length.
        entropy: for the nonce.

    Returns:
        The signature, 64 bytes.

    Source: XEdDSA section 3 (xeddsa_sign), without the negation of calculate_key_pair.
    """
    key = key_pair if isinstance(key_pair, SigningKey) else make_signing_key(key_pair)
    random = entropy.bytes(_RANDOM_BYTES)
    nonce = nacl.bindings.crypto_core_ed25519_scalar_reduce(
        _sha512(_NONCE_PREFIX + key.private + message + random).digest()
    )
    nonce_point = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = int.from_bytes(_sha512(nonce_point + key.point + message).digest(), "little")
    s = nacl.bindings.crypto_core_ed25519_scalar_add(
        nonce,
        nacl.bindings.crypto_core_ed25519_scalar_mul(
            (challenge % _GROUP_ORDER).to_bytes(32, "little"), key.scalar
        ),
    )
    return nonce_point + s[:31] + bytes((s[31] | key.point[31] & _SIGN_BIT,))


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
