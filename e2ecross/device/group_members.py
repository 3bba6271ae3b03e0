# SPDX-License-Identifier: Apache-2.0
"""Who is who in a group, by what this device knows.

Rules:
- A member is a user with one account key. Whoever speaks for a user is the member with the key that
  is accepted of its account, and no other.
- Who came in only because a removal became void is *back*: he counts as out until the user has
  confirmed him.
"""

from e2ecross.address import UserId
from e2ecross.errors import NotInGroup
from e2ecross.state.context import Context, address_key
from e2ecross.state.groups import find_group, find_state
from e2ecross.state.trust import find_identity_record
from e2ecross.stores.base import Transaction
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.group import GroupId, MemberId, Role
from e2ecross.wire.group_records import GroupRecord, GroupState

__all__ = [
    "counts_as_in",
    "member_of",
    "own_member",
    "require_group",
    "require_role",
]


def own_member(context: Context) -> MemberId:
    """Return what the own account is in groups."""
    return MemberId(context.address.user_id, context.account_key)


def member_of(context: Context, tx: Transaction, user: UserId) -> MemberId | None:
    """Return what an account is in groups, by its accepted key, or None: no key of it is known."""
    if user == context.address.user_id:
        return own_member(context)
    known = find_identity_record(tx, address_key(user.device(PRIMARY)))
    return None if known is None else MemberId(user, known.identity_key)


def require_group(tx: Transaction, group: GroupId) -> tuple[GroupRecord, GroupState]:
    """Return how it stands with a group, and what its commits give.

    Raises:
        NotInGroup: it is not known here.
    """
    record, state = find_group(tx, group), find_state(tx, group)
    if record is None or state is None:
        raise NotInGroup(f"{group} is not known here: its commits come with the next message of it")
    return record, state


def require_role(context: Context, state: GroupState) -> Role:
    """Return the role of the own account.

    Raises:
        NotInGroup: it is out.
    """
    role = state.members.get(own_member(context))
    if role is None:
        raise NotInGroup("the own account is not in the group: somebody in it has to add it")
    return role


def counts_as_in(record: GroupRecord, state: GroupState, member: MemberId) -> bool:
    """Tell whether a member is in a group, and not only *back*."""
    return member in state.members and member not in record.back
