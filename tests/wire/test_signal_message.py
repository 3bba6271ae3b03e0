# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.keys import decode_public_key
from e2ecross.errors import (
    DecodeError,
    InvalidArgument,
    InvalidKey,
    RemoteError,
    UnsupportedVersion,
)
from e2ecross.wire.limits import MAX_SIGNAL_MESSAGE_BYTES, MAX_UINT32
from e2ecross.wire.signal_message import (
    decode_prekey_signal_message,
    decode_signal_message,
    encode_prekey_signal_message,
    encode_signal_message_body,
    is_canonical_prekey_signal_message,
)
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.protobuf import Field, fields, message, split, varint

KEY = decode_public_key(GOOD_KEY)
MAC = b"\xaa" * 8
CIPHERTEXT = b"c" * 16
INNER: Sequence[Field] = ((1, GOOD_KEY), (2, 5), (3, 7), (4, CIPHERTEXT))
BODY = b"\x33" + message(INNER)
WRAPPER: Sequence[Field] = (
    (1, 33),
    (2, GOOD_KEY),
    (3, GOOD_KEY),
    (4, BODY + MAC),
    (5, 1111),
    (6, 22),
)
WRAPPED = b"\x33" + message(WRAPPER)
bad_keys = pytest.mark.parametrize("bad", [*BAD_KEYS])
versions = pytest.mark.parametrize("high", [v for v in range(16) if v != 3])


def _inner(items: Sequence[Field], version: int = 0x33) -> bytes:
    return bytes((version,)) + message(items) + MAC


def _wrapped(items: Sequence[Field], version: int = 0x33) -> bytes:
    return bytes((version,)) + message(items)


def _replaced(items: Sequence[Field], number: int, value: int | bytes) -> list[Field]:
    return [(n, value if n == number else old) for n, old in items]


def _without(items: Sequence[Field], number: int) -> list[Field]:
    return [item for item in items if item[0] != number]


# --- SignalMessage --------------------------------------------------------------------------


def test_body_is_version_byte_and_all_four_fields_ascending_also_when_zero() -> None:
    assert encode_signal_message_body(KEY, 5, 7, CIPHERTEXT) == BODY
    zero = encode_signal_message_body(KEY, 0, 0, CIPHERTEXT)
    assert fields(zero[1:]) == [(1, GOOD_KEY), (2, 0), (3, 0), (4, CIPHERTEXT)]
    assert zero[0] == 0x33


def test_message_is_decoded_into_its_parts() -> None:
    decoded = decode_signal_message(BODY + MAC)
    assert decoded.ratchet_key == GOOD_KEY
    assert (decoded.counter, decoded.previous_counter) == (5, 7)
    assert decoded.ciphertext == CIPHERTEXT
    assert decoded.authenticated == BODY
    assert decoded.mac == MAC


def test_low_half_of_the_version_is_kept_for_the_mac_but_not_checked() -> None:
    for low in range(16):
        data = _inner(INNER, 0x30 | low)
        assert decode_signal_message(data).authenticated == data[:-8]
        assert decode_prekey_signal_message(_wrapped(WRAPPER, 0x30 | low)).signed_prekey_id == 22


@versions
def test_other_versions_are_refused(high: int) -> None:
    with pytest.raises(UnsupportedVersion, match=f"version {high} "):
        decode_signal_message(_inner(INNER, high << 4 | 3))
    with pytest.raises(UnsupportedVersion):
        decode_prekey_signal_message(_wrapped(WRAPPER, high << 4 | 3))
    inner = _replaced(WRAPPER, 4, _inner(INNER, high << 4 | 3))
    with pytest.raises(UnsupportedVersion):
        decode_prekey_signal_message(_wrapped(inner))


@pytest.mark.parametrize("number", [1, 2, 4])
def test_message_without_a_required_field_is_refused(number: int) -> None:
    with pytest.raises(DecodeError, match="lacks a field"):
        decode_signal_message(_inner(_without(INNER, number)))


def test_previous_counter_may_be_absent() -> None:
    assert decode_signal_message(_inner(_without(INNER, 3))).previous_counter is None
    assert decode_signal_message(_inner(_replaced(INNER, 3, 0))).previous_counter == 0


