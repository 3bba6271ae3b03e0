# SPDX-License-Identifier: Apache-2.0
"""Key derivation: HMAC, HKDF, and every label of the protocol.

Rules:
- Labels and constants stand here and nowhere else; those of the SPQR ratchet in `spqr_kdf.py`.
- One type per kind of key, so that the type checker refuses a mix-up.
- HMAC under a key of exactly 32 bytes is put together from two calls of `hashlib.sha256`, as RFC
  2104 defines it: that takes 0.9 us here, `hmac.digest` takes 1.5, and a message needs seven. The
  tests hold it against `hmac`. Every other HMAC is `hmac.digest`.

Sources: RFC 2104 (HMAC), RFC 5869 (HKDF); Double Ratchet (revision 1, 2016-11-20) section 5.2;
X3DH (revision 1, 2016-11-04) section 2.2. The labels are those of deployed Signal clients.
"""

import hashlib
import hmac
from typing import Any, Final, NamedTuple, NewType

from e2ecross.crypto.secret import Secret, SecretTuple, new_tuple
from e2ecross.errors import InvalidArgument

__all__ = [
    "KEY_BYTES",
    "ChainKey",
    "HmacKey",
    "MessageKey",
    "MessageKeys",
    "RootKey",
    "SenderMessageKeys",
    "derive_initial_keys",
    "derive_message_and_chain_key",
    "derive_message_key",
    "derive_message_keys",
    "derive_next_chain_key",
    "derive_root_and_chain_key",
    "derive_sender_message_keys",
    "extract_to_pads",
    "hash_base_key",
    "hash_kem_ciphertext",
    "hkdf",
    "hmac_of_parts",
    "hmac_sha256",
    "hmac_with_key",
    "is_equal",
    "iterated_sha512",
]

_sha256 = hashlib.sha256

KEY_BYTES: Final = 32
"""Length of root keys, chain keys and message keys."""

RootKey = NewType("RootKey", bytes)
ChainKey = NewType("ChainKey", bytes)
MessageKey = NewType("MessageKey", bytes)

_X3DH_PREFIX: Final = b"\xff" * 32  # X3DH section 2.2: F, for X25519
_ZERO_SALT: Final = bytes(32)
_X3DH_INFO: Final = b"WhisperText"
_ROOT_INFO: Final = b"WhisperRatchet"
_MESSAGE_INFO: Final = b"WhisperMessageKeys"
_SENDER_INFO: Final = b"WhisperGroup"
_MESSAGE_KEY_INPUT: Final = b"\x01"
_CHAIN_KEY_INPUT: Final = b"\x02"
_BASE_KEY_HASH_PREFIX: Final = b"e2ecross seen base key"
_KEM_CIPHERTEXT_HASH_PREFIX: Final = b"e2ecross used KEM ciphertext"
_MEMORY_HASH_BYTES: Final = 16

# RFC 2104, section 2: the key XOR ipad or opad, filled up to SHA-256's block of 64 bytes.
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_INNER_FILL: Final = b"\x36" * 32
_OUTER_FILL: Final = b"\x5c" * 32
# The states of SHA-256 after the pads of a key of zeros, which is the salt of most extractions.
_ZERO_INNER: Final = hashlib.sha256(b"\x36" * 64)
_ZERO_OUTER: Final = hashlib.sha256(b"\x5c" * 64)
_MESSAGE_BLOCK_1: Final = _MESSAGE_INFO + b"\x01"
_MESSAGE_BLOCK_2: Final = _MESSAGE_INFO + b"\x02"
_MESSAGE_BLOCK_3: Final = _MESSAGE_INFO + b"\x03"
_SENDER_BLOCK_1: Final = _SENDER_INFO + b"\x01"
_SENDER_BLOCK_2: Final = _SENDER_INFO + b"\x02"
_ROOT_BLOCK_1: Final = _ROOT_INFO + b"\x01"
_ROOT_BLOCK_2: Final = _ROOT_INFO + b"\x02"


class _MessageKeysFields(NamedTuple):
    cipher_key: bytes
    mac_key: bytes
    iv: bytes


class MessageKeys(SecretTuple, _MessageKeysFields):
    """What one message key expands to; used for one message and then gone.

    Attributes:
        cipher_key: AES-256 key, 32 bytes, secret.
        mac_key: HMAC-SHA-256 key, 32 bytes, secret.
        iv: CBC initialisation vector, 16 bytes.
    """

    __slots__ = ()


