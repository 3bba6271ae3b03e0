# SPDX-License-Identifier: Apache-2.0
"""A forged message is not called one that came before, too late or too far ahead.

The attacker: a back end that writes messages in Ana's name, with numbers of messages that were read
or never will be. Whoever takes a forged message for a copy of a genuine one, or for one that is too
old, asks nobody for the genuine one. Under a ratchet key that Ana has used an error may say what is
known of it; under any other it is what anybody can write, and nothing but `AuthenticationFailed`.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product

import pytest

from e2ecross import Envelope, MessageKind
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import AuthenticationFailed, DuplicateMessage, MessageTooOld, TooManySkipped
from e2ecross.protocol.session import Session
from e2ecross.state.context import address_key
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import Table
from e2ecross.wire.limits import MAX_FORWARD_JUMP, MAX_FORWARD_JUMP_ARCHIVED, MAX_UINT32
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage, encode_spqr_message
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Attacker,
    Person,
    Rows,
    assert_refused,
    edit_wrapper,
    inner_message,
    meet,
    person,
    wrapper_fields,
)
from tests.attacks.support_4 import converse, current, spqr_of
from tests.fuzz.world import load
from tests.support import protobuf
from tests.support.entropy import SeededEntropy

NEW_KEY = generate_key_pair(SeededEntropy("forger")).public
NUMBERS = (0, 1, MAX_FORWARD_JUMP_ARCHIVED + 1, MAX_FORWARD_JUMP + 1, MAX_UINT32)
ROUNDS = 100
"""So many that the first epoch of the post-quantum ratchet has been dropped."""

VERSIONS = pytest.mark.parametrize("kyber", [False, True], ids=["version 3", "version 4"])
ANSWERED = pytest.mark.parametrize("answered", [False, True], ids=["silent", "answered"])


@cache
def _scene(*, kyber: bool, sessions: int) -> tuple[Person, Person, Rows]:
    """Ana, and Budi who has read messages of hers in that many sessions, some out of order."""
    ana, budi = person(ANA), person(BUDI)
    for number in range(sessions):
        meet(ana, budi, kyber=kyber)
        if kyber and number == sessions - 1:
            converse(ana, budi, ROUNDS)
            assert spqr_of(current(budi, ana)).chains.epochs[0].epoch > 0
        ana.send(budi, "lost")
        assert budi.read(ana.send(budi, "read")) == "read"
    return ana, budi, budi.dump()


def _victim(*, kyber: bool, sessions: int, answered: bool = False) -> tuple[Person, Person]:
    """The two; if he has answered, Ana may turn the ratchet, and else nobody can."""
    ana, budi, rows = _scene(kyber=kyber, sessions=sessions)
    budi = load(budi, rows)
    if answered:
        budi.send(ana, "never delivered")
    return ana, budi


def _sessions(budi: Person) -> list[Session]:
    with budi.store.transaction() as tx:
        record = load_sessions(tx, ANA)
    assert record.current is not None
    return [record.current, *record.archived]


def _forged(ratchet_key: bytes, *, kyber: bool) -> Iterator[bytes]:
    """Messages under that key with every number, of the post-quantum ratchet also each epoch."""
    claims: list[bytes | None] = [None]
    if kyber:
        claims = [
            encode_spqr_message(SpqrMessage(epoch, index, SpqrKind.NONE, 0, b""))
            for epoch, index in product((1, 2, 3, 4), (1, 2, 40, 30_000, MAX_UINT32))
        ]
    for number, claim in product(NUMBERS, claims):
        items: list[protobuf.Field] = [(1, ratchet_key), (2, number), (3, 0), (4, bytes(96))]
        if claim is not None:
            items.append((5, claim))
        yield (b"\x44" if kyber else b"\x33") + protobuf.message(items) + bytes(8)


def _plain(message: bytes) -> Envelope:
    return Envelope(bytes(16), ANA, BUDI, MessageKind.SIGNAL, message)


@VERSIONS
@ANSWERED
@pytest.mark.parametrize("sessions", [1, 2, 5])
def test_under_a_new_ratchet_key(sessions: int, answered: bool, kyber: bool) -> None:
    _, budi = _victim(kyber=kyber, sessions=sessions, answered=answered)
    for message in _forged(NEW_KEY, kyber=kyber):
        assert_refused(budi, _plain(message), AuthenticationFailed)


@VERSIONS
@pytest.mark.parametrize("one_time", [True, False])
def test_in_a_first_message(one_time: bool, kyber: bool) -> None:
    """Under Ana's identity and under one of the forger's, from somebody known and unknown."""
    ana, budi = _victim(kyber=kyber, sessions=1)
    ana.start(budi, one_time=one_time, kyber=kyber)
    first = ana.send(budi, "genuine")
    stranger = Attacker().identity.public
    for message in _forged(NEW_KEY, kyber=kyber):
        bad = edit_wrapper(first, message=message)
        for forged in (bad, edit_wrapper(bad, identity_key=stranger), replace(bad, sender=TOKO)):
            assert_refused(budi, forged, AuthenticationFailed)
    assert budi.read(first) == "genuine"


@VERSIONS
@ANSWERED
def test_in_a_first_message_that_is_repeated(answered: bool, kyber: bool) -> None:
    """Around it the wrapper of a session that there is, current or archived."""
    ana, budi = _victim(kyber=kyber, sessions=2, answered=answered)
    ana.start(budi, kyber=kyber)
    wrapper = ana.send(budi, "wrapped")
    for session in _sessions(budi):
        for message in _forged(NEW_KEY, kyber=kyber):
            bad = edit_wrapper(wrapper, base_key=session.base_key, message=message)
            assert_refused(budi, bad, AuthenticationFailed)


@VERSIONS
def test_under_a_base_key_that_was_seen(kyber: bool) -> None:
    """A base key is no secret: that it was seen says nothing of a message that names it."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False, kyber=kyber)
    first, second = ana.send(budi, "genuine"), ana.send(budi, "never delivered")
    assert budi.read(first) == "genuine"
    with budi.store.transaction() as tx:  # what a user who deletes a chat does
        for row, _ in tx.list(Table.SESSIONS, address_key(ANA)):
            tx.delete(Table.SESSIONS, address_key(ANA), row)
        tx.delete(Table.SESSION_RECORDS, address_key(ANA))
    base_key = dict(wrapper_fields(first))[2]
    assert isinstance(base_key, bytes)
    attacker = Attacker()
    session = attacker.session(budi.bundle(one_time=False, kyber=kyber))
    theirs = attacker.first_message(budi, ANA, one_time=False) if not kyber else None
    damaged = inner_message(first)[:-1] + bytes((inner_message(first)[-1] ^ 1,))
    for message in (damaged, *_forged(NEW_KEY, kyber=kyber)):
        bad = edit_wrapper(first, message=message)
        for forged in (bad, edit_wrapper(bad, identity_key=session.local_identity_key)):
            assert_refused(budi, forged, AuthenticationFailed)
            assert_refused(budi, replace(forged, sender=TOKO), AuthenticationFailed)
    if theirs is not None:
        assert_refused(budi, edit_wrapper(theirs, base_key=base_key), AuthenticationFailed)
    # What Ana has written says so, whoever delivers it in whose name.
    for genuine in (first, second, replace(first, sender=TOKO)):
        assert_refused(budi, genuine, DuplicateMessage)


@VERSIONS
def test_under_a_ratchet_key_of_anas_the_error_says_what_is_known(kyber: bool) -> None:
    """What is behind was received or lost, what is far ahead is too far."""
    ana, budi = _victim(kyber=kyber, sessions=2)
    for session in _sessions(budi):
        chain = session.ratchet.receiving[-1]
        told = set()
        for message in _forged(chain.ratchet_key, kyber=kyber):
            refused = (AuthenticationFailed, DuplicateMessage, MessageTooOld, TooManySkipped)
            told.add(type(assert_refused(budi, _plain(message), *refused)))
        assert told >= {DuplicateMessage, TooManySkipped}
    genuine = ana.send(budi, "genuine")
    assert budi.read(genuine) == "genuine"
    assert_refused(budi, genuine, DuplicateMessage)
