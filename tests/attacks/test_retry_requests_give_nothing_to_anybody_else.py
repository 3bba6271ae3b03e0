# SPDX-License-Identifier: Apache-2.0
"""What is asked for again goes to whom it was for, and asking costs a bounded amount.

The attacker: a contact of Ana's who knows the message ids of what she wrote to Budi; the back end,
which gives Budi's address to a device of its own, repeats and forges requests, and damages all
that it delivers; and Budi, who asks without end.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from e2ecross import Address, Envelope, FailedMessage, MessageKind, Policy, RetryRequest, Text
from e2ecross.device.sending import encrypt_content
from e2ecross.errors import MailboxFull, RemoteError
from e2ecross.state.outbox import put_control
from e2ecross.state.retry_budget import BUDGET
from e2ecross.state.sent import MAX_RESENDS
from e2ecross.stores import Table
from e2ecross.wire.content import Content, Payload, Resent, encode_payload
from e2ecross.wire.shelf_records import RetryBudgetRecord
from tests.attacks.hostile_backend import (
    FEW_PREKEYS,
    NEVER_ASKS,
    HostileBackend,
    Party,
    party,
    without_count,
)
from tests.attacks.support import ANA, BUDI, NOW_MS, TOKO, Rows, flips
from tests.support.accounts import change_devices, device_of, new_client

DAY_MS = 24 * 60 * 60 * 1000
SECRETS = ("for budi alone", "and this", "and that")


UNDELIVERED = "notice not_delivered"


def rows(who: Party, *tables: Table) -> Rows:
    """All rows of these tables, without how many ever waited."""
    return tuple(without_count(row) for row in who.person.dump() if row[0] in tables)


def meet(one: Party, other: Party) -> None:
    one.send(other, "hello")
    assert other.receive() == ["hello"]
    other.send(one, "hello to you")
    assert one.receive() == ["hello to you"]


def asking(message_id: bytes, reason: str = "authentication_failed") -> RetryRequest:
    return RetryRequest(message_id, None, 0, reason)


def ask(who: Party, address: Address, requests: Sequence[RetryRequest]) -> list[Envelope]:
    """Send requests, as a device that does what it likes; returns what the back end has seen."""
    context = who.person.device._context
    seen = len(who.backend.deposits)
    with context.store.transaction() as tx:
        for request in requests:
            put_control(tx, address, context.entropy.bytes(16), request, fresh_session=True)
    who.client.maintain()
    made = [Envelope.decode(data) for data in who.backend.deposits[seen:]]
    assert len(made) == len(requests)
    return made


def sent_by(who: Party, since: int) -> list[Envelope]:
    """What somebody has deposited since then."""
    envelopes = [Envelope.decode(data) for data in who.backend.deposits[since:]]
    return [envelope for envelope in envelopes if envelope.sender == who.address]


def answers(who: Party) -> int:
    """How many messages were sent again in this window, by what the store counts."""
    with who.person.store.transaction() as tx:
        total = tx.get(Table.RETRIES, BUDGET, b"")
    return 0 if total is None else RetryBudgetRecord.decode(total).answers


Scene = tuple[HostileBackend, Party, Party, list[bytes]]


def scene(policy: Policy = FEW_PREKEYS) -> Scene:
    """Ana has written to Budi, who has read it; the back end knows the ids."""
    backend = HostileBackend()
    ana, budi = party(ANA, backend, policy=policy), party(BUDI, backend)
    meet(ana, budi)
    ids = [ana.send(budi, text).message_id for text in SECRETS]
    assert budi.receive() == list(SECRETS)
    return backend, ana, budi, ids


# --- Somebody else ------------------------------------------------------------------------------


def test_a_device_that_was_linked_later_and_knows_the_ids() -> None:
    """Another one of Budi's own: what was sent before it was linked is not its."""
    backend, ana, budi, ids = scene()
    laptop = new_client(device_of(BUDI, 2), backend)
    change_devices(backend, budi.client, laptop)
    laptop.send(ANA, Text("hello"))
    assert ana.receive() == ["hello"]
    before, deposited = rows(ana, Table.SENT, Table.OUTBOX), len(backend.deposits)
    context = laptop.device._context
    with context.store.transaction() as tx:
        for message_id in ids:
            put_control(tx, ANA, context.entropy.bytes(16), asking(message_id))
    laptop.maintain()
    assert ana.receive() == []
    assert rows(ana, Table.SENT, Table.OUTBOX) == before
    assert sent_by(ana, deposited) == []
    assert answers(ana) == 0


