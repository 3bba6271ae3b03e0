# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other about groups in their sessions: keys, commits, messages again."""

from dataclasses import replace
from traceback import walk_tb

import pytest

from e2ecross import Address, Message, Text
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.conversations import block
from e2ecross.device.group_changes import (
    change_settings,
    leave_group,
    remove_members,
)
from e2ecross.device.group_controls import take_group_control
from e2ecross.device.receiving import Received
from e2ecross.errors import (
    DecodeError,
    EnvelopeMismatch,
    InvalidKey,
    RemoteError,
    UnlistedDevice,
)
from e2ecross.state.trust import (
    accept_identity,
    observe_identity,
    put_listed_identity,
    require_identity,
)
from e2ecross.stores import Table
from e2ecross.wire.content import (
    Framed,
    GroupCommits,
    GroupResent,
    GroupRetryRequest,
    Payload,
    SenderKeyGrant,
    decode_content,
)
from e2ecross.wire.group import GroupDestination, GroupId
from tests.support.accounts import craft, hold_list, receive, told
from tests.support.devices import ANA, BUDI, MESSAGE_ID, TOKO, count_rows, dump, make_device, start
from tests.support.group_speaker import Speaker, add_companion, found_group
from tests.support.group_world import GroupWorld, list_with_groups
from tests.support.vectors import groups, unhex

KEY = bytes(range(32))
HALO = Framed(Text("halo"), KEY)


@pytest.fixture
def world() -> GroupWorld:
    return GroupWorld(sessions=True)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    return found_group(world, ANA, BUDI, TOKO)


def keys(world: GroupWorld, address: Address) -> int:
    return count_rows(world.context(address).store, Table.SENDER_KEYS)


def messages(world: GroupWorld, address: Address) -> list[Message]:
    return [item for item in receive(world.devices[address]) if isinstance(item, Message)]


# --- Keys ---------------------------------------------------------------------------------------


