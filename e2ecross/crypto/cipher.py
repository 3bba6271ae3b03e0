# SPDX-License-Identifier: Apache-2.0
"""The cipher of a message: AES-256-CBC with PKCS#7 padding, and a MAC of 8 bytes.

Rules:
- The MAC is compared in constant time, and before anything is decrypted.
- Bad padding and a bad MAC are one error: `AuthenticationFailed`.

Sources: Double Ratchet (revision 1, 2016-11-20) section 5.2; RFC 5652 section 6.3 (padding). The
MAC is cut to 8 bytes because Signal's wire format fixes that.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from e2ecross.crypto.kdf import hmac_sha256, is_equal
from e2ecross.errors import AuthenticationFailed

__all__ = ["BLOCK_BYTES", "MAC_BYTES", "cbc_decrypt", "cbc_encrypt", "compute_mac", "verify_mac"]

BLOCK_BYTES: Final = 16
MAC_BYTES: Final = 8

_PADDING: Final = PKCS7(8 * BLOCK_BYTES)


def cbc_encrypt(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Pad and encrypt; 1 to 16 bytes longer than the plaintext, a multiple of 16.

    Args:
        cipher_key: 32 bytes, secret, used for this one message.
        iv: 16 bytes.
        plaintext: any length, also none.
    """
    padder = _PADDING.padder()
    padded = padder.update(plaintext) + padder.finalize()
    encryptor = Cipher(AES256(cipher_key), CBC(iv)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def cbc_decrypt(cipher_key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Decrypt and remove the padding.

    Args:
        cipher_key: 32 bytes, secret.
        iv: 16 bytes.
        ciphertext: a positive multiple of 16 bytes, whose MAC has been verified.

    Raises:
        AuthenticationFailed: the length or the padding is wrong.
    """
    decryptor = Cipher(AES256(cipher_key), CBC(iv)).decryptor()
    unpadder = _PADDING.unpadder()
    try:
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as error:
        raise AuthenticationFailed("the message does not authenticate") from error


def compute_mac(mac_key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA-256 over the concatenated parts, first 8 bytes."""
    return hmac_sha256(mac_key, b"".join(parts))[:MAC_BYTES]


def verify_mac(mac: bytes, mac_key: bytes, *parts: bytes) -> None:
    """Check a MAC (8 bytes) over the concatenated parts, in constant time.

    Raises:
        AuthenticationFailed: it is another one.
    """
    if not is_equal(mac, compute_mac(mac_key, *parts)):
        raise AuthenticationFailed("the message does not authenticate")
