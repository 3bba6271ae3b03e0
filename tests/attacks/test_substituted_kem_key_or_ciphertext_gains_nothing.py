# SPDX-License-Identifier: Apache-2.0
"""A KEM key that its owner has not signed starts no session, nor does another KEM ciphertext.

The attacker: a back end that hands out altered bundles, with Kyber prekeys of its own or of others,
or with keys of one kind in the place of another; and that encapsulates anew to the Kyber prekey of
a genuine first message, so as to know that part of the agreement.
"""

from dataclasses import replace
from typing import Any

import pytest

from e2ecross import Envelope, PreKeyBundle
from e2ecross.crypto.kem import (
    KEM_CIPHERTEXT_BYTES,
    KEM_PUBLIC_KEY_BYTES,
    encapsulate,
    generate_kem_key_pair,
)
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import (
    AuthenticationFailed,
    E2ECrossError,
    EnvelopeMismatch,
    InvalidKey,
    InvalidSignature,
    UnknownPrekey,
)
from e2ecross.protocol.session import session_encrypt
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.content import encode_payload
from tests.attacks.support import (
    ANA,
    BUDI,
    NOW_MS,
    TOKO,
    Attacker,
    Person,
    assert_refused,
    edit_wrapper,
    flips,
    meet,
    payload_for,
    person,
    wrapper_fields,
)
from tests.attacks.support_4 import converse, kyber_prekeys
from tests.support.entropy import SeededEntropy

MALLORY = SeededEntropy("mallory")
KEM = generate_kem_key_pair(MALLORY)
EC = generate_key_pair(MALLORY)
TYPE = b"\x08"


def _people() -> tuple[Person, Person]:
    return person(ANA), person(BUDI)


def _assert_no_session(ana: Person, bundle: PreKeyBundle, *expected: type[E2ECrossError]) -> None:
    before = ana.dump()
    with pytest.raises(E2ECrossError) as caught:
        ana.device.start_session(bundle)
    assert type(caught.value) in expected, repr(caught.value)
    assert ana.dump() == before


# --- The key in a bundle ----------------------------------------------------------------------


def test_another_kem_key_under_every_signature_there_is() -> None:
    ana, budi = _people()
    bundle, other = budi.bundle(kyber=True), person(TOKO).bundle(kyber=True)
    attacker = Attacker()
    signatures = [
        bundle.kyber_prekey_signature,
        bundle.signed_prekey_signature,
        other.kyber_prekey_signature,
        sign(attacker.identity, KEM.public, MALLORY),
        bytes(64),
    ]
    for signature in signatures:
        for key in (KEM.public, other.kyber_prekey):
            changed = replace(bundle, kyber_prekey=key, kyber_prekey_signature=signature)
            _assert_no_session(ana, changed, InvalidSignature)
    for mix in (
        {"kyber_prekey_signature": other.kyber_prekey_signature},
        {"kyber_prekey_signature": bundle.signed_prekey_signature},
        {"signed_prekey_signature": bundle.kyber_prekey_signature},
    ):
        changes: dict[str, Any] = mix
        _assert_no_session(ana, replace(bundle, **changes), InvalidSignature)
    ana.device.start_session(bundle)
    assert budi.read(ana.send(budi, "hello")) == "hello"


def test_every_bit_of_the_signature_and_many_of_the_key() -> None:
    ana, budi = _people()
    bundle = budi.bundle(kyber=True)
    assert bundle.kyber_prekey is not None
    assert bundle.kyber_prekey_signature is not None
    for _, changed in flips(bundle.kyber_prekey_signature):
        _assert_no_session(ana, replace(bundle, kyber_prekey_signature=changed), InvalidSignature)
    for place, changed in flips(bundle.kyber_prekey):
        if place < 3 or place % 97 == 0 or place > len(bundle.kyber_prekey) - 3:
            _assert_no_session(
                ana, replace(bundle, kyber_prekey=changed), InvalidKey, InvalidSignature
            )


def test_another_of_the_owners_kem_keys_is_the_owners_all_the_same() -> None:
    """Kyber prekeys are interchangeable; only the id must be that of the key."""
    ana, budi = _people()
    bundle, other = budi.bundle(kyber=True), budi.bundle(kyber=True)
    ana.device.start_session(
        replace(
            bundle,
            kyber_prekey=other.kyber_prekey,
            kyber_prekey_signature=other.kyber_prekey_signature,
        )
    )
    assert_refused(budi, ana.send(budi, "under the wrong id"), AuthenticationFailed)
    ana.start(budi, kyber=True)
    assert budi.read(ana.send(budi, "hello")) == "hello"


