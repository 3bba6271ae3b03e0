# SPDX-License-Identifier: Apache-2.0
"""What commits give: by hand where the text says so, and over random graphs whoever signs what.

The second implementation, `tests/support/groups.py`, is written from the text alone.
"""

import random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.group_kdf import hash_commit
from e2ecross.errors import NotAllowedInGroup, StaleSenderKey
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView, ended_between
from e2ecross.protocol.group_verdict import require_current_key, require_may_send, require_member
from e2ecross.wire.group import GroupSettings, Role
from e2ecross.wire.group_commit import AddMember, RemoveMember, SetRole
from tests.support.groups import Account, NaiveGroup, begin, commit, make_commit, unsigned
from tests.support.random_groups import (
    PEOPLE,
    Choose,
    any_heads,
    any_order,
    grow,
    rebuild,
    take_if_valid,
    try_commit,
    void_hashes,
)

ANA, BUDI, CITRA = Account("whatsapp:ana"), Account("instagram:budi"), Account("messenger:citra")
MALLORY: Final = Account("messenger:mallory")
OWNER, ADMIN, MEMBER = Role.OWNER, Role.ADMIN, Role.MEMBER


def choosing(data: st.DataObject) -> Choose:
    """Choices that Hypothesis makes, and shrinks."""
    return lambda below: data.draw(st.integers(0, below - 1))


def drawing(seed: int) -> Choose:
    """Choices by a seed: many more graphs in the same time."""
    return random.Random(seed).randrange


def agree(choose: Choose) -> None:
    """Both implementations give the same of one graph: what is taken, what is void, who is in."""
    graph, tried = grow(choose, 12)
    naive = NaiveGroup()
    naive.add(graph.nodes[0].signed)
    for node in graph.nodes[1 : len(graph.nodes) - sum(taken for _, taken in tried)]:
        naive.add(node.signed)
    for signed, taken in tried:
        known = hash_commit(signed.data) in naive.commits
        assert taken is (naive.accepts(signed) and not known)
        if taken:
            naive.add(signed)
    for heads in (graph.heads, any_heads(graph, choose)):
        places, names = graph.behind(heads), naive.closure(heads)
        assert void_hashes(graph, places) == {c for c in names if naive.void(c, names)}
        state = GroupView(graph, places).state()
        assert state.members == naive.roster(names)
        assert state.settings == naive.settings(names)
        part = any_heads(graph, choose)
        before = graph.behind(part) & places
        assert ended_between(graph, before, places) is naive.ended(
            naive.closure(part) & names, names
        )


def is_aside(graph: GroupGraph, before: int) -> bool:
    """Whether the last commit is a self act, or crosses one of its author with less power.

    Of these the text says other things: a self act always counts, and one that crosses what its
    author has done with more power ends nothing of that.
    """
    node = graph.nodes[-1]
    own = graph.deeds_of(node.author).own & before & ~node.ancestors
    lesser = any(own >> each.place & 1 and each.rank > node.rank for each in graph.nodes)
    return lesser or any(effect.leaves for effect in node.effects.values())


def gains_nothing(choose: Choose) -> None:
    """Who has less power in the end than at some place changes nothing from there."""
    graph, _ = grow(choose, 10)
    view = GroupView(graph, graph.all)
    state = view.state()
    for author in PEOPLE:
        more = take_if_valid(graph, try_commit(graph, author, choose))
        if more is graph or is_aside(more, graph.all):
            continue
        standing = view.role(author)
        if standing is None or standing > more.nodes[-1].rank:
            after = GroupView(more, more.all)
            assert after.is_void(more.nodes[-1].place)
            assert after.state().members == state.members
            assert after.settings() == state.settings


@pytest.mark.parametrize("seed", range(20))
def test_the_second_implementation_agrees(seed: int) -> None:
    for number in range(10):
        agree(drawing(1000 * seed + number))


@given(data=st.data())
def test_the_second_implementation_agrees_on_what_is_searched_for(data: st.DataObject) -> None:
    agree(choosing(data))


@given(data=st.data())
def test_any_order_of_arrival_gives_one_state(data: st.DataObject) -> None:
    choose = choosing(data)
    graph, _ = grow(choose, 14)
    again = rebuild(graph, any_order(graph, choose))
    one, other = GroupView(graph, graph.all).state(), GroupView(again, again.all).state()
    assert one == other
    assert list(one.members) == list(other.members)
    assert void_hashes(graph, graph.all) == void_hashes(again, again.all)


@pytest.mark.parametrize("seed", range(20))
def test_who_has_no_power_in_the_end_gains_nothing_from_any_place(seed: int) -> None:
    for number in range(10):
        gains_nothing(drawing(1000 * seed + number))


@given(data=st.data())
def test_what_is_searched_for_gains_nothing_either(data: st.DataObject) -> None:
    gains_nothing(choosing(data))


