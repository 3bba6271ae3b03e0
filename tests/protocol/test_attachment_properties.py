# SPDX-License-Identifier: Apache-2.0
"""Whatever is done to a blob: what comes out is a prefix, or a range, of the right file."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import AttachmentCorrupted
from e2ecross.protocol.attachment_reader import verified_prefix
from e2ecross.wire.attachment import padded_size
from tests.support.blobs import CHUNK, HELPER, Store, make_blob, make_file

SIZE = 9 * CHUNK + 777  # two spans, and padding
FILE = make_file(SIZE)
ATTACHMENT, BLOB = make_blob(FILE)
_, OTHER = make_blob(make_file(SIZE, "another"))  # of the same key
PADDED = padded_size(SIZE)
TABLE = BLOB[PADDED:]
HELPERS = st.sampled_from([None, HELPER])
PLACES = st.integers(0, len(BLOB) - 1) | st.integers(0, 9).map(lambda number: number * CHUNK)


@st.composite
def _changed_blobs(draw: st.DrawFn) -> bytes:
    """A blob that was cut, lengthened, flipped, swapped in itself, repeated or spliced."""
    at, to = draw(PLACES), draw(PLACES)
    length = draw(st.sampled_from([1, 32, CHUNK]) | st.integers(1, CHUNK))
    piece = BLOB[at : at + length]
    return draw(
        st.sampled_from(
            [
                BLOB[:at],
                BLOB[at:],
                BLOB[:at] + BLOB[at + length :],
                BLOB[:at] + piece + BLOB[at:],
                BLOB[:at] + bytes([BLOB[at] ^ (1 << length % 8)]) + BLOB[at + 1 :],
                BLOB[:to] + piece + BLOB[to + len(piece) :],
                BLOB[:at] + OTHER[at : at + length] + BLOB[at + length :],
                OTHER[:at] + BLOB[at:],
                BLOB[:at] + OTHER[at:],
                BLOB + BLOB,
            ]
        )
    )


def _right_chunks(blob: bytes) -> int:
    """How many chunks, from the first on, lie in it as they should."""
    for number in range(ATTACHMENT.chunk_count):
        begin, end = number * CHUNK, min((number + 1) * CHUNK, PADDED)
        if blob[begin:end] != BLOB[begin:end]:
            return number
    return ATTACHMENT.chunk_count


@given(_changed_blobs(), HELPERS)
def test_a_changed_blob_is_refused_at_the_right_chunk(
    blob: bytes, helper: ThreadPoolExecutor | None
) -> None:
    right = _right_chunks(blob) if blob[PADDED : PADDED + len(TABLE)] == TABLE else 0
    out = bytearray()
    is_refused = False
    try:
        for piece in Store(blob, []).reader(ATTACHMENT, helper).chunks():
            out += piece
    except AttachmentCorrupted:
        is_refused = True
    assert is_refused == (right < ATTACHMENT.chunk_count)
    assert out == FILE[: right * CHUNK]


@given(_changed_blobs(), st.integers(0, SIZE - 1), st.integers(1, 2 * CHUNK), HELPERS)
def test_a_range_of_a_changed_blob_is_right_or_refused(
    blob: bytes, offset: int, length: int, helper: ThreadPoolExecutor | None
) -> None:
    try:
        read = Store(blob, []).reader(ATTACHMENT, helper).read(offset, length)
    except AttachmentCorrupted:
        assert blob[: len(BLOB)] != BLOB
    else:
        assert read == FILE[offset : offset + length]


@given(
    st.integers(0, SIZE) | st.sampled_from([0, 1, CHUNK, SIZE]),
    st.lists(st.tuples(st.integers(0, SIZE + 9), st.integers(0, SIZE)), max_size=6),
    HELPERS,
)
def test_any_sequence_of_ranges_equals_the_file(
    size: int, ranges: list[tuple[int, int]], helper: ThreadPoolExecutor | None
) -> None:
    file = FILE[:size]
    attachment, blob = make_blob(file)
    reader = Store(blob, []).reader(attachment, helper)
    for offset, length in ranges:
        assert reader.read(offset, length) == file[offset : offset + length]


@given(st.integers(0, 2**20))
def test_another_size_is_refused_at_the_table(size: int) -> None:
    reader = Store(BLOB, []).reader(replace(ATTACHMENT, size=size))
    if size == SIZE:
        assert reader.table() == TABLE
        return
    with pytest.raises(AttachmentCorrupted):
        next(reader.chunks())


@given(st.integers(0, SIZE), st.none() | st.integers(0, SIZE - 1), st.binary(max_size=20))
def test_any_part_is_right_up_to_what_was_changed(
    held: int, changed: int | None, more: bytes
) -> None:
    part = bytearray(FILE[:held] + more)
    if changed is not None and changed < len(part):
        part[changed] ^= 1
    reader = Store(BLOB, []).reader(ATTACHMENT)
    verified = verified_prefix(reader, BytesIO(bytes(part)))
    assert FILE[:verified] == part[:verified]
    assert verified == SIZE or verified % CHUNK == 0
    following = part[verified : verified + CHUNK]
    assert verified == SIZE or following != FILE[verified : verified + CHUNK]
    assert FILE[:verified] + b"".join(reader.chunks(verified)) == FILE
