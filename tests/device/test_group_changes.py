# SPDX-License-Identifier: Apache-2.0
"""What the user does to groups: each change, who may make it, and all that is refused before."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any, Final, cast

import pytest

from e2ecross import Address, NoticeKind, UserId
from e2ecross.crypto.group_kdf import hash_commit
from e2ecross.device import group_changes
from e2ecross.device.group_changes import (
    accept_back,
    accept_group,
    add_members,
    change_settings,
    create_group,
    forget_group,
    leave_group,
    remove_members,
    set_role,
    step_down,
)
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import (
    BackendError,
    GroupRefused,
    GroupsUnsupported,
    InvalidArgument,
    NotInGroup,
    NotPrimary,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.protocol import group_commit, group_graph
from e2ecross.state.accounts import NOTHING_KNOWN, put_account
from e2ecross.state.context import Context, address_key
from e2ecross.state.group_keys import find_group_key
from e2ecross.state.groups import put_group
from e2ecross.state.sender_keys import find_group_of
from e2ecross.state.trust import find_identity_record, put_listed_identity
from e2ecross.stores import Table
from e2ecross.stores.base import Transaction
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.group import GroupId, GroupSettings, Role
from e2ecross.wire.group_commit import AddMember, RemoveMember
from tests.support.accounts import change_account, device_of
from tests.support.device_lists import Household
from tests.support.devices import ANA, BUDI, TOKO, dump, make_device
from tests.support.group_sending import deliver, granted, group_key, send
from tests.support.group_world import GroupWorld
from tests.support.groups import Account

CITRA: Final = Address("messenger", "citra")
TRIP: Final = GroupSettings("Trip")
OWNER, ADMIN, MEMBER = Role.OWNER, Role.ADMIN, Role.MEMBER
UNKNOWN: Final = GroupId(bytes(32))


@pytest.fixture
def world() -> GroupWorld:
    """Four accounts that know each other."""
    return GroupWorld((ANA, BUDI, TOKO, CITRA))


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    """Ana's group: Budi is an admin, Toko a member. Citra is not in it."""
    made = world.create(ANA, BUDI, TOKO)
    set_role(world.context(ANA), made, BUDI.user_id, ADMIN)
    world.tell(made, ANA, BUDI, TOKO)
    return made


def roles(world: GroupWorld, group: GroupId, address: Address = ANA) -> dict[str, int]:
    """Who is in, with which role."""
    return world.roles(group, address)


def put_key(world: GroupWorld, address: Address, **changes: object) -> None:
    """Write something of what Ana knows of the key of an account."""
    place = address_key(address)
    with world.context(ANA).store.transaction() as tx:
        known = find_identity_record(tx, place)
        assert known is not None
        record = replace(known, **changes)  # type: ignore[arg-type]
        tx.put(Table.REMOTE_IDENTITIES, place, b"", record.encode())


def refused(
    world: GroupWorld, address: Address, error: type[Exception], act: Callable[..., Any]
) -> None:
    """An act fails, and nothing has changed."""
    before = dump(world.context(address).store)
    with pytest.raises(error):
        act(world.context(address))
    assert dump(world.context(address).store) == before


# --- Creating -----------------------------------------------------------------------------------


def test_a_group_has_its_owner_the_others_and_its_settings(world: GroupWorld) -> None:
    settings = GroupSettings("Trip", b"data", only_admins_send=True)
    users = [BUDI.user_id, TOKO.user_id, BUDI.user_id]
    group = create_group(world.context(ANA), users, settings, KeysAsked())
    assert isinstance(group, GroupId)
    assert roles(world, group) == {"ana": OWNER, "budi": MEMBER, "toko-kopi": MEMBER}
    assert world.state(group, ANA).settings == settings
    record = world.record(group, ANA)
    assert record is not None
    assert record.accepted
    assert record.joined_at_ms == world.clock()
    assert (record.unannounced, record.heard_from) == (world.state(group, ANA).heads, None)
    assert world.notices(ANA) == []


