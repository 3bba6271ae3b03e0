# SPDX-License-Identifier: Apache-2.0
"""A message into a group: encrypted once, for all who have the key."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from e2ecross import Address, Bytes, Media, Policy, Text
from e2ecross.device import group_missing
from e2ecross.device.composing import draft_of
from e2ecross.device.group_changes import (
    add_members,
    change_settings,
    remove_members,
)
from e2ecross.device.group_deposits import list_unsent, renew_group_outbox
from e2ecross.device.group_missing import post_missing
from e2ecross.device.group_planning import plan_group
from e2ecross.device.group_posted import GroupPosted, OutgoingToGroup
from e2ecross.device.group_sending import post_again, post_into_group
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import (
    BackendError,
    ContentRefused,
    GroupRefused,
    InvalidArgument,
    LossyContent,
    NotInGroup,
    UnknownRecipient,
)
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.sender_key import OwnSenderKey
from e2ecross.state.context import address_key
from e2ecross.state.group_keys import drop_group_key, forget_grant, put_group_key
from e2ecross.state.groups import put_group
from e2ecross.state.message import Message
from e2ecross.state.sent_ids import claim_own_copies, forget_id, keep_id, was_sent
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.content import Expiry, Framed
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.group import GroupId
from e2ecross.wire.group_records import GroupRecord
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    TOKO,
    SpyStore,
    dump,
    reopen_device,
    start,
)
from tests.support.formats import ATTACHMENT
from tests.support.group_sending import (
    add_companion,
    change_list,
    copies,
    deliver,
    empty,
    grant_all,
    granted,
    grants,
    group_key,
    plan,
    send,
    waiting,
)
from tests.support.group_world import GroupWorld, list_with_groups

CITRA = Address("messenger", "citra")
HOUR_MS = 60 * 60 * 1000


@pytest.fixture
def world() -> GroupWorld:
    return GroupWorld((ANA, BUDI, TOKO), sessions=True)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    """A group of all three, which all of them know."""
    made = world.create(ANA, BUDI, TOKO)
    world.tell(made, ANA, BUDI, TOKO)
    return made


def texts(items: Sequence[object]) -> list[object]:
    return [each.content for each in items if isinstance(each, Message)]


def post(
    world: GroupWorld, group: GroupId, message_id: bytes = MESSAGE_ID, text: str = "halo"
) -> GroupPosted | None:
    """Post without a plan."""
    context = world.context(ANA)
    outgoing = OutgoingToGroup(group, message_id, is_new=False)
    draft = draft_of(Text(text), in_group=True)
    return post_into_group(context, Leftovers(), outgoing, draft, None, KeysAsked())


# --- The way of a message ----------------------------------------------------------------------


def test_first_message_gives_the_key_and_the_second_does_not(
    world: GroupWorld, group: GroupId
) -> None:
    ana, budi, toko = (world.devices[each] for each in (ANA, BUDI, TOKO))
    first = send(ana, group)
    assert first.is_new
    assert not first.problems
    assert {*first.recipients} == {*grants(ana)} == granted(ana, group) == {BUDI, TOKO}
    # In the outbox the grants stand before the message.
    assert [isinstance(each.sent, EnvelopeCopies) for each in waiting(ana)] == [False, False, True]
    for items in deliver(ana, budi, toko).values():
        assert texts(items) == [Text("halo")]
    assert send(ana, group, "lagi").recipients
    assert grants(ana) == []
    assert texts(deliver(ana, budi)[BUDI])[-1] == Text("lagi")
    assert group_key(ana, group).key.chain.message_number == 2


def test_the_second_message_reads_no_account_and_no_commit(
    world: GroupWorld, group: GroupId
) -> None:
    spy = SpyStore(MemoryStore())
    world = GroupWorld(
        (ANA, BUDI, TOKO),
        sessions=True,
        stores=lambda name: spy if name == "ana" else MemoryStore(),
    )
    group = world.create(ANA, BUDI, TOKO)
    send(world.devices[ANA], group)
    spy.forget()
    send(world.devices[ANA], group, "lagi")
    own = world.context(ANA).address.user_id
    read = {each.partition for each in spy.operations if each.table is Table.ACCOUNTS}
    assert read <= {f"{own.app}\0{own.user}".encode()}  # its own, for the hint
    assert not spy.reads[Table.GROUP_COMMITS]
    assert not spy.reads[Table.REMOTE_IDENTITIES]


def test_the_recipients_are_gone_through_again_after_an_hour_or_a_change(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    assert post(world, group) is None
    send(ana, group)
    assert post(world, group) is not None
    world.clock.advance(HOUR_MS)
    assert post(world, group, bytes(16)) is None
    send(ana, group)
    assert post(world, group, bytes(16)) is not None
    add_companion(world, world.devices[BUDI], 2)
    assert post(world, group, b"\1" * 16) is None
    assert {*send(ana, group).recipients} == {BUDI, BUDI.user_id.device(2), TOKO}
    with ana._context.store.transaction() as tx:
        forget_grant(tx, group, TOKO)  # he has asked, and may have lost it
    empty(ana)
    assert post(world, group, b"\2" * 16) is None
    send(ana, group)
    assert grants(ana) == [TOKO]


def test_own_devices_get_a_copy_like_all_others(world: GroupWorld, group: GroupId) -> None:
    laptop = add_companion(world, world.devices[ANA], 2)
    posted = send(world.devices[ANA], group)
    assert laptop.address in posted.recipients
    (sent,) = copies(world.devices[ANA])
    assert sent.recipients == tuple(sorted((laptop.address, BUDI, TOKO), key=str))


def test_a_text_goes_in_a_frame(world: GroupWorld, group: GroupId) -> None:
    message = send(world.devices[ANA], group).message
    assert message is not None
    assert isinstance(message.content, Framed)
    message = send(world.devices[ANA], group, Bytes(b"data")).message
    assert message is not None
    assert message.content == Bytes(b"data")


def test_who_is_alone_sends_to_nobody_and_makes_no_key(world: GroupWorld) -> None:
    group = world.create(ANA)
    posted = send(world.devices[ANA], group)
    assert posted.recipients == ()
    assert posted.numbers == ()
    assert posted.key is None
    assert waiting(world.devices[ANA]) == []
    with world.context(ANA).store.transaction() as tx:
        assert tx.count(Table.OWN_SENDER_KEYS, b"\0" + group.value) == 0


def test_writing_accepts_a_group(world: GroupWorld, group: GroupId) -> None:
    record = world.record(group, BUDI)
    assert record is not None
    assert not record.accepted
    send(world.devices[BUDI], group)
    record = world.record(group, BUDI)
    assert record is not None
    assert record.accepted


# --- What devices show -------------------------------------------------------------------------


def test_what_would_be_lost_is_told_before(world: GroupWorld, group: GroupId) -> None:
    context, group_of = world.context(ANA), OutgoingToGroup(group, MESSAGE_ID, is_new=True)
    found = plan(world.devices[ANA], group)
    grant_all(world.devices[ANA], found)
    before = dump(context.store)
    for draft, error in (
        (draft_of(Text("?"), expiry=Expiry(60), in_group=True), ContentRefused),
        (draft_of(Text("?"), view_once=True, in_group=True), ContentRefused),
    ):
        with pytest.raises(error):
            post_into_group(context, Leftovers(), group_of, draft, found, KeysAsked())
        assert dump(context.store) == before


def test_what_is_refused_gives_nobody_a_key(world: GroupWorld, group: GroupId) -> None:
    """Nothing leaves the device of who has not accepted the group, and has not sent either."""
    budi = world.devices[BUDI]
    before = dump(budi._context.store)
    for draft, error in (
        (draft_of(Text("?"), expiry=Expiry(60), in_group=True), ContentRefused),
        (draft_of(Media(ATTACHMENT), in_group=True), LossyContent),
    ):
        with pytest.raises(error):
            plan_group(budi._context, group, KeysAsked(), draft=draft)
        assert dump(budi._context.store) == before
    draft = draft_of(Media(ATTACHMENT), allow_lossy=True, in_group=True)
    assert plan_group(budi._context, group, KeysAsked(), draft=draft).lacking


# --- One id, one message -----------------------------------------------------------------------


def test_the_same_id_again_does_nothing_or_tells_what_waits(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    first = send(ana, group, message_id=MESSAGE_ID)
    before = dump(ana._context.store)
    again = send(ana, group, message_id=MESSAGE_ID)
    assert dump(ana._context.store) == before
    assert not again.is_new
    assert again.numbers == first.numbers
    assert {*again.recipients} == {*first.recipients}
    assert again.destination == first.destination
    assert again.message is not None
    assert first.message is not None
    assert again.message.sent_at_ms == first.message.sent_at_ms
    empty(ana)
    again = send(ana, group, message_id=MESSAGE_ID)
    assert again.numbers == ()
    assert again.recipients == ()
    assert not again.is_new


def test_an_id_is_of_one_message_into_one_group(world: GroupWorld, group: GroupId) -> None:
    send(world.devices[ANA], group, message_id=MESSAGE_ID)
    other = world.create(ANA, BUDI)
    before = dump(world.context(ANA).store)
    with pytest.raises(InvalidArgument, match="message_id must be a new one"):
        send(world.devices[ANA], group, "another", MESSAGE_ID)
    with pytest.raises(InvalidArgument, match="message_id must be a new one"):
        send(world.devices[ANA], other, message_id=MESSAGE_ID)
    assert dump(world.context(ANA).store) == before


@pytest.mark.parametrize("went", ["to a member", "given up", "to own devices"])
def test_an_id_is_not_of_a_message_to_a_member_too(
    world: GroupWorld, group: GroupId, went: str
) -> None:
    """Whoever gets both would be shown the first alone."""
    ana, now_ms = world.devices[ANA], world.clock()
    with ana._context.store.transaction() as tx:
        if went == "to own devices":
            claim_own_copies(tx, CITRA, MESSAGE_ID, now_ms)
        else:
            keep_id(tx, BUDI, MESSAGE_ID, Text("halo"), (BUDI,), MESSAGE_ID, now_ms)
        if went == "given up":
            forget_id(tx, BUDI, MESSAGE_ID, now_ms, has_left=True)
    with pytest.raises(InvalidArgument, match="a message to a member"):
        send(ana, group, message_id=MESSAGE_ID)
    assert copies(ana) == []
    send(ana, group, message_id=bytes(16))
    with (
        ana._context.store.transaction() as tx,
        pytest.raises(InvalidArgument, match="a message into a group"),
    ):
        was_sent(tx, TOKO, bytes(16), Text("halo"), now_ms)


def test_what_is_not_kept_any_more_is_known_all_the_same(group: GroupId, world: GroupWorld) -> None:
    policy = Policy(resend_kept_messages=0)
    world = GroupWorld((ANA, BUDI), sessions=True, policy=policy)
    group = world.create(ANA, BUDI)
    send(world.devices[ANA], group, message_id=MESSAGE_ID)
    again = send(world.devices[ANA], group, message_id=MESSAGE_ID)
    assert again.message is None
    assert again.destination is None
    assert len(again.numbers) == 1


# --- Plans that do not hold --------------------------------------------------------------------


def test_a_plan_that_does_not_hold_sends_nothing(world: GroupWorld, group: GroupId) -> None:
    ana, context = world.devices[ANA], world.context(ANA)
    outgoing = OutgoingToGroup(group, MESSAGE_ID, is_new=True)
    draft = draft_of(Text("halo"), in_group=True)
    found = plan(ana, group)
    # Some lack the key, and nobody says why.
    assert post_into_group(context, Leftovers(), outgoing, draft, found, KeysAsked()) is None
    assert grant_all(ana, found)
    remove_members(context, group, [TOKO.user_id])
    before = dump(context.store)
    assert post_into_group(context, Leftovers(), outgoing, draft, found, KeysAsked()) is None
    assert not grant_all(ana, found)
    assert dump(context.store) == before
    found = plan(ana, group)
    assert grant_all(ana, found)
    with context.store.transaction() as tx:
        drop_group_key(tx, group)
    assert post_into_group(context, Leftovers(), outgoing, draft, found, KeysAsked()) is None
    assert not grant_all(ana, plan(ana, group)._replace(chain_id=1))


def test_a_plan_from_before_a_device_was_unlisted_does_not_hold(
    world: GroupWorld, group: GroupId
) -> None:
    ana, budi = world.devices[ANA], world.devices[BUDI]
    add_companion(world, budi, 2)
    found = plan(ana, group)
    assert grant_all(ana, found)
    change_list(world, list_with_groups(budi, seq=world.lists[BUDI.user_id].list.seq + 1))
    outgoing = OutgoingToGroup(group, MESSAGE_ID, is_new=True)
    draft = draft_of(Text("halo"), in_group=True)
    assert post_into_group(ana._context, Leftovers(), outgoing, draft, found, KeysAsked()) is None
    assert not grant_all(ana, found._replace(lacking=tuple(found.devices)))


def have_sent(world: GroupWorld, group: GroupId, messages: int) -> int:
    """Let Ana's key for the group have encrypted so many; returns its chain id."""
    send(world.devices[ANA], group)
    key = group_key(world.devices[ANA], group)
    chain = key.key.chain
    used = SendingChain(chain.ratchet_key_pair, chain.chain_key, messages)
    with world.context(ANA).store.transaction() as tx:
        put_group_key(tx, group, key.with_key(OwnSenderKey(key.key.chain_id, used)))
    return key.key.chain_id


