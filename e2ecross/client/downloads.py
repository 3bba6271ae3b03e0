# SPDX-License-Identifier: Apache-2.0
"""Fetching a file: into another file, or to be read from any place of it.

Rules:
- Nothing is written or returned that was not verified.
- An interrupted download goes on behind the last chunk that is right in the part file; nothing else
  is remembered, and whoever changes the part file only loses what they changed.
- The file has its name once all of it is on disk.

Source: attachments.md 7.
"""

import io
import operator
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, SupportsIndex

from e2ecross.client.part_file import PartFile
from e2ecross.device.batch import Progress
from e2ecross.protocol.attachment_reader import AttachmentReader, verified_prefix
from e2ecross.wire.attachment import Attachment

__all__ = ["AttachmentFile", "Fetch", "download_to"]

Fetch = Callable[[int, int], bytes]
_NAMED_BYTES: Final = 8


def download_to(attachment: Attachment, fetch: Fetch, path: str, progress: Progress | None) -> None:
    """Fetch a file; see `Client.download`."""
    with ThreadPoolExecutor(1) as helper:
        reader = AttachmentReader(attachment, fetch, helper)
        reader.table()  # before anything is made on disk
        _write(reader, path, progress)


def _write(reader: AttachmentReader, path: str, progress: Progress | None) -> None:
    attachment = reader.attachment
    part = Path(f"{path}.part-{attachment.root[:_NAMED_BYTES].hex()}")
    with PartFile(part, attachment.size, progress) as file:
        reader.copy_to(file, file.keep(verified_prefix(reader, file)))
        file.finish(path)


class AttachmentFile(io.RawIOBase):
    """The file of an attachment, opened for reading: what is read is fetched, and verified.

    A `read` returns at most the rest of a chunk (`io.BufferedReader` joins them), and raises
    `AttachmentCorrupted`, `BlobGone` or `BackendError` where the chunk is not to be had. The blob
    store sees which chunks are looked at. One chunk is kept. For one thread.

    Attributes:
        size: of the file, bytes.
    """

    def __init__(self, attachment: Attachment, fetch: Fetch) -> None:
        """Fetch the hashes of its chunks; made by `Client.open_attachment`."""
        super().__init__()
        self._reader = AttachmentReader(attachment, fetch)
        self._reader.table()
        self._chunk_bytes = 1 << attachment.chunk_log2
        self._kept = (0, b"")  # where it begins, and a chunk
        self._position = 0
        self.size = attachment.size

    def __repr__(self) -> str:
        return f"<AttachmentFile of {self.size} bytes, at {self._position}>"

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: SupportsIndex, whence: int = os.SEEK_SET) -> int:
        """Go to a place, from the beginning, here or the end; nothing is fetched for it."""
        self._require_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        if whence not in bases:
            raise ValueError("whence must be os.SEEK_SET, os.SEEK_CUR or os.SEEK_END")
        position = bases[whence] + operator.index(offset)
        if position < 0:
            raise ValueError("there is nothing before the beginning of the file")
        self._position = position
        return position

    def tell(self) -> int:
        """Return the place of what is read next, bytes."""
        self._require_open()
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever has a buffer
        """Read into a buffer, up to the end of a chunk; returns how many bytes, 0 at the end."""
        self._require_open()
        view = memoryview(buffer).cast("B")
        if not view or self._position >= self.size:
            return 0
        start, chunk = self._kept
        if not start <= self._position < start + len(chunk):
            start = self._position - self._position % self._chunk_bytes
            chunk = self._reader.read(start, self._chunk_bytes)
            self._kept = (start, chunk)
        found = memoryview(chunk)[self._position - start :][: len(view)]
        view[: len(found)] = found
        self._position += len(found)
        return len(found)

    def close(self) -> None:
        """Forget the chunk that is kept."""
        self._kept = (0, b"")
        super().close()

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")
