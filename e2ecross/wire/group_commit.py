# SPDX-License-Identifier: Apache-2.0
"""Commits: what members sign of the changes that they make to a group. Bytes and checked values.

Rules:
- A commit is kept and passed on as it came: it is verified and hashed over the bytes that were
  signed.
- Exactly one encoding. Neither signature nor rights are checked here: `protocol/group_commit.py`.

Source: docs/wire-format.md, groups.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.encoding import parse, require_canonical, serialize
from e2ecross.wire.group import (
    GroupSettings,
    MemberId,
    Role,
    decode_member,
    decode_role,
    decode_settings,
    encode_member,
    encode_settings,
    require_heads,
)
from e2ecross.wire.limits import GROUP_ID_BYTES, MAX_GROUP_COMMIT_BYTES, MAX_GROUP_OPS

__all__ = [
    "AddMember",
    "GroupCommit",
    "GroupOp",
    "RemoveMember",
    "SetRole",
    "SignedGroupCommit",
    "decode_signed_commit",
    "is_later_version",
    "read_version",
]

_VERSION: Final = 1
_NONCE_BYTES: Final = 32
_MAX_TIME_MS: Final = 2**64 - 1
_WHAT: Final = "a commit of a group"
_SIGNED: Final = "a signed commit of a group"
_MAX_SIGNED_BYTES: Final = MAX_GROUP_COMMIT_BYTES + SIGNATURE_BYTES + 6
"""Two fields: of each the tag, and its length in at most 3 bytes and 1."""


@dataclass(frozen=True, slots=True)
class AddMember:
    """Somebody comes into the group, with the role of a member."""

    member: MemberId


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Somebody goes out of the group; the author of the commit: leaves."""

    member: MemberId


@dataclass(frozen=True, slots=True)
class SetRole:
    """Somebody gets another role; the author of the commit: steps down."""

    member: MemberId
    role: Role


GroupOp = AddMember | RemoveMember | SetRole | GroupSettings
"""One change. Settings replace all that there were."""


@dataclass(frozen=True, slots=True)
class GroupCommit:
    """What somebody does to a group, knowing of what was done before.

    Attributes:
        group_id: 32 bytes; empty in the genesis, whose hash makes it.
        parents: hashes of the newest commits that the author has, 1 to 16, ascending; none in the
            genesis.
        author: who does it.
        made_at_ms: milliseconds since 1970 by the author's clock; shown, and decides nothing.
        ops: the changes, 1 to 64, in this order.
        nonce: 32 random bytes in the genesis, else empty.

    Raises:
        InvalidArgument: a field has the wrong type, length, value or order.
    """

    group_id: bytes
    parents: tuple[bytes, ...]
    author: MemberId
    made_at_ms: int
    ops: tuple[GroupOp, ...]
    nonce: bytes = b""

    def __post_init__(self) -> None:
        genesis = self.is_genesis
        require_bytes("group_id", self.group_id, 0 if genesis else GROUP_ID_BYTES)
        require_bytes("nonce", self.nonce, _NONCE_BYTES if genesis else 0)
        if not genesis:
            require_heads("parents", self.parents)
        elif self.parents != ():
            raise InvalidArgument("parents must be none in the first commit of a group")
        require_whole_number("made_at_ms", self.made_at_ms, high=_MAX_TIME_MS)
        require_type("ops", self.ops, tuple)
        if not 1 <= len(self.ops) <= MAX_GROUP_OPS:
            raise InvalidArgument(f"ops must be 1 to {MAX_GROUP_OPS}, not {len(self.ops)}")

    @property
    def is_genesis(self) -> bool:
        """Whether it begins a group."""
        return self.group_id == b""

    def encode(self) -> bytes:
        """Return its one encoding, what is signed.

        Raises:
            InvalidArgument: it has more than 16,384 bytes.
        """
        data = serialize(
            group_pb2.GroupCommit(
                version=_VERSION,
                group_id=self.group_id,
                parents=self.parents,
                author=encode_member(self.author),
                made_at_ms=self.made_at_ms,
                ops=[_encode_op(op) for op in self.ops],
                nonce=self.nonce,
            )
        )
        if len(data) > MAX_GROUP_COMMIT_BYTES:
            raise InvalidArgument(
                f"{_WHAT} has {len(data)} bytes, more than the {MAX_GROUP_COMMIT_BYTES} allowed"
            )
        return data

    @classmethod
    def decode(cls, data: bytes) -> "GroupCommit":
        """Read a commit, at most 16,384 bytes.

        Raises:
            DecodeError: malformed, not in its one encoding, or a field has the wrong length, value
                or order.
            UnsupportedVersion: a commit of a later version, whatever else is in it.
            InvalidKey: a key is malformed, not canonical or of low order.
        """
        fields = parse(group_pb2.GroupCommit, data, _WHAT, MAX_GROUP_COMMIT_BYTES)
        if fields.version > _VERSION:
            raise UnsupportedVersion(
                f"version {fields.version} of {_WHAT} is not supported, only 1 is: upgrade e2ecross"
            )
        require_canonical(fields, data, _WHAT)
        if fields.version != _VERSION:
            raise DecodeError(f"{_WHAT} lacks its version")
        if len(fields.ops) > MAX_GROUP_OPS:  # before any is looked at
            raise DecodeError(f"{_WHAT} has more than {MAX_GROUP_OPS} changes")
        author = decode_member(fields.author)
        ops = tuple(_decode_op(op) for op in fields.ops)
        try:
            return cls(
                *(fields.group_id, tuple(fields.parents), author),
                *(fields.made_at_ms, ops, fields.nonce),
            )
        except InvalidArgument as error:
            raise DecodeError(f"{_WHAT} is not acceptable: {error}") from error


