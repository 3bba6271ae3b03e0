# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import pytest

from e2ecross.crypto.keys import PublicKey, generate_key_pair
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import DecodeError, InvalidKey, InvalidSignature
from e2ecross.protocol.session import UsedPrekeys, session_decrypt, session_encrypt
from e2ecross.protocol.session_start import OwnPrekeys, initiate_session, respond_to_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.signal_message import decode_prekey_signal_message
from tests.support.entropy import NO_ENTROPY, ReplayedEntropy, SeededEntropy
from tests.support.parties import NOW_MS, SIGNED_PREKEY_ID, Party, save_session, sending_chain
from tests.support.points import BAD_KEYS, LOW_ORDER_POINTS

ALICE, BOB, EVE = Party("alice"), Party("bob"), Party("eve")
BUNDLE = BOB.bundle()
bad_keys = pytest.mark.parametrize("bad", [*BAD_KEYS])


def test_good_bundle_is_taken_over_as_it_is() -> None:
    verified = verify_bundle(BUNDLE)
    assert verified.registration_id == BUNDLE.registration_id
    assert verified.identity_key == BUNDLE.identity_key
    assert verified.signed_prekey_id == BUNDLE.signed_prekey_id
    assert verified.signed_prekey == BUNDLE.signed_prekey
    assert verified.one_time_prekey_id == BUNDLE.one_time_prekey_id
    assert verified.one_time_prekey == BUNDLE.one_time_prekey


def test_bundle_without_one_time_prekey_is_good() -> None:
    verified = verify_bundle(BOB.bundle(one_time=False))
    assert verified.one_time_prekey_id is None
    assert verified.one_time_prekey is None


@bad_keys
@pytest.mark.parametrize("field", ["identity_key", "signed_prekey", "one_time_prekey"])
def test_bad_key_in_any_field_is_refused(bad: str, field: str) -> None:
    changes: dict[str, Any] = {field: BAD_KEYS[bad]}
    with pytest.raises(InvalidKey):
        verify_bundle(replace(BUNDLE, **changes))


@bad_keys
def test_bad_signed_prekey_is_refused_even_when_it_is_signed(bad: str) -> None:
    signature = sign(BOB.identity, BAD_KEYS[bad], SeededEntropy(0))
    bundle = replace(BUNDLE, signed_prekey=BAD_KEYS[bad], signed_prekey_signature=signature)
    with pytest.raises(InvalidKey):
        verify_bundle(bundle)


def test_one_time_prekey_id_0_is_refused() -> None:
    with pytest.raises(DecodeError, match="id 0"):
        verify_bundle(replace(BUNDLE, one_time_prekey_id=0))


def test_signed_prekey_id_0_is_an_id_like_any_other() -> None:
    assert verify_bundle(replace(BUNDLE, signed_prekey_id=0)).signed_prekey_id == 0


FORGED = {
    "another signed prekey": {"signed_prekey": EVE.signed_prekey.public},
    "another identity": {"identity_key": EVE.identity.public},
    "another signature": {"signed_prekey_signature": EVE.signature},
    "signature of the bare 32 bytes": {
        "signed_prekey_signature": sign(
            BOB.identity, BOB.signed_prekey.public[1:], SeededEntropy(0)
        )
    },
    "zero signature": {"signed_prekey_signature": bytes(64)},
    "short signature": {"signed_prekey_signature": BOB.signature[:63]},
    "long signature": {"signed_prekey_signature": BOB.signature + b"\0"},
    "no signature": {"signed_prekey_signature": b""},
}


@pytest.mark.parametrize("name", [*FORGED])
def test_forged_bundle_is_refused(name: str) -> None:
    with pytest.raises(InvalidSignature):
        verify_bundle(replace(BUNDLE, **FORGED[name]))  # type: ignore[arg-type]


def test_forged_one_time_prekey_is_unsigned_but_gives_a_session_that_bob_refuses() -> None:
    forged = replace(BUNDLE, one_time_prekey=EVE.signed_prekey.public)
    session = initiate_session(ALICE.identity, verify_bundle(forged), SeededEntropy(1), NOW_MS)
    _, kind, data = session_encrypt(session, b"x", 1, NO_ENTROPY)
    bob = Party("bob")
    bob.bundle()
    before = dict(bob.one_time_prekeys)
    with pytest.raises(Exception, match="authenticate"):
        bob.receive((kind, data))
    assert bob.one_time_prekeys == before
    assert bob.record.current is None


