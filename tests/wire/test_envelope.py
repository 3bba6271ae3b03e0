# SPDX-License-Identifier: Apache-2.0
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address
from e2ecross.errors import DecodeError, InvalidArgument, UnsupportedVersion
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES, MAX_SIGNAL_MESSAGE_BYTES
from tests.support.formats import ADDRESS, ENVELOPE, MESSAGE_ID, PEER
from tests.support.protobuf import Field, fields, message


def _changed(number: int, value: int | bytes) -> bytes:
    return message([(n, value if n == number else v) for n, v in fields(ENVELOPE.encode())])


def test_encoding_is_the_documented_one() -> None:
    address = message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])
    peer = message([(1, b"signal-2"), (2, b"budi_+-9"), (3, 127)])
    items: list[Field] = [
        (1, 1),
        (2, MESSAGE_ID),
        (3, address),
        (4, peer),
        (5, 3),
        (6, b"ciphertext"),
    ]
    assert ENVELOPE.encode() == message(items)
    assert Envelope.decode(message(items)) == ENVELOPE


@given(
    kind=st.sampled_from(MessageKind),
    ciphertext=st.binary(min_size=1, max_size=100),
    message_id=st.binary(min_size=16, max_size=16),
)
def test_envelope_survives_its_encoding(
    kind: MessageKind, ciphertext: bytes, message_id: bytes
) -> None:
    envelope = Envelope(message_id, PEER, ADDRESS, kind, ciphertext)
    decoded = Envelope.decode(envelope.encode())
    assert decoded == envelope
    assert decoded.kind is kind


def test_kinds_have_the_numbers_of_libsignal() -> None:
    assert (MessageKind.SIGNAL, MessageKind.PREKEY, MessageKind.SENDER_KEY) == (2, 3, 7)
    assert len(MessageKind) == 3


@pytest.mark.parametrize("version", [2, 3, 2**32 - 1])
def test_later_version_is_refused_as_such(version: int) -> None:
    with pytest.raises(UnsupportedVersion, match=str(version)):
        Envelope.decode(_changed(1, version))


def test_later_version_is_told_before_unknown_fields() -> None:
    with pytest.raises(UnsupportedVersion):
        Envelope.decode(_changed(1, 2) + message([(7, b"new")]))


def test_absent_version_is_refused() -> None:
    with pytest.raises(DecodeError, match="version"):
        Envelope.decode(message(fields(ENVELOPE.encode())[1:]))


@pytest.mark.parametrize("kind", [1, 4, 5, 6, 8, 2**31])
def test_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(DecodeError, match=f"kind {kind}"):
        Envelope.decode(_changed(5, kind))


@pytest.mark.parametrize("length", [1, 15, 17])
def test_message_id_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match="16 bytes"):
        Envelope.decode(_changed(2, bytes(length)))
    with pytest.raises(InvalidArgument, match="16 bytes"):
        replace(ENVELOPE, message_id=bytes(length))


@pytest.mark.parametrize("field", [3, 4])
@pytest.mark.parametrize(
    "address",
    [
        message([(1, b"whatsapp"), (2, b"ana")]),
        message([(1, b"whatsapp"), (2, b"ana"), (3, 128)]),
        message([(1, b"WhatsApp"), (2, b"ana"), (3, 1)]),
        message([(1, b"whatsapp"), (2, b"an.a"), (3, 1)]),
        message([(2, b"ana"), (3, 1)]),
        b"",
    ],
)
def test_malformed_address_is_refused(field: int, address: bytes) -> None:
    with pytest.raises(DecodeError, match="address"):
        Envelope.decode(_changed(field, address))


def test_address_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(DecodeError, match="well-formed"):
        Envelope.decode(_changed(3, message([(1, b"\xff\xfe"), (2, b"ana"), (3, 1)])))


def test_ciphertext_has_1_to_100864_bytes() -> None:
    largest = replace(ENVELOPE, ciphertext=bytes(MAX_SIGNAL_MESSAGE_BYTES))
    assert Envelope.decode(largest.encode()) == largest
    for length in (0, MAX_SIGNAL_MESSAGE_BYTES + 1):
        with pytest.raises(InvalidArgument, match="1 to 100864"):
            replace(ENVELOPE, ciphertext=bytes(length))
    one_more = _changed(6, bytes(MAX_SIGNAL_MESSAGE_BYTES + 1))
    assert len(one_more) < MAX_ENVELOPE_BYTES
    for data in (one_more, message(fields(ENVELOPE.encode())[:-1])):
        with pytest.raises(DecodeError, match="1 to 100864"):
            Envelope.decode(data)


def test_size_is_checked_before_anything_is_parsed() -> None:
    with pytest.raises(DecodeError, match="more than the 131072 allowed"):
        Envelope.decode(b"\xff" * (MAX_ENVELOPE_BYTES + 1))
    with pytest.raises(DecodeError, match="well-formed"):
        Envelope.decode(b"\xff" * MAX_ENVELOPE_BYTES)


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "0123456789abcdef"},
        {"sender": "whatsapp:ana.1"},
        {"recipient": None},
        {"kind": 3},
        {"ciphertext": bytearray(b"x")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_field_of_the_wrong_type_is_the_callers_mistake(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument, match=f"^{next(iter(changes))} "):
        replace(ENVELOPE, **changes)  # type: ignore[arg-type]


def test_bytes_are_asked_for() -> None:
    with pytest.raises(InvalidArgument):
        Envelope.decode("text")  # type: ignore[arg-type]


def test_repr_shows_what_the_relay_sees_but_not_the_ciphertext() -> None:
    assert repr(ENVELOPE) == (
        "<Envelope 000102030405060708090a0b0c0d0e0f: whatsapp:ana.1 to signal-2:budi_+-9.127, "
        "PREKEY, 10 bytes>"
    )


def test_envelope_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ENVELOPE.sender = Address("whatsapp", "eve")  # type: ignore[misc]
