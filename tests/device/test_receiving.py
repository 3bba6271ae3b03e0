# SPDX-License-Identifier: Apache-2.0
"""Receiving: what one decryption reads and writes, prekeys, and rewritten envelopes."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from e2ecross import (
    Address,
    ControlMessage,
    Device,
    Envelope,
    Message,
    MessageKind,
    RetryRequest,
    Text,
)
from e2ecross.device.sending import encrypt_content
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    EnvelopeMismatch,
    RemoteError,
    StoreError,
    TooManySkipped,
    UnknownPrekey,
    UnknownSession,
)
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire._pb.signal import wire_pb2
from e2ecross.wire.content import PayloadContent, Resent
from e2ecross.wire.limits import MAX_FORWARD_JUMP
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    SpyStore,
    Stores,
    count_rows,
    dump,
    introduce,
    make_device,
    new_bundle,
    say,
    start,
)

FIRST_MESSAGE_LIMIT = 2


def spied() -> tuple[Device, Device, SpyStore]:
    """Ana, and Budi with a watched store, in conversation."""
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA), make_device(BUDI, spy)
    introduce(ana, budi)
    say(ana, budi, "the ratchet has turned")
    spy.forget()
    return ana, budi, spy


# --- What is written ------------------------------------------------------------------------


def test_an_in_order_message_writes_exactly_the_session() -> None:
    ana, budi, spy = spied()
    say(ana, budi, "halo")
    assert spy.writes == {Table.SESSIONS: 1}


def test_a_message_that_turns_the_ratchet_writes_exactly_the_session() -> None:
    ana, budi, spy = spied()
    say(budi, ana, "answer")
    spy.forget()
    say(ana, budi, "next turn")
    assert spy.writes == {Table.SESSIONS: 1}


def test_a_late_message_writes_the_session_and_one_row_of_skipped_keys() -> None:
    ana, budi, spy = spied()
    late = [ana.encrypt(BUDI, Text(str(n))) for n in range(2001)]
    say(ana, budi, "newest")
    assert spy.writes[Table.SKIPPED_KEYS] > 30
    assert len(spy.writes) == 2
    for n in (2000, 1000, 1001, 64):
        spy.forget()
        assert budi.decrypt(late[n]).content == Text(str(n))
        assert spy.writes == {Table.SESSIONS: 1, Table.SKIPPED_KEYS: 1}
    spy.forget()
    say(ana, budi, "in order again")
    assert spy.writes == {Table.SESSIONS: 1}


def test_the_last_late_message_of_a_row_removes_the_row() -> None:
    ana, budi, spy = spied()
    late = [ana.encrypt(BUDI, Text(str(n))) for n in range(3)]
    say(ana, budi, "newest")
    assert count_rows(spy, Table.SKIPPED_KEYS) == 1
    for envelope in late:
        budi.decrypt(envelope)
    assert count_rows(spy, Table.SKIPPED_KEYS) == 0


def test_a_first_message_writes_what_follows_from_it_and_nothing_else() -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA), make_device(BUDI, spy)
    start(ana, budi)
    spy.forget()
    say(ana, budi, "first")
    changes = {} if spy.stripes else {Table.DEVICE: 1}  # that another key is known
    assert spy.writes == {
        Table.REMOTE_IDENTITIES: 1,
        Table.SESSIONS: 1,
        Table.SESSION_RECORDS: 1,
        Table.ONE_TIME_PREKEYS: 1,
        Table.STRIPE: 1,  # the epoch
        **changes,
    }
    spy.forget()
    say(ana, budi, "still wrapped")
    assert spy.writes == {Table.SESSIONS: 1}


def test_a_refused_message_writes_nothing() -> None:
    ana, budi, spy = spied()
    envelope = ana.encrypt(BUDI, Text("halo"))
    flipped = envelope.ciphertext[:-1] + bytes((envelope.ciphertext[-1] ^ 1,))
    with pytest.raises(AuthenticationFailed) as caught:
        budi.decrypt(replace(envelope, ciphertext=flipped))
    assert caught.value.code == "authentication_failed"
    assert not spy.writes
    assert budi.decrypt(envelope).content == Text("halo")


@pytest.mark.parametrize("one_time", [True, False])
def test_a_first_message_whose_store_fails_can_be_read_later(one_time: bool) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA), make_device(BUDI, spy)
    start(ana, budi, one_time=one_time)
    envelope = ana.encrypt(BUDI, Text("halo"))
    before = dump(spy)
    for writes in range(5 + (not one_time)):
        spy.writes_until_failure = writes
        with pytest.raises(StoreError):
            budi.decrypt(envelope)
        assert dump(spy) == before
    spy.writes_until_failure = None
    spy.fail_commit = True
    with pytest.raises(StoreError):
        budi.decrypt(envelope)
    assert dump(spy.inner) == before
    spy.fail_commit = False
    assert budi.decrypt(envelope).content == Text("halo")


def test_a_message_too_far_ahead_is_refused_and_the_others_still_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("e2ecross.protocol.session_reading.MAX_FORWARD_JUMP", 5)
    assert MAX_FORWARD_JUMP == 25_000
    ana, budi, spy = spied()
    envelopes = [ana.encrypt(BUDI, Text(str(n))) for n in range(8)]
    with pytest.raises(TooManySkipped) as caught:
        budi.decrypt(envelopes[6])
    assert (caught.value.got, caught.value.allowed) == (6, 5)
    assert not spy.writes
    assert budi.decrypt(envelopes[5]).content == Text("5")


# --- Prekeys --------------------------------------------------------------------------------


def test_a_one_time_prekey_goes_with_the_first_message_that_it_opened(stores: Stores) -> None:
    store = stores.open("budi")
    ana, budi = make_device(ANA), make_device(BUDI, store)
    bundle = new_bundle(budi)
    ana.start_session(bundle)
    first, second = ana.encrypt(BUDI, Text("first")), ana.encrypt(BUDI, Text("second"))
    assert count_rows(store, Table.ONE_TIME_PREKEYS) == 1
    forged = replace(first, ciphertext=first.ciphertext[:-1] + b"\0")
    before = dump(store)
    with pytest.raises(RemoteError):
        budi.decrypt(forged)
    assert dump(store) == before
    budi.decrypt(second)  # the second first: it starts the session just as well
    assert count_rows(store, Table.ONE_TIME_PREKEYS) == 0
    assert budi.decrypt(first).content == Text("first")
    other = make_device(TOKO)
    other.start_session(bundle)
    with pytest.raises(UnknownPrekey, match="one-time prekey") as caught:
        budi.decrypt(other.encrypt(BUDI, Text("the same prekey")))
    assert caught.value.code == "unknown_prekey"


def test_a_first_message_without_one_time_prekey_is_remembered() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    start(ana, budi, one_time=False)
    first = ana.encrypt(BUDI, Text("first"))
    budi.decrypt(first)
    assert count_rows(store, Table.SEEN_BASE_KEYS) == 1
    forget_sessions(store)
    before = dump(store)
    with pytest.raises(DuplicateMessage, match="session is gone"):
        budi.decrypt(first)
    assert dump(store) == before


def test_a_first_message_with_one_time_prekey_cannot_be_replayed_after_its_session() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    start(ana, budi)
    first = ana.encrypt(BUDI, Text("first"))
    budi.decrypt(first)
    assert count_rows(store, Table.SEEN_BASE_KEYS) == 0
    forget_sessions(store)
    with pytest.raises(UnknownPrekey, match="replay"):
        budi.decrypt(first)


def forget_sessions(store: MemoryStore) -> None:
    """As if 40 other sessions had come since."""
    with store.transaction() as tx:
        for table in (Table.SESSIONS, Table.SESSION_RECORDS):
            for partition, row, _ in list(tx.scan(table)):
                tx.delete(table, partition, row)


def test_a_full_signed_prekey_takes_no_more_first_messages_but_those_with_one_time_prekey(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("e2ecross.state.stripe.MAX_SEEN_BASE_KEYS", FIRST_MESSAGE_LIMIT)
    store = MemoryStore(0)  # whose bound that is
    budi = make_device(BUDI, store)
    old = new_bundle(budi, one_time=False)
    with_one_time = new_bundle(budi)
    for n in range(FIRST_MESSAGE_LIMIT):
        ana = make_device(Address("whatsapp", f"ana{n}"))
        ana.start_session(old)
        say(ana, budi, "in time")
    late = make_device(ANA)
    late.start_session(old)
    before = dump(store)
    with pytest.raises(UnknownPrekey, match="new bundle"):
        budi.decrypt(late.encrypt(BUDI, Text("too late")))
    assert dump(store) == before
    toko = make_device(TOKO)
    toko.start_session(with_one_time)
    say(toko, budi, "not counted")
    # It is replaced with the next publication, and the sender gets on with a new bundle.
    new = new_bundle(budi, one_time=False)
    assert new.signed_prekey_id != old.signed_prekey_id
    late.start_session(new)
    say(late, budi, "with the new one")
    say(ana, budi, "the old sessions go on")


# --- Several threads ------------------------------------------------------------------------


def test_threads_that_receive_the_same_message_show_it_once(stores: Stores) -> None:
    ana, budi = make_device(ANA), make_device(BUDI, stores.open("budi"))
    start(ana, budi)
    envelopes = [ana.encrypt(BUDI, Text(str(n))) for n in range(10)]
    outcomes: list[str] = []

    def receive(order: list[Envelope]) -> None:
        for envelope in order:
            try:
                outcomes.append(cast("Text", budi.decrypt(envelope).content).text)
            except DuplicateMessage:
                outcomes.append("duplicate")

    threads = [
        threading.Thread(target=receive, args=(envelopes[n:] + envelopes[:n],)) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = sorted(outcome for outcome in outcomes if outcome != "duplicate")
    assert texts == [str(n) for n in range(10)]
    assert len(outcomes) == 40


# --- Rewritten envelopes --------------------------------------------------------------------


def readdressed(**changes: object) -> Callable[[Envelope], Envelope]:
    def change(envelope: Envelope) -> Envelope:
        return replace(envelope, **changes)  # type: ignore[arg-type]

    return change


@pytest.mark.parametrize(
    ("change", "first_error", "later_error"),
    [
        (readdressed(recipient=TOKO), EnvelopeMismatch, EnvelopeMismatch),
        (
            readdressed(recipient=Address("instagram", "budi", 2)),
            EnvelopeMismatch,
            EnvelopeMismatch,
        ),
        (readdressed(recipient=Address("messenger", "budi")), EnvelopeMismatch, EnvelopeMismatch),
        (readdressed(sender=TOKO), EnvelopeMismatch, UnknownSession),
        (readdressed(sender=Address("whatsapp", "ana", 2)), EnvelopeMismatch, UnknownSession),
        (readdressed(sender=BUDI), EnvelopeMismatch, EnvelopeMismatch),
        (readdressed(message_id=MESSAGE_ID), EnvelopeMismatch, EnvelopeMismatch),
    ],
)
def test_a_rewritten_envelope_is_caught_and_the_genuine_copy_still_opens(
    change: Callable[[Envelope], Envelope],
    first_error: type[RemoteError],
    later_error: type[RemoteError],
) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    for expected in (first_error, later_error):
        envelope = ana.encrypt(BUDI, Text("halo"))
        before = dump(budi._context.store)
        with pytest.raises(RemoteError) as caught:
            budi.decrypt(change(envelope))
        assert type(caught.value) is expected
        assert caught.value.code == expected.code
        assert dump(budi._context.store) == before
        assert budi.decrypt(envelope).content == Text("halo")
        say(budi, ana, "answer")


def test_a_message_of_another_session_partner_fails_authentication() -> None:
    ana, budi, toko = make_device(ANA), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    introduce(toko, budi)
    envelope = ana.encrypt(BUDI, Text("halo"))
    with pytest.raises(AuthenticationFailed):
        budi.decrypt(replace(envelope, sender=TOKO))
    assert budi.decrypt(envelope).content == Text("halo")


def test_a_message_for_another_address_under_our_keys_is_caught() -> None:
    """A directory that hands out our keys under another address, and redirects what follows."""
    ana, budi = make_device(ANA), make_device(BUDI)
    elsewhere = Address("messenger", "budi")
    ana.start_session(replace(new_bundle(budi), address=elsewhere))
    envelope = ana.encrypt(elsewhere, Text("not meant for instagram"))
    before = dump(budi._context.store)
    with pytest.raises(EnvelopeMismatch, match="another recipient"):
        budi.decrypt(replace(envelope, recipient=BUDI))
    assert dump(budi._context.store) == before


def test_a_first_message_says_between_whom_it_is_where_accounts_are_uuids() -> None:
    ana = make_device(Address("messenger", "0e0b3a5c-7d1f-4c2a-9b6e-5f4d3c2b1a09"))
    budi = make_device(Address("messenger", "f1e2d3c4-b5a6-4978-8899-aabbccddeeff"))
    start(ana, budi, kyber=True)
    kind, data = ana.encrypt_raw(budi.address, b"from ana")
    for other in (replace(ana.address, device=2), ANA):
        with pytest.raises(AuthenticationFailed):
            budi.decrypt_raw(other, kind, data)
    assert budi.decrypt_raw(ana.address, kind, data) == b"from ana"


def wrapper(envelope: Envelope) -> wire_pb2.PreKeySignalMessage:
    return wire_pb2.PreKeySignalMessage.FromString(envelope.ciphertext[1:])


def test_a_changed_wrapper_of_a_first_message_is_caught_at_any_time() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    for _ in range(2):  # when the session is new, and when it is known
        envelope = ana.encrypt(BUDI, Text("halo"))
        registration = wrapper(envelope)
        registration.registration_id ^= 1
        absent = wrapper(envelope)
        absent.ClearField("registration_id")
        plain = wrapper(envelope).SerializeToString()
        for ciphertext in (
            b"\x33" + registration.SerializeToString(),
            b"\x33" + absent.SerializeToString(),
            b"\x34" + plain,
            b"\x33" + plain + b"\x78\x00",
        ):
            before = dump(budi._context.store)
            with pytest.raises(EnvelopeMismatch, match="wrapper"):
                budi.decrypt(replace(envelope, ciphertext=ciphertext))
            assert dump(budi._context.store) == before
        assert budi.decrypt(envelope).content == Text("halo")


def test_the_raw_layer_tolerates_another_registration_id_in_the_wrapper() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    message = wrapper(ana.encrypt(BUDI, Text("halo")))
    message.registration_id ^= 1
    data = b"\x33" + message.SerializeToString() + b"\x78\x00"
    assert b"halo" in budi.decrypt_raw(ANA, MessageKind.PREKEY, data)


def test_another_identity_in_the_wrapper_of_a_known_session_is_refused() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    start(ana, budi)
    say(ana, budi, "first")
    envelope = ana.encrypt(BUDI, Text("second"))
    message = wrapper(envelope)
    message.identity_key = make_device(TOKO).identity_key
    with pytest.raises(AuthenticationFailed, match="identity"):
        budi.decrypt(replace(envelope, ciphertext=b"\x33" + message.SerializeToString()))
    assert budi.decrypt(envelope).content == Text("second")


# --- What comes out -------------------------------------------------------------------------


def _send(ana: Device, content: PayloadContent) -> Envelope:
    message_id = ana._context.entropy.bytes(16)
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        return encrypt_content(ana._context, tx, BUDI, content, message_id, NOW_MS)


def test_content_is_a_message_and_what_clients_tell_each_other_is_another_value() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    request = RetryRequest(MESSAGE_ID, None, 0, "unknown_session")
    sent = [
        _send(ana, content)
        for content in (Text("halo"), request, Resent(MESSAGE_ID, 7, Text("again")))
    ]
    for read in ([budi.decrypt(one) for one in sent[:2]], budi.decrypt_many(sent[2:])):
        assert not [one for one in read if isinstance(one, Exception)]
        for one in read:
            assert isinstance(one, Message | ControlMessage)
            assert isinstance(one, Message) is not isinstance(one.content, RetryRequest)
            assert (one.sender, one.identity_changed, one.version_downgraded) == (ANA, False, False)