def test_two_groups_of_the_same_people_are_two(world: GroupWorld) -> None:
    assert world.create(ANA, BUDI) != world.create(ANA, BUDI)


def test_a_group_may_be_of_nobody_else(world: GroupWorld) -> None:
    assert roles(world, world.create(ANA)) == {"ana": OWNER}


def test_the_first_commit_holds_62_others_and_each_further_one_64(world: GroupWorld) -> None:
    users = [UserId("whatsapp", f"user{number}") for number in range(127)]
    with world.context(ANA).store.transaction() as tx:
        _pin(tx, users)
    group = create_group(world.context(ANA), users, TRIP, KeysAsked())
    assert isinstance(group, GroupId)
    nodes = world.graph(group, ANA).nodes
    assert [len(each.signed.commit.ops) for each in nodes] == [64, 64, 1]
    record = world.record(group, ANA)
    assert record is not None
    assert record.unannounced == tuple(each.hash for each in nodes)
    assert len(roles(world, group)) == 128


def _pin(tx: Transaction, users: list[UserId]) -> None:
    """Let a device hold lists of accounts without devices of their own."""
    for user in users:
        home = Household(user)
        home.move_in(1, capabilities=encode_capabilities({10, 35}))
        put_account(tx, user, replace(NOTHING_KNOWN, held=home.sign(1)))
        put_listed_identity(tx, user.device(1), home.pair(1).public, 0)


def test_no_more_than_1023_others(world: GroupWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_changes, "MAX_GROUP_MEMBERS", 3)
    users = [each.user_id for each in (BUDI, TOKO, CITRA)]
    refused(world, ANA, InvalidArgument, lambda c: create_group(c, users, TRIP, KeysAsked()))
    group = world.create(ANA, BUDI, TOKO)
    refused(world, ANA, InvalidArgument, lambda c: add_members(c, group, users, KeysAsked()))
    unknown = [UserId("whatsapp", f"eko-{number}") for number in range(3)]  # nor asked for
    refused(world, ANA, InvalidArgument, lambda c: create_group(c, unknown, TRIP, KeysAsked()))
    refused(world, ANA, InvalidArgument, lambda c: add_members(c, group, unknown[:1], KeysAsked()))


@pytest.fixture(params=["create", "add"])
def invite(request: pytest.FixtureRequest, world: GroupWorld, group: GroupId) -> Callable[..., Any]:
    """Both ways to bring accounts into a group."""

    def call(context: Context, *users: UserId, asked: KeysAsked | None = None) -> object:
        asked = asked or KeysAsked()
        if request.param == "create":
            return create_group(context, users, TRIP, asked)
        return add_members(context, group, users, asked)

    return call


def test_an_account_that_is_not_known_is_asked_for_first(
    world: GroupWorld, invite: Callable[..., Any]
) -> None:
    eko, fia = UserId("whatsapp", "eko"), UserId("whatsapp", "fia")
    context = world.context(ANA)
    before = dump(context.store)
    assert invite(context, eko, CITRA.user_id, fia) == KeysNeeded({eko: None, fia: None})
    assert dump(context.store) == before
    asked = KeysAsked(users={eko, fia})
    refused(world, ANA, UnknownRecipient, lambda c: invite(c, eko, asked=asked))
    why = BackendError("out of order")
    asked = KeysAsked(users={eko}, refused={eko: why})
    refused(world, ANA, BackendError, lambda c: invite(c, eko, asked=asked))
    asked = KeysAsked(users={eko}, unreachable={eko.device(1): why})
    with pytest.raises(BackendError, match="out of order"):  # not that it is not registered
        invite(context, eko, asked=asked)


