# SPDX-License-Identifier: Apache-2.0
"""In a session of version 4 no message is read whose keys rest on X25519 alone.

The attacker: has broken X25519 and has stolen a state once, so every secret of the Double Ratchet
is known to them; of the post-quantum ratchet they know nothing any more. They write messages that
leave it out, or say that their key in it is number 0, which means none.
One exception is part of the protocol: some releases of libsignal begin as initiator with messages
of number 0. It ends with the chain of the initiator's first ratchet key.
"""

import pytest

from e2ecross import Envelope, MessageKind
from e2ecross.crypto.keys import PublicKey, generate_key_pair
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    MessageTooOld,
    UnsupportedVersion,
)
from e2ecross.protocol.session import Session
from e2ecross.protocol.spqr.state import find_spqr_key
from e2ecross.wire.content import encode_payload
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage, encode_spqr_message
from tests.attacks.support import (
    ANA,
    BUDI,
    Person,
    assert_refused,
    meet,
    payload_for,
    person,
)
from tests.attacks.support_4 import converse, current, forge, spqr_of
from tests.support.entropy import SeededEntropy

ROUNDS = {"first epoch": 1, "second epoch": 46, "fourth epoch": 135}
NEW_KEY = generate_key_pair(SeededEntropy("has broken x25519")).public
SIDES = pytest.mark.parametrize("victim", ["initiator", "responder"])


def _people(rounds: int) -> tuple[Person, Person]:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=True)
    converse(ana, budi, rounds)
    for sender, reader in ((ana, budi), (budi, ana)):
        sender.send(reader, "lost, but now whoever reads takes a new ratchet key")
    return ana, budi


def _chains(session: Session) -> list[tuple[PublicKey, int]]:
    """The newest chain of the peer, and one that nobody has seen: ratchet key and next number."""
    newest = session.ratchet.receiving[-1]
    return [(newest.ratchet_key, newest.message_number), (NEW_KEY, 0)]


def _without_key(epoch: int) -> list[bytes | None]:
    """Every way to say that there is no post-quantum key."""
    said = [
        SpqrMessage(epoch, 0, SpqrKind.NONE, 0, b""),
        SpqrMessage(epoch, 0, SpqrKind.CT1_ACK, 0, b""),
        SpqrMessage(epoch, 0, SpqrKind.HDR, 0, bytes(32)),
        SpqrMessage(epoch, 0, SpqrKind.CT2, 7, bytes(32)),
    ]
    encoded = [encode_spqr_message(message) for message in said]
    long_zero = b"\x01" + encoded[0][1:-2] + b"\x80\x00" + encoded[0][-1:]
    later = [bytes((version,)) + encoded[0][1:] for version in (0, 2, 255)]
    return [*encoded, long_zero, *later, None, b"", b"\x00"]


def _envelope(sender: Person, reader: Person, data: bytes) -> Envelope:
    return Envelope(bytes(16), sender.address, reader.address, MessageKind.SIGNAL, data)


def _sides(victim: str, ana: Person, budi: Person) -> tuple[Person, Person]:
    return (ana, budi) if victim == "initiator" else (budi, ana)


@SIDES
@pytest.mark.parametrize("rounds", ROUNDS.values(), ids=ROUNDS)
def test_in_mid_session(rounds: int, victim: str) -> None:
    me, peer = _sides(victim, *_people(rounds))
    session = current(me, peer)
    now = spqr_of(session).machine.epoch
    payload = encode_payload(payload_for(peer.address, me.address))
    for epoch in {1, max(now - 1, 1), now, now + 1}:
        for ratchet_key, number in _chains(session):
            for said in _without_key(epoch):
                for ahead in (0, 3):
                    data = forge(session, ratchet_key, number + ahead, said, payload)
                    assert_refused(
                        me,
                        _envelope(peer, me, data),
                        AuthenticationFailed,
                        UnsupportedVersion,
                        DecodeError,
                    )
    converse(me, peer, 2)


