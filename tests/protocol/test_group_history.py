# SPDX-License-Identifier: Apache-2.0
"""Which commits somebody lacks, by which somebody is out, and how they go into messages."""

import pytest

from e2ecross.protocol.group_graph import GroupGraph, places_in
from e2ecross.protocol.group_history import exit_of, lacking, list_commits_at, split_commits
from e2ecross.protocol.group_state import GroupView
from e2ecross.wire.content import CommitBytes
from e2ecross.wire.group import GroupSettings, Role
from e2ecross.wire.group_commit import AddMember, RemoveMember, SetRole
from e2ecross.wire.limits import MAX_GROUP_COMMITS_BYTES
from tests.support.groups import Account, begin, commit

ANA, BUDI, CITRA, DEWI = (
    Account(user) for user in ("whatsapp:ana", "instagram:budi", "messenger:citra", "whatsapp:dewi")
)


def numbers(places: int) -> list[int]:
    return sorted(places_in(places))


def is_closed(graph: GroupGraph, places: int) -> bool:
    return all(not graph.nodes[place].ancestors & ~places for place in places_in(places))


@pytest.fixture
def graph() -> GroupGraph:
    """Ana's group with Budi, an admin, and Citra."""
    graph = begin(ANA, AddMember(BUDI.member), AddMember(CITRA.member))
    return commit(graph, ANA, SetRole(BUDI.member, Role.ADMIN))


def test_what_comes_after_none_of_some_heads_is_lacking(graph: GroupGraph) -> None:
    first = graph.nodes[0].hash
    one = commit(graph, ANA, GroupSettings("one"))
    both = commit(one, BUDI, GroupSettings("two"), at=graph.heads)
    assert numbers(lacking(both, ())) == [0, 1, 2, 3]
    assert numbers(lacking(both, [first])) == [1, 2, 3]
    assert numbers(lacking(both, one.heads)) == [3]
    assert numbers(lacking(both, both.heads)) == []
    assert numbers(lacking(both, [bytes(32), *one.heads])) == [3]
    assert numbers(lacking(both, [bytes(32)])) == [0, 1, 2, 3]


def test_commits_come_parents_first(graph: GroupGraph) -> None:
    listed = list_commits_at(graph, graph.all)
    assert listed == [CommitBytes(node.signed.data, node.signed.signature) for node in graph.nodes]
    assert list_commits_at(graph, 0) == []


def test_who_is_in_or_never_was_has_no_way_out(graph: GroupGraph) -> None:
    assert exit_of(graph, CITRA.member) == 0
    assert exit_of(graph, DEWI.member) == 0


def test_who_was_removed_gets_the_removal_and_what_it_comes_after(graph: GroupGraph) -> None:
    beside = commit(graph, BUDI, GroupSettings("beside"))
    removed = commit(beside, ANA, RemoveMember(CITRA.member), at=graph.heads)
    later = commit(removed, ANA, AddMember(DEWI.member))
    assert numbers(exit_of(later, CITRA.member)) == [0, 1, 3]


def test_who_has_left_gets_the_leaving(graph: GroupGraph) -> None:
    left = commit(commit(graph, CITRA, RemoveMember(CITRA.member)), ANA, GroupSettings("later"))
    assert numbers(exit_of(left, CITRA.member)) == [0, 1, 2]


def test_who_was_removed_twice_gets_both(graph: GroupGraph) -> None:
    out = commit(graph, ANA, RemoveMember(CITRA.member))
    again = commit(commit(out, ANA, AddMember(CITRA.member)), BUDI, RemoveMember(CITRA.member))
    later = commit(again, ANA, GroupSettings("later"))
    assert numbers(exit_of(later, CITRA.member)) == [0, 1, 2, 3, 4]


def test_a_removal_that_is_void_is_none(graph: GroupGraph) -> None:
    """Budi removes Citra beside his own end, which voids that; then Ana removes her."""
    void = commit(graph, BUDI, RemoveMember(CITRA.member))
    ended = commit(void, ANA, SetRole(BUDI.member, Role.MEMBER), at=graph.heads)
    assert GroupView(ended, ended.all).role(CITRA.member) is Role.MEMBER
    tip = ended.nodes[3].hash
    out = commit(ended, ANA, RemoveMember(CITRA.member), at=[tip])
    assert numbers(exit_of(out, CITRA.member)) == [0, 1, 3, 4]


def test_who_is_out_because_nobody_could_let_him_in_gets_the_end_of_that_power(
    graph: GroupGraph,
) -> None:
    """Budi adds Dewi beside the end of his power."""
    added = commit(graph, BUDI, AddMember(DEWI.member))
    assert exit_of(added, DEWI.member) == 0
    ended = commit(added, ANA, SetRole(BUDI.member, Role.MEMBER), at=graph.heads)
    later = commit(ended, ANA, GroupSettings("later"))
    assert GroupView(later, later.all).role(DEWI.member) is None
    assert numbers(exit_of(later, DEWI.member)) == [0, 1, 3]


def test_whose_adding_crosses_his_removal_gets_both(graph: GroupGraph) -> None:
    """Citra is added again by Ana, who does not know yet that Budi removes her once more."""
    out = commit(graph, ANA, RemoveMember(CITRA.member))
    back = commit(out, ANA, AddMember(CITRA.member))
    gone = commit(back, BUDI, RemoveMember(CITRA.member))
    once_more = commit(gone, ANA, AddMember(CITRA.member))
    beside = commit(once_more, ANA, RemoveMember(CITRA.member), at=back.heads)
    again = commit(beside, BUDI, AddMember(CITRA.member), at=[beside.nodes[6].hash])
    # Each of the two last ones lets her in, and neither knows of the other's removal.
    assert GroupView(again, again.all).role(CITRA.member) is None
    assert numbers(exit_of(again, CITRA.member)) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_the_way_out_is_closed_and_shows_that_he_is_out(graph: GroupGraph) -> None:
    out = commit(graph, BUDI, RemoveMember(CITRA.member))
    found = exit_of(out, CITRA.member)
    assert is_closed(out, found)
    assert GroupView(out, found).role(CITRA.member) is None


def test_commits_are_split_where_they_are_too_many_for_one_message(graph: GroupGraph) -> None:
    group = graph.group_id
    assert split_commits(group, []) == []
    small = [CommitBytes(bytes(100), bytes(64))] * 3
    assert [each.commits for each in split_commits(group, small)] == [tuple(small)]
    large = [CommitBytes(bytes(16_384), bytes(64))] * 8
    parts = split_commits(group, large)
    assert [len(part.commits) for part in parts] == [3, 3, 2]
    mixed = [CommitBytes(bytes(size), bytes(64)) for size in range(1, 16_000, 97)]
    parts = split_commits(group, mixed)
    assert [each for part in parts for each in part.commits] == mixed
    least = sum(map(sum, (map(len, each) for each in mixed))) // MAX_GROUP_COMMITS_BYTES
    assert least < len(parts) <= 1.3 * least + 1
