# SPDX-License-Identifier: Apache-2.0
"""Records of groups that are damaged: each is `RecordCorrupted`, and nothing is read of it."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from google.protobuf.message import Message

from e2ecross.errors import RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.group_records import GroupCommitRecord, GroupRecord, GroupState
from e2ecross.wire.record_encoding import encode_record
from tests.support.formats import RECORDS, SIGNED_COMMIT

GROUP: Final = RECORDS["group"].example
STATE: Final = RECORDS["state of a group"].example
COMMIT: Final = RECORDS["stored group commit"].example

Damage = Callable[[Any], object]


def _damaged(kind: type[Message], example: bytes, damage: Damage) -> bytes:
    fields = kind.FromString(example[1:])
    damage(fields)
    return encode_record(fields)


def _set(name: str, value: object) -> Damage:
    return lambda fields: setattr(fields, name, value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.unannounced.append(bytes(31)),
        lambda fields: _set("app", "NO")(fields.days[0].author),
        lambda fields: _set("app", "NO")(fields.heard_from),
        lambda fields: _set("account_key", bytes(33))(fields.back[0]),
        lambda fields: _set("user", "No One")(fields.back[0].user),
    ],
)
def test_a_damaged_group(damage: Damage) -> None:
    with pytest.raises(RecordCorrupted, match="a group record"):
        GroupRecord.decode(_damaged(storage_pb2.GroupRecord, GROUP, damage))


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields.heads.append(bytes(33)),
        lambda fields: _set("role", 4)(fields.members[0]),
        lambda fields: _set("account_key", b"")(fields.members[0].member),
        lambda fields: fields.members.append(fields.members[0]),
        lambda fields: _set("name", "a" * 257)(fields.settings),
        lambda fields: fields.ClearField("settings"),
    ],
)
def test_a_damaged_state(damage: Damage) -> None:
    with pytest.raises(RecordCorrupted, match="the state of a group"):
        GroupState.decode(_damaged(storage_pb2.GroupStateRecord, STATE, damage))


@pytest.mark.parametrize(
    "damage", [_set("number", 8_192), _set("signature", bytes(63)), _set("commit", b"nonsense")]
)
def test_a_damaged_commit(damage: Damage) -> None:
    with pytest.raises(RecordCorrupted, match="a stored commit of a group"):
        GroupCommitRecord.decode(_damaged(storage_pb2.GroupCommitRecord, COMMIT, damage))


def test_a_state_keeps_the_order_of_its_members() -> None:
    members = list(GroupState.decode(STATE).members)
    again = GroupState.decode(GroupState.decode(STATE).encode())
    assert list(again.members) == members


def test_a_stored_commit_is_what_was_signed_under_its_number() -> None:
    record = GroupCommitRecord(SIGNED_COMMIT, 0)
    assert GroupCommitRecord.decode(record.encode()) == record
