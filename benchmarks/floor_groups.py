# SPDX-License-Identifier: Apache-2.0
"""The floor of sender keys: what a message to a group costs if nothing but its primitives is there.

The rules are those of `benchmarks/floor.py`. What all signatures of a key share is made before.
"""

from hashlib import sha512
from os import urandom
from typing import Final, NamedTuple

from nacl.bindings import (
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_sign_open,
)

from benchmarks import floor
from e2ecross.wire._pb.signal import wire_pb2

__all__ = ["SigningKey", "decrypt", "encrypt", "ready", "sign", "take_in", "verify"]

_VERSION: Final = b"\x33"
_NONCE_PREFIX: Final = b"\xfe" + b"\xff" * 31
_GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_SIGNATURE_BYTES: Final = 64


class SigningKey(NamedTuple):
    """A private key (clamped), its point on the Edwards curve, and the key by the group order."""

    private: bytes
    point: bytes
    scalar: bytes


def ready(private: bytes) -> SigningKey:
    """What all signatures of a key share."""
    point = crypto_scalarmult_ed25519_base_noclamp(private)
    return SigningKey(private, point, crypto_core_ed25519_scalar_reduce(private + bytes(32)))


def sign(key: SigningKey, message: bytes) -> bytes:
    """XEdDSA."""
    digest = sha512(_NONCE_PREFIX + key.private + message + urandom(64)).digest()
    nonce = crypto_core_ed25519_scalar_reduce(digest)
    nonce_point = crypto_scalarmult_ed25519_base_noclamp(nonce)
    wide = int.from_bytes(sha512(nonce_point + key.point + message).digest(), "little")
    challenge = (wide % _GROUP_ORDER).to_bytes(32, "little")
    product = crypto_core_ed25519_scalar_mul(challenge, key.scalar)
    s = crypto_core_ed25519_scalar_add(nonce, product)
    return nonce_point + s[:31] + bytes((s[31] | key.point[31] & 0x80,))


def verify(point: bytes, message: bytes, signature: bytes) -> None:
    """Check a signature by a key whose point is there; raises if it is wrong."""
    unsigned = signature[:63] + bytes((signature[63] & 0x7F,))
    crypto_sign_open(unsigned + message, point)


def encrypt(
    seed: bytes, key: SigningKey, distribution_id: bytes, numbers: tuple[int, int], plaintext: bytes
) -> bytes:
    """A complete message to a group; numbers: chain id and iteration."""
    iv, cipher_key = _message_keys(seed)
    body = (
        _VERSION
        + wire_pb2.SenderKeyMessage(
            distribution_id=distribution_id,
            chain_id=numbers[0],
            iteration=numbers[1],
            ciphertext=floor.cbc_encrypt(cipher_key, iv, plaintext),
        ).SerializeToString()
    )
    return body + sign(key, body)


def decrypt(seed: bytes, point: bytes, message: bytes) -> bytes:
    """The plaintext of a complete message to a group, whose signature is checked."""
    body = message[:-_SIGNATURE_BYTES]
    ciphertext = wire_pb2.SenderKeyMessage.FromString(body[1:]).ciphertext
    verify(point, body, message[-_SIGNATURE_BYTES:])
    iv, cipher_key = _message_keys(seed)
    return floor.cbc_decrypt(cipher_key, iv, ciphertext)


def take_in(data: bytes) -> tuple[bytes, bytes]:
    """Chain key and signing key of a distribution message; there are no other primitives in it."""
    fields = wire_pb2.SenderKeyDistributionMessage.FromString(data[1:])
    return fields.chain_key, fields.signing_key


def _message_keys(seed: bytes) -> tuple[bytes, bytes]:
    first, second = floor.two_keys(floor.extract(seed), b"WhisperGroup")
    okm = first + second
    return okm[:16], okm[16:48]
