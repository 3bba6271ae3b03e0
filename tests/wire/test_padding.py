# SPDX-License-Identifier: Apache-2.0
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import DecodeError
from e2ecross.wire.limits import MAX_PLAINTEXT_BYTES
from e2ecross.wire.padding import pad, padded_length, unpad

LENGTHS = {
    0: 399,
    1: 399,
    260: 399,
    398: 399,
    399: 479,
    478: 479,
    479: 559,
    878: 879,
    879: 959,
    958: 959,
    959: 960,
    960: 992,
    991: 992,
    992: 1024,
    1023: 1024,
    1024: 1088,
    2047: 2048,
    2048: 2176,
    65_535: 65_536,
    65_536: 67_584,
}


@pytest.mark.parametrize("length", [*LENGTHS])
def test_lengths_at_the_steps(length: int) -> None:
    assert padded_length(length) == LENGTHS[length]


def test_small_payloads_fill_whole_cipher_blocks() -> None:
    for length in range(959):
        padded = padded_length(length)
        assert length < padded <= 959
        assert (padded + 1) % 80 == 0
        assert padded - length <= 80 or padded == 399


@given(st.integers(960, 2**24))
def test_larger_payloads_have_a_padme_length(length: int) -> None:
    padded = padded_length(length)
    assert length < padded <= (length + 1) * 1.12
    # Padmé: of a length of exponent E only the upper log2(E) + 1 bits after the first are used.
    exponent = padded.bit_length() - 1
    assert padded % (1 << exponent - math.floor(math.log2(exponent)) - 1) == 0


@given(st.integers(0, 10_000))
def test_padding_is_longer_for_longer_payloads(length: int) -> None:
    assert padded_length(length) <= padded_length(length + 1)


@given(st.binary(max_size=2100) | st.binary(max_size=40).map(lambda b: b + b"\x80\x00\x00"))
def test_payload_survives_its_padding(payload: bytes) -> None:
    padded = pad(payload)
    assert len(padded) == padded_length(len(payload))
    assert padded.startswith(payload + b"\x80")
    assert unpad(padded) == payload


@given(st.binary(max_size=2100), st.integers(0, 3000))
def test_padding_for_something_longer(payload: bytes, least: int) -> None:
    padded = pad(payload, least)
    assert len(padded) == padded_length(max(least, len(payload)))
    assert unpad(padded) == payload


BUCKETS = sorted({padded_length(length) for length in range(MAX_PLAINTEXT_BYTES - 1)})


def test_the_buckets() -> None:
    assert BUCKETS[:12] == [399, 479, 559, 639, 719, 799, 879, 959, 960, 992, 1024, 1088]
    assert BUCKETS[-1] <= MAX_PLAINTEXT_BYTES


@given(st.binary(max_size=2100), st.sampled_from(BUCKETS))
def test_a_reader_takes_any_bucket_that_holds_the_payload(payload: bytes, bucket: int) -> None:
    if bucket > len(payload):
        assert unpad((payload + b"\x80").ljust(bucket, b"\0")) == payload


def test_a_length_that_is_no_bucket_is_refused() -> None:
    known = {*BUCKETS}
    for length in range(1, 3000):
        padded = b"\x80".ljust(length, b"\0")
        if length in known:
            assert unpad(padded) == b""
        else:
            with pytest.raises(DecodeError, match="padded"):
                unpad(padded)


def test_the_largest_bucket_is_the_largest_plaintext() -> None:
    assert unpad(b"\x80".ljust(MAX_PLAINTEXT_BYTES, b"\0")) == b""
    with pytest.raises(DecodeError, match="98304"):
        unpad(b"\x80".ljust(padded_length(MAX_PLAINTEXT_BYTES), b"\0"))


REFUSED = {
    "empty": b"",
    "zeros only": bytes(399),
    "no mark": b"x" * 399,
    "mark and nothing": b"\x80",
    "too short": b"\x80" + bytes(397),
    "too long": b"\x80" + bytes(399),
    "below the smallest": b"\x80" + bytes(318),
    "no zeros": b"payload\x80" + b"\x01" * 391,
    "last byte not zero": b"payload\x80" + bytes(390) + b"\x01",
}


@pytest.mark.parametrize("name", [*REFUSED])
def test_any_other_padding_is_refused(name: str) -> None:
    with pytest.raises(DecodeError, match="padded"):
        unpad(REFUSED[name])


# 0x80 is a mark, which makes it the padding of another payload.
@pytest.mark.parametrize("value", [value for value in range(1, 256) if value != 0x80])
def test_every_byte_behind_the_mark_is_zero(value: int) -> None:
    for place in (8, 40, 398):
        damaged = bytearray(pad(b"payload"))
        damaged[place] = value
        with pytest.raises(DecodeError, match="padded"):
            unpad(bytes(damaged))


@given(st.binary(max_size=200), st.integers(-1, 100))
def test_arbitrary_bytes_are_the_padding_of_one_payload_or_refused(data: bytes, zeros: int) -> None:
    padded = data if zeros < 0 else (data + b"\x80").ljust(399 + zeros, b"\0")
    try:
        payload = unpad(padded)
    except DecodeError:
        return
    assert pad(payload) == padded[: len(pad(payload))]
    assert not padded[len(pad(payload)) :].strip(b"\0")


def test_largest_content_fits_into_a_message() -> None:
    assert padded_length(64 * 1024 + 1024) < MAX_PLAINTEXT_BYTES
