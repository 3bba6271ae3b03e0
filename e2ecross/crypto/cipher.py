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

from e2ecross.crypto.kdf import hmac_of_parts, is_equal
from e2ecross.errors import AuthenticationFailed

__all__ = ["BLOCK_BYTES", "MAC_BYTES", "cbc_decrypt", "cbc_encrypt", "compute_mac", "verify_mac"]

BLOCK_BYTES: Final = 16
MAC_BYTES: Final = 8

_PADDING: Final = tuple(bytes((count,)) * count for count in range(BLOCK_BYTES + 1))
"""What is appended when that many bytes are missing to a whole block; nobody takes the first."""


def cbc_encrypt(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Pad and encrypt; 1 to 16 bytes longer than the plaintext, a multiple of 16.

    Args:
        cipher_key: 32 bytes, secret, used for this one message.
        iv: 16 bytes.
        plaintext: any length, also none.
    """
    padding = _PADDING[BLOCK_BYTES - len(plaintext) % BLOCK_BYTES]
    encryptor = Cipher(AES256(cipher_key), CBC(iv)).encryptor()
    return encryptor.update(plaintext + padding) + encryptor.finalize()


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
    try:
        padded = decryptor.update(ciphertext) + decryptor.finalize()
    except ValueError as error:
        raise AuthenticationFailed("the message does not authenticate") from error
    # Whoever could learn something from the time this takes has made the MAC.
    count = padded[-1] if padded else 0
    if not 0 < count <= BLOCK_BYTES or padded[-count:] != _PADDING[count]:
        raise AuthenticationFailed("the message does not authenticate")
    return padded[:-count]


def compute_mac(mac_key: bytes, associated_data: bytes, body: bytes) -> bytes:
    """HMAC-SHA-256 over associated data and body, first 8 bytes; the key has 32 bytes."""
    return hmac_of_parts(mac_key, associated_data, body)[:MAC_BYTES]


def verify_mac(mac: bytes, mac_key: bytes, associated_data: bytes, body: bytes) -> None:
    """Check a MAC (8 bytes) over associated data and body, in constant time.

    Raises:
        AuthenticationFailed: it is another one.
    """
    if not is_equal(mac, compute_mac(mac_key, associated_data, body)):
        raise AuthenticationFailed("the message does not authenticate")
