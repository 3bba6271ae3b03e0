# SPDX-License-Identifier: Apache-2.0
"""Files that are, or were, brought to where files are kept: found by the id of their blob.

Source: attachments.md 2.
"""

from collections.abc import Iterator
from typing import Final

from e2ecross.errors import RecordCorrupted
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.attachment import BLOB_ID_BYTES
from e2ecross.wire.upload_records import UploadRecord

__all__ = ["UPLOADS", "find_upload", "forget_upload", "put_upload", "read_upload", "walk_uploads"]

UPLOADS: Final = b""
"""The partition of the table; beside them stands in it the list of generations of a shelf, in a
row of its name, which is no blob id."""


def find_upload(tx: Transaction, blob_id: bytes) -> UploadRecord | None:
    """Return what is known of a file by the id of its blob, 32 bytes; None: nothing."""
    data = tx.get(Table.UPLOADS, UPLOADS, blob_id)
    return None if data is None else read_upload(blob_id, data)


def put_upload(tx: Transaction, record: UploadRecord) -> None:
    """Write what is known of a file."""
    tx.put(Table.UPLOADS, UPLOADS, record.attachment.blob_id, record.encode())


def forget_upload(tx: Transaction, blob_id: bytes) -> None:
    """Forget a file by the id of its blob, 32 bytes."""
    tx.delete(Table.UPLOADS, UPLOADS, blob_id)


def walk_uploads(tx: Transaction) -> Iterator[UploadRecord]:
    """Walk over all of them, in an order of their own.

    Raises:
        RecordCorrupted: one is damaged.
    """
    for row, data in tx.list(Table.UPLOADS, UPLOADS):
        if len(row) == BLOB_ID_BYTES:
            yield read_upload(row, data)


def read_upload(blob_id: bytes, data: bytes) -> UploadRecord:
    """Return the upload of a row.

    Raises:
        RecordCorrupted: it is none, or of another blob.
    """
    record = UploadRecord.decode(data)
    if record.attachment.blob_id != blob_id:
        raise RecordCorrupted("an upload stands in the wrong row: the store is damaged")
    return record
