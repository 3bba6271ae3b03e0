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

__all__ = ["attachment_root", "hash_chunk"]

_CHUNK: Final = hashlib.sha256(prefixed("attachment-chunk/v1"))
_ROOT_PREFIX: Final = prefixed("attachment-root/v1")


def hash_chunk(ciphertext: bytes | memoryview) -> bytes:
    """The hash of an encrypted chunk, 32 bytes."""
    digest = _CHUNK.copy()
    digest.update(ciphertext)
    return digest.digest()


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
