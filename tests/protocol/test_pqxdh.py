# SPDX-License-Identifier: Apache-2.0
import pickle
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from e2ecross.address import Address
from e2ecross.crypto.kem import kem_key_pair_from_seed
from e2ecross.crypto.keys import KeyPair, decode_public_key, key_pair_from_private
from e2ecross.crypto.xeddsa import sign
from e2ecross.errors import InvalidKey, InvalidSignature
from e2ecross.protocol.pqxdh import PqxdhKeys, agree_as_initiator, agree_as_responder
from e2ecross.protocol.verified_bundle import VerifiedBundle, verify_bundle, verify_kyber_prekey
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.signal_message import (
    VERSION_4,
    KyberPrekeyUse,
    PreKeySignalMessage,
    decode_prekey_signal_message,
    encode_prekey_signal_message,
    encode_signal_message_body,
)
from tests.support.entropy import NO_ENTROPY, ReplayedEntropy, SeededEntropy
from tests.support.vectors import transcripts, unhex

WE_START, PEER_STARTS = transcripts()
# Keys of the two recorded agreements: root, chain, SPQR.
OUR_KEYS = (
    "ad1fcb8d4fad6948a9431354b2c18000e5f132c1a8fabc2028046572e5b34615",
    "7ceefafca1a6953964e91d201fd829f58eee13da6256f8d85eb799641ef913e2",
    "89838b7c0e796a3f77bd410ea05af824fe9d5386ff1ca86b93f1a43fc3f1f4da",
)
PEERS_KEYS = (
    "655de2451ef0590aeaa3547cbfde97b3add5a1f67f9530fdddaf2bd2cbbe54cc",
    "17093b05d0cf3d3be75a13bddfac70e7ba8fde9021bf663e303bfd770a76563e",
    "d31059ce951fb4d28c6b4a71530c979bdc2ef48bbb0843917b58c24ef84c03b2",
)


def _pair(text: str) -> KeyPair:
    return key_pair_from_private(unhex(text))


def _bundle(recorded: Mapping[str, Any]) -> VerifiedBundle:
    return verify_bundle(
        PreKeyBundle(
            Address("whatsapp", "budi"),
            recorded["registrationId"],
            unhex(recorded["identity"]),
            recorded["signedPreKeyId"],
            unhex(recorded["signedPreKey"]),
            unhex(recorded["signedPreKeySignature"]),
            recorded["preKeyId"],
            unhex(recorded["preKey"]),
        )
    )


def _hex(keys: PqxdhKeys) -> tuple[str, str, str]:
    return keys.root_key.hex(), keys.chain_key.hex(), keys.auth_key.hex()


def test_the_recorded_agreement_as_initiator() -> None:
    recorded, start = WE_START["bundle"], WE_START["initiate"]
    bundle = _bundle(recorded)
    kyber = verify_kyber_prekey(
        bundle.identity_key,
        recorded["kyberPreKeyId"],
        unhex(recorded["kyberPreKey"]),
        unhex(recorded["kyberPreKeySignature"]),
    )
    ciphertext = unhex(start["kyber"]["ciphertext"])
    entropy = ReplayedEntropy([(unhex(start["kyber"]["mlkem_shared"]), ciphertext[1:])])
    keys, use = agree_as_initiator(
        _pair(WE_START["our_identity_private"]),
        _pair(start["random"][0][1]),
        replace(bundle, kyber_prekey=kyber),
        entropy,
    )
    assert _hex(keys) == OUR_KEYS
    assert use == KyberPrekeyUse(recorded["kyberPreKeyId"], ciphertext)
    assert entropy.left == 0
    first = decode_prekey_signal_message(unhex(WE_START["events"][0]["message"]), (VERSION_4,))
    assert first.kyber == use


def test_the_recorded_agreement_as_responder() -> None:
    signed, kyber, one_time = (unhex(value) for _, value in PEER_STARTS["bundle_random"])
    keys = agree_as_responder(
        _pair(PEER_STARTS["our_identity_private"]),
        key_pair_from_private(signed),
        key_pair_from_private(one_time),
        kem_key_pair_from_seed(kyber),
        decode_prekey_signal_message(unhex(PEER_STARTS["events"][0]["message"]), (VERSION_4,)),
    )
    assert _hex(keys) == PEERS_KEYS


# --- Both ends of ours ------------------------------------------------------------------------

ANA, BUDI, SIGNED, ONE_TIME, BASE = (
    key_pair_from_private(SeededEntropy(name).bytes(32)) for name in "abcde"
)
KYBER = kem_key_pair_from_seed(SeededEntropy("kyber").bytes(64))
SIGNATURE = sign(BUDI, KYBER.public, SeededEntropy("signature"))