def test_another_contact_that_knows_the_ids() -> None:
    backend, ana, budi, ids = scene()
    address, toko = TOKO, party(TOKO, backend)
    meet(toko, ana)
    own = ana.send(toko, "for toko").message_id
    assert toko.receive() == ["for toko"]
    tables = (Table.SENT, Table.RETRIES, Table.OUTBOX)
    before = rows(ana, *tables)
    deposited = len(backend.deposits)
    for reason in ("authentication_failed", "unknown_session"):
        ask(toko, ANA, [asking(message_id, reason) for message_id in ids])
        assert ana.receive() == []
    assert rows(ana, *tables) == before
    assert sent_by(ana, deposited) == []
    assert backend.waiting(address) == backend.waiting(BUDI) == []
    # Budi's name on the envelope, and Toko's on a request of Budi's.
    (made,) = ask(toko, ANA, [asking(ids[0])])
    (genuine,) = ask(budi, ANA, [asking(ids[0])])
    for number, envelope in enumerate(
        (replace(made, sender=BUDI), replace(genuine, sender=address))
    ):
        box = [(1000 + number, envelope.encode())]
        backend.mail_lie = lambda after, box=box: [item for item in box if item[0] > after]
        (word,) = ana.receive()
        assert word in {"authentication_failed", "envelope_mismatch", "unknown_prekey"}
    backend.mail_lie = None
    assert answers(ana) == 0
    # Each gets their own.
    assert ana.receive() == []
    assert answers(ana) == 1
    ask(toko, ANA, [asking(own)])
    assert ana.receive() == []
    assert answers(ana) == 2
    assert toko.receive() == []  # it was read before
    assert [envelope.recipient for envelope in sent_by(ana, deposited)].count(address) >= 1


CHANGES = {
    "waits": FEW_PREKEYS,
    "accepted by the policy": replace(FEW_PREKEYS, accept_changed_identity=True),
    "refused": replace(FEW_PREKEYS, refuse_changed_identity=True),
}


@pytest.mark.parametrize("policy", list(CHANGES.values()), ids=list(CHANGES))
def test_a_device_that_was_given_the_address(policy: Policy) -> None:
    """Under another identity key: nothing until Ana's user accepts it; then all that still waits.

    Where the policy decides about keys, nobody is waited for: what was for the old key is given up.
    """
    backend, ana, _, ids = scene(policy)
    backend.forget(BUDI)
    other = party(BUDI, backend, installation="of the back end's own")
    kept, deposited = rows(ana, Table.SENT), len(backend.deposits)
    before = ana.rest()
    told = []
    for _ in range(2):  # the second time the key is known, and still not the user's choice
        ask(other, ANA, [asking(message_id) for message_id in ids])
        told += ana.receive()
        ana.client.maintain()
        assert sent_by(ana, deposited) == []
        assert backend.waiting(BUDI) == []
    if policy.refuse_changed_identity:
        assert set(told) == {"identity_changed"}
        assert ana.rest() == before
        assert rows(ana, Table.SENT) == kept
        assert answers(ana) == 0
    elif policy.accept_changed_identity:
        assert told == ["notice identity_changed", *[UNDELIVERED] * len(ids)]
        assert answers(ana) == 0
        later = ana.send(other, "for whoever this is").message_id
        assert other.receive() == ["for whoever this is"]
        ask(other, ANA, [asking(message_id) for message_id in (*ids, later)])
        assert ana.receive() == []
        assert answers(ana) == 1, "only what was written to this key"
        assert other.receive() == []
        return
    else:
        assert set(told) == {"identity_changed", "notice identity_pending"}
        # At most one for each request that is kept, and those are counted.
        assert 0 < told.count("notice identity_pending") <= answers(ana) == 2 * len(ids)
    ana.person.device.accept_identity(BUDI, other.person.device.identity_key)
    if policy.refuse_changed_identity:  # which keeps nothing of what it refuses
        ask(other, ANA, [asking(message_id) for message_id in ids])
    assert ana.receive() == []
    assert other.receive() == list(SECRETS)