@pytest.mark.parametrize("signed_by", ["owner", "attacker"])
def test_a_key_of_one_kind_in_the_place_of_another(signed_by: str) -> None:
    """Whoever signs them, for whatever purpose, and even though the owner has signed each."""
    ana, budi = _people()
    bundle = budi.bundle(kyber=True)
    identity = budi.device._context.identity_key_pair
    signer = identity if signed_by == "owner" else Attacker().identity
    padded = TYPE + EC.public[1:] + bytes(KEM_PUBLIC_KEY_BYTES - 33)
    for ec_key in (EC.public, bundle.signed_prekey, bundle.identity_key, TYPE + EC.public[1:]):
        changed = replace(
            bundle, kyber_prekey=ec_key, kyber_prekey_signature=sign(signer, ec_key, MALLORY)
        )
        _assert_no_session(ana, changed, InvalidKey)
    kem_key = bundle.kyber_prekey
    assert kem_key is not None
    for key in (kem_key, kem_key[:33], b"\x05" + kem_key[1:33], KEM.public):
        signature = sign(signer, key, MALLORY)
        changed = replace(bundle, signed_prekey=key, signed_prekey_signature=signature)
        expected = (InvalidKey,) if len(key) != 33 else (InvalidKey, InvalidSignature)
        if len(key) == 33 and key[0] == 5 and signed_by == "owner":
            continue  # any 32 bytes are an X25519 key, and here its owner has signed them as one
        _assert_no_session(ana, changed, *expected)
    for key in (kem_key, kem_key[:33], KEM.public):
        _assert_no_session(ana, replace(bundle, one_time_prekey=key), InvalidKey)
    for key in (padded, b"\x07" + kem_key[1:], b"\x0a" + kem_key[1:], b"\x05" + kem_key[1:]):
        signature = sign(signer, key, MALLORY)
        changed = replace(bundle, kyber_prekey=key, kyber_prekey_signature=signature)
        expected = (InvalidKey, InvalidSignature) if key is padded else (InvalidKey,)
        if key is padded and signed_by == "owner":
            continue  # a vector of zeros is a KEM key, and here its owner has signed it as one
        _assert_no_session(ana, changed, *expected)


@pytest.mark.parametrize(
    "length", [0, 1, 33, 800, 1184, 1568, KEM_PUBLIC_KEY_BYTES - 1, KEM_PUBLIC_KEY_BYTES + 1, 3168]
)
def test_a_kem_key_of_another_length(length: int) -> None:
    ana, budi = _people()
    bundle = budi.bundle(kyber=True)
    key = (KEM.public * 3)[:length]
    signature = sign(budi.device._context.identity_key_pair, key, MALLORY)
    changed = replace(bundle, kyber_prekey=key, kyber_prekey_signature=signature)
    _assert_no_session(ana, changed, InvalidKey)


def test_a_kem_key_that_is_not_canonical() -> None:
    """Coefficients that are not reduced, in every place of the vector that a byte pair can have."""
    ana, budi = _people()
    bundle = budi.bundle(kyber=True)
    identity = budi.device._context.identity_key_pair
    for coefficient in (0, 1, 255, 256, 511, 1023):
        raw = bytearray(KEM.public)
        start = 1 + coefficient // 2 * 3
        raw[start : start + 3] = b"\xff\xff\xff"
        signature = sign(identity, bytes(raw), MALLORY)
        changed = replace(bundle, kyber_prekey=bytes(raw), kyber_prekey_signature=signature)
        _assert_no_session(ana, changed, InvalidKey)


def test_a_bad_kem_key_does_not_disturb_a_session() -> None:
    ana, budi = _people()
    meet(ana, budi, kyber=True)
    bundle = budi.bundle(kyber=True)
    changed = replace(bundle, kyber_prekey=KEM.public)
    _assert_no_session(ana, changed, InvalidSignature)
    converse(ana, budi, 2)


