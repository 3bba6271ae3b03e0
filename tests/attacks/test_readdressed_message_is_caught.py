# SPDX-License-Identifier: Apache-2.0
"""A message that the back end moves to another address or id is caught, and still opens in place.

The attacker: a back end that rewrites every field of an envelope and of the wrapper inside it,
between all three apps. Both are unauthenticated on the wire.
"""

from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import permutations

import pytest

from e2ecross import Address, Envelope, MessageKind
from e2ecross.errors import (
    AuthenticationFailed,
    EnvelopeMismatch,
    UnknownPrekey,
    UnknownSession,
)
from e2ecross.stores import Table, Transaction
from e2ecross.stores.memory import MemoryStore
from tests.attacks.support import (
    ANA,
    APPS,
    BUDI,
    WRAPPER,
    Person,
    assert_refused,
    edit_wrapper,
    meet,
    person,
    rewrap,
    with_ciphertext,
    wrapper_fields,
)
from tests.support import protobuf

ROUTES = list(permutations(APPS, 3))
"""Sender, recipient, and the one whom it does not concern: all six directions."""


def _acquainted(*people: Person) -> None:
    for number, left in enumerate(people):
        for right in people[number + 1 :]:
            meet(left, right)


@pytest.mark.parametrize(("sender", "recipient", "third"), ROUTES, ids=str)
def test_to_another_recipient(sender: Address, recipient: Address, third: Address) -> None:
    """Without a single key being touched, even if the other one has a session with the sender."""
    ana, budi, toko = person(sender), person(recipient), person(third)
    ana.start(budi)
    ana.start(toko)
    first = ana.send(budi, "for your eyes")
    toko.read(ana.send(toko, "hello"))
    # Delivered as it is, and with the recipient rewritten.
    assert_refused(toko, first, EnvelopeMismatch)
    assert_refused(toko, replace(first, recipient=third), UnknownPrekey)
    assert budi.read(first) == "for your eyes"
    ana.read(budi.send(ana, "thanks"))
    normal = ana.send(budi, "for your eyes too")
    assert normal.kind is MessageKind.SIGNAL
    assert_refused(toko, normal, EnvelopeMismatch)
    assert_refused(toko, replace(normal, recipient=third), AuthenticationFailed)
    assert budi.read(normal) == "for your eyes too"


@pytest.mark.parametrize(("sender", "recipient", "third"), ROUTES, ids=str)
def test_from_another_sender(sender: Address, recipient: Address, third: Address) -> None:
    ana, budi, toko = person(sender), person(recipient), person(third)
    _acquainted(ana, toko)
    ana.start(budi)
    first = ana.send(budi, "it was me")
    assert_refused(budi, replace(first, sender=third), EnvelopeMismatch)
    assert budi.read(first) == "it was me"
    ana.read(budi.send(ana, "fine"))
    normal = ana.send(budi, "me again")
    assert_refused(budi, replace(normal, sender=third), UnknownSession)
    meet(toko, budi)
    assert_refused(budi, replace(normal, sender=third), AuthenticationFailed)
    assert budi.read(normal) == "me again"


def test_near_misses_of_an_address() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    first = ana.send(budi, "first")
    senders = [
        Address("whatsapp", "ana", 2),
        Address("whatsapp", "anaa"),
        Address("whatsapp", "an"),
        Address("whatsap", "ana"),
        Address("instagram", "ana"),
        Address("whatsapp", "budi"),
    ]
    recipients = [
        Address("instagram", "budi", 127),
        Address("whatsapp", "budi"),
        Address("instagram", "bud"),
    ]
    for sender in senders:
        assert_refused(budi, replace(first, sender=sender), EnvelopeMismatch)
    for recipient in recipients:
        assert_refused(budi, replace(first, recipient=recipient), EnvelopeMismatch)
    assert budi.read(first) == "first"
    ana.read(budi.send(ana, "reply"))
    normal = ana.send(budi, "normal")
    for sender in senders:
        assert_refused(budi, replace(normal, sender=sender), UnknownSession)
    for recipient in recipients:
        assert_refused(budi, replace(normal, recipient=recipient), EnvelopeMismatch)
    assert budi.read(normal) == "normal"


def test_under_another_message_id() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    first = ana.send(budi, "first")
    assert_refused(budi, replace(first, message_id=bytes(16)), EnvelopeMismatch)
    assert budi.read(first) == "first"
    ana.read(budi.send(ana, "reply"))
    normal = ana.send(budi, "normal")
    assert_refused(budi, replace(normal, message_id=first.message_id), EnvelopeMismatch)
    assert budi.read(normal) == "normal"


