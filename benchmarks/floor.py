# SPDX-License-Identifier: Apache-2.0
"""The floor: what a message costs if nothing but its primitives has to be computed.

Rules:
- The same bytes as the library makes, so nothing is left out (tests/benchmarks holds that).
- No state, no checks beyond the MAC, no errors of ours: this is a measure, not an implementation.
- Arranged as well as we know how: an HMAC as two SHA-256 over padded keys, both HMACs of a chain
  on the same pads, libsodium on raw bytes.
- Only public interfaces, and those of `hashlib`, `cryptography`, `nacl` and `protobuf` alone.
"""

import hmac
from hashlib import sha256, sha512
from os import urandom
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from nacl.bindings import (
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult,
    crypto_scalarmult_base,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_sign_open,
)

from e2ecross.wire._pb.signal import wire_pb2

__all__ = [
    "agree",
    "cbc_decrypt",
    "cbc_encrypt",
    "chain_keys",
    "decrypt",
    "encrypt",
    "extract",
    "fingerprint",
    "initiate",
    "initiator_agreements",
    "key_pair",
    "mac",
    "mac_of_parts",
    "message_keys",
    "next_root",
    "ratchet_key",
    "respond",
    "responder_agreements",
    "sign",
    "two_keys",
    "unwrap",
    "verify",
    "wrap",
]

_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST: Final = b"\x36" * 32
_OUTER_REST: Final = b"\x5c" * 32
_ZERO_SALT_INNER: Final = sha256(b"\x36" * 64)
_ZERO_SALT_OUTER: Final = sha256(b"\x5c" * 64)
_PRIME: Final = 2**255 - 19
_VERSION: Final = b"\x33"


def chain_keys(chain_key: bytes) -> tuple[bytes, bytes]:
    """KDF_CK: message key and next chain key."""
    inner = chain_key.translate(_INNER) + _INNER_REST
    outer = chain_key.translate(_OUTER) + _OUTER_REST
    return (
        sha256(outer + sha256(inner + b"\x01").digest()).digest(),
        sha256(outer + sha256(inner + b"\x02").digest()).digest(),
    )


def encrypt(
    message_key: bytes, ratchet_key: bytes, counters: tuple[int, int], ad: bytes, plaintext: bytes
) -> bytes:
    """A complete Signal message."""
    cipher_key, mac_key, iv = message_keys(extract(message_key))
    ciphertext = cbc_encrypt(cipher_key, iv, plaintext)
    body = (
        _VERSION
        + wire_pb2.SignalMessage(
            ratchet_key=ratchet_key,
            counter=counters[0],
            previous_counter=counters[1],
            ciphertext=ciphertext,
        ).SerializeToString()
    )
    return body + mac_of_parts(mac_key, ad, body)[:8]


def decrypt(message_key: bytes, ad: bytes, message: bytes) -> bytes:
    """The plaintext of a complete Signal message, whose MAC is checked."""
    cipher_key, mac_key, iv = message_keys(extract(message_key))
    body = message[:-8]
    ciphertext = wire_pb2.SignalMessage.FromString(body[1:]).ciphertext
    if not hmac.compare_digest(mac_of_parts(mac_key, ad, body)[:8], message[-8:]):
        raise ValueError("the MAC is wrong")
    return cbc_decrypt(cipher_key, iv, ciphertext)


def cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """AES-256-CBC with padding."""
    padding = 16 - len(plaintext) % 16
    encryptor = Cipher(AES256(key), CBC(iv)).encryptor()
    return encryptor.update(plaintext + bytes((padding,)) * padding) + encryptor.finalize()


def cbc_decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """The plaintext of `cbc_encrypt`."""
    decryptor = Cipher(AES256(key), CBC(iv)).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    return padded[: -padded[-1]]


def ratchet_key(message: bytes) -> bytes:
    """The ratchet key that a Signal message names."""
    return wire_pb2.SignalMessage.FromString(message[1:-8]).ratchet_key


def key_pair() -> tuple[bytes, bytes]:
    """A fresh private key (32 bytes, clamped) and its public key (33 bytes)."""
    raw = urandom(32)
    # XEdDSA takes the clamped key.
    private = bytes((raw[0] & 0xF8,)) + raw[1:31] + bytes((raw[31] & 0x7F | 0x40,))
    return private, b"\x05" + crypto_scalarmult_base(private)


def agree(private: bytes, public: bytes) -> bytes:
    """X25519 with a public key of 33 bytes."""
    return crypto_scalarmult(private, public[1:])


def next_root(root_key: bytes, agreement: bytes) -> tuple[bytes, bytes]:
    """KDF_RK: next root key and a chain key."""
    return two_keys(mac(root_key, agreement), b"WhisperRatchet")


def initiate(
    identity: bytes, base: bytes, their_identity: bytes, signed_prekey: bytes, one_time: bytes
) -> bytes:
    """X3DH of the initiator, from two private and three public keys: the root key."""
    return _initial_root(
        initiator_agreements(identity, base, their_identity, signed_prekey, one_time)
    )


def initiator_agreements(
    identity: bytes, base: bytes, their_identity: bytes, signed_prekey: bytes, one_time: bytes
) -> bytes:
    """What the keys of `initiate` agree on."""
    return (
        agree(identity, signed_prekey)
        + agree(base, their_identity)
        + agree(base, signed_prekey)
        + agree(base, one_time)
    )


