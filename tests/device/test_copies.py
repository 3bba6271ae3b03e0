# SPDX-License-Identifier: Apache-2.0
"""Copies of a message for the devices of accounts: made, missed, given up."""

import pytest

from e2ecross import Client, Message, Notice, NoticeKind, Text
from e2ecross.device.composing import draft_of
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, KeysNeeded, Posted
from e2ecross.device.posting import post_messages, post_missing
from e2ecross.device.settling import report
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    HostingChanged,
    MailboxFull,
    UnknownRecipient,
)
from e2ecross.state.sent_ids import is_known_id, note_copies
from e2ecross.state.transactions import peer_transaction
from tests.support.accounts import (
    account,
    change_account,
    change_devices,
    device_of,
    make_account,
    new_client,
)
from tests.support.devices import ANA, BUDI, MESSAGE_ID, NOW_MS, BackendSimulator, FakeClock

LAPTOP = device_of(BUDI, 2)


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()


@pytest.fixture
def ana(backend: BackendSimulator, clock: FakeClock) -> list[Client]:
    return make_account(ANA, (1, 2), backend, clock=clock)


@pytest.fixture
def budi(backend: BackendSimulator) -> list[Client]:
    return make_account(BUDI, (1, 2), backend)


def post(client: Client, asked: KeysAsked | None = None) -> Posted | KeysNeeded | E2ECrossError:
    """Put one message for Budi into the outbox, or say why not."""
    message = Outgoing(BUDI, MESSAGE_ID, is_new=True)
    _, (result,) = post_messages(
        client.device._context,
        Leftovers(),
        [message],
        draft_of(Text("halo")),
        set(),
        asked or KeysAsked(),
    )
    assert result is not None
    return result


def has_copies(client: Client) -> bool:
    """Whether other own devices get copies of what is sent: not where there are stripes."""
    return not client.device._context.store.stripes


def notices(client: Client, clock: FakeClock) -> list[Notice]:
    clock.advance(40_000)  # one of many workers looks for them now and then
    items = client.receive()
    client.confirm(items)
    return [item for item in items if isinstance(item, Notice)]


def test_what_is_needed_of_accounts_that_are_not_known(ana: list[Client]) -> None:
    needed = post(ana[0])
    assert isinstance(needed, KeysNeeded)
    own = {ANA.user_id: frozenset((2,))} if has_copies(ana[0]) else {}
    assert needed.wanted == {BUDI.user_id: None, **own}


def test_out_of_reach_whoever_is_not_known_cannot_be_sent_to(
    ana: list[Client], budi: list[Client]
) -> None:
    asked, lost = KeysAsked(), BackendError("out of reach")
    needed = post(ana[0], asked)
    assert isinstance(needed, KeysNeeded)
    asked.note_failure(needed, lost)
    own = [ana[1].device.address] if has_copies(ana[0]) else []
    assert asked.users == {BUDI.user_id, *(address.user_id for address in own)}
    assert asked.unreachable == dict.fromkeys((BUDI, *own), lost)
    assert post(ana[0], asked) is lost


def test_an_account_that_others_host_now_waits_for_the_user(
    ana: list[Client], budi: list[Client]
) -> None:
    ana[0].send(BUDI, Text("halo"))
    change_account(ana[0].device, BUDI.user_id, hosting_unseen=True)
    refused = post(ana[0])
    assert isinstance(refused, HostingChanged)
    assert refused.user == BUDI.user_id
    with pytest.raises(HostingChanged, match="instagram:budi"):
        ana[0].send(BUDI, Text("halo"))


def test_what_is_not_kept_is_sent_to_no_new_device(ana: list[Client], budi: list[Client]) -> None:
    ana[0].send(BUDI, Text("halo"))
    context, asked = ana[0].device._context, KeysAsked()
    message = Outgoing(BUDI, MESSAGE_ID, is_new=False)
    assert post_missing(context, Leftovers(), [message], set(), asked)[1] == [None]


def test_what_has_left_is_found_in_no_backlog_of_later_messages(
    backend: BackendSimulator, ana: list[Client], budi: list[Client]
) -> None:
    ana[0].send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    ana[0].maintain()
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana[0].send(BUDI, Text("later"))
    message = Outgoing(BUDI, MESSAGE_ID, is_new=False)
    names = (ana[0].device._context, Leftovers(), [message], draft_of(Text("halo")))
    _, (again,) = post_messages(*names, set(), KeysAsked())
    assert isinstance(again, Posted)
    assert again.copies == ()


def test_who_is_listed_since_gets_the_message_under_the_same_id(
    backend: BackendSimulator, ana: list[Client], budi: list[Client]
) -> None:
    ana[0].send(BUDI, Text("before"))
    tablet = new_client(device_of(BUDI, 3), backend)
    change_devices(backend, *budi, tablet)
    sent = ana[0].send(BUDI, Text("halo"))
    own = [2] if has_copies(ana[0]) else []
    assert [each.address.device for each in sent.deliveries] == [1, 2, *own, 3]
    assert not any(each.problem for each in sent.deliveries)
    for client in (*budi, tablet):
        got = [item for item in client.receive() if isinstance(item, Message)]
        assert got[-1].message_id == sent.message_id
    assert account(ana[0].device, BUDI.user_id).held == account(tablet.device, BUDI.user_id).held


