# SPDX-License-Identifier: Apache-2.0
"""The health of groups: every row of them is decoded, and stands where it belongs."""

import pytest

from e2ecross import Policy
from e2ecross.device.health import TableHealth, read_health
from e2ecross.stores import Table
from e2ecross.wire.group import GroupId
from tests.support.devices import ANA, BUDI, NOW_MS, Stores
from tests.support.group_world import GroupWorld


@pytest.fixture
def world(stores: Stores) -> GroupWorld:
    """Two accounts that know each other."""
    return GroupWorld((ANA, BUDI), stores=stores.open)


def health(world: GroupWorld) -> dict[Table, TableHealth]:
    """The tables of groups, at Ana's."""
    with world.context(ANA).store.transaction() as tx:
        found = read_health(tx, Policy(), NOW_MS).tables
    return {each.table: each for each in found if each.table in (Table.GROUPS, Table.GROUP_COMMITS)}


def put(world: GroupWorld, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
    """Write a row at Ana's."""
    with world.context(ANA).store.transaction() as tx:
        tx.put(table, partition, row, record)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    """A group of one commit."""
    return world.create(ANA, BUDI)


def test_rows_of_groups_are_counted(world: GroupWorld, group: GroupId) -> None:
    assert health(world) == {
        Table.GROUPS: TableHealth(Table.GROUPS, 2, 0, 0),
        Table.GROUP_COMMITS: TableHealth(Table.GROUP_COMMITS, 1, 0, 0),
    }


@pytest.mark.parametrize("row", [b"", b"state"])
def test_a_damaged_record_of_a_group(world: GroupWorld, group: GroupId, row: bytes) -> None:
    put(world, Table.GROUPS, group.value, row, b"\1garbage")
    assert health(world)[Table.GROUPS] == TableHealth(Table.GROUPS, 2, 1, 0)
    put(world, Table.GROUPS, group.value, row, b"\2later")
    assert health(world)[Table.GROUPS] == TableHealth(Table.GROUPS, 2, 0, 1)


def test_damaged_commits(world: GroupWorld, group: GroupId) -> None:
    with world.context(ANA).store.transaction() as tx:
        ((_, record),) = tx.list(Table.GROUP_COMMITS, group.value)
    put(world, Table.GROUP_COMMITS, group.value, bytes(32), record)
    put(world, Table.GROUP_COMMITS, group.value, bytes(31) + b"\1", b"\1garbage")
    put(world, Table.GROUP_COMMITS, b"short", bytes(32), record)
    assert health(world)[Table.GROUP_COMMITS] == TableHealth(Table.GROUP_COMMITS, 4, 3, 0)
    put(world, Table.GROUPS, b"short", b"", b"\1")
    assert health(world)[Table.GROUPS] == TableHealth(Table.GROUPS, 3, 1, 0)
