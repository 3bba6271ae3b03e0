# SPDX-License-Identifier: Apache-2.0
"""The photo of the demo: a PNG that any viewer opens, of several chunks."""

import struct
import zlib
from itertools import pairwise

from e2ecross.demo.photo import draw_photo
from e2ecross.wire.attachment import choose_chunk_log2, padded_size


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG file, each with the right checksum."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(body),)
        found[body[:4]] = body[4:]
        at += 12 + length
    return found


def test_it_is_a_png_of_the_size_that_it_says() -> None:
    chunks = _chunks(draw_photo())
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (8, 2, [0, 0, 0])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (1 + 3 * width)
    assert {rows[at] for at in range(0, len(rows), 1 + 3 * width)} == {0}  # no filter
    assert width > height > 300


def test_it_shows_a_cup_on_a_table() -> None:
    chunks = _chunks(draw_photo())
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows, line = zlib.decompress(chunks[b"IDAT"]), 1 + 3 * width

    def brightness(x: int, y: int) -> int:
        return sum(rows[y * line + 1 + 3 * x :][:3])

    middle = [brightness(x, height // 2) for x in range(width // 2)]
    steps = [x for x, (one, next_) in enumerate(pairwise(middle)) if abs(one - next_) > 60]
    assert len(steps) == 3  # saucer, cup, coffee
    assert brightness(0, 0) > middle[-1]  # the table, the coffee


def test_it_has_several_chunks_of_an_attachment_and_is_another_each_time() -> None:
    photo = draw_photo()
    assert 512 * 1024 < len(photo) < 1024 * 1024  # more than is fetched at once
    assert padded_size(len(photo)) >> choose_chunk_log2(len(photo)) >= 6
    assert draw_photo() != photo