def test_one_full_mailbox_is_told_by_the_delivery_alone(
    backend: BackendSimulator, ana: list[Client], budi: list[Client], clock: FakeClock
) -> None:
    ana[0].send(BUDI, Text("before"))
    backend.broken[LAPTOP] = MailboxFull("full")
    sent = ana[0].send(BUDI, Text("halo"))
    own = {"whatsapp:ana.2": ""} if has_copies(ana[0]) else {}
    assert {str(each.address): each.problem for each in sent.deliveries} == {
        "instagram:budi.1": "",
        "instagram:budi.2": "mailbox_full",
        **own,
    }
    assert ana[0].pending() == []
    assert notices(ana[0], clock) == []


def test_when_nobody_of_the_account_has_room_the_message_is_taken_back(
    backend: BackendSimulator, ana: list[Client], budi: list[Client]
) -> None:
    ana[0].send(BUDI, Text("before"))
    ana[1].receive()
    for client in budi:
        backend.broken[client.device.address] = MailboxFull("full")
    with pytest.raises(MailboxFull):
        ana[0].send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    assert ana[0].pending() == []
    assert ana[1].receive() == []
    context = ana[0].device._context
    with context.store.transaction() as tx:
        assert not is_known_id(tx, BUDI, MESSAGE_ID, NOW_MS)
    backend.broken.clear()
    ana[0].send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    for client in (*budi, *[ana[1]] * has_copies(ana[0])):
        got = [item for item in client.receive() if isinstance(item, Message)]
        assert got[-1].message_id == MESSAGE_ID


def test_a_promise_that_is_given_up_takes_the_own_copies_along(
    backend: BackendSimulator, ana: list[Client], budi: list[Client], clock: FakeClock
) -> None:
    """Nobody waits for it any more: it is told by a notice, once, with the last copy."""
    ana[0].send(BUDI, Text("before"))
    ana[1].receive()
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana[0].send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    assert len(ana[0].pending()) == 2 + has_copies(ana[0])
    for client in budi:
        backend.broken[client.device.address] = UnknownRecipient("gone")
    ana[0].maintain()
    assert ana[0].pending() == []
    (notice,) = notices(ana[0], clock)
    assert (notice.kind, notice.user, notice.devices) == (
        NoticeKind.NOT_DELIVERED,
        BUDI.user_id,
        (),
    )
    assert notice.messages == (MESSAGE_ID,)
    assert ana[1].receive() == []


def test_of_one_device_that_asks_in_vain_the_app_hears_which(
    ana: list[Client], budi: list[Client], clock: FakeClock
) -> None:
    sent = ana[0].send(BUDI, Text("halo"))
    context = ana[0].device._context
    for _ in range(2):  # once
        with peer_transaction(context, BUDI.user_id) as tx:
            report(context, tx, LAPTOP, sent.message_id, "expired", has_left=True)
    (notice,) = notices(ana[0], clock)
    assert (notice.kind, notice.devices) == (NoticeKind.NOT_DELIVERED, (2,))
    with peer_transaction(context, BUDI.user_id) as tx:
        assert is_known_id(tx, BUDI, sent.message_id, NOW_MS)
        report(context, tx, BUDI, sent.message_id, "expired", has_left=True)
        assert not is_known_id(tx, BUDI, sent.message_id, NOW_MS)
    (notice,) = notices(ana[0], clock)
    assert (notice.kind, notice.devices) == (NoticeKind.NOT_DELIVERED, ())


def test_what_the_own_devices_miss_is_told_by_nobody(
    ana: list[Client], budi: list[Client], clock: FakeClock
) -> None:
    sent = ana[0].send(BUDI, Text("halo"))
    context = ana[0].device._context
    with context.store.transaction() as tx:
        own = ana[1].device.address
        report(context, tx, own, sent.message_id, "expired", has_left=True)
        assert is_known_id(tx, BUDI, sent.message_id, NOW_MS)
    assert notices(ana[0], clock) == []


def test_of_a_message_that_is_not_known_nothing_is_noted(ana: list[Client]) -> None:
    context = ana[0].device._context
    with context.store.transaction() as tx:
        note_copies(tx, BUDI, MESSAGE_ID, NOW_MS, added=[LAPTOP])
        assert not is_known_id(tx, BUDI, MESSAGE_ID, NOW_MS)


def test_devices_that_are_listed_one_soon_after_another_all_get_it(
    backend: BackendSimulator, ana: list[Client]
) -> None:
    """A list that was handed out with keys does not keep the next one from being asked for."""
    (phone,) = make_account(BUDI, (1,), backend)
    ana[0].send(BUDI, Text("before"))
    devices = [phone]
    for number in (2, 3, 4):
        devices.append(new_client(device_of(BUDI, number), backend))
        change_devices(backend, *devices)
        sent = ana[0].send(BUDI, Text("halo"))
        got = [item for item in devices[-1].receive() if isinstance(item, Message)]
        assert [item.message_id for item in got] == [sent.message_id], number
