# SPDX-License-Identifier: Apache-2.0
"""Uploads and the ends of blobs: what stands in the wrong place, or contradicts itself."""

from dataclasses import replace

import pytest

from e2ecross.errors import RecordCorrupted
from e2ecross.state.blob_ends import Carried, list_over, note_carried, note_opened
from e2ecross.state.uploads import find_upload, put_upload, walk_uploads
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.record_encoding import encode_record
from e2ecross.wire.upload_records import (
    BlobEndRecord,
    UploadRecord,
    decode_openable,
    encode_openable,
)
from tests.support.devices import BUDI, DAY_MS, MESSAGE_ID, NOW_MS
from tests.support.formats import ATTACHMENT

RECORD = UploadRecord(ATTACHMENT, "spool", NOW_MS)
BLOB_ID = ATTACHMENT.blob_id


def test_an_upload_is_found_by_its_blob() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        assert find_upload(tx, BLOB_ID) is None
        put_upload(tx, RECORD)
        found = find_upload(tx, BLOB_ID)
        assert found is not None
        assert (found.attachment, found.spool) == (ATTACHMENT, "spool")
        assert (found.created_at_ms, found.complete, found.lasting) == (NOW_MS, False, False)


def test_an_upload_in_the_wrong_row_is_damage() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(Table.UPLOADS, b"", bytes([1]) * 32, RECORD.encode())
        with pytest.raises(RecordCorrupted, match="wrong row"):
            list(walk_uploads(tx))


@pytest.mark.parametrize(
    "changes",
    [
        {"attachment": b"", "blob_size": ATTACHMENT.blob_size},
        {"blob_size": ATTACHMENT.blob_size + 1},
        {"spool": ""},
        {"spool": "x" * 256},
        {"spool": "../spool"},
        {"spool": "a\\b"},
        {"spool": "a\0b"},
    ],
)
def test_an_upload_that_contradicts_itself_is_damage(changes: dict[str, object]) -> None:
    fields = storage_pb2.UploadRecord()
    fields.ParseFromString(RECORD.encode()[1:])
    for name, value in changes.items():
        setattr(fields, name, value)
    with pytest.raises(RecordCorrupted):
        UploadRecord.decode(encode_record(fields))


def test_the_end_of_a_blob_stands_in_its_row() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(Table.UPLOADS, b"blob ends", b"short", BlobEndRecord(1).encode())
        with pytest.raises(RecordCorrupted, match="wrong row"):
            list_over(tx, NOW_MS)


def test_what_was_opened_more_often_than_it_was_sent_ends_once() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        put_upload(tx, replace(RECORD, complete=True))
        carried = Carried(BUDI.user_id, MESSAGE_ID, NOW_MS, None, view_once=True)
        note_carried(tx, BLOB_ID, carried, NOW_MS)
        assert list_over(tx, NOW_MS + 45 * DAY_MS - 1) == []
        assert list_over(tx, NOW_MS + 45 * DAY_MS) == [BLOB_ID]
        for _ in range(2):
            note_opened(tx, BUDI.user_id, [MESSAGE_ID, bytes(16)], NOW_MS)
            assert list_over(tx, NOW_MS) == [BLOB_ID]


def test_an_openable_message_of_a_blob_whose_end_was_forgotten_changes_nothing() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        put_upload(tx, replace(RECORD, complete=True))
        carried = Carried(BUDI.user_id, MESSAGE_ID, NOW_MS, None, view_once=True)
        note_carried(tx, BLOB_ID, carried, NOW_MS)
        note_carried(tx, BLOB_ID, replace_end(carried), NOW_MS)
        note_opened(tx, BUDI.user_id, [MESSAGE_ID], NOW_MS)
        assert list_over(tx, NOW_MS + 100 * DAY_MS) == []


def replace_end(carried: Carried) -> Carried:
    """Another message that carries the same, and has no end."""
    return carried._replace(message_id=bytes(16), view_once=False)


def test_a_damaged_openable_message_is_told() -> None:
    with pytest.raises(RecordCorrupted):
        decode_openable(encode_openable(b"short"))
