# SPDX-License-Identifier: Apache-2.0
"""Who was removed reads nothing of whoever knows of it: a sender who has kept the key is refused.

The attacker: somebody whose client does not change its sender key after a removal, so that who was
removed reads on; or the removed one, who writes on. Judged here by commits alone, at every pair of
places at which a key can have been made and a message can stand.
"""

import itertools

import pytest

from e2ecross.errors import NotAllowedInGroup, StaleSenderKey
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView
from e2ecross.protocol.group_verdict import require_current_key, require_member
from e2ecross.wire.group import Role
from e2ecross.wire.group_commit import AddMember, GroupOp, RemoveMember, SetRole
from tests.attacks.groups import ANA, BUDI, CITRA, DEWI, EKO, MALLORY, dump, family
from tests.support.groups import Account, commit


def _history() -> tuple[GroupGraph, list[tuple[bytes, ...]]]:
    """A group with a removal, one crossing it, a return; and the heads after each commit."""
    steps: list[tuple[Account, GroupOp, bool]] = [
        (ANA, AddMember(EKO.member), False),
        (ANA, RemoveMember(CITRA.member), False),
        (DEWI, AddMember(MALLORY.member), True),  # beside the removal
        (ANA, AddMember(CITRA.member), False),
        (BUDI, RemoveMember(BUDI.member), False),
        (ANA, SetRole(DEWI.member, Role.MEMBER), False),
    ]
    graph = family()
    heads = [graph.heads]
    for author, op, beside in steps:
        at = [graph.nodes[1].hash] if beside else None
        graph = commit(graph, author, op, at=at)
        heads += [graph.heads, (graph.nodes[-1].hash,)]
    return graph, heads


def test_no_message_is_shown_where_a_holder_of_its_key_was_removed() -> None:
    graph, places = _history()
    before = dump(graph)
    stale = 0
    for made, named in itertools.product(places, repeat=2):
        holders = GroupView(graph, graph.behind(made)).state().members
        try:
            require_current_key(graph, made, named)
        except StaleSenderKey:
            stale += 1
            continue
        readers = GroupView(graph, graph.behind(named)).state().members
        assert holders.keys() <= readers.keys()
        assert all(readers[each] <= role for each, role in holders.items())
    assert stale
    assert dump(graph) == before


def test_who_joined_after_the_key_was_made_counts_too() -> None:
    """Eko got the key later and was removed again: in neither of the two rosters."""
    graph = family()
    made = graph.heads
    graph = commit(commit(graph, ANA, AddMember(EKO.member)), ANA, RemoveMember(EKO.member))
    with pytest.raises(StaleSenderKey):
        require_current_key(graph, made, graph.heads)


def test_who_was_removed_writes_no_more_wherever_the_message_stands() -> None:
    graph = family()
    early = graph.heads
    graph = commit(graph, ANA, RemoveMember(CITRA.member))
    before = dump(graph)
    for heads in (early, graph.heads):
        with pytest.raises(NotAllowedInGroup):
            require_member(graph, heads, CITRA.member)
    assert dump(graph) == before
