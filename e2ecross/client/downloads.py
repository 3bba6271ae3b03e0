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
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from e2ecross.client.spool import sync_folder
from e2ecross.device.batch import Progress
from e2ecross.errors import StoreError
from e2ecross.protocol.attachment_reader import AttachmentReader, verified_prefix
from e2ecross.wire.attachment import Attachment

__all__ = ["AttachmentFile", "Fetch", "download_to"]

Fetch = Callable[[int, int], bytes]
_MODE: Final = 0o600
_NAMED_BYTES: Final = 8
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def download_to(attachment: Attachment, fetch: Fetch, path: str, progress: Progress | None) -> None:
    """Fetch a file; see `Client.download`."""
    with ThreadPoolExecutor(1) as helper:
        reader = AttachmentReader(attachment, fetch, helper)
        reader.table()  # before anything is made on disk
        _write(reader, path, progress)


def _write(reader: AttachmentReader, path: str, progress: Progress | None) -> None:
    attachment = reader.attachment
    part = Path(f"{path}.part-{attachment.root[:_NAMED_BYTES].hex()}")
    with _disk():
        number = os.open(part, os.O_RDWR | os.O_CREAT | _NO_LINK, _MODE)
    with open(number, "r+b") as file:
        sink = _Part(file, attachment.size, progress)
        reader.copy_to(sink, sink.keep(verified_prefix(reader, file)))
        sink.finish()
    with _disk():
        os.replace(part, path)
        sync_folder(part.parent)


class _Part:
    """The part file, written behind what is right in it; tells of progress."""

    __slots__ = ("_done", "_file", "_progress", "_size")

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        self._file = file
        self._size = size
        self._progress = progress
        self._done = 0

    def keep(self, length: int) -> int:
        """Cut it to that length, and go on there; returns the length."""
        with _disk():
            self._file.truncate(length)
            self._file.seek(length)
        self._done = length
        return length

    def write(self, data: memoryview, /) -> None:
        """Append what was verified."""
        with _disk():
            self._file.write(data)
        self._done += len(data)
        if self._progress is not None:
            self._progress(self._done, self._size)

    def finish(self) -> None:
        """Have all of it on disk."""
        with _disk():
            self._file.flush()
            os.fsync(self._file.fileno())


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses is a `StoreError`; what others raise is theirs."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise StoreError(f"the file of an attachment cannot be written: {why}") from error


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

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, from the beginning, here or the end; nothing is fetched for it."""
        self._require_open()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        if whence not in bases:
            raise ValueError("whence must be os.SEEK_SET, os.SEEK_CUR or os.SEEK_END")
        position = bases[whence] + offset
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
