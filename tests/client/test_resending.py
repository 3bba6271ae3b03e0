# SPDX-License-Identifier: Apache-2.0
"""What is asked for and sent again when trust, sessions or the outbox have changed meanwhile."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from e2ecross import (
    Client,
    ControlMessage,
    Envelope,
    FailedMessage,
    Notice,
    NoticeKind,
    Policy,
    RetryRequest,
    Text,
)
from e2ecross.crypto.keys import decode_public_key
from e2ecross.device.answering import answer_request
from e2ecross.device.receiving import Received
from e2ecross.device.waiting import may_be_sent_again
from e2ecross.errors import (
    BackendError,
    EnvelopeMismatch,
    IdentityChangedError,
    RecordCorrupted,
    UnsupportedVersion,
)
from e2ecross.state.outbox import put_control, put_resend
from e2ecross.state.sent import MAX_RESENDS, find_kept
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.content import Payload
from tests.client.conversation import (
    ask,
    damage,
    forget_sessions,
    meet,
    not_delivered,
    read,
    read_notices,
    reinstalled,
    store_of,
    waiting,
)
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    BackendSimulator,
    dump,
    introduce,
    make_client,
    make_device,
    start,
)
from tests.support.lone_worker import end_holds

LAX = Policy(accept_changed_identity=True)


def put_back(client: Client, message_id: bytes) -> None:
    """Budi is to get a message again, and the device has not come to it yet."""
    with store_of(client).transaction() as tx:
        put_resend(tx, BUDI, message_id)


# --- What is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [lambda e: replace(e, recipient=TOKO), lambda e: replace(e, sender=e.recipient)]
)
def test_what_is_not_for_us_or_claims_to_be_ours_is_not_asked_for(
    change: Callable[[Envelope], Envelope],
    pair: tuple[Client, Client],
    backend: BackendSimulator,
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("halo"))
    backend.rewrite(BUDI, 0, lambda data: change(Envelope.decode(data)).encode())
    (failed,) = budi.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, EnvelopeMismatch)
    assert not failed.retrying
    assert backend.mailbox(ANA) == backend.free(BUDI) == []


def test_what_would_fail_again_is_not_asked_for(backend: BackendSimulator) -> None:
    ana = make_client(ANA, backend, policy=Policy(refuse_changed_identity=True))
    budi = make_client(BUDI, backend)
    meet(ana, budi)
    budi.send(ANA, Text("of a later protocol"))
    backend.rewrite(ANA, 0, later_version)
    new = reinstalled(BUDI, backend)
    new.send(ANA, Text("new phone"))
    failed = ana.receive()
    assert [type(item.error) for item in failed if isinstance(item, FailedMessage)] == [
        UnsupportedVersion,
        IdentityChangedError,
    ]
    assert [item.retrying for item in failed if isinstance(item, FailedMessage)] == [False, False]
    assert backend.mailbox(BUDI) == []


def later_version(data: bytes) -> bytes:
    envelope = Envelope.decode(data)
    return replace(envelope, ciphertext=b"\x54" + envelope.ciphertext[1:]).encode()


def test_a_request_names_the_message_it_is_about_and_when_it_was_made(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    for text in ("one", "two", "three"):
        sent = ana.send(BUDI, Text(text))
    backend.rewrite(BUDI, 2, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    assert read(budi) == ["one", "two", "!authentication_failed"]
    (envelope,) = backend.waiting(ANA)
    message = ana.device.decrypt(envelope)
    assert isinstance(message, ControlMessage)
    assert isinstance(message.content, RetryRequest)
    assert message.content.message_id == sent.message_id
    assert message.content.counter == 2
    assert message.sent_at_ms == NOW_MS


# --- How often ----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy(resends_per_peer=1), Policy(resends=1)])
def test_no_more_is_sent_again_than_the_policy_says(
    policy: Policy, backend: BackendSimulator
) -> None:
    ana = make_client(ANA, backend, policy=policy)
    budi = make_client(BUDI, backend)
    meet(ana, budi)
    sent = [ana.send(BUDI, Text(text)) for text in ("one", "two")]
    assert read(budi) == ["one", "two"]
    for message in sent:
        ask(budi, ANA, message.message_id)
    # The app hears which message its contact has asked for and does not get.
    told = not_delivered(read_notices(ana))
    assert told == [(sent[1].message_id, "authentication_failed")]
    assert len(backend.mailbox(BUDI)) == 1


def test_one_message_is_sent_again_so_often_and_no_more(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("again"))
    assert read(budi) == ["again"]
    for number in range(MAX_RESENDS + 2):
        ask(budi, ANA, sent.message_id)
        assert read(ana) == ["*not_delivered"] * (number == MAX_RESENDS)
    assert len(backend.mailbox(BUDI)) == MAX_RESENDS


def test_a_copy_of_what_was_read_leaves_the_back_end_and_nothing_else(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("once"))
    assert read(budi) == ["once"]
    ask(budi, ANA, sent.message_id)
    assert read(ana) == []
    assert len(backend.mailbox(BUDI)) == 1
    assert read(budi) == []
    assert backend.mailbox(BUDI) == []
    assert read(budi) == []


# --- To whom ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_a_copy_that_waits_does_not_go_to_an_identity_that_came_up_meanwhile(
    backend: BackendSimulator,
) -> None:
    ana = make_client(ANA, backend, policy=LAX)
    meet(ana, make_client(BUDI, backend))
    sent = ana.send(BUDI, Text("for the old budi"))
    other = ana.send(BUDI, Text("for whoever is Budi"))
    new = reinstalled(BUDI, backend)
    new.send(ANA, Text("new phone"))
    assert read(ana) == ["*identity_changed", "new phone"]
    put_back(ana, sent.message_id)
    ana.maintain()
    assert backend.mailbox(BUDI) == []
    assert waiting(ana) == []
    assert not_delivered(read_notices(ana)) == [(sent.message_id, "untrusted_identity")]
    ana.device.accept_identity(BUDI, new.device.identity_key)
    put_back(ana, other.message_id)
    ana.maintain()
    assert read(new) == ["for whoever is Budi"]


@pytest.mark.usefixtures("alone")
def test_a_copy_that_waits_waits_on_for_the_user_to_decide_about_an_identity(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, _ = pair
    sent = ana.send(BUDI, Text("for whoever is Budi"))
    put_back(ana, sent.message_id)
    new = reinstalled(BUDI, backend)
    new.send(ANA, Text("new phone"))
    notices = [item for item in (*ana.receive(), *ana.receive()) if isinstance(item, Notice)]
    (notice,) = notices
    assert notice.kind is NoticeKind.IDENTITY_PENDING
    assert notice.messages == (sent.message_id,)
    assert notice.identity_key == new.device.identity_key
    ana.maintain()
    assert backend.mailbox(BUDI) == []
    assert [item.message_id for item in waiting(ana)] == [sent.message_id]
    ana.device.accept_identity(BUDI, new.device.identity_key)
    ana.maintain()
    assert read(new) == ["for whoever is Budi"]


def test_a_late_request_of_an_identity_that_was_left_is_not_answered(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("for the old budi"))
    # In the session that there is; it is on its way while the user decides.
    request = RetryRequest(sent.message_id, None, 0, "decode_error")
    with store_of(budi).transaction() as tx:
        put_control(tx, ANA, MESSAGE_ID, request, fresh_session=False)
    budi.maintain()
    assert len(backend.mailbox(ANA)) == 1
    new = reinstalled(BUDI, backend)
    ana.device.accept_identity(BUDI, new.device.identity_key)
    assert read(ana) == ["!identity_changed"]  # as late messages are flagged
    assert waiting(ana) == []
    assert backend.mailbox(BUDI) == []
    ana.send(BUDI, Text("for the new one"))
    assert read(new) == ["for the new one"]


def test_while_an_identity_waits_to_be_accepted_nothing_may_be_sent_again(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, _ = pair
    sent = ana.send(BUDI, Text("for the old budi"))
    context = ana.device._context
    with context.store.transaction() as tx:
        kept = find_kept(tx, context.policy, BUDI, sent.message_id, context.clock())
        assert kept is not None
        assert may_be_sent_again(tx, kept)
    reinstalled(BUDI, backend).send(ANA, Text("new phone"))
    assert read(ana) == ["new phone"]
    with context.store.transaction() as tx:
        assert not may_be_sent_again(tx, kept)


def test_while_an_identity_waits_to_be_accepted_a_request_changes_nothing() -> None:
    ana, budi, new = make_device(ANA), make_device(BUDI), make_device(BUDI, seed="new")
    introduce(budi, ana)
    introduce(budi, ana)
    start(new, ana)
    assert ana.decrypt(new.encrypt(ANA, Text("new phone"))).identity_changed
    store = ana._context.store
    request = RetryRequest(MESSAGE_ID, None, 0, "unknown_session")
    payload = Payload(BUDI, ANA, MESSAGE_ID, budi._context.registration_id, NOW_MS, request)
    before = dump(store)
    with store.transaction() as tx:
        for session in load_sessions(tx, BUDI).archived:
            key = decode_public_key(budi.identity_key)
            received = Received(payload, False, False, session.base_key, key, BUDI, key, False)
            answer_request(ana._context, tx, received, request)
    assert dump(store) == before


def test_a_request_under_a_new_identity_is_told_with_sender_key_and_id(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, _ = pair
    sent = ana.send(BUDI, Text("for the old budi"))
    new = reinstalled(BUDI, backend)
    ask(new, ANA, sent.message_id)
    (envelope,) = backend.waiting(ANA)
    notice, item = ana.receive()
    assert isinstance(notice, Notice)
    assert isinstance(item, FailedMessage)
    assert (item.sender, item.message_id) == (BUDI, envelope.message_id)
    assert isinstance(item.error, IdentityChangedError)
    assert (item.error.address, item.error.identity_key) == (BUDI, new.device.identity_key)
    assert str(BUDI) in str(item.error)


# --- Damage, and others that are faster ---------------------------------------------------------


def test_a_copy_that_meets_a_damaged_session_goes_in_a_new_one(
    pair: tuple[Client, Client],
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    read(budi)
    put_back(ana, sent.message_id)
    damage(ana, Table.SESSIONS)
    ana.maintain()
    assert waiting(ana) == []
    assert read(budi) == ["lost"]


def test_a_copy_that_meets_other_damage_waits(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("lost"))
    backend.drop(BUDI, 0)
    put_back(ana, sent.message_id)
    before = dump(store_of(ana))
    damage(ana, Table.SENT)
    with pytest.raises(RecordCorrupted):
        ana.maintain()
    assert len(waiting(ana)) == 1
    with store_of(ana).transaction() as tx:
        for where, record in before.items():
            if where[0] is Table.SENT:
                tx.put(*where, record)
    end_holds(ana, backend)
    ana.maintain()
    assert read(budi) == ["lost"]


def test_a_copy_that_is_given_up_holds_up_nothing_that_waits_behind_it(
    pair: tuple[Client, Client],
) -> None:
    ana, budi = pair
    sent = ana.send(BUDI, Text("lost"))
    put_back(ana, MESSAGE_ID)  # nothing is kept under it
    put_back(ana, sent.message_id)
    ana.maintain()
    assert waiting(ana) == []
    assert read(budi) == ["lost"]
    assert read(budi) == read(ana) == []


class _Interrupted(BackendSimulator):
    """Lets another thread run while a bundle is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    def fetch_bundle(self, requester: object, token: bytes, address: object) -> PreKeyBundle:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().fetch_bundle(requester, token, address)  # type: ignore[arg-type]


@pytest.mark.parametrize("reaches", [True, False], ids=["sent", "encrypted"])
def test_a_request_that_another_thread_is_faster_with_goes_once(reaches: bool) -> None:
    backend = _Interrupted()
    store = MemoryStore()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, store)
    meet(ana, budi)
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    backend.fail("fetch_bundle")
    assert read(budi) == ["!unknown_session"]
    (request,) = waiting(budi)
    assert request.envelope is None
    other = Client(budi.device, backend)

    def run() -> None:
        end_holds(budi, backend)
        if reaches:
            other.maintain()
            return
        backend.fail("deposit")
        with pytest.raises(BackendError):
            other.maintain()

    backend.meanwhile = run
    budi.maintain()
    assert backend.meanwhile is None
    assert waiting(budi) == []
    assert len(backend.mailbox(ANA)) == len(set(backend.deposits[2:])) - 1 == 1
    assert read(ana) == []
    assert read(budi) == ["lost"]
