# SPDX-License-Identifier: Apache-2.0
"""Commits that others bring: what is taken, from whom, how much of it, and what the app hears."""

import random
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address, Notice, NoticeKind, Policy, UserId
from e2ecross.device import group_taking
from e2ecross.device.collecting import HandedOver, confirm, hand_over
from e2ecross.device.group_changes import (
    accept_back,
    accept_group,
    add_members,
    change_settings,
    leave_group,
    remove_members,
    set_role,
)
from e2ecross.device.group_held import find_held
from e2ecross.device.group_taking import Taken, forget_unjoined, take_commits
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol import group_commit, group_graph
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.protocol.group_state import GroupView
from e2ecross.state.context import Context
from e2ecross.state.groups import find_state, load_graph, put_group
from e2ecross.stores import Table
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.content.group_commits import CommitBytes
from e2ecross.wire.group import GroupId, GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import AddMember, RemoveMember, SetRole, SignedGroupCommit
from e2ecross.wire.group_records import GroupDay, GroupRecord
from tests.support.devices import ANA, BUDI, DAY_MS, NOW_MS, TOKO, dump, make_device
from tests.support.group_world import GroupWorld
from tests.support.groups import Account
from tests.support.random_groups import PEOPLE, Choose, any_order, grow

CITRA: Final = Address("messenger", "citra")
NEW, CHANGED = Taken(is_known=True, is_changed=True), Taken(is_known=True, is_changed=True)
NOTHING, UNKNOWN = Taken(is_known=True), Taken()
LACKING = Taken(is_known=True, is_lacking=True)


@pytest.fixture
def world() -> GroupWorld:
    """Four accounts that know each other."""
    return GroupWorld((ANA, BUDI, TOKO, CITRA))


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    """A group of all four, of Ana's; Budi is an admin; nobody has heard anything of the rest."""
    made = world.create(ANA, BUDI, TOKO, CITRA)
    set_role(world.context(ANA), made, BUDI.user_id, Role.ADMIN)
    world.tell(made, ANA, BUDI, TOKO, CITRA)
    for address in world.devices:
        world.notices(address)
    return made


def told(world: GroupWorld, address: Address) -> list[tuple[NoticeKind, str, list[str]]]:
    """What an app hears: the kind, by whom, of whom."""
    return [
        (each.kind, each.user.user if each.user else "", [user.user for user in each.users])
        for each in world.notices(address)
    ]


def others(count: int) -> list[MemberId]:
    """Accounts without a device."""
    return [Account(f"whatsapp:user{number}").member for number in range(count)]


# --- A group that is not known ------------------------------------------------------------------


