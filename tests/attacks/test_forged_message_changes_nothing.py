# SPDX-License-Identifier: Apache-2.0
"""A message that its claimed sender did not write changes nothing.

The attacker: a back end that invents messages, with keys of its own and all public keys; and a
genuine peer who breaks the format under a valid MAC.
"""

from dataclasses import replace

import pytest

from e2ecross import Address, Envelope, MessageKind
from e2ecross.crypto.cipher import cbc_encrypt, compute_mac
from e2ecross.crypto.keys import PublicKey, generate_key_pair
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    InvalidArgument,
    InvalidKey,
    RemoteError,
    TooManySkipped,
    UnknownPrekey,
    UnknownSession,
    UnsupportedVersion,
)
from e2ecross.protocol.session import Session
from e2ecross.state.session_store import load_sessions
from e2ecross.wire.content import encode_payload
from e2ecross.wire.limits import (
    MAX_ENVELOPE_BYTES,
    MAX_FORWARD_JUMP,
    MAX_SIGNAL_MESSAGE_BYTES,
    MAX_UINT32,
)
from e2ecross.wire.padding import pad, unpad
from e2ecross.wire.signal_message import encode_signal_message_body
from tests.attacks.support import (
    ANA,
    BUDI,
    SESSION_KINDS,
    TOKO,
    Attacker,
    Person,
    assert_refused,
    edit_envelope,
    edit_wrapper,
    inner_message,
    meet,
    oversize,
    payload_for,
    person,
    rewrap,
    signal_fields,
    with_ciphertext,
)
from tests.support import protobuf
from tests.support.entropy import SeededEntropy
from tests.support.parties import message_keys_for

IDS = bytes(16)


def _pair() -> tuple[Person, Person]:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    return ana, budi


def _forge(ratchet_key: bytes, counter: int, ciphertext: bytes = bytes(96)) -> Envelope:
    body = encode_signal_message_body(PublicKey(ratchet_key), counter, 0, ciphertext)
    return Envelope(IDS, ANA, BUDI, MessageKind.SIGNAL, body + bytes(8))


@pytest.mark.parametrize("kind", list(MessageKind))
@pytest.mark.parametrize("length", [1, 8, 9, 10, 100, 1000])
def test_random_bytes(kind: MessageKind, length: int) -> None:
    ana, budi = _pair()
    entropy = SeededEntropy(f"noise {kind} {length}")
    genuine = ana.send(budi, "genuine")
    for _ in range(50):
        noise = entropy.bytes(length)
        for data in (noise, b"\x33" + noise[1:]):
            envelope = Envelope(IDS, ANA, BUDI, kind, data)
            assert_refused(budi, envelope, DecodeError, UnsupportedVersion, InvalidKey)
            assert_refused(budi, data, DecodeError, UnsupportedVersion)
    assert budi.read(genuine) == "genuine"


@pytest.mark.parametrize("counter", [0, 1, 2, 5, 2000])
def test_a_ratchet_key_that_is_known(counter: int) -> None:
    ana, budi = _pair()
    genuine = ana.send(budi, "genuine")
    assert budi.read(genuine) == "genuine"
    later = ana.send(budi, "later")
    ratchet_key = dict(signal_fields(genuine)[0])[1]
    assert isinstance(ratchet_key, bytes)
    expected = DuplicateMessage if counter == 0 else AuthenticationFailed
    assert_refused(budi, _forge(ratchet_key, counter), expected)
    assert budi.read(later) == "later"


@pytest.mark.parametrize("counter", [0, 1, 2000, MAX_FORWARD_JUMP])
def test_a_ratchet_key_that_is_new(counter: int) -> None:
    """An agreement and a walk along the chain, and then nothing: no key is stored or drawn."""
    ana, budi = _pair()
    genuine = ana.send(budi, "genuine")
    attacker = generate_key_pair(SeededEntropy("ratchet"))
    assert_refused(budi, _forge(attacker.public, counter), AuthenticationFailed)
    assert budi.read(genuine) == "genuine"


