# SPDX-License-Identifier: Apache-2.0
"""`Attachment`: what a message says of a file beside it: where it is, how to open and to show it.

Rules:
- Its root commits to every byte of the file: what is shown is what the message names.
- The name and the type are shown. No path is made of the one, nothing is opened by the other.

Source: docs/wire-format.md, attachments.
"""

import hmac
import re
from dataclasses import dataclass
from typing import Final, TypedDict

from e2ecross.address import UserId
from e2ecross.arguments import (
    forgets_secrets,
    require_bytes,
    require_type,
    require_whole_number,
)
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.encoding import parse, require_canonical, serialize
from e2ecross.wire.text import require_text

__all__ = [
    "BLOB_ID_BYTES",
    "FILE_KEY_BYTES",
    "MAX_ATTACHMENT_CHUNKS",
    "MAX_ATTACHMENT_SIZE",
    "Attachment",
    "ShownAs",
    "attachment_fields",
    "attachment_from_fields",
    "choose_chunk_log2",
    "padded_size",
    "require_known_suite",
]

FILE_KEY_BYTES: Final = 32
BLOB_ID_BYTES: Final = 32
MAX_ATTACHMENT_SIZE: Final = 2**36
"""Of one file, bytes: 64 GiB, so that no counter of its cipher repeats."""
MAX_ATTACHMENT_CHUNKS: Final = 16_384
"""Chunks of one file: their hashes take 512 KiB."""
_SUITE: Final = 1
_ROOT_BYTES: Final = 32
_LEAST_CHUNK_LOG2: Final = 16
_GREATEST_CHUNK_LOG2: Final = 22
_LEAST_PADDED: Final = 4096
_CHUNKS_LOG2: Final = 12
"""So many chunks, 4,096, a writer makes at most, as long as larger ones are to be had."""
_HASH_BYTES: Final = 32
_MAX_MEDIA_TYPE_BYTES: Final = 100
_MAX_NAME_BYTES: Final = 255
_MAX_PIXELS: Final = 32_768
_MAX_THUMBNAIL_BYTES: Final = 24_576
_MAX_ENCODED_BYTES: Final = _MAX_THUMBNAIL_BYTES + 1024
_JPEG: Final = b"\xff\xd8\xff"
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+_-]*/[a-z0-9][a-z0-9.+_-]*", re.ASCII)
# Control characters, path separators, and what turns the direction of text around.
_NOT_IN_NAMES: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f/\\\\\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


class ShownAs(TypedDict, total=False):
    """The fields of an `Attachment` that say how to show it; any of them may be left out."""

    media_type: str
    name: str
    width: int
    height: int
    duration_ms: int
    thumbnail: bytes


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Attachment(Secret):
    """A file beside a message; equal to another one that says the same.

    Attributes:
        file_key: 32 bytes, secret, for exactly one blob.
        size: of the file, 0 to 2^36 bytes.
        chunk_log2: 16 to 22; a chunk has 2 to the power of it bytes, and there are at most 16,384.
        root: what commits to all of it, 32 bytes.
        blob_id: where it lies, 32 bytes. Who has it can fetch the blob.
        media_type: how to show it, lower case `type/subtype` of at most 100 bytes; may be empty.
        name: one path component of at most 255 bytes, without control characters, slashes and
            what turns text around; may be empty.
        width: in pixels, at most 32,768; 0: not told.
        height: likewise.
        duration_ms: at most 2^32-1; 0: not told.
        thumbnail: a JPEG of at most 24,576 bytes, not looked into; may be empty.
        requested_by: of what may have come from a stranger, who that is: nothing is fetched for
            them before they are accepted. Not encoded or compared; only here.

    Raises:
        InvalidArgument: a field has the wrong type, length or value.
    """

    file_key: bytes
    size: int
    chunk_log2: int
    root: bytes
    blob_id: bytes
    media_type: str = ""
    name: str = ""
    width: int = 0
    height: int = 0
    duration_ms: int = 0
    thumbnail: bytes = b""
    requested_by: UserId | None = None

    def __post_init__(self) -> None:
        require_bytes("file_key", self.file_key, FILE_KEY_BYTES)
        require_whole_number("size", self.size, high=MAX_ATTACHMENT_SIZE)
        require_whole_number("chunk_log2", self.chunk_log2, _LEAST_CHUNK_LOG2, _GREATEST_CHUNK_LOG2)
        if self.chunk_count > MAX_ATTACHMENT_CHUNKS:
            raise InvalidArgument(
                f"chunk_log2 {self.chunk_log2} makes {self.chunk_count} chunks of {self.size} "
                f"bytes, of at most {MAX_ATTACHMENT_CHUNKS}"
            )
        require_bytes("root", self.root, _ROOT_BYTES)
        require_bytes("blob_id", self.blob_id, BLOB_ID_BYTES)
        _check_media_type(self.media_type)
        _check_name(self.name)
        require_whole_number("width", self.width, high=_MAX_PIXELS)
        require_whole_number("height", self.height, high=_MAX_PIXELS)
        require_whole_number("duration_ms", self.duration_ms)
        _check_thumbnail(self.thumbnail)
        if self.requested_by is not None:
            require_type("requested_by", self.requested_by, UserId)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Attachment):
            return NotImplemented
        return hmac.compare_digest(self.encode(), other.encode())

    def __hash__(self) -> int:
        return hash(self.blob_id)

    @property
    def chunk_count(self) -> int:
        """How many chunks the padded file has, 1 to 16,384."""
        return -(-padded_size(self.size) >> self.chunk_log2)

    @property
    def table_size(self) -> int:
        """Bytes of the hashes behind the padded file, 32 for each chunk; at most 524,288."""
        return _HASH_BYTES * self.chunk_count

    @property
    def blob_size(self) -> int:
        """Bytes of its blob: the padded file and the hashes of its chunks."""
        return padded_size(self.size) + self.table_size

    def encode(self) -> bytes:
        """Return its one encoding, at most 25,600 bytes, secret."""
        return serialize(attachment_fields(self))

    @classmethod
    @forgets_secrets
    def decode(cls, data: bytes) -> "Attachment":
        """Read one by itself.

        Raises:
            DecodeError: malformed, not in its one encoding, or with a field that is not acceptable.
            UnsupportedVersion: of a later suite.
        """
        what = "an attachment"
        fields = parse(content_pb2.Attachment, data, what, _MAX_ENCODED_BYTES)
        require_known_suite(fields)
        require_canonical(fields, data, what)
        try:
            return attachment_from_fields(fields)
        except InvalidArgument as error:
            raise DecodeError(f"{what} is not acceptable: {error}") from error


