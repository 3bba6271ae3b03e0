# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.keys import key_pair_from_private
from e2ecross.crypto.xeddsa import (
    SIGNATURE_BYTES,
    make_signing_key,
    sign,
    verify_signature,
)
from e2ecross.errors import InvalidSignature
from tests.support.entropy import ReplayedEntropy, SeededEntropy
from tests.support.vectors import key_pair, public_key, section, unhex

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
ALICE = key_pair("alice_identity")
BOB = key_pair("bob_identity")
MESSAGE = b"signed"
SIGNATURE = sign(ALICE, MESSAGE, SeededEntropy("xeddsa"))


@pytest.mark.parametrize("index", range(len(section("xeddsa"))))
def test_our_signatures_with_recorded_randomness(index: int) -> None:
    item = section("xeddsa")[index]
    pair = key_pair_from_private(unhex(item["private"]))
    entropy = ReplayedEntropy([unhex(item["random"])])
    signature = sign(pair, unhex(item["message"]), entropy)
    assert signature.hex() == item["signature"]
    assert signature[63] >> 7 == item["sign_bit"]
    assert entropy.left == 0
    verify_signature(public_key(item["public"]), unhex(item["message"]), signature)
    again = ReplayedEntropy([unhex(item["random"])])
    assert sign(make_signing_key(pair), unhex(item["message"]), again) == signature


def test_vectors_have_both_sign_bits() -> None:
    assert {item["sign_bit"] for item in section("xeddsa")} == {0, 1}


@pytest.mark.parametrize("item", section("xeddsa_from_peers"), ids=lambda item: item["peer"])
def test_signatures_of_peers_verify(item: Mapping[str, Any]) -> None:
    verify_signature(public_key(item["public"]), unhex(item["message"]), unhex(item["signature"]))


@pytest.mark.parametrize("item", section("xeddsa_must_reject"), ids=lambda item: item["why"])
def test_signatures_that_must_be_refused(item: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidSignature):
        verify_signature(
            public_key(item["public"]), unhex(item["message"]), unhex(item["signature"])
        )


@given(
    private=st.binary(min_size=32, max_size=32),
    message=st.binary(max_size=100),
    random=st.binary(min_size=64, max_size=64),
)
def test_what_is_signed_verifies(private: bytes, message: bytes, random: bytes) -> None:
    pair = key_pair_from_private(private)
    signature = sign(pair, message, ReplayedEntropy([random]))
    assert len(signature) == SIGNATURE_BYTES
    assert int.from_bytes(signature[32:], "little") & ~(1 << 255) < GROUP_ORDER
    verify_signature(pair.public, message, signature)
    with pytest.raises(InvalidSignature):
        verify_signature(pair.public, message + b"\0", signature)


def test_signatures_are_randomised() -> None:
    entropy = SeededEntropy(0)
    first, second = sign(ALICE, MESSAGE, entropy), sign(ALICE, MESSAGE, entropy)
    assert first[:32] != second[:32]
    assert first[32:] != second[32:]


@pytest.mark.parametrize("bit", range(8 * SIGNATURE_BYTES))
def test_any_flipped_bit_is_refused(bit: int) -> None:
    damaged = bytearray(SIGNATURE)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        verify_signature(ALICE.public, MESSAGE, bytes(damaged))


def test_signature_of_another_key_or_message_is_refused() -> None:
    with pytest.raises(InvalidSignature):
        verify_signature(BOB.public, MESSAGE, SIGNATURE)
    with pytest.raises(InvalidSignature):
        verify_signature(ALICE.public, b"", SIGNATURE)


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidSignature, match="64 bytes"):
        verify_signature(ALICE.public, MESSAGE, (SIGNATURE * 2)[:length])


def _with_s(s: int) -> bytes:
    return SIGNATURE[:32] + (s | SIGNATURE[63] >> 7 << 255).to_bytes(32, "little")


@pytest.mark.parametrize("times", range(1, 8))
def test_s_plus_a_multiple_of_the_group_order_is_refused(times: int) -> None:
    s = int.from_bytes(SIGNATURE[32:], "little") & ~(1 << 255)
    verify_signature(ALICE.public, MESSAGE, _with_s(s))
    with pytest.raises(InvalidSignature, match="canonical"):
        verify_signature(ALICE.public, MESSAGE, _with_s(s + times * GROUP_ORDER))


@pytest.mark.parametrize("bits", [1 << 253, 1 << 254, 3 << 253])
def test_s_with_bits_253_or_254_is_refused(bits: int) -> None:
    s = int.from_bytes(SIGNATURE[32:], "little") & ~(1 << 255)
    with pytest.raises(InvalidSignature, match="canonical"):
        verify_signature(ALICE.public, MESSAGE, _with_s(s | bits))


@pytest.mark.parametrize("s", [GROUP_ORDER, GROUP_ORDER + 1])
def test_s_from_the_group_order_on_is_not_canonical(s: int) -> None:
    with pytest.raises(InvalidSignature, match="canonical"):
        verify_signature(ALICE.public, MESSAGE, _with_s(s))
    with pytest.raises(InvalidSignature, match="does not verify"):
        verify_signature(ALICE.public, MESSAGE, _with_s(GROUP_ORDER - 1))


def test_r_that_is_no_point_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="does not verify"):
        verify_signature(ALICE.public, MESSAGE, b"\xff" * 32 + SIGNATURE[32:])


@given(st.binary(min_size=64, max_size=64))
def test_arbitrary_signatures_are_refused_and_nothing_else(signature: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_signature(ALICE.public, MESSAGE, signature)
