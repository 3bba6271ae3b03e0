# SPDX-License-Identifier: Apache-2.0
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.keys import (
    FIELD_PRIME,
    PrivateKey,
    PublicKey,
    agree,
    agreement_key_from_private,
    decode_public_key,
    generate_key_pair,
    key_pair_from_private,
)
from e2ecross.errors import InvalidArgument, InvalidKey
from tests.support.entropy import ReplayedEntropy
from tests.support.points import BAD_KEYS, GOOD_KEY, LOW_ORDER_POINTS
from tests.support.vectors import key_pair, section, unhex

BOB = key_pair("bob_identity")


@pytest.mark.parametrize("name", [*section("keys")])
def test_private_key_is_clamped_and_gives_its_public_key(name: str) -> None:
    item = section("keys")[name]
    pair = key_pair_from_private(unhex(item["raw"]))
    assert pair.private == unhex(item["clamped"])
    assert pair.public == unhex(item["public"])
    assert key_pair_from_private(pair.private).public == pair.public
    assert agreement_key_from_private(unhex(item["raw"])).private == pair.private


@pytest.mark.parametrize("item", section("agreement"), ids=lambda item: item["private"])
def test_agreement_of_the_vectors(item: Mapping[str, Any]) -> None:
    mine, theirs = key_pair(item["private"]), key_pair(item["public"])
    assert agree(mine.private, theirs.public) == unhex(item["secret"])
    assert agree(theirs.private, mine.public) == unhex(item["secret"])


@pytest.mark.parametrize("public", section("agreement_must_reject_publics"))
def test_public_key_that_peers_must_reject_is_refused(public: str) -> None:
    with pytest.raises(InvalidKey):
        decode_public_key(unhex(public))


# RFC 7748 section 5.2, as far as its u is one that a key may have.
RFC_7748_FUNCTION = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
]


@pytest.mark.parametrize(("scalar", "u", "result"), RFC_7748_FUNCTION)
def test_rfc_7748_function(scalar: str, u: str, result: str) -> None:
    mine = key_pair_from_private(unhex(scalar))
    assert agree(mine.private, decode_public_key(b"\x05" + unhex(u))) == unhex(result)


def test_rfc_7748_second_function_vector_has_a_u_that_no_key_may_have() -> None:
    u = unhex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")
    with pytest.raises(InvalidKey, match="canonical"):
        decode_public_key(b"\x05" + u)
    # With bit 255 masked, as the RFC demands of the function, it gives the RFC's result.
    scalar = unhex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d")
    masked = decode_public_key(b"\x05" + u[:31] + bytes((u[31] & 0x7F,)))
    expected = unhex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")
    assert agree(key_pair_from_private(scalar).private, masked) == expected


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (1, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
        (1000, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"),
    ],
)
def test_rfc_7748_iterated_function(times: int, expected: str) -> None:
    k = u = (9).to_bytes(32, "little")
    for _ in range(times):
        # Not every u in between is a canonical one, so the key type is put on unchecked.
        private = key_pair_from_private(k).private
        k, u = agree(private, PublicKey(b"\x05" + u)), k
    assert k == unhex(expected)


def test_rfc_7748_diffie_hellman() -> None:
    alice = key_pair_from_private(
        unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    )
    bob = key_pair_from_private(
        unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    )
    shared = unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert alice.public.hex() == (
        "058520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    )
    assert bob.public.hex() == (
        "05de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    )
    assert agree(alice.private, bob.public) == agree(bob.private, alice.public) == shared


@pytest.mark.parametrize("name", [*BAD_KEYS])
def test_bad_public_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidKey):
        decode_public_key(BAD_KEYS[name])


def test_refused_key_is_told_by_its_length_or_type() -> None:
    for length in (0, 1, 32, 34):
        with pytest.raises(InvalidKey, match=f"has 33 bytes, not {length}$"):
            decode_public_key((GOOD_KEY + b"\0")[:length])
    for key_type in (0x00, 0x04, 0x06, 0xFF):
        with pytest.raises(InvalidKey, match=f"type {key_type:#04x} "):
            decode_public_key(bytes((key_type,)) + GOOD_KEY[1:])


@pytest.mark.parametrize("name", ["0", "1", "order 8, first", "order 8, second", "p-1"])
def test_low_order_point_in_canonical_form_is_refused_as_such(name: str) -> None:
    with pytest.raises(InvalidKey, match="low order"):
        decode_public_key(LOW_ORDER_POINTS[name])


# Those of 255 bits; in the others X25519 clears bit 255, which makes them other points.
@pytest.mark.parametrize(
    "name", [name for name, key in LOW_ORDER_POINTS.items() if not key[32] & 0x80]
)
def test_agreement_that_is_all_zero_is_refused_even_with_an_unchecked_key(name: str) -> None:
    with pytest.raises(InvalidKey, match="low order") as caught:
        agree(BOB.private, PublicKey(LOW_ORDER_POINTS[name]))
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("u", [2, 9, FIELD_PRIME - 2])
def test_smallest_and_largest_canonical_keys_are_accepted(u: int) -> None:
    data = b"\x05" + u.to_bytes(32, "little")
    assert decode_public_key(data) == data


def test_good_key_is_returned_as_it_is() -> None:
    assert decode_public_key(GOOD_KEY) == GOOD_KEY


@pytest.mark.parametrize("length", [0, 31, 33])
def test_private_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidArgument, match="32 bytes"):
        key_pair_from_private(bytes(length))
    with pytest.raises(InvalidArgument, match="32 bytes"):
        agreement_key_from_private(bytes(length))


def test_generation_draws_32_bytes_and_clamps_them() -> None:
    entropy = ReplayedEntropy([b"\xff" * 32])
    pair = generate_key_pair(entropy)
    assert entropy.left == 0
    assert pair.private == b"\xf8" + b"\xff" * 30 + b"\x7f"


@given(st.binary(min_size=32, max_size=32))
def test_any_private_key_is_stored_clamped(raw: bytes) -> None:
    private = key_pair_from_private(raw).private
    assert private[0] & 0x07 == 0
    assert private[31] & 0xC0 == 0x40
    assert private[0] == raw[0] & 0xF8
    assert private[1:31] == raw[1:31]
    assert private[31] & 0x3F == raw[31] & 0x3F


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_both_ends_agree(left: bytes, right: bytes) -> None:
    a, b = key_pair_from_private(left), key_pair_from_private(right)
    assert agree(a.private, b.public) == agree(b.private, a.public)
    assert decode_public_key(a.public) == a.public


@given(st.binary(max_size=40))
def test_any_bytes_are_a_canonical_key_or_refused(data: bytes) -> None:
    try:
        key = decode_public_key(data)
    except InvalidKey:
        return
    assert key == data
    assert len(data) == 33
    assert int.from_bytes(data[1:], "little") < FIELD_PRIME


def test_key_pair_hides_its_private_key() -> None:
    assert repr(BOB) == str(BOB) == "<KeyPair: secret>"
    alone = agreement_key_from_private(BOB.private)
    assert repr(alone) == "<AgreementKey: secret>"
    for secret in (BOB, alone):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret)
    assert alone != agreement_key_from_private(BOB.private)
    assert key_pair("bob_identity") != BOB


def test_key_pair_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        BOB.private = PrivateKey(bytes(32))  # type: ignore[misc]
