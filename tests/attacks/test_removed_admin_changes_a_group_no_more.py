# SPDX-License-Identifier: Apache-2.0
"""Who was removed, lowered, or has left changes a group no more, whatever it signs, and when.

The attacker: an admin whose power has ended, or the thief of such an account's key. It signs as if
it did not know that it has ended, from every place at which it had power, through whom it made
before that, and has its commits arrive in any order.
"""

import itertools
from typing import Final

import pytest

from e2ecross.errors import InvalidGroupCommit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.wire.group import GroupSettings, Role
from e2ecross.wire.group_commit import AddMember, GroupOp, RemoveMember, SetRole
from tests.attacks.groups import (
    ANA,
    BUDI,
    CITRA,
    DEWI,
    EKO,
    MALLORY,
    assert_refused,
    dump,
    family,
    roles,
    signed,
)
from tests.support.groups import Account, commit, make_commit
from tests.support.random_groups import rebuild

ENDS: Final[dict[str, tuple[Account, GroupOp]]] = {
    "removed": (ANA, RemoveMember(BUDI.member)),
    "lowered": (ANA, SetRole(BUDI.member, Role.MEMBER)),
    "has left": (BUDI, RemoveMember(BUDI.member)),
    "stepped down": (BUDI, SetRole(BUDI.member, Role.MEMBER)),
}
LATE: Final[tuple[GroupOp, ...]] = (
    AddMember(MALLORY.member),
    RemoveMember(CITRA.member),
    GroupSettings(name="Mallory's"),
)
everywhere = pytest.mark.parametrize("end", ENDS)


def _ended(end: str) -> GroupGraph:
    author, op = ENDS[end]
    return commit(family(), author, op)


@everywhere
@pytest.mark.parametrize("late", LATE, ids=lambda op: type(op).__name__)
def test_acts_beside_the_end_count_for_nothing(end: str, late: GroupOp) -> None:
    graph = _ended(end)
    before = roles(graph)
    more = commit(graph, BUDI, late, at=family().heads)
    on_top = commit(more, BUDI, AddMember(EKO.member), at=[more.nodes[-1].hash])
    for each in (more, on_top):
        assert roles(each) == before
    for order in itertools.permutations(on_top.nodes[1:3]):
        again = rebuild(on_top, [node.signed for node in (on_top.nodes[0], *order)])
        assert roles(again) == before


@everywhere
def test_acts_that_know_of_the_end_are_refused(end: str) -> None:
    graph = _ended(end)
    known = [signed(make_commit(graph, BUDI.member, op), BUDI) for op in LATE]
    assert_refused(graph, known, InvalidGroupCommit)


@everywhere
def test_what_it_did_before_the_end_stands(end: str) -> None:
    author, op = ENDS[end]
    graph = commit(commit(family(), BUDI, AddMember(EKO.member)), author, op)
    assert roles(graph)[EKO] is Role.MEMBER


def test_whom_it_made_beside_its_end_acts_for_it_no_more() -> None:
    """An owner makes Mallory an owner beside stepping down: what rests on that is void too."""
    start = commit(family(), ANA, SetRole(DEWI.member, Role.OWNER))
    graph = commit(start, ANA, SetRole(ANA.member, Role.MEMBER))
    before = roles(graph)
    beside = (AddMember(MALLORY.member), SetRole(MALLORY.member, Role.OWNER))
    graph = commit(graph, ANA, *beside, at=start.heads)
    mallorys = [graph.nodes[-1].hash]
    graph = commit(graph, MALLORY, RemoveMember(BUDI.member), at=mallorys)
    more = (AddMember(EKO.member), SetRole(EKO.member, Role.OWNER))
    graph = commit(graph, MALLORY, *more, at=[graph.nodes[-1].hash])
    assert roles(graph) == before


def test_a_late_leave_of_a_removed_admin_brings_nobody_back() -> None:
    """Budi had rightly removed Citra. Removed himself, he signs a leave from before that."""
    start = family()
    graph = commit(start, BUDI, RemoveMember(CITRA.member))
    graph = commit(graph, ANA, RemoveMember(BUDI.member))
    before = roles(graph)
    graph = commit(graph, BUDI, RemoveMember(BUDI.member), at=start.heads)
    assert roles(graph) == before
    assert before[CITRA] is None


def test_a_promotion_again_makes_nothing_of_it_count() -> None:
    graph = _ended("lowered")
    graph = commit(graph, BUDI, AddMember(MALLORY.member), at=family().heads)
    graph = commit(graph, ANA, SetRole(BUDI.member, Role.ADMIN))
    assert roles(graph)[MALLORY] is None
    graph = commit(graph, BUDI, AddMember(EKO.member))
    assert roles(graph)[EKO] is Role.MEMBER
    assert dump(graph) != dump(family())
