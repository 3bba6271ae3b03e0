# SPDX-License-Identifier: Apache-2.0
"""The files of Signal and of WhatsApp, as their formats are described in public.

Both encrypt with AES-256-CBC and PKCS#7 padding, have an HMAC over IV and ciphertext behind it, and
a SHA-256 of the whole in the message; WhatsApp's also one of the file, and a MAC of 10 bytes. They
are here at their best: one pass, in chunks that stay in the caches, with the same primitives as
ours. What is decrypted is written before it is verified, which a client may not do; padding to
other sizes, the derivation of keys and WhatsApp's sidecar, one more HMAC, are left out.
"""

import hashlib
import hmac
from collections.abc import Callable
from hmac import compare_digest
from os import urandom
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

__all__ = ["SIGNAL", "WHATSAPP", "MediaFormat", "MediaKeys", "decrypt_media", "encrypt_media"]

_BLOCK: Final = 16

Write = Callable[[memoryview], object]


class MediaFormat(NamedTuple):
    """What differs between the two.

    Attributes:
        has_iv: whether the IV stands in front of the ciphertext; else the keys bring it.
        mac_bytes: how much of the HMAC stands behind it.
        hashes_file: whether the message has a SHA-256 of the file, too.
    """

    has_iv: bool
    mac_bytes: int
    hashes_file: bool


SIGNAL: Final = MediaFormat(has_iv=True, mac_bytes=32, hashes_file=False)
WHATSAPP: Final = MediaFormat(has_iv=False, mac_bytes=10, hashes_file=True)


class MediaKeys(NamedTuple):
    """What the message has, and what is derived of it.

    Attributes:
        cipher: 32 bytes.
        mac: 32 bytes.
        iv: 16 bytes.
        digest: SHA-256 of the encrypted file.
        file_digest: that of the file, or nothing.
    """

    cipher: bytes
    mac: bytes
    iv: bytes
    digest: bytes = b""
    file_digest: bytes = b""


def encrypt_media(form: MediaFormat, plain: bytes, each: int, write: Write) -> MediaKeys:
    """Encrypt a file in chunks of so many bytes, and write it."""
    keys = MediaKeys(urandom(32), urandom(32), urandom(_BLOCK))
    cipher = Cipher(AES256(keys.cipher), CBC(keys.iv)).encryptor()
    mac = hmac.new(keys.mac, keys.iv, "sha256")
    digest, file_digest = hashlib.sha256(), hashlib.sha256()
    if form.has_iv:
        digest.update(keys.iv)
        write(memoryview(keys.iv))
    padding = _BLOCK - len(plain) % _BLOCK
    view, out = memoryview(plain), memoryview(bytearray(each + 2 * _BLOCK))
    for start in range(0, len(plain) + 1, each):
        part: memoryview | bytes = view[start : start + each]
        if form.hashes_file:
            file_digest.update(part)
        if len(part) < each:
            part = bytes(part) + bytes((padding,)) * padding
        sealed = out[: cipher.update_into(part, out)]
        mac.update(sealed)
        digest.update(sealed)
        write(sealed)
    tag = mac.digest()[: form.mac_bytes]
    digest.update(tag)
    write(memoryview(tag))
    told = file_digest.digest() if form.hashes_file else b""
    return keys._replace(digest=digest.digest(), file_digest=told)


def decrypt_media(
    form: MediaFormat, keys: MediaKeys, sealed: bytes, each: int, write: Write
) -> None:
    """Decrypt a file in chunks of so many bytes, write it, and verify it.

    Raises:
        ValueError: it is another one.
    """
    cipher = Cipher(AES256(keys.cipher), CBC(keys.iv)).decryptor()
    mac = hmac.new(keys.mac, keys.iv, "sha256")
    digest, file_digest = hashlib.sha256(), hashlib.sha256()
    view, out = memoryview(sealed), memoryview(bytearray(each + _BLOCK))
    begin, end = _BLOCK if form.has_iv else 0, len(sealed) - form.mac_bytes
    digest.update(view[:begin])
    for start in range(begin, end, each):
        part = view[start : min(start + each, end)]
        mac.update(part)
        digest.update(part)
        plain = out[: cipher.update_into(part, out)]
        if start + each >= end:
            plain = plain[: -plain[-1]]
        if form.hashes_file:
            file_digest.update(plain)
        write(plain)
    digest.update(view[end:])
    is_right = compare_digest(mac.digest()[: form.mac_bytes], view[end:])
    is_right &= compare_digest(digest.digest(), keys.digest)
    if form.hashes_file:
        is_right &= compare_digest(file_digest.digest(), keys.file_digest)
    if not is_right:
        raise ValueError("the file is another one")
