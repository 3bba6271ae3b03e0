# SPDX-License-Identifier: Apache-2.0
"""Telling a group what the own account has changed in it."""

from dataclasses import replace

import pytest

from e2ecross import Address
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.group_announcing import (
    list_unannounced,
    post_announcement,
    put_history,
)
from e2ecross.device.group_changes import (
    add_members,
    change_settings,
    leave_group,
    remove_members,
    set_role,
)
from e2ecross.device.group_planning import plan_group
from e2ecross.device.group_standing import Audience
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.state.context import address_key
from e2ecross.state.group_keys import find_group_key
from e2ecross.stores import Table
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.content import GroupCommits
from e2ecross.wire.group import GroupId, Role
from tests.support.accounts import told
from tests.support.devices import ANA, BUDI, TOKO, dump
from tests.support.group_sending import (
    add_companion,
    announce,
    change_list,
    copies,
    deliver,
    empty,
    grant_all,
    granted,
    grants,
    plan,
    send,
)
from tests.support.group_world import GroupWorld, list_with_groups

CITRA = Address("messenger", "citra")


@pytest.fixture
def world() -> GroupWorld:
    return GroupWorld((ANA, BUDI, TOKO), sessions=True)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    """A group of all three, which was announced."""
    made = world.create(ANA, BUDI, TOKO)
    announce(world.devices[ANA], made)
    deliver(world.devices[ANA], world.devices[BUDI], world.devices[TOKO])
    return made


def test_a_new_group_is_told_to_all(world: GroupWorld) -> None:
    ana = world.devices[ANA]
    group = world.create(ANA, BUDI, TOKO)
    assert [*list_unannounced(ana._context)] == [group]
    announce(ana, group)
    assert not list_unannounced(ana._context)
    assert {*grants(ana)} == {BUDI, TOKO}
    (sent,) = copies(ana)
    assert {*sent.recipients} == {BUDI, TOKO}
    deliver(ana, world.devices[BUDI], world.devices[TOKO])
    assert world.state(group, BUDI) == world.state(group, ANA) == world.state(group, TOKO)


