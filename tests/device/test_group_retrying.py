# SPDX-License-Identifier: Apache-2.0
"""What could not be read of a group: what is asked for, and what whoever asks gets."""

from collections.abc import Sequence

import pytest

from e2ecross import Address, FailedMessage, Message, Text
from e2ecross.crypto.group_kdf import make_distribution_id
from e2ecross.device.conversations import block
from e2ecross.device.group_changes import (
    add_members,
    change_settings,
    remove_members,
    set_role,
)
from e2ecross.device.posted import KeysAsked
from e2ecross.device.settling import give_up
from e2ecross.errors import (
    EnvelopeMismatch,
    InvalidSignature,
    NotAllowedInGroup,
    TooManySkipped,
    UnknownSenderKey,
)
from e2ecross.protocol.sender_key import generate_sender_key
from e2ecross.state.group_keys import (
    NEVER_CHECKED,
    GroupKey,
    find_group_key,
    put_grant,
    put_new_group_key,
    read_grants,
)
from e2ecross.state.sent_to_groups import keep_sent_to_group
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.content import (
    Expiry,
    Framed,
    GroupCommits,
    GroupResent,
    GroupRetryRequest,
    SenderKeyGrant,
)
from e2ecross.wire.group import GroupDestination, GroupId, Role
from tests.support.accounts import carry, craft, outbox, receive, told
from tests.support.devices import ANA, BUDI, DAY_MS, MESSAGE_ID, TOKO
from tests.support.group_sending import change_list
from tests.support.group_speaker import Speaker, accept_all, add_companion, fail, found_group
from tests.support.group_world import GroupWorld, list_with_groups

KEY = bytes(range(32))
HOUR_MS = 3_600_000
HALO = Framed(Text("halo"), KEY)


@pytest.fixture
def world() -> GroupWorld:
    return GroupWorld(sessions=True)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    return found_group(world, ANA, BUDI, TOKO)


def own_key(world: GroupWorld, group: GroupId, address: Address, *given: Address) -> GroupKey:
    """A key that a device sends with, and that it has given to others."""
    context = world.context(address)
    heads, identity = world.state(group, address).heads, context.identity_key_pair.public
    key_id = make_distribution_id(group.value, heads, str(address), identity)
    chain = generate_sender_key(context.entropy)
    key = GroupKey(chain, key_id, heads, world.clock(), NEVER_CHECKED)
    with context.store.transaction() as tx:
        put_new_group_key(tx, group, key)
        for each in given:
            put_grant(tx, group, each, world.context(each).identity_key_pair.public)
    return key


def keep(
    world: GroupWorld,
    group: GroupId,
    address: Address,
    message_id: bytes = MESSAGE_ID,
    content: Framed = HALO,
) -> GroupDestination:
    """Let a device have sent a message at the present heads; returns where that stands."""
    context, now_ms = world.context(address), world.clock()
    destination = GroupDestination(group, world.state(group, address).heads)
    with context.store.transaction() as tx:
        keep_sent_to_group(tx, context.policy, destination, message_id, content, now_ms, now_ms)
    return destination


def request(
    world: GroupWorld,
    group: GroupId | None,
    address: Address,
    message_id: bytes = MESSAGE_ID,
    distribution_id: bytes = b"",
    reason: str = "unknown_sender_key",
    heads: Sequence[bytes] | None = None,
) -> GroupRetryRequest:
    """A request of a device, with the heads that it has."""
    if heads is None:
        known = None if group is None else world.record(group, address)
        heads = () if known is None or group is None else world.state(group, address).heads
    return GroupRetryRequest(group, tuple(heads), message_id, distribution_id, reason)


def ask(
    world: GroupWorld, requester: Address, answerer: Address, asked: GroupRetryRequest
) -> list[object]:
    """Let a device ask another; returns what that has to tell it then."""
    device = world.devices[answerer]
    receive(device, craft(world.devices[requester], answerer, asked))
    return [content for address, content in told(device) if address == requester]


