# SPDX-License-Identifier: Apache-2.0
import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.kem import (
    KEM_CIPHERTEXT_BYTES,
    KEM_PUBLIC_KEY_BYTES,
    decapsulate,
    decapsulate_split,
    decode_kem_ciphertext,
    decode_kem_public_key,
    encapsulate,
    generate_kem_key_pair,
    kem_key_pair_from_seed,
    split_public_key,
    verify_split_vector,
)
from e2ecross.errors import InvalidArgument, InvalidKey
from tests.support import mlkem
from tests.support.entropy import ReplayedEntropy, SeededEntropy
from tests.support.vectors import component, unhex

KYBER = {name: unhex(value) for name, value in component("kyber1024").items()}
SPLIT = {name: unhex(value) for name, value in component("mlkem768_split").items()}
SEED = bytes(range(64))

seeds = st.binary(min_size=64, max_size=64)


def test_the_recorded_key_pair_decapsulates_the_recorded_ciphertext() -> None:
    pair = kem_key_pair_from_seed(KYBER["mlkem_seed"])
    assert pair.public == KYBER["public_key"]
    assert pair.seed == KYBER["mlkem_seed"]
    assert decapsulate(pair, KYBER["ciphertext"]) == KYBER["kyber_shared"]


def test_the_recorded_encapsulation() -> None:
    entropy = ReplayedEntropy([(KYBER["mlkem_shared"], KYBER["ciphertext"][1:])])
    public = decode_kem_public_key(KYBER["public_key"])
    assert encapsulate(public, entropy) == (KYBER["kyber_shared"], KYBER["ciphertext"])
    assert entropy.left == 0


def test_a_drawn_key_pair_is_that_of_its_64_bytes() -> None:
    drawn = generate_kem_key_pair(SeededEntropy("kem"))
    assert drawn.seed == SeededEntropy("kem").bytes(64)
    assert drawn.public == kem_key_pair_from_seed(drawn.seed).public


@pytest.mark.parametrize("entropy", [SYSTEM_ENTROPY, SeededEntropy("encapsulate")])
def test_both_ends_have_the_same_secret(entropy: EntropySource) -> None:
    pair = generate_kem_key_pair(entropy)
    secret, ciphertext = encapsulate(pair.public, entropy)
    assert len(pair.public) == KEM_PUBLIC_KEY_BYTES
    assert len(ciphertext) == KEM_CIPHERTEXT_BYTES
    assert len(secret) == 32
    assert decapsulate(pair, ciphertext) == secret
    assert encapsulate(pair.public, entropy)[0] != secret


def test_a_forged_ciphertext_gives_another_secret() -> None:
    pair = kem_key_pair_from_seed(KYBER["mlkem_seed"])
    forged = KYBER["ciphertext"][:-1] + bytes((KYBER["ciphertext"][-1] ^ 1,))
    assert decapsulate(pair, forged) not in {KYBER["kyber_shared"], KYBER["mlkem_shared"]}
    assert decapsulate(pair, forged) == decapsulate(pair, forged)


def _bad_forms(good: bytes) -> list[bytes]:
    return [b"", good[:1], good[1:], good[:-1], good + b"\0"] + [
        bytes((kind,)) + good[1:] for kind in (0x05, 0x07, 0x0A, 0x00, 0x88)
    ]


@pytest.mark.parametrize("bad", _bad_forms(KYBER["public_key"]))
def test_a_public_key_of_another_form_is_refused(bad: bytes) -> None:
    with pytest.raises(InvalidKey):
        decode_kem_public_key(bad)


@pytest.mark.parametrize("bad", _bad_forms(KYBER["ciphertext"]))
def test_a_ciphertext_of_another_form_is_refused(bad: bytes) -> None:
    with pytest.raises(InvalidKey):
        decode_kem_ciphertext(bad)
    with pytest.raises(InvalidKey):
        decapsulate(kem_key_pair_from_seed(SEED), bad)