@pytest.mark.parametrize("counter", [MAX_FORWARD_JUMP + 4, MAX_UINT32])
def test_a_jump_beyond_the_limit_is_refused_before_the_walk(counter: int) -> None:
    ana, budi = _pair()
    read = ana.send(budi, "read")
    assert budi.read(read) == "read"
    known = dict(signal_fields(read)[0])[1]
    assert isinstance(known, bytes)
    error = assert_refused(budi, _forge(known, counter), TooManySkipped)
    assert isinstance(error, TooManySkipped)
    assert error.got is not None
    assert counter - 3 <= error.got <= counter
    assert error.allowed == MAX_FORWARD_JUMP
    # Of a ratchet key of their own nobody is told anything.
    attacker = generate_key_pair(SeededEntropy("ratchet"))
    assert_refused(budi, _forge(attacker.public, counter), AuthenticationFailed)
    assert budi.read(ana.send(budi, "genuine")) == "genuine"


@pytest.mark.parametrize("number", [MAX_UINT32 + 1, 2**63, 2**64 - 1])
def test_numbers_of_more_than_32_bits(number: int) -> None:
    ana, budi = _pair()
    genuine = ana.send(budi, "genuine")
    fields, mac = signal_fields(genuine)
    for field in (2, 3):
        changed = [(n, number if n == field else value) for n, value in fields]
        data = b"\x33" + protobuf.message(changed) + mac
        assert_refused(budi, with_ciphertext(genuine, data), DecodeError)
    assert budi.read(genuine) == "genuine"

    toko = person(TOKO)
    toko.start(budi)
    first = toko.send(budi, "first")
    for name in ("pre_key_id", "registration_id", "signed_pre_key_id"):
        assert_refused(budi, edit_wrapper(first, **{name: number}), DecodeError)
    assert budi.read(first) == "first"


@pytest.mark.parametrize("version", [0, 1, 2, 4, 15])
def test_other_versions_of_the_protocol(version: int) -> None:
    """Neither a downgrade nor an upgrade: the version is that of the session, and of the inside."""
    ana, budi = _pair()
    normal = ana.send(budi, "normal")
    changed = bytes((version << 4 | 3,)) + normal.ciphertext[1:]
    error = UnknownSession if version == 4 else UnsupportedVersion  # there is none of version 4
    assert_refused(budi, with_ciphertext(normal, changed), error)
    toko = person(TOKO)
    toko.start(budi)
    first = toko.send(budi, "first")
    changed = bytes((version << 4 | 3,)) + first.ciphertext[1:]
    assert_refused(budi, with_ciphertext(first, changed), UnsupportedVersion)
    inside = bytes((version << 4 | 3,)) + inner_message(first)[1:]
    assert_refused(budi, edit_wrapper(first, message=inside), UnsupportedVersion)
    assert (budi.read(normal), budi.read(first)) == ("normal", "first")


def test_from_somebody_who_was_never_met() -> None:
    _, budi = _pair()
    attacker = generate_key_pair(SeededEntropy("ratchet"))
    envelope = replace(_forge(attacker.public, 0), sender=TOKO)
    assert_refused(budi, envelope, UnknownSession)
    assert_refused(budi, replace(envelope, sender=Address("signal-2", "ana")), UnknownSession)


def test_a_first_message_that_nobody_agreed_on() -> None:
    """All public keys of the recipient are known, no private key is."""
    _, budi = _pair()
    entropy = SeededEntropy("guess")
    signed, one_time = budi.published.signed_prekey, budi.published.one_time_prekeys[3]
    base, ratchet, identity = (generate_key_pair(entropy).public for _ in range(3))
    inside = encode_signal_message_body(ratchet, 0, 0, bytes(96)) + bytes(8)
    fields: dict[int, int | bytes] = {
        1: one_time.id,
        2: base,
        3: identity,
        4: inside,
        5: 1,
        6: signed.id,
    }
    start = Envelope(IDS, TOKO, BUDI, MessageKind.PREKEY, b"\x33")
    assert_refused(budi, rewrap(start, list(fields.items())), AuthenticationFailed)
    for one_time_id in (0xFFFFFF, MAX_UINT32, signed.id):
        wrapped = rewrap(start, list((fields | {1: one_time_id}).items()))
        assert_refused(budi, wrapped, UnknownPrekey)
    for signed_id in (0, 0xFFFFFF, MAX_UINT32, one_time.id):
        wrapped = rewrap(start, list((fields | {6: signed_id}).items()))
        assert_refused(budi, wrapped, UnknownPrekey)
    del fields[1]
    assert_refused(budi, rewrap(start, list(fields.items())), AuthenticationFailed)


