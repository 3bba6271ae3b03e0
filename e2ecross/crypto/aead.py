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

from e2ecross.crypto.secret import Secret
from e2ecross.errors import AuthenticationFailed, InvalidArgument, LocalError

__all__ = ["KEY_BYTES", "NONCE_BYTES", "TAG_BYTES", "SealingKey", "open_sealed", "seal"]

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


class SealingKey(Secret):
    """A key under which many records are sealed; may be used by many threads.

    Args:
        key: 32 bytes, secret.

    Raises:
        InvalidArgument: it has another length.
        LocalError: the installed `cryptography` lacks this cipher.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InvalidArgument(f"key must be {KEY_BYTES} bytes")
        try:
            self._cipher = AESGCMSIV(key)
        except UnsupportedAlgorithm as exc:
            raise LocalError(
                "this build of 'cryptography' has no AES-GCM-SIV: install its official wheel, or "
                "build it against OpenSSL 3.2 or later"
            ) from exc

    def seal(self, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt and authenticate.

        Args:
            nonce: 12 bytes, fresh for each call.
            plaintext: any length.
            associated_data: authenticated, not encrypted, not part of the result.

        Returns:
            The ciphertext, 16 bytes longer than the plaintext.

        Raises:
            InvalidArgument: the nonce has the wrong length.
        """
        _check_nonce(nonce)
        return self._cipher.encrypt(nonce, plaintext, associated_data)

    def open(self, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Undo `seal`, given the same nonce (12 bytes) and associated data.

        Raises:
            AuthenticationFailed: anything differs from what was sealed.
            InvalidArgument: the nonce has the wrong length.
        """
        _check_nonce(nonce)
        try:
            return self._cipher.decrypt(nonce, ciphertext, associated_data)
        except InvalidTag as exc:
            raise AuthenticationFailed("the sealed bytes do not open with this key") from exc


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Seal once with a key (32 bytes, secret); see `SealingKey`."""
    return SealingKey(key).seal(nonce, plaintext, associated_data)


def open_sealed(key: bytes, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
    """Open once with a key (32 bytes, secret); see `SealingKey`."""
    return SealingKey(key).open(nonce, ciphertext, associated_data)


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES:
        raise InvalidArgument(f"nonce must be {NONCE_BYTES} bytes")