# --- The ciphertext in a first message --------------------------------------------------------


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
@pytest.mark.parametrize("one_time", [True, False], ids=["one-time", "last-resort"])
def test_an_encapsulation_of_the_attackers(one_time: bool, repeated: bool) -> None:
    """To the same key, to another of the owner's, to one of the attacker's; and old ones."""
    ana, budi = _people()
    earlier = _first(ana, budi, one_time)
    assert budi.read(earlier) == "first"
    ana.start(budi, one_time=one_time, kyber=True)
    if repeated:
        assert budi.read(ana.send(budi, "before")) == "before"
    envelope = ana.send(budi, "genuine")
    fields = dict(wrapper_fields(envelope))
    keys = [budi.bundle(one_time=kind, kyber=True).kyber_prekey for kind in (True, False)]
    own = {key.id: key.public_key for key in budi.published.kyber_prekeys}
    last_resort = budi.published.last_resort_kyber_prekey
    assert last_resort is not None
    own[last_resort.id] = last_resort.public_key
    kyber_id = fields[7]
    assert isinstance(kyber_id, int)
    ciphertexts = [
        encapsulate(key, MALLORY)[1]  # type: ignore[arg-type]
        for key in (own[kyber_id], *keys, KEM.public)
    ]
    old = dict(wrapper_fields(earlier))[8]
    assert isinstance(old, bytes)
    ids = kyber_prekeys(budi)
    for ciphertext in (*ciphertexts, old, TYPE + bytes(KEM_CIPHERTEXT_BYTES - 1)):
        # Once the session is there, a repeated ciphertext is held against the one it began with.
        error = EnvelopeMismatch if repeated else AuthenticationFailed
        assert_refused(budi, edit_wrapper(envelope, kyber_ciphertext=ciphertext), error)
    assert kyber_prekeys(budi) == ids
    assert budi.read(envelope) == "genuine"


def _first(ana: Person, budi: Person, one_time: bool) -> Envelope:
    ana.start(budi, one_time=one_time, kyber=True)
    return ana.send(budi, "first")


def test_every_kind_of_damage_to_the_ciphertext() -> None:
    ana, budi = _people()
    ana.start(budi, kyber=True)
    envelope = ana.send(budi, "genuine")
    ciphertext = dict(wrapper_fields(envelope))[8]
    assert isinstance(ciphertext, bytes)
    assert len(ciphertext) == KEM_CIPHERTEXT_BYTES
    for place, changed in flips(ciphertext):
        if place < 2 or place % 211 == 0 or place == len(ciphertext) - 1:
            error = InvalidKey if place == 0 else AuthenticationFailed
            assert_refused(budi, edit_wrapper(envelope, kyber_ciphertext=changed), error)
    for bad in (b"", ciphertext[:-1], ciphertext + b"\0", ciphertext[1:], EC.public):
        assert_refused(budi, edit_wrapper(envelope, kyber_ciphertext=bad), InvalidKey)
    for kind in (b"\x05", b"\x07", b"\x0a"):
        changed = kind + ciphertext[1:]
        assert_refused(budi, edit_wrapper(envelope, kyber_ciphertext=changed), InvalidKey)
    assert budi.read(envelope) == "genuine"


def test_who_knows_the_kem_secret_but_no_x25519_key_of_the_sender_is_nobody() -> None:
    """The KEM gives secrecy, and says nothing of who somebody is."""
    ana, budi = _people()
    meet(ana, budi, kyber=True)
    attacker = Attacker()
    bundle = verify_bundle(budi.bundle(kyber=True))
    session = initiate_session(attacker.identity, bundle, MALLORY, NOW_MS)
    payload = payload_for(ANA, BUDI)
    _, kind, data = session_encrypt(session, encode_payload(payload), 1, MALLORY)
    forged = Envelope(payload.message_id, ANA, BUDI, kind, data)
    as_ana = edit_wrapper(forged, identity_key=ana.device.identity_key)
    assert_refused(budi, as_ana, AuthenticationFailed)
    ids = kyber_prekeys(budi)
    for prekey_id in sorted(ids):
        assert_refused(
            budi,
            edit_wrapper(as_ana, kyber_pre_key_id=prekey_id),
            AuthenticationFailed,
            EnvelopeMismatch,
            UnknownPrekey,
        )
    assert kyber_prekeys(budi) == ids
    converse(ana, budi, 1)