class _SenderMessageKeysFields(NamedTuple):
    cipher_key: bytes
    iv: bytes


class SenderMessageKeys(SecretTuple, _SenderMessageKeysFields):
    """What the seed of one group message expands to; used for one message and then gone.

    Attributes:
        cipher_key: AES-256 key, 32 bytes, secret.
        iv: CBC initialisation vector, 16 bytes.
    """

    __slots__ = ()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256, 32 bytes."""
    return hmac.digest(key, data, "sha256")


def hmac_with_key(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256, 32 bytes, under a key of exactly 32 bytes.

    Raises:
        InvalidArgument: the key has another length: what is computed here would be no HMAC.

    Source: RFC 2104 section 2.
    """
    _require_key(key)
    inner, outer = _pads(key)
    return _sha256(outer + _sha256(inner + data).digest()).digest()


class HmacKey(Secret):
    """A key of HMAC-SHA-256 for many calls: its pads are hashed once, which halves each call.

    Args:
        key: exactly 32 bytes, secret.

    Raises:
        InvalidArgument: the key has another length.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        _require_key(key)
        inner, outer = _pads(key)
        self._inner, self._outer = _sha256(inner), _sha256(outer)

    def digest(self, data: bytes) -> bytes:
        """HMAC-SHA-256 under the key, 32 bytes."""
        return _finish(self._inner.copy(), self._outer.copy(), data)


def hmac_of_parts(key: bytes, head: bytes, body: bytes) -> bytes:
    """The same over head || body, which is not copied: 3 us less where it has 64 KiB."""
    _require_key(key)
    inner, outer = _pads(key)
    digest = _sha256(inner + head)
    digest.update(body)
    return _sha256(outer + digest.digest()).digest()


def is_equal(left: bytes | memoryview, right: bytes) -> bool:
    """Compare two secrets or tags in time that depends on their lengths only."""
    return hmac.compare_digest(left, right)


def hkdf(salt: bytes, ikm: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256 (RFC 5869): `length` bytes, at most 8,160, from the input key material."""
    prk = hmac.digest(salt, ikm, "sha256")
    block = okm = b""
    counter = 1
    while len(okm) < length:
        block = hmac.digest(prk, block + info + bytes((counter,)), "sha256")
        okm += block
        counter += 1
    return okm[:length]


def derive_initial_keys(dh_outputs: bytes) -> tuple[RootKey, ChainKey]:
    """Turn the concatenated agreements of X3DH into the first root key and chain key.

    Args:
        dh_outputs: DH1 || DH2 || DH3 [|| DH4], 96 or 128 bytes, secret.

    Source: X3DH sections 2.2 (KDF) and 3.3.
    """
    okm = hkdf(_ZERO_SALT, _X3DH_PREFIX + dh_outputs, _X3DH_INFO, 2 * KEY_BYTES)
    return RootKey(okm[:KEY_BYTES]), ChainKey(okm[KEY_BYTES:])


def derive_root_and_chain_key(root_key: RootKey, dh_output: bytes) -> tuple[RootKey, ChainKey]:
    """KDF_RK: mix one agreement (32 bytes, secret) into the root chain.

    Returns:
        The next root key and a fresh chain key, 32 bytes each.

    Source: Double Ratchet sections 3.1 and 5.2 (KDF_RK).
    """
    inner, outer = _pads(hmac_with_key(root_key, dh_output))
    first = _sha256(outer + _sha256(inner + _ROOT_BLOCK_1).digest()).digest()
    second = _sha256(outer + _sha256(inner + first + _ROOT_BLOCK_2).digest()).digest()
    return RootKey(first), ChainKey(second)


def derive_message_key(chain_key: ChainKey) -> MessageKey:
    """KDF_CK, first half: the message key (32 bytes) at this place of the chain.

    Source: Double Ratchet sections 3.1 and 5.2 (KDF_CK, constant 0x01).
    """
    return MessageKey(hmac_with_key(chain_key, _MESSAGE_KEY_INPUT))


def derive_next_chain_key(chain_key: ChainKey) -> ChainKey:
    """KDF_CK, second half: the chain key (32 bytes) of the next place.

    Source: Double Ratchet sections 3.1 and 5.2 (KDF_CK, constant 0x02).
    """
    return ChainKey(hmac_with_key(chain_key, _CHAIN_KEY_INPUT))