def respond(
    identity: bytes, signed_prekey: bytes, one_time: bytes, their_identity: bytes, base: bytes
) -> bytes:
    """X3DH of the responder, from three private and two public keys: the root key."""
    return _initial_root(
        responder_agreements(identity, signed_prekey, one_time, their_identity, base)
    )


def responder_agreements(
    identity: bytes, signed_prekey: bytes, one_time: bytes, their_identity: bytes, base: bytes
) -> bytes:
    """What the keys of `respond` agree on."""
    return (
        agree(signed_prekey, their_identity)
        + agree(identity, base)
        + agree(signed_prekey, base)
        + agree(one_time, base)
    )


def sign(private: bytes, message: bytes) -> bytes:
    """XEdDSA; the private key is clamped."""
    point = crypto_scalarmult_ed25519_base_noclamp(private)
    prefix = b"\xfe" + b"\xff" * 31
    nonce = _scalar(sha512(prefix + private + message + urandom(64)).digest())
    nonce_point = crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = _scalar(sha512(nonce_point + point + message).digest())
    product = crypto_core_ed25519_scalar_mul(challenge, _scalar(private + bytes(32)))
    s = crypto_core_ed25519_scalar_add(nonce, product)
    return nonce_point + s[:31] + bytes((s[31] | point[31] & 0x80,))


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Check an XEdDSA signature by a key of 33 bytes; raises if it is wrong."""
    u = int.from_bytes(public[1:], "little")
    y = (u - 1) * pow(u + 1, -1, _PRIME) % _PRIME
    point = (y | (signature[63] & 0x80) << 248).to_bytes(32, "little")
    crypto_sign_open(signature[:63] + bytes((signature[63] & 0x7F,)) + message, point)


def wrap(ids: tuple[int, int, int], base_key: bytes, identity_key: bytes, message: bytes) -> bytes:
    """A first message; ids of one-time prekey, signed prekey and registration."""
    return (
        _VERSION
        + wire_pb2.PreKeySignalMessage(
            pre_key_id=ids[0],
            signed_pre_key_id=ids[1],
            registration_id=ids[2],
            base_key=base_key,
            identity_key=identity_key,
            message=message,
        ).SerializeToString()
    )


def unwrap(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Base key, identity key and message of a first message."""
    fields = wire_pb2.PreKeySignalMessage.FromString(data[1:])
    return fields.base_key, fields.identity_key, fields.message


def fingerprint(identifier: bytes, identity_key: bytes) -> bytes:
    """One party's half of a safety number before it is cut: 5,200 hashes."""
    digest = sha512(b"\x00\x00" + identity_key + identifier + identity_key).digest()
    for _ in range(5199):
        digest = sha512(digest + identity_key).digest()
    return digest


def message_keys(prk: bytes) -> tuple[bytes, bytes, bytes]:
    """Cipher key, MAC key and IV of what a message key was extracted to."""
    # Three HMACs with one key: its pads are hashed once, and copied.
    inner = sha256(prk.translate(_INNER) + _INNER_REST)
    outer = sha256(prk.translate(_OUTER) + _OUTER_REST)
    first = _finish(inner.copy(), outer.copy(), b"WhisperMessageKeys\x01")
    second = _finish(inner.copy(), outer.copy(), first + b"WhisperMessageKeys\x02")
    return first, second, _finish(inner, outer, second + b"WhisperMessageKeys\x03")[:16]


def _finish(inner: Any, outer: Any, data: bytes) -> bytes:  # noqa: ANN401 - typeshed hides it
    inner.update(data)
    outer.update(inner.digest())
    digest: bytes = outer.digest()
    return digest


def _initial_root(agreements: bytes) -> bytes:
    return two_keys(extract(b"\xff" * 32 + agreements), b"WhisperText")[0]


def two_keys(prk: bytes, info: bytes) -> tuple[bytes, bytes]:
    """HKDF's expansion to 64 bytes, in two halves."""
    inner = prk.translate(_INNER) + _INNER_REST
    outer = prk.translate(_OUTER) + _OUTER_REST
    first = sha256(outer + sha256(inner + info + b"\x01").digest()).digest()
    return first, sha256(outer + sha256(inner + first + info + b"\x02").digest()).digest()


def extract(ikm: bytes) -> bytes:
    """HKDF's extraction under the zero salt."""
    return _finish(_ZERO_SALT_INNER.copy(), _ZERO_SALT_OUTER.copy(), ikm)


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 under a key of 32 bytes."""
    inner = sha256(key.translate(_INNER) + _INNER_REST + data).digest()
    return sha256(key.translate(_OUTER) + _OUTER_REST + inner).digest()


def mac_of_parts(key: bytes, head: bytes, body: bytes) -> bytes:
    """The same over two parts, which are not put together."""
    inner = sha256(key.translate(_INNER) + _INNER_REST + head)
    inner.update(body)
    return sha256(key.translate(_OUTER) + _OUTER_REST + inner.digest()).digest()


def _scalar(wide: bytes) -> bytes:
    return crypto_core_ed25519_scalar_reduce(wide)