@bad_keys
def test_bad_ratchet_key_is_refused(bad: str) -> None:
    with pytest.raises(InvalidKey):
        decode_signal_message(_inner(_replaced(INNER, 1, BAD_KEYS[bad])))


@pytest.mark.parametrize("number", [2, 3])
def test_numbers_end_at_32_bits(number: int) -> None:
    decoded = decode_signal_message(_inner(_replaced(INNER, number, MAX_UINT32)))
    assert MAX_UINT32 in (decoded.counter, decoded.previous_counter)
    for value in (2**32, 2**32 + 5, 2**63, 2**64 - 1):
        with pytest.raises(DecodeError, match="32 bits"):
            decode_signal_message(_inner(_replaced(INNER, number, value)))


@pytest.mark.parametrize("length", [0, 1, 15, 17, 31, 33])
def test_ciphertext_of_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match="multiple of 16"):
        decode_signal_message(_inner(_replaced(INNER, 4, bytes(length))))


def test_unknown_fields_are_ignored_and_stay_authenticated() -> None:
    data = _inner([(15, 1), *INNER[:2], (5, b"pq"), *INNER[2:], (6, b"addresses"), (9999, b"")])
    decoded = decode_signal_message(data)
    assert decoded.ciphertext == CIPHERTEXT
    assert decoded.authenticated == data[:-8]


@given(st.permutations(INNER))
def test_fields_may_come_in_any_order(items: list[Field]) -> None:
    decoded = decode_signal_message(_inner(items))
    assert (decoded.ratchet_key, decoded.counter) == (GOOD_KEY, 5)
    assert (decoded.previous_counter, decoded.ciphertext) == (7, CIPHERTEXT)
    assert decoded.authenticated == b"\x33" + message(items)


def test_last_of_repeated_fields_counts() -> None:
    first: Sequence[Field] = ((1, b"bad"), (2, 2**40), (3, 1), (4, b"x"))
    decoded = decode_signal_message(_inner([*first, *INNER]))
    assert (decoded.counter, decoded.previous_counter) == (5, 7)
    with pytest.raises(RemoteError):
        decode_signal_message(_inner([*INNER, *first]))


@pytest.mark.parametrize("length", range(9))
def test_message_too_short_for_its_mac_is_refused(length: int) -> None:
    with pytest.raises(DecodeError):
        decode_signal_message((b"\x33" + bytes(8))[:length])


def test_shortest_bytes_whose_version_is_looked_at() -> None:
    for decode, shortest in ((decode_signal_message, 9), (decode_prekey_signal_message, 1)):
        with pytest.raises(UnsupportedVersion):
            decode((b"\x43" + bytes(8))[:shortest])
        with pytest.raises(DecodeError, match=f"cannot have {shortest - 1} bytes"):
            decode((b"\x43" + bytes(8))[: shortest - 1])


def test_every_truncated_message_is_refused() -> None:
    # The last bytes of what is left are taken as the MAC, which is checked later.
    for length in range(len(BODY + MAC) - 8):
        with pytest.raises(RemoteError):
            decode_signal_message((BODY + MAC)[:length])


def test_size_is_checked_before_anything_is_parsed() -> None:
    room = MAX_SIGNAL_MESSAGE_BYTES - len(_inner([*INNER, (9, bytes(2**16))]))
    largest = _inner([*INNER, (9, bytes(2**16 + room))])
    assert len(largest) == MAX_SIGNAL_MESSAGE_BYTES
    assert decode_signal_message(largest).ciphertext == CIPHERTEXT
    for data in (b"\x33" + b"\xff" * MAX_SIGNAL_MESSAGE_BYTES, bytes(10**6)):
        with pytest.raises(DecodeError, match=f"cannot have {len(data)} bytes"):
            decode_signal_message(data)
        with pytest.raises(DecodeError, match=f"cannot have {len(data)} bytes"):
            decode_prekey_signal_message(data)