def derive_message_and_chain_key(chain_key: ChainKey) -> tuple[MessageKey, ChainKey]:
    """KDF_CK: the message key at this place of the chain, and the next chain key, 32 bytes each.

    The same as `derive_message_key` and `derive_next_chain_key`, for less.

    Source: Double Ratchet sections 3.1 and 5.2 (KDF_CK).
    """
    inner, outer = _pads(chain_key)
    return (
        MessageKey(_sha256(outer + _sha256(inner + _MESSAGE_KEY_INPUT).digest()).digest()),
        ChainKey(_sha256(outer + _sha256(inner + _CHAIN_KEY_INPUT).digest()).digest()),
    )


def derive_message_keys(message_key: MessageKey, pq_key: bytes | None = None) -> MessageKeys:
    """Expand a message key (32 bytes) into cipher key, MAC key and IV.

    Args:
        message_key: 32 bytes, secret.
        pq_key: of the post-quantum ratchet, mixed in as the salt, 32 bytes, secret; or None.

    Source: Double Ratchet section 5.2 (ENCRYPT); docs/wire-format.md, ratchet.
    """
    if pq_key is None:
        inner_pad, outer_pad = extract_to_pads(message_key)
    else:
        inner_pad, outer_pad = _pads(hmac_with_key(pq_key, message_key))
    # Three HMACs under one key: its pads are hashed once, which takes 0.3 us off.
    inner, outer = _sha256(inner_pad), _sha256(outer_pad)
    first = _finish(inner.copy(), outer.copy(), _MESSAGE_BLOCK_1)
    second = _finish(inner.copy(), outer.copy(), first + _MESSAGE_BLOCK_2)
    third = _finish(inner, outer, second + _MESSAGE_BLOCK_3)
    return new_tuple(MessageKeys, (first, second, third[:16]))


def derive_sender_message_keys(seed: MessageKey) -> SenderMessageKeys:
    """Expand the seed of a group message (32 bytes, secret), which is a message key of its chain.

    The IV stands first: okm[0:16], and behind it the cipher key, okm[16:48].

    Source: docs/wire-format.md, sender keys.
    """
    inner_pad, outer_pad = extract_to_pads(seed)
    inner, outer = _sha256(inner_pad), _sha256(outer_pad)
    first = _finish(inner.copy(), outer.copy(), _SENDER_BLOCK_1)
    okm = first + _finish(inner, outer, first + _SENDER_BLOCK_2)
    return new_tuple(SenderMessageKeys, (okm[16:48], okm[:16]))


def extract_to_pads(ikm: bytes) -> tuple[bytes, bytes]:
    """HKDF's extraction under the zero salt: the key for expansion, as its two blocks of HMAC.

    Source: RFC 5869 section 2.2.
    """
    return _pads(_finish(_ZERO_INNER.copy(), _ZERO_OUTER.copy(), ikm))


def hash_base_key(base_key: bytes) -> bytes:
    """The 16 bytes by which a base key (33 bytes, public) is remembered."""
    return hashlib.sha256(_BASE_KEY_HASH_PREFIX + base_key).digest()[:_MEMORY_HASH_BYTES]


def hash_kem_ciphertext(ciphertext: bytes) -> bytes:
    """The 16 bytes by which a KEM ciphertext (1569 bytes, public) is remembered."""
    return hashlib.sha256(_KEM_CIPHERTEXT_HASH_PREFIX + ciphertext).digest()[:_MEMORY_HASH_BYTES]


def iterated_sha512(first: bytes, each: bytes, iterations: int) -> bytes:
    """Hash `first`, then (digest || each) again and again: `iterations` calls, 64 bytes.

    Source: the fingerprints of deployed Signal clients (docs/wire-format.md, safety numbers).
    """
    sha512 = hashlib.sha512
    digest = sha512(first).digest()
    for _ in range(iterations - 1):
        digest = sha512(digest + each).digest()
    return digest


def _require_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise InvalidArgument(f"key must have {KEY_BYTES} bytes, not {len(key)}")


def _finish(inner: Any, outer: Any, data: bytes) -> bytes:  # noqa: ANN401 - typeshed hides it
    """HMAC from the states of SHA-256 after the inner and the outer pad, which are used up.

    Source: RFC 2104 section 2.
    """
    inner.update(data)
    outer.update(inner.digest())
    digest: bytes = outer.digest()
    return digest


def _pads(key: bytes) -> tuple[bytes, bytes]:
    """The inner and the outer block of HMAC-SHA-256 for a key of 32 bytes.

    Source: RFC 2104 section 2.
    """
    return key.translate(_INNER_PAD) + _INNER_FILL, key.translate(_OUTER_PAD) + _OUTER_FILL
