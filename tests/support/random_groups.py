# SPDX-License-Identifier: Apache-2.0
"""Groups in which anybody signs anything, from any place: what holds whatever they do.

Every choice is made by a function that is given, so a test can have them shrunk and a command can
draw them from a seed. Nothing is signed; whoever judges is told that it was verified.
"""

from collections.abc import Callable, Iterable
from typing import Final

from e2ecross.errors import InvalidGroupCommit
from e2ecross.protocol.group_commit import group_of, take_commit
from e2ecross.protocol.group_graph import GroupGraph, places_in
from e2ecross.protocol.group_state import GroupView
from e2ecross.wire.group import GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupOp,
    RemoveMember,
    SetRole,
    SignedGroupCommit,
)
from tests.support.groups import Account, make_commit, make_genesis, unsigned

__all__ = [
    "PEOPLE",
    "Choose",
    "any_heads",
    "any_order",
    "grow",
    "rebuild",
    "roles_at",
    "take_if_valid",
    "try_commit",
    "void_hashes",
]

Choose = Callable[[int], int]
"""Gives a number from 0 to below its argument."""

PEOPLE: Final[tuple[MemberId, ...]] = tuple(
    Account(f"{app}:{name}").member
    for app, name in (
        ("whatsapp", "ana"),
        ("instagram", "budi"),
        ("messenger", "citra"),
        ("whatsapp", "dewi"),
        ("instagram", "eko"),
    )
)


def grow(choose: Choose, commits: int) -> tuple[GroupGraph, list[tuple[SignedGroupCommit, bool]]]:
    """Return a group, and every commit that was tried after its first, with whether it was taken.

    Args:
        choose: who chooses.
        commits: how many are tried.
    """
    first = unsigned(make_genesis(PEOPLE[0], AddMember(PEOPLE[1]), AddMember(PEOPLE[2])))
    graph = take_commit(GroupGraph(group_of(first)), first, verified=True)
    # Most groups begin with somebody in power, or nothing much would happen.
    for member in PEOPLE[1 : 1 + choose(3)]:
        made = make_commit(graph, PEOPLE[0], SetRole(member, Role(1 + choose(2))))
        graph = take_commit(graph, unsigned(made), verified=True)
    tried = []
    for _ in range(commits):
        heads = any_heads(graph, choose)
        roles = roles_at(graph, heads)
        strong = [each for each in PEOPLE if roles.get(each) in (Role.OWNER, Role.ADMIN)]
        author = (strong or PEOPLE)[choose(len(strong or PEOPLE))] if choose(4) else _any(choose)
        signed = try_commit(graph, author, choose, heads)
        after = take_if_valid(graph, signed)
        tried.append((signed, after is not graph))
        graph = after
    for _ in range(3):  # late, and from early places: what the rules are most about
        signed = _try_self_act(graph, choose)
        after = take_if_valid(graph, signed)
        tried.append((signed, after is not graph))
        graph = after
    return graph, tried


def _try_self_act(graph: GroupGraph, choose: Choose) -> SignedGroupCommit:
    heads = any_heads(graph, choose)
    roles = roles_at(graph, heads)
    inside = [each for each in PEOPLE if roles[each] is not None] or list(PEOPLE)
    author = inside[choose(len(inside))]
    op = RemoveMember(author) if choose(2) else SetRole(author, Role(2 + choose(2)))
    return unsigned(make_commit(graph, author, op, at=heads))


def take_if_valid(graph: GroupGraph, signed: SignedGroupCommit) -> GroupGraph:
    """The graph with a commit, or the same one if it is refused or held."""
    try:
        return take_commit(graph, signed, verified=True)
    except InvalidGroupCommit:
        return graph


def roles_at(graph: GroupGraph, heads: Iterable[bytes]) -> dict[MemberId, Role | None]:
    """What everybody is at some heads."""
    view = GroupView(graph, graph.behind(heads))
    return {each: view.role(each) for each in PEOPLE}


def _any(choose: Choose) -> MemberId:
    return PEOPLE[choose(len(PEOPLE))]


def any_heads(graph: GroupGraph, choose: Choose) -> tuple[bytes, ...]:
    """The heads, or others that were heads once, or would be for who lacks some commits."""
    if choose(3) == 0:
        return graph.heads
    chosen = {choose(len(graph.nodes)) for _ in range(1 + choose(2))}
    latest = [
        place
        for place in chosen
        if not any(graph.nodes[other].ancestors >> place & 1 for other in chosen)
    ]
    return tuple(sorted(graph.nodes[place].hash for place in latest))


def try_commit(
    graph: GroupGraph, author: MemberId, choose: Choose, heads: Iterable[bytes] | None = None
) -> SignedGroupCommit:
    """Something that somebody signs, mostly allowed; from any place, if none is given."""
    at = any_heads(graph, choose) if heads is None else tuple(heads)
    roles = roles_at(graph, at)
    ops = tuple(_any_op(author, roles, choose) for _ in range(1 + (choose(6) == 0)))
    return unsigned(make_commit(graph, author, *ops, at=at))


def _any_op(author: MemberId, roles: dict[MemberId, Role | None], choose: Choose) -> GroupOp:
    member = _any(choose)
    role = Role(1 + choose(3))
    kind = choose(12)
    if kind == 0:
        return GroupSettings(name=f"name {choose(1000)}")
    if kind == 1:  # allowed or not
        return (AddMember(member), RemoveMember(member), SetRole(member, role))[choose(3)]
    if member == author or kind == 2:
        return RemoveMember(author) if choose(3) == 0 else SetRole(author, Role(2 + choose(2)))
    if roles[member] is None:
        return AddMember(member)
    return RemoveMember(member) if kind < 6 else SetRole(member, role)


def any_order(graph: GroupGraph, choose: Choose) -> list[SignedGroupCommit]:
    """The commits in another order in which they may arrive: parents first."""
    waiting, placed, order = list(graph.nodes), 0, []
    while waiting:
        ready = [node for node in waiting if not node.ancestors & ~placed]
        node = ready[choose(len(ready))]
        waiting.remove(node)
        placed |= 1 << node.place
        order.append(node.signed)
    return order


def rebuild(graph: GroupGraph, order: Iterable[SignedGroupCommit]) -> GroupGraph:
    """The same group, from commits in some order."""
    built = GroupGraph(graph.group_id)
    for signed in order:
        built = take_commit(built, signed, verified=True)
    return built


def void_hashes(graph: GroupGraph, places: int) -> set[bytes]:
    """The commits of a set that do not count."""
    view = GroupView(graph, places)
    return {graph.nodes[place].hash for place in places_in(places) if view.is_void(place)}