@pytest.mark.parametrize("policy", list(CHANGES.values()), ids=list(CHANGES))
def test_an_address_that_is_given_away_between_request_and_answer(policy: Policy) -> None:
    """Budi's request and a message of the other device come together; the answer comes after."""
    backend, ana, budi, ids = scene(policy)
    (request,) = ask(budi, ANA, [asking(ids[0])])
    backend.forget(BUDI)
    other = party(BUDI, backend, installation="of the back end's own")
    first = other.send(ana, "new phone")
    assert backend.waiting(ANA) == [request, first]
    deposited = len(backend.deposits)
    words = ana.receive()
    if policy.refuse_changed_identity:
        assert words == ["identity_changed"]
    elif policy.accept_changed_identity:
        assert words == ["notice identity_changed", "new phone", UNDELIVERED]
    else:
        assert words == ["new phone", "notice identity_pending"]
    for envelope in sent_by(ana, deposited):  # to the old key, or not at all
        assert policy.refuse_changed_identity
        with pytest.raises(RemoteError):
            other.person.device.decrypt(envelope)
    assert set(other.receive()) <= {"unknown_session", "authentication_failed"}
    if words[-1] == "notice identity_pending":
        ana.person.device.reject_identity(BUDI, other.person.device.identity_key)
        assert ana.receive() == [UNDELIVERED]
        assert set(other.receive()) <= {"unknown_session", "authentication_failed"}
    assert rows(ana, Table.OUTBOX) == ()


def test_a_thief_of_the_old_phone_after_the_new_one_was_accepted() -> None:
    """Who still has the old key asks in the old session: nothing, and the new session stays."""
    backend, ana, budi, ids = scene()
    old = budi.person
    new = party(BUDI, HostileBackend(), installation="new phone").person
    new.published = new.device.publish(2)
    new.start(ana.person, one_time=False, kyber=True)
    assert ana.person.device.decrypt(new.send(ana.person, "new phone")).identity_changed
    ana.person.device.accept_identity(BUDI, new.device.identity_key)
    kept, deposited = rows(ana, Table.SENT, Table.OUTBOX, Table.RETRIES), len(backend.deposits)
    context = old.device._context
    with context.store.transaction() as tx:
        stolen = encrypt_content(context, tx, ANA, asking(ids[0]), bytes(16), NOW_MS)
    backend.plant(ANA, [stolen])
    assert ana.receive() == ["identity_changed"]
    assert rows(ana, Table.SENT, Table.OUTBOX, Table.RETRIES) == kept
    assert sent_by(ana, deposited) == []
    assert new.read(ana.person.send(new, "to the new phone")) == "to the new phone"


def test_the_genuine_budi_after_the_back_end_has_stood_in() -> None:
    """Whose key the policy accepted in between: what was for Budi goes to Budi's key again."""
    policy = replace(FEW_PREKEYS, accept_changed_identity=True)
    backend, ana, budi, ids = scene(policy)
    token = budi.client._way().token.value
    backend.forget(BUDI)
    other = party(BUDI, backend, installation="of the back end's own")
    ask(other, ANA, [asking(ids[0])])
    assert ana.receive() == ["notice identity_changed", UNDELIVERED]
    secret = ana.send(other, "to the key that stands in").message_id
    assert other.receive() == ["to the key that stands in"]
    # Budi comes back. His key is taken for his messages, and not for those of the other.
    backend.forget(BUDI)
    backend.register(BUDI, token)
    backend.publish(token, budi.person.device.publish(3))
    ask(budi, ANA, [asking(ids[1]), asking(secret)])
    assert ana.receive() == ["notice identity_changed", UNDELIVERED]
    before = rows(ana, Table.SENT)
    ask(budi, ANA, [asking(secret)])
    assert ana.receive() == []
    assert rows(ana, Table.SENT) == before
    assert "to the key that stands in" not in budi.receive()


# --- Forged and repeated ----------------------------------------------------------------------


