# SPDX-License-Identifier: Apache-2.0
"""Polynomials of ML-KEM in the lanes of one large integer.

A polynomial is an integer of 256 lanes of 32 bits, lowest first: the 128 even coefficients, then
the 128 odd ones. Adding two such integers adds all coefficients, multiplying by a small number
multiplies all of them, as long as no lane overflows. So Python does arithmetic fastest, and with
no branch, index or division that depends on a coefficient.

Source: FIPS 203 sections 2.4 (representation) and 4.2.1 (encoding, compression).
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

__all__ = [
    "HALF",
    "HALF_BITS",
    "MODULUS",
    "coefficients",
    "compress",
    "constant",
    "decode",
    "divide",
    "from_coefficients",
    "spread",
]

MODULUS: Final = 3329
HALF: Final = 128
"""How many even coefficients there are, and how many odd ones."""
HALF_BITS: Final = 32 * HALF
"""How far the lanes of the odd coefficients are above those of the even ones."""

_HALF_BYTES: Final = HALF_BITS // 8
_FORM: Final = Struct(f"<{2 * HALF}I")


def from_coefficients(values: Sequence[int]) -> int:
    """The polynomial of 256 coefficients below 2^32: the even ones, then the odd ones."""
    return int.from_bytes(_FORM.pack(*values), "little")


def coefficients(lanes: int) -> tuple[int, ...]:
    """The 256 coefficients: the even ones, then the odd ones."""
    return _FORM.unpack(lanes.to_bytes(_FORM.size, "little"))


def constant(value: int) -> int:
    """The polynomial whose coefficients all have one value, below 2^32."""
    return from_coefficients([value] * (2 * HALF))


def spread(even: bytes, odd: bytes) -> int:
    """The polynomial whose even and odd coefficients are given as bytes, 128 each."""
    lanes = bytearray(_FORM.size)
    lanes[:_HALF_BYTES:4] = even
    lanes[_HALF_BYTES::4] = odd
    return int.from_bytes(lanes, "little")


_ONES: Final = constant(1)
_LOW_20: Final = constant(2**20 - 1)
_LOW_11: Final = constant(2**11 - 1)
_TO_BIT_13: Final = constant(2**13 - MODULUS)
_RECIPROCAL: Final = 2**22 // MODULUS


def divide(lanes: int) -> tuple[int, int]:
    """Divide every coefficient (below 2^31) by the modulus: quotients and remainders.

    Two estimates by the reciprocal, both too small, leave less than 474 times and then less than
    twice the modulus; bit 13 of what is left plus 2^13 - q says whether one more fits.
    """
    quotient = (lanes >> 11 & _LOW_20) * _RECIPROCAL >> 11 & _LOW_20
    lanes -= quotient * MODULUS
    more = (lanes >> 10 & _LOW_11) * _RECIPROCAL >> 12 & _LOW_11
    lanes -= more * MODULUS
    last = lanes + _TO_BIT_13 >> 13 & _ONES
    return quotient + more + last, lanes - last * MODULUS


_HALF_MODULUS: Final = constant(MODULUS // 2)
_EVEN_HALF: Final = (1 << HALF_BITS) - 1
_LOW_12: Final = constant(2**12 - 1) & _EVEN_HALF
_LOWER_QUAD: Final = sum((2**20 - 1) << (64 * i) for i in range(HALF // 2))


def compress(lanes: int, bits: int) -> bytes:
    """Compress coefficients below the modulus to 4 or 10 bits, and pack them (128 or 320 bytes).

    Source: FIPS 203, section 4.2.1 (Compress, ByteEncode).
    """
    rounded, _ = divide((lanes << bits) + _HALF_MODULUS)
    rounded &= _ONES * ((1 << bits) - 1)
    # A lane for each pair of neighbours.
    pairs = (rounded & _EVEN_HALF) | (rounded >> HALF_BITS << bits)
    if bits == 4:
        return pairs.to_bytes(_HALF_BYTES, "little")[::4]
    quads = (pairs & _LOWER_QUAD) | (pairs >> 12 & _LOWER_QUAD << 20)
    lanes_of_quads = quads.to_bytes(_HALF_BYTES, "little")
    packed = bytearray(320)
    for i in range(5):
        packed[i::5] = lanes_of_quads[i::8]
    return bytes(packed)


def decode(packed: bytes) -> int:
    """Unpack coefficients of 12 bits (384 bytes).

    Source: FIPS 203, section 4.2.1 (ByteDecode).
    """
    pairs = bytearray(_HALF_BYTES)
    for i in range(3):
        pairs[i::4] = packed[i::3]
    lanes = int.from_bytes(pairs, "little")
    return (lanes & _LOW_12) | (lanes >> 12 & _LOW_12) << HALF_BITS