def read_version(data: bytes) -> int:
    """Return the version of a commit, at most 16,384 bytes, also of one that cannot be read.

    Raises:
        DecodeError: malformed.
    """
    return parse(group_pb2.GroupCommit, data, _WHAT, MAX_GROUP_COMMIT_BYTES).version


def is_later_version(version: int) -> bool:
    """Tell whether commits of a version cannot be read by this release."""
    return version > _VERSION


@dataclass(frozen=True, slots=True)
class SignedGroupCommit:
    """A commit and the signature over it; not verified.

    Attributes:
        data: the commit, as it was signed.
        signature: by the author's account key, 64 bytes.
        commit: what `data` says.
    """

    data: bytes
    signature: bytes
    commit: GroupCommit

    @classmethod
    def decode(cls, data: bytes, signature: bytes) -> "SignedGroupCommit":
        """Read a commit, at most 16,384 bytes, that came with a signature.

        Raises:
            DecodeError: as `GroupCommit.decode`, or the signature does not have 64 bytes.
            UnsupportedVersion, InvalidKey: as `GroupCommit.decode`.
        """
        commit = GroupCommit.decode(data)
        if len(signature) != SIGNATURE_BYTES:
            raise DecodeError(f"{_WHAT} has no signature of {SIGNATURE_BYTES} bytes")
        return cls(data, signature, commit)


def decode_signed_commit(data: bytes) -> SignedGroupCommit:
    """Read a commit that stands alone with its signature.

    Raises:
        DecodeError: malformed, not in its one encoding, or as `SignedGroupCommit.decode`.
        UnsupportedVersion, InvalidKey: as `SignedGroupCommit.decode`.
    """
    fields = parse(group_pb2.SignedGroupCommit, data, _SIGNED, _MAX_SIGNED_BYTES)
    require_canonical(fields, data, _SIGNED)
    return SignedGroupCommit.decode(fields.commit, fields.signature)


def _encode_op(op: GroupOp) -> group_pb2.GroupOp:
    match op:
        case AddMember(member):
            return group_pb2.GroupOp(add=encode_member(member))
        case RemoveMember(member):
            return group_pb2.GroupOp(remove=encode_member(member))
        case SetRole(member, role):
            given = group_pb2.GroupRole(member=encode_member(member), role=role)
            return group_pb2.GroupOp(set_role=given)
        case _:
            return group_pb2.GroupOp(settings=encode_settings(op))


def _decode_op(fields: group_pb2.GroupOp) -> GroupOp:
    match fields.WhichOneof("op"):
        case "add":
            return AddMember(decode_member(fields.add))
        case "remove":
            return RemoveMember(decode_member(fields.remove))
        case "set_role":
            role = decode_role(fields.set_role.role)
            return SetRole(decode_member(fields.set_role.member), role)
        case "settings":
            return decode_settings(fields.settings)
        case _:
            raise DecodeError(f"{_WHAT} has a change of no kind")
