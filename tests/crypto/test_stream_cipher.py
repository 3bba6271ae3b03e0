# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.stream_cipher import StreamCipher, stream_buffer
from tests.support.blobs import apply_stream

KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
LONG = apply_stream(KEY, 0, bytes(4096))


def test_it_is_aes_256_ctr() -> None:
    """NIST SP 800-38A, F.5.5: the counter begins at f0f1...ff there."""
    counter = int.from_bytes(bytes(range(0xF0, 0x100)))
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    assert apply_stream(KEY, 16 * counter, plain).hex() == sealed


@given(st.integers(0, 200), st.lists(st.integers(0, 300), max_size=5))
def test_it_begins_at_any_block_and_goes_on(block: int, lengths: list[int]) -> None:
    cipher = StreamCipher(KEY, 16 * block)
    at = 16 * block
    for length in lengths:
        if at + length <= len(LONG):
            buffer = stream_buffer(length)
            cipher.apply(bytes(length), memoryview(buffer))
            assert buffer[:length] == LONG[at : at + length]
            at += length


@given(st.binary(max_size=200))
def test_both_directions_are_one(plain: bytes) -> None:
    assert apply_stream(KEY, 32, apply_stream(KEY, 32, plain)) == plain


def test_what_is_behind_in_the_buffer_stays() -> None:
    buffer = bytearray(b"\x07" * 100)
    StreamCipher(KEY, 0).apply(bytes(20), memoryview(buffer)[10:])
    assert buffer[10:30] == LONG[:20]
    assert {*buffer[:10], *buffer[30:]} == {7}


def test_the_highest_counter_of_a_file_is_its_own() -> None:
    last = 2**36 - 16
    assert apply_stream(KEY, last, bytes(16)) != LONG[:16]
    assert apply_stream(KEY, last - 16, bytes(32))[16:] == apply_stream(KEY, last, bytes(16))


def test_it_shows_nothing() -> None:
    cipher = StreamCipher(KEY, 0)
    assert repr(cipher) == "<StreamCipher: secret>"
    with pytest.raises(TypeError):
        copy.copy(cipher)