def test_a_forged_request_does_nothing() -> None:
    """Many bits of it changed, cut, in another envelope: a failure, and no byte but that."""
    backend, ana, budi, ids = scene(NEVER_ASKS)
    (genuine,) = ask(budi, ANA, [asking(ids[0])])
    backend.drop(ANA, 0)
    forged = [
        replace(genuine, ciphertext=changed)
        for number, (_, changed) in enumerate(flips(genuine.ciphertext))
        if number % 19 == 0
    ]
    forged += [replace(genuine, ciphertext=genuine.ciphertext[:cut]) for cut in range(1, 300, 23)]
    forged += [replace(genuine, message_id=ids[0]), replace(genuine, kind=MessageKind.SIGNAL)]
    before, deposited = ana.rest(), len(backend.deposits)
    words = []
    for begin in range(0, len(forged), 20):  # a full inbox is slow, and held elsewhere
        backend.plant(ANA, forged[begin : begin + 20])
        words += ana.receive()
    assert len(words) == len(forged) > 200
    assert ana.rest() == before
    assert sent_by(ana, deposited) == []
    backend.plant(ANA, [genuine])
    assert ana.receive() == []
    assert [envelope.recipient for envelope in sent_by(ana, deposited)] == [BUDI]


def test_a_replayed_request_does_nothing() -> None:
    """As it was, in an envelope of another id, after a restart, and after 80 days."""
    backend, ana, budi, ids = scene(NEVER_ASKS)
    (genuine,) = ask(budi, ANA, [asking(ids[0])])
    assert ana.receive() == []
    assert answers(ana) == 1
    deposited = len(backend.deposits)
    for days in (0, 0, 2, 80):
        ana.person.clock.now_ms = NOW_MS + days * DAY_MS
        ana.client.maintain()
        # What was counted yesterday may be forgotten at any time.
        counted = set(rows(ana, Table.RETRIES))
        before = [row for row in ana.rest() if row not in counted]
        backend.plant(ANA, [genuine] * 5 + [replace(genuine, message_id=bytes(16))])
        assert set(ana.receive()) <= {"duplicate_message", "envelope_mismatch"}
        counted &= set(rows(ana, Table.RETRIES))
        assert [row for row in ana.rest() if row not in counted] == before
        assert days or len(counted) == 2
        ana.restart()
    assert sent_by(ana, deposited) == []


# --- What it costs ------------------------------------------------------------------------------

BOUNDED = replace(
    FEW_PREKEYS,
    retry_requests=40,
    retry_requests_per_peer=15,
    resend_kept_messages=50,
    resends=40,
    resends_per_peer=25,
)
STRANGERS = [Address("messenger", f"stranger-{number}") for number in range(60)]


def damaged(backend: HostileBackend, ana: Party, senders: Sequence[Party], count: int) -> None:
    """Let the back end damage messages of contacts, and make up some of strangers."""
    genuine = [sender.send(ana, "damaged on the way") for sender in senders]
    while backend.mailbox(ANA):
        backend.drop(ANA, 0)
    for number in range(count):
        message_id = len(backend.deposits).to_bytes(8) + number.to_bytes(8)
        sender = senders[number % len(senders)].address
        if number % 5 == 4:
            sender = STRANGERS[number % len(STRANGERS)]
        envelope = genuine[number % len(genuine)]
        backend.plant(ANA, [replace(envelope, message_id=message_id, sender=sender)])