def _with_coefficient(vector: bytes, index: int, value: int) -> bytes:
    """The packed vector with one of its 12-bit fields replaced."""
    number = int.from_bytes(vector, "little")
    mask = 0xFFF << (12 * index)
    return (number & ~mask | value << (12 * index)).to_bytes(len(vector), "little")


@pytest.mark.parametrize("index", [0, 255, 1023])
def test_a_public_key_that_is_not_reduced_is_refused(index: int) -> None:
    good = KYBER["public_key"]
    for value, accepted in ((3328, True), (3329, False), (4095, False)):
        key = good[:1] + _with_coefficient(good[1:], index, value)
        if accepted:
            assert decode_kem_public_key(key) == key
        else:
            with pytest.raises(InvalidKey, match="canonical"):
                decode_kem_public_key(key)


def test_a_seed_of_another_length_is_refused() -> None:
    for bad in (b"", SEED[:63], SEED + b"\0"):
        with pytest.raises(InvalidArgument, match="64"):
            kem_key_pair_from_seed(bad)
        with pytest.raises(InvalidArgument, match="64"):
            split_public_key(bad)
        with pytest.raises(InvalidArgument, match="64"):
            decapsulate_split(bad, bytes(1088))


def test_a_key_pair_shows_no_secret() -> None:
    pair = kem_key_pair_from_seed(SEED)
    assert repr(pair) == "<KemKeyPair: secret>"
    with pytest.raises(TypeError):
        pickle.dumps(pair)


# --- The parts of ML-KEM-768 ------------------------------------------------------------------


def test_the_recorded_parts() -> None:
    assert split_public_key(SPLIT["seed"]) == (SPLIT["header"], SPLIT["ek"])
    assert decapsulate_split(SPLIT["seed"], SPLIT["ct1"] + SPLIT["ct2"]) == SPLIT["ss"]
    verify_split_vector(SPLIT["header"], SPLIT["ek"])


@given(seeds, st.binary(min_size=32, max_size=32))
def test_a_textbook_encapsulation_decapsulates(seed: bytes, m: bytes) -> None:
    header, vector = split_public_key(seed)
    secret, ciphertext = mlkem.encapsulate(vector + header[:32], m)
    assert decapsulate_split(seed, ciphertext) == secret
    verify_split_vector(header, vector)


@pytest.mark.parametrize("length", [0, 960, 1087, 1089])
def test_a_ciphertext_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidArgument, match="1088"):
        decapsulate_split(SEED, bytes(length))


def test_a_vector_of_another_header_is_refused() -> None:
    header, vector = split_public_key(SEED)
    other_header, other_vector = split_public_key(bytes(64))
    for bad_header, bad_vector in (
        (header, other_vector),
        (other_header, vector),
        (header[:32] + other_header[32:], vector),
        (other_header[:32] + header[32:], vector),
        (header, bytes((vector[0] ^ 1,)) + vector[1:]),
    ):
        with pytest.raises(InvalidKey, match="together"):
            verify_split_vector(bad_header, bad_vector)


def test_a_part_of_another_length_is_refused() -> None:
    header, vector = split_public_key(SEED)
    for bad_header, bad_vector in (
        (header, vector[:-1]),
        (header, vector + b"\0"),
        (header, b""),
        (header[:-1], vector),
        (header + b"\0", vector),
        (header[:31] + b"", vector + header[31:32]),
    ):
        with pytest.raises(InvalidKey, match="length"):
            verify_split_vector(bad_header, bad_vector)


@pytest.mark.parametrize(("index", "value"), [(0, 3329), (767, 4095)])
def test_a_vector_that_is_not_reduced_is_refused(index: int, value: int) -> None:
    header, vector = split_public_key(SEED)
    vector = _with_coefficient(vector, index, value)
    header = header[:32] + hashlib.sha3_256(vector + header[:32]).digest()
    with pytest.raises(InvalidKey, match="canonical"):
        verify_split_vector(header, vector)