@pytest.mark.parametrize("what", ["no list", "no such device"])
def test_an_account_that_takes_no_part_is_asked_for_once_more(
    world: GroupWorld, invite: Callable[..., Any], what: str
) -> None:
    context = world.context(ANA)
    home = Household(CITRA.user_id)
    home.move_in(1, world.context(CITRA).identity_key_pair, encode_capabilities({10}))
    held = home.sign(1, signed_at_ms=world.clock()) if what == "no such device" else None
    change_account(world.devices[ANA], CITRA.user_id, held=held)
    user = CITRA.user_id
    assert invite(context, user) == KeysNeeded({user: None})
    with pytest.raises(GroupsUnsupported, match="messenger:citra") as caught:
        invite(context, user, BUDI.user_id, asked=KeysAsked(users={user}))
    assert caught.value.users == (user,)


def test_one_device_that_takes_part_is_enough(
    world: GroupWorld, invite: Callable[..., Any]
) -> None:
    home = Household(CITRA.user_id)
    home.move_in(1, world.context(CITRA).identity_key_pair, encode_capabilities({10}))
    home.move_in(2, capabilities=encode_capabilities({10, 35}))
    signed = home.sign(2, devices=(1, 2), signed_at_ms=world.clock())
    change_account(world.devices[ANA], CITRA.user_id, held=signed)
    assert not isinstance(invite(world.context(ANA), CITRA.user_id), KeysNeeded)


def test_a_changed_key_is_to_be_decided_about_first(
    world: GroupWorld, invite: Callable[..., Any]
) -> None:
    other = Account("messenger:citra").member.account_key
    put_key(world, CITRA, pending_key=other)
    refused(world, ANA, UntrustedIdentity, lambda c: invite(c, CITRA.user_id))


def test_the_own_account_is_no_other(world: GroupWorld, invite: Callable[..., Any]) -> None:
    refused(world, ANA, InvalidArgument, lambda c: invite(c, ANA.user_id))


# --- Adding and removing ------------------------------------------------------------------------


def test_who_has_a_role_adds(world: GroupWorld, group: GroupId) -> None:
    assert add_members(world.context(BUDI), group, [CITRA.user_id], KeysAsked()) is None
    assert roles(world, group, BUDI)["citra"] == MEMBER
    record = world.record(group, BUDI)
    assert record is not None
    assert (record.accepted, len(record.unannounced)) == (True, 1)
    refused(
        world, TOKO, GroupRefused, lambda c: add_members(c, group, [CITRA.user_id], KeysAsked())
    )


def test_who_is_in_already_stays_as_he_is(world: GroupWorld, group: GroupId) -> None:
    before = dump(world.context(ANA).store)
    add_members(world.context(ANA), group, [BUDI.user_id], KeysAsked())
    assert dump(world.context(ANA).store) == before


def test_who_has_another_key_now_is_added_and_the_old_one_goes(
    world: GroupWorld, group: GroupId
) -> None:
    """A new phone without a backup: 7.9."""
    other = Account("messenger:toko-kopi").member
    put_key(world, TOKO, identity_key=other.account_key)
    add_members(world.context(ANA), group, [TOKO.user_id], KeysAsked())
    members = world.state(group, ANA).members
    assert (other in members, world.member(TOKO) in members) == (True, False)
    assert world.graph(group, ANA).nodes[-1].signed.commit.ops == (
        AddMember(other),
        RemoveMember(world.member(TOKO)),
    )


def test_the_old_key_of_who_has_as_much_power_stays(world: GroupWorld, group: GroupId) -> None:
    set_role(world.context(ANA), group, BUDI.user_id, OWNER)
    other = Account("instagram:budi").member
    put_key(world, BUDI, identity_key=other.account_key)
    add_members(world.context(ANA), group, [BUDI.user_id], KeysAsked())
    members = world.state(group, ANA).members
    assert (members[other], members[world.member(BUDI)]) == (MEMBER, OWNER)