def test_a_back_end_that_damages_everything_is_asked_a_bounded_number_of_times() -> None:
    backend = HostileBackend()
    ana = party(ANA, backend, policy=BOUNDED)
    contacts = [party(BUDI, backend), party(TOKO, backend)]
    for stranger in STRANGERS:
        party(stranger, backend)
    for contact in contacts:
        meet(contact, ana)
    known = {row[1:3]: row[3] for row in rows(ana, Table.REMOTE_IDENTITIES)}
    tables = (Table.RETRIES, Table.OUTBOX, Table.SENT)
    for day in range(3):
        ana.person.clock.now_ms = NOW_MS + day * DAY_MS
        requests: Counter[Address] = Counter()
        sizes = []
        for _ in range(3):
            damaged(backend, ana, contacts, 100)
            deposited = len(backend.deposits)
            words = ana.receive()
            assert len(words) == 100
            requests.update(envelope.recipient for envelope in sent_by(ana, deposited))
            sizes.append(Counter(row[0] for row in rows(ana, *tables)))
        # The bound is reached, and kept.
        assert requests.total() == BOUNDED.retry_requests
        assert max(requests.values()) == BOUNDED.retry_requests_per_peer
        assert max(requests[stranger] for stranger in STRANGERS) <= 1
        with ana.person.store.transaction() as tx:
            total = tx.get(Table.RETRIES, BUDGET, b"")
        assert total is not None
        assert RetryBudgetRecord.decode(total).strangers <= len(STRANGERS)
        assert sizes[1] == sizes[2], "more damage of the same day leaves nothing more"
        assert sizes[2][Table.OUTBOX] == 0
        # One row for each failed message, one for each address, the total, and the shelf's own.
        assert sizes[2][Table.RETRIES] <= (day + 2) * BOUNDED.retry_requests + 2
        assert sizes[2][Table.SENT] <= BOUNDED.resend_kept_messages + 1
    # And the contacts are who they were.
    now = {row[1:3]: row[3] for row in rows(ana, Table.REMOTE_IDENTITIES)}
    assert known.items() <= now.items()
    for contact in contacts:
        assert contact.receive() is not None
        contact.send(ana, "the way is clear")
        assert "the way is clear" in ana.receive()


def test_requests_that_nobody_takes_wait_within_the_bound() -> None:
    """The back end delivers damage, and says that every mailbox is full."""
    backend = HostileBackend()
    ana, budi = party(ANA, backend, policy=BOUNDED), party(BUDI, backend)
    meet(ana, budi)
    for round_ in range(3):
        damaged(backend, ana, [budi], 60)
        backend.fail("deposit", MailboxFull("full, it says"), times=10_000)
        told = ana.client.receive()  # at most twice of each
        retrying = [item.retrying for item in told if isinstance(item, FailedMessage)]
        assert len(retrying) == len(told) == 60 + retrying.count(True)
        assert retrying.count(True) <= BOUNDED.retry_requests
        ana.client.confirm(told)
        backend._faults.clear()
        assert len(rows(ana, Table.OUTBOX)) <= BOUNDED.retry_requests, round_


def test_a_thousand_requests_of_one_contact() -> None:
    """Answers: as many as the policy has for one device, and ten for one message at most."""
    policy = replace(FEW_PREKEYS, resends_per_peer=70, resends=500)
    backend = HostileBackend()
    ana, budi = party(ANA, backend, policy=policy), party(BUDI, backend)
    meet(ana, budi)
    texts = [f"message {number}" for number in range(20)]
    ids = [ana.send(budi, text).message_id for text in texts]
    assert budi.receive() == texts
    kept = len(rows(ana, Table.SENT))
    asked = answered = given_up = 0
    for number in range(50):
        deposited = len(backend.deposits)
        # First one of them alone, one request after the other, then all at once.
        for wanted in [ids[:1]] * 20 if number == 0 else [ids]:
            ask(budi, ANA, [asking(message_id) for message_id in wanted])
            words = ana.receive()
            assert set(words) <= {UNDELIVERED}
            given_up += len(words)
            asked += len(wanted)
        answered += len(sent_by(ana, deposited))
        assert budi.receive() == []  # whatever comes again was read
        if number == 0:
            assert answered == MAX_RESENDS
    assert asked == 1000
    assert MAX_RESENDS < answered <= policy.resends_per_peer
    assert answers(ana) == policy.resends_per_peer, "the bound was reached"
    assert given_up == len(ids), "of each message the app hears once that it is given up"
    # A copy can be asked for by its own id, and has a row for that: no more than there are copies.
    assert len(rows(ana, Table.SENT)) <= kept + answered
    # The next day there are more, but not of a message that was given up.
    for who in (ana, budi):
        who.person.clock.now_ms += DAY_MS
    deposited = len(backend.deposits)
    ask(budi, ANA, [asking(message_id) for message_id in ids] * 2)
    assert ana.receive() == []
    assert sent_by(ana, deposited) == []
    fresh = ana.send(budi, "of today").message_id
    assert budi.receive() == ["of today"]
    ask(budi, ANA, [asking(fresh)])
    deposited = len(backend.deposits)
    assert ana.receive() == []
    assert len(sent_by(ana, deposited)) == 1
    # Somebody else is not kept from asking.
    toko = party(TOKO, backend)
    meet(toko, ana)
    own = ana.send(toko, "for toko").message_id
    ask(toko, ANA, [asking(own)])
    deposited = len(backend.deposits)
    assert ana.receive() == []
    assert [envelope.recipient for envelope in sent_by(ana, deposited)] == [TOKO]


