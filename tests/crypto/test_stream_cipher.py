# SPDX-License-Identifier: Apache-2.0
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.stream_cipher import StreamCipher, stream_buffer

KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
LONG = StreamCipher(KEY, 0).apply(bytes(4096))


def test_it_is_aes_256_ctr() -> None:
    """NIST SP 800-38A, F.5.5: the counter begins at f0f1...ff there."""
    counter = int.from_bytes(bytes(range(0xF0, 0x100)))
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    assert StreamCipher(KEY, 16 * counter).apply(plain).hex() == sealed


@given(st.integers(0, 200), st.lists(st.integers(0, 300), max_size=5))
def test_it_begins_at_any_block_and_goes_on(block: int, lengths: list[int]) -> None:
    cipher = StreamCipher(KEY, 16 * block)
    at = 16 * block
    for length in lengths:
        if at + length <= len(LONG):
            assert cipher.apply(bytes(length)) == LONG[at : at + length]
            at += length


@given(st.binary(max_size=200))
def test_both_directions_are_one_and_a_buffer_gets_the_same(plain: bytes) -> None:
    sealed = StreamCipher(KEY, 32).apply(plain)
    assert StreamCipher(KEY, 32).apply(sealed) == plain
    buffer = stream_buffer(len(plain))
    StreamCipher(KEY, 32).apply_into(plain, memoryview(buffer))
    assert buffer[: len(plain)] == sealed


def test_the_highest_counter_of_a_file_is_its_own() -> None:
    last = 2**36 - 16
    assert StreamCipher(KEY, last).apply(bytes(16)) != StreamCipher(KEY, 0).apply(bytes(16))
    begun = StreamCipher(KEY, last - 16)
    begun.apply(bytes(16))
    assert begun.apply(bytes(16)) == StreamCipher(KEY, last).apply(bytes(16))


def test_it_shows_nothing() -> None:
    cipher = StreamCipher(KEY, 0)
    assert repr(cipher) == "<StreamCipher: secret>"
    with pytest.raises(TypeError):
        copy.copy(cipher)
