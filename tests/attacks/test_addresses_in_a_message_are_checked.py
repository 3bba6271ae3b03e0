# SPDX-License-Identifier: Apache-2.0
"""Who a message of version 4 says that it is from and for is held against what it came as.

The attacker: a back end that hands a message to another user or device than it was sent to, or in
another name, on the raw layer where no payload binds it; and a peer who writes other addresses into
a message of their own, under a right MAC.
Apps whose account ids are UUIDs have it, as libsignal; where an id is none, nothing is said.
"""

from dataclasses import replace

import pytest

from e2ecross import Address, Device, MessageKind
from e2ecross.crypto.spqr_kdf import derive_link
from e2ecross.errors import AuthenticationFailed, DecodeError, EnvelopeMismatch, RemoteError
from e2ecross.wire.service_id import encode_addresses
from e2ecross.wire.signal_message import (
    VERSIONS,
    decode_prekey_signal_message,
    decode_signal_message,
)
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage, encode_spqr_message
from tests.attacks.support import ANA, BUDI, Person, meet, person, signal_fields
from tests.attacks.support_4 import MESSAGE, current, edit_message, forge, spqr_of
from tests.fuzz.world import load

UUID_ANA = Address("messenger", "0e0b3a5c-7d1f-4c2a-9b6e-5f4d3c2b1a09")
UUID_BUDI = Address("messenger", "f1e2d3c4-b5a6-4978-8899-aabbccddeeff")
OTHER = "00112233-4455-4677-8899-aabbccddeeff"


def _people() -> tuple[Person, Person]:
    return person(UUID_ANA), person(UUID_BUDI)


def _said(sender: Address, recipient: Address) -> bytes | None:
    return encode_addresses(sender.user, sender.device, recipient.user, recipient.device)


def _assert_raw_refused(
    budi: Person, sender: Address, kind: MessageKind, data: bytes, *errors: type[RemoteError]
) -> None:
    before = budi.dump()
    with pytest.raises(errors or (AuthenticationFailed,)):
        budi.device.decrypt_raw(sender, kind, data)
    assert budi.dump() == before


# --- What we say ------------------------------------------------------------------------------


def test_first_messages_say_it_and_later_ones_do_not() -> None:
    ana, budi = _people()
    ana.start(budi, kyber=True)
    for text in ("first", "second"):
        envelope = ana.send(budi, text)
        message = decode_prekey_signal_message(envelope.ciphertext, VERSIONS).message
        assert message.addresses == _said(UUID_ANA, UUID_BUDI)
        assert len(message.addresses or b"") == 36
        assert budi.read(envelope) == text
    answer = budi.send(ana, "answer")
    assert decode_signal_message(answer.ciphertext, VERSIONS).addresses is None
    assert ana.read(answer) == "answer"


@pytest.mark.parametrize(("left", "right"), [(ANA, UUID_BUDI), (UUID_ANA, BUDI), (ANA, BUDI)])
def test_nothing_is_said_where_an_account_id_is_no_uuid(left: Address, right: Address) -> None:
    ana, budi = person(left), person(right)
    ana.start(budi, kyber=True)
    envelope = ana.send(budi, "first")
    message = decode_prekey_signal_message(envelope.ciphertext, VERSIONS).message
    assert message.addresses is None
    assert budi.read(envelope) == "first"


def test_version_3_says_nothing() -> None:
    ana, budi = _people()
    ana.start(budi)
    envelope = ana.send(budi, "first")
    assert MESSAGE["addresses"] not in dict(signal_fields(envelope)[0])
    assert budi.read(envelope) == "first"


# --- What is checked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sender",
    [
        Address("messenger", OTHER),
        Address("messenger", UUID_ANA.user, 2),
        Address("messenger", UUID_BUDI.user, 2),
        ANA,
    ],
    ids=str,
)
def test_a_message_in_another_name(sender: Address) -> None:
    ana, budi = _people()
    ana.start(budi, kyber=True)
    kind, data = ana.device.encrypt_raw(UUID_BUDI, b"from ana")
    _assert_raw_refused(budi, sender, kind, data)
    assert budi.device.decrypt_raw(UUID_ANA, kind, data) == b"from ana"


@pytest.mark.parametrize(
    "recipient", [Address("messenger", OTHER), Address("messenger", UUID_BUDI.user, 2)], ids=str
)
def test_a_message_to_another_user_or_device_with_the_same_keys(recipient: Address) -> None:
    """Budi's keys are where his backup is: without the field, Ana's message would be read there."""
    ana, budi = _people()
    ana.start(budi, kyber=True)
    kind, data = ana.device.encrypt_raw(UUID_BUDI, b"for budi")
    elsewhere = _with_address(budi, recipient)
    _assert_raw_refused(elsewhere, UUID_ANA, kind, data)
    assert budi.device.decrypt_raw(UUID_ANA, kind, data) == b"for budi"


