# SPDX-License-Identifier: Apache-2.0
"""Records of sender keys are whole or damaged, and each has one encoding."""

from typing import Any, Final

import pytest

from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.group import GroupId
from e2ecross.wire.record_encoding import encode_record
from e2ecross.wire.sender_key_records import OwnSenderKeyRecord, SenderKeyRecord

KEY: Final = bytes(range(32))
GOOD_KEY: Final = b"\x05" + KEY
FIELDS: Final[dict[str, Any]] = {
    "chain_key": KEY,
    "signing_key": GOOD_KEY,
    "number": 1,
}
ORIGIN: Final[dict[str, Any]] = {
    "group_id": GroupId(KEY).value,
    "heads": [bytes(32)],
    "identity_key": GOOD_KEY,
    "judged_heads": bytes(98),
}


def _record(**fields: Any) -> bytes:  # noqa: ANN401 - the fields of a record
    return encode_record(storage_pb2.SenderKeyRecord(**FIELDS, **fields))


@pytest.mark.parametrize(
    "record",
    [
        OwnSenderKeyRecord(1, 2, KEY[1:], KEY),
        OwnSenderKeyRecord(1, 2, KEY, KEY + b"\0"),
        SenderKeyRecord(1, KEY[1:], GOOD_KEY, 0, 1),
        SenderKeyRecord(1, KEY, GOOD_KEY[1:], 0, 1),
    ],
)
def test_records_with_values_of_wrong_length_are_damaged(
    record: OwnSenderKeyRecord | SenderKeyRecord,
) -> None:
    with pytest.raises(RecordCorrupted):
        type(record).decode(record.encode())
    assert KEY.hex() not in repr(record)


@pytest.mark.parametrize(
    "change",
    [
        {"group_id": b"short"},
        {"group_id": b""},
        {"heads": [b"short"]},
        {"heads": []},
        {"identity_key": GOOD_KEY[1:]},
        {"identity_key": b""},
        {"judged_heads": bytes(97)},
    ],
)
def test_a_record_of_a_key_of_a_group_is_whole_or_damaged(change: dict[str, Any]) -> None:
    whole = _record(**ORIGIN)
    assert SenderKeyRecord.decode(whole).encode() == whole
    with pytest.raises(RecordCorrupted):
        SenderKeyRecord.decode(_record(**{**ORIGIN, **change}))


def test_a_record_of_a_key_of_a_foreign_group_has_no_origin() -> None:
    record = SenderKeyRecord.decode(_record())
    assert record.origin is None
    assert record.encode() == _record()


@pytest.mark.parametrize("name", ORIGIN)
def test_nor_any_part_of_one(name: str) -> None:
    with pytest.raises(RecordCorrupted):
        SenderKeyRecord.decode(_record(**{name: ORIGIN[name]}))
