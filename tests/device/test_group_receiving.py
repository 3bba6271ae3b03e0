# SPDX-License-Identifier: Apache-2.0
"""Messages into groups: each row that they are judged by, and what is handed over."""

from dataclasses import replace
from traceback import walk_tb

import pytest

from e2ecross import Address, FailedMessage, Message, Text
from e2ecross.device.collecting import take_in
from e2ecross.device.conversations import accept, block
from e2ecross.device.group_changes import (
    add_members,
    change_settings,
    leave_group,
    remove_members,
    set_role,
)
from e2ecross.device.hints import own_hints
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import (
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    NotAllowedInGroup,
    RemoteError,
    StaleSenderKey,
    TooManySkipped,
    UnknownGroupState,
    UnknownSenderKey,
    UnlistedDevice,
    UnsupportedVersion,
)
from e2ecross.state.context import address_key
from e2ecross.state.delivered import note_read_before
from e2ecross.state.inbox import InboxItem
from e2ecross.state.trust import (
    accept_identity,
    observe_identity,
    put_listed_identity,
    require_identity,
)
from e2ecross.stores import Table
from e2ecross.wire.content import (
    Delete,
    DeviceListPush,
    Expiry,
    Framed,
    GroupCommits,
    GroupRetryRequest,
    MessageRef,
    Receipt,
    RetryRequest,
    UnsupportedContent,
)
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.group import GroupId, Role
from tests.support.accounts import hold_list, receive, told
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    SpyStore,
    count_rows,
    dump,
    make_device,
    reopen_device,
)
from tests.support.group_speaker import Speaker, accept_all, add_companion, fail, found_group
from tests.support.group_world import GroupWorld, list_with_groups

KEY = bytes(range(32))


@pytest.fixture
def world() -> GroupWorld:
    return GroupWorld(sessions=True)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    return found_group(world, ANA, BUDI, TOKO)


def refuses(world: GroupWorld, address: Address, envelope: Envelope) -> type[RemoteError]:
    """The error that a device refuses an envelope with, which changes nothing."""
    device = world.devices[address]
    before = dump(device._context.store)
    with pytest.raises(RemoteError) as caught:
        receive(device, envelope)
    assert dump(device._context.store) == before
    return caught.type


def texts(items: list[InboxItem]) -> list[str]:
    return [
        item.content.text
        for item in items
        if isinstance(item, Message) and isinstance(item.content, Text)
    ]


def last(items: list[InboxItem]) -> Message:
    message = items[-1]
    assert isinstance(message, Message)
    return message


def commits_of(world: GroupWorld, group: GroupId, address: Address, count: int) -> GroupCommits:
    """The last commits that an account holds."""
    return GroupCommits(group, tuple(world.commits(group, address)[-count:]))


# --- What is shown ------------------------------------------------------------------------------


def test_a_message_is_shown_with_its_group(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI, TOKO)
    refs = set()
    for receiver in (BUDI, TOKO):
        envelope = ana.write(receiver, Framed(Text("halo"), KEY))
        message = last(receive(world.devices[receiver], envelope))
        assert (message.sender, message.group, message.content) == (ANA, group, Text("halo"))
        assert message.message_id == envelope.message_id
        assert (message.request, message.own_copy, message.blocked) == (False, False, False)
        assert message.ref is not None
        refs.add(message.ref)
    assert len(refs) == 2  # other ids


