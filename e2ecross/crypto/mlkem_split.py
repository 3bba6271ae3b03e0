# SPDX-License-Identifier: Apache-2.0
"""Encapsulation to an ML-KEM-768 key in two steps, because the key arrives in two parts.

The first part of the ciphertext (u) needs only the header of the key, rho and the hash of the
whole; the second part (v) needs the vector t. No library offers that, so it is written out here.
Both parts together are a ciphertext of standard ML-KEM-768: whoever has the key decapsulates it
with a stock library.

Rules:
- The secrets are `m` and what follows from it: for one encapsulation each. Generation and
  decapsulation, with their long-lived secrets, stay with `cryptography` (`kem.py`).
- No branch and no index depends on a secret, and no secret is divided. That is all that Python
  allows: its integers are not constant-time (SECURITY.md).
- The vector must have been checked against the header (`kem.verify_split_vector`).

How it computes: in the lanes of large integers (`lanes.py`). The transform (NTT) of ML-KEM is
linear, and takes the even and the odd coefficients apart through the same 128 x 128 matrix; so it
is the sum of coefficient times row.

Source: FIPS 203 sections 4.2.2 (sampling), 4.3 (NTT), 5.2 and 6.2 (encapsulation).
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from operator import mul
from struct import Struct
from typing import Final, NamedTuple

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

__all__ = [
    "FIRST_CIPHERTEXT_BYTES",
    "MESSAGE_BYTES",
    "SECOND_CIPHERTEXT_BYTES",
    "encapsulate_first",
    "encapsulate_second",
]

MESSAGE_BYTES: Final = 32
FIRST_CIPHERTEXT_BYTES: Final = 960
SECOND_CIPHERTEXT_BYTES: Final = 128

_RANK: Final = 3
_ROOT: Final = 17  # of order 256, modulo 3329
_INVERSE_OF_128: Final = 3303  # of 128, modulo 3329
_DECODED_BYTES: Final = 384
_NOISE_BYTES: Final = 128
# 448 candidates for 256 entries. That fewer of them are below the modulus has a probability below
# 2^-100, so that no loop draws more.
_SAMPLE_BYTES: Final = 672
_SAMPLES: Final = Struct("<448H")


def encapsulate_first(header: bytes, m: bytes) -> tuple[bytes, bytes]:
    """The first step, as soon as the header is there.

    Args:
        header: rho, 32 bytes, and the hash of the key, 32 bytes.
        m: 32 fresh random bytes, secret, kept for the second step.

    Returns:
        The shared secret, 32 bytes, secret, and the first part of the ciphertext, 960 bytes.

    Source: FIPS 203, algorithms 17 (ML-KEM.Encaps_internal) and 14 (K-PKE.Encrypt, lines 4-19).
    """
    rho = header[:32]
    secret, r = _derive(header, m)
    y = _noise_vector(r)
    u = []
    for i in range(_RANK):
        row = [_sample_matrix(rho + bytes((i, j))) for j in range(_RANK)]
        _, u_i = divide(_inverse_product(row, y) + _noise(r, _RANK + i) + _MINUS_2)
        u.append(compress(u_i, 10))
    return secret, b"".join(u)


def encapsulate_second(header: bytes, m: bytes, vector: bytes) -> bytes:
    """The second step, when the vector has arrived as well.

    Args:
        header: as in the first step, 64 bytes.
        m: as in the first step, 32 bytes, secret; forget it afterwards.
        vector: t, 1152 bytes, checked against the header.

    Returns:
        The second part of the ciphertext, 128 bytes.

    Source: FIPS 203, algorithm 14 (K-PKE.Encrypt, lines 2-3 and 20-23).
    """
    _, r = _derive(header, m)
    t = [
        coefficients(decode(vector[i : i + _DECODED_BYTES]))
        for i in range(0, len(vector), _DECODED_BYTES)
    ]
    product = _inverse_product(t, _noise_vector(r))
    bits = f"{int.from_bytes(m, 'little'):0256b}"[::-1].encode()
    message = (spread(bits[::2], bits[1::2]) & _ONES) * ((MODULUS + 1) // 2)
    _, v = divide(product + _noise(r, 2 * _RANK) + _MINUS_2 + message)
    return compress(v, 4)


def _derive(header: bytes, m: bytes) -> tuple[bytes, bytes]:
    """Return the shared secret and the seed of all noise (r), 32 bytes each."""
    digest = hashlib.sha3_512(m + header[32:]).digest()
    return digest[:32], digest[32:]


def _sample_matrix(seed: bytes) -> Sequence[int]:
    """An entry of the matrix, transformed, of rho and its two indices: public.

    Source: FIPS 203, algorithm 7 (SampleNTT).
    """
    stream = hashlib.shake_128(seed).digest(_SAMPLE_BYTES)
    pairs = bytearray(_SAMPLES.size)
    for i in range(3):
        pairs[i::4] = stream[i::3]
    both = int.from_bytes(pairs, "little")
    spaced = (both & _FIRST_OF_PAIR) | (both & _FIRST_OF_PAIR << 12) << 4
    candidates = _SAMPLES.unpack(spaced.to_bytes(_SAMPLES.size, "little"))
    below = [value for value in candidates if value < MODULUS]
    return below[: 2 * HALF : 2] + below[1 : 2 * HALF : 2]


def _noise_bytes(r: bytes, number: int) -> tuple[bytes, bytes]:
    """Even and odd coefficients of small noise, each plus 2: 0 to 4.

    Source: FIPS 203, algorithm 8 (SamplePolyCBD), eta = 2.
    """
    bits = int.from_bytes(hashlib.shake_256(r + bytes((number,))).digest(_NOISE_BYTES), "little")
    sums = (bits & _BITS_01) + (bits >> 1 & _BITS_01)
    noise = (sums & _BITS_0011) + _TWOS - (sums >> 2 & _BITS_0011)
    return (
        (noise & _LOW_NIBBLES).to_bytes(_NOISE_BYTES, "little"),
        (noise >> 4 & _LOW_NIBBLES).to_bytes(_NOISE_BYTES, "little"),
    )


def _noise(r: bytes, number: int) -> int:
    return spread(*_noise_bytes(r, number))


class _Transformed(NamedTuple):
    """A vector of three transformed polynomials, laid out as the right side of products.

    Attributes:
        even: for the even coefficients of the product: of each polynomial first the even
            coefficients, then the odd ones times gamma.
        odd: for the odd coefficients: of each first the odd coefficients, then the even ones.
    """

    even: Sequence[int]
    odd: Sequence[int]


def _noise_vector(r: bytes) -> _Transformed:
    """The vector y, transformed.

    Source: FIPS 203, algorithm 9 (NTT).
    """
    even: list[int] = []
    odd: list[int] = []
    tables = _tables()
    for number in range(_RANK):
        noise_even, noise_odd = _noise_bytes(r, number)
        lanes = _times_rows(noise_even, noise_odd, tables.forward)
        y = coefficients(divide(lanes + tables.minus_2)[1])
        # The even half times gamma is not used, but lanes come in halves.
        by_gamma = coefficients(divide(from_coefficients([*map(mul, y, tables.gammas)]))[1])
        even += y[:HALF] + by_gamma[HALF:]
        odd += y[HALF:] + y[:HALF]
    return _Transformed(even, odd)


def _inverse_product(left: Sequence[Sequence[int]], right: _Transformed) -> int:
    """The sum of three products, transformed back; coefficients below 2^31 - 2^14.

    Source: FIPS 203, algorithms 11 (MultiplyNTTs) and 10 (inverse NTT).
    """
    flat = [value for polynomial in left for value in polynomial]
    lanes = _sum_of_halves(map(mul, flat, right.even))
    lanes |= _sum_of_halves(map(mul, flat, right.odd)) << HALF_BITS
    product = coefficients(divide(lanes)[1])
    return _times_rows(product[:HALF], product[HALF:], _tables().backward)


def _sum_of_halves(products: Iterable[int]) -> int:
    """Add up six halves of polynomials."""
    packed = _SIX_HALVES.pack(*products)
    size = HALF_BITS // 8
    return sum(int.from_bytes(packed[i : i + size], "little") for i in range(0, 6 * size, size))


def _times_rows(even: Iterable[int], odd: Iterable[int], rows: Sequence[int]) -> int:
    """Multiply both halves of a polynomial by a matrix."""
    even_half: int = sum(map(mul, even, rows))
    odd_half: int = sum(map(mul, odd, rows))
    return even_half | odd_half << HALF_BITS


class _Tables(NamedTuple):
    """The transforms as matrices.

    Attributes:
        forward: rows of the NTT.
        backward: rows of its inverse.
        minus_2: the polynomial whose coefficients are all -2, transformed.
        gammas: 1 for the even half of a polynomial, gamma for the odd one.
    """

    forward: Sequence[int]
    backward: Sequence[int]
    minus_2: int
    gammas: Sequence[int]


@cache
def _tables() -> _Tables:
    """The tables, made when they are first needed (4 ms)."""
    exponents = [2 * int(f"{i:07b}"[::-1], 2) + 1 for i in range(HALF)]
    forward = _matrix([[e * j for e in exponents] for j in range(HALF)], 1)
    backward = _matrix([[-e * j for j in range(HALF)] for e in exponents], _INVERSE_OF_128)
    minus_2 = [MODULUS - 2] * HALF
    return _Tables(
        forward,
        backward,
        divide(_times_rows(minus_2, minus_2, forward))[1],
        [1] * HALF + [pow(_ROOT, exponent, MODULUS) for exponent in exponents],
    )


def _matrix(exponents: Sequence[Sequence[int]], factor: int) -> Sequence[int]:
    """Rows of a matrix whose entries are powers of the root times the factor, in lanes."""
    powers = [factor * pow(_ROOT, exponent, MODULUS) % MODULUS for exponent in range(256)]
    return [
        int.from_bytes(_HALF_FORM.pack(*[powers[exponent % 256] for exponent in row]), "little")
        for row in exponents
    ]


_HALF_FORM: Final = Struct(f"<{HALF}I")
_SIX_HALVES: Final = Struct(f"<{6 * HALF}I")

_ONES: Final = constant(1)
_MINUS_2: Final = constant(MODULUS - 2)
_FIRST_OF_PAIR: Final = sum(0xFFF << (32 * i) for i in range(_SAMPLES.size // 4))
_BITS_01: Final = int.from_bytes(b"\x55" * _NOISE_BYTES)
_BITS_0011: Final = int.from_bytes(b"\x33" * _NOISE_BYTES)
_TWOS: Final = int.from_bytes(b"\x22" * _NOISE_BYTES)
_LOW_NIBBLES: Final = int.from_bytes(b"\x0f" * _NOISE_BYTES)
