# SPDX-License-Identifier: Apache-2.0
"""Public keys that nobody honest sends."""

from collections.abc import Mapping
from typing import Final

from e2ecross.crypto.keys import key_pair_from_private

__all__ = [
    "BAD_KEYS",
    "GOOD_KEY",
    "LOW_ORDER_POINTS",
    "LOW_ORDER_TWINS",
    "NON_CANONICAL_POINTS",
    "OTHER_KEY",
]

_P: Final = 2**255 - 19
# The two points of order 8; computed apart from the library's hexadecimal list.
_ORDER_8: Final = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
GOOD_KEY: Final = bytes(key_pair_from_private(bytes(range(32))).public)
OTHER_KEY: Final = bytes(key_pair_from_private(bytes(range(1, 33))).public)
"""As good, and another one."""


def _wire(u: int) -> bytes:
    return b"\x05" + u.to_bytes(32, "little")


LOW_ORDER_POINTS: Final[Mapping[str, bytes]] = {
    "0": _wire(0),
    "1": _wire(1),
    "order 8, first": _wire(_ORDER_8[0]),
    "order 8, second": _wire(_ORDER_8[1]),
    "p-1": _wire(_P - 1),
    "p": _wire(_P),
    "p+1": _wire(_P + 1),
    "p + order 8, first": _wire(_P + _ORDER_8[0]),
    "p + order 8, second": _wire(_P + _ORDER_8[1]),
    "2p-1": _wire(2 * _P - 1),
    "2p": _wire(2 * _P),
    "2p+1": _wire(2 * _P + 1),
}
"""The twelve values of 256 bits that are, modulo p, the u of a point of low order."""

LOW_ORDER_TWINS: Final[Mapping[str, bytes]] = {
    name: key[:32] + bytes((key[32] | 0x80,))
    for name, key in LOW_ORDER_POINTS.items()
    if key[32] < 0x80
}
"""The same points for whoever ignores the top bit, as RFC 7748 has it; seven of the twelve."""

NON_CANONICAL_POINTS: Final[Mapping[str, bytes]] = {
    "p+2": _wire(_P + 2),
    "2^255-1": _wire(2**255 - 1),
    "bit 255 set": GOOD_KEY[:32] + bytes((GOOD_KEY[32] | 0x80,)),
    "2^256-1": _wire(2**256 - 1),
}
"""Second spellings of points that are fine otherwise."""

BAD_KEYS: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "type byte only": GOOD_KEY[:1],
    "32 bytes": GOOD_KEY[:32],
    "32 bytes without type": GOOD_KEY[1:],
    "34 bytes": GOOD_KEY + b"\0",
    "type 4": b"\x04" + GOOD_KEY[1:],
    "type 6": b"\x06" + GOOD_KEY[1:],
    **{f"low order {name}": key for name, key in LOW_ORDER_POINTS.items()},
    **{f"low order {name}, top bit set": key for name, key in LOW_ORDER_TWINS.items()},
    **NON_CANONICAL_POINTS,
}
"""Everything that must be refused wherever a public key stands."""
