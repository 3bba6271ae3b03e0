# SPDX-License-Identifier: Apache-2.0
"""What the descriptor of an attachment says, but for what opens it.

Rules:
- The key is never told, nor the blob id: who has that may fetch the blob. Told is the name under
  which a relay keeps it.
- Its text is told as it came: who prints it escapes it.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.relay.blobs import key_of
from e2ecross.wire.attachment import Attachment

__all__ = ["AttachmentView", "describe_attachment"]

_SUITE: Final = 1
"""The one that decodes."""


@dataclass(frozen=True, slots=True)
class AttachmentView:
    """What a descriptor says of a file, without its key and its blob id.

    Attributes:
        kind: "attachment".
        size_bytes: of the descriptor.
        suite: 1, how it is encrypted.
        file_bytes: of the file.
        blob_bytes: of what a relay keeps: the padded file, and the hashes of its chunks.
        chunk_bytes: of each chunk but the last.
        chunk_count: how many there are.
        root: what all chunks are checked against, 32 bytes as hex.
        blob_name: SHA-256 of the blob id, 32 bytes as hex: the name that a relay keeps it under.
        media_type: such as "image/png"; None if it is not told.
        name: of the file, anything that is no path; None if it is not told.
        width: pixels; None if it is not told.
        height: likewise.
        duration_ms: likewise, milliseconds.
        thumbnail_bytes: of the small picture in the descriptor; None if there is none.
    """

    kind: str
    size_bytes: int
    suite: int
    file_bytes: int
    blob_bytes: int
    chunk_bytes: int
    chunk_count: int
    root: str
    blob_name: str
    media_type: str | None
    name: str | None
    width: int | None
    height: int | None
    duration_ms: int | None
    thumbnail_bytes: int | None


def describe_attachment(data: bytes) -> AttachmentView:
    """Read an encoded descriptor.

    Raises:
        DecodeError: none.
        UnsupportedVersion: of a later suite.
    """
    attachment = Attachment.decode(data)
    return AttachmentView(
        kind="attachment",
        size_bytes=len(data),
        suite=_SUITE,
        file_bytes=attachment.size,
        blob_bytes=attachment.blob_size,
        chunk_bytes=1 << attachment.chunk_log2,
        chunk_count=attachment.chunk_count,
        root=attachment.root.hex(),
        blob_name=key_of(attachment.blob_id).hex(),
        media_type=attachment.media_type or None,
        name=attachment.name or None,
        width=attachment.width or None,
        height=attachment.height or None,
        duration_ms=attachment.duration_ms or None,
        thumbnail_bytes=len(attachment.thumbnail) or None,
    )
