# SPDX-License-Identifier: Apache-2.0
"""Rows of groups: what is found again, which graph stands for them, and damage."""

from dataclasses import replace

import pytest

from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView
from e2ecross.state.context import Context
from e2ecross.state.groups import (
    drop_group,
    find_group,
    find_state,
    group_from_key,
    list_commits,
    list_groups,
    load_graph,
    put_commits,
    put_group,
    put_state,
    walk_groups,
)
from e2ecross.stores import Table, Transaction
from e2ecross.wire.group import GroupId, Role
from e2ecross.wire.group_commit import AddMember, SetRole
from e2ecross.wire.group_records import GroupCommitRecord, GroupRecord
from tests.support.devices import ANA, Stores, make_device
from tests.support.groups import Account, begin, commit

_ANA, _BUDI, _CITRA = (Account(f"whatsapp:{name}") for name in ("ana", "budi", "citra"))
RECORD = GroupRecord(accepted=True, joined_at_ms=7, full=True)


def _graph() -> GroupGraph:
    graph = begin(_ANA, AddMember(_BUDI.member))
    graph = commit(graph, _ANA, SetRole(_BUDI.member, Role.ADMIN))
    return commit(graph, _BUDI, AddMember(_CITRA.member))


GRAPH = _graph()
GROUP = GRAPH.group_id


def _put(tx: Transaction, graph: GroupGraph = GRAPH) -> None:
    rows = ((each.hash, GroupCommitRecord(each.signed, each.place)) for each in graph.nodes)
    put_commits(tx, graph.group_id, rows)
    put_state(tx, graph.group_id, GroupView(graph, graph.all).state())
    put_group(tx, graph.group_id, RECORD)


@pytest.fixture
def context(stores: Stores) -> Context:
    """A device that holds a group."""
    context = make_device(ANA, stores.open("ana"))._context
    with context.store.transaction() as tx:
        _put(tx)
    return context


def test_what_was_put_is_found(context: Context) -> None:
    with context.store.transaction() as tx:
        assert find_group(tx, GROUP) == RECORD
        assert find_state(tx, GROUP) == GroupView(GRAPH, GRAPH.all).state()
        assert list_groups(tx) == [GROUP]
        assert list(walk_groups(tx)) == [(GROUP, RECORD)]
        assert [each for each, _ in list_commits(tx, GROUP)] == [each.hash for each in GRAPH.nodes]


def test_what_was_dropped_is_gone(context: Context) -> None:
    other = GroupId(bytes(32))
    with context.store.transaction() as tx:
        put_group(tx, other, RECORD)
        drop_group(tx, GROUP)
        assert (find_group(tx, GROUP), find_state(tx, GROUP)) == (None, None)
        assert list_commits(tx, GROUP) == []
        assert load_graph(context, tx, GROUP).nodes == ()
        assert list_groups(tx) == [other]


def test_a_graph_is_built_once_of_its_rows(context: Context) -> None:
    with context.store.transaction() as tx:
        built = load_graph(context, tx, GROUP)
        assert built.places == GRAPH.places
        assert load_graph(context, tx, GROUP) is built


def test_a_graph_at_hand_stands_for_the_rows_only_while_the_state_names_its_heads(
    context: Context,
) -> None:
    more = commit(GRAPH, _ANA, SetRole(_CITRA.member, Role.ADMIN))
    with context.store.transaction() as tx:
        built = load_graph(context, tx, GROUP)
        _put(tx, more)  # as another process does
        assert load_graph(context, tx, GROUP).places == more.places
        assert load_graph(context, tx, GROUP) is not built


def test_graphs_of_few_groups_stay_at_hand(context: Context) -> None:
    others = [begin(Account(f"whatsapp:user{number}")) for number in range(4)]
    with context.store.transaction() as tx:
        for graph in (GRAPH, *others):
            _put(tx, graph)
            load_graph(context, tx, graph.group_id)
    assert list(context.live.graphs) == [each.group_id for each in others]


def _damage(tx: Transaction, what: str) -> None:
    first, last = GRAPH.nodes[0], GRAPH.nodes[-1]
    foreign = begin(Account("whatsapp:eve")).nodes[0]
    record = GroupCommitRecord(last.signed, last.place)
    match what:
        case "missing":
            tx.delete(Table.GROUP_COMMITS, GROUP.value, last.hash)
        case "parent":
            tx.delete(Table.GROUP_COMMITS, GROUP.value, first.hash)
        case "foreign":
            put_commits(tx, GROUP, [(foreign.hash, GroupCommitRecord(foreign.signed, 3))])
        case "row":
            put_commits(tx, GROUP, [(bytes(32), record)])
        case "number":
            put_commits(tx, GROUP, [(last.hash, replace_number(record, 5))])
        case "record":
            tx.put(Table.GROUP_COMMITS, GROUP.value, last.hash, b"\1garbage")


def replace_number(record: GroupCommitRecord, number: int) -> GroupCommitRecord:
    return record._replace(number=number)


@pytest.mark.parametrize("what", ["missing", "parent", "foreign", "row", "number", "record"])
def test_commits_that_are_damaged(context: Context, what: str) -> None:
    with context.store.transaction() as tx:
        _damage(tx, what)
        with pytest.raises(RecordCorrupted):
            load_graph(context, tx, GROUP)


def test_a_group_whose_record_is_damaged_hides_no_other(context: Context) -> None:
    with context.store.transaction() as tx:
        tx.put(Table.GROUPS, bytes(32), b"", b"\1garbage")
        tx.put(Table.GROUPS, bytes(31) + b"\1", b"state", b"")
        assert list(walk_groups(tx)) == [(GROUP, RECORD)]


def test_a_record_belongs_to_a_group() -> None:
    assert group_from_key(GROUP.value) == GROUP
    with pytest.raises(RecordCorrupted, match="belongs to no group"):
        group_from_key(b"short")


def test_a_record_of_a_group_survives_its_encoding() -> None:
    full = replace(RECORD, heard_from=_BUDI.member.user, heard_at_ms=2**40, back=(_ANA.member,))
    assert GroupRecord.decode(full.encode()) == full
    assert GroupRecord.decode(GroupRecord().encode()) == GroupRecord()