def test_many_requests_for_one_message_at_once_are_one_notice() -> None:
    """More than there are answers, before the first is sent: the app hears it once."""
    backend, ana, budi, ids = scene()
    deposited = len(backend.deposits)
    ask(budi, ANA, [asking(ids[0])] * (MAX_RESENDS + 5))
    before = [row for row in ana.rest() if row[0] not in (Table.SENT, Table.RETRIES)]
    assert ana.receive() == [UNDELIVERED]
    assert len(sent_by(ana, deposited)) <= MAX_RESENDS
    assert rows(ana, Table.OUTBOX) == ()
    assert {row[0] for row in set(ana.rest()) - set(before)} <= {
        *(Table.SENT, Table.RETRIES, Table.DELIVERED, Table.STRIPE),
        *(Table.SESSIONS, Table.SESSION_RECORDS, Table.SPQR, Table.SEEN_BASE_KEYS),
    }


def test_asking_for_copies_by_their_own_ids_counts_for_the_message() -> None:
    """A copy of a copy: still ten in all."""
    backend, ana, budi, ids = scene()
    deposited = len(backend.deposits)
    wanted = ids[0]
    told = []
    for _ in range(MAX_RESENDS + 5):
        ask(budi, ANA, [asking(wanted)])
        told += ana.receive()
        wanted = sent_by(ana, deposited)[-1].message_id
    assert len(sent_by(ana, deposited)) == MAX_RESENDS
    assert told == [UNDELIVERED]


# --- What the back end sees ---------------------------------------------------------------------


def _length(content: Content | RetryRequest | Resent) -> int:
    return len(encode_payload(Payload(BUDI, ANA, bytes(16), 16380, NOW_MS, content)))


def test_a_request_is_as_long_as_a_short_text() -> None:
    """Whatever it asks for, and for whatever reason."""
    texts = {_length(Text("x" * length)) for length in range(161)}
    assert texts == {399}
    keys = (None, bytes(33))
    codes = {error.code for error in RemoteError.__subclasses__()}
    assert len(codes) >= 10
    for code in codes:
        for key in keys:
            counter = 0 if key is None else 2**32 - 1
            request = RetryRequest(bytes(16), key, counter, code)
            assert _length(request) in texts
    assert {_length(Resent(bytes(16), NOW_MS, Text("x" * n))) for n in range(100)} <= texts


def test_the_back_end_cannot_tell_them_apart() -> None:
    """By kind and by length, in a conversation where both come in sessions of the same age."""
    backend, ana, budi, ids = scene()
    requests = ask(budi, ANA, [asking(message_id) for message_id in ids])
    toko = party(TOKO, backend)
    texts = [toko.send(ana, "x" * length) for length in range(0, 161, 4)]
    before = ana.person.dump()
    assert {envelope.kind for envelope in requests} == {MessageKind.PREKEY}
    # Signatures are not there, prekey ids are of the same length: what differs are the addresses.
    seen = {(envelope.kind, len(envelope.ciphertext)) for envelope in texts}
    assert {(envelope.kind, len(envelope.ciphertext)) for envelope in requests} <= seen
    assert ana.person.dump() == before
    # The copies: in the session that the requests came in.
    deposited = len(backend.deposits)
    assert len(ana.receive()) == len(texts)
    copies = sent_by(ana, deposited)
    assert len(copies) == len(ids)
    plain = [ana.send(budi, "x" * length) for length in range(0, 161, 4)]
    seen = {(envelope.kind, len(envelope.ciphertext)) for envelope in plain}
    assert {(envelope.kind, len(envelope.ciphertext)) for envelope in copies} <= seen
    assert not {envelope.message_id for envelope in copies} & set(ids)
