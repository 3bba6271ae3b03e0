# SPDX-License-Identifier: Apache-2.0
"""Commits of a group: signed, verified, judged by what their authors may do.

Rules:
- The account key signs, and nothing else does: no companion can change a group.
- Whether a commit is valid depends on it and its ancestors alone, so all clients agree.
- What is refused changes nothing.

Source: docs/wire-format.md, groups.
"""

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.group_kdf import commit_message, hash_commit, hash_genesis
from e2ecross.crypto.keys import KeyPair
from e2ecross.crypto.xeddsa import sign, verify_signature
from e2ecross.errors import InvalidGroupCommit
from e2ecross.protocol.group_graph import Effect, GroupGraph, Node
from e2ecross.protocol.group_state import GroupView, Standing
from e2ecross.wire.group import GroupId, GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupCommit,
    RemoveMember,
    SetRole,
    SignedGroupCommit,
)
from e2ecross.wire.limits import MAX_GROUP_ANCESTORS, MAX_GROUP_COMMITS

__all__ = ["group_of", "sign_commit", "take_commit", "verify_commit"]

_MemberOp = AddMember | RemoveMember | SetRole


def group_of(genesis: SignedGroupCommit) -> GroupId:
    """Return the group that a commit begins."""
    return GroupId(hash_genesis(genesis.data))


def sign_commit(
    commit: GroupCommit, account_key_pair: KeyPair, entropy: EntropySource
) -> SignedGroupCommit:
    """Sign a commit with its author's account key (draws 64 bytes of entropy)."""
    data = commit.encode()
    return SignedGroupCommit(data, sign(account_key_pair, commit_message(data), entropy), commit)


def verify_commit(signed: SignedGroupCommit) -> None:
    """Check the signature of a commit, under the key that it names as its author's.

    Raises:
        InvalidSignature: it does not verify.
    """
    key = signed.commit.author.account_key
    verify_signature(key, commit_message(signed.data), signed.signature)


def take_commit(
    graph: GroupGraph, signed: SignedGroupCommit, *, verified: bool = False
) -> GroupGraph:
    """Take a commit into its group, if its author may make it.

    Args:
        graph: what is held of the group.
        signed: the commit.
        verified: its signature was checked, by `verify_commit`.

    Returns:
        The graph with it, or the same graph if it has it already.

    Raises:
        UnknownGroupState: a parent is not held.
        InvalidSignature: the signature is not the author's.
        InvalidGroupCommit: it is of another group, its parents contradict themselves, its author
            may not do that, or there are too many commits.
    """
    commit_hash = hash_commit(signed.data)
    if graph.find(commit_hash) is not None:
        return graph
    commit = signed.commit
    if (group_of(signed).value if commit.is_genesis else commit.group_id) != graph.group_id.value:
        raise InvalidGroupCommit("the commit is of another group")
    ancestors = graph.behind(commit.parents)
    _check_place(graph, commit, ancestors)
    if not verified:
        verify_commit(signed)
    view = GroupView(graph, ancestors)
    author = _standing_of(commit, view)
    effects = _judge_ops(commit, author.role, view)
    settings = next((op for op in commit.ops if isinstance(op, GroupSettings)), None)
    place = len(graph.nodes)
    node = Node(place, commit_hash, signed, ancestors, *author, effects, settings)
    return graph.with_node(node)


def _check_place(graph: GroupGraph, commit: GroupCommit, ancestors: int) -> None:
    parents = [graph.nodes[graph.places[each]] for each in commit.parents]
    for one in parents:
        if any(other.ancestors >> one.place & 1 for other in parents):
            raise InvalidGroupCommit("a parent of the commit comes before another of its parents")
    if ancestors.bit_count() > MAX_GROUP_ANCESTORS:
        raise InvalidGroupCommit(f"the commit comes after more than {MAX_GROUP_ANCESTORS} others")
    if len(graph.nodes) >= MAX_GROUP_COMMITS:
        raise InvalidGroupCommit(f"the group is full: it has {MAX_GROUP_COMMITS} commits")


def _standing_of(commit: GroupCommit, view: GroupView) -> Standing:
    if commit.is_genesis:
        return Standing(Role.OWNER)
    author = view.standing(commit.author)
    if author is None:
        raise InvalidGroupCommit("the author of the commit was not in the group")
    return author


def _judge_ops(commit: GroupCommit, rank: Role, view: GroupView) -> dict[MemberId, Effect]:
    """Return what the changes of a commit do to whom, each judged by the state that it finds."""
    if sum(isinstance(op, GroupSettings) for op in commit.ops) > 1:
        raise InvalidGroupCommit("a commit changes the settings twice")
    given = [op.member for op in commit.ops if isinstance(op, SetRole)]
    if len(given) > len(set(given)):
        raise InvalidGroupCommit("a commit gives somebody a role twice")
    effects: dict[MemberId, Effect] = {}
    ops = commit.ops
    if commit.is_genesis:
        if ops[0] != AddMember(commit.author):
            raise InvalidGroupCommit("a group does not begin with who makes it")
        effects[commit.author] = Effect(Role.OWNER)
        ops = ops[1:]
    for op in ops:
        if isinstance(op, GroupSettings):
            _require_power(rank)
            continue
        earlier = effects.get(op.member)
        before = view.role(op.member) if earlier is None else earlier.role
        if op.member == commit.author:
            if len(commit.ops) > 1:
                raise InvalidGroupCommit(
                    "a member leaves or steps down together with other changes"
                )
            effects[op.member] = _judge_own(op, rank)
        else:
            effects[op.member] = _judge_op(op, rank, before, is_first=earlier is None)
    return effects


def _judge_own(op: _MemberOp, rank: Role) -> Effect:
    match op:
        case RemoveMember():
            return Effect(None, removes=True, leaves=True)
        case SetRole(_, role) if role > rank:  # so nobody who is a member already
            return Effect(role, lowers=True, leaves=True)
        case _:
            raise InvalidGroupCommit("a member raises or adds himself")


def _judge_op(op: _MemberOp, rank: Role, before: Role | None, *, is_first: bool) -> Effect:
    """Judge what is done to another member.

    Args:
        op: the change.
        rank: the role of who makes it.
        before: the role of whom it is made to, as the changes before it leave it; None: out.
        is_first: nothing else is done to that member before it.
    """
    _require_power(rank)
    match op:
        case AddMember() if before is None and is_first:
            return Effect(Role.MEMBER)
        case RemoveMember() if before is not None and is_first and rank < before:
            return Effect(None, removes=True)
        case SetRole(_, role) if rank is Role.OWNER and before not in (None, Role.OWNER, role):
            return Effect(role, lowers=before is Role.ADMIN and role is Role.MEMBER)
        case _:
            raise InvalidGroupCommit("a commit does what its author may not do, or what is done")


def _require_power(rank: Role) -> None:
    if rank is Role.MEMBER:
        raise InvalidGroupCommit("a member without a role changes the group")
