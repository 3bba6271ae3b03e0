# SPDX-License-Identifier: Apache-2.0
"""Groups: how it stands with each, what its commits give, and the commits.

Rules:
- What is put here was verified and judged before (`device/group_taking.py`).
- Heads name a set of commits, whatever their order: each says the hashes of those before it. So a
  graph that was put together before stands for the rows as long as the state names its heads,
  whoever has written since.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from e2ecross.errors import InvalidArgument, RecordCorrupted, RemoteError
from e2ecross.protocol.group_commit import take_commit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.state.context import Context
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.group import GroupId
from e2ecross.wire.group_records import GroupCommitRecord, GroupRecord, GroupState

__all__ = [
    "GROUP_STATE_ROW",
    "drop_group",
    "find_group",
    "find_state",
    "group_from_key",
    "keep_graph",
    "list_commits",
    "list_groups",
    "load_graph",
    "put_commits",
    "put_group",
    "put_state",
    "walk_groups",
]

GROUP_STATE_ROW: Final = b"state"
_GROUP: Final = Codec(GroupRecord.encode, GroupRecord.decode)
_STATE: Final = Codec(GroupState.encode, GroupState.decode)


def group_from_key(place: bytes) -> GroupId:
    """Return the group that a key of the store stands for.

    Raises:
        RecordCorrupted: it stands for none.
    """
    try:
        return GroupId(place)
    except InvalidArgument as error:
        raise RecordCorrupted("a record belongs to no group: the store is damaged") from error


def find_group(tx: Transaction, group: GroupId) -> GroupRecord | None:
    """Return how it stands with a group, or None: it is not known."""
    return tx.get_value(Table.GROUPS, group.value, b"", _GROUP)


def put_group(tx: Transaction, group: GroupId, record: GroupRecord) -> None:
    """Write how it stands with a group."""
    tx.put_value(Table.GROUPS, group.value, b"", record, _GROUP)


def list_groups(tx: Transaction) -> list[GroupId]:
    """Return all groups that are known, in an order of the store's own."""
    return [group_from_key(place) for place in tx.partitions(Table.GROUPS)]


def walk_groups(tx: Transaction) -> Iterator[tuple[GroupId, GroupRecord]]:
    """Walk over all groups that are known, but those whose record does not decode."""
    for group in list_groups(tx):
        try:
            record = find_group(tx, group)
        except RecordCorrupted:
            continue
        if record is not None:
            yield group, record


def find_state(tx: Transaction, group: GroupId) -> GroupState | None:
    """Return what all commits that are held of a group give, or None: it is not known."""
    return tx.get_value(Table.GROUPS, group.value, GROUP_STATE_ROW, _STATE)


def put_state(tx: Transaction, group: GroupId, state: GroupState) -> None:
    """Write what all commits that are held of a group give."""
    tx.put_value(Table.GROUPS, group.value, GROUP_STATE_ROW, state, _STATE)


def put_commits(
    tx: Transaction, group: GroupId, records: Iterable[tuple[bytes, GroupCommitRecord]]
) -> None:
    """Keep commits, each under its hash (32 bytes)."""
    for commit_hash, record in records:
        tx.put(Table.GROUP_COMMITS, group.value, commit_hash, record.encode())


def list_commits(tx: Transaction, group: GroupId) -> list[tuple[bytes, GroupCommitRecord]]:
    """Return hash (32 bytes) and commit of all that are held of a group, parents first.

    Raises:
        RecordCorrupted: one does not decode.
    """
    rows = tx.list(Table.GROUP_COMMITS, group.value)
    found = [(row, GroupCommitRecord.decode(record)) for row, record in rows]
    return sorted(found, key=lambda each: each[1].number)


def load_graph(
    context: Context, tx: Transaction, group: GroupId, state: GroupState | None = None
) -> GroupGraph:
    """Return the graph of all commits that are held of a group; none of one that is not known.

    Args:
        context: of the device.
        tx: of the operation.
        group: which.
        state: what the commits give, where that was read in the transaction before.

    Raises:
        RecordCorrupted: the commits are not those that the state was made of.
    """
    state = state or find_state(tx, group)
    heads = () if state is None else state.heads
    graph = context.live.graphs.get(group)
    if graph is None or graph.heads != heads:
        graph = _build(tx, group)
        if graph.heads != heads:
            raise RecordCorrupted("commits of a group are missing: the store is damaged")
        keep_graph(context, graph)
    return graph


def keep_graph(context: Context, graph: GroupGraph) -> None:
    """Keep a graph at hand, in memory: it need not be built of the rows the next time."""
    context.live.keep_graph(graph)


def drop_group(tx: Transaction, group: GroupId) -> None:
    """Forget how it stands with a group, its state and its commits."""
    tx.clear(Table.GROUPS, group.value)
    tx.clear(Table.GROUP_COMMITS, group.value)


def _build(tx: Transaction, group: GroupId) -> GroupGraph:
    graph = GroupGraph(group)
    for commit_hash, record in list_commits(tx, group):
        try:
            graph = take_commit(graph, record.signed, verified=True)
        except RemoteError as error:
            raise RecordCorrupted("a commit of a group does not belong there") from error
        if graph.find(commit_hash) is None or record.number != len(graph.nodes) - 1:
            raise RecordCorrupted("a commit of a group stands in the wrong row")
    return graph
