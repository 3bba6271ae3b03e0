# SPDX-License-Identifier: Apache-2.0
"""Reading the file of an attachment out of a blob that nobody vouches for.

Rules:
- The hashes are fetched first and held against the root, which the message names; nothing else is
  fetched before. Then any chunk in any order: its hash first, and only then it is decrypted.
- Nothing is released that was not verified, and what was released stays right whatever follows.
- Every refusal is the same error: neither sender nor store learns which check it was.
- Pure but for `fetch` and the streams that are handed in; no thread is started here.

Source: docs/wire-format.md, attachments.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from e2ecross.arguments import require_callable, require_methods, require_type, require_whole_number
from e2ecross.crypto.account_kdf import HASH_BYTES
from e2ecross.crypto.attachment_kdf import attachment_root, hash_chunks
from e2ecross.crypto.kdf import is_equal
from e2ecross.crypto.secret import Secret
from e2ecross.crypto.stream_cipher import StreamCipher, stream_buffer
from e2ecross.errors import AttachmentCorrupted, InvalidArgument
from e2ecross.protocol.attachment_chunks import (
    Chunks,
    Sink,
    Source,
    in_order,
    new_buffers,
    read_up_to,
    require_helper,
    seal_chunks,
)
from e2ecross.wire.attachment import Attachment

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["AttachmentReader", "verified_prefix"]

_FARTHEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Fetched(Secret):
    chunks: range
    answer: bytes
    buffer: bytearray


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Opened(Secret):
    plain: memoryview
    is_right: bool


class AttachmentReader(Secret):
    """The file of an attachment, read from an untrusted blob in any order.

    It keeps the hashes of the chunks (at most 512 KiB) once they are verified, and no chunk. May be
    used by many threads if `fetch` may.

    Args:
        attachment: what the message says of it.
        fetch: returns `length` bytes of the blob from `offset` on; at most 4,194,304 are asked for
            at a time. It is called in the thread that reads. Its errors come through.
        helper: does half of the work of verifying and decrypting, in a thread of its own
            (`ThreadPoolExecutor(1)`).
    """

    __slots__ = ("_attachment", "_chunks", "_fetch", "_helper", "_table")

    def __init__(
        self,
        attachment: Attachment,
        fetch: Callable[[int, int], bytes],
        helper: "Executor | None" = None,
    ) -> None:
        require_type("attachment", attachment, Attachment)
        require_callable("fetch", fetch)
        require_helper(helper)
        self._attachment = attachment
        self._chunks = Chunks.of(attachment)
        self._fetch = fetch
        self._helper = helper
        self._table = b""

    @property
    def attachment(self) -> Attachment:
        """What the message says of the file."""
        return self._attachment

    def read(self, offset: int, length: int) -> bytes:
        """Return a range of the file; of what is beyond its end nothing.

        The store learns which chunks are looked at. The range, and the chunks around it, are in
        memory at once.

        Args:
            offset: where it begins, bytes.
            length: bytes.

        Raises:
            AttachmentCorrupted: a chunk, or the table of hashes, is not what the message names.
            InvalidArgument: the offset or the length is negative or no number.
        """
        require_whole_number("offset", offset, high=_FARTHEST)
        require_whole_number("length", length, high=_FARTHEST)
        end = min(offset + length, self._chunks.size)
        if offset >= end:
            return b""
        each = self._chunks.each
        wanted = range(offset // each, -(-end // each))
        begin = wanted.start * each
        return b"".join(map(bytes, self._verified(wanted)))[offset - begin : end - begin]

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the file in order, in pieces of a chunk or several.

        What was yielded is right. The file is complete when it ends without an error: the chunks of
        padding are fetched too, so that the store does not learn the size.

        Args:
            start: how many bytes to leave out: whole chunks, or all, as `verified_prefix` says.

        Raises:
            AttachmentCorrupted: the next chunk, or the table of hashes, is not what the message
                names.
            InvalidArgument: `start` is not the end of a chunk.
        """
        return map(bytes, self._verified(self._from(start)))

    def copy_to(self, sink: Sink, start: int = 0) -> None:
        """Write the file in order, in the pieces of `chunks`: the fastest way, nothing is copied.

        What was written is right, and complete when this returns.

        Args:
            sink: gets the file.
            start: as with `chunks`.

        Raises:
            AttachmentCorrupted: the next chunk, or the table of hashes, is not what the message
                names.
            InvalidArgument: `start` is not the end of a chunk.
        """
        require_methods("sink", sink, "write")
        for _ in map(sink.write, self._verified(self._from(start))):
            pass  # no variable here holds a piece, so none is in a report of an error

    def table(self) -> bytes:
        """Return the verified hashes of the chunks, 32 bytes each; fetched once.

        Raises:
            AttachmentCorrupted: the blob has others.
        """
        if not self._table:
            attachment = self._attachment
            length = attachment.table_size
            table = self._fetch(self._chunks.padded, length)
            if type(table) is not bytes or len(table) != length:
                raise _corrupted()
            root = attachment_root(attachment.chunk_log2, attachment.size, table)
            if not is_equal(root, attachment.root):
                raise _corrupted()
            self._table = table
        return self._table

    def _from(self, start: int) -> range:
        chunks = self._chunks
        require_whole_number("start", start, high=chunks.size)
        if start % chunks.each and start != chunks.size:
            raise InvalidArgument(f"start must be a multiple of {chunks.each}, or the size")
        return range(-(-start // chunks.each), chunks.count)

    def _verified(self, wanted: range) -> Iterator[memoryview]:
        """Yield what is in some chunks; each part is there until the next one is asked for."""
        self.table()
        for opened in in_order(self._fetched(wanted), self._open, self._helper):
            if opened.plain:
                yield opened.plain
            if not opened.is_right:
                raise _corrupted()

    def _fetched(self, wanted: range) -> Iterator[_Fetched]:
        chunks = self._chunks
        buffers = new_buffers(min(chunks.span_bytes, chunks.length(wanted)), self._helper)
        for span in chunks.spans(wanted):
            answer = self._fetch(chunks.start(span.start), chunks.length(span))
            yield _Fetched(span, answer, next(buffers))

    def _open(self, fetched: _Fetched) -> _Opened:
        """Verify and decrypt consecutive chunks, up to the first that is not right."""
        chunks, numbers, answer = self._chunks, fetched.chunks, fetched.answer
        out = memoryview(fetched.buffer)
        if type(answer) is not bytes or len(answer) != chunks.length(numbers):
            return _Opened(out[:0], is_right=False)
        sealed = memoryview(answer)
        count = _count_equal(hash_chunks(sealed, chunks.each), _part_of(self._table, numbers))
        right = numbers[:count]
        cipher = StreamCipher(self._attachment.file_key, chunks.start(numbers.start))
        cipher.apply(sealed[: chunks.length(right)], out)
        held = chunks.held(right)
        padding = out[held : chunks.length(right)]
        if not is_equal(padding, bytes(len(padding))):
            first = chunks.length(right) - len(bytes(padding).lstrip(b"\0"))
            return _Opened(out[: min(held, first // chunks.each * chunks.each)], is_right=False)
        return _Opened(out[:held], is_right=count == len(numbers))


def verified_prefix(reader: AttachmentReader, part: Source) -> int:
    """How many leading bytes of a part of the file are right, so that a download goes on there.

    What the part holds is encrypted again, and its hashes are held against those of the blob.

    Args:
        reader: of the file; its table is fetched, and nothing else.
        part: what there is of the file, read from its beginning.

    Returns:
        Bytes of whole chunks, or the size of the file: what `AttachmentReader.chunks` starts at.

    Raises:
        AttachmentCorrupted: the table of hashes is not what the message names.
    """
    table = reader.table()
    chunks = Chunks.of(reader.attachment)
    buffer = stream_buffer(min(chunks.span_bytes, chunks.padded))
    for span in chunks.spans(range(-(-chunks.size // chunks.each))):
        begin = chunks.start(span.start)
        data = read_up_to(part, chunks.held(span))
        padded = data.ljust(chunks.length(span), b"\0")
        _, hashes = seal_chunks(reader.attachment.file_key, begin, padded, chunks.each, buffer)
        right = chunks.held(span[: _count_equal(hashes, _part_of(table, span))])
        if right > len(data):  # zeros that the file goes on with are no bytes of the part
            right = len(data) // chunks.each * chunks.each
        if right < chunks.held(span):
            return begin + right
    return chunks.size


def _part_of(table: bytes, numbers: range) -> bytes:
    return table[numbers.start * HASH_BYTES : numbers.stop * HASH_BYTES]


def _count_equal(hashes: bytes, table: bytes) -> int:
    """How many hashes, from the first on, are the same."""
    places = range(0, len(table), HASH_BYTES)
    if is_equal(hashes, table):
        return len(places)
    ends = ((start, start + HASH_BYTES) for start in places)
    return [is_equal(hashes[start:end], table[start:end]) for start, end in ends].index(False)


def _corrupted() -> AttachmentCorrupted:
    return AttachmentCorrupted("the blob of an attachment is not the file that its message names")
