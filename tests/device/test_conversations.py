# SPDX-License-Identifier: Apache-2.0
"""What the user decides about accounts: in whatever order devices hear of it, they agree."""

from hypothesis import example, given
from hypothesis import strategies as st

from e2ecross import Device, UserId
from e2ecross.device.conversations import (
    accept,
    block,
    list_requests,
    note_sent_to,
    put_states,
    take_states,
    unblock,
)
from e2ecross.state.conversations import find_conversation, put_conversation
from e2ecross.state.outbox import remove_waiting
from e2ecross.wire.content import ConversationState, ConversationStates
from e2ecross.wire.conversation_records import ConversationRecord
from e2ecross.wire.limits import MAX_CONVERSATION_STATES
from tests.support.accounts import (
    account,
    device_of,
    hold_list,
    link_devices,
    outbox,
    sign_devices,
    told,
)
from tests.support.devices import ANA, BUDI, dump, make_device

CONTACT = BUDI.user_id

STATES = st.builds(
    ConversationState,
    st.just(CONTACT),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)


def take(device: Device, *states: ConversationState) -> None:
    with device._context.store.transaction() as tx:
        take_states(device._context, tx, ConversationStates(states))


def known(device: Device) -> ConversationRecord:
    with device._context.store.transaction() as tx:
        return find_conversation(tx, CONTACT)


@given(st.lists(STATES, min_size=1, max_size=8), st.randoms())
def test_all_devices_come_to_the_same(states: list[ConversationState], random: object) -> None:
    """In any order, together or alone, and twice."""
    one, other = make_device(ANA), make_device(ANA)
    take(one, *states)
    shuffled = [*states, *states]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for state in shuffled:
        take(other, state)
    assert known(one) == known(other)
    is_accepted = known(one).state == 1
    assert account(one, CONTACT).written is account(other, CONTACT).written is is_accepted


class Household:
    """Three devices of one account, and what is on its way between them."""

    def __init__(self) -> None:
        self.devices = [make_device(device_of(ANA, number)) for number in (1, 2, 3)]
        hold_list(self.devices[0], sign_devices(*self.devices))
        for device in self.devices[1:]:
            hold_list(device, sign_devices(*self.devices))
        self.on_the_way: list[tuple[int, object]] = []

    def do(self, place: int, what: str) -> None:
        device = self.devices[place]
        context = device._context
        if what == "write":
            with context.store.transaction() as tx:
                note_sent_to(context, tx, CONTACT)
            self.on_the_way += [(other, "copy") for other in range(3) if other != place]
        else:
            {"accept": accept, "block": block, "unblock": unblock}[what](context, CONTACT)
        new = outbox(device)
        with context.store.transaction() as tx:
            for waiting in new:
                self.on_the_way.append((waiting.backlog.recipient.device - 1, waiting.control))
                remove_waiting(tx, waiting)

    def deliver(self, place: int) -> None:
        number, content = self.on_the_way.pop(place % len(self.on_the_way))
        context = self.devices[number]._context
        with context.store.transaction() as tx:
            if isinstance(content, ConversationStates):
                take_states(context, tx, content)
            else:
                note_sent_to(context, tx, CONTACT, is_copy=True)


DEEDS = st.one_of(
    st.tuples(st.integers(0, 2), st.sampled_from(["accept", "block", "unblock", "write"])),
    st.tuples(st.integers(0, 99), st.just("deliver")),
)


@given(st.lists(DEEDS, max_size=20))
@example([(0, "write"), (0, "deliver"), (0, "deliver"), (0, "unblock"), (1, "write")])
def test_whatever_is_decided_and_written_where_all_devices_come_to_the_same(
    deeds: list[tuple[int, str]],
) -> None:
    """Also where one writes to who was just made a stranger, or blocked, on another."""
    household = Household()
    for place, what in deeds:
        if what != "deliver":
            household.do(place, what)
        elif household.on_the_way:
            household.deliver(place)
    while household.on_the_way:
        household.deliver(0)
    one, *others = map(known, household.devices)
    assert others == [one, one]
    written = [account(device, CONTACT).written for device in household.devices]
    assert written == [one.state == 1] * 3


