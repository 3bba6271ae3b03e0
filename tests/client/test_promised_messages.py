# SPDX-License-Identifier: Apache-2.0
"""What `send` has promised arrives once, or the app is told which message did not, and why."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from e2ecross import Address, Client, Device, FailedMessage, NoticeKind, Policy, Text
from e2ecross.device.settling import hold_for_decision
from e2ecross.device.waiting import EXPIRED
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    MailboxFull,
    StoreError,
    UnknownRecipient,
    UntrustedIdentity,
    WitnessFailed,
)
from e2ecross.state.outbox import Backlog, BacklogName
from e2ecross.stores import MemoryStore, Store
from e2ecross.wire.exchange import Deposited
from tests.client.conversation import (
    forget_sessions,
    meet,
    not_delivered,
    promise,
    read,
    read_notices,
    reinstalled,
    reopen,
    waiting,
)
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    MESSAGE_ID,
    BackendSimulator,
    FakeClock,
    SpyStore,
    make_client,
    make_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.lone_worker import end_holds
from tests.support.witness import Keychain

FINAL = [UnknownRecipient("gone"), BackendRefused("not this one")]


def restored(client: Client, backend: BackendSimulator) -> Client:
    """The client on its store after `restored=True`: all that waits is encrypted anew."""
    context = client.device._context
    device = Device.open(
        context.store,
        policy=context.policy,
        clock=context.clock,
        entropy=SeededEntropy("restored"),
        restored=True,
    )
    return Client(device, backend)


# --- Refused --------------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("error", FINAL)
@pytest.mark.parametrize("call", [Client.maintain, Client.receive, Client.register])
def test_what_is_refused_for_good_is_told(
    call: Callable[[Client], object],
    error: BackendError,
    pair: tuple[Client, Client],
    backend: BackendSimulator,
) -> None:
    ana, budi = pair
    backend.fail("deposit")
    (message_id,) = promise(ana, BUDI, "important")
    backend.fail("deposit", error)
    call(ana)
    again = reopen(ana, backend)
    (notice,) = read_notices(again)
    assert (notice.kind, notice.user) == (NoticeKind.NOT_DELIVERED, BUDI.user_id)
    assert (notice.messages, notice.code) == ((message_id,), error.code)
    assert again.pending() == []
    assert read(again) == read(budi) == []
    again.send(BUDI, Text("important"), message_id=message_id)  # it had not left
    assert read(budi) == ["important"]


@pytest.mark.usefixtures("alone")
def test_what_another_client_of_the_store_finds_out_is_told(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, _ = pair
    other = reopen(ana, backend)
    backend.fail("deposit")
    (message_id,) = promise(ana, BUDI, "important")
    backend.fail("deposit", UnknownRecipient("gone"))
    other.maintain()
    assert not_delivered(read_notices(ana)) == [(message_id, "unknown_recipient")]


class Meanwhile(BackendSimulator):
    """Lets another thread run while something is deposited; then the call fails."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = None

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
            raise BackendError("the call was lost")
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("earlier", [0, 1])
@pytest.mark.parametrize("refuses", [True, False])
def test_what_another_thread_does_while_send_waits(refuses: bool, earlier: int) -> None:
    """Also where the message stands behind another one."""
    backend = Meanwhile()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    other = Client(ana.device, backend)
    backend.fail("deposit", times=earlier)
    ids = [*promise(ana, BUDI, *["earlier"] * earlier), MESSAGE_ID]
    if refuses:
        backend.fail("deposit", BackendRefused("not these"), times=len(ids))

    def maintain() -> None:
        end_holds(ana, backend)
        other.maintain()

    backend.meanwhile = maintain
    if refuses:
        with pytest.raises(BackendRefused, match="a notice says why"):
            ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
        assert not_delivered(read_notices(ana)) == [(each, "backend_refused") for each in ids]
        assert read(budi) == []
    else:
        ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
        assert read(budi) == ["earlier"] * earlier + ["halo"]
        assert read(ana) == []
    assert ana.pending() == []


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("error", [*FINAL, MailboxFull("full")])
def test_who_waits_for_a_promised_message_again_is_told_by_the_exception_and_a_notice(
    error: BackendError, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """It was promised, and an exception may be lost on its way: of a signal, with the process."""
    ana, budi = pair
    backend.fail("deposit", times=2)
    one, _ = promise(ana, BUDI, "one", "two")
    backend.fail("deposit", error)
    with pytest.raises(type(error)):
        ana.send(BUDI, Text("one"), message_id=one)
    assert read(budi) == ["two"]  # it went with the same call
    assert ana.pending() == []
    assert not_delivered(read_notices(ana)) == [(one, error.code)]
    assert read(ana) == []


# --- Expired, and encrypted anew ------------------------------------------------------------


def test_what_is_not_kept_until_it_could_be_sent_has_expired(
    pair: tuple[Client, Client], backend: BackendSimulator, clock: FakeClock
) -> None:
    ana, budi = pair
    backend.fail("deposit", times=2)
    ids = promise(ana, BUDI, "one", "two")
    ana = restored(ana, backend)
    ana.device.restore_stripes()
    clock.advance(8 * DAY_MS)
    ana.maintain()
    assert not_delivered(read_notices(ana)) == [(message_id, EXPIRED) for message_id in ids]
    assert ana.pending() == []
    assert read(budi) == []


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_promise_outlives_a_restore(
    attempts: int, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    backend.fail("deposit")
    (message_id,) = promise(ana, BUDI, "important")
    ana = restored(ana, backend)
    for _ in range(attempts):
        backend.fail("fetch_bundle")
        with pytest.raises(BackendError):
            ana.maintain()
        assert [item.message_id for item in ana.pending()] == [message_id]
    ana.maintain()
    notice, item = budi.receive()
    assert getattr(notice, "kind", None) is NoticeKind.ACCOUNT_RESTORED
    assert getattr(item, "message_id", None) == message_id
    assert read_notices(ana)[0].kind is NoticeKind.RESTORED
    assert read(ana) == []


def test_a_request_that_waits_outlives_a_restore(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    backend.fail("deposit")
    assert read(budi) == ["!unknown_session"]
    assert [item.envelope is None for item in waiting(budi)] == [False]
    budi = restored(budi, backend)
    budi.maintain()
    assert read(ana) == ["*account_restored"]
    assert read(budi) == ["*restored", "lost"]


# --- An identity that the user has to decide about --------------------------------------------


def held(backend: BackendSimulator, clock: FakeClock) -> tuple[Client, Client, list[bytes]]:
    """Two messages of Ana wait for her decision about Budi's new key."""
    ana, budi = (make_client(address, backend, clock=clock) for address in (ANA, BUDI))
    meet(ana, budi)
    backend.fail("deposit", times=2)
    ids = promise(ana, BUDI, "one", "two")
    ana, new = restored(ana, backend), reinstalled(BUDI, backend)
    ana.maintain()
    return ana, new, ids


def test_what_waits_for_a_decision_is_told_once_and_goes_when_the_key_is_accepted(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    ana, new, ids = held(backend, clock)
    _, notice = read_notices(ana)
    assert (notice.kind, notice.user) == (NoticeKind.IDENTITY_PENDING, BUDI.user_id)
    assert (notice.devices, notice.messages) == ((1,), tuple(ids))
    assert notice.identity_key == new.device.identity_key
    for _ in range(2):
        ana.maintain()
        assert read(ana) == []
    assert [item.code for item in ana.pending()] == ["untrusted_identity"] * 2
    ana.device.accept_identity(BUDI, notice.identity_key)
    ana.maintain()
    assert read(new) == ["one", "two"]
    assert ana.pending() == []


@pytest.mark.usefixtures("alone")
def test_what_waits_for_a_decision_is_dropped_when_the_key_is_rejected(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    ana, new, ids = held(backend, clock)
    assert len(read_notices(ana)) == 2
    ana.device.reject_identity(BUDI, new.device.identity_key)
    told = not_delivered(read_notices(ana))
    assert told == [(message_id, "untrusted_identity") for message_id in ids]
    assert ana.pending() == []
    assert read(new) == []


def test_send_does_not_wait_for_ever_for_what_the_user_has_to_decide(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    ana, new, (one, _) = held(backend, clock)
    for text, message_id in (("one", one), ("three", None)):
        with pytest.raises(UntrustedIdentity) as caught:
            ana.send(BUDI, Text(text), message_id=message_id)
        key = new.device.identity_key
        assert (caught.value.address, caught.value.identity_key) == (BUDI, key)
    assert len(ana.pending()) == 2


# --- Errors of this side --------------------------------------------------------------------


def witnessed(store: Store, keychain: Keychain, *, restored: bool = False) -> Device:
    return Device.open(
        store,
        clock=FakeClock(),
        entropy=SeededEntropy(f"witnessed {restored}"),
        witness=keychain,
        restored=restored,
    )


@pytest.mark.parametrize("is_restored", [False, True])
def test_a_locked_witness_makes_no_promise_vanish(
    is_restored: bool, backend: BackendSimulator
) -> None:
    """Encrypted or not, it waits."""
    store, keychain = MemoryStore(), Keychain()
    make_device(ANA, store)
    ana, budi = Client(witnessed(store, keychain), backend), make_client(BUDI, backend)
    ana.register()
    meet(ana, budi)
    backend.fail("deposit")
    (message_id,) = promise(ana, BUDI, "important")
    if is_restored:
        ana = Client(witnessed(store, keychain, restored=True), backend)
        backend.fail("deposit")
        backend.fail("fetch_bundle")
        with pytest.raises(BackendError):
            ana.maintain()
    keychain.error = OSError("locked")
    for _ in range(2):
        with pytest.raises(WitnessFailed):
            ana.maintain()
    assert [item.message_id for item in ana.pending()] == [message_id]
    keychain.error = None
    backend._faults.clear()
    ana.maintain()
    assert "important" in read(budi)
    assert "*not_delivered" not in read(ana)


def test_a_store_that_fails_makes_no_promise_vanish(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend, spy), make_client(BUDI, backend)
    meet(ana, budi)
    backend.fail("deposit")
    promise(ana, BUDI, "important")
    for place in range(12):  # whichever commit of the call fails
        spy.fail_transactions = [False] * place + [True]
        try:
            ana.maintain()
        except StoreError:
            continue
    spy.fail_transactions = []
    ana.maintain()
    assert read(budi) == ["important"]
    assert ana.pending() == []
    assert read(ana) == []


# --- Asked for again ------------------------------------------------------------------------


def test_retrying_is_said_only_while_somebody_may_still_send_it(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    policy = Policy(retry_requests_per_peer=1)
    ana = make_client(ANA, backend, clock=clock)
    budi = make_client(BUDI, backend, clock=clock, policy=policy)
    meet(ana, budi)
    for text in ("one", "two"):
        ana.send(BUDI, Text(text))
    forget_sessions(budi)
    items = budi.receive()
    # The second is not asked for today.
    assert [getattr(item, "retrying", None) for item in items] == [True, False]


def test_after_an_import_every_waiting_message_is_asked_for_and_arrives(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    """However many there are of how many people."""
    old = make_client(BUDI, backend, clock=clock)
    people = [make_client(Address("threads", f"c{n}"), backend, clock=clock) for n in range(6)]
    for person in people:
        meet(person, old)
    for n in range(40):
        for person in people:
            person.send(BUDI, Text(str(n)))
    backup = old.device.export_identity("four words and more", cost="interactive")
    device = Device.import_identity(
        backup,
        "four words and more",
        MemoryStore(),
        clock=clock,
        entropy=SeededEntropy("imported"),
    )
    new = Client(device, backend)
    new.register()
    left = sum(len(backend.left(person.device.address)) for person in people)
    failed = []
    while items := new.receive():
        assert all(isinstance(item, FailedMessage) for item in items)
        failed += [item.retrying for item in items if isinstance(item, FailedMessage)]
        new.confirm(items)
    assert failed == [False] * 240  # nothing was read of them here
    # One new session for each of them, not for each message.
    assert sum(len(backend.left(person.device.address)) for person in people) == left - 6
    for person in people:
        while person.receive():
            pass
    texts: list[str] = []
    while shown := read(new):
        texts += shown
    assert sorted(texts) == sorted(str(n) for n in range(40) for _ in range(6))


def test_a_message_under_an_id_that_was_given_up_is_not_dropped_in_silence(
    pair: tuple[Client, Client], backend: BackendSimulator, clock: FakeClock
) -> None:
    """The back end would drop a second envelope under the id of the first."""
    ana, budi = pair
    sent = ana.send(BUDI, Text("lost"))
    forget_sessions(budi)
    clock.advance(8 * DAY_MS)
    assert read(budi) == ["!unknown_session"]
    assert not_delivered(read_notices(ana)) == [(sent.message_id, "unknown_session")]
    for text in ("lost", "another"):
        with pytest.raises(ValueError, match="message_id must be a new one"):
            ana.send(BUDI, Text(text), message_id=sent.message_id)
    ana.send(BUDI, Text("lost"))
    assert read(budi) == ["lost"]


def test_what_would_stand_behind_a_decision_is_not_taken(backend: BackendSimulator) -> None:
    """Also where there is a session: the key that waits has come with a bundle."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.fail("deposit")
    (promised,) = promise(ana, BUDI, "promised")
    key = make_device(BUDI, seed="another").identity_key
    hold_for_decision(ana.device._context, Backlog(BacklogName.MESSAGES, BUDI), key)
    for _ in range(2):
        with pytest.raises(UntrustedIdentity) as caught:
            ana.send(BUDI, Text("later"))
        assert caught.value.identity_key == key
    assert [pending.message_id for pending in ana.pending()] == [promised]
    ana.device.reject_identity(BUDI, key)
    ana.maintain()
    assert read(budi) == ["promised"]  # it was encrypted for the accepted key
