# SPDX-License-Identifier: Apache-2.0
"""Who may do what in a group, cell by cell; which commits are refused; and bounds."""

import itertools
from dataclasses import replace
from typing import Final

import pytest

from e2ecross.errors import InvalidGroupCommit, InvalidSignature, UnknownGroupState
from e2ecross.protocol.group_commit import group_of, sign_commit, take_commit, verify_commit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView
from e2ecross.wire.group import GroupId, GroupSettings, Role
from e2ecross.wire.group_commit import AddMember, GroupOp, RemoveMember, SetRole
from e2ecross.wire.limits import MAX_GROUP_ANCESTORS, MAX_GROUP_COMMITS
from tests.support.entropy import NO_ENTROPY
from tests.support.groups import (
    Account,
    NaiveGroup,
    begin,
    commit,
    make_commit,
    make_genesis,
    unsigned,
)

ANA, BUDI, CITRA = Account("whatsapp:ana"), Account("instagram:budi"), Account("messenger:citra")
DEWI: Final = Account("whatsapp:dewi")
ROLES: Final = (None, *Role)
OWNER, ADMIN, MEMBER = Role.OWNER, Role.ADMIN, Role.MEMBER
CHANGES: Final = ("add", "remove", "owner", "admin", "member")


def _group(author: Role | None, target: Role | None) -> GroupGraph:
    """A group in which Budi is the author and Citra the target, made by Ana."""
    ops: list[GroupOp] = []
    for account, role in ((BUDI, author), (CITRA, target)):
        if role is not None:
            ops.append(AddMember(account.member))
        if role in (OWNER, ADMIN):
            ops.append(SetRole(account.member, role))
    return begin(ANA, *ops)


def _op(change: str, account: Account) -> GroupOp:
    if change == "add":
        return AddMember(account.member)
    if change == "remove":
        return RemoveMember(account.member)
    return SetRole(account.member, Role[change.upper()])


def _role(graph: GroupGraph, account: Account) -> Role | None:
    return GroupView(graph, graph.all).role(account.member)


# What is allowed, by rank of the author, and role of another whom it is done to.
ALLOWED: Final = {
    *{(role, None, "add") for role in (OWNER, ADMIN)},
    *{(OWNER, ADMIN, "remove"), (OWNER, MEMBER, "remove"), (ADMIN, MEMBER, "remove")},
    *{
        (OWNER, ADMIN, "owner"),
        (OWNER, ADMIN, "member"),
        (OWNER, MEMBER, "owner"),
        (OWNER, MEMBER, "admin"),
    },
}
# And to oneself.
ALLOWED_ALONE: Final = {
    *{(role, "remove") for role in Role},
    *{(OWNER, "admin"), (OWNER, "member"), (ADMIN, "member")},
}
AFTER: Final = {"add": MEMBER, "remove": None, "owner": OWNER, "admin": ADMIN, "member": MEMBER}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("target", ROLES)
@pytest.mark.parametrize("author", ROLES)
def test_what_is_done_to_others(author: Role | None, target: Role | None, change: str) -> None:
    graph = _group(author, target)
    op = _op(change, CITRA)
    naive = NaiveGroup.of(graph).accepts(unsigned(make_commit(graph, BUDI.member, op)))
    assert naive is ((author, target, change) in ALLOWED)
    if naive:
        assert _role(commit(graph, BUDI, op), CITRA) is AFTER[change]
    else:
        with pytest.raises(InvalidGroupCommit):
            commit(graph, BUDI, op)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("author", ROLES)
def test_what_is_done_to_oneself(author: Role | None, change: str) -> None:
    graph = _group(author, MEMBER)
    op = _op(change, BUDI)
    if (author, change) in ALLOWED_ALONE:
        assert _role(commit(graph, BUDI, op), BUDI) is AFTER[change]
        with pytest.raises(InvalidGroupCommit):
            commit(graph, BUDI, op, GroupSettings(name="and more"))
    else:
        with pytest.raises(InvalidGroupCommit):
            commit(graph, BUDI, op)


@pytest.mark.parametrize("author", ROLES)
def test_who_changes_the_settings(author: Role | None) -> None:
    graph = _group(author, MEMBER)
    if author in (OWNER, ADMIN):
        after = commit(graph, BUDI, GroupSettings(name="new"))
        assert GroupView(after, after.all).settings().name == "new"
        with pytest.raises(InvalidGroupCommit):
            commit(graph, BUDI, GroupSettings(name="new"), GroupSettings(name="newer"))
    else:
        with pytest.raises(InvalidGroupCommit):
            commit(graph, BUDI, GroupSettings(name="new"))


@pytest.mark.parametrize("target", [None, ADMIN, MEMBER])
def test_two_changes_of_one_member_in_one_commit(target: Role | None) -> None:
    """Adding with a role is the only pair that there is; the naive implementation agrees."""
    graph = _group(OWNER, target)
    for first, second in itertools.product(CHANGES, repeat=2):
        ops = (_op(first, CITRA), _op(second, CITRA))
        signed = unsigned(make_commit(graph, BUDI.member, *ops))
        allowed = target is None and first == "add" and second in ("owner", "admin")
        assert NaiveGroup.of(graph).accepts(signed) is allowed
        if allowed:
            assert _role(commit(graph, BUDI, *ops), CITRA) is AFTER[second]
        else:
            with pytest.raises(InvalidGroupCommit):
                commit(graph, BUDI, *ops)


def test_a_key_takes_the_place_of_another_in_one_commit() -> None:
    """Another key of a user is another member."""
    graph = _group(ADMIN, MEMBER)
    again = Account("messenger:citra", "another phone")
    after = commit(graph, BUDI, RemoveMember(CITRA.member), AddMember(again.member))
    assert (_role(after, CITRA), _role(after, again)) == (None, MEMBER)


