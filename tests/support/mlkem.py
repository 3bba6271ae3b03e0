# SPDX-License-Identifier: Apache-2.0
"""ML-KEM encapsulation with a given message: FIPS 203, algorithm by algorithm, slow and plain.

The library's encapsulation draws its own randomness. Tests need one that can be repeated, and one
to hold `crypto/mlkem_split.py` against that was not written by the same way.
"""

import functools
import hashlib
from collections.abc import Sequence
from typing import Final

__all__ = ["encapsulate"]

_Q: Final = 3329
_Poly = list[int]
# k to (d_u, d_v), FIPS 203 section 8; eta_1 = eta_2 = 2 for both.
_COMPRESSION: Final = {3: (10, 4), 4: (11, 5)}


def _bit_reversed(i: int) -> int:
    return int(f"{i:07b}"[::-1], 2)


_ZETAS: Final = [pow(17, _bit_reversed(i), _Q) for i in range(128)]
_GAMMAS: Final = [pow(17, 2 * _bit_reversed(i) + 1, _Q) for i in range(128)]


@functools.lru_cache(4_096)
def encapsulate(key: bytes, m: bytes) -> tuple[bytes, bytes]:
    """Encapsulate the message `m` (32 bytes) to an ML-KEM-768 or ML-KEM-1024 key: K and c.

    Source: FIPS 203, algorithm 17 (ML-KEM.Encaps_internal).
    """
    digest = hashlib.sha3_512(m + hashlib.sha3_256(key).digest()).digest()
    return digest[:32], _encrypt(key, m, digest[32:])


def _encrypt(key: bytes, m: bytes, r: bytes) -> bytes:
    """Source: FIPS 203, algorithm 14 (K-PKE.Encrypt)."""
    k = len(key) // 384
    d_u, d_v = _COMPRESSION[k]
    t_hat = [_unpack(key[384 * i : 384 * (i + 1)], 12) for i in range(k)]
    a_hat = _sample_matrix(key[384 * k :], k)
    y_hat = [_ntt(_sample_cbd(r, n)) for n in range(k)]
    e1 = [_sample_cbd(r, k + n) for n in range(k)]
    e2 = _sample_cbd(r, 2 * k)
    u = [_add(_inverse_ntt(_dot([a_hat[j][i] for j in range(k)], y_hat)), e1[i]) for i in range(k)]
    mu = [((m[i // 8] >> (i % 8)) & 1) * 1665 for i in range(256)]
    v = _add(_add(_inverse_ntt(_dot(t_hat, y_hat)), e2), mu)
    return b"".join(_pack(_compress(p, d_u), d_u) for p in u) + _pack(_compress(v, d_v), d_v)


def _compress(poly: _Poly, d: int) -> _Poly:
    return [((2 * (x << d) + _Q) // (2 * _Q)) % (1 << d) for x in poly]


def _pack(values: _Poly, bits: int) -> bytes:
    number = sum(value << (bits * i) for i, value in enumerate(values))
    return number.to_bytes(32 * bits, "little")


def _unpack(data: bytes, bits: int) -> _Poly:
    number = int.from_bytes(data, "little")
    return [(number >> (bits * i)) & ((1 << bits) - 1) for i in range(256)]


@functools.lru_cache(64)
def _sample_matrix(rho: bytes, k: int) -> list[list[_Poly]]:
    return [[_sample_ntt(rho + bytes((j, i))) for j in range(k)] for i in range(k)]


def _sample_ntt(seed: bytes) -> _Poly:
    """Source: FIPS 203, algorithm 7."""
    stream = hashlib.shake_128(seed).digest(3 * 504)
    values: _Poly = []
    for i in range(0, len(stream), 3):
        d1 = stream[i] + 256 * (stream[i + 1] % 16)
        d2 = stream[i + 1] // 16 + 16 * stream[i + 2]
        values += [d for d in (d1, d2) if d < _Q]
    return values[:256]


def _sample_cbd(r: bytes, n: int) -> _Poly:
    """Source: FIPS 203, algorithm 8, eta = 2."""
    number = int.from_bytes(hashlib.shake_256(r + bytes((n,))).digest(128), "little")
    bits = [(number >> i) & 1 for i in range(1024)]
    return [
        (bits[4 * i] + bits[4 * i + 1] - bits[4 * i + 2] - bits[4 * i + 3]) % _Q for i in range(256)
    ]


def _ntt(poly: _Poly) -> _Poly:
    """Source: FIPS 203, algorithm 9."""
    f = list(poly)
    i, length = 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta = _ZETAS[i]
            i += 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % _Q
                f[j + length] = (f[j] - t) % _Q
                f[j] = (f[j] + t) % _Q
        length //= 2
    return f


def _inverse_ntt(poly: _Poly) -> _Poly:
    """Source: FIPS 203, algorithm 10."""
    f = list(poly)
    i, length = 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta = _ZETAS[i]
            i -= 1
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % _Q
                f[j + length] = zeta * (f[j + length] - t) % _Q
        length *= 2
    return [x * 3303 % _Q for x in f]


def _multiply(a: _Poly, b: _Poly) -> _Poly:
    """Source: FIPS 203, algorithms 11 and 12."""
    c = []
    for i, gamma in enumerate(_GAMMAS):
        a0, a1, b0, b1 = a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]
        c += [(a0 * b0 + a1 * b1 * gamma) % _Q, (a0 * b1 + a1 * b0) % _Q]
    return c


def _add(a: _Poly, b: _Poly) -> _Poly:
    return [(x + y) % _Q for x, y in zip(a, b, strict=True)]


def _dot(left: Sequence[_Poly], right: Sequence[_Poly]) -> _Poly:
    total = [0] * 256
    for a, b in zip(left, right, strict=True):
        total = _add(total, _multiply(a, b))
    return total
