# SPDX-License-Identifier: Apache-2.0
"""What becomes of what waits in the outbox."""

from contextlib import AbstractContextManager

import pytest

from e2ecross import (
    Address,
    Device,
    Envelope,
    FailedMessage,
    MessageKind,
    Notice,
    NoticeKind,
    Policy,
    RetryRequest,
    Text,
)
from e2ecross.device.composing import draft_of
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.device.posting import post_messages
from e2ecross.device.settling import Result, give_up, hold_for_decision, settle, take_back
from e2ecross.device.waiting import find_posted, read_held_key
from e2ecross.errors import InvalidArgument, RestoredStore, StoreBusy, StoreError
from e2ecross.state.backlog_times import put_leaving
from e2ecross.state.inbox import walk_inbox
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    Waiting,
    list_backlog,
    put_control,
    put_envelope,
    put_resend,
)
from e2ecross.state.sent_ids import was_sent
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import MemoryStore, Table, Transaction
from tests.support.accounts import make_account
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    BackendSimulator,
    dump,
    introduce,
    make_device,
    start,
)
from tests.support.kept import keep_sent

BACKLOG = Backlog(BacklogName.REQUESTS, BUDI)
ASKED = KeysAsked({BUDI.user_id})
KEYS = [make_device(BUDI, seed=seed).identity_key for seed in ("one", "another")]


def told(device: Device) -> list[tuple[tuple[bytes, ...], str]]:
    """Messages that the app was told of, and why they will not arrive."""
    context = device._context
    with context.store.transaction() as tx:
        items = [item for _, item in walk_inbox(context, tx)]
    return [(item.messages, item.code) for item in items if isinstance(item, Notice)]


def held(device: Device) -> list[bytes]:
    """The keys that the app has been told to decide about, in order."""
    context = device._context
    with context.store.transaction() as tx:
        items = [item for _, item in walk_inbox(context, tx)]
    keys = []
    for item in items:
        assert isinstance(item, Notice)
        assert item.kind is NoticeKind.IDENTITY_PENDING
        keys.append(item.identity_key)
    return keys


def test_what_another_thread_has_settled_is_not_taken_back_nor_told_again() -> None:
    """The caller of `send` hears of a full mailbox; somebody else has found that it is refused."""
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    context = ana._context
    left = Leftovers()
    for message_id, text in ((MESSAGE_ID, "halo"), (bytes(16), "behind it")):
        post_messages(
            context, left, [Outgoing(BUDI, message_id, True)], draft_of(Text(text)), set(), ASKED
        )
    backlog = Backlog(BacklogName.MESSAGES, BUDI)
    (waiting,) = find_posted(
        context, left, [(BUDI, MESSAGE_ID, Waiting(backlog, 0, MESSAGE_ID, None))]
    )
    assert isinstance(waiting, Waiting)
    settle(context, [Result(waiting, "backend_refused")])
    before = dump(context.store)
    take_back(context, BUDI, MESSAGE_ID, is_told=True)
    assert dump(context.store) == before
    take_back(context, BUDI, bytes(16), is_told=True)
    with context.store.transaction() as tx:
        assert list_backlog(tx, waiting.backlog) == []
        ((_, notice),) = walk_inbox(context, tx)
    assert isinstance(notice, Notice)
    assert (notice.messages, notice.code) == ((MESSAGE_ID,), "backend_refused")


def test_what_a_backlog_waits_for_is_said_once_for_each_key() -> None:
    device = make_device(ANA)
    context = device._context
    hold_for_decision(context, BACKLOG, KEYS[0])  # nothing waits there yet
    assert held(device) == []
    with context.store.transaction() as tx:
        put_control(
            tx,
            BUDI,
            bytes(16),
            RetryRequest(bytes(16), None, 0, "decode_error"),
            fresh_session=True,
        )
    for key in (KEYS[0], KEYS[0], KEYS[1], KEYS[1]):
        hold_for_decision(context, BACKLOG, key)
    assert held(device) == KEYS


def test_what_nothing_waits_in_waits_for_no_key() -> None:
    assert read_held_key(make_device(ANA)._context, BACKLOG) == b""


