# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import DecodeError
from e2ecross.wire.spqr_message import (
    SpqrKind,
    SpqrMessage,
    decode_spqr_message,
    encode_spqr_message,
    spqr_version,
)
from tests.support.vectors import component

CHUNK = bytes(range(32))
WITHOUT_CHUNK = {SpqrKind.NONE, SpqrKind.CT1_ACK}


@st.composite
def messages(draw: st.DrawFn) -> SpqrMessage:
    kind = draw(st.sampled_from(SpqrKind))
    chunk = kind not in WITHOUT_CHUNK
    return SpqrMessage(
        draw(st.integers(1, 2**64 - 1)),
        draw(st.integers(0, 2**32 - 1)),
        kind,
        draw(st.integers(0, 65_535)) if chunk else 0,
        draw(st.binary(min_size=32, max_size=32)) if chunk else b"",
    )


@pytest.mark.parametrize("item", component("spqr_messages"))
def test_the_recorded_messages(item: dict[str, Any]) -> None:
    data = bytes.fromhex(item["bytes"])
    message = decode_spqr_message(data)
    assert message[:3] == (item["epoch"], item["index"], item["type"])
    if item["chunk_index"] is not None:
        assert message.chunk_index == item["chunk_index"]
    assert encode_spqr_message(message) == data
    assert spqr_version(data) == 1


@given(messages())
def test_a_message_survives_its_encoding(message: SpqrMessage) -> None:
    assert decode_spqr_message(encode_spqr_message(message)) == message


@given(messages(), st.binary(max_size=5))
def test_what_follows_is_ignored(message: SpqrMessage, rest: bytes) -> None:
    assert decode_spqr_message(encode_spqr_message(message) + rest) == message


@given(messages())
def test_a_message_that_is_cut_off_is_refused(message: SpqrMessage) -> None:
    data = encode_spqr_message(message)
    for length in range(1, len(data)):
        with pytest.raises(DecodeError):
            decode_spqr_message(data[:length])


@given(st.binary(min_size=1, max_size=80))
def test_any_bytes_give_a_message_or_our_error(data: bytes) -> None:
    try:
        message = decode_spqr_message(data)
    except DecodeError:
        return
    assert message.epoch >= 1
    assert len(message.chunk) == (0 if message.kind in WITHOUT_CHUNK else 32)


def _padded(number: int, length: int) -> bytes:
    """The number in that many bytes."""
    parts = [number >> (7 * i) & 0x7F for i in range(length)]
    return bytes([*(part | 0x80 for part in parts[:-1]), parts[-1]])


def test_numbers_may_be_longer_than_needed_up_to_10_bytes() -> None:
    for length in range(1, 11):
        number = _padded(1, length)
        data = b"\x01" + number + number + b"\x01" + number + CHUNK
        assert decode_spqr_message(data) == SpqrMessage(1, 1, SpqrKind.HDR, 1, CHUNK)
    for data in (
        b"\x01" + _padded(1, 11) + b"\x01\x00",
        b"\x01\x01" + _padded(1, 11) + b"\x00",
        b"\x01\x01\x01\x01" + _padded(1, 11) + CHUNK,
    ):
        with pytest.raises(DecodeError, match="does not end"):
            decode_spqr_message(data)


@pytest.mark.parametrize(
    ("epoch", "key_index", "kind", "chunk_index"),
    [
        (0, 1, 0, 0),
        (2**64, 1, 0, 0),
        (1, 2**32, 0, 0),
        (1, 1, 7, 0),
        (1, 1, 255, 0),
        (1, 1, 1, 65_536),
    ],
)
def test_a_number_out_of_range_is_refused(
    epoch: int, key_index: int, kind: int, chunk_index: int
) -> None:
    data = b"\x01" + _padded(epoch, 10) + _padded(key_index, 5)
    data += bytes((kind,)) + _padded(chunk_index, 3) + CHUNK
    with pytest.raises(DecodeError):
        decode_spqr_message(data)


def test_the_highest_numbers_are_accepted() -> None:
    message = SpqrMessage(2**64 - 1, 2**32 - 1, SpqrKind.CT2, 65_535, CHUNK)
    data = b"\x01" + _padded(2**64 - 1, 10) + _padded(2**32 - 1, 5) + b"\x06\xff\xff\x03" + CHUNK
    assert decode_spqr_message(data) == message
    assert encode_spqr_message(message) == data


@pytest.mark.parametrize(("data", "version"), [(b"", 0), (b"\0\1", 0), (b"\1", 1), (b"\xff", 255)])
def test_the_version_is_the_first_byte(data: bytes, version: int) -> None:
    assert spqr_version(data) == version