def test_an_old_key_that_stays_counts_as_one_more_member(
    world: GroupWorld, group: GroupId, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_role(world.context(ANA), group, BUDI.user_id, OWNER)
    put_key(world, BUDI, identity_key=Account("instagram:budi").member.account_key)
    put_key(world, TOKO, identity_key=Account("messenger:toko-kopi").member.account_key)
    monkeypatch.setattr(group_changes, "MAX_GROUP_MEMBERS", 3)

    def add(user: UserId, context: Context) -> object:
        return add_members(context, group, [user], KeysAsked())

    refused(world, ANA, InvalidArgument, lambda c: add(BUDI.user_id, c))
    add(TOKO.user_id, world.context(ANA))  # whose old key goes
    assert len(world.state(group, ANA).members) == 3


def test_removals_take_all_keys_of_an_account(world: GroupWorld, group: GroupId) -> None:
    other = Account("messenger:toko-kopi").member
    world.bring(group, ANA, ANA, [world.sign(world.graph(group, ANA), ANA, AddMember(other))])
    remove_members(world.context(ANA), group, [TOKO.user_id, TOKO.user_id])
    assert roles(world, group) == {"ana": OWNER, "budi": ADMIN}


def test_only_who_is_above_removes(world: GroupWorld, group: GroupId) -> None:
    def remove(*who: Address) -> Callable[[Context], None]:
        return lambda context: remove_members(context, group, [each.user_id for each in who])

    refused(world, TOKO, GroupRefused, remove(BUDI))
    refused(world, BUDI, GroupRefused, remove(TOKO, ANA))
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    set_role(world.context(ANA), group, CITRA.user_id, ADMIN)
    world.tell(group, ANA, BUDI)
    refused(world, BUDI, GroupRefused, remove(CITRA))
    set_role(world.context(ANA), group, BUDI.user_id, OWNER)
    refused(world, ANA, GroupRefused, remove(BUDI))
    remove_members(world.context(BUDI), group, [TOKO.user_id])
    assert "toko-kopi" not in roles(world, group, BUDI)


def test_who_is_not_in_is_not_removed(world: GroupWorld, group: GroupId) -> None:
    refused(world, ANA, InvalidArgument, lambda c: remove_members(c, group, [CITRA.user_id]))
    refused(world, ANA, InvalidArgument, lambda c: remove_members(c, group, [ANA.user_id]))


# --- Roles --------------------------------------------------------------------------------------


def test_owners_give_roles_to_all_but_owners(world: GroupWorld, group: GroupId) -> None:
    for role in (OWNER, ADMIN, MEMBER):
        refused(world, BUDI, GroupRefused, lambda c, r=role: set_role(c, group, TOKO.user_id, r))
    set_role(world.context(ANA), group, TOKO.user_id, ADMIN)
    set_role(world.context(ANA), group, BUDI.user_id, MEMBER)
    set_role(world.context(ANA), group, BUDI.user_id, OWNER)
    assert roles(world, group) == {"ana": OWNER, "budi": OWNER, "toko-kopi": ADMIN}
    refused(world, ANA, GroupRefused, lambda c: set_role(c, group, BUDI.user_id, ADMIN))
    before = dump(world.context(ANA).store)
    set_role(world.context(ANA), group, BUDI.user_id, OWNER)  # he has it
    assert dump(world.context(ANA).store) == before


def test_members_stand_in_the_order_in_which_they_came_whatever_role_they_had(
    world: GroupWorld, group: GroupId
) -> None:
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    set_role(world.context(ANA), group, TOKO.user_id, ADMIN)
    set_role(world.context(ANA), group, TOKO.user_id, MEMBER)
    assert [*roles(world, group)] == ["ana", "budi", "toko-kopi", "citra"]


def test_nobody_else_and_nothing_else(world: GroupWorld, group: GroupId) -> None:
    refused(world, ANA, InvalidArgument, lambda c: set_role(c, group, CITRA.user_id, ADMIN))
    refused(world, ANA, InvalidArgument, lambda c: set_role(c, group, ANA.user_id, ADMIN))
    refused(
        world, ANA, InvalidArgument, lambda c: set_role(c, group, BUDI.user_id, cast("Role", 2))
    )


def test_power_is_given_to_the_accepted_key_and_taken_from_all(
    world: GroupWorld, group: GroupId
) -> None:
    other = Account("instagram:budi").member
    put_key(world, BUDI, identity_key=other.account_key)
    refused(world, ANA, InvalidArgument, lambda c: set_role(c, group, BUDI.user_id, OWNER))
    world.bring(group, ANA, ANA, [world.sign(world.graph(group, ANA), ANA, AddMember(other))])
    set_role(world.context(ANA), group, BUDI.user_id, OWNER)
    members = world.state(group, ANA).members
    assert (members[other], members[world.member(BUDI)]) == (OWNER, ADMIN)
    put_key(world, BUDI, identity_key=world.member(BUDI).account_key)
    refused(world, ANA, GroupRefused, lambda c: set_role(c, group, BUDI.user_id, MEMBER))


def test_the_last_owner_stays_while_others_are_in(world: GroupWorld, group: GroupId) -> None:
    refused(world, ANA, InvalidArgument, lambda c: step_down(c, group, ADMIN))
    refused(world, ANA, InvalidArgument, lambda c: leave_group(c, group))
    set_role(world.context(ANA), group, BUDI.user_id, OWNER)
    step_down(world.context(ANA), group, ADMIN)
    for role in (OWNER, ADMIN):
        refused(world, ANA, InvalidArgument, lambda c, r=role: step_down(c, group, r))
    refused(world, ANA, InvalidArgument, lambda c: step_down(c, group, cast("Role", 3)))
    with pytest.raises(InvalidArgument, match=r"^role "):
        step_down(world.context(ANA), group, cast("Role", 3))
    step_down(world.context(ANA), group, MEMBER)
    leave_group(world.context(ANA), group)
    assert roles(world, group) == {"budi": OWNER, "toko-kopi": MEMBER}


def test_who_is_alone_leaves(world: GroupWorld) -> None:
    group = world.create(ANA)
    leave_group(world.context(ANA), group)
    assert roles(world, group) == {}
    assert world.notices(ANA) == []


# --- Settings -----------------------------------------------------------------------------------


def test_each_setting_changes_alone(world: GroupWorld, group: GroupId) -> None:
    ana = world.context(ANA)
    change_settings(ana, group, name="new")
    change_settings(ana, group, app_data=b"data")
    change_settings(ana, group, only_admins_send=True)
    assert world.state(group, ANA).settings == GroupSettings("new", b"data", True)
    before = dump(ana.store)
    change_settings(ana, group, name="new", app_data=b"data", only_admins_send=True)
    change_settings(ana, group)
    assert dump(ana.store) == before
    refused(world, ANA, InvalidArgument, lambda c: change_settings(c, group, name="a" * 257))
    refused(world, TOKO, GroupRefused, lambda c: change_settings(c, group, name="new"))
    for field in ("name", "app_data", "only_admins_send"):
        wrong = cast("dict[str, str]", {field: None})
        refused(world, ANA, InvalidArgument, lambda c, w=wrong: change_settings(c, group, **w))


# --- Where nothing can be changed ---------------------------------------------------------------

CHANGES: Final[tuple[Callable[[Context, GroupId], Any], ...]] = (
    lambda context, group: add_members(context, group, [CITRA.user_id], KeysAsked()),
    lambda context, group: remove_members(context, group, [TOKO.user_id]),
    lambda context, group: set_role(context, group, TOKO.user_id, ADMIN),
    lambda context, group: step_down(context, group, MEMBER),
    leave_group,
    lambda context, group: change_settings(context, group, name="new"),
)


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_changed_where_it_cannot_be(
    world: GroupWorld, group: GroupId, change: Callable[[Context, GroupId], Any]
) -> None:
    refused(world, ANA, NotInGroup, lambda c: change(c, UNKNOWN))
    refused(world, CITRA, NotInGroup, lambda c: change(c, group))
    record = world.record(group, ANA)
    assert record is not None
    for other in (replace(record, outdated=2), replace(record, full=True)):
        with world.context(ANA).store.transaction() as tx:
            put_group(tx, group, other)
        refused(world, ANA, GroupRefused, lambda c: change(c, group))
    with world.context(ANA).store.transaction() as tx:
        put_group(tx, group, replace(record, outdated=1))  # read by this release
    change_settings(world.context(ANA), group, name="new")


@pytest.mark.parametrize("change", [*CHANGES, lambda c, _: create_group(c, [], TRIP, KeysAsked())])
def test_only_device_1_changes_groups(
    world: GroupWorld, group: GroupId, change: Callable[[Context, GroupId], Any]
) -> None:
    laptop = make_device(device_of(ANA, 2), clock=world.clock)._context
    laptop = replace(laptop, account_key=world.member(ANA).account_key)
    with pytest.raises(NotPrimary):
        change(laptop, group)


def test_what_others_would_refuse_is_not_signed(
    world: GroupWorld, group: GroupId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_GROUP_COMMITS", len(world.graph(group, ANA).nodes))
    refused(world, ANA, GroupRefused, lambda c: change_settings(c, group, name="new"))


def test_the_commit_that_fills_a_group_says_so(
    world: GroupWorld, group: GroupId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_graph, "MAX_GROUP_COMMITS", len(world.graph(group, ANA).nodes) + 1)
    change_settings(world.context(ANA), group, name="new")
    (notice,) = world.notices(ANA)
    assert (notice.kind, notice.user, notice.group) == (NoticeKind.GROUP_FULL, None, group)
    refused(world, ANA, GroupRefused, lambda c: change_settings(c, group, name="newer"))


def test_of_many_heads_those_that_remove_who_is_added_are_named_first(
    world: GroupWorld, group: GroupId
) -> None:
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    world.tell(group, ANA, BUDI)
    graph = world.graph(group, ANA)
    removal = world.sign(graph, BUDI, RemoveMember(world.member(CITRA)))
    names = map(str, range(10_000))
    others = (world.sign(graph, BUDI, GroupSettings(name)) for name in names)
    smaller = (each for each in others if hash_commit(each.commit) < hash_commit(removal.commit))
    crossing = list(islice(smaller, 20))
    world.bring(group, BUDI, ANA, [*crossing, removal])
    assert len(world.state(group, ANA).heads) == 21
    add_members(world.context(ANA), group, [CITRA.user_id], KeysAsked())
    heads, named = _last(world, group)
    removed = hash_commit(removal.commit)
    assert named == tuple(sorted([removed, *[head for head in heads if head != removed][:15]]))
    assert roles(world, group)["citra"] == MEMBER
    assert len(world.state(group, ANA).heads) == 6


def test_else_the_smallest(world: GroupWorld, group: GroupId) -> None:
    graph = world.graph(group, ANA)
    crossing = [world.sign(graph, BUDI, GroupSettings(str(number))) for number in range(17)]
    world.bring(group, BUDI, ANA, crossing)
    change_settings(world.context(ANA), group, name="new")
    heads, named = _last(world, group)
    assert (len(heads), named) == (17, heads[:16])


def _last(world: GroupWorld, group: GroupId) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The heads before the last commit, and those that it names."""
    graph = world.graph(group, ANA)
    places = graph.all & ~(1 << graph.nodes[-1].place)
    return graph.heads_of(places), graph.nodes[-1].signed.commit.parents


# --- For this device alone ----------------------------------------------------------------------


def test_a_group_is_accepted(world: GroupWorld, group: GroupId) -> None:
    accept_group(world.context(TOKO), group)
    record = world.record(group, TOKO)
    assert record is not None
    assert record.accepted
    refused(world, TOKO, NotInGroup, lambda c: accept_group(c, UNKNOWN))
    leave_group(world.context(BUDI), group)
    accept_group(world.context(BUDI), group)  # it is over
    record = world.record(group, BUDI)
    assert record is not None
    assert not record.accepted


def test_who_is_back_is_confirmed_and_not_added(world: GroupWorld, group: GroupId) -> None:
    record = world.record(group, ANA)
    assert record is not None
    back = replace(record, back=(world.member(BUDI), world.member(TOKO)))
    with world.context(ANA).store.transaction() as tx:
        put_group(tx, group, back)
    refused(
        world, ANA, InvalidArgument, lambda c: add_members(c, group, [BUDI.user_id], KeysAsked())
    )
    refused(world, ANA, InvalidArgument, lambda c: accept_back(c, group, CITRA.user_id))
    accept_back(world.context(ANA), group, BUDI.user_id)
    assert world.record(group, ANA) == replace(record, back=(world.member(TOKO),))
    refused(world, CITRA, NotInGroup, lambda c: accept_back(c, group, BUDI.user_id))


def test_a_group_is_forgotten_once_the_own_account_is_out(
    world: GroupWorld, group: GroupId
) -> None:
    refused(world, TOKO, GroupRefused, lambda c: forget_group(c, group))
    refused(world, TOKO, NotInGroup, lambda c: forget_group(c, UNKNOWN))
    leave_group(world.context(TOKO), group)
    refused(world, TOKO, GroupRefused, lambda c: forget_group(c, group))  # nobody would hear of it
    record = world.record(group, TOKO)
    assert record is not None
    with world.context(TOKO).store.transaction() as tx:
        put_group(tx, group, replace(record, unannounced=()))
    forget_group(world.context(TOKO), group)
    assert world.record(group, TOKO) is None
    tables = (Table.GROUPS, Table.GROUP_COMMITS)
    assert not any(where[0] in tables for where in dump(world.context(TOKO).store))


def test_a_group_that_only_a_later_release_can_tell_is_forgotten(
    world: GroupWorld, group: GroupId
) -> None:
    leave_group(world.context(TOKO), group)
    record = world.record(group, TOKO)
    assert record is not None
    with world.context(TOKO).store.transaction() as tx:
        put_group(tx, group, replace(record, outdated=2))
    forget_group(world.context(TOKO), group)
    assert world.record(group, TOKO) is None


@pytest.mark.parametrize("what", ["full", "outdated", "record", "state", "commit"])
def test_a_group_that_cannot_be_left_or_is_damaged_is_forgotten_at_any_time(
    world: GroupWorld, group: GroupId, what: str
) -> None:
    context, record = world.context(TOKO), world.record(group, TOKO)
    assert record is not None
    context.live.graphs.clear()
    with context.store.transaction() as tx:
        match what:
            case "full":
                put_group(tx, group, replace(record, full=True))
            case "outdated":
                put_group(tx, group, replace(record, outdated=2))
            case "record":
                tx.put(Table.GROUPS, group.value, b"", b"\1garbage")
            case "state":
                tx.put(Table.GROUPS, group.value, b"state", b"\1garbage")
            case _:
                tx.put(Table.GROUP_COMMITS, group.value, bytes(32), b"\1garbage")
    forget_group(context, group)
    assert world.record(group, TOKO) is None


def test_the_keys_of_a_forgotten_group_go_with_it_and_those_of_another_stay() -> None:
    world = GroupWorld((ANA, BUDI), sessions=True)
    ana, budi = world.devices[ANA], world.devices[BUDI]
    groups = [world.create(ANA, BUDI), world.create(ANA, BUDI)]
    for each in groups:
        world.tell(each, ANA, BUDI)
        for sender, receiver in ((ana, budi), (budi, ana)):
            send(sender, each)
            deliver(sender, receiver)
    forgotten, other = groups
    record = world.record(forgotten, BUDI)
    assert record is not None
    with budi._context.store.transaction() as tx:
        put_group(tx, forgotten, replace(record, full=True))
    forget_group(budi._context, forgotten)
    ids = [group_key(ana, each).distribution_id for each in groups]
    with budi._context.store.transaction() as tx:
        assert find_group_key(tx, forgotten) is None
        assert tx.count(Table.GROUP_GRANTS, forgotten.value) == 0
        assert [find_group_of(tx, ANA, each) for each in ids] == [None, other]
    assert group_key(budi, other)
    assert granted(budi, other) == {ANA}