def test_what_two_threads_give_up_is_told_once() -> None:
    context = (device := make_device(ANA))._context
    backlog = Backlog(BacklogName.MESSAGES, BUDI)
    with context.store.transaction() as tx:
        put_envelope(tx, Envelope(MESSAGE_ID, ANA, BUDI, MessageKind.SIGNAL, b"data"))
        (waiting,) = list_backlog(tx, backlog)
    for _ in range(2):
        with context.store.transaction() as tx:
            give_up(context, tx, waiting, "expired")
    assert told(device) == [((MESSAGE_ID,), "expired")]


def test_the_id_of_a_message_that_was_given_up_after_it_had_left_is_not_taken_again() -> None:
    context = (device := make_device(ANA))._context
    introduce(device, make_device(BUDI))
    with context.store.transaction() as tx:
        keep_sent(tx, Policy(), BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        put_resend(tx, BUDI, MESSAGE_ID)
        (waiting,) = list_backlog(tx, BACKLOG)
        give_up(context, tx, waiting, "expired")
    assert told(device) == [((MESSAGE_ID,), "expired")]
    with context.store.transaction() as tx, pytest.raises(InvalidArgument, match="not delivered"):
        was_sent(tx, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)


def test_what_somebody_else_has_given_up_is_told_once() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    context = ana._context
    with context.store.transaction() as tx:
        put_control(
            tx,
            BUDI,
            bytes(16),
            RetryRequest(bytes(16), None, 0, "decode_error"),
            fresh_session=True,
        )
        (waiting,) = list_backlog(tx, BACKLOG)
        for _ in range(2):
            give_up(context, tx, waiting, "unknown_recipient")
        (item,) = [item for _, item in walk_inbox(context, tx)]
    assert isinstance(item, FailedMessage)
    assert (item.sender, item.message_id, item.retrying) == (BUDI, bytes(16), False)


def test_what_waits_for_a_key_of_an_account_names_the_device_whose_key_it_is() -> None:
    """The identity of all of its devices is that of device 1, and the app accepts that one."""
    backend = BackendSimulator()
    (ana,) = make_account(ANA, (1,), backend)
    _, laptop = make_account(BUDI, (1, 2), backend)
    ana.send(BUDI, Text("halo"))
    device = ana.device
    backlog = Backlog(BacklogName.REQUESTS, laptop.device.address)
    with device._context.store.transaction() as tx:
        put_resend(tx, backlog.recipient, MESSAGE_ID)
    hold_for_decision(device._context, backlog, KEYS[0])
    with device._context.store.transaction() as tx:
        ((_, notice),) = walk_inbox(device._context, tx)
    assert isinstance(notice, Notice)
    assert (notice.user, notice.devices) == (BUDI.user_id, (1,))


class Refusing(AroundStore):
    """A store of which some stripes cannot be used, each for a reason of its own."""

    def __init__(self, reasons: dict[int, StoreError]) -> None:
        super().__init__(MemoryStore(64))
        self.reasons = reasons

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        if stripe in self.reasons:
            raise self.reasons[stripe]
        return super().transaction(stripe, moved=moved)


def test_a_stripe_that_fails_keeps_no_other_from_being_settled() -> None:
    people = [Address("messenger", f"user{number}") for number in range(30)]
    store = Refusing({})
    context = make_device(ANA, store)._context
    left = []
    for number, each in enumerate(people):
        envelope = Envelope(number.to_bytes(16), ANA, each, MessageKind.SIGNAL, b"?")
        with peer_transaction(context, each.user_id) as tx:
            left.append(put_leaving(tx, envelope, envelope.encode(), NOW_MS))
    stripes = sorted({context.stripe_of(each.user_id) for each in people})
    store.reasons = {stripes[1]: StoreBusy("busy"), stripes[3]: RestoredStore("put back")}
    with pytest.raises(RestoredStore):  # the gravest, whichever comes first
        settle(context, [Result(each) for each in left])
    store.reasons = {}
    assert store.stripes_with(Table.OUTBOX) == [stripes[1], stripes[3]]
    settle(context, [Result(each) for each in left])
    assert store.stripes_with(Table.OUTBOX) == []
