# SPDX-License-Identifier: Apache-2.0
"""Broken sessions heal: messages that could not be read are asked for, and come again, once."""

from collections.abc import Callable
from typing import cast

import pytest

from e2ecross import (
    Bytes,
    Client,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    Policy,
    RetryRequest,
    Text,
)
from e2ecross.device.waiting import Pending
from e2ecross.errors import (
    AuthenticationFailed,
    BackendError,
    DecodeError,
    DuplicateMessage,
    IdentityChangedError,
    InvalidArgument,
    MailboxFull,
    UnknownPrekey,
    UnknownRecipient,
    UnknownSession,
    UntrustedIdentity,
)
from e2ecross.state.context import address_key
from e2ecross.state.retry_budget import BUDGET
from e2ecross.state.sent import MAX_RESENDS
from e2ecross.stores import Table
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.session_records import StoredSession
from e2ecross.wire.shelf_records import RetryBudgetRecord
from tests.client.conversation import (
    SESSION_TABLES,
    ask,
    damage,
    forget_sessions,
    meet,
    not_delivered,
    promise,
    read,
    read_notices,
    reinstalled,
    reopen,
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
    dump,
    make_client,
    make_device,
    new_bundle,
)
from tests.support.lone_worker import end_holds, let_look
from tests.support.store_kinds import STRIPES
from tests.support.values import with_fields

# --- Healing --------------------------------------------------------------------------------


def test_a_message_of_a_lost_session_comes_again_once(pair: tuple[Client, Client]) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    (failed,) = budi.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, UnknownSession)
    assert failed.retrying
    assert (failed.sender, failed.message_id) == (ANA, sent.message_id)
    budi.confirm([failed])
    assert read(ana) == []
    (message,) = budi.receive()
    assert isinstance(message, Message)
    assert (message.sender, message.message_id) == (ANA, sent.message_id)
    assert message.content == Text("lost")
    budi.confirm([message])
    assert read(ana) == read(budi) == []
    # Both ends have one session that works.
    ana.send(BUDI, Text("ping"))
    assert read(budi) == ["ping"]
    budi.send(ANA, Text("pong"))
    assert read(ana) == ["pong"]


def test_a_copy_says_when_the_message_was_sent_first(
    pair: tuple[Client, Client], clock: FakeClock
) -> None:
    ana, budi = pair
    sent_at_ms = clock.now_ms
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    clock.advance(DAY_MS)
    read(budi)
    read(ana)
    (message,) = budi.receive()
    assert isinstance(message, Message)
    assert message.sent_at_ms == sent_at_ms


