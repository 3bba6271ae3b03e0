# SPDX-License-Identifier: Apache-2.0
"""The recorded sessions, replayed byte for byte; see `tests/vectors/README.md`."""

from collections.abc import Mapping
from typing import Any

import pytest

from e2ecross.address import Address
from e2ecross.crypto.keys import KeyPair
from e2ecross.errors import RemoteError, UnknownPrekey
from e2ecross.protocol.session_reading import (
    Opened,
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
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.signal_message import (
    decode_prekey_signal_message,
    decode_signal_message,
    is_canonical_prekey_signal_message,
)
from tests.support.entropy import NO_ENTROPY, ReplayedEntropy
from tests.support.parties import save_record, sending_chain
from tests.support.vectors import key_pair, section, unhex

ALICE = key_pair("alice_identity")
BOB = key_pair("bob_identity")
SIGNED_PREKEY = key_pair("bob_signed_prekey")
ONE_TIME_PREKEY = key_pair("bob_one-time_prekey")
SIGNED_PREKEY_ID, ONE_TIME_PREKEY_ID = 22, 33

sessions = pytest.mark.parametrize("index", range(len(section("sessions"))))


def _alice_starts(item: Mapping[str, Any]) -> SessionRecord:
    bundle = item["bundle"]
    verified = verify_bundle(
        PreKeyBundle(
            address=Address("whatsapp", "bob"),
            registration_id=bundle["registrationId"],
            identity_key=unhex(bundle["identityKey"]),
            signed_prekey_id=bundle["signedPreKeyId"],
            signed_prekey=unhex(bundle["signedPreKey"]),
            signed_prekey_signature=unhex(bundle["signedPreKeySig"]),
            one_time_prekey_id=bundle.get("preKeyId"),
            one_time_prekey=unhex(bundle["preKey"]) if "preKey" in bundle else None,
        )
    )
    raw = section("keys")
    entropy = ReplayedEntropy(unhex(raw[name]["raw"]) for name in ("alice_base", "alice_ratchet"))
    session = initiate_session(ALICE, verified, entropy, now_ms=0)
    assert entropy.left == 0
    return add_initiated_session(NO_SESSIONS, session)


def _bob_opens(record: SessionRecord, body: bytes) -> Opened:
    message = decode_prekey_signal_message(body)
    known = find_session(record, message.base_key)
    if known is not None:
        return open_repeated_first_message(record, known, message, known.remote_identity_key)
    if message.signed_prekey_id != SIGNED_PREKEY_ID:
        raise UnknownPrekey("signed")
    one_time: KeyPair | None = None
    if message.one_time_prekey_id is not None:
        if message.one_time_prekey_id != ONE_TIME_PREKEY_ID:
            raise UnknownPrekey("one-time")
        one_time = ONE_TIME_PREKEY
    session = respond_to_session(BOB, OwnPrekeys(SIGNED_PREKEY, one_time), message)
    return open_first_message(record, session, message.message, message.identity_key)


@sessions
def test_initiator_derives_the_recorded_keys(index: int) -> None:
    item = section("sessions")[index]
    session = _alice_starts(item).current
    assert session is not None
    assert session.ratchet.root_key.hex() == item["root_after_first_ratchet"]
    assert sending_chain(session).chain_key.hex() == item["alice_sending_chain_key_0"]
    assert session.ratchet.receiving == ()
    assert session.base_key.hex() == section("keys")["alice_base"]["public"]


@sessions
def test_responder_derives_the_recorded_keys(index: int) -> None:
    item = section("sessions")[index]
    message = decode_prekey_signal_message(unhex(item["messages"][0]["prekey_message"]))
    one_time = ONE_TIME_PREKEY if item["one_time_prekey"] else None
    session = respond_to_session(BOB, OwnPrekeys(SIGNED_PREKEY, one_time), message)
    assert session.ratchet.root_key.hex() == item["root0"]
    assert sending_chain(session).chain_key.hex() == item["chain0"]
    assert session.remote_registration_id == item["alice_registration_id"]


@sessions
def test_initiator_writes_the_recorded_messages(index: int) -> None:
    item = section("sessions")[index]
    record = _alice_starts(item)
    for expected in item["messages"]:
        record, kind, data = seal_message(
            record, unhex(expected["plaintext"]), item["alice_registration_id"], NO_ENTROPY
        )
        assert kind is MessageKind.PREKEY
        assert data.hex() == expected["prekey_message"]
        assert is_canonical_prekey_signal_message(data)
        inner = decode_prekey_signal_message(data).message
        assert (inner.authenticated + inner.mac).hex() == expected["inner_message"]


@sessions
@pytest.mark.parametrize("backwards", [False, True])
def test_responder_reads_the_recorded_messages_in_any_order(index: int, backwards: bool) -> None:
    item = section("sessions")[index]
    record = NO_SESSIONS
    for expected in item["messages"][:: -1 if backwards else 1]:
        opened = _bob_opens(record, unhex(expected["prekey_message"]))
        assert opened.plaintext == unhex(expected["plaintext"])
        record = opened.record


@sessions
def test_message_inside_is_also_read_as_a_normal_one(index: int) -> None:
    item = section("sessions")[index]
    first, second, *_ = item["messages"]
    record = _bob_opens(NO_SESSIONS, unhex(first["prekey_message"])).record
    message = decode_signal_message(unhex(second["inner_message"]))
    opened = open_message(record, message, ALICE.public)
    assert opened.plaintext == unhex(second["plaintext"])


@sessions
@pytest.mark.parametrize("peer", ["LS", "LN", "AX"])
def test_initiator_reads_the_replies_of_peers(index: int, peer: str) -> None:
    item = section("sessions")[index]
    replies = [reply for reply in item["replies_from_peers"] if reply["peer"] == peer]
    assert len(replies) == (0 if peer == "AX" and not item["one_time_prekey"] else 2)
    for order in (1, -1):
        record = _alice_starts(item)
        for reply in replies[::order]:
            message = decode_signal_message(unhex(reply["message"]))
            opened = open_message(record, message, BOB.public)
            assert opened.plaintext == unhex(reply["plaintext"])
            record = opened.record


@pytest.mark.parametrize("index", range(len(section("prekey_messages_from_peers"))))
@pytest.mark.parametrize("backwards", [False, True])
def test_responder_reads_sessions_that_peers_started(index: int, backwards: bool) -> None:
    item = section("prekey_messages_from_peers")[index]
    record = NO_SESSIONS
    for expected in item["messages"][:: -1 if backwards else 1]:
        body = unhex(expected["body"])
        message = decode_prekey_signal_message(body)
        assert (message.one_time_prekey_id is not None) == item["one_time_prekey"]
        opened = _bob_opens(record, body)
        assert opened.plaintext == unhex(expected["plaintext"])
        assert opened.session.remote_identity_key.hex() == item["sender_identity"]
        record = opened.record


def test_conversation_is_replayed_byte_for_byte_on_both_sides() -> None:
    conversation = section("conversation")
    # Recorded when a turn begins; drawn when the first message after it is written.
    recorded = iter(conversation["ratchet_keys"])
    answers: dict[str, bytes] = {}
    records = {"alice": _alice_starts(section("sessions")[0]), "bob": NO_SESSIONS}
    identities = {"alice": BOB.public, "bob": ALICE.public}
    sent: dict[int, Mapping[str, Any]] = {}
    read: set[int] = set()
    for step in conversation["steps"]:
        name = step["by"]
        if step["op"] == "encrypt":
            entropy = ReplayedEntropy([answers.pop(name)] if name in answers else [])
            records[name], kind, data = seal_message(
                records[name],
                unhex(step["plaintext"]),
                1111 if name == "alice" else 2222,
                entropy,
            )
            assert entropy.left == 0
            assert data.hex() == step["body"]
            assert kind is {"pre": MessageKind.PREKEY, "msg": MessageKind.SIGNAL}[step["type"]]
            sent[step["id"]] = step
            continue
        assert step["op"] == "decrypt"
        message = sent[step["id"]]
        assert message["by"] != name
        body = unhex(message["body"])
        if message["type"] == "pre":
            opened = _bob_opens(records[name], body)
        else:
            opened = open_message(records[name], decode_signal_message(body), identities[name])
        assert opened.plaintext == unhex(message["plaintext"])
        records[name] = opened.record
        if opened.session.ratchet.sending is None and name not in answers:
            answers[name] = unhex(next(recorded))
        read.add(step["id"])
    assert next(recorded, None) is None
    assert read == set(sent)


@pytest.mark.parametrize("item", section("negative_prekey_messages"), ids=lambda item: item["why"])
def test_damaged_prekey_message_is_refused(item: Mapping[str, Any]) -> None:
    with pytest.raises(RemoteError):
        _bob_opens(NO_SESSIONS, unhex(item["body"]))


@pytest.mark.parametrize("item", section("negative_prekey_messages"), ids=lambda item: item["why"])
def test_damaged_prekey_message_changes_nothing_in_a_session_that_exists(
    item: Mapping[str, Any],
) -> None:
    first, second, *_ = section("sessions")[0]["messages"]
    record = _bob_opens(NO_SESSIONS, unhex(second["prekey_message"])).record
    before = save_record(record)
    # Here a wrong prekey id does not matter: the session is found by its base key.
    if "one-time prekey id" not in item["why"] and item["why"] != "unknown signed prekey id":
        with pytest.raises(RemoteError):
            _bob_opens(record, unhex(item["body"]))
    assert save_record(record) == before
    opened = _bob_opens(record, unhex(first["prekey_message"]))
    assert opened.plaintext == unhex(first["plaintext"])