def test_a_decision_is_above_what_was_known_and_is_told_all_others() -> None:
    phone, laptop, tablet = (make_device(device_of(ANA, number)) for number in (1, 2, 3))
    hold_list(phone, sign_devices(phone, laptop, tablet))
    take(phone, ConversationState(CONTACT, 1, no_receipts=False, no_typing=False, number=7))
    block(phone._context, CONTACT)
    expected = ConversationState(CONTACT, 2, no_receipts=False, no_typing=False, number=8)
    states = ConversationStates((expected,))
    found = sorted(told(phone), key=lambda each: each[0].device)
    assert found == [(laptop.address, states), (tablet.address, states)]
    before = dump(phone._context.store)
    block(phone._context, CONTACT)
    assert dump(phone._context.store) == before


def test_numbers_end_at_the_greatest() -> None:
    phone = make_device(ANA)
    take(phone, ConversationState(CONTACT, 1, no_receipts=False, no_typing=False, number=2**64 - 1))
    block(phone._context, CONTACT)
    assert known(phone) == ConversationRecord(2, number=2**64 - 1)


def test_writing_is_a_decision_where_one_was_made_before_and_a_copy_undoes_none() -> None:
    phone = make_device(ANA)
    context = phone._context
    with context.store.transaction() as tx:
        note_sent_to(context, tx, ANA.user_id)
        put_conversation(tx, CONTACT, ConversationRecord(waiting=3))
        note_sent_to(context, tx, CONTACT)
    assert known(phone) == ConversationRecord(1)
    with context.store.transaction() as tx:
        put_conversation(tx, CONTACT, ConversationRecord(waiting=3, number=1))
        note_sent_to(context, tx, CONTACT, is_copy=True)
        assert find_conversation(tx, CONTACT).waiting == 3
        note_sent_to(context, tx, CONTACT)
    assert known(phone) == ConversationRecord(1, number=2)
    assert list_requests(context) == []
    block(context, CONTACT)
    with context.store.transaction() as tx:
        note_sent_to(context, tx, CONTACT, is_copy=True)
    assert known(phone).state == 2
    with context.store.transaction() as tx:
        note_sent_to(context, tx, CONTACT)
    assert known(phone) == ConversationRecord(1, number=4)


def test_a_new_device_is_told_all_that_was_decided_and_no_more_than_that() -> None:
    phone, laptop = make_device(ANA), make_device(device_of(ANA, 2))
    link_devices(phone, laptop)
    context = phone._context
    accept(context, CONTACT)
    with context.store.transaction() as tx:
        for number in range(MAX_CONVERSATION_STATES):
            blocked, stranger = UserId("threads", f"b{number}"), UserId("threads", f"s{number}")
            put_conversation(tx, blocked, ConversationRecord(2, number=1))
            put_conversation(tx, stranger, ConversationRecord(waiting=1))
    before = len(told(phone))
    put_states(context, 2)
    sent = [content for _, content in told(phone)[before:]]
    assert all(isinstance(content, ConversationStates) for content in sent)
    lengths = [len(content.states) for content in sent if isinstance(content, ConversationStates)]
    assert lengths == [MAX_CONVERSATION_STATES, 1]
    assert {address for address, _ in told(phone)} == {laptop.address}


def test_a_new_device_is_told_also_what_was_taken_back_and_what_follows_from_writing() -> None:
    phone, laptop = make_device(ANA), make_device(device_of(ANA, 2))
    link_devices(phone, laptop)
    context, friend = phone._context, UserId("threads", "friend")
    block(context, CONTACT)
    unblock(context, CONTACT)
    with context.store.transaction() as tx:
        note_sent_to(context, tx, friend)
    before = len(told(phone))
    put_states(context, 2)
    ((_, content),) = told(phone)[before:]
    assert isinstance(content, ConversationStates)
    assert {each.user: (each.state, each.number) for each in content.states} == {
        CONTACT: (0, 2),
        friend: (1, 0),
    }
