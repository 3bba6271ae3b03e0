# SPDX-License-Identifier: Apache-2.0
"""Key encapsulation: Kyber-1024 for prekeys, and the parts of ML-KEM-768 for the ratchet.

Rules:
- Generation, decapsulation and validation are those of `cryptography` (ML-KEM, FIPS 203). Only
  the split encapsulation of ML-KEM-768 is ours (`mlkem_split.py`).
- A private key is kept as its seed, 64 bytes (d || z); everything else follows from it.
- A Kyber-1024 public key or ciphertext is 1569 bytes: 0x08 and ML-KEM-1024's 1568. Deployed
  Signal clients use CRYSTALS-Kyber of round 3, which hashes the shared secret once more with the
  ciphertext; apart from that its keys and ciphertexts are those of ML-KEM-1024.
- A forged ciphertext of the right length gives an unpredictable secret, not an error.

Source: FIPS 203 sections 5.2, 6 and 7; docs/wire-format.md, KEM keys.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, NewType

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
)

from e2ecross.crypto.entropy import EntropySource, load_kem_public_key
from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidArgument, InvalidKey

__all__ = [
    "KEM_CIPHERTEXT_BYTES",
    "KEM_PUBLIC_KEY_BYTES",
    "KEM_SECRET_BYTES",
    "KEM_SEED_BYTES",
    "SPLIT_CIPHERTEXT_BYTES",
    "SPLIT_HEADER_BYTES",
    "SPLIT_VECTOR_BYTES",
    "KemKeyPair",
    "KemPublicKey",
    "decapsulate",
    "decapsulate_split",
    "decode_kem_ciphertext",
    "decode_kem_public_key",
    "encapsulate",
    "generate_kem_key_pair",
    "kem_key_pair_from_seed",
    "split_public_key",
    "verify_split_vector",
]

KEM_SEED_BYTES: Final = 64
KEM_SECRET_BYTES: Final = 32
KEM_PUBLIC_KEY_BYTES: Final = 1569
KEM_CIPHERTEXT_BYTES: Final = 1569

SPLIT_HEADER_BYTES: Final = 64
"""The first part of an ML-KEM-768 key in the ratchet: rho, and the hash of the whole key."""
SPLIT_VECTOR_BYTES: Final = 1152
"""Its second part: the vector t, which comes before rho in the key itself."""
SPLIT_CIPHERTEXT_BYTES: Final = 1088

_TYPE_KYBER_1024: Final = 0x08
_RHO_BYTES: Final = 32

KemPublicKey = NewType("KemPublicKey", bytes)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class KemKeyPair(Secret):
    """A Kyber-1024 key pair.

    Attributes:
        seed: 64 bytes, secret; what is stored.
        public: 1569 bytes.
        private: the library's key, made of the seed.
    """

    seed: bytes
    public: KemPublicKey
    private: MLKEM1024PrivateKey


def decode_kem_public_key(data: bytes) -> KemPublicKey:
    """Check the wire form of a Kyber-1024 public key (1569 bytes).

    Raises:
        InvalidKey: not 1569 bytes, not of type 0x08, or not an ML-KEM-1024 key.

    Source: FIPS 203 section 7.2 (encapsulation key check).
    """
    _require_kyber_form(data, KEM_PUBLIC_KEY_BYTES, "public key")
    try:
        load_kem_public_key(bytes(data[1:]))
    except ValueError as error:
        raise InvalidKey("the KEM public key is not in canonical form") from error
    return KemPublicKey(bytes(data))


def decode_kem_ciphertext(data: bytes) -> bytes:
    """Check the wire form of a Kyber-1024 ciphertext (1569 bytes).

    Raises:
        InvalidKey: not 1569 bytes, or not of type 0x08.
    """
    _require_kyber_form(data, KEM_CIPHERTEXT_BYTES, "ciphertext")
    return bytes(data)


def kem_key_pair_from_seed(seed: bytes) -> KemKeyPair:
    """Make the Kyber-1024 key pair of a seed (64 bytes, d || z, secret).

    Raises:
        InvalidArgument: not 64 bytes.

    Source: FIPS 203 section 6.1 (ML-KEM.KeyGen_internal).
    """
    _require_seed(seed)
    private = MLKEM1024PrivateKey.from_seed_bytes(seed)
    public = bytes((_TYPE_KYBER_1024,)) + private.public_key().public_bytes_raw()
    return KemKeyPair(seed, KemPublicKey(public), private)


def generate_kem_key_pair(entropy: EntropySource) -> KemKeyPair:
    """Draw a Kyber-1024 key pair (64 bytes of entropy)."""
    return kem_key_pair_from_seed(entropy.bytes(KEM_SEED_BYTES))


def encapsulate(public_key: KemPublicKey, entropy: EntropySource) -> tuple[bytes, bytes]:
    """Encapsulate a fresh secret to a Kyber-1024 key (1569 bytes); draws one encapsulation.

    Returns:
        The secret, 32 bytes, and the ciphertext, 1569 bytes.
    """
    secret, ciphertext = entropy.encapsulate(public_key[1:])
    return _round_3_secret(secret, ciphertext), bytes((_TYPE_KYBER_1024,)) + ciphertext


def decapsulate(key_pair: KemKeyPair, ciphertext: bytes) -> bytes:
    """Return the secret (32 bytes) that was encapsulated to a Kyber-1024 key.

    Args:
        key_pair: the key.
        ciphertext: 1569 bytes, from outside.

    Raises:
        InvalidKey: the ciphertext does not have 1569 bytes, or is not of type 0x08.
    """
    raw = decode_kem_ciphertext(ciphertext)[1:]
    return _round_3_secret(key_pair.private.decapsulate(raw), raw)


def split_public_key(seed: bytes) -> tuple[bytes, bytes]:
    """Make the ML-KEM-768 public key of a seed (64 bytes, d || z, secret), in two parts.

    Returns:
        The header, 64 bytes: rho and the hash of the key; and the vector, 1152 bytes.

    Raises:
        InvalidArgument: not 64 bytes.
    """
    _require_seed(seed)
    key = MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()
    return key[SPLIT_VECTOR_BYTES:] + hashlib.sha3_256(key).digest(), key[:SPLIT_VECTOR_BYTES]


def decapsulate_split(seed: bytes, ciphertext: bytes) -> bytes:
    """Return the secret (32 bytes) that was encapsulated to the ML-KEM-768 key of a seed.

    Args:
        seed: 64 bytes, secret.
        ciphertext: both parts together, 1088 bytes.

    Raises:
        InvalidArgument: the seed does not have 64 bytes, or the ciphertext not 1088.
    """
    _require_seed(seed)
    if len(ciphertext) != SPLIT_CIPHERTEXT_BYTES:
        raise InvalidArgument(
            f"a ciphertext has {SPLIT_CIPHERTEXT_BYTES} bytes, not {len(ciphertext)}"
        )
    return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)


def verify_split_vector(header: bytes, vector: bytes) -> None:
    """Check that a vector (1152 bytes) belongs to a header (64 bytes), and is a valid key.

    Raises:
        InvalidKey: wrong length, another hash, or a coefficient that is not reduced.

    Source: FIPS 203 section 7.2 (encapsulation key check).
    """
    key = vector + header[:_RHO_BYTES]
    if len(vector) != SPLIT_VECTOR_BYTES or len(header) != SPLIT_HEADER_BYTES:
        raise InvalidKey("a part of a KEM public key has the wrong length")
    if hashlib.sha3_256(key).digest() != header[_RHO_BYTES:]:
        raise InvalidKey("the parts of a KEM public key do not belong together")
    try:
        MLKEM768PublicKey.from_public_bytes(key)
    except ValueError as error:
        raise InvalidKey("the KEM public key is not in canonical form") from error


def _round_3_secret(secret: bytes, ciphertext: bytes) -> bytes:
    """The secret as CRYSTALS-Kyber of round 3 derives it from that of ML-KEM."""
    hashed = hashlib.sha3_256(ciphertext).digest()
    return hashlib.shake_256(secret + hashed).digest(KEM_SECRET_BYTES)


def _require_kyber_form(data: bytes, length: int, what: str) -> None:
    if len(data) != length:
        raise InvalidKey(f"a KEM {what} has {length} bytes, not {len(data)}")
    if data[0] != _TYPE_KYBER_1024:
        raise InvalidKey(f"KEM {what} type {data[0]:#04x} is not supported, only 0x08 is")


def _require_seed(seed: bytes) -> None:
    if len(seed) != KEM_SEED_BYTES:
        raise InvalidArgument(f"a KEM seed has {KEM_SEED_BYTES} bytes, not {len(seed)}")
