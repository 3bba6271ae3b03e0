# SPDX-License-Identifier: Apache-2.0
"""What members sign of a group, and what it gives: pure values.

What is hostile is signed by members who may sign it, and is as much work as we know how to make.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from typing import Final

from benchmarks.job import Job, Maker, Step
from e2ecross.address import UserId
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.protocol.group_commit import group_of, sign_commit, take_commit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView
from e2ecross.wire.group import GroupId, GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupCommit,
    GroupOp,
    RemoveMember,
    SetRole,
    SignedGroupCommit,
)
from e2ecross.wire.limits import MAX_GROUP_OPS

__all__ = ["MAKERS", "changed_group"]

_NOW_MS: Final = 1_800_000_000_000

_Signed = tuple[bytes, bytes]
"""A commit and its signature, as they arrive."""


class _Account:
    """Somebody who signs."""

    def __init__(self, name: str) -> None:
        self.pair = generate_key_pair(SYSTEM_ENTROPY)
        self.member = MemberId(UserId("whatsapp", name), self.pair.public)

    def sign(
        self, graph: GroupGraph, *ops: GroupOp, at: Iterable[bytes] | None = None
    ) -> SignedGroupCommit:
        """A commit on all heads, or on those that are given."""
        parents = tuple(sorted(graph.heads if at is None else at))
        commit = GroupCommit(graph.group_id.value, parents, self.member, _NOW_MS, ops)
        return sign_commit(commit, self.pair, SYSTEM_ENTROPY)

    def add_to(
        self, graph: GroupGraph, *ops: GroupOp, at: Iterable[bytes] | None = None
    ) -> GroupGraph:
        """The group with that commit."""
        return take_commit(graph, self.sign(graph, *ops, at=at), verified=True)


def _members(prefix: str, count: int) -> Sequence[MemberId]:
    return [_Account(f"{prefix}{number}").member for number in range(count)]


def _create(owner: _Account, members: Sequence[MemberId]) -> GroupGraph:
    """A group of the owner and those: 64 in a commit, of whom the owner is the first."""
    ops = [AddMember(member) for member in (owner.member, *members)]
    first = GroupCommit(b"", (), owner.member, _NOW_MS, tuple(ops[:MAX_GROUP_OPS]), bytes(32))
    signed = sign_commit(first, owner.pair, SYSTEM_ENTROPY)
    graph = take_commit(GroupGraph(group_of(signed)), signed, verified=True)
    for start in range(MAX_GROUP_OPS, len(ops), MAX_GROUP_OPS):
        graph = owner.add_to(graph, *ops[start : start + MAX_GROUP_OPS])
    return graph


def changed_group(job: Job) -> GroupGraph:
    """A group of so many members, after so many changes: one goes and another one comes.

    The owner and three admins make them in turn; of twenty changes two cross.
    """
    owner, admins = _Account("owner"), [_Account(f"admin{number}") for number in range(3)]
    old = _members("old", job.parameters["members"] - 1 - len(admins))
    graph = _create(owner, [*(admin.member for admin in admins), *old])
    for admin in admins:
        graph = owner.add_to(graph, SetRole(admin.member, Role.ADMIN))
    actors = cycle([owner, *admins])
    pairs = job.parameters["changes"] // 2
    going = cycle(old)
    for number, comes in enumerate(_members("new", pairs)):
        goes, heads = next(going), graph.heads
        graph = next(actors).add_to(graph, RemoveMember(goes))
        at = heads if number % 10 == 0 else None
        graph = next(actors).add_to(graph, AddMember(comes), at=at)
    return graph


def _raw(graph: GroupGraph) -> Sequence[_Signed]:
    return [(node.signed.data, node.signed.signature) for node in graph.nodes]


def _read(group_id: GroupId, commits: Iterable[_Signed]) -> GroupGraph:
    """What somebody does who has nothing of a group yet."""
    graph = GroupGraph(group_id)
    for data, signature in commits:
        graph = take_commit(graph, SignedGroupCommit.decode(data, signature))
    return graph


def _create_step(job: Job, cleanup: ExitStack) -> Step:
    owner, members = _Account("owner"), _members("m", job.parameters["members"] - 1)
    return lambda: _create(owner, members)


def _read_step(job: Job, cleanup: ExitStack) -> Step:
    graph = _create(_Account("owner"), _members("m", job.parameters["members"] - 1))
    return partial(_read, graph.group_id, _raw(graph))


def _change(job: Job) -> tuple[_Account, GroupGraph, Sequence[GroupOp]]:
    """Somebody goes, or comes in, in turn."""
    owner, members = _Account("owner"), _members("m", job.parameters["members"] - 1)
    ops: Sequence[GroupOp] = [RemoveMember(members[-1]), AddMember(_members("new", 1)[0])]
    return owner, _create(owner, members), ops


def _make_change(job: Job, cleanup: ExitStack) -> Step:
    owner, graph, ops = _change(job)
    turns = cycle(ops)
    return lambda: owner.sign(graph, next(turns))


def _take_change(job: Job, cleanup: ExitStack) -> Step:
    owner, graph, ops = _change(job)
    signed = [owner.sign(graph, op) for op in ops]
    turns = cycle([(each.data, each.signature) for each in signed])
    return lambda: take_commit(graph, SignedGroupCommit.decode(*next(turns)))


def _state(job: Job, cleanup: ExitStack) -> Step:
    graph = changed_group(job)
    return lambda: GroupView(graph, graph.all).state()


def _join(job: Job, cleanup: ExitStack) -> Step:
    graph = changed_group(job)
    return partial(_read, graph.group_id, _raw(graph))


# --- Hostile ---


def _begin(*owners: _Account, others: Sequence[MemberId] = ()) -> GroupGraph:
    first, *rest = owners
    graph = _create(first, [*(owner.member for owner in rest), *others])
    for owner in rest:
        graph = first.add_to(graph, SetRole(owner.member, Role.OWNER))
    return graph


def _chains(commits: int) -> GroupGraph:
    """Two owners lower and raise an admin, who removes and adds a member; none knows of another."""
    owners, admin = [_Account("owner"), _Account("other")], _Account("admin")
    member = _members("m", 1)[0]
    graph = _begin(*owners, others=[admin.member, member])
    graph = owners[0].add_to(graph, SetRole(admin.member, Role.ADMIN))
    root = graph.heads
    roles = [SetRole(admin.member, Role.MEMBER), SetRole(admin.member, Role.ADMIN)]
    places: list[GroupOp] = [RemoveMember(member), AddMember(member)]
    for author, ops in ((owners[0], roles), (admin, places), (owners[1], roles)):
        at = root
        for op in islice(cycle(ops), commits // 3):
            graph = author.add_to(graph, op, at=at)
            at = (graph.nodes[-1].hash,)
    return graph


def _leavers(commits: int) -> GroupGraph:
    """Two owners leave again and again, are taken back, and act in between."""
    first, *others = owners = [_Account("owner"), _Account("other"), _Account("third")]
    graph = _begin(*owners)
    for number, leaver in enumerate(islice(cycle(others), commits // 3)):
        graph = leaver.add_to(graph, GroupSettings(str(number)))
        graph = leaver.add_to(graph, RemoveMember(leaver.member))
        back = AddMember(leaver.member), SetRole(leaver.member, Role.OWNER)
        graph = first.add_to(graph, *back)
    return graph


def _ended(commits: int) -> GroupGraph:
    """An admin acts on 30 members, and is lowered and raised each time; an owner crosses it all."""
    first, other = owners = _Account("owner"), _Account("other")
    admin, members = _Account("admin"), _members("m", 30)
    graph = _begin(*owners, others=[admin.member, *members])
    graph = first.add_to(graph, SetRole(admin.member, Role.ADMIN))
    at = graph.heads
    graph = other.add_to(graph, SetRole(admin.member, Role.MEMBER))
    for kind in islice(cycle([RemoveMember, AddMember]), commits // 3):
        for author, ops in (
            (admin, [kind(member) for member in members]),
            (first, [SetRole(admin.member, Role.MEMBER)]),
            (first, [SetRole(admin.member, Role.ADMIN)]),
        ):
            graph = author.add_to(graph, *ops, at=at)
            at = (graph.nodes[-1].hash,)
    return graph


def _hostile(make: Callable[[int], GroupGraph], job: Job, cleanup: ExitStack) -> Step:
    graph = make(job.parameters["changes"])
    group_id, commits = graph.group_id, _raw(graph)

    def step() -> None:
        read = _read(group_id, commits)
        GroupView(read, read.all).state()

    return step


MAKERS: Final[dict[str, Maker]] = {
    "group_create": _create_step,
    "group_read": _read_step,
    "group_change_make": _make_change,
    "group_change_take": _take_change,
    "group_state": _state,
    "group_join": _join,
    "group_hostile_chains": partial(_hostile, _chains),
    "group_hostile_leavers": partial(_hostile, _leavers),
    "group_hostile_ended": partial(_hostile, _ended),
}
