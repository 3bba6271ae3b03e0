# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest

from e2ecross.errors import AuthenticationFailed, SessionExhausted
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.session import (
    PendingPrekey,
    Session,
    session_decrypt,
    session_encrypt,
    without_pending,
)
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.limits import MAX_UINT32
from e2ecross.wire.signal_message import (
    decode_prekey_signal_message,
    decode_signal_message,
    is_canonical_prekey_signal_message,
)
from tests.support.entropy import NO_ENTROPY
from tests.support.parties import (
    SIGNED_PREKEY_ID,
    Party,
    inner_message,
    save_session,
    sending_chain,
)
from tests.support.values import with_fields


def _started(*, one_time: bool = True) -> tuple[Party, Party]:
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob, one_time=one_time)
    return alice, bob


@pytest.mark.parametrize("one_time", [True, False])
def test_initiator_wraps_every_message_until_one_is_read(one_time: bool) -> None:
    alice, bob = _started(one_time=one_time)
    for number in range(3):
        kind, data = alice.send(b"x")
        assert kind is MessageKind.PREKEY
        assert is_canonical_prekey_signal_message(data)
        decoded = decode_prekey_signal_message(data)
        assert decoded.one_time_prekey_id == (33 if one_time else None)
        assert decoded.signed_prekey_id == SIGNED_PREKEY_ID
        assert decoded.base_key == alice.current.base_key
        assert decoded.identity_key == alice.identity.public
        assert decoded.registration_id == alice.registration_id
        assert decoded.message.counter == number
        bob.receive((kind, data))
    sealed = bob.send(b"answer")
    assert sealed[0] is MessageKind.SIGNAL
    alice.receive(sealed)
    assert alice.current.pending is None
    assert alice.send(b"x")[0] is MessageKind.SIGNAL


def test_what_a_session_is_about_does_not_change_with_its_messages() -> None:
    alice, bob = _started()
    bob.receive(alice.send(b"x"))
    about = {party.name: _about(party.current) for party in (alice, bob)}
    assert about["alice"][:3] == [alice.identity.public, bob.identity.public, bob.registration_id]
    assert about["bob"][:3] == [bob.identity.public, alice.identity.public, alice.registration_id]
    for _ in range(2):
        for sender, receiver in ((bob, alice), (alice, bob)):
            receiver.receive(sender.send(b"x"))
            assert _about(sender.current) == about[sender.name]
            assert _about(receiver.current) == about[receiver.name]
    for party in (alice, bob):
        assert _about(without_pending(party.current)) == about[party.name]


def _about(session: Session) -> list[object]:
    return [
        session.local_identity_key,
        session.remote_identity_key,
        session.remote_registration_id,
        session.base_key,
        session.used_prekeys,
    ]


def test_message_that_is_refused_does_not_acknowledge() -> None:
    alice, bob = _started()
    bob.receive(alice.send(b"x"))
    _, data = bob.send(b"answer")
    with pytest.raises(AuthenticationFailed):
        session_decrypt(
            alice.current,
            decode_signal_message(data[:-1] + bytes((data[-1] ^ 1,))),
            0,
        )
    assert alice.current.pending is not None
    assert alice.send(b"y")[0] is MessageKind.PREKEY


def test_identities_are_bound_in_both_directions() -> None:
    alice, bob = _started()
    first = alice.send(b"x")
    bob.receive(first)
    reply = decode_signal_message(bob.send(b"y")[1])
    eve = Party("eve").identity.public
    for changed in (
        with_fields(alice.current, remote_identity_key=eve),
        with_fields(alice.current, local_identity_key=eve),
        with_fields(
            alice.current,
            local_identity_key=alice.current.remote_identity_key,
            remote_identity_key=alice.current.local_identity_key,
        ),
    ):
        with pytest.raises(AuthenticationFailed):
            session_decrypt(changed, reply, 0)
    assert session_decrypt(alice.current, reply, 0)[1] == b"y"


def test_message_reflected_to_its_sender_is_refused() -> None:
    alice, bob = _started()
    bob.receive(alice.send(b"x"))
    alice.receive(bob.send(b"y"))
    own = decode_signal_message(inner_message(alice.send(b"z")))
    with pytest.raises(AuthenticationFailed):
        session_decrypt(alice.current, own, 0)


def test_encryption_leaves_its_input_unchanged() -> None:
    alice, _ = _started()
    session = alice.current
    before = save_session(session)
    first = session_encrypt(session, b"x", 1, NO_ENTROPY)
    second = session_encrypt(session, b"x", 1, NO_ENTROPY)
    assert first[1:] == second[1:]
    assert save_session(first[0]) == save_session(second[0]) != before
    assert save_session(session) == before
    assert first[0].pending is session.pending


def test_exhausted_session_does_not_encrypt() -> None:
    alice, _ = _started()
    sending = sending_chain(alice.current)
    full = with_fields(
        alice.current,
        ratchet=with_fields(
            alice.current.ratchet,
            sending=SendingChain(sending.ratchet_key_pair, sending.chain_key, MAX_UINT32),
        ),
    )
    with pytest.raises(SessionExhausted):
        session_encrypt(full, b"x", 1, NO_ENTROPY)


def test_archived_session_no_longer_wraps() -> None:
    alice, _ = _started()
    archived = without_pending(alice.current)
    assert archived.pending is None
    assert with_fields(archived, pending=alice.current.pending).pending is not None
    assert without_pending(archived) is archived
    assert session_encrypt(archived, b"x", 1, NO_ENTROPY)[1] is MessageKind.SIGNAL
    assert archived.ratchet is alice.current.ratchet


def test_session_does_not_show_itself() -> None:
    alice, _ = _started()
    assert repr(alice.current) == "<Session: secret>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(alice.current)
    assert repr(PendingPrekey(None, 22, 0)) == (
        "PendingPrekey(one_time_prekey_id=None, signed_prekey_id=22, created_at_ms=0, kyber=None)"
    )
