# SPDX-License-Identifier: Apache-2.0
"""AES-256-GCM-SIV: encryption that also authenticates, for records at rest.

Rules:
- Misuse-resistant: a nonce that repeats under one key reveals only whether two plaintexts under
  the same associated data are equal, nothing more (RFC 8452, section 9).
- Any failure to open is one error, `AuthenticationFailed`.

Source: RFC 8452.
"""

from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from e2ecross.errors import AuthenticationFailed, InvalidArgument, LocalError

__all__ = ["KEY_BYTES", "NONCE_BYTES", "TAG_BYTES", "open_sealed", "seal"]

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


def _cipher(key: bytes, nonce: bytes) -> AESGCMSIV:
    if len(key) != KEY_BYTES:
        raise InvalidArgument(f"key must be {KEY_BYTES} bytes")
    if len(nonce) != NONCE_BYTES:
        raise InvalidArgument(f"nonce must be {NONCE_BYTES} bytes")
    try:
        return AESGCMSIV(key)
    except UnsupportedAlgorithm as exc:
        raise LocalError(
            "this build of 'cryptography' has no AES-GCM-SIV: install its official wheel, or "
            "build it against OpenSSL 3.2 or later"
        ) from exc


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Encrypt and authenticate.

    Args:
        key: 32 bytes, secret.
        nonce: 12 bytes, fresh for each call.
        plaintext: any length.
        associated_data: authenticated, not encrypted, not part of the result.

    Returns:
        The ciphertext, 16 bytes longer than the plaintext.

    Raises:
        InvalidArgument: key or nonce has the wrong length.
        LocalError: the installed `cryptography` lacks this cipher.
    """
    return _cipher(key, nonce).encrypt(nonce, plaintext, associated_data)


def open_sealed(key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
    """Undo `seal`, given the same key (32 bytes), nonce (12 bytes) and associated data.

    Raises:
        AuthenticationFailed: anything differs from what was sealed.
        InvalidArgument: key or nonce has the wrong length.
        LocalError: the installed `cryptography` lacks this cipher.
    """
    try:
        return _cipher(key, nonce).decrypt(nonce, ciphertext, associated_data)
    except InvalidTag as exc:
        raise AuthenticationFailed("the sealed bytes do not open with this key") from exc
