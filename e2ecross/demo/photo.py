# SPDX-License-Identifier: Apache-2.0
"""A photo for the demo: a cup of coffee from above, drawn and packed as PNG by hand.

With the grain that a camera has, so that it does not pack well: some hundred kilobytes, several
chunks of an attachment.
"""

import os
import struct
import zlib
from math import isqrt
from typing import Final

__all__ = ["draw_photo"]

_WIDTH: Final = 640
_HEIGHT: Final = 480
_TABLE: Final = b"\x8a\x5c\x34"
_DISCS: Final = ((225, b"\xb8\xb4\xac"), (150, b"\xf0\xee\xe8"), (130, b"\x4a\x2a\x16"))
"""Saucer, cup and coffee around the middle: radius in pixels, colour; the outer ones first."""
_GRAIN: Final = 0x0F
"""Bits of a colour that are noise; no colour is so bright that they would not fit in above it."""


def draw_photo() -> bytes:
    """Return a PNG file of 640 by 480 pixels, about 700 KiB, another one each time."""
    rows = b"".join(b"\0" + _add_grain(_draw_row(y - _HEIGHT // 2)) for y in range(_HEIGHT))
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)  # 8 bits each of R, G, B
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _draw_row(y: int) -> bytes:
    """The pixels so far below the middle: each disc covers what is in it of those before it."""
    row = bytearray(_TABLE * _WIDTH)
    for radius, colour in _DISCS:
        if abs(y) < radius:
            half = isqrt(radius * radius - y * y)
            start = 3 * (_WIDTH // 2 - half)
            row[start : start + 6 * half] = colour * (2 * half)
    return bytes(row)


def _add_grain(row: bytes) -> bytes:
    mask = int.from_bytes(bytes([_GRAIN]) * len(row))
    grain = int.from_bytes(os.urandom(len(row))) & mask
    return (int.from_bytes(row) + grain).to_bytes(len(row))


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