def test_largest_message_ever_sent_is_within_the_limit() -> None:
    body = encode_signal_message_body(KEY, MAX_UINT32, MAX_UINT32, bytes(96 * 1024 + 16))
    wrapped = encode_prekey_signal_message(
        registration_id=MAX_UINT32,
        one_time_prekey_id=MAX_UINT32,
        signed_prekey_id=MAX_UINT32,
        base_key=KEY,
        identity_key=KEY,
        message=body + MAC,
    )
    assert decode_prekey_signal_message(wrapped).message.counter == MAX_UINT32


@pytest.mark.parametrize("data", [None, "text", 3, bytearray(BODY + MAC)])
def test_what_is_not_bytes_is_the_callers_mistake(data: Any) -> None:  # noqa: ANN401
    for decode in (decode_signal_message, decode_prekey_signal_message):
        with pytest.raises(InvalidArgument, match=r"^data must be bytes"):
            decode(data)


# --- PreKeySignalMessage --------------------------------------------------------------------


def test_wrapper_is_version_byte_and_ascending_fields() -> None:
    wrapped = encode_prekey_signal_message(
        registration_id=1111,
        one_time_prekey_id=33,
        signed_prekey_id=22,
        base_key=KEY,
        identity_key=KEY,
        message=BODY + MAC,
    )
    assert wrapped == WRAPPED


def test_wrapper_without_one_time_prekey_omits_its_id() -> None:
    wrapped = encode_prekey_signal_message(
        registration_id=0,
        one_time_prekey_id=None,
        signed_prekey_id=0,
        base_key=KEY,
        identity_key=KEY,
        message=BODY + MAC,
    )
    assert [number for number, _ in fields(wrapped[1:])] == [2, 3, 4, 5, 6]
    decoded = decode_prekey_signal_message(wrapped)
    assert decoded.one_time_prekey_id is None
    assert (decoded.registration_id, decoded.signed_prekey_id) == (0, 0)


def test_wrapper_is_decoded_into_its_parts() -> None:
    other = _replaced(WRAPPER, 3, b"\x05\x09" + bytes(31))
    decoded = decode_prekey_signal_message(_wrapped(other))
    assert decoded.registration_id == 1111
    assert decoded.one_time_prekey_id == 33
    assert decoded.signed_prekey_id == 22
    assert decoded.base_key == GOOD_KEY
    assert decoded.identity_key == b"\x05\x09" + bytes(31)
    assert decoded.message == decode_signal_message(BODY + MAC)


@pytest.mark.parametrize("number", [2, 3, 4, 6])
def test_wrapper_without_a_required_field_is_refused(number: int) -> None:
    with pytest.raises(DecodeError, match="lacks a field"):
        decode_prekey_signal_message(_wrapped(_without(WRAPPER, number)))


def test_registration_id_and_one_time_prekey_id_may_be_absent() -> None:
    decoded = decode_prekey_signal_message(_wrapped(_without(_without(WRAPPER, 5), 1)))
    assert decoded.registration_id == 0
    assert decoded.one_time_prekey_id is None


def test_one_time_prekey_id_0_counts_as_absent() -> None:
    decoded = decode_prekey_signal_message(_wrapped(_replaced(WRAPPER, 1, 0)))
    assert decoded.one_time_prekey_id is None


@bad_keys
@pytest.mark.parametrize("number", [2, 3])
def test_bad_base_or_identity_key_is_refused(bad: str, number: int) -> None:
    with pytest.raises(InvalidKey):
        decode_prekey_signal_message(_wrapped(_replaced(WRAPPER, number, BAD_KEYS[bad])))


@bad_keys
def test_bad_ratchet_key_inside_a_wrapper_is_refused(bad: str) -> None:
    inner = _inner(_replaced(INNER, 1, BAD_KEYS[bad]))
    with pytest.raises(InvalidKey):
        decode_prekey_signal_message(_wrapped(_replaced(WRAPPER, 4, inner)))


@pytest.mark.parametrize("number", [1, 5, 6])
def test_numbers_of_the_wrapper_end_at_32_bits(number: int) -> None:
    decode_prekey_signal_message(_wrapped(_replaced(WRAPPER, number, MAX_UINT32)))
    for value in (2**32, 2**32 + 22, 2**64 - 1):
        with pytest.raises(DecodeError, match="32 bits"):
            decode_prekey_signal_message(_wrapped(_replaced(WRAPPER, number, value)))