def test_a_text_without_a_frame_has_no_reference_in_a_group(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    assert last(receive(world.devices[BUDI], ana.write(BUDI))).ref is None


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_messages_are_read_in_any_order_and_once(
    world: GroupWorld, group: GroupId, order: list[int]
) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    sent = [ana.write(BUDI, str(number)) for number in range(4)]
    for number in order:
        items = receive(budi, sent[number])
    assert texts(items) == [str(number) for number in order]
    for each in sent:
        assert refuses(world, BUDI, each) is DuplicateMessage


def test_an_id_that_was_received_is_dropped_and_its_key_is_used_up(
    world: GroupWorld, group: GroupId
) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    first = ana.write(BUDI, "one")
    second = ana.write(BUDI, "two", message_id=first.message_id)
    assert texts(receive(budi, first, second)) == ["one"]
    assert refuses(world, BUDI, second) is DuplicateMessage


def test_of_a_blocked_account_it_is_shown_and_says_so(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    block(world.context(BUDI), ANA.user_id)
    message = last(receive(world.devices[BUDI], ana.write(BUDI)))
    assert message.blocked
    assert message.content == Text("halo")


def test_in_a_group_that_is_not_accepted_it_is_a_request(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    world.tell(group, ANA, BUDI)
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    assert last(receive(world.devices[BUDI], ana.write(BUDI))).request
    accept_all(world, group, BUDI)
    assert not last(receive(world.devices[BUDI], ana.write(BUDI))).request


def test_what_is_over_is_shown_without_its_content(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    content = Framed(Text("halo"), KEY, Expiry(60))
    at_ms = world.clock() - DAY_MS
    message = last(receive(world.devices[BUDI], ana.write(BUDI, content, sent_at_ms=at_ms)))
    assert (message.content, message.expired) == (None, True)


@pytest.mark.parametrize(
    "content",
    [
        Receipt(Receipt.READ, (bytes(16),)),
        RetryRequest(bytes(16), None, 0, "x"),
        UnsupportedContent(2**31 + 47, b""),
    ],
)
def test_receipts_and_what_clients_tell_each_other_count_as_received(
    world: GroupWorld, group: GroupId, content: Receipt
) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    envelope = ana.write(BUDI, content)
    assert not [item for item in receive(budi, envelope) if isinstance(item, Message)]
    assert not told(budi)
    assert refuses(world, BUDI, envelope) is DuplicateMessage


def test_what_its_sender_has_is_a_hint(world: GroupWorld, group: GroupId) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    with world.context(ANA).store.transaction() as tx:
        hints = own_hints(world.context(ANA), tx, BUDI.user_id)
    assert hints is not None
    newer = replace(hints, sender_seq=hints.sender_seq + 5, peer_seq=0, peer_hash=b"")
    receive(budi, ana.write(BUDI, hints=newer))
    assert ANA.user_id in budi._context.heard_of


def test_who_writes_and_has_an_older_list_is_sent_the_newer_one(
    world: GroupWorld, group: GroupId
) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    with world.context(ANA).store.transaction() as tx:
        hints = own_hints(world.context(ANA), tx, BUDI.user_id)
    assert hints is not None
    older = replace(hints, peer_seq=0, peer_hash=b"")
    tablet = make_device(replace(ANA, device=2))
    newer = list_with_groups(world.devices[ANA], tablet, seq=2)
    hold_list(budi, newer)
    accept(budi._context, ANA.user_id)
    for _ in range(2):  # at most once a day
        receive(budi, ana.write(BUDI, hints=older))
    assert told(budi) == [(ANA, DeviceListPush((newer.encode(),)))]


# --- Rows 1 to 3 --------------------------------------------------------------------------------


def test_row_1_another_recipient_or_sender_or_bytes(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    envelope = ana.write(BUDI)
    assert refuses(world, TOKO, envelope) is EnvelopeMismatch
    assert refuses(world, BUDI, replace(envelope, sender=BUDI)) is EnvelopeMismatch
    assert refuses(world, BUDI, replace(envelope, ciphertext=bytes(80))) is UnsupportedVersion
    assert refuses(world, BUDI, replace(envelope, ciphertext=b"\x33" * 80)) is DecodeError
    assert refuses(world, BUDI, replace(envelope, sender=TOKO)) is UnknownSenderKey


def test_bytes_that_are_no_message_are_kept_as_failed_and_nobody_is_asked(
    world: GroupWorld, group: GroupId
) -> None:
    budi = world.devices[BUDI]
    envelope = Envelope(bytes(16), ANA, BUDI, MessageKind.SENDER_KEY, b"\x33" * 80)
    assert fail(budi, envelope) is DecodeError
    failed = receive(budi)[-1]
    assert isinstance(failed, FailedMessage)
    assert (failed.sender, failed.group, failed.retrying) == (ANA, None, False)
    assert not told(budi)


def test_row_2_a_key_that_was_not_given_or_is_used_up(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    assert refuses(world, BUDI, ana.write(BUDI)) is UnknownSenderKey
    ana.give(BUDI)
    ana.skip(998)
    assert texts(receive(world.devices[BUDI], ana.write(BUDI, "the last"))) == ["the last"]
    assert refuses(world, BUDI, ana.write(BUDI)) is TooManySkipped


def test_row_3_what_its_payload_says(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    other = found_group(world, ANA, BUDI)
    for envelope, expected in (
        (ana.write(BUDI, inner_sender=TOKO), EnvelopeMismatch),
        (ana.write(BUDI, inner_id=bytes(16)), EnvelopeMismatch),
        (ana.write(BUDI, group=other), EnvelopeMismatch),
        (ana.seal(BUDI, b"no payload"), DecodeError),
    ):
        assert refuses(world, BUDI, envelope) is expected


def test_a_damaged_key_is_as_good_as_none_and_is_dropped_with_the_failure(
    world: GroupWorld, group: GroupId
) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    held = budi._context.store
    sent = [ana.write(BUDI, str(number)) for number in range(3)]
    receive(budi, sent[2])
    (where,) = [each for each in dump(held) if each[0] is Table.SENDER_KEY_SEEDS]
    with held.transaction() as tx:
        tx.put(*where, b"\1garbage")
    assert refuses(world, BUDI, sent[0]) is UnknownSenderKey
    assert fail(budi, sent[0]) is UnknownSenderKey
    assert count_rows(held, Table.SENDER_KEYS) == count_rows(held, Table.SENDER_KEY_SEEDS) == 0


# --- Row 4 --------------------------------------------------------------------------------------


def test_row_4_a_group_that_is_not_known(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    envelope = ana.write(BUDI)
    assert refuses(world, BUDI, envelope) is UnknownGroupState
    assert fail(world.devices[BUDI], envelope) is UnknownGroupState
    failed = receive(world.devices[BUDI])[-1]
    assert isinstance(failed, FailedMessage)
    assert (failed.group, failed.retrying) == (group, True)
    world.tell(group, ANA, BUDI)
    assert texts(receive(world.devices[BUDI], envelope)) == ["halo"]


def test_row_4_a_group_of_which_a_part_is_known_does_not_have_the_own_account_yet(
    world: GroupWorld,
) -> None:
    group = world.create(ANA, TOKO)
    add_members(world.context(ANA), group, [BUDI.user_id], KeysAsked())
    world.bring(group, ANA, BUDI, world.commits(group, ANA)[:1])
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    assert refuses(world, BUDI, ana.write(BUDI)) is UnknownGroupState


def test_row_4_who_is_out_drops_what_comes(world: GroupWorld, group: GroupId) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    envelope = ana.write(BUDI)
    leave_group(world.context(BUDI), group)
    assert not texts(receive(budi, envelope))
    assert refuses(world, BUDI, envelope) is DuplicateMessage
    assert not told(budi)


# --- Rows 5 to 9 --------------------------------------------------------------------------------


def test_row_5_heads_that_are_not_held(world: GroupWorld, group: GroupId) -> None:
    change_settings(world.context(ANA), group, name="Other")
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    old = world.state(group, BUDI).heads
    assert refuses(world, BUDI, ana.write(BUDI)) is UnknownGroupState
    # Of the key alone:
    assert refuses(world, BUDI, ana.write(BUDI, heads=old)) is UnknownGroupState
    world.tell(group, ANA, BUDI)
    assert texts(receive(world.devices[BUDI], ana.write(BUDI))) == ["halo"]


def test_row_6_the_key_came_under_an_identity_that_is_not_the_accepted_one(
    world: GroupWorld, group: GroupId
) -> None:
    ana, context = Speaker(world, group, ANA), world.context(BUDI)
    ana.give(BUDI)
    receive(world.devices[BUDI], ana.write(BUDI))  # judged once
    other = make_device(ANA, seed="another")._context.identity_key_pair.public
    with context.store.transaction() as tx:
        known = require_identity(tx, ANA)
        now_ms = world.clock()
        observe_identity(tx, ANA, known, other, context.policy, now_ms, starts_session=True)
    assert texts(receive(world.devices[BUDI], ana.write(BUDI, "still"))) == ["halo", "still"]
    with context.store.transaction() as tx:
        accept_identity(tx, ANA, other, world.clock())
    assert refuses(world, BUDI, ana.write(BUDI)) is UnlistedDevice


def test_row_7_who_is_out_is_not_heard_and_who_does_not_know_of_it_is(
    world: GroupWorld, group: GroupId
) -> None:
    toko, ana = Speaker(world, group, TOKO), Speaker(world, group, ANA)
    toko.give(BUDI)
    ana.give(BUDI)
    late = ana.write(BUDI, "before")
    before = toko.write(BUDI, "before")
    remove_members(world.context(ANA), group, [TOKO.user_id])
    assert texts(receive(world.devices[BUDI], before)) == ["before"]
    world.tell(group, ANA, BUDI)
    assert refuses(world, BUDI, toko.write(BUDI)) is NotAllowedInGroup
    assert texts(receive(world.devices[BUDI], late)) == ["before", "before"]


def test_row_7_an_account_of_which_no_key_is_known(world: GroupWorld, group: GroupId) -> None:
    tablet = add_companion(world, ANA)
    world.tell(group, ANA, tablet)
    ana, context = Speaker(world, group, tablet), world.context(BUDI)
    ana.give(BUDI)
    receive(world.devices[BUDI], ana.write(BUDI))
    with context.store.transaction() as tx:
        tx.delete(Table.REMOTE_IDENTITIES, address_key(ANA), b"")
    assert refuses(world, BUDI, ana.write(BUDI)) is NotAllowedInGroup
    assert fail(world.devices[BUDI], ana.write(BUDI)) is NotAllowedInGroup


def test_row_7_an_account_that_has_another_key_now(world: GroupWorld, group: GroupId) -> None:
    """What was noted of the key before does not serve, though the group is as it was."""
    tablet = add_companion(world, ANA)
    world.tell(group, ANA, tablet)
    ana, context = Speaker(world, group, tablet), world.context(BUDI)
    ana.give(BUDI)
    receive(world.devices[BUDI], ana.write(BUDI))
    other = make_device(ANA, seed="another")._context.identity_key_pair.public
    with context.store.transaction() as tx:
        tx.delete(Table.REMOTE_IDENTITIES, address_key(ANA), b"")
        put_listed_identity(tx, ANA, other, world.clock())
    assert refuses(world, BUDI, ana.write(BUDI)) is NotAllowedInGroup


def test_what_another_own_device_sends_is_an_own_copy(world: GroupWorld, group: GroupId) -> None:
    tablet = add_companion(world, ANA)
    world.tell(group, ANA, tablet)
    speaker = Speaker(world, group, tablet)
    speaker.give(ANA, BUDI)
    message = last(receive(world.devices[ANA], speaker.write(ANA)))
    assert (message.own_copy, message.blocked, message.group) == (True, False, group)
    once = Framed(Text("look"), KEY, view_once=True)
    envelope = speaker.write(ANA, once)
    message = last(receive(world.devices[ANA], envelope))
    assert (message.content, message.view_once) == (None, True)
    assert message.ref is not None
    assert not last(receive(world.devices[BUDI], speaker.write(BUDI))).own_copy


def test_writing_on_another_own_device_accepts_the_group(world: GroupWorld) -> None:
    group = world.create(ANA, BUDI)
    world.tell(group, ANA, BUDI)
    tablet = add_companion(world, BUDI)
    world.tell(group, ANA, tablet)
    speaker, ana = Speaker(world, group, tablet), Speaker(world, group, ANA)
    speaker.give(BUDI)
    ana.give(BUDI)
    assert last(receive(world.devices[BUDI], ana.write(BUDI))).request
    message = last(receive(world.devices[BUDI], speaker.write(BUDI)))
    assert (message.own_copy, message.request) == (True, False)
    record = world.record(group, BUDI)
    assert record is not None
    assert record.accepted
    assert not last(receive(world.devices[BUDI], ana.write(BUDI))).request


def test_what_another_own_device_has_opened_is_not_shown(world: GroupWorld, group: GroupId) -> None:
    budi, context = Speaker(world, group, BUDI), world.context(ANA)
    budi.give(ANA)
    envelope = budi.write(ANA, Framed(Text("look"), KEY, view_once=True))
    with context.store.transaction() as tx:
        note_read_before(tx, context.policy, BUDI, envelope.message_id, world.clock())
    message = last(receive(world.devices[ANA], envelope))
    assert (message.content, message.expired) == (None, True)


@pytest.mark.parametrize("was_judged", [False, True])
def test_row_6_a_device_that_is_not_listed_any_more(
    world: GroupWorld, group: GroupId, was_judged: bool
) -> None:
    tablet = add_companion(world, ANA)
    world.tell(group, ANA, tablet)
    ana = Speaker(world, group, tablet)
    ana.give(BUDI)
    if was_judged:
        assert texts(receive(world.devices[BUDI], ana.write(BUDI))) == ["halo"]
    hold_list(world.devices[BUDI], list_with_groups(world.devices[ANA], seq=9))
    assert refuses(world, BUDI, ana.write(BUDI)) is UnlistedDevice


def test_row_8_a_sender_who_knows_of_a_removal_has_to_change_the_key(
    world: GroupWorld, group: GroupId
) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    receive(world.devices[BUDI], ana.write(BUDI, "one"))
    remove_members(world.context(ANA), group, [TOKO.user_id])
    world.tell(group, ANA, BUDI)
    assert refuses(world, BUDI, ana.write(BUDI)) is StaleSenderKey
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    assert texts(receive(world.devices[BUDI], ana.write(BUDI, "two"))) == ["one", "two"]


def test_row_8_a_key_may_not_be_newer_than_the_message(world: GroupWorld, group: GroupId) -> None:
    old = world.state(group, ANA).heads
    change_settings(world.context(ANA), group, name="Other")
    world.tell(group, ANA, BUDI)
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    assert refuses(world, BUDI, ana.write(BUDI, heads=old)) is StaleSenderKey


def test_row_9_only_owners_and_admins_send_there_or_now(world: GroupWorld, group: GroupId) -> None:
    toko = Speaker(world, group, TOKO)
    toko.give(BUDI)
    envelope = toko.write(BUDI)
    change_settings(world.context(ANA), group, only_admins_send=True)
    world.tell(group, ANA, BUDI, TOKO)
    assert refuses(world, BUDI, envelope) is NotAllowedInGroup
    late = toko.write(BUDI)
    change_settings(world.context(ANA), group, only_admins_send=False)
    world.tell(group, ANA, BUDI, TOKO)
    assert refuses(world, BUDI, late) is NotAllowedInGroup
    assert texts(receive(world.devices[BUDI], toko.write(BUDI))) == ["halo"]
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    world.tell(group, ANA, BUDI, TOKO)
    assert texts(receive(world.devices[BUDI], late)) == ["halo", "halo"]


def test_power_counts_where_the_message_stands_and_now(world: GroupWorld, group: GroupId) -> None:
    target = MessageRef(BUDI.user_id, bytes(16), bytes(32))
    delete = Framed(Delete(target), KEY)
    toko = Speaker(world, group, TOKO)
    toko.give(BUDI)
    assert not last(receive(world.devices[BUDI], toko.write(BUDI, delete))).moderator
    early = toko.write(BUDI, delete)
    set_role(world.context(ANA), group, TOKO.user_id, Role.ADMIN)
    world.tell(group, ANA, BUDI, TOKO)
    assert not last(receive(world.devices[BUDI], early)).moderator
    assert last(receive(world.devices[BUDI], toko.write(BUDI, delete))).moderator
    assert last(receive(world.devices[BUDI], toko.write(BUDI, delete))).moderator  # as noted
    late = toko.write(BUDI, delete)
    set_role(world.context(ANA), group, TOKO.user_id, Role.MEMBER)
    world.tell(group, ANA, BUDI)
    assert not last(receive(world.devices[BUDI], late)).moderator


def test_where_it_was_judged_before_no_commit_is_read(world: GroupWorld, group: GroupId) -> None:
    spy = SpyStore(world.devices[BUDI]._context.store)
    budi = reopen_device(world.devices[BUDI], spy, "spied")
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    spy.forget()
    receive(budi, ana.write(BUDI))
    assert spy.rows_listed > 0
    spy.forget()
    budi._context.live.graphs.clear()
    take = ana.write(BUDI)
    take_in(budi._context, 999, take.encode())
    assert not spy.reads[Table.GROUP_COMMITS]
    assert not budi._context.live.graphs


# --- Commits in a message -----------------------------------------------------------------------


def test_commits_in_a_message_are_taken_in(world: GroupWorld, group: GroupId) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    change_settings(world.context(ANA), group, name="Other")
    envelope = ana.write(BUDI, commits_of(world, group, ANA, 1))
    receive(budi, envelope)
    assert world.state(group, BUDI).settings.name == "Other"
    assert refuses(world, BUDI, envelope) is DuplicateMessage


def test_commits_of_another_group_in_a_message_count_as_received(
    world: GroupWorld, group: GroupId
) -> None:
    other = world.create(ANA, BUDI)
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    receive(world.devices[BUDI], ana.write(BUDI, commits_of(world, other, ANA, 9)))
    assert world.record(other, BUDI) is None


def test_commits_that_come_after_others_make_one_question_in_an_hour(
    world: GroupWorld, group: GroupId
) -> None:
    ana, budi = Speaker(world, group, ANA), world.devices[BUDI]
    ana.give(BUDI)
    for name in "abc":
        change_settings(world.context(ANA), group, name=name)
    heads = world.state(group, BUDI).heads
    for _ in range(3):
        receive(budi, ana.write(BUDI, commits_of(world, group, ANA, 1)))
    asked = GroupRetryRequest(group, heads, b"", b"", "unknown_group_state")
    assert told(budi) == [(ANA, asked)]
    world.clock.advance(2 * 3_600_000)
    receive(budi, ana.write(BUDI, commits_of(world, group, ANA, 1)))
    assert told(budi) == [(ANA, asked), (ANA, asked)]


def test_what_is_refused_is_not_reported_with_the_error(world: GroupWorld, group: GroupId) -> None:
    ana = Speaker(world, group, ANA)
    ana.give(BUDI)
    for envelope in (
        ana.write(BUDI, "a secret", inner_id=bytes(16)),
        ana.write(BUDI, "a secret", heads=(bytes(32),)),
        ana.seal(BUDI, b"a secret"),
    ):
        with pytest.raises(RemoteError) as caught:
            receive(world.devices[BUDI], envelope)
        for frame, _ in walk_tb(caught.tb):
            if "/e2ecross/" in frame.f_code.co_filename:
                assert b"a secret" not in repr(frame.f_locals).encode()
