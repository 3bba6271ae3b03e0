# SPDX-License-Identifier: Apache-2.0
"""The methods of `Client` about files beside messages."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Unpack

from e2ecross.arguments import require_callable, require_file_name, require_type
from e2ecross.client.blob_answers import CheckedBlobs
from e2ecross.client.connected import Connected
from e2ecross.client.downloads import AttachmentFile, Fetch, download_to
from e2ecross.client.spool import Spool
from e2ecross.client.uploads import Source, Upload
from e2ecross.device.batch import Progress
from e2ecross.device.uploading import (
    add_upload,
    encrypt_file,
    list_uploads,
    new_spool_name,
    require_accepted_sender,
)
from e2ecross.errors import AttachmentTooLarge, BackendRefused, InvalidArgument
from e2ecross.wire.attachment import Attachment, ShownAs

__all__ = ["AttachmentCalls"]

Path = str | os.PathLike[str]


class AttachmentCalls(Connected):
    """How a `Client` brings files to where they are kept, and fetches them.

    Nothing is fetched by itself.
    """

    __slots__ = ()

    _blobs: CheckedBlobs | None
    _spool: Spool

    def upload(self, path: Path, **shown: Unpack[ShownAs]) -> Upload:
        """Encrypt a file, and keep the blob on disk until `Upload.run` has brought it away.

        The file is read once, here, and not needed any more then.

        Args:
            path: of the file.
            shown: what the message says of it: `media_type` ("image/jpeg"), `name`, `width`,
                `height`, `duration_ms`, `thumbnail`; see `Attachment`. By default nothing, not even
                its name.

        Raises:
            InvalidArgument: it cannot be read, changes while it is read, is larger than 64 GiB, or
                something that is shown is not acceptable.
            BackendRefused: there is no blob store.
            NotRegistered: call `register` first.
            StoreError: the spool or the store cannot be written, for lack of space for example;
                nothing is left of it.
        """
        blobs, link, spool = self._blob_store(), self._way(), self._spool
        name = new_spool_name(link.context)
        with (
            Source(require_file_name("path", path)) as source,
            ThreadPoolExecutor(1) as helper,
            spool.new(name) as sink,
        ):
            attachment = encrypt_file(link.context, source, source.size, sink, helper, shown)
        try:
            record = add_upload(link.context, attachment, name)
        except BaseException:
            spool.remove(name)
            raise
        return Upload(link, blobs, spool, record)

    def uploads(self) -> list[Upload]:
        """Return the uploads of the last week, complete ones too, the oldest first.

        Raises:
            BackendRefused: there is no blob store.
            NotRegistered: call `register` first.
            StoreError: the store cannot be read.
        """
        blobs, link = self._blob_store(), self._way()
        found = list_uploads(link.context)
        return [Upload(link, blobs, self._spool, record) for record in found]

    def download(
        self, attachment: Attachment, path: Path, progress: Progress | None = None
    ) -> None:
        """Fetch the file of an attachment; after an error, or a restart, call it again.

        What has come stands in a file beside it (its name, `.part-` and 16 hex digits), and is not
        fetched again. Both can be read by the own user alone. One call at a time writes a file.

        Args:
            attachment: what a message says of it.
            path: where to put it; a file that is there is replaced, once this one is complete.
            progress: called with how many bytes are there and how many it has, after each chunk,
                or once if all of them are there. What it raises ends the call.

        Raises:
            AttachmentTooLarge: it is larger than `Policy.attachment_bytes`; nothing was fetched.
            AttachmentCorrupted: the blob is not what the message names; what came before is right.
            BlobGone: the blob store does not have it any more.
            BackendRefused: there is no blob store.
            BackendError: the blob store cannot be reached.
            InvalidArgument: it came from somebody who was not accepted: see `accept`; or an
                argument has the wrong type, or is the path of a folder.
            StoreBusy: another call writes this file.
            StoreError: the file cannot be written, for lack of space for example.
        """
        fetch = self._fetching(attachment)
        name = require_file_name("path", path)
        if os.path.isdir(name):
            raise InvalidArgument("path must be of a file, and is of a folder")
        if progress is not None:
            require_callable("progress", progress)
        allowed = self._context.policy.attachment_bytes
        if attachment.size > allowed:
            raise AttachmentTooLarge(attachment.size, allowed)
        download_to(attachment, fetch, name, progress)

    def open_attachment(self, attachment: Attachment) -> AttachmentFile:
        """Open the file of an attachment for reading, without fetching more than what is read.

        Raises as `download`, but for AttachmentTooLarge: nothing is kept on disk.
        """
        return AttachmentFile(attachment, self._fetching(attachment))

    def _blob_store(self) -> CheckedBlobs:
        if self._blobs is None:
            raise BackendRefused("the back end keeps no files: give the client a blob store")
        return self._blobs

    def _fetching(self, attachment: Attachment) -> Fetch:
        """How to fetch from a blob, if its file may be fetched."""
        require_type("attachment", attachment, Attachment)
        require_accepted_sender(self._context, attachment)
        blobs = self._blob_store()
        # No `partial`: it would show the id of the blob to whoever reports an error.
        return lambda offset, length: blobs.get(attachment.blob_id, offset, length)