def granted(world: GroupWorld, group: GroupId, address: Address) -> set[Address]:
    with world.context(address).store.transaction() as tx:
        return set(read_grants(tx, group) or ())


def has_key(world: GroupWorld, group: GroupId, address: Address) -> bool:
    with world.context(address).store.transaction() as tx:
        return find_group_key(tx, group) is not None


def failures(world: GroupWorld, address: Address) -> list[FailedMessage]:
    items = receive(world.devices[address])
    return [item for item in items if isinstance(item, FailedMessage)]


# --- Asking -------------------------------------------------------------------------------------


def test_a_key_that_was_not_given_is_asked_for(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    envelope = ana.write(BUDI)
    assert fail(world.devices[BUDI], envelope) is UnknownSenderKey
    ((recipient, asked),) = told(world.devices[BUDI])
    assert recipient == ANA
    assert asked == GroupRetryRequest(None, (), envelope.message_id, ana.id, "unknown_sender_key")
    (failed,) = failures(world, BUDI)
    assert (failed.group, failed.retrying) == (None, True)


def test_where_a_key_of_the_group_is_held_the_request_names_it(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    envelope = ana.write(BUDI)
    forged = envelope.ciphertext[:-1] + bytes([envelope.ciphertext[-1] ^ 1])
    broken = type(envelope)(envelope.message_id, ANA, BUDI, envelope.kind, forged)
    assert fail(world.devices[BUDI], broken) is InvalidSignature
    ((_, asked),) = told(world.devices[BUDI])
    heads = world.state(group, BUDI).heads
    assert asked == GroupRetryRequest(
        group, heads, envelope.message_id, ana.id, "invalid_signature"
    )
    (failed,) = failures(world, BUDI)
    assert failed.group == group


def test_another_key_of_the_same_id_tells_the_group(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    ana.key = generate_sender_key(ana.entropy)
    assert fail(world.devices[BUDI], ana.write(BUDI)) is UnknownSenderKey
    assert failures(world, BUDI)[0].group == group
    high = Speaker(world, group, ANA)
    high.id = b"\xff" * 16
    assert fail(world.devices[BUDI], high.write(BUDI)) is UnknownSenderKey
    low = Speaker(world, group, ANA)
    low.id = bytes(16)
    assert fail(world.devices[BUDI], low.write(BUDI)) is UnknownSenderKey
    assert [each.group for each in failures(world, BUDI)] == [group, None, None]


def test_a_message_is_asked_for_three_times(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    envelope = ana.write(BUDI)
    for _ in range(5):
        fail(world.devices[BUDI], envelope)
    assert len(told(world.devices[BUDI])) == 3


def test_what_was_received_is_not_asked_for(world: GroupWorld, group: GroupId) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    first = ana.write(BUDI)
    receive(budi, first)
    other = Speaker(world, group, ANA)
    assert fail(budi, other.write(BUDI, message_id=first.message_id)) is UnknownSenderKey
    assert not told(budi)


def test_of_a_group_that_is_not_accepted_nothing_is_asked(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    world.tell(group, ANA, BUDI)
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    ana.skip(1_001)
    assert fail(world.devices[BUDI], ana.write(BUDI)) is TooManySkipped
    change_settings(world.context(ANA), group, name="b")
    change_settings(world.context(ANA), group, name="c")
    last = GroupCommits(group, tuple(world.commits(group, ANA)[-1:]))
    ana.tell(BUDI, last)
    assert not told(world.devices[BUDI])
    (failed,) = failures(world, BUDI)
    assert (failed.group, failed.retrying) == (group, False)


def test_what_would_fail_again_is_not_asked_for(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    assert fail(world.devices[BUDI], ana.write(BUDI, inner_id=bytes(16))) is EnvelopeMismatch
    assert not told(world.devices[BUDI])


def test_of_a_blocked_account_nothing_is_asked_and_nothing_answered(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    envelope = ana.write(BUDI)
    block(world.context(BUDI), ANA.user_id)
    fail(world.devices[BUDI], envelope)
    keep(world, group, BUDI)
    assert not ask(world, ANA, BUDI, request(world, group, ANA))
    assert not told(world.devices[BUDI])
    assert not failures(world, BUDI)


def test_it_goes_in_the_session_that_there_is(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    fail(world.devices[BUDI], ana.write(BUDI))
    (waiting,) = outbox(world.devices[BUDI])
    assert not waiting.fresh_session


def test_a_stranger_is_asked_in_a_new_session(world: GroupWorld, group: GroupId) -> None:
    stranger = Address("messenger", "nobody")
    ana = Speaker(world, group, ANA)
    envelope = ana.write(BUDI)
    moved = type(envelope)(MESSAGE_ID, stranger, BUDI, envelope.kind, envelope.ciphertext)
    assert fail(world.devices[BUDI], moved) is UnknownSenderKey
    (waiting,) = outbox(world.devices[BUDI])
    assert (waiting.backlog.recipient, waiting.fresh_session) == (stranger, True)
    (failed,) = failures(world, BUDI)
    assert not failed.retrying


def test_a_request_that_cannot_be_made_is_told(world: GroupWorld, group: GroupId) -> None:
    ana, context = Speaker(world, group, ANA), world.context(BUDI)
    ana.give(BUDI)
    ana.skip(1_000)
    envelope = ana.write(BUDI)
    assert fail(world.devices[BUDI], envelope) is TooManySkipped
    change_settings(world.context(ANA), group, name="b")
    change_settings(world.context(ANA), group, name="c")
    ana.tell(BUDI, GroupCommits(group, tuple(world.commits(group, ANA)[-1:])))
    asked = outbox(world.devices[BUDI])
    assert len(asked) == 2  # the second is for commits: of a message nothing was promised
    with context.store.transaction() as tx:
        for waiting in asked:
            give_up(context, tx, waiting, "mailbox_full")
    first, last = failures(world, BUDI)
    assert (first.retrying, last.retrying) == (True, False)
    assert (last.message_id, last.group) == (envelope.message_id, group)
    assert last.error.code == "too_many_skipped"


# --- The way round ------------------------------------------------------------------------------


def test_one_request_brings_key_commits_and_message(world: GroupWorld, group: GroupId) -> None:
    """Budi has lost all that he had of the group."""
    context = world.context(BUDI)
    with context.store.transaction() as tx:
        from e2ecross.state.groups import drop_group

        drop_group(tx, group)
    ana = Speaker(world, group, ANA)
    destination = keep(world, group, ANA)
    own_key(world, group, ANA, BUDI)
    envelope = ana.write(BUDI, HALO, message_id=MESSAGE_ID)
    assert fail(world.devices[BUDI], envelope) is UnknownSenderKey
    carry(world.devices[BUDI], world.devices[ANA])
    arrived = carry(world.devices[ANA], world.devices[BUDI])
    assert [type(each) for each in arrived] == [SenderKeyGrant, GroupResent]
    # Of the group he knows now; he asks for its commits, and for the message once more.
    assert carry(world.devices[BUDI], world.devices[ANA]) == [
        GroupRetryRequest(group, (), MESSAGE_ID, b"", "unknown_group_state")
    ]
    arrived = carry(world.devices[ANA], world.devices[BUDI])
    assert [type(each) for each in arrived] == [SenderKeyGrant, GroupCommits, GroupResent]
    message = receive(world.devices[BUDI])[-1]
    assert isinstance(message, Message)
    assert (message.message_id, message.group, message.sender) == (MESSAGE_ID, group, ANA)
    assert message.content == Text("halo")
    assert world.state(group, BUDI).heads == destination.heads
    # And shown once.
    receive(world.devices[BUDI], craft(world.devices[ANA], BUDI, arrived[-1]))
    shown = [item for item in receive(world.devices[BUDI]) if isinstance(item, Message)]
    assert len(shown) == 1


# --- Answering ----------------------------------------------------------------------------------


def test_a_member_gets_key_and_message(world: GroupWorld, group: GroupId) -> None:
    destination, key = keep(world, group, ANA), own_key(world, group, ANA)
    answer = ask(world, BUDI, ANA, request(world, group, BUDI))
    grant, resent = answer
    assert isinstance(grant, SenderKeyGrant)
    assert grant.made == GroupDestination(group, key.heads)
    assert resent == GroupResent(destination, MESSAGE_ID, world.clock(), resent.content)  # type: ignore[attr-defined]
    assert isinstance(resent, GroupResent)
    assert isinstance(resent.content, Framed)
    assert granted(world, group, ANA) == {BUDI}


def test_without_a_key_the_next_message_grants_one(world: GroupWorld, group: GroupId) -> None:
    keep(world, group, ANA)
    context = world.context(ANA)
    with context.store.transaction() as tx:
        put_grant(tx, group, BUDI, context.identity_key_pair.public)
    (resent,) = ask(world, BUDI, ANA, request(world, group, BUDI))
    assert isinstance(resent, GroupResent)
    assert granted(world, group, ANA) == set()


def test_a_member_gets_the_commits_that_its_heads_lack(world: GroupWorld, group: GroupId) -> None:
    change_settings(world.context(ANA), group, name="Other")
    (commits,) = ask(world, BUDI, ANA, request(world, group, BUDI, b""))
    assert commits == GroupCommits(group, tuple(world.commits(group, ANA)[-1:]))


def test_all_if_it_names_the_group_and_no_heads_and_none_if_it_names_no_group(
    world: GroupWorld, group: GroupId
) -> None:
    keep(world, group, ANA)
    answer = ask(world, BUDI, ANA, request(world, group, BUDI, heads=()))
    assert [type(each) for each in answer] == [GroupCommits, GroupResent]
    assert answer[0] == GroupCommits(group, tuple(world.commits(group, ANA)))
    answer = ask(world, TOKO, ANA, request(world, None, TOKO))
    assert [type(each) for each in answer] == [GroupResent]


def test_who_knows_more_is_asked_back_once(world: GroupWorld, group: GroupId) -> None:
    set_role(world.context(ANA), group, BUDI.user_id, Role.ADMIN)
    world.tell(group, ANA, BUDI)
    change_settings(world.context(BUDI), group, name="Other")
    keep(world, group, ANA)
    for _ in range(3):
        answer = ask(world, BUDI, ANA, request(world, group, BUDI))
    back = GroupRetryRequest(group, world.state(group, ANA).heads, b"", b"", "unknown_group_state")
    assert answer.count(back) == 1
    # What it lacks cannot be told from heads that are not known: it gets all.
    assert GroupCommits(group, tuple(world.commits(group, ANA))) in answer


def test_of_what_is_not_known_or_not_accepted_nothing_is_told(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI, TOKO)
    assert not ask(world, ANA, BUDI, request(world, group, ANA))
    assert not ask(world, ANA, BUDI, request(world, None, ANA))
    world.tell(group, ANA, BUDI)
    keep(world, group, BUDI)
    assert not ask(world, ANA, BUDI, request(world, group, ANA))
    accept_all(world, group, BUDI)
    assert ask(world, ANA, BUDI, request(world, group, ANA))


def test_who_was_not_in_where_the_message_stands_gets_nothing(
    world: GroupWorld,
) -> None:
    group = found_group(world, ANA, BUDI)
    keep(world, group, ANA)
    add_members(world.context(ANA), group, [TOKO.user_id], KeysAsked())
    own_key(world, group, ANA)
    assert not ask(world, TOKO, ANA, request(world, group, TOKO))
    assert granted(world, group, ANA) == set()


def test_who_never_was_a_member_gets_nothing(world: GroupWorld) -> None:
    group = found_group(world, ANA, BUDI)
    keep(world, group, ANA)
    own_key(world, group, ANA)
    for asked in (request(world, group, TOKO), request(world, group, TOKO, b"")):
        assert not ask(world, TOKO, ANA, asked)


def test_a_message_at_heads_that_are_not_held_any_more_is_not_sent(
    world: GroupWorld, group: GroupId
) -> None:
    context, now_ms = world.context(ANA), world.clock()
    lost = GroupDestination(group, (bytes(32),))
    with context.store.transaction() as tx:
        keep_sent_to_group(tx, context.policy, lost, MESSAGE_ID, HALO, now_ms, now_ms)
    assert not ask(world, BUDI, ANA, request(world, group, BUDI))


def test_a_message_goes_ten_times_to_a_device(world: GroupWorld, group: GroupId) -> None:
    keep(world, group, ANA)
    for _ in range(12):
        answer = ask(world, BUDI, ANA, request(world, group, BUDI))
    assert len(answer) == 10
    assert len(ask(world, TOKO, ANA, request(world, group, TOKO))) == 1


def test_what_is_over_is_not_sent_again(world: GroupWorld, group: GroupId) -> None:
    obeying = list_with_groups(
        world.devices[BUDI], capabilities=encode_capabilities({10, 32, 35}), seq=2
    )
    change_list(world, obeying)
    keep(world, group, ANA, content=Framed(Text("halo"), KEY, Expiry(60)))
    assert len(ask(world, BUDI, ANA, request(world, group, BUDI))) == 1
    world.clock.advance(61_000)
    assert len(ask(world, BUDI, ANA, request(world, group, BUDI))) == 1


def test_what_protects_is_not_sent_again_to_who_does_not_obey(
    world: GroupWorld, group: GroupId
) -> None:
    keep(world, group, ANA, content=Framed(Text("halo"), KEY, Expiry(60)))
    assert not ask(world, BUDI, ANA, request(world, group, BUDI))


def test_a_device_gets_4_mib_of_commits_in_a_day(
    world: GroupWorld, group: GroupId, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(len(a) + len(b) for a, b in world.commits(group, ANA))
    monkeypatch.setattr("e2ecross.state.retry_budget._MAX_COMMIT_BYTES", 3 * size)
    asked = request(world, group, BUDI, b"", heads=())
    for _ in range(5):
        answer = ask(world, BUDI, ANA, asked)
    assert len(answer) == 3
    assert len(ask(world, TOKO, ANA, request(world, group, TOKO, b"", heads=()))) == 1
    world.clock.advance(DAY_MS)
    assert len(ask(world, BUDI, ANA, asked)) == 4


def test_answers_are_counted(world: GroupWorld) -> None:
    from e2ecross import Policy

    world = GroupWorld(sessions=True, policy=Policy(resends_per_peer=2))
    group = found_group(world, ANA, BUDI)
    keep(world, group, ANA)
    for _ in range(4):
        answer = ask(world, BUDI, ANA, request(world, group, BUDI))
    assert len(answer) == 2


def test_questions_are_counted(world: GroupWorld) -> None:
    from e2ecross import Policy

    world = GroupWorld(sessions=True, policy=Policy(retry_requests_per_peer=1))
    group = found_group(world, ANA, BUDI)
    ana = Speaker(world, group, ANA)
    fail(world.devices[BUDI], ana.write(BUDI))
    change_settings(world.context(ANA), group, name="b")
    change_settings(world.context(ANA), group, name="c")
    ana.tell(BUDI, GroupCommits(group, tuple(world.commits(group, ANA)[-1:])))
    assert len(told(world.devices[BUDI])) == 1


def test_an_own_device_is_answered(world: GroupWorld, group: GroupId) -> None:
    keep(world, group, ANA)
    tablet = add_companion(world, ANA)
    asked = craft(world.devices[tablet], ANA, request(world, None, tablet))
    receive(world.devices[ANA], asked)
    assert [type(each) for _, each in told(world.devices[ANA])] == [GroupResent]


# --- Ending a key -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["invalid_signature", "authentication_failed", "too_many_skipped"]
)
def test_a_key_that_a_member_cannot_read_ends_once_in_an_hour(
    world: GroupWorld, group: GroupId, reason: str
) -> None:
    key = own_key(world, group, ANA, BUDI)
    asked = request(world, group, BUDI, b"", key.distribution_id, reason)
    assert not ask(world, BUDI, ANA, asked)  # the next message gives the new one
    assert not has_key(world, group, ANA)
    assert granted(world, group, ANA) == set()
    record = world.record(group, ANA)
    assert record is not None
    assert record.key_ended_at_ms == world.clock()
    key = own_key(world, group, ANA, BUDI)
    asked = request(world, group, BUDI, b"", key.distribution_id, reason)
    assert [type(each) for each in ask(world, BUDI, ANA, asked)] == [SenderKeyGrant]
    assert has_key(world, group, ANA)
    world.clock.advance(HOUR_MS)
    ask(world, BUDI, ANA, asked)
    assert not has_key(world, group, ANA)


@pytest.mark.parametrize("what", ["reason", "id", "not given"])
def test_another_reason_another_key_or_a_device_without_it_end_none(
    world: GroupWorld, group: GroupId, what: str
) -> None:
    key = own_key(world, group, ANA, *(() if what == "not given" else (BUDI,)))
    reason = "unknown_sender_key" if what == "reason" else "invalid_signature"
    key_id = bytes(16) if what == "id" else key.distribution_id
    ask(world, BUDI, ANA, request(world, group, BUDI, b"", key_id, reason))
    assert has_key(world, group, ANA)


# --- Who is out ---------------------------------------------------------------------------------


def test_who_was_a_member_gets_the_commits_by_which_he_is_out(
    world: GroupWorld, group: GroupId
) -> None:
    keep(world, group, ANA)
    own_key(world, group, ANA, TOKO)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    removal = world.commits(group, ANA)[-1:]
    change_settings(world.context(ANA), group, name="Later")
    answer = ask(world, TOKO, ANA, request(world, group, TOKO))
    assert answer == [GroupCommits(group, tuple(removal))]
    world.bring(group, ANA, TOKO, removal)
    assert "toko" not in world.roles(group, TOKO)
    assert ask(world, TOKO, ANA, request(world, group, TOKO)) == answer  # nothing more


def test_an_admin_tells_a_former_member_once_in_a_day(world: GroupWorld, group: GroupId) -> None:
    toko = Speaker(world, group, TOKO)
    toko.give(ANA, BUDI)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    removal = GroupCommits(group, tuple(world.commits(group, ANA)[-1:]))
    world.tell(group, ANA, BUDI)
    for _ in range(3):
        assert fail(world.devices[ANA], toko.write(ANA)) is NotAllowedInGroup
    assert told(world.devices[ANA]) == [(TOKO, removal)]
    assert fail(world.devices[BUDI], toko.write(BUDI)) is NotAllowedInGroup
    assert not told(world.devices[BUDI])  # he is no admin
    world.clock.advance(2 * DAY_MS)
    fail(world.devices[ANA], toko.write(ANA))
    assert len(told(world.devices[ANA])) == 2
    failed = failures(world, ANA)[-1]
    assert (failed.group, failed.retrying) == (group, False)


def test_who_is_in_and_may_not_send_is_told_nothing(world: GroupWorld, group: GroupId) -> None:
    toko = Speaker(world, group, TOKO)
    toko.give(ANA)
    change_settings(world.context(ANA), group, only_admins_send=True)
    assert fail(world.devices[ANA], toko.write(ANA)) is NotAllowedInGroup
    assert not told(world.devices[ANA])


def test_of_a_group_that_is_not_accepted_nobody_is_told_that_he_is_out(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI, TOKO)
    world.tell(group, ANA, BUDI, TOKO)
    toko = Speaker(world, group, TOKO)
    toko.give(BUDI)
    set_role(world.context(ANA), group, BUDI.user_id, Role.ADMIN)
    remove_members(world.context(ANA), group, [TOKO.user_id])
    world.tell(group, ANA, BUDI)
    assert fail(world.devices[BUDI], toko.write(BUDI)) is NotAllowedInGroup
    assert not told(world.devices[BUDI])
    accept_all(world, group, BUDI)
    assert fail(world.devices[BUDI], toko.write(BUDI)) is NotAllowedInGroup
    assert [address for address, _ in told(world.devices[BUDI])] == [TOKO]
