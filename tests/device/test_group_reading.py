# SPDX-License-Identifier: Apache-2.0
"""What an app is shown of groups, and who is who in them."""

from dataclasses import replace

import pytest

from e2ecross import UserId
from e2ecross.device.group_changes import leave_group
from e2ecross.device.group_members import (
    counts_as_in,
    member_of,
    own_member,
    require_group,
    require_role,
)
from e2ecross.device.group_reading import (
    GroupFacts,
    GroupMember,
    GroupStatus,
    read_group,
    read_groups,
)
from e2ecross.errors import NotInGroup
from e2ecross.state.groups import put_group
from e2ecross.wire.group import GroupId, GroupSettings, Role
from e2ecross.wire.group_commit import AddMember
from e2ecross.wire.group_records import GroupRecord, GroupState
from tests.support.devices import ANA, BUDI, TOKO
from tests.support.group_world import GroupWorld
from tests.support.groups import Account

UNKNOWN = GroupId(bytes(32))


@pytest.fixture
def world() -> GroupWorld:
    """Three accounts that know each other."""
    return GroupWorld()


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    """Ana's group with Budi and Toko."""
    made = world.create(ANA, BUDI, TOKO)
    world.tell(made, ANA, BUDI, TOKO)
    return made


def test_a_group_is_shown_whole(world: GroupWorld, group: GroupId) -> None:
    other = Account("messenger:toko-kopi").member
    add = world.sign(world.graph(group, ANA), ANA, AddMember(other))
    world.bring(group, ANA, BUDI, [add])
    record = world.record(group, BUDI)
    assert record is not None
    with world.context(BUDI).store.transaction() as tx:
        put_group(tx, group, replace(record, back=(world.member(TOKO),)))
    ana, budi, toko = (world.member(each) for each in (ANA, BUDI, TOKO))
    assert read_group(world.context(BUDI), group) == GroupFacts(
        group,
        GroupSettings("Trip"),
        (
            GroupMember(*ana, Role.OWNER),
            GroupMember(*budi, Role.MEMBER),
            GroupMember(*toko, Role.MEMBER, is_back=True),
            GroupMember(*other, Role.MEMBER, key_differs=True),
        ),
        Role.MEMBER,
        False,
        GroupStatus.ACTIVE,
    )


def test_of_who_is_not_known_no_key_differs(world: GroupWorld, group: GroupId) -> None:
    nobody = Account("whatsapp:nobody").member
    world.bring(group, ANA, BUDI, [world.sign(world.graph(group, ANA), ANA, AddMember(nobody))])
    assert GroupMember(*nobody, Role.MEMBER) in read_group(world.context(BUDI), group).members


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"outdated": 2, "full": True}, GroupStatus.OUTDATED),
        ({"full": True}, GroupStatus.FULL),
        ({"outdated": 1}, GroupStatus.ACTIVE),
    ],
)
def test_how_it_stands_is_told(
    world: GroupWorld, group: GroupId, changes: dict[str, object], status: GroupStatus
) -> None:
    record = world.record(group, TOKO)
    assert record is not None
    with world.context(TOKO).store.transaction() as tx:
        put_group(tx, group, replace(record, **changes))  # type: ignore[arg-type]
    assert read_group(world.context(TOKO), group).status is status


def test_who_is_out_still_sees_what_he_knows(world: GroupWorld, group: GroupId) -> None:
    leave_group(world.context(TOKO), group)
    facts = read_group(world.context(TOKO), group)
    assert (facts.role, facts.status, len(facts.members)) == (None, GroupStatus.LEFT, 2)
    with pytest.raises(NotInGroup):
        read_group(world.context(TOKO), UNKNOWN)


def test_groups_are_those_that_the_own_account_is_in_or_was(
    world: GroupWorld, group: GroupId
) -> None:
    foreign, own = world.create(ANA, BUDI), world.create(TOKO)
    world.tell(foreign, ANA, TOKO)
    leave_group(world.context(TOKO), group)
    assert read_groups(world.context(TOKO)) == sorted([group, own])


# --- Who is who ---------------------------------------------------------------------------------


def test_an_account_is_the_member_with_its_accepted_key(world: GroupWorld) -> None:
    context = world.context(ANA)
    with context.store.transaction() as tx:
        assert member_of(context, tx, BUDI.user_id) == world.member(BUDI)
        assert member_of(context, tx, ANA.user_id) == own_member(context)
        assert member_of(context, tx, UserId("whatsapp", "nobody")) is None


def test_a_group_and_the_own_role_are_required(world: GroupWorld, group: GroupId) -> None:
    context = world.context(BUDI)
    with context.store.transaction() as tx:
        record, state = require_group(tx, group)
        with pytest.raises(NotInGroup):
            require_group(tx, UNKNOWN)
        put_group(tx, UNKNOWN, record)
        with pytest.raises(NotInGroup):
            require_group(tx, UNKNOWN)  # without a state
    assert require_role(context, state) is Role.MEMBER
    with pytest.raises(NotInGroup):
        require_role(context, replace(state, members={}))


def test_who_is_back_does_not_count_as_in() -> None:
    one, two, three = (Account(f"whatsapp:user{number}").member for number in range(3))
    state = GroupState((), {one: Role.OWNER, two: Role.MEMBER}, GroupSettings())
    record = GroupRecord(back=(two,))
    assert [counts_as_in(record, state, each) for each in (one, two, three)] == [True, False, False]
