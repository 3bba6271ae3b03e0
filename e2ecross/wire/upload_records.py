# SPDX-License-Identifier: Apache-2.0
"""Records of files that are, or were, brought to where files are kept.

Encoding: `record_encoding.py`.

Source: attachments.md 2; docs/wire-format.md, records at rest.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.attachment import BLOB_ID_BYTES, Attachment
from e2ecross.wire.record_encoding import check_lengths, decode_record, encode_record

__all__ = ["BlobEndRecord", "UploadRecord", "decode_openable", "encode_openable"]

_MAX_SPOOL_BYTES: Final = 255


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class UploadRecord(Secret):
    """A file that is brought to where files are kept.

    Attributes:
        attachment: what a message will say of it.
        spool: name of the file that holds the blob: one path component, at most 255 bytes.
        created_at_ms: when it was encrypted, milliseconds since 1970.
        complete: all of it is there; the spool may be left.
        lasting: a message that has no end carries it: the blob is not deleted with another one.
    """

    attachment: Attachment
    spool: str
    created_at_ms: int
    complete: bool = False
    lasting: bool = False

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.UploadRecord(
                attachment=self.attachment.encode(),
                spool=self.spool,
                created_at_ms=self.created_at_ms,
                blob_size=self.attachment.blob_size,
                complete=self.complete,
                lasting=self.lasting,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "UploadRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        what = "a record of an upload"
        fields = decode_record(storage_pb2.UploadRecord, data, what)
        try:
            attachment = Attachment.decode(fields.attachment)
        except RemoteError as error:
            raise RecordCorrupted(f"{what} holds no attachment: the store is damaged") from error
        name = fields.spool
        is_name = 0 < len(name.encode()) <= _MAX_SPOOL_BYTES and not set(name) & set("/\\\0")
        if not is_name or fields.blob_size != attachment.blob_size:
            raise RecordCorrupted(f"{what} contradicts itself: the store is damaged")
        return cls(attachment, name, fields.created_at_ms, fields.complete, fields.lasting)


@dataclass(frozen=True, slots=True)
class BlobEndRecord:
    """When a blob is to be deleted: with the last message that carries it.

    Attributes:
        ends_at_ms: when the last of those is over that are not viewed once, milliseconds since
            1970; 0: there are none.
        unopened: how many may be viewed once, and were not.
        unopened_ends_at_ms: when the last of these is over if nobody looks at it.
    """

    ends_at_ms: int = 0
    unopened: int = 0
    unopened_ends_at_ms: int = 0

    @property
    def over_at_ms(self) -> int:
        """When the last of them is over, as far as is known; milliseconds since 1970."""
        return max(self.ends_at_ms, self.unopened_ends_at_ms if self.unopened else 0)

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.BlobEndRecord(
                ends_at_ms=self.ends_at_ms,
                unopened=self.unopened,
                unopened_ends_at_ms=self.unopened_ends_at_ms,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "BlobEndRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        fields = decode_record(storage_pb2.BlobEndRecord, data, "a record of the end of a blob")
        return cls(fields.ends_at_ms, fields.unopened, fields.unopened_ends_at_ms)


def encode_openable(blob_id: bytes) -> bytes:
    """Return the record of what a message carries that may be viewed once: a blob id, 32 bytes."""
    return encode_record(storage_pb2.OpenableRecord(blob_id=blob_id))


def decode_openable(data: bytes) -> bytes:
    """Return the blob id (32 bytes) of what a message carries that may be viewed once.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a record of what may be viewed once"
    fields = decode_record(storage_pb2.OpenableRecord, data, what)
    check_lengths(what, (fields.blob_id, BLOB_ID_BYTES))
    return fields.blob_id
