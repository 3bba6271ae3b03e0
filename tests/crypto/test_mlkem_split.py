# SPDX-License-Identifier: Apache-2.0
import hashlib
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from e2ecross.crypto.kem import decapsulate_split, split_public_key
from e2ecross.crypto.mlkem_split import (
    FIRST_CIPHERTEXT_BYTES,
    SECOND_CIPHERTEXT_BYTES,
    encapsulate_first,
    encapsulate_second,
)
from tests.support import mlkem
from tests.support.entropy import SeededEntropy
from tests.support.vectors import component, unhex

VECTOR = {name: unhex(value) for name, value in component("mlkem768_split").items()}
DEEP = os.environ.get("E2ECROSS_HYPOTHESIS_PROFILE") == "deep"
KEYS = 5_000 if DEEP else 300

messages = st.binary(min_size=32, max_size=32)


def test_the_recorded_encapsulation() -> None:
    secret, first = encapsulate_first(VECTOR["header"], VECTOR["m"])
    assert (secret, first) == (VECTOR["ss"], VECTOR["ct1"])
    assert encapsulate_second(VECTOR["header"], VECTOR["m"], VECTOR["ek"]) == VECTOR["ct2"]


@pytest.mark.parametrize("seed", range(0, KEYS, 50))
def test_a_stock_library_decapsulates_it(seed: int) -> None:
    entropy = SeededEntropy(seed)
    for _ in range(50):
        key_seed, m = entropy.bytes(64), entropy.bytes(32)
        header, vector = split_public_key(key_seed)
        secret, first = encapsulate_first(header, m)
        second = encapsulate_second(header, m, vector)
        assert len(first) == FIRST_CIPHERTEXT_BYTES
        assert len(second) == SECOND_CIPHERTEXT_BYTES
        assert decapsulate_split(key_seed, first + second) == secret


@given(st.binary(min_size=64, max_size=64), messages)
@example(bytes(64), bytes(32))
@example(b"\xff" * 64, b"\xff" * 32)
def test_it_is_byte_for_byte_the_textbooks(seed: bytes, m: bytes) -> None:
    # Decapsulation alone forgives small errors in the noise; this does not.
    header, vector = split_public_key(seed)
    secret, ciphertext = mlkem.encapsulate(vector + header[:32], m)
    assert encapsulate_first(header, m) == (secret, ciphertext[:960])
    assert encapsulate_second(header, m, vector) == ciphertext[960:]


@given(messages, st.sampled_from([0, 1, 1664, 1665, 3328]), st.sampled_from([b"", b"\x00", b"z"]))
def test_it_is_the_textbooks_for_extreme_vectors(m: bytes, value: int, name: bytes) -> None:
    vector = sum(value << (12 * i) for i in range(768)).to_bytes(1152, "little")
    rho = hashlib.sha256(name).digest()
    secret, ciphertext = mlkem.encapsulate(vector + rho, m)
    header = rho + hashlib.sha3_256(vector + rho).digest()
    assert encapsulate_first(header, m) == (secret, ciphertext[:960])
    assert encapsulate_second(header, m, vector) == ciphertext[960:]
