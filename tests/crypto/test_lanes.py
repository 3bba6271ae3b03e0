# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.lanes import (
    HALF,
    HALF_BITS,
    MODULUS,
    coefficients,
    compress,
    constant,
    decode,
    divide,
    from_coefficients,
    spread,
)

ALL = range(MODULUS)


def _blocks(values: range) -> list[list[int]]:
    """All values in polynomials of 256 coefficients, the last one filled up."""
    listed = list(values)
    listed += [0] * (-len(listed) % (2 * HALF))
    return [listed[i : i + 2 * HALF] for i in range(0, len(listed), 2 * HALF)]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=256, max_size=256))
def test_coefficients_stand_in_lanes(values: list[int]) -> None:
    lanes = from_coefficients(values)
    assert coefficients(lanes) == tuple(values)
    assert lanes & (2**32 - 1) == values[0]
    assert lanes >> HALF_BITS & (2**32 - 1) == values[HALF]


def test_a_constant_has_one_value_everywhere() -> None:
    assert coefficients(constant(7)) == (7,) * 256


def test_bytes_are_spread() -> None:
    lanes = spread(bytes(range(128)), bytes(range(128, 256)))
    assert coefficients(lanes) == tuple(range(256))


@given(st.lists(st.integers(0, 2**31 - 1), min_size=256, max_size=256))
def test_division_by_the_modulus(values: list[int]) -> None:
    quotients, remainders = divide(from_coefficients(values))
    assert coefficients(quotients) == tuple(value // MODULUS for value in values)
    assert coefficients(remainders) == tuple(value % MODULUS for value in values)


@pytest.mark.parametrize("start", [0, 2**20, 2**21, 2**22, 128 * 3328**2, 2**31])
def test_division_around_multiples_of_the_modulus(start: int) -> None:
    first = start // MODULUS - 40
    values = [
        min(max(multiple * MODULUS + offset, 0), 2**31 - 1)
        for multiple in range(first, first + 52)
        for offset in (-2, -1, 0, 1, MODULUS // 2)
    ][:256]
    quotients, remainders = divide(from_coefficients(values))
    assert coefficients(quotients) == tuple(value // MODULUS for value in values)
    assert coefficients(remainders) == tuple(value % MODULUS for value in values)


@pytest.mark.parametrize("bits", [4, 10])
def test_compression_of_every_value(bits: int) -> None:
    for values in _blocks(ALL):
        packed = int.from_bytes(compress(from_coefficients(values), bits), "little")
        # The order of packing is that of the polynomial: even and odd in turn.
        in_turn = [
            value for pair in zip(values[:HALF], values[HALF:], strict=True) for value in pair
        ]
        for i, value in enumerate(in_turn):
            rounded = floor(Fraction(2**bits * value, MODULUS) + Fraction(1, 2)) % 2**bits
            assert packed >> (bits * i) & (2**bits - 1) == rounded


def test_compressed_polynomials_have_their_length() -> None:
    assert len(compress(constant(3328), 4)) == 128
    assert len(compress(constant(3328), 10)) == 320


@given(st.lists(st.integers(0, 4095), min_size=256, max_size=256))
def test_decoding(in_turn: list[int]) -> None:
    packed = sum(value << (12 * i) for i, value in enumerate(in_turn)).to_bytes(384, "little")
    assert coefficients(decode(packed)) == (*in_turn[::2], *in_turn[1::2])