def test_another_member_of_the_conversation_cannot_write_in_your_name() -> None:
    """Toko has sessions with both; what Toko can make does not pass as Ana's."""
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    for left, right in ((ana, budi), (toko, budi), (toko, ana)):
        meet(left, right)
    from_toko = toko.send(budi, "from toko")
    to_toko = ana.send(toko, "for toko only")
    assert_refused(budi, replace(from_toko, sender=ANA), AuthenticationFailed)
    assert_refused(budi, replace(to_toko, recipient=BUDI), AuthenticationFailed)
    assert budi.read(from_toko) == "from toko"
    assert toko.read(to_toko) == "for toko only"


def test_oversized_messages_are_refused_by_their_length() -> None:
    ana, budi = _pair()
    genuine = ana.send(budi, "genuine")
    data = oversize(MAX_SIGNAL_MESSAGE_BYTES + 1)
    for kind in MessageKind:
        longer = edit_envelope(replace(genuine, kind=kind), 6, data)
        assert_refused(budi, longer, DecodeError)
        before = budi.dump()
        with pytest.raises(DecodeError if kind in SESSION_KINDS else InvalidArgument):
            budi.device.decrypt_raw(ANA, kind, data)
        assert budi.dump() == before
    assert_refused(budi, bytes(MAX_ENVELOPE_BYTES + 1), DecodeError)
    assert budi.read(genuine) == "genuine"


# --- A genuine peer, whose MAC is valid, breaks the format ------------------------------------


def _payload_edits() -> dict[str, tuple[bytes, type[RemoteError]]]:
    payload = payload_for(ANA, BUDI)
    plain = unpad(encode_payload(payload))
    fields = protobuf.fields(plain)

    def edited(number: int, value: int | bytes | None) -> bytes:
        changed = [(n, v) for n, v in fields if n != number]
        if value is not None:
            changed.append((number, value))
        return pad(protobuf.message(sorted(changed, key=lambda field: field[0])))

    address = protobuf.message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])
    return {
        "no bytes": (b"", DecodeError),
        "no padding": (plain, DecodeError),
        "other padding": (pad(plain) + b"\0", DecodeError),
        "noise": (pad(b"\xff" * 40), DecodeError),
        "no version": (edited(1, None), DecodeError),
        "later version": (edited(1, 2), UnsupportedVersion),
        "no sender": (edited(2, None), DecodeError),
        "other sender": (edited(2, address.replace(b"ana", b"eve")), EnvelopeMismatch),
        "sender is no address": (edited(2, address.replace(b"ana", b"ANA")), DecodeError),
        "sender is not UTF-8": (edited(2, address.replace(b"ana", b"\xff\xfe\xfd")), DecodeError),
        "sender with an unknown field": (edited(2, address + b"\x20\x01"), DecodeError),
        "no recipient": (edited(3, None), DecodeError),
        "a group": (edited(3, b"\x12\x00"), EnvelopeMismatch),
        "other recipient": (
            edited(3, b"\x0a" + bytes((len(address),)) + address),
            EnvelopeMismatch,
        ),
        "no message id": (edited(4, None), DecodeError),
        "short message id": (edited(4, bytes(15)), DecodeError),
        "other message id": (edited(4, b"\1" * 16), EnvelopeMismatch),
        "other registration id": (edited(5, 2), EnvelopeMismatch),
        "no content kind": (edited(7, None), DecodeError),
        "text is not UTF-8": (edited(8, b"\x0a\x01\xff"), DecodeError),
        "text is no message": (edited(8, b"\xff"), DecodeError),
        "text with an unknown field": (edited(8, b"\x0a\x01a\x10\x01"), DecodeError),
        "unknown field": (edited(9, b"more"), DecodeError),
    }


