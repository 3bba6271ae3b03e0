# SPDX-License-Identifier: Apache-2.0
"""Version 4 of Signal's messages, beside version 3."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kem import KEM_CIPHERTEXT_BYTES
from e2ecross.crypto.keys import decode_public_key
from e2ecross.errors import DecodeError, InvalidKey, RemoteError, UnsupportedVersion
from e2ecross.wire.signal_message import (
    VERSION_3,
    VERSION_4,
    KyberPrekeyUse,
    PreKeySignalMessage,
    SignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
    encode_prekey_signal_message,
    encode_signal_message_body,
    is_canonical_prekey_signal_message,
)
from tests.support.points import GOOD_KEY
from tests.support.protobuf import Field, fields, message
from tests.support.vectors import transcripts, unhex

KEY = decode_public_key(GOOD_KEY)
MAC = b"\xa5" * 8
KYBER = KyberPrekeyUse(44, b"\x08" + b"\x5a" * (KEM_CIPHERTEXT_BYTES - 1))
ADDRESSES = bytes(range(36))
BOTH = (VERSION_3, VERSION_4)


def _message(pq_ratchet: bytes = b"\1\1\1\0", addresses: bytes | None = ADDRESSES) -> bytes:
    body = encode_signal_message_body(KEY, 7, 3, bytes(32), VERSION_4, pq_ratchet, addresses)
    return body + MAC


def _wrapped(inner: bytes | None = None, one_time_prekey_id: int | None = 33) -> bytes:
    return encode_prekey_signal_message(
        registration_id=5,
        one_time_prekey_id=one_time_prekey_id,
        signed_prekey_id=22,
        base_key=KEY,
        identity_key=KEY,
        message=_message() if inner is None else inner,
        version=VERSION_4,
        kyber=KYBER,
    )


def _decode(data: bytes) -> SignalMessage:
    return decode_signal_message(data, BOTH)


def _unwrap(data: bytes) -> PreKeySignalMessage:
    return decode_prekey_signal_message(data, BOTH)


@given(st.integers(0, 2**32 - 1), st.binary(max_size=60), st.none() | st.binary(max_size=40))
def test_a_message_survives_its_encoding(
    counter: int, pq_ratchet: bytes, addresses: bytes | None
) -> None:
    body = encode_signal_message_body(KEY, counter, 3, bytes(16), VERSION_4, pq_ratchet, addresses)
    assert body[0] == 0x44
    assert _decode(body + MAC) == SignalMessage(
        KEY, counter, 3, bytes(16), body, MAC, VERSION_4, pq_ratchet, addresses
    )


def test_fields_are_written_in_order_and_absent_when_empty() -> None:
    numbers = [number for number, _ in fields(_message()[1:-8])]
    assert numbers == [1, 2, 3, 4, 5, 6]
    numbers = [number for number, _ in fields(_message(b"", None)[1:-8])]
    assert numbers == [1, 2, 3, 4]


def test_an_empty_ratchet_field_counts_as_none_but_empty_addresses_do_not() -> None:
    plain = _message(b"", None)[:-8]
    assert _decode(plain + message([(5, b"")]) + MAC).pq_ratchet == b""
    assert _decode(plain + message([(6, b"")]) + MAC).addresses == b""
    assert _decode(plain + MAC).addresses is None


def test_a_wrapper_survives_its_encoding() -> None:
    data = _wrapped()
    assert data[0] == 0x44
    assert [number for number, _ in fields(data[1:])] == [1, 2, 3, 4, 5, 6, 7, 8]
    read = _unwrap(data)
    assert read.kyber == KYBER
    assert (read.registration_id, read.one_time_prekey_id, read.signed_prekey_id) == (5, 33, 22)
    assert read.message == _decode(_message())
    assert is_canonical_prekey_signal_message(data)
    assert _unwrap(_wrapped(one_time_prekey_id=None)).one_time_prekey_id is None


@pytest.mark.parametrize("transcript", transcripts(), ids=["we", "peer"])
def test_every_recorded_message_is_read(transcript: dict[str, list[dict[str, str]]]) -> None:
    for event in transcript["events"]:
        data = unhex(event["message"])
        if int(event["type"]) == 2:
            assert _decode(data).pq_ratchet
            assert _decode(data).addresses is None
        else:
            read = _unwrap(data)
            assert read.message.version is VERSION_4
            assert read.message.addresses is not None
            assert is_canonical_prekey_signal_message(data)


# --- Versions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0x40, 0x43, 0x44, 0x4F])
def test_the_low_half_of_the_first_byte_is_not_looked_at(first: int) -> None:
    assert _decode(bytes((first,)) + _message()[1:]).version is VERSION_4
    assert _unwrap(bytes((first,)) + _wrapped()[1:]).kyber == KYBER
    canonical = is_canonical_prekey_signal_message(bytes((first,)) + _wrapped()[1:])
    assert canonical is (first == 0x44)


@pytest.mark.parametrize("first", [0x00, 0x24, 0x54, 0xF4])
def test_other_versions_are_refused(first: int) -> None:
    with pytest.raises(UnsupportedVersion, match="only 3 and 4"):
        _decode(bytes((first,)) + _message()[1:])
    with pytest.raises(UnsupportedVersion, match="only 3 and 4"):
        _unwrap(bytes((first,)) + _wrapped()[1:])


def test_only_the_versions_asked_for_are_read() -> None:
    for decode, data in (
        (decode_signal_message, _message()),
        (decode_prekey_signal_message, _wrapped()),
    ):
        decoder: Callable[..., object] = decode
        with pytest.raises(UnsupportedVersion, match=r"only 3$"):
            decoder(data)
        with pytest.raises(UnsupportedVersion, match=r"only 4$"):
            decoder(b"\x33" + data[1:], (VERSION_4,))


def test_wrapper_and_message_are_of_one_version() -> None:
    inner = encode_signal_message_body(KEY, 0, 0, bytes(16)) + MAC
    with pytest.raises(UnsupportedVersion):
        _unwrap(_wrapped(inner))
    outer = encode_prekey_signal_message(
        registration_id=1,
        one_time_prekey_id=None,
        signed_prekey_id=2,
        base_key=KEY,
        identity_key=KEY,
        message=_message(),
    )
    with pytest.raises(UnsupportedVersion):
        _unwrap(outer)


def test_version_3_does_not_know_the_fields_of_version_4() -> None:
    plain = encode_signal_message_body(KEY, 7, 3, bytes(32))
    added: list[list[Field]] = [[(5, b"\1\1\1\0")], [(6, ADDRESSES)], [(5, 7), (6, 8)]]
    added.append([(5, b""), (6, b"")])
    for extra in added:
        read = _decode(plain + message(extra) + MAC)
        assert read == SignalMessage(KEY, 7, 3, bytes(32), plain + message(extra), MAC)
    wrapper = encode_prekey_signal_message(
        registration_id=5,
        one_time_prekey_id=33,
        signed_prekey_id=22,
        base_key=KEY,
        identity_key=KEY,
        message=plain + MAC,
    )
    assert is_canonical_prekey_signal_message(wrapper)
    added = [[(7, 44)], [(8, KYBER.ciphertext)], [(7, 44), (8, b"")]]
    added.append([(7, b""), (8, 1)])
    for extra in added:
        data = wrapper + message(extra)
        assert _unwrap(data).kyber is None
        assert not is_canonical_prekey_signal_message(data)


# --- What is refused --------------------------------------------------------------------------


def _with(number: int, value: Field | None) -> bytes:
    """The wrapper with another value of one field, or without it."""
    parts = [(n, v) for n, v in fields(_wrapped()[1:]) if n != number]
    if value is not None:
        parts = sorted([*parts, (number, value[1])], key=lambda item: item[0])
    return b"\x44" + message(parts)


@pytest.mark.parametrize("number", [2, 3, 4, 6, 7, 8])
def test_a_wrapper_that_lacks_a_field_is_refused(number: int) -> None:
    with pytest.raises(DecodeError, match="lacks"):
        _unwrap(_with(number, None))


def test_a_kyber_prekey_id_has_32_bits() -> None:
    assert _unwrap(_with(7, (7, 2**32 - 1))).kyber == KyberPrekeyUse(2**32 - 1, KYBER.ciphertext)
    assert _unwrap(_with(7, (7, 0))).kyber == KyberPrekeyUse(0, KYBER.ciphertext)
    with pytest.raises(DecodeError, match="32 bits"):
        _unwrap(_with(7, (7, 2**32)))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        KYBER.ciphertext[1:],
        KYBER.ciphertext[:-1],
        KYBER.ciphertext + b"\0",
        b"\x07" + KYBER.ciphertext[1:],
        b"\x0a" + KYBER.ciphertext[1:],
    ],
)
def test_a_ciphertext_of_another_form_is_refused(bad: bytes) -> None:
    with pytest.raises(InvalidKey):
        _unwrap(_with(8, (8, bad)))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_our_error(data: bytes) -> None:
    for prefix in (b"", b"\x44"):
        for decode in (_decode, _unwrap):
            try:
                decode(prefix + data)
            except RemoteError:
                continue
