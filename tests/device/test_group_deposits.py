# SPDX-License-Identifier: Apache-2.0
"""What leaves the outbox of groups, what becomes of it, and what a restored store makes of it."""

import pytest

from e2ecross import Address, Device, Message, Notice, Policy, Text
from e2ecross.device.group_deposits import (
    GroupResult,
    give_up_in_groups,
    list_unsent,
    next_deposit,
    settle_in_groups,
)
from e2ecross.device.group_planning import GroupPlan
from e2ecross.device.group_sending import post_again
from e2ecross.device.health import read_health
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.device.restoring import restore_device
from e2ecross.errors import NoSession
from e2ecross.state.group_keys import find_group_key
from e2ecross.state.group_outbox import GROUP_OUTBOX, put_copies
from e2ecross.state.notice import NoticeKind
from e2ecross.state.queue import number_row
from e2ecross.stores import Table
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.group import GroupId
from tests.support.devices import ANA, BUDI, MESSAGE_ID, TOKO, dump
from tests.support.group_sending import (
    add_companion,
    announce,
    copies,
    deliver,
    empty,
    grant_all,
    granted,
    grants,
    plan,
    send,
    waiting,
)
from tests.support.group_world import GroupWorld

OTHER_ID = bytes(range(16, 32))


@pytest.fixture
def world() -> GroupWorld:
    return GroupWorld((ANA, BUDI, TOKO), sessions=True)


@pytest.fixture
def group(world: GroupWorld) -> GroupId:
    made = world.create(ANA, BUDI, TOKO)
    world.tell(made, ANA, BUDI, TOKO)
    return made


def damage(device: Device, number: int) -> None:
    with device._context.store.transaction() as tx:
        tx.put(Table.OUTBOX, GROUP_OUTBOX, number_row(number), b"\x01\xff")


# --- In order ----------------------------------------------------------------------------------


def test_grants_go_together_and_before_the_message(world: GroupWorld, group: GroupId) -> None:
    ana, leftovers = world.devices[ANA], Leftovers()
    send(ana, group)
    first = next_deposit(ana._context, leftovers)
    assert {each.sent.recipient for each in first.waiting} == {BUDI, TOKO}  # type: ignore[union-attr]
    again = next_deposit(ana._context, leftovers)
    assert [each.number for each in again.waiting] == [each.number for each in first.waiting]
    behind = next_deposit(ana._context, leftovers, first.waiting[-1].number)
    assert isinstance(behind.waiting[0].sent, EnvelopeCopies)
    leftovers.note_sent_to_groups(each.number for each in (*first.waiting, *behind.waiting))
    assert next_deposit(ana._context, leftovers).waiting == ()
    assert waiting(ana) == []


def test_at_most_64_grants_go_together() -> None:
    people = [Address("messenger", f"p{number}") for number in range(66)]
    world = GroupWorld((ANA,), sessions=False)
    for each in people:
        world.join(each)
    ana = world.devices[ANA]
    for each in people:
        from tests.support.devices import start

        start(ana, world.devices[each])
    group = world.create(ANA, *people)
    send(ana, group)
    first = next_deposit(ana._context, Leftovers())
    assert len(first.waiting) == 64
    assert len(next_deposit(ana._context, Leftovers(), first.waiting[-1].number).waiting) == 2