@given(st.permutations([*WRAPPER, (7, 1), (8, b"kyber"), (200, b"")]))
def test_wrapper_fields_may_come_in_any_order_with_unknown_ones(items: list[Field]) -> None:
    assert decode_prekey_signal_message(_wrapped(items)) == decode_prekey_signal_message(WRAPPED)


def test_order_of_other_senders_is_read() -> None:
    items = sorted(WRAPPER, key=lambda item: [5, 1, 6, 2, 3, 4].index(item[0]))
    assert decode_prekey_signal_message(_wrapped(items)) == decode_prekey_signal_message(WRAPPED)


def test_last_of_repeated_wrapper_fields_counts() -> None:
    repeated: list[Field] = [(1, 1), (2, b"bad"), (5, 2), (6, 3), *WRAPPER]
    assert decode_prekey_signal_message(_wrapped(repeated)).signed_prekey_id == 22


def test_every_truncated_wrapper_is_refused() -> None:
    for length in range(len(WRAPPED)):
        with pytest.raises(RemoteError):
            decode_prekey_signal_message(WRAPPED[:length])


# --- The canonical wrapper ------------------------------------------------------------------


@given(
    one_time_prekey_id=st.none() | st.integers(1, MAX_UINT32),
    registration_id=st.integers(0, MAX_UINT32),
    signed_prekey_id=st.integers(0, MAX_UINT32),
)
def test_our_own_wrapper_is_canonical(
    one_time_prekey_id: int | None, registration_id: int, signed_prekey_id: int
) -> None:
    wrapped = encode_prekey_signal_message(
        registration_id=registration_id,
        one_time_prekey_id=one_time_prekey_id,
        signed_prekey_id=signed_prekey_id,
        base_key=KEY,
        identity_key=KEY,
        message=BODY + MAC,
    )
    assert is_canonical_prekey_signal_message(wrapped)


def _longer(number: int) -> bytes:
    """The wrapper with one number or length in a byte too many."""
    out = b"\x33"
    for (n, value), encoded in split(WRAPPED[1:]):
        if n != number:
            out += encoded
        elif isinstance(value, int):
            out += encoded[:1] + varint(value, padding=1)
        else:
            out += encoded[:1] + varint(len(value), padding=1) + value
    return out


NOT_CANONICAL = {
    "low half of the version": _wrapped(WRAPPER, 0x34),
    "no registration id": _wrapped(_without(WRAPPER, 5)),
    "0 for no one-time prekey": _wrapped(_replaced(WRAPPER, 1, 0)),
    "unknown number": _wrapped([*WRAPPER, (7, 1)]),
    "unknown bytes": _wrapped([*WRAPPER, (8, b"")]),
    "unknown in front": _wrapped([(9, 1), *WRAPPER]),
    "reordered": _wrapped(WRAPPER[::-1]),
    "order of other senders": _wrapped([*WRAPPER[4:], *WRAPPER[:4]]),
    "repeated number": _wrapped([WRAPPER[0], *WRAPPER]),
    "repeated bytes": _wrapped([*WRAPPER[:2], *WRAPPER[1:]]),
    **{f"long encoding of field {number}": _longer(number) for number in range(1, 7)},
}


@pytest.mark.parametrize("name", [*NOT_CANONICAL])
def test_wrapper_in_another_encoding_is_read_but_not_canonical(name: str) -> None:
    decode_prekey_signal_message(NOT_CANONICAL[name])
    assert not is_canonical_prekey_signal_message(NOT_CANONICAL[name])


# --- Arbitrary input ------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_message_or_a_remote_error(data: bytes) -> None:
    for candidate in (data, b"\x33" + data, _wrapped(_replaced(WRAPPER, 4, b"\x33" + data))):
        for decode in (decode_signal_message, decode_prekey_signal_message):
            try:
                decode(candidate)
            except RemoteError:
                continue


@given(st.data())
def test_a_damaged_wrapper_is_a_message_or_a_remote_error(data: st.DataObject) -> None:
    damaged = bytearray(WRAPPED)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        decode_prekey_signal_message(bytes(damaged))
    except RemoteError:
        return
    is_canonical_prekey_signal_message(bytes(damaged))