def test_a_key_is_kept_for_the_session_that_brought_it(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    assert keys(world, BUDI) == 1
    ana.give(BUDI)
    assert keys(world, BUDI) == 1


def test_a_key_may_come_before_the_commits_that_explain_it(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    world.tell(group, ANA, BUDI)
    receive(world.devices[BUDI], ana.write(BUDI))
    assert len(messages(world, BUDI)) == 1


@pytest.mark.parametrize("what", ["group", "heads", "sender", "bytes", "key", "id"])
def test_another_s_key_or_one_for_another_group_or_heads_is_refused(
    world: GroupWorld, group: GroupId, what: str
) -> None:
    ana, toko = Speaker(world, group, ANA), Speaker(world, group, TOKO)
    grant = ana.grant
    expected: type[RemoteError] = EnvelopeMismatch
    if what == "group":
        made = GroupDestination(GroupId(bytes(32)), grant.made.heads)
        grant = SenderKeyGrant(made, grant.distribution)
    elif what == "heads":
        grant = SenderKeyGrant(GroupDestination(group, (bytes(32),)), grant.distribution)
    elif what == "sender":
        grant = toko.grant
    elif what == "bytes":
        grant, expected = SenderKeyGrant(grant.made, b"\x33nonsense"), DecodeError
    elif what == "key":
        grant = SenderKeyGrant(grant.made, grant.distribution[:-33] + b"\5" + bytes(32))
        expected = InvalidKey
    else:
        grant = SenderKeyGrant(
            grant.made, grant.distribution.replace(ana.id, bytes(reversed(ana.id)))
        )
    before = dump(world.context(BUDI).store)
    with pytest.raises(expected):
        ana.tell(BUDI, grant)
    assert dump(world.context(BUDI).store) == before


@pytest.mark.parametrize("how", ["broken", "handed on"])
def test_a_key_that_is_refused_is_not_reported_with_the_error(
    world: GroupWorld, group: GroupId, how: str
) -> None:
    ana, toko = Speaker(world, group, ANA), Speaker(world, group, TOKO)
    data = ana.grant.distribution
    grant = SenderKeyGrant(ana.made, b"\x43" + data[1:] if how == "broken" else data)
    with pytest.raises(RemoteError) as caught:
        toko.tell(BUDI, grant)
    key = bytes(ana.key.chain.chain_key)
    for frame, _ in walk_tb(caught.tb):
        if "/e2ecross/" in frame.f_code.co_filename:
            for value in frame.f_locals.values():
                assert key not in (value if isinstance(value, bytes) else repr(value).encode())


def test_a_key_is_never_wound_back(world: GroupWorld, group: GroupId) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    first = ana.grant
    ana.give(BUDI)
    receive(budi, ana.write(BUDI, "one"))
    envelope = ana.write(BUDI, "two")
    receive(budi, envelope)
    ana.tell(BUDI, first)
    with pytest.raises(RemoteError, match="received before"):
        receive(budi, envelope)


def test_a_key_under_an_identity_that_is_not_accepted_counts_as_received(
    world: GroupWorld, group: GroupId
) -> None:
    ana, context = Speaker(world, group, ANA), world.context(BUDI)
    envelope = craft(ana.device, BUDI, ana.grant)
    other = make_device(ANA, seed="another")._context.identity_key_pair.public
    with context.store.transaction() as tx:
        known = require_identity(tx, ANA)
        now_ms = world.clock()
        observe_identity(tx, ANA, known, other, context.policy, now_ms, starts_session=True)
        accept_identity(tx, ANA, other, now_ms)
    receive(world.devices[BUDI], envelope)
    assert keys(world, BUDI) == 0


def test_a_key_of_a_device_that_only_another_account_key_vouches_for_counts_as_received(
    world: GroupWorld, group: GroupId
) -> None:
    ana, context = Speaker(world, group, ANA), world.context(BUDI)
    identity = world.context(ANA).identity_key_pair.public
    payload = Payload(ANA, BUDI, MESSAGE_ID, 1, 0, ana.grant)
    key = PublicKey(identity)
    received = Received(payload, False, False, key, key, ANA, key, is_under_other_key=True)
    with context.store.transaction() as tx:
        take_group_control(context, tx, received, ana.grant, world.clock())
    assert keys(world, BUDI) == 0
    with context.store.transaction() as tx:
        genuine = replace(received, is_under_other_key=False)
        take_group_control(context, tx, genuine, ana.grant, world.clock())
    assert keys(world, BUDI) == 1


def test_a_key_of_an_unlisted_device_is_refused(world: GroupWorld, group: GroupId) -> None:
    tablet = add_companion(world, ANA)
    world.tell(group, ANA, tablet)
    speaker = Speaker(world, group, tablet)
    hold_list(world.devices[BUDI], list_with_groups(world.devices[ANA], seq=9))
    start(world.devices[tablet], world.devices[BUDI], kyber=True)
    with pytest.raises(UnlistedDevice):
        speaker.give(BUDI)
    assert keys(world, BUDI) == 0


@pytest.mark.parametrize("item", groups("grants")["vectors"], ids=lambda item: item["name"])
def test_recorded_grants(item: dict[str, str]) -> None:
    """What comes of each in a session with that address and identity key."""
    context = make_device(BUDI)._context
    sender, key = Address.parse(item["session_of"]), PublicKey(unhex(item["identity_key"]))
    with context.store.transaction() as tx:
        put_listed_identity(tx, sender, key, 0)
    outcome = "taken"
    try:
        grant = decode_content(2**31 + 32, unhex(item["body"]))
        assert isinstance(grant, SenderKeyGrant)
        payload = Payload(sender, BUDI, MESSAGE_ID, 1, 0, grant)
        received = Received(payload, False, False, key, key, sender, key, is_under_other_key=False)
        with context.store.transaction() as tx:
            take_group_control(context, tx, received, grant, 0)
    except RemoteError as error:
        outcome = error.code
    assert outcome == item["expect"]
    assert count_rows(context.store, Table.SENDER_KEYS) == (item["expect"] == "taken")


# --- Commits ------------------------------------------------------------------------------------


def test_commits_are_taken_in_and_what_is_missing_is_asked_for(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    change_settings(world.context(ANA), group, name="a")
    change_settings(world.context(ANA), group, name="b")
    commits = world.commits(group, ANA)
    ana.tell(BUDI, GroupCommits(group, tuple(commits[-1:])))
    heads = world.state(group, BUDI).heads
    assert told(world.devices[BUDI]) == [
        (ANA, GroupRetryRequest(group, heads, b"", b"", "unknown_group_state"))
    ]
    ana.tell(BUDI, GroupCommits(group, tuple(commits[-2:])))
    assert world.state(group, BUDI).settings.name == "b"


def test_no_group_is_first_heard_of_from_a_blocked_account(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    block(world.context(BUDI), ANA.user_id)
    other = world.create(ANA, BUDI)
    ana.tell(BUDI, GroupCommits(other, tuple(world.commits(other, ANA))))
    assert world.record(other, BUDI) is None
    # What is known goes on.
    change_settings(world.context(ANA), group, name="a")
    ana.tell(BUDI, GroupCommits(group, tuple(world.commits(group, ANA)[-1:])))
    assert world.state(group, BUDI).settings.name == "a"


def test_commits_of_an_account_of_which_no_key_is_known_are_not_taken(
    world: GroupWorld, group: GroupId
) -> None:
    from e2ecross.state.context import address_key

    tablet = add_companion(world, ANA)
    context = world.context(BUDI)
    change_settings(world.context(ANA), group, name="a")
    commits = GroupCommits(group, tuple(world.commits(group, ANA)[-1:]))
    world.tell(group, ANA, tablet)
    speaker = Speaker(world, group, tablet)
    with context.store.transaction() as tx:
        tx.delete(Table.REMOTE_IDENTITIES, address_key(ANA), b"")
    receive(world.devices[BUDI], craft(speaker.device, BUDI, commits))
    assert world.state(group, BUDI).settings.name != "a"


# --- Messages again -----------------------------------------------------------------------------


def resent(world: GroupWorld, group: GroupId, address: Address) -> GroupResent:
    """A message of a device at the heads that it has."""
    destination = GroupDestination(group, world.state(group, address).heads)
    return GroupResent(destination, MESSAGE_ID, 5, HALO)


def test_a_message_that_comes_again_is_shown_like_the_message(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    for _ in range(2):
        ana.tell(BUDI, resent(world, group, ANA))
    (message,) = messages(world, BUDI)
    assert (message.sender, message.message_id, message.sent_at_ms) == (ANA, MESSAGE_ID, 5)
    assert (message.group, message.content, message.moderator) == (group, Text("halo"), True)


def test_what_was_received_is_not_shown_again(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    receive(world.devices[BUDI], ana.write(BUDI, HALO, message_id=MESSAGE_ID))
    ana.tell(BUDI, resent(world, group, ANA))
    assert len(messages(world, BUDI)) == 1


def test_of_a_blocked_account_none_comes_again(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    block(world.context(BUDI), ANA.user_id)
    ana.tell(BUDI, resent(world, group, ANA))
    assert not messages(world, BUDI)


def test_who_is_out_is_not_heard_by_a_message_that_comes_again(
    world: GroupWorld, group: GroupId
) -> None:
    toko = Speaker(world, group, TOKO)
    again = resent(world, group, TOKO)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    world.tell(group, ANA, BUDI)
    toko.tell(BUDI, again)
    assert not messages(world, BUDI)
    assert not told(world.devices[BUDI])


def test_who_is_out_hears_nothing_that_comes_again(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    leave_group(world.context(BUDI), group)
    ana.tell(BUDI, resent(world, group, ANA))
    assert not messages(world, BUDI)


def test_one_whose_commits_are_missing_is_asked_for_again(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    change_settings(world.context(ANA), group, name="a")
    ana.tell(BUDI, resent(world, group, ANA))
    heads = world.state(group, BUDI).heads
    asked = GroupRetryRequest(group, heads, MESSAGE_ID, b"", "unknown_group_state")
    assert told(world.devices[BUDI]) == [(ANA, asked)]
    for _ in range(5):
        ana.tell(BUDI, resent(world, group, ANA))
    assert len(told(world.devices[BUDI])) == 3
