# SPDX-License-Identifier: Apache-2.0
"""The erasure code: from any N different chunks of 32 bytes the N chunks of data are rebuilt.

Rules:
- Chunks 0 to N-1 are the data itself; those after it are combinations. There are 65536.
- Received chunks are immutable sets; a larger one shares all but one bucket with the smaller. A
  bucket holds up to 8 chunks, in the order in which they came, and is what the store keeps in one
  row; whether it must be written again is told by identity (`is`).
- Everything here is public.

How it computes: position i of the chunks 0, 1, 2, ... are the values of a polynomial of degree
below N at these points of the field. So every chunk is a sum of N others, with the weights of
Lagrange's interpolation; their products are sums of logarithms.

Source: docs/wire-format.md, erasure code.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from e2ecross.protocol.spqr.gf65536 import ORDER, Multiples, combine, logarithms, multiples

__all__ = [
    "BUCKET_SIZE",
    "CHUNK_BYTES",
    "CHUNK_COUNT",
    "NO_CHUNKS",
    "ReceivedChunks",
    "encode_chunk",
    "rebuild",
]

CHUNK_BYTES: Final = 32
CHUNK_COUNT: Final = 65_536
"""How many different chunks there are of any data."""
BUCKET_SIZE: Final = 8
"""How many received chunks stand in one bucket, the last one may have less."""

# Of a conversation in each direction the tables (some 30 KB) are worth keeping from one message
# to the next; they are made of public data, and made again (40 microseconds) if they are gone.
_KEPT_ENCODERS: Final = 8

_Bucket = Mapping[int, bytes]


class ReceivedChunks:
    """An immutable set of chunks by index.

    Attributes:
        buckets: in the order of arrival; neither they nor the mappings may be changed.
    """

    __slots__ = ("_count", "buckets")

    def __init__(self, buckets: tuple[_Bucket, ...]) -> None:
        """Take over buckets, of which all but the last are full."""
        self.buckets = buckets
        self._count = sum(map(len, buckets))

    def __len__(self) -> int:
        return self._count

    def with_chunk(self, index: int, chunk: bytes) -> "ReceivedChunks":
        """Return the set with one more chunk (32 bytes); itself if it has the index already."""
        if any(index in bucket for bucket in self.buckets):
            return self
        if self._count % BUCKET_SIZE == 0:
            return ReceivedChunks((*self.buckets, {index: chunk}))
        return ReceivedChunks((*self.buckets[:-1], {**self.buckets[-1], index: chunk}))


NO_CHUNKS: Final = ReceivedChunks(())


def encode_chunk(data: bytes, index: int) -> bytes:
    """Return a chunk (32 bytes) of data, a multiple of 32 bytes, by its index, 0 to 65535."""
    if CHUNK_BYTES * index < len(data):
        return data[CHUNK_BYTES * index : CHUNK_BYTES * (index + 1)]
    return _chunk_at(_encoder(data), index)


def rebuild(received: ReceivedChunks) -> bytes:
    """Return the data that as many chunks as were received are enough for.

    The caller has waited for N chunks of data of 32·N bytes.
    """
    chunks = {index: chunk for bucket in received.buckets for index, chunk in bucket.items()}
    count = len(chunks)
    if all(index < count for index in chunks):
        return b"".join(chunks[index] for index in range(count))
    interpolation = _interpolate(chunks)
    return b"".join(
        chunks[index] if index in chunks else _chunk_at(interpolation, index)
        for index in range(count)
    )


class _Interpolation(NamedTuple):
    """N points of the polynomials, ready for the value at any other point.

    Attributes:
        points: their places, all different.
        rows: the values there.
        logs: of the product of differences to the other points, negated.
    """

    points: Sequence[int]
    rows: Sequence[Multiples]
    logs: Sequence[int]


def _interpolate(chunks: Mapping[int, bytes]) -> _Interpolation:
    log = logarithms().log
    points = list(chunks)
    return _Interpolation(
        points,
        [multiples(int.from_bytes(chunk, "big")) for chunk in chunks.values()],
        # log[0] is 0, so that the point itself does not count.
        [-sum([log[point ^ other] for other in points]) % ORDER for point in points],
    )


@lru_cache(_KEPT_ENCODERS)
def _encoder(data: bytes) -> _Interpolation:
    count = len(data) // CHUNK_BYTES
    return _interpolate({i: data[CHUNK_BYTES * i : CHUNK_BYTES * (i + 1)] for i in range(count)})


def _chunk_at(interpolation: _Interpolation, index: int) -> bytes:
    """Return the chunk at a place that is none of the points."""
    log, power = logarithms()
    distances = [log[index ^ point] for point in interpolation.points]
    product = sum(distances) % ORDER
    weights = [
        power[product + inverse - distance]
        for inverse, distance in zip(interpolation.logs, distances, strict=True)
    ]
    return combine(interpolation.rows, weights).to_bytes(CHUNK_BYTES, "big")
