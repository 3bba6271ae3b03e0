# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import DecodeError, RemoteError
from e2ecross.wire.fingerprint import decode_fingerprints, encode_fingerprints
from tests.support.protobuf import Field, message

LOCAL, REMOTE = b"l" * 32, b"r" * 32


def _scannable(local: bytes, remote: bytes) -> list[Field]:
    return [(1, 2), (2, message([(1, local)])), (3, message([(1, remote)]))]


def test_encoding_is_the_documented_one_of_74_bytes() -> None:
    data = encode_fingerprints(2, LOCAL, REMOTE)
    assert data == b"\x08\x02\x12\x22\x0a\x20" + LOCAL + b"\x1a\x22\x0a\x20" + REMOTE
    assert len(data) == 74
    assert decode_fingerprints(data) == (2, LOCAL, REMOTE)


def test_absent_version_counts_as_0() -> None:
    data = message(_scannable(LOCAL, REMOTE)[1:])
    assert decode_fingerprints(data) == (0, LOCAL, REMOTE)


def test_unknown_fields_and_other_orders_are_read() -> None:
    data = message([(9, b"x"), *_scannable(LOCAL, REMOTE)[::-1]])
    assert decode_fingerprints(data) == (2, LOCAL, REMOTE)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("length", [None, 0, 31, 33, 64])
def test_missing_fingerprint_or_one_of_another_length_is_refused(
    number: int, length: int | None
) -> None:
    items = _scannable(LOCAL, REMOTE)
    items[number - 1] = (number, b"" if length is None else message([(1, bytes(length))]))
    with pytest.raises(DecodeError, match="lacks a fingerprint"):
        decode_fingerprints(message(items))
    del items[number - 1]
    with pytest.raises(DecodeError, match="lacks a fingerprint"):
        decode_fingerprints(message(items))


def test_size_is_checked_before_anything_is_parsed() -> None:
    largest = message([*_scannable(LOCAL, REMOTE), (9, bytes(256 - 74 - 3))])
    assert len(largest) == 256
    assert decode_fingerprints(largest) == (2, LOCAL, REMOTE)
    with pytest.raises(DecodeError, match="256"):
        decode_fingerprints(largest + b"\0")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_fingerprints_or_a_remote_error(data: bytes) -> None:
    try:
        scanned = decode_fingerprints(data)
    except RemoteError:
        return
    assert len(scanned.local) == len(scanned.remote) == 32
