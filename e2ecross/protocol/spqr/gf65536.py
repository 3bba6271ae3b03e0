# SPDX-License-Identifier: Apache-2.0
"""The field of 65536 elements over which chunks are combined.

Elements are polynomials over the bits, modulo x^16 + x^12 + x^3 + x + 1; x generates all but 0.
A chunk is a *row* of 16 elements in one integer of 256 bits, so that one operation works on all.
Everything here is public; nothing is constant-time.

Source: docs/wire-format.md, erasure code.
"""

from collections.abc import Iterable, Sequence
from functools import cache, reduce
from operator import getitem, xor
from struct import pack
from typing import Final, NamedTuple

__all__ = ["ORDER", "Multiples", "combine", "logarithms", "multiples"]

ORDER: Final = 65_535
"""How many elements are not 0; x to this power is 1."""

_POLYNOMIAL: Final = 0x1100B
_ROW_OF_1: Final = sum(1 << (16 * i) for i in range(16))
_TOP_1: Final = _ROW_OF_1 << 15
_TOP_4: Final = _ROW_OF_1 * 0xF000
_LOW_NIBBLE: Final = bytes(i & 15 for i in range(256))
_HIGH_NIBBLE: Final = bytes(i >> 4 for i in range(256))

Multiples = Sequence[int]
"""A row times each of the 16 elements of degree below 4."""


class _Logarithms(NamedTuple):
    """Tables to the base x.

    Attributes:
        log: of every element; 0 has none, and 0 stands in its place.
        power: x to the exponents from -65535 to 131069, the negative ones as Python counts them.
    """

    log: Sequence[int]
    power: Sequence[int]


@cache
def logarithms() -> _Logarithms:
    """The tables, made when they are first needed (10 ms)."""
    log = [0] * (ORDER + 1)
    power = []
    element = 1
    for exponent in range(ORDER):
        power.append(element)
        log[element] = exponent
        element <<= 1
        if element > ORDER:
            element ^= _POLYNOMIAL
    return _Logarithms(log, power * 2)


def multiples(row: int) -> Multiples:
    """What `combine` needs of a row."""
    found = [0, row]
    for i in range(1, 8):
        double = found[i]
        top = double & _TOP_1
        double = (double ^ top) << 1 ^ (top >> 15) * (_POLYNOMIAL & 0xFFFF)
        found += (double, double ^ row)
    return found


def combine(rows: Sequence[Multiples], weights: Sequence[int]) -> int:
    """Return the sum of each row times its weight."""
    packed = pack(f"<{len(weights)}H", *weights)
    low, high = packed[::2], packed[1::2]
    total = _pick(rows, high.translate(_HIGH_NIBBLE))
    for nibbles in (
        high.translate(_LOW_NIBBLE),
        low.translate(_HIGH_NIBBLE),
        low.translate(_LOW_NIBBLE),
    ):
        # Times x^4; what goes over the top comes back as the polynomial's lower terms.
        top = total & _TOP_4
        over = top >> 12
        total = (total ^ top) << 4 ^ top ^ over << 3 ^ over << 1 ^ over
        total ^= _pick(rows, nibbles)
    return total


def _pick(rows: Sequence[Multiples], nibbles: Iterable[int]) -> int:
    return reduce(xor, map(getitem, rows, nibbles))
