# SPDX-License-Identifier: Apache-2.0
"""What names a group and who is in it: ids, roles, members, settings, and where a message stands.

Source: docs/wire-format.md, groups.
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeGuard

from e2ecross.address import UserId
from e2ecross.arguments import require_bytes, require_type
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.encoding import decode_user, encode_user
from e2ecross.wire.limits import (
    COMMIT_HASH_BYTES,
    GROUP_ID_BYTES,
    MAX_GROUP_APP_DATA_BYTES,
    MAX_GROUP_NAME_BYTES,
    MAX_PARENTS,
)
from e2ecross.wire.text import require_text

__all__ = [
    "GroupDestination",
    "GroupId",
    "GroupSettings",
    "MemberId",
    "Role",
    "decode_member",
    "decode_role",
    "decode_settings",
    "encode_member",
    "encode_settings",
    "is_group_text",
    "require_heads",
]

_PREFIX: Final = "group:"
_TEXT: Final = re.compile(_PREFIX + r"[0-9a-f]{64}", re.ASCII)


class Role(enum.IntEnum):
    """What a member may do in a group: the lower the number, the more."""

    OWNER = 1
    """Makes owners and admins, and whatever admins may."""
    ADMIN = 2
    """Adds members, removes them, changes the settings."""
    MEMBER = 3
    """Sends and receives, and may leave."""


@dataclass(frozen=True, slots=True, order=True)
class GroupId:
    """A group: the hash of its first commit. Written `group:` and 64 hexadecimal digits.

    Attributes:
        value: 32 bytes.

    Raises:
        InvalidArgument: not 32 bytes.
    """

    value: bytes

    def __post_init__(self) -> None:
        require_bytes("value", self.value, GROUP_ID_BYTES)

    @classmethod
    def parse(cls, text: str) -> "GroupId":
        """Read `group:` and 64 hexadecimal digits, lower case.

        Raises:
            InvalidArgument: the text is not of that form.
        """
        if not is_group_text(text):
            raise InvalidArgument("a group is written group: and 64 hexadecimal digits")
        return cls(bytes.fromhex(text.removeprefix(_PREFIX)))

    def __str__(self) -> str:
        return f"{_PREFIX}{self.value.hex()}"


def is_group_text(text: object) -> TypeGuard[str]:
    """Tell whether this is the text of a group, which could be taken for that of a user."""
    return isinstance(text, str) and _TEXT.fullmatch(text) is not None


class MemberId(NamedTuple):
    """A member: a user with one account key. With another key it is another member.

    Attributes:
        user: the account.
        account_key: its key, 33 bytes.
    """

    user: UserId
    account_key: PublicKey


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """What is said of a group as a whole. It never shows in a repr.

    Attributes:
        name: at most 256 bytes in UTF-8.
        app_data: what the app keeps there, at most 4,096 bytes.
        only_admins_send: whether members without a role may only read.

    Raises:
        InvalidArgument: a field has the wrong type or length.
    """

    name: str = ""
    app_data: bytes = b""
    only_admins_send: bool = False

    def __post_init__(self) -> None:
        require_text("name", self.name, MAX_GROUP_NAME_BYTES)
        require_bytes("app_data", self.app_data)
        if len(self.app_data) > MAX_GROUP_APP_DATA_BYTES:
            raise InvalidArgument(f"app_data has more than {MAX_GROUP_APP_DATA_BYTES} bytes")
        require_type("only_admins_send", self.only_admins_send, bool)

    def __repr__(self) -> str:
        return "<GroupSettings>"


@dataclass(frozen=True, slots=True)
class GroupDestination:
    """Where a group message stands: in which group, and in which state of it.

    Attributes:
        group_id: the group.
        heads: hashes of the newest commits that its sender has, 1 to 16, ascending, 32 bytes each.

    Raises:
        InvalidArgument: a field has the wrong type, length or order.
    """

    group_id: GroupId
    heads: tuple[bytes, ...]

    def __post_init__(self) -> None:
        require_type("group_id", self.group_id, GroupId)
        require_heads("heads", self.heads)


def require_heads(name: str, heads: tuple[bytes, ...], least: int = 1) -> None:
    """Raise `InvalidArgument` unless these are `least` to 16 hashes of commits, ascending."""
    require_type(name, heads, tuple)
    for each in heads:
        require_bytes(name, each, COMMIT_HASH_BYTES)
    if not least <= len(heads) <= MAX_PARENTS or not _ascend(heads):
        raise InvalidArgument(f"{name} must be {least} to {MAX_PARENTS} hashes, ascending")


def encode_member(member: MemberId) -> group_pb2.GroupMember:
    """The protobuf form of a member."""
    return group_pb2.GroupMember(user=encode_user(member.user), account_key=member.account_key)


def decode_member(value: group_pb2.GroupMember) -> MemberId:
    """Check a member from outside.

    Raises:
        DecodeError: the user does not match its grammar.
        InvalidKey: the key is malformed, not canonical or of low order.
    """
    return MemberId(decode_user(value.user), decode_public_key(value.account_key))


def decode_role(number: int) -> Role:
    """Check a role from outside.

    Raises:
        DecodeError: there is none with that number.
    """
    if number not in _ROLES:
        raise DecodeError(f"a group has no role {number}")
    return _ROLES[number]


def encode_settings(settings: GroupSettings) -> group_pb2.GroupSettings:
    """The protobuf form of settings."""
    return group_pb2.GroupSettings(
        name=settings.name,
        app_data=settings.app_data,
        only_admins_send=settings.only_admins_send,
    )


def decode_settings(value: group_pb2.GroupSettings) -> GroupSettings:
    """Check settings from outside.

    Raises:
        DecodeError: a field is too long.
    """
    try:
        return GroupSettings(value.name, value.app_data, value.only_admins_send)
    except InvalidArgument as error:
        raise DecodeError(f"settings of a group are not acceptable: {error}") from error


def _ascend(hashes: Iterable[bytes]) -> bool:
    listed = list(hashes)
    return listed == sorted(set(listed))


_ROLES: Final = {role.value: role for role in Role}