def _with_address(somebody: Person, address: Address) -> Person:
    """The same keys, installed for another address."""
    copy = load(somebody, somebody.dump())
    device = Device(replace(copy.device._context, address=address))
    return replace(copy, device=device)


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
def test_the_field_cannot_be_taken_out_or_changed(repeated: bool) -> None:
    ana, budi = _people()
    ana.start(budi, kyber=True)
    if repeated:
        assert budi.read(ana.send(budi, "before")) == "before"
    envelope = ana.send(budi, "genuine")
    said = _said(UUID_ANA, UUID_BUDI)
    assert said is not None
    for changed in (None, b"", said[:35], said + b"\0", said[18:] + said[:18], bytes(36)):
        bad = edit_message(envelope, addresses=changed)
        _assert_raw_refused(budi, UUID_ANA, bad.kind, bad.ciphertext)
    assert budi.read(envelope) == "genuine"


def _every_wrong() -> list[bytes]:
    right = _said(UUID_ANA, UUID_BUDI)
    other = Address("messenger", OTHER)
    second = Address("messenger", UUID_BUDI.user, 2)
    assert right is not None
    wrong = [
        _said(other, UUID_BUDI),
        _said(UUID_ANA, other),
        _said(Address("messenger", UUID_ANA.user, 3), UUID_BUDI),
        _said(UUID_ANA, second),
        _said(UUID_BUDI, UUID_ANA),
        b"\x01" + right[1:],  # PNI instead of ACI
        right[:18] + b"\x01" + right[19:],
        b"",
        right[:35],
        right + b"\0",
        bytes(36),
    ]
    return [said for said in wrong if said is not None]


def test_a_peer_who_writes_others_under_a_right_mac() -> None:
    """On a message of any kind, in the middle of a session: refused as one that is forged."""
    ana, budi = _people()
    meet(ana, budi, kyber=True)
    assert budi.read(ana.send(budi, "a chain of its own")) == "a chain of its own"
    session, theirs = current(budi, ana), current(ana, budi)
    chain = session.ratchet.receiving[-1]
    sender = spqr_of(theirs).chains.epochs[-1]
    index = spqr_of(session).chains.epochs[-1].receiving.counter + 1
    said = encode_spqr_message(
        SpqrMessage(spqr_of(session).machine.epoch, index, SpqrKind.NONE, 0, b"")
    )
    assert sender.sending.counter == index - 1
    pq_key = derive_link(sender.sending.key, index)[1]

    def write(addresses: bytes | None) -> bytes:
        return forge(
            session,
            chain.ratchet_key,
            chain.message_number,
            said,
            b"crafted",
            pq_key=pq_key,
            addresses=addresses,
        )

    for addresses in _every_wrong():
        _assert_raw_refused(budi, UUID_ANA, MessageKind.SIGNAL, write(addresses))
    for said_of in (None, _said(UUID_ANA, UUID_BUDI)):
        copy = load(budi, budi.dump())
        data = write(said_of)
        assert copy.device.decrypt_raw(UUID_ANA, MessageKind.SIGNAL, data) == b"crafted"
        _assert_raw_refused(budi, ANA, MessageKind.SIGNAL, data, RemoteError)


def test_where_an_account_id_is_no_uuid_a_message_that_says_any_is_refused() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, kyber=True)
    assert budi.read(ana.send(budi, "hello")) == "hello"
    session = current(budi, ana)
    chain = session.ratchet.receiving[-1]
    said = encode_spqr_message(SpqrMessage(1, 0, SpqrKind.NONE, 0, b""))
    for addresses in _every_wrong():
        data = forge(
            session,
            chain.ratchet_key,
            chain.message_number,
            said,
            b"crafted",
            addresses=addresses,
        )
        _assert_raw_refused(budi, ANA, MessageKind.SIGNAL, data, AuthenticationFailed, DecodeError)
    data = forge(session, chain.ratchet_key, chain.message_number, said, b"crafted")
    assert budi.device.decrypt_raw(ANA, MessageKind.SIGNAL, data) == b"crafted"


def test_in_an_envelope_it_is_checked_beside_the_payload() -> None:
    ana, budi = _people()
    ana.start(budi, kyber=True)
    envelope = ana.send(budi, "genuine")
    other = replace(envelope, sender=Address("messenger", OTHER))
    before = budi.dump()
    with pytest.raises((AuthenticationFailed, EnvelopeMismatch)):
        budi.device.decrypt(other)
    assert budi.dump() == before
    assert budi.read(envelope) == "genuine"