def test_the_recipient_is_checked_before_any_key_is_touched() -> None:
    """A message for somebody else does not even open a transaction."""

    class Untouchable(MemoryStore):
        locked = False

        def transaction(
            self, stripe: int = 0, *, moved: bool = False
        ) -> AbstractContextManager[Transaction]:
            assert not self.locked, "the store was opened"
            return super().transaction(stripe, moved=moved)

    store = Untouchable()
    ana, budi = person(ANA), person(BUDI, store=store)
    ana.start(budi)
    first = ana.send(budi, "first")
    store.locked = True
    for changed in (
        replace(first, recipient=ANA),
        replace(first, sender=BUDI),
        edit_wrapper(first, registration_id=None),
    ):
        with pytest.raises(EnvelopeMismatch):
            budi.device.decrypt(changed)
    store.locked = False
    assert budi.read(first) == "first"


# --- The wrapper of a prekey message --------------------------------------------------------


@pytest.fixture(params=["first", "repeated"])
def wrapped(request: pytest.FixtureRequest) -> tuple[Person, Envelope]:
    """A prekey message that starts its session, or a later one of the same session."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    if request.param == "repeated":
        assert budi.read(ana.send(budi, "before")) == "before"
    return budi, ana.send(budi, "wrapped")


def _genuine_still_opens(budi: Person, envelope: Envelope) -> None:
    assert budi.read(envelope) == "wrapped"


def test_another_registration_id(wrapped: tuple[Person, Envelope]) -> None:
    budi, envelope = wrapped
    registration_id = dict(wrapper_fields(envelope))[WRAPPER["registration_id"]]
    assert isinstance(registration_id, int)
    for changed in (0, 1, registration_id ^ 1, registration_id + 2**14, 2**32 - 1):
        edited = edit_wrapper(envelope, registration_id=changed)
        assert_refused(budi, edited, EnvelopeMismatch)
    assert_refused(budi, edit_wrapper(envelope, registration_id=None), EnvelopeMismatch)
    _genuine_still_opens(budi, envelope)


def test_another_first_byte(wrapped: tuple[Person, Envelope]) -> None:
    budi, envelope = wrapped
    for low in range(16):
        if low != 3:
            data = bytes((0x30 | low,)) + envelope.ciphertext[1:]
            assert_refused(budi, with_ciphertext(envelope, data), EnvelopeMismatch)
    _genuine_still_opens(budi, envelope)


def test_an_explicit_absent_one_time_prekey() -> None:
    """0 counts as absent among Signal's peers: nobody of ours writes it."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    for _ in range(2):
        envelope = ana.send(budi, "wrapped")
        edited = edit_wrapper(envelope, pre_key_id=0)
        assert len(edited.ciphertext) == len(envelope.ciphertext) + 2
        assert_refused(budi, edited, EnvelopeMismatch)
        _genuine_still_opens(budi, envelope)


def test_unknown_fields(wrapped: tuple[Person, Envelope]) -> None:
    budi, envelope = wrapped
    fields = wrapper_fields(envelope)
    for extra in ((7, 1), (8, b"kyber"), (15, b""), (2**29 - 1, 0)):
        assert_refused(budi, rewrap(envelope, [*fields, extra]), EnvelopeMismatch)
        assert_refused(budi, rewrap(envelope, [extra, *fields]), EnvelopeMismatch)
    _genuine_still_opens(budi, envelope)


def test_order_repetition_and_long_numbers(wrapped: tuple[Person, Envelope]) -> None:
    budi, envelope = wrapped
    fields = wrapper_fields(envelope)
    for number, field in enumerate(fields):
        assert_refused(budi, rewrap(envelope, [*fields, field]), EnvelopeMismatch)
        if number:
            moved = [field, *fields[:number], *fields[number + 1 :]]
            assert_refused(budi, rewrap(envelope, moved), EnvelopeMismatch)
    encoded = [data for _, data in protobuf.split(envelope.ciphertext[1:])]
    for number, (field, _) in enumerate(protobuf.split(envelope.ciphertext[1:])):
        if isinstance(field[1], int):
            long = protobuf.varint(field[0] << 3) + protobuf.varint(field[1], padding=1)
            parts = [*encoded[:number], long, *encoded[number + 1 :]]
            changed = with_ciphertext(envelope, b"\x33" + b"".join(parts))
            assert_refused(budi, changed, EnvelopeMismatch)
    _genuine_still_opens(budi, envelope)


def test_what_is_written_stands_where_it_belongs() -> None:
    """The sessions of two people with one name in two apps never meet."""
    budi = person(BUDI)
    namesakes = [person(Address(app, "ana")) for app in ("whatsapp", "messenger", "signal-2")]
    for namesake in namesakes:
        meet(namesake, budi)
    with budi.store.transaction() as tx:
        assert len(_partitions(tx, Table.SESSIONS)) == len(namesakes)
        assert len(_partitions(tx, Table.REMOTE_IDENTITIES)) == len(namesakes)


def _partitions(tx: Transaction, table: Table) -> set[bytes]:
    return {partition for partition, _, _ in tx.scan(table)}
