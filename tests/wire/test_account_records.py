# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.wire.account_records import (
    AccountRecord,
    DeviceName,
    NewDevice,
    OwnAccountRecord,
    decode_push,
    encode_push,
)
from tests.support import protobuf
from tests.support.device_lists import recorded_list

FIRST, SECOND = recorded_list("first"), recorded_list("laptop linked")
NEW = NewDevice(2, bytes(32), 7)
NAME = DeviceName(127, "Ana's laptop", 1, 2, 3, 4)


@pytest.mark.parametrize(
    "record",
    [
        AccountRecord(),
        AccountRecord(FIRST, 1),
        AccountRecord(FIRST, 2**63, SECOND, 3, True, 4, True, True, True, True),
        AccountRecord(has_list=True),
        AccountRecord(written=True),
        AccountRecord(check_wanted=True, checked_at_ms=5),
        AccountRecord(FIRST, hosting_unseen=True),
        AccountRecord(FIRST, fork_noted=True),
        OwnAccountRecord(),
        OwnAccountRecord(True, (NEW, NEW._replace(device=127)), (NAME,), 127, True, True, 9, 10),
        OwnAccountRecord(published=True),
        OwnAccountRecord(must_reset=True),
        OwnAccountRecord(conflict=True),
        OwnAccountRecord(linked_at_ms=2**63),
        OwnAccountRecord(expired_seq=2**63),
        OwnAccountRecord(foreign_hosting=1, foreign_vendor="a vendor"),
        OwnAccountRecord(foreign_hosting=2),
    ],
)
def test_record_survives_its_encoding(record: AccountRecord | OwnAccountRecord) -> None:
    assert type(record).decode(record.encode()) == record


def test_a_push_survives_its_encoding() -> None:
    for at_ms in (0, 1, 2**64 - 1):
        assert decode_push(encode_push(at_ms)) == at_ms


@pytest.mark.parametrize("field", [1, 3])
@pytest.mark.parametrize("damaged", [b"\x00", b"list", FIRST.encode()[:-1], FIRST.data])
def test_an_account_holds_lists(field: int, damaged: bytes) -> None:
    with pytest.raises(RecordCorrupted, match="list"):
        AccountRecord.decode(b"\x01" + protobuf.message([(field, damaged)]))


@pytest.mark.parametrize(
    "record",
    [
        OwnAccountRecord(new_devices=(NEW._replace(token_hash=bytes(31)),)),
        OwnAccountRecord(new_devices=(NEW._replace(token_hash=b""),)),
        OwnAccountRecord(new_devices=(NEW._replace(device=1),)),
        OwnAccountRecord(new_devices=(NEW._replace(device=128),)),
        OwnAccountRecord(names=(NAME._replace(device=1),)),
        OwnAccountRecord(names=(NAME._replace(device=128),)),
        OwnAccountRecord(next_device=1),
        OwnAccountRecord(next_device=129),
        OwnAccountRecord(next_device=0),
        OwnAccountRecord(foreign_hosting=3),
        OwnAccountRecord(foreign_hosting=1),
        OwnAccountRecord(foreign_hosting=2, foreign_vendor="a vendor"),
        OwnAccountRecord(foreign_hosting=1, foreign_vendor=65 * "v"),
    ],
)
def test_what_the_own_account_never_says(record: OwnAccountRecord) -> None:
    with pytest.raises(RecordCorrupted):
        OwnAccountRecord.decode(record.encode())


@pytest.mark.parametrize("decode", [AccountRecord.decode, OwnAccountRecord.decode, decode_push])
def test_a_later_release_is_told(decode: object) -> None:
    assert callable(decode)
    with pytest.raises(StoreTooNew):
        decode(b"\x02")
    with pytest.raises(RecordCorrupted):
        decode(b"\x01\xff")


def test_a_name_is_not_shown() -> None:
    assert "laptop" not in repr(NAME)
    assert "laptop" not in repr(OwnAccountRecord(names=(NAME,)))


def test_lists_are_kept_as_they_came() -> None:
    record = AccountRecord(FIRST, rival=SECOND)
    again = AccountRecord.decode(record.encode())
    assert again.held is not None
    assert again.rival is not None
    assert (again.held.encode(), again.rival.encode()) == (FIRST.encode(), SECOND.encode())
    assert replace(again, rival=None) == AccountRecord(FIRST)
