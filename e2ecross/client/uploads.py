# SPDX-License-Identifier: Apache-2.0
"""Bringing a file to where files are kept: encrypted once, into a spool, and sent from there.

Rules:
- What goes on after an interruption is the blob, never the file: that may have changed, and one key
  is for one blob.
- How much is there the store says each time; nothing is counted here.
- The spool is on disk before the upload is noted, and is removed after it is noted as complete:
  what a killed process leaves is found again, or is too old and removed.

Source: attachments.md 7.
"""

import os
import stat
import time
from typing import BinaryIO, Final, NoReturn, SupportsIndex

from e2ecross.arguments import require_callable
from e2ecross.client.attempts import attempt_all
from e2ecross.client.blob_answers import CheckedBlobs
from e2ecross.client.link import Link
from e2ecross.client.spool import Spool
from e2ecross.device.batch import Progress
from e2ecross.device.uploading import (
    forget_blobs,
    forget_old_uploads,
    forget_upload_of,
    is_complete,
    list_over_blobs,
    note_complete,
)
from e2ecross.errors import BackendError, InvalidArgument
from e2ecross.wire.attachment import Attachment
from e2ecross.wire.upload_records import UploadRecord

__all__ = ["Source", "Upload", "tend_files"]

_LEAST_PIECE: Final = 64 * 1024
_FIRST_PIECE: Final = 256 * 1024
_GREATEST_PIECE: Final = 4 * 1024 * 1024
_QUICK_SECONDS: Final = 2
_DELETED_AT_ONCE: Final = 100
"""Calls of the blob store that one `maintain` makes."""


class Source:
    """A file to be read, of which the errors are the caller's."""

    __slots__ = ("_file", "size")

    def __init__(self, path: str) -> None:
        """Open it; `size` is how many bytes it has.

        Raises:
            InvalidArgument: it cannot be read, or is no file on disk.
        """
        try:
            found = os.stat(path)
            if not stat.S_ISREG(found.st_mode):  # to open a pipe is to wait
                raise InvalidArgument("path must be of a file: nobody knows the size of else")
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by `__exit__`
        except OSError as error:
            raise _unread(error) from error
        self.size = found.st_size

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """Read at most so many bytes; none at its end."""
        try:
            return self._file.read(size)
        except OSError as error:
            raise _unread(error) from error