@pytest.mark.parametrize(
    "ops",
    [
        (AddMember(BUDI.member),),
        (GroupSettings(),),
        (AddMember(BUDI.member), AddMember(ANA.member)),
        (AddMember(ANA.member), AddMember(ANA.member)),
        (AddMember(ANA.member), SetRole(ANA.member, ADMIN)),
        (AddMember(ANA.member), RemoveMember(ANA.member)),
        (AddMember(ANA.member), RemoveMember(BUDI.member)),
    ],
)
def test_a_group_that_begins_otherwise_is_none(ops: tuple[GroupOp, ...]) -> None:
    made = replace(make_genesis(ANA.member), ops=ops)
    signed = sign_commit(made, ANA.pair, ANA.entropy)
    with pytest.raises(InvalidGroupCommit):
        take_commit(GroupGraph(group_of(signed)), signed)


def test_a_genesis_may_give_roles_and_settings() -> None:
    ops = (AddMember(BUDI.member), SetRole(BUDI.member, OWNER), GroupSettings(name="Trip"))
    state = GroupView(graph := begin(ANA, *ops), graph.all).state()
    assert state.members == {ANA.member: OWNER, BUDI.member: OWNER}
    assert state.settings.name == "Trip"


def test_a_known_commit_changes_nothing() -> None:
    graph = _group(ADMIN, MEMBER)
    assert take_commit(graph, graph.nodes[0].signed) is graph


def test_a_commit_of_another_group_is_refused() -> None:
    graph, other = _group(ADMIN, MEMBER), begin(ANA)
    for signed in (other.nodes[0].signed, commit(other, ANA, GroupSettings()).nodes[1].signed):
        with pytest.raises(InvalidGroupCommit, match="another group"):
            take_commit(graph, signed)


def test_a_commit_without_its_parents_waits_for_them() -> None:
    graph = _group(ADMIN, MEMBER)
    later = commit(commit(graph, ANA, GroupSettings(name="1")), ANA, GroupSettings(name="2"))
    with pytest.raises(UnknownGroupState):
        take_commit(graph, later.nodes[2].signed)
    with pytest.raises(UnknownGroupState):
        take_commit(GroupGraph(graph.group_id), later.nodes[1].signed)


def test_an_ancestor_of_another_parent_is_no_parent() -> None:
    graph = _group(ADMIN, MEMBER)
    for name in "123":
        graph = commit(graph, ANA, GroupSettings(name=name))
    for both in itertools.combinations([node.hash for node in graph.nodes], 2):
        with pytest.raises(InvalidGroupCommit, match="before another"):
            commit(graph, ANA, GroupSettings(name="4"), at=both)


def test_a_signature_of_another_is_refused_and_checked_once() -> None:
    graph = _group(ADMIN, MEMBER)
    signed = sign_commit(make_commit(graph, ANA.member, GroupSettings()), BUDI.pair, BUDI.entropy)
    with pytest.raises(InvalidSignature):
        take_commit(graph, signed)
    with pytest.raises(InvalidSignature):
        verify_commit(signed)
    assert len(take_commit(graph, signed, verified=True).nodes) == 2


def test_heads_are_what_no_commit_comes_after() -> None:
    graph = _group(ADMIN, MEMBER)
    root = graph.heads
    first = commit(graph, ANA, GroupSettings(name="1"))
    both = commit(first, BUDI, GroupSettings(name="2"), at=root)
    assert both.heads == tuple(sorted(node.hash for node in both.nodes[1:]))
    merged = commit(both, ANA, GroupSettings(name="3"))
    assert merged.heads == (merged.nodes[3].hash,)
    assert merged.find(root[0]) is merged.nodes[0]
    assert merged.find(bytes(32)) is None
    assert repr(merged) == f"<GroupGraph of {merged.group_id}, 4 commits>"
    with pytest.raises(UnknownGroupState):
        merged.behind([bytes(32)])


def _long(length: int) -> GroupGraph:
    graph = begin(ANA)
    for number in range(length - 1):
        made = make_commit(graph, ANA.member, GroupSettings(name=str(number)))
        graph = take_commit(graph, unsigned(made), verified=True)
    return graph


def test_a_commit_comes_after_at_most_4095_others() -> None:
    graph = _long(MAX_GROUP_ANCESTORS)
    assert not graph.is_full
    graph = commit(graph, ANA, GroupSettings(name="the last"))
    assert graph.is_full
    with pytest.raises(InvalidGroupCommit, match="more than 4095"):
        commit(graph, ANA, GroupSettings(name="one more"))
    # What does not come after all of them is taken in still.
    beside = commit(graph, ANA, GroupSettings(name="beside"), at=[graph.nodes[-2].hash])
    assert len(beside.nodes) == 4097


def test_a_group_holds_at_most_8192_commits() -> None:
    graph = begin(ANA)
    root = graph.heads
    for number in range(MAX_GROUP_COMMITS - 1):
        assert number % 1_000 or not graph.is_full
        made = make_commit(graph, ANA.member, GroupSettings(name=str(number)), at=root)
        graph = take_commit(graph, unsigned(made), verified=True)
    assert graph.is_full
    with pytest.raises(InvalidGroupCommit, match="full"):
        commit(graph, ANA, GroupSettings(name="one more"), at=root)


def test_signing_draws_64_bytes() -> None:
    with pytest.raises(AssertionError, match="64 bytes drawn"):
        sign_commit(make_genesis(ANA.member), ANA.pair, NO_ENTROPY)


def test_another_group_id_gives_another_graph() -> None:
    signed = begin(ANA).nodes[0].signed
    with pytest.raises(InvalidGroupCommit):
        take_commit(GroupGraph(GroupId(bytes(32))), signed)
