# SPDX-License-Identifier: Apache-2.0
"""A former owner can void how the group was handed over, and nothing else; an owner is not removed.

The attacker: somebody who was an owner and has handed the group over, or who has the account key or
an old store of one. Two histories of one shape cannot be told apart, so this is not answered by a
rule but said: an app that lets owners be made says it, and the answer is a new group.
"""

import pytest

from e2ecross import Client, Group, Text
from e2ecross.device.group_members import own_member
from e2ecross.device.group_taking import take_commits
from e2ecross.errors import InvalidGroupCommit
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.state.groups import load_graph
from e2ecross.state.outbox import put_control
from e2ecross.wire.content import CommitBytes, GroupCommits
from e2ecross.wire.group import Role
from e2ecross.wire.group_commit import AddMember, RemoveMember, SetRole
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
from tests.client.circle import Circle
from tests.support.devices import BackendSimulator
from tests.support.groups import Account, commit, make_commit

OUT = "messenger:citra"


@pytest.mark.parametrize("step", ["leaves", "steps down"])
def test_nothing_beside_a_hand_over_counts(step: str) -> None:
    start = commit(family(), ANA, SetRole(DEWI.member, Role.OWNER))
    own = RemoveMember(ANA.member) if step == "leaves" else SetRole(ANA.member, Role.MEMBER)
    graph = commit(start, ANA, own)
    before = roles(graph)
    for op in (
        AddMember(MALLORY.member),
        RemoveMember(CITRA.member),
        SetRole(BUDI.member, Role.OWNER),
        SetRole(BUDI.member, Role.MEMBER),
    ):
        graph = commit(graph, ANA, op, at=start.heads)
        assert roles(graph) == before


def test_a_leave_signed_at_the_genesis_voids_the_hand_over() -> None:
    """The one power that stays, as the text says. Nobody comes in by it who never was in."""
    start = family()
    graph = commit(start, ANA, SetRole(DEWI.member, Role.OWNER))
    graph = commit(graph, ANA, SetRole(ANA.member, Role.MEMBER))
    graph = commit(graph, DEWI, RemoveMember(CITRA.member))
    assert roles(graph)[DEWI] is Role.OWNER
    graph = commit(graph, ANA, RemoveMember(ANA.member), at=start.heads)
    after = roles(graph)
    assert after[DEWI] is Role.ADMIN
    assert after[CITRA] is Role.MEMBER  # back: only because her removal became void
    assert after[ANA] is after[MALLORY] is after[EKO] is None


def test_nobody_who_was_out_reads_after_it() -> None:
    """Dewi brings Ana's late leave. Citra is in again, and gets no key until Budi says so."""
    circle = Circle(BackendSimulator())
    ana, budi, citra, dewi = circle.join("whatsapp:ana", "instagram:budi", OUT, "whatsapp:dewi")
    group = circle.found(ana, budi, citra, dewi)
    late = _leave_at_the_genesis(ana, group)
    group.set_role("instagram:budi", Role.OWNER)
    group.leave()
    circle.settle()
    budis = budi.group(group.id)
    budis.remove(OUT)
    circle.settle()
    circle.forget()
    for bringer, is_heard in ((ana, False), (dewi, True)):
        _tell(bringer, late, budi, dewi, citra)
        circle.settle()
        assert (budis.role is Role.MEMBER) is is_heard
    assert [str(each.user) for each in budis.members if each.is_back] == [OUT]
    assert "*group_undone whatsapp:ana > messenger:citra" in circle.said(budi)
    assert citra.group(group.id).role is Role.MEMBER
    circle.forget()
    for client in (budi, dewi):
        client.group(group.id).send(Text("not for her"))
        circle.settle()
    assert circle.said(citra) == []
    budis.accept_back(OUT)
    budis.send(Text("for her"))
    circle.settle()
    assert circle.said(citra) == ["instagram:budi: for her"]


def _leave_at_the_genesis(client: Client, group: Group) -> GroupCommits:
    context = client.device._context
    with context.store.transaction() as tx:
        graph = load_graph(context, tx, group.id)
    own = own_member(context)
    made = make_commit(graph, own, RemoveMember(own), at=[graph.nodes[0].hash])
    late = sign_commit(made, context.identity_key_pair, context.entropy)
    return GroupCommits(group.id, (CommitBytes(late.data, late.signature),))


def _tell(client: Client, told: GroupCommits, *others: Client) -> None:
    """Take commits in, whatever they are worth, and hand them on to others."""
    context = client.device._context
    with context.store.transaction() as tx:
        take_commits(context, tx, told.group_id, told.commits, own_member(context), 0)
        for other in others:
            if other is not client:
                put_control(tx, other.device.address, context.entropy.bytes(16), told)
    client.maintain()


@pytest.mark.parametrize(("author", "owner"), [(ANA, DEWI), (DEWI, ANA), (BUDI, ANA), (BUDI, DEWI)])
def test_nobody_removes_or_lowers_an_owner(author: Account, owner: Account) -> None:
    graph = commit(family(), ANA, SetRole(DEWI.member, Role.OWNER))
    tried = [
        signed(make_commit(graph, author.member, op), author)
        for op in (RemoveMember(owner.member), SetRole(owner.member, Role.MEMBER))
    ]
    assert_refused(graph, tried, InvalidGroupCommit)


def test_an_owner_crosses_a_promotion_and_voids_only_its_own() -> None:
    """Two owners promote Budi at once; one voids its own later. The acts of Budi stand."""
    graph = commit(family(), ANA, SetRole(DEWI.member, Role.OWNER))
    here = graph.heads
    graph = commit(graph, ANA, SetRole(BUDI.member, Role.OWNER), at=here)
    graph = commit(graph, DEWI, SetRole(BUDI.member, Role.OWNER), at=here)
    graph = commit(graph, BUDI, AddMember(EKO.member))
    graph = commit(graph, DEWI, RemoveMember(DEWI.member), at=here)
    after = roles(graph)
    assert (after[BUDI], after[EKO], after[DEWI]) == (Role.OWNER, Role.MEMBER, None)


def test_a_leave_as_a_member_ends_nothing_that_was_done_as_an_owner() -> None:
    """As the text says: out by a leave from before the promotion, and yet acting by it."""
    start = family()
    promoted = commit(start, ANA, SetRole(CITRA.member, Role.OWNER))
    graph = commit(promoted, CITRA, RemoveMember(CITRA.member), at=start.heads)
    assert roles(graph)[CITRA] is None
    graph = commit(graph, CITRA, AddMember(MALLORY.member), at=promoted.heads)
    assert roles(graph)[MALLORY] is Role.MEMBER
    # Who knows of both can act on whom she has brought in.
    assert roles(commit(graph, ANA, RemoveMember(MALLORY.member)))[MALLORY] is None
    assert dump(graph) != dump(promoted)