def test_a_group_begins_with_its_first_commit(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    commits = world.commits(group, ANA)
    assert world.bring(group, ANA, BUDI, commits) == NEW
    assert world.state(group, BUDI) == world.state(group, ANA)
    record = world.record(group, BUDI)
    assert record == GroupRecord(joined_at_ms=NOW_MS, heard_from=ANA.user_id, heard_at_ms=NOW_MS)
    assert told(world, BUDI) == [(NoticeKind.GROUP_JOINED, "ana", [])]
    assert told(world, ANA) == []


@pytest.mark.parametrize("first", ["none", "later", "garbage", "another"])
def test_else_it_is_not_begun(world: GroupWorld, first: str) -> None:
    group = world.create(ANA, BUDI)
    set_role(world.context(ANA), group, BUDI.user_id, Role.ADMIN)
    genesis, later = world.commits(group, ANA)
    (another,) = world.commits(world.create(ANA, BUDI), ANA)
    forged = CommitBytes(genesis.commit, bytes(64))
    commits = {
        "none": [forged],
        "later": [later, genesis],
        "garbage": [CommitBytes(b"garbage", bytes(64)), genesis],
        "another": [another, genesis],
    }
    before = dump(world.context(BUDI).store)
    assert world.bring(group, ANA, BUDI, commits[first]) == UNKNOWN
    assert dump(world.context(BUDI).store) == before


def test_a_history_comes_in_several_parts_from_anybody(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    remove_members(world.context(ANA), group, [BUDI.user_id])
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    one, two, three = world.commits(group, ANA)
    assert world.bring(group, TOKO, CITRA, [one]) == NEW
    assert world.bring(group, TOKO, CITRA, [three]) == LACKING
    record = world.record(group, CITRA)
    assert record is not None
    assert (record.joined_at_ms, record.days) == (0, ())
    assert told(world, CITRA) == []
    world.clock.advance(5)
    assert world.bring(group, BUDI, CITRA, [two, three]) == CHANGED
    record = world.record(group, CITRA)
    assert record is not None
    assert (record.joined_at_ms, record.heard_at_ms) == (NOW_MS + 5, NOW_MS)
    assert told(world, CITRA) == [(NoticeKind.GROUP_JOINED, "ana", [])]


def test_it_is_accepted_where_the_own_account_has_made_or_changed_it(world: GroupWorld) -> None:
    """As a new device of the account hears of it."""
    group = world.create(ANA, BUDI)
    set_role(world.context(ANA), group, BUDI.user_id, Role.ADMIN)
    commits = world.commits(group, ANA)
    for address in (ANA, BUDI):
        context = replace(make_device(address)._context, account_key=world.member(address)[1])
        with context.store.transaction() as tx:
            take_commits(context, tx, group, commits, world.member(address), NOW_MS)
            put = find_held(context, tx, group)
        assert put is not None
        assert put.record.accepted is (address == ANA)


def test_one_account_begins_eight_groups_that_are_not_accepted(world: GroupWorld) -> None:
    groups = [world.create(ANA, BUDI, name=str(number)) for number in range(9)]
    taken = [world.bring(each, ANA, BUDI, world.commits(each, ANA)) for each in groups]
    assert taken == [NEW] * 8 + [UNKNOWN]
    assert world.bring(groups[8], TOKO, BUDI, world.commits(groups[8], ANA)) == NEW
    more = world.create(ANA, BUDI, name="more")
    accept_group(world.context(BUDI), groups[0])
    assert world.bring(more, ANA, BUDI, world.commits(more, ANA)) == NEW


def test_no_more_than_so_many_groups_wait_to_be_accepted() -> None:
    world = GroupWorld((ANA, BUDI, TOKO), policy=Policy(pending_groups=2))
    groups = [world.create(ANA, BUDI, name=str(number)) for number in range(3)]
    taken = [world.bring(each, ANA, BUDI, world.commits(each, ANA)) for each in groups]
    assert taken == [NEW, NEW, UNKNOWN]
    assert world.bring(groups[2], TOKO, BUDI, world.commits(groups[2], ANA)) == UNKNOWN
    # But whatever the own account tells of.
    assert world.bring(groups[2], BUDI, BUDI, world.commits(groups[2], ANA)) == NEW


@pytest.mark.parametrize("ms", [DAY_MS, -1])
def test_what_the_own_account_never_was_in_is_dropped_after_a_day(
    world: GroupWorld, ms: int
) -> None:
    group, joined = world.create(ANA, BUDI), world.create(ANA, CITRA)
    world.tell(group, ANA, CITRA)
    world.tell(joined, ANA, CITRA)
    world.clock.advance(DAY_MS - 1)
    forget_unjoined(world.context(CITRA))
    assert world.record(group, CITRA) is not None
    world.clock.now_ms = NOW_MS + ms
    forget_unjoined(world.context(CITRA))
    assert world.record(group, CITRA) is None
    assert world.commits(group, CITRA) == []
    assert world.record(joined, CITRA) is not None


def test_it_begins_anew_when_it_is_heard_of_later(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    world.tell(group, ANA, CITRA)
    set_role(world.context(ANA), group, BUDI.user_id, Role.ADMIN)
    world.clock.advance(DAY_MS)
    genesis, later = world.commits(group, ANA)
    assert world.bring(group, TOKO, CITRA, [later]) == UNKNOWN
    assert world.record(group, CITRA) is None
    assert world.bring(group, TOKO, CITRA, [genesis]) == NEW
    record = world.record(group, CITRA)
    assert record is not None
    assert record.heard_from == TOKO.user_id


def test_room_is_made_by_what_is_dropped(world: GroupWorld) -> None:
    for number in range(8):
        world.tell(world.create(ANA, BUDI, name=str(number)), ANA, CITRA)
    group = world.create(ANA, CITRA)
    assert world.bring(group, ANA, CITRA, world.commits(group, ANA)) == UNKNOWN
    world.clock.advance(DAY_MS)
    assert world.bring(group, ANA, CITRA, world.commits(group, ANA)) == NEW


# --- Each commit by itself ----------------------------------------------------------------------


def test_what_is_refused_spoils_nothing_else(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    one, two, three = others(3)
    good = world.sign(graph, ANA, AddMember(one))
    also_good = world.sign(graph, BUDI, AddMember(two))
    no_right = world.sign(graph, TOKO, AddMember(three))
    forged = CommitBytes(world.sign(graph, ANA, AddMember(three)).commit, bytes(64))
    (foreign, *_) = world.commits(world.create(ANA, BUDI), ANA)
    garbage = CommitBytes(b"garbage", b"")
    low_order = CommitBytes(good.commit.replace(one.account_key, bytes(33)), bytes(64))
    batch = [garbage, good, no_right, forged, foreign, low_order, also_good]
    assert world.bring(group, ANA, TOKO, batch) == CHANGED
    members = world.state(group, TOKO).members
    assert (one in members, two in members, three in members) == (True, True, False)
    assert len(world.commits(group, TOKO)) == len(graph.nodes) + 2


def test_what_is_known_or_refused_changes_nothing(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    no_right = world.sign(graph, TOKO, AddMember(others(1)[0]))
    before = dump(world.context(TOKO).store)
    assert world.bring(group, ANA, TOKO, [*world.commits(group, ANA), no_right]) == NOTHING
    assert dump(world.context(TOKO).store) == before


def test_who_lacks_commits_is_told_so(world: GroupWorld, group: GroupId) -> None:
    set_role(world.context(ANA), group, BUDI.user_id, Role.MEMBER)
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    *_, one, two = world.commits(group, ANA)
    assert world.bring(group, ANA, CITRA, [two]) == LACKING
    assert world.bring(group, ANA, CITRA, [two, one]) == CHANGED._replace(is_lacking=True)
    assert world.bring(group, ANA, CITRA, [two]) == CHANGED
    assert world.roles(group, CITRA) == world.roles(group, ANA)


def test_a_damaged_group_takes_nothing(world: GroupWorld, group: GroupId) -> None:
    context = world.context(TOKO)
    context.live.graphs.clear()
    with context.store.transaction() as tx:
        tx.clear(Table.GROUP_COMMITS, group.value)
    with pytest.raises(RecordCorrupted):
        world.tell(group, ANA, TOKO)


# --- Who brings them ----------------------------------------------------------------------------


def test_who_is_out_brings_nothing(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    removal = world.commits(group, ANA)[-1:]
    assert world.bring(group, ANA, CITRA, removal) == CHANGED
    world.notices(CITRA)
    after = world.graph(group, ANA)
    good = world.sign(graph, ANA, AddMember(others(1)[0]))
    lacking = world.sign(after, ANA, AddMember(others(1)[0]))
    newer = CommitBytes(lacking.commit, lacking.signature)
    before = dump(world.context(CITRA).store)
    assert world.bring(group, TOKO, CITRA, [good]) == NOTHING
    add_members(world.context(ANA), group, [TOKO.user_id], KeysAsked())
    unknown = world.sign(world.graph(group, ANA), ANA, AddMember(others(1)[0]))
    assert world.bring(group, TOKO, CITRA, [unknown]) == NOTHING  # nor is he asked for the rest
    assert dump(world.context(CITRA).store) == before
    assert world.bring(group, BUDI, CITRA, [good, newer]) == CHANGED


def test_who_is_out_leaves_once_more_for_nothing(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    world.tell(group, ANA, CITRA)
    leaves = [
        world.sign(graph, TOKO, RemoveMember(world.member(TOKO)), at=[node.hash])
        for node in graph.nodes
    ]
    before = dump(world.context(CITRA).store)
    assert world.bring(group, TOKO, CITRA, leaves) == NOTHING
    assert dump(world.context(CITRA).store) == before


def test_who_is_in_after_them_may_bring_them(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    world.tell(group, ANA, BUDI)
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    world.tell(group, ANA, CITRA)
    assert world.bring(group, CITRA, BUDI, world.commits(group, CITRA)) == CHANGED
    remove_members(world.context(ANA), group, [CITRA.user_id])
    world.tell(group, ANA, CITRA)
    assert world.bring(group, CITRA, BUDI, world.commits(group, CITRA)) == CHANGED  # was in before


def test_who_is_out_himself_asks_nobody(world: GroupWorld, group: GroupId) -> None:
    leave_group(world.context(CITRA), group)
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    remove_members(world.context(ANA), group, [BUDI.user_id])
    assert world.bring(group, BUDI, CITRA, world.commits(group, ANA)) == CHANGED
    record = world.record(group, CITRA)
    assert record is not None
    assert record.days == ()
    assert told(world, CITRA) == []


# --- How many -----------------------------------------------------------------------------------


def test_commits_of_an_author_are_counted_for_a_day(world: GroupWorld, group: GroupId) -> None:
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    world.tell(group, ANA, CITRA)
    assert days(world, group) == {"ana": 1}
    world.clock.advance(DAY_MS - 1)
    world.tell(group, ANA, CITRA)
    set_role(world.context(ANA), group, TOKO.user_id, Role.MEMBER)
    world.bring(group, ANA, CITRA, [world.sign(world.graph(group, CITRA), BUDI, GroupSettings())])
    world.tell(group, ANA, CITRA)
    assert days(world, group) == {"ana": 2, "budi": 1}
    world.clock.advance(1)
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    world.tell(group, ANA, CITRA)
    assert days(world, group) == {"ana": 1, "budi": 1}


def days(world: GroupWorld, group: GroupId) -> dict[str, int]:
    """How many commits of each author Citra has counted."""
    record = world.record(group, CITRA)
    assert record is not None
    return {day.author.user: day.commits for day in record.days}


def set_day(world: GroupWorld, group: GroupId, user: UserId, commits: int) -> None:
    """Let Citra have counted so many commits of an author."""
    record = world.record(group, CITRA)
    assert record is not None
    with world.context(CITRA).store.transaction() as tx:
        put_group(tx, group, replace(record, days=(GroupDay(user, NOW_MS, commits),)))


def test_no_more_than_1024_of_one_author_are_taken_in_a_day(
    world: GroupWorld, group: GroupId
) -> None:
    set_day(world, group, ANA.user_id, 1_023)
    graph = world.graph(group, ANA)
    one, two = (world.sign(graph, ANA, GroupSettings(name)) for name in ("one", "two"))
    assert world.bring(group, ANA, CITRA, [one, two]) == CHANGED
    assert len(world.commits(group, CITRA)) == len(graph.nodes) + 1
    assert world.bring(group, ANA, CITRA, [two]) == NOTHING
    world.clock.advance(DAY_MS)
    assert world.bring(group, ANA, CITRA, [two]) == CHANGED


def test_of_who_is_out_64_are_taken_in_a_day(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    world.tell(group, ANA, CITRA)
    leaves = [
        world.sign(graph, TOKO, RemoveMember(world.member(TOKO)), at=[node.hash])
        for node in graph.nodes[-2:]
    ]
    set_day(world, group, TOKO.user_id, 63)
    assert world.bring(group, ANA, CITRA, leaves) == CHANGED  # an accomplice brings them
    assert days(world, group)["toko-kopi"] == 64
    assert world.bring(group, ANA, CITRA, leaves) == NOTHING


def test_who_is_in_by_what_comes_with_them_is_not_out(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI, CITRA)
    world.tell(group, ANA, CITRA)
    set_day(world, group, TOKO.user_id, 64)
    add_members(world.context(ANA), group, [TOKO.user_id], KeysAsked())
    leave = world.sign(world.graph(group, ANA), TOKO, RemoveMember(world.member(TOKO)))
    assert world.bring(group, ANA, CITRA, [world.commits(group, ANA)[-1], leave]) == CHANGED
    assert days(world, group) == {"toko-kopi": 65, "ana": 1}


def test_of_a_group_that_one_is_not_in_so_many_bytes_are_kept(
    world: GroupWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = world.create(ANA, BUDI)
    for number in range(3):
        change_settings(world.context(ANA), group, app_data=bytes([number]) * 100)
    *kept, over = commits = world.commits(group, ANA)
    size = sum(len(each.commit) for each in kept)
    monkeypatch.setattr(group_taking, "MAX_UNJOINED_GROUP_BYTES", size)
    assert world.bring(group, ANA, CITRA, kept[:2]) == NEW
    assert world.bring(group, ANA, CITRA, commits) == CHANGED
    assert world.commits(group, CITRA) == kept
    assert world.bring(group, ANA, CITRA, [over]) == NOTHING
    # Who is in takes more, and who is out again does not.
    assert world.bring(group, ANA, BUDI, commits) == CHANGED
    remove_members(world.context(ANA), group, [BUDI.user_id])
    world.tell(group, ANA, BUDI)
    held = world.commits(group, BUDI)
    assert held == world.commits(group, ANA)
    change_settings(world.context(ANA), group, name="Without Budi")
    assert world.bring(group, ANA, BUDI, world.commits(group, ANA)) == NOTHING
    assert world.commits(group, BUDI) == held


def test_a_full_group_is_told_once(
    world: GroupWorld, group: GroupId, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = world.graph(group, ANA)
    most = len(graph.nodes) + 1
    for module in (group_commit, group_graph):
        monkeypatch.setattr(module, "MAX_GROUP_COMMITS", most)
    one, two = (world.sign(graph, ANA, GroupSettings(name)) for name in ("one", "two"))
    assert world.bring(group, ANA, CITRA, [one, two]) == CHANGED
    assert told(world, CITRA) == [
        (NoticeKind.GROUP_FULL, "", []),
        (NoticeKind.GROUP_SETTINGS, "ana", []),
    ]
    assert world.bring(group, ANA, CITRA, [two]) == NOTHING
    record = world.record(group, CITRA)
    assert record is not None
    assert record.full


# --- Of a later version -------------------------------------------------------------------------


def of_version(world: GroupWorld, group: GroupId, version: int) -> CommitBytes:
    """A commit that only a later release can read."""
    fields = group_pb2.GroupCommit.FromString(world.commits(group, ANA)[-1].commit)
    fields.version = version
    return CommitBytes(fields.SerializeToString(deterministic=True), bytes(64))


def test_a_later_version_of_who_has_a_role_is_noted_and_told(
    world: GroupWorld, group: GroupId
) -> None:
    good = world.sign(world.graph(group, ANA), ANA, GroupSettings("new"))
    later = of_version(world, group, 2)
    assert world.bring(group, BUDI, CITRA, [later, good]) == CHANGED
    assert told(world, CITRA) == [
        (NoticeKind.GROUP_SETTINGS, "ana", []),
        (NoticeKind.GROUP_OUTDATED, "budi", []),
    ]
    record = world.record(group, CITRA)
    assert record is not None
    assert (record.outdated, record.days) == (2, (GroupDay(ANA.user_id, NOW_MS, 1),))
    assert world.bring(group, ANA, CITRA, [later]) == NOTHING
    assert told(world, CITRA) == []
    assert world.bring(group, ANA, CITRA, [of_version(world, group, 3), later]) == NOTHING
    assert told(world, CITRA) == [(NoticeKind.GROUP_OUTDATED, "ana", [])]


def test_of_others_it_is_not(world: GroupWorld, group: GroupId) -> None:
    remove_members(world.context(ANA), group, [BUDI.user_id])
    world.tell(group, ANA, CITRA)
    before = dump(world.context(CITRA).store)
    for sender in (TOKO, BUDI):  # a member without a role; a former admin
        assert world.bring(group, sender, CITRA, [of_version(world, group, 2)]) == NOTHING
    assert dump(world.context(CITRA).store) == before


# --- What the app hears -------------------------------------------------------------------------


def test_each_change_is_told_with_who_has_made_it(world: GroupWorld, group: GroupId) -> None:
    one, two = others(2)
    ana, budi = world.context(ANA), world.context(BUDI)
    graph = world.graph(group, ANA)
    batch = [
        world.sign(graph, ANA, AddMember(one), AddMember(two), GroupSettings("new")),
        world.sign(graph, BUDI, AddMember(two)),
    ]
    world.bring(group, ANA, CITRA, batch)
    assert told(world, CITRA) == [
        (NoticeKind.GROUP_ADDED, "ana", [one.user.user]),
        (NoticeKind.GROUP_ADDED, "", [two.user.user]),
        (NoticeKind.GROUP_SETTINGS, "ana", []),
    ]
    set_role(ana, group, TOKO.user_id, Role.OWNER)
    world.tell(group, ANA, CITRA, BUDI)
    (notice,) = world.notices(CITRA)
    assert notice == Notice(
        NoticeKind.GROUP_ROLE, ANA.user_id, group=group, users=(TOKO.user_id,), role=Role.OWNER
    )
    leave_group(budi, group)
    world.tell(group, BUDI, CITRA)
    assert told(world, CITRA) == [(NoticeKind.GROUP_LEFT, "budi", ["budi"])]
    leaving = world.sign(world.graph(group, ANA), ANA, RemoveMember(world.member(CITRA)))
    world.bring(group, ANA, CITRA, [leaving])
    assert told(world, CITRA) == [(NoticeKind.GROUP_OUT, "ana", [])]


def test_who_was_removed_meanwhile_was_added_by_who_did_it_last(
    world: GroupWorld, group: GroupId
) -> None:
    (one,) = others(1)
    batch = []
    for author, op in ((BUDI, AddMember(one)), (BUDI, RemoveMember(one)), (ANA, AddMember(one))):
        batch.append(world.sign(world.graph(group, ANA), author, op))
        world.bring(group, author, ANA, batch[-1:])
    world.bring(group, ANA, CITRA, batch)
    assert told(world, CITRA) == [(NoticeKind.GROUP_ADDED, "ana", [one.user.user])]


def test_who_comes_in_again_hears_that_alone(world: GroupWorld, group: GroupId) -> None:
    leave_group(world.context(CITRA), group)
    world.tell(group, CITRA, ANA)
    assert told(world, ANA) == [(NoticeKind.GROUP_LEFT, "citra", ["citra"])]
    remove_members(world.context(ANA), group, [BUDI.user_id])
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    world.tell(group, ANA, CITRA)
    assert told(world, CITRA) == [(NoticeKind.GROUP_JOINED, "ana", [])]


def test_who_is_in_with_another_key_is_told(world: GroupWorld, group: GroupId) -> None:
    other = Account(str(world.member(BUDI).user), "another key").member
    add = world.sign(world.graph(group, ANA), ANA, AddMember(other), AddMember(others(1)[0]))
    world.bring(group, ANA, CITRA, [add])
    assert told(world, CITRA) == [
        (NoticeKind.GROUP_ADDED, "ana", ["budi", "user0"]),
        (NoticeKind.GROUP_KEY_DIFFERS, "", ["budi"]),
    ]


# --- Back ---------------------------------------------------------------------------------------


@pytest.fixture
def undone(world: GroupWorld, group: GroupId) -> GroupId:
    """Budi has removed Citra, and Ana, without knowing of that, has taken Budi's role."""
    graph = world.graph(group, ANA)
    removal = world.sign(graph, BUDI, RemoveMember(world.member(CITRA)))
    lowering = world.sign(graph, ANA, SetRole(world.member(BUDI), Role.MEMBER))
    assert world.bring(group, BUDI, TOKO, [removal]) == CHANGED
    assert told(world, TOKO) == [(NoticeKind.GROUP_REMOVED, "budi", ["citra"])]
    assert world.bring(group, ANA, TOKO, [lowering]) == CHANGED
    world.bring(group, ANA, ANA, [removal, lowering])
    return group


def back(world: GroupWorld, group: GroupId) -> list[str]:
    """Who is back, at Toko's."""
    record = world.record(group, TOKO)
    assert record is not None
    return [member.user.user for member in record.back]


def test_who_is_in_because_a_removal_became_void_is_back(
    world: GroupWorld, undone: GroupId
) -> None:
    assert told(world, TOKO) == [
        (NoticeKind.GROUP_UNDONE, "ana", ["citra"]),
        (NoticeKind.GROUP_ROLE, "ana", ["budi"]),
    ]
    assert (back(world, undone), "citra" in world.roles(undone, TOKO)) == (["citra"], True)
    record = world.record(undone, ANA)
    assert record is not None
    assert record.back == ()  # she has never seen him out
    before = dump(world.context(TOKO).store)
    good = world.sign(world.graph(undone, ANA), ANA, GroupSettings("new"))
    assert world.bring(undone, CITRA, TOKO, [good]) == NOTHING  # he counts as out
    assert dump(world.context(TOKO).store) == before
    accept_back(world.context(TOKO), undone, CITRA.user_id)
    assert back(world, undone) == []
    assert world.bring(undone, CITRA, TOKO, [good]) == CHANGED


def test_a_void_act_brings_nobody_in(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    removal = world.sign(graph, BUDI, RemoveMember(world.member(CITRA)))
    lowering = world.sign(graph, ANA, SetRole(world.member(BUDI), Role.MEMBER))
    assert world.bring(group, BUDI, TOKO, [removal]) == CHANGED
    # Budi adds again whom he has removed, and has lost the power to do either.
    add = world.sign(world.graph(group, TOKO), BUDI, AddMember(world.member(CITRA)))
    assert world.bring(group, ANA, TOKO, [add, lowering]) == CHANGED
    assert (back(world, group), "citra" in world.roles(group, TOKO)) == (["citra"], True)


def test_who_goes_out_is_not_back(world: GroupWorld, undone: GroupId) -> None:
    remove_members(world.context(ANA), undone, [CITRA.user_id])
    world.tell(undone, ANA, TOKO)
    assert back(world, undone) == []


def test_who_is_added_anew_is_not_back(world: GroupWorld, undone: GroupId) -> None:
    remove_members(world.context(ANA), undone, [CITRA.user_id])
    add_members(world.context(ANA), undone, [CITRA.user_id], KeysAsked())
    world.tell(undone, ANA, TOKO)
    assert back(world, undone) == []
    assert "citra" in world.roles(undone, TOKO)


def test_the_own_account_is_never_back_to_itself(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    removal = world.sign(graph, BUDI, RemoveMember(world.member(CITRA)))
    lowering = world.sign(graph, ANA, SetRole(world.member(BUDI), Role.MEMBER))
    world.bring(group, BUDI, CITRA, [removal])
    assert told(world, CITRA) == [(NoticeKind.GROUP_OUT, "budi", [])]
    world.bring(group, ANA, CITRA, [lowering])
    assert told(world, CITRA) == [(NoticeKind.GROUP_JOINED, "ana", [])]
    record = world.record(group, CITRA)
    assert record is not None
    assert record.back == ()


def test_who_is_out_because_an_add_became_void(world: GroupWorld, group: GroupId) -> None:
    graph, (one,) = world.graph(group, ANA), others(1)
    world.bring(group, BUDI, TOKO, [world.sign(graph, BUDI, AddMember(one))])
    world.bring(group, ANA, TOKO, [world.sign(graph, ANA, RemoveMember(world.member(BUDI)))])
    assert told(world, TOKO) == [
        (NoticeKind.GROUP_ADDED, "budi", ["user0"]),
        (NoticeKind.GROUP_REMOVED, "ana", ["budi"]),
        (NoticeKind.GROUP_UNDONE, "ana", ["user0"]),
    ]


def test_who_is_in_by_an_owners_promotion_is_not_back(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    removal = world.sign(graph, BUDI, RemoveMember(world.member(CITRA)))
    promotion = world.sign(graph, ANA, SetRole(world.member(CITRA), Role.ADMIN))
    world.bring(group, BUDI, TOKO, [removal])
    world.bring(group, ANA, TOKO, [promotion])
    assert told(world, TOKO) == [
        (NoticeKind.GROUP_REMOVED, "budi", ["citra"]),
        (NoticeKind.GROUP_ADDED, "ana", ["citra"]),
        (NoticeKind.GROUP_ROLE, "ana", ["citra"]),
    ]
    assert back(world, group) == []


# --- Whatever comes, in whatever order ----------------------------------------------------------

_PAIRS = {account.member: account for account in map(Account, (str(one.user) for one in PEOPLE))}


def _signed(commit: SignedGroupCommit) -> CommitBytes:
    account = _PAIRS[commit.commit.author]
    signed = sign_commit(commit.commit, account.pair, account.entropy)
    return CommitBytes(signed.data, signed.signature)


def _at(member: MemberId) -> Context:
    """A new device of somebody of whom no device is."""
    address = Address(member.user.app, member.user.user, 1)
    return replace(make_device(address)._context, account_key=member.account_key)


def _choosing(data: st.DataObject) -> Choose:
    return lambda below: data.draw(st.integers(0, below - 1))


@given(data=st.data())
def test_any_order_in_any_parts_gives_the_state_of_all(data: st.DataObject) -> None:
    choose = _choosing(data)
    graph, _ = grow(choose, 8)
    stranger = Account("messenger:nobody").member
    context = _at(stranger)
    waiting = [_signed(each) for each in any_order(graph, choose)]
    while waiting:
        count = 1 + choose(len(waiting))
        part, waiting = waiting[:count], waiting[count:]
        with context.store.transaction() as tx:
            taken = take_commits(context, tx, graph.group_id, part, PEOPLE[0], NOW_MS)
            assert taken == CHANGED
    view = GroupView(graph, graph.all)
    with context.store.transaction() as tx:
        state, held = find_state(tx, graph.group_id), load_graph(context, tx, graph.group_id)
    assert state == view.state()
    assert list(state.members) == list(view.state().members)
    context.live.graphs.clear()
    with context.store.transaction() as tx:
        assert load_graph(context, tx, graph.group_id).places == held.places


@pytest.mark.parametrize("seed", range(60))
def test_notices_are_the_difference(seed: int) -> None:
    choose = random.Random(seed).randrange
    graph, _ = grow(choose, 10)
    own = PEOPLE[1]
    context = _at(own)
    roles: dict[UserId, Role] = {}
    settings = GroupSettings()
    waiting = [_signed(each) for each in any_order(graph, choose)]
    while waiting:
        count = 1 + choose(len(waiting))
        part, waiting = waiting[:count], waiting[count:]
        with context.store.transaction() as tx:
            take_commits(context, tx, graph.group_id, part, own, NOW_MS)
            state = find_state(tx, graph.group_id)
        assert state is not None
        after = {member.user: role for member, role in state.members.items()}
        heard = _hear(context)
        kinds = {notice.kind for notice in heard}
        was_in, is_in = own.user in roles, own.user in after
        if was_in and is_in:
            assert _applied(roles, heard) == after
            assert (NoticeKind.GROUP_SETTINGS in kinds) is (settings != state.settings)
        else:
            came, went = {NoticeKind.GROUP_JOINED}, {NoticeKind.GROUP_OUT}
            assert kinds == (came if is_in else went if was_in else set())
        roles, settings = after, state.settings


def _hear(context: Context) -> list[Notice]:
    """What the app hears, which confirms it."""
    items = hand_over(context, HandedOver(), 1_000)
    confirm(context, Leftovers(), items)
    return [item for item in items if isinstance(item, Notice)]


def _applied(roles: dict[UserId, Role], notices: list[Notice]) -> dict[UserId, Role]:
    """What notices make of who was in."""
    found = dict(roles)
    for notice in notices:
        for user in notice.users:
            match notice.kind:
                case NoticeKind.GROUP_ADDED:
                    assert user not in found
                    found[user] = Role.MEMBER
                case NoticeKind.GROUP_REMOVED | NoticeKind.GROUP_LEFT:
                    del found[user]
                case NoticeKind.GROUP_UNDONE:
                    if found.pop(user, None) is None:
                        found[user] = Role.MEMBER
                case NoticeKind.GROUP_ROLE:
                    assert notice.role is not None
                    assert found[user] is not notice.role
                    found[user] = notice.role
    return found
