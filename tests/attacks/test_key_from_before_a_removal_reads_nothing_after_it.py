# SPDX-License-Identifier: Apache-2.0
"""Who knows of a removal and has not changed his sender key is refused by all who know of it.

The attacker: a member's client that keeps its key, so that who was removed reads on; and a former
member, who names a state from before.
"""

import itertools

import pytest

from e2ecross.crypto.group_kdf import hash_commit
from e2ecross.device.group_changes import add_members, remove_members, set_role
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import NotAllowedInGroup, StaleSenderKey, UnknownGroupState
from e2ecross.wire.group import GroupSettings, Role
from e2ecross.wire.group_commit import RemoveMember
from e2ecross.wire.limits import MAX_PARENTS
from tests.attacks.support_members import assert_refused, gather_members, shown
from tests.support.devices import ANA, BUDI, TOKO
from tests.support.group_sending import granted, group_key, send
from tests.support.group_speaker import Speaker


@pytest.mark.parametrize(
    ("sender_knows", "receiver_knows"), list(itertools.product((False, True), repeat=2))
)
@pytest.mark.parametrize("is_before", [False, True])
def test_all_orders_of_removal_and_message(
    *, sender_knows: bool, receiver_knows: bool, is_before: bool
) -> None:
    """Budi sends under a key from before Toko's removal by Ana."""
    world, group = gather_members()
    budi = Speaker(world, group, BUDI)
    budi.give(ANA, TOKO)
    early = budi.write(ANA, "early")
    remove_members(world.context(ANA), group, [TOKO.user_id])
    receiver = ANA
    if not receiver_knows:  # as it is at another member who has not heard of it
        world, group = gather_members()
        budi = Speaker(world, group, BUDI)
        budi.give(ANA, TOKO)
        early = budi.write(TOKO, "early")
        remove_members(world.context(ANA), group, [TOKO.user_id])
        receiver = TOKO
    if sender_knows:
        world.tell(group, ANA, BUDI)
    if is_before:
        assert shown(world, receiver, early) == ["early"]
        return
    late = budi.write(receiver, "late")
    if not sender_knows:  # he names the state from before
        assert shown(world, receiver, late) == ["late"]
    elif receiver_knows:
        assert_refused(world, receiver, late, StaleSenderKey)
    else:
        assert_refused(world, receiver, late, UnknownGroupState)


def test_who_loses_power_ends_keys_too() -> None:
    world, group = gather_members()
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    world.tell(group, ANA, BUDI, TOKO)
    budi = Speaker(world, group, BUDI)
    budi.give(ANA)
    set_role(world.context(ANA), group, TOKO.user_id, Role.MEMBER)
    world.tell(group, ANA, BUDI)
    assert_refused(world, ANA, budi.write(ANA), StaleSenderKey)


def test_who_was_removed_and_came_back_has_lost_it_in_between() -> None:
    world, group = gather_members()
    budi = Speaker(world, group, BUDI)
    budi.give(ANA)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    add_members(world.context(ANA), group, [TOKO.user_id], KeysAsked())
    world.tell(group, ANA, BUDI)
    assert_refused(world, ANA, budi.write(ANA), StaleSenderKey)


def test_a_former_member_who_names_a_state_from_before_is_refused() -> None:
    world, group = gather_members()
    toko = Speaker(world, group, TOKO)
    toko.give(ANA)
    old = world.state(group, TOKO).heads
    remove_members(world.context(ANA), group, [TOKO.user_id])
    assert_refused(world, ANA, toko.write(ANA, heads=old), NotAllowedInGroup)


@pytest.mark.parametrize("minutes", [0, 61])
def test_a_removal_beside_as_many_heads_as_a_message_names(minutes: int) -> None:
    """An accomplice keeps the removal out of what messages name: he crosses it with others."""
    world, group = gather_members()
    ana = world.devices[ANA]
    set_role(world.context(ANA), group, BUDI.user_id, Role.ADMIN)
    world.tell(group, ANA, BUDI, TOKO)
    graph = world.graph(group, ANA)
    removal = world.sign(graph, ANA, RemoveMember(world.member(TOKO)))
    tried = [world.sign(graph, BUDI, GroupSettings(str(each))) for each in range(400)]
    smaller = [each for each in tried if hash_commit(each.commit) < hash_commit(removal.commit)]
    assert len(smaller) >= MAX_PARENTS
    world.bring(group, BUDI, ANA, smaller[:MAX_PARENTS])
    assert {*send(ana, group).recipients} == {BUDI, TOKO}
    key = group_key(ana, group).key.chain_id
    world.bring(group, BUDI, ANA, [removal])
    assert len(world.state(group, ANA).heads) > MAX_PARENTS
    world.clock.advance(minutes * 60_000)
    posted = send(ana, group)
    named = posted.destination
    assert named is not None
    assert hash_commit(removal.commit) not in named.heads
    assert posted.recipients == (BUDI,)
    assert granted(ana, group) == {BUDI}
    assert group_key(ana, group).key.chain_id != key
