# SPDX-License-Identifier: Apache-2.0
"""A group as it is held: read whole, and written with what more commits change of it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from e2ecross.device.group_members import counts_as_in, own_member
from e2ecross.device.group_notices import Change
from e2ecross.protocol.group_graph import GroupGraph, Node
from e2ecross.state.context import Context
from e2ecross.state.groups import (
    find_group,
    find_state,
    keep_graph,
    load_graph,
    put_commits,
    put_group,
    put_state,
)
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.stores.base import Transaction
from e2ecross.wire.group import GroupId, GroupSettings, MemberId
from e2ecross.wire.group_records import GroupCommitRecord, GroupRecord, GroupState

__all__ = ["HeldGroup", "find_held", "grow", "new_held", "put_grown"]

_NOTHING: Final = GroupState((), {}, GroupSettings())


class HeldGroup(NamedTuple):
    """A group as it is held.

    Attributes:
        record: how it stands with it.
        state: what its commits give.
        graph: its commits.
    """

    record: GroupRecord
    state: GroupState
    graph: GroupGraph

    def has(self, member: MemberId) -> bool:
        """Tell whether a member is in, and not only *back*."""
        return counts_as_in(self.record, self.state, member)


def find_held(context: Context, tx: Transaction, group: GroupId) -> HeldGroup | None:
    """Return a group, or None: it is not known.

    Raises:
        RecordCorrupted: what is held of it is damaged.
    """
    record = find_group(tx, group)
    if record is None:
        return None
    state = find_state(tx, group)
    return HeldGroup(record, state or _NOTHING, load_graph(context, tx, group, state))


def new_held(group: GroupId, record: GroupRecord) -> HeldGroup:
    """Return a group of which no commit is held yet."""
    return HeldGroup(record, _NOTHING, GroupGraph(group))


def grow(
    context: Context, held: HeldGroup, graph: GroupGraph, now_ms: int
) -> tuple[HeldGroup, Change]:
    """Return a group with more commits, and what they change; nothing is written.

    Args:
        context: of the device.
        held: the group.
        graph: its commits, and after them the new ones.
        now_ms: milliseconds since 1970.
    """
    own, seen = own_member(context), len(held.graph.nodes)
    change = Change.of(held.state, graph, seen)
    record, members = held.record, change.after.members
    still = (each for each in record.back if each in members and each not in change.added)
    record = replace(
        record,
        accepted=record.accepted or _was_accepted(own, graph.nodes[seen:]),
        joined_at_ms=record.joined_at_ms or (now_ms if own in members else 0),
        back=(*still, *(each for each in change.back if each != own)),
        full=graph.is_full,
    )
    return HeldGroup(record, change.after, graph), change


def put_grown(context: Context, tx: Transaction, before: HeldGroup, after: HeldGroup) -> None:
    """Write what more commits have changed of a group.

    Args:
        context: of the device.
        tx: of the operation.
        before: the group without them.
        after: with them.
    """
    group = after.graph.group_id
    new = after.graph.nodes[len(before.graph.nodes) :]
    put_commits(
        tx, group, ((each.hash, GroupCommitRecord(each.signed, each.place)) for each in new)
    )
    put_state(tx, group, after.state)
    put_group(tx, group, after.record)
    keep_graph(context, after.graph)
    if after.record.full and not before.record.full and own_member(context) in after.state.members:
        put_notice(context, tx, Notice(NoticeKind.GROUP_FULL, None, group=group))


def _was_accepted(own: MemberId, nodes: Iterable[Node]) -> bool:
    """Whether the user has made or changed the group, on this device or another one."""
    return any(node.author == own and not node.is_own for node in nodes)
