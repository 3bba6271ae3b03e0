# SPDX-License-Identifier: Apache-2.0
"""A group as a transaction reads it before something is sent there: what it is, and who is in.

Source: docs/wire-format.md, groups.
"""

import enum
from collections.abc import Collection
from typing import NamedTuple

from e2ecross.crypto.group_kdf import hash_context
from e2ecross.device.group_members import counts_as_in, require_group, require_role
from e2ecross.errors import GroupRefused
from e2ecross.protocol.group_graph import GroupGraph, places_in
from e2ecross.protocol.group_state import GroupView
from e2ecross.state.changes import read_changes
from e2ecross.state.context import Context
from e2ecross.state.groups import load_graph
from e2ecross.stores.base import Transaction
from e2ecross.wire.group import GroupDestination, GroupId, MemberId, Role
from e2ecross.wire.group_commit import is_later_version
from e2ecross.wire.group_records import GroupRecord, GroupState
from e2ecross.wire.limits import MAX_PARENTS

__all__ = [
    "Audience",
    "Standing",
    "destination_of",
    "find_standing",
    "left_since",
    "members_at",
    "places_before",
    "present_at",
]


class Audience(enum.Enum):
    """Whom something is for that is sent into a group."""

    MEMBERS = "members"
    """Everybody who is in: what a user sends."""
    STAYING = "staying"
    """Who was in before own commits that are not announced, and still is."""
    JOINING = "joining"
    """Who is in since them; who is out since then is asked for, too."""


class Standing(NamedTuple):
    """A group as a transaction has read it.

    Attributes:
        group: which.
        record: how it stands with it.
        state: what its commits give.
        state_hash: context hash of all heads that are held, 32 bytes.
        changes: how many changes of accounts are counted.
    """

    group: GroupId
    record: GroupRecord
    state: GroupState
    state_hash: bytes
    changes: int


def find_standing(
    context: Context, tx: Transaction, group: GroupId, audience: Audience
) -> Standing:
    """Read a group into which something is to be sent.

    Raises:
        NotInGroup: the group is not known here, or the own account is not in it.
        GroupRefused: only owners and admins send there; or nothing can be sent there any more.
        RecordCorrupted: a record of the group is damaged.
    """
    record, state = require_group(tx, group)
    if is_later_version(record.outdated):
        raise GroupRefused(f"nothing can be sent into {group}: upgrade e2ecross")
    if audience is Audience.MEMBERS:
        role = require_role(context, state)
        if record.full:
            raise GroupRefused(f"nothing can be sent into {group} any more: make a new group")
        if state.settings.only_admins_send and role is Role.MEMBER:
            raise GroupRefused(f"only owners and admins send into {group}")
    state_hash = hash_context(group.value, state.heads)
    return Standing(group, record, state, state_hash, read_changes(tx))


def destination_of(standing: Standing) -> GroupDestination:
    """Return the heads that a message for all members names: of more than 16 the smallest."""
    return GroupDestination(standing.group, standing.state.heads[:MAX_PARENTS])


def members_at(
    context: Context, tx: Transaction, standing: Standing, heads: tuple[bytes, ...]
) -> Collection[MemberId]:
    """Return who is a member at heads, 32 bytes each, in the order in which they get keys."""
    if heads == standing.state.heads:
        return standing.state.members
    graph = load_graph(context, tx, standing.group)
    return GroupView(graph, graph.behind(heads)).state().members


def present_at(
    context: Context, tx: Transaction, standing: Standing, heads: tuple[bytes, ...]
) -> Collection[MemberId]:
    """Return which members at heads, 32 bytes each, are in the group now, and not only *back*.

    A message names 16 heads at most: beside them may stand a removal that is known here.
    """
    members = members_at(context, tx, standing, heads)
    record, state = standing.record, standing.state
    return {each: None for each in members if counts_as_in(record, state, each)}


def left_since(context: Context, tx: Transaction, standing: Standing) -> list[MemberId]:
    """Return who is out since own commits that are not announced."""
    graph, members = load_graph(context, tx, standing.group), standing.state.members
    before = GroupView(graph, places_before(graph, standing.record.unannounced))
    return [each for each in before.state().members if each not in members]


def places_before(graph: GroupGraph, unannounced: Collection[bytes]) -> int:
    """Return the places of what is known to others: not of own commits, nor what follows them.

    Args:
        graph: the commits of the group.
        unannounced: hashes of own commits, 32 bytes each, that nobody has been told of.
    """
    new = [node.place for each in unannounced if (node := graph.find(each)) is not None]
    bits = sum(1 << place for place in new)
    places = graph.all & ~bits
    for place in places_in(places):
        if graph.nodes[place].ancestors & bits:
            places &= ~(1 << place)
    return places
