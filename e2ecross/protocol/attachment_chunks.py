# SPDX-License-Identifier: Apache-2.0
"""The chunks of a file, and working on some of them at a time.

Rules:
- Work goes by spans: as many whole chunks as have 512 KiB together, or one that is larger. So
  there is little to do around the cipher and the hash, and a span stays in the caches.
- A second thread takes every other span: cipher and hash let go of the interpreter's lock, so both
  have half of the work. Cipher and hash of one span side by side would save a fifth of it, for the
  hash takes four times as long.
- Nobody here starts a thread: who wants two hands an executor in. Streams and fetches stay in
  the thread that calls.

Source: docs/wire-format.md, attachments.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from e2ecross.arguments import require_bytes, require_methods
from e2ecross.crypto.attachment_kdf import hash_chunks
from e2ecross.crypto.stream_cipher import StreamCipher, stream_buffer
from e2ecross.errors import InvalidArgument
from e2ecross.wire.attachment import Attachment, padded_size

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = [
    "Chunks",
    "Sink",
    "Source",
    "in_order",
    "new_buffers",
    "read_up_to",
    "require_helper",
    "seal_chunks",
]

T = TypeVar("T")
R = TypeVar("R")

_SPAN_BYTES: Final = 2**19


class Source(Protocol):
    """A stream of bytes that is read once, such as a file opened with mode `rb`."""

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, none only at the end; it waits for them."""
        ...


class Sink(Protocol):
    """Where bytes are written, such as a file opened with mode `wb`."""

    def write(self, data: memoryview, /) -> object:
        """Take all of the data, and keep no reference to it."""
        ...


@dataclass(frozen=True, slots=True)
class Chunks:
    """Where the chunks of a file lie in its blob, each but the last of `each` bytes.

    Attributes:
        size: of the file, bytes.
        padded: of its padded form, bytes.
        log2: `each` is 2 to the power of it.
        count: how many there are, those of padding among them.
    """

    size: int
    padded: int
    log2: int
    count: int

    @classmethod
    def of(cls, attachment: Attachment) -> "Chunks":
        """Those of an attachment."""
        padded = padded_size(attachment.size)
        return cls(attachment.size, padded, attachment.chunk_log2, attachment.chunk_count)

    @property
    def each(self) -> int:
        """Bytes of a chunk, 65,536 to 4,194,304."""
        return 1 << self.log2

    @property
    def span_bytes(self) -> int:
        """How long a span is at most, bytes."""
        return max(self.each, _SPAN_BYTES)

    def spans(self, wanted: range) -> Iterator[range]:
        """Divide consecutive chunks into spans."""
        step = self.span_bytes >> self.log2
        for first in range(wanted.start, wanted.stop, step):
            yield range(first, min(first + step, wanted.stop))

    def start(self, number: int) -> int:
        """Where a chunk begins, bytes; that of the one behind the last is the end."""
        return min(number << self.log2, self.padded)

    def length(self, chunks: range) -> int:
        """Bytes of consecutive chunks, with padding."""
        return self.start(chunks.stop) - self.start(chunks.start)

    def held(self, chunks: range) -> int:
        """Bytes of the file in consecutive chunks, without padding."""
        return min(self.start(chunks.stop), self.size) - min(self.start(chunks.start), self.size)


def in_order(items: Iterable[T], work: Callable[[T], R], helper: "Executor | None") -> Iterator[R]:
    """Yield the result of each item, in order; at most two are there at a time.

    Args:
        items: are taken in this thread, when they are needed.
        work: raises nothing.
        helper: works on every other item, if there is one.
    """
    if helper is None:
        yield from map(work, items)
        return
    remaining = iter(items)
    for item in remaining:
        ahead = helper.submit(work, item)
        try:
            behind = [work(other) for other in islice(remaining, 1)]
        finally:
            done = ahead.result()
        yield done
        yield from behind


def require_helper(helper: "Executor | None") -> None:
    """Raise `InvalidArgument` unless it can work on something, or there is none."""
    if helper is not None:
        require_methods("helper", helper, "submit")


def new_buffers(length: int, helper: "Executor | None") -> Iterator[bytearray]:
    """Buffers for spans of `length` bytes at most, over and over.

    As many as `in_order` has in use at a time: each is free again when its turn comes.
    """
    return cycle([stream_buffer(length) for _ in range(1 if helper is None else 2)])


def read_up_to(source: Source, length: int) -> bytes:
    """Read `length` bytes, or fewer where the source ends.

    Raises:
        InvalidArgument: the source returns something else than bytes, or more than was asked for.
    """
    parts = []
    missing = length
    while missing and (part := source.read(missing)) != b"":
        require_bytes("source.read()", part)
        if len(part) > missing:
            raise InvalidArgument(f"source.read() gave {len(part)} bytes, {missing} were wanted")
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def seal_chunks(
    key: bytes, offset: int, data: bytes, each: int, buffer: bytearray
) -> tuple[memoryview, bytes]:
    """Encrypt consecutive chunks.

    Args:
        key: 32 bytes, secret.
        offset: where in the file they begin.
        data: what is in them, with padding.
        each: bytes of each of them but the last.
        buffer: from `stream_buffer`, as long as `data`.

    Returns:
        The encrypted chunks, which lie in the buffer, and their hashes.
    """
    sealed = memoryview(buffer)[: len(data)]
    StreamCipher(key, offset).apply(data, memoryview(buffer))
    return sealed, hash_chunks(sealed, each)
