# SPDX-License-Identifier: Apache-2.0
"""A store of files that does not do as it should: lies, loses answers, is slow, or breaks down.

`LyingBlobs` is put around a store that works. What a client calls is recorded in any case.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.client.blob_store import BlobStore
from e2ecross.errors import BackendError, BlobGone

__all__ = ["READ_LIES", "STORED_LIES", "BlobCall", "LyingBlobs", "ReadLie", "StoredLie", "fails_at"]


class BlobCall(NamedTuple):
    """A call that was made.

    Attributes:
        method: its name.
        blob_id: of which blob.
        offset: where; 0 for calls that have no place.
        length: how many bytes are put or read, or the size that is begun; 0 to delete.
    """

    method: str
    blob_id: bytes
    offset: int
    length: int


Read = Callable[[int, int], bytes]
"""What the honest store answers for an offset and a length; empty where it has nothing."""
ReadLie = Callable[[Read, int, int], bytes]
"""What is answered in its place for an offset and a length, 1 at least."""
StoredLie = Callable[[int, int], int]
"""What is answered for what is there and the size (of a put: where it would end)."""


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]


READ_LIES: Final[Mapping[str, ReadLie]] = {
    "nothing": lambda read, offset, length: b"",
    "a byte too little": lambda read, offset, length: read(offset, length)[:-1],
    "half": lambda read, offset, length: read(offset, length)[: length // 2],
    "a byte too much": lambda read, offset, length: read(offset, length) + b"\0",
    "far too much": lambda read, offset, length: read(offset, length) + bytes(8 * 1024 * 1024),
    "twice": lambda read, offset, length: read(offset, length) * 2,
    "zeros": lambda read, offset, length: bytes(length),
    "the first bit flipped": lambda read, offset, length: _flipped(read(offset, length), 0),
    "the last bit flipped": lambda read, offset, length: _flipped(read(offset, length), length - 1),
    "what comes before": lambda read, offset, length: (
        read(offset - 1, length) if offset else b"\0" + read(0, length)[:-1]
    ),
    "what comes after": lambda read, offset, length: (
        read(offset + 1, length) or read(offset, length)[1:] + b"\0"
    ),
    "always the beginning": lambda read, offset, length: (
        read(0, length) if offset else _flipped(read(0, length), 0)
    ),
}
"""Answers to `get_blob` that are all wrong, for content without repetitions and runs of zeros."""

STORED_LIES: Final[Mapping[str, StoredLie]] = {
    "nothing is there": lambda stored, size: 0,
    "less is there": lambda stored, size: max(stored - 1, 0),
    "more is there": lambda stored, size: min(stored + 1, size),
    "all is there": lambda stored, size: size,
    "more than all is there": lambda stored, size: size + 1,
    "less than nothing is there": lambda stored, size: -1,
    "no number": lambda stored, size: None,  # type: ignore[dict-item,return-value]
}
"""Answers to `begin_blob` and `put_blob`, some of which may be right now and then."""


class LyingBlobs:
    """A `BlobStore` around another one.

    Args:
        inner: the one that works.
        reads: what is answered to `get_blob`; None: the truth.
        stored: what is answered to `begin_blob` and `put_blob`; None: the truth.
        swaps: ids of blobs that are read in the place of others.
        before: called with each call before it is passed on, with its number from 1 on. What it
            raises comes out; it may move a clock, for a store that is slow.
        after: likewise, when the work is done: what it raises is an answer that was lost.

    Attributes:
        calls: all of them, in order.
    """

    def __init__(
        self,
        inner: BlobStore,
        *,
        reads: ReadLie | None = None,
        stored: StoredLie | None = None,
        swaps: Mapping[bytes, bytes] | None = None,
        before: Callable[[int, BlobCall], None] | None = None,
        after: Callable[[int, BlobCall], None] | None = None,
    ) -> None:
        self._inner = inner
        self._reads = reads
        self._stored = stored
        self._swaps = swaps or {}
        self._before = before
        self._after = after
        self._sizes: dict[bytes, int] = {}
        self.calls: list[BlobCall] = []

    def begin_blob(self, address: Address, token: bytes, blob_id: bytes, size: int) -> int:
        call = self._begin(BlobCall("begin_blob", blob_id, 0, size))
        self._sizes[blob_id] = size
        stored = self._inner.begin_blob(address, token, blob_id, size)
        return self._told(call, stored)

    def put_blob(
        self, address: Address, token: bytes, blob_id: bytes, offset: int, data: bytes
    ) -> int:
        call = self._begin(BlobCall("put_blob", blob_id, offset, len(data)))
        stored = self._inner.put_blob(address, token, blob_id, offset, data)
        return self._told(call, stored)

    def get_blob(self, blob_id: bytes, offset: int, length: int) -> bytes:
        call = self._begin(BlobCall("get_blob", blob_id, offset, length))
        shown = self._swaps.get(blob_id, blob_id)
        if self._reads is None:
            data = self._inner.get_blob(shown, offset, length)
        else:
            data = self._reads(lambda *place: self._read(shown, *place), offset, length)
        self._end(call)
        return data

    def delete_blob(self, address: Address, token: bytes, blob_id: bytes) -> None:
        call = self._begin(BlobCall("delete_blob", blob_id, 0, 0))
        self._inner.delete_blob(address, token, blob_id)
        self._end(call)

    def _begin(self, call: BlobCall) -> BlobCall:
        self.calls.append(call)
        if self._before is not None:
            self._before(len(self.calls), call)
        return call

    def _end(self, call: BlobCall) -> None:
        if self._after is not None:
            self._after(len(self.calls), call)

    def _told(self, call: BlobCall, stored: int) -> int:
        self._end(call)
        if self._stored is None:
            return stored
        return self._stored(stored, self._sizes.get(call.blob_id, call.offset + call.length))

    def _read(self, blob_id: bytes, offset: int, length: int) -> bytes:
        try:
            return self._inner.get_blob(blob_id, offset, length)
        except BlobGone:
            raise
        except BackendError:
            return b""


def fails_at(
    number: int, error: Exception | None = None, *, method: str | None = None
) -> Callable[[int, BlobCall], None]:
    """Return what raises at the n-th call (of a method), and at no other: `before` or `after`.

    Args:
        number: from 1 on.
        error: what is raised; by default that the back end cannot be reached.
        method: of which calls the n-th is meant; None: of all.
    """
    left = [number]

    def raise_at(_: int, call: BlobCall) -> None:
        if method in (None, call.method):
            left[0] -= 1
            if left[0] == 0:
                raise error or BackendError("the back end cannot be reached: try again")

    return raise_at