@pytest.mark.parametrize("name", _payload_edits())
def test_a_payload_under_a_valid_mac(name: str) -> None:
    plaintext, expected = _payload_edits()[name]
    budi, attacker = person(BUDI), Attacker()
    session = attacker.session(budi.bundle())
    payload = payload_for(ANA, BUDI)
    assert_refused(budi, attacker.seal_bytes(session, payload, plaintext), expected)
    # The very same session and one-time prekey still serve.
    assert budi.read(attacker.seal(session, payload)) == "send me money"


@pytest.mark.parametrize(
    ("ciphertext", "expected"),
    [
        (b"", DecodeError),
        (bytes(15), DecodeError),
        (bytes(17), DecodeError),
        (bytes(16), AuthenticationFailed),
        (bytes(96), AuthenticationFailed),
    ],
    ids=["none", "15", "17", "padding of 16", "padding of 96"],
)
def test_a_ciphertext_that_does_not_decrypt_under_a_valid_mac(
    ciphertext: bytes, expected: type[RemoteError]
) -> None:
    """Bad padding is the same error as a bad MAC."""
    ana, budi = _pair()
    session, ratchet_key, number = _as_peer(ana, budi)
    keys = message_keys_for(session, ratchet_key, number)
    body = encode_signal_message_body(ratchet_key, number, 0, ciphertext)
    data = body + compute_mac(
        keys.mac_key, session.remote_identity_key + session.local_identity_key, body
    )
    assert_refused(budi, Envelope(IDS, ANA, BUDI, MessageKind.SIGNAL, data), expected)
    assert budi.read(ana.send(budi, "genuine")) == "genuine"


def test_a_message_before_the_mac_is_checked_is_not_decrypted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A padding oracle needs a decryption: none takes place."""
    ana, budi = _pair()
    genuine = ana.send(budi, "genuine")
    calls: list[bytes] = []

    def spy(*args: bytes) -> bytes:
        calls.append(args[2])
        return b""

    monkeypatch.setattr("e2ecross.protocol.ratchet.cbc_decrypt", spy)
    damaged = genuine.ciphertext[:-1] + bytes((genuine.ciphertext[-1] ^ 1,))
    assert_refused(budi, with_ciphertext(genuine, damaged), AuthenticationFailed)
    assert calls == []


def test_the_tool_that_writes_as_a_peer_is_right() -> None:
    """What `_as_peer` finds out makes a message that is read, with the right plaintext inside."""
    ana, budi = _pair()
    session, ratchet_key, number = _as_peer(ana, budi)
    keys = message_keys_for(session, ratchet_key, number)
    payload = payload_for(ANA, BUDI)
    body = encode_signal_message_body(
        ratchet_key, number, 0, cbc_encrypt(keys.cipher_key, keys.iv, encode_payload(payload))
    )
    data = body + compute_mac(
        keys.mac_key, session.remote_identity_key + session.local_identity_key, body
    )
    envelope = Envelope(payload.message_id, ANA, BUDI, MessageKind.SIGNAL, data)
    assert budi.read(envelope) == "send me money"


def _as_peer(ana: Person, budi: Person) -> tuple[Session, PublicKey, int]:
    """Budi's session with Ana, and chain and number of Ana's next message in it."""
    sent = ana.send(budi, "tells the chain")
    assert budi.read(sent) == "tells the chain"
    fields = dict(protobuf.fields(inner_message(sent)[1:-8]))
    ratchet_key, counter = fields[1], fields[2]
    assert isinstance(ratchet_key, bytes)
    assert isinstance(counter, int)
    with budi.store.transaction() as tx:
        current = load_sessions(tx, ANA).current
    assert current is not None
    return current, PublicKey(ratchet_key), counter + 1
