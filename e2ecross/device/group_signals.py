# SPDX-License-Identifier: Apache-2.0
"""Receipts and typing in groups: whom they go to, and whose are shown.

Rules:
- They go from one account to another, not into the group, and only where both are in a group that
  the user has accepted.
- In a large group nobody hears that a message came, or that somebody is typing.
"""

from typing import Final

from e2ecross.address import UserId
from e2ecross.device.group_members import counts_as_in, member_of, own_member, require_group
from e2ecross.errors import NotInGroup
from e2ecross.state.context import Context
from e2ecross.stores.base import Transaction
from e2ecross.wire.group import GroupId

__all__ = ["is_small", "others_in", "share_group"]

_MAX_MEMBERS: Final = 32


def share_group(context: Context, tx: Transaction, group: GroupId, user: UserId) -> bool:
    """Tell whether the own account and another are in a group that the user has accepted."""
    try:
        record, state = require_group(tx, group)
    except NotInGroup:
        return False
    member = member_of(context, tx, user)
    is_in = member is not None and counts_as_in(record, state, member)
    return record.accepted and is_in and own_member(context) in state.members


def is_small(tx: Transaction, group: GroupId) -> bool:
    """Tell whether a group has at most 32 members."""
    return len(require_group(tx, group)[1].members) <= _MAX_MEMBERS


def others_in(context: Context, tx: Transaction, group: GroupId) -> list[UserId]:
    """Return the other accounts of a group that share it with the own one; none of a large one.

    Raises:
        NotInGroup: it is not known here.
    """
    if not is_small(tx, group):
        return []
    users = [member.user for member in require_group(tx, group)[1].members]
    return [
        user
        for user in users
        if user != context.address.user_id and share_group(context, tx, group, user)
    ]
