# SPDX-License-Identifier: Apache-2.0
"""Requests about messages take nothing from what users sent, and are bounded."""

import pytest

from e2ecross import Client, Envelope, FailedMessage, NoticeKind, Policy, RetryRequest, Text
from e2ecross.device.settling import hold_for_decision
from e2ecross.errors import BackendError
from e2ecross.state.outbox import Backlog, BacklogName, put_control, put_resend
from e2ecross.state.retry_budget import BUDGET
from e2ecross.stores import Table
from e2ecross.wire.shelf_records import RetryBudgetRecord
from tests.client.conversation import (
    ask,
    forget_sessions,
    meet,
    not_delivered,
    promise,
    read,
    read_notices,
    store_of,
    waiting,
)
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    make_client,
    make_device,
)
from tests.support.store_kinds import STRIPES


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


def fail_many(sender: Client, reader: Client, backend: BackendSimulator, count: int) -> None:
    """Messages arrive damaged, so that their reader asks for them."""
    address = reader.device.address
    for _ in range(count):
        sender.send(address, Text("damaged"))
        backend.rewrite(address, len(backend.mailbox(address)) - 1, damaged)
    while reader.receive():
        pass


def test_requests_push_no_message_of_the_user_out(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    """Ana asks for fifty; what she has sent stays kept all the same."""
    policy = Policy(resend_kept_messages=5)
    ana = make_client(ANA, backend, clock=clock, policy=policy)
    budi, toko = (make_client(address, backend, clock=clock) for address in (BUDI, TOKO))
    meet(ana, budi)
    meet(ana, toko)
    sent = ana.send(BUDI, Text("kept"))
    assert read(budi) == ["kept"]
    fail_many(toko, ana, backend, 50)
    ask(budi, ANA, sent.message_id)
    assert read(ana) == []
    (copy,) = backend.waiting(BUDI)
    assert copy.message_id != sent.message_id


def test_an_id_of_a_request_is_none_of_what_users_sent(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """Whoever asks for a request gets nothing, and no app hears of it."""
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    assert read(budi) == ["!unknown_session"]
    (request,) = backend.waiting(ANA)
    budi_deposits = len(backend.deposits)
    ask(ana, BUDI, request.message_id)
    assert read(budi) == []
    assert backend.deposits[budi_deposits + 1 :] == []
    assert waiting(budi) == []
    assert read(ana) == []
    assert read(budi) == ["lost"]


def test_a_request_does_not_stand_in_the_place_of_a_message(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """To the same person: a request that cannot be sent holds up no message, nor the reverse."""
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    backend.fail("fetch_bundle", times=2)
    assert read(budi) == ["!unknown_session"]
    assert [item.backlog.name for item in waiting(budi)] == [BacklogName.REQUESTS]
    with pytest.raises(BackendError):
        budi.send(ANA, Text("needs a bundle, too"))
    budi.send(ANA, Text("now"))
    assert "now" in read(ana)


def test_what_is_promised_goes_in_the_same_call_as_requests(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = budi.send(ANA, Text("damaged"))
    backend.drop(ANA, 0)
    with store_of(ana).transaction() as tx:  # asked for, and the device has not come to it yet
        put_control(
            tx,
            BUDI,
            bytes(16),
            RetryRequest(sent.message_id, None, 0, "decode_error"),
            fresh_session=True,
        )
    backend.fail("deposit")
    (message_id,) = promise(ana, BUDI, "one")
    ana.maintain()
    # And before them; of a stripe the backlogs go in an order of chance.
    first, second = (Envelope.decode(data).message_id for data in backend.deposits[-2:])
    assert first == message_id or (STRIPES and second == message_id)
    assert waiting(ana) == []
    assert read(budi) == ["one"]
    assert read(ana) == ["damaged"]


def test_requests_have_a_budget_for_each_and_in_all(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    policy = Policy(retry_requests_per_peer=4, retry_requests=6)
    ana = make_client(ANA, backend, clock=clock, policy=policy)
    budi, toko = (make_client(address, backend, clock=clock) for address in (BUDI, TOKO))
    meet(ana, budi)
    meet(ana, toko)
    fail_many(budi, ana, backend, 10)
    assert len(backend.mailbox(BUDI)) == 4
    fail_many(toko, ana, backend, 10)
    of_toko = 4 if STRIPES else 2  # in all is in each stripe
    assert len(backend.mailbox(TOKO)) == of_toko
    clock.advance(DAY_MS)
    fail_many(toko, ana, backend, 10)
    assert len(backend.mailbox(TOKO)) == of_toko + 4


def test_a_budget_of_answers_that_is_used_up_is_told(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    ana = make_client(ANA, backend, clock=clock, policy=Policy(resends_per_peer=2))
    budi = make_client(BUDI, backend, clock=clock)
    meet(ana, budi)
    ids = [ana.send(BUDI, Text(str(n))).message_id for n in range(3)]
    forget_sessions(budi)
    assert len(read(budi)) == 3
    assert not_delivered(read_notices(ana)) == [(ids[2], "unknown_session")]
    assert read(budi) == ["0", "1"]


def test_a_stranger_counts_once_among_those_asked_in_a_day(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    """Also while nobody could be asked: then nothing is known of them yet."""
    ana, toko = (make_client(address, backend, clock=clock) for address in (ANA, TOKO))
    for n in range(5):
        toko.send(ANA, Text(str(n)))
        backend.rewrite(ANA, n, damaged)
    backend.fail("fetch_bundle")
    assert len(read(ana)) == 5
    with store_of(ana).transaction() as tx:
        total = tx.get(Table.RETRIES, BUDGET, b"")
    assert total is not None
    record = RetryBudgetRecord.decode(total)
    assert (record.requests, record.strangers) == (5, 1)
    assert [item.fresh_session for item in waiting(ana)] == [True, False, False, False, False]
    ana.maintain()
    assert read(toko) == []
    assert read(ana) == ["0", "1", "2", "3", "4"]


def test_a_contact_who_is_asked_for_a_message_does_not_become_a_stranger(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """Of strangers fewer are asked, and the app is not told that the message may still come."""
    ana, budi = pair
    for _ in range(2):
        budi.send(ANA, Text("damaged"))
        backend.rewrite(ANA, len(backend.mailbox(ANA)) - 1, damaged)
        (failure,) = ana.receive()
        assert isinstance(failure, FailedMessage)
        assert failure.retrying
        ana.confirm([failure])
        known = ana.device.remote_identity(BUDI)
        assert known is not None
        assert known.asked_at_ms == 0
    assert len(backend.waiting(BUDI)) == 2


@pytest.mark.usefixtures("alone")
def test_what_is_asked_for_while_requests_wait_for_the_user_is_named(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """The accepted identity asks, while another that a bundle has brought waits to be decided."""
    ana, budi = pair
    sent = [ana.send(BUDI, Text(text)).message_id for text in ("one", "two")]
    assert read(budi) == ["one", "two"]
    key = make_device(BUDI, seed="another").identity_key
    with store_of(ana).transaction() as tx:
        put_resend(tx, BUDI, sent[0])
    hold_for_decision(ana.device._context, Backlog(BacklogName.REQUESTS, BUDI), key)
    (notice,) = read_notices(ana)
    assert (notice.kind, notice.messages) == (NoticeKind.IDENTITY_PENDING, (sent[0],))
    ask(budi, ANA, sent[1])
    (notice,) = read_notices(ana)
    assert (notice.kind, notice.messages) == (NoticeKind.IDENTITY_PENDING, (sent[1],))
    assert notice.identity_key == key
