# SPDX-License-Identifier: Apache-2.0
"""Files, their blobs, and stores of them that note what they are asked."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import NamedTuple

from e2ecross.crypto.attachment_kdf import attachment_root, hash_chunks
from e2ecross.crypto.stream_cipher import StreamCipher, stream_buffer
from e2ecross.protocol.attachment import _encrypt_stream_with_key
from e2ecross.protocol.attachment_reader import AttachmentReader
from e2ecross.wire.attachment import Attachment, padded_size

__all__ = [
    "CHUNK",
    "HELPER",
    "Store",
    "Zeros",
    "apply_stream",
    "make_blob",
    "make_file",
    "one_right_chunk",
]

CHUNK = 65_536
HELPER = ThreadPoolExecutor(1, "helper")
"""The second thread of tests that have one; it starts with the first of them."""
_KEY = bytes(range(32))


class Store(NamedTuple):
    """A blob, and the requests for parts of it."""

    blob: bytes
    asked: list[tuple[int, int]]

    def fetch(self, offset: int, length: int) -> bytes:
        """Return what is there of a range."""
        self.asked.append((offset, length))
        return self.blob[offset : offset + length]

    def reader(
        self, attachment: Attachment, helper: ThreadPoolExecutor | None = None
    ) -> AttachmentReader:
        """A reader of it."""
        return AttachmentReader(attachment, self.fetch, helper)


class Zeros:
    """A source of zeros."""

    def __init__(self, size: int) -> None:
        """Of so many bytes."""
        self.left = size

    def read(self, size: int, /) -> bytes:
        """Return the next ones."""
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


def apply_stream(key: bytes, offset: int, data: bytes) -> bytes:
    """Encrypt or decrypt what lies at one place of a file."""
    buffer = stream_buffer(len(data))
    StreamCipher(key, offset).apply(data, memoryview(buffer))
    return bytes(buffer[: len(data)])


@cache
def make_file(size: int, name: str = "file") -> bytes:
    """A file that repeats nothing."""
    return hashlib.shake_256(name.encode()).digest(size)


def make_blob(file: bytes, key: bytes = _KEY, chunk_log2: int = 16) -> tuple[Attachment, bytes]:
    """Its attachment and its blob, under a key that is known."""
    draft = Attachment(key, len(file), chunk_log2, bytes(32), bytes(32))
    blob = BytesIO()
    return _encrypt_stream_with_key(BytesIO(file), blob, draft), blob.getvalue()


def one_right_chunk(
    size: int, chunk_log2: int, number: int, plain: bytes
) -> tuple[Attachment, bytes, bytes]:
    """An attachment of a file of which nobody has more than one chunk.

    Returns:
        It, the table of hashes, and the chunk encrypted.
    """
    draft = Attachment(_KEY, size, chunk_log2, bytes(32), bytes(32))
    begin = number << chunk_log2
    length = min(1 << chunk_log2, padded_size(size) - begin)
    sealed = apply_stream(_KEY, begin, plain.ljust(length, b"\0"))
    table = bytearray(draft.table_size)
    table[32 * number : 32 * (number + 1)] = hash_chunks(memoryview(sealed), 1 << chunk_log2)
    root = attachment_root(chunk_log2, size, bytes(table))
    return replace(draft, root=root), bytes(table), sealed
