# SPDX-License-Identifier: Apache-2.0
"""Ids, roles, members, settings; commits: what their values and their bytes may be."""

from dataclasses import replace
from typing import Any

import pytest

from e2ecross.errors import DecodeError, InvalidArgument, InvalidKey, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.encoding import serialize
from e2ecross.wire.group import (
    GroupDestination,
    GroupId,
    GroupSettings,
    Role,
    decode_member,
    decode_role,
    decode_settings,
    encode_member,
    encode_settings,
)
from e2ecross.wire.group_commit import GroupCommit, SignedGroupCommit
from tests.support.formats import COMMIT, GROUP_ID, HEADS, MEMBER, SIGNED_COMMIT

HASHES = tuple(bytes((number,)) * 32 for number in range(20))


def test_an_id_has_one_spelling() -> None:
    text = "group:" + "5a" * 32
    assert str(GROUP_ID) == text
    assert GroupId.parse(text) == GROUP_ID


@pytest.mark.parametrize("text", ["5a" * 32, "group:" + "5A" * 32, "group:5a", "", None])
def test_another_text_is_no_id(text: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="64 hexadecimal digits"):
        GroupId.parse(text)


@pytest.mark.parametrize("value", [bytes(31), bytes(33), b"", "a" * 32])
def test_an_id_has_32_bytes(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        GroupId(value)


@pytest.mark.parametrize("count", [1, 16])
def test_a_message_names_1_to_16_heads(count: int) -> None:
    assert GroupDestination(GROUP_ID, HASHES[:count]).heads == HASHES[:count]


@pytest.mark.parametrize(
    "heads",
    [(), HASHES[:17], HASHES[1::-1], (HASHES[0], HASHES[0]), (bytes(31),), [HASHES[0]], ("a",)],
)
def test_other_heads_are_refused(heads: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        GroupDestination(GROUP_ID, heads)
    with pytest.raises(InvalidArgument):
        replace(COMMIT, parents=heads)


def test_a_destination_is_in_a_group() -> None:
    with pytest.raises(InvalidArgument):
        GroupDestination(bytes(32), HEADS)  # type: ignore[arg-type]


@pytest.mark.parametrize("role", Role)
def test_roles(role: Role) -> None:
    assert decode_role(role.value) is role


@pytest.mark.parametrize("number", [0, 4, 2**31])
def test_other_numbers_are_no_roles(number: int) -> None:
    with pytest.raises(DecodeError, match="no role"):
        decode_role(number)


def test_a_member_is_read_and_a_bad_key_is_none() -> None:
    assert decode_member(encode_member(MEMBER)) == MEMBER
    bad = encode_member(MEMBER)
    bad.account_key = b"\x05" + bytes(32)
    with pytest.raises(InvalidKey):
        decode_member(bad)


def test_settings_at_their_bounds() -> None:
    most = GroupSettings("é" * 128, bytes(4096), only_admins_send=True)
    assert decode_settings(encode_settings(most)) == most
    assert "é" not in repr(most)
    for bad in ({"name": "é" * 128 + "a"}, {"app_data": bytes(4097)}, {"only_admins_send": 1}):
        with pytest.raises(InvalidArgument):
            replace(most, **bad)
    with pytest.raises(DecodeError):
        decode_settings(group_pb2.GroupSettings(name="a" * 257))


def test_a_commit_has_1_to_64_ops() -> None:
    assert len(replace(COMMIT, ops=COMMIT.ops * 16).ops) == 64
    bad: tuple[Any, ...] = ((), COMMIT.ops * 16 + COMMIT.ops[:1], list(COMMIT.ops))
    for ops in bad:
        with pytest.raises(InvalidArgument):
            replace(COMMIT, ops=ops)


def test_a_genesis_has_a_nonce_and_no_parents() -> None:
    genesis = replace(COMMIT, group_id=b"", parents=(), nonce=bytes(32))
    assert GroupCommit.decode(genesis.encode()) == genesis
    assert genesis.is_genesis
    assert not COMMIT.is_genesis
    for bad in ({"nonce": b""}, {"nonce": bytes(31)}, {"parents": HEADS}):
        with pytest.raises(InvalidArgument):
            replace(genesis, **bad)
    with pytest.raises(InvalidArgument):
        replace(COMMIT, nonce=bytes(32))
    for made_at_ms in (-1, 2**64):
        with pytest.raises(InvalidArgument):
            replace(COMMIT, made_at_ms=made_at_ms)


def test_a_commit_has_at_most_16384_bytes() -> None:
    settings = [GroupSettings(app_data=bytes(4096)) for _ in range(3)]
    base = replace(COMMIT, ops=(*settings, GroupSettings()))
    room = 16_384 - len(base.encode())
    # What is longer has one more byte in the length of the data, of the settings and of the op.
    fits = replace(base, ops=(*settings, GroupSettings(app_data=bytes(room - 5))))
    assert len(fits.encode()) == 16_384
    assert GroupCommit.decode(fits.encode()) == fits
    longer = replace(base, ops=(*settings, GroupSettings(app_data=bytes(room - 4))))
    with pytest.raises(InvalidArgument, match="16385 bytes"):
        longer.encode()
    with pytest.raises(DecodeError, match="16385 bytes"):
        GroupCommit.decode(fits.encode() + b"\0")


def test_the_version_is_looked_at_before_anything_else() -> None:
    fields = group_pb2.GroupCommit(version=2, nonce=b"anything")
    with pytest.raises(UnsupportedVersion, match="version 2"):
        GroupCommit.decode(serialize(fields))
    with pytest.raises(DecodeError, match="version"):
        GroupCommit.decode(b"")


def test_many_ops_are_refused_before_any_is_looked_at() -> None:
    fields = group_pb2.GroupCommit(version=1, ops=[group_pb2.GroupOp() for _ in range(65)])
    with pytest.raises(DecodeError, match="more than 64 changes"):
        GroupCommit.decode(serialize(fields))


def test_a_commit_is_kept_as_it_came_with_its_signature() -> None:
    read = SignedGroupCommit.decode(SIGNED_COMMIT.data, SIGNED_COMMIT.signature)
    assert read == SIGNED_COMMIT
    for signature in (bytes(63), bytes(65), b""):
        with pytest.raises(DecodeError, match="no signature"):
            SignedGroupCommit.decode(SIGNED_COMMIT.data, signature)


def test_a_role_of_no_number_and_an_op_of_no_kind_are_refused() -> None:
    for op in (group_pb2.GroupOp(), group_pb2.GroupOp(set_role=group_pb2.GroupRole(role=4))):
        fields = group_pb2.GroupCommit(version=1, author=encode_member(MEMBER), ops=[op])
        with pytest.raises(DecodeError):
            GroupCommit.decode(serialize(fields))