def test_damaged_rows_are_forgotten_and_told(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    posted = send(ana, group)
    damage(ana, posted.numbers[0])
    assert len(next_deposit(ana._context, Leftovers()).waiting) == 2
    (notice,) = [each for each in world.notices(ANA) if each.kind is NoticeKind.NOT_DELIVERED]
    assert notice.code == "record_corrupted"
    assert len(waiting(ana)) == 2


# --- What becomes of it ------------------------------------------------------------------------


def test_who_is_refused_a_grant_gets_one_again(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    send(ana, group)
    of_budi = next(
        each
        for each in next_deposit(ana._context, Leftovers()).waiting
        if each.sent.recipient == BUDI  # type: ignore[union-attr]
    )
    settle_in_groups(ana._context, [GroupResult(of_budi, {BUDI: "mailbox_full"})])
    assert granted(ana, group) == {TOKO}
    assert world.notices(ANA) == []
    empty(ana)
    assert {*send(ana, group).recipients} == {BUDI, TOKO}
    assert grants(ana) == [BUDI]


def test_who_is_refused_a_message_is_told_the_app(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    laptop = add_companion(world, ana, 2).address
    posted = send(ana, group, message_id=MESSAGE_ID)
    (row,) = [each for each in waiting(ana) if each.number in posted.numbers]
    refused = {BUDI: "mailbox_full", TOKO: "unknown_recipient", laptop: "mailbox_full"}
    settle_in_groups(ana._context, [GroupResult(row, refused)])
    told = {each.user: each for each in world.notices(ANA) if each.kind is NoticeKind.NOT_DELIVERED}
    assert {each.code for each in told.values()} == {"mailbox_full", "unknown_recipient"}
    assert told[BUDI.user_id].messages == (MESSAGE_ID,)
    assert told[BUDI.user_id].group == group
    assert told[BUDI.user_id].devices == (1,)
    assert set(told) == {BUDI.user_id, TOKO.user_id}
    assert not [each for each in waiting(ana) if each.number in posted.numbers]


def test_what_an_exception_tells_or_clients_tell_each_other_is_not_told(
    world: GroupWorld, group: GroupId
) -> None:
    ana = world.devices[ANA]
    posted = send(ana, group)
    (row,) = [each for each in waiting(ana) if each.number in posted.numbers]
    world.notices(ANA)
    settle_in_groups(ana._context, [GroupResult(row, {BUDI: "mailbox_full"}, is_told=True)])
    empty(ana)
    announce(ana, group)
    (row,) = [each for each in waiting(ana) if isinstance(each.sent, EnvelopeCopies)]
    settle_in_groups(ana._context, [GroupResult(row, {BUDI: "mailbox_full"})])
    assert [each for each in world.notices(ANA) if each.kind is NoticeKind.NOT_DELIVERED] == []


# --- A restored store --------------------------------------------------------------------------


def test_a_restored_store_sends_under_new_keys_what_is_kept(
    world: GroupWorld, group: GroupId
) -> None:
    ana, context = world.devices[ANA], world.context(ANA)
    before = send(ana, group, "halo", MESSAGE_ID)
    restore_device(context, 0)
    with context.store.transaction() as tx:
        assert find_group_key(tx, group) is None
        assert tx.count(Table.GROUP_GRANTS, group.value) == 0
    (unsent,) = list_unsent(context)
    assert unsent.message_id == MESSAGE_ID
    assert unsent.number == before.numbers[0]
    # It is passed over, until it was encrypted anew.
    assert not [each for each in empty(ana) if isinstance(each.sent, EnvelopeCopies)]
    from tests.support.devices import start

    for each in (BUDI, TOKO):  # sessions never send again
        start(ana, world.devices[each], kyber=True)
    asked = KeysAsked(users={ANA.user_id, BUDI.user_id, TOKO.user_id})
    found = plan(ana, group, asked=asked)
    assert post_again(context, Leftovers(), unsent, found, asked) is None  # they lack the key
    assert grant_all(ana, found)
    posted = post_again(context, Leftovers(), unsent, found, asked)
    assert posted is not None
    assert {*posted.recipients} == {BUDI, TOKO}
    assert list_unsent(context) == []
    (sent,) = copies(ana)
    assert sent.message_id == MESSAGE_ID
    assert sent.ciphertext != before.ciphertext
    again = post_again(context, Leftovers(), unsent, found, asked)
    assert again is not None
    assert again.numbers == posted.numbers
    budi = deliver(ana, world.devices[BUDI])[BUDI]
    assert [each.content for each in budi if isinstance(each, Message)] == [Text("halo")]
    assert not send(ana, group, "halo", MESSAGE_ID).is_new


def test_a_restored_store_tells_of_what_is_not_kept() -> None:
    world = GroupWorld((ANA, BUDI), sessions=True, policy=Policy(resend_kept_messages=0))
    group = world.create(ANA, BUDI)
    ana = world.devices[ANA]
    announce(ana, group)
    announced = len(waiting(ana))
    send(ana, group, "halo", MESSAGE_ID)
    (row,) = [each for each in copies(ana) if each.message_id == MESSAGE_ID]
    with ana._context.store.transaction() as tx:  # for more than 1,024 devices there are several
        put_copies(tx, group, row)
    damage(ana, send(ana, group, "lagi", OTHER_ID).numbers[0])
    restore_device(ana._context, 0)
    told = world.notices(ANA)
    lost = [each for each in told if each.kind is NoticeKind.NOT_DELIVERED]
    assert [each.code for each in lost] == ["restored_store", "record_corrupted"]
    assert lost[0].messages == (MESSAGE_ID,)
    assert lost[0].group == group
    (restored,) = [each for each in told if each.kind is NoticeKind.RESTORED]
    assert MESSAGE_ID in restored.messages
    assert len(waiting(ana)) == announced  # what clients tell each other stays as it is


def test_what_cannot_be_encrypted_anew_is_given_up(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    send(ana, group, "halo", MESSAGE_ID)
    restore_device(ana._context, 0)
    world.notices(ANA)
    (unsent,) = list_unsent(ana._context)
    give_up_in_groups(ana._context, unsent, "not_in_group")
    assert list_unsent(ana._context) == []
    (notice,) = world.notices(ANA)
    assert isinstance(notice, Notice)
    assert (notice.messages, notice.code) == ((MESSAGE_ID,), "not_in_group")


def test_what_was_forgotten_meanwhile_is_not_encrypted_anew(
    world: GroupWorld, group: GroupId
) -> None:
    ana, context = world.devices[ANA], world.context(ANA)
    send(ana, group, "halo", MESSAGE_ID)
    restore_device(context, 0)
    (unsent,) = list_unsent(context)
    world.clock.advance(40 * 24 * 60 * 60 * 1000)
    found = post_again(context, Leftovers(), unsent, plan_of_nobody(ana, group), KeysAsked())
    assert found is not None
    assert found.numbers == ()
    assert list_unsent(context) == []


def plan_of_nobody(device: Device, group: GroupId) -> GroupPlan:
    asked = KeysAsked(users={BUDI.user_id, TOKO.user_id, ANA.user_id})
    for each in (BUDI, TOKO):
        asked.unreachable[each] = NoSession("none")
    return plan(device, group, asked=asked)


# --- Health ------------------------------------------------------------------------------------


def test_the_doctor_reads_it_all(world: GroupWorld, group: GroupId) -> None:
    ana = world.devices[ANA]
    send(ana, group)
    policy = ana._context.policy
    with ana._context.store.transaction() as tx:
        health = read_health(tx, policy, world.clock())
    assert [each for each in health.tables if each.damaged] == []
    assert health.queues.outbox == 1
    damage(ana, 1)
    with ana._context.store.transaction() as tx:
        tx.put(Table.OWN_SENDER_KEYS, b"\0" + group.value, b"", b"\x01")
        tx.put(Table.GROUP_GRANTS, group.value, b"nobody", b"\x01")
        health = read_health(tx, policy, world.clock())
    damaged = {each.table: each.damaged for each in health.tables if each.damaged}
    assert damaged == {Table.OUTBOX: 1, Table.OWN_SENDER_KEYS: 1, Table.GROUP_GRANTS: 1}
    assert dump(ana._context.store)
