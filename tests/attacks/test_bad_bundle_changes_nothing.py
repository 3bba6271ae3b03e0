# SPDX-License-Identifier: Apache-2.0
"""A bundle that is not what its owner has signed starts no session and leaves no trace.

The attacker: a back end that hands out altered bundles.
"""

from dataclasses import replace
from typing import Any

import pytest

from e2ecross import Client, PreKeyBundle, Text
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import (
    DecodeError,
    E2ECrossError,
    EnvelopeMismatch,
    InvalidKey,
    InvalidSignature,
    NoSession,
    RemoteError,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.wire.exchange import UserKeys
from tests.attacks.support import ANA, BUDI, TOKO, Attacker, Person, flips, meet, person
from tests.support.entropy import SeededEntropy

_ORDER = 2**252 + 27742317777372353535851937790883648493


def _assert_no_session(ana: Person, bundle: PreKeyBundle, *expected: type[E2ECrossError]) -> None:
    before = ana.dump()
    with pytest.raises(E2ECrossError) as caught:
        ana.device.start_session(bundle)
    assert type(caught.value) in expected
    assert ana.dump() == before


def _people() -> tuple[Person, Person]:
    return person(ANA), person(BUDI)


def test_every_bit_of_the_signed_prekey_and_its_signature() -> None:
    ana, budi = _people()
    bundle = budi.bundle()
    for _, changed in flips(bundle.signed_prekey):
        _assert_no_session(
            ana, replace(bundle, signed_prekey=changed), InvalidKey, InvalidSignature
        )
    for _, changed in flips(bundle.signed_prekey_signature):
        _assert_no_session(ana, replace(bundle, signed_prekey_signature=changed), InvalidSignature)
    for _, changed in flips(bundle.identity_key):
        _assert_no_session(ana, replace(bundle, identity_key=changed), InvalidKey, InvalidSignature)
    ana.device.start_session(bundle)
    assert budi.read(ana.send(budi, "hello")) == "hello"


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_signatures_of_another_length(length: int) -> None:
    ana, budi = _people()
    bundle = budi.bundle()
    signature = (bundle.signed_prekey_signature * 2)[:length]
    _assert_no_session(ana, replace(bundle, signed_prekey_signature=signature), InvalidSignature)


def test_a_second_form_of_the_same_signature() -> None:
    """The form s + L verifies under a lax check; signatures would not be unique."""
    ana, budi = _people()
    bundle = budi.bundle()
    signature = bundle.signed_prekey_signature
    sign_bit = signature[63] & 0x80
    s = int.from_bytes(signature[32:63] + bytes((signature[63] & 0x7F,)), "little")
    for multiple in range(1, 8):
        moved = bytearray((s + multiple * _ORDER).to_bytes(32, "little"))
        moved[31] |= sign_bit
        _assert_no_session(
            ana,
            replace(bundle, signed_prekey_signature=signature[:32] + bytes(moved)),
            InvalidSignature,
        )


def test_keys_of_somebody_else() -> None:
    """Every part from another bundle, whose signature is right there."""
    ana, budi = _people()
    bundle, other = budi.bundle(), person(TOKO).bundle()
    mixes: list[dict[str, Any]] = [
        {"identity_key": other.identity_key},
        {"signed_prekey": other.signed_prekey},
        {"signed_prekey_signature": other.signed_prekey_signature},
        {
            "signed_prekey": other.signed_prekey,
            "signed_prekey_signature": other.signed_prekey_signature,
        },
        {"signed_prekey": bundle.one_time_prekey},
        {"signed_prekey": bundle.identity_key},
    ]
    for mix in mixes:
        _assert_no_session(ana, replace(bundle, **mix), InvalidSignature)


def test_a_one_time_prekey_with_the_id_that_means_none() -> None:
    ana, budi = _people()
    _assert_no_session(ana, replace(budi.bundle(), one_time_prekey_id=0), DecodeError)


def test_an_altered_encoding() -> None:
    """What decodes at all either is refused or cannot be used to listen in."""
    ana, budi = _people()
    data = budi.bundle().encode()
    for _, changed in flips(data):
        before = ana.dump()
        try:
            bundle = PreKeyBundle.decode(changed)
        except RemoteError:
            continue
        try:
            ana.device.start_session(bundle)
        except RemoteError:
            assert ana.dump() == before
        else:
            # Ids, the unsigned one-time prekey or the address; the signed keys are as they were.
            assert bundle.identity_key == budi.device.identity_key
            assert bundle.signed_prekey == budi.published.signed_prekey.public_key
        ana = person(ANA)


def test_a_bundle_of_another_than_was_asked_for() -> None:
    """Asked for Budi, the back end answers with a genuine bundle of Toko."""
    ana, toko = person(ANA), person(TOKO)

    class Swapping:
        """Hands out Toko's bundle, whoever is asked for."""

        asked = 0

        def fetch_keys(self, *_: object) -> list[UserKeys | UnknownRecipient]:
            self.asked += 1
            return [UserKeys(b"", (toko.bundle(),))]

        def epochs(self, *_: object) -> dict[int, int]:
            return {}

        def one_time_prekey_count(self, *_: object) -> int:
            return 100

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            return lambda *_, **__: None

    backend = Swapping()
    client = Client(ana.device, backend)
    client.register()
    before = ana.dump()
    with pytest.raises(EnvelopeMismatch):
        client.send(BUDI, Text("hello"))
    assert backend.asked == 1
    assert ana.dump() == before
    assert not ana.device.has_session(BUDI)


def test_an_unsigned_one_time_prekey_of_the_attackers_opens_nothing_to_them() -> None:
    """One-time prekeys are not signed: the attacker learns one agreement of four, no message."""
    ana, budi = _people()
    forged = generate_key_pair(SeededEntropy("mallory"))
    bundle = replace(budi.bundle(), one_time_prekey=forged.public)
    ana.device.start_session(bundle)
    envelope = ana.send(budi, "hello")
    before = budi.dump()
    with pytest.raises(RemoteError):
        budi.device.decrypt(envelope)
    assert budi.dump() == before


def test_a_bad_bundle_does_not_disturb_a_session() -> None:
    ana, budi = _people()
    meet(ana, budi)
    bundle = budi.bundle()
    _assert_no_session(ana, replace(bundle, signed_prekey_signature=bytes(64)), InvalidSignature)
    _assert_no_session(ana, Attacker().bundle(BUDI), UntrustedIdentity)
    assert budi.read(ana.send(budi, "goes on")) == "goes on"


def test_a_bad_bundle_of_a_stranger_does_not_make_them_known() -> None:
    ana, budi = _people()
    _assert_no_session(
        ana, replace(budi.bundle(), signed_prekey_signature=bytes(64)), InvalidSignature
    )
    assert ana.device.remote_identity(BUDI) is None
    with pytest.raises(NoSession):
        ana.send(budi, "hello")