@pytest.mark.parametrize("count", [1, 7, 60])
def test_a_whole_backlog_comes_again_in_its_order(
    count: int, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    texts = [f"m{number}" for number in range(count)]
    for text in texts:
        ana.send(BUDI, Text(text))
    forget_sessions(budi)
    left = len(backend.left(ANA))
    assert read(budi) == ["!unknown_session"] * count
    assert len(backend.left(ANA)) == left - 1  # one session for all requests
    assert read(ana) == []
    assert read(budi) == texts


def test_the_largest_content_comes_again(pair: tuple[Client, Client]) -> None:
    ana, budi = pair
    content = Bytes(bytes(range(256)) * 256)
    ana.send(BUDI, content)
    forget_sessions(budi)
    read(budi)
    read(ana)
    (message,) = budi.receive()
    assert isinstance(message, Message)
    assert message.content == content


@pytest.mark.parametrize("table", SESSION_TABLES[:2])
def test_a_damaged_session_is_given_up_and_replaced(
    table: Table, pair: tuple[Client, Client]
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    trust = budi.device.remote_identity(ANA)
    damage(budi, table)
    assert read(budi) == ["!unknown_session"]
    assert read(ana) == []
    assert read(budi) == ["lost"]
    assert budi.device.remote_identity(ANA) == trust


@pytest.mark.parametrize("table", SESSION_TABLES[:2])
def test_a_damaged_session_does_not_keep_from_sending(
    table: Table, pair: tuple[Client, Client]
) -> None:
    ana, budi = pair
    damage(ana, table)
    ana.send(BUDI, Text("halo"))
    assert read(budi) == ["halo"]


def test_other_damage_is_not_papered_over(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("halo"))
    store = store_of(budi)
    (where,) = [where for where in dump(store) if where[0] is Table.REMOTE_IDENTITIES]
    with store.transaction() as tx:
        good = tx.get(*where)
        tx.put(*where, b"\x01\xff")
    budi.maintain()  # forgets what it has sent
    before = dump(store)
    with pytest.raises(Exception, match="damaged"):
        budi.receive()
    assert dump(store) == before
    assert good is not None
    with store.transaction() as tx:
        tx.put(*where, good)
    end_holds(budi, backend)
    assert read(budi) == ["halo"]


def test_a_request_that_is_lost_is_not_sent_again(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """Else requests about requests would go on for ever."""
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    assert read(budi) == ["!unknown_session"]
    # Budi's request waits, in a session begun with a prekey that Ana loses now.
    store = store_of(ana)
    for where in dump(store):
        if where[0] is Table.ONE_TIME_PREKEYS:
            with store.transaction() as tx:
                tx.delete(*where)
    assert read(ana) == ["!unknown_prekey"]  # she cannot know that it was a request, and asks
    deposits = len(backend.deposits)
    for client in (budi, ana, budi, ana):
        assert read(client) == []
    assert len(backend.deposits) == deposits
    # Her asking has made a session that both can use.
    ana.send(BUDI, Text("next"))
    budi.send(ANA, Text("hi"))
    assert (read(budi), read(ana)) == (["next"], ["hi"])


def test_a_message_damaged_on_the_way_comes_again(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("halo"))
    backend.rewrite(BUDI, 0, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    assert read(budi) == ["!authentication_failed"]
    assert read(ana) == []
    assert read(budi) == ["halo"]


def test_the_back_end_cannot_tell_a_request_from_a_message(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    read(budi)
    (request,) = backend.waiting(ANA)
    toko = make_client(TOKO, backend)
    toko.send(ANA, Text("a first message of about that length, in words"))
    message = backend.waiting(ANA)[-1]
    assert request.kind is message.kind is MessageKind.PREKEY
    assert len(request.ciphertext) == len(message.ciphertext)
    read(ana)
    (copy,) = backend.waiting(BUDI)
    assert copy.message_id != request.message_id


# --- Once -----------------------------------------------------------------------------------


def test_a_message_that_was_read_is_not_shown_again_when_it_comes_as_a_copy(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("once"))
    copy = backend.mailbox(BUDI)[0]
    forget_sessions(budi)
    assert read(budi) == ["!unknown_session"]
    backend.inject(BUDI, copy)  # the same failing bytes: asked for a second time
    assert read(budi) == ["!authentication_failed"]
    assert read(ana) == []
    assert len(backend.mailbox(BUDI)) == 2
    assert read(budi) == ["once"]
    assert read(budi) == []
    again = reopen(budi, backend)
    assert read(again) == []


def test_a_replayed_message_is_not_asked_for(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("halo"))
    copy = backend.mailbox(BUDI)[0]
    assert read(budi) == ["halo"]
    backend.inject(BUDI, copy)
    (failed,) = budi.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, DuplicateMessage)
    assert not failed.retrying
    assert backend.mailbox(ANA) == []
    forget_sessions(budi)
    backend.inject(BUDI, copy)
    (failed,) = budi.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, UnknownSession)
    assert not failed.retrying


def test_a_request_is_answered_once(pair: tuple[Client, Client], backend: BackendSimulator) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    read(budi)
    request = backend.mailbox(ANA)[0]
    assert read(ana) == []
    backend.inject(ANA, request)
    assert read(ana) == ["!duplicate_message"]
    assert len(backend.mailbox(BUDI)) == 1


# --- Who gets what --------------------------------------------------------------------------


def test_a_message_is_not_sent_to_another_who_knows_its_id(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("for budi"))
    assert read(budi) == ["for budi"]
    toko = make_client(TOKO, backend)
    toko.send(ANA, Text("hi"))
    ask(toko, ANA, sent.message_id)
    before = [row for row in dump(store_of(ana)) if row[0] is Table.SENT]
    assert read(ana) == ["hi"]
    assert backend.mailbox(TOKO) == backend.mailbox(BUDI) == []
    assert [row for row in dump(store_of(ana)) if row[0] is Table.SENT] == before
    ask(budi, ANA, sent.message_id)
    assert read(ana) == []
    assert len(backend.mailbox(BUDI)) == 1


@pytest.mark.usefixtures("alone")
def test_what_a_changed_identity_asks_for_waits_until_it_is_accepted(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, _ = pair
    sent = ana.send(BUDI, Text("for the old budi"))
    new = reinstalled(BUDI, backend)
    ask(new, ANA, sent.message_id)
    notice, item = ana.receive()
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.IDENTITY_PENDING
    assert (notice.user, notice.devices) == (BUDI.user_id, (BUDI.device,))
    assert notice.messages == (sent.message_id,)
    assert isinstance(item, FailedMessage)
    assert isinstance(item.error, IdentityChangedError)  # never silent
    assert item.error.address == BUDI
    assert notice.identity_key == item.error.identity_key == new.device.identity_key
    assert not item.retrying
    ana.maintain()
    assert backend.mailbox(BUDI) == []
    with pytest.raises(UntrustedIdentity):
        ana.send(BUDI, Text("more"))
    ana.device.accept_identity(BUDI, new.device.identity_key)
    assert read(ana) == []
    assert read(new) == ["for the old budi"]


@pytest.mark.usefixtures("alone")
def test_what_a_rejected_identity_has_asked_for_is_told_and_not_sent(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, _ = pair
    sent = ana.send(BUDI, Text("for the old budi"))
    new = reinstalled(BUDI, backend)
    ask(new, ANA, sent.message_id)
    ana.confirm(ana.receive())
    with pytest.raises(InvalidArgument):
        ana.device.reject_identity(BUDI, make_device(TOKO).identity_key)
    assert read(ana) == []
    ana.device.reject_identity(BUDI, new.device.identity_key)
    assert not_delivered(read_notices(ana)) == [(sent.message_id, "untrusted_identity")]
    assert backend.mailbox(BUDI) == []
    assert waiting(ana) == []


def test_nothing_is_sent_again_to_an_identity_that_only_the_policy_accepted(
    backend: BackendSimulator,
) -> None:
    ana = make_client(ANA, backend, policy=Policy(accept_changed_identity=True))
    budi = make_client(BUDI, backend)
    meet(ana, budi)
    sent = ana.send(BUDI, Text("for the old budi"))
    new = reinstalled(BUDI, backend)
    ask(new, ANA, sent.message_id)
    changed, given_up = read_notices(ana)
    assert (changed.kind, changed.user) == (NoticeKind.IDENTITY_CHANGED, BUDI.user_id)
    assert (changed.devices, changed.identity_key) == ((1,), new.device.identity_key)
    assert not_delivered([given_up]) == [(sent.message_id, "authentication_failed")]
    assert (given_up.user, given_up.devices) == (BUDI.user_id, ())
    assert backend.mailbox(BUDI) == []
    later = ana.send(BUDI, Text("for the new one"))
    assert read(new) == ["for the new one"]
    ask(new, ANA, sent.message_id)
    ask(new, ANA, later.message_id)
    assert read(ana) == []  # told once
    assert len(backend.mailbox(BUDI)) == 1  # only what was for this identity
    # It was given up. The user may send it again, under another id: the back end knows the first.
    with pytest.raises(InvalidArgument, match="must be a new one"):
        ana.send(BUDI, Text("for the old budi"), message_id=sent.message_id)
    ana.send(BUDI, Text("for the old budi"))
    assert read(new) == ["for the old budi"]


def test_nothing_is_asked_of_somebody_whose_identity_has_changed(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    _, budi = pair
    new = reinstalled(ANA, backend)
    new.send(BUDI, Text("new phone"))
    assert read(budi) == ["new phone"]
    forget_sessions(budi)
    new.send(BUDI, Text("more"))
    backend.rewrite(BUDI, 0, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    pending, failed = budi.receive()
    assert isinstance(pending, Notice)  # the request waits for the user's decision
    assert pending.kind is NoticeKind.IDENTITY_PENDING
    assert isinstance(failed, FailedMessage)
    assert not failed.retrying
    assert backend.mailbox(ANA) == []


# --- What is not asked for, and what is given up ---------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: b"garbage", DecodeError),
        (lambda data: b"", DecodeError),
    ],
)
def test_what_names_no_sender_is_not_asked_for(
    change: Callable[[bytes], bytes],
    error: type[Exception],
    pair: tuple[Client, Client],
    backend: BackendSimulator,
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("halo"))
    backend.rewrite(BUDI, 0, change)
    (failed,) = budi.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, error)
    assert not failed.retrying
    assert backend.mailbox(ANA) == []


def test_a_request_waits_for_a_back_end_that_cannot_be_reached(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    backend.fail("fetch_bundle", times=2)
    (failed,) = budi.receive()
    assert isinstance(failed, FailedMessage)
    assert failed.retrying
    with pytest.raises(BackendError):
        budi.maintain()
    assert len(waiting(budi)) == 1
    budi.maintain()
    assert waiting(budi) == []
    assert read(ana) == []
    assert read(budi) == ["lost"]


def retried(client: Client) -> list[tuple[str, bool]]:
    """What a client hands over, all of it failures: code, and whether the message may come."""
    failures = []
    for _ in range(2 if STRIPES else 1):  # of one sender first what is to be confirmed
        let_look(client)
        items = client.receive()
        new = [item for item in items if isinstance(item, FailedMessage)]
        assert len(items) == len(new)
        client.confirm(items)
        failures += new
    return [(item.error.code, item.retrying) for item in failures]


def test_a_request_to_nobody_is_given_up(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    backend.forget(ANA)
    assert retried(budi) == [("unknown_session", True), ("unknown_session", False)]
    assert waiting(budi) == []
    assert read(budi) == []  # it was no message of the user


def test_a_message_that_is_not_kept_any_more_is_not_sent_again(
    pair: tuple[Client, Client], backend: BackendSimulator, clock: FakeClock
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    clock.advance(8 * DAY_MS)
    assert read(budi) == ["!unknown_session"]
    assert not_delivered(read_notices(ana)) == [(sent.message_id, "unknown_session")]
    assert backend.mailbox(BUDI) == []
    ana.send(BUDI, Text("next"))  # in the session that the request came in
    assert read(budi) == ["next"]


def test_without_a_kept_message_there_is_no_copy_but_a_session(
    backend: BackendSimulator,
) -> None:
    ana = make_client(ANA, backend, policy=Policy(resend_kept_messages=0))
    budi = make_client(BUDI, backend, policy=Policy(resend_kept_messages=0))
    meet(ana, budi)
    sent = ana.send(BUDI, Text("lost"))
    assert all(b"lost" not in record for record in dump(store_of(ana)).values())
    forget_sessions(budi)
    assert read(budi) == ["!unknown_session"]
    assert not_delivered(read_notices(ana)) == [(sent.message_id, "unknown_session")]
    ana.send(BUDI, Text("next"))
    assert read(budi) == ["next"]


def test_a_stranger_is_asked_in_one_new_session_a_day(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    budi = make_client(BUDI, backend, clock=clock)
    toko = make_client(TOKO, backend, clock=clock)
    for text in ("one", "two", "three"):
        toko.send(BUDI, Text(text))
    store = store_of(budi)
    for where in dump(store):
        if where[0] is Table.ONE_TIME_PREKEYS:
            with store.transaction() as tx:
                tx.delete(*where)
    left = len(backend.left(TOKO))
    failed = [cast("FailedMessage", item) for item in budi.receive()]
    assert [type(item.error) for item in failed] == [UnknownPrekey] * 3
    # Whether the stranger trusts this installation is for them to decide.
    assert [item.retrying for item in failed] == [False, False, False]
    assert len(backend.mailbox(TOKO)) == 3
    assert len(backend.left(TOKO)) == left - 1
    budi.confirm(failed)
    # The answer makes a contact of the stranger.
    assert read(toko) == []
    assert read(budi) == ["one", "two", "three"]
    identity = budi.device.remote_identity(TOKO)
    assert identity is not None
    assert identity.asked_at_ms == 0


def test_forged_messages_of_a_stranger_cost_one_bundle_a_day(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    budi = make_client(BUDI, backend, clock=clock)
    toko = make_client(TOKO, backend, clock=clock)
    left = len(backend.left(TOKO)) - 3
    for day in range(3):
        for number in range(5):
            toko.device.start_session(new_bundle(budi.device, kyber=True))
            forged = toko.device.encrypt(BUDI, Text(f"{day} {number}")).encode()
            backend.inject(BUDI, forged[:-1] + bytes((forged[-1] ^ 1,)))
        budi.confirm(budi.receive())
        assert len(backend.mailbox(TOKO)) == 5 * (day + 1)
        clock.advance(DAY_MS)
    assert len(backend.left(TOKO)) == left


def test_one_message_is_asked_for_three_times_at_most(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    budi = make_client(BUDI, backend, clock=clock)
    toko = make_client(TOKO, backend, clock=clock)
    toko.send(BUDI, Text("one"))
    genuine = backend.mailbox(BUDI)[0]
    backend.drop(BUDI, 0)
    for day in range(3):
        for number in range(5):
            backend.inject(BUDI, genuine[:-1] + bytes((genuine[-1] ^ (1 + number + 8 * day),)))
        budi.confirm(budi.receive())
        assert len(backend.mailbox(TOKO)) == 3
        clock.advance(DAY_MS)


def test_a_failed_decrypt_of_a_device_changes_no_byte(pair: tuple[Client, Client]) -> None:
    ana, budi = pair
    envelope = ana.device.encrypt(BUDI, Text("halo"))
    forget_sessions(budi)
    before = dump(store_of(budi))
    with pytest.raises(UnknownSession):
        budi.device.decrypt(envelope)
    assert dump(store_of(budi)) == before


def test_a_device_alone_reads_requests_and_copies(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    read(budi)
    (envelope,) = backend.waiting(ANA)
    message = ana.device.decrypt(envelope)
    assert isinstance(message.content, RetryRequest)
    assert message.content.message_id == sent.message_id
    assert message.content.reason == "unknown_session"
    assert message.content.ratchet_key is not None
    again = budi.device.decrypt(ana.device.encrypt(BUDI, Text("again")))
    assert again.content == Text("again")


def test_a_forged_request_does_nothing(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("halo"))
    assert read(budi) == ["halo"]
    ask(budi, ANA, sent.message_id)
    backend.rewrite(ANA, 0, lambda data: data[:-9] + bytes((data[-9] ^ 1,)) + data[-8:])
    (failed,) = ana.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, AuthenticationFailed)
    assert all(envelope.sender == ANA for envelope in backend.waiting(BUDI))
    assert len(backend.mailbox(BUDI)) == 1  # Ana's own request, for what she could not read


def test_a_message_is_sent_again_ten_times_and_then_nothing_is_spent_on_it(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("halo"))
    assert read(budi) == ["halo"]
    for number in range(12):
        ask(budi, ANA, sent.message_id)
        told = not_delivered(read_notices(ana))
        assert told == [(sent.message_id, "authentication_failed")] * (number == MAX_RESENDS)
        assert len(backend.mailbox(BUDI)) == (number < MAX_RESENDS)
        assert read(budi) == []
    store = store_of(ana)
    with store.transaction() as tx:
        total = tx.get(Table.RETRIES, BUDGET, b"")
    assert total is not None
    assert RetryBudgetRecord.decode(total).answers == MAX_RESENDS


def test_requests_and_answers_do_not_wait_for_a_full_mailbox(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """Else a back end that damages everything, and takes nothing, would fill the store."""
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    backend.fail("deposit", MailboxFull("full, it says"))
    # No app knows of requests, but that one was made it was told.
    assert retried(budi) == [("unknown_session", True), ("unknown_session", False)]
    assert waiting(budi) == []
    assert read(budi) == []
    # An answer, too; also when it was encrypted before, and the back end could not be reached.
    sent = ana.send(BUDI, Text("more"))
    ask(budi, ANA, sent.message_id)
    backend.fail("deposit", BackendError("gone"))
    with pytest.raises(BackendError):
        ana.receive()
    assert len(waiting(ana)) == 1
    backend.fail("deposit", MailboxFull("full, it says"))
    end_holds(ana, backend)
    ana.maintain()
    assert waiting(ana) == []
    let_look(ana)
    assert not_delivered(read_notices(ana)) == [(sent.message_id, "mailbox_full")]


def test_a_request_that_was_encrypted_and_is_given_up_is_told_to_who_waits(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    backend.fail("deposit", BackendError("gone"))
    assert read(budi) == ["!unknown_session"]
    (request,) = waiting(budi)
    assert request.envelope is not None
    assert request.control is not None
    backend.fail("deposit", UnknownRecipient("gone"))
    budi.maintain()
    assert waiting(budi) == []
    assert retried(budi) == [("unknown_session", False)]


def test_who_has_got_the_message_meanwhile_hears_nothing_of_the_request(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("comes twice"))
    (genuine,) = backend.mailbox(BUDI)
    backend.rewrite(BUDI, 0, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    backend.fail("deposit", BackendError("gone"))
    assert retried(budi) == [("authentication_failed", True)]
    backend.inject(BUDI, genuine)
    backend.fail("deposit", UnknownRecipient("gone"))
    assert read(budi) == ["comes twice"]
    assert waiting(budi) == []
    assert read(budi) == []


def test_of_a_stranger_nothing_was_promised(backend: BackendSimulator) -> None:
    """So that nobody could be asked is no news."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("lost"))
    backend.rewrite(BUDI, 0, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    backend.fail("fetch_bundle", UnknownRecipient("gone"))
    assert [is_told for _, is_told in retried(budi)] == [False]
    assert waiting(budi) == []
    assert read(budi) == []


def test_a_message_waits_for_a_full_mailbox(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    backend.fail("deposit", BackendError("gone"))
    (message_id,) = promise(ana, BUDI, "promised")
    backend.fail("deposit", MailboxFull("full"))
    ana.maintain()
    assert ana.pending() == [Pending(message_id, BUDI, "mailbox_full")]
    end_holds(ana, backend)
    let_look(ana)
    assert read(ana) == []
    assert read(budi) == ["promised"]


def test_a_second_copy_under_a_changed_identity_is_not_silent(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """Whoever plays Budi knows the ids of his messages."""
    ana, budi = pair
    sent = budi.send(ANA, Text("genuine"))
    assert read(ana) == ["genuine"]
    new = reinstalled(BUDI, backend)
    new.send(ANA, Text("never delivered"))
    backend.drop(ANA, 0)
    copy = new.device.encrypt(ANA, Text("a copy, it says"), message_id=sent.message_id)
    backend.inject(ANA, copy.encode())
    (item,) = ana.receive()
    assert isinstance(item, FailedMessage)
    assert isinstance(item.error, IdentityChangedError)
    assert (item.error.address, item.error.identity_key) == (BUDI, new.device.identity_key)
    assert (item.sender, item.message_id) == (BUDI, sent.message_id)
    with pytest.raises(UntrustedIdentity):
        ana.send(BUDI, Text("more"))


def test_a_session_whose_identity_is_damaged_is_replaced(pair: tuple[Client, Client]) -> None:
    ana, budi = pair
    store = store_of(ana)
    (where,) = [where for where in dump(store) if where[0] is Table.SESSIONS]
    other = make_device(TOKO).identity_key
    with store.transaction() as tx:
        record = StoredSession.decode(tx.get(*where) or b"")
        tx.put(*where, with_fields(record, remote_identity_key=other).encode())
    ana.send(BUDI, Text("halo"))
    assert read(budi) == ["halo"]
    budi.send(ANA, Text("hi"))
    assert read(ana) == ["hi"]
    identity = ana.device.remote_identity(BUDI)
    assert identity is not None
    assert identity.identity_key == budi.device.identity_key


def test_a_first_message_after_damage_is_dated_by_the_clock(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    ana, budi = (make_client(address, backend, clock=clock) for address in (ANA, BUDI))
    store = store_of(budi)
    with store.transaction() as tx:  # the list of sessions with somebody who never wrote
        tx.put(Table.SESSION_RECORDS, address_key(ANA), b"", b"\x01\xff")
    clock.advance(DAY_MS)
    ana.send(BUDI, Text("first"))
    assert read(budi) == ["first"]
    identity = budi.device.remote_identity(ANA)
    assert identity is not None
    assert identity.first_seen_at_ms == clock.now_ms
