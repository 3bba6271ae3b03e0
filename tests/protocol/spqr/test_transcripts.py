# SPDX-License-Identifier: Apache-2.0
"""The recorded conversations: our messages byte for byte, the peer's read, the machine's stages."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from e2ecross.crypto.kdf import ChainKey, RootKey
from e2ecross.crypto.kem import kem_key_pair_from_seed
from e2ecross.crypto.keys import decode_public_key, key_pair_from_private
from e2ecross.crypto.spqr_kdf import AuthKey
from e2ecross.protocol.pqxdh import PqxdhKeys, agree_as_responder
from e2ecross.protocol.spqr.machine import Stage
from e2ecross.protocol.spqr.state import SpqrState
from e2ecross.wire.service_id import encode_addresses
from e2ecross.wire.signal_message import (
    VERSION_4,
    KyberPrekeyUse,
    decode_prekey_signal_message,
    decode_signal_message,
    encode_prekey_signal_message,
    is_canonical_prekey_signal_message,
)
from tests.protocol.spqr.triple_ratchet import TripleRatchet, initiate, respond
from tests.protocol.test_pqxdh import OUR_KEYS
from tests.support.entropy import ReplayedEntropy
from tests.support.vectors import transcripts, unhex

WE_START, PEER_STARTS = transcripts()
PREKEY = 3


def _stage(spqr: SpqrState | None) -> list[Any]:
    assert spqr is not None
    name = re.sub(r"_?([A-Z0-9]+)", lambda m: m[1].capitalize(), spqr.machine.stage.name)
    return [name, spqr.machine.epoch]


def _replay(transcript: Mapping[str, Any], ratchet: TripleRatchet, peer_identity: bytes) -> int:
    """Replay every event; return the epoch in the end."""
    identity = key_pair_from_private(unhex(transcript["our_identity_private"])).public
    we_start = transcript["initiator"] == "us"
    wrapper = None
    if we_start:
        bundle, start = transcript["bundle"], transcript["initiate"]
        kyber = KyberPrekeyUse(bundle["kyberPreKeyId"], unhex(start["kyber"]["ciphertext"]))
        base_key = key_pair_from_private(unhex(start["random"][0][1])).public
        wrapper = {
            "registration_id": transcript["our_registration_id"],
            "one_time_prekey_id": bundle["preKeyId"],
            "signed_prekey_id": bundle["signedPreKeyId"],
            "base_key": base_key,
            "identity_key": identity,
            "version": VERSION_4,
            "kyber": kyber,
        }
    addresses = encode_addresses(*transcript["our_address"], *transcript["peer_address"])
    for event in transcript["events"]:
        entropy = ReplayedEntropy(unhex(value) for _, value in event["random"])
        data, plaintext = unhex(event["message"]), unhex(event["plaintext"])
        if event["op"] == "encrypt":
            ad = identity + peer_identity
            bound = addresses if event["type"] == PREKEY else None
            ratchet, message = ratchet.encrypt(plaintext, ad, entropy, bound)
            if event["type"] == PREKEY:
                assert wrapper is not None
                message = encode_prekey_signal_message(**wrapper, message=message)
                assert is_canonical_prekey_signal_message(message)
            assert message == data
        else:
            if event["type"] == PREKEY:
                received = decode_prekey_signal_message(data, (VERSION_4,)).message
            else:
                received = decode_signal_message(data, (VERSION_4,))
            ratchet, read = ratchet.decrypt(received, peer_identity + identity, entropy)
            assert read == plaintext
        assert entropy.left == 0
        assert _stage(ratchet.spqr) == event["state_after"]
    assert ratchet.spqr is not None
    return ratchet.spqr.machine.epoch


def test_a_conversation_that_we_started() -> None:
    root, chain, auth = map(unhex, OUR_KEYS)
    bundle = WE_START["bundle"]
    ratchet = initiate(
        PqxdhKeys(RootKey(root), ChainKey(chain), AuthKey(auth)),
        key_pair_from_private(unhex(WE_START["initiate"]["random"][1][1])),
        decode_public_key(unhex(bundle["signedPreKey"])),
    )
    assert _replay(WE_START, ratchet, unhex(bundle["identity"])) == 4


def test_a_conversation_that_the_peer_started() -> None:
    signed, kyber, one_time = (unhex(value) for _, value in PEER_STARTS["bundle_random"])
    first = decode_prekey_signal_message(unhex(PEER_STARTS["events"][0]["message"]), (VERSION_4,))
    keys = agree_as_responder(
        key_pair_from_private(unhex(PEER_STARTS["our_identity_private"])),
        key_pair_from_private(signed),
        key_pair_from_private(one_time),
        kem_key_pair_from_seed(kyber),
        first,
    )
    ratchet = respond(keys, key_pair_from_private(signed))
    assert _replay(PEER_STARTS, ratchet, first.identity_key) == 3


@pytest.mark.parametrize("transcript", [WE_START, PEER_STARTS], ids=["we", "peer"])
def test_the_transcripts_reach_most_stages(transcript: Mapping[str, Any]) -> None:
    reached = {name for name, _ in (event["state_after"] for event in transcript["events"])}
    assert len(reached) >= 9
    assert len(Stage) == 11
