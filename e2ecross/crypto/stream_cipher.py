# SPDX-License-Identifier: Apache-2.0
"""AES-256-CTR from any block on: the cipher of files.

Rules:
- It hides, and authenticates nothing: what is to be decrypted was held against its hash before.
- A key is for one file, so no counter block repeats: byte `o` of it is under counter `o / 16`.
- Both directions are one operation.

Source: NIST SP 800-38A section 6.5; docs/wire-format.md, attachments.
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from e2ecross.crypto.secret import Secret

__all__ = ["StreamCipher", "stream_buffer"]

_BLOCK_BYTES: Final = 16
_SLACK: Final = _BLOCK_BYTES - 1
"""How much longer than its input the library wants a buffer for its output, bytes."""


class StreamCipher(Secret):
    """The stream from one place of a file on; each call goes on where the one before ended.

    Args:
        key: 32 bytes, secret, used for this one file.
        offset: where in the file it begins, bytes, a multiple of 16 below 2^68.
    """

    __slots__ = ("_context",)

    def __init__(self, key: bytes, offset: int) -> None:
        counter = (offset // _BLOCK_BYTES).to_bytes(_BLOCK_BYTES)
        self._context = Cipher(AES256(key), CTR(counter)).encryptor()

    def apply(self, data: bytes | memoryview, out: memoryview) -> None:
        """Encrypt or decrypt what comes next, into the beginning of a part of a `stream_buffer`.

        Nothing is copied, which files would notice. The buffer goes on for 15 bytes or more, which
        stay as they are.
        """
        self._context.update_into(data, out)


def stream_buffer(length: int) -> bytearray:
    """A buffer for `StreamCipher.apply` of up to `length` bytes, and what it has to have more."""
    return bytearray(length + _SLACK)