def test_a_change_goes_to_all_under_the_key_that_is_there(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    change_settings(ana._context, group, name="Another")
    announce(ana, group)
    assert grants(ana) == []
    assert len(copies(ana)) == 1
    deliver(ana, world.devices[BUDI], world.devices[TOKO])
    assert world.state(group, BUDI) == world.state(group, TOKO) == world.state(group, ANA)


def test_who_joins_gets_everything_and_the_others_what_is_new(
    world: GroupWorld, group: GroupId
) -> None:
    ana, citra = world.devices[ANA], world.join(CITRA)
    assert add_members(ana._context, group, [CITRA.user_id], KeysAsked()) is None
    announce(ana, group)
    assert grants(ana) == [CITRA]
    to_staying, to_joining = copies(ana)
    assert {*to_staying.recipients} == {BUDI, TOKO}
    assert to_joining.recipients == (CITRA,)
    deliver(ana, world.devices[BUDI], world.devices[TOKO], citra)
    assert world.state(group, CITRA) == world.state(group, BUDI) == world.state(group, ANA)


def test_who_is_out_is_told_pairwise_and_gets_no_key(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    remove_members(ana._context, group, [TOKO.user_id])
    announce(ana, group)
    (sent,) = copies(ana)
    assert sent.recipients == (BUDI,)
    assert grants(ana) == []
    ((address, content),) = told(ana)
    assert address == TOKO
    assert isinstance(content, GroupCommits)
    assert len(content.commits) == 1
    world.bring(group, ANA, TOKO, content.commits)
    assert world.roles(group, TOKO) == world.roles(group, ANA)
    # The next message takes a new key, which he does not get.
    empty(ana)
    send(ana, group)
    assert granted(ana, group) == {BUDI}


def test_leaving_takes_the_own_key_along(world: GroupWorld, group: GroupId) -> None:
    budi = world.devices[BUDI]
    send(budi, group)
    deliver(budi, world.devices[ANA], world.devices[TOKO])
    leave_group(budi._context, group)
    announce(budi, group)
    (sent,) = copies(budi)
    assert {*sent.recipients} == {ANA, TOKO}
    with budi._context.store.transaction() as tx:
        assert find_group_key(tx, group) is None
        assert tx.count(Table.GROUP_GRANTS, group.value) == 0
    deliver(budi, world.devices[ANA], world.devices[TOKO])
    assert set(world.roles(group, ANA)) == {"ana", "toko-kopi"}


def test_being_removed_takes_the_own_key_along(world: GroupWorld, group: GroupId) -> None:
    budi = world.devices[BUDI]
    send(budi, group)
    remove_members(world.context(ANA), group, [BUDI.user_id])
    world.tell(group, ANA, BUDI)
    with budi._context.store.transaction() as tx:
        assert find_group_key(tx, group) is None


def test_own_devices_are_told_too(world: GroupWorld) -> None:
    ana = world.devices[ANA]
    laptop = add_companion(world, ana, 2).address
    group = world.create(ANA, BUDI)
    announce(ana, group)
    (sent,) = copies(ana)
    assert {*sent.recipients} == {BUDI, laptop}


def test_who_could_not_be_given_the_key_gets_no_copy(world: GroupWorld) -> None:
    ana, group = world.devices[ANA], world.create(ANA, BUDI, TOKO)
    found = plan(ana, group, Audience.JOINING)
    with ana._context.store.transaction() as tx:
        for row, _ in tx.list(Table.SESSIONS, address_key(BUDI)):
            tx.put(Table.SESSIONS, address_key(BUDI), row, b"\x01\xff")
    assert grant_all(ana, found)
    assert post_announcement(ana._context, Leftovers(), found)
    (sent,) = copies(ana)
    assert sent.recipients == (TOKO,)


def test_it_is_announced_again_until_the_last_is_in_the_outbox(
    world: GroupWorld, group: GroupId
) -> None:
    ana, citra = world.devices[ANA], world.join(CITRA)
    add_members(ana._context, group, [CITRA.user_id], KeysAsked())
    found = plan(ana, group, Audience.STAYING)
    assert post_announcement(ana._context, Leftovers(), found)
    assert [*list_unannounced(ana._context)] == [group]  # as after a crash
    announce(ana, group)
    assert not list_unannounced(ana._context)
    deliver(ana, world.devices[BUDI], world.devices[TOKO], citra)
    assert world.state(group, BUDI) == world.state(group, CITRA) == world.state(group, ANA)


def test_a_plan_that_does_not_hold_announces_nothing(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    change_settings(ana._context, group, name="Another")
    found = plan(ana, group, Audience.STAYING)
    grant_all(ana, found)
    set_role(ana._context, group, TOKO.user_id, Role.ADMIN)
    before = dump(ana._context.store)
    assert not post_announcement(ana._context, Leftovers(), found)
    assert dump(ana._context.store) == before
    found = plan(ana, group, Audience.STAYING)._replace(chain_id=1)
    assert not post_announcement(ana._context, Leftovers(), found)


def test_who_is_out_by_another_key_is_told_nothing(world: GroupWorld, group: GroupId) -> None:
    from e2ecross.state.context import address_key
    from e2ecross.state.trust import find_identity_record
    from tests.support.points import GOOD_KEY

    ana = world.devices[ANA]
    remove_members(ana._context, group, [TOKO.user_id])
    with ana._context.store.transaction() as tx:
        known = find_identity_record(tx, address_key(TOKO))
        assert known is not None
        changed = replace(known, identity_key=PublicKey(GOOD_KEY))
        tx.put(Table.REMOTE_IDENTITIES, address_key(TOKO), b"", changed.encode())
    announce(ana, group)
    assert told(ana) == []


def test_who_is_out_and_has_no_list_is_told_nothing(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    remove_members(ana._context, group, [TOKO.user_id])
    with ana._context.store.transaction() as tx:
        tx.clear(Table.ACCOUNTS, b"messenger\0toko-kopi")
    found = plan_group(ana._context, group, KeysAsked(), Audience.JOINING)
    key = world.member(TOKO).account_key
    assert found.needed == KeysNeeded({TOKO.user_id: None}, {TOKO.user_id: key})
    announce(ana, group, KeysAsked(users={TOKO.user_id}))  # the back end has none either
    assert told(ana) == []


def test_a_device_that_was_linked_is_told_all_groups(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    other = world.create(ANA, BUDI)
    laptop = ANA.user_id.device(2)
    put_history(ana._context, laptop)
    assert {content.group_id for _, content in told(ana) if isinstance(content, GroupCommits)} == {
        group,
        other,
    }
    assert {address for address, _ in told(ana)} == {laptop}
    with ana._context.store.transaction() as tx:
        tx.clear(Table.GROUP_COMMITS, other.value)
    ana._context.live.graphs.clear()
    put_history(ana._context, laptop)
    assert len(told(ana)) == 3  # of the damaged one nothing


def test_a_device_without_groups_is_told_nothing(world: GroupWorld, group: GroupId) -> None:
    ana, toko = world.devices[ANA], world.devices[TOKO]
    change_list(world, list_with_groups(toko, capabilities=encode_capabilities({10}), seq=2))
    remove_members(ana._context, group, [TOKO.user_id])
    announce(ana, group)
    assert told(ana) == []