def _start(one_time: KeyPair | None) -> tuple[PqxdhKeys, PreKeySignalMessage]:
    bundle = VerifiedBundle(
        1,
        BUDI.public,
        22,
        SIGNED.public,
        None if one_time is None else 33,
        None if one_time is None else one_time.public,
        verify_kyber_prekey(BUDI.public, 44, KYBER.public, SIGNATURE),
    )
    keys, use = agree_as_initiator(ANA, BASE, bundle, SeededEntropy("start"))
    inner = encode_signal_message_body(BASE.public, 0, 0, bytes(16), VERSION_4) + bytes(8)
    data = encode_prekey_signal_message(
        registration_id=1,
        one_time_prekey_id=bundle.one_time_prekey_id,
        signed_prekey_id=22,
        base_key=BASE.public,
        identity_key=ANA.public,
        message=inner,
        version=VERSION_4,
        kyber=use,
    )
    return keys, decode_prekey_signal_message(data, (VERSION_4,))


@pytest.mark.parametrize("one_time", [ONE_TIME, None])
def test_both_ends_agree(one_time: KeyPair | None) -> None:
    keys, message = _start(one_time)
    theirs = agree_as_responder(BUDI, SIGNED, one_time, KYBER, message)
    assert _hex(theirs) == _hex(keys)
    assert len({*_hex(keys)}) == 3


def test_every_secret_counts() -> None:
    keys, message = _start(ONE_TIME)
    other = key_pair_from_private(bytes(32))
    assert message.kyber is not None
    ciphertext = message.kyber.ciphertext
    forged = ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,))
    different = [
        agree_as_responder(other, SIGNED, ONE_TIME, KYBER, message),
        agree_as_responder(BUDI, other, ONE_TIME, KYBER, message),
        agree_as_responder(BUDI, SIGNED, other, KYBER, message),
        agree_as_responder(BUDI, SIGNED, None, KYBER, message),
        agree_as_responder(BUDI, SIGNED, ONE_TIME, kem_key_pair_from_seed(bytes(64)), message),
        agree_as_responder(BUDI, SIGNED, ONE_TIME, KYBER, replace(message, base_key=other.public)),
        agree_as_responder(
            BUDI, SIGNED, ONE_TIME, KYBER, replace(message, identity_key=other.public)
        ),
        agree_as_responder(
            BUDI, SIGNED, ONE_TIME, KYBER, replace(message, kyber=KyberPrekeyUse(44, forged))
        ),
    ]
    for found in different:
        assert {*_hex(found)}.isdisjoint(_hex(keys))


def test_a_kyber_prekey_without_its_signature_is_refused() -> None:
    assert verify_kyber_prekey(BUDI.public, 44, KYBER.public, SIGNATURE).prekey_id == 44
    other = kem_key_pair_from_seed(bytes(64)).public
    for key, signature in ((other, SIGNATURE), (KYBER.public, SIGNATURE[:-1]), (KYBER.public, b"")):
        with pytest.raises(InvalidSignature):
            verify_kyber_prekey(BUDI.public, 44, key, signature)
    with pytest.raises(InvalidSignature):
        verify_kyber_prekey(ANA.public, 44, KYBER.public, SIGNATURE)


def test_a_key_that_is_no_kyber_key_is_refused_even_if_it_is_signed() -> None:
    for key in (
        SIGNED.public,
        KYBER.public[1:],
        b"\x0a" + KYBER.public[1:],
        b"\x08" + b"\xff" * 1568,
    ):
        with pytest.raises(InvalidKey):
            verify_kyber_prekey(BUDI.public, 44, key, sign(BUDI, key, SeededEntropy("s")))


def test_a_base_key_that_is_not_of_prime_order_is_refused() -> None:
    _, message = _start(ONE_TIME)
    u = pow(9, -1, 2**255 - 19)
    mixed = decode_public_key(b"\x05" + u.to_bytes(32, "little"))
    with pytest.raises(InvalidKey, match="prime order"):
        agree_as_responder(BUDI, SIGNED, ONE_TIME, KYBER, replace(message, base_key=mixed))


def test_a_message_without_kem_ciphertext_is_refused() -> None:
    _, message = _start(ONE_TIME)
    with pytest.raises(InvalidKey):
        agree_as_responder(BUDI, SIGNED, ONE_TIME, KYBER, replace(message, kyber=None))


def test_the_responder_draws_nothing() -> None:
    with pytest.raises(AssertionError):
        NO_ENTROPY.encapsulate(KYBER.public[1:])


def test_keys_are_not_shown() -> None:
    keys, _ = _start(None)
    assert repr(keys) == "<PqxdhKeys: secret>"
    with pytest.raises(TypeError):
        pickle.dumps(keys)


def test_a_bundle_without_a_kyber_prekey_is_none_for_pqxdh() -> None:
    with pytest.raises(InvalidKey):
        agree_as_initiator(ANA, BASE, _bundle(WE_START["bundle"]), NO_ENTROPY)
