# SPDX-License-Identifier: Apache-2.0
"""Which blobs are to be deleted, and when: with the last message of this device that carries them.

Rules:
- Only of what was uploaded here something is noted; and nothing of what a message carries that has
  no end, once there was one.
- What is over, or was sent to be viewed once, is not opened here any more: the upload, which has
  its key, is forgotten.
- What is noted is bounded: a blob of which nothing is goes by itself, later.

Source: attachments.md 7, end of a message.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from e2ecross.address import UserId
from e2ecross.errors import RecordCorrupted
from e2ecross.state.accounts import user_key
from e2ecross.state.shelf import Shelf
from e2ecross.state.uploads import find_upload, forget_upload, put_upload
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.attachment import BLOB_ID_BYTES
from e2ecross.wire.upload_records import BlobEndRecord, decode_openable, encode_openable

__all__ = [
    "BLOB_ENDS",
    "OPENABLE",
    "Carried",
    "forget_end",
    "is_to_be_noted",
    "list_over",
    "may_be_opened",
    "note_carried",
    "note_opened",
    "read_end",
    "tend_openable",
]

BLOB_ENDS: Final = b"blob ends"
"""The partition of the ends."""
OPENABLE: Final = b"openable"
"""The name of the shelf of what may be viewed once, and was not."""
_KEPT_MS: Final = 45 * 24 * 60 * 60 * 1000
"""As long as a relay keeps a blob by default."""
_MAX_ENDS: Final = 10_000
_OPENABLE: Final = Shelf(Table.UPLOADS, _KEPT_MS, 10_000, OPENABLE)


class Carried(NamedTuple):
    """A message that was sent, and carries a blob.

    Attributes:
        user: the account that it is for.
        message_id: its id, 16 bytes.
        sent_at_ms: milliseconds since 1970.
        ends_at_ms: when it is over, likewise; None: never.
        view_once: it may be viewed once.
    """

    user: UserId
    message_id: bytes
    sent_at_ms: int
    ends_at_ms: int | None
    view_once: bool


def is_to_be_noted(tx: Transaction, blob_id: bytes) -> bool:
    """Tell whether it is to be noted that a message carries a blob (32 bytes of id)."""
    upload = find_upload(tx, blob_id)
    is_there = upload is not None and upload.complete and not upload.lasting
    return is_there or _find_end(tx, blob_id) is not None


def may_be_opened(tx: Transaction, user: UserId, message_id: bytes, now_ms: int) -> bool:
    """Tell whether it was noted that an account may look at a message (16 bytes of id) once."""
    return _OPENABLE.find(tx, user_key(user) + message_id, now_ms) is not None


def note_carried(tx: Transaction, blob_id: bytes, message: Carried, now_ms: int) -> None:
    """Note that a message carries a blob (32 bytes of id), in the commit that sends it."""
    upload, end = find_upload(tx, blob_id), _find_end(tx, blob_id)
    if end is None and (upload is None or upload.lasting):
        return
    if message.ends_at_ms is None and not message.view_once:
        forget_end(tx, blob_id)
        if upload is not None:
            put_upload(tx, replace(upload, lasting=True))
        return
    if end is None:
        if tx.count(Table.UPLOADS, BLOB_ENDS) >= _MAX_ENDS:
            return
        end = BlobEndRecord()
    over_ms = message.sent_at_ms + _KEPT_MS if message.ends_at_ms is None else message.ends_at_ms
    if not message.view_once:
        _put_end(tx, blob_id, replace(end, ends_at_ms=max(end.ends_at_ms, over_ms)))
        return
    last_ms = max(end.unopened_ends_at_ms, over_ms)
    end = replace(end, unopened=end.unopened + 1, unopened_ends_at_ms=last_ms)
    _put_end(tx, blob_id, end)
    row = user_key(message.user) + message.message_id
    _OPENABLE.add(tx, row, encode_openable(blob_id), now_ms)
    forget_upload(tx, blob_id)


def note_opened(tx: Transaction, user: UserId, message_ids: Iterable[bytes], now_ms: int) -> None:
    """Note that an account has looked at messages (16 bytes of id) that were sent to it.

    The blob of one that may be viewed once is over then, with the last that carries it.
    """
    for message_id in message_ids:
        row = user_key(user) + message_id
        found = _OPENABLE.find(tx, row, now_ms)
        if found is None:
            continue
        tx.delete(Table.UPLOADS, found.partition, row)
        blob_id = decode_openable(found.record)
        end = _find_end(tx, blob_id)
        if end is None:
            continue
        _put_end(tx, blob_id, replace(end, unopened=max(end.unopened - 1, 0)))


def list_over(tx: Transaction, now_ms: int) -> list[bytes]:
    """Return ids (32 bytes) of blobs that are to be deleted by now."""
    listed = tx.list(Table.UPLOADS, BLOB_ENDS)
    return [row for row, data in listed if read_end(row, data).over_at_ms <= now_ms]


def forget_end(tx: Transaction, blob_id: bytes) -> None:
    """Forget when a blob (32 bytes of id) is to be deleted."""
    tx.delete(Table.UPLOADS, BLOB_ENDS, blob_id)


def tend_openable(tx: Transaction, now_ms: int) -> None:
    """See `Shelf.tend`."""
    _OPENABLE.tend(tx, now_ms)


def read_end(blob_id: bytes, data: bytes) -> BlobEndRecord:
    """Return the end of the blob that a row is of.

    Raises:
        RecordCorrupted: it is none.
    """
    if len(blob_id) != BLOB_ID_BYTES:
        raise RecordCorrupted("the end of a blob stands in the wrong row: the store is damaged")
    return BlobEndRecord.decode(data)


def _find_end(tx: Transaction, blob_id: bytes) -> BlobEndRecord | None:
    data = tx.get(Table.UPLOADS, BLOB_ENDS, blob_id)
    return None if data is None else read_end(blob_id, data)


def _put_end(tx: Transaction, blob_id: bytes, end: BlobEndRecord) -> None:
    tx.put(Table.UPLOADS, BLOB_ENDS, blob_id, end.encode())