def test_a_key_that_is_used_up_or_old_is_not_sent_with(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    before = have_sent(world, group, 1_000)
    assert post(world, group) is None
    empty(ana)
    send(ana, group)
    assert {*grants(ana)} == {BUDI, TOKO}
    assert group_key(ana, group).key.chain_id != before


def test_the_last_message_of_a_key_is_sent_with_it(world: GroupWorld, group: GroupId) -> None:
    before = have_sent(world, group, 999)
    posted = post(world, group)
    assert posted is not None
    assert {*posted.recipients} == {BUDI, TOKO}
    assert group_key(world.devices[ANA], group).key.chain_id == before
    assert post(world, group, bytes(16), "one more") is None


def test_grants_that_cannot_be_read_make_a_new_key(world: GroupWorld, group: GroupId) -> None:
    ana, context = world.devices[ANA], world.context(ANA)
    send(ana, group)
    before = group_key(ana, group).key.chain_id
    with context.store.transaction() as tx:
        tx.put(Table.GROUP_GRANTS, group.value, b"nobody", b"\x01")
    assert post(world, group) is None
    send(ana, group)
    assert group_key(ana, group).key.chain_id != before


# --- Who may -----------------------------------------------------------------------------------


def test_only_admins_send_where_that_is_set(world: GroupWorld, group: GroupId) -> None:
    change_settings(world.context(ANA), group, only_admins_send=True)
    world.tell(group, ANA, BUDI)
    with pytest.raises(GroupRefused, match="only owners and admins"):
        send(world.devices[BUDI], group)
    assert send(world.devices[ANA], group).recipients


def test_who_is_out_sends_nothing(world: GroupWorld, group: GroupId) -> None:
    remove_members(world.context(ANA), group, [BUDI.user_id])
    world.tell(group, ANA, BUDI)
    with pytest.raises(NotInGroup):
        send(world.devices[BUDI], group)
    with pytest.raises(NotInGroup):
        send(world.devices[ANA], GroupId(bytes(32)))


@pytest.mark.parametrize("changes", [GroupRecord(full=True), GroupRecord(outdated=2)])
def test_nothing_goes_into_a_group_that_is_over(
    world: GroupWorld, group: GroupId, changes: GroupRecord
) -> None:
    with world.context(ANA).store.transaction() as tx:
        put_group(tx, group, changes)
    with pytest.raises(GroupRefused, match="nothing can be sent"):
        send(world.devices[ANA], group)


# --- Who cannot be reached ---------------------------------------------------------------------


def test_who_cannot_be_reached_stops_nobody(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    asked = KeysAsked()
    stranger = world.join(CITRA)
    add_members(world.context(ANA), group, [CITRA.user_id], asked)
    with world.context(ANA).store.transaction() as tx:
        tx.clear(Table.SESSION_RECORDS, b"messenger\0citra\0\x01")
    asked.unreachable[CITRA] = BackendError("no answer")
    posted = send(ana, group, asked=asked)
    assert {*posted.recipients} == {BUDI, TOKO}
    assert posted.problems == {CITRA: "backend_error"}
    # That may be over with the next message, and so they are gone through again.
    assert post(world, group) is None
    assert stranger.address == CITRA


def test_who_is_not_reached_for_good_is_named_with_each_message_and_not_tried_again(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    asked = KeysAsked(unreachable={TOKO: UnknownRecipient("gone")})
    with ana._context.store.transaction() as tx:
        tx.clear(Table.SESSION_RECORDS, address_key(TOKO))
    gone = {TOKO: "unknown_recipient"}
    assert send(ana, group, asked=asked).problems == gone
    for number in range(2):
        again = post(world, group, bytes([number]) * 16)
        assert again is not None
        assert (again.recipients, again.problems) == ((BUDI,), gone)
    start(ana, world.devices[TOKO], kyber=True)
    world.clock.advance(HOUR_MS)
    assert post(world, group, b"\2" * 16) is None
    assert send(ana, group).problems == {}
    after = post(world, group, b"\2" * 16)
    assert after is not None
    assert (set(after.recipients), after.problems) == ({BUDI, TOKO}, {})


def test_who_was_not_reached_is_not_named_once_another_process_has_gone_through_all(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    asked = KeysAsked(unreachable={TOKO: UnknownRecipient("gone")})
    with ana._context.store.transaction() as tx:
        tx.clear(Table.SESSION_RECORDS, address_key(TOKO))
    assert send(ana, group, asked=asked).problems == {TOKO: "unknown_recipient"}
    start(ana, world.devices[TOKO], kyber=True)
    world.clock.advance(HOUR_MS)
    other = reopen_device(ana, ana._context.store, "another process")
    assert send(other, group).problems == {}
    posted = post(world, group)
    assert posted is not None
    assert (set(posted.recipients), posted.problems) == ({BUDI, TOKO}, {})


# --- Devices that are listed since -------------------------------------------------------------


def test_a_device_that_is_listed_since_gets_the_same_envelope(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    posted = send(ana, group, "halo")
    deliver(ana, world.devices[BUDI])
    assert post_missing(ana._context, Leftovers(), posted, KeysAsked()) is None
    laptop = add_companion(world, world.devices[BUDI], 2)
    more = post_missing(ana._context, Leftovers(), posted, KeysAsked())
    assert isinstance(more, GroupPosted)
    assert more.recipients == (*posted.recipients, laptop.address)
    (copy,) = copies(ana)
    assert copy.recipients == (laptop.address,)
    assert copy.ciphertext == posted.ciphertext
    assert grants(ana) == [laptop.address]
    assert laptop.address in granted(ana, group)
    assert post_missing(ana._context, Leftovers(), more, KeysAsked()) is None
    # The key was given as it was before the message.
    send(ana, group, "lagi")
    assert len(grants(ana)) == 1


def test_of_many_that_are_listed_since_so_many_are_given_it_at_a_time(
    world: GroupWorld, group: GroupId, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi = world.devices[ANA], world.devices[BUDI]
    posted = send(ana, group)
    empty(ana)
    tablet = add_companion(world, budi, 2)
    add_companion(world, budi, 3, tablet)
    monkeypatch.setattr(group_missing, "MAX_GRANTS", 1)
    for number in (2, 3):
        found = post_missing(ana._context, Leftovers(), posted, KeysAsked())
        assert isinstance(found, GroupPosted)
        posted = found
        assert grants(ana)[-1] == BUDI.user_id.device(number)
        assert len(grants(ana)) == number - 1
    assert post_missing(ana._context, Leftovers(), posted, KeysAsked()) is None


def test_who_joins_since_gets_no_envelope_from_before(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    posted = send(ana, group)
    empty(ana)
    world.join(CITRA)
    assert add_members(ana._context, group, [CITRA.user_id], KeysAsked()) is None
    assert post_missing(ana._context, Leftovers(), posted, KeysAsked()) is None
    assert waiting(ana) == []
    assert granted(ana, group) == {BUDI, TOKO}


PROTECTS = encode_capabilities({10, 32, 35})


@pytest.fixture
def vanishing(world: GroupWorld, group: GroupId) -> GroupPosted:
    """A message with an expiry, which all devices that there are obey."""
    for each in (BUDI, TOKO):
        change_list(world, list_with_groups(world.devices[each], capabilities=PROTECTS, seq=2))
    context = world.context(ANA)
    found, asked = plan(world.devices[ANA], group), KeysAsked()
    grant_all(world.devices[ANA], found)
    outgoing = OutgoingToGroup(group, MESSAGE_ID, is_new=True)
    draft = draft_of(Text("secret"), expiry=Expiry(60), in_group=True)
    posted = post_into_group(context, Leftovers(), outgoing, draft, found, asked)
    assert posted is not None
    return posted


def test_a_device_that_is_listed_since_and_does_not_obey_gets_nothing(
    world: GroupWorld, vanishing: GroupPosted
) -> None:
    ana = world.devices[ANA]
    add_companion(world, world.devices[BUDI], 2)
    assert post_missing(ana._context, Leftovers(), vanishing, KeysAsked()) is None
    own = add_companion(world, ana, 2)  # of the own account all get it
    more = post_missing(ana._context, Leftovers(), vanishing, KeysAsked())
    assert isinstance(more, GroupPosted)
    assert more.recipients == (*vanishing.recipients, own.address)


def test_nor_when_it_is_encrypted_anew(
    world: GroupWorld, group: GroupId, vanishing: GroupPosted
) -> None:
    ana = world.devices[ANA]
    add_companion(world, world.devices[BUDI], 2)  # and the phone has another build
    with ana._context.store.transaction() as tx:
        renew_group_outbox(ana._context, tx, world.clock())
    found, asked = plan(ana, group), KeysAsked()
    assert len(found.devices) == 3
    grant_all(ana, found)
    (unsent,) = list_unsent(ana._context)
    again = post_again(ana._context, Leftovers(), unsent, found, asked)
    assert again is not None
    assert again.recipients == (TOKO,)


def test_what_is_needed_for_a_device_that_is_listed_since(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    posted = send(ana, group)
    laptop = add_companion(world, world.devices[BUDI], 2)
    with ana._context.store.transaction() as tx:
        tx.clear(Table.SESSION_RECORDS, b"instagram\0budi\0\x02")
    needed = post_missing(ana._context, Leftovers(), posted, KeysAsked())
    assert needed == KeysNeeded({BUDI.user_id: frozenset({2})})
    asked = KeysAsked(unreachable={laptop.address: BackendError("no answer")})
    assert post_missing(ana._context, Leftovers(), posted, asked) is None
    with ana._context.store.transaction() as tx:
        tx.clear(Table.ACCOUNTS, b"instagram\0budi")
    needed = post_missing(ana._context, Leftovers(), posted, KeysAsked())
    assert isinstance(needed, KeysNeeded)
    assert [*needed.members] == [BUDI.user_id]


@pytest.mark.parametrize("has_another", [False, True])
def test_a_key_that_is_over_is_given_without_a_row(
    world: GroupWorld, group: GroupId, has_another: bool
) -> None:
    ana = world.devices[ANA]
    posted = send(ana, group)
    laptop = add_companion(world, world.devices[BUDI], 2)
    with ana._context.store.transaction() as tx:
        drop_group_key(tx, group)
    if has_another:
        plan(ana, group)
    assert post_missing(ana._context, Leftovers(), posted, KeysAsked()) is not None
    assert granted(ana, group) == set()
    assert grants(ana)[-1] == laptop.address
    nothing = replace(posted, key=None)
    assert post_missing(ana._context, Leftovers(), nothing, KeysAsked()) is None


def test_a_device_that_cannot_be_encrypted_to_stops_no_other(
    world: GroupWorld, group: GroupId
) -> None:
    ana, context = world.devices[ANA], world.context(ANA)
    found, asked = plan(ana, group), KeysAsked()
    with context.store.transaction() as tx:
        for row, _ in tx.list(Table.SESSIONS, address_key(BUDI)):
            tx.put(Table.SESSIONS, address_key(BUDI), row, b"\x01\xff")
    assert grant_all(ana, found, asked)
    assert asked.unreachable[BUDI].code == "record_corrupted"
    assert granted(ana, group) == {TOKO}
    outgoing = OutgoingToGroup(group, MESSAGE_ID, is_new=True)
    draft = draft_of(Text("halo"), in_group=True)
    posted = post_into_group(context, Leftovers(), outgoing, draft, found, asked)
    assert posted is not None
    assert posted.recipients == (TOKO,)
    assert posted.problems == {BUDI: "record_corrupted"}


def test_nothing_goes_where_nobody_can_be_reached(world: GroupWorld, group: GroupId) -> None:
    asked = KeysAsked(unreachable={each: BackendError("no answer") for each in (BUDI, TOKO)})
    posted = send(world.devices[ANA], group, asked=asked)
    assert posted.recipients == ()
    assert set(posted.problems) == {BUDI, TOKO}
    assert posted.key is None
    assert waiting(world.devices[ANA]) == []


def test_what_devices_of_others_show_is_asked_where_it_counts(
    world: GroupWorld, group: GroupId
) -> None:
    ana, budi = world.devices[ANA], world.devices[BUDI]
    able = encode_capabilities({10, 13, 35})
    change_list(world, list_with_groups(budi, capabilities=able, seq=2))
    photo = Media(ATTACHMENT)
    context = world.context(ANA)
    found = plan(ana, group)
    assert grant_all(ana, found)
    outgoing = OutgoingToGroup(group, MESSAGE_ID, is_new=True)
    names = (context, Leftovers(), outgoing)
    with pytest.raises(LossyContent) as caught:
        post_into_group(*names, draft_of(photo, in_group=True), found, KeysAsked())
    (loss,) = caught.value.plan.losses
    assert loss.devices == (TOKO,)
    draft = draft_of(photo, in_group=True, allow_lossy=True)
    posted = post_into_group(*names, draft, found, KeysAsked())
    assert posted is not None
    assert {*posted.recipients} == {BUDI, TOKO}


def test_what_an_own_device_cannot_show_is_no_loss_to_others(
    world: GroupWorld, group: GroupId
) -> None:
    ana, able = world.devices[ANA], encode_capabilities({10, 13, 35})
    for other in (BUDI, TOKO):
        change_list(world, list_with_groups(world.devices[other], capabilities=able, seq=2))
    laptop = add_companion(world, ana, 2)
    found = plan(ana, group)
    assert grant_all(ana, found)
    outgoing = OutgoingToGroup(group, MESSAGE_ID, is_new=True)
    draft = draft_of(Media(ATTACHMENT), in_group=True)
    posted = post_into_group(ana._context, Leftovers(), outgoing, draft, found, KeysAsked())
    assert posted is not None
    assert {*posted.recipients} == {BUDI, TOKO, laptop.address}
