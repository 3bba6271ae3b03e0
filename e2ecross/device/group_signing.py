# SPDX-License-Identifier: Apache-2.0
"""Commits of the own account: signed, and put down with what they change, in one transaction.

Rules:
- Only device 1 signs: it has the account's key.
- Each is judged here as others will judge it. What they would refuse is not signed.
- It is noted as unannounced in the same commit: after a crash others are told of it, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from e2ecross.device.group_held import HeldGroup, find_held, grow, new_held, put_grown
from e2ecross.device.group_members import own_member, require_role
from e2ecross.errors import GroupRefused, InvalidGroupCommit, NotInGroup, NotPrimary
from e2ecross.protocol.group_commit import group_of, sign_commit, take_commit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.state.context import Context
from e2ecross.stores.base import Transaction
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.group import GroupId, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupCommit,
    GroupOp,
    RemoveMember,
    is_later_version,
)
from e2ecross.wire.group_records import GroupRecord
from e2ecross.wire.limits import MAX_GROUP_OPS, MAX_PARENTS

__all__ = ["begin_group", "change_group", "open_group", "require_account_key"]

_NONCE_BYTES: Final = 32


def require_account_key(context: Context) -> None:
    """Check that this is device 1.

    Raises:
        NotPrimary: it is not.
    """
    if context.address.device != PRIMARY:
        raise NotPrimary(
            f"only device {PRIMARY} of {context.address.user_id} changes groups: do it there"
        )


def open_group(context: Context, tx: Transaction, group: GroupId) -> tuple[HeldGroup, Role]:
    """Return a group that is to be changed, and the own role in it.

    Raises:
        NotInGroup: the own account is not in it.
        GroupRefused: nothing can be changed in it.
    """
    held = find_held(context, tx, group)
    if held is None:
        raise NotInGroup(f"{group} is not known here")
    role = require_role(context, held.state)
    if is_later_version(held.record.outdated):
        raise GroupRefused("the group was changed by a later release: upgrade e2ecross")
    if held.record.full:
        raise GroupRefused("the group has all the commits that it can have: make a new one")
    return held, role


def begin_group(
    context: Context, tx: Transaction, first: Sequence[GroupOp], others: Iterable[Sequence[GroupOp]]
) -> GroupId:
    """Make a group.

    Args:
        context: of the device.
        tx: of the operation.
        first: what is done in its first commit, after adding the own account.
        others: what is done after that, each with what has to stand in one commit with it.
    """
    own, now_ms = own_member(context), context.clock()
    nonce = context.entropy.bytes(_NONCE_BYTES)
    genesis = GroupCommit(b"", (), own, now_ms, (AddMember(own), *first), nonce)
    signed = sign_commit(genesis, context.identity_key_pair, context.entropy)
    held = new_held(group_of(signed), GroupRecord(accepted=True))
    graph = take_commit(held.graph, signed, verified=True)
    _put(context, tx, held, _sign(context, graph, others, now_ms), now_ms)
    return graph.group_id


def change_group(
    context: Context, tx: Transaction, held: HeldGroup, changes: Iterable[Sequence[GroupOp]]
) -> None:
    """Do something to a group; nothing is written if there is nothing to do.

    Args:
        context: of the device.
        tx: of the operation.
        held: the group.
        changes: what is done, each with what has to stand in one commit with it; at most 64.

    Raises:
        GroupRefused: others would refuse it.
    """
    now_ms = context.clock()
    try:
        graph = _sign(context, held.graph, changes, now_ms)
    except InvalidGroupCommit as error:
        raise GroupRefused(f"others would refuse that change: {error}") from error
    if graph is not held.graph:
        _put(context, tx, held, graph, now_ms)


def _sign(
    context: Context, graph: GroupGraph, changes: Iterable[Sequence[GroupOp]], now_ms: int
) -> GroupGraph:
    for ops in _packed(changes):
        parents = _parents(graph, ops)
        commit = GroupCommit(graph.group_id.value, parents, own_member(context), now_ms, ops)
        signed = sign_commit(commit, context.identity_key_pair, context.entropy)
        graph = take_commit(graph, signed, verified=True)
    return graph


def _put(
    context: Context, tx: Transaction, held: HeldGroup, graph: GroupGraph, now_ms: int
) -> None:
    after, _ = grow(context, held, graph, now_ms)
    new = tuple(node.hash for node in graph.nodes[len(held.graph.nodes) :])
    record = replace(after.record, unannounced=(*after.record.unannounced, *new))
    put_grown(context, tx, held, after._replace(record=record))


def _packed(changes: Iterable[Sequence[GroupOp]]) -> Iterator[tuple[GroupOp, ...]]:
    """Put as many changes into each commit as it can hold."""
    ops: tuple[GroupOp, ...] = ()
    for change in changes:
        if len(ops) + len(change) > MAX_GROUP_OPS:
            yield ops
            ops = ()
        ops += tuple(change)
    if ops:
        yield ops


def _parents(graph: GroupGraph, ops: Iterable[GroupOp]) -> tuple[bytes, ...]:
    """The newest commits; of too many first those that remove somebody who is added."""
    added = {op.member for op in ops if isinstance(op, AddMember)}

    def comes_later(commit_hash: bytes) -> tuple[bool, bytes]:
        removes = graph.nodes[graph.places[commit_hash]].signed.commit.ops
        removed = {op.member for op in removes if isinstance(op, RemoveMember)}
        return added.isdisjoint(removed), commit_hash

    return tuple(sorted(sorted(graph.heads, key=comes_later)[:MAX_PARENTS]))
