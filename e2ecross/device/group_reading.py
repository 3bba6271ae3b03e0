# SPDX-License-Identifier: Apache-2.0
"""What an app is shown of groups: who is in, with which role, the settings, how it stands."""

import enum
from dataclasses import dataclass

from e2ecross.address import UserId
from e2ecross.device.group_members import member_of, own_member, require_group
from e2ecross.state.context import Context
from e2ecross.state.groups import walk_groups
from e2ecross.wire.group import GroupId, GroupSettings, Role
from e2ecross.wire.group_commit import is_later_version
from e2ecross.wire.group_records import GroupRecord

__all__ = ["GroupFacts", "GroupMember", "GroupStatus", "read_group", "read_groups", "status_of"]


class GroupStatus(enum.StrEnum):
    """Whether anything can be done in a group."""

    ACTIVE = "active"
    OUTDATED = "outdated"
    """A later release has changed it in a way that this one cannot read: upgrade."""
    FULL = "full"
    """It has all the commits that it can have: make a new one."""
    LEFT = "left"
    """The own account is out."""


@dataclass(frozen=True, slots=True)
class GroupMember:
    """Somebody in a group.

    Attributes:
        user: the account.
        account_key: with which key it is in, 33 bytes.
        role: what it may do.
        key_differs: another key of the account is the accepted one: who is in with this one gets
            nothing, until somebody adds the account anew.
        is_back: it is in only because a removal became void, and gets nothing until the user
            confirms it.
    """

    user: UserId
    account_key: bytes
    role: Role
    key_differs: bool = False
    is_back: bool = False


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What is known of a group.

    Attributes:
        group: which.
        settings: its name and the like.
        members: owners, admins, then members as they came.
        role: of the own account; None: it is out.
        accepted: the user wants to be in it.
        status: whether anything can be done in it.
    """

    group: GroupId
    settings: GroupSettings
    members: tuple[GroupMember, ...]
    role: Role | None
    accepted: bool
    status: GroupStatus


def read_group(context: Context, group: GroupId) -> GroupFacts:
    """Return what is known of a group.

    Raises:
        NotInGroup: it is not known here.
    """
    with context.store.transaction() as tx:
        record, state = require_group(tx, group)
        members = tuple(
            GroupMember(
                *(member.user, member.account_key, role),
                member_of(context, tx, member.user) not in (None, member),
                member in record.back,
            )
            for member, role in state.members.items()
        )
    role = state.members.get(own_member(context))
    status = status_of(record, role)
    return GroupFacts(group, state.settings, members, role, record.accepted, status)


def status_of(record: GroupRecord, role: Role | None) -> GroupStatus:
    """Tell whether anything can be done in a group in which the own account has this role."""
    if role is None:
        return GroupStatus.LEFT
    if is_later_version(record.outdated):
        return GroupStatus.OUTDATED
    return GroupStatus.FULL if record.full else GroupStatus.ACTIVE


def read_groups(context: Context) -> list[GroupId]:
    """Return the groups that the own account is in, or was, ascending."""
    with context.store.transaction() as tx:
        return sorted(group for group, record in walk_groups(tx) if record.joined_at_ms)