@SIDES
def test_the_attack_would_succeed_with_the_post_quantum_key(victim: str) -> None:
    """So that the test above cannot pass because its messages are wrong otherwise."""
    me, peer = _sides(victim, *_people(46))
    session, before = current(me, peer), me.dump()
    payload = payload_for(peer.address, me.address)
    for ratchet_key, number in _chains(session):
        spqr = spqr_of(session)
        epoch = spqr.machine.epoch
        (chain,) = [chain for chain in spqr.chains.epochs if chain.epoch == epoch - 1]
        index = chain.receiving.counter + 1
        said = encode_spqr_message(SpqrMessage(epoch, index, SpqrKind.NONE, 0, b""))
        found = find_spqr_key(spqr, said, 10, may_have_no_key=False)
        data = forge(session, ratchet_key, number, said, encode_payload(payload), pq_key=found.key)
        assert me.read(_envelope(peer, me, data)) == "send me money"
        assert me.dump() != before
        session = current(me, peer)


@SIDES
def test_a_key_of_the_attackers_own_does_not_do_either(victim: str) -> None:
    me, peer = _sides(victim, *_people(46))
    session = current(me, peer)
    payload = encode_payload(payload_for(peer.address, me.address))
    epoch = spqr_of(session).machine.epoch
    for ratchet_key, number in _chains(session):
        for index in (1, 2, 40, 4_000):
            said = encode_spqr_message(SpqrMessage(epoch, index, SpqrKind.NONE, 0, b""))
            data = forge(session, ratchet_key, number, said, payload)
            before = me.dump()
            envelope = _envelope(peer, me, data)
            assert_refused(me, envelope, AuthenticationFailed, DuplicateMessage)
            assert me.dump() == before


def test_the_initiator_never_takes_one_not_even_at_first() -> None:
    """Its peer answers, and who answers has a key."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, kyber=True)
    assert budi.read(ana.send(budi, "hello")) == "hello"
    genuine = budi.send(ana, "answer")
    session = current(ana, budi)
    payload = encode_payload(payload_for(BUDI, ANA))
    for said in _without_key(1):
        data = forge(session, NEW_KEY, 0, said, payload)
        assert_refused(
            ana, _envelope(budi, ana, data), AuthenticationFailed, UnsupportedVersion, DecodeError
        )
    assert ana.read(genuine) == "answer"


@pytest.mark.parametrize("turned", [False, True], ids=["first chain open", "first chain closed"])
def test_the_exception_ends_with_the_initiators_first_chain(turned: bool) -> None:
    """While it is open, number 0 is legal under that one ratchet key, and under no other."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, kyber=True)
    assert budi.read(ana.send(budi, "hello")) == "hello"
    first_key = current(budi, ana).ratchet.receiving[0].ratchet_key
    if turned:
        converse(budi, ana, 1)
    budi.send(ana, "lost, but now he takes a new ratchet key")
    session = current(budi, ana)
    (chain,) = [c for c in session.ratchet.receiving if c.ratchet_key == first_key]
    payload = payload_for(ANA, BUDI)
    said = encode_spqr_message(SpqrMessage(1, 0, SpqrKind.NONE, 0, b""))
    other = forge(session, NEW_KEY, 0, said, encode_payload(payload))
    assert_refused(budi, _envelope(ana, budi, other), AuthenticationFailed)
    if turned:
        # There is no chain key left to write with; the number alone is too old.
        data = forge(session, NEW_KEY, chain.message_number, said, encode_payload(payload))
        late = data.replace(NEW_KEY, first_key)
        assert_refused(budi, _envelope(ana, budi, late), MessageTooOld)
    else:
        for epoch, error in ((2, AuthenticationFailed), (3, AuthenticationFailed)):
            bad = encode_spqr_message(SpqrMessage(epoch, 0, SpqrKind.NONE, 0, b""))
            data = forge(session, first_key, chain.message_number, bad, encode_payload(payload))
            assert_refused(budi, _envelope(ana, budi, data), error)
        data = forge(session, first_key, chain.message_number, said, encode_payload(payload))
        assert budi.read(_envelope(ana, budi, data)) == "send me money"