def padded_size(size: int) -> int:
    """To how many bytes a file of `size` bytes is padded: at most 6.25 % more, from 4,096 on."""
    least = max(size, _LEAST_PADDED)
    exponent = least.bit_length() - 1
    zero_bits = exponent - exponent.bit_length()
    return -(-least >> zero_bits) << zero_bits


def choose_chunk_log2(size: int) -> int:
    """Which chunks a writer makes of a file of `size` bytes, 16 to 22: 4,096 of them, if it can."""
    wanted = (padded_size(size) - 1).bit_length() - _CHUNKS_LOG2
    return min(max(wanted, _LEAST_CHUNK_LOG2), _GREATEST_CHUNK_LOG2)


def attachment_fields(attachment: Attachment) -> content_pb2.Attachment:
    """The protobuf form of an attachment."""
    return content_pb2.Attachment(
        suite=_SUITE,
        file_key=attachment.file_key,
        size=attachment.size,
        chunk_log2=attachment.chunk_log2,
        root=attachment.root,
        blob_id=attachment.blob_id,
        media_type=attachment.media_type,
        name=attachment.name,
        width=attachment.width,
        height=attachment.height,
        duration_ms=attachment.duration_ms,
        thumbnail=attachment.thumbnail,
    )


def require_known_suite(fields: content_pb2.Attachment) -> None:
    """Raise `UnsupportedVersion` for a later suite; told before anything else about its fields."""
    if fields.suite > _SUITE:
        raise UnsupportedVersion(
            f"attachment suite {fields.suite} is not supported, only 1 is: upgrade e2ecross"
        )


def attachment_from_fields(fields: content_pb2.Attachment) -> Attachment:
    """Check an attachment from outside, whose suite is not a later one.

    Raises:
        DecodeError: it is not there, or of suite 0.
        InvalidArgument: a field that is not acceptable.
    """
    if fields.suite != _SUITE:
        raise DecodeError("an attachment is missing, or has no suite")
    return Attachment(
        fields.file_key,
        fields.size,
        fields.chunk_log2,
        fields.root,
        fields.blob_id,
        fields.media_type,
        fields.name,
        fields.width,
        fields.height,
        fields.duration_ms,
        fields.thumbnail,
    )


def _check_media_type(media_type: str) -> None:
    require_text("media_type", media_type, _MAX_MEDIA_TYPE_BYTES)
    if media_type and not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidArgument("media_type must be type/subtype of a-z 0-9 . + _ -, or empty")


def _check_name(name: str) -> None:
    require_text("name", name, _MAX_NAME_BYTES)
    if name in (".", "..") or _NOT_IN_NAMES.search(name):
        raise InvalidArgument(
            "name must be one path component, without control characters, slashes and characters "
            "that turn text around"
        )


def _check_thumbnail(thumbnail: bytes) -> None:
    require_bytes("thumbnail", thumbnail)
    if len(thumbnail) > _MAX_THUMBNAIL_BYTES:
        raise InvalidArgument(
            f"thumbnail has {len(thumbnail)} bytes, more than the {_MAX_THUMBNAIL_BYTES} allowed"
        )
    if thumbnail and not thumbnail.startswith(_JPEG):
        raise InvalidArgument("thumbnail must be a JPEG, or empty")