def test_initiator_draws_base_key_then_ratchet_key() -> None:
    entropy = ReplayedEntropy([b"\x01" * 32, b"\x02" * 32])
    session = initiate_session(ALICE.identity, verify_bundle(BUNDLE), entropy, NOW_MS)
    assert entropy.left == 0
    base = generate_key_pair(ReplayedEntropy([b"\x01" * 32]))
    ratchet = generate_key_pair(ReplayedEntropy([b"\x02" * 32]))
    assert session.base_key == base.public
    assert sending_chain(session).ratchet_key_pair.public == ratchet.public
    # The base key's private part is forgotten.
    assert bytes(base.private) not in save_session(session).session


@pytest.mark.parametrize("one_time", [True, False])
def test_initiated_session_is_pending_with_the_ids_of_the_bundle(one_time: bool) -> None:
    bundle = BOB.bundle(one_time=one_time)
    session = initiate_session(ALICE.identity, verify_bundle(bundle), SeededEntropy(1), NOW_MS)
    assert session.pending is not None
    assert session.pending.one_time_prekey_id == bundle.one_time_prekey_id
    assert session.pending.signed_prekey_id == bundle.signed_prekey_id
    assert session.pending.created_at_ms == NOW_MS
    assert session.local_identity_key == ALICE.identity.public
    assert session.remote_identity_key == BOB.identity.public
    assert session.remote_registration_id == BOB.registration_id
    assert session.ratchet.receiving == ()
    assert session.ratchet.previous_counter == 0


@pytest.mark.parametrize("one_time", [True, False])
def test_both_ends_derive_one_session(one_time: bool) -> None:
    alice, bob = Party("alice"), Party("bob")
    started = alice.start(bob, one_time=one_time)
    message = decode_prekey_signal_message(alice.send(b"halo")[1])
    session = bob.respond(message)
    assert session.base_key == started.base_key
    assert session.pending is None
    assert session.used_prekeys == UsedPrekeys(33 if one_time else None, SIGNED_PREKEY_ID)
    assert started.used_prekeys is None
    assert session.remote_identity_key == alice.identity.public
    assert session.local_identity_key == bob.identity.public
    assert session.remote_registration_id == alice.registration_id
    assert sending_chain(session).ratchet_key_pair is bob.signed_prekey
    _, plaintext = session_decrypt(session, message.message, 0)
    assert plaintext == b"halo"


def test_one_time_prekey_takes_part_in_the_agreement() -> None:
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob)
    message = decode_prekey_signal_message(alice.send(b"halo")[1])
    with_it = bob.respond(message)
    without = respond_to_session(bob.identity, OwnPrekeys(bob.signed_prekey, None), message)
    other = respond_to_session(
        bob.identity, OwnPrekeys(bob.signed_prekey, EVE.signed_prekey), message
    )
    roots = {session.ratchet.root_key for session in (with_it, without, other)}
    assert len(roots) == 3


@pytest.mark.parametrize("field", ["identity_key", "base_key"])
def test_zero_agreement_is_refused_even_past_the_parser(field: str) -> None:
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob)
    message = decode_prekey_signal_message(alice.send(b"halo")[1])
    changes: dict[str, Any] = {field: PublicKey(LOW_ORDER_POINTS["0"])}
    with pytest.raises(InvalidKey):
        bob.respond(replace(message, **changes))
    verified = replace(verify_bundle(BUNDLE), signed_prekey=PublicKey(LOW_ORDER_POINTS["0"]))
    with pytest.raises(InvalidKey):
        initiate_session(ALICE.identity, verified, SeededEntropy(1), NOW_MS)


def test_checking_draws_nothing_and_verified_bundle_is_public() -> None:
    assert NO_ENTROPY.left == 0
    assert BOB.identity.public.hex()[:8] not in repr(BOB.identity)
    assert "secret" not in repr(verify_bundle(BUNDLE))