def test_members_are_in_the_order_in_which_they_get_keys() -> None:
    """Owners, admins, then members as they came, whatever their names."""
    people = [Account(f"instagram:{name}") for name in ("z", "y", "x", "w", "v")]
    graph = begin(ANA, AddMember(people[0].member), AddMember(people[1].member))
    graph = commit(graph, ANA, AddMember(people[2].member))
    graph = commit(graph, ANA, AddMember(people[3].member), AddMember(people[4].member))
    graph = commit(graph, ANA, SetRole(people[4].member, ADMIN))
    graph = commit(graph, ANA, SetRole(people[3].member, OWNER))
    owners = sorted([ANA.member, people[3].member])
    state = GroupView(graph, graph.all).state()
    expected = [*owners, *(people[number].member for number in (4, 1, 0, 2))]
    assert [str(each.user) for each in state.members] == [str(each.user) for each in expected]


def test_only_owners_and_admins_send_if_the_settings_say_so_there_or_now() -> None:
    quiet = GroupSettings(only_admins_send=True)
    graph = begin(ANA, AddMember(BUDI.member), AddMember(CITRA.member), SetRole(BUDI.member, ADMIN))
    early = graph.heads
    require_may_send(graph, early, CITRA.member)
    graph = commit(graph, ANA, quiet)
    late = graph.heads
    for heads in (early, late):
        require_may_send(graph, heads, ANA.member)
        require_may_send(graph, heads, BUDI.member)
        with pytest.raises(NotAllowedInGroup):
            require_may_send(graph, heads, CITRA.member)
    graph = commit(graph, ANA, GroupSettings())
    require_may_send(graph, graph.heads, CITRA.member)
    require_may_send(graph, early, CITRA.member)
    with pytest.raises(NotAllowedInGroup):
        require_may_send(graph, late, CITRA.member)


def test_a_key_is_stale_after_any_removal_or_demotion_that_its_sender_knows() -> None:
    start = begin(ANA, AddMember(BUDI.member), AddMember(CITRA.member), SetRole(BUDI.member, ADMIN))
    for op, stale in (
        (AddMember(MALLORY.member), False),
        (GroupSettings(name="new"), False),
        (SetRole(CITRA.member, ADMIN), False),
        (SetRole(BUDI.member, MEMBER), True),
        (RemoveMember(CITRA.member), True),
    ):
        graph = commit(start, ANA, op)
        require_current_key(graph, start.heads, start.heads)
        require_current_key(graph, graph.heads, graph.heads)
        with pytest.raises(StaleSenderKey):
            require_current_key(graph, graph.heads, start.heads)
        if stale:
            with pytest.raises(StaleSenderKey):
                require_current_key(graph, start.heads, graph.heads)
        else:
            require_current_key(graph, start.heads, graph.heads)


def test_who_was_removed_and_added_again_has_made_keys_stale() -> None:
    start = begin(ANA, AddMember(BUDI.member))
    graph = commit(commit(start, ANA, RemoveMember(BUDI.member)), ANA, AddMember(BUDI.member))
    same = [GroupView(graph, places).state().members for places in (graph.all, 1)]
    assert same[0] == same[1]
    with pytest.raises(StaleSenderKey):
        require_current_key(graph, start.heads, graph.heads)


def test_a_void_removal_ends_no_key() -> None:
    """Otherwise who was removed could make others change their keys by signing late."""
    start = begin(ANA, AddMember(BUDI.member), AddMember(CITRA.member), SetRole(BUDI.member, ADMIN))
    removed = commit(start, ANA, RemoveMember(BUDI.member))
    late = commit(removed, BUDI, RemoveMember(CITRA.member), at=start.heads)
    require_current_key(late, removed.heads, late.heads)
    require_member(late, late.heads, CITRA.member)
    with pytest.raises(NotAllowedInGroup):
        require_member(late, start.heads, BUDI.member)


def test_owners_who_make_owners_who_make_owners() -> None:
    """A chain of 2,000: what each role rests on is found in a loop, not by recursion."""
    owners = [Account(f"whatsapp:owner{number}") for number in range(2_000)]
    graph = begin(ANA)
    root, author = graph.heads, ANA
    for owner in owners:
        graph = commit_unsigned(
            graph, author, AddMember(owner.member), SetRole(owner.member, OWNER)
        )
        author = owner
    assert GroupView(graph, graph.all).role(owners[-1].member) is OWNER
    # The first goes back on it all: his own acts beside his leave are void, and what rests on them.
    graph = commit_unsigned(graph, ANA, RemoveMember(ANA.member), at=root)
    view = GroupView(graph, graph.all)
    assert view.role(owners[-1].member) is None
    assert not view.state().members


def commit_unsigned(
    graph: GroupGraph, author: Account, *ops: object, at: tuple[bytes, ...] | None = None
) -> GroupGraph:
    made = make_commit(graph, author.member, *ops, at=at)  # type: ignore[arg-type]
    grown = take_if_valid(graph, unsigned(made))
    assert grown is not graph
    return grown
