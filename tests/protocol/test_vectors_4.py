# SPDX-License-Identifier: Apache-2.0
"""The recorded conversations with libsignal-client 0.103.0, through the session layer.

With the recorded randomness every message of ours is theirs byte for byte, wrapper and all; and the
sessions are written to rows and read anew after each step.
"""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from e2ecross.address import Address
from e2ecross.crypto.kem import kem_key_pair_from_seed
from e2ecross.crypto.keys import key_pair_from_private
from e2ecross.protocol.session_reading import (
    READING,
    Opened,
    Reading,
    open_first_message,
    open_message,
    open_repeated_first_message,
)
from e2ecross.protocol.session_record import (
    NO_SESSIONS,
    SessionRecord,
    add_initiated_session,
    find_session,
    seal_message,
)
from e2ecross.protocol.session_start import OwnPrekeys, initiate_session, respond_to_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.state.context import address_key
from e2ecross.state.session_store import load_sessions, save_sessions
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.service_id import encode_addresses
from e2ecross.wire.signal_message import (
    VERSION_4,
    decode_prekey_signal_message,
    decode_signal_message,
    is_canonical_prekey_signal_message,
)
from tests.support.entropy import ReplayedEntropy
from tests.support.vectors import transcripts, unhex

WE_START, PEER_STARTS = transcripts()
PEER = Address("whatsapp", "peer")


class Replay:
    """Our end of a recorded conversation."""

    def __init__(self, transcript: Mapping[str, Any]) -> None:
        self.transcript = transcript
        self.identity = key_pair_from_private(unhex(transcript["our_identity_private"]))
        self.record: SessionRecord = NO_SESSIONS
        self.stages: set[str] = set()
        ours, peers = transcript["our_address"], transcript["peer_address"]
        self.ours = encode_addresses(*ours, *peers)
        self.reading = Reading(READING.max_forward_jump, encode_addresses(*peers, *ours))
        self.prekeys: OwnPrekeys | None = None
        self.peer_identity = self.identity.public

    def start(self) -> None:
        recorded, start = self.transcript["bundle"], self.transcript["initiate"]
        base, ratchet = (unhex(value) for _, value in start["random"])
        kyber = start["kyber"]
        bundle = PreKeyBundle(
            PEER,
            recorded["registrationId"],
            unhex(recorded["identity"]),
            recorded["signedPreKeyId"],
            unhex(recorded["signedPreKey"]),
            unhex(recorded["signedPreKeySignature"]),
            recorded["preKeyId"],
            unhex(recorded["preKey"]),
            recorded["kyberPreKeyId"],
            unhex(recorded["kyberPreKey"]),
            unhex(recorded["kyberPreKeySignature"]),
        )
        encapsulation = (unhex(kyber["mlkem_shared"]), unhex(kyber["ciphertext"])[1:])
        entropy = ReplayedEntropy([base, encapsulation, ratchet])
        session = initiate_session(self.identity, verify_bundle(bundle), entropy, 1)
        assert entropy.left == 0
        self.peer_identity = session.remote_identity_key
        self.record = add_initiated_session(self.record, session)

    def publish(self) -> None:
        signed, kyber, one_time = (unhex(value) for _, value in self.transcript["bundle_random"])
        self.prekeys = OwnPrekeys(
            key_pair_from_private(signed),
            key_pair_from_private(one_time),
            kem_key_pair_from_seed(kyber),
        )

    def encrypt(self, event: Mapping[str, Any], entropy: ReplayedEntropy) -> None:
        registration_id = self.transcript["our_registration_id"]
        plaintext = unhex(event["plaintext"])
        self.record, kind, data = seal_message(
            self.record, plaintext, registration_id, entropy, self.ours
        )
        assert (int(kind), data) == (event["type"], unhex(event["message"]))
        if kind is MessageKind.PREKEY:
            assert is_canonical_prekey_signal_message(data)

    def decrypt(self, event: Mapping[str, Any]) -> None:
        opened = self._open(event["type"], unhex(event["message"]))
        assert opened.plaintext == unhex(event["plaintext"])
        self.record = opened.record

    def _open(self, kind: int, data: bytes) -> Opened:
        if kind == MessageKind.SIGNAL:
            message = decode_signal_message(data, (VERSION_4,))
            return open_message(self.record, message, self.peer_identity, self.reading)
        first = decode_prekey_signal_message(data, (VERSION_4,))
        known = find_session(self.record, first.base_key)
        if known is not None:
            return open_repeated_first_message(
                self.record, known, first, first.identity_key, self.reading
            )
        assert self.prekeys is not None
        self.peer_identity = first.identity_key
        session = respond_to_session(self.identity, self.prekeys, first)
        return open_first_message(
            self.record, session, first.message, first.identity_key, self.reading
        )

    def reload(self, event: Mapping[str, Any]) -> None:
        before, after = MemoryStore(), MemoryStore()
        with before.transaction() as tx, after.transaction() as other:
            save_sessions(tx, address_key(PEER), NO_SESSIONS, self.record)
            for table in Table:
                for partition, row, record in tx.scan(table):
                    other.put(table, partition, row, record)
        with after.transaction() as tx:
            self.record = load_sessions(tx, PEER)
        assert self.record.current is not None
        spqr = self.record.current.ratchet.spqr
        assert spqr is not None
        name = re.sub(r"_?([A-Z0-9]+)", lambda m: m[1].capitalize(), spqr.machine.stage.name)
        assert [name, spqr.machine.epoch] == event["state_after"]
        self.stages.add(name)


@pytest.mark.parametrize("transcript", [WE_START, PEER_STARTS], ids=["we", "peer"])
def test_a_recorded_conversation(transcript: Mapping[str, Any]) -> None:
    replay = Replay(transcript)
    if transcript["initiator"] == "us":
        replay.start()
    else:
        replay.publish()
    # The key pair of a turn: recorded when it begins, drawn with the first message written after.
    ratchet_key: list[bytes] = []
    for event in transcript["events"]:
        random = [unhex(value) for _, value in event["random"]]
        if event["op"] == "encrypt":
            entropy = ReplayedEntropy(ratchet_key + random)
            replay.encrypt(event, entropy)
            assert entropy.left == 0
            ratchet_key = []
        else:
            replay.decrypt(event)
            ratchet_key += random
            assert len(ratchet_key) <= 1
        replay.reload(event)
    assert len(replay.stages) >= 9
