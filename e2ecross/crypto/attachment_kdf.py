# SPDX-License-Identifier: Apache-2.0
"""What an attachment is hashed to, and every label of it.

Rules:
- There is no key in it: neither a sender nor a store finds two files, or two chunks, of one hash,
  whatever keys they know.
- The root fixes the size, the size of chunks and all their hashes in order.

Source: docs/wire-format.md, attachments.
"""

import hashlib
from typing import Final

from e2ecross.crypto.account_kdf import HASH_BYTES, prefixed

__all__ = ["attachment_root", "hash_chunks"]

_CHUNK: Final = hashlib.sha256(prefixed("attachment-chunk/v1"))
_ROOT_PREFIX: Final = prefixed("attachment-root/v1")


def hash_chunks(ciphertext: memoryview, each: int) -> bytes:
    """The hashes of encrypted chunks, 32 bytes each, in order.

    Args:
        ciphertext: consecutive chunks.
        each: bytes of each of them but the last.
    """
    hashes = []
    for start in range(0, len(ciphertext), each):
        digest = _CHUNK.copy()
        digest.update(ciphertext[start : start + each])
        hashes.append(digest.digest())
    return b"".join(hashes)


def attachment_root(chunk_log2: int, size: int, table: bytes) -> bytes:
    """What commits to all of a file, 32 bytes.

    Args:
        chunk_log2: a chunk has 2 to the power of it bytes, 16 to 22.
        size: of the file, bytes.
        table: the hashes of its chunks, 32 bytes each.
    """
    count = len(table) // HASH_BYTES
    head = bytes((chunk_log2,)) + size.to_bytes(8) + count.to_bytes(8)
    return hashlib.sha256(_ROOT_PREFIX + head + table).digest()