class Upload:
    """A file on its way to where files are kept; made by `Client.upload`.

    Attributes:
        attachment: what a message says of it: goes into `Media` once it is complete. Secret.
    """

    __slots__ = ("_blobs", "_complete", "_link", "_piece", "_record", "_spool", "attachment")

    def __init__(self, link: Link, blobs: CheckedBlobs, spool: Spool, record: UploadRecord) -> None:
        """Of what is known of it."""
        self._link = link
        self._blobs = blobs
        self._spool = spool
        self._record = record
        self._complete = record.complete
        self._piece = _FIRST_PIECE
        self.attachment: Attachment = record.attachment

    def __repr__(self) -> str:
        state = "complete" if self._complete else "not complete"
        return f"<Upload of {self.attachment.size} bytes: {state}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("an Upload holds a key and is not pickled or copied: see Client.uploads")

    @property
    def complete(self) -> bool:
        """Whether all of it is there, and it may be sent."""
        return self._complete

    @property
    def created_at_ms(self) -> int:
        """When it was encrypted, milliseconds since 1970; a week later it is given up."""
        return self._record.created_at_ms

    def run(self, progress: Progress | None = None) -> None:
        """Send what is not there yet; after an error, or a restart, call it again.

        Args:
            progress: called with how many bytes of the blob are there and how many it has, after
                each piece, or once if all of them are there. What it raises ends the call.

        Raises:
            BlobGone: the store has given up what it had: call it again, from the beginning.
            BackendRefused: the store takes no such file: it is too large, or there are too many.
            BackendError: the store cannot be reached.
            InvalidArgument: it was cancelled or given up, by now; the spool file is gone; or
                `progress` is no function.
            StoreError: the store of the device cannot be written, or the spool file not be read.
        """
        if progress is not None:
            require_callable("progress", progress)
        if self._complete or self._is_noted():
            return
        link, size = self._link, self.attachment.blob_size
        stored = self._blobs.begin(link.context.address, link.token, self.attachment.blob_id, size)
        if stored < size:
            self._send(stored, progress)
            if self._complete:
                return
        elif progress is not None:
            progress(stored, size)
        note_complete(link.context, self.attachment.blob_id)
        self._complete = True
        self._spool.remove(self._record.spool)

    def cancel(self) -> None:
        """Give it up: nothing is left of it here or at the blob store.

        Messages that carry it cannot be opened any more.

        Raises:
            BackendError: the blob store cannot be reached; nothing has changed.
            StoreError: the store of the device cannot be written.
        """
        link, attachment = self._link, self.attachment
        self._blobs.delete(link.context.address, link.token, attachment.blob_id)
        forget_upload_of(link.context, attachment.blob_id)
        self._spool.remove(self._record.spool)

    def _is_noted(self) -> bool:
        """Tell whether another `Upload` of it, here or in another process, has completed it."""
        self._complete = is_complete(self._link.context, self.attachment.blob_id)
        return self._complete

    def _send(self, stored: int, progress: Progress | None) -> None:
        """Send what is not there yet, unless another one just has."""
        try:
            blob = self._spool.open(self._record.spool)
        except InvalidArgument:
            if self._is_noted():
                return
            raise
        size = self.attachment.blob_size
        with blob:
            while stored < size:
                stored = self._put(blob, stored)
                if progress is not None:
                    progress(stored, size)

    def _put(self, blob: BinaryIO, offset: int) -> int:
        """Send the piece at that place; returns how many bytes are there then.

        Pieces grow while they are quick, and shrink when one is lost.
        """
        with self._spool.failures():
            blob.seek(offset)
            data = blob.read(self._piece)
        if not data:
            raise InvalidArgument(
                "the spool file of this upload was cut: cancel it, and upload the file again"
            )
        link, size = self._link, self.attachment.blob_size
        began = time.monotonic()
        try:
            stored = self._blobs.put(
                link.context.address, link.token, self.attachment.blob_id, size, offset, data
            )
        except BackendError:
            self._piece = max(self._piece // 2, _LEAST_PIECE)
            raise
        if time.monotonic() - began <= _QUICK_SECONDS:
            self._piece = min(self._piece * 2, _GREATEST_PIECE)
        return stored


def tend_files(link: Link, blobs: CheckedBlobs | None, spool: Spool) -> None:
    """Give up uploads that are older than a week, and delete blobs whose last message is over.

    Raises:
        BackendError: the blob store cannot be reached; what is left comes again.
        StoreError: the store cannot be read or written.
    """
    attempt_all(
        lambda: _tidy_uploads(link, spool),
        lambda: None if blobs is None else _delete_over(link, blobs),
    )


def _tidy_uploads(link: Link, spool: Spool) -> None:
    tidied = forget_old_uploads(link.context)
    for name in tidied.unneeded:
        spool.remove(name)
    spool.remove_left(tidied.needed, tidied.oldest_ms)


def _delete_over(link: Link, blobs: CheckedBlobs) -> None:
    """Delete blobs whose last message is over, at most 100 of them."""
    over, gone = list_over_blobs(link.context)[:_DELETED_AT_ONCE], []
    try:
        for blob_id in over:
            blobs.delete(link.context.address, link.token, blob_id)
            gone.append(blob_id)
    finally:
        if gone:
            forget_blobs(link.context, gone)


def _unread(error: OSError) -> InvalidArgument:
    return InvalidArgument(f"path cannot be read: {error.strerror or error}")
