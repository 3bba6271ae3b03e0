# SPDX-License-Identifier: Apache-2.0
"""Records of groups: how it stands with one, what its commits give, and each commit.

Encoding: `record_encoding.py`.

Source: docs/wire-format.md, records at rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.address import UserId
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.wire._pb.e2ecross.v1 import group_pb2, storage_pb2
from e2ecross.wire.encoding import encode_user
from e2ecross.wire.group import (
    GroupSettings,
    MemberId,
    Role,
    decode_member,
    decode_role,
    decode_settings,
    encode_member,
    encode_settings,
)
from e2ecross.wire.group_commit import SignedGroupCommit
from e2ecross.wire.limits import COMMIT_HASH_BYTES, MAX_GROUP_COMMITS
from e2ecross.wire.record_encoding import (
    check_lengths,
    decode_record,
    decode_stored_user,
    encode_record,
)

__all__ = [
    "GroupCommitRecord",
    "GroupDay",
    "GroupRecord",
    "GroupState",
    "decode_changes",
    "decode_grant",
    "encode_changes",
    "encode_grant",
]

_MAX_BYTES: Final = 128 * 1024 * 1024
"""A group can have 520,000 members, 64 of each commit, with 250 bytes each."""
_GROUP: Final = "a group record"
_STATE: Final = "the state of a group"
_COMMIT: Final = "a stored commit of a group"


class GroupDay(NamedTuple):
    """How many new commits of one author were taken in on one day.

    Attributes:
        author: whose.
        began_at_ms: when the day began, milliseconds since 1970.
        commits: how many.
    """

    author: UserId
    began_at_ms: int
    commits: int


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """How it stands with a group on this device.

    Attributes:
        accepted: the user has made it, accepted it, or written to it.
        outdated: the highest version of a commit that was seen and could not be read; 0: none.
        joined_at_ms: since when the own account has been in it, milliseconds since 1970; 0: it
            never was.
        unannounced: hashes of own commits that are not in the outbox yet, 32 bytes each.
        key_ended_at_ms: when a request last ended the own sender key.
        days: new commits of each author.
        back: who came in only because a removal became void, and was not confirmed by the user.
        heard_from: the account that first told of it; None: the user has made it.
        heard_at_ms: when it was first heard of, milliseconds since 1970.
        full: nobody can make one more commit.
    """

    accepted: bool = False
    outdated: int = 0
    joined_at_ms: int = 0
    unannounced: tuple[bytes, ...] = ()
    key_ended_at_ms: int = 0
    days: tuple[GroupDay, ...] = ()
    back: tuple[MemberId, ...] = ()
    heard_from: UserId | None = None
    heard_at_ms: int = 0
    full: bool = False

    def encode(self) -> bytes:
        """Return the record's bytes."""
        days = [
            storage_pb2.GroupDay(
                author=encode_user(day.author), began_at_ms=day.began_at_ms, commits=day.commits
            )
            for day in self.days
        ]
        return encode_record(
            storage_pb2.GroupRecord(
                accepted=self.accepted,
                outdated=self.outdated,
                joined_at_ms=self.joined_at_ms,
                unannounced=self.unannounced,
                key_ended_at_ms=self.key_ended_at_ms,
                days=days,
                back=[encode_member(member) for member in self.back],
                heard_from=None if self.heard_from is None else encode_user(self.heard_from),
                heard_at_ms=self.heard_at_ms,
                full=self.full,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "GroupRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        fields = decode_record(storage_pb2.GroupRecord, data, _GROUP, _MAX_BYTES)
        check_lengths(_GROUP, *((each, COMMIT_HASH_BYTES) for each in fields.unannounced))
        return cls(
            fields.accepted,
            fields.outdated,
            fields.joined_at_ms,
            tuple(fields.unannounced),
            fields.key_ended_at_ms,
            tuple(
                GroupDay(decode_stored_user(day.author, _GROUP), day.began_at_ms, day.commits)
                for day in fields.days
            ),
            tuple(_stored_member(member, _GROUP) for member in fields.back),
            decode_stored_user(fields.heard_from, _GROUP)
            if fields.HasField("heard_from")
            else None,
            fields.heard_at_ms,
            fields.full,
        )


@dataclass(frozen=True, slots=True)
class GroupState:
    """What commits of a group give: their state, and its record.

    Attributes:
        heads: hashes of the newest of them, 32 bytes each, ascending.
        members: who is in, with which role; in the order in which they get keys if not all can:
            owners, admins, then members as they came.
        settings: of the group.
    """

    heads: tuple[bytes, ...]
    members: Mapping[MemberId, Role]
    settings: GroupSettings

    def encode(self) -> bytes:
        """Return the record's bytes."""
        members = [
            group_pb2.GroupRole(member=encode_member(member), role=role)
            for member, role in self.members.items()
        ]
        return encode_record(
            storage_pb2.GroupStateRecord(
                heads=self.heads, members=members, settings=encode_settings(self.settings)
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "GroupState":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        fields = decode_record(storage_pb2.GroupStateRecord, data, _STATE, _MAX_BYTES)
        check_lengths(_STATE, *((each, COMMIT_HASH_BYTES) for each in fields.heads))
        try:
            settings = decode_settings(fields.settings)
            roles = [decode_role(each.role) for each in fields.members]
        except RemoteError as error:
            raise RecordCorrupted(f"{_STATE} is not acceptable: the store is damaged") from error
        members = [_stored_member(each.member, _STATE) for each in fields.members]
        found = dict(zip(members, roles, strict=True))
        if len(found) < len(members) or not fields.HasField("settings"):
            raise RecordCorrupted(f"{_STATE} has a member twice or no settings: it is damaged")
        return cls(tuple(fields.heads), found, settings)


class GroupCommitRecord(NamedTuple):
    """A commit that is held.

    Attributes:
        signed: the commit, which was verified.
        number: its place in order of arrival, 0 to 8,191: parents have lower ones.
    """

    signed: SignedGroupCommit
    number: int

    def encode(self) -> bytes:
        """Return the record's bytes."""
        return encode_record(
            storage_pb2.GroupCommitRecord(
                commit=self.signed.data, signature=self.signed.signature, number=self.number
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "GroupCommitRecord":
        """Read the record.

        Raises:
            RecordCorrupted: it does not decode.
            StoreTooNew: a later release wrote it.
        """
        fields = decode_record(storage_pb2.GroupCommitRecord, data, _COMMIT)
        if fields.number >= MAX_GROUP_COMMITS:
            raise RecordCorrupted(f"{_COMMIT} has a number that none has: the store is damaged")
        try:
            signed = SignedGroupCommit.decode(fields.commit, fields.signature)
        except RemoteError as error:
            raise RecordCorrupted(f"{_COMMIT} does not decode: the store is damaged") from error
        return cls(signed, fields.number)


def encode_changes(changes: int) -> bytes:
    """Return the record of how many transactions have changed what is known of an account."""
    return encode_record(storage_pb2.ChangesRecord(changes=changes))


def decode_changes(data: bytes) -> int:
    """Return how many transactions have changed what is known of an account.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    return decode_record(storage_pb2.ChangesRecord, data, "a record of changes").changes


def encode_grant(identity_key: bytes) -> bytes:
    """Return the record of a device that has the present own key of a group.

    Args:
        identity_key: to which it was given, 33 bytes.
    """
    return encode_record(storage_pb2.GrantRecord(identity_key=identity_key))


def decode_grant(data: bytes) -> bytes:
    """Return the identity key (33 bytes) to which an own key was given.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    what = "a record of a grant"
    fields = decode_record(storage_pb2.GrantRecord, data, what)
    check_lengths(what, (fields.identity_key, PUBLIC_KEY_BYTES))
    return fields.identity_key


def _stored_member(fields: group_pb2.GroupMember, what: str) -> MemberId:
    try:
        return decode_member(fields)
    except RemoteError as error:
        raise RecordCorrupted(f"{what} holds no member: the store is damaged") from error
