# SPDX-License-Identifier: Apache-2.0
"""Under which key a message goes, to whom, and when a new key is made."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from e2ecross import Address, Text
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.composing import draft_of
from e2ecross.device.group_changes import (
    accept_back,
    add_members,
    change_settings,
    remove_members,
    set_role,
)
from e2ecross.device.group_planning import plan_group
from e2ecross.device.group_posted import OutgoingToGroup
from e2ecross.device.group_recipients import find_recipients
from e2ecross.device.group_sending import post_into_group
from e2ecross.device.group_standing import Audience, places_before
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import BackendError, E2ECrossError, UnknownRecipient, VersionDowngrade
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.state.changes import read_changes
from e2ecross.state.context import address_key
from e2ecross.state.group_keys import drop_group_key, put_grant, put_group_key
from e2ecross.state.groups import find_group, load_graph, put_group
from e2ecross.state.trust import find_identity_record
from e2ecross.stores import Table
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.content.group_commits import CommitBytes
from e2ecross.wire.group import GroupId, GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import GroupCommit
from tests.support.accounts import change_account
from tests.support.devices import ANA, BUDI, DAY_MS, TOKO
from tests.support.group_sending import (
    add_companion,
    announce,
    change_list,
    granted,
    group_key,
    plan,
    send,
)
from tests.support.group_world import GroupWorld, list_with_groups
from tests.support.points import GOOD_KEY

CITRA = Address("messenger", "citra")


@pytest.fixture
def world() -> GroupWorld:
    return GroupWorld((ANA, BUDI, TOKO), sessions=True)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    """A group of all three, in which Ana has sent a message."""
    made = world.create(ANA, BUDI, TOKO)
    world.tell(made, ANA, BUDI, TOKO)
    send(world.devices[ANA], made)
    return made


def chain_id(world: GroupWorld, group: GroupId) -> int:
    return group_key(world.devices[ANA], group).key.chain_id


# --- A new key before the message, row by row -------------------------------------------------


def removed(world: GroupWorld, group: GroupId) -> None:
    remove_members(world.context(ANA), group, [TOKO.user_id])


def demoted(world: GroupWorld, group: GroupId) -> None:
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    plan(world.devices[ANA], group)
    set_role(world.context(ANA), group, TOKO.user_id, Role.MEMBER)


def removed_and_added_again(world: GroupWorld, group: GroupId) -> None:
    remove_members(world.context(ANA), group, [TOKO.user_id])
    assert add_members(world.context(ANA), group, [TOKO.user_id], KeysAsked()) is None


def unlinked(world: GroupWorld, group: GroupId) -> None:
    add_companion(world, world.devices[BUDI], 2)
    send(world.devices[ANA], group)
    before = world.lists[BUDI.user_id].list.seq
    change_list(world, list_with_groups(world.devices[BUDI], seq=before + 1))


def another_key_of_a_device(world: GroupWorld, group: GroupId) -> None:
    with world.context(ANA).store.transaction() as tx:
        put_grant(tx, group, TOKO, PublicKey(GOOD_KEY))


def another_account_key(world: GroupWorld, group: GroupId) -> None:
    context = world.context(ANA)
    with context.store.transaction() as tx:
        known = find_identity_record(tx, address_key(TOKO))
        assert known is not None
        changed = replace(known, identity_key=PublicKey(GOOD_KEY))
        tx.put(Table.REMOTE_IDENTITIES, address_key(TOKO), b"", changed.encode())


def use_up(world: GroupWorld, group: GroupId, messages: int) -> None:
    context, key = world.context(ANA), group_key(world.devices[ANA], group)
    chain = key.key.chain
    used = type(chain)(chain.ratchet_key_pair, chain.chain_key, messages)
    with context.store.transaction() as tx:
        put_group_key(tx, group, key.with_key(type(key.key)(key.key.chain_id, used)))


def used_up(world: GroupWorld, group: GroupId) -> None:
    use_up(world, group, 1_000)


def old(world: GroupWorld, group: GroupId) -> None:
    world.clock.advance(7 * DAY_MS)


def made_in_the_future(world: GroupWorld, group: GroupId) -> None:
    world.clock.advance(-1)


def ended(world: GroupWorld, group: GroupId) -> None:
    with world.context(ANA).store.transaction() as tx:
        drop_group_key(tx, group)


def damaged(world: GroupWorld, group: GroupId) -> None:
    with world.context(ANA).store.transaction() as tx:
        tx.put(Table.OWN_SENDER_KEYS, b"\0" + group.value, b"", b"\x01\xff")


def nobody_has_it(world: GroupWorld, group: GroupId) -> None:
    with world.context(ANA).store.transaction() as tx:
        tx.clear(Table.GROUP_GRANTS, group.value)


@pytest.mark.parametrize(
    "happens",
    [
        removed,
        demoted,
        removed_and_added_again,
        unlinked,
        another_key_of_a_device,
        another_account_key,
        used_up,
        old,
        made_in_the_future,
        ended,
        damaged,
        nobody_has_it,
    ],
)
def test_a_new_key_is_made(
    world: GroupWorld, group: GroupId, happens: Callable[[GroupWorld, GroupId], None]
) -> None:
    before = chain_id(world, group)
    happens(world, group)
    found = plan(world.devices[ANA], group)
    assert found.chain_id != before
    assert {*found.lacking} == {*found.devices}
    assert granted(world.devices[ANA], group) == set()
    assert group_key(world.devices[ANA], group).heads == world.state(group, ANA).heads


def added(world: GroupWorld, group: GroupId) -> None:
    world.join(CITRA)
    assert add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked()) is None


def promoted(world: GroupWorld, group: GroupId) -> None:
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)


def renamed(world: GroupWorld, group: GroupId) -> None:
    change_settings(world.context(ANA), group, name="Another")


def linked(world: GroupWorld, group: GroupId) -> None:
    add_companion(world, world.devices[BUDI], 2)


def one_message_is_left(world: GroupWorld, group: GroupId) -> None:
    use_up(world, group, 999)


def an_hour_passes(world: GroupWorld, group: GroupId) -> None:
    world.clock.advance(60 * 60 * 1000)


@pytest.mark.parametrize(
    "happens", [added, promoted, renamed, linked, one_message_is_left, an_hour_passes]
)
def test_the_key_stays(
    world: GroupWorld, group: GroupId, happens: Callable[[GroupWorld, GroupId], None]
) -> None:
    before = chain_id(world, group)
    happens(world, group)
    found = plan(world.devices[ANA], group)
    assert found.chain_id == before
    assert len(found.lacking) == (happens in (added, linked))


# --- Who is sent to ----------------------------------------------------------------------------


def test_who_is_out_gets_no_grant_and_no_copy(world: GroupWorld, group: GroupId) -> None:
    remove_members(world.context(ANA), group, [TOKO.user_id])
    posted = send(world.devices[ANA], group)
    assert posted.recipients == (BUDI,)
    assert granted(world.devices[ANA], group) == {BUDI}


def test_who_is_back_gets_nothing_until_he_is_confirmed(world: GroupWorld, group: GroupId) -> None:
    context = world.context(ANA)
    with context.store.transaction() as tx:
        record = find_group(tx, group)
        assert record is not None
        put_group(tx, group, replace(record, back=(world.member(TOKO),)))
    world.clock.advance(60 * 60 * 1000)
    before = chain_id(world, group)  # which he still has
    assert [*plan(world.devices[ANA], group).devices] == [BUDI]
    assert chain_id(world, group) != before
    assert send(world.devices[ANA], group).recipients == (BUDI,)
    accept_back(context, group, TOKO.user_id)
    assert {*send(world.devices[ANA], group).recipients} == {BUDI, TOKO}  # at once
    assert {*plan(world.devices[ANA], group).devices} == {BUDI, TOKO}


def test_a_device_without_groups_gets_nothing(world: GroupWorld, group: GroupId) -> None:
    toko = world.devices[TOKO]
    without = list_with_groups(toko, capabilities=encode_capabilities({10}), seq=2)
    change_list(world, without)
    assert [*plan(world.devices[ANA], group).devices] == [BUDI]
    assert granted(world.devices[ANA], group) == {BUDI, TOKO}  # from before
    for _ in range(2):
        assert send(world.devices[ANA], group).recipients == (BUDI,)


def test_an_account_that_is_not_known_is_asked_for_under_the_key_of_the_member(
    world: GroupWorld, group: GroupId
) -> None:
    context = world.context(ANA)
    with context.store.transaction() as tx:
        tx.clear(Table.ACCOUNTS, b"messenger\0toko-kopi")
        tx.clear(Table.REMOTE_IDENTITIES, address_key(TOKO))
    found = plan_group(context, group, KeysAsked())
    user = TOKO.user_id
    member = world.member(TOKO)
    assert found.needed == KeysNeeded({user: None}, {user: member.account_key})
    assert found.devices == {}
    asked = KeysAsked(users={user})
    assert plan(world.devices[ANA], group, asked=asked).problems == {TOKO: "unknown_recipient"}
    asked.refused[user] = VersionDowngrade("no")
    assert plan(world.devices[ANA], group, asked=asked).problems == {TOKO: "version_downgrade"}
    asked.differing.add(user)
    found = plan(world.devices[ANA], group, asked=asked)
    assert found.problems == {TOKO: "group_key_differs"}
    assert [*found.devices] == [BUDI]


@pytest.mark.parametrize("error", [BackendError("out of reach"), VersionDowngrade("no")])
def test_who_could_not_be_asked_for_is_not_said_to_be_unknown(
    world: GroupWorld, group: GroupId, error: E2ECrossError
) -> None:
    context, asked = world.context(ANA), KeysAsked()
    with context.store.transaction() as tx:
        tx.clear(Table.ACCOUNTS, b"messenger\0toko-kopi")
        tx.clear(Table.REMOTE_IDENTITIES, address_key(TOKO))
    needed = plan_group(context, group, asked).needed
    assert needed is not None
    asked.note_failure(needed, error)
    assert plan(world.devices[ANA], group, asked=asked).problems == {TOKO: error.code}


def test_a_list_that_is_wanted_is_asked_for_once(world: GroupWorld, group: GroupId) -> None:
    change_account(world.devices[ANA], TOKO.user_id, check_wanted=True)
    found = plan_group(world.context(ANA), group, KeysAsked())
    assert found.needed is not None
    assert [*found.needed.wanted] == [TOKO.user_id]
    asked = KeysAsked(users={TOKO.user_id})
    assert {*plan(world.devices[ANA], group, asked=asked).devices} == {BUDI, TOKO}
    own = world.context(ANA).address.user_id
    change_account(world.devices[ANA], TOKO.user_id, check_wanted=False)
    change_account(world.devices[ANA], own, check_wanted=True)
    found = plan_group(world.context(ANA), group, KeysAsked())
    assert found.needed is not None
    assert [*found.needed.wanted] == [own]


def test_whose_key_waits_for_the_user_gets_nothing(world: GroupWorld, group: GroupId) -> None:
    context = world.context(ANA)
    with context.store.transaction() as tx:
        known = find_identity_record(tx, address_key(TOKO))
        assert known is not None
        changed = replace(known, pending_key=PublicKey(GOOD_KEY))
        tx.put(Table.REMOTE_IDENTITIES, address_key(TOKO), b"", changed.encode())
    found = plan(world.devices[ANA], group)
    assert found.problems == {TOKO: "untrusted_identity"}
    assert [*found.devices] == [BUDI]


def test_a_device_without_a_session_is_asked_for(world: GroupWorld, group: GroupId) -> None:
    laptop = add_companion(world, world.devices[BUDI], 2).address
    with world.context(ANA).store.transaction() as tx:
        tx.clear(Table.SESSION_RECORDS, address_key(laptop))
    found = plan_group(world.context(ANA), group, KeysAsked())
    assert found.needed == KeysNeeded({BUDI.user_id: frozenset({2})})
    asked = KeysAsked(unreachable={laptop: UnknownRecipient("none")})
    found = plan(world.devices[ANA], group, asked=asked)
    assert found.problems == {laptop: "unknown_recipient"}
    assert found.lacking == ()


def test_the_own_account_by_another_key_gets_nothing(world: GroupWorld) -> None:
    context = world.context(ANA)
    with context.store.transaction() as tx:
        other = MemberId(ANA.user_id, world.member(BUDI).account_key)
        found = find_recipients(context, tx, [other], KeysAsked(), world.clock())
    assert found.problems == {ANA: "group_key_differs"}
    assert not found.devices


# --- Audiences ---------------------------------------------------------------------------------


def test_who_stays_and_who_joins(world: GroupWorld, group: GroupId) -> None:
    announce(world.devices[ANA], group)
    before = world.state(group, ANA).heads
    joined = world.join(CITRA)
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    staying = plan(world.devices[ANA], group, Audience.STAYING)
    assert {*staying.devices} == {BUDI, TOKO}
    assert staying.lacking == ()
    assert staying.destination.heads == before
    joining = plan(world.devices[ANA], group, Audience.JOINING)
    assert [*joining.devices] == [*joining.lacking] == [joined.address]
    assert joining.destination.heads == world.state(group, ANA).heads


def test_a_removal_is_announced_under_the_key_that_is_there(
    world: GroupWorld, group: GroupId
) -> None:
    announce(world.devices[ANA], group)
    key, before = chain_id(world, group), world.state(group, ANA).heads
    remove_members(world.context(ANA), group, [TOKO.user_id])
    staying = plan(world.devices[ANA], group, Audience.STAYING)
    assert staying.chain_id == key
    assert staying.destination.heads == before
    assert [*staying.devices] == [BUDI]
    assert staying.lacking == ()


def test_without_a_key_a_removal_is_announced_where_the_next_message_stands(
    world: GroupWorld,
) -> None:
    group = world.create(ANA, BUDI, TOKO)
    announce(world.devices[ANA], group)
    with world.context(ANA).store.transaction() as tx:
        drop_group_key(tx, group)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    staying = plan(world.devices[ANA], group, Audience.STAYING)
    assert staying.destination.heads == world.state(group, ANA).heads
    assert plan(world.devices[ANA], group).chain_id == staying.chain_id


def test_nobody_is_told_what_is_not_announced_yet(world: GroupWorld, group: GroupId) -> None:
    context = world.context(ANA)
    with context.store.transaction() as tx:
        graph = load_graph(context, tx, group)
    first = graph.nodes[0].hash
    change_settings(context, group, name="Another")
    with context.store.transaction() as tx:
        graph = load_graph(context, tx, group)
    assert places_before(graph, ()) == graph.all
    assert places_before(graph, (first,)) == 0
    assert places_before(graph, (bytes(32),)) == graph.all


def test_changes_of_accounts_are_counted(world: GroupWorld) -> None:
    context = world.context(ANA)

    def count() -> int:
        with context.store.transaction() as tx:
            return read_changes(tx)

    before = count()
    change_list(world, list_with_groups(world.devices[BUDI], seq=2))
    assert count() > before
    before = count()
    world.devices[ANA].encrypt(BUDI, Text("halo"))
    assert count() == before


def bring_crossing(world: GroupWorld, group: GroupId, numbers: range) -> None:
    """Let Ana take in commits that all come after the first one alone."""
    context, graph = world.context(ANA), world.graph(group, ANA)
    genesis, author = graph.nodes[0].hash, world.member(ANA)
    commits = [
        sign_commit(
            GroupCommit(group.value, (genesis,), author, number, (GroupSettings(f"{number}"),)),
            *(context.identity_key_pair, context.entropy),
        )
        for number in numbers
    ]
    world.bring(group, BUDI, ANA, [CommitBytes(each.data, each.signature) for each in commits])


def test_of_more_than_16_heads_the_smallest_are_named(world: GroupWorld, group: GroupId) -> None:
    context = world.context(ANA)
    bring_crossing(world, group, range(18))
    heads = world.state(group, ANA).heads
    assert len(heads) == 18
    found = plan(world.devices[ANA], group)
    assert found.destination.heads == heads[:16]
    assert {*found.devices} == {BUDI, TOKO}
    posted = send(world.devices[ANA], group)
    assert posted.destination == found.destination
    outgoing = OutgoingToGroup(group, bytes(16), is_new=True)
    draft = draft_of(Text("lagi"), in_group=True)
    names = (context, Leftovers(), outgoing, draft, None, KeysAsked())
    again = post_into_group(*names)
    assert again is not None  # without a plan: nothing has changed
    assert again.destination == found.destination


def test_a_key_that_is_newer_than_the_heads_that_are_named_is_changed(
    world: GroupWorld, group: GroupId
) -> None:
    bring_crossing(world, group, range(16))
    ended(world, group)
    send(world.devices[ANA], group)
    before, heads = chain_id(world, group), world.state(group, ANA).heads
    bring_crossing(world, group, range(16, 64))
    assert not {*heads} <= {*world.state(group, ANA).heads[:16]}
    assert plan(world.devices[ANA], group).chain_id != before
