# SPDX-License-Identifier: Apache-2.0
"""The health of groups: every row of them is decoded, and stands where it belongs."""

import pytest

from e2ecross import Policy
from e2ecross.device.group_changes import leave_group
from e2ecross.device.group_reading import GroupStatus
from e2ecross.device.health import TableHealth, read_health
from e2ecross.device.health_groups import (
    GroupHealth,
    GroupKeyHealth,
    GroupQueueHealth,
    GroupReachHealth,
)
from e2ecross.state.group_outbox import empty_in_group_outbox
from e2ecross.stores import Table
from e2ecross.wire.group import GroupId, Role
from tests.support.devices import ANA, BUDI, DAY_MS, NOW_MS, Stores
from tests.support.group_sending import add_companion, send, waiting
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


# --- How a group is doing -----------------------------------------------------------------------


@pytest.fixture
def talking() -> GroupWorld:
    """Two accounts with sessions."""
    return GroupWorld((ANA, BUDI), sessions=True)


def judge(world: GroupWorld, now_ms: int = NOW_MS) -> tuple[GroupHealth, ...]:
    """How the groups are doing at Ana's."""
    with world.context(ANA).store.transaction() as tx:
        return read_health(tx, Policy(), now_ms).groups


def test_what_is_sent_into_a_group_and_what_waits(talking: GroupWorld) -> None:
    device = talking.devices[ANA]
    group = talking.create(ANA, BUDI)
    found = GroupHealth(
        status=GroupStatus.ACTIVE,
        commits=1,
        accepted=True,
        members=2,
        role=Role.OWNER,
        unannounced=1,
        reach=GroupReachHealth(1, 1, 0, {}),
    )
    assert judge(talking) == (found,)
    send(device, group)
    send(device, group)
    (sent,) = judge(talking)
    assert sent.key == GroupKeyHealth(0, 2, 1)
    assert sent.queue == GroupQueueHealth(grants=1, messages=2)
    assert sent.reach == GroupReachHealth(1, 0, 0, {})
    last = waiting(device)[-1]
    with talking.context(ANA).store.transaction() as tx:
        empty_in_group_outbox(tx, last)
    (restored,) = judge(talking)
    assert restored.queue == GroupQueueHealth(grants=1, messages=1, anew=1)


def test_a_key_that_is_due_is_given_to_all_anew(talking: GroupWorld) -> None:
    send(talking.devices[ANA], talking.create(ANA, BUDI))
    (found,) = judge(talking, NOW_MS + 7 * DAY_MS)
    assert found.key == GroupKeyHealth(7 * DAY_MS, 1, 1, is_due=True)
    assert found.reach is not None
    assert found.reach.lacking == found.reach.devices


def test_of_who_is_out_nothing_is_sent(talking: GroupWorld) -> None:
    group = talking.create(BUDI, ANA)
    talking.tell(group, BUDI, ANA)
    leave_group(talking.context(ANA), group)
    (found,) = judge(talking)
    assert (found.role, found.members, found.key, found.reach) == (None, 1, None, None)


def test_who_a_companion_without_a_list_is_in_groups_is_not_known(talking: GroupWorld) -> None:
    laptop = add_companion(talking, talking.devices[ANA], 2)
    with laptop._context.store.transaction() as tx:
        assert tx.get(Table.ACCOUNTS, b"whatsapp\0ana", b"") is None
        tx.put(Table.GROUPS, bytes(32), b"", b"\1")
        assert read_health(tx, Policy(), NOW_MS).groups == ()
